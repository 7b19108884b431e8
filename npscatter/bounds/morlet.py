"""The filters of the transform npscatter approximates: Kymatio's, in the Fourier domain.

Kymatio samples Gabor functions at the pixels of a grid and takes their FFT, which sums the aliases
of their transform; so do these functions, at any frequency. They are transfer functions of
correlations, sum_a w[a] exp(i a w), as `npscatter.program.steps.Step` correlates.
"""

from __future__ import annotations

import numpy as np

from npscatter.program.symmetry import angle
from npscatter.program.wavelets import sigma, wave_number

# Of the Gaussians, whose nearest aliases at scale 0 count to double precision.
_ALIASES = (-2, -1, 0, 1, 2)


def morlet(w: np.ndarray, L: int, j: int) -> np.ndarray:
    """Return the Morlet wavelets of one scale.

    psi_hat(w) = g(w - xi) - kappa g(w), g(w) = exp(-w' C w / 2), C with sigma = 0.8 2^j along the
    wave vector and sigma L / 4 across, |xi| = 3 pi / (4 2^j), each summed over the aliases of
    sampling at the pixels, and kappa such that psi_hat(0) = 0
    (kymatio/scattering2d/filter_bank.py; this is for the correlation, so w -> -w).

    Parameters
    ----------
    w : ndarray, shape (N, 2)
        Radians per pixel.
    L : int
        Orientations; their angles are those of `npscatter.program.symmetry.angle`.
    j : int
        Scale, from 0.

    Returns
    -------
    ndarray of float64, shape (L, N)
    """
    width, xi, slant = sigma(j), wave_number(j), 4 / L
    wavelets = []
    for t in range(L):
        c, s = np.cos(angle(L, t)), np.sin(angle(L, t))

        def gaussian(w: np.ndarray, shift: float, c=c, s=s) -> np.ndarray:
            total = np.zeros(len(w))
            for p in _ALIASES:
                for q in _ALIASES:
                    w0, w1 = w[:, 0] + 2 * np.pi * p, w[:, 1] + 2 * np.pi * q
                    along, across = c * w0 + s * w1 + shift, (c * w1 - s * w0) / slant
                    total += np.exp(-(width**2) * (along**2 + across**2) / 2)
            return total

        zero = np.zeros((1, 2))
        kappa = gaussian(zero, xi) / gaussian(zero, 0)
        wavelets.append(gaussian(w, xi) - kappa * gaussian(w, 0))
    return np.stack(wavelets)


def low_pass(w: np.ndarray, J: int) -> np.ndarray:
    """Return the low-pass phi_J, a Gaussian of sigma 0.8 2^(J-1) sampled at the pixels.

    Parameters
    ----------
    w : ndarray, shape (N, 2)
        Radians per pixel.
    J : int
        Log2 of the scale.

    Returns
    -------
    ndarray of float64, shape (N,)
    """
    width = sigma(J - 1)
    total = np.zeros(len(w))
    for p in _ALIASES:
        for q in _ALIASES:
            square = (w[:, 0] + 2 * np.pi * p) ** 2 + (w[:, 1] + 2 * np.pi * q) ** 2
            total += np.exp(-(width**2) * square / 2)
    return total


def coarsened(filters: np.ndarray, res: int) -> np.ndarray:
    """Return filters given on a grid for maps that keep one sample in 2^res per axis.

    As Kymatio does it: frequencies the coarser grid does not have are dropped, not folded
    (`periodize_filter_fft` in kymatio/scattering2d/filter_bank.py).

    Parameters
    ----------
    filters : ndarray, shape (..., H, W)
        In the order of the FFT; both sides multiples of 2^res.
    res : int
        At least 0.

    Returns
    -------
    ndarray, shape (..., H // 2^res, W // 2^res)
    """
    factor = 2**res
    passed = filters.copy()
    H, W = filters.shape[-2:]
    if res > 0:
        passed[..., H // (2 * factor) :, :][..., : int(H * (1 - 1 / factor)), :] = 0
        passed[..., W // (2 * factor) :][..., : int(W * (1 - 1 / factor))] = 0
    parts = passed.reshape(*passed.shape[:-2], factor, H // factor, factor, W // factor)
    return parts.sum((-4, -2))
