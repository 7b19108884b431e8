"""The kernels in numba-cuda's simulator, against the definition and the NumPy executor.

What a thread sums is LLVM IR, the same for a GPU and for the CPU that compiles it here; the kernels
around it run as Python, with every thread, barrier and block there would be.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import oracle
import pytest
from gpu_cases import CASES

# Two processes at a time, with about as much to do.
SHARES = [list(CASES)[start::2] for start in (0, 1)]


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """Return the coefficients of every case."""
    script, folder = Path(__file__).parent / "gpu_cases.py", tmp_path_factory.mktemp("simulated")
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_OPT": "0"}
    running = []
    for number, names in enumerate(SHARES):
        path = folder / f"{number}.npz"
        command = [sys.executable, "-W", "error::RuntimeWarning", script, path, json.dumps(names)]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        running.append((process, path))
    results = {}
    for process, path in running:
        printed, _ = process.communicate(timeout=900)
        assert process.returncode == 0, printed.decode()[-4000:]
        results |= np.load(path)
    return results


@pytest.mark.parametrize("name", CASES)
def test_kernels_equal_numpys(computed, name):
    case = CASES[name]
    S, images = case.scattering("numpy"), case.images()
    expected = S(images.astype(np.float64))
    assert computed[name].dtype == np.result_type(images.dtype, np.float32)
    assert computed[name].shape == expected.shape
    order = S.meta()["order"]
    for o in set(order):
        error = np.abs(computed[name] - expected)[..., order == o, :, :].max()
        assert error <= case.tolerance * np.abs(expected[..., order == o, :, :]).max()


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("architecture")])
def test_kernels_equal_the_definition(computed, name):
    case = CASES[name]
    S, image = case.scattering("numpy"), case.images()[0]
    design = S.bank.architecture
    expected = oracle.scattering(
        image,
        {key: S.bank[key] for key in S.bank.keys()},
        J=case.J,
        L=S.L,
        R=design.carriers,
        psi_stride=design.psi_stride,
        next_from=design.next_from,
        boundary=S.boundary,
    )
    error = np.abs(computed[name][0] - expected).max()
    assert error <= case.tolerance * np.abs(expected).max()
