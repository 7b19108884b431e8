"""Rows cut into strips, in compiled code: laid out, continued beyond their ends, cut anew.

Rows of W columns are cut into strips of s columns, so that all lanes of a vector have work: with
`images_per_vector` = 2 images a and b, `strips_per_vector` = 2, W = 7 and so s = 4::

                    margin            columns of a strip            margin
    vector        -2     -1      0      1      2      3       4      5
    lane 0       (a5    a6)     a0     a1     a2     a3      (a4    a5)    strip 0 of image a
    lane 1       (a2    a3)     a4     a5     a6     a0*     (a1    a2)    strip 1
    lane 2       (b5    b6)     b0     b1     b2     b3      (b4    b5)    strip 0 of image b
    lane 3       (b2    b3)     b4     b5     b6     b0*     (b1    b2)    strip 1

Lane ``image * strips_per_vector + strip`` holds one strip. Columns from W on (``*``) repeat the row
under periodic edges and are zero otherwise. On both sides a row goes on, so that a window finds its
columns wherever it stands: the margins of most lanes are columns of the strip beside them. A step
halves the strips it reads; where its target's are not that wide, its rows are cut anew, by way of
lines, pixel by pixel (`npscatter.backends.cpu.geometry.columns_by_octave`).
"""

from __future__ import annotations

from npscatter.backends.cpu.magnitudes import rescale_row
from npscatter.backends.cpu.simd import (
    continue_row,
    copy_vectors,
    gather_lanes,
    get,
    inner,
    load,
    put,
    scatter_lanes,
    store,
)


@inner
def fill_margins(like, row, ends, job):
    """Continue a row beyond its ends, periodically or by zeros, as its entry in `ends` says."""
    size, strips = job.itemsize, job.strips_per_vector
    ends = job.row_ends + 8 * ends
    columns, reach = get(ends, 1), get(ends, 2)
    vector = job.lanes * size
    if not job.wrap:
        for x in range(get(ends, 0), strips * columns):
            strip = x // columns
            place = row + (x - strip * columns) * vector + strip * size
            for image in range(job.images_per_vector):
                store(like, place + image * strips * size, 0)
    if strips == 1 and job.wrap:
        if columns >= reach:
            copy_vectors(like, row + (columns - reach) * vector, row - reach * vector, reach)
        else:
            for k in range(1, reach + 1):
                copy_vectors(like, row + (columns - k) * vector, row - k * vector, 1)
        copy_vectors(like, row, row + columns * vector, reach)
        return
    for k in range(1, reach + 1):
        source, target = row + (columns - k) * vector, row - k * vector
        outside = row + get(ends, 2 + k) * size
        continue_row(like, source, target, outside, strips, 1, job.wrap)
    for k in range(reach):
        source, target = row + k * vector, row + (columns + k) * vector
        outside = row + (get(ends, 3 + reach + k) - strips + 1) * size
        continue_row(like, source, target, outside, strips, 0, job.wrap)


@inner
def set_lane_addresses(columns, worker, job):
    """Let every lane start where its strip, of so many columns, starts in its image's line."""
    table, strips, strip_bytes = (
        worker.lane_addresses,
        job.strips_per_vector,
        columns * job.itemsize,
    )
    line, line_bytes = worker.lines, job.line_bytes
    for image in range(job.images_per_vector):
        for strip in range(strips):
            put(table, image * strips + strip, line + strip * strip_bytes)
        line += line_bytes


@inner
def pad_line(like, source, line, columns, job):
    """Lay out a row of an image as a line of so many columns, through the plan's columns."""
    size, lanes, width = job.itemsize, job.lanes, job.width
    table, stride = job.image_columns, job.image_column_stride
    x = 0
    while x < width:
        column, last = get(table, x), x + lanes - 1
        # Only a run of neighbours rises so far over the columns of a vector.
        neighbours = last < width and get(table, last) == column + lanes - 1
        if stride == size and column >= 0 and neighbours:
            copy_vectors(like, source + column * size, line + x * size, 1)
            x += lanes
            continue
        value = load(like, source + column * stride) if column >= 0 else 0
        store(like, line + x * size, value)
        x += 1
    continue_line(like, line, width, columns, job)


@inner
def continue_line(like, line, width, columns, job):
    """Continue a line of so many columns that are its own, periodically or by zeros."""
    size = job.itemsize
    for x in range(width, columns):
        value = load(like, line + (x - width) * size) if job.wrap else 0
        store(like, line + x * size, value)


@inner
def cut_lines(like, target, ends, worker, job):
    """Cut every image's line into strips, and interleave them as a row."""
    size, lanes, columns = job.itemsize, job.lanes, get(job.row_ends + 8 * ends, 1)
    set_lane_addresses(columns, worker, job)
    for x in range(0, columns, lanes):
        vectors = min(lanes, columns - x)
        gather_lanes(like, worker.lane_addresses, x * size, worker.square, vectors)
        copy_vectors(like, worker.square, target + x * lanes * size, vectors)
    fill_margins(like, target, ends, job)


@inner
def recut_row(like, row, columns, target, ends, worker, job):
    """Cut a row, of strips of so many columns, into the strips of its target."""
    size, lanes, table = job.itemsize, job.lanes, job.row_ends + 8 * ends
    set_lane_addresses(columns, worker, job)
    for x in range(0, columns, lanes):
        place = row + x * lanes * size
        scatter_lanes(like, place, worker.lane_addresses, x * size, columns - x)
    width, columns = get(table, 0), get(table, 1) * job.strips_per_vector
    for image in range(job.images_per_vector):
        continue_line(like, worker.lines + image * job.line_bytes, width, columns, job)
    cut_lines(like, target, ends, worker, job)


@inner
def pad_row_directly(like, row, target, worker, job):
    """Interleave a row of the images, one per lane, and repeat its columns where padding does."""
    size, lanes, run, table = job.itemsize, job.lanes, job.run, job.image_columns
    vector, start = lanes * size, row * job.image_row_stride + get(table, run) * size
    for x in range(0, job.run_columns, lanes):
        # The last vector of columns ends with the run: nothing beyond an image is read.
        first = min(x, job.run_columns - lanes)
        place = target + (run + first) * vector
        gather_lanes(like, worker.images, start + first * size, place, lanes)
    for x in range(job.width):
        if x < run or x >= run + job.run_columns:
            column = get(table, x)
            place = target + (run + column - get(table, run)) * vector
            copy_vectors(like, place if column >= 0 else worker.zero_row, target + x * vector, 1)


@inner
def pad_rows(like, step, part, worker, job):
    """Copy rows of the images into the workspace: as lines first, which are then interleaved.

    Lines can be left out where every lane has a whole row of an image.
    """
    size, lanes = job.itemsize, job.lanes
    columns = step.columns * job.strips_per_vector
    direct = job.run_columns > 0 and job.image_column_stride == size
    rescales = worker.rescales
    for y in range(part.start, part.stop):
        row = get(job.image_rows, y)
        offset = step.target + y * step.target_pitch + job.margin * lanes
        target = worker.workspace + offset * size
        if direct and row >= 0:
            pad_row_directly(like, row, target, worker, job)
            fill_margins(like, target, step.target_ends, job)
        else:
            pad_row_as_lines(like, row, columns, worker, job)
            cut_lines(like, target, step.target_ends, worker, job)
        if rescales:
            rescale_row(like, target, step.columns, 0, worker, job)
            fill_margins(like, target, step.target_ends, job)


@inner
def pad_row_as_lines(like, row, columns, worker, job):
    """Lay out a row of every image, or zeros, as a line of so many columns."""
    for image in range(job.images_per_vector):
        line = worker.lines + image * job.line_bytes
        if row < 0:
            copy_vectors(like, worker.zero_row, line, -(-columns // job.lanes))
        else:
            source = get(worker.images, image) + row * job.image_row_stride
            pad_line(like, source, line, columns, job)
