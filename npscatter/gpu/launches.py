"""The program as launches on a GPU: which steps go together, and memory.

A step without wavelets that follows a step with wavelets on the same source is one launch with it,
so that the source is read once; moduli never leave shared memory (`npscatter.gpu.tiling`). Integers
only; nothing here needs a GPU or its software.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, explain
from npscatter.gpu.run_codegen import make_register_tile
from npscatter.gpu.tiling import ANY_GPU, BLOCKS, Device, Work, best_tile, up
from npscatter.program.plan import Plan
from npscatter.program.steps import Step
from npscatter.program.workspace import lay_out_workspace

# Blocks of one launch at most.
GRID = 2**31 - 1


class Geometry(NamedTuple):
    """What a kernel is told of a launch.

    Offsets (64-bit integers to a kernel, the others 32-bit), pitches and planes are in elements.
    """

    source_offset: int
    target_offset: int
    direct_offset: int
    stacks: int  # of the source that a block works on side by side
    strips: int
    bands: int
    groups: int
    tile_width: int
    band_rows: int
    step_rows: int
    ahead: int  # turns that compute moduli before the first that smooths
    height: int  # of the target, as far as it is computed
    width: int
    first_row: int
    first_column: int
    source_height: int
    source_width: int
    source_pitch: int
    source_plane: int
    tile_ring: int
    tile_pitch: int
    tile_half: int
    tile_plane: int
    modulus_height: int
    modulus_width: int
    modulus_ring: int
    modulus_pitch: int
    modulus_half: int
    modulus_plane: int
    tile_stack: int  # elements of shared memory from one stack to the next
    modulus_stack: int
    modulus_start: int  # in shared memory
    target_pitch: int
    target_plane: int
    target_channels: int  # where its channels start in the table of channels
    direct_pitch: int
    direct_plane: int
    direct_channels: int
    channel_pitch: int  # of the output
    channel_plane: int
    channels: int


@dataclass(frozen=True)
class Launch:
    """One launch: a kernel, its geometry and its size."""

    work: Work
    geometry: Geometry
    threads: int
    shared_bytes: int

    def blocks(self, images: int) -> int:
        """Return the blocks of a launch for so many images."""
        stacks = images * self.geometry.groups
        return -(-stacks // self.geometry.stacks) * self.geometry.strips * self.geometry.bands


@dataclass(frozen=True, eq=False)
class GpuLayout:
    """A program laid out for a GPU.

    Attributes
    ----------
    plan : Plan
        The program.
    launches : tuple of Launch
        In order.
    channels : ndarray of int32
        Output channels, which the geometry points into.
    rows, columns : ndarray of int32
        The plan's.
    workspace : int
        Elements of `storage` one image needs.
    dtype, storage : str
        What is computed in, and what carried maps are stored as.
    """

    plan: Plan
    launches: tuple[Launch, ...]
    channels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    workspace: int
    dtype: str
    storage: str

    @property
    def workspace_bytes(self) -> int:
        """Bytes one image needs on the GPU, besides itself and its coefficients."""
        return self.workspace * np.dtype(self.storage).itemsize


def lay_out(
    plan: Plan,
    bank: FilterBank,
    dtype: str,
    storage: str | None = None,
    images: int = 1,
    device: Device = ANY_GPU,
) -> GpuLayout:
    """Return the launches of a program.

    Parameters
    ----------
    plan : Plan
        The program.
    bank : FilterBank
        Its weights.
    dtype : str
        What is computed in: "float32" or "float64".
    storage : str, optional
        What carried maps are stored as: "float16", or as `dtype`.
    images : int
        How many images at least a launch will be for: the fewer, the more bands.
    device : Device, optional
        Where it is to run; what suits every GPU by default.
    """
    # Powers of two, so that few layouts serve all batches; beyond so many nothing changes.
    images = 1 << (min(images, BLOCKS).bit_length() - 1)
    return _lay_out(plan, bank, dtype, storage or dtype, images, device)


def choose(
    plan: Plan,
    bank: FilterBank,
    dtype: str,
    storage: str | None,
    images: int,
    memory: int,
    device: Device = ANY_GPU,
) -> GpuLayout:
    """Return the layout that works on most images at a time in so many bytes of workspace.

    Breadth first if one image fits so, else in as few rounds of orientations as fit.

    Raises
    ------
    ArgumentError
        If not even the most rounds fit.
    """
    for candidate in itertools.chain([plan.octave_by_octave()], plan.by_memory()):
        layout = lay_out(candidate, bank, dtype, storage, images, device)
        if layout.workspace_bytes <= memory:
            return layout
    raise ArgumentError(
        explain(
            "memory",
            memory,
            f"one image of {plan.input_shape} needs {layout.workspace_bytes} bytes of workspace",
            "allow more memory, choose storage='float16', or cut the image",
        )
    )


def images_at_once(layout: GpuLayout, images: int, memory: int) -> int:
    """Return how many images one launch works on, given the bytes of workspace."""
    most_blocks = max(launch.blocks(1) for launch in layout.launches)
    return max(1, min(images, memory // layout.workspace_bytes, GRID // most_blocks))


@lru_cache(maxsize=64)
def _lay_out(plan, bank, dtype, storage, images, device) -> GpuLayout:
    # The padded image is never stored: whatever reads it reads the image.
    image = plan.image.buffer
    steps = plan.steps
    space = lay_out_workspace(steps, plan.buffers, None, lambda maps: up(maps.width, 4))
    pitch, offset, workspace = space.pitch, space.offset, space.size

    launches, channels = [], []
    for wavelet_step, direct_step in _pairs(steps):
        step = wavelet_step or direct_step
        work = _work(plan, bank, wavelet_step, direct_step, image, dtype, storage)
        record = dict.fromkeys(Geometry._fields, 0)
        record["groups"] = step.groups
        record["height"], record["width"] = step.size
        record["first_row"], record["first_column"] = step.first
        record["source_height"], record["source_width"] = step.source.shape
        if not work.image:
            record["source_offset"] = offset(step.source)
            record["source_pitch"] = pitch(step.source)
            record["source_plane"] = pitch(step.source) * step.source.height
        for name, one in (("target", wavelet_step), ("direct", direct_step)):
            if one and one.target:
                record[f"{name}_offset"] = offset(one.target)
                record[f"{name}_pitch"] = pitch(one.target)
                record[f"{name}_plane"] = pitch(one.target) * one.target.height
            elif one:
                record[f"{name}_channels"] = len(channels)
                channels += one.channels
        record["channel_pitch"] = plan.output_shape[1]
        record["channel_plane"] = plan.output_shape[0] * plan.output_shape[1]
        record["channels"] = plan.n_coefficients
        modulus_shape = wavelet_step.modulus_shape if wavelet_step else (0, 0)
        record["modulus_height"], record["modulus_width"] = modulus_shape
        launches.append(_launch(work, record, images, device))
    return GpuLayout(
        plan=plan,
        launches=tuple(launches),
        channels=np.array(channels, np.int32),
        rows=np.array(plan.rows, np.int32),
        columns=np.array(plan.columns, np.int32),
        workspace=up(max(workspace, 4), 4),
        dtype=dtype,
        storage=storage,
    )


def _pairs(steps: tuple[Step, ...]) -> Iterator[tuple[Step | None, Step | None]]:
    """Yield steps with wavelets, each with the step without that follows on the same source."""
    steps = list(steps)
    while steps:
        step = steps.pop(0)
        if not step.wavelets:
            yield None, step
            continue
        other = steps[0] if steps else None
        same = other and not other.wavelets
        for name in ("source", "groups", "first", "size", "emits"):
            same = same and getattr(step, name) == getattr(other, name)
        yield step, steps.pop(0) if same else None


def _work(plan, bank, wavelet_step, direct_step, image, dtype, storage) -> Work:
    step = wavelet_step or direct_step
    halos = []
    if wavelet_step:
        first, second = (bank[key].shape[-1] // 2 for key in (step.wavelets, step.smoothing))
        halos.append(step.wavelet_stride * second + first)
    if direct_step:
        halos.append(bank[direct_step.smoothing].shape[-1] // 2)
    halo = max(halos)
    wavelets = smoother = direct = None
    if wavelet_step:
        orientations = wavelet_step.orientations
        wavelets = make_register_tile(
            bank, step.wavelets, orientations, step.wavelet_stride, halo - halos[0], dtype
        )
        smoother = make_register_tile(bank, step.smoothing, None, step.stride, 0, dtype)
    if direct_step:
        direct = make_register_tile(bank, direct_step.smoothing, None, 2, halo - halos[-1], dtype)
    return Work(
        image=step.source.buffer == image,
        maps=step.source.count // step.groups,
        halo=halo,
        wavelets=wavelets,
        smoother=smoother,
        direct=direct,
        emits=step.emits,
        wrap=plan.edge == "wrap",
        dtype=dtype,
        storage=storage,
    )


def _launch(work: Work, record: dict[str, int], images: int, device: Device) -> Launch:
    """Choose tile, threads and bands; fill in the geometry."""
    height, width = record["height"], record["width"]
    stacks = record["groups"] * images
    tile, threads, band_rows = best_tile(
        work, height, width, record["modulus_width"], stacks, device
    )
    names = ("ring", "pitch", "half", "plane", "stack")
    for kind, values in (("tile", tile.tile), ("modulus", tile.moduli)):
        for name, value in zip(names, values, strict=True):
            record[f"{kind}_{name}"] = value
    record["modulus_start"] = tile.stacks * record["tile_stack"]
    record["stacks"], record["strips"] = tile.stacks, -(-width // tile.width)
    record["bands"], record["band_rows"] = -(-height // band_rows), band_rows
    record["tile_width"], record["step_rows"] = tile.width, tile.step_rows
    record["ahead"] = tile.ahead
    return Launch(work, Geometry(**record), threads, tile.shared_bytes)
