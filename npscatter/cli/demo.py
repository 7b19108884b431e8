"""``npscatter demo``: the main job once, on a shipped picture."""

from __future__ import annotations

import io
import time
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

import npscatter
from npscatter.bank import FilterBank
from npscatter.cli.options import (
    FIGURES,
    Failure,
    backend_option,
    bank_files,
    bank_option,
    check_apart,
    check_output,
    computing,
    extra,
    figure_option,
    save_figure,
    scale_option,
    times,
    told_in_one_line,
)
from npscatter.cli.terminal import echo
from npscatter.features import relative_errors

if TYPE_CHECKING:
    from importlib.abc import Traversable

DEMO: Traversable = files("npscatter.cli") / "demo_data"


@click.command(
    epilog="""\b
Examples:
  npscatter demo
  npscatter demo --bank paper -o paper.png
  npscatter demo --no-figure"""
)
@bank_option
@scale_option()
@backend_option
@figure_option(default="npscatter-demo.png", show_default=True)
@click.option("--no-figure", is_flag=True, help="Print only; needs no matplotlib.")
def demo(bank: str, J: int, backend: str, output: Path, no_figure: bool) -> None:
    """Transform a shipped picture, check it against Kymatio, draw it.

    The check compares a crop of the picture with coefficients that Kymatio computed (J=2, L=8);
    Kymatio itself is not needed.
    """
    if not no_figure:
        check_output(output, *FIGURES)
        check_apart(output, "--bank", bank_files(bank))
    images = extra("npscatter.cli.images")
    figures = None if no_figure else extra("npscatter.cli.figures")
    with as_file(_shipped("camera.png")) as path:
        picture = images.read_image(path).astype(np.float32)
    with np.load(io.BytesIO(_shipped("camera-kymatio-J2-L8.npz").read_bytes())) as stored:
        reference = {key: stored[key] for key in stored.files}
    with told_in_one_line(computing):
        filters = FilterBank.load(bank)
        S = npscatter.Scattering2D(J, picture.shape, filters.L, backend=backend, bank=filters)
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            coefficients = S(picture)
            seconds.append(time.perf_counter() - start)
    echo(f"npscatter     {npscatter.__version__}")
    echo(f"bank          {filters.name} (sha256 {filters.sha256[:16]})")
    echo(f"backend       {S.backend}")
    echo(f"transform     J={S.J}, L={S.L}, order {S.max_order}, boundary {S.boundary}")
    echo(f"picture       {times(picture.shape)}, {picture.dtype}, in [0, 1]")
    echo(f"coefficients  {times(coefficients.shape)}")
    echo(
        f"time          {1e3 * seconds[1]:.1f} ms, one call, not a benchmark "
        f"(the very first call: {1e3 * seconds[0]:.1f} ms)"
    )
    crop = None
    if (S.J, S.L) == (reference["J"], reference["L"]):
        crop = tuple(int(number) for number in reference["crop"])
        _print_errors(picture, crop, reference, S)
    else:
        echo("error         not checked: Kymatio's coefficients are stored for J=2, L=8 only")
    if figures is not None:
        figure = figures.demo_figure(picture, crop, filters, coefficients, S.meta())
        save_figure(figure, output)
        echo(f"figure        {output}")


def _shipped(name: str) -> Traversable:
    file = DEMO / name
    if not file.is_file():
        raise Failure(f"{file} is shipped with npscatter, and is missing: install npscatter again")
    return file


def _print_errors(
    picture: np.ndarray, crop: tuple[int, ...], reference: dict, S: npscatter.Scattering2D
) -> None:
    row, column, height, width = crop
    part = picture[row : row + height, column : column + width]
    ours = npscatter.scatter(part, S.J, L=S.L, bank=S.bank, backend=S.backend)
    order = S.meta()["order"]
    echo("error         relative L2 distance ||V - S|| / ||S|| to Kymatio's coefficients,")
    echo(
        f"              on the crop of rows {row} to {row + height - 1}, "
        f"columns {column} to {column + width - 1}, as a picture of its own:"
    )
    for name, error in relative_errors(ours, reference["coefficients"], order).items():
        echo(f"              {name}  {error:.2e}")
    echo(f"              stored from {', '.join(reference['versions'])}")
