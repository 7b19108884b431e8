"""What no plan is made for is refused before any work, with the limit and what to do."""

from unittest import mock

import numpy as np
import pytest

from npscatter import ArgumentError, Scattering2D, scatter
from npscatter.backends.gpu.launches import LARGEST_IMAGE, choose
from npscatter.program import plan as planner
from npscatter.program.padding import LARGEST_SIDE
from npscatter.program.plan import LARGEST_CHANNELS, make_plan
from npscatter.program.steps import Architecture

EIGHT = Architecture(8, 4, 1, "carried")
MANY = Architecture(64, 1, 1, "carried")
MORE = Architecture(255, 1, 1, "carried")
TOO_LARGE = {
    "long": ((1, (10**8, 2), EIGHT), "shape=(100000000, 2)", LARGEST_SIDE, "tiles"),
    "wide": ((1, (2, LARGEST_SIDE + 1), EIGHT), f"shape=(2, {LARGEST_SIDE + 1})", LARGEST_SIDE, ""),
    "absurd": ((1, (10**5000, 2), EIGHT), "shape=", LARGEST_SIDE, "tiles"),
    "deep": ((30, (2**30, 2**30), EIGHT), "shape=", LARGEST_SIDE, "tiles"),
    "orientations": ((7, (128, 128), MANY), "J=7", LARGEST_CHANNELS, "max_order=1"),
    "one more": ((2, (64, 64), MORE), "J=2", LARGEST_CHANNELS, "lower J or L"),
}


@pytest.mark.parametrize(("given", "shown", "limit", "remedy"), TOO_LARGE.values(), ids=TOO_LARGE)
def test_too_large_a_plan_is_refused_before_any_work(given, shown, limit, remedy):
    with mock.patch.object(planner, "_make_plan", side_effect=AssertionError("work")):
        with pytest.raises(ArgumentError) as raised:
            make_plan(*given)
    said = str(raised.value)
    assert said.startswith(shown) and str(limit) in said and remedy in said


def test_the_class_and_the_function_say_so_too(toy_bank):
    bank = toy_bank("free", 2, 1)
    for call in (
        lambda: Scattering2D(1, (10**8, 2), L=2, bank=bank),
        lambda: Scattering2D(30, (10**8, 10**8), L=2, bank=bank),
        lambda: scatter(np.zeros((2, LARGEST_SIDE + 1)), 1, L=2, bank=bank),
    ):
        with pytest.raises(ArgumentError, match=rf"^shape=.*{LARGEST_SIDE} pixels at most; cut"):
            call()


def test_the_largest_are_planned():
    plan = make_plan(1, (2, LARGEST_SIDE), EIGHT, max_order=1)
    assert plan.output_shape == (9, 1, LARGEST_SIDE // 2)
    for J, shape, design in (
        # Another orientation would be too many.
        (6, (64, 64), MANY),
        # Pictures as large as surveys of the sky and mosaics of satellites have, to depths in use.
        (12, (100_000, 100_000), EIGHT),
        (1, (LARGEST_SIDE, LARGEST_SIDE), EIGHT),
        (12, (4096, 4096), Architecture(16, 4, 1, "carried")),
    ):
        with mock.patch.object(planner, "_make_plan") as made:
            make_plan(J, shape, design)
        assert made.called


def test_the_limits_are_documented_where_they_are_met():
    for limit in (LARGEST_SIDE, LARGEST_CHANNELS):
        assert f"{limit:,}" in Scattering2D.__doc__
    assert f"fewer than 2^{LARGEST_IMAGE.bit_length()} in all" in Scattering2D.__doc__


def test_what_a_gpu_cannot_number_is_refused(toy_bank):
    bank = toy_bank("free", 2, 1)
    plan = make_plan(1, (50_000, 50_000), bank.architecture, boundary="periodic")
    with pytest.raises(ArgumentError, match=rf"^x\.shape.*{LARGEST_IMAGE} pixels; .*dask\.scatter"):
        choose(plan, bank, "float32", None, 1, 2**40)
