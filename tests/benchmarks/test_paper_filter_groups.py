"""The paper's filter groups: what is measured, and what is drawn of it."""

import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from benchmarks.paper import filter_groups, sources
from benchmarks.paper.experiment import Settings
from npscatter import FilterBank
from tools.learning import training_images

torch.set_num_threads(1)

SMALL = filter_groups.Group(5, (16, 16), sources.random, (6, 9), (2, 3), (3, 5), 4)


@pytest.fixture
def wavelets():
    generator = np.random.default_rng(3)
    return generator.normal(size=(4, 7, 7)) + 1j * generator.normal(size=(4, 7, 7))


def hidden_change(w):
    """Change wavelets as the modulus cannot see."""
    return np.stack([2 * np.exp(0.7j) * w[0], w[1].conj(), 1j * w[2].conj(), -w[3]])


def test_similarity_is_blind_to_what_the_modulus_cannot_see(wavelets):
    alike = filter_groups.similarity(hidden_change(wavelets), wavelets)
    np.testing.assert_allclose(np.diag(alike), 1, rtol=1e-12)
    assert (alike - np.eye(4) < 0.6).all()
    assert filter_groups.similarity(np.zeros((1, 7, 7)), wavelets).max() == 0


def test_real_filters_are_alike_by_their_correlation():
    one, other = np.random.default_rng(4).normal(size=(2, 1, 7, 7))
    expected = abs((one * other).sum()) / math.sqrt((one**2).sum() * (other**2).sum())
    assert filter_groups.similarity(one, other)[0, 0] == pytest.approx(expected)


def test_alignment_finds_the_reference_and_keeps_every_modulus(wavelets):
    changed = hidden_change(wavelets)
    recovered = filter_groups.aligned(changed, wavelets)
    np.testing.assert_allclose(recovered[0], 2 * wavelets[0], rtol=1e-12)
    np.testing.assert_allclose(recovered[1:], wavelets[1:], rtol=1e-12)

    others = np.roll(wavelets, 1, axis=0)
    image = np.random.default_rng(5).normal(size=(12, 11))
    for before, after in zip(changed, filter_groups.aligned(changed, others), strict=True):
        moduli = [np.abs(correlate2d(image, psi, "valid")) for psi in (before, after)]
        np.testing.assert_allclose(*moduli, rtol=1e-11)


def test_alignment_cannot_be_improved_by_a_phase(wavelets):
    found, targets = wavelets[:2], wavelets[2:]
    best = np.linalg.norm(filter_groups.aligned(found, targets) - targets, axis=(1, 2))
    for psi in (found, found.conj()):
        for phase in np.linspace(0, 2 * np.pi, 60):
            turned = np.linalg.norm(np.exp(1j * phase) * psi - targets, axis=(1, 2))
            assert (turned >= best - 1e-12).all()


def test_references_are_kymatios_wavelets_in_its_order():
    """The accurate bank, whose coefficients match Kymatio's, has the same ones."""
    _, morlets = filter_groups.reference("first", 8)
    shipped = FilterBank.load("accurate")["psi_first"][:, 0, 1:-1, 1:-1]
    alike = filter_groups.similarity(shipped, morlets)
    assert np.diag(alike).min() > 0.999
    assert (alike - np.eye(8)).max() < 0.8
    norms = np.linalg.norm(shipped, axis=(1, 2)) / np.linalg.norm(morlets, axis=(1, 2))
    np.testing.assert_allclose(norms, 1, atol=0.02)


def test_reference_low_passes_make_the_second_scale():
    """Where images have their energy; nearer the Nyquist frequency sampling spoils it."""
    first, following = (filter_groups.reference(key, 8)[0].sum(1) for key in ("first", "next"))
    a = np.arange(-3, 4)
    for w in np.linspace(0, np.pi / 4, 9):
        response = (first * np.cos(a * w)).sum() * (following * np.cos(2 * a * w)).sum()
        assert response == pytest.approx(np.exp(-((1.6 * w) ** 2) / 2), abs=5e-3)


def test_comparison_of_known_filters():
    low, morlets = filter_groups.reference("next", 8)
    same = filter_groups.compare(low, morlets, "next")
    assert same["most_similar_orientation"] == list(range(8))
    np.testing.assert_allclose(same["similarity"], 1)
    np.testing.assert_allclose(same["norm_ratio"], 1)
    np.testing.assert_allclose(same["peak_frequency"], 3 * np.pi / 4, rtol=0.05)
    assert max(same["mean"]) < 0.01
    assert same["low_sum"] == pytest.approx(1, abs=2e-3)

    turned = filter_groups.compare(-3 * low, 0.1 * np.roll(morlets, 2, axis=0), "next")
    assert turned["most_similar_orientation"] == [6, 7, 0, 1, 2, 3, 4, 5]
    assert turned["low_similarity"] == pytest.approx(1)
    assert turned["low_sum"] == pytest.approx(-3 * same["low_sum"], rel=1e-5)
    assert max(turned["norm_ratio"]) < 0.2


def test_peak_frequency_of_a_wave():
    row, column = np.mgrid[-3:4, -3:4]
    wave = np.exp(1j * (row * 0.6 - column * 0.8))[None]
    assert filter_groups.peak_frequency(wave)[0] == pytest.approx(1, abs=0.04)


def test_full_setting_is_the_papers():
    full = {g.number: g.recipe(Settings(full=True), 0.01) for g in filter_groups.GROUPS}
    trained = {n: (r.shape, r.count, r.epochs, r.batch) for n, r in full.items()}
    assert trained == {
        5: ((512, 128), 1000, 60, 50),
        6: ((32, 32), 10_000, 30, 50),
        7: ((64, 64), 10_000, 30, 50),
    }
    assert all(r.start == "random" and r.scales == (2,) and r.standardise for r in full.values())


def test_learning_is_repeatable_and_moves_the_filters():
    decayed, free = (SMALL.recipe(Settings(), decay) for decay in (0.01, 0.0))
    once, again, other = (filter_groups.learn(recipe, 4) for recipe in (decayed, decayed, free))
    assert once.pop("seconds_per_epoch") > 0 and again.pop("seconds_per_epoch") > 0
    assert once == again
    assert (
        once["levels"]["first"]["start_similarity"] == other["levels"]["first"]["start_similarity"]
    )
    assert once["levels"]["first"]["real"] != other["levels"]["first"]["real"]
    assert len(once["loss"]) == decayed.epochs
    assert set(once["errors"]) == {"S0", "S1", "S2"}


@pytest.mark.parametrize("source", ["random", "photographs"])
def test_errors_are_of_images_not_learned_from(source):
    recipe = replace(SMALL.recipe(Settings(), 0.0), source=source, count=40)
    learned_from = training_images(recipe)
    held_out = sources.held_out_images(source, recipe.shape, 40, filter_groups.HELD_OUT_SEED)
    assert held_out.dtype == np.float32
    assert not (learned_from[:, None] == held_out).all((2, 3)).any()


def test_filter_group_is_drawn_from_its_file_alone(monkeypatch):
    serially = lambda function, jobs: [function(*job) for job in jobs]  # noqa: E731
    monkeypatch.setattr(filter_groups, "in_processes", serially)
    result = {"setting": "reduced", **filter_groups.measure(SMALL, Settings())}
    assert result["steps"] == 4
    text = json.dumps(result, allow_nan=False)
    figure = filter_groups.draw(json.loads(text))
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    # Three blocks of filters per level, its similarities, and the errors.
    assert len(figure.axes) == 9
    assert len(figure.axes[0].patches) == 1 + 8 + 8
