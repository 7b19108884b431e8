"""The filters that an image sees through the cascade, in space and in frequency."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from npscatter.arguments import integer, one_of
from npscatter.bank.effective import EffectiveFilters, effective_filters
from npscatter.plots.drawing import (
    LABEL,
    POSITIVE,
    SIGNED,
    SMALL,
    TITLE,
    axes_for,
    color_scale,
    orientation,
    size,
    transform_or_default,
)
from npscatter.plots.maps import show_tiles
from npscatter.scattering import Scattering2D

# Finest scales of which filters are drawn: those of the others look like them, twice as large each.
MOST_SCALES = 4


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
        How many of the finest scales are drawn; 4 at most by default: those of the others look
        like them, twice as large each. The low-pass is drawn where all J are. The title says what
        is left out.
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
    S = transform_or_default(S)
    shown = min(S.J, MOST_SCALES) if scales is None else integer("scales", scales)
    one_of("scales", shown, tuple(range(1, S.J + 1)), "pass fewer, or None")
    side = 20 * 2 ** (shown - 1) if view == "space" else max(128, 32 * 2**shown)
    filters = effective_filters(S.bank, shown, 1, (side, side))
    height = 1.1 + 0.72 * (2 * shown + (shown == S.J)) if view == "space" else 5.2
    (cell,) = axes_for(axes, [7.2 if view == "space" else 5.8], height)
    draw = _draw_in_space if view == "space" else _draw_in_frequency
    draw(cell, filters, shown == S.J)
    left_out = "" if shown == S.J else f":\nthe finest {shown} of {S.J} scales, no low-pass"
    cell.set_title(f"filters of bank “{S.bank.name}”{left_out}", fontsize=TITLE)
    return cell


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
