"""``npscatter plot-bank``: a bank's filters as a figure."""

from __future__ import annotations

from pathlib import Path

import click

from npscatter.bank import FilterBank
from npscatter.cli.options import (
    FIGURES,
    bank_files,
    check_apart,
    check_output,
    extra,
    figure_option,
    save_figure,
    told_in_one_line,
)
from npscatter.cli.terminal import Failure, busy, echo
from npscatter.errors import explain

# Columns of a figure; more take minutes.
MOST_DRAWN = 32


@click.command(
    "plot-bank",
    epilog="""\b
Examples:
  npscatter plot-bank accurate -o filters.png
  npscatter plot-bank my/bank.npz -o filters.pdf --next""",
)
@click.argument("name")
@figure_option(required=True)
@click.option(
    "--next", "show_next", is_flag=True, help="Show the filters of the later octaves too."
)
def plot_bank(name: str, output: Path, show_next: bool) -> None:
    """Draw the filters of bank NAME: a shipped name, or the path of an .npz file.

    Row 1 is the low-pass, row 2 the real and row 3 the imaginary parts of the wavelets, one
    column per orientation.
    """
    check_output(output, *FIGURES)
    check_apart(output, "NAME", bank_files(name))
    figures = extra("npscatter.cli.figures")
    with told_in_one_line():
        bank = FilterBank.load(name)
    if bank.L > MOST_DRAWN:
        rule = f"has {bank.L} orientations, and a figure has room for {MOST_DRAWN}"
        raise Failure(explain("NAME", name, rule, "draw some of FilterBank.load(NAME) yourself"))
    with busy("drawing"):
        save_figure(figures.bank_figure(bank, show_next), output)
    echo(output)
