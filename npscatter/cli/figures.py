"""The figures. Needs matplotlib; nothing here touches pyplot or its global state."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from npscatter.bank import FilterBank
from npscatter.plots.drawing import (
    LABEL,
    SIGNED,
    SMALL,
    TITLE,
    bare,
    color_scale,
    orientation,
    size,
)
from npscatter.plots.maps import draw_maps


def demo_figure(
    picture: np.ndarray,
    crop: tuple[int, int, int, int] | None,
    bank: FilterBank,
    coefficients: np.ndarray,
    meta: dict[str, np.ndarray],
) -> Figure:
    """Show a picture, the wavelets of the first octave and the coefficients.

    Parameters
    ----------
    picture : ndarray, shape (H, W)
        In [0, 1].
    crop : tuple of int or None
        First row, first column, height and width of a frame to draw on the picture.
    bank : FilterBank
        The bank in use.
    coefficients : ndarray, shape (C, h, w)
        Of the picture.
    meta : dict of ndarray
        What each channel is, as `npscatter.Scattering2D.meta` says.

    Returns
    -------
    Figure
        On top the picture, S0 and S2, a tile for each path. Below, one column per orientation: the
        wavelet, and S1 at every scale.
    """
    J = int(meta["j"].max()) + 1
    L = bank.L
    row = min(1.18 * 8 / L, 1.8)
    heights = (3.4, 2 * row + 0.8, J * row + 0.7)
    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    upper, middle, lower = figure.subfigures(3, 1, height_ratios=heights)

    left, centre, right = upper.subplots(1, 3)
    left.imshow(picture, cmap="gray", vmin=0, vmax=1)
    left.set_title(f"picture, {size(picture)}", fontsize=TITLE)
    if crop is not None:
        top, column, height, width = crop
        frame = Rectangle((column - 0.5, top - 0.5), width, height, fill=False, edgecolor="C1")
        left.add_patch(frame)
        left.set_xlabel("framed: the crop compared with Kymatio", fontsize=SMALL)
    bare(left)
    draw_maps(centre, coefficients, meta, J, L, 0)
    if J > 1:
        draw_maps(right, coefficients, meta, J, L, 2)
    else:
        right.set_axis_off()

    _show_wavelets(middle, middle.subplots(2, L, squeeze=False), bank["psi_first"][:, 0])
    middle.suptitle(
        f"wavelets of the first octave, bank “{bank.name}”; "
        r"$\theta$: orientation, and angle of the wave vector from the vertical axis",
        fontsize=TITLE,
    )
    draw_maps(lower.subplots(), coefficients, meta, J, L, 1)
    return figure


def bank_figure(bank: FilterBank, show_next: bool = False) -> Figure:
    """Show a bank's filters.

    Parameters
    ----------
    bank : FilterBank
        Any bank.
    show_next : bool, optional
        Show the filters of the later octaves too, those of each of the R carried maps apart.

    Returns
    -------
    Figure
        Row 1 the low-pass, row 2 the real and row 3 the imaginary parts of the L wavelets of the
        first octave. With `show_next` also the filters that make the R carried maps, and those
        of the later octaves: a low-pass, and L wavelets, for each carried map.
    """
    L, R = bank.L, bank.R
    columns = max(L, R) if show_next else L
    rows = (4, 1 + 2 * R) if show_next else (3,)
    heights = [1.15 * n + 0.7 for n in rows]
    figure = Figure(figsize=(1.15 * columns + 1.8, 0.3 + sum(heights)), layout="constrained")
    figure.suptitle(
        f"bank “{bank.name}”: L = {L}, R = {R}, boundary {bank.boundary}", fontsize=TITLE + 1
    )
    blocks = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]

    grid = blocks[0].subplots(rows[0], columns, squeeze=False)
    _show_rows(blocks[0], grid[:1], [bank["low_first"][0]], ["low-pass"])
    _show_wavelets(blocks[0], grid[1:3], bank["psi_first"][:, 0])
    if show_next:
        blocks[0].suptitle("first octave: filters of the image", fontsize=TITLE)
        _show_rows(blocks[0], grid[3:], [bank["carry_first"][:, 0]], ["carriers"])
        grid = blocks[1].subplots(rows[1], columns, squeeze=False)
        blocks[1].suptitle(
            f"later octaves: filters of the {R} carried maps, whose results are added",
            fontsize=TITLE,
        )
        _show_rows(blocks[1], grid[:1], [bank["low_next"][0]], ["low-pass"])
        for carrier in range(R):
            pair = grid[1 + 2 * carrier : 3 + 2 * carrier]
            _show_wavelets(blocks[1], pair, bank["psi_next"][:, carrier], carrier)
        for row in (blocks[0].axes[3 * columns :], grid[0]):
            for carrier in range(R):
                row[carrier].set_title(f"map {carrier + 1}", fontsize=LABEL)
    return figure


def _show_wavelets(
    figure, grid: np.ndarray, wavelets: np.ndarray, carrier: int | None = None
) -> None:
    """Fill two rows with the real and the imaginary parts, on one scale.

    The wavelets of a carried map are labelled with it; only the first ones get a heading.
    """
    on_map = "" if carrier is None else f", map {carrier + 1}"
    labels = [f"Re $\\psi${on_map}", f"Im $\\psi${on_map}"]
    _show_rows(figure, grid, [wavelets.real, wavelets.imag], labels)
    for theta in range(0 if carrier else len(wavelets)):
        grid[0, theta].set_title(orientation(theta, len(wavelets)), fontsize=LABEL)


def _show_rows(figure, grid: np.ndarray, rows: list[np.ndarray], labels: list[str]) -> None:
    """Fill rows of axes with signed kernels (n, K, K), all on one scale."""
    largest = max(np.abs(row).max() for row in rows) or 1.0
    for axes, row, label in zip(grid, rows, labels, strict=True):
        for cell, taps in zip(axes, row, strict=False):
            shown = cell.imshow(taps, cmap=SIGNED, vmin=-largest, vmax=largest)
            bare(cell)
        for cell in axes[len(row) :]:
            cell.set_box_aspect(1)
            cell.set_axis_off()
        _row_label(axes[0], f"{label}\n{size(row)}")
    used = len(rows[0])
    if used < grid.shape[1]:
        color_scale(figure, shown, grid[0, used], side=0)
    else:
        color_scale(figure, shown, list(grid.flat))


def _row_label(axes: Axes, text: str) -> None:
    axes.set_ylabel(text, fontsize=LABEL, rotation=0, ha="right", va="center")
