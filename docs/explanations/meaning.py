r"""
What the coefficients mean
==========================

From a wavelet's response to its modulus to the average, what the three orders tell of simple
pictures, how steady they are, and what is lost. For somebody who knows what a convolution is.

.. math::

    S_0 = x * \phi_J \qquad S_1 = |x * \psi_{j_1, \theta_1}| * \phi_J \qquad
    S_2 = \bigl| |x * \psi_{j_1, \theta_1}| * \psi_{j_2, \theta_2} \bigr| * \phi_J, \quad j_2 > j_1

Needs matplotlib and scikit-image besides npscatter.
"""

# %%
# A response, its modulus, its average
# ------------------------------------
# A **wavelet** :math:`\psi` is a small complex stripe pattern under a bell: its real part is even,
# its imaginary part odd, and both sum to zero. Here is one, of scale ``j = 1`` and orientation
# ``theta = 7``, which answers to what changes from left to right within some six pixels.
# ``S.filters()`` gives all of them; with ``boundary="periodic"`` the transform is exactly the
# convolution with these, so that every step can be drawn.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import map_coordinates
from skimage import data

from npscatter import Scattering2D, features
from npscatter.plots import plot_coefficients

picture = data.camera()[60:316, 130:386] / 255  # 256 x 256, brightness from 0 to 1
S = Scattering2D(J=3, shape=picture.shape, boundary="periodic")
filters = S.filters()  # on the grid of the picture
j, theta = 1, 7

spectrum = np.fft.fft2(picture)
response = np.fft.ifft2(spectrum * filters.psi_hat[j, theta])
modulus = np.abs(response)
kept = modulus[::2, ::2]  # half the resolution will do for an envelope; Kymatio does the same
average = np.fft.ifft2(np.fft.fft2(kept) * S.filters(after=j).phi_hat).real

fig, axes = plt.subplots(2, 3, figsize=(8, 5.8), layout="constrained")
most = np.abs(response).max() / 2
wavelet = filters.psi[j, theta][118:139, 118:139].real
shown = {
    "picture $x$": (picture, "gray", 0, 1),
    r"wavelet, Re $\psi$, enlarged": (wavelet, "RdBu_r", -wavelet.max(), wavelet.max()),
    r"response, Re $(x * \psi)$": (response.real, "RdBu_r", -most, most),
    r"modulus $|x * \psi|$": (modulus, "viridis", 0, most),
    r"average $|x * \psi| * \phi_J$": (average, "viridis", 0, average.max()),
    "coefficients: 1 sample in 8 x 8": (average[::4, ::4], "viridis", 0, average.max()),
}
for ax, (title, (values, colors, low, high)) in zip(axes.flat, shown.items(), strict=True):
    ax.imshow(values, cmap=colors, vmin=low, vmax=high)
    ax.set_title(title, fontsize=11)
    ax.set_axis_off()

# %%
# (The bright columns at the left and at the right are no part of the picture's contents: on a
# periodic grid its two sides meet there.) That is what :class:`~npscatter.Scattering2D` returns in
# the channel of that wavelet, to rounding.

coefficients = S(picture)
meta = S.meta()
channel = np.flatnonzero(
    (meta["order"] == 1) & (meta["j"][:, 0] == j) & (meta["theta"][:, 0] == theta)
).item()
difference = np.abs(coefficients[channel] - average[::4, ::4]).max() / average.max()
print(f"channel {channel}: differs by {difference:.0e} of the largest coefficient")
assert difference < 1e-10

# %%
# Why the modulus
# ---------------
# A response goes up and down with every stripe, and its average is zero, as the wavelet sums to
# zero. The real part alone would also change its sign when the picture moves by half a stripe. The
# imaginary part is the same ripple a quarter of a stripe on; so the modulus
# :math:`\sqrt{\mathrm{Re}^2 + \mathrm{Im}^2}` is the ripple's height, the *envelope*, without the
# ripple. It is slower than what it was made from. That is why it may be averaged without losing
# everything, and why the average stays nearly the same when the picture moves a little.

row = 150
fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
ax.plot(response[row, 20:140].real, color="tab:blue", lw=1, label=r"Re $(x * \psi)$")
ax.plot(response[row, 20:140].imag, color="tab:blue", lw=1, ls=":", label=r"Im $(x * \psi)$")
ax.plot(modulus[row, 20:140], color="tab:orange", label=r"$|x * \psi|$")
ax.plot(2 * np.arange(60), average[row // 2, 10:70], "k", lw=2, label=r"$|x * \psi| * \phi_J$")
ax.set(xlabel="pixels along a row of the picture", ylabel="in units of brightness")
ax.legend(ncols=4, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, 1.2), frameon=False)


def change(one, other):
    return np.linalg.norm(one - other) / np.linalg.norm(one)


moved = {"Re (x * psi)": response.real, "|x * psi|": modulus}
print(
    "mean of the response",
    f"{abs(response.mean()):.0e},",
    "of its modulus",
    f"{modulus.mean():.4f}",
)
print("change if the picture moves by a pixel:")
by_a_pixel = {name: change(values, np.roll(values, 1, 1)) for name, values in moved.items()}
again = S(np.roll(picture, 1, 1))
by_a_pixel["S1, |x * psi| * phi"] = change(coefficients[channel], again[channel])
for name, value in by_a_pixel.items():
    print(f"  {name:20}{100 * value:5.1f} %")
small, smaller, smallest = sorted(by_a_pixel.values(), reverse=True)
assert small > 2 * smaller > 4 * smallest

# %%
# What the orders tell
# --------------------
# **S0** is the local mean brightness. **S1** is how much there is of each scale and orientation: a
# spectrum, blurred to octaves and 180 / L degrees, for every place. **S2** filters the maps of the
# first order again, by coarser wavelets: how what the first wavelet found is *arranged*, evenly or
# in clumps, along lines or across them.
#
# Six pictures, and the means of their coefficients as :func:`discs
# <npscatter.plots.plot_coefficients>`: radius is scale, the finest outermost, and angle is
# orientation. Each disc has its own colours, so compare shapes here, and sizes in the table below.

side = 128
down, right = np.mgrid[:side, :side]
generator = np.random.default_rng(0)
# Stripes from slow to fast and back: 0.02 to 0.4 cycles per pixel, 27 of them.
cycles = np.cumsum(0.02 + (2 * 27 / side - 0.04) * (1 - np.abs(right[0] - side / 2) / (side / 2)))
simple = {
    "stripes": 0.5 + 0.5 * np.cos(2 * np.pi * 17 / side * (right + down)),
    "edge": np.where(right < side // 2, 0.25, 0.75),
    "chirp": np.tile(0.5 + 0.5 * np.cos(2 * np.pi * cycles), (side, 1)),
    "noise": generator.normal(0.5, 0.15, (side, side)),
    "dots": (generator.random((side, side)) < 0.003).astype(float),
    "texture": data.brick()[:side, :side] / 255,
}
T = Scattering2D(J=4, shape=(side, side), boundary="periodic")  # no edges to care about
of_paths = T.meta()
found = {name: T(values) for name, values in simple.items()}

fig, axes = plt.subplots(6, 3, figsize=(8, 17), layout="constrained", width_ratios=(0.8, 1.1, 1.1))
for line, (name, values) in zip(axes, found.items(), strict=True):
    line[0].imshow(simple[name], cmap="gray", vmin=0, vmax=1)
    line[0].set_title(name)
    line[0].set_axis_off()
    for order in (1, 2):
        plot_coefficients(T, values, order=order, axes=line[order])
        line[order].set_title(f"$S_{order}$")


def sizes(values, of_values):
    """Return the norms of the means of S0, S1 and S2."""
    means = values.mean((-2, -1))
    return [np.linalg.norm(means[of_values["order"] == k]) for k in range(3)]


print(f"{'':10}{'S0':>8}{'S1':>8}{'S2':>8}{'S2 / S1':>9}")
table = {name: sizes(values, of_paths) for name, values in found.items()}
for name, (s0, s1, s2) in table.items():
    print(f"{name:10}{s0:8.3f}{s1:8.3f}{s2:8.4f}{s2 / s1:9.3f}")

# %%
# - **Stripes** fill one wedge of S1 and its neighbours. The modulus of steady stripes is constant,
#   so S2 is next to nothing; mind the scale of its colours.
# - An **edge** has one orientation and all scales, the coarsest most: the coarser the wavelet, the
#   more of the picture sees it. It stands alone, so S2 is half as large as S1.
# - The **chirp** has all scales of one orientation too. They stand side by side, which S1 does not
#   tell from a sum, and coarse second wavelets do.
# - **Noise** fills all orientations, and more of the finer scales, whose bands are wider.
# - **Dots** fill all orientations too, but S2 is larger than S1: what is there stands in few
#   places.
# - The **texture**, a brick wall, has its long joints, which run down, in both orders.

quotient = {name: s2 / s1 for name, (_, s1, s2) in table.items()}
assert quotient["stripes"] == min(quotient.values())
assert quotient["dots"] > 2 * quotient["noise"]

# %%
# The same first order, another second
# ------------------------------------
# A plaid, the sum of two gratings; and a weave, in which each grating is strong where the other one
# is weak. The strength's mean is 1 in both, so the means of S1 are nearly the same. What differs is
# the arrangement: S2 has it.

slow = np.sin(2 * np.pi * right / 64) * np.sin(2 * np.pi * down / 64)
across, along = (np.cos(2 * np.pi * 0.1875 * axis) for axis in (right, down))
textures = {"plaid": across + along, "weave": (1 + slow) * across + (1 - slow) * along}

maps = {name: T(values) for name, values in textures.items()}
fig, axes = plt.subplots(2, 3, figsize=(8, 5.9), layout="constrained", width_ratios=(0.8, 1.1, 1.1))
for line, (name, values) in zip(axes, textures.items(), strict=True):
    line[0].imshow(values, cmap="gray")
    line[0].set_title(name)
    line[0].set_axis_off()
    for order in (1, 2):
        plot_coefficients(T, maps[name], order=order, axes=line[order])
        line[order].set_title(f"$S_{order}$")

means = {name: values.mean((-2, -1)) for name, values in maps.items()}
differs = {
    order: change(*(means[name][of_paths["order"] == order] for name in textures))
    for order in (1, 2)
}
print(f"S1 differs by {100 * differs[1]:.0f} %, S2 by {100 * differs[2]:.0f} %")
assert differs[1] < 0.05 and differs[2] > 2

# %%
# Steady under shifts, deformations and noise
# -------------------------------------------
# How far do numbers move if the picture does? An example gives the unit: here it is
# a part of the distance between two textures, brick and grass, both of mean 0 and variance 1. At 1
# the change is as large as the difference between the two. Compared are the pixels, the modulus of
# the Fourier transform (which ignores periodic shifts altogether), scattering maps at J = 4, and
# the means of scattering coefficients over the whole picture.

n = 192


def standardized(texture):
    return (texture - texture.mean()) / texture.std()


brick, grass = standardized(data.brick() / 255.0), standardized(data.grass() / 255.0)
rows, columns = np.mgrid[:n, :n] - n / 2


def cut(texture, shift=0.0, stretch=0.0):
    """Return the middle of a texture, moved to the side and stretched."""
    where = 256 + (1 + stretch) * rows, 256 + shift + (1 + stretch) * columns
    return map_coordinates(texture, where, order=3)


noise = np.random.default_rng(0).normal(size=(n, n))
V, G = Scattering2D(4, (n, n)), Scattering2D(4, (n, n), average="global")
representations = {
    "pixels": lambda x: x,
    "Fourier modulus": lambda x: np.abs(np.fft.fft2(x)),
    "scattering, J = 4": lambda x: V(x),
    "scattering, means": lambda x: G(x),
}
disturbed = {
    "shift, pixels": {s: cut(brick, shift=s) for s in (0.5, 1, 2, 4, 8, 16)},
    "stretched by, %": {s: cut(brick, stretch=s / 100) for s in (0.5, 1, 2, 4, 8, 16)},
    "noise, % of the contrast": {s: cut(brick) + s / 100 * noise for s in (3, 6, 12, 25, 50, 100)},
}
fig, axes = plt.subplots(1, 3, figsize=(8, 3.6), layout="constrained", sharey=True)
moves = {}
for name, represent in representations.items():
    at_rest, other = represent(cut(brick)), represent(cut(grass))
    for ax, (what, pictures) in zip(axes, disturbed.items(), strict=True):
        curve = [
            np.linalg.norm(represent(x) - at_rest) / np.linalg.norm(other - at_rest)
            for x in pictures.values()
        ]
        moves[name, what] = dict(zip(pictures, curve, strict=True))
        ax.loglog(list(pictures), curve, "o-", ms=4, label=name)
        ax.axhline(1, color="gray", lw=0.8)
        ax.set_xlabel(what)
        ax.set_xticks(list(pictures), list(pictures))
        ax.minorticks_off()
axes[0].set_ylabel("change / distance to another texture")
fig.legend(*axes[0].get_legend_handles_labels(), ncols=2, loc="outside upper center", frameon=False)

for what, amount in (
    ("shift, pixels", 2),
    ("stretched by, %", 2),
    ("noise, % of the contrast", 50),
):
    print(f"{what}: {amount}")
    for name in representations:
        print(f"    {name:18} {moves[name, what][amount]:.2f}")

# %%
# Pixels are as far off as another texture after a shift of a few pixels. Scattering maps move by
# about the shift over :math:`2^J`, here 16 pixels. Under shifts the Fourier modulus is steadier
# still: it changes by what enters and leaves at the edges alone. But stretching moves its high
# frequencies from one bin to another: a small one changes it twice as much as the maps. The means
# are the steadiest under both. Weak noise moves scattering coefficients least. Strong noise moves
# all about alike: it adds to all wavelets, the finest most, and is not averaged away, since a
# modulus is never negative. What is proven for every picture is that differences do not grow:
# :math:`\|S(x)-S(y)\|\le C\|x-y\|`, with a constant C that :doc:`is computed from the filters
# </bounds>`.

for what, amount in (("shift, pixels", 2), ("stretched by, %", 2)):
    assert moves["scattering, J = 4", what][amount] < moves["pixels", what][amount] / 2
stretched = {name: moves[name, "stretched by, %"][2] for name in representations}
assert (
    stretched["scattering, means"] < stretched["scattering, J = 4"] < stretched["Fourier modulus"]
)
assert moves["Fourier modulus", "shift, pixels"][2] < moves["scattering, J = 4", "shift, pixels"][2]

# %%
# What is lost
# ------------
# - **Where**, within about :math:`2^J` pixels, and everything at all that a third modulus would
#   see.
# - **Sign**: a negative has the same S1 and S2 as its picture, and S0 with the sign changed.
# - **Half a turn**: a wavelet turned by 180 degrees is its own conjugate, and the modulus does not
#   see the difference. So the means of a picture that is turned upside down are the same, but for
#   where the samples of maps fall. A quarter turn is seen: it moves orientations by L / 2.
# - **Colour**: channels of a colour picture are transformed one by one.

first_and_second = of_paths["order"] > 0
texture = simple["texture"]
mean_of = {
    name: T(values).mean((-2, -1))
    for name, values in {
        "as it is": texture,
        "negative": -texture,
        "half a turn": np.rot90(texture, 2),
        "quarter turn": np.rot90(texture),
    }.items()
}
for name, values in mean_of.items():
    differs_by = change(mean_of["as it is"][first_and_second], values[first_and_second])
    print(f"{name:14} means of S1 and S2 differ by {100 * differs_by:.4f} %")
for name in ("negative", "half a turn"):
    assert change(mean_of["as it is"][first_and_second], mean_of[name][first_and_second]) < 0.005
assert (
    change(mean_of["as it is"][first_and_second], mean_of["quarter turn"][first_and_second]) > 0.1
)

# %%
# Units, and what 0.01 means
# --------------------------
# A picture of twice the contrast has twice the coefficients: :math:`S(a x) = |a| S(x)` for S1 and
# S2, and :math:`a S_0` for S0. So a coefficient has the unit of the picture. Bytes are not
# rescaled: the coefficients of ``uint8`` pictures are 255 times those of the same picture divided
# by 255.
#
# The low-pass sums to 1, and the bell of a wavelet has the integral 1 (Kymatio's normalisation). A
# stripe pattern ``a cos(...)`` has half its amplitude at either frequency, and a wavelet sees one
# of them: **S1 is a / 2** if the stripes have the wavelet's own frequency and direction. So 0.01,
# of a picture from 0 to 1, are stripes of an amplitude of about 0.02; more of any others. White
# noise and edges for comparison, the largest channel of each scale:

big = np.indices((256, 256))
U = Scattering2D(J=3, shape=(256, 256), average="global")
of_means = U.meta()
samples = {
    "stripes of amplitude 0.02": lambda j: 0.02 * np.cos(2 * np.pi * 0.375 / 2**j * big[1]),
    "noise of deviation 0.02": lambda j: np.random.default_rng(1).normal(0, 0.02, (256, 256)),
    "edge of height 0.02, every 64 pixels": lambda j: 0.02 * (big[1] // 64 % 2),
}
largest = {}
for name, make in samples.items():
    for scale in range(3):
        chosen = (of_means["order"] == 1) & (of_means["j"][:, 0] == scale)
        largest[name, scale] = U(make(scale))[chosen].max()
    print(f"{name:38}", *(f"j = {scale}: {largest[name, scale]:.4f}  " for scale in range(3)))
assert all(abs(largest["stripes of amplitude 0.02", scale] - 0.01) < 5e-4 for scale in range(3))
assert np.allclose(S(3 * picture)[1:], 3 * coefficients[1:], rtol=1e-4, atol=1e-5)

# %%
# S2 is a response to moduli, which are half the amplitude already, and which seldom vary by more
# than their mean: it is smaller than S1 unless the picture
# is nearly empty, as the dots are (the table above).
# :func:`~npscatter.features.normalized` divides each of S2 by its S1, which leaves a number without
# a unit: how much the first modulus varies.
#
# Which channel is which
# ----------------------
# S0 comes first, then S1 by scale and orientation: channel ``1 + j1 L + theta1``. Then S2 in the
# order of ``j1``, ``theta1``, ``j2``, ``theta2``: Kymatio's order. ``S.meta()`` says it as arrays,
# with frequencies in cycles per pixel and angles in degrees: at 0 a wavelet answers to what changes
# downwards, so to horizontal edges, and at 90 or -90 to vertical ones.

names = features.names(meta)
print(f"{'':8}{'name':18}{'j':>8}{'theta':>9}{'frequency':>17}{'angle':>14}")
for c in (0, 1, 8, 9, 24, 25, 216):
    print(
        f"{c:6}  {names[c]:18}{meta['j'][c]!s:>8}{meta['theta'][c]!s:>9}"
        f"{meta['frequency'][c].round(3)!s:>17}{meta['angle'][c]!s:>14}"
    )
assert channel == 1 + j * S.L + theta and meta["angle"][channel, 0] == -90

# %%
# -1 and nan stand where there is no such wavelet. To pick channels, compare: ``S(x)[(meta["order"]
# == 2) & (meta["j"][:, 0] == 0)]``, or use :func:`~npscatter.features.select`. Averages over
# orientations and other statistics are on :doc:`the page about them </features>`;
# :doc:`/auto_explanations/choosing` says which parameters to take.
