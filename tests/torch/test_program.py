"""The program in Torch, as learning runs it, against the definition, on random transforms."""

import numpy as np
import pytest
import torch
from cases import random_cases
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_equal_to_rounding

from npscatter.program.magnitude import level_and_shift, ordinary_exponents
from npscatter.torch import program
from npscatter.torch.magnitude import levels_and_shifts, scaled


@given(case=random_cases(dtypes=["float32", "float64"], outputs=True))
def test_random_transforms_equal_the_definition(case):
    S, images = case.scattering(), case.images()
    given = torch.from_numpy(images)
    weights = program.weights_of(case.bank, given.dtype)
    coefficients = program.run(S.plan, weights, given).numpy()
    assert coefficients.dtype == case.dtype
    for image, actual in zip(images, coefficients, strict=True):
        expected = case.expected(image)
        for channel in range(S.n_coefficients):
            maps = S.plan.maps_of(actual, channel)
            wanted = np.reshape(expected[channel], maps.shape)
            assert_equal_to_rounding(maps, wanted, S, image)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("has_level", [False, True])
def test_levels_and_shifts_are_those_of_the_program(dtype, has_level):
    precision = np.finfo(dtype)
    random = np.random.default_rng(0)
    exponents = np.linspace(precision.minexp - precision.nmant, precision.maxexp - 1, 40)
    noise = random.normal(size=(40, 3, 4)) / 8 * 2.0 ** exponents[:, None, None]
    levels = (
        np.where(random.random(40) < 0.5, 1, 0)[:, None, None] * 2.0 ** exponents[:, None, None]
    )
    images = np.concatenate([noise, noise / 64 + levels, -noise / 64 - levels]).astype(dtype)
    images[::7, 0, 0], images[1::7, 1, 1], images[5] = np.nan, np.inf, 0
    images[6] = np.nan
    expected = []
    for image in images:
        finite = image[np.isfinite(image)].tolist()
        ends = (min(finite, default=np.inf), max(finite, default=-np.inf))
        expected.append(level_and_shift(*ends, has_level, *ordinary_exponents(dtype)))
    actual = levels_and_shifts(torch.from_numpy(images), has_level)
    assert actual[0].flatten().tolist() == [level for level, _ in expected]
    assert actual[1].flatten().tolist() == [shift for _, shift in expected]
    assert (
        {shift > 0 for _, shift in expected}
        == {shift < 0 for _, shift in expected}
        == {True, False}
    )
    assert any(level for level, _ in expected) == has_level


@given(st.sampled_from(["float32", "float64"]), st.data())
def test_scaling_is_exact(dtype, data):
    most = np.finfo(dtype).maxexp + np.finfo(dtype).nmant
    shift = data.draw(st.integers(-most, most))
    value = np.ldexp(np.asarray(1.1015625, dtype), -shift // 2)
    actual = scaled(torch.tensor(value[None]), torch.tensor([shift], dtype=torch.int32))
    assert actual.item() == np.ldexp(value, shift)
