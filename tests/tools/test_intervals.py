"""Intervals of a mean over few draws."""

import numpy as np
import pytest
from scipy import stats

from tools.intervals import crossed_interval


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
