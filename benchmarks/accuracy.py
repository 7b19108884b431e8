"""How far every shipped bank is from Kymatio, per order, on images no learning has seen.

``python -m benchmarks.accuracy`` writes benchmarks/results/accuracy.json; the tables are made from
it by ``python -m benchmarks.pages``.
"""

from __future__ import annotations

from itertools import product

import click
from tqdm import tqdm

from benchmarks import cost, results
from npscatter import FilterBank, list_banks
from tools.data import HELD_OUT_PHOTOGRAPHS
from tools.measure import COUNTS, bank_errors

SCALES = {32: (1, 2, 3, 4), 64: (1, 2, 3, 4), 224: (1, 2, 3, 4, 5)}
SOURCES = ("photographs", "white noise")


@click.command(help=__doc__)
def main() -> None:
    """Measure every shipped bank at every scale and size."""
    banks = {name: FilterBank.load(name) for name in list_banks()}
    sizes = [(size, J) for size, scales in SCALES.items() for J in scales]
    rows = []
    for (size, J), source, name in tqdm([*product(sizes, SOURCES, banks)], disable=None):
        errors = bank_errors(banks[name], J, size, source)
        rows.append({"bank": name, "size": size, "J": J, "source": source, "errors": errors})
    result = {
        "environment": results.environment("python -m benchmarks.accuracy"),
        "measure": "||V - S|| / ||S|| per order, over all images and whole outputs, float64, "
        "against Kymatio (NumPy)",
        "photographs": list(HELD_OUT_PHOTOGRAPHS),
        "images": {str(size): count for size, count in COUNTS.items()},
        "banks": {
            name: {"sha256": bank.sha256, "multiply_adds_per_pixel_J2": cost.per_pixel(bank)}
            for name, bank in banks.items()
        },
        "rows": rows,
    }
    print(f"wrote {results.write('accuracy', result).name}: {len(rows)} rows")


if __name__ == "__main__":
    main()
