"""The run: verify, then time, workload by workload, writing what there is after each."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from benchmarks import results, verify
from benchmarks.gpu import WAYS
from benchmarks.peers import (
    KYMATIO,
    NETWORK,
    Contestant,
    kymatio_on,
    network_on,
    scattering,
)
from benchmarks.speed import contest
from benchmarks.workloads import GPU_WORKLOADS, Workload
from npscatter import FilterBank
from npscatter.backends.gpu.executor import free_memory
from npscatter.backends.gpu.target import SIMULATED, cuda

ROUNDS, QUICK_ROUNDS = 15, 3
# Name -> bank, and what its carried maps are stored as.
OURS: dict[str, tuple[str | FilterBank, str | None]] = {
    "accurate": ("accurate", None),
    "accurate float16": ("accurate", "float16"),
    "fast": ("fast", None),
    "paper-tuned": ("paper-tuned", None),
    "paper": ("paper", None),
}
# Name -> what takes a workload and a Torch device, and returns a transform.
PEERS: dict[str, Callable] = {KYMATIO[1]: kymatio_on, NETWORK: network_on}
# Kymatio's filters for larger images outgrow the host's memory.
PEERS_SIDE = 4096
# Relative L2 error allowed of float16 storage: on the CPU it is 2.2e-3.
SAME_BUT_HALF = 5e-3
# What nvidia-smi is asked for, and what it is called in the results.
ASKED = {"driver_version": "driver", "clocks.max.sm": "clock", "power.limit": "power_limit"}
PACKAGES = ("numba-cuda", "cuda-bindings", "cuda-core", "cuda-toolkit", "llvmlite")


def release() -> None:
    """Give back the GPU's memory that nobody uses, but that is kept for later calls."""
    free_memory()
    gc.collect()
    if not SIMULATED:
        # Numba keeps up to a fifth of the GPU's memory for a while after it was freed.
        pending = getattr(cuda.current_context().memory_manager, "deallocations", None)
        if pending is not None:
            pending.clear()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def ours_on_gpu(name: str, bank: str | FilterBank, storage: str | None, way: str) -> Contestant:
    """Return npscatter; with images on the GPU, into one output that is written again."""

    def make(workload: Workload, _) -> Callable:
        S = scattering(workload, bank, backend="cuda", storage=storage)
        if way == "numpy":
            return S
        stream = cuda.stream()

        @lru_cache(maxsize=1)
        def output(count: int):
            return cuda.device_array((count, *S.output_shape), np.float32, stream=stream)

        def transform(part):
            coefficients = S(part, out=output(part.shape[0]), stream=stream)
            stream.synchronize()
            return coefficients

        return transform

    places = {"place": cuda.to_device, "to_host": lambda coefficients: coefficients.copy_to_host()}
    places = places if way == "device" else {}
    return Contestant(name, "npscatter", make, name, release=release, **places)


def torch_on_gpu(name: str, make: Callable, way: str, device: torch.device) -> Contestant:
    """Return a peer in Torch; `make` takes a workload and a Torch device."""
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else lambda: None

    def made(workload: Workload, _) -> Callable:
        transform = torch.inference_mode()(make(workload, device))

        def on_device(part: torch.Tensor) -> torch.Tensor:
            coefficients = transform(part)
            wait()
            return coefficients

        return on_device if way == "device" else lambda part: to_host(transform(place(part)))

    def place(images: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(images).to(device)

    def to_host(coefficients: torch.Tensor) -> np.ndarray:
        return coefficients.cpu().numpy()

    places = {"place": place, "to_host": to_host} if way == "device" else {}
    return Contestant(name, "gpu", made, release=release, **places)


def time_workload(
    workload: Workload,
    ours: dict[str, tuple],
    peers: dict[str, Callable],
    device: torch.device,
    rounds: int,
) -> dict:
    """Verify, then time everything, both ways, a call of each in turn.

    The first, the middle and the last image are compared with the CPU's: npscatter's with its
    "numba" backend, and those of the peers with the same peer; a MismatchError if they differ.
    `ours` and `peers` are as `OURS` and `PEERS`; the peers run on `device`.
    """
    verified, timed, chosen = {}, {}, verify.sample_of(workload.batch)
    sample = workload.images()[chosen]
    bank, _ = next(iter(ours.values()))
    order = scattering(workload, bank).meta()["order"]

    @lru_cache
    def wanted(name: str) -> np.ndarray:
        if name in ours:
            return scattering(workload, ours[name][0], backend="numba")(sample)
        with torch.inference_mode():
            return peers[name](workload, torch.device("cpu"))(torch.from_numpy(sample)).numpy()

    for way in WAYS:
        contestants = [ours_on_gpu(name, *kind, way) for name, kind in ours.items()]
        contestants += [torch_on_gpu(name, make, way, device) for name, make in peers.items()]
        to_host = {one.name: one.to_host for one in contestants}

        def check(name: str, blocks: list, way: str = way, to_host: dict = to_host) -> None:
            # Of a batch too slow to be timed whole, the middle and the last are not there.
            block = blocks[0].shape[0]
            here = [i for i in chosen if i // block < len(blocks)]
            computed = np.stack([to_host[name](blocks[i // block])[i % block] for i in here])
            tolerance = verify.SAME_NETWORK if name in peers else verify.SAME_BACKEND
            if name in ours and ours[name][1]:
                tolerance = SAME_BUT_HALF
            what, same = f"{name}, {way}", wanted(name)[: len(here)]
            verified[what] = verify.compared(what, computed, same, order, tolerance)

        timed[way], _ = contest(workload, contestants, None, rounds, check)
    return {**asdict(workload), "verified": verified, **timed}


def run(command: str, output: Path, quick: bool) -> None:
    """Verify and measure everything, and write it to `output`."""
    rounds = QUICK_ROUNDS if quick else ROUNDS
    result = {
        "environment": results.environment(command, (*results.PACKAGES, *PACKAGES)),
        "rounds": rounds,
        "Torch": "float32 throughout, TF32 off, cudnn.benchmark on, inference mode",
        "workloads": {},
    }
    with torch.backends.cudnn.flags(benchmark=True, allow_tf32=False):
        for workload in GPU_WORKLOADS[:1] if quick else GPU_WORKLOADS:
            peers = PEERS if max(workload.shape) <= PEERS_SIDE else {}
            timed = time_workload(workload, OURS, peers, torch.device("cuda"), rounds)
            result["workloads"][f"{workload.batch} x {workload.name}"] = timed
            result["environment"]["gpu"] = the_gpu()  # while it is warm: idle, its clock is low
            print(f"written to {results.write(output, result)}", flush=True)


def the_gpu() -> dict:
    """Return what the GPU is, and the software it is reached by."""
    description = {
        "name": torch.cuda.get_device_name(),
        "compute_capability": ".".join(map(str, torch.cuda.get_device_capability())),
        "memory_bytes": torch.cuda.get_device_properties(0).total_memory,
        "torch_cuda": torch.version.cuda,
        **dict.fromkeys(ASKED.values()),
    }
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader", "--id=0"]
    try:
        printed = subprocess.check_output(command, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return description
    values = (value.strip() for value in printed.split(","))
    return description | dict(zip(ASKED.values(), values, strict=False))
