"""How far a bank's coefficients are from Kymatio's, per order and per scale."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from npscatter import FilterBank, Scattering2D
from npscatter.backends.cost import plan_cost
from npscatter.backends.reference import FloatArithmetic, interpret
from npscatter.features import relative_errors
from npscatter.program.plan import Plan, make_plan
from tools.data import crops, packaged_photographs
from tools.kinds import KINDS, cosines, pictures
from tools.teacher import teach

# Image side -> number of images measured.
COUNTS = {28: 96, 32: 96, 64: 48, 80: 24, 128: 8, 200: 4, 224: 6, 256: 4, 512: 2}
SEED = 20


@lru_cache(maxsize=16)
def test_images(source: str, size: int) -> np.ndarray:
    """Return the images errors are measured on, which no learning has seen.

    Parameters
    ----------
    source : str
        "photographs" (crops of the held-out ones, evenly drawn) or one of `tools.kinds.KINDS`.
    size : int
        Side, a key of `COUNTS`.

    Returns
    -------
    ndarray of float32, shape (N, size, size)
    """
    if source in KINDS:
        return pictures(source, "held-out", COUNTS[size], size, SEED)
    return crops(packaged_photographs("held-out"), size, COUNTS[size], SEED)


def errors_by_scale(
    bank: FilterBank,
    images: np.ndarray,
    J: int,
    boundary: str | None = None,
    backend: str = "numba",
) -> dict:
    """Return a bank's relative errors against Kymatio, in float64, by order and by finest scale.

    Parameters
    ----------
    bank : FilterBank
        What is measured.
    images : ndarray, shape (N, H, W)
        Any.
    J : int
        Log2 of the scale.
    boundary : str, optional
        As for `tools.teacher.teacher`: "kymatio", "pre_pad" or "periodic". By default the bank's
        own, against Kymatio's.
    backend : str
        Of npscatter.

    Returns
    -------
    dict
        "orders": S0, S1 and S2; "S1 by j" and "S2 by j1": lists of errors, from the finest scale
        on (the last of S1 is the coarsest); "S2 / S1": the energy of S2 in that of S1.
    """
    pre_pad = boundary == "pre_pad"
    shape = tuple(side - pre_pad * 2 * 2**J for side in images.shape[-2:])
    S = Scattering2D(
        *(J, shape, bank.L),
        pre_pad=pre_pad,
        bank=bank,
        boundary="kymatio" if pre_pad else boundary,
        backend=backend,
    )
    wanted = teach(images, J, bank.L, boundary=boundary or "kymatio")
    return compare(S(images.astype(np.float64)), wanted, S.meta())


def compare(computed: np.ndarray, wanted: np.ndarray, meta: dict) -> dict:
    """Return what `errors_by_scale` does, of coefficients (N, C, h, w) and `Scattering2D.meta`."""
    order, j1 = meta["order"], meta["j"][:, 0]
    found: dict = {"orders": relative_errors(computed, wanted, order)}
    energies = []
    for m, name in ((1, "S1 by j"), (2, "S2 by j1")):
        chosen = order == m
        if chosen.any():
            scales = relative_errors(computed[:, chosen], wanted[:, chosen], j1[chosen])
            found[name] = list(scales.values())
            energies.append(float(np.square(wanted[:, chosen]).sum()))
    if len(energies) == 2:
        found["S2 / S1"] = energies[1] / energies[0]
    return found


def bank_errors(bank: FilterBank, J: int, size: int, source: str = "photographs") -> dict:
    """Return a bank's errors by order on the test images, under its own boundary."""
    return errors_by_scale(bank, test_images(source, size), J)["orders"]


class HalfMaps(FloatArithmetic):
    """float32 that keeps maps between octaves as float16, as a GPU with that storage does."""

    def __init__(self, bank: FilterBank, plan: Plan):
        super().__init__(bank, np.dtype(np.float32))
        self.plan = plan

    def smoothed(self, number: int, sums: np.ndarray) -> np.ndarray:
        emitted = self.plan.steps[number].emits
        return sums if emitted else sums.astype(np.float16).astype(sums.dtype)


def float16_errors(bank: FilterBank, J: int, size: int, count: int = 8) -> dict:
    """Return by order what storing carried maps as float16 changes, on a few photographs."""
    images = test_images("photographs", size)[:count]
    S = Scattering2D(J, (size, size), bank.L, bank=bank, backend="numpy")
    halves = np.empty((count, *S.output_shape), np.float32)
    interpret(S.plan, HalfMaps(bank, S.plan), images, halves)
    return relative_errors(halves, S(images.astype(np.float64)), S.meta()["order"])


def plane_waves(count: int, side: int, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines of all frequencies, angles and phases.

    Returns
    -------
    images : ndarray of float64, shape (count, side, side)
        cos(w u + phase).
    w : ndarray, shape (count, 2)
        Radians per pixel, evenly drawn from the whole plane; the first is its corner, (pi, pi).
    """
    generator = np.random.default_rng(seed)
    w = generator.uniform(-np.pi, np.pi, (count, 2))
    phase = generator.uniform(0, 2 * np.pi, count)
    w[0], phase[0] = np.pi, 0
    return cosines(w, phase, side), w


def plane_wave_errors(bank: FilterBank, count: int = 2000, J: int = 3, side: int = 64) -> dict:
    """Return the relative error of S1 of every plane wave against Kymatio, and their frequencies.

    Returns
    -------
    dict
        "S1": ndarray, shape (count,); "w": shape (count, 2), as for `plane_waves`.
    """
    images, w = plane_waves(count, side)
    S = Scattering2D(J, (side, side), bank.L, 1, bank=bank, backend="numba")
    wanted = teach(images, J, bank.L, 1)[:, 1:]
    error = np.square(S(images)[:, 1:] - wanted).sum((1, 2, 3))
    return {"S1": np.sqrt(error / np.square(wanted).sum((1, 2, 3))), "w": w}


def photograph_errors(bank: FilterBank) -> dict:
    """Return a bank's relative errors on photographs by size and scale, as cards have them."""
    return {
        f"photographs {size}x{size} J={J}": bank_errors(bank, J, size)
        for J, size in ((1, 32), (2, 32), (2, 64), (2, 224), (3, 64))
    }


def multiply_adds_per_pixel(bank: FilterBank) -> dict[str, float | None]:
    """Return what J = 2, order 2 costs a pixel; folded, None for a bank that is not symmetric."""
    # A large image, so that the padding counts little.
    plan = make_plan(2, (512, 512), bank.architecture, boundary=bank.boundary)
    costs = {"folded": True, "direct": False} if bank.symmetric else {"direct": False}
    counted = {name: plan_cost(plan, bank, fold).multiply_adds for name, fold in costs.items()}
    return {"folded": None} | {name: count / 512**2 for name, count in counted.items()}
