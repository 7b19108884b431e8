"""How far coefficients move: raw, at Kymatio's gain, against their norm, against other images.

Coefficients are (N, 3, C, h, w), of N colour images; sums over them are taken per channel of C, in
float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

KYMATIO, AVERAGING, CONSTANT = "Kymatio", "local averaging", "almost constant"
GROUPS = {"whole": (0, 1, 2), "S0": (0,), "S1": (1,), "S2": (2,), "S1+S2": (1, 2)}

# From images (N, 3, H, W), or from coefficients, to coefficients.
Transform = Callable[[np.ndarray], np.ndarray]


def controls(S: np.ndarray, order: np.ndarray) -> dict[str, Transform]:
    """Return what is made of Kymatio's coefficients, S being those of undisturbed images.

    Themselves; S0 alone, zeros for the others ("local averaging"); and their mean over all images
    plus a thousandth that any change of the image scrambles, sin(10^5 S) ("almost constant").
    """
    mean = S.mean(axis=(0, 1), keepdims=True)
    size = 1e-3 * np.sqrt(np.square(mean).mean(axis=(-2, -1), keepdims=True))
    low = (order == 0).astype(S.dtype)[:, None, None]
    return {
        KYMATIO: lambda coefficients: coefficients,
        AVERAGING: lambda coefficients: coefficients * low,
        CONSTANT: lambda coefficients: mean + size * np.sin(S.dtype.type(1e5) * coefficients),
    }


def products(S: np.ndarray, V: np.ndarray) -> np.ndarray:
    """Return the inner product of every channel of two."""
    sums = np.zeros(S.shape[2])
    for s, v in zip(S, V, strict=True):
        sums += np.multiply(s, v, dtype=np.float64).sum(axis=(0, 2, 3))
    return sums


def energy(coefficients: np.ndarray) -> np.ndarray:
    """Return the sum of squares of every channel."""
    return products(coefficients, coefficients)


def spread(coefficients: np.ndarray) -> np.ndarray:
    """Return N times the mean squared distance of two different images.

    Over all pairs that is 2 / (N - 1) sum_i ||S_i - mean||^2 for one image, N times which compares
    with the sum of N squared distances.
    """
    count = len(coefficients)
    mean = coefficients.mean(axis=0, dtype=np.float64)
    return 2 * count / (count - 1) * energy(coefficients - mean.astype(coefficients.dtype))


class Moments:
    """The sums that every measure is made from: `energy` and `spread` of undisturbed images."""

    def __init__(self, coefficients: np.ndarray, order: np.ndarray):
        self.order = order
        self.norm = energy(coefficients)
        self.between = spread(coefficients)
        self.size = coefficients.size

    def measures(self, moved: np.ndarray, relative: float, teacher: Moments | None) -> dict:
        """Return every measure of a disturbance, per group of orders.

        "raw" is the mean of (Tx - Ty)^2 over all coefficients, "gain-matched" the same with every
        order first scaled to Kymatio's mean square; "normalised" is (||Tx - Ty|| / ||Tx||) /
        (||x - y|| / ||x||); "within/between" the root of the mean ||Tx - Ty||^2 over the mean
        ||Tx - Tx'||^2 of two different images.

        `moved` is the `energy` of the difference it makes, `relative` ||x - y|| / ||x|| of the
        images, and `teacher` Kymatio's moments, for the gains. The parts of "raw" and of
        "gain-matched" add up to the whole. Orders of zeros alone are left out.
        """
        found = {"raw": {}, "normalised": {}, "within/between": {}}
        matched = {}
        for group, orders in GROUPS.items():
            chosen = np.isin(self.order, orders)
            sums = (self.norm, self.between, moved)
            norm, between, difference = (float(each[chosen].sum()) for each in sums)
            if norm > 0:
                found["raw"][group] = difference / self.size
                found["normalised"][group] = float(np.sqrt(difference / norm) / relative)
                found["within/between"][group] = float(np.sqrt(difference / between))
                if teacher is not None and len(orders) == 1:
                    matched[group] = teacher.norm[chosen].sum() / norm * difference / self.size
        if teacher is not None:
            found["gain-matched"] = matched | {"whole": sum(matched.values())}
        return found


def against_teacher(V: np.ndarray, S: np.ndarray, order: np.ndarray) -> dict[str, dict]:
    """Return how far coefficients V are from Kymatio's S, per group of orders.

    The "norm" is ||V|| / ||S||, the "error at the best gain" min over g of ||g V - S|| / ||S||: 0
    for the same features, 1 for V at right angles to S.
    """
    found = {"norm": {}, "error at the best gain": {}}
    per_channel = energy(V), energy(S), products(V, S)
    for group, orders in GROUPS.items():
        VV, SS, VS = (float(each[np.isin(order, orders)].sum()) for each in per_channel)
        found["norm"][group] = float(np.sqrt(VV / SS))
        cosine = VS / np.sqrt(VV * SS) if VV > 0 else 0.0
        found["error at the best gain"][group] = float(np.sqrt(max(0.0, 1 - cosine**2)))
    return found
