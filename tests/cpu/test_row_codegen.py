"""A row's machine code is the correlation it stands for, however many registers there are."""

import numpy as np
import pytest
from banks import bank_of

from npscatter.cpu import row_codegen
from npscatter.cpu.layout import aligned_zeros
from npscatter.cpu.row_codegen import BLOCK, UNROLLED, RowKernel, compiled_row
from npscatter.cpu.simd import vector_bytes
from npscatter.program.steps import WEIGHT_ARRAYS

BANKS = ["accurate", "paper", "symmetric L=6 R=4 K=9", "free L=4 R=2"]
LANES = vector_bytes() // 8


@pytest.fixture(params=[16, 32])
def registers(request, monkeypatch):
    """As many vector registers as short vectors have, or long ones."""
    monkeypatch.setattr(row_codegen, "registers", lambda: request.param)
    compiled_row.cache_clear()
    yield request.param
    compiled_row.cache_clear()


def kernels_of(bank):
    for name in bank.keys():
        for stride in (1, 2):
            order, weights = bank.summation(name)
            yield name, RowKernel(order, WEIGHT_ARRAYS[name].is_complex, stride, "float64"), weights


def computed(kernel, weights, rows, columns):
    """Return the outputs of one row, shape (O, columns, LANES), and what lies behind them."""
    size, radius = kernel.summation.size, kernel.radius
    assert rows.shape == (kernel.summation.maps, size, *rows.shape[2:])
    source = aligned_zeros(rows.size + 99 * LANES, "float64")
    source[: rows.size] = rows.ravel()
    pitch = rows.shape[2] * LANES
    starts = source.ctypes.data + 8 * (np.arange(rows.shape[0] * size) * pitch + radius * LANES)
    out = np.full((kernel.outputs, columns + UNROLLED, LANES), np.nan)
    scratch = aligned_zeros(kernel.scratch * LANES, "float64")
    scratch[:] = np.nan
    arrays = starts, scratch, np.ascontiguousarray(weights), out
    table, *addresses = (array.ctypes.data for array in arrays)
    compiled_row(kernel).ctypes(table, 0, *addresses, columns, (columns + UNROLLED) * LANES)
    return out[:, :columns], out[:, columns:]


@pytest.mark.parametrize("name", BANKS)
def test_a_row_is_the_correlation(name, registers):
    bank = bank_of(name)
    for key, kernel, weights in kernels_of(bank):
        taps = bank.real_taps(key)
        for columns in (1, 3, BLOCK, 2 * BLOCK + 5):
            length = kernel.stride * columns + 2 * kernel.radius
            shape = (*taps.shape[1:3], length, LANES)
            rows = np.random.default_rng(columns).normal(size=shape)
            windows = np.lib.stride_tricks.sliding_window_view(rows, taps.shape[-1], axis=2)
            windows = windows[:, :, : kernel.stride * columns : kernel.stride]
            expected = np.einsum("oiab,iaxlb->oxl", taps, windows)
            if kernel.modulus:
                real, imaginary = np.split(expected, 2)
                expected = np.hypot(real, imaginary)
            actual, behind = computed(kernel, weights, rows, columns)
            assert np.abs(actual - expected).max() < 1e-13 * np.abs(taps).sum()
            # Of what lies behind only whole turns of the loop are written.
            assert np.isnan(behind[:, -columns % kernel.columns_unrolled :]).all()


@pytest.mark.parametrize("name", BANKS)
def test_passes_part_the_sums_and_fit_the_registers(name, registers):
    for _, kernel, _ in kernels_of(bank_of(name)):
        sums = sorted(a for some in kernel.passes for a in some)
        assert sums == list(range(kernel.summation.accumulators))
        for some in kernel.passes:
            assert (len(some) + 1) * kernel.columns_unrolled < registers
        rows = kernel.summation.rows
        assert all(rows[number].fold for number in kernel.folded_rows)
        assert sorted(kernel.folded_rows.values()) == list(range(len(kernel.folded_rows)))
