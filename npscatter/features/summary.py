"""Summaries by name: steps that follow one another, each made of this package's functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from npscatter.arguments import one_of
from npscatter.errors import ArgumentError, explain
from npscatter.features.channels import Meta, join, select
from npscatter.features.statistics import (
    isotropic,
    logarithm,
    normalized,
    s21,
    s22,
    spatial_mean,
    spatial_std,
    square_mean,
)
from npscatter.program.outputs import GLOBAL

# Maps (n, ..., C, h, w); or of moduli, each on a grid of its own, a list of (n, ..., h, w).
Maps = np.ndarray | list[np.ndarray]


def _reduced(values: np.ndarray, meta: Meta, axis: int) -> tuple[np.ndarray, Meta]:
    low = isotropic(*select(values, meta, order=(0, 1), axis=axis), axis=axis)
    of_pairs = (one(values, meta, axis=axis) for one in (s21, s22))
    return join(low, *of_pairs, axis=axis)


# What makes a number of every map, and what may come before it or after it.
_OVER_THE_IMAGE: dict[str, tuple[Callable, ...]] = {
    "mean": (spatial_mean,),
    "std": (spatial_std,),
    "mean_std": (spatial_mean, spatial_std),
}
_ALONG_CHANNELS = {"normalized": normalized, "isotropic": isotropic, "reduced": _reduced}
SUMMARIES = (*_OVER_THE_IMAGE, *_ALONG_CHANNELS, "square", "log")


def summarized(
    maps: Maps,
    meta: Meta,
    steps: Sequence[str],
    average: bool | str = True,
    floor: float = 1e-6,
) -> tuple[Maps, Meta, int]:
    """Return what steps make of maps, its meta, and the axis of the channels: -3 of maps, or -1.

    Parameters
    ----------
    maps : ndarray (n, ..., C, h, w) or list of ndarray (n, ..., h, w)
        The coefficients of n images. With ``average="global"`` h = w = 1.
    meta : dict
        From ``Scattering2D.meta()``.
    steps : sequence of str
        Of `SUMMARIES`.
    average : bool or "global", optional
        Of the transform.
    floor : float, optional
        Of ``"log"``; see `logarithm`.

    Raises
    ------
    ArgumentError
        If a step is unknown, or cannot follow what came before it.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.features.summary import summarized
    >>> S = Scattering2D(J=2, shape=(32, 32))
    >>> summarized(S(np.ones((5, 32, 32))), S.meta(), ("mean", "isotropic"))[0].shape
    (5, 11)
    """
    axis = -3
    for step in steps:
        one_of("summary", step, SUMMARIES)
        if step in _OVER_THE_IMAGE:
            _check_moment(step, average, axis)
            maps, meta = join(*(_moment(of, maps, meta) for of in _OVER_THE_IMAGE[step]), axis=-1)
            axis = -1
        elif isinstance(maps, list):
            rule = "needs numbers, or maps of one size, and average=False makes several"
            raise ArgumentError(explain("summary", step, rule, f'pass ("mean", "{step}")'))
        elif step == "log":
            maps, meta = logarithm(maps, meta, floor, axis)
        elif step in _ALONG_CHANNELS:
            maps, meta = _ALONG_CHANNELS[step](maps, meta, axis)
        elif axis == -3 and average != GLOBAL:
            rule, remedy = "needs numbers, not maps", 'pass ("mean", "square")'
            raise ArgumentError(explain("summary", step, rule, remedy))
        else:
            maps, meta = square_mean(maps if axis == -1 else maps[..., 0, 0], meta)
            axis = -1
    return maps, meta, axis


def _moment(of: Callable, maps: Maps, meta: Meta) -> tuple[np.ndarray, Meta]:
    """Return a number of every map (n, ..., C)."""
    if isinstance(maps, np.ndarray):
        return of(maps, meta)
    rows = ({key: column[[c]] for key, column in meta.items()} for c in range(len(maps)))
    parts = (of(one[..., None, :, :], row) for one, row in zip(maps, rows, strict=True))
    return join(*parts, axis=-1)


def _check_moment(step: str, average: bool | str, axis: int) -> None:
    """Raise an `ArgumentError` unless there are maps for a number over the image."""
    if axis == -1:
        rule = "follows what made numbers of the maps already"
        raise ArgumentError(explain("summary", step, rule, 'pass e.g. "mean" once'))
    if average == GLOBAL and step != "mean":
        rule = f"needs maps, and average={GLOBAL!r} makes one number of each"
        raise ArgumentError(explain("summary", step, rule, 'pass "mean", or average=True'))
