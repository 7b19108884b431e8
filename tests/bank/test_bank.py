"""Filter banks: that they never change, what makes two the same, and what they cost."""

import copy
import dataclasses
import pickle
from itertools import product

import numpy as np
import pytest
from bank_files import parts, same_bits

from npscatter import BankError, FilterBank
from npscatter.backends.cost import plan_cost
from npscatter.program.plan import make_plan
from npscatter.program.steps import WEIGHT_ARRAYS

# It never changes


def test_its_arrays_are_its_own(bank):
    given = {key: bank[key].copy() for key in WEIGHT_ARRAYS}
    own = FilterBank("own", **{**parts(bank), **given})
    identity = own.sha256
    for taps in given.values():
        taps += 1
    again = FilterBank("own", **parts(own))
    assert again.sha256 == identity
    for key in WEIGHT_ARRAYS:
        assert np.array_equal(own[key], bank[key])


@pytest.mark.parametrize("key", WEIGHT_ARRAYS)
def test_its_arrays_are_read_only(bank, key):
    with pytest.raises(ValueError):
        bank[key][...] = 0
    with pytest.raises(ValueError):
        bank[key].reshape(-1)[0] = 0
    with pytest.raises(ValueError):
        bank[key].real[...] = 0
    with pytest.raises(ValueError):
        bank[key].sort()


@pytest.mark.parametrize("key", WEIGHT_ARRAYS)
def test_its_arrays_cannot_be_made_writable(toy_bank, key):
    bank = FilterBank("another", **parts(toy_bank("free", 4, 2)))
    with pytest.raises(ValueError):
        bank[key].setflags(write=True)


@pytest.mark.parametrize("key", WEIGHT_ARRAYS)
def test_attributes_of_its_arrays_are_not_the_banks(toy_bank, key):
    bank = FilterBank("another", **parts(toy_bank("free", 4, 2)))
    shape, taps = bank[key].shape, bank[key]
    taps.shape = (-1,)
    assert bank[key].shape == shape


def test_its_attributes_are_fixed(toy_bank):
    bank = FilterBank("another", **parts(toy_bank("free", 4, 2)))
    names = ("name", "L", "R", "architecture", "boundary", "card", "sha256", "symmetric")
    before = {name: getattr(bank, name) for name in names}
    for name in names:
        with pytest.raises(AttributeError):
            setattr(bank, name, "changed")
    with pytest.raises(TypeError):
        bank["psi_first"] = None
    with pytest.raises(dataclasses.FrozenInstanceError):
        bank.architecture.carriers = 1
    assert {name: getattr(bank, name) for name in names} == before


def test_its_card_is_a_copy(bank):
    card = {"learned": {"seed": 1}}
    own = bank.with_card(card)
    assert own == bank and own.card == card
    card["learned"]["seed"] = 2
    own.card["learned"]["seed"] = 3
    assert own.card == {"learned": {"seed": 1}}
    assert bank.card == {"origin": "random numbers"}


# Identity


def test_equality_is_of_name_architecture_boundary_and_taps(bank):
    given = parts(bank)
    twin = FilterBank(bank.name, **given)
    assert twin == bank and hash(twin) == hash(bank) and twin.sha256 == bank.sha256
    assert FilterBank("another", **given) != bank
    assert FilterBank(bank.name, **{**given, "boundary": "zero"}) != bank
    assert FilterBank(bank.name, **{**given, "psi_stride": 2}) != bank
    assert FilterBank(bank.name, **{**given, "card": {}}) == bank
    for key in WEIGHT_ARRAYS:
        taps = bank[key].copy()
        taps.real[0, 0, 0, 0] = np.nextafter(taps.real[0, 0, 0, 0], 9)
        assert FilterBank(bank.name, **{**given, key: taps}) != bank
    assert bank != "bank" and bank is not None
    assert len({bank, twin, FilterBank("another", **given)}) == 2


def pickled(bank):
    return pickle.loads(pickle.dumps(bank))


@pytest.mark.parametrize("roundtrip", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("kind", ["symmetric", "paper"])
def test_copies_are_equal_and_immutable(toy_bank, roundtrip, kind):
    bank = toy_bank(kind, 4, 1)
    twin = roundtrip(bank)
    assert same_bits(twin, bank) and repr(twin) == repr(bank)
    for key in WEIGHT_ARRAYS:
        with pytest.raises(ValueError):
            twin[key][...] = 0


@pytest.mark.parametrize("L", [4, 6, 8])
@pytest.mark.parametrize("R", [1, 3, 4])
def test_symmetric(toy_bank, L, R):
    assert toy_bank("symmetric", L, R).symmetric is True
    assert toy_bank("free", L, R).symmetric is False


def test_banks_of_two_or_five_carriers_are_not_symmetric(toy_bank):
    assert not toy_bank("free", 4, 2).symmetric
    assert not toy_bank("free", 4, 5).symmetric


@pytest.mark.parametrize("imaginary", [False, True])
@pytest.mark.parametrize("key", WEIGHT_ARRAYS)
def test_one_ulp_makes_it_asymmetric(bank, key, imaginary):
    taps = bank[key].copy()
    if imaginary and not WEIGHT_ARRAYS[key].is_complex:
        taps = taps[..., ::-1].copy()  # a real array has no imaginary part: mirror it, and below
    part = taps.imag if imaginary and WEIGHT_ARRAYS[key].is_complex else taps.real
    part[0, 0, 0, 1] = np.nextafter(part[0, 0, 0, 1], 2)
    assert not FilterBank("changed", **{**parts(bank), key: taps}).symmetric


def products(bank, key, folded, outputs=None):
    """Return the multiply-adds of one output sample of a weight array."""
    return bank.summation(key, outputs, folded)[0].multiply_adds


def test_multiply_adds_of_known_kernels(toy_bank):
    # Per mirrored pair 25 + 24 taps, on the axes 16 + 12: 3 * 49 + 2 * 28 = 203 for eight.
    for R in (1, 3, 4):
        bank = toy_bank("symmetric", 8, R, K=7)
        assert products(bank, "psi_first", True) == 203
        # Of 2 * 8 * 49 = 784 real taps, symmetry makes the centre of four imaginary parts zero,
        # and a line of seven in the four that lie along an axis or a diagonal.
        assert products(bank, "psi_first", False) == 784 - 4 - 4 * 7
    # A pair takes 49 of every carried map. On the axes {1, d0, d1, d0 d1} have the parities of
    # 16 + 12, 12 + 16, 12 + 9 and 9 + 12 taps (d0 along the wave vector, d1 across).
    for R, along_an_axis in [(1, 28), (3, 28 + 28 + 21), (4, 28 + 28 + 21 + 21)]:
        folded = products(toy_bank("symmetric", 8, R, K=7), "psi_next", True)
        assert folded == 3 * 49 * R + 2 * along_an_axis
        assert folded <= 203 * R
    assert products(toy_bank("symmetric", 8, 1, K=7), "low_first", True) == 16
    assert products(toy_bank("symmetric", 8, 1, K=7), "low_first", False) == 49
    # Carried maps {1, d0, d1, d0 d1} have one parity each: 16, 12, 12 and 9 taps.
    assert products(toy_bank("symmetric", 8, 4, K=7), "carry_first", True) == 49
    free = toy_bank("free", 8, 2, K=7)
    assert products(free, "psi_first", False) == 784
    assert products(free, "psi_next", False) == 2 * 784
    assert products(free, "carry_next", False) == 4 * 49
    with pytest.raises(BankError, match=r"^folded=True: .*not symmetric"):
        free.summation("psi_first", folded=True)


def test_multiply_adds_of_some_outputs(toy_bank):
    bank = toy_bank("symmetric", 8, 4, K=7)
    # Orientations 0 and 6, 1 and 5, 2 and 4 mirror each other; 3 and 7 lie on the axes, 1 and 5
    # on the diagonals.
    for outputs, unfolded, folded in [
        ((), 0, 0),
        ((0,), 97, 49),
        ((6, 0), 2 * 97, 49),
        ((0, 4), 2 * 97, 2 * 49),
        ((1, 5), 2 * 91, 49),
        ((3,), 91, 28),
        ((3, 7), 2 * 91, 2 * 28),
        ((1, 2, 4, 5), 2 * 91 + 2 * 97, 2 * 49),
        (tuple(range(8)), 752, 203),
    ]:
        assert products(bank, "psi_first", False, outputs) == unfolded
        assert products(bank, "psi_first", True, outputs) == folded
        assert products(bank, "psi_first", True, outputs[::-1]) == folded
    for carrier, taps in enumerate((16, 12, 12, 9)):
        assert products(bank, "carry_first", True, (carrier,)) == taps
    for key in WEIGHT_ARRAYS:
        every = tuple(range(len(bank[key])))
        for folded in (False, True):
            assert products(bank, key, folded, every) == products(bank, key, folded)


@pytest.mark.parametrize("L", [4, 6, 8, 10])
def test_rounds_take_no_more_multiply_adds(toy_bank, L):
    # Mirrored pairs stay together, so folding saves as much.
    bank = toy_bank("symmetric", L, 4)
    for J, folded in product((1, 2, 3), (False, True)):
        plans = [make_plan(J, (16, 17), bank.architecture, rounds=rounds) for rounds in (1, 2, 4)]
        assert len({plan_cost(plan, bank, folded).multiply_adds for plan in plans}) == 1


def test_multiply_adds_of_a_transform(toy_bank):
    # Padded to 12 x 14: eight wavelets at every pixel, and nine low-passes at 4 x 5 samples each.
    bank = toy_bank("symmetric", 8, 3, K=7)
    plan = make_plan(1, (8, 10), bank.architecture)
    assert plan.padded_shape == (12, 14)
    assert plan_cost(plan, bank, False).multiply_adds == 12 * 14 * 752 + 9 * 4 * 5 * 49
    assert plan_cost(plan, bank, True).multiply_adds == 12 * 14 * 203 + 9 * 4 * 5 * 16
    # One octave more, at order 1: three carriers from 9 maps, eight wavelets at half resolution,
    # of the second generation; low-passes from the carriers of 9 maps, and from 8 raw maps.
    plan = make_plan(2, (8, 8), bank.architecture, max_order=1)
    per_sample = {key: products(bank, key, False) for key in WEIGHT_ARRAYS}
    assert plan.padded_shape == (16, 16)
    assert plan_cost(plan, bank, False).multiply_adds == (
        16 * 16 * per_sample["psi_first"]
        + 8 * 8 * (9 * per_sample["carry_first"] + per_sample["psi_next"])
        + 2 * 2 * (9 * per_sample["low_next"] + 8 * per_sample["low_first"])
    )
