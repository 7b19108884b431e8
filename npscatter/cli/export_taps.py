"""``npscatter export-taps``: a bank's filters as plain arrays."""

from __future__ import annotations

from pathlib import Path

import click

from npscatter.bank import FilterBank
from npscatter.bank.plain_taps import DTYPES, SUFFIXES, encode
from npscatter.cli.options import (
    bank_files,
    check_apart,
    check_output,
    output_file,
    output_option,
    told_in_one_line,
)
from npscatter.cli.terminal import echo


@click.command(
    "export-taps",
    epilog="""\b
Examples:
  npscatter export-taps accurate -o accurate-taps.npz
  npscatter export-taps my/bank.npz --dtype float16 -o taps.safetensors""",
)
@click.argument("name")
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default="float32",
    show_default=True,
    help="Of the arrays.",
)
@output_option("The file to write: .npz or .safetensors.", required=True)
def export_taps(name: str, dtype: str, output: Path) -> None:
    """Write the filters of bank NAME as convolution layers have them.

    NAME is a shipped name, or the path of an .npz file. For C arrays there is
    "npscatter export-c --weights-only".
    """
    check_output(output, *SUFFIXES)
    check_apart(output, "NAME", bank_files(name))
    with told_in_one_line():
        content = encode(FilterBank.load(name), output, dtype)
    with output_file(output) as file:
        file.write(content)
    echo(output)
