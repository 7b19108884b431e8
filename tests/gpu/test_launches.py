"""A program as launches on a GPU: geometry, rings and memory, as integers; no GPU, no Numba."""

from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from banks import bank_of, make_toy_bank

from npscatter import ArgumentError, FilterBank, list_banks
from npscatter.backends.gpu.launches import GRID, STRETCH, choose, images_at_once, lay_out
from npscatter.backends.gpu.tiling import (
    BLOCKS,
    THREADS,
    Advance,
    Device,
    Footprint,
    advance,
    bank_cycles,
    moduli_columns,
    smoothed_rows,
    source_columns,
    sweep,
    window_end,
    window_start,
)
from npscatter.program.outputs import Outputs
from npscatter.program.plan import ROUNDS, make_plan

HOPPER = Device(227 * 1024, 228 * 1024)
# Tiles are small.
SMALL = Device(block_bytes=12_000)
SHAPES = [
    (1, (2, 3), "kymatio"),
    (1, (300, 7), "zero"),
    (3, (8, 11), "kymatio"),
    (3, (61, 250), "zero"),
    (4, (16, 70), "zero"),
]
BANKS = ["free, one tap", "free, strided wavelets", "wide wavelets", "wide smoothing"]
BANKS += ["paper shape", "accurate"]


@pytest.fixture(params=BANKS, scope="module")
def bank(request):
    return bank_of(request.param)


def layouts(bank, device):
    """Yield layouts of several shapes and boundaries, breadth and depth first, and of outputs."""
    for J, shape, boundary in SHAPES:
        plan = make_plan(J, shape, bank.architecture, 2, boundary)
        for candidate in (plan.octave_by_octave(), plan, *others(bank, plan)):
            yield lay_out(candidate, bank, "float32", images=3, device=device)


def others(bank, plan):
    """Yield plans of some of these transforms that emit something else."""
    if plan.shape in ((2, 3), (8, 11), (16, 70)):
        paths = (2, 9) if plan.n_coefficients > 9 else None
        for outputs in (Outputs(False), Outputs("global", paths=paths), Outputs(oversampling=1)):
            if not outputs.oversampling or bank.architecture.psi_stride == 1:
                made_from = plan.J, plan.shape, bank.architecture, 2, plan.boundary
                yield make_plan(*made_from, outputs=outputs)


@pytest.mark.parametrize("device", [Device(), HOPPER], ids=["any", "large"])
def test_strips_and_bands_cover_every_target_once(bank, device):
    for layout in layouts(bank, device):
        for launch in layout.launches:
            g = launch.geometry
            assert 0 < launch.shared_bytes <= device.block_bytes
            assert launch.threads in THREADS
            for count, size, whole in (
                (g.strips, g.strip_width, g.width),
                (g.bands, g.band_rows, g.height),
            ):
                assert (count - 1) * size < whole <= count * size
            # Runs of neighbours do not reach into the next strip, nor vectors over their edge.
            assert g.strip_width % 4 == 0 or g.strips == 1
            for maps in (g.source, *(() if launch.spec.emits else (g.smoothed, g.direct))):
                assert maps.pitch % 4 == maps.offset % 4 == 0
            assert g.source_tile.phase_stride % 4 == g.source_tile.pitch % 4 == 0
            assert launch.blocks(7) == -(-7 * g.groups // g.stacks) * g.strips * g.bands


def test_every_step_is_launched_once_and_every_channel_written_once(bank):
    for layout in layouts(bank, Device()):
        steps = list(layout.plan.steps)
        done = sum(
            bool(launch.spec.wavelets) + bool(launch.spec.direct) for launch in layout.launches
        )
        # The image itself, where it is emitted, is taken by neither.
        alone = sum(not one.spec.register_tiles for one in layout.launches)
        assert done + alone == len(steps)
        written = [channel for channel in layout.channels.tolist() if channel >= 0]
        assert Counter(written) == Counter(range(layout.plan.n_coefficients))


def test_every_cell_of_a_mean_is_summed_once(bank):
    for layout in layouts(bank, SMALL):
        if not layout.cells:
            assert layout.starts.tolist() == list(layout.plan.channel_starts)
            continue
        sizes = np.diff(layout.starts)
        for launch in layout.launches:
            if launch.spec.emits_moduli:
                g = launch.geometry
                cells, samples = cells_of(launch.spec.footprint, g)
                assert sorted(cells) == list(range(g.emitted.cell_rows * g.emitted.cell_columns))
                window = product(*(range(n) for n in (g.emitted.height, g.emitted.width)))
                assert samples == Counter(window)
                paths = launch.spec.wavelets.outputs if launch.spec.wavelets else 1
                start = g.emitted.channels
                for channel in layout.channels[start : start + g.groups * paths]:
                    assert channel < 0 or sizes[channel] == len(cells)
                    assert channel < 0 or layout.samples[channel] == len(samples)


def cells_of(footprint, g):
    """Return the cells that all blocks sum, and the samples of the window that are in them."""
    stride, run = footprint.smoothing_stride, 4
    emitted, cells, samples = g.emitted, [], Counter()
    for strip, y in product(range(g.strips), range(g.height)):
        left = strip * g.strip_width
        for x in range(left, min(left + g.strip_width, g.width), run):
            first, row = stride * (x + g.first_column), stride * (y + g.first_row)
            inside = [
                (i - emitted.row, j - emitted.column)
                for i in range(row, row + stride)
                for j in range(first, first + stride * run)
                if 0 <= i - emitted.row < emitted.height and 0 <= j - emitted.column < emitted.width
            ]
            if inside:
                cell = x // run - emitted.cell_column
                cells.append((y - emitted.cell_row) * emitted.cell_columns + cell)
                samples.update(inside)
    return cells, samples


def test_breadth_first_needs_few_launches():
    bank = FilterBank.load("accurate")
    for J in (1, 2, 3, 4):
        plan = make_plan(J, (64, 64), bank.architecture).octave_by_octave()
        # One an octave, and one for what only goes on, which there is from the third on.
        assert len(lay_out(plan, bank, "float32").launches) == J + max(0, J - 2)


@pytest.mark.parametrize("device", [Device(), SMALL, HOPPER])
def test_rings_hold_every_row_until_it_was_read(bank, device):
    """The sweep of a block, row by row, in rings that know which row they hold."""
    for layout in layouts(bank, device):
        for launch in layout.launches:
            g = launch.geometry
            for rows in {min(g.band_rows, g.height), g.height - (g.bands - 1) * g.band_rows}:
                follow(launch.spec.footprint, g, rows)


def follow(footprint, g, rows):
    f, source, moduli, smoothed = footprint, {}, {}, []
    for one in sweep(f, rows, g.advance_rows, g.prefetch):
        for row in range(one.load_start, one.load_end):
            source[row % g.source_tile.ring] = row
        if f.has_wavelets:
            for row in range(one.compute_start, one.compute_end):
                assert_held(source, g.source_tile, f.wavelet_stride, f.wavelet_radius, row)
                moduli[row % g.moduli_tile.ring] = row
        for y in range(one.smooth_start, one.smooth_end):
            smoothed.append(y)
            if f.has_wavelets:
                assert_held(moduli, g.moduli_tile, f.smoothing_stride, f.smoothing_radius, y)
            if f.has_direct:
                assert_held(source, g.source_tile, f.stride, f.direct_radius, y)
    assert smoothed == list(range(rows))


def assert_held(rows, tile, stride, radius, y):
    """Assert that a ring holds the window of row `y` of a correlation."""
    for row in range(window_start(stride, radius, y), window_end(stride, radius, y)):
        assert rows[row % tile.ring] == row


FOOTPRINTS = [
    Footprint(
        stride=wavelet_stride * smoothing_stride,
        halo=max(smoothing_radius * wavelet_stride + wavelet_radius, direct_radius),
        has_wavelets=has_wavelets,
        wavelet_stride=wavelet_stride,
        wavelet_radius=wavelet_radius,
        smoothing_stride=smoothing_stride,
        smoothing_radius=smoothing_radius,
        has_direct=has_direct,
        direct_radius=direct_radius,
    )
    for wavelet_stride, smoothing_stride in ((1, 1), (1, 2), (2, 1))
    for wavelet_radius, smoothing_radius, direct_radius in product((0, 1, 3), repeat=3)
    for has_wavelets, has_direct in ((True, True), (True, False), (False, True))
]


def advances_step_by_step(f, top, bottom, rows, prefetch):
    """Yield the advances of a band as a block goes through them, knowing what it has done."""
    source_top = window_start(f.stride, f.halo, top)
    moduli_top = window_start(f.smoothing_stride, f.smoothing_radius, top)
    loaded, computed = source_top, moduli_top
    for start in range(top - prefetch * rows, bottom, rows):
        first, last = max(start, top), min(start + rows, bottom) - 1
        load_end = window_end(f.stride, f.halo, last)
        compute_end = window_end(f.smoothing_stride, f.smoothing_radius, last)
        needed = [load_end]
        if f.has_wavelets:
            needed.append(window_start(f.wavelet_stride, f.wavelet_radius, computed))
        if f.has_direct:
            needed.append(window_start(f.stride, f.direct_radius, first))
        oldest = max(min(needed), source_top)
        yield Advance(
            load_start=max(loaded, oldest),
            load_end=load_end,
            compute_start=computed,
            compute_end=compute_end,
            smooth_start=first,
            smooth_end=last + 1,
            oldest_source=oldest,
            oldest_moduli=max(
                min(computed, window_start(f.smoothing_stride, f.smoothing_radius, first)),
                moduli_top,
            ),
        )
        loaded, computed = max(loaded, load_end), max(computed, compute_end)


@pytest.mark.parametrize("footprint", FOOTPRINTS)
def test_an_advance_knows_what_those_before_have_done(footprint):
    """Without their state, and with no bound that others imply."""
    for top, height, rows in product((0, 5), (1, 2, 5, 8), (1, 2, 3, 8)):
        for prefetch in (0, 1) if footprint.has_wavelets else (0,):
            bottom = top + height
            expected = list(advances_step_by_step(footprint, top, bottom, rows, prefetch))
            first = top - prefetch * rows
            starts = range(first, bottom, rows)
            done = [advance(footprint, top, bottom, s, rows, s == first) for s in starts]
            assert done == expected
            assert [smoothed_rows(top, bottom, s, rows) for s in starts] == [
                (one.smooth_start, one.smooth_end) for one in expected
            ]
            if top == 0:
                assert sweep(footprint, height, rows, prefetch) == tuple(expected)


@pytest.mark.parametrize("footprint", FOOTPRINTS)
def test_columns_are_those_of_all_windows(footprint):
    f = footprint
    for width in (1, 2, 7):
        last = width - 1
        columns = window_end(f.stride, f.halo, last) - window_start(f.stride, f.halo, 0)
        assert source_columns(f, width) == columns
        start = window_start(f.smoothing_stride, f.smoothing_radius, 0)
        needed = window_end(f.smoothing_stride, f.smoothing_radius, last) - start
        assert moduli_columns(f, width, 5, False) == (needed, needed)
        assert moduli_columns(f, width, 5, True) == (needed, min(needed, 5))


def test_tiles_hold_what_runs_read(bank):
    """Whole vectors are read: no phase of a row is shorter than the last vector's end."""
    for layout in layouts(bank, Device()):
        for launch in layout.launches:
            spec, g = launch.spec, launch.geometry
            source, moduli = g.source_tile, g.moduli_tile
            needed = spec.stride * (g.strip_width - 1) + 1 + 2 * spec.halo
            assert 2 * source.phase_stride >= needed and source.pitch >= 2 * source.phase_stride
            runs = -(-g.strip_width // 4)
            for tile, phase_stride in (
                (spec.smoothing, moduli.phase_stride),
                (spec.direct, source.phase_stride),
            ):
                if tile:
                    last = tile.shift + tile.stride * 3 + tile.size - 1
                    vector = tile.stride * 2
                    end = tile.stride * 2 * (runs - 1) + (last // 2 // vector + 1) * vector
                    assert end <= phase_stride
            size = spec.maps * source.ring * source.pitch
            assert source.start == 0
            if spec.wavelets:
                size += spec.wavelets.outputs * moduli.ring * moduli.pitch
                assert moduli.start == g.stacks * source.stack
            assert launch.shared_bytes == 4 * g.stacks * size


def test_vectors_are_stored_where_rows_begin_with_one():
    bank = bank_of("free L=4 R=2")
    for shape, aligned in (((16, 12), False), ((12, 16), True)):
        plan = make_plan(2, shape, bank.architecture)
        assert lay_out(plan, bank, "float32").aligned is aligned


def test_maps_in_use_share_no_memory(bank):
    for layout in layouts(bank, Device()):
        spans = []
        for launch in layout.launches:
            spec, g = launch.spec, launch.geometry
            source = (0, 0)
            if not spec.reads_image:
                start = g.source.offset
                source = (start, start + g.groups * spec.maps * g.source.plane)
            targets = []
            if not spec.emits and spec.smoothing:
                maps = g.groups * spec.wavelets.outputs * spec.smoothing.outputs
                start = g.smoothed.offset
                targets.append((start, start + maps * g.smoothed.plane))
            if not spec.emits and spec.direct:
                maps = g.groups * spec.direct.outputs
                start = g.direct.offset
                targets.append((start, start + maps * g.direct.plane))
            for one, other in pairwise(sorted([source, *targets])):
                assert one[1] <= other[0] or one == (0, 0)
            spans += [source, *targets]
        assert max(end for _, end in spans) <= layout.workspace
        numbers = layout.magnitudes.numbers + layout.cells
        assert layout.workspace_bytes == 4 * (layout.workspace + numbers)


def test_workspace_of_the_flagship_is_what_the_plan_says():
    """32 maps of moduli and 4 of the image, 20 x 20, and a record of 6 numbers, for each image."""
    bank = FilterBank.load("accurate")
    plan = make_plan(2, (32, 32), bank.architecture).octave_by_octave()
    assert lay_out(plan, bank, "float32").workspace == 36 * 20 * 20
    assert lay_out(plan, bank, "float32", "float16").workspace_bytes == 2 * 36 * 20 * 20 + 24


@pytest.mark.parametrize("images", [1, 8, 10**6])
@pytest.mark.parametrize("shape", [(2, 3), (127, 129), (500, 333), (4096, 3000)])
def test_every_pixel_is_looked_at_once(shape, images):
    bank = FilterBank.load("fast-L4")
    plan = make_plan(1, shape, bank.architecture)
    m = lay_out(plan, bank, "float32", images=images).magnitudes
    assert (m.stretches - 1) * m.stretch < shape[0] * shape[1] <= m.stretches * m.stretch
    assert m.threads in (32, 64, 128, 256) and m.shared_bytes("float64") <= 4096
    assert m.stretches * min(images, BLOCKS) <= 2 * BLOCKS
    if m.stretches == 1:
        assert m.numbers == 6
    else:
        assert m.stretch >= STRETCH and m.numbers == 6 + 2 * m.stretches
        assert m.once_more().stretches == 1 and m.once_more().stretch == 2 * m.stretches


def test_images_whose_maps_are_halves_are_always_shifted():
    """To where no shipped bank's maps can leave what halves hold, up to J = 8."""
    for name in list_banks():
        bank = FilterBank.load(name)
        plan = make_plan(3, (32, 32), bank.architecture)
        m = lay_out(plan, bank, "float32", "float16").magnitudes
        assert m.least == m.most and largest_growth(bank, 8) * 2.0 ** (m.most + 1) < 65504
        assert lay_out(plan, bank, "float32").magnitudes.least < m.least


def largest_growth(bank, octaves):
    """Return how much larger than the image a carried map can become, by the sizes of the taps."""
    design, largest = bank.architecture, 1.0

    def sizes(role, octave, level):
        return np.abs(bank[f"{role}_{design.generation(octave == level, octave)}"]).sum((2, 3))

    def carried(maps, octave, level):
        for later in range(octave, octaves):
            maps = sizes("carry", later, level) @ maps
            yield later + 1, maps

    for octave, maps in [(0, np.ones(1)), *carried(np.ones(1), 0, 0)]:
        largest = max(largest, maps.max())
        if octave < octaves:
            modulus = np.array([(sizes("psi", octave, 0) @ maps).max()])
            largest = max(largest, *(maps.max() for _, maps in carried(modulus, octave, octave)))
    return largest


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
    assert all(launch.spec.wavelets.run == 2 for launch in double.launches)
    assert all(launch.geometry.strip_width % 2 == 0 for launch in double.launches)
