"""Other readings of the paper's text, and what holds its architecture back."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.paper import filter_groups, floor, readings
from benchmarks.paper.experiment import Settings
from npscatter.program.steps import WEIGHT_ARRAYS
from tools.design import Design
from tools.learning import Learner
from tools.measure import test_images as held_out_photographs

torch.set_num_threads(1)

BY_WORDS = {reading.words: reading for reading in readings.READINGS}
RECIPE_OF = readings.recipe_of
PRINTED, SUMMED = readings.READINGS[0].words, readings.READINGS[3].words
CUT, FIRST_ORDER = readings.READINGS[8].words, readings.READINGS[7].words


def recipe(reading, **changes):
    small = {"source": "random", "count": 4, "batch": 2, "epochs": 1, "shape": (16, 16)}
    return replace(RECIPE_OF(reading, Settings()), **(small | changes))


def learner(reading, **changes):
    return reading.kind(recipe(reading, **changes))


def slopes_of_carrier(made, channel):
    """Return how one channel moves with the first level's low-pass."""
    ((_, outputs),) = made.outputs(torch.randn(2, 16, 16, generator=torch.manual_seed(0)))
    outputs[:, channel].sum().backward()
    return made.parameters.free["carry_first"].grad


def test_readings_change_what_they_name_and_nothing_else():
    printed, *others = (recipe(reading).as_dict() for reading in readings.READINGS)
    for reading, found in zip(readings.READINGS[1:], others, strict=True):
        changed = {key for key, value in found.items() if value != printed[key]}
        assert changed == set(reading.changes)
        assert reading.changes or reading.kind is not Learner
    assert len(BY_WORDS) == len(readings.READINGS)


def test_decoupled_decay_shrinks_by_the_rate_and_not_by_the_slopes():
    made = learner(BY_WORDS["decay decoupled (AdamW)"])
    (group,) = made.optimizer.param_groups
    before = [free.detach().clone() for free in made.parameters.parameters()]
    for free in made.parameters.parameters():
        free.grad = torch.zeros_like(free)
    made.optimizer.step()
    kept = 1 - group["lr"] * group["weight_decay"]
    assert (group["lr"], group["weight_decay"]) == (1e-3, 1e-2)
    for old, new in zip(before, made.parameters.parameters(), strict=True):
        np.testing.assert_allclose(new.detach(), kept * old, rtol=1e-6)


def test_summed_and_averaged_losses_differ_by_the_size_of_an_image():
    error = torch.randn(2, 81, 4, 4)
    summed, averaged = (
        learner(BY_WORDS[words]).loss(None, error, None) for words in (SUMMED, PRINTED)
    )
    assert float(summed) == pytest.approx(81 * 16 * float(averaged), rel=1e-5)


def test_listed_smoothing_lets_no_gradient_through_and_gives_the_same_values():
    cut, printed = learner(BY_WORDS[CUT]), learner(BY_WORDS[PRINTED])
    batch = torch.randn(2, 16, 16)
    ((_, one),), ((_, other),) = cut.outputs(batch), printed.outputs(batch)
    assert torch.equal(one, other)
    # Of S1 the first level's low-pass is that of the moduli; S0's is not.
    assert slopes_of_carrier(learner(BY_WORDS[CUT]), 1).abs().max() == 0
    assert slopes_of_carrier(printed, 1).abs().max() > 0
    assert slopes_of_carrier(cut, 0).abs().max() > 0


def test_one_group_stays_one():
    made = learner(BY_WORDS["one group of filters for both levels"])
    before = made.bank("before")
    made.learn()
    bank = made.bank("after")
    for role in ("psi", "carry"):
        np.testing.assert_array_equal(bank[f"{role}_first"], bank[f"{role}_next"])
        assert not np.array_equal(bank[f"{role}_first"], before[f"{role}_first"])


def test_start_from_kymatios_filters():
    bank = learner(BY_WORDS["started from Kymatio's filters"]).bank("start")
    for level in filter_groups.LEVELS:
        low, psi = filter_groups.filters(bank, level)
        expected = filter_groups.reference(level, 8)
        np.testing.assert_allclose(low, expected[0], atol=1e-12)
        np.testing.assert_allclose(psi, expected[1], atol=1e-12)


def test_levels_from_minus_one_to_one():
    images = np.array([[0, 0.5, 1]], np.float32)
    made = learner(BY_WORDS["levels from -1 to 1"], source="photographs")
    np.testing.assert_array_equal(made.scaled(images), [[-1, 0, 1]])


def test_ripples_find_the_dilation_of_morlets():
    for dilation in (1.0, 2.0, float(2**1.5)):
        _, morlets = filter_groups.reference("first", 8, dilation=dilation)
        alike, dilations = filter_groups.ripples(morlets * np.exp(1j))
        np.testing.assert_allclose(alike, 1, rtol=1e-12)
        np.testing.assert_allclose(dilations, dilation)
    turned = filter_groups.ripples(np.roll(morlets, 4, axis=0))[0]
    assert turned.max() < 0.8


def test_readings_are_drawn_and_told_from_their_file_alone(monkeypatch):
    monkeypatch.setattr(readings, "in_processes", lambda f, jobs: [f(*job) for job in jobs])
    monkeypatch.setattr(readings, "READINGS", (BY_WORDS[PRINTED], BY_WORDS[FIRST_ORDER]))
    monkeypatch.setattr(readings, "recipe_of", lambda reading, _: recipe(reading))
    monkeypatch.setattr(readings, "HELD_OUT", 2)
    measured = readings.measure(Settings())
    environment = {"command": "x", "cpu": "y", "threads": 2}
    result = json.loads(json.dumps({"setting": "s", "environment": environment, **measured}))
    assert len(readings.draw(result).axes) == 3
    text = readings.section(result)
    assert "| first order alone, J = 1 |" in text
    assert not any(readings.reproduces(found) for found in result["readings"].values())


def test_moduli_of_exact_wavelets_suffice_at_every_pixel_and_not_at_every_second():
    images = held_out_photographs("photographs", 32)[:6]
    assert floor.smoothing_floor(images, 1, 7) < 1e-4
    few, more = (floor.smoothing_floor(images, 2, K) for K in (3, 5))
    assert 0.03 < more < few < 0.15


def test_the_ladder_mends_one_thing_after_the_other():
    found = floor.recipes(Settings(full=True, cifar10="there"))
    designs = [one.design for one in found.values()]
    assert [design.R for design in designs] == [1, 1, 1, 3, 4]
    assert [design.psi_stride for design in designs] == [2, 1, 1, 1, 1]
    assert all(design.tied for design in designs)
    assert {one.source for one in found.values()} == {"photographs+cifar10-train:there"}
    assert {one.scales for one in found.values()} == {(2,)}


def test_ladder_from_a_small_measurement(monkeypatch, tmp_path):
    design = Design(8, 1, dict.fromkeys(WEIGHT_ARRAYS, 3))
    monkeypatch.setattr(floor, "LADDER", {"small": (design, 1e-3)})
    monkeypatch.setattr(floor, "in_processes", lambda f, jobs: [f(*job) for job in jobs])
    monkeypatch.setattr(floor, "THUMBNAILS", 4)
    monkeypatch.setattr(floor, "SIDE", 32)
    monkeypatch.setattr(floor, "SMOOTHINGS", (3,))
    settings = SimpleNamespace(cifar10=None, runs=tmp_path, choose=lambda reduced, full: (4, 1))
    result = json.loads(json.dumps({"setting": "small", **floor.measure(settings)}))
    assert len(floor.draw(result).axes) == 2
    result["environment"] = {"command": "x", "cpu": "y", "threads": 2}
    assert "| small |" in floor.section(result)
    assert result["ladder"]["small"]["photographs"]["S1"] > 0.05
