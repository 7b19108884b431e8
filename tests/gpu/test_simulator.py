"""The kernels in numba-cuda's simulator, against the definition and the NumPy executor.

What a thread sums is LLVM IR, the same for a GPU and for the CPU that compiles it here; the kernels
around it run as Python, with every thread, barrier and block there would be.
"""

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from cases import by_definition
from gpu_cases import CASES, in_a_row, named

SCRIPT = Path(__file__).parents[1] / "gpu_cases.py"


def simulate(path, what):
    """Start a process that runs cases of `gpu_cases`."""
    return subprocess.Popen(
        [sys.executable, "-W", "error::RuntimeWarning", SCRIPT, path, json.dumps(what)],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": str(SCRIPT.parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def finish(process):
    printed, _ = process.communicate(timeout=900)
    assert process.returncode == 0, printed.decode()[-4000:]


@pytest.fixture(scope="module")
def computed(request, tmp_path_factory):
    """Return the coefficients of every case that is tested."""
    tests = [
        item
        for item in request.session.items
        if item.path == request.path and "computed" in item.fixturenames
    ]
    names = sorted({name for item in tests for name in item.callspec.params.values()})
    # Two processes at a time, with about as much to do.
    shares = [names[start::2] for start in (0, 1) if names[start::2]]
    folder = tmp_path_factory.mktemp("simulated")
    paths = [folder / f"{number}.npz" for number in range(len(shares))]
    results = {}
    for process in [simulate(*job) for job in zip(paths, shares, strict=True)]:
        finish(process)
    for path in paths:
        results |= np.load(path)
    return results


@pytest.mark.parametrize("name", sorted(set(CASES) - {"not finite"}))
def test_kernels_equal_numpys(computed, name):
    case = CASES[name]
    S, images = case.scattering("numpy"), case.images()
    expected = in_a_row(S, S(images.astype(np.float64)))
    assert computed[name].dtype == np.result_type(images.dtype, np.float32)
    assert computed[name].shape == expected.shape
    order = np.repeat(S.meta()["order"], np.diff(S.plan.channel_starts))
    pairs = [(computed[name], expected)]
    if case.powers or case.levels:  # each to its own magnitude
        pairs = zip(computed[name], expected, strict=True)
    for (found, exact), o in product(pairs, set(order)):
        # Samples of an image in a row, whatever their maps.
        error = np.abs(found - exact).reshape(-1, len(order))[:, order == o].max()
        assert error <= case.tolerance * np.abs(exact.reshape(-1, len(order))[:, order == o]).max()


@pytest.mark.parametrize(("name", "other"), [("outputs: means, tiles", "outputs: means")])
def test_bits_do_not_depend_on_tiles(computed, name, other):
    assert np.array_equal(computed[name], computed[other])


@pytest.mark.parametrize("name", named("powers of two"))
def test_powers_of_two_scale_the_bits(computed, name):
    """So errors are those of ordinary magnitudes, where maps are stored as halves too."""
    powers = np.array(CASES[name].powers, np.intc)[:, None, None, None]
    assert np.array_equal(computed[name], np.ldexp(computed[name][0], powers))


@pytest.mark.parametrize("name", named("levels"))
def test_a_constant_that_is_added_changes_the_average_alone(computed, name):
    plain, *raised = computed[name]
    for found, level in zip(raised, CASES[name].levels[1:], strict=True):
        assert np.array_equal(found[1:], plain[1:])
        assert np.abs(found[0] - (plain[0] + level)).max() <= 2e-7 * level


@pytest.mark.parametrize("name", named("not finite"))
def test_what_is_not_finite_decides_nothing(computed, name):
    clean, *poisoned = computed[name]
    for found in poisoned:
        there = np.isfinite(found)
        assert 0.5 < there.mean() < 1
        assert np.array_equal(found[there], clean[there])


@pytest.mark.parametrize("name", named("architecture"))
def test_kernels_equal_the_definition(computed, name):
    case = CASES[name]
    S, image = case.scattering("numpy"), case.images()[0]
    expected = by_definition(image, S.bank, case.J, boundary=S.boundary)
    error = np.abs(computed[name][0] - expected).max()
    assert error <= case.tolerance * np.abs(expected).max()


def test_wrong_calls_are_refused(tmp_path):
    finish(simulate(tmp_path / "said.json", "refusals"))
    said = json.loads((tmp_path / "said.json").read_text())
    expected = {
        "shape": "x.shape=(3, 8, 12): array must be of spatial size (9, 12)",
        "out on the host": "must lie on the GPU, as x does",
        "out on the GPU": "must be a NumPy array",
        "out's shape": "out.shape=(2, 25, 2, 3): must be (3, 25, 2, 3)",
        "out's dtype": "out.dtype=dtype('float64'): must be float32",
        "out's strides": "must be C-contiguous",
        "stream": "stream=5: has no effect on images that are not on the GPU",
        "threads": "threads=2: has no effect on backend='cuda'",
        "memory": "memory=100: one image of (9, 12) needs",
    }
    assert said.keys() == expected.keys()
    for name, words in expected.items():
        assert words in said[name], said[name]
