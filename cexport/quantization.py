"""A bank and a plan in Q15: integer weights, shifts, and the proof that nothing overflows.

Every stored map holds 16-bit numbers q that stand for ``q / 2^e``, e being the map's exponent;
pixels are bytes v and stored as q = 128 v, e = 7. A correlation is a 32-bit sum of products of
such numbers with integer weights ``w_q``, which stand for ``w_q / 2^E``, E being the exponent of
the filter. It cannot overflow, because |q| <= 32767 and E is the largest with::

    sum |w_q| <= 65536,      65536 * 32767 + 2^15 < 2^31

(folding adds samples before it multiplies them, but only filters that are even or odd are folded,
and of these no part of the sum of products exceeds what the taps allow; 2^15 is what is added to a
sum before a shift by 16, to round it, and what is added before a wider shift is checked against
the largest that the sum can be).

Every sum is brought back to 16 bits by a rounded shift, whose width is the smallest for which the
result is proven to fit. What a map can hold (`_Reach`) is followed through the program, starting
from pixels in [0, 255]: a map is a linear function of the last raw map, which is not negative, but
for rounding errors, whose bound is followed too. So with w the filter that leads straight from the
raw map, of largest value h, to the map::

    -h sum max(-w, 0) - error  <=  q  <=  h sum max(w, 0) + error

Where edges are zero there is no such one filter, and the bounds of the maps before are combined
instead. For a modulus, with M directions t::

    |z| <= max over t of h(t) / cos(pi / M),    h(t) the bound on cos t Re z + sin t Im z

Maps that a step carries on together share an exponent but for a fixed difference per carrier
(derivatives are smaller than what they are derivatives of), so one set of integer weights serves
all paths and octaves, as it does in floating point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cexport import rounding
from npscatter.bank import FilterBank
from npscatter.errors import BankError, explain
from npscatter.program.plan import Plan
from npscatter.program.steps import WEIGHT_ARRAYS, Step
from npscatter.program.summation import make_summation

LARGEST_SAMPLE = 2**15 - 1
LARGEST_SUM = 2**31 - 1
LARGEST_NORM = 2**16
# IntegerFilters may be tiny, or zero: their exponent is at most 30.
SMALLEST_NORM = LARGEST_NORM / 2**30
PIXEL_EXPONENT = 7
DIRECTIONS = 64
# Of what a map holds; only maps of next to nothing would have larger ones.
LARGEST_EXPONENT, SMALLEST_EXPONENT = 60, -100
# More than the bounds' own floating-point errors.
MARGIN = 1 + 1e-9


@dataclass(frozen=True)
class IntegerFilters:
    """The integer filters of one weight array.

    Attributes
    ----------
    taps : ndarray of int64, shape (O or 2 O, I, K, K)
        Wavelets as their real parts, then their imaginary parts.
    exponents : tuple of int
        E of each of the O outputs.
    """

    taps: np.ndarray
    exponents: tuple[int, ...]

    @property
    def norms(self) -> tuple[int, ...]:
        """The sum of the taps' absolute values, of each of the O (or 2 O) filters."""
        return tuple(int(norm) for norm in np.abs(self.taps).sum((1, 2, 3)))


@dataclass(frozen=True)
class Shifts:
    """The rounded shifts of one step, and what they are proven to leave.

    Attributes
    ----------
    modulus : tuple of int
        Of the real and imaginary parts, one per group and orientation.
    smoothing : tuple of int
        Of the smoothing, one per group (and orientation) and output map.
    largest_modulus, largest_smoothed : int
        The largest number that can be stored, of all groups.
    largest_rounded : int
        The largest sum with what is added to it to round it.
    """

    modulus: tuple[int, ...] = ()
    smoothing: tuple[int, ...] = ()
    largest_modulus: int = 0
    largest_smoothed: int = 0
    largest_rounded: int = 0

    def by_group(self, groups: int) -> list[int]:
        """Return the shifts of every group in turn, those of its moduli first."""
        parts = [(self.modulus, len(self.modulus) // groups)]
        parts += [(self.smoothing, len(self.smoothing) // groups)]
        return [
            shift
            for group in range(groups)
            for shifts, count in parts
            for shift in shifts[group * count : (group + 1) * count]
        ]


@dataclass(frozen=True)
class _Reach:
    """What a map can hold.

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

    @classmethod
    def of_raw(cls, exponent: int, high: int) -> _Reach:
        return cls(exponent, 0, high, high, np.ones((1, 1)), 1, 0.0)


class IntegerBank:
    """A bank's filters in 16-bit integers.

    Parameters
    ----------
    bank : FilterBank
        The weights.

    Attributes
    ----------
    bank : FilterBank
        The same.
    filters : dict of str to IntegerFilters
        The bank's arrays.
    carrier_exponents : tuple of int
        How much larger each carried map's exponent is than the first's.

    Raises
    ------
    BankError
        If some filter cannot be written in 16-bit numbers.
    """

    def __init__(self, bank: FilterBank):
        self.bank = bank
        gains = [max(_halves(taps)) for taps in bank["carry_first"]]
        if not all(gains):
            raise BankError(
                explain("bank", bank.name, "a carrier is zero", "leave it out of the bank")
            )
        self.carrier_exponents = tuple(math.floor(math.log2(gains[0] / gain)) for gain in gains)
        lags = rounding.autocovariances(bank)
        self.filters = {
            key: self._filters(key, lags[WEIGHT_ARRAYS[key].generation]) for key in bank
        }

    def taps(self, key: str, outputs: tuple[int, ...] | None = None) -> np.ndarray:
        """Return integer filters, in the order of `FilterBank.real_taps`."""
        taps = self.filters[key].taps
        if outputs is None:
            return taps
        parts = np.split(taps, 2) if WEIGHT_ARRAYS[key].is_complex else [taps]
        return np.concatenate([part[list(outputs)] for part in parts])

    def _filters(self, key: str, lags: np.ndarray) -> IntegerFilters:
        taps = self.bank.real_taps(key)
        parts = 2 if WEIGHT_ARRAYS[key].is_complex else 1
        if WEIGHT_ARRAYS[key].generation == "next":
            # The weights of a map that is stored larger are smaller by as much.
            taps = taps * 2.0 ** -np.array(self.carrier_exponents)[:, None, None]
        order, weights = make_summation(taps, self.bank.symmetric)
        # All at once, for mirrored filters share their weights. fsum does not depend on the order,
        # so these also have the same norm, to the last bit.
        norms = np.array([math.fsum(np.abs(filters).flat) for filters in taps])
        norms = np.maximum(norms.reshape(parts, -1).max(0), SMALLEST_NORM)
        exponents = np.floor(np.log2(LARGEST_NORM / norms))
        for _ in range(8):
            scale = 2.0 ** np.tile(exponents, parts)
            integers = rounding.rounded(order, weights, scale, lags)
            too_large = np.abs(integers).sum((1, 2, 3)) > LARGEST_NORM
            too_large |= np.abs(integers).max((1, 2, 3)) > LARGEST_SAMPLE
            if not too_large.any():
                whole = tuple(int(exponent) for exponent in exponents)
                return IntegerFilters(integers.astype(np.int64), whole)
            exponents -= too_large.reshape(parts, -1).any(0)
        raise BankError(
            explain(
                "bank",
                self.bank.name,
                f"{key} has a filter that 16-bit weights cannot hold",
                "use dtype='float'",
            )
        )


class Quantization:
    """Integer weights and shifts of a plan's program; see the module's text.

    Parameters
    ----------
    plan : Plan
        Made for the bank's architecture.
    integers : IntegerBank
        The weights.

    Attributes
    ----------
    plan, integers
        The same.
    shifts : tuple of Shifts
        One per step of the plan.
    exponents : tuple of int
        Channel c of the output holds numbers q that stand for ``q / 2^exponents[c]``.
    """

    def __init__(self, plan: Plan, integers: IntegerBank):
        self.plan, self.integers = plan, integers
        self._output_exponents = [0] * plan.n_coefficients
        pixels = _Reach.of_raw(PIXEL_EXPONENT, 255 << PIXEL_EXPONENT)
        self._reached = {(plan.image.buffer, plan.image.first): pixels}
        self.shifts = tuple(self._follow(step) for step in plan.steps)
        self.exponents = tuple(self._output_exponents)

    def _follow(self, step: Step) -> Shifts:
        """Choose the shifts of one step, and note what its target can hold."""
        count = step.maps_per_group
        first = step.source.first
        groups = [
            [self._reached[step.source.buffer, first + count * group + i] for i in range(count)]
            for group in range(step.groups)
        ]
        moduli: list[tuple[int, _Reach, int]] = []
        if step.wavelets:
            moduli = [self._modulus(step, maps, o) for maps in groups for o in step.orientations]
            groups = [[reach] for _, reach, _ in moduli]
        smoothed = [self._smoothed(step, maps) for maps in groups]
        for index, (_, reaches, _) in enumerate(smoothed):
            if step.emits:
                self._output_exponents[step.channels[index]] = reaches[0].exponent
                continue
            for number, reach in enumerate(reaches, step.target.first + len(reaches) * index):
                self._reached[step.target.buffer, number] = reach
        ends = [max(-r.low, r.high) for _, reaches, _ in smoothed for r in reaches]
        return Shifts(
            tuple(shift for shift, _, _ in moduli),
            tuple(shift for shifts, _, _ in smoothed for shift in shifts),
            max((reach.high for _, reach, _ in moduli), default=0),
            max(ends),
            max(largest for _, _, largest in (*moduli, *smoothed)),
        )

    def _modulus(self, step: Step, maps: list[_Reach], orientation: int) -> tuple[int, _Reach, int]:
        """Return the shift of a modulus, what it can hold, and the largest rounded part."""
        filters = self.integers.filters[step.wavelets]
        real, imaginary = np.split(filters.taps, 2)
        bound = self._modulus_bound(real[orientation], imaginary[orientation], maps)

        def largest(shift: int) -> int:
            # Rounding the parts at one bit more, the root, and the halved root.
            return math.floor(bound / 2**shift + (math.sqrt(0.5) + 0.5) / 2 + 0.5)

        exponent = maps[0].exponent + filters.exponents[orientation]
        shift = max(2, exponent - LARGEST_EXPONENT)
        while largest(shift) > LARGEST_SAMPLE:
            shift += 1
        norm = max(filters.norms[orientation :: len(filters.exponents)])
        rounded = norm * LARGEST_SAMPLE + 2 ** (shift - 2)
        self._check(step.wavelets, rounded, exponent - shift)
        return shift, _Reach.of_raw(exponent - shift, largest(shift)), rounded

    def _check(self, key: str, rounded: int, exponent: int) -> None:
        if rounded > LARGEST_SUM or exponent < SMALLEST_EXPONENT:
            raise BankError(
                explain(
                    "bank",
                    self.integers.bank.name,
                    f"the sums of {key} cannot be rounded to 16 bits within 32",
                    "use dtype='float'",
                )
            )

    def _smoothed(self, step: Step, maps: list[_Reach]) -> tuple[list[int], list[_Reach], int]:
        """Return the shifts of a smoothing's outputs, what they can hold, and the largest sum."""
        filters = self.integers.filters[step.smoothing]
        sums = [self._sum(taps, maps, step.stride) for taps in filters.taps]
        extra = (0,) if step.emits else self.integers.carrier_exponents
        # Of the outputs' common exponent e: shift_o = exponents[o] - e.
        exponents = [
            maps[0].exponent + E - more for E, more in zip(filters.exponents, extra, strict=True)
        ]
        e = min(min(exponents) - 1, LARGEST_EXPONENT)
        while True:
            shifts = [exponent - e for exponent in exponents]
            reaches = [
                _shifted(reach, shift, e + more)
                for reach, shift, more in zip(sums, shifts, extra, strict=True)
            ]
            if all(-LARGEST_SAMPLE <= r.low and r.high <= LARGEST_SAMPLE for r in reaches):
                break
            e -= 1
        largest = max(
            max(-reach.low, reach.high) + 2 ** (shift - 1)
            for reach, shift in zip(sums, shifts, strict=True)
        )
        self._check(step.smoothing, largest, e)
        return shifts, reaches, largest

    def _sum(self, taps: np.ndarray, maps: list[_Reach], stride: int) -> _Reach:
        """Return what a correlation's sum can hold."""
        low = high = 0
        for filters, reach in zip(taps, maps, strict=True):
            positive, negative = (int(part) for part in _halves(filters))
            high += positive * reach.high - negative * reach.low
            low += positive * reach.low - negative * reach.high
        effective, error = _effective(taps, maps), _error(taps, maps)
        if self.plan.edge == "wrap":
            positive, negative = (
                maps[0].raw * part * MARGIN + error for part in _halves(effective)
            )
            high, low = min(high, math.ceil(positive)), max(low, math.floor(-negative))
        return _Reach(0, low, high, maps[0].raw, effective, maps[0].spacing * stride, error)

    def _modulus_bound(self, real, imaginary, maps) -> float:
        low = np.array([reach.low for reach in maps])[:, None, None]
        high = np.array([reach.high for reach in maps])[:, None, None]
        bound = _support(real, imaginary, low, high)
        if self.plan.edge == "wrap":
            parts = [_effective(taps, maps) for taps in (real, imaginary)]
            error = math.hypot(*(_error(taps, maps) for taps in (real, imaginary)))
            bound = min(bound, _support(*parts, 0, maps[0].raw) + error)
        return bound * MARGIN


def _halves(taps: np.ndarray) -> tuple[float, float]:
    """Return the sums of the positive taps and of the negative ones' absolute values."""
    return np.maximum(taps, 0).sum(), np.maximum(-taps, 0).sum()


def _effective(taps: np.ndarray, maps: list[_Reach]) -> np.ndarray:
    """Return the filter that leads from the raw map to a correlation's sum."""
    K, spacing = taps.shape[-1], maps[0].spacing
    size = len(maps[0].effective)
    result = np.zeros([(K - 1) * spacing + size] * 2)
    for filters, reach in zip(taps, maps, strict=True):
        for (a, b), weight in np.ndenumerate(filters):
            rows = slice(a * spacing, a * spacing + size)
            result[rows, b * spacing : b * spacing + size] += weight * reach.effective
    return result


def _error(taps: np.ndarray, maps: list[_Reach]) -> float:
    return sum(
        np.abs(filters).sum() * reach.error for filters, reach in zip(taps, maps, strict=True)
    )


def _shifted(reach: _Reach, shift: int, exponent: int) -> _Reach:
    """Return what is left of a sum's reach after a rounded shift."""
    half = 1 << (shift - 1)
    return _Reach(
        exponent,
        (reach.low + half) >> shift,
        (reach.high + half) >> shift,
        reach.raw,
        reach.effective / 2**shift,
        reach.spacing,
        reach.error / 2**shift + 0.5,
    )


def _support(real, imaginary, low, high) -> float:
    """Return a bound on |sum of (real + i imaginary) q| for all q within [low, high]."""
    angle = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    low, high = (np.broadcast_to(bound, real.shape).ravel() for bound in (low, high))
    taps = np.outer(np.cos(angle), real.ravel()) + np.outer(np.sin(angle), imaginary.ravel())
    return np.maximum(taps * low, taps * high).sum(1).max() / math.cos(math.pi / DIRECTIONS)
