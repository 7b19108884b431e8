"""Classifiers that choose their penalty from the training images alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

RIDGE, SVMS = "ridge", {"linear SVM": "linear", "RBF SVM": "RBF"}
FOLDS_FOR_PENALTY = 3
SVM_PENALTIES = (1.0, 10.0, 100.0)  # C
# Per image; the strongest first.
RIDGE_PENALTIES = tuple(10 ** (power / 2) for power in range(5, -7, -1))


class Classifiers:
    """Several classifiers, all trained on the same features, standardised.

    Parameters
    ----------
    features : ndarray of float32, shape (N, D)
        Overwritten.
    labels : ndarray of int, shape (N,)
        From 0 on; every class must be there.
    methods : iterable of str
        `RIDGE` or names of `SVMS`.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, methods: Iterable[str]):
        self.scaler = StandardScaler(copy=False).fit(features)
        self.seen = self.scaler.transform(features)
        self.methods, self.machines = tuple(methods), {}
        grams = kernel_matrices(self.seen, self.seen) if self._needs_kernels else {}
        for method in self.methods:
            if method == RIDGE:
                self.machines[method] = ridge(self.seen, labels)
            else:
                self.machines[method] = _svm(grams[SVMS[method]], labels)

    @property
    def _needs_kernels(self) -> bool:
        return any(method in SVMS for method in self.methods)

    def predict(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """Return every method's labels (M,) of features (M, D), which are overwritten."""
        unseen, judged = self.scaler.transform(features), {}
        kernels = kernel_matrices(unseen, self.seen) if self._needs_kernels else {}
        for method, machine in self.machines.items():
            if method == RIDGE:
                weights, offsets = machine
                judged[method] = (unseen @ weights + offsets).argmax(1)
            else:
                judged[method] = machine.predict(kernels[SVMS[method]])
        return judged


def kernel_matrices(a: np.ndarray, b: np.ndarray) -> dict[str, np.ndarray]:
    """Return every kernel between standardised features; one matrix product serves them all.

    "linear" is mean(a b), "RBF" exp(-mean((a - b)^2)) of rows (M, features) and (N, features). The
    mean over features, not the sum, makes one range of C fit all numbers of features.
    """
    linear = a @ b.T / a.shape[1]
    squares = [np.square(rows).mean(1) for rows in (a, b)]
    distances = squares[0][:, None] + squares[1] - 2 * linear
    return {"linear": linear, "RBF": np.exp(-np.maximum(distances, 0))}


def _svm(gram: np.ndarray, labels: np.ndarray) -> GridSearchCV:
    search = GridSearchCV(SVC(kernel="precomputed"), {"C": list(SVM_PENALTIES)}, cv=_folds(labels))
    return search.fit(gram, labels)


def _folds(labels: np.ndarray) -> StratifiedKFold:
    return StratifiedKFold(min(FOLDS_FOR_PENALTY, np.bincount(labels).min()))


def ridge(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (D, classes) and offsets (classes,) of regularised least squares.

    The targets are 1 for an image's class and 0 for the others. The penalty is weakened until the
    squared error of held-out images, in folds of the training images, grows.

    Parameters
    ----------
    features : ndarray, shape (N, D)
        Of mean zero.
    labels : ndarray of int, shape (N,)
        From 0 on.
    """
    targets = np.eye(labels.max() + 1, dtype=features.dtype)[labels]
    offsets = targets.mean(0)
    folds = [held for _, held in _folds(labels).split(labels, labels)]
    shape = _Tall if len(features) > features.shape[1] else _Wide
    squares = shape(features, targets - offsets, folds)
    chosen, least = RIDGE_PENALTIES[0], np.inf
    for penalty in RIDGE_PENALTIES:
        error = squares.held_out(penalty)
        if error > least:
            break
        chosen, least = penalty, error
    return squares.weights(chosen), offsets


class _Tall:
    """Least squares by the Gram matrix of the features, (D, D)."""

    def __init__(self, features: np.ndarray, targets: np.ndarray, folds: list[np.ndarray]):
        self.parts = [(features[held], targets[held]) for held in folds]
        self.grams = [part.T @ part for part, _ in self.parts]
        self.moments = [part.T @ wanted for part, wanted in self.parts]
        self.gram, self.moment, self.count = sum(self.grams), sum(self.moments), len(features)

    def weights(self, penalty: float) -> np.ndarray:
        return _solved(self.gram.copy(), self.moment, penalty * self.count)

    def held_out(self, penalty: float) -> float:
        error = 0.0
        for (part, wanted), gram, moment in zip(self.parts, self.grams, self.moments, strict=True):
            kept = self.count - len(part)
            weights = _solved(self.gram - gram, self.moment - moment, penalty * kept)
            error += np.square(part @ weights - wanted).sum()
        return error


class _Wide:
    """Least squares by the Gram matrix of the images, (N, N)."""

    def __init__(self, features: np.ndarray, targets: np.ndarray, folds: list[np.ndarray]):
        self.features, self.targets, self.folds = features, targets, folds
        self.gram = features @ features.T

    def weights(self, penalty: float) -> np.ndarray:
        strength = penalty * len(self.gram)
        return self.features.T @ _solved(self.gram.copy(), self.targets, strength)

    def held_out(self, penalty: float) -> float:
        error = 0.0
        for held in self.folds:
            kept = np.delete(np.arange(len(self.gram)), held)
            gram = self.gram[np.ix_(kept, kept)]
            dual = _solved(gram, self.targets[kept], penalty * len(kept))
            error += np.square(self.gram[np.ix_(held, kept)] @ dual - self.targets[held]).sum()
        return error


def _solved(gram: np.ndarray, moment: np.ndarray, strength: float) -> np.ndarray:
    """Return (gram + strength I)^-1 moment; the Gram matrix is overwritten."""
    gram.flat[:: len(gram) + 1] += strength
    factor = cho_factor(gram, overwrite_a=True, check_finite=False)
    return cho_solve(factor, moment, check_finite=False)
