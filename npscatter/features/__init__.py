"""Numbers made of coefficients: what the literature computes once a transform is done.

Almost all functions take `values` and `meta` and return both anew, so they follow one another::

    values, meta = spatial_mean(S(images), S.meta())    # (N, C)
    values, meta = isotropic(values, meta, axis=-1)      # (N, J + L J (J-1) / 2 + 1)
    names(meta)                                          # ["S0", "S1_iso_j0", ...], with "mean_"

`values` are an array of NumPy or of any other library that follows the array API standard (Torch's
tensors and those of CuPy by way of the package array-api-compat); what comes back is of the same
kind, on the same device, and records gradients. Nothing is written to.
`meta` is a dict of arrays with a row per channel: ``order``, ``j``, ``theta``, ``n`` as from
``Scattering2D.meta()``, and ``name`` once something was computed.

`axis` is where the channels are: -3 of maps (..., C, h, w), -1 of numbers (..., C).

Sources:

- BM13: Bruna and Mallat, Invariant scattering convolution networks, IEEE PAMI 35 (2013).
- SM13: Sifre and Mallat, Rotation, scaling and deformation invariant scattering for texture
  discrimination, CVPR 2013.
- AM14: Andén and Mallat, Deep scattering spectrum, IEEE Trans. Signal Processing 62 (2014).
- OM15: Oyallon and Mallat, Deep roto-translation scattering for object classification, CVPR 2015.
- C20: Cheng, Ting, Ménard and Bruna, A new approach to observational cosmology using the scattering
  transform, MNRAS 499 (2020), and Cheng's package ``scattering``.
- C24: Cheng, Morel, Allys, Ménard and Mallat, Scattering spectra models for physics, PNAS Nexus 3
  (2024), and the same package.
"""

from npscatter.features.channels import Meta, join, names, select
from npscatter.features.moduli import covariances, powers
from npscatter.features.statistics import (
    isotropic,
    logarithm,
    normalized,
    relative_errors,
    s21,
    s22,
    spatial_mean,
    spatial_std,
    square_mean,
)

__all__ = [
    "Meta",
    "covariances",
    "isotropic",
    "join",
    "logarithm",
    "names",
    "normalized",
    "powers",
    "relative_errors",
    "s21",
    "s22",
    "select",
    "spatial_mean",
    "spatial_std",
    "square_mean",
]
