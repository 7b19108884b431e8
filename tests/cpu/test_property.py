"""The compiled executor against the definition, on random transforms."""

import numpy as np
from cases import random_cases
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_channels_equal


@given(case=random_cases(outputs=True), count=st.integers(1, 9), threads=st.integers(1, 3))
def test_random_transforms_equal_the_definition(case, count, threads):
    S, images = case.scattering("numba", threads=threads), case.images(count)
    coefficients = S(images)
    for index, image in enumerate(images):
        assert_same_bits(S(image), coefficients, index)
    for index in {0, count - 1}:
        image = images[index]
        assert_channels_equal(coefficients, index, case.expected(image), S, image)


def assert_same_bits(alone, together, index):
    """Compare what one image gives with what it gives beside others."""
    if not isinstance(together, list):
        assert np.array_equal(alone, together[index])
        return
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one["coef"], other["coef"][index])
