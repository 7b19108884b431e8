"""Images larger than the memory they may use: computed in tiles, read and written piece by piece.

What is read may be an array, a memory map, or anything else that has a shape, a dtype and slices.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
from npscatter.program.tiles import ImageTile, cut, even_cuts, runs

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
    in_memory = isinstance(images, np.ndarray) and mapped(images) is None
    if plan.is_tile or bytes_of(plan) <= memory:
        if in_memory:
            run(plan, images, output)
            return
        image_bytes = images.dtype.itemsize * math.prod(plan.input_shape)
        for index in blocks(images.shape[:-2], max(1, READ_BYTES // image_bytes)):
            run(plan, np.asarray(images[index or ...]), output[index])
            release(images)
            release(output)
        return
    seen = halo(plan, bank)
    tiles = list(cut(plan, seen, _cuts(plan, seen, memory, bytes_of), as_is=True))
    for index in np.ndindex(images.shape[:-2]):
        run_tiled(tiles, level_gain(plan, bank), Image(images, index), output[index], run)


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


@dataclass(frozen=True)
class Image:
    """One image of several, which is read by slices of it."""

    images: Any
    index: tuple[int, ...]

    def __getitem__(self, part: tuple[slice, slice]) -> np.ndarray:
        """Return some rows and columns."""
        return np.asarray(self.images[(*self.index, *part)])


def _cuts(
    plan: Plan, seen: int, memory: int, bytes_of: Callable[[Plan], int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the cuts into the largest tiles that fit."""
    counts = [side >> plan.J for side in plan.shape]
    side = max(counts)
    while True:
        cuts = even_cuts(counts[0], side), even_cuts(counts[1], side)
        needed = max(map(bytes_of, {tile.plan for tile in cut(plan, seen, cuts, as_is=True)}))
        if needed <= memory:
            return cuts
        if side == 1:
            rule = f"the smallest tile of an image of {plan.shape} needs {needed} bytes"
            raise ArgumentError(explain("memory", memory, rule, f"pass memory={needed} or more"))
        # As if the bytes were those of pixels alone, but never in steps that are too bold.
        side = max(1, min(side - 1, max(side // 2, int(side * math.sqrt(memory / needed)))))


def run_tiled(
    tiles: Sequence[ImageTile], gain: float | None, image: Image, output: np.ndarray, run: Run
) -> None:
    """Fill the coefficients of one image (H, W), tile by tile."""
    whole, dtype = tiles[0].whole, output.dtype
    ends = extremes(image, whole.input_shape, dtype)
    level, shift = level_and_shift(*ends, gain is not None, *ordinary_exponents(dtype))
    rescaled, level = level != 0 or shift != 0, dtype.type(level)
    means = np.zeros(output.shape) if whole.outputs.average == GLOBAL else None
    for tile in tiles:
        pixels = read(image, tile, dtype)
        if rescaled:
            pixels = taken_off(pixels, level, shift)
        if whole.outputs.smoothed:
            rows, columns = tile.place(0)
            coefficients = output[:, rows, columns]
        else:
            coefficients = np.empty(tile.plan.output_shape, dtype)
        run(tile.plan, pixels[None], coefficients[None])
        if rescaled:
            give_back(tile.plan, coefficients[None], level, shift, gain)
        if means is not None:
            means += coefficients * tile.shares
        elif not whole.outputs.smoothed:
            for channel in range(whole.n_coefficients):
                maps = whole.maps_of(output, channel)
                maps[tile.place(channel)] = tile.plan.maps_of(coefficients, channel)
        release(image.images)
        release(output)
    if means is not None:
        output[...] = means


def extremes(image: Image, shape: tuple[int, int], dtype: np.dtype) -> tuple[float, float]:
    """Return the lowest and the highest finite value of an image; inf, -inf if it has none."""
    low, high = math.inf, -math.inf
    height, width = shape
    together = max(1, READ_BYTES // (width * image.images.dtype.itemsize))
    for start in range(0, height, together):
        pixels = image[start : start + together, :]
        least, most = pixels.min(), pixels.max()
        if not (np.isfinite(least) and np.isfinite(most)):
            finite = pixels[np.isfinite(pixels)]
            least, most = finite.min(initial=np.inf), finite.max(initial=-np.inf)
        low, high = min(low, float(dtype.type(least))), max(high, float(dtype.type(most)))
        release(image.images)
    return low, high


def read(image: Image, tile: ImageTile, dtype: np.dtype) -> np.ndarray:
    """Return a tile's pixels, from slices of the image."""
    pixels = np.zeros(tile.plan.input_shape, dtype)
    for rows, from_rows, down in runs(tile.rows):
        for columns, from_columns, right in runs(tile.columns):
            if from_rows and from_columns:
                pixels[rows, columns] = image[from_rows, from_columns][::down, ::right]
    return pixels


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
