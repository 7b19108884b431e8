"""What the kernels take of a GPU, as its assembler says: ``python -m benchmarks.gpu.compiled``.

Needs no GPU, but numba-cuda and the CUDA toolkit's ptxas (``pip install -e ".[test]"``). It writes
benchmarks/results/gpu_compiled.json.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from itertools import product

import click
import numpy as np
from cuda.pathfinder import find_nvidia_binary_utility

from benchmarks import results, run
from npscatter import FilterBank, list_banks
from npscatter.backends.gpu.kernel import make_kernel
from npscatter.backends.gpu.launches import lay_out
from npscatter.backends.gpu.target import to_ptx
from npscatter.backends.gpu.tiling import KernelSpec
from npscatter.program.outputs import ALL, Outputs
from npscatter.program.plan import make_plan

CAPABILITIES = [(7, 5), (8, 0), (9, 0)]
# Bank, dtype and storage.
KINDS = [
    *((name, "float32", None) for name in list_banks()),
    ("accurate", "float32", "float16"),
    ("accurate", "float64", None),
]
# What is read in ptxas's report.
REPORTED = {"registers": r"Used (\d+) registers"}
REPORTED |= {name: rf"(\d+) bytes {name}" for name in ("stack", "spill stores", "spill loads")}


def specs(
    bank: str, dtype: str, storage: str | None = None, outputs: Outputs = ALL
) -> list[KernelSpec]:
    """Return all that a bank's kernels are compiled for; J = 3 has every kind of launch."""
    loaded = FilterBank.load(bank)
    plan = make_plan(3, (64, 64), loaded.architecture, boundary=loaded.boundary, outputs=outputs)
    launches = lay_out(plan.octave_by_octave(), loaded, dtype, storage).launches
    return list(dict.fromkeys(launch.spec for launch in launches))


def resources(spec: KernelSpec, images: str, capability: tuple[int, int]) -> dict[str, int]:
    """Return what a thread takes, for images of a dtype, on GPUs of a compute capability.

    That is registers, and bytes of stack, of spills and of shared memory not given at the launch.
    """
    ptx = to_ptx(make_kernel(spec), spec, np.dtype(images), capability)
    command = [find_nvidia_binary_utility("ptxas"), "-v", "-o", "/dev/null", "-"]
    command.append(f"-arch=sm_{capability[0]}{capability[1]}")
    ran = subprocess.run(command, input=ptx, capture_output=True, text=True)
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    usage = {name: int(re.search(pattern, ran.stderr)[1]) for name, pattern in REPORTED.items()}
    # All shared memory is given at the launch; what a kernel has of its own would be named.
    own = re.search(r"(\d+) bytes smem", ran.stderr)
    return usage | {"shared memory of its own": int(own[1]) if own else 0}


def kernels() -> Iterator[dict]:
    """Yield what every kernel of the shipped banks takes on every capability."""
    for bank, dtype, storage in KINDS:
        for (number, spec), capability in product(
            enumerate(specs(bank, dtype, storage)), CAPABILITIES
        ):
            print(f"{bank}, {dtype}, {storage}: kernel {number} for {capability}", flush=True)
            yield {
                "bank": bank,
                "dtype": dtype,
                "storage": storage or dtype,
                "reads": "image" if spec.reads_image else f"{spec.maps} maps",
                "moduli": spec.wavelets.outputs if spec.wavelets else 0,
                "carries": 0 if spec.emits else (spec.smoothing or spec.direct).outputs,
                "capability": ".".join(map(str, capability)),
                **resources(spec, dtype, capability),
            }


@click.command(help=__doc__)
def main() -> None:
    """Write the results."""
    packages = ("numba-cuda", "numba", "nvidia-cuda-nvcc", "nvidia-nvvm")
    result = {
        "command": "python -m benchmarks.gpu.compiled",
        "versions": results.versions(packages),
        "kernels": list(kernels()),
    }
    print(f"written to {results.write('gpu_compiled', result)}")


if __name__ == "__main__":
    run(main)
