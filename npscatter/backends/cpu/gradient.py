"""The gradient of the program on the CPU's vector units.

With c the coefficients of an image x and ``g = dloss/dc``, it is ``dloss/dx``: the program
backwards, step by step (`npscatter.backends.cpu.gradient_code`).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from numba.core.dispatcher import Dispatcher

from npscatter.backends.cpu.executor import KeptMemory, all_threads
from npscatter.backends.cpu.gradient_code import KERNEL, make_worker
from npscatter.backends.cpu.gradient_layout import GradientLayout, lay_out
from npscatter.backends.cpu.records import address
from npscatter.backends.cpu.row_codegen import compiled_row
from npscatter.bank import FilterBank
from npscatter.program.plan import Plan

# Bytes of a thread's maps beyond which no gradient is computed here.
LARGEST = 2**28

_MEMORY = KeptMemory()


def is_worthwhile(plan: Plan, bank: FilterBank, dtype: str, images: int) -> bool:
    """Say whether vectors are filled by so many images, and their maps not too large."""
    layout = lay_out(plan.octave_by_octave(), bank, dtype)
    return 4 * images >= layout.lanes and layout.memory <= LARGEST


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
    layout = lay_out(plan.octave_by_octave(), bank, images.dtype.name)
    work, kernels = _compiled(layout)
    result = np.empty_like(images)

    def of_a_vector(start: int) -> None:
        some = slice(start, start + layout.lanes)
        own = np.zeros((*images.shape[1:], layout.lanes), images.dtype)
        memory = _MEMORY.take(layout, layout.new_memory)
        memory[0][layout.slopes] = 0
        work(
            *memory,
            (layout.layout, layout.runs, layout.steps, kernels, layout.channels),
            *(np.array(layout.plan.rows), np.array(layout.plan.columns)),
            *(_interleaved(images[some], layout), _interleaved(slopes[some], layout), own),
        )
        _MEMORY.keep(layout, memory)
        result[some] = np.moveaxis(own, -1, 0)[: len(images) - start]

    starts = range(0, len(images), layout.lanes)
    threads = min(threads or all_threads(), len(starts))
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(of_a_vector, starts))
    else:
        list(map(of_a_vector, starts))
    return result


def _interleaved(arrays: np.ndarray, layout: GradientLayout) -> np.ndarray:
    """Return arrays with the batch as their last axis, as long as a vector."""
    result = np.zeros((*arrays.shape[1:], layout.lanes), layout.dtype)
    result[..., : len(arrays)] = np.moveaxis(arrays, 0, -1)
    return result


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
