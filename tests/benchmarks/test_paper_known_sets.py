"""The experiment on CIFAR-10, Fashion-MNIST and MNIST, on few images."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import timing, verify
from benchmarks.paper import known_sets
from benchmarks.paper.classification import BANKS, KYMATIO
from benchmarks.paper.experiment import Settings
from benchmarks.peers import KYMATIO as BACKENDS
from tools import labelled
from tools.classifiers import RIDGE
from tools.labelled import TRAINING_ONLY, LabelledSet
from tools.teacher import teach

NAMES = ("CIFAR-10", "Fashion-MNIST", "MNIST")


@pytest.fixture(scope="module")
def digits():
    return labelled.digits(2, seed=0)


def few_of(digits, name, colour=False):
    """Return 40 digits to train on and 60 to test, as many of each class, under another name."""
    of_class = [np.flatnonzero(digits.labels == digit) for digit in range(10)]
    rows = np.concatenate([[some[k] for some in of_class] for k in range(10)])
    images = digits.images[rows]
    if colour:
        images = np.stack([images, 1 - images, images**2], 1)
    folds = np.repeat([TRAINING_ONLY, 0], [40, 60])
    return LabelledSet(name, "a few digits", images, digits.labels[rows], folds)


@pytest.fixture
def on_few_images(digits, monkeypatch):
    sets = [few_of(digits, name, colour=name == "CIFAR-10") for name in NAMES]
    monkeypatch.setattr(known_sets, "known_sets", lambda settings: sets)
    monkeypatch.setattr(known_sets, "PLAN", {name: {2: (1, 5)} for name in NAMES})
    monkeypatch.setattr(known_sets, "MOST_FOR_SVMS", 2)
    monkeypatch.setattr(known_sets, "BLOCKS", (10,))
    monkeypatch.setattr(known_sets, "SAMPLE", 10)
    monkeypatch.setattr(known_sets, "ROUNDS", 3)


def test_whole_experiment_on_few_images(on_few_images):
    result = json.loads(json.dumps(known_sets.measure(Settings()), allow_nan=False))
    assert tuple(result["sets"]) == NAMES and len(result["summary"]) == 3 * 2 * len(BANKS)
    for name, found in result["sets"].items():
        assert found["test_images"] == 60 and found["classes"] == 10
        planes = 3 if name == "CIFAR-10" else 1
        assert found["features"][KYMATIO] == planes * 81 * 8 * 8
        assert max(found["errors"]["accurate"].values()) < 0.005
        assert found["errors"]["paper"]["S2"] > 0.1
        rows = found["retrained"]
        assert {(row["images"], row["method"]) for row in rows} == {
            *((20, method) for method in known_sets.ALL),
            (40, RIDGE),
        }
        assert all(row["accuracy"] > 20 for row in rows)
        accurate = [row for row in rows if row["representation"] == "accurate"]
        assert all(abs(row["difference"]) < 4 for row in accurate)
        swapped = {(row["representation"], row["size"], row["method"]): row
                   for row in found["trained_on_Kymatio"]}  # fmt: skip
        assert swapped["accurate", 4, RIDGE]["changed"] < 4
        assert swapped["paper", 4, RIDGE]["difference"] < -10
    assert result["parameters"]["margin_points"] == 0.5
    assert set(result["seconds_by_part"]) >= {"speed", "MNIST, coefficients", "MNIST, 2 per class"}
    assert 0 < result["peak_memory_gb"] < 12
    check_speed(result["speed"])

    result |= {"setting": "reduced", "environment": {"command": "it", "cpu": "a", "threads": 1}}
    figure = known_sets.draw(result)
    assert len(figure.axes) == 9
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines["published"].get_xdata().tolist()[:3] == [100, 500, 1000]
    section = known_sets.section(result)
    assert "| MNIST | 20 | RBF SVM |" in section and "linear SVM |" not in section
    assert "| CIFAR-10 | 50,000 | 80.3 | Oyallon and Mallat 2015" in section
    assert "All 100 images of Fashion-MNIST, 32x32" in section


def check_speed(speed):
    assert (speed["images"], speed["shape"]) == (100, [32, 32])
    for words in ("one thread", "all cores"):
        timed = speed[words]
        (slow,) = set(timed) & set(BACKENDS)
        assert set(timed) == {*known_sets.TIMED, slow}
        assert timed[slow]["times_as_fast_as_kymatio"] == 1
        for one in timed.values():
            assert len(one["each_round"]) == 3
            assert one["images_per_second"] == pytest.approx(100 / one["seconds"], rel=0.01)
            ratio = timed[slow]["seconds"] / one["seconds"]
            assert one["times_as_fast_as_kymatio"] == pytest.approx(ratio, rel=0.05, abs=0.01)
        assert speed["verified"][f"accurate, {words}"]["S2"] < 0.01


def test_nothing_is_timed_that_differs_from_kymatio(on_few_images, digits, monkeypatch):
    monkeypatch.setitem(verify.TAUGHT, "fast", 1e-4)
    monkeypatch.setattr(timing, "interleaved", lambda calls, *_, **__: {key: [1] for key in calls})
    with pytest.raises(verify.MismatchError, match="fast: "):
        known_sets.extraction(few_of(digits, "Fashion-MNIST").images)


def test_kymatio_on_all_threads_is_kymatio(digits):
    planes = digits.images[::80]
    np.testing.assert_allclose(known_sets.taught(planes), teach(planes, 2), atol=1e-6)


def test_stages_end_with_all_there_are():
    labels = np.repeat(np.arange(10), 500)
    some = LabelledSet("MNIST", "words", np.zeros((5000, 2, 2)), labels, np.arange(5000) % 2)
    for full, sizes in ((False, [30, 100, 250]), (True, [30, 100, 200, 250])):
        found = known_sets.stages(some, Settings(full=full))
        assert [stage.per_class for stage in found] == sizes
        assert found[-1].draws == 1 and found[-1].methods == (RIDGE,)
        assert found[0].methods == known_sets.ALL
    assert set(known_sets.PLAN) == {name for name, *_ in known_sets.PUBLISHED} == set(NAMES)


def test_what_is_missing_is_named_before_anything_is_measured(tmp_path):
    with pytest.raises(ValueError, match=r"cifar10=None.*pass --cifar10 PATH"):
        known_sets.EXPERIMENT.run(Settings())
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in ("test_batch", "data_batch_1"):
        (folder / f"{name}.bin").write_bytes(bytes(3073 * 2000))
    given = Settings(cifar10=tmp_path, fashion_mnist=Path("/nowhere"))
    with pytest.raises(FileNotFoundError, match="install Debian's package dataset-fashion-mnist"):
        known_sets.measure(given)
