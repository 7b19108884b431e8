"""Small convolutional networks on scattering and on pixels, trained from few labelled pictures.

All end in the same *trunk*, which takes maps of 8 x 8; what stands before it brings pictures there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from npscatter.torch import Scattering2D
from tools.published_sets import COLOUR, cifar10

SIDE, CLASSES, WIDTH, LIMIT = 32, 10, 48, 10_000


class Scattering(nn.Module):
    """Scattering coefficients of colour pictures, frozen: (N, 3, 32, 32) to (N, 243, 8, 8).

    `seconds` is the CPU time spent in it so far.
    """

    def __init__(self):
        super().__init__()
        # One thread: networks are trained side by side.
        self.transform = Scattering2D(J=2, shape=(SIDE, SIDE), bank="accurate", threads=1)
        self.seconds = 0.0

    def forward(self, images: Tensor) -> Tensor:
        """Return the coefficients of one colour after the other."""
        start = time.process_time()
        coefficients = self.transform(images).flatten(1, 2)
        self.seconds += time.process_time() - start
        return coefficients


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Return a convolution, batch normalisation and ReLU."""
    linear = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(linear, nn.BatchNorm2d(outputs), nn.ReLU())


def trunk(inputs: int) -> nn.Sequential:
    """Return what all networks end in: maps (N, inputs, 8, 8) to scores (N, classes)."""
    return nn.Sequential(
        convolution(inputs, WIDTH, 1),
        convolution(WIDTH, WIDTH),
        convolution(WIDTH, 2 * WIDTH, stride=2),
        convolution(2 * WIDTH, 2 * WIDTH),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * WIDTH, CLASSES),
    )


def hybrid() -> nn.Sequential:
    """Return the network on scattering coefficients."""
    return nn.Sequential(Scattering(), nn.BatchNorm2d(243, affine=False), trunk(243))


def rearranged() -> nn.Sequential:
    """Return the same network on pixels: those of every 4 x 4 become channels, 48 x 8 x 8."""
    return nn.Sequential(nn.PixelUnshuffle(4), nn.BatchNorm2d(48, affine=False), trunk(48))


def convolved() -> nn.Sequential:
    """Return a conventional network: convolutions and pooling from 32 x 32 to 8 x 8, the trunk."""
    return nn.Sequential(
        nn.BatchNorm2d(3, affine=False),
        convolution(3, WIDTH // 2),
        nn.MaxPool2d(2),
        convolution(WIDTH // 2, WIDTH),
        nn.MaxPool2d(2),
        convolution(WIDTH, WIDTH),
        trunk(WIDTH),
    )


NETWORKS = {"hybrid": hybrid, "convolved": convolved, "rearranged": rearranged}


def network(name: str, seed: int) -> nn.Sequential:
    """Return one of the networks, its weights drawn with a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name]().to(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Recipe:
    """Training by SGD with Nesterov momentum 0.9 and one cycle of the learning rate.

    It rises to `learning_rate` over the first fifth of the `steps`, and falls to zero along a
    cosine. Each step takes `batch` pictures, flipped at random and cut at random from the picture
    with `padding` mirrored pixels around it.
    """

    steps: int
    learning_rate: float
    weight_decay: float
    batch: int = 64
    padding: int = 4


def batches(
    images: Tensor, labels: Tensor, recipe: Recipe, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the augmented pictures and the labels of every step: all in turn, epoch by epoch."""
    generator = torch.Generator().manual_seed(seed)
    margin, side, count = recipe.padding, images.shape[-1], len(images)
    padded = functional.pad(images, (margin,) * 4, mode="reflect")
    epochs = -(-recipe.steps * recipe.batch // count)
    order = torch.cat([torch.randperm(count, generator=generator) for _ in range(epochs)])
    for chosen in order.split(recipe.batch)[: recipe.steps]:
        corners = torch.randint(2 * margin + 1, (len(chosen), 2), generator=generator)
        flipped = torch.rand(len(chosen), 1, 1, 1, generator=generator) < 0.5
        places = zip(chosen.tolist(), corners.tolist(), strict=True)
        cut = torch.stack([padded[i, :, y : y + side, x : x + side] for i, (y, x) in places])
        yield torch.where(flipped, cut.flip(-1), cut), labels[chosen]


def train(model: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe, seed: int) -> None:
    """Train a network on pictures (N, 3, 32, 32) and their labels (N,)."""
    model.train()
    rate, decay = recipe.learning_rate, recipe.weight_decay
    optimiser = torch.optim.SGD(model.parameters(), rate, 0.9, weight_decay=decay, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, recipe.steps, pct_start=0.2, cycle_momentum=False
    )
    for pictures, wanted in batches(images, labels, recipe, seed):
        optimiser.zero_grad()
        functional.cross_entropy(model(pictures), wanted).backward()
        optimiser.step()
        schedule.step()


@torch.no_grad()
def predict(model: nn.Module, images: Tensor, block: int = 500) -> Tensor:
    """Return the classes a network gives to pictures."""
    model.eval()
    return torch.cat([model(part).argmax(1) for part in images.split(block)])


@lru_cache
def load(path: Path, split: str) -> tuple[Tensor, Tensor]:
    """Return the first 10,000 pictures of a split of CIFAR-10, in colour, and their labels."""
    images, labels = cifar10(path, split, COLOUR, LIMIT)
    return torch.from_numpy(images), torch.from_numpy(labels)


@dataclass(frozen=True)
class Job:
    """A network to be trained on some training pictures, and what of a split it is tested on."""

    network: str
    recipe: Recipe
    training: np.ndarray
    split: str
    tested: np.ndarray
    seed: int

    def run(self, path: Path) -> dict:
        """Return which tested pictures are judged rightly, and the CPU seconds of the training."""
        (images, labels), (shown, wanted) = load(path, "train"), load(path, self.split)
        images, labels = images[self.training], labels[self.training]
        model, start = network(self.network, self.seed), time.process_time()
        train(model, images, labels, self.recipe, self.seed)
        return {
            "seconds": time.process_time() - start,
            "scattering": getattr(model[0], "seconds", 0.0),
            "right": (predict(model, shown[self.tested]) == wanted[self.tested]).numpy(),
            "training": float((predict(model, images) == labels).float().mean()),
            "parameters": sum(weights.numel() for weights in model.parameters()),
        }
