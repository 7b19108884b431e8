"""Classifiers against scikit-learn's, and against equations solved in double precision."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import StratifiedKFold

from tools import classifiers
from tools.classifiers import RIDGE, RIDGE_PENALTIES, Classifiers


def test_rbf_matrix_of_far_and_equal_rows():
    a = np.vstack([np.zeros((1, 7)), np.random.default_rng(0).normal(size=(4, 7)) * 20])
    found = classifiers.kernel_matrices(a, a)["RBF"]
    np.testing.assert_allclose(found, rbf_kernel(a, gamma=1 / 7), atol=1e-9)


def classes_apart(images, features, distance, seed=3):
    """Return standardised features whose means differ from class to class, and the labels."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(images) % 4)
    values = generator.normal(size=(images, features))
    values[:, : features // 2] += distance * generator.normal(size=(4, features // 2))[labels]
    return ((values - values.mean(0)) / values.std(0)).astype(np.float32), labels


@pytest.mark.parametrize(
    ("images", "features", "distance"), [(240, 30, 0.5), (240, 30, 4.0), (60, 200, 0.3)]
)
def test_ridge_is_that_of_scikit_learn_with_the_penalty_that_is_best_held_out(
    images, features, distance
):
    seen, labels = classes_apart(images, features, distance)
    wanted = np.eye(4)[labels]
    exact, errors = seen.astype(float), {}
    for penalty in RIDGE_PENALTIES:
        predicted = np.zeros_like(wanted)
        for kept, held in StratifiedKFold(3).split(labels, labels):
            own = Ridge(penalty * len(kept), fit_intercept=False)
            own.fit(exact[kept], wanted[kept] - wanted.mean(0))
            predicted[held] = own.predict(exact[held])
        errors[penalty] = np.square(predicted - (wanted - wanted.mean(0))).sum()
    best = min(errors, key=errors.get)
    assert best not in (RIDGE_PENALTIES[0], RIDGE_PENALTIES[-1])
    expected = Ridge(best * images).fit(exact, wanted)
    weights, offsets = classifiers.ridge(seen, labels)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, expected.coef_.T, atol=2e-5)
    np.testing.assert_allclose(offsets, wanted.mean(0), atol=1e-6)


def test_what_is_predicted_was_scaled_as_what_was_trained_on():
    values, labels = classes_apart(200, 20, 2.0)
    scale = np.geomspace(1e-3, 1e3, 20).astype(np.float32)
    trained = Classifiers(values[:120] * scale + scale, labels[:120], [RIDGE, "RBF SVM"])
    judged = trained.predict(values[120:] * scale + scale)
    assert set(judged) == {RIDGE, "RBF SVM"}
    for own in judged.values():
        assert (own == labels[120:]).mean() > 0.9
    alike = Classifiers(values[:120].copy(), labels[:120], [RIDGE]).predict(values[120:].copy())
    np.testing.assert_array_equal(judged[RIDGE], alike[RIDGE])


def test_noise_is_classified_as_what_is_most_frequent():
    values, _ = classes_apart(400, 50, 0.0)
    labels = np.random.default_rng(0).choice(3, 400, p=[0.1, 0.7, 0.2])
    trained = Classifiers(values[:200].copy(), labels[:200], [RIDGE])
    assert (trained.predict(values[200:].copy())[RIDGE] == 1).mean() > 0.95
