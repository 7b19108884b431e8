"""How a program and its gradient lie in memory on this CPU.

The records that are filled in here stand in `npscatter.backends.cpu.gradient_code`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from npscatter.backends.cpu.gradient_code import LAYOUT, RUN, STEP
from npscatter.backends.cpu.records import aligned_zeros
from npscatter.backends.cpu.row_codegen import UNROLLED, RowKernel
from npscatter.backends.cpu.simd import vector_bytes
from npscatter.bank import FilterBank
from npscatter.program.plan import Plan
from npscatter.program.steps import WEIGHT_ARRAYS, Maps, Step
from npscatter.program.summation import make_summation


@dataclass(frozen=True, eq=False)
class GradientLayout:
    """A program and its gradient, laid out in memory.

    Attributes
    ----------
    plan : Plan
        Breadth first.
    dtype : str
        Of weights, maps and images.
    steps, runs, layout : ndarray of STEP, of RUN, and of LAYOUT (of one)
        The tables that compiled code reads.
    kernels : tuple of RowKernel
        What computes rows.
    weights : tuple of ndarray
        Theirs.
    channels : ndarray of int
        Of the steps that emit, one after the other.
    slopes : slice
        Where in memory the maps' gradients lie.
    size : int
        Elements of memory that a vector of images needs.
    rows_of_window : int
        Addresses that the table of a window's rows has room for.
    """

    plan: Plan
    dtype: str
    steps: np.ndarray
    runs: np.ndarray
    layout: np.ndarray
    kernels: tuple[RowKernel, ...]
    weights: tuple[np.ndarray, ...]
    channels: np.ndarray
    slopes: slice
    size: int
    rows_of_window: int

    @property
    def lanes(self) -> int:
        """Images that share a vector."""
        return int(self.layout[0]["lanes"])

    @property
    def memory(self) -> int:
        """Bytes that a thread needs."""
        return self.size * np.dtype(self.dtype).itemsize

    def new_memory(self) -> tuple[np.ndarray, np.ndarray]:
        """Return memory for a vector of images, and for the table of a window's rows.

        Zeros that are laid out in it, and margins, stay from one vector of images to the next.
        """
        table = np.zeros(self.rows_of_window, np.int64)
        return aligned_zeros(self.size, self.dtype), table


def adjoint(taps: np.ndarray) -> np.ndarray:
    """Return the taps (I, O, K, K) by which the correlation with (O, I, K, K) goes backwards."""
    return np.ascontiguousarray(np.flip(taps, (-2, -1)).swapaxes(0, 1))


@lru_cache(maxsize=32)
def lay_out(plan: Plan, bank: FilterBank, dtype: str) -> GradientLayout:
    """Return the layout of a plan that goes breadth first."""
    return _LayoutMaker(plan, bank, dtype).make()


class _LayoutMaker:
    """Collects the tables of a `GradientLayout`."""

    def __init__(self, plan: Plan, bank: FilterBank, dtype: str):
        self.plan, self.bank, self.dtype = plan, bank, dtype
        self.lanes = vector_bytes() // np.dtype(dtype).itemsize
        sizes = [bank[key].shape[-1] for key in bank]
        self.margin = max(sizes) // 2
        self.size = 0
        self.runs: list[tuple[int, ...]] = []
        self.kernels: dict[tuple, int] = {}
        self.row_kernels: list[RowKernel] = []
        self.weights: list[np.ndarray] = []
        self.channels: list[int] = []

    def make(self) -> GradientLayout:
        plan, lanes = self.plan, self.lanes
        zero_row = self.take(1, (1, plan.padded_shape[1]))
        most = max(self.bank[key].shape[1] for key in self.bank)
        passing = self.take(most, (1, plan.padded_shape[1]))
        kept = [self.take(maps.count, maps.shape) for maps in plan.buffers]
        start = self.size
        slopes = [self.take(maps.count, maps.shape) for maps in plan.buffers]
        end = self.size
        steps = [self.step(step, kept, slopes) for step in plan.steps]
        scratch = self.size
        self.size += lanes * max(kernel.scratch for kernel in self.row_kernels)
        table = np.zeros(1, LAYOUT)
        table[0] = (
            *(lanes, self.margin, plan.edge == "wrap", self.runs[zero_row][0], scratch),
            *(self.runs[passing][0], self.runs[passing][1]),
        )
        windows = [k.summation.maps * k.summation.size for k in self.row_kernels]
        return GradientLayout(
            plan=plan,
            dtype=self.dtype,
            steps=np.array(steps, STEP),
            runs=np.array(self.runs, RUN),
            layout=table,
            kernels=tuple(self.row_kernels),
            weights=tuple(self.weights),
            channels=np.array(self.channels, np.int64),
            slopes=slice(start, end),
            size=self.size,
            rows_of_window=max(windows),
        )

    def take(self, count: int, shape: tuple[int, int]) -> int:
        """Take memory for maps, and return the number of their run."""
        height, width = shape
        # Rows of outputs end at a multiple of the columns that are summed side by side.
        pitch = (self.margin + width + self.margin + 2 * UNROLLED) * self.lanes
        first = self.size + self.margin * self.lanes
        self.runs.append((first, height * pitch, pitch, height, width))
        self.size += count * height * pitch
        return len(self.runs) - 1

    def part(self, run: int, maps: Maps) -> int:
        """Return the number of the run of some of the maps of a buffer."""
        offset, plane, *others = self.runs[run]
        self.runs.append((offset + maps.first * plane, plane, *others))
        return len(self.runs) - 1

    def kernel(self, key: str, stride: int, backwards: bool) -> int:
        """Return the number of the kernel of a weight array."""
        name = (key, stride, backwards)
        if name not in self.kernels:
            taps = self.bank.real_taps(key)
            # Wavelets that are no mirror images of themselves are cheaper unfolded.
            folded = self.bank.symmetric and not (backwards and WEIGHT_ARRAYS[key].is_complex)
            summation, weights = make_summation(adjoint(taps) if backwards else taps, folded)
            self.kernels[name] = len(self.row_kernels)
            self.row_kernels.append(RowKernel(summation, False, stride, self.dtype))
            self.weights.append(weights.astype(self.dtype))
        return self.kernels[name]

    def step(self, step: Step, kept: list[int], slopes: list[int]) -> tuple[int, ...]:
        """Return the STEP of a plan's step."""
        source, target, L = step.source, step.target, len(step.orientations)
        outputs = WEIGHT_ARRAYS[step.smoothing].outputs(self.bank.L, self.bank.R)
        wavelets = backwards = parts = moduli = turned = 0
        if L:
            wavelets = self.kernel(step.wavelets, step.wavelet_stride, False)
            backwards = self.kernel(step.wavelets, 1, True)
            parts = self.take(2 * L, step.modulus_shape)
            moduli = self.take(L, step.modulus_shape)
            turned = self.take(2 * L, source.shape)
        targets = [self.part(of[target.buffer], target) if target else 0 for of in (kept, slopes)]
        channels = len(self.channels)
        self.channels += step.channels
        return (
            *(step.groups, step.maps_per_group, L, step.wavelet_stride, step.stride),
            *(*step.first, *step.size, outputs, step.emits, channels),
            *(wavelets, self.kernel(step.smoothing, step.stride, False)),
            *(backwards, self.kernel(step.smoothing, 1, True)),
            *(self.part(of[source.buffer], source) for of in (kept, slopes)),
            *targets,
            *(parts, moduli, turned, self.take(outputs, step.modulus_shape)),
        )
