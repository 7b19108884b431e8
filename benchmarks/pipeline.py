"""``npscatter transform`` on 100,000 small PNGs and 2,000 large JPEGs in tar shards, and killed.

``python -m benchmarks.pipeline`` writes benchmarks/results/pipeline.json: pictures a second with
one process that reads and with two, in turns; what reading, transforming and writing took; the
memory of all processes in the first tenth of the work and in all of it; what became of runs that
were killed. The pictures are pieces of photographs, the large ones enlarged to a megapixel and
read as 256 x 256.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import click
import numpy as np

from benchmarks import results, run
from tools.shards import write_shard

PACKAGES = ("numpy", "numba", "pillow", "zarr")
LARGE_SHAPE, LARGE = (896, 1152), ("--size", "256", "256", "--J", "4")
# A run that records what is done so often that it is killed between records, not before the first.
KILLED = """
from npscatter.cli.pipeline import journal
journal.INTERVAL = 0.05
from npscatter.__main__ import main
main()
"""
FORMATS = (".npy", ".npz", ".zarr", ".parquet")


def memory_of(process: int) -> float:
    """Return the memory of a process and of those that it started, shared parts once, in MiB."""
    total, waiting = 0, [process]
    while waiting:
        one = Path(f"/proc/{waiting.pop()}")
        try:
            waiting += map(int, (one / "task" / one.name / "children").read_text().split())
            found = re.search(r"^Pss:\s+(\d+)", (one / "smaps_rollup").read_text(), re.MULTILINE)
            total += int(found[1]) if found else 0
        except OSError:  # it ended meanwhile
            continue
    return total / 1024


def transform(arguments: list[str], output: Path) -> dict:
    """Run the command, and return what it said of its work, and its memory."""
    command = [sys.executable, "-m", "npscatter", "transform", *arguments, "-o", str(output)]
    partial, samples = output.with_name(f".{output.name}.partial"), []
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([*command, "--restart"], stderr=said)
        while process.poll() is None:
            if partial.exists():
                samples.append(memory_of(process.pid))
            time.sleep(0.1)
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise click.ClickException(text)
    found = re.search(
        r"([\d,]+) pictures a second for ([\d.]+) s: reading took ([\d.]+) s.*?, "
        r"transforming ([\d.]+) s, writing ([\d.]+) s",
        text,
    )
    rate, seconds, *shares = (float(number.replace(",", "")) for number in found.groups())
    return {
        "pictures_per_second": rate,
        "seconds": seconds,
        **dict(zip(("reading_s", "transforming_s", "writing_s"), shares, strict=True)),
        "peak_mib_first_tenth": round(max(samples[: max(1, len(samples) // 10)]), 1),
        "peak_mib": round(max(samples), 1),
    }


def measure(shard: Path, options: tuple[str, ...], turns: int) -> list[dict]:
    """Return a row for each output and number of reading processes: medians of runs in turns."""
    cases = [(suffix, workers) for suffix in (".zarr", ".npy") for workers in (1, 2)]
    runs: dict[tuple[str, int], list[dict]] = {case: [] for case in cases}
    for _ in range(turns):
        for suffix, workers in cases:
            output = shard.with_suffix(suffix)
            arguments = [str(shard), *options, "--workers", str(workers)]
            runs[suffix, workers].append(transform(arguments, output))
            shutil.rmtree(output) if output.is_dir() else output.unlink()
    return [
        {
            "output": suffix,
            "workers": workers,
            **{key: round(median(one[key] for one in each), 2) for key in each[0]},
        }
        for (suffix, workers), each in runs.items()
    ]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of all files of a folder."""
    found = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            found.update(file.relative_to(path.parent).as_posix().encode() + file.read_bytes())
    return found.hexdigest()


def kill(shard: Path, kills: int) -> dict:
    """Kill runs at random moments, let each go on, and compare bytes with those of a whole run."""
    random, same, kept = np.random.default_rng(0), 0, 0
    for number in range(kills):
        output = shard.with_suffix(FORMATS[number % len(FORMATS)])
        command = [sys.executable, "-c", KILLED, "transform", str(shard), "-o", str(output), "-q"]
        command += ["--batch", "64", "--workers", "2", "--resume"]
        start = time.monotonic()
        subprocess.run(command, check=True)
        taken, wanted = time.monotonic() - start, digest(output)
        process = subprocess.Popen(command)
        time.sleep(random.uniform(0, taken))
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept += output.with_name(f".{output.name}.partial").exists()
        untouched = digest(output) == wanted
        subprocess.run(command, check=True)
        same += untouched and digest(output) == wanted
    return {"kills": kills, "left_something_to_go_on_with": kept, "same_bytes": same}


@click.command(help=__doc__)
@click.option("--small", default=100_000, show_default=True, help="PNGs of 32 x 32.")
@click.option("--large", default=2_000, show_default=True, help="JPEGs of a megapixel.")
@click.option("--turns", default=3, show_default=True, help="Runs of each case.")
@click.option("--kills", default=20, show_default=True, help="Runs that are killed.")
@click.option("--folder", type=click.Path(exists=True, file_okay=False), help="For the files.")
def main(small: int, large: int, turns: int, kills: int, folder: str | None) -> None:
    """Measure, and write the result."""
    row = {"environment": results.environment("python -m benchmarks.pipeline", PACKAGES)}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        shards = {key: Path(name) / f"{key}.tar" for key in ("small", "large", "killed")}
        write_shard(shards["small"], small, (32, 32), "png")
        write_shard(shards["large"], large, LARGE_SHAPE, "jpg")
        write_shard(shards["killed"], small // 10, (32, 32), "png")
        row["small"] = {"pictures": small, "runs": measure(shards["small"], (), turns)}
        row["large"] = {"pictures": large, "runs": measure(shards["large"], LARGE, turns)}
        row["killed"] = kill(shards["killed"], kills)
    print(f"wrote {results.write('pipeline', row).name}: {row}")


if __name__ == "__main__":
    run(main)
