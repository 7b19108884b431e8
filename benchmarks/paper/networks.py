"""Networks learned by one recipe and scored alike, and the regular CNN of the paper.

A loss is the squared error against Kymatio's coefficients, mean over all images, channels and
positions; a share is the loss over the mean square of the coefficients: 1 is what predicting zero
costs. Entry 0 of a curve is the loss before learning, entry e the mean over the steps of epoch e.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.paper import sources
from benchmarks.paper.experiment import Settings
from npscatter.features import relative_errors
from npscatter.program.plan import Plan
from tools.kept_runs import in_processes, learned
from tools.learning import Learner, Recipe, lesson, training_images
from tools.teacher import teach

J, L = 2, 8
HELD_OUT_SEED = 40


class RegularCNN(nn.Module):
    """Blocks of convolution, ReLU and pooling, in this order.

    The paper prints no sizes. Here a block has the channels and the kernels of a level of its own
    network: one image becomes 9 maps at half the resolution, then 81 at a quarter. A linear end is
    one more 1 x 1 convolution, so that outputs may be negative. The start is Torch's default.
    """

    def __init__(self, linear_end: bool = False, seed: int = 0):
        super().__init__()
        layers = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for inputs, outputs in ((1, 9), (9, 81)):
                convolution = nn.Conv2d(inputs, outputs, kernel_size=7, padding=3)
                layers += [convolution, nn.ReLU(), nn.MaxPool2d(2)]
            if linear_end:
                layers.append(nn.Conv2d(81, 81, 1))
        self.layers = nn.Sequential(*layers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return maps (N, 81, H / 4, W / 4) of images (N, H, W)."""
        return self.layers(images[:, None])


@dataclass(frozen=True)
class Images:
    """What is learned and what is kept out, with Kymatio's coefficients."""

    learned: np.ndarray
    wanted: np.ndarray
    unseen: np.ndarray
    unseen_wanted: np.ndarray
    facts: dict

    @property
    def mean_square(self) -> float:
        """Of the coefficients learned: the loss of predicting zero."""
        return mean_square(self.wanted)


def load(settings: Settings, recipe: Recipe, unseen_count: int) -> Images:
    """Return the images of a recipe and as many kept out as wanted, scaled alike."""
    learned, wanted = lesson(recipe)
    source, raw = sources.cifar10(settings), training_images(recipe)
    unseen = sources.held_out_images(source.source, recipe.shape, unseen_count, HELD_OUT_SEED)
    unseen = ((unseen - raw.mean()) / raw.std()).astype(np.float32)
    unseen_words = source.words + sources.KEPT_OUT
    if settings.cifar10:
        unseen_words = "CIFAR-10 training set (the paper learns from the test set), green channel"
    facts = {
        "data": source.words,
        "images": len(learned),
        "held_out_data": unseen_words,
        "held_out_images": len(unseen),
        "J": J,
        "L": L,
    }
    return Images(learned, wanted[J], unseen, teach(unseen, J, L), facts)


@torch.no_grad()
def coefficients(learner: Learner, images: np.ndarray) -> np.ndarray:
    """Return what the network gives for images (N, H, W), float32, as it stands."""
    batches = torch.from_numpy(images).split(learner.recipe.batch)
    return np.concatenate([dict(learner.outputs(batch))[J].numpy() for batch in batches])


def score(computed: np.ndarray, wanted: np.ndarray, plan: Plan) -> dict:
    """Return the loss of V against S, its share, and for each order the relative error and gain.

    A gain is <V, S> / <S, S>: below one for outputs that are too small.
    """
    order = np.array([path.order for path in plan.paths])
    computed, wanted = computed.astype(np.float64), wanted.astype(np.float64)
    loss = mean_square(computed - wanted)
    products, squares = computed * wanted, wanted**2
    return {
        "loss": loss,
        "share": loss / mean_square(wanted),
        "errors": relative_errors(computed, wanted, order),
        "gain": {
            f"S{k}": float(products[:, order == k].sum() / squares[:, order == k].sum())
            for k in np.unique(order)
        },
    }


def train_all(
    jobs: dict[str, tuple[Recipe, nn.Module | None]], images: Images, runs: Path | None
) -> dict[str, dict]:
    """Train the networks of several recipes side by side."""
    found = in_processes(partial(train, images=images, runs=runs), jobs.values())
    return dict(zip(jobs, found, strict=True))


def train(
    recipe: Recipe,
    network: nn.Module | None = None,
    *,
    images: Images,
    runs: Path | None = None,
) -> dict:
    """Learn, and return the curve and how well the result does on images seen and not seen."""
    first = Learner(replace(recipe, epochs=0), network=copy.deepcopy(network))
    plan = first.plans[J]
    start = score(coefficients(first, images.learned), images.wanted, plan)
    learner, seconds = learned(recipe, runs, network)
    loss = [start["loss"], *(entry["loss"][f"J={J}"] for entry in learner.log)]
    left_out = ("source",) if network is None else ("source", "design", "start")
    return {
        "parameters": sum(free.numel() for free in learner.parameters.parameters()),
        "recipe": {key: value for key, value in recipe.as_dict().items() if key not in left_out},
        "steps": recipe.epochs * -(-len(images.learned) // recipe.batch),
        "seconds_per_epoch": seconds,
        "loss": loss,
        "share": [value / images.mean_square for value in loss],
        "start": start,
        "learned": score(coefficients(learner, images.learned), images.wanted, plan),
        "held_out": score(coefficients(learner, images.unseen), images.unseen_wanted, plan),
    }


def linear_fit(recipe: Recipe, images: Images) -> dict:
    """Return the score of a recipe's start on the images learned."""
    learner = Learner(replace(recipe, epochs=0))
    return score(coefficients(learner, images.learned), images.wanted, learner.plans[J])


def references(images: Images) -> dict:
    """Return what simple predictors cost, and what no output of a ReLU can avoid, as shares."""
    S = images.wanted.astype(np.float64)
    whole = mean_square(S)
    constant = S.mean((0, 2, 3), keepdims=True)
    return {
        "zero": 1.0,
        "best constant per channel": mean_square(S - constant) / whole,
        "S0 exact, all else zero": mean_square(S[:, 1:]) * (1 - 1 / S.shape[1]) / whole,
        "nothing below zero": mean_square(np.minimum(S, 0)) / whole,
    }


def mean_square(values: np.ndarray) -> float:
    """Return the mean of the squares, summed in float64."""
    return float(np.square(values, dtype=np.float64).mean())
