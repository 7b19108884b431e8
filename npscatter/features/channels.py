"""Channels: what they are called, which of them are wanted, and how they are put together."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from npscatter.arguments import integer
from npscatter.errors import ArgumentError, ArgumentTypeError, explain
from npscatter.features.arrays import Array, concatenate, namespace_of, take
from npscatter.program.symmetry import orientations_of

Meta = dict[str, np.ndarray]
# What `select` takes of a path: one index, some, or one or some for each wavelet along it.
Choice = int | Collection[int] | tuple["int | Collection[int] | None", ...] | None


def names(meta: Meta) -> list[str]:
    """Return the name of every channel: "S0", "S1_j0_t3", "S2_j0_t1_j1_t4".

    Parameters
    ----------
    meta : dict
        From ``Scattering2D.meta()`` or a function of ``npscatter.features``.

    Examples
    --------
    >>> from npscatter import Scattering2D
    >>> from npscatter.features import names
    >>> names(Scattering2D(J=2, shape=(32, 32)).meta())[::40]
    ['S0', 'S2_j0_t2_j1_t7', 'S2_j0_t7_j1_t7']
    """
    if "name" in meta:
        return [str(name) for name in meta["name"]]
    found = []
    for order, j, theta in zip(meta["order"], meta["j"], meta["theta"], strict=True):
        path = (f"_j{j[k]}_t{theta[k]}" for k in range(order))
        found.append(f"S{order}{''.join(path)}")
    return found


def select(
    values: Array,
    meta: Meta,
    order: int | Collection[int] | None = None,
    j: Choice = None,
    theta: Choice = None,
    axis: int = -3,
) -> tuple[Array, Meta]:
    """Return the channels of some orders, scales and orientations.

    Parameters
    ----------
    values, meta, axis
        See ``npscatter.features``.
    order : int or collection of int, optional
        Orders that are kept.
    j, theta : int, collection of int, or tuple, optional
        Scales and orientations that are kept. An int or a collection (a list, a range, a set, an
        array) holds for every wavelet along a path. A tuple has an entry for each wavelet along it
        (an int, a collection, or None for any), and keeps paths of so many wavelets: ``j=(0, 2)``
        is S2 with j1 = 0, j2 = 2. The path without wavelets, S0, is kept only where neither is
        given.

    Returns
    -------
    values, meta

    Raises
    ------
    ArgumentError
        If there is no such channel.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.features import names, select
    >>> meta = Scattering2D(J=3, shape=(32, 32)).meta()
    >>> maps, meta = select(np.ones((217, 4, 4)), meta, j=(0, 2), theta=([0, 4], 0))
    >>> maps.shape, names(meta)
    ((2, 4, 4), ['S2_j0_t0_j2_t0', 'S2_j0_t4_j2_t0'])
    """
    xp = namespace(values, meta, axis)
    kept = np.array([order is None or k in _collection(order) for k in meta["order"]])
    for column, choice in (("j", j), ("theta", theta)):
        if choice is not None:
            rows = zip(meta[column], meta["order"], strict=True)
            kept &= np.array([_chosen(row[:order], choice) for row, order in rows])
    if not kept.any():
        value = f"order={order!r}, j={j!r}, theta={theta!r}"
        raise ArgumentError(explain("select", value, "keeps no channel", "see names(meta)"))
    chosen = {key: column[kept] for key, column in meta.items()}
    return take(xp, values, np.flatnonzero(kept), axis), chosen


def join(*parts: tuple[Array, Meta], axis: int = -3) -> tuple[Array, Meta]:
    """Return the channels of several (values, meta) one after the other.

    Parameters
    ----------
    *parts : tuple
        (values, meta), of one kind of array and alike but for their channels.
    axis : int, optional
        Where the channels are.

    Examples
    --------
    >>> import numpy as np
    >>> from npscatter import Scattering2D
    >>> from npscatter.features import join, spatial_mean, spatial_std
    >>> meta = Scattering2D(J=3, shape=(32, 32)).meta()
    >>> maps = np.ones((5, 217, 4, 4))
    >>> join(spatial_mean(maps, meta), spatial_std(maps, meta), axis=-1)[0].shape
    (5, 434)
    """
    xp = namespace(*parts[0], axis)
    keys = set.intersection(*(set(meta) for _, meta in parts)) - {"name"}
    joined = {key: _stacked([meta[key] for _, meta in parts]) for key in sorted(keys)}
    joined["name"] = np.concatenate([names(meta) for _, meta in parts])
    return concatenate(xp, [values for values, _ in parts], axis), joined


def _stacked(columns: list[np.ndarray]) -> np.ndarray:
    """Return rows one after the other; those of shorter paths are filled up with -1."""
    if columns[0].ndim == 1:
        return np.concatenate(columns)
    width = max(column.shape[1] for column in columns)
    ends = [((0, 0), (0, width - column.shape[1])) for column in columns]
    filled = (np.pad(*pair, constant_values=-1) for pair in zip(columns, ends, strict=True))
    return np.concatenate(list(filled))


def namespace(values: Array, meta: Meta, axis: int) -> Any:
    """Return the functions for `values`, whose channels `meta` must describe."""
    if not (isinstance(meta, dict) and {"order", "j", "theta"} <= meta.keys()):
        rule = "must be a dict of arrays, with order, j and theta of every channel"
        raise ArgumentTypeError(explain("meta", meta, rule, "pass S.meta()"))
    if integer("axis", axis) >= 0:
        rule = "must be counted from the last axis, which is -1"
        raise ArgumentError(explain("axis", axis, rule, "pass -3 for maps, -1 for numbers"))
    xp, channels = namespace_of(values), len(meta["order"])
    if len(values.shape) < -axis or values.shape[axis] != channels:
        rule = f"must have {channels} channels, as meta has, on axis {axis}"
        remedy = "pass the meta that belongs to it, and axis=-1 where there are no positions"
        raise ArgumentError(explain("values.shape", tuple(values.shape), rule, remedy))
    return xp


def paths_of(meta: Meta) -> list[tuple[str, tuple[tuple[int, int], ...]]]:
    """Return the kind ("S1", "mean_S2", ...) and the path ((j1, t1), ...) of every channel."""
    kinds = (name.split("_j")[0] for name in names(meta))
    rows = zip(meta["j"].tolist(), meta["theta"].tolist(), strict=True)
    paths = (tuple((j, t) for j, t in zip(*row, strict=True) if j >= 0) for row in rows)
    return list(zip(kinds, paths, strict=True))


def orientations(meta: Meta) -> int:
    """Return L: from an angle, or from a wavelet's number n, or the orientations there are."""
    if "angle" in meta and (meta["j"] >= 0).any():
        at = np.unravel_index(meta["j"].argmax(), meta["j"].shape)
        return orientations_of(meta["theta"][at], meta["angle"][at])
    if "n" in meta and (meta["n"] > meta["theta"]).any():
        at = np.unravel_index((meta["n"] - meta["theta"]).argmax(), meta["n"].shape)
        return int((meta["n"][at] - meta["theta"][at]) // meta["j"][at])
    return int(meta["theta"].max()) + 1


def _collection(choice: int | Collection[int]) -> list[int]:
    listed: Any = [*choice] if isinstance(choice, range | set | frozenset) else choice
    return np.atleast_1d(listed).tolist()


def _chosen(path: np.ndarray, choice: Any) -> bool:
    """Say whether `select` keeps a path with such scales, or orientations."""
    if not isinstance(choice, tuple):
        choice = (choice,) * len(path)
    if not len(path) or len(path) != len(choice):
        return False
    pairs = zip(path, choice, strict=True)
    return all(wanted is None or k in _collection(wanted) for k, wanted in pairs)
