"""Statistics of coefficients."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np

from npscatter.errors import ArgumentError, ArgumentTypeError, explain
from npscatter.features.arrays import Array, choose, means_of, ratio, real_part, take
from npscatter.features.channels import Meta, names, namespace, orientations, paths_of
from npscatter.program.symmetry import GENERATORS, orientation_action

ALL_OF_THEM = "pass the channels of all of them"
# In names of numbers whose means are not what is computed of means.
NOT_LINEAR = ("log_", "std_")


def relative_errors(
    computed: np.ndarray, wanted: np.ndarray, order: np.ndarray
) -> dict[str, float]:
    """Return ||V - S|| / ||S|| of each order, over whole batches and outputs, borders included.

    Parameters
    ----------
    computed, wanted : ndarray, shape (..., C, h, w)
        V and S.
    order : ndarray of int, shape (C,)
        Of the channels, as in ``Scattering2D.meta()``.

    Returns
    -------
    dict
        "S0", "S1", and "S2" if there are such channels.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter.features import relative_errors
    >>> wanted = np.full((3, 2, 2), 4.0)
    >>> relative_errors(wanted + [[[0]], [[1]], [[2]]], wanted, np.array([0, 1, 1]))
    {'S0': 0.0, 'S1': 0.395...}
    """
    if computed.shape != wanted.shape:
        rule = f"must be that of what is wanted, {wanted.shape}"
        raise ArgumentError(explain("computed.shape", computed.shape, rule, "compare the same"))
    errors = {}
    for k in np.unique(order):
        S = wanted[..., order == k, :, :].astype(np.float64)
        V = computed[..., order == k, :, :]
        errors[f"S{k}"] = float(np.linalg.norm(V - S) / np.linalg.norm(S))
    return errors


# Over the image


def spatial_mean(values: Array, meta: Meta) -> tuple[Array, Meta]:
    """Return the mean of every map, (..., C), named "mean_S1_j0_t3".

    The translation-invariant coefficients of BM13 (there as integrals) and C20.

    Parameters
    ----------
    values : array, shape (..., C, h, w)
        Maps.
    meta : dict
        See ``npscatter.features``.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.features import names, spatial_mean
    >>> meta = Scattering2D(J=3, shape=(32, 32)).meta()
    >>> values, meta = spatial_mean(np.ones((5, 217, 4, 4)), meta)
    >>> values.shape, names(meta)[:2]
    ((5, 217), ['mean_S0', 'mean_S1_j0_t0'])
    """
    return _moment(values, meta, "mean")


def spatial_std(values: Array, meta: Meta) -> tuple[Array, Meta]:
    """Return the standard deviation of every map, (..., C), named "std_S1_j0_t3".

    Over the h w samples, sqrt(mean((S - mean(S))^2)).

    Parameters
    ----------
    values : array, shape (..., C, h, w)
        Maps.
    meta : dict
        See ``npscatter.features``.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.features import names, spatial_std
    >>> meta = Scattering2D(J=3, shape=(32, 32)).meta()
    >>> values, meta = spatial_std(np.ones((5, 217, 4, 4)), meta)
    >>> float(values.max()), names(meta)[0]
    (0.0, 'std_S0')
    """
    return _moment(values, meta, "std")


# Sample by sample


def logarithm(values: Array, meta: Meta, floor: float = 1e-6, axis: int = -3) -> tuple[Array, Meta]:
    """Return log(max(S, floor)) of orders 1 and 2, named "log_S1_j0_t3"; S0 as it is.

    SM13 and OM15 take it before a linear classifier, C20 before regression: it makes products
    (of contrast, of the spectrum's slope) sums. S0 is no modulus and may be negative.

    Parameters
    ----------
    values, meta, axis
        See ``npscatter.features``.
    floor : float, optional
        What smaller values, the zeros of flat images above all, are taken for. 1e-6 suits images of
        values from 0 to 1: choose it in proportion to theirs.

    Raises
    ------
    ArgumentError, ArgumentTypeError
        If `floor` is not above 0, or the values are complex.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.features import logarithm, names
    >>> meta = Scattering2D(J=3, shape=(32, 32)).meta()
    >>> values, meta = logarithm(np.zeros(217), meta, axis=-1)
    >>> values[:2].round(3), names(meta)[:2]
    (array([  0.   , -13.816]), ['S0', 'log_S1_j0_t0'])
    """
    xp = namespace(values, meta, axis)
    if not isinstance(floor, Real) or not 0 < floor < math.inf:
        raise ArgumentError(explain("floor", floor, "must be a number above 0", "pass e.g. 1e-6"))
    if "complex" in str(values.dtype):
        rule = "is complex, and a floor is one of real numbers"
        raise ArgumentTypeError(explain("values.dtype", values.dtype, rule, "pass real numbers"))
    _refuse("log_", meta, "is a logarithm already", "take it once")
    logs = xp.log(xp.clip(values, floor, None))
    is_modulus = meta["order"] > 0
    pairs = zip(names(meta), is_modulus, strict=True)
    titles = [f"log_{name}" if modulus else name for name, modulus in pairs]
    result = choose(xp, is_modulus, logs, values, axis)
    return result, {**meta, "name": np.array(titles)}


def normalized(values: Array, meta: Meta, axis: int = -3) -> tuple[Array, Meta]:
    """Return S2 over its parent S1, named "S2_over_S1_j0_t1_j1_t4"; the other orders as they are.

    S2[j1, t1, j2, t2] / S1[j1, t1], 0 where the parent is 0: BM13 and AM14, where it takes from S2
    what S1 has told already. It does not change if the image is multiplied by a number. Of means it
    is named "mean_S2_over_mean_S1_j0_t1_j1_t4": quotients of means are no means of quotients.

    Parameters
    ----------
    values, meta, axis
        See ``npscatter.features``; the channels must hold every parent.

    Raises
    ------
    ArgumentError
        If a parent is missing, or logarithms were taken.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.features import names, normalized
    >>> meta = Scattering2D(J=3, shape=(32, 32)).meta()
    >>> values, meta = normalized(np.full(217, 0.5), meta, axis=-1)
    >>> values[[0, 1, -1]], names(meta)[-1]
    (array([0.5, 0.5, 1. ]), 'S2_over_S1_j1_t7_j2_t7')
    """
    xp = namespace(values, meta, axis)
    rows = {path: row for row, path in enumerate(paths_of(meta))}
    _refuse("log_", meta, "is a logarithm, which is not divided", "take logarithms last")
    is_second = meta["order"] == 2
    parents = [(kind.replace("S2", "S1"), path[:1]) for kind, path in rows]
    orphans = [name for name, path in zip(names(meta), parents, strict=True) if path not in rows]
    if orphans:
        rule, remedy = "has no parent among the channels", "select after normalising"
        raise ArgumentError(explain("meta", orphans[0], rule, remedy))
    ratios = ratio(xp, values, take(xp, values, [rows[path] for path in parents], axis))
    titles = [
        name.replace(kind, f"{kind}_over_{parent}", 1) if second else name
        for name, (kind, _), (parent, _), second in zip(
            names(meta), rows, parents, is_second, strict=True
        )
    ]
    return choose(xp, is_second, ratios, values, axis), {**meta, "name": np.array(titles)}


# Over orientations


def isotropic(values: Array, meta: Meta, axis: int = -3) -> tuple[Array, Meta]:
    """Return the means over all rotations of the path: S0, "S1_iso_j0", "S2_iso_j0_j1_d3".

    ::

        S1_iso[j]         = mean over t1 of S1[j, t1]
        S2_iso[j1, j2, d] = mean over t1 of S2[j1, t1, j2, (t1 + d) mod L],    d = (t2 - t1) mod L

    C20; SM13 averages over rotations alike. An image turned by pi / L has, but for its frame and
    its pixels, the same. Of covariances (`covariances`) the same with each further orientation
    relative to the first, C01_iso[j1, j2, d] and C11_iso[j1, j2, j3, d2, d3]: their real parts, for
    turned by pi they are their complex conjugates. Of logarithms and standard deviations, which
    are other numbers if they are taken afterwards, "iso_log_S1_j0".

    Parameters
    ----------
    values, meta, axis
        See ``npscatter.features``; all L orientations must be there.

    Returns
    -------
    values, meta
        ``theta`` is -1 for the first wavelet and (t - t1) mod L for others; ``n`` follows it.

    Raises
    ------
    ArgumentError
        If orientations are missing, or averaged over already.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.features import isotropic, names
    >>> meta = Scattering2D(J=3, shape=(32, 32)).meta()
    >>> maps, meta = isotropic(np.ones((217, 4, 4)), meta)
    >>> maps.shape, names(meta)[:5]
    ((28, 4, 4), ['S0', 'S1_iso_j0', 'S1_iso_j1', 'S1_iso_j2', 'S2_iso_j0_j1_d0'])
    """
    xp = namespace(values, meta, axis)
    L = orientations(meta)
    groups: dict[tuple, list[int]] = {}
    for row, (kind, path) in enumerate(paths_of(meta)):
        if any(t < 0 for _, t in path):
            rule = "is a mean over orientations already"
            raise ArgumentError(explain("meta", names(meta)[row], rule, "pass what it is made of"))
        scales, turns = tuple(j for j, _ in path), tuple((t - path[0][1]) % L for _, t in path[1:])
        groups.setdefault((kind, scales, turns), []).append(row)
    titles, theta = [], np.full((len(groups), meta["theta"].shape[1]), -1)
    for group, ((kind, scales, turns), rows) in enumerate(groups.items()):
        if scales and len(rows) != L:
            rule = f"has {len(rows)} of {L} orientations of scales {scales}"
            raise ArgumentError(explain("meta", kind, rule, ALL_OF_THEM))
        title = "".join([*(f"_j{j}" for j in scales), *(f"_d{d}" for d in turns)])
        # Means of logarithms are not logarithms of means.
        first = any(word in kind for word in NOT_LINEAR)
        named = f"iso_{kind}" if first else f"{kind}_iso"
        titles.append(f"{named}{title}" if scales else kind)
        theta[group, 1 : 1 + len(turns)] = turns
    firsts = [rows[0] for rows in groups.values()]
    order, j = meta["order"][firsts], meta["j"][firsts]
    n = np.where(theta < 0, -1, j * L + theta)
    means = means_of(xp, real_part(xp, values), list(groups.values()), axis)
    return means, {"order": order, "j": j, "theta": theta, "n": n, "name": np.array(titles)}


def s21(values: Array, meta: Meta, axis: int = -3) -> tuple[Array, Meta]:
    """Return s21[j1, j2], named "s21_j0_j1": how much structure at j1 clusters at j2 (C20).

    ::

        s21[j1, j2] = mean over t1, t2 of S2[j1, t1, j2, t2] / mean over t1 of S1[j1, t1]

    0 where S1 is 0. Sparse images have more of it than noise of the same spectrum. Of means it is
    named "s21_of_mean_j0_j1".

    Parameters
    ----------
    values, meta, axis
        See ``npscatter.features``; orders 1 and 2, all orientations.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.features import names, s21
    >>> meta = Scattering2D(J=3, shape=(32, 32)).meta()
    >>> values, meta = s21(np.full(217, 0.5), meta, axis=-1)
    >>> values, names(meta)
    (array([1., 1., 1.]), ['s21_j0_j1', 's21_j0_j2', 's21_j1_j2'])
    """
    xp = namespace(values, meta, axis)
    means, rows, pairs, result = _of_scales("s21", values, meta, axis)
    parents = [(kind, scales[:1]) for kind, scales in pairs]
    missing = [scales for kind, scales in parents if (kind, scales) not in rows]
    if missing:
        rule = "is a scale without channels of order 1"
        raise ArgumentError(explain("meta", missing[0], rule, "pass orders 1 and 2"))
    over = take(xp, means, [rows[parent][0] for parent in parents], axis)
    return ratio(xp, means_of(xp, means, [rows[pair] for pair in pairs], axis), over), result


def s22(values: Array, meta: Meta, axis: int = -3) -> tuple[Array, Meta]:
    """Return s22[j1, j2], named "s22_j0_j1": parallel over perpendicular structure (C20).

    ::

        s22[j1, j2] = S2_iso[j1, j2, 0] / S2_iso[j1, j2, L / 2]

    0 where the latter is 0. Filaments have more of it than points. Of means it is named
    "s22_of_mean_j0_j1".

    Parameters
    ----------
    values, meta, axis
        See ``npscatter.features``; order 2, all orientations.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.features import names, s22
    >>> meta = Scattering2D(J=3, shape=(32, 32)).meta()
    >>> values, meta = s22(np.full(217, 0.5), meta, axis=-1)
    >>> values, names(meta)
    (array([1., 1., 1.]), ['s22_j0_j1', 's22_j0_j2', 's22_j1_j2'])
    """
    xp = namespace(values, meta, axis)
    means, rows, pairs, result = _of_scales("s22", values, meta, axis)
    parallel = take(xp, means, [rows[pair][0] for pair in pairs], axis)
    half = orientations(meta) // 2
    return ratio(xp, parallel, take(xp, means, [rows[pair][half] for pair in pairs], axis)), result


def square_mean(values: Array, meta: Meta) -> tuple[Array, Meta]:
    """Return means over the square's eight symmetries, of numbers (..., C): "square_S1_j0_t0".

    Turning by quarters and mirroring an image permutes orientations, those of a path together
    (``npscatter/program/symmetry.py``); channels that go over into one another are averaged, under
    the name of the first. So all eight images have the same: exactly, with a symmetric bank, where
    they have the same samples (periodic images, mirrored about pixel 0), and nearly otherwise.
    After `isotropic` mirrors alone do something: d becomes -d mod L. Of covariances these are the
    means of real parts.

    Parameters
    ----------
    values : array, shape (..., C)
        Means over the image (`spatial_mean`): the samples of maps are not symmetric in it.
    meta : dict
        See ``npscatter.features``.

    Raises
    ------
    ArgumentError
        If some of the channels that go over into one another are missing.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.features import names, square_mean
    >>> meta = Scattering2D(J=3, shape=(32, 32)).meta()
    >>> values, meta = square_mean(np.ones(217), meta)
    >>> values.shape, names(meta)[1:4]
    ((64,), ['square_S1_j0_t0', 'square_S1_j0_t1', 'square_S1_j0_t3'])
    """
    xp, known = namespace(values, meta, -1), names(meta)
    actions = [orientation_action(generator, orientations(meta))[0] for generator in GENERATORS]
    groups: dict[tuple, list[int]] = {}
    for row, (kind, path) in enumerate(paths_of(meta)):
        groups.setdefault((kind, _orbit(path, actions)), []).append(row)
    for (_, orbit), rows in groups.items():
        if len(rows) != len(orbit):
            rule = f"is one of {len(orbit)} that go over into one another, of which {len(rows)} are"
            raise ArgumentError(explain("meta", known[rows[0]], f"{rule} there", ALL_OF_THEM))
    firsts = [rows[0] for rows in groups.values()]
    titles = np.array([f"square_{known[row]}" for row in firsts])
    means = means_of(xp, real_part(xp, values), list(groups.values()), -1)
    return means, {**{key: column[firsts] for key, column in meta.items()}, "name": titles}


def _orbit(path: tuple, actions: list[np.ndarray]) -> frozenset[tuple]:
    """Return all that a path goes over into when the orientations are moved."""
    orbit = {path}
    while (moved := {_moved(one, to) for one in orbit for to in actions}) - orbit:
        orbit |= moved
    return frozenset(orbit)


def _moved(path: tuple, to: np.ndarray) -> tuple:
    """Return a path whose orientations are moved; -1 is a mean over all, others relative to it."""
    relative = bool(path) and path[0][1] < 0
    return tuple((j, t if t < 0 else int(to[t] - relative * to[0]) % len(to)) for j, t in path)


def _moment(values: Array, meta: Meta, name: str) -> tuple[Array, Meta]:
    xp = namespace(values, meta, -3)
    titles = np.array([f"{name}_{one}" for one in names(meta)])
    return getattr(xp, name)(values, axis=(-2, -1)), {**meta, "name": titles}


def _of_scales(name: str, values: Array, meta: Meta, axis: int) -> tuple[Array, dict, list, Meta]:
    """Return isotropic means, and which of them belong to which scales.

    Returns
    -------
    means : array
        Of `isotropic`.
    rows : dict
        Their channels by what they were made of ("", "mean_", ...) and scales; in the order of d.
    pairs : list
        The keys of order 2.
    meta : dict
        Of what is `name`d and has a value for each of these.
    """
    _refuse("log_", meta, "is a logarithm, which is not divided", "take logarithms last")
    _refuse("_over_", meta, "is divided by its parent already", "pass coefficients as they are")
    means, of_means = isotropic(values, meta, axis)
    rows: dict[tuple, list[int]] = {}
    for row, (kind, path) in enumerate(paths_of(of_means)):
        if "S" in kind:
            rows.setdefault((kind.partition("S")[0], tuple(j for j, _ in path)), []).append(row)
    pairs = [(kind, scales) for kind, scales in rows if len(scales) == 2]
    if not pairs:
        rule = "has no channel of order 2"
        raise ArgumentError(explain("meta", names(meta), rule, "pass orders 1 and 2"))
    L = orientations(meta)
    for kind, scales in pairs:
        angles = rows[kind, scales]
        if len(angles) != L:
            rule = f"has {len(angles)} of {L} angles between orientations of scales {scales}"
            raise ArgumentError(explain("meta", f"{kind}S2", rule, ALL_OF_THEM))
        angles.sort(key=lambda row: of_means["theta"][row, 1])
    of_pairs = {
        "order": np.full(len(pairs), 2),
        "j": np.array([scales for _, scales in pairs]),
        "theta": np.full((len(pairs), 2), -1),
        "name": np.array([f"{name}{_of(kind)}_j{j1}_j{j2}" for kind, (j1, j2) in pairs]),
    }
    return means, rows, pairs, of_pairs


def _of(kind: str) -> str:
    """Return what is said of quotients of what is no coefficient: "_of_mean" of "mean_"."""
    made_of = kind.removeprefix("iso_").rstrip("_")
    return f"_of_{made_of}" if made_of else ""


def _refuse(word: str, meta: Meta, rule: str, remedy: str) -> None:
    """Raise an `ArgumentError` if the name of a channel has a word."""
    for name in names(meta):
        if word in name:
            raise ArgumentError(explain("meta", name, rule, remedy))
