"""Tiles: an image of any size in pieces, each with as much around it as its coefficients see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from npscatter.program.padding import Crop, Stretch
from npscatter.program.plan import Plan


@dataclass(frozen=True)
class ImageTile:
    """Some of an image's coefficients, and what they are computed from.

    Attributes
    ----------
    plan : Plan
        Of the tile alone: its images come padded. Tiles within an image have one in common.
    start : tuple of int
        Row and column of the padded image where it begins; they go round the edge if it wraps.
    whole : Plan
        Of the image.
    """

    plan: Plan
    start: tuple[int, int]
    whole: Plan

    @property
    def rows(self) -> list[int]:
        """Row of the image that each of its rows is; -1 stands for zeros."""
        return self._places(0, self.whole.rows)

    @property
    def columns(self) -> list[int]:
        """Column of the image that each of its columns is; -1 stands for zeros."""
        return self._places(1, self.whole.columns)

    def _places(self, axis: int, places: tuple[int, ...]) -> list[int]:
        start, length = self.start[axis], self.plan.input_shape[axis]
        return [places[i % len(places)] for i in range(start, start + length)]

    def place(self, channel: int) -> tuple[slice, slice]:
        """Return where in a channel's map its samples belong."""
        octave = self.whole.channel_octaves[channel]
        whole, own = (plan.channel_windows[channel] for plan in (self.whole, self.plan))
        y, x = (own[axis] + (self.start[axis] >> octave) - whole[axis] for axis in range(2))
        return slice(y, y + own[2]), slice(x, x + own[3])

    @property
    def shares(self) -> np.ndarray:
        """Return the part of every channel's samples that it has, (C, 1, 1)."""
        sizes = (
            np.prod(np.array(plan.channel_windows)[:, 2:], 1) for plan in (self.plan, self.whole)
        )
        own, all_of_them = sizes
        return (own / all_of_them)[:, None, None]


def reach(plan: Plan, sizes: Mapping[str, int]) -> int:
    """Return how many pixels beyond its own a coefficient sees, at most, to any side.

    Parameters
    ----------
    plan : Plan
        The program.
    sizes : mapping
        The side of every kernel of the bank, by the name of its array.
    """
    reaches = [0] * len(plan.buffers)
    for step in reversed(plan.steps):
        seen = 0
        if step.smoothing:
            behind = reaches[step.target.buffer] if step.target else 0
            seen = step.stride * behind + sizes[step.smoothing] // 2
        if step.wavelets:
            seen = step.wavelet_stride * seen + sizes[step.wavelets] // 2
        buffer = step.source.buffer
        reaches[buffer] = max(reaches[buffer], seen)
    return reaches[plan.image.buffer]


def cut(
    plan: Plan, halo: int, cuts: tuple[tuple[int, ...], tuple[int, ...]], as_is: bool
) -> Iterator[ImageTile]:
    """Yield the tiles of an image, row by row.

    Parameters
    ----------
    plan : Plan
        Of the whole image.
    halo : int
        The `reach` of its coefficients.
    cuts : tuple of tuple of int
        Of rows and of columns: the coefficients, at scale 2^J, that tiles begin at, from 0 on, and
        the number of coefficients.
    as_is : bool
        Tiles are computed as they come: whoever cuts takes level and magnitude of the whole image
        off them. Otherwise each has its own.
    """
    rows, columns = (list(_stretches(plan, axis, halo, cuts[axis])) for axis in range(2))
    for (y, row), (x, column) in product(rows, columns):
        yield ImageTile(plan.on(Crop(row, column, as_is)), (y, x), plan)


def plans_of(plan: Plan, halo: int, cuts: tuple[tuple[int, ...], tuple[int, ...]]) -> set[Plan]:
    """Return the plans of the tiles that `cut` would yield: few, however many tiles there are."""
    both = ({one for _, one in _stretches(plan, axis, halo, cuts[axis])} for axis in range(2))
    return {plan.on(Crop(row, column, as_is=True)) for row, column in product(*both)}


def _stretches(
    plan: Plan, axis: int, halo: int, cuts: tuple[int, ...]
) -> Iterator[tuple[int, Stretch]]:
    """Yield where each tile begins in the padded image, and what it is of it along one axis."""
    whole, period = plan.crop.stretches[axis], 2**plan.J
    (lowest, _), last = whole.kept(plan.J), len(cuts) - 2
    bounds = []
    for number, (begin, end) in enumerate(pairwise(cuts)):
        first = max(whole.before, whole.first) if number == 0 else (lowest + begin) * period
        stop = whole.before + whole.side + period if number == last else (lowest + end) * period
        start, end = (first - halo) // period * period, -(-(stop + halo) // period) * period
        if plan.edge == "zero":
            start, end = max(start, 0), min(end, whole.length)
        bounds.append((start, end, first, stop))
    if len(bounds) == 1 or any(end - start >= whole.length for start, end, _, _ in bounds):
        yield 0, whole
        return
    for number, (start, end, first, stop) in enumerate(bounds):
        before, side = first - start, stop - first
        if number == last:
            yield start, Stretch(end - start, whole.before - start, whole.side, before)
        else:
            yield start, Stretch(end - start, before, side)


def even_cuts(count: int, most: int) -> tuple[int, ...]:
    """Return where to cut so many coefficients into tiles of about as many, at most."""
    tiles = -(-count // most)
    return tuple(count * k // tiles for k in range(tiles + 1))


def runs(places: Sequence[int]) -> Iterator[tuple[slice, slice | None, int]]:
    """Cut places into runs: which they are, and the slice they come from, None for places of -1.

    The last number is -1 where that slice is to be turned round, else 1. A slice of one place is
    repeated.
    """
    begin = 0
    while begin < len(places):
        end, step = begin + 1, 0
        if end < len(places) and min(places[begin], places[end]) >= 0:
            step = places[end] - places[begin]
            step = step if abs(step) == 1 else 0
        while end < len(places) and places[end] == places[end - 1] + step:
            end += 1
        low, high = sorted((places[begin], places[end - 1]))
        yield slice(begin, end), slice(low, high + 1) if low >= 0 else None, step or 1
        begin = end
