"""Filter banks: what makes one, that it never changes, and that no damaged file loads."""

import copy
import dataclasses
import hashlib
import io
import json
import pickle
import shutil
import zipfile
from itertools import product

import numpy as np
import pytest
from banks import KERNELS

import npscatter
from npscatter import ArgumentError, ArgumentTypeError, BankError, FilterBank, list_banks
from npscatter import bank_file as bank_module
from npscatter.bank import resolve
from npscatter.cost import plan_cost
from npscatter.program.plan import make_plan
from npscatter.program.steps import WEIGHT_ARRAYS, Architecture

FAMILIES = ("accurate", "accurate-L4", "accurate-L6", "fast", "fast-L4", "fast-L6")
SHIPPED = [*FAMILIES, "paper", "paper-tuned"]


@pytest.fixture
def bank(toy_bank):
    return toy_bank("symmetric", 4, 3)


@pytest.fixture
def files(tmp_path, bank):
    """Save a bank and return the path of its .npz; the card lies beside it."""
    return bank.save(tmp_path / "toy.npz")


@pytest.fixture
def shipped(tmp_path, ship_from):
    """Put an empty folder in the place of the shipped banks."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    ship_from(folder)
    return folder


def parts(bank):
    """Return what the constructor takes."""
    return {
        **{key: bank[key] for key in bank.keys()},
        "psi_stride": bank.architecture.psi_stride,
        "next_from": bank.architecture.next_from,
        "boundary": bank.boundary,
        "card": bank.card,
    }


def same_bits(one, other):
    """Say whether two banks agree in everything, taps to the last bit."""
    return (
        one == other
        and one.card == other.card
        and one.architecture == other.architecture
        and one.boundary == other.boundary
        and all(one[key].tobytes() == other[key].tobytes() for key in WEIGHT_ARRAYS)
        and all(one[key].dtype == other[key].dtype for key in WEIGHT_ARRAYS)
    )


# What makes a bank


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
    ],
)
def test_refused_options(bank, argument, value):
    with pytest.raises((BankError, ArgumentTypeError), match=argument):
        FilterBank("changed", **{**parts(bank), argument: value})


@pytest.mark.parametrize("name", ["", None, 3, b"name"])
def test_refused_names(bank, name):
    with pytest.raises(BankError, match=r"^name="):
        FilterBank(name, **parts(bank))


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


# Files


def test_save_and_load_are_exact(toy_bank, tmp_path):
    for kind, L, R in [("symmetric", 8, 4), ("free", 6, 2), ("paper", 4, 1)]:
        bank = toy_bank(kind, L, R)
        path = bank.save(tmp_path / kind)
        assert path == tmp_path / f"{kind}.npz"
        assert sorted(p.name for p in tmp_path.glob(f"{kind}*")) == [f"{kind}.json", f"{kind}.npz"]
        loaded = FilterBank.load(path)
        assert same_bits(loaded, bank) and loaded.symmetric == bank.symmetric
        assert same_bits(FilterBank.load(str(path)), bank)


def test_the_same_bank_makes_the_same_bytes(bank, tmp_path):
    first = bank.save(tmp_path / "first.npz")
    second = FilterBank.load(first).save(tmp_path / "second.npz")
    third = pickle.loads(pickle.dumps(bank)).save(tmp_path / "third.npz")
    for other in (second, third):
        assert other.read_bytes() == first.read_bytes()
        card = other.with_suffix(".json").read_bytes()
        assert card == first.with_suffix(".json").read_bytes()


def test_a_name_with_a_dot_is_kept(bank, tmp_path):
    assert bank.save(tmp_path / "bank-1.5").name == "bank-1.5.npz"
    assert bank.save(tmp_path / "bank-1.6.npz").name == "bank-1.6.npz"
    assert FilterBank.load(tmp_path / "bank-1.5.npz") == bank


def test_the_card_on_disk_describes_the_bank(files, bank):
    card = json.loads(files.with_suffix(".json").read_text(encoding="utf-8"))
    assert card["format_version"] == 1 and card["name"] == bank.name
    assert card["boundary"] == "kymatio" and card["sha256"] == bank.sha256
    assert card["architecture"] == {
        "L": 4,
        "R": 3,
        "psi_stride": 1,
        "next_from": "carried",
        "kernel_sizes": {key: bank[key].shape[-1] for key in bank.keys()},
    }
    assert card["npz_sha256"] == hashlib.sha256(files.read_bytes()).hexdigest()
    assert card["origin"] == "random numbers"


def test_a_card_of_any_text_survives(bank, tmp_path):
    card = {"author": 'Ψ, \u2028 \\ " \n', "nested": [1, 2.5, None, {"a": [True]}], "tiny": 5e-324}
    loaded = FilterBank.load(bank.with_card(card).save(tmp_path / "b.npz"))
    assert loaded.card == card


FORMAT_ENTRIES = ("format_version", "name", "boundary", "architecture")
SEALS = ("sha256", "npz_sha256", "card_sha256")


@pytest.mark.parametrize("key", FORMAT_ENTRIES + SEALS)
def test_a_card_cannot_speak_for_the_format(bank, tmp_path, key):
    """Entries the format writes are refused in a card, or at least never override the truth."""
    try:
        pretender = bank.with_card({key: "another"})
    except BankError:
        return
    loaded = FilterBank.load(pretender.save(tmp_path / "b.npz"))
    assert loaded == bank and loaded.boundary == bank.boundary


def assert_refused_or_same(path, bank):
    """Load a damaged bank: only BankError may come, or the bank itself."""
    try:
        loaded = FilterBank.load(path)
    except BankError as error:
        assert str(error).startswith("bank=")
        return True
    assert same_bits(loaded, bank)
    return False


def spread(length, edge=100, count=250):
    """Return positions to damage: all of both ends and `count` spread between."""
    between = np.linspace(0, length - 1, count).astype(int).tolist()
    return sorted({*range(min(edge, length)), *range(max(0, length - edge), length), *between})


def test_every_damaged_byte_of_the_taps_is_noticed(files):
    whole, generator = files.read_bytes(), np.random.default_rng(6)
    for position in spread(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= int(generator.integers(1, 256))
        files.write_bytes(damaged)
        with pytest.raises(BankError, match=r"^bank=.*npz_sha256"):
            FilterBank.load(files)


@pytest.mark.parametrize("flip", [0x01, 0x2A, 0x80])
def test_every_damaged_byte_of_the_card_is_noticed(files, bank, flip):
    card = files.with_suffix(".json")
    whole = card.read_bytes()
    content = json.loads(whole)
    refused = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= flip
        card.write_bytes(damaged)
        if assert_refused_or_same(files, bank):
            refused += 1
        else:  # white space became other white space
            assert json.loads(bytes(damaged)) == content
            assert chr(whole[position]).isspace() and chr(damaged[position]).isspace()
    assert refused > 0.8 * len(whole)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_truncated_files_are_noticed(files, suffix):
    path = files.with_suffix(suffix)
    whole = path.read_bytes()
    ends = len(whole) - (2 if suffix == ".json" else 1)  # the card's last byte is a line feed
    for length in {0, 1, 2, 10, len(whole) // 3, len(whole) // 2, ends}:
        path.write_bytes(whole[:length])
        with pytest.raises(BankError, match=r"^bank="):
            FilterBank.load(files)
    path.write_bytes(whole + b"x")
    with pytest.raises(BankError, match=r"^bank="):
        FilterBank.load(files)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_missing_file_is_named(files, suffix):
    files.with_suffix(suffix).unlink()
    with pytest.raises(BankError, match=f"^bank=.*cannot read .*{files.stem}{suffix}"):
        FilterBank.load(files)


def test_paths_that_are_no_bank(tmp_path):
    missing = (tmp_path / "no" / "bank.npz", "./no.npz", "no.npz", "nul\0.npz", tmp_path / "a")
    for path in (tmp_path, *missing):
        with pytest.raises(BankError, match=r"^bank="):
            FilterBank.load(path)
    for path in (None, 3, b"accurate", ["accurate"]):
        with pytest.raises(ArgumentTypeError, match=r"^bank="):
            FilterBank.load(path)


def seal(path, payload=None, **entries):
    """Rewrite a saved bank with valid file seals: what a careful forger, or a bug, would leave."""
    if payload is not None:
        path.write_bytes(payload)
        entries = {"npz_sha256": hashlib.sha256(payload).hexdigest(), **entries}
    card_path = path.with_suffix(".json")
    card = json.loads(card_path.read_bytes())
    card.pop("card_sha256", None)
    card.update(entries)
    card = {key: value for key, value in card.items() if value is not ...}
    text = json.dumps(card, sort_keys=True, separators=(",", ":"))
    card["card_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    card_path.write_text(json.dumps(card), encoding="utf-8")


def packed(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def taps_seal(bank, arrays):
    """Return the format's SHA-256 of taps, as its documentation says: header, then every array."""
    header = {
        "boundary": bank.boundary,
        "architecture": {
            "L": bank.L,
            "R": bank.R,
            "psi_stride": bank.architecture.psi_stride,
            "next_from": bank.architecture.next_from,
            "kernel_sizes": {key: taps.shape[-1] for key, taps in arrays.items()},
        },
    }
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
    for key, taps in arrays.items():
        digest.update(f"{key}{taps.shape}{taps.dtype.str}".encode() + taps.tobytes())
    return digest.hexdigest()


def test_the_seal_of_the_taps_is_what_it_says(bank):
    assert bank.sha256 == taps_seal(bank, {key: bank[key] for key in bank.keys()})


def test_resealing_alone_changes_nothing(files, bank):
    seal(files, files.read_bytes())
    assert same_bits(FilterBank.load(files), bank)


def test_nan_taps_with_valid_seals_are_refused(files, bank):
    arrays = {key: bank[key].copy() for key in bank.keys()}
    arrays["carry_next"][1, 0, 2, 2] = np.nan
    seal(files, packed(**arrays), sha256=taps_seal(bank, arrays))
    with pytest.raises(BankError, match="NaN"):
        FilterBank.load(files)


@pytest.mark.parametrize("key", WEIGHT_ARRAYS)
def test_other_taps_under_the_old_seal_are_refused(files, bank, key):
    arrays = {name: bank[name].copy() for name in bank.keys()}
    arrays[key][0, 0, 0, 0] += 1e-9
    seal(files, packed(**arrays))
    with pytest.raises(BankError, match="sha256"):
        FilterBank.load(files)


PAYLOADS = {
    "empty": b"",
    "text": b"taps",
    "the start of an .npy file": b"\x93NUMPY\x01\x00",
    "an .npy file": lambda bank: npy(bank["low_first"]),
    "a pickle": lambda bank: pickle.dumps({key: bank[key] for key in bank.keys()}),
    "an .npy file of objects": lambda bank: npy(np.array([{}], object)),
    "objects": lambda bank: packed(**{**arrays_of(bank), "low_first": np.array([{}], object)}),
    "an array too few": lambda bank: packed(**{"low_first": bank["low_first"]}),
    "an array too many": lambda bank: packed(**arrays_of(bank), extra=np.zeros(3)),
    "no axes": lambda bank: packed(**{**arrays_of(bank), "psi_first": np.array(1j)}),
    "not arrays": lambda bank: zipped(**{f"{key}": b"taps" for key in bank.keys()}),
    "broken arrays": lambda bank: zipped(**{f"{key}.npy": b"\x93NUMPY\x01" for key in bank.keys()}),
    "an empty zip": lambda bank: zipped(),
}


def arrays_of(bank):
    return {key: bank[key] for key in bank.keys()}


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_other_payloads_with_valid_seals_are_refused(files, bank, payload):
    seal(files, payload(bank) if callable(payload) else payload)
    with pytest.raises(BankError, match=r"^bank="):
        FilterBank.load(files)


def test_damage_under_valid_seals_never_raises_anything_else(files, bank):
    # The zip format's own headers: of the first member in front, the directory at the end.
    whole = files.read_bytes()
    refused = []
    for position in spread(len(whole), edge=120, count=100):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        seal(files, bytes(damaged))
        refused.append(assert_refused_or_same(files, bank))
    assert sum(refused) > len(refused) / 3
    # Encrypted, compressed by an unknown method, of an unknown version: what flags can say.
    central = whole.index(b"PK\x01\x02")
    for place, value in [(6, 99), (8, 1), (10, 99), (10, 9), (38, 255), (8, 0x20)]:
        damaged = bytearray(whole)
        damaged[central + place] = value
        seal(files, bytes(damaged))
        assert_refused_or_same(files, bank)


DESIGN = {
    "L": 4,
    "R": 3,
    "psi_stride": 1,
    "next_from": "carried",
    "kernel_sizes": KERNELS,
}
ENTRIES = {
    "newer version": {"format_version": 2},
    "older version": {"format_version": 0},
    "version as text": {"format_version": "1"},
    "no version": {"format_version": ...},
    "no name": {"name": ...},
    "empty name": {"name": ""},
    "name a number": {"name": 3},
    "no boundary": {"boundary": ...},
    "unknown boundary": {"boundary": "reflect"},
    "another boundary": {"boundary": "zero"},
    "boundary a list": {"boundary": ["zero"]},
    "no architecture": {"architecture": ...},
    "architecture null": {"architecture": None},
    "architecture a list": {"architecture": [1]},
    "architecture text": {"architecture": "paper"},
    "no stride": {"architecture": {"next_from": "carried"}},
    "another stride": {"architecture": {**DESIGN, "psi_stride": 2}},
    "stride text": {"architecture": {**DESIGN, "psi_stride": "1"}},
    "another rule": {"architecture": {**DESIGN, "next_from": "octave"}},
    "another L": {"architecture": {**DESIGN, "L": 8}},
    "another R": {"architecture": {**DESIGN, "R": 4}},
    "other kernels": {"architecture": {**DESIGN, "kernel_sizes": {"psi_first": 7}}},
    "no seal of the taps": {"sha256": ...},
    "seal of the taps null": {"sha256": None},
    "no seal of the file": {"npz_sha256": ...},
    "seal of the file a list": {"npz_sha256": []},
}


@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
def test_other_cards_with_valid_seals_are_refused(files, entries):
    seal(files, **{"architecture": DESIGN})
    FilterBank.load(files)
    seal(files, **entries)
    with pytest.raises(BankError, match=r"^bank="):
        FilterBank.load(files)


def test_the_version_is_named(files):
    seal(files, format_version=7)
    with pytest.raises(BankError, match="format version is 7, this npscatter reads 1"):
        FilterBank.load(files)


NO_CARDS = ["", "{", "null", "3", "[]", '"card"', "{}", "NaN", "\ufeff{}", "[" * 10**5]


@pytest.mark.parametrize("text", NO_CARDS, ids=range(len(NO_CARDS)))
def test_cards_that_are_no_card(files, text):
    files.with_suffix(".json").write_text(text, encoding="utf-8")
    with pytest.raises(BankError, match=r"^bank="):
        FilterBank.load(files)


# Names and families


def test_unknown_names_list_what_there_is(shipped, toy_bank):
    toy_bank("free", 4, 2).save(shipped / "one.npz")
    toy_bank("free", 6, 2).save(shipped / "two.npz")
    assert list_banks() == ["one", "two"]
    for name in ("three", "ONE", "", "one.json"):
        with pytest.raises(BankError, match=r"^bank=.*one, two"):
            FilterBank.load(name)
    assert FilterBank.load("one") == toy_bank("free", 4, 2)
    assert FilterBank.load("one") is FilterBank.load("one")


def family(toy_bank, folder):
    """Save a family of three and a bank that stands alone."""
    for name, L in [("good", 8), ("good-L4", 4), ("good-L6", 6), ("lone", 8)]:
        given = parts(toy_bank("symmetric", L, 1))
        given["card"] = {"family": "good"} if name.startswith("good-") else {}
        FilterBank(name, **given).save(folder / f"{name}.npz")


def test_a_shipped_name_stands_for_its_family(shipped, toy_bank):
    family(toy_bank, shipped)
    assert [resolve("good", L)[0].name for L in (4, 6, 8)] == ["good-L4", "good-L6", "good"]
    assert resolve("good-L4", 4)[0].name == "good-L4"
    # A member's own name means that member, not its family.
    with pytest.raises(ArgumentError, match=r"^L=8: bank 'good-L4' has L=4; pass L=4"):
        resolve("good-L4", 8)
    assert resolve("good", np.int64(6))[0].name == "good-L6"
    assert resolve("lone", 8)[0].name == "lone"
    assert npscatter.Scattering2D(1, (8, 8), L=6, bank="good").bank.name == "good-L6"


def test_a_bank_nobody_learned_is_refused_with_what_there_is(shipped, toy_bank):
    family(toy_bank, shipped)
    with pytest.raises(BankError, match=r"^L=12: .*L=4, L=6, L=8"):
        resolve("good", 12)
    with pytest.raises(BankError, match=r"^L=4: bank 'lone' was learned for L=8"):
        resolve("lone", 4)
    for L in ("8", 8.0):
        with pytest.raises(ArgumentTypeError, match=r"^L="):
            resolve("good", L)


def test_without_an_L_or_a_boundary_the_banks_own_are_meant(shipped, toy_bank):
    family(toy_bank, shipped)
    assert resolve("good-L4")[0].L == 4 and resolve("good")[0].L == 8
    assert resolve("good")[1] == "kymatio" and resolve("good", boundary="zero")[1] == "zero"
    paper = toy_bank("paper", 4)
    assert resolve(paper) == (paper, "zero") and resolve(paper, 4, "periodic")[1] == "periodic"


def test_a_path_and_a_bank_stand_for_themselves(shipped, toy_bank, tmp_path):
    family(toy_bank, shipped)
    path = shipped / "good.npz"
    bank = FilterBank.load(path)
    assert resolve(path, 8)[0] == resolve(str(path), 8)[0] == resolve(bank, 8)[0] == bank
    assert resolve(bank, 8)[0] is bank
    for given in (path, str(path), bank):
        with pytest.raises(ArgumentError, match=r"^L=4: bank 'good' has L=8; pass L=8"):
            resolve(given, 4)


def test_a_renamed_file_keeps_its_banks_name(files, bank, tmp_path):
    for suffix in (".npz", ".json"):
        shutil.copy(files.with_suffix(suffix), tmp_path / f"renamed{suffix}")
    assert FilterBank.load(tmp_path / "renamed.npz").name == bank.name


# The shipped banks


def test_shipped_banks():
    assert list_banks() == SHIPPED


@pytest.mark.parametrize("name", sorted({*SHIPPED, *list_banks()}))
def test_a_shipped_bank_is_sound(name, tmp_path):
    bank = FilterBank.load(name)
    assert bank.name == name
    # The file's own hash, and the card's over it, differ with Python's way of zipping.
    path = bank.save(tmp_path / name)
    cards = [
        json.loads((folder / f"{name}.json").read_text())
        for folder in (bank_module.SHIPPED, tmp_path)
    ]
    for card in cards:
        assert len(card.pop("npz_sha256")) == len(card.pop("card_sha256")) == 64
    assert cards[0] == cards[1]
    assert FilterBank.load(path) == bank
    S = npscatter.Scattering2D(2, (16, 17), L=bank.L, bank=name)
    coefficients = S(np.random.default_rng(0).normal(size=(16, 17)))
    assert np.isfinite(coefficients).all()
    if name.startswith("accurate"):
        assert bank.symmetric and bank.boundary == "kymatio"
        # Wavelets sum to zero and low-passes to one, so a constant image has no other order.
        constant = S(np.ones((16, 17)))
        assert np.abs(constant[0] - 1).max() < 1e-12
        assert np.abs(constant[1:]).max() < 1e-12


@pytest.mark.parametrize("L", [4, 6, 8])
def test_the_accurate_family(L):
    bank = resolve("accurate", L)[0]
    assert bank.L == L
    assert bank.name == ("accurate" if L == 8 else f"accurate-L{L}")


def test_the_papers_bank_has_the_papers_shape():
    bank = FilterBank.load("paper")
    assert bank.architecture == Architecture(8, 1, 2, "octave")
    assert {bank[key].shape[-1] for key in WEIGHT_ARRAYS} == {7}
