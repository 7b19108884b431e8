"""Learns what headers of C cost, for `cexport.report`: measures many, and fits their counts.

``python -m tools.estimates measure`` writes benchmarks/results/microcontroller_cases.json, a row as
soon as it is measured; rows of headers that are still generated so are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict
from functools import partial
from itertools import product
from multiprocessing.pool import ThreadPool
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
)


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

    def counts(self, processor: str) -> Counts:
        """Return its counts on a processor."""
        return Counts(self.configuration, self.layout, PROCESSORS[processor])


def costs(known: list[Case], left_out: list[Case]) -> dict:
    """Return `cexport.estimates.Costs` as dicts, by dtype, target and processor."""
    found: dict = {}
    for dtype, target in product(DTYPES, TARGETS):
        groups = [
            [case for case in cases if (case.row["dtype"], case.row["target"]) == (dtype, target)]
            for cases in (known, left_out)
        ]
        found.setdefault(dtype, {})[target] = {cpu: _of_processor(cpu, *groups) for cpu in CPUS}
    return found


def _of_processor(cpu: str, known: list[Case], left_out: list[Case]) -> dict:
    instructions = least_squares(
        [_sum(case.counts(cpu).work) for case in known],
        [case.row[cpu]["instructions"] for case in known],
    )
    tables = [sum(case.counts(cpu).tables.values()) for case in known]
    code = least_squares(
        [_sum(case.counts(cpu).code) for case in known],
        [case.row[cpu]["flash_bytes"] - tables[k] for k, case in enumerate(known)],
        [case.row[cpu]["flash_bytes"] for case in known],
    )
    stack = max(case.row[cpu]["stack_bytes"] for case in [*known, *left_out])
    found = Costs(instructions, code, stack, {})
    errors = {"instructions": 0.0, "flash": 0.0}
    for case in left_out:
        counts = case.counts(cpu)
        for name, parts, measured in (
            ("instructions", found.instructions_of(counts), case.row[cpu]["instructions"]),
            ("flash", found.flash_of(counts), case.row[cpu]["flash_bytes"]),
        ):
            off = abs(sum(parts.values()) / measured - 1)
            errors[name] = round(max(errors[name], off), 4)
    return {**asdict(found), "errors": errors}


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
    names = sorted(set().union(*counts))
    relative = 1 / np.array(scale or measured, float)
    matrix = np.array([[count[name] for name in names] for count in counts]) * relative[:, None]
    size = np.abs(matrix).max(0)
    found, _ = nnls(matrix / size, np.array(measured, float) * relative)
    return {name: float(f"{cost:.6g}") for name, cost in zip(names, found / size, strict=True)}


if __name__ == "__main__":
    main()
