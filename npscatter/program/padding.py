"""Boundaries: what lies beyond the edge, and where the pixels of the padded image come from."""

from __future__ import annotations

from dataclasses import dataclass

from npscatter.arguments import image_shape, integer
from npscatter.errors import ArgumentError, explain

BOUNDARIES = ("kymatio", "zero", "periodic", "symmetric", "constant")
# The most that plans are made for: every padded row and column has its number in a plan. That of
# the longest side takes a second.
LARGEST_SIDE = 2**18


def edge_of(boundary: str) -> str:
    """Return what every correlation does beyond the edge of its maps: "wrap" or "zero"."""
    return "zero" if boundary == "zero" else "wrap"


def padded_side(side: int, period: int) -> int:
    """Return the pixels that Kymatio pads a side to, for a period of 2^J."""
    return ((side + period) // period + 1) * period


def padding(side: int, period: int, boundary: str, pre_pad: bool) -> tuple[tuple[int, ...], int]:
    """Return the image index of every padded sample of one axis, and how many come before pixel 0.

    Kymatio pads to ``((M + 2^J) // 2^J + 1) 2^J``, the odd pixel to the right
    (kymatio/scattering2d/utils.py).

    Parameters
    ----------
    side : int
        Pixels of the unpadded image along the axis.
    period : int
        2^J.
    boundary : str
        One of `BOUNDARIES`.
    pre_pad : bool
        The image comes padded.

    Returns
    -------
    indices : tuple of int
        -1 stands for a zero.
    before : int
        Samples in front of the image's first pixel.
    """
    padded = padded_side(side, period)
    before = (padded - side) // 2
    if pre_pad:
        return tuple(range(padded)), before
    if boundary == "periodic":
        return tuple(range(side)), 0
    if boundary == "zero":
        # Only as many zeros in front as put output samples on the pixels where Kymatio has them.
        before %= period
        return (-1,) * before + tuple(range(side)), before
    beyond = range(-before, padded - before)
    if boundary == "constant":
        return tuple(min(max(i, 0), side - 1) for i in beyond), before
    # Reflection is periodic, however far it goes: about the edge pixels, or the edges themselves.
    repeats, mirror = (2 * side, 2 * side - 1)
    if boundary == "kymatio":
        repeats = mirror = 2 * side - 2
    positions = (i % repeats for i in beyond)
    return tuple(min(i, mirror - i) for i in positions), before


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows or columns of a padded image, and which of them are kept.

    Attributes
    ----------
    length : int
        How many there are.
    before : int
        Of them, those before the image; negative if it begins in front of them.
    side : int
        Those of the image, but for what is behind the part that is kept.
    first : int
        Where the part that is kept begins, at the image's beginning or later: 0, or a multiple of
        2^J.
    """

    length: int
    before: int
    side: int
    first: int = 0

    def kept(self, octave: int) -> tuple[int, int]:
        """Return the first sample that is kept of the grid halved so often, and how many.

        They are those on the image, as many as an image halved so often has. At octave J Kymatio
        crops the same: one sample per side.
        """
        begin, count = -(-self.before >> octave), self.side >> octave
        first = max(begin, self.first >> octave)
        return first, begin + count - first


@dataclass(frozen=True, slots=True)
class Crop:
    """What is kept of padded grids.

    Attributes
    ----------
    rows, columns : Stretch
        Along both axes.
    as_is : bool
        Images are computed as they come: neither level nor magnitude is taken off them.
    """

    rows: Stretch
    columns: Stretch
    as_is: bool = False

    @property
    def stretches(self) -> tuple[Stretch, Stretch]:
        """Both axes."""
        return self.rows, self.columns

    def window(self, octave: int) -> tuple[int, int, int, int]:
        """Return the first row and column that are kept of a grid, and how many of each."""
        (y, height), (x, width) = self.rows.kept(octave), self.columns.kept(octave)
        return y, x, height, width


def shape_before_padding(J: int, padded_shape: tuple[int, int]) -> tuple[int, int]:
    """Return the (H, W) that images of `padded_shape`, padded by 2^J on every side, had.

    Raises
    ------
    ArgumentError
        Unless both padded sides are multiples of 2^J, at least 3 2^J.
    """
    J, padded_shape = integer("J", J), image_shape(padded_shape)
    check_sides(padded_shape)
    check_scale(J, padded_shape)
    period = 2**J
    if any(side % period or side < 3 * period for side in padded_shape):
        raise ArgumentError(
            explain(
                "x.shape[-2:]",
                padded_shape,
                f"with pre_pad=True both must be multiples of 2^J = {period}, "
                f"at least {3 * period}",
                f"pad the images to multiples of {period}, then by {period} on every side, or use "
                "pre_pad=False",
            )
        )
    return padded_shape[0] - 2 * period, padded_shape[1] - 2 * period


def check_sides(shape: tuple[int, int]) -> None:
    """Raise an `ArgumentError` if a side of images is longer than plans are made for."""
    if max(shape) > LARGEST_SIDE:
        rule = f"a side may have {LARGEST_SIDE} pixels at most"
        raise ArgumentError(explain("shape", shape, rule, "cut the images into tiles"))


def check_scale(J: int, shape: tuple[int, int]) -> None:
    """Raise an `ArgumentError` unless images of a shape have a scale 2^J."""
    largest = min(shape).bit_length() - 1
    if not 1 <= J <= largest:
        raise ArgumentError(
            explain(
                "J",
                J,
                f"must be at least 1 and 2^J at most the smallest dimension of shape={shape}",
                f"pass J between 1 and {largest}" if largest else "pass larger images",
            )
        )


def check_period(J: int, shape: tuple[int, int]) -> None:
    """Raise an `ArgumentError` unless images of a shape can be their own period."""
    period = 2**J
    if any(side % period for side in shape):
        raise ArgumentError(
            explain(
                "shape",
                shape,
                f"under boundary='periodic' both sides must be multiples of 2^J = {period}",
                "crop or pad the images, lower J, or use boundary='kymatio'",
            )
        )
