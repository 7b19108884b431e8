"""``npscatter export-onnx``: a transform as an ONNX model."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

from npscatter.cli.options import (
    STANDARD_OUTPUT,
    bank_files,
    bank_option,
    check_apart,
    check_output,
    output_file,
    output_option,
    scale_option,
    told_in_one_line,
    transform_options,
)
from npscatter.cli.terminal import echo
from npscatter.scattering import Scattering2D


@click.command(
    "export-onnx",
    epilog="""\b
Examples:
  npscatter export-onnx --J 2 --shape 32 32 -o scattering.onnx
  npscatter export-onnx --J 3 --shape 96 128 --dtype float16 -o half.onnx
  npscatter export-onnx --shape 32 32 --batch N --batch 3 -o colour.onnx""",
)
@bank_option
@scale_option()
@transform_options
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16", "float64"]),
    default="float32",
    show_default=True,
    help="Of images, weights and coefficients.",
)
@click.option(
    "--batch",
    multiple=True,
    default=("N",),
    show_default=True,
    metavar="NAME|LENGTH",
    help="An axis before H and W, of any length if it is named; once for each.",
)
@click.option(
    "--plain",
    is_flag=True,
    help="Only the correlations and moduli: extreme images are not brought to ordinary magnitude.",
)
@output_option("The model to write.", required=True)
def export_onnx(
    output: Path, dtype: str, batch: tuple[str, ...], plain: bool, **transform: Any
) -> None:
    """Write a transform as an ONNX model, which runs wherever ONNX does.

    Its input "images" has shape (N, H, W), its output "coefficients" (N, C, H/2^J, W/2^J).
    """
    check_output(output)
    check_apart(output, "--bank", bank_files(transform["bank"]))
    axes = [int(axis) if axis.isascii() and axis.isdigit() else axis for axis in batch]
    with told_in_one_line("making the graph"):
        door = importlib.import_module("npscatter.onnx")
        S = Scattering2D(**transform, backend="numpy")
        model = door.make_model(S, dtype=dtype, batch=axes, magnitudes=not plain)
    with output_file(output) as file:
        file.write(model.SerializeToString())
    if output != STANDARD_OUTPUT:
        echo(output)
