"""The closed-form start: filters fitted to Kymatio's in the Fourier domain, array by array.

The carried maps are taken to be the image seen through a Gaussian and its derivatives, of sigma 1.1
pixels at their own resolution; then every array is a linear least squares problem, over octaves 1
to 3 for those of the later octaves. `tools.filter_fit` then frees the carried maps.
"""

from __future__ import annotations

import numpy as np

from npscatter.program.steps import WEIGHT_ARRAYS, WeightArray
from tools.filter_fit import FilterFit

CARRIER_SIGMA = 1.1
OCTAVES = 4


def carriers(w: np.ndarray, R: int, sigma: float) -> np.ndarray:
    """Return the transfer functions of a sampled Gaussian's {g, dg/d0, dg/d1, d2g/d0d1}.

    Parameters
    ----------
    w : ndarray, shape (N, 2)
        Radians per pixel.

    Returns
    -------
    ndarray of complex, shape (R, N)
        Derivatives as ``a g(a)``, divided by the mean of abs(a) under the Gaussian.
    """
    w = w + 2 * np.pi * np.arange(-1, 2)[:, None, None]
    g = np.exp(-((sigma * w) ** 2) / 2)
    d = 1j * np.sqrt(np.pi / 2) * sigma * w * g
    (g0, g1), (d0, d1) = g.sum(0).T, d.sum(0).T
    return np.stack([g0 * g1, d0 * g1, g0 * d1, d0 * d1][:R])


def closed_form(fit: FilterFit) -> np.ndarray:
    """Return coefficients of the fit's bank, fitted to Kymatio's filters.

    Strides do not enter: for ``psi_stride`` 2 this is only a start.
    """
    bank, targets = fit.bank, fit.targets
    w = targets.w[:OCTAVES]
    offset, T = bank.feasible()
    c = offset.copy()
    image = [np.ones((1, len(w[0])), complex)]
    for array in WEIGHT_ARRAYS.values():
        if array.generation == "first":
            c += T @ _fitted(fit, array, offset, T, image)
    taps = bank.dense("carry_first", c)[:, 0].reshape(bank.R, -1)
    maps = [taps @ targets.waves(bank.kernels["carry_first"], 1, 0)]
    maps += [carriers(w[o], bank.R, CARRIER_SIGMA * 2 ** (o - 1)) for o in range(2, len(w))]
    for array in WEIGHT_ARRAYS.values():
        if array.generation == "next":
            c += T @ _fitted(fit, array, offset, T, [None, *maps])
    return c


def _fitted(fit: FilterFit, array: WeightArray, offset, T, maps) -> np.ndarray:
    """Return what to add to one array's coefficients before they are made feasible, zero elsewhere.

    `maps` are the transfer functions of its inputs by octave, None for those it does not serve.
    """
    bank, targets, numbers = fit.bank, fit.targets, fit.bank.of_array(array.name)
    affine = T[np.ix_(numbers, numbers)]
    matrix, right = np.zeros((len(numbers),) * 2), np.zeros(len(numbers))
    for octave, h in enumerate(maps):
        if h is None:
            continue
        waves = targets.waves(bank.kernels[array.name], octave, octave)
        for output, wanted, scale in _wanted(fit, array, octave):
            columns = np.zeros((len(numbers), len(wanted)), complex)
            for inputs in range(len(h)):
                for number, taps in fit.elements_at(array.name, output, inputs):
                    columns[np.searchsorted(numbers, number)] += (taps @ waves) * h[inputs]
            residual = scale * (wanted - offset[numbers] @ columns)
            columns = (affine.T @ columns * scale).view(float)
            matrix += columns @ columns.T
            right += columns @ residual.view(float)
    matrix += 1e-10 * matrix.trace() / len(matrix) * np.eye(len(matrix))
    found = np.zeros(len(offset))
    found[numbers] = np.linalg.solve(matrix, right)
    return found


def _wanted(fit: FilterFit, array: WeightArray, octave: int):
    """Yield by output of an array its transfer function at an octave, and what errors weigh."""
    targets = fit.targets
    if array.role == "psi":
        yield from zip(targets.chosen, targets.psi[octave], targets.psi_scale[octave], strict=True)
    elif array.role == "low":
        yield 0, targets.low[octave], targets.low_scale[octave]
    else:
        found = carriers(targets.w[octave], fit.bank.R, CARRIER_SIGMA * 2**octave)
        for output, wanted in enumerate(found):
            yield output, wanted, 1 / np.linalg.norm(wanted)
