"""A symmetric bank as a sum of folded taps: the elements that a selection keeps or drops.

`npscatter.program.summation` multiplies folded samples, x(a, b) +- x(-a, b), +- x(a, -b), +- ...;
what costs a multiply-add is a folded tap, and the square's symmetries tie some of them together. An
*element* is one such orbit: of (array, output, input map, parities, |a|, |b|). The weight arrays are
linear in the elements' coefficients; what a bank must satisfy (wavelets sum to zero, low-passes to
one) fixes one coefficient each, and the arbitrary scales of the carried derivatives one more each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from npscatter.bank import FilterBank
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.program.symmetry import act, orientation_action


@dataclass(frozen=True)
class Element:
    """One orbit of folded taps under the square's symmetries.

    Attributes
    ----------
    array : str
        The weight array.
    label : tuple of int
        Its first member: the output's index (of a wavelet with 0 or 1, for its real or imaginary
        part, in front), the input map, the parity of the rows and of the columns (0 even, 1 odd),
        |a| and |b|.
    places : ndarray of int
        Where its taps lie in the flattened array.
    taps : ndarray of float
        The taps for a coefficient of 1.
    multiplies : int
        Products per output sample that it costs.
    folded : tuple
        The folded samples it needs: (input map, parities, |a|, |b|).
    """

    array: str
    label: tuple[int, ...]
    places: np.ndarray
    taps: np.ndarray
    multiplies: int
    folded: tuple[tuple[int, ...], ...]


@lru_cache(maxsize=64)
def elements(array: str, L: int, R: int, K: int) -> tuple[Element, ...]:
    """Return all elements of a weight array of K x K taps, by their labels."""
    shape = WEIGHT_ARRAYS[array].real_shape(L, R, K)
    role, half = WEIGHT_ARRAYS[array].role, K // 2
    seen, found = np.zeros(_folded_shape(shape), bool), []
    for label in np.ndindex(*seen.shape):
        *lead, p, q, a, b = label
        if seen[label] or (p and not a) or (q and not b):
            continue
        taps = np.zeros(shape)
        for row in {half + a, half - a}:
            for column in {half + b, half - b}:
                odd = (p and row < half) != (q and column < half)
                taps[(*lead, row, column)] = -1.0 if odd else 1.0
        orbit = _orbit_sum(taps, role)
        parts = _parities(orbit)
        seen |= parts != 0
        seen[label] = True
        if not orbit.any():
            continue
        orbit /= parts[label]
        places = np.flatnonzero(orbit)
        used = np.argwhere(parts != 0)
        if role == "psi":
            # A mirrored pair shares its products.
            mirror, _ = orientation_action("flip", L)
            used = used[used[:, 1] <= mirror[used[:, 1]]]
        folded = tuple(sorted({tuple(map(int, place[-5:])) for place in used}))
        found.append(Element(array, label, places, orbit.reshape(-1)[places], len(used), folded))
    return tuple(found)


def _folded_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:-2], 2, 2, shape[-1] // 2 + 1, shape[-1] // 2 + 1)


def _orbit_sum(taps: np.ndarray, role: str) -> np.ndarray:
    """Return the sum over all eight symmetries of the square."""
    total = np.zeros_like(taps)
    for mirrored in (taps, act("flip", taps, role)):
        for _ in range(4):
            total += mirrored
            mirrored = act("flip", act("transpose", mirrored, role), role)
    return total


def _parities(taps: np.ndarray) -> np.ndarray:
    """Return the weight of every folded sample, shape (..., row parity, column parity, |a|, |b|)."""
    half = taps.shape[-1] // 2
    parts = np.empty(_folded_shape(taps.shape))
    for p in (0, 1):
        rows = taps + (1 - 2 * p) * np.flip(taps, -2)
        for q in (0, 1):
            both = rows + (1 - 2 * q) * np.flip(rows, -1)
            parts[..., p, q, :, :] = both[..., half:, half:] / 4
    return parts


class FoldedBank:
    """The elements that are kept of a design, and the affine map from free numbers to taps.

    Parameters
    ----------
    L, R : int
        Orientations and carried maps (R in 1, 3, 4).
    kernels : dict
        Kernel size of every weight array.
    kept : list of Element, optional
        All by default.
    options : dict, optional
        Of `npscatter.FilterBank`: ``psi_stride``, ``next_from``, ``boundary``.

    Attributes
    ----------
    kept : list of Element
    constraints, bounds : ndarray, shapes (C, E) and (C,)
        ``constraints @ coefficients == bounds``.
    """

    def __init__(self, L, R, kernels, kept=None, options=None):
        self.L, self.R, self.kernels, self.options = L, R, dict(kernels), dict(options or {})
        if kept is None:
            kept = [e for key in WEIGHT_ARRAYS for e in elements(key, L, R, kernels[key])]
        self.kept = list(kept)
        self.arrays = np.array([element.array for element in self.kept])
        self.constraints, self.bounds = self._constraints()

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of a weight array, real and imaginary part stacked in front."""
        return WEIGHT_ARRAYS[key].real_shape(self.L, self.R, self.kernels[key])

    def of_array(self, key: str) -> np.ndarray:
        """Return the numbers of the elements of one array."""
        return np.flatnonzero(self.arrays == key)

    def dense(self, key: str, coefficients: np.ndarray) -> np.ndarray:
        """Return a weight array."""
        taps = np.zeros(int(np.prod(self.shape(key))))
        for number in self.of_array(key):
            element = self.kept[number]
            taps[element.places] += coefficients[number] * element.taps
        return taps.reshape(self.shape(key))

    def coefficients(self, weights: dict[str, np.ndarray]) -> np.ndarray:
        """Return the coefficients of given weight arrays; what is not kept of them is lost."""
        parts = {key: _parities(taps) for key, taps in weights.items()}
        return np.array([parts[element.array][element.label] for element in self.kept])

    def _constraints(self) -> tuple[np.ndarray, np.ndarray]:
        rows, bounds = {}, {}
        for number, element in enumerate(self.kept):
            *lead, _, p, q, a, b = element.label
            inputs = element.label[-5]
            even = not p and not q
            bound = 0.0 if element.array.startswith("psi") else 1.0
            if not even or inputs or (element.array.startswith("carry") and lead[0]):
                continue
            # The sum over taps of the output that the label names.
            taps = np.zeros(self.shape(element.array))
            taps.reshape(-1)[element.places] = element.taps
            total = taps[(*lead, inputs)].sum()
            key = element.array, *lead
            rows.setdefault(key, np.zeros(len(self.kept)))[number] = total
            bounds[key] = bound
        return np.array(list(rows.values())), np.array(list(bounds.values()))

    def bank(self, name: str, coefficients: np.ndarray) -> FilterBank:
        """Return a bank of these taps."""
        taps = {key: self.dense(key, coefficients) for key in WEIGHT_ARRAYS}
        for key, array in WEIGHT_ARRAYS.items():
            if array.is_complex:
                taps[key] = taps[key][0] + 1j * taps[key][1]
        return FilterBank(name, **taps, **self.options)
