"""Deformed images x(u - tau(u)), and a search for those that move coefficients most."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np

from npscatter.bank.cascade import grid_frequencies
from npscatter.scattering import Scattering2D


@dataclass(frozen=True)
class Deformation:
    """The worst deformation a search found.

    Attributes
    ----------
    supremum : float
        2^J ||V(x_tau) - V(x)|| / ((2^-J max |tau| + max |grad tau|) ||x||), |grad tau| being the
        spectral norm of the Jacobian of forward differences.
    image : ndarray of float64, shape (H, W)
        x.
    field : ndarray of float64, shape (2, H, W)
        tau, in pixels, with |grad tau| at most 1/2.
    attempts : int
        Pairs (x, tau) that were tried.
    """

    supremum: float
    image: np.ndarray
    field: np.ndarray
    attempts: int


def worst_deformation(transform: Scattering2D, attempts: int, seed: int) -> Deformation:
    """Return the worst of random deformations and of variations of the worst.

    Parameters
    ----------
    transform : Scattering2D
        V.
    attempts : int
        Pairs to try; half of them are random.
    seed : int
        Of the search.
    """
    generator, shape = np.random.default_rng(seed), transform.shape
    best = Deformation(-1.0, np.zeros(shape), np.zeros((2, *shape)), attempts)
    step = 1.0
    for attempt in range(attempts):
        image, field = _random_image(generator, shape), _random_field(generator, shape)
        varied = attempt >= attempts // 2 and attempt > 0
        if varied:
            # In smaller steps where larger ones fail.
            image = best.image + step * image
            field = best.field + step * np.abs(best.field).max() * field
        field = field * min(1.0, 0.5 / max(largest_gradient(field), 1e-12))
        ratio = deformation_ratio(transform, image, field)
        if ratio > best.supremum:
            best = Deformation(ratio, image / np.linalg.norm(image), field, attempts)
        elif varied:
            step = max(1e-3, 0.98 * step)
    return best


def deformed(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return x(u - tau(u)) of a periodic image, interpolated linearly.

    Parameters
    ----------
    image : ndarray, shape (H, W)
    field : ndarray, shape (2, H, W)
        tau, in pixels: down, to the right.
    """
    H, W = image.shape
    rows, columns = np.mgrid[:H, :W] - field
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    y, x = rows - top, columns - left
    result = np.zeros(image.shape)
    for i, row_weight in ((0, 1 - y), (1, y)):
        for k, column_weight in ((0, 1 - x), (1, x)):
            result += row_weight * column_weight * image[(top + i) % H, (left + k) % W]
    return result


def largest_gradient(field: np.ndarray, periodic: bool = True) -> float:
    """Return max |grad tau|: over the pixels, the largest spectral norm of the Jacobian of tau.

    The derivatives are forward differences, from a pixel to the next one down and to the right.
    Below 1 the deformation u - tau(u) folds nothing over.

    Parameters
    ----------
    field : ndarray, shape (2, H, W)
        tau, in pixels: down, to the right.
    periodic : bool
        Whether the next one of the last row and column is the first; if not, they have none.
    """
    jacobian = np.stack([np.roll(field, -1, axis) - field for axis in (1, 2)], 1)
    if not periodic:
        jacobian = jacobian[..., :-1, :-1]
    return float(np.linalg.norm(np.moveaxis(jacobian, (0, 1), (-2, -1)), 2, (-2, -1)).max())


def deformation_ratio(transform: Scattering2D, image: np.ndarray, field: np.ndarray) -> float:
    """Return `Deformation.supremum` of one image and one field."""
    J = transform.J
    difference = transform(deformed(image, field)) - transform(image)
    size = np.hypot(*field).max() / 2**J + largest_gradient(field)
    norm = np.linalg.norm(image)
    if not size or not norm:
        return 0.0
    return float(2**J * np.linalg.norm(difference) / (size * norm))


def _random_image(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return noise of norm one whose spectrum falls off with a random power, or a wave."""
    w = grid_frequencies(shape)
    if generator.random() < 0.3:
        chosen = w[generator.integers(len(w))]
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        image = np.cos(chosen[0] * rows + chosen[1] * columns + 2 * pi * generator.random())
    else:
        fall = np.maximum(np.hypot(*w.T), 2 * pi / max(shape)) ** -generator.uniform(0, 2)
        spectrum = np.fft.fft2(generator.standard_normal(shape)) * fall.reshape(shape)
        image = np.fft.ifft2(spectrum).real
    return image / max(np.linalg.norm(image), np.finfo(float).tiny)


def _random_field(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return a periodic field of a few low frequencies, at most 0.01 to 4 pixels long."""
    H, W = shape
    rows, columns = np.mgrid[:H, :W]
    field = np.zeros((2, H, W))
    for _ in range(generator.integers(1, 4)):
        wave = generator.integers(-3, 4, 2)
        phase = 2 * pi * (wave[0] * rows / H + wave[1] * columns / W + generator.random())
        field += generator.standard_normal((2, 1, 1)) * np.cos(phase)
    largest_length = max(np.hypot(*field).max(), 1e-12)
    return field / largest_length * 10 ** generator.uniform(-2, 0.6)
