"""The kernel of a launch: a block goes down its strip of the target, turn by turn.

How that goes stands in `npscatter.gpu.tiling`; what the numbers of a launch's geometry mean, in
`npscatter.gpu.launches`; what a thread sums, in `npscatter.gpu.run_codegen`.
"""

from __future__ import annotations

import numpy as np

from npscatter.gpu import tiling
from npscatter.gpu.run_codegen import run_length
from npscatter.gpu.target import (
    SHARED_ALIGNMENT,
    again,
    copy,
    cuda,
    device,
    divided,
    moduli,
    quotient,
    reciprocal,
    register,
    smooth,
    types,
)
from npscatter.gpu.tiling import WARP, Work

_source_start = device(tiling.source_start)
_source_end = device(tiling.source_end)
_moduli_start = device(tiling.moduli_start)
_moduli_end = device(tiling.moduli_end)


@device
def _wrapped(place, size):
    """Return place modulo size; places are rarely far outside, divisions slow."""
    while place < 0:
        place = np.int32(place + size)
    while place >= size:
        place = np.int32(place - size)
    return place


@device
def _slot(row, ring):
    """Return the slot of a ring that has its row, counted from the first; a ring of 0 has none."""
    return row - quotient(np.int32(row), np.int32(max(1, ring))) * ring


@device
def _part(number, size, whole):
    """Return where a part begins and ends, if all but the last are of a size."""
    start = np.int32(number * size)
    return start, np.int32(min(start + size, whole))


@device
def _across(strip, g):
    """Return the first target column of a strip, and how many there are."""
    left, right = _part(strip, g.tile_width, g.width)
    return left, np.int32(right - left)


@device
def _column(x, half):
    """Return where column `x` of a tile lies in its row."""
    return np.int32((x >> 1) + (x & 1) * half)


@device
def _place(number, plane, y, pitch, x):
    """Return where sample (y, x) of a map lies, as seen from the first map."""
    return np.int64(np.int32(number)) * plane + np.int32(y * pitch + x)


def make_kernel(work: Work):
    """Return the Python function of a kernel.

    Its arguments: `images` (N, H, W); `rows` and `columns`, the plan's; `workspace` and `output`,
    flat; `size`, the workspace of one image; `aligned`, whether rows of the output start at
    multiples of 16 bytes; `channels`; and `g`, the launch's `Geometry`. The grid has one dimension:
    images, of these groups, of these bands, of these strips.
    """
    int32, dtype = np.int32, getattr(types, work.dtype)
    wavelets, smoother, direct = map(register, (work.wavelets, work.smoother, work.direct))
    maps, halo, wrap, from_image, emits = work.maps, work.halo, work.wrap, work.image, work.emits
    run = run_length(work.dtype)
    # Without wavelets, or without a direct smoothing, their numbers are never used.
    first, second, third = (one or work.direct or work.smoother for one in work.sums)
    has_wavelets, has_direct = bool(wavelets), bool(direct)
    rate, reach, moduli_count = first.stride, first.size // 2, first.outputs
    stride, radius, carried = second.stride, second.size // 2, second.outputs
    direct_radius, direct_carried = third.size // 2, third.outputs

    def kernel(images, rows, columns, workspace, output, size, aligned, channels, g):
        # Addresses are 32-bit numbers wherever they can be: Numba makes 64 bits of most sums.
        shared = cuda.shared.array(0, dtype, SHARED_ALIGNMENT)
        thread, threads = int32(cuda.threadIdx.x), int32(cuda.blockDim.x)
        rest = quotient(int32(cuda.blockIdx.x), g.strips)
        strip = int32(cuda.blockIdx.x - rest * g.strips)
        place_of_block = quotient(rest, g.bands)
        band = int32(rest - place_of_block * g.bands)

        top, bottom = _part(band, g.band_rows, g.height)
        start = int32(top - g.ahead * g.step_rows)
        while start < bottom:
            thread, place_of_block = again(thread), again(place_of_block)
            strip, band = again(strip), again(band)
            lane, warp, warps = thread & 31, thread >> 5, threads >> 5
            # A stack is a group of an image; the last block may have some that are not there.
            stack_from = int32(place_of_block * g.stacks)
            stack_end = int32(images.shape[0] * g.groups)
            # On the full grids, of the target, the moduli and the source.
            left, across = _across(strip, g)
            source_left = int32(_source_start(halo, left + g.first_column))
            tile_columns = int32(_source_end(halo, left + g.first_column + across - 1))
            tile_columns = int32(tile_columns - source_left)
            top, bottom = _part(band, g.band_rows, g.height)
            first = int32(max(start, top))
            last = int32(min(start + g.step_rows, bottom) - 1)
            # What the turns before have done, and the first rows that are still read.
            origin = int32(_source_start(halo, top + g.first_row))
            moduli_origin = int32(_moduli_start(stride, radius, top + g.first_row))
            before = int32(start - 1 + g.first_row)
            loaded = int32(max(_source_end(halo, before), origin))
            computed = int32(max(_moduli_end(stride, radius, before), moduli_origin))
            if start == top - g.ahead * g.step_rows:
                loaded, computed = origin, moduli_origin
            load_end = int32(_source_end(halo, last + g.first_row))
            compute_end = int32(_moduli_end(stride, radius, last + g.first_row))
            still = load_end
            if has_wavelets:
                still = int32(min(still, rate * computed - reach))
            if has_direct:
                still = int32(min(still, _source_start(direct_radius, first + g.first_row)))
            still = int32(max(still, origin))
            # Row r of a ring is in slot r + shift, or a ring's length before.
            tile_shift = int32(_slot(still - origin, g.tile_ring) - still)
            load_start = int32(max(loaded, still))
            still = int32(min(computed, _moduli_start(stride, radius, first + g.first_row)))
            still = int32(max(still, moduli_origin))
            moduli_shift = int32(_slot(still - moduli_origin, g.modulus_ring) - still)

            # 1. New rows of the source: a lane has its columns, a warp its rows.
            k = int32(0)
            while k < g.stacks:
                stack = int32(min(stack_from + k, stack_end - 1))
                image = quotient(stack, g.groups)
                source = np.int64(image) * size + g.source_offset
                source += np.int64((stack - image * g.groups) * maps) * g.source_plane
                column = lane
                while column < tile_columns:
                    x = int32(source_left + column)
                    if wrap:
                        x = _wrapped(x, g.source_width)
                    there = 0 <= x and x < g.source_width
                    if from_image:
                        x = columns[np.uint32(x)] if there else int32(-1)
                        there = x >= 0
                    place = int32(k * g.tile_stack + _column(column, g.tile_half))
                    row = int32(load_start + warp)
                    slot = _wrapped(int32(row + tile_shift), g.tile_ring)
                    y = _wrapped(row, g.source_height) if wrap else row
                    while row < load_end:
                        to = int32(place + slot * g.tile_pitch)
                        inside = there and 0 <= y and y < g.source_height
                        if from_image:
                            value = dtype(0)
                            if inside:
                                line = rows[np.uint32(y)]
                                if line >= 0:
                                    index = np.uint32(image), np.uint32(line), np.uint32(x)
                                    value = dtype(images[index])
                            shared[np.uint32(to)] = value
                        elif inside:
                            index = source + int32(y * g.source_pitch + x)
                            copy(maps, workspace, index, g.source_plane, shared, to, g.tile_plane)
                        else:
                            for m in range(maps):
                                shared[np.uint32(to + m * g.tile_plane)] = dtype(0)
                        row = int32(row + warps)
                        slot = _wrapped(int32(slot + warps), g.tile_ring)
                        y = int32(y + warps)
                        if wrap:
                            y = _wrapped(y, g.source_height)
                    column = int32(column + WARP)
                k = int32(k + 1)
            cuda.syncthreads()

            # 2. New rows of the moduli.
            if has_wavelets:
                moduli_left = int32(_moduli_start(stride, radius, left + g.first_column))
                needed = int32(_moduli_end(stride, radius, left + g.first_column + across - 1))
                needed = int32(needed - moduli_left)
                differ = int32(min(needed, g.modulus_width) if wrap else needed)
                runs = quotient(int32(differ + run - 1), int32(run))
                new_rows = int32(max(0, compute_end - computed))
                per_runs, per_new_rows = reciprocal(runs), reciprocal(max(1, new_rows))
                item, items = thread, int32(g.stacks * new_rows * runs)
                while item < items:
                    line = divided(item, per_runs)
                    k = divided(line, per_new_rows)
                    row = int32(computed + line - k * new_rows)
                    slot = _wrapped(int32(row + moduli_shift), g.modulus_ring)
                    place = int32(g.modulus_start + k * g.modulus_stack + slot * g.modulus_pitch)
                    run_number = int32(item - line * runs)
                    if wrap or (row >= 0 and row < g.modulus_height):
                        window = int32(rate * row - reach + tile_shift)
                        moduli(
                            wavelets, shared, k * g.tile_stack, _wrapped(window, g.tile_ring),
                            g.tile_ring, g.tile_pitch, g.tile_plane, g.tile_half, run_number,
                            place, g.modulus_plane, g.modulus_half,
                        )  # fmt: skip
                    else:
                        for orientation in range(moduli_count):
                            for p in range(run):
                                x = _column(int32(run_number * run + p), g.modulus_half)
                                x = int32(place + orientation * g.modulus_plane + x)
                                shared[np.uint32(x)] = dtype(0)
                    item = int32(item + threads)
                cuda.syncthreads()
                thread = again(thread)
                lane, warp = thread & 31, thread >> 5
                # Columns beyond the edge: of wrapped maps the same again, of others zeros.
                beyond = needed > differ
                if not wrap:
                    beyond = moduli_left < 0 or moduli_left + needed > g.modulus_width
                if beyond:
                    line, lines = warp, int32(g.stacks * new_rows * moduli_count)
                    while line < lines:
                        rest = quotient(line, int32(moduli_count))
                        k = divided(rest, per_new_rows)
                        slot = int32(computed + rest - k * new_rows + moduli_shift)
                        place = int32(_wrapped(slot, g.modulus_ring) * g.modulus_pitch)
                        place = int32(place + g.modulus_start + k * g.modulus_stack)
                        place = int32(place + (line - rest * moduli_count) * g.modulus_plane)
                        column = int32(lane + differ) if wrap else lane
                        while column < needed:
                            to = int32(place + _column(column, g.modulus_half))
                            x = int32(moduli_left + column)
                            if wrap:
                                same = _column(_wrapped(column, differ), g.modulus_half)
                                shared[np.uint32(to)] = shared[np.uint32(place + same)]
                            elif x < 0 or x >= g.modulus_width:
                                shared[np.uint32(to)] = dtype(0)
                            column = int32(column + WARP)
                        line = int32(line + warps)
                    cuda.syncthreads()

            # 3. Rows of the target, smoothed from the moduli.
            thread, place_of_block = again(thread), again(place_of_block)
            strip, band = again(strip), again(band)
            stack_from = int32(place_of_block * g.stacks)
            stack_end = int32(images.shape[0] * g.groups)
            left, across = _across(strip, g)
            target_runs = quotient(int32(across + run - 1), int32(run))
            top, bottom = _part(band, g.band_rows, g.height)
            first = int32(max(start, top))
            turn_rows = int32(max(0, min(start + g.step_rows, bottom) - first))
            per_target_runs = reciprocal(target_runs)
            per_turn_rows = reciprocal(max(1, turn_rows))
            if has_wavelets:
                item, items = thread, int32(g.stacks * moduli_count * turn_rows * target_runs)
                while item < items:
                    line = divided(item, per_target_runs)
                    run_number = int32(item - line * target_runs)
                    rest = divided(line, per_turn_rows)
                    y = int32(first + line - rest * turn_rows)
                    k = quotient(rest, int32(moduli_count))
                    orientation = int32(rest - k * moduli_count)
                    stack = int32(stack_from + k)
                    if stack < stack_end:
                        image = quotient(stack, g.groups)
                        path = int32((stack - image * g.groups) * moduli_count + orientation)
                        x = int32(left + run_number * run)
                        if emits:
                            channel = channels[np.uint32(g.target_channels + path)]
                            target, plane, whole = output, g.channel_plane, aligned
                            place = _place(
                                image * g.channels + channel, plane, y, g.channel_pitch, x
                            )
                        else:
                            target, plane, whole = workspace, g.target_plane, 1
                            place = _place(path * carried, plane, y, g.target_pitch, x)
                            place += np.int64(image) * size + g.target_offset
                        window = int32(_moduli_start(stride, radius, y + g.first_row))
                        window = _wrapped(int32(window + moduli_shift), g.modulus_ring)
                        tile = int32(k * g.modulus_stack + orientation * g.modulus_plane)
                        smooth(
                            smoother, shared, g.modulus_start + tile, window, g.modulus_ring,
                            g.modulus_pitch, g.modulus_plane, g.modulus_half, run_number,
                            target, place, plane, g.width - x, whole,
                        )  # fmt: skip
                    item = int32(item + threads)

            # And from the source itself.
            if has_direct:
                item, items = thread, int32(g.stacks * turn_rows * target_runs)
                while item < items:
                    line = divided(item, per_target_runs)
                    run_number = int32(item - line * target_runs)
                    k = divided(line, per_turn_rows)
                    y = int32(first + line - k * turn_rows)
                    stack = int32(stack_from + k)
                    if stack < stack_end:
                        image = quotient(stack, g.groups)
                        path = int32(stack - image * g.groups)
                        x = int32(left + run_number * run)
                        if emits:
                            channel = channels[np.uint32(g.direct_channels + path)]
                            target, plane, whole = output, g.channel_plane, aligned
                            place = _place(
                                image * g.channels + channel, plane, y, g.channel_pitch, x
                            )
                        else:
                            target, plane, whole = workspace, g.direct_plane, 1
                            place = _place(path * direct_carried, plane, y, g.direct_pitch, x)
                            place += np.int64(image) * size + g.direct_offset
                        window = int32(_source_start(direct_radius, y + g.first_row))
                        window = _wrapped(int32(window + tile_shift), g.tile_ring)
                        smooth(
                            direct, shared, k * g.tile_stack, window, g.tile_ring, g.tile_pitch,
                            g.tile_plane, g.tile_half, run_number, target, place, plane,
                            g.width - x, whole,
                        )  # fmt: skip
                    item = int32(item + threads)
                cuda.syncthreads()
            start = int32(start + g.step_rows)

    return kernel
