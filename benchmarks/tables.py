"""Markdown tables, how numbers stand in them, and the pages they are written into."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from npscatter.atomic_write import atomic_write

ROOT = Path(__file__).parents[1]


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table.

    Parameters
    ----------
    head : list of str
        The titles of the columns.
    rows : iterable of list of str
        As many cells each; ValueError otherwise.
    """
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"{len(row)} cells under {len(head)} titles: {row}")
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Return three significant digits, with an exponent only below 1e-4 and from 1e5 on."""
    if value is None:
        return ""
    return f"{value:.0f}" if 100 <= abs(value) < 1e5 else f"{value:.3g}"


def percent(error: float | None) -> str:
    """Return an error in percent, two significant digits, no exponent."""
    if error is None:
        return ""
    return f"{100 * error:.0f}" if error >= 1 else f"{100 * error:.2g}"


def filled(page: str, text: str, tables: dict[str, Callable[[], str]]) -> str:
    """Return the text of a page with what stands between its markers made anew.

    Parameters
    ----------
    page : str
        Its name, for what is raised if markers and tables are not the same, once each.
    text : str
        What it holds; a table NAME stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``.
    tables : dict of callable
        NAME -> what returns the table.
    """
    marked = re.findall(r"^<!-- (\w+) -->$", text, re.MULTILINE)
    if sorted(marked) != sorted(tables):
        raise click.ClickException(
            f"{page} has places for the tables {sorted(marked)} and should have {sorted(tables)}"
        )
    for name, make in tables.items():
        pattern = rf"(?<=^<!-- {name} -->\n).*?(?=^<!-- /{name} -->$)"
        made = make() + "\n"
        text, count = re.subn(pattern, lambda _, made=made: made, text, flags=re.M | re.S)
        if count != 1:
            raise click.ClickException(f"{page}: the table {name!r} has no end")
    return text


def update(page: str, tables: dict[str, Callable[[], str]], check: bool, remedy: str) -> None:
    """Bring a page up to date; with `check` write nothing, and raise if it is stale.

    Parameters
    ----------
    page : str
        Its path from the root of the repository.
    tables : dict of callable
        As for `filled`.
    check : bool
        Whether to look only.
    remedy : str
        The command that writes it.
    """
    path = ROOT / page
    if not path.exists():
        raise click.ClickException(f"there is no {page}")
    old = path.read_text(encoding="utf-8")
    new = filled(page, old, tables)
    if check and new != old:
        raise click.ClickException(f"{page} is stale: run {remedy}")
    if new != old:
        with atomic_write(path) as file:
            file.write(new.encode())
