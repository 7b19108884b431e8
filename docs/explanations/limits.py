r"""
What it cannot do
=================

Errors and where they are largest, small coefficients, flat pictures, edges, precision, and what is
missing; and when another tool is the better one. Each with a number that this page computes.

Needs a checkout of the repository, and in it ``pip install -e ".[docs]"``.
"""

# %%
# Errors of a percent
# -------------------
# The filters are learned: they are near Morlet wavelets, not equal to them. On photographs
# ``accurate`` is a few tenths of a percent off Kymatio, and ``fast`` one to two. Some pictures are
# worse, those whose energy lies where the filters differ most: waves of one fine frequency, and
# checkerboards. The worst of all cases that were measured (:doc:`/auto_explanations/measured`):

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

import npscatter
from cexport import simulate_q15
from npscatter import ArgumentError, FilterBank, Scattering2D, features, list_banks

RESULTS = Path(npscatter.__file__).parents[1] / "benchmarks" / "results"
accuracy = json.loads((RESULTS / "accuracy.json").read_text())
worst = {}
for bank in ("accurate", "fast"):
    rows = [r for r in accuracy["rows"] if r["bank"] == bank]
    for section in ("photographs", "unlike", "patterns"):
        row = max((r for r in rows if r["section"] == section), key=lambda r: r["errors"]["S1"])
        worst[bank, section] = row["errors"]["S1"]
        print(f"{bank:9} {section:12} S1 within {row['errors']['S1']:6.2%}: {row['source']}")
    (waves,) = [r for r in rows if r["section"] == "plane waves"]
    worst[bank, "waves"] = waves["worst"]
    print(
        f"{bank:9} plane waves  S1 within {waves['worst']:6.2%}, half of them {waves['median']:.2%}"
    )
assert worst["accurate", "photographs"] < 0.003 < worst["accurate", "patterns"]
assert all(worst[bank, "patterns"] < worst[bank, "waves"] for bank in ("accurate", "fast"))

# %%
# Who needs Kymatio's numbers to more than two or three digits should take Kymatio.
#
# A floor under what should be zero
# ---------------------------------
# The errors above are relative to all coefficients of an order. A coefficient that should be far
# smaller than the others of its picture is not right to a percent of itself: it is wrong by a small
# part of the *large* ones. Stripes of one frequency, to which Morlet wavelets of other orientations
# and scales hardly answer; the effective filters and Morlet's own transform say what each
# coefficient is and should be.


def morlet_at(frequency, j, theta, L=8):
    """Return what a Morlet wavelet lets through of a wave, (down, right) in radians per pixel."""
    angle = (L // 2 - 1 - theta) * np.pi / L
    sigma, slant = 0.8 * 2.0**j, 4 / L
    xi = 0.75 * np.pi / 2.0**j * np.array([np.cos(angle), np.sin(angle)])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])

    def bell(w):  # a wave on the grid of pixels has many names, 2 pi apart
        names = np.asarray(w) + 2 * np.pi * np.stack(np.mgrid[-2:3, -2:3], -1)
        return np.exp(-(sigma**2) / 2 * ((names @ turn.T * [1, 1 / slant]) ** 2).sum(-1)).sum()

    return bell(frequency - xi) - bell(frequency) * bell(-xi) / bell([0, 0])


n = 64
wave = 2 * np.pi * np.array([4, 12]) / n
stripes = np.cos(wave @ np.indices((n, n)).reshape(2, -1)).reshape(n, n)
fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
wanted = np.array(
    [
        np.hypot(*(morlet_at(sign * wave, j, t) for sign in (1, -1))) / 2
        for j in range(3)
        for t in range(8)
    ]
)
floor = {}
for bank in ("accurate", "fast"):
    S = Scattering2D(3, (n, n), bank=bank, boundary="periodic", average=False, max_order=1)
    found = np.array([np.sqrt((one["coef"] ** 2).mean()) for one in S(stripes)[1:]])
    small = wanted < 0.01 * wanted.max()
    floor[bank] = np.abs(found - wanted)[small].max() / wanted.max()
    ax.semilogy(found, "o", ms=5, mfc="none", label=f"S1, {bank}")
ax.semilogy(wanted, "k.", ms=5, label="of Morlet wavelets")
ax.set(xlabel="channel: j = 0, then 1, then 2; theta within", ylabel="size", ylim=(1e-6, 1))
ax.legend(fontsize=9)
print("channels that should be below a hundredth of the largest:", small.sum(), "of 24")
print("what is found there, of the largest:", {b: f"{f:.2%}" for b, f in floor.items()})
assert 1e-4 < floor["accurate"] < 0.01 and floor["accurate"] < floor["fast"] < 0.06

# %%
# So, of this one pattern, a coefficient below a hundredth of the largest may be nothing but error
# with ``accurate``, and one below six hundredths with ``fast``. Photographs have something at every
# scale and orientation, and nothing of this shows in them. It does in synthetic patterns, and where
# logarithms are taken: there a floor of about these sizes is in place.
#
# Slightly negative coefficients
# ------------------------------
# A modulus is never negative, but its average may be: the low-pass, a cascade of small filters, has
# small negative taps in its outskirts. (So has Kymatio's, a Gaussian cut off in frequency.) Beside
# something bright, where there is nothing, S1 and S2 may come out slightly below zero.

S = Scattering2D(4, (128, 128))
phi = S.filters(size=(128, 128)).phi
dot = np.zeros((128, 128))
dot[64, 64] = 1
coefficients = S(dot)
share = (coefficients[1:] < 0).mean()
depth = coefficients.min() / coefficients[1:].max()
print(f"low-pass: least {phi.min() / phi.max():.1e} of its largest")
print(f"one bright pixel: {share:.0%} of S1 and S2 negative, the least {depth:.1e} of the largest")
camera = S(data.camera()[60:188, 130:258] / 255)
print(f"a photograph: {(camera[1:] < 0).mean():.1%} negative")
assert -1e-3 < depth < 0 and (camera[1:] < 0).mean() < share

# %%
# Before a logarithm or a root take ``np.maximum(S, floor)``, or
# :func:`~npscatter.features.logarithm`, which has a floor.

logarithms, _ = features.logarithm(coefficients, S.meta(), floor=0.01 * coefficients[1:].max())
assert np.isfinite(logarithms).all()

# %%
# Flat pictures and faint ones
# ----------------------------
# A constant picture has no structure: S1 and S2 are exactly zero, at any level. Faint contrast on a
# high level is kept. Both hold for Kymatio's boundary and all others but ``"zero"``, where the
# frame is an edge, and not for the bank ``paper``, whose wavelets see constants.

flat = np.full((64, 64), 100.0, np.float32)
faint = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
cases = {
    "accurate": {},
    'boundary="zero"': {"boundary": "zero"},
    'bank="paper"': {"bank": "paper"},
}
of_flat = {}
for name, options in cases.items():
    of_flat[name] = np.abs(Scattering2D(2, (64, 64), **options)(flat)[1:]).max()
    print(f"{name:16} a constant of 100: largest of S1 and S2 {of_flat[name]:.2g}")
S = Scattering2D(2, (64, 64))
moved = features.relative_errors(S(faint / 64 + 1024), S(faint / 64), S.meta()["order"])
print(f"noise of 1/64 on a level of 1024, against without the level: S1 {moved['S1']:.1e}")
assert of_flat["accurate"] == 0 < min(of_flat['boundary="zero"'], of_flat['bank="paper"'])

# %%
# What is left there is the rounding of the picture itself: float32 has seven digits. A NaN spoils
# the coefficients whose window holds it, and no others:

holed = faint.copy()
holed[10, 10] = np.nan
spoiled = np.isnan(S(holed)).any(0)
print(f"one NaN among {holed.size} pixels: {spoiled.mean():.0%} of the samples are NaN")
assert 0 < spoiled.mean() < 0.5

# %%
# Edges, and pictures smaller than 2^J
# ------------------------------------
# Every sample within about :math:`2^J` pixels of an edge is made in part of what the boundary
# invents. With a large J that is all of them. The share of S1 and S2 that another guess (constant
# instead of mirrored) would change, on a photograph:

photograph = data.camera()[60:188, 130:258] / 255
print(" J   samples   pixels read outside the picture   changed by another boundary")
changed = {}
for J in range(1, 8):
    two = [Scattering2D(J, (128, 128), boundary=b)(photograph)[1:] for b in ("kymatio", "constant")]
    changed[J] = np.linalg.norm(two[0] - two[1]) / np.linalg.norm(two[0])
    padded = Scattering2D(J, (128, 128)).plan.padded_shape
    outside = 1 - 128**2 / np.prod(padded)
    print(f"{J:2}{128 >> J:6} x {128 >> J:<6}{outside:18.0%}{changed[J]:30.1%}")
assert changed[7] > 3 * changed[1]

# %%
# A side below :math:`2^J` pixels is refused, and what does not exist says so:

refused = {
    "a side below 2^J": lambda: Scattering2D(6, (48, 48)),
    "another L": lambda: Scattering2D(3, (64, 64), L=12),
    "third order": lambda: Scattering2D(3, (64, 64), max_order=3),
    "one dimension": lambda: Scattering2D(3, (1024,)),
    "another size": lambda: Scattering2D(3, (64, 64))(np.zeros((65, 64))),
}
for name, call in refused.items():
    try:
        call()
    except (ValueError, TypeError) as error:
        print(f"{name}: {str(error)[:150]} ...")
    else:
        raise AssertionError(name)
assert issubclass(ArgumentError, ValueError)
print("\nbanks that are shipped:", *list_banks())
assert {FilterBank.load(name).L for name in list_banks()} == {4, 6, 8}

# %%
# There is one wavelet per octave, two orders, and two dimensions: no 1-D and no 3-D transform, no
# fractions of octaves, no complex pictures, no scales between. A bank for another even L is
# :doc:`learned </learning>` in minutes to hours. The class for NumPy's arrays has no gradients;
# :doc:`the one for Torch </torch>` has.
#
# float16 and Q15
# ---------------
# The CPU computes in float32 or float64; float16 pictures are read and computed in float32. Stored
# as float16, coefficients lose little, unless they are tiny: below 6e-5 digits are lost, below 3e-8
# all. So do not divide pictures by more than 255 before.

V = Scattering2D(3, (128, 128))(photograph.astype(np.float32))
lost = {}
for scale in (1.0, 1e-4):
    stored = (scale * V[1:]).astype(np.float16).astype(np.float32) / scale
    lost[scale] = np.linalg.norm(stored - V[1:]) / np.linalg.norm(V[1:])
    print(
        f"picture times {scale:g}: storing S1 and S2 as float16 changes them by {lost[scale]:.1e}"
    )
assert lost[1.0] < 1e-3 < lost[1e-4]

# %%
# The C that :doc:`is generated </c>` for microcontrollers without floating point computes in Q15,
# 16-bit integers. Its noise is one of rounding: it has a size of its own, whatever the contrast. A
# picture of little contrast loses 6 dB for each halving. Signal to noise against floats with the
# same bank, by :func:`~cexport.simulate_q15`, which equals the generated C to the bit:

small = data.camera()[60:92, 160:192]
S = Scattering2D(2, (32, 32))
order = S.meta()["order"]
decibels = {}
for contrast in (1, 4, 16):
    dim = ((small.astype(int) - 128) // contrast + 128).astype(np.uint8)
    integers, exponents = simulate_q15(dim, J=2)
    in_pixels = integers / 2.0 ** exponents[:, None, None]
    errors = features.relative_errors(in_pixels, S(dim.astype(float)), order)
    decibels[contrast] = {k: -20 * np.log10(e) for k, e in errors.items()}
    print(
        f"contrast / {contrast:2}:", *(f"{k} {v:.0f} dB  " for k, v in decibels[contrast].items())
    )

# %%
# The first call
# --------------
# Code is compiled for your CPU when a kind of transform is first called, once for each precision,
# and kept on disk. Measured in new processes, in seconds:

startup = json.loads((RESULTS / "startup.json").read_text())
for name in ("cold cache", "warm cache"):
    print(f"{name}:", *(f"{what} {seconds:.2f}  " for what, seconds in startup[name].items()))

# %%
# For a handful of pictures Kymatio finishes sooner. ``backend="numpy"`` compiles nothing and
# is slow. A container without a writable cache compiles in every process: set ``NUMBA_CACHE_DIR``,
# or call :meth:`~npscatter.Scattering2D.warmup` when the image is built.
#
# GPUs
# ----
# ``backend="cuda"`` is compiled and simulated in the tests, and has not been timed on a device.
# Claims of speed are for CPUs alone. On a GPU take Kymatio's or your own convolutions if you cannot
# try it yourself: :doc:`/gpu`.
#
# When another tool is better
# ---------------------------
# .. list-table::
#    :header-rows: 1
#    :widths: 60 40
#
#    * - you need
#      - take
#    * - Kymatio's numbers to more than two or three digits
#      - Kymatio
#    * - sound, volumes, molecules; wavelets between octaves; other L without learning a bank
#      - Kymatio
#    * - a proven GPU path, gradients in JAX or TensorFlow
#      - Kymatio
#    * - some pictures, once
#      - Kymatio, or ``backend="numpy"``
#    * - to go back from coefficients to a picture
#      - an autoencoder; scattering is inverted by gradient descent, partly
#    * - the best accuracy, and labels in tens of thousands
#      - a CNN, learned end to end
#    * - to recognise objects as photographs show them
#      - a network that was trained for it; scattering sees textures and strokes
#
# With few labels, or where features must be explained, proven or put on a microcontroller, it is
# the other way round. :doc:`/paper` has what was measured against networks.
