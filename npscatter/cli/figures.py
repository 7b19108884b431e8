"""The figures. Needs matplotlib; nothing here touches pyplot or its global state."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from npscatter.bank import FilterBank
from npscatter.program.symmetry import angle_steps

SIGNED, POSITIVE = "RdBu_r", "magma"
_TITLE, _LABEL, _SMALL = 10, 9, 8
# Where a few bright maps would leave the others black, they saturate.
PERCENTILE = 99.5


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
        On top the picture, S0 and S2 of the two finest scales, a tile for each pair of
        orientations. Below, one column per orientation: the wavelet, and S1 at every scale.
    """
    J = int(meta["j"].max()) + 1
    L = bank.L
    rows = 2 + J
    lower_height = min(1.12 * 8 / L, 1.8) * rows + 0.6
    figure = Figure(figsize=(11, 3.4 + lower_height), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(3.4, lower_height))

    left, middle, right = upper.subplots(1, 3)
    left.imshow(picture, cmap="gray", vmin=0, vmax=1)
    left.set_title(f"picture, {_size(picture)}", fontsize=_TITLE)
    if crop is not None:
        row, column, height, width = crop
        frame = Rectangle((column - 0.5, row - 0.5), width, height, fill=False, edgecolor="C1")
        left.add_patch(frame)
        left.set_xlabel("framed: the crop compared with Kymatio", fontsize=_SMALL)
    low = middle.imshow(coefficients[0], cmap="gray", vmin=0, vmax=1)
    middle.set_title(f"$S_0$, {_size(coefficients)}", fontsize=_TITLE)
    _scale(upper, low, [left, middle], shrink=0.9)
    bare(left)
    bare(middle)
    second = _second_order(coefficients, meta, L)
    if second is None:
        right.set_axis_off()
    else:
        _mosaic(upper, right, second, J)

    grid = lower.subplots(rows, L, squeeze=False)
    wavelets = bank["psi_first"][:, 0]
    _show_wavelets(lower, grid[:2], wavelets)
    first = coefficients[meta["order"] == 1].reshape(J, L, *coefficients.shape[-2:])
    brightest = Normalize(0, np.percentile(first, PERCENTILE))
    for j in range(J):
        for theta in range(L):
            maps = grid[2 + j, theta].imshow(first[j, theta], cmap=POSITIVE, norm=brightest)
            bare(grid[2 + j, theta])
        _row_label(grid[2 + j, 0], f"$S_1$, $j$ = {j}")
    _scale(lower, maps, list(grid[2:].flat), extend="max")
    lower.suptitle(
        f"wavelets of the first octave, bank “{bank.name}”, and first-order coefficients; "
        r"$\theta$: orientation, and angle of the wave vector from the vertical axis",
        fontsize=_TITLE,
    )
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
        f"bank “{bank.name}”: L = {L}, R = {R}, boundary {bank.boundary}", fontsize=_TITLE + 1
    )
    blocks = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]

    grid = blocks[0].subplots(rows[0], columns, squeeze=False)
    _show_rows(blocks[0], grid[:1], [bank["low_first"][0]], ["low-pass"])
    _show_wavelets(blocks[0], grid[1:3], bank["psi_first"][:, 0])
    if show_next:
        blocks[0].suptitle("first octave: filters of the image", fontsize=_TITLE)
        _show_rows(blocks[0], grid[3:], [bank["carry_first"][:, 0]], ["carriers"])
        grid = blocks[1].subplots(rows[1], columns, squeeze=False)
        blocks[1].suptitle(
            f"later octaves: filters of the {R} carried maps, whose results are added",
            fontsize=_TITLE,
        )
        _show_rows(blocks[1], grid[:1], [bank["low_next"][0]], ["low-pass"])
        for carrier in range(R):
            pair = grid[1 + 2 * carrier : 3 + 2 * carrier]
            _show_wavelets(blocks[1], pair, bank["psi_next"][:, carrier], carrier)
        for row in (blocks[0].axes[3 * columns :], grid[0]):
            for carrier in range(R):
                row[carrier].set_title(f"map {carrier + 1}", fontsize=_LABEL)
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
        grid[0, theta].set_title(_orientation(theta, len(wavelets)), fontsize=_LABEL)


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
        _row_label(axes[0], f"{label}\n{_size(row)}")
    used = len(rows[0])
    if used < grid.shape[1]:
        _scale(figure, shown, cax=grid[0, used].inset_axes((0.05, 0, 0.07, 1)))
    else:
        _scale(figure, shown, list(grid.flat))


def _second_order(coefficients: np.ndarray, meta: dict, L: int) -> np.ndarray | None:
    """Return the maps of the two finest scales, shape (L, L, h, w), or None without order 2."""
    chosen = (meta["order"] == 2) & (meta["j"][:, 0] == 0) & (meta["j"][:, 1] == 1)
    if not chosen.any():
        return None
    return coefficients[chosen].reshape(L, L, *coefficients.shape[-2:])


def _mosaic(figure, axes: Axes, maps: np.ndarray, J: int) -> None:
    L = len(maps)
    height, width = maps.shape[-2:]
    tiles = np.moveaxis(maps, 2, 1).reshape(L * height, L * width)
    norm = Normalize(0, np.percentile(maps, PERCENTILE))
    shown = axes.imshow(tiles, cmap=POSITIVE, norm=norm, interpolation="antialiased")
    for theta in range(1, L):
        axes.axhline(theta * height - 0.5, color="white", linewidth=0.6)
        axes.axvline(theta * width - 0.5, color="white", linewidth=0.6)
    axes.set_xticks((np.arange(L) + 0.5) * width - 0.5, range(L), fontsize=_SMALL)
    axes.set_yticks((np.arange(L) + 0.5) * height - 0.5, range(L), fontsize=_SMALL)
    axes.tick_params(length=0)
    axes.set_xlabel(r"$\theta_2$", fontsize=_LABEL)
    axes.set_ylabel(r"$\theta_1$", fontsize=_LABEL)
    which = "" if J == 2 else ", $j_1$ = 0, $j_2$ = 1"
    axes.set_title(f"$S_2${which}, {L} × {L} maps of {height} × {width}", fontsize=_TITLE)
    _scale(figure, shown, axes, shrink=0.9, extend="max")


def _scale(figure, shown, axes=None, cax=None, **options) -> None:
    if cax is None:
        options = {"aspect": 25, "pad": 0.02, **options}
    bar = figure.colorbar(shown, ax=axes, cax=cax, **options)
    bar.ax.tick_params(labelsize=_SMALL)
    bar.outline.set_linewidth(0.5)


def bare(axes: Axes) -> None:
    """Take the ticks off."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.5)


def _row_label(axes: Axes, text: str) -> None:
    axes.set_ylabel(text, fontsize=_LABEL, rotation=0, ha="right", va="center")


def _orientation(theta: int, L: int) -> str:
    degrees = angle_steps(L, theta) * 180 / L
    return f"$\\theta$ = {theta}\n{degrees:g}°".replace("-", "−")


def _size(maps: np.ndarray) -> str:
    return f"{maps.shape[-2]} × {maps.shape[-1]}"
