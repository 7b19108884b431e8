"""Verify and measure npscatter on an NVIDIA GPU: ``python -m benchmarks.gpu``.

To be installed first, as root of a checkout, on a machine with NVIDIA's driver::

    pip install -e ".[bench,cuda13]"

with a Torch that was built with CUDA (and cuda12 where the driver is older). It writes
benchmarks/results/gpu.json, and ``python -m benchmarks.readme`` makes the README's tables of it.
"""
