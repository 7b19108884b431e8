"""The paper's speed table: what is timed and compared, and what is drawn of it."""

import inspect
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import peers
from benchmarks.paper import speed
from benchmarks.paper.experiment import Settings
from benchmarks.timing import UnavailableError
from benchmarks.verify import MismatchError
from npscatter import Scattering2D, list_banks

torch.set_num_threads(1)

WORKLOAD = speed.CifarWorkload(16, 16, 4, 2, 2)
IN_BATCHES, IN_BEST = speed.IN_BATCHES, speed.IN_BEST


def test_network_is_made_on_its_device():
    """The meta device lets tensors of the CPU pass where a GPU does not: they are looked at."""
    workload = replace(WORKLOAD, J=3)  # whose channels need to be put in order
    held = inspect.getclosurevars(peers.network_on(workload, torch.device("meta"))).nonlocals
    tensors = [held["order"], *(tensor for octave in held["octaves"] for tensor in octave)]
    assert len(tensors) == 7
    assert all(tensor.device.type == "meta" for tensor in tensors)


def images_of_16(monkeypatch):
    images = np.random.default_rng(6).normal(size=(4, 16, 16)).astype(np.float32)
    monkeypatch.setattr(speed.CifarWorkload, "images", lambda workload: images)
    return images


def test_device_transforms_are_verified_and_timed(monkeypatch):
    images = images_of_16(monkeypatch)
    monkeypatch.setattr(speed, "CALL_SECONDS", 0)
    cpu = torch.device("cpu")
    timed = speed.time_on(WORKLOAD, cpu, rounds=2)
    assert max(max(errors.values()) for errors in timed["verified"].values()) < 1e-4
    for one in timed["contestants"].values():
        assert len(one[IN_BATCHES]["each_round"]) == 2 and one[IN_BEST]["seconds_per_epoch"] > 0
    ours = Scattering2D(2, (16, 16), bank="paper", backend="numpy")(images)
    theirs = peers.network_on(WORKLOAD, cpu)(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(theirs, ours, atol=1e-4 * np.abs(ours).max())

    right = peers.network_on
    made = []

    def wrong_at_first(workload, device):
        made.append(device)
        network = right(workload, device)
        return network if len(made) > 1 else lambda images: 1.01 * network(images)

    monkeypatch.setattr(peers, "network_on", wrong_at_first)
    with pytest.raises(MismatchError):
        speed.time_on(WORKLOAD, cpu, rounds=1)


@pytest.mark.parametrize("engine", ["npscatter", "numpy"])
def test_an_epoch_passes_every_image_once_in_blocks(engine):
    passed = []
    contestant = SimpleNamespace(engine=engine)
    prepared = peers.Prepared(contestant, lambda block: passed.append(block.tolist()), threads=2)
    speed.epoch(prepared, np.arange(7), 3)
    assert sorted(passed) == [[0, 1, 2], [3, 4, 5], [6]]


def test_every_bank_and_peer_is_timed_in_the_papers_batch_and_in_its_best(monkeypatch):
    images_of_16(monkeypatch)
    tried, called = [], []

    def fastest_block(blocks, call):
        tried.append(call)
        call(blocks[-1])
        return 20 if len(tried) % 2 else speed.BATCH

    def interleaved(calls, rounds, at_least, share, pauses):
        called.extend(calls)
        assert set(pauses) == set(calls) and pauses["Kymatio Torch", speed.BATCH] > 0
        return {key: [1.0] for key in calls}

    def gone(workload, threads):
        raise UnavailableError("not installed")

    others = [one for one in peers.contestants() if one.name != "pytorch-wavelets"]
    others.append(peers.Contestant("pytorch-wavelets", "torch", gone))
    monkeypatch.setattr(peers, "contestants", lambda: others)
    monkeypatch.setattr(speed.timing, "fastest_block", fastest_block)
    monkeypatch.setattr(speed.timing, "interleaved", interleaved)
    timed = speed.time_epochs(WORKLOAD, 1)["contestants"]
    assert timed.pop("pytorch-wavelets") == {"reason": "not installed"}
    assert list(timed) == [*list_banks(), "Kymatio NumPy", "Kymatio Torch", "Torch conv2d"]
    blocks = {name: [block for other, block in called if other == name] for name in timed}
    assert [blocks[name] for name in timed] == [[50, 20], [50]] * 5 + [[50, 20]]


def test_seconds_are_of_an_epoch_and_ratios_of_what_computes_as_much(monkeypatch):
    taken = {
        ("Kymatio NumPy", 50): [9.0, 4.0, 3.0],
        ("Kymatio NumPy", 20): [2.0],
        ("Kymatio Torch", 50): [6.0],
        ("paper", 50): [0.5],
        ("paper", 1000): [0.8],
        ("fast-L6", 50): [0.1],
    }
    monkeypatch.setattr(speed.timing, "interleaved", lambda calls, rounds, **_: taken)
    found = speed.timed_epochs({}, images=2000, rounds=3)
    kymatio, paper = found["Kymatio NumPy"], found["paper"]
    assert kymatio[IN_BATCHES]["each_round"] == [45, 20, 15]
    assert kymatio[IN_BATCHES]["seconds_per_epoch"] == 20
    assert kymatio[IN_BATCHES]["images_per_second"] == 500
    assert (kymatio[IN_BEST]["block"], kymatio[IN_BEST]["seconds_per_epoch"]) == (20, 10)
    assert (paper[IN_BEST]["block"], paper[IN_BEST]["seconds_per_epoch"]) == (50, 2.5)
    ratios = [[paper[blocks][key] for key in speed.RATIOS] for blocks in (IN_BATCHES, IN_BEST)]
    assert ratios == [[12, 8], [12, 4]]
    assert not set(speed.RATIOS) & set(found["fast-L6"][IN_BATCHES])


def test_images_one_by_one_are_scaled_to_an_epoch(monkeypatch):
    images_of_16(monkeypatch)
    monkeypatch.setattr(speed.timing, "interleaved", lambda calls, _: {n: [0.2] for n in calls})
    expected = {"Kymatio Torch": 500, "Torch conv2d": 500}
    assert speed.time_one_by_one(WORKLOAD) == expected


def test_torch_is_timed_as_users_have_it_and_given_back():
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(KeyError), speed.untouched_torch():
            assert not torch.are_deterministic_algorithms_enabled()
            torch.set_num_threads(2)
            raise KeyError
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("gpu", [False, True])
def test_speed_is_measured_and_drawn(monkeypatch, gpu):
    """With pretended times: no clock is read."""
    names = ("accurate", "fast-L4", *peers.KYMATIO, peers.NETWORK)

    def pretended(calls, rounds, **_):
        assert not torch.are_deterministic_algorithms_enabled()
        return {key: [0.0003 * (1 + place)] for place, key in enumerate(calls)}

    def time_epochs(workload, threads):
        assert workload.batch == 10_000
        calls = {(name, block): None for name in names for block in (speed.BATCH, 200)}
        timed = speed.timed_epochs(calls, 3, 1)
        return {"threads": threads or 2, "contestants": timed | {"gone": {"reason": "gone"}}}

    monkeypatch.setattr(speed.timing, "interleaved", pretended)
    monkeypatch.setattr(speed, "time_epochs", time_epochs)
    single = {peers.KYMATIO[1]: 190.0, peers.NETWORK: 5.0}
    monkeypatch.setattr(speed, "time_one_by_one", lambda workload: single)
    monkeypatch.setattr(speed.verify, "verify", lambda workload, backend: {})
    monkeypatch.setattr(speed, "verify_fewer_orientations", lambda workload: {})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    there = {(name, speed.BATCH): None for name in (peers.KYMATIO[1], peers.NETWORK)}
    on_gpu = {"name": "pretended"}
    monkeypatch.setattr(
        speed, "time_on", lambda *_: on_gpu | {"contestants": speed.timed_epochs(there, 3, 1)}
    )
    result = speed.measure(Settings(full=True))
    assert result["data"].startswith("stand-in for CIFAR-10 (pass --cifar10)")
    versions = {"kymatio": "0", "torch": "0"}
    told = {"command": "this", "cpu": "a CPU", "threads": 2, "versions": versions}
    result |= {"environment": told, "setting": "full"}
    page = speed.section(result)
    assert "measured on pretended 1 s against 2 s" in page or not gpu
    assert "not checked: no GPU was at hand" in page or gpu
    assert "L2 190 s against 5 s" in page and "All other seconds of all 10,000 images" in page
    assert "| 37.6 | 266 | 1 |  |" in page and "| 2.22 | 4,505 | 81.2 |  |" in page
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| accurate |")]
    assert [len(row) for row in rows] == [9, 9, 5] and rows[2][1] == "1 (50; 5)"
    (fewer, *_) = (line for line in page.splitlines() if line.startswith("| fast-L4 |"))
    assert fewer.count("|  |  |") == 2
    figure = speed.draw(json.loads(json.dumps(result, allow_nan=False)))
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    assert len(figure.axes[0].get_yticklabels()) == len(names)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert ("on the GPU" in labels) == gpu and len(set(labels)) == len(labels) == 5 + gpu


def test_banks_of_fewer_orientations_are_verified(monkeypatch):
    workload = speed.CifarWorkload(32, 32, 3, 2)
    found = speed.verify_fewer_orientations(workload)
    largest = {name.partition(",")[0]: max(errors.values()) for name, errors in found.items()}
    assert set(largest) == {"accurate-L4", "accurate-L6", "fast-L4", "fast-L6"}
    assert all(0 < largest[name] < (0.01 if "accurate" in name else 0.03) for name in largest)
    monkeypatch.setitem(speed.verify.TAUGHT, "accurate", 1e-6)
    with pytest.raises(MismatchError, match="accurate-L4"):
        speed.verify_fewer_orientations(workload)
