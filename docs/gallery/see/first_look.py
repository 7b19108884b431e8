"""
A first look
============

A picture, the wavelets it is filtered with, and what comes out: the first order as a disc, the
second as sectors of one.

Needs matplotlib and scikit-image besides npscatter.
"""

# %%
# A picture
# ---------
# Any array of numbers will do: floats, bytes, one image or many of one shape.

import matplotlib.pyplot as plt
import numpy as np
from skimage import data

from npscatter import Scattering2D
from npscatter.plots import plot_coefficients, plot_filters

picture = data.camera()[::2, ::2] / 255  # 256 x 256

fig, ax = plt.subplots(figsize=(4, 4), layout="constrained")
ax.imshow(picture, cmap="gray")
ax.set_axis_off()

# %%
# The wavelets
# ------------
# ``J=3`` has wavelets of three scales, an octave apart, each in ``L = 8`` orientations; the
# coarsest are some 20 pixels wide. One of them answers to stripes of its own width and direction,
# and to edges.

S = Scattering2D(J=3, shape=picture.shape)
plot_filters(S)

# %%
# The coefficients
# ----------------
# The modulus of what a wavelet answers, averaged over :math:`2^J = 8` pixels, is a map of how
# much of that scale and orientation there is where. There is one for each wavelet in the first
# order; in the second, the first-order moduli are filtered by all coarser wavelets again, which
# tells how what was found is arranged. With the mean brightness they are
#
# .. math:: 1 + J L + \tfrac{J (J - 1)}{2} L^2 = 217
#
# channels, an eighth as high and wide as the picture.

coefficients = S(picture)
print(coefficients.shape, coefficients.dtype)

# %%
# The first order, a row for each scale and a column for each orientation, the finest scale above.

plot_coefficients(S, coefficients, view="maps", order=1)

# %%
# As discs
# --------
# Means over the picture, drawn where the Fourier transform has what the wavelets answer to: scale
# is radius, the finest outermost, and orientation is angle. The tripod's legs and the coat's
# edges, which run down the picture, make the left and the right bright. In the second order the
# wedge of a first wavelet is cut into rings of coarser wavelets and sectors of their
# orientations.

plot_coefficients(S, coefficients)

# %%
# A place has a disc of its own. Two of the picture's: in the grass, where nothing is regular, and
# on a leg of the tripod.

places = {"grass": (26, 25), "a leg of the tripod": (22, 17)}
fig, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", width_ratios=(1, 1.2, 1.2))
axes[0].imshow(picture, cmap="gray")
axes[0].set_axis_off()
for ax, (name, (row, column)) in zip(axes[1:], places.items(), strict=True):
    axes[0].plot(8 * column, 8 * row, "o", color="tab:orange", mec="white")
    axes[0].annotate(
        name,
        (8 * column, 8 * row),
        (0, -14),
        textcoords="offset points",
        color="white",
        ha="center",
    )
    plot_coefficients(S, coefficients, position=(row, column), order=1, axes=ax)
    ax.set_title(name)

# %%
# What the numbers mean, and what they are good for, is told in :doc:`What the coefficients mean
# </auto_explanations/meaning>`; :doc:`/auto_gallery/tell_apart/textures` puts them to use.

assert np.allclose(coefficients[0].mean(), picture.mean(), atol=0.01)
uneven = {
    name: max(
        values.max() / values.min() for values in coefficients[(slice(1, 25), *place)].reshape(3, 8)
    )
    for name, place in places.items()
}
assert uneven["grass"] < 2 < 5 < uneven["a leg of the tripod"]

# sphinx_gallery_thumbnail_number = 4
