"""The committed results are of the shipped banks, which keep what is promised of them."""

import pytest

from benchmarks import frontier, results
from npscatter import FilterBank, list_banks

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


def test_the_accurate_design_is_within_a_tenth_of_the_cheapest_that_meets_the_aims():
    result = results.read("frontier")
    tuned = [row for row in result["designs"] if "tuned" in row]
    cheapest = min((row for row in tuned if frontier.meets(row["tuned"])), key=frontier.folded_cost)
    assert frontier.label(cheapest) == result["cheapest"]
    # Nothing cheaper was near the aims and left untuned.
    for row in result["designs"]:
        if frontier.folded_cost(row) < frontier.folded_cost(cheapest) and row not in tuned:
            assert not frontier.meets(row["errors"], frontier.NEAR)
    learned = FilterBank.load("accurate").card["learned"]["recipe"]["design"]
    assert frontier.label(learned) == result["chosen"]
    (chosen,) = (row for row in tuned if frontier.label(row) == result["chosen"])
    assert frontier.meets(chosen["tuned"])
    assert frontier.folded_cost(chosen) < 1.1 * frontier.folded_cost(cheapest)
