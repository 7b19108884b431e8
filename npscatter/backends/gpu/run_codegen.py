"""The code of one GPU thread, as LLVM IR: runs of sums, straight on, and copies.

Every weight is part of an instruction. The IR is of scalars, the same for a GPU
(`npscatter.backends.gpu.intrinsics`) and, under the simulator, for the CPU
(`npscatter.backends.gpu.simulator`).

A tile in shared memory holds its columns in two phases, the even ones first and the odd ones
`phase_stride` elements on. Then runs at stride 1 and at stride 2 both read whole vectors, and
neighbouring threads read neighbouring banks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from npscatter.backends.gpu.register_tile import RegisterTile, SubTile
from npscatter.backends.jit_cache import source_digest

# Modules that decide what is compiled.
SOURCES = (
    "npscatter.program.summation",
    "npscatter.program.magnitude",
    "npscatter.backends.gpu.register_tile",
    "npscatter.backends.gpu.run_codegen",
    "npscatter.backends.gpu.tiling",
    "npscatter.backends.gpu.launches",
    "npscatter.backends.gpu.intrinsics",
    "npscatter.backends.gpu.target",
    "npscatter.backends.gpu.magnitudes",
    "npscatter.backends.gpu.means",
    "npscatter.backends.gpu.block",
    "npscatter.backends.gpu.emission",
    "npscatter.backends.gpu.kernel",
)
# What kernels refer to by a name, which a cache on disk can hold.
REGISTERED: dict[str, RegisterTile] = {}

_HALF, _LONG = ir.HalfType(), ir.IntType(64)
# Maps that are copied at once: so many loads are under way.
COPIED_AT_ONCE = 8


def register(tile: RegisterTile | None) -> str:
    """Return the name by which kernels call `tile`: another one if any source has changed."""
    if tile is None:
        return ""
    name = f"{tile.digest} {source_digest(SOURCES)}"
    REGISTERED[name] = tile
    return name


def named_by_sources(kernel: Callable) -> Callable:
    """Return a kernel under a name for caches on disk: another one if any source has changed."""
    kernel.__qualname__ += f"_{source_digest(SOURCES)[:16]}"
    return kernel


def emit_moduli(builder, tile: RegisterTile, root: Callable, window: Window, out: tuple) -> None:
    """Emit the moduli of a run.

    Parameters
    ----------
    builder : IRBuilder
        Where to.
    tile : RegisterTile
        The wavelets.
    root : callable
        ``root(builder, value)`` emits a square root.
    window : Window
        What is read.
    out : tuple of LLVM values
        Where the row of the first modulus starts in the window's memory; elements from one modulus
        to the next, and between the phases of a row.
    """
    emitter = ScalarEmitter(builder, tile, root)
    place, plane, phase_stride = out
    first = builder.add(place, emitter.scaled(window.run, tile.run // 2))

    def store_run(output, values):
        index = builder.add(first, emitter.scaled(plane, output))
        emitter.store(values[0::2], emitter.at(window.start, index))
        index = builder.add(index, phase_stride)
        emitter.store(values[1::2], emitter.at(window.start, index))

    emitter.emit(window, store_run)


def emit_smoothing(
    builder, tile: RegisterTile, window: Window, target, out: tuple, scaling: tuple | None
) -> None:
    """Emit the smoothing of a run.

    Parameters
    ----------
    builder, tile, window
        As for `emit_moduli`.
    target : LLVM pointer
        Memory of the target: of what is computed in, or of i16 for halves.
    out : tuple of LLVM values
        Where the run of the first map starts; elements from one map to the next; how many of the
        run are stored; whether runs start at multiples of a vector.
    scaling : tuple of LLVM values or None
        Memory, and the index of two numbers there: sums are multiplied by the first, and the second
        is added.
    """
    emitter = ScalarEmitter(builder, tile, root=None)
    place, plane, count, aligned = out
    whole = builder.icmp_signed(">=", count, emitter.integer(tile.run))
    whole = builder.and_(whole, builder.icmp_signed("!=", aligned, emitter.integer(0)))
    as_halves = isinstance(target.type.pointee, ir.IntType)

    def store_run(output, values):
        index = builder.add(place, builder.mul(plane, ir.Constant(_LONG, output)))
        pointer = emitter.at(target, index)
        if scaling:
            # Loaded here, where no sum is under way any more: registers are scarce before.
            memory, place_of_pair = scaling
            pair = emitter.at(memory, place_of_pair)
            factor, added = builder.load(pair), builder.load(emitter.at(pair, emitter.integer(1)))
            values = [emitter.fma(value, factor, added) for value in values]
        if as_halves:
            values = [builder.fptrunc(value, _HALF) for value in values]
            values = [builder.bitcast(value, target.type.pointee) for value in values]
        with builder.if_else(whole) as (then, otherwise):
            with then:
                emitter.store(values, pointer)
            with otherwise:
                for p, value in enumerate(values):
                    there = builder.icmp_signed(">", count, emitter.integer(p))
                    with builder.if_then(there):
                        emitter.store([value], emitter.at(pointer, emitter.integer(p)))

    emitter.emit(window, store_run)


def emit_copy(builder, maps: int, source, index, source_plane, shared, place, plane) -> None:
    """Emit the copy of one sample of every map to shared memory.

    Parameters
    ----------
    builder : IRBuilder
        Where to.
    maps : int
        How many maps.
    source, shared : LLVM pointer
        Memory of the maps, of i16 for halves, and of their tile.
    index, source_plane : LLVM i64, LLVM i32
        Where the sample of the first map is, and elements from one map to the next.
    place, plane : LLVM i32
        The same of the tile.
    """
    for start in range(0, maps, COPIED_AT_ONCE):
        group, values = range(start, min(start + COPIED_AT_ONCE, maps)), []
        for k in group:
            far = builder.mul(builder.sext(source_plane, _LONG), ir.Constant(_LONG, k))
            value = builder.load(builder.gep(source, [builder.add(index, far)]))
            if isinstance(value.type, ir.IntType):
                value = builder.bitcast(value, _HALF)
            if value.type != shared.type.pointee:
                value = builder.fpext(value, shared.type.pointee)
            values.append(value)
        for k, value in zip(group, values, strict=True):
            near = builder.mul(plane, ir.Constant(plane.type, k))
            near = builder.sext(builder.add(place, near), _LONG)
            builder.store(value, builder.gep(shared, [near]))


@dataclass(frozen=True)
class Window:
    """What the sums of a run read, as LLVM values.

    Attributes
    ----------
    start : pointer
        Shared memory.
    memory : pointer
        The first map of the stack that is read.
    slot, ring : i32
        The slot of the window's first row; how many slots there are, after which rows begin anew.
    pitch, plane, phase_stride : i32
        Elements between rows, between maps, and between the phases of a row.
    run : i32
        Number of the run in its row.
    """

    start: ir.Value
    memory: ir.Value
    slot: ir.Value
    ring: ir.Value
    pitch: ir.Value
    plane: ir.Value
    phase_stride: ir.Value
    run: ir.Value

    @classmethod
    def of(cls, builder: ir.IRBuilder, shared: ir.Value, offset: ir.Value, *numbers) -> Window:
        """Return the window of the stack that starts `offset` elements into shared memory."""
        memory = builder.gep(shared, [builder.sext(offset, _LONG)])
        return cls(shared, memory, *numbers)


class ScalarEmitter:
    """Emits the sums of one run into an LLVM function.

    Parameters
    ----------
    builder : IRBuilder
        Where to.
    register_tile : RegisterTile
        What.
    root : callable
        ``root(builder, value)`` emits a square root.
    """

    def __init__(self, builder: ir.IRBuilder, register_tile: RegisterTile, root: Callable):
        self.builder, self.register_tile, self.root = builder, register_tile, root
        self.scalar = {"float32": ir.FloatType(), "float64": ir.DoubleType()}[register_tile.dtype]
        self.itemsize = np.dtype(register_tile.dtype).itemsize

    def integer(self, value: int) -> ir.Constant:
        return ir.Constant(ir.IntType(32), value)

    def constant(self, value: float) -> ir.Constant:
        return ir.Constant(self.scalar, float(np.dtype(self.register_tile.dtype).type(value)))

    def scaled(self, value, by: int):
        return value if by == 1 else self.builder.mul(value, self.integer(by))

    def at(self, pointer, index):
        """Return the address of an element; `index` is signed, of 32 or 64 bits."""
        if index.type.width < 64:
            index = self.builder.sext(index, ir.IntType(64))
        return self.builder.gep(pointer, [index])

    def load(self, pointer, count: int) -> list:
        """Load `count` neighbours, aligned to as many."""
        if count == 1:
            value = self.builder.load(pointer)
            value.align = self.itemsize
            return [value]
        kind = ir.VectorType(self.scalar, count)
        vector = self.builder.load(self.builder.bitcast(pointer, kind.as_pointer()))
        vector.align = count * self.itemsize
        return [self.builder.extract_element(vector, self.integer(k)) for k in range(count)]

    def store(self, values: list, pointer) -> None:
        """Store neighbours, aligned to as many."""
        kind = values[0].type
        itemsize = kind.width // 8 if isinstance(kind, ir.IntType) else self.itemsize
        if len(values) == 1:
            self.builder.store(values[0], pointer).align = itemsize
            return
        kind = ir.VectorType(values[0].type, len(values))
        vector = ir.Constant(kind, ir.Undefined)
        for k, value in enumerate(values):
            vector = self.builder.insert_element(vector, value, self.integer(k))
        place = self.builder.bitcast(pointer, kind.as_pointer())
        self.builder.store(vector, place).align = itemsize * len(values)

    def fma(self, a, b, c):
        return self.builder.fma(a, b, c)

    def folded(self, one, other, fold: int):
        return self.builder.fadd(one, other) if fold > 0 else self.builder.fsub(one, other)

    def emit(self, window: Window, store_run: Callable) -> None:
        """Emit the sums of a run.

        Parameters
        ----------
        window : Window
            What they read.
        store_run : callable
            ``store_run(output, values)`` emits what becomes of the run of one output.
        """
        tile, builder = self.register_tile, self.builder
        # The first sample of the run, in either phase.
        first = self.scaled(window.run, tile.stride * tile.run // 2)
        rows = []
        for a in range(tile.size):
            slot = builder.add(window.slot, self.integer(a))
            over = builder.icmp_signed(">=", slot, window.ring)
            slot = builder.select(over, builder.sub(slot, window.ring), slot)
            rows.append(builder.add(builder.mul(slot, window.pitch), first))
        for part in tile.parts:
            values = self._part(part, window, rows)
            outputs = len(part.summation.outputs)
            if not tile.modulus:
                for o in range(outputs):
                    store_run(part.outputs[o], values[o])
                continue
            for o in range(outputs // 2):
                pairs = zip(values[o], values[o + outputs // 2], strict=True)
                squares = [self.fma(re, re, builder.fmul(im, im)) for re, im in pairs]
                store_run(part.outputs[o], [self.root(builder, square) for square in squares])

    def _part(self, part: SubTile, window: Window, rows: list) -> list[list]:
        """Emit the sums of a part; return the values of every output.

        `rows` are where the run's first columns of the window's rows are in a map.
        """
        tile, builder, summation = self.register_tile, self.builder, part.summation
        radius, wide = summation.size // 2, tile.wide
        totals: dict[tuple[int, int], object] = {}
        current, loaded, lines = None, {}, {}

        def column(row_map: int, offset: int, c: int):
            """Return the sample of column `c` of the window of the run's first output."""
            phase, chunk = c % 2, c // 2 // wide
            key = offset, phase, chunk
            if key not in loaded:
                index = builder.add(rows[offset + radius], self.scaled(window.plane, row_map))
                if phase:
                    index = builder.add(index, window.phase_stride)
                index = builder.add(index, self.integer(chunk * wide))
                loaded[key] = self.load(self.at(window.memory, index), wide)
            return loaded[key][c // 2 % wide]

        def line(row, c: int):
            """Return the same of a row that may be folded."""
            key = row.offset, row.fold, c
            if key not in lines:
                value = column(row.map, row.offset, c)
                if row.fold:
                    value = self.folded(value, column(row.map, -row.offset, c), row.fold)
                lines[key] = value
            return lines[key]

        for sample in summation.samples:
            row = summation.rows[sample.row]
            if current != (row.map, row.offset):
                current, loaded, lines = (row.map, row.offset), {}, {}
            for p in range(tile.run):
                centre = tile.stride * p + tile.shift + radius
                value = line(row, centre + sample.offset)
                if sample.fold:
                    value = self.folded(value, line(row, centre - sample.offset), sample.fold)
                for accumulator, index in sample.terms:
                    weight, key = self.constant(part.weights[index]), (accumulator, p)
                    if key in totals:
                        totals[key] = self.fma(value, weight, totals[key])
                    else:
                        totals[key] = builder.fmul(value, weight)
        zero = self.constant(0)
        values = []
        for first, second, sign in summation.outputs:
            run = [totals.get((first, p), zero) for p in range(tile.run)]
            if sign:
                others = [totals[second, p] for p in range(tile.run)]
                run = [self.folded(*pair, sign) for pair in zip(run, others, strict=True)]
            values.append(run)
        return values
