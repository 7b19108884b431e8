"""What a bank costs: the multiply-adds of one transform, per pixel and per second."""

from __future__ import annotations

import numpy as np

from npscatter import FilterBank, Scattering2D
from npscatter.cost import plan_cost
from npscatter.program.plan import make_plan

SHAPE = (512, 512)  # large, so that the padding counts little


def per_pixel(bank: FilterBank) -> dict[str, float | None]:
    """Return the multiply-adds per pixel at J = 2, order 2; folded, None if it is not symmetric."""
    plan = make_plan(2, SHAPE, bank.architecture, boundary=bank.boundary)
    pixels = SHAPE[0] * SHAPE[1]
    return {
        "folded": plan_cost(plan, bank, True).multiply_adds / pixels if bank.symmetric else None,
        "direct": plan_cost(plan, bank, False).multiply_adds / pixels,
    }


def work(S: Scattering2D, milliseconds: float, peak: dict) -> dict:
    """Return what a transform does per image, and how near the machine's peak it comes."""
    count = plan_cost(S.plan, S.bank).multiply_adds
    # At least: every image is read once and every coefficient written once.
    moved = int(4 * (np.prod(S.shape) + np.prod(S.output_shape)))
    rate = count / milliseconds / 1e6
    return {
        "multiply_adds": count,
        "bytes_at_least": moved,
        "gfma_per_second": round(rate, 3),
        "of_peak": round(rate / peak["gfma_per_second"], 4),
        "gb_per_second_at_least": round(moved / milliseconds / 1e6, 3),
    }
