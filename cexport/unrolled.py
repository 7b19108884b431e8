"""Sums of filters written out: what is generated knows the pattern of the taps, not their values.

For every kernel there is a function that computes all of its sums, a chunk of outputs at a time,
from rows that are already folded and stored as cells, every row at a fixed distance from the one
before. Sums that share samples are kept in registers together.

Two orders are written out of the same `Summation`. In one a sample is folded with its mirror image
and then multiplied; compilers make vectors of several outputs of it. The other is for processors
that multiply two pairs of 16-bit numbers at once (`SMLAD`): two rows lie interleaved, columns are
not folded, and a product is that of a pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from cexport.integer_bank import LARGEST_MODULUS, IntegerBank, largest_read
from cexport.layout import CLayout, check_kernels, check_program, kernel_name
from cexport.rounding import folded
from cexport.text import array
from npscatter.bank import FilterBank
from npscatter.program.plan import Plan
from npscatter.program.steps import Step
from npscatter.program.summation import Row, Sample, Summation, make_summation

# Sums that are kept in registers together, at most.
MOST_SUMS = 4
# Outputs that are computed at once, where pairs are multiplied.
AT_ONCE = 2
# Outputs of a row that sums are kept of: of integers few, to save memory.
CHUNKS = {"q15": 8, "float": 64}
# Cells that are read in vain beyond the last row's margins.
SLACK = 4


@dataclass(frozen=True)
class Unrolled:
    """The order of one kernel's sums, written out.

    Attributes
    ----------
    summation : Summation
        What is summed.
    values : ndarray
        Its weights.
    paired : bool
        Whether rows are interleaved in pairs where the processor multiplies pairs.
    """

    summation: Summation
    values: np.ndarray
    paired: bool

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Numbers of the summation's rows in the order in which they lie in memory."""
        rows = range(len(self.summation.rows))
        return _paired(self._needs) if self.paired else tuple(rows)

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows, in that order; one, though it is not read, if filters are zero."""
        rows = tuple(self.summation.rows[number] for number in self.places)
        return rows or (Row(0, 0, 0),)

    @cached_property
    def groups(self) -> list[list[int]]:
        """Sums that are kept together: those that share samples, a few at a time."""
        joined = [{number} for number in range(self.summation.accumulators)]
        for sample in self.summation.samples:
            sharing = [one for one in joined if one & sample.sums]
            joined = [one for one in joined if one not in sharing] + [set().union(*sharing)]
        groups = []
        for members in sorted(map(sorted, joined)):
            count = -(-len(members) // MOST_SUMS)
            size = -(-len(members) // count)
            groups += [members[k : k + size] for k in range(0, len(members), size)]
        return groups

    @cached_property
    def _needs(self) -> list[set[tuple[int, int]]]:
        """Of every row, the sums and columns it is read for."""
        needs: list[set[tuple[int, int]]] = [set() for _ in self.summation.rows]
        for sample in self.summation.samples:
            for column in _columns(sample):
                needs[sample.row] |= {(number, column) for number in sample.sums}
        return needs

    def products(self) -> Iterator[tuple[list[int], list[tuple[Sample, list[tuple[int, float]]]]]]:
        """Yield each group, and its samples with the sums and weights each enters and has."""
        for group in self.groups:
            samples = []
            for sample in self.summation.samples:
                terms = [(n, float(self.values[k])) for n, k in sample.terms if n in group]
                if terms:
                    samples.append((sample, terms))
            yield group, samples

    def pairs(self) -> Iterator[tuple[list[int], list[tuple[int, int, list]]]]:
        """Yield each group, and its products of pairs.

        These are the number of a pair of rows, the column, and the sums with two weights each.
        """
        place = {number: place for place, number in enumerate(self.places)}
        taps: dict[tuple[int, int], dict[int, np.ndarray]] = {}
        for sample in self.summation.samples:
            at = place[sample.row]
            for column in _columns(sample):
                sign = sample.fold if column == -sample.offset and column else 1
                for number, index in sample.terms:
                    of_sum = taps.setdefault((at // 2, column), {})
                    of_sum.setdefault(number, np.zeros(2))[at % 2] += sign * self.values[index]
        for group in self.groups:
            products = []
            for (pair, column), of_sum in sorted(taps.items()):
                terms = [(number, of_sum[number]) for number in group if number in of_sum]
                if terms:
                    products.append((pair, column, terms))
            yield group, products


def _columns(sample: Sample) -> set[int]:
    """Return the columns that a sample is read at."""
    return {sample.offset, -sample.offset} if sample.fold else {sample.offset}


def _paired(needs: Sequence[set]) -> tuple[int, ...]:
    """Return rows in an order in which neighbours, two and two, are read for much the same.

    From the order they have, rows of two pairs are exchanged as long as that saves products.
    """
    order: list[int] = list(range(len(needs)))
    if len(order) % 2:
        order.append(-1)  # none
    empty: set = set()

    def cost(one: int, other: int) -> int:
        sets = [needs[number] if number >= 0 else empty for number in (one, other)]
        return len(sets[0] | sets[1])

    better = True
    while better:
        better = False
        for i, j in combinations(range(0, len(order), 2), 2):
            a, b, c, d = order[i], order[i + 1], order[j], order[j + 1]
            ways = (a, b, c, d), (a, c, b, d), (a, d, b, c)
            costs = [cost(*way[:2]) + cost(*way[2:]) for way in ways]
            best = ways[int(np.argmin(costs))]
            if min(costs) < costs[0]:
                order[i], order[i + 1], order[j], order[j + 1] = best
                better = True
    # A row alone comes last.
    pairs = [
        sorted(order[k : k + 2], reverse=-1 in order[k : k + 2]) for k in range(0, len(order), 2)
    ]
    pairs.sort(key=lambda pair: (-1 in pair, pair))
    return tuple(number for pair in pairs for number in pair if number >= 0)


@dataclass(frozen=True)
class UnrolledKernel:
    """One set of filters, written out for one stride.

    Attributes
    ----------
    key : str
        The bank's array.
    name : str
        In C, without the prefix.
    stride : int
        1 or 2.
    order : Unrolled
        Its sums.
    """

    key: str
    name: str
    stride: int
    order: Unrolled

    @property
    def summation(self) -> Summation:
        """The order of its sums."""
        return self.order.summation

    @property
    def half(self) -> int:
        """The farthest that a row or column is off."""
        rows, samples = self.summation.rows, self.summation.samples
        return max((max(abs(rows[s.row].offset), abs(s.offset)) for s in samples), default=0)

    @property
    def margin(self) -> int:
        """Cells in front of a row, and behind it."""
        return -(-self.half // self.stride)


@dataclass(frozen=True)
class UnrolledLayout(CLayout[UnrolledKernel]):
    """Kernels that are written out, by (key, orientations, stride), and their memory.

    All rows that a kernel reads lie there as cells.

    Attributes
    ----------
    chunk : int
        Outputs of a row that sums are kept of.
    """

    chunk: int

    def kernels_of(self, step: Step) -> tuple[UnrolledKernel | None, UnrolledKernel]:
        """Return the wavelets of a step, None without any, and its smoothing."""
        wavelets = step.wavelets, step.orientations, step.wavelet_stride
        return self.kernels.get(wavelets), self.kernels[step.smoothing, None, step.stride]

    def odd(self, kernel: UnrolledKernel) -> int:
        """Return the cells from a row's even columns to its odd ones; 0 if these are together."""
        return 0 if kernel.stride == 1 else -(-self._width(kernel) // 2) + 2 * kernel.margin

    def pitch(self, kernel: UnrolledKernel) -> int:
        """Return the cells from one row to the next."""
        width = -(-self._width(kernel) // kernel.stride)
        return self.odd(kernel) + width + 2 * kernel.margin

    def _width(self, kernel: UnrolledKernel) -> int:
        """Return the width of the widest map that a kernel reads."""
        return max(width for k, width, _, _ in self.correlations() if k is kernel)

    @property
    def cells(self) -> int:
        """Cells: those of all rows of a kernel."""
        kernels = self.kernels.values()
        return SLACK + max(2 * -(-len(k.order.rows) // 2) * self.pitch(k) for k in kernels)

    @property
    def sums(self) -> int:
        """Sums that are in memory at a time: of a chunk."""
        return self.chunk * max(k.summation.accumulators for k in self.kernels.values())


def lay_out_unrolled(plan: Plan, bank: FilterBank, integers: IntegerBank | None) -> UnrolledLayout:
    """Return a plan's kernels written out; parameters as for `cexport.layout.lay_out`."""
    strides: dict[tuple[str, tuple[int, ...] | None], set[int]] = {}
    for step in plan.steps:
        if step.wavelets:
            strides.setdefault((step.wavelets, step.orientations), set()).add(step.wavelet_stride)
        strides.setdefault((step.smoothing, None), set()).add(step.stride)
    kernels = {}
    for (key, outputs), some in strides.items():
        order = _order(bank, integers, key, outputs)
        for stride in sorted(some):
            name = kernel_name(bank, key, outputs) + (f"_by_{stride}" if len(some) > 1 else "")
            kernels[key, outputs, stride] = UnrolledKernel(key, name, stride, order)
    check_kernels(bank, kernels.values())
    layout = UnrolledLayout(plan, kernels, CHUNKS["q15" if integers else "float"])
    check_program(layout)
    return layout


def _order(
    bank: FilterBank,
    integers: IntegerBank | None,
    key: str,
    orientations: tuple[int, ...] | None,
) -> Unrolled:
    # Two rows of moduli do not fit within 16 bits.
    if integers and largest_read(bank, key) == LARGEST_MODULUS:
        taps = integers.taps(key, orientations)
        summation, weights = make_summation(taps, bank.symmetric, fold_rows=False)
    else:
        summation, weights = bank.summation(key, orientations)
        if integers:
            weights = folded(summation, integers.taps(key, orientations))
    return Unrolled(summation, weights, paired=integers is not None)


class Writer:
    """Writes the C of one kernel: its weights, and the function that sums.

    Parameters
    ----------
    name : str
        The kernel's.
    order : Unrolled
        Its sums.
    pitch, odd : int
        Cells from one row to the next, and from a row's even columns to its odd ones; 0 if these
        are together.
    literal : callable
        Writes a weight.
    """

    def __init__(
        self, name: str, order: Unrolled, pitch: int, odd: int, literal: Callable[[float], str]
    ):
        self.name, self.order, self.literal = name, order, literal
        self.pitch, self.odd = pitch, odd
        self.place = {number: place for place, number in enumerate(order.places)}

    def text(self) -> list[str]:
        """Return the weights and the function, where pairs are multiplied and elsewhere."""
        plain = self._function("pfx_weight", *self._plain())
        if not self.order.paired:
            return plain
        paired = self._function("PFX_ALIGNED pfx_weight", *self._paired())
        return ["#ifdef PFX_PAIRS", *paired, "#else", *plain, "#endif"]

    def _function(self, kind: str, body: list[str], weights: list[float]) -> list[str]:
        return [
            *array(kind, f"{self.name}_weights", map(self.literal, weights or [0])),
            "",
            f"static PFX_UNROLLED void {self.name}_sum(const pfx_cell *PFX_RESTRICT cells,",
            "    const pfx_weight *PFX_RESTRICT w, pfx_sum *PFX_RESTRICT sums, int32_t n)",
            "{",
            *body,
            "}",
        ]

    def _plain(self) -> tuple[list[str], list[float]]:
        """Return a loop for every group of sums, and the weights in their order."""
        text: list[str] = []
        weights: list[float] = []
        for group, samples in self.order.products():
            text += ["    PFX_INDEPENDENT", "    for (int32_t x = 0; x < n; x += PFX_LANES) {"]
            text += ["        const pfx_cell *const c = cells + x;"] if samples else []
            text += [f"        pfx_lanes sum{number} = PFX_ZERO;" for number in group]
            for sample, terms in samples:
                text.append(f"        const pfx_lanes cell{len(weights)} = {self._sample(sample)};")
                name = f"cell{len(weights)}"
                for number, weight in terms:
                    product = f"PFX_MULTIPLY_ADD(sum{number}, {name}, w[{len(weights)}])"
                    text.append(f"        sum{number} = {product};")
                    weights.append(weight)
            text += [f"        PFX_STORE(sums + {n} * PFX_CHUNK + x, sum{n});" for n in group]
            text += ["    }"]
        return text, weights

    def _paired(self) -> tuple[list[str], list[float]]:
        """Return the same of pairs."""
        text: list[str] = []
        weights: list[float] = []
        at_once = range(AT_ONCE)
        for group, products in self.order.pairs():
            text.append(f"    for (int32_t x = 0; x < n; x += {AT_ONCE}) {{")
            text += ["        const pfx_cell *const c = cells + 2 * x;"] if products else []
            text += [f"        pfx_sum sum{number}_{u} = 0;" for number in group for u in at_once]
            for pair, column, terms in products:
                at = 2 * (pair * self.pitch + self._column(column))
                for number, values in terms:
                    name = f"pair{len(weights)}"
                    text.append(f"        const uint32_t {name} = pfx_pair(w + {len(weights)});")
                    for u in at_once:
                        total = f"sum{number}_{u}"
                        cells = f"pfx_pair(c + {at + 2 * u})"
                        text.append(f"        {total} = PFX_DOT({cells}, {name}, {total});")
                    weights += list(values)
            for number in group:
                text += [
                    f"        sums[{number} * PFX_CHUNK + x + {u}] = sum{number}_{u};"
                    for u in at_once
                ]
            text += ["    }"]
        return text, weights

    def _sample(self, sample: Sample) -> str:
        """Return a sample, folded or not, of as many outputs as are computed at once."""
        row = self.place[sample.row] * self.pitch
        at, opposite = (
            f"PFX_LOAD(c + {row + self._column(column)})"
            for column in (sample.offset, -sample.offset)
        )
        names = {0: "{0}", 1: "PFX_ADD({0}, {1})", -1: "PFX_SUBTRACT({0}, {1})"}
        return names[sample.fold].format(at, opposite)

    def _column(self, column: int) -> int:
        """Return where in its row a column is."""
        if not self.odd:
            return column
        return self.odd + (column - 1) // 2 if column % 2 else column // 2
