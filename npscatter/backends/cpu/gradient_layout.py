"""How a program and its gradient lie in memory on this CPU.

The records that are filled in here stand in `npscatter.backends.cpu.gradient_code`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from npscatter.backends.cpu.geometry import KernelSet, RowGeometry, up
from npscatter.backends.cpu.gradient_code import JOB, RUN, STEP, WORKER
from npscatter.backends.cpu.records import address, aligned_zeros
from npscatter.backends.cpu.row_codegen import RowKernel
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
    steps, runs, job : ndarray of STEP, of RUN, and of JOB (of one)
        The tables that compiled code reads.
    kernels : tuple of RowKernel
        What computes rows.
    weights : tuple of ndarray
        Theirs.
    tables : dict of ndarray
        What `JOB` has the addresses of.
    slopes : slice
        Where in memory the maps' gradients lie.
    size : int
        Elements of memory that a vector of images needs.
    places : dict of int
        Where in it lies what `WORKER` has the addresses of.
    addresses : dict of int
        The lengths of a worker's tables of addresses.
    """

    plan: Plan
    dtype: str
    steps: np.ndarray
    runs: np.ndarray
    job: np.ndarray
    kernels: tuple[RowKernel, ...]
    weights: tuple[np.ndarray, ...]
    tables: dict[str, np.ndarray]
    slopes: slice
    size: int
    places: dict[str, int]
    addresses: dict[str, int]

    @property
    def images_per_vector(self) -> int:
        """Images that share a vector."""
        return int(self.job[0]["images_per_vector"])

    @property
    def memory(self) -> int:
        """Bytes that a thread needs."""
        return self.size * np.dtype(self.dtype).itemsize

    def new_memory(self) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
        """Return memory for a vector of images, a thread's tables of addresses, and its WORKER.

        Zeros that are laid out in it, and margins, stay from one vector of images to the next.
        """
        memory, worker = aligned_zeros(self.size, self.dtype), np.zeros(1, WORKER)
        tables = {name: np.zeros(length, np.int64) for name, length in self.addresses.items()}
        for name, place in self.places.items():
            worker[name] = address(memory) + place * memory.itemsize
        for name, table in tables.items():
            worker[name] = address(table)
        return memory, tables, worker


def adjoint(taps: np.ndarray) -> np.ndarray:
    """Return the taps (I, O, K, K) by which the correlation with (O, I, K, K) goes backwards."""
    return np.ascontiguousarray(np.flip(taps, (-2, -1)).swapaxes(0, 1))


def phases(taps: np.ndarray, stride: int) -> list[np.ndarray]:
    """Return what of taps meets samples that lie `stride` apart, from each place among them."""
    distance = np.abs(np.arange(taps.shape[-1]) - taps.shape[-1] // 2) % stride
    places = [distance == place for place in range(stride)]
    return [taps * (rows[:, None] & columns) for rows in places for columns in places]


def pairs_of(outputs: tuple[tuple[int, int, int], ...]) -> list[int]:
    """Return the table of pairs, of a summation's outputs: see `gradient_code.turn_slopes`."""
    pairs = list(range(len(outputs)))
    for number, output in enumerate(outputs):
        if output[2] < 0:
            pairs[number] = next(n for n, other in enumerate(outputs) if other[:2] == output[:2])
            pairs[pairs[number]] = -1
    return pairs


@lru_cache(maxsize=32)
def lay_out(plan: Plan, bank: FilterBank, dtype: str, images_per_vector: int) -> GradientLayout:
    """Return the layout of a plan that goes breadth first."""
    return _LayoutMaker(plan, bank, dtype, images_per_vector).make()


@lru_cache(maxsize=32)
def _kernel_set(plan: Plan, bank: FilterBank, dtype: str) -> KernelSet:
    return KernelSet(plan, bank, dtype, None)


@lru_cache(maxsize=256)
def _kernel(
    bank: FilterBank, key: str, backwards: bool, stride: int, phase: int, dtype: str
) -> tuple[RowKernel, np.ndarray]:
    """Return what computes the rows of a correlation, or of one phase of its adjoint."""
    taps = bank.real_taps(key)
    if backwards and WEIGHT_ARRAYS[key].is_complex:
        taps = taps.copy()
        for number, other in enumerate(pairs_of(bank.summation(key)[0].outputs)):
            if 0 <= other < number:
                one, two = taps[other].copy(), taps[number].copy()
                taps[other], taps[number] = (one + two) / 2, (one - two) / 2
    if backwards:
        taps = phases(adjoint(taps), stride)[phase]
    summation, weights = make_summation(taps, bank.symmetric)
    return RowKernel(summation, False, stride, dtype), weights.astype(dtype)


class _LayoutMaker:
    """Collects the tables of a `GradientLayout`."""

    def __init__(self, plan: Plan, bank: FilterBank, dtype: str, images_per_vector: int):
        self.plan, self.bank, self.dtype = plan, bank, dtype
        self.itemsize = np.dtype(dtype).itemsize
        self.lanes = vector_bytes() // self.itemsize
        strips = self.lanes // images_per_vector
        self.rows = RowGeometry(plan, _kernel_set(plan, bank, dtype), self.itemsize, strips)
        self.size = 0
        self.runs: list[tuple[int, ...]] = []
        self.shared: dict[tuple, int] = {}
        self.kernels: dict[tuple, int] = {}
        self.row_kernels: list[tuple[RowKernel, np.ndarray]] = []
        self.channels: list[int] = []
        self.pairs: list[int] = []

    def make(self) -> GradientLayout:
        plan, rows, lanes = self.plan, self.rows, self.lanes
        grids = [(maps.count, *self.grid(maps)) for maps in plan.buffers]
        kept = [self.take(*grid) for grid in grids]
        start = self.size
        gradients = [self.take(*grid, has_margins=False) for grid in grids]
        slopes = slice(start, self.size)
        steps = [self.step(step, kept, gradients) for step in plan.steps]
        summations = [kernel.summation for kernel, _ in self.row_kernels]
        scratch = max(kernel.scratch for kernel, _ in self.row_kernels) * lanes
        passing = rows.pitch(rows.widest, rows.margin)
        most = max(kernel.outputs for kernel, _ in self.row_kernels)
        images = lanes // rows.strips
        places = {
            "zero_row": self.room(passing + rows.line) + rows.margin * lanes,
            "row_scratch": self.room(scratch),
            "passing": self.room(most * passing) + rows.margin * lanes,
            "lines": self.room(images * rows.line),
            "square": self.room(lanes * lanes),
        }
        tables = {
            "image_rows": np.array(plan.rows, np.int64),
            "image_columns": np.array(plan.columns, np.int64),
            "row_ends": np.array(rows.ends, np.int64),
            "channels": np.array(self.channels, np.int64),
            "pairs": np.array([*self.pairs, 0], np.int64),
        }
        return GradientLayout(
            plan=plan,
            dtype=self.dtype,
            steps=np.array(steps, STEP),
            runs=np.array(self.runs, RUN),
            job=self.job(tables, passing),
            kernels=tuple(kernel for kernel, _ in self.row_kernels),
            weights=tuple(weights for _, weights in self.row_kernels),
            tables=tables,
            slopes=slopes,
            size=self.size + rows.slack,
            places={"maps": 0, **places},
            addresses={
                **dict.fromkeys(("images", "slopes", "gradients"), images),
                "lane_addresses": lanes,
                "window_rows": max(one.maps * one.size for one in summations),
            },
        )

    def job(self, tables: dict[str, np.ndarray], passing: int) -> np.ndarray:
        """Return the JOB."""
        plan, rows, job = self.plan, self.rows, np.zeros(1, JOB)
        height, width = plan.output_shape[1:]
        values = {
            "images_per_vector": self.lanes // rows.strips,
            "strips_per_vector": rows.strips,
            "lanes": self.lanes,
            "itemsize": self.itemsize,
            "wrap": plan.edge == "wrap",
            "width": plan.padded_shape[1],
            "image_row_stride": plan.input_shape[1] * self.itemsize,
            "image_column_stride": self.itemsize,
            "slope_row_stride": width * self.itemsize,
            "slope_plane": height * width * self.itemsize,
            "line_bytes": rows.line * self.itemsize,
            "passing_plane": passing,
            **{name: address(table) for name, table in tables.items()},
        }
        for name, value in values.items():
            job[name] = value
        return job

    def grid(self, maps: Maps) -> tuple[tuple[int, int], int]:
        """Return the shape of maps, and the columns of a strip of theirs."""
        return maps.shape, self.rows.columns(maps)

    def room(self, elements: int) -> int:
        """Take memory, and return where it starts."""
        start = self.size
        self.size += up(elements, self.lanes)
        return start

    def take(
        self, count: int, shape: tuple[int, int], columns: int, has_margins: bool = True
    ) -> int:
        """Take memory for maps, and return the number of their run."""
        rows, (height, width) = self.rows, shape
        pitch, margin = rows.pitch(columns, rows.margin), rows.margin
        if not has_margins:
            # An odd number of vectors, as there.
            pitch, margin = (columns | 1) * self.lanes, 0
        first = self.room(count * height * pitch) + margin * self.lanes
        ends = rows.add_ends(width, columns, margin)
        self.runs.append((first, height * pitch, pitch, height, columns, ends))
        return len(self.runs) - 1

    def share(self, what: tuple, count: int, shape: tuple[int, int], columns: int) -> int:
        """Return the number of a run that steps share which need the same: only one at a time."""
        key = (*what, count, shape, columns)
        if key not in self.shared:
            self.shared[key] = self.take(count, shape, columns)
        return self.shared[key]

    def part(self, run: int, maps: Maps) -> int:
        """Return the number of the run of some of the maps of a buffer."""
        offset, plane, *others = self.runs[run]
        self.runs.append((offset + maps.first * plane, plane, *others))
        return len(self.runs) - 1

    def kernel(self, key: str, stride: int, backwards: bool) -> int:
        """Return the number of the kernel of a weight array, the first of all phases."""
        name = (key, stride, backwards)
        if name not in self.kernels:
            self.kernels[name] = len(self.row_kernels)
            self.row_kernels += [
                _kernel(self.bank, key, backwards, stride, phase, self.dtype)
                for phase in range(stride * stride if backwards else 1)
            ]
        return self.kernels[name]

    def step(self, step: Step, kept: list[int], slopes: list[int]) -> tuple[int, ...]:
        """Return the STEP of a plan's step."""
        rows, source, target, L = self.rows, step.source, step.target, len(step.orientations)
        outputs = WEIGHT_ARRAYS[step.smoothing].outputs(self.bank.L, self.bank.R)
        shape, columns = step.modulus_shape, rows.modulus_columns(step)
        wavelets = backwards = parts = moduli = turned = pairs = 0
        if L:
            wavelets = self.kernel(step.wavelets, step.wavelet_stride, False)
            backwards = self.kernel(step.wavelets, 1, True)
            parts = self.share(("parts",), 2 * L, shape, columns)
            moduli = self.share(("moduli",), L, shape, columns)
            turned = self.share(("turned", step.wavelet_stride), 2 * L, *self.grid(source))
            pairs = len(self.pairs)
            self.pairs += pairs_of(self.bank.summation(step.wavelets)[0].outputs)
        # Rows where nothing is laid must stay zeros.
        laid = ("spread", step.stride, step.first[0], step.size[0])
        targets = [self.part(of[target.buffer], target) if target else 0 for of in (kept, slopes)]
        channels = len(self.channels)
        self.channels += step.channels
        width, written = -(-shape[1] // step.stride), rows.written_columns(step)
        return (
            *(step.groups, step.maps_per_group, L, step.wavelet_stride, step.stride),
            *(*step.first, *step.size, width, written),
            *(rows.add_ends(width, written, rows.margin), rows.recuts(step)),
            *(outputs, step.emits, channels),
            *(wavelets, self.kernel(step.smoothing, step.stride, False)),
            *(backwards, self.kernel(step.smoothing, step.stride, True), pairs),
            *(self.part(of[source.buffer], source) for of in (kept, slopes)),
            *targets,
            *(parts, moduli, turned, self.share(laid, outputs, shape, columns)),
        )
