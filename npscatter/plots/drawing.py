"""What all pictures share: colours, sizes of text, colour bars, and axes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, ArgumentTypeError, explain
from npscatter.program.plan import Plan
from npscatter.program.symmetry import angle_steps
from npscatter.scattering import Scattering2D

SIGNED, POSITIVE = "RdBu_r", "viridis"
TITLE, LABEL, SMALL = 10, 9, 8


def axes_for(axes: Any, widths: list[float], height: float) -> np.ndarray:
    """Return as many axes as there are widths: those given, or a new figure's, in inches."""
    count = len(widths)
    if axes is None:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=(sum(widths), height), layout="constrained")
        return figure.subplots(1, count, squeeze=False, width_ratios=widths)[0]
    drawn = np.ravel(np.array(axes, dtype=object))
    if len(drawn) != count or not all(isinstance(one, Axes) for one in drawn):
        rule = f"must be {count} of Matplotlib's axes"
        remedy = f"pass pyplot.subplots(1, {count})[1], or None"
        raise ArgumentError(explain("axes", axes, rule, remedy))
    return drawn


def color_scale(figure: Any, shown: Any, axes: Any, side: float = 1.0, **options: Any) -> None:
    """Add the colour bar of what is shown: of one of the axes, as high, or of several together.

    One of the axes has it at its right `side`, or at the left one, 0.
    """
    if isinstance(axes, Axes):
        ratio = min(1, axes.get_data_ratio())
        options["cax"] = axes.inset_axes((side + 0.03 * ratio, 0, 0.04 * ratio, 1))
    else:
        options = {"ax": axes, "aspect": 25, "pad": 0.02, **options}
    bar = figure.colorbar(shown, **options)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_linewidth(0.5)


def bare(axes: Axes) -> None:
    """Take the ticks off."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)


def orientation(theta: int, L: int) -> str:
    """Return an orientation in words: its number, and the angle of the wave vector."""
    degrees = angle_steps(L, theta) * 180 / L
    return f"$\\theta$ = {theta}\n{degrees:g}°".replace("-", "−")


def size(maps: np.ndarray) -> str:
    """Return the height and width of maps in words."""
    return f"{maps.shape[-2]} × {maps.shape[-1]}"


def upper_end(values: np.ndarray, percentile: float = 100) -> float:
    """Return where a scale of colours ends that begins at 0: a percentile of what is finite.

    It is the largest value where that percentile is 0, and 1 where all of them are.
    """
    finite = values[np.isfinite(values)]
    ends = [float(np.percentile(finite, part)) for part in (percentile, 100) if finite.size]
    return next((end for end in ends if end > 0), 1.0)


def transform_or_default(S: Any) -> Any:
    """Return a transform that was given, checked, or the one that pictures show by default."""
    return Scattering2D(J=3, shape=(32, 32)) if S is None else checked_transform(S)


def checked_transform(S: Any) -> Any:
    """Return a transform, of NumPy's arrays or of Torch's tensors, or raise."""
    if isinstance(getattr(S, "plan", None), Plan):
        return S
    remedy = "pass npscatter.Scattering2D(J, shape)"
    if isinstance(S, type):
        remedy = f"{remedy}, an object"
    elif isinstance(S, str | FilterBank):
        remedy = "pass npscatter.Scattering2D(J, shape, bank=...) with it"
    elif hasattr(S, "fit"):
        remedy = "pass npscatter.Scattering2D with the same arguments"
    elif hasattr(S, "shape") or isinstance(S, list):
        remedy = "pass the transform first, then what it made of an image"
    raise ArgumentTypeError(explain("S", S, "must be a Scattering2D", remedy))
