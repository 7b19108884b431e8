"""What the kernels take of a GPU, as its assembler says: ``python -m benchmarks.gpu.compiled``.

Needs no GPU, but numba-cuda and the CUDA toolkit's ptxas (``pip install -e ".[test]"``). It writes
benchmarks/results/gpu_compiled.json.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from itertools import product

import numpy as np
from cuda.pathfinder import find_nvidia_binary_utility

from benchmarks.environment import RESULTS
from npscatter import FilterBank, list_banks
from npscatter.gpu.kernel import make_kernel
from npscatter.gpu.launches import lay_out
from npscatter.gpu.target import to_ptx
from npscatter.gpu.tiling import KernelSpec
from npscatter.program.plan import make_plan

CAPABILITIES = [(7, 5), (8, 0), (9, 0)]
# Bank, dtype and storage.
KINDS = [
    *((name, "float32", None) for name in list_banks()),
    ("accurate", "float32", "float16"),
    ("accurate", "float64", None),
]


def specs(bank: str, dtype: str, storage: str | None = None) -> list[KernelSpec]:
    """Return all that kernels of a shipped bank are compiled for; J = 3 has every kind of launch.

    Parameters
    ----------
    bank : str
        Its name.
    dtype, storage
        As for `npscatter.gpu.launches.lay_out`.
    """
    found = FilterBank.load(bank)
    plan = make_plan(3, (64, 64), found.architecture, 2, found.boundary).octave_by_octave()
    return [launch.spec for launch in lay_out(plan, found, dtype, storage).launches]


def resources(spec: KernelSpec, images: str, capability: tuple[int, int]) -> dict[str, int]:
    """Return what a thread of a kernel takes: registers, and bytes of stack, spills and memory.

    Parameters
    ----------
    spec : KernelSpec
        What the kernel is compiled for.
    images : str
        Their dtype.
    capability : tuple of int
        Of the GPU that is compiled for.
    """
    ptx = to_ptx(make_kernel(spec), spec, np.dtype(images), capability)
    command = [find_nvidia_binary_utility("ptxas"), "-v", "-o", "/dev/null", "-"]
    command.append(f"-arch=sm_{capability[0]}{capability[1]}")
    ran = subprocess.run(command, input=ptx, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    found = {}
    for name, pattern in {
        "registers": r"Used (\d+) registers",
        "stack": r"(\d+) bytes stack frame",
        "spill stores": r"(\d+) bytes spill stores",
        "spill loads": r"(\d+) bytes spill loads",
    }.items():
        found[name] = int(re.search(pattern, ran.stderr)[1])
    # All shared memory is given at the launch; what a kernel has of its own would be named.
    own = re.search(r"(\d+) bytes smem", ran.stderr)
    return found | {"shared memory of its own": int(own[1]) if own else 0}


def kernels() -> Iterator[dict]:
    """Yield what every kernel of the shipped banks takes on every capability."""
    for bank, dtype, storage in KINDS:
        for (number, spec), capability in product(
            enumerate(specs(bank, dtype, storage)), CAPABILITIES
        ):
            parts = {
                "reads": "image" if spec.reads_image else f"{spec.maps} maps",
                "moduli": spec.wavelets.outputs if spec.wavelets else 0,
                "carries": 0 if spec.emits else (spec.smoothing or spec.direct).outputs,
            }
            print(f"{bank}, {dtype}, {storage}: kernel {number} for {capability}", flush=True)
            yield {
                "bank": bank,
                "dtype": dtype,
                "storage": storage or dtype,
                **parts,
                "capability": ".".join(map(str, capability)),
                **resources(spec, dtype, capability),
            }


def main() -> None:
    """Write the results."""
    packages = ("numba-cuda", "numba", "nvidia-cuda-nvcc", "nvidia-nvvm")
    result = {
        "command": "python -m benchmarks.gpu.compiled",
        "versions": {package: version(package) for package in packages},
        "kernels": list(kernels()),
    }
    path = RESULTS / "gpu_compiled.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
