"""How near the machine's peak the unrolled rows of convolution come, and what each idea bought.

``python -m benchmarks.kernels`` writes benchmarks/results/kernels.json: the rows of the shipped
banks alone, with everything in the first-level cache, for the vectors this CPU has and for AVX2;
and the whole transform with one idea after the other taken away.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import click
import numba
import numpy as np

from benchmarks import peak, plain
from benchmarks.results import RESULTS, environment, usable_threads
from benchmarks.workloads import WORKLOADS
from npscatter import FilterBank, Scattering2D
from npscatter.cpu import executor
from npscatter.cpu.executor import lay_out
from npscatter.cpu.row_codegen import RowKernel, compiled_row
from npscatter.cpu.simd import call_row, vector_bytes
from npscatter.program.plan import Maps, Plan, place

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


@numba.njit(nogil=True)
def _repeat(code, table, scratch, weights, out, columns, across, calls):
    for _ in range(calls):
        call_row(code, table, 0, scratch, weights, out, columns, across)


def row_rate(kernel: RowKernel, weights: np.ndarray) -> float:
    """Return the multiply-adds per second of a kernel's rows, in the first-level cache."""
    lanes = vector_bytes() // weights.itemsize
    margin = kernel.radius
    length = (2 * COLUMNS + 2 * margin + 4) * lanes
    rows = _aligned(kernel.summation.maps * kernel.summation.size * length)
    rows[:] = np.random.default_rng(0).random(rows.size)
    starts = rows.ctypes.data + 4 * (np.arange(rows.size // length) * length + margin * lanes)
    across = (COLUMNS + 3) * lanes
    out, scratch = _aligned(kernel.outputs * across), _aligned(kernel.scratch * lanes)
    arguments = (
        *(compiled_row(kernel).address, starts.ctypes.data, scratch.ctypes.data),
        *(weights.ctypes.data, out.ctypes.data, COLUMNS, across),
    )
    _repeat(*arguments, 100)
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        _repeat(*arguments, CALLS)
        taken.append(time.perf_counter() - start)
    done = kernel.summation.multiply_adds * COLUMNS * lanes * CALLS
    return done / median(taken)


def _aligned(elements: int) -> np.ndarray:
    return executor._memory(elements, "float32")


def row_rates() -> dict:
    """Return every kernel's share of the peak, for the CPU that Numba compiles for."""
    roof = peak.measure(1)
    found = {}
    for name in BANKS:
        bank = FilterBank.load(name)
        plan = Scattering2D(3, (32, 32), bank=bank).plan
        layout = lay_out(plan, bank, "float32", 1)
        used = {}
        for record, step in zip(layout.steps, plan.steps, strict=True):
            for number, key in (
                (record["wavelets"], step.wavelets),
                (record["smoother"], step.weights),
            ):
                if number >= 0 and key:
                    used[int(number)] = f"{key}, stride {layout.kernels[number].stride}"
        for number, key in used.items():
            kernel, record = layout.kernels[number], layout.kernel_table[number]
            rate = row_rate(kernel, layout.weights[record["weights"] :].copy()) / 1e9
            found[f"{name}: {key}"] = {
                "multiply_adds": kernel.summation.multiply_adds,
                "gfma_per_second": round(rate, 2),
                "of_peak": round(rate / roof["gfma_per_second"], 3),
            }
    return {"vector_bytes": vector_bytes(), "peak": roof, "kernels": found}


def unfused(plan: Plan) -> Plan:
    """Return the plan whose moduli are steps of their own, stored whole before smoothing."""
    steps, buffers = [], list(plan.buffers)
    for step in plan.steps:
        if step.wavelets:
            count = step.groups * len(step.orientations)
            moduli = Maps(len(buffers), 0, count, *step.modulus_shape)
            buffers.append(moduli)
            steps.append(
                dataclasses.replace(
                    *(step,),
                    operation="smooth",
                    wavelets="",
                    orientations=(),
                    weights=step.wavelets,
                    target=moduli,
                    stride=step.wavelet_stride,
                    first=(0, 0),
                    size=step.modulus_shape,
                    channels=(),
                )
            )
            step = dataclasses.replace(
                step, wavelets="", orientations=(), wavelet_stride=1, source=moduli, groups=count
            )
        steps.append(step)
    steps, buffers = tuple(steps), tuple(buffers)
    offsets, size = place(steps, buffers, lambda maps: maps.count * maps.height * maps.width)
    return dataclasses.replace(
        plan, steps=steps, buffers=buffers, offsets=offsets, workspace_size=size
    )


def ablation(name: str) -> dict:
    """Return seconds per image of one thread, from plain loops to all ideas, in one run."""
    workload = WORKLOADS[name]
    images = workload.images()[:64]
    S = Scattering2D(workload.J, workload.shape, backend="numba", threads=1)
    few = images[:1]
    expected = S(images)
    together = executor.choose(S.plan, S.bank, "float32", len(images), 1).together
    variants: dict[str, tuple[np.ndarray, Callable]] = {
        "plain Numba loops": (few, lambda x, out: plain.execute(S.plan, S.bank, x, out)),
        "vectors": (few, _run(lay_out(unfused(S.plan), S.bank, "float32", 1, False))),
        "+ folding": (few, _run(lay_out(unfused(S.plan), S.bank, "float32", 1))),
        "+ fusion": (few, _run(lay_out(S.plan, S.bank, "float32", 1))),
    }
    if few.size > PLAIN_PIXELS:
        del variants["plain Numba loops"]
    if together > 1:
        variants[f"+ {together} images together"] = (
            *(images,),
            _run(lay_out(S.plan, S.bank, "float32", together)),
        )
    taken: dict[str, list[float]] = {variant: [] for variant in variants}
    for number in range(1 + (ROUNDS if few.size < PLAIN_PIXELS else 3)):
        for variant, (x, run) in variants.items():
            out = np.full((len(x), *S.output_shape), np.nan, np.float32)
            start = time.perf_counter()
            run(x, out)
            seconds = time.perf_counter() - start
            if number:
                taken[variant].append(seconds / len(x))
            elif np.abs(out - expected[: len(x)]).max() > 1e-5 * np.abs(expected).max():
                raise click.ClickException(f"{variant} is not the transform")
    return {
        variant: {"ms_per_image": round(1e3 * median(seconds), 5)}
        for variant, seconds in taken.items()
    }


def per_pixel() -> dict:
    """Return nanoseconds per pixel at J = 2, order 2, from small images to large ones."""
    found = {}
    for side in SIDES:
        images = WORKLOADS["2048x2048 J=4"].images()[0]
        count = max(1, PIXELS // side**2)
        rows = np.random.default_rng(side).integers(0, len(images) - side + 1, (count, 2))
        batch = np.stack([images[y : y + side, x : x + side] for y, x in rows])
        found[f"{side}x{side}"] = {"images": count}
        for threads in (1, usable_threads()):
            S = Scattering2D(2, (side, side), threads=threads)
            out = S(batch)
            taken = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                S(batch, out=out)
                taken.append(time.perf_counter() - start)
            found[f"{side}x{side}"][f"{threads} threads"] = round(
                1e9 * median(taken) / batch.size, 2
            )
    return found


def _run(layout: executor.Layout) -> Callable:
    addresses = executor._addresses

    def run(images: np.ndarray, out: np.ndarray) -> None:
        call = executor._Call(layout, images, addresses(images, 2), out, addresses(out, 3), 1)
        call.run()

    return run


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
        "environment": environment("python -m benchmarks.kernels"),
        "rows": {"this CPU": row_rates(), "AVX2": json.loads(avx2.stdout.splitlines()[-1])},
        "avx2_environment": AVX2,
        "nanoseconds_per_pixel": per_pixel(),
        "ablation": {name: ablation(name) for name in ABLATED},
    }
    (RESULTS / "kernels.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
