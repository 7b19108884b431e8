"""The public transform: its numbers against the oracle, what it accepts, and what it refuses."""

import copy
import os
import pickle
import subprocess
import sys
import tracemalloc
from itertools import product
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from banks import bank_of
from cases import by_definition
from tolerances import assert_equal_by_order

from npscatter import (
    ArgumentError,
    ArgumentTypeError,
    BackendError,
    BankError,
    FilterBank,
    Scattering2D,
    backends,
    scatter,
)
from npscatter.backends import reference
from npscatter.bank import bank_file
from npscatter.errors import install_extra

BANKS = [
    "symmetric L=4 R=1",
    "symmetric L=4 R=3",
    "symmetric L=6 R=4",
    "symmetric L=8 R=3",
    "free L=4 R=2",
    "free L=2 R=5",
    "free, strided wavelets",
    "free, weights per octave",
    "paper shape",
]
BACKENDS = ["numba", "numpy"]
# 2^J equal to the smaller side, odd sides, sides not divisible by 2^J, other than square.
SIZES = [
    (1, (2, 2)),
    (1, (5, 7)),
    (1, (8, 6)),
    (2, (8, 8)),
    (2, (4, 9)),
    (2, (11, 6)),
    (3, (8, 13)),
    (3, (16, 8)),
]


@pytest.fixture
def generator():
    return np.random.default_rng(20)


@pytest.fixture(scope="module", name="S")
def transform(toy_bank, backend):
    return Scattering2D(2, (12, 9), L=4, backend=backend, bank=toy_bank("free", 4, 2))


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(21).normal(size=(12, 9))


# What it computes


@pytest.mark.parametrize("boundary", ["kymatio", "zero"])
@pytest.mark.parametrize(("J", "shape"), SIZES)
@pytest.mark.parametrize("name", BANKS)
def test_equals_the_definition(generator, name, J, shape, boundary):
    bank = bank_of(name)
    image = generator.normal(size=shape)
    expected = by_definition(image, bank, J, boundary=boundary)
    for backend in BACKENDS:
        S = Scattering2D(J, shape, L=bank.L, backend=backend, bank=bank, boundary=boundary)
        assert_equal_by_order(S(image), expected, S, image)


@pytest.mark.parametrize(("J", "shape"), [(1, (2, 6)), (2, (12, 4)), (3, (8, 16))])
@pytest.mark.parametrize("name", BANKS)
def test_equals_the_definition_when_periodic(generator, name, J, shape):
    bank = bank_of(name)
    image = generator.normal(size=shape)
    expected = by_definition(image, bank, J, boundary="periodic")
    for backend in BACKENDS:
        S = Scattering2D(J, shape, L=bank.L, backend=backend, bank=bank, boundary="periodic")
        assert_equal_by_order(S(image), expected, S, image)


@pytest.mark.parametrize("boundary", ["kymatio", "zero", "periodic"])
@pytest.mark.parametrize(("J", "shape"), [(1, (5, 4)), (2, (7, 4)), (2, (8, 9))])
@pytest.mark.parametrize("name", ["symmetric L=4 R=3", "free L=4 R=2", "paper shape"])
def test_equals_the_definition_on_padded_images(generator, name, J, shape, boundary):
    bank = bank_of(name)
    padded = tuple(((side + 2**J) // 2**J + 1) * 2**J for side in shape)
    image = generator.normal(size=padded)
    expected = by_definition(image, bank, J, boundary=boundary, pre_pad=True)
    assert expected.shape[1:] == (shape[0] // 2**J, shape[1] // 2**J)
    arguments = {"L": 4, "pre_pad": True, "bank": bank, "boundary": boundary}
    for backend in BACKENDS:
        S = Scattering2D(J, shape, backend=backend, **arguments)
        assert_equal_by_order(S(image), expected, S, image)


@pytest.mark.parametrize(("J", "shape"), [(1, (6, 5)), (2, (9, 8)), (3, (8, 9))])
@pytest.mark.parametrize("name", ["symmetric L=4 R=3", "free, strided wavelets", "paper shape"])
def test_first_order_equals_the_definition(generator, backend, name, J, shape):
    bank = bank_of(name)
    S = Scattering2D(J, shape, L=4, max_order=1, backend=backend, bank=bank)
    image = generator.normal(size=shape)
    assert_equal_by_order(S(image), by_definition(image, bank, J, max_order=1), S, image)
    complete = Scattering2D(J, shape, L=4, backend=backend, bank=bank)(image)
    # Groups of maps are stacked differently at order 2, so equal to rounding, not to the bit.
    assert_equal_by_order(S(image), complete[: S.n_coefficients], S, image)


@pytest.mark.parametrize("name", BANKS)
def test_float32_equals_the_definition_to_its_precision(generator, backend, name):
    bank = bank_of(name)
    S = Scattering2D(2, (9, 8), L=bank.L, backend=backend, bank=bank)
    image = generator.normal(size=(9, 8)).astype(np.float32)
    actual = S(image)
    assert actual.dtype == np.float32
    assert_equal_by_order(actual, by_definition(image, bank, 2), S, image)


def test_a_padded_image_gives_what_padding_gives(S, x):
    padded = np.pad(x, ((4, 4), (3, 4)), mode="reflect")
    T = Scattering2D(2, (12, 9), L=4, pre_pad=True, backend=S.backend, bank=S.bank)
    assert np.array_equal(T(padded), S(x))


# Batches, memory layouts and dtypes


@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 3), (0,), (2, 0, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batches(S, generator, batch, dtype):
    images = generator.normal(size=(*batch, 12, 9)).astype(dtype)
    coefficients = S(images)
    assert coefficients.shape == (*batch, *S.output_shape)
    assert coefficients.dtype == dtype
    for index in np.ndindex(*batch):
        assert_equal_by_order(coefficients[index], S(images[index]), S, images[index])


def test_many_images_are_taken_in_blocks(toy_bank, generator):
    S = Scattering2D(1, (4, 4), L=4, backend="numpy", bank=toy_bank("free", 4, 2))
    images = generator.normal(size=(7, 4, 4))
    arithmetic = reference.FloatArithmetic(S.bank, images.dtype)
    for block_bytes in (3 * 8 * S.plan.workspace.size, 1):
        output = np.full((7, *S.output_shape), np.nan)
        reference.interpret(S.plan, arithmetic, images, output, block_bytes)
        assert_equal_by_order(output, S(images), S, images)


LAYOUTS = {
    "strided": lambda a: np.repeat(np.repeat(a, 2, -1), 3, -2)[..., ::3, ::2],
    "reversed": lambda a: a[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "transposed": lambda a: np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0),
    "Fortran": np.asfortranarray,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_any_memory_layout(S, generator, layout, dtype):
    images = layout(generator.normal(size=(2, 12, 9)).astype(dtype))
    plain = np.array(images, dtype, order="C")
    if images.flags.owndata:
        images.setflags(write=False)
    coefficients = S(images)
    assert coefficients.dtype == np.dtype(dtype) and coefficients.dtype.isnative
    assert np.array_equal(coefficients, S(plain))
    assert np.array_equal(images, plain)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_read_only_input_and_untouched_input(S, x, dtype):
    image = x.astype(dtype)
    before = image.copy()
    expected = S(image)
    assert np.array_equal(image, before)
    image.setflags(write=False)
    assert np.array_equal(S(image), expected)


def test_the_output_is_the_callers_own(S, x):
    first = S(x)
    kept = first.copy()
    second = S(2 * x)
    assert np.array_equal(first, kept)
    first[...] = 0
    assert np.array_equal(S(2 * x), second)


CONVERSIONS = [
    ("bool", "float32"),
    ("int8", "float32"),
    ("uint8", "float32"),
    ("int16", "float32"),
    ("uint16", "float32"),
    ("float16", "float32"),
    ("int32", "float64"),
    ("uint32", "float64"),
    ("int64", "float64"),
    ("uint64", "float64"),
]


@pytest.mark.parametrize(("given", "computed"), CONVERSIONS)
def test_other_dtypes_keep_their_values(S, generator, given, computed):
    image = generator.integers(0, 2 if given == "bool" else 100, (12, 9)).astype(given)
    coefficients = S(image)
    assert coefficients.dtype == computed
    assert np.array_equal(coefficients, S(image.astype(computed)))


def test_nested_lists_are_images(S, x):
    assert np.array_equal(S(x.tolist()), S(x))


REFUSED = {
    "complex": np.ones((12, 9), complex),
    "object": np.ones((12, 9), object),
    "str": np.full((12, 9), "1"),
    "bytes": np.full((12, 9), b"1"),
    "datetime": np.zeros((12, 9), "M8[s]"),
    "longdouble": np.ones((12, 9), np.longdouble),
    "structured": np.ones((12, 9), [("value", float)]),
}


@pytest.mark.parametrize("image", REFUSED.values(), ids=REFUSED)
def test_refused_dtypes(S, image):
    with pytest.raises(ArgumentTypeError) as raised:
        S(image)
    if image.dtype.kind in "OSU":
        assert str(raised.value).startswith(f"x=ndarray of {image.dtype}, shape (12, 9): ")
    else:
        check_message(raised.value, "x.dtype", image.dtype)
    assert ("abs(x)" if image.dtype.kind == "c" else "astype") in str(raised.value)


@pytest.mark.parametrize("image", [None, "image", [[1, 2], [3]], {"a": 1}, object()])
def test_refused_objects(S, image):
    with pytest.raises(TypeError) as raised:
        S(image)
    assert isinstance(raised.value, ArgumentTypeError)
    assert str(raised.value).startswith("x")


# Where the coefficients go

# Ways to cut an array of some shape out of a bigger one: bigger shape, then the cut.
CUTS = {
    "whole": (lambda b, c, h, w: (b, c, h, w), np.s_[...]),
    "images of a batch": (lambda b, c, h, w: (b + 3, c, h, w), np.s_[2:-1]),
    "channels": (lambda b, c, h, w: (b, c + 5, h, w), np.s_[:, 3:-2]),
    "rows and columns": (lambda b, c, h, w: (b, c, h + 2, w + 3), np.s_[..., 1:-1, 1:-2]),
    "every second column": (lambda b, c, h, w: (b, c, h, 2 * w), np.s_[..., ::2]),
    "every third row": (lambda b, c, h, w: (b, c, 3 * h, w), np.s_[..., 1::3, :]),
    "backwards": (lambda b, c, h, w: (b, c, h, w), np.s_[::-1, ::-1, ::-1, ::-1]),
    "one of many": (lambda b, c, h, w: (b, c, h, w, 3), np.s_[..., 1]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("bigger", "cut"), CUTS.values(), ids=CUTS)
def test_out_is_filled_and_nothing_else_is(S, generator, bigger, cut, dtype):
    images = generator.normal(size=(3, 12, 9)).astype(dtype)
    expected = S(images)
    memory = np.full(bigger(*expected.shape), 7, dtype)
    outside = np.ones(memory.shape, bool)
    outside[cut] = False
    out = memory[cut]
    assert S(images, out=out) is out
    assert np.array_equal(out, expected)
    assert (memory[outside] == 7).all()


@pytest.mark.parametrize("order", ["C", "F"])
def test_out_of_either_order_and_unaligned(S, generator, order):
    images = generator.normal(size=(2, 12, 9))
    expected = S(images)
    memory = bytearray(expected.nbytes + 2)
    out = np.frombuffer(memory, float, expected.size, 1).reshape(expected.shape, order=order)
    assert not out.flags.aligned and out.flags.writeable
    assert S(images, out=out) is out
    assert np.array_equal(out, expected)
    assert memory[0] == memory[-1] == 0


def test_out_of_one_image_of_none_and_of_a_list(S, x):
    for image in (x, x.tolist(), x.astype(">f8")):
        out = np.empty(S.output_shape)
        assert S(image, out) is out
        assert np.array_equal(out, S(x))
    none = np.empty((0, *S.output_shape))
    assert S(np.empty((0, 12, 9)), out=none) is none
    out = np.empty(S.output_shape)
    T = Scattering2D(2, (12, 9), L=4, backend=S.backend, out_type="list", bank=S.bank)
    assert all(np.shares_memory(entry["coef"], out) for entry in T(x, out=out))
    assert np.array_equal(out, S(x))


@pytest.mark.parametrize(
    ("out", "argument"),
    [
        (lambda shape: np.empty(shape[1:]), "out.shape"),
        (lambda shape: np.empty((1, *shape)), "out.shape"),
        (lambda shape: np.empty((*shape[:-1], shape[-1] + 1)), "out.shape"),
        (lambda shape: np.empty(shape, np.float32), "out.dtype"),
        (lambda shape: np.empty(shape, int), "out.dtype"),
        (lambda shape: np.empty(shape, complex), "out.dtype"),
        (lambda shape: np.empty(shape, ">f8"), "out.dtype"),
        (lambda shape: np.broadcast_to(np.empty(shape[1:]), shape), "out"),
    ],
)
def test_refused_values_of_out(S, x, out, argument):
    out = out(S.output_shape)
    with pytest.raises(ArgumentError) as raised:
        S(x, out=out)
    assert str(raised.value).startswith(f"{argument}=")


@pytest.mark.parametrize("out", [[], 3, "out", bytearray(8), np.float64(1)])
def test_refused_types_of_out(S, x, out):
    with pytest.raises(ArgumentTypeError) as raised:
        S(x, out=out)
    assert str(raised.value).startswith("out=")


def test_out_must_not_overlap_the_images(S):
    size = np.prod(S.output_shape)
    memory = np.zeros(size + 107)
    out = memory[:size].reshape(S.output_shape)
    for start in (0, 100, size - 1):  # the last one shares one element
        image = memory[start : start + 108].reshape(12, 9)
        with pytest.raises(ArgumentError, match=r"^out=.* x;"):
            S(image, out=out)
        assert not memory.any()
    both = np.zeros(size + 108)
    S(both[size:].reshape(12, 9), out=both[:size].reshape(S.output_shape))


@pytest.mark.parametrize("dtype", ["float32", np.float64, "uint8", ">f4"])
def test_warming_up_changes_no_result(S, x, dtype):
    before = S(x)
    assert S.warmup(dtype) is None
    assert np.array_equal(S(x), before)
    for refused in (complex, "U3"):
        with pytest.raises(ArgumentTypeError, match=r"^dtype="):
            S.warmup(refused)


# NaN and infinity


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("boundary", ["kymatio", "zero", "periodic"])
def test_nan_and_infinity_spoil_only_the_windows_that_hold_them(
    toy_bank, backend, poison, boundary
):
    # Free weights hold no zero, so a window is what the plain loops read.
    bank = toy_bank("free", 2, 2, K=3)
    S = Scattering2D(2, (16, 20), L=2, backend=backend, bank=bank, boundary=boundary)
    clean = np.random.default_rng(3).normal(size=(2, 16, 20))
    poisoned = clean.copy()
    poisoned[1, 2, 17] = poison
    with np.errstate(all="ignore"):
        actual = S(poisoned)
    expected = by_definition(poisoned[1], bank, 2, boundary=boundary)
    spoilt = ~np.isfinite(expected)
    assert spoilt.any() and not spoilt.all()
    assert np.array_equal(~np.isfinite(actual[1]), spoilt)
    finite = S(clean)
    assert np.array_equal(actual[0], finite[0])
    assert np.array_equal(actual[1][~spoilt], finite[1][~spoilt])


# What it says about itself


@pytest.mark.parametrize(("J", "max_order"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2)])
def test_meta_and_sizes(toy_bank, J, max_order):
    bank = toy_bank("symmetric", 6, 3)
    S = Scattering2D(J, (17, 9), L=6, max_order=max_order, bank=bank)
    count = 1 + 6 * J + (36 * J * (J - 1) // 2 if max_order == 2 else 0)
    assert S.n_coefficients == count
    assert S.output_shape == (count, 17 // 2**J, 9 // 2**J)
    assert S(np.zeros((17, 9))).shape == S.output_shape
    meta = S.meta()
    assert set(meta) == {"order", "j", "theta", "n", "frequency", "bandwidth", "angle"}
    assert meta["order"].shape == (count,) and meta["order"].dtype.kind == "i"
    rows = [(0, -1, -1, -1, -1)]
    rows += [(1, j, t, -1, -1) for j in range(J) for t in range(6)]
    if max_order == 2:
        rows += [
            (2, j1, t1, j2, t2)
            for j1, t1, j2, t2 in product(range(J), range(6), range(J), range(6))
            if j2 > j1
        ]
    order, j1, t1, j2, t2 = np.array(rows).T
    assert np.array_equal(meta["order"], order)
    assert np.array_equal(meta["j"], np.stack([j1, j2], 1))
    assert np.array_equal(meta["theta"], np.stack([t1, t2], 1))
    n = np.where(meta["j"] < 0, -1, 6 * meta["j"] + meta["theta"])
    assert np.array_equal(meta["n"], n)


def test_attributes(S, toy_bank):
    assert S.bank is toy_bank("free", 4, 2)
    assert (S.J, S.shape, S.L, S.max_order, S.pre_pad) == (2, (12, 9), 4, 2, False)
    assert (S.boundary, S.out_type, S.threads) == ("kymatio", "array", None)
    assert Scattering2D(2, (8, 8), threads=3).threads == 3
    assert S.plan.input_shape == (12, 9)
    assert S.plan.output_shape == S.output_shape == (25, 3, 2)
    parts = ("J=2", "(12, 9)", "L=4", "toy-free-L4-R2", "kymatio", S.backend)
    for part in parts:
        assert part in repr(S)


def test_the_banks_boundary_is_the_default(toy_bank):
    S = Scattering2D(2, (8, 8), L=4, bank=toy_bank("paper", 4))
    assert S.boundary == "zero"
    T = Scattering2D(2, (8, 8), L=4, bank=toy_bank("paper", 4), boundary="periodic")
    assert T.boundary == "periodic"


@pytest.mark.parametrize("batch", [(), (2, 3), (0,)])
def test_list_output_holds_the_same_coefficients(S, generator, batch):
    T = Scattering2D(2, (12, 9), L=4, backend=S.backend, out_type="list", bank=S.bank)
    images = generator.normal(size=(*batch, 12, 9))
    array, entries, meta = S(images), T(images), S.meta()
    assert isinstance(entries, list) and len(entries) == S.n_coefficients
    for channel, entry in enumerate(entries):
        assert set(entry) == {"coef", "j", "n", "theta"}
        assert np.array_equal(entry["coef"], array[..., channel, :, :])
        for key in ("j", "n", "theta"):
            assert type(entry[key]) is tuple
            assert entry[key] == tuple(meta[key][channel][: meta["order"][channel]])


@pytest.mark.parametrize("boundary", [None, "zero", "periodic"])
@pytest.mark.parametrize("max_order", [1, 2])
def test_scatter_is_the_same_transform(toy_bank, generator, backend, boundary, max_order):
    options = {"L": 4, "max_order": max_order, "backend": backend, "bank": toy_bank("free", 4, 2)}
    images = generator.normal(size=(2, 8, 12))
    S = Scattering2D(2, (8, 12), boundary=boundary, **options)
    assert np.array_equal(scatter(images, 2, boundary=boundary, **options), S(images))
    assert np.array_equal(S.scattering(images), S(images))
    entries = scatter(images, 2, out_type="list", **options)
    assert [set(entry) for entry in entries] == [{"coef", "j", "n", "theta"}] * len(entries)


def test_scatter_of_padded_images(toy_bank, generator, backend):
    options = {"L": 4, "backend": backend, "bank": toy_bank("free", 4, 2)}
    padded = generator.normal(size=(2, 16, 20))
    S = Scattering2D(2, (8, 12), pre_pad=True, **options)
    assert np.array_equal(scatter(padded, 2, pre_pad=True, **options), S(padded))
    image = generator.normal(size=(8, 12))
    padded = np.pad(image, 4, mode="reflect")
    assert np.array_equal(scatter(padded, 2, pre_pad=True, **options), scatter(image, 2, **options))


@pytest.mark.parametrize("roundtrip", [lambda S: pickle.loads(pickle.dumps(S)), copy.deepcopy])
def test_copies_compute_the_same_bits(S, x, roundtrip):
    T = roundtrip(S)
    assert T is not S
    assert T.bank == S.bank and T.plan == S.plan and repr(T) == repr(S)
    assert np.array_equal(T(x), S(x))


@pytest.mark.parametrize("J", [2, 12])
def test_construction_for_large_images_makes_no_large_array(toy_bank, J):
    bank = toy_bank("symmetric", 8, 4)
    tracemalloc.start()
    try:
        S = Scattering2D(J, (4096, 4096), bank=bank)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert S.output_shape == (1 + 8 * J + 32 * J * (J - 1), 4096 >> J, 4096 >> J)
    assert peak < 5e6


# What it refuses


def check_message(error, argument, value):
    """Assert that a message reads ``argument=value: rule; remedy``."""
    shown = repr(value)
    message = str(error)
    assert message.startswith(f"{argument}={shown[:100]}")
    rule, separator, remedy = message[len(argument) + 1 :].partition(": ")[2].rpartition("; ")
    assert separator and rule and remedy


VALUES = {
    "J=0": ("J", 0, {"J": 0}),
    "J negative": ("J", -1, {"J": -1}),
    "J too large": ("J", 4, {"J": 4}),
    "J huge": ("J", 10**9, {"J": 10**9}),
    "J for a one-pixel side": ("J", 1, {"J": 1, "shape": (1, 9)}),
    "zero side": ("shape", (0, 9), {"shape": (0, 9)}),
    "negative side": ("shape", (12, -9), {"shape": (12, -9)}),
    "L odd": ("L", 3, {"L": 3}),
    "L not the bank's": ("L", 8, {"L": 8}),
    "L zero": ("L", 0, {"L": 0}),
    "max_order=0": ("max_order", 0, {"max_order": 0}),
    "max_order=3": ("max_order", 3, {"max_order": 3}),
    "backend": ("backend", "fourier", {"backend": "fourier"}),
    "backend, not a name": ("backend", 3, {"backend": 3}),
    "out_type": ("out_type", "dict", {"out_type": "dict"}),
    "boundary": ("boundary", "reflect", {"boundary": "reflect"}),
    "threads=0": ("threads", 0, {"threads": 0}),
    "threads negative": ("threads", -2, {"threads": -2}),
    "sides no multiples": ("shape", (12, 9), {"boundary": "periodic"}),
}


@pytest.mark.parametrize(("argument", "value", "given"), VALUES.values(), ids=VALUES)
def test_refused_values(toy_bank, argument, value, given):
    arguments = {"J": 2, "shape": (12, 9), "L": 4, "bank": toy_bank("free", 4, 2), **given}
    with pytest.raises(ArgumentError) as raised:
        Scattering2D(**arguments)
    check_message(raised.value, argument, value)
    assert isinstance(raised.value, ValueError) and isinstance(raised.value, RuntimeError)
    if argument == "backend":
        assert isinstance(raised.value, BackendError) and isinstance(raised.value, ImportError)


TYPES = {
    "J bool": ("J", True, {"J": True}),
    "J float": ("J", 2.0, {"J": 2.0}),
    "J str": ("J", "2", {"J": "2"}),
    "J None": ("J", None, {"J": None}),
    "shape int": ("shape", 12, {"shape": 12}),
    "shape of one side": ("shape", (12,), {"shape": (12,)}),
    "shape of three sides": ("shape", (3, 12, 9), {"shape": (3, 12, 9)}),
    "shape None": ("shape", None, {"shape": None}),
    "shape of floats": ("shape[1]", 9.0, {"shape": (12, 9.0)}),
    "shape of bools": ("shape[0]", True, {"shape": (True, 9)}),
    "L float": ("L", 4.0, {"L": 4.0}),
    "L bool": ("L", True, {"L": True}),
    "max_order bool": ("max_order", True, {"max_order": True}),
    "max_order float": ("max_order", 2.0, {"max_order": 2.0}),
    "threads float": ("threads", 2.0, {"threads": 2.0}),
    "threads bool": ("threads", True, {"threads": True}),
    "pre_pad": ("pre_pad", "no", {"pre_pad": "no"}),
    "bank": ("bank", 3, {"bank": 3}),
}


@pytest.mark.parametrize(("argument", "value", "given"), TYPES.values(), ids=TYPES)
def test_refused_types(toy_bank, argument, value, given):
    arguments = {"J": 2, "shape": (12, 9), "L": 4, "bank": toy_bank("free", 4, 2), **given}
    with pytest.raises(ArgumentTypeError) as raised:
        Scattering2D(**arguments)
    check_message(raised.value, argument, value)
    assert isinstance(raised.value, TypeError)


def test_integer_types_of_numpy_are_integers(x, S):
    options = {"backend": S.backend, "bank": S.bank}
    T = Scattering2D(np.int64(2), np.array([12, 9]), np.uint8(4), np.int16(2), **options)
    assert np.array_equal(T(x), S(x))
    threads = Scattering2D(2, (8, 8), threads=np.int8(3)).threads
    assert threads == 3 and type(threads) is int
    assert T.plan == S.plan and type(T.J) is int


def test_an_unknown_bank_is_refused():
    with pytest.raises(BankError) as raised:
        Scattering2D(2, (12, 9), bank="no such bank")
    check_message(raised.value, "bank", "no such bank")


@pytest.mark.parametrize(
    "shape",
    [(), (9,), (108,), (9, 12), (12, 8), (13, 9), (2, 11, 9), (0, 9), (12, 0), (0, 0), (3, 12, 0)],
)
@pytest.mark.parametrize("pre_pad", [False, True])
def test_refused_image_sizes(S, shape, pre_pad):
    T = Scattering2D(2, (12, 9), L=4, pre_pad=pre_pad, bank=S.bank)
    with pytest.raises(ArgumentError) as raised:
        T(np.zeros(shape))
    check_message(raised.value, "x.shape", shape)
    assert isinstance(raised.value, RuntimeError)
    assert str((20, 16) if pre_pad else (12, 9))[1:-1] in str(raised.value)


def test_padded_images_need_pre_pad_and_others_must_not_have_it(S, x):
    T = Scattering2D(2, (12, 9), L=4, pre_pad=True, bank=S.bank)
    with pytest.raises(RuntimeError, match="Padded array must be of spatial size"):
        T(x)
    with pytest.raises(RuntimeError, match=r"x\.shape"):
        S(np.zeros((20, 16)))


@pytest.mark.parametrize(
    ("image", "options", "argument", "value"),
    [
        (np.zeros(5), {}, "x.shape", (5,)),
        (np.float64(5), {}, "x.shape", ()),
        (np.zeros((0, 8)), {}, "x.shape", (0, 8)),
        (np.zeros((3, 8, 0)), {}, "x.shape", (3, 8, 0)),
        (np.zeros((8, 8)), {"J": 4}, "J", 4),
        (np.zeros((12, 10)), {"pre_pad": True}, "x.shape[-2:]", (12, 10)),
        (np.zeros((8, 16)), {"pre_pad": True}, "x.shape[-2:]", (8, 16)),
        (np.zeros((12, 12)), {"J": -1, "pre_pad": True}, "J", -1),
        (np.zeros((12, 12)), {"J": 10**5, "pre_pad": True}, None, None),
    ],
)
def test_scatter_refuses_what_the_class_refuses(S, image, options, argument, value):
    with pytest.raises(ArgumentError) as raised:
        scatter(image, **{"J": 2, "L": 4, "bank": S.bank, **options})
    if argument:
        check_message(raised.value, argument, value)


def test_scatter_refuses_types_the_class_refuses(S):
    for image in ([[1, 2], [3]], np.ones((8, 8), complex), np.full((8, 8), "a")):
        with pytest.raises(ArgumentTypeError):
            scatter(image, 2, L=4, bank=S.bank)
    for options in ({"J": 2.0}, {"J": True}, {"J": True, "pre_pad": True}):
        with pytest.raises(ArgumentTypeError):
            scatter(np.ones((12, 12)), **{"J": 2, "L": 4, "bank": S.bank, **options})


# The GPU, seen from where there is none


class OnGPU:
    """Says that it lies in a GPU's memory."""

    shape = (16, 16)

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


INTERFACE = {"shape": (16, 16), "typestr": "<f4", "data": (4096, False), "version": 3}
ARRAYS_ON_A_GPU = [
    OnGPU(__cuda_array_interface__=INTERFACE),
    OnGPU(__dlpack_device__=lambda: (2, 0)),
    OnGPU(__dlpack_device__=lambda: (13, 0)),
]


@pytest.mark.parametrize("x", ARRAYS_ON_A_GPU)
def test_arrays_on_a_gpu_are_not_for_the_cpu(backend, x):
    S = Scattering2D(2, (16, 16), backend=backend)
    for call in (lambda: S(x), lambda: scatter(x, backend=backend)):
        with pytest.raises(ArgumentTypeError, match=r"x=.*lies on a GPU.*use backend='cuda'"):
            call()


@pytest.mark.parametrize(("name", "value"), [("storage", "float16"), ("stream", 7)])
def test_what_only_a_gpu_heeds_is_refused_elsewhere(backend, name, value):
    with pytest.raises(ArgumentError, match=rf"{name}={value!r}: has no effect on backend="):
        scatter(np.zeros((16, 16)), backend=backend, **{name: value})


def test_threads_are_refused_where_numpy_decides():
    with pytest.raises(ArgumentError, match=r"^threads=3: has no effect on backend='numpy'"):
        Scattering2D(2, (16, 16), backend="numpy", threads=3)


class Word(str):
    """A str of another type, as NumPy's and those of enumerations are."""


def test_words_may_be_of_any_type_that_is_a_str(toy_bank):
    words = {"out_type": "list", "boundary": "zero", "backend": "numpy"}
    for kind in (Word, np.str_):
        given = {name: kind(word) for name, word in words.items()}
        S = Scattering2D(2, (16, 16), L=4, bank=toy_bank("free", 4, 2), **given)
        assert all(getattr(S, name) == word for name, word in words.items())
        assert isinstance(S(np.zeros((16, 16))), list)


def test_attributes_that_are_set_later_are_heeded():
    S = Scattering2D(2, (16, 16), backend="numpy")
    S.backend, S.threads, S.memory = "numba", 1, 2**20
    assert "threads=1, memory=1048576" in repr(S)
    with mock.patch.object(backends.load("numba"), "run") as run:
        S(np.zeros((16, 16)))
    assert run.call_args.args[-1] == {"threads": 1, "memory": 2**20}


def test_errors_of_a_call_come_from_where_they_were_raised():
    with pytest.raises(ArgumentError) as raised:
        Scattering2D(2, (32, 32))(np.zeros((3, 8, 8)))
    assert raised.traceback[-1].name == "check_shape"


def test_a_shipped_bank_is_looked_for_once():
    FilterBank.load("accurate")
    with mock.patch.object(bank_file, "list_banks", side_effect=AssertionError):
        Scattering2D(2, (16, 16), bank="accurate")


def test_owners_of_arrays_on_a_gpu_wait_for_the_work():
    S, order = Scattering2D(2, (16, 16), backend="numpy"), []
    interop = SimpleNamespace(
        borrow=lambda name, x, stream: SimpleNamespace(
            array=np.zeros((16, 16), np.float32),
            stream="a stream",
            give_back=lambda: order.append("given back"),
        ),
        new_array=lambda shape, dtype, stream: np.empty(shape, dtype),
    )
    module = SimpleNamespace(OPTIONS=(), run=lambda *given: order.append(given[-2]))
    with (
        mock.patch.dict(sys.modules, {"npscatter.backends.gpu.interop": interop}),
        mock.patch.object(backends, "load", return_value=module),
        mock.patch("npscatter.scattering.planned.load", return_value=module),
        mock.patch("npscatter.scattering.settings.load", return_value=module),
    ):
        S.backend = "cuda"
        S(OnGPU(__cuda_array_interface__=INTERFACE))
    assert order == ["a stream", "given back"]


def test_errors_of_a_call_show_the_object(backend):
    S = Scattering2D(2, (32, 32), backend=backend)
    shown = r"\[in a call of Scattering2D\(J=2, shape=\(32, 32\), bank='accurate'\)\]$"
    for x, kind in ((np.zeros((3, 8, 8)), ArgumentError), (np.array(1j), ArgumentTypeError)):
        with pytest.raises(kind, match=r"^x\.(shape|dtype)=.*" + shown):
            S(x)
    with pytest.raises(ArgumentError, match=r"^out\.shape=.*" + shown):
        S(np.zeros((32, 32)), out=np.zeros(3))


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("storage", "float8", "must be 'float16' or None"),
        ("memory", 0, "must be at least 1"),
        ("memory", 1.5, "must be an integer"),
    ],
)
def test_settings_of_a_gpu_are_checked(name, value, rule):
    with pytest.raises((ArgumentError, ArgumentTypeError), match=f"{name}={value!r}: {rule}"):
        Scattering2D(2, (16, 16), **{name: value})


def run_without_a_gpu(**hidden):
    """Return what constructing for a GPU says in a process that sees none."""
    script = f"""
import sys
for name in {list(hidden)!r}:
    sys.modules[name] = None
import npscatter
try:
    npscatter.Scattering2D(2, (16, 16), backend="cuda")
except npscatter.BackendError as error:
    print(error)
assert npscatter.Scattering2D(2, (16, 16)).backend == "numba"
"""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "NUMBA_ENABLE_CUDASIM": "0"}
    ran = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_without_a_driver_an_error_says_what_to_install():
    said = run_without_a_gpu()
    assert said.startswith("backend='cuda': cannot be imported (")
    assert "CUDA" in said and "NVIDIA's driver" in said and "(or [cuda12]" in said
    assert "pass backend='numba'" in said


def test_without_numba_cuda_an_error_says_what_to_install():
    assert install_extra("cuda13") in run_without_a_gpu(numba_cuda=None)
