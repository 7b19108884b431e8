"""Images larger than the memory they may use: computed in tiles, read and written piece by piece.

What is read may be an array, a memory map, or anything else that has a shape, a dtype and slices.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from npscatter.bank import FilterBank
from npscatter.bank.cascade import halo
from npscatter.errors import ArgumentError, explain
from npscatter.program.magnitude import (
    give_back,
    level_and_shift,
    level_gain,
    ordinary_exponents,
    taken_off,
)
from npscatter.program.outputs import GLOBAL
from npscatter.program.plan import Plan
from npscatter.program.tiles import ImageTile, cut, even_cuts, plans_of, runs

# Bytes that one image may use unless a caller says so.
MEMORY = 2**30
# Bytes of a file that are read together.
READ_BYTES = 2**24

# Runs a program on images (N, H, W) of its own input shape, into coefficients.
Run = Callable[[Plan, np.ndarray, np.ndarray], None]


def run_within(
    memory: int | None,
    plan: Plan,
    bank: FilterBank,
    images: Any,
    output: np.ndarray,
    run: Run,
    bytes_of: Callable[[Plan], int],
) -> None:
    """Run a program whole if one image needs no more than `memory` bytes, otherwise in tiles.

    Parameters
    ----------
    memory : int or None
        None for `MEMORY`.
    plan, bank, images, output
        See `npscatter.backends.Backend`; images may be anything that can be sliced.
    run : callable
        Runs a program on arrays.
    bytes_of : callable
        The bytes that one image of a plan needs: its maps, and the image in floats.

    Raises
    ------
    ArgumentError
        If even the smallest tile needs more.
    """
    memory = MEMORY if memory is None else memory
    if bytes_of(plan) <= memory:
        if is_memory(images) and is_memory(output):
            run(plan, images, output)
            return
        bytes_each = images.dtype.itemsize * math.prod(plan.input_shape)
        bytes_each = max(bytes_each, output.itemsize * math.prod(plan.output_shape))
        for index in blocks(images.shape[:-2], max(1, READ_BYTES // bytes_each)):
            run(plan, np.asarray(images[index or ...]), output[index])
            release(images)
            release(output)
        return
    seen, aside = halo(plan, bank), goes_aside(plan, output)

    def bytes_of_tile(tile: Plan) -> int:
        return bytes_of(tile) + aside * output.itemsize * math.prod(tile.output_shape)

    tiles = list(cut(plan, seen, _cuts(plan, seen, memory, bytes_of_tile), as_is=True))
    for index in np.ndindex(images.shape[:-2]):
        in_memory = isinstance(images, np.ndarray)
        image = images[index] if in_memory else StoredImage(images, index)
        run_tiled(tiles, level_gain(plan, bank), image, output[index], run)


def is_memory(array: Any) -> bool:
    """Say whether an array lies in memory alone, not in a file."""
    return isinstance(array, np.ndarray) and mapped(array) is None


def goes_aside(whole: Plan, output: np.ndarray) -> bool:
    """Say whether a tile's coefficients are computed into memory of their own, then copied.

    In a mapped file the rows of all channels would be in most of its pages.
    """
    return not whole.outputs.smoothed or mapped(output) is not None


def blocks(leading: tuple[int, ...], most: int) -> Iterator[tuple]:
    """Yield indices into leading axes, of at most so many images each."""
    if not leading:
        yield ()
    elif (inner := math.prod(leading[1:])) > most:
        for first in range(leading[0]):
            for rest in blocks(leading[1:], most):
                yield (first, *rest)
    else:
        step = max(1, most // max(1, inner))
        for start in range(0, leading[0], step):
            yield (slice(start, start + step),)


class StoredImage:
    """One image of several in a store, which is read by slices of it."""

    def __init__(self, images: Any, index: tuple[int, ...]):
        self.images, self.index = images, index
        self.shape, self.dtype = images.shape[-2:], images.dtype

    def __getitem__(self, part: tuple[slice, slice]) -> np.ndarray:
        """Return some rows and columns."""
        return np.asarray(self.images[(*self.index, *part)])


def _cuts(
    plan: Plan, seen: int, memory: int, bytes_of: Callable[[Plan], int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the cuts into the largest tiles that fit."""
    counts = [stretch.kept(plan.J)[1] for stretch in plan.crop.stretches]
    side = max(counts)
    while True:
        cuts = even_cuts(counts[0], side), even_cuts(counts[1], side)
        needed = max(map(bytes_of, plans_of(plan, seen, cuts)))
        if needed <= memory:
            return cuts
        if side == 1:
            rule = f"the smallest tile of an image of {plan.input_shape} needs {needed} bytes"
            raise ArgumentError(explain("memory", memory, rule, f"pass memory={needed} or more"))
        # As if the bytes were those of pixels alone, but never in steps that are too bold.
        side = max(1, min(side - 1, max(side // 2, int(side * math.sqrt(memory / needed)))))


def run_tiled(
    tiles: Sequence[ImageTile], gain: float | None, image: Any, output: np.ndarray, run: Run
) -> None:
    """Fill the coefficients of one image (H, W), tile by tile."""
    whole, dtype = tiles[0].whole, output.dtype
    ends = extremes(image, dtype)
    level, shift = level_and_shift(*ends, gain is not None, *ordinary_exponents(dtype))
    rescaled, level = level != 0 or shift != 0, dtype.type(level)
    means = np.zeros(output.shape) if whole.outputs.average == GLOBAL else None
    # For every tile the same memory: fresh pages take their time.
    shapes = [(tile.plan.input_shape, tile.plan.output_shape) for tile in tiles]
    most = [max(map(math.prod, each)) for each in zip(*shapes, strict=True)]
    aside = goes_aside(whole, output)
    for_pixels, for_coefficients = np.empty(most[0], dtype), np.empty(aside * most[1], dtype)
    for tile in tiles:
        pixels = shaped(for_pixels, tile.plan.input_shape)
        read(image, tile, pixels)
        if rescaled:
            taken_off(pixels, level, shift, out=pixels)
        if aside:
            coefficients = shaped(for_coefficients, tile.plan.output_shape)
        else:
            coefficients = output[(slice(None), *tile.place(0))]
        run(tile.plan, pixels[None], coefficients[None])
        if rescaled:
            give_back(tile.plan, coefficients[None], level, shift, gain)
        if means is not None:
            means += coefficients * tile.shares
        elif aside:
            write(tile, coefficients, output)
    if means is not None:
        output[...] = means


def shaped(memory: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of a shape at the beginning of memory."""
    return memory[: math.prod(shape)].reshape(shape)


def write(tile: ImageTile, coefficients: np.ndarray, output: np.ndarray) -> None:
    """Copy a tile's coefficients to where they belong."""
    if tile.whole.outputs.smoothed:
        copy(coefficients, output[(slice(None), *tile.place(0))])
        return
    for channel in range(tile.whole.n_coefficients):
        maps = tile.whole.maps_of(output, channel)
        maps[tile.place(channel)] = tile.plan.maps_of(coefficients, channel)


def copy(source: np.ndarray, target: np.ndarray) -> None:
    """Copy an array, of a mapped file some pages at a time."""
    file = source if mapped(source) is not None else target
    axis, step = cut_of(file)
    source, target = np.moveaxis(source, axis, 0), np.moveaxis(target, axis, 0)
    for start in range(0, len(target), step):
        target[start : start + step] = source[start : start + step]
        release(file)


def cut_of(array: Any) -> tuple[int, int]:
    """Return an axis to cut an array along, that which steps farthest, and a piece's length."""
    strides = [abs(one) for one in array.strides] if isinstance(array, np.ndarray) else [1]
    axis = strides.index(max(strides))
    bytes_of_one = array.dtype.itemsize * math.prod(array.shape) // max(1, array.shape[axis])
    return axis, max(1, READ_BYTES // max(1, bytes_of_one))


def extremes(image: Any, dtype: np.dtype) -> tuple[float, float]:
    """Return the lowest and the highest finite value of an image; inf, -inf if it has none."""
    low, high = math.inf, -math.inf
    axis, step = cut_of(image)
    for start in range(0, image.shape[axis], step):
        some = slice(start, start + step)
        pixels = image[some, :] if axis == 0 else image[:, some]
        least, most = pixels.min(), pixels.max()
        if not (np.isfinite(least) and np.isfinite(most)):
            finite = pixels[np.isfinite(pixels)]
            least, most = finite.min(initial=np.inf), finite.max(initial=-np.inf)
        low, high = min(low, float(dtype.type(least))), max(high, float(dtype.type(most)))
        release(image)
    return low, high


def read(image: Any, tile: ImageTile, pixels: np.ndarray) -> None:
    """Fill in a tile's pixels, from slices of the image."""
    for rows, from_rows, down in runs(tile.rows):
        for columns, from_columns, right in runs(tile.columns):
            part = pixels[rows, columns]
            if from_rows and from_columns:
                source = image[from_rows, from_columns][::down, ::right]
                copy(np.broadcast_to(source, part.shape), part)
            else:
                part[...] = 0


def mapped(array: np.ndarray) -> np.memmap | None:
    """Return the map of a file that an array is a part of, if it is one."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if isinstance(owner, np.memmap) and isinstance(owner.base, mmap.mmap):
            return owner
        owner = owner.base
    return None


def release(array: Any) -> None:
    """Let the system have the pages of a file back that an array has brought into memory."""
    owner = mapped(array) if isinstance(array, np.ndarray) else None
    # What is written to a copy-on-write map is nowhere else.
    if owner is not None and owner.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):
        owner.base.madvise(mmap.MADV_DONTNEED)
