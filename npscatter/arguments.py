"""Checks of arguments: each returns what the library computes with, or raises and says why."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from npscatter.errors import ArgumentError, ArgumentTypeError, explain

# DLPack's devices whose memory a GPU's kernels can read: CUDA, and CUDA's managed memory.
_DLPACK_DEVICES = (2, 13)


def integer(name: str, value: Any) -> int:
    """Return `value` as an int, or raise an `ArgumentTypeError` that names it."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ArgumentTypeError(
            explain(name, value, "must be an integer", f"pass {name} as an int")
        ) from None


def at_least(name: str, value: object, least: int, remedy: str) -> int:
    """Return `value` as an int of at least `least`, or raise."""
    number = integer(name, value)
    if number < least:
        raise ArgumentError(explain(name, number, f"must be at least {least}", remedy))
    return number


def positive(name: str, value: object, remedy: str) -> int | None:
    """Return `value` as an int of at least 1, or None, or raise."""
    return None if value is None else at_least(name, value, 1, remedy)


def pair(name: str, value: Any, kind: str, remedy: str) -> tuple[int, int]:
    """Return `value` as two ints, or raise an `ArgumentTypeError` that names it."""
    try:
        first, second = value
    except (TypeError, ValueError):
        raise ArgumentTypeError(explain(name, value, f"must be a pair {kind}", remedy)) from None
    return integer(f"{name}[0]", first), integer(f"{name}[1]", second)


def image_shape(shape: object) -> tuple[int, int]:
    """Return the (H, W) of images, both at least 1, or raise."""
    height, width = pair("shape", shape, "(H, W)", "pass e.g. shape=(32, 32)")
    if height < 1 or width < 1:
        rule = "both sides must be at least 1"
        raise ArgumentError(explain("shape", (height, width), rule, "pass the image's size"))
    return height, width


def one_of(name: str, value: object, choices: Sequence, remedy: str = "pass one of them") -> None:
    """Raise an `ArgumentError` unless `value` is one of some choices, which are shown."""
    # Compared only with what can be equal: arrays have opinions of their own about ==.
    kinds = tuple({type(choice) for choice in choices})
    if not isinstance(value, kinds) or value not in choices:
        shown = " or ".join(map(repr, choices)) if len(choices) < 3 else f"one of {choices}"
        rule = f"must be {shown}"
        raise ArgumentError(explain(name, value, rule, remedy))


def boolean(name: str, value: object) -> bool:
    """Return `value` if it is a bool, or raise an `ArgumentTypeError`."""
    if not isinstance(value, bool):
        raise ArgumentTypeError(explain(name, value, "must be True or False", "pass a bool"))
    return value


def on_gpu(array: object) -> bool:
    """Say whether an object holds an array in a GPU's memory."""
    if isinstance(array, np.ndarray):
        return False
    if hasattr(array, "__cuda_array_interface__") or hasattr(array, "__cuda_ndarray__"):
        return True
    return hasattr(array, "__dlpack_device__") and array.__dlpack_device__()[0] in _DLPACK_DEVICES


def check_device(x: object, backend: str) -> None:
    """Raise an `ArgumentTypeError` if images lie where a backend cannot read them."""
    if on_gpu(x) and backend != "cuda":
        rule = f"lies on a GPU, and the backend is {backend!r}"
        remedy = "use backend='cuda', or copy the images to the host first"
        raise ArgumentTypeError(explain("x", type(x), rule, remedy))


def image_dtype(name: str, dtype: np.dtype) -> None:
    """Raise an `ArgumentTypeError` unless images may have a dtype."""
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        rule = "must be float32, float64, an integer type or bool"
        remedy = "convert the images, e.g. x.astype(np.float32)"
        raise ArgumentTypeError(explain(name, dtype, rule, remedy))


def image_array(x: object) -> np.ndarray:
    """Return images as an array of numbers, uncopied where they are one, or raise."""
    try:
        images = np.asarray(x)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError(
            explain("x", x, f"is no array of numbers ({error})", "pass an array (..., H, W)")
        ) from None
    image_dtype("x.dtype", images.dtype)
    return images


def output_kind(out: Any, shape: tuple[int, ...], dtype: np.dtype, remedy: str) -> None:
    """Raise an `ArgumentError` unless an array has the shape and the dtype of an output."""
    if tuple(out.shape) != shape:
        raise ArgumentError(explain("out.shape", out.shape, f"must be {shape}", remedy))
    if out.dtype != dtype:
        raise ArgumentError(explain("out.dtype", out.dtype, f"must be {dtype}", remedy))


def output_array(
    out: object, images: np.ndarray, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Return the array that coefficients go to: `out`, or a new one for None, or raise."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise ArgumentTypeError(
            explain("out", type(out), "must be a NumPy array", "pass one, or None")
        )
    remedy = f"pass np.empty({shape}, np.{dtype}), or None"
    output_kind(out, shape, dtype, remedy)
    if not out.flags.writeable:
        raise ArgumentError(explain("out", "a read-only array", "must be writeable", remedy))
    if np.may_share_memory(images, out):
        raise ArgumentError(explain("out", "an array", "must not share memory with x", remedy))
    return out
