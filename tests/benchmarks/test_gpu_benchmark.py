"""The benchmark of the GPU, without one: counts, blocks, results, and the simulator."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import readme
from benchmarks.gpu import page, report
from benchmarks.gpu.counts import bytes_moved, operations, per_output_sample
from benchmarks.gpu.timing import fastest_block, interleaved, largest_block, most_turns
from benchmarks.peers import UnavailableError
from npscatter.cost import plan_cost
from npscatter.gpu.launches import lay_out
from npscatter.program.plan import make_plan
from npscatter.program.summation import make_summation

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


# Counts, by hand.


def test_operations_of_one_octave(toy_bank):
    """The paper's shape, L = 2: two complex wavelets of 7 x 7 at stride 2, then their low-pass."""
    bank = toy_bank("paper", L=2)
    plan = make_plan(1, (8, 8), bank.architecture, boundary="zero")
    wavelets = 16 * (2 * 2 * 2 * 49 + 2)
    low = 3 * 16 * 2 * 49
    assert operations(plan, bank) == wavelets + low


def test_operations_of_a_fold(toy_bank):
    """3 x 3, even both ways: 4 weights, 2 foldings of samples, a folded row of two columns."""
    taps = toy_bank("symmetric", L=2, boundary="periodic")["low_next"]
    order, weights = make_summation(taps, True)
    assert (len(weights), per_output_sample(order, 1)) == (4, 2 * 4 + 2 + 1)
    assert per_output_sample(order, 2) == 2 * 4 + 2 + 2
    assert per_output_sample(make_summation(taps, False)[0], 2) == 2 * 9


@pytest.mark.parametrize("J", [1, 2, 3])
def test_operations_are_two_per_multiply_add_and_more(toy_bank, J):
    bank = toy_bank("free", L=4, R=2)
    plan = make_plan(J, (16, 24), bank.architecture)
    moduli = sum(
        step.groups * len(step.orientations) * step.modulus_shape[0] * step.modulus_shape[1]
        for step in plan.steps[1:]
    )
    assert moduli > 0
    assert operations(plan, bank) == 2 * plan_cost(plan, bank, False).multiply_adds + moduli
    assert operations(plan.octave_by_octave(), bank) == operations(plan, bank)


def test_bytes_of_two_octaves(toy_bank):
    """16 x 16, L = 2, R = 1: 3 maps of 8 x 8 are carried, 9 channels of 4 x 4 come out."""
    bank = toy_bank("symmetric", L=2, boundary="periodic")
    plan = make_plan(2, (16, 16), bank.architecture, boundary="periodic").octave_by_octave()
    image, carried, coefficients = 256, 3 * 64, 9 * 16
    layout = lay_out(plan, bank, "float32")
    assert bytes_moved(layout, "float32") == 4 * (image + 2 * carried + coefficients)
    assert bytes_moved(layout, "uint8") == image + 4 * (2 * carried + coefficients)
    half = lay_out(plan, bank, "float32", "float16")
    assert bytes_moved(half, "float32") == 4 * (image + coefficients) + 2 * 2 * carried
    # Without an order to come, the wavelets' maps are read by what smooths them alone.
    first = make_plan(2, (16, 16), bank.architecture, 1, "periodic").octave_by_octave()
    found = bytes_moved(lay_out(first, bank, "float32"), "float32")
    assert found == 4 * (image + 2 * carried + 5 * 16)
    alone = make_plan(1, (16, 16), bank.architecture, boundary="periodic").octave_by_octave()
    assert bytes_moved(lay_out(alone, bank, "float32"), "float32") == 4 * (image + 3 * 64)


# Blocks and turns.


class FakeGpu:
    """Holds `room` images."""

    def __init__(self, room, error):
        self.room, self.error, self.tried, self.released = room, error, [], 0

    def attempt(self, block):
        self.tried.append(block)
        if block > self.room:
            raise self.error

    def release(self):
        self.released += 1


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("1 byte could not be had"),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nmore"),
        RuntimeError("[CUDA_ERROR_OUT_OF_MEMORY] Call to cuMemAlloc"),
        RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    ],
)
def test_blocks_are_halved_until_they_fit(error):
    gpu = FakeGpu(30, error)
    assert largest_block(101, gpu.attempt, gpu.release) == 26
    assert (gpu.tried, gpu.released) == ([101, 51, 26], 2)
    gpu = FakeGpu(0, error)
    with pytest.raises(UnavailableError, match="does not fit: ") as raised:
        largest_block(4, gpu.attempt, gpu.release)
    assert gpu.tried == [4, 2, 1] and "\n" not in str(raised.value)


def test_other_failures_are_no_lack_of_memory():
    gpu = FakeGpu(0, RuntimeError("an illegal memory access was encountered"))
    with pytest.raises(RuntimeError, match="illegal"):
        largest_block(4, gpu.attempt, gpu.release)
    assert gpu.tried == [4]


def test_smaller_blocks_are_tried_while_they_pay():
    tried = {16: 5.0, 8: 4.0, 4: 4.5, 2: 6.0}
    assert fastest_block(16, tried.__getitem__) == 8  # 1 is never tried
    assert fastest_block(1, lambda block: 1.0) == 1


def test_calls_are_interleaved_and_warm():
    order = []

    def call(name, milliseconds):
        def called():
            order.append(name)
            return milliseconds

        return called

    calls = {"a": call("a", 1.0), "b": call("b", 1e6)}
    assert interleaved(calls, rounds=5, warm=2) == {"a": [1.0] * 5, "b": [1e6] * 3}
    assert "".join(order) == "ab" + "ba" + "ab" + "ba" + "ab" + "a" + "a"


def test_most_turns_are_those_of_the_fastest_run():
    seen = []

    def run(turns):
        seen.append(turns)
        return turns * (0.01 if len(seen) % 2 else 0.02)

    assert most_turns(run) == pytest.approx(1e5)
    assert 0.005 * 30 < seen[-1] * 0.01 <= 30


# Results.


def pretended(accurate=2.0, kymatio=50.0):
    """Return the results of a run, with times that were made up."""

    def one(engine, milliseconds, **more):
        ways = {way: report.times([3 * milliseconds, milliseconds, 0], 10) for way in report.WAYS}
        return {"engine": engine, "block": 10, **ways, **more}

    ours = {"work": {"operations": 4_000_000, "bytes": 10_000_000}}
    contestants = {
        "accurate": one("npscatter", accurate, **ours),
        "paper": one("npscatter", 1.0, **ours),
        "Kymatio Torch": one("torch", kymatio) if kymatio else {"reason": "does not fit: memory"},
        "Torch conv2d": one("torch", 4.0),
    }
    return {
        "environment": {
            "command": "python -m benchmarks.gpu",
            "gpu": {"name": "pretended", "driver": 1.5, "runtime_cuda": "13.0"},
            "versions": {"kymatio": "0.3.0", "torch": "2", "numba-cuda": "0.30.4"},
        },
        "setting": "quick",
        "settings": {"rounds": 3},
        "ceilings": {"flops_per_second": 1e11, "bytes_per_second": 1e11},
        "workloads": {"10 x 8x8 J=1": {"batch": 10, "contestants": contestants}},
    }


def test_results_are_medians_ratios_and_shares(tmp_path):
    report.write(tmp_path / "gpu.json", pretended())
    written = json.loads((tmp_path / "gpu.json").read_text())
    found = written["workloads"]["10 x 8x8 J=1"]["contestants"]
    assert found["accurate"]["device"] == {
        "ms": 2.0,
        "images_per_second": 5000.0,
        "ms_each_round": [6.0, 2.0, 0],
    }
    assert found["accurate"]["times_as_fast_as_kymatio"] == {"device": 25, "numpy": 25}
    assert "times_as_fast_as_conv2d" not in found["accurate"]
    assert found["paper"]["times_as_fast_as_conv2d"] == {"device": 4, "numpy": 4}
    # 40 million operations and 100 MB in 2 ms: 20 GFLOP/s and 50 GB/s.
    reached = found["accurate"]["of_ceilings"]
    assert (reached["of_flops"], reached["of_bytes"]) == (0.2, 0.5)
    assert (reached["of_tighter_ceiling"], reached["tighter_ceiling"]) == (0.5, "memory")
    assert reached["flops_per_second"] == pytest.approx(2e10)


def test_aims_are_told_whether_they_are_met_or_not():
    results = report.finish(pretended())
    told = [report.told(aim) for aim in results["aims"]]
    first = "10 x 8x8 J=1"
    assert told == [
        f"reached: accurate, {first}: times as fast as Kymatio Torch, 25 (aim 20)",
        f"MISSED: paper, {first}: times as fast as Kymatio Torch, 50 (aim 100)",
        f"reached: accurate, {first}: share of the tighter ceiling, 0.5 (aim 0.5)",
        f"reached: paper, {first}: share of the tighter ceiling, 1 (aim 0.5)",
    ]
    without = report.finish(pretended(accurate=5.0, kymatio=None))
    told = [report.told(aim) for aim in without["aims"]]
    assert told[0].startswith("not measured: accurate") and told[2].startswith("MISSED: accurate")


def test_page_shows_what_was_measured_and_what_was_missed():
    text = page.rendered(report.finish(pretended()))
    device, numpy, _ = (line for line in text.splitlines() if line.startswith("| 10 x 8x8 J=1"))
    assert device == numpy and "| 50 | 2 (25x) |" in device
    assert "paper, 10 x 8x8 J=1: times as fast as Kymatio Torch (aim 100, reached 50)" in text
    assert "a quick run" in text
    text = page.rendered(report.finish(pretended(kymatio=None)))
    assert "| does not fit | 2 |" in text and "not measured" in text


def test_page_says_what_was_compiled_and_that_nothing_was_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    kernel = {"dtype": "float32", "registers": 70, "capability": "9.0"}
    kernel |= dict.fromkeys(("stack", "spill stores", "spill loads"), 0)
    kernels = [kernel, kernel | {"dtype": "float64", "registers": 90, "capability": "10.0"}]
    versions = {"numba-cuda": "1", "nvidia-cuda-nvcc": "2"}
    result = {"kernels": kernels, "versions": versions, "command": "this"}
    (tmp_path / "gpu_compiled.json").write_text(json.dumps(result))
    monkeypatch.setattr(readme, "PAGES", {"README.md": {"gpu": page.gpu_text}})
    filled = readme.rendered("README.md", "<!-- gpu -->\n<!-- /gpu -->")
    assert filled.startswith(f"<!-- gpu -->\n{page.NOT_MEASURED}\n\nCompiled for compute")
    assert "9.0, 10.0, the 2 kernels" in filled and "70 to 70 registers in float32" in filled
    assert "no stack, and spill none" in filled
    kernels[0]["spill loads"] = 8
    assert "8 bytes of stack and spills" in page.told_of_kernels(result)


# The command and the device's code.


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


def test_ceiling_is_multiply_adds_and_nothing_else():
    code = """
from numba.cuda import types
from benchmarks.gpu import ceilings
from npscatter.gpu.target import cuda
kind = types.void(types.float32[::1], types.int32, types.float32[::1])
function = ceilings.multiply_add_chains.py_func
ptx, _ = cuda.compile(function, kind, cc=(9, 0), device=False, abi="numba", output="ptx")
assert ptx.count("fma.rn.f32") == ceilings.CHAINS * ceilings.LINKS, ptx
assert not any(words in ptx for words in (".f64", ".local", "call.")), ptx
"""
    ran = run_python("-c", code)
    assert ran.returncode == 0, ran.stderr


def test_in_the_simulator():
    """Ceilings' kernels, verification, and a run of a workload against the network in Torch."""
    ran = run_python(
        str(ROOT / "tests" / "benchmarks" / "gpu_benchmark_simulated.py"),
        NUMBA_ENABLE_CUDASIM="1",
        NUMBA_OPT="0",
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "done"
