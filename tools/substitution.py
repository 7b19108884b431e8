"""Whether features can take the place of others: in classifiers trained anew, and as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
from tqdm import tqdm

from tools.classifiers import Classifiers
from tools.intervals import accuracy, compare
from tools.labelled import TRAINING_ONLY, LabelledSet, draw_training

OWN = "retrained"


@dataclass(frozen=True)
class Case:
    """What was trained on, what was tested on, and the classifier."""

    trained: str
    tested: str
    method: str


@dataclass(frozen=True)
class Stage:
    """How many images of each class are trained on, how often, and by which classifiers."""

    per_class: int
    draws: int
    methods: tuple[str, ...]


@dataclass(frozen=True)
class Substitution:
    """Features, by name, that are compared with a reference's.

    Classifiers are trained anew on all of them; those trained on the reference's are also tested
    on those of the `stand_ins`. `others` are classified to compare with. Up to `margin`, in
    percentage points, a difference is none. With one `seed` the same images are drawn.
    """

    reference: str
    stand_ins: tuple[str, ...]
    others: tuple[str, ...]
    margin: float
    seed: int

    @property
    def swapped(self) -> str:
        """What results call the stand-ins' being tested by the reference's classifiers."""
        return f"trained_on_{self.reference}"

    def parameters(self) -> dict:
        """Return how intervals come about, and what they say, for a result."""
        return {
            "interval": "95 %, Student's, over both training subsets and test images (crossed, "
            "with Satterthwaite's degrees of freedom), paired for differences and then at least "
            "+-3/N for N images (rule of three: what no change at all would leave open); of one "
            "training subset over test images alone; each interval stands for itself, without "
            "correction for their number",
            "verdict": "equivalent: the interval of the difference lies within "
            f"+-{self.margin:g} point; better or worse: it does not, and excludes zero; else not "
            "decided",
            "margin_points": self.margin,
            "seed": self.seed,
        }

    def cases(self, methods: Iterable[str]) -> dict[str, list[Case]]:
        """Return what is compared."""
        names = (self.reference, *self.stand_ins, *self.others)
        own = [Case(name, name, method) for method, name in product(methods, names)]
        swapped = [
            Case(self.reference, name, method) for method, name in product(methods, self.stand_ins)
        ]
        return {OWN: own, self.swapped: swapped}

    def measure(
        self, chosen: LabelledSet, features: dict[str, np.ndarray], stages: Iterable[Stage]
    ) -> dict[str, list[dict]]:
        """Return a row for every case of every stage: `accuracy`, and `compare` if it applies."""
        rows: dict[str, list[dict]] = {OWN: [], self.swapped: []}
        for stage in stages:
            judged = self.judgements(chosen, features, stage)
            for kind, found in self.rows(stage, *judged).items():
                rows[kind] += found
        return rows

    def rows(
        self, stage: Stage, right: dict[Case, np.ndarray], images: int
    ) -> dict[str, list[dict]]:
        """Return what `judgements` come to, as `measure` does."""
        size = {"size": stage.per_class, "images": images, "draws": stage.draws}
        return {
            kind: [size | self._row(case, right) for case in cases]
            for kind, cases in self.cases(stage.methods).items()
        }

    def judgements(
        self, chosen: LabelledSet, features: dict[str, np.ndarray], stage: Stage
    ) -> tuple[dict[Case, np.ndarray], int]:
        """Return whether each tested image was judged rightly, and how many images were trained on.

        By case, bool arrays (draws, tested images).
        """
        cases = [case for some in self.cases(stage.methods).values() for case in some]
        right = {case: np.zeros((stage.draws, len(chosen.labels)), bool) for case in cases}
        turns = list(product(range(stage.draws), enumerate(chosen.splits())))
        for draw, (fold, (pool, tested)) in tqdm(
            turns, f"{chosen.name} {stage.per_class}", disable=None
        ):
            seed = [self.seed, draw, fold]
            training = draw_training(chosen.labels, pool, stage.per_class, seed)
            found = self.classify(features, chosen.labels, training, tested, stage.methods)
            for case, judged in found.items():
                right[case][draw, tested] = judged
        tested = chosen.folds != TRAINING_ONLY
        return {case: table[:, tested] for case, table in right.items()}, len(training)

    def classify(
        self,
        features: dict[str, np.ndarray],
        labels: np.ndarray,
        training: np.ndarray,
        tested: np.ndarray,
        methods: Iterable[str],
    ) -> dict[Case, np.ndarray]:
        """Train on some images, and return whether each of those tested was judged rightly."""
        right = {}
        for name in (self.reference, *self.stand_ins, *self.others):
            trained = Classifiers(features[name][training], labels[training], methods)
            for other in (name, *self.stand_ins) if name == self.reference else (name,):
                for method, judged in trained.predict(features[other][tested]).items():
                    right[Case(name, other, method)] = judged == labels[tested]
        return right

    def _row(self, case: Case, right: dict[Case, np.ndarray]) -> dict:
        row = {"representation": case.tested, "method": case.method}
        row |= accuracy(right[case])
        if case.tested != self.reference:
            reference = right[Case(self.reference, self.reference, case.method)]
            row |= compare(right[case], reference, self.margin)
        return row

    def summary(self, name: str, rows: dict[str, list[dict]]) -> list[dict]:
        """Return per stand-in, trained anew and swapped, how far from the reference it is at most.

        `rows` are those of a set of this name.
        """
        found = []
        for kind, stand_in in product((OWN, self.swapped), self.stand_ins):
            own = [row for row in rows[kind] if row["representation"] == stand_in]
            largest = max(own, key=lambda row: abs(row["difference"]))
            found.append(
                {
                    "set": name,
                    "representation": stand_in,
                    "classifier": kind,
                    "largest": {key: largest[key] for key in ("difference", "size", "method")},
                    "comparisons": len(own),
                    "including_zero": sum(row["includes_zero"] for row in own),
                    "verdicts": dict(Counter(row["verdict"] for row in own)),
                }
            )
        return found
