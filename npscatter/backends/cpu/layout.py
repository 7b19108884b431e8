"""How a plan's program lies in memory on this CPU: maps, scratch memory and tables.

How rows lie in vectors, says `npscatter.backends.cpu.geometry`; the records that are filled in here
stand in `npscatter.backends.cpu.records`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np

from npscatter.backends.cpu.emission import BLOCK_ROWS, MEAN_NUMBERS, SUM_BYTES
from npscatter.backends.cpu.geometry import KernelSet, RowGeometry, up
from npscatter.backends.cpu.magnitudes import SCALING_VECTORS, SCALINGS
from npscatter.backends.cpu.records import (
    JOB,
    MAGNITUDES,
    MEANS,
    MODULI,
    NOTHING,
    PADDING,
    PART,
    SMOOTHED,
    STEP,
    SUMS,
    WORKER,
    address,
    aligned_zeros,
)
from npscatter.backends.cpu.row_codegen import RowKernel
from npscatter.backends.cpu.simd import vector_bytes
from npscatter.bank import FilterBank
from npscatter.program.magnitude import level_gain, ordinary_exponents
from npscatter.program.outputs import GLOBAL
from npscatter.program.plan import Plan
from npscatter.program.steps import Maps, Step
from npscatter.program.workspace import Workspace, lay_out_workspace


@dataclass(frozen=True, eq=False)
class CpuLayout:
    """A program laid out in memory.

    Attributes
    ----------
    plan : Plan
        The program.
    dtype : str
        Of weights, maps and output.
    images_per_vector : int
        Images that share the vectors of a row; a power of two.
    kernels : tuple of RowKernel
        One for every weight array, choice of orientations and stride, called by their number.
    kernel_table, steps : ndarray of KERNEL and of STEP
        The addresses of the kernels' code are still to be filled in.
    tables : dict of ndarray
        What `JOB` has the addresses of: "weights", "channels", "row_ends", "image_rows",
        "image_columns", "gain", "means".
    job : ndarray of JOB, of one
        What is the same for all calls.
    workspace_size : int
        Elements that the maps of `images_per_vector` images need.
    scratch_size : int
        Elements that a worker needs besides.
    scratch_offsets : dict of int
        Where in them the parts lie, in bytes, that `WORKER` has the addresses of.
    table_size, table_offsets
        The same, both in bytes, for a worker's tables of addresses.
    """

    plan: Plan
    dtype: str
    images_per_vector: int
    kernels: tuple[RowKernel, ...]
    kernel_table: np.ndarray
    steps: np.ndarray
    tables: dict[str, np.ndarray]
    job: np.ndarray
    workspace_size: int
    scratch_size: int
    scratch_offsets: dict[str, int]
    table_size: int
    table_offsets: dict[str, int]

    @property
    def memory(self) -> int:
        """Bytes one thread needs."""
        return (self.workspace_size + self.scratch_size) * np.dtype(self.dtype).itemsize

    @cached_property
    def work(self) -> float:
        """Multiply-adds of one image."""
        return float(self.steps["work"].sum())

    @cached_property
    def whole_steps(self) -> np.ndarray:
        """Each step of the program as one PART."""
        parts = np.zeros(len(self.steps), PART)
        parts["step"] = np.arange(len(parts))
        parts["groups"], parts["stop"] = self.steps["groups"], self.steps["height"]
        return parts

    @property
    def strips(self) -> int:
        """Strips of an image that lie side by side in a vector."""
        return int(self.job[0]["strips_per_vector"])

    @property
    def strip_columns(self) -> int:
        """Columns of a strip of the padded image."""
        padding = self.steps["smoothing"] == PADDING
        return int(self.steps["columns"][padding][0])

    @property
    def filled(self) -> float:
        """How much of the vectors is of use."""
        columns = self.strip_columns * self.strips
        return self.plan.padded_shape[1] / columns

    def new_workspace(self) -> np.ndarray:
        """Return memory for the maps of `images_per_vector` images."""
        return aligned_zeros(self.workspace_size, self.dtype)

    def new_worker(self) -> tuple[np.ndarray, ...]:
        """Return a WORKER without task and workspace, and the memory it has the addresses of."""
        scratch = aligned_zeros(self.scratch_size, self.dtype)
        tables = np.zeros(self.table_size, np.uint8)
        worker = np.zeros(1, WORKER)
        for memory, offsets in ((scratch, self.scratch_offsets), (tables, self.table_offsets)):
            start = address(memory)
            for name, offset in offsets.items():
                worker[name] = start + offset
        return worker, scratch, tables


@lru_cache(maxsize=64)
def lay_out(
    plan: Plan, bank: FilterBank, dtype: str, images_per_vector: int, folded: bool | None = None
) -> CpuLayout:
    """Lay a program out in memory.

    Parameters
    ----------
    plan : Plan
        Made for `bank`'s architecture.
    bank : FilterBank
        The weights.
    dtype : str
        "float32" or "float64".
    images_per_vector : int
        A power of two, at most the lanes of a vector.
    folded : bool, optional
        See `npscatter.FilterBank.summation`.

    Returns
    -------
    CpuLayout
    """
    kernels = KernelSet(plan, bank, dtype, folded)
    itemsize = np.dtype(dtype).itemsize
    rows = RowGeometry(plan, kernels, itemsize, vector_bytes() // itemsize // images_per_vector)
    workspace = lay_out_workspace(plan.steps, plan.buffers, plan.image, rows.map_pitch)
    steps = _step_table(plan, kernels, rows, workspace)
    channels = [channel for step in plan.steps for channel in step.channels]
    if plan.outputs.average is False:
        channels = [-1 if c < 0 else plan.channel_starts[c] for c in channels]
    gain, means = level_gain(plan, bank), _mean_table(plan)
    tables = {
        "weights": kernels.weights,
        "channels": np.array([*channels, 0], np.int64),
        "means": np.array([*means, 0], np.int64),
        "row_ends": np.array([*rows.ends, 0], np.int64),
        "image_rows": np.array(plan.rows, np.int64),
        "image_columns": np.array(plan.columns, np.int64),
        "gain": np.array([gain or 0.0]),
    }
    scratch_size, scratch_offsets = _place_scratch(plan, dtype, kernels, rows, steps)
    table_size, table_offsets = _place_tables(kernels, rows)
    job = _job(plan, dtype, rows, tables, gain is not None)
    sums = _place_sums(job, workspace.size + rows.slack, means)
    return CpuLayout(
        plan=plan,
        dtype=dtype,
        images_per_vector=images_per_vector,
        kernels=kernels.kernels,
        kernel_table=kernels.table,
        steps=steps,
        tables=tables,
        job=job,
        workspace_size=workspace.size + rows.slack + sums,
        scratch_size=scratch_size,
        scratch_offsets=scratch_offsets,
        table_size=table_size,
        table_offsets=table_offsets,
    )


def _mean_table(plan: Plan) -> list[int]:
    """Return, of every channel, the blocks of rows that its mean is the sum of, and its samples."""
    numbers = [0] * (MEAN_NUMBERS * plan.n_coefficients)
    for step in plan.steps:
        row, _, height, width = step.window
        blocks = row // BLOCK_ROWS, (row + height - 1) // BLOCK_ROWS + 1
        for channel in step.channels if step.output == "mean" else ():
            if channel >= 0:
                start = MEAN_NUMBERS * channel
                numbers[start : start + MEAN_NUMBERS] = *blocks, height * width
    return numbers if any(numbers) else []


def _place_sums(job: np.ndarray, start: int, means: list[int]) -> int:
    """Let the job know where blocks' sums are in the workspace; return the elements they take."""
    channels, blocks = len(means) // MEAN_NUMBERS, max(means[1::MEAN_NUMBERS], default=0)
    job["block_sums"], job["blocks"], job["channel_count"] = start, blocks, channels
    sums = channels * blocks * int(job[0]["images_per_vector"])
    # A whole vector of lanes is written at a time.
    return SUM_BYTES // int(job[0]["itemsize"]) * (sums + int(job[0]["lanes"])) if sums else 0


def _step_table(
    plan: Plan, kernels: KernelSet, rows: RowGeometry, workspace: Workspace
) -> np.ndarray:
    """Return what comes before the plan's steps, and these, as records."""
    records = [_record_of_the_image(MAGNITUDES), _padding_record(plan.image, rows, workspace)]
    channels = 0
    for step in plan.steps:
        record = _step_record(step, kernels, rows, workspace)
        record["channels"] = channels
        channels += len(step.channels)
        records.append(record)
    if plan.outputs.average == GLOBAL:
        records.append(_record_of_the_image(MEANS))
    return np.concatenate(records)


def _record_of_the_image(kind: int) -> np.ndarray:
    """Return a STEP of one part and next to no work."""
    record = np.zeros(1, STEP)
    record["wavelets"], record["smoothing"] = -1, kind
    record["groups"] = record["height"] = record["rows_together"] = 1
    return record


def _padding_record(image: Maps, rows: RowGeometry, workspace: Workspace) -> np.ndarray:
    """Return the STEP that fills the padded image."""
    record = np.zeros(1, STEP)
    record["wavelets"], record["smoothing"] = -1, PADDING
    record["groups"] = record["rows_together"] = 1
    record["height"] = image.height
    record["columns"] = rows.columns(image)
    record["work"] = image.height * image.width
    _set_target(record, image, rows, workspace)
    return record


def _step_record(
    step: Step, kernels: KernelSet, rows: RowGeometry, workspace: Workspace
) -> np.ndarray:
    """Return the STEP of a step of the plan; where its channels start is to be filled in."""
    record = np.zeros(1, STEP)
    record["wavelets"], record["smoothing"] = kernels.numbers(step)
    record["groups"], record["orientations"] = step.groups, len(step.orientations)
    record["height"] = step.size[0] if step.smoothing else step.modulus_shape[0]
    record["rows_together"] = 1
    record["first_row"] = step.first[0]
    record["work"] = kernels.work(step)
    record["source"] = workspace.offset(step.source)
    record["maps"] = step.maps_per_group
    record["source_height"] = step.source.height
    record["source_pitch"] = workspace.pitch(step.source)
    record["source_plane"] = workspace.plane(step.source)
    _set_emission(record, step, rows)
    if step.wavelets:
        smoothing, columns = kernels.smoothing(step), rows.modulus_columns(step)
        radius = smoothing.radius if smoothing else 0
        record["modulus_height"], width = step.modulus_shape
        record["modulus_columns"] = columns
        record["modulus_pitch"] = pitch = rows.pitch(columns, max(1, radius))
        # The slots that the interpreter keeps rows in.
        slots = 2 * smoothing.summation.size - 1 + smoothing.stride if smoothing else 1
        record["modulus_plane"] = slots * pitch
        record["modulus_ends"] = rows.add_ends(width, columns, radius)
    record["columns"] = rows.written_columns(step)
    if step.target:
        _set_target(record, step.target, rows, workspace)
        if rows.recuts(step):
            record["recut_plane"] = rows.passing_plane(step)
    return record


def _set_emission(record: np.ndarray, step: Step, rows: RowGeometry) -> None:
    """Fill in what a step emits and what of it is kept; moduli's rows in bytes of the output."""
    kinds = {"": NOTHING, "smoothed": SMOOTHED, "moduli": MODULI, "mean": SUMS}
    record["emits"] = kinds[step.output]
    if step.emits:
        record["emitted_columns"] = rows.written_columns(step)
        record["window_column"], record["window_width"] = step.first[1], step.size[1]
    elif step.output:
        record["emitted_columns"] = rows.modulus_columns(step)
        for name, value in zip(("row", "column", "height", "width"), step.window, strict=True):
            record[f"window_{name}"] = value
        record["row_stride"] = step.window[3] * rows.itemsize
        record["rows_together"] = BLOCK_ROWS // step.stride


def _set_target(record: np.ndarray, target: Maps, rows: RowGeometry, workspace: Workspace) -> None:
    record["target"] = workspace.offset(target)
    record["target_pitch"] = workspace.pitch(target)
    record["target_plane"] = workspace.plane(target)
    record["target_ends"] = rows.add_map_ends(target)


def _place_scratch(
    plan: Plan, dtype: str, kernels: KernelSet, rows: RowGeometry, steps: np.ndarray
) -> tuple[int, dict[str, int]]:
    """Return the elements of scratch memory a worker needs, and at which byte each part starts."""
    itemsize = np.dtype(dtype).itemsize
    parts = {
        "zero_row": rows.pitch(rows.widest, rows.margin),
        "row_scratch": max([0, *(kernel.scratch for kernel in kernels.kernels)]) * rows.lanes,
        "moduli": int((steps["orientations"] * steps["modulus_plane"]).max()),
        "passing_rows": max(_passing_rows(step, kernels, rows) for step in plan.steps),
        "lines": rows.lanes // rows.strips * rows.line,
        "square": rows.lanes * rows.lanes,
        "sums": max(_sums_of_columns(step, rows) for step in plan.steps),
        "scalings": SCALINGS * SCALING_VECTORS * rows.lanes,
    }
    size, offsets = 0, {}
    for name, elements in parts.items():
        offsets[name] = size * itemsize
        size += up(elements + rows.slack, rows.lanes)
    offsets["zero_row"] += rows.margin * rows.lanes * itemsize
    return size, offsets


def _place_tables(kernels: KernelSet, rows: RowGeometry) -> tuple[int, dict[str, int]]:
    """Return the bytes of a worker's tables of addresses, and at which each of them starts."""
    sizes = [(one.summation.size, one.summation.maps) for one in kernels.kernels]
    tables = {
        "images": rows.lanes // rows.strips,
        "coefficients": rows.lanes // rows.strips,
        "lane_addresses": rows.lanes,
        "lane_bounds": 2 * rows.lanes,
        "row_offsets": 2 * max([0, *(size for size, _ in sizes)]),
        "window_rows": max([0, *(size * maps for size, maps in sizes)]),
    }
    size, offsets = 0, {}
    for name, addresses in tables.items():
        offsets[name] = size
        size += addresses * np.dtype(np.int64).itemsize
    return size, offsets


def _passing_rows(step: Step, kernels: KernelSet, rows: RowGeometry) -> int:
    """Return the elements of the rows that a step writes but does not keep."""
    smoothing = kernels.smoothing(step)
    written = step.emits or rows.recuts(step)
    smoothed = smoothing.outputs * rows.passing_plane(step) if smoothing and written else 0
    moduli = rows.pitch(rows.modulus_columns(step), 1) if step.output == "moduli" else 0
    return max(smoothed, moduli)


def _sums_of_columns(step: Step, rows: RowGeometry) -> int:
    """Return the elements that the sums of columns of a step's moduli take."""
    if step.output != "mean":
        return 0
    columns = max(1, len(step.orientations)) * rows.modulus_columns(step)
    return columns * rows.lanes * SUM_BYTES // rows.itemsize


def _job(
    plan: Plan, dtype: str, rows: RowGeometry, tables: dict[str, np.ndarray], has_level: bool
) -> np.ndarray:
    """Return the JOB, without what only a call knows."""
    job = np.zeros(1, JOB)
    job["images_per_vector"] = rows.lanes // rows.strips
    job["strips_per_vector"], job["lanes"] = rows.strips, rows.lanes
    job["itemsize"] = np.dtype(dtype).itemsize
    job["wrap"], job["margin"] = plan.edge == "wrap", rows.margin
    job["width"] = plan.padded_shape[1]
    job["image_height"], job["image_width"] = plan.input_shape
    job["has_level"] = has_level
    job["least_exponent"], job["greatest_exponent"] = ordinary_exponents(dtype, plan)
    if rows.strips == 1:
        job["run"], job["run_columns"] = _neighbours(plan.columns, rows.lanes)
    job["line_bytes"] = rows.line * np.dtype(dtype).itemsize
    for name, table in tables.items():
        job[name] = address(table)
    return job


def _neighbours(columns: tuple[int, ...], least: int) -> tuple[int, int]:
    """Return where `columns` rises by ones for longest, and how long.

    The length is 0 if it is less than `least`, or if a column is not among them nor outside (-1).
    """
    starts = [x for x in range(len(columns)) if x == 0 or columns[x] != columns[x - 1] + 1]
    length, start = max((stop - x, x) for x, stop in pairwise([*starts, len(columns)]))
    run = columns[start : start + length]
    found = length >= least and set(columns) - {-1} <= set(run) - {-1} == set(run)
    return start, length if found else 0
