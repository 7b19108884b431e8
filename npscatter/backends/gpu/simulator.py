"""What kernels call, for numba-cuda's simulator (``NUMBA_ENABLE_CUDASIM=1``).

There kernels run as Python. What is LLVM IR on a GPU (`npscatter.backends.gpu.run_codegen`) is
compiled for the CPU here, and called with addresses. `npscatter.backends.gpu.intrinsics` has the
same for a GPU.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from llvmlite import binding, ir

from npscatter.backends.gpu.run_codegen import (
    REGISTERED,
    Window,
    emit_copy,
    emit_moduli,
    emit_smoothing,
)

_INT, _LONG = ir.IntType(32), ir.IntType(64)
_ELEMENTS = {"float32": ir.FloatType(), "float64": ir.DoubleType(), "uint16": ir.IntType(16)}
# Threads of a block ask for the same function at the same time.
_COMPILING = threading.Lock()


class CpuFunction:
    """Code for a GPU, compiled for the CPU.

    Parameters
    ----------
    emit : callable
        ``emit(builder, *arguments)`` emits it.
    kinds : list of LLVM types
        Of the arguments; arrays are passed for pointers.
    make_builder : callable
        Makes the IRBuilder for a block, which stays known as `builder`: one that keeps account of
        loads and stores, say.
    """

    def __init__(self, emit: Callable, kinds: list, make_builder: Callable):
        module = ir.Module()
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), "function")
        self.builder = make_builder(function.append_basic_block())
        emit(self.builder, *function.args)
        self.builder.ret_void()
        compiled = binding.parse_assembly(str(module))
        self._engine = binding.create_mcjit_compiler(compiled, _target_machine())
        self._engine.finalize_object()
        address = self._engine.get_function_address("function")
        # One that holds Python's lock: the simulator's threads take turns.
        self._call = ctypes.PYFUNCTYPE(None, *map(_ctype, kinds))(address)
        self._pointers = [number for number, kind in enumerate(kinds) if kind.is_pointer]

    def __call__(self, *arguments) -> None:
        arguments = list(arguments)
        for number in self._pointers:
            arguments[number] = array_of(arguments[number]).ctypes.data
        self._call(*arguments)


def array_of(array) -> np.ndarray:
    """Return the NumPy array behind one of the simulator's, as a kernel has it."""
    array = getattr(array, "_item", array)
    return getattr(array, "_ary", array)


@lru_cache(maxsize=1)
def _target_machine() -> binding.TargetMachine:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    features = binding.get_host_cpu_features().flatten()
    target = binding.Target.from_default_triple()
    return target.create_target_machine(cpu=binding.get_host_cpu_name(), features=features, opt=0)


def _ctype(kind: ir.Type):
    if kind.is_pointer:
        return ctypes.c_void_p
    return ctypes.c_int32 if kind is _INT else ctypes.c_int64


def _root(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    name = "llvm.sqrt.f64" if isinstance(value.type, ir.DoubleType) else "llvm.sqrt.f32"
    kind = ir.FunctionType(value.type, [value.type])
    declared = builder.module.globals.get(name)
    return builder.call(declared or ir.Function(builder.module, kind, name), [value])


def _pointer_to(dtype: str) -> ir.Type:
    return _ELEMENTS[dtype].as_pointer()


@lru_cache(maxsize=256)
def moduli_function(name: str, make_builder: Callable = ir.IRBuilder) -> CpuFunction:
    """Return `emit_moduli` of what is registered as `name`."""
    tile = REGISTERED[name]

    def emit(builder, shared, *numbers):
        emit_moduli(builder, tile, _root, Window.of(builder, shared, *numbers[:7]), numbers[7:])

    return CpuFunction(emit, [_pointer_to(tile.dtype), *[_INT] * 10], make_builder)


@lru_cache(maxsize=256)
def smooth_function(
    name: str, dtype: str, is_scaled: bool, make_builder: Callable = ir.IRBuilder
) -> CpuFunction:
    """Return `emit_smoothing` of what is registered as `name`, for a target of a dtype."""
    tile = REGISTERED[name]

    def emit(builder, shared, *values):
        window = Window.of(builder, shared, *values[:7])
        emit_smoothing(builder, tile, window, values[7], values[8:12], values[12:] or None)

    number = _pointer_to(tile.dtype)
    kinds = [number, *[_INT] * 7, _pointer_to(dtype), *[_LONG] * 2, *[_INT] * 2]
    return CpuFunction(emit, kinds + [number, _INT] * is_scaled, make_builder)


@lru_cache(maxsize=256)
def copy_function(
    maps: int, source: str, shared: str, make_builder: Callable = ir.IRBuilder
) -> CpuFunction:
    """Return `emit_copy` of so many maps, given the dtypes."""

    def emit(builder, *values):
        emit_copy(builder, maps, *values)

    kinds = [_pointer_to(source), _LONG, _INT, _pointer_to(shared), _INT, _INT]
    return CpuFunction(emit, kinds, make_builder)


def moduli(name, shared, window, out) -> None:
    """Store the moduli of a run."""
    with _COMPILING:
        function = moduli_function(name)
    function(shared, *window, *out)


def smooth(name, shared, window, target, out, scaling) -> None:
    """Store a smoothed run."""
    with _COMPILING:
        function = smooth_function(name, array_of(target).dtype.name, scaling is not None)
    function(shared, *window, target, *out, *(scaling or ()))


def copy(maps, source, index, source_plane, shared, place, plane) -> None:
    """Copy a sample of each of `maps` maps to shared memory."""
    with _COMPILING:
        function = copy_function(maps, array_of(source).dtype.name, shared.dtype.name)
    function(source, index, source_plane, shared, place, plane)


def quotient(dividend, divisor):
    """Return dividend // divisor, of numbers that are not negative."""
    assert dividend >= 0  # where the division is of unsigned numbers
    return np.int32(int(dividend) // int(divisor))


def opaque(value):
    """Return the value."""
    return value


def device(function: Callable) -> Callable:
    """Return the function: Python calls it."""
    return function
