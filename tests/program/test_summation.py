"""The order of summation: read off by a plain interpreter, it is the correlation it stands for.

Taps and samples are small integers, so every sum is exact and results must be equal.
"""

import itertools

import numpy as np
import pytest

from npscatter.bank import FilterBank
from npscatter.program.summation import Row, make_summation


def random_taps(shape, seed=0, zeros=0.0):
    """Return integer taps, none of them zero but for a share `zeros` of them."""
    generator = np.random.default_rng([seed, *shape])
    taps = generator.integers(1, 50, shape) * generator.choice([-1.0, 1.0], shape)
    return np.where(generator.random(shape) < zeros, 0.0, taps)


def evaluated(plan, weights, windows):
    """Return the outputs for windows of shape (I, K, K, ...), by the words of `Summation`."""
    centre = plan.size // 2

    def sample(row, x):
        near = windows[row.map, centre + row.offset, centre + x]
        return near + row.fold * windows[row.map, centre - row.offset, centre + x]

    sums = [np.zeros(windows.shape[3:])] * plan.accumulators
    for term in plan.samples:
        row = plan.rows[term.row]
        value = sample(row, term.offset) + term.fold * sample(row, -term.offset)
        for accumulator, index in term.terms:
            sums[accumulator] = sums[accumulator] + weights[index] * value
    return np.array([sums[first] + sign * sums[second] for first, second, sign in plan.outputs])


def correlated(taps, windows):
    return np.einsum("oiab,iab...->o...", taps, windows)


def check(taps, folded):
    """Compare with the correlation, check what every executor relies on, and return the plan."""
    plan, weights = make_summation(taps, folded)
    windows = np.random.default_rng(5).integers(-99, 100, (*taps.shape[1:], 20)).astype(float)
    assert np.array_equal(evaluated(plan, weights, windows), correlated(taps, windows))
    assert (plan.size, plan.maps) == (taps.shape[-1], taps.shape[1])
    assert len(plan.outputs) == len(taps)
    assert weights.dtype == np.float64 and weights.shape == (plan.multiply_adds,)
    assert weights.all()
    indices = [index for term in plan.samples for _, index in term.terms]
    assert indices == list(range(plan.multiply_adds))
    assert len(set(plan.rows)) == len(plan.rows) and list(plan.rows) == sorted(plan.rows, key=key)
    assert {term.row for term in plan.samples} == set(range(len(plan.rows)))
    places = [(term.row, term.offset, term.fold) for term in plan.samples]
    assert len(set(places)) == len(places)
    radius = plan.size // 2
    for part in (*plan.rows, *plan.samples):
        assert abs(part.offset) <= radius and part.fold in (-1, 0, 1)
        assert part.offset > 0 or not part.fold  # the centre is its own mirror image
        assert folded or not part.fold
    for term in plan.samples:
        assert term.sums == {accumulator for accumulator, _ in term.terms}
        assert len(term.sums) == len(term.terms)
        assert all(0 <= accumulator < plan.accumulators for accumulator in term.sums)
    used = {first for first, _, _ in plan.outputs}
    used |= {second for _, second, sign in plan.outputs if sign}
    assert used == set(range(plan.accumulators))
    return plan


def key(row):
    return row.map, row.offset, row.fold


SHAPES = [(1, 1, 1, 1), (1, 1, 3, 3), (3, 2, 3, 3), (4, 1, 5, 5), (2, 3, 7, 7), (6, 4, 1, 1)]


@pytest.mark.parametrize("zeros", [0, 0.4, 0.9, 1])
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_taps(shape, folded, zeros):
    for seed in range(5):
        taps = random_taps(shape, seed, zeros)
        plan = check(taps, folded)
        if not folded:
            assert plan.multiply_adds == np.count_nonzero(taps) and plan.additions == 0
            assert plan.outputs == tuple((k, 0, 0) for k in range(len(taps)))


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize(("L", "R"), [(2, 1), (4, 3), (6, 4), (8, 1)])
def test_symmetric_banks(toy_bank, L, R, folded):
    bank = toy_bank("symmetric", L, R, K=7)
    for name in bank.keys():
        for outputs in (None, (0,), tuple(range(len(bank[name])))[::-1]):
            taps = np.rint(1e4 * bank.real_taps(name, outputs))
            plan = check(taps, folded)
            # About a quarter; a half for a wavelet without its mirror image.
            most = 0.55 if outputs == (0,) else 0.34
            assert not folded or plan.multiply_adds <= most * np.count_nonzero(taps)


@pytest.mark.parametrize(
    ("parity", "products"), [((1, 1), 9), ((1, -1), 6), ((-1, 1), 6), ((-1, -1), 4)]
)
def test_a_parity_takes_a_quarter_of_the_products(parity, products):
    taps = random_taps((1, 1, 5, 5))
    for axis, sign in zip((-2, -1), parity, strict=True):
        taps = taps + sign * np.flip(taps, axis)
    plan = check(taps, True)
    assert plan.multiply_adds == products
    assert {row.fold for row in plan.rows if row.offset} == {parity[0]}
    assert {term.fold for term in plan.samples if term.offset} == {parity[1]}
    assert check(taps, False).multiply_adds == np.count_nonzero(taps)


@pytest.mark.parametrize("axes", [(-1,), (-2,), (-2, -1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_mirrored_pairs_share_their_products(axes, sign):
    one = random_taps((1, 2, 5, 5))
    alone = check(one, True)
    pair = check(np.concatenate([one, sign * np.flip(one, axes)]), True)
    assert pair.multiply_adds == alone.multiply_adds == one.size
    assert pair.accumulators == 2
    assert pair.outputs[0] == (0, 1, 1)
    assert pair.outputs[1] == (0, 1, -1)
    apart = check(np.concatenate([one, random_taps(one.shape, 1)]), True)
    assert apart.multiply_adds == 2 * one.size and apart.outputs == ((0, 0, 0), (1, 0, 0))


def test_several_pairs_and_what_only_looks_like_one():
    one, other = random_taps((2, 1, 3, 3))[:, None]
    mirrored = np.flip(one, -1)
    for filters in itertools.permutations([one, mirrored, other, np.flip(other, -2)]):
        plan = check(np.concatenate(filters), True)
        assert plan.accumulators == 4 and plan.multiply_adds == 18
    for filters in itertools.product([one, -one, mirrored, -mirrored, 2 * mirrored], repeat=3):
        check(np.concatenate(filters), True)
    even = one + mirrored
    for filters in ([even, even], [even, -even], [even, np.flip(even, -1)]):
        assert check(np.concatenate(filters), True).accumulators == 2


def test_zero_taps_and_the_rows_that_hold_only_them_are_skipped():
    taps = np.zeros((2, 2, 5, 5))
    taps[0, 0, 1, 3] = 3
    assert check(taps, False).rows == (Row(0, -1, 0),)
    folded = check(taps, True)
    assert folded.rows == (Row(0, 1, -1), Row(0, 1, 1)) and folded.multiply_adds == 4
    taps[1, 1, 2, 2] = 5
    for plan in (check(taps, False), check(taps, True)):
        assert Row(1, 0, 0) in plan.rows
    none = check(np.zeros((3, 2, 5, 5)), True)
    assert none.rows == none.samples == () and none.accumulators == 3


def test_a_summation_knows_where_the_taps_are_but_not_their_values():
    taps = random_taps((4, 2, 5, 5), zeros=0.3)
    taps = np.concatenate([taps, np.flip(taps, -1)])
    for folded in (False, True):
        one, weights = make_summation(taps, folded)
        other, scaled = make_summation(-3 * taps, folded)
        assert one == other and hash(one) == hash(other)
        assert np.array_equal(scaled, -3 * weights)
        assert make_summation(taps[:, :1], folded)[0] != one


# As the selection counted them.
COUNTS = {
    "psi_first": 193,
    "carry_first": 40,
    "low_first": 10,
    "psi_next": 319,
    "carry_next": 103,
    "low_next": 16,
}


def test_multiply_adds_of_the_shipped_banks():
    accurate, paper = FilterBank.load("accurate"), FilterBank.load("paper")
    for name, folded in COUNTS.items():
        taps = accurate.real_taps(name)
        assert make_summation(taps, False)[0].multiply_adds == np.count_nonzero(taps)
        assert make_summation(taps, True)[0].multiply_adds == folded
    for name in ("psi_first", "psi_next"):
        assert make_summation(paper.real_taps(name), False)[0].multiply_adds == 2 * 8 * 49
    # No parity, nothing to save: folding may be done, but only costs additions.
    plan, _ = make_summation(paper.real_taps("psi_first"), True)
    assert plan.multiply_adds == 784 and plan.additions > 0


def test_folded_sums_equal_direct_ones_to_rounding():
    bank = FilterBank.load("accurate")
    for name in bank.keys():
        taps = bank.real_taps(name)
        windows = np.random.default_rng(6).normal(size=(*taps.shape[1:], 50))
        expected = correlated(taps, windows)
        for folded in (False, True):
            difference = evaluated(*make_summation(taps, folded), windows) - expected
            assert np.abs(difference).max() < 1e-14 * np.abs(expected).max()
