"""Run by test_gpu_benchmark.py in a process of its own, in numba-cuda's simulator."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from banks import make_toy_bank  # noqa: E402

from benchmarks.gpu import ceilings, correctness, device, measure, report  # noqa: E402
from benchmarks.gpu.contestants import OfOurs, torch_as_timed  # noqa: E402
from benchmarks.peers import conv2d_network  # noqa: E402
from benchmarks.verify import MismatchError  # noqa: E402
from benchmarks.workloads import Workload  # noqa: E402
from npscatter.gpu.target import cuda  # noqa: E402


@dataclass(frozen=True)
class Noise(Workload):
    """Random images."""

    def images(self):
        """Return the batch."""
        random = np.random.default_rng(4).random((self.batch, *self.shape))
        return random.astype(np.float32)


TINY = Noise(8, 8, 2, 1)


def check_kernels():
    output = cuda.device_array(4, np.float32)
    factors = np.array([0.5, 0.25], np.float32)
    ceilings.multiply_add_chains[1, 4](output, np.int32(3), cuda.to_device(factors))
    # Every one of the eight chains has arrived at y / (1 - x).
    np.testing.assert_allclose(output.copy_to_host(), 8 * 0.5, rtol=1e-5)
    ceilings.multiply_add_chains[1, 4](output, np.int32(0), cuda.to_device(factors))
    a = 0.5 * np.arange(4)
    starts = [a, a + 0.5, a - 0.5, a + 0.25, a - 0.25, a + 1, a - 1, a + 0.5]
    np.testing.assert_allclose(output.copy_to_host(), sum(starts), rtol=1e-5)
    count = 2 * 4 * ceilings.LOADS
    source = cuda.to_device(np.arange(count, dtype=np.uint64))
    target = cuda.to_device(np.zeros(count, np.uint64))
    ceilings.copy_elements[2, 4](source, target)
    np.testing.assert_array_equal(target.copy_to_host(), source.copy_to_host())


def check_verification():
    bank = make_toy_bank("symmetric", L=2)
    one = replace(TINY, batch=1)
    found = correctness.verify_banks((one,), (bank,), odd=one)
    assert len(found) == 2 * 2 * 2 + 2 * 2 + 2, list(found)
    assert all(0 < error < 5e-6 for errors in found.values() for error in errors.values())
    for words in ("order 1", "order 2", "float16", "float64", "uint8", "NumPy", "device"):
        assert any(words in what for what in found), words
    told = correctness.verify_interfaces(bank, one)
    assert set(told.values()) == {"the same bits"}
    checks = correctness.Checks()
    checks.add("right", {"S0": 1e-7, "S1": 0.0}, 1e-6)
    checks.raise_if_wrong()
    checks.add("wrong", {"S0": 1e-7, "S1": float("nan")}, 1e-6)
    try:
        checks.raise_if_wrong()
    except MismatchError as error:
        assert "wrong" in str(error) and "right" not in str(error)
    else:
        raise AssertionError("nothing was raised")


def check_run():
    paper = make_toy_bank("paper", L=2)
    network = conv2d_network(paper, TINY.J, TINY.max_order)
    peers = {"Torch conv2d": lambda *_: network, "Kymatio Torch": lambda *_: 1 / 0}
    cpu = torch.device("cpu")
    with torch_as_timed():
        assert not torch.backends.cudnn.allow_tf32 and torch.backends.cudnn.benchmark
        timed = measure.time_workload(TINY, {"paper": OfOurs(paper)}, peers, cpu, rounds=1)
    assert len(timed["verified"]) == 3
    assert "division" in timed["contestants"]["Kymatio Torch"]["reason"]
    ours = timed["contestants"]["paper"]
    assert ours["work"]["layout"]["images_at_once"] == TINY.batch
    # The simulator's events know no time.
    assert ours["device"]["ms_each_round"] == [-1.0]
    json.dumps(report.finish({"workloads": {"tiny": timed}, "ceilings": {
        "flops_per_second": 1.0, "bytes_per_second": 1.0}}), allow_nan=False)  # fmt: skip
    wrong = {"Torch conv2d": lambda *_: lambda images: 1.01 * network(images)}
    try:
        measure.time_workload(TINY, {"paper": OfOurs(paper)}, wrong, cpu, rounds=1)
    except MismatchError as error:
        assert "paper, Torch conv2d" in str(error)
    else:
        raise AssertionError("nothing was raised")
    one = replace(TINY, batch=1)
    (found,) = measure.batch_scaling(1, (one,), OfOurs(paper))
    assert found["images"] == 1 and found["numpy"]["ms"] > 0
    (found,) = measure.memory_scan(one, 1, (1,), OfOurs(paper))
    assert found["bytes"] == 1 and "memory" in found["reason"]


def check_description():
    assert device.the_gpu()["name"] is None  # the simulator's has none
    line = "580.65.06, 1980, [N/A], 2619, 2619, 700.00\n"
    found = device.parsed(line)
    assert found["driver"] == "580.65.06" and found["clock_mhz"] == 1980
    assert found["most_clock_mhz"] is None and found["power_limit_w"] == 700
    assert set(device.parsed("").values()) == {None}
    assert "numba-cuda" in device.package_versions()


if __name__ == "__main__":
    check_kernels()
    check_verification()
    check_run()
    check_description()
    print("done")
