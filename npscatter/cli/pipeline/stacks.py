"""Stacks of pictures: arrays in .npy and .npz files and in Zarr stores. Needs Pillow."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from copy import copy
from typing import Any, BinaryIO, Literal

import numpy as np

from npscatter.arguments import looks_channels_last
from npscatter.cli import images
from npscatter.cli.finding import stack_and_member
from npscatter.cli.options import extra
from npscatter.cli.samples import ImageError, samples_of_array

# Bytes of a store's chunk that are read together, however few pictures were asked for.
MOST_TOGETHER = 2**25
_AXES = "(N, H, W), (N, H, W, 3), (N, 3, H, W) or (H, W)"


class Stack:
    """The pictures of an array.

    Parameters
    ----------
    name : str
        As the user wrote it.
    place : _ArrayFile or _ArrayStore
        Where the array is.
    """

    labels: list[str] | None = None

    def __init__(self, name: str, place: _ArrayFile | _ArrayStore):
        numbers = _rows(place.opened())
        self._name, self._place = name, place
        self._start, self._stop = 0, numbers.shape[0]
        chunks = getattr(numbers, "chunks", None) or (1,)
        row = math.prod(numbers.shape[1:]) * numbers.dtype.itemsize
        self._chunk = min(chunks[0], MOST_TOGETHER // row)

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def names(self) -> list[str]:
        """The array's name and the number of each picture in it, from 0."""
        return [f"{self._name}[{row}]" for row in range(self._start, self._stop)]

    def part(self, start: int, stop: int) -> Stack:
        """Return some of the pictures."""
        part = copy(self)
        part._start, part._stop = self._start + start, self._start + stop
        return part

    def without(self, dropped: set[int]) -> Stack:
        """Return the others: all, for what is wrong with headers keeps a stack from being one."""
        return self

    def at_once(self, pictures: int) -> int:
        """Return how many to read together, that no chunk of a store is read again and again."""
        return max(pictures, self._chunk)

    def headers(self, how: images.Reading) -> Iterator[images.Header | ImageError]:
        """Yield what is known of each picture before its pixels are read."""
        numbers = _rows(self._place.opened())
        try:
            if how.frame:
                raise ImageError(f"has no frame {how.frame}", remedy="leave --frame out for stacks")
            samples = samples_of_array(numbers.dtype, how.levels)
            height, width = _planes(numbers[:0]).shape[-2:]
            images.check_size(height, width)
            header: Any = images.Header((height, width), samples.kind, False, False)
        except ImageError as error:
            header = error
        yield from [header] * len(self)

    def pictures(self, how: images.Reading) -> Iterator[np.ndarray | ImageError]:
        """Yield each picture as `npscatter.cli.images.read_image` returns it."""
        try:
            rows = np.asarray(_rows(self._place.opened())[self._start : self._stop])
            samples = samples_of_array(rows.dtype, how.levels)
        except MemoryError:
            raise
        except Exception as error:  # Zarr's codecs raise many kinds on broken chunks
            if len(self) == 1:
                yield ImageError("cannot be read", images.one_line(error))
            else:
                for row in range(len(self)):
                    yield from self.part(row, row + 1).pictures(how)
            return
        for planes in _planes(rows):
            try:
                yield images.fitted(planes, samples, how)
            except ImageError as error:
                yield error


def open_stack(name: str, how: images.Reading) -> Stack:
    """Return the pictures in an array, by the name of its file or store.

    Raises
    ------
    ImageError
        If it cannot be read, or is no stack of pictures.
    """
    path, member = stack_and_member(name)
    if not os.path.exists(path):
        raise ImageError("no such file")
    if not (os.path.isfile(path) or os.path.isdir(path)):
        raise ImageError("not a regular file")  # others may wait for ever
    try:
        stack = Stack(name, _place(path, member))
        if not len(stack):
            raise ImageError("an array without pictures")
        for header in stack.headers(how):
            if isinstance(header, ImageError):
                raise header
            break  # all are alike
        return stack
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # NumPy and Zarr raise many kinds on broken files
        raise ImageError("cannot be read", images.one_line(error)) from None


def _rows(numbers: Any) -> Any:
    """Return an array with an axis of pictures, or raise `ImageError`."""
    rows = np.asarray(numbers)[None] if len(numbers.shape) == 2 else numbers
    if len(rows.shape) not in (3, 4) or 0 in rows.shape[1:]:
        raise ImageError(f"an array {rows.shape}, not {_AXES}", remedy="reshape it")
    if len(rows.shape) == 3 and looks_channels_last(rows.shape):
        remedy = "store x[None] if it is one picture in colour"
        raise ImageError(f"an array {rows.shape}, not {_AXES}", remedy=remedy)
    return rows


def _planes(rows: np.ndarray) -> np.ndarray:
    """Return pictures (n, 1 or 3, H, W), without transparency."""
    if rows.ndim == 3:
        return rows[:, None]
    if rows.shape[-1] in (1, 3, 4) and rows.shape[-2] > 4:
        rows = np.moveaxis(rows, -1, 1)
    if rows.shape[1] not in (1, 3, 4):
        raise ImageError(
            f"an array (N, {str(rows.shape[1:])[1:]}, not {_AXES}", remedy="reshape it"
        )
    return rows[:, :3]


class _ArrayFile:
    """An array that lies in a file as it is in memory."""

    def __init__(self, path: str, start: int = 0, owner: object = None):
        self._path, self._start = path, start
        # Keeps a temporary file until nobody reads it any more.
        self._owner = owner

    def __reduce__(self) -> tuple:
        return _ArrayFile, (self._path, self._start)

    def opened(self) -> np.ndarray:
        """Return the array, mapped into memory."""
        with open(self._path, "rb") as file:
            file.seek(self._start)
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                version, np.lib.format.read_array_header_2_0
            )
            try:
                shape, fortran, dtype = read(file)
            except MemoryError:  # of Python's parser, which is short of it at once
                raise ImageError("an array whose header cannot be read") from None
            if dtype.hasobject:
                raise ImageError("an array of Python objects, which may run any code when read")
            order: Literal["F", "C"] = "F" if fortran else "C"
            if 0 in shape:
                return np.empty(shape, dtype)
            return np.memmap(self._path, dtype, "r", file.tell(), shape, order)


class _ArrayStore:
    """An array of a Zarr store."""

    def __init__(self, path: str):
        self._path = path

    def opened(self) -> Any:
        """Return the array."""
        store = extra("zarr").open(self._path, mode="r")
        if hasattr(store, "shape"):
            return store
        told = ", ".join(f"{self._path}/{name}" for name in _arrays_of(store))
        raise ImageError(
            "a group of a Zarr store, not an array", remedy=f"name one: {told}" if told else ""
        )


def _arrays_of(group: Any) -> Iterator[str]:
    """Yield the names of all arrays in a group of Zarr, and in the groups in it."""
    yield from sorted(name for name, _ in group.arrays())
    for name, inner in sorted(group.groups(), key=lambda pair: pair[0]):
        yield from (f"{name}/{each}" for each in _arrays_of(inner))


def _place(path: str, member: str) -> _ArrayFile | _ArrayStore:
    if os.path.isdir(path):
        return _ArrayStore(path)
    if path.lower().endswith(".npz"):
        return _place_in_archive(path, member)
    return _ArrayFile(path)


def _place_in_archive(path: str, member: str) -> _ArrayFile:
    """Return where an array of an .npz file is; one that is compressed is unpacked into a file."""
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if not member and len(names) == 1:
            member = names[0]
        if member not in names:
            told = ", ".join(f"{path}:{name}" for name in names)
            kind = f"holds no array {member!r}" if member else "holds several arrays"
            raise ImageError(kind, remedy=f"name one: {told}")
        info = archive.infolist()[names.index(member)]
        if info.compress_type == zipfile.ZIP_STORED:
            with open(path, "rb") as file:
                return _ArrayFile(path, _start_of(info, file))
        folder = tempfile.TemporaryDirectory(prefix="npscatter-")
        unpacked = os.path.join(folder.name, "stack.npy")
        with archive.open(info) as packed, open(unpacked, "wb") as file:
            shutil.copyfileobj(packed, file, 2**20)
        return _ArrayFile(unpacked, owner=folder)


def _start_of(info: zipfile.ZipInfo, file: BinaryIO) -> int:
    """Return where the bytes of a member begin: behind its own header, which has two lengths."""
    file.seek(info.header_offset + 26)
    name, more = (int.from_bytes(file.read(2), "little") for _ in range(2))
    return info.header_offset + 30 + name + more
