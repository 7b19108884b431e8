"""The one place that knows how numba-cuda compiles: for a GPU, or for its simulator.

Under the simulator (``NUMBA_ENABLE_CUDASIM=1``) kernels run as Python, and what is LLVM IR on a GPU
(`npscatter.gpu.run_codegen`) is compiled for the CPU and called from there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import lru_cache
from types import FunctionType, SimpleNamespace
from typing import get_type_hints

import numba_cuda  # noqa: F401  (Numba's own cuda module, which this replaces, will not do)
import numpy as np
from llvmlite import ir
from numba import cuda
from numba.cuda.cudadrv import driver

from npscatter.gpu.launches import Geometry
from npscatter.gpu.register_tile import RegisterTile
from npscatter.gpu.run_codegen import ScalarEmitter
from npscatter.gpu.tiling import ANY_GPU, REGISTERS, THREADS, Device, KernelSpec
from npscatter.jit_cache import cached, source_digest

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"

if SIMULATED:
    import numba
    from numba.core import types
    from numba.extending import intrinsic
    from numba.np.numpy_support import from_dtype

    Stream = cuda.stream
else:
    from numba.cuda import types
    from numba.cuda.extending import intrinsic
    from numba.cuda.np.numpy_support import from_dtype

    Stream = driver.Stream

# What intrinsics refer to by a name, which a cache on disk can hold.
_SUMS: dict[str, RegisterTile] = {}
_HALF, _LONG = ir.HalfType(), ir.IntType(64)


# Files that decide what is compiled.
SOURCES = (
    "npscatter.program.summation",
    "npscatter.gpu.run_codegen",
    "npscatter.gpu.tiling",
    "npscatter.gpu.target",
    "npscatter.gpu.kernel",
    "npscatter.gpu.launches",
)


def register(sums: RegisterTile | None) -> str:
    """Return the name by which kernels call `sums`: another one if any source has changed."""
    if sums is None:
        return ""
    name = f"{sums.digest} {source_digest(SOURCES)}"
    _SUMS[name] = sums
    return name


def _root(builder, value):
    kind = ir.FunctionType(value.type, [value.type])
    name = "llvm.sqrt.f64" if isinstance(value.type, ir.DoubleType) else "llvm.sqrt.f32"
    if not SIMULATED and isinstance(value.type, ir.FloatType):
        # Within two units of the last place; numbers below 1e-38 count as zero.
        name = "llvm.nvvm.sqrt.approx.ftz.f"
    known = builder.module.globals.get(name)
    return builder.call(known or ir.Function(builder.module, kind, name), [value])


def _pointer(context, builder, kind, array):
    return context.make_array(kind)(context, builder, array).data


@intrinsic
def _moduli(
    typing, name, shared, offset, start, ring, pitch, plane, half, run, place, out_plane, out_half
):  # fmt: skip
    if not isinstance(name, types.StringLiteral):
        return None  # Numba asks again with literal types
    sums = _SUMS[name.literal_value]

    def generate(context, builder, signature, values):
        _, shared, offset, start, ring, pitch, plane, half, run, *values = values
        place, out_plane, out_half = values
        memory = _pointer(context, builder, signature.args[1], shared)
        emitter = ScalarEmitter(builder, sums, _root)
        tile = emitter.at(memory, offset)
        pair = sums.run // 2
        first = builder.add(place, emitter.scaled(run, pair))

        def keep(output, values):
            index = builder.add(first, emitter.scaled(out_plane, output))
            emitter.store(values[0::2], emitter.at(memory, index))
            emitter.store(values[1::2], emitter.at(memory, builder.add(index, out_half)))

        emitter.emit(tile, start, ring, pitch, plane, half, run, keep)
        return context.get_dummy_value()

    return types.void(name, shared, *[types.int32] * 10), generate


@intrinsic
def _smooth(
    typing, name, shared, offset, start, ring, pitch, plane, half, run, target, place, out_plane,
    count, aligned,
):  # fmt: skip
    if not isinstance(name, types.StringLiteral):
        return None  # Numba asks again with literal types
    sums = _SUMS[name.literal_value]

    def generate(context, builder, signature, values):
        _, shared, offset, start, ring, pitch, plane, half, run, *values = values
        target, place, across, count, aligned = values
        emitter = ScalarEmitter(builder, sums, _root)
        memory = emitter.at(_pointer(context, builder, signature.args[1], shared), offset)
        target = _pointer(context, builder, signature.args[9], target)
        half_floats = isinstance(target.type.pointee, ir.IntType)
        whole = builder.icmp_signed(">=", count, emitter.integer(sums.run))
        whole = builder.and_(whole, builder.icmp_signed("!=", aligned, emitter.integer(0)))

        def keep(output, values):
            index = builder.add(place, builder.mul(across, ir.Constant(_LONG, output)))
            pointer = emitter.at(target, index)
            if half_floats:
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

        emitter.emit(memory, start, ring, pitch, plane, half, run, keep)
        return context.get_dummy_value()

    arguments = [name, shared, *[types.int32] * 7, target, *[types.int64] * 2, *[types.int32] * 2]
    return types.void(*arguments), generate


@intrinsic
def _quotient(typing, dividend, divisor):
    def generate(context, builder, _, values):
        return builder.udiv(*values)

    return types.int32(types.int32, types.int32), generate


@intrinsic
def _opaque(typing, value):
    """Return a value that the compiler takes for another one, so that it keeps nothing made of it.

    What is computed from it is computed again where it is needed: registers are worth more.
    """

    def generate(context, builder, _, values):
        kind = ir.FunctionType(values[0].type, [values[0].type])
        code = ir.InlineAsm(kind, "mov.b32 $0, $1;", "=r,r", side_effect=True)
        return builder.call(code, values)

    return types.int32(types.int32), generate


@intrinsic
def _copy(typing, maps, source, index, source_plane, shared, place, plane):
    if not isinstance(maps, types.IntegerLiteral):
        return None
    count = maps.literal_value

    def generate(context, builder, signature, values):
        _, source, index, source_plane, shared, place, plane = values
        source = _pointer(context, builder, signature.args[1], source)
        shared = _pointer(context, builder, signature.args[4], shared)
        # All that is under way at once, some maps at a time.
        for start in range(0, count, 8):
            group, found = range(start, min(start + 8, count)), []
            for k in group:
                far = builder.mul(builder.sext(source_plane, _LONG), ir.Constant(_LONG, k))
                value = builder.load(builder.gep(source, [builder.add(index, far)]))
                if isinstance(value.type, ir.IntType):
                    value = builder.bitcast(value, _HALF)
                if value.type != shared.type.pointee:
                    value = builder.fpext(value, shared.type.pointee)
                found.append(value)
            for k, value in zip(group, found, strict=True):
                near = builder.mul(plane, ir.Constant(plane.type, k))
                near = builder.sext(builder.add(place, near), _LONG)
                builder.store(value, builder.gep(shared, [near]))
        return context.get_dummy_value()

    arguments = [maps, source, types.int64, types.int32, shared, types.int32, types.int32]
    return types.void(*arguments), generate


# Vectors are loaded from shared memory; the simulator knows no alignment.
SHARED_ALIGNMENT = None if SIMULATED else 16
# The largest block, and how many of them a multiprocessor's registers have to do for.
LAUNCH_BOUNDS = {dtype: (max(THREADS), REGISTERS[dtype] // max(THREADS)) for dtype in REGISTERS}


def _numbers(kind: type):
    """Return the type of a named tuple of numbers: offsets are of 64 bits, others of 32."""
    fields = get_type_hints(kind).items()
    return types.NamedTuple(
        [
            _numbers(of) if of is not int else types.int64 if name == "offset" else types.int32
            for name, of in fields
        ],
        kind,
    )


def signature(spec: KernelSpec, images: np.dtype):
    """Return the type of a kernel of `npscatter.gpu.kernel`, for images of a dtype."""
    tables, number = types.int32[::1], getattr(types, spec.dtype)
    # Halves are stored as what Numba can hold on a CPU too.
    stored = types.uint16 if spec.storage == "float16" else getattr(types, spec.storage)
    return types.void(
        types.Array(from_dtype(images), 3, "A"), tables, tables, stored[::1], number[::1],
        types.int64, types.int32, tables, _numbers(Geometry),
    )  # fmt: skip


def compiled(function: Callable, spec: KernelSpec, images: np.dtype):
    """Return a kernel that can be launched on the current GPU."""
    if SIMULATED:
        return cuda.jit(function)
    return cached(
        lambda cache: cuda.jit(
            signature(spec, images),
            launch_bounds=LAUNCH_BOUNDS[spec.dtype],
            shared_memory_carveout="MaxShared",
            # Linked as it was compiled, which is what the tests look at.
            lto=False,
            cache=cache,
        )(function)
    )


def limits() -> Device:
    """Return what the current GPU has."""
    if SIMULATED:
        return ANY_GPU
    found = cuda.get_current_device()
    return Device(
        found.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, found.MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
    )


def allow_shared_memory(kernel, size: int) -> int:
    """Ask for more shared memory than blocks have by default; return how much they may have."""
    least = ANY_GPU.block_bytes
    if SIMULATED or size <= least:
        return least
    # As Numba sets the attributes that it knows; if it comes to do that otherwise, do without.
    attribute = "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES"
    try:
        for overload in kernel.overloads.values():
            overload.bind()  # which a kernel from the cache has not been
            function = overload._codelibrary.get_cufunc()
            driver.driver.cuKernelSetAttribute(
                getattr(driver.binding.CUfunction_attribute, attribute),
                *(size, function.handle, function.device.id),
            )
    except (AttributeError, driver.CudaAPIError):
        return least
    return size


def to_ptx(function: Callable, spec: KernelSpec, images: np.dtype, capability: tuple[int, int]) -> str:
    """Return a kernel's PTX for a compute capability; no GPU is needed."""
    return cuda.compile(
        function, signature(spec, images), device=False, cc=capability, abi="numba", output="ptx",
        launch_bounds=LAUNCH_BOUNDS[spec.dtype],
    )[0]  # fmt: skip


def viewed(array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]):
    """Return what lies `offset` bytes into an array on the GPU, seen with other strides."""
    kind = "__array_interface__" if SIMULATED else "__cuda_array_interface__"
    told = dict(getattr(array, kind))
    told |= {"data": (told["data"][0] + offset, True), "shape": shape, "strides": strides}
    if SIMULATED:
        return type(array)(np.asarray(SimpleNamespace(owner=array, **{kind: told})))
    # Whoever asks has seen to the order of work on its stream.
    return cuda.from_cuda_array_interface(told | {"stream": None}, owner=array, sync=False)


def device_of(array) -> int:
    """Return the number of the GPU an array lies on; for None, of the current one."""
    if SIMULATED:
        return 0
    current = cuda.get_current_device().id
    if array is None or not array.size:
        return current
    attribute = driver.binding.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    pointer = driver.binding.CUdeviceptr(address(array))
    return int(driver.driver.cuPointerGetAttribute(attribute, pointer))


def address(array) -> int:
    """Return where an array on the GPU starts."""
    if SIMULATED:
        return array.__array_interface__["data"][0]
    return array.__cuda_array_interface__["data"][0]


if SIMULATED:
    # Numba keeps `name` literal only in calls that are written out.

    def _moduli_on_cpu(name):
        def call(a, b, c, d, e, f, g, h, i, j, k):
            _moduli(name, a, b, c, d, e, f, g, h, i, j, k)

        return call

    def _smooth_on_cpu(name):
        def call(a, b, c, d, e, f, g, h, i, j, k, l, m):  # noqa: E741
            _smooth(name, a, b, c, d, e, f, g, h, i, j, k, l, m)

        return call

    def _copy_on_cpu(maps):
        def call(a, b, c, d, e, f):
            _copy(maps, a, b, c, d, e, f)

        return call

    def _compiled(make: Callable) -> Callable:
        """Compile an intrinsic for the CPU, and hand it the simulator's arrays."""
        compiled = lru_cache(maxsize=256)(lambda name: numba.njit(make(name)))
        one_at_a_time = threading.Lock()

        def call(name, *arguments):
            arrays = [getattr(value, "_item", value) for value in arguments]
            with one_at_a_time:
                compiled(name)(*[getattr(value, "_ary", value) for value in arrays])

        return call

    moduli, smooth = _compiled(_moduli_on_cpu), _compiled(_smooth_on_cpu)
    copy = _compiled(_copy_on_cpu)

    def quotient(dividend, divisor):
        assert dividend >= 0  # where the division is of unsigned numbers
        return np.int32(int(dividend) // int(divisor))

    def opaque(value):
        return value

    def device(function: Callable) -> Callable:
        return function
else:
    moduli, smooth, copy, quotient, opaque = _moduli, _smooth, _copy, _quotient, _opaque
    device = cuda.jit(device=True, inline="always")


def device_functions(*functions: Callable) -> list[Callable]:
    """Return plain functions as kernels can call them.

    Parameters
    ----------
    *functions : callable
        Of one module. They may call those before them, which kernels find in the module's names.
    """
    names = dict(functions[0].__globals__)
    for function in functions:
        names[function.__name__] = device(FunctionType(function.__code__, names))
    return [names[function.__name__] for function in functions]


@device
def reciprocal(divisor):
    """Return what `divided` needs: 2^31 over the divisor, rounded up."""
    return np.uint32(np.int64(quotient(np.int32(2147483647), np.int32(divisor))) + 1)


@device
def divided(dividend, by):
    """Return a dividend over a divisor, given the latter's `reciprocal`; their product < 2^31."""
    return np.int32((np.uint64(dividend) * np.uint64(by)) >> np.uint64(31))
