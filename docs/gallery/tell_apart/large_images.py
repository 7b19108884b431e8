"""
Defects in a large image
========================

A large image of gravel that lies in a file, 24 spots of it not as they should be, and a map of how
unusual each place is: computed lazily by Dask, piece by piece.

Needs dask, matplotlib, scikit-image and scikit-learn besides npscatter.
"""

# %%
# An image to inspect
# -------------------
# Gravel from scikit-image is continued by its mirror images, which leaves no seams, and gets the
# noise of a camera. Four kinds of defects are faded into it, six of each: grass; gravel out of
# focus; gravel of less contrast; gravel whose pixels are shuffled. All but the third keep the
# contrast of what they replace, and all four its mean, so that brightness does not give them away.

import tempfile
from pathlib import Path

import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter, label, maximum
from skimage import data
from sklearn.metrics import precision_recall_curve

from npscatter import Scattering2D
from npscatter.dask import scatter

rng = np.random.default_rng(0)
SIZE = 96  # of a defect, in pixels


def continued(texture, shape):
    rest = [(0, side - own) for side, own in zip(shape, texture.shape, strict=True)]
    return np.pad(texture, rest, mode="symmetric").astype(np.float32)


def noisy(image):
    noise = rng.standard_normal(image.shape, np.float32)
    return (image + 4 * noise).clip(0, 255).astype(np.uint8)


gravel, grass = data.gravel().astype(np.float32), data.grass().astype(np.float32)
inspected = continued(gravel, (2048, 3072))


def alike(piece, like):
    return (piece - piece.mean()) / piece.std() * like.std() + like.mean()


kinds = {
    "grass": lambda piece, at: alike(grass[at : at + SIZE, at : at + SIZE], piece),
    "blurred": lambda piece, at: alike(gaussian_filter(piece, 1.5), piece),
    "faded": lambda piece, at: piece.mean() + 0.4 * (piece - piece.mean()),
    "shuffled": lambda piece, at: alike(rng.permutation(piece.ravel()).reshape(piece.shape), piece),
}
edge = np.hanning(SIZE)
mask = np.minimum(1, 3 * np.minimum(edge[:, None], edge))
cells = rng.permutation([(row, column) for row in range(4) for column in range(6)])
defects = []
for number, (row, column) in enumerate(cells):
    top, left = (512 * np.array([row, column]) + rng.integers(40, 512 - 40 - SIZE, 2)).tolist()
    place = np.s_[top : top + SIZE, left : left + SIZE]
    kind = list(kinds)[number % len(kinds)]
    new = kinds[kind](inspected[place], 15 * number)
    inspected[place] += mask * (new - inspected[place])
    defects.append((kind, top, left))

folder = Path(tempfile.mkdtemp())
path = folder / "image.npy"
np.save(path, noisy(inspected))

fig, axes = plt.subplots(1, 4, figsize=(9, 2.7), layout="constrained")
image = np.load(path, mmap_mode="r")
for ax, (kind, top, left) in zip(axes, defects, strict=False):
    ax.imshow(image[top - 36 : top + 132, left - 36 : left + 132], cmap="gray")
    ax.set_title(kind, fontsize=13)
    ax.set_axis_off()

# %%
# Lazy arrays
# -----------
# Each task reads its own chunk of the file. :func:`npscatter.dask.scatter` makes of it a lazy
# array of coefficients, one place for every 16 x 16 pixels with ``J=4``; a chunk borrows from its
# neighbours what its coefficients see of them.


def read(block_info):
    place = tuple(slice(*ends) for ends in block_info[None]["array-location"])
    return np.load(path, mmap_mode="r")[place]


chunks = [(512,) * (side // 512) for side in image.shape]
coefficients = scatter(da.map_blocks(read, chunks=chunks, dtype=np.uint8), J=4, L=4)
print(f"{coefficients.shape} of {image.shape}, in {coefficients.npartitions} chunks")

# %%
# Gravel has no direction, so logarithms are averaged over orientations: one number for each scale
# in the first order, one for each pair of scales in the second. Order 0, the brightness, is left
# out. Only these ten numbers of each place are kept; the coefficients of a chunk are dropped when
# its ten are there.

height, width = coefficients.shape[1:]


def described(coefficients):
    logs = np.log(coefficients[1:].astype(float) + 0.1)
    first, second = logs[: 4 * 4], logs[4 * 4 :]
    first = first.reshape(4, 4, *logs.shape[1:]).mean(1)
    second = second.reshape(6, 4 * 4, *logs.shape[1:]).mean(1)
    return np.concatenate([first, second])


values = coefficients.map_blocks(described, chunks=((10,), *coefficients.chunks[1:]), dtype=float)
values = values.compute().reshape(10, -1)

# %%
# How unusual is a place?
# -----------------------
# The Mahalanobis distance: how far the numbers of a place are from the typical ones, in units of
# how much places vary in that direction. What is typical is told by the image itself, in two
# rounds: by all places, then by those that the first round did not report. Reported is what lies
# further from the median distance than six times the typical deviation from it.

typical = np.ones(values.shape[1], bool)
for _ in range(2):
    centred = values - values[:, typical].mean(1, keepdims=True)
    inverse = np.linalg.inv(np.cov(values[:, typical]))
    distance = np.sqrt(np.einsum("in,ij,jn->n", centred, inverse, centred) / len(values))
    deviation = 1.4826 * np.median(np.abs(distance - np.median(distance)))
    threshold = np.median(distance) + 6 * deviation
    typical = distance <= threshold
    print(f"threshold {threshold:.2f}: {(~typical).sum()} of {typical.size} places reported")
found = distance.reshape(height, width)

# %%
# The map
# -------
# Squares are the planted defects, white lines go around what is reported.

fig, ax = plt.subplots(figsize=(9, 6), layout="constrained")
drawn = ax.imshow(found, cmap="viridis", vmin=0, vmax=2 * threshold, extent=(0, 3072, 2048, 0))
ax.contour(16 * np.arange(192) + 8, 16 * np.arange(128) + 8, found, [threshold], colors="white")
colors = dict(zip(kinds, ("tab:red", "tab:orange", "tab:cyan", "tab:pink"), strict=True))
for kind, top, left in defects:
    square = plt.Rectangle((left, top), SIZE, SIZE, fill=False, color=colors[kind], linewidth=2)
    square.set_label(kind)
    ax.add_patch(square)
handles, names = ax.get_legend_handles_labels()
shown = dict(zip(names, handles, strict=True))
fig.legend(shown.values(), shown, loc="outside lower center", ncols=4, fontsize=13)
ax.set_axis_off()
fig.colorbar(drawn, shrink=0.7).set_label("distance from typical", size=12)

# %%
# How many were found
# -------------------
# A region above the threshold is right if it touches a defect. And place by place, whatever the
# threshold (a place counts as defective where the defect has at least half of its strength):

truth = np.zeros(found.shape, bool)
touched = np.zeros(found.shape, bool)
peaks = {}
for kind, top, left in defects:
    rows = slice(top // 16, -(-(top + SIZE) // 16))
    columns = slice(left // 16, -(-(left + SIZE) // 16))
    touched[rows, columns] = True
    peaks.setdefault(kind, []).append(found[rows, columns].max())
    rows, columns = np.mgrid[: found.shape[0], : found.shape[1]] * 16
    down, right = rows - top, columns - left
    inside = (down >= 0) & (down < SIZE) & (right >= 0) & (right < SIZE)
    truth[inside] |= mask[down[inside], right[inside]] >= 0.5

regions, count = label(found > threshold)
right_ones = maximum(touched, regions, range(1, count + 1)).sum()
hits = {kind: int((np.array(peak) > threshold).sum()) for kind, peak in peaks.items()}
print(f"precision: {right_ones} of {count} regions touch a defect")
print(f"recall: {sum(hits.values())} of {len(defects)} defects are found: {hits}")

precision, recall, _ = precision_recall_curve(truth.ravel(), found.ravel())
fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.plot(recall, precision)
at = found > threshold
ax.plot((at & truth).sum() / truth.sum(), (at & truth).sum() / at.sum(), "o", color="tab:red")
ax.set_xlabel("recall of places", fontsize=12)
ax.set_ylabel("precision of places", fontsize=12)
ax.set_ylim(0, 1.02)
ax.grid(alpha=0.3)

# %%
# The dot is the threshold above. Shuffled spots are reported whole, of the other kinds only a
# part is: whether there is a defect is told better than how far it reaches.
#
# The same numbers come out in one piece, and from files, stores and clusters of any size:
# :doc:`/large`, :doc:`/clusters`.

whole = Scattering2D(J=4, shape=image.shape, L=4)(image[:])
assert np.allclose(described(whole).reshape(10, -1), values, atol=1e-4)
assert sum(hits.values()) >= 22
assert right_ones >= 0.9 * count

# sphinx_gallery_thumbnail_number = 2
