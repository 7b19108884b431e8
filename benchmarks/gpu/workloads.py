"""The batches that are timed on a GPU."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.workloads import Workload


@dataclass(frozen=True)
class GpuWorkload(Workload):
    """A batch large enough for a GPU: crops of the same photographs.

    Attributes
    ----------
    leading : tuple of int
        The batch as users have it: images, or images and their channels.
    """

    leading: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in the results and in the README."""
        batch = "x".join(map(str, self.leading or (self.batch,)))
        return f"{batch} x {self.height}x{self.width} J={self.J}"


SMALL = GpuWorkload(32, 32, 10_000, 2)
MIDDLE = GpuWorkload(224, 224, 1024, 3)
WORKLOADS = (
    SMALL,
    GpuWorkload(256, 256, 128 * 3, 2, leading=(128, 3)),
    GpuWorkload(256, 256, 128 * 3, 3, leading=(128, 3)),
    MIDDLE,
    GpuWorkload(8192, 8192, 1, 3),
)
# How time grows with the batch.
SCALING = tuple(GpuWorkload(32, 32, 4**power, 2) for power in range(8))
# Bytes that `memory=` allows.
MEMORY = tuple(2**power for power in range(26, 33))
