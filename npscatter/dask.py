"""The transform of Dask arrays: lazy, of any chunks, on every scheduler."""

from __future__ import annotations

import importlib
from itertools import accumulate
from typing import Any

import numpy as np

from npscatter.arguments import image_dtype
from npscatter.bank.cascade import halo
from npscatter.errors import ArgumentError, ArgumentTypeError, explain, lacking
from npscatter.program.outputs import GLOBAL
from npscatter.program.plan import Plan
from npscatter.program.tiles import cut, runs
from npscatter.scattering import Scattering2D
from npscatter.scattering.settings import refuse_several_sizes

try:
    import dask.array as da
    from dask import delayed
    from dask.array.utils import meta_from_array
    from dask.base import tokenize
except ImportError as error:
    raise lacking("dask", "Dask", error) from None

__all__ = ["scatter"]

# The arguments of `npscatter.Scattering2D` that it takes.
OPTIONS = ("L", "max_order", "bank", "backend", "boundary", "average", "oversampling", "paths")
OPTIONS += ("memory",)
# Tiles are at least so many times as long as what is computed twice around them.
LEAST_TILE = 4


def scatter(
    x: da.Array,
    J: int = 2,
    **options: Any,
) -> da.Array:
    """Return the scattering coefficients of a Dask array, lazily.

    Large images are computed in tiles that follow the chunks, each with as much around it as its
    coefficients see, which is sliced from other chunks; so chunks may have any size, and sides that
    are no multiple of 2^J. On a CPU those that need more than `memory` are cut into smaller tiles.
    A task has one thread.

    Parameters
    ----------
    x : dask.array.Array, shape (..., H, W)
        Real images; any chunks, also along H and W. Chunks may be CuPy's with ``backend="cuda"``.
    J : int, optional
        As for `npscatter.Scattering2D`.
    **options
        Of its arguments `L`, `max_order`, `bank`, `backend`, `boundary`, `oversampling`, `paths`,
        `memory`; and `average`, which may be True, or "global" for means.

    Returns
    -------
    dask.array.Array, shape (..., C, H // 2^J, W // 2^J)
        (..., C) of means. float32 or float64. Chunks along H and W are those of `x`, or several of
        them, in coefficients.

    Raises
    ------
    ArgumentError, ArgumentTypeError, BankError, BackendError
        As `npscatter.Scattering2D` does. Nothing is computed meanwhile.

    Notes
    -----
    What is computed does not depend on the chunks, bit for bit, of images of ordinary magnitude
    with no part on a level (`npscatter.Scattering2D.__call__`): both are told tile by tile here, as
    looking at a whole image first would keep all of its chunks in memory. Otherwise, and for means,
    it is the same but for rounding.

    Examples
    --------
    >>> import dask.array
    >>> from npscatter.dask import scatter
    >>> images = dask.array.zeros((10, 2000, 3000), chunks=(1, 500, 500), dtype="uint8")
    >>> scatter(images, J=4)
    dask.array<concatenate, shape=(10, 417, 125, 187), dtype=float32, ...
    """
    if not isinstance(x, da.Array):
        remedy = "pass dask.array.from_array(x), or use npscatter.scatter"
        raise ArgumentTypeError(explain("x", type(x), "must be a Dask array", remedy))
    image_dtype("x.dtype", x.dtype)
    if x.ndim < 2 or np.isnan(x.shape).any():
        rule, remedy = (
            "must be (..., H, W), all known",
            "reshape it, or call x.compute_chunk_sizes()",
        )
        raise ArgumentError(explain("x.shape", x.shape, rule, remedy))
    if unknown := sorted({*options} - {*OPTIONS}):
        rule = "is no option of Dask's arrays"
        raise ArgumentTypeError(explain(unknown[0], options[unknown[0]], rule, f"one of {OPTIONS}"))
    S = Scattering2D(J, x.shape[-2:], **options)
    if "threads" in S._backend.OPTIONS:
        S.threads = 1
    refuse_several_sizes(S)
    seen = halo(S.plan, S.bank)
    cuts = tuple(_cuts(S.plan, axis, seen, x.chunks[axis - 2]) for axis in range(2))
    tiles = list(cut(S.plan, seen, cuts, as_is=False))
    shared = delayed(S, pure=True)
    if len(tiles) == 1:
        return _transformed(x, S, S.plan, shared)
    bands = {tile.start[0]: _taken(x, -2, tile.rows) for tile in tiles}
    averages = S.average == GLOBAL
    parts = [
        _transformed(
            _taken(bands[tile.start[0]], -1, tile.columns),
            *(S, tile.plan, shared, tile.shares[:, 0, 0] if averages else None),
        )
        for tile in tiles
    ]
    if averages:
        return sum(parts)
    across = len(tiles) // len(bands)
    rows = [parts[start : start + across] for start in range(0, len(parts), across)]
    return da.concatenate([da.concatenate(row, -1) for row in rows], -2)


def _cuts(plan: Plan, axis: int, seen: int, chunks: tuple[int, ...]) -> tuple[int, ...]:
    """Return the coefficients that tiles begin at: those nearest to where chunks do."""
    period, count = 2**plan.J, plan.shape[axis] >> plan.J
    least = -(-LEAST_TILE * seen // period)
    cuts = [0]
    for pixel in accumulate(chunks[:-1]):
        coefficient = round(pixel / period)
        if coefficient - cuts[-1] >= least and count - coefficient >= least:
            cuts.append(coefficient)
    return (*cuts, count)


def _taken(x: da.Array, axis: int, places: list[int]) -> da.Array:
    """Return rows (axis -2) or columns (-1) of images, by slices; of place -1 zeros."""
    parts = []
    for some, source, step in runs(places):
        length = some.stop - some.start
        shape = list(x.shape)
        shape[axis] = length
        if source is None:
            parts.append(da.zeros_like(x, shape=tuple(shape), chunks="auto"))
            continue
        part = x[(..., source, *(slice(None),) * (-1 - axis))]
        part = da.flip(part, axis) if step < 0 else part
        parts.append(part if part.shape[axis] == length else da.repeat(part, length, axis))
    return da.concatenate(parts, axis)


def _transformed(
    images: da.Array, S: Scattering2D, plan: Plan, shared: Any, shares: np.ndarray | None = None
) -> da.Array:
    """Return what a plan's program makes of images, whose sides become one chunk each.

    Of means it is the image's `shares` of every channel that a tile has.
    """
    images = images.rechunk({-2: -1, -1: -1})
    averages, axis = plan.outputs.average == GLOBAL, images.ndim - 2
    # Dask would look through all of a plan's numbers for lazy ones, and so name it.
    lazy_plan = delayed(plan, f"plan-{tokenize(plan.__reduce__()[1])}", traverse=False)
    sizes = plan.output_shape[:1] if averages else plan.output_shape
    dtype = np.result_type(images.dtype, np.float32)
    return images.map_blocks(
        _transform,
        shared,
        lazy_plan,
        shares,
        chunks=(*images.chunks[:-2], *((size,) for size in sizes)),
        drop_axis=[axis, axis + 1] if averages else [],
        new_axis=[axis],
        dtype=dtype,
        meta=meta_from_array(images._meta, axis + len(sizes), dtype),
        name=None,
    )


def _transform(images: Any, S: Scattering2D, plan: Plan, shares: np.ndarray | None) -> Any:
    """Return the coefficients of one chunk, or their shares of means; a task."""
    coefficients = S.of_plan(plan)(images)
    as_theirs = np.asarray
    if not isinstance(coefficients, np.ndarray):
        as_theirs = importlib.import_module("cupy").asarray
        coefficients = as_theirs(coefficients)
    if shares is not None:
        coefficients *= as_theirs(shares.astype(coefficients.dtype))
    return coefficients
