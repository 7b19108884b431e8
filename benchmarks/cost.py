"""What a bank costs: the multiply-adds per pixel of one transform."""

from __future__ import annotations

from npscatter import FilterBank
from npscatter.cost import plan_cost
from npscatter.program.plan import make_plan

SHAPE = (512, 512)  # large, so that the padding counts little


def per_pixel(bank: FilterBank) -> dict[str, float | None]:
    """Return the multiply-adds per pixel at J = 2, order 2.

    Returns
    -------
    dict
        "folded" (None for a bank that is not symmetric) and "direct".
    """
    plan = make_plan(2, SHAPE, bank.architecture, boundary=bank.boundary)
    pixels = SHAPE[0] * SHAPE[1]
    return {
        "folded": plan_cost(plan, bank, True).multiply_adds / pixels if bank.symmetric else None,
        "direct": plan_cost(plan, bank, False).multiply_adds / pixels,
    }
