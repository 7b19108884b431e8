"""The program forwards and backwards as compiled code, step by step.

A correlation goes backwards as a correlation with mirrored taps, whose inputs and outputs change
places (`npscatter.backends.cpu.gradient_layout.adjoint`). The stride of a smoothing leaves zeros
between what that reads, and only taps that meet no zero are summed: a kernel for each phase of a
sample among them. A modulus ``r = |z|`` goes backwards as ``(dloss/dr) z / r``, and as zero where
it is zero. The gradients of wavelets that mirror each other become their sum and difference: then
the taps have parities, and fold.

The maps of an image are computed first, all but moduli and what is emitted, and kept. Then the
steps are gone through from the last to the first. Moduli are computed again, a stack at a time, so
that they are still near. Rows are computed by the code of `npscatter.backends.cpu.row_codegen`; how
images and their strips lie in vectors is drawn in `npscatter.backends.cpu.strips`.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from npscatter.backends.cpu.gradient_rows import (
    add_row_to,
    spread_row,
    sum_and_difference,
    take_moduli_of_row,
    turn_row,
)
from npscatter.backends.cpu.interpreter import wrapped
from npscatter.backends.cpu.records import int64s
from npscatter.backends.cpu.row_codegen import code_version
from npscatter.backends.cpu.simd import (
    FLUSH,
    call_row,
    copy_vectors,
    float_mode,
    get,
    inner,
    load,
    put,
    scatter_lanes,
    set_float_mode,
    store,
)
from npscatter.backends.cpu.strips import (
    continue_line,
    cut_lines,
    fill_margins,
    pad_row_as_lines,
    recut_row,
    set_lane_addresses,
)
from npscatter.backends.jit_cache import compile_cached, source_digest

# Modules that decide what is compiled, beside those of `row_codegen`.
OWN_SOURCES = ("npscatter.backends.cpu.gradient_code", "npscatter.backends.cpu.gradient_rows")

# Maps in memory; offset, plane and pitch are in elements.
RUN = int64s(
    "offset",  # of column 0
    "plane",
    "pitch",
    "height",
    "columns",  # of a strip
    "ends",  # where the table of row ends tells of such rows
)
# One step; names of maps are numbers of their RUN, names of weights those of their KERNEL.
STEP = int64s(
    "groups",
    "maps",  # of one group of the source
    "orientations",  # 0: no modulus is taken
    "wavelet_stride",
    "stride",
    "first_row",
    "first_column",
    "height",
    "width",
    "full_width",  # of the grid of which these are some columns
    "columns",  # of a strip of that
    "ends",  # where the table of row ends tells of such rows
    "recuts",  # 1: the target's strips are others
    "outputs",  # maps that smoothing makes of a group
    "emits",
    "channels",  # where its channels start
    "wavelets",
    "smoothing",
    "wavelets_adjoint",
    "smoothing_adjoint",  # the first of the phases: row by row, column by column
    "pairs",  # where the table of pairs starts: see `turn_slopes`
    "source",
    "source_slope",  # the gradient of the source
    "target",
    "target_slope",
    "parts",  # real parts of one group, then imaginary ones
    "moduli",
    "turned",  # the gradient of the parts, zeros between where wavelets have a stride
    "spread",  # the gradient of what smoothing makes, zeros between where it has a stride
)
KERNEL = int64s("code", "size", "outputs", "weights")
# What is the same for all vectors of images; strides are in bytes.
JOB = int64s(
    "images_per_vector",
    "strips_per_vector",
    "lanes",
    "itemsize",
    "wrap",
    "width",  # of a padded image
    "image_row_stride",
    "image_column_stride",
    "slope_row_stride",
    "slope_plane",  # from channel to channel
    "line_bytes",  # from one line to the next
    "passing_plane",  # in elements
    "image_rows",  # address of the plan's rows: where padded rows come from
    "image_columns",  # the same for columns
    "row_ends",  # address of the table of how rows go on
    "channels",  # address of the steps' channels
    "pairs",  # address of the wavelets' pairs
)
# A thread's memory: addresses, but for `count`.
WORKER = int64s(
    "maps",
    "zero_row",
    "row_scratch",
    "passing",  # rows that are read at once
    "lines",  # a row of every image, pixel by pixel
    "square",  # as many vectors as a vector has lanes
    "images",  # table: where each image is
    "slopes",  # table: where the gradient of its coefficients is
    "gradients",  # table: where its own is written
    "lane_addresses",
    "window_rows",
    "count",  # of the images, those that are not there to fill the vector
)


@inner
def place(run, number, row, worker, job):
    """Return the address of a row of map `number`."""
    offset = run.offset + number * run.plane + row * run.pitch
    return worker.maps + offset * job.itemsize


@inner
def correlate(kernel, stack, centre, skip, out, columns, plane, worker, job):
    """Compute one row of a kernel's outputs, from a stack's rows around row `centre`.

    `stack` is a run of maps, the first one's number in it, and how many they are; `skip` the
    column of the source where the first output stands.
    """
    run, first, maps = stack
    size, table = kernel.size, worker.window_rows
    for a in range(size):
        row = centre + a - size // 2
        if job.wrap:
            row = wrapped(row, run.height)
        inside = 0 <= row < run.height
        address = place(run, first, row, worker, job)
        for number in range(maps):
            put(table, number * size + a, address if inside else worker.zero_row)
            address += run.plane * job.itemsize
    call_row(
        *(kernel.code, table, skip * job.lanes, worker.row_scratch, kernel.weights),
        *(out, columns, plane),
    )


@inner
def take_moduli(like, step, group, is_read, runs, kernels, worker, job):
    """Compute a group's wavelet coefficients and moduli, with margins if these will be read."""
    parts, moduli, L = runs[step.parts], runs[step.moduli], step.orientations
    stack = (runs[step.source], group * step.maps, step.maps)
    for y in range(moduli.height):
        row, centre = place(parts, 0, y, worker, job), step.wavelet_stride * y
        correlate(
            *(kernels[step.wavelets], stack, centre, 0),
            *(row, moduli.columns, parts.plane, worker, job),
        )
        for t in range(L):
            real, imaginary = (
                place(parts, t, y, worker, job),
                place(parts, L + t, y, worker, job),
            )
            out = place(moduli, t, y, worker, job)
            take_moduli_of_row(like, real, imaginary, out, moduli.columns)
            if is_read:
                fill_margins(like, out, moduli.ends, job)


@inner
def smooth(like, step, stack, number, runs, kernels, worker, job):
    """Compute the target's maps of smoothed group `number`."""
    target, kernel = runs[step.target], kernels[step.smoothing]
    for y in range(step.height):
        out, plane = place(target, number * step.outputs, y, worker, job), target.plane
        if step.recuts:
            out, plane = worker.passing, job.passing_plane
        centre = step.stride * (y + step.first_row)
        correlate(kernel, stack, centre, 0, out, step.columns, plane, worker, job)
        for k in range(step.outputs):
            row = place(target, number * step.outputs + k, y, worker, job)
            if step.recuts:
                passing = out + k * plane * job.itemsize
                recut_row(like, passing, step.columns, row, target.ends, worker, job)
            else:
                fill_margins(like, row, target.ends, job)


@inner
def go_forwards(like, step, runs, kernels, worker, job):
    """Compute a step's target."""
    for group in range(step.groups):
        if step.orientations == 0:
            stack = (runs[step.source], group * step.maps, step.maps)
            smooth(like, step, stack, group, runs, kernels, worker, job)
            continue
        take_moduli(like, step, group, True, runs, kernels, worker, job)
        for t in range(step.orientations):
            number, stack = group * step.orientations + t, (runs[step.moduli], t, 1)
            smooth(like, step, stack, number, runs, kernels, worker, job)


@inner
def lay_slopes(like, step, number, y, worker, job):
    """Lay a row of the gradient of the channel of group `number` out in the passing row."""
    columns, size = step.columns * job.strips_per_vector, job.itemsize
    channel = get(job.channels, step.channels + number)
    for image in range(job.images_per_vector):
        line = worker.lines + image * job.line_bytes
        copy_vectors(like, worker.zero_row, line, -(-columns // job.lanes))
        source = get(worker.slopes, image)
        source += channel * job.slope_plane + y * job.slope_row_stride
        for x in range(step.width):
            store(like, line + (step.first_column + x) * size, load(like, source + x * size))
        continue_line(like, line, step.full_width, columns, job)
    cut_lines(like, worker.passing, step.ends, worker, job)


@inner
def spread_slopes(like, step, number, runs, worker, job):
    """Lay the gradient of smoothed group `number` on the grid of what is smoothed."""
    spread, slopes = runs[step.spread], runs[step.target_slope]
    for k in range(step.outputs):
        for y in range(step.height):
            if step.emits:
                lay_slopes(like, step, number, y, worker, job)
                given = worker.passing
            else:
                given = place(slopes, number * step.outputs + k, y, worker, job)
                if step.recuts:
                    target = worker.passing
                    recut_row(like, given, slopes.columns, target, step.ends, worker, job)
                    given = target
            row = place(spread, k, step.stride * (y + step.first_row), worker, job)
            spread_row(like, given, row, step.columns, step.stride)
            fill_margins(like, row, spread.ends, job)


@inner
def phase_kernel(step, y, phase, kernels):
    """Return what row y and columns `phase`, `phase` + stride, ... of a gradient are sums by."""
    return kernels[step.smoothing_adjoint + y % step.stride * step.stride + phase]


@inner
def turn_slopes(like, step, t, runs, kernels, worker, job):
    """Make of what was spread the gradient of wavelet coefficient t's parts.

    The table of pairs has for each part its own number, or that of an earlier part with which it
    leaves its place as sum and difference, or -1 if it waits for such a later part.
    """
    parts, moduli, turned = runs[step.parts], runs[step.moduli], runs[step.turned]
    vector, stride, phases = job.lanes * job.itemsize, step.wavelet_stride, step.stride
    spread, L = (runs[step.spread], 0, step.outputs), step.orientations
    columns = moduli.columns // phases
    for y in range(moduli.height):
        modulus = place(moduli, t, y, worker, job)
        for phase in range(phases):
            kernel = phase_kernel(step, y, phase, kernels)
            passing, plane = worker.passing, job.passing_plane
            correlate(kernel, spread, y, phase, passing, columns, plane, worker, job)
            for number in (t, L + t):
                part = place(parts, number, y, worker, job) + phase * vector
                out = place(turned, number, stride * y, worker, job) + stride * phase * vector
                r = modulus + phase * vector
                turn_row(like, passing, r, part, out, columns, phases, stride * phases)
        for number in (t, L + t):
            other = get(job.pairs, step.pairs + number)
            if other < 0:
                continue
            row = place(turned, number, stride * y, worker, job)
            if other != number:
                one = place(turned, other, stride * y, worker, job)
                sum_and_difference(like, one, row, turned.columns)
                fill_margins(like, one, turned.ends, job)
            fill_margins(like, row, turned.ends, job)


@inner
def add_slopes(like, step, kernel, columns_of_row, stack, group, runs, worker, job):
    """Add sums of one stack of gradients, by a kernel, to a row of the source's gradient.

    `columns_of_row` are the row, the first column that the kernel is for, and the step to the next.
    """
    y, phase, phases = columns_of_row
    slope, vector = runs[step.source_slope], job.lanes * job.itemsize
    columns, passing, plane = slope.columns // phases, worker.passing, job.passing_plane
    correlate(kernel, stack, y, phase, passing, columns, plane, worker, job)
    for number in range(step.maps):
        row = place(slope, group * step.maps + number, y, worker, job) + phase * vector
        add_row_to(like, passing + number * plane * job.itemsize, row, columns, phases)


@inner
def go_backwards(like, step, runs, kernels, worker, job):
    """Add a step's share to the gradient of its source."""
    spread, turned, L = runs[step.spread], runs[step.turned], step.orientations
    height = runs[step.source_slope].height
    for group in range(step.groups):
        if L == 0:
            spread_slopes(like, step, group, runs, worker, job)
            stack = (spread, 0, step.outputs)
            for y in range(height):
                for phase in range(step.stride):
                    kernel = phase_kernel(step, y, phase, kernels)
                    some = (y, phase, step.stride)
                    add_slopes(like, step, kernel, some, stack, group, runs, worker, job)
            continue
        take_moduli(like, step, group, False, runs, kernels, worker, job)
        for t in range(L):
            spread_slopes(like, step, group * L + t, runs, worker, job)
            turn_slopes(like, step, t, runs, kernels, worker, job)
        kernel, stack = kernels[step.wavelets_adjoint], (turned, 0, 2 * L)
        for y in range(height):
            add_slopes(like, step, kernel, (y, 0, 1), stack, group, runs, worker, job)


@inner
def pad(like, run, worker, job):
    """Lay the padded images out."""
    columns = run.columns * job.strips_per_vector
    for y in range(run.height):
        pad_row_as_lines(like, get(job.image_rows, y), columns, worker, job)
        cut_lines(like, place(run, 0, y, worker, job), run.ends, worker, job)


@inner
def unpad(like, run, worker, job):
    """Add the gradient of every padded pixel to that of the pixel it came from."""
    size = job.itemsize
    set_lane_addresses(run.columns, worker, job)
    for y in range(run.height):
        row = get(job.image_rows, y)
        if row < 0:
            continue
        vectors = place(run, 0, y, worker, job)
        for x in range(0, run.columns, job.lanes):
            source, count = vectors + x * job.lanes * size, run.columns - x
            scatter_lanes(like, source, worker.lane_addresses, x * size, count)
        for image in range(worker.count):
            line = worker.lines + image * job.line_bytes
            target = get(worker.gradients, image) + row * job.image_row_stride
            for x in range(job.width):
                column = get(job.image_columns, x)
                if column >= 0:
                    pixel = target + column * size
                    store(like, pixel, load(like, pixel) + load(like, line + x * size))


def make_worker(dtype: str) -> Dispatcher:
    """Return the function that adds the gradients of a vector of images to zeros, compiled.

    Its arguments: `jobs` and `workers`, of one record each, whose maps' gradients are zero; `runs`,
    `steps` and `kernels`, arrays of the records above.
    """
    # Part of what is compiled, and so of what a cache on disk looks for.
    made_from = f"{code_version()} {source_digest(OWN_SOURCES)}"
    kind = getattr(numba, dtype)

    def work(jobs, workers, runs, steps, kernels):
        made_from  # noqa: B018
        job, worker, like, mode = jobs[0], workers[0], kind(0), float_mode()
        set_float_mode(mode | FLUSH)
        pad(like, runs[steps[0].source], worker, job)
        for number in range(len(steps)):
            if steps[number].emits == 0:
                go_forwards(like, steps[number], runs, kernels, worker, job)
        for number in range(len(steps) - 1, -1, -1):
            go_backwards(like, steps[number], runs, kernels, worker, job)
        unpad(like, runs[steps[0].source_slope], worker, job)
        set_float_mode(mode)

    compiled = numba.njit(nogil=True, error_model="numpy")(work)
    records = [numba.typeof(np.zeros(1, of)) for of in (JOB, WORKER, RUN, STEP, KERNEL)]
    compile_cached(compiled, lambda: compiled.compile(tuple(records)))
    compiled.disable_compile()
    return compiled
