"""How far the Q15 transform is from the same filters in floating point, on held-out photographs.

``python -m benchmarks.q15`` writes benchmarks/results/q15.json.
"""

from __future__ import annotations

from itertools import product

import click
import numpy as np
from tqdm import tqdm

from benchmarks import results
from cexport.integer_bank import integer_bank
from cexport.quantization import Quantization
from cexport.simulation import signal_to_noise
from npscatter import FilterBank, list_banks
from npscatter.program.plan import make_plan
from tools.data import HELD_OUT_PHOTOGRAPHS
from tools.measure import COUNTS, test_images

SIZES = (32, 64)
SCALES = (1, 2, 3, 4)


def measure(name: str, size: int, J: int) -> dict:
    """Return the signal to noise ratio of one bank, size and scale, per order."""
    bank = FilterBank.load(name)
    plan = make_plan(J, (size, size), bank.architecture, 2, bank.boundary)
    images = np.rint(255 * test_images("photographs", size).clip(0, 1)).astype(np.uint8)
    ratios = signal_to_noise(Quantization(plan, integer_bank(bank)), images)
    ratios = {order: round(float(ratio), 1) for order, ratio in ratios.items()}
    return {"bank": name, "size": size, "J": J, "dB": ratios}


@click.command(help=__doc__)
def main() -> None:
    """Measure every shipped bank at every scale and size."""
    cases = [*product(list_banks(), SIZES, SCALES)]
    result = {
        "environment": results.environment("python -m benchmarks.q15"),
        "measure": "10 log10 of sum S^2 / sum (Q - S)^2 per order, S in float64 by the bank's own "
        "filters, Q in Q15 by the simulation that equals the generated C bit for bit",
        "photographs": list(HELD_OUT_PHOTOGRAPHS),
        "images": {str(size): COUNTS[size] for size in SIZES},
        "rows": [measure(*case) for case in tqdm(cases, disable=None)],
    }
    print(f"wrote {results.write('q15', result).name}: {len(cases)} rows")


if __name__ == "__main__":
    main()
