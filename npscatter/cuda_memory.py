"""Arrays on the GPU, others' and our own, and the streams they are worked on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from npscatter.cuda_target import Stream, cuda, viewed
from npscatter.errors import ArgumentTypeError, explain

# What the CUDA array interface and DLPack call the default streams.
_LEGACY, _PER_THREAD = 1, 2


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
        return stream
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
    if handle in (0, _LEGACY):
        return cuda.legacy_default_stream()
    if handle == _PER_THREAD:
        return cuda.per_thread_default_stream()
    return cuda.external_stream(handle)


def as_device_array(array: object, stream: object):
    """Return an array of others as one of Numba's, uncopied, and the stream to work on.

    Parameters
    ----------
    array : object
        Has the CUDA array interface or DLPack's.
    stream : object or None
        Where it will be read or written: work that is under way on the array's own stream is
        waited for, by the GPU. None for the array's own stream, or the default stream.
    """
    wanted = None if stream is None else as_stream(stream)
    if hasattr(array, "__cuda_array_interface__"):
        told = dict(array.__cuda_array_interface__)
        owner, own = array, told.pop("stream", None)
        if wanted is None:
            wanted = as_stream(own or _LEGACY)
        elif own is not None and int(wanted) != own:
            event = cuda.event(timing=False)
            event.record(as_stream(own))
            event.wait(wanted)
    elif hasattr(array, "__cuda_ndarray__"):  # the simulator's
        return array, wanted or cuda.legacy_default_stream()
    else:
        wanted = wanted or cuda.legacy_default_stream()
        told, owner = _from_dlpack(array, int(wanted) or _LEGACY)
    return cuda.from_cuda_array_interface(told, owner=owner, sync=False), wanted


def _from_dlpack(array: object, stream: int) -> tuple[dict, object]:
    """Return the CUDA array interface of an array that has only DLPack's."""
    from cuda.core.utils import StridedMemoryView

    view = StridedMemoryView.from_dlpack(array, stream_ptr=stream)
    strides = view.strides and tuple(count * view.dtype.itemsize for count in view.strides)
    told = {"shape": tuple(view.shape), "strides": strides, "typestr": view.dtype.str}
    return told | {"data": (view.ptr, view.readonly), "version": 3}, view


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


def new_array(shape: tuple[int, ...], dtype: np.dtype, stream):
    """Return a new array on the GPU, which tells other libraries of its stream."""
    return cuda.device_array(shape, dtype, stream=stream)
