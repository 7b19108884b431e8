"""A program's linear stages: what stands between one modulus and the next.

The transform alternates linear filters with moduli. From a raw map (the image, or a modulus) the
program of `npscatter.program.plan` leads through chains of filters to one output channel and to the
moduli of the next order. `image_stage` reads these chains off the program; all raw maps of one
order and scales have the same, whatever their orientations. What is known of the filters of a
chain in the Fourier domain are the wavelets and the low-pass that a raw map sees
(`npscatter.bank.effective`), and bound what the program can do to any image (`npscatter.bounds`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np

from npscatter.bank.filter_bank import FilterBank
from npscatter.program.plan import Plan
from npscatter.program.tiles import reach


@dataclass(frozen=True)
class FilterChain:
    """Filters in a row, from a raw map on.

    Attributes
    ----------
    links : tuple of (str, int)
        Weight array and stride of each filter.
    """

    links: tuple[tuple[str, int], ...] = ()

    def then(self, weights: str, stride: int) -> FilterChain:
        """Return the chain with one filter more."""
        return FilterChain((*self.links, (weights, stride)))

    @property
    def stride(self) -> int:
        """Samples of the raw map per sample of what the chain makes."""
        return int(np.prod([stride for _, stride in self.links], dtype=int))

    def reach(self, bank: FilterBank) -> int:
        """Return the distance from the first to the last sample read, along one axis."""
        total, grid = 0, 1
        for weights, stride in self.links:
            total += grid * (bank[weights].shape[-1] - 1)
            grid *= stride
        return total

    def response(self, bank: FilterBank, w: np.ndarray) -> np.ndarray:
        """Return the transfer functions from the raw map to what the chain makes.

        Parameters
        ----------
        bank : FilterBank
            The weights.
        w : ndarray, shape (N, 2)
            Radians per sample of the raw map.

        Returns
        -------
        ndarray of complex128, shape (O or 2 O, N)
            Of real filters: for wavelets all real parts, then all imaginary parts.
        """
        maps = np.ones((1, len(w)), complex)
        for taps, grid in self._filters(bank):
            maps = np.einsum("orn,rn->on", transfer(taps, grid * w), maps)
        return maps

    def on_grid(self, bank: FilterBank, shape: tuple[int, int], apart: int = 1) -> np.ndarray:
        """Return the `response` at the frequencies of a periodic grid, shape (O or 2 O, H * W).

        Parameters
        ----------
        bank : FilterBank
            The weights.
        shape : tuple of int
            (H, W) of the grid; its frequencies come in the order of its FFT.
        apart : int, optional
            Samples of the grid per sample of the raw map, along one axis.
        """
        maps = np.ones((1, *shape), complex)
        for taps, grid in self._filters(bank):
            # A map at a time: all at once take many times the memory.
            parts = (
                transfer_on_grid(taps[:, i], shape, apart * grid) * one
                for i, one in enumerate(maps)
            )
            maps = reduce(np.add, parts)
        return maps.reshape(len(maps), -1)

    def _filters(self, bank: FilterBank) -> Iterator[tuple[np.ndarray, int]]:
        """Yield each link's real taps, and samples of the raw map from one tap to the next."""
        grid = 1
        for weights, stride in self.links:
            yield bank.real_taps(weights), grid
            grid *= stride


@dataclass(frozen=True)
class LinearStage:
    """The linear part of the program between a raw map and the next moduli.

    Attributes
    ----------
    scales : tuple of int
        The scale of each wavelet that led to the raw map; () for the image.
    grid : int
        Pixels per sample of the raw map, along one axis.
    low : FilterChain
        Leads to the raw map's output channel.
    moduli : tuple of (FilterChain, LinearStage)
        Lead to the moduli, all L orientations together, and what follows each of them.
    """

    scales: tuple[int, ...]
    grid: int
    low: FilterChain
    moduli: tuple[tuple[FilterChain, LinearStage], ...]

    @property
    def order(self) -> int:
        """Number of moduli before the raw map."""
        return len(self.scales)

    def walk(self) -> list[LinearStage]:
        """Return this stage and all that follow, each once per tuple of scales."""
        return [self, *(stage for _, after in self.moduli for stage in after.walk())]


class _Draft:
    """A stage while it is collected."""

    def __init__(self, grid: int):
        self.grid = grid
        self.scales: tuple[int, ...] = ()
        self.low = FilterChain()
        self.moduli: dict[FilterChain, _Draft] = {}

    def finished(self) -> LinearStage:
        moduli = tuple((chain, draft.finished()) for chain, draft in self.moduli.items())
        return LinearStage(self.scales, self.grid, self.low, moduli)


def image_stage(plan: Plan) -> LinearStage:
    """Return the stage of the image, from which all others follow.

    Parameters
    ----------
    plan : Plan
        A program that goes depth first, in any rounds: every step fills a buffer of its own.
    """
    image = _Draft(1)
    held: dict[int, tuple[_Draft, FilterChain]] = {}
    held[plan.image.buffer] = image, FilterChain()
    for step in plan.steps:
        draft, chain = held[step.source.buffer]
        if step.wavelets:
            chain = chain.then(step.wavelets, step.wavelet_stride)
            draft = draft.moduli.setdefault(chain, _Draft(draft.grid * chain.stride))
            chain = FilterChain()
        chain = chain.then(step.smoothing, step.stride)
        if step.emits:
            draft.low, draft.scales = chain, plan.paths[step.channels[0]].j
        elif step.target:
            held[step.target.buffer] = draft, chain
    return image.finished()


def levels(plan: Plan) -> list[tuple[str, tuple[tuple[str, int], ...]]]:
    """Return every distinct set of filters that reads the same maps.

    Returns
    -------
    list of (str, ((weights, stride), ...))
        What is read, "image", "modulus" or "carried maps", and by what, in the program's order.
    """
    readers: dict[tuple[int, str], dict[tuple[str, int], None]] = {}
    for number, step in enumerate(plan.steps):
        of_image = step.source.buffer == plan.image.buffer
        key = step.source.buffer, "image" if of_image else "carried maps"
        if step.wavelets:
            readers.setdefault(key, {})[step.wavelets, step.wavelet_stride] = None
            key = -number, "modulus"
        readers.setdefault(key, {})[step.smoothing, step.stride] = None
    return list(dict.fromkeys((maps, tuple(links)) for (_, maps), links in readers.items()))


def transfer(taps: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return the transfer functions of correlations, sum_a taps[a] exp(i a w).

    Parameters
    ----------
    taps : ndarray, shape (..., K, K)
        a counts from the centre.
    w : ndarray, shape (N, 2)
        Radians per sample.

    Returns
    -------
    ndarray of complex128, shape (..., N)
    """
    K = taps.shape[-1]
    a = np.arange(K) - K // 2
    rows, columns = (np.exp(1j * np.multiply.outer(a, w[:, axis])) for axis in (0, 1))
    waves = (rows[:, None] * columns).reshape(K * K, -1)
    # Real taps: one real matrix product for real and imaginary parts, which lie side by side.
    responses = taps.reshape(-1, K * K) @ waves.view(float)
    return responses.view(complex).reshape(*taps.shape[:-2], -1)


def transfer_on_grid(taps: np.ndarray, shape: tuple[int, int], apart: int) -> np.ndarray:
    """Return the `transfer` functions at `apart` times the `grid_frequencies` of a shape.

    Parameters
    ----------
    taps : ndarray, shape (..., K, K)
        a counts from the centre.
    shape : tuple of int
        (H, W) of the grid.
    apart : int
        Samples of the grid from one tap to the next.

    Returns
    -------
    ndarray of complex128, shape (..., H, W)
    """
    kernels = np.zeros((*taps.shape[:-2], *shape))
    K = taps.shape[-1]
    for a in range(K):
        for b in range(K):
            row, column = -apart * (a - K // 2) % shape[0], -apart * (b - K // 2) % shape[1]
            kernels[..., row, column] += taps[..., a, b]
    return np.fft.fft2(kernels)


def grid_frequencies(shape: tuple[int, int]) -> np.ndarray:
    """Return the frequencies of a periodic grid in the order of its FFT, shape (H * W, 2)."""
    rows, columns = (2 * np.pi * np.fft.fftfreq(side) for side in shape)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)


def halo(plan: Plan, bank: FilterBank) -> int:
    """Return how many pixels around its own a coefficient of a bank sees."""
    return reach(plan, {key: bank[key].shape[-1] for key in bank})
