"""The transform of NumPy's arrays, under the name that Kymatio's has."""

from npscatter.scattering import Scattering2D

__all__ = ["Scattering2D"]
