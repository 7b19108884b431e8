"""The planner's program as the tables of the generated C: kernels, steps, scratch memory.

Nothing here depends on the arithmetic but the size of its numbers. Sizes, paths and orders come
from the plan, the order of summation from `npscatter.program.summation`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from cexport.integer_bank import IntegerBank
from cexport.rounding import folded
from npscatter.bank import FilterBank
from npscatter.errors import ArgumentError, explain
from npscatter.program.plan import Plan
from npscatter.program.steps import Step
from npscatter.program.summation import Row, Sample, Summation

# Sums that a sample is added to at once, or samples that are added to a sum at once, at most.
AT_ONCE = 4


@dataclass(frozen=True)
class Use:
    """Samples of a row from ``column`` on and some sums they enter; see ``pfx_use`` in c/kernel.h.

    ``fold`` is 0 for a sample alone, 1 or -1 for the sum or the difference of those at a column and
    the opposite one.
    """

    column: int
    samples: int
    fold: int
    sums: tuple[int, ...]


@dataclass(frozen=True)
class Line:
    """A row, folded or not, and the uses of its samples; see ``pfx_line`` in c/kernel.h."""

    row: Row
    uses: tuple[Use, ...]


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
    lines : tuple of Line
        The same, by rows.
    weights : ndarray
        In the order of the uses and their sums.
    """

    key: str
    orientations: tuple[int, ...] | None
    name: str
    summation: Summation
    lines: tuple[Line, ...]
    weights: np.ndarray

    @property
    def half(self) -> int:
        """The farthest that a row or column is off: K // 2, or less if the outermost taps are 0."""
        return max(
            max(abs(line.row.offset), *(abs(use.column) for use in line.uses))
            for line in self.lines
        )


class Kernel(Protocol):
    """One set of filters, as a layout needs it."""

    @property
    def name(self) -> str:
        """In C, without the prefix."""

    @property
    def summation(self) -> Summation:
        """The order of its sums."""

    @property
    def half(self) -> int:
        """The farthest that a row or column is off: K // 2, or less if the outermost taps are 0."""


K = TypeVar("K", bound=Kernel)


@dataclass(frozen=True)
class CLayout(ABC, Generic[K]):
    """Kernels and scratch memory of one program.

    Attributes
    ----------
    plan : Plan
        The program.
    kernels : dict
        Every set of filters, by what tells them apart.
    """

    plan: Plan
    kernels: dict[Any, K] = field(repr=False)

    @abstractmethod
    def kernels_of(self, step: Step) -> tuple[K | None, K]:
        """Return the wavelets of a step, None without any, and its smoothing."""

    @property
    @abstractmethod
    def cells(self) -> int:
        """Cells: of rows as kernels read them, folded and with their margins."""

    @property
    @abstractmethod
    def sums(self) -> int:
        """Sums that are in memory at a time."""

    @property
    def moduli_samples(self) -> int:
        """Samples of the moduli's rows that are in memory at a time."""
        return max(
            (
                len(step.orientations)
                * (2 * self.kernels_of(step)[1].half + 1)
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
    def shifts(self) -> int:
        """Shifts of Q15: in every group of a step of each modulus, then of each smoothed map."""
        return sum(
            step.groups * (count + max(1, count) * len(self.kernels_of(step)[1].summation.outputs))
            for step in self.plan.steps
            for count in [len(step.orientations)]
        )

    def scratch_bytes(self, sample_bytes: int, cell_bytes: int) -> int:
        """Return the size of the whole scratch memory."""
        samples = self.plan.workspace.size + self.moduli_samples + self.emitted_coefficients
        total = 4 * self.sums + cell_bytes * self.cells + sample_bytes * samples
        return -(-total // 4) * 4

    def correlations(self) -> Iterator[tuple[K, int, int, int]]:
        """Yield every kernel that a step applies, its source's width, the stride, the outputs."""
        for step in self.plan.steps:
            wavelets, smoothing = self.kernels_of(step)
            width = step.modulus_shape[1]
            if wavelets:
                yield wavelets, step.source.width, step.wavelet_stride, width
            yield smoothing, width, step.stride, step.size[1]


@dataclass(frozen=True)
class TableLayout(CLayout[CKernel]):
    """Kernels as tables, by (key, orientations), and their memory."""

    def kernels_of(self, step: Step) -> tuple[CKernel | None, CKernel]:
        """Return the wavelets of a step, None without any, and its smoothing."""
        wavelets = self.kernels[step.wavelets, step.orientations] if step.wavelets else None
        return wavelets, self.kernels[step.smoothing, None]

    @property
    def cells(self) -> int:
        """Cells: those of one folded row with its margins."""
        # Margins and width are rounded up to pairs: even and odd columns are kept apart.
        return max(
            2 * (-(-width // 2) + 2 * -(-kernel.half // 2))
            for kernel, width, _, _ in self.correlations()
        )

    @property
    def sums(self) -> int:
        """Sums that are in memory at a time: all of a row."""
        return max(kernel.summation.accumulators * n for kernel, _, _, n in self.correlations())


def kernel_name(bank: FilterBank, key: str, orientations: tuple[int, ...] | None) -> str:
    if orientations in (None, tuple(range(bank.L))):
        return key
    return f"{key}_{'_'.join(map(str, orientations))}"


def lay_out(plan: Plan, bank: FilterBank, integers: IntegerBank | None) -> TableLayout:
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
    check_tables(bank, kernels.values())
    layout = TableLayout(plan, kernels)
    check_program(layout)
    return layout


def check_kernels(bank: FilterBank, kernels: Iterable[Kernel]) -> None:
    """Refuse a bank whose filters the fields of c/kernel.h cannot hold."""
    summations = [kernel.summation for kernel in kernels]
    _refuse(
        "bank",
        bank.name,
        ("filters in one array", max(len(one.outputs) for one in summations), 255),
        ("sums in one array", max(one.accumulators for one in summations), 255),
        ("carried maps", max(one.maps for one in summations), 255),
        ("rows in a filter", max(one.size for one in summations), 255),
        ("rows in one array", max(len(one.rows) for one in summations), 65535),
    )


def check_tables(bank: FilterBank, kernels: Iterable[CKernel]) -> None:
    """Refuse a bank whose filters do not fit into tables."""
    kernels = list(kernels)
    check_kernels(bank, kernels)
    uses = max(len(line.uses) for kernel in kernels for line in kernel.lines)
    _refuse("bank", bank.name, ("uses of a row", uses, 255))


def check_program(layout: CLayout) -> None:
    """Refuse programs that the fields of c/step.h cannot hold."""
    _refuse("J", layout.plan.J, ("shifts", layout.shifts, 65535))


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
    name = kernel_name(bank, key, orientations)
    summation, weights = bank.summation(key, orientations)
    if integers:
        # In the same order, though some weights have become zero.
        weights = folded(summation, integers.taps(key, orientations))
    stretches = _stretches(summation)
    lines, order = [], []
    for number, row in enumerate(summation.rows):
        uses = []
        for stretch in (stretch for stretch in stretches if stretch[0].row == number):
            # The weights of several samples need registers too.
            at_once = AT_ONCE if len(stretch) == 1 else AT_ONCE // 2
            for start in range(0, len(stretch[0].terms), at_once):
                terms = [sample.terms[start : start + at_once] for sample in stretch]
                sums = tuple(sum_ for sum_, _ in terms[0])
                uses.append(Use(stretch[0].offset, len(stretch), stretch[-1].fold, sums))
                order += [index for some in terms for _, index in some]
        lines.append(Line(row, tuple(uses)))
    if not lines:  # Filters of nothing but zeros; C has no empty tables.
        lines, order, weights = [Line(Row(0, 0, 0), (Use(0, 1, 0, (0,)),))], [0], np.zeros(1)
    return CKernel(key, orientations, name, summation, tuple(lines), weights[order])


def _stretches(summation: Summation) -> list[tuple[Sample, ...]]:
    """Return the samples that are used together: those of a row, folded alike, or single ones.

    Single ones if any row has gaps or is long: loops of many lengths take more flash than they
    save in instructions.
    """
    half = max((abs(sample.offset) for sample in summation.samples), default=0)
    rows: dict[tuple[int, bool], list[Sample]] = {}
    for sample in summation.samples:
        rows.setdefault((sample.row, sample.fold < 0), []).append(sample)
    for (_, difference), row in rows.items():
        gapless = [sample.offset for sample in row] == list(range(int(difference), half + 1))
        if not gapless or len(row) > AT_ONCE or any(s.sums != row[0].sums for s in row):
            return [(sample,) for sample in summation.samples]
    return [tuple(row) for row in rows.values()]
