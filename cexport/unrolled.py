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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from cexport.text import array
from npscatter.program.summation import Row, Sample, Summation

# Sums that are kept in registers together, at most.
MOST_SUMS = 4
# Outputs that are computed at once, where pairs are multiplied.
AT_ONCE = 2


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
        """The rows, in that order."""
        return tuple(self.summation.rows[number] for number in self.places)

    @cached_property
    def groups(self) -> list[list[int]]:
        """Sums that are kept together: those that share samples, a few at a time."""
        joined: list[set[int]] = []
        for sample in self.summation.samples:
            sums = sample.sums
            for other in [one for one in joined if one & sums]:
                joined.remove(other)
                sums = sums | other
            joined.append(sums)
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

    def products(self) -> Iterator[tuple[list[int], list[tuple[Sample, list[tuple[int, int]]]]]]:
        """Yield each group, and its samples with (sum, place of the weight) each."""
        place = 0
        for group in self.groups:
            samples = []
            for sample in self.summation.samples:
                terms = []
                for number, _ in sample.terms:
                    if number in group:
                        terms.append((number, place))
                        place += 1
                if terms:
                    samples.append((sample, terms))
            yield group, samples

    @property
    def weights(self) -> np.ndarray:
        """The weights in the order of `products`."""
        order = [
            index
            for group in self.groups
            for sample in self.summation.samples
            for number, index in sample.terms
            if number in group
        ]
        return self.values[order]

    def pairs(self) -> Iterator[tuple[list[int], list[tuple[int, int, list[int], np.ndarray]]]]:
        """Yield each group, and its products of pairs.

        These are the number of a pair of rows, the column, the sums, and the weights of the sums,
        two each.
        """
        place = {number: place for place, number in enumerate(self.places)}
        taps: dict[tuple[int, int, int], np.ndarray] = {}
        for sample in self.summation.samples:
            at = place[sample.row]
            for column in _columns(sample):
                sign = sample.fold if column == -sample.offset and column else 1
                for number, index in sample.terms:
                    pair = taps.setdefault((at // 2, column, number), np.zeros(2))
                    pair[at % 2] += sign * self.values[index]
        for group in self.groups:
            places = sorted({key[:2] for key in taps if key[2] in group})
            products = []
            for at, column in places:
                sums = [number for number in group if (at, column, number) in taps]
                values = np.concatenate([taps[at, column, number] for number in sums])
                products.append((at, column, sums, values))
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
    pairs = [sorted(order[k : k + 2], reverse=-1 in order[k : k + 2]) for k in range(0, len(order), 2)]
    pairs.sort(key=lambda pair: (-1 in pair, pair))
    return tuple(number for pair in pairs for number in pair if number >= 0)


class Writer:
    """Writes the C of one kernel: its weights, and a function for every stride.

    Parameters
    ----------
    name : str
        The kernel's, without the prefix.
    order : Unrolled
        Its sums.
    pitch, odd : int
        Cells from one row to the next, and from a row's even columns to its odd ones, where every
        other is wanted.
    literal : callable
        Writes a weight.
    """

    def __init__(self, name, order: Unrolled, pitch: int, odd: int, literal):
        self.name, self.order, self.literal = name, order, literal
        self.pitch, self.odd = pitch, odd
        self.place = {number: place for place, number in enumerate(order.places)}

    def tables(self) -> list[str]:
        """Return the definition of the weights."""
        name, literal = f"pfx_{self.name}_weights", self.literal
        plain = array("pfx_weight", name, map(literal, self.order.weights))
        if not self.order.paired:
            return plain
        pairs = [v for _, products in self.order.pairs() for *_, values in products for v in values]
        paired = array("PFX_ALIGNED pfx_weight", name, map(literal, pairs))
        return ["#ifdef PFX_PAIRS", *paired, "#else", *plain, "#endif"]

    def function(self, stride: int) -> list[str]:
        """Return the function for a stride."""
        plain = [line for group in self.order.products() for line in self._plain(stride, *group)]
        if self.order.paired:
            start, paired = 0, []
            for group, products in self.order.pairs():
                paired += self._pairs(stride, group, products, start)
                start += sum(len(values) for *_, values in products)
            plain = ["#ifdef PFX_PAIRS", *paired, "#else", *plain, "#endif"]
        return [
            f"static PFX_UNROLLED void pfx_{self.name}_by_{stride}(",
            "    const pfx_cell *PFX_RESTRICT cells, const pfx_weight *PFX_RESTRICT w,",
            "    pfx_sum *PFX_RESTRICT sums, int32_t n)",
            "{",
            *plain,
            "}",
        ]

    def _plain(self, stride: int, group: list[int], samples) -> list[str]:
        text = ["    PFX_INDEPENDENT", "    for (int32_t x = 0; x < n; x += PFX_LANES) {"]
        text += ["        const pfx_cell *const c = cells + x;", "        pfx_lanes t;"]
        text += [f"        pfx_lanes s{number} = PFX_ZERO;" for number in group]
        for sample, terms in samples:
            at = self.place[sample.row] * self.pitch
            value = f"PFX_LOAD(c + {at + self._column(sample.offset, stride)})"
            if sample.fold:
                name = "PFX_ADD" if sample.fold > 0 else "PFX_SUBTRACT"
                other = f"PFX_LOAD(c + {at + self._column(-sample.offset, stride)})"
                value = f"{name}({value}, {other})"
            sums = " ".join(f"s{n} = PFX_MULTIPLY_ADD(s{n}, t, w[{at}]);" for n, at in terms)
            text.append(f"        t = {value}; {sums}")
        text += [f"        PFX_STORE(sums + {n} * PFX_CHUNK + x, s{n});" for n in group]
        return [*text, "    }"]

    def _pairs(self, stride: int, group: list[int], products, start: int) -> list[str]:
        text = [f"    for (int32_t x = 0; x < n; x += {AT_ONCE}) {{"]
        text += ["        const pfx_cell *const c = cells + 2 * x;", "        uint32_t v;"]
        at_once = range(AT_ONCE)
        for number in group:
            text.append("        pfx_sum " + ", ".join(f"s{number}{u} = 0" for u in at_once) + ";")
        weight = start
        for at, column, sums, _ in products:
            one = 2 * (at * self.pitch + self._column(column, stride))
            for number in sums:
                dots = " ".join(
                    f"s{number}{u} = PFX_DOT(pfx_pair(c + {one + 2 * u}), v, s{number}{u});"
                    for u in at_once
                )
                text.append(f"        v = pfx_pair(w + {weight}); {dots}")
                weight += 2
        for number in group:
            for u in at_once:
                text.append(f"        sums[{number} * PFX_CHUNK + x + {u}] = s{number}{u};")
        return [*text, "    }"]

    def _column(self, column: int, stride: int) -> int:
        """Return where in its row a column is; odd ones are apart where every other is wanted."""
        if stride == 1:
            return column
        return self.odd + (column - 1) // 2 if column % 2 else column // 2
