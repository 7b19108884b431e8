"""Coefficients as maps: a tile for every channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage

from npscatter.plots.drawing import (
    LABEL,
    POSITIVE,
    SMALL,
    TITLE,
    bare,
    color_scale,
    size,
    upper_end,
)

# Where a few bright maps would leave the others dark, they saturate.
PERCENTILE = 99.5


def draw_maps(
    axes: Axes,
    maps: Sequence[np.ndarray] | np.ndarray,
    meta: dict[str, np.ndarray],
    J: int,
    L: int,
    order: int,
) -> None:
    """Draw the maps of one order, as `plot_coefficients` does.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    maps : sequence of ndarray, or ndarray, shape (C, h, w)
        Of one image.
    meta : dict of ndarray
        What each channel is, as ``Scattering2D.meta()`` says; those that are missing stay white.
    J, L, order : int
        Scales, orientations, and which order.
    """
    orientations = [str(theta) for theta in range(L)]
    if order == 0:
        (channel,) = np.flatnonzero(meta["order"] == 0).tolist()
        shown = axes.imshow(maps[channel], cmap="gray")
        bare(axes)
        axes.set_title(f"$S_0$, {size(maps[channel])}", fontsize=TITLE)
        color_scale(axes.figure, shown, axes)
        return
    if order == 1:
        tiles = _first_order_tiles(maps, meta, J, L)
        rows, columns, block = [str(j) for j in range(J)], orientations, (1, 1)
        axes.set_xlabel(r"$\theta$", fontsize=LABEL)
        axes.set_ylabel("$j$", fontsize=LABEL)
    else:
        tiles = _second_order_tiles(maps, meta, J, L)
        rows, columns, block = orientations, orientations, (L, L)
        axes.set_xlabel(r"$\theta_2$", fontsize=LABEL)
        axes.set_ylabel(r"$\theta_1$", fontsize=LABEL)
        if J > 2:
            rows, columns = [str(j) for j in range(J - 1)], [str(j) for j in range(1, J)]
            axes.set_xlabel(r"$j_2$; in each block across $\theta_2$", fontsize=LABEL)
            axes.set_ylabel(r"$j_1$; in each block down $\theta_1$", fontsize=LABEL)
    norm = Normalize(0, upper_end(tiles, PERCENTILE))
    shown = show_tiles(axes, tiles, rows, columns, block, cmap=POSITIVE, norm=norm)
    count = np.count_nonzero(meta["order"] == order)
    axes.set_title(f"$S_{order}$, {count} maps of {size(tiles)}", fontsize=TITLE)
    color_scale(axes.figure, shown, axes, extend="max")


def show_tiles(
    axes: Axes,
    tiles: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    blocks: tuple[int, int] = (1, 1),
    **options: Any,
) -> AxesImage:
    """Draw maps as the tiles of one picture, with white lines between them.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    tiles : ndarray, shape (rows, columns, h, w)
        The maps; NaN is left white.
    rows, columns : sequence of str
        What stands beside and under the tiles, evenly spread.
    blocks : tuple of int, optional
        Tiles per block, down and across: lines between blocks are wider, if a block has several.
    **options
        For ``axes.imshow``.
    """
    down, across, h, w = tiles.shape
    picture = np.moveaxis(tiles, 2, 1).reshape(down * h, across * w)
    shown = axes.imshow(picture, interpolation="antialiased", **options)
    for count, side, block, line in (
        (down, h, blocks[0], axes.axhline),
        (across, w, blocks[1], axes.axvline),
    ):
        for number in range(1, count):
            wide = block > 1 and number % block == 0
            line(number * side - 0.5, color="white", linewidth=2.5 if wide else 0.6)
    for count, side, labels, ticks in (
        (down, h, rows, axes.set_yticks),
        (across, w, columns, axes.set_xticks),
    ):
        apart = count * side / max(1, len(labels))
        ticks((np.arange(len(labels)) + 0.5) * apart - 0.5, labels, fontsize=SMALL)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return shown


def _first_order_tiles(maps: Any, meta: dict[str, np.ndarray], J: int, L: int) -> np.ndarray:
    """Return the maps of order 1 as tiles: a row for each scale, a column for each orientation.

    Parameters
    ----------
    maps : sequence of ndarray, or ndarray, shape (C, h, w)
        Of one image.
    meta : dict of ndarray
        What each channel is; those that are missing are NaN.
    J, L : int
        Scales and orientations.
    """
    chosen = np.flatnonzero(meta["order"] == 1)
    return _tiles(maps, chosen, meta["n"][chosen, 0], (J, L))


def _second_order_tiles(maps: Any, meta: dict[str, np.ndarray], J: int, L: int) -> np.ndarray:
    """Return the maps of order 2 as tiles, a row for each first wavelet, a column for each second.

    Parameters are those of `_first_order_tiles`. Rows are j1 = 0 to J - 2, for each its L
    orientations; columns j2 = 1 to J - 1.
    """
    chosen = np.flatnonzero(meta["order"] == 2)
    across = (J - 1) * L
    places = meta["n"][chosen, 0] * across + meta["n"][chosen, 1] - L
    return _tiles(maps, chosen, places, (across, across))


def _tiles(
    maps: Any, channels: np.ndarray, places: np.ndarray, grid: tuple[int, int]
) -> np.ndarray:
    """Return maps at their places in a grid of tiles; smaller maps' samples are repeated."""
    h, w = (max(maps[channel].shape[axis] for channel in channels) for axis in (0, 1))
    tiles = np.full((grid[0] * grid[1], h, w), np.nan)
    for channel, place in zip(channels, places, strict=True):
        one = np.asarray(maps[channel])
        rows, columns = (np.arange(n) * m // n for n, m in zip((h, w), one.shape, strict=True))
        tiles[place] = one[rows[:, None], columns]
    return tiles.reshape(*grid, h, w)
