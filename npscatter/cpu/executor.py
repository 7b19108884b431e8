"""The program on the CPU's vector units: lays memory out and shares the work among threads.

Threads are Python's own: compiled code works without the interpreter's lock, so they run side by
side. Numba's parallel loops were not used: their OpenMP layer does not survive a fork, their own
layer aborts when two Python threads call at once, and neither lets Ctrl-C through.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np

from npscatter.bank import FilterBank
from npscatter.cpu.interpreter import DONE, JOB, KERNEL, STEP, TICKET, WAITING, make_worker
from npscatter.cpu.row_codegen import RowKernel, compiled_row
from npscatter.cpu.simd import vector_bytes
from npscatter.jit_cache import uncollected
from npscatter.program.plan import Plan
from npscatter.program.steps import WEIGHT_ARRAYS, Maps
from npscatter.program.workspace import lay_out_workspace

# What one thread may use for its images side by side, or for one image up to 512 x 512.
MEMORY_BYTES = 8 * 2**20
# Multiply-adds: after so many (some tens of milliseconds) compiled code comes back, to heed
# Ctrl-C; so many are worth another thread; and so many a part of a step of its own.
PAUSE = 1e9
SHARE = 5e6
PART = 5e5
# Rows of output that are worth a ticket of their own; the rows around them are computed twice.
BAND = 24
# Arguments of `npscatter.Scattering2D` that have a meaning here.
OPTIONS = ("threads",)


@dataclass(frozen=True, eq=False)
class CpuLayout:
    """A program laid out in memory.

    Attributes
    ----------
    plan : Plan
        The program.
    dtype : str
        Of weights, maps and output.
    together : int
        Images that share the vectors of a row; a power of two.
    kernels : tuple of RowKernel
        The convolutions, called by their number.
    steps, kernel_table, channels, edges : ndarray
        The tables `npscatter.cpu.interpreter` describes.
    weights : ndarray
        Of all kernels, one after the other.
    rows, columns : ndarray
        The plan's.
    workspace, scratch : int
        Elements of memory `together` images and a worker need.
    job : ndarray
        What is the same for all steps; its addresses are still to be filled in.
    work : float
        Multiply-adds of one image.
    filled : float
        How much of the vectors is of use.
    """

    plan: Plan
    dtype: str
    together: int
    kernels: tuple[RowKernel, ...]
    steps: np.ndarray
    kernel_table: np.ndarray
    channels: np.ndarray
    edges: np.ndarray
    weights: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    workspace: int
    scratch: int
    job: np.ndarray
    work: float
    filled: float

    @property
    def memory(self) -> int:
        """Bytes one thread needs."""
        return (self.workspace + self.scratch) * np.dtype(self.dtype).itemsize


def run(
    plan: Plan,
    bank: FilterBank,
    images: np.ndarray,
    output: np.ndarray,
    stream: None,
    options: Mapping[str, int | None],
) -> None:
    """Run the plan's program; see `npscatter.backends.Backend`.

    The option `threads` says how many may work; None stands for ``NUMBA_NUM_THREADS``, by default
    all cores.
    """
    threads = options["threads"] or numba.config.NUMBA_NUM_THREADS
    targets = _addresses(output, 3)
    converts = images.dtype != output.dtype
    # What an image takes while it is converted: some of the batch, and the same in floats.
    pixels = images.shape[-2] * images.shape[-1]
    extra = converts * pixels * (images.itemsize + output.itemsize)
    layout = choose(plan, bank, output.dtype.name, len(targets), threads, extra)
    if not converts:
        _Call(layout, images, _addresses(images, 2), output, targets, threads).run()
        return
    # Converted some at a time, in one place, so that no second batch ever exists.
    leading = images.shape[:-2]
    room = min(2**20, MEMORY_BYTES - layout.memory) // (extra * layout.together)
    block = threads * layout.together * max(1, room)
    converted = np.empty((min(block, len(targets)), *images.shape[-2:]), output.dtype)
    for start in range(0, len(targets), block):
        some = np.arange(start, min(start + block, len(targets)))
        part = converted[: len(some)]
        part[...] = images[np.unravel_index(some, leading)] if leading else images
        _Call(layout, part, _addresses(part, 2), output, targets[some], threads).run()


@lru_cache(maxsize=256)
def choose(
    plan: Plan, bank: FilterBank, dtype: str, images: int, threads: int, extra: int = 0
) -> CpuLayout:
    """Return the layout for so many images, each of which takes `extra` bytes besides.

    As many images share a row as fill its vectors best and leave all threads something to do;
    orientations are taken in rounds if the maps would need too much memory otherwise.
    """
    lanes = vector_bytes() // np.dtype(dtype).itemsize
    best, found = 0.0, None
    for together in (1 << k for k in range(lanes.bit_length())):
        turns = -(-images // together)
        if together > 1 and turns < threads:
            break
        busy = images / (together * threads * -(-turns // threads)) if together > 1 else 1.0
        for candidate in plan.by_memory():
            layout = lay_out(candidate, bank, dtype, together)
            if layout.memory + together * extra <= MEMORY_BYTES:
                break
        else:
            if together > 1:
                break
            if layout.memory > 2 * MEMORY_BYTES:
                # Beyond caution: four rounds take half the memory of one, and no longer.
                layout = lay_out(plan.in_rounds(4), bank, dtype, together)
        # Measured: what a row costs besides its columns, what rounds do, and leaving the caches.
        columns = float(layout.steps[0]["columns"])
        score = layout.filled * busy * columns / (columns + 4)
        score *= 1 - 0.05 * np.log2(layout.plan.rounds)
        score *= 1 - 0.03 * max(0.0, np.log2(layout.memory / 2**21))
        if score > best:
            best, found = score, layout
    return found


def warm_up(
    plan: Plan, bank: FilterBank, images: np.dtype, options: Mapping[str, int | None]
) -> None:
    """Compile, or load from the cache, what single images and batches need."""
    dtype = np.result_type(images, np.float32).name
    threads = options["threads"] or numba.config.NUMBA_NUM_THREADS
    for count in (1, 64 * threads):
        layout = choose(plan, bank, dtype, count, threads)
        nothing = np.empty((0, *plan.input_shape), dtype)
        output = np.empty((0, plan.n_coefficients, *plan.output_shape), dtype)
        none = np.empty(0, np.int64)
        _Call(layout, nothing, none, output, none, 1).run()


@lru_cache(maxsize=64)
def lay_out(
    plan: Plan, bank: FilterBank, dtype: str, together: int, folded: bool = True
) -> CpuLayout:
    """Return the tables and sizes of a program.

    Parameters
    ----------
    plan, bank
        As for `execute`.
    dtype : str
        "float32" or "float64".
    together : int
        Images that share the vectors of a row: a power of two, at most the lanes of a vector.
    folded : bool
        Fold the windows of a symmetric bank.
    """
    itemsize = np.dtype(dtype).itemsize
    lanes = vector_bytes() // itemsize
    segments = lanes // together
    kernels, weights, numbers = _kernels(plan, bank, dtype, folded and bank.symmetric)
    margin = max(1, *(kernel.radius for kernel in kernels))
    # Columns of one segment: halved from octave to octave, so fixed at the coarsest.
    coarsest = _up(_up(plan.padded_shape[1], 2**plan.J) >> plan.J, segments) // segments

    def columns(octave: int) -> int:
        return coarsest << (plan.J - octave)

    def pitch(octave: int, reach: int) -> int:
        # An odd number of vectors: rows that start at the same place of a page slow caches down.
        return (margin + columns(octave) + reach | 1) * lanes

    # How far beyond its ends a row is read, by what reads it.
    reaches = [1] * len(plan.buffers)
    for step, numbered in zip(plan.steps, numbers, strict=True):
        first = numbered[0] if step.wavelets else numbered[1]
        reach = max(reaches[step.source.buffer], kernels[first].radius)
        reaches[step.source.buffer] = reach

    def row_of(maps: Maps) -> int:
        return pitch(maps.octave, reaches[maps.buffer])

    edges: list[int] = []

    def edge(width: int, octave: int, reach: int) -> int:
        start, length = len(edges), columns(octave)
        edges.extend((width, length, reach))
        beyond = [-k for k in range(1, reach + 1)]
        beyond += [segments * length + k for k in range(reach)]
        edges.extend(x % width % length * lanes + x % width // length for x in beyond)
        return start

    space = lay_out_workspace(plan.steps, plan.buffers, plan.image, row_of)

    steps = np.zeros(1 + len(plan.steps), STEP)
    channels: list[int] = []
    staged = row = 0
    padding = steps[0]
    padding["wavelets"] = padding["smoother"] = -1
    padding["groups"] = 1
    padding["height"], padding["width"] = plan.image.shape
    padding["columns"] = columns(0)
    padding["target_edge"] = edge(plan.image.width, 0, reaches[plan.image.buffer])
    padding["target"] = space.offset(plan.image)
    padding["target_pitch"], padding["target_height"] = row_of(plan.image), plan.image.height
    padding["work"] = plan.image.height * plan.image.width
    work = float(padding["work"])
    for record, step, (wavelets, smoother) in zip(steps[1:], plan.steps, numbers, strict=True):
        record["wavelets"], record["smoother"] = wavelets, smoother
        record["emits"] = step.emits
        record["groups"], record["orientations"] = step.groups, len(step.orientations)
        record["height"], record["width"] = step.size
        record["first_row"], record["first_column"] = step.first
        record["channels"] = len(channels)
        channels += step.channels
        reach = kernels[smoother].radius
        across = pitch(step.modulus_octave, max(1, reach))
        record["source"] = space.offset(step.source)
        record["maps"] = step.maps_per_group
        record["source_height"] = step.source.height
        record["source_pitch"] = row_of(step.source)
        record["modulus_height"] = step.modulus_shape[0]
        record["modulus_columns"] = columns(step.modulus_octave)
        record["modulus_pitch"] = across
        record["modulus_edge"] = edge(step.modulus_shape[1], step.modulus_octave, reach)
        record["columns"] = coarsest
        kept = 2 * kernels[smoother].summation.size - 1
        staged = max(staged, len(step.orientations) * kept * across)
        row = max(row, (coarsest + 2 * margin) * lanes)
        if step.target:
            record["columns"] = columns(step.target.octave)
            record["target_edge"] = edge(
                step.target.width, step.target.octave, reaches[step.target.buffer]
            )
            record["target"] = space.offset(step.target)
            record["target_pitch"], record["target_height"] = row_of(step.target), step.size[0]
        record["work"] = _work(step, kernels, wavelets, smoother)
        work += float(record["work"])

    table = np.zeros(len(kernels), KERNEL)
    start = 0
    for record, kernel, values in zip(table, kernels, weights, strict=True):
        record["size"], record["stride"] = kernel.summation.size, kernel.stride
        record["outputs"], record["weights"] = kernel.outputs, start
        start += len(values)

    line = segments * columns(0) + lanes
    job = np.zeros(1, JOB)
    job["together"], job["segments"], job["lanes"] = together, segments, lanes
    job["itemsize"], job["wrap"], job["margin"] = itemsize, plan.edge == "wrap", margin
    job["width"] = plan.padded_shape[1]
    job["largest"] = max(kernel.summation.size for kernel in kernels)
    job["line"] = line * itemsize
    slack = (4 * margin + 8) * lanes  # vectors are read beyond the last row's end
    scratch = 0
    parts = {
        "zeros": pitch(0, margin),
        "sums": max(kernel.scratch for kernel in kernels) * lanes,
        "staged": staged,
        "row": row,
        "lines": together * line,
        "square": lanes * lanes,
    }
    for name, size in parts.items():
        job[name] = (scratch + (margin * lanes if name == "zeros" else 0)) * itemsize
        scratch += _up(size + slack, lanes)
    return CpuLayout(
        plan=plan,
        dtype=dtype,
        together=together,
        kernels=kernels,
        steps=steps,
        kernel_table=table,
        channels=np.array([*channels, 0], np.int64),
        edges=np.array([*edges, 0], np.int64),
        weights=np.concatenate(weights).astype(dtype),
        rows=np.array(plan.rows, np.int64),
        columns=np.array(plan.columns, np.int64),
        workspace=space.size + slack,
        scratch=scratch,
        job=job,
        work=work,
        filled=plan.padded_shape[1] / (segments * columns(0)),
    )


def _kernels(plan, bank, dtype, folded):
    """Return the kernels a plan uses, their weights, and each step's numbers of its two."""
    found: dict[tuple, int] = {}
    kernels: list[RowKernel] = []
    weights: list[np.ndarray] = []

    def number(name: str, orientations: tuple[int, ...] | None, stride: int) -> int:
        if not name:
            return -1
        key = name, orientations, stride
        if key not in found:
            order, values = bank.summation(name, orientations, folded)
            found[key] = len(kernels)
            kernels.append(RowKernel(order, WEIGHT_ARRAYS[name].is_complex, stride, dtype))
            weights.append(values)
        return found[key]

    numbers = [
        (
            number(step.wavelets, step.orientations, step.wavelet_stride),
            number(step.smoothing, None, step.stride),
        )
        for step in plan.steps
    ]
    return tuple(kernels), weights, numbers


def _work(step, kernels, wavelets: int, smoother: int) -> int:
    """Return the multiply-adds of a step."""
    pixels = step.size[0] * step.size[1]
    work = pixels * kernels[smoother].summation.multiply_adds * max(1, len(step.orientations))
    if wavelets >= 0:
        height, width = step.modulus_shape
        work += height * width * kernels[wavelets].summation.multiply_adds
    return work * step.groups


def _tickets(layout: CpuLayout, threads: int) -> np.ndarray:
    """Cut one image's program into parts that threads can work on side by side."""
    tickets: list[tuple[int, ...]] = []
    for number, record in enumerate(layout.steps):
        needs, height, groups = len(tickets), int(record["height"]), int(record["groups"])
        # No part so long that Ctrl-C would wait for it.
        parts = max(1, min(2 * threads, int(record["work"] / PART)), int(record["work"] / PAUSE))
        if groups >= parts:
            bounds = [groups * k // parts for k in range(parts + 1)]
            cuts = [(bounds[k], bounds[k + 1] - bounds[k], 0, height) for k in range(parts)]
        else:
            bands = max(1, min(-(-parts // groups), height // BAND))
            bounds = [height * k // bands for k in range(bands + 1)]
            cuts = [
                (group, 1, bounds[k], bounds[k + 1])
                for group in range(groups)
                for k in range(bands)
            ]
        tickets += [(number, *cut, needs) for cut in cuts]
    return np.array(tickets, TICKET)


class _Call:
    """One call: its memory, and the threads that share it."""

    def __init__(self, layout, images, sources, output, targets, threads: int):
        self.layout = layout
        # Only addresses go further; these keep the memory alive as long as any thread works.
        self.arrays = images, output
        self.sources, self.targets = sources, targets
        count, work = len(targets), layout.work * layout.together
        split = layout.together == 1 and (
            work > PAUSE or (threads > 1 and count < 4 * threads and work > 4 * SHARE)
        )
        self.tickets = _tickets(layout, threads) if split else np.zeros(1, TICKET)
        parts = count * len(self.tickets) if split else -(-count // layout.together)
        self.threads = max(1, min(threads, parts, int(layout.work * count / SHARE)))
        self.quota = max(1, int(PAUSE * parts / (1 + layout.work * count)))
        self.memory = _memory(layout.workspace, layout.dtype) if split else None
        job = layout.job.copy()
        job["images"], job["split"], job["tickets"] = count, split, parts
        job["weights"] = layout.weights.ctypes.data
        job["image_row"], job["image_column"] = images.strides[-2:]
        job["channel"], job["output_row"], job["output_column"] = output.strides[-3:]
        self.job = job
        self.state = np.zeros(3, np.int64)
        self.failures: list[BaseException] = []

    def run(self) -> None:
        """Work off all tickets, or raise what any thread raised."""
        worker, self.kernel_table = _compiled(self.layout)
        others = [
            threading.Thread(target=self._help, args=(worker,)) for _ in range(1, self.threads)
        ]
        try:
            for thread in others:
                thread.start()
            self._work(worker)
            for thread in others:
                thread.join()
        except BaseException:
            self.state[2] = 1
            for thread in others:
                if thread.ident is not None:
                    thread.join()
            raise
        if self.failures:
            raise self.failures[0]

    def _help(self, worker) -> None:
        try:
            self._work(worker)
        except BaseException as failure:
            self.failures.append(failure)
            self.state[2] = 1

    def _work(self, worker) -> None:
        layout = self.layout
        memory = self.memory if self.memory is not None else _memory(layout.workspace, layout.dtype)
        scratch = _memory(layout.scratch, layout.dtype)
        rows = max(kernel.summation.size * kernel.summation.maps for kernel in layout.kernels)
        job = self.job[0]
        room = np.zeros(1 + 2 * job["together"] + job["lanes"] + job["largest"] + rows, np.int64)
        room[0] = -1
        read = layout.channels, layout.edges, layout.rows, layout.columns
        arrays = *read, self.sources, self.targets, self.state, memory, scratch, room
        arguments = (
            *(self.job, layout.steps, self.kernel_table, self.tickets),
            *(array.ctypes.data for array in arrays),
            self.quota,
        )
        if not worker.signatures:
            with uncollected():
                try:
                    worker.compile(tuple(numba.typeof(argument) for argument in arguments))
                except OSError:  # compiled, but the cache's disk is full
                    if not worker.signatures:
                        raise
        answer = WAITING
        while answer != DONE:
            answer = worker(*arguments)
            if answer == WAITING:
                time.sleep(0)


@lru_cache(maxsize=256)
def _compiled(layout: CpuLayout):
    """Return the worker, and the table of kernels with the addresses of their code."""
    table = layout.kernel_table.copy()
    table["code"] = [compiled_row(kernel).address for kernel in layout.kernels]
    return _worker(layout.dtype), table


@lru_cache
def _worker(dtype: str):
    return make_worker(dtype)


def _addresses(array: np.ndarray, inner: int) -> np.ndarray:
    """Return where each of the arrays of the last `inner` axes starts."""
    addresses = np.array(array.ctypes.data, np.int64)
    for size, stride in zip(array.shape[:-inner], array.strides[:-inner], strict=True):
        addresses = addresses[..., None] + stride * np.arange(size)
    return addresses.ravel()


def _memory(elements: int, dtype: str) -> np.ndarray:
    """Return zeros that start at the boundary of a vector."""
    size = elements * np.dtype(dtype).itemsize
    memory = np.zeros(size + vector_bytes(), np.uint8)
    start = -memory.ctypes.data % vector_bytes()
    return memory[start : start + size].view(dtype)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
