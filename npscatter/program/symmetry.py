"""The square's eight symmetries, acting on filters, orientations and carried maps.

Kymatio's Morlet wavelets are closed under the symmetries of the square (the group D4): with
theta the angle of the wave vector, flipping axis 0 sends theta to pi - theta, transposing sends
it to pi/2 - theta, and psi(theta + pi) = conj psi(theta). Carried maps are a smoothed image and
its derivatives {1, d/d0, d/d1, d2/d0d1}, which these symmetries permute and negate. A bank whose
taps do not change under the two generators is *symmetric*: rotating or mirroring the image then
permutes the coefficients exactly, and executors may fold their windows.

In every array the taps are the last two axes, and roles say what the axes before mean: "psi"
(2, L, R, K, K) with the real and the imaginary part in front, "carry" (R, R', K, K), "low"
(1, R, K, K).
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

IntOrArray = TypeVar("IntOrArray", int, np.ndarray)

GENERATORS = ("flip", "transpose")
# Sign of {1, d/d0, d/d1, d2/d0d1} when axis 0 is flipped, and their order when transposed.
_FLIPPED_SIGNS = np.array([1, -1, 1, -1])
_TRANSPOSED_ORDER = np.array([0, 2, 1, 3])
SYMMETRIC_CARRIERS = (1, 3, 4)


def angle_steps(L: int, theta: IntOrArray) -> IntOrArray:
    """Return the angle of orientation index `theta` of L in units of pi / L."""
    return L // 2 - 1 - theta


def angle(L: int, theta: IntOrArray) -> Any:
    """Return the angle of the wave vector, from axis 0 (down) towards axis 1 (right), in radians.

    Parameters
    ----------
    L : int
        Number of orientations.
    theta : int or ndarray of int
        Orientation index, 0 to L - 1, as in ``Scattering2D.meta()``.
    """
    return angle_steps(L, theta) * np.pi / L


def orientations_of(theta: int, degrees: float) -> int:
    """Return L, of which orientation `theta` has an angle of so many `degrees`."""
    return round(180 * (theta + 1) / (90 - degrees))


def orientation_action(generator: str, L: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where a symmetry sends each orientation, and whether it conjugates it.

    Parameters
    ----------
    generator : str
        "flip" (of axis 0) or "transpose".
    L : int
        Number of orientations, even; their angles are those of `angle`.

    Returns
    -------
    image : ndarray of int, shape (L,)
        Orientation t becomes orientation ``image[t]``.
    conjugate : ndarray of bool, shape (L,)
        Whether it becomes that wavelet's complex conjugate.
    """
    steps = angle_steps(L, np.arange(L))
    turned = L - steps if generator == "flip" else L // 2 - steps
    half_turns = np.floor_divide(turned + L // 2, L)
    return angle_steps(L, turned - L * half_turns), half_turns % 2 == 1


def mirrored_orientations(L: int, rounds: int) -> list[tuple[int, ...]]:
    """Return all L orientations (L even) in parts, mirror images being kept together.

    No part has more than ``max(2, L // rounds)`` of them.
    """
    mirror, _ = orientation_action("flip", L)
    pairs = sorted(
        {tuple(sorted({t, int(mirror[t])})) for t in range(L)}, key=lambda p: (-len(p), p)
    )
    parts: list[list[int]] = []
    for pair in pairs:
        for part in parts:
            if (len(part) + len(pair)) * rounds <= L:
                part += pair
                break
        else:
            parts.append([*pair])
    return [tuple(sorted(part)) for part in parts]


def act(generator: str, taps: np.ndarray, role: str) -> np.ndarray:
    """Return `taps` of a whole weight array after a symmetry of the square.

    Parameters
    ----------
    generator : str
        "flip" or "transpose".
    taps : ndarray
        Real, of the shape its `role` has (see the module's text).
    role : str
        "psi", "carry" or "low".

    Returns
    -------
    ndarray
        Of the same shape. A symmetric bank's arrays come back unchanged.
    """
    moved = np.flip(taps, -2) if generator == "flip" else np.swapaxes(taps, -1, -2)
    moved = _act_on_carriers(generator, moved, -3)
    if role == "carry":
        moved = _act_on_carriers(generator, moved, -4)
    elif role == "psi":
        image, conjugate = orientation_action(generator, taps.shape[1])
        turned = np.empty_like(moved)
        turned[:, image] = moved
        turned[1, image[conjugate]] *= -1
        moved = turned
    return moved


def _act_on_carriers(generator: str, taps: np.ndarray, axis: int) -> np.ndarray:
    carriers = taps.shape[axis]
    if generator == "transpose":
        return np.take(taps, _TRANSPOSED_ORDER[:carriers], axis=axis)
    signs = _FLIPPED_SIGNS[:carriers].reshape((-1,) + (1,) * (-axis - 1))
    return taps * signs


def is_symmetric(taps: np.ndarray, role: str) -> bool:
    """Say whether a weight array is unchanged, bit for bit, by all eight symmetries."""
    carriers = taps.shape[-4:-2] if role == "carry" else taps.shape[-3:-2]
    if not set(carriers) <= set(SYMMETRIC_CARRIERS):
        return False
    return all(np.array_equal(act(generator, taps, role), taps) for generator in GENERATORS)


def tie(shape: tuple[int, ...], role: str) -> tuple[np.ndarray, np.ndarray]:
    """Return how the entries of a symmetric weight array follow from its free numbers.

    Parameters
    ----------
    shape : tuple of int
        Of the array, as its `role` demands.
    role : str
        "psi", "carry" or "low".

    Returns
    -------
    index : ndarray of int, of `shape`
        The array is ``sign * free[index]``, with ``index.max() + 1`` free numbers.
    sign : ndarray of int8, of `shape`
        1 or -1; 0 where symmetry leaves no value but zero.
    """
    entries = np.arange(1, 1 + int(np.prod(shape))).reshape(shape)
    # Every entry takes the smallest label of its orbit. Zero, the label of an entry that some
    # symmetry sends to its own negative, is the smallest of all and so reaches the whole orbit.
    label = entries
    while True:
        known = label
        for generator in GENERATORS:
            other = act(generator, label, role)
            label = np.where(np.abs(other) < np.abs(label), other, label)
            label = np.where(other == -label, 0, label)
        if np.array_equal(label, known):
            break
    _, index = np.unique(np.where(label == 0, entries.size + 1, np.abs(label)), return_inverse=True)
    index = index.reshape(shape)
    sign = np.sign(label).astype(np.int8)
    return np.where(sign == 0, 0, index), sign
