"""Which folded taps a bank keeps: backward elimination by increase of error per unit of cost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np

from npscatter.program.plan import make_plan
from npscatter.program.steps import WEIGHT_ARRAYS, Architecture
from tools.folded import Element, FoldedBank
from tools.least_squares import LEAST_DIAGONAL, Freedom, Normal


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
        """Return what each element costs, shared samples being shared; inf where it is not kept."""
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


def output_rates(architecture: Architecture, J: int, boundary: str) -> dict[str, float]:
    """Return for every weight array how many output samples a pixel costs at scale J, order 2."""
    # A large image, so that the padding counts little.
    plan = make_plan(J, (512, 512), architecture, boundary=boundary)
    rates = dict.fromkeys(WEIGHT_ARRAYS, 0.0)
    for step in plan.steps:
        if step.wavelets:
            rates[step.wavelets] += step.modulus_samples / 512**2
        rates[step.smoothing] += step.smoothed_samples / 512**2
    return rates


def multiply_adds(elements: Iterable[Element], rates: dict[str, float]) -> float:
    """Return the multiply-adds a pixel that elements cost."""
    return sum(rates[element.array] * element.multiplies for element in elements)


def eliminate(
    bank: FoldedBank,
    c: np.ndarray,
    normal: Normal,
    prices: Prices,
    count: int,
    *,
    enough: Callable[[list[Element]], bool] = lambda kept: False,
    arrays: Collection[str] = tuple(WEIGHT_ARRAYS),
    damping: float = 1e-6,
) -> tuple[FoldedBank, np.ndarray, float]:
    """Drop elements one by one, cheapest first, refitting within the quadratic model at `c`.

    With G the Gauss-Newton matrix, c^2 / diag(G^-1) is the exact increase of a quadratic error (B.
    Hassibi and D. Stork, Second order derivatives for network pruning, 1993).

    Parameters
    ----------
    normal : tuple
        Value, half gradient and Gauss-Newton matrix at `c`.
    count : int
        How many are dropped at most.
    enough : callable
        Told what is kept, says whether to stop.
    arrays : collection of str
        Whose elements may be dropped.
    damping : float
        Of the matrix, as a share of its diagonal.

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
    M += damping * np.diag(np.maximum(np.diag(M), LEAST_DIAGONAL))
    g = freedom.T.T @ gradient
    inverse = np.linalg.inv(M)
    step = inverse @ g
    x, value = c[freedom.free] - step, value - g @ step
    kept = set(range(len(c)))
    may_go = np.isin(bank.arrays[freedom.free], list(arrays))
    gone: list[int] = []
    for _ in range(min(count, int(may_go.sum()))):
        if enough([bank.kept[number] for number in sorted(kept)]):
            break
        candidates = np.flatnonzero(may_go)
        increase = x[candidates] ** 2 / np.diag(inverse)[candidates]
        cheapest = int(np.argmin(increase / prices.of(bank, kept)[freedom.free[candidates]]))
        value += increase[cheapest]
        number = candidates[cheapest]
        column = inverse[:, number] / inverse[number, number]
        x -= column * x[number]
        inverse -= np.outer(column, inverse[number])
        may_go[number] = False
        gone.append(number)
        kept.discard(int(freedom.free[number]))
    # What rounding left of them.
    x[gone] = 0
    left = sorted(kept)
    return bank.only(left), freedom(x)[left], value
