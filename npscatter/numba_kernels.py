"""The planner's program as compiled code: steps in, rows of vectors out.

Everything here runs without Python. Memory is addressed by int64 addresses, so that one compiled
function serves arrays of any layout, writable or not. What a step means is said in
`npscatter.plan`; how a row is computed, in `npscatter.vectors`.
"""

from __future__ import annotations

import numba
import numpy as np

from npscatter.vectors import (
    atomic_add,
    cached,
    call_row,
    copy_elements,
    copy_vectors,
    gather_lanes,
    load,
    scatter_lanes,
    sources,
    store,
    vector_bytes,
)

# One step of the program. Offsets, pitches and strides are in elements.
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
            "source_width",
            "source_pitch",
            "modulus_height",
            "modulus_width",
            "modulus_pitch",
            "target",
            "height",
            "width",
            "target_pitch",
            "target_height",  # rows of a whole target map
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
        for name in ("code", "size", "stride", "margin", "outputs", "block", "weights")
    ]
)
# What is the same for all steps. Addresses and strides of images and output are in bytes.
JOB = np.dtype(
    [
        (name, np.int64)
        for name in (
            "images",  # how many
            "lanes",
            "width",  # elements of a vector
            "itemsize",
            "wrap",
            "left",  # elements before sample 0 of every row
            "weights",  # address
            "image_row",
            "image_column",
            "channel",
            "output_row",
            "output_column",
            "largest",  # kernel size
            "split",  # 1: tickets are parts of steps; 0: whole images
            "tickets",  # how many
            "zeros",  # offsets of the parts of a worker's scratch memory, in bytes
            "folded",
            "staged",
            "row",
        )
    ]
)
TICKET = np.dtype(
    [(name, np.int64) for name in ("step", "group", "groups", "start", "stop", "needs")]
)
DONE, WAITING, PAUSED = 0, 1, 2
# Turns of the loop that waits for another thread before giving way to the operating system.
SPINS = 2000


@numba.njit
def fill_margins(dtype, row, elements, zeros, job):
    """Continue a row beyond its ends, periodically or by zeros."""
    dtype = numba.literally(dtype)
    size = job.itemsize
    vectors = job.left // job.width
    if not job.wrap:
        copy_vectors(dtype, zeros, row - job.left * size, vectors)
        copy_vectors(dtype, zeros, row + elements * size, vectors)
    elif elements >= job.width:
        # From the end backwards, so that margins wider than the row repeat it.
        for k in range(1, vectors + 1):
            left = row - k * job.width * size
            copy_vectors(dtype, left + elements * size, left, 1)
        copy_vectors(dtype, row, row + elements * size, vectors)
    else:
        for j in range(1, job.left + 1):
            store(dtype, row - j * size, load(dtype, row + (elements - j) * size))
        for j in range(job.left):
            store(dtype, row + (elements + j) * size, load(dtype, row + j * size))


@numba.njit
def convolve(kernel, rows, scratch, out, first, elements, out_stride, job):
    """Compute one row of every output map, from element `first` of the full row on."""
    size = job.itemsize
    start = 0
    while start < elements:
        count = min(kernel.block, elements - start)
        call_row(
            kernel.code,
            rows,
            kernel.stride * (first + start) - kernel.margin * job.lanes,
            scratch + job.folded,
            job.weights + kernel.weights * size,
            out + start * size,
            -(-count // job.width),
            out_stride,
        )
        start += count


@numba.njit
def wrapped(row, height):
    """Return row modulo height; rows are rarely far outside, divisions slow."""
    while row < 0:
        row += height
    while row >= height:
        row -= height
    return row


@numba.njit
def set_rows(table, base, maps, height, pitch, centre, kernel, zeros, job):
    """Write the addresses of the source rows that one row of output needs."""
    radius = kernel.size // 2
    across = height * pitch * job.itemsize
    for a in range(kernel.size):
        row = centre + a - radius
        if job.wrap:
            row = wrapped(row, height)
        inside = 0 <= row < height
        address = base + (row * pitch + job.left) * job.itemsize
        for number in range(maps):
            table[number * kernel.size + a] = address if inside else zeros
            address += across


@numba.njit
def slot_of(row, height, radius):
    """Return where a row of the moduli is kept: the outermost for good, the others in turn."""
    if row < radius:
        return row
    if row >= height - radius:
        return row - height + 2 * radius
    return 2 * radius + row % (2 * radius + 1)


@numba.njit
def pad_rows(dtype, step, start, stop, rows, columns, inputs, memory, zeros, job):
    """Copy rows of the images at `inputs`, one per lane, through the plan's rows and columns."""
    dtype = numba.literally(dtype)
    size = job.itemsize
    for y in range(start, stop):
        target = memory + (step.target + y * step.target_pitch + job.left) * size
        place, x = target, 0
        while x < len(columns):
            last = x + job.width - 1
            if rows[y] < 0 or columns[x] < 0:
                for lane in range(job.lanes):
                    store(dtype, place + lane * size, 0)
                x += 1
                place += job.lanes * size
                continue
            offset = rows[y] * job.image_row + columns[x] * job.image_column
            if (
                job.image_column == size
                and last < len(columns)
                and columns[last] == columns[x] + job.width - 1
            ):
                # So many pixels in a row; nothing but a run of neighbours rises that fast.
                if job.lanes == 1:
                    copy_vectors(dtype, inputs[0] + offset, place, 1)
                else:
                    gather_lanes(dtype, numba.int64(inputs.ctypes.data), offset, place)
                x += job.width
                place += job.width * job.lanes * size
            else:
                for lane in range(job.lanes):
                    store(dtype, place + lane * size, load(dtype, inputs[lane] + offset))
                x += 1
                place += job.lanes * size
        fill_margins(dtype, target, step.width * job.lanes, zeros, job)


@numba.njit
def emit_row(dtype, row, width, outputs, offset, job):
    """Copy one row of coefficients to the outputs, one per lane."""
    dtype = numba.literally(dtype)
    size = job.itemsize
    if job.output_column != size:
        for lane in range(job.lanes):
            source, target = row + lane * size, outputs[lane] + offset
            for _ in range(width):
                store(dtype, target, load(dtype, source))
                source += job.lanes * size
                target += job.output_column
        return
    places = numba.int64(outputs.ctypes.data)
    for x in range(0, width, job.width):
        if job.lanes == 1:
            target = outputs[0] + offset + x * size
            copy_elements(dtype, row + x * size, target, width - x)
        else:
            source = row + x * job.lanes * size
            scatter_lanes(dtype, source, places, offset + x * size, width - x)


@numba.njit
def run_step(
    dtype, steps, number, kernels, channels, group, groups, start, stop, outputs,
    memory, scratch, table, kept, job,
):  # fmt: skip
    """Compute rows start..stop of some groups of a step that correlates."""
    dtype = numba.literally(dtype)
    step = steps[number]
    size = job.itemsize
    zeros = scratch + job.zeros
    smoother = kernels[step.smoother]
    radius, stride = smoother.size // 2, smoother.stride
    slots = 4 * radius + 1
    rows = numba.int64(table.ctypes.data)
    moduli = max(1, step.orientations)
    for g in range(group, group + groups):
        base = memory + (step.source + g * step.maps * step.source_height * step.source_pitch) * size
        earliest = stride * (start + step.first_row) - radius
        produced = earliest
        for y in range(start, stop):
            centre = stride * (y + step.first_row)
            if step.wavelets >= 0:
                wavelets = kernels[step.wavelets]
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
                    out = scratch + job.staged + (slot * step.modulus_pitch + job.left) * size
                    across = slots * step.modulus_pitch
                    elements = step.modulus_width * job.lanes
                    convolve(
                        wavelets, rows, scratch, out, 0, elements, across, job
                    )
                    for theta in range(moduli):
                        fill_margins(dtype, out + theta * across * size, elements, zeros, job)
                for a in range(smoother.size):
                    row = centre + a - radius
                    if job.wrap:
                        row = wrapped(row, height)
                    place = slot_of(row, height, radius) * step.modulus_pitch + job.left
                    kept[a] = place * size if 0 <= row < height else -1
            for theta in range(moduli):
                if step.wavelets >= 0:
                    staged = scratch + job.staged + theta * slots * step.modulus_pitch * size
                    for a in range(smoother.size):
                        table[a] = staged + kept[a] if kept[a] >= 0 else zeros
                else:
                    set_rows(
                        table, base, step.maps, step.source_height, step.source_pitch,
                        centre, smoother, zeros, job,
                    )  # fmt: skip
                number = g * moduli + theta
                elements = step.width * job.lanes
                left = step.first_column * job.lanes
                if step.emits:
                    out = scratch + job.row
                    convolve(
                        smoother, rows, scratch, out, left, elements, 0, job
                    )
                    offset = channels[step.channels + number] * job.channel + y * job.output_row
                    emit_row(dtype, out, step.width, outputs, offset, job)
                else:
                    across = step.target_height * step.target_pitch
                    out = (number * smoother.outputs * across + y * step.target_pitch) * size
                    out += memory + (step.target + job.left) * size
                    convolve(
                        smoother, rows, scratch, out, left, elements,
                        across, job,
                    )  # fmt: skip
                    for o in range(smoother.outputs):
                        fill_margins(dtype, out + o * across * size, elements, zeros, job)


def make_worker(dtype: str):
    """Return the function that works on a call's tickets until there are none left.

    Its arguments: `jobs`, `steps`, `kernels`, `channels`, `rows`, `columns`, `tickets` (tables);
    `inputs`, `outputs` (an address per image); `state` (int64: next ticket, tickets done, a flag
    to stop); `held` (int64, 1: the ticket this worker still holds, or -1); `memory` (address of
    the workspace), `scratch` (address of its own memory), `table` (room for the addresses of
    source rows) and `quota`, the tickets after which to come back to Python. It returns `DONE`,
    `WAITING` (for a part another worker has in hand) or `PAUSED` (the quota is used up).

    Any number of workers may share a call, come late or be held up: tickets are handed out in the
    order of the program, so whoever holds one waits only for tickets that others are working on.
    """

    # Part of what is compiled, so that a cache knows code for other sources and vectors apart.
    made_from = f"{sources()} {vector_bytes()}"

    def work(
        jobs, steps, kernels, channels, rows, columns, tickets, inputs, outputs, state, held,
        memory, scratch, table, quota,
    ):  # fmt: skip
        made_from  # noqa: B018
        job = jobs[0]
        # Addresses per lane; a lane without an image does what the first one does.
        sources = np.empty(job.lanes, np.int64)
        targets = np.empty(job.lanes, np.int64)
        kept = np.empty(job.largest, np.int64)
        zeros = scratch + job.zeros
        counter = numba.int64(state.ctypes.data)
        for _ in range(quota):
            if held[0] < 0:
                held[0] = atomic_add(counter, 1)
            ticket = held[0]
            if ticket >= job.tickets or state[2] != 0:
                return DONE
            if job.split:
                image = ticket // len(tickets)
                part = tickets[ticket % len(tickets)]
                needed = image * len(tickets) + part.needs
                spins = 0
                while atomic_add(counter + 8, 0) < needed:
                    spins += 1
                    if spins > SPINS:
                        return WAITING
                first, begin, end = image, part.step, part.step + 1
            else:
                first, begin, end = ticket * job.lanes, 0, len(steps)
            for lane in range(job.lanes):
                there = first + lane < job.images
                sources[lane] = inputs[first + lane] if there else inputs[first]
                targets[lane] = outputs[first + lane] if there else outputs[first]
            for number in range(begin, end):
                step = steps[number]
                group, groups, start, stop = 0, step.groups, 0, step.height
                if job.split:
                    part = tickets[ticket % len(tickets)]
                    group, groups, start, stop = part.group, part.groups, part.start, part.stop
                if step.smoother < 0:
                    pad_rows(
                        dtype, step, start, stop, rows, columns, sources, memory, zeros, job
                    )
                else:
                    run_step(
                        dtype, steps, number, kernels, channels, group, groups, start, stop,
                        targets, memory, scratch, table, kept, job,
                    )  # fmt: skip
            held[0] = -1
            atomic_add(counter + 8, 1)
        return PAUSED

    return cached(lambda cache: numba.njit(nogil=True, cache=cache)(work))
