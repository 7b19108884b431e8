"""Machine code for one row of a convolution, unrolled from a `Summation`.

Compilers do not vectorise loops over taps that are read from an array, so these loops are written
out as straight vector code. What is compiled knows the pattern of the taps, never their values:
weights are an argument.

A row is a sequence of vectors, one per column; what lies in the lanes of a vector (pixels of as
many images, or of as many segments of one image's row) is not known here. So the next column is
always the next vector, every load is aligned, and no column is ever masked or shuffled.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache

from llvmlite import ir
from numba import cfunc
from numba.core import cgutils, types
from numba.extending import intrinsic

from npscatter.cpu.simd import INDEX, SimdEmitter, registers, vector_bytes
from npscatter.jit_cache import cached, source_digest
from npscatter.program.summation import Summation

# Files that decide what is compiled.
SOURCES = (
    "npscatter.program.summation",
    "npscatter.cpu.simd",
    "npscatter.cpu.row_codegen",
    "npscatter.cpu.interpreter",
)


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
        """Vectors of scratch memory: squares, one to spare, parked sums."""
        return 1 + self.abreast * (self.outputs + self.summation.accumulators)

    @cached_property
    def abreast(self) -> int:
        """Columns summed side by side, which share weights and samples."""
        # Measured: many sums hide each other's latency, few need those of the next columns.
        sums = self.summation.accumulators
        if registers() < 32 or sums >= 8:
            return 1
        return 4 if sums <= 2 else 2

    @cached_property
    def passes(self) -> list[set[int]]:
        """Accumulators that are summed together.

        If there are too many for the registers, those that share no row are summed apart, for
        then little is loaded twice.
        """
        plan, most = self.summation, 20 if registers() == 32 else 10
        apart = [set(range(plan.accumulators))]
        if plan.accumulators > most:
            apart = []
            for row in range(len(plan.rows)):
                joined = set().union(*(term.sums for term in plan.samples if term.row == row))
                for other in [group for group in apart if group & joined]:
                    apart.remove(other)
                    joined |= other
                apart.append(joined)
        passes = []
        for group in apart:
            members, count = sorted(group), -(-len(group) // most)
            size = -(-len(members) // count)
            passes += [set(members[k : k + size]) for k in range(0, len(members), size)]
        return passes

    @cached_property
    def chains(self) -> int:
        """Partial sums of an accumulator, by rows, so that enough products are independent."""
        return max(1, min(4, 8 // (self.abreast * min(map(len, self.passes)))))

    @cached_property
    def digest(self) -> str:
        """A name for the machine code: equal only if the code is."""
        told = f"{source_digest(SOURCES)} {vector_bytes()} {registers()} {self!r}"
        return hashlib.sha256(told.encode()).hexdigest()[:24]


# Compiled functions refer to their `RowKernel` by its digest, which a cache on disk can hold.
_KERNELS: dict[str, RowKernel] = {}


@lru_cache(maxsize=256)
def compiled_row(kernel: RowKernel):
    """Return a C function that computes one row of every output map of `kernel`.

    Its arguments are int64: `rows`, the address of a table with the address of column 0 of each
    source row (map by map, from y - radius to y + radius); `skip`, the elements from there to the
    column of the first output; the addresses of `scratch`, `weights` and `out`; `vectors`, how
    many outputs, of which a multiple of `abreast` is written; `out_stride`, the elements between
    output maps.
    """
    digest = kernel.digest
    _KERNELS[digest] = kernel

    def row(rows, skip, scratch, weights, out, vectors, out_stride):
        _row(digest, rows, skip, scratch, weights, out, vectors, out_stride)

    return cached(lambda cache: cfunc(types.void(*[types.int64] * 7), cache=cache)(row))


@intrinsic(prefer_literal=True)
def _row(typing, digest, rows, skip, scratch, weights, out, vectors, out_stride):
    kernel = _KERNELS[digest.literal_value]

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, kernel.dtype)
        _, table, skip, *addresses, vectors, out_stride = values
        table = builder.inttoptr(table, INDEX.as_pointer())
        rows = {}
        for row in kernel.summation.rows:
            for offset in {row.offset, -row.offset if row.fold else row.offset}:
                place = row.map * kernel.summation.size + kernel.radius + offset
                address = builder.load(emit.at(table, place))
                rows[row.map, offset] = emit.at(emit.pointer(address), skip)
        scratch, weights, out = (emit.pointer(address) for address in addresses)
        abreast = emit.index(kernel.abreast)
        turns = builder.add(vectors, emit.index(kernel.abreast - 1))
        turns = builder.sdiv(turns, abreast)
        _emit_sums(emit, kernel, rows, scratch, weights, out, turns, out_stride)
        return context.get_dummy_value()

    return types.void(digest, *[types.int64] * 7), generate


def _sample(
    emit: SimdEmitter, kernel: RowKernel, rows: dict, x, part: int, number: int, offset: int
):
    """Load the sample of row `number`, folded, that lies `offset` from output ``x + part``."""
    row = kernel.summation.rows[number]
    column = (part * kernel.stride + offset) * emit.width
    place = emit.builder.add(emit.builder.mul(x, emit.index(kernel.stride)), emit.index(column))
    value = emit.load(emit.at(rows[row.map, row.offset], place))
    if row.fold:
        opposite = emit.load(emit.at(rows[row.map, -row.offset], place))
        value = emit.folded(value, opposite, row.fold)
    return value


def _emit_sums(emit: SimdEmitter, kernel: RowKernel, rows, memory, weights, out, turns, out_stride):
    """Emit the sums, and the modulus.

    Square roots take long, so a turn of the loop leaves the squares of its moduli in `memory`, and
    the next turn draws the roots between its own sums.
    """
    builder, plan, width = emit.builder, kernel.summation, emit.width
    passes, chains, parts = kernel.passes, kernel.chains, range(kernel.abreast)
    products = [(number, term) for number, group in enumerate(passes)
                for term in plan.samples if group & term.sums]  # fmt: skip
    roots = kernel.outputs * kernel.abreast if kernel.modulus and products else 0
    pauses = [len(products) * k // roots for k in range(roots)]
    spare = emit.at(memory, roots * width)
    parked = emit.at(spare, width)

    def output(k: int, x):
        o, part = divmod(k, kernel.abreast)
        place = builder.add(builder.mul(out_stride, emit.index(o)), emit.index(part * width))
        return emit.at(out, builder.add(x, place))

    def root(k: int):
        return emit.instruction("sqrt", emit.load(emit.at(memory, k * width)))

    def parking(accumulator: int, part: int):
        return emit.at(parked, (accumulator * kernel.abreast + part) * width)

    with cgutils.for_range(builder, turns, intp=INDEX) as loop:
        x = builder.mul(loop.index, emit.index(kernel.abreast * width))
        before = builder.sub(x, emit.index(kernel.abreast * width))
        first_turn = builder.icmp_signed("==", loop.index, emit.index(0))
        pending, sums = [], {}

        def finish():
            for k, result in pending:
                emit.store(result, builder.select(first_turn, spare, output(k, before)))

        for count, (number, term) in enumerate(products):
            if count and number != products[count - 1][0]:
                # Registers are for the next pass.
                for (accumulator, part), value in _totals(emit, sums).items():
                    emit.store(value, parking(accumulator, part))
                emit.barrier()
                sums = {}
            if count in pauses:
                emit.barrier()
                finish()
                pending = [(k, root(k)) for k in range(roots) if pauses[k] == count]
            values = [_sample(emit, kernel, rows, x, part, term.row, term.offset) for part in parts]
            if term.fold:
                others = [
                    _sample(emit, kernel, rows, x, part, term.row, -term.offset) for part in parts
                ]
                values = [
                    emit.folded(*pair, term.fold) for pair in zip(values, others, strict=True)
                ]
            for accumulator, index in term.terms:
                if accumulator in passes[number]:
                    weight = emit.splat(emit.at(weights, index))
                    for part, value in enumerate(values):
                        key = accumulator, part, term.row % chains
                        if key in sums:
                            sums[key] = emit.multiply_add(value, weight, sums[key])
                        else:
                            sums[key] = builder.fmul(value, weight)
        finish()
        totals = _totals(emit, sums)
        for part in parts:
            found = {a: totals[a, part] for a in range(plan.accumulators) if (a, part) in totals}
            for group in passes[:-1]:
                found |= {a: emit.load(parking(a, part)) for a in group}
            results = []
            for first, second, sign in plan.outputs:
                result = found.get(first, ir.Constant(emit.vector, None))
                results.append(emit.folded(result, found[second], sign) if sign else result)
            if kernel.modulus:
                pairs = zip(results[: kernel.outputs], results[kernel.outputs :], strict=True)
                results = [emit.multiply_add(re, re, builder.fmul(im, im)) for re, im in pairs]
            for o, result in enumerate(results):
                k = o * kernel.abreast + part
                emit.store(result, emit.at(memory, k * width) if roots else output(k, x))
    if roots:
        last = builder.mul(builder.sub(turns, emit.index(1)), emit.index(kernel.abreast * width))
        for k in range(roots):
            emit.store(root(k), output(k, last))


def _totals(emit: SimdEmitter, sums: dict) -> dict:
    """Join the partial sums of every accumulator."""
    totals = {}
    for (accumulator, part, _), value in sums.items():
        known = totals.get((accumulator, part))
        totals[accumulator, part] = emit.builder.fadd(known, value) if known else value
    return totals
