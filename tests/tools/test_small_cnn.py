"""Small networks on scattering and on pixels: their shapes, their training, what stays frozen."""

import numpy as np
import pytest
import torch

import npscatter
from tools.small_cnn import NETWORKS, Recipe, Scattering, batches, network, predict, train

torch.set_num_threads(1)


def pictures(count, seed=0):
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.random((count, 3, 32, 32), np.float32))


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_of_pictures(name):
    assert network(name, 0)(pictures(3)).shape == (3, 10)


def test_no_network_has_many_more_weights_and_the_conventional_one_the_most():
    sizes = {n: sum(w.numel() for w in network(n, 0).parameters()) for n in NETWORKS}
    assert max(sizes.values()) == sizes["convolved"] < 1.25 * min(sizes.values())


def test_all_networks_end_alike():
    """Behind the first of its convolutions, whose inputs differ, the trunk is the same."""
    ends = [[str(layer) for layer in network(name, 0)[-1][1:]] for name in NETWORKS]
    assert ends[0] == ends[1] == ends[2] and len(ends[0]) == 6


def test_scattering_is_the_librarys_and_frozen():
    model, images = network("hybrid", 0), pictures(20)
    layer, labels = model[0], torch.arange(20) % 10
    S = npscatter.Scattering2D(J=2, shape=(32, 32))
    expected = np.concatenate([S(images[:, colour].numpy()) for colour in range(3)], axis=1)
    assert isinstance(layer, Scattering) and not list(layer.parameters()) and not layer.state_dict()
    before = layer(images)
    assert np.array_equal(before, expected) and not before.requires_grad
    first = model[2][0][0].weight.clone()
    train(model, images, labels, Recipe(2, 0.1, 0.0, batch=10), seed=0)
    assert torch.equal(layer(images), before) and layer.seconds > 0
    assert not torch.equal(model[2][0][0].weight, first)


def test_every_picture_takes_its_turn_mirrored_at_the_edges_and_flipped_at_times():
    images, labels = pictures(7), torch.arange(7)
    found = list(batches(images, labels, Recipe(7, 0.1, 0.0, batch=5, padding=4), seed=1))
    assert [len(wanted) for _, wanted in found] == [5] * 7
    assert torch.bincount(torch.cat([wanted for _, wanted in found])).tolist() == [5] * 7
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)), "reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (32, 32), (2, 3))
    flipped, places = [], set()
    for picture, label in zip(*map(torch.cat, zip(*found, strict=True)), strict=True):
        for flip in (False, True):
            shown = picture.flip(-1) if flip else picture
            same = (windows[label] == shown.numpy()[:, None, None]).all((0, 3, 4))
            if same.any():
                flipped.append(flip)
                places.add(tuple(np.argwhere(same)[0]))
    assert len(flipped) == 35 and 8 < sum(flipped) < 27
    assert len(places) > 20 and np.min(list(places)) == 0 and np.max(list(places)) == 8


def test_training_learns_what_tells_two_colours_apart():
    images, labels = pictures(24), torch.arange(24) % 2
    images[labels == 1, 0] += 1
    model = network("rearranged", 0)
    train(model, images, labels, Recipe(60, 0.03, 0.0, batch=12), 0)
    assert torch.equal(predict(model, images, block=10), labels)


def test_the_seeds_decide_what_is_learned():
    images, labels, learned = pictures(16), torch.arange(16) % 10, []
    for seeds in ((0, 0), (0, 0), (1, 0), (0, 1)):
        model = network("rearranged", seeds[0])
        train(model, images, labels, Recipe(3, 0.03, 0.0, batch=8), seeds[1])
        learned.append(model[-1][-1].weight)
    assert torch.equal(learned[0], learned[1])
    assert not torch.equal(learned[0], learned[2]) and not torch.equal(learned[0], learned[3])


def test_drawing_weights_leaves_the_random_state_alone():
    state = torch.get_rng_state()
    network("convolved", 5)
    assert torch.equal(torch.get_rng_state(), state)
