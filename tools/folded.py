"""A symmetric bank as a sum of folded taps: the elements that a selection keeps or drops.

`npscatter.program.summation` multiplies folded samples, x(a, b) +- x(-a, b), +- x(a, -b), +- ...;
what costs a multiply-add is a folded tap, and the square's symmetries tie some of them together. An
*element* is one such orbit: of (array, output, input map, parities, |a|, |b|). The weight arrays
are linear in the elements' coefficients; what a bank must satisfy (wavelets sum to zero, low-passes
to one) fixes one coefficient each, and the arbitrary scales of the carried derivatives one more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from npscatter.bank import FilterBank
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.program.symmetry import act, angle, orientation_action


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
    moves = _moves(shape, role)
    mirror, _ = orientation_action("flip", L)
    seen, found = np.zeros(_folded_shape(shape), bool), []
    for label in np.ndindex(*seen.shape):
        *lead, p, q, a, b = label
        if seen[label] or (p and not a) or (q and not b):
            continue
        # What a folded sample is made of, and the sum of its images under all symmetries.
        taps = [
            (
                np.ravel_multi_index((*lead, half + y, half + x), shape),
                (-1) ** (p * (y < 0) + q * (x < 0)),
            )
            for y in {a, -a}
            for x in {b, -b}
        ]
        orbit: dict[int, float] = {}
        for to, sign in moves:
            for place, value in taps:
                orbit[to[place]] = orbit.get(to[place], 0.0) + sign[place] * value
        places = np.array(sorted(place for place in orbit if orbit[place]), int)
        values = np.array([orbit[place] for place in places])
        used = _used(places, values, shape)
        if label not in used:
            continue
        seen[tuple(np.array(list(used)).T)] = True
        # A mirrored pair shares its products.
        products = [at for at in used if role != "psi" or at[1] <= mirror[at[1]]]
        folded = tuple(sorted({at[-5:] for at in products}))
        found.append(Element(array, label, places, values / used[label], len(products), folded))
    return tuple(found)


def _moves(shape: tuple[int, ...], role: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return where each of the square's eight symmetries moves taps, and with what sign."""
    labels = np.arange(1, 1 + np.prod(shape)).reshape(shape)
    moves = []
    for moved in (labels, act("flip", labels, role)):
        for _ in range(4):
            source = moved.reshape(-1)
            to, sign = np.empty(source.size, int), np.empty(source.size)
            to[np.abs(source) - 1] = np.arange(source.size)
            sign[np.abs(source) - 1] = np.sign(source)
            moves.append((to, sign))
            moved = act("flip", act("transpose", moved, role), role)
    return moves


def _used(places: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> dict[tuple, float]:
    """Return the weights that are not zero of the folded samples of some taps, by label."""
    K = shape[-1]
    windows, which = np.unique(places // K**2, return_inverse=True)
    taps = np.zeros((len(windows), K * K))
    taps[which, places % K**2] = values
    parts = _parities(taps.reshape(-1, K, K))
    return {
        tuple(map(int, (*np.unravel_index(windows[n], shape[:-2]), *at))): parts[(n, *at)]
        for n, *at in np.argwhere(parts)
    }


def _folded_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:-2], 2, 2, shape[-1] // 2 + 1, shape[-1] // 2 + 1)


def _parities(taps: np.ndarray) -> np.ndarray:
    """Return the weight of every folded sample, (..., row parity, column parity, |a|, |b|)."""
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

    def __init__(
        self,
        L: int,
        R: int,
        kernels: dict[str, int],
        kept: Iterable[Element] | None = None,
        options: dict | None = None,
    ):
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
            *lead, inputs, p, q, _, _ = element.label
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

    def only(self, numbers: Iterable[int]) -> FoldedBank:
        """Return it with some of its elements."""
        kept = [self.kept[number] for number in numbers]
        return FoldedBank(self.L, self.R, self.kernels, kept, self.options)

    def feasible(self) -> tuple[np.ndarray, np.ndarray]:
        """Return offset and T: ``offset + T c`` meets the constraints, as nearly c as it can be.

        What is added to c falls off from the centre like a Gaussian.
        """
        A = self.constraints
        spread = np.array([max(self.kernels[element.array] / 5, 0.5) for element in self.kept])
        a, b = np.array([element.label[-2:] for element in self.kept]).T
        correction = np.exp(-(a**2 + b**2) / (2 * spread**2))[:, None] * A.T
        correction = correction @ np.linalg.inv(A @ correction)
        return correction @ self.bounds, np.eye(len(self.kept)) - correction @ A

    def normalised(self, coefficients: np.ndarray) -> np.ndarray:
        """Give every carried map but the first the scale sum |w| = 1; no output changes.

        The scale of a carried map is arbitrary: what makes it and what reads it cancel.
        """
        scale = np.abs(self.dense("carry_first", coefficients)).sum((-3, -2, -1))
        scale[0] = 1
        if len(scale) > 1:  # both first derivatives alike
            scale[1:3] = scale[1:3].mean()
        factor = np.ones(len(self.kept))
        for number, element in enumerate(self.kept):
            if element.array.endswith("next"):
                factor[number] *= scale[element.label[-5]]
            if element.array.startswith("carry"):
                factor[number] /= scale[element.label[0]]
        return coefficients * factor

    def bank(self, name: str, coefficients: np.ndarray) -> FilterBank:
        """Return a bank of these taps."""
        taps = {key: self.dense(key, coefficients) for key in WEIGHT_ARRAYS}
        for key, array in WEIGHT_ARRAYS.items():
            if array.is_complex:
                taps[key] = taps[key][0] + 1j * taps[key][1]
        return FilterBank(name, **taps, **self.options)


def within(bank: FoldedBank, radius: dict[str, float], cross: float = 0.0) -> FoldedBank:
    """Return the elements whose taps lie in a disc, as supports were cut before selection.

    Parameters
    ----------
    radius : dict
        Of the weight arrays that are cut.
    cross : float
        The wavelets of later octaves read the cross derivative (R = 4) only at angles with
        abs(sin(2 theta)) at least this.
    """

    def inside(element: Element) -> bool:
        *lead, inputs, _, _, a, b = element.label
        if element.array == "psi_next" and inputs == 3:
            if abs(np.sin(2 * angle(bank.L, lead[-1]))) < cross:
                return False
        return np.hypot(a, b) <= radius.get(element.array, np.inf)

    return bank.only(n for n, element in enumerate(bank.kept) if inside(element))
