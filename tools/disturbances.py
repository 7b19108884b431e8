"""The disturbances of the paper's Table 1: noise, shift and deformation.

A picture (..., H + 2 margin, W + 2 margin) is known to a `margin` of pixels beyond the frame that
is compared, or to none (0): what a shift or a deformation moves into the frame is read from there.
Beyond what is known it is mirrored, its edge not repeated, as the transform itself does.
Displacements (2, H, W) are in pixels, down and right; seeds are NumPy's.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from npscatter.bounds.deformation import largest_gradient
from npscatter.errors import ArgumentError, explain


def frame(images: np.ndarray, margin: int) -> np.ndarray:
    """Return images (..., H + 2 margin, W + 2 margin) without their margin."""
    H, W = images.shape[-2:]
    return images[..., margin : H - margin, margin : W - margin]


def disturbed(images: np.ndarray, margin: int, kind: str, strength: float, seed: int) -> np.ndarray:
    """Return images (N, C, H, W), with their margin before, under a disturbance of the paper.

    Its `kind` is "noise", of standard deviation `strength`; "shift", by as many pixels down as
    right; or "deformation", by `fields` of that standard deviation. The noise is another one for
    every image and channel, the deformation another one for every image; at all strengths they
    are the same but for their size.
    """
    if kind == "noise":
        return noise(frame(images, margin), strength, seed)
    if kind == "shift":
        return shift(images, strength, strength, margin)
    side = images.shape[-1] - 2 * margin
    moved = zip(images, fields(len(images), side, strength, seed), strict=True)
    return np.stack([deform(*each, margin) for each in moved])


def fields(count: int, side: int, std: float, seed: int) -> Iterator[np.ndarray]:
    """Yield displacement fields of square images, of 3 x 3 nodes from corner to corner."""
    for index in range(count):
        yield displacement_field((side, side), std, (side - 1) / 2, (seed, index))


def field_sizes(count: int, side: int, std: float, seed: int) -> dict[str, float]:
    """Return how large `fields` and their gradients are."""
    found = list(fields(count, side, std, seed))
    gradients = [largest_gradient(field, periodic=False) for field in found]
    return {
        "root mean square of tau": float(np.sqrt(np.mean(np.square(found)))),
        "max |grad tau|, median": float(np.median(gradients)),
        "max |grad tau|, largest": float(np.max(gradients)),
    }


def noise(images: np.ndarray, sigma: float, seed: int | tuple[int, ...]) -> np.ndarray:
    """Return y(u) = x(u) + sigma n(u), n standard normal, the same for any sigma."""
    drawn = np.random.default_rng(seed).standard_normal(images.shape, dtype=images.dtype)
    return images + images.dtype.type(sigma) * drawn


def shift(images: np.ndarray, down: float, right: float, margin: int = 0) -> np.ndarray:
    """Return y(u) = x(u - c) for the shift c = (down, right); see `deform`."""
    H, W = (side - 2 * margin for side in images.shape[-2:])
    constant = np.broadcast_to(np.reshape([down, right], (2, 1, 1)), (2, H, W))
    return deform(images, constant, margin)


def displacement_field(
    shape: tuple[int, int], std: float, spacing: float, seed: int | tuple[int, ...]
) -> np.ndarray:
    """Return a smooth random displacement tau(u), a vector at every pixel of an (H, W).

    A square grid of nodes, `spacing` pixels apart, covers the picture from its first pixel on. The
    displacement of every node, down and right, is independent and normal with mean 0 and standard
    deviation `std`, to which tau is proportional for one seed; between the nodes runs the cubic
    spline through them, mirrored at the first and the last node. There the displacement is smaller
    than at the nodes: its root mean square is about 0.8 `std`.
    """
    # One more node than the corner needs, so that every pixel lies between two.
    counts = [max(2, int(np.ceil((side - 1) / spacing)) + 1) for side in shape]
    nodes = std * np.random.default_rng(seed).standard_normal((2, *counts))
    return np.stack([_spline(component, np.indices(shape) / spacing) for component in nodes])


def deform(images: np.ndarray, field: np.ndarray, margin: int = 0) -> np.ndarray:
    """Return y(u) = x(u - tau(u)) for tau (2, H, W); ValueError if it has another shape.

    Between pixels a cubic spline through them is read, which blurs the finest detail a little.
    """
    wanted = (2, *(side - 2 * margin for side in images.shape[-2:]))
    if field.shape != wanted:
        rule = f"must be {wanted} for images {images.shape[-2:]} with a margin of {margin}"
        remedy = "make a displacement_field of (H, W)"
        raise ArgumentError(explain("field.shape", field.shape, rule, remedy))
    places = np.indices(field.shape[1:]) - field + margin
    planes = images.reshape(-1, *images.shape[-2:])
    moved = np.stack([_spline(plane, places) for plane in planes])
    return moved.reshape(*images.shape[:-2], *field.shape[1:])


def _spline(plane: np.ndarray, places: np.ndarray) -> np.ndarray:
    return ndimage.map_coordinates(plane, places, order=3, mode="mirror")
