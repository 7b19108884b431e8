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
from npscatter.program.outputs import Outputs
from npscatter.program.plan import make_plan

CAPABILITIES = [(7, 5), (8, 0), (9, 0)]
OUTPUTS = {"moduli": Outputs(False), "means": Outputs("global"), "fine": Outputs(oversampling=1)}
# Bank, dtype, storage, and which of these outputs.
KINDS = [
    *((name, "float32", None, None) for name in list_banks()),
    ("accurate", "float32", "float16", None),
    ("accurate", "float64", None, None),
    *(("accurate", "float32", None, name) for name in OUTPUTS),
]
# What is read in ptxas's report.
REPORTED = {name: rf"(\d+) bytes {name}" for name in ("stack", "spill stores", "spill loads")}
REPORTED["registers"] = r"Used (\d+) registers"


def specs(bank: str, dtype: str, storage: str | None = None, outputs: str | None = None) -> list:
    """Return the `KernelSpec` of all of a bank's kernels; J = 3 has every kind of launch."""
    loaded, wanted = FilterBank.load(bank), OUTPUTS.get(outputs, Outputs())
    plan = make_plan(3, (64, 64), loaded.architecture, boundary=loaded.boundary, outputs=wanted)
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
    for (bank, dtype, storage, outputs), capability in product(KINDS, CAPABILITIES):
        print(f"{bank}, {dtype}, {storage}, {outputs} for {capability}", flush=True)
        for spec in specs(bank, dtype, storage, outputs):
            yield {
                "bank": bank,
                "dtype": dtype,
                "storage": storage or dtype,
                "outputs": outputs,
                "reads": "image" if spec.reads_image else f"{spec.maps} maps",
                "moduli": spec.wavelets.outputs if spec.wavelets else 0,
                "smooths": [tile and tile.outputs for tile in (spec.smoothing, spec.direct)],
                "emits": spec.output,
                "capability": ".".join(map(str, capability)),
                **resources(spec, dtype, capability),
            }


@click.command(help=__doc__)
def main() -> None:
    """Write the results."""
    result = {
        "command": "python -m benchmarks.gpu.compiled",
        "versions": results.versions(("numba-cuda", "numba", "nvidia-cuda-nvcc", "nvidia-nvvm")),
        "kernels": list(kernels()),
    }
    print(f"written to {results.write('gpu_compiled', result)}")


if __name__ == "__main__":
    run(main)
