"""Toy banks: small seeded random weights of every architecture the format allows, each by a name.

A name stands for one bank in every test; `bank_of` also takes the names of shipped banks.
"""

from functools import lru_cache

import numpy as np

from npscatter import FilterBank
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

# What `make_toy_bank` is given. The name says all that is not its default but the kind's own.
TOYS = {
    "symmetric L=2 R=1": {"kind": "symmetric", "L": 2, "R": 1},
    "symmetric L=4 R=1": {"kind": "symmetric", "L": 4, "R": 1},
    "symmetric L=4 R=3": {"kind": "symmetric", "L": 4, "R": 3},
    "symmetric L=4 R=4": {"kind": "symmetric", "L": 4, "R": 4},
    "symmetric L=4 R=4 K=9": {"kind": "symmetric", "L": 4, "R": 4, "K": 9},
    "symmetric L=6 R=3": {"kind": "symmetric", "L": 6, "R": 3},
    "symmetric L=6 R=4": {"kind": "symmetric", "L": 6, "R": 4},
    "symmetric L=6 R=4 K=7": {"kind": "symmetric", "L": 6, "R": 4, "K": 7},
    "symmetric L=6 R=4 K=9": {"kind": "symmetric", "L": 6, "R": 4, "K": 9},
    "symmetric L=8 R=1": {"kind": "symmetric", "L": 8, "R": 1},
    "symmetric L=8 R=3": {"kind": "symmetric", "L": 8, "R": 3},
    "free L=2 R=3": {"kind": "free", "L": 2, "R": 3},
    "free L=2 R=5": {"kind": "free", "L": 2, "R": 5},
    "free L=4 R=1": {"kind": "free", "L": 4, "R": 1},
    "free L=4 R=2": {"kind": "free", "L": 4, "R": 2},
    "free L=4 R=3": {"kind": "free", "L": 4, "R": 3},
    "free L=4 R=4": {"kind": "free", "L": 4, "R": 4},
    "free, one tap": {"kind": "free", "L": 2, "R": 3, "K": 1},
    "free, strided wavelets": {"kind": "free", "L": 4, "R": 2, "psi_stride": 2},
    "free, weights per octave": {"kind": "free", "L": 4, "R": 1, "next_from": "octave"},
    # More sums than a thread of a GPU has registers for, of wavelets and of carriers.
    "sixteen orientations": {"kind": "symmetric", "L": 16, "R": 1},
    "seventeen carriers": {"kind": "free", "L": 2, "R": 17, "K": 3},
    # Windows of the source that begin where another's do not.
    "wide wavelets": {"kind": "free", "L": 2, "R": 2, "K": (9, 1, 1, 7, 1, 1)},
    "wide smoothing": {"kind": "free", "L": 2, "R": 2, "K": (1, 7, 9, 1, 9, 7)},
    "wide smoothing, strided wavelets": {
        **{"kind": "free", "L": 2, "R": 2, "psi_stride": 2, "K": (1, 7, 1, 1, 1, 7)}
    },
    "paper shape": {"kind": "paper", "L": 4},
    "zeros": {"kind": "zeros", "L": 4, "R": 2},
    "empty": {"kind": "empty", "L": 4, "R": 2},
}


def bank_of(name):
    """Return the toy bank of that name, or else the shipped one."""
    return make_toy_bank(**TOYS[name]) if name in TOYS else FilterBank.load(name)


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


def make_windowed_bank(name, L=8, R=1, card=None, seed=0):
    """Return a bank of noise under a Gaussian, its wavelets of zero mean, its low-pass of unit."""
    generator = np.random.default_rng(seed)
    offset = np.arange(5) - 2
    window = np.exp(-(offset**2)[:, None] / 2 - offset**2 / 2)

    def noise(outputs, inputs):
        return generator.standard_normal((outputs, inputs, 5, 5)) * window

    def wavelets(inputs):
        taps = noise(L, inputs) + 1j * noise(L, inputs)
        return taps - taps.mean((-2, -1), keepdims=True)

    def low(inputs):
        return np.repeat(window[None, None] / window.sum() / inputs, inputs, axis=1)

    # No mode of the carried maps keeps more than half of a disturbance.
    carried = noise(R, R)
    carried /= 2 * np.abs(carried).sum((1, 2, 3), keepdims=True)
    return FilterBank(
        name,
        psi_first=wavelets(1),
        carry_first=noise(R, 1),
        low_first=low(1),
        psi_next=wavelets(R),
        carry_next=carried,
        low_next=low(R),
        card=card,
    )
