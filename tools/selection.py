"""Which folded taps a bank keeps: backward elimination by increase of error per unit of cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tools.folded import FoldedBank
from tools.least_squares import Freedom


@dataclass(frozen=True)
class Prices:
    """What folded taps cost.

    Attributes
    ----------
    rates : dict
        Output samples per pixel of every weight array.
    sample, row : float
        What a new folded sample and a new row cost, in multiply-adds.
    """

    rates: dict[str, float]
    sample: float
    row: float

    def of(self, bank: FoldedBank, kept: Iterable[int]) -> np.ndarray:
        """Return what each element costs; inf where it is not kept. Who share a sample share its cost."""
        kept = list(kept)
        users: dict[tuple, int] = {}
        for number in kept:
            for place in self._shared(bank, number):
                users[place] = users.get(place, 0) + 1
        price = np.full(len(bank.kept), np.inf)
        for number in kept:
            element = bank.kept[number]
            shared = sum(
                (self.sample if len(place) == 6 else self.row) / users[place]
                for place in self._shared(bank, number)
            )
            price[number] = self.rates[element.array] * (element.multiplies + shared)
        return price

    @staticmethod
    def _shared(bank: FoldedBank, number: int) -> set[tuple]:
        element = bank.kept[number]
        samples = {(element.array, *folded) for folded in element.folded}
        # A row: the input map, the parity of the rows and |a|.
        return samples | {(*sample[:3], sample[4]) for sample in samples}


def multiplies(bank: FoldedBank) -> dict[str, int]:
    """Return the multiply-adds per output sample of every weight array."""
    return {
        key: sum(bank.kept[number].multiplies for number in bank.of_array(key))
        for key in bank.kernels
    }


def eliminate(
    bank: FoldedBank, c: np.ndarray, normal, prices: Prices, count: int, damping: float = 1e-6
) -> tuple[FoldedBank, np.ndarray, float]:
    """Drop elements one by one, cheapest first, refitting within the quadratic model at `c`.

    With G the Gauss-Newton matrix, c^2 / diag(G^-1) is the exact increase of a quadratic error (B.
    Hassibi and D. Stork, Second order derivatives for network pruning, 1993).

    Parameters
    ----------
    normal : tuple
        Value, half gradient and Gauss-Newton matrix at `c`.
    count : int
        How many are dropped.

    Returns
    -------
    FoldedBank, ndarray
        What is kept, and its coefficients by the model.
    float
        The objective by the model.
    """
    freedom = Freedom(bank, c)
    value, gradient, matrix = normal
    M = freedom.T.T @ matrix @ freedom.T
    M += damping * np.diag(np.maximum(np.diag(M), 1e-12))
    g = freedom.T.T @ gradient
    inverse = np.linalg.inv(M)
    step = inverse @ g
    x, value = c[freedom.free] - step, value - g @ step
    kept = set(range(len(c)))
    alive = np.ones(len(x), bool)
    for _ in range(count):
        price = prices.of(bank, kept)[freedom.free]
        increase = np.full(len(x), np.inf)
        increase[alive] = x[alive] ** 2 / np.diag(inverse)[alive]
        per_price = np.full(len(x), np.inf)
        per_price[alive] = increase[alive] / price[alive]
        number = int(np.argmin(per_price))
        value += increase[number]
        x -= inverse[:, number] * (x[number] / inverse[number, number])
        inverse -= np.outer(inverse[:, number], inverse[number]) / inverse[number, number]
        alive[number] = False
        kept.discard(int(freedom.free[number]))
    full = freedom(np.where(alive, x, 0))
    left = sorted(kept)
    smaller = FoldedBank(bank.L, bank.R, bank.kernels, [bank.kept[n] for n in left], bank.options)
    return smaller, full[left], value
