"""Run by test_gpu_benchmark.py in a process of its own, in numba-cuda's simulator."""

import json
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from banks import make_toy_bank  # noqa: E402
from gpu_turns import use_turns  # noqa: E402

from benchmarks.gpu import measure  # noqa: E402
from benchmarks.verify import MismatchError  # noqa: E402
from benchmarks.workloads import Workload  # noqa: E402
from tools.paper_network import conv2d_network  # noqa: E402


@dataclass(frozen=True)
class Noise(Workload):
    """Random images."""

    def images(self):
        """Return the batch."""
        random = np.random.default_rng(4).random((self.batch, *self.shape))
        return random.astype(np.float32)


TINY = Noise(8, 8, 2, 1)


def check_run():
    paper = make_toy_bank("paper", L=2)
    network = conv2d_network(paper, TINY.J, TINY.max_order)
    peers = {"Torch conv2d": lambda *_: network, "Kymatio Torch": lambda *_: 1 / 0}
    ours, cpu = {"paper": (paper, None), "half": (paper, "float16")}, torch.device("cpu")
    timed = measure.time_workload(TINY, ours, peers, cpu, rounds=1)
    names = product(("paper", "half", "Torch conv2d"), ("device", "numpy"))
    assert set(timed["verified"]) == {", ".join(name) for name in names}
    assert 0 < max(timed["verified"]["half, device"].values()) < 5e-3
    assert 0 < max(timed["verified"]["paper, device"].values()) < 1e-5
    for way in ("device", "numpy"):
        assert "division" in timed[way]["Kymatio Torch"]["reason"]
        one = timed[way]["paper"]
        assert (one["images"], one["block"]) == (2, 2)
        assert one["ms_per_image"] > 0 and len(one["ms_per_image_each_round"]) == 1
        assert "times_as_fast_as_kymatio" not in one
    json.dumps(timed, allow_nan=False)


def check_a_wrong_transform():
    paper = make_toy_bank("paper", L=2)
    right = conv2d_network(paper, TINY.J, TINY.max_order)

    made = iter([lambda images: 1.01 * right(images), right])  # "on the GPU", then the CPU's
    peers = {"Kymatio Torch": lambda *_: next(made)}
    try:
        measure.time_workload(TINY, {"paper": (paper, None)}, peers, torch.device("cpu"), rounds=1)
    except MismatchError as error:
        assert "Kymatio Torch, device" in str(error)
    else:
        raise AssertionError("nothing was raised")


if __name__ == "__main__":
    use_turns()
    check_run()
    check_a_wrong_transform()
    print("done")
