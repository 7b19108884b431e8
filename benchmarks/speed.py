"""How fast and how large: npscatter's banks, Kymatio, the paper's network in Torch, and others.

``python -m benchmarks.speed`` writes benchmarks/results/speed.json; the tables are made from it by
``python -m tools.pages``. Parts (``--workload``, ``--passes``) are merged into what the file
holds, if it comes from the same machine and versions.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median

import click
import numpy as np
import torch

from benchmarks import kernels, results, run
from benchmarks.peers import KYMATIO, NETWORK, Contestant, Prepared, contestants, scattering
from benchmarks.timing import (
    UnavailableError,
    fastest_block,
    interleaved,
    out_of_memory,
    seconds,
)
from benchmarks.verify import verify
from benchmarks.workloads import WORKLOADS, Workload
from npscatter import Scattering2D
from npscatter.backends.cost import plan_cost
from npscatter.errors import ArgumentError

PASSES = ("one thread", "all cores", "memory")
# A call takes about this many seconds: slower contestants get fewer images of the batch, but not
# fewer than these, for Torch's threads share a batch.
CALL_SECONDS, LEAST_IMAGES = 0.3, 8
# A contestant that has taken so many seconds has had its share.
MOST_SECONDS = 10.0
# Torch's threads go on spinning after their work; nobody else is timed meanwhile.
PAUSE = 0.25
# Timed only for one comparison each; the same memory as without.
NO_MEMORY = ("accurate out=", "paper-tuned zero")


def chosen_images(prepared: Prepared, images: np.ndarray) -> tuple[np.ndarray, int]:
    """Return how much of a batch a call gets, and in what blocks it is passed."""
    most = images.shape[0]
    probe, each = min(most, 25), np.inf
    for _ in range(2):
        each = min(each, seconds(lambda: prepared(images[:probe], probe)) / probe)
        if most == 1 and each > CALL_SECONDS:
            break  # nothing to choose, and warm enough for a call that long
    count = round_number(max(CALL_SECONDS / each, LEAST_IMAGES), most)
    if prepared.contestant.engine == "numpy":  # an equal share for every thread
        count = min(most, -(-count // prepared.threads) * prepared.threads)
    images = images[:count]
    if count == 1:
        return images, 1
    release = prepared.contestant.release
    call = partial(prepared, images)
    return images, fastest_block(prepared.blocks(count), call, release)


def round_number(wanted: float, most: int) -> int:
    """Return `most`, or the largest of 8, 10, 20, 50, 100, ... that is not above `wanted`."""
    if wanted >= most:
        return most
    series = [LEAST_IMAGES, *(base * 10**power for power in range(1, 7) for base in (1, 2, 5))]
    return max(number for number in series if number <= wanted)


def contest(
    workload: Workload,
    chosen: Iterable[Contestant],
    threads: int | None,
    rounds: int,
    check: Callable[[str, list], None] | None = None,
    at_least: float = 0.0,
) -> tuple[dict[str, dict], str]:
    """Time contestants on all threads (None) or some, a call of each in turn.

    `check` takes a name and the coefficients, block by block, and raises if they are wrong; for
    `at_least` see `benchmarks.timing.seconds`. What is returned: by name, milliseconds per image or
    the "reason" why there are none; and the faster of Kymatio's backends, which the ratios are to,
    "" if none can run.
    """
    images = workload.images()
    calls: dict[str, Callable] = {}
    pauses: dict[str, float] = {}
    measured: dict[str, dict] = {}
    for one in chosen:
        prepared = None  # what does not fit is given back
        one.release()
        try:
            prepared = one.prepare(workload, threads)
            some, block = chosen_images(prepared, one.place(images))
        except Exception as error:
            expected = isinstance(error, (UnavailableError, ArgumentError)) or out_of_memory(error)
            if one.bank and not expected:
                raise
            words = str(error) if expected else f"failed: {type(error).__name__}: {error}"
            measured[one.name] = {"ms_per_image": None, "reason": words.partition("\n")[0]}
        else:
            calls[one.name] = partial(prepared, some, block)
            measured[one.name] = {"images": some.shape[0], "block": block}
        pauses[one.name] = PAUSE if one.engine == "torch" else 0
        time.sleep(pauses[one.name])
    shared = {"check": check, "at_least": at_least, "share": MOST_SECONDS, "pauses": pauses}
    taken = interleaved(calls, rounds, warm=0 if check is None else 1, **shared)
    for name, each in taken.items():
        each = [round(1e3 * one / measured[name]["images"], 6) for one in each]
        measured[name] |= {"ms_per_image": median(each), "ms_per_image_each_round": each}
    own = {name: measured[name]["ms_per_image"] for name in taken}
    kymatio = min((name for name in own if name in KYMATIO), key=own.get, default="")
    for name in own if kymatio else ():
        measured[name]["times_as_fast_as_kymatio"] = round(own[kymatio] / own[name], 3)
    return measured, kymatio


def time_pass(workload: Workload, threads: int | None, rounds: int, backend: str) -> dict:
    """Time every contestant, and compare them with each other and with the machine's peak."""
    count = threads or results.usable_threads()
    torch.set_num_threads(count)
    chosen = contestants(backend)
    peak = kernels.peak(count)
    measured, kymatio = contest(workload, chosen, threads, rounds)
    peak = max(peak, kernels.peak(count), key=lambda one: one["gfma_per_second"])
    for one in chosen:
        if one.engine == "npscatter":
            S, own = scattering(workload, one.bank, boundary=one.boundary), measured[one.name]
            if S.boundary == "zero":
                ratio = measured[NETWORK]["ms_per_image"] / own["ms_per_image"]
                own["times_as_fast_as_conv2d"] = round(ratio, 3)
            own["work"] = work_of(S, own["ms_per_image"], peak)
    return {
        "commit": results.commit(),
        "threads": count,
        "rounds": rounds,
        "peak": peak,
        "kymatio": kymatio,
        "contestants": measured,
    }


def measure_memory(workload: Workload, timed: dict, backend: str) -> dict:
    """Return the memory of every contestant, each measured in a process of its own."""
    memory = {}
    for contestant in contestants(backend):
        if contestant.name in NO_MEMORY:
            continue
        block = timed.get(contestant.name, {}).get("block")
        # The block was chosen for the images of one timed call; more come one after the other.
        options = ["--backend", backend, *(["--block", str(block)] if block else [])]
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", workload.name, contestant.name, *options],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
        )
        if ran.returncode:
            raise click.ClickException(f"benchmarks.memory {contestant.name}: {ran.stderr}")
        memory[contestant.name] = json.loads(ran.stdout.splitlines()[-1])
    return {"commit": results.commit(), "contestants": memory}


def started(path: Path, environment: dict) -> dict:
    """Return the results to add to: those in the file, or none."""
    if not path.exists():
        return {"workloads": {}}
    held = results.read(path)
    for key in ("cpu", "threads", "python", "versions"):
        if held["environment"][key] != environment[key]:
            raise click.ClickException(
                f"{path} was measured elsewhere, or with other versions; delete it first"
            )
    return held


def work_of(S: Scattering2D, milliseconds: float, peak: dict) -> dict:
    """Return what a transform does per image, and how near the machine's peak it comes."""
    count = plan_cost(S.plan, S.bank).multiply_adds
    # At least: every image is read once and every coefficient written once.
    moved = int(4 * (np.prod(S.shape) + np.prod(S.output_shape)))
    rate = count / milliseconds / 1e6
    return {
        "multiply_adds": count,
        "bytes_at_least": moved,
        "gfma_per_second": round(rate, 3),
        "of_peak": round(rate / peak["gfma_per_second"], 4),
        "gb_per_second_at_least": round(moved / milliseconds / 1e6, 3),
    }


@click.command(help=__doc__)
@click.option(
    "--workload", "names", multiple=True, type=click.Choice(list(WORKLOADS)), help="Default: all."
)
@click.option("--passes", multiple=True, type=click.Choice(PASSES), help="Default: all.")
@click.option("--rounds", default=5, show_default=True, help="Calls of every contestant.")
@click.option("--backend", default="auto", show_default=True, help="npscatter's backend.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=results.path_of("speed"),
    show_default=False,
)
def main(
    names: tuple[str, ...], passes: tuple[str, ...], rounds: int, backend: str, output: Path
) -> None:
    """Verify, time and measure, workload by workload."""
    environment = results.environment("python -m benchmarks.speed")
    result = started(output, environment) | {
        "environment": environment,
        "pause_after_torch_seconds": PAUSE,
    }
    for name in names or WORKLOADS:
        workload = WORKLOADS[name]
        record = result["workloads"].setdefault(name, {})
        record |= {**asdict(workload), "verified": verify(workload, backend)}
        for chosen in passes or PASSES:
            begin = time.perf_counter()
            if chosen == "memory":
                timed = record.get("all cores", {}).get("contestants", {})
                record[chosen] = measure_memory(workload, timed, backend)
            else:
                threads = 1 if chosen == "one thread" else None
                record[chosen] = time_pass(workload, threads, rounds, backend)
            held = result["workloads"]
            result["workloads"] = {known: held[known] for known in WORKLOADS if known in held}
            results.write(output, result)
            print(f"{name}, {chosen}: {time.perf_counter() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    run(main)
