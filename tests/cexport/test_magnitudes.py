"""Float headers: images of extreme magnitude, and images on a high level."""

import numpy as np
import pytest
from banks import bank_of

from cexport import generate
from npscatter import Scattering2D

SHAPE = (16, 20)
# The first takes levels off; the paper's wavelets see them, and zeros beyond the edge are no level.
HEADERS = [("accurate-L4", "kymatio"), ("paper", "kymatio"), ("accurate-L4", "zero")]
BLIND = HEADERS[0]
FAST = ("-O3", "-fno-math-errno", "-ffast-math")


@pytest.fixture
def header(compiled):
    """Return the function that compiles a bank's header, and returns what it computes."""

    def compute(bank, boundary, flags=("-O2",)):
        module = compiled(generate(bank, 2, SHAPE, boundary=boundary), "float", flags)
        return lambda images: module(np.float32(images), (SHAPE[0] >> 2, SHAPE[1] >> 2))

    return compute


def reference(bank, boundary):
    L = bank_of(bank).L
    return Scattering2D(2, SHAPE, L, bank=bank, boundary=boundary, backend="numpy")


def assert_near(actual, images, S):
    """Compare with NumPy in double precision, image by image and order by order."""
    order = S.meta()["order"]
    for found, wanted in zip(actual, S(images.astype(np.float64)), strict=True):
        for k in range(3):
            error = np.linalg.norm((found - wanted)[order == k])
            assert error <= 2e-6 * np.linalg.norm(wanted[order == k])


def noise(*leading):
    return np.random.default_rng(1).normal(size=(*leading, *SHAPE))


def whole_numbers(most):
    """Return an image of integers from 0 to `most`, both included."""
    image = np.random.default_rng(0).integers(0, most + 1, SHAPE)
    image[0, :2] = 0, most
    return image.astype(np.float32)


MAGNITUDES = 10.0 ** np.arange(-36, 37, 6)
LEVELS = np.array([1e4, -1e4, 1e-20, 1e30])
CONTRASTS = np.array([1, 1, 1e-24, 1e26])


@pytest.mark.parametrize(("bank", "boundary"), HEADERS)
def test_every_magnitude_is_right(header, bank, boundary):
    images = (noise(len(MAGNITUDES)) * MAGNITUDES[:, None, None]).astype(np.float32)
    assert_near(header(bank, boundary)(images), images, reference(bank, boundary))


def test_contrast_on_a_high_level_is_right(header):
    levels, contrasts = LEVELS[:, None, None], CONTRASTS[:, None, None]
    images = np.float32(levels + contrasts * np.random.default_rng(2).random((4, *SHAPE)))
    assert_near(header(*BLIND)(images), images, reference(*BLIND))


@pytest.mark.parametrize(("bank", "boundary"), HEADERS)
def test_powers_of_two_scale_the_bits(header, bank, boundary):
    compute = header(bank, boundary)
    for image in (whole_numbers(2**24) - 2**23, whole_numbers(2**10) + 2**18):
        powers = np.arange(-125, 101, 5, dtype=np.intc)[:, None, None]
        expected = np.ldexp(compute(image[None]), powers[..., None])
        assert np.array_equal(compute(np.ldexp(image, powers)), expected)


def test_a_constant_that_is_added_changes_the_average_alone(header):
    compute, image = header(*BLIND), whole_numbers(2**8)
    (expected,) = compute(image[None])
    for constant in (2**13, 10_000, 2**23):
        raised, lowered = compute(np.stack([image + constant, -constant - image]))
        assert np.array_equal(raised[1:], expected[1:])
        assert np.array_equal(lowered[1:], expected[1:])
        error = np.abs(raised[0] - (expected[0] + constant)).max()
        assert error <= 2 * np.finfo(np.float32).eps * constant
        assert np.array_equal(lowered[0], -raised[0])


def test_denormal_numbers_are_no_zeros(header):
    compute, image = header(*BLIND), whole_numbers(2**16)[None]
    (expected,) = compute(image)
    assert np.array_equal(compute(np.ldexp(image, -149))[0], np.ldexp(expected, -149))


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_decides_neither_level_nor_scale(header, poison):
    compute = header(*BLIND)
    images = np.float32((1 + noise(3) / 100) * np.array([1, 1e-30, 1e4])[:, None, None])
    clean, poisoned = images.copy(), images.copy()
    poisoned[:, 0, 0], clean[:, 0, 0] = poison, images[:, 8, 8]
    spoilt, expected = compute(poisoned), compute(clean)
    there = ~np.isfinite(spoilt)
    assert there.any() and not there.all((1, 2, 3)).any()
    assert np.array_equal(spoilt[~there], expected[~there])
    assert not np.isfinite(compute(np.full((1, *SHAPE), poison))).any()


def test_finite_images_are_right_under_fast_math(header):
    """And others do no more harm than that they are not."""
    compute, S = header(*BLIND, FAST), reference(*BLIND)
    images = np.concatenate([noise(len(MAGNITUDES)) * MAGNITUDES[:, None, None], noise(2) + 1e5])
    assert_near(compute(images), np.float32(images), S)
    images[0, 3, 3], images[1] = np.inf, np.nan
    assert np.array_equal(compute(images)[2:], compute(images[2:]))
