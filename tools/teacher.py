"""Kymatio, the teacher."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

# `from kymatio.numpy import Scattering2D` pulls in the 3-D transform, which fails on SciPy >= 1.17
# (it imports a spherical harmonic that SciPy removed); the entry point below loads only 2-D.
from kymatio import Scattering2D


@lru_cache(maxsize=16)
def teacher(J: int, shape: tuple[int, int], L: int = 8, max_order: int = 2) -> Scattering2D:
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
    """
    return Scattering2D(J=J, shape=shape, L=L, max_order=max_order, frontend="numpy")


def teach(images: np.ndarray, J: int, L: int = 8, max_order: int = 2) -> np.ndarray:
    """Return Kymatio's coefficients, computed in float64.

    Parameters
    ----------
    images : ndarray, shape (N, H, W)
        Real.
    J, L, max_order : int
        As for Kymatio.

    Returns
    -------
    ndarray of float64, shape (N, C, H // 2^J, W // 2^J)
    """
    transform = teacher(J, images.shape[-2:], L, max_order)
    images = images.astype(np.float64)
    # Kymatio holds every path of a batch at once: one image at a time bounds its memory.
    return np.stack([transform(image) for image in images])
