"""What steps emit, in compiled code: rows of coefficients or moduli, and the means of moduli.

A mean must not depend on how work is shared or laid out. So moduli are summed in float64, in one
order: column by column down a block of rows, then these sums from left to right, then the blocks'.
"""

from __future__ import annotations

import math

import numpy as np

from npscatter.backends.cpu.magnitudes import RECORD_BYTES, rescale_row, stop_flushing
from npscatter.backends.cpu.records import MODULI
from npscatter.backends.cpu.simd import (
    add_columns,
    add_row,
    copy_vectors,
    get,
    inner,
    load,
    put,
    scatter_lanes,
    scatter_strips,
    set_float_mode,
    store,
)

# Rows of moduli that are summed column by column.
BLOCK_ROWS = 64
# Bytes of a sum, a float64, and numbers that the table of means has of a channel.
SUM_BYTES, MEAN_NUMBERS = 8, 3


@inner
def set_lane_bounds(step, worker, job):
    """Let every lane of a step that emits know which columns of its strip are kept."""
    table, strips, columns = worker.lane_bounds, job.strips_per_vector, step.emitted_columns
    for lane in range(job.lanes):
        start = lane % strips * columns
        put(table, 2 * lane, max(0, step.window_column - start))
        stop = step.window_column + step.window_width - start
        put(table, 2 * lane + 1, min(columns, stop))


@inner
def emitted_columns(step, job):
    """Return the first column of a strip that is emitted, and how many: of several strips all."""
    if job.strips_per_vector == 1:
        return step.window_column, step.window_width
    return 0, step.emitted_columns


@inner
def emit_row(like, step, row, offset, worker, job):
    """Copy the row of vectors at `row` to the outputs, `offset` bytes into each image's."""
    size, lanes, strips = job.itemsize, job.lanes, job.strips_per_vector
    columns, width = step.emitted_columns, step.window_width
    if strips == 1 and job.output_column_stride == size:
        row += step.window_column * lanes * size
        for x in range(0, width, lanes):
            place = row + x * lanes * size
            scatter_lanes(like, place, worker.coefficients, offset + x * size, width - x)
        return
    # Columns that are no neighbours in the output go by way of a line per image.
    direct, table = job.output_column_stride == size, worker.lane_addresses
    for image in range(job.images_per_vector):
        target = worker.lines + image * job.line_bytes
        if direct:
            target = get(worker.coefficients, image) + offset
        for strip in range(strips):
            start = strip * columns - step.window_column
            put(table, image * strips + strip, target + start * size)
    for x in range(0, columns, lanes):
        scatter_strips(like, row + x * lanes * size, table, worker.lane_bounds, x)
    if direct:
        return
    for image in range(job.images_per_vector):
        source = worker.lines + image * job.line_bytes
        target = get(worker.coefficients, image) + offset
        for x in range(width):
            value = load(like, source + x * size)
            store(like, target + x * job.output_column_stride, value)


@inner
def take_row(like, step, group, row, stop, place, worker, job):
    """Emit or sum a row of every modulus of a group, which stand at `place`, if it is kept.

    `stop` is the row after the last that the part has.
    """
    last = min(stop, step.window_row + step.window_height) - 1
    if row < step.window_row or row > last:
        return
    plane, count = step.modulus_plane * job.itemsize, max(1, step.orientations)
    for theta in range(count):
        channel = get(job.channels, step.channels + group * count + theta)
        if channel < 0:
            continue
        if step.emits == MODULI:
            emit_modulus(like, step, row, channel, place + theta * plane, worker, job)
        else:
            ends = row == last or (row + 1) % BLOCK_ROWS == 0
            sum_row(like, step, row, ends, channel, theta, place + theta * plane, worker, job)


@inner
def emit_modulus(like, step, row, start, place, worker, job):
    """Copy a row of a modulus to the outputs, in which its first sample stands at `start`."""
    if worker.rescales:
        first, columns = emitted_columns(step, job)
        skip = first * job.lanes * job.itemsize
        copy_vectors(like, place + skip, worker.passing_rows + skip, columns)
        place = worker.passing_rows
        rescale_row(like, place + skip, columns, 1 if start == 0 else 2, worker, job)
    offset = start * job.channel_stride + (row - step.window_row) * step.row_stride
    emit_row(like, step, place, offset, worker, job)


@inner
def sum_row(like, step, row, ends, channel, theta, place, worker, job):
    """Add a row of a modulus to the sums of its block's columns, and these up where it ends."""
    columns, lanes = step.emitted_columns, job.lanes
    sums = worker.sums + theta * columns * lanes * SUM_BYTES
    begins = row == step.window_row or row % BLOCK_ROWS == 0
    add_row(like, place, columns, sums, begins)
    if not ends:
        return
    number = channel * job.blocks + row // BLOCK_ROWS
    target = worker.workspace + job.block_sums * job.itemsize
    target += number * job.images_per_vector * SUM_BYTES
    strips, first, width = job.strips_per_vector, step.window_column, step.window_width
    if strips == 1:
        add_columns(like, sums + first * lanes * SUM_BYTES, width, target)
        return
    for image in range(job.images_per_vector):
        total = 0.0
        for x in range(first, first + width):
            strip = x // columns
            lane = image * strips + strip
            total += load(0.0, sums + ((x - strip * columns) * lanes + lane) * SUM_BYTES)
        store(0.0, target + image * SUM_BYTES, total)


@inner
def emit_means(like, first, worker, job):
    """Add up the blocks of every channel of the task's images, and write the means."""
    mode, count = stop_flushing(), job.images_per_vector
    sums = worker.workspace + job.block_sums * job.itemsize
    for channel in range(job.channel_count):
        begin, end, samples = (
            get(job.means, MEAN_NUMBERS * channel),
            get(job.means, MEAN_NUMBERS * channel + 1),
            get(job.means, MEAN_NUMBERS * channel + 2),
        )
        for k in range(min(count, job.images - first)):
            total = 0.0
            for block in range(begin, end):
                number = (channel * job.blocks + block) * count + k
                total += load(0.0, sums + number * SUM_BYTES)
            record = job.magnitudes + (first + k) * RECORD_BYTES
            mean = math.ldexp(total / samples, -get(record, 1))
            if channel == 0:
                mean += np.float64(load(like, record)) * load(0.0, job.gain)
            store(like, get(worker.coefficients, k) + channel * job.channel_stride, mean)
    set_float_mode(mode)
