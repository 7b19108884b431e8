"""Markdown tables, how numbers stand in them, and the pages they are written into."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from npscatter.atomic_write import atomic_write

ROOT = Path(__file__).parents[1]


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table; ValueError if a row has not as many cells as there are titles."""
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
    """Return a page's text with every table NAME made anew.

    It stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``. Refused is a page whose markers are
    not those of the tables, each once.
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
    """Bring a page, by its path from the root, up to date.

    With `check` nothing is written, and a stale page is refused: the remedy is the command.
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
