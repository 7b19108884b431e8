"""The most multiply-adds per second this machine does, as a roof for what the others reach.

``python -m benchmarks.peak`` prints it for one thread and for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from threading import Thread

import click
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from benchmarks.results import usable_threads

UNROLLED = 4
# Floats per vector (SSE and NEON, AVX2, AVX-512) and independent sums. Which is best depends on
# the vectors, registers and latency of the CPU that Numba compiles for (NUMBA_CPU_NAME and
# NUMBA_CPU_FEATURES included), so all are tried.
WIDTHS = (4, 8, 16)
SUMS = (8, 12, 16, 24)


@dataclass(frozen=True)
class Loop:
    """A compiled loop of `width * sums * UNROLLED` multiply-adds per turn."""

    width: int
    sums: int
    run: Callable

    def seconds(self, turns: int, threads: int) -> float:
        """Return how long `threads` threads take for `turns` turns each."""
        workers = [Thread(target=self.run, args=(turns, np.float32(0.5))) for _ in range(threads)]
        start = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return time.perf_counter() - start

    def rate(self, threads: int, seconds: float, repeats: int) -> float:
        """Return the multiply-adds per second of the fastest of `repeats` runs."""
        turns = 1000
        while (taken := self.seconds(turns, 1)) < 0.001:
            turns *= 4
        turns = max(1, int(turns * seconds / taken))
        fastest = min(self.seconds(turns, threads) for _ in range(repeats))
        return threads * turns * self.width * self.sums * UNROLLED / fastest


def measure(threads: int) -> dict:
    """Return the float32 multiply-adds per second of `threads` threads.

    Returns
    -------
    dict
        "gfma_per_second", and the "vector_width" that reached it.
    """
    loop = _best_loop()
    rate = loop.rate(threads, seconds=0.05, repeats=7)
    return {"gfma_per_second": round(rate / 1e9, 2), "vector_width": loop.width}


@lru_cache(maxsize=1)
def _best_loop() -> Loop:
    loops = [Loop(width, sums, _compiled(width, sums)) for width in WIDTHS for sums in SUMS]
    return max(loops, key=lambda loop: loop.rate(1, seconds=0.004, repeats=5))


def _compiled(width: int, sums: int) -> Callable:
    @intrinsic
    def multiply_add(context, turns, factor):
        def generate(context, builder, signature, arguments):
            vector = ir.VectorType(ir.FloatType(), width)
            turns, factor = arguments
            # "muladd" is fused where the CPU can, and two instructions where it cannot.
            fused = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{width}f32"
            )
            undefined = ir.Constant(vector, ir.Undefined)
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), width), None)
            factors = builder.insert_element(undefined, factor, ir.Constant(ir.IntType(32), 0))
            factors = builder.shuffle_vector(factors, undefined, zeros)
            before = builder.block
            loop, done = builder.append_basic_block("loop"), builder.append_basic_block("done")
            builder.branch(loop)
            builder.position_at_end(loop)
            turn = builder.phi(ir.IntType(64))
            turn.add_incoming(ir.Constant(ir.IntType(64), 0), before)
            starts = [builder.phi(vector) for _ in range(sums)]
            totals = starts
            for _ in range(UNROLLED):
                totals = [builder.call(fused, [factors, total, factors]) for total in totals]
            for number, (start, total) in enumerate(zip(starts, totals, strict=True)):
                start.add_incoming(ir.Constant(vector, [float(number)] * width), before)
                start.add_incoming(total, loop)
            following = builder.add(turn, ir.Constant(ir.IntType(64), 1))
            turn.add_incoming(following, loop)
            builder.cbranch(builder.icmp_signed("<", following, turns), loop, done)
            builder.position_at_end(done)
            result = totals[0]
            for total in totals[1:]:
                result = builder.fadd(result, total)
            return builder.extract_element(result, ir.Constant(ir.IntType(32), 0))

        return types.float32(types.int64, types.float32), generate

    @njit("float32(int64, float32)", nogil=True)
    def run(turns, factor):
        return multiply_add(turns, factor)

    return run


@click.command(help=__doc__)
def main() -> None:
    """Print the peak."""
    for threads in (1, usable_threads()):
        found = measure(threads)
        print(
            f"{threads} threads: {found['gfma_per_second']:.1f} multiply-adds per ns "
            f"in vectors of {found['vector_width']}"
        )


if __name__ == "__main__":
    main()
