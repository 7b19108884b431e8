"""The CPU's vectors: how wide they are, and operations on them as LLVM IR for Numba.

Everything here takes addresses (int64), so that one compiled function serves arrays of any
layout. The type of the elements is that of the scalar `like`.
"""

from __future__ import annotations

import math
import platform
from functools import lru_cache

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic

# For functions that only compiled code calls: nothing that Python would need is compiled.
inner = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")

INDEX = ir.IntType(64)
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
    return 32 if vector_bytes() == 64 or platform.machine() in ("aarch64", "arm64") else 16


class SimdEmitter:
    """Vector operations of one LLVM function."""

    def __init__(self, builder: ir.IRBuilder, dtype: str):
        self.builder = builder
        self.scalar = {"float32": ir.FloatType(), "float64": ir.DoubleType()}[dtype]
        self.itemsize = np.dtype(dtype).itemsize
        self.width = vector_bytes() // self.itemsize
        self.vector = ir.VectorType(self.scalar, self.width)

    def pointer(self, address: ir.Value) -> ir.Value:
        return self.builder.inttoptr(address, self.scalar.as_pointer())

    def index(self, value: int) -> ir.Constant:
        return ir.Constant(INDEX, value)

    def at(self, pointer: ir.Value, elements: int | ir.Value) -> ir.Value:
        """Return `pointer` moved by so many elements (an int or an LLVM value)."""
        if isinstance(elements, int):
            elements = self.index(elements)
        return self.builder.gep(pointer, [elements])

    def load(
        self, pointer: ir.Value, align: int | None = None, width: int | None = None
    ) -> ir.Value:
        """Load a vector; images start anywhere, so only an element's alignment is promised."""
        kind = ir.VectorType(self.scalar, width or self.width)
        place = self.builder.bitcast(pointer, kind.as_pointer())
        loaded = self.builder.load(place)
        loaded.align = align or self.itemsize
        return loaded

    def store(self, vector: ir.Value, pointer: ir.Value, align: int | None = None) -> None:
        place = self.builder.bitcast(pointer, self.vector.as_pointer())
        self.builder.store(vector, place).align = align or self.itemsize

    def store_some(self, vector: ir.Value, pointer: ir.Value, count: ir.Value) -> None:
        """Store the first `count` elements, wherever the pointer points."""
        lanes = ir.Constant(ir.VectorType(INDEX, self.width), list(range(self.width)))
        self.store_masked(vector, pointer, self.builder.icmp_signed("<", lanes, self.spread(count)))

    def store_masked(self, vector: ir.Value, pointer: ir.Value, mask: ir.Value) -> None:
        """Store the elements for which a vector of bits says so."""
        place = self.builder.bitcast(pointer, self.vector.as_pointer())
        arguments = [self.vector, place.type, ir.IntType(32), mask.type]
        name = f"llvm.masked.store.v{self.width}f{8 * self.itemsize}.p0"
        function = cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(ir.VoidType(), arguments), name
        )
        self.builder.call(function, [vector, place, ir.Constant(ir.IntType(32), 1), mask])

    def transposed(self, rows: list[ir.Value]) -> list[ir.Value]:
        """Return the columns of a square of vectors, or of two squares side by side."""
        size, lanes = len(rows) // 2, range(self.width)
        while size:
            # Swap the off-diagonal quarters, of size x size, of every square on the diagonal.
            left = [k // size % 2 == 0 for k in lanes]
            upper = [k if left[k] else k - size + self.width for k in lanes]
            lower = [k + size if left[k] else k + self.width for k in lanes]
            for row in range(len(rows)):
                if left[row]:
                    one, other = rows[row], rows[row + size]
                    rows[row] = self.shuffle(one, other, upper)
                    rows[row + size] = self.shuffle(one, other, lower)
            size //= 2
        return rows

    def spread(self, value: ir.Value) -> ir.Value:
        """Return a vector whose every element is `value`."""
        undefined = ir.Constant(ir.VectorType(value.type, self.width), ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        return self.shuffle(first, undefined, [0] * self.width)

    def splat(self, pointer: ir.Value) -> ir.Value:
        """Load one element into every place of a vector."""
        return self.spread(self.builder.load(pointer))

    def shuffle(self, one: ir.Value, other: ir.Value, lanes: list[int]) -> ir.Value:
        """Return the lanes of two vectors that are asked for, those of `other` counted on."""
        kind = ir.VectorType(ir.IntType(32), len(lanes))
        return self.builder.shuffle_vector(one, other, ir.Constant(kind, lanes))

    def folded(self, one: ir.Value, other: ir.Value, fold: int) -> ir.Value:
        """Return the sum, or for a negative `fold` the difference."""
        return self.builder.fadd(one, other) if fold > 0 else self.builder.fsub(one, other)

    def instruction(self, name: str, *operands: ir.Value) -> ir.Value:
        """Call an LLVM intrinsic on vectors."""
        kind = ir.FunctionType(self.vector, [self.vector] * len(operands))
        name = f"llvm.{name}.v{self.width}f{8 * self.itemsize}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, operands)

    def barrier(self) -> None:
        """Emit an optimisation barrier: loads hoisted across it would fill the registers."""
        kind = ir.FunctionType(ir.VoidType(), [])
        self.builder.asm(kind, "", "~{memory}", [], True)

    def multiply_add(self, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """Return ``a * b + c``, rounded once where the CPU can."""
        return self.instruction("fmuladd", a, b, c)


@intrinsic
def call_row(typing, function, rows, skip, scratch, weights, out, vectors, out_stride):
    """Call a function that `row_codegen.compiled_row` made, by its address."""

    def generate(context, builder, _, values):
        kind = ir.FunctionType(ir.VoidType(), [INDEX] * 7)
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 8), generate


@intrinsic
def copy_vectors(typing, like, source, target, vectors):
    """Copy so many vectors, one after the other, from one address to another."""

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, like.name)
        _, source, target, vectors = values
        with cgutils.for_range(builder, vectors, intp=INDEX) as loop:
            x = builder.mul(loop.index, emit.index(emit.width))
            loaded = emit.load(emit.at(emit.pointer(source), x), align=1)
            emit.store(loaded, emit.at(emit.pointer(target), x), align=1)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 3), generate


@intrinsic
def gather_lanes(typing, like, lane_addresses, offset, target, count):
    """Lay the next `count` samples, at most a vector of them, of every lane side by side.

    `lane_addresses` is the address of a table with one address per lane, `offset` the bytes from
    there to the first sample. Half a vector of samples of every lane is read, or a whole one.
    """

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, like.name)
        _, lane_addresses, offset, target, count = values
        table, half = builder.inttoptr(lane_addresses, INDEX.as_pointer()), emit.width // 2

        def samples(lane: int, width: int) -> ir.Value:
            address = builder.add(builder.load(emit.at(table, lane)), offset)
            return emit.load(emit.pointer(address), align=1, width=width)

        def lay(rows: list[ir.Value]) -> None:
            for x, row in enumerate(emit.transposed(rows)):
                emit.store(row, emit.at(emit.pointer(target), x * emit.width))

        few = builder.icmp_signed("<=", count, emit.index(half))
        with builder.if_else(few) as (then, otherwise):
            with then:  # two lanes in a vector
                pairs = [(samples(k, half), samples(k + half, half)) for k in range(half)]
                lay([emit.shuffle(*pair, list(range(emit.width))) for pair in pairs])
            with otherwise:
                lay([samples(lane, emit.width) for lane in range(emit.width)])
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), generate


@intrinsic
def scatter_lanes(typing, like, source, lane_addresses, offset, count):
    """Write `count` samples, at most a vector of them, of every lane to its own place."""

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, like.name)
        _, source, lane_addresses, offset, count = values
        table = builder.inttoptr(lane_addresses, INDEX.as_pointer())
        source, half = emit.pointer(source), emit.width // 2

        def scatter(samples: int) -> None:
            rows = [emit.load(emit.at(source, x * emit.width)) for x in range(samples)]
            rows = emit.transposed(rows)
            if samples == half:
                upper = [(lane + half) % emit.width for lane in range(emit.width)]
                rows += [emit.shuffle(row, row, upper) for row in rows]
            for lane, row in enumerate(rows):
                address = builder.add(builder.load(emit.at(table, lane)), offset)
                emit.store_some(row, emit.pointer(address), count)

        few = builder.icmp_signed("<=", count, emit.index(half))
        with builder.if_else(few) as (then, otherwise):
            with then:
                scatter(half)
            with otherwise:
                scatter(emit.width)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), generate


@intrinsic
def scatter_strips(typing, like, source, lane_addresses, bounds, x):
    """Write columns x, x + 1, ... of every lane, a vector of them, as far as its bounds allow.

    `lane_addresses` is the address of a table of where column 0 of each lane belongs, `bounds` that
    of a table of its first column and the one after its last.
    """

    def generate(context, builder, _, values):
        emit, short = SimdEmitter(builder, like.name), ir.IntType(32)
        _, source, lane_addresses, bounds, x = values
        source, offset = emit.pointer(source), builder.mul(x, emit.index(emit.itemsize))
        table, bounds = (
            builder.inttoptr(address, INDEX.as_pointer()) for address in (lane_addresses, bounds)
        )
        rows = [emit.load(emit.at(source, k * emit.width)) for k in range(emit.width)]
        columns = ir.Constant(ir.VectorType(short, emit.width), list(range(emit.width)))
        columns = builder.add(columns, emit.spread(builder.trunc(x, short)))
        for lane, row in enumerate(emit.transposed(rows)):
            first, stop = (
                emit.spread(builder.trunc(builder.load(emit.at(bounds, 2 * lane + k)), short))
                for k in range(2)
            )
            mask = builder.and_(
                builder.icmp_signed(">=", columns, first), builder.icmp_signed("<", columns, stop)
            )
            address = builder.add(builder.load(emit.at(table, lane)), offset)
            emit.store_masked(row, emit.pointer(address), mask)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), generate


@intrinsic
def continue_row(typing, like, source, target, outside, strips, forward, wrap):
    """Write the vector before a row's first column, or after its last.

    Its lanes are those of `source`, one lane further (``forward``) or back, for the columns before
    a strip are the last ones of the strip before. Only every first (or last) of `strips` lanes has
    no strip beside it: it takes its lane of the vector at `outside`, or zero.
    """

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, like.name)
        _, source, target, outside, strips, forward, wrap = values
        row, count = emit.load(emit.pointer(source)), emit.width
        up = emit.shuffle(row, row, [(lane - 1) % count for lane in range(count)])
        down = emit.shuffle(row, row, [(lane + 1) % count for lane in range(count)])
        zero = emit.index(0)
        forward = builder.icmp_signed("!=", forward, zero)
        wrap = builder.icmp_signed("!=", wrap, zero)
        beside = builder.select(forward, up, down)
        beyond = emit.load(emit.pointer(outside))
        beyond = builder.select(wrap, beyond, ir.Constant(emit.vector, None))
        last = builder.sub(strips, emit.index(1))
        lanes = ir.Constant(ir.VectorType(INDEX, count), list(range(count)))
        strip = builder.and_(lanes, emit.spread(last))
        outermost = emit.spread(builder.select(forward, zero, last))
        alone = builder.icmp_signed("==", strip, outermost)
        emit.store(builder.select(alone, beyond, beside), emit.pointer(target))
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 6), generate


@intrinsic
def load(typing, like, address):
    """Return the element at an address that may be unaligned."""

    def generate(context, builder, _, values):
        loaded = builder.load(SimdEmitter(builder, like.name).pointer(values[1]))
        loaded.align = 1
        return loaded

    return like(like, types.int64), generate


@intrinsic
def store(typing, like, address, value):
    """Write an element to an address that may be unaligned."""

    def generate(context, builder, _, values):
        place = SimdEmitter(builder, like.name).pointer(values[1])
        builder.store(values[2], place).align = 1
        return context.get_dummy_value()

    return types.void(like, types.int64, like), generate


@intrinsic
def get(typing, table, index):
    """Return number `index` of the int64s at an address."""

    def generate(context, builder, _, values):
        return builder.load(
            builder.gep(builder.inttoptr(values[0], INDEX.as_pointer()), values[1:])
        )

    return types.int64(types.int64, types.int64), generate


@intrinsic
def put(typing, table, index, value):
    """Write number `index` of the int64s at an address."""

    def generate(context, builder, _, values):
        table, index, value = values
        place = builder.gep(builder.inttoptr(table, INDEX.as_pointer()), [index])
        builder.store(value, place)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), generate


def _in_order(emit: SimdEmitter, vector: ir.Value) -> ir.Value:
    """Return the bits of a vector as integers in the order of its values, or these as bits."""
    bits, build = 8 * emit.itemsize, emit.builder
    kind = ir.VectorType(ir.IntType(bits), emit.width)
    sign = build.ashr(vector, ir.Constant(kind, [bits - 1] * emit.width))
    magnitude = ir.Constant(kind, [2 ** (bits - 1) - 1] * emit.width)
    return build.xor(vector, build.and_(sign, magnitude))


def _load_in_order(emit: SimdEmitter, place: ir.Value) -> ir.Value:
    kind = ir.VectorType(ir.IntType(8 * emit.itemsize), emit.width)
    return _in_order(emit, emit.builder.bitcast(emit.load(place, align=1), kind))


@intrinsic
def reset_extremes(typing, like, extremes):
    """Begin with nothing taken in: infinity as the lowest value, minus infinity as the highest."""

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, like.name)
        for k, value in enumerate((math.inf, -math.inf)):
            vector = ir.Constant(emit.vector, [value] * emit.width)
            emit.store(vector, emit.at(emit.pointer(values[1]), k * emit.width))
        return context.get_dummy_value()

    return types.void(like, types.int64), generate


@intrinsic
def widen_extremes(typing, like, source, vectors, extremes):
    """Take so many vectors into the two at `extremes`: every lane's lowest and highest value.

    Values are compared as integers in the same order, so that NaN lies beyond infinity and denormal
    numbers are no zeros.
    """

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, like.name)
        _, source, vectors, extremes = values
        places = [emit.at(emit.pointer(extremes), k * emit.width) for k in range(2)]
        found = [cgutils.alloca_once_value(builder, _load_in_order(emit, at)) for at in places]
        with cgutils.for_range(builder, vectors, intp=INDEX) as loop:
            x = builder.mul(loop.index, emit.index(emit.width))
            vector = _load_in_order(emit, emit.at(emit.pointer(source), x))
            for best, relation in zip(found, "<>", strict=True):
                before = builder.load(best)
                further = builder.icmp_signed(relation, vector, before)
                builder.store(builder.select(further, vector, before), best)
        for best, place in zip(found, places, strict=True):
            bits = _in_order(emit, builder.load(best))
            emit.store(builder.bitcast(bits, emit.vector), place)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 3), generate


@intrinsic
def lowest_and_highest(typing, like, extremes):
    """Return the lowest and the highest of what `widen_extremes` took in."""

    def generate(context, builder, signature, values):
        emit = SimdEmitter(builder, like.name)
        number = ir.IntType(8 * emit.itemsize)
        ends = []
        for k, relation in enumerate(("smin", "smax")):
            vector = _load_in_order(emit, emit.at(emit.pointer(values[1]), k * emit.width))
            name = f"llvm.vector.reduce.{relation}.v{emit.width}i{number.width}"
            kind = ir.FunctionType(number, [vector.type])
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            end = emit.spread(builder.call(function, [vector]))
            bits = builder.bitcast(_in_order(emit, end), emit.vector)
            ends.append(builder.extract_element(bits, ir.Constant(ir.IntType(32), 0)))
        return context.make_tuple(builder, signature.return_type, ends)

    return types.UniTuple(like, 2)(like, types.int64), generate


@intrinsic
def add_row(typing, like, row, vectors, sums, begins):
    """Add so many vectors to as many of float64s at `sums`, or write them there if `begins`."""

    def generate(context, builder, _, values):
        emit, wide = SimdEmitter(builder, like.name), SimdEmitter(builder, "float64")
        _, row, vectors, sums, begins = values
        vector = ir.VectorType(wide.scalar, emit.width)
        with cgutils.for_range(builder, vectors, intp=INDEX) as loop:
            x = builder.mul(loop.index, emit.index(emit.width))
            value = emit.load(emit.at(emit.pointer(row), x))
            if like.name != "float64":
                value = builder.fpext(value, vector)
            place = wide.at(wide.pointer(sums), x)
            place = builder.bitcast(place, vector.as_pointer())
            before = builder.load(place)
            before.align = wide.itemsize
            total = builder.fadd(before, value)
            builder.store(builder.select(begins, value, total), place).align = wide.itemsize
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 3, types.boolean), generate


@intrinsic
def add_columns(typing, like, sums, columns, target):
    """Add up columns of float64s, a vector of lanes each, from the first on; write the totals."""

    def generate(context, builder, _, values):
        emit, wide = SimdEmitter(builder, like.name), SimdEmitter(builder, "float64")
        _, sums, columns, target = values
        vector = ir.VectorType(wide.scalar, emit.width)
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, None))
        with cgutils.for_range(builder, columns, intp=INDEX) as loop:
            place = wide.at(wide.pointer(sums), builder.mul(loop.index, emit.index(emit.width)))
            column = builder.load(builder.bitcast(place, vector.as_pointer()))
            column.align = wide.itemsize
            builder.store(builder.fadd(builder.load(total), column), total)
        place = builder.bitcast(wide.pointer(target), vector.as_pointer())
        builder.store(builder.load(total), place).align = 1
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 3), generate


@intrinsic
def rescale(typing, like, row, vectors, scaling):
    """Make ``(v - a) * b * c - d`` of so many vectors v; a to d are the four at `scaling`."""

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, like.name)
        _, row, vectors, scaling = values
        scaling = emit.pointer(scaling)
        a, b, c, d = (emit.load(emit.at(scaling, k * emit.width)) for k in range(4))
        with cgutils.for_range(builder, vectors, intp=INDEX) as loop:
            place = emit.at(emit.pointer(row), builder.mul(loop.index, emit.index(emit.width)))
            scaled = builder.fmul(builder.fmul(builder.fsub(emit.load(place), a), b), c)
            emit.store(builder.fsub(scaled, d), place)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 3), generate


_X86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")
# Bits of x86's control register that take denormal operands and results for zero.
FLUSH = 0x8040


@intrinsic
def float_mode(typing):
    """Return the CPU's control register for floating point; 0 where it is not x86."""

    def generate(context, builder, _, values):
        if not _X86:
            return ir.Constant(INDEX, 0)
        place = cgutils.alloca_once(builder, ir.IntType(32))
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
        read = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.stmxcsr")
        builder.call(read, [builder.bitcast(place, ir.IntType(8).as_pointer())])
        return builder.zext(builder.load(place), INDEX)

    return types.int64(), generate


@intrinsic
def set_float_mode(typing, mode):
    """Set that register, of this thread; nothing where it is not x86."""

    def generate(context, builder, _, values):
        if _X86:
            place = cgutils.alloca_once(builder, ir.IntType(32))
            builder.store(builder.trunc(values[0], ir.IntType(32)), place)
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
            write = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.ldmxcsr")
            builder.call(write, [builder.bitcast(place, ir.IntType(8).as_pointer())])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def atomic_add(typing, address, value):
    """Add to the int64 at an address, and return what was there before."""

    def generate(context, builder, _, values):
        place = builder.inttoptr(values[0], INDEX.as_pointer())
        return builder.atomic_rmw("add", place, values[1], "seq_cst")

    return types.int64(types.int64, types.int64), generate
