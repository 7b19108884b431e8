"""The bounds under attack: `benchmarks.paper bounds` in small."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from banks import make_toy_bank

from benchmarks.paper.bounds import attack_all
from npscatter import FilterBank
from npscatter.bank.cascade import FilterChain, grid_frequencies
from npscatter.bounds.deformation import deformation_ratio, deformed, largest_gradient
from tools import bound_targets
from tools.attacks import Effort, Target, attack
from tools.bound_targets import Transforms, targets, warped


@pytest.fixture(autouse=True)
def _one_thread():
    """Small batches gain nothing from more, and lose much where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


SIDE, EFFORT = 8, Effort(300, climbers=3, steps=8)
# Frequencies searched, fewer than the package's: bounds are certified all the same, and looser.
COARSE = {1: 20_000, 4: 6_000, 16: 1_000, 64: 500}


@pytest.fixture
def shifts_move(monkeypatch):
    """Leave out the shift that takes so small a periodic image to itself."""
    some = [c for c in bound_targets.SHIFTS if any(n % SIDE for n in c)]
    assert len(some) == len(bound_targets.SHIFTS) - 1
    monkeypatch.setattr(bound_targets, "SHIFTS", some)


# Of `python -m benchmarks.paper bounds`, which tries more, on larger images and the package's own
# grids, test_paper.py checks the committed result.
def test_no_bound_of_a_shipped_bank_is_violated(use_grids, shifts_move):
    use_grids(COARSE)
    outcomes = attack_all(FilterBank.load("accurate"), EFFORT, side=SIDE)
    assert len(outcomes) > 25
    assert {o: found["violations"] for o, found in outcomes.items() if found["violations"]} == {}
    assert min(found["attempts"] for found in outcomes.values()) >= EFFORT.random
    # Bounds that are attained, or nearly: a looser one would be a mistake.
    for bound in ("Littlewood-Paley, B", "Lipschitz, S0, periodic boundary", "energy of S1"):
        assert outcomes[bound]["tightness"] > 0.9, bound


@pytest.mark.parametrize(
    ("kind", "architecture", "J"),
    [
        ("symmetric", {"L": 2, "R": 3}, 2),
        ("free", {"L": 2, "R": 2}, 2),
        ("free", {"L": 2, "R": 1, "psi_stride": 2, "boundary": "zero"}, 2),
        ("paper", {"L": 2}, 2),
        ("zeros", {"L": 4, "R": 4}, 1),
    ],
)
def test_no_bound_of_a_toy_bank_is_violated(kind, architecture, J, use_grids, shifts_move):
    # So coarse that what is certified is far from what was found.
    use_grids({1: 2_000, 4: 800, 16: 250, 64: 80})
    bank = make_toy_bank(kind, **architecture)
    outcomes = attack_all(bank, Effort(200, climbers=2, steps=6), J, SIDE)
    assert {o: found["violations"] for o, found in outcomes.items() if found["violations"]} == {}


def test_an_attack_finds_the_violation_of_a_bound_that_is_too_low():
    bank = FilterBank.load("accurate")
    missed = {"Littlewood-Paley, B", "Lipschitz, all orders, periodic boundary"}
    for target in targets(bank, 1, SIDE):
        if target.name in missed:
            found = attack(replace(target, bound=0.95 * target.bound), EFFORT, 0)
            assert found["violations"] > 0, target.name
            missed.remove(target.name)
        if not missed:
            return
    pytest.fail(f"no attack on {missed}")


def test_an_attack_counts_what_passes():
    def first(inputs):
        return inputs[:, 0, 0] / inputs.abs().amax((1, 2))

    def found(bound, quantity=first, lower=False):
        target = Target("first", bound, quantity, (4, 4), lower)
        return attack(target, Effort(100, climbers=4, steps=20), seed=0)

    assert found(1.0)["violations"] == 0
    assert found(0.5)["violations"] > 0 and found(0.5)["worst by gradient"] > 0.9
    assert found(-1.0, lower=True)["violations"] == 0
    assert found(-0.5, lower=True)["violations"] > 0
    assert found(1.0, lambda x: first(x) * torch.nan)["violations"] == 100 + 4 * 21


def test_attacked_transform_is_the_librarys():
    bank = FilterBank.load("accurate")
    transforms = Transforms(bank, 2, 16, "kymatio")
    images = torch.randn(2, 16, 16, dtype=torch.float64)
    coefficients = transforms.scattering(images).detach()
    with torch.no_grad():
        torch.testing.assert_close(
            transforms.scattering(images), coefficients, rtol=1e-9, atol=1e-12
        )
    chain = FilterChain((("carry_first", 2), ("psi_next", 1)))
    w = grid_frequencies((16, 16))
    spectrum = torch.fft.fft2(images).numpy().reshape(2, -1)
    energy = (np.abs(chain.response(bank, w)[:, None] * spectrum) ** 2).sum((0, 2)) / 256
    found = transforms.undecimated(images, chain).square().sum(1)
    np.testing.assert_allclose(found, energy, rtol=1e-10)


def test_differentiable_versions_compute_what_the_library_does():
    bank, fields = (
        FilterBank.load("accurate"),
        np.random.default_rng(1).uniform(-2, 2, (2, 2, 8, 8)),
    )
    images = np.random.default_rng(0).standard_normal((2, 8, 8))
    moved = warped(torch.from_numpy(images), torch.from_numpy(fields))
    expected = [deformed(*each) for each in zip(images, fields, strict=True)]
    np.testing.assert_allclose(moved, expected, atol=1e-12)
    gradients = bound_targets.largest_gradient(torch.from_numpy(fields))
    np.testing.assert_allclose(gradients, [largest_gradient(field) for field in fields])
    transforms = Transforms(bank, 2, 8, "periodic")
    smooth = bound_targets._smooth(torch.from_numpy(fields))
    inputs = torch.cat([torch.from_numpy(images)[:, None], torch.from_numpy(fields)], 1)
    with torch.no_grad():
        found = bound_targets.deformation_constant(transforms, inputs)
    pairs = zip(images, smooth.numpy(), strict=True)
    expected = [deformation_ratio(transforms.transform, image, field) for image, field in pairs]
    np.testing.assert_allclose(found, expected)
