"""Filters as tables: every product once, and nothing for taps that are zero."""

import numpy as np
import pytest
from banks import bank_of

from cexport.layout import AT_ONCE, lay_out, make_kernel
from npscatter import FilterBank
from npscatter.program.plan import make_plan


@pytest.mark.parametrize("name", ["symmetric L=6 R=4", "free L=4 R=3", "sixteen orientations"])
def test_every_product_of_a_summation_is_in_the_tables_once(name):
    bank = bank_of(name)
    for key in bank:
        summation, weights = bank.summation(key, None)
        kernel = make_kernel(bank, None, key)
        weight = iter(kernel.weights)
        found = [
            (line.row, column, use.fold if column else 0, accumulator, next(weight))
            for line in kernel.lines
            for use in line.uses
            for column in range(use.column, use.column + use.samples)
            for accumulator in use.sums
        ]
        expected = [
            (summation.rows[sample.row], sample.offset, sample.fold, accumulator, weights[index])
            for sample in summation.samples
            for accumulator, index in sample.terms
        ]
        assert len(found) == len(kernel.weights)
        assert sorted(found, key=repr) == sorted(expected, key=repr)
        assert max(len(use.sums) for line in kernel.lines for use in line.uses) <= AT_ONCE


def test_rows_without_gaps_are_used_as_a_whole():
    for name, most in (("paper-tuned", 4), ("accurate", 1)):
        bank = FilterBank.load(name)
        kernels = [make_kernel(bank, None, key) for key in bank]
        uses = [use for kernel in kernels for line in kernel.lines for use in line.uses]
        assert max(use.samples for use in uses) == most


def test_taps_of_zero_around_filters_cost_nothing():
    bank = bank_of("symmetric L=4 R=3")
    around = [(0, 0), (0, 0), (2, 2), (2, 2)]
    wider = FilterBank("wider", **{key: np.pad(bank[key], around) for key in bank})
    plan = make_plan(3, (24, 24), bank.architecture)
    layouts = [lay_out(plan, each, None) for each in (bank, wider)]
    assert layouts[0].scratch_bytes(4, 4) == layouts[1].scratch_bytes(4, 4)
    for kernels in zip(*(layout.kernels.values() for layout in layouts), strict=True):
        assert kernels[0].half == kernels[1].half < kernels[1].summation.size // 2
        assert kernels[0].lines == kernels[1].lines
        assert np.array_equal(kernels[0].weights, kernels[1].weights)
