"""The program as launches on a GPU: which steps go together, and memory.

A step without wavelets that follows a step with wavelets on the same source is one launch with it,
so that the source is read once; moduli that are not asked for never leave shared memory
(`npscatter.backends.gpu.tiling`). Of means it is sums that do, one for every cell of a few moduli
of neighbouring rows and columns: cells do not depend on how work is cut into blocks, so neither
does the mean of all, which a last launch makes of them (`npscatter.backends.gpu.means`).
Integers only; nothing here needs a GPU or its software.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from npscatter.backends.gpu.register_tile import make_register_tile, run_length
from npscatter.backends.gpu.tiling import ANY_GPU, BLOCKS, Device, KernelSpec, Tile, best_tiling, up
from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, explain
from npscatter.program.magnitude import level_gain, ordinary_exponents
from npscatter.program.outputs import GLOBAL
from npscatter.program.plan import Plan
from npscatter.program.steps import Maps, Step
from npscatter.program.workspace import Workspace, lay_out_workspace

# Blocks of one launch at most.
GRID = 2**31 - 1
# Pixels of a padded image at most: samples of a map are numbered by 32 bits, with their sign.
LARGEST_IMAGE = 2**31 - 1
# Where pairs of numbers are in the record of an image, and how many numbers there are; what they
# are for is said in `npscatter.backends.gpu.magnitudes`.
PIXELS, AVERAGE, OTHERS, RECORD = 0, 2, 4, 6
# Pixels that a block looks through before an image is cut; the threads of such a block, at least
# and at most, and the numbers that each of them looks at.
STRETCH = 2**14
LOOKING = (32, 256)
EACH = 8
# To what exponent images are shifted whose carried maps are halves, which end at 2^16 and are
# denormal below 2^-14: maps may grow 2^7-fold and be 2^-22 of the largest pixel.
HALVES_EXPONENT = 8
# Rows of a cell of moduli where nothing is smoothed; else those from one target row to the next.
CELL_ROWS = {"mean": 2, "moduli": 1}


class Source(NamedTuple):
    """Where the maps of a source lie in the workspace of an image (the image itself: nowhere)."""

    offset: int
    pitch: int
    plane: int
    height: int
    width: int


class Target(NamedTuple):
    """Where target maps lie: in the workspace of an image, or as channels of the output."""

    offset: int  # in the workspace
    pitch: int
    plane: int
    channels: int  # where its channels start in the table of channels


class Emitted(NamedTuple):
    """Which moduli go to the output, or in sums to its means: the window, and its cells.

    A cell are the moduli between a run of target samples and the next one, and the next row's.
    """

    row: int
    column: int
    height: int
    width: int
    cell_row: int  # target row of the first cells
    cell_column: int  # run of target samples of the first cells
    cell_rows: int
    cell_columns: int
    channels: int  # where its channels start in the table of channels


class Geometry(NamedTuple):
    """The numbers of a launch.

    Offsets, pitches and planes are in elements. To a kernel the offsets and `workspace` are 64-bit
    integers, the others 32-bit.
    """

    groups: int  # stacks of the source, for each image
    stacks: int  # of the source that a block works on side by side
    strips: int
    bands: int
    strip_width: int
    band_rows: int
    advance_rows: int
    prefetch: int  # advances that compute moduli before the first that smooths
    height: int  # of the target, as far as it is computed
    width: int
    first_row: int
    first_column: int
    moduli_height: int
    moduli_width: int
    source: Source
    source_tile: Tile
    moduli_tile: Tile
    smoothed: Target  # from the moduli
    direct: Target  # from the source
    emitted: Emitted
    channels: int  # of the output, for each image
    workspace: int  # elements of an image's


class Magnitudes(NamedTuple):
    """The numbers of a launch that finds levels and shifts; see `npscatter.program.magnitude`."""

    stretches: int  # that an image is cut into, a block each
    stretch: int  # pixels
    has_level: int
    least: int  # exponents of ordinary images
    most: int
    gain: float

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return looking(self.stretch)

    def shared_bytes(self, dtype: str) -> int:
        """Return the bytes of shared memory: for two numbers per thread."""
        return 2 * self.threads * np.dtype(dtype).itemsize

    @property
    def numbers(self) -> int:
        """Numbers in memory of each image: its record, and the extremes of its stretches."""
        return RECORD + (2 * self.stretches if self.stretches > 1 else 0)

    def once_more(self) -> Magnitudes:
        """Return those of the launch that looks through the extremes of the stretches."""
        return self._replace(stretches=1, stretch=2 * self.stretches)


def looking(numbers: int) -> int:
    """Return the threads of a block that looks through so many numbers: a power of two."""
    fewest, most = LOOKING
    return max(fewest, min(most, 1 << (numbers // EACH).bit_length()))


@dataclass(frozen=True)
class Launch:
    """One launch: a kernel, its geometry and its size."""

    spec: KernelSpec
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
    magnitudes : Magnitudes
        Of what comes before them.
    channels : ndarray of int32
        Output channels, which the geometry points into; -1 for moduli that are not asked for.
    starts : ndarray of int64
        Where in an image's output every channel starts, or of means its cells; last the end.
    samples : ndarray of int32
        Of means: of how many samples each of them is.
    rows, columns : ndarray of int32
        The plan's.
    workspace : int
        Elements of `storage` one image needs.
    dtype, storage : str
        What is computed in, and what carried maps are stored as.
    """

    plan: Plan
    launches: tuple[Launch, ...]
    magnitudes: Magnitudes
    channels: np.ndarray
    starts: np.ndarray
    samples: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    workspace: int
    dtype: str
    storage: str

    @property
    def workspace_bytes(self) -> int:
        """Bytes one image needs on the GPU, besides itself and its coefficients."""
        numbers = (self.magnitudes.numbers + self.cells) * np.dtype(self.dtype).itemsize
        return self.workspace * np.dtype(self.storage).itemsize + numbers

    @property
    def aligned(self) -> bool:
        """Whether rows of smoothed maps start at multiples of a vector, as seen from the output."""
        return self.plan.output_shape[-1] % run_length(self.dtype) == 0

    @property
    def cells(self) -> int:
        """Cells of an image, of which sums are stored; 0 but for means."""
        return int(self.starts[-1]) if self.plan.outputs.average == GLOBAL else 0

    @property
    def adding(self) -> int:
        """Threads that add up a channel's cells, by the image: their number decides on the bits."""
        height, width = self.plan.shape
        return looking(height * width // (CELL_ROWS["mean"] ** 2 * run_length(self.dtype)))


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
        If not even the most rounds fit, or pixels cannot be numbered.
    """
    if math.prod(plan.padded_shape) > LARGEST_IMAGE:
        rule = f"padded to {plan.padded_shape}, has more than {LARGEST_IMAGE} pixels"
        remedy = "use backend='numba', which computes in tiles (memory=), or npscatter.dask.scatter"
        raise ArgumentError(explain("x.shape[-2:]", plan.input_shape, rule, remedy))
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
    most_blocks = max(most_blocks, layout.magnitudes.stretches, layout.plan.n_coefficients)
    return max(1, min(images, memory // layout.workspace_bytes, GRID // most_blocks))


@lru_cache(maxsize=64)
def _lay_out(plan, bank, dtype, storage, images, device) -> GpuLayout:
    # The padded image is never stored: whatever reads it reads the image.
    workspace = lay_out_workspace(plan.steps, plan.buffers, None, lambda maps: up(maps.width, 4))
    size = up(max(workspace.size, 4), 4)
    launches, channels, cells = [], [], {}
    for pair in _pairs(map(_in_cells, plan.steps)):
        step = pair[0] or pair[1]
        spec = _kernel_spec(plan, bank, *pair, dtype, storage)
        lies = (0, 0, 0) if spec.reads_image else _place(workspace, step.source)
        source = Source(*lies, *step.source.shape)
        emitted = _emitted(step, run_length(dtype), len(channels))
        cells |= dict.fromkeys(step.channels, emitted)
        targets = []
        for one in pair:
            targets.append(_target(plan, workspace, one, len(channels)))
            channels += one.channels if one else ()
        writes = *targets, emitted, plan.n_coefficients, size
        launches.append(_launch(spec, step, source, writes, images, device))
    starts, samples = _channel_tables(plan, cells)
    return GpuLayout(
        plan=plan,
        launches=tuple(launches),
        magnitudes=_magnitudes(plan, bank, dtype, storage, images),
        channels=np.array(channels, np.int32),
        starts=starts,
        samples=samples,
        rows=np.array(plan.rows, np.int32),
        columns=np.array(plan.columns, np.int32),
        workspace=size,
        dtype=dtype,
        storage=storage,
    )


def _magnitudes(plan, bank, dtype, storage, images) -> Magnitudes:
    """Return how the images are looked through: few large ones by many blocks."""
    pixels = int(np.prod(plan.input_shape))
    stretch = -(-pixels // max(1, min(pixels // STRETCH, BLOCKS // images)))
    gain = level_gain(plan, bank)
    least, most = ordinary_exponents(dtype, plan)
    if storage == "float16":
        least = most = HALVES_EXPONENT
    return Magnitudes(
        stretches=-(-pixels // stretch),
        stretch=stretch,
        has_level=int(gain is not None),
        least=least,
        most=most,
        gain=gain or 0.0,
    )


def _place(workspace: Workspace, maps: Maps) -> tuple[int, int, int]:
    """Return the offset, the pitch and the plane of maps."""
    return workspace.offset(maps), workspace.pitch(maps), workspace.plane(maps)


def _target(plan: Plan, workspace: Workspace, step: Step | None, channels: int) -> Target:
    """Return where a step writes; `channels` are in the table already."""
    if step is None:
        return Target(0, 0, 0, 0)
    if step.target:
        return Target(*_place(workspace, step.target), 0)
    if not step.emits:
        return Target(0, 0, 0, 0)
    _, height, width = plan.output_shape
    return Target(0, width, height * width, channels)


def _in_cells(step: Step) -> Step:
    """Return a step; one that smooths nothing with the cells of its window for a target."""
    if step.smoothing:
        return step
    rows, (y, x, height, width) = CELL_ROWS[step.output], step.window
    size = -(-(y + height) // rows) - y // rows, -(-(x + width) // rows) - x // rows
    return replace(step, stride=rows, first=(y // rows, x // rows), size=size)


def _emitted(step: Step, run: int, channels: int) -> Emitted:
    """Return which moduli a step emits; `channels` are in the table already."""
    if not step.emits_moduli:
        return Emitted(0, 0, 0, 0, 0, 0, 0, 0, 0)
    (y, x, height, width), (first_row, first_column) = step.window, step.first
    top, bottom = y // step.stride - first_row, -(-(y + height) // step.stride) - first_row
    left, right = x // step.stride - first_column, -(-(x + width) // step.stride) - first_column
    rows, columns = bottom - top, -(-right // run) - left // run
    return Emitted(*step.window, top, left // run, rows, columns, channels)


def _channel_tables(plan: Plan, cells: dict[int, Emitted]) -> tuple[np.ndarray, np.ndarray]:
    """Return the tables `starts` and `samples` of a layout, given what every channel is made of."""
    if plan.outputs.average != GLOBAL:
        return np.array(plan.channel_starts, np.int64), np.zeros(1, np.int32)
    made = [cells[channel] for channel in range(plan.n_coefficients)]
    sizes = (one.cell_rows * one.cell_columns for one in made)
    starts = np.array([0, *itertools.accumulate(sizes)], np.int64)
    return starts, np.array([one.height * one.width for one in made], np.int32)


def _pairs(steps: Iterable[Step]) -> Iterator[tuple[Step | None, Step | None]]:
    """Yield steps with wavelets, each with the step without that follows on the same source."""
    steps = list(steps)
    while steps:
        step = steps.pop(0)
        if not step.wavelets:
            yield None, step
            continue
        other = steps[0] if steps else None
        same = (
            other
            and other.smoothing
            and not other.wavelets
            and _total_stride(step) == _total_stride(other)
        )
        for name in ("source", "groups", "first", "size", "emits"):
            same = same and getattr(step, name) == getattr(other, name)
        yield step, steps.pop(0) if same else None


def _total_stride(step: Step) -> int:
    """Return the source samples from one target sample to the next."""
    return step.wavelet_stride * step.stride


def _kernel_spec(plan, bank, wavelet_step, direct_step, dtype, storage) -> KernelSpec:
    """Return what the kernel of a step with wavelets, one without, or both is compiled for."""
    step = wavelet_step or direct_step
    # Source rows and columns that a target sample needs on every side, of either step.
    wavelet_halo = direct_halo = smoothing_radius = 0
    if wavelet_step:
        smoothing_radius = _radius(bank, step)
        wavelet_halo = step.wavelet_stride * smoothing_radius + bank[step.wavelets].shape[-1] // 2
    if direct_step:
        direct_halo = _radius(bank, direct_step)
    halo = max(wavelet_halo, direct_halo)
    wavelets = smoothing = direct = None
    if wavelet_step:
        wavelets = make_register_tile(
            *(bank, step.wavelets, step.orientations, step.wavelet_stride),
            *(halo - wavelet_halo, dtype),
        )
    if wavelet_step and step.smoothing:
        shift = smoothing_radius - bank[step.smoothing].shape[-1] // 2
        smoothing = make_register_tile(bank, step.smoothing, None, step.stride, shift, dtype)
    if direct_step and direct_step.smoothing:
        direct = make_register_tile(
            bank, direct_step.smoothing, None, direct_step.stride, halo - direct_halo, dtype
        )
    return KernelSpec(
        reads_image=step.source.buffer == plan.image.buffer,
        maps=step.maps_per_group,
        stride=_total_stride(step),
        halo=halo,
        wavelets=wavelets,
        smoothing=smoothing,
        direct=direct,
        smoothing_radius=smoothing_radius,
        output=step.output,
        wrap=plan.edge == "wrap",
        dtype=dtype,
        storage=storage,
    )


def _radius(bank: FilterBank, step: Step) -> int:
    """Return the samples on every side that a target sample needs of what a step smooths."""
    radius = bank[step.smoothing].shape[-1] // 2 if step.smoothing else 0
    return max(radius, step.stride - 1) if step.emits_moduli else radius


def _launch(spec, step, source, writes, images, device) -> Launch:
    """Choose tiling, threads and bands for `images` images; return the launch.

    `writes` are the targets that are smoothed from the moduli and from the source, what is
    emitted, and of an image the number of channels and the elements of workspace.
    """
    height, width = step.size
    moduli_height, moduli_width = step.modulus_shape if spec.wavelets else (0, 0)
    tiling, threads, band_rows = best_tiling(
        spec, height, width, moduli_width, step.groups * images, device
    )
    smoothed, direct, emitted, channels, workspace = writes
    geometry = Geometry(
        groups=step.groups,
        stacks=tiling.stacks,
        strips=-(-width // tiling.width),
        bands=-(-height // band_rows),
        strip_width=tiling.width,
        band_rows=band_rows,
        advance_rows=tiling.advance_rows,
        prefetch=tiling.prefetch,
        height=height,
        width=width,
        first_row=step.first[0],
        first_column=step.first[1],
        moduli_height=moduli_height,
        moduli_width=moduli_width,
        source=source,
        source_tile=tiling.source,
        moduli_tile=tiling.moduli,
        smoothed=smoothed,
        direct=direct,
        emitted=emitted,
        channels=channels,
        workspace=workspace,
    )
    return Launch(spec, geometry, threads, tiling.shared_bytes)
