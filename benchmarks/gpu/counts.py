"""The useful work of one image: what the program asks for, not what tiles compute again."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from npscatter import FilterBank
from npscatter.gpu.launches import GpuLayout, Launch
from npscatter.program.plan import Plan
from npscatter.program.summation import Summation, make_summation


def operations(plan: Plan, bank: FilterBank) -> int:
    """Return the floating-point operations of one image.

    A multiply-add counts two; an addition of the folding, a sum of two accumulators and a modulus
    (with its squares and its root) one each.

    Parameters
    ----------
    plan : Plan
        The program. Of plans that differ in their rounds, the one of one round does least.
    bank : FilterBank
        Its weights.
    """

    @lru_cache
    def per_sample(key: str, outputs: tuple[int, ...] | None, stride: int) -> int:
        return per_output_sample(
            make_summation(bank.real_taps(key, outputs), bank.symmetric)[0], stride
        )

    total = 0
    for step in plan.steps:
        if step.operation == "pad":
            continue
        maps = step.groups
        if step.wavelets:
            height, width = step.modulus_shape
            each = per_sample(step.wavelets, step.orientations, step.wavelet_stride)
            total += maps * height * width * (each + len(step.orientations))
            maps *= len(step.orientations)
        total += maps * step.size[0] * step.size[1] * per_sample(step.weights, None, step.stride)
    return total


def per_output_sample(order: Summation, stride: int) -> int:
    """Return the operations per sample of all outputs of a summation together.

    Samples side by side share their folded rows, so that each costs `stride` additions per sample:
    one per column.
    """
    folded_rows = sum(row.fold != 0 for row in order.rows)
    return 2 * order.multiply_adds + order.additions + stride * folded_rows


def bytes_moved(layout: GpuLayout, images: np.dtype) -> int:
    """Return the bytes of one image that must pass through the GPU's memory.

    The image is read once and its coefficients are written once; every carried map is written once,
    and read once by each launch that reads it.

    Parameters
    ----------
    layout : GpuLayout
        The program, laid out.
    images : dtype
        Of the image.
    """
    plan = layout.plan
    coefficients = plan.n_coefficients * int(np.prod(plan.output_shape))
    total = int(np.prod(plan.input_shape)) * np.dtype(images).itemsize
    total += coefficients * np.dtype(layout.dtype).itemsize
    carried = sum(maps_read(launch) + maps_written(launch) for launch in layout.launches)
    return total + carried * np.dtype(layout.storage).itemsize


def maps_read(launch: Launch) -> int:
    """Return the samples of carried maps that a launch reads, for one image."""
    spec, geometry = launch.spec, launch.geometry
    if spec.reads_image:
        return 0
    return geometry.groups * spec.maps * geometry.source.height * geometry.source.width


def maps_written(launch: Launch) -> int:
    """Return the samples of carried maps that a launch writes, for one image."""
    spec, geometry = launch.spec, launch.geometry
    if spec.emits:
        return 0
    maps = spec.wavelets.outputs * spec.smoothing.outputs if spec.wavelets else 0
    maps += spec.direct.outputs if spec.direct else 0
    return geometry.groups * maps * geometry.height * geometry.width
