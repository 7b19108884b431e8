"""The compiled executor against the definition, on random transforms."""

import numpy as np
from cases import random_cases
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_equal_to_rounding


@given(case=random_cases(), count=st.integers(1, 9), threads=st.integers(1, 3))
def test_random_transforms_equal_the_definition(case, count, threads):
    S, images = case.scattering("numba", threads=threads), case.images(count)
    coefficients = S(images)
    assert coefficients.dtype == np.result_type(case.dtype, np.float32)
    for image, actual in zip(images, coefficients, strict=True):
        assert np.array_equal(S(image), actual)
    for index in {0, count - 1}:
        image = images[index]
        assert_equal_to_rounding(coefficients[index], case.expected(image), S, image)
