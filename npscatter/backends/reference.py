"""The program in NumPy, an array at a time: the page to read to understand the transform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from npscatter.backends.tiled import run_within
from npscatter.bank import FilterBank
from npscatter.program.magnitude import (
    give_back,
    level_and_shift,
    level_gain,
    ordinary_exponents,
    taken_off,
)
from npscatter.program.plan import Plan
from npscatter.program.steps import Maps

# Of the workspace; the arrays that come and go in `correlate` take about three times as much again.
BLOCK_BYTES = 2**24
# Arguments of `npscatter.Scattering2D` that have a meaning here.
OPTIONS = ("memory",)


def run(
    plan: Plan,
    bank: FilterBank,
    images: np.ndarray,
    output: np.ndarray,
    stream: None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Run the plan's program; see `npscatter.backends.Backend`.

    An image that needs more than the option `memory` in bytes is taken in tiles.
    """

    def whole(plan: Plan, images: np.ndarray, output: np.ndarray) -> None:
        run_whole(plan, bank, images, output)

    def bytes_of(plan: Plan) -> int:
        return 4 * plan.workspace.size * output.itemsize

    run_within(options.get("memory"), plan, bank, images, output, whole, bytes_of)


def run_whole(plan: Plan, bank: FilterBank, images: np.ndarray, output: np.ndarray) -> None:
    """Run the plan's program on images as they are."""
    arithmetic, gain = FloatArithmetic(bank, output.dtype), level_gain(plan, bank)
    # Infinities and NaN go through as arithmetic has it, in silence.
    with np.errstate(invalid="ignore", over="ignore"):
        for some, coefficients in blocks(plan, output.dtype, images, output):
            if plan.crop.as_is:
                run_block(plan, arithmetic, some, coefficients)
                continue
            levels, shifts = levels_and_shifts(some, gain is not None)
            run_block(plan, arithmetic, taken_off(some, levels, shifts), coefficients)
            give_back(plan, coefficients, levels, shifts, gain)


def warm_up(plan: Plan, bank: FilterBank, images: np.dtype, options: Mapping[str, object]) -> None:
    """Do nothing: NumPy is always ready."""


def levels_and_shifts(images: np.ndarray, has_level: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return level and shift of each of some images (N, H, W), in two arrays (N, 1, 1).

    See `npscatter.program.magnitude`.
    """
    finite = np.isfinite(images)
    lows = np.where(finite, images, np.inf).min((1, 2)).tolist()
    highs = np.where(finite, images, -np.inf).max((1, 2)).tolist()
    exponents = ordinary_exponents(images.dtype)
    both = [level_and_shift(*ends, has_level, *exponents) for ends in zip(lows, highs, strict=True)]
    levels = np.array([level for level, _ in both], images.dtype)
    shifts = np.array([shift for _, shift in both], np.intc)
    return levels[:, None, None], shifts[:, None, None]


class Arithmetic(Protocol):
    """What a program is computed with: numbers, weights, and what rounding there is."""

    dtype: np.dtype

    def taps(self, key: str, outputs: tuple[int, ...] | None) -> np.ndarray:
        """Return some outputs of a weight array, shape (O or 2 O, R, K, K)."""

    def modulus(self, number: int, real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
        """Return the modulus that step `number` takes."""

    def smoothed(self, number: int, sums: np.ndarray) -> np.ndarray:
        """Return what step `number` writes, from what its smoothing sums to."""


class FloatArithmetic:
    """Floating-point numbers: the weights as they are, nothing to round."""

    def __init__(self, bank: FilterBank, dtype: np.dtype):
        self.bank, self.dtype = bank, dtype

    def taps(self, key: str, outputs: tuple[int, ...] | None) -> np.ndarray:
        return self.bank.real_taps(key, outputs).astype(self.dtype)

    def modulus(self, number: int, real: np.ndarray, imaginary: np.ndarray) -> np.ndarray:
        return np.sqrt(real * real + imaginary * imaginary)

    def smoothed(self, number: int, sums: np.ndarray) -> np.ndarray:
        return sums


def interpret(
    plan: Plan,
    arithmetic: Arithmetic,
    images: np.ndarray,
    output: np.ndarray,
    block_bytes: int = BLOCK_BYTES,
) -> None:
    """Run the plan's program in a given arithmetic, on images as they come.

    Parameters
    ----------
    plan : Plan
        The program.
    arithmetic : Arithmetic
        What it is computed with.
    images : ndarray, shape (..., H, W)
        Never written to.
    output : ndarray, shape (..., output_shape)
        Filled.
    block_bytes : int, optional
        Images are taken in blocks whose workspace stays within so much (one image at least).
    """
    for some, coefficients in blocks(plan, arithmetic.dtype, images, output, block_bytes):
        run_block(plan, arithmetic, some, coefficients)


def blocks(
    plan: Plan,
    dtype: np.dtype,
    images: np.ndarray,
    output: np.ndarray,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield a block of images after the other, as `dtype`, and where their coefficients go.

    Parameters are those of `interpret`.
    """
    flat = images.reshape(-1, *images.shape[-2:])
    result = output.reshape(-1, *plan.output_shape)
    block = max(1, block_bytes // (plan.workspace.size * dtype.itemsize))
    for start in range(0, len(flat), block):
        some = flat[start : start + block].astype(dtype, copy=False)
        yield some, result[start : start + block]
    if not np.may_share_memory(result, output):
        output[...] = result.reshape(output.shape)


def run_block(plan: Plan, arithmetic: Arithmetic, images: np.ndarray, output: np.ndarray) -> None:
    """Run the program on images (N, H, W), all of them side by side in every step."""
    count = len(images)
    workspace = np.empty((count, plan.workspace.size), arithmetic.dtype)

    def view(maps: Maps, groups: int) -> np.ndarray:
        start = plan.workspace.offset(maps)
        stretch = workspace[:, start : start + maps.count * plan.workspace.plane(maps)]
        return stretch.reshape(count, groups, maps.count // groups, maps.height, maps.width)

    view(plan.image, 1)[:, 0, 0] = pad(images, plan.rows, plan.columns)
    for number, step in enumerate(plan.steps):
        maps = view(step.source, step.groups)
        if step.wavelets:  # U1 = |x * psi| and, one octave or more later, U2 = ||x * psi| * psi|
            both = arithmetic.taps(step.wavelets, step.orientations)
            origin, grid = (0, 0), step.modulus_shape
            parts = correlate(maps, both, step.wavelet_stride, origin, grid, plan.edge)
            moduli = arithmetic.modulus(number, *np.split(parts, 2, axis=2))
            maps = moduli.reshape(count, -1, 1, *grid)
        if step.emits_moduli:  # x, U1 and U2 themselves, or their means
            y, x, height, width = step.window
            kept = maps[:, :, 0, y : y + height, x : x + width]
            if step.output == "mean":
                kept = kept.mean((2, 3), np.float64, keepdims=True)
            for channel, map_ in zip(step.channels, np.moveaxis(kept, 1, 0), strict=True):
                if channel >= 0:
                    plan.maps_of(output, channel)[...] = map_
        if not step.smoothing:
            continue
        taps = arithmetic.taps(step.smoothing, None)
        sums = correlate(maps, taps, step.stride, step.first, step.size, plan.edge)
        smooth = arithmetic.smoothed(number, sums)
        if step.target is None:  # S0 = x * phi, S1 = U1 * phi, S2 = U2 * phi
            output[:, list(step.channels)] = smooth[:, :, 0]
        else:  # maps of the next octave, still on their way to a wavelet or to phi
            view(step.target, maps.shape[1])[...] = smooth


def pad(images: np.ndarray, rows: tuple[int, ...], columns: tuple[int, ...]) -> np.ndarray:
    """Return images whose pixel (y, x) is image pixel (rows[y], columns[x]), or 0 for index -1."""
    y, x = np.array(rows), np.array(columns)
    padded = images[:, y[:, None], x]
    padded[:, y < 0] = 0
    padded[:, :, x < 0] = 0
    return padded


def correlate(
    source: np.ndarray,
    taps: np.ndarray,
    stride: int,
    first: tuple[int, int],
    size: tuple[int, int],
    edge: str,
) -> np.ndarray:
    """Return the strided multi-channel correlation that `npscatter.program.steps.Step` defines.

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
    padded = np.pad(source, margin, mode="wrap" if edge == "wrap" else "constant")
    top, left = (stride * index for index in first)
    result = np.zeros((*source.shape[:2], len(taps), height, width), source.dtype)
    for a in range(K):
        for b in range(K):
            samples = padded[..., a + top :, b + left :]
            samples = samples[..., : stride * height : stride, : stride * width : stride]
            result += np.einsum("oi,ngihw->ngohw", taps[:, :, a, b], samples)
    return result
