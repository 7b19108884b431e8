"""Integer filters and the bounds proven for them: what is kept, what is lost, what is reached."""

from functools import cache

import numpy as np
import pytest
from banks import bank_of

from cexport import rounding
from cexport.integer_bank import (
    LARGEST_CARRIED,
    LARGEST_MODULUS,
    LARGEST_WEIGHT,
    IntegerBank,
    largest_norm,
    largest_read,
)
from cexport.quantization import LARGEST_COEFFICIENT, PIXEL_EXPONENT, Quantization
from cexport.simulation import Q15Arithmetic
from npscatter import FilterBank, list_banks
from npscatter.backends import reference
from npscatter.program.plan import make_plan
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.program.summation import make_summation
from npscatter.program.symmetry import act

TOYS = [
    "free L=4 R=3",
    "symmetric L=8 R=1",
    "symmetric L=6 R=3",
    "symmetric L=4 R=4 K=9",
    "paper shape",
]
BANKS = [*list_banks(), *TOYS]
SYMMETRIC = ["accurate", "accurate-L4", "accurate-L6", "paper-tuned"]
SYMMETRIC += [name for name in TOYS if name.startswith("symmetric")]


@pytest.fixture(scope="module")
def integer_bank():
    """Return the function that gives a bank in integers, by its name."""

    @cache
    def integers(name):
        return IntegerBank(bank_of(name))

    return integers


@pytest.fixture(params=BANKS)
def integers(request, integer_bank):
    """Every shipped bank and some toys, in integers."""
    return integer_bank(request.param)


def scaled_taps(integers, key):
    """Return the bank's filters in units of the integers' last place."""
    taps, filters = integers.bank.real_taps(key), integers.filters[key]
    if WEIGHT_ARRAYS[key].generation == "next":
        taps = taps * 2.0 ** -np.array(integers.carrier_exponents)[:, None, None]
    exponents = np.resize(filters.exponents, len(taps))
    return taps * 2.0 ** exponents[:, None, None, None]


def error_on_pictures(error, lags):
    """Return e' C e, summed lag by lag."""
    K, centre = error.shape[-1], lags.shape[-1] // 2
    total = 0.0
    for dy, dx in np.ndindex(2 * K - 1, 2 * K - 1):
        y, x = dy - K + 1, dx - K + 1
        here = error[:, max(0, -y) : K - max(0, y), max(0, -x) : K - max(0, x)]
        there = error[:, max(0, y) : K + min(0, y), max(0, x) : K + min(0, x)]
        products = np.tensordot(here, there, ((1, 2), (1, 2)))
        at = [centre + np.clip(shift, -centre, centre) for shift in (y, x)]
        total += (products * lags[:, :, at[0], at[1]]).sum()
    return total


# The filters


@pytest.mark.parametrize("key", list(WEIGHT_ARRAYS))
def test_a_summations_weights_stand_for_its_filters(integers, key):
    taps = integers.bank.real_taps(key)
    order, weights = make_summation(taps, integers.bank.symmetric)
    unfolded = rounding.unfolded(order, weights)
    assert np.abs(unfolded - taps).max() <= 4 * np.finfo(float).eps * np.abs(taps).max()
    assert np.allclose(rounding.folded(order, taps), weights, rtol=1e-12, atol=1e-15)
    whole = np.rint(1000 * weights)
    assert np.array_equal(rounding.folded(order, rounding.unfolded(order, whole)), whole)


def test_no_sum_of_so_much_leaves_32_bits_and_no_two_carried_rows_16(integers):
    assert 2 * LARGEST_CARRIED < 2**15 and LARGEST_MODULUS == LARGEST_WEIGHT == 2**15 - 1
    for key in integers.filters:
        read = largest_read(integers.bank, key)
        assert largest_norm(integers.bank, key) * read + 2**15 < 2**31


@pytest.mark.parametrize("boundary", ["periodic", "zero"])
def test_what_smooths_moduli_is_known(integers, boundary):
    bank, smooth = integers.bank, set()
    for J in (1, 2, 4):
        plan = make_plan(J, (32, 32), bank.architecture, 2, boundary)
        smooth |= {step.smoothing for step in plan.steps if step.wavelets}
    for key in bank:
        assert largest_read(bank, key) == (LARGEST_MODULUS if key in smooth else LARGEST_CARRIED)


def test_integers_fit_and_use_what_they_may(integers):
    for key, filters in integers.filters.items():
        norms = np.abs(filters.taps).sum((1, 2, 3))
        most = largest_norm(integers.bank, key)
        assert norms.max() <= most
        assert tuple(norms) == filters.norms
        assert np.array_equal(filters.taps, np.rint(filters.taps))
        # The weights as the C has them: folded ones can be larger than taps.
        for rows in (True, False):
            order, _ = make_summation(filters.taps, integers.bank.symmetric, rows)
            weights = rounding.folded(order, filters.taps)
            assert np.array_equal(weights, np.rint(weights))
            assert np.abs(weights).max() <= LARGEST_WEIGHT
            assert np.array_equal(rounding.unfolded(order, weights), filters.taps)
        # One bit more would not fit: of a wavelet, one of its two parts.
        both = norms.reshape(-1, len(filters.exponents)).max(0)
        largest = np.abs(filters.taps).max((1, 2, 3)).reshape(-1, len(filters.exponents)).max(0)
        assert ((2.01 * both > most) | (4.02 * largest > LARGEST_WEIGHT)).all()


def test_rounding_keeps_sums_and_stays_near(integers):
    for key, filters in integers.filters.items():
        exact = scaled_taps(integers, key)
        assert np.abs(filters.taps - exact).max() <= 8
        if np.abs(exact).max((2, 3)).min() == 0:
            continue
        missed = np.abs(filters.taps.sum((2, 3)) - exact.sum((2, 3)))
        # A folded weight is that of up to eight tied taps, and moves the sum by as many.
        free = exact[..., exact.shape[2] // 2, exact.shape[3] // 2] != 0
        assert missed[free].max() <= 0.5 + 1e-6
        assert missed.max() <= 4 + 1e-6


def test_wavelets_without_a_mean_have_none_in_integers(integer_bank):
    for name in ("accurate", "accurate-L4", "accurate-L6"):
        for key in ("psi_first", "psi_next"):
            taps = integer_bank(name).filters[key].taps
            means = integer_bank(name).bank.real_taps(key).sum((2, 3))
            none = np.abs(means) < 1e-7
            assert none[:, 0].all()
            assert not taps.sum((2, 3))[none].any()


def test_rounding_is_no_worse_for_pictures_than_to_the_nearest(integers):
    """Where to the nearest keeps the sums too, and often better by 3 dB for shipped banks."""
    lags = rounding.autocovariances(integers.bank)
    better = []
    for key, filters in integers.filters.items():
        exact = scaled_taps(integers, key)
        order, weights = make_summation(exact, integers.bank.symmetric)
        nearest = rounding.unfolded(order, np.rint(weights))
        for whole, rounded, taps in zip(nearest, filters.taps, exact, strict=True):
            covariance = lags[WEIGHT_ARRAYS[key].generation]
            before = error_on_pictures(whole - taps, covariance)
            after = error_on_pictures(rounded - taps, covariance)
            better.append(before > 2 * after)
            if np.abs((whole - taps).sum((1, 2))).max() <= 0.5:
                assert after <= before * (1 + 1e-6) + 1e-9
    if integers.bank.name in list_banks():
        assert np.mean(better) > 0.4


@pytest.mark.parametrize("words", [("flip",), ("transpose", "flip", "transpose")])
@pytest.mark.parametrize("name", SYMMETRIC)
def test_mirrored_filters_stay_mirrored(integer_bank, name, words):
    """To the last bit, about both axes; transposed ones may be rounded another way."""
    integers = integer_bank(name)
    assert integers.bank.symmetric
    for key, array in WEIGHT_ARRAYS.items():
        taps = integers.filters[key].taps
        if array.is_complex:
            taps = np.stack(np.split(taps, 2))
        moved = taps
        for word in words:
            moved = act(word, moved, array.role)
        assert np.array_equal(moved, taps)


def test_rounding_leaves_whole_numbers_alone():
    generator = np.random.default_rng(5)
    taps = generator.integers(-50, 50, (2, 1, 3, 3)).astype(float)
    lags = rounding.autocovariances(FilterBank.load("accurate"))["first"]
    for folded in (False, True):
        order, weights = make_summation(taps, folded)
        if np.array_equal(weights, np.rint(weights)):
            assert np.array_equal(rounding.rounded(order, weights, np.ones(2), lags), taps)


def test_filters_of_zeros_stay_so():
    lags = rounding.autocovariances(FilterBank.load("accurate"))["first"]
    taps = np.zeros((2, 1, 5, 5))
    taps[1, 0, 1, 2] = 3.4
    for folded in (False, True):
        order, weights = make_summation(taps, folded)
        integers = rounding.rounded(order, weights, np.ones(2), lags)
        assert not integers[0].any() and integers[1].any()


# The bounds


class Recorder(Q15Arithmetic):
    """Integer arithmetic that notes how large every step's numbers become."""

    def __init__(self, quantization):
        super().__init__(quantization)
        count = len(quantization.shifts)
        self.moduli, self.smoothings = np.zeros(count), np.zeros(count)

    def modulus(self, number, real, imaginary):
        assert max(np.abs(real).max(), np.abs(imaginary).max()) < 2**31 - 2**15
        result = super().modulus(number, real, imaginary)
        self.moduli[number] = max(self.moduli[number], result.max())
        return result

    def smoothed(self, number, sums):
        assert np.abs(sums).max() < 2**31 - 2**15
        result = super().smoothed(number, sums)
        self.smoothings[number] = max(self.smoothings[number], np.abs(result).max())
        return result


def reached(quantization, images):
    """Return the largest modulus and the largest smoothed number of every step."""
    plan = quantization.plan
    recorder = Recorder(quantization)
    output = np.empty((len(images), *plan.output_shape))
    reference.interpret(plan, recorder, np.asarray(images) * 2.0**PIXEL_EXPONENT, output)
    return recorder.moduli, recorder.smoothings


def effective(taps, before, spacing):
    """Return the filters of pixels that `taps` are, of maps that have the filters `before`."""
    K, size = taps.shape[-1], before.shape[-1]
    result = np.zeros((len(taps), *[(K - 1) * spacing + size] * 2))
    for a, b in np.ndindex(K, K):
        rows = slice(a * spacing, a * spacing + size)
        columns = slice(b * spacing, b * spacing + size)
        result[:, rows, columns] += np.einsum("oi,iyx->oyx", taps[:, :, a, b], before)
    return result


def hardest_images(quantization):
    """Yield images made for one number each: white where a filter is positive, or black there.

    The filters are those that lead from the pixels to carried maps, to the real and imaginary
    parts of the first order's wavelets, and to what lies between these parts.
    """
    plan, filters = quantization.plan, quantization.integers.filters
    design = plan.architecture
    maps, spacing = np.ones((1, 1, 1)), 1
    for octave in range(plan.J):
        generation = design.generation(octave == 0, octave)
        psi = effective(filters[f"psi_{generation}"].taps, maps, spacing)
        real, imaginary = np.split(psi, 2)
        angles = np.pi * np.arange(8) / 8
        wanted = [np.cos(angle) * real + np.sin(angle) * imaginary for angle in angles]
        maps = effective(filters[f"carry_{generation}"].taps, maps, spacing)
        # Centred on a pixel that every octave keeps.
        padded = len(plan.rows), len(plan.columns)
        centre = [(side // 2) >> plan.J << plan.J for side in padded]
        for some in (*wanted, maps):
            half = some.shape[-1] // 2
            for taps in (*some, *-some):
                canvas = np.zeros(padded)
                y, x = np.indices(taps.shape)
                at = [(y - half + centre[0]) % padded[0], (x - half + centre[1]) % padded[1]]
                np.add.at(canvas, tuple(at), taps)
                kept = [np.array(axis) for axis in (plan.rows, plan.columns)]
                image = np.zeros(plan.shape, np.uint8)
                seen = np.ix_(kept[0] >= 0, kept[1] >= 0)
                image[kept[0][kept[0] >= 0][:, None], kept[1][kept[1] >= 0]] = 255 * (
                    canvas[seen] > 0
                )
                yield image
        spacing *= 2


CASES = [
    ("accurate", 2, (32, 32), "periodic"),
    ("accurate-L4", 2, (32, 24), "zero"),
    ("accurate-L6", 2, (24, 24), "periodic"),
    ("paper", 3, (32, 32), "zero"),
    ("paper-tuned", 3, (40, 32), "periodic"),
    ("symmetric L=6 R=3", 2, (24, 24), "periodic"),
    ("free L=4 R=3", 3, (24, 24), "zero"),
    ("free L=4 R=3", 3, (24, 24), "periodic"),
    ("paper shape", 2, (32, 32), "zero"),
]


@pytest.mark.parametrize(("name", "J", "shape", "boundary"), CASES)
def test_no_image_exceeds_the_bounds_and_some_come_near(
    integer_bank, record_property, name, J, shape, boundary
):
    integers = integer_bank(name)
    plan = make_plan(J, shape, integers.bank.architecture, 2, boundary)
    quantization = Quantization(plan, integers)
    generator = np.random.default_rng(6)
    y, x = np.indices(shape)
    others = [
        *generator.integers(0, 256, (4, *shape)),
        *(255 * generator.integers(0, 2, (4, *shape))),
        *(255 * ((y // n + x // n) % 2) for n in (1, 2, 4, 8)),
        np.full(shape, 255),
        np.zeros(shape),
        255 * (x > shape[1] // 2),
    ]
    images = np.array([*others, *hardest_images(quantization)])
    moduli, smoothings = reached(quantization, images)
    bounds = np.array([shifts.largest_modulus for shifts in quantization.shifts])
    smoothed_bounds = np.array([shifts.largest_smoothed for shifts in quantization.shifts])
    most = [LARGEST_COEFFICIENT if step.emits else LARGEST_CARRIED for step in plan.steps]
    assert bounds.max() <= LARGEST_MODULUS and (smoothed_bounds <= most).all()
    assert (moduli <= bounds).all() and (smoothings <= smoothed_bounds).all()
    first = [n for n, step in enumerate(plan.steps) if step.wavelets and step.source.count == 1]
    ratios = moduli[first] / bounds[first]
    record_property("first octave's modulus over its bound", float(ratios.max()))
    assert ratios.max() > 0.9
    assert smoothings[-1] > 0
