"""Run by test_gpu_benchmark.py in a process of its own, in numba-cuda's simulator."""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from conftest import make_toy_bank  # noqa: E402

from benchmarks.gpu import measure  # noqa: E402
from benchmarks.peers import conv2d_network  # noqa: E402
from benchmarks.verify import MismatchError  # noqa: E402
from benchmarks.workloads import Workload  # noqa: E402


@dataclass(frozen=True)
class Noise(Workload):
    """Random images."""

    def images(self):
        """Return the batch."""
        random = np.random.default_rng(4).random((self.batch, *self.shape))
        return random.astype(np.float32)


TINY = Noise(8, 8, 2, 1)


def check_verification():
    bank = make_toy_bank("symmetric", L=2)
    found = measure.verify_banks((replace(TINY, batch=1),), (bank,))
    assert len(found) == 2 * 2, list(found)
    for words in ("float32", "float16", "numpy", "device"):
        assert any(words in what for what in found), words
    assert all(0 < error < 1e-5 for errors in found.values() for error in errors.values())


def check_run():
    paper = make_toy_bank("paper", L=2)
    network = conv2d_network(paper, TINY.J, TINY.max_order)
    peers = {"Torch conv2d": lambda *_: network, "Kymatio Torch": lambda *_: 1 / 0}
    ours, cpu = {"paper": (paper, None)}, torch.device("cpu")
    timed = measure.time_workload(TINY, ours, peers, cpu, rounds=1)
    assert set(timed["verified"]) == {
        *("paper, device, CPU", "paper, numpy, CPU", "paper, Torch conv2d")
    }
    assert "division" in timed["contestants"]["Kymatio Torch"]["reason"]
    one = timed["contestants"]["paper"]
    assert one["block"] in (1, 2)
    assert one["device"]["ms_per_image"] > 0 and len(one["numpy"]["ms_per_image_each_round"]) == 1
    assert "times_as_fast_as_kymatio" not in one["device"]
    json.dumps(timed, allow_nan=False)
    timed = measure.time_workload(TINY, ours, {"Kymatio Torch": lambda *_: network}, cpu, rounds=1)
    assert timed["contestants"]["paper"]["device"]["times_as_fast_as_kymatio"] > 0
    wrong = {"Torch conv2d": lambda *_: lambda images: 1.01 * network(images)}
    try:
        measure.time_workload(TINY, ours, wrong, cpu, rounds=1)
    except MismatchError as error:
        assert "paper, Torch conv2d" in str(error)
    else:
        raise AssertionError("nothing was raised")


if __name__ == "__main__":
    check_verification()
    check_run()
    print("done")
