"""The committed results are of the shipped banks, which keep what is promised of them."""

import pytest

from benchmarks import frontier, results
from npscatter import FilterBank, list_banks
from tools.measure import multiply_adds_per_pixel

# Bank, scales -> largest errors on held-out photographs.
PROMISES = {
    ("accurate", (2,)): frontier.AIMS,
    ("accurate", (1, 3, 4, 5)): {"S1": 0.005, "S2": 0.010},
    ("accurate-L4", (2, 3)): {"S1": 0.010, "S2": 0.020},
    ("accurate-L6", (2, 3)): {"S1": 0.010, "S2": 0.020},
}


def test_results_are_of_the_shipped_banks():
    told = {name: bank["sha256"] for name, bank in results.read("accuracy")["banks"].items()}
    assert told == {name: FilterBank.load(name).sha256 for name in list_banks()}


@pytest.mark.parametrize(("bank", "scales"), PROMISES)
def test_errors_are_within_what_is_promised(bank, scales):
    found = [
        row
        for row in results.read("accuracy")["rows"]
        if row["bank"] == bank and row["J"] in scales and row["section"] == "photographs"
    ]
    assert {row["J"] for row in found} == set(scales) and {row["size"] for row in found} >= {224}
    for row in found:
        for order, bound in PROMISES[bank, scales].items():
            assert row["errors"].get(order, 0) <= bound, row


def test_chosen_taps_cost_less_than_discs_and_the_frontier_has_the_shipped_banks():
    points = results.read("frontier")["points"]
    selected, disc = (frontier.cheapest(points, family) for family in ("selected", "disc"))
    assert disc is None or selected["multiply_adds"] < disc["multiply_adds"]
    for point in points:
        if point["family"] == "shipped":
            bank = FilterBank.load(point["label"])
            assert multiply_adds_per_pixel(bank)["folded"] == point["multiply_adds"]
