"""How fast the generated C is on this machine, against the Numba executor, on one thread.

``python -m benchmarks.desktop_c`` writes benchmarks/results/desktop_c.json. It needs gcc and clang.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import click
import numpy as np
from tqdm import tqdm

from benchmarks import results, run
from benchmarks.timing import interleaved
from cexport import generate, simulate_q15
from npscatter import Scattering2D
from tools.measure import test_images

ROUNDS = 15
FEWEST_SECONDS = 0.02
FLAGS = ("-std=c99", "-O3", "-march=native", "-fno-math-errno", "-shared", "-fPIC")
# Clang keeps samples from one column to the next and then finds no vectors, unless told not to.
COMPILERS = {"gcc": (), "clang": ("-mllvm", "-enable-load-pre=false")}
CASES = [
    (bank, side, J)
    for bank in ("accurate", "paper-tuned")
    for side, J in ((32, 2), (64, 2), (224, 3))
]
SOURCE = """
#include "nps.h"
int transform(const nps_pixel *image, nps_coefficient *output, void *scratch);
int transform(const nps_pixel *image, nps_coefficient *output, void *scratch)
{
    return nps_scatter(image, output, scratch, NPS_SCRATCH_BYTES);
}
size_t scratch_bytes(void);
size_t scratch_bytes(void)
{
    return NPS_SCRATCH_BYTES;
}
"""


def built(header: str, compiler: str, folder: Path) -> ctypes.CDLL:
    """Return the header as a shared library."""
    folder.mkdir()
    (folder / "nps.h").write_text(header)
    (folder / "transform.c").write_text(SOURCE)
    command = [compiler, *FLAGS, *COMPILERS[compiler], "transform.c", "-o", "transform.so", "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "transform.so"))
    library.scratch_bytes.restype = ctypes.c_size_t
    return library


def c_caller(library: ctypes.CDLL, image: np.ndarray, output: np.ndarray) -> Callable:
    """Return a call that transforms `image` into `output`, and returns that."""
    scratch = np.empty(library.scratch_bytes() // 4, np.int32)
    arrays = image, output, scratch
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]

    def call() -> np.ndarray:
        assert library.transform(*pointers) == 0
        return arrays[1]  # all three live as long as the call

    return call


def measure(bank: str, side: int, J: int) -> dict:
    """Return the milliseconds per image of every contestant: medians of interleaved calls."""
    pixels = np.rint(255 * test_images("photographs", side)[0].clip(0, 1)).astype(np.uint8)
    S = Scattering2D(J, (side, side), bank=bank, threads=1)
    image = pixels.astype(np.float32)
    batch = np.repeat(image[None], 64 if side <= 64 else 4, 0)
    expected = Scattering2D(J, (side, side), bank=bank, backend="numpy")(image.astype(np.float64))
    expected_q15 = simulate_q15(pixels, bank, J)[0]

    def check(contestant: str, output: np.ndarray) -> None:
        if output.dtype == np.int16:
            if not np.array_equal(output, expected_q15):
                raise click.ClickException(f"{bank} {side} {contestant}: Q15 bits differ")
            return
        error = np.linalg.norm(output - expected) / np.linalg.norm(
            np.broadcast_to(expected, output.shape)
        )
        if not error < 2e-6:
            raise click.ClickException(f"{contestant}: coefficients differ by {error:.1e}")

    calls = {"Numba, one image": partial(S, image), "Numba, batch": partial(S, batch)}
    with tempfile.TemporaryDirectory() as folder:
        for dtype, pixel, coefficient in (
            ("float", np.float32, np.float32),
            ("q15", np.uint8, np.int16),
        ):
            header = generate(bank, J, (side, side), dtype=dtype)
            for compiler in COMPILERS:
                library = built(header, compiler, Path(folder) / f"{dtype}-{compiler}")
                output = np.empty(expected.shape, coefficient)
                caller = c_caller(library, pixels.astype(pixel), output)
                calls[f"C {dtype}, {compiler}"] = caller
        taken = interleaved(calls, ROUNDS, check=check, at_least=FEWEST_SECONDS)
    images = {name: len(batch) if name == "Numba, batch" else 1 for name in calls}
    times = {name: round(1e3 * median(each) / images[name], 5) for name, each in taken.items()}
    return {"bank": bank, "side": side, "J": J, "ms_per_image": times}


@click.command(help=__doc__)
def main() -> None:
    """Measure every case."""
    result = {
        "environment": results.environment("python -m benchmarks.desktop_c"),
        "compilers": [results.version_of(compiler) for compiler in COMPILERS],
        "flags": {name: " ".join((*FLAGS, *more)) for name, more in COMPILERS.items()},
        "rounds": ROUNDS,
        "rows": [measure(*case) for case in tqdm(CASES, disable=None)],
    }
    print(f"wrote {results.write('desktop_c', result).name}: {len(CASES)} rows")


if __name__ == "__main__":
    run(main)
