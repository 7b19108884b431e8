"""What becomes of rows of vectors on the way back, as LLVM IR for Numba.

Steps between vectors are counted in vectors.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from npscatter.backends.cpu.simd import INDEX, SimdEmitter


def _for_vectors(
    emit: SimdEmitter,
    vectors: ir.Value,
    rows: list[tuple[ir.Value, ir.Value | int]],
    body: Callable[..., None],
) -> None:
    """Emit a loop over so many vectors of rows: each an address, and the step to its next vector.

    `body` is given where each row has the turn's vector.
    """
    with cgutils.for_range(emit.builder, vectors, intp=INDEX) as loop:
        x = emit.builder.mul(loop.index, emit.index(emit.width))
        steps = [emit.index(step) if isinstance(step, int) else step for _, step in rows]
        body(
            *(
                emit.at(emit.pointer(address), emit.builder.mul(x, step))
                for (address, _), step in zip(rows, steps, strict=True)
            )
        )


@intrinsic
def take_moduli_of_row(typing, like, real, imaginary, out, vectors):
    """Compute so many vectors of moduli."""

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, like.name)
        *addresses, vectors = values[1:]

        def body(real, imaginary, out):
            a, b = emit.load(real), emit.load(imaginary)
            square = emit.multiply_add(a, a, builder.fmul(b, b))
            emit.store(emit.instruction("sqrt", square), out)

        _for_vectors(emit, vectors, [(address, 1) for address in addresses], body)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), generate


@intrinsic
def turn_row(typing, like, slopes, moduli, parts, out, vectors, step, out_step):
    """Make of so many vectors of moduli's gradients that of their real or imaginary parts.

    Where a modulus is zero that is zero, not NaN. The gradients stand one after the other, moduli
    and parts `step` vectors apart, what is written `out_step`.
    """

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, like.name)
        slopes, moduli, parts, out, vectors, step, out_step = values[1:]
        zero = ir.Constant(emit.vector, None)

        def body(slope, modulus, part, out):
            r = emit.load(modulus)
            ratio = builder.fdiv(emit.load(slope), r)
            ratio = builder.select(builder.fcmp_ordered("==", r, zero), zero, ratio)
            emit.store(builder.fmul(ratio, emit.load(part)), out)

        rows = [(slopes, 1), (moduli, step), (parts, step), (out, out_step)]
        _for_vectors(emit, vectors, rows, body)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 7), generate


@intrinsic
def sum_and_difference(typing, like, one, other, vectors):
    """Put the sum of two rows in the place of one, and their difference in that of the other."""

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, like.name)
        *addresses, vectors = values[1:]

        def body(one, other):
            a, b = emit.load(one), emit.load(other)
            emit.store(builder.fadd(a, b), one)
            emit.store(builder.fsub(a, b), other)

        _for_vectors(emit, vectors, [(address, 1) for address in addresses], body)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 3), generate


@intrinsic
def spread_row(typing, like, source, out, vectors, step):
    """Copy so many vectors to places that are `step` vectors apart."""

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, like.name)
        source, out, vectors, step = values[1:]

        def body(source, out):
            emit.store(emit.load(source), out)

        _for_vectors(emit, vectors, [(source, 1), (out, step)], body)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), generate


@intrinsic
def add_row_to(typing, like, source, out, vectors, step):
    """Add so many vectors to what stands at places that are `step` vectors apart."""

    def generate(context, builder, _, values):
        emit = SimdEmitter(builder, like.name)
        source, out, vectors, step = values[1:]

        def body(source, out):
            emit.store(builder.fadd(emit.load(out), emit.load(source)), out)

        _for_vectors(emit, vectors, [(source, 1), (out, step)], body)
        return context.get_dummy_value()

    return types.void(like, *[types.int64] * 4), generate
