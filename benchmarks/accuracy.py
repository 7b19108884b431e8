"""How far every shipped bank is from Kymatio, per order, on images no learning has seen.

``python -m benchmarks.accuracy`` writes benchmarks/results/accuracy.json; the README's table is
made from it by ``python -m benchmarks.readme``.
"""

from __future__ import annotations

import json

import click
from tqdm import tqdm

from benchmarks import cost
from benchmarks.results import RESULTS, environment
from npscatter import FilterBank, list_banks
from tools.data import HELD_OUT_PHOTOGRAPHS
from tools.measure import COUNTS, bank_errors

SCALES = {32: (1, 2, 3, 4), 64: (1, 2, 3, 4), 224: (1, 2, 3, 4, 5)}
SOURCES = ("photographs", "white noise")


@click.command(help=__doc__)
def main() -> None:
    """Measure every shipped bank at every scale and size."""
    rows = []
    cases = [
        (name, size, J, source)
        for size, scales in SCALES.items()
        for J in scales
        for source in SOURCES
        for name in list_banks()
    ]
    for name, size, J, source in tqdm(cases, disable=None):
        bank = FilterBank.load(name)
        errors = bank_errors(bank, J, size, source)
        rows.append({"bank": name, "size": size, "J": J, "source": source, "errors": errors})
    result = {
        "environment": environment("python -m benchmarks.accuracy"),
        "measure": "||V - S|| / ||S|| per order, over all images and whole outputs, float64, "
        "against Kymatio (NumPy)",
        "photographs": list(HELD_OUT_PHOTOGRAPHS),
        "images": COUNTS,
        "banks": {
            name: {
                "sha256": FilterBank.load(name).sha256,
                "multiply_adds_per_pixel_J2": cost.per_pixel(FilterBank.load(name)),
            }
            for name in list_banks()
        },
        "rows": rows,
    }
    path = RESULTS / "accuracy.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote {path.name}: {len(rows)} rows")


if __name__ == "__main__":
    main()
