"""A program as launches on a GPU: geometry, rings and memory, as integers; no GPU, no Numba."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from banks import bank_of, make_toy_bank

from npscatter import ArgumentError, FilterBank
from npscatter.gpu.launches import GRID, choose, images_at_once, lay_out
from npscatter.gpu.tiling import (
    BLOCKS,
    THREADS,
    Device,
    bank_cycles,
    march,
    moduli_end,
    moduli_start,
    source_end,
    source_start,
)
from npscatter.program.plan import ROUNDS, make_plan

HOPPER = Device(227 * 1024, 228 * 1024)
SHAPES = [
    (1, (2, 3), "kymatio"),
    (1, (300, 7), "zero"),
    (2, (32, 32), "kymatio"),
    (3, (8, 11), "kymatio"),
    (3, (61, 250), "zero"),
    (3, (250, 61), "kymatio"),
    (4, (16, 70), "zero"),
]
BANKS = ["symmetric L=4 R=3", "free, one tap", "free, strided wavelets", "sixteen orientations"]
BANKS += ["wide wavelets", "wide smoothing", "paper shape", "accurate"]


@pytest.fixture(params=BANKS, scope="module")
def bank(request):
    return bank_of(request.param)


def layouts(bank, device):
    """Yield layouts of several shapes and boundaries, breadth and depth first."""
    for J, shape, boundary in SHAPES:
        plan = make_plan(J, shape, bank.architecture, 2, boundary)
        for candidate in (plan.octave_by_octave(), plan):
            yield lay_out(candidate, bank, "float32", images=3, device=device)


@pytest.mark.parametrize("device", [Device(), HOPPER], ids=["any", "large"])
def test_strips_and_bands_cover_every_target_once(bank, device):
    for layout in layouts(bank, device):
        for launch in layout.launches:
            g = launch.geometry
            assert 0 < launch.shared_bytes <= device.block_bytes
            assert launch.threads in THREADS
            for count, size, whole in (
                (g.strips, g.tile_width, g.width),
                (g.bands, g.band_rows, g.height),
            ):
                assert (count - 1) * size < whole <= count * size
            # Runs of neighbours do not reach into the next strip, nor vectors over their edge.
            assert g.tile_width % 4 == 0 or g.strips == 1
            for pitch in (g.source_pitch, g.target_pitch, g.direct_pitch, g.tile_half):
                assert pitch % 4 == 0
            assert all(offset % 4 == 0 for offset in g[:3])
            assert launch.blocks(7) == -(-7 * g.groups // g.stacks) * g.strips * g.bands


def test_every_step_is_launched_once_and_every_channel_written_once(bank):
    for layout in layouts(bank, Device()):
        steps = list(layout.plan.steps)
        done = sum(
            bool(launch.work.wavelets) + bool(launch.work.direct) for launch in layout.launches
        )
        assert done == len(steps)
        assert Counter(layout.channels.tolist()) == Counter(range(layout.plan.n_coefficients))


def test_breadth_first_needs_few_launches():
    bank = FilterBank.load("accurate")
    for J in (1, 2, 3, 4):
        plan = make_plan(J, (64, 64), bank.architecture).octave_by_octave()
        # One an octave, and one for what only goes on, which there is from the third on.
        assert len(lay_out(plan, bank, "float32").launches) == J + max(0, J - 2)


@pytest.mark.parametrize("device", [Device(), Device(block_bytes=12_000), HOPPER])
def test_rings_hold_every_row_until_it_was_read(bank, device):
    """The march of a block, row by row, in rings that know which row they hold."""
    for layout in layouts(bank, device):
        for launch in layout.launches:
            work, g = launch.work, launch.geometry
            for rows in {min(g.band_rows, g.height), g.height - (g.bands - 1) * g.band_rows}:
                follow(work, g, rows)


def follow(work, g, rows):
    tile, moduli, smoothed = {}, {}, []
    reach = work.wavelets.size // 2 if work.wavelets else 0
    for turn in march(work, rows, g.step_rows, g.ahead):
        for row in range(*turn.loaded):
            tile[row % g.tile_ring] = row
        if work.wavelets:
            for row in range(*turn.computed):
                window = range(-reach, reach + 1)
                assert all(
                    tile[(work.wavelets.stride * row + a) % g.tile_ring]
                    == work.wavelets.stride * row + a
                    for a in window
                )
                moduli[row % g.modulus_ring] = row
        for y in range(*turn.smoothed):
            smoothed.append(y)
            if work.wavelets:
                stride, radius = work.smoother.stride, work.smoother.size // 2
                for row in range(moduli_start(stride, radius, y), moduli_end(stride, radius, y)):
                    assert moduli[row % g.modulus_ring] == row
            if work.direct:
                radius = work.direct.size // 2
                for row in range(source_start(radius, y), source_end(radius, y)):
                    assert tile[row % g.tile_ring] == row
    assert smoothed == list(range(rows))


def test_tiles_hold_what_runs_read(bank):
    """Whole vectors are read: no phase of a row is shorter than the last vector's end."""
    for layout in layouts(bank, Device()):
        for launch in layout.launches:
            work, g = launch.work, launch.geometry
            needed = 2 * (g.tile_width - 1) + 1 + 2 * work.halo
            assert 2 * g.tile_half >= needed and g.tile_pitch >= 2 * g.tile_half
            runs = -(-g.tile_width // 4)
            for sums, half, count in (
                (work.smoother, g.modulus_half, runs),
                (work.direct, g.tile_half, runs),
            ):
                if sums:
                    last = sums.shift + sums.stride * 3 + sums.size - 1
                    vector = sums.stride * 2
                    end = sums.stride * 2 * (count - 1) + (last // 2 // vector + 1) * vector
                    assert end <= half
            size = work.maps * g.tile_ring * g.tile_pitch
            if work.wavelets:
                size += work.wavelets.outputs * g.modulus_ring * g.modulus_pitch
                assert g.modulus_start == g.stacks * g.tile_stack
            assert launch.shared_bytes == 4 * g.stacks * size


def test_maps_in_use_share_no_memory(bank):
    for layout in layouts(bank, Device()):
        spans = []
        for launch in layout.launches:
            work, g = launch.work, launch.geometry
            source = (0, 0)
            if not work.image:
                source = (g.source_offset, g.source_offset + g.groups * work.maps * g.source_plane)
            targets = []
            if not work.emits and work.wavelets:
                maps = g.groups * work.wavelets.outputs * work.smoother.outputs
                targets.append((g.target_offset, g.target_offset + maps * g.target_plane))
            if not work.emits and work.direct:
                maps = g.groups * work.direct.outputs
                targets.append((g.direct_offset, g.direct_offset + maps * g.direct_plane))
            for one, other in pairwise(sorted([source, *targets])):
                assert one[1] <= other[0] or one == (0, 0)
            spans += [source, *targets]
        assert max(end for _, end in spans) <= layout.workspace
        assert layout.workspace_bytes == 4 * layout.workspace


def test_workspace_of_the_flagship_is_what_the_plan_says():
    """32 maps of moduli and 4 of the image, 20 x 20, and nothing else, for each image."""
    bank = FilterBank.load("accurate")
    plan = make_plan(2, (32, 32), bank.architecture).octave_by_octave()
    assert lay_out(plan, bank, "float32").workspace == 36 * 20 * 20
    assert lay_out(plan, bank, "float32", "float16").workspace_bytes == 2 * 36 * 20 * 20


def test_memory_decides_on_rounds_and_on_images_at_once():
    bank = FilterBank.load("accurate")
    plan = make_plan(3, (64, 64), bank.architecture)
    broad = lay_out(plan.octave_by_octave(), bank, "float32").workspace_bytes
    assert choose(plan, bank, "float32", None, 9, broad).plan.breadth_first
    sizes = [lay_out(plan.in_rounds(rounds), bank, "float32").workspace_bytes for rounds in ROUNDS]
    assert sorted(sizes, reverse=True) == sizes and sizes[-1] < sizes[0] < broad
    for rounds, size in zip(ROUNDS, sizes, strict=True):
        found = choose(plan, bank, "float32", None, 9, size)
        assert found.workspace_bytes == size and found.plan.rounds <= rounds
    with pytest.raises(ArgumentError, match=rf"memory=.*one image of \(64, 64\) needs {sizes[-1]}"):
        choose(plan, bank, "float32", None, 9, sizes[-1] - 1)
    layout = choose(plan, bank, "float32", None, 9, broad)
    assert images_at_once(layout, 9, 3 * broad + 1) == 3
    assert images_at_once(layout, 9, 100 * broad) == 9
    most = max(launch.blocks(1) for launch in layout.launches)
    assert images_at_once(layout, 10**12, 10**18) <= GRID // most


def test_few_images_are_cut_into_bands_and_many_are_not():
    bank = FilterBank.load("accurate")
    plan = make_plan(2, (1024, 1024), bank.architecture).octave_by_octave()
    few, many = (lay_out(plan, bank, "float32", images=n).launches[0] for n in (1, 10**6))
    assert few.geometry.bands > 1 == many.geometry.bands
    assert few.blocks(1) >= BLOCKS // 4
    # Powers of two share a layout.
    assert lay_out(plan, bank, "float32", images=70) is lay_out(plan, bank, "float32", images=100)


def test_kernels_too_large_for_shared_memory_are_refused():
    bank = make_toy_bank("symmetric", L=16, R=4, K=9)
    plan = make_plan(2, (40, 40), bank.architecture)
    with pytest.raises(ArgumentError, match=r"bank='kernels of \[9, 9\]'.*backend='numba'"):
        lay_out(plan, bank, "float64", device=Device(block_bytes=20_000))


def test_bank_cycles_of_known_accesses():
    assert bank_cycles(32, 1, 0, 1) == 1  # neighbours
    assert bank_cycles(1, 1, 32, 1) == 32  # a column of a square
    assert bank_cycles(1, 1, 33, 1) == 1  # of a padded one
    assert bank_cycles(8, 1, 0, 1) == 1  # rows that are the same: broadcast
    assert bank_cycles(32, 4, 0, 1) == 4  # 512 bytes
    assert bank_cycles(4, 2, 8, 1) == 2 and bank_cycles(4, 2, 32, 1) == 8
    assert bank_cycles(32, 1, 0, 2) == 2  # doubles


def test_layouts_of_other_dtypes_only_differ_in_runs():
    bank = FilterBank.load("accurate")
    plan = make_plan(2, (33, 40), bank.architecture).octave_by_octave()
    single, double = (lay_out(plan, bank, dtype) for dtype in ("float32", "float64"))
    assert single.workspace == double.workspace
    assert np.array_equal(single.channels, double.channels)
    assert all(launch.work.wavelets.run == 2 for launch in double.launches)
    assert all(launch.geometry.tile_width % 2 == 0 for launch in double.launches)
