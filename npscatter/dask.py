"""The transform of Dask arrays: lazy, of any chunks, on every scheduler."""

from __future__ import annotations

import importlib
import os
from itertools import accumulate
from typing import Any

import numpy as np

from npscatter.arguments import image_dtype
from npscatter.bank import FilterBank
from npscatter.errors import (
    ArgumentError,
    ArgumentTypeError,
    BackendError,
    explain,
    install_extra,
    one_line,
)
from npscatter.program.outputs import GLOBAL
from npscatter.program.plan import Plan
from npscatter.program.tiles import cut, reach, runs
from npscatter.scattering import Scattering2D

try:
    import dask.array as da
    from dask import delayed
    from dask.array.utils import meta_from_array
except ImportError as error:
    rule = f"npscatter.dask needs Dask ({error})"
    raise BackendError(one_line(f"{rule}: {install_extra('dask')}")) from None

__all__ = ["scatter"]

# Tiles are at least so many times as long as what is computed twice around them.
LEAST_TILE = 4


def scatter(
    x: da.Array,
    J: int = 2,
    *,
    L: int | None = 8,
    max_order: int = 2,
    bank: str | os.PathLike | FilterBank = "accurate",
    backend: str = "auto",
    boundary: str | None = None,
    average: bool | str = True,
    oversampling: int = 0,
    paths: Any = None,
) -> da.Array:
    """Return the scattering coefficients of a Dask array, lazily."""
    if not isinstance(x, da.Array):
        raise ArgumentTypeError(
            explain("x", type(x), "must be a Dask array", "use npscatter.scatter")
        )
    image_dtype("x.dtype", x.dtype)
    if x.ndim < 2 or np.isnan(x.shape).any():
        rule, remedy = (
            "must be (..., H, W), all known",
            "reshape it, or call x.compute_chunk_sizes()",
        )
        raise ArgumentError(explain("x.shape", x.shape, rule, remedy))
    S = Scattering2D(
        *(J, x.shape[-2:], L, max_order, False, backend),
        bank=bank,
        boundary=boundary,
        average=average,
        oversampling=oversampling,
        paths=paths,
        threads=1 if backend in ("auto", "numba") else None,
    )
    if average is False:
        rule = "gives maps of several sizes, which are no array"
        raise ArgumentError(explain("average", average, rule, "pass average=True or 'global'"))
    halo = reach(S.plan, {key: S.bank[key].shape[-1] for key in S.bank})
    cuts = tuple(_cuts(S.plan, axis, halo, x.chunks[axis - 2]) for axis in range(2))
    tiles = list(cut(S.plan, halo, cuts, as_is=False))
    shared = delayed(S, pure=True)
    if len(tiles) == 1:
        return _transformed(x, S, S.plan, shared)
    bands = {tile.start[0]: _taken(x, -2, tile.rows) for tile in tiles}
    parts = [
        _transformed(_taken(bands[tile.start[0]], -1, tile.columns), S, tile.plan, shared)
        for tile in tiles
    ]
    if average == GLOBAL:
        shares = [tile.shares[:, 0, 0].astype(parts[0].dtype) for tile in tiles]
        return sum(part * share for part, share in zip(parts, shares, strict=True))
    across = len(tiles) // len(bands)
    rows = [parts[start : start + across] for start in range(0, len(parts), across)]
    return da.concatenate([da.concatenate(row, -1) for row in rows], -2)


def _cuts(plan: Plan, axis: int, halo: int, chunks: tuple[int, ...]) -> tuple[int, ...]:
    """Return the coefficients that tiles begin at: those nearest to where chunks do."""
    period, count = 2**plan.J, plan.shape[axis] >> plan.J
    least = -(-LEAST_TILE * halo // period)
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


def _transformed(images: da.Array, S: Scattering2D, plan: Plan, shared: Any) -> da.Array:
    """Return what a plan's program makes of images, whose sides become one chunk each."""
    images = images.rechunk({-2: -1, -1: -1})
    averages, axis = plan.outputs.average == GLOBAL, images.ndim - 2
    sizes = plan.output_shape[:1] if averages else plan.output_shape
    dtype = np.result_type(images.dtype, np.float32)
    return images.map_blocks(
        _transform,
        shared,
        plan,
        chunks=(*images.chunks[:-2], *((size,) for size in sizes)),
        drop_axis=[axis, axis + 1] if averages else [],
        new_axis=[axis],
        dtype=dtype,
        meta=meta_from_array(images._meta, axis + len(sizes), dtype),
        name=None,
    )


def _transform(images: Any, S: Scattering2D, plan: Plan) -> Any:
    """Return the coefficients of one chunk; a task."""
    coefficients = S.of_plan(plan)(images)
    if isinstance(coefficients, np.ndarray):
        return coefficients
    return importlib.import_module("cupy").asarray(coefficients)
