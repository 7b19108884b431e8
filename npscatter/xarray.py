"""The transform of xarray's labelled arrays: dimensions, coordinates and attributes are kept."""

from __future__ import annotations

import importlib
from collections.abc import Hashable
from typing import Any

import npscatter
from npscatter.arguments import is_lazy
from npscatter.errors import ArgumentError, ArgumentTypeError, explain, lacking
from npscatter.program.outputs import GLOBAL
from npscatter.scattering import Scattering2D
from npscatter.scattering.settings import refuse_several_sizes

try:
    import xarray as xr
except ImportError as error:
    raise lacking("xarray", "xarray", error) from None

__all__ = ["scatter"]


def scatter(
    x: xr.DataArray,
    J: int = 2,
    *,
    dims: tuple[Hashable, Hashable] | None = None,
    **options: Any,
) -> xr.DataArray:
    """Return the scattering coefficients of a DataArray: lazily, if it holds a Dask array.

    Parameters
    ----------
    x : xarray.DataArray
        Real images, along two of its dimensions.
    J : int, optional
        As for `npscatter.Scattering2D`.
    dims : tuple of hashable, optional
        The dimensions of rows and of columns; by default the last two.
    **options
        As for `npscatter.dask.scatter`. Means (``average="global"``) have no rows and columns.

    Returns
    -------
    xarray.DataArray
        Of dimensions (..., path, rows, columns), with the name and the attributes of `x`, what it
        was computed with as attributes besides, and its coordinates. Coefficients have those of the
        pixels that they are centred on. Paths have the coordinates ``order``, ``j1``, ``theta1``,
        ``j2``, ``theta2`` (-1 where there is none), ``frequency1`` and ``frequency2`` (cycles per
        pixel, NaN where there is none): see ``npscatter.Scattering2D.meta``.

    Raises
    ------
    ArgumentError, ArgumentTypeError, BankError, BackendError
        As `npscatter.Scattering2D` and `npscatter.dask.scatter` do.

    Examples
    --------
    >>> import numpy as np, xarray
    >>> from npscatter.xarray import scatter
    >>> axes = {"dec": np.arange(64.0), "ra": np.arange(48.0)}
    >>> S = scatter(xarray.DataArray(np.zeros((64, 48)), axes), J=3)
    >>> S.dims, S.ra.values
    (('path', 'dec', 'ra'), array([ 0.,  8., 16., 24., 32., 40.]))
    >>> S.sel(path=S.order == 1).shape
    (24, 8, 6)
    """
    if not isinstance(x, xr.DataArray):
        remedy = "pass one variable of a Dataset, or use npscatter.scatter"
        raise ArgumentTypeError(explain("x", type(x), "must be an xarray.DataArray", remedy))
    rows, columns = _spatial(x, dims)
    images = x.transpose(..., rows, columns)
    S = Scattering2D(J, images.shape[-2:], **options)
    refuse_several_sizes(S)
    if is_lazy(images.data):
        coefficients = importlib.import_module("npscatter.dask").scatter(images.data, J, **options)
    else:
        coefficients = S(images.data)
    maps = () if S.average == GLOBAL else (rows, columns)
    return xr.DataArray(
        coefficients,
        dims=(*images.dims[:-2], "path", *maps),
        coords=_coordinates(images, S, maps) | _paths(S),
        name=x.name,
        attrs=x.attrs | _made_with(S),
    )


def _spatial(x: xr.DataArray, dims: tuple[Hashable, Hashable] | None) -> tuple[Hashable, Hashable]:
    """Return the dimensions of rows and columns, checked."""
    if x.ndim < 2 or "path" in x.dims:
        rule = "must be two dimensions or more, none of them 'path'"
        raise ArgumentError(explain("x.dims", x.dims, rule, "expand or rename them"))
    chosen = x.dims[-2:] if dims is None else tuple(dims)
    if len(chosen) != 2 or len({*chosen} & {*x.dims}) != 2:
        rule = f"must be two of {x.dims}"
        raise ArgumentError(explain("dims", dims, rule, "name those of rows and of columns"))
    return chosen


def _coordinates(images: xr.DataArray, S: Scattering2D, maps: tuple) -> dict:
    """Return the coordinates that remain: of maps, of the pixels coefficients are centred on."""
    *_, rows, columns = images.dims
    if not maps:
        gone = {rows, columns}
        return {name: one for name, one in images.coords.items() if not gone & {*one.dims}}
    y, x = S.plan.positions()
    centres = {rows: list(y), columns: list(x)}
    return dict(images.coords.to_dataset().isel(centres, missing_dims="ignore").coords)


def _paths(S: Scattering2D) -> dict:
    """Return the coordinates of paths."""
    meta = S.meta()
    coordinates = {"order": ("path", meta["order"])}
    for number in range(2):
        for name in ("j", "theta", "frequency"):
            coordinates[f"{name}{number + 1}"] = ("path", meta[name][:, number])
    return coordinates


def _made_with(S: Scattering2D) -> dict:
    """Return what coefficients were computed with, as attributes."""
    return {
        "npscatter_version": npscatter.__version__,
        "scattering_J": S.J,
        "scattering_L": S.L,
        "scattering_bank": S.bank.name,
        "scattering_bank_sha256": S.bank.sha256,
        "scattering_boundary": S.boundary,
    }
