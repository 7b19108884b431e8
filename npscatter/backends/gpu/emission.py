"""What launches emit but smoothed maps: moduli, or the sums of their cells, from a tile."""

from __future__ import annotations

from numpy import int32, uint32, uint64

from npscatter.backends.gpu.block import bounds, column_in_row, wrapped
from npscatter.backends.gpu.launches import AVERAGE, OTHERS, RECORD
from npscatter.backends.gpu.target import device, divided, quotient
from npscatter.backends.gpu.tiling import WARP


@device
def _channel(arrays, g, stack, path, paths):
    """Return the image of a stack, the channel of one of its moduli, and where that starts.

    The channel is -1 if the modulus is not asked for, or the stack not there.
    """
    image, channel = quotient(stack, g.groups), int32(-1)
    if stack < arrays.images.shape[0] * g.groups:
        path = int32((stack - image * g.groups) * paths + path)
        channel = arrays.channels[uint32(g.emitted.channels + path)]
    start = image * arrays.starts[uint32(g.channels)]
    return image, channel, start + arrays.starts[uint32(max(channel, int32(0)))]


@device
def store_moduli(shared, arrays, g, block, todo, tile, shift, moduli):
    """Store moduli from a tile in the output: a lane has its columns, a warp its rows.

    `todo` are the `TargetRuns`; `shift` is of the tile's ring; `moduli` a `Smoothing`: what there
    is in the tile, and where.
    """
    lane, warp, warps = block.thread & 31, block.thread >> 5, block.threads >> 5
    emitted = g.emitted
    left, right = bounds(block.strip, g.strip_width, g.width)
    left = int32(moduli.stride * (left + g.first_column))
    first = int32(max(left, emitted.column))
    end = int32(moduli.stride * (right + g.first_column))
    end = int32(min(end, emitted.column + emitted.width))
    top = int32(moduli.stride * (todo.row + g.first_row))
    bottom = int32(min(top + moduli.stride * todo.rows, emitted.row + emitted.height))
    top = int32(max(top, emitted.row))
    rows = int32(max(0, bottom - top))
    line, lines = warp, int32(g.stacks * moduli.paths * rows)
    while line < lines:
        rest = quotient(line, rows)
        row = int32(top + line - rest * rows)
        k = quotient(rest, int32(moduli.paths))
        path = int32(rest - k * moduli.paths)
        image, channel, place = _channel(arrays, g, int32(todo.stack + k), path, moduli.paths)
        source = int32(tile.start + k * tile.stack + path * tile.plane)
        source = int32(source + wrapped(int32(row + shift), tile.ring) * tile.pitch)
        if channel >= 0:
            record = uint32(image * RECORD + (AVERAGE if channel == 0 else OTHERS))
            factor, added = arrays.records[record], arrays.records[uint32(record + 1)]
            place += int32((row - emitted.row) * emitted.width - emitted.column)
            x = int32(first + lane)
            while x < end:
                column = column_in_row(int32(x - left + moduli.halo), tile.phase_stride)
                value = shared[uint32(int32(source + column))]
                arrays.output[uint64(place + x)] = value * factor + added
                x = int32(x + WARP)
        line = int32(line + warps)


@device
def sum_cells(shared, arrays, g, todo, tile, shift, moduli, dtype):
    """Store the sums of cells from a tile, a thread each; arguments are those of `store_moduli`.

    A cell's moduli are added in one order, in whatever block.
    """
    emitted, stride, run = g.emitted, moduli.stride, moduli.run
    item, items = todo.thread, int32(g.stacks * moduli.paths * todo.rows * todo.runs)
    left = int32(stride * (todo.column + g.first_column) - moduli.halo)
    while item < items:
        line = divided(item, todo.per_runs)
        x = int32(todo.column + (item - line * todo.runs) * run)
        rest = divided(line, todo.per_rows)
        y = int32(todo.row + line - rest * todo.rows)
        k = quotient(rest, int32(moduli.paths))
        path = int32(rest - k * moduli.paths)
        _, channel, cells = _channel(arrays, g, int32(todo.stack + k), path, moduli.paths)
        source = int32(tile.start + k * tile.stack + path * tile.plane)
        first, row = int32(stride * (x + g.first_column)), int32(stride * (y + g.first_row))
        end = int32(min(first + stride * run, emitted.column + emitted.width))
        bottom = int32(min(row + stride, emitted.row + emitted.height))
        first, row = int32(max(first, emitted.column)), int32(max(row, emitted.row))
        if channel >= 0 and first < end and row < bottom:
            total = dtype(0)
            while row < bottom:
                slot = wrapped(int32(row + shift), tile.ring)
                place = int32(source + slot * tile.pitch)
                column = int32(first - left)
                while column < end - left:
                    total += shared[uint32(int32(place + column_in_row(column, tile.phase_stride)))]
                    column = int32(column + 1)
                row = int32(row + 1)
            cell = quotient(x, int32(run)) - emitted.cell_column
            cell = int32((y - emitted.cell_row) * emitted.cell_columns + cell)
            arrays.output[uint64(cells + cell)] = total
        item = int32(item + todo.threads)


@device
def take(shared, arrays, g, block, todo, tile, shift, moduli, sums, dtype):
    """Store moduli from a tile, or the sums of their cells; arguments are those of either."""
    if sums:
        sum_cells(shared, arrays, g, todo, tile, shift, moduli, dtype)
    else:
        store_moduli(shared, arrays, g, block, todo, tile, shift, moduli)
