"""How far the Q15 transform is from the same filters in floating point, on held-out photographs.

``python -m benchmarks.q15`` writes benchmarks/results/q15.json.
"""

from __future__ import annotations

import json

import click
import numpy as np
from tqdm import tqdm

from benchmarks.results import RESULTS, environment
from cexport.quantization import IntegerBank, Quantization
from cexport.simulation import signal_to_noise
from npscatter import FilterBank, list_banks
from npscatter.program.plan import make_plan
from tools.data import HELD_OUT_PHOTOGRAPHS
from tools.measure import COUNTS, test_images

SIZES = (32, 64)
SCALES = (1, 2, 3, 4)


def photograph_bytes(size: int) -> np.ndarray:
    """Return the held-out crops of one size as bytes, shape (N, size, size)."""
    return np.rint(255 * test_images("photographs", size).clip(0, 1)).astype(np.uint8)


@click.command(help=__doc__)
def main() -> None:
    """Measure every shipped bank at every scale and size."""
    rows = []
    for name in tqdm(list_banks(), disable=None):
        bank = FilterBank.load(name)
        integers = IntegerBank(bank)
        for size in SIZES:
            for J in SCALES:
                plan = make_plan(J, (size, size), bank.architecture, 2, bank.boundary)
                ratios = signal_to_noise(Quantization(plan, integers), photograph_bytes(size))
                ratios = {order: round(float(ratio), 1) for order, ratio in ratios.items()}
                rows.append({"bank": name, "size": size, "J": J, "dB": ratios})
    result = {
        "environment": environment("python -m benchmarks.q15"),
        "measure": "10 log10 of sum S^2 / sum (Q - S)^2 per order, S in float64 by the bank's own "
        "filters, Q in Q15 by the simulation that equals the generated C bit for bit",
        "photographs": list(HELD_OUT_PHOTOGRAPHS),
        "images": {str(size): COUNTS[size] for size in SIZES},
        "rows": rows,
    }
    path = RESULTS / "q15.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote {path.name}: {len(rows)} rows")


if __name__ == "__main__":
    main()
