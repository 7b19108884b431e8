"""The images the speed benchmarks transform."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tools.data import crops, packaged_photographs

SEED = 30
# Of eight orientations, as Kymatio has by default.
BANKS = ("accurate", "fast", "paper-tuned", "paper")


@dataclass(frozen=True)
class Workload:
    """One batch of images of one size, and the transform it is for."""

    height: int
    width: int
    batch: int
    J: int
    max_order: int = 2

    @property
    def name(self) -> str:
        """What it is called on the command line, in the results and on the pages."""
        return f"{self.height}x{self.width} J={self.J}"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.height, self.width

    def images(self) -> np.ndarray:
        """Return the batch: crops of the held-out photographs, float32 (batch, H, W).

        None of the photographs has 2048 pixels a side; the largest, mirrored at its edges, stands
        for one.
        """
        photographs = _photographs("held-out")
        largest = max(photographs, key=lambda name: photographs[name].size)
        height, width = photographs[largest].shape
        missing = (0, max(0, self.height - height)), (0, max(0, self.width - width))
        if any(after for _, after in missing):
            photographs = {largest: np.pad(photographs[largest], missing, "reflect")}
        return crops(photographs, self.shape, self.batch, SEED)


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(32, 32, 1000, 1, max_order=1),
        Workload(32, 32, 1000, 2),
        Workload(64, 64, 200, 2),
        Workload(512, 128, 8, 2),
        Workload(224, 224, 16, 3),
        Workload(2048, 2048, 1, 4),
        Workload(256, 256, 4, 8),
    )
}
# Batches large enough for a GPU.
GPU_WORKLOADS = (
    Workload(32, 32, 10_000, 2),
    Workload(256, 256, 128 * 3, 2),
    Workload(256, 256, 128 * 3, 3),
    Workload(224, 224, 1024, 3),
    Workload(8192, 8192, 1, 3),
)

_photographs = lru_cache(packaged_photographs)
