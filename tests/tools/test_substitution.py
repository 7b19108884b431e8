"""Features in the place of others: trained anew, and swapped into trained classifiers."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tools.classifiers import RIDGE, SVM_PENALTIES, SVMS
from tools.labelled import TRAINING_ONLY, LabelledSet
from tools.substitution import OWN, Case, Stage, Substitution

TRIAL = Substitution("reference", ("near", "far"), ("other",), 0.5, seed=4)
NAMES = ("reference", "near", "far", "other")


def noisy_features(labels, width=12, noise=1.0):
    """Return features of every name: their own noise, but "near" is nearly the reference."""
    generator = np.random.default_rng(5)
    features = {
        name: labels[:, None] * 0.5 + noise * generator.normal(size=(len(labels), width))
        for name in NAMES
    }
    features["near"] = features["reference"] * (1 + 1e-6)
    return {name: values.astype(np.float32) for name, values in features.items()}


def test_classifiers_are_those_of_scikit_learn():
    labels = np.arange(150) % 3
    features = noisy_features(labels)
    features["far"] *= 1e-3
    training, tested = np.arange(60), np.arange(60, 150)
    before = {name: values.copy() for name, values in features.items()}
    right = TRIAL.classify(features, labels, training, tested, SVMS)
    assert set(right) == {case for cases in TRIAL.cases(SVMS).values() for case in cases}
    assert len(right) == 2 * (4 + 2)
    for trained, judged in [("reference", "reference"), ("far", "far"), ("reference", "far")]:
        scaler = StandardScaler().fit(features[trained][training])
        seen, shown = (
            scaler.transform(features[name][rows].astype(float))
            for name, rows in ((trained, training), (judged, tested))
        )
        penalties = np.array(SVM_PENALTIES)
        for method, machine, grid in (
            ("linear SVM", SVC(kernel="linear"), penalties / 12),
            ("RBF SVM", SVC(kernel="rbf", gamma=1 / 12), penalties),
        ):
            search = GridSearchCV(machine, {"C": grid}, cv=StratifiedKFold(3))
            expected = search.fit(seen, labels[training]).predict(shown) == labels[tested]
            assert np.array_equal(right[Case(trained, judged, method)], expected)
    for name in NAMES:
        np.testing.assert_array_equal(features[name], before[name])


@pytest.fixture
def split_set():
    labels = np.random.default_rng(1).permutation(np.arange(300) % 3)
    folds = np.repeat([TRAINING_ONLY, 0], [120, 180])
    return LabelledSet("split", "words", np.zeros((300, 4, 4), np.float32), labels, folds)


def test_images_of_the_training_split_alone_are_trained_on_and_none_is_tested(
    split_set, monkeypatch
):
    drawn = []

    def classify(self, features, labels, training, tested, methods):
        drawn.append(training)
        assert set(training) <= set(range(120)) and tested.tolist() == list(range(120, 300))
        return {case: tested % 7 == 0 for cases in self.cases(methods).values() for case in cases}

    monkeypatch.setattr(Substitution, "classify", classify)
    right, images = TRIAL.judgements(split_set, {}, Stage(5, 3, (RIDGE,)))
    assert images == 15 and len(drawn) == 3 and len(right) == 6
    for table in right.values():
        assert table.shape == (3, 180)
        np.testing.assert_array_equal(table, np.arange(120, 300)[None] % 7 == np.zeros((3, 1)))
    assert not set(map(tuple, drawn)) & {tuple(drawn[0][::-1])}
    # The smaller subset is part of the larger, and the last stage has all.
    TRIAL.judgements(split_set, {}, Stage(20, 3, (RIDGE,)))
    assert all(set(small) < set(large) for small, large in zip(drawn[:3], drawn[3:], strict=True))
    _, images = TRIAL.judgements(split_set, {}, Stage(1000, 1, (RIDGE,)))
    assert images == 120 and sorted(drawn[-1]) == list(range(120))


def test_rows_tell_what_is_equivalent_and_what_is_not(split_set):
    features = noisy_features(split_set.labels, noise=0.3)
    rows = TRIAL.measure(split_set, features, [Stage(5, 4, (RIDGE,)), Stage(99, 1, (RIDGE,))])
    assert list(rows) == [OWN, "trained_on_reference"]
    assert [row["representation"] for row in rows[OWN]] == [*NAMES, *NAMES]
    by_place = {(row["images"], row["representation"]): row for row in rows[OWN]}
    assert (by_place[15, "far"]["size"], by_place[15, "far"]["draws"]) == (5, 4)
    for images in (15, 120):
        reference, near = (by_place[images, name] for name in ("reference", "near"))
        assert near["accuracy"] == pytest.approx(reference["accuracy"], abs=0.2)
        # 180 images leave 300 / 180 points open.
        assert near["verdict"] == "not decided at this size" and "verdict" not in reference
        low, high = by_place[images, "far"]["interval"]
        assert low <= by_place[images, "far"]["accuracy"] <= high
    swapped = {row["representation"]: row for row in rows["trained_on_reference"]}
    assert set(swapped) == {"near", "far"}
    summary = TRIAL.summary("split", rows)
    assert [(row["representation"], row["classifier"]) for row in summary] == [
        *(("near", OWN), ("far", OWN)),
        *(("near", "trained_on_reference"), ("far", "trained_on_reference")),
    ]
    largest = max((row for row in rows[OWN] if row["representation"] == "far"),
                  key=lambda row: abs(row["difference"]))  # fmt: skip
    assert summary[1]["largest"]["difference"] == largest["difference"]
    assert sum(summary[1]["verdicts"].values()) == summary[1]["comparisons"] == 2
