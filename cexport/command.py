"""The command line ``python -m cexport``, also ``npscatter export-c``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cexport.configuration import DTYPES, TARGETS
from cexport.generator import generate
from cexport.report_options import report_options, reported
from npscatter.cli.options import (
    bank_option,
    check_output,
    output_file,
    output_option,
    told_in_one_line,
    transform_options,
)


@click.command(
    "export-c",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  python -m cexport --J 2 --shape 32 32 -o nps.h
  python -m cexport --J 2 --shape 32 32 --dtype q15 --rounds 4 -o nps.h
  python -m cexport --J 2 --shape 28 28 --dtype q15 --classifier digits.npz -o nps.h
  python -m cexport --bank paper --weights-only -o paper.h
  python -m cexport --J 2 --shape 32 32 --dtype q15 --rounds 4 --report
  python -m cexport --J 2 --shape 32 32 --fit 64K 256K""",
)
@bank_option
@click.option("--J", "J", type=int, default=2, show_default=True, help="Log2 of the scale.")
@transform_options
@click.option(
    "--rounds",
    type=int,
    default=1,
    show_default=True,
    help="Take the orientations in so many rounds: less memory, somewhat more work.",
)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    default="float",
    show_default=True,
    help="float, or q15: integers only, from bytes to 16-bit numbers.",
)
@click.option(
    "--target",
    type=click.Choice(TARGETS),
    help="What to spare: instructions, or flash and scratch memory.  [default: speed, but size for "
    "large filters without symmetry]",
)
@click.option("--prefix", default="nps", show_default=True, help="What every name begins with.")
@click.option(
    "--weights-only",
    is_flag=True,
    help="Only the filters, as documented arrays; J, shape and the like are without effect.",
)
@click.option(
    "--classifier",
    metavar="PATH",
    help="An .npz file of cexport.LinearClassifier: the header classifies images too.",
)
@report_options
@output_option("The header to write.  [default: standard output]")
def export_c(
    output: Path | None,
    report: bool,
    fit: tuple[int, int] | None,
    streamed: bool,
    cpu: str | None,
    **arguments: Any,
) -> None:
    """Generate a C99 header that computes the scattering transform, and may classify by it."""
    if output is not None:
        check_output(output)
    with told_in_one_line("generating the header; large images and q15 take longest"):
        text = reported(arguments, report, fit, streamed, cpu) or generate(**arguments)
    if output is None:
        click.echo(text, nl=False)
        return
    with output_file(output) as file:
        file.write(text.encode("ascii"))
