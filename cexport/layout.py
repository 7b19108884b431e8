"""The planner's program as the tables of the generated C: kernels, steps, scratch memory.

Nothing here depends on the arithmetic but the size of its numbers. Sizes, paths and orders come
from the plan, the order of summation from `npscatter.program.summation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from cexport.integer_bank import IntegerBank
from cexport.rounding import folded
from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, explain
from npscatter.program.plan import Plan
from npscatter.program.steps import Step
from npscatter.program.summation import Sample, Summation

# Samples of a row whose products are added to a sum at once, at most.
LONGEST_RUN = 4


@dataclass(frozen=True, order=True)
class Line:
    """Neighbouring samples of a row: columns first, first + 1, .., folded alike.

    ``fold`` is 0 for the samples alone, 1 or -1 for the sum or the difference of those at
    ``column`` and ``-column``; the one in the middle is never folded.
    """

    fold: int
    first: int
    count: int


@dataclass(frozen=True)
class Run:
    """A line of one row and the sums it enters; see ``pfx_run`` in c/kernel.h."""

    map: int
    row: int
    row_fold: int
    line: Line
    sums: tuple[int, ...]


@dataclass(frozen=True)
class CKernel:
    """One set of filters.

    Attributes
    ----------
    key : str
        The bank's array.
    orientations : tuple of int or None
        Which of its wavelets; None for all outputs.
    name : str
        In C, without the prefix.
    summation : Summation
        The order of its sums.
    runs : tuple of Run
        The same, neighbouring samples in one.
    weights : ndarray
        In the order of the runs.
    """

    key: str
    orientations: tuple[int, ...] | None
    name: str
    summation: Summation
    runs: tuple[Run, ...]
    weights: np.ndarray

    @property
    def half(self) -> int:
        """K // 2."""
        return self.summation.size // 2


@dataclass(frozen=True)
class CLayout:
    """Kernels and scratch memory of one program.

    Attributes
    ----------
    plan : Plan
        The program.
    kernels : dict
        By (key, orientations).
    """

    plan: Plan
    kernels: dict[tuple[str, tuple[int, ...] | None], CKernel] = field(repr=False)

    def kernels_of(self, step: Step) -> tuple[CKernel | None, CKernel]:
        """Return the wavelets of a step, None without any, and its smoothing."""
        wavelets = self.kernels[step.wavelets, step.orientations] if step.wavelets else None
        return wavelets, self.kernels[step.smoothing, None]

    @property
    def moduli_samples(self) -> int:
        """Samples of the moduli's rows that are in memory at a time."""
        return max(
            (
                len(step.orientations)
                * self.kernels_of(step)[1].summation.size
                * step.modulus_shape[1]
                for step in self.plan.steps
            ),
            default=0,
        )

    @property
    def emitted_coefficients(self) -> int:
        """Coefficients of the channels that one group of a step emits."""
        return max(
            max(1, len(step.orientations)) * step.size[0] * step.size[1]
            for step in self.plan.steps
            if step.emits
        )

    @property
    def row_sums(self) -> int:
        """Numbers of a folded row with its margins."""
        # Margins and width are rounded up to pairs: even and odd columns are kept apart.
        return max(
            2 * (-(-width // 2) + 2 * -(-kernel.half // 2))
            for kernel, width, _ in self._correlations()
        )

    @property
    def longest_row(self) -> int:
        """The most outputs of one row."""
        return max(columns for _, _, columns in self._correlations())

    @property
    def scratch_sums(self) -> int:
        """Numbers of 4 bytes in the scratch memory."""
        sums = max(kernel.summation.accumulators * n for kernel, _, n in self._correlations())
        return 2 * self.row_sums + 2 * self.longest_row + sums

    def scratch_bytes(self, sample_bytes: int) -> int:
        """Return the size of the whole scratch memory."""
        samples = self.plan.workspace.size + self.moduli_samples + self.emitted_coefficients
        return -(-(4 * self.scratch_sums + sample_bytes * samples) // 4) * 4

    def _correlations(self) -> Iterator[tuple[CKernel, int, int]]:
        """Yield every kernel that a step applies, the width of its source, its outputs in a row."""
        for step in self.plan.steps:
            wavelets, smoothing = self.kernels_of(step)
            width = step.modulus_shape[1]
            if wavelets:
                yield wavelets, step.source.width, width
            yield smoothing, width, step.size[1]


def lay_out(plan: Plan, bank: FilterBank, integers: IntegerBank | None) -> CLayout:
    """Return the tables of a plan.

    Parameters
    ----------
    plan : Plan
        The program.
    bank : FilterBank
        Its filters.
    integers : IntegerBank or None
        The same in integers, if these are to be computed with.
    """
    kernels = {}
    for step in plan.steps:
        for key, outputs in ((step.wavelets, step.orientations), (step.smoothing, None)):
            if key and (key, outputs) not in kernels:
                kernels[key, outputs] = make_kernel(bank, integers, key, outputs)
    check_kernels(bank, kernels.values())
    layout = CLayout(plan, kernels)
    _check_program(layout)
    return layout


def check_kernels(bank: FilterBank, kernels: Iterable[CKernel]) -> None:
    """Refuse a bank whose filters the fields of c/kernel.h cannot hold."""
    kernels = list(kernels)
    lists = [sum(len(sums) for sums in {run.sums for run in kernel.runs}) for kernel in kernels]
    _refuse(
        "bank",
        bank.name,
        ("filters in one array", max(len(k.summation.outputs) for k in kernels), 255),
        ("sums in one array", max(k.summation.accumulators for k in kernels), 255),
        ("carried maps", max(k.summation.maps for k in kernels), 255),
        ("rows in a filter", max(k.summation.size for k in kernels), 255),
        ("kinds of lines", len({run.line for k in kernels for run in k.runs}), 255),
        ("lines in one array", max(len(k.runs) for k in kernels), 65535),
        ("entries in lists of sums", max(lists), 65535),
    )


def _check_program(layout: CLayout) -> None:
    """Refuse programs that the fields of c/step.h, and 32-bit indices, cannot hold."""
    plan = layout.plan
    shifts = sum(
        step.groups * (count + max(1, count) * len(layout.kernels_of(step)[1].summation.outputs))
        for step in plan.steps
        for count in [len(step.orientations)]
    )
    _refuse("J", plan.J, ("channels", plan.n_coefficients, 65535), ("shifts", shifts, 65535))
    coefficients = plan.n_coefficients * plan.output_shape[0] * plan.output_shape[1]
    _refuse(
        "shape",
        plan.shape,
        ("samples between steps", plan.workspace.size, 2**31 - 1),
        ("coefficients", coefficients, 2**31 - 1),
    )


def _refuse(argument: str, value: object, *limits: tuple[str, int, int]) -> None:
    for what, count, most in limits:
        if count > most:
            rule = f"makes {count} {what}, and a header holds at most {most}"
            raise ArgumentError(explain(argument, value, rule, "use a smaller one"))


def make_kernel(
    bank: FilterBank,
    integers: IntegerBank | None,
    key: str,
    orientations: tuple[int, ...] | None = None,
) -> CKernel:
    """Return a kernel: the samples of a summation side by side, its weights in that order."""
    name = key
    if orientations not in (None, tuple(range(bank.L))):
        name = f"{key}_{'_'.join(map(str, orientations))}"
    summation, weights = bank.summation(key, orientations)
    if integers:
        # In the same order, though some weights have become zero.
        weights = folded(summation, integers.taps(key, orientations))
    runs, order = [], []
    for number, row in enumerate(summation.rows):
        samples = [sample for sample in summation.samples if sample.row == number]
        # Sums and differences apart, in each those that enter the same sums side by side.
        for difference in (False, True):
            some = [s for s in samples if (s.fold == -1) == difference]
            for stretch in _stretches(sorted(some, key=lambda s: s.offset)):
                accumulators = tuple(sorted(stretch[0].sums))
                fold = max((s.fold for s in stretch), key=abs)
                line = Line(fold, stretch[0].offset, len(stretch))
                runs.append(Run(row.map, row.offset, row.fold, line, accumulators))
                index = [dict(sample.terms) for sample in stretch]
                order += [terms[a] for a in accumulators for terms in index]
    if not runs:  # Filters of nothing but zeros; C has no empty tables.
        runs, order, weights = [Run(0, 0, 0, Line(0, 0, 1), (0,))], [0], np.zeros(1)
    return CKernel(key, orientations, name, summation, tuple(runs), weights[order])


def _stretches(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """Cut samples, by offset, at gaps, where other sums begin, and into short parts."""
    stretches: list[list[Sample]] = []
    for sample in samples:
        last = stretches[-1][-1] if stretches else None
        if last and sample.offset == last.offset + 1 and sample.sums == last.sums:
            stretches[-1].append(sample)
        else:
            stretches.append([sample])
    for stretch in stretches:
        parts = -(-len(stretch) // LONGEST_RUN)
        for part in range(parts):
            yield stretch[len(stretch) * part // parts : len(stretch) * (part + 1) // parts]
