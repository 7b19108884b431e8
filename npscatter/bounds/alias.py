"""Quadratic forms of decimated filters, and where in frequency they are largest and smallest.

For maps x and filters f_i of stride t_i, take the energy Q(x) = sum_i c_i ||(f_i * x) at every
t_i-th sample||^2. Decimation by t adds the t^2 frequencies w + 2 pi m / t that it cannot tell
apart; with T the largest stride, Q is a Hermitian matrix of T^2 rows (times the number of input
maps) at each w in [0, 2 pi / T)^2, the alias matrix

    M(w)[k, k'] = sum over i with k = k' modulo T / t_i of
        c_i / t_i^2  conj(f_i^(w + 2 pi k / T))  f_i^(w + 2 pi k' / T)

whose extreme eigenvalues over all w are the best constants A and B of A ||x||^2 <= Q(x) <=
B ||x||^2 (P. P. Vaidyanathan, Multirate Systems and Filter Banks, 1993, sections 5.4 and 11.4;
J. Kovacevic and V. K. Goyal, Fourier and Wavelet Signal Processing, 2014). On a wrapped grid, which
has some of the frequencies, both hold. With zeros beyond the edge only B does: x is then one of an
infinite grid, but what leaves the edge is lost.

The matrix is unitarily equivalent to the polyphase matrix, for whose unit vectors v the form
p = v* M v >= 0 is a trigonometric polynomial in T w of a degree n that follows from the filters'
length. From its crest p - max p / 2, of modulus at most max p / 2, falls no faster than a cosine of
frequency n (H. Ehlich and K. Zeller, Schwankung von Polynomen zwischen Gitterpunkten, 1964). So
on N > 2 n equidistant points p comes within a factor (1 + cos(pi n / N)) / 2 of its largest value,
once for each of the two axes: a maximum on a grid certifies one over all frequencies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, cos, isqrt, pi

import numpy as np

# What is held at a time: frequencies, and entries of alias matrices.
CHUNK_FREQUENCIES, CHUNK_ENTRIES = 2**13, 2**20
# How many eigenvalue problems are solved, by their size: seconds to a minute.
POINTS = {1: 150_000, 4: 40_000, 16: 15_000, 64: 4_000}
_POINTS_LARGER = 1_000


@dataclass(frozen=True)
class Filters:
    """Real filters of one stride.

    Attributes
    ----------
    response : callable
        From frequencies (N, 2), radians per sample, to transfer functions (O, N), or (O, I, N)
        for I input maps.
    stride : int
        Of all of them.
    reach : tuple of int
        Distance from the first to the last tap along each axis.
    weight : float
        c_i, at least 0.
    inputs : int
        I.
    """

    response: Callable[[np.ndarray], np.ndarray]
    stride: int
    reach: tuple[int, int]
    weight: float = 1.0
    inputs: int = 1


@dataclass(frozen=True)
class Extreme:
    """A largest or smallest eigenvalue over all frequencies.

    Attributes
    ----------
    found : float
        On the grid: some input comes as near as one likes.
    certified : float
        What no input passes, at any frequency.
    frequency : tuple of float
        w where it was found, radians per sample.
    """

    found: float
    certified: float
    frequency: tuple[float, float]


def alias_matrices(filters: list[Filters], w: np.ndarray, T: int) -> np.ndarray:
    """Return M(w).

    Parameters
    ----------
    filters : list of Filters
        Strides that divide T.
    w : ndarray, shape (N, 2)
        In [0, 2 pi / T).
    T : int
        Stride of the coarsest grid.

    Returns
    -------
    ndarray of complex128, shape (N, T^2 I, T^2 I)
        Row k I + i is input map i at the alias k = k0 T + k1.
    """
    steps = 2 * pi / T * np.arange(T)
    aliases = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    everywhere = (w[:, None] + aliases).reshape(-1, 2)
    matrices = None
    for each in filters:
        response = each.response(everywhere)
        inputs = each.inputs
        response = response.reshape(-1, inputs, len(w), T * T)  # O, I, N, k
        if matrices is None:
            matrices = np.zeros((len(w), T * T * inputs, T * T * inputs), complex)
        apart = T // each.stride
        k = np.arange(T * T).reshape(each.stride, apart, each.stride, apart)
        k = k.transpose(1, 3, 0, 2).reshape(apart**2, -1)  # the aliases of each residue
        rows = response[..., k].transpose(2, 3, 0, 4, 1)  # N, residue, O, alias, I
        rows = rows.reshape(*rows.shape[:3], -1)
        where = (k[..., None] * inputs + np.arange(inputs)).reshape(apart**2, -1)
        products = np.matmul(rows.conj().swapaxes(-1, -2), rows)
        scale = each.weight / each.stride**2
        matrices[:, where[:, :, None], where[:, None, :]] += scale * products
    return matrices


def extremes(
    filters: list[Filters], symmetric: bool = False, points: dict[int, int] | None = None
) -> tuple[Extreme, Extreme]:
    """Return the smallest and the largest eigenvalue of the alias matrices over all frequencies.

    If no eigenvalue passes B, the largest of B - M is B less the smallest of M: so the smallest
    is certified too, as zero at least.

    Parameters
    ----------
    filters : list of Filters
        Of Q.
    symmetric : bool
        The square's symmetries leave Q unchanged, so that an eighth of the frequencies do.
    points : dict, optional
        How many frequencies are searched, by the largest size of the matrices; `POINTS` by default.
    """
    T = max(each.stride for each in filters)
    n = max(1, *(ceil(reach / T) for each in filters for reach in each.reach))
    N = _points(T * T * filters[0].inputs, n, symmetric, points or POINTS)
    low, high = (np.inf, np.zeros(2)), (-np.inf, np.zeros(2))
    for w, values in _eigenvalues(filters, T, N, symmetric):
        least, most = values[:, 0].argmin(), values[:, -1].argmax()
        low = min(low, (values[least, 0], w[least]), key=lambda extreme: extreme[0])
        high = max(high, (values[most, -1], w[most]), key=lambda extreme: extreme[0])
    factor = ((1 + cos(pi * n / N)) / 2) ** 2
    B = high[0] / factor
    A = max(0.0, B - (B - low[0]) / factor)
    return Extreme(max(0.0, float(low[0])), float(A), tuple(low[1].tolist())), Extreme(
        float(high[0]), float(B), tuple(high[1].tolist())
    )


def on_grid(filters: list[Filters], shape: tuple[int, int]) -> float:
    """Return the largest eigenvalue over the frequencies of one periodic grid.

    Parameters
    ----------
    filters : list of Filters
        Of Q.
    shape : tuple of int
        Height and width, multiples of every stride.
    """
    T = max(each.stride for each in filters)
    indices = [np.arange(side // T) for side in shape]
    w = np.stack(np.meshgrid(*indices, indexing="ij"), -1).reshape(-1, 2) * 2 * pi / shape
    return max(float(values[:, -1].max()) for _, values in _chunks(filters, w, T))


def _points(size: int, n: int, symmetric: bool, points: dict[int, int]) -> int:
    """Return an even N, of points per axis, that certifies a degree n as well as time allows."""
    problems = next((count for limit, count in points.items() if size <= limit), _POINTS_LARGER)
    return max(2 * (isqrt(problems * (8 if symmetric else 2)) // 2), 4 * n)


def _eigenvalues(filters, T: int, N: int, symmetric: bool) -> Iterator:
    # Of real filters M(-w) is the conjugate of M(w): half the frequencies do.
    i0, i1 = np.meshgrid(np.arange(N // 2 + 1), np.arange(N), indexing="ij")
    if symmetric:
        kept = i1 <= i0
        i0, i1 = i0[kept], i1[kept]
    w = np.stack([i0.ravel(), i1.ravel()], -1) * (2 * pi / (N * T))
    return _chunks(filters, w, T)


def _chunks(filters, w: np.ndarray, T: int) -> Iterator:
    """Yield frequencies and the eigenvalues there, ascending."""
    size = max(1, min(CHUNK_FREQUENCIES // T**2, CHUNK_ENTRIES // T**4))
    for start in range(0, len(w), size):
        some = w[start : start + size]
        matrices = alias_matrices(filters, some, T)
        if matrices.shape[-1] == 1:
            yield some, matrices[:, 0].real
        else:
            yield some, np.linalg.eigvalsh(matrices)
