"""The program as plain Numba loops, one per axis and tap: where the ablation starts."""

from __future__ import annotations

import numba
import numpy as np

from npscatter import FilterBank
from npscatter.program.plan import Plan


@numba.njit(fastmath={"contract"})
def _correlate(source, taps, stride, top, left, wrap, target):
    """Correlate a stack of maps; samples beyond the edge are wrapped or zero."""
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


def execute(plan: Plan, bank: FilterBank, images: np.ndarray, output: np.ndarray) -> None:
    """Run the plan's program, image by image; arguments as for `npscatter.reference`."""
    dtype, wrap = images.dtype, plan.edge == "wrap"
    rows, columns = np.array(plan.rows), np.array(plan.columns)
    for image, result in zip(images, output, strict=True):
        stored = [np.empty((maps.count, *maps.shape), dtype) for maps in plan.buffers]
        for step in plan.steps:
            if step.operation == "pad":
                padded = image[rows[:, None], columns]
                stored[step.target.buffer][0] = padded * ((rows >= 0)[:, None] & (columns >= 0))
                continue
            source = step.source
            maps = stored[source.buffer][source.first : source.first + source.count]
            stacks = maps.reshape(step.groups, -1, *source.shape)
            if step.wavelets:
                taps = bank.real_taps(step.wavelets, step.orientations).astype(dtype)
                moduli = np.empty((step.groups, len(taps), *step.modulus_shape), dtype)
                for stack, target in zip(stacks, moduli, strict=True):
                    _correlate(stack, taps, step.wavelet_stride, 0, 0, wrap, target)
                real, imaginary = np.split(moduli, 2, axis=1)
                stacks = np.sqrt(real * real + imaginary * imaginary).reshape(
                    -1, 1, *step.modulus_shape
                )
            taps = bank.real_taps(step.weights).astype(dtype)
            if step.operation == "smooth":
                target = stored[step.target.buffer].reshape(len(stacks), -1, *step.size)
            else:
                target = np.empty((len(stacks), 1, *step.size), dtype)
            for stack, smooth in zip(stacks, target, strict=True):
                _correlate(stack, taps, step.stride, *step.first, wrap, smooth)
            if step.operation == "emit":
                result[list(step.channels)] = target[:, 0]
