"""How far a bank's filters are from Kymatio's over eight octaves, as a function of its taps.

After o octaves the maps carried by the cascade are the image filtered by h, so the filters seen
from the image are, at frequency w,

    Psi_o(w) = sum_r psi_next_r(2^o w) h_r(w),    h_r(w) = sum_s carry_next_rs(2^(o-1) w) h_s(w)

wanted: Kymatio's Morlet of scale o, at *every* w: where 2^o w lies beyond pi, what a filter lets
through is an alias. For a stationary input of spectrum P the mean squared error of a filter is the
integral of |Psi - wanted|^2 P. Two spectra are weighed: 1/|w|^2, photographs' (for which dw P is
even in log |w| and angle), and a flat one, noise's, whose aliases the coarser scales must not see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import qmc

from npscatter.bounds.morlet import low_pass, morlet
from npscatter.program.symmetry import angle_steps
from tools.folded import FoldedBank

OCTAVES = 8
# Gains of derivatives cost above QUIET, at so many frequencies from 0 to pi along an axis.
QUIET, GAINS = 0.9, 10


def representatives(L: int) -> list[int]:
    """Return one orientation of every orbit under the square's symmetries.

    Their angles are those from 0 to pi / 4, in this order.
    """
    return [theta for theta in reversed(range(L)) if 0 <= angle_steps(L, theta) <= L // 4]


@dataclass(frozen=True)
class Weighting:
    """What a fit pays attention to.

    Attributes
    ----------
    points : int
        Frequencies per octave and spectrum, a power of two.
    flat : float
        Weight of the flat spectrum's relative errors beside those of photographs'.
    sound : float
        Weight of the sums over the taps of what derivatives pass on to themselves (see
        `npscatter.bounds`): as a residual, beside relative errors.
    low : float
        Weight of the low-passes' errors beside the wavelets'.
    octaves : int
        How many.
    seed : int
        Of the quasi-random frequencies.
    """

    points: int = 512
    flat: float = 0.15
    sound: float = 0.06
    low: float = 1.0
    octaves: int = OCTAVES
    seed: int = 0


class Targets:
    """Frequencies of every octave, the wanted filters there, and what their errors weigh.

    Attributes
    ----------
    w : list of ndarray, shape (N, 2)
        Radians per pixel, by octave.
    psi, low : list of ndarray, shapes (reps, N) and (N,)
        Wanted.
    psi_scale, low_scale : list of ndarray, shapes (reps, N) and (N,)
        What residuals are multiplied by: the sum of their squares is that of the relative errors.
    """

    def __init__(self, L: int, weighting: Weighting = Weighting()):
        self.L, self.weighting = L, weighting
        self.chosen = representatives(L)
        self.w, self.psi, self.low, self.psi_scale, self.low_scale = [], [], [], [], []
        for octave in range(weighting.octaves):
            spectra = [(self._photographs(octave), 1.0), (self._flat(octave), weighting.flat)]
            w = np.concatenate([points for (points, _), _ in spectra])
            psi, low = morlet(w, L, octave)[self.chosen], low_pass(w, octave + 1)
            psi_scale, low_scale, start = [], [], 0
            for (points, power), weight in spectra:
                part = slice(start, start + len(points))
                start += len(points)
                share = weight**2 / weighting.octaves * power
                psi_scale.append(
                    np.sqrt(share / (psi[:, part] ** 2 @ power)[:, None] / len(self.chosen))
                )
                low_scale.append(weighting.low * np.sqrt(share / (low[part] ** 2 @ power)))
            self.w.append(w)
            self.psi.append(psi)
            self.low.append(low)
            self.psi_scale.append(np.concatenate(psi_scale, 1))
            self.low_scale.append(np.concatenate(low_scale))
        self._waves: dict[tuple[int, int, int], np.ndarray] = {}

    def _photographs(self, octave: int) -> tuple[np.ndarray, np.ndarray]:
        """Return frequencies even in log |w| and angle, and their power in that measure."""
        sequence = qmc.Sobol(2, seed=self.weighting.seed + 100 * octave)
        unit = sequence.random(self.weighting.points)
        least, most = 0.03 / 2**octave, np.pi * np.sqrt(2)
        radius, turn = least * (most / least) ** unit[:, 0], 2 * np.pi * unit[:, 1]
        w = np.stack([radius * np.cos(turn), radius * np.sin(turn)], -1)
        w = w[(np.abs(w) <= np.pi).all(1)]
        # A wave that few wavelets see counts by what they see of it.
        seen = sum((morlet(w, self.L, j) ** 2).sum(0) for j in range(octave + 2))
        return w, 1 / np.maximum(seen / seen.max(), 0.1)

    def _flat(self, octave: int) -> tuple[np.ndarray, np.ndarray]:
        """Return frequencies of a flat spectrum, ring by ring: what each decimation takes away."""
        points, power = [], []
        # So many to a ring, and a power of two.
        count = 2 ** round(np.log2(2 * self.weighting.points / (octave + 2)))
        for level in range(octave + 1):
            side = np.pi / 2**level
            seed = self.weighting.seed + 100 * octave + level + 1
            w = (2 * qmc.Sobol(2, seed=seed).random(count) - 1) * side
            if level < octave:
                w = w[(np.abs(w) > side / 2).any(1)]
            points.append(w)
            area = side**2 * (0.75 if level < octave else 1)
            power.append(np.full(len(w), area / len(w)))
        return np.concatenate(points), np.concatenate(power)

    def waves(self, K: int, octave: int, level: int) -> np.ndarray:
        """Return exp(i 2^level w a) of an octave's frequencies for K x K taps a, (K * K, N)."""
        key = K, octave, level
        if key not in self._waves:
            self._waves[key] = _waves(K, 2**level * self.w[octave])
        return self._waves[key]


class FilterFit:
    """The squared filter errors of a `FoldedBank`, as a function of its coefficients."""

    def __init__(self, bank: FoldedBank, targets: Targets):
        self.bank, self.targets = bank, targets
        self._groups = {key: self._grouped(key) for key in bank.kernels}

    def _grouped(self, key: str) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
        """Return by (output, input map): the elements that have taps there, and these taps."""
        shape, found = self.bank.shape(key), {}
        psi = key.startswith("psi")
        wanted = self.targets.chosen if psi else range(shape[0])
        for number in self.bank.of_array(key):
            element = self.bank.kept[number]
            taps = np.zeros(int(np.prod(shape)))
            taps[element.places] = element.taps
            taps = taps.reshape(shape)
            taps = taps[0] + 1j * taps[1] if psi else taps
            for output in wanted:
                for inputs in range(shape[-3]):
                    if taps[output, inputs].any():
                        found.setdefault((output, inputs), []).append(
                            (number, taps[output, inputs].reshape(-1))
                        )
        return {
            place: (np.array([n for n, _ in each]), np.array([t for _, t in each]))
            for place, each in found.items()
        }

    def elements_at(self, key: str, output: int, inputs: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the elements that have taps of an output and an input map, with these (K * K,)."""
        numbers, taps = self._groups[key].get((output, inputs), ((), ()))
        yield from zip(numbers, taps, strict=True)

    def value(self, c: np.ndarray) -> float:
        """Return the sum of the squared residuals."""
        return self._walk(c, None)

    def normal(self, c: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the sum of squared residuals, half its gradient, and the Gauss-Newton matrix."""
        matrix = np.zeros((len(c) + 1, len(c) + 1))
        value = self._walk(c, matrix)
        return value, matrix[:-1, -1].copy(), matrix[:-1, :-1]

    def _walk(self, c: np.ndarray, matrix: np.ndarray | None) -> float:
        bank, targets = self.bank, self.targets
        weights = {key: bank.dense(key, c) for key in bank.kernels}
        total = self._soundness(c, matrix)
        for octave in range(targets.weighting.octaves):
            h, dh, carried = self._carried(c, weights, octave, matrix is not None)
            generation = "next" if octave else "first"
            for key, outputs, wanted, scales in (
                (f"psi_{generation}", targets.chosen, targets.psi, targets.psi_scale),
                (f"low_{generation}", [0], [targets.low[octave]], targets.low_scale),
            ):
                if key.startswith("psi"):
                    wanted, scales = wanted[octave], scales[octave]
                else:
                    scales = [scales[octave]]
                waves = targets.waves(bank.kernels[key], octave, octave)
                taps = weights[key]
                taps = taps[0] + 1j * taps[1] if key.startswith("psi") else taps
                for number, output in enumerate(outputs):
                    response = taps[output].reshape(len(h), -1) @ waves
                    residual = scales[number] * ((response * h).sum(0) - wanted[number])
                    total += float((np.abs(residual) ** 2).sum())
                    if matrix is not None:
                        numbers, own = self._own(key, output, waves, h)
                        columns = [len(c), *numbers, *carried]
                        rows = [residual[None], scales[number] * own]
                        if len(carried):
                            rows.append(scales[number] * (response * dh).sum(1))
                        jacobian = np.concatenate(rows).view(float)
                        matrix[np.ix_(columns, columns)] += jacobian @ jacobian.T
        return total

    def _own(self, key: str, output: int, waves: np.ndarray, h: np.ndarray):
        """Return the elements of an output, each once, and its response's derivatives by them."""
        groups = [(r, *self._groups[key].get((output, r), ([], None))) for r in range(len(h))]
        numbers = np.unique(np.concatenate([found for _, found, _ in groups])).astype(int)
        rows = np.zeros((len(numbers), waves.shape[1]), complex)
        for inputs, found, taps in groups:
            # One element may have taps of two input maps.
            if len(found):
                rows[np.searchsorted(numbers, found)] += taps @ waves * h[inputs]
        return numbers, rows

    def _soundness(self, c: np.ndarray, matrix: np.ndarray | None) -> float:
        """Return what growth costs: of what the derivatives pass on among themselves."""
        if self.bank.R == 1:
            return 0.0
        rows = [*self._mode_rows(c), *self._gain_rows(c)]
        rows = np.array(rows).reshape(-1, len(c) + 1)
        if matrix is not None:
            matrix += rows.T @ rows
        return float((rows[:, -1] ** 2).sum())

    def _mode_rows(self, c: np.ndarray):
        """Yield derivatives and residuals of the sums over taps of what passes to itself."""
        for inputs in range(1, self.bank.R):
            row = np.zeros(len(c) + 1)
            numbers, taps = self._groups["carry_next"].get((inputs, inputs), ([], None))
            if len(numbers):
                row[numbers] = self.targets.weighting.sound * taps.sum(1).real
                row[-1] = row[:-1] @ c
                yield row

    def _gain_rows(self, c: np.ndarray):
        """Yield the same of every singular value, over all frequencies, above `QUIET`.

        Of the matrix from the aliases of the derivatives to those of the next octave, in the units
        of the maps in which the largest is smallest.
        """
        bank, groups = self.bank, self._groups["carry_next"]
        taps = bank.dense("carry_next", c)[1:, 1:]
        D, waves = len(taps), self._alias_waves
        C = (taps.reshape(D * D, -1) @ waves.reshape(len(waves), -1)).reshape(D, D, -1, 4)
        C = C.transpose(2, 0, 3, 1)  # frequencies, outputs, aliases, inputs
        best = None
        for exponent in np.linspace(-3, 3, 13) if D == 3 else (0.0,):
            units = np.ones(D)
            units[-1] = 2.0**exponent if D == 3 else 1.0
            scaled = units[:, None, None] * C / units
            parts = np.linalg.svd(scaled.reshape(len(C), D, -1), full_matrices=False)
            if best is None or parts[1].max() < best[0][1].max():
                best = parts, units
        (left, values, right), units = best
        right = right.conj().reshape(*values.shape, 4, D)
        scale = self.targets.weighting.sound * np.sqrt(10 / len(C))
        loud = np.argwhere(values > QUIET)
        rows = np.zeros((len(loud), len(c) + 1))
        for (output, inputs), (numbers, each) in groups.items():
            if output and inputs:
                response = (each @ waves.reshape(len(waves), -1)).reshape(len(each), -1, 4)
                response *= units[output - 1] / units[inputs - 1]
                for row, (place, which) in zip(rows, loud, strict=True):
                    seen = response[:, place] @ right[place, which, :, inputs - 1]
                    row[numbers] += scale * (left[place, output - 1, which].conj() * seen).real
        rows[:, -1] = scale * (values[tuple(loud.T)] - QUIET)
        yield from rows

    @cached_property
    def _alias_waves(self) -> np.ndarray:
        """exp(i w_k a), shape (K * K, frequencies, 4): an eighth of the plane, by symmetry."""
        K = self.bank.kernels["carry_next"]
        i0, i1 = np.meshgrid(np.arange(GAINS + 1), np.arange(GAINS + 1), indexing="ij")
        w = np.pi / GAINS * np.stack([i0, i1], -1)[i1 <= i0]
        aliases = np.pi * np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
        return _waves(K, (w[:, None] / 2 + aliases).reshape(-1, 2)).reshape(K * K, -1, 4)

    def _carried(self, c, weights, octave: int, derivatives: bool):
        """Return h at an octave's frequencies, (R, N), its derivatives, and by what elements."""
        bank, targets = self.bank, self.targets
        N = len(targets.w[octave])
        h = np.ones((1, N), complex)
        carried = [bank.of_array("carry_first")] if octave else []
        carried += [bank.of_array("carry_next")] if octave > 1 else []
        carried = np.concatenate(carried) if carried else np.array([], int)
        place = np.full(len(c), -1)
        place[carried] = np.arange(len(carried))
        dh = np.zeros((len(carried), 1, N), complex) if derivatives else None
        for level in range(octave):
            key = "carry_next" if level else "carry_first"
            waves = targets.waves(bank.kernels[key], octave, level)
            taps = weights[key]
            response = (taps.reshape(-1, taps.shape[-1] ** 2) @ waves).reshape(*taps.shape[:2], N)
            if derivatives:
                if level:
                    dh = np.einsum("rsn,psn->prn", response, dh)
                else:
                    dh = np.zeros((len(carried), bank.R, N), complex)
                for (output, inputs), (numbers, each) in self._groups[key].items():
                    dh[place[numbers], output] += each @ waves * h[inputs]
            h = (response * h).sum(1)
        return h, dh, carried


def _waves(K: int, w: np.ndarray) -> np.ndarray:
    """Return exp(i w a) of frequencies w (N, 2) for K x K taps a, shape (K * K, N)."""
    a = np.arange(K) - K // 2
    rows, columns = (np.exp(1j * np.multiply.outer(a, w[:, axis])) for axis in (0, 1))
    return (rows[:, None] * columns).reshape(K * K, -1)
