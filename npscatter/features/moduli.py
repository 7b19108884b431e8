"""Statistics of moduli: of what a transform gives with ``average=False``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from npscatter.errors import ArgumentError, ArgumentTypeError, explain
from npscatter.features.arrays import Array, concatenate, namespace_of, ratio, take
from npscatter.features.channels import Meta

_FROM_A_TRANSFORM = "pass what a transform with average=False makes of images"


def powers(moduli: Sequence[dict]) -> tuple[Array, Meta]:
    """Return the mean squares of moduli, (..., C): "P00_j0_t1", "P11_j0_t1_j1_t4" (C24).

    ::

        P00[j, t]           = <|x * psi[j, t]|^2>
        P11[j1, t1, j2, t2] = <||x * psi[j1, t1]| * psi[j2, t2]|^2>

    Parameters
    ----------
    moduli : list of dict
        ``coef`` (..., h, w), ``j``, ``n``, ``theta``, as of a transform that does not average, of
        the first order, and of the second if they are there. The image itself is passed over.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If there are none.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter.features import names, powers
    >>> modulus = {"coef": np.full((16, 16), 3.0), "j": (0,), "n": (5,), "theta": (5,)}
    >>> values, meta = powers([modulus])
    >>> values, names(meta)
    (array([9.]), ['P00_j0_t5'])
    """
    maps = [one for path, one in _by_path(moduli).items() if path]
    if not maps:
        raise ArgumentError(explain("moduli", [*moduli], "holds no modulus", _FROM_A_TRANSFORM))
    xp = namespace_of(maps[0]["coef"])
    squares = [xp.mean(one["coef"] ** 2, axis=(-2, -1)) for one in maps]
    kinds = {1: "P00", 2: "P11"}
    paths = [tuple(zip(one["j"], one["theta"], strict=True)) for one in maps]
    n = np.array([(*one["n"], -1)[:2] for one in maps])
    meta = _meta_of([kinds[len(path)] for path in paths], paths, 2)
    return xp.stack(squares, axis=-1), {**meta, "n": n}


def covariances(
    moduli: Sequence[dict], wavelets: Array, relative: bool = True
) -> tuple[Array, Meta]:
    """Return covariances across scales, complex (..., C): "C01_j0_t1_j2_t3" and the like.

    With z* the complex conjugate of z and <> the mean over a periodic image, for j1 <= j2 <= j3
    (C24)::

        C01[j2, t2, j3, t3]         = <(x * psi3) (|x * psi2| * psi3)*>
        C11[j1, t1, j2, t2, j3, t3] = <(|x * psi1| * psi3) (|x * psi2| * psi3)*>

    They are named "C01_j2_t2_j3_t3" and "C11_j1_t1_j2_t2_j3_t3", with numbers for j and t.

    Parameters
    ----------
    moduli : list of dict
        ``coef`` (..., h, w), ``j``, ``n``, ``theta``, as ``average=False`` gives them, with
        ``boundary="periodic"``: the image itself (no ``j``) and all moduli of the first order,
        which may be sampled more coarsely than the image. Others are passed over.
    wavelets : array, shape (J, L, H, W)
        What the discrete Fourier transform of the image is multiplied by to give that of x *
        psi[j, t], as ``Scattering2D.filters().psi_hat``.
    relative : bool, optional
        Divide by the powers P00, C01 by sqrt(P00[j2, t2] P00[j3, t3]) and C11 by sqrt(P00[j1, t1]
        P00[j2, t2]), as C24 does; 0 where these are 0.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If the image, or one of the moduli, is not in the list, or sizes do not fit.

    Notes
    -----
    C01 is that of C24 and of ``ST.py`` in Cheng's package; its ``Scattering2d.py`` leaves out the
    psi3 of x, although it says otherwise.

    Moduli on grids of their own octaves, as a transform has them, lack what lies beyond: of a
    photograph C01 is 6 % off where j2 = j3 > 0, C11 2 to 3 %, all others less than 1 %.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter.features import covariances, names
    >>> image = {"coef": np.eye(4), "j": (), "n": (), "theta": ()}
    >>> modulus = {"coef": np.eye(4), "j": (0,), "n": (0,), "theta": (0,)}
    >>> values, meta = covariances([image, modulus], np.ones((1, 1, 4, 4)))
    >>> values.real, names(meta)
    (array([1., 1.]), ['C01_j0_t0_j0_t0', 'C11_j0_t0_j0_t0_j0_t0'])
    """
    xp = namespace_of(wavelets)
    sides = tuple(wavelets.shape)
    if len(sides) != 4:
        remedy = "pass e.g. S.filters().psi_hat"
        raise ArgumentError(explain("wavelets.shape", sides, "must be (J, L, H, W)", remedy))
    J, L = sides[:2]
    image, *maps = _of_scales(xp, moduli, J, L)
    if tuple(image.shape[-2:]) != sides[2:]:
        rule = f"must be those of the image, {tuple(image.shape[-2:])}"
        remedy = "pass e.g. S.filters(size=(H, W)).psi_hat"
        raise ArgumentError(explain("wavelets.shape[-2:]", sides[2:], rule, remedy))
    root = [xp.sqrt(xp.mean(of_scale**2, axis=(-2, -1))) for of_scale in maps]  # of P00
    x, U = _spectrum(xp, image)[..., None, :, :], [_spectrum(xp, of_scale) for of_scale in maps]
    found: dict[str, dict] = {"C01": {}, "C11": {}}
    for j3 in range(J):
        for j2 in range(j3 + 1):
            shape = U[j2].shape[-2:]
            conjugate = xp.conj(_low(xp, U[j2], shape))
            gains = _weighted(xp, xp.abs(_low(xp, wavelets[j3, ...], shape)) ** 2, shape)
            values = _sums(xp, _low(xp, x, shape) * conjugate, gains)
            size = root[j2][..., :, None] * root[j3][..., None, :]
            found["C01"][j2, j3] = ratio(xp, values, size) if relative else values
            for j1 in range(j2 + 1):
                fine = _low(xp, U[j1], shape)[..., :, None, :, :]
                values = _sums(xp, fine * conjugate[..., None, :, :, :], gains)
                size = root[j1][..., :, None, None] * root[j2][..., None, :, None]
                found["C11"][j1, j2, j3] = ratio(xp, values, size) if relative else values
    parts, kinds, paths = [], [], []
    for kind, of_scales in found.items():
        for scales in sorted(of_scales):
            parts.append(xp.reshape(of_scales[scales], (*image.shape[:-2], -1)))
            angles = list(np.ndindex(*(L,) * len(scales)))
            paths += [tuple(zip(scales, one, strict=True)) for one in angles]
            kinds += [kind] * len(angles)
    return concatenate(xp, parts, -1), _meta_of(kinds, paths, 3)


def _of_scales(xp: Any, moduli: Sequence[dict], J: int, L: int) -> list[Array]:
    """Return the image, and the moduli (..., L, h, w) of every scale."""
    maps = {path: one["coef"] for path, one in _by_path(moduli).items()}
    wanted = [(), *(((j, t),) for j in range(J) for t in range(L))]
    missing = [path for path in wanted if path not in maps]
    if missing:
        name = "x" if missing[0] == () else "S1_j{}_t{}".format(*missing[0][0])
        rule = f"is not among the {len(maps)} maps, and all of order 0 and 1 are needed"
        raise ArgumentError(explain("moduli", name, rule, "pass moduli of all paths"))
    found = [maps[()], *(xp.stack([maps[(j, t),] for t in range(L)], axis=-3) for j in range(J))]
    sizes = [tuple(maps.shape[-2:]) for maps in found]
    if any(max(a - b for a, b in zip(*two, strict=True)) > 0 for two in pairwise(sizes[::-1])):
        rule = "must be of sizes that do not grow with the scale"
        raise ArgumentError(explain("moduli", sizes, rule, _FROM_A_TRANSFORM))
    return found


def _by_path(moduli: Sequence[dict]) -> dict[tuple, dict]:
    """Return moduli by their paths ((j1, t1), ...), or raise."""
    try:
        return {tuple(zip(one["j"], one["theta"], strict=True)): one for one in moduli}
    except (TypeError, KeyError, IndexError):
        rule = "must be a list of dicts with coef, j, n and theta"
        raise ArgumentTypeError(explain("moduli", moduli, rule, _FROM_A_TRANSFORM)) from None


def _meta_of(kinds: list[str], paths: list[tuple], columns: int) -> Meta:
    """Return the meta of channels that are neither S0 nor S1 nor S2."""
    blank = ((-1, -1),) * columns
    filled = np.array([(*path, *blank)[:columns] for path in paths])
    ends = ["".join(f"_j{j}_t{t}" for j, t in path) for path in paths]
    return {
        "order": np.array([len(path) for path in paths]),
        "j": filled[..., 0],
        "theta": filled[..., 1],
        "name": np.array([kind + end for kind, end in zip(kinds, ends, strict=True)]),
    }


def _spectrum(xp: Any, maps: Array) -> Array:
    """Return Fourier coefficients, whose sum of products is the mean of products of the maps."""
    if xp is not np:
        maps = xp.astype(maps, xp.complex128 if maps.dtype == xp.float64 else xp.complex64)
    return xp.fft.fftn(maps, axes=(-2, -1), norm="forward")


def _low(xp: Any, spectrum: Array, shape: tuple[int, int]) -> Array:
    """Return the lowest frequencies of a spectrum: those of a grid of so many samples.

    From -(side // 2) to side // 2, so of an even number of samples the last one twice.
    """
    for axis, side in ((-2, shape[0]), (-1, shape[1])):
        length = spectrum.shape[axis]
        kept = [k % length for k in range(-(side // 2), side // 2 + 1)]
        spectrum = take(xp, spectrum, kept, axis)
    return spectrum


def _weighted(xp: Any, gains: Array, shape: tuple[int, int]) -> Array:
    """Return gains at the frequencies of `_low`, half of those that are there twice."""
    for axis, side in ((-2, shape[0]), (-1, shape[1])):
        if side % 2 == 0:
            parts = [take(xp, gains, some, axis) for some in ([0], range(1, side), [side])]
            gains = concatenate(xp, [parts[0] / 2, parts[1], parts[2] / 2], axis)
    return gains


def _sums(xp: Any, products: Array, gains: Array) -> Array:
    """Return the sums over frequencies of products times each of L gains: (..., L)."""
    weighted = (products * gains[t, ...] for t in range(gains.shape[0]))
    return xp.stack([xp.sum(one, axis=(-2, -1)) for one in weighted], axis=-1)
