"""The gradient of the program on the CPU's vector units: the program backwards, step by step.

With c the coefficients of an image x and ``g = dloss/dc``, it is ``dloss/dx``. A correlation goes
backwards as a correlation with mirrored taps, whose inputs and outputs change places (`adjoint`); a
stride has left zeros between what that reads. A modulus ``r = |z|`` goes backwards as
``(dloss/dr) z / r``, and as zero where it is zero.

The maps of an image are computed first, all but moduli and what is emitted, and kept. Then the
steps are gone through from the last to the first. Moduli are computed again, a stack at a time, so
that they are still near. Rows are computed by the code of `npscatter.backends.cpu.row_codegen`; a
vector is one column of as many images as it has lanes.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from npscatter.backends.cpu.executor import KeptMemory, all_threads
from npscatter.backends.cpu.layout import aligned_zeros
from npscatter.backends.cpu.records import address, int64s
from npscatter.backends.cpu.row_codegen import UNROLLED, RowKernel, code_version, compiled_row
from npscatter.backends.cpu.simd import (
    FLUSH,
    call_row,
    copy_vectors,
    float_mode,
    set_float_mode,
    vector_bytes,
)
from npscatter.backends.jit_cache import compile_cached, source_digest
from npscatter.bank import FilterBank
from npscatter.program.plan import Plan
from npscatter.program.steps import WEIGHT_ARRAYS, Maps, Step
from npscatter.program.summation import make_summation

# Bytes of a thread's maps beyond which no gradient is computed here.
LARGEST = 2**28

# Maps in memory; offsets, planes and pitches are in elements.
RUN = int64s("offset", "plane", "pitch", "height", "width")
# One step; names of maps are numbers of their RUN, names of weights those of their KERNEL.
STEP = int64s(
    "groups",
    "maps",  # of one group of the source
    "orientations",  # 0: no modulus is taken
    "wavelet_stride",
    "stride",
    "first_row",
    "first_column",
    "height",
    "width",
    "outputs",  # maps that smoothing makes of a group
    "emits",
    "channels",  # where its channels start
    "wavelets",
    "smoothing",
    "wavelets_adjoint",
    "smoothing_adjoint",
    "source",
    "source_slope",  # the gradient of the source
    "target",
    "target_slope",
    "parts",  # real parts of one group, then imaginary ones
    "moduli",
    "turned",  # the gradient of the parts, zeros between where wavelets have a stride
    "spread",  # the gradient of what smoothing makes, zeros between where it has a stride
)
KERNEL = int64s("code", "size", "outputs", "weights")
LAYOUT = int64s("lanes", "margin", "wrap", "zero_row", "scratch", "passing", "passing_plane")

_inner = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")


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


_MEMORY = KeptMemory()


def is_worthwhile(plan: Plan, bank: FilterBank, dtype: str, images: int) -> bool:
    """Say whether vectors are filled by so many images, and their maps not too large."""
    layout = lay_out(plan.octave_by_octave(), bank, dtype)
    return 4 * images >= layout.lanes and layout.memory <= LARGEST


def gradient(
    plan: Plan,
    bank: FilterBank,
    images: np.ndarray,
    slopes: np.ndarray,
    threads: int | None = None,
) -> np.ndarray:
    """Return the gradient of ``(slopes * S(images)).sum()`` by the images.

    Parameters
    ----------
    plan : Plan
        Made for `bank`'s architecture.
    bank : FilterBank
        The weights.
    images : ndarray of float32 or float64, shape (N, H, W)
        Of ordinary magnitude, without a level (`npscatter.program.magnitude`).
    slopes : ndarray, shape (N, C, H // 2^J, W // 2^J)
        Of the same dtype.
    threads : int, optional
        How many may work; None for all.

    Returns
    -------
    ndarray, shape (N, H, W)
    """
    layout = lay_out(plan.octave_by_octave(), bank, images.dtype.name)
    work, kernels = _compiled(layout)
    result = np.empty_like(images)

    def of_a_vector(start: int) -> None:
        some = slice(start, start + layout.lanes)
        own = np.zeros((*images.shape[1:], layout.lanes), images.dtype)
        memory = _MEMORY.take(layout, layout.new_memory)
        memory[0][layout.slopes] = 0
        work(
            *memory,
            (layout.layout, layout.runs, layout.steps, kernels, layout.channels),
            *(np.array(layout.plan.rows), np.array(layout.plan.columns)),
            *(_interleaved(images[some], layout), _interleaved(slopes[some], layout), own),
        )
        _MEMORY.keep(layout, memory)
        result[some] = np.moveaxis(own, -1, 0)[: len(images) - start]

    starts = range(0, len(images), layout.lanes)
    threads = min(threads or all_threads(), len(starts))
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(of_a_vector, starts))
    else:
        list(map(of_a_vector, starts))
    return result


def _interleaved(arrays: np.ndarray, layout: GradientLayout) -> np.ndarray:
    """Return arrays with the batch as their last axis, as long as a vector."""
    result = np.zeros((*arrays.shape[1:], layout.lanes), layout.dtype)
    result[..., : len(arrays)] = np.moveaxis(arrays, 0, -1)
    return result


# How it lies in memory


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
        most = max(bank_maps for _, bank_maps, *_ in map(np.shape, self.bank_arrays()))
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

    def bank_arrays(self) -> Iterator[np.ndarray]:
        return (self.bank[key] for key in self.bank)

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


# Compiled code


@lru_cache(maxsize=32)
def _compiled(layout: GradientLayout) -> tuple[Dispatcher, np.ndarray]:
    """Return the function that works a vector of images off, and the table of kernels."""
    kernels = np.zeros(len(layout.kernels), KERNEL)
    for number, (kernel, weights) in enumerate(zip(layout.kernels, layout.weights, strict=True)):
        summation = kernel.summation
        kernels[number] = (
            *(compiled_row(kernel).address, summation.size, kernel.outputs, address(weights)),
        )
    return _worker(layout.dtype), kernels


@_inner
def copy(memory, source, target, columns):
    """Copy so many columns from one element of memory to another."""
    start, itemsize = memory.ctypes.data, memory.itemsize
    copy_vectors(memory[0], start + source * itemsize, start + target * itemsize, columns)


@_inner
def fill_margins(memory, row, columns, layout):
    """Continue a row beyond its ends, periodically or by zeros."""
    lanes, margin = layout.lanes, layout.margin
    if layout.wrap and columns >= margin:
        copy(memory, row + (columns - margin) * lanes, row - margin * lanes, margin)
        copy(memory, row, row + columns * lanes, margin)
        return
    for k in range(margin):
        last = row + (-(k + 1) % columns) * lanes if layout.wrap else layout.zero_row
        first = row + k % columns * lanes if layout.wrap else layout.zero_row
        copy(memory, last, row - (k + 1) * lanes, 1)
        copy(memory, first, row + (columns + k) * lanes, 1)


@_inner
def correlate(memory, table, kernel, stack, centre, skip, out, columns, plane, layout):
    """Compute one row of a kernel's outputs, from a stack's rows around row `centre`.

    `stack` is a run of maps, the number of the stack in it, and how many maps each has.
    """
    run, number_of_stack, maps = stack
    start, itemsize = memory.ctypes.data, memory.itemsize
    size = kernel.size
    for a in range(size):
        row = centre + a - size // 2
        if layout.wrap:
            row %= run.height
        inside = 0 <= row < run.height
        for number in range(maps):
            first = run.offset + (number_of_stack * maps + number) * run.plane
            element = first + row * run.pitch if inside else layout.zero_row
            table[number * size + a] = start + element * itemsize
    call_row(
        *(kernel.code, table.ctypes.data, skip * layout.lanes, start + layout.scratch * itemsize),
        *(kernel.weights, start + out * itemsize, columns, plane),
    )


@_inner
def take_moduli(memory, table, step, group, runs, kernels, layout):
    """Compute a group's wavelet coefficients and their moduli."""
    parts, moduli, kernel = runs[step.parts], runs[step.moduli], kernels[step.wavelets]
    L, samples = step.orientations, moduli.width * layout.lanes
    stack = (runs[step.source], group, step.maps)
    for y in range(moduli.height):
        row, centre = parts.offset + y * parts.pitch, step.wavelet_stride * y
        correlate(
            *(memory, table, kernel, stack, centre, 0),
            *(row, moduli.width, parts.plane, layout),
        )
        for t in range(L):
            real = row + t * parts.plane
            imaginary = real + L * parts.plane
            out = moduli.offset + t * moduli.plane + y * moduli.pitch
            for k in range(samples):
                a, b = memory[real + k], memory[imaginary + k]
                memory[out + k] = np.sqrt(a * a + b * b)
            fill_margins(memory, out, moduli.width, layout)


@_inner
def smooth(memory, table, step, stack, number, runs, kernels, layout):
    """Compute the target's maps of smoothed group `number`."""
    target = runs[step.target]
    for y in range(step.height):
        out = target.offset + number * step.outputs * target.plane + y * target.pitch
        centre = step.stride * (y + step.first_row)
        correlate(
            *(memory, table, kernels[step.smoothing], stack, centre),
            *(step.stride * step.first_column, out, step.width, target.plane, layout),
        )
        for k in range(step.outputs):
            fill_margins(memory, out + k * target.plane, target.width, layout)


@_inner
def go_forwards(memory, table, step, runs, kernels, layout):
    """Compute a step's target."""
    for group in range(step.groups):
        if step.orientations == 0:
            stack = (runs[step.source], group, step.maps)
            smooth(memory, table, step, stack, group, runs, kernels, layout)
            continue
        take_moduli(memory, table, step, group, runs, kernels, layout)
        for t in range(step.orientations):
            number, stack = group * step.orientations + t, (runs[step.moduli], t, 1)
            smooth(memory, table, step, stack, number, runs, kernels, layout)


@_inner
def spread_slopes(memory, step, number, runs, channels, slopes, layout):
    """Lay the gradient of smoothed group `number` on the grid of what is smoothed."""
    spread, pull, lanes = runs[step.spread], runs[step.target_slope], layout.lanes
    start, itemsize = memory.ctypes.data, memory.itemsize
    for k in range(step.outputs):
        for y in range(step.height):
            row = spread.offset + k * spread.plane
            row += step.stride * (y + step.first_row) * spread.pitch
            first = pull.offset + (number * step.outputs + k) * pull.plane + y * pull.pitch
            given = start + first * itemsize
            if step.emits:
                channel = channels[step.channels + number]
                given = slopes[channel, y].ctypes.data
            place = start + (row + step.stride * step.first_column * lanes) * itemsize
            for x in range(step.width):
                shift = x * lanes * itemsize
                copy_vectors(memory[0], given + shift, place + step.stride * shift, 1)
            fill_margins(memory, row, spread.width, layout)


@_inner
def turn_slopes(memory, step, t, y, runs, layout):
    """Make of a row of a modulus' gradient that of the wavelet coefficient's parts."""
    parts, moduli, turned = runs[step.parts], runs[step.moduli], runs[step.turned]
    lanes, stride, L = layout.lanes, step.wavelet_stride, step.orientations
    real = parts.offset + t * parts.plane + y * parts.pitch
    modulus = moduli.offset + t * moduli.plane + y * moduli.pitch
    out = turned.offset + t * turned.plane + stride * y * turned.pitch
    imaginary, other = real + L * parts.plane, out + L * turned.plane
    for k in range(moduli.width * lanes):
        r = memory[modulus + k]
        # Stays there, a number, where the modulus is zero.
        memory[modulus + k] = memory[layout.passing + k] / r if r > 0 else r
    if stride == 1:
        for k in range(moduli.width * lanes):
            memory[out + k] = memory[modulus + k] * memory[real + k]
            memory[other + k] = memory[modulus + k] * memory[imaginary + k]
    else:
        for x in range(moduli.width):
            for lane in range(lanes):
                k, place = x * lanes + lane, stride * x * lanes + lane
                memory[out + place] = memory[modulus + k] * memory[real + k]
                memory[other + place] = memory[modulus + k] * memory[imaginary + k]
    fill_margins(memory, out, turned.width, layout)
    fill_margins(memory, other, turned.width, layout)


@_inner
def add_slopes(memory, table, step, kernel, stack, group, runs, layout):
    """Add to the source's gradient what one stack of gradients comes to."""
    slope = runs[step.source_slope]
    for y in range(slope.height):
        correlate(
            *(memory, table, kernel, stack, y, 0, layout.passing),
            *(slope.width, layout.passing_plane, layout),
        )
        for number in range(step.maps):
            row = slope.offset + (group * step.maps + number) * slope.plane + y * slope.pitch
            passing = layout.passing + number * layout.passing_plane
            for k in range(slope.width * layout.lanes):
                memory[row + k] += memory[passing + k]


@_inner
def go_backwards(memory, table, step, runs, kernels, channels, slopes, layout):
    """Add a step's share to the gradient of its source."""
    spread, turned, moduli = runs[step.spread], runs[step.turned], runs[step.moduli]
    smoothing, L = kernels[step.smoothing_adjoint], step.orientations
    smoothed = (spread, 0, step.outputs)
    for group in range(step.groups):
        if L == 0:
            spread_slopes(memory, step, group, runs, channels, slopes, layout)
            add_slopes(memory, table, step, smoothing, smoothed, group, runs, layout)
            continue
        take_moduli(memory, table, step, group, runs, kernels, layout)
        for t in range(L):
            spread_slopes(memory, step, group * L + t, runs, channels, slopes, layout)
            for y in range(moduli.height):
                correlate(
                    *(memory, table, smoothing, smoothed, y, 0, layout.passing),
                    *(moduli.width, layout.passing_plane, layout),
                )
                turn_slopes(memory, step, t, y, runs, layout)
        wavelets = kernels[step.wavelets_adjoint]
        add_slopes(memory, table, step, wavelets, (turned, 0, 2 * L), group, runs, layout)


@_inner
def pad(memory, images, rows, columns, run, layout):
    """Lay the padded images out."""
    for y in range(run.height):
        row = run.offset + y * run.pitch
        for x in range(run.width):
            inside = rows[y] >= 0 and columns[x] >= 0
            for lane in range(layout.lanes):
                value = images[rows[y], columns[x], lane] if inside else images[0, 0, 0] * 0
                memory[row + x * layout.lanes + lane] = value
        fill_margins(memory, row, run.width, layout)


@_inner
def unpad(memory, out, rows, columns, run, layout):
    """Add the gradient of every padded pixel to that of the pixel it came from."""
    for y in range(run.height):
        for x in range(run.width):
            if rows[y] >= 0 and columns[x] >= 0:
                place = run.offset + y * run.pitch + x * layout.lanes
                for lane in range(layout.lanes):
                    out[rows[y], columns[x], lane] += memory[place + lane]


@lru_cache
def _worker(dtype: str) -> Dispatcher:
    """Return the function that adds one vector of images' gradients to `out`, compiled.

    Its arguments: a thread's memory, in which the maps' gradients are zero, and a table of
    addresses; the tables of the layout, of runs, steps, kernels and channels; where padded pixels
    come from; images (H, W, lanes), slopes (C, h, w, lanes), and `out`, zeros (H, W, lanes).
    """
    # Part of what is compiled, and so of what a cache on disk looks for.
    made_from = f"{code_version()} {source_digest((__name__,))}"

    def work(memory, table, tables, rows, columns, x, slopes, out):
        layouts, runs, steps, kernels, channels = tables
        made_from  # noqa: B018
        layout, mode = layouts[0], float_mode()
        set_float_mode(mode | FLUSH)
        source = steps[0].source
        pad(memory, x, rows, columns, runs[source], layout)
        for number in range(len(steps)):
            if steps[number].emits == 0:
                go_forwards(memory, table, steps[number], runs, kernels, layout)
        for number in range(len(steps) - 1, -1, -1):
            step = steps[number]
            go_backwards(memory, table, step, runs, kernels, channels, slopes, layout)
        unpad(memory, out, rows, columns, runs[steps[0].source_slope], layout)
        set_float_mode(mode)

    compiled = numba.njit(nogil=True, error_model="numpy")(work)
    one, records = getattr(numba, dtype), [numba.typeof(np.zeros(1, of)) for of in (LAYOUT, RUN)]
    records += [numba.typeof(np.zeros(1, of)) for of in (STEP, KERNEL)]
    integers = numba.int64[::1]
    signature = (
        *(one[::1], integers, numba.types.Tuple((*records, integers)), integers, integers),
        *(one[:, :, ::1], one[:, :, :, ::1], one[:, :, ::1]),
    )
    compile_cached(compiled, lambda: compiled.compile(signature))
    compiled.disable_compile()
    return compiled
