"""What kernels call that Numba has no words for, on a GPU; the simulator has the same.

Numba asks for an intrinsic's types first with types that do not tell a literal's value; None makes
it ask again.
"""

from __future__ import annotations

from llvmlite import ir
from numba import cuda
from numba.core import cgutils
from numba.cuda import types
from numba.cuda.extending import intrinsic

from npscatter.backends.gpu.run_codegen import (
    REGISTERED,
    Window,
    emit_copy,
    emit_moduli,
    emit_smoothing,
)

# Offset of the stack in shared memory, then what a `Window` has.
WINDOW = types.UniTuple(types.int32, 7)
device = cuda.jit(device=True, inline="always")


def _root(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Emit a square root; in float32 one that is right within two units of the last place.

    Numbers below 1e-38 count as zero there.
    """
    kind = ir.FunctionType(value.type, [value.type])
    name = "llvm.nvvm.sqrt.approx.ftz.f"
    if isinstance(value.type, ir.DoubleType):
        name = "llvm.sqrt.f64"
    declared = builder.module.globals.get(name)
    return builder.call(declared or ir.Function(builder.module, kind, name), [value])


def _pointer(context, builder, kind, array) -> ir.Value:
    return context.make_array(kind)(context, builder, array).data


@intrinsic
def moduli(typing, name, shared, window, out):
    """Store the moduli of a run of the wavelets registered as `name`; see `emit_moduli`."""
    if not isinstance(name, types.StringLiteral):
        return None
    tile = REGISTERED[name.literal_value]

    def generate(context, builder, signature, values):
        shared = _pointer(context, builder, signature.args[1], values[1])
        window, out = (cgutils.unpack_tuple(builder, numbers) for numbers in values[2:])
        emit_moduli(builder, tile, _root, Window.of(builder, shared, *window), out)
        return context.get_dummy_value()

    return types.void(name, shared, WINDOW, types.UniTuple(types.int32, 3)), generate


@intrinsic
def smooth(typing, name, shared, window, target, out, scaling):
    """Store a smoothed run of what is registered as `name`; see `emit_smoothing`.

    `scaling` is an array and an index, or None.
    """
    if not isinstance(name, types.StringLiteral):
        return None
    tile, is_scaled = REGISTERED[name.literal_value], isinstance(scaling, types.BaseTuple)

    def generate(context, builder, signature, values):
        shared = _pointer(context, builder, signature.args[1], values[1])
        target = _pointer(context, builder, signature.args[3], values[3])
        window, out = (cgutils.unpack_tuple(builder, values[k]) for k in (2, 4))
        pair = None
        if is_scaled:
            array, index = cgutils.unpack_tuple(builder, values[5])
            pair = _pointer(context, builder, scaling[0], array), index
        emit_smoothing(builder, tile, Window.of(builder, shared, *window), target, out, pair)
        return context.get_dummy_value()

    place = types.Tuple([types.int64, types.int64, types.int32, types.int32])
    return types.void(name, shared, WINDOW, target, place, scaling), generate


@intrinsic
def copy(typing, maps, source, index, source_plane, shared, place, plane):
    """Copy a sample of each of `maps` maps to shared memory; see `emit_copy`."""
    if not isinstance(maps, types.IntegerLiteral):
        return None
    count = maps.literal_value

    def generate(context, builder, signature, values):
        _, source, index, source_plane, shared, place, plane = values
        source = _pointer(context, builder, signature.args[1], source)
        shared = _pointer(context, builder, signature.args[4], shared)
        emit_copy(builder, count, source, index, source_plane, shared, place, plane)
        return context.get_dummy_value()

    arguments = [maps, source, types.int64, types.int32, shared, types.int32, types.int32]
    return types.void(*arguments), generate


@intrinsic
def quotient(typing, dividend, divisor):
    """Return dividend // divisor, of numbers that are not negative; no check for zero."""

    def generate(context, builder, _, values):
        return builder.udiv(*values)

    return types.int32(types.int32, types.int32), generate


@intrinsic
def opaque(typing, value):
    """Return the value, as another one to the compiler: an optimisation barrier.

    What is computed from it is computed again where it is needed, and not kept in registers from
    before: they are worth more.
    """

    def generate(context, builder, _, values):
        kind = ir.FunctionType(values[0].type, [values[0].type])
        code = ir.InlineAsm(kind, "mov.b32 $0, $1;", "=r,r", side_effect=True)
        return builder.call(code, values)

    return types.int32(types.int32), generate
