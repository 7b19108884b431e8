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

import click
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from benchmarks import results, run
from benchmarks.timing import interleaved, seconds
from benchmarks.workloads import BANKS, WORKLOADS
from npscatter import FilterBank, Scattering2D
from npscatter.backends.cpu.executor import choose, run_layout
from npscatter.backends.cpu.layout import aligned_zeros, lay_out
from npscatter.backends.cpu.row_codegen import RowKernel, compiled_row
from npscatter.backends.cpu.simd import call_row, vector_bytes
from npscatter.program.plan import Plan
from npscatter.program.steps import WEIGHT_ARRAYS, Maps
from npscatter.program.summation import Summation
from npscatter.program.workspace import lay_out_workspace

# Columns of one call, as a 32 x 32 image has them at the second octave.
COLUMNS = 20
CALLS = 20_000
ROUNDS = 9
AVX2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}
# Shares of the taps' sizes that thinned banks keep, to fit what kernels cost.
THINNED = (0.9, 0.7, 0.5, 0.35, 0.2)
ABLATED = ("32x32 J=2", "512x128 J=2", "2048x2048 J=4")
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


def kernels_of(bank: FilterBank) -> dict[str, tuple[RowKernel, np.ndarray]]:
    """Return the kernels that a bank's transform at J = 3 runs, and their weights, by name."""
    kernels = {}
    for step in Scattering2D(3, (32, 32), bank=bank).plan.steps:
        for key, outputs, stride in (
            (step.wavelets, step.orientations, step.wavelet_stride),
            (step.smoothing, None, step.stride),
        ):
            if key and (name := f"{bank.name}: {key}, stride {stride}") not in kernels:
                order, weights = bank.summation(key, outputs)
                kernel = RowKernel(order, WEIGHT_ARRAYS[key].is_complex, stride, "float32")
                kernels[name] = kernel, np.asarray(weights, np.float32)
    return kernels


def thinned(bank: FilterBank, share: float) -> FilterBank:
    """Return the bank without the weakest of its folded weights: for timing, not for use."""
    arrays = {}
    for key in bank.keys():
        taps, kept = np.round(bank[key], 6), 0
        for signs in np.ndindex(2, 2):
            part = taps
            for axis, sign in zip((-2, -1), signs, strict=True):
                part = (part + (1 - 2 * sign) * np.flip(part, axis)) / 2
            kept = kept + np.where(abs(part) > np.quantile(abs(taps), 1 - share) / 2, part, 0)
        arrays[key] = np.round(kept, 7)
    return FilterBank(f"{bank.name} thinned to {share}", **arrays)


def vector_nanoseconds(kernels: dict[str, tuple[RowKernel, np.ndarray]]) -> dict[str, float]:
    """Return the nanoseconds, at best as the peak's, that kernels take for a vector of outputs."""
    taken = interleaved({name: row_calls(*one) for name, one in kernels.items()}, ROUNDS)
    return {name: 1e9 * min(times) / (CALLS * COLUMNS) for name, times in taken.items()}


def issue_slots(kernel: RowKernel) -> int:
    """Return the additions, multiplications and multiply-adds of a vector of all outputs."""
    order = kernel.summation
    rows = kernel.stride * sum(row.fold != 0 for row in order.rows)
    return order.multiply_adds + order.additions + rows + 2 * kernel.modulus * kernel.outputs


def row_rates() -> dict:
    """Return every kernel's share of the peak, for the CPU that Numba compiles for."""
    highest, kernels = peak(1), {}
    for name in BANKS:
        kernels |= kernels_of(FilterBank.load(name))
    rates, vectors = {}, highest["gfma_per_second"] / (vector_bytes() // 4)
    for name, nanoseconds in vector_nanoseconds(kernels).items():
        kernel, _ = kernels[name]
        count, slots = kernel.summation.multiply_adds, issue_slots(kernel)
        rates[name] = {
            "multiply_adds": count,
            "nanoseconds_per_vector": round(nanoseconds, 2),
            "of_peak": round(count / nanoseconds / vectors, 3),
            "issue_slots_of_peak": round(slots / nanoseconds / vectors, 3),
        }
    return {"vector_bytes": vector_bytes(), "peak": highest, "kernels": rates}


def priced(order: Summation, stride: int, moduli: int) -> dict[str, int]:
    """Return how much of everything that the cost model has a price for a vector takes.

    `stride` is of the kernel: 2 takes even and odd columns; `moduli` are of all outputs.
    """
    return {
        "multiply": order.multiply_adds,
        "folded sample": sum(sample.fold != 0 for sample in order.samples),
        "row and column": stride * len(order.rows),
        "modulus": moduli,
    }


def cost_model() -> dict:
    """Fit what a multiplication, a folded sample, a row and a modulus cost, in nanoseconds."""
    kernels, bank = {}, FilterBank.load("accurate")
    for share in THINNED:
        kernels |= kernels_of(thinned(bank, share))
    taken = vector_nanoseconds(kernels)
    counts = [
        priced(kernel.summation, kernel.stride, kernel.modulus * kernel.outputs)
        for kernel, _ in kernels.values()
    ]
    names, counts = tuple(counts[0]), [tuple(count.values()) for count in counts]
    table = np.array(counts) / np.array([*taken.values()])[:, None]  # relative errors count
    costs = np.linalg.lstsq(table, np.ones(len(table)))[0]
    rows = zip(taken, counts, (table @ costs - 1).tolist(), strict=True)
    return {
        "nanoseconds": dict(zip(names, np.round(costs, 4).tolist(), strict=True)),
        "kernels": {
            name: {"counts": count, "measured": round(taken[name], 2), "residual": round(rest, 3)}
            for name, count, rest in rows
        },
    }


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
    """Return milliseconds per image of one thread, from no idea to all, in one run."""
    workload = WORKLOADS[name]
    images = workload.images()[:64]
    S = Scattering2D(workload.J, workload.shape, backend="numba", threads=1)
    few, expected = images[:1], S(images)
    together = choose(S.plan, S.bank, "float32", len(images), 1).images_per_vector
    calls: dict[str, Callable] = {}

    def add(variant: str, x: np.ndarray, plan: Plan, together: int, folded: bool = True) -> None:
        out = np.full((len(x), *S.output_shape), np.nan, np.float32)
        layout = lay_out(plan, S.bank, "float32", together, folded)
        calls[variant] = lambda: (run_layout(layout, x, out, 1), out)[1]

    add("vectors", few, unfused(S.plan), 1, folded=False)
    add("+ folding", few, unfused(S.plan), 1)
    add("+ fusion", few, S.plan, 1)
    if together > 1:
        add(f"+ {together} images together", images, S.plan, together)

    def check(variant: str, out: np.ndarray) -> None:
        # Only now: NaN is unequal to everything.
        if not np.abs(out - expected[: len(out)]).max() <= 1e-5 * np.abs(expected).max():
            raise click.ClickException(f"{variant} is not the transform")

    taken = interleaved(calls, ROUNDS, check=check)
    images_of = {name: len(call()) for name, call in calls.items()}
    return {
        variant: {"ms_per_image": round(1e3 * median(each) / images_of[variant], 5)}
        for variant, each in taken.items()
    }


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
        "cost_model": cost_model(),
        "ablation": {name: ablation(name) for name in ABLATED},
    }
    print(f"wrote {results.write('kernels', result).name}")


if __name__ == "__main__":
    run(main)
