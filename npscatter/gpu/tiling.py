"""Tiles of a GPU's launch: what fits into shared memory, how it is marched down, what it costs.

A block of threads owns a strip of the target, as wide as a tile and a band of rows high, and goes
down it some rows at a time, a turn:

1. new rows of the source are copied into shared memory, where the last ones form a ring;
2. new rows of the moduli are computed from them, into another ring;
3. rows of the target are smoothed from that ring.

Both the wavelets' step and one without them halve the resolution, so target row y stands for source
row 2 y. Integers only; nothing here needs a GPU or its software.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from npscatter.errors import ArgumentError, explain
from npscatter.gpu.run_codegen import RegisterTile, run_length

# Blocks that keep a large GPU busy: bands are cut until there are so many.
BLOCKS = 2048
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


# What every GPU gives a block without being asked for more.
ANY_GPU = Device()

# Threads whose registers a multiprocessor has, at the most that kernels use (168 and 255): fewer
# would be spilled, and threads with many sums under way need not be many.
REGISTERS = {"float32": 384, "float64": 192}


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
    wavelets, smoother : RegisterTile or None
        The wavelets, and what smooths their moduli.
    direct : RegisterTile or None
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
    wavelets: RegisterTile | None
    smoother: RegisterTile | None
    direct: RegisterTile | None
    emits: bool
    wrap: bool
    dtype: str
    storage: str

    @property
    def sums(self) -> tuple[RegisterTile | None, RegisterTile | None, RegisterTile | None]:
        """Wavelets, smoother and direct."""
        return self.wavelets, self.smoother, self.direct


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
class Tile:
    """A tile as wide as `width` target columns, marched by `step_rows`."""

    stacks: int
    width: int
    step_rows: int
    ahead: int
    runs: int  # of moduli in a row
    tile: tuple[int, ...]  # ring, pitch, half, plane, stack
    moduli: tuple[int, ...]
    shared_bytes: int


@lru_cache(maxsize=1024)
def best_tile(work, height, width, modulus_width, stacks, device) -> tuple[Tile, int, int]:
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


def _tiles(work, height, width, modulus_width, stacks, device) -> list[Tile]:
    """Return the tiles that fit into a block's shared memory."""
    run = run_length(work.dtype)
    widths = sorted({up(min(width, most), run) for most in WIDTHS})
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


def _tile(work, width, step_rows, ahead, height, modulus_width) -> Tile:
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
    return Tile(1, width, step_rows, ahead, runs, tile, moduli, size)


def moduli_columns(work: Work, width: int, modulus_width: int) -> tuple[int, int]:
    """Return the columns of moduli that `width` target columns need, and how many differ."""
    needed = work.smoother.stride * (width - 1) + work.smoother.size
    return needed, min(needed, modulus_width) if work.wrap else needed


def _half(columns: int, reads: list[tuple[RegisterTile, int]]) -> int:
    """Return the elements of one phase of a row: all that is stored, or read by whole vectors."""
    most = -(-columns // 2)
    for sums, runs in reads:
        last = sums.stride * (sums.run - 1) + sums.shift + sums.size - 1
        start = sums.stride * sums.run // 2 * (runs - 1)
        most = max(most, start + (last // 2 // sums.wide + 1) * sums.wide)
    return up(most, 4)


def _pitch(half: int, runs: int, sums: RegisterTile) -> int:
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
    return up(-(-height // bands), step_rows)


def _cost(work: Work, tile: Tile, threads: int, band_rows: int, device: Device) -> float:
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


def _instructions(work: Work, tile: Tile, threads: int, rows: int) -> float:
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


def up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
