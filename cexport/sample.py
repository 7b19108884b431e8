"""The picture on which a Q15 header measures itself."""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from npscatter.errors import BackendError, explain, install_extra


def sample_picture(shape: tuple[int, int]) -> np.ndarray:
    """Return a part of the picture of ``npscatter demo``, or more than it by mirroring.

    Parameters
    ----------
    shape : tuple of int
        (H, W).

    Returns
    -------
    ndarray of uint8, shape (1, H, W)
    """
    try:
        from npscatter.cli.images import read_image
    except ModuleNotFoundError as error:
        if error.name != "PIL":
            raise
        raise BackendError(
            explain(
                "dtype",
                "q15",
                "needs Pillow, not installed, to read the picture it measures itself on",
                install_extra("cli"),
            )
        ) from None
    with (files("npscatter") / "cli" / "demo_data" / "camera.png").open("rb") as file:
        picture = np.rint(255 * read_image(file)).astype(np.uint8)
    for axis, side in enumerate(shape):
        missing = max(0, side - picture.shape[axis])
        margin = [(0, 0), (0, 0)]
        margin[axis] = (missing // 2, missing - missing // 2)
        picture = np.pad(picture, margin, mode="symmetric")
        first = (picture.shape[axis] - side) // 2
        picture = np.take(picture, range(first, first + side), axis)
    return picture[None]
