"""The memory one contestant of the speed benchmark needs for one workload, in its own process.

``python -m benchmarks.memory WORKLOAD CONTESTANT`` prints one line of JSON.
"""

from __future__ import annotations

import ctypes
import json

import click
import torch

from benchmarks import run
from benchmarks.peers import Contestant, contestants
from benchmarks.resident import resident, settle
from benchmarks.results import usable_threads
from benchmarks.timing import UnavailableError
from benchmarks.workloads import WORKLOADS, Workload

# Of mallopt in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def measure(contestant: Contestant, workload: Workload, block: int) -> dict:
    """Return the memory of one call on the whole batch with all threads, in MiB.

    "filters_mib" is what stays after construction; "working_mib" the peak during the call, beyond
    images, filters, code and output.
    """
    # The C library gives freed arrays back at once, so that none is used again unseen.
    for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
        ctypes.CDLL(None).mallopt(option, 2**16)
    images = workload.images()
    torch.set_num_threads(usable_threads())
    before = settle()
    prepared = contestant.prepare(workload, None)
    filters = settle() - before
    prepared(images, block)  # compiles, and lets libraries set up what they keep
    start = settle()
    coefficients = prepared(images, block)
    peak = resident("VmHWM")
    working = peak - start - sum(part.nbytes for part in coefficients) / 2**20
    return {"working_mib": round(max(0.0, working), 2), "filters_mib": round(filters, 2)}


@click.command(help=__doc__)
@click.argument("workload", type=click.Choice(list(WORKLOADS)))
@click.argument("contestant", type=click.Choice([one.name for one in contestants()]))
@click.option("--block", type=int, help="Images per call; the whole batch unless given.")
@click.option("--backend", default="auto", show_default=True, help="npscatter's backend.")
def main(workload: str, contestant: str, block: int | None, backend: str) -> None:
    """Measure and print."""
    chosen = WORKLOADS[workload]
    (one,) = (one for one in contestants(backend) if one.name == contestant)
    try:
        usage = measure(one, chosen, block or chosen.batch)
    except UnavailableError as error:
        usage = {"working_mib": None, "reason": str(error)}
    except (OSError, AttributeError) as error:  # not Linux, not glibc, or not allowed
        usage = {"working_mib": None, "reason": f"{type(error).__name__}: {error}"}
    print(json.dumps(usage))


if __name__ == "__main__":
    run(main)
