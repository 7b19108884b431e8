"""What linear models of scikit-learn have learned, without importing it for other objects."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np

from npscatter.errors import ArgumentError, ArgumentTypeError, explain

LINEAR = "LogisticRegression, LinearSVC, RidgeClassifier or SGDClassifier"


class LearnedModel(NamedTuple):
    """Weights (scores, features), offsets (scores,), labels, and what made the features.

    And what these were on the images it was trained on, on average, where a scaler knows.
    """

    coef: np.ndarray
    intercept: np.ndarray
    classes: np.ndarray
    transformer: Any
    means: np.ndarray | None


def folded_model(model: Any) -> LearnedModel:
    """Return what a fitted model has learned, the scalers before it folded into it.

    Parameters
    ----------
    model : estimator
        One of `LINEAR`, or a Pipeline that ends in one.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If it is something else, or not fitted.
    """
    steps = _steps(model)
    transformer = None
    if is_transformer(steps[0]):
        transformer = steps.pop(0)
    *scalers, linear = steps or [None]
    coef, intercept, classes = _linear(linear, model)
    for scaler in reversed(scalers):
        coef, intercept = _folded(scaler, coef, intercept)
    means = getattr(scalers[0], "mean_", None) if scalers else None
    return LearnedModel(coef, intercept, classes, transformer, means)


def is_transformer(step: object) -> bool:
    """Say whether an object is npscatter's transformer, whose module is then imported already."""
    module = sys.modules.get("npscatter.sklearn")
    return module is not None and isinstance(step, module.ScatteringTransformer)


def _steps(model: Any) -> list[Any]:
    """Return the estimators of a pipeline that do something, or the model alone."""
    if not any(base.__module__.partition(".")[0] == "sklearn" for base in type(model).__mro__):
        rule = "is no model of scikit-learn"
        remedy = "pass one, or weights to LinearClassifier.of"
        raise ArgumentTypeError(explain("model", type(model), rule, remedy))
    from sklearn.pipeline import Pipeline

    if not isinstance(model, Pipeline):
        return [model]
    steps: list[Any] = []
    for _, step in model.steps:
        if step is not None and step != "passthrough":
            steps += _steps(step)
    return steps or [None]


def _linear(linear: Any, model: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights, offsets and labels of a linear classifier."""
    from sklearn.linear_model import (
        LogisticRegression,
        RidgeClassifier,
        RidgeClassifierCV,
        SGDClassifier,
    )
    from sklearn.svm import LinearSVC

    kinds = (LogisticRegression, LinearSVC, RidgeClassifier, RidgeClassifierCV, SGDClassifier)
    if not isinstance(linear, kinds):
        rule = f"must be {LINEAR}, or a Pipeline that ends in one"
        remedy = "train one of these, LinearSVC for a linear SVC; of a search pass best_estimator_"
        raise ArgumentTypeError(explain("model", model, rule, remedy))
    if not hasattr(linear, "coef_"):
        raise ArgumentError(explain("model", model, "is not fitted", "call its fit first"))
    learned = linear.coef_.toarray() if hasattr(linear.coef_, "toarray") else linear.coef_
    coef = np.atleast_2d(np.asarray(learned, np.float64))
    if np.ndim(linear.predict(np.zeros((1, coef.shape[1])))) != 1:
        rule = "gives an image several labels"
        raise ArgumentError(explain("model", model, rule, "train it on one label per image"))
    intercept = np.broadcast_to(np.asarray(linear.intercept_, np.float64), len(coef))
    return coef, intercept, np.asarray(linear.classes_)


def _folded(scaler: Any, coef: np.ndarray, intercept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and offsets of what a scaler is given, for those of what it makes of that."""
    from sklearn.preprocessing import StandardScaler

    if not isinstance(scaler, StandardScaler):
        rule = "cannot be folded into a linear classifier of coefficients"
        remedy = "let only StandardScaler stand after ScatteringTransformer, and nothing before it"
        raise ArgumentTypeError(explain("model", scaler, rule, remedy))
    if not hasattr(scaler, "scale_"):
        raise ArgumentError(explain("model", scaler, "is not fitted", "call fit of the pipeline"))
    if scaler.with_std:
        coef = coef / scaler.scale_
    if scaler.with_mean:
        intercept = intercept - (coef * scaler.mean_).sum(1)
    return coef, intercept
