"""A row's machine code is the correlation it stands for, however many registers there are."""

import numpy as np
import pytest
from banks import bank_of

from npscatter.backends.cpu import row_codegen, simd
from npscatter.backends.cpu.records import aligned_zeros
from npscatter.backends.cpu.row_codegen import BLOCK, UNROLLED, RowKernel, compiled_row
from npscatter.program.steps import WEIGHT_ARRAYS
from npscatter.program.summation import make_summation
from npscatter.program.symmetry import tie

BANKS = ["accurate", "paper", "symmetric L=6 R=4 K=9", "free L=4 R=2"]


def lanes():
    """Return how many float64 a vector has."""
    return simd.vector_bytes() // 8


@pytest.fixture(params=[16, 32])
def registers(request, monkeypatch):
    """As many vector registers as short vectors have, or long ones."""
    monkeypatch.setattr(row_codegen, "registers", lambda: request.param)
    compiled_row.cache_clear()
    yield request.param
    compiled_row.cache_clear()


@pytest.fixture(params=[16, 32, 64])
def vectors(request, monkeypatch):
    """Vectors of so many bytes: LLVM makes them of what the CPU has."""
    for module in (simd, row_codegen):
        monkeypatch.setattr(module, "vector_bytes", lambda: request.param)
    compiled_row.cache_clear()
    yield request.param
    compiled_row.cache_clear()


def kernels_of(bank):
    for name in bank.keys():
        for stride in (1, 2):
            order, weights = bank.summation(name)
            yield name, RowKernel(order, WEIGHT_ARRAYS[name].is_complex, stride, "float64"), weights


def computed(kernel, weights, rows, columns):
    """Return the outputs of one row, shape (O, columns, lanes), and what lies behind them."""
    size, radius = kernel.summation.size, kernel.radius
    assert rows.shape == (kernel.summation.maps, size, *rows.shape[2:])
    source = aligned_zeros(rows.size + 99 * lanes(), "float64")
    source[: rows.size] = rows.ravel()
    pitch = rows.shape[2] * lanes()
    starts = source.ctypes.data + 8 * (np.arange(rows.shape[0] * size) * pitch + radius * lanes())
    out = np.full((kernel.outputs, columns + UNROLLED, lanes()), np.nan)
    scratch = aligned_zeros(kernel.scratch * lanes(), "float64")
    scratch[:] = np.nan
    arrays = starts, scratch, np.ascontiguousarray(weights), out
    table, *addresses = (array.ctypes.data for array in arrays)
    compiled_row(kernel).ctypes(table, 0, *addresses, columns, (columns + UNROLLED) * lanes())
    return out[:, :columns], out[:, columns:]


def check_row(kernel, weights, taps, columns):
    """Compare a row of so many columns with the correlation that `taps` define."""
    length = kernel.stride * columns + 2 * kernel.radius
    shape = (*taps.shape[1:3], length, lanes())
    rows = np.random.default_rng(columns).normal(size=shape)
    windows = np.lib.stride_tricks.sliding_window_view(rows, taps.shape[-1], axis=2)
    windows = windows[:, :, : kernel.stride * columns : kernel.stride]
    expected = np.einsum("oiab,iaxlb->oxl", taps, windows)
    if kernel.modulus:
        real, imaginary = np.split(expected, 2)
        expected = np.hypot(real, imaginary)
    actual, behind = computed(kernel, weights, rows, columns)
    assert np.abs(actual - expected).max() <= 1e-13 * np.abs(taps).sum()
    # Of what lies behind only whole turns of the loop are written.
    assert np.isnan(behind[:, -columns % kernel.columns_unrolled :]).all()


@pytest.mark.parametrize(
    ("name", "registers"),
    [("accurate", 16), ("paper", 32), ("symmetric L=6 R=4 K=9", 16), ("free L=4 R=2", 32)],
    indirect=["registers"],
)
def test_a_row_is_the_correlation(name, registers):
    bank = bank_of(name)
    for key, kernel, weights in kernels_of(bank):
        for columns in (1, 3, BLOCK, 2 * BLOCK + 5):
            check_row(kernel, weights, bank.real_taps(key), columns)


def sparse_taps(generator, array, L, R, K, tied, kept):
    """Return real filters of which so many weights are not zero; -1 for those of one output."""
    shape = array.real_shape(L, R, K)
    if tied:
        index, sign = tie(shape, array.role)
        weights = generator.normal(size=index.max() + 1)
        weights[generator.random(weights.shape) >= abs(kept)] = 0
        taps = sign * weights[index]
    else:
        taps = generator.normal(size=shape)
        taps[generator.random(shape) >= abs(kept)] = 0
        if kept < 0:
            taps[..., 1:, :, :, :] = 0
    return taps.reshape(-1, *shape[-3:])


def test_zeros_among_the_weights_are_left_out(vectors):
    """Whole arrays of zeros too, and single taps; also of more sums than there are registers."""
    generator, summed = np.random.default_rng(11), []
    for kept in (0, -1, 0.01, 0.03, 0.1):
        for name, L, R, K in (
            ("psi_first", 12, 1, 5),
            ("psi_next", 12, 3, 3),
            ("psi_next", 6, 4, 3),
            ("carry_next", 2, 4, 5),
            ("low_next", 2, 4, 3),
        ):
            tied = bool(generator.random() < 0.5) and kept >= 0
            taps = sparse_taps(generator, WEIGHT_ARRAYS[name], L, R, K, tied, kept)
            summation, weights = make_summation(taps, tied)
            stride = int(generator.integers(1, 3))
            kernel = RowKernel(summation, WEIGHT_ARRAYS[name].is_complex, stride, "float64")
            check_row(kernel, weights, taps, 5)
            summed.append((summation.accumulators, len({a for p in kernel.passes for a in p})))
    most = 20 if simd.registers() == 32 else 10
    # More sums than registers, of which some, or all, are of nothing.
    assert any(sums > most and few < sums for sums, few in summed)
    assert any(sums > most and few == 0 for sums, few in summed)


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
