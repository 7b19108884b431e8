"""Intervals of accuracies, and of the differences between them."""

from __future__ import annotations

import numpy as np
from scipy.stats import t as student

DRAWS = 2000


class Bootstrap:
    """Intervals of the mean of a table (rows, columns), both of which are random.

    Rows are training subsets and columns test images: both are drawn with replacement,
    independently of each other (Owen's pigeonhole bootstrap, 2007), so that the interval tells
    what other training and other test images would have given. A single row is taken as it is.
    """

    def __init__(self, rows: int, columns: int, seed: int, draws: int = DRAWS):
        generator = np.random.default_rng([seed, rows, columns])
        self.rows = generator.multinomial(rows, np.full(rows, 1 / rows), draws) / rows
        self.columns = generator.multinomial(columns, np.full(columns, 1 / columns), draws)
        self.columns = self.columns / columns

    def interval(self, values: np.ndarray) -> list[float]:
        """Return the 95 % interval of the mean of a table."""
        means = np.einsum("dr,rd->d", self.rows, values @ self.columns.T)
        return [float(bound) for bound in np.percentile(means, [2.5, 97.5])]


def crossed_interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of the mean of a table (rows, columns), both of which are random.

    Its variance is taken as that of the rows' means over their number plus that of the columns'
    means over theirs, which is a little too large, and its degrees of freedom are Satterthwaite's:
    a `Bootstrap` of a handful of rows would be too narrow. Of a single row it is the interval over
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


def accuracy(right: np.ndarray, bootstrap: Bootstrap) -> dict:
    """Return the percentage in a table (subsets, images) of what was judged rightly."""
    interval = bootstrap.interval(100.0 * right)
    return {
        "accuracy": rounded(100 * right.mean()),
        "interval": [rounded(bound) for bound in interval],
    }


def compare(right: np.ndarray, reference: np.ndarray, bootstrap: Bootstrap, margin: float) -> dict:
    """Compare two tables (subsets, images) of whether each image was judged rightly.

    "changed" is the percentage of judgements of which only one of the two is right. For `margin`
    see `verdict`.
    """
    changed = 100 * (right.astype(float) - reference)
    difference = changed.mean()
    # What no change at all among N images would leave open; a bootstrap of rare changes says less.
    least = 300 / changed.shape[1]
    low, high = bootstrap.interval(changed)
    # Rounded first: percentiles are often zero, but for the rounding of sums.
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
