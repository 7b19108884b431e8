"""Pictures of coefficients, filters and paths: one call each, Matplotlib's axes in and out.

Needs Matplotlib (extra ``plots``, or ``cli``). Without ``axes`` a figure is made with pyplot, which
notebooks show; with them nothing here touches pyplot or its state. All colour maps may be told
apart by the colour-blind.
"""

from npscatter.errors import install_extra

try:
    from matplotlib import axes as _axes  # noqa: F401
except ModuleNotFoundError as error:
    # A ModuleNotFoundError too, of the same name: the commands tell of it in their own words.
    _message = f"npscatter.plots needs {error.name}, not installed: {install_extra('plots')}"
    raise ModuleNotFoundError(_message, name=error.name) from None

from npscatter.plots.coefficients import plot_coefficients
from npscatter.plots.filters import plot_filters
from npscatter.plots.paths import plot_paths

__all__ = ["plot_coefficients", "plot_filters", "plot_paths"]
