"""Machine code for one row of a correlation, unrolled from a `Summation`.

Compilers do not vectorise loops over taps that are read from an array, so these loops are written
out as straight vector code. What is compiled knows the pattern of the taps, never their values:
weights are an argument.

A row is a sequence of vectors, one per column; what lies in the lanes of a vector (pixels of as
many images, or of as many strips of one image's row) is not known here. So the next column is
always the next vector, every load is aligned, and no column is ever masked or shuffled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from npscatter.backends.cpu.simd import INDEX, SimdEmitter, registers, vector_bytes
from npscatter.backends.jit_cache import compile_cached, source_digest
from npscatter.program.summation import Sample, Summation

# Modules that decide what is compiled, here and in the interpreter.
SOURCES = (
    "npscatter.program.summation",
    "npscatter.program.magnitude",
    "npscatter.backends.cpu.records",
    "npscatter.backends.cpu.simd",
    "npscatter.backends.cpu.row_codegen",
    "npscatter.backends.cpu.magnitudes",
    "npscatter.backends.cpu.emission",
    "npscatter.backends.cpu.strips",
    "npscatter.backends.cpu.interpreter",
)


def code_version() -> str:
    """Return what the wing's compiled code depends on, whatever it is compiled for.

    As part of what is compiled it keeps a cache on disk from giving back code for other sources or
    other vectors.
    """
    return f"{source_digest(SOURCES)} {vector_bytes()} {registers()}"


# The most columns that are summed side by side.
UNROLLED = 4
# Outputs of a block, for which rows are folded into scratch memory: a power of two.
BLOCK = 32


@dataclass(frozen=True)
class RowKernel:
    """One weight array, as a row of its correlation is computed: all that its code depends on.

    Attributes
    ----------
    summation : Summation
        The order of the sums.
    modulus : bool
        The outputs are real parts, then imaginary parts, of which the modulus is stored.
    stride : int
        1 or 2.
    dtype : str
        "float32" or "float64".
    """

    summation: Summation
    modulus: bool
    stride: int
    dtype: str

    @property
    def radius(self) -> int:
        """Columns and rows a window reaches to each side."""
        return self.summation.size // 2

    @property
    def outputs(self) -> int:
        """Maps that are stored."""
        return len(self.summation.outputs) // (2 if self.modulus else 1)

    @property
    def scratch(self) -> int:
        """Vectors of scratch memory: squares of moduli, one to spare, parked sums, folded rows."""
        sums = self.columns_unrolled * (self.outputs + self.summation.accumulators)
        return 1 + sums + len(self.folded_rows) * self.folded_row_vectors

    @cached_property
    def columns_unrolled(self) -> int:
        """Columns summed side by side, which share weights and samples."""
        # Measured: many sums hide each other's latency, few need those of the next columns. Where
        # vectors are long, code for more columns at once outgrows what is kept of it decoded.
        sums = self.summation.accumulators
        if registers() < 32:
            return 2 if sums >= 8 else UNROLLED
        return 1 if sums >= 8 else 2 if sums > 2 else UNROLLED

    @cached_property
    def passes(self) -> list[set[int]]:
        """Accumulators that are summed together.

        If there are too many for the registers, those that share no row are summed apart, or at
        least those that share no sample, for then little is loaded twice; as many as fit together.
        """
        most = max(1, min(20, (registers() - 1) // self.columns_unrolled - 1))
        everything, samples = set(range(self.summation.accumulators)), self.summation.samples
        groups = [everything]
        if len(everything) > most:
            groups = []
            for group in self._apart(everything, [sample.row for sample in samples]):
                apart = self._apart(group, range(len(samples))) if len(group) > most else [group]
                groups += apart
        passes: list[set[int]] = []
        for group in groups:
            members, count = sorted(group), -(-len(group) // most)
            size = -(-len(members) // count)
            for part in (set(members[k : k + size]) for k in range(0, len(members), size)):
                if passes and len(passes[-1]) + len(part) <= most:
                    passes[-1] |= part
                else:
                    passes.append(part)
        return passes

    def _apart(self, accumulators: set[int], keys: Iterable[int]) -> list[set[int]]:
        """Part accumulators into groups no two of which read samples of the same key."""
        readers: dict[int, set[int]] = {}
        for key, sample in zip(keys, self.summation.samples, strict=True):
            readers[key] = readers.get(key, set()) | (sample.sums & accumulators)
        groups: list[set[int]] = []
        for joined in filter(None, readers.values()):
            for other in [group for group in groups if group & joined]:
                groups.remove(other)
                joined |= other
            groups.append(joined)
        return groups

    @cached_property
    def partial_sums(self) -> int:
        """Sums an accumulator is split into, by rows, so that enough products are independent.

        Wavelets' are not: how many share a pass depends on the orientations of a round, what an
        image's coefficients are must not.
        """
        if self.modulus:
            return 1
        return max(1, min(4, 8 // (self.columns_unrolled * min(map(len, self.passes)))))

    @cached_property
    def folded_rows(self) -> dict[int, int]:
        """Rows that are folded once for all their readers, and their place in scratch memory."""
        # Measured: that is worth its stores where five columns and more are read of the row, and
        # sums are so many that there is other work meanwhile.
        rows = enumerate(self.summation.rows)
        kept = [n for n, row in rows if row.fold and len(self.columns_read(n)) > 4]
        if self.summation.accumulators < 8:
            kept = []
        return {number: place for place, number in enumerate(kept)}

    def columns_read(self, number: int) -> set[int]:
        """Return which columns of a row are read, from that of the output."""
        samples = [sample for sample in self.summation.samples if sample.row == number]
        return {sign * s.offset for s in samples for sign in (1, -1 if s.fold else 1)}

    @cached_property
    def reach(self) -> int:
        """Columns of folded rows that are read to each side of the output's."""
        return max(
            (abs(k) for number in self.folded_rows for k in self.columns_read(number)), default=0
        )

    @property
    def folded_row_vectors(self) -> int:
        """Vectors of a folded row that are kept."""
        return self.stride * BLOCK + 2 * self.reach

    @cached_property
    def digest(self) -> str:
        """A name for the machine code: equal only if the code is."""
        return hashlib.sha256(f"{code_version()} {self!r}".encode()).hexdigest()[:24]


# Compiled functions refer to their `RowKernel` by its digest, which a cache on disk can hold.
_KERNELS: dict[str, RowKernel] = {}


@lru_cache(maxsize=256)
def compiled_row(kernel: RowKernel) -> CFunc:
    """Return a C function that computes one row of every output map of `kernel`.

    Its arguments are int64: `rows`, the address of a table with the address of column 0 of each
    source row (map by map, from y - radius to y + radius); `skip`, the elements from there to the
    column of the first output; the addresses of `scratch`, `weights` and `out`; `vectors`, how
    many outputs, of which a multiple of `columns_unrolled` is written; `out_stride`, the elements
    between output maps.
    """
    digest = kernel.digest
    _KERNELS[digest] = kernel

    def row(rows, skip, scratch, weights, out, vectors, out_stride):
        _row(digest, rows, skip, scratch, weights, out, vectors, out_stride)

    code = CFunc(row, ((types.int64,) * 7, types.void), locals={}, options={})
    compile_cached(code, code.compile, of_a_bank=True)
    return code


@intrinsic(prefer_literal=True)
def _row(typing, digest, rows, skip, scratch, weights, out, vectors, out_stride):
    kernel = _KERNELS[digest.literal_value]

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, kernel.dtype)
        _, table, skip, *addresses, vectors, out_stride = values
        rows = _row_pointers(emit, kernel, table, skip)
        scratch, weights, out = (emit.pointer(address) for address in addresses)
        unrolled = emit.index(kernel.columns_unrolled)
        turns = builder.add(vectors, emit.index(kernel.columns_unrolled - 1))
        turns = builder.sdiv(turns, unrolled)
        _RowLoop(emit, kernel, rows, weights, scratch, out, out_stride).emit_loop(turns)
        return context.get_dummy_value()

    return types.void(digest, *[types.int64] * 7), generate


def _row_pointers(emit: SimdEmitter, kernel: RowKernel, table, skip) -> dict:
    """Return where each source row is read for the first output, by (map, offset)."""
    table = emit.builder.inttoptr(table, INDEX.as_pointer())
    rows = {}
    for row in kernel.summation.rows:
        for offset in {row.offset, -row.offset if row.fold else row.offset}:
            number = row.map * kernel.summation.size + kernel.radius + offset
            address = emit.builder.load(emit.at(table, number))
            rows[row.map, offset] = emit.at(emit.pointer(address), skip)
    return rows


class _FoldedRows:
    """Emits the folding of `RowKernel.folded_rows` into scratch memory, a turn's columns at a time.

    Of a row a block is kept: the columns of BLOCK outputs, and `reach` more on both sides. Those in
    front of the turn's first output, and as many behind it, are folded when a block starts.
    """

    def __init__(self, emit: SimdEmitter, kernel: RowKernel, rows, memory):
        self.emit, self.kernel, self.rows, self.memory = emit, kernel, rows, memory
        self.source = self.place = emit.index(0)  # elements to the turn's first output
        self.pairs: dict[tuple[int, int], list[int]] = {}  # what is folded of two rows
        for number in kernel.folded_rows:
            row = kernel.summation.rows[number]
            self.pairs.setdefault((row.map, row.offset), []).append(number)
        self.due: set[tuple[int, int]] = set()

    def start_turn(self, turn, source) -> None:
        """Begin a turn, whose first output stands at element `source` of the rows."""
        emit, builder, kernel = self.emit, self.emit.builder, self.kernel
        self.due = set(self.pairs)
        if not self.due:
            return
        inside = builder.and_(turn, emit.index(BLOCK // kernel.columns_unrolled - 1))
        step = kernel.stride * emit.width
        self.source = source
        self.place = builder.mul(inside, emit.index(kernel.columns_unrolled * step))
        with builder.if_then(builder.icmp_signed("==", inside, emit.index(0))):
            turns = emit.index(2 * kernel.reach // kernel.stride)
            with cgutils.for_range(builder, turns, intp=INDEX) as loop:
                shift = builder.mul(loop.index, emit.index(step))
                for pair in self.pairs:
                    self.fold(pair, -kernel.reach, kernel.stride, shift)

    def fold(self, pair: tuple[int, int], first: int, columns: int, shift) -> None:
        """Fold so many columns of a pair of rows, from `first` and `shift` elements further."""
        emit, builder, kernel = self.emit, self.emit.builder, self.kernel
        source, place = builder.add(self.source, shift), builder.add(self.place, shift)
        upper, lower = self.rows[pair[0], pair[1]], self.rows[pair[0], -pair[1]]
        for column in range(first, first + columns):
            readers = [
                number
                for number in self.pairs[pair]
                if any((column - k) % kernel.stride == 0 for k in kernel.columns_read(number))
            ]
            if readers:
                x = builder.add(source, emit.index(column * emit.width))
                one, other = emit.load(emit.at(upper, x)), emit.load(emit.at(lower, x))
                for number in readers:
                    value = emit.folded(one, other, kernel.summation.rows[number].fold)
                    emit.store(value, self.at(number, column, place))
        # Or what was stored would be kept in registers until it is loaded.
        emit.barrier()

    def load(self, number: int, column: int):
        """Load a column, counted from the turn's first output, of row `number`."""
        row, kernel = self.kernel.summation.rows[number], self.kernel
        if (pair := (row.map, row.offset)) in self.due:
            self.due.remove(pair)
            columns = kernel.stride * kernel.columns_unrolled
            self.fold(pair, kernel.reach, columns, self.emit.index(0))
        return self.emit.load(self.at(number, column, self.place))

    def at(self, number: int, column: int, place):
        """Return where the folded row `number` has a column."""
        start = (
            self.kernel.folded_rows[number] * self.kernel.folded_row_vectors
            + self.kernel.reach
            + column
        )
        return self.emit.at(self.emit.at(self.memory, place), start * self.emit.width)


class _RowLoop:
    """Emits the loop over a row's columns, `columns_unrolled` of them in each turn.

    Square roots take long, so a turn of the loop leaves the squares of its moduli in memory, and
    the next turn draws the roots between its own sums.
    """

    def __init__(self, emit: SimdEmitter, kernel: RowKernel, rows, weights, scratch, out, stride):
        self.emit, self.kernel, self.rows = emit, kernel, rows
        self.weights, self.squares, self.out, self.out_stride = weights, scratch, out, stride
        self.source = emit.index(0)  # elements from a row's start to the turn's first output
        self.unrolled = range(kernel.columns_unrolled)
        self.products = [
            (number, sample)
            for number, group in enumerate(kernel.passes)
            for sample in kernel.summation.samples
            if group & sample.sums
        ]
        moduli = kernel.outputs * kernel.columns_unrolled
        self.roots = moduli if kernel.modulus and self.products else 0
        # Of the products, those before which a root is drawn.
        self.root_places = [len(self.products) * k // self.roots for k in range(self.roots)]
        self.spare = emit.at(scratch, self.roots * emit.width)
        self.parked = emit.at(self.spare, emit.width)
        sums = kernel.columns_unrolled * kernel.summation.accumulators
        self.folded = _FoldedRows(emit, kernel, rows, emit.at(self.parked, sums * emit.width))

    def emit_loop(self, turns) -> None:
        """Emit so many turns, and the roots that the last one leaves."""
        emit, builder = self.emit, self.emit.builder
        step = self.kernel.columns_unrolled * emit.width
        with cgutils.for_range(builder, turns, intp=INDEX) as loop:
            x = builder.mul(loop.index, emit.index(step))
            before = builder.sub(x, emit.index(step))
            first_turn = builder.icmp_signed("==", loop.index, emit.index(0))
            self.source = builder.mul(x, emit.index(self.kernel.stride))
            self.folded.start_turn(loop.index, self.source)
            totals = self.sum_products(before, first_turn)
            for column in self.unrolled:
                self.combine(x, column, totals)
        if self.roots:
            last = builder.mul(builder.sub(turns, emit.index(1)), emit.index(step))
            for k in range(self.roots):
                emit.store(self.root(k), self.output(k, last))

    def sum_products(self, before, first_turn) -> dict:
        """Emit all passes, the roots of the turn before between them; return the last's totals."""
        drawn, sums = [], {}
        for count, (number, sample) in enumerate(self.products):
            if count and number != self.products[count - 1][0]:
                self.park(sums)
                sums = {}
            if count in self.root_places:
                self.emit.barrier()
                self.store_roots(drawn, before, first_turn)
                places = enumerate(self.root_places)
                drawn = [(k, self.root(k)) for k, place in places if place == count]
            self.add_products(sums, sample, self.kernel.passes[number])
        self.store_roots(drawn, before, first_turn)
        return self.totals(sums)

    def add_products(self, sums: dict, sample: Sample, accumulators: set[int]) -> None:
        """Add a sample's products, of every unrolled column, to the sums of one pass."""
        emit = self.emit
        values = [self.load(column, sample.row, sample.offset) for column in self.unrolled]
        if sample.fold:
            others = [self.load(column, sample.row, -sample.offset) for column in self.unrolled]
            pairs = zip(values, others, strict=True)
            values = [emit.folded(*pair, sample.fold) for pair in pairs]
        for accumulator, index in sample.terms:
            if accumulator in accumulators:
                weight = emit.splat(emit.at(self.weights, index))
                for column, value in enumerate(values):
                    key = accumulator, column, sample.row % self.kernel.partial_sums
                    if key in sums:
                        sums[key] = emit.multiply_add(value, weight, sums[key])
                    else:
                        sums[key] = emit.builder.fmul(value, weight)

    def load(self, column: int, number: int, offset: int):
        """Load the sample of row `number`, folded, that lies `offset` from a turn's output."""
        emit, row = self.emit, self.kernel.summation.rows[number]
        column = column * self.kernel.stride + offset
        if number in self.kernel.folded_rows:
            return self.folded.load(number, column)
        place = emit.builder.add(self.source, emit.index(column * emit.width))
        value = emit.load(emit.at(self.rows[row.map, row.offset], place))
        if row.fold:
            opposite = emit.load(emit.at(self.rows[row.map, -row.offset], place))
            value = emit.folded(value, opposite, row.fold)
        return value

    def totals(self, sums: dict) -> dict:
        """Join the partial sums of every accumulator and column."""
        totals = {}
        for (accumulator, column, _), value in sums.items():
            total = totals.get((accumulator, column))
            total = self.emit.builder.fadd(total, value) if total else value
            totals[accumulator, column] = total
        return totals

    def park(self, sums: dict) -> None:
        """Store the accumulators of a pass: the registers are for the next one."""
        for (accumulator, column), value in self.totals(sums).items():
            self.emit.store(value, self.parking(accumulator, column))
        self.emit.barrier()

    def parking(self, accumulator: int, column: int):
        """Return where an accumulator is parked."""
        place = accumulator * self.kernel.columns_unrolled + column
        return self.emit.at(self.parked, place * self.emit.width)

    def root(self, k: int):
        """Draw the root of the square number `k`: output by output, column by column."""
        square = self.emit.load(self.emit.at(self.squares, k * self.emit.width))
        return self.emit.instruction("sqrt", square)

    def store_roots(self, drawn: list, before, first_turn) -> None:
        """Store moduli of the turn before; the first turn has none before it."""
        for k, root in drawn:
            place = self.emit.builder.select(first_turn, self.spare, self.output(k, before))
            self.emit.store(root, place)

    def combine(self, x, column: int, totals: dict) -> None:
        """Store one column's outputs, or the squares of its moduli, from all accumulators."""
        emit, kernel = self.emit, self.kernel
        accumulators = range(kernel.summation.accumulators)
        sums = {a: totals[a, column] for a in accumulators if (a, column) in totals}
        for group in kernel.passes[:-1]:
            sums |= {a: emit.load(self.parking(a, column)) for a in group}
        results = []
        for first, second, sign in kernel.summation.outputs:
            result = sums.get(first, ir.Constant(emit.vector, None))
            results.append(emit.folded(result, sums[second], sign) if sign else result)
        if kernel.modulus:
            pairs = zip(results[: kernel.outputs], results[kernel.outputs :], strict=True)
            results = [
                emit.multiply_add(real, real, emit.builder.fmul(imaginary, imaginary))
                for real, imaginary in pairs
            ]
        for o, result in enumerate(results):
            k = o * kernel.columns_unrolled + column
            place = emit.at(self.squares, k * emit.width) if self.roots else self.output(k, x)
            emit.store(result, place)

    def output(self, k: int, x):
        """Return where output number `k` lies, output by output, column by column."""
        emit, builder = self.emit, self.emit.builder
        o, column = divmod(k, self.kernel.columns_unrolled)
        place = builder.mul(self.out_stride, emit.index(o))
        place = builder.add(place, emit.index(column * emit.width))
        return emit.at(self.out, builder.add(x, place))
