"""The one place that knows how numba-cuda compiles: for a GPU, or for its simulator.

Under the simulator (``NUMBA_ENABLE_CUDASIM=1``) kernels run as Python.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import get_type_hints

import numba_cuda  # noqa: F401  (Numba's own cuda module, which this replaces, will not do)
import numpy as np
from numba import cuda
from numba.cuda import types
from numba.cuda.cudadrv import driver
from numba.cuda.np.numpy_support import from_dtype

from npscatter.backends.gpu.launches import Geometry, Magnitudes
from npscatter.backends.gpu.tiling import ANY_GPU, REGISTERS, THREADS, Device, KernelSpec
from npscatter.backends.jit_cache import compile_cached

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"

if SIMULATED:
    from npscatter.backends.gpu.simulator import copy, device, moduli, opaque, quotient, smooth

    Stream = cuda.stream
else:
    from npscatter.backends.gpu.intrinsics import copy, device, moduli, opaque, quotient, smooth

    Stream = driver.Stream

# What kernels call, of either.
__all__ = ["copy", "device", "moduli", "opaque", "quotient", "smooth"]

# Vectors are loaded from shared memory; the simulator knows no alignment.
SHARED_ALIGNMENT = None if SIMULATED else 16
# Numbers of a geometry that may be large.
LONG = ("offset", "workspace")
# The largest block, and how many of them a multiprocessor's registers have to do for.
LAUNCH_BOUNDS = {dtype: (max(THREADS), REGISTERS[dtype] // max(THREADS)) for dtype in REGISTERS}


def _numbers(kind: type):
    """Return the type of a named tuple of numbers: some integers are of 64 bits, others of 32."""
    plain = {int: types.int32, float: types.float64}
    fields = get_type_hints(kind).items()
    return types.NamedTuple(
        [
            types.int64 if name in LONG else plain[of] if of in plain else _numbers(of)
            for name, of in fields
        ],
        kind,
    )


def signature(spec: KernelSpec, images: np.dtype):
    """Return the type of a kernel of `npscatter.backends.gpu.kernel`, for images of a dtype."""
    tables, number = types.int32[::1], getattr(types, spec.dtype)
    # Halves are stored as what Numba can hold on a CPU too.
    stored = types.uint16 if spec.storage == "float16" else getattr(types, spec.storage)
    return types.void(
        types.Array(from_dtype(images), 3, "A"), tables, tables, stored[::1], number[::1],
        number[::1], types.int32, tables, types.int64[::1], _numbers(Geometry),
    )  # fmt: skip


def magnitudes_signature(dtype: str, images: np.dtype):
    """Return the type of the kernel of `magnitudes`, for images of a dtype."""
    number = getattr(types, dtype)
    return types.void(types.Array(from_dtype(images), 3, "A"), number[::1], _numbers(Magnitudes))


def means_signature(dtype: str):
    """Return the type of the kernel of `means`."""
    number = getattr(types, dtype)[::1]
    return types.void(number, number, number, types.int64[::1], types.int32[::1])


def compiled(function: Callable, signature, launch_bounds: tuple[int, int] | None = None):
    """Return a kernel of a type, with launch bounds, that can be launched on the current GPU."""
    if SIMULATED:
        return cuda.jit(function)
    kernel = cuda.jit(
        launch_bounds=launch_bounds,
        shared_memory_carveout="MaxShared",
        # Linked as it was compiled, which is what the tests look at.
        lto=False,
    )(function)
    compile_cached(kernel, lambda: kernel.compile(signature.args))
    # As `cuda.jit` does where it is given the signature: launched without looking at types.
    kernel._specialized = True
    kernel.disable_compile()
    return kernel


def limits() -> Device:
    """Return what the current GPU has."""
    if SIMULATED:
        return ANY_GPU
    gpu = cuda.get_current_device()
    return Device(gpu.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, gpu.MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)


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


def to_ptx(
    function: Callable, spec: KernelSpec, images: np.dtype, capability: tuple[int, int]
) -> str:
    """Return a kernel's PTX for a compute capability; no GPU is needed."""
    return cuda.compile(
        function, signature(spec, images), device=False, cc=capability, abi="numba", output="ptx",
        launch_bounds=LAUNCH_BOUNDS[spec.dtype],
    )[0]  # fmt: skip


def viewed(array, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]):
    """Return what lies `offset` bytes into an array on the GPU, seen with other strides."""
    kind = "__array_interface__" if SIMULATED else "__cuda_array_interface__"
    interface = dict(getattr(array, kind))
    data = interface["data"][0] + offset, True
    interface |= {"data": data, "shape": shape, "strides": strides}
    if SIMULATED:
        return type(array)(np.asarray(SimpleNamespace(owner=array, **{kind: interface})))
    # Whoever asks has seen to the order of work on its stream.
    return cuda.from_cuda_array_interface(interface | {"stream": None}, owner=array, sync=False)


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
