"""Tilings of a GPU's launch: what fits into shared memory, how it is swept, what it costs.

A block of threads owns a strip of the target, as wide as a tile and a band of rows high, and
sweeps down it some rows at a time. An advance of the sweep is three stages:

1. new rows of the source are loaded into a tile in shared memory, where the last ones form a ring;
2. new rows of the moduli are computed from them, into another tile;
3. rows of the target are smoothed from that tile, or from the source's.

What is emitted as it is, or summed, is taken from the same tiles in the third stage: where nothing
is smoothed, the target are the cells that it is cut into, one for a run of target samples.

Integers only; nothing here needs a GPU or its software. What a kernel and the choice of its tiling
have to agree on, they compute by the same functions: `window_start`, `window_end`,
`smoothed_rows`, `advance` and `moduli_columns` are compiled for the GPU too.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from npscatter.backends.gpu.register_tile import RegisterTile, run_length
from npscatter.errors import ArgumentError, explain

# Blocks that keep a large GPU busy: bands are cut until there are so many.
BLOCKS = 2048
WARP, BANKS = 32, 32
# What is tried: target columns of a tile, rows of an advance, stacks side by side, threads.
WIDTHS = (4, 8, 16, 24, 32, 48, 64)
ROWS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
STACKS = (1, 2, 3, 4)
THREADS = (64, 96, 128, 160, 192)
# Instructions, roughly: of a warp's copying one line of the source, and of an advance's barriers.
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


# What every GPU gives a block without being asked for more.
ANY_GPU = Device()

# Threads whose registers a multiprocessor has, at the most that kernels use (168 and 255): fewer
# would be spilled, and threads with many sums under way need not be many.
REGISTERS = {"float32": 384, "float64": 192}


class Footprint(NamedTuple):
    """What a target row needs of the source and of the moduli; columns need the same.

    Target row y stands for source row `stride` y and for row `smoothing_stride` y of the moduli.
    """

    stride: int  # source rows from one target row to the next
    halo: int  # source rows that a target row needs on either side
    has_wavelets: bool
    wavelet_stride: int
    wavelet_radius: int
    smoothing_stride: int  # of the moduli
    smoothing_radius: int
    has_direct: bool  # target rows are made of the source's
    direct_radius: int


@dataclass(frozen=True)
class KernelSpec:
    """What a kernel is compiled for.

    Attributes
    ----------
    reads_image : bool
        The source is the image, read through the plan's rows and columns.
    maps : int
        Maps of a stack of the source.
    stride : int
        Source rows, and columns, from one target sample to the next.
    halo : int
        Source rows, and columns, that a target sample needs on every side.
    wavelets, smoothing : RegisterTile or None
        The wavelets, and what smooths their moduli.
    direct : RegisterTile or None
        What smooths the source itself.
    smoothing_radius : int
        Rows of the moduli, and columns, that a target sample needs on every side: as many as the
        smoothing does, and where moduli are emitted, all between one target sample and the next.
    output : str
        What is emitted; see `npscatter.program.steps.Step`. Of the moduli, if there are any.
    wrap : bool
        Beyond the edge maps are wrapped, or zero.
    dtype, storage : str
        What is computed in, and what carried maps are stored as.
    """

    reads_image: bool
    maps: int
    stride: int
    halo: int
    wavelets: RegisterTile | None
    smoothing: RegisterTile | None
    direct: RegisterTile | None
    smoothing_radius: int
    output: str
    wrap: bool
    dtype: str
    storage: str

    @property
    def emits(self) -> bool:
        """Whether targets are channels of the output."""
        return self.output == "smoothed"

    @property
    def emits_moduli(self) -> bool:
        """Whether moduli, or the source where there are none, are emitted or summed."""
        return self.output in ("moduli", "mean")

    @property
    def register_tiles(self) -> tuple[RegisterTile, ...]:
        """Wavelets, smoothing and direct, as far as there are any."""
        return tuple(filter(None, (self.wavelets, self.smoothing, self.direct)))

    @cached_property
    def footprint(self) -> Footprint:
        """What a target row needs; numbers of what there is not are never used."""
        wavelet_stride = self.wavelets.stride if self.wavelets else 1
        return Footprint(
            stride=self.stride,
            halo=self.halo,
            has_wavelets=self.wavelets is not None,
            wavelet_stride=wavelet_stride,
            wavelet_radius=self.wavelets.size // 2 if self.wavelets else 0,
            smoothing_stride=self.stride // wavelet_stride,
            smoothing_radius=self.smoothing_radius,
            has_direct=self.direct is not None or self.wavelets is None,
            direct_radius=self.direct.size // 2 if self.direct else self.halo,
        )


# The sweep down a band, in rows of the full grids. Kernels compile these functions too.


def window_start(stride, radius, y):
    """Return the first row that row `y` of a correlation needs."""
    return stride * y - radius


def window_end(stride, radius, y):
    """Return the row after the last one that row `y` of a correlation needs."""
    return stride * y + radius + 1


class Advance(NamedTuple):
    """What an advance of the sweep does: rows that are loaded, computed and smoothed."""

    load_start: int  # of the source
    load_end: int
    compute_start: int  # of the moduli
    compute_end: int
    smooth_start: int  # of the target
    smooth_end: int
    oldest_source: int  # the first row of the source that is still needed
    oldest_moduli: int  # the first row of the moduli that is still needed


def smoothed_rows(top, bottom, start, rows):
    """Return the target rows of a band that the advance from `start` on smooths: first, end."""
    return max(start, top), min(start + rows, bottom)


def advance(footprint, top, bottom, start, rows, is_first):
    """Return what one advance does.

    Parameters
    ----------
    footprint : Footprint
        Of the kernel.
    top, bottom : int
        The band: its first target row, and the row after its last.
    start : int
        The advance's first target row: `top`, plus or minus a multiple of `rows`.
    rows : int
        Target rows of an advance.
    is_first : bool
        Nothing has been loaded or computed before.
    """
    f = footprint
    smooth_start, smooth_end = smoothed_rows(top, bottom, start, rows)
    source_top = window_start(f.stride, f.halo, top)
    moduli_top = window_start(f.smoothing_stride, f.smoothing_radius, top)
    # What the advances before have done.
    load_start = window_end(f.stride, f.halo, start - 1)
    compute_start = window_end(f.smoothing_stride, f.smoothing_radius, start - 1)
    compute_start = max(compute_start, moduli_top)
    if is_first:
        load_start, compute_start = source_top, moduli_top
    load_end = window_end(f.stride, f.halo, smooth_end - 1)
    compute_end = window_end(f.smoothing_stride, f.smoothing_radius, smooth_end - 1)
    oldest_source = load_end
    if f.has_wavelets:
        first = window_start(f.wavelet_stride, f.wavelet_radius, compute_start)
        oldest_source = min(oldest_source, first)
    if f.has_direct:
        first = window_start(f.stride, f.direct_radius, smooth_start)
        oldest_source = min(oldest_source, first)
    # Nothing before the band's first rows is read, and nothing loaded that is not read.
    oldest_source = max(oldest_source, source_top)
    first = window_start(f.smoothing_stride, f.smoothing_radius, smooth_start)
    return Advance(
        max(load_start, oldest_source),
        load_end,
        compute_start,
        compute_end,
        smooth_start,
        smooth_end,
        oldest_source,
        min(compute_start, first),
    )


@lru_cache(maxsize=4096)
def sweep(footprint: Footprint, height: int, rows: int, prefetch: int) -> tuple[Advance, ...]:
    """Return the advances down a band of so many target rows that starts at row 0.

    Parameters
    ----------
    footprint : Footprint
        Of the kernel.
    height : int
        Of the band.
    rows : int
        Target rows of an advance.
    prefetch : int
        Advances that compute moduli before the first that smooths: 0 or 1.
    """
    first = -prefetch * rows
    return tuple(
        advance(footprint, 0, height, start, rows, start == first)
        for start in range(first, height, rows)
    )


def moduli_columns(footprint, width, modulus_width, wrap):
    """Return the columns of moduli that `width` target columns need, and how many differ."""
    f = footprint
    needed = f.smoothing_stride * (width - 1) + 2 * f.smoothing_radius + 1
    return needed, min(needed, modulus_width) if wrap else needed


def source_columns(footprint, width):
    """Return the columns of the source that `width` target columns need."""
    return footprint.stride * (width - 1) + 2 * footprint.halo + 1


class Tile(NamedTuple):
    """Maps in shared memory, of which it holds some columns, and the last rows in a ring.

    Columns lie in two phases, the even ones first. All numbers but the first are of elements, from
    one to the next.
    """

    ring: int  # rows
    pitch: int
    phase_stride: int
    plane: int
    stack: int
    start: int = 0  # in shared memory


@dataclass(frozen=True)
class Tiling:
    """Tiles as wide as `width` target columns, and the sweep of `advance_rows` at a time."""

    stacks: int  # side by side
    width: int
    advance_rows: int
    prefetch: int
    moduli_runs: int  # in a row
    source: Tile
    moduli: Tile
    shared_bytes: int

    def times(self, stacks: int) -> Tiling:
        """Return the tiling for so many stacks side by side."""
        moduli = self.moduli._replace(start=stacks * self.source.stack)
        size = stacks * self.shared_bytes
        return replace(self, stacks=stacks, moduli=moduli, shared_bytes=size)


@lru_cache(maxsize=1024)
def best_tiling(
    spec: KernelSpec, height: int, width: int, modulus_width: int, stacks: int, device: Device
) -> tuple[Tiling, int, int]:
    """Return the tiling, the threads and the rows of a band that cost least."""
    best = None
    for tiling in _tilings(spec, height, width, modulus_width, stacks, device):
        strips = -(-width // tiling.width)
        band_rows = _band_rows(height, tiling.advance_rows, -(-stacks // tiling.stacks) * strips)
        for threads in THREADS:
            cost = _cost(spec, tiling, threads, band_rows, device)
            cost *= strips * -(-height // band_rows) / tiling.stacks
            if best is None or cost < best[0]:
                best = cost, tiling, threads, band_rows
    return best[1:]


def _tilings(spec, height, width, modulus_width, stacks, device) -> list[Tiling]:
    """Return the tilings that fit into a block's shared memory."""
    run = run_length(spec.dtype)
    widths = sorted({up(min(width, most), run) for most in WIDTHS})
    depths = sorted({min(height, rows) for rows in (*ROWS, height)})
    prefetches = (0, 1) if spec.wavelets else (0,)
    fitting = []
    for across, rows, prefetch in itertools.product(widths, depths, prefetches):
        alone = _tiling(spec, across, rows, prefetch, height, modulus_width)
        for count in STACKS:
            tiling = alone.times(count)
            # Several only of what one tile covers.
            sensible = count == 1 or (across >= width and rows >= height and count <= stacks)
            if sensible and tiling.shared_bytes <= device.block_bytes:
                fitting.append(tiling)
    if not fitting:
        least = _tiling(spec, run, 1, prefetches[-1], height, modulus_width)
        raise ArgumentError(
            explain(
                "bank",
                f"kernels of {[tile.size for tile in spec.register_tiles]}",
                f"need {least.shared_bytes} bytes of shared memory, a block has "
                f"{device.block_bytes}",
                "use backend='numba'",
            )
        )
    return fitting


def _tiling(spec, width, advance_rows, prefetch, height, modulus_width) -> Tiling:
    """Return the tiling of one stack."""
    run, footprint = run_length(spec.dtype), spec.footprint
    # Bands are as high as the target or whole advances; from the fourth on they are alike.
    advances = sweep(footprint, min(height, 4 * advance_rows), advance_rows, prefetch)
    source_ring = max(one.load_end - one.oldest_source for one in advances)
    target_runs, moduli_runs, moduli = -(-width // run), 0, Tile(0, 0, 0, 0, 0)
    reads = [(spec.direct, target_runs)] if spec.direct else []
    if spec.wavelets:
        needed, differing = moduli_columns(footprint, width, modulus_width, spec.wrap)
        moduli_runs = -(-differing // run)
        reads.insert(0, (spec.wavelets, moduli_runs))
        ring = max(one.compute_end - one.oldest_moduli for one in advances)
        stored = max(needed, moduli_runs * run)
        smooths = [(spec.smoothing, target_runs)] if spec.smoothing else []
        moduli = _tile(ring, stored, smooths, spec.wavelets.outputs)
    source = _tile(source_ring, source_columns(footprint, width), reads, spec.maps)
    size = (source.stack + moduli.stack) * np.dtype(spec.dtype).itemsize
    return Tiling(1, width, advance_rows, prefetch, moduli_runs, source, moduli, size).times(1)


def _tile(ring: int, columns: int, reads: list[tuple[RegisterTile, int]], maps: int) -> Tile:
    """Return a tile of so many rows, stored columns and maps, given what reads how many runs."""
    phase_stride = _phase_stride(columns, reads)
    pitch = 2 * phase_stride
    if reads:
        tile, runs = reads[0]
        pitch = _pitch(phase_stride, runs, tile)
    return Tile(ring, pitch, phase_stride, ring * pitch, maps * ring * pitch)


def _phase_stride(columns: int, reads: list[tuple[RegisterTile, int]]) -> int:
    """Return the elements of one phase of a row: all that is stored, or read by whole vectors."""
    most = -(-columns // 2)
    for tile, runs in reads:
        last = tile.stride * (tile.run - 1) + tile.shift + tile.size - 1
        start = tile.stride * tile.run // 2 * (runs - 1)
        most = max(most, start + (last // 2 // tile.wide + 1) * tile.wide)
    return up(most, 4)


def _pitch(phase_stride: int, runs: int, tile: RegisterTile) -> int:
    """Return the pitch, of two phases or more, at which a warp's loads conflict least in banks."""
    pitches = range(2 * phase_stride, 2 * phase_stride + BANKS, 4)
    across, words = tile.wide, np.dtype(tile.dtype).itemsize // 4
    return min(pitches, key=lambda p: (bank_cycles(runs, across, tile.stride * p, words), p))


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


def _band_rows(height: int, advance_rows: int, blocks: int) -> int:
    """Return the rows of a band: all, or fewer while there are too few blocks."""
    bands = max(1, min(BLOCKS // max(1, blocks), height // max(16, 2 * advance_rows)))
    return up(-(-height // bands), advance_rows)


def _cost(spec: KernelSpec, tiling: Tiling, threads: int, band_rows: int, device: Device) -> float:
    """Return the instructions of a block, over how well a multiprocessor hides their waiting."""
    # From the fourth advance on every one is like the one before.
    rows = min(band_rows, 4 * tiling.advance_rows)
    cost = _instructions(spec, tiling, threads, rows)
    if band_rows > rows:
        last = cost - _instructions(spec, tiling, threads, rows - tiling.advance_rows)
        cost += (band_rows - rows) / tiling.advance_rows * last
    warps = threads // WARP
    blocks = device.multiprocessor_bytes // (tiling.shared_bytes + 1024)
    blocks = max(1, min(REGISTERS[spec.dtype] // threads, blocks))
    return cost / (min(1.0, blocks * warps / BUSY_WARPS) * blocks / (blocks + 0.5))


def _instructions(spec: KernelSpec, tiling: Tiling, threads: int, rows: int) -> float:
    """Return the instructions of a block whose band has so many rows."""
    warps = threads // WARP
    target_runs = -(-tiling.width // run_length(spec.dtype))
    lines = -(-tiling.source.phase_stride * 2 // WARP) * (LINE + 3 * spec.maps)
    cost = 0.0
    for one in sweep(spec.footprint, rows, tiling.advance_rows, tiling.prefetch):
        smoothed = max(0, one.smooth_end - one.smooth_start)
        cost += BARRIERS * warps + tiling.stacks * (one.load_end - one.load_start) * lines
        tasks = []
        if spec.wavelets:
            computed = one.compute_end - one.compute_start
            tasks.append((computed * tiling.moduli_runs, spec.wavelets))
        if spec.smoothing:
            tasks.append((spec.wavelets.outputs * smoothed * target_runs, spec.smoothing))
        if spec.direct:
            tasks.append((smoothed * target_runs, spec.direct))
        for count, tile in tasks:
            busy = -(-tiling.stacks * count // WARP)
            longest = -(-tiling.stacks * count // threads) * warps
            # Idle warps leave the multiprocessor to other blocks', as far as there are any.
            cost += (busy + longest) / 2 * tile.instructions
    return cost


def up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
