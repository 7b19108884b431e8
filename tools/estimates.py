"""Learns what headers of C cost, for `cexport.report`: measures many, and fits their counts.

``python -m tools.estimates measure`` writes benchmarks/results/microcontroller_cases.json, a row as
soon as it is measured; rows of headers that are still generated so are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from functools import cache, partial
from itertools import product
from multiprocessing.pool import ThreadPool
from operator import pos
from pathlib import Path

import click
import numpy as np
from scipy.optimize import nnls
from tqdm import tqdm

import cexport
from benchmarks import results
from benchmarks.microcontroller import ARGUMENTS, CPUS, header_of, measure
from cexport.configuration import DTYPES, TARGETS, Configuration
from cexport.counts import PROCESSORS, Counts
from cexport.estimates import Costs
from cexport.footprint import header_layout
from npscatter.atomic_write import atomic_write
from tools import run

ESTIMATES = Path(cexport.__file__).parent / "estimates.json"
CASES = "microcontroller_cases"
# Of every dtype and target the same, as unlike as they are quickly measured: bank, side, J, order,
# rounds, boundary.
HEADERS = (
    ("accurate", 24, 2, 2, 2, None),
    ("accurate", 16, 3, 2, 4, None),
    ("accurate-L6", 17, 2, 1, 3, None),
    ("accurate-L4", 20, 2, 2, 2, "zero"),
    ("fast", 32, 1, 1, 1, None),
    ("fast-L6", 24, 2, 2, 1, None),
    ("fast-L4", 48, 3, 2, 2, None),
    ("paper-tuned", 32, 3, 2, 1, None),
    ("paper-tuned", 16, 2, 1, 4, None),
    ("paper", 24, 2, 2, 2, None),
    ("accurate", 12, 1, 1, 1, None),
    ("fast-L4", 16, 1, 1, 1, None),
    ("paper-tuned", 24, 1, 1, 2, None),
    ("fast", 16, 2, 2, 4, "zero"),
    ("accurate-L4", 56, 1, 1, 2, None),
    ("accurate-L6", 24, 3, 2, 2, "periodic"),
    ("paper", 16, 1, 1, 1, None),
    ("fast-L4", 20, 2, 2, 2, "zero"),
    ("accurate-L4", 28, 2, 1, 1, None),
)


# What both targets do by the same C.
SHARED = ("moduli", "copied")


def cases() -> list[dict]:
    """Return every case as `benchmarks.microcontroller.measure` takes it."""
    found = []
    for header in HEADERS:
        bank, side, J, max_order, rounds, boundary = header
        for dtype, target in product(DTYPES, TARGETS):
            values = bank, side, J, max_order, dtype, rounds, target
            found.append(dict(zip(ARGUMENTS, values, strict=True), boundary=boundary))
    return found


def measured(case: dict, known: dict[str, dict]) -> dict:
    """Return a case's costs, and by which header; the row of the same header if it is known."""
    header = header_of(**case)
    digest = hashlib.sha256(header.encode()).hexdigest()
    return known.get(digest) or {**measure(header, **case), "header_sha256": digest}


@click.group(help=__doc__)
def main() -> None:
    """Measure, or fit."""


@main.command("measure")
@click.option("--jobs", default=1, show_default=True, help="Cases that are measured side by side.")
def measure_cases(jobs: int) -> None:
    """Measure every case on every processor."""
    path = results.path_of(CASES)
    there = results.read(CASES)["rows"] if path.exists() else []
    known = {row["header_sha256"]: row for row in there}
    result = {
        "environment": results.environment("python -m tools.estimates measure"),
        "compiler": results.version_of("arm-none-eabi-gcc"),
        "emulator": results.version_of("qemu-system-arm"),
        "optimisation": {cpu: optimisation for cpu, (_, optimisation) in CPUS.items()},
        "rows": [],
    }
    every = cases()
    with ThreadPool(jobs) as pool:
        rows = tqdm(
            pool.imap(partial(measured, known=known), every), total=len(every), disable=None
        )
        for row in rows:
            result["rows"].append(row)
            done = {row["header_sha256"] for row in result["rows"]}
            rest = [row for digest, row in known.items() if digest not in done]
            complete = len(done) == len(every)
            results.write(CASES, {**result, "rows": result["rows"] + ([] if complete else rest)})
    print(f"wrote {path.name}: {len(every)} rows")


@main.command("fit")
def fit() -> None:
    """Learn what counts cost, and how far that is off on headers left out of learning."""
    measured_cases = results.read(CASES)
    left_out = results.read("microcontroller")
    learned = {
        "command": "python -m tools.estimates fit",
        **{name: measured_cases[name] for name in ("compiler", "emulator", "optimisation")},
        "costs": costs([*map(Case, measured_cases["rows"])], [*map(Case, left_out["rows"])]),
    }
    with atomic_write(ESTIMATES) as file:
        file.write((json.dumps(learned, indent=1) + "\n").encode())
    print(f"wrote {ESTIMATES.name}")
    for (dtype, target), processors in product(product(DTYPES, TARGETS), [learned["costs"]]):
        for name, of_processor in processors[dtype][target].items():
            print(dtype, target, name, of_processor["errors"])


class Case:
    """A row of measurements, with the counts of its header."""

    def __init__(self, row: dict):
        self.row = row
        names = ("max_order", "dtype", "rounds", "target", "boundary")
        options = {name: row[name] for name in names if name in row}
        self.configuration = Configuration(row["bank"], row["J"], (row["side"],) * 2, **options)
        self.layout = header_layout(self.configuration)

    @cache  # noqa: B019
    def counts(self, processor: str) -> Counts:
        """Return its counts on a processor."""
        return Counts(self.configuration, self.layout, PROCESSORS[processor])


def costs(known: list[Case], left_out: list[Case]) -> dict:
    """Return `cexport.estimates.Costs` as dicts, by dtype, target and processor.

    They are learned of all that is known. Their errors are those of the cases left out, and of each
    known one, learned from the others.
    """
    found: dict = {dtype: {target: {} for target in TARGETS} for dtype in DTYPES}
    for dtype, cpu in product(DTYPES, CPUS):
        own, others = (
            [case for case in cases if case.row["dtype"] == dtype] for cases in (known, left_out)
        )
        learned = _learned(cpu, own)
        off = [(case, _off(learned, cpu, case)) for case in others]
        for number, case in enumerate(own):
            off.append((case, _off(_learned(cpu, own[:number] + own[number + 1 :]), cpu, case)))
        for target in TARGETS:
            rows = [one for case, one in off if case.row["target"] == target]
            errors = {name: round(max(abs(one[name]) for one in rows), 4) for name in rows[0]}
            found[dtype][target][cpu] = {**asdict(learned[target]), "errors": errors}
    return found


def _learned(cpu: str, cases: list[Case]) -> dict[str, Costs]:
    """Return what counts cost, by target, learned from cases of one dtype."""
    counts = {case: case.counts(cpu) for case in cases}
    work = [_by_target(_sum(counts[case].work), case.row["target"]) for case in cases]
    instructions = least_squares(work, [case.row[cpu]["instructions"] for case in cases])
    found = {}
    for target in TARGETS:
        own = [case for case in cases if case.row["target"] == target]
        flash = [case.row[cpu]["flash_bytes"] for case in own]
        tables = [sum(counts[case].tables.values()) for case in own]
        code = [whole - table for whole, table in zip(flash, tables, strict=True)]
        names = set().union(*(_sum(counts[case].work) for case in own))
        found[target] = Costs(
            {name: instructions[_name(name, target)] for name in sorted(names)},
            least_squares([_sum(counts[case].code) for case in own], code, flash),
            least_squares(
                [counts[case].stack for case in own], [case.row[cpu]["stack_bytes"] for case in own]
            ),
            {},
        )
    return found


def _by_target(counts: Counter[str], target: str) -> Counter[str]:
    return Counter({_name(name, target): count for name, count in counts.items()})


def _name(name: str, target: str) -> str:
    """Return a count's name: the same for both targets where the C is the same."""
    return name if name in SHARED else f"{target}: {name}"


def _off(learned: dict[str, Costs], cpu: str, case: Case) -> dict[str, float]:
    """Return the relative errors of a case's estimates."""
    costs, counts, row = learned[case.row["target"]], case.counts(cpu), case.row[cpu]
    return {
        "instructions": sum(costs.instructions_of(counts).values()) / row["instructions"] - 1,
        "flash": sum(costs.flash_of(counts).values()) / row["flash_bytes"] - 1,
        "stack": costs.stack_of(counts) / row["stack_bytes"] - 1,
    }


def _sum(parts: dict[str, Counter]) -> Counter:
    return sum(parts.values(), Counter())


def least_squares(
    counts: list[Counter], measured: list[float], scale: list[float] | None = None
) -> dict[str, float]:
    """Return costs, none negative, whose relative errors have the least squares.

    Parameters
    ----------
    counts : list of Counter
        Of every case.
    measured : list of float
        What counts times costs should be.
    scale : list of float, optional
        What errors are relative to; `measured` by default.
    """
    names = sorted(set().union(*map(pos, counts)))
    relative = 1 / np.array(scale or measured, float)
    matrix = np.array([[count[name] for name in names] for count in counts]) * relative[:, None]
    size = np.abs(matrix).max(0)
    found, _ = nnls(matrix / size, np.array(measured, float) * relative)
    return {name: float(f"{cost:.6g}") for name, cost in zip(names, found / size, strict=True)}


if __name__ == "__main__":
    run(main)
