"""
Your own pictures
=================

From a folder of pictures to a classifier: tested on pictures it has not seen, kept in a file, and
used on a new one.
"""

# %%
# Install what this page needs, from a checkout: ``pip install ".[cli,sklearn]" scikit-image``. Only
# the pictures are of scikit-image; with your own you do without.
#
# The folder
# ----------
# Yours should look like this: ``train`` and ``test``, and in both a sub-folder for every class,
# with the name of the class. Sizes and formats may be mixed.
#
# .. code-block:: text
#
#     train/brick/00.jpg    train/brick/01.png    ...    train/grass/00.jpg    ...
#     test/brick/00.jpg     test/brick/01.png     ...    test/grass/00.jpg     ...

import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageOps
from skimage import data
from sklearn.linear_model import RidgeClassifierCV
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from npscatter.sklearn import ScatteringTransformer

folder = Path(tempfile.mkdtemp())  # or Path("my pictures"), without the next cell

# %%
# This one is cut from pictures that come with scikit-image: ten pictures of each class to learn
# from, of the left halves, and twenty to test, of the right halves, so that no pixel is in both.
# JPEG and PNG and three sizes take turns in every class, so that they do not give it away.

sources = {
    "brick": data.brick(),
    "grass": data.grass(),
    "gravel": data.gravel(),
    "stars": data.hubble_deep_field(),  # in colour, as the next
    "tissue": data.immunohistochemistry(),
}
sizes = [(64, 64), (48, 64), (60, 40)]  # heights and widths
generator = np.random.default_rng(4)
for kind, source in sources.items():
    middle = source.shape[1] // 2
    halves = {"train": (source[:, :middle], 10), "test": (source[:, middle:], 20)}
    for split, (half, count) in halves.items():
        (folder / split / kind).mkdir(parents=True)
        corners = [(y, x) for y in range(0, 448, 64) for x in range(0, 256, 64)]
        # Blank glass of the slide is no tissue.
        corners = [(y, x) for y, x in corners if half[y : y + 48, x : x + 40].min() < 128]
        for number, (y, x) in enumerate(generator.permutation(corners)[:count]):
            height, width = sizes[number % 3]
            name = f"{number:02}" + (".jpg", ".png")[number % 2]
            piece = Image.fromarray(half[y : y + height, x : x + width])
            piece.save(folder / split / kind / name, quality=90)

# %%
# Six pictures of each class:

classes = sorted(path.name for path in (folder / "train").iterdir() if path.is_dir())
fig, axes = plt.subplots(len(classes), 6, figsize=(7.2, 6), layout="constrained")
for row, kind in zip(axes, classes, strict=True):
    for ax, path in zip(row, sorted((folder / "train" / kind).iterdir()), strict=False):
        ax.imshow(Image.open(path), cmap="gray", vmin=0, vmax=255)
        ax.set(xlim=(0, 63), ylim=(63, 0), xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        ax.set_title(path.name, fontsize=9)
    row[0].set_ylabel(kind)

# %%
# If yours are not divided yet, move a third of every class to ``test``. Which ones decides what
# the test is worth. Pictures of a series are alike beyond their class: frames of a film,
# photographs of one minute, slides of one patient. A series must lie on one side, all of it in
# ``train`` or all of it in ``test``. On both, the test asks for what was learned by heart. Even
# here both halves are of one wall in one light: how well other walls are told, only photographs
# of other walls can say.
#
# On the command line
# -------------------
# One command writes the features of a whole folder:
#
# - ``--recursive`` takes the sub-folders, ``--labels folder`` their names as labels.
# - All pictures must get one size. ``--crop 48 48`` cuts longer sides about the centre, and
#   ``--pad 48 48`` fills shorter ones with the mirrored picture: nothing is stretched, as suits
#   textures. Where a picture shows one whole object, take ``--size 48 48`` instead, which resizes
#   and so keeps all of it in view.
# - ``--J 4``: the coarsest wavelets see about 16 pixels.
# - ``--summary``, three times: means over the picture, means over rotations, logarithms.

how_read = "--recursive --labels folder --crop 48 48 --pad 48 48"
what_made = "--J 4 --summary mean --summary isotropic --summary log"


def transform(split):
    print(f"$ npscatter transform {split} -o {split}.npz \\\n    {how_read} \\\n    {what_made}")
    command = ["transform", split, "-o", f"{split}.npz", *how_read.split(), *what_made.split()]
    call = [sys.executable, "-m", "npscatter", *command]
    done = subprocess.run(call, cwd=folder, check=True, capture_output=True, text=True)
    said = (done.stdout + done.stderr).splitlines()
    print(*(line for line in said if "transformed" in line), sep="\n")  # without the seconds
    return np.load(folder / f"{split}.npz")


train = transform("train")
test = transform("test")

# %%
# In the file are the features, a row for every picture, names and labels in the same order, what
# each column is, and all settings:

print(textwrap.fill(", ".join(train.files), 90))
for name in ("coefficients", "names", "labels", "channels"):
    print(f"{name:12} {train[name].shape!s:8} such as {train[name].flat[-1]}")

# %%
# The pictures to test must be treated exactly as those to learn from. Another bank, size or range
# makes other numbers in as many columns, and then no error tells. So compare what the files say of
# themselves:

settings = ("bank_sha256", "J", "L", "max_order", "boundary", "shape", "summary", "crop", "pad")
settings += ("size", "channel", "range", "samples", "channels")
for name in settings:
    assert np.array_equal(train[name], test[name]), name
for name in ("J", "crop", "pad", "summary", "samples"):
    print(f"{name:8} {test[name]}")

# %%
# A linear classifier on standardised features, whose penalty is chosen from the pictures to learn
# from alone. The share that is right is told with two standard errors, as so few pictures tell it:


def linear_classifier():
    return make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-1, 5, 7)))


learner = linear_classifier().fit(train["coefficients"], train["labels"])
answers = learner.predict(test["coefficients"])
right = answers == test["labels"]
unsure = 2 * np.sqrt(right.mean() * (1 - right.mean()) / right.size)
print(f"{right.sum()} of {right.size} right: {100 * right.mean():.0f} +- {100 * unsure:.0f} %")
print(f"by chance: {100 / len(classes):.0f} %")

# %%
# Look at what is wrong, not at the share alone. On the left, how many pictures of each class were
# taken for which; on the right, the first four that were mistaken. Brown tissue is taken for
# gravel: only grey values are looked at here. ``--channel all`` would take all three colours.

table = confusion_matrix(test["labels"], answers, labels=classes)
fig, axes = plt.subplot_mosaic("TTab;TTcd", figsize=(8, 3.8), layout="constrained")
axes["T"].imshow(table, cmap="Blues", vmin=0, vmax=table.max())
for (row, column), count in np.ndenumerate(table):
    colour = "white" if count > table.max() / 2 else "black"
    axes["T"].text(column, row, count, ha="center", va="center", color=colour)
axes["T"].set_xticks(range(len(classes)), classes, rotation=45)
axes["T"].set_yticks(range(len(classes)), classes)
axes["T"].set(xlabel="taken for", ylabel="is")
for ax in "abcd":
    axes[ax].set_axis_off()
for ax, index in zip("abcd", np.flatnonzero(~right), strict=False):
    axes[ax].imshow(Image.open(folder / str(test["names"][index])), cmap="gray", vmin=0, vmax=255)
    axes[ax].set_title(f"{test['labels'][index]}, for {answers[index]}", fontsize=10)

# %%
# In Python
# ---------
# The same without the command: Pillow reads, :class:`npscatter.sklearn.ScatteringTransformer`
# transforms. What ``npscatter transform`` does by itself is now yours to do: turn photographs as
# the camera was held, take grey values, cut and fill, and divide by 255. The command divides,
# Python's functions do not (:doc:`errors and surprises </mistakes>` has it, under "Coefficients are
# 255 times too large").

SIDE = 48


# For whole objects: .convert("L").resize((SIDE, SIDE)), and nothing is left to cut or fill.
def read(path):
    picture = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("L"))
    y, x = (max(0, side - SIDE) // 2 for side in picture.shape)
    picture = picture[y : y + SIDE, x : x + SIDE]
    gaps = [SIDE - side for side in picture.shape]
    picture = np.pad(picture, [(gap // 2, gap - gap // 2) for gap in gaps], mode="reflect")
    return picture.astype(np.float32) / 255


def read_all(split):
    paths = sorted((folder / split).glob("*/*"))
    return np.array([read(path) for path in paths]), np.array([path.parent.name for path in paths])


pictures, labels = read_all("train")
test_pictures, test_labels = read_all("test")
scatter = ScatteringTransformer(J=4, summary=("mean", "isotropic", "log"))
model = make_pipeline(scatter, linear_classifier()).fit(pictures, labels)
print(f"{100 * model.score(test_pictures, test_labels):.0f} % right")

same = np.array_equal(model.predict(test_pictures), answers)
apart = np.abs(scatter.transform(test_pictures) - test["coefficients"]).max()
print(f"same answers as before: {same}; features differ by {apart:.3f} at most")

# %%
# They differ because Pillow rounds grey values. And this is what becomes of the model if
# the pictures to test are not divided by 255:

forgotten = model.score(255 * test_pictures, test_labels)
print(f"{100 * forgotten:.0f} % right")

# %%
# Which features for few pictures
# -------------------------------
# All coefficients are 417 maps, here of 3 x 3 places; summaries make fewer numbers of them. Three
# pictures of each class to learn from, or six, are drawn ten times, and the mean is told. The last
# column asks the pictures of ``train`` alone, by cross-validation.

of_class = [np.flatnonzero(labels == kind) for kind in classes]
draws = {
    count: [
        np.concatenate([generator.choice(own, count, replace=False) for own in of_class])
        for _ in range(10)
    ]
    for count in (3, 6)
}
draws[10] = [np.arange(len(labels))]
share = {}
print(f"{'right, %':24}{'features':>9}{'3 each':>8}{'6 each':>8}{'all 10':>8}{'train alone':>13}")
for summary in (None, ("mean", "log"), ("mean", "isotropic", "log")):
    scatter = ScatteringTransformer(J=4, summary=summary)
    features, of_tests = scatter.fit_transform(pictures), scatter.transform(test_pictures)
    scores = []
    for chosen in draws.values():
        fits = [linear_classifier().fit(features[draw], labels[draw]) for draw in chosen]
        scores.append(np.mean([fit.score(of_tests, test_labels) for fit in fits]))
    scores.append(cross_val_score(linear_classifier(), features, labels, cv=5).mean())
    name = ", ".join(summary or ["all coefficients"])
    share[name] = 100 * np.array(scores)
    print(f"{name:24}{features.shape[1]:9}{'{:8.0f}{:8.0f}{:8.0f}{:13.0f}'.format(*share[name])}")

# %%
# With three pictures of a class, fewer numbers are better to learn from. With ten, all are good,
# and the differences are of a few pictures. So with few pictures of textures begin with ``mean,
# isotropic, log``. Leave ``isotropic`` out where it matters which way is up, and the summaries
# where it matters what is where, as in :doc:`digits </auto_gallery/tell_apart/few_labels>`.
#
# Choose by the last column. Whoever tries many features on the pictures to test, and tells the best
# share, has learned from them.

# %%
# Keep it, and use it
# -------------------
# The pipeline is kept whole, in a file of joblib's. Reading such a file can run any code: open only
# those that you trust, and with the versions they were written with. ``read`` is not in it. Keep
# that beside it, for a new picture must get the same treatment.

joblib.dump(model, folder / "model.joblib")

new = {"new.webp": data.grass()[449:, 300:420], "coins.png": data.coins()[79:179, :100]}
for name, pixels in new.items():
    Image.fromarray(pixels).save(folder / name)

loaded = joblib.load(folder / "model.joblib")
named = {name: str(loaded.predict(read(folder / name)[None])[0]) for name in new}
print(named)

# %%
# What the classifier sees of them is the square.

fig, axes = plt.subplots(1, 2, figsize=(6, 2.9), layout="constrained")
for ax, (name, kind) in zip(axes, named.items(), strict=True):
    picture = Image.open(folder / name)
    ax.imshow(picture, cmap="gray", vmin=0, vmax=255)
    corner = ((picture.width - SIDE) // 2, (picture.height - SIDE) // 2)
    ax.add_patch(plt.Rectangle(corner, SIDE, SIDE, fill=False, edgecolor="tab:orange", lw=2))
    ax.set_title(f"{name}: {kind}")
    ax.set_axis_off()

# %%
# It cannot say "none of these": the coin is taken for one of the five. Where other pictures may
# come, give them a class of their own.

low, middling, high = (share[name][0] for name in share)
assert low < middling < high
assert min(of[2] for of in share.values()) > 90 and np.ptp([of[2] for of in share.values()]) < 6
assert max(share, key=lambda name: share[name][-1]) == "mean, isotropic, log"
assert 0.93 <= right.mean() < 1 and forgotten < 0.3
assert ("tissue", "gravel") in {
    (str(test["labels"][index]), str(answers[index])) for index in np.flatnonzero(~right)
}
assert same and apart < 0.05
assert named["new.webp"] == "grass"

# sphinx_gallery_thumbnail_number = 1
