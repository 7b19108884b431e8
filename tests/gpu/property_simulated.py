"""Random transforms in numba-cuda's simulator, against the definition.

``python tests/gpu/property_simulated.py PROFILE``, with NUMBA_ENABLE_CUDASIM=1 and tests/ on the
path: a process of its own, for Numba decides on import whether it simulates.
"""

import sys

from cases import random_cases, use_profile
from gpu_turns import use_turns
from hypothesis import given
from tolerances import assert_channels_equal

use_profile(sys.argv[1])
use_turns()


@given(case=random_cases(outputs=True))
def equal_the_definition(case):
    S, images = case.scattering("cuda"), case.images()
    coefficients = S(images)
    for number, image in enumerate(images):
        assert_channels_equal(coefficients, number, case.expected(image), S, image)


equal_the_definition()
