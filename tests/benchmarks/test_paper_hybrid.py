"""The experiment with a small network on scattering: its draws, its comparisons, its table."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.paper import hybrid
from benchmarks.paper.__main__ import EXPERIMENTS, main
from benchmarks.paper.experiment import Experiment, Settings
from benchmarks.paper.hybrid import HYBRID, NETWORKS, PIXELS
from npscatter.errors import ArgumentError
from tools import small_cnn


def done(right, seconds=2.0):
    found = {"seconds": seconds, "scattering": 1.0, "training": 0.5, "parameters": 7}
    return [found | {"right": np.array(row, bool)} for row in right]


def test_leads_are_paired_and_in_points():
    generator = np.random.default_rng(0)
    one = generator.random((3, 1000)) < 0.5
    other = one.copy()
    other[:, :50] = False
    found = hybrid.compare({HYBRID: done(one), "convolved": done(other), "rearranged": done(one)})
    lost, accuracy = 100 * one[:, :50].sum() / one.size, found["accuracy"]
    assert accuracy[HYBRID]["mean"] == pytest.approx(100 * one.mean(), abs=0.01)
    assert accuracy[HYBRID]["draws"] == pytest.approx(100 * one.mean(1), abs=0.01)
    assert found["lead"]["convolved"]["mean"] == pytest.approx(lost, abs=0.01)
    low, high = found["lead"]["convolved"]["interval"]
    # Unpaired, three accuracies would be some 4 points uncertain.
    assert 0 < low < lost < high < lost + 2
    assert found["lead"]["rearranged"] == {"mean": 0, "interval": [0, 0]}
    standings = [hybrid.standing(found["lead"][name], 3) for name in PIXELS]
    assert standings == ["ahead", "not decided"]
    behind = {"interval": [-2, -0.1]}
    assert [hybrid.standing(behind, draws) for draws in (2, 1)] == [
        "behind",
        "behind in the one draw there is",
    ]


def test_draws_are_balanced_nested_and_all_there_is_at_last():
    labels = np.random.default_rng(1).permutation(np.arange(400) % 10)
    small, large = (hybrid.labelled(labels, size, 1) for size in (50, 200))
    assert set(small) < set(large) and np.bincount(labels[large]).tolist() == [20] * 10
    assert not np.array_equal(large, hybrid.labelled(labels, 200, 2))
    assert np.array_equal(hybrid.labelled(labels, 400, 1), np.arange(400))


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """Measure with few images and steps, and return the result, the jobs and the labels."""
    generator = np.random.default_rng(2)
    for name in ("data_batch_1", "test_batch"):
        records = generator.integers(0, 256, (60, 3073), np.uint8)
        records[:, 0] = np.arange(60) % 10
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    for module in (hybrid, small_cnn):
        monkeypatch.setattr(module, "LIMIT", 60)
    monkeypatch.setattr(hybrid, "PLANS", ([], [(60, 1, 2), (10, 1, 4), (30, 1, 2), (10, 2, 2)]))
    for name, value in {"HELD_OUT": 20, "TRIED_ON": 20, "TRIED_FOR": 1, "DECAYS": (0.1,)}.items():
        monkeypatch.setattr(hybrid, name, value)
    jobs = []

    def in_one_process(function, arguments):
        jobs.extend(job for (job,) in arguments)
        return [function(job) for (job,) in arguments]

    monkeypatch.setattr(hybrid, "in_processes", in_one_process)
    result = hybrid.measure(Settings(full=True, cifar10=tmp_path))
    return json.loads(json.dumps(result, allow_nan=False)), jobs


def test_whole_experiment_on_few_images(whole):
    result, jobs = whole
    choosing, judging = ([job for job in jobs if job.split == split] for split in ("train", "test"))
    assert len(choosing) == 2 * len(NETWORKS) and jobs[: len(choosing)] == choosing
    for job in choosing:
        assert len(job.tested) == 20 and not set(job.tested) & set(job.training)
    drawn = {}
    for job in judging:
        assert len(job.tested) == 60
        drawn.setdefault((len(job.training), job.recipe.steps, job.seed), []).append(job)
    assert list(drawn) == [(60, 2, 0), (10, 4, 0), (30, 2, 0), (10, 2, 0), (10, 2, 1)]
    for of in drawn.values():
        assert [job.network for job in of] == list(NETWORKS)
        assert all(np.array_equal(job.training, of[0].training) for job in of)
    shown = [(row["labelled"], row["draws"], row["steps"]) for row in result["rows"]]
    assert shown == [(10, 2, 2), (10, 1, 4), (30, 1, 2), (60, 1, 2)]
    assert hybrid.shortest(result) == [result["rows"][number] for number in (0, 2, 3)]
    accuracy = result["rows"][0]["accuracy"]
    assert 0 < accuracy[HYBRID]["scattering"] < accuracy[HYBRID]["seconds"]
    assert accuracy["convolved"]["scattering"] == 0
    for name, of in result["networks"].items():
        best = max(of["tried"], key=lambda tried: tried["held out"])
        assert of["recipe"]["learning_rate"] == best["learning_rate"], name
    result |= {"setting": "full", "environment": {"command": "it", "cpu": "a", "threads": 1}}
    figure = hybrid.draw(result)
    assert len(figure.axes) == 2 and "full setting" in figure.get_suptitle()
    text = hybrid.section(result)
    assert "| 10 | 4 | 1 |" in text and "Scattering + CNN against CNN on pixels: " in text
    assert "| Oyallon 2017 | 8,000 | 81.8 ± 0.7" in text


def test_too_few_training_images_are_refused(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(hybrid, "LIMIT", 61)
    with pytest.raises(ArgumentError, match=r"must hold 61 training images, not 60"):
        hybrid.measure(Settings(cifar10=tmp_path))


def test_without_labels_it_is_refused_by_name_and_passed_over_among_all(monkeypatch):
    with pytest.raises(ArgumentError, match=r"cifar10=None.*--cifar10 PATH"):
        hybrid.EXPERIMENT.run(Settings())
    monkeypatch.setattr(Experiment, "run", lambda self, settings: None)
    monkeypatch.setitem(EXPERIMENTS, "hybrid", hybrid.EXPERIMENT)
    ran = CliRunner().invoke(main, ["all"])
    for name in ("hybrid", "sets"):
        assert f"{name} passed over: it needs --cifar10 PATH" in ran.output
    able = [made for made in EXPERIMENTS.values() if made.can_run(Settings())]
    assert ran.exit_code == 0 and ran.output.count(" after ") == len(able) < len(EXPERIMENTS)
