"""Cascades that a bank's own is compared with: of a shifted image, and Kymatio's.

Each says, stage by stage, how its filters differ from the bank's (`low`, `residual`), what its
own wavelets are (`wavelets`), and over which frequencies to take the largest eigenvalue
(`largest`), as `npscatter.bounds.Bounds` needs it.
"""

from __future__ import annotations

from math import pi

import numpy as np

from npscatter.bank import FilterBank
from npscatter.bank.cascade import FilterChain, LinearStage, grid_frequencies
from npscatter.bounds.alias import Filters, extremes, on_grid
from npscatter.bounds.morlet import coarsened, low_pass, morlet

# Kymatio normalises its Gaussians with 3.1415 for pi.
_GAIN = pi / 3.1415


class Shifted:
    """The cascade of the shifted image, as one that differs from the image's own."""

    def __init__(self, bank: FilterBank, displacement: np.ndarray):
        self.bank, self.displacement = bank, displacement

    def largest(self, stage: LinearStage, parts: list[Filters]) -> float:
        return extremes(parts)[1].certified

    def low(self, stage: LinearStage) -> Filters:
        shift, low = self._rounded(stage.grid), stage.low

        def response(w: np.ndarray) -> np.ndarray:
            return low.response(self.bank, w) * (np.exp(-1j * (w @ shift)) - 1)

        return Filters(response, low.stride, self._reach(low, shift))

    def wavelets(self, stage: LinearStage, chain: FilterChain, after: LinearStage) -> Filters:
        reach = self._reach(chain, np.zeros(2))
        return Filters(lambda w: chain.response(self.bank, w), chain.stride, reach)

    def residual(self, stage: LinearStage, chain: FilterChain, after: LinearStage) -> Filters:
        # What is left of the shift, in samples of this stage, when the next grid rounds it.
        left = self._rounded(stage.grid) - chain.stride * self._rounded(after.grid)
        w = grid_frequencies((64, 64))
        real, imaginary = np.split(chain.response(self.bank, w), 2)
        power = np.abs(real + 1j * imaginary) ** 2
        alpha = -np.angle((power * np.exp(-1j * (w @ left))).sum(-1))[:, None]

        def response(w: np.ndarray) -> np.ndarray:
            real, imaginary = np.split(chain.response(self.bank, w), 2)
            moved = np.exp(-1j * (w @ left))
            turned = np.cos(alpha) * real - np.sin(alpha) * imaginary
            quarter = np.sin(alpha) * real + np.cos(alpha) * imaginary
            return np.concatenate([turned * moved - real, quarter * moved - imaginary])

        return Filters(response, chain.stride, self._reach(chain, left))

    def _rounded(self, grid: int) -> np.ndarray:
        """Return the displacement in samples of a grid; halves towards zero."""
        size = np.ceil(np.abs(self.displacement) / grid - 0.5)
        return (np.sign(self.displacement) * size).astype(int)

    def _reach(self, chain: FilterChain, shift: np.ndarray) -> tuple[int, int]:
        rows, columns = (int(chain.reach(self.bank) + abs(one)) for one in shift)
        return rows, columns


class Teacher:
    """Kymatio's cascade on the frequencies of one padded grid."""

    def __init__(self, bank: FilterBank, J: int, shape: tuple[int, int]):
        self.bank, self.J, self.shape = bank, J, shape
        minus_w = -grid_frequencies(shape)
        self.phi = _GAIN * low_pass(minus_w, J).reshape(shape)
        self.psi = [_GAIN * morlet(minus_w, bank.L, j).reshape(-1, *shape) for j in range(J)]

    def largest(self, stage: LinearStage, parts: list[Filters]) -> float:
        return on_grid(parts, self._grid(stage))

    def low(self, stage: LinearStage) -> Filters:
        theirs = _flipped(coarsened(self.phi, self._res(stage)))
        ours = self._ours(stage, stage.low)
        stride = 2 ** (self.J - self._res(stage))
        return self._filters(stage, ours - theirs.reshape(1, -1), stride)

    def wavelets(self, stage: LinearStage, chain: FilterChain, after: LinearStage) -> Filters:
        stride = 2 ** (self._res(after) - self._res(stage))
        return self._filters(stage, self._psi(stage, after), stride)

    def residual(self, stage: LinearStage, chain: FilterChain, after: LinearStage) -> Filters:
        ours = self._ours(stage, chain)
        # To our grid, which may be coarser than theirs.
        stride = after.grid // 2 ** self._res(stage)
        return self._filters(stage, ours - self._psi(stage, after), stride)

    def _psi(self, stage: LinearStage, after: LinearStage) -> np.ndarray:
        return _real_parts(_flipped(coarsened(self.psi[after.scales[-1]], self._res(stage))))

    def _res(self, stage: LinearStage) -> int:
        """Return log2 of the pixels per sample of Kymatio's raw map."""
        return stage.scales[-1] if stage.scales else 0

    def _grid(self, stage: LinearStage) -> tuple[int, int]:
        samples = 2 ** self._res(stage)
        return self.shape[0] // samples, self.shape[1] // samples

    def _ours(self, stage: LinearStage, chain: FilterChain) -> np.ndarray:
        """Return our transfer functions at the frequencies of their grid."""
        # In radians per sample of ours.
        apart = stage.grid // 2 ** self._res(stage)
        return chain.on_grid(self.bank, self._grid(stage), apart)

    def _filters(self, stage: LinearStage, table: np.ndarray, stride: int) -> Filters:
        grid = self._grid(stage)

        def response(w: np.ndarray) -> np.ndarray:
            index = np.rint(w * grid / (2 * pi)).astype(int) % grid
            return table[:, index[:, 0] * grid[1] + index[:, 1]]

        return Filters(response, stride, (0, 0))


def _flipped(filters: np.ndarray) -> np.ndarray:
    """Return filters on an FFT's grid at the negative frequencies."""
    return np.roll(filters[..., ::-1, ::-1], 1, (-2, -1))


def _real_parts(filters: np.ndarray) -> np.ndarray:
    """Return transfer functions of the real, then of the imaginary parts of complex filters."""
    mirrored = _flipped(filters).conj()
    parts = np.concatenate([(filters + mirrored) / 2, (filters - mirrored) / 2j])
    return parts.reshape(len(parts), -1)
