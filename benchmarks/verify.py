"""What must agree before the speed benchmark times it."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from benchmarks.peers import conv2d_network, kymatio, scattering
from benchmarks.workloads import Workload
from npscatter import FilterBank
from npscatter.metrics import relative_errors

# Largest relative L2 error allowed in any order.
KYMATIO, SAME_NETWORK, SAME_BACKEND = 0.01, 1e-4, 1e-5
# (bank, boundary) of every transform of ours that is timed.
OURS = (("accurate", None), ("paper", None), ("paper-tuned", None), ("paper-tuned", "zero"))
# The NumPy executor is for reading, not for speed: it checks images cut to this side.
NUMPY_SIDE = 512


class MismatchError(Exception):
    """Two transforms that should agree do not."""


def verify(workload: Workload, backend: str) -> dict[str, dict[str, float]]:
    """Compare the transforms that are timed, on the first, the middle and the last image.

    Parameters
    ----------
    workload : Workload
        Ours run on the whole batch, with all threads, as when they are timed.
    backend : str
        npscatter's.

    Returns
    -------
    dict
        What was compared -> order -> relative L2 error.

    Raises
    ------
    MismatchError
        If any error is too large.
    """
    images = workload.images()
    chosen = sorted({0, len(images) // 2, len(images) - 1})
    sample = images[chosen]
    computed = {
        (bank, boundary): scattering(workload, bank, boundary, backend=backend)(images)[chosen]
        for bank, boundary in OURS
    }
    order = scattering(workload, "accurate", backend=backend).meta()["order"]
    found = {}

    def check(what: str, one: np.ndarray, other: np.ndarray, tolerance: float) -> None:
        found[what] = errors = relative_errors(one, other, order)
        if not all(error <= tolerance for error in errors.values()):  # NaN too
            raise MismatchError(f"{workload.name}, {what}: {errors}, above {tolerance}")

    taught = kymatio(workload, "numpy")(sample)
    with torch.inference_mode():
        tensor = torch.from_numpy(sample)
        check(
            "Kymatio Torch, Kymatio NumPy",
            kymatio(workload, "torch")(tensor).numpy(),
            taught,
            SAME_NETWORK,
        )
        for bank in ("paper", "paper-tuned"):
            network = conv2d_network(FilterBank.load(bank), workload.J, workload.max_order)
            zero = None if bank == "paper" else "zero"
            check(
                f"{bank}, Torch conv2d",
                computed[bank, zero],
                network(tensor).numpy(),
                SAME_NETWORK,
            )
    check("accurate, Kymatio NumPy", computed["accurate", None], taught, KYMATIO)

    height, width = (min(side, NUMPY_SIDE) for side in workload.shape)
    cut = dataclasses.replace(workload, height=height, width=width)
    small = np.ascontiguousarray(sample[:, :height, :width])
    for bank, boundary in OURS:
        ours = computed[bank, boundary]
        if cut != workload:
            ours = scattering(cut, bank, boundary, backend=backend)(small)
        reference = scattering(cut, bank, boundary, backend="numpy")(small)
        edges = "" if boundary is None else f" {boundary}"
        check(f"{bank}{edges}, NumPy backend", ours, reference, SAME_BACKEND)
    return found
