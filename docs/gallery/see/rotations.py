"""
Turned pictures
===============

What coefficients do when a picture is turned, what averages over orientations keep, and what they
lose.

Needs matplotlib and scikit-image besides npscatter.
"""

# %%
# The disc turns
# --------------
# A wall, faded out towards a round rim so that nothing enters or leaves when it is turned. It is
# turned at twice the resolution and reduced afterwards, so that little is lost between the
# pixels.

import matplotlib.pyplot as plt
import numpy as np
from skimage import data
from skimage.transform import downscale_local_mean, rotate

from npscatter import Scattering2D, features
from npscatter.plots import plot_coefficients

wall = data.brick() / 255
down, right = np.mgrid[-255.5:256, -255.5:256]
rim = np.clip((255 - np.hypot(down, right)) / 80, 0, 1)
faded = (wall - wall.mean()) * np.sin(np.pi / 2 * rim) ** 2


def turned(degrees):
    return downscale_local_mean(rotate(faded, degrees, order=3), (2, 2))


S = Scattering2D(J=4, shape=(256, 256), boundary="periodic", average="global")
meta = S.meta()

angles = (0, 45, 90)
fig, axes = plt.subplots(2, 3, figsize=(9, 6.2), layout="constrained", height_ratios=(1, 1.15))
for (above, below), degrees in zip(axes.T, angles, strict=True):
    above.imshow(turned(degrees), cmap="gray")
    above.set_title(f"turned by {degrees} degrees")
    above.set_axis_off()
    plot_coefficients(S, S(turned(degrees)), order=1, axes=below)
    below.set_title("first order")

# %%
# The disc of the first order turns with the picture. With ``L = 8`` orientations there is one
# every 22.5 degrees, and turned by as much a picture has its coefficients one orientation
# further: of the second order both orientations, those of the first and of the second wavelet.
#
# Averages stay
# -------------
# :func:`npscatter.features.isotropic` averages over all that a turn permutes. Of the second order
# it keeps the angle between the two wavelets, d = theta2 - theta1, which no turn changes.

values = S(turned(0))
of_isotropic, isotropic_meta = features.isotropic(values, meta, axis=-1)
print(len(values), "numbers become", len(of_isotropic), "such as")
print(*features.names(isotropic_meta)[1:3], features.names(isotropic_meta)[-1])


def change(a, b):
    return 100 * np.linalg.norm(a - b) / np.linalg.norm(a)


def parts(image):
    """Return what is compared: orders 1 and 2, each with its orientations and averaged."""
    values = S(image)
    averages, of_averages = features.isotropic(values, meta, axis=-1)
    return {
        "S1": values[meta["order"] == 1],
        "S2": values[meta["order"] == 2],
        "S1, isotropic": averages[of_averages["order"] == 1],
        "S2, isotropic": averages[of_averages["order"] == 2],
    }


# %%
# The wall turned by every 7.5 degrees, against the wall upright:

upright = parts(turned(0))
degrees = np.arange(0, 181, 7.5)
changes = {name: [] for name in upright}
for angle in degrees:
    for name, values in parts(turned(angle)).items():
        changes[name].append(change(upright[name], values))

fig, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for name, style in zip(changes, ("o-", "s-", "o--", "s--"), strict=True):
    colour = "tab:orange" if "isotropic" in name else "tab:blue"
    ax.plot(degrees, changes[name], style, color=colour, label=name, ms=4)
ax.set_yscale("symlog", linthresh=0.1)
ax.set_yticks([0, 0.1, 1, 10, 100], ["0", "0.1", "1", "10", "100"])
ax.set_xticks(np.arange(0, 181, 22.5), [f"{one:g}" for one in np.arange(0, 181, 22.5)])
ax.set_xlabel("turned by, degrees")
ax.set_ylabel("change, % of the upright wall's")
ax.grid(alpha=0.3)
fig.legend(loc="outside upper center", ncols=4, frameon=False)

for name, of_name in changes.items():
    print(f"{name:14} changes by up to {max(of_name):5.2f} %")

# %%
# What is left are the pixels: turning resamples the picture, and the wavelets of the finest scale
# feel the square grid. Turned by 180 degrees nothing but the place of the samples differs.
#
# A quarter, exactly
# ------------------
# Turned by 90 degrees about one of its pixels, a picture has the same samples, and the shipped
# banks are symmetric as the square is. So for a periodic picture the averages stay to rounding.
# ``np.rot90`` turns about the middle between pixels: coarse scales then see other samples.

picture = data.camera()[::2, ::2] / 255
before = parts(picture)
about_middle = parts(np.rot90(picture))
about_pixel = parts(np.roll(np.rot90(picture), 1, axis=0))
print("the cameraman, turned by 90 degrees")
for name, values in before.items():
    of_middle, of_pixel = change(values, about_middle[name]), change(values, about_pixel[name])
    print(f"{name:14} about the middle {of_middle:8.2f} %, about a pixel {of_pixel:8.2f} %")

# %%
# What is lost
# ------------
# Which way something runs is lost, as it should be; but so are angles between things that lie
# beside each other. Two pairs of textures, each made of stripes. In the first, fine stripes come
# and go, along their wave vector or across it. In the second, a spot of fine stripes lies beside
# one of coarse stripes, parallel or crossed.

down, right = np.mgrid[:256, :256]
wave = 2 * np.pi / 256


def spot(column, cycles, across=False):
    window = np.exp(-((down - 128) ** 2 + (right - column) ** 2) / 800)
    return window * np.cos(cycles * wave * (down - 128 if across else right - column))


fine = np.cos(96 * wave * right)
pairs = {
    "come and go": (
        fine * (1 + np.cos(6 * wave * right)),
        fine * (1 + np.cos(6 * wave * down)),
    ),
    "beside": (
        spot(64, 48) + spot(192, 12),
        spot(64, 48) + spot(192, 12, across=True),
    ),
}
S = Scattering2D(J=5, shape=(256, 256), boundary="periodic", average="global")
meta = S.meta()

shown = {"come and go": (96, (0, 4)), "beside": (256, (1, 4))}  # pixels, scales
fig, axes = plt.subplots(2, 3, figsize=(9, 5.8), layout="constrained", width_ratios=(1, 1, 1.3))
for row, (name, pair) in zip(axes, pairs.items(), strict=True):
    size, scales = shown[name]
    for ax, image, way in zip(row, pair, ("parallel", "crossed"), strict=False):
        ax.imshow(image[:size, :size], cmap="gray")
        ax.set_title(f"{name}, {way}")
        ax.set_axis_off()
        averages, of_averages = features.isotropic(S(image), meta, axis=-1)
        by_angle = averages[(of_averages["j"] == scales).all(1)]
        style = "o-" if way == "parallel" else "s--"
        row[2].plot(np.arange(9) * 22.5, by_angle[np.arange(9) % 8], style, label=way)
    row[2].set_title(f"$S_2$, isotropic, j1 = {scales[0]}, j2 = {scales[1]}")
    row[2].set_xticks(np.arange(0, 181, 45))
    row[2].set_ylim(0, 1.2 * by_angle.max())
    row[2].grid(alpha=0.3)
axes[1, 2].set_xlabel("angle between the wavelets, degrees")
fig.legend(*axes[0, 2].get_legend_handles_labels(), loc="outside lower right", ncols=2)

# %%
# How far the two of a pair are from each other, in percent:


def compared(image):
    values = S(image)
    s21, _ = features.s21(values, meta, axis=-1)
    return {**parts(image), "s21": s21}


apart = {
    name: {what: change(values, compared(pair[1])[what]) for what, values in of_first.items()}
    for name, pair in pairs.items()
    for of_first in [compared(pair[0])]
}
print(f"{'':14}" + "".join(f"{name:>14}" for name in apart))
for what in apart["beside"]:
    print(f"{what:14}" + "".join(f"{apart[name][what]:14.2f}" for name in apart))

# %%
# Stripes that come and go: the first order hardly tells the two apart, and the angle in the
# second order does, of which s21 keeps a sixth (:doc:`/auto_gallery/see/field_statistics` puts both
# to use). Spots beside each other: all averages are the same to a percent, and only coefficients
# with their orientations tell. A path holds one thing and how it is arranged, and here are two
# things.

assert max(changes["S1"]) > 50 and max(changes["S2"]) > 50
assert max(changes["S1, isotropic"]) < 1 and max(changes["S2, isotropic"]) < 3
assert all(change(before[name], about_pixel[name]) < 1e-10 for name in before if "iso" in name)
assert all(change(before[name], about_middle[name]) < 0.1 for name in before if "iso" in name)
assert apart["come and go"]["S1"] < 5 < 100 < apart["come and go"]["S2, isotropic"]
assert apart["beside"]["S1"] > 50
assert all(apart["beside"][name] < 1.5 for name in ("S1, isotropic", "S2, isotropic", "s21"))
