"""Tiles: they have every coefficient once, see enough of the image, and come from slices of it."""

import numpy as np
import pytest
from banks import bank_of
from hypothesis import given
from hypothesis import strategies as st

from npscatter.backends import reference
from npscatter.program.outputs import Outputs
from npscatter.program.padding import BOUNDARIES
from npscatter.program.plan import make_plan
from npscatter.program.tiles import cut, even_cuts, reach, runs

BANK = bank_of("symmetric L=4 R=3")
SIZES = {key: BANK[key].shape[-1] for key in BANK}


def plan_of(bank=BANK, J=2, shape=(60, 52), **options):
    return make_plan(J, shape, bank.architecture, **options)


@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("bank", ["accurate", "paper", "symmetric L=4 R=3"])
def test_nothing_beyond_the_reach_is_seen_and_something_at_it(bank, average):
    bank = bank_of(bank)
    plan = plan_of(bank, 2, (96, 96), boundary="periodic", outputs=Outputs(average=average))
    seen = reach(plan, {key: bank[key].shape[-1] for key in bank})
    image = np.random.default_rng(0).normal(size=(96, 96))

    def coefficients(images):
        output = np.empty((len(images), *plan.output_shape))
        reference.run_whole(plan, bank, images, output)
        return np.array(
            [plan.maps_of(output, channel)[:, 0, 0] for channel in range(len(plan.paths))]
        )

    changed = np.stack([image] * 4)
    for number, (y, x) in enumerate(((seen + 1, 0), (0, -seen - 1), (seen, 0), (0, -seen))):
        changed[number, y, x] += 1
    before = coefficients(image[None])
    beyond, at = np.split(coefficients(changed) != before, 2, axis=1)
    assert not beyond.any()
    assert at.any()


@given(
    st.sampled_from(BOUNDARIES),
    st.sampled_from([True, False]),
    st.integers(1, 3),
    st.lists(st.integers(1, 20), max_size=4, unique=True),
    st.tuples(st.integers(16, 90), st.integers(16, 90)),
)
def test_every_coefficient_is_in_one_tile(boundary, average, J, cuts, shape):
    if boundary == "periodic":
        shape = tuple(side // 2**J * 2**J for side in shape)
    plan = plan_of(J=J, shape=shape, boundary=boundary, outputs=Outputs(average=average))
    both = [(0, *sorted(one for one in cuts if one < side >> J), side >> J) for side in shape]
    tiles = list(cut(plan, reach(plan, SIZES), tuple(both), as_is=True))
    for channel, size in enumerate(plan.channel_shapes):
        counted = np.zeros(size, int)
        for tile in tiles:
            part = counted[tile.place(channel)]
            assert part.shape == tile.plan.channel_shapes[channel]
            part += 1
        assert (counted == 1).all()
    assert sum(tile.shares for tile in tiles) == pytest.approx(1)


def test_tiles_inside_have_one_plan():
    plan = plan_of(shape=(400, 400))
    cuts = even_cuts(100, 10), even_cuts(100, 10)
    tiles = list(cut(plan, reach(plan, SIZES), cuts, as_is=True))
    assert len(tiles) == 100 and len({tile.plan for tile in tiles}) <= 9


def test_what_is_too_small_is_not_cut():
    plan = plan_of(shape=(40, 400))
    tiles = list(cut(plan, reach(plan, SIZES), ((0, 5, 10), even_cuts(100, 20)), as_is=True))
    assert {tile.plan.crop.rows.length for tile in tiles} == {plan.padded_shape[0]}
    assert len(tiles) == 5


@given(st.lists(st.integers(-1, 6), min_size=1, max_size=30))
def test_runs_are_slices(places):
    values = np.arange(7)
    taken = np.full(len(places), -1)
    for some, source, step in runs(places):
        if source:
            taken[some] = values[source][::step]
    assert taken.tolist() == places


def test_cuts_are_even():
    assert even_cuts(10, 10) == (0, 10)
    assert even_cuts(10, 4) == (0, 3, 6, 10)
    assert even_cuts(3, 1) == (0, 1, 2, 3)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_samples_are_centred_on_the_pixels_told(boundary):
    plan = plan_of(shape=(48, 36), boundary=boundary)
    output = np.empty((1, *plan.output_shape))
    for y, x in ((3, 4), (5, 2)):
        rows, columns = plan.positions()
        image = np.zeros((1, 48, 36))
        image[0, rows[y], columns[x]] = 1
        symmetric = bank_of("accurate")
        its_plan = make_plan(2, (48, 36), symmetric.architecture, boundary=boundary)
        output = np.empty((1, *its_plan.output_shape))
        reference.run_whole(its_plan, symmetric, image, output)
        assert np.unravel_index(output[0, 0].argmax(), output[0, 0].shape) == (y, x)
        assert output[0, 0, y, x - 1] == pytest.approx(output[0, 0, y, x + 1])
        assert output[0, 0, y - 1, x] == pytest.approx(output[0, 0, y + 1, x])
