"""Arrays of every kind as images and as `out`: plain, derived, of others, and narrow ones."""

import ctypes
import re
from collections import UserList
from pathlib import Path

import numpy as np
import pytest
import torch

from npscatter import ArgumentError, ArgumentTypeError, Scattering2D, scatter

SHAPE = (9, 8)


@pytest.fixture(scope="module", name="S")
def transform(toy_bank, backend):
    return Scattering2D(2, SHAPE, L=2, backend=backend, bank=toy_bank("free", 2, 1))


@pytest.fixture
def generator():
    return np.random.default_rng(12)


@pytest.fixture
def x(generator):
    return generator.normal(size=(3, *SHAPE))


# Arrays derived from NumPy's


class Liar(np.ndarray):
    """Says of its memory what is not so, and wraps what is computed of it."""

    strides = property(lambda self: tuple(10**9 for _ in range(self.ndim)))
    ctypes = property(lambda self: ctypes.c_int64(8))
    flags = property(lambda self: None)
    __array_interface__ = property(lambda self: {"data": (8, False)})

    def __array__(self, *args, **kwargs):
        raise KeyError

    def __array_wrap__(self, *args):
        raise KeyError

    def __array_finalize__(self, other):
        pass

    def __getitem__(self, key):
        raise KeyError


DERIVED = {
    "liar": lambda a: a.view(Liar),
    "record array": lambda a: a.view(np.recarray),
    "masked array without a mask": np.ma.masked_array,
    "masked array that masks nothing": lambda a: np.ma.masked_array(a, np.zeros(a.shape, bool)),
}


@pytest.mark.parametrize("derive", DERIVED.values(), ids=DERIVED)
def test_derived_arrays_are_taken_by_their_memory(S, x, derive):
    expected = S(x)
    assert type(S(derive(x))) is np.ndarray
    assert np.array_equal(S(derive(x)), expected)
    memory = np.full((2, *expected.shape), 7.0)
    out = derive(memory[0])
    assert S(x, out=out) is out
    assert np.array_equal(memory[0], expected) and (memory[1] == 7).all()
    T = Scattering2D(2, SHAPE, L=2, backend=S.backend, bank=S.bank, out_type="list")
    assert all(np.shares_memory(entry["coef"], memory) for entry in T(x, out=out))


def test_matrices_and_files_in_memory_are_images(S, x, tmp_path):
    expected = S(x)
    with pytest.warns(PendingDeprecationWarning):
        assert np.array_equal(S(np.matrix(x[0])), expected[0])
    given = np.memmap(tmp_path / "x", x.dtype, "w+", shape=x.shape)
    given[...] = x
    out = np.memmap(tmp_path / "out", x.dtype, "w+", shape=expected.shape)
    assert S(given, out=out) is out
    assert np.array_equal(np.fromfile(tmp_path / "out").reshape(expected.shape), expected)


class Pretender:
    """Passes for an instance of an array, and is none."""

    __class__ = np.ndarray

    def __array__(self, *args, **kwargs):
        return np.zeros((3, 7, 2, 2))


def test_out_must_be_an_array_with_a_place_for_every_coefficient(S, x):
    with pytest.raises(ArgumentTypeError, match=r"^out=<class.*must be a NumPy array"):
        S(x, out=Pretender())
    shape = S(x).shape
    twice = np.lib.stride_tricks.as_strided(np.zeros(shape[1:]), shape, (0, 32, 16, 8))
    with pytest.raises(ArgumentError, match=r"^out\.strides=\(0, 32, 16, 8\): .*place of its own"):
        S(x, out=twice)
    for strides in ((8, 8, 8, 8), (64, 32, 16, 8), (-8, 999, 16, 8)):
        tight = np.lib.stride_tricks.as_strided(np.zeros(99999)[5000:], shape, strides)
        with pytest.raises(ArgumentError, match=r"^out\.strides=.*place of its own"):
            S(x, out=tight)
    hidden = np.ma.masked_array(np.zeros(shape), np.ones(shape, bool))
    with pytest.raises(ArgumentError, match=r"^out=.*must not hold masked values"):
        S(x, out=hidden)


def test_out_may_lie_between_images_but_not_in_them(S, x):
    """Each row of one array an image, then its coefficients."""
    expected = S(x)
    pixels, coefficients = x[0].size, expected[0].size
    both = np.zeros((len(x), pixels + coefficients))
    both[:, :pixels] = x.reshape(len(x), -1)
    images = both[:, :pixels].reshape(x.shape)
    out = both[:, pixels:].reshape(expected.shape)
    assert np.may_share_memory(images, out) and S(images, out=out) is out
    assert np.array_equal(out, expected) and np.array_equal(images, x)
    over = both[:, pixels - 1 : -1].reshape(expected.shape)
    with pytest.raises(ArgumentError, match=r"^out=.*must not share memory with x"):
        S(images, out=over)


# Arrays that are more than numbers


INSIDE = [
    lambda a: a,
    lambda a: [a],
    lambda a: (a[0], a[1]),
    lambda a: [[a[0]], [a[1]]],
    lambda a: UserList([a]),
    lambda a: [list(image) for image in a],
]


@pytest.mark.parametrize("inside", INSIDE)
def test_masked_values_are_refused(S, x, inside):
    masked = np.ma.masked_array(x, x > 1)
    for call in (S, scatter):
        with pytest.raises(
            ArgumentTypeError, match=r"^x(\[\d\])*=MaskedArray of.*\.filled\(value\)"
        ):
            call(inside(masked))
    assert np.array_equal(S(masked.filled(0)), S(np.where(x > 1, 0, x)))


def test_tensors_are_images_but_not_their_gradients(S, x):
    assert np.array_equal(S(torch.tensor(x)), S(x))
    tensor = torch.tensor(x, requires_grad=True)
    for given in (tensor, 2 * tensor, torch.nn.Parameter(tensor)):
        for call in (S, scatter):
            with pytest.raises(ArgumentTypeError, match=r"^x=.*requires a gradient.*x\.detach\(\)"):
                call(given)
    with pytest.raises(ArgumentTypeError, match=r"x\[1\]=.*x\[1\]\.detach\(\)"):
        S([x[0], tensor[1]])
    assert np.array_equal(S(tensor.detach()), S(x))


class Sparse:
    """Is an object to NumPy, as SciPy's are."""

    def toarray(self):
        raise AssertionError


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        (torch.zeros(SHAPE).to_sparse(), "x.to_dense()"),
        (torch.zeros(SHAPE, device="meta"), "npscatter.torch.Scattering2D"),
        (
            torch.zeros(SHAPE, dtype=torch.bfloat16),
            "npscatter.torch.Scattering2D, or pass x.float()",
        ),
        (Sparse(), "x.toarray()"),
    ],
)
def test_arrays_that_lie_elsewhere_say_what_brings_them_here(S, given, remedy):
    for call in (S, scatter):
        with pytest.raises(ArgumentTypeError, match=f"^x=.*{re.escape(remedy)}"):
            call(given)


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        *((name, "a name is no image: read it") for name in ("a.png", b"a.png", Path("a.png"))),
        (["a.png", "b.png"], "a name is no image: read it"),
        ([Path("a.png")], "a name is no image: read it"),
        (np.array(["a.png"]), "a name is no image: read it"),
        ({"image": 1}, "pass an array (..., H, W)"),
        (np.array([None]), "pass an array (..., H, W)"),
        ([[1, 2], [3]], "pass an array (..., H, W)"),
        (np.zeros(SHAPE, object), "pass np.asarray(x).astype(np.float64)"),
        (np.full(SHAPE, "1.5"), "pass np.asarray(x).astype(np.float64)"),
        ([["1", "a"]], "pass an array (..., H, W)"),
        (torch.zeros(SHAPE, dtype=torch.bfloat16), "pass x.float()"),
    ],
)
def test_what_holds_no_numbers_is_told_what_to_pass(S, given, remedy):
    for call in (S, scatter):
        with pytest.raises(ArgumentTypeError, match=r"^x=.*is no array of numbers") as raised:
            call(given)
        assert remedy in str(raised.value) and "x.dtype" not in str(raised.value)


@pytest.mark.parametrize("of", [np.array, torch.tensor])
def test_complex_images_are_told_how_to_become_real(S, x, of):
    given = of(x * (1 + 1j))
    for call in (S, scatter):
        with pytest.raises(ArgumentTypeError, match=r"^x\.dtype=.*; take.* x\.real or abs\(x\)"):
            call(given)
    for real in (given.real, abs(given)):
        assert S(real).shape == S(x).shape


# The shape of images


def test_a_shape_that_is_not_the_objects_is_told_what_can_be_done(toy_bank):
    """What it says, done."""
    options = {"L": 2, "backend": "numpy", "bank": toy_bank("free", 2, 1)}
    S = Scattering2D(2, (8, 9), **options)

    def told(shape, of=S):
        with pytest.raises(ArgumentError, match=r"^x\.shape=") as raised:
            of(np.zeros(shape))
        return str(raised.value)

    for shape in ((72,), (5, 72), (2, 3, 72)):
        assert "; pass x.reshape(-1, 8, 9), if" in told(shape)
        assert S(np.zeros(shape).reshape(-1, 8, 9)).ndim == 4
    for shape in ((), (8,), (0,)):
        said = told(shape)
        assert "; pass images of two axes" in said and "construct" not in said
        with pytest.raises(ArgumentError, match=r"; pass images of two axes"):
            scatter(np.zeros(shape), **options)
    assert "; resize or crop the images, or construct for shape=(4, 5)" in told((3, 4, 5))
    assert Scattering2D(2, (4, 5), **options)(np.zeros((3, 4, 5))).ndim == 4
    for shape in ((3, 9), (0, 0), (9, 0)):
        assert "construct" not in told(shape)

    padded = Scattering2D(2, (8, 9), pre_pad=True, **options)
    assert "; construct with pre_pad=False, which pads them, or pad" in told((8, 9), padded)
    assert S(np.zeros((8, 9))).ndim == 3
    said = told((3, 12, 13), padded)
    assert "; pad the images, or construct for pre_pad=False and shape=(12, 13)" in said
    assert Scattering2D(2, (12, 13), pre_pad=False, **options)(np.zeros((12, 13))).ndim == 3
    assert "construct" not in told((3, 3), padded)


class Lazy:
    """A graph of tasks, as Dask's arrays; none, as xarray's in memory."""

    def __init__(self, array, graph):
        self.array, self.graph = array, graph

    def __dask_graph__(self):
        return self.graph

    def compute(self):
        raise AssertionError

    def __array__(self, dtype=None, copy=None):
        assert self.graph is None, "computed without a word"
        return self.array


class LazyOfAnotherKind(Lazy):
    __dask_graph__ = property()  # as one that is not there


def test_nothing_is_computed_without_a_word(S, x):
    for given in (Lazy(x, {"a": 1}), LazyOfAnotherKind(x, {"a": 1}), [Lazy(x, {"a": 1})]):
        for call in (S, scatter):
            with pytest.raises(ArgumentTypeError, match=r"npscatter\.dask\.scatter.*\.compute\(\)"):
                call(given)
    assert np.array_equal(S(Lazy(x, None)), S(x))


class Failing:
    """Raises what it is told to."""

    def __init__(self, error):
        self.error = error

    def __array__(self, *args, **kwargs):
        raise self.error


def test_errors_of_others_arrays_become_ours(S):
    for error in (KeyError("a\nb"), RuntimeError("no"), AttributeError(), OSError("closed")):
        with pytest.raises(ArgumentTypeError, match=r"^x=.*is no array of numbers") as raised:
            S(Failing(error))
        assert "\n" not in str(raised.value)
    with pytest.raises(MemoryError):
        S(Failing(MemoryError()))


# Channels last

ASKED = [(64, 64, 4), (64, 64, 3), (64, 64, 1), (5, 28, 28, 1), (2, 3, 32, 32, 2), (16, 16, 4)]
NOT_ASKED = [(64, 4), (4, 4), (8, 3), (3, 64, 64), (5, 8, 4), (0, 16, 4), (1, 64, 4), (5, 64, 5)]


@pytest.mark.parametrize("shape", ASKED)
def test_channels_last_are_asked_for(toy_bank, shape):
    options = {"L": 2, "backend": "numpy", "bank": toy_bank("free", 2, 1)}
    x = np.zeros(shape, np.uint8)
    for J, pre_pad in ((1, False), (1, True), (2, False)):
        with pytest.raises(ArgumentError) as raised:
            scatter(x, J, pre_pad=pre_pad, **options)
        said = str(raised.value)
        assert said.startswith(f"x.shape={shape}: ") and "np.moveaxis(x, -1, -3)" in said
        assert f"Scattering2D(J, shape={shape[-2:]})" in said
    # What it says, done.
    moved = scatter(np.moveaxis(x, -1, -3), 1, **options)
    assert moved.shape == (*shape[:-3], shape[-1], 3, *(side // 2 for side in shape[-3:-1]))
    if shape[-1] > 1:
        narrow = Scattering2D(1, shape[-2:], **options)(x)
        assert narrow.shape == (*shape[:-2], 3, *(side // 2 for side in shape[-2:]))


@pytest.mark.parametrize("shape", NOT_ASKED)
def test_other_images_are_not_asked_about(toy_bank, shape):
    options = {"L": 2, "backend": "numpy", "bank": toy_bank("free", 2, 1)}
    found = scatter(np.zeros(shape), 1, **options).shape
    assert found == (*shape[:-2], 3, *(side // 2 for side in shape[-2:]))


@pytest.mark.parametrize(
    ("shape", "others"),
    [
        ((9, 8, 3), ""),
        ((2, 9, 8, 1), ""),
        ((9, 8, 4), ""),
        ((5, 64, 60, 3), ", and resize or crop"),
    ],
)
def test_the_class_knows_channels_last_by_its_own_shape(S, shape, others):
    with pytest.raises(ArgumentError) as raised:
        S(np.zeros(shape))
    said = str(raised.value)
    assert said.startswith(f"x.shape={shape}: must be (..., 9, 8) and looks like channels last; ")
    assert f"np.moveaxis(x, -1, -3){others}" in said and "construct for" not in said


# Any layout


def random_layout(generator):
    """Return images in a random layout: their own memory, or parts, or views of some."""
    dtype = generator.choice(["f4", "f8", ">f4", ">f8", "f2", "u1", ">i2", "i8", "?"])
    lead = tuple(generator.integers(0, 3, generator.integers(0, 3)))
    shape = (*lead, *SHAPE)
    steps = generator.choice([-3, -1, 1, 2], len(shape))
    whole = tuple(n * abs(step) for n, step in zip(shape, steps, strict=True))
    values = (100 * generator.normal(size=whole)).astype(dtype)
    if generator.random() < 0.3:  # unaligned
        values = np.frombuffer(b"-" + values.tobytes(), values.dtype, offset=1).reshape(whole)
    order = generator.permutation(len(shape))
    values = (
        values.transpose(order).copy(order=generator.choice(["C", "F"]))
        if (generator.random() < 0.5 and values.flags.aligned)
        else values.transpose(order)
    )
    values = values.transpose(np.argsort(order))
    x = values[tuple(slice(None, None, step) for step in steps)]
    if generator.random() < 0.2:
        x = np.broadcast_to(x[..., :1, :], x.shape)
    if generator.random() < 0.2:
        x = np.broadcast_to(x, (2, *x.shape))
    if generator.random() < 0.2:
        x = x.view(Liar)
    return x


def test_images_of_any_layout_are_what_a_plain_copy_is(S):
    generator = np.random.default_rng(17)
    for _ in range(60):
        x = random_layout(generator)
        base = x.view(np.ndarray)
        plain = np.array(base, base.dtype.newbyteorder("="), order="C", subok=False)
        found = S(x)
        assert type(found) is np.ndarray and found.flags.c_contiguous and found.dtype.isnative
        assert np.array_equal(found, S(plain))
        assert np.array_equal(base, plain)


def test_images_of_none_at_all_may_be_of_any_number(S):
    for lead in ((0,), (10**6, 0, 10**6), (0, 10**9), (2, 0, 0)):
        x = np.empty((*lead, *SHAPE), np.float32)
        assert S(x).shape == (*lead, *S.output_shape)
    x = np.empty((0, 2**56, *SHAPE), np.uint8)
    with pytest.raises(ArgumentError, match=r"^x\.shape=.*fewer images at a time"):
        S(x)
