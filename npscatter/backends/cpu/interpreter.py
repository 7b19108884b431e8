"""The planner's program as compiled code: steps in, rows of vectors out.

Everything here runs without Python. Memory is addressed by int64 addresses, so that one compiled
function serves arrays of any layout, writable or not; tables too, for a Numba array that is passed
on counts its references by atomic instructions, which hold up the vectors' stores. Fields of
records are read before a loop that writes, or compilers would read them again in each turn. What a
step means is said in `npscatter.program.steps`, what stands in a record in
`npscatter.backends.cpu.records`; how rows lie in vectors, in `npscatter.backends.cpu.strips`; how
one is computed, in `npscatter.backends.cpu.row_codegen`.

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
    float_mode,
    get,
    inner,
    put,
    set_float_mode,
)
from npscatter.backends.cpu.strips import fill_margins, pad_rows, recut_row
from npscatter.backends.jit_cache import compile_cached

# What a worker answers: no task is left; another worker has in hand what this one waits for; it
# has done as many tasks as it was given.
DONE, WAITING, PAUSED = 0, 1, 2
# Turns of the loop that waits for another thread before giving way to the operating system.
SPINS = 2000

# As `inner`, without a call: rows of a few columns would wait for it.
_inlined = numba.njit(
    no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy", forceinline=True
)


@inner
def wrapped(row, height):
    """Return row modulo height; rows are rarely far outside, divisions slow."""
    while row < 0:
        row += height
    while row >= height:
        row -= height
    return row


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


@inner
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


@inner
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


@inner
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


@inner
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


@inner
def smooth_maps(like, step, smoothing, part, worker, job):
    """Compute a part of a step that takes no moduli."""
    for group in range(part.group, part.group + part.groups):
        for y in range(part.start, part.stop):
            centre = smoothing.stride * (y + step.first_row)
            set_window(step, smoothing, group, centre, worker, job)
            smooth_row(like, step, smoothing, group, y, worker, job)


@inner
def set_images(first, worker, job):
    """Let the task's images be those from number `first` on; it stands in for missing ones."""
    for k in range(job.images_per_vector):
        image = first + k if first + k < job.images else first
        put(worker.images, k, get(job.inputs, image))
        put(worker.coefficients, k, get(job.outputs, image))


@inner
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
