"""How fast the generated C is on this machine, against the Numba executor, on one thread.

``python -m benchmarks.desktop_c`` writes benchmarks/results/desktop_c.json. It needs gcc and clang.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import click
import numpy as np
from tqdm import tqdm

from benchmarks.results import RESULTS, environment, version_of
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


def c_caller(library: ctypes.CDLL, image: np.ndarray, output: np.ndarray) -> Callable[[], None]:
    """Return a call that transforms `image` into `output`."""
    scratch = np.empty(library.scratch_bytes() // 4, np.int32)
    pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in (image, output, scratch)]

    def call() -> None:
        assert library.transform(*pointers) == 0
        assert scratch.size  # as long as the call is used, so is its memory

    return call


def callers(bank: str, side: int, J: int, folder: Path) -> dict[str, tuple[Callable, int]]:
    """Return every contestant's call and how many images it transforms, all verified equal."""
    pixels = np.rint(255 * test_images("photographs", side)[0].clip(0, 1)).astype(np.uint8)
    S = Scattering2D(J, (side, side), bank=bank, threads=1)
    image = pixels.astype(np.float32)
    batch = np.repeat(image[None], 64 if side <= 64 else 4, 0)
    expected = Scattering2D(J, (side, side), bank=bank, backend="numpy")(image.astype(np.float64))
    calls = {
        "Numba, one image": (lambda: S(image), 1),
        "Numba, batch": (lambda: S(batch), len(batch)),
    }
    _same(S(image), expected)
    for dtype in ("float", "q15"):
        header = generate(bank, J, (side, side), dtype=dtype)
        for compiler in COMPILERS:
            library = built(header, compiler, folder / f"{dtype}-{compiler}")
            kinds = (np.float32, np.float32) if dtype == "float" else (np.uint8, np.int16)
            output = np.empty(expected.shape, kinds[1])
            call = c_caller(library, pixels.astype(kinds[0]), output)
            call()
            if dtype == "float":
                _same(output, expected)
            elif not np.array_equal(output, simulate_q15(pixels, bank, J)[0]):
                raise click.ClickException(f"{bank} {side} {compiler}: Q15 bits differ")
            calls[f"C {dtype}, {compiler}"] = (call, 1)
    return calls


def _same(output: np.ndarray, expected: np.ndarray) -> None:
    error = np.linalg.norm(output - expected) / np.linalg.norm(expected)
    if not error < 2e-6:
        raise click.ClickException(f"coefficients differ by {error:.1e}")


def measure(bank: str, side: int, J: int) -> dict:
    """Return the milliseconds per image of every contestant: medians of interleaved calls."""
    with tempfile.TemporaryDirectory() as name:
        calls = callers(bank, side, J, Path(name))
        seconds: dict[str, list[float]] = {contestant: [] for contestant in calls}
        for _ in range(ROUNDS):
            for contestant, (call, images) in calls.items():
                count, start = 0, time.perf_counter()
                while time.perf_counter() - start < FEWEST_SECONDS:
                    call()
                    count += 1
                seconds[contestant].append((time.perf_counter() - start) / count / images)
    times = {contestant: round(1e3 * median(each), 5) for contestant, each in seconds.items()}
    return {"bank": bank, "side": side, "J": J, "ms_per_image": times}


@click.command(help=__doc__)
def main() -> None:
    """Measure every case."""
    result = {
        "environment": environment("python -m benchmarks.desktop_c"),
        "compilers": [version_of(compiler) for compiler in COMPILERS],
        "flags": {name: " ".join((*FLAGS, *more)) for name, more in COMPILERS.items()},
        "rounds": ROUNDS,
        "rows": [measure(*case) for case in tqdm(CASES, disable=None)],
    }
    path = RESULTS / "desktop_c.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote {path.name}: {len(result['rows'])} rows")


if __name__ == "__main__":
    main()
