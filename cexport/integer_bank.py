"""A bank in 16-bit integers.

A correlation in Q15 is a 32-bit sum of products of stored numbers q with integer weights ``w_q``,
which stand for ``w_q / 2^E``, E being the exponent of the filter. Moduli have 15 bits, and
pixels and carried maps 14 and a sign, so that two rows of these can be folded within 16. A sum
cannot overflow, because E is the largest with::

    sum |w_q| <= LARGEST_NORM,      LARGEST_NORM * largest |q| + 2^15 < 2^31

Folding adds samples before it multiplies them, but only filters that are even or odd are folded,
and of these no part of the sum of products exceeds what the taps allow. 2^15 is what is added to a
sum before a shift by 16, to round it.

The maps that one step carries on share an exponent but for a fixed difference per carrier
(derivatives are smaller than what they are derivatives of), so one set of integer weights serves
all paths and octaves, as it does in floating point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cexport import rounding
from npscatter.bank import FilterBank
from npscatter.errors import BankError, explain
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.program.summation import make_summation

LARGEST_MODULUS = 2**15 - 1
LARGEST_CARRIED = 2**14 - 1
LARGEST_WEIGHT = 2**15 - 1
LARGEST_SUM = 2**31 - 1
# Filters may be tiny, or zero.
LARGEST_FILTER_EXPONENT = 30
# Of filters and of what maps hold: tables have 8 bits for them.
SMALLEST_EXPONENT = -100
# What rounding may take: its matrices have as many rows as a filter has taps, and it needs the
# spectrum of every pair of carried maps.
LARGEST_FILTER, LARGEST_CARRIERS = 512, 16


def largest_read(bank: FilterBank, key: str) -> int:
    """Return the largest number that an array of a bank is applied to: moduli or carried maps."""
    array = WEIGHT_ARRAYS[key]
    # Moduli are smoothed, as raw maps; by which array from the second octave on, is the bank's.
    generations = {bank.architecture.generation(True, octave) for octave in (0, 1)}
    smooths_moduli = not array.is_complex and array.generation in generations
    return LARGEST_MODULUS if smooths_moduli else LARGEST_CARRIED


def largest_norm(bank: FilterBank, key: str) -> int:
    """Return what the absolute weights of a filter may add up to."""
    return (LARGEST_SUM - 2**15) // largest_read(bank, key)


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


class IntegerBank:
    """A bank's filters in 16-bit integers; see the module's text.

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
        taps = max(filters[0].size for filters in map(bank.real_taps, bank))
        if taps > LARGEST_FILTER or bank.R > LARGEST_CARRIERS:
            rule = f"has filters of {taps} taps and {bank.R} carried maps, and at most "
            rule += f"{LARGEST_FILTER} and {LARGEST_CARRIERS} can be rounded to integers"
            raise BankError(explain("bank", bank.name, rule, "use dtype='float'"))
        gains = [max(signed_sums(taps)) for taps in bank["carry_first"]]
        if not all(gains):
            raise BankError(
                explain("bank", bank.name, "a carrier is zero", "leave it out of the bank")
            )
        self.carrier_exponents = tuple(math.floor(math.log2(gains[0] / gain)) for gain in gains)
        lags = rounding.autocovariances(bank)
        self.filters = {
            key: self._rounded(key, lags[WEIGHT_ARRAYS[key].generation]) for key in bank
        }

    def taps(self, key: str, outputs: tuple[int, ...] | None = None) -> np.ndarray:
        """Return integer filters, in the order of `FilterBank.real_taps`."""
        taps = self.filters[key].taps
        if outputs is None:
            return taps
        parts = np.split(taps, 2) if WEIGHT_ARRAYS[key].is_complex else [taps]
        return np.concatenate([part[list(outputs)] for part in parts])

    def _rounded(self, key: str, lags: np.ndarray) -> IntegerFilters:
        taps = self.bank.real_taps(key)
        parts = 2 if WEIGHT_ARRAYS[key].is_complex else 1
        if WEIGHT_ARRAYS[key].generation == "next":
            # The weights of a map that is stored larger are smaller by as much.
            taps = taps * 2.0 ** -np.array(self.carrier_exponents)[:, None, None]
        summation, weights = make_summation(taps, self.bank.symmetric)
        # All at once, for mirrored filters share their weights. fsum does not depend on the order,
        # so these also have the same norm, to the last bit.
        norms = np.array([math.fsum(np.abs(filters).flat) for filters in taps])
        most = largest_norm(self.bank, key)
        norms = np.maximum(norms.reshape(parts, -1).max(0), most / 2**LARGEST_FILTER_EXPONENT)
        exponents = np.floor(np.log2(most / norms))
        for _ in range(8):
            scale = 2.0 ** np.tile(exponents, parts)
            integers = rounding.rounded(summation, weights, scale, lags)
            too_large = np.abs(integers).sum((1, 2, 3)) > most
            too_large |= np.abs(integers).max((1, 2, 3)) > LARGEST_WEIGHT
            if min(exponents) < SMALLEST_EXPONENT:
                break
            if not too_large.any():
                whole = tuple(int(exponent) for exponent in exponents)
                integers = integers.astype(np.int64)
                integers.setflags(write=False)
                return IntegerFilters(integers, whole)
            exponents -= too_large.reshape(parts, -1).any(0)
        raise BankError(
            explain(
                "bank",
                self.bank.name,
                f"{key} has a filter that 16-bit weights cannot hold",
                "use dtype='float'",
            )
        )


@lru_cache(maxsize=16)
def integer_bank(bank: FilterBank) -> IntegerBank:
    """Return a bank in integers; those asked for last are kept, as rounding takes a second."""
    return IntegerBank(bank)


def signed_sums(taps: np.ndarray) -> tuple[float, float]:
    """Return the sums of the positive taps and of the negative ones' absolute values."""
    return np.maximum(taps, 0).sum(), np.maximum(-taps, 0).sum()
