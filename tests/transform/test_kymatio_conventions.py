"""Kymatio's conventions: shapes, channels, grid, errors and, given its own filters, its values."""

import copy
import importlib
import inspect
import pickle

import numpy as np
import pytest
from banks import make_toy_bank
from kymatio import Scattering2D as KymatioScattering2D
from kymatio.scattering2d.frontend.numpy_frontend import ScatteringNumPy2D

from npscatter import ArgumentError, BackendError, FilterBank, Scattering2D
from npscatter.program.steps import WEIGHT_ARRAYS

# Every J up to 5, odd and even sides, multiples of 2^J and not, 2^J equal to the smaller side.
SIZES = [
    (1, (2, 2)),
    (1, (3, 8)),
    (1, (17, 14)),
    (2, (4, 4)),
    (2, (5, 7)),
    (2, (16, 23)),
    (3, (8, 8)),
    (3, (9, 31)),
    (3, (24, 16)),
    (4, (16, 16)),
    (4, (35, 17)),
    (5, (32, 40)),
]


@pytest.mark.parametrize("pre_pad", [False, True])
@pytest.mark.parametrize(("J", "shape"), SIZES)
def test_output_shapes(toy_bank, J, shape, pre_pad):
    bank = toy_bank("symmetric", 2, 1)
    for max_order in (1, 2) if J < 5 else (2,):
        kymatio = KymatioScattering2D(J, shape, 2, max_order, pre_pad)
        S = Scattering2D(J, shape, 2, max_order, pre_pad, bank=bank)
        size = (kymatio._M_padded, kymatio._N_padded) if pre_pad else shape
        for batch in [(), (2,), (1, 2)]:
            x = np.zeros((*batch, *size))
            expected = kymatio(x)
            assert S(x).shape == expected.shape
            assert S(x).dtype == expected.dtype
        assert expected.shape[-3:] == S.output_shape


@pytest.mark.parametrize("max_order", [1, 2])
@pytest.mark.parametrize(("J", "L"), [(1, 4), (2, 6), (3, 2)])
def test_list_output(toy_bank, J, L, max_order):
    arguments = {"J": J, "shape": (9, 11), "L": L, "max_order": max_order, "out_type": "list"}
    expected = KymatioScattering2D(**arguments)(np.ones((3, 9, 11)))
    actual = Scattering2D(**arguments, bank=toy_bank("symmetric", L, 1))(np.ones((3, 9, 11)))
    assert type(actual) is type(expected)
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected, strict=True):
        assert set(ours) == set(theirs)
        assert ours["coef"].shape == theirs["coef"].shape
        for key in ("j", "n", "theta"):
            assert ours[key] == theirs[key] and type(ours[key]) is type(theirs[key])


def test_the_signature_starts_as_kymatios():
    ours = list(inspect.signature(Scattering2D).parameters.values())
    theirs = list(inspect.signature(ScatteringNumPy2D).parameters.values())
    assert [p.name for p in ours[: len(theirs)]] == [p.name for p in theirs]
    for our, their in zip(ours, theirs, strict=False):
        assert our.kind == their.kind
        if our.name != "backend":  # "auto" here, and "numpy" is accepted
            assert our.default == their.default
    assert all(p.kind is p.KEYWORD_ONLY for p in ours[len(theirs) :])


def kymatio_error(call):
    try:
        call(KymatioScattering2D, {})
    except Exception as error:
        return type(error)
    raise AssertionError("Kymatio accepts this")


MISTAKES = {
    "J too large": lambda S, bank: S(4, (12, 9), 4, **bank),
    "2^J above one side": lambda S, bank: S(2, (12, 3), 4, **bank),
    "image too small": lambda S, bank: S(2, (12, 9), 4, **bank)(np.zeros((12, 8))),
    "image transposed": lambda S, bank: S(2, (12, 9), 4, **bank)(np.zeros((9, 12))),
    "one axis": lambda S, bank: S(2, (12, 9), 4, **bank)(np.zeros(9)),
    "no axis": lambda S, bank: S(2, (12, 9), 4, **bank)(np.array(1.0)),
    "not padded": lambda S, bank: S(2, (12, 9), 4, pre_pad=True, **bank)(np.zeros((12, 9))),
    "out_type": lambda S, bank: S(2, (12, 9), 4, out_type="set", **bank)(np.zeros((12, 9))),
    "backend": lambda S, bank: S(2, (12, 9), 4, backend="no such", **bank),
    "None": lambda S, bank: S(2, (12, 9), 4, **bank)(None),
    "complex": lambda S, bank: S(2, (12, 9), 4, **bank)(np.zeros((12, 9), complex)),
    "text": lambda S, bank: S(2, (12, 9), 4, **bank)(np.full((12, 9), "a")),
    "shape of one": lambda S, bank: S(2, 12, 4, **bank),
}


@pytest.mark.parametrize("call", MISTAKES.values(), ids=MISTAKES)
def test_an_except_clause_for_kymatio_catches_ours(toy_bank, call):
    expected = kymatio_error(call)
    # Whatever else it may be, Kymatio's is a documented class, not an accident.
    kinds = (RuntimeError, TypeError, ImportError)
    if not issubclass(expected, kinds):
        expected = kinds
    with pytest.raises(expected):
        call(Scattering2D, {"bank": toy_bank("symmetric", 4, 1)})


NAMES = ["torch", "torch_skcuda", "jax", "tensorflow", "keras", "sklearn"]


class Backend:
    """As Kymatio's are: an object with a name."""

    def __init__(self, name):
        self.name = name


class Nameless:
    @property
    def name(self):
        raise RuntimeError


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [str, Backend])
def test_backends_of_kymatios_name_the_door(kind, name):
    with pytest.raises(BackendError) as raised:
        Scattering2D(2, (8, 8), backend=kind(name))
    assert isinstance(raised.value, ImportError)
    door = dict.fromkeys(("jax", "tensorflow", "keras"), "the documentation has recipes")
    place = door.get(name, f"npscatter.{name.partition('_')[0]}.Scattering2D")
    assert str(raised.value).startswith("backend=") and place in str(raised.value)


def test_other_objects_are_no_backends():
    for given, remedy in (
        (Backend("numpy"), "backend='numpy'"),
        (Backend("fake"), "backend='auto'"),
        (Backend(["torch"]), "backend='auto'"),
        (Nameless(), "backend='auto'"),
        (np.zeros(3), "backend='auto'"),
    ):
        with pytest.raises(BackendError, match=f"not supported.*{remedy}$"):
            Scattering2D(2, (8, 8), backend=given)


def test_names_that_code_for_kymatio_uses(toy_bank):
    kymatio = KymatioScattering2D(2, (17, 12), 2)
    x = np.random.default_rng(3).normal(size=(2, 17, 12))
    S = Scattering2D(2, (17, 12), 2, bank=toy_bank("symmetric", 2, 1))
    for name in ("_M_padded", "_N_padded"):
        assert getattr(S, name) == getattr(kymatio, name)
    assert (S.M, S.N) == S.shape == tuple(kymatio.shape)
    out = np.empty((2, *S.output_shape))
    for found in (S.scattering(x), S.scattering(input=x), S.forward(x), S.scattering(x, out)):
        assert np.array_equal(found, S(x))
    assert S.scattering(x, out=out) is out
    with pytest.raises(RuntimeError, match="at least two dimensions"):
        S.forward(x[0, 0])


def test_what_was_meant_is_said():
    S = Scattering2D(2, (32, 32), 4)
    with pytest.raises(TypeError, match=r"input should be an array.*cv2\.imread"):
        S(None)
    with pytest.raises(RuntimeError, match="channels last; pass channels first"):
        S(np.zeros((32, 32, 3)))


# Frontends


def test_the_frontend_of_arrays_is_the_default(toy_bank):
    bank = toy_bank("symmetric", 2, 1)
    for given in ({}, {"frontend": "numpy"}, {"frontend": "NumPy"}):
        assert type(Scattering2D(1, (4, 4), 2, bank=bank, **given)) is Scattering2D
    for wrong in ("jax", "tensorflow", "keras", "", None, 3, ["torch"], Scattering2D):
        with pytest.raises(BackendError, match=r"^frontend=.* is not valid") as raised:
            Scattering2D(1, (4, 4), 2, bank=bank, frontend=wrong)
        # Kymatio's for frameworks that are not installed, and for unknown names.
        assert isinstance(raised.value, ImportError) and isinstance(raised.value, RuntimeError)


@pytest.mark.parametrize("frontend", ["torch", "sklearn"])
def test_a_frontend_gives_the_object_of_its_door(frontend):
    door = importlib.import_module(f"npscatter.{frontend}").Scattering2D
    assert type(Scattering2D(2, (32, 32), L=4, frontend=frontend)) is door
    assert type(Scattering2D(2, (32, 32), L=4, frontend="numpy")) is Scattering2D
    with pytest.raises(RuntimeError, match=r"^J="):
        Scattering2D(9, (32, 32), frontend=frontend).fit(np.zeros((2, 1024)))


class Derived(Scattering2D):
    """Has an argument of its own, and an array."""

    def __init__(self, scale, shape):
        super().__init__(1, shape, 2, bank=BANK)
        self.scale = np.full(3, scale)

    def __call__(self, x, out=None, stream=None):
        return self.scale[0] * super().__call__(x, out, stream)


BANK = make_toy_bank("symmetric", 2, 1)


def test_derived_classes_are_whole():
    S, x = Derived(3.0, (4, 6)), np.arange(24.0).reshape(4, 6)
    assert list(inspect.signature(Derived).parameters) == ["scale", "shape"]
    assert isinstance(S, Scattering2D) and S == S and S != Derived(3.0, (4, 6))
    expected = 3 * Scattering2D(1, (4, 6), 2, bank=BANK)(x)
    for T in (S, pickle.loads(pickle.dumps(S)), copy.deepcopy(S)):
        assert type(T) is Derived and np.array_equal(T(x), expected)
    assert np.array_equal(S.scattering(x), expected)

    class Plain(Scattering2D):
        pass

    assert type(Plain(1, (4, 6), 2, bank=BANK)) is Plain
    with pytest.raises(ArgumentError, match=r"^frontend='torch'.*derive from npscatter\.torch"):
        Plain(1, (4, 6), 2, bank=BANK, frontend="torch")


@pytest.mark.parametrize("boundary", ["kymatio", "zero", "periodic"])
@pytest.mark.parametrize("J", [1, 2])
def test_samples_sit_on_kymatios_pixels(toy_bank, J, boundary):
    """S0 of a ramp is the position of the sample: to Kymatio's accuracy inside, exact for one tap.

    Under "periodic" nothing is padded, so only multiples of 2^J compare, whose first sample is
    pixel 0 in both.
    """
    arrays = {key: toy_bank("symmetric", 2, 1)[key] for key in WEIGHT_ARRAYS}
    one_tap = np.ones((1, 1, 1, 1))
    arrays |= {key: one_tap for key in ("low_first", "carry_first", "carry_next", "low_next")}
    bank = FilterBank("samples", **arrays)
    for H in range(36, 37) if boundary == "periodic" else range(33, 41):
        shape = (H, H + 4)
        rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
        kymatio = KymatioScattering2D(J, shape, 2, 1)
        S = Scattering2D(J, shape, 2, 1, bank=bank, boundary=boundary)
        for ramp in (rows, columns):
            margin = (slice(None), slice(6 // J, -6 // J), slice(6 // J, -6 // J))
            actual, expected = S(ramp)[margin], kymatio(ramp)[margin]
            assert actual[0].size >= 6
            assert np.abs(actual[0] - expected[0]).max() < 0.01
            assert np.array_equal(actual[0], np.round(expected[0]))


def taps_of(transfer, K):
    """Return the K x K taps, as a correlation, of Kymatio's Fourier filters on their whole grid."""
    spatial = np.fft.ifft2(transfer)
    P = spatial.shape[-1]
    taps = np.zeros((*spatial.shape[:-2], K, K), complex)
    for a in range(-(P // 2), P - P // 2):
        for b in range(-(P // 2), P - P // 2):
            # y[u] = sum_a h[a] x[u - a], so the tap at +a is h[-a].
            taps[..., K // 2 + a, K // 2 + b] = spatial[..., -a, -b]
    return taps


def polyphase(taps):
    """Return (..., 4, k, k): the parts of a kernel that fall on each of the four shifts.

    With x_pq[u] = x[2 u + (p, q)]::

        sum over a of w[a] x[2 u + a] = sum over p, q, b of w[2 b + (p, q)] x_pq[u + b]
    """
    half = taps.shape[-1] // 2
    reach = half // 2 + 1
    parts = np.zeros((*taps.shape[:-2], 4, 2 * reach + 1, 2 * reach + 1), taps.dtype)
    for part, (p, q) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        for b in range(-reach, reach + 1):
            for c in range(-reach, reach + 1):
                y, x = half + 2 * b + p, half + 2 * c + q
                if 0 <= y < taps.shape[-2] and 0 <= x < taps.shape[-1]:
                    parts[..., part, reach + b, reach + c] = taps[..., y, x]
    return parts


def kymatios_own_bank(kymatio):
    """Return a bank with which the program at J = 2 is Kymatio itself.

    Its four carried maps are the image's polyphase components, from which a kernel of any size
    gives any filter at stride 2 exactly; the kernels are Kymatio's filters on the whole grid.
    """
    L, P = kymatio.L, kymatio._M_padded
    assert kymatio.J == 2 and kymatio._N_padded == P
    psi = np.stack([taps_of(wavelet["levels"][0], P + 1) for wavelet in kymatio.psi])
    phi = [taps_of(level, level.shape[0] + 1).real[None, None] for level in kymatio.phi["levels"]]
    shifts = np.zeros((4, 1, 3, 3))
    for part, (p, q) in enumerate([(0, 0), (1, 0), (0, 1), (1, 1)]):
        shifts[part, 0, 1 + p, 1 + q] = 1
    return FilterBank(
        "kymatio",
        psi_first=psi[:L, None],
        carry_first=shifts,
        low_first=phi[1],
        psi_next=polyphase(psi[L:]),
        carry_next=np.zeros((4, 4, 1, 1)),
        low_next=polyphase(phi[0])[:, 0],
    )


@pytest.mark.parametrize("pre_pad", [False, True])
@pytest.mark.parametrize(("L", "shape"), [(8, (12, 13)), (6, (15, 14)), (4, (17, 19))])
def test_with_kymatios_own_filters_the_program_is_kymatio(L, shape, pre_pad):
    """Same order of channels, same grid, same strides: equal to the precision of its filters."""
    kymatio = KymatioScattering2D(2, shape, L, pre_pad=pre_pad)
    # Kernels of 25 x 25 and more are not what is worth compiling.
    bank = kymatios_own_bank(kymatio)
    S = Scattering2D(2, shape, L, pre_pad=pre_pad, backend="numpy", bank=bank)
    x = np.random.default_rng(L).normal(size=S.plan.input_shape)
    actual, expected = S(x), kymatio(x)
    order = S.meta()["order"]
    for o in range(3):
        scale = np.abs(expected[order == o]).max()
        assert np.abs(actual[order == o] - expected[order == o]).max() < 1e-5 * scale


@pytest.mark.parametrize("L", [4, 8])
def test_at_the_finest_scale_kymatios_own_filters_give_kymatio(L):
    """J = 1 needs no carried maps at all."""
    shape = (9, 9)
    kymatio = KymatioScattering2D(1, shape, L)
    P = kymatio._M_padded
    psi = np.stack([taps_of(wavelet["levels"][0], P + 1) for wavelet in kymatio.psi])
    bank = FilterBank(
        "kymatio",
        psi_first=psi[:, None],
        carry_first=np.zeros((1, 1, 1, 1)),
        low_first=taps_of(kymatio.phi["levels"][0], P + 1).real[None, None],
        psi_next=np.zeros((L, 1, 1, 1)),
        carry_next=np.zeros((1, 1, 1, 1)),
        low_next=np.zeros((1, 1, 1, 1)),
    )
    x = np.random.default_rng(L).normal(size=(2, *shape))
    actual, expected = Scattering2D(1, shape, L, bank=bank)(x), kymatio(x)
    assert np.abs(actual - expected).max() < 1e-5 * np.abs(expected[:, 1:]).max()
