"""The program in NumPy, an array at a time: the page to read to understand the transform."""

from __future__ import annotations

import numpy as np

from npscatter.bank import FilterBank
from npscatter.plan import Maps, Plan

# Images are taken in blocks whose workspace stays within this many bytes (one image at least);
# the arrays that come and go in `correlate` take about three times as much again.
BLOCK_BYTES = 2**24


def execute(
    plan: Plan, bank: FilterBank, images: np.ndarray, output: np.ndarray, threads: int | None
) -> None:
    """Run the plan's program.

    Parameters
    ----------
    plan : Plan
        Made for `bank`'s architecture.
    bank : FilterBank
        The weights.
    images : ndarray, shape (..., H, W)
        Real, of the plan's `input_shape`; never written to.
    output : ndarray, shape (..., C, H // 2^J, W // 2^J)
        float32 or float64, which is also the precision of the computation; filled.
    threads : int or None
        Without effect: NumPy decides.
    """
    flat = images.reshape(-1, *images.shape[-2:])
    result = output.reshape(-1, *output.shape[-3:])
    image_bytes = plan.workspace_size * output.dtype.itemsize
    block = max(1, BLOCK_BYTES // image_bytes)
    # Infinities and NaN go through as arithmetic has it, in silence.
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, len(flat), block):
            some = flat[start : start + block].astype(output.dtype, copy=False)
            _execute_block(plan, bank, some, result[start : start + block])
    if not np.may_share_memory(result, output):
        output[...] = result.reshape(output.shape)


def warm_up(plan: Plan, bank: FilterBank, dtype: str, threads: int | None) -> None:
    """Do nothing: NumPy is always ready."""


def _execute_block(plan: Plan, bank: FilterBank, images: np.ndarray, output: np.ndarray) -> None:
    count, dtype = len(images), images.dtype
    workspace = np.empty((count, plan.workspace_size), dtype)

    def view(maps: Maps, groups: int) -> np.ndarray:
        start = plan.offsets[maps.buffer] + maps.first * maps.height * maps.width
        stretch = workspace[:, start : start + maps.count * maps.height * maps.width]
        return stretch.reshape(count, groups, maps.count // groups, maps.height, maps.width)

    for step in plan.steps:
        if step.operation == "pad":
            view(step.target, 1)[:, 0, 0] = pad(images, plan.rows, plan.columns)
            continue
        maps = view(step.source, step.groups)
        if step.wavelets:
            both = bank.real_taps(step.wavelets, step.orientations).astype(dtype)
            origin, grid = (0, 0), step.modulus_shape
            parts = correlate(maps, both, step.wavelet_stride, origin, grid, plan.edge)
            real, imaginary = np.split(parts, 2, axis=2)
            maps = np.sqrt(real * real + imaginary * imaginary).reshape(count, -1, 1, *grid)
        taps = bank[step.weights].astype(dtype)
        smooth = correlate(maps, taps, step.stride, step.first, step.size, plan.edge)
        if step.operation == "smooth":
            view(step.target, maps.shape[1])[...] = smooth
        else:  # "emit"
            output[:, list(step.channels)] = smooth[:, :, 0]


def pad(images: np.ndarray, rows: tuple[int, ...], columns: tuple[int, ...]) -> np.ndarray:
    """Return images whose pixel (y, x) is image pixel (rows[y], columns[x]), or 0 for index -1."""
    rows, columns = np.array(rows), np.array(columns)
    padded = images[:, rows[:, None], columns]
    padded[:, rows < 0] = 0
    padded[:, :, columns < 0] = 0
    return padded


def correlate(source, taps, stride, first, size, edge) -> np.ndarray:
    """Return the strided multi-channel correlation that `npscatter.plan.Step` defines.

    Every sample is summed tap by tap in one order, whatever its place and the batch, so equal
    windows give equal bits; a matrix product would be faster and promise no such thing.

    Parameters
    ----------
    source : ndarray, shape (N, groups, I, H, W)
        The maps of every group.
    taps : ndarray, shape (O, I, K, K)
        Real weights.
    stride : int
        1 or 2.
    first, size : tuple of int
        First sample of the result on the full grid, and its height and width.
    edge : str
        "wrap" or "zero".

    Returns
    -------
    ndarray, shape (N, groups, O, *size)
    """
    K, (height, width) = taps.shape[-1], size
    margin = ((0, 0),) * 3 + ((K // 2, K // 2),) * 2
    mode = {"wrap": "wrap", "zero": "constant"}[edge]
    padded = np.pad(source, margin, mode=mode)
    top, left = (stride * index for index in first)
    result = np.zeros((*source.shape[:2], len(taps), height, width), source.dtype)
    for a in range(K):
        for b in range(K):
            samples = padded[..., a + top :, b + left :]
            samples = samples[..., : stride * height : stride, : stride * width : stride]
            result += np.einsum("oi,ngihw->ngohw", taps[:, :, a, b], samples)
    return result
