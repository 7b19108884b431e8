"""Magnitudes and levels: what is taken off an image before its program runs, and given back after.

The transform is homogeneous, and most banks' wavelets are blind to constants. So it may run on::

    x' = (x - level) 2^shift,    S0 = S0' 2^-shift + gain level,    S1, S2 = S1', S2' 2^-shift

of which every x' is exact, to the last bit. Without it squares, of which a modulus is the root,
overflow or vanish for images whose values are extreme, and rounding that is relative to the level
buries the contrast of images that stand on a high one. Ordinary images, nearly all, have level and
shift 0, and are computed as they come.

Both are decided image by image, from the lowest and the highest of its finite values, so that a
result depends neither on the batch nor on NaN or infinity elsewhere in the image.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from npscatter.program.plan import Plan

if TYPE_CHECKING:
    from npscatter.bank import FilterBank

# What wavelets may make of a constant and count as blind to it, relative to what their taps would
# without their signs: taps are rounded numbers.
BLIND = 16 * float(np.finfo(np.float64).eps)
# An exponent no number has.
BEYOND = 2**20


def ordinary_exponents(dtype: np.dtype | type | str, plan: Plan | None = None) -> tuple[int, int]:
    """Return the least and the greatest exponent of an ordinary image's largest magnitude.

    To a `plan` of images as they are all are ordinary.

    Within them, a sixth of the exponents of `dtype` below 1 and a third of those above, squares
    overflow for no map that grows less than 2^21-fold in float32, and vanish for none that is more
    than 2^-42 of the largest value.

    Parameters
    ----------
    dtype : dtype
        What maps are computed and stored in.

    Examples
    --------
    >>> from npscatter.program.magnitude import ordinary_exponents
    >>> ordinary_exponents("float32"), ordinary_exponents("float64")
    ((-21, 42), (-170, 341))
    """
    if plan is not None and plan.crop.as_is:
        return -BEYOND, BEYOND
    precision = np.finfo(dtype)
    return int(precision.minexp / 6), precision.maxexp // 3


def level_and_shift(
    low: float, high: float, has_level: bool, least: int, most: int
) -> tuple[float, int]:
    """Return the level and the shift of one image. Executors compile this very function.

    A level is the lowest or highest value, of which all others are so close, within a sixteenth,
    that no difference to it is rounded (Sterbenz); so images have none that are dark in places.
    An image of extreme magnitude is shifted to the greatest ordinary exponent, which keeps the
    most of its dark parts. All arithmetic is exact where it matters, in float32 as in float64.

    Parameters
    ----------
    low, high : float
        The lowest and the highest finite value; ``low > high`` if there is none.
    has_level : bool
        Whether a level may be taken off: whether there is a `level_gain`.
    least, most : int
        The `ordinary_exponents`.
    """
    level, size = 0.0, max(-low, high)
    nearest = max(low, 0.0) + min(high, 0.0)  # to zero, of values of one sign
    if has_level and low <= high and 16 * (high - low) <= abs(nearest):
        level, size = nearest, high - low
    if not 0 < size < math.inf:
        return level, 0
    exponent = math.frexp(size)[1] - 1
    return level, 0 if least <= exponent <= most else most - exponent


@lru_cache(maxsize=256)
def level_gain(plan: Plan, bank: FilterBank) -> float | None:
    """Return what S0 makes of the constant 1 (0 without S0); None where no level may be taken off.

    That is where maps do not continue as constants beyond their edge, or where a wavelet sees a
    constant; and of images that are computed as they come. Weights are taken as the bank has them,
    in float64.
    """
    if plan.edge != "wrap" or plan.crop.as_is:
        return None
    maps = np.ones(1)
    for octave in range(plan.J):
        generation = plan.architecture.generation(octave == 0, octave)
        products = bank[f"psi_{generation}"] * maps[:, None, None]
        seen, sizes = abs(products.sum((1, 2, 3))), abs(products).sum((1, 2, 3))
        if (seen > BLIND * sizes).any():
            return None
        role = "low" if octave == plan.J - 1 else "carry"
        maps = (bank[f"{role}_{generation}"] * maps[:, None, None]).sum((1, 2, 3))
    if plan.paths[0].order > 0:
        return 0.0
    return float(maps[0]) if plan.outputs.smoothed else 1.0


def taken_off(
    images: np.ndarray, level: Any, shift: Any, out: np.ndarray | None = None
) -> np.ndarray:
    """Return what a program computes instead of images: without their level, and shifted."""
    return np.ldexp(np.subtract(images, level, out=out), shift, out=out)


def give_back(
    plan: Plan, coefficients: np.ndarray, level: Any, shift: Any, gain: float | None
) -> None:
    """Make what a program computed instead coefficients of the images themselves, in place.

    `level` and `shift` are of all images, or, of shape (N, 1, 1), of each; `gain` is `level_gain`.
    """
    alike = np.reshape(shift, np.shape(shift) and (-1, *(1,) * (coefficients.ndim - 1)))
    np.ldexp(coefficients, -alike, out=coefficients)
    average = plan.maps_of(coefficients, 0)
    average += (level * np.float64(gain or 0)).astype(coefficients.dtype)
