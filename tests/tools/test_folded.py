"""Folded taps: elements, fits of filters, and what dropping elements costs."""

from dataclasses import replace

import numpy as np
import pytest

from npscatter import FilterBank, Scattering2D, list_banks
from npscatter.bounds.morlet import low_pass, morlet
from npscatter.program.steps import WEIGHT_ARRAYS, Architecture
from tools.closed_form import carriers, closed_form
from tools.filter_fit import QUIET, FilterFit, Targets, Weighting
from tools.folded import FoldedBank, within
from tools.least_squares import Freedom, Total, minimise
from tools.measure import multiply_adds_per_pixel
from tools.selection import Prices, eliminate, multiply_adds, output_rates

SMALL = {key: 3 for key in WEIGHT_ARRAYS} | {"psi_first": 5}
WEIGHTING = Weighting(points=32, octaves=3, sound=0.0)
ALIKE = dict.fromkeys(WEIGHT_ARRAYS, 1.0)


def pruned(bank, seed=0, share=0.6):
    """Return some of the elements, those of the centre always."""
    chance = np.random.default_rng(seed).random(len(bank.kept))
    central = np.array([sum(element.label[-2:]) == 0 for element in bank.kept])
    return bank.only(np.flatnonzero((chance < share) | central))


def random(bank, seed=0):
    """Return coefficients that meet the constraints."""
    offset, T = bank.feasible()
    return offset + T @ np.random.default_rng(seed).normal(size=len(bank.kept))


def real_arrays(bank):
    return {
        key: np.stack([bank[key].real, bank[key].imag]) if array.is_complex else bank[key]
        for key, array in WEIGHT_ARRAYS.items()
    }


# Elements


@pytest.mark.parametrize("name", [name for name in list_banks() if FilterBank.load(name).symmetric])
def test_shipped_banks_are_sums_of_elements(name):
    bank = FilterBank.load(name)
    taps = real_arrays(bank)
    kernels = {key: taps[key].shape[-1] for key in taps}
    folded = FoldedBank(bank.L, bank.R, kernels)
    c = folded.coefficients(taps)
    for key in taps:
        np.testing.assert_allclose(folded.dense(key, c), taps[key], rtol=0, atol=1e-15)
    np.testing.assert_allclose(folded.constraints @ c, folded.bounds, atol=1e-12)
    # Only those of the taps that are not zero cost anything.
    used = folded.only(np.flatnonzero(c))
    found = multiply_adds(used.kept, output_rates(bank.architecture, 2, bank.boundary))
    assert found == pytest.approx(multiply_adds_per_pixel(bank)["folded"])


@pytest.mark.parametrize(("L", "R"), [(4, 1), (4, 3), (6, 4), (8, 4)])
def test_elements_cost_what_a_summation_counts_and_are_symmetric(L, R):
    folded = pruned(FoldedBank(L, R, SMALL))
    c = random(folded)
    bank = folded.bank("random", c)
    assert bank.symmetric
    rates = output_rates(bank.architecture, 2, "kymatio")
    cost = multiply_adds(folded.kept, rates)
    assert cost == pytest.approx(multiply_adds_per_pixel(bank)["folded"])
    np.testing.assert_allclose(folded.coefficients(real_arrays(bank)), c, atol=1e-14)


def test_constraints_hold_for_whatever_is_free():
    folded = pruned(FoldedBank(4, 4, SMALL))
    c = random(folded)
    bank = folded.bank("random", c)
    for key in ("psi_first", "psi_next"):
        assert np.abs(bank[key][:, 0].sum((-2, -1))).max() < 1e-13
    for key in ("carry_first", "carry_next", "low_first", "low_next"):
        assert bank[key][0, 0].sum() == pytest.approx(1, abs=1e-13)
    assert np.abs(bank["carry_first"][1:].sum((-2, -1))).max() < 1e-13
    freedom = Freedom(folded, c)
    np.testing.assert_allclose(freedom(c[freedom.free]), c, atol=1e-12)
    moved = freedom(c[freedom.free] + np.random.default_rng(1).normal(size=len(freedom.free)))
    np.testing.assert_allclose(folded.constraints @ moved, folded.bounds, atol=1e-12)


def test_the_scale_of_carried_maps_changes_no_coefficient():
    folded = pruned(FoldedBank(4, 4, SMALL))
    c = random(folded)
    images = np.random.default_rng(0).normal(size=(1, 16, 16))

    def coefficients(c):
        bank = folded.bank("b", c)
        return Scattering2D(3, (16, 16), 4, bank=bank, backend="numpy")(images)

    before = coefficients(c)
    after = coefficients(folded.normalised(c))
    np.testing.assert_allclose(after, before, rtol=1e-9, atol=1e-9 * before.max())
    scale = np.abs(folded.dense("carry_first", folded.normalised(c))).sum((-3, -2, -1))
    np.testing.assert_allclose(scale[1:], 1)


def test_discs_keep_the_taps_within_and_the_cross_derivative_for_diagonals():
    kernels = SMALL | {"psi_next": 5}
    disc = within(FoldedBank(8, 4, kernels), {"psi_next": 2.3}, cross=0.8)
    bank = disc.bank("disc", random(disc))
    a = np.arange(-2, 3)
    outside = np.hypot(a[:, None], a) > 2.3
    assert not bank["psi_next"][..., outside].any()
    assert bank["psi_next"][:, 0][..., ~outside].all()
    # Only the diagonals, orientations 1 and 5 of 8, read the cross derivative.
    assert [bool(taps[3].any()) for taps in bank["psi_next"]] == [k in (1, 5) for k in range(8)]
    assert bank["carry_next"][0, 0].all()


# Fits of filters


def response(taps, w):
    """Return sum_ab taps[a, b] exp(i (w0 a + w1 b))."""
    a = np.arange(len(taps)) - len(taps) // 2
    total = 0
    for row, weights in zip(a, taps, strict=True):
        for column, weight in zip(a, weights, strict=True):
            total = total + weight * np.exp(1j * (w[:, 0] * row + w[:, 1] * column))
    return total


def plain_residuals(bank, targets):
    """Return all residuals of the filters of a bank, from its dense taps."""
    parts, L, R = [], bank.L, bank.R
    for octave, w in enumerate(targets.w):
        generation = "next" if octave else "first"
        seen = [np.ones(len(w), complex)]
        for level in range(octave):
            carry = bank["carry_next" if level else "carry_first"]
            seen = [
                sum(response(carry[r, s], 2**level * w) * h for s, h in enumerate(seen))
                for r in range(R)
            ]
        for row, theta in enumerate(targets.chosen):
            psi = bank[f"psi_{generation}"][theta]
            found = sum(response(psi[r], 2**octave * w) * h for r, h in enumerate(seen))
            wanted = morlet(w, L, octave)[theta]
            parts.append(targets.psi_scale[octave][row] * (found - wanted))
        low = bank[f"low_{generation}"][0]
        found = sum(response(low[r], 2**octave * w) * h for r, h in enumerate(seen))
        parts.append(targets.low_scale[octave] * (found - low_pass(w, octave + 1)))
    flat = np.concatenate(parts)
    return np.concatenate([flat.real, flat.imag])


@pytest.mark.parametrize(("L", "R"), [(4, 3), (8, 4)])
def test_filter_fits_equal_a_plain_computation_and_its_differences(L, R):
    folded = pruned(FoldedBank(L, R, SMALL))
    targets = Targets(L, WEIGHTING)
    fit = FilterFit(folded, targets)
    generator = np.random.default_rng(2)
    c, direction = random(folded), generator.normal(size=len(folded.kept))

    def residuals(c):
        return plain_residuals(folded.bank("b", c), targets)

    r = residuals(c)
    along = (residuals(c + 1e-5 * direction) - residuals(c - 1e-5 * direction)) / 2e-5
    value, gradient, matrix = fit.normal(c)
    assert fit.value(c) == pytest.approx(r @ r, rel=1e-10)
    assert value == pytest.approx(r @ r, rel=1e-10)
    assert gradient @ direction == pytest.approx(along @ r, rel=1e-6)
    assert direction @ matrix @ direction == pytest.approx(along @ along, rel=1e-6)


def test_growth_costs_what_its_differences_say():
    folded = pruned(FoldedBank(4, 4, SMALL))
    quiet, loud = (
        FilterFit(folded, Targets(4, replace(WEIGHTING, sound=sound))) for sound in (0.0, 0.5)
    )
    c, direction = random(folded), np.random.default_rng(3).normal(size=len(folded.kept))
    ahead, behind = (loud.value(c + e * direction) for e in (1e-6, -1e-6))
    value, gradient, _ = loud.normal(c)
    assert value > quiet.value(c)
    assert 2 * gradient @ direction == pytest.approx((ahead - behind) / 2e-6, rel=1e-4)
    # Nothing that is passed on is nothing that grows.
    still = np.where(folded.arrays == "carry_next", 0, c)
    assert loud.value(still) == quiet.value(still)


def test_gains_of_the_derivatives_cost_above_a_threshold():
    bank = FoldedBank(4, 3, SMALL)
    fit = FilterFit(bank, Targets(4, Weighting(points=32, octaves=1, sound=1.0)))
    silent = random(bank)
    silent[bank.of_array("carry_next")] = 0
    assert fit._soundness(silent, None) == 0
    loud = silent.copy()
    labels = {(element.array, element.label): n for n, element in enumerate(bank.kept)}
    centre = labels["carry_next", (1, 1, 0, 0, 0, 0)]
    # Each derivative is passed on as it is: twice as large in amplitude, as four aliases add up.
    loud[centre] = 1.0
    modes, gains = 2 * 1.0**2, 10 * 2 * (2 - QUIET) ** 2
    assert fit._soundness(loud, None) == pytest.approx(modes + gains)
    loud[centre] = 0.4
    assert fit._soundness(loud, None) == pytest.approx(2 * 0.4**2)


def test_relative_errors_of_filters_sum_to_one_for_a_bank_of_zeros():
    folded = FoldedBank(4, 1, SMALL)
    targets = Targets(4, Weighting(points=32, octaves=2, flat=0.5))
    zero = FilterFit(folded, targets).value(np.zeros(len(folded.kept)))
    # Wavelets and low-passes, each of a photographs' and of a flat spectrum.
    assert zero == pytest.approx(2 * (1 + 0.5**2))


def test_carriers_are_a_sampled_gaussian_and_its_derivatives():
    a = np.arange(-15, 16)
    g = np.exp(-(a**2) / (2 * 1.1**2))
    g /= g.sum()
    d = a * g / (1.1 * np.sqrt(2 / np.pi))
    w = np.random.default_rng(0).uniform(-np.pi, np.pi, (9, 2))
    wanted = [response(taps, w) for taps in map(np.outer, (g, d, g, d), (g, g, d, d))]
    np.testing.assert_allclose(carriers(w, 4, 1.1), wanted, atol=1e-6)


def test_closed_form_and_steps_fit_kymatios_filters():
    folded = FoldedBank(4, 3, dict.fromkeys(WEIGHT_ARRAYS, 5))
    fit = FilterFit(folded, Targets(4, Weighting(points=128, octaves=4)))
    start = closed_form(fit)
    np.testing.assert_allclose(folded.constraints @ start, folded.bounds, atol=1e-12)
    fitted, value = minimise(fit, start, 3)
    assert value == fit.value(fitted)
    unseen = FilterFit(folded, Targets(4, Weighting(points=256, octaves=4, seed=9)))
    before, after = (unseen.value(c) ** 0.5 for c in (start, fitted))
    # A broken fit is near or above 1.
    assert before < 0.2
    assert after < 0.8 * before


# Elimination


class Quadratic:
    """Squared residuals A c - y."""

    def __init__(self, bank, seed=0):
        generator = np.random.default_rng(seed)
        self.bank = bank
        self.A = generator.normal(size=(2 * len(bank.kept), len(bank.kept)))
        self.y = generator.normal(size=len(self.A))

    def value(self, c):
        return float(((self.A @ c - self.y) ** 2).sum())

    def normal(self, c):
        r = self.A @ c - self.y
        return float(r @ r), self.A.T @ r, self.A.T @ self.A

    def least(self, freedom, alive):
        """Return the least value with some free coefficients, from scratch."""
        A = self.A @ freedom.T[:, alive]
        y = self.y - self.A @ freedom.offset
        x = np.linalg.lstsq(A, y, rcond=None)[0]
        return float(((A @ x - y) ** 2).sum())


def test_steps_find_the_least_of_a_quadratic():
    folded = FoldedBank(4, 3, SMALL)
    objective = Total([(0.5, Quadratic(folded)), (2.0, Quadratic(folded, 1))])
    c = random(folded)
    found, value = minimise(objective, c, 12, tolerance=1e-12)
    freedom = Freedom(folded, c)
    whole = Quadratic(folded)
    parts = [np.sqrt(weight) * part.A for weight, part in objective.parts]
    whole.A = np.concatenate(parts)
    whole.y = np.concatenate([np.sqrt(weight) * part.y for weight, part in objective.parts])
    # Equal but for where BLAS finds its operands aligned.
    assert value == pytest.approx(objective.value(found), rel=1e-13)
    assert value == pytest.approx(whole.value(found))
    assert value == pytest.approx(whole.least(freedom, np.arange(len(freedom.free))))
    unmoved, before = minimise(objective, c, 0)
    assert before == pytest.approx(objective.value(unmoved), rel=1e-13)


@pytest.mark.parametrize("count", [1, 7])
def test_elimination_predicts_what_refitting_from_scratch_gives(count):
    folded = FoldedBank(4, 3, SMALL)
    objective, prices = Quadratic(folded), Prices(ALIKE, 0.7, 0.4)
    c = random(folded)
    normal = objective.normal(c)
    smaller, left, predicted = eliminate(folded, c, normal, prices, count, damping=0)
    labels = {(element.array, element.label) for element in smaller.kept}
    kept = np.array([(element.array, element.label) in labels for element in folded.kept])
    freedom = Freedom(folded, c)
    assert kept.sum() == len(folded.kept) - count
    assert np.delete(kept, freedom.free).all()
    best = objective.least(freedom, np.flatnonzero(kept[freedom.free]))
    assert predicted == pytest.approx(best)
    full = np.zeros(len(c))
    full[kept] = left
    assert objective.value(full) == pytest.approx(best)
    np.testing.assert_allclose(folded.constraints @ full, folded.bounds, atol=1e-12)
    if count == 1:
        every = np.arange(len(freedom.free))
        start = objective.least(freedom, every)
        gains = [objective.least(freedom, np.delete(every, n)) - start for n in every]
        price = prices.of(folded, range(len(c)))[freedom.free]
        assert freedom.free[np.argmin(gains / price)] == np.flatnonzero(~kept)[0]


def test_elimination_stops_when_told_and_keeps_arrays():
    folded = FoldedBank(4, 3, SMALL)
    objective, c = Quadratic(folded), random(folded)
    enough = multiply_adds(folded.kept, ALIKE) - 10
    smaller, _, _ = eliminate(
        folded,
        c,
        objective.normal(c),
        Prices(ALIKE, 0, 0),
        1000,
        enough=lambda kept: multiply_adds(kept, ALIKE) <= enough,
        arrays=("psi_next",),
    )
    assert enough - 4 < multiply_adds(smaller.kept, ALIKE) <= enough
    others = [e for e in folded.kept if e.array != "psi_next"]
    assert [e for e in smaller.kept if e.array != "psi_next"] == others


def test_who_shares_a_sample_or_a_row_shares_its_price():
    folded = pruned(FoldedBank(8, 4, SMALL))
    prices = Prices(ALIKE, 3.0, 20.0)
    every = range(len(folded.kept))
    samples = {(e.array, *folded_tap) for e in folded.kept for folded_tap in e.folded}
    rows = {(*sample[:3], sample[4]) for sample in samples}
    products = sum(element.multiplies for element in folded.kept)
    whole = products + 3 * len(samples) + 20 * len(rows)
    assert prices.of(folded, every).sum() == pytest.approx(whole)
    assert np.isinf(prices.of(folded, every[1:])[0])


def test_rates_are_of_the_plans_steps():
    rates = output_rates(Architecture(8, 4, 1, "carried"), 2, "kymatio")
    # Once for every pixel; the padding costs some percent.
    assert 1 < rates["psi_first"] < 1.05
    assert rates["carry_next"] == 0
    assert output_rates(Architecture(8, 4, 1, "carried"), 3, "kymatio")["carry_next"] > 0.5
