"""What large data cost, a million pictures or a mosaic, from rates that are measured.

``python -m benchmarks.costs`` writes benchmarks/results/costs.json. Times, but of writing, are what
cores worked, as core hours are. What a pixel of a large image takes is in large.json, of one
choice; others are timed beside it here. `cost` makes hours of it.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import click
import numpy as np
from PIL import Image

from benchmarks import results, run, timing
from benchmarks.resident import resident, settle
from benchmarks.workloads import SEED, Workload
from npscatter import Scattering2D
from npscatter.cli.images import Reading, read_image
from tools.data import crops, packaged_photographs

# Pixels of a side: of what is transformed, of the larger JPEGs, of an image beside large.json's.
SIDE, REDUCED_FROM, ORDINARY = 224, 1024, 2048
BATCH, QUALITY, ROUNDS, WRITTEN = 64, 90, 7, 2**28
# What one may ask for, as arguments of `Scattering2D`; large.json's choice first.
CHOICES = {
    "maps, J = 4": {"J": 4},
    "maps, J = 3": {"J": 3},
    "maps, J = 4, `fast`": {"J": 4, "bank": "fast"},
    "maps, J = 3, `fast`": {"J": 3, "bank": "fast"},
    "maps of order 1, J = 3": {"J": 3, "max_order": 1},
    'means alone (`average="global"`), J = 3': {"J": 3, "average": "global"},
}


def cost(result: dict, large: dict, name: str, side: int, count: int | None) -> dict:
    """Return what so many images of costs.json take, or one as large as large.json's."""
    row = result["choices"][name]
    if count is None:
        pixel = large["processor_nanoseconds_per_pixel"]["large"] * row["times_of_large"] / 1e9
        seconds, count, peak = side**2 * pixel, 1, large["peak_mib"]
    else:
        milliseconds = row["ms_per_image"] + result["reading"][str(side)]["ms_per_image"]
        seconds, peak = count * milliseconds / 1e3, row["peak_mib"]
    plan = Scattering2D(shape=(side, side), **row["options"]).plan
    numbers = {"bytes": math.prod(plan.call_shape), "bytes_of_means": plan.n_coefficients}
    sizes = {key: count * np.dtype(np.float32).itemsize * size for key, size in numbers.items()}
    writing = sizes["bytes"] / (result["writing"]["mb_per_second"] * 1e6)
    hours = {"core_hours": seconds / 3600, "writing_hours": writing / 3600}
    return {**hours, **sizes, "peak_mib": peak}


def elapsed(found: dict, cores: int) -> float:
    """Return the hours on so many cores that share the work perfectly, and write meanwhile."""
    return max(found["core_hours"] / cores, found["writing_hours"])


def write_pictures(folder: Path, side: int, count: int) -> list[Path]:
    """Write JPEGs in colour, crops of photographs that are mirrored where they are smaller."""
    planes = []
    for channel in ("red", "green", "blue"):
        photographs = packaged_photographs("held-out", channel)
        for name, plane in photographs.items():
            missing = [(0, max(0, side - length)) for length in plane.shape]
            photographs[name] = np.pad(plane, missing, "reflect")
        planes.append(crops(photographs, side, count, SEED))
    paths = [folder / f"{side}-{number}.jpg" for number in range(count)]
    for path, picture in zip(paths, np.stack(planes, -1), strict=True):
        Image.fromarray(np.rint(255 * picture).astype(np.uint8)).save(path, quality=QUALITY)
    return paths


def read(paths: list[Path]) -> np.ndarray:
    """Return pictures as the command line reads them, at the size that is transformed."""
    how = Reading(size=(SIDE, SIDE))
    return np.stack([read_image(path, how) for path in paths]).astype(np.float32)


def write(path: Path, numbers: np.ndarray) -> None:
    """Write numbers, and wait until they are on the disk."""
    with open(path, "wb") as file:
        file.write(numbers)
        file.flush()
        os.fsync(file.fileno())


def size(paths: Iterable[Path]) -> int:
    """Return the bytes of files."""
    return sum(path.stat().st_size for path in paths if path.is_file())


def peak_alone(paths: list[Path], options: dict) -> float:
    """Return the MiB of a process that reads, transforms and writes a batch on one thread."""
    S = Scattering2D(shape=(SIDE, SIDE), threads=1, **options)
    S(read(paths))
    settle()
    write(paths[0].with_suffix(".out"), S(read(paths)))
    return round(resident("VmHWM"), 1)


def medians(calls: dict[str, Callable], rounds: int, clock: Callable = process_time) -> dict:
    """Return the seconds that cores worked at calls made in turn, or of another clock."""
    taken = timing.interleaved(calls, rounds, clock=clock)
    return {name: median(each) for name, each in taken.items()}


def work(images: np.ndarray, rounds: int, threads: int | None = None) -> dict[str, float]:
    """Return the seconds of every choice."""
    calls = {}
    for name, options in CHOICES.items():
        S = Scattering2D(shape=images.shape[-2:], threads=threads, **options)
        out = np.empty((*images.shape[:-2], *S.plan.call_shape), np.float32)
        calls[name] = partial(S, images, out=out)
    return medians(calls, rounds)


def writing(folder: Path, images: np.ndarray, rounds: int) -> dict:
    """Return how fast coefficients are written, and what Zarr's own compression leaves of them."""
    import zarr  # not in the process of `peak_alone`

    maps = Scattering2D(3, images.shape[-2:])(images)
    block = np.resize(maps, WRITTEN // maps.itemsize)
    store = zarr.open_array(folder / "zarr", mode="w", shape=maps.shape, dtype=maps.dtype)
    calls = {"": partial(write, folder / "block", block)}
    calls["zarr_"] = partial(store.__setitem__, ..., maps)
    taken, nbytes = medians(calls, rounds, perf_counter), {"": block.nbytes, "zarr_": maps.nbytes}
    rates = {f"{one}mb_per_second": round(nbytes[one] / taken[one] / 1e6, 1) for one in calls}
    return {**rates, "zarr_share": round(size((folder / "zarr").rglob("*")) / maps.nbytes, 4)}


def measure(folder: Path, rounds: int = ROUNDS) -> dict:
    """Return all rates; files lie in a folder meanwhile."""
    paths = {str(side): write_pictures(folder, side, BATCH) for side in (SIDE, REDUCED_FROM)}
    images = read(own := paths[str(SIDE)])
    taken = medians({side: partial(read, each) for side, each in paths.items()}, rounds)
    reading = {
        side: {"ms_per_image": round(1e3 * taken[side] / BATCH, 4), "bytes": size(each) // BATCH}
        for side, each in paths.items()
    }
    (image,) = Workload(ORDINARY, ORDINARY, 1, 4).images()
    small, large, rows = work(images, rounds, 1), work(image, rounds), {}
    for name, options in CHOICES.items():
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            peak = process.submit(peak_alone, own, options).result()
        rows[name] = {"options": options, "ms_per_image": round(1e3 * small[name] / BATCH, 4)}
        rows[name]["times_of_large"] = round(large[name] / large[next(iter(CHOICES))], 4)
        rows[name]["peak_mib"] = peak
    made = {"side": SIDE, "quality": QUALITY, "batch": BATCH, "rounds": rounds, "reading": reading}
    return {**made, "writing": writing(folder, images, rounds), "choices": rows}


@click.command(help=__doc__)
def main() -> None:
    """Measure in a temporary folder, whose disk is measured too, and write the result."""
    with tempfile.TemporaryDirectory() as name:
        measured = measure(Path(name))
    packages = ("numpy", "numba", "pillow", "scikit-image", "zarr")
    environment = results.environment("python -m benchmarks.costs", packages)
    print(f"wrote {results.write('costs', {'environment': environment, **measured}).name}")


if __name__ == "__main__":
    run(main)
