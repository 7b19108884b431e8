"""A plan in Q15: the rounded shifts that bring every sum back to 16 bits.

Every stored map holds 16-bit numbers q that stand for ``q / 2^e``, e being the map's exponent;
pixels are bytes v and stored as q = 64 v, e = 6. Sums have 32 bits and are proven to fit
(`cexport.integer_bank`). Every sum is brought back to 16 bits by a rounded shift, whose width is
the smallest for which the result is proven to fit (`cexport.ranges`). What is added to a sum before
a shift wider than 16, to round it, is checked against the largest that the sum can be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cexport.integer_bank import (
    LARGEST_CARRIED,
    LARGEST_MODULUS,
    LARGEST_SUM,
    SMALLEST_EXPONENT,
    IntegerBank,
    largest_read,
)
from cexport.ranges import Range, modulus_bound, sum_range
from npscatter.errors import BankError, explain
from npscatter.program.plan import Plan
from npscatter.program.steps import Step

PIXEL_EXPONENT = 6
LARGEST_COEFFICIENT = 2**15 - 1
# Of what a map holds; only maps of next to nothing would have larger ones.
LARGEST_EXPONENT = 60


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


class _Choice(NamedTuple):
    """Shifts of one modulus or one smoothing, what they leave, and the largest rounded sum."""

    shifts: list[int]
    outputs: list[Range]
    largest_rounded: int


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
        pixels = Range.of_raw(PIXEL_EXPONENT, 255 << PIXEL_EXPONENT)
        self._ranges = {(plan.image.buffer, plan.image.first): pixels}
        self.shifts = tuple(self._choose_shifts(step) for step in plan.steps)
        self.exponents = tuple(self._output_exponents)

    def _choose_shifts(self, step: Step) -> Shifts:
        """Choose the shifts of one step, and note what its target can hold."""
        count = step.maps_per_group
        first = step.source.first
        groups = [
            [self._ranges[step.source.buffer, first + count * group + i] for i in range(count)]
            for group in range(step.groups)
        ]
        moduli: list[_Choice] = []
        if step.wavelets:
            moduli = [self._modulus(step, maps, o) for maps in groups for o in step.orientations]
            groups = [choice.outputs for choice in moduli]
        smoothings = [self._smoothing(step, maps) for maps in groups]
        for index, (_, outputs, _) in enumerate(smoothings):
            if step.target is None:
                self._output_exponents[step.channels[index]] = outputs[0].exponent
                continue
            for number, held in enumerate(outputs, step.target.first + len(outputs) * index):
                self._ranges[step.target.buffer, number] = held
        return Shifts(
            tuple(shift for choice in moduli for shift in choice.shifts),
            tuple(shift for choice in smoothings for shift in choice.shifts),
            max((held.largest for choice in moduli for held in choice.outputs), default=0),
            max(held.largest for choice in smoothings for held in choice.outputs),
            max(choice.largest_rounded for choice in (*moduli, *smoothings)),
        )

    def _modulus(self, step: Step, maps: list[Range], orientation: int) -> _Choice:
        filters = self.integers.filters[step.wavelets]
        real, imaginary = np.split(filters.taps, 2)
        bound = modulus_bound(real[orientation], imaginary[orientation], maps, self.plan.edge)

        def largest(shift: int) -> int:
            # Rounding the parts at one bit more, the root, and the halved root.
            return math.floor(bound / 2**shift + (math.sqrt(0.5) + 0.5) / 2 + 0.5)

        exponent = maps[0].exponent + filters.exponents[orientation]
        shift = max(2, exponent - LARGEST_EXPONENT)
        while largest(shift) > LARGEST_MODULUS:
            shift += 1
        norm = max(filters.norms[orientation :: len(filters.exponents)])
        rounded = norm * largest_read(self.integers.bank, step.wavelets) + 2 ** (shift - 2)
        self._check(step.wavelets, rounded, exponent - shift)
        return _Choice([shift], [Range.of_raw(exponent - shift, largest(shift))], rounded)

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

    def _smoothing(self, step: Step, maps: list[Range]) -> _Choice:
        filters = self.integers.filters[step.smoothing]
        sums = [sum_range(taps, maps, step.stride, self.plan.edge) for taps in filters.taps]
        extra = (0,) if step.emits else self.integers.carrier_exponents
        # Of the outputs' common exponent e: shift_o = exponents[o] - e.
        exponents = [
            maps[0].exponent + E - more for E, more in zip(filters.exponents, extra, strict=True)
        ]
        e = min(min(exponents) - 1, LARGEST_EXPONENT)
        most = LARGEST_COEFFICIENT if step.emits else LARGEST_CARRIED
        while True:
            shifts = [exponent - e for exponent in exponents]
            outputs = [
                held.shifted(shift, e + more)
                for held, shift, more in zip(sums, shifts, extra, strict=True)
            ]
            if max(held.largest for held in outputs) <= most:
                break
            e -= 1
        largest = max(
            held.largest + 2 ** (shift - 1) for held, shift in zip(sums, shifts, strict=True)
        )
        self._check(step.smoothing, largest, e)
        return _Choice(shifts, outputs, largest)
