"""Calming a bank: the least change of `carry_next` that keeps disturbances from growing.

A fit of filters leaves `carry_next` free where its maps have nothing to say, at high frequencies
and where they cancel; there it may amplify (`npscatter.bounds.growth`). `calmed` takes that
freedom away: it changes what images do not notice.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from npscatter import FilterBank
from npscatter.bounds.cascade import transfer
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.program.symmetry import tie

# Octaves whose maps count, points per axis at the last; where the stop band begins, constants end.
OCTAVES, POINTS, STOP, LOW = 4, 16, 0.6 * np.pi, 0.3


def calmed(bank: FilterBank, weight: float = 1e-3) -> FilterBank:
    """Return a bank whose `carry_next` is small where it may be.

    Of every row C of its matrix of transfer functions the change d minimises::

        mean over w of  d(w) G(w) d(w)*  +  weight (|C + d|^2 in the stop band
                                                    + |C_ii + d_ii|^2 near zero, but the mean's)

    G being the spectrum of the carried maps of images of power 1 / f^2, of trace 1, summed over
    octaves: so d is what such images see least of. Taps that are zero stay zero, and the sum of
    the mean's taps stays.

    Parameters
    ----------
    bank : FilterBank
        Any.
    weight : float
        Of calm against staying as it is.
    """
    C = bank["carry_next"]
    R, K = bank.R, C.shape[-1]
    seen = np.zeros((R, K * K, R, K * K))
    for G in _spectra(bank):
        waves = _waves(len(G), K)
        for i, j in np.ndindex(R, R):
            power = G[..., i, j].reshape(-1) / len(waves)
            seen[i, :, j] += ((waves.T * power) @ waves.conj()).real
    seen = seen.reshape(R * K * K, -1)
    w, waves = _grid(4 * POINTS), _waves(4 * POINTS, K)
    stop, low = abs(w).max(1) > STOP, np.hypot(*w.T) < LOW
    in_stop, in_both = (
        ((waves.T * band) @ waves.conj()).real / len(w) for band in (stop, stop | low)
    )
    changed = np.empty_like(C)
    for row in range(R):
        calm = np.kron(np.eye(R), in_stop)
        if row:
            calm += np.kron(np.diag(np.arange(R) == row), in_both - in_stop)
        constraint = np.zeros(R * K * K)
        constraint[: K * K] = row == 0
        changed[row] = _least(C[row], seen, weight * calm, constraint)
    arrays = {key: bank[key] for key in bank} | {"carry_next": _as_tied(changed, bank)}
    design = bank.architecture
    return FilterBank(
        bank.name,
        **arrays,
        psi_stride=design.psi_stride,
        next_from=design.next_from,
        boundary=bank.boundary,
        card=bank.card,
    )


def _least(taps: np.ndarray, seen: np.ndarray, calm: np.ndarray, constraint: np.ndarray):
    """Return taps + d for the d of least d' seen d + (taps + d)' calm (taps + d)."""
    free = np.flatnonzero(taps)
    old = taps.ravel()[free]
    normal, right = (seen + calm)[np.ix_(free, free)], -calm[np.ix_(free, free)] @ old
    constraint = constraint[free]
    if constraint.any():  # its sum stays: one Lagrange multiplier
        normal = np.block([[normal, constraint[:, None]], [constraint, np.zeros((1, 1))]])
        right = np.append(right, 0)
    change = np.linalg.lstsq(normal, right, rcond=1e-13)[0][: len(free)]
    result = np.zeros(taps.size)
    result[free] = old + change
    return result.reshape(taps.shape)


def _spectra(bank: FilterBank) -> Iterator[np.ndarray]:
    """Yield G of every octave, (N, N, R, R) on grids that halve, as images make them."""
    side = POINTS * 2**OCTAVES
    G = 1 / ((_grid(side) ** 2).sum(1) + 0.05).reshape(side, side, 1, 1)
    taps = bank["carry_first"]
    for _ in range(OCTAVES):
        N = len(G)
        responses = np.moveaxis(transfer(taps, _grid(N)), -1, 0).reshape(N, N, *taps.shape[:2])
        G = responses @ G @ responses.conj().swapaxes(-1, -2)
        G = G.reshape(2, N // 2, 2, N // 2, *G.shape[2:]).sum((0, 2))  # every second sample
        yield G / np.trace(G.mean((0, 1))).real
        taps = bank["carry_next"]


def _grid(N: int) -> np.ndarray:
    """Return N frequencies per axis in the order of an FFT, (N^2, 2), from -pi to pi."""
    w = 2 * np.pi * np.fft.fftfreq(N)
    return np.stack(np.meshgrid(w, w, indexing="ij"), -1).reshape(-1, 2)


def _waves(N: int, K: int) -> np.ndarray:
    """Return what every tap of a kernel does at `_grid`, (N^2, K^2)."""
    a = np.arange(K) - K // 2
    line = np.exp(2j * np.pi * np.outer(np.fft.fftfreq(N), a))
    return np.einsum("yk,xl->yxkl", line, line).reshape(N * N, K * K)


def _as_tied(taps: np.ndarray, bank: FilterBank) -> np.ndarray:
    """Return `carry_next` with tied taps equal to the last bit, if the bank's are."""
    if not bank.symmetric:
        return taps
    index, sign = tie(taps.shape, WEIGHT_ARRAYS["carry_next"].role)
    count = np.bincount(index.ravel(), abs(sign).ravel())
    mean = np.bincount(index.ravel(), (sign * taps).ravel()) / np.maximum(count, 1)
    return sign * mean[index] + 0.0
