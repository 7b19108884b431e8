"""Kymatio, the teacher."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from unittest import mock

import kymatio
import numpy as np
import scipy.fft

# `from kymatio.numpy import Scattering2D` pulls in the 3-D transform, which fails on SciPy >= 1.17
# (it imports a spherical harmonic that SciPy removed); the entry point below loads only 2-D.
from kymatio import Scattering2D
from kymatio.scattering2d import filter_bank as kymatio_filters

from npscatter.atomic_write import atomic_write

# The folder where coefficients are kept from run to run, if the environment names one.
KEPT = "NPSCATTER_TEACHER"
BLOCK_PIXELS = 2**16


@contextmanager
def quick_filters() -> Iterator[None]:
    """Let Kymatio make its filters, the same to the last bit, in seconds.

    At 2048 x 2048 its own functions take many minutes: one evaluates 25 periods of each wavelet on
    the whole grid, the other adds pixel by pixel in Python.
    """
    gabor = kymatio_filters.gabor_2d

    def gabor_2d(M, N, sigma, theta, xi, slant=1.0, offset=0):
        # Further out than 10 sigma of the longer axis, sigma / slant, it is below 1e-21.
        m, n = (min(side, 2 * int(10 * sigma / min(1, slant))) for side in (M, N))
        rows, columns = np.arange(m), np.arange(n)
        rows[m - m // 2 :] += M - m
        columns[n - n // 2 :] += N - n
        small = gabor(m, n, sigma, theta, xi, slant, offset)
        full = np.zeros((M, N), small.dtype)
        full[np.ix_(rows, columns)] = small
        return full

    def periodize_filter_fft(x, res):
        M, N = x.shape
        factor = 2**res
        kept = x.copy()
        if res > 0:
            kept[int(M / factor / 2) :][: int(M * (1 - 1 / factor))] = 0
            kept[:, int(N / factor / 2) :][:, : int(N * (1 - 1 / factor))] = 0
        return kept.reshape(factor, M // factor, factor, N // factor).sum((0, 2))

    quick = {"gabor_2d": gabor_2d, "periodize_filter_fft": periodize_filter_fft}
    with mock.patch.multiple(kymatio_filters, **quick), scipy.fft.set_workers(-1):
        yield


@lru_cache(maxsize=4)
def teacher(
    J: int, shape: tuple[int, int], L: int = 8, max_order: int = 2, boundary: str = "kymatio"
) -> Scattering2D:
    """Return Kymatio's NumPy transform; kept, because its construction takes long.

    Parameters
    ----------
    J : int
        Log2 of the scale.
    shape : tuple of int
        (H, W).
    L : int
        Orientations.
    max_order : int
        1 or 2.
    boundary : str
        "kymatio"; "pre_pad", its option for images (H, W) that come padded; or "periodic", the
        same filters on the image's own grid, without padding.
    """
    periodic = boundary == "periodic"
    with quick_filters():
        if not periodic:
            pre_pad = boundary == "pre_pad"
            inner = tuple(side - 2 * 2**J for side in shape) if pre_pad else shape
            return Scattering2D(J, inner, L, max_order, pre_pad, frontend="numpy")
        # Made for a small image, then given the grid it is to work on.
        transform = Scattering2D(J, (2**J, 2**J), L, max_order, True, frontend="numpy")
        transform._M_padded, transform._N_padded = shape
        transform.create_filters()
    transform.unpad = lambda maps: maps
    return transform


def teach(
    images: np.ndarray, J: int, L: int = 8, max_order: int = 2, boundary: str = "kymatio"
) -> np.ndarray:
    """Return Kymatio's coefficients, computed in float64.

    If the environment variable NPSCATTER_TEACHER names a folder, they are kept there, and read
    if there are any of the same images.

    Parameters
    ----------
    images : ndarray, shape (N, H, W)
        Real.
    J, L, max_order, boundary
        As for `teacher`.

    Returns
    -------
    ndarray of float64, shape (N, C, H // 2^J, W // 2^J)
        Of the unpadded (H, W) under "pre_pad".
    """
    images = np.ascontiguousarray(images, np.float64)
    if not (folder := os.environ.get(KEPT)):
        return _taught(images, J, L, max_order, boundary)
    asked = repr((images.shape, J, L, max_order, boundary, kymatio.__version__)).encode()
    path = Path(folder, hashlib.sha256(asked + images.tobytes()).hexdigest()[:32] + ".npy")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            np.save(file, _taught(images, J, L, max_order, boundary))
    return np.load(path)


def _taught(images: np.ndarray, J: int, L: int, max_order: int, boundary: str) -> np.ndarray:
    transform = teacher(J, images.shape[-2:], L, max_order, boundary)
    # Kymatio holds every path of a batch at once, so that its memory is bounded by blocks.
    block = max(1, BLOCK_PIXELS // (images.shape[-2] * images.shape[-1]))
    starts = range(0, len(images), block)
    return np.concatenate([transform(images[start : start + block]) for start in starts])
