"""The experiment that classifies with the coefficients: its images, its statistics, its result."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.paper import classification
from benchmarks.paper.classification import BANKS, KYMATIO, PIXELS, Bootstrap, Case
from benchmarks.paper.experiment import Settings
from tools import labelled


def numbered(height, width):
    """Return a picture whose pixels tell where they stand."""
    return np.arange(height * width).reshape(height, width)


@pytest.mark.parametrize("shape", [(512, 512), (600, 700)])
def test_patches_share_no_pixel_and_halves_lie_apart(shape):
    images, folds = labelled.patches(numbered(*shape))
    assert images.shape[1:] == (32, 32) and np.bincount(folds).tolist() == [112, 112]
    assert len(np.unique(images)) == images.size
    columns = [images[folds == fold] % shape[1] for fold in (0, 1)]
    assert columns[1].min() - columns[0].max() > 64
    rows, first = images // shape[1], images[:, :1, :1]
    within = numbered(32, 32) // 32 * shape[1] + numbered(32, 32) % 32
    assert np.array_equal(images - first, np.broadcast_to(within, images.shape))
    assert rows.min() == (shape[0] - 512) // 2 and rows.max() - rows.min() == 511


def test_textures_are_normalised_and_balanced():
    found = labelled.textures()
    np.testing.assert_allclose(found.images.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(found.images.std((1, 2)), 1, atol=1e-4)
    assert len(set(zip(found.labels, found.folds, strict=True))) == 2 * len(labelled.TEXTURES)
    assert found.smallest_pool() == 112
    assert all(name in found.words for name in labelled.TEXTURES)


@pytest.mark.parametrize("make", [labelled.digits, labelled.faces])
def test_folds_test_every_image_once(make):
    found = make(5, seed=1)
    tested = [image for _, fold in found.splits() for image in fold]
    assert sorted(tested) == list(range(len(found.labels)))
    for pool, fold in found.splits():
        assert not set(pool) & set(fold)
        assert np.bincount(found.labels[pool]).min() >= found.smallest_pool()
        share = np.bincount(found.labels[fold]) / np.bincount(found.labels)
        assert np.abs(share - 0.2).max() < 0.02


def test_enlarged_digits_show_the_small_ones():
    large = labelled.digits(2, seed=0).images
    blocks = large.reshape(-1, 8, 4, 8, 4).mean((2, 4))
    small = load_digits().images / 16
    assert large.dtype == np.float32 and large.shape[1:] == (32, 32)
    assert np.corrcoef(blocks.ravel(), small.ravel())[0, 1] > 0.98


def test_training_draws_are_nested_balanced_and_from_the_pool():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [20, 30, 40]))
    pool = np.flatnonzero(np.arange(90) % 2)
    small, large = (labelled.draw_training(labels, pool, size, [1, 2]) for size in (3, 8))
    assert set(small) < set(large) <= set(pool) and len(set(large)) == 24
    assert np.bincount(labels[large]).tolist() == [8, 8, 8]
    assert np.array_equal(large, labelled.draw_training(labels, pool, 8, [1, 2]))
    assert not np.array_equal(large, labelled.draw_training(labels, pool, 8, [1, 3]))


@pytest.mark.parametrize(("rows", "columns"), [(1, 400), (60, 400), (60, 1000)])
def test_bootstrap_interval_has_the_width_of_independent_rows_and_columns(rows, columns):
    generator = np.random.default_rng(3)
    of_rows, of_columns = generator.normal(size=(rows, 1)), generator.normal(size=columns)
    low, high = Bootstrap(rows, columns).interval(of_rows + of_columns)
    variance = of_rows.var() / rows + of_columns.var() / columns
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(variance), rel=0.08)
    middle = of_rows.mean() + of_columns.mean()
    assert (high + low) / 2 == pytest.approx(middle, abs=0.2 * np.sqrt(variance))


@pytest.mark.parametrize(
    ("images", "verdict"), [(200, "not decided at this size"), (1797, "equivalent")]
)
def test_equal_judgements_are_equivalent_only_on_enough_images(images, verdict):
    right = np.random.default_rng(0).random((4, images)) < 0.9
    found = classification.compare(right, right.copy(), Bootstrap(4, images))
    assert found["difference"] == found["changed"] == 0 and found["includes_zero"]
    assert found["difference_interval"] == pytest.approx([-300 / images, 300 / images], abs=1e-3)
    assert found["verdict"] == verdict


def test_comparison_is_paired_and_antisymmetric():
    generator = np.random.default_rng(0)
    reference = generator.random((5, 1000)) < 0.6
    right = reference.copy()
    right[:, :30] = False  # Of 30 images of 1000 none is right any more.
    bootstrap = Bootstrap(5, 1000)
    there, back = (
        classification.compare(*pair, bootstrap)
        for pair in ((right, reference), (reference, right))
    )
    lost = 100 * reference[:, :30].sum() / reference.size
    assert there["difference"] == pytest.approx(-lost, abs=1e-3)
    assert there["changed"] == pytest.approx(lost, abs=1e-3)
    assert (there["verdict"], back["verdict"]) == ("worse", "better")
    assert back["difference"] == -there["difference"]
    # Unpaired, the two accuracies would be some 4 points uncertain.
    low, high = there["difference_interval"]
    assert low < -lost < high < 0 and high - low < 2


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [
        ((-0.9, 1.0), "equivalent"),
        ((0.1, 0.2), "equivalent"),
        ((-1.1, 0.0), "not decided at this size"),
        ((0.5, 1.5), "better"),
        ((-9, -0.1), "worse"),
    ],
)
def test_verdict(interval, verdict):
    assert classification.verdict(*interval) == verdict


def test_classifiers_are_those_of_scikit_learn():
    generator = np.random.default_rng(5)
    labels = np.arange(150) % 3
    features = {
        name: (labels[:, None] * 0.5 + generator.normal(size=(150, 12))).astype(np.float32)
        for name in (KYMATIO, *BANKS, PIXELS)
    }
    features["paper"] *= 1e-3
    training, tested = np.arange(60), np.arange(60, 150)
    right = classification.classify(features, labels, training, tested)
    assert set(right) == {case for cases in classification.CASES.values() for case in cases}
    for trained, judged in [(KYMATIO, KYMATIO), ("paper", "paper"), (KYMATIO, "accurate")]:
        scaler = StandardScaler().fit(features[trained][training])
        seen, shown = (
            scaler.transform(features[name][rows].astype(float))
            for name, rows in ((trained, training), (judged, tested))
        )
        penalties = np.array(classification.PENALTIES)
        for kernel, machine, grid in (
            ("linear", SVC(kernel="linear"), penalties / 12),
            ("RBF", SVC(kernel="rbf", gamma=1 / 12), penalties),
        ):
            search = GridSearchCV(machine, {"C": grid}, cv=StratifiedKFold(3))
            expected = search.fit(seen, labels[training]).predict(shown) == labels[tested]
            assert np.array_equal(right[Case(trained, judged, kernel)], expected)


def test_rbf_matrix_of_far_and_equal_rows():
    a = np.vstack([np.zeros((1, 7)), np.random.default_rng(0).normal(size=(4, 7)) * 20])
    found = classification.kernel_matrices(a, a)["RBF"]
    np.testing.assert_allclose(found, rbf_kernel(a, gamma=1 / 7), atol=1e-9)


def test_whole_experiment_on_few_images(monkeypatch):
    class Few(Settings):
        def choose(self, reduced, full):
            return 2

    some = labelled.faces(2, seed=0)
    rows = np.r_[:16, 100:116]
    names = ("digits", "textures", "faces")
    for name in names:
        few = labelled.LabelledSet(
            name,
            "words",
            some.images[rows],
            some.labels[rows],
            np.arange(32) % 2,
            pooled=name == "textures",
        )
        monkeypatch.setattr(classification, name, lambda *_, few=few: few)
    monkeypatch.setattr(classification, "DRAWS", 100)
    result = json.loads(json.dumps(classification.measure(Few()), allow_nan=False))
    assert list(result["sets"]) == list(names) and len(result["summary"]) == 3 * 2 * len(BANKS)
    for found in result["sets"].values():
        assert found["sizes"] == [2, 5, 8]
        own = {
            (row["kernel"], row["size"]): row["accuracy"]
            for row in found["retrained"]
            if row["representation"] == KYMATIO
        }
        assert max(own.values()) > 60
        for row in found["retrained"] + found["trained_on_Kymatio"]:
            if row["representation"] != KYMATIO:
                expected = row["accuracy"] - own[row["kernel"], row["size"]]
                assert row["difference"] == pytest.approx(expected, abs=2e-3)
    assert result["sets"]["textures"]["features"][KYMATIO] == 81
    assert result["sets"]["faces"]["features"][KYMATIO] == 81 * 64
    figure = classification.draw({"setting": "reduced", **result})
    assert len(figure.axes) == 9 and "words" in figure.get_supxlabel()
    result |= {"setting": "reduced", "environment": {"command": "it", "cpu": "a", "threads": 1}}
    assert "| faces | paper-tuned | Kymatio's |" in classification.section(result)
