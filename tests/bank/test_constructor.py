"""What makes a bank, and what its constructor refuses."""

import re
from pathlib import Path

import numpy as np
import pytest
from bank_files import parts, same_bits

from npscatter import ArgumentTypeError, BankError, FilterBank
from npscatter.bank import bank_file
from npscatter.bank.filter_bank import LARGEST_TAP
from npscatter.program.steps import WEIGHT_ARRAYS, Architecture


def test_attributes(toy_bank, bank):
    assert (bank.name, bank.L, bank.R, bank.boundary) == ("toy-symmetric-L4-R3", 4, 3, "kymatio")
    assert bank.architecture == Architecture(4, 3, 1, "carried")
    assert bank.keys() == tuple(WEIGHT_ARRAYS)
    shapes = {key: bank[key].shape for key in bank.keys()}
    assert shapes == {
        "psi_first": (4, 1, 5, 5),
        "carry_first": (3, 1, 3, 3),
        "low_first": (1, 1, 5, 5),
        "psi_next": (4, 3, 3, 3),
        "carry_next": (3, 3, 5, 5),
        "low_next": (1, 3, 3, 3),
    }
    for key, array in WEIGHT_ARRAYS.items():
        assert bank[key].dtype == (np.complex128 if array.is_complex else np.float64)
    for part in ("toy-symmetric-L4-R3", "L=4", "R=3", "psi_first 5", "kymatio", "symmetric=True"):
        assert part in repr(bank)
    paper = toy_bank("paper", 8)
    assert paper.architecture == Architecture(8, 1, 2, "octave") and paper.boundary == "zero"


def test_taps_keep_their_values_in_the_stored_precision(bank):
    given = parts(bank)
    half = {"psi": np.complex64, "carry": np.float32, "low": np.float32}
    single = {key: bank[key].astype(half[array.role]) for key, array in WEIGHT_ARRAYS.items()}
    stored = FilterBank("single", **{**given, **single})
    big_endian = {key: bank[key].astype(bank[key].dtype.newbyteorder(">")) for key in WEIGHT_ARRAYS}
    fortran = {key: np.asfortranarray(bank[key]) for key in WEIGHT_ARRAYS}
    for key in WEIGHT_ARRAYS:
        assert np.array_equal(stored[key], single[key]) and stored[key].dtype == bank[key].dtype
    for arrays in (big_endian, fortran):
        assert same_bits(FilterBank(bank.name, **{**given, **arrays}), bank)
    real = FilterBank("real", **{**given, "psi_first": bank["psi_first"].real})
    assert np.array_equal(real["psi_first"], bank["psi_first"].real)


def with_value(value):
    def change(taps):
        taps = taps.copy()
        taps[0, 0, 1, 1] = value
        return taps

    return change


CHANGES = {
    "NaN": ("psi_first", with_value(np.nan)),
    "NaN imaginary": ("psi_next", with_value(1j * np.nan)),
    "infinity": ("carry_next", with_value(-np.inf)),
    "even kernel": ("low_first", lambda taps: taps[..., :4, :4]),
    "oblong kernel": ("low_first", lambda taps: taps[..., :3]),
    "no taps": ("low_next", lambda taps: taps[..., :0, :0]),
    "an axis too few": ("carry_first", lambda taps: taps[0]),
    "an axis too many": ("psi_next", lambda taps: taps[None]),
    "no axes": ("low_first", lambda taps: taps[0, 0, 0, 0]),
    "no axes, psi_first": ("psi_first", lambda taps: taps[0, 0, 0, 0]),
    "no axes, carry_first": ("carry_first", lambda taps: taps[0, 0, 0, 0]),
    "L odd": ("psi_first", lambda taps: taps[:3]),
    "L zero": ("psi_first", lambda taps: taps[:0]),
    "another L in psi_next": ("psi_next", lambda taps: taps[:2]),
    "two inputs of psi_first": ("psi_first", lambda taps: np.repeat(taps, 2, 1)),
    "another R in psi_next": ("psi_next", lambda taps: taps[:, :2]),
    "another R in carry_first": ("carry_first", lambda taps: taps[:2]),
    "another R in low_next": ("low_next", lambda taps: taps[:, :1]),
    "carry_next not square": ("carry_next", lambda taps: taps[:, :2]),
    "two low-passes": ("low_first", lambda taps: np.repeat(taps, 2, 0)),
    "complex low-pass": ("low_first", lambda taps: taps + 0j),
    "complex carrier": ("carry_next", lambda taps: taps + 0j),
    "integers": ("low_next", lambda taps: taps.astype(int)),
    "objects": ("psi_next", lambda taps: taps.astype(object)),
    "text": ("psi_next", lambda taps: taps.real.astype(str)),
    "ragged": ("low_first", lambda taps: [[[[1.0], [1.0, 2.0]]]]),
    "nothing": ("low_first", lambda taps: None),
}


@pytest.mark.parametrize(("key", "change"), CHANGES.values(), ids=CHANGES)
def test_refused_arrays(bank, key, change):
    with pytest.raises(BankError) as raised:
        FilterBank("changed", **{**parts(bank), key: change(bank[key])})
    assert isinstance(raised.value, ValueError)
    argument, rest = str(raised.value).split("=", 1)
    assert argument in WEIGHT_ARRAYS
    assert ": " in rest and "; " in rest


def test_a_bank_without_carriers_is_refused(bank):
    none = {
        "carry_first": bank["carry_first"][:0],
        "psi_next": bank["psi_next"][:, :0],
        "carry_next": bank["carry_next"][:0, :0],
        "low_next": bank["low_next"][:, :0],
    }
    with pytest.raises(BankError):
        FilterBank("no carriers", **{**parts(bank), **none})


def nested(levels):
    """Return a list in a list in a list ..."""
    within = []
    for _ in range(levels - 1):
        within = [within]
    return within


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("psi_stride", 3),
        ("psi_stride", 0),
        ("psi_stride", "1"),
        ("psi_stride", 1.0),
        ("psi_stride", True),
        ("psi_stride", [1]),
        ("next_from", "raw"),
        ("next_from", None),
        ("next_from", "octave"),
        ("boundary", "reflect"),
        ("boundary", None),
        ("card", [1, 2]),
        ("card", {"when": object()}),
        ("card", {"family": 3}),
        ("card", {"family": ""}),
        ("card", {"sum": float("nan")}),
        ("card", {"sum": float("inf")}),
        ("card", {1: "a key", "1": "the same in JSON"}),
        ("card", {"number": 10**bank_file.MOST_DIGITS}),
        ("card", {"log": "x" * bank_file.LARGEST_CARD}),
        ("card", {"within": nested(bank_file.DEEPEST_CARD)}),
        ("card", {"within": nested(100_000)}),
    ],
)
def test_refused_options(bank, argument, value):
    with pytest.raises((BankError, ArgumentTypeError), match=argument):
        FilterBank("changed", **{**parts(bank), argument: value})


@pytest.mark.parametrize("name", ["", None, 3, b"name", "half\udc80", "x" * 256])
def test_refused_names(bank, name):
    with pytest.raises(BankError, match=r"^name="):
        FilterBank(name, **parts(bank))


# Limits


def sized(L=2, R=1, **kernel_sizes):
    """Return the weights of a bank of zeros."""
    dtypes = (float, complex)
    return {
        key: np.zeros(array.shape(L, R, kernel_sizes.get(key, 1)), dtypes[array.is_complex])
        for key, array in WEIGHT_ARRAYS.items()
    }


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"L": 2000}, "L=2000: must be between 1 and 256 in a bank"),
        ({"L": 258}, "L=258: must be between 1 and 256"),
        ({"R": 33}, "R=33: must be between 1 and 32"),
        ({"psi_next": 101}, "K of psi_next=101: must be between 1 and 31"),
        ({"low_first": 33}, "K of low_first=33: must be between 1 and 31"),
        ({"L": 8, "R": 4, "psi_next": 31}, r"taps=\d+: a bank has 32768 at most"),
        ({"L": 256, "R": 32, "psi_next": 3}, r"taps=\d+: a bank has 32768 at most"),
    ],
)
def test_sizes_beyond_the_limits_are_refused(sizes, told):
    with pytest.raises(BankError, match=f"^{told}"):
        FilterBank("large", **sized(**sizes))


def test_the_documentation_has_the_limits():
    page = (Path(__file__).parents[2] / "docs" / "banks.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|") and "`" in line]
    names = ["LARGEST_FILE", "MOST_ORIENTATIONS", "MOST_CARRIERS", "LARGEST_KERNEL", "MOST_TAPS"]
    names += ["LONGEST_NAME", "LARGEST_CARD", "DEEPEST_CARD", "MOST_DIGITS"]
    limits = {name: f"{getattr(bank_file, name):,}" for name in names}
    limits["LARGEST_TAP"] = "1e100"
    assert LARGEST_TAP == float(limits["LARGEST_TAP"])
    for name, limit in limits.items():
        (row,) = (row for row in rows if f"`{name}`" in row)
        assert limit in re.split(r"[| ]+|, ", row)


def test_sizes_at_the_limits_are_a_bank():
    most, K = bank_file.MOST_ORIENTATIONS, bank_file.LARGEST_KERNEL
    FilterBank("many wavelets", **sized(L=most))
    FilterBank("wide kernels", **sized(L=2, psi_first=K, psi_next=K, low_next=K, carry_next=K))
    FilterBank("many carriers", **sized(R=bank_file.MOST_CARRIERS, carry_next=5))


@pytest.mark.parametrize("key", WEIGHT_ARRAYS)
@pytest.mark.parametrize("tap", [2e100, -1.7e308])
def test_taps_whose_sums_would_overflow_are_refused(bank, key, tap):
    given = parts(bank)
    for value in (tap, 1j * tap) if WEIGHT_ARRAYS[key].is_complex else (tap,):
        taps = with_value(value)(bank[key])
        with pytest.raises(BankError, match=f"^{key}=.*has taps above 1e.100"):
            FilterBank("huge", **{**given, key: taps})
    large = {name: np.full_like(bank[name], 1e100) for name in WEIGHT_ARRAYS}
    assert FilterBank("large", **{**given, **large}).instability()
