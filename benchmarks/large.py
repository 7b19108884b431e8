"""Images larger than memory: their time and memory, that their bits are the same, and a cluster.

``python -m benchmarks.large`` writes benchmarks/results/large.json; with ``--part`` some of it.

mosaic
    A memory map of bytes, photographs side by side, into a memory map of coefficients, 7 GB in a
    temporary folder: time per pixel and memory, beside an image of 2048 x 2048.
ways
    The same bits of 8192 x 8192 pixels: whole, in tiles, and as Dask arrays of three chunkings.
cluster
    The same image on processes of a Dask cluster, a thread each: two against one, and two of which
    one is killed on the way.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from functools import partial
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
# Pixels of a side of what is computed in several ways, and bytes enough for it whole.
SIDE, ENOUGH = 8192, 2**33
# Of a cluster's chunks, and seconds before a worker is killed.
CLUSTER_CHUNK, BEFORE_THE_LOSS = 2048, 2


def write_image(path: Path, side: int) -> np.ndarray:
    """Write an image of so many pixels a side, and return it as a memory map."""
    (tile,) = Workload(ORDINARY, ORDINARY, 1, J).images()
    image = open_memmap(path, "w+", np.uint8, (side, side))
    for y in range(0, side, ORDINARY):
        for x in range(0, side, ORDINARY):
            part = image[y : y + ORDINARY, x : x + ORDINARY]
            part[...] = 255 * tile[: part.shape[0], : part.shape[1]]
    return np.load(path, mmap_mode="r")


def mosaic(folder: Path, side: int, turns: int = TURNS) -> dict:
    """Transform a large image of a file into a file, and in turns with it one of 2048 x 2048."""
    image = write_image(folder / "image.npy", side)
    small = np.array(image[:ORDINARY, :ORDINARY])
    S, T = (Scattering2D(J, one.shape, bank=BANK) for one in (image, small))
    out = open_memmap(folder / "coefficients.npy", "w+", np.float32, S.output_shape)
    inner = np.s_[:, 8 : (ORDINARY >> J) - 8, 8 : (ORDINARY >> J) - 8]
    wanted, before = T(small), settle()
    first = timing.seconds(lambda: S(image, out=out))
    peak = resident("VmHWM")
    same = np.array_equal(out[inner], wanted[inner])
    used: dict[str, list[float]] = {"large": [], "2048": []}

    def call(name: str, transform: Scattering2D, x: np.ndarray, y: np.ndarray) -> None:
        start = time.process_time()
        transform(x, out=y)
        used[name].append((time.process_time() - start) / x.size * 1e9)

    calls = {"large": partial(call, "large", S, image, out)}
    calls["2048"] = partial(call, "2048", T, small, wanted)
    taken = timing.interleaved(calls, turns, warm=0, at_least=10)
    pixels = {"large": image.size, "2048": small.size}
    wall = {name: round(1e9 * median(each) / pixels[name], 2) for name, each in taken.items()}
    processor = {name: round(median(rates), 2) for name, rates in used.items()}
    return {
        "side": side,
        "same_bits": same,
        "peak_mib": round(peak, 1),
        "resident_before_mib": round(before, 1),
        "nanoseconds_per_pixel": wall,
        "ratio": round(wall["large"] / wall["2048"], 4),
        "processor_nanoseconds_per_pixel": processor,
        "processor_ratio": round(processor["large"] / processor["2048"], 4),
        "nanoseconds_per_pixel_into_a_new_file": round(first / side**2 * 1e9, 2),
    }


def ways(folder: Path, side: int) -> dict:
    """Compute the same image in several ways; return how far each is from the whole at once."""
    import dask.array as da

    from npscatter.dask import scatter

    image = np.array(write_image(folder / "image.npy", side))
    S = Scattering2D(J, image.shape, bank=BANK, memory=ENOUGH)
    whole = S(image)
    S.memory = None

    def lazily(chunks: tuple) -> np.ndarray:
        y = scatter(da.from_array(image, chunks), J, bank=BANK)
        return y.compute(scheduler="threads", num_workers=results.usable_threads())

    half, rows, columns = side // 2, 3 * side // 8 - 5, side // 10
    ragged = (rows, side - rows), (columns, side - columns)
    chunkings = {"chunks of 1000 x 1000": (1000, 1000), f"chunks of {half} x {side}": (half, side)}
    chunkings[f"ragged chunks, {ragged[0]} x {ragged[1]}"] = ragged
    calls = {"in tiles": lambda: S(image)}
    for name, chunks in chunkings.items():
        calls[f"Dask, {name}"] = partial(lazily, chunks)
    found = {}
    for name, call in calls.items():
        start = time.perf_counter()
        y = call()
        found[name] = {"seconds": round(time.perf_counter() - start, 2)}
        found[name]["same_bits"] = np.array_equal(y, whole)
        y -= whole
        found[name]["largest_difference"] = float(max(y.max(), -y.min()))
        del y
    return {"side": side, "ways": found}


def _chunk(path: Path, block_info: dict) -> np.ndarray:
    """Return one chunk of an image in a file; a task."""
    place = tuple(slice(*bounds) for bounds in block_info[None]["array-location"])
    return np.array(np.load(path, mmap_mode="r")[place])


@contextmanager
def _cluster(workers: int):
    """Start a cluster of processes with a thread each, and give the cluster and a client."""
    import distributed

    options = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": "ERROR"}
    with distributed.LocalCluster(n_workers=workers, **options) as cluster:
        with distributed.Client(cluster) as client:
            yield cluster, client


def cluster(folder: Path, side: int, turns: int = TURNS) -> dict:
    """Return the seconds of one and of two processes, and what two give of which one is killed."""
    import dask
    import dask.array as da

    from npscatter.dask import scatter

    image = write_image(folder / "image.npy", side)
    step = min(CLUSTER_CHUNK, side)
    sides = tuple(min(step, side - start) for start in range(0, side, step))
    x = da.map_blocks(_chunk, folder / "image.npy", chunks=(sides, sides), dtype=image.dtype)
    # Of every channel its mean, so that what is timed is the transform, not how results travel.
    y = scatter(x, J, bank=BANK).mean((1, 2), dtype=np.float64)
    S = Scattering2D(J, image.shape, bank=BANK)
    out = S(image)
    wanted = out.mean((1, 2), dtype=np.float64)

    def check(name: str, means: np.ndarray) -> None:
        np.testing.assert_allclose(means, wanted, 1e-9)

    def on_threads(threads: int) -> np.ndarray:
        S.threads = threads
        return S(image, out=out).mean((1, 2), dtype=np.float64)

    with _cluster(1) as (_, one), _cluster(2) as (_, two):
        clients = {"one process": one, "two processes": two}
        calls = {name: lambda by=by: by.compute(y).result() for name, by in clients.items()}
        # Beside them what the machine has to give meanwhile.
        calls |= {"one thread": partial(on_threads, 1), "two threads": partial(on_threads, 2)}
        taken = timing.interleaved(calls, turns, check=check)
    seconds = {name: round(median(each), 3) for name, each in taken.items()}
    with dask.config.set({"distributed.scheduler.allowed-failures": 5}), _cluster(2) as (two, some):
        future = some.compute(y)
        time.sleep(BEFORE_THE_LOSS)
        at_work = not future.done()
        next(iter(two.workers.values())).process.process.kill()
        means = future.result()
    return {
        "side": side,
        "chunks": len(sides) ** 2,
        "seconds": seconds,
        "times_as_fast": round(seconds["one process"] / seconds["two processes"], 3),
        "times_as_fast_on_threads": round(seconds["one thread"] / seconds["two threads"], 3),
        "loss": {"killed_at_work": at_work, "right": bool(np.allclose(means, wanted, 1e-9))},
    }


PARTS = {"ways": (ways, SIDE), "cluster": (cluster, SIDE)}


@click.command(help=__doc__)
@click.option("--side", default=30_000, show_default=True, help="Pixels of the mosaic's side.")
@click.option("--folder", type=click.Path(exists=True, file_okay=False), help="For the files.")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["mosaic", *PARTS]),
    help="Measure this alone, and keep what was measured before; all by default.",
)
def main(side: int, folder: str | None, parts: tuple[str, ...]) -> None:
    """Measure, and write the result."""
    result = results.read("large") if parts else {}
    packages = ("numpy", "numba", "dask", "distributed")
    environment = results.environment("python -m benchmarks.large", packages)
    for name in parts or ("mosaic", *PARTS):
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            if name == "mosaic":
                result |= {"environment": environment, **mosaic(Path(temporary), side)}
            else:
                measure, its_side = PARTS[name]
                result[name] = {"environment": environment, **measure(Path(temporary), its_side)}
        print(f"wrote {results.write('large', result).name}: {name}", flush=True)


if __name__ == "__main__":
    run(main)
