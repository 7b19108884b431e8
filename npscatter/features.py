"""The measure of accuracy: relative error per scattering order."""

from __future__ import annotations

import numpy as np


def relative_errors(
    computed: np.ndarray, wanted: np.ndarray, order: np.ndarray
) -> dict[str, float]:
    """Return ||V - S|| / ||S|| of each order, over whole batches and outputs, borders included.

    Parameters
    ----------
    computed, wanted : ndarray, shape (..., C, h, w)
        V and S.
    order : ndarray of int, shape (C,)
        Of the channels, as in ``Scattering2D.meta()``.

    Returns
    -------
    dict
        "S0", "S1", and "S2" if there are such channels.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter.features import relative_errors
    >>> wanted = np.full((3, 2, 2), 4.0)
    >>> relative_errors(wanted + [[[0]], [[1]], [[2]]], wanted, np.array([0, 1, 1]))
    {'S0': 0.0, 'S1': 0.395...}
    """
    errors = {}
    for k in np.unique(order):
        S = wanted[..., order == k, :, :].astype(np.float64)
        V = computed[..., order == k, :, :]
        errors[f"S{k}"] = float(np.linalg.norm(V - S) / np.linalg.norm(S))
    return errors
