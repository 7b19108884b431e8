"""What every experiment shares: its settings, its images, its result file and its figure."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from benchmarks.results import RESULTS, environment
from npscatter.atomic_write import atomic_write
from tools import data, published_sets

RESULT_FOLDER = RESULTS / "paper"


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
        """The options that choose it."""
        given = ["--full"] if self.full else []
        given += ["--cifar10 PATH"] if self.cifar10 else []
        given += ["--tiny-imagenet PATH"] if self.tiny_imagenet else []
        return " ".join(given)

    def choose(self, reduced, full):
        """Return one of two values."""
        return full if self.full else reduced


@dataclass(frozen=True)
class Source:
    """Where images come from: as `tools.learning.Recipe.source` has it, and in words."""

    source: str
    words: str


@dataclass(frozen=True)
class Experiment:
    """One figure, table or question of the paper.

    Attributes
    ----------
    name : str
        On the command line, and of the files.
    title : str
        One line for ``--help``.
    measure : callable
        From settings to a result that JSON can hold.
    draw : callable, optional
        From such a result to a figure.
    """

    name: str
    title: str
    measure: Callable[[Settings], dict]
    draw: Callable[[dict], Figure] | None = None

    @property
    def path(self) -> Path:
        """The result file; the figure lies beside it."""
        return RESULT_FOLDER / f"{self.name}.json"

    def run(self, settings: Settings) -> None:
        """Measure, write the result, draw it."""
        command = f"python -m benchmarks.paper {self.name} {settings.options}".strip()
        # Before the measurement, which takes long: the commit is that of the code that runs.
        measured_on, start = environment(command), time.monotonic()
        measured = self.measure(settings)
        result = {
            "environment": measured_on,
            "setting": settings.name,
            "seconds": round(time.monotonic() - start),
            **measured,
        }
        RESULT_FOLDER.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as file:
            file.write((json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
        self.redraw()

    def redraw(self) -> None:
        """Draw the result there is."""
        if self.draw is not None:
            figure = self.draw(self.load())
            with atomic_write(self.path.with_suffix(".png")) as file:
                figure.savefig(file, format="png", dpi=130)

    def load(self) -> dict:
        """Return the result there is."""
        return json.loads(self.path.read_text())


def cifar_source(settings: Settings) -> Source:
    """Return CIFAR-10's test set, green channel, or the stand-in: 32 x 32 crops of photographs."""
    if settings.cifar10:
        return Source(f"cifar10:{settings.cifar10}", "CIFAR-10 test set, green channel, 32x32")
    return _stand_in("CIFAR-10", 32)


def tiny_imagenet_source(settings: Settings) -> Source:
    """Return Tiny ImageNet's test set, green channel, or the stand-in: 64 x 64 crops."""
    if settings.tiny_imagenet:
        return Source(
            f"tiny-imagenet:{settings.tiny_imagenet}",
            "Tiny ImageNet test set, green channel, 64x64",
        )
    return _stand_in("Tiny ImageNet", 64)


def random_source() -> Source:
    """Return the paper's random images."""
    return Source("random", "random images 512x128, independent standard normal pixels")


def _stand_in(missing: str, side: int) -> Source:
    return Source(
        "photographs",
        f"stand-in for {missing}, which was not at hand: {side}x{side} crops of photographs "
        "shipped with scikit-image and scikit-learn",
    )


def cifar_images(settings: Settings, count: int, seed: int = 40) -> tuple[np.ndarray, str]:
    """Return CIFAR-10's first test images, or held-out photographs cut alike, and words for them.

    Returns
    -------
    images : ndarray of float32, shape (count, 32, 32), range [0, 1]
        Green channel of CIFAR-10; grey levels of photographs that no shipped bank learned from.
    words : str
        For the caption.
    """
    if settings.cifar10:
        images, _ = published_sets.cifar10(settings.cifar10, "test", "green")
        return images[:count], cifar_source(settings).words
    images = data.crops(data.packaged_photographs("held-out"), 32, count, seed)
    return images, cifar_source(settings).words + " and kept out of learning"


def centred(images: np.ndarray) -> np.ndarray:
    """Return images shifted and scaled, all alike, to mean zero and variance one."""
    return (images - images.mean()) / images.std()
