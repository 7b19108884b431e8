"""The benchmark of the GPU, without one: what it says is missing, its page, and the simulator."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import results
from benchmarks.gpu import NOT_MEASURED
from tools import pages

ROOT = Path(__file__).resolve().parents[2]


def run_python(*arguments, **environment):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def pretended():
    """Return the results of a run, with times that were made up."""

    def record(factor):
        return {
            "accurate": {"ms_per_image": 2.0 * factor, "times_as_fast_as_kymatio": 25.0},
            "Kymatio Torch": {"ms_per_image": 50.0 * factor, "times_as_fast_as_kymatio": 1.0},
            "Torch conv2d": {"reason": "does not fit: memory"},
        }

    versions = {"kymatio": "0.3.0", "torch": "2", "numba-cuda": "0.30.4"}
    gpu = {"name": "pretended", "driver": None}
    return {
        "environment": {"command": "python -m benchmarks.gpu", "gpu": gpu, "versions": versions},
        "rounds": 3,
        "workloads": {"10 x 8x8 J=1": {"device": record(1), "numpy": record(3)}},
    }


def test_page_shows_what_was_measured():
    text = pages.gpu_times(pretended())
    assert "| images | from and to | accurate | Kymatio Torch | Torch conv2d |" in text
    assert "| 10 x 8x8 J=1 | the GPU | 2 (25x) | 50 (1x) | does not fit |" in text
    assert "| 10 x 8x8 J=1 | NumPy arrays | 6 (25x) | 150 (1x) | does not fit |" in text
    assert "medians of 3 interleaved rounds" in text


def test_page_says_what_was_compiled_and_that_nothing_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    kernel = {"dtype": "float32", "registers": 70, "capability": "9.0"}
    kernel |= dict.fromkeys(("stack", "spill stores", "spill loads"), 0)
    kernels = [kernel, kernel | {"dtype": "float64", "registers": 90, "capability": "10.0"}]
    versions = {"numba-cuda": "1", "nvidia-cuda-nvcc": "2"}
    result = {"kernels": kernels, "versions": versions, "command": "this"}
    results.write("gpu_compiled", result)
    text = pages.gpu()
    assert text.startswith(f"{NOT_MEASURED}\n\nCompiled for compute")
    assert "9.0, 10.0, the 2 kernels" in text and "70 to 70 registers in float32" in text
    assert "no stack, and spill none" in text
    kernels[0]["spill loads"] = 8
    results.write("gpu_compiled", result)
    results.write("gpu", pretended())
    text = pages.gpu()
    assert "8 bytes of stack and spills" in text
    assert text.startswith(pages.gpu_times(pretended()))


@pytest.mark.parametrize("simulated", ["0", "1"])
def test_without_a_gpu_one_sentence_and_status_2(tmp_path, simulated):
    output = tmp_path / "gpu.json"
    ran = run_python(
        *("-m", "benchmarks.gpu", "--quick", "--output", str(output)),
        NUMBA_ENABLE_CUDASIM=simulated,
        CUDA_VISIBLE_DEVICES="",
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    (sentence,) = ran.stderr.splitlines()
    assert sentence.startswith("python -m benchmarks.gpu needs ") and sentence.endswith(".")
    assert "install" in sentence or "unset NUMBA_ENABLE_CUDASIM" in sentence
    assert not output.exists()


def test_in_the_simulator():
    """Verification, and a run of a workload against the network in Torch."""
    ran = run_python(
        str(ROOT / "tests" / "benchmarks" / "gpu_benchmark_simulated.py"),
        NUMBA_ENABLE_CUDASIM="1",
        NUMBA_OPT="0",
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "done"
