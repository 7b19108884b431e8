"""Where the paper's images come from, and what stands in for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.paper.experiment import Settings
from tools import data, published_sets


@dataclass(frozen=True)
class Source:
    """Where images come from: as `tools.learning.Recipe.source` has it, and in words."""

    source: str
    words: str


KEPT_OUT = " and kept out of learning"


def random(_: Settings) -> Source:
    """Return the paper's random images."""
    return Source("random", "random images 512x128, independent standard normal pixels")


def cifar10(settings: Settings) -> Source:
    """Return CIFAR-10's test set, or the stand-in."""
    return _source("cifar10", settings.cifar10, "CIFAR-10", 32, " (pass --cifar10)")


def tiny_imagenet(settings: Settings) -> Source:
    """Return Tiny ImageNet's test set, or the stand-in."""
    absent = ", which was not at hand"
    return _source("tiny-imagenet", settings.tiny_imagenet, "Tiny ImageNet", 64, absent)


def _source(kind: str, path: Path | None, words: str, side: int, absent: str) -> Source:
    if path:
        return Source(f"{kind}:{path}", f"{words} test set, green channel, {side}x{side}")
    return Source(
        "photographs",
        f"stand-in for {words}{absent}: {side}x{side} crops of photographs shipped with "
        "scikit-image and scikit-learn",
    )


def cifar_images(settings: Settings, count: int, seed: int = 40) -> tuple[np.ndarray, str]:
    """Return CIFAR-10's first test images, or held-out photographs cut alike, and words for them.

    Float32 (count, 32, 32) in [0, 1]: the green channel, or grey levels.
    """
    source = cifar10(settings)
    if settings.cifar10:
        return published_sets.cifar10(settings.cifar10, "test", "green", count)[0], source.words
    return held_out_images(source.source, (32, 32), count, seed), source.words + KEPT_OUT


def held_out_images(source: str, shape: tuple[int, int], count: int, seed: int) -> np.ndarray:
    """Return images like a recipe's that it does not learn from, float32 (count, H, W).

    Other random images; other photographs; the training split of CIFAR-10 and the validation
    split of Tiny ImageNet, for the paper learns from the test splits.
    """
    kind, _, path = source.partition(":")
    if kind == "random":
        return data.random_images(count, shape, seed)
    if kind == "cifar10":
        return published_sets.cifar10(path, "train", "green", count)[0]
    if kind == "tiny-imagenet":
        return published_sets.tiny_imagenet(path, "val", "green", count)[0]
    return data.crops(data.packaged_photographs("held-out"), shape, count, seed)


def centred(images: np.ndarray) -> np.ndarray:
    """Return images shifted and scaled, all alike, to mean zero and variance one."""
    return (images - images.mean()) / images.std()
