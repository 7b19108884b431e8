"""The program on the CPU's vector units: lays memory out, hands parts of the work to threads."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np

from npscatter.bank import ROLES, FilterBank
from npscatter.folding import summation
from npscatter.numba_kernels import DONE, JOB, KERNEL, STEP, TICKET, WAITING, make_worker
from npscatter.plan import Maps, Plan, Step
from npscatter.vectors import Kernel, compiled_row, vector_bytes

# Several small images share a vector while their workspace still fits a second-level cache.
LANES_BYTES = 5 * 2**20
# A call returns to Python after about this many multiply-adds, to let Ctrl-C through.
PAUSE = 2e9
# Work (multiply-adds) that is worth starting another thread for.
SHARE = 1e7


@dataclass(frozen=True)
class Layout:
    """A program laid out for one kind of images.

    Attributes
    ----------
    codes : tuple of Kernel
        The convolutions, called by their number.
    dtype : str
        Of images, weights and output.
    lanes : int
        Images side by side in a row.
    steps, kernels, channels : ndarray
        The tables `npscatter.numba_kernels` describes.
    weights : ndarray
        Of all kernels, one after the other.
    rows, columns : ndarray
        The plan's.
    workspace, scratch : int
        Elements of memory an image (or `lanes` of them) and a worker need.
    job : ndarray
        What is the same for all steps; its addresses are still to be filled in.
    work : float
        Multiply-adds of one image.
    """

    codes: tuple[Kernel, ...]
    dtype: str
    lanes: int
    steps: np.ndarray
    kernels: np.ndarray
    channels: np.ndarray
    weights: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    workspace: int
    scratch: int
    job: np.ndarray
    work: float


def execute(
    plan: Plan, bank: FilterBank, images: np.ndarray, output: np.ndarray, threads: int
) -> None:
    """Run the plan's program.

    Parameters
    ----------
    plan : Plan
        Made for `bank`'s architecture.
    bank : FilterBank
        The weights.
    images : ndarray, shape (N, H, W)
        float32 or float64, of the plan's `input_shape`, any strides; never written to.
    output : ndarray, shape (N, C, H // 2^J, W // 2^J)
        Of the same dtype, any strides; filled.
    threads : int
        How many threads may work.
    """
    lanes = _lanes(plan, images.dtype, len(images), threads)
    layout = lay_out(plan, bank, images.dtype.name, lanes)
    worker = _worker(layout.dtype)
    _Call(layout, images, output, threads).run(worker)


def _lanes(plan: Plan, dtype: np.dtype, images: int, threads: int) -> int:
    """Return how many images share a row."""
    lanes = vector_bytes() // dtype.itemsize
    fits = plan.workspace_size * vector_bytes() <= LANES_BYTES
    return lanes if fits and images >= lanes * threads else 1


@lru_cache(maxsize=64)
def lay_out(plan: Plan, bank: FilterBank, dtype: str, lanes: int, folded: bool = True) -> Layout:
    """Return the tables and sizes of one program for one kind of images."""
    kernels: dict[tuple, int] = {}
    weights: list[np.ndarray] = []

    def kernel(name: str, orientations: tuple[int, ...], stride: int) -> int:
        key = (name, orientations, stride)
        if key not in kernels:
            taps = bank[name]
            if orientations:
                taps = taps[list(orientations)]
                taps = np.concatenate([taps.real, taps.imag])
            sums, values = summation(taps, folded and bank.symmetric)
            kernels[key] = len(kernels)
            codes.append(Kernel(sums, ROLES[name] == "psi", stride, dtype, lanes))
            weights.append(values)
        return kernels[key]

    codes: list[Kernel] = []
    numbers = [
        (
            kernel(step.wavelets, step.orientations, step.wavelet_stride) if step.wavelets else -1,
            kernel(step.weights, (), step.stride) if step.weights else -1,
        )
        for step in plan.steps
    ]
    itemsize = np.dtype(dtype).itemsize
    width = vector_bytes() // itemsize
    left = max(width, _up(max(one.margin for one in codes) * lanes, width))

    def pitch(columns: int) -> int:
        return left + _up(columns * lanes, width) + left

    offsets, workspace = _place(plan, pitch)

    def offset(maps: Maps) -> int:
        return offsets[maps.buffer] + maps.first * maps.height * pitch(maps.width)

    steps = np.zeros(len(plan.steps), STEP)
    channels: list[int] = []
    staged = row = 1
    for record, step, (wavelets, smoother) in zip(steps, plan.steps, numbers, strict=True):
        record["wavelets"], record["smoother"] = wavelets, smoother
        record["emits"] = step.operation == "emit"
        record["groups"], record["orientations"] = step.groups, len(step.orientations)
        record["height"], record["width"] = step.size
        record["first_row"], record["first_column"] = step.first
        record["channels"] = len(channels)
        channels += step.channels
        if step.source:
            record["source"] = offset(step.source)
            record["maps"] = step.source.count // step.groups
            record["source_height"], record["source_width"] = step.source.shape
            record["source_pitch"] = pitch(step.source.width)
            record["modulus_height"], record["modulus_width"] = step.modulus_shape
            record["modulus_pitch"] = pitch(step.modulus_shape[1])
            kept = 2 * bank[step.weights].shape[-1] - 1
            staged = max(staged, len(step.orientations) * kept * pitch(step.modulus_shape[1]))
            row = max(row, pitch(step.size[1]))
        if step.target:
            record["target"] = offset(step.target)
            record["target_pitch"], record["target_height"] = pitch(step.target.width), step.size[0]
    table = np.zeros(len(codes), KERNEL)
    start = 0
    for record, one, values in zip(table, codes, weights, strict=True):
        record["size"], record["stride"] = one.summation.size, one.stride
        record["code"] = compiled_row(one).address
        record["margin"], record["outputs"] = one.margin, one.outputs
        record["block"], record["weights"] = one.block, start
        start += len(values)
    widest = max(pitch(max(plan.padded_shape[1], maps.width)) for maps in plan.buffers)
    slack = 4 * left + 8 * width  # vectors are read beyond the last row's end
    sizes = {"zeros": left + widest + slack, "folded": max(one.scratch for one in codes) + slack, "staged": staged + slack}
    job = np.zeros(1, JOB)
    job["lanes"], job["width"], job["itemsize"] = lanes, width, itemsize
    job["largest"] = max(one.summation.size for one in codes)
    job["wrap"], job["left"] = plan.edge == "wrap", left
    place = 0
    for name, size in sizes.items():
        job[name] = (place + (left if name == "zeros" else 0)) * itemsize
        place += _up(size, width)
    job["row"] = place * itemsize
    return Layout(
        codes=tuple(codes),
        dtype=dtype,
        lanes=lanes,
        steps=steps,
        kernels=table,
        channels=np.array([*channels, 0], np.int64),
        weights=np.concatenate(weights).astype(dtype),
        rows=np.array(plan.rows, np.int64),
        columns=np.array(plan.columns, np.int64),
        workspace=workspace + slack,
        scratch=place + row + slack,
        job=job,
        work=float(sum(_work(step, codes, pair) for step, pair in zip(plan.steps, numbers, strict=True))),
    )


def _work(step: Step, codes: list[Kernel], numbers: tuple[int, int]) -> int:
    """Return the multiply-adds of a step."""
    wavelets, smoother = numbers
    if smoother < 0:
        return step.size[0] * step.size[1]
    work = step.size[0] * step.size[1] * codes[smoother].summation.multiply_adds
    work *= max(1, len(step.orientations))
    if wavelets >= 0:
        height, width = step.modulus_shape
        work += height * width * codes[wavelets].summation.multiply_adds
    return work * step.groups


def _place(plan: Plan, pitch) -> tuple[tuple[int, ...], int]:
    from npscatter.plan import place

    return place(plan.steps, plan.buffers, lambda maps: maps.count * maps.height * pitch(maps.width))


@lru_cache(maxsize=64)
def _worker(dtype: str):
    return make_worker(dtype)


class _Call:
    """One call: its memory, and the threads that share it."""

    def __init__(self, layout: Layout, images: np.ndarray, output: np.ndarray, threads: int):
        self.layout = layout
        self.images, self.output = images, output
        lanes = layout.lanes
        self.split = False
        parts = -(-len(images) // lanes)
        work = layout.work * len(images)
        self.threads = max(1, min(threads, int(work / SHARE), parts))
        self.quota = max(1, int(PAUSE / (layout.work * lanes)))
        job = layout.job.copy()
        job["images"] = len(images)
        job["weights"] = layout.weights.ctypes.data
        job["image_row"], job["image_column"] = images.strides[1:]
        job["channel"], job["output_row"], job["output_column"] = output.strides[1:]
        self.job = job
        self.inputs = images.ctypes.data + images.strides[0] * np.arange(len(images))
        self.outputs = output.ctypes.data + output.strides[0] * np.arange(len(images))
        self.tickets = np.zeros(1, TICKET)
        self.state = np.zeros(3, np.int64)

    def run(self, worker) -> None:
        others = [
            threading.Thread(target=self.work, args=(worker,), daemon=True)
            for _ in range(self.threads - 1)
        ]
        try:
            for thread in others:
                thread.start()
            self.work(worker)
        except BaseException:
            self.state[2] = 1
            raise
        finally:
            for thread in others:
                thread.join()

    def work(self, worker) -> None:
        layout = self.layout
        memory = _aligned(layout.workspace, layout.dtype)
        scratch = _aligned(layout.scratch, layout.dtype)
        table = np.zeros(1 + sum(k.summation.size * k.summation.maps for k in layout.codes), np.int64)
        held = np.full(1, -1)
        while True:
            answer = worker(
                self.job, layout.steps, layout.kernels, layout.channels, layout.rows,
                layout.columns, self.tickets, self.inputs, self.outputs, self.state, held,
                memory.ctypes.data, scratch.ctypes.data, table, self.quota,
            )  # fmt: skip
            if answer == DONE:
                return
            if answer == WAITING:
                time.sleep(0)


def _aligned(elements: int, dtype: str) -> np.ndarray:
    """Return zeros that start at the boundary of a vector."""
    bytes_ = np.zeros(elements * np.dtype(dtype).itemsize + vector_bytes(), np.uint8)
    start = -bytes_.ctypes.data % vector_bytes()
    return bytes_[start : start + elements * np.dtype(dtype).itemsize].view(dtype)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


def default_threads() -> int:
    """Return how many threads are used unless a caller says otherwise."""
    return numba.config.NUMBA_NUM_THREADS
