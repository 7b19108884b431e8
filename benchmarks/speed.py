"""How fast and how large: npscatter's banks, Kymatio, the paper's network in Torch, and others.

``python -m benchmarks.speed`` writes benchmarks/results/speed.json; the README's table is made
from it by ``python -m benchmarks.readme``. Parts (``--workload``, ``--passes``) are merged into
what the file holds, if it comes from the same machine and versions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import click
import numpy as np
import torch

from benchmarks import peak
from benchmarks.environment import RESULTS, commit, environment, usable_threads
from benchmarks.peers import Contestant, Prepared, UnavailableError, contestants, scattering
from benchmarks.verify import verify
from benchmarks.workloads import WORKLOADS, Workload
from npscatter.cost import plan_cost

PASSES = ("one thread", "all cores", "memory")
# A call takes about this many seconds: slower contestants get fewer images of the batch, but not
# fewer than these, for Torch's threads share a batch.
CALL_SECONDS, LEAST_IMAGES = 0.3, 8
# Smaller blocks are tried until one is so much slower than the best.
FUTILE = 1.15
# A contestant that has taken so many seconds and FEWEST rounds has had its share.
MOST_SECONDS, FEWEST = 10.0, 3
# Torch's threads go on spinning after their work; nobody else is timed meanwhile.
PAUSE = 0.25
KYMATIO = ("Kymatio NumPy", "Kymatio Torch")
NETWORK = "Torch conv2d"
# Timed only for one comparison each; the same memory as without.
NO_MEMORY = ("accurate out=", "paper-tuned zero")


@dataclass
class Entry:
    """One contestant in a pass, and the seconds its calls took."""

    prepared: Prepared
    images: np.ndarray
    block: int
    seconds: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, prepared: Prepared, images: np.ndarray) -> Entry:
        """Warm up, and choose how many images a call has and in what blocks they are passed."""
        probe = min(len(images), 25)
        each = np.inf
        for _ in range(2):
            each = min(each, _seconds(prepared, images[:probe], probe) / probe)
            if len(images) == 1 and each > CALL_SECONDS:
                break  # nothing to choose, and warm enough for a call that long
        count = _round_number(max(CALL_SECONDS / each, LEAST_IMAGES), len(images))
        if prepared.contestant.engine == "numpy":  # an equal share for every thread
            count = min(len(images), -(-count // prepared.threads) * prepared.threads)
        images = images[:count]
        best, least = count, np.inf
        if count > 1:
            for block in prepared.blocks(count):
                prepared(images, block)
                seconds = _seconds(prepared, images, block)
                if seconds > FUTILE * least:
                    break
                if seconds < least:
                    best, least = block, seconds
        return cls(prepared, images, best)

    def time(self) -> None:
        """Call once, unless it has had its share of the time."""
        if len(self.seconds) >= FEWEST and sum(self.seconds) > MOST_SECONDS:
            return
        self.seconds.append(_seconds(self.prepared, self.images, self.block))
        if self.prepared.contestant.engine == "torch":
            time.sleep(PAUSE)

    @property
    def milliseconds(self) -> float:
        """The median, per image."""
        return 1e3 * median(self.seconds) / len(self.images)

    def result(self) -> dict:
        """Return what the results file says of it."""
        each = [round(1e3 * seconds / len(self.images), 6) for seconds in self.seconds]
        return {
            "ms_per_image": round(self.milliseconds, 6),
            "images": len(self.images),
            "block": self.block,
            "ms_per_image_each_round": each,
        }


def _seconds(prepared: Prepared, images: np.ndarray, block: int) -> float:
    start = time.perf_counter()
    prepared(images, block)
    return time.perf_counter() - start


def _round_number(wanted: float, most: int) -> int:
    """Return `most`, or the largest of 8, 10, 20, 50, 100, ... that is not above `wanted`."""
    if wanted >= most:
        return most
    series = [LEAST_IMAGES, *(base * 10**power for power in range(1, 7) for base in (1, 2, 5))]
    return max(number for number in series if number <= wanted)


def time_pass(
    workload: Workload,
    threads: int | None,
    rounds: int,
    backend: str,
    others: tuple[Contestant, ...] = (),
) -> dict:
    """Time every contestant, a call of each in turn, and compare them.

    Parameters
    ----------
    workload : Workload
        Images and transform.
    threads : int or None
        None for all.
    rounds : int
        How often each is called.
    backend : str
        npscatter's.
    others : tuple of Contestant
        Timed beside the usual ones.
    """
    count = threads or usable_threads()
    torch.set_num_threads(count)
    images = workload.images()
    roof = peak.measure(count)
    entries, results = [], {}
    for contestant in (*contestants(backend), *others):
        try:
            entries.append(Entry.of(contestant.prepare(workload, threads), images))
        except UnavailableError as error:
            results[contestant.name] = {"ms_per_image": None, "reason": str(error)}
        time.sleep(PAUSE)
    for number in range(rounds):
        turn = number % len(entries)  # nobody always follows the same one
        for entry in entries[turn:] + entries[:turn]:
            entry.time()
    roof = max(roof, peak.measure(count), key=lambda found: found["gfma_per_second"])
    taken = {entry.prepared.contestant.name: entry.milliseconds for entry in entries}
    better = min(KYMATIO, key=taken.get)
    for entry in entries:
        contestant = entry.prepared.contestant
        results[contestant.name] = result = entry.result()
        result["times_as_fast_as_kymatio"] = _ratio(taken[better], entry.milliseconds)
        if contestant.engine == "npscatter":
            if "zero" in (contestant.boundary, scattering(workload, contestant.bank).boundary):
                result["times_as_fast_as_conv2d"] = _ratio(taken[NETWORK], entry.milliseconds)
            result["work"] = work(workload, contestant, entry.milliseconds, roof)
    return {
        "commit": commit(),
        "threads": count,
        "rounds": rounds,
        "peak": roof,
        "kymatio": better,
        "contestants": results,
    }


def _ratio(theirs: float, ours: float) -> float:
    return round(theirs / ours, 3)


def work(workload: Workload, contestant: Contestant, milliseconds: float, roof: dict) -> dict:
    """Return what a transform of ours does per image, and how near the machine's peak it comes."""
    S = scattering(workload, contestant.bank, contestant.boundary)
    count = plan_cost(S.plan, S.bank, S.bank.symmetric).multiply_adds
    # At least: every image is read once and every coefficient written once.
    moved = 4 * (np.prod(S.shape) + np.prod(S.output_shape))
    rate = count / milliseconds / 1e6
    return {
        "multiply_adds": count,
        "bytes_at_least": int(moved),
        "gfma_per_second": round(rate, 3),
        "of_peak": round(rate / roof["gfma_per_second"], 4),
        "gb_per_second_at_least": round(moved / milliseconds / 1e6, 3),
    }


def measure_memory(workload: Workload, timed: dict, backend: str) -> dict:
    """Return the memory of every contestant, each measured in a process of its own."""
    results = {}
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
        results[contestant.name] = json.loads(ran.stdout.splitlines()[-1])
    return {"commit": commit(), "contestants": results}


def started(path: Path, told: dict) -> dict:
    """Return the results to add to: those in the file, or none."""
    if not path.exists():
        return {"workloads": {}}
    held = json.loads(path.read_text())

    def machine(environment: dict) -> dict:
        return {key: environment[key] for key in ("cpu", "threads", "python", "versions")}

    if machine(held["environment"]) != machine(told):
        raise click.ClickException(
            f"{path} was measured elsewhere, or with other versions; delete it first"
        )
    return held


@click.command(help=__doc__)
@click.option(
    "--workload", "names", multiple=True, type=click.Choice(list(WORKLOADS)), help="Default: all."
)
@click.option("--passes", multiple=True, type=click.Choice(PASSES), help="Default: all.")
@click.option("--rounds", default=5, show_default=True, help="Calls of every contestant.")
@click.option("--backend", default="auto", show_default=True, help="npscatter's backend.")
@click.option(
    "--output", type=click.Path(path_type=Path), default=RESULTS / "speed.json", show_default=False
)
def main(
    names: tuple[str, ...], passes: tuple[str, ...], rounds: int, backend: str, output: Path
) -> None:
    """Verify, time and measure, workload by workload."""
    told = environment("python -m benchmarks.speed")
    results = started(output, told)
    for name in names or WORKLOADS:
        workload = WORKLOADS[name]
        record = results["workloads"].setdefault(name, {})
        record |= {**asdict(workload), "verified": verify(workload, backend)}
        for chosen in passes or PASSES:
            begin = time.perf_counter()
            if chosen == "memory":
                timed = record.get("all cores", {}).get("contestants", {})
                record[chosen] = measure_memory(workload, timed, backend)
            else:
                threads = 1 if chosen == "one thread" else None
                record[chosen] = time_pass(workload, threads, rounds, backend)
            results["environment"] = told
            results["openmp"] = {
                name: os.environ.get(name) for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")
            }
            results["pause_after_torch_seconds"] = PAUSE
            ordered = {known: results["workloads"].get(known) for known in WORKLOADS}
            results["workloads"] = {known: held for known, held in ordered.items() if held}
            output.write_text(json.dumps(results, indent=1) + "\n")
            print(f"{name}, {chosen}: {time.perf_counter() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
