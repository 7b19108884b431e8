"""Draw the pictures of the README and of these pages: ``python -m docs.make_figures``."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure

from npscatter import FilterBank, Scattering2D
from npscatter.__main__ import run
from npscatter.atomic_write import atomic_write
from npscatter.cli.figures import PERCENTILE, POSITIVE, SIGNED, bare
from npscatter.cli.images import read_image

HERE = Path(__file__).resolve().parent
PICTURE = HERE.parent / "npscatter" / "cli" / "demo_data" / "camera.png"
TEXT = 11


def first_look(picture: np.ndarray, bank: FilterBank, J: int = 2) -> Figure:
    """Show a picture and, a column for each orientation, wavelets and first-order coefficients.

    Parameters
    ----------
    picture : ndarray, shape (H, W)
        In [0, 1].
    bank : FilterBank
        Whose wavelets and coefficients are shown.
    J : int, optional
        Log2 of the scale: a row of coefficients for each j < J.
    """
    S = Scattering2D(J, picture.shape, bank.L, max_order=1, bank=bank)
    first = S(picture)[1:].reshape(J, bank.L, *S.output_shape[1:])
    wavelets = bank["psi_first"][:, 0].real

    figure = Figure(figsize=(11, 3.1), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(2.85, 8.15), wspace=0.02)
    axes = left.subplots()
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axes.set_xlabel(f"a picture, {picture.shape[0]} × {picture.shape[1]}", fontsize=TEXT)
    bare(axes)

    grid = right.subplots(1 + J, bank.L)
    largest = np.abs(wavelets).max()
    brightest = np.percentile(first, PERCENTILE)
    for theta in range(bank.L):
        grid[0, theta].imshow(wavelets[theta], cmap=SIGNED, vmin=-largest, vmax=largest)
        for j in range(J):
            grid[1 + j, theta].imshow(first[j, theta], cmap=POSITIVE, vmin=0, vmax=brightest)
    for cell in grid.flat:
        bare(cell)
    K = wavelets.shape[-1]
    height, width = first.shape[-2:]
    heads = [f"wavelets\n{K} × {K} taps"]
    heads += [f"$S_1$, scale {2**j}\n{height} × {width}" for j in range(J)]
    for cell, head in zip(grid[:, 0], heads, strict=True):
        cell.set_ylabel(head, fontsize=TEXT, rotation=0, ha="right", va="center")
    return figure


@click.command(help=__doc__)
def main() -> None:
    """Write every figure to ``_static``."""
    picture = read_image(PICTURE).astype(np.float32)
    figure = first_look(picture, FilterBank.load("accurate"))
    with atomic_write(HERE / "_static" / "first-look.png") as file:
        figure.savefig(file, format="png", dpi=120, metadata={"Software": None})


if __name__ == "__main__":
    run(main)
