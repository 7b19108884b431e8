"""How long the first call takes, with code compiled before and without.

``python -m benchmarks.startup`` writes benchmarks/results/startup.json.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from statistics import median

import click

from benchmarks import results, run

RUNS = 5
PROGRAM = """
import time
import numpy
marks = [time.perf_counter()]
import npscatter
marks.append(time.perf_counter())
S = npscatter.Scattering2D(2, (32, 32))
marks.append(time.perf_counter())
images = numpy.ones((100, 32, 32), numpy.float32)
for _ in range(2):
    S(images)
    marks.append(time.perf_counter())
print(*(after - before for before, after in zip(marks, marks[1:])))
"""
PARTS = ("import", "construction", "first call", "second call")


def measure(cache: str) -> list[float]:
    """Return the seconds of each part, in a new process that keeps its code in `cache`."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    printed = subprocess.check_output([sys.executable, "-c", PROGRAM], env=environment, text=True)
    return [float(seconds) for seconds in printed.split()]


@click.command(help=__doc__)
def main() -> None:
    """Measure, and write the results."""
    taken: dict[str, list[list[float]]] = {"cold cache": [], "warm cache": []}
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as cache:
            for runs in taken.values():
                runs.append(measure(cache))
    result = {"environment": results.environment("python -m benchmarks.startup"), "runs": RUNS}
    for name, runs in taken.items():
        medians = (round(median(part), 4) for part in zip(*runs, strict=True))
        result[name] = dict(zip(PARTS, medians, strict=True))
    print(f"wrote {results.write('startup', result).name}")


if __name__ == "__main__":
    run(main)
