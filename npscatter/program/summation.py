"""How a correlation is summed: which samples are folded together, and by which weight.

A filter that is even or odd along an axis multiplies sums or differences of mirrored samples, so
a symmetric bank needs about a quarter of the multiply-adds: first whole rows are folded,
``x(a, .) +- x(-a, .)``, then samples within them, ``r(b) +- r(-b)``. The four parities (even-even
to odd-odd) of a pair of wavelets that mirror each other share their products: one of the pair is
the sum A + B of the parities the mirror keeps (A) and those it negates (B), the other is A - B.

What is said here is only the order of the arithmetic; executors that unroll it (Numba, CUDA, C)
read it off a `Summation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Row:
    """A row of input map `map`: at ``y + offset``, or folded with the one at ``y - offset``.

    ``fold`` is 0 for the row alone, 1 for the sum of the two, -1 for the difference.
    """

    map: int
    offset: int
    fold: int


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample of rows[`row`]: at ``x + offset``, or folded with the one at ``x - offset``.

    ``terms`` are the products it enters: (accumulator, index of the weight).
    """

    row: int
    offset: int
    fold: int
    terms: tuple[tuple[int, int], ...]

    @property
    def sums(self) -> set[int]:
        """The accumulators it enters."""
        return {accumulator for accumulator, _ in self.terms}


@dataclass(frozen=True)
class Summation:
    """The order in which one weight array's correlations are summed; no weights in it.

    Attributes
    ----------
    size : int
        K, of the K x K kernels.
    maps : int
        Input maps of one stack.
    rows : tuple of Row
        The rows that are read.
    samples : tuple of Sample
        The products, in order.
    accumulators : int
        How many sums are kept.
    outputs : tuple of (int, int, int)
        Output o is ``accumulator[first] + sign * accumulator[second]``; sign 0: the first alone.

    Examples
    --------
    >>> from npscatter import FilterBank
    >>> bank = FilterBank.load("accurate")
    >>> summation, _ = bank.summation("low_first")
    >>> summation.multiply_adds < bank["low_first"].size
    True
    """

    size: int
    maps: int
    rows: tuple[Row, ...]
    samples: tuple[Sample, ...]
    accumulators: int
    outputs: tuple[tuple[int, int, int], ...]

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds per sample of all outputs together."""
        return sum(len(sample.terms) for sample in self.samples)

    @property
    def additions(self) -> int:
        """Additions per sample: foldings within rows, and joining accumulators; not of rows."""
        folds = sum(sample.fold != 0 for sample in self.samples)
        return folds + sum(sign != 0 for _, _, sign in self.outputs)


def make_summation(
    taps: np.ndarray, folded: bool, fold_rows: bool = True
) -> tuple[Summation, np.ndarray]:
    """Return how to sum correlations with `taps`, and the weights in the order they are used.

    Parameters
    ----------
    taps : ndarray of float, shape (O, I, K, K)
        Filters; complex ones as their real parts, then their imaginary parts.
    folded : bool
        Fold rows and samples, and share products between mirror images. Right for any taps,
        cheaper only for those that have parities.
    fold_rows : bool
        If folded, fold rows too, not columns alone.

    Returns
    -------
    Summation
    ndarray of float64, shape (multiply_adds,)

    Examples
    --------
    A mean of 3 x 3 samples is folded to four products:

    >>> import numpy as np
    >>> from npscatter.program.summation import make_summation
    >>> for folded in (False, True):
    ...     summation, weights = make_summation(np.ones((1, 1, 3, 3)) / 9, folded)
    ...     print(summation.multiply_adds)
    9
    4
    """
    parts = _parities(taps, fold_rows) if folded else _direct(taps)
    sums: list[dict] = []  # per accumulator {(map, a, row fold, b, fold): weight}
    outputs: list[tuple[int, int, int]] = []
    for number, part in enumerate(parts):
        mirrored = next(
            (n for n in range(number) if outputs[n][2] == 0 and _mirror(parts[n], part)), -1
        )
        if folded and mirrored >= 0:
            first = outputs[mirrored][0]
            kept = {key for key in part if part[key] == parts[mirrored][key]}
            sums[first] = {key: part[key] for key in part if key in kept}
            sums.append({key: parts[mirrored][key] for key in part if key not in kept})
            outputs[mirrored] = (first, len(sums) - 1, 1)
            outputs.append((first, len(sums) - 1, -1))
        else:
            sums.append(part)
            outputs.append((len(sums) - 1, 0, 0))
    # Sums and differences of the same samples side by side.
    keys = sorted({key for part in sums for key in part}, key=lambda key: (key[:2], key[3], key))
    rows = sorted({key[:3] for key in keys})
    samples: list[Sample] = []
    weights: list[float] = []
    for key in keys:
        terms = []
        for accumulator, part in enumerate(sums):
            if key in part:
                terms.append((accumulator, len(weights)))
                weights.append(part[key])
        samples.append(Sample(rows.index(key[:3]), key[3], key[4], tuple(terms)))
    summation = Summation(
        size=taps.shape[-1],
        maps=taps.shape[1],
        rows=tuple(Row(*row) for row in rows),
        samples=tuple(samples),
        accumulators=len(sums),
        outputs=tuple(outputs),
    )
    return summation, np.array(weights, dtype=np.float64)


def _direct(taps: np.ndarray) -> list[dict]:
    centre = taps.shape[-1] // 2
    return [
        {
            (i, a - centre, 0, b - centre, 0): value
            for (i, a, b), value in np.ndenumerate(filters)
            if value != 0
        }
        for filters in taps
    ]


def _parities(taps: np.ndarray, fold_rows: bool) -> list[dict]:
    """Return each filter's weight of every folded sample, zeros left out."""
    centre = taps.shape[-1] // 2
    first = centre if fold_rows else 0
    parts = []
    for filters in taps:
        part = {}
        for row_fold in (1, -1) if fold_rows else (0,):
            by_row = (filters + row_fold * np.flip(filters, -2)) / 2 if fold_rows else filters
            for fold in (1, -1):
                weight = (by_row + fold * np.flip(by_row, -1)) / 2
                for (i, a, b), value in np.ndenumerate(weight[..., first:, centre:]):
                    a += first - centre
                    if value != 0:
                        part[i, a, row_fold if a else 0, b, fold if b else 0] = value
        parts.append(part)
    return parts


def _mirror(one: dict, other: dict) -> bool:
    """Say whether the parts agree up to signs, some of them equal and some negated."""
    if one.keys() != other.keys():
        return False
    kept = sum(one[key] == other[key] for key in one)
    negated = sum(one[key] == -other[key] for key in one)
    return kept + negated == len(one) and kept > 0 and negated > 0
