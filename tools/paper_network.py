"""The paper's network in Torch, as it would be written there: for comparisons of speed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from npscatter import FilterBank


def conv2d_network(bank: FilterBank, J: int, max_order: int) -> Callable:
    """Return the paper's network in Torch: the same as a bank with zeros beyond the edge.

    All maps of one order go through an octave together. The wavelets and the low-pass beside them
    read the same map, so they are the outputs of one convolution, of stride 2; the moduli are
    smoothed map by map (a depthwise convolution, about four times faster than the maps as a batch)
    and join the maps of the next order. The network takes a float32 Tensor (N, H, W) whose sides
    are multiples of 2^J, and returns the coefficients in Kymatio's order; ValueError if the bank
    does not have the paper's architecture.
    """
    design = bank.architecture
    if (design.carriers, design.psi_stride, design.next_from) != (1, 2, "octave"):
        raise ValueError(f"bank {bank.name!r} does not have the paper's architecture")
    octaves = []
    for octave in range(J):
        level = "first" if octave == 0 else "next"
        psi = bank[f"psi_{level}"]
        smoother = bank[f"low_{level}" if octave == J - 1 else f"carry_{level}"]
        both = np.concatenate([psi.real, psi.imag, smoother])
        octaves.append([torch.tensor(taps, dtype=torch.float32) for taps in (both, smoother)])
    order = _kymatio_order(bank.L, J, max_order)

    def run(images: torch.Tensor) -> torch.Tensor:
        orders = [images[:, None]]
        for both, smoother in octaves:
            following = []
            joining = []  # smoothed moduli, which are maps of the next order
            for maps in orders[:max_order]:
                moduli, smoothed = _wavelets(maps, both)
                following.append(torch.cat([smoothed, *joining], 1))
                joining = [_each(moduli, smoother, 1)]
            if len(orders) > max_order:
                joining = [torch.cat([_each(orders[max_order], smoother, 2), *joining], 1)]
            orders = [*following, *joining]
        coefficients = torch.cat(orders, 1)
        return coefficients if order is None else coefficients[:, order]

    return run


def _wavelets(maps: torch.Tensor, both: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the moduli (N, M L, h, w) and the smoothed maps (N, M, h, w) of maps (N, M, H, W)."""
    L = len(both) // 2
    batch = maps.flatten(0, 1)[:, None]
    parts = functional.conv2d(batch, both, stride=2, padding=both.shape[-1] // 2)
    parts = parts.unflatten(0, maps.shape[:2])
    moduli = torch.hypot(parts[:, :, :L], parts[:, :, L : 2 * L])
    return moduli.flatten(1, 2), parts[:, :, 2 * L]


def _each(maps: torch.Tensor, kernel: torch.Tensor, stride: int) -> torch.Tensor:
    """Return every map (N, M, H, W) smoothed by the same kernel."""
    count, padding = maps.shape[1], kernel.shape[-1] // 2
    kernels = kernel.expand(count, 1, -1, -1)
    return functional.conv2d(maps, kernels, stride=stride, padding=padding, groups=count)


def _kymatio_order(L: int, J: int, max_order: int) -> torch.Tensor | None:
    """Return where `conv2d_network` has each of Kymatio's channels, None for in their order."""
    orders: list[list[tuple]] = [[()], *([] for _ in range(max_order))]
    for octave in range(J):
        waves = [(octave, theta) for theta in range(L)]
        joined = [[(*path, wave) for path in paths for wave in waves] for paths in orders[:-1]]
        for paths, more in zip(orders[1:], joined, strict=True):
            paths += more
    paths = [path for paths in orders for path in paths]
    places = sorted(range(len(paths)), key=lambda place: (len(paths[place]), paths[place]))
    return None if places == list(range(len(paths))) else torch.tensor(places)
