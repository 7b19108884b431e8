"""The recipes of the shipped banks."""

from __future__ import annotations

from dataclasses import replace

from npscatter.program.steps import WEIGHT_ARRAYS
from tools.design import Design
from tools.learning import Recipe
from tools.lessons import PHOTOGRAPHS, POINTS, Subject, subjects
from tools.selecting import Selection

ACCURATE = Design(8, 4, dict.fromkeys(WEIGHT_ARRAYS, 7) | {"psi_first": 9})
PAPER = Design(
    8,
    1,
    dict.fromkeys(WEIGHT_ARRAYS, 7),
    tied=False,
    psi_stride=2,
    next_from="octave",
    boundary="zero",
)


def _selection(L: int, budget: float, start: float, relax: float = 1.0, **more) -> Selection:
    return Selection(replace(ACCURATE, L=L), budget, start, relax, **more)


# S0 weighs more than with the others: four orientations reach S1 for so little.
_ACCURATE_L4 = subjects(replace(PHOTOGRAPHS, S0=1.72e-4))
# S0 of sparse points at J = 2, which no other subject holds.
_MORE_POINTS = (*subjects(), Subject(("sparse points",), 4, 32, 2, 1, POINTS, each=True))


PRESETS = {
    "accurate": _selection(8, 1090, 1700, subjects=_MORE_POINTS),
    "accurate-L4": _selection(4, 350, 560, subjects=_ACCURATE_L4),
    "accurate-L6": _selection(6, 600, 1100, subjects=_MORE_POINTS),
    "fast": _selection(8, 580, 1200, relax=4.0),
    "fast-L4": _selection(4, 120, 400, relax=4.0),
    "fast-L6": _selection(6, 320, 750, relax=4.0),
    # The paper's: Adam, rate 0.001, weight decay 0.01, batch 50, squared error, random start, 30
    # epochs of 32 x 32 images. Its Table 1 (noise of sigma 0.7 adds 0.49; a shift by two pixels
    # changes 0.73) tells that its images had variance one, which sets what the decay weighs.
    "paper": Recipe(
        PAPER,
        start="random",
        shape=(32, 32),
        count=5000,
        standardise=True,
        scales=(1, 2),
        epochs=30,
        batch=50,
        loss="mse",
        learning_rate=1e-3,
        weight_decay=1e-2,
        schedule="constant",
    ),
    # Shipped as learned with --data photographs+cifar10-train:PATH, half of its images from each.
    "paper-tuned": Recipe(
        replace(PAPER, tied=True, boundary="kymatio"),
        polish=0,
        shape=(32, 32),
        count=5000,
        scales=(1, 2, 3),
        epochs=14,
        batch=50,
        learning_rate=2e-3,
    ),
}
