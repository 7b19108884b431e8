"""Checks of arguments: each returns what the library computes with, or raises and says why."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from numbers import Real
from typing import Any

import numpy as np

from npscatter.errors import ArgumentError, ArgumentTypeError, explain, shown

# Axes of NumPy's arrays at most, and what most lists hold.
MOST_AXES, _NUMBERS = 64, (int, float, bool)
# The remedy where tensors need what NumPy has not.
TAKE_TORCH = "use npscatter.torch.Scattering2D"
# DLPack's devices whose memory a GPU's kernels can read: CUDA, and CUDA's managed memory.
_DLPACK_DEVICES = (2, 13)


def integer(name: str, value: Any) -> int:
    """Return `value` as an int, or raise an `ArgumentTypeError` that names it."""
    if not isinstance(value, bool):
        with suppress(Exception):  # whatever others' __index__ raises
            return int(operator.index(value))
    remedy = f"pass {name} as an int"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        remedy = f"pass int({name}), which is {shown(int(value))}"
    raise ArgumentTypeError(explain(name, value, "must be an integer", remedy))


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
    except Exception:
        raise ArgumentTypeError(explain(name, value, f"must be a pair {kind}", remedy)) from None
    return integer(f"{name}[0]", first), integer(f"{name}[1]", second)


def image_shape(shape: object, name: str = "shape") -> tuple[int, int]:
    """Return the (H, W) of images, both at least 1, or raise."""
    height, width = pair(name, shape, "(H, W)", f"pass e.g. {name}=(32, 32)")
    if height < 1 or width < 1:
        rule = "both sides must be at least 1"
        raise ArgumentError(explain(name, (height, width), rule, "pass the image's size"))
    return height, width


def one_of(name: str, value: object, choices: Sequence, remedy: str = "pass one of them") -> None:
    """Raise an `ArgumentError` unless `value` is one of some choices, which are shown."""
    # Compared only with what can be equal: arrays have opinions of their own about ==.
    kinds = tuple({type(choice) for choice in choices})
    if not isinstance(value, kinds) or value not in choices:
        listed = " or ".join(map(repr, choices)) if len(choices) < 3 else f"one of {choices}"
        raise ArgumentError(explain(name, value, f"must be {listed}", remedy))


def boolean(name: str, value: Any, or_else: str = "") -> bool:
    """Return `value` as a bool, or raise an `ArgumentTypeError` that names it.

    A bool, 0 or 1; of NumPy also as an array without axes, as `np.load` gives it. `or_else` is
    what else the caller takes, in the error's words.
    """
    if isinstance(value, np.bool_ | np.ndarray) and value.dtype == bool and value.ndim == 0:
        return bool(value)
    with suppress(Exception):  # whatever others' __index__ raises
        if (number := operator.index(value)) in (0, 1):
            return bool(number)
    rule, remedy = "must be True or False", "pass a bool"
    if or_else:
        rule, remedy = f"must be True, False or {or_else}", f"pass a bool, or {or_else}"
    raise ArgumentTypeError(explain(name, value, rule, remedy))


def on_gpu(array: Any) -> bool:
    """Say whether an object holds an array in a GPU's memory."""

    def says_so() -> bool:
        if hasattr(array, "__cuda_array_interface__") or hasattr(array, "__cuda_ndarray__"):
            return True
        return array.__dlpack_device__()[0] in _DLPACK_DEVICES

    return not isinstance(array, np.ndarray) and _quietly(says_so)


def check_device(x: object, backend: str) -> None:
    """Raise an `ArgumentTypeError` if images lie where a backend cannot read them."""
    if on_gpu(x) and backend != "cuda":
        rule = f"lies on a GPU, and the backend is {backend!r}"
        remedy = "use backend='cuda', or copy the images to the host first"
        raise ArgumentTypeError(explain("x", type(x), rule, remedy))


def check_plain(name: str, array: object) -> None:
    """Raise an `ArgumentTypeError` for arrays that are more than numbers, which NumPy would drop.

    Part of them is masked, or they record gradients, or they are still to be computed.
    """
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.is_masked(array):
            remedy = f"pass {name}.filled(value), or {name}.data if what it holds there is right"
            raise ArgumentTypeError(explain(name, array, "holds masked values", remedy))
        return
    if isinstance(array, np.ndarray):
        return
    if _quietly(lambda: array.requires_grad is True):  # type: ignore[attr-defined]
        rule = "requires a gradient, and NumPy gives none"
        remedy = f"{TAKE_TORCH} for gradients, or pass {name}.detach()"
        raise ArgumentTypeError(explain(name, array, rule, remedy))
    if _quietly(lambda: is_lazy(array)):
        rule = "is still to be computed, and would be all at once"
        remedy = f"use npscatter.dask.scatter or npscatter.xarray.scatter, or pass {name}.compute()"
        raise ArgumentTypeError(explain(name, array, rule, remedy))


def is_lazy(array: Any) -> bool:
    """Say whether an array is a graph of tasks, as Dask's are, and those that hold one."""
    if hasattr(array, "__dask_graph__"):
        return array.__dask_graph__() is not None
    return callable(getattr(array, "compute", None))


def is_stored(array: Any) -> bool:
    """Say whether an array lies in a store, in chunks that are read when they are asked for."""

    def says_so() -> bool:
        return (
            isinstance(array.dtype, np.dtype) and len(array.shape) >= 0 and hasattr(array, "chunks")
        )

    return not isinstance(array, np.ndarray) and _quietly(says_so)


def _quietly(test: Callable[[], bool]) -> bool:
    """Return what a test says of an object of others; False where it raises."""
    try:
        return test()
    except Exception:
        return False


def dtype_of(name: str, value: Any) -> np.dtype:
    """Return the dtype of images that a value stands for, or raise an `ArgumentTypeError`."""
    try:
        dtype = np.dtype(value)
    except Exception:
        rule = "must be a dtype of NumPy's"
        raise ArgumentTypeError(explain(name, value, rule, "pass e.g. np.float32")) from None
    image_dtype(name, dtype)
    return dtype


def image_dtype(name: str, dtype: np.dtype) -> None:
    """Raise an `ArgumentTypeError` unless images may have a dtype."""
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        rule = "must be float32, float64, an integer type or bool"
        remedy = "convert the images, e.g. x.astype(np.float32)"
        if dtype.kind == "c":
            remedy = "take images that are real, x.real or abs(x)"
        raise ArgumentTypeError(explain(name, dtype, rule, remedy))


def image_array(x: Any) -> Any:
    """Return images as a plain array of numbers, uncopied where they are one, or raise.

    What a store holds in chunks (Zarr, HDF5) is returned as it is, to be read piece by piece.
    """
    if x is None:
        rule = "is no image: the input should be an array (..., H, W)"
        remedy = "look at what made it: cv2.imread returns None for files that it cannot read"
        raise ArgumentTypeError(explain("x", x, rule, remedy))
    check_plain("x", x)
    if is_stored(x):
        image_dtype("x.dtype", x.dtype)
        return x
    _check_items("x", x, MOST_AXES)
    failure = ""
    try:
        images = np.asarray(x)
    except MemoryError:
        raise
    except Exception as error:  # arrays of others have errors of their own
        failure = f" ({error})"
    if failure or images.dtype.kind in "OSU":
        remedy = _remedy(x) if failure else _remedy_of_objects(x, images)
        raise ArgumentTypeError(explain("x", x, f"is no array of numbers{failure}", remedy))
    image_dtype("x.dtype", images.dtype)
    return images


def _check_items(name: str, items: object, levels: int) -> None:
    """Check what sequences hold, and what these hold, as `check_plain` does."""
    if levels == 0 or not isinstance(items, Sequence) or isinstance(items, str | bytes):
        return
    for number, item in enumerate(items):
        if type(item) not in _NUMBERS:
            check_plain(f"{name}[{number}]", item)
            _check_items(f"{name}[{number}]", item, levels - 1)


def _remedy(x: Any) -> str:
    """Return how to make an array of what is none: of sparse ones, and of those elsewhere."""
    if hasattr(x, "toarray"):
        return "pass x.toarray()"
    if _quietly(lambda: "sparse" in str(x.layout)):
        return "pass x.to_dense()"
    if _quietly(lambda: x.device.type == "meta"):
        return f"{TAKE_TORCH}, or pass a tensor that holds values"
    if _quietly(lambda: x.device.type != "cpu" and callable(x.cpu)):
        return f"pass x.cpu(), or {TAKE_TORCH}"
    if type(x).__module__ == "torch":
        return f"{TAKE_TORCH}, or pass x.float()"
    return "pass an array (..., H, W)"


def _remedy_of_objects(x: Any, objects: np.ndarray) -> str:
    """Return how to make an array of numbers of what became one of objects or of text."""
    first = next(objects.flat, None)
    if objects.ndim < 2 and isinstance(first, str | bytes | os.PathLike):
        return "a name is no image: read it first, or run npscatter transform on it"
    # Of objects NumPy would make numbers also where there are none, of None.
    if objects.dtype != object or all(isinstance(item, Real) for item in objects.flat):
        if _quietly(lambda: bool(objects.astype(np.float64).size)):
            return "pass np.asarray(x).astype(np.float64)"
    return _remedy(x)


# Of arrays whose last axis may hold channels: the most of them, and how many times as many pixels
# the axis before it has at least.
MOST_CHANNELS, PIXELS_PER_CHANNEL = 4, 4
CHANNELS_FIRST = "pass channels first, np.moveaxis(x, -1, -3)"


def looks_channels_last(shape: tuple[int, ...]) -> bool:
    """Say whether images (..., H, W) of a shape are so narrow that (..., H, W, C) is meant.

    Two axes are one image, however narrow.
    """
    if len(shape) < 3 or not 1 <= shape[-1] <= MOST_CHANNELS:
        return False
    return min(shape[-3:-1]) >= 2 and shape[-2] >= PIXELS_PER_CHANNEL * shape[-1]


def output_kind(out: Any, shape: tuple[int, ...], dtype: np.dtype, remedy: str) -> None:
    """Raise an `ArgumentError` unless an array has the shape and the dtype of an output."""
    if tuple(out.shape) != shape:
        raise ArgumentError(explain("out.shape", out.shape, f"must be {shape}", remedy))
    if out.dtype != dtype:
        raise ArgumentError(explain("out.dtype", out.dtype, f"must be {dtype}", remedy))


def output_array(
    out: object, images: np.ndarray, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """Return the array that coefficients go to: the memory of `out`, or a new one, or raise.

    It is a plain array: what others derive from that need not tell the truth of its memory.
    """
    if out is None:
        try:
            return np.empty(shape, dtype)
        except ValueError as error:  # NumPy's, of sizes beyond what it counts
            rule = f"gives coefficients of shape {shape} ({error})"
            remedy = "pass fewer images at a time"
            raise ArgumentError(explain("x.shape", images.shape, rule, remedy)) from None
    # By its type: anything can pass for an instance.
    if not issubclass(type(out), np.ndarray):
        raise ArgumentTypeError(
            explain("out", type(out), "must be a NumPy array", "pass one, or None")
        )
    remedy = f"pass np.empty({shape}, np.{dtype}), or None"
    if isinstance(out, np.ma.MaskedArray) and np.ma.is_masked(out):
        raise ArgumentError(explain("out", type(out), "must not hold masked values", remedy))
    output = np.asarray(out)
    output_kind(output, shape, dtype, remedy)
    if not output.flags.writeable:
        raise ArgumentError(explain("out", "a read-only array", "must be writeable", remedy))
    if output.size and _overlaps_itself(output):
        rule = "must have a place of its own for every coefficient"
        raise ArgumentError(explain("out.strides", output.strides, rule, remedy))
    if isinstance(images, np.ndarray) and _share_memory(images, output):
        raise ArgumentError(explain("out", "an array", "must not share memory with x", remedy))
    return output


def _overlaps_itself(array: np.ndarray) -> bool:
    """Say whether two elements may lie in one place: whether some axis steps into the others."""
    axes = zip(map(abs, array.strides), array.shape, strict=True)
    end = array.itemsize
    for stride, length in sorted(axes):
        if length > 1:
            if stride < end:
                return True
            end += stride * (length - 1)
    return False


def _share_memory(one: np.ndarray, other: np.ndarray) -> bool:
    """Say whether two arrays share memory; where that is hard to find out, whether they may."""
    try:
        return np.shares_memory(one, other, max_work=10_000)  # type: ignore[arg-type]
    except Exception:  # NumPy's TooHardError, whose place depends on the version
        return np.may_share_memory(one, other)
