"""The committed results are of the shipped banks, which keep what is promised of them."""

import pytest

from benchmarks import frontier, results
from npscatter import FilterBank, list_banks
from tools.evidence import LIMITS
from tools.measure import multiply_adds_per_pixel

ACCURATE, FAST = (LIMITS[family]["photographs"] for family in ("accurate", "fast"))
# Bank -> largest errors on held-out photographs, whatever the scale.
PROMISES = {
    **{name: ACCURATE for name in ("accurate", "accurate-L4", "accurate-L6")},
    **{name: FAST for name in ("fast", "fast-L4", "fast-L6")},
}
SCALES = {1, 2, 3, 4, 5}


def test_results_are_of_the_shipped_banks():
    told = {name: bank["sha256"] for name, bank in results.read("accuracy")["banks"].items()}
    assert told == {name: FilterBank.load(name).sha256 for name in list_banks()}


@pytest.mark.parametrize("bank", PROMISES)
def test_errors_are_within_what_is_promised(bank):
    found = [
        row
        for row in results.read("accuracy")["rows"]
        if row["bank"] == bank and row["section"] == "photographs"
    ]
    assert {row["J"] for row in found} == SCALES and {row["size"] for row in found} >= {32, 64, 224}
    for row in found:
        for order, bound in PROMISES[bank].items():
            assert row["errors"].get(order, 0) <= bound, row


def test_chosen_taps_cost_less_than_discs_and_the_frontier_has_the_shipped_banks():
    points = results.read("frontier")["points"]
    selected, disc = (frontier.cheapest(points, family) for family in ("selected", "disc"))
    assert disc is None or selected["multiply_adds"] < disc["multiply_adds"]
    for point in points:
        if point["family"] == "shipped":
            bank = FilterBank.load(point["label"])
            assert multiply_adds_per_pixel(bank)["folded"] == point["multiply_adds"]


def test_q15_is_as_near_as_promised():
    rows = [row for row in results.read("q15")["rows"] if row["bank"] != "paper" and row["J"] <= 4]
    assert {row["bank"] for row in rows} == {*list_banks()} - {"paper"}
    for row in rows:
        # It carries one map alone, in 14 bits.
        second = 50 if row["bank"] == "paper-tuned" else 53
        assert row["dB"]["S1"] >= 60 and row["dB"].get("S2", second) >= second, row


def test_firmware_recognises_digits_as_the_library_does():
    rows = results.read("digits")["rows"]
    assert [row["L"] for row in rows] == [4, 8]
    for row in rows:
        tested = row["pictures"]
        assert row["same_predictions"] == row["same_scores"] == tested == 500
        assert abs(row["right_in_q15"] - row["right_in_float"]) <= 0.005 * tested
        assert row["right_in_q15"] >= 0.97 * tested
