"""Arguments: what is an integer or a bool, what errors show, and what may be set later."""

import copy
import inspect
import pickle
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from npscatter import ArgumentError, ArgumentTypeError, FilterBank, Scattering2D
from npscatter.errors import LONGEST_PATH_SHOWN, LONGEST_SHOWN, explain, shown

DOCUMENTED = (ArgumentError, ArgumentTypeError)  # those of banks and backends are the first


# Integers and bools


@pytest.mark.parametrize("of", [np.array, torch.tensor, np.uint8, np.int64])
def test_whatever_is_an_integer_is_one(toy_bank, of):
    S = Scattering2D(
        of(1), (of(8), of(9)), of(2), of(2), bank=toy_bank("free", 2, 1), threads=of(1)
    )
    for value in (S.J, *S.shape, S.L, S.max_order, S.threads):
        assert type(value) is int
    assert (S.J, S.shape, S.max_order) == (1, (8, 9), 2)


@pytest.mark.parametrize(
    ("given", "shown", "whole"),
    [
        ({"J": np.log2(32)}, r"J=np\.float64\(5\.0\)", r"int\(J\), which is 5"),
        ({"J": 2.0}, r"J=2\.0", r"int\(J\), which is 2"),
        (
            {"shape": (9, np.float32(8))},
            r"shape\[1\]=np\.float32\(8\.0\)",
            r"int\(shape\[1\]\), wh",
        ),
        ({"threads": 2.0}, r"threads=2\.0", r"int\(threads\), which is 2"),
        ({"J": 2.5}, r"J=2\.5", "J as an int$"),
        ({"J": np.float64("nan")}, r"J=np\.float64\(nan\)", "J as an int$"),
        ({"J": float("inf")}, "J=inf", "J as an int$"),
        ({"J": Fraction(5, 2)}, r"J=Fraction\(5, 2\)", "J as an int$"),
        ({"J": np.bool_(True)}, r"J=np\.True_", "J as an int$"),
        ({"J": np.array([2])}, "J=ndarray of int64, shape", "J as an int$"),
    ],
)
def test_a_whole_float_is_told_how_to_become_an_int(toy_bank, given, shown, whole):
    arguments = {"J": 2, "shape": (9, 8), "L": 2, "bank": toy_bank("free", 2, 1), **given}
    with pytest.raises(ArgumentTypeError, match=f"^{shown}.*: must be an integer; pass {whole}"):
        Scattering2D(**arguments)


def test_whatever_is_a_bool_is_one(toy_bank, tmp_path):
    np.savez(tmp_path / "saved.npz", pre_pad=True)
    saved = np.load(tmp_path / "saved.npz")["pre_pad"]
    numbers = (0, 1, np.int8(1), np.uint64(0), np.array(0), torch.tensor(1), torch.tensor(False))
    for given in (np.True_, np.bool_(False), np.array(False), saved, *numbers):
        S = Scattering2D(1, (4, 4), 2, bank=toy_bank("free", 2, 1), pre_pad=given)
        assert S.pre_pad is bool(given)
        assert S.plan.input_shape == ((8, 8) if given else (4, 4))
    for refused in (2, -1, 0.0, 1.0, "yes", None, np.array([True]), np.array(1.0), np.array(2)):
        with pytest.raises(ArgumentTypeError, match=r"^pre_pad="):
            Scattering2D(1, (4, 4), 2, bank=toy_bank("free", 2, 1), pre_pad=refused)


# What errors show


class Shows:
    """Has a repr that does what it is told to."""

    def __init__(self, what):
        self.what = what

    def __repr__(self):
        return self.what()


class Hides:
    """Has attributes that cannot be asked for."""

    def __getattr__(self, name):
        raise RuntimeError


HOSTILE = {
    "raises": Shows(lambda: 1 / 0),
    "is no text": Shows(lambda: 3),
    "megabytes": Shows(lambda: "long " * 10**6),
    "lines": Shows(lambda: "a\n  b\r\nc\u2028d\x0be\x85f\x1c"),
    "steers the terminal": Shows(lambda: "\x1b[2J\x07\u202e\x9b1m"),
    "half a letter": Shows(lambda: "\ud800"),
    "attributes": Hides(),
    "array": np.arange(300.0).reshape(10, 30),
    "tensor": torch.zeros(3, 4, requires_grad=True),
    "arrays in a list": [np.zeros((9, 9))] * 9,
    "deep": [[[[[[[[[1]]]]]]]]],
    "long list": list(range(10**6)),
    "text": "x" * 10**6,
    "lines of text": "x\n" * 90,
    "int": 10**5000,
    "dict": {k: np.zeros((k, k)) for k in range(99)},
    "itself": (lambda a: a.append(a) or a)([]),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_value_is_shown_on_one_short_line(value):
    text = shown(value)
    assert 0 < len(text) <= LONGEST_SHOWN and text.isprintable()
    said = explain("name", value, "rule\nof two lines", "remedy\x1b")
    assert said == rf"name={text}: rule of two lines; remedy\x1b"


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["J", "shape", "L", "max_order", "pre_pad", "backend", "out_type"])
def test_errors_are_short_whatever_was_passed(toy_bank, name, value):
    arguments = {"J": 2, "shape": (9, 8), "L": 2, "bank": toy_bank("free", 2, 1), name: value}
    with pytest.raises(DOCUMENTED) as raised:
        Scattering2D(**arguments)
    said = str(raised.value)
    assert said.startswith(f"{name}") and said.isprintable() and len(said) < 400


@pytest.mark.parametrize("kind", [str, Path])
def test_paths_are_shown_whole(kind):
    path = kind("/" + "/".join(f"folder number {k}" for k in range(40)))
    assert shown(path) == repr(path) and len(str(path)) > 4 * LONGEST_SHOWN
    assert len(shown(kind("/" + "x/" * 10**5))) <= LONGEST_PATH_SHOWN
    assert len(shown("/\n" * 99)) <= LONGEST_SHOWN


def test_values_are_shown_as_they_are_if_they_are_short():
    for value in (
        3,
        "a\\b  c",
        (1, 2.5, None),
        {"a": [1]},
        np.float64(2),
        np.array(3),
        type,
        b"\n",
    ):
        assert shown(value) == repr(value)
    assert shown(np.zeros((2, 3), np.float32)) == "ndarray of float32, shape (2, 3)"
    path = "/" + "f" * 200 + "/bank.npz"
    assert shown(path).startswith("'/fff") and shown(path).endswith("fff/bank.npz'")


# Attributes that are set later

SETTINGS = {
    "threads": ("x", 0, -1, 1.5, True, [2], np.array([1, 2])),
    "memory": ("x", 0, -1, 1.5, True),
    "storage": ("float8", 16, True, np.zeros(3)),
    "out_type": ("dict", None, 3, np.zeros(3)),
    "backend": ("fourier", None, 3, np.zeros(3)),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_set_later_is_checked_as_by_the_constructor(name):
    S = Scattering2D(2, (16, 16))
    before = repr(S), getattr(S, name)
    for value in SETTINGS[name]:
        with pytest.raises(DOCUMENTED) as constructed:
            Scattering2D(2, (16, 16), **{name: value})
        with pytest.raises(type(constructed.value)) as later:
            setattr(S, name, value)
        assert str(later.value) == str(constructed.value)
    assert (repr(S), getattr(S, name)) == before


def test_settings_may_be_changed_and_mean_what_the_constructors_do(toy_bank):
    bank = toy_bank("free", 2, 1)
    S = Scattering2D(1, (4, 4), 2, bank=bank)
    S.threads, S.out_type = np.int8(2), "list"
    assert type(S.threads) is int and isinstance(S(np.zeros((4, 4))), list)
    with pytest.raises(ArgumentError, match=r"^threads=2: has no effect on backend='numpy'"):
        S.backend = "numpy"
    assert S.backend == "numba"
    S.threads = None
    S.backend = "numpy"
    with pytest.raises(ArgumentError, match=r"^threads=2: has no effect on backend='numpy'"):
        S.threads = 2
    with pytest.raises(ArgumentError, match=r"^storage=.*has no effect on backend='numpy'"):
        S.storage = "float16"
    S.backend = "auto"
    assert S.backend == "numba"
    S.threads = 2
    for T in (pickle.loads(pickle.dumps(S)), copy.copy(S), copy.deepcopy(S)):
        assert repr(T) == repr(S) and T.threads == 2 and T.out_type == "list"
        with pytest.raises(DOCUMENTED):
            T.threads = "x"
        T.threads = 1
        assert S.threads == 2


@pytest.mark.parametrize(
    "name",
    [
        *("J", "shape", "L", "max_order", "pre_pad", "boundary"),
        *("average", "oversampling", "paths"),
        *("bank", "plan", "n_coefficients", "output_shape", "M", "N", "psi", "phi"),
    ],
)
def test_what_the_plan_was_made_from_is_read_only(toy_bank, name):
    S = Scattering2D(1, (4, 4), 2, bank=toy_bank("free", 2, 1))
    before = repr(S)
    with pytest.raises(
        AttributeError, match=rf"^{name}=.* is read-only.*\(\.\.\., {name}=\.\.\.\)$"
    ):
        setattr(S, name, getattr(S, name))
    assert repr(S) == before and not hasattr(S, "no such")
    S.note = "anything else may be attached"
    assert S.note


@pytest.mark.parametrize("door", ["numpy", "torch"])
def test_what_is_asked_for_and_what_is_shown_are_attributes(door):
    asked = {"average": "global", "paths": [1, 3]}
    S = Scattering2D(2, (16, 16), 4, bank="accurate-L4", frontend=door, **asked)
    shown = re.findall(r"(\w+)=", repr(S))
    arguments = set(inspect.signature(type(S)).parameters) - {"frontend"}
    assert {"paths", "average"} < set(shown) and arguments >= set(shown)
    for name in arguments:
        assert name in vars(S) or hasattr(S, name), name
    assert (S.average, S.paths) == ("global", (1, 3))
    with pytest.raises(AttributeError, match=r"^paths=\[0\]: is read-only, and \(1, 3\)"):
        S.paths = [0]


def test_no_repr_floods_the_screen():
    S = Scattering2D(3, (32, 32))
    for one in (S, S.bank, S.plan, S.filters(), S.filters(after=0)):
        assert type(one).__name__ in repr(one) and len(repr(one)) < 300
    assert repr(S.filters(size=(16, 24), after=0)) == (
        "EffectiveFilters(scales=(1, 2), grid=1, L=8, size=(16, 24))"
    )
    assert "shape=(32, 32)" in repr(S.plan) and f"{len(S.plan.steps)} steps" in repr(S.plan)


# Equal objects


def test_objects_of_the_same_arguments_are_equal(toy_bank):
    S = Scattering2D(2, (9, 8))
    same = Scattering2D(
        *(np.int64(2), [9, 8], None, 2, np.bool_(False), S.backend),
        bank=S.bank,
        boundary=S.boundary,
        frontend="NumPy",
    )
    for other in (same, pickle.loads(pickle.dumps(S)), copy.copy(S), copy.deepcopy(S)):
        assert S == other and hash(S) == hash(other) and {S: 1}[other] == 1
    for changed in (
        *({"J": 1}, {"shape": (8, 9)}, {"L": 4}, {"max_order": 1}, {"pre_pad": True}),
        *({"backend": "numpy"}, {"out_type": "list"}, {"bank": "fast"}, {"boundary": "zero"}),
        *({"threads": 1},),
    ):
        assert S != Scattering2D(**({"J": 2, "shape": (9, 8)} | changed)), changed
    before = hash(S)
    S.out_type = "list"
    assert S != same and hash(S) == before
    assert S != "S" and S is not None


HASHED = "import joblib, npscatter; print(joblib.hash(npscatter.Scattering2D(2, (16, 16), L=4)))"


def test_joblib_takes_equal_objects_for_the_same(tmp_path):
    """Also those of another process, and whatever was asked of them before."""
    copied = pickle.loads(pickle.dumps(FilterBank.load("accurate-L4")))
    S = Scattering2D(2, (16, 16), 4, bank=copied)  # whose plan the others share
    for about in (S, S.plan):
        for name in dir(about):
            getattr(about, name)
    S(np.ones((16, 16)))
    here = {joblib.hash(one) for one in (S, Scattering2D(2, [16, 16], np.int64(4)))}
    here.add(joblib.hash(pickle.loads(pickle.dumps(S))))
    there = subprocess.run(
        [sys.executable, "-c", HASHED], capture_output=True, text=True, check=True, timeout=120
    )
    assert here == {there.stdout.strip()}

    calls = []

    def mean(transform, x):
        calls.append(transform.J)
        return transform(x).mean()

    remembered = joblib.Memory(tmp_path, verbose=0).cache(mean)
    x = np.ones((16, 16))
    assert remembered(S, x) == remembered(Scattering2D(2, (16, 16), 4), x)
    assert calls == [2]
    remembered(Scattering2D(1, (16, 16), 4), x)
    assert calls == [2, 1]


# Anything for an argument

ODD = [
    *(None, True, np.True_, 0, 1, 2, 3, 8, -1, 2**31, 2**63, 10**30, 10**5000, 0.5, 2.0),
    *(float("nan"), float("inf"), 1j, "", "2", "auto", "numpy", "list", "zero", "periodic"),
    *("a\0b", "\ud800", b"2", (), (1,), (8, 8), (9, 8), (2**18, 2), (10**8, 2), (8, 8, 8)),
    *([8, 9], {8, 9}, {8: 9, 9: 8}, "ab", iter((8, 8)), np.array([8, 9]), np.zeros((2, 2))),
    *(np.int8(2), np.float64(2), np.array(2), np.array("2"), np.datetime64("2020"), object()),
    *(int, len, Fraction(2), Shows(lambda: 1 / 0), Hides(), torch.tensor(2), torch.zeros(2)),
]


def test_any_constructor_arguments_work_or_raise_what_is_documented(toy_bank):
    bank, generator = toy_bank("free", 2, 1), np.random.default_rng(15)
    names = ("J", "shape", "L", "max_order", "pre_pad", "backend", "out_type")
    names += ("boundary", "threads", "storage", "memory")
    made = 0
    for number in range(1200):
        # Each of them once for each at least, mostly alone.
        odd = {names[number % len(names)]: ODD[number // len(names) % len(ODD)]}
        if number > len(names) * len(ODD):
            odd[generator.choice(names)] = ODD[generator.integers(len(ODD))]
        backend = str(generator.choice(["numpy", "numba"]))
        arguments = {"J": 2, "shape": (9, 8), "L": 2, "bank": bank, "backend": backend, **odd}
        try:
            S = Scattering2D(**arguments)
        except DOCUMENTED as error:
            assert str(error).isprintable() and len(str(error)) < 600
        else:
            assert len(repr(S)) < 600
            made += 1
    assert 40 < made < 400, made
