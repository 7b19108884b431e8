"""The NumPy executor against the definition, on random transforms."""

import numpy as np
from cases import random_cases
from hypothesis import given
from tolerances import assert_equal_to_rounding


@given(case=random_cases())
def test_random_transforms_equal_the_definition(case):
    S, images = case.scattering("numpy"), case.images()
    coefficients = S(images)
    assert coefficients.dtype == np.result_type(case.dtype, np.float32)
    for image, actual in zip(images, coefficients, strict=True):
        assert_equal_to_rounding(actual, case.expected(image), S, image)
