"""How far a bank's coefficients are from Kymatio's, per order."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from npscatter import FilterBank, Scattering2D
from npscatter.metrics import relative_errors
from tools.data import crops, packaged_photographs, random_images
from tools.teacher import teach

# Image side -> number of images measured.
COUNTS = {32: 96, 64: 48, 224: 6}
SEED = 20


@lru_cache(maxsize=8)
def test_images(source: str, size: int) -> np.ndarray:
    """Return the images errors are measured on, which no learning has seen.

    Parameters
    ----------
    source : str
        "photographs" (crops of the held-out ones, evenly drawn) or "white noise" (Gaussian).
    size : int
        Side, a key of `COUNTS`.

    Returns
    -------
    ndarray of float32, shape (N, size, size)
    """
    if source == "photographs":
        return crops(packaged_photographs("held-out"), size, COUNTS[size], SEED)
    return random_images(COUNTS[size], (size, size), SEED)


@lru_cache(maxsize=32)
def _teachers_coefficients(source: str, size: int, J: int, L: int) -> np.ndarray:
    return teach(test_images(source, size), J, L)


def bank_errors(
    bank: FilterBank, J: int, size: int, source: str = "photographs", boundary: str | None = None
) -> dict:
    """Return a bank's relative errors against Kymatio on the test images.

    Parameters
    ----------
    bank : FilterBank
        What is measured, by the NumPy executor in float64.
    J, size : int
        Scale, and side of the images.
    source : str
        "photographs" or "white noise".
    boundary : str, optional
        None for the bank's own.
    """
    S = Scattering2D(J, (size, size), bank.L, bank=bank, boundary=boundary, backend="numpy")
    computed = S(test_images(source, size).astype(np.float64))
    return relative_errors(
        computed, _teachers_coefficients(source, size, J, bank.L), S.meta()["order"]
    )


def photograph_errors(bank: FilterBank) -> dict:
    """Return a bank's relative errors on photographs by size and scale, as cards have them."""
    return {
        f"photographs {size}x{size} J={J}": bank_errors(bank, J, size)
        for J, size in ((1, 32), (2, 32), (2, 64), (2, 224), (3, 64))
    }
