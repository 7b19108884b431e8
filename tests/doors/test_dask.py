"""Dask arrays: lazy, and the same whatever the chunks and the scheduler."""

import sys
import types

import dask
import dask.array as da
import distributed
import numpy as np
import pytest
from dask.array import register_chunk_type
from hypothesis import given
from hypothesis import strategies as st

from npscatter import ArgumentError, ArgumentTypeError, Scattering2D
from npscatter.backends import tiled
from npscatter.dask import scatter
from npscatter.program.padding import BOUNDARIES


def image(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


X = image((2, 140, 120))


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(
    "chunks", [(1, 140, 120), (2, 70, 60), (1, 7, 11), (1, 64, 33), (2, 139, 120)]
)
def test_chunks_do_not_matter(boundary, chunks):
    y = scatter(da.from_array(X, chunks), 2, boundary=boundary)
    whole = Scattering2D(2, (140, 120), boundary=boundary)(X)
    assert y.shape == whole.shape and y.dtype == whole.dtype
    assert isinstance(y._meta, np.ndarray) and y._meta.ndim == y.ndim
    assert np.array_equal(y.compute(scheduler="sync"), whole)


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.lists(st.integers(1, 60), min_size=1, max_size=8),
    st.sampled_from([True, "global"]),
    st.sampled_from(["kymatio", "zero"]),
)
def test_random_chunks_do_not_matter(rows, columns, average, boundary):
    shape = max(8, sum(rows)), max(8, sum(columns))
    rows[-1] += shape[0] - sum(rows)
    columns[-1] += shape[1] - sum(columns)
    x = image(shape)
    options = {"boundary": boundary, "average": average, "bank": "fast"}
    y = scatter(da.from_array(x, (tuple(rows), tuple(columns))), 2, **options)
    whole = Scattering2D(2, shape, **options)(x)
    tolerance = 0 if average is True else 1e-6
    np.testing.assert_allclose(y.compute(scheduler="sync"), whole, tolerance, tolerance)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_chunks_that_need_more_than_memory_are_cut_again(boundary, monkeypatch):
    tiles, run_tiled = [], tiled.run_tiled
    monkeypatch.setattr(tiled, "run_tiled", lambda *a: (tiles.append(len(a[0])), run_tiled(*a)))
    x = image((2, 300, 240))
    y = scatter(da.from_array(x, (1, 170, 120)), 2, boundary=boundary, memory=200_000)
    whole = Scattering2D(2, (300, 240), boundary=boundary)(x)
    assert np.array_equal(y.compute(scheduler="sync"), whole)
    assert len(tiles) == 8 and min(tiles) > 1


def test_chunks_smaller_than_what_is_seen_around_them_are_joined():
    y = scatter(da.from_array(image((1024, 1024)), (16, 16)), 2)
    assert min(y.chunks[1]) >= 13 and len(y.chunks[1]) > 4


def test_a_mosaic_of_ten_billion_pixels_is_lazy():
    """And its graph has each program once by name: Dask does not look through its numbers."""
    y = scatter(da.zeros((100_000, 100_000), np.uint8, chunks=12_500), 4)
    assert y.shape == (417, 6250, 6250)
    assert len([key for key in y.dask if str(key).startswith("plan-")]) <= 25


def test_nothing_is_computed_before_it_is_asked_for():
    def refuse(block):
        raise AssertionError("computed")

    lazy = da.from_array(X, (1, 70, 60)).map_blocks(refuse, dtype=X.dtype, meta=X[:0])
    for options in ({}, {"average": "global"}):
        y = scatter(lazy, 2, **options)
        with pytest.raises(AssertionError, match="computed"):
            y.compute(scheduler="sync")


def test_equal_calls_have_equal_names():
    x = da.from_array(X, (1, 70, 60))
    assert scatter(x, 2).name == scatter(x, 2).name != scatter(x, 2, boundary="zero").name


def test_integers_and_doubles():
    for dtype in (np.uint8, np.float64):
        x = (100 + 20 * X).astype(dtype)
        y = scatter(da.from_array(x, (1, 70, 60)), 2)
        whole = Scattering2D(2, (140, 120))(x)
        assert y.dtype == whole.dtype
        # Each tile is taken off its own level.
        np.testing.assert_allclose(y.compute(scheduler="sync"), whole, 1e-5, 1e-3)


def test_threads_and_processes():
    y = scatter(da.from_array(X, (1, 70, 60)), 2)
    whole = Scattering2D(2, (140, 120))(X)
    for scheduler in ("threads", "processes"):
        assert np.array_equal(y.compute(scheduler=scheduler, num_workers=2), whole), scheduler


def test_what_is_no_lazy_array_of_images_is_refused():
    with pytest.raises(ArgumentTypeError, match="must be a Dask array; pass dask"):
        scatter(X, 2)
    with pytest.raises(ArgumentError, match="all known"):
        x = da.from_array(X, (1, 70, 60))
        scatter(x[x.mean((1, 2)) > 0], 2)
    with pytest.raises(ArgumentError, match="average=False: gives maps of several sizes"):
        scatter(da.from_array(X), 2, average=False)
    with pytest.raises(ArgumentError, match="J=9"):
        scatter(da.from_array(X), 9)


def test_on_a_cluster_that_loses_a_worker():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
        dask.config.set({"distributed.scheduler.allowed-failures": 5}),
    ):
        x = da.from_array(image((12, 140, 120)), (1, 70, 60))
        y = client.compute(scatter(x, 2))
        next(iter(cluster.workers.values())).process.process.kill()
        whole = Scattering2D(2, (140, 120))(image((12, 140, 120)))
        assert np.array_equal(y.result(timeout=100), whole)


class Elsewhere(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands in for CuPy's arrays: has NumPy's functions, and refuses to be mixed with NumPy's."""

    __array_priority__ = 100

    def __init__(self, values):
        self.values = values
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __array__(self, *_, **__):
        raise TypeError("is copied nowhere by itself")

    def __getitem__(self, index):
        return Elsewhere(self.values[index])

    def astype(self, dtype, **_):
        return Elsewhere(self.values.astype(dtype))

    def reshape(self, shape):
        return Elsewhere(self.values.reshape(shape))

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **named):
        if any(isinstance(one, np.ndarray) for one in inputs):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        return Elsewhere(getattr(ufunc, method)(*map(plain, inputs), **named))

    def __array_function__(self, function, types, inputs, named):
        return Elsewhere(function(*map(plain, inputs), **named))


def plain(value):
    """Return what a stand-in holds, and those in lists hold."""
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    return value.values if isinstance(value, Elsewhere) else value


@pytest.mark.parametrize("average", [True, "global"])
@pytest.mark.parametrize("boundary", ["kymatio", "zero", "constant"])
def test_chunks_of_another_library_stay_its_own(monkeypatch, boundary, average):
    class OnTheDevice:
        """What a call returns of images on a GPU: no array of NumPy's, nor of CuPy's."""

        def __init__(self, values):
            self.values = values

    call = Scattering2D.__call__
    monkeypatch.setattr(Scattering2D, "__call__", lambda S, x: OnTheDevice(call(S, x.values)))
    cupy = types.ModuleType("cupy")
    cupy.asarray = lambda array: Elsewhere(plain(getattr(array, "values", array)))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    register_chunk_type(Elsewhere)
    x = da.from_array(X, (1, 70, 60)).map_blocks(Elsewhere, dtype=X.dtype, meta=Elsewhere(X[:0]))
    y = scatter(x, 2, boundary=boundary, average=average)
    assert isinstance(y._meta, Elsewhere) and y._meta.ndim == y.ndim and y.dtype == np.float32
    computed = y.compute(scheduler="sync")
    assert isinstance(computed, Elsewhere) and computed.dtype == np.float32
    whole = call(Scattering2D(2, (140, 120), boundary=boundary, average=average), X)
    np.testing.assert_allclose(computed.values, whole, 1e-6 if average == "global" else 0)
