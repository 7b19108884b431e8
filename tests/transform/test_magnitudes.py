"""Laws of images of extreme magnitude and of images on a high level: exact, or to rounding."""

import numpy as np
import pytest
from banks import bank_of
from kymatio.scattering2d.frontend.numpy_frontend import ScatteringNumPy2D
from tolerances import assert_equal_by_order

from npscatter import Scattering2D

DTYPES = [np.float32, np.float64]
BANKS = ["accurate", "paper", "free L=4 R=2"]
# By which images are scaled so that they and all coefficients are normal numbers.
POWERS = {np.float32: np.arange(-125, 101, 5), np.float64: np.arange(-1000, 1001, 80)}
BLIND = "accurate"


def transform(backend, bank=BLIND, shape=(16, 20), J=2, **options):
    bank = bank_of(bank)
    return Scattering2D(J, shape, bank.L, backend=backend, bank=bank, **options)


def whole_numbers(shape, most=2**12, seed=0):
    """Return images of integers from 0 to `most`, both included in each."""
    images = np.random.default_rng(seed).integers(0, most + 1, shape)
    images[..., 0, 0], images[..., 0, 1] = 0, most
    return images


# Powers of two


@pytest.mark.parametrize("name", BANKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_of_two_scale_the_bits_of_normal_numbers(backend, name, dtype):
    S = transform(backend, name)
    x = (whole_numbers((16, 20), 2**24) - 2**23).astype(dtype)
    powers = POWERS[dtype]
    expected = np.ldexp(S(x), powers[:, None, None, None].astype(np.intc))
    scaled = np.ldexp(x, powers[:, None, None].astype(np.intc))
    smallest = np.finfo(dtype).tiny
    assert min(np.abs(scaled[scaled != 0]).min(), np.abs(expected).min()) >= smallest
    assert np.array_equal(S(scaled), expected)
    assert np.array_equal(S(-scaled)[:, 1:], expected[:, 1:])
    assert np.array_equal(S(-scaled)[:, 0], -expected[:, 0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_of_two_scale_the_bits_on_a_level(backend, dtype):
    S = transform(backend)
    x = (whole_numbers((16, 20), 2**10) + 2**18).astype(dtype)
    powers = POWERS[dtype][::2]
    scaled = np.ldexp(x, powers[:, None, None].astype(np.intc))
    expected = np.ldexp(S(x), powers[:, None, None, None].astype(np.intc))
    assert np.array_equal(S(scaled), expected)


@pytest.mark.parametrize("peak", [1e-37, 1e-30, 1e-20, 1e-17, 1e-16, 1e16, 1e20, 1e30, 1e37])
@pytest.mark.parametrize("name", BANKS)
def test_float32_is_right_at_every_magnitude(backend, name, peak):
    S = transform(backend, name)
    noise = np.random.default_rng(1).normal(size=(3, 16, 20))
    images = (peak * noise / np.abs(noise).max()).astype(np.float32)
    assert_equal_by_order(S(images), S(images.astype(np.float64)), S, images)


def test_float64_is_right_at_every_magnitude(backend):
    S = transform(backend)
    image = np.random.default_rng(1).normal(size=(16, 20))
    expected = S(image)
    for peak in (1e-300, 1e-160, 1e160, 1e300):
        assert_equal_by_order(S(peak * image) / peak, expected, S, image)


@pytest.mark.parametrize("dtype", DTYPES)
def test_images_of_denormal_numbers_are_no_zeros(backend, dtype):
    """Such an image is scaled exactly; its coefficients are rounded to denormal numbers."""
    S = transform(backend)
    x = whole_numbers((16, 20), 2**16)
    one = np.log2(np.finfo(dtype).smallest_subnormal).astype(int)
    image = np.ldexp(x.astype(dtype), one)
    assert image.max() < np.finfo(dtype).tiny and (image != 0).sum() == (x != 0).sum()
    assert np.array_equal(S(image), np.ldexp(S(x.astype(dtype)), one))


@pytest.mark.parametrize("peak", [2.0**40, 2.0**60, 2.0**80])
def test_dark_parts_keep_their_contrast(backend, peak):
    """What a bright pixel does not reach is what it would be without it, at any magnitude."""
    S = transform(backend, "accurate", (128, 16), J=1)
    dark = whole_numbers((128, 16), 255).astype(np.float32)
    bright = dark.copy()
    bright[5, 5] = peak
    changed = (S(bright) != S(dark)).any((0, 2))
    assert changed[2] and not changed[24:56].any()


# Levels


@pytest.mark.parametrize("boundary", ["kymatio", "periodic"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["accurate", "paper-tuned"])
def test_a_constant_that_is_added_changes_the_average_alone(backend, name, dtype, boundary):
    S = transform(backend, name, boundary=boundary)
    x = whole_numbers((2, 16, 20), 2**8).astype(dtype)
    expected = S(x)
    for constant in (2**13, 10_000, 2**15 + 2**14, 2**23):
        raised, lowered = S(x + dtype(constant)), S(dtype(-constant) - x)
        assert np.array_equal(raised[:, 1:], expected[:, 1:])
        assert np.array_equal(lowered[:, 1:], expected[:, 1:])
        error = np.abs(raised[:, 0] - (expected[:, 0] + dtype(constant))).max()
        assert error <= 2 * np.finfo(dtype).eps * constant
        assert np.array_equal(lowered[:, 0], -raised[:, 0])


@pytest.mark.parametrize("dtype", [*DTYPES, np.int32, np.uint16])
def test_constant_images_have_an_average_and_nothing_else(backend, dtype):
    S = transform(backend)
    for constant in (1, 255, 10_001, np.pi, -1e30, 1e30, 1e-39):
        if np.dtype(dtype).kind == "f" or (constant == int(constant) and 0 < constant < 1e9):
            coefficients = S(np.full((16, 20), constant, dtype))
            kind = coefficients.dtype
            assert not coefficients[1:].any()
            expected = np.array(constant, dtype).astype(kind)
            assert np.allclose(coefficients[0], expected, rtol=np.finfo(kind).eps, atol=0)


@pytest.mark.parametrize("boundary", ["kymatio", "zero"])
def test_no_level_is_taken_from_what_sees_constants(backend, boundary):
    """Under zeros beyond the edge, and by the paper's wavelets, a level is part of the picture."""
    S = transform(backend, "paper" if boundary == "kymatio" else "accurate", boundary=boundary)
    x = whole_numbers((16, 20), 2**8).astype(np.float32)
    seen = S(x + np.float32(2**13))[1:]
    assert seen.max() > 2 * S(x)[1:].max()


@pytest.mark.parametrize("dtype", DTYPES)
def test_contrast_on_a_high_level_equals_kymatios(backend, dtype):
    """Contrast 1 on a level of 1e4, as far from Kymatio's coefficients as without the level."""
    x = np.random.default_rng(2).random((32, 32))
    x = (x + 1e4).astype(dtype).astype(np.float64) - 1e4
    S, order = transform(backend, shape=(32, 32)), transform(backend).meta()["order"]
    expected = ScatteringNumPy2D(2, (32, 32))(x)
    coefficients = S((x + 1e4).astype(dtype))
    for o, limit in ((1, 4e-3), (2, 6e-3)):
        distance = np.linalg.norm((coefficients - expected)[order == o])
        assert distance <= limit * np.linalg.norm(expected[order == o])
        change = np.abs(coefficients - S(x))[order == o].max()
        assert change <= 1e3 * np.finfo(dtype).eps * expected[order == o].max()


# Batches, layouts, and what is not finite


def extreme_images(dtype):
    """Return images of many magnitudes and levels, ordinary ones among them."""
    noise = np.random.default_rng(3).normal(size=(9, 16, 20))
    images = noise * np.array([1, 1e-30, 1, 1e30, 1, 1e-9, 255, 1e-38, 0])[:, None, None]
    images[2] += 1e4
    images[4] = -7 - images[4] / 1e6
    return images.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_images_are_computed_as_if_they_were_alone(backend, dtype):
    S, images = transform(backend), extreme_images(dtype)
    expected = np.stack([S(image) for image in images])
    assert np.array_equal(S(images[::-1]), expected[::-1])
    for threads, copies in [(1, 1), (1, 8), (2, 9)] if backend == "numba" else [(None, 1)]:
        S.threads = threads
        actual = S(np.concatenate([images] * copies))
        alone = np.concatenate([expected] * copies)
        assert np.array_equal(actual, alone)
        assert np.array_equal(np.signbit(actual), np.signbit(alone))


@pytest.mark.parametrize(
    "layout",
    [
        lambda a: a[..., ::-1, ::-1].copy()[..., ::-1, ::-1],
        lambda a: np.repeat(a, 2, -1)[..., ::2],
        np.asfortranarray,
        lambda a: a.astype(np.float16).astype(np.float32),
    ],
    ids=["reversed", "strided", "Fortran", "converted"],
)
def test_extreme_images_of_any_layout(backend, layout):
    S, images = transform(backend), extreme_images(np.float32)
    with np.errstate(over="ignore"):
        images = layout(images)
    expected, kept = S(np.ascontiguousarray(images)), images.copy()
    shape = expected.shape
    apart = np.full((*shape[:-1], 2 * shape[-1]), -1, np.float32)
    moved = np.empty((shape[1], *shape[2:], shape[0]), np.float32)
    for out in (apart[..., ::2], moved.transpose(3, 0, 1, 2), np.empty(shape, np.float32)[::-1]):
        S(images, out=out)
        assert np.array_equal(out, expected, equal_nan=True)
    assert (apart[..., 1::2] == -1).all()
    assert np.array_equal(images, kept, equal_nan=True)


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.int16])
def test_numbers_that_are_converted(backend, dtype):
    S = transform(backend)
    images = [whole_numbers((16, 20), 4), 100 - whole_numbers((16, 20), 4)]
    images = np.stack([*images, -images[1], whole_numbers((16, 20), 100)]).astype(dtype)
    assert np.array_equal(S(images), S(images.astype(np.float32)))


@pytest.mark.parametrize("poison", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_finite_decides_neither_level_nor_shift(backend, poison, dtype):
    S = transform(backend, shape=(40, 48), J=1)
    clean = 1 + np.random.default_rng(4).random((3, 40, 48)) / 100
    clean = (clean * np.array([1, 1e-30, 1e4])[:, None, None]).astype(dtype)
    for pixels in ([(3, 44)], [(3, 44), (0, 47)]):
        poisoned = clean.copy()
        for y, x in pixels:
            poisoned[:, y, x] = poison
            clean[:, y, x] = clean[:, 20, 20]  # neither the lowest value nor the highest
        expected, actual = S(clean), S(poisoned)
        spoilt = ~np.isfinite(actual)
        assert spoilt.any() and not spoilt[..., 8:16, 4:16].any()
        assert np.array_equal(actual[~spoilt], expected[~spoilt])


@pytest.mark.parametrize("dtype", DTYPES)
def test_images_without_a_finite_value(backend, dtype):
    images = np.stack([np.full((16, 20), np.nan), np.full((16, 20), np.inf), np.ones((16, 20))])
    S = transform(backend)
    coefficients = S(images.astype(dtype))
    assert np.isnan(coefficients[0]).all() and not np.isfinite(coefficients[1]).any()
    assert np.array_equal(coefficients[2], S(images[2].astype(dtype)))
