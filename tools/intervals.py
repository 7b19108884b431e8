"""Intervals of a mean over few draws."""

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
