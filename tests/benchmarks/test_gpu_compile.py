"""Kernels of the shipped banks, compiled for GPUs that are not there.

ptxas says what a GPU would: no register is spilled, no thread has a stack, and the registers leave
room for as many threads as the layout counts on.
"""

import json
import multiprocessing
import re
import subprocess
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from cuda.pathfinder import find_nvidia_binary_utility
from numba import cuda

from benchmarks.gpu.compiled import CAPABILITIES, KINDS, resources, specs
from benchmarks.results import RESULTS
from npscatter import FilterBank, list_banks
from npscatter.backends.gpu.kernel import make_kernel
from npscatter.backends.gpu.launches import lay_out
from npscatter.backends.gpu.magnitudes import make_magnitudes_kernel
from npscatter.backends.gpu.means import make_means_kernel
from npscatter.backends.gpu.target import magnitudes_signature, means_signature, to_ptx
from npscatter.backends.gpu.tiling import REGISTERS, Device
from npscatter.program.outputs import Outputs
from npscatter.program.plan import make_plan

MULTIPROCESSOR_REGISTERS = 65536
# Banks of fewer orientations are the same kernels with fewer sums.
CASES = {" ".join(filter(None, kind)): kind for kind in KINDS if "-L" not in kind[0]}
# What else there is to emit, and how many kernels do.
OUTPUTS = {
    "moduli": (Outputs(False), 4),
    "means": (Outputs("global"), 4),
    "twice the samples": (Outputs(oversampling=1), 2),
}


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("case", CASES)
def test_kernels_spill_nothing(pool, case):
    bank, dtype, storage = CASES[case]
    kernels = specs(bank, dtype, storage)
    assert len(kernels) == 4
    # The most demanding for the oldest capability; of one bank that for the newest, and the others
    # for the oldest. All for all stand in the file.
    jobs = [(kernels[1], dtype, CAPABILITIES[0])]
    if case == "accurate float32":
        jobs = [(spec, dtype, CAPABILITIES[-(spec is kernels[1])]) for spec in kernels]
    for taken in pool.map(resources, *zip(*jobs, strict=True)):
        assert_frugal(taken, dtype)


@pytest.mark.parametrize("name", OUTPUTS)
def test_kernels_of_other_outputs_spill_nothing(name):
    outputs, count = OUTPUTS[name]
    kernels = [spec for spec in specs("accurate", "float32", outputs=outputs) if spec.output]
    assert len(kernels) == count
    assert_frugal(resources(kernels[0], "float32", (8, 0)), "float32")


def assert_frugal(taken, dtype):
    """Assert that as many threads fit as layouts count on, and that nothing is spilled."""
    registers = taken.pop("registers")
    assert set(taken.values()) == {0}, taken
    assert 0 < registers * REGISTERS[dtype] <= MULTIPROCESSOR_REGISTERS


def test_the_committed_result_is_of_all_kernels():
    result = json.loads((RESULTS / "gpu_compiled.json").read_text())
    count = {}
    for kernel in result["kernels"]:
        storage = kernel["storage"] if kernel["storage"] != kernel["dtype"] else None
        kind = kernel["bank"], kernel["dtype"], storage, kernel["capability"]
        count[kind] = count.get(kind, 0) + 1
        wasted = [kernel[name] for name in ("stack", "spill stores", "spill loads")]
        assert wasted == [0, 0, 0]
        assert kernel["registers"] * REGISTERS[kernel["dtype"]] <= MULTIPROCESSOR_REGISTERS
    assert count == {(*kind, f"{a}.{b}"): 4 for kind in KINDS for a, b in CAPABILITIES}


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_other_images_compile_too(dtype):
    taken = resources(specs("fast-L4", "float32")[0], dtype, (9, 0))
    assert taken["stack"] == taken["spill stores"] == 0


@pytest.mark.parametrize("dtype", ["float32", "uint8", "float64", "int64"])
def test_what_looks_through_images_spills_nothing(dtype):
    number = np.result_type(dtype, np.float32).name
    kernel = make_magnitudes_kernel(number)
    assert_small(kernel, magnitudes_signature(number, np.dtype(dtype)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_adds_up_means_spills_nothing(dtype):
    assert_small(make_means_kernel(), means_signature(dtype))


def assert_small(kernel, signature):
    """Assert that a kernel takes few registers and spills none."""
    options = {"device": False, "cc": (9, 0), "abi": "numba", "output": "ptx"}
    ptx = cuda.compile(kernel, signature, **options)[0]
    command = [find_nvidia_binary_utility("ptxas"), "-v", "-o", "/dev/null", "-", "-arch=sm_90"]
    ran = subprocess.run(command, input=ptx, capture_output=True, text=True, check=True)
    assert re.search(r"\b0 bytes stack frame, 0 bytes spill stores, 0 bytes spill", ran.stderr)
    assert int(re.search(r"Used (\d+) registers", ran.stderr)[1]) <= 64


# Banks of fewer orientations need less.
@pytest.mark.parametrize("bank", [name for name in list_banks() if "-L" not in name])
def test_shared_memory_fits_every_gpu(bank):
    bank = FilterBank.load(bank)
    for J, shape, dtype in ((1, (9, 1000), "float64"), (4, (224, 224), "float32")):
        plan = make_plan(J, shape, bank.architecture, 2, bank.boundary)
        for candidate in (plan.octave_by_octave(), plan.in_rounds(4)):
            for launch in lay_out(candidate, bank, dtype).launches:
                assert launch.shared_bytes <= Device().block_bytes == 48 * 1024


def test_images_are_read_in_vectors_and_summed_by_fused_multiply_adds():
    """What the sums are made of: as many multiply-adds as the summation says, and vector loads."""
    spec = specs("accurate", "float32")[2]
    assert spec.wavelets and spec.direct and spec.emits
    ptx = to_ptx(make_kernel(spec), spec, np.dtype("float32"), (8, 0))
    summations = [part.summation for tile in spec.register_tiles for part in tile.parts]
    products = sum(4 * one.multiply_adds for one in summations)
    first_products = sum(4 * one.accumulators for one in summations)
    fused, multiplied = (
        len(re.findall(r"fma\.rn\.f32", ptx)),
        len(re.findall(r"mul\.rn\.f32|mul\.f32", ptx)),
    )
    squares = 4 * spec.wavelets.outputs
    emitted = 4 * 2  # of a modulus and of the source: a level is given back
    assert fused == products - first_products + squares + emitted
    # Equal weights of one sample are multiplied once.
    assert squares < multiplied <= first_products + squares
    loads = re.findall(r"ld\.shared(\.v[24])?\.[bf]32", ptx)
    assert loads.count("") < len(loads) / 3
    assert ".extern .shared .align 16" in ptx
    # Generic addresses would be slower.
    assert not re.findall(r"\bld\.v[24]", ptx)
