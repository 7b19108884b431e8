"""Calming a bank: what may not change, and what must."""

import numpy as np
from banks import make_toy_bank, toy_weights

from npscatter import FilterBank
from npscatter.bounds import Growth
from tools.soundness import calmed


def amplifying():
    """Return a symmetric bank whose cross derivative an octave multiplies by 3."""
    bank = make_toy_bank("symmetric", L=4, R=4)
    arrays = {key: bank[key] for key in bank}
    carry_next = toy_weights("symmetric", 4, 4, dict.fromkeys(arrays, 5))["carry_next"] / 4
    carry_next[3, 3] += 3 * np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    return FilterBank("amplifying", **arrays | {"carry_next": carry_next})


def test_calm_changes_what_grows_and_keeps_what_it_must():
    bank = amplifying()
    calm = calmed(bank, weight=1.0)
    before, after = Growth(bank), Growth(calm)
    assert before.octaves[11] > 10 * after.octaves[11]
    assert abs(calm.modes[1]) < abs(bank.modes[1])
    assert calm.symmetric
    old, new = bank["carry_next"], calm["carry_next"]
    assert abs(new[0, 0].sum() - old[0, 0].sum()) < 1e-12
    assert all(np.array_equal(bank[key], calm[key]) for key in bank if key != "carry_next")


def test_taps_that_are_zero_stay_zero():
    bank = amplifying()
    arrays = {key: np.array(bank[key]) for key in bank}
    arrays["carry_next"][1:, 1:, 0] = arrays["carry_next"][1:, 1:, :, 0] = 0
    bank = FilterBank("supported", **arrays)
    calm = calmed(bank)
    np.testing.assert_array_equal(calm["carry_next"] == 0, bank["carry_next"] == 0)


def test_without_weight_nothing_changes_and_more_weight_is_calmer():
    bank = amplifying()
    still = calmed(bank, weight=0.0)["carry_next"]
    np.testing.assert_allclose(still, bank["carry_next"], atol=1e-9)
    modes = [abs(calmed(bank, weight).modes[1]) for weight in (1e-2, 1.0)]
    assert modes == sorted(modes, reverse=True)


def test_other_architectures_are_calmed_too():
    for bank in (make_toy_bank("free", L=2, R=2), make_toy_bank("paper")):
        calm = calmed(bank)
        assert (calm.architecture, calm.boundary) == (bank.architecture, bank.boundary)
        assert Growth(calm).octaves[0] < Growth(bank).octaves[0]
