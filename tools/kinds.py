"""Pictures unlike photographs, by kind: what a bank must not be wrong on, and may learn from.

Deterministic, by kind, split, size and seed. Learning and measuring never share one: what is drawn
at random is drawn from other seeds, and what is read comes from other files. Nothing uses the
network: the real pictures ship with scikit-image and Matplotlib.

========================  ======================================================================
kind                      what it is
========================  ======================================================================
star field                drawn: Gaussian stars on a sky, both with photon noise
halftone 2, 3, 6          photographs under a clustered-dot screen of so many pixels
turned halftone           photographs under a round screen of 4.5 pixels, turned by 0.5
Bayer mosaic              photographs as a sensor sees them through red, green and blue filters
random binary             drawn: 0 or 1, half of each
sparse points             drawn: one pixel in 200 is 1
white noise, blue noise   drawn: Gaussian, of a flat spectrum and of a power that grows as f^2
lognormal field           drawn: exp of a Gaussian field of a power law, periodic
stripes 1, 2, 3           drawn: of so many pixels, along both axes, at every phase
checkerboard 1, 2, 3      drawn: with squares of so many pixels, at every phase
documents                 real: a scanned page; learning has another text
microscopy                real: a cell; learning has microaneurysms
line art                  real: a silhouette; learning has a logo
terrain and depth         real: an elevation model, a disparity map; learning has a sea floor
MRI                       real: a slice of a head; learning has the Shepp-Logan phantom
========================  ======================================================================
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from npscatter.arguments import one_of
from tools.data import check_count_and_seed, choose_channel, crops, packaged_photographs

# Of what is drawn: seeds of one split are never those of the other.
_SPLITS = {"learning": 0, "held-out": 1}
HALFTONES, PATTERNS = (2, 3, 6), (1, 2, 3)
# Where S2 has less than this of S1's energy, its relative error says nothing.
LEAST_S2 = 0.01
# Standard deviation of a star, in pixels.
PSF = 1.0


def pictures(kind: str, split: str, count: int, side: int, seed: int = 0) -> np.ndarray:
    """Return square pictures of one kind.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    split : {"learning", "held-out"}
        What may be learned from, or what is kept for measuring.
    count : int, at least 1
        Number of pictures.
    side : int
        Pixels; real pictures that are smaller are mirrored at their edges.
    seed : int, at least 0
        The same seed gives the same pictures.

    Returns
    -------
    ndarray of float32, shape (count, side, side)
        In [0, 1], but for the Gaussian noises (mean 0, variance 1) and the lognormal field.
    """
    one_of("kind", kind, KINDS)
    one_of("split", split, tuple(_SPLITS))
    check_count_and_seed(count, seed)
    if kind in _FOUND:
        found = _FOUND[kind](split)
        return crops(_enlarged(found, side), side, count, seed)
    generator = np.random.default_rng([seed, _SPLITS[split], KINDS.index(kind)])
    drawn = [_DRAWN[kind](generator, side, index) for index in range(count)]
    return np.stack(drawn).astype(np.float32)


def cosines(w: np.ndarray, phase: np.ndarray, side: int) -> np.ndarray:
    """Return plane waves cos(w u + phase), (N, side, side), of w (N, 2), radians per pixel."""
    u = np.arange(side)
    rows, columns = (np.exp(1j * np.multiply.outer(w[:, axis], u)) for axis in (0, 1))
    waves = np.exp(1j * phase)[:, None, None] * rows[:, :, None] * columns[:, None]
    return waves.real


# Drawn: from a generator, the side and the picture's number.


def _star_field(generator: np.random.Generator, side: int, _: int) -> np.ndarray:
    photons = np.zeros((side, side))
    pixels = np.arange(side)
    for _ in range(max(1, side * side // 500)):
        y, x = generator.uniform(0, side, 2)
        flux = 30 * (1 + generator.pareto(1.2))
        rows, columns = (np.exp(-((pixels - at) ** 2) / (2 * PSF**2)) for at in (y, x))
        photons += min(flux, 5e3) / (2 * np.pi * PSF**2) * np.outer(rows, columns)
    return np.minimum(generator.poisson(20 + photons) / 500, 1)


def _shaped_noise(generator: np.random.Generator, side: int, slope: float) -> np.ndarray:
    """Return a periodic Gaussian field of power f^slope, mean 0, variance 1."""
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    f = np.hypot(rows, columns)
    f[0, 0] = 1
    spectrum = np.fft.rfft2(generator.standard_normal((side, side))) * f ** (slope / 2)
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, (side, side))
    return field / field.std()


def _stripes(side: int, width: int, index: int) -> np.ndarray:
    bands = ((np.arange(side) + index // 2) // width) % 2
    pattern = np.broadcast_to(bands[:, None], (side, side))
    return pattern.T if index % 2 else pattern


def _checkerboard(side: int, width: int, index: int) -> np.ndarray:
    y, x = np.indices((side, side))
    return ((y + index) // width + (x + index // 2) // width) % 2


_DRAWN: dict[str, Callable] = {
    "star field": _star_field,
    "random binary": lambda generator, side, _: generator.integers(0, 2, (side, side)),
    "sparse points": lambda generator, side, _: generator.random((side, side)) < 1 / 200,
    "white noise": lambda generator, side, _: generator.standard_normal((side, side)),
    "blue noise": lambda generator, side, _: _shaped_noise(generator, side, 2),
    "lognormal field": lambda generator, side, _: np.exp(_shaped_noise(generator, side, -2.5)),
    **{
        f"stripes {width}": lambda _, side, index, width=width: _stripes(side, width, index)
        for width in PATTERNS
    },
    **{
        f"checkerboard {width}": lambda _, side, index, width=width: _checkerboard(
            side, width, index
        )
        for width in PATTERNS
    },
}


# Found: whole pictures by name.


def _halftones(split: str, cell: int) -> dict[str, np.ndarray]:
    """Return photographs as dots that grow from the middle of every cell."""
    offset = np.arange(cell) - (cell - 1) / 2 + 0.01
    distance = np.hypot(offset[:, None], 1.01 * offset)
    threshold = (distance.ravel().argsort().argsort().reshape(cell, cell) + 0.5) / cell**2
    screened = {}
    for name, photograph in _photographs(split, "grey").items():
        repeats = [-(-length // cell) for length in photograph.shape]
        screen = np.tile(threshold, repeats)[tuple(map(slice, photograph.shape))]
        screened[name] = (photograph > screen).astype(np.float32)
    return screened


def _turned_halftones(split: str) -> dict[str, np.ndarray]:
    """Return photographs as dots on a lattice that does not fit the pixels'."""
    screened = {}
    for name, photograph in _photographs(split, "grey").items():
        y, x = (2 * np.pi / 4.5 * axis for axis in np.indices(photograph.shape))
        u, v = np.cos(0.5) * x + np.sin(0.5) * y, np.cos(0.5) * y - np.sin(0.5) * x
        threshold = 0.5 + (np.cos(u) + np.cos(v)) / 4
        screened[name] = (photograph > threshold).astype(np.float32)
    return screened


def _bayer_mosaics(split: str) -> dict[str, np.ndarray]:
    """Return every colour photograph through a sensor's filters, RG above GB."""
    red, green, blue = (_photographs(split, channel) for channel in ("red", "green", "blue"))
    mosaics = {}
    for name, mosaic in green.items():
        if np.array_equal(red[name], blue[name]):
            continue
        mosaic = mosaic.copy()
        mosaic[::2, ::2], mosaic[1::2, 1::2] = red[name][::2, ::2], blue[name][1::2, 1::2]
        mosaics[name] = mosaic
    return mosaics


def _sample(*names: str) -> Callable[[], dict[str, np.ndarray]]:
    """Return what reads pictures of scikit-image by their names."""

    def read() -> dict[str, np.ndarray]:
        from skimage import data

        return {name: choose_channel(np.asarray(getattr(data, name)()), "grey") for name in names}

    return read


def _sea_floor() -> dict[str, np.ndarray]:
    return {"topobathy": _normalised(_matplotlibs("topobathy.npz")["topo"])}


def _terrain_and_depth() -> dict[str, np.ndarray]:
    from skimage import data

    disparity = data.stereo_motorcycle()[2]
    seen = np.isfinite(disparity)
    disparity = np.where(seen, disparity, disparity[seen].min())
    elevation = _matplotlibs("jacksboro_fault_dem.npz")["elevation"]
    return {"elevation": _normalised(elevation), "disparity": _normalised(disparity)}


def _head() -> dict[str, np.ndarray]:
    slice_ = np.frombuffer(_matplotlibs("s1045.ima.gz"), np.uint16).reshape(256, 256)
    return {"head": _normalised(slice_)}


# Kind -> split -> what reads it.
_REAL = {
    "documents": {"learning": _sample("text"), "held-out": _sample("page")},
    "microscopy": {"learning": _sample("microaneurysms"), "held-out": _sample("cell")},
    "line art": {"learning": _sample("logo"), "held-out": _sample("horse")},
    "terrain and depth": {"learning": _sea_floor, "held-out": _terrain_and_depth},
    "MRI": {"learning": _sample("shepp_logan_phantom"), "held-out": _head},
}
_FOUND: dict[str, Callable[[str], dict[str, np.ndarray]]] = {
    **{f"halftone {cell}": lambda split, cell=cell: _halftones(split, cell) for cell in HALFTONES},
    "turned halftone": _turned_halftones,
    "Bayer mosaic": _bayer_mosaics,
    **{kind: lambda split, kind=kind: _REAL[kind][split]() for kind in _REAL},
}
KINDS = (*_DRAWN, *_FOUND)

_photographs = lru_cache(packaged_photographs)


def _matplotlibs(name: str) -> dict | bytes:
    """Return a file of Matplotlib's sample data: arrays by name, or what is compressed."""
    from matplotlib import get_data_path

    path = Path(get_data_path(), "sample_data", name)
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    with np.load(path) as arrays:
        return dict(arrays)


def _normalised(levels: np.ndarray) -> np.ndarray:
    levels = levels.astype(np.float32)
    return (levels - levels.min()) / (levels.max() - levels.min())


def _enlarged(found: dict[str, np.ndarray], side: int) -> dict[str, np.ndarray]:
    """Return the pictures that are large enough, or else all of them, mirrored at their edges."""
    large = {name: picture for name, picture in found.items() if min(picture.shape) >= side}
    if large:
        return large
    missing = {
        name: [(0, max(0, side - length)) for length in picture.shape]
        for name, picture in found.items()
    }
    return {name: np.pad(picture, missing[name], "reflect") for name, picture in found.items()}
