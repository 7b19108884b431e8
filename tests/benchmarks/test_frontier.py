"""Error against cost: what a bank costs by the model, and which one is the cheapest."""

import pytest

from benchmarks import frontier
from npscatter import FilterBank
from tools.measure import multiply_adds_per_pixel

FREE = dict.fromkeys(("multiply", "folded sample", "row and column", "modulus"), 0.0)


def test_nanoseconds_are_those_of_the_models_parts():
    bank = FilterBank.load("paper-tuned")
    products = frontier.nanoseconds(bank, FREE | {"multiply": 16.0})
    assert products == pytest.approx(multiply_adds_per_pixel(bank)["folded"])
    # Two octaves of eight wavelets at stride 2, of the image and of the moduli's first.
    moduli = frontier.nanoseconds(bank, FREE | {"modulus": 16.0})
    assert moduli == pytest.approx(8 * (1 + 1 / 4 + 8 / 4) / 4, rel=0.2)
    both = frontier.nanoseconds(bank, FREE | {"multiply": 16.0, "modulus": 16.0})
    assert both == pytest.approx(products + moduli)


def test_the_cheapest_meets_the_aims():
    def point(family, cost, errors):
        return {"family": family, "multiply_adds": cost, "errors": {frontier.SHOWN: errors}}

    good, bad = frontier.AIMS, frontier.AIMS | {"S2": 1.01 * frontier.AIMS["S2"]}
    points = [point("disc", 9, good), point("disc", 8, good), point("disc", 7, bad)]
    points += [point("selected", 5, good), point("selected", 4, bad)]
    assert frontier.cheapest(points, "disc")["multiply_adds"] == 8
    assert frontier.cheapest(points, "selected")["multiply_adds"] == 5
    assert frontier.cheapest(points, "shipped") is None


def test_discs_are_fitted_banks():
    bank = frontier.disc(3, "533333", 9, 1.0, 0.0, steps=1)
    assert bank.symmetric and bank.name == "R=3 533333 r=9, 1"
    assert not bank["psi_next"][..., 0, 0].any()
