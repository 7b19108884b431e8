"""Verify and measure npscatter on an NVIDIA GPU: ``python -m benchmarks.gpu``.

To be installed first, as root of a checkout, on a machine with NVIDIA's driver::

    pip install torch --index-url https://download.pytorch.org/whl/cu130
    pip install -e ".[bench,cuda13]"

(cu126 and cuda12 where the driver is older.) It writes benchmarks/results/gpu.json, and
``python -m benchmarks.readme`` makes the README's tables of it.
"""
