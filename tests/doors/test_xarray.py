"""xarray's arrays keep their names, attributes and coordinates."""

import numpy as np
import pytest
import xarray as xr

from npscatter import ArgumentError, ArgumentTypeError, Scattering2D
from npscatter.xarray import scatter

VALUES = np.random.default_rng(0).normal(size=(3, 96, 80)).astype(np.float32)
DAYS = np.array(["2020-01-01", "2020-01-02", "2020-01-03"], "datetime64[ns]")
X = xr.DataArray(
    VALUES,
    {
        "time": DAYS,
        "lat": np.linspace(10, 20, 96),
        "lon": np.arange(80) * 0.5,
        "area": (("lat", "lon"), np.arange(96 * 80.0).reshape(96, 80)),
        "name": ("time", ["a", "b", "c"]),
    },
    ("time", "lat", "lon"),
    name="temperature",
    attrs={"units": "K"},
)
S = Scattering2D(3, (96, 80))


def test_all_that_belongs_to_it_is_kept():
    y = scatter(X, 3)
    assert y.dims == ("time", "path", "lat", "lon") and y.name == "temperature"
    assert np.array_equal(y, S(VALUES))
    assert y.attrs["units"] == "K" and y.attrs["scattering_bank_sha256"] == S.bank.sha256
    assert np.array_equal(y.lat, X.lat[::8]) and np.array_equal(y.lon, X.lon[::8])
    assert np.array_equal(y.area, X.area[::8, ::8])
    assert list(y["name"].values) == [*"abc"]
    meta = S.meta()
    for number in (1, 2):
        for name in ("j", "theta", "frequency"):
            found = y[f"{name}{number}"].values
            assert np.array_equal(found, meta[name][:, number - 1], equal_nan=name == "frequency")
    assert y.sel(path=y.order == 2).sizes["path"] == 192


def test_dimensions_may_stand_anywhere():
    y = scatter(X.transpose("lat", "time", "lon"), 3, dims=("lat", "lon"))
    assert y.dims == ("time", "path", "lat", "lon")
    xr.testing.assert_identical(y, scatter(X, 3))
    turned = scatter(X, 3, dims=("lon", "lat"))
    assert turned.dims == ("time", "path", "lon", "lat") and turned.sizes["lon"] == 10


def test_lazy_arrays_stay_lazy_and_come_back_from_a_store(tmp_path):
    lazy = scatter(X.chunk({"time": 1, "lat": 40, "lon": 80}), 3)
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), scatter(X, 3))
    lazy.to_dataset().to_zarr(tmp_path / "y", consolidated=False)
    with xr.open_zarr(tmp_path / "y", consolidated=False) as read:
        xr.testing.assert_identical(read["temperature"].compute(), scatter(X, 3))


def test_means_have_no_places():
    y = scatter(X, 3, average="global")
    assert y.dims == ("time", "path") and {"time", "name", "order"} <= {*y.coords}
    assert not {"lat", "lon", "area"} & {*y.coords}


def test_what_has_no_images_is_refused():
    with pytest.raises(ArgumentTypeError, match=r"must be an xarray\.DataArray"):
        scatter(VALUES, 3)
    with pytest.raises(ArgumentError, match=r"x\.dims=.*two dimensions or more"):
        scatter(X[0, 0], 3)
    with pytest.raises(ArgumentError, match="none of them 'path'"):
        scatter(scatter(X, 3), 2)
    with pytest.raises(ArgumentError, match=r"dims=\('lat', 'height'\): must be two of"):
        scatter(X, 3, dims=("lat", "height"))
    with pytest.raises(ArgumentError, match="average=False"):
        scatter(X, 3, average=False)
