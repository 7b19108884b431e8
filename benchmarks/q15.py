"""How far Q15, and carried maps stored in float16, are from the same filters in floating point.

``python -m benchmarks.q15`` writes benchmarks/results/q15.json, from held-out photographs; with
``--bank`` it only prints those of one bank, by its name or path.
"""

from __future__ import annotations

from itertools import product

import click
import numpy as np
from tqdm import tqdm

from benchmarks import results, run
from cexport.integer_bank import integer_bank
from cexport.quantization import Quantization
from cexport.simulation import signal_to_noise
from npscatter import FilterBank, list_banks
from npscatter.program.plan import make_plan
from tools.data import HELD_OUT_PHOTOGRAPHS
from tools.measure import COUNTS, float16_errors, test_images

SIZES = (32, 64)
SCALES = (1, 2, 3, 4, 5)


def measure(bank: FilterBank, size: int, J: int) -> dict:
    """Return one bank's signal to noise ratio in Q15 and relative errors in float16, per order."""
    plan = make_plan(J, (size, size), bank.architecture, 2, bank.boundary)
    images = np.rint(255 * test_images("photographs", size).clip(0, 1)).astype(np.uint8)
    ratios = signal_to_noise(Quantization(plan, integer_bank(bank)), images)
    decibels = {order: round(float(ratio), 1) for order, ratio in ratios.items()}
    errors = float16_errors(bank, J, size)
    return {"bank": bank.name, "size": size, "J": J, "dB": decibels, "float16": errors}


@click.command(help=__doc__)
@click.option("--bank", "name", help="Only this bank; nothing is written.")
def main(name: str | None) -> None:
    """Measure every shipped bank at every scale and size."""
    banks = [FilterBank.load(each) for each in ([name] if name else list_banks())]
    rows = [measure(*case) for case in tqdm([*product(banks, SIZES, SCALES)], disable=None)]
    print(*rows, sep="\n")
    result = {
        "environment": results.environment("python -m benchmarks.q15"),
        "measure": "dB: 10 log10 of sum S^2 / sum (Q - S)^2 per order, S in float64 by the bank's "
        "own filters, Q in Q15 by the simulation that equals the generated C bit for bit; "
        "float16: relative error of carried maps rounded to it",
        "photographs": list(HELD_OUT_PHOTOGRAPHS),
        "images": {str(size): COUNTS[size] for size in SIZES},
        "rows": rows,
    }
    if not name:
        print(f"wrote {results.write('q15', result).name}: {len(rows)} rows")


if __name__ == "__main__":
    run(main)
