"""Generated C, compiled, on random transforms: float as by definition, Q15 as simulated."""

import numpy as np
import pytest
from cases import random_cases
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_equal_to_rounding

from cexport import generate, simulate_q15


def compile_case(compiled, case, dtype, rounds):
    options = {**case.options, "dtype": dtype, "rounds": rounds}
    return compiled(generate(case.bank, case.J, case.shape, **options), dtype)


@given(case=random_cases(dtypes=["float32"], pre_pad=False), rounds=st.sampled_from([1, 2]))
def test_random_float_headers_equal_the_definition(compiled, case, rounds):
    S, images = case.scattering(), case.images()
    coefficients = compile_case(compiled, case, "float", rounds)(images, S.plan.output_shape[1:])
    for image, actual in zip(images, coefficients, strict=True):
        assert_equal_to_rounding(actual, case.expected(image), S, image)


@pytest.mark.filterwarnings("ignore:dtype='q15'")  # Random filters may leave much noise.
@given(case=random_cases(dtypes=["float32"], pre_pad=False), rounds=st.sampled_from([1, 2]))
def test_random_q15_headers_equal_their_simulation(compiled, case, rounds):
    images = np.random.default_rng(case.seed).integers(0, 256, (3, *case.shape), np.uint8)
    expected, exponents = simulate_q15(images, case.bank, case.J, **case.options)
    header = compile_case(compiled, case, "q15", rounds)
    assert np.array_equal(header(images, expected.shape[-2:]), expected)
    assert list(header.lib.nps_exponents) == list(exponents)
