"""What a map of a Q15 program can hold, proven for all images of bytes.

It is followed through the program, starting from pixels in [0, 255]: a map is a linear function of
the last raw map, which is not negative, but for rounding errors, whose bound is followed too. So
with w the filter that leads straight from the raw map, of largest value h, to the map::

    -h sum max(-w, 0) - error  <=  q  <=  h sum max(w, 0) + error

Where edges are zero there is no such one filter, and the bounds of the maps before are combined
instead. For a modulus, with M directions t::

    |z| <= max over t of h(t) / cos(pi / M),    h(t) the bound on cos t Re z + sin t Im z
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cexport.integer_bank import signed_sums

DIRECTIONS = 64
# More than the bounds' own floating-point errors.
MARGIN = 1 + 1e-9


@dataclass(frozen=True)
class Range:
    """What a map, or the sum of a correlation, can hold.

    Attributes
    ----------
    exponent : int
        A number q stands for ``q / 2^exponent``.
    low, high : int
        Bounds of q, ``low <= 0 <= high``.
    raw : int
        The largest number in the raw map it comes from.
    effective : ndarray, shape (n, n)
        The filter that leads from the raw map to q, but for errors of rounding.
    spacing : int
        Samples of the raw map between two of this.
    error : float
        Bound of the errors of rounding.
    """

    exponent: int
    low: int
    high: int
    raw: int
    effective: np.ndarray
    spacing: int
    error: float

    @property
    def largest(self) -> int:
        """Bound of |q|."""
        return max(-self.low, self.high)

    @classmethod
    def of_raw(cls, exponent: int, high: int) -> Range:
        """Return the range of a raw map, which holds 0 to `high`."""
        return cls(exponent, 0, high, high, np.ones((1, 1)), 1, 0.0)

    def shifted(self, shift: int, exponent: int) -> Range:
        """Return what is left of a sum after a rounded shift, and has a new exponent."""
        half = 1 << (shift - 1)
        return Range(
            exponent,
            (self.low + half) >> shift,
            (self.high + half) >> shift,
            self.raw,
            self.effective / 2**shift,
            self.spacing,
            self.error / 2**shift + 0.5,
        )


def sum_range(taps: np.ndarray, maps: list[Range], stride: int, edge: str) -> Range:
    """Return what the sum of a correlation can hold.

    Parameters
    ----------
    taps : ndarray of int, shape (I, K, K)
        One filter.
    maps : list of Range
        What its I inputs can hold.
    stride : int
        Of the correlation.
    edge : str
        "wrap" or "zero".
    """
    low = high = 0
    for kernel, held in zip(taps, maps, strict=True):
        positive, negative = (int(part) for part in signed_sums(kernel))
        high += positive * held.high - negative * held.low
        low += positive * held.low - negative * held.high
    effective, error = _effective(taps, maps), _error(taps, maps)
    if edge == "wrap":
        above, below = (maps[0].raw * part * MARGIN + error for part in signed_sums(effective))
        high, low = min(high, math.ceil(above)), max(low, math.floor(-below))
    return Range(0, low, high, maps[0].raw, effective, maps[0].spacing * stride, error)


def modulus_bound(real: np.ndarray, imaginary: np.ndarray, maps: list[Range], edge: str) -> float:
    """Return a bound on the modulus of a wavelet's sums; the parameters are as for `sum_range`."""
    low = np.array([held.low for held in maps])[:, None, None]
    high = np.array([held.high for held in maps])[:, None, None]
    bound = _bound_by_directions(real, imaginary, low, high)
    if edge == "wrap":
        error = math.hypot(_error(real, maps), _error(imaginary, maps))
        effective = _effective(real, maps), _effective(imaginary, maps)
        bound = min(bound, _bound_by_directions(*effective, 0, maps[0].raw) + error)
    return bound * MARGIN


def _effective(taps: np.ndarray, maps: list[Range]) -> np.ndarray:
    """Return the filter that leads from the raw map to a correlation's sum."""
    K, spacing = taps.shape[-1], maps[0].spacing
    size = len(maps[0].effective)
    result = np.zeros([(K - 1) * spacing + size] * 2)
    for kernel, held in zip(taps, maps, strict=True):
        for (a, b), weight in np.ndenumerate(kernel):
            rows = slice(a * spacing, a * spacing + size)
            result[rows, b * spacing : b * spacing + size] += weight * held.effective
    return result


def _error(taps: np.ndarray, maps: list[Range]) -> float:
    return sum(np.abs(kernel).sum() * held.error for kernel, held in zip(taps, maps, strict=True))


def _bound_by_directions(
    real: np.ndarray, imaginary: np.ndarray, low: np.ndarray | int, high: np.ndarray | int
) -> float:
    """Return a bound on |sum of (real + i imaginary) q| for all q within [low, high]."""
    angle = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    low, high = (np.broadcast_to(bound, real.shape).ravel() for bound in (low, high))
    taps = np.outer(np.cos(angle), real.ravel()) + np.outer(np.sin(angle), imaginary.ravel())
    return np.maximum(taps * low, taps * high).sum(1).max() / math.cos(math.pi / DIRECTIONS)
