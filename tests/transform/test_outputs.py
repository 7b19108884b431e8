"""What else a transform can give: moduli, their means, more samples, fewer paths."""

import pickle

import numpy as np
import pytest
from banks import bank_of
from cases import by_definition
from tolerances import assert_channels_equal, likely

from npscatter import ArgumentError, ArgumentTypeError, Scattering2D, scatter

OUTPUTS = {
    "moduli": {"average": False},
    "means": {"average": "global"},
    "oversampled": {"oversampling": 1},
    "symmetric": {"boundary": "symmetric"},
    "constant": {"boundary": "constant"},
    "moduli, zero": {"average": False, "boundary": "zero"},
    "means, periodic": {"average": "global", "boundary": "periodic"},
    "moduli of order 1": {"average": False, "max_order": 1},
    "oversampled, symmetric": {"oversampling": 1, "boundary": "symmetric"},
}
SIZES = [(1, (2, 6)), (2, (12, 4)), (3, (8, 16)), (2, (11, 7))]


def transform(J, shape, name="free L=4 R=2", backend="numpy", **options):
    return Scattering2D(J, shape, 4, backend=backend, bank=bank_of(name), **options)


@pytest.fixture
def generator():
    return np.random.default_rng(71)


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize(("J", "shape"), SIZES)
@pytest.mark.parametrize("name", ["symmetric L=4 R=3", "free, strided wavelets", "paper shape"])
def test_outputs_equal_the_definition(generator, backend, name, J, shape, kind):
    options = OUTPUTS[kind]
    bank = bank_of(name)
    if options.get("boundary") == "periodic":
        shape = tuple(side - side % 2**J for side in shape)
    if "oversampling" in options and bank.architecture.psi_stride == 2:
        with pytest.raises(ArgumentError, match=r"oversampling=1: needs wavelets of stride 1"):
            transform(J, shape, name, backend, **options)
        return
    images = generator.normal(size=(2, *shape))
    S = transform(J, shape, name, backend, **options)
    coefficients = S(images)
    for number, image in enumerate(images):
        expected = by_definition(image, bank, J, **options)
        assert_channels_equal(coefficients, number, expected, S, image)


def test_some_paths_are_those_of_all(generator, backend):
    whole = transform(3, (16, 19), backend=backend)
    x = generator.normal(size=(16, 19))
    coefficients, meta = whole(x), whole.meta()
    generator = np.random.default_rng(5)
    for paths in (
        meta["order"] == 2,
        meta["order"] < 2,
        meta["j"][:, 0] == 1,
        [0],
        [3],
        [whole.n_coefficients - 1],
        (meta["theta"][:, 0] == meta["theta"][:, 1]).tolist(),
        np.sort(generator.permutation(whole.n_coefficients)[:9]),
    ):
        S = transform(3, (16, 19), backend=backend, paths=paths)
        chosen = np.flatnonzero(paths) if np.asarray(paths).dtype == bool else paths
        assert S.paths == tuple(chosen)
        # Windows of other orientations together may be folded otherwise.
        size = np.abs(coefficients).max()
        assert np.abs(S(x) - coefficients[chosen]).max() <= likely(S, np.float64) * size
        for key, values in S.meta().items():
            assert np.array_equal(values, meta[key][chosen], equal_nan=values.dtype.kind == "f")
        assert S.plan.workspace.size <= whole.plan.workspace.size
        assert len(S.plan.steps) < len(whole.plan.steps)
        assert S.output_shape == (len(chosen), *whole.output_shape[1:])
    S = transform(3, (16, 19), paths=range(whole.n_coefficients))
    assert S.plan == whole.plan and S.paths is None


@pytest.mark.parametrize("boundary", ["kymatio", "zero", "periodic", "symmetric", "constant"])
def test_every_second_sample_of_the_oversampled_is_a_coefficient(generator, backend, boundary):
    shape = (24, 32) if boundary == "periodic" else (24, 33)
    x = generator.normal(size=shape)
    expected = transform(3, shape, backend=backend, boundary=boundary)(x)
    S = transform(3, shape, backend=backend, boundary=boundary, oversampling=1)
    assert S.output_shape[1:] == (shape[0] // 4, shape[1] // 4)
    assert np.array_equal(S(x)[:, ::2, ::2], expected)


@pytest.mark.parametrize("boundary", ["kymatio", "periodic"])
def test_global_means_are_means_of_the_moduli(generator, backend, boundary):
    x = generator.normal(size=(3, 16, 24))
    options = {"backend": backend, "boundary": boundary}
    means = transform(3, (16, 24), average="global", **options)(x)
    moduli = transform(3, (16, 24), average=False, **options)(x)
    for channel, one in enumerate(moduli):
        np.testing.assert_allclose(means[:, channel], one["coef"].mean((1, 2)), rtol=1e-14)
    # The image itself comes first, untouched.
    assert np.array_equal(moduli[0]["coef"], x) and moduli[0]["j"] == ()


def test_moduli_have_the_resolution_of_their_last_wavelet(backend):
    S = transform(3, (33, 40), backend=backend, average=False)
    assert S.plan.channel_shapes == S.output_shape
    for path, shape in zip(S.plan.paths, S.output_shape, strict=True):
        octave = path.j[-1] if path.j else 0
        assert shape == (33 >> octave, 40 >> octave)
    y = S(np.zeros((2, 0, 33, 40)))
    assert [one["coef"].shape for one in y] == [(2, 0, *shape) for shape in S.output_shape]
    assert [one["theta"] for one in y] == [path.theta for path in S.plan.paths]


def test_levels_and_magnitudes_are_given_back(generator, backend):
    contrast = generator.normal(size=(16, 24))
    for options in ({"average": "global"}, {"average": False}, {"oversampling": 1}):
        S = transform(2, (16, 24), "accurate-L4", backend, **options)

        def flat(x, S=S):
            y = S(x)
            if S.average is False:
                return np.concatenate([one["coef"].ravel() for one in y])
            return y.ravel()

        order_0 = S.plan.channel_starts[1]
        for factor in (2.0**60, 2.0**-90):
            assert np.array_equal(flat(contrast * factor), flat(contrast) * factor)
        level = 2.0**10
        raised = np.float32(contrast).astype(np.float64) + level
        ours, plain = flat(raised), flat(raised - level)
        size = np.abs(plain).max()
        assert np.abs(ours[order_0:] - plain[order_0:]).max() <= likely(S, np.float64) * size
        if S.average is False:
            assert np.array_equal(ours[:order_0], raised.ravel())
    # Without order 0 nothing is given back to what comes first.
    first = transform(2, (16, 24), "accurate-L4", backend, paths=[1, 2])
    np.testing.assert_allclose(first(raised), first(raised - level), rtol=1e-9)


def test_arrays_to_fill_and_lists(generator):
    x = generator.normal(size=(2, 12, 9))
    S = transform(2, (12, 9), average="global")
    out = np.full((S.n_coefficients, 2), np.nan).T
    assert S(x, out=out) is out and np.array_equal(out, S(x))
    S.out_type = "list"
    listed = S(x)
    assert [one["coef"].shape for one in listed] == [(2, 1, 1)] * S.n_coefficients
    assert np.array_equal(np.stack([one["coef"][:, 0, 0] for one in listed], 1), out)
    T = transform(2, (12, 9), average=False)
    with pytest.raises(ArgumentError, match=r"out=ndarray .* many sizes"):
        T(x, out=np.empty(3))
    again = pickle.loads(pickle.dumps(T))
    assert again.average is False and again.plan == T.plan and "average=False" in repr(T)
    means = scatter(x, 2, L=4, bank=bank_of("free L=4 R=2"), backend="numpy", average="global")
    assert np.array_equal(means, out)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"average": 2}, ArgumentTypeError, "average=2: must be True, False or 'global'"),
        ({"average": None}, ArgumentTypeError, "average=None: must be True, False or 'global'"),
        ({"average": "mean"}, ArgumentError, "average='mean': must be one of"),
        ({"oversampling": 2}, ArgumentError, "oversampling=2: must be 0 or 1"),
        ({"oversampling": True}, ArgumentTypeError, "oversampling=True"),
        ({"oversampling": 1, "average": "global"}, ArgumentError, "no effect where average='glo"),
        ({"paths": [False] * 25}, ArgumentError, "name a path at least"),
        ({"paths": []}, ArgumentError, "name a path at least"),
        ({"paths": [True] * 3}, ArgumentError, "a value for each of the 25 channels, and has 3"),
        ({"paths": [25]}, ArgumentError, "channel numbers from 0 to 24"),
        ({"paths": [-1]}, ArgumentError, "channel numbers from 0 to 24"),
        ({"paths": [3, 3]}, ArgumentError, r"each number once; pass sorted\(set\(paths\)\)"),
        ({"paths": [5, 3, 0]}, ArgumentError, r"increasing order.*; pass sorted\(set\(paths\)\)"),
        ({"paths": range(24, -1, -1)}, ArgumentError, "increasing order"),
        ({"paths": 3}, ArgumentTypeError, "paths=3: must be channel numbers, or a mask"),
        ({"paths": [0.0]}, ArgumentTypeError, "must be channel numbers, or a mask"),
        ({"paths": "all"}, ArgumentTypeError, "paths='all'"),
        ({"paths": [[0]]}, ArgumentTypeError, "must be channel numbers, or a mask"),
    ],
)
def test_refusals_name_the_argument(options, error, words):
    with pytest.raises(error, match=words):
        transform(2, (8, 8), **options)
