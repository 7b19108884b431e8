"""The kernel of a launch: a block goes down its strip of the target, turn by turn.

What a launch is, and what the numbers of its geometry mean, stands in `npscatter.cuda_layout`; what
a thread sums, in `npscatter.thread_sums`.
"""

from __future__ import annotations

import numpy as np

from npscatter import cuda_layout
from npscatter.cuda_layout import WARP, Work
from npscatter.cuda_target import copy, cuda, device, moduli, quotient, register, smooth, types
from npscatter.thread_sums import run_length

_source_start = device(cuda_layout.source_start)
_source_end = device(cuda_layout.source_end)
_moduli_start = device(cuda_layout.moduli_start)
_moduli_end = device(cuda_layout.moduli_end)


@device
def _wrapped(place, size):
    """Return place modulo size; places are rarely far outside, divisions slow."""
    while place < 0:
        place += size
    while place >= size:
        place -= size
    return place


@device
def _column(x, half):
    """Return where column `x` of a tile lies in its row."""
    return x // 2 + x % 2 * half


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
        shared = cuda.shared.array(0, dtype)
        thread, threads = int32(cuda.threadIdx.x), int32(cuda.blockDim.x)
        lane, warp, warps = thread & 31, thread >> 5, threads >> 5
        block = int32(cuda.blockIdx.x)
        rest = quotient(block, g.strips)
        strip = int32(block - rest * g.strips)
        block = int32(rest)
        rest = quotient(block, g.bands)
        band = int32(block - rest * g.bands)
        image = quotient(rest, g.groups)
        group = int32(rest - image * g.groups)

        top = int32(band * g.band_rows)
        bottom = int32(min(top + g.band_rows, g.height))
        left = int32(strip * g.tile_width)
        across = int32(min(g.tile_width, g.width - left))
        target_runs = int32((across + run - 1) // run)
        # On the full grids, of the target, the moduli and the source.
        first_column = int32(left + g.first_column)
        source_left = int32(_source_start(halo, first_column))
        tile_columns = int32(_source_end(halo, first_column + across - 1) - source_left)
        moduli_left = int32(_moduli_start(stride, radius, first_column))
        needed = int32(_moduli_end(stride, radius, first_column + across - 1) - moduli_left)
        differ = int32(min(needed, g.modulus_width) if wrap else needed)
        runs = int32((differ + run - 1) // run)

        memory = np.int64(image) * size
        source = memory + g.source_offset + np.int64(group * maps) * g.source_plane
        loaded = int32(_source_start(halo, top + g.first_row))
        computed = int32(_moduli_start(stride, radius, top + g.first_row))
        compute_end = int32(computed)
        # The rings: the first row that is still read, and its slot.
        tile_row, tile_slot = loaded, int32(0)
        moduli_row, moduli_slot = computed, int32(0)

        for start in range(int32(top - g.ahead * g.step_rows), int32(bottom), int32(g.step_rows)):
            first = int32(max(start, top))
            last = int32(min(start + g.step_rows, bottom) - 1)
            turn_rows = int32(max(0, last + 1 - first))
            # 1. New rows of the source.
            load_end = int32(_source_end(halo, last + g.first_row))
            still = int32(load_end)
            if has_wavelets:
                still = int32(min(still, rate * computed - reach))
            if has_direct:
                still = int32(min(still, _source_start(direct_radius, first + g.first_row)))
            tile_slot = int32(_wrapped(tile_slot + still - tile_row, g.tile_ring))
            tile_row = int32(still)
            for row in range(int32(loaded + warp), int32(load_end), int32(warps)):
                slot = int32(_wrapped(tile_slot + row - tile_row, g.tile_ring))
                y = int32(_wrapped(row, g.source_height) if wrap else row)
                inside = 0 <= y and y < g.source_height
                if from_image and inside:
                    y = int32(rows[y])
                    inside = y >= 0
                for column in range(int32(lane), int32(tile_columns), int32(WARP)):
                    x = int32(source_left + column)
                    if wrap:
                        x = int32(_wrapped(x, g.source_width))
                    there = inside and 0 <= x and x < g.source_width
                    place = int32(slot * g.tile_pitch + _column(column, g.tile_half))
                    if from_image:
                        value = dtype(0)
                        if there and columns[x] >= 0:
                            value = dtype(images[image, y, columns[x]])
                        shared[place] = value
                    elif there:
                        index = source + y * g.source_pitch + x
                        copy(maps, workspace, index, g.source_plane, shared, place, g.tile_plane)
                    else:
                        for k in range(maps):
                            shared[place + k * g.tile_plane] = dtype(0)
            loaded = int32(load_end)
            cuda.syncthreads()

            # 2. New rows of the moduli.
            if has_wavelets:
                compute_end = int32(_moduli_end(stride, radius, last + g.first_row))
                still = int32(min(computed, _moduli_start(stride, radius, first + g.first_row)))
                moduli_slot = int32(_wrapped(moduli_slot + still - moduli_row, g.modulus_ring))
                moduli_row = int32(still)
                for item in range(
                    int32(thread), int32((compute_end - computed) * runs), int32(threads)
                ):
                    line = quotient(item, runs)
                    row = int32(computed + line)
                    slot = int32(_wrapped(moduli_slot + row - moduli_row, g.modulus_ring))
                    place = int32(g.modulus_start + slot * g.modulus_pitch)
                    number_in_row = int32(item - line * runs)
                    if wrap or (row >= 0 and row < g.modulus_height):
                        window = int32(tile_slot + rate * row - reach - tile_row)
                        moduli(
                            wavelets, shared, _wrapped(window, g.tile_ring), g.tile_ring,
                            g.tile_pitch, g.tile_plane, g.tile_half, number_in_row, place,
                            g.modulus_plane, g.modulus_half,
                        )  # fmt: skip
                    else:
                        for k in range(moduli_count):
                            for p in range(run):
                                x = int32(_column(number_in_row * run + p, g.modulus_half))
                                shared[place + k * g.modulus_plane + x] = dtype(0)
                cuda.syncthreads()
                # Columns beyond the edge: of wrapped maps the same again, of others zeros.
                beyond = needed > differ
                if not wrap:
                    beyond = moduli_left < 0 or moduli_left + needed > g.modulus_width
                if beyond:
                    lines = (compute_end - computed) * moduli_count
                    for line in range(int32(warp), int32(lines), int32(warps)):
                        row = quotient(line, moduli_count)
                        slot = int32(moduli_slot + computed + row - moduli_row)
                        place = int32(
                            g.modulus_start + (line - row * moduli_count) * g.modulus_plane
                        )
                        place += _wrapped(slot, g.modulus_ring) * g.modulus_pitch
                        for column in range(int32(lane), int32(needed), int32(WARP)):
                            to = place + _column(column, g.modulus_half)
                            if wrap:
                                if column >= differ:
                                    again = _wrapped(column, differ)
                                    shared[to] = shared[place + _column(again, g.modulus_half)]
                            else:
                                x = int32(moduli_left + column)
                                if x < 0 or x >= g.modulus_width:
                                    shared[to] = dtype(0)
                    cuda.syncthreads()
                computed = int32(compute_end)

                # 3. Rows of the target, smoothed from the moduli.
                for item in range(
                    int32(thread), int32(moduli_count * turn_rows * target_runs), int32(threads)
                ):
                    line = quotient(item, target_runs)
                    x = int32((item - line * target_runs) * run)
                    orientation = quotient(line, turn_rows)
                    y = int32(first + line - orientation * turn_rows)
                    window = int32(_moduli_start(stride, radius, y + g.first_row))
                    window = int32(_wrapped(moduli_slot + window - moduli_row, g.modulus_ring))
                    stack = int32(group * moduli_count + orientation)
                    if emits:
                        channel = image * g.channels + channels[g.target_channels + stack]
                        place = np.int64(channel) * g.channel_plane
                        place += y * g.channel_pitch + left + x
                        target, plane, whole = output, g.channel_plane, aligned
                    else:
                        place = (
                            memory + g.target_offset + np.int64(stack * carried) * g.target_plane
                        )
                        place += y * g.target_pitch + left + x
                        target, plane, whole = workspace, g.target_plane, 1
                    smooth(
                        smoother, shared, g.modulus_start + orientation * g.modulus_plane, window,
                        g.modulus_ring, g.modulus_pitch, g.modulus_plane, g.modulus_half, x // run,
                        target, place, plane, across - x, whole,
                    )  # fmt: skip

            # And from the source itself.
            if has_direct:
                for item in range(int32(thread), int32(turn_rows * target_runs), int32(threads)):
                    line = quotient(item, target_runs)
                    x = int32((item - line * target_runs) * run)
                    y = int32(first + line)
                    window = int32(_source_start(direct_radius, y + g.first_row))
                    window = int32(_wrapped(tile_slot + window - tile_row, g.tile_ring))
                    if emits:
                        channel = image * g.channels + channels[g.direct_channels + group]
                        place = np.int64(channel) * g.channel_plane
                        place += y * g.channel_pitch + left + x
                        target, plane, whole = output, g.channel_plane, aligned
                    else:
                        place = np.int64(group * direct_carried) * g.direct_plane
                        place += memory + g.direct_offset + y * g.direct_pitch + left + x
                        target, plane, whole = workspace, g.direct_plane, 1
                    smooth(
                        direct, shared, 0, window, g.tile_ring, g.tile_pitch, g.tile_plane,
                        g.tile_half, x // run, target, place, plane, across - x, whole,
                    )  # fmt: skip
                cuda.syncthreads()

    return kernel
