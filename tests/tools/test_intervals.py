"""Intervals of accuracies and of their differences."""

import numpy as np
import pytest
from scipy import stats

from tools.intervals import accuracy, compare, crossed_interval, verdict


@pytest.mark.parametrize(
    ("images", "expected"), [(200, "not decided at this size"), (1797, "equivalent")]
)
def test_equal_judgements_are_equivalent_only_on_enough_images(images, expected):
    right = np.random.default_rng(0).random((4, images)) < 0.9
    found = compare(right, right.copy(), 1.0)
    assert found["difference"] == found["changed"] == 0 and found["includes_zero"]
    assert found["difference_interval"] == pytest.approx([-300 / images, 300 / images], abs=1e-3)
    assert found["verdict"] == expected


def test_comparison_is_paired_and_antisymmetric():
    generator = np.random.default_rng(0)
    reference = generator.random((5, 1000)) < 0.6
    right = reference.copy()
    right[:, :30] = False  # Of 30 images of 1000 none is right any more.
    there, back = (compare(*pair, 1.0) for pair in ((right, reference), (reference, right)))
    lost = 100 * reference[:, :30].sum() / reference.size
    assert there["difference"] == pytest.approx(-lost, abs=1e-3)
    assert there["changed"] == pytest.approx(lost, abs=1e-3)
    assert (there["verdict"], back["verdict"]) == ("worse", "better")
    assert back["difference"] == -there["difference"]
    # Unpaired, the two accuracies would be some 4 points uncertain.
    low, high = there["difference_interval"]
    assert low < -lost < high < 0 and high - low < 2


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((-0.9, 1.0), "equivalent"),
        ((0.1, 0.2), "equivalent"),
        ((-1.1, 0.0), "not decided at this size"),
        ((0.5, 1.5), "better"),
        ((-9, -0.1), "worse"),
    ],
)
@pytest.mark.parametrize("margin", [1.0, 0.5])
def test_verdict(interval, expected, margin):
    low, high = interval
    assert verdict(low * margin, high * margin, margin) == expected


def test_accuracy_is_in_percent():
    right = np.random.default_rng(0).random((1, 2500)) < 0.8
    found = accuracy(right)
    assert found["accuracy"] == round(100 * right.mean(), 3)
    low, high = found["interval"]
    # Of a binomial.
    assert (high - low) / 2 == pytest.approx(196 * np.sqrt(0.8 * 0.2 / 2500), rel=0.1)


def test_a_single_row_has_students_interval():
    values = np.random.default_rng(0).normal(3, 2, (1, 12))
    expected = stats.t.interval(0.95, 11, values.mean(), stats.sem(values[0]))
    assert crossed_interval(values) == pytest.approx(expected)


def test_rows_that_differ_and_columns_that_do_not_have_students_interval_too():
    rows = np.random.default_rng(1).normal(size=(4, 1))
    expected = stats.t.interval(0.95, 3, rows.mean(), stats.sem(rows[:, 0]))
    assert crossed_interval(np.tile(rows, 9)) == pytest.approx(expected)


def test_no_spread_has_an_interval_of_no_width():
    assert crossed_interval(np.full((3, 5), 2.0)) == (2.0, 2.0)


@pytest.mark.parametrize("scales", [(1, 1, 0), (1, 10, 3), (2, 0, 20)])
def test_it_holds_the_mean_as_often_as_it_says(scales):
    """Rows, columns and cells are drawn anew 500 times; the mean of all there could be is 0."""
    of_rows, of_columns, of_cells = scales
    generator, held = np.random.default_rng(2), 0
    for _ in range(500):
        table = of_rows * generator.normal(size=(4, 1)) + of_columns * generator.normal(size=60)
        low, high = crossed_interval(table + of_cells * generator.normal(size=(4, 60)))
        held += low <= 0 <= high
    assert 460 < held < 498
