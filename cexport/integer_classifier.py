"""A linear classifier of Q15 coefficients, in integers; what its scores can be at most.

A score is computed map by map, as coefficients are handed over. Map c, whose numbers q stand for
``q / 2^e_c``, adds::

    round(sum over its samples of w q / 2^r_c)

w being 16-bit integers near ``weight 2^(s + r_c - e_c)``, and 2^-s what a score of 1 stands for.
The sum has 32 bits. It cannot overflow, whatever 16-bit numbers come, because r_c is the largest,
of 1 to 16, with::

    sum |w| <= 65534,      65534 * 32768 + 2^15 < 2^31

for every score. Halves are rounded upwards; weights and offsets to the nearest, halves to even. The
offset counts whole units of 2^-s; s is the largest for which no score can overflow 32 bits, nor any
part of it, in whatever order the maps come.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cexport.classifier import WHITE, LinearClassifier
from cexport.integer_bank import LARGEST_SUM
from cexport.quantization import Quantization
from npscatter.errors import ArgumentError, explain

# Of the 16-bit numbers that coefficients are, whatever else is proven of them.
LARGEST_COEFFICIENT = 2**15
LARGEST_WEIGHT = 2**15 - 1
LARGEST_SHIFT = 16
LARGEST_NORM = (LARGEST_SUM - 2 ** (LARGEST_SHIFT - 1)) // LARGEST_COEFFICIENT
# Of s, either way: 2^-s is a float.
LARGEST_EXPONENT = 126
# Numbers that no exponent brings down to integers, and whose sums might overflow.
ABSURD = 2.0**500


@dataclass(frozen=True)
class IntegerClassifier:
    """A linear classifier in integers; see the module's text.

    Attributes
    ----------
    weights : ndarray of int64, shape (C, scores, samples of a map)
        w.
    shifts : ndarray of int64, shape (C,)
        r.
    offsets : ndarray of int64, shape (scores,)
        What the scores begin with.
    exponent : int
        s: score q stands for ``q / 2^s``.
    signal_to_noise : float
        Of the weights to what rounding adds to them, in dB.
    """

    weights: np.ndarray
    shifts: np.ndarray
    offsets: np.ndarray
    exponent: int
    signal_to_noise: float

    @classmethod
    def of(cls, classifier: LinearClassifier, quantization: Quantization) -> IntegerClassifier:
        """Return a classifier in integers.

        Raises
        ------
        ArgumentError
            If its numbers are so large that a score of 1 would stand for no float.
        """
        exponents = np.array(quantization.exponents)
        maps = classifier.coef.reshape(len(classifier.coef), len(exponents), -1).swapaxes(0, 1)
        # Of q, and not of what q stands for.
        with np.errstate(over="ignore"):
            weights = np.ldexp(maps * (classifier.white / WHITE), -exponents[:, None, None])
        largest = max(np.abs(weights).max(), np.abs(classifier.intercept).max())
        found = _in_integers(weights, classifier.intercept) if largest < ABSURD else None
        if found is None:
            rule = "has weights or offsets that no 16-bit integers with an exponent can stand for"
            shown = f"numbers up to {largest:.3g}"
            raise ArgumentError(explain("classifier", shown, rule, "use dtype='float'"))
        return found

    @property
    def largest_norm(self) -> int:
        """The largest sum of |w| over a map."""
        return int(_norms(self.weights).max())

    @property
    def largest_score(self) -> int:
        """Bound of the magnitude of a score, and of every part of it."""
        return _largest_score(self.weights, self.shifts, self.offsets)

    def scores(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the scores of coefficients, as the generated C computes them.

        Parameters
        ----------
        coefficients : ndarray of int16, shape (..., C, h, w)
            As `cexport.simulate_q15` returns them.

        Returns
        -------
        ndarray of int32, shape (..., scores)
        """
        maps = coefficients.reshape(*coefficients.shape[:-2], -1).astype(np.int64)
        sums = np.einsum("...cp,ckp->...ck", maps, self.weights)
        added = _rounded_shift(sums, self.shifts[:, None]).sum(-2)
        return (added + self.offsets).astype(np.int32)

    @staticmethod
    def numbers(scores: np.ndarray) -> np.ndarray:
        """Return the numbers of the classes that scores (..., scores) mean."""
        if scores.shape[-1] == 1:
            return (scores[..., 0] > 0).astype(np.int64)
        return scores.argmax(-1)


def _in_integers(weights: np.ndarray, intercept: np.ndarray) -> IntegerClassifier | None:
    """Return the finest integers of weights (C, scores, samples) of q and of offsets."""
    finest = _finest(weights)
    for s in range(min(int(finest.min()) - 1, LARGEST_EXPONENT), -LARGEST_EXPONENT - 1, -1):
        shifts = np.clip(finest - s, 1, LARGEST_SHIFT)
        integers = _rounded(weights, s + shifts)
        offsets = np.rint(np.ldexp(intercept, s))
        # Of many tiny weights, rounding may have made more.
        fits = _norms(integers).max() <= LARGEST_NORM
        if fits and _largest_score(integers, shifts, offsets) <= LARGEST_SUM:
            ratio = _signal_to_noise(weights, np.ldexp(integers, -(s + shifts)[:, None, None]))
            whole = integers.astype(np.int64), shifts, offsets.astype(np.int64)
            return IntegerClassifier(*whole, exponent=s, signal_to_noise=ratio)
    return None


def _rounded(weights: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    return np.rint(np.ldexp(weights, exponents[:, None, None]))


def _signal_to_noise(exact: np.ndarray, kept: np.ndarray) -> float:
    # Relative to the largest, as squares of tiny numbers are zero.
    largest = np.abs(exact).max() or 1.0
    noise, signal = np.square((kept - exact) / largest).sum(), np.square(exact / largest).sum()
    return float(10 * np.log10(signal / noise)) if noise else np.inf


def _norms(integers: np.ndarray) -> np.ndarray:
    """Return the sums of |w|, (C, scores)."""
    return np.abs(integers).sum(-1)


def _finest(weights: np.ndarray) -> np.ndarray:
    """Return the largest exponent of every map with which its weights fit; see the module."""
    norms = _norms(weights).max(-1)
    smallest = np.ldexp(1.0, -2 * LARGEST_EXPONENT)
    # One too many at first: which fits is decided by whole numbers, which no order of adding moves.
    exponents = np.floor(np.log2(LARGEST_NORM / np.maximum(norms, smallest))).astype(np.int64) + 1
    while True:
        integers = _rounded(weights, exponents)
        excess = _norms(integers).max(-1) > LARGEST_NORM
        excess |= np.abs(integers).max((1, 2)) > LARGEST_WEIGHT
        if not excess.any():
            return exponents
        exponents = exponents - excess


def _largest_score(integers: np.ndarray, shifts: np.ndarray, offsets: np.ndarray) -> int:
    sums = _norms(integers) * LARGEST_COEFFICIENT
    added = _rounded_shift(sums.astype(np.int64), shifts[:, None].astype(np.int64)).sum(0)
    return int((added + np.abs(offsets)).max())


def _rounded_shift(values: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Return round(values / 2^shifts) of integers, halves upwards."""
    return (values + (1 << (shifts - 1))) >> shifts
