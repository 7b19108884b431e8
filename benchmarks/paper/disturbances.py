"""The disturbances of the paper's Table 1: noise, shift and deformation.

A picture is known to a `margin` of pixels beyond the frame that is compared, or to none (0): what a
shift or a deformation moves into the frame is read from there. Beyond what is known the picture is
mirrored, its edge not repeated, as the transform itself does.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from npscatter.errors import ArgumentError, explain


def noise(images: np.ndarray, sigma: float, seed: int | tuple[int, ...]) -> np.ndarray:
    """Return y(u) = x(u) + sigma n(u), n independent and standard normal.

    Parameters
    ----------
    images : ndarray of float32 or float64
        Any shape.
    sigma : float
        Standard deviation of what is added. One seed gives one n, whatever sigma is.
    seed : int or tuple of int
        Of NumPy's default generator.

    Returns
    -------
    ndarray
        Of the shape and type of `images`.
    """
    drawn = np.random.default_rng(seed).standard_normal(images.shape, dtype=images.dtype)
    return images + images.dtype.type(sigma) * drawn


def shift(images: np.ndarray, down: float, right: float, margin: int = 0) -> np.ndarray:
    """Return y(u) = x(u - c) for the shift c = (down, right).

    Parameters
    ----------
    images : ndarray of float, shape (..., H + 2 margin, W + 2 margin)
        Pictures with their margin.
    down, right : float
        Pixels. A whole number moves pixels as they are; between pixels a cubic spline through
        them is read, which blurs the finest detail a little.
    margin : int
        See the module.

    Returns
    -------
    ndarray, shape (..., H, W)
        Of the type of `images`.
    """
    H, W = (side - 2 * margin for side in images.shape[-2:])
    constant = np.broadcast_to(np.reshape([down, right], (2, 1, 1)), (2, H, W))
    return deform(images, constant, margin)


def displacement_field(
    shape: tuple[int, int], std: float, spacing: float, seed: int | tuple[int, ...]
) -> np.ndarray:
    """Return a smooth random displacement tau(u), a vector in pixels at every pixel.

    A square grid of nodes covers the picture from its first pixel on. The displacement of every
    node, down and right, is independent and normal with mean 0 and standard deviation `std`;
    between the nodes runs the cubic spline through them, mirrored at the first and the last node.
    There the displacement is smaller than at the nodes: its root mean square is about 0.8 `std`.

    Parameters
    ----------
    shape : tuple of int
        (H, W).
    std : float
        Of the nodes' displacements, in pixels. tau is proportional to it for one seed.
    spacing : float
        Pixels between neighbouring nodes.
    seed : int or tuple of int
        Of NumPy's default generator.

    Returns
    -------
    ndarray of float64, shape (2, H, W)
        tau: pixels down, pixels right.
    """
    # One more node than the corner needs, so that every pixel lies between two.
    counts = [max(2, int(np.ceil((side - 1) / spacing)) + 1) for side in shape]
    nodes = std * np.random.default_rng(seed).standard_normal((2, *counts))
    places = np.indices(shape) / spacing
    return np.stack([_spline(component, places) for component in nodes])


def deform(images: np.ndarray, field: np.ndarray, margin: int = 0) -> np.ndarray:
    """Return y(u) = x(u - tau(u)), x being read between pixels by a cubic spline through them.

    Parameters
    ----------
    images : ndarray of float, shape (..., H + 2 margin, W + 2 margin)
        Pictures with their margin; all are deformed alike.
    field : ndarray of float, shape (2, H, W)
        tau, in pixels down and right.
    margin : int
        See the module.

    Returns
    -------
    ndarray, shape (..., H, W)
        Of the type of `images`.

    Raises
    ------
    ValueError
        If the field is not as large as the pictures without their margin.
    """
    wanted = (2, *(side - 2 * margin for side in images.shape[-2:]))
    if field.shape != wanted:
        rule = f"must be {wanted} for images {images.shape[-2:]} with a margin of {margin}"
        remedy = "make a displacement_field of (H, W)"
        raise ArgumentError(explain("field.shape", field.shape, rule, remedy))
    places = np.indices(field.shape[1:]) - field + margin
    planes = images.reshape(-1, *images.shape[-2:])
    moved = np.empty((len(planes), *field.shape[1:]), images.dtype)
    for plane, target in zip(planes, moved, strict=True):
        target[...] = _spline(plane, places)
    return moved.reshape(*images.shape[:-2], *field.shape[1:])


def steepest_gradient(field: np.ndarray) -> float:
    """Return ||grad tau||_inf: the largest over the pixels of the Jacobian's spectral norm.

    Below 1 the deformation u - tau(u) folds nothing over.

    Parameters
    ----------
    field : ndarray of float, shape (2, H, W)
        tau. Its derivatives are central differences, one-sided at the edges.
    """
    jacobian = np.stack([np.stack(np.gradient(component)) for component in field])
    return float(np.linalg.norm(np.moveaxis(jacobian, (0, 1), (-2, -1)), 2, axis=(-2, -1)).max())


def _spline(plane: np.ndarray, places: np.ndarray) -> np.ndarray:
    return ndimage.map_coordinates(plane, places, order=3, mode="mirror")
