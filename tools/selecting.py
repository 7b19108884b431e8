"""Learning a bank of few folded taps: selection and learning by turns, in rounds.

1. "fit": from the closed form, all elements are fitted to Kymatio's filters.
2. "filters": elements of the wavelets are dropped by what that adds to the filter errors, until
   the bank costs `filters_until`. The smoothing arrays stay whole: filter errors underrate their
   loss.
3. "coefficients": elements of all arrays are dropped by what that adds to the errors of the
   coefficients on all lessons, until the bank is within its budget.
4. "learn": what is left learns on the same objective, until it gains little.

Everything follows from the recipe, round by round, so that a run resumed from its checkpoint goes
on exactly as if it had not stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from npscatter.backends.jit_cache import trial_banks
from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, explain
from tools.closed_form import closed_form
from tools.coefficient_fit import CoefficientFit
from tools.design import Design
from tools.filter_fit import FilterFit, Targets, Weighting
from tools.folded import Element, FoldedBank, elements
from tools.least_squares import Total, minimise
from tools.lessons import Aims, Lesson, Subject, images_of, lesson, subjects
from tools.run_folder import environment, write_json, write_log
from tools.selection import Prices, eliminate, multiply_adds, output_rates

# A relative filter error that weighs as much as coefficients at their aims.
FILTER_AIM = 0.01
# Rounds of elimination come out as predicted while the errors stay quadratic: where the objective
# is beyond this multiple, a round is tried again with half as many, and more damping.
SURPRISE = 2.0
# Where an objective is small, its own size is no measure of what is a surprise.
NO_SURPRISE = 5.0


@dataclass(frozen=True)
class Selection:
    """Everything that decides what is selected and learned.

    Attributes
    ----------
    design : Design
        Tied.
    budget : float
        Multiply-adds a pixel at J = 2, at most.
    filters_until : float
        Multiply-adds a pixel down to which filter errors alone select.
    relax : float
        What the subjects' aims are multiplied by.
    sample, row : float
        What a new folded sample and a new row cost, in multiply-adds (benchmarks.kernels).
    polish, steps : int
        Levenberg-Marquardt steps after the closed form, and of the learning at the end, at most.
    filter_share : float
        Weight of the filter errors beside the coefficients'.
    filter_round, coefficient_round : float
        Share of the elements that a round drops.
    weighting : Weighting
        Of the filter errors.
    subjects : tuple of Subject
        What lessons are made from.
    source : str
        "photographs" or "folder:PATH"; drawn pictures and patterns come besides.
    seed : int
        Of pieces of photographs, and of what is drawn.
    """

    design: Design
    budget: float
    filters_until: float
    relax: float = 1.0
    sample: float = 2.8
    row: float = 1.2
    polish: int = 20
    steps: int = 12
    filter_share: float = 0.1
    filter_round: float = 0.07
    coefficient_round: float = 0.12
    weighting: Weighting = field(default_factory=Weighting)
    subjects: tuple[Subject, ...] = subjects()
    source: str = "photographs"
    seed: int = 1

    def __post_init__(self):
        if not self.design.tied:
            raise ArgumentError(explain("design.tied", False, "must be True", "tie the taps"))
        for name in ("budget", "filters_until", "relax"):
            if not 0 < getattr(self, name) < np.inf:
                rule = "must be a positive number"
                raise ArgumentError(explain(name, getattr(self, name), rule, "pass one"))
        if (least := min(self.design.kernels.values())) < 3:
            rule = "a single tap has no direction: kernels must be 3 or larger"
            raise ArgumentError(explain("kernel", least, rule, "pass 3, 5, 7 or 9"))

    def as_dict(self) -> dict:
        """Return the fields, for cards and checkpoints."""
        return json.loads(json.dumps(asdict(self)))

    def open_data(self) -> None:
        """Raise what reading the photographs raises."""
        for subject in self.subjects:
            if "photographs" in subject.kinds:
                images_of("photographs", subject, self.seed, self.source)

    @classmethod
    def from_dict(cls, fields: dict) -> Selection:
        """Return the recipe `as_dict` wrote."""
        subjects = tuple(
            Subject(**subject | {"kinds": tuple(subject["kinds"]), "aims": Aims(**subject["aims"])})
            for subject in fields["subjects"]
        )
        parts = {
            "design": Design(**fields["design"]),
            "weighting": Weighting(**fields["weighting"]),
        }
        return cls(**fields | parts | {"subjects": subjects})


class Selector:
    """The state of one run: the elements kept, their coefficients, the stage and the log.

    Parameters
    ----------
    recipe : Selection
        What to select and learn.
    folder : Path, optional
        Where checkpoint, log and the banks of all rounds go; None keeps nothing.
    resume : bool
        Go on from the folder's checkpoint instead of starting anew.
    threads : int, optional
        All cores by default. Last digits depend on it.

    Raises
    ------
    ArgumentError
        If the checkpoint was made by another recipe, or there are no such photographs.
    FileNotFoundError
        If there is none.
    """

    STAGES = ("fit", "filters", "coefficients", "learn", "done")

    def __init__(
        self,
        recipe: Selection,
        folder: Path | None = None,
        resume: bool = False,
        threads: int | None = None,
    ):
        self.recipe, self.folder = recipe, folder
        self.threads = threads or numba.config.NUMBA_NUM_THREADS
        design = recipe.design
        shallow, deeper = (output_rates(design.architecture, J, design.boundary) for J in (2, 3))
        self.rates = shallow
        # What is cheap at J = 2 is not free: deeper transforms count by half.
        priced = {key: rate + deeper[key] / 2 for key, rate in shallow.items()}
        self.prices = Prices(priced, recipe.sample, recipe.row)
        self.stage, self.log = "fit", []
        self.kept: FoldedBank | None = None
        self.coefficients = None
        if resume:
            self._resume()
        else:
            recipe.open_data()

    @cached_property
    def targets(self) -> Targets:
        """The filters wanted."""
        return Targets(self.recipe.design.L, self.recipe.weighting)

    @cached_property
    def lessons(self) -> list[Lesson]:
        """What is taught."""
        recipe = self.recipe
        subjects = [subject.relaxed(recipe.relax) for subject in recipe.subjects]
        return [lesson(each, recipe.design.L, recipe.seed, recipe.source) for each in subjects]

    def _resume(self) -> None:
        state = json.loads((self.folder / "checkpoint.json").read_text())
        if Selection.from_dict(state["recipe"]) != self.recipe:
            rule = "its checkpoint was made by another recipe"
            remedy = "resume with the same options, or use a new folder"
            raise ArgumentError(explain("folder", str(self.folder), rule, remedy))
        if state["stage"] not in self.STAGES:
            raise ValueError(f"stage {state['stage']!r}")
        self.stage, self.log = state["stage"], state["log"]
        if state["kept"] is not None:
            design = self.recipe.design
            named = {
                (key, element.label): element
                for key, K in design.kernels.items()
                for element in elements(key, design.L, design.R, K)
            }
            kept = [named[key, tuple(label)] for key, label in state["kept"]]
            self.kept = self._folded(kept)
            self.coefficients = np.array(state["coefficients"], float)
            if self.coefficients.shape != (len(kept),):
                raise ValueError(f"{self.coefficients.shape} coefficients of {len(kept)} elements")

    def save(self) -> None:
        """Write the checkpoint, the log, and the bank of this round."""
        if self.folder is None:
            return
        kept = self.kept and [(element.array, element.label) for element in self.kept.kept]
        state = {
            "recipe": self.recipe.as_dict(),
            "stage": self.stage,
            "log": self.log,
            "kept": kept,
            "coefficients": None if kept is None else self.coefficients.tolist(),
        }
        write_json(self.folder / "checkpoint.json", state)
        write_log(self.folder, self.log)
        if self.kept:
            rounds = self.folder / "rounds"
            rounds.mkdir(exist_ok=True)
            name = f"{len(self.log):03d}"
            self.bank(name).save(rounds / name)

    def left(self) -> str:
        """Say what is left to do, nothing if it is done."""
        return "" if self.stage == "done" else f"stage {self.stage!r}"

    def environment(self) -> dict:
        """Return what rounding depends on."""
        return environment(self.threads, "numba")

    def bank(self, name: str) -> FilterBank:
        """Return the bank as it stands."""
        return self.kept.bank(name, self.kept.normalised(self.coefficients))

    def learn(self, rounds: int | None = None) -> None:
        """Run up to `rounds` further rounds (all that are left by default), saving after each."""
        with trial_banks(), threadpool_limits(self.threads):
            while self.stage != "done" and rounds != 0:
                entry = getattr(self, f"_{self.stage}")()
                self.log.append(self._told(entry))
                self.save()
                print(_line(self.log[-1]), flush=True)
                rounds = None if rounds is None else rounds - 1

    def _told(self, entry: dict) -> dict:
        """Return a round's entry of the log, and go to the next stage if this one is at its end."""
        stage, over = self.stage, entry.pop("over")
        if over:
            self.stage = self.STAGES[self.STAGES.index(stage) + 1]
        size = {"elements": len(self.kept.kept), "multiply_adds": self._cost(self.kept.kept)}
        return {"stage": stage, **size, **entry}

    def _folded(self, kept: Iterable[Element] | None) -> FoldedBank:
        design = self.recipe.design
        return FoldedBank(design.L, design.R, design.kernels, kept, design.options)

    def _cost(self, kept: Iterable[Element]) -> float:
        return multiply_adds(kept, self.rates)

    def _fit(self) -> dict:
        self.kept = self._folded(None)
        fit = FilterFit(self.kept, self.targets)
        self.coefficients, value = minimise(fit, closed_form(fit), self.recipe.polish)
        return {"filter_error": value**0.5, "over": True}

    def _filters(self) -> dict:
        """Drop some wavelets' elements."""
        before, count = len(self.kept.kept), self._count(self.recipe.filter_round)
        fit = FilterFit(self.kept, self.targets)
        self.kept, c, predicted = eliminate(
            self.kept,
            self.coefficients,
            fit.normal(self.coefficients),
            self.prices,
            count,
            enough=lambda kept: self._cost(kept) <= self.recipe.filters_until,
            arrays=("psi_first", "psi_next"),
        )
        self.coefficients, value = minimise(FilterFit(self.kept, self.targets), c, 2)
        # The smoothing arrays alone may cost more.
        over = self._cost(self.kept.kept) <= self.recipe.filters_until or len(c) == before
        return {"filter_error": value**0.5, "predicted": max(predicted, 0) ** 0.5, "over": over}

    def _coefficients(self) -> dict:
        """Drop some elements of any array."""
        before = self._objective(self.kept)
        normal = before.normal(self.coefficients)
        count, damping = self._count(self.recipe.coefficient_round), 1e-4
        while True:
            kept, c, predicted = eliminate(
                self.kept,
                self.coefficients,
                normal,
                self.prices,
                count,
                enough=lambda kept: self._cost(kept) <= self.recipe.budget,
                damping=damping,
            )
            after = self._objective(kept)
            value = after.value(c)
            if value <= SURPRISE * predicted + NO_SURPRISE or count <= 1:
                break
            count, damping = count // 2, 10 * damping
        over = self._cost(kept.kept) <= self.recipe.budget
        if not over and len(c) == len(self.coefficients):
            rule = f"what cannot be left out costs {self._cost(kept.kept):.0f}"
            raise ArgumentError(explain("budget", self.recipe.budget, rule, "pass a larger one"))
        self.kept, self.coefficients = kept, c
        told = {"before": normal[0], "predicted": predicted, "objective": value, "over": over}
        return told | self._errors(after)

    def _learn(self) -> dict:
        """Take one step, the last one if it gains less than a hundredth."""
        objective = self._objective(self.kept)
        before = objective.value(self.coefficients)
        self.coefficients, value = minimise(objective, self.coefficients, 1, damping=1e-4)
        taken = 1 + sum(entry["stage"] == "learn" for entry in self.log)
        over = value > 0.99 * before or taken >= self.recipe.steps
        told = {"before": before, "objective": value, "over": over}
        return told | self._errors(objective)

    def _count(self, share: float) -> int:
        return max(1, round(share * len(self.kept.kept)))

    def _objective(self, bank: FoldedBank) -> Total:
        weight = self.recipe.filter_share / (FILTER_AIM * self.recipe.relax) ** 2
        fit = FilterFit(bank, self.targets)
        return Total([(weight, fit), (1.0, CoefficientFit(bank, self.lessons, self.threads))])

    def _errors(self, objective: Total) -> dict:
        """Return the filter error, and every lesson's sum of squared errors over aims."""
        (_, fit), (_, taught) = objective.parts
        c = self.coefficients
        return {"filter_error": fit.value(c) ** 0.5, "lessons": taught.values(c)}


def _line(entry: dict) -> str:
    """Return a round in a line."""
    size = f"{entry['elements']} elements, {entry['multiply_adds']:.0f} multiply-adds a pixel"
    text = f"{entry['stage']}: {size}, filter error {100 * entry['filter_error']:.3g} %"
    if "objective" in entry:
        worst = max(entry["lessons"], key=entry["lessons"].get)
        text += f", objective {entry['before']:.4g} -> {entry['objective']:.4g}"
        text += f" (most of it {worst}: {entry['lessons'][worst]:.3g})"
    return text
