"""Arrays of any library: the few operations that all functions here are made of."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from npscatter.errors import ArgumentTypeError, explain

# An array of any library that follows the array API standard.
Array = Any


def namespace_of(values: Array) -> Any:
    """Return the functions for an array: NumPy, or its namespace in the array API standard."""
    if isinstance(values, np.ndarray):
        return np
    if hasattr(values, "__array_namespace__"):
        return values.__array_namespace__()
    try:
        return importlib.import_module("array_api_compat").array_namespace(values)
    except ImportError:
        rule, remedy = "has no array namespace of its own", "pip install array-api-compat"
    except TypeError:
        rule = "is no array"
        remedy = "pass an array of numbers; moduli of many sizes have powers() and covariances()"
    raise ArgumentTypeError(explain("values", type(values), rule, remedy)) from None


def take(xp: Any, values: Array, rows: Sequence[int] | np.ndarray, axis: int) -> Array:
    """Return some rows of an axis."""
    return xp.take(values, _beside(xp, [int(row) for row in rows], values), axis=axis)


def means_of(xp: Any, values: Array, groups: list[list[int]], axis: int) -> Array:
    """Return the mean of every group of channels."""
    means = (xp.mean(take(xp, values, rows, axis), axis=axis) for rows in groups)
    return xp.stack(list(means), axis=axis)


def concatenate(xp: Any, parts: list[Array], axis: int) -> Array:
    """Return arrays one after the other: NumPy before 2.0 has no `concat`."""
    return (np.concatenate if xp is np else xp.concat)(parts, axis=axis)


def choose(xp: Any, chosen: np.ndarray, these: Array, others: Array, axis: int) -> Array:
    """Return some channels of one array and the rest of another."""
    mask = _beside(xp, chosen.tolist(), these)
    return xp.where(xp.reshape(mask, (-1, *(1,) * (-axis - 1))), these, others)


def ratio(xp: Any, values: Array, by: Array) -> Array:
    """Return a quotient, 0 where the divisor is 0."""
    zero = by == 0
    quotient = values / xp.where(zero, xp.ones_like(by), by)
    return xp.where(zero, xp.zeros_like(quotient), quotient)


def real_part(xp: Any, values: Array) -> Array:
    """Return the real part of what may be complex."""
    return xp.real(values) if "complex" in str(values.dtype) else values


def _beside(xp: Any, items: list, values: Array) -> Array:
    """Return a list as an array on the device of another."""
    return np.asarray(items) if xp is np else xp.asarray(items, device=values.device)
