"""The rule by which levels and shifts are chosen."""

import math
from fractions import Fraction

import numpy as np
import pytest
from banks import bank_of
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from npscatter import FilterBank, list_banks
from npscatter.backends.reference import FloatArithmetic, interpret
from npscatter.program.magnitude import level_and_shift, level_gain, ordinary_exponents
from npscatter.program.plan import make_plan

SETTINGS = settings(derandomize=True, deadline=None, max_examples=300)
DTYPES = {"float32": 32, "float64": 64}


def rule(low, high, dtype="float32", has_level=True):
    return level_and_shift(float(low), float(high), has_level, *ordinary_exponents(dtype))


@st.composite
def extremes(draw, width):
    """Return a lowest and a highest value, often of one sign and close."""
    floats = st.floats(width=width, allow_nan=False, allow_infinity=False)
    one = draw(floats)
    if draw(st.booleans()):
        other = draw(floats)
    else:
        other = one * (1 + draw(st.floats(-0.1, 0.1)))
        assume(math.isfinite(other))
    kind = np.dtype(f"float{width}").type
    with np.errstate(over="ignore"):
        ends = sorted((float(kind(one)), float(kind(other))))
    assume(math.isfinite(ends[0]) and math.isfinite(ends[1]))
    return ends


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_value_is_rounded_and_all_become_ordinary(dtype):
    kind = np.dtype(dtype).type
    least, most = ordinary_exponents(dtype)

    @SETTINGS
    @given(extremes(DTYPES[dtype]), st.floats(0, 1))
    def check(ends, part):
        low, high = ends
        level, shift = rule(low, high, dtype)
        between = min(max(low + part * (high - low), low), high)
        values = [kind(value) for value in (low, between, high) if math.isfinite(value)]
        for value in values:
            with np.errstate(over="ignore"):
                exact = Fraction(float(value)) - Fraction(level)
                assert Fraction(float(value - kind(level))) == exact
        size = max(abs(Fraction(low) - Fraction(level)), abs(Fraction(high) - Fraction(level)))
        size *= Fraction(2) ** shift
        assert size == 0 or Fraction(2) ** least <= size < Fraction(2) ** (most + 1)
        # The other sign is the same image, and so is one that is scaled.
        mirrored = rule(-high, -low, dtype)
        assert mirrored == (-level, shift)
        assert rule(low, high, dtype, has_level=False)[0] == 0

    check()


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((0, 0), (0, 0)),
        ((0, 255), (0, 0)),
        ((-3, 3), (0, 0)),
        ((16, 17), (16, 0)),
        ((-17, -16), (-16, 0)),
        ((16, 17.001), (0, 0)),
        ((7, 7), (7, 0)),
        ((1e4, 1e4 + 1), (1e4, 0)),
        ((2**-22, 2**-21), (0, 0)),
        ((0, 2**-22), (0, 64)),
        ((0, 2.0**43), (0, -1)),
        ((2.0**50, 2.0**50 + 2.0**44), (2.0**50, -2)),
        ((math.inf, -math.inf), (0, 0)),
    ],
)
def test_levels_and_shifts(ends, expected):
    assert rule(*ends) == expected


def test_exponents_follow_from_the_format():
    assert ordinary_exponents(np.float32) == (-21, 42)
    assert ordinary_exponents(np.float64) == (-170, 341)


@pytest.mark.parametrize("name", [*list_banks(), "symmetric L=4 R=3"])
@pytest.mark.parametrize("boundary", ["kymatio", "periodic", "zero"])
def test_levels_are_for_banks_that_are_blind_to_constants(name, boundary):
    bank = bank_of(name)
    for J in (1, 2, 5):
        gain = level_gain(make_plan(J, (64, 64), bank.architecture, boundary=boundary), bank)
        blind = boundary != "zero" and name not in ("paper", "symmetric L=4 R=3")
        assert (gain is not None) == blind
        if blind:
            assert gain == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("name", ["free L=4 R=3", "free, weights per octave"])
def test_the_gain_is_what_the_average_of_a_constant_shows(name):
    bank = bank_of(name)
    arrays, design = {key: bank[key] for key in bank.keys()}, bank.architecture
    rules = {"psi_stride": design.psi_stride, "next_from": design.next_from}
    blind = {
        key: taps - taps.mean((2, 3), keepdims=True) if key.startswith("psi") else taps
        for key, taps in arrays.items()
    }
    later = {**blind, "psi_next": arrays["psi_next"]}
    for J in (1, 2, 4):
        plan = make_plan(J, (16, 16), design)
        one = FilterBank("blind", **blind, **rules)
        gain = level_gain(plan, one)
        output = np.empty((plan.n_coefficients, 16 >> J, 16 >> J))
        interpret(plan, FloatArithmetic(one, output.dtype), np.ones((16, 16)), output)
        assert gain is not None and np.allclose(output[0], gain, rtol=1e-13)
        # Wavelets of the later octaves that see a constant matter as soon as there are any.
        assert (level_gain(plan, FilterBank("later", **later, **rules)) is None) == (J > 1)
