"""Intervals of accuracies, and of the differences between them."""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student


def crossed_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean of a table (rows, columns), both of which are random.

    Its variance is taken as that of the rows' means over their number plus that of the columns'
    means over theirs, which is a little too large, and its degrees of freedom are Satterthwaite's:
    a bootstrap of a handful of rows would be too narrow. Of a single row it is the interval over
    columns alone.
    """
    several = [means for means in (values.mean(1), values.mean(0)) if len(means) > 1]
    parts = np.array([means.var(ddof=1) / len(means) for means in several])
    mean, variance = float(values.mean()), parts.sum()
    if variance == 0:
        return mean, mean
    freedom = variance**2 / (parts**2 / [len(means) - 1 for means in several]).sum()
    half = float(student.ppf(0.975, freedom) * np.sqrt(variance))
    return mean - half, mean + half


def accuracy(right: np.ndarray) -> dict:
    """Return the percentage in a table (subsets, images) of what was judged rightly."""
    return {
        "accuracy": rounded(100 * right.mean()),
        "interval": [rounded(bound) for bound in crossed_interval(100.0 * right)],
    }


def compare(right: np.ndarray, reference: np.ndarray, margin: float) -> dict:
    """Compare two tables (subsets, images) of whether each image was judged rightly.

    "changed" is the percentage of judgements of which only one of the two is right. For `margin`
    see `verdict`.
    """
    changed = 100 * (right.astype(float) - reference)
    difference = changed.mean()
    # What no change at all among N images would leave open; the spread of rare changes says less.
    least = 300 / changed.shape[1]
    low, high = crossed_interval(changed)
    # Rounded first: bounds are often zero, but for the rounding of sums.
    low, high = rounded(min(low, difference - least)), rounded(max(high, difference + least))
    return {
        "difference": rounded(difference),
        "difference_interval": [low, high],
        "includes_zero": low <= 0 <= high,
        "verdict": verdict(low, high, margin),
        "changed": rounded(np.abs(changed).mean()),
    }


def verdict(low: float, high: float, margin: float) -> str:
    """Return what the interval of a difference says; up to `margin` it is none, in points."""
    if -margin <= low and high <= margin:
        return "equivalent"
    if low <= 0 <= high:
        return "not decided at this size"
    return "better" if low > 0 else "worse"


def rounded(value: float) -> float:
    """Return three decimals, as results have them, and no zero with a minus."""
    return round(float(value), 3) + 0.0
