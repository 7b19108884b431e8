"""Pictures of coefficients, filters and paths: one call each, Matplotlib's axes in and out.

Needs Matplotlib (extra ``plots``, or ``cli``). Without ``axes`` a figure is made with pyplot, which
notebooks show; with them nothing here touches pyplot or its state. All colour maps may be told
apart by the colour-blind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from npscatter.arguments import check_plain, integer, one_of, pair
from npscatter.bank import FilterBank
from npscatter.bank.effective import EffectiveFilters, effective_filters
from npscatter.errors import ArgumentError, ArgumentTypeError, explain, install_extra
from npscatter.program.symmetry import angle_steps
from npscatter.scattering import Scattering2D

try:
    from matplotlib import colormaps
    from matplotlib.axes import Axes
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import Normalize
    from matplotlib.image import AxesImage
    from matplotlib.patches import Circle, Wedge
except ModuleNotFoundError as error:
    # A ModuleNotFoundError too, of the same name: the commands tell of it in their own words.
    message = f"npscatter.plots needs {error.name}, not installed: {install_extra('plots')}"
    raise ModuleNotFoundError(message, name=error.name) from None

__all__ = ["plot_coefficients", "plot_filters", "plot_paths"]
SIGNED, POSITIVE = "RdBu_r", "viridis"
TITLE, LABEL, SMALL = 10, 9, 8
# Where a few bright maps would leave the others dark, they saturate.
PERCENTILE = 99.5
# Finest scales of which filters are drawn: those of the others look like them, twice as large each.
MOST_SCALES = 4
# Of a disc's rings together, the part of the radius that is left for the low-pass in the middle.
_HOLE = 0.25


def plot_coefficients(
    S: Scattering2D,
    y: Any,
    position: tuple[int, int] | None = None,
    *,
    order: int | None = None,
    view: str = "disc",
    axes: Any = None,
) -> Any:
    """Draw the coefficients of one image, as a disc of wedges or as maps.

    A disc shows the coefficients of one place, or their means, as a spectrum is shown: the wedge of
    S1[j, theta] lies where the wave vector of its wavelet points, in the directions of the picture
    (axis 0 downwards, axis 1 to the right), and opposite, finer scales further out. So horizontal
    edges are bright above and below the middle, vertical ones left and right of it. The rings are
    of one width. In the disc of S2 the wedge of (j1, theta1) is cut into rings, finer j2 further
    out, and sectors of theta2: in the middle theta2 = theta1, towards the sides the orientations
    that differ by up to 90 degrees, which is halved between both. A picture that is turned by
    90 degrees, or mirrored, has its disc turned or mirrored. (After J. Bruna and S. Mallat,
    Invariant scattering convolution networks, 2013, figure 3, whose sectors stand in the order of
    theta2.)

    Parameters
    ----------
    S : Scattering2D
        What made the coefficients.
    y : array_like, shape (C, h, w) or (C,), or list of dict
        What it made of one image.
    position : tuple of int, optional
        Row and column of the output sample whose coefficients a disc shows; by default their means.
    order : int, optional
        Draw the coefficients of this order alone.
    view : str, optional
        "disc", or "maps": a map for every channel, a row for each first and a column for each
        second wavelet; in order 1 rows are scales and columns orientations.
    axes : Axes or sequence of Axes, optional
        Where to draw: one for each order. By default a new figure's.

    Returns
    -------
    Axes, or ndarray of Axes
        One if `order` is given; else one for each order, from 1 for discs and from 0 for maps.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If `y` is not what `S` makes of one image, or there is no such order, place or view.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.plots import plot_coefficients
    >>> S = Scattering2D(J=3, shape=(64, 64), backend="numpy")
    >>> stripes = np.tile(np.cos(0.75 * np.pi * np.arange(64)), (64, 1))  # vertical ones
    >>> first, second = plot_coefficients(S, S(stripes))
    """
    one_of("view", view, ("disc", "maps"))
    S = _checked(S)
    meta, maps = S.meta(), _maps(S, y)
    there = [int(one) for one in np.unique(meta["order"]) if view == "maps" or one > 0]
    if not there:
        rule = "shows orders 1 and 2, and there is order 0 alone"
        raise ArgumentError(explain("view", view, rule, "pass view='maps'"))
    if order is not None:
        order = integer("order", order)
        one_of("order", order, tuple(there), "pass one of them, or None for all")
    orders = there if order is None else [order]
    if view == "maps":
        if position is not None:
            rule = "is the place of the coefficients of a disc, and view='maps' shows all of them"
            raise ArgumentError(explain("position", position, rule, "pass None, or view='disc'"))
        drawn = _axes(axes, [{0: 3.9, 1: 6.2, 2: 5.6}[each] for each in orders], 4.6)
        for each, cell in zip(orders, drawn, strict=True):
            draw_maps(cell, maps, meta, S.J, S.L, each)
    else:
        values, place = _values(maps, position)
        drawn = _axes(axes, [5.2] * len(orders), 4.6)
        for each, cell in zip(orders, drawn, strict=True):
            _draw_disc(cell, values, meta, S.J, S.L, each)
            cell.set_title(f"$S_{each}$, {place}", fontsize=TITLE)
    return drawn if order is None else drawn[0]


def plot_filters(
    S: Scattering2D | None = None,
    *,
    view: str = "space",
    scales: int | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw the wavelets, and the low-pass, that the image sees through the cascade.

    Parameters
    ----------
    S : Scattering2D, optional
        Whose filters; by default those of ``Scattering2D(J=3, shape=(32, 32))``.
    view : str, optional
        "space": real and imaginary parts, a column for each orientation, the filters of each scale
        divided by the largest absolute value among them. "frequency": lines at half the largest
        absolute value of each filter's Fourier transform.
    scales : int, optional
        How many of the finest scales are drawn; 4 at most by default. The low-pass is drawn where
        all J are.
    axes : Axes, optional
        Where to draw. By default a new figure's.

    Returns
    -------
    Axes

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If there is no such view, or are not so many scales.

    Examples
    --------
    >>> from npscatter.plots import plot_filters
    >>> axes = plot_filters(view="frequency")
    """
    one_of("view", view, ("space", "frequency"))
    S = _some(S)
    shown = min(S.J, MOST_SCALES) if scales is None else integer("scales", scales)
    one_of("scales", shown, tuple(range(1, S.J + 1)), "pass fewer, or None")
    side = 20 * 2 ** (shown - 1) if view == "space" else max(128, 32 * 2**shown)
    filters = effective_filters(S.bank, shown, 1, (side, side))
    height = 1.1 + 0.72 * (2 * shown + (shown == S.J)) if view == "space" else 5.2
    (cell,) = _axes(axes, [7.2 if view == "space" else 5.8], height)
    draw = _draw_in_space if view == "space" else _draw_in_frequency
    draw(cell, filters, shown == S.J)
    cell.set_title(f"filters of bank “{S.bank.name}”", fontsize=TITLE)
    return cell


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

    Examples
    --------
    >>> from npscatter.plots import plot_paths
    >>> axes = plot_paths()
    """
    S = _some(S)
    meta = S.meta()
    pairs = sorted({tuple(pair) for pair in meta["j"].tolist()} - {(-1, -1)})
    # Every pair of scales has a line of its own, and so has a first scale that nothing follows.
    firsts = sorted({j1 for j1, _ in pairs})
    lines = [two for j1 in firsts for two in _lines(j1, pairs)]
    (cell,) = _axes(axes, [7.6], 0.9 + 0.36 * max(len(lines), 2))
    heights = {two: -number for number, two in enumerate(lines)}
    middle = -(len(lines) - 1) / 2
    _node(cell, 0, middle, "image" + _channels(meta, (-1, -1)), "0.6")
    colors = colormaps[POSITIVE](0.35 + 0.55 * np.arange(S.J) / max(S.J - 1, 1))
    for j1 in firsts:
        ends = [heights[two] for two in _lines(j1, pairs)]
        height = sum(ends) / len(ends)
        cell.plot([0, 1], [middle, height], color="0.6", linewidth=1, zorder=1)
        _node(cell, 1, height, f"$j_1$ = {j1}" + _channels(meta, (j1, -1)), colors[j1])
        for two in _lines(j1, pairs):
            if two[1] >= 0:
                cell.plot([1, 2], [height, heights[two]], color="0.6", linewidth=1, zorder=1)
                text = f"$j_2$ = {two[1]}" + _channels(meta, two)
                _node(cell, 2, heights[two], text, colors[two[1]])
    cell.set_xlim(-0.05, 1.9 + (meta["order"].max() > 1))
    cell.set_ylim(-len(lines) + 0.4, 0.6)
    cell.set_axis_off()
    cell.set_title(f"{len(meta['order'])} channels, J = {S.J}, L = {S.L}", fontsize=TITLE)
    return cell


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
    norm = Normalize(0, _top(tiles, PERCENTILE))
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


def _draw_disc(
    axes: Axes, values: np.ndarray, meta: dict[str, np.ndarray], J: int, L: int, order: int
) -> None:
    """Draw the coefficients of one order as wedges."""
    rings = [(j, -1) for j in range(J)]
    if order == 2:
        rings = [(j1, j2) for j1 in range(J) for j2 in range(j1 + 1, J)]
    width = (1 - _HOLE) / len(rings)
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
    shown.set_clim(0, _top(np.array(colors), 100))
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
            ends = np.array([_HOLE, 1]) * sign
            axes.plot(ends * np.cos(radians), ends * np.sin(radians), color="white", linewidth=1)


def _draw_in_space(axes: Axes, filters: EffectiveFilters, with_low: bool) -> None:
    psi, phi = filters.psi, filters.phi
    J, L, side, _ = psi.shape
    reach = 9 * 2**J // 4
    seen = slice(side // 2 - reach, side // 2 + reach + 1)
    psi = psi[..., seen, seen] / np.abs(psi).max((1, 2, 3), keepdims=True)
    side = psi.shape[-1]
    tiles = np.stack([psi.real, psi.imag], 1).reshape(2 * J, L, side, side)
    rows = [f"{part} $\\psi$, $j$ = {j}" for j in range(J) for part in ("Re", "Im")]
    if with_low:
        last = np.full((1, L, side, side), np.nan)
        last[0, 0] = phi[seen, seen] / np.abs(phi).max()
        tiles = np.concatenate([tiles, last])
        rows.append(f"$\\phi$, $J$ = {J}")
    columns = [orientation(theta, L) for theta in range(L)]
    shown = show_tiles(axes, tiles, rows, columns, (2, 1), cmap=SIGNED, vmin=-1, vmax=1)
    axes.set_xlabel(f"{size(tiles)} pixels each", fontsize=SMALL)
    color_scale(axes.figure, shown, axes)


def _draw_in_frequency(axes: Axes, filters: EffectiveFilters, with_low: bool) -> None:
    J, L, side, _ = filters.psi_hat.shape
    cycles = np.fft.fftshift(np.fft.fftfreq(side))
    colors = colormaps[POSITIVE](np.linspace(0.85, 0.15, J))
    drawn = [(filters.psi_hat[j, theta], colors[j]) for j in range(J) for theta in range(L)]
    if with_low:
        drawn.append((filters.phi_hat, "black"))
    for transform, color in drawn:
        height = np.fft.fftshift(np.abs(transform))
        axes.contour(cycles, cycles, height, [height.max() / 2], colors=[color], linewidths=1.2)
    for j in range(J):
        axes.plot([], [], color=colors[j], label=f"$\\psi$, $j$ = {j}")
    if with_low:
        axes.plot([], [], color="black", label=f"$\\phi$, $J$ = {J}")
    axes.legend(fontsize=SMALL, loc="upper left", frameon=False)
    axes.set_xlabel("cycles per pixel along axis 1 (right)", fontsize=LABEL)
    axes.set_ylabel("cycles per pixel along axis 0 (down)", fontsize=LABEL)
    axes.set_xlim(-0.5, 0.5)
    axes.set_ylim(0.5, -0.5)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=SMALL)


def _lines(j1: int, pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the pairs of scales that follow a first scale, or the one where none does."""
    return [two for two in pairs if two[0] == j1 and two[1] >= 0] or [(j1, -1)]


def _channels(meta: dict[str, np.ndarray], scales: tuple[int, int]) -> str:
    """Return which channels have some scales, in words: a formula where there is one."""
    found = np.flatnonzero((meta["j"] == scales).all(1))
    if not len(found):
        return ""
    theta = meta["theta"][found].clip(0)
    if len(found) == 1:
        return f": channel {found[0]}"
    first = int(found[0] - theta[0, 1])
    steps = [channel - t2 - first for channel, (_, t2) in zip(found, theta, strict=True)]
    if scales[1] < 0:
        regular = np.array_equal(found, found[0] + theta[:, 0] - theta[0, 0])
        return f": channels {found[0] - theta[0, 0]} + $\\theta_1$" if regular else _count(found)
    apart = max(steps) // max(1, theta[-1, 0])
    regular = np.array_equal(steps, apart * theta[:, 0])
    return f": channels {first} + {apart} $\\theta_1$ + $\\theta_2$" if regular else _count(found)


def _count(channels: np.ndarray) -> str:
    return f": {len(channels)} channels"


def _node(axes: Axes, x: float, y: float, text: str, color: Any) -> None:
    box = {"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": color, "linewidth": 1.5}
    axes.text(x, y, text, va="center", fontsize=SMALL, bbox=box, zorder=2)


def _maps(S: Scattering2D, y: Any) -> list[np.ndarray]:
    """Return the map of every channel, of one sample where there are but means."""
    C = S.n_coefficients
    if isinstance(y, list) and all(isinstance(one, dict) for one in y):
        for one in y:
            check_plain("y", one["coef"])
        maps = [np.asarray(one["coef"]) for one in y]
    else:
        check_plain("y", y)
        y = np.asarray(y)
        maps = list(y) if y.ndim == 3 else list(y[:, None, None]) if y.ndim == 1 else []
    if len(maps) != C or any(one.ndim != 2 for one in maps):
        got = f"a list of {len(y)}" if isinstance(y, list) else y.shape
        rule = f"must be one image's coefficients, ({C}, h, w) or ({C},)"
        raise ArgumentError(explain("y.shape", got, rule, "pass S(x) of one image, e.g. S(x)[0]"))
    if wrong := [one.dtype for one in maps if one.dtype.kind not in "biuf"]:
        raise ArgumentTypeError(explain("y.dtype", wrong[0], "must be real", "pass S(x)"))
    return maps


def _top(values: np.ndarray, percentile: float) -> float:
    """Return where a scale of colours ends, from the finite values; above 0, if there are none."""
    finite = values[np.isfinite(values)]
    top = np.percentile(finite, percentile) if finite.size else 1.0
    return max(float(top), float(np.finfo(np.float32).tiny))


def _values(maps: list[np.ndarray], position: Any) -> tuple[np.ndarray, str]:
    """Return the coefficients at one output sample, or their means, and which in words."""
    if position is None:
        return np.array([one.mean() for one in maps]), "mean over the image"
    row, column = pair("position", position, "of integers", "pass (row, column)")
    shapes = {one.shape for one in maps}
    if len(shapes) > 1:
        rule = "names no one place where channels have their own resolutions"
        raise ArgumentError(explain("position", position, rule, "pass None"))
    h, w = shapes.pop()
    if not (0 <= row < h and 0 <= column < w):
        rule = f"must lie within the {h} x {w} output samples"
        remedy = f"pass a row from 0 to {h - 1} and a column from 0 to {w - 1}, or None"
        raise ArgumentError(explain("position", position, rule, remedy))
    return np.array([one[row, column] for one in maps]), f"at ({row}, {column})"


def _axes(axes: Any, widths: list[float], height: float) -> np.ndarray:
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


def _some(S: Scattering2D | None) -> Scattering2D:
    return Scattering2D(J=3, shape=(32, 32)) if S is None else _checked(S)


def _checked(S: Any) -> Scattering2D:
    """Return a transform, whichever door it came through, or raise."""
    if not isinstance(getattr(S, "bank", None), FilterBank) or not hasattr(S, "meta"):
        remedy = "pass npscatter.Scattering2D(J, shape)"
        raise ArgumentTypeError(explain("S", S, "must be a Scattering2D", remedy))
    return S
