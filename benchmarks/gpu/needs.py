"""What the GPU benchmark needs and does not find. Imports nothing heavy before it must."""

from __future__ import annotations

import os
from importlib.util import find_spec

# Module: what to install for it.
MODULES = {
    "numba_cuda": "numba-cuda",
    "torch": "torch (a build with CUDA)",
    "kymatio": "kymatio",
    "scipy": "scipy",
    "skimage": "scikit-image",
}
INSTALL = (
    'pip install -e ".[bench,cuda13]" (cuda12 with an older driver), with a Torch built with CUDA'
)


def missing() -> str:
    """Return one sentence that says what is missing and what to install, "" if nothing is."""
    head = "python -m benchmarks.gpu"
    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        return f"{head} needs a GPU and not Numba's simulator: unset NUMBA_ENABLE_CUDASIM."
    absent = [package for module, package in MODULES.items() if find_spec(module) is None]
    if absent:
        return f"{head} needs {', '.join(absent)}: {INSTALL}."
    if words := _numba_without_gpu():
        return f"{head} needs a GPU that numba-cuda can use, and {words}."
    if words := _torch_without_gpu():
        return f"{head} needs a Torch that finds the GPU, and {words}: {INSTALL}."
    return ""


def _numba_without_gpu() -> str:
    try:
        from npscatter.gpu.target import cuda
    except ImportError as error:
        return f"it cannot be imported ({_on_one_line(error)}): {INSTALL}"
    if cuda.is_available():
        return ""
    if words := cuda.cuda_error():
        return (
            f"it finds none ({_on_one_line(words)}): install NVIDIA's driver, and see that a GPU "
            "is visible (CUDA_VISIBLE_DEVICES)"
        )
    return f"its toolkit lacks libNVVM: {INSTALL}"


def _on_one_line(words: object) -> str:
    return " ".join(str(words).split()).removesuffix(".")


def _torch_without_gpu() -> str:
    import torch

    if torch.cuda.is_available():
        return ""
    return f"{torch.__version__} finds none"
