"""The run: verify, then time, workload by workload, writing what there is after each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.gpu import ceilings, report
from benchmarks.gpu.contestants import (
    OURS,
    PEERS,
    Contestant,
    InTorch,
    OfOurs,
    Ours,
    Resident,
    choose_block,
    release,
    torch_as_timed,
)
from benchmarks.gpu.correctness import (
    QUICK,
    SHAPES,
    verify_banks,
    verify_interfaces,
    verify_workload,
)
from benchmarks.gpu.device import package_versions, the_gpu
from benchmarks.gpu.timing import WARM, interleaved, out_of_memory
from benchmarks.gpu.workloads import MEMORY, MIDDLE, SCALING, SMALL, WORKLOADS
from benchmarks.peers import UnavailableError
from benchmarks.results import environment
from benchmarks.workloads import Workload
from npscatter.errors import ArgumentError

ROUNDS, QUICK_ROUNDS = 15, 3
SETTINGS = {
    "warm-up rounds": WARM,
    "Torch": "float32 throughout, TF32 off, cudnn.benchmark on, inference mode",
    "device": "between two CUDA events, images and coefficients on the GPU, npscatter with out=",
    "numpy": "by the clock, from pageable NumPy arrays to new ones, block by block",
    "blocks": "as many images as fit; of the peers fewer where that is faster",
    "work": "floating-point operations and bytes of one image as benchmarks/gpu/counts.py counts "
    "them, against images on the GPU",
}


def run(command: str, output: Path, quick: bool) -> None:
    """Verify and measure everything, and write it to `output`.

    Raises
    ------
    MismatchError
        If anything computes something else than it should.
    """
    begin = time.perf_counter()
    rounds = QUICK_ROUNDS if quick else ROUNDS
    device = torch.device("cuda")
    results = {
        "environment": environment(command),
        "setting": "quick" if quick else "full",
        "settings": {"rounds": rounds, **SETTINGS},
    }
    results["environment"]["versions"] |= package_versions()
    with torch_as_timed():
        results["verified"] = {
            "largest error as a share of the order's largest": verify_banks(
                QUICK if quick else SHAPES
            ),
            "interfaces": verify_interfaces(),
        }
        # Everything that is measured stands in its own entry, so that a stop costs the rest only.
        results["ceilings"] = ceilings.measure()
        results["environment"]["gpu"] = the_gpu()
        results["workloads"] = {}
        for workload in (SMALL,) if quick else WORKLOADS:
            found = time_workload(workload, OURS, PEERS, device, rounds)
            results["workloads"][workload.name] = found
            results["ceilings"] = higher(results["ceilings"], ceilings.measure())
            report.write(output, results)
            print(f"{workload.name}: {time.perf_counter() - begin:.0f} s so far", flush=True)
        for name, scan in {
            "batch_scaling": lambda: batch_scaling(rounds),
            "memory": lambda: {
                workload.name: memory_scan(workload, rounds) for workload in (SMALL, MIDDLE)
            },
        }.items():
            if not quick:
                results[name] = scan()
                report.write(output, results)
                print(f"{name}: {time.perf_counter() - begin:.0f} s so far", flush=True)
    for aim in results["aims"]:
        print(report.told(aim))
    print(f"written to {output}")


def higher(one: dict, other: dict) -> dict:
    """Return the ceilings as high as either measurement found them."""
    return {
        "flops_per_second": max(found["flops_per_second"] for found in (one, other)),
        **{
            key: value
            for key, value in max(one, other, key=lambda found: found["bytes_per_second"]).items()
            if key != "flops_per_second"
        },
    }


def time_workload(
    workload: Workload,
    ours: dict[str, OfOurs],
    peers: dict[str, Callable],
    device: torch.device,
    rounds: int,
) -> dict:
    """Verify, then time every contestant, a call of each in turn.

    Parameters
    ----------
    workload : Workload
        Images and transform.
    ours : dict of OfOurs
        By name.
    peers : dict of callable
        Name -> what takes the workload and a Torch device and returns a transform.
    device : torch.device
        Where the peers run.
    rounds : int
        How often each is called.
    """
    release()
    images = workload.images()
    resident = Resident(images)

    def make(name: str) -> Contestant:
        if name in ours:
            return Ours(name, images, resident, workload, ours[name].bank, ours[name].storage)
        return InTorch(name, images, peers[name](workload, device), device)

    contestants, results = {}, {}
    for name in (*ours, *peers):
        print(f"{workload.name}: preparing {name}", flush=True)
        try:
            contestants[name] = _prepared(lambda name=name: make(name), needed=name in ours)
        except (UnavailableError, ArgumentError) as error:
            results[name] = {"reason": str(error)}
            print(f"{workload.name}, {name}: {error}", flush=True)
    verified = verify_workload(workload, contestants, ours) if contestants else {}
    record = asdict(workload) | {"verified": verified}
    for way in report.WAYS:
        calls = {name: getattr(one, f"{way}_call") for name, one in contestants.items()}
        for name, taken in interleaved(calls, rounds).items():
            results.setdefault(name, {})[way] = report.times(taken, len(images))
    for name, one in contestants.items():
        results[name] |= {"engine": one.engine, "block": one.block}
        if isinstance(one, Ours):
            results[name]["work"] = one.work()
    # In the order they were named.
    record["contestants"] = {name: results[name] for name in (*ours, *peers)}
    return record


def _prepared(make: Callable[[], Contestant], needed: bool) -> Contestant:
    """Return a contestant in the block that suits it.

    Raises
    ------
    UnavailableError
        If it does not fit; or if it is not `needed`, a peer, and fails in another way.
    """
    try:
        made = make()
        choose_block(made)
        return made
    except UnavailableError:
        raise
    except Exception as error:
        if needed and not out_of_memory(error):
            raise
        words = f"failed: {type(error).__name__}: {error}"
    # Only now: the exception held what was allocated.
    made = None
    release()
    raise UnavailableError(words.splitlines()[0])


def batch_scaling(
    rounds: int, workloads: tuple[Workload, ...] = SCALING, bank: OfOurs = OURS["accurate"]
) -> list[dict]:
    """Time batches of growing size."""
    return [
        {"images": workload.batch, **time_ours(workload, bank, rounds)} for workload in workloads
    ]


def memory_scan(
    workload: Workload,
    rounds: int,
    sizes: tuple[int, ...] = MEMORY,
    bank: OfOurs = OURS["accurate"],
) -> list[dict]:
    """Time a batch with so much workspace at most and with so much."""
    return [{"bytes": size, **time_ours(workload, bank, rounds, size)} for size in sizes]


def time_ours(workload: Workload, bank: OfOurs, rounds: int, memory: int | None = None) -> dict:
    """Time one of ours alone; a "reason" stands for what could not be done."""
    release()
    images, found = workload.images(), {}
    try:
        arguments = images, Resident(images), workload, bank.bank, bank.storage, memory
        one = _prepared(lambda: Ours("alone", *arguments), needed=True)
    except (UnavailableError, ArgumentError) as error:
        found["reason"] = str(error)
    else:
        found |= {"block": one.block, "layout": one.work()["layout"]}
        for way in report.WAYS:
            call = getattr(one, f"{way}_call")
            found[way] = report.times(interleaved({way: call}, rounds)[way], workload.batch)
    return found
