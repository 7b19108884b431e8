"""Make what ``npscatter demo`` shows: a picture, and Kymatio's coefficients of a crop of it.

\b
    python -m tools.make_demo [FOLDER]

The picture is scikit-image's "camera", halved by exact 2x2 means. The same versions of the
libraries make the same bytes.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import click
import numpy as np

from npscatter.atomic_write import atomic_write
from npscatter.cli.terminal import echo
from tools import run

FOLDER = Path(__file__).parent.parent / "npscatter" / "cli" / "demo_data"
# First row and column of the crop (the face and the camera), and its side.
CROP = (32, 96, 64)
J, L = 2, 8


def make_picture() -> np.ndarray:
    """Return the picture, uint8, shape (256, 256): means of 2x2 pixels, halves to even."""
    from skimage.data import camera

    pixels = camera().astype(np.float64)
    height, width = pixels.shape
    return np.rint(pixels.reshape(height // 2, 2, width // 2, 2).mean((1, 3))).astype(np.uint8)


def make_reference(picture: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the coefficient file holds.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W)

    Returns
    -------
    dict of ndarray
        ``coefficients`` (81, 16, 16), float32: Kymatio's, of the crop alone, in [0, 1], computed
        from float64; ``crop``: its first row, first column, height and width; ``J``, ``L``; and
        ``versions``, of the libraries.
    """
    from tools.teacher import teacher

    row, column, side = CROP
    crop = picture[row : row + side, column : column + side] / 255
    coefficients = teacher(J, (side, side), L=L, max_order=2)(crop)
    libraries = ("kymatio", "numpy", "scipy", "scikit-image")
    return {
        "coefficients": np.asarray(coefficients, np.float32),
        "crop": np.array([row, column, side, side]),
        "J": np.array(J),
        "L": np.array(L),
        "versions": np.array([f"{library} {version(library)}" for library in libraries]),
    }


def make_demo(folder: Path) -> list[Path]:
    """Write both files to `folder`, and return their paths."""
    from PIL import Image

    picture = make_picture()
    paths = [folder / "camera.png", folder / f"camera-kymatio-J{J}-L{L}.npz"]
    with atomic_write(paths[0]) as file:
        Image.fromarray(picture).save(file, "PNG", optimize=True)
    with atomic_write(paths[1]) as file:
        np.savez_compressed(file, **make_reference(picture))
    return paths


@click.command(help=__doc__)
@click.argument("folder", default=FOLDER, type=click.Path(path_type=Path, file_okay=False))
def main(folder: Path) -> None:
    """Write the files and say so."""
    for path in make_demo(folder):
        echo(f"{path} ({path.stat().st_size} bytes)")


if __name__ == "__main__":
    run(main)
