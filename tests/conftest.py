"""Toy banks: small seeded random weights of every architecture the format allows."""

from functools import lru_cache

import numpy as np
import pytest

from npscatter.bank import FilterBank
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.program.symmetry import tie

KERNELS = {
    "psi_first": 5,
    "carry_first": 3,
    "low_first": 5,
    "psi_next": 3,
    "carry_next": 5,
    "low_next": 3,
}


def toy_weights(kind, L, R, kernels, seed=0):
    """Return random weight arrays whose outputs have sum |w| <= 1: no map outgrows the image.

    Parameters
    ----------
    kind : str
        "symmetric" (tied by the square's symmetries, bit for bit) or "free".
    """
    generator = np.random.default_rng([seed, L, R])
    weights = {}
    for key, array in WEIGHT_ARRAYS.items():
        role, shape = array.role, array.real_shape(L, R, kernels[key])
        if kind == "symmetric":
            index, sign = tie(shape, role)
            taps = sign * generator.uniform(0.2, 1, index.max() + 1)[index]
            taps *= generator.choice([-1, 1], index.max() + 1)[index]
        else:
            taps = generator.uniform(-1, 1, shape)
        if role == "low":
            taps = np.abs(taps) if kind == "free" else taps
        if role == "psi":
            taps = taps / np.abs(taps).sum((0, 2, 3, 4)).max()
            taps = taps[0] + 1j * taps[1]
        else:
            taps = taps / np.abs(taps).sum((1, 2, 3)).max()
        weights[key] = taps
    return weights


@lru_cache
def make_toy_bank(kind, L=4, R=1, psi_stride=1, next_from="carried", boundary="kymatio", K=None):
    """Return a bank.

    Its kind is "symmetric", "free", "paper" (the paper's shape, free weights), "zeros" (free, but
    some taps, parts of wavelets and whole wavelets are zero) or "empty" (so is a carrier, and all
    that is carried on). `K` is the size of all kernels, or a tuple of six sizes.
    """
    if kind == "paper":
        psi_stride, next_from, boundary, K = 2, "octave", "zero", 7
    kernels = dict.fromkeys(KERNELS, K) if K else KERNELS
    if isinstance(K, tuple):
        kernels = dict(zip(KERNELS, K, strict=True))
    weights = toy_weights("symmetric" if kind == "symmetric" else "free", L, R, kernels)
    if kind in ("zeros", "empty"):
        generator = np.random.default_rng(8)
        for taps in weights.values():
            taps[generator.random(taps.shape) < 0.3] = 0
        weights["psi_first"].imag[0] = weights["psi_first"].real[1] = 0
        weights["psi_first"][2] = weights["psi_next"][:, 0] = 0
    if kind == "empty":
        weights["carry_first"][1] = weights["carry_next"][...] = 0
    return FilterBank(
        f"toy-{kind}-L{L}-R{R}",
        **weights,
        psi_stride=psi_stride,
        next_from=next_from,
        boundary=boundary,
        card={"origin": "random numbers"},
    )


@pytest.fixture(scope="session", params=["numba", "numpy"])
def backend(request):
    """Every executor in turn."""
    return request.param


@pytest.fixture(scope="session")
def toy_bank():
    """`make_toy_bank`: banks are immutable, so tests share them."""
    return make_toy_bank
