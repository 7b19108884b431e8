"""Every kernel of the shipped banks, compiled for GPUs that are not there.

ptxas says what a GPU would: no register is spilled, no thread has a stack, and the registers leave
room for as many threads as the layout counts on.
"""

import multiprocessing
import re
import subprocess
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from npscatter import FilterBank, list_banks
from npscatter.cuda_layout import REGISTERS, Device, lay_out
from npscatter.plan import make_plan

CAPABILITIES = [(7, 5), (8, 0), (9, 0)]
MULTIPROCESSOR_REGISTERS = 65536


def works(bank, dtype, storage=None):
    """Return all that kernels of a bank are compiled for; J = 3 has every kind of launch."""
    bank = FilterBank.load(bank)
    plan = make_plan(3, (64, 64), bank.architecture, 2, bank.boundary).octave_by_octave()
    found = [launch.work for launch in lay_out(plan, bank, dtype, storage).launches]
    assert len(found) == len(set(found)) == 4
    return found


def compiled(work, images, capability):
    """Return what ptxas says of a kernel."""
    from cuda.pathfinder import find_nvidia_binary_utility

    from npscatter.cuda_kernels import make_kernel
    from npscatter.cuda_target import to_ptx

    ptx = to_ptx(make_kernel(work), work, np.dtype(images), capability)
    arch = f"-arch=sm_{capability[0]}{capability[1]}"
    ptxas = find_nvidia_binary_utility("ptxas")
    ran = subprocess.run(
        [ptxas, "-v", arch, "-o", "/dev/null", "-"], input=ptx, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


CASES = {
    f"{bank} {dtype} {storage or ''}": (bank, dtype, storage)
    for bank, dtype, storage in [
        *((name, "float32", None) for name in list_banks()),
        ("accurate", "float32", "float16"),
        ("accurate", "float64", None),
    ]
}


@pytest.fixture(scope="module")
def pool():
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("case", CASES)
def test_kernels_spill_nothing(pool, case):
    bank, dtype, storage = CASES[case]
    # Other kinds of numbers are nothing new to the GPU in between.
    capabilities = CAPABILITIES if (dtype, storage) == ("float32", None) else CAPABILITIES[::2]
    jobs = [(work, dtype, cc) for work in works(bank, dtype, storage) for cc in capabilities]
    for (work, _, _), said in zip(jobs, pool.map(compiled, *zip(*jobs, strict=True)), strict=True):
        assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in said, said
        registers = int(re.search(r"Used (\d+) registers", said)[1])
        assert registers * REGISTERS[dtype] <= MULTIPROCESSOR_REGISTERS, said
        # All shared memory is given at the launch, none is the kernel's own.
        assert "smem" not in said, said
        assert work.dtype == dtype


@pytest.mark.parametrize("dtype", ["uint8", "bool", "float16", "int64"])
def test_other_images_compile_too(dtype):
    said = compiled(works("accurate", "float32")[0], dtype, (9, 0))
    assert "0 bytes stack frame, 0 bytes spill stores" in said, said


@pytest.mark.parametrize("bank", list_banks())
def test_shared_memory_fits_every_gpu(bank):
    bank = FilterBank.load(bank)
    for J, shape in ((1, (9, 1000)), (2, (32, 32)), (4, (224, 224))):
        plan = make_plan(J, shape, bank.architecture, 2, bank.boundary)
        for candidate in (plan.octave_by_octave(), plan.in_rounds(4)):
            for dtype in ("float32", "float64"):
                for launch in lay_out(candidate, bank, dtype).launches:
                    assert launch.shared_bytes <= Device().block_bytes == 48 * 1024


def test_images_are_read_in_vectors_and_summed_by_fused_multiply_adds():
    """What the sums are made of: as many multiply-adds as the summation says, and vector loads."""
    from npscatter.cuda_kernels import make_kernel
    from npscatter.cuda_target import to_ptx

    work = works("accurate", "float32")[2]
    assert work.wavelets and work.direct and work.emits
    ptx = to_ptx(make_kernel(work), work, np.dtype("float32"), (8, 0))
    sums = [part.summation for one in work.sums for part in one.parts]
    products = sum(4 * one.multiply_adds for one in sums)
    first_products = sum(4 * one.accumulators for one in sums)
    fused, multiplied = (
        len(re.findall(r"fma\.rn\.f32", ptx)),
        len(re.findall(r"mul\.rn\.f32|mul\.f32", ptx)),
    )
    squares = 4 * work.wavelets.outputs
    assert fused == products - first_products + squares
    # Equal weights of one sample are multiplied once.
    assert squares < multiplied <= first_products + squares
    loads = re.findall(r"ld\.shared(\.v[24])?\.[bf]32", ptx)
    assert loads.count("") < len(loads) / 3
    # Generic addresses would be slower.
    assert not re.findall(r"\bld\.v[24]", ptx)
