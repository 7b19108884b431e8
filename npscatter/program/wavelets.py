"""Kymatio's Morlet wavelets, which a bank's approximate: where in the spectrum each of them lies.

psi(u) = g(u) (e^(i xi u) - kappa), g a Gaussian of standard deviation `sigma` along the wave vector
xi and L / 4 times as much across (kymatio/scattering2d/filter_bank.py). The direction of xi is
that of `npscatter.program.symmetry.angle`.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def sigma(j: Any) -> Any:
    """Return the standard deviation at scale `j`, 0.8 2^j pixels, along the wave vector."""
    return 0.8 * 2.0**j


def wave_number(j: Any) -> Any:
    """Return |xi| at scale `j`, 3 pi / (4 2^j) radians per pixel."""
    return 0.75 * np.pi / 2.0**j


def centre_frequency(j: Any) -> Any:
    """Return |xi| / (2 pi) at scale `j`, 0.375 / 2^j cycles per pixel."""
    return wave_number(j) / (2 * np.pi)


def bandwidth(j: Any) -> Any:
    """Return the width at half the power of g's transform, in cycles per pixel.

    Along the wave vector ``|g^(w)|^2 = exp(-sigma^2 w^2)``, whose full width at 1/2 (-3 dB) is
    2 sqrt(ln 2) / sigma radians per pixel.
    """
    return np.sqrt(np.log(2)) / (np.pi * sigma(j))
