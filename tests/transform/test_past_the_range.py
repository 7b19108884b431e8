"""Scales, sizes, pictures and magnitudes beyond those that banks and kernels were chosen for."""

import numpy as np
import pytest
from banks import bank_of
from tolerances import assert_equal_to_rounding

from npscatter import Scattering2D


def white_noise(generator, shape):
    return generator.standard_normal(shape)


def star_field(generator, shape):
    """Return point sources of very different brightness over a noisy background."""
    sky = generator.poisson(2, shape) * 0.1
    for row, column in generator.integers(0, min(shape), (shape[0] * shape[1] // 200, 2)):
        sky[row, column] += generator.pareto(1.5)
    return sky


@pytest.mark.parametrize("magnitude", [1.0, 1e17, 1e-17])
@pytest.mark.parametrize("picture", [white_noise, star_field])
def test_compiled_equals_the_reference_at_the_largest_scale(picture, magnitude):
    # Of a bank that lets no map outgrow the image, so that rounding stays as small as it was.
    bank = bank_of("symmetric L=4 R=3")
    image = magnitude * picture(np.random.default_rng(0), (256, 257))
    S, N = (Scattering2D(8, image.shape, 4, bank=bank, backend=name) for name in ("numba", "numpy"))
    expected = N(image)
    assert expected.shape == (1 + 32 + 16 * 28, 1, 1) and np.isfinite(expected).all()
    for dtype in (np.float64, np.float32):
        assert_equal_to_rounding(S(image.astype(dtype)), expected, S, image)


@pytest.mark.parametrize("shape", [(512, 512), (512, 513), (513, 512)])
def test_images_of_a_batch_stay_apart_at_the_largest_scale(shape):
    images = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    S = Scattering2D(8, shape)
    coefficients = S(images)
    assert coefficients.shape == (2, 1 + 64 + 64 * 28, 2, 2) and np.isfinite(coefficients).all()
    assert np.array_equal(S(images[1]), coefficients[1])
    assert S(images[:0]).shape == (0, *S.output_shape)
