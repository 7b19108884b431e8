"""Random transforms in numba-cuda's simulator, against the definition.

``python tests/gpu/property_simulated.py PROFILE``, with NUMBA_ENABLE_CUDASIM=1 and tests/ on the
path: a process of its own, for Numba decides on import whether it simulates.
"""

import sys

import numpy as np
from cases import random_cases, use_profile
from hypothesis import given
from tolerances import assert_equal_to_rounding

use_profile(sys.argv[1])


@given(case=random_cases())
def equal_the_definition(case):
    S, images = case.scattering("cuda"), case.images()
    coefficients = S(images)
    assert coefficients.dtype == np.result_type(case.dtype, np.float32)
    for image, actual in zip(images, coefficients, strict=True):
        assert_equal_to_rounding(actual, case.expected(image), S, image)


equal_the_definition()
