"""The means of moduli on a GPU: the sums of their cells, added up by a last launch.

The other launches have written a sum for every cell (`npscatter.backends.gpu.launches.Emitted`). A
block adds those of one channel of one image, in double precision and in one order, whatever the
batch and the GPU; what was taken off the image is given back
(`npscatter.backends.gpu.magnitudes`).
"""

from __future__ import annotations

from numpy import int32, uint32, uint64

from npscatter.backends.gpu.launches import AVERAGE, OTHERS, RECORD
from npscatter.backends.gpu.run_codegen import named_by_sources
from npscatter.backends.gpu.target import SHARED_ALIGNMENT, cuda, quotient, types


def make_means_kernel():
    """Return the Python function of the kernel.

    Its arguments are the sums, of one image after the other; the output, of all channels of one
    image after the other; the records of the images; and the tables `starts` and `samples` of the
    layout. The grid has one dimension: images of these channels. Shared memory is for a number of
    64 bits per thread; threads are a power of two.
    """

    def kernel(sums, output, records, starts, samples):
        shared = cuda.shared.array(0, types.float64, SHARED_ALIGNMENT)
        thread, threads = int32(cuda.threadIdx.x), int32(cuda.blockDim.x)
        channels = int32(samples.shape[0])
        image = quotient(int32(cuda.blockIdx.x), channels)
        channel = int32(cuda.blockIdx.x - image * channels)
        cell, end = starts[uint32(channel)], starts[uint32(channel + 1)]
        before = image * starts[uint32(channels)]
        cell, end, total = before + cell + thread, before + end, 0.0
        while cell < end:
            total += sums[uint64(cell)]
            cell += threads
        shared[thread] = total
        half = threads >> 1
        while half > 0:
            cuda.syncthreads()
            if thread < half:
                shared[thread] += shared[thread + half]
            half >>= 1
        if thread == 0:
            record = uint32(image * RECORD + (AVERAGE if channel == 0 else OTHERS))
            factor, added = records[record], records[uint32(record + 1)]
            mean = shared[0] / samples[uint32(channel)]
            output[uint32(cuda.blockIdx.x)] = mean * factor + added

    return named_by_sources(kernel)
