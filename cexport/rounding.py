"""Filters rounded to whole numbers, so that what the rounding does to pictures is least.

Rounded one by one, the taps of a filter err independently, and a smooth picture adds up their
errors where the filter itself would cancel. The error of a rounded filter on a picture is
``e' C e``, e being the error of its taps and C the covariance of what they are multiplied with. C
is known well enough: pictures have a spectrum of about 1 / |w|^2, and what maps carried from
octave to octave hold follows from the filters that make them. So, from the nearest whole numbers,
single weights and pairs of them are moved by one as long as that lowers ``e' C e``. This costs
nothing at run time.

The sum of each filter is kept (to the nearest whole number), so what has no mean keeps none:
whatever a weight changes in it, the tap in the centre takes back.
"""

from __future__ import annotations

import numpy as np

from npscatter.bank import FilterBank
from npscatter.program.summation import Summation

GRID = 256
OCTAVES = 3
# Changes smaller than this part of the first error are rounding errors of the search itself, and
# gains that differ by less of themselves are equal: the first is taken, on every machine.
SMALLEST_GAIN = 1e-9
EQUAL_GAINS = 1e-6
# Moves per weight; banks of use need one at most. Where numbers are so unlike that rounding errors
# exceed the gains, the search would never end.
LARGEST_SEARCH = 4


def autocovariances(bank: FilterBank) -> dict[str, np.ndarray]:
    """Return how what the bank's arrays are applied to covaries, for pictures.

    Returns
    -------
    dict of ndarray, shape (I, I, D, D)
        For "first" (a raw map) and "next" (carried maps, the mean over three octaves), entry
        [i, j, D // 2 + dy, D // 2 + dx] for maps i and j, j being (dy, dx) further; D // 2 is the
        farthest that two taps of the bank are apart.
    """
    frequency = 2 * np.pi * np.fft.fftfreq(GRID)
    power = frequency[:, None] ** 2 + frequency**2
    power[0, 0] = (2 * np.pi / GRID) ** 2
    spectrum = 1 / power
    farthest = max(bank[key].shape[-1] for key in bank) - 1
    carried = np.stack([_response(taps, 1) for (taps,) in bank["carry_first"]])
    lags = []
    for octave in range(1, OCTAVES + 1):
        if octave > 1:
            filters = [[_response(t, 2 ** (octave - 1)) for t in row] for row in bank["carry_next"]]
            carried = np.einsum("oiyx,iyx->oyx", np.array(filters), carried)
        lags.append(_lags(carried[:, None].conj() * carried * spectrum, 2**octave, farthest))
    return {"first": _lags(spectrum[None, None], 1, farthest), "next": np.sum(lags, axis=0)}


def _response(taps: np.ndarray, spacing: int) -> np.ndarray:
    """Return the response of a correlation whose taps are `spacing` samples apart."""
    canvas = np.zeros((GRID, GRID))
    at = (np.arange(len(taps)) - len(taps) // 2) * spacing % GRID
    np.add.at(canvas, (at[:, None], at), taps)
    return np.fft.fft2(canvas).conj()


def _lags(cross_spectrum: np.ndarray, spacing: int, farthest: int) -> np.ndarray:
    covariance = np.fft.ifft2(cross_spectrum).real
    at = np.arange(-farthest, farthest + 1) * spacing % GRID
    lags = covariance[..., at[:, None], at]
    # Carriers may be zero.
    return lags / (lags[0, 0, farthest, farthest] or 1)


def _window_covariance(lags: np.ndarray, K: int) -> np.ndarray:
    """Return the covariance of the samples under I x K x K taps, a matrix."""
    apart = np.arange(K) - np.arange(K)[:, None]
    at = lags.shape[-1] // 2 + apart
    matrix = lags[:, :, at[:, :, None, None], at]  # i, j, a, a', b, b'
    return matrix.transpose(0, 2, 4, 1, 3, 5).reshape(len(lags) * K * K, -1)


def patterns(summation: Summation, output: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights that enter an output, and the taps that each stands for.

    Returns
    -------
    index : ndarray of int, shape (n,)
        Of the weights.
    taps : ndarray, shape (n, I, K, K)
        1 and -1 where the weight, or its negative, is the filter's tap: 1, 2 or 4 of them.
    """
    first, second, sign = summation.outputs[output]
    half, index, taps = summation.size // 2, [], []
    for sample in summation.samples:
        row = summation.rows[sample.row]
        for accumulator, weight in sample.terms:
            factor = (accumulator == first) + sign * (accumulator == second and sign != 0)
            if factor:
                pattern = np.zeros((summation.maps, summation.size, summation.size))
                for a, row_sign in {(row.offset, 1), (-row.offset, row.fold)}:
                    for b, sample_sign in {(sample.offset, 1), (-sample.offset, sample.fold)}:
                        if row_sign and sample_sign:
                            pattern[row.map, half + a, half + b] = factor * row_sign * sample_sign
                index.append(weight)
                taps.append(pattern)
    return np.array(index, int), np.array(taps).reshape(
        -1, summation.maps, summation.size, summation.size
    )


def unfolded(summation: Summation, weights: np.ndarray) -> np.ndarray:
    """Return the filters, shape (O, I, K, K), that the summation's weights stand for."""
    taps = []
    for output in range(len(summation.outputs)):
        index, shapes = patterns(summation, output)
        taps.append(np.tensordot(weights[index], shapes, 1))
    return np.array(taps)


def folded(summation: Summation, taps: np.ndarray) -> np.ndarray:
    """Return the weights for which `unfolded` gives `taps`, if there are such weights."""
    weights = np.zeros(summation.multiply_adds)
    for output, filters in enumerate(taps):
        index, shapes = patterns(summation, output)
        weights[index] = np.tensordot(shapes, filters, 3) / np.abs(shapes).sum((1, 2, 3))
    return weights


def rounded(
    summation: Summation, weights: np.ndarray, scale: np.ndarray, lags: np.ndarray
) -> np.ndarray:
    """Return filters of whole numbers; see the module's text.

    Parameters
    ----------
    summation : Summation
        The order in which the weights are used.
    weights : ndarray, shape (summation.multiply_adds,)
        The filters' weights.
    scale : ndarray, shape (O,)
        What each output is multiplied by before it is rounded; the same for mirror images.
    lags : ndarray, shape (I, I, D, D)
        An autocovariance, as `autocovariances` returns.

    Returns
    -------
    ndarray, shape (O, I, K, K)
        Sums of whole weights, in the same order as the weights given.
    """
    whole = np.zeros_like(weights)
    covariance = _window_covariance(lags, summation.size)
    for output, (_, _, sign) in enumerate(summation.outputs):
        if sign >= 0:  # The mirror image of a filter has the same weights.
            index, shapes = patterns(summation, output)
            whole[index] = _search(weights[index] * scale[output], shapes, covariance)
    return unfolded(summation, whole)


def _search(weights: np.ndarray, shapes: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    if not len(weights):
        return weights
    count, half = len(weights), shapes.shape[-1] // 2
    sums = shapes.sum((2, 3))
    whole = np.rint(weights)
    # Row n: what all weights change by when weight n grows by one.
    moves, free = np.eye(count), np.ones(count, bool)
    for number, shape in enumerate(shapes):
        (i,) = shape.any((1, 2)).nonzero()[0]
        if np.abs(shape).sum() == 1 and shape[i, half, half]:
            moves[:, number] -= sums[:, i] / sums[number, i]
            free[number] = False
            missing = np.rint(weights @ sums[:, i]) - whole @ sums[:, i]
            whole[number] += missing / sums[number, i]
    moves = moves[free]
    shapes = shapes.reshape(count, -1)
    error = (whole - weights) @ shapes
    quadratic = moves @ shapes @ covariance @ shapes.T @ moves.T
    slope = moves @ shapes @ covariance @ error
    smallest = SMALLEST_GAIN * (error @ covariance @ error)
    own = np.diag(quadratic)
    for _ in range(LARGEST_SEARCH * len(own)):
        # Growing n by s = 1 or -1 changes the error by own + 2 s slope, n and m both by the
        # sum of the two and twice s_n s_m times what they share.
        single = own - 2 * np.abs(slope)
        alike = quadratic - np.abs(slope[:, None] + slope)
        opposite = -quadratic - np.abs(slope[:, None] - slope)
        pair = own[:, None] + own + 2 * np.minimum(alike, opposite)
        np.fill_diagonal(pair, np.inf)
        changes = np.concatenate([single, pair.ravel()])
        if not -changes.min() > smallest:
            break
        best = int(np.argmax(changes <= (1 - EQUAL_GAINS) * changes.min()))
        if best < len(own):
            step = [(best, -np.sign(slope[best]))]
        else:
            n, m = divmod(best - len(own), len(own))
            if alike[n, m] <= opposite[n, m]:
                sign = -np.sign(slope[n] + slope[m])
                step = [(n, sign), (m, sign)]
            else:
                sign = -np.sign(slope[n] - slope[m])
                step = [(n, sign), (m, -sign)]
        for number, sign in step:
            whole += sign * moves[number]
            slope = slope + sign * quadratic[number]
    return whole
