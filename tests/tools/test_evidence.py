"""What a bank must show: figures and limits."""

import pytest

from npscatter import FilterBank
from tools import evidence, measure
from tools.evidence import Case, figures, limits, measured, misses


def row_of(section, source="photographs", family="accurate", **more):
    errors = {"S0": 0.0, "S1": 0.001, "S2": 0.001}
    return {
        **{"bank": family, "family": family, "section": section, "source": source, "J": 3},
        **{"errors": errors, "S1 by j": [0.01, 0.02, 0.03], "S2 by j1": [0.04, 0.01]},
        **{"S2 / S1": 0.1, **more},
    }


def test_sections_hold_cases_that_can_be_measured():
    for name, section in evidence.SECTIONS.items():
        for case in section.cases:
            assert case.section == name and 2**case.J <= case.size
            assert case.size in measure.COUNTS
    assert set(evidence.PATTERNS) | set(evidence.UNLIKE) == set(evidence.KINDS)
    shown = {figure for section in evidence.SECTIONS.values() for figure in section.shown}
    limited = {
        figure
        for sections in evidence.LIMITS.values()
        for allowed in sections.values()
        for figure in allowed
    }
    assert limited <= shown


def test_a_row_holds_the_errors_of_its_case():
    bank = FilterBank.load("paper-tuned")
    row = measured(bank, Case("photographs", "photographs", 32, 2))
    found = measure.errors_by_scale(bank, measure.test_images("photographs", 32), 2)
    assert row["errors"] == found["orders"]
    assert row["S1 by j"] == found["S1 by j"]
    assert figures(row)["coarsest S1"] == found["S1 by j"][1]
    assert (row["bank"], row["family"], row["size"], row["J"]) == (
        *("paper-tuned", "paper-tuned"),
        *(32, 2),
    )


def test_figures_are_the_largest_of_all_scales():
    assert figures(row_of("depth")) == {
        **{"S0": 0.0, "S1": 0.001, "S2": 0.001},
        **{"coarsest S1": 0.03, "any j1": 0.04},
    }
    assert "S2" in figures(row_of("patterns"))
    assert "S2" not in figures(row_of("patterns", **{"S2 / S1": 0.001}))


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        (row_of("depth"), ["any j1"]),
        (row_of("unlike", "star field"), ["coarsest S1"]),
        (row_of("unlike", "blue noise"), []),
        (row_of("unlike", "white noise", errors={"S0": 0.009, "S1": 0.007}), ["S1", "coarsest S1"]),
        (row_of("photographs", errors={"S0": 0.001, "S1": float("nan")}), ["S0", "S1"]),
        (row_of("photographs", family="accurate", errors={"S0": 0.001}), ["S0"]),
        (row_of("photographs", family="paper", errors={"S0": 1.0}), []),
        (row_of("depth", family="fast", errors={"S1": 0.017, "S2": 0.03}), ["S2"]),
        ({**row_of("plane waves"), "median": 0.006, "99 %": 0.01, "worst": 0.01}, ["median"]),
    ],
)
def test_misses_are_what_is_above_the_limits(row, wanted):
    assert misses(row) == wanted
    assert set(misses(row)) <= set(limits(row))


def test_limits_of_one_kind_leave_the_others():
    limits(row_of("unlike", "white noise"))["S0"] = 9
    assert limits(row_of("unlike", "star field"))["S0"] == 0.001


def test_a_bank_is_measured_where_it_applies():
    cases = [case for section in evidence.SECTIONS.values() for case in section.cases]
    paper, accurate = FilterBank.load("paper"), FilterBank.load("accurate")
    sections = {case.section for case in cases if evidence.applies(paper, case)}
    assert sections == {"photographs", "white noise"}
    left_out = [case for case in cases if not evidence.applies(accurate, case)]
    assert left_out and all(case.L in (4, 6) for case in left_out)
