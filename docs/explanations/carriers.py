r"""
How the carried maps work
=========================

The idea of this library, in pictures: filters of at most 9 x 9 taps do what wavelets of any size
do, because several maps are carried from octave to octave, each at half the resolution of the last.

Needs a checkout of the repository, and in it ``pip install -e ".[docs]"``.
"""

# %%
# Why small filters could do
# --------------------------
# The wavelet of scale ``j`` is that of scale 0, twice as wide for each octave. Convolving with it
# directly takes four times as many taps per octave; Kymatio does it by FFT. But a wide wavelet sees
# only low frequencies, so it may as well be applied to a smoothed picture of half the size, where
# it is half as wide; and so on. Then one small filter serves all octaves. That is a cascade:
# smooth, keep every second sample, filter, repeat.
#
# It fails in one place. A filter of a few taps does not cut frequencies off sharply, so what is
# kept of the smoothed picture is *aliased*: frequencies above the new limit come in under the name
# of lower ones.

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import correlate
from skimage import data

import npscatter
from npscatter import FilterBank, Scattering2D
from npscatter.plots import plot_filters

u = np.linspace(0, 20, 400)
low, high = 2 * np.pi * 0.15, 2 * np.pi * 0.35  # radians per sample
kept = np.arange(0, 21, 2)
fig, axes = plt.subplots(1, 2, figsize=(8, 2.8), layout="constrained", sharey=True)
pairs = {
    "two waves": (np.cos(low * u), np.cos(high * u), np.cos(low * kept), np.cos(high * kept)),
    "their derivatives, scaled": (
        *(-np.sin(low * u), -np.sin(high * u)),
        *(-np.sin(low * kept), -np.sin(high * kept)),
    ),
}
for ax, (title, (one, other, one_kept, other_kept)) in zip(axes, pairs.items(), strict=True):
    ax.plot(u, one, color="tab:blue", lw=1)
    ax.plot(u, other, color="tab:orange", lw=1)
    ax.plot(kept, one_kept, "o", color="tab:blue", ms=9, mfc="none", mew=2)
    ax.plot(kept, other_kept, "s", color="tab:orange", ms=4)
    ax.set(title=title, xlabel="samples; every second one is kept")
assert np.allclose(*pairs["two waves"][2:])
assert np.allclose(*np.multiply(pairs["their derivatives, scaled"][2:], [[1], [-1]]))

# %%
# On the left the samples that are kept are the same for both waves: no filter that reads them can
# tell one from the other. On the right, in the derivative, they have opposite signs. Whoever has
# both sees which of the two it was.
#
# Two maps at half the rate
# -------------------------
# This is Papoulis' generalised sampling: *R* maps of one signal, filtered in *R* different ways and
# each sampled at 1 / R of the rate, hold what the signal held. In each pair of frequencies that
# alias, the two maps give two equations for two unknowns. Here a random signal is smoothed by a
# Gaussian, and by its derivative, half the samples of both are kept, and the signal is solved for.

n = 256
signal = np.random.default_rng(0).normal(size=n)
w = 2 * np.pi * np.fft.fftfreq(n)
smooth = np.exp(-((1.1 * w) ** 2) / 2)
slope = 1j * w * smooth


def halved(spectrum):
    """Return the spectrum of every second sample."""
    return spectrum.reshape(2, n // 2).mean(0)


seen = np.array([halved(filtered * np.fft.fft(signal)) for filtered in (smooth, slope)])
mixing = np.array([filtered.reshape(2, n // 2) / 2 for filtered in (smooth, slope)])
# For every frequency of the half rate: maps = mixing @ (frequency, its alias).
solved = np.linalg.solve(mixing.transpose(2, 0, 1), seen.T[..., None])[..., 0].T.ravel()
# From the smoothed map alone: the best there is, if all frequencies are as likely.
best = np.conj(mixing[0]) / (np.abs(mixing[0]) ** 2).sum(0) * seen[0]


def off(computed, wanted):
    return np.linalg.norm(computed - wanted) / np.linalg.norm(wanted)


from_two, from_one = (off(s, np.fft.fft(signal)) for s in (solved, best.ravel()))
print(f"signal from two maps: off by {from_two:.0e}; from one: {from_one:.0%}")
assert from_two < 1e-10 and from_one > 0.5

# %%
# In two dimensions half the resolution leaves a quarter of the samples, and four frequencies meet
# in one. So four maps are complete: the smoothed picture, its two derivatives, and the derivative
# of one along the other. The banks ``accurate`` and ``fast`` carry these four.
#
# The cascade
# -----------
# All that happens to a picture, written with the six weight arrays of a
# :class:`~npscatter.FilterBank`: ``carry_first`` makes four maps of the picture, ``carry_next``
# four of the next octave from these, always keeping every second sample; ``psi_first`` and
# ``psi_next`` are the wavelets of an octave, ``low_first`` and ``low_next`` the low-pass at the
# end.

bank = FilterBank.load("accurate")
picture = data.camera()[60:316, 130:386] / 255


def filtered(maps, taps):
    """Correlate (I, H, W) maps with (O, I, K, K) taps, on a periodic grid."""
    return np.array(
        [sum(correlate(m, k, mode="wrap") for m, k in zip(maps, row, strict=True)) for row in taps]
    )


octaves = [picture[None]]
for arrays in ("carry_first", "carry_next", "carry_next"):
    octaves.append(filtered(octaves[-1], bank[arrays])[:, ::2, ::2])

# The moduli of scale 1, by hand and by the library.
real, imaginary = (
    filtered(octaves[1], part) for part in (bank["psi_next"].real, bank["psi_next"].imag)
)
by_hand = np.hypot(real, imaginary)
S = Scattering2D(J=3, shape=picture.shape, boundary="periodic", average=False)
ours = np.array([one["coef"] for one in S(picture) if one["j"] == (1,)])
print(f"moduli of scale 1: {ours.shape}, differ by {np.abs(ours - by_hand).max():.0e}")
assert np.allclose(ours, by_hand, atol=1e-12)

# %%
# The maps as they are carried, in their true sizes. Of each block the upper left is the smoothed
# picture, beside and below it are the derivatives, and the lower right is the cross derivative.
# Moduli go the same way: each is a picture of its own that enters the cascade at its octave. That
# is second order.

canvas = np.full((256, 256 + 4 * 8 + 256 + 128 + 64), np.nan)
left = 0
for octave, maps in enumerate(octaves):
    side = maps.shape[-1]
    for r, one in enumerate(maps):
        scaled = one if r == 0 else 0.5 + one / (6 * one.std())
        top, beside = (r // 2) * side, left + (r % 2) * side
        canvas[top : top + side, beside : beside + side] = scaled
    left += side * (1 if octave == 0 else 2) + 8
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
ax.imshow(canvas, cmap="gray", vmin=0, vmax=1)
for x, text in ((128, "picture"), (392, "octave 1"), (592, "octave 2"), (696, "octave 3")):
    ax.text(x, -8, text, ha="center", fontsize=9)
ax.set_axis_off()

# %%
# How many maps it takes
# ----------------------
# What a wavelet of the next octave sees of the picture is, in frequency, a sum over the maps: what
# the carrier lets through times a small filter that is periodic at half the rate. So how well *R*
# maps can do is a linear fit. Here the wavelets of scale 1 are fitted, with 7 x 7 taps per map,
# frequencies weighted as photographs hold them (the amplitude falls with the frequency). The
# wavelets are Morlet's, as Kymatio defines them:


def morlet(j, theta, size, L=8):
    """Return a Morlet wavelet's Fourier transform, real, on a grid of size x size."""
    angle = (L // 2 - 1 - theta) * np.pi / L
    sigma, xi, slant = 0.8 * 2.0**j, 0.75 * np.pi / 2.0**j, 4 / L
    d, r = np.mgrid[:size, :size][:, None] - size * np.mgrid[-1:2, -1:2].reshape(2, 9, 1, 1)
    along, across = np.cos(angle) * d + np.sin(angle) * r, np.cos(angle) * r - np.sin(angle) * d
    bell = np.exp(-(along**2 + (slant * across) ** 2) / (2 * sigma**2))
    wave = (bell * np.exp(1j * xi * along)).sum(0)
    bell = bell.sum(0)
    return np.fft.fft2(
        (wave - bell * wave.sum() / bell.sum()) * slant / (2 * np.pi * sigma**2)
    ).real


N = 40
w = 2 * np.pi * np.fft.fftfreq(N)
down, right = np.meshgrid(w, w, indexing="ij")
bell = np.exp(-(1.1**2) * (down**2 + right**2) / 2)
four = [bell, 1j * down * bell, 1j * right * bell, down * right * bell]
weight = 1 / np.maximum(np.hypot(down, right), w[1]).ravel()
targets = np.array([morlet(1, theta, N) for theta in range(8)]).reshape(8, -1)


def best_fit(carriers, K):
    """Return the weighted relative error of each wavelet, fitted by K x K taps per carrier."""
    taps = np.arange(K) - K // 2
    waves = np.exp(2j * (down[..., None, None] * taps[:, None] + right[..., None, None] * taps))
    columns = [(c[..., None, None] * waves).reshape(N * N, -1) for c in carriers]
    system, wanted = weight[:, None] * np.concatenate(columns, 1), weight[:, None] * targets.T
    missed = wanted - system @ np.linalg.lstsq(system, wanted, rcond=None)[0]
    return np.linalg.norm(missed, axis=0) / np.linalg.norm(wanted, axis=0)


fits = {
    "1 map": best_fit(four[:1], 7),
    "1 map, 13 x 13": best_fit(four[:1], 13),
    "3 maps": best_fit(four[:3], 7),
    "4 maps": best_fit(four, 7),
}
fig, ax = plt.subplots(figsize=(8, 3), layout="constrained")
for name, errors in fits.items():
    ax.semilogy(range(8), 100 * errors, "o-", label=name)
    print(f"{name:16} off by {100 * errors.min():.2g} to {100 * errors.max():.2g} %")
ax.set(xlabel="theta", ylabel="error of the wavelet, %")
ax.set_yticks((0.1, 1, 10), (0.1, 1, 10))
fig.legend(fontsize=9, ncols=4, loc="outside upper center", frameon=False)
assert (
    fits["1 map"].min() > 3 * fits["3 maps"].max() and fits["3 maps"].max() > fits["4 maps"].max()
)
assert fits["1 map, 13 x 13"].min() > fits["3 maps"].max()

# %%
# One map leaves tens of percent, which larger kernels do not remove. Three leave about one, and
# more at the diagonal wavelets, ``theta = 1`` and ``5``, which need the cross derivative. What
# networks of such kinds reach after learning, in coefficients instead of filters, each with one
# change more than the one before (photographs that were kept out, J = 2):

RESULTS = Path(npscatter.__file__).parents[1] / "benchmarks" / "results"
ladder = json.loads((RESULTS / "paper" / "floor.json").read_text())["ladder"]
fig, ax = plt.subplots(figsize=(8, 2.8), layout="constrained")
for order, mark in (("S1", "o"), ("S2", "s")):
    errors = [100 * rung["photographs"][order] for rung in ladder.values()]
    ax.semilogx(errors, range(len(ladder)), mark, label=f"{order} of the network")
ax.set_yticks(range(len(ladder)), list(ladder), fontsize=9)
ax.set_xticks((0.1, 0.3, 1, 3, 10), (0.1, 0.3, 1, 3, 10))
ax.set_xlabel("error against Kymatio, %")
ax.invert_yaxis()
ax.legend(fontsize=9)
ax.grid(alpha=0.3)
rungs = {name: rung["photographs"]["S1"] for name, rung in ladder.items()}
assert rungs["three maps carried"] < rungs["kernels of 9 x 9"] / 10

# %%
# What the cascade comes to
# -------------------------
# The filters in a row are one filter each, which ``S.filters()`` computes. Lines at half their
# height, and a section through one wavelet of each scale, beside Kymatio's:

S = Scattering2D(J=4, shape=(128, 128))
effective = S.filters(size=(128, 128))
fig, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
plot_filters(S, view="frequency", axes=axes[0])
axes[0].set_title("at half height", fontsize=11)
errors = np.zeros((4, 8))
for j in range(4):
    for theta in range(8):
        wanted = morlet(j, theta, 128)
        errors[j, theta] = off(effective.psi_hat[j, theta], wanted)
    cycles = np.fft.fftshift(np.fft.fftfreq(128))
    drawn = np.fft.fftshift(effective.psi_hat[j, 3])[:, 64].real
    axes[1].plot(cycles, drawn, lw=3, alpha=0.5, label=f"j = {j}")
    axes[1].plot(cycles, np.fft.fftshift(morlet(j, 3, 128))[:, 64], "k:", lw=1)
axes[1].set(
    xlabel="cycles per pixel, downwards", title="theta = 3; dotted: Morlet", xlim=(-0.5, 0.5)
)
axes[1].legend(fontsize=8)
print("wavelets differ from Morlet's by, %, rows j, columns theta:")
print((100 * errors).round(1))
assert errors.max() < 0.03

# %%
# One set of weights serves all octaves, so from ``j = 1`` on the filters' errors stay the same,
# provided that what is carried does not amplify what it should not carry: learning refuses banks
# that do (:doc:`/bounds`). These numbers count all frequencies alike. Pictures hold little where
# the filters are furthest off, and learning looked at coefficients of pictures: those are off by a
# few tenths of a percent.
#
# Half the multiplications, and half again
# ----------------------------------------
# The wavelets are tied by the square's symmetries. The real part of each is even under half a turn,
# the imaginary part odd. And ``theta = 1`` is the mirror image of ``theta = 5``: their half sum is
# even along both axes, or odd along one, and their half difference the other way round.

one, mirrored = bank["psi_first"][1, 0], bank["psi_first"][5, 0]
assert np.array_equal(mirrored, one[:, ::-1].conj()) or np.array_equal(mirrored, one[:, ::-1])
fig, axes = plt.subplots(2, 4, figsize=(8, 4.3), layout="constrained")
most = np.abs(one).max()
for line, part in zip(axes, ("real", "imag"), strict=True):
    a, b = getattr(one, part), getattr(mirrored, part)
    tiles = {
        "theta = 1": a,
        "theta = 5": b,
        "half sum": (a + b) / 2,
        "half difference": (a - b) / 2,
    }
    for ax, (title, tile) in zip(line, tiles.items(), strict=True):
        ax.imshow(tile, cmap="RdBu_r", vmin=-most, vmax=most)
        ax.set_title(f"{'Re' if part == 'real' else 'Im'}, {title}", fontsize=10)
        ax.axhline(4, color="gray", lw=0.5)
        ax.axvline(4, color="gray", lw=0.5)
        ax.set_axis_off()

# %%
# A filter that is even or odd along an axis has the same taps on both sides, up to sign. So the
# samples are *folded* first, once for all wavelets: sums and differences of those that mirror each
# other. Then a quarter of the taps is left, and the sum A and the difference B of a pair are
# computed instead of the two: one is A + B, the other A - B. For this pair, on a random window:

window = np.random.default_rng(1).normal(size=(9, 9))
K, c = 9, 4


def fold(values, sign, axis):
    """Return values(0), and values(a) + sign values(-a) for a > 0, along an axis."""
    values = np.moveaxis(values, axis, 0)
    return np.moveaxis(
        np.concatenate([values[c : c + 1], values[c + 1 :] + sign * values[:c][::-1]]), 0, axis
    )


a, b = one.real, mirrored.real
even_even, odd_odd = (a + b)[c:, c:] / 2, (a - b)[c:, c:] / 2
A = (even_even * fold(fold(window, 1, 0), 1, 1)).sum()
B = (odd_odd * fold(fold(window, -1, 0), -1, 1))[1:, 1:].sum()
assert np.allclose([A + B, A - B], [(a * window).sum(), (b * window).sum()])
products = np.count_nonzero(even_even) + np.count_nonzero(odd_odd[1:, 1:])
print(f"two real parts: {products} products instead of {np.count_nonzero(a) + np.count_nonzero(b)}")

# %%
# Folded samples whose products hardly matter were taken out when the banks were made, one by one.
# :meth:`FilterBank.summation <npscatter.FilterBank.summation>` says what is left and in what order
# it is summed, for all executors alike. On the left, the samples of a window that are folded into
# each other have one colour; on the right, how many products of the eight wavelets read each folded
# sample.

summation, _ = bank.summation("psi_first")
reads = np.zeros((5, 5), int)
for sample in summation.samples:
    reads[abs(summation.rows[sample.row].offset), abs(sample.offset)] += len(sample.terms)
fig, axes = plt.subplots(1, 2, figsize=(8, 3.9), layout="constrained")
rows, columns = np.abs(np.mgrid[-4:5, -4:5])
axes[0].imshow((5 * rows + columns) * 7 % 25, cmap="gist_ncar", alpha=0.6)
for y, x in ((2, 1), (2, 7), (6, 1), (6, 7)):
    axes[0].text(x, y, "●", ha="center", va="center")
axes[0].plot([1, 7, 7, 1, 1], [2, 2, 6, 6, 2], "k", lw=0.8)
axes[0].set_title("a window of 9 x 9 samples: 25 kinds", fontsize=10)
shown = axes[1].imshow(reads, cmap="viridis")
for (y, x), number in np.ndenumerate(reads):
    axes[1].text(x, y, number, ha="center", va="center", color="w" if number < 12 else "k")
axes[1].set(xlabel="columns from the centre", ylabel="rows from the centre")
axes[1].set_title("products that read it", fontsize=10)
axes[0].set_axis_off()

print("multiply-adds per sample   as taps are   folded   and additions")
for key in bank.keys():
    direct, folded = (bank.summation(key, folded=f)[0] for f in (False, True))
    print(f"{key:24}{direct.multiply_adds:12}{folded.multiply_adds:11}{folded.additions:12}")
    assert folded.multiply_adds < direct.multiply_adds / 2
assert reads.sum() == summation.multiply_adds

# %%
# The third column does not count the additions of whole rows, which neighbouring samples share.
# Another thing follows from the ties: a picture that is turned by 90 degrees or mirrored has the
# same coefficients, in other channels, to rounding.
#
# The program that strings these steps together is told in :doc:`/architecture`; how banks are made,
# in :doc:`/learning`.

# sphinx_gallery_thumbnail_number = 2
