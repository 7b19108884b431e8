"""Write the README's tables from the committed results.

``python -m benchmarks.readme`` replaces what stands between ``<!-- NAME -->`` and
``<!-- /NAME -->``; ``--check`` only says whether anything would change.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from benchmarks import frontier
from benchmarks.environment import RESULTS

README = Path(__file__).parents[1] / "README.md"


def percent(error: float | None) -> str:
    """Return an error in percent, two significant digits, no exponent."""
    if error is None:
        return ""
    return f"{100 * error:.0f}" if error >= 1 else f"{100 * error:.2g}"


def accuracy_table() -> str:
    """Return the accuracy table: J = 2 at every size, then `accurate` at the other scales."""
    result = json.loads((RESULTS / "accuracy.json").read_text())
    found = {
        (row["bank"], row["size"], row["J"], row["source"]): row["errors"] for row in result["rows"]
    }
    names = list(result["banks"])
    cases = [(name, size, 2) for name in names for size in (32, 64, 224)]
    cases += [("accurate", 224, J) for J in (1, 3, 4, 5)]
    cases += [(name, 224, 3) for name in names if name.startswith("accurate-")]
    lines = [
        "| bank | image | J | S0 | S1 | S2 | noise S0 | noise S1 | noise S2 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, size, J in cases:
        cells = [
            percent(found[name, size, J, source].get(order))
            for source in ("photographs", "white noise")
            for order in ("S0", "S1", "S2")
        ]
        lines.append(f"| `{name}` | {size}x{size} | {J} | {' | '.join(cells)} |")
    versions = result["environment"]["versions"]
    lines += [
        "",
        f"Relative L2 error in percent against Kymatio {versions['kymatio']} (NumPy), borders "
        "included, on crops of photographs kept out of learning "
        f"({', '.join(result['photographs'])}; {result['images']['32']}, "
        f"{result['images']['64']} and {result['images']['224']} crops of 32, 64 and 224 pixels) "
        "and on as many images of white noise. "
        f"Written by `{result['environment']['command']}`; every scale and size is in "
        "[accuracy.json](benchmarks/results/accuracy.json).",
    ]
    return "\n".join(lines)


def frontier_text() -> str:
    """Return why the accurate bank has the size it has."""
    result = json.loads((RESULTS / "frontier.json").read_text())
    rows = {frontier.label(row): row for row in result["designs"]}
    cheapest, chosen = rows[result["cheapest"]], rows[result["chosen"]]

    def told(row: dict) -> str:
        errors = row["tuned"][frontier.SHOWN]
        return (
            f"({frontier.folded_cost(row):.0f} multiply-adds per pixel, S1 "
            f"{percent(errors['S1'])} %, S2 {percent(errors['S2'])} % on {frontier.SHOWN})"
        )

    aims = ", ".join(f"{order} {100 * aim:.2g} %" for order, aim in result["aims"].items())
    text = (
        "Why `accurate` has the size it has: of the designs in "
        "[frontier.json](benchmarks/results/frontier.json), measured from the cheap end, "
        f"`{result['cheapest']}` {told(cheapest)} is the first that meets the aims at J = 2 "
        f"({aims}) once tuned"
    )
    if chosen is cheapest:
        return text + "; it is the shipped one."
    dearer = frontier.folded_cost(chosen) / frontier.folded_cost(cheapest) - 1
    return text + (
        f". The shipped `{result['chosen']}` {told(chosen)} costs {100 * dearer:.0f} % more and "
        "errs much less. The digits are the kernel sizes of psi, carry and low for the first "
        "octave, then for the later ones; r is the radius of a round support."
    )


TABLES = {"accuracy": accuracy_table, "frontier": frontier_text}


def rendered(text: str) -> str:
    """Return the README's text with every table made anew."""
    for name, table in TABLES.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        text, count = re.subn(
            pattern,
            lambda found, table=table: found[1] + table() + "\n" + found[2],
            text,
            flags=re.DOTALL,
        )
        if count != 1:
            raise click.ClickException(f"README.md has {count} places for the table {name!r}")
    return text


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if the README is stale.")
def main(check: bool) -> None:
    """Bring the README up to date."""
    old = README.read_text(encoding="utf-8")
    new = rendered(old)
    if check and new != old:
        raise click.ClickException("README.md is stale: run python -m benchmarks.readme")
    if not check:
        README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
