"""Levels and shifts on a GPU: found in the images, and laid down where the other kernels find them.

What they are is said in `npscatter.program.magnitude`. Nothing is read back: a launch looks through
the images, and decides. Large images are cut into stretches, a block of threads each, whose
extremes are then looked through by another launch, as images of two columns. Which of several
values is the lowest does not depend on who compares them, so neither do the results.

An image's record are three pairs of numbers. Pixels are (x - first) second to the program, and its
coefficients first S + second to the caller: a pair for the average, and one for all others.
"""

from __future__ import annotations

import math

import numpy as np
from numpy import int32, uint32

from npscatter.backends.gpu.launches import AVERAGE, OTHERS, PIXELS, RECORD
from npscatter.backends.gpu.run_codegen import named_by_sources
from npscatter.backends.gpu.target import (
    SHARED_ALIGNMENT,
    cuda,
    device,
    device_functions,
    quotient,
    types,
)
from npscatter.program import magnitude

(_level_and_shift,) = device_functions(magnitude.level_and_shift)


@device
def find_extremes(images, image, start, end, number):
    """Return the lowest and the highest finite value a thread finds in a stretch of an image.

    Pixels are numbered row by row; (inf, -inf) if there is none.
    """
    low, high = number(math.inf), number(-math.inf)
    pixel, width = uint32(start + cuda.threadIdx.x), int32(images.shape[2])
    while pixel < end:
        y = quotient(pixel, width)
        value = number(images[uint32(image), uint32(y), uint32(pixel - y * width)])
        if math.isfinite(value):
            low, high = min(low, value), max(high, value)
        pixel = uint32(pixel + cuda.blockDim.x)
    return low, high


@device
def write_record(records, image, low, high, m, most_shift):
    """Decide on level and shift of an image; `m` is its `launches.Magnitudes`."""
    level, shift = _level_and_shift(float(low), float(high), m.has_level != 0, m.least, m.most)
    # Beyond that the factor that takes it back would be no normal number.
    shift = int(min(shift, most_shift))
    scale, inverse, start = math.ldexp(1.0, shift), math.ldexp(1.0, -shift), image * RECORD
    records[start + PIXELS], records[start + PIXELS + 1] = level, scale
    # Nothing changes if -0 is added, not even the sign of a zero.
    records[start + AVERAGE] = inverse
    records[start + AVERAGE + 1] = level * m.gain if level != 0 else -0.0
    records[start + OTHERS], records[start + OTHERS + 1] = inverse, -0.0


def make_magnitudes_kernel(dtype: str):
    """Return the Python function of the kernel that looks through images.

    Its arguments are the images (N, H, W); where the extremes of the stretches go, two numbers
    each, or the records, if images are not cut; and `m`, the
    `npscatter.backends.gpu.launches.Magnitudes`. The grid has one dimension: images of these
    stretches. Shared memory is for two numbers per thread; threads are a power of two.
    """
    number, most_shift = getattr(types, dtype), -int(np.finfo(dtype).minexp)

    def kernel(images, found, m):
        shared = cuda.shared.array(0, number, SHARED_ALIGNMENT)
        thread, threads = int32(cuda.threadIdx.x), int32(cuda.blockDim.x)
        image = quotient(int32(cuda.blockIdx.x), m.stretches)
        start = (cuda.blockIdx.x - image * m.stretches) * m.stretch
        end = uint32(min(start + m.stretch, images.shape[1] * images.shape[2]))
        low, high = find_extremes(images, image, start, end, number)
        shared[thread], shared[threads + thread] = low, high
        half = threads >> 1
        while half > 0:
            cuda.syncthreads()
            if thread < half:
                other = thread + half
                shared[thread] = min(shared[thread], shared[other])
                shared[threads + thread] = max(shared[threads + thread], shared[threads + other])
            half >>= 1
        if thread == 0:
            low, high = shared[0], shared[threads]
            if m.stretches > 1:
                found[2 * int32(cuda.blockIdx.x)] = low
                found[2 * int32(cuda.blockIdx.x) + 1] = high
            else:
                write_record(found, image, low, high, m, most_shift)

    return named_by_sources(kernel)
