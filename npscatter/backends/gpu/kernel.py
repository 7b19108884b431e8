"""The kernel of a launch: a block of threads sweeps down its strip of the target.

::

      source           source tile          moduli tile           target
    (workspace        (shared memory,      (shared memory,     (workspace or
     or image)         a ring of rows)      a ring of rows)        output)

     :       :        +-----------+                             +---+===+---+
     :       :        | oldest    |         +---------+         |   | s |   |  band
     +-------+   1.   |  needed   |   2.    | oldest  |   3.    |   | t |   |
     |  new  | -----> |    ...    | ------> |   ...   | ------> |   | r |   |
     |  rows |  load  | new rows  | compute | new rows| smooth  +---+ i +---+
     +-------+        +-----------+         +---------+         |   | p |   |
     :       :              |                         4. smooth |   |   |   |
     :       :              +---------------------------------> +---+===+---+

An advance of the sweep does 1 to 4 for a few target rows, with barriers between: which rows, says
`npscatter.backends.gpu.tiling.advance`. A launch has 2 and 3 (`wavelets`), or 4 (`direct`), or all.
Moduli that are emitted, or summed in cells, are taken from their tile in 3, or instead of it; the
image itself in 4 (`npscatter.backends.gpu.emission`).
Rings hold a row in the slot that is free because no row needs what was in it. A thread works on
runs of neighbouring samples, one after the other (`npscatter.backends.gpu.run_codegen`).

The numbers of a launch are a `npscatter.backends.gpu.launches.Geometry`, always called `g`.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy import int32, int64, uint32

from npscatter.backends.gpu import tiling
from npscatter.backends.gpu.block import (
    Arrays,
    Block,
    Smoothing,
    TargetRuns,
    bounds,
    column_in_row,
    wrapped,
)
from npscatter.backends.gpu.emission import take
from npscatter.backends.gpu.launches import AVERAGE, OTHERS, PIXELS, RECORD
from npscatter.backends.gpu.register_tile import run_length
from npscatter.backends.gpu.run_codegen import register
from npscatter.backends.gpu.target import (
    SHARED_ALIGNMENT,
    copy,
    cuda,
    device,
    device_functions,
    divided,
    moduli,
    opaque,
    quotient,
    reciprocal,
    smooth,
    types,
)
from npscatter.backends.gpu.tiling import WARP, KernelSpec

# What the choice of a tiling computes in Python, kernels compute by the same functions.
_window_start, _, _smoothed_rows, _advance, _moduli_columns, _source_columns = device_functions(
    tiling.window_start,
    tiling.window_end,
    tiling.smoothed_rows,
    tiling.advance,
    tiling.moduli_columns,
    tiling.source_columns,
)


class Rows(NamedTuple):
    """New rows of an advance; row r of a ring is in slot r + shift, or a ring's length before."""

    load_start: int
    load_end: int
    compute_start: int
    compute_end: int
    source_shift: int
    moduli_shift: int


class NewModuli(NamedTuple):
    """Which moduli a block computes in an advance: rows, and columns on the full grid."""

    row: int
    rows: int
    per_rows: int  # for `divided`
    column: int
    columns: int
    differing: int  # columns that are computed: the others are copies, if maps are wrapped


@device
def _shift(oldest, top, ring):
    """Return what is added to a row to have its slot, the row `top` being in slot 0 of a ring."""
    row = oldest - top
    slot = row - quotient(int32(row), int32(max(1, ring))) * ring
    return int32(slot - oldest)


@device
def _place(number, plane, y, pitch, x):
    """Return where sample (y, x) of a map lies, as seen from the first map."""
    return int64(int32(number)) * plane + int32(y * pitch + x)


@device
def _window(tile, offset, slot, run_number):
    """Return what the sums of a run read of a stack `offset` elements into shared memory."""
    return offset, slot, tile.ring, tile.pitch, tile.plane, tile.phase_stride, run_number


@device
def _computed_again(block):
    """Return the same block; what is made of it will be computed again (see `opaque`)."""
    return Block(
        opaque(block.thread),
        block.threads,
        opaque(block.bundle),
        opaque(block.strip),
        opaque(block.band),
    )


@device
def _rows(footprint, g, block, start):
    """Return the rows of the advance from target row `start` on."""
    top, bottom = bounds(block.band, g.band_rows, g.height)
    is_first = start == top - g.prefetch * g.advance_rows
    top, bottom, start = top + g.first_row, bottom + g.first_row, start + g.first_row
    one = _advance(footprint, top, bottom, start, g.advance_rows, is_first)
    source_top = _window_start(footprint.stride, footprint.halo, top)
    moduli_top = _window_start(footprint.smoothing_stride, footprint.smoothing_radius, top)
    return Rows(
        int32(one.load_start),
        int32(one.load_end),
        int32(one.compute_start),
        int32(one.compute_end),
        _shift(int32(one.oldest_source), int32(source_top), g.source_tile.ring),
        _shift(int32(one.oldest_moduli), int32(moduli_top), g.moduli_tile.ring),
    )


@device
def load_source(shared, arrays, g, block, rows, footprint, maps, wrap, reads_image, dtype):
    """Load new rows of the source: a lane has its columns, a warp its rows."""
    lane, warp, warps = block.thread & 31, block.thread >> 5, block.threads >> 5
    tile = g.source_tile
    # The last block may have some stacks that are not there: it loads the last one again.
    first_stack = int32(block.bundle * g.stacks)
    last_stack = int32(arrays.images.shape[0] * g.groups - 1)
    left, right = bounds(block.strip, g.strip_width, g.width)
    source_left = int32(_window_start(footprint.stride, footprint.halo, left + g.first_column))
    columns = int32(_source_columns(footprint, int32(right - left)))
    k = int32(0)
    while k < g.stacks:
        stack = int32(min(first_stack + k, last_stack))
        image = quotient(stack, g.groups)
        source = int64(image) * g.workspace + g.source.offset
        source += int64((stack - image * g.groups) * maps) * g.source.plane
        if reads_image:
            record = uint32(image * RECORD + PIXELS)
            level, scale = arrays.records[record], arrays.records[uint32(record + 1)]
        column = lane
        while column < columns:
            x = int32(source_left + column)
            if wrap:
                x = wrapped(x, g.source.width)
            there = 0 <= x and x < g.source.width
            if reads_image:
                x = arrays.columns[uint32(x)] if there else int32(-1)
                there = x >= 0
            place = int32(k * tile.stack + column_in_row(column, tile.phase_stride))
            row = int32(rows.load_start + warp)
            slot = wrapped(int32(row + rows.source_shift), tile.ring)
            y = wrapped(row, g.source.height) if wrap else row
            while row < rows.load_end:
                to = int32(place + slot * tile.pitch)
                inside = there and 0 <= y and y < g.source.height
                if reads_image:
                    pixel = dtype(0)
                    if inside:
                        image_row = arrays.rows[uint32(y)]
                        if image_row >= 0:
                            index = uint32(image), uint32(image_row), uint32(x)
                            pixel = (dtype(arrays.images[index]) - level) * scale
                    shared[uint32(to)] = pixel
                elif inside:
                    index = source + int32(y * g.source.pitch + x)
                    copy(maps, arrays.workspace, index, g.source.plane, shared, to, tile.plane)
                else:
                    for m in range(maps):
                        shared[uint32(to + m * tile.plane)] = 0
                row = int32(row + warps)
                slot = wrapped(int32(slot + warps), tile.ring)
                y = int32(y + warps)
                if wrap:
                    y = wrapped(y, g.source.height)
            column = int32(column + WARP)
        k = int32(k + 1)


@device
def _new_moduli(footprint, g, block, rows, wrap):
    """Return which moduli a block computes."""
    f = footprint
    left, right = bounds(block.strip, g.strip_width, g.width)
    column = int32(_window_start(f.smoothing_stride, f.smoothing_radius, left + g.first_column))
    columns, differing = _moduli_columns(f, int32(right - left), g.moduli_width, wrap)
    new_rows = int32(max(0, rows.compute_end - rows.compute_start))
    per_rows = reciprocal(max(1, new_rows))
    return NewModuli(
        rows.compute_start, new_rows, per_rows, column, int32(columns), int32(differing)
    )


@device
def compute_moduli(wavelets, shared, g, block, rows, new, footprint, count, wrap, run):
    """Compute new rows of the moduli from the source's tile; rows beyond the edge are zero."""
    source, tile = g.source_tile, g.moduli_tile
    runs = quotient(int32(new.differing + run - 1), int32(run))
    per_runs = reciprocal(runs)
    item, items = block.thread, int32(g.stacks * new.rows * runs)
    while item < items:
        line = divided(item, per_runs)
        run_number = int32(item - line * runs)
        k = divided(line, new.per_rows)
        row = int32(new.row + line - k * new.rows)
        slot = wrapped(int32(row + rows.moduli_shift), tile.ring)
        place = int32(tile.start + k * tile.stack + slot * tile.pitch)
        if wrap or (row >= 0 and row < g.moduli_height):
            window = _window_start(footprint.wavelet_stride, footprint.wavelet_radius, row)
            window = wrapped(int32(window + rows.source_shift), source.ring)
            window = _window(source, int32(k * source.stack), window, run_number)
            moduli(wavelets, shared, window, (place, tile.plane, tile.phase_stride))
        else:
            for orientation in range(count):
                for p in range(run):
                    x = column_in_row(int32(run_number * run + p), tile.phase_stride)
                    shared[uint32(int32(place + orientation * tile.plane + x))] = 0
        item = int32(item + block.threads)


@device
def _beyond_edge(new, g, wrap):
    """Say whether the block's moduli have columns beyond the edge of the maps."""
    if wrap:
        return new.columns > new.differing
    return new.column < 0 or new.column + new.columns > g.moduli_width


@device
def complete_columns(shared, g, block, rows, new, count, wrap):
    """Complete new rows of the moduli: wrapped maps by copies of columns, others by zeros."""
    lane, warp, warps = block.thread & 31, block.thread >> 5, block.threads >> 5
    tile = g.moduli_tile
    line, lines = warp, int32(g.stacks * new.rows * count)
    while line < lines:
        rest = quotient(line, int32(count))
        k = divided(rest, new.per_rows)
        slot = int32(new.row + rest - k * new.rows + rows.moduli_shift)
        place = int32(wrapped(slot, tile.ring) * tile.pitch)
        place = int32(place + tile.start + k * tile.stack)
        place = int32(place + (line - rest * count) * tile.plane)
        column = int32(lane + new.differing) if wrap else lane
        while column < new.columns:
            to = int32(place + column_in_row(column, tile.phase_stride))
            x = int32(new.column + column)
            if wrap:
                same = column_in_row(wrapped(column, new.differing), tile.phase_stride)
                shared[uint32(to)] = shared[uint32(place + same)]
            elif x < 0 or x >= g.moduli_width:
                shared[uint32(to)] = 0
            column = int32(column + WARP)
        line = int32(line + warps)


@device
def _target_runs(g, block, start, run):
    """Return which runs of the target a block smooths in the advance from row `start` on."""
    left, right = bounds(block.strip, g.strip_width, g.width)
    top, bottom = bounds(block.band, g.band_rows, g.height)
    row, end = _smoothed_rows(top, bottom, start, g.advance_rows)
    rows = int32(max(0, end - row))
    runs = quotient(int32(int32(right - left) + run - 1), int32(run))
    return TargetRuns(
        block.thread,
        block.threads,
        int32(block.bundle * g.stacks),
        int32(row),
        rows,
        reciprocal(max(1, rows)),
        left,
        runs,
        reciprocal(runs),
    )


@device
def smooth_rows(name, shared, arrays, g, todo, tile, shift, target, smoothing, emits):
    """Smooth rows of the target from a tile.

    `name` is that of the smoothing's `RegisterTile`; `todo` the `TargetRuns`; `shift` of the
    tile's ring; `emits` says whether the target is the output.
    """
    item, items = todo.thread, int32(g.stacks * smoothing.paths * todo.rows * todo.runs)
    stack_end = int32(arrays.images.shape[0] * g.groups)
    while item < items:
        line = divided(item, todo.per_runs)
        run_number = int32(item - line * todo.runs)
        rest = divided(line, todo.per_rows)
        y = int32(todo.row + line - rest * todo.rows)
        k = quotient(rest, int32(smoothing.paths))
        path = int32(rest - k * smoothing.paths)
        stack = int32(todo.stack + k)
        if stack < stack_end:
            image = quotient(stack, g.groups)
            source = int32(tile.start + k * tile.stack + path * tile.plane)
            path = int32((stack - image * g.groups) * smoothing.paths + path)
            x = int32(todo.column + run_number * smoothing.run)
            if emits:
                channel = arrays.channels[uint32(target.channels + path)]
                memory, aligned = arrays.output, arrays.aligned
                place = _place(image * g.channels + channel, target.plane, y, target.pitch, x)
                pair = AVERAGE if channel == 0 else OTHERS
                scaling = arrays.records, int32(image * RECORD + pair)
            else:
                memory, aligned, scaling = arrays.workspace, 1, None
                place = _place(path * smoothing.carried, target.plane, y, target.pitch, x)
                place += int64(image) * g.workspace + target.offset
            window = _window_start(smoothing.stride, smoothing.radius, y + g.first_row)
            window = wrapped(int32(window + shift), tile.ring)
            window = _window(tile, source, window, run_number)
            out = place, target.plane, int32(g.width - x), int32(aligned)
            smooth(name, shared, window, memory, out, scaling)
        item = int32(item + todo.threads)


def _smoothings(spec: KernelSpec) -> tuple[Smoothing, Smoothing]:
    """Return what is smoothed, or taken, of the moduli and of the source."""
    footprint, run = spec.footprint, run_length(spec.dtype)
    of_moduli = Smoothing(
        footprint.smoothing_stride,
        spec.smoothing.size // 2 if spec.smoothing else 0,
        paths=spec.wavelets.outputs if spec.wavelets else 0,
        carried=spec.smoothing.outputs if spec.smoothing else 0,
        run=run,
        halo=footprint.smoothing_radius,
    )
    of_source = Smoothing(
        footprint.stride,
        footprint.direct_radius,
        paths=1,
        carried=spec.direct.outputs if spec.direct else 0,
        run=run,
        halo=footprint.halo,
    )
    return of_moduli, of_source


def make_kernel(spec: KernelSpec):
    """Return the Python function of a kernel.

    Its arguments are those of `Arrays`, and `g`, the launch's `Geometry`. The grid has one
    dimension: bundles of stacks, of these bands, of these strips.
    """
    dtype, run = getattr(types, spec.dtype), run_length(spec.dtype)
    wavelets, smoothing, direct = map(register, (spec.wavelets, spec.smoothing, spec.direct))
    maps, wrap, reads_image, emits = spec.maps, spec.wrap, spec.reads_image, spec.emits
    footprint = spec.footprint
    # Numba drops branches on constants that have a name of their own, not on fields of tuples.
    has_wavelets, has_direct = footprint.has_wavelets, footprint.has_direct
    smooths_moduli, smooths_source = spec.smoothing is not None, spec.direct is not None
    takes_moduli, sums = spec.emits_moduli and has_wavelets, spec.output == "mean"
    takes_source = spec.emits_moduli and not has_wavelets
    of_moduli, of_source = _smoothings(spec)
    count = of_moduli.paths

    def kernel(images, rows, columns, workspace, output, records, aligned, channels, starts, g):
        # Addresses are 32-bit numbers wherever they can be: Numba makes 64 bits of most sums.
        shared = cuda.shared.array(0, dtype, SHARED_ALIGNMENT)
        arrays = Arrays(
            images, rows, columns, workspace, output, records, aligned, channels, starts
        )
        rest = quotient(int32(cuda.blockIdx.x), g.strips)
        strip = int32(cuda.blockIdx.x - rest * g.strips)
        bundle = quotient(rest, g.bands)
        band = int32(rest - bundle * g.bands)
        block = Block(int32(cuda.threadIdx.x), int32(cuda.blockDim.x), bundle, strip, band)
        top, bottom = bounds(band, g.band_rows, g.height)
        start = int32(top - g.prefetch * g.advance_rows)
        while start < bottom:
            block = _computed_again(block)
            new_rows = _rows(footprint, g, block, start)
            load_source(
                shared, arrays, g, block, new_rows, footprint, maps, wrap, reads_image, dtype
            )
            cuda.syncthreads()
            if has_wavelets:
                new = _new_moduli(footprint, g, block, new_rows, wrap)
                compute_moduli(
                    wavelets, shared, g, block, new_rows, new, footprint, count, wrap, run
                )
                cuda.syncthreads()
                block = _computed_again(block)
                new = _new_moduli(footprint, g, block, new_rows, wrap)
                if _beyond_edge(new, g, wrap):
                    complete_columns(shared, g, block, new_rows, new, count, wrap)
                    cuda.syncthreads()
            block = _computed_again(block)
            _, bottom = bounds(block.band, g.band_rows, g.height)
            todo = _target_runs(g, block, start, run)
            tile, shift = g.moduli_tile, new_rows.moduli_shift
            if smooths_moduli:
                smooth_rows(
                    smoothing, shared, arrays, g, todo, tile, shift, g.smoothed, of_moduli, emits
                )
            if takes_moduli:
                take(shared, arrays, g, block, todo, tile, shift, of_moduli, sums, dtype)
            tile, shift = g.source_tile, new_rows.source_shift
            if smooths_source:
                smooth_rows(
                    direct, shared, arrays, g, todo, tile, shift, g.direct, of_source, emits
                )
            if takes_source:
                take(shared, arrays, g, block, todo, tile, shift, of_source, sums, dtype)
            if has_direct:
                cuda.syncthreads()
            start = int32(start + g.advance_rows)

    return kernel
