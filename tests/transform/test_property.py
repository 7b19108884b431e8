"""The NumPy executor against the definition, on random transforms."""

from cases import random_cases
from hypothesis import given
from tolerances import assert_channels_equal


@given(case=random_cases(outputs=True))
def test_random_transforms_equal_the_definition(case):
    S, images = case.scattering("numpy"), case.images()
    coefficients = S(images)
    for number, image in enumerate(images):
        assert_channels_equal(coefficients, number, case.expected(image), S, image)
