"""One image larger than memory: time per pixel and memory, beside one of 2048 x 2048.

``python -m benchmarks.large`` writes benchmarks/results/large.json. The image, photographs side by
side as a memory map of bytes, and its coefficients, another one, lie in a temporary folder: 7 GB
for the side that is the default.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

import click
import numpy as np
from numpy.lib.format import open_memmap

from benchmarks import results, run, timing
from benchmarks.resident import resident, settle
from benchmarks.workloads import Workload
from npscatter import Scattering2D

BANK, J, ORDINARY, TURNS = "accurate", 4, 2048, 3


def write_image(path: Path, side: int) -> None:
    """Write an image of so many pixels a side."""
    (tile,) = Workload(ORDINARY, ORDINARY, 1, J).images()
    image = open_memmap(path, "w+", np.uint8, (side, side))
    for y in range(0, side, ORDINARY):
        for x in range(0, side, ORDINARY):
            part = image[y : y + ORDINARY, x : x + ORDINARY]
            part[...] = 255 * tile[: part.shape[0], : part.shape[1]]


def measure(side: int, folder: Path, turns: int = TURNS) -> dict:
    """Transform a large image of a file into a file, and in turns with it one of 2048 x 2048."""
    write_image(folder / "image.npy", side)
    image = np.load(folder / "image.npy", mmap_mode="r")
    small = np.array(image[:ORDINARY, :ORDINARY])
    S, T = (Scattering2D(J, one.shape, bank=BANK) for one in (image, small))
    out = open_memmap(folder / "coefficients.npy", "w+", np.float32, S.output_shape)
    inner = np.s_[:, 8 : (ORDINARY >> J) - 8, 8 : (ORDINARY >> J) - 8]
    wanted, before = T(small), settle()
    S(image, out=out)
    peak = resident("VmHWM")
    same = np.array_equal(out[inner], wanted[inner])
    calls = {"large": lambda: S(image, out=out), "2048": lambda: T(small, out=wanted)}
    taken = timing.interleaved(calls, turns, warm=0)
    pixels = {"large": side**2, "2048": small.size}
    rates = {name: median(each) / pixels[name] * 1e9 for name, each in taken.items()}
    return {
        "side": side,
        "same_bits": same,
        "peak_mib": round(peak, 1),
        "resident_before_mib": round(before, 1),
        "nanoseconds_per_pixel": {name: round(rate, 2) for name, rate in rates.items()},
        "ratio": round(rates["large"] / rates["2048"], 4),
    }


@click.command(help=__doc__)
@click.option("--side", default=30_000, show_default=True, help="Pixels of a side.")
@click.option("--folder", type=click.Path(exists=True, file_okay=False), help="For the files.")
def main(side: int, folder: str | None) -> None:
    """Measure, and write the result."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        row = measure(side, Path(name))
    environment = results.environment("python -m benchmarks.large", ("numpy", "numba"))
    print(f"wrote {results.write('large', {'environment': environment, **row}).name}: {row}")


if __name__ == "__main__":
    run(main)
