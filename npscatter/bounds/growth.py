"""Whether what is carried from octave to octave can grow: disturbances, and aliases that leak in.

The carried maps m of the next octave are every second sample of C m, C being `carry_next`. At
frequency w they see the four frequencies w_k = (w + 2 pi k) / 2 of this octave. So if after n
octaves the maps are G_n(w) = sum over aliases of P P*, P their transfer functions from where a
disturbance came in, then

    G_(n+1)(w) = sum_k C(w_k) G_n(w_k) C(w_k)*,    G_0 = 1,

and no disturbance has grown, in root mean square, by more than

    g_n = sup over w of the root of the largest eigenvalue of G_n(w),

which some come as near as one likes. The mean passes as it is: g_n is 1 at least. The map from
G_n to G_(n+1) keeps order: if ever G_n <= c, then G_(n+m) <= c G_m; so g_(n+m) <= g_n g_m, and
growth up to n octaves bounds it over all. Entries of G_n are trigonometric polynomials of a degree
below K, C's kernel size: a grid of 2 K frequencies holds them, and so n octaves are computed
exactly, up to rounding; between grid points the factor of Ehlich and Zeller certifies them
(`npscatter.bounds.alias`). White noise of variance 1 in every map becomes noise of the spectrum
4^-n G_n.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import cos, log10, pi, sqrt

import numpy as np

from npscatter.bank import FilterBank
from npscatter.bank.cascade import transfer
from npscatter.bounds.morlet import morlet
from npscatter.errors import BankError, explain

# Proven one by one; what more octaves do is no more than a product of these.
OCTAVES = 12
# What a learned bank's `Growth.octaves` and `Growth.noise` must stay below, up to OCTAVES.
LARGEST_GROWTH = 4.0
LARGEST_TAP = 1e6
# Octaves that leaks are given for.
LEAKS = 8
# Points per axis: of suprema over all frequencies, of searches, of a wavelet's band.
_FINE, _COARSE, _BAND = 96, 24, 32


class Growth:
    """How much a bank's carried maps amplify, and what leaks into them.

    Parameters
    ----------
    bank : FilterBank
        Any; strides and `next_from` do not matter, as carried maps are smoothed alike in all.

    Raises
    ------
    BankError
        If taps of `carry_next` are so large that growth is no finite number.

    Examples
    --------
    >>> from npscatter import FilterBank
    >>> from npscatter.bounds.growth import Growth
    >>> max(Growth(FilterBank.load("paper-tuned")).octaves) < 4
    True
    """

    def __init__(self, bank: FilterBank):
        self.bank = bank
        self.taps = bank["carry_next"]
        if (largest := float(abs(self.taps).max())) > LARGEST_TAP:
            rule = f"growth is a finite number for taps up to {LARGEST_TAP:g}"
            raise BankError(explain("carry_next", largest, rule, "check what made the bank"))

    @cached_property
    def units(self) -> np.ndarray:
        """What the maps are multiplied by, (R,), to be in the units in which g_1 is smallest.

        The scale of a carried map is arbitrary, for what makes it and what reads it cancel.
        """
        return _best_units(self.taps)

    @cached_property
    def octaves(self) -> list[float]:
        """g_1, g_2, ...: the most a disturbance grows in so many octaves, in `units`, certified."""
        taps = _in_units(self.taps, self.units)
        return [self._largest(G) for G in self._spectra(taps, self._undisturbed, OCTAVES)]

    @cached_property
    def cycles(self) -> list[dict]:
        """Return the waves that come back as themselves, by how much an octave multiplies them.

        A wave of frequency w is one of 2 w after an octave; those of 2 pi / (2^p - 1) times
        integers come back after p octaves, times C(2^(p-1) w) ... C(2 w) C(w), whose spectral
        radius r gives the rate r^(1/p). What enters a cycle of a rate above 1 grows without end.

        Returns
        -------
        list of dict
            "rate", "period" p, and "frequency" w in units of 2 pi: the largest rate of every
            period up to 4. That of period 1 is the mean's, or a mode's.
        """
        found = []
        for period in range(1, 5):
            q = 2**period - 1
            w = _frequencies(q)
            passed = np.eye(self.bank.R)
            for octave in range(period):
                passed = np.moveaxis(transfer(self.taps, 2**octave * w), -1, 0) @ passed
            rates = abs(np.linalg.eigvals(passed)).max(1) ** (1 / period)
            # Waves that come back sooner are among them, and were there before.
            steps = np.rint(w * q / (2 * pi)).astype(int)
            for sooner in range(1, period):
                rates[((2**sooner - 1) * steps % q == 0).all(1)] = 0
            worst = rates.argmax()
            frequency = (w[worst] / (2 * pi)).tolist()
            found.append({"rate": float(rates[worst]), "period": period, "frequency": frequency})
        return found

    @cached_property
    def noise(self) -> list[float]:
        """White noise of variance 1 in every map: its root mean square in all after n octaves."""
        spectra = self._spectra(self.taps, self._undisturbed, OCTAVES)
        means = (np.trace(G.mean((0, 1))).real for G in spectra)
        return [sqrt(mean / (4**n * self.bank.R)) for n, mean in enumerate(means, 1)]

    @cached_property
    def one_octave(self) -> dict[str, float]:
        """g_1, certified.

        Returns
        -------
        dict
            "all maps", in `units`, and "but the mean": of the maps after the first, among
            themselves, in their best units. At most 1: no disturbance ever grows.
        """
        found = {"all maps": self.octaves[0]}
        if self.bank.R > 1:
            others = self.taps[1:, 1:]
            C = _matrices(_in_units(others, _best_units(others)), 4 * others.shape[-1])
            found["but the mean"] = self._largest(_decimated(C @ _adjoint(C)))
        return found

    @cached_property
    def leaks(self) -> dict[str, list[float | None]]:
        """What aliases add to the wavelets of scales 1, 2, ..., against what they see, in dB.

        Of a noise image x, by its spectrum, the energy of the wavelets' difference from Kymatio's
        at frequencies the maps' grid does not have (above pi / 2^j), over the energy of Kymatio's
        coefficients: 10 log10, None for none. -34 dB is an error of 2 %.

        Returns
        -------
        dict
            "white" (a flat spectrum) and "blue" (a power that grows as f^2).
        """
        bank, N = self.bank, _BAND
        psi, first = _matrices(bank["psi_next"], N), _matrices(bank["carry_first"], 2 * N)
        # The spectra of the maps of every octave, aliases and all.
        maps = {}
        for name, spectrum in _SPECTRA.items():
            power = spectrum(_frequencies(2 * N)).reshape(2 * N, 2 * N, 1, 1)
            start = _decimated(first * power @ _adjoint(first)) / 4
            spectra = self._spectra(self.taps, start, LEAKS - 1)
            later = (G / 4**n for n, G in enumerate(spectra, 1))
            maps[name] = [start, *later]
        leaks: dict[str, list[float | None]] = {name: [] for name in _SPECTRA}
        for j, v, seen in self._responses():
            wanted, above = morlet(v / 2**j, bank.L, j), abs(v).max(1) > pi
            for name, spectrum in _SPECTRA.items():
                weight = spectrum(v / 2**j) / (4**j * N**2)
                whole = ((psi @ maps[name][j - 1]) * psi.conj()).real.sum() / N**2
                beyond = whole - (weight * abs(seen) ** 2).sum()
                error = (weight * abs(seen - wanted) ** 2)[:, above].sum()
                leak = (error + max(0.0, beyond)) / (weight * wanted**2).sum()
                leaks[name].append(10 * log10(leak) if leak else None)
        return leaks

    def report(self) -> dict:
        """Return all of it, for JSON."""
        return {
            "bank": self.bank.name,
            "bank_sha256": self.bank.sha256,
            "modes": [[mode.real, mode.imag] for mode in self.bank.modes],
            "one octave": self.one_octave,
            "octaves": self.octaves,
            "cycles": self.cycles,
            "noise": self.noise,
            "leaks, dB": self.leaks,
        }

    @cached_property
    def _undisturbed(self) -> np.ndarray:
        """G_0 on the grid that holds all that follow from it."""
        # Coefficients of degree K - 1 need more than 2 (K - 1) points.
        N, R = 2 * self.taps.shape[-1], self.bank.R
        return np.broadcast_to(np.eye(R), (N, N, R, R))

    @staticmethod
    def _spectra(taps: np.ndarray, G: np.ndarray, count: int) -> Iterator[np.ndarray]:
        """Yield G after 1, 2, ... octaves, on the grid G (N, N, R, R) is given on."""
        C = _matrices(taps, 2 * len(G))
        for _ in range(count):
            G = _decimated(C @ _interpolated(G, 2 * len(G)) @ _adjoint(C))
            yield G

    def _largest(self, G: np.ndarray) -> float:
        """Return the root of the largest eigenvalue over all frequencies, certified."""
        degree = self.taps.shape[-1] - 1
        points = max(_FINE, 4 * degree)
        found = np.linalg.eigvalsh(_interpolated(G, points)).max()
        return sqrt(found) / ((1 + cos(pi * degree / points)) / 2)

    def _responses(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield j, frequencies v and what the wavelets of octave j see of the image's 2^-j v.

        v (P, 2) goes twice as far from zero as Kymatio's wavelets reach, or through the whole
        plane; the responses are (L, P).
        """
        bank = self.bank
        for j in range(1, LEAKS + 1):
            if j < 3:
                v = _midpoints(2 * j * pi)
                chain = _transfer(bank["psi_next"], v)
            if j > 1:
                chain = np.einsum("lrn,rsn->lsn", chain, transfer(self.taps, v / 2 ** (j - 1)))
            first = transfer(bank["carry_first"], v / 2**j)[:, 0]
            yield j, v, np.einsum("lrn,rn->ln", chain, first)


def check(bank: FilterBank) -> None:
    """Raise a `BankError` if a bank amplifies: a mode, a disturbance, or noise in its own units."""
    if fault := bank.instability():
        raise BankError(fault)
    growth = Growth(bank)
    grown = max(*growth.octaves, *growth.noise)
    if grown > LARGEST_GROWTH:
        rule = f"a disturbance of its carried maps may grow {grown:.3g} times, but no more than "
        rule += f"{LARGEST_GROWTH:g} times over {OCTAVES} octaves"
        raise BankError(explain("bank", bank.name, rule, "give the growth more weight in the fit"))


def _best_units(taps: np.ndarray) -> np.ndarray:
    """Return the units of the maps in which g_1 is smallest, as powers of two: a search."""
    C = _matrices(taps, 2 * _COARSE)

    def value(logarithms: np.ndarray) -> float:
        units = 2.0**logarithms
        scaled = units[:, None] * C / units
        return np.linalg.eigvalsh(_decimated(scaled @ _adjoint(scaled))).max()

    best = np.zeros(len(taps))
    least, step = value(best), 2.0
    while step > 0.05:
        tried = [best + sign * step * unit for unit in np.eye(len(taps)) for sign in (1, -1)]
        values = [value(each) for each in tried]
        if min(values) < least * (1 - 1e-6):
            least, best = min(values), tried[int(np.argmin(values))]
        else:
            step /= 2
    return 2.0**best


def _in_units(taps: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return taps (R, R, K, K) for maps that are multiplied by `units`."""
    return units[:, None, None, None] * taps / units[:, None, None]


def _frequencies(N: int) -> np.ndarray:
    """Return the grid of N frequencies per axis from zero on, (N^2, 2)."""
    w = 2 * pi * np.arange(N) / N
    return np.stack(np.meshgrid(w, w, indexing="ij"), -1).reshape(-1, 2)


def _midpoints(limit: float) -> np.ndarray:
    """Return a grid of frequencies within +- limit, `_BAND` for every 2 pi, (P, 2)."""
    count = round(limit / pi * _BAND)
    w = limit * (2 * np.arange(count) + 1 - count) / count
    return np.stack(np.meshgrid(w, w, indexing="ij"), -1).reshape(-1, 2)


def _transfer(taps: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return `transfer` of real or complex taps."""
    if np.iscomplexobj(taps):
        return transfer(taps.real, w) + 1j * transfer(taps.imag, w)
    return transfer(taps, w)


def _matrices(taps: np.ndarray, N: int) -> np.ndarray:
    """Return the transfer functions of taps (O, I, K, K) on a grid, (N, N, O, I)."""
    return np.moveaxis(_transfer(taps, _frequencies(N)), -1, 0).reshape(N, N, *taps.shape[:2])


def _adjoint(matrices: np.ndarray) -> np.ndarray:
    return matrices.conj().swapaxes(-1, -2)


def _decimated(G: np.ndarray) -> np.ndarray:
    """Return the sum over the aliases of every second sample: from a grid of 2 N to one of N."""
    N = len(G) // 2
    return G.reshape(2, N, 2, N, *G.shape[2:]).sum((0, 2))


def _interpolated(G: np.ndarray, points: int) -> np.ndarray:
    """Return a trigonometric polynomial (N, N, ...), given on a grid, on one of more points."""
    N = len(G)
    coefficients = np.zeros((points, points, *G.shape[2:]), complex)
    places = np.r_[: N // 2, points - N // 2 : points]
    coefficients[np.ix_(places, places)] = np.fft.ifft2(G, axes=(0, 1))
    return np.fft.fft2(coefficients, axes=(0, 1))


# Power at frequencies (..., 2) of an image.
_SPECTRA = {
    "white": lambda w: np.ones(w.shape[:-1]),
    "blue": lambda w: (((w + pi) % (2 * pi) - pi) ** 2).sum(-1),
}
