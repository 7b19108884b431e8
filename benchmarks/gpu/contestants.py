"""What is compared on the GPU: npscatter's banks and their peers in Torch, all called alike."""

from __future__ import annotations

import gc
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.gpu.ceilings import milliseconds
from benchmarks.gpu.counts import bytes_moved, operations
from benchmarks.gpu.report import KYMATIO, NETWORK
from benchmarks.gpu.timing import fastest_block, largest_block
from benchmarks.peers import kymatio_on, network_on
from benchmarks.workloads import Workload
from npscatter import FilterBank, Scattering2D
from npscatter.gpu.executor import free_memory, workspace_limit
from npscatter.gpu.launches import choose, images_at_once
from npscatter.gpu.target import SIMULATED, cuda


class Contestant(ABC):
    """A transform, its images on the GPU, and the blocks in which it takes them.

    Attributes
    ----------
    name : str
        What it is called in the results.
    images : ndarray of float32, shape (N, H, W)
        On the host.
    block : int
        Images per call; N until `use` says otherwise.
    """

    engine = ""

    def __init__(self, name: str, images: np.ndarray):
        self.name, self.images, self.block = name, images, len(images)

    @abstractmethod
    def use(self, block: int) -> None:
        """Pass `block` images to each call from now on."""

    @abstractmethod
    def calls(self) -> Iterator[tuple[int, Callable]]:
        """Yield for every block its first image and what transforms it, on the GPU."""

    @abstractmethod
    def on_host(self, found: object) -> np.ndarray:
        """Return what a call returned as a NumPy array, once it is computed."""

    @abstractmethod
    def device_call(self) -> float:
        """Transform all images, on the GPU before and after; return the milliseconds."""

    @abstractmethod
    def from_numpy(self) -> list[np.ndarray]:
        """Transform all images from NumPy arrays to NumPy arrays, and wait."""

    def numpy_call(self) -> float:
        """Return the milliseconds `from_numpy` takes, transfers and waiting included."""
        cuda.synchronize()
        start = time.perf_counter()
        self.from_numpy()
        return 1e3 * (time.perf_counter() - start)

    def coefficients(self, chosen: list[int]) -> np.ndarray:
        """Return those of some images, computed in the blocks that are timed."""
        found = []
        for start, call in self.calls():
            here = [i - start for i in chosen if start <= i < start + self.block]
            if here:
                found += list(self.on_host(call())[here])
        return np.stack(found)


class Resident:
    """The images on the GPU, a stream, and coefficients: all of ours share them.

    Parameters
    ----------
    images : ndarray of float32, shape (N, H, W)
        On the host.
    """

    def __init__(self, images: np.ndarray):
        self.stream = cuda.stream()
        self.images = cuda.to_device(images, stream=self.stream)
        self.stream.synchronize()
        self.held = None

    def output(self, shape: tuple[int, ...]):
        """Return an array for coefficients, the same as before if it has that shape."""
        if self.held is None or tuple(self.held.shape) != shape:
            self.held = None  # freed before more is asked for
            self.held = cuda.device_array(shape, np.float32, stream=self.stream)
        return self.held


class Ours(Contestant):
    """npscatter.

    Parameters
    ----------
    name, images
        See `Contestant`.
    resident : Resident
        The same images on the GPU.
    workload : Workload
        What the transform is for.
    bank : str or FilterBank
        The bank.
    storage, memory
        As for `Scattering2D`.
    """

    engine = "npscatter"

    def __init__(
        self,
        name: str,
        images: np.ndarray,
        resident: Resident,
        workload: Workload,
        bank: str | FilterBank,
        storage: str | None = None,
        memory: int | None = None,
    ):
        super().__init__(name, images)
        self.resident, self.stream = resident, resident.stream
        self.S = scattering(workload, bank, backend="cuda", storage=storage, memory=memory)

    def use(self, block: int) -> None:
        self.block = block

    def _starts(self) -> range:
        return range(0, len(self.images), self.block)

    def calls(self) -> Iterator[tuple[int, Callable]]:
        output = self.resident.output((self.block, *self.S.output_shape))
        for start in self._starts():
            part = self.resident.images[start : start + self.block]
            here = output[: part.shape[0]]
            yield start, lambda p=part, o=here: self.S(p, out=o, stream=self.stream)

    def on_host(self, found: object) -> np.ndarray:
        self.stream.synchronize()
        return found.copy_to_host()

    def device_call(self) -> float:
        calls = [call for _, call in self.calls()]
        cuda.synchronize()
        return milliseconds(lambda: [call() for call in calls], self.stream)

    def from_numpy(self) -> list[np.ndarray]:
        return [self.S(self.images[start : start + self.block]) for start in self._starts()]

    def work(self) -> dict:
        """Return the useful work of one image, and how the program is laid out for the batch."""
        memory = workspace_limit(self.S.memory)
        layout = choose(self.S.plan, self.S.bank, "float32", self.S.storage, self.block, memory)
        return {
            "operations": operations(self.S.plan, self.S.bank),
            "bytes": bytes_moved(layout, self.images.dtype),
            "layout": {
                "launches": len(layout.launches),
                "breadth first": layout.plan.breadth_first,
                "rounds": layout.plan.rounds,
                "workspace_bytes_per_image": layout.workspace_bytes,
                "images_at_once": images_at_once(layout, self.block, memory),
            },
        }


class InTorch(Contestant):
    """A transform in Torch.

    Parameters
    ----------
    name, images
        See `Contestant`.
    transform : callable
        Takes and returns a tensor on `device`.
    device : torch.device
        The GPU (or, in tests, the CPU, whose calls are timed by the clock).
    """

    engine = "torch"

    def __init__(self, name: str, images: np.ndarray, transform: Callable, device: torch.device):
        super().__init__(name, images)
        self.transform, self.device = transform, device
        self.resident = torch.from_numpy(images).to(device)

    def use(self, block: int) -> None:
        self.block = block
        self.parts = self.resident.split(block)

    def calls(self) -> Iterator[tuple[int, Callable]]:
        for number, part in enumerate(self.parts):
            yield number * self.block, lambda p=part: self._transformed(p)

    def _transformed(self, part: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.transform(part)

    def on_host(self, found: object) -> np.ndarray:
        return found.cpu().numpy()

    def device_call(self) -> float:
        calls = [call for _, call in self.calls()]
        cuda.synchronize()
        if self.device.type != "cuda":
            start = time.perf_counter()
            for call in calls:
                call()
            return 1e3 * (time.perf_counter() - start)
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for call in calls:
            call()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop)

    def from_numpy(self) -> list[np.ndarray]:
        blocks = torch.from_numpy(self.images).split(self.block)
        return [self._transformed(part.to(self.device)).cpu().numpy() for part in blocks]


@dataclass(frozen=True)
class OfOurs:
    """A bank, and what its carried maps are stored as."""

    bank: str | FilterBank
    storage: str | None = None


OURS = {
    "accurate": OfOurs("accurate"),
    "accurate float16": OfOurs("accurate", "float16"),
    "paper-tuned": OfOurs("paper-tuned"),
    "paper": OfOurs("paper"),
}
# Takes a workload and a Torch device, returns a transform.
PEERS: dict[str, Callable] = {KYMATIO: kymatio_on, NETWORK: network_on}


def scattering(workload: Workload, bank: str | FilterBank, **options) -> Scattering2D:
    """Return npscatter's transform for a workload."""
    bank = FilterBank.load(bank) if isinstance(bank, str) else bank
    return Scattering2D(
        workload.J, workload.shape, bank.L, workload.max_order, bank=bank, **options
    )


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


def choose_block(contestant: Contestant) -> None:
    """Choose the largest block that fits; of a peer, or a smaller one if that is faster.

    Raises
    ------
    UnavailableError
        If not even one image fits.
    """

    def attempt(block: int) -> None:
        contestant.use(block)
        contestant.device_call()
        contestant.from_numpy()

    block = largest_block(len(contestant.images), attempt, release)
    if contestant.engine == "torch":
        block = fastest_block(block, lambda tried: _warm_call(contestant, tried))
    contestant.use(block)


def _warm_call(contestant: Contestant, block: int) -> float:
    contestant.use(block)
    contestant.device_call()
    return contestant.device_call()


@contextmanager
def torch_as_timed() -> Iterator[None]:
    """Have Torch compute in float32 proper, not TF32, with the convolutions that are fastest."""
    held = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = False, True
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = held
