"""Coefficients as a disc of wedges: radius is scale, angle is orientation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Circle, Wedge

from npscatter.plots.drawing import LABEL, POSITIVE, SMALL, color_scale, upper_end
from npscatter.program.symmetry import angle_steps

# Of all rings together, the part of the radius that is left for the low-pass in the middle.
HOLE = 0.25


@dataclass(frozen=True)
class DiscGeometry:
    """Where the coefficients of one order lie on a disc of radius 1; `disc_geometry` makes it.

    Attributes
    ----------
    rings : list of tuple
        (j1, j2) of every ring, the outermost first; in order 1 j2 is -1.
    width : float
        Of a ring.
    wedges : list of tuple
        (channel, outer radius, start, end), in degrees from the right, anticlockwise.
    directions : list of float
        Where the label of each theta1 stands: in degrees, of two opposite ones that to the right.
    circles, spokes : list of float
        Radii, and angles in degrees, of the lines around the wedges of the first wavelets; none in
        order 1, where every wedge is one.
    """

    rings: list[tuple[int, int]]
    width: float
    wedges: list[tuple[int, float, float, float]]
    directions: list[float]
    circles: list[float]
    spokes: list[float]


def disc_geometry(meta: dict[str, np.ndarray], J: int, L: int, order: int) -> DiscGeometry:
    """Return where the channels of one order, 1 or 2, lie on the disc of a transform's `meta`."""
    rings = [(j, -1) for j in range(J)]
    if order == 2:
        rings = [(j1, j2) for j1 in range(J) for j2 in range(j1 + 1, J)]
    width = (1 - HOLE) / max(1, len(rings))
    wedges = []
    for channel in np.flatnonzero(meta["order"] == order).tolist():
        outer = 1 - width * rings.index(tuple(meta["j"][channel].tolist()))
        for start, end in _sectors(meta["theta"][channel], L, order):
            # A real image's coefficients are those of the opposite wave vector, too.
            for turn in (0, 180):
                wedges.append((channel, outer, float(start + turn), float(end + turn)))
    around = [_direction(theta, L) for theta in range(L)]
    return DiscGeometry(
        rings,
        width,
        wedges,
        directions=[(degrees + 90) % 180 - 90 for degrees in around],
        circles=[1 - width * n for n, (j1, j2) in enumerate(rings) if n and j2 == j1 + 1],
        spokes=[d + 90 / L + turn for d in around for turn in (0, 180)] if order == 2 else [],
    )


def draw_disc(
    axes: Axes, values: np.ndarray, meta: dict[str, np.ndarray], J: int, L: int, order: int
) -> None:
    """Draw the coefficients of one order as wedges."""
    disc = disc_geometry(meta, J, L, order)
    colors = np.array([values[channel] for channel, *_ in disc.wedges])
    wedges = [
        Wedge((0, 0), outer, start, end, width=disc.width) for _, outer, start, end in disc.wedges
    ]
    axes.add_patch(Circle((0, 0), 1, facecolor="0.92", edgecolor="none"))
    # White lines would leave nothing of narrow sectors.
    edge, line = ("white", 0.8) if order == 1 else ("face", 0.2)
    shown = PatchCollection(wedges, cmap=POSITIVE, edgecolor=edge, linewidth=line)
    shown.set_array(colors)
    shown.set_clim(0, upper_end(colors))
    axes.add_collection(shown)
    _outline(axes, disc)
    for theta, degrees in enumerate(disc.directions):
        x, y = 1.04 * np.cos(np.radians(degrees)), 1.04 * np.sin(np.radians(degrees))
        up = "top" if y < -0.99 else "bottom" if y > 0.99 else "center"
        text = f"$\\theta{'' if order == 1 else '_1'}$={theta}"
        axes.text(x, y, text, ha="left" if x > 0.1 else "center", va=up, fontsize=SMALL)
    ticks = 1 - disc.width * (np.arange(len(disc.rings)) + 0.5)
    labels = [str(j1) if order == 1 else f"{j1}, {j2}" for j1, j2 in disc.rings]
    narrow = order == 2 and len(disc.rings) > 3
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


def _outline(axes: Axes, disc: DiscGeometry) -> None:
    """Draw the lines around the wedges of the first wavelets."""
    for radius in disc.circles:
        axes.add_patch(Circle((0, 0), radius, facecolor="none", edgecolor="white", linewidth=1))
    for degrees in disc.spokes:
        ends = np.array([HOLE, 1])
        x, y = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        axes.plot(ends * x, ends * y, color="white", linewidth=1)
