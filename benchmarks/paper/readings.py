"""Figure 6 by other readings of the text: what may its authors have done differently.

The printed recipe leaves open how images are scaled, what the squared norm is averaged over, how
the decay acts, where phi's gradient goes, whether the levels share their filters, and what they
start from. Each reading changes one of these; the paper's words "very similar from the ripple-like
of Morlet Wavelet" are measured as the similarity of `benchmarks.paper.filter_groups`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.paper import sources
from benchmarks.paper.experiment import Experiment, Settings, measured_on, percents, span
from benchmarks.paper.filter_groups import (
    LEVELS,
    LIKENESS,
    LIKENESS_IS,
    aligned,
    filters_of,
    learn,
    likeness,
    reference,
    ripples,
    show,
)
from benchmarks.paper.networks import J
from benchmarks.tables import number, table
from npscatter.torch import program as torch_program
from tools.kept_runs import in_processes
from tools.learning import Learner, Recipe
from tools.parameters import Parameters
from tools.presets import PAPER, PRESETS

HELD_OUT = 1000
# How like Morlets ripples are, and the dilation whose period is as long as the seven taps.
RIPPLES, WIDEST = 0.8, 2**1.5


class _Decoupled(Learner):
    def make_optimizer(self) -> torch.optim.Optimizer:
        recipe, free = self.recipe, self.parameters.parameters()
        return torch.optim.AdamW(free, recipe.learning_rate, weight_decay=recipe.weight_decay)


class _Summed(Learner):
    def loss(self, plan, error: torch.Tensor, norms: torch.Tensor) -> torch.Tensor:
        return error.square().sum() / len(error)


class _Symmetric(Learner):
    def scaled(self, images: np.ndarray) -> np.ndarray:
        return 2 * images - 1


class _Cut(Learner):
    """``phi.weight.data``, as the listing has it: no gradient reaches phi through the moduli."""

    def outputs(self, batch: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        weights = {key: taps.float() for key, taps in self.parameters().items()}
        cut = {key: taps.detach() for key, taps in weights.items()}
        for scale in self.recipe.scales:
            yield scale, torch_program.run(self.plans[scale], weights, batch, cut)


class _OneGroup(Learner):
    """Both levels have the same filters: the figures show one group."""

    def start(self) -> Parameters:
        parameters = super().start()
        for role in ("psi", "carry"):
            parameters.free[f"{role}_next"] = parameters.free[f"{role}_first"]
        return parameters


class _FromMorlets(Learner):
    def start(self) -> Parameters:
        parameters = super().start()
        with torch.no_grad():
            for level in LEVELS:
                low, psi = reference(level, self.recipe.design.L)
                taps = torch.from_numpy(np.stack([psi.real, psi.imag])[:, :, None])
                parameters.free[f"psi_{level}"].copy_(taps)
                parameters.free[f"carry_{level}"].copy_(torch.from_numpy(low[None, None]))
        return parameters


@dataclass(frozen=True)
class Reading:
    """What one reading of the text changes: entries of the recipe, or how it is learned."""

    words: str
    changes: dict = field(default_factory=dict)
    kind: type[Learner] = Learner


READINGS = (
    Reading("as printed: variance one, mean squared error, decay in the gradient"),
    Reading("no weight decay", {"weight_decay": 0.0}),
    Reading("decay decoupled (AdamW)", {}, _Decoupled),
    Reading("the squared norm summed over an image, not averaged", {}, _Summed),
    Reading("orders alike in the loss", {"loss": "balanced"}),
    Reading("levels from 0 to 1", {"standardise": False}),
    Reading("levels from -1 to 1", {"standardise": False}, _Symmetric),
    Reading("first order alone, J = 1", {"scales": (1,)}),
    Reading("no gradient from moduli to phi, as listed", {}, _Cut),
    Reading("one group of filters for both levels", {}, _OneGroup),
    Reading("wavelets unstrided", {"design": replace(PAPER, psi_stride=1)}),
    Reading("started from Kymatio's filters", {}, _FromMorlets),
    Reading("started from Kymatio's filters, no decay", {"weight_decay": 0.0}, _FromMorlets),
    Reading("orders alike, no decay", {"loss": "balanced", "weight_decay": 0.0}),
)


def recipe_of(reading: Reading, settings: Settings) -> Recipe:
    """Return the printed recipe as one reading has it.

    Reduced, a fifth of the images in batches of a fifth: as many steps.
    """
    count, batch = settings.choose((2000, 10), (10_000, 50))
    printed = replace(PRESETS["paper"], scales=(J,), count=count, batch=batch)
    return replace(printed, source=sources.cifar10(settings).source, **reading.changes)


def measure(settings: Settings) -> dict:
    """Learn every reading's filters, and compare them with Morlet wavelets."""
    recipes = [recipe_of(reading, settings) for reading in READINGS]
    jobs = [
        (recipe, HELD_OUT, settings.runs, reading.kind)
        for recipe, reading in zip(recipes, READINGS, strict=True)
    ]
    found = in_processes(learn, jobs)
    printed = recipes[0]
    return {
        "data": sources.cifar10(settings).words,
        "held_out_images": HELD_OUT,
        "images": printed.count,
        "batch": printed.batch,
        "epochs": printed.epochs,
        "ripples": RIPPLES,
        "readings": {
            reading.words: learnt for reading, learnt in zip(READINGS, found, strict=True)
        },
    }


def reproduces(reading: dict) -> bool:
    """Return whether the first level's filters look like Morlets that fit, a period of them."""
    alike, dilations = ripples(filters_of(reading["levels"]["first"])[1])
    return alike.min() >= RIPPLES and dilations.max() <= WIDEST


def draw(result: dict) -> Figure:
    """Show the first level's filters by every reading, with the Morlet wavelets first."""
    readings = result["readings"]
    low, morlets = reference("first", PAPER.L)
    columns = 3
    rows = -(-(len(readings) + 1) // columns)
    figure = Figure(figsize=(16, 2.75 * rows + 1))
    axes = figure.subplots(rows, columns).flat
    show(next(axes), low, morlets, "Kymatio's low-pass and Morlet wavelets")
    for words, reading in readings.items():
        found = reading["levels"]["first"]
        low, psi = filters_of(found)
        alike, dilations = ripples(psi)
        nearest = reference("first", len(psi), dilation=np.median(dilations))[1]
        title = f"{words}:\n{span(alike)} similar to Morlets dilated by {span(dilations)}"
        show(next(axes), low if found["low_sum"] >= 0 else -low, aligned(psi, nearest), title)
    for left in axes:
        left.set_axis_off()
    figure.suptitle(
        "Figure 6 by several readings of the text: the first level's filters, every block on its "
        f"own scale\n{result['images']} images, {result['epochs']} epochs, batches of "
        f"{result['batch']} ({result['setting']} setting): {result['data']}"
    )
    return figure


def section(result: dict) -> str:
    """Return how near every reading comes to Morlet wavelets."""
    rows = []
    for words, reading in result["readings"].items():
        row = [cell for level in LEVELS for cell in likeness(reading["levels"][level])]
        if "S2" not in reading["errors"]:
            row[len(row) // 2 :] = [""] * (len(row) // 2)
        row += [percents(reading["errors"]), "yes" if reproduces(reading) else "no"]
        rows.append([words, *row, number(reading["seconds_per_epoch"])])
    head = ["reading", *LIKENESS, "S0, S1, S2 held out, %", "ripples", "s an epoch"]
    return (
        f"{table(head, rows)}\n\nEach changes what it names. {LIKENESS_IS} Ripples: all eight of "
        f"the first level are at least {result['ripples']:g} similar to Morlets dilated by at most "
        f"{WIDEST:.2g}, whose period the seven taps hold. "
        f"{result['images']} images, batches of {result['batch']}, {result['epochs']} epochs, on "
        f"one thread with another beside it. {measured_on(result)}"
    )


TITLE = "Figure 6 by other readings of the text."
EXPERIMENT = Experiment("readings", TITLE, measure, draw, section)
