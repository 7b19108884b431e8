"""How near the machine's peak the unrolled rows of convolution come, and what each idea bought.

``python -m benchmarks.kernels`` writes benchmarks/results/kernels.json: the rows of the shipped
banks alone, with everything in the first-level cache, for the vectors this CPU has and for AVX2;
and the whole transform with one idea after the other taken away.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from statistics import median
from unittest import mock

import click
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from benchmarks import results
from benchmarks.timing import interleaved, seconds
from benchmarks.workloads import WORKLOADS, Workload
from npscatter import FilterBank, Scattering2D, reference
from npscatter.cpu.executor import choose, run_layout
from npscatter.cpu.layout import aligned_zeros, lay_out
from npscatter.cpu.row_codegen import RowKernel, compiled_row
from npscatter.cpu.simd import call_row, vector_bytes
from npscatter.program.plan import Plan
from npscatter.program.steps import WEIGHT_ARRAYS, Maps
from npscatter.program.workspace import lay_out_workspace

BANKS = ("accurate", "paper", "paper-tuned")
# Columns of one call, as a 32 x 32 image has them at the second octave.
COLUMNS = 20
CALLS = 20_000
ROUNDS = 9
AVX2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}
ABLATED = ("32x32 J=2", "512x128 J=2", "2048x2048 J=4")
SIDES, PIXELS = (64, 128, 256, 512, 1024, 2048), 2**20
# Plain loops would take minutes for the largest.
PLAIN_PIXELS = 2**18
# Of the peak's loop: floats per vector (SSE and NEON, AVX2, AVX-512) and independent sums. Which is
# best depends on the vectors, registers and latency of the CPU that Numba compiles for
# (NUMBA_CPU_NAME and NUMBA_CPU_FEATURES included), so all are tried.
WIDTHS, SUMS, UNROLLED = (4, 8, 16), (8, 12, 16, 24), 4


def peak(threads: int) -> dict:
    """Return the most multiply-adds per second of some threads, in float32, and by what vectors."""
    width, sums = _best_loop()
    rate = _loop_rate(width, sums, threads, aim=0.05, repeats=7)
    return {"gfma_per_second": round(rate / 1e9, 2), "vector_width": width}


@lru_cache(maxsize=1)
def _best_loop() -> tuple[int, int]:
    loops = [(width, sums) for width in WIDTHS for sums in SUMS]
    return max(loops, key=lambda loop: _loop_rate(*loop, threads=1, aim=0.004, repeats=5))


def _loop_rate(width: int, sums: int, threads: int, aim: float, repeats: int) -> float:
    """Return the multiply-adds per second of the fastest of some runs of about `aim` seconds."""
    loop, half, turns = _multiply_add_loop(width, sums), np.float32(0.5), 1000
    while (taken := seconds(partial(loop, turns, half))) < 0.001:
        turns *= 4
    turns = max(1, int(turns * aim / taken))
    with ThreadPoolExecutor(threads) as pool:
        run = partial(pool.map, loop, [turns] * threads, [half] * threads)
        fastest = min(seconds(lambda: [*run()]) for _ in range(repeats))
    return threads * turns * width * sums * UNROLLED / fastest


@lru_cache
def _multiply_add_loop(width: int, sums: int) -> Callable:
    """Return a loop of `width * sums * UNROLLED` multiply-adds per turn."""
    vector, whole = ir.VectorType(ir.FloatType(), width), ir.IntType(64)

    @intrinsic
    def multiply_adds(context, turns, factor):
        def generate(context, builder, signature, arguments):
            # "muladd" is fused where the CPU can, and two instructions where it cannot.
            fused = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{width}f32"
            )
            factors = ir.Constant(vector, ir.Undefined)
            for lane in range(width):
                number = ir.Constant(ir.IntType(32), lane)
                factors = builder.insert_element(factors, arguments[1], number)
            before = builder.block
            loop, done = builder.append_basic_block("loop"), builder.append_basic_block("done")
            builder.branch(loop)
            builder.position_at_end(loop)
            turn = builder.phi(whole)
            starts = totals = [builder.phi(vector) for _ in range(sums)]
            for _ in range(UNROLLED):
                totals = [builder.call(fused, [factors, total, factors]) for total in totals]
            following = builder.add(turn, ir.Constant(whole, 1))
            builder.cbranch(builder.icmp_signed("<", following, arguments[0]), loop, done)
            turn.add_incoming(ir.Constant(whole, 0), before)
            turn.add_incoming(following, loop)
            for number, (start, total) in enumerate(zip(starts, totals, strict=True)):
                start.add_incoming(ir.Constant(vector, [float(number)] * width), before)
                start.add_incoming(total, loop)
            builder.position_at_end(done)
            result = totals[0]
            for total in totals[1:]:
                result = builder.fadd(result, total)
            return builder.extract_element(result, ir.Constant(ir.IntType(32), 0))

        return types.float32(types.int64, types.float32), generate

    return numba.njit("float32(int64, float32)", nogil=True)(
        lambda turns, factor: multiply_adds(turns, factor)
    )


@numba.njit(nogil=True)
def _repeat(code, table, scratch, weights, out, columns, across, calls):
    for _ in range(calls):
        call_row(code, table, 0, scratch, weights, out, columns, across)


def row_calls(kernel: RowKernel, weights: np.ndarray) -> Callable[[], None]:
    """Return what computes a kernel's rows CALLS times, in the first-level cache."""
    lanes = vector_bytes() // weights.itemsize
    length = (2 * COLUMNS + 2 * kernel.radius + 4) * lanes
    rows = aligned_zeros(kernel.summation.maps * kernel.summation.size * length, "float32")
    rows[:] = np.random.default_rng(0).random(rows.size)
    firsts = np.arange(rows.size // length) * length + kernel.radius * lanes
    starts = rows.ctypes.data + rows.itemsize * firsts
    across = (COLUMNS + 3) * lanes
    sizes = kernel.outputs * across, kernel.scratch * lanes
    out, scratch = (aligned_zeros(size, "float32") for size in sizes)

    def call() -> None:
        addresses = [array.ctypes.data for array in (starts, scratch, weights, out)]
        _repeat(compiled_row(kernel).address, *addresses, COLUMNS, across, CALLS)
        assert rows.size  # as long as the call is used, so are the rows

    return call


def row_rates() -> dict:
    """Return every kernel's share of the peak, for the CPU that Numba compiles for."""
    highest = peak(1)
    calls, multiply_adds = {}, {}
    for name in BANKS:
        bank = FilterBank.load(name)
        for step in Scattering2D(3, (32, 32), bank=bank).plan.steps:
            for key, outputs, stride in (
                (step.wavelets, step.orientations, step.wavelet_stride),
                (step.smoothing, None, step.stride),
            ):
                row = f"{name}: {key}, stride {stride}"
                if key and row not in calls:
                    order, weights = bank.summation(key, outputs)
                    kernel = RowKernel(order, WEIGHT_ARRAYS[key].is_complex, stride, "float32")
                    calls[row] = row_calls(kernel, np.asarray(weights, np.float32))
                    multiply_adds[row] = order.multiply_adds
    samples = CALLS * COLUMNS * vector_bytes() // 4
    rates = {}
    for row, taken in interleaved(calls, ROUNDS).items():
        rate = multiply_adds[row] * samples / median(taken) / 1e9
        rates[row] = {
            "multiply_adds": multiply_adds[row],
            "gfma_per_second": round(rate, 2),
            "of_peak": round(rate / highest["gfma_per_second"], 3),
        }
    return {"vector_bytes": vector_bytes(), "peak": highest, "kernels": rates}


@numba.njit(fastmath={"contract"})
def _plain_loops(source, taps, stride, top, left, wrap, target):
    maps, height, width = source.shape
    radius = taps.shape[-1] // 2
    for o in range(len(taps)):
        for y in range(target.shape[1]):
            for x in range(target.shape[2]):
                total = target.dtype.type(0)
                for i in range(maps):
                    for a in range(taps.shape[2]):
                        row = stride * (y + top) + a - radius
                        if wrap:
                            row %= height
                        elif row < 0 or row >= height:
                            continue
                        for b in range(taps.shape[3]):
                            column = stride * (x + left) + b - radius
                            if wrap:
                                column %= width
                            elif column < 0 or column >= width:
                                continue
                            total += taps[o, i, a, b] * source[i, row, column]
                target[o, y, x] = total


def _plain_correlate(source, taps, stride, first, size, edge) -> np.ndarray:
    """`npscatter.reference.correlate` as plain Numba loops, one per axis and tap."""
    result = np.empty((*source.shape[:2], len(taps), *size), source.dtype)
    for stack in np.ndindex(source.shape[:2]):
        _plain_loops(source[stack], taps, stride, *first, edge == "wrap", result[stack])
    return result


def run_plain(plan: Plan, bank: FilterBank, images, output: np.ndarray, threads: int) -> None:
    """Run the program as plain Numba loops, on one thread: where the ablation starts."""
    with mock.patch.object(reference, "correlate", _plain_correlate):
        reference.run(plan, bank, images, output)


def unfused(plan: Plan) -> Plan:
    """Return the plan whose moduli are steps of their own, stored whole before smoothing."""
    steps, buffers = [], list(plan.buffers)
    for step in plan.steps:
        if step.wavelets:
            octave = step.source.octave + step.wavelet_stride // 2
            count = step.groups * len(step.orientations)
            moduli = Maps(len(buffers), 0, count, *step.modulus_shape, octave)
            buffers.append(moduli)
            alone = replace(step, wavelets="", orientations=())
            wavelets = {"smoothing": step.wavelets, "stride": step.wavelet_stride, "first": (0, 0)}
            size = step.modulus_shape
            steps.append(replace(alone, **wavelets, target=moduli, size=size, channels=()))
            step = replace(alone, wavelet_stride=1, source=moduli, groups=count)
        steps.append(step)
    workspace = lay_out_workspace(steps, buffers, plan.image)
    return replace(plan, steps=tuple(steps), buffers=tuple(buffers), workspace=workspace)


def ablation(name: str) -> dict:
    """Return milliseconds per image of one thread, from plain loops to all ideas, in one run."""
    workload = WORKLOADS[name]
    images = workload.images()[:64]
    S = Scattering2D(workload.J, workload.shape, backend="numba", threads=1)
    few, expected = images[:1], S(images)
    together = choose(S.plan, S.bank, "float32", len(images), 1).images_per_vector
    large = few.size > PLAIN_PIXELS
    calls: dict[str, Callable] = {}

    def add(variant: str, x: np.ndarray, run: Callable, *program) -> None:
        out = np.full((len(x), *S.output_shape), np.nan, np.float32)
        calls[variant] = lambda: (run(*program, x, out, 1), out)[1]

    if not large:
        add("plain Numba loops", few, run_plain, S.plan, S.bank)
    apart = unfused(S.plan)
    add("vectors", few, run_layout, lay_out(apart, S.bank, "float32", 1, False))
    add("+ folding", few, run_layout, lay_out(apart, S.bank, "float32", 1))
    add("+ fusion", few, run_layout, lay_out(S.plan, S.bank, "float32", 1))
    if together > 1:
        layout = lay_out(S.plan, S.bank, "float32", together)
        add(f"+ {together} images together", images, run_layout, layout)

    def check(variant: str, out: np.ndarray) -> None:
        # Only now: NaN is unequal to everything.
        if not np.abs(out - expected[: len(out)]).max() <= 1e-5 * np.abs(expected).max():
            raise click.ClickException(f"{variant} is not the transform")

    taken = interleaved(calls, 3 if large else ROUNDS, check=check)
    images_of = {name: len(call()) for name, call in calls.items()}
    return {
        variant: {"ms_per_image": round(1e3 * median(each) / images_of[variant], 5)}
        for variant, each in taken.items()
    }


def per_pixel() -> dict:
    """Return nanoseconds per pixel at J = 2, order 2, from small images to large ones."""
    nanoseconds = {}
    for side in SIDES:
        count = max(1, PIXELS // side**2)
        batch, calls = Workload(side, side, count, 2).images(), {}
        for threads in (1, results.usable_threads()):
            S = Scattering2D(2, (side, side), threads=threads)
            calls[f"{threads} threads"] = partial(S, batch, out=S(batch))
        taken = interleaved(calls, ROUNDS)
        each = {name: round(1e9 * median(one) / batch.size, 2) for name, one in taken.items()}
        nanoseconds[f"{side}x{side}"] = {"images": count, **each}
    return nanoseconds


@click.command(help=__doc__)
@click.option("--rows", is_flag=True, help="Only print the rows' rates as JSON.")
def main(rows: bool) -> None:
    """Measure, and write the results."""
    if rows:
        print(json.dumps(row_rates()))
        return
    avx2 = subprocess.run(
        [sys.executable, "-m", "benchmarks.kernels", "--rows"],
        env={**os.environ, **AVX2},
        capture_output=True,
        text=True,
        check=True,
    )
    result = {
        "environment": results.environment("python -m benchmarks.kernels"),
        "rows": {"this CPU": row_rates(), "AVX2": json.loads(avx2.stdout.splitlines()[-1])},
        "avx2_environment": AVX2,
        "nanoseconds_per_pixel": per_pixel(),
        "ablation": {name: ablation(name) for name in ABLATED},
    }
    print(f"wrote {results.write('kernels', result).name}")


if __name__ == "__main__":
    main()
