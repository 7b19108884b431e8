"""What a program costs: arithmetic and memory traffic, counted once for all executors.

Counted is what the program asks for, not what an executor computes twice at the seams of its tiles
or bands.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import lru_cache

from npscatter.bank import FilterBank
from npscatter.program.plan import Plan
from npscatter.program.steps import Step
from npscatter.program.summation import Summation


@dataclass(frozen=True)
class Cost:
    """Of one image.

    Attributes
    ----------
    multiply_adds : int
        Products that are added to a sum.
    additions : int
        Of the folding, and of sums of two accumulators.
    moduli : int
        Square roots of a sum of two squares.
    samples_read, samples_written : int
        Of maps and coefficients, each once per step.
    """

    multiply_adds: int = 0
    additions: int = 0
    moduli: int = 0
    samples_read: int = 0
    samples_written: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def operations(self) -> int:
        """Floating-point operations: two of a multiply-add, one of everything else."""
        return 2 * self.multiply_adds + self.additions + self.moduli


def plan_cost(plan: Plan, bank: FilterBank, folded: bool | None = None) -> Cost:
    """Return what all steps of a plan cost together.

    Parameters
    ----------
    plan : Plan
        The program. Of plans that differ in their rounds, the one of one round does least.
    bank : FilterBank
        Its weights.
    folded : bool, optional
        See `npscatter.FilterBank.summation`.
    """
    return sum(step_costs(plan, bank, folded), Cost())


def step_costs(plan: Plan, bank: FilterBank, folded: bool | None = None) -> tuple[Cost, ...]:
    """Return what each step of a plan costs; parameters as for `plan_cost`."""

    @lru_cache
    def order(key: str, outputs: tuple[int, ...] | None) -> Summation:
        return bank.summation(key, outputs, folded)[0]

    return tuple(
        step_cost(
            step,
            order(step.wavelets, step.orientations) if step.wavelets else None,
            order(step.smoothing, None) if step.smoothing else None,
        )
        for step in plan.steps
    )


def step_cost(step: Step, wavelets: Summation | None, smoothing: Summation | None) -> Cost:
    """Return what a step costs whose wavelets and smoothing are summed in these orders."""
    source = step.source
    cost = Cost(samples_read=source.count * source.height * source.width)
    if wavelets:
        cost += _sums(wavelets, step.modulus_samples, step.wavelet_stride)
        cost += Cost(moduli=step.modulus_samples * len(step.orientations))
    if smoothing:
        cost += _sums(smoothing, step.smoothed_samples, step.stride)
        cost += Cost(samples_written=step.smoothed_samples * len(smoothing.outputs))
    if step.emits_moduli:
        emitted = sum(channel >= 0 for channel in step.channels)
        samples = emitted * step.window[2] * step.window[3]
        if step.output == "mean":
            cost += Cost(additions=samples, samples_written=emitted)
        else:
            cost += Cost(samples_written=samples)
    return cost


def _sums(order: Summation, samples: int, stride: int) -> Cost:
    """Return the arithmetic of all outputs together at so many samples."""
    # Samples side by side share folded rows: a row costs an addition per column, `stride` of them.
    folded_rows = sum(row.fold != 0 for row in order.rows)
    return Cost(
        multiply_adds=samples * order.multiply_adds,
        additions=samples * (order.additions + stride * folded_rows),
    )
