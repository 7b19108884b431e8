"""How far banks are from Kymatio, per order and per scale, on images no learning has seen.

``python -m benchmarks.accuracy`` prints the tables of all shipped banks and writes
benchmarks/results/accuracy.json; with ``--bank`` or ``--only`` it prints less and writes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
from tqdm import tqdm

from benchmarks import results, run
from benchmarks.tables import percent, table
from npscatter import FilterBank, list_banks
from npscatter.bounds import Growth
from tools.data import HELD_OUT_PHOTOGRAPHS
from tools.evidence import SECTIONS, applies, figures, limits, measured, misses
from tools.kinds import LEAST_S2
from tools.measure import COUNTS, multiply_adds_per_pixel

COMMAND = "python -m benchmarks.accuracy"


@click.command(help=__doc__)
@click.option("--bank", "names", multiple=True, help="A shipped bank or a path; all by default.")
@click.option("--only", multiple=True, type=click.Choice(list(SECTIONS)), help="A section.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the result there.")
def main(names: tuple[str, ...], only: tuple[str, ...], output: Path | None) -> None:
    """Measure, print the tables and write the result."""
    banks = [FilterBank.load(name) for name in names or list_banks()]
    cases = [case for section in only or SECTIONS for case in SECTIONS[section].cases]
    pairs = [(bank, case) for case in cases for bank in banks if applies(bank, case)]
    result = {
        "environment": results.environment(" ".join([COMMAND, *sys.argv[1:]])),
        "measure": "||V - S|| / ||S|| over all images of a case and whole outputs, in float64",
        "photographs": list(HELD_OUT_PHOTOGRAPHS),
        "images": {str(size): count for size, count in COUNTS.items()},
        "banks": {
            bank.name: {
                "sha256": bank.sha256,
                "multiply_adds_per_pixel_J2": multiply_adds_per_pixel(bank),
                "leaks, dB": Growth(bank).leaks,
            }
            for bank in banks
        },
        "rows": [measured(*pair) for pair in tqdm(pairs, disable=None)],
    }
    print("\n\n".join(sections(result)))
    if output or not (names or only):
        print(f"wrote {results.write(output or 'accuracy', result)}: {len(pairs)} rows")


def sections(result: dict) -> Iterator[str]:
    """Yield the table of every section, under a line that says what it is, then what all are."""
    for name, section in SECTIONS.items():
        rows = [row for row in result["rows"] if row["section"] == name]
        if rows:
            yield f"**{section.words}**\n\n{_largest(rows, section.shown, 'bank')}"
        own = [row for row in rows if row["bank"] == "accurate"]
        if own and name in ("unlike", "patterns"):
            yield f"Of `accurate` alone, kind by kind:\n\n{_largest(own, section.shown, 'source')}"
    yield _leaks(result["banks"])
    images = ", ".join(f"{count} of {size}" for size, count in result["images"].items())
    yield (
        "Relative L2 errors in percent against Kymatio "
        f"{result['environment']['versions']['kymatio']} (NumPy), borders included: the largest "
        "of all cases and where, **bold** if above the limit the bank was made for. "
        f"Photographs: crops of {', '.join(result['photographs'])}. Images of a case: {images} "
        "pixels a side. What the kinds of pictures are, and which are real, `tools/kinds.py` "
        f"says; S2 of patterns counts where it has {LEAST_S2} of S1's energy."
    )


def _largest(rows: list[dict], shown: tuple[str, ...], key: str) -> str:
    """Return a table of the largest figures of rows that have the same `key`."""
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    lines = []
    for name, own in groups.items():
        count = f"{len([*filter(misses, own)])} of {len(own)}" if any(map(limits, own)) else ""
        lines.append([f"`{name}`", *(_cell(own, figure) for figure in shown), count])
    return table([key, *shown, "above a limit"], lines)


def _cell(rows: list[dict], figure: str) -> str:
    """Return a figure where it is largest, and where that is; bold if it is above its limit."""
    there = [row for row in rows if figure in figures(row)]
    above = [row for row in there if figure in misses(row)]
    if not there:
        return ""
    worst = max(above or there, key=lambda row: figures(row)[figure])
    value = percent(figures(worst)[figure])
    said = [key for key in ("source", "size") if len({row[key] for row in rows}) > 1]
    where = " ".join([*(str(worst[key]) for key in said), f"J={worst['J']}"])
    return (f"**{value}**" if above else value) + (f" ({where})" if len(rows) > 1 else "")


def _leaks(banks: dict) -> str:
    """Return what leaks into every scale."""
    lines = [
        [f"`{name}`", noise, *(f"{leak:.0f}" if leak else "" for leak in leaks)]
        for name, bank in banks.items()
        for noise, leaks in bank["leaks, dB"].items()
    ]
    scales = [f"j = {j}" for j in range(1, len(lines[0]) - 1)]
    return (
        "**What leaks through aliases into the wavelets of scale j**, in dB of the energy that "
        "Kymatio's let through, of white noise and of blue noise, whose power grows as f^2; proven "
        f"by `npscatter bounds BANK --growth`\n\n{table(['bank', 'noise', *scales], lines)}"
    )


if __name__ == "__main__":
    run(main)
