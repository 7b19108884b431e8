"""The cost of a program against what the reference does when it runs."""

import numpy as np
import pytest

from npscatter.backends import reference
from npscatter.backends.cost import Cost, plan_cost, step_costs
from npscatter.program.plan import make_plan


class Counting:
    """Arithmetic that counts what passes through it."""

    dtype = np.dtype(np.float64)

    def __init__(self, bank):
        self.bank = bank
        self.products = self.moduli = self.written = 0

    def taps(self, key, outputs):
        self.last = np.count_nonzero(self.bank.real_taps(key, outputs))
        return self.bank.real_taps(key, outputs)

    def modulus(self, number, real, imaginary):
        self.moduli += real.size
        self.products += self.last * real[:, :, 0].size
        return np.abs(real)

    def smoothed(self, number, sums):
        self.written += sums.size
        self.products += self.last * sums[:, :, 0].size
        return sums


@pytest.mark.parametrize("breadth_first", [False, True])
@pytest.mark.parametrize(
    ("J", "max_order", "shape", "design"),
    [
        (1, 2, (8, 9), ("free", 4, 3)),
        (2, 1, (9, 12), ("symmetric", 4, 4)),
        (3, 2, (8, 17), ("free", 2, 2)),
        (3, 2, (16, 9), ("paper", 4, 1)),
        (2, 2, (11, 8), ("zeros", 4, 2)),
    ],
)
def test_unfolded_costs_are_what_the_reference_does(
    toy_bank, J, max_order, shape, design, breadth_first
):
    bank = toy_bank(*design)
    plan = make_plan(
        J, shape, bank.architecture, max_order, bank.boundary, breadth_first=breadth_first
    )
    counting = Counting(bank)
    output = np.empty((1, *plan.output_shape))
    reference.interpret(plan, counting, np.ones((1, *shape)), output)
    cost = plan_cost(plan, bank, folded=False)
    assert cost.multiply_adds == counting.products
    assert cost.moduli == counting.moduli
    assert cost.samples_written == counting.written
    assert cost.samples_read == sum(
        step.source.count * step.source.height * step.source.width for step in plan.steps
    )
    # Nothing is folded, and no filter shares its products with another.
    assert cost.additions == 0
    assert cost.operations == 2 * counting.products + counting.moduli


def test_folding_trades_products_for_additions(toy_bank):
    bank = toy_bank("symmetric", 8, 1, K=7)
    plan = make_plan(1, (8, 10), bank.architecture, 1)
    direct, folded = plan_cost(plan, bank, False), plan_cost(plan, bank, True)
    assert plan_cost(plan, bank) == folded
    assert folded.multiply_adds < direct.multiply_adds / 2 and folded.additions > 0
    same = ("moduli", "samples_read", "samples_written")
    assert all(getattr(direct, name) == getattr(folded, name) for name in same)
    # Of the low-pass, 7 x 7 at stride 2: three rows folded, two new columns a sample, and in each
    # of the four rows that are left three samples folded.
    low = step_costs(plan, bank, True)[-1]
    samples = plan.output_shape[1] * plan.output_shape[2]
    assert low.additions == samples * (3 * 2 + 4 * 3)
    assert low.multiply_adds == samples * 16


def test_costs_add_up(toy_bank):
    bank = toy_bank("symmetric", 4, 3)
    plan = make_plan(2, (8, 8), bank.architecture)
    total = Cost()
    for cost in step_costs(plan, bank):
        assert cost.samples_read > 0 and cost.samples_written > 0
        total += cost
    assert total == plan_cost(plan, bank)
    with pytest.raises(ValueError, match="folded=True"):
        plan_cost(plan, toy_bank("free", 4, 3), folded=True)
