"""What is chosen before anything is learned: sizes, strides, and what ties the weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from npscatter.errors import ArgumentError, explain
from npscatter.program.steps import Architecture


@dataclass(frozen=True)
class Design:
    """The architecture of a bank, the sizes of its kernels and the boundary it is learned for.

    Attributes
    ----------
    L, R : int
        Orientations and carried maps.
    kernels : dict
        Kernel size of every weight array.
    tied : bool
        Kernels are tied by the square's symmetries (R in 1, 3, 4), wavelets sum to zero and
        low-passes to one. If not, taps are free, and the carrier is the low-pass (R = 1; the
        paper has one phi per level).
    psi_stride : int
        1 or 2.
    next_from : str
        "carried" or "octave".
    boundary : str
        Of `npscatter.FilterBank`.
    """

    L: int
    R: int
    kernels: dict[str, int]
    tied: bool = True
    psi_stride: int = 1
    next_from: str = "carried"
    boundary: str = "kymatio"

    def __post_init__(self):
        if not self.tied and self.R != 1:
            rule = "free taps take the carrier for the low-pass, so that one map is carried"
            raise ArgumentError(explain("R", self.R, rule, "pass R=1"))

    @cached_property
    def architecture(self) -> Architecture:
        """What the planner must know."""
        return Architecture(self.L, self.R, self.psi_stride, self.next_from)

    @property
    def options(self) -> dict:
        """What `npscatter.FilterBank` must be told beside its arrays."""
        names = ("psi_stride", "next_from", "boundary")
        return {name: getattr(self, name) for name in names}
