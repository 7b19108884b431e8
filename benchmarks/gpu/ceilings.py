"""What the GPU does at most: multiply-adds in registers, and bytes copied in its memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.gpu.timing import most_turns
from npscatter.gpu.target import cuda

# Threads of a block, and blocks per multiprocessor: every one is full, several times over.
THREADS, BLOCKS = 256, 32
# Multiply-adds of a thread in one turn of the loop: eight chains, none of which waits for another.
CHAINS, LINKS = 8, 16
# The copied array: at most so large, and at most this share of the GPU's free memory.
COPY_BYTES, COPY_SHARE = 2**30, 8
# Elements of eight bytes that a thread has under way at once.
LOADS = 4


@cuda.jit(device=True, inline="always")
def _link(a, b, c, d, e, f, g, h, x, y):
    """Return eight sums, each a multiply-add on."""
    return (
        cuda.fma(a, x, y), cuda.fma(b, x, y), cuda.fma(c, x, y), cuda.fma(d, x, y),
        cuda.fma(e, x, y), cuda.fma(f, x, y), cuda.fma(g, x, y), cuda.fma(h, x, y),
    )  # fmt: skip


@cuda.jit
def multiply_add_chains(output, turns, factors):
    """Do `turns` * CHAINS * LINKS multiply-adds per thread, in registers; all of it float32."""
    place = cuda.grid(1)
    # Loaded, so that they are registers like the rest and no constants.
    x, y = factors[0], factors[1]
    # Each chain starts elsewhere, so that no two are one to the compiler.
    a = x * np.float32(place)
    b, c, d, e = a + x, a - x, a + y, a - y
    f, g, h = b + x, c - x, d + y
    for _ in range(turns):
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
        a, b, c, d, e, f, g, h = _link(a, b, c, d, e, f, g, h, x, y)
    # Stored, or the compiler would leave all of it out.
    output[place] = ((a + b) + (c + d)) + ((e + f) + (g + h))


@cuda.jit
def copy_elements(source, target):
    """Copy an array whose size is a multiple of what the blocks have under way."""
    threads = cuda.blockDim.x
    first = np.int64(cuda.blockIdx.x) * threads * LOADS + cuda.threadIdx.x
    a = source[first]
    b = source[first + threads]
    c = source[first + 2 * threads]
    d = source[first + 3 * threads]
    target[first] = a
    target[first + threads] = b
    target[first + 2 * threads] = c
    target[first + 3 * threads] = d


def measure() -> dict:
    """Return both ceilings of the current GPU.

    Returns
    -------
    dict
        "flops_per_second", a multiply-add counting two, and "bytes_per_second", read and written;
        and how they were found.
    """
    flops = 2 * _multiply_adds_per_second()
    copies = _bytes_per_second()
    return {
        "flops_per_second": flops,
        "bytes_per_second": max(copies.values()),
        "bytes_per_second_each_way": copies,
    }


def _multiply_adds_per_second() -> float:
    blocks = cuda.get_current_device().MULTIPROCESSOR_COUNT * BLOCKS
    output = cuda.device_array(blocks * THREADS, np.float32)
    factors = cuda.to_device(np.array([0.5, 0.5], np.float32))
    stream = cuda.stream()

    def run(turns: int) -> float:
        return milliseconds(
            lambda: multiply_add_chains[blocks, THREADS, stream](output, np.int32(turns), factors),
            stream,
        )

    return blocks * THREADS * CHAINS * LINKS * most_turns(run)


def _bytes_per_second() -> dict[str, float]:
    size = min(COPY_BYTES, cuda.current_context().get_memory_info().free // COPY_SHARE)
    count = size // 8 // (THREADS * LOADS) * (THREADS * LOADS)
    source, target = (cuda.device_array(count, np.uint64) for _ in range(2))
    stream = cuda.stream()
    ways = {
        "kernel": lambda: copy_elements[count // (THREADS * LOADS), THREADS, stream](
            source, target
        ),
        "driver": lambda: target.copy_to_device(source, stream=stream),
    }

    def rate(copy: Callable) -> float:
        def run(turns: int) -> float:
            return milliseconds(lambda: [copy() for _ in range(turns)], stream)

        return 2 * 8 * count * most_turns(run)

    return {name: rate(copy) for name, copy in ways.items()}


def milliseconds(enqueue: Callable, stream) -> float:
    """Return how long the GPU works on what `enqueue()` puts into a stream of Numba's."""
    start, stop = cuda.event(), cuda.event()
    start.record(stream)
    enqueue()
    stop.record(stream)
    stop.synchronize()
    return start.elapsed_time(stop)
