"""The code of one GPU thread: the sums of a `RegisterTile`, straight on, as LLVM IR.

Every weight is part of an instruction. The IR is of scalars, the same for a GPU and, under the
simulator, for the CPU.

A tile in shared memory holds its columns in two phases, the even ones first and the odd ones
`phase_stride` elements on. Then runs at stride 1 and at stride 2 both read whole vectors, and
neighbouring threads read neighbouring banks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from llvmlite import ir

from npscatter.gpu.register_tile import RegisterTile, SubTile


class ScalarEmitter:
    """Emits the sums of one run into an LLVM function.

    Parameters
    ----------
    builder : IRBuilder
        Where to.
    sums : RegisterTile
        What.
    root : callable
        ``root(builder, value)`` emits a square root.
    """

    def __init__(self, builder: ir.IRBuilder, sums: RegisterTile, root: Callable):
        self.builder, self.sums, self.root = builder, sums, root
        self.scalar = {"float32": ir.FloatType(), "float64": ir.DoubleType()}[sums.dtype]
        self.itemsize = np.dtype(sums.dtype).itemsize

    def integer(self, value: int) -> ir.Constant:
        return ir.Constant(ir.IntType(32), value)

    def constant(self, value: float) -> ir.Constant:
        return ir.Constant(self.scalar, float(np.dtype(self.sums.dtype).type(value)))

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

    def emit(self, tile, start, ring, pitch, plane, half, run, keep: Callable) -> None:
        """Emit the sums.

        Parameters
        ----------
        tile : LLVM pointer
            The tile, in shared memory.
        start, ring, pitch, plane, half : LLVM i32
            The slot of the window's first row; how many slots there are, after which rows begin
            anew; elements between rows, between maps, and between the phases of a row.
        run : LLVM i32
            Number of the run in its row.
        keep : callable
            ``keep(output, values)`` emits what is done with the run of one output.
        """
        sums, builder = self.sums, self.builder
        # The first sample of the run, in either phase.
        first = self.scaled(run, sums.stride * sums.run // 2)
        rows = []
        for a in range(sums.size):
            slot = builder.add(start, self.integer(a))
            over = builder.icmp_signed(">=", slot, ring)
            slot = builder.select(over, builder.sub(slot, ring), slot)
            rows.append(builder.add(builder.mul(slot, pitch), first))
        for part in sums.parts:
            values = self._part(part, tile, rows, plane, half)
            outputs = len(part.summation.outputs)
            if not sums.modulus:
                for o in range(outputs):
                    keep(part.outputs[o], values[o])
                continue
            for o in range(outputs // 2):
                pairs = zip(values[o], values[o + outputs // 2], strict=True)
                squares = [self.fma(re, re, builder.fmul(im, im)) for re, im in pairs]
                keep(part.outputs[o], [self.root(builder, square) for square in squares])

    def _part(self, part: SubTile, tile, rows: list, plane, half) -> list[list]:
        """Emit the sums of a part; return the values of every output."""
        sums, builder, plan = self.sums, self.builder, part.summation
        radius = plan.size // 2
        wide = sums.wide
        totals: dict[tuple[int, int], object] = {}
        current, loaded, lines = None, {}, {}

        def column(row_map: int, offset: int, c: int):
            """Return the sample of column `c` of the window of the run's first output."""
            phase, chunk = c % 2, c // 2 // wide
            key = offset, phase, chunk
            if key not in loaded:
                index = builder.add(rows[offset + radius], self.scaled(plane, row_map))
                if phase:
                    index = builder.add(index, half)
                index = builder.add(index, self.integer(chunk * wide))
                loaded[key] = self.load(self.at(tile, index), wide)
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

        for sample in plan.samples:
            row = plan.rows[sample.row]
            if current != (row.map, row.offset):
                current, loaded, lines = (row.map, row.offset), {}, {}
            for p in range(sums.run):
                centre = sums.stride * p + sums.shift + radius
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
        for first, second, sign in plan.outputs:
            run = [totals.get((first, p), zero) for p in range(sums.run)]
            if sign:
                others = [totals[second, p] for p in range(sums.run)]
                run = [self.folded(*pair, sign) for pair in zip(run, others, strict=True)]
            values.append(run)
        return values
