"""The planner's program as compiled code: steps in, rows of vectors out.

Everything here runs without Python. Memory is addressed by int64 addresses, so that one compiled
function serves arrays of any layout, writable or not; tables too, for a Numba array that is passed
on counts its references by atomic instructions, which hold up the vectors' stores. What a step
means is said in `npscatter.program.plan`; how a row is computed, in `npscatter.cpu.row_codegen`.

How a row lies in memory: column x of a row of length W is cut into `segments` of s columns each,
and the lanes of vector number j hold column j of every segment of `together` images; lane
``image * segments + segment``. Rows longer than W (``segments * s``) repeat themselves under
periodic edges and end in zeros otherwise. On both sides a row goes on for `margin` vectors, so
that a window finds its columns wherever it stands.
"""

from __future__ import annotations

import numba
import numpy as np

from npscatter.cpu.row_codegen import SOURCES
from npscatter.cpu.simd import (
    FLUSH,
    atomic_add,
    call_row,
    continue_row,
    copy_elements,
    copy_vectors,
    float_mode,
    gather_lanes,
    get,
    load,
    put,
    scatter_lanes,
    set_float_mode,
    store,
    vector_bytes,
)
from npscatter.jit_cache import cached, source_digest

# One step of the program. Offsets and pitches are in elements.
STEP = np.dtype(
    [
        (name, np.int64)
        for name in (
            "wavelets",  # kernel number, -1 for none
            "smoother",  # kernel number, -1 for padding
            "emits",
            "groups",
            "orientations",
            "source",  # offset of the first map
            "maps",  # maps per group
            "source_height",
            "source_pitch",
            "modulus_height",
            "modulus_columns",  # of one segment
            "modulus_pitch",
            "modulus_edge",  # where the table of edges tells of such rows
            "target",
            "height",
            "width",
            "columns",  # of one segment
            "target_pitch",
            "target_height",  # rows of a whole target map
            "target_edge",
            "first_row",
            "first_column",
            "channels",  # where its channels start in the table of channels
            "work",  # multiply-adds
        )
    ]
)
KERNEL = np.dtype(
    [
        (name, np.int64)
        # The address of the compiled code; weights: where they start.
        for name in ("code", "size", "stride", "outputs", "weights")
    ]
)
# What is the same for all steps. Addresses and strides of images and output are in bytes.
JOB = np.dtype(
    [
        (name, np.int64)
        for name in (
            "images",  # how many
            "together",
            "segments",
            "lanes",  # of a vector
            "itemsize",
            "wrap",
            "margin",
            "largest",  # kernel size
            "width",  # of a padded image
            "weights",  # address
            "image_row",
            "image_column",
            "channel",
            "output_row",
            "output_column",
            "split",  # 1: tickets are parts of steps; 0: whole images
            "tickets",  # how many
            "zeros",  # offsets of the parts of a worker's scratch memory, in bytes
            "sums",
            "staged",
            "row",
            "lines",
            "line",  # bytes from one line to the next
            "square",
        )
    ]
)
TICKET = np.dtype(
    [(name, np.int64) for name in ("step", "group", "groups", "start", "stop", "needs")]
)
# For functions that only compiled code calls: nothing that Python would need is compiled.
_inner = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")
DONE, WAITING, PAUSED = 0, 1, 2
# Turns of the loop that waits for another thread before giving way to the operating system.
SPINS = 2000


@_inner
def fill_margins(like, row, edge, job):
    """Continue a row beyond its ends, periodically or by zeros.

    The int64s at `edge` are W, s, how many columns are needed, and the elements where columns
    W - 1, W - 2, ... and ``segments * s``, ``segments * s + 1``, ... of the first image are found.
    """
    size, columns, reach = job.itemsize, get(edge, 1), get(edge, 2)
    vector = job.lanes * size
    if not job.wrap:
        for x in range(get(edge, 0), job.segments * columns):
            segment = x // columns
            place = row + (x - segment * columns) * vector + segment * size
            for image in range(job.together):
                store(like, place + image * job.segments * size, 0)
    if job.segments == 1 and job.wrap:
        for k in range(1, reach + 1):
            copy_vectors(like, row + (columns - k) * vector, row - k * vector, 1)
        copy_vectors(like, row, row + columns * vector, reach)
        return
    for k in range(1, reach + 1):
        source, target = row + (columns - k) * vector, row - k * vector
        outside = row + get(edge, 2 + k) * size
        continue_row(like, source, target, outside, job.segments, 1, job.wrap)
    for k in range(reach):
        source, target = row + k * vector, row + (columns + k) * vector
        outside = row + (get(edge, 3 + reach + k) - job.segments + 1) * size
        continue_row(like, source, target, outside, job.segments, 0, job.wrap)


@_inner
def convolve(kernel, rows, scratch, out, first, columns, out_stride, job):
    """Compute one row of every output map, from column `first` on."""
    call_row(
        kernel.code,
        rows,
        kernel.stride * first * job.lanes,
        scratch + job.sums,
        job.weights + kernel.weights * job.itemsize,
        out,
        columns,
        out_stride,
    )


@_inner
def wrapped(row, height):
    """Return row modulo height; rows are rarely far outside, divisions slow."""
    while row < 0:
        row += height
    while row >= height:
        row -= height
    return row


@_inner
def set_rows(table, base, maps, height, pitch, centre, kernel, zeros, job):
    """Write the addresses of the source rows that one row of output needs."""
    radius = kernel.size // 2
    across = height * pitch * job.itemsize
    for a in range(kernel.size):
        row = centre + a - radius
        if job.wrap:
            row = wrapped(row, height)
        inside = 0 <= row < height
        address = base + (row * pitch + job.margin * job.lanes) * job.itemsize
        for number in range(maps):
            put(table, number * kernel.size + a, address if inside else zeros)
            address += across


@_inner
def slot_of(row, height, radius):
    """Return where a row of the moduli is kept: the outermost for good, the others in turn."""
    if row < radius:
        return row
    if row >= height - radius:
        return row - height + 2 * radius
    return 2 * radius + row % (2 * radius + 1)


@_inner
def pad_rows(
    like, step, start, stop, rows, columns, length, edges, inputs, places, memory, scratch, job
):
    """Copy rows of the images at `inputs` into the workspace, through the plan's rows and columns.

    Every image's row is first laid out as a line, then the lines are interleaved.
    """
    size, lanes = job.itemsize, job.lanes
    zeros, square = scratch + job.zeros, scratch + job.square
    for y in range(start, stop):
        for image in range(job.together):
            line = scratch + job.lines + image * job.line
            for segment in range(job.segments):
                put(places, image * job.segments + segment, line + segment * step.columns * size)
            if get(rows, y) < 0:
                copy_vectors(like, zeros, line, -(-step.columns * job.segments // lanes))
                continue
            source, x = get(inputs, image) + get(rows, y) * job.image_row, 0
            while x < length:
                column, last = get(columns, x), x + lanes - 1
                if (
                    job.image_column == size
                    and column >= 0
                    and last < length
                    and get(columns, last) == column + lanes - 1
                ):
                    # Only a run of neighbours rises that fast.
                    copy_vectors(like, source + column * size, line + x * size, 1)
                    x += lanes
                    continue
                value = load(like, source + column * job.image_column) if column >= 0 else 0
                store(like, line + x * size, value)
                x += 1
            for x in range(length, step.columns * job.segments):
                value = load(like, line + (x - length) * size) if job.wrap else 0
                store(like, line + x * size, value)
        target = memory + (step.target + y * step.target_pitch + job.margin * lanes) * size
        for x in range(0, step.columns, lanes):
            gather_lanes(like, places, x * size, square)
            copy_vectors(like, square, target + x * lanes * size, min(lanes, step.columns - x))
        fill_margins(like, target, edges + 8 * step.target_edge, job)


@_inner
def emit_row(like, row, step, outputs, offset, places, scratch, job):
    """Copy one row of coefficients to the outputs."""
    size, lanes = job.itemsize, job.lanes
    # Columns of whole rows go straight to the output, others by way of a line per image.
    straight = job.segments == 1 and job.output_column == size
    table, start, base, width = outputs, step.first_column, offset, step.width
    if not straight:
        table, start, base, width = places, 0, 0, step.columns
        for image in range(job.together):
            line = scratch + job.lines + image * job.line
            for segment in range(job.segments):
                put(places, image * job.segments + segment, line + segment * step.columns * size)
    for x in range(0, width, lanes):
        place = row + (start + x) * lanes * size
        scatter_lanes(like, place, table, base + x * size, width - x)
    if straight:
        return
    for image in range(job.together):
        source = scratch + job.lines + image * job.line + step.first_column * size
        target = get(outputs, image) + offset
        if job.output_column == size:
            for x in range(0, step.width, lanes):
                copy_elements(like, source + x * size, target + x * size, step.width - x)
        else:
            for x in range(step.width):
                value = load(like, source + x * size)
                store(like, target + x * job.output_column, value)


@_inner
def run_step(
    like, step, wavelets, smoother, channels, edges, group, groups, start, stop, outputs, memory,
    scratch, table, places, kept, job,
):  # fmt: skip
    """Compute rows start..stop of some groups of a step that correlates."""
    size, left = job.itemsize, job.margin * job.lanes
    zeros = scratch + job.zeros
    radius, stride = smoother.size // 2, smoother.stride
    slots = 4 * radius + 1
    moduli = max(1, step.orientations)
    for g in range(group, group + groups):
        base = (
            memory + (step.source + g * step.maps * step.source_height * step.source_pitch) * size
        )
        earliest = stride * (start + step.first_row) - radius
        produced = earliest
        for y in range(start, stop):
            centre = stride * (y + step.first_row)
            if step.wavelets >= 0:
                height = step.modulus_height
                while produced <= centre + radius:
                    row = produced
                    produced += 1
                    if job.wrap:
                        if row - height >= earliest:
                            continue  # kept since it was computed as row - height
                        row = wrapped(row, height)
                    elif row < 0 or row >= height:
                        continue
                    set_rows(
                        table, base, step.maps, step.source_height, step.source_pitch,
                        wavelets.stride * row, wavelets, zeros, job,
                    )  # fmt: skip
                    slot = slot_of(row, height, radius)
                    out = scratch + job.staged + (slot * step.modulus_pitch + left) * size
                    across = slots * step.modulus_pitch
                    convolve(wavelets, table, scratch, out, 0, step.modulus_columns, across, job)
                    for theta in range(moduli):
                        place = out + theta * across * size
                        fill_margins(like, place, edges + 8 * step.modulus_edge, job)
                for a in range(smoother.size):
                    row = centre + a - radius
                    if job.wrap:
                        row = wrapped(row, height)
                    place = slot_of(row, height, radius) * step.modulus_pitch + left
                    put(kept, a, place * size if 0 <= row < height else -1)
            for theta in range(moduli):
                if step.wavelets >= 0:
                    staged = scratch + job.staged + theta * slots * step.modulus_pitch * size
                    for a in range(smoother.size):
                        put(table, a, staged + get(kept, a) if get(kept, a) >= 0 else zeros)
                else:
                    set_rows(
                        table, base, step.maps, step.source_height, step.source_pitch,
                        centre, smoother, zeros, job,
                    )  # fmt: skip
                number = g * moduli + theta
                if step.emits:
                    out = scratch + job.row
                    # Of one segment only the columns that are kept, of several all.
                    first = step.first_column if job.segments == 1 else 0
                    columns = step.width if job.segments == 1 else step.columns
                    place = out + first * job.lanes * size
                    convolve(smoother, table, scratch, place, first, columns, 0, job)
                    offset = (
                        get(channels, step.channels + number) * job.channel + y * job.output_row
                    )
                    emit_row(like, out, step, outputs, offset, places, scratch, job)
                else:
                    across = step.target_height * step.target_pitch
                    out = (number * smoother.outputs * across + y * step.target_pitch + left) * size
                    out += memory + step.target * size
                    convolve(smoother, table, scratch, out, 0, step.columns, across, job)
                    for o in range(smoother.outputs):
                        place = out + o * across * size
                        fill_margins(like, place, edges + 8 * step.target_edge, job)


def make_worker(dtype: str):
    """Return the function that works on a call's tickets until there are none left.

    Its arguments: `jobs`, `steps`, `kernels`, `tickets` (tables); the addresses of `channels`,
    `edges`, `rows`, `columns`, of `inputs`, `outputs` (an address per image), of `state` (next
    ticket, tickets done, a flag to stop), all int64, of the workspace (`memory`) and of memory of
    the worker's own (`scratch`, and `room`: the ticket it still holds, or -1, then space for tables
    of addresses); and `quota`, the tickets after which to come back to Python. It returns `DONE`,
    `WAITING` (for a part another worker has in hand) or `PAUSED` (the quota is used up).

    Any number of workers may share a call, come late or be held up: tickets are handed out in the
    order of the program, so whoever holds one waits only for tickets that others are working on.
    """
    # Part of what is compiled, so that a cache knows code for other sources and vectors apart.
    made_from = f"{source_digest(SOURCES)} {vector_bytes()}"
    kind = getattr(numba, dtype)

    def work(
        jobs, steps, kernels, tickets, channels, edges, rows, columns, inputs, outputs, state,
        memory, scratch, room, quota,
    ):  # fmt: skip
        made_from  # noqa: B018
        job, like = jobs[0], kind(0)
        # Room for addresses; where images are missing, the first one stands in.
        inputs_now = room + 8
        outputs_now = inputs_now + 8 * job.together
        places = outputs_now + 8 * job.together
        kept = places + 8 * job.lanes
        table = kept + 8 * job.largest
        # What is left of flat regions after two wavelets is too small for the CPU's fast paths.
        mode = float_mode()
        set_float_mode(mode | FLUSH)
        for _ in range(quota):
            if get(room, 0) < 0:
                put(room, 0, atomic_add(state, 1))
            ticket = get(room, 0)
            if ticket >= job.tickets or atomic_add(state + 16, 0) != 0:
                set_float_mode(mode)
                return DONE
            if job.split:
                image = ticket // len(tickets)
                part = tickets[ticket % len(tickets)]
                needed = image * len(tickets) + part.needs
                spins = 0
                while atomic_add(state + 8, 0) < needed:
                    spins += 1
                    if spins > SPINS:
                        set_float_mode(mode)
                        return WAITING
                first, begin, end = image, part.step, part.step + 1
            else:
                first, begin, end = ticket * job.together, 0, len(steps)
            for k in range(job.together):
                there = first + k < job.images
                image = first + k if there else first
                put(inputs_now, k, get(inputs, image))
                put(outputs_now, k, get(outputs, image))
            for number in range(begin, end):
                step = steps[number]
                group, groups, start, stop = 0, step.groups, 0, step.height
                if job.split:
                    part = tickets[ticket % len(tickets)]
                    group, groups, start, stop = part.group, part.groups, part.start, part.stop
                if step.smoother < 0:
                    pad_rows(
                        like, step, start, stop, rows, columns, job.width, edges, inputs_now,
                        places, memory, scratch, job,
                    )  # fmt: skip
                else:
                    run_step(
                        like, step, kernels[max(0, step.wavelets)], kernels[step.smoother],
                        channels, edges, group, groups, start, stop, outputs_now, memory, scratch,
                        table, places, kept, job,
                    )  # fmt: skip
            put(room, 0, -1)
            atomic_add(state + 8, 1)
        set_float_mode(mode)
        return PAUSED

    return cached(lambda cache: numba.njit(nogil=True, cache=cache, error_model="numpy")(work))
