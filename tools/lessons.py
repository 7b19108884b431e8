"""What a bank is taught: pictures of many kinds, and how near to Kymatio it must come.

Every group of coefficients (an order, or a scale of one) has an *aim*, the relative error that
counts as one; what is minimised is the sum over lessons and groups of (error / aim)^2. Nothing here
is measured on: photographs and pictures are those kept for learning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from tools.data import crops, photographs_from
from tools.kinds import LEAST_S2, cosines, pictures
from tools.teacher import teach


@dataclass(frozen=True)
class Aims:
    """The relative errors that count as one.

    Attributes
    ----------
    S0, S1, S2 : float
        Of all coefficients of an order; 0 for none.
    scale : float
        Of those of one order and one finest scale, each; 0 for none.
    coarsest : float
        Of S1's coarsest scale; 0 for none.
    """

    S0: float
    S1: float
    S2: float
    scale: float = 0.0
    coarsest: float = 0.0

    def relaxed(self, factor: float) -> Aims:
        """Return all aims times a factor."""
        fields = (self.S0, self.S1, self.S2, self.scale, self.coarsest)
        return Aims(*(factor * aim for aim in fields))


@dataclass(frozen=True)
class Subject:
    """What one lesson is made from.

    Attributes
    ----------
    kinds : tuple of str
        "photographs", "plane waves", or of `tools.kinds.KINDS`.
    count : int
        Pictures of each kind.
    side : int
    J, max_order : int
    aims : Aims
    each : bool
        Errors are relative to every picture's own coefficients, and averaged over the pictures.
    """

    kinds: tuple[str, ...]
    count: int
    side: int
    J: int
    max_order: int
    aims: Aims
    each: bool = False

    def relaxed(self, factor: float) -> Subject:
        """Return it with all aims times a factor."""
        return replace(self, aims=self.aims.relaxed(factor))


PHOTOGRAPHS = Aims(2e-4, 1.8e-3, 2.5e-3, scale=6e-3)
DEEP = Aims(5e-4, 3e-3, 4e-3, scale=7e-3)
OTHERS = Aims(1e-3, 3e-3, 4e-3, coarsest=1.2e-2)
NOISE = Aims(5e-3, 3e-3, 5e-3, coarsest=1e-2)
POINTS = Aims(6e-4, 3e-3, 4e-3)
PATTERNS, WAVES = Aims(2e-3, 1e-2, 1.5e-2), Aims(0, 6e-3, 0)
DEEP_KINDS = ("white noise", "halftone 3", "halftone 6")
DRAWN = ("star field", "random binary", "sparse points", "lognormal field")
FOUND = ("halftone 2", "halftone 3", "halftone 6", "Bayer mosaic", "documents", "MRI")
PERIODIC = tuple(
    f"{pattern} {width}" for pattern in ("stripes", "checkerboard") for width in (1, 2, 3)
)


def subjects(photographs: Aims = PHOTOGRAPHS) -> tuple[Subject, ...]:
    """Return what the shipped banks are taught, with such aims on photographs."""
    return (
        Subject(("photographs",), 8, 64, 1, 1, photographs),
        Subject(("photographs",), 16, 64, 2, 2, photographs),
        Subject(("photographs",), 24, 64, 3, 2, photographs),
        Subject(("photographs",), 8, 64, 5, 2, photographs),
        Subject(("photographs",), 16, 32, 5, 2, photographs),
        Subject(("photographs",), 4, 128, 5, 2, photographs.relaxed(1.5)),
        Subject(("photographs",), 8, 128, 6, 1, DEEP),
        Subject(("white noise",), 8, 64, 3, 2, NOISE),
        Subject((*DRAWN, *FOUND), 1, 64, 3, 2, OTHERS, each=True),
        Subject((*DRAWN, *DEEP_KINDS), 1, 128, 6, 1, OTHERS, each=True),
        Subject(PERIODIC, 2, 32, 3, 2, PATTERNS, each=True),
        Subject(("plane waves",), 64, 32, 3, 1, WAVES, each=True),
    )


@dataclass(frozen=True)
class Lesson:
    """Images, Kymatio's coefficients of them, and what their errors weigh.

    Attributes
    ----------
    name : str
    images : ndarray of float64, shape (N, H, W)
    J, max_order : int
    wanted : ndarray of float64, shape (N, C, H // 2^J, W // 2^J)
    scale : ndarray of float64, shape (1 or N, C, 1, 1)
        What differences from `wanted` are multiplied by; squares then add up.
    """

    name: str
    images: np.ndarray
    J: int
    max_order: int
    wanted: np.ndarray
    scale: np.ndarray


def lesson(subject: Subject, L: int, seed: int, source: str = "photographs") -> Lesson:
    """Return the lesson on a subject.

    Parameters
    ----------
    seed : int
        Of pieces of photographs, and of what is drawn.
    source : str
        Where photographs come from, as `tools.data.photographs_from` has it.
    """
    parts = [images_of(kind, subject, seed, source) for kind in subject.kinds]
    images = np.concatenate(parts)
    images = images.astype(np.float64)
    wanted = teach(images, subject.J, L, subject.max_order)
    energy = (wanted**2).sum((2, 3)) if subject.each else (wanted**2).sum((0, 2, 3))[None]
    order, j1 = _channels(subject.J, L, subject.max_order)
    square = np.zeros(energy.shape)
    for chosen, aim in _groups(subject, order, j1):
        whole = energy[:, chosen].sum(1)
        if order[chosen][0] == 2:
            whole = np.maximum(whole, LEAST_S2 * energy[:, order == 1].sum(1))
        square[:, chosen] += (1 / (len(energy) * whole * aim**2))[:, None]
    name = f"{subject.kinds[0]} {subject.side} J={subject.J}"
    scale = np.sqrt(square)[..., None, None]
    return Lesson(name, images, subject.J, subject.max_order, wanted, scale)


def _groups(subject: Subject, order: np.ndarray, j1: np.ndarray):
    """Yield groups of channels and their aims."""
    aims = subject.aims
    for m, aim in enumerate((aims.S0, aims.S1, aims.S2)):
        if aim and (order == m).any():
            yield order == m, aim
    if aims.coarsest:
        yield (order == 1) & (j1 == subject.J - 1), aims.coarsest
    if aims.scale:
        for m in (1, 2):
            for j in range(subject.J):
                chosen = (order == m) & (j1 == j)
                if chosen.any():
                    yield chosen, aims.scale


def _channels(J: int, L: int, max_order: int) -> tuple[np.ndarray, np.ndarray]:
    """Return order and finest scale of Kymatio's channels."""
    pairs = [(0, 0)] + [(1, j) for j in range(J) for _ in range(L)]
    if max_order > 1:
        pairs += [(2, j) for j in range(J) for _ in range(L * L * (J - 1 - j))]
    order, j1 = np.array(pairs).T
    return order, j1


def images_of(kind: str, subject: Subject, seed: int, source: str) -> np.ndarray:
    """Return the images of one kind that a subject is made from."""
    if kind == "photographs":
        photographs = _photographs_from(source)
        return crops(photographs, subject.side, subject.count, seed + subject.J)
    if kind == "plane waves":
        return plane_waves(subject.count, subject.side, seed)
    return pictures(kind, "learning", subject.count, subject.side, seed + subject.J)


_photographs_from = lru_cache(photographs_from)


def plane_waves(count: int, side: int, seed: int) -> np.ndarray:
    """Return cosines, half of them of any frequency, half near the edges of the plane."""
    generator = np.random.default_rng([seed, 7])
    w = generator.uniform(-np.pi, np.pi, (count, 2))
    edge = np.arange(count) % 2 == 1
    w[edge, generator.integers(0, 2, edge.sum())] = generator.uniform(2.4, np.pi, edge.sum())
    w[:3] = [(np.pi, np.pi), (np.pi, 0.5), (np.pi, 2.5)][:count]
    phase = generator.uniform(0, np.pi, count)
    return cosines(w, phase, side)
