"""Images that need more than the memory they may use: the same coefficients, piece by piece."""

import h5py
import numpy as np
import pytest
import zarr
from numpy.lib.format import open_memmap

from npscatter import ArgumentError, Scattering2D, scatter
from npscatter.backends import tiled
from npscatter.program.padding import BOUNDARIES

SHAPE = (61, 77)
# So little that an image is cut, for either backend, and enough for the smallest tile.
MEMORY = {"numba": 140_000, "numpy": 480_000}
OF_PAPER = {"numba": 82_000, "numpy": 240_000}


def image(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def cut_and_whole(x, backend="numba", **options):
    """Return an image's coefficients, computed in tiles and at once, of each path."""
    S = Scattering2D(2, x.shape[-2:], backend=backend, out_type="list", **options)
    whole = S(x)
    S.memory = (OF_PAPER if S.bank.name == "paper" else MEMORY)[backend]
    return S(x), whole


@pytest.mark.parametrize("bank", ["accurate", "paper"])
@pytest.mark.parametrize("backend", MEMORY)
def test_images_of_these_tests_are_cut(monkeypatch, backend, bank):
    monkeypatch.setattr(tiled, "run_tiled", lambda tiles, *_: counts.append(len(tiles)))
    counts = []
    cut_and_whole(image(), backend, bank=bank)
    assert len(counts) == 1 and counts[0] > 1


# Compiled, each bank with all outputs at its own boundary; of the rest, whole maps and moduli.
@pytest.mark.parametrize(
    ("bank", "boundary", "backend"),
    [
        *(("accurate", boundary, "numba") for boundary in BOUNDARIES),
        *(("paper", boundary, "numba") for boundary in ("zero", "kymatio", "periodic")),
        *(("accurate", boundary, "numpy") for boundary in ("kymatio", "zero", "constant")),
        *(("paper", boundary, "numpy") for boundary in ("zero", "periodic", "symmetric")),
    ],
)
def test_tiles_have_the_same_bits(bank, boundary, backend):
    x = image((64, 80) if boundary == "periodic" else SHAPE)
    outputs = [{}, {"average": False}]
    if backend == "numba" and boundary == {"accurate": "kymatio", "paper": "zero"}[bank]:
        outputs += [{"max_order": 1}, {"paths": [0, 9, 17, 80]}]
        outputs += [{"oversampling": 1}] if bank == "accurate" else []
    for options in outputs:
        in_tiles, whole = cut_and_whole(x, backend, boundary=boundary, bank=bank, **options)
        for one, other in zip(in_tiles, whole, strict=True):
            assert np.array_equal(one["coef"], other["coef"]), (options, one["n"])


@pytest.mark.parametrize("backend", MEMORY)
def test_means_are_the_same_but_for_rounding(backend):
    in_tiles, whole = cut_and_whole(image(), backend, average="global")
    for one, other in zip(in_tiles, whole, strict=True):
        assert one["coef"] == pytest.approx(other["coef"], rel=1e-6)


@pytest.mark.parametrize("backend", MEMORY)
@pytest.mark.parametrize("kind", ["level", "tiny", "huge", "nan", "flat corner", "uint8"])
def test_level_and_magnitude_are_those_of_the_whole_image(backend, kind):
    x = image((2, *SHAPE))
    x = {
        "level": lambda: 1000 + x,
        "tiny": lambda: 1e-25 * x,
        "huge": lambda: 1e25 * x,
        "nan": lambda: np.where(np.arange(x.size).reshape(x.shape) == 5000, np.nan, 1000 + x),
        # A tile of its own would be taken for one on a level.
        "flat corner": lambda: np.where(np.indices(x.shape)[1] > 40, 1000 + 0.01 * x, x),
        "uint8": lambda: (100 + 20 * x).astype(np.uint8),
    }[kind]()
    x = x if kind == "uint8" else x.astype(np.float32)
    for one, other in zip(*cut_and_whole(x, backend), strict=True):
        assert np.array_equal(one["coef"], other["coef"], equal_nan=True)


def test_too_little_memory_says_how_much_would_do():
    S = Scattering2D(2, SHAPE, memory=1000)
    with pytest.raises(ArgumentError, match=r"memory=1000: the smallest tile .* needs (\d+) bytes"):
        S(image())


def stored(x, kind, folder):
    """Return images in a file."""
    if kind == "zarr":
        chunks = (*(1,) * (x.ndim - 2), 32, 32)
        array = zarr.create_array(str(folder / "x"), shape=x.shape, chunks=chunks, dtype=x.dtype)
        array[...] = x
        return array
    if kind == "memmap":
        np.save(folder / "x.npy", x)
        return np.load(folder / "x.npy", mmap_mode="r")
    file = h5py.File(folder / "x.h5", "w")
    return file.create_dataset("x", data=x, chunks=True if kind == "chunked HDF5" else None)


@pytest.mark.parametrize(
    ("kind", "backend"),
    [
        *((kind, "numba") for kind in ("zarr", "memmap", "HDF5", "chunked HDF5")),
        ("zarr", "numpy"),
    ],
)
def test_files_are_read_piece_by_piece(tmp_path, kind, backend):
    x = image((2, 1, *SHAPE))
    S = Scattering2D(2, SHAPE, backend=backend)
    whole, images = S(x), stored(x, kind, tmp_path)
    assert np.array_equal(S(images), whole)
    assert np.array_equal(scatter(images, 2, backend=backend), whole)
    S.memory = MEMORY[backend]
    out = open_memmap(tmp_path / "y.npy", mode="w+", dtype=np.float32, shape=whole.shape)
    assert S(images, out=out) is out
    del out
    assert np.array_equal(np.load(tmp_path / "y.npy"), whole)


@pytest.mark.parametrize("order", ["C", "F", "channels last", None])
@pytest.mark.parametrize("dtype", [">u2", "<f4", "float16", "bool", "int64"])
def test_maps_of_any_order_are_read_and_written_in_pieces(tmp_path, monkeypatch, dtype, order):
    x = np.abs(100 * image((2, *SHAPE))).astype(dtype)
    S = Scattering2D(2, SHAPE)
    whole = S(x.astype(x.dtype.newbyteorder("=")))
    np.save(tmp_path / "x.npy", np.asfortranarray(x) if order == "F" else x)
    images, place = np.load(tmp_path / "x.npy", mmap_mode="r"), tmp_path / "y.npy"
    if order == "channels last":
        shape = (*whole.shape[:1], *whole.shape[2:], whole.shape[1])
        out = np.moveaxis(open_memmap(place, "w+", whole.dtype, shape), -1, 1)
    elif order:
        out = open_memmap(place, "w+", whole.dtype, whole.shape, fortran_order=order == "F")
    else:
        out = None
    # Of what is mapped, a few pages at a time are in memory.
    monkeypatch.setattr(tiled, "READ_BYTES", 2**12)
    released, release = [], tiled.release
    monkeypatch.setattr(tiled, "release", lambda array: (released.append(array), release(array)))
    S.memory = MEMORY["numba"] * whole.itemsize // 4
    assert np.array_equal(S(images, out=out), whole)
    assert len(released) > 100


def test_tiny_memory_and_a_huge_image_are_refused_at_once():
    S = Scattering2D(4, (100_000, 100_000), memory=1000, paths=[0])
    with pytest.raises(ArgumentError, match=r"the smallest tile of an image of .* needs"):
        S(np.broadcast_to(np.uint8(0), (100_000, 100_000)))


def test_a_store_is_never_read_whole(monkeypatch):
    class Store:
        """Remembers how many elements were read at a time."""

        def __init__(self, values):
            self.values, self.most = values, 0
            self.shape, self.dtype, self.chunks = values.shape, values.dtype, (1, 8, 8)
            self.ndim = values.ndim

        def __getitem__(self, index):
            part = self.values[index]
            self.most = max(self.most, part.size)
            return part

        def __array__(self, *_, **__):
            raise AssertionError("read whole")

    x = image((1, 400, 300))
    S, store = Scattering2D(2, (400, 300)), Store(x)
    whole = S(x)
    S.memory = 200_000
    monkeypatch.setattr(tiled, "READ_BYTES", 2**15)
    assert np.array_equal(S(store), whole)
    assert store.most * 4 <= 2**16
    many = Store(image((100, 32, 32)))
    Scattering2D(1, (32, 32), max_order=1)(many)
    assert many.most * 4 <= 2**15


def test_what_is_written_to_a_private_map_stays(tmp_path):
    x = image((2, *SHAPE))
    S = Scattering2D(2, SHAPE)
    np.save(tmp_path / "y.npy", np.zeros_like(S(x)))
    private = np.load(tmp_path / "y.npy", mmap_mode="c")
    S(np.asarray(x), out=private)
    assert np.array_equal(private, S(x))
    S.memory = MEMORY["numba"]
    private[...] = 0
    S(x, out=private)
    assert np.array_equal(private, S(x))
    np.save(tmp_path / "x.npy", np.zeros_like(x))
    changed = np.load(tmp_path / "x.npy", mmap_mode="c")
    changed[...] = x
    assert np.array_equal(S(changed), S(x)) and np.array_equal(changed, x)
