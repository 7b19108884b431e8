"""The program forwards and backwards as compiled code, step by step.

A correlation goes backwards as a correlation with mirrored taps, whose inputs and outputs change
places (`npscatter.backends.cpu.gradient_layout.adjoint`); a stride has left zeros between what that
reads. A modulus ``r = |z|`` goes backwards as ``(dloss/dr) z / r``, and as zero where it is zero.

The maps of an image are computed first, all but moduli and what is emitted, and kept. Then the
steps are gone through from the last to the first. Moduli are computed again, a stack at a time, so
that they are still near. Rows are computed by the code of `npscatter.backends.cpu.row_codegen`; a
vector is one column of as many images as it has lanes.
"""

from __future__ import annotations

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from npscatter.backends.cpu.records import int64s
from npscatter.backends.cpu.row_codegen import code_version
from npscatter.backends.cpu.simd import (
    FLUSH,
    call_row,
    copy_vectors,
    float_mode,
    inner,
    set_float_mode,
)
from npscatter.backends.jit_cache import compile_cached, source_digest

# Maps in memory; offsets, planes and pitches are in elements.
RUN = int64s("offset", "plane", "pitch", "height", "width")
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
    "outputs",  # maps that smoothing makes of a group
    "emits",
    "channels",  # where its channels start
    "wavelets",
    "smoothing",
    "wavelets_adjoint",
    "smoothing_adjoint",
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
LAYOUT = int64s("lanes", "margin", "wrap", "zero_row", "scratch", "passing", "passing_plane")


@inner
def copy(memory, source, target, columns):
    """Copy so many columns from one element of memory to another."""
    start, itemsize = memory.ctypes.data, memory.itemsize
    copy_vectors(memory[0], start + source * itemsize, start + target * itemsize, columns)


@inner
def fill_margins(memory, row, columns, layout):
    """Continue a row beyond its ends, periodically or by zeros."""
    lanes, margin = layout.lanes, layout.margin
    if layout.wrap and columns >= margin:
        copy(memory, row + (columns - margin) * lanes, row - margin * lanes, margin)
        copy(memory, row, row + columns * lanes, margin)
        return
    for k in range(margin):
        last = row + (-(k + 1) % columns) * lanes if layout.wrap else layout.zero_row
        first = row + k % columns * lanes if layout.wrap else layout.zero_row
        copy(memory, last, row - (k + 1) * lanes, 1)
        copy(memory, first, row + (columns + k) * lanes, 1)


@inner
def correlate(memory, table, kernel, stack, centre, skip, out, columns, plane, layout):
    """Compute one row of a kernel's outputs, from a stack's rows around row `centre`.

    `stack` is a run of maps, the number of the stack in it, and how many maps each has.
    """
    run, number_of_stack, maps = stack
    start, itemsize = memory.ctypes.data, memory.itemsize
    size = kernel.size
    for a in range(size):
        row = centre + a - size // 2
        if layout.wrap:
            row %= run.height
        inside = 0 <= row < run.height
        for number in range(maps):
            first = run.offset + (number_of_stack * maps + number) * run.plane
            element = first + row * run.pitch if inside else layout.zero_row
            table[number * size + a] = start + element * itemsize
    call_row(
        *(kernel.code, table.ctypes.data, skip * layout.lanes, start + layout.scratch * itemsize),
        *(kernel.weights, start + out * itemsize, columns, plane),
    )


@inner
def take_moduli(memory, table, step, group, runs, kernels, layout):
    """Compute a group's wavelet coefficients and their moduli."""
    parts, moduli, kernel = runs[step.parts], runs[step.moduli], kernels[step.wavelets]
    L, samples = step.orientations, moduli.width * layout.lanes
    stack = (runs[step.source], group, step.maps)
    for y in range(moduli.height):
        row, centre = parts.offset + y * parts.pitch, step.wavelet_stride * y
        correlate(
            *(memory, table, kernel, stack, centre, 0),
            *(row, moduli.width, parts.plane, layout),
        )
        for t in range(L):
            real = row + t * parts.plane
            imaginary = real + L * parts.plane
            out = moduli.offset + t * moduli.plane + y * moduli.pitch
            for k in range(samples):
                a, b = memory[real + k], memory[imaginary + k]
                memory[out + k] = np.sqrt(a * a + b * b)
            fill_margins(memory, out, moduli.width, layout)


@inner
def smooth(memory, table, step, stack, number, runs, kernels, layout):
    """Compute the target's maps of smoothed group `number`."""
    target = runs[step.target]
    for y in range(step.height):
        out = target.offset + number * step.outputs * target.plane + y * target.pitch
        centre = step.stride * (y + step.first_row)
        correlate(
            *(memory, table, kernels[step.smoothing], stack, centre),
            *(step.stride * step.first_column, out, step.width, target.plane, layout),
        )
        for k in range(step.outputs):
            fill_margins(memory, out + k * target.plane, target.width, layout)


@inner
def go_forwards(memory, table, step, runs, kernels, layout):
    """Compute a step's target."""
    for group in range(step.groups):
        if step.orientations == 0:
            stack = (runs[step.source], group, step.maps)
            smooth(memory, table, step, stack, group, runs, kernels, layout)
            continue
        take_moduli(memory, table, step, group, runs, kernels, layout)
        for t in range(step.orientations):
            number, stack = group * step.orientations + t, (runs[step.moduli], t, 1)
            smooth(memory, table, step, stack, number, runs, kernels, layout)


@inner
def spread_slopes(memory, step, number, runs, channels, slopes, layout):
    """Lay the gradient of smoothed group `number` on the grid of what is smoothed."""
    spread, pull, lanes = runs[step.spread], runs[step.target_slope], layout.lanes
    start, itemsize = memory.ctypes.data, memory.itemsize
    for k in range(step.outputs):
        for y in range(step.height):
            row = spread.offset + k * spread.plane
            row += step.stride * (y + step.first_row) * spread.pitch
            first = pull.offset + (number * step.outputs + k) * pull.plane + y * pull.pitch
            given = start + first * itemsize
            if step.emits:
                channel = channels[step.channels + number]
                given = slopes[channel, y].ctypes.data
            place = start + (row + step.stride * step.first_column * lanes) * itemsize
            for x in range(step.width):
                shift = x * lanes * itemsize
                copy_vectors(memory[0], given + shift, place + step.stride * shift, 1)
            fill_margins(memory, row, spread.width, layout)


@inner
def turn_slopes(memory, step, t, y, runs, layout):
    """Make of a row of a modulus' gradient that of the wavelet coefficient's parts."""
    parts, moduli, turned = runs[step.parts], runs[step.moduli], runs[step.turned]
    lanes, stride, L = layout.lanes, step.wavelet_stride, step.orientations
    real = parts.offset + t * parts.plane + y * parts.pitch
    modulus = moduli.offset + t * moduli.plane + y * moduli.pitch
    out = turned.offset + t * turned.plane + stride * y * turned.pitch
    imaginary, other = real + L * parts.plane, out + L * turned.plane
    for k in range(moduli.width * lanes):
        r = memory[modulus + k]
        # Stays there, a number, where the modulus is zero.
        memory[modulus + k] = memory[layout.passing + k] / r if r > 0 else r
    if stride == 1:
        for k in range(moduli.width * lanes):
            memory[out + k] = memory[modulus + k] * memory[real + k]
            memory[other + k] = memory[modulus + k] * memory[imaginary + k]
    else:
        for x in range(moduli.width):
            for lane in range(lanes):
                k, place = x * lanes + lane, stride * x * lanes + lane
                memory[out + place] = memory[modulus + k] * memory[real + k]
                memory[other + place] = memory[modulus + k] * memory[imaginary + k]
    fill_margins(memory, out, turned.width, layout)
    fill_margins(memory, other, turned.width, layout)


@inner
def add_slopes(memory, table, step, kernel, stack, group, runs, layout):
    """Add to the source's gradient what one stack of gradients comes to."""
    slope = runs[step.source_slope]
    for y in range(slope.height):
        correlate(
            *(memory, table, kernel, stack, y, 0, layout.passing),
            *(slope.width, layout.passing_plane, layout),
        )
        for number in range(step.maps):
            row = slope.offset + (group * step.maps + number) * slope.plane + y * slope.pitch
            passing = layout.passing + number * layout.passing_plane
            for k in range(slope.width * layout.lanes):
                memory[row + k] += memory[passing + k]


@inner
def go_backwards(memory, table, step, runs, kernels, channels, slopes, layout):
    """Add a step's share to the gradient of its source."""
    spread, turned, moduli = runs[step.spread], runs[step.turned], runs[step.moduli]
    smoothing, L = kernels[step.smoothing_adjoint], step.orientations
    smoothed = (spread, 0, step.outputs)
    for group in range(step.groups):
        if L == 0:
            spread_slopes(memory, step, group, runs, channels, slopes, layout)
            add_slopes(memory, table, step, smoothing, smoothed, group, runs, layout)
            continue
        take_moduli(memory, table, step, group, runs, kernels, layout)
        for t in range(L):
            spread_slopes(memory, step, group * L + t, runs, channels, slopes, layout)
            for y in range(moduli.height):
                correlate(
                    *(memory, table, smoothing, smoothed, y, 0, layout.passing),
                    *(moduli.width, layout.passing_plane, layout),
                )
                turn_slopes(memory, step, t, y, runs, layout)
        wavelets = kernels[step.wavelets_adjoint]
        add_slopes(memory, table, step, wavelets, (turned, 0, 2 * L), group, runs, layout)


@inner
def pad(memory, images, rows, columns, run, layout):
    """Lay the padded images out."""
    for y in range(run.height):
        row = run.offset + y * run.pitch
        for x in range(run.width):
            inside = rows[y] >= 0 and columns[x] >= 0
            for lane in range(layout.lanes):
                value = images[rows[y], columns[x], lane] if inside else images[0, 0, 0] * 0
                memory[row + x * layout.lanes + lane] = value
        fill_margins(memory, row, run.width, layout)


@inner
def unpad(memory, out, rows, columns, run, layout):
    """Add the gradient of every padded pixel to that of the pixel it came from."""
    for y in range(run.height):
        for x in range(run.width):
            if rows[y] >= 0 and columns[x] >= 0:
                place = run.offset + y * run.pitch + x * layout.lanes
                for lane in range(layout.lanes):
                    out[rows[y], columns[x], lane] += memory[place + lane]


def make_worker(dtype: str) -> Dispatcher:
    """Return the function that adds one vector of images' gradients to `out`, compiled.

    Its arguments: a thread's memory, in which the maps' gradients are zero, and a table of
    addresses; the tables of the layout, of runs, steps, kernels and channels; where padded pixels
    come from; images (H, W, lanes), slopes (C, h, w, lanes), and `out`, zeros (H, W, lanes).
    """
    # Part of what is compiled, and so of what a cache on disk looks for.
    made_from = f"{code_version()} {source_digest((__name__,))}"

    def work(memory, table, tables, rows, columns, x, slopes, out):
        layouts, runs, steps, kernels, channels = tables
        made_from  # noqa: B018
        layout, mode = layouts[0], float_mode()
        set_float_mode(mode | FLUSH)
        source = steps[0].source
        pad(memory, x, rows, columns, runs[source], layout)
        for number in range(len(steps)):
            if steps[number].emits == 0:
                go_forwards(memory, table, steps[number], runs, kernels, layout)
        for number in range(len(steps) - 1, -1, -1):
            step = steps[number]
            go_backwards(memory, table, step, runs, kernels, channels, slopes, layout)
        unpad(memory, out, rows, columns, runs[steps[0].source_slope], layout)
        set_float_mode(mode)

    compiled = numba.njit(nogil=True, error_model="numpy")(work)
    one, records = getattr(numba, dtype), [numba.typeof(np.zeros(1, of)) for of in (LAYOUT, RUN)]
    records += [numba.typeof(np.zeros(1, of)) for of in (STEP, KERNEL)]
    integers = numba.int64[::1]
    signature = (
        *(one[::1], integers, numba.types.Tuple((*records, integers)), integers, integers),
        *(one[:, :, ::1], one[:, :, :, ::1], one[:, :, ::1]),
    )
    compile_cached(compiled, lambda: compiled.compile(signature))
    compiled.disable_compile()
    return compiled
