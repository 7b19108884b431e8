"""The program in Torch, as learning runs it, against the definition, on random transforms."""

import torch
from cases import random_cases
from hypothesis import given
from tolerances import assert_equal_to_rounding

from tools import torch_program


@given(case=random_cases(dtypes=["float32", "float64"]))
def test_random_transforms_equal_the_definition(case):
    S, images = case.scattering(), case.images()
    given = torch.from_numpy(images)
    weights = torch_program.weights_of(case.bank, given.dtype)
    coefficients = torch_program.run(S.plan, weights, given).numpy()
    assert coefficients.dtype == case.dtype
    for image, actual in zip(images, coefficients, strict=True):
        assert_equal_to_rounding(actual, case.expected(image), S, image)
