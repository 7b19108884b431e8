"""What every experiment shares: its settings, its images, its result file, figure and section."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks import results
from benchmarks.tables import percent
from tools import data, published_sets

BANKS = ("accurate", "paper-tuned", "paper")


@dataclass(frozen=True)
class Settings:
    """What a reader chooses on the command line.

    Attributes
    ----------
    full : bool
        The paper's numbers of images and epochs instead of those that fit an hour.
    cifar10, tiny_imagenet : Path, optional
        Where the published files lie; None for a stand-in made from photographs.
    """

    full: bool = False
    cifar10: Path | None = None
    tiny_imagenet: Path | None = None

    @property
    def name(self) -> str:
        """What the setting is called in results and captions."""
        return "full" if self.full else "reduced"

    @property
    def options(self) -> str:
        """The options that choose it, without the reader's own paths."""
        given = ["--full"] if self.full else []
        given += ["--cifar10 PATH"] if self.cifar10 else []
        given += ["--tiny-imagenet PATH"] if self.tiny_imagenet else []
        return " ".join(given)

    def choose(self, reduced, full):
        """Return one of two values."""
        return full if self.full else reduced


@dataclass(frozen=True)
class Experiment:
    """One figure, table or question of the paper.

    Attributes
    ----------
    name, title : str
        On the command line and of the files, and one line for ``--help``.
    measure : callable
        From settings to a result that JSON can hold.
    draw : callable
        From such a result to a figure.
    section : callable, optional
        From such a result to what benchmarks/PAPER.md says of it.
    """

    name: str
    title: str
    measure: Callable[[Settings], dict]
    draw: Callable[[dict], Figure]
    section: Callable[[dict], str] | None = None

    def run(self, settings: Settings) -> None:
        """Measure, write the result, draw it."""
        command = f"python -m benchmarks.paper {self.name} {settings.options}".strip()
        # Before the measurement, which takes long: the commit is that of the code that runs.
        environment, start = results.environment(command), time.monotonic()
        measured = self.measure(settings)
        seconds = round(time.monotonic() - start)
        head = {"environment": environment, "setting": settings.name, "seconds": seconds}
        results.write(f"paper/{self.name}", head | measured)
        self.redraw()

    def redraw(self) -> None:
        """Draw the result there is."""
        results.write_figure(f"paper/{self.name}", lambda: self.draw(self.load()))

    def load(self) -> dict:
        """Return the result there is."""
        return results.read(f"paper/{self.name}")


def measured_on(result: dict) -> str:
    """Return what a result was measured on, for the page."""
    environment = result["environment"]
    return (
        f"Data: {result['data']}. Setting: {result['setting']}. Written by "
        f"`{environment['command']}` on {environment['cpu']}, {environment['threads']} cores."
    )


def percents(errors: dict[str, float]) -> str:
    """Return the errors of all orders in percent, for one cell of a table."""
    return ", ".join(map(percent, errors.values()))


def span(values: Collection[float]) -> str:
    """Return the smallest and the largest."""
    return f"{min(values):.2g} to {max(values):.2g}"


@dataclass(frozen=True)
class Source:
    """Where images come from: as `tools.learning.Recipe.source` has it, and in words."""

    source: str
    words: str


RANDOM = Source("random", "random images 512x128, independent standard normal pixels")


def cifar_source(settings: Settings) -> Source:
    """Return CIFAR-10's test set, green channel, or the stand-in: 32 x 32 crops of photographs."""
    return _source("cifar10", settings.cifar10, "CIFAR-10", 32)


def tiny_imagenet_source(settings: Settings) -> Source:
    """Return Tiny ImageNet's test set, green channel, or the stand-in: 64 x 64 crops."""
    return _source("tiny-imagenet", settings.tiny_imagenet, "Tiny ImageNet", 64)


def _source(kind: str, path: Path | None, words: str, side: int) -> Source:
    if path:
        return Source(f"{kind}:{path}", f"{words} test set, green channel, {side}x{side}")
    return Source(
        "photographs",
        f"stand-in for {words}, which was not at hand: {side}x{side} crops of photographs "
        "shipped with scikit-image and scikit-learn",
    )


def cifar_images(settings: Settings, count: int, seed: int = 40) -> tuple[np.ndarray, str]:
    """Return CIFAR-10's first test images, or held-out photographs cut alike, and words for them.

    The images are float32 (count, 32, 32) in [0, 1]: the green channel, or the grey levels of
    photographs that no shipped bank learned from.
    """
    source = cifar_source(settings)
    if settings.cifar10:
        return published_sets.cifar10(settings.cifar10, "test", "green")[0][:count], source.words
    return held_out_images(source.source, (32, 32), count, seed), source.words + KEPT_OUT


KEPT_OUT = " and kept out of learning"


def held_out_images(source: str, shape: tuple[int, int], count: int, seed: int) -> np.ndarray:
    """Return images like a recipe's that it does not learn from, float32 (count, H, W).

    Other random images; other photographs; the training split of CIFAR-10 and the validation
    split of Tiny ImageNet, for the paper learns from the test splits.
    """
    kind, _, path = source.partition(":")
    if kind == "random":
        return data.random_images(count, shape, seed)
    if kind == "cifar10":
        return published_sets.cifar10(path, "train", "green")[0][:count]
    if kind == "tiny-imagenet":
        return published_sets.tiny_imagenet(path, "val", "green", count)[0]
    return data.crops(data.packaged_photographs("held-out"), shape, count, seed)


def centred(images: np.ndarray) -> np.ndarray:
    """Return images shifted and scaled, all alike, to mean zero and variance one."""
    return (images - images.mean()) / images.std()
