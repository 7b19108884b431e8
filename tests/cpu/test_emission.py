"""Means and moduli in compiled code: the same bits however work is shared and laid out."""

import numpy as np
import pytest
from banks import bank_of

from npscatter import Scattering2D
from npscatter.backends.cpu import executor
from npscatter.backends.cpu.emission import BLOCK_ROWS
from npscatter.backends.cpu.layout import lay_out

SHAPE = (3 * BLOCK_ROWS + 7, 38)


def computed(S, images, threads, images_per_vector, limits=executor.DEFAULT):
    layout = lay_out(S.plan, S.bank, images.dtype.name, images_per_vector)
    output = np.full((len(images), *S.plan.output_shape), np.nan, images.dtype)
    executor.run_layout(layout, images, output, threads, limits)
    return output


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("average", ["global", False])
@pytest.mark.parametrize(("name", "boundary"), [("free L=4 R=2", "kymatio"), ("paper shape", None)])
def test_bits_depend_neither_on_threads_nor_on_the_layout(name, boundary, average, dtype):
    S = Scattering2D(2, SHAPE, 4, bank=bank_of(name), average=average, boundary=boundary)
    images = np.random.default_rng(3).normal(size=(5, *SHAPE)).astype(dtype)
    expected = computed(S, images, 1, 1)
    assert np.isfinite(expected).all()
    # Parts so small that steps are cut wherever they can be.
    small = executor.Limits(
        work_per_turn=1e5, work_per_thread=1e3, work_per_part=1e3, work_per_step=0, rows_per_part=4
    )
    for threads, together in [(2, 1), (1, 2), (2, 4)]:
        for limits in (executor.DEFAULT, small):
            assert np.array_equal(computed(S, images, threads, together, limits), expected)


def test_sums_are_cut_between_blocks_alone():
    S = Scattering2D(2, SHAPE, 4, bank=bank_of("free L=4 R=2"), average="global")
    layout = lay_out(S.plan, S.bank, "float32", 1)
    small = executor.Limits(work_per_part=1, rows_per_part=1)
    parts = executor.cut_steps(layout, 8, small)
    assert len(parts) > len(layout.steps) + 8
    for part in parts:
        step = layout.steps[part["step"]]
        assert part["start"] % step["rows_together"] == 0
        assert part["stop"] == step["height"] or part["stop"] % step["rows_together"] == 0
