"""
Statistics of fields
====================

Isotropic statistics of simulated fields, as astronomers use them: they see
filaments and points that a power spectrum cannot tell from noise.

Needs matplotlib besides npscatter.
"""

# %%
# Three fields, and noise like each
# ---------------------------------
# The exponential of a Gaussian field is lognormal, as the density of matter nearly is. The zeros
# of a smooth Gaussian field are lines: marked brightly, they are filaments. And points lie where
# chance has them, each as wide as a filament.
#
# Beside each stands noise that has the same modulus of the Fourier transform, frequency by
# frequency, and random phases. So the two have the same power spectrum, and the same
# correlations.

import matplotlib.pyplot as plt
import numpy as np

from npscatter import Scattering2D, features

SIDE, COUNT = 128, 40
generator = np.random.default_rng(0)
frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE))


def gaussian(amplitude):
    white = np.fft.fft2(generator.normal(size=(COUNT, SIDE, SIDE)))
    fields = np.fft.ifft2(white * amplitude).real
    return (fields - fields.mean((1, 2), keepdims=True)) / fields.std((1, 2), keepdims=True)


def blurred(fields):
    return np.fft.ifft2(np.fft.fft2(fields) * np.exp(-40 * frequency**2)).real


def scrambled(fields):
    phases = np.fft.fft2(generator.normal(size=fields.shape))
    return np.fft.ifft2(np.abs(np.fft.fft2(fields)) * phases / np.abs(phases)).real


rough = np.exp(-((frequency / 0.2) ** 2)) / np.maximum(frequency, 1 / SIDE) ** 1.2
smooth = np.exp(-((frequency / 0.035) ** 2))
fields = {
    "lognormal": np.exp(gaussian(rough)),
    "filaments": np.exp(-30 * gaussian(smooth) ** 2),
    "points": blurred(generator.random((COUNT, SIDE, SIDE)) < 0.002),
}
noises = {name: scrambled(field) for name, field in fields.items()}

fig, axes = plt.subplots(2, 3, figsize=(7.5, 5.2), layout="constrained")
for column, name in zip(axes.T, fields, strict=True):
    for ax, field in zip(column, (fields[name][0], noises[name][0]), strict=True):
        low, high = np.quantile(field, (0.005, 0.995))
        ax.imshow(field, cmap="gray", vmin=low, vmax=high)
        ax.set(xticks=[], yticks=[])
    column[0].set_title(name)
axes[0, 0].set_ylabel("field")
axes[1, 0].set_ylabel("noise, same spectrum")

# %%
# The power spectra are the same to rounding:

for name, field in fields.items():
    power, of_noise = (np.abs(np.fft.fft2(one)) ** 2 for one in (field, noises[name]))
    print(f"{name:10} {np.abs(power - of_noise).max() / power.max():.0e}")
    assert np.allclose(power, of_noise, atol=1e-9 * power.max())

# %%
# Two numbers for each pair of scales
# -----------------------------------
# The fields are periodic, so is the ``boundary``; and with ``average="global"`` the moduli are
# averaged over the whole field, which leaves one number of every channel. Then
#
# - :func:`npscatter.features.s21` is the second order over the first, all orientations averaged:
#   how much the structure of scale j1 comes in clumps of scale j2;
# - :func:`npscatter.features.s22` is the second order of parallel wavelets over that of
#   perpendicular ones: how much it comes in lines.

S = Scattering2D(J=5, shape=(SIDE, SIDE), boundary="periodic", average="global")


def statistics(images):
    values, meta = S(images), S.meta()
    s21, of_s21 = features.s21(values, meta, axis=-1)
    s22, _ = features.s22(values, meta, axis=-1)
    return {"s21": s21, "s22": s22}, of_s21["j"]


of_fields = {name: statistics(images)[0] for name, images in fields.items()}
of_noises = {name: statistics(images)[0] for name, images in noises.items()}
scales = statistics(noises["points"][:1])[1]

fig, axes = plt.subplots(2, 3, figsize=(8.5, 5.6), layout="constrained", sharex=True, sharey="row")
places = np.arange(len(scales))
for row, statistic in zip(axes, ("s21", "s22"), strict=True):
    for ax, name in zip(row, fields, strict=True):
        for found, label, style in ((of_fields, "field", "o-"), (of_noises, "noise", "s--")):
            values = found[name][statistic]
            for j1 in range(4):
                here = scales[:, 0] == j1
                ax.errorbar(
                    *(places[here], values.mean(0)[here], values.std(0)[here], None, style),
                    color="tab:blue" if label == "field" else "tab:gray",
                    label=label if j1 == 0 else None,
                    ms=4,
                    capsize=2,
                )
        ax.grid(alpha=0.3)
    row[0].set_ylabel(statistic)
for ax, name in zip(axes[0], fields, strict=True):
    ax.set_title(name)
for ax in axes[1]:
    ax.set_xticks(places, [f"{j1}, {j2}" for j1, j2 in scales], rotation=90)
axes[1, 1].set_xlabel("scales j1, j2")
axes[0, 0].legend()

# %%
# Points are means over the realisations, and bars the standard deviation of one: what a single
# field scatters by. Lines join pairs that have the same j1.
#
# How far a single field is from a noise, in standard deviations of their difference, at the pair
# of scales where that is furthest, and of how many pairs it is beyond three:

for statistic in ("s21", "s22"):
    for name in fields:
        field, noise = of_fields[name][statistic], of_noises[name][statistic]
        away = np.abs(field.mean(0) - noise.mean(0)) / np.hypot(noise.std(0), field.std(0))
        j1, j2 = scales[away.argmax()]
        count = f"{(away > 3).sum()} of {len(scales)} pairs beyond 3"
        print(f"{statistic} {name:10} {away.max():5.1f} at j1 = {j1}, j2 = {j2};  {count}")

# %%
# All three fields have more s21 than their noise, at every pair of scales: what is bright in them
# comes in clumps. The s22 tells lines from points: filaments have several times as much parallel
# as perpendicular structure, while points, seen by the finest wavelets, have as much of one as of
# the other. Noise is not at 1 where j1 and j2 are next to each other: its bright places are
# stretched by the wavelet that found them. So statistics are to be compared with those of noise
# of the same spectrum, not with 1. The s22 of one lognormal field does not tell it from noise
# with certainty.

for name in fields:
    assert (of_fields[name]["s21"].mean(0) > of_noises[name]["s21"].mean(0)).all()
finest = scales[:, 0] == 0
s22 = {name: of_fields[name]["s22"].mean(0) for name in fields}
assert s22["filaments"][0] > 3 and s22["points"].max() < 2
assert np.abs(s22["points"][finest] - 1).max() < 0.1
assert of_noises["filaments"]["s22"].mean(0)[0] > 1.4
