"""Verify and measure npscatter on an NVIDIA GPU: ``python -m benchmarks.gpu``.

To be installed first, as root of a checkout, on a machine with NVIDIA's driver::

    pip install -e ".[bench,cuda13]"

with a Torch that was built with CUDA (and cuda12 where the driver is older). It writes
benchmarks/results/gpu.json, and ``python -m tools.pages`` makes the table of it. How exact
everything else is that the "cuda" backend does, ``pytest -m gpu`` says.
"""

# Where images come from and coefficients go to: in the results, and in words.
WAYS = {"device": "the GPU", "numpy": "NumPy arrays"}
NOT_MEASURED = (
    '`backend="cuda"` is not measured on a device yet: `python -m benchmarks.gpu` does it, on a '
    "machine with an NVIDIA GPU."
)
