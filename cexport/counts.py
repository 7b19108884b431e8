"""How often a header does what takes instructions, and how much of what takes flash, by its parts.

Counted is what the C of one layout does on one kind of processor: instructions and bytes follow
from these numbers times what each costs there, which `cexport.estimates` knows. The parts are the
kernels, by the bank's arrays, the moduli, and the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from cexport.configuration import Configuration
from cexport.layout import CKernel, TableLayout
from cexport.unrolled import AT_ONCE, UnrolledKernel, UnrolledLayout
from npscatter.program.steps import WEIGHT_ARRAYS, Step

# Bytes of an entry of each table on a 32-bit machine; see the types in c/kernel.h and c/step.h.
ENTRY_BYTES = {
    True: {"line": 3, "output": 3, "kernel": 28, "use": 0, "sum": 0},
    False: {"line": 4, "output": 3, "kernel": 28, "use": 2, "sum": 1},
}
STEP_BYTES = {"float": 40, "q15": 44}
CHANNEL_BYTES, PLACE_BYTES = 2, 2
MODULI, REST = "moduli", "image and output"
PARTS = (*WEIGHT_ARRAYS, MODULI, REST)
# Outputs in a vector of the processors that have such.
LANES = 4


@dataclass(frozen=True)
class Processor:
    """What decides which of the C a processor takes, and how often its loops turn.

    Attributes
    ----------
    name : str
        As compilers have it, "cortex-m4".
    dsp : bool
        It has Arm's DSP extension.
    vectors : bool
        It has vectors of four numbers (MVE), and the compiler was told to use them (-O3).
    """

    name: str
    dsp: bool = False
    vectors: bool = False

    @property
    def pairs(self) -> bool:
        """Whether two pairs of 16-bit numbers are multiplied at once."""
        return self.dsp and not self.vectors

    @property
    def short_name(self) -> str:
        """As tables have it, "M4"."""
        return self.name.removeprefix("cortex-").upper()


PROCESSORS = {
    processor.name: processor
    for processor in (
        Processor("cortex-m0"),
        Processor("cortex-m4", dsp=True),
        Processor("cortex-m7", dsp=True),
        Processor("cortex-m55", dsp=True, vectors=True),
    )
}


@dataclass(frozen=True)
class Application:
    """A kernel applied in a step.

    Attributes
    ----------
    kernel : CKernel or UnrolledKernel
        The filters.
    step : Step
        The step.
    width : int
        Of the maps that are read.
    stride : int
        1 or 2.
    rows, columns : int
        Rows of outputs, of all groups together, and the outputs in each.
    """

    kernel: CKernel | UnrolledKernel
    step: Step
    width: int
    stride: int
    rows: int
    columns: int


def applications(layout: TableLayout | UnrolledLayout) -> Iterator[Application]:
    """Yield every application of a kernel, in the order of the program."""
    for step in layout.plan.steps:
        wavelets, smoothing = layout.kernels_of(step)
        columns = step.modulus_shape[1]
        if wavelets:
            rows = step.groups * _modulus_rows(step, smoothing.half, layout.plan.edge)
            source = step.source.width
            yield Application(wavelets, step, source, step.wavelet_stride, rows, columns)
        rows = step.groups * max(1, len(step.orientations)) * step.size[0]
        yield Application(smoothing, step, columns, step.stride, rows, step.size[1])


def _modulus_rows(step: Step, half: int, edge: str) -> int:
    """Return the rows of moduli of one group: those at the edge are computed again to wrap."""
    first = step.first[0] * step.stride - half
    last = (step.first[0] + step.size[0] - 1) * step.stride + half
    if edge == "zero":
        first, last = max(first, 0), min(last, step.modulus_shape[0] - 1)
    return last - first + 1


class Counts:
    """What a header does and holds, by its parts.

    Parameters
    ----------
    configuration : Configuration
        What the header is for.
    layout : TableLayout or UnrolledLayout
        Its layout.
    processor : Processor
        Where it runs.

    Attributes
    ----------
    work : dict of str to Counter
        By part, how often what is done to one image.
    code : dict of str to Counter
        By part, how much of what the code is made of.
    tables : dict of str to int
        By part, the bytes of constants.
    stack : Counter
        What decides how much stack the deepest call takes.
    """

    def __init__(
        self,
        configuration: Configuration,
        layout: TableLayout | UnrolledLayout,
        processor: Processor,
    ):
        self.layout, self.processor = layout, processor
        self.plan, self.q15 = configuration.plan, configuration.dtype == "q15"
        self.work: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
        self.code: dict[str, Counter[str]] = {part: Counter() for part in PARTS}
        self.tables = dict.fromkeys(PARTS, 0)
        self.stack = Counter({"calls": 1})
        self._written: set[str] = set()
        for application in applications(layout):
            self._apply(application)
        for kernel in layout.kernels.values():
            self._hold(kernel)
        self._add_rest()

    @cached_property
    def paired(self) -> bool:
        """Whether products are those of pairs."""
        return self.processor.pairs and self.q15 and isinstance(self.layout, UnrolledLayout)

    def turns(self, outputs: int) -> tuple[int, int]:
        """Return how often a loop over so many outputs of a row turns, and for how many left over.

        Where the compiler made the vectors, it does one by one what fills none.
        """
        if self.paired:
            return -(-outputs // AT_ONCE), 0
        if not self.processor.vectors:
            return outputs, 0
        if self.q15 and isinstance(self.layout, UnrolledLayout):
            return -(-outputs // LANES), 0
        return divmod(outputs, LANES)

    def _apply(self, application: Application) -> None:
        kernel, rows = application.kernel, application.rows
        work, summation = self.work[kernel.key], kernel.summation
        lines = self._lines(kernel)
        work["rows"] += rows * len(lines)
        margin = 2 * application.stride * -(-kernel.half // application.stride)
        # Two at a time, where pairs are multiplied and no row may be missing.
        cells = "interleaved" if self.paired and self.plan.edge == "wrap" else "cells"
        work[cells] += rows * len(lines) * (application.width + margin)
        work["folded cells"] += rows * sum(map(bool, lines)) * application.width
        chunks = self._chunks(application.columns)
        operations = self._operations(kernel)
        for outputs, times in chunks.items():
            times *= rows
            turns, left_over = self.turns(outputs)
            work["loops"] += times * operations["loops"]
            for name in operations.keys() - {"loops"}:
                work[name] += times * turns * operations[name]
            work["left-over products"] += times * left_over * operations["products"]
        samples = rows * application.columns
        # Sums are stored, some of them joined, and those that are no wavelets' become samples.
        passes = summation.accumulators + 2 * sum(sign > 0 for _, _, sign in summation.outputs)
        if WEIGHT_ARRAYS[kernel.key].is_complex:
            self.work[MODULI]["moduli"] += len(summation.outputs) // 2 * samples
        else:
            passes += len(summation.outputs)
        work["results"] += passes * samples

    def _chunks(self, columns: int) -> Counter[int]:
        """Return into how many outputs a row is cut, and how often."""
        if isinstance(self.layout, TableLayout):
            return Counter({columns: 1})
        whole, rest = divmod(columns, self.layout.chunk)
        return +Counter({self.layout.chunk: whole}) + +Counter({rest: int(rest > 0)})

    @staticmethod
    def _lines(kernel: CKernel | UnrolledKernel) -> list[int]:
        """Return how each row that a kernel reads is folded."""
        if isinstance(kernel, CKernel):
            return [line.row.fold for line in kernel.lines]
        return [row.fold for row in kernel.order.rows]

    def _operations(self, kernel: CKernel | UnrolledKernel) -> Counter[str]:
        """Return what is done for every output, and how many loops there are over outputs."""
        if isinstance(kernel, CKernel):
            uses = [use for line in kernel.lines for use in line.uses]
            return Counter(
                {
                    "loops": len(uses),
                    "products": sum(use.samples * len(use.sums) for use in uses),
                    "samples": sum(use.samples for use in uses),
                    "folds": sum(use.samples * abs(use.fold) for use in uses),
                    "sums": sum(len(use.sums) for use in uses),
                }
            )
        order = kernel.order
        counts = Counter({"loops": len(order.groups)})
        if self.paired:
            for _, pairs in order.pairs():
                counts["samples"] += len(pairs)
                counts["products"] += sum(len(terms) for _, _, terms in pairs)
        else:
            for _, samples in order.products():
                counts["samples"] += len(samples)
                counts["folds"] += sum(abs(sample.fold) for sample, _ in samples)
                counts["products"] += sum(len(terms) for _, terms in samples)
        return counts

    def _hold(self, kernel: CKernel | UnrolledKernel) -> None:
        sizes = ENTRY_BYTES[isinstance(self.layout, UnrolledLayout)]
        operations = self._operations(kernel)
        weights = operations["products"] * (2 if self.paired else 1)
        self.tables[kernel.key] += (
            sizes["kernel"]
            + len(self._lines(kernel)) * sizes["line"]
            + len(kernel.summation.outputs) * sizes["output"]
            + weights * (2 if self.q15 else 4)
        )
        if isinstance(kernel, CKernel):
            uses = operations["loops"] * sizes["use"]
            entries = sum(len(use.sums) for line in kernel.lines for use in line.uses)
            self.tables[kernel.key] += uses + entries * sizes["sum"]
        else:
            self._write(kernel, operations)

    def _write(self, kernel: UnrolledKernel, operations: Counter[str]) -> None:
        """Count the code of a kernel's sums, and what they keep in registers or on the stack."""
        order, layout = kernel.order, cast(UnrolledLayout, self.layout)
        loops = [
            [(order.places.index(s.row), s.offset, s.fold, [n for n, _ in t]) for s, t in samples]
            for _, samples in order.products()
        ]
        for loop in loops:
            products = sum(len(numbers) for *_, numbers in loop)
            samples = sum(1 + abs(fold) for _, _, fold, _ in loop)
            for name, count in (("products", products), ("samples", samples)):
                self.stack[name] = max(self.stack[name], count)
        # Compilers merge functions that are alike, but for those they are told to treat apart.
        alike = repr((layout.pitch(kernel), layout.odd(kernel), loops))
        if alike not in self._written or (self.q15 and self.processor.dsp):
            self.code[kernel.key] += operations
        self._written.add(alike)

    def _add_rest(self) -> None:
        plan = self.plan
        work, code = self.work[REST], self.code[REST]
        work["copied"] += plan.padded_shape[0] * plan.padded_shape[1] + plan.channel_starts[-1]
        code[f"{plan.edge} edge"] += 1
        if isinstance(self.layout, TableLayout):
            code["kinds"] += len(self._kinds())
        channels = sum(len(step.channels) for step in plan.steps)
        self.tables[REST] += (
            len(plan.steps) * STEP_BYTES["q15" if self.q15 else "float"]
            + channels * CHANNEL_BYTES
            + self.layout.shifts * self.q15
            + sum(plan.padded_shape) * PLACE_BYTES
        )

    def _kinds(self) -> set[tuple[int, int, int, int]]:
        """Return the loops that tables are read in."""
        return {
            (use.samples, len(use.sums), use.fold, application.stride)
            for application in applications(self.layout)
            if isinstance(application.kernel, CKernel)
            for line in application.kernel.lines
            for use in line.uses
        }
