"""Draw the pictures of the README and of these pages: ``python -m docs.make_figures``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.figure import Figure

from npscatter import FilterBank, Scattering2D
from npscatter.__main__ import run
from npscatter.atomic_write import atomic_write
from npscatter.cli.images import read_image
from npscatter.plots import plot_coefficients, plot_filters, plot_paths
from npscatter.plots.drawing import LABEL, POSITIVE, SIGNED, bare
from npscatter.plots.maps import PERCENTILE, show_tiles

HERE = Path(__file__).resolve().parent
PICTURE = HERE.parent / "npscatter" / "cli" / "demo_data" / "camera.png"
TEXT, DPI = 11, 110


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

    K, (height, width) = wavelets.shape[-1], first.shape[-2:]
    above, below = right.subplots(2, 1, height_ratios=(1, J))
    largest, brightest = np.abs(wavelets).max(), np.percentile(first, PERCENTILE)
    heads = [f"wavelets\n{K} × {K} taps"]
    show_tiles(above, wavelets[None], heads, [], cmap=SIGNED, vmin=-largest, vmax=largest)
    heads = [f"$S_1$, $j$ = {j}\n{height} × {width}" for j in range(J)]
    show_tiles(below, first, heads, [], cmap=POSITIVE, vmin=0, vmax=brightest)
    for cell in (above, below):
        cell.tick_params(labelsize=TEXT)
    return figure


def stripes(side: int = 256) -> np.ndarray:
    """Return a picture: fine vertical stripes, and coarse oblique ones below them."""
    down, right = np.mgrid[:side, :side]
    fine = np.cos(2 * np.pi * 0.375 * right)
    coarse = np.cos(2 * np.pi * 0.375 / 4 * (down + right) / np.sqrt(2))
    return np.where(down < side // 2, fine, coarse)


def figures() -> dict[str, Figure]:
    """Return every figure by the name of its file, without the suffix."""
    picture = read_image(PICTURE).astype(np.float32)
    S = Scattering2D(J=3, shape=picture.shape)
    coefficients = S(picture)
    drawn = {
        "plots-disc": plot_coefficients(S, coefficients)[0],
        "plots-stripes": plot_coefficients(S, S(stripes()))[0],
        "plots-maps": plot_coefficients(S, coefficients, view="maps")[0],
        "plots-filters": plot_filters(S),
        "plots-spectrum": plot_filters(S, view="frequency"),
        "plots-paths": plot_paths(S),
    }
    found = {name: axes.figure for name, axes in drawn.items()}
    return {"first-look": first_look(picture, FilterBank.load("accurate")), **found}


def textures() -> Figure:
    """Show a texture and those that the code of the page of Torch finds, which takes a minute."""
    page = (HERE / "torch.md").read_text(encoding="utf-8")
    imports, *_, code = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    scope: dict[str, Any] = {}
    exec(imports + code, scope)
    return alike(scope["texture"].numpy(), scope["found"].detach().numpy())


def alike(texture: np.ndarray, found: np.ndarray) -> Figure:
    """Show a texture, and pictures that were found for its coefficients."""
    figure = Figure(figsize=(8.8, 2), layout="constrained")
    axes = figure.subplots(1, 1 + len(found))
    for cell, picture in zip(axes, (texture, *found), strict=True):
        cell.imshow(picture, cmap="gray", vmin=0, vmax=1)
        bare(cell)
    axes[0].set_xlabel("a texture", fontsize=LABEL)
    for cell in axes[1:]:
        cell.set_xlabel("found from noise", fontsize=LABEL)
    return figure


@click.command(help=__doc__)
@click.option("--textures", "with_textures", is_flag=True, help="Those of the page of Torch, too.")
def main(with_textures: bool) -> None:
    """Write every figure to ``_static``."""
    drawn = figures()
    if with_textures:
        drawn["torch-textures"] = textures()
    for name, figure in drawn.items():
        with atomic_write(HERE / "_static" / f"{name}.png") as file:
            figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})


if __name__ == "__main__":
    run(main)
