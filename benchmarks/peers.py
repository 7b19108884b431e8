"""What the speed benchmarks compare: npscatter's banks and its peers, all called alike."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from kymatio import Scattering2D as KymatioScattering2D

from benchmarks.results import usable_threads
from benchmarks.timing import UnavailableError
from benchmarks.workloads import BANKS, Workload
from npscatter import FilterBank, Scattering2D
from tools.paper_network import conv2d_network
from tools.teacher import quick_filters

KYMATIO = ("Kymatio NumPy", "Kymatio Torch")
NETWORK = "Torch conv2d"
# Takes a block of images, returns their coefficients.
Transform = Callable[[np.ndarray], np.ndarray | torch.Tensor]


@dataclass(frozen=True)
class Contestant:
    """Something that turns images into coefficients; `name` is what it is called in the results."""

    name: str
    engine: str  # "npscatter", "numpy", "torch" or "gpu" (a peer there)
    # Takes the workload and the threads, None for all; what it returns waits until it is done.
    make: Callable[[Workload, int | None], Transform]
    bank: str = ""  # that npscatter uses
    boundary: str | None = None  # None for the bank's own
    place: Callable = np.asarray  # brings images to where the transform takes them
    to_host: Callable = np.asarray  # brings coefficients from where it leaves them
    release: Callable = gc.collect  # gives back memory that is kept for later calls

    def prepare(self, workload: Workload, threads: int | None) -> Prepared:
        """Construct the transform, ready to be timed."""
        return Prepared(self, self.make(workload, threads), threads or usable_threads())


@dataclass
class Prepared:
    """A constructed transform, called a block of images at a time."""

    contestant: Contestant
    transform: Transform
    threads: int

    def blocks(self, images: int) -> list[int]:
        """Return the block sizes worth trying, largest first.

        npscatter cuts a batch up itself; the peers take it whole, and their temporaries may
        outgrow the caches, or a GPU's memory.
        """
        if self.contestant.engine == "npscatter":
            return [images]
        sizes = [-(-images // self.threads) if self.contestant.engine == "numpy" else images]
        while sizes[-1] > 1:
            sizes.append(-(-sizes[-1] // 2))
        return sizes

    def __call__(self, images: np.ndarray, block: int) -> list:
        """Return the coefficients, block by block."""
        return list(self.outputs(images, block))

    def outputs(self, images: np.ndarray, block: int) -> Iterator:
        """Yield the coefficients of every block."""
        blocks = [images[start : start + block] for start in range(0, images.shape[0], block)]
        if self.contestant.engine == "numpy" and self.threads > 1 and len(blocks) > 1:
            # Kymatio's NumPy backend has no threads of its own, but NumPy and SciPy let others run.
            with ThreadPoolExecutor(self.threads) as pool:
                yield from pool.map(self.transform, blocks)
        else:
            yield from map(self.transform, blocks)


def contestants(backend: str = "auto") -> list[Contestant]:
    """Return everything that is timed; `backend` is npscatter's."""
    return [
        *(ours(bank, bank, backend=backend) for bank in BANKS),
        ours("accurate out=", "accurate", reuse=True, backend=backend),
        ours("paper-tuned zero", "paper-tuned", "zero", backend=backend),
        Contestant(KYMATIO[0], "numpy", lambda workload, _: kymatio(workload, "numpy")),
        Contestant(KYMATIO[1], "torch", lambda work, _: of_arrays(kymatio(work, "torch"))),
        Contestant(NETWORK, "torch", lambda workload, _: of_arrays(network_on(workload, "cpu"))),
        Contestant("pytorch-wavelets", "torch", _pytorch_wavelets),
    ]


def ours(
    name: str, bank: str, boundary: str | None = None, reuse: bool = False, backend: str = "auto"
) -> Contestant:
    """Return npscatter with a bank, with `reuse` into one output that is written again."""

    def make(workload: Workload, threads: int | None) -> Transform:
        S = scattering(workload, bank, boundary=boundary, backend=backend, threads=threads)
        output = lru_cache(lambda count: np.empty((count, *S.output_shape), np.float32))
        return (lambda images: S(images, out=output(len(images)))) if reuse else S

    return Contestant(name, "npscatter", make, bank, boundary)


def scattering(workload: Workload, bank: str | FilterBank, **options) -> Scattering2D:
    """Return npscatter's transform for a workload."""
    bank = FilterBank.load(bank) if isinstance(bank, str) else bank
    J, L, order = workload.J, bank.L, workload.max_order
    return Scattering2D(J, workload.shape, L, order, bank=bank, **options)


@lru_cache(maxsize=2)
def kymatio(workload: Workload, frontend: str) -> Callable:
    """Return Kymatio's transform for a workload."""
    with quick_filters():
        return KymatioScattering2D(
            workload.J, workload.shape, max_order=workload.max_order, frontend=frontend
        )


def kymatio_on(workload: Workload, device: torch.device) -> Callable:
    """Return Kymatio's Torch transform on a device."""
    # One of its own: what the cache holds stays on the CPU.
    return kymatio.__wrapped__(workload, "torch").to(device)


def network_on(workload: Workload, device: torch.device | str) -> Callable:
    """Return the paper's network on a device."""
    with torch.device(device):
        return conv2d_network(FilterBank.load("paper"), workload.J, workload.max_order)


def _pytorch_wavelets(workload: Workload, threads: int | None) -> Transform:
    """Return one scattering layer per octave; its features are others, only its cost compares."""
    if workload.J > 2:
        raise UnavailableError("every layer adds an order: beyond J = 2 it is no second-order peer")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pkg_resources is deprecated
            from pytorch_wavelets import ScatLayer
    except ImportError as error:
        raise UnavailableError(f"{type(error).__name__}: {error}") from error
    layers = torch.nn.Sequential(*(ScatLayer() for _ in range(workload.J)))
    return of_arrays(lambda images: layers(images[:, None]))


def of_arrays(transform: Callable[[torch.Tensor], torch.Tensor]) -> Transform:
    """Return a Torch transform that takes NumPy arrays."""
    return torch.inference_mode()(lambda images: transform(torch.from_numpy(images)))
