"""The offline side: the program in Torch, the teacher, the parameters, learning and freezing."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tolerances import assert_equal_by_order

from npscatter import FilterBank, Scattering2D, list_banks
from npscatter.bounds.morlet import low_pass, morlet
from npscatter.features import relative_errors
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.torch import program as torch_program
from tools import learn, run_folder
from tools.design import Design
from tools.learning import Learner, Recipe, training_images
from tools.parameters import Parameters
from tools.presets import PAPER as PAPERS_DESIGN
from tools.presets import PRESETS
from tools.run_folder import freeze
from tools.teacher import teach, teacher

# Tiny convolutions gain nothing from threads, and threads that wait spin.
torch.set_num_threads(1)

SMALL = Design(4, 3, dict.fromkeys(WEIGHT_ARRAYS, 3) | {"psi_first": 5})
PAPER = replace(PAPERS_DESIGN, L=4, kernels=dict.fromkeys(WEIGHT_ARRAYS, 5))


def random_parameters(design, seed=0):
    parameters = Parameters(design)
    parameters.randomise(seed)
    return parameters


def recipe(**changes):
    fields = {
        "design": SMALL,
        "start": "random",
        "shape": (16, 16),
        "count": 12,
        "scales": (1, 2),
        "epochs": 4,
        "batch": 5,
        "learning_rate": 1e-2,
    }
    return Recipe(**(fields | changes))


@pytest.mark.parametrize("design", [SMALL, replace(SMALL, R=4, L=6), PAPER], ids=["R3", "R4", "p"])
@pytest.mark.parametrize("boundary", ["kymatio", "zero", "periodic"])
@pytest.mark.parametrize("max_order", [1, 2])
def test_the_program_in_torch_equals_the_reference(design, boundary, max_order):
    bank = random_parameters(design).bank("random")
    shape = (24, 16) if boundary == "periodic" else (21, 17)
    S = Scattering2D(3, shape, bank.L, max_order, bank=bank, boundary=boundary, backend="numpy")
    images = np.random.default_rng(1).normal(size=(2, *shape))
    computed = torch_program.run(
        S.plan, torch_program.weights_of(bank, torch.float64), torch.from_numpy(images)
    )
    assert_equal_by_order(computed.numpy(), S(images), S, images)


@pytest.mark.parametrize("name", list_banks())
def test_the_program_in_torch_equals_the_reference_for_shipped_banks(name):
    bank = FilterBank.load(name)
    S = Scattering2D(2, (32, 32), bank.L, bank=bank, backend="numpy")
    images = np.random.default_rng(1).random((2, 32, 32))
    computed = torch_program.run(
        S.plan, torch_program.weights_of(bank, torch.float64), torch.from_numpy(images)
    )
    np.testing.assert_allclose(computed.numpy(), S(images), rtol=1e-10, atol=1e-12)


def test_the_program_in_torch_has_gradients_where_the_modulus_is_zero():
    parameters = random_parameters(SMALL)
    S = Scattering2D(3, (16, 16), 4, bank=parameters.bank("random"))
    images = torch.zeros(1, 16, 16, dtype=torch.float64)
    torch_program.run(S.plan, parameters(), images).sum().backward()
    assert all(torch.isfinite(free.grad).all() for free in parameters.free.values())


def test_tied_parameters_meet_the_constraints_whatever_is_free():
    parameters = random_parameters(Design(8, 4, dict.fromkeys(WEIGHT_ARRAYS, 5)))
    bank, weights = parameters.bank("random"), parameters()
    assert bank.symmetric
    for key in ("psi_first", "psi_next"):
        assert np.abs(bank[key][:, 0].sum((-2, -1))).max() < 1e-13
        assert float(weights[key][:, :, 0].sum((-2, -1)).abs().max()) < 1e-13
    for key in ("carry_first", "carry_next", "low_first", "low_next"):
        assert bank[key][0, 0].sum() == pytest.approx(1, abs=1e-13)
    # The carried derivatives of a constant vanish too.
    assert np.abs(bank["carry_first"][1:].sum((-2, -1))).max() < 1e-13
    scale = np.abs(bank["carry_first"]).sum((-3, -2, -1))
    np.testing.assert_allclose(scale[1:], 1)


def test_parameters_are_their_banks_but_for_the_scale_of_carried_maps():
    parameters = random_parameters(Design(4, 4, dict.fromkeys(WEIGHT_ARRAYS, 3)))
    images = np.random.default_rng(0).normal(size=(1, 16, 16))
    S = Scattering2D(3, (16, 16), 4, bank=parameters.bank("b"), backend="numpy")
    ours = torch_program.run(S.plan, parameters(), torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(S(images), ours, rtol=1e-9, atol=1e-9 * ours.max())


def test_free_taps_carry_one_map():
    with pytest.raises(ValueError, match="R=3"):
        replace(PAPER, R=3)


def test_a_learner_starts_from_a_closed_form():
    start = Learner(recipe(start="closed-form", polish=2, epochs=0)).bank("start")
    errors = photograph_like_errors(start)
    # A bank that is not fitted is near or above 1.
    assert errors["S1"] < 0.15 and errors["S2"] < 0.2
    with pytest.raises(ValueError, match="start='guess': must be closed-form or random"):
        Learner(recipe(start="guess"))


def test_free_taps_start_from_the_closed_form_of_tied_ones():
    free, tied = (
        Learner(recipe(design=replace(PAPER, tied=tied), polish=0, start="closed-form", epochs=0))
        for tied in (False, True)
    )
    found, expected = free.bank("free"), tied.parameters()
    for key in ("carry_first", "carry_next"):
        np.testing.assert_array_equal(found[key], expected[key].detach())
        np.testing.assert_array_equal(found[key.replace("carry", "low")], found[key])
    for key in ("psi_first", "psi_next"):
        real, imaginary = expected[key].detach().numpy()
        np.testing.assert_array_equal(found[key], real + 1j * imaginary)


def photograph_like_errors(bank):
    images = np.random.default_rng(0).normal(size=(4, 32, 32)).cumsum(1).cumsum(2)
    S = Scattering2D(2, (32, 32), bank.L, bank=bank, backend="numpy")
    return relative_errors(S(images), teach(images, 2, bank.L), S.meta()["order"])


@pytest.mark.parametrize("L", [4, 6, 8])
def test_fourier_targets_are_kymatios_filters(L):
    size = 32
    transform = teacher(2, (size - 8, size - 8), L)
    assert transform._M_padded == size
    w = 2 * np.pi * np.fft.fftfreq(size)
    w = np.stack(np.meshgrid(w, w, indexing="ij"), -1).reshape(-1, 2)
    for n, psi in enumerate(transform.psi):
        # Ours are correlations: Kymatio's filters at -w.
        ours = morlet(-w, L, n // L)[n % L].reshape(size, size)
        np.testing.assert_allclose(ours, psi["levels"][0], atol=1e-4)
    ours = low_pass(w, 2).reshape(size, size)
    np.testing.assert_allclose(ours, transform.phi["levels"][0], atol=1e-4)


def test_teacher_is_kymatio_in_float64():
    images = np.random.default_rng(0).random((2, 16, 20)).astype(np.float32)
    taught = teach(images, 2, 6)
    assert taught.dtype == np.float64
    np.testing.assert_allclose(taught, teacher(2, (16, 20), 6)(images), rtol=1e-4, atol=1e-6)


def test_relative_errors_by_order():
    wanted = np.ones((1, 3, 2, 2))
    computed = wanted * np.array([1, 1.5, 3])[None, :, None, None]
    errors = relative_errors(computed, wanted, np.array([0, 1, 2]))
    assert errors == {"S0": 0.0, "S1": pytest.approx(0.5), "S2": pytest.approx(2)}


def test_learning_lowers_the_loss_and_is_deterministic():
    first, second = Learner(recipe()), Learner(recipe())
    first.learn()
    second.learn()
    losses = [sum(entry["loss"].values()) for entry in first.log]
    assert len(losses) == 4
    assert losses[-1] < 0.8 * losses[0]
    assert first.log == second.log
    assert first.parameters.bank("a").sha256 == second.parameters.bank("a").sha256
    other = Learner(recipe(seed=1))
    other.learn()
    assert other.parameters.bank("a").sha256 != first.parameters.bank("a").sha256


def test_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole = Learner(recipe())
    whole.learn()
    begun = Learner(recipe(), tmp_path)
    begun.learn(epochs=2)
    resumed = Learner(recipe(), tmp_path, resume=True)
    assert resumed.epoch == 2
    resumed.learn()
    assert resumed.parameters.bank("a").sha256 == whole.parameters.bank("a").sha256
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == whole.log
    with pytest.raises(ValueError, match="another recipe"):
        Learner(recipe(batch=6), tmp_path, resume=True)


def test_paper_recipe_is_the_papers():
    preset = PRESETS["paper"]
    assert (preset.learning_rate, preset.weight_decay, preset.batch) == (1e-3, 1e-2, 50)
    assert (preset.loss, preset.schedule, preset.start) == ("mse", "constant", "random")
    design = preset.design
    assert (design.L, design.R, set(design.kernels.values())) == (8, 1, {7})
    assert (design.psi_stride, design.boundary, design.tied) == (2, "zero", False)
    weights = Parameters(PAPER)()
    assert weights["low_first"] is weights["carry_first"]


def test_freeze_writes_the_card(monkeypatch):
    monkeypatch.setattr(run_folder, "DEEP", ())
    learner = Learner(recipe(epochs=1))
    learner.learn()
    bank = freeze(learner, "tiny-L4", "tiny", [{"command": "python -m tools.learn ..."}])
    card = bank.card
    assert card["family"] == "tiny"
    assert Recipe.from_dict(card["learned"]["recipe"]) == learner.recipe
    assert card["learned"]["log"] == learner.log
    assert set(card["errors"]["photographs 64x64 J=2"]) == {"S0", "S1", "S2"}
    assert SMALL.architecture == bank.architecture
    unfinished = Learner(recipe(epochs=2))
    with pytest.raises(ValueError, match="--resume"):
        freeze(unfinished, "tiny-L4", "tiny", [])


def test_sources(tmp_path):
    with pytest.raises(ValueError, match="source='nowhere'"):
        training_images(recipe(source="nowhere"))
    with pytest.raises((ValueError, OSError), match="missing"):
        training_images(recipe(source=f"folder:{tmp_path / 'missing'}"))
    assert training_images(recipe(source="random")).shape == (12, 16, 16)


def test_several_sources_give_equal_shares(tmp_path):
    both = training_images(recipe(source="photographs+random", count=7))
    assert both.shape == (7, 16, 16)
    of_photographs = training_images(recipe(source="photographs", count=3))
    of_noise = training_images(recipe(source="random", count=4))
    np.testing.assert_array_equal(both, np.concatenate([of_photographs, of_noise]))
    assert len(training_images(recipe(source="random+photographs", count=1))) == 1
    with pytest.raises(ValueError, match=r"source='nowhere': must be photographs.* \+ between"):
        training_images(recipe(source="random+nowhere"))

    levels = np.arange(2 * 4 * 3073).reshape(2, 4, 3073) % 251
    levels[..., 0] = 0
    for name, records in zip(("test_batch", "data_batch_1"), levels, strict=True):
        (tmp_path / f"{name}.bin").write_bytes(records.astype(np.uint8).tobytes())
    for kind, records in zip(("cifar10", "cifar10-train"), levels, strict=True):
        images = training_images(recipe(source=f"{kind}:{tmp_path}", shape=(32, 32), count=4))
        green = records[:, 1025:2049].reshape(4, 32, 32) / 255
        np.testing.assert_allclose(images, green, rtol=1e-6)
    assert training_images(recipe()).max() <= 1


def test_command_line_learns_resumes_and_freezes(tmp_path, monkeypatch):
    small = recipe(epochs=1)
    monkeypatch.setitem(PRESETS, "paper-tuned", small)
    monkeypatch.setattr(run_folder, "DEEP", ())
    runner, run = CliRunner(), str(tmp_path / "run")
    result = runner.invoke(learn.main, ["train", "paper-tuned", "--run", run])
    assert result.exit_code == 0, result.output
    repeated = runner.invoke(learn.main, ["train", "paper-tuned", "--run", run])
    assert repeated.exit_code == 2
    assert "--resume" in repeated.output
    other = runner.invoke(
        learn.main, ["train", "paper-tuned", "--run", run, "--resume", "--seed=5"]
    )
    assert other.exit_code == 1
    assert "another recipe" in other.output
    bad = runner.invoke(learn.main, ["train", "paper-tuned", "--run", run, "--kernel", "psi=4"])
    assert bad.exit_code == 2
    assert "psi=4" in bad.output
    result = runner.invoke(
        learn.main, ["freeze", run, "--name", "tiny", "-o", str(tmp_path)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert FilterBank.load(tmp_path / "tiny.npz").L == 4
