"""Levels and shifts in compiled code: found in images, taken off them, given back to coefficients.

What they are is said in `npscatter.program.magnitude`. Whoever takes a task up first looks through
its images and writes level and shift of each to the call's table; where any is not 0, rows of the
padded images are rescaled as they are laid out, and rows of coefficients before they are emitted.
Denormal numbers are numbers here: the CPU takes them for zero only where maps are computed.
"""

from __future__ import annotations

import math

import numpy as np

from npscatter.backends.cpu.simd import (
    FLUSH,
    float_mode,
    get,
    inner,
    load,
    lowest_and_highest,
    put,
    rescale,
    reset_extremes,
    set_float_mode,
    store,
    widen_extremes,
)
from npscatter.program.magnitude import level_and_shift

_level_and_shift = inner(level_and_shift)

# Bytes of the table of magnitudes per image: its level, padded to 8, and its shift.
RECORD_BYTES = 16
# Vectors of a scaling: what `npscatter.backends.cpu.simd.rescale` needs. Those of a worker, in this
# order: of pixels, of the coefficients of order 0, of all others.
SCALING_VECTORS, SCALINGS = 4, 3


@inner
def stop_flushing():
    """Let the CPU compute with denormal numbers, and return the mode it had."""
    mode = float_mode()
    set_float_mode(mode & ~FLUSH)
    return mode


@inner
def finite_extremes(like, source, job):
    """Return the lowest and the highest finite value of an image, pixel by pixel."""
    low, high = math.inf, -math.inf
    for y in range(job.image_height):
        row = source + y * job.image_row_stride
        for x in range(job.image_width):
            value = load(like, row + x * job.image_column_stride)
            if math.isfinite(value):
                low, high = min(low, np.float64(value)), max(high, np.float64(value))
    return low, high


@inner
def widen_by_row(like, row, columns, worker, job):
    """Take so many pixels of a row of an image into the extremes in `worker.square`."""
    size, lanes, extremes = job.itemsize, job.lanes, worker.square
    if job.image_column_stride == size and columns >= lanes:
        widen_extremes(like, row, columns // lanes, extremes)
        widen_extremes(like, row + (columns - lanes) * size, 1, extremes)
        return
    line, stride, vectors = worker.lines, job.image_column_stride, -(-columns // lanes)
    for x in range(vectors * lanes):
        store(like, line + x * size, load(like, row + min(x, columns - 1) * stride))
    widen_extremes(like, line, vectors, extremes)


@inner
def image_extremes(like, source, worker, job):
    """Return the lowest and the highest finite value of an image; inf, -inf if there is none."""
    size, extremes = job.itemsize, worker.square
    reset_extremes(like, extremes)
    rows, columns, pitch = job.image_height, job.image_width, job.image_row_stride
    if job.image_column_stride == size and pitch == columns * size:
        rows, columns = 1, rows * columns
    for y in range(rows):
        widen_by_row(like, source + y * pitch, columns, worker, job)
    low, high = lowest_and_highest(like, extremes)
    if math.isfinite(low) and math.isfinite(high):
        return np.float64(low), np.float64(high)
    return finite_extremes(like, source, job)


@inner
def level_and_shift_of(low, high, job):
    """Return level and shift of an image with such extremes."""
    return _level_and_shift(
        low, high, job.has_level != 0, job.least_exponent, job.greatest_exponent
    )


@inner
def set_scalings(like, first, worker, job):
    """Lay what the task's images and coefficients are rescaled by in the lanes of vectors."""
    mode = stop_flushing()
    worker.rescales = 0
    for image in range(first, min(first + job.images_per_vector, job.images)):
        record = job.magnitudes + image * RECORD_BYTES
        if load(like, record) != 0 or get(record, 1) != 0:
            worker.rescales = 1
    if worker.rescales:
        for lane in range(job.lanes):
            image = first + lane // job.strips_per_vector
            set_lane_scalings(like, lane, image if image < job.images else first, worker, job)
    set_float_mode(mode)


@inner
def set_lane_scalings(like, lane, image, worker, job):
    """Write the numbers by which one lane, of such an image, is rescaled."""
    record, size, vector = job.magnitudes + image * RECORD_BYTES, job.itemsize, job.lanes
    level, shift = np.float64(load(like, record)), get(record, 1)
    # In two factors: one for all of a shift may be no normal number.
    half = shift // 2
    into = (math.ldexp(1.0, half), math.ldexp(1.0, shift - half))
    out_of = (math.ldexp(1.0, -half), math.ldexp(1.0, half - shift))
    constant = 0.0 - level * load(0.0, job.gain)
    scaling = (
        *(level, into[0], into[1], 0.0),
        *(0.0, out_of[0], out_of[1], constant),
        *(0.0, out_of[0], out_of[1], 0.0),
    )
    for k in range(SCALINGS * SCALING_VECTORS):
        store(like, worker.scalings + (k * vector + lane) * size, scaling[k])


@inner
def find_magnitudes(like, first, worker, job):
    """Write level and shift of the task's images, from number `first` on, to the call's table."""
    mode, rescales = stop_flushing(), 0
    for image in range(first, min(first + job.images_per_vector, job.images)):
        low, high = image_extremes(like, get(job.inputs, image), worker, job)
        level, shift = level_and_shift_of(low, high, job)
        record = job.magnitudes + image * RECORD_BYTES
        store(like, record, level)
        put(record, 1, shift)
        if level != 0 or shift != 0:
            rescales = 1
    set_float_mode(mode)
    worker.rescales = rescales
    if rescales:
        set_scalings(like, first, worker, job)


@inner
def rescale_row(like, row, vectors, number, worker, job):
    """Rescale so many vectors of a row by one of the worker's scalings."""
    mode = stop_flushing()
    scaling = worker.scalings + number * SCALING_VECTORS * job.lanes * job.itemsize
    rescale(like, row, vectors, scaling)
    set_float_mode(mode)
