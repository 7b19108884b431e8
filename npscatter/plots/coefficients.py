"""The coefficients of one image, as a disc or as maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from npscatter.arguments import check_plain, integer, one_of, pair
from npscatter.errors import ArgumentError, ArgumentTypeError, explain
from npscatter.plots.disc import draw_disc
from npscatter.plots.drawing import TITLE, axes_for, checked_transform
from npscatter.plots.maps import draw_maps
from npscatter.scattering import Scattering2D

_ONE_IMAGE = "pass S(x) of one image, e.g. S(x)[0]"


def plot_coefficients(
    S: Scattering2D,
    y: Any,
    position: tuple[int, int] | None = None,
    *,
    order: int | None = None,
    view: str = "disc",
    axes: Any = None,
) -> Any:
    """Draw the coefficients of one image, as a disc of wedges or as maps.

    A disc shows the coefficients of one place, or their means, as a spectrum is shown: the wedge of
    S1[j, theta] lies where the wave vector of its wavelet points, in the directions of the picture
    (axis 0 downwards, axis 1 to the right), and opposite, finer scales further out. So horizontal
    edges are bright above and below the middle, vertical ones left and right of it. The rings are
    of one width. In the disc of S2 the wedge of (j1, theta1) is cut into rings, finer j2 further
    out, and sectors of theta2: in the middle theta2 = theta1, towards the sides the orientations
    that differ by up to 90 degrees, which is halved between both. A picture that is turned by
    90 degrees, or mirrored, has its disc turned or mirrored. (After J. Bruna and S. Mallat,
    Invariant scattering convolution networks, 2013, figure 3, whose sectors stand in the order of
    theta2.)

    Parameters
    ----------
    S : Scattering2D
        What made the coefficients.
    y : array_like, shape (C, h, w) or (C,), or list of dict
        What it made of one image; also tensors of Torch's, whatever gradient they record. NaN and
        infinity are left blank.
    position : tuple of int, optional
        Row and column of the output sample whose coefficients a disc shows; by default their means.
    order : int, optional
        Draw the coefficients of this order alone.
    view : str, optional
        "disc", or "maps": a map for every channel, a row for each first and a column for each
        second wavelet; in order 1 rows are scales and columns orientations.
    axes : Axes or sequence of Axes, optional
        Where to draw: one for each order. By default a new figure's.

    Returns
    -------
    Axes, or ndarray of Axes
        One if `order` is given; else one for each order, from 1 for discs and from 0 for maps.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If `y` is not what `S` makes of one image, or nothing of it is finite; or if there is no
        such order, place or view.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.plots import plot_coefficients
    >>> S = Scattering2D(J=3, shape=(64, 64), backend="numpy")
    >>> stripes = np.tile(np.cos(0.75 * np.pi * np.arange(64)), (64, 1))  # vertical ones
    >>> first, second = plot_coefficients(S, S(stripes))
    """
    one_of("view", view, ("disc", "maps"))
    meta, maps = checked_transform(S).meta(), _maps(S, y)
    there = [int(one) for one in np.unique(meta["order"]) if view == "maps" or one > 0]
    if not there:
        rule = "shows orders 1 and 2, and there is order 0 alone"
        raise ArgumentError(explain("view", view, rule, "pass view='maps'"))
    if order is not None:
        order = integer("order", order)
        one_of("order", order, tuple(there), "pass one of them, or None for all")
    orders = there if order is None else [order]
    if view == "maps":
        if position is not None:
            rule = "is the place of the coefficients of a disc, and view='maps' shows all of them"
            raise ArgumentError(explain("position", position, rule, "pass None, or view='disc'"))
        _check_finite(maps, meta, orders)
        widths = [{0: 3.9, 1: 6.2, 2: 5.6}[each] for each in orders]
        height = 4.6
        if orders == [1]:  # rows of L maps
            rows, columns = maps[-1].shape
            height = min(height, 1.2 + 5.2 * S.J * rows / (S.L * columns))
        drawn = axes_for(axes, widths, height)
        for each, cell in zip(orders, drawn, strict=True):
            draw_maps(cell, maps, meta, S.J, S.L, each)
    else:
        values = _values(maps, position)
        _check_finite(values, meta, orders)
        drawn = axes_for(axes, [5.2] * len(orders), 4.6)
        for each, cell in zip(orders, drawn, strict=True):
            draw_disc(cell, values, meta, S.J, S.L, each)
            place = "mean over the image" if position is None else f"at {tuple(map(int, position))}"
            cell.set_title(f"$S_{each}$, {place}", fontsize=TITLE)
    return drawn if order is None else drawn[0]


def _maps(S: Scattering2D, y: Any) -> list[np.ndarray]:
    """Return the map of every channel, of one sample where there are but means."""
    C = S.n_coefficients
    if isinstance(y, list) and all(isinstance(one, dict) and "coef" in one for one in y):
        maps = [_numbers(one["coef"]) for one in y]
    else:
        y = _numbers(y)
        maps = list(y) if y.ndim == 3 else list(y[:, None, None]) if y.ndim == 1 else []
    if len(maps) != C or any(one.ndim != 2 for one in maps):
        got = f"a list of {len(y)}" if isinstance(y, list) else y.shape
        rule = f"must be one image's coefficients, ({C}, h, w) or ({C},)"
        raise ArgumentError(explain("y.shape", got, rule, _ONE_IMAGE))
    return maps


def _numbers(y: Any) -> np.ndarray:
    """Return coefficients as a plain array, from where they lie, without a gradient, or raise."""
    if callable(getattr(y, "detach", None)) and callable(getattr(y, "cpu", None)):
        y = y.detach().cpu()
    check_plain("y", y)
    failure = ""
    try:
        array = np.asarray(y)
    except Exception as error:  # arrays of others have errors of their own
        failure = f" ({error})"
    if failure or array.dtype.kind not in "biuf":
        rule = f"must be real numbers, one image's coefficients{failure}"
        raise ArgumentTypeError(explain("y", y, rule, _ONE_IMAGE))
    return array


def _check_finite(values: Any, meta: dict[str, np.ndarray], orders: list[int]) -> None:
    """Raise unless something of every order, of its values or of its maps, is finite."""
    for order in orders:
        chosen = np.flatnonzero(meta["order"] == order)
        if not any(np.isfinite(values[channel]).any() for channel in chosen):
            rule = f"holds no finite value of order {order} to draw"
            remedy = "look for NaN and infinity in the image, e.g. np.isfinite(x).all()"
            raise ArgumentError(explain("y", values, rule, remedy))


def _values(maps: list[np.ndarray], position: tuple[int, int] | None) -> np.ndarray:
    """Return the coefficients at one output sample, or their means."""
    if position is None:
        with np.errstate(invalid="ignore"):  # infinity of both signs
            return np.array([one.mean() for one in maps])
    row, column = pair("position", position, "of integers", "pass (row, column)")
    shapes = {one.shape for one in maps}
    if len(shapes) > 1:
        rule = "names no one place where channels have their own resolutions"
        raise ArgumentError(explain("position", position, rule, "pass None"))
    h, w = shapes.pop()
    if not (0 <= row < h and 0 <= column < w):
        rule = f"must lie within the {h} x {w} output samples"
        remedy = f"pass a row from 0 to {h - 1} and a column from 0 to {w - 1}, or None"
        raise ArgumentError(explain("position", position, rule, remedy))
    return np.array([one[row, column] for one in maps])
