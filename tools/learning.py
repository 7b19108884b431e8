"""Learning a bank by gradients, as the paper does: its recipe and its loop."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from npscatter.atomic_write import atomic_write
from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, explain
from npscatter.program.plan import make_plan
from npscatter.torch import program as torch_program
from tools import data, published_sets
from tools.closed_form import closed_form
from tools.design import Design
from tools.filter_fit import FilterFit, Targets
from tools.least_squares import minimise
from tools.parameters import Parameters
from tools.run_folder import environment, write_log
from tools.teacher import teach


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is learned.

    Attributes
    ----------
    design : Design
        The architecture and what is tied.
    start : str
        "closed-form" (of free taps that of tied ones), or "random": uniform in +- 1 / sqrt(fan
        in), Torch's convolution default.
    polish : int
        Levenberg-Marquardt steps on the filter errors after a closed form.
    source : str
        "photographs", "random", "folder:PATH", "cifar10:PATH", "cifar10-train:PATH" or
        "tiny-imagenet:PATH"; of the data sets the green channel, and as in the paper of the test
        split unless another is named. Several with + between them give equal shares.
    shape : tuple of int
        (H, W) of the training images; larger pictures are cropped.
    count : int
        Number of training images, at most.
    standardise : bool
        Shift and scale the images, all alike, to mean zero and variance one.
    scales : tuple of int
        The J learned for at once.
    epochs, batch : int
        Passes over the images, and images per step.
    loss : str
        "mse" (the paper's squared error, all channels alike) or "balanced" (the sum over J and
        orders of ||V - S||^2 / ||S||^2).
    learning_rate, weight_decay : float
        Of Adam.
    schedule : str
        "constant" or "cosine" (to zero).
    seed : int
        Of everything random.
    """

    design: Design
    start: str = "closed-form"
    polish: int = 20
    source: str = "photographs"
    shape: tuple[int, int] = (64, 64)
    count: int = 1000
    standardise: bool = False
    scales: tuple[int, ...] = (1, 2, 3)
    epochs: int = 10
    batch: int = 20
    loss: str = "balanced"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    schedule: str = "cosine"
    seed: int = 0

    def as_dict(self) -> dict:
        """Return the fields, for cards and checkpoints."""
        return json.loads(json.dumps(asdict(self)))

    def open_data(self) -> None:
        """Raise what reading the images raises."""
        training_images(self)

    @classmethod
    def from_dict(cls, fields: dict) -> Recipe:
        """Return the recipe `as_dict` wrote."""
        fields = dict(fields)
        fields["design"] = Design(**fields["design"])
        fields["shape"], fields["scales"] = tuple(fields["shape"]), tuple(fields["scales"])
        return cls(**fields)


def training_images(recipe: Recipe) -> np.ndarray:
    """Return the images a recipe learns from, float32, shape (count, H, W)."""
    sources = recipe.source.split("+")
    shares = np.diff(np.linspace(0, recipe.count, len(sources) + 1).astype(int))
    images = [
        _images_from(source, replace(recipe, count=int(share)))
        for source, share in zip(sources, shares, strict=True)
        if share
    ]
    return np.concatenate(images)


def _images_from(source: str, recipe: Recipe) -> np.ndarray:
    kind, _, path = source.partition(":")
    if kind == "random":
        return data.random_images(recipe.count, recipe.shape, recipe.seed)
    if kind in ("photographs", "folder"):
        return data.crops(_photographs_from(source), recipe.shape, recipe.count, recipe.seed)
    if kind not in _PUBLISHED:
        rule = f"must be photographs, random, folder:PATH or {':PATH, '.join(_PUBLISHED)}:PATH"
        remedy = "pass one of them, or several with + between them"
        raise ArgumentError(explain("source", source, rule, remedy))
    read, split = _PUBLISHED[kind]
    images, _ = read(path, split, "green", recipe.count)
    if images.shape[1:] == tuple(recipe.shape):
        return images
    pictures = {str(index): image for index, image in enumerate(images)}
    return data.crops(pictures, recipe.shape, recipe.count, recipe.seed)


_PUBLISHED = {
    "cifar10": (published_sets.cifar10, "test"),
    "cifar10-train": (published_sets.cifar10, "train"),
    "tiny-imagenet": (published_sets.tiny_imagenet, "test"),
}
_photographs_from = lru_cache(data.photographs_from)


def scaled(recipe: Recipe, images: np.ndarray) -> np.ndarray:
    """Return images (N, H, W) as a recipe's network sees them."""
    return (images - images.mean()) / images.std() if recipe.standardise else images


def lesson(recipe: Recipe) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Return the images of a recipe as the network sees them, and Kymatio's coefficients by J.

    Both float32, of shapes (count, H, W) and (count, C, H // 2^J, W // 2^J).
    """
    images = scaled(recipe, training_images(recipe))
    return images, taught(recipe, images)


def taught(recipe: Recipe, images: np.ndarray) -> dict[int, np.ndarray]:
    """Return Kymatio's coefficients of images by J, float32."""
    L = recipe.design.L
    return {J: teach(images, J, L).astype(np.float32) for J in recipe.scales}


class Learner:
    """The state of one run: parameters, optimiser, epoch and log.

    Parameters
    ----------
    recipe : Recipe
        What to learn.
    folder : Path, optional
        Where checkpoints and the log go; None keeps nothing.
    resume : bool
        Go on from the folder's checkpoint instead of starting anew.
    network : torch.nn.Module, optional
        Learns instead of the design's program, from the start it has: another network from images
        (N, H, W) to the coefficients of the recipe's only scale.
    threads : int, optional
        Torch's.

    Raises
    ------
    ArgumentError
        If the checkpoint was made by another recipe, or there are no such images.
    FileNotFoundError
        If there is none, or if the images' files are missing.

    Notes
    -----
    Every random choice of epoch e follows from (seed, e), so that a run resumed from a checkpoint
    goes on exactly as if it had not stopped. Rounding, and so the last digits, depend on the
    number of threads and the versions, which the card records.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: Path | None = None,
        resume: bool = False,
        network: torch.nn.Module | None = None,
        threads: int | None = None,
    ):
        if threads:
            torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        if not resume:
            recipe.open_data()
        self.recipe = recipe
        self.folder = folder
        self.network = network
        design = recipe.design
        self.plans = {
            J: make_plan(J, recipe.shape, design.architecture, boundary=design.boundary)
            for J in recipe.scales
        }
        self.epoch = 0
        self.log: list[dict] = []
        self.parameters = network or (Parameters(design) if resume else self.start())
        self.optimizer = self.make_optimizer()
        if resume:
            self._resume()

    def start(self) -> Parameters:
        """Return the parameters that learning starts from."""
        return _start(self.recipe)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return the optimiser of the parameters."""
        recipe, free = self.recipe, self.parameters.parameters()
        return torch.optim.Adam(free, recipe.learning_rate, weight_decay=recipe.weight_decay)

    def scaled(self, images: np.ndarray) -> np.ndarray:
        """Return images (N, H, W) as the network sees them."""
        return scaled(self.recipe, images)

    def _resume(self) -> None:
        state = torch.load(self.folder / "checkpoint.pt", weights_only=True)
        if Recipe.from_dict(json.loads(state["recipe"])) != self.recipe:
            rule = "its checkpoint was made by another recipe"
            remedy = "resume with the same options, or use a new folder"
            raise ArgumentError(explain("folder", str(self.folder), rule, remedy))
        self.parameters.load_state_dict(state["parameters"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.log = state["epoch"], json.loads(state["log"])

    def save(self) -> None:
        """Write the checkpoint and the log."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "recipe": json.dumps(self.recipe.as_dict()),
            "parameters": self.parameters.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "epoch": self.epoch,
            "log": json.dumps(self.log),
        }
        with atomic_write(self.folder / "checkpoint.pt") as file:
            torch.save(state, file)
        write_log(self.folder, self.log)

    def left(self) -> str:
        """Say what is left to do, nothing if it is done."""
        epochs = self.recipe.epochs
        return "" if self.epoch >= epochs else f"epoch {self.epoch} of {epochs}"

    def environment(self) -> dict:
        """Return what rounding depends on."""
        return environment(torch.get_num_threads(), "torch")

    def bank(self, name: str) -> FilterBank:
        """Return the bank as it stands."""
        return self.parameters.bank(name)

    def learn(self, epochs: int | None = None) -> None:
        """Run up to `epochs` further epochs (all that are left by default), saving after each."""
        recipe, plans = self.recipe, self.plans
        images = self.scaled(training_images(recipe))
        wanted = taught(recipe, images)
        norms = {J: _squares_per_order(plans[J], wanted[J]) / len(images) for J in recipe.scales}
        last = recipe.epochs if epochs is None else min(self.epoch + epochs, recipe.epochs)
        steps = -(-len(images) // recipe.batch)
        for epoch in range(self.epoch, last):
            order = np.random.default_rng([recipe.seed, epoch]).permutation(len(images))
            total = {J: 0.0 for J in recipe.scales}
            progress = tqdm(
                range(steps), f"epoch {epoch + 1}/{recipe.epochs}", leave=False, disable=None
            )
            for step in progress:
                self._set_rate((epoch + step / steps) / recipe.epochs)
                chosen = order[step * recipe.batch : (step + 1) * recipe.batch]
                batch = torch.from_numpy(images[chosen])
                self.optimizer.zero_grad()
                for J, outputs in self.outputs(batch):
                    error = outputs - torch.from_numpy(wanted[J][chosen])
                    loss = self.loss(plans[J], error, norms[J])
                    # The graph of the weights serves every J.
                    loss.backward(retain_graph=recipe.scales[-1] != J)
                    total[J] += float(loss.detach()) / steps
                self.optimizer.step()
                progress.set_postfix_str(", ".join(f"J={J} {v:.3g}" for J, v in total.items()))
            self.epoch = epoch + 1
            losses = {f"J={J}": value for J, value in total.items()}
            self.log.append({"epoch": self.epoch, "loss": losses})
            self.save()
            print(f"epoch {self.epoch}/{recipe.epochs}: {losses}", flush=True)

    def outputs(self, batch: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield every J with the coefficients the network gives for images (N, H, W)."""
        if self.network is not None:
            (J,) = self.recipe.scales
            yield J, self.network(batch)
            return
        weights = {key: taps.float() for key, taps in self.parameters().items()}
        for J in self.recipe.scales:
            yield J, torch_program.run(self.plans[J], weights, batch)

    def loss(self, plan, error: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
        """Return the loss of errors (N, C, h, w), given the mean squares of the orders' norms."""
        if self.recipe.loss == "mse":
            return error.square().mean()
        return (_squares_per_order(plan, error) / (len(error) * norms)).sum()

    def _set_rate(self, progress: float) -> None:
        rate = self.recipe.learning_rate
        if self.recipe.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimizer.param_groups:
            group["lr"] = rate


def _start(recipe: Recipe) -> Parameters:
    parameters = Parameters(recipe.design)
    if recipe.start == "random":
        parameters.randomise(recipe.seed)
    elif recipe.start == "closed-form":
        tied = parameters if recipe.design.tied else Parameters(replace(recipe.design, tied=True))
        fit = FilterFit(tied.folded, Targets(recipe.design.L))
        coefficients, _ = minimise(fit, closed_form(fit), recipe.polish)
        tied.set_coefficients(fit.bank.normalised(coefficients))
        if not recipe.design.tied:
            parameters.set_taps(tied())
    else:
        rule = "must be closed-form or random"
        raise ArgumentError(explain("start", recipe.start, rule, "pass one of them"))
    return parameters


def _squares_per_order(plan, coefficients) -> torch.Tensor:
    """Return the sum of squares of every order, one entry per order there is."""
    squares = torch.as_tensor(coefficients).square().sum((0, 2, 3))
    order = torch.tensor([path.order for path in plan.paths])
    return torch.zeros(int(order.max()) + 1).index_add(0, order, squares)
