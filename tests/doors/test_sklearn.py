"""The transformer: equal to the transform, and an estimator as scikit-learn wants them."""

import importlib
import pickle

import numpy as np
import pytest
from processes import SMALL_BANK, copy_worker, run_python
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from npscatter import ArgumentError, ArgumentTypeError, Scattering2D, features
from npscatter import sklearn as door
from npscatter.features.summary import SUMMARIES
from npscatter.sklearn import ScatteringTransformer

PLAIN = {"L": 4, "bank": "fast", "backend": "numpy"}


def images(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# Its values


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("lead", [(5,), (5, 1), (5, 3)])
def test_equals_the_transform(lead, dtype):
    x = (100 * np.abs(images(*lead, 12, 8))).astype(dtype)
    scatter = ScatteringTransformer(**PLAIN)
    S = Scattering2D(2, (12, 8), **PLAIN)
    expected = S(x).reshape(5, -1)
    rows = scatter.fit_transform(x)
    assert rows.dtype == expected.dtype and np.array_equal(rows, expected)
    assert scatter.n_features_in_ == np.prod(x.shape[1:])
    flat = ScatteringTransformer(shape=(12, 8), **PLAIN).fit(x.reshape(5, -1))
    assert np.array_equal(flat.transform(x.reshape(5, -1)), expected)
    assert flat.channels_ == scatter.channels_ == x.size // (5 * 12 * 8)
    # Seen in one form, they are taken in the other.
    assert np.array_equal(scatter.transform(x.reshape(5, -1)), expected)
    assert np.array_equal(flat.transform(x), expected)


def test_it_works_unfitted_as_kymatios_does():
    x = images(2, 3, 12, 8)
    scatter = door.Scattering2D(np.array(2), x.shape[2:], 4, 2, False, "numpy", bank="fast")
    S = Scattering2D(2, (12, 8), **PLAIN)
    assert np.array_equal(scatter.transform(x.reshape(2, -1)), S(x).reshape(2, -1))
    assert np.array_equal(scatter.predict(x), S(x).reshape(2, -1))
    assert np.array_equal(scatter(x), S(x)) and np.array_equal(scatter.scattering(x), S(x))
    assert door.Scattering2D is ScatteringTransformer


def test_padded_images():
    S = Scattering2D(2, (12, 8), pre_pad=True, **PLAIN)
    x = images(3, *S.plan.input_shape)
    expected = S(x).reshape(3, -1)
    scatter = ScatteringTransformer(pre_pad=True, **PLAIN).fit(x)
    assert scatter.shape_ == (12, 8)
    assert np.array_equal(scatter.transform(x), expected)
    flat = ScatteringTransformer(shape=(12, 8), pre_pad=True, **PLAIN)
    assert np.array_equal(flat.fit_transform(x.reshape(3, -1)), expected)


def test_read_only_images_in_a_file(tmp_path):
    x = images(4, 12, 8, dtype=np.float32)
    x.tofile(tmp_path / "images")
    mapped = np.memmap(tmp_path / "images", np.float32, "r", shape=x.shape)
    scatter = ScatteringTransformer(**PLAIN)
    assert np.array_equal(scatter.fit_transform(mapped), scatter.fit_transform(x))
    assert np.shares_memory(scatter._images(mapped, reset=True)[0], mapped)


# Names


def test_every_feature_has_the_name_of_its_channel_and_place():
    x = images(2, 3, 12, 8)
    scatter = ScatteringTransformer(**PLAIN).fit(x)
    S = Scattering2D(2, (12, 8), **PLAIN)
    names = scatter.get_feature_names_out()
    rows, maps = scatter.transform(x), S(x)
    assert len(set(names)) == len(names) == rows.shape[1]
    for c in range(3):
        for channel, name in enumerate(features.names(S.meta())):
            for y in range(3):
                for x in range(2):
                    column = names.tolist().index(f"c{c}_{name}_y{y}_x{x}")
                    assert np.array_equal(rows[:, column], maps[:, c, channel, y, x])
    assert "c1_S2_j0_t1_j1_t3_y2_x1" in names


def test_names_without_channels_and_of_summaries():
    scatter = ScatteringTransformer(**PLAIN).fit(images(2, 12, 8))
    assert scatter.get_feature_names_out()[-1] == "S2_j0_t3_j1_t3_y2_x1"
    scatter.set_params(summary=np.array(["mean", "isotropic", "log"]))
    names = scatter.get_feature_names_out().tolist()
    assert names[:2] == ["mean_S0", "log_mean_S1_iso_j0"]
    assert names[-1] == "log_mean_S2_iso_j0_j1_d3"


def test_names_of_what_was_never_seen():
    with pytest.raises(NotFittedError):
        ScatteringTransformer(shape=(12, 8)).get_feature_names_out()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(library):
    module = importlib.import_module(library)
    x = images(4, 8, 8)
    names = [f"pixel{number}" for number in range(64)]
    frame = module.DataFrame(dict(zip(names, x.reshape(4, -1).T, strict=True)))
    scatter = ScatteringTransformer(shape=(8, 8), **PLAIN).set_output(transform=library)
    found = scatter.fit_transform(frame)
    assert type(found) is module.DataFrame
    assert list(found.columns) == scatter.get_feature_names_out().tolist()
    assert np.array_equal(found.to_numpy(), scatter.predict(frame))
    assert np.array_equal(found.to_numpy(), ScatteringTransformer(**PLAIN).fit_transform(x))
    assert scatter.feature_names_in_.tolist() == names
    with pytest.raises(ValueError, match="feature names"):
        scatter.transform(frame[names[::-1]])


# What is computed


OUTPUTS = (
    {"average": "global"},
    {"average": False},
    {"oversampling": 1},
    {"paths": [0, 3, 20]},
    {"average": False, "paths": [0, 3, 20], "max_order": 2},
    {"average": "global", "max_order": 1, "boundary": "symmetric"},
)


@pytest.mark.parametrize("asked", OUTPUTS, ids=str)
@pytest.mark.parametrize("lead", [(5,), (5, 2)])
def test_every_feature_of_other_outputs_is_that_of_its_name(asked, lead):
    x = images(*lead, 12, 8)
    scatter = ScatteringTransformer(**PLAIN, **asked).fit(x)
    listed = Scattering2D(2, (12, 8), out_type="list", **PLAIN, **asked)(x.reshape(5, -1, 12, 8))
    rows, column = scatter.transform(x), 0
    names = scatter.get_feature_names_out().tolist()
    assert len(set(names)) == len(names) == rows.shape[1]
    for c in range(x.size // (5 * 12 * 8)):
        for one in listed:
            path = "".join(f"_j{j}_t{t}" for j, t in zip(one["j"], one["theta"], strict=True))
            for y, x_ in np.ndindex(one["coef"].shape[2:]):
                place = "" if asked.get("average") == "global" else f"_y{y}_x{x_}"
                channel = f"c{c}_" if len(lead) > 1 else ""
                assert names[column] == f"{channel}S{len(one['j'])}{path}{place}"
                assert np.array_equal(rows[:, column], one["coef"][:, c, y, x_])
                column += 1
    assert column == len(names)


def test_moduli_begin_with_the_image_itself():
    x = images(3, 12, 8)
    scatter = ScatteringTransformer(average=False, **PLAIN)
    rows = scatter.fit_transform(x)
    assert np.allclose(rows[:, :96], x.reshape(3, 96))
    names = scatter.get_feature_names_out().tolist()
    assert names[:9:8] == ["S0_y0_x0", "S0_y1_x0"]
    # Those of the coarser scale have a quarter of the samples.
    sizes = [sum(name.startswith(f"S1_j{j}_t0_") for name in names) for j in range(2)]
    assert sizes == [96, 24]


def test_a_search_over_what_is_computed():
    x = images(12, 8, 8)
    y = np.arange(12) % 2
    x[y == 1] *= 3
    model = make_pipeline(ScatteringTransformer(J=1, **PLAIN), NearestCentroid())
    grid = [
        {"average": [True, "global", False], "summary": [("mean", "isotropic", "log")]},
        {"oversampling": [1], "paths": [None, [1, 2], np.arange(5) > 1], "summary": ["std"]},
    ]
    grid = [{f"scatteringtransformer__{key}": one[key] for key in one} for one in grid]
    found = GridSearchCV(model, grid, cv=2, error_score="raise").fit(x, y)
    assert len(found.cv_results_["params"]) == 6 and found.best_score_ > 0.9


# Summaries


def expected_summary(name, maps, meta):
    mean, std = features.spatial_mean(maps, meta), features.spatial_std(maps, meta)
    if name == "mean_std":
        return features.join(mean, std, axis=-1)
    if name == "square":
        return features.square_mean(*mean)
    if name == "reduced":
        low = features.select(maps, meta, order=[0, 1])
        others = features.s21(maps, meta), features.s22(maps, meta)
        return features.join(features.isotropic(*low), *others)
    functions = {"mean": "spatial_mean", "std": "spatial_std", "log": "logarithm"}
    return getattr(features, functions.get(name, name))(maps, meta)


@pytest.mark.parametrize("name", SUMMARIES)
def test_summaries(name):
    x = images(5, 2, 16, 16)
    summary = ("mean", "square") if name == "square" else name
    scatter = ScatteringTransformer(J=3, summary=summary, **PLAIN)
    S = Scattering2D(3, (16, 16), **PLAIN)
    values, meta = expected_summary(name, S(x), S.meta())
    rows = scatter.fit_transform(x)
    assert np.array_equal(rows, values.reshape(5, -1))
    names = scatter.get_feature_names_out().tolist()
    assert len(set(names)) == len(names) == rows.shape[1]
    first = features.names(meta)[0]
    assert names[0] == f"c0_{first}" if values.ndim == 3 else f"c0_{first}_y0_x0"


def test_summaries_one_after_the_other_and_in_batches(monkeypatch):
    x = images(7, 16, 16)
    summary = ("mean_std", "reduced", "log")
    scatter = ScatteringTransformer(J=3, summary=summary, floor=1e-3, **PLAIN)
    S = Scattering2D(3, (16, 16), **PLAIN)
    both = expected_summary("mean_std", S(x), S.meta())
    low = features.isotropic(*features.select(*both, order=[0, 1], axis=-1), axis=-1)
    pairs = (one(*both, axis=-1) for one in (features.s21, features.s22))
    values, _ = features.logarithm(*features.join(low, *pairs, axis=-1), floor=1e-3, axis=-1)
    assert np.array_equal(scatter.fit_transform(x), values)
    for batch_size in (1, 3, 100):
        assert np.array_equal(scatter.set_params(batch_size=batch_size).transform(x), values)
    monkeypatch.setattr(door, "BATCH_BYTES", 1)
    assert np.array_equal(scatter.set_params(batch_size=None).transform(x), values)


@pytest.mark.parametrize("summary", ["mean", ("mean", "isotropic", "log"), ("mean", "square")])
def test_summaries_of_means_are_those_of_maps_of_one_sample(summary):
    x = images(5, 2, 16, 16)
    scatter = ScatteringTransformer(J=3, summary=summary, average="global", **PLAIN)
    S = Scattering2D(3, (16, 16), average="global", **PLAIN)
    values, meta = features.spatial_mean(S(x)[..., None, None], S.meta())
    for step in summary[1:] if isinstance(summary, tuple) else ():
        own = {"isotropic": features.isotropic, "log": features.logarithm}.get(step)
        values, meta = own(values, meta, axis=-1) if own else features.square_mean(values, meta)
    assert np.array_equal(scatter.fit_transform(x), values.reshape(5, -1))
    named = [f"c{c}_{name}" for c in range(2) for name in features.names(meta)]
    assert scatter.get_feature_names_out().tolist() == named


def test_means_without_a_name_for_them():
    """Where what is made of means is not named "mean", it is the same but for its names."""
    x = images(5, 16, 16)
    scatter = ScatteringTransformer(J=3, summary="square", average="global", **PLAIN)
    rows = scatter.fit_transform(x)
    assert scatter.get_feature_names_out()[1] == "square_S1_j0_t0"
    assert np.array_equal(rows, scatter.set_params(summary=("mean", "square")).transform(x))


@pytest.mark.parametrize("name", ["mean", "std", "mean_std"])
def test_numbers_of_moduli(name):
    x = images(5, 2, 16, 12)
    scatter = ScatteringTransformer(summary=(name, "isotropic", "log"), average=False, **PLAIN)
    S = Scattering2D(2, (16, 12), average=False, **PLAIN)
    parts = []
    for one in name.split("_"):
        numbers = np.stack([getattr(np, one)(u["coef"], axis=(-2, -1)) for u in S(x)], axis=-1)
        titles = np.array([f"{one}_{title}" for title in features.names(S.meta())])
        parts.append((numbers, {**S.meta(), "name": titles}))
    values, meta = features.isotropic(*features.join(*parts, axis=-1), axis=-1)
    values, meta = features.logarithm(values, meta, axis=-1)
    np.testing.assert_allclose(scatter.fit_transform(x), values.reshape(5, -1), rtol=1e-12)
    named = [f"c{c}_{title}" for c in range(2) for title in features.names(meta)]
    assert scatter.get_feature_names_out().tolist() == named
    assert np.array_equal(scatter.set_params(batch_size=2).transform(x), scatter.predict(x))


# Parameters


def test_it_learns_nothing_and_plans_again():
    x = images(2, 16, 16)
    for scatter in (ScatteringTransformer(shape=(16, 16), **PLAIN), ScatteringTransformer(**PLAIN)):
        scatter.fit(x)
        for changes in (
            *({"J": 3}, {"L": 6}, {"max_order": 1, "J": 1}, {"boundary": "periodic"}),
            *({"oversampling": 1}, {"oversampling": 0, "average": "global"}, {"paths": [1, 2]}),
        ):
            scatter.set_params(**changes)
            given = {**scatter.get_params(), "shape": (16, 16)}
            for name in ("summary", "floor", "batch_size"):
                del given[name]
            expected = Scattering2D(**given)(x).reshape(2, -1)
            assert np.array_equal(scatter.transform(x), expected)
            assert len(scatter.get_feature_names_out()) == expected.shape[1]


def test_clones_and_pickles(toy_bank):
    x = images(2, 16, 16)
    bank = toy_bank("free", 4, 2)
    scatter = ScatteringTransformer(bank=bank, L=4, backend="numpy", summary=("mean", "log"))
    unfitted = clone(scatter.fit(x))
    assert unfitted.get_params()["bank"] == bank and unfitted.summary is not None
    with pytest.raises(NotFittedError):
        unfitted.get_feature_names_out()
    for other in (unfitted.fit(x), pickle.loads(pickle.dumps(scatter))):
        assert other.get_feature_names_out().tolist() == scatter.get_feature_names_out().tolist()
        assert np.array_equal(other.transform(x), scatter.transform(x))


def test_parameters_are_kept_as_given():
    given = {"J": np.int64(2), "shape": [8, 8], "summary": ["mean"], "bank": "fast", "L": 4}
    given |= {"average": np.bool_(True), "oversampling": np.int64(1), "paths": np.arange(3)}
    scatter = ScatteringTransformer(**given).fit(images(2, 8, 8))
    for name, value in given.items():
        assert getattr(scatter, name) is value


@pytest.mark.parametrize(
    ("given", "x", "message"),
    [
        ({}, images(2, 64), r"X.shape=\(2, 64\).*sides are not known; give shape=\(8, 8\)"),
        ({}, images(2, 60), r"give shape=\(H, W\)"),
        ({"shape": (8, 8)}, images(2, 60), "must have 8 x 8 columns"),
        ({"shape": (8, 8)}, images(2, 8, 12), r"x.shape=\(2, 8, 12\): .*spatial size \(8, 8\)"),
        ({}, images(2, 32, 32, 3), "channels last"),
        ({}, images(2, 1, 1, 8, 8), r"must be \(n, H, W\)"),
        ({}, images(2, 8, 8) * np.nan, "NaN"),
        ({}, images(2, 8, 8) * np.inf, "infinity"),
        ({"J": 4}, images(2, 8, 8), "J=4"),
        ({"summary": "median"}, images(2, 8, 8), "summary='median': must be one of"),
        ({"summary": ("mean", "std")}, images(2, 8, 8), "summary='std': follows"),
        ({"summary": "square"}, images(2, 8, 8), "summary='square': needs numbers"),
        (
            {"average": "global", "summary": "std"},
            images(2, 8, 8),
            "summary='std': needs maps, and average='global' makes one number of each; pass",
        ),
        (
            {"average": "global", "summary": ("square", "mean")},
            images(2, 8, 8),
            "summary='mean': follows",
        ),
        (
            {"average": False, "summary": "log"},
            images(2, 8, 8),
            r"summary='log': .*average=False makes several; pass \(\"mean\", \"log\"\)",
        ),
        ({"average": "all"}, images(2, 8, 8), "average='all': must be one of"),
        ({"average": False, "oversampling": 1}, images(2, 8, 8), "oversampling=1: has no effect"),
        ({"paths": [1000]}, images(2, 8, 8), "paths="),
        ({"paths": [1], "summary": "isotropic"}, images(2, 8, 8), "has 1 of 8 orientations"),
        ({"summary": 5}, images(2, 8, 8), "summary=5: must be a name, or names in a sequence"),
        ({"summary": {"mean"}}, images(2, 8, 8), "must be a name, or names in a sequence"),
        ({"summary": b"mean"}, images(2, 8, 8), "must be a name, or names in a sequence"),
        ({"summary": "log", "floor": 0}, images(2, 8, 8), "floor=0: must be a number above 0"),
        ({"summary": ("reduced", "isotropic")}, images(2, 8, 8), "S1_iso_j0': is a mean over"),
        ({"batch_size": 0}, images(2, 8, 8), "batch_size=0: must be at least 1"),
    ],
)
def test_fit_says_what_is_wrong(given, x, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ScatteringTransformer(**{"backend": "numpy", **given}).fit(x)


def test_images_that_are_more_than_numbers():
    x = images(2, 8, 8)
    hidden = np.ma.masked_greater(x, 1)
    for given in (hidden, hidden.reshape(2, 64)):
        with pytest.raises(ArgumentTypeError, match=r"X=.* holds masked values; pass X.filled"):
            ScatteringTransformer(shape=(8, 8), **PLAIN).fit(given)
    tensor = importlib.import_module("torch").as_tensor(x)
    assert len(ScatteringTransformer(**PLAIN).fit_transform(tensor)) == 2
    with pytest.raises(ArgumentTypeError, match=r"requires a gradient.*npscatter.torch"):
        ScatteringTransformer(**PLAIN).fit(tensor.requires_grad_())


def test_transform_says_what_is_wrong():
    scatter = ScatteringTransformer(**PLAIN).fit(images(2, 8, 8))
    with pytest.raises(ValueError, match=r"X has 100 features.*expecting 64 features"):
        scatter.transform(images(2, 10, 10))
    with pytest.raises(ArgumentError, match=r"must be of spatial size \(8, 8\)"):
        scatter.transform(images(2, 4, 16))
    with pytest.raises(ArgumentError, match="batch_size=0"):
        scatter.set_params(batch_size=0, summary="mean").transform(images(2, 8, 8))
    with pytest.raises(ArgumentTypeError, match="J="):
        scatter.set_params(J=1.5).transform(images(2, 8, 8))


# As scikit-learn wants it


class OfAnyRows(ScatteringTransformer):
    """The transformer of rows of any length: they are made images by zeros at their end.

    scikit-learn's checks fit tables of 1 to 20 columns, which are no images of one shape; all else
    of the transformer is as it is.
    """

    def _from_rows(self, X, shape):
        pixels = np.zeros((len(X), 4, max(4, -(-X.shape[1] // 4))), X.dtype)
        pixels.reshape(len(X), -1)[:, : X.shape[1]] = X
        return super()._from_rows(pixels.reshape(len(X), -1), pixels.shape[1:])


@parametrize_with_checks(
    [
        OfAnyRows(J=1, **PLAIN),
        OfAnyRows(J=1, summary=("mean_std", "isotropic", "log"), average=False, **PLAIN),
        OfAnyRows(J=1, average="global", paths=[0, 2], **PLAIN),
    ]
)
def test_scikit_learns_checks(estimator, check):
    """All of them: none is expected to fail."""
    check(estimator)


def test_scikit_learns_checks_fail_for_flat_images_without_a_shape_alone():
    results = check_estimator(ScatteringTransformer(**PLAIN), on_skip=None, on_fail=None)
    for result in results:
        if result["status"] == "failed":
            failure = result["exception"]
            told = f"{failure} {failure.__cause__} {failure.__context__}"
            assert "are flat images, whose sides are not known" in told, result["check_name"]
    assert sum(result["status"] == "passed" for result in results) >= 10


def test_what_scikit_learn_is_told():
    tags = get_tags(ScatteringTransformer())
    assert tags.input_tags.two_d_array and tags.input_tags.three_d_array
    assert not tags.requires_fit and not tags.input_tags.allow_nan
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]


def test_a_pipeline_of_digits():
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    digits, labels = load_digits(return_X_y=True)
    scatter = ScatteringTransformer(J=1, shape=(8, 8), L=4, bank="fast")
    model = make_pipeline(scatter, StandardScaler(), LogisticRegression(max_iter=200))
    score = model.fit(digits[::2], labels[::2]).score(digits[1::2], labels[1::2])
    raw = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    assert score > raw.fit(digits[::2], labels[::2]).score(digits[1::2], labels[1::2]) > 0.9
    assert model[:-1].get_feature_names_out()[0] == "S0_y0_x0"


SEARCH = """
import os, sys, time
from pathlib import Path
import numpy as np
from joblib import Parallel, delayed, parallel_config
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from npscatter.sklearn import ScatteringTransformer

log = Path(sys.argv[1])

def note(*words):
    with open(log / str(os.getpid()), "a") as file:
        print(*words, file=file)

def watched(X):
    '''Note how many threads this process takes, and from now on what it compiles.'''
    import numba
    from npscatter.backends.jit_cache import SealedFiles
    if not hasattr(SealedFiles, "watched"):
        save = SealedFiles.watched = SealedFiles.save
        def noted(self, key, data):
            note("compiled", self._path(self._name(key)))
            save(self, key, data)
        SealedFiles.save = noted
    note("threads", numba.config.NUMBA_NUM_THREADS)
    late = time.monotonic() + 100
    while len(list(log.iterdir())) < 2 and time.monotonic() < late:
        time.sleep(0.05)  # until the other process is there
    return X

def seen(scatter, X):
    note("memmap", isinstance(X, np.memmap) and not X.flags.writeable)
    return scatter.fit_transform(X)

other = FilterBank("other", **{
    name: np.concatenate([bank[name]] * 2) if name.startswith("psi") else bank[name]
    for name in bank.keys()
})
scatter = ScatteringTransformer(shape=(16, 20), summary="std")
model = make_pipeline(FunctionTransformer(watched), scatter, NearestCentroid())
grid = [
    {"scatteringtransformer__J": [1, 2], "scatteringtransformer__L": [len(one["psi_first"])],
     "scatteringtransformer__bank": [one]}
    for one in (bank, other)
]
X, y = generator.normal(size=(40, 320)), np.arange(40) % 2
X[y == 1] *= 3
found = [GridSearchCV(model, grid, cv=2, n_jobs=n).fit(X, y).cv_results_ for n in (2, 1)]
assert np.array_equal(*(one["mean_test_score"] for one in found))
assert found[0]["mean_test_score"].min() > 0.9, found[0]["mean_test_score"]
with parallel_config("loky", n_jobs=2, max_nbytes=1000):
    scatter = ScatteringTransformer(bank=bank, L=2)
    several = Parallel()(delayed(seen)(scatter, X.reshape(40, 16, 20)) for _ in range(2))
for rows in several:
    assert np.array_equal(rows, scatter.fit_transform(X.reshape(40, 16, 20)))
print(os.getpid(), os.cpu_count())
"""


def test_a_search_in_two_processes_compiles_once_and_shares_the_cores(tmp_path):
    cache, log = tmp_path / "cache", tmp_path / "log"
    cache.mkdir(), log.mkdir()
    copy_worker(cache)
    without = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")
    said = run_python(SMALL_BANK + SEARCH, log, without=without, NUMBA_CACHE_DIR=str(cache))
    parent, cores = said.split()[-2:]
    notes = {path.name: path.read_text().splitlines() for path in log.iterdir()}
    compiled = [line for lines in notes.values() for line in lines if line.startswith("compiled")]
    assert len(compiled) >= 2 and len(set(compiled)) == len(compiled)
    workers = [lines for pid, lines in notes.items() if pid != parent]
    threads = [{line for line in lines if line.startswith("threads")} for lines in workers]
    assert len(workers) >= 2
    share = max(1, int(cores) // 2)
    assert all(one <= {f"threads {share}"} for one in threads)
    mapped = [line for lines in workers for line in lines if line.startswith("memmap")]
    assert mapped == ["memmap True"] * 2


def test_without_scikit_learn():
    code = """
import sys
sys.modules["sklearn"] = None
try:
    import npscatter.sklearn
except ImportError as error:
    print(error)
"""
    said = run_python(code).strip()
    assert "\n" not in said
    assert "needs scikit-learn 1.6 or newer" in said and "'.[sklearn]'" in said
