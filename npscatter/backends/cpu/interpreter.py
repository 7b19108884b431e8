"""The planner's program as compiled code: steps in, rows of vectors out.

Everything here runs without Python. Memory is addressed by int64 addresses, so that one compiled
function serves arrays of any layout, writable or not; tables too, for a Numba array that is passed
on counts its references by atomic instructions, which hold up the vectors' stores. Fields of
records are read before a loop that writes, or compilers would read them again in each turn. What a
step means is said in `npscatter.program.steps`, what stands in a record in
`npscatter.backends.cpu.records`; how a row is computed, in `npscatter.backends.cpu.row_codegen`.

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
lines, pixel by pixel (`npscatter.backends.cpu.layout.columns_by_octave`).

A step that takes moduli keeps only the rows that its smoothing will read again, for two of its rows
at a time: what both read of a modulus is then still near. With a smoothing kernel of radius r and
stride s on maps of height H (`modulus_slot`)::

    row of the modulus     0 .. r-1        r .. H-r-1               H-r .. H-1
    slot                   0 .. r-1        2r + row mod (2r+1+s)    r .. 2r-1
                           kept for good,  only the last 2r+1+s     kept for good
                           they wrap
"""

from __future__ import annotations

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from npscatter.backends.cpu.emission import (
    emit_means,
    emit_row,
    emitted_columns,
    set_lane_bounds,
    take_row,
)
from npscatter.backends.cpu.magnitudes import find_magnitudes, rescale_row, set_scalings
from npscatter.backends.cpu.records import (
    JOB,
    KERNEL,
    MAGNITUDES,
    MEANS,
    NO_SMOOTHING,
    PADDING,
    PART,
    SMOOTHED,
    STEP,
    WORKER,
)
from npscatter.backends.cpu.row_codegen import code_version
from npscatter.backends.cpu.simd import (
    FLUSH,
    atomic_add,
    call_row,
    continue_row,
    copy_vectors,
    float_mode,
    gather_lanes,
    get,
    load,
    put,
    scatter_lanes,
    set_float_mode,
    store,
)
from npscatter.backends.jit_cache import compile_cached

# What a worker answers: no task is left; another worker has in hand what this one waits for; it
# has done as many tasks as it was given.
DONE, WAITING, PAUSED = 0, 1, 2
# Turns of the loop that waits for another thread before giving way to the operating system.
SPINS = 2000

# For functions that only compiled code calls: nothing that Python would need is compiled.
_inner = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")
# The same, without a call: rows of a few columns would wait for it.
_inlined = numba.njit(
    no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", forceinline=True
)


@_inner
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


@_inner
def wrapped(row, height):
    """Return row modulo height; rows are rarely far outside, divisions slow."""
    while row < 0:
        row += height
    while row >= height:
        row -= height
    return row


@_inner
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


@_inner
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


@_inner
def continue_line(like, line, width, columns, job):
    """Continue a line of so many columns that are its own, periodically or by zeros."""
    size = job.itemsize
    for x in range(width, columns):
        value = load(like, line + (x - width) * size) if job.wrap else 0
        store(like, line + x * size, value)


@_inner
def cut_lines(like, target, ends, worker, job):
    """Cut every image's line into strips, and interleave them as a row."""
    size, lanes, columns = job.itemsize, job.lanes, get(job.row_ends + 8 * ends, 1)
    set_lane_addresses(columns, worker, job)
    for x in range(0, columns, lanes):
        vectors = min(lanes, columns - x)
        gather_lanes(like, worker.lane_addresses, x * size, worker.square, vectors)
        copy_vectors(like, worker.square, target + x * lanes * size, vectors)
    fill_margins(like, target, ends, job)


@_inner
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


@_inner
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


@_inner
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


@_inner
def pad_row_as_lines(like, row, columns, worker, job):
    """Lay out a row of every image, or zeros, as a line of so many columns."""
    for image in range(job.images_per_vector):
        line = worker.lines + image * job.line_bytes
        if row < 0:
            copy_vectors(like, worker.zero_row, line, -(-columns // job.lanes))
        else:
            source = get(worker.images, image) + row * job.image_row_stride
            pad_line(like, source, line, columns, job)


@_inlined
def correlate(kernel, out, first, columns, out_stride, worker, job):
    """Compute one row of a kernel's output maps from the window's rows, from column `first` on."""
    call_row(
        kernel.code,
        worker.window_rows,
        kernel.stride * first * job.lanes,
        worker.row_scratch,
        job.weights + kernel.weights * job.itemsize,
        out,
        columns,
        out_stride,
    )


@_inner
def set_window(step, kernel, group, centre, worker, job):
    """Let the window's rows be the source's around row `centre`."""
    table, zero_row = worker.window_rows, worker.zero_row
    height, maps = step.source_height, step.maps
    pitch, plane = step.source_pitch * job.itemsize, step.source_plane * job.itemsize
    first = worker.workspace + step.source * job.itemsize + group * maps * plane
    first += job.margin * job.lanes * job.itemsize
    size, radius = kernel.size, kernel.size // 2
    if radius <= centre < height - radius:
        first += (centre - radius) * pitch
        for number in range(maps):
            for a in range(size):
                put(table, number * size + a, first + number * plane + a * pitch)
        return
    for a in range(size):
        row = centre + a - radius
        if job.wrap:
            row = wrapped(row, height)
        inside = 0 <= row < height
        address = first + row * pitch
        for number in range(maps):
            put(table, number * size + a, address if inside else zero_row)
            address += plane


@_inner
def modulus_slot(row, height, smoothing):
    """Return where a row of the moduli is kept: the outermost for good, the others in turn."""
    radius = smoothing.size // 2
    if row < radius:
        return row
    if row >= height - radius:
        return row - height + 2 * radius
    return 2 * radius + row % (smoothing.size + smoothing.stride)


@_inlined
def modulus_place(step, smoothing, row, worker, job):
    """Return where a row of the first orientation's modulus is kept."""
    slot = modulus_slot(row, step.modulus_height, smoothing)
    offset = slot * step.modulus_pitch + job.margin * job.lanes
    return worker.moduli + offset * job.itemsize


@_inlined
def compute_moduli(like, step, wavelets, smoothing, group, row, worker, job):
    """Compute a row of every orientation's modulus, and keep it."""
    set_window(step, wavelets, group, wavelets.stride * row, worker, job)
    out, plane = modulus_place(step, smoothing, row, worker, job), step.modulus_plane
    correlate(wavelets, out, 0, step.modulus_columns, plane, worker, job)
    for theta in range(step.orientations):
        fill_margins(like, out + theta * plane * job.itemsize, step.modulus_ends, job)


@_inlined
def find_moduli(step, smoothing, centre, table, job):
    """Write where rows of a modulus around row `centre` are kept: in all orientations' alike."""
    size, radius = smoothing.size, smoothing.size // 2
    height, pitch = step.modulus_height, step.modulus_pitch * job.itemsize
    left = job.margin * job.lanes * job.itemsize
    for a in range(size):
        row = centre + a - radius
        if job.wrap:
            row = wrapped(row, height)
        offset = modulus_slot(row, height, smoothing) * pitch + left
        put(table, a, offset if 0 <= row < height else -1)


@_inlined
def set_modulus_window(step, smoothing, theta, offsets, worker, job):
    """Let the window's rows be those of one modulus that `find_moduli` found."""
    modulus = worker.moduli + theta * step.modulus_plane * job.itemsize
    table, zero_row = worker.window_rows, worker.zero_row
    for a in range(smoothing.size):
        offset = get(offsets, a)
        put(table, a, modulus + offset if offset >= 0 else zero_row)


@_inlined
def smooth_row(like, step, smoothing, group, y, worker, job):
    """Correlate the window's rows with the smoothing kernel and emit or store row y of the result.

    `group` counts what is smoothed: the stacks of the source, or every one's orientations.
    """
    size = job.itemsize
    if step.emits == SMOOTHED:
        first, columns = emitted_columns(step, job)
        place = worker.passing_rows + first * job.lanes * size
        correlate(smoothing, place, first, columns, 0, worker, job)
        channel = get(job.channels, step.channels + group)
        if worker.rescales:
            rescale_row(like, place, columns, 1 if channel == 0 else 2, worker, job)
        offset = channel * job.channel_stride + y * job.output_row_stride
        emit_row(like, step, worker.passing_rows, offset, worker, job)
        return
    offset = step.target + group * smoothing.outputs * step.target_plane
    offset += y * step.target_pitch + job.margin * job.lanes
    target, plane = worker.workspace + offset * size, step.target_plane * size
    recut = step.recut_plane * size
    out, out_stride = (
        (worker.passing_rows, step.recut_plane) if recut else (target, step.target_plane)
    )
    correlate(smoothing, out, 0, step.columns, out_stride, worker, job)
    for o in range(smoothing.outputs):
        place = target + o * plane
        if recut:
            row = worker.passing_rows + o * recut
            recut_row(like, row, step.columns, place, step.target_ends, worker, job)
        else:
            fill_margins(like, place, step.target_ends, job)


@_inner
def smooth_moduli(like, step, wavelets, smoothing, part, worker, job):
    """Compute a part of a step that takes moduli: each of their rows once, before it is read."""
    radius, height = smoothing.size // 2, step.modulus_height
    # Of the rows that several parts compute, each belongs to one, which emits it.
    takes, own = step.emits > SMOOTHED, smoothing.stride * part.start
    own_stop = height if part.stop == step.height else smoothing.stride * part.stop
    for group in range(part.group, part.group + part.groups):
        earliest = smoothing.stride * (part.start + step.first_row) - radius
        produced = earliest
        for first in range(part.start, part.stop, 2):
            stop = min(first + 2, part.stop)
            last = smoothing.stride * (stop - 1 + step.first_row) + radius
            while produced <= last:
                row = produced
                produced += 1
                if job.wrap:
                    # Else it is kept since it was computed as row - height.
                    if row - height < earliest:
                        around = wrapped(row, height)
                        compute_moduli(like, step, wavelets, smoothing, group, around, worker, job)
                elif row >= 0 and row < height:
                    compute_moduli(like, step, wavelets, smoothing, group, row, worker, job)
                if takes and own <= row < own_stop:
                    place = modulus_place(step, smoothing, row, worker, job)
                    take_row(like, step, group, row, own_stop, place, worker, job)
            for y in range(first, stop):
                table = worker.row_offsets + 8 * (y - first) * smoothing.size
                find_moduli(step, smoothing, smoothing.stride * (y + step.first_row), table, job)
            for theta in range(step.orientations):
                number = group * step.orientations + theta
                for y in range(first, stop):
                    table = worker.row_offsets + 8 * (y - first) * smoothing.size
                    set_modulus_window(step, smoothing, theta, table, worker, job)
                    smooth_row(like, step, smoothing, number, y, worker, job)
        if takes:
            for row in range(max(own, produced), own_stop):  # which no smoothing reads
                compute_moduli(like, step, wavelets, smoothing, group, row, worker, job)
                place = modulus_place(step, smoothing, row, worker, job)
                take_row(like, step, group, row, own_stop, place, worker, job)


@_inner
def take_moduli(like, step, wavelets, part, worker, job):
    """Compute a part of a step that smooths nothing: of moduli, or without wavelets of maps."""
    left = job.margin * job.lanes
    start = max(part.start, step.window_row)
    stop = min(part.stop, step.window_row + step.window_height)
    for group in range(part.group, part.group + part.groups):
        for row in range(start, stop):
            place = worker.moduli + left * job.itemsize
            if step.wavelets < 0:
                offset = step.source + group * step.source_plane + row * step.source_pitch
                place = worker.workspace + (offset + left) * job.itemsize
            else:
                set_window(step, wavelets, group, wavelets.stride * row, worker, job)
                plane = step.modulus_plane
                correlate(wavelets, place, 0, step.modulus_columns, plane, worker, job)
            take_row(like, step, group, row, stop, place, worker, job)


@_inner
def smooth_maps(like, step, smoothing, part, worker, job):
    """Compute a part of a step that takes no moduli."""
    for group in range(part.group, part.group + part.groups):
        for y in range(part.start, part.stop):
            centre = smoothing.stride * (y + step.first_row)
            set_window(step, smoothing, group, centre, worker, job)
            smooth_row(like, step, smoothing, group, y, worker, job)


@_inner
def set_images(first, worker, job):
    """Let the task's images be those from number `first` on; it stands in for missing ones."""
    for k in range(job.images_per_vector):
        image = first + k if first + k < job.images else first
        put(worker.images, k, get(job.inputs, image))
        put(worker.coefficients, k, get(job.outputs, image))


@_inner
def are_finished(tasks, job):
    """Wait a little for so many tasks to be finished, and say whether they are."""
    for _ in range(SPINS):
        if atomic_add(job.finished_tasks, 0) >= tasks:
            return True
    return False


def make_worker(dtype: str) -> Dispatcher:
    """Return the function that works on a call's tasks until there are none left, compiled.

    Its arguments: `jobs` and `workers`, of one record each, `steps`, `kernels` and `parts`, arrays
    of the records in `npscatter.backends.cpu.records`; and `tasks_per_turn`, the tasks after which
    to come back to Python. It returns `DONE`, `WAITING` or `PAUSED`.

    Any number of workers may share a call, come late or be held up: tasks are handed out in the
    order of the program, so whoever holds one waits only for tasks that others are working on.
    """
    # Part of what is compiled, and so of what a cache on disk looks for.
    made_from = code_version()
    kind = getattr(numba, dtype)

    def work(jobs, workers, steps, kernels, parts, tasks_per_turn):
        made_from  # noqa: B018
        job, worker, like = jobs[0], workers[0], kind(0)
        answer = PAUSED
        # What is left of flat regions after two wavelets is too small for the CPU's fast paths.
        mode = float_mode()
        set_float_mode(mode | FLUSH)
        for _ in range(tasks_per_turn):
            if worker.task < 0:
                worker.task = atomic_add(job.next_task, 1)
            if worker.task >= job.tasks or atomic_add(job.stop, 0) != 0:
                answer = DONE
                break
            image, begin, end = worker.task * job.images_per_vector, 0, len(parts)
            if job.split:
                image = worker.task // len(parts)
                begin = worker.task - image * len(parts)
                end = begin + 1
                if not are_finished(image * len(parts) + parts[begin].needs, job):
                    answer = WAITING
                    break
            set_images(image, worker, job)
            if job.split:
                set_scalings(like, image, worker, job)
            for number in range(begin, end):
                part = parts[number]
                step = steps[part.step]
                if step.emits:
                    set_lane_bounds(step, worker, job)
                if step.smoothing == MAGNITUDES:
                    find_magnitudes(like, image, worker, job)
                elif step.smoothing == PADDING:
                    pad_rows(like, step, part, worker, job)
                elif step.smoothing == MEANS:
                    emit_means(like, image, worker, job)
                elif step.smoothing == NO_SMOOTHING:
                    take_moduli(like, step, kernels[max(0, step.wavelets)], part, worker, job)
                elif step.wavelets < 0:
                    smooth_maps(like, step, kernels[step.smoothing], part, worker, job)
                else:
                    wavelets, smoothing = kernels[step.wavelets], kernels[step.smoothing]
                    smooth_moduli(like, step, wavelets, smoothing, part, worker, job)
            worker.task = -1
            atomic_add(job.finished_tasks, 1)
        set_float_mode(mode)
        return answer

    compiled = numba.njit(nogil=True, error_model="numpy")(work)
    records = [numba.typeof(np.zeros(1, of)) for of in (JOB, WORKER, STEP, KERNEL, PART)]
    compile_cached(compiled, lambda: compiled.compile((*records, numba.int64)))
    # Or threads would compile, should they ever bring other types.
    compiled.disable_compile()
    return compiled
