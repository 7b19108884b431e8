"""The program as launches on a GPU: which steps go together, tiles, rings of rows, memory.

Integers only; nothing here needs a GPU or its software. A block of threads owns a strip of the
target, as wide as a tile and a band of rows high, and goes down it some rows at a time:

1. new rows of the source are copied into shared memory, where the last ones form a ring;
2. new rows of the moduli are computed from them, into another ring;
3. rows of the target are smoothed from that ring.

So moduli never leave shared memory. A step without wavelets reads the source's ring itself, and
where one follows a step with wavelets on the same source, the two are one launch. Both halve the
resolution, so target row y stands for source row 2 y.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, explain
from npscatter.plan import Maps, Plan, Step, place
from npscatter.thread_sums import Sums, make_sums, run_length

# Blocks of one launch at most, and those that keep a large GPU busy: bands are cut until there are
# so many.
GRID, BLOCKS = 2**31 - 1, 2048
# Rounds of orientations that are tried, until one image fits into memory.
ROUNDS = (1, 2, 4, 8, 16, 32)
WARP, BANKS = 32, 32
# What is tried: target columns of a tile, rows of a turn, stacks side by side, threads.
WIDTHS = (4, 8, 16, 24, 32, 48, 64)
ROWS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
STACKS = (1, 2, 3, 4)
THREADS = (64, 96, 128, 160, 192)
# Instructions, roughly: of a warp's copying one line of the source, and of a turn's barriers.
LINE, BARRIERS = 40, 150
# Warps that keep a multiprocessor busy: every one has many independent sums under way.
BUSY_WARPS = 12


@dataclass(frozen=True)
class Device:
    """What tiles are chosen by.

    Attributes
    ----------
    block_bytes : int
        Shared memory a block may have.
    multiprocessor_bytes : int
        Shared memory of a multiprocessor, whose blocks each take 1 KiB more than they ask for.
    """

    block_bytes: int = 48 * 1024
    multiprocessor_bytes: int = 96 * 1024


# Threads whose registers a multiprocessor has, at the most that kernels use (168 and 255): fewer
# would be spilled, and threads with many sums under way need not be many.
REGISTERS = {"float32": 384, "float64": 192}


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
class Work:
    """What a kernel is compiled for.

    Attributes
    ----------
    image : bool
        The source is the image, read through the plan's rows and columns.
    maps : int
        Maps of a stack of the source.
    halo : int
        Source rows and columns that a target sample needs on every side.
    wavelets, smoother : Sums or None
        The wavelets, and what smooths their moduli.
    direct : Sums or None
        What smooths the source itself.
    emits : bool
        Targets are channels of the output.
    wrap : bool
        Beyond the edge maps are wrapped, or zero.
    dtype, storage : str
        What is computed in, and what carried maps are stored as.
    """

    image: bool
    maps: int
    halo: int
    wavelets: Sums | None
    smoother: Sums | None
    direct: Sums | None
    emits: bool
    wrap: bool
    dtype: str
    storage: str

    @property
    def sums(self) -> tuple[Sums | None, Sums | None, Sums | None]:
        """Wavelets, smoother and direct."""
        return self.wavelets, self.smoother, self.direct


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
class Layout:
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


# The march down a band, in rows of the full grids. Kernels compile these four too.


def source_start(halo, y):
    """Return the first source row that target row `y` needs."""
    return 2 * y - halo


def source_end(halo, y):
    """Return the source row after the last one that target row `y` needs."""
    return 2 * y + halo + 1


def moduli_start(stride, radius, y):
    """Return the first row of the moduli that target row `y` needs."""
    return stride * y - radius


def moduli_end(stride, radius, y):
    """Return the row of the moduli after the last one that target row `y` needs."""
    return stride * y + radius + 1


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of the march: half-open ranges of rows."""

    loaded: tuple[int, int]
    computed: tuple[int, int]
    smoothed: tuple[int, int]
    source_from: int  # the first source row that is still read
    moduli_from: int  # the first row of the moduli that is still read


def march(work: Work, rows: int, step_rows: int, ahead: int) -> Iterator[Turn]:
    """Yield the turns of a band of so many target rows that starts at row 0."""
    stride, radius, reach = _radii(work)
    loaded, computed = source_start(work.halo, 0), moduli_start(stride, radius, 0)
    for start in range(-ahead * step_rows, rows, step_rows):
        first, last = max(start, 0), min(start + step_rows, rows) - 1
        load_end = source_end(work.halo, last)
        compute_end = moduli_end(stride, radius, last)
        source_from = load_end
        if work.wavelets:
            source_from = min(source_from, work.wavelets.stride * computed - reach)
        if work.direct:
            source_from = min(source_from, source_start(work.direct.size // 2, first))
        # Nothing before the band's first rows is read, and nothing loaded that is not read.
        source_from = max(source_from, source_start(work.halo, 0))
        moduli_from = min(computed, moduli_start(stride, radius, first))
        yield Turn(
            (max(loaded, source_from), load_end),
            (computed, compute_end),
            (first, last + 1),
            source_from,
            max(moduli_from, moduli_start(stride, radius, 0)),
        )
        loaded, computed = max(loaded, load_end), max(computed, compute_end)


def _radii(work: Work) -> tuple[int, int, int]:
    """Return stride and radius of the smoother, and the radius of the wavelets."""
    if not work.wavelets:
        return 2, 0, 0
    return work.smoother.stride, work.smoother.size // 2, work.wavelets.size // 2


@dataclass(frozen=True)
class _Tile:
    """A tile as wide as `width` target columns, marched by `step_rows`."""

    stacks: int
    width: int
    step_rows: int
    ahead: int
    runs: int  # of moduli in a row
    tile: tuple[int, ...]  # ring, pitch, half, plane, stack
    moduli: tuple[int, ...]
    shared_bytes: int


def lay_out(
    plan: Plan,
    bank: FilterBank,
    dtype: str,
    storage: str | None = None,
    images: int = 1,
    device: Device = Device(),
) -> Layout:
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
    device: Device = Device(),
) -> Layout:
    """Return the layout that works on most images at a time in so many bytes of workspace.

    Breadth first if one image fits so, else in as few rounds of orientations as fit.

    Raises
    ------
    ArgumentError
        If not even the most rounds fit.
    """
    rounds = (plan.in_rounds(rounds) for rounds in ROUNDS)
    for candidate in itertools.chain([plan.octave_by_octave()], rounds):
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


def images_at_once(layout: Layout, images: int, memory: int) -> int:
    """Return how many images one launch works on, given the bytes of workspace."""
    most_blocks = max(launch.blocks(1) for launch in layout.launches)
    return max(1, min(images, memory // layout.workspace_bytes, GRID // most_blocks))


@lru_cache(maxsize=64)
def _lay_out(plan, bank, dtype, storage, images, device) -> Layout:
    def pitch(maps: Maps) -> int:
        return _up(maps.width, 4)

    # The padded image is never stored: whatever reads it reads the image.
    image = plan.steps[0].target.buffer
    steps = plan.steps[1:]
    offsets, workspace = place(steps, plan.buffers, lambda m: m.count * m.height * pitch(m))

    def offset(maps: Maps) -> int:
        return offsets[maps.buffer] + maps.first * maps.height * pitch(maps)

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
    return Layout(
        plan=plan,
        launches=tuple(launches),
        channels=np.array(channels, np.int32),
        rows=np.array(plan.rows, np.int32),
        columns=np.array(plan.columns, np.int32),
        workspace=_up(max(workspace, 4), 4),
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
        for name in ("source", "groups", "first", "size", "operation"):
            same = same and getattr(step, name) == getattr(other, name)
        yield step, steps.pop(0) if same else None


def _work(plan, bank, wavelet_step, direct_step, image, dtype, storage) -> Work:
    step = wavelet_step or direct_step
    halos = []
    if wavelet_step:
        first, second = (bank[key].shape[-1] // 2 for key in (step.wavelets, step.weights))
        halos.append(step.wavelet_stride * second + first)
    if direct_step:
        halos.append(bank[direct_step.weights].shape[-1] // 2)
    halo = max(halos)
    wavelets = smoother = direct = None
    if wavelet_step:
        orientations = wavelet_step.orientations
        wavelets = make_sums(
            bank, step.wavelets, orientations, step.wavelet_stride, halo - halos[0], dtype
        )
        smoother = make_sums(bank, step.weights, None, step.stride, 0, dtype)
    if direct_step:
        direct = make_sums(bank, direct_step.weights, None, 2, halo - halos[-1], dtype)
    return Work(
        image=step.source.buffer == image,
        maps=step.source.count // step.groups,
        halo=halo,
        wavelets=wavelets,
        smoother=smoother,
        direct=direct,
        emits=step.operation == "emit",
        wrap=plan.edge == "wrap",
        dtype=dtype,
        storage=storage,
    )


def _launch(work: Work, record: dict[str, int], images: int, device: Device) -> Launch:
    """Choose tile, threads and bands; fill in the geometry."""
    height, width = record["height"], record["width"]
    stacks = record["groups"] * images
    tile, threads, band_rows = _best(work, height, width, record["modulus_width"], stacks, device)
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


@lru_cache(maxsize=1024)
def _best(work, height, width, modulus_width, stacks, device) -> tuple[_Tile, int, int]:
    """Return the tile, the threads and the rows of a band that cost least."""
    best = None
    for tile in _tiles(work, height, width, modulus_width, stacks, device):
        strips = -(-width // tile.width)
        band_rows = _band_rows(height, tile.step_rows, -(-stacks // tile.stacks) * strips)
        for threads in THREADS:
            cost = _cost(work, tile, threads, band_rows, device)
            cost *= strips * -(-height // band_rows) / tile.stacks
            if best is None or cost < best[0]:
                best = cost, tile, threads, band_rows
    return best[1:]


def _tiles(work, height, width, modulus_width, stacks, device) -> list[_Tile]:
    """Return the tiles that fit into a block's shared memory."""
    run = run_length(work.dtype)
    widths = sorted({_up(min(width, most), run) for most in WIDTHS})
    depths = sorted({min(height, rows) for rows in (*ROWS, height)})
    found = []
    for across, rows in itertools.product(widths, depths):
        for ahead in (0, 1) if work.wavelets else (0,):
            tile = _tile(work, across, rows, ahead, height, modulus_width)
            for count in STACKS:
                many = replace(tile, stacks=count, shared_bytes=count * tile.shared_bytes)
                # Several only of what one tile covers.
                alone = count == 1 or (across >= width and rows >= height and count <= stacks)
                if alone and many.shared_bytes <= device.block_bytes:
                    found.append(many)
    if not found:
        tile = _tile(work, run, 1, int(bool(work.wavelets)), height, modulus_width)
        raise ArgumentError(
            explain(
                "bank",
                f"kernels of {[sums.size for sums in work.sums if sums]}",
                f"need {tile.shared_bytes} bytes of shared memory, a block has "
                f"{device.block_bytes}",
                "use backend='numba'",
            )
        )
    return found


def _tile(work, width, step_rows, ahead, height, modulus_width) -> _Tile:
    run, itemsize = run_length(work.dtype), np.dtype(work.dtype).itemsize
    # Bands are as high as the target or whole turns; from the fourth on they are alike.
    turns = list(march(work, min(height, 4 * step_rows), step_rows, ahead))
    tile_ring = max(turn.loaded[1] - turn.source_from for turn in turns)
    modulus_ring = max(turn.computed[1] - turn.moduli_from for turn in turns)
    target_runs, runs, moduli = -(-width // run), 0, (0,) * 5
    reads = [(work.direct, target_runs)] if work.direct else []
    if work.wavelets:
        needed, differ = moduli_columns(work, width, modulus_width)
        runs = -(-differ // run)
        reads.insert(0, (work.wavelets, runs))
        half = _half(max(needed, runs * run), [(work.smoother, target_runs)])
        pitch = _pitch(half, target_runs, work.smoother)
        plane = modulus_ring * pitch
        moduli = (modulus_ring, pitch, half, plane, work.wavelets.outputs * plane)
    half = _half(source_end(work.halo, width - 1) - source_start(work.halo, 0), reads)
    pitch = _pitch(half, reads[0][1], reads[0][0])
    plane = tile_ring * pitch
    tile = (tile_ring, pitch, half, plane, work.maps * plane)
    size = (tile[-1] + moduli[-1]) * itemsize
    return _Tile(1, width, step_rows, ahead, runs, tile, moduli, size)


def moduli_columns(work: Work, width: int, modulus_width: int) -> tuple[int, int]:
    """Return the columns of moduli that `width` target columns need, and how many differ."""
    needed = work.smoother.stride * (width - 1) + work.smoother.size
    return needed, min(needed, modulus_width) if work.wrap else needed


def _half(columns: int, reads: list[tuple[Sums, int]]) -> int:
    """Return the elements of one phase of a row: all that is stored, or read by whole vectors."""
    most = -(-columns // 2)
    for sums, runs in reads:
        last = sums.stride * (sums.run - 1) + sums.shift + sums.size - 1
        start = sums.stride * sums.run // 2 * (runs - 1)
        most = max(most, start + (last // 2 // sums.wide + 1) * sums.wide)
    return _up(most, 4)


def _pitch(half: int, runs: int, sums: Sums) -> int:
    """Return the pitch from 2 `half` on at which a warp's loads meet the fewest bank conflicts."""
    pitches = range(2 * half, 2 * half + BANKS, 4)
    across, words = sums.wide, np.dtype(sums.dtype).itemsize // 4
    return min(pitches, key=lambda p: (bank_cycles(runs, across, sums.stride * p, words), p))


@lru_cache(maxsize=4096)
def bank_cycles(runs: int, across: int, down: int, words: int) -> int:
    """Return the cycles that one load of a warp takes in shared memory.

    Thread ``k`` loads a vector of `across` elements of `words` words at ``k // runs * down + k %
    runs * across``; threads that make up 128 bytes are served together, each bank once a cycle.
    """
    together, cycles = WARP // (across * words), 0
    for start in range(0, WARP, together):
        wanted: dict[int, set[int]] = {}
        for k in range(start, start + together):
            address = (k // runs * down + k % runs * across) * words
            for word in range(address, address + across * words):
                wanted.setdefault(word % BANKS, set()).add(word)
        cycles += max(len(addresses) for addresses in wanted.values())
    return cycles


def _band_rows(height: int, step_rows: int, blocks: int) -> int:
    """Return the rows of a band: all, or fewer while there are too few blocks."""
    bands = max(1, min(BLOCKS // max(1, blocks), height // max(16, 2 * step_rows)))
    return _up(-(-height // bands), step_rows)


def _cost(work: Work, tile: _Tile, threads: int, band_rows: int, device: Device) -> float:
    """Return the instructions of a block, over how well a multiprocessor hides their waiting."""
    # From the fourth turn on every turn is like the one before.
    rows = min(band_rows, 4 * tile.step_rows)
    cost = _instructions(work, tile, threads, rows)
    if band_rows > rows:
        turn = cost - _instructions(work, tile, threads, rows - tile.step_rows)
        cost += (band_rows - rows) / tile.step_rows * turn
    warps = threads // WARP
    blocks = device.multiprocessor_bytes // (tile.shared_bytes + 1024)
    blocks = max(1, min(REGISTERS[work.dtype] // threads, blocks))
    return cost / (min(1.0, blocks * warps / BUSY_WARPS) * blocks / (blocks + 0.5))


def _instructions(work: Work, tile: _Tile, threads: int, rows: int) -> float:
    """Return the instructions of a block whose band has so many rows."""
    warps = threads // WARP
    target_runs = -(-tile.width // run_length(work.dtype))
    lines = -(-tile.tile[2] * 2 // WARP) * (LINE + 3 * work.maps)
    cost = 0.0
    for turn in march(work, rows, tile.step_rows, tile.ahead):
        smoothed = max(0, turn.smoothed[1] - turn.smoothed[0])
        cost += BARRIERS * warps + tile.stacks * (turn.loaded[1] - turn.loaded[0]) * lines
        tasks = []
        if work.wavelets:
            computed = turn.computed[1] - turn.computed[0]
            tasks.append((computed * tile.runs, work.wavelets))
            tasks.append((work.wavelets.outputs * smoothed * target_runs, work.smoother))
        if work.direct:
            tasks.append((smoothed * target_runs, work.direct))
        for count, sums in tasks:
            busy = -(-tile.stacks * count // WARP)
            longest = -(-tile.stacks * count // threads) * warps
            # Idle warps leave their turns to other blocks', as far as there are any.
            cost += (busy + longest) / 2 * sums.instructions
    return cost


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
