"""Which paths there are, and the channels they fill."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from npscatter.plots.drawing import POSITIVE, SMALL, TITLE, axes_for, transform_or_default
from npscatter.scattering import Scattering2D


def plot_paths(S: Scattering2D | None = None, *, axes: Axes | None = None) -> Axes:
    """Draw which paths there are, as a tree of scales, and which channels they fill.

    Parameters
    ----------
    S : Scattering2D, optional
        Whose paths; by default those of ``Scattering2D(J=3, shape=(32, 32))``.
    axes : Axes, optional
        Where to draw. By default a new figure's.

    Returns
    -------
    Axes

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If `S` is no transform, or `axes` are not Matplotlib's.

    Examples
    --------
    >>> from npscatter.plots import plot_paths
    >>> axes = plot_paths()
    """
    S = transform_or_default(S)
    meta = S.meta()
    pairs = sorted({tuple(pair) for pair in meta["j"].tolist()} - {(-1, -1)})
    # Every pair of scales has a line of its own, and so has a first scale that nothing follows.
    firsts = sorted({j1 for j1, _ in pairs})
    lines = [two for j1 in firsts for two in _lines(j1, pairs)]
    (cell,) = axes_for(axes, [7.6], 0.9 + 0.36 * max(len(lines), 2))
    heights = {two: -number for number, two in enumerate(lines)}
    middle = -(len(lines) - 1) / 2
    _node(cell, 0, middle, "image" + _channels(meta, S.L, (-1, -1)), "0.6")
    colors = colormaps[POSITIVE](0.35 + 0.55 * np.arange(S.J) / max(S.J - 1, 1))
    for j1 in firsts:
        ends = [heights[two] for two in _lines(j1, pairs)]
        height = sum(ends) / len(ends)
        cell.plot([0, 1], [middle, height], color="0.6", linewidth=1, zorder=1)
        _node(cell, 1, height, f"$j_1$ = {j1}" + _channels(meta, S.L, (j1, -1)), colors[j1])
        for two in _lines(j1, pairs):
            if two[1] >= 0:
                cell.plot([1, 2], [height, heights[two]], color="0.6", linewidth=1, zorder=1)
                text = f"$j_2$ = {two[1]}" + _channels(meta, S.L, two)
                _node(cell, 2, heights[two], text, colors[two[1]])
    cell.set_xlim(-0.05, 1.9 + (meta["order"].max() > 1))
    cell.set_ylim(-len(lines) + 0.4, 0.6)
    cell.set_axis_off()
    cell.set_title(f"{len(meta['order'])} channels, J = {S.J}, L = {S.L}", fontsize=TITLE)
    return cell


def _lines(j1: int, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the pairs of scales that follow a first scale, or the one where none does."""
    return [two for two in pairs if two[0] == j1 and two[1] >= 0] or [(j1, -1)]


def _channels(meta: dict[str, np.ndarray], L: int, scales: tuple[int, int]) -> str:
    """Return which channels have some scales, in words: a formula where all orientations do."""
    found = np.flatnonzero((meta["j"] == scales).all(1))
    if not len(found):
        return ""
    if len(found) == 1:
        return f": channel {found[0]}"
    first, theta = found[0], meta["theta"][found]
    if scales[1] < 0 and np.array_equal(found, first + np.arange(L)):
        return f": channels {first} + $\\theta_1$"
    if len(found) == L * L:
        apart = found[L] - first
        if np.array_equal(found, first + apart * theta[:, 0] + theta[:, 1]):
            return f": channels {first} + {apart} $\\theta_1$ + $\\theta_2$"
    if found[-1] - first < len(found):
        return f": channels {first} to {found[-1]}"
    return f": {len(found)} channels"


def _node(axes: Axes, x: float, y: float, text: str, color: Any) -> None:
    box = {"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": color, "linewidth": 1.5}
    axes.text(x, y, text, va="center", fontsize=SMALL, bbox=box, zorder=2)
