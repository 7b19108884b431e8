"""Coefficients as a disc of wedges: radius is scale, angle is orientation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Circle, Wedge

from npscatter.plots.drawing import LABEL, POSITIVE, SMALL, color_scale, upper_end
from npscatter.program.symmetry import angle_steps

# Of all rings together, the part of the radius that is left for the low-pass in the middle.
HOLE = 0.25


def draw_disc(
    axes: Axes, values: np.ndarray, meta: dict[str, np.ndarray], J: int, L: int, order: int
) -> None:
    """Draw the coefficients of one order as wedges."""
    rings = [(j, -1) for j in range(J)]
    if order == 2:
        rings = [(j1, j2) for j1 in range(J) for j2 in range(j1 + 1, J)]
    width = (1 - HOLE) / len(rings)
    wedges, colors = [], []
    for channel in np.flatnonzero(meta["order"] == order):
        outer = 1 - width * rings.index(tuple(meta["j"][channel].tolist()))
        for start, end in _sectors(meta["theta"][channel], L, order):
            # A real image's coefficients are those of the opposite wave vector, too.
            for turn in (0, 180):
                wedges.append(Wedge((0, 0), outer, start + turn, end + turn, width=width))
                colors.append(values[channel])
    axes.add_patch(Circle((0, 0), 1, facecolor="0.92", edgecolor="none"))
    # White lines would leave nothing of narrow sectors.
    edge, line = ("white", 0.8) if order == 1 else ("face", 0.2)
    shown = PatchCollection(wedges, cmap=POSITIVE, edgecolor=edge, linewidth=line)
    shown.set_array(np.array(colors))
    shown.set_clim(0, upper_end(np.array(colors)))
    axes.add_collection(shown)
    if order == 2:
        _outline(axes, [1 - width * n for n, (j1, j2) in enumerate(rings) if j2 == j1 + 1], L)
    for theta in range(L):
        # Of the two, those that are not to the left.
        degrees = (_direction(theta, L) + 90) % 180 - 90
        x, y = 1.04 * np.cos(np.radians(degrees)), 1.04 * np.sin(np.radians(degrees))
        up = "top" if y < -0.99 else "bottom" if y > 0.99 else "center"
        text = f"$\\theta{'' if order == 1 else '_1'}$={theta}"
        axes.text(x, y, text, ha="left" if x > 0.1 else "center", va=up, fontsize=SMALL)
    ticks = 1 - width * (np.arange(len(rings)) + 0.5)
    labels = [str(j1) if order == 1 else f"{j1}, {j2}" for j1, j2 in rings]
    narrow = order == 2 and len(rings) > 3
    axes.set_xticks(ticks, labels, fontsize=SMALL, rotation=90 if narrow else 0)
    label = "rings: $j$" if order == 1 else "rings: $j_1, j_2$"
    axes.set_xlabel(label, fontsize=LABEL, loc="left")
    axes.set_yticks([])
    axes.set_xlim(-1.05, 1.3)
    axes.set_ylim(-1.15, 1.15)
    axes.set_aspect("equal")
    for spine in axes.spines.values():
        spine.set_visible(False)
    color_scale(axes.figure, shown, axes)


def _direction(theta: int, L: int) -> float:
    """Return where a wave vector points in a picture: degrees from the right, anticlockwise."""
    # Angles are from axis 0, which points down, towards axis 1, which points to the right.
    return angle_steps(L, theta) * 180 / L - 90


def _sectors(theta: np.ndarray, L: int, order: int) -> Iterator[tuple[float, float]]:
    """Yield the sectors of a path's wedge in degrees: one, or two for orthogonal orientations."""
    step = 180 / L
    middle = _direction(int(theta[0]), L)
    if order == 1:
        yield middle - step / 2, middle + step / 2
        return
    narrow = step / L
    turned = int(theta[0] - theta[1]) % L  # angles fall where theta rises
    for place in (turned, turned - L):
        start, end = (np.clip(place + half, -L / 2, L / 2) for half in (-0.5, 0.5))
        if start < end:
            yield middle + start * narrow, middle + end * narrow


def _outline(axes: Axes, radii: list[float], L: int) -> None:
    """Draw the lines around the wedges of the first wavelets."""
    for radius in radii[1:]:
        axes.add_patch(Circle((0, 0), radius, facecolor="none", edgecolor="white", linewidth=1))
    for theta in range(L):
        radians = np.radians(_direction(theta, L) + 90 / L)
        for sign in (1, -1):
            ends = np.array([HOLE, 1]) * sign
            axes.plot(ends * np.cos(radians), ends * np.sin(radians), color="white", linewidth=1)
