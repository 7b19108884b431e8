"""The run: verify, then time, workload by workload, writing what there is after each."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks import results, verify
from benchmarks.gpu import WAYS
from benchmarks.peers import KYMATIO, NETWORK, kymatio_on, network_on, scattering
from benchmarks.timing import UnavailableError, fastest_block, interleaved, out_of_memory
from benchmarks.workloads import GPU_WORKLOADS, Workload
from npscatter import FilterBank, list_banks
from npscatter.errors import ArgumentError
from npscatter.gpu.executor import free_memory
from npscatter.gpu.target import SIMULATED, cuda

ROUNDS, QUICK_ROUNDS = 15, 3
# What has taken so many seconds has had its share.
MOST_SECONDS = 20.0
KYMATIO_TORCH = KYMATIO[1]
# Name -> bank, and what its carried maps are stored as.
OURS: dict[str, tuple[str | FilterBank, str | None]] = {
    "accurate": ("accurate", None),
    "accurate float16": ("accurate", "float16"),
    "paper-tuned": ("paper-tuned", None),
    "paper": ("paper", None),
}
# Name -> what takes a workload and a Torch device, and returns a transform.
PEERS: dict[str, Callable] = {KYMATIO_TORCH: kymatio_on, NETWORK: network_on}
# Kymatio's filters for larger images outgrow the host's memory.
PEERS_SIDE = 4096
# Relative L2 error allowed of float16 storage: on the CPU it is 2.2e-3.
SAME_BUT_HALF = 5e-3
# What is verified before, with all shipped banks.
SHAPES = (Workload(32, 32, 3, 2), Workload(37, 53, 3, 2), Workload(224, 224, 3, 3))
# What nvidia-smi is asked for, and what it is called in the results.
ASKED = {"driver_version": "driver", "clocks.max.sm": "clock", "power.limit": "power_limit"}
PACKAGES = ("numba-cuda", "cuda-bindings", "cuda-core", "cuda-toolkit", "llvmlite")


@dataclass
class Entrant:
    """A transform with its images on the GPU, which takes them in blocks.

    Attributes
    ----------
    images, resident
        (N, H, W) on the host and on the GPU.
    transform : callable
        Of a block on the GPU, to the GPU.
    from_numpy : callable
        Of a block from the host to the host.
    wait : callable
        Until the GPU has done what it was given.
    to_host : callable
        Copies coefficients.
    block : int
        Images per call.
    """

    images: np.ndarray
    resident: object
    transform: Callable
    from_numpy: Callable
    wait: Callable
    to_host: Callable
    block: int = 0

    def blocks(self, images) -> Iterator[tuple[int, object]]:
        """Yield the first image of every block, and the block."""
        for start in range(0, len(self.images), self.block):
            yield start, images[start : start + self.block]

    def device(self) -> None:
        """Transform all images, on the GPU before and after."""
        for _, part in self.blocks(self.resident):
            self.transform(part)
        self.wait()

    def numpy(self) -> None:
        """Transform all images from NumPy arrays to NumPy arrays."""
        for _, part in self.blocks(self.images):
            self.from_numpy(part)

    def choose_block(self) -> None:
        """Choose the fastest of N, N / 2, ... images per call that fit; see `fastest_block`."""

        def call(block: int) -> None:
            self.block = block
            self.device()
            self.numpy()

        halved = [len(self.images)]
        while halved[-1] > 1:
            halved.append(-(-halved[-1] // 2))
        self.block = fastest_block(halved, call, release)

    def coefficients(self, chosen: list[int]) -> dict[str, np.ndarray]:
        """Return those of some images both ways, computed in the blocks that are timed."""
        found: dict[str, list] = {way: [] for way in WAYS}
        for start, part in self.blocks(self.resident):
            here = [i - start for i in chosen if start <= i < start + self.block]
            if here:
                computed = self.transform(part)
                self.wait()
                found["device"] += list(self.to_host(computed)[here])
                given = self.images[start : start + self.block]
                found["numpy"] += list(self.from_numpy(given)[here])
        return {way: np.stack(each) for way, each in found.items()}


def ours_on_gpu(
    workload: Workload, images: np.ndarray, bank: str | FilterBank, storage: str | None
) -> Entrant:
    """Return npscatter, with an output on the GPU that is written again."""
    S = scattering(workload, bank, backend="cuda", storage=storage)
    stream = cuda.stream()

    @lru_cache(maxsize=2)  # of a whole block, and of the last
    def output(count: int):
        return cuda.device_array((count, *S.output_shape), np.float32, stream=stream)

    def transform(part):
        return S(part, out=output(part.shape[0]), stream=stream)

    resident = cuda.to_device(images, stream=stream)
    stream.synchronize()
    to_host = lambda found: found.copy_to_host()  # noqa: E731
    return Entrant(images, resident, transform, S, stream.synchronize, to_host)


def torch_on_gpu(
    workload: Workload, images: np.ndarray, make: Callable, device: torch.device
) -> Entrant:
    """Return a peer in Torch."""
    transform = torch.inference_mode()(make(workload, device))
    wait = partial(torch.cuda.synchronize, device) if device.type == "cuda" else lambda: None

    def to_host(found: torch.Tensor) -> np.ndarray:
        return found.cpu().numpy()

    def from_numpy(part: np.ndarray) -> np.ndarray:
        return to_host(transform(torch.from_numpy(part).to(device)))

    resident = torch.from_numpy(images).to(device)
    return Entrant(images, resident, transform, from_numpy, wait, to_host)


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


def verify_banks(
    workloads: tuple[Workload, ...] = SHAPES, banks: tuple[str | FilterBank, ...] = ()
) -> dict[str, dict[str, float]]:
    """Compare the "cuda" backend with the NumPy executor in double precision.

    Returns
    -------
    dict
        What was compared -> order -> relative L2 error.

    Raises
    ------
    MismatchError
        If any error is too large.
    """
    found = {}
    for bank in banks or list_banks():
        bank = FilterBank.load(bank) if isinstance(bank, str) else bank
        for workload in workloads:
            images = workload.images()
            wanted = scattering(workload, bank, backend="numpy")(images.astype(np.float64))
            for storage in (None, "float16"):
                entrant = replace(ours_on_gpu(workload, images, bank, storage), block=len(images))
                order = scattering(workload, bank).meta()["order"]
                tolerance = SAME_BUT_HALF if storage else verify.SAME_BACKEND
                for way, computed in entrant.coefficients([*range(len(images))]).items():
                    what = f"{bank.name}, {workload.name}, {storage or 'float32'}, {way}"
                    print(f"verifying {what}", flush=True)
                    found[what] = verify.compared(what, computed, wanted, order, tolerance)
    return found


def verify_workload(
    workload: Workload, entrants: dict[str, Entrant], ours: dict[str, tuple]
) -> dict[str, dict[str, float]]:
    """Compare what is about to be timed, on the first, the middle and the last image.

    npscatter with its "numba" backend on the CPU, both ways; `accurate` with Kymatio, and the
    network with `paper`, where the peer fits.

    Returns, Raises
        As `verify_banks`.
    """
    chosen = verify.sample_of(workload.batch)
    computed = {name: entrant.coefficients(chosen) for name, entrant in entrants.items()}
    found = {}
    for name in entrants:
        if name not in ours:
            continue
        bank, storage = ours[name]
        S = scattering(workload, bank, backend="numba")
        tolerance = SAME_BUT_HALF if storage else verify.SAME_BACKEND
        wanted = S(entrants[name].images[chosen])
        pairs = [(f"{name}, {way}, CPU", computed[name][way], wanted, tolerance) for way in WAYS]
        for ours_named, peer, allowed in (
            ("accurate", KYMATIO_TORCH, verify.KYMATIO),
            ("paper", NETWORK, verify.SAME_NETWORK),
        ):
            if name.split()[0] == ours_named and peer in computed:
                taught = computed[peer]["device"]
                pairs.append((f"{name}, {peer}", computed[name]["device"], taught, allowed))
        for what, one, other, allowed in pairs:
            found[what] = verify.compared(what, one, other, S.meta()["order"], allowed)
    return found


def time_workload(
    workload: Workload,
    ours: dict[str, tuple],
    peers: dict[str, Callable],
    device: torch.device,
    rounds: int,
) -> dict:
    """Verify, then time everything, a call of each in turn; a "reason" stands for what cannot be.

    Parameters
    ----------
    workload : Workload
        Images and transform.
    ours, peers : dict
        As `OURS` and `PEERS`.
    device : torch.device
        Where the peers run.
    rounds : int
        How often each is called.
    """
    images = workload.images()
    makers = {name: partial(ours_on_gpu, workload, images, *kind) for name, kind in ours.items()}
    for name, make in peers.items():
        makers[name] = partial(torch_on_gpu, workload, images, make, device)
    entrants: dict[str, Entrant] = {}
    found: dict[str, dict] = {}
    for name, make in makers.items():
        print(f"{workload.name}: preparing {name}", flush=True)
        release()
        try:
            entrant = make()
            entrant.choose_block()
        except (UnavailableError, ArgumentError) as error:
            found[name] = {"reason": str(error)}
        except Exception as error:
            if name in ours and not out_of_memory(error):
                raise
            words = f"failed: {type(error).__name__}: {error}"
            found[name] = {"reason": words.splitlines()[0]}
        else:
            entrants[name], found[name] = entrant, {"block": entrant.block}
    verified = verify_workload(workload, entrants, ours)
    for way in WAYS:
        calls = {name: getattr(entrant, way) for name, entrant in entrants.items()}
        for name, taken in interleaved(calls, rounds, warm=2, share=MOST_SECONDS).items():
            each = [1e3 * seconds / len(images) for seconds in taken]
            found[name][way] = {
                "ms_per_image": round(median(each), 6),
                "ms_per_image_each_round": [round(one, 6) for one in each],
            }
        if KYMATIO_TORCH in entrants:
            slow = found[KYMATIO_TORCH][way]["ms_per_image"]
            for name in entrants.keys() - {KYMATIO_TORCH}:
                ratio = slow / found[name][way]["ms_per_image"]
                found[name][way]["times_as_fast_as_kymatio"] = round(ratio, 3)
    return {**asdict(workload), "verified": verified, "contestants": found}


def run(command: str, output: Path, quick: bool) -> None:
    """Verify and measure everything, and write it to `output`.

    Raises
    ------
    MismatchError
        If anything computes something else than it should.
    """
    device, rounds = torch.device("cuda"), QUICK_ROUNDS if quick else ROUNDS
    result = {
        "environment": results.environment(command, (*results.PACKAGES, *PACKAGES)),
        "rounds": rounds,
        "Torch": "float32 throughout, TF32 off, cudnn.benchmark on, inference mode",
    }
    with torch.backends.cudnn.flags(benchmark=True, allow_tf32=False):
        result["verified"] = verify_banks(SHAPES[:1] if quick else SHAPES)
        result["workloads"] = {}
        for workload in GPU_WORKLOADS[:1] if quick else GPU_WORKLOADS:
            peers = PEERS if max(workload.shape) <= PEERS_SIDE else {}
            timed = time_workload(workload, OURS, peers, device, rounds)
            result["workloads"][workload.name] = timed
            result["environment"]["gpu"] = the_gpu()  # while it is warm: idle, its clock is low
            print(f"written to {results.write(output, result)}", flush=True)


def the_gpu() -> dict:
    """Return what the GPU is, and the software it is reached by."""
    found = {
        "name": torch.cuda.get_device_name(),
        "compute_capability": ".".join(map(str, torch.cuda.get_device_capability())),
        "memory_bytes": torch.cuda.get_device_properties(0).total_memory,
        "torch_cuda": torch.version.cuda,
        **dict.fromkeys(ASKED.values()),
    }
    command = ["nvidia-smi", f"--query-gpu={','.join(ASKED)}", "--format=csv,noheader"]
    try:
        told = subprocess.check_output([*command, "--id=0"], text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return found
    values = (value.strip() for value in told.split(","))
    return found | dict(zip(ASKED.values(), values, strict=False))
