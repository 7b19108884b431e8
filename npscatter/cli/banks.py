"""``npscatter banks``: what is shipped."""

from __future__ import annotations

import click

import npscatter
from npscatter.bank import FilterBank
from npscatter.cli.options import told_in_one_line
from npscatter.cli.terminal import echo, echo_json

# The row of a card's errors that the table of banks shows.
MEASURED = "photographs 64x64 J=2"


@click.command(
    epilog="""\b
Examples:
  npscatter banks
  npscatter banks --json"""
)
@click.option("--json", "as_json", is_flag=True, help="Print the banks' cards instead.")
def banks(as_json: bool) -> None:
    """List the shipped banks.

    S0, S1, S2: the relative L2 error of each order against Kymatio on held-out photographs,
    64 x 64, J=2, as the bank's card has it.
    """
    with told_in_one_line():
        shipped = [FilterBank.load(name) for name in npscatter.list_banks()]
    if as_json:
        cards = {bank.name: bank.describe() for bank in shipped}
        echo_json(cards)
        return
    header = ("name", "L", "R", "psi", "carry", "low", "boundary", "symmetric", "S0", "S1", "S2")
    table = [header, *(_table_row(bank) for bank in shipped)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        echo("  ".join(cells).rstrip())
    echo(
        "",
        "psi, carry, low: kernel sizes, first octave / later octaves",
        f"S0, S1, S2: relative L2 error against Kymatio, {MEASURED}",
    )


def _table_row(bank: FilterBank) -> tuple[str, ...]:
    kernels = (
        f"{bank[f'{role}_first'].shape[-1]}/{bank[f'{role}_next'].shape[-1]}"
        for role in ("psi", "carry", "low")
    )
    errors = bank.card.get("errors", {}).get(MEASURED, {})
    measured = (
        f"{100 * errors[order]:.2g} %" if order in errors else "-" for order in ("S0", "S1", "S2")
    )
    symmetric = "yes" if bank.symmetric else "no"
    return (bank.name, str(bank.L), str(bank.R), *kernels, bank.boundary, symmetric, *measured)
