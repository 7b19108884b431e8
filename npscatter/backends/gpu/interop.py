"""Arrays on the GPU, others' and our own, and the streams they are worked on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from npscatter.arguments import on_gpu, output_kind
from npscatter.backends.gpu.target import Stream, address, cuda, device_of, viewed
from npscatter.errors import ArgumentError, ArgumentTypeError, explain
from npscatter.program.plan import Plan

# What the CUDA array interface and DLPack call the default streams.
LEGACY, PER_THREAD = 1, 2


def as_stream(stream: object):
    """Return a stream as one of Numba's.

    Parameters
    ----------
    stream : object
        One of Numba's; a handle; or what has one, as streams of Torch (``cuda_stream``), of CuPy
        (``ptr``) and of the CUDA stream protocol (``__cuda_stream__``) do.

    Raises
    ------
    ArgumentTypeError
        If it is none of these.
    """
    if isinstance(stream, Stream):
        # A stream 0 has no name in others' interfaces.
        return stream if handle_of(stream) else cuda.legacy_default_stream()
    handle = stream.__cuda_stream__()[1] if hasattr(stream, "__cuda_stream__") else stream
    for name in ("cuda_stream", "ptr"):
        handle = getattr(handle, name, handle)
    if isinstance(handle, bool) or not isinstance(handle, int):
        raise ArgumentTypeError(
            explain(
                "stream",
                stream,
                "must be a CUDA stream of Numba, Torch or CuPy, or the handle of one",
                "pass e.g. torch.cuda.current_stream(), or None",
            )
        )
    if handle in (0, LEGACY):
        return cuda.legacy_default_stream()
    if handle == PER_THREAD:
        return cuda.per_thread_default_stream()
    external = cuda.external_stream(handle)
    external.owner = stream  # whose end would be the stream's
    return external


@dataclass(frozen=True)
class Borrowed:
    """An array of others, as one of Numba's.

    Attributes
    ----------
    array : device array
        It, uncopied.
    stream : stream of Numba's
        Where to work on it.
    own : stream of Numba's or None
        Where its owner works on it, as far as is known.
    """

    array: object
    stream: object
    own: object

    def give_back(self) -> None:
        """Let the owner's work wait for what was put into `stream`."""
        if self.own is not None:
            wait_for(self.own, self.stream)


def borrow(name: str, array: object, stream: object) -> Borrowed:
    """Return an array of others on the current GPU as one of Numba's.

    Parameters
    ----------
    name : str
        Of the argument.
    array : object
        Has the CUDA array interface or DLPack's.
    stream : object or None
        Where it will be read or written: work that is under way on the array's own stream is
        waited for, by the GPU. None for the array's own stream, or the default stream.

    Raises
    ------
    ArgumentError
        If it lies on another GPU than the current one, or has bytes in another order.
    """
    own = _own_stream(array)
    stream = as_stream(stream) if stream is not None else own or cuda.legacy_default_stream()
    if own is not None:
        wait_for(stream, own)
    if hasattr(array, "__cuda_ndarray__"):
        borrowed = array
    elif hasattr(array, "__cuda_array_interface__"):
        interface = array.__cuda_array_interface__ | {"stream": None}
        _check_dtype(name, np.dtype(interface["typestr"]))
        borrowed = cuda.from_cuda_array_interface(interface, owner=array, sync=False)
    else:
        interface, owner = _from_dlpack(array, handle_of(stream))
        borrowed = cuda.from_cuda_array_interface(interface, owner=owner, sync=False)
    _check_dtype(name, borrowed.dtype)
    there, here = device_of(borrowed), device_of(None)
    if there != here:
        raise ArgumentError(
            explain(
                f"{name}.device",
                there,
                f"must be the current GPU, {here}",
                "copy it there, or make its GPU the current one, e.g. with torch.cuda.device",
            )
        )
    return Borrowed(borrowed, stream, own)


def borrow_output(
    out: object, images: object, shape: tuple[int, ...], dtype: np.dtype, stream: object
) -> Borrowed:
    """Return the array of others that the coefficients of `images` go to, or raise.

    Parameters
    ----------
    out : object
        What the caller passed.
    images : device array
        They share no memory.
    shape, dtype
        Of the coefficients.
    stream : stream of Numba's
        Where the work goes.
    """
    if not on_gpu(out):
        raise ArgumentTypeError(
            explain("out", type(out), "must lie on the GPU, as x does", "pass None")
        )
    borrowed = borrow("out", out, stream)
    remedy = "pass an array of that kind on the GPU, or None"
    output_kind(borrowed.array, shape, dtype, remedy)
    rules = (
        (borrowed.array.is_c_contiguous(), "must be C-contiguous"),
        (not is_read_only(out), "must be writeable"),
        (not overlap(images, borrowed.array), "must not share memory with x"),
    )
    for holds, rule in rules:
        if not holds:
            raise ArgumentError(explain("out", type(out), rule, remedy))
    return borrowed


def wait_for(stream: object, other: object) -> None:
    """Let all work put into `stream` from now on wait for what is in the other stream."""
    if handle_of(stream) != handle_of(other):
        event = cuda.event(timing=False)
        event.record(other)
        event.wait(stream)


def handle_of(stream: object) -> int:
    """Return the handle of one of Numba's streams; 0 in the simulator, which has none."""
    return int(getattr(stream, "handle", 0))


def is_read_only(array: object) -> bool:
    """Say whether an array of others says that it is not to be written to."""
    return bool(getattr(array, "__cuda_array_interface__", {"data": (0, False)})["data"][1])


def overlap(one, other) -> bool:
    """Say whether two arrays on the GPU may share memory."""
    spans = []
    for array in (one, other):
        reach = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
        start = address(array) + sum(min(0, far) for far in reach)
        stop = address(array) + sum(max(0, far) for far in reach) + array.dtype.itemsize
        spans.append((start, stop))
    (first, first_end), (second, second_end) = spans
    return first < second_end and second < first_end


def _own_stream(array: object) -> object:
    """Return the stream on which an array's owner works, None if nobody says."""
    torch = sys.modules.get("torch")
    if torch and isinstance(array, torch.Tensor):  # which does not tell
        return as_stream(torch.cuda.current_stream(array.device))
    if hasattr(array, "__cuda_ndarray__"):
        own = getattr(array, "stream", 0) or None
    else:
        own = getattr(array, "__cuda_array_interface__", {}).get("stream")
    return None if own is None else as_stream(own)


def _check_dtype(name: str, dtype: np.dtype) -> None:
    if not dtype.isnative:
        raise ArgumentError(
            explain(f"{name}.dtype", dtype, "must have its bytes in the GPU's order", "convert it")
        )


def _from_dlpack(array: object, stream: int) -> tuple[dict, object]:
    """Return the CUDA array interface of an array that has only DLPack's."""
    from cuda.core.utils import StridedMemoryView

    view = StridedMemoryView.from_dlpack(array, stream_ptr=stream)
    strides = view.strides and tuple(count * view.dtype.itemsize for count in view.strides)
    interface = {"shape": tuple(view.shape), "strides": strides, "typestr": view.dtype.str}
    return interface | {"data": (view.ptr, view.readonly), "version": 3}, view


def stacks(shape: tuple[int, ...], strides: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Yield the images of an array (..., H, W) as few stacks of images at equal distances.

    Parameters
    ----------
    shape, strides : tuple of int
        The array's, strides in bytes.

    Yields
    ------
    offset, count, stride : int
        Bytes to a stack's first image, its images, and the bytes from one to the next.
    """
    leading = [(n, s) for n, s in zip(shape[:-2], strides[:-2], strict=True) if n != 1]
    if 0 in shape:
        return
    count, stride = leading.pop() if leading else (1, 0)
    while leading and leading[-1][1] == count * stride:
        count *= leading.pop()[0]
    for index in np.ndindex(*(n for n, _ in leading)):
        yield sum(i * s for i, (_, s) in zip(index, leading, strict=True)), count, stride


def image_stacks(array) -> list:
    """Return an array (..., H, W) on the GPU as arrays (N, H, W), uncopied, in order."""
    return [
        viewed(array, offset, (count, *array.shape[-2:]), (stride, *array.strides[-2:]))
        for offset, count, stride in stacks(array.shape, array.strides)
    ]


def channel_maps(plan: Plan, output) -> list:
    """Return the maps (..., h, w) of every channel of coefficients on the GPU, uncopied.

    `Plan.maps_of` takes what Numba's arrays refuse: an ellipsis, and rows cut and bent.
    """
    leading = output.ndim - (3 if plan.outputs.smoothed else 1)
    maps = []
    for start, (height, width) in zip(plan.channel_starts, plan.channel_shapes, strict=False):
        itemsize = output.dtype.itemsize
        shape = *output.shape[:leading], height, width
        strides = *output.strides[:leading], width * itemsize, itemsize
        one = viewed(output, start * itemsize, shape, strides)
        one.stream = output.stream  # which others are told of
        maps.append(one)
    return maps


def new_array(shape: tuple[int, ...], dtype: np.dtype, stream):
    """Return a new array on the GPU, which tells other libraries of its stream."""
    return cuda.device_array(shape, dtype, stream=stream)
