"""Machine code for one row of a convolution: explicit vectors, emitted as LLVM IR.

Compilers do not vectorise loops over taps that are read from an array, so the loops are unrolled
here, from a `npscatter.folding.Summation`, into straight vector code. What is compiled knows the
pattern of the taps, never their values: weights are an argument.

A map's row holds `lanes` images side by side, sample by sample: element ``x * lanes + image``. A
shift by one sample is a shift by `lanes` elements, so one code serves one image (lanes = 1) and as
many small ones as a vector holds, whose rows alone would leave vectors half empty.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import cfunc
from numba.core import cgutils, config, types
from numba.extending import intrinsic

from npscatter.folding import Summation

INDEX = ir.IntType(64)
# Bytes of folded rows one block of columns may fill: most of a first-level cache.
BLOCK_BYTES = 28 * 1024
# Sums that the registers hold together, with what is multiplied.
MOST_SUMS = 10
_WIDE = ("skylake-avx512", "cascadelake", "cooperlake", "icelake-", "tigerlake", "rocketlake")
_WIDE += ("sapphirerapids", "emeraldrapids", "graniterapids", "znver4", "znver5", "x86-64-v4")
_MIDDLE = ("haswell", "broadwell", "skylake", "alderlake", "raptorlake", "znver", "x86-64-v3")


@lru_cache(maxsize=1)
def vector_bytes() -> int:
    """Return the bytes of one vector of the CPU that Numba compiles for: 64, 32 or 16."""
    name = config.CPU_NAME or ""
    if name and name != llvmlite.binding.get_host_cpu_name():
        if name.startswith(_WIDE):
            return 64
        return 32 if name.startswith(_MIDDLE) else 16
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx2") and features.get("fma") else 16


def registers() -> int:
    """Return how many vector registers there are."""
    return 16 if vector_bytes() == 32 else 32


@dataclass(frozen=True)
class Kernel:
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
    lanes : int
        Images side by side in a row: 1 or `width`.
    """

    summation: Summation
    modulus: bool
    stride: int
    dtype: str
    lanes: int

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return np.dtype(self.dtype).itemsize

    @property
    def width(self) -> int:
        """Elements of one vector."""
        return vector_bytes() // self.itemsize

    @property
    def radius(self) -> int:
        """Samples a window reaches to each side."""
        return self.summation.size // 2

    @property
    def margin(self) -> int:
        """Samples read to the left of a block, even so that even columns stay even."""
        return self.radius + self.radius % 2

    @property
    def outputs(self) -> int:
        """Maps that are stored."""
        return len(self.summation.outputs) // (2 if self.modulus else 1)

    @property
    def folded_rows(self) -> int:
        """Rows in the scratch memory: none at stride 1, at stride 2 even and odd columns apart."""
        return 0 if self.stride == 1 else 2 * len(self.summation.rows)

    @property
    def block(self) -> int:
        """How many elements of a row of output are computed at a time."""
        if self.stride == 1:
            return 2**31
        margins = 2 * self.margin * self.lanes // self.width
        vectors = BLOCK_BYTES // (self.folded_rows * vector_bytes()) - margins
        return max(4, vectors // 2 * 2) * self.width

    @property
    def pitch(self) -> int:
        """Elements of one row in the scratch memory."""
        if self.stride == 1:
            return 0
        vectors = self.block // self.width + -(-self.margin * self.lanes // self.width) + 1
        # An odd number, so that rows do not start at the same place of a page, which caches and
        # the order of loads after stores suffer from.
        return (vectors | 1) * self.width

    @property
    def scratch(self) -> int:
        """Elements of scratch memory: folded rows, squares, one vector to spare, parked sums."""
        vectors = 1 + self.abreast * (self.outputs + self.summation.accumulators)
        return self.folded_rows * self.pitch + vectors * self.width

    @property
    def abreast(self) -> int:
        """Vectors summed side by side, so that a weight is loaded once for all of them."""
        return 2 if registers() == 32 else 1

    @property
    def passes(self) -> list[set[int]]:
        """Accumulators that are summed together.

        If there are too many for the registers, those that share no row are summed apart, for
        then little is loaded twice.
        """
        plan = self.summation
        apart = [set(range(plan.accumulators))]
        if plan.accumulators > MOST_SUMS:
            apart = []
            for row in range(len(plan.rows)):
                joined = set().union(*(term.sums for term in plan.samples if term.row == row))
                for other in [group for group in apart if group & joined]:
                    apart.remove(other)
                    joined |= other
                apart.append(joined)
        passes = []
        for group in apart:
            members, count = sorted(group), -(-len(group) // MOST_SUMS)
            size = -(-len(members) // count)
            passes += [set(members[k : k + size]) for k in range(0, len(members), size)]
        return passes

    @property
    def chains(self) -> int:
        """Partial sums of an accumulator, by rows, so that enough products are independent."""
        return max(1, min(4, 8 // (self.abreast * min(map(len, self.passes)))))

    @property
    def digest(self) -> str:
        """A name for the machine code: equal only if the code is."""
        told = f"{sources()} {vector_bytes()} {registers()} {self!r}"
        return hashlib.sha256(told.encode()).hexdigest()[:24]


@lru_cache(maxsize=1)
def sources() -> str:
    """Return a hash of the files that decide what is compiled, so that no cache outlives them."""
    digest = hashlib.sha256()
    for name in ("folding.py", "vectors.py", "numba_kernels.py"):
        digest.update((Path(__file__).parent / name).read_bytes())
    return digest.hexdigest()


# Compiled functions refer to their `Kernel` by its digest, which a cache on disk can hold.
_KERNELS: dict[str, Kernel] = {}


@lru_cache(maxsize=256)
def compiled_row(kernel: Kernel):
    """Return a C function that computes vectors of one row of every output map of `kernel`.

    Its arguments are int64: `rows`, the address of a table with the address of sample 0 of each
    source row (map by map, from y - radius to y + radius); `skip`, the elements from there to the
    first one that is read; the addresses of `scratch`, `weights` and `out`; `vectors`, how many;
    `out_stride`, the elements between output maps.
    """
    digest = kernel.digest
    _KERNELS[digest] = kernel

    def row(rows, skip, scratch, weights, out, vectors, out_stride):
        _row(digest, rows, skip, scratch, weights, out, vectors, out_stride)

    return cached(lambda cache: cfunc(types.void(*[types.int64] * 7), cache=cache)(row))


def cached(compile_with):
    """Return ``compile_with(True)``, or without a cache on disk where there is no place for one."""
    try:
        return compile_with(True)
    except (RuntimeError, OSError):
        return compile_with(False)


class _Emitter:
    """Vector operations of one LLVM function."""

    def __init__(self, builder: ir.IRBuilder, dtype: str):
        self.builder = builder
        self.scalar = {"float32": ir.FloatType(), "float64": ir.DoubleType()}[dtype]
        self.itemsize = np.dtype(dtype).itemsize
        self.width = vector_bytes() // self.itemsize
        self.vector = ir.VectorType(self.scalar, self.width)

    def pointer(self, address):
        return self.builder.inttoptr(address, self.scalar.as_pointer())

    def index(self, value: int) -> ir.Constant:
        return ir.Constant(INDEX, value)

    def at(self, pointer, elements):
        """Return `pointer` moved by so many elements (an int or an LLVM value)."""
        if isinstance(elements, int):
            elements = self.index(elements)
        return self.builder.gep(pointer, [elements])

    def load(self, pointer, align: int | None = None):
        """Load a vector; rows start anywhere, so only an element's alignment is promised."""
        place = self.builder.bitcast(pointer, self.vector.as_pointer())
        loaded = self.builder.load(place)
        loaded.align = align or self.itemsize
        return loaded

    def store(self, vector, pointer, align: int | None = None):
        place = self.builder.bitcast(pointer, self.vector.as_pointer())
        self.builder.store(vector, place).align = align or self.itemsize

    def store_some(self, vector, pointer, count):
        """Store the first `count` elements, wherever the pointer points."""
        bits = ir.VectorType(ir.IntType(1), self.width)
        kind = ir.VectorType(INDEX, self.width)
        counts = self.builder.insert_element(
            ir.Constant(kind, ir.Undefined), count, ir.Constant(ir.IntType(32), 0)
        )
        counts = self.shuffle(counts, ir.Constant(kind, ir.Undefined), [0] * self.width)
        mask = self.builder.icmp_signed("<", ir.Constant(kind, list(range(self.width))), counts)
        place = self.builder.bitcast(pointer, self.vector.as_pointer())
        arguments = [self.vector, place.type, ir.IntType(32), bits]
        name = f"llvm.masked.store.v{self.width}f{8 * self.itemsize}.p0"
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(ir.VoidType(), arguments), name
        )
        self.builder.call(function, [vector, place, ir.Constant(ir.IntType(32), 1), mask])

    def transposed(self, rows: list) -> list:
        """Return the columns of a square of vectors."""
        half = self.width // 2
        while half:
            # Swap the off-diagonal quarters of every square of 2 * half rows.
            for start in range(self.width):
                if start // half % 2 == 0:
                    one, other = rows[start], rows[start + half]
                    keep = [k if k // half % 2 == 0 else k - half + self.width
                            for k in range(self.width)]  # fmt: skip
                    move = [k + half if k // half % 2 == 0 else k + self.width
                            for k in range(self.width)]  # fmt: skip
                    rows[start] = self.shuffle(one, other, keep)
                    rows[start + half] = self.shuffle(one, other, move)
            half //= 2
        return rows

    def splat(self, pointer):
        """Load one element into every place of a vector."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(
            undefined, self.builder.load(pointer), ir.Constant(ir.IntType(32), 0)
        )
        return self.shuffle(first, undefined, [0] * self.width)

    def shuffle(self, one, other, places: list[int]):
        kind = ir.VectorType(ir.IntType(32), len(places))
        return self.builder.shuffle_vector(one, other, ir.Constant(kind, places))

    def halves(self, one, other, lanes: int):
        """Return the even and the odd samples of two vectors in a row."""
        even = [k // lanes * 2 * lanes + k % lanes for k in range(self.width)]
        return (
            self.shuffle(one, other, even),
            self.shuffle(one, other, [place + lanes for place in even]),
        )

    def folded(self, one, other, fold: int):
        return self.builder.fadd(one, other) if fold > 0 else self.builder.fsub(one, other)

    def instruction(self, name: str, *operands):
        """Call an LLVM intrinsic on vectors."""
        kind = ir.FunctionType(self.vector, [self.vector] * len(operands))
        name = f"llvm.{name}.v{self.width}f{8 * self.itemsize}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, operands)

    def barrier(self):
        """Keep loads on either side apart: hoisted, they would fill the registers."""
        kind = ir.FunctionType(ir.VoidType(), [])
        self.builder.asm(kind, "", "~{memory}", [], True)

    def multiply_add(self, a, b, c):
        return self.instruction("fmuladd", a, b, c)


def _rows(emit: _Emitter, kernel: Kernel, table, skip) -> dict:
    """Return a pointer to the first element that is read of every row, by map and offset."""
    pointers = {}
    for row in kernel.summation.rows:
        for offset in {row.offset, -row.offset if row.fold else row.offset}:
            place = row.map * kernel.summation.size + kernel.radius + offset
            address = emit.builder.load(emit.at(table, place))
            pointers[row.map, offset] = emit.at(emit.pointer(address), skip)
    return pointers


def _emit_fold(emit: _Emitter, kernel: Kernel, table, skip, scratch, vectors) -> None:
    """Emit what comes first at stride 2: fold rows into the scratch, columns by parity."""
    builder, width, pitch, lanes = emit.builder, kernel.width, kernel.pitch, kernel.lanes
    count = builder.add(vectors, emit.index(-(-kernel.margin * lanes // width)))
    pointers = _rows(emit, kernel, table, skip)
    for number in range(kernel.summation.maps):
        rows = [(k, row) for k, row in enumerate(kernel.summation.rows) if row.map == number]
        with cgutils.for_range(builder, count, intp=INDEX) as loop:
            x = builder.mul(loop.index, emit.index(width))
            read = builder.mul(x, emit.index(2))

            def pair(offset, number=number, read=read):
                place = emit.at(pointers[number, offset], read)
                return emit.load(place), emit.load(emit.at(place, width))

            for k, row in rows:
                values = pair(row.offset)
                if row.fold:
                    both = zip(values, pair(-row.offset), strict=True)
                    values = [emit.folded(*each, row.fold) for each in both]
                for part, value in enumerate(emit.halves(*values, lanes)):
                    start = (2 * k + part) * pitch
                    emit.store(value, emit.at(scratch, builder.add(x, emit.index(start))))


def _emit_sums(emit: _Emitter, kernel: Kernel, sample, memory, weights, out, turns, out_stride):
    """Emit the sums, and the modulus.

    ``sample(x, row, offset)`` emits a vector of samples of row number `row`. Square roots take
    long, so a turn of the loop leaves the squares of its moduli in `memory`, and the next turn
    draws the roots between its own sums.
    """
    builder, plan, width = emit.builder, kernel.summation, kernel.width
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
            values = [sample(x, part, term.row, term.offset) for part in parts]
            if term.fold:
                others = [sample(x, part, term.row, -term.offset) for part in parts]
                values = [emit.folded(*pair, term.fold) for pair in zip(values, others, strict=True)]
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


def _totals(emit: _Emitter, sums: dict) -> dict:
    """Join the partial sums of every accumulator."""
    totals = {}
    for (accumulator, part, _), value in sums.items():
        known = totals.get((accumulator, part))
        totals[accumulator, part] = emit.builder.fadd(known, value) if known else value
    return totals


@intrinsic(prefer_literal=True)
def _row(typing, digest, rows, skip, scratch, weights, out, vectors, out_stride):
    kernel = _KERNELS[digest.literal_value]

    def generate(context, builder, _, values):
        emit = _Emitter(builder, kernel.dtype)
        _, rows, skip, *addresses, vectors, out_stride = values
        rows = builder.inttoptr(rows, INDEX.as_pointer())
        scratch, weights, out = (emit.pointer(address) for address in addresses)
        abreast = emit.index(kernel.abreast)
        turns = builder.add(vectors, emit.index(kernel.abreast - 1))
        turns = builder.sdiv(turns, abreast)
        if kernel.stride == 2:
            _emit_fold(emit, kernel, rows, skip, scratch, builder.mul(turns, abreast))
        pointers = _rows(emit, kernel, rows, skip) if kernel.stride == 1 else {}

        def sample(x, part, number, offset):
            column, start = kernel.margin + offset, part * kernel.width
            if kernel.stride == 2:
                start += (2 * number + column % 2) * kernel.pitch + column // 2 * kernel.lanes
                return emit.load(emit.at(scratch, builder.add(x, emit.index(start))))
            row = kernel.summation.rows[number]
            place = builder.add(x, emit.index(start + column * kernel.lanes))
            value = emit.load(emit.at(pointers[row.map, row.offset], place))
            if row.fold:
                opposite = emit.load(emit.at(pointers[row.map, -row.offset], place))
                value = emit.folded(value, opposite, row.fold)
            return value

        memory = emit.at(scratch, kernel.folded_rows * kernel.pitch)
        _emit_sums(emit, kernel, sample, memory, weights, out, turns, out_stride)
        return context.get_dummy_value()

    return types.void(digest, *[types.int64] * 7), generate


@intrinsic
def call_row(typing, function, rows, skip, scratch, weights, out, vectors, out_stride):
    """Call the function `compiled_row` made, by its address."""

    def generate(context, builder, _, values):
        kind = ir.FunctionType(ir.VoidType(), [INDEX] * 7)
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 8), generate


@intrinsic(prefer_literal=True)
def copy_vectors(typing, dtype, source, target, vectors):
    """Copy so many vectors, one after the other, from one address to another."""

    def generate(context, builder, _, values):
        emit = _Emitter(builder, dtype.literal_value)
        _, source, target, vectors = values
        with cgutils.for_range(builder, vectors, intp=INDEX) as loop:
            x = builder.mul(loop.index, emit.index(emit.width))
            loaded = emit.load(emit.at(emit.pointer(source), x), align=1)
            emit.store(loaded, emit.at(emit.pointer(target), x), align=1)
        return context.get_dummy_value()

    return types.void(dtype, *[types.int64] * 3), generate


@intrinsic(prefer_literal=True)
def copy_elements(typing, dtype, source, target, count):
    """Copy the first elements, at most one vector, from one address to another."""

    def generate(context, builder, _, values):
        emit = _Emitter(builder, dtype.literal_value)
        _, source, target, count = values
        emit.store_some(emit.load(emit.pointer(source)), emit.pointer(target), count)
        return context.get_dummy_value()

    return types.void(dtype, *[types.int64] * 3), generate


@intrinsic(prefer_literal=True)
def gather_lanes(typing, dtype, places, offset, target):
    """Lay the next samples of as many images as a vector has lanes side by side.

    `places` is the address of a table with one address per lane, `offset` the bytes from there to
    the first sample; one vector of samples of every lane is read.
    """

    def generate(context, builder, _, values):
        emit = _Emitter(builder, dtype.literal_value)
        _, places, offset, target = values
        table = builder.inttoptr(places, INDEX.as_pointer())
        rows = []
        for lane in range(emit.width):
            address = builder.add(builder.load(emit.at(table, lane)), offset)
            rows.append(emit.load(emit.pointer(address), align=1))
        for x, row in enumerate(emit.transposed(rows)):
            emit.store(row, emit.at(emit.pointer(target), x * emit.width))
        return context.get_dummy_value()

    return types.void(dtype, *[types.int64] * 3), generate


@intrinsic(prefer_literal=True)
def scatter_lanes(typing, dtype, source, places, offset, count):
    """Write `count` samples, at most a vector of them, of every lane to its own place."""

    def generate(context, builder, _, values):
        emit = _Emitter(builder, dtype.literal_value)
        _, source, places, offset, count = values
        table = builder.inttoptr(places, INDEX.as_pointer())
        source = emit.pointer(source)
        rows = [emit.load(emit.at(source, x * emit.width)) for x in range(emit.width)]
        for lane, row in enumerate(emit.transposed(rows)):
            address = builder.add(builder.load(emit.at(table, lane)), offset)
            emit.store_some(row, emit.pointer(address), count)
        return context.get_dummy_value()

    return types.void(dtype, *[types.int64] * 4), generate


@intrinsic(prefer_literal=True)
def load(typing, dtype, address):
    """Return the element at an address that may be unaligned."""

    def generate(context, builder, _, values):
        loaded = builder.load(_Emitter(builder, dtype.literal_value).pointer(values[1]))
        loaded.align = 1
        return loaded

    return getattr(types, dtype.literal_value)(dtype, types.int64), generate


@intrinsic(prefer_literal=True)
def store(typing, dtype, address, value):
    """Write an element to an address that may be unaligned."""

    def generate(context, builder, _, values):
        place = _Emitter(builder, dtype.literal_value).pointer(values[1])
        builder.store(values[2], place).align = 1
        return context.get_dummy_value()

    return types.void(dtype, types.int64, getattr(types, dtype.literal_value)), generate


@intrinsic
def atomic_add(typing, address, value):
    """Add to the int64 at an address, and return what was there before."""

    def generate(context, builder, _, values):
        place = builder.inttoptr(values[0], INDEX.as_pointer())
        return builder.atomic_rmw("add", place, values[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate
