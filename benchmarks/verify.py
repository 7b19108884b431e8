"""What must agree before the speed benchmarks time it."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from benchmarks.peers import kymatio, scattering
from benchmarks.workloads import BANKS, Workload
from npscatter import FilterBank
from npscatter.features import relative_errors
from tools.paper_network import conv2d_network

# Largest relative L2 error allowed in any order.
TAUGHT = {"accurate": 0.01, "fast": 0.03}
SAME_NETWORK, SAME_BACKEND = 1e-4, 1e-5
# (bank, boundary) of every transform of ours that is timed.
OURS = (*((bank, None) for bank in BANKS), ("paper-tuned", "zero"))
# The NumPy executor is for reading, not for speed: it checks images cut to this side.
NUMPY_SIDE = 512


class MismatchError(Exception):
    """Two transforms that should agree do not."""


def compared(
    what: str, computed: np.ndarray, wanted: np.ndarray, order: np.ndarray, tolerance: float
) -> dict[str, float]:
    """Return the relative L2 error per order; raise a MismatchError if one is above `tolerance`."""
    errors = relative_errors(computed, wanted, order)
    if not all(error <= tolerance for error in errors.values()):  # NaN too
        raise MismatchError(f"{what}: {errors}, above {tolerance}")
    return errors


def sample_of(count: int) -> list[int]:
    """Return which images of a batch are compared: the first, the middle and the last."""
    return sorted({0, count // 2, count - 1})


def verify(workload: Workload, backend: str) -> dict[str, dict[str, float]]:
    """Return what was compared of the transforms that are timed -> order -> relative L2 error.

    Ours run on the whole batch with npscatter's `backend` and all threads, as when they are timed.
    Raises a MismatchError if any error is too large.
    """
    images = workload.images()
    chosen = sample_of(len(images))
    sample = images[chosen]
    computed = {}
    for bank, boundary in OURS:
        S = scattering(workload, bank, boundary=boundary, backend=backend)
        computed[bank, boundary] = S(images)[chosen]
    order = S.meta()["order"]
    errors = {}

    def check(what: str, one: np.ndarray, other: np.ndarray, tolerance: float) -> None:
        errors[what] = compared(f"{workload.name}, {what}", one, other, order, tolerance)

    taught = kymatio(workload, "numpy")(sample)
    with torch.inference_mode():
        tensor = torch.from_numpy(sample)
        in_torch = kymatio(workload, "torch")(tensor).numpy()
        check("Kymatio Torch, Kymatio NumPy", in_torch, taught, SAME_NETWORK)
        for bank, boundary in (("paper", None), ("paper-tuned", "zero")):
            network = conv2d_network(FilterBank.load(bank), workload.J, workload.max_order)
            wanted = network(tensor).numpy()
            check(f"{bank}, Torch conv2d", computed[bank, boundary], wanted, SAME_NETWORK)
    for bank, tolerance in TAUGHT.items():
        check(f"{bank}, Kymatio NumPy", computed[bank, None], taught, tolerance)

    height, width = (min(side, NUMPY_SIDE) for side in workload.shape)
    cut = dataclasses.replace(workload, height=height, width=width)
    small = np.ascontiguousarray(sample[:, :height, :width])
    for bank, boundary in OURS:
        one = computed[bank, boundary]
        if cut != workload:
            one = scattering(cut, bank, boundary=boundary, backend=backend)(small)
        wanted = scattering(cut, bank, boundary=boundary, backend="numpy")(small)
        edges = "" if boundary is None else f" {boundary}"
        check(f"{bank}{edges}, NumPy backend", one, wanted, SAME_BACKEND)
    return errors
