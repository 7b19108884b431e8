"""What a block of threads works on, and where that lies: words that the kernel's stages share."""

from __future__ import annotations

from typing import NamedTuple

from numpy import int32

from npscatter.backends.gpu.target import device


class Arrays(NamedTuple):
    """What a kernel reads and writes: arrays on the GPU, and a number."""

    images: object  # (N, H, W)
    rows: object  # the plan's
    columns: object
    workspace: object  # flat
    output: object  # flat
    records: object  # of the images' levels and shifts, see `npscatter.backends.gpu.magnitudes`
    aligned: int  # whether rows of the output start at multiples of 16 bytes
    channels: object  # the table of output channels
    starts: object  # of every channel, or of its cells, in an image's output


class Block(NamedTuple):
    """A thread's number in its block, and what the block works on."""

    thread: int
    threads: int
    bundle: int  # of stacks, side by side
    strip: int
    band: int


class TargetRuns(NamedTuple):
    """Which runs of the target a block smooths in an advance, and by which threads."""

    thread: int
    threads: int
    stack: int
    row: int
    rows: int
    per_rows: int  # for `divided`
    column: int
    runs: int  # in a row
    per_runs: int


class Smoothing(NamedTuple):
    """A smoothing, of the moduli or of the source: numbers a kernel is compiled for."""

    stride: int
    radius: int
    paths: int  # per stack: as many as there are moduli, or one
    carried: int  # maps that are written per path
    run: int  # neighbours that a thread sums
    halo: int  # columns of the tile in front of those the first sample stands for


@device
def wrapped(place, size):
    """Return place modulo size; places are rarely far outside, divisions slow."""
    while place < 0:
        place = int32(place + size)
    while place >= size:
        place = int32(place - size)
    return place


@device
def bounds(number, size, whole):
    """Return the bounds of block `number` of `whole` elements that are cut into equal blocks."""
    start = int32(number * size)
    return start, int32(min(start + size, whole))


@device
def column_in_row(x, phase_stride):
    """Return where column `x` of a tile lies in its row."""
    return int32((x >> 1) + (x & 1) * phase_stride)
