"""The program as launches on a GPU: which steps go together, and memory.

A step without wavelets that follows a step with wavelets on the same source is one launch with it,
so that the source is read once; moduli never leave shared memory (`npscatter.backends.gpu.tiling`).
Integers only; nothing here needs a GPU or its software.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from npscatter.backends.gpu.register_tile import make_register_tile
from npscatter.backends.gpu.tiling import ANY_GPU, BLOCKS, Device, KernelSpec, Tile, best_tiling, up
from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, explain
from npscatter.program.magnitude import level_gain, ordinary_exponents
from npscatter.program.plan import Plan
from npscatter.program.steps import Maps, Step
from npscatter.program.workspace import Workspace, lay_out_workspace

# Blocks of one launch at most.
GRID = 2**31 - 1
# Where pairs of numbers are in the record of an image, and how many numbers there are; what they
# are for is said in `npscatter.backends.gpu.magnitudes`.
PIXELS, AVERAGE, OTHERS, RECORD = 0, 2, 4, 6
# Pixels that a block looks through before an image is cut, and the threads that do.
STRETCH = 2**14
LOOKING = (32, 256)
# To what exponent images are shifted whose carried maps are halves, which end at 2^16 and are
# denormal below 2^-14: maps may grow 2^7-fold and be 2^-22 of the largest pixel.
HALVES_EXPONENT = 8


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


class Geometry(NamedTuple):
    """The numbers of a launch.

    Offsets (64-bit integers to a kernel, the others 32-bit), pitches and planes are in elements.
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
    channels: int  # of the output, for each image


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
        """Threads of a block: a power of two, with several pixels each."""
        fewest, most = LOOKING
        return max(fewest, min(most, 1 << (self.stretch // 8).bit_length()))

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
    magnitudes: Magnitudes
    channels: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    workspace: int
    dtype: str
    storage: str

    @property
    def workspace_bytes(self) -> int:
        """Bytes one image needs on the GPU, besides itself and its coefficients."""
        records = self.magnitudes.numbers * np.dtype(self.dtype).itemsize
        return self.workspace * np.dtype(self.storage).itemsize + records


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
    most_blocks = max(most_blocks, layout.magnitudes.stretches)
    return max(1, min(images, memory // layout.workspace_bytes, GRID // most_blocks))


@lru_cache(maxsize=64)
def _lay_out(plan, bank, dtype, storage, images, device) -> GpuLayout:
    # The padded image is never stored: whatever reads it reads the image.
    workspace = lay_out_workspace(plan.steps, plan.buffers, None, lambda maps: up(maps.width, 4))
    launches, channels = [], []
    for pair in _pairs(plan.steps):
        step = pair[0] or pair[1]
        spec = _kernel_spec(plan, bank, *pair, dtype, storage)
        lies = (0, 0, 0) if spec.reads_image else _place(workspace, step.source)
        source = Source(*lies, *step.source.shape)
        targets = []
        for one in pair:
            targets.append(_target(plan, workspace, one, len(channels)))
            channels += one.channels if one else ()
        launches.append(_launch(spec, step, source, targets, plan.n_coefficients, images, device))
    return GpuLayout(
        plan=plan,
        launches=tuple(launches),
        magnitudes=_magnitudes(plan, bank, dtype, storage, images),
        channels=np.array(channels, np.int32),
        rows=np.array(plan.rows, np.int32),
        columns=np.array(plan.columns, np.int32),
        workspace=up(max(workspace.size, 4), 4),
        dtype=dtype,
        storage=storage,
    )


def _magnitudes(plan, bank, dtype, storage, images) -> Magnitudes:
    """Return how the images are looked through: few large ones by many blocks."""
    pixels = int(np.prod(plan.input_shape))
    stretch = -(-pixels // max(1, min(pixels // STRETCH, BLOCKS // images)))
    gain = level_gain(plan, bank)
    least, most = ordinary_exponents(dtype)
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
    _, height, width = plan.output_shape
    return Target(0, width, height * width, channels)


def _pairs(steps: tuple[Step, ...]) -> Iterator[tuple[Step | None, Step | None]]:
    """Yield steps with wavelets, each with the step without that follows on the same source."""
    steps = list(steps)
    while steps:
        step = steps.pop(0)
        if not step.wavelets:
            yield None, step
            continue
        other = steps[0] if steps else None
        same = other and not other.wavelets and _total_stride(step) == _total_stride(other)
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
    wavelet_halo = direct_halo = 0
    if wavelet_step:
        first, second = (bank[key].shape[-1] // 2 for key in (step.wavelets, step.smoothing))
        wavelet_halo = step.wavelet_stride * second + first
    if direct_step:
        direct_halo = bank[direct_step.smoothing].shape[-1] // 2
    halo = max(wavelet_halo, direct_halo)
    wavelets = smoothing = direct = None
    if wavelet_step:
        wavelets = make_register_tile(
            *(bank, step.wavelets, step.orientations, step.wavelet_stride),
            *(halo - wavelet_halo, dtype),
        )
        smoothing = make_register_tile(bank, step.smoothing, None, step.stride, 0, dtype)
    if direct_step:
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
        emits=step.emits,
        wrap=plan.edge == "wrap",
        dtype=dtype,
        storage=storage,
    )


def _launch(spec, step, source, targets, channels, images, device) -> Launch:
    """Choose tiling, threads and bands for `images` images; return the launch.

    `targets` are those smoothed from the moduli and from the source; `channels` all that an image
    has in the output.
    """
    height, width = step.size
    moduli_height, moduli_width = step.modulus_shape if spec.wavelets else (0, 0)
    tiling, threads, band_rows = best_tiling(
        spec, height, width, moduli_width, step.groups * images, device
    )
    smoothed, direct = targets
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
        channels=channels,
    )
    return Launch(spec, geometry, threads, tiling.shared_bytes)
