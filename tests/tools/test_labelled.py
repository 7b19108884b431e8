"""Labelled images: their patches and folds, and what is drawn from them to train on."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from npscatter.errors import ArgumentError
from tools import labelled, published_sets


def numbered(height, width):
    """Return a picture whose pixels tell where they stand."""
    return np.arange(height * width).reshape(height, width)


@pytest.mark.parametrize("shape", [(512, 512), (600, 700)])
def test_patches_share_no_pixel_and_halves_lie_apart(shape):
    images, folds = labelled.patches(numbered(*shape))
    assert images.shape[1:] == (32, 32) and np.bincount(folds).tolist() == [112, 112]
    assert len(np.unique(images)) == images.size
    columns = [images[folds == fold] % shape[1] for fold in (0, 1)]
    assert columns[1].min() - columns[0].max() > 64
    rows, first = images // shape[1], images[:, :1, :1]
    within = numbered(32, 32) // 32 * shape[1] + numbered(32, 32) % 32
    assert np.array_equal(images - first, np.broadcast_to(within, images.shape))
    assert rows.min() == (shape[0] - 512) // 2 and rows.max() - rows.min() == 511


def test_textures_are_normalised_and_balanced():
    found = labelled.textures()
    np.testing.assert_allclose(found.images.mean((1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(found.images.std((1, 2)), 1, atol=1e-4)
    assert len(set(zip(found.labels, found.folds, strict=True))) == 2 * len(labelled.TEXTURES)
    assert found.smallest_pool() == 112
    assert all(name in found.words for name in labelled.TEXTURES)


@pytest.mark.parametrize("make", [labelled.digits, labelled.faces, labelled.mnist])
def test_folds_test_every_image_once(make):
    found = make(5, seed=1)
    tested = [image for _, fold in found.splits() for image in fold]
    assert sorted(tested) == list(range(len(found.labels)))
    for pool, fold in found.splits():
        assert not set(pool) & set(fold)
        assert np.bincount(found.labels[pool]).min() >= found.smallest_pool()
        share = np.bincount(found.labels[fold]) / np.bincount(found.labels)
        assert np.abs(share - 0.2).max() < 0.02


def test_enlarged_digits_show_the_small_ones():
    large = labelled.digits(2, seed=0).images
    blocks = large.reshape(-1, 8, 4, 8, 4).mean((2, 4))
    small = load_digits().images / 16
    assert large.dtype == np.float32 and large.shape[1:] == (32, 32)
    assert np.corrcoef(blocks.ravel(), small.ravel())[0, 1] > 0.98


def test_training_draws_are_nested_balanced_and_from_the_pool():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [20, 30, 40]))
    pool = np.flatnonzero(np.arange(90) % 2)
    small, large = (labelled.draw_training(labels, pool, size, [1, 2]) for size in (3, 8))
    assert set(small) < set(large) <= set(pool) and len(set(large)) == 24
    assert np.bincount(labels[large]).tolist() == [8, 8, 8]
    assert np.array_equal(large, labelled.draw_training(labels, pool, 8, [1, 2]))
    assert not np.array_equal(large, labelled.draw_training(labels, pool, 8, [1, 3]))


def test_mnists_digits_are_upright_and_of_their_classes():
    found = labelled.mnist(2, seed=0)
    assert found.images.shape == (5000, 28, 28) and found.images.dtype == np.float32
    assert (found.images.min(), found.images.max()) == (0, 1)
    assert np.bincount(found.labels).tolist() == [500] * 10
    means = np.stack([found.images[found.labels == digit].mean(0) for digit in range(10)])
    # A nought is empty in the middle, a one is not; a seven has its ink above, a six below.
    middle = means[:, 12:16, 12:16].mean((1, 2))
    assert middle[0] < 0.2 * middle[1]
    above, below = means[:, 4:11].sum((1, 2)), means[:, 17:24].sum((1, 2))
    assert above[7] > 1.3 * below[7] and below[6] > 1.3 * above[6]


def test_published_splits_train_on_the_one_and_test_the_other(monkeypatch):
    def split(path, name, *options):
        value = {"train": 1, "test": 2}[name]
        count = options[-1]
        return np.full((count, 28, 28), value, np.float32), np.arange(count) % 10

    monkeypatch.setattr(published_sets, "fashion_mnist", split)
    found = labelled.fashion_mnist(None, 40, 20)
    ((pool, tested),) = found.splits()
    assert (found.images[pool] == 1).all() and (found.images[tested] == 2).all()
    assert (len(pool), len(tested), found.smallest_pool()) == (40, 20, 4)
    assert "40 training and 20 test images of Fashion-MNIST" in found.words
    np.testing.assert_array_equal(found.labels, np.r_[np.arange(40), np.arange(20)] % 10)
    with pytest.raises(ArgumentError, match="training images must hold every class twice, not"):
        labelled.fashion_mnist(None, 19, 20)
