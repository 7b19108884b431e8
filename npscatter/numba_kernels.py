"""The planner's program as compiled code: steps in, rows of vectors out.

Everything here runs without Python. Memory is addressed by int64 addresses, so that one compiled
function serves arrays of any layout, writable or not. What a step means is said in
`npscatter.plan`; how a row is computed, in `npscatter.vectors`.
"""

from __future__ import annotations

import numba
import numpy as np

from npscatter.vectors import atomic_add, cached, call_row, copy_vectors, load, sources, store, vector_bytes

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
            "split",  # 1: tickets are parts of steps; 0: whole images
            "per_image",  # tickets per image, when split
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
def fill_margins(dtype, row, elements, spare, job):
    """Continue a row beyond its ends, periodically or by zeros."""
    dtype = numba.literally(dtype)
    size = job.itemsize
    if elements >= job.width:
        vectors = -(-spare // job.width)
        if job.wrap:
            # From the end backwards, so that margins wider than the row repeat it.
            for k in range(1, vectors + 1):
                left = row - k * job.width * size
                copy_vectors(dtype, left + elements * size, left, 1)
            copy_vectors(dtype, row, row + elements * size, vectors)
        else:
            for k in range(vectors):
                for j in range(job.width):
                    place = k * job.width + j
                    store(dtype, row - (place + 1) * size, 0)
                    store(dtype, row + (elements + place) * size, 0)
    else:
        for j in range(spare):
            # Lanes keep their place: sample by sample, lane by lane.
            lane = j % job.lanes
            before = elements - job.lanes - (j // job.lanes * job.lanes) % elements + lane
            behind = j % elements
            place = row - (j - lane + job.lanes) * size + lane * size
            store(dtype, place, load(dtype, row + before * size) if job.wrap else 0)
            value = load(dtype, row + behind * size) if job.wrap else 0
            store(dtype, row + (elements + j) * size, value)


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
def set_rows(table, base, maps, height, pitch, centre, kernel, zeros, job):
    """Write the addresses of the source rows that one row of output needs."""
    radius = kernel.size // 2
    for a in range(kernel.size):
        row = centre + a - radius
        if job.wrap:
            row %= height
        inside = 0 <= row < height
        address = base + (row * pitch + job.left) * job.itemsize
        for number in range(maps):
            table[number * kernel.size + a] = (
                address + number * height * pitch * job.itemsize if inside else zeros
            )


@numba.njit
def slot_of(row, height, radius):
    """Return where a row of the moduli is kept: the outermost for good, the others in turn."""
    if row < radius:
        return row
    if row >= height - radius:
        return row - height + 2 * radius
    return 2 * radius + row % (2 * radius + 1)


@numba.njit
def pad_rows(dtype, step, start, stop, rows, columns, inputs, first, count, memory, job):
    """Copy rows of `count` images into the workspace, through the plan's rows and columns."""
    dtype = numba.literally(dtype)
    size = job.itemsize
    for y in range(start, stop):
        target = memory + (step.target + y * step.target_pitch + job.left) * size
        for lane in range(job.lanes):
            place = target + lane * size
            if rows[y] < 0 or lane >= count:
                for _ in range(len(columns)):
                    store(dtype, place, 0)
                    place += job.lanes * size
                continue
            image = inputs[first + lane] + rows[y] * job.image_row
            for x in range(len(columns)):
                value = columns[x]
                store(
                    dtype,
                    place,
                    load(dtype, image + value * job.image_column) if value >= 0 else 0,
                )
                place += job.lanes * size
        fill_margins(dtype, target, step.width * job.lanes, job.left, job)


@numba.njit
def emit_row(dtype, row, width, output, count, job):
    """Copy one row of coefficients to the output of `count` images, lanes apart."""
    dtype = numba.literally(dtype)
    for lane in range(count):
        source, target = row + lane * job.itemsize, output[lane]
        for _ in range(width):
            store(dtype, target, load(dtype, source))
            source += job.lanes * job.itemsize
            target += job.output_column


@numba.njit
def run_step(
    dtype, steps, number, kernels, channels, group, groups, start, stop, outputs, first, count,
    memory, scratch, table, places, job,
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
                        row %= height
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
                        fill_margins(dtype, out + theta * across * size, elements, job.left, job)
            for theta in range(moduli):
                if step.wavelets >= 0:
                    # The moduli's rows, each where it is kept.
                    staged = scratch + job.staged + theta * slots * step.modulus_pitch * size
                    height = step.modulus_height
                    for a in range(smoother.size):
                        row = centre + a - radius
                        if job.wrap:
                            row %= height
                        place = slot_of(row, height, radius) * step.modulus_pitch + job.left
                        inside = 0 <= row < height
                        table[a] = staged + place * size if inside else zeros
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
                    channel = channels[step.channels + number]
                    for lane in range(count):
                        places[lane] = (
                            outputs[first + lane] + channel * job.channel + y * job.output_row
                        )
                    emit_row(dtype, out, step.width, places, count, job)
                else:
                    across = step.target_height * step.target_pitch
                    out = (number * smoother.outputs * across + y * step.target_pitch) * size
                    out += memory + (step.target + job.left) * size
                    convolve(
                        smoother, rows, scratch, out, left, elements,
                        across, job,
                    )  # fmt: skip
                    for o in range(smoother.outputs):
                        fill_margins(dtype, out + o * across * size, elements, job.left, job)


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
        places = np.empty(job.lanes, np.int64)
        counter = numba.int64(state.ctypes.data)
        total = len(tickets)
        if job.split:
            total = job.per_image * job.images
        else:
            total = -(-job.images // job.lanes)
        for _ in range(quota):
            if held[0] < 0:
                held[0] = atomic_add(counter, 1)
            ticket = held[0]
            if ticket >= total or state[2] != 0:
                return DONE
            if job.split:
                image = ticket // job.per_image
                part = tickets[ticket % job.per_image]
                needed = image * job.per_image + part.needs
                spins = 0
                while atomic_add(counter + 8, 0) < needed:
                    spins += 1
                    if spins > SPINS:
                        return WAITING
                first, count, begin, end = image, 1, part.step, part.step + 1
            else:
                first = ticket * job.lanes
                count = min(job.lanes, job.images - first)
                begin, end = 0, len(steps)
            for number in range(begin, end):
                step = steps[number]
                group, groups, start, stop = 0, step.groups, 0, step.height
                if job.split:
                    part = tickets[ticket % job.per_image]
                    group, groups, start, stop = part.group, part.groups, part.start, part.stop
                if step.smoother < 0:
                    pad_rows(
                        dtype, step, start, stop, rows, columns, inputs, first, count,
                        memory, job,
                    )  # fmt: skip
                else:
                    run_step(
                        dtype, steps, number, kernels, channels, group, groups, start, stop,
                        outputs, first, count, memory, scratch, table, places, job,
                    )  # fmt: skip
            held[0] = -1
            atomic_add(counter + 8, 1)
        return PAUSED

    return cached(lambda cache: numba.njit(nogil=True, cache=cache)(work))
