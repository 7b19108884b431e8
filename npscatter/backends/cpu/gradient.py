"""The gradient of the program on the CPU's vector units.

With c the coefficients of an image x and ``g = dloss/dc``, it is ``dloss/dx``: the program
backwards, step by step (`npscatter.backends.cpu.gradient_code`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from operator import itemgetter

import numpy as np
from numba.core.dispatcher import Dispatcher

from npscatter.backends.cpu.executor import KeptMemory, all_threads
from npscatter.backends.cpu.geometry import columns_by_octave
from npscatter.backends.cpu.gradient_code import KERNEL, make_worker
from npscatter.backends.cpu.gradient_layout import GradientLayout, lay_out
from npscatter.backends.cpu.records import address
from npscatter.backends.cpu.row_codegen import compiled_row
from npscatter.backends.cpu.simd import vector_bytes
from npscatter.bank import FilterBank
from npscatter.program.plan import Plan

# Bytes that all threads together may use for their maps, or one thread for one image.
MOST = 2**29
# Bytes of a thread's maps that are kept for the next call.
KEPT = 2**28

_MEMORY = KeptMemory(KEPT)


def gradient(
    plan: Plan,
    bank: FilterBank,
    images: np.ndarray,
    slopes: np.ndarray,
    threads: int | None = None,
) -> np.ndarray:
    """Return the gradient of ``(slopes * S(images)).sum()`` by the images.

    Parameters
    ----------
    plan : Plan
        Made for `bank`'s architecture.
    bank : FilterBank
        The weights.
    images : ndarray of float32 or float64, shape (N, H, W)
        Of ordinary magnitude, without a level (`npscatter.program.magnitude`).
    slopes : ndarray, shape (N, C, H // 2^J, W // 2^J)
        Of the same dtype.
    threads : int, optional
        How many may work; None for all.

    Returns
    -------
    ndarray, shape (N, H, W)
    """
    threads = threads or all_threads()
    layout = choose(plan, bank, images.dtype.name, len(images), threads)
    return run_layout(layout, images, slopes, threads)


def run_layout(
    layout: GradientLayout, images: np.ndarray, slopes: np.ndarray, threads: int
) -> np.ndarray:
    """Return the gradient by a program that is laid out in memory; others as for `gradient`."""
    work, kernels = _compiled(layout)
    images, slopes = np.ascontiguousarray(images), np.ascontiguousarray(slopes)
    result = np.zeros_like(images)
    together = layout.images_per_vector

    def of_a_vector(start: int) -> None:
        memory = _MEMORY.take(layout, layout.new_memory)
        maps, tables, worker = memory
        maps[layout.slopes] = 0
        worker["count"] = min(together, len(images) - start)
        # The first image stands in for those that are not there.
        numbers = np.arange(start, start + together)
        numbers[numbers >= len(images)] = start
        for name, array in (("images", images), ("slopes", slopes), ("gradients", result)):
            tables[name][:] = address(array) + numbers * array.strides[0]
        work(layout.job, worker, layout.runs, layout.steps, kernels)
        _MEMORY.keep(layout, memory)

    starts = range(0, len(images), together)
    threads = max(1, min(threads, len(starts), MOST // layout.memory))
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(of_a_vector, starts))
    else:
        list(map(of_a_vector, starts))
    return result


@lru_cache(maxsize=256)
def choose(plan: Plan, bank: FilterBank, dtype: str, images: int, threads: int) -> GradientLayout:
    """Return the layout for so many images: what fills vectors best, and keeps threads busy."""
    lanes, width = vector_bytes() // np.dtype(dtype).itemsize, plan.padded_shape[1]
    scored: list[tuple[float, GradientLayout]] = []
    plan = plan.octave_by_octave()
    for images_per_vector in (1 << k for k in range(lanes.bit_length())):
        if images_per_vector >= 2 * images and scored:
            break
        layout = lay_out(plan, bank, dtype, images_per_vector)
        strips, vectors = lanes // images_per_vector, -(-images // images_per_vector)
        columns = columns_by_octave(width, plan.J, strips)[0]
        busy = images / (images_per_vector * threads * max(1, -(-vectors // threads)))
        # Measured: what a row costs besides its columns, and leaving the caches.
        score = busy * width / strips / (columns + 4)
        scored.append((score / (1 + 0.2 * max(0.0, np.log2(layout.memory / 2**24))), layout))
    return max(scored, key=itemgetter(0))[1]


@lru_cache(maxsize=32)
def _compiled(layout: GradientLayout) -> tuple[Dispatcher, np.ndarray]:
    """Return the function that works a vector of images off, and the table of kernels."""
    kernels = np.zeros(len(layout.kernels), KERNEL)
    for number, (kernel, weights) in enumerate(zip(layout.kernels, layout.weights, strict=True)):
        summation = kernel.summation
        kernels[number] = (
            *(compiled_row(kernel).address, summation.size, kernel.outputs, address(weights)),
        )
    return _worker(layout.dtype), kernels


@lru_cache
def _worker(dtype: str) -> Dispatcher:
    return make_worker(dtype)
