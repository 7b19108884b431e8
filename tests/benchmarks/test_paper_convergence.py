"""Figures 3 and 4: other networks learn in the same loop, and what is reported of them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.paper import convergence, networks
from benchmarks.paper.convergence import EXPERIMENTS, own_recipe, paper_recipe
from benchmarks.paper.experiment import Settings
from benchmarks.paper.networks import Images, RegularCNN, load, references, score, train
from npscatter.errors import ArgumentError
from npscatter.program.plan import make_plan
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.torch import program as torch_program
from tools import kept_runs
from tools.learning import Learner, lesson
from tools.parameters import Parameters
from tools.presets import PAPER, PRESETS

torch.set_num_threads(1)

SMALL = replace(PAPER, kernels=dict.fromkeys(WEIGHT_ARRAYS, 3))
PLAN = make_plan(2, (32, 32), SMALL.architecture, boundary="zero")


@pytest.fixture
def recipe():
    recipe = paper_recipe(Settings(), count=6)
    return replace(recipe, design=SMALL, batch=3, epochs=2)


class Twin(torch.nn.Module):
    """The paper's network as any network: images in, coefficients out."""

    def __init__(self, parameters):
        super().__init__()
        self.parameters_ = parameters

    def forward(self, images):
        weights = {key: taps.float() for key, taps in self.parameters_().items()}
        return torch_program.run(PLAN, weights, images)


def toy_images(S):
    return Images(None, S.astype(np.float32), None, None, {})


def toy_coefficients(seed=0):
    return np.random.default_rng(seed).normal(0.3, 1, (4, 81, 8, 8))


def test_a_network_of_its_own_learns_as_the_torch_program_does(recipe):
    usual = Learner(recipe)
    copy = Parameters(SMALL)
    copy.load_state_dict(usual.parameters.state_dict())
    other = Learner(recipe, network=Twin(copy))
    usual.learn()
    other.learn()
    assert other.log == usual.log
    assert copy.bank("a").sha256 == usual.parameters.bank("a").sha256


def test_lesson_is_standardised_and_taught(recipe):
    images, wanted = lesson(recipe)
    assert images.mean() == pytest.approx(0, abs=1e-5)
    assert images.std() == pytest.approx(1, abs=1e-5)
    assert wanted[2].shape == (6, 81, 8, 8)
    raw, _ = lesson(replace(recipe, standardise=False))
    assert 0 <= raw.min() < raw.max() <= 1


def test_regular_cnn_is_blocks_in_order_and_larger_than_the_papers_network():
    network = RegularCNN()
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["Conv2d", "ReLU", "MaxPool2d"] * 2
    count = sum(free.numel() for free in network.parameters())
    assert count >= sum(free.numel() for free in Parameters(PAPER).parameters())
    images = torch.randn(3, 32, 32)
    assert network(images).shape == (3, 81, 8, 8)
    assert network(images).min() >= 0
    assert RegularCNN(linear_end=True)(images).min() < 0


def test_regular_cnn_starts_from_its_seed_alone():
    state = torch.get_rng_state()
    first, second, other = RegularCNN(), RegularCNN(), RegularCNN(seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


def test_score_of_coefficients_too_small_by_order():
    S = toy_coefficients()
    gain = np.concatenate([[1.0], np.full(16, 0.5), np.full(64, 0.25)])
    found = score(S * gain[:, None, None], S, PLAN)
    assert found["gain"] == pytest.approx({"S0": 1, "S1": 0.5, "S2": 0.25})
    assert found["errors"] == pytest.approx({"S0": 0, "S1": 0.5, "S2": 0.75})
    lost = 0.25 * (S[:, 1:17] ** 2).sum() + 0.5625 * (S[:, 17:] ** 2).sum()
    assert found["share"] == pytest.approx(lost / (S**2).sum())
    assert found["loss"] == pytest.approx(lost / S.size)


def test_references_are_what_they_say():
    S = toy_coefficients()
    images = toy_images(S)
    known, whole = references(images), (S**2).sum()
    generator = np.random.default_rng(1)
    for _ in range(20):
        constant = S.mean((0, 2, 3)) + generator.normal(0, 0.1, 81)
        worse = ((S - constant[:, None, None]) ** 2).sum() / whole
        assert worse > known["best constant per channel"]
        positive = np.maximum(S + generator.normal(0, 0.1, S.shape), 0)
        assert ((S - positive) ** 2).sum() / whole > known["nothing below zero"]
    only = np.where(np.arange(81)[:, None, None] == 0, S, 0)
    expected = ((S - only) ** 2).sum() / whole
    assert known["S0 exact, all else zero"] == pytest.approx(expected, rel=1e-5)
    clipped = ((S - np.maximum(S, 0)) ** 2).sum() / whole
    assert known["nothing below zero"] == pytest.approx(clipped, rel=1e-5)


def test_training_reports_its_curve_and_both_sets_of_images(recipe):
    images = load(Settings(), recipe, 3)
    result = train(recipe, images=images)
    assert (result["parameters"], result["steps"]) == (2 * 9 * 17, 4)
    assert len(result["loss"]) == 3
    assert result["loss"][0] == result["start"]["loss"]
    np.testing.assert_allclose(
        np.array(result["loss"]) / result["share"], np.square(images.wanted).mean(), rtol=1e-5
    )
    assert result["learned"]["loss"] < result["start"]["loss"]
    assert result["held_out"]["loss"] != result["learned"]["loss"]
    # A bound holds for whatever a ReLU network learns (from whole batches).
    relu = train(recipe, RegularCNN(), images=images)
    assert min(relu["share"]) > references(images)["nothing below zero"]
    assert "design" not in relu["recipe"]


def test_what_is_learned_is_not_learned_again_and_goes_on_where_it_stopped(recipe, tmp_path):
    whole, seconds = kept_runs.learned(recipe, tmp_path)
    assert seconds > 0
    again, same = kept_runs.learned(recipe, tmp_path)
    assert (again.log, same) == (whole.log, seconds)
    assert len(list(tmp_path.iterdir())) == 1
    # Another recipe and another network have folders of their own.
    kept_runs.learned(replace(recipe, weight_decay=0.0, epochs=1), tmp_path)
    kept_runs.learned(replace(recipe, epochs=1), tmp_path, RegularCNN())
    assert len(list(tmp_path.iterdir())) == 3

    folder = tmp_path / "stopped" / next(iter(tmp_path.iterdir())).name
    names = {kept_runs._folder_name(recipe, None, Learner)}
    stopped = Learner(recipe, tmp_path / "stopped" / names.pop())
    stopped.learn(1)
    went_on, _ = kept_runs.learned(recipe, folder.parent)
    assert went_on.log == whole.log


def test_kept_runs_that_are_damaged_are_told_of(recipe, tmp_path):
    kept_runs.learned(recipe, tmp_path)
    (folder,) = tmp_path.iterdir()
    # Stopped after learning, and before it was said how long that took.
    (folder / "seconds.json").unlink()
    assert kept_runs.learned(recipe, tmp_path)[1] is None
    (folder / "seconds.json").write_text("")
    with pytest.raises(ArgumentError, match=r"runs='.*must be whole.*remove it"):
        kept_runs.learned(recipe, tmp_path)
    checkpoint = folder / "checkpoint.pt"
    for content in (checkpoint.read_bytes()[:1000], b""):
        checkpoint.write_bytes(content)
        with pytest.raises(ArgumentError, match=r"runs='.*must be whole.*remove it"):
            kept_runs.learned(recipe, tmp_path)


def test_what_was_computed_is_kept(tmp_path):
    calls = []

    def compute():
        calls.append(0)
        return {"right": np.arange(3)}

    (first, seconds), (again, same) = (
        kept_runs.kept(tmp_path, ["this", 1], compute) for _ in range(2)
    )
    assert np.array_equal(first["right"], again["right"]) and seconds == same and len(calls) == 1
    kept_runs.kept(tmp_path, ["this", 2], compute)
    kept_runs.kept(None, ["this", 2], compute)
    assert len(calls) == 3
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(ArgumentError, match=r"\.pickle'.*must be whole.*remove it"):
        kept_runs.kept(tmp_path, ["this", 1], compute)


def test_kept_out_images_are_scaled_like_the_learned_ones(recipe, monkeypatch):
    # Kept out images twice as bright, which scaling by themselves would hide.
    raw = np.random.default_rng(0).random((4, 32, 32), np.float32)
    monkeypatch.setattr(networks, "training_images", lambda recipe: raw)
    monkeypatch.setattr(networks.sources, "held_out_images", lambda *_: 2 * raw)
    unseen = load(Settings(), recipe, 4).unseen
    np.testing.assert_allclose(unseen, (2 * raw - raw.mean()) / raw.std(), rtol=1e-5, atol=1e-6)


def test_cifar10_is_learned_from_its_test_set_and_judged_on_its_training_set(recipe, tmp_path):
    generator = np.random.default_rng(0)
    for name in ("test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        records = generator.integers(0, 256, (6, 3073), np.uint8)
        records[:, 0] = 0
        if name == "test_batch":
            learned = records[:, 1025:2049].reshape(6, 32, 32) / 255
        if name == "data_batch_1":
            unseen = records[:2, 1025:2049].reshape(2, 32, 32) / 255
        (tmp_path / f"{name}.bin").write_bytes(records.tobytes())
    settings = Settings(cifar10=tmp_path)
    recipe = replace(recipe, source=paper_recipe(settings, 6).source)
    images = load(settings, recipe, 2)
    scale = learned.std()
    np.testing.assert_allclose(images.learned, (learned - learned.mean()) / scale, atol=1e-4)
    np.testing.assert_allclose(images.unseen, (unseen - learned.mean()) / scale, atol=1e-4)
    assert "CIFAR-10 test set" in images.facts["data"]
    assert "training set" in images.facts["held_out_data"]


def test_recipes_are_the_papers_and_the_accurate_banks_own():
    printed = replace(PRESETS["paper"], scales=(2,), count=600)
    assert paper_recipe(Settings(full=True), 600) == printed
    recipe = paper_recipe(Settings(), 600)
    assert recipe.batch < printed.batch and replace(recipe, batch=printed.batch) == printed
    own = own_recipe(recipe, SMALL, 3, 6)
    assert (own.design, own.polish, own.epochs) == (SMALL, 3, 6)
    for name, value in convergence.OWN.items():
        assert getattr(own, name) == value
    for name in ("source", "shape", "count", "standardise", "scales", "batch", "loss", "seed"):
        assert getattr(own, name) == getattr(recipe, name)


def test_both_figures_from_small_measurements(monkeypatch, tmp_path):
    monkeypatch.setitem(
        PRESETS, "paper", replace(PRESETS["paper"], design=SMALL, epochs=2, batch=3)
    )
    monkeypatch.setattr(
        convergence, "ACCURATE", replace(convergence.ACCURATE, kernels=SMALL.kernels)
    )
    monkeypatch.setattr(convergence, "SIZES", (3, 5))
    monkeypatch.setattr(networks, "in_processes", lambda f, jobs: [f(*job) for job in jobs])
    few = {(600, 15, 6, 3): (4, 1, 1, 0), (400, 5, 2): (4, 1, 0), 200: 2, 10: 3}
    settings = SimpleNamespace(
        cifar10=None, runs=tmp_path, choose=lambda reduced, full: few[reduced]
    )
    for experiment in EXPERIMENTS:
        result = {"setting": "small", **experiment.measure(settings)}
        assert "stand-in" in result["data"]
        figure = experiment.draw(result)
        assert "stand-in" in figure.get_suptitle()
        assert len(figure.axes) == 2
    # The accurate design starts at its floor, which larger kernels lower.
    for row in result["kernels"]["accurate"].values():
        assert row["share"][0] == row["floor"]["share"]
    floors = [row["floor"]["share"] for row in result["kernels"]["accurate"].values()]
    assert floors[1] < 0.2 * floors[0]
