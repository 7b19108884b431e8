"""Where pictures come from: files, members of tar shards, rows of stacks. Needs Pillow."""

from __future__ import annotations

import os
import sys
import tarfile
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader, RawIOBase
from itertools import compress, groupby
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

import numpy as np

from npscatter.atomic_write import open_regular
from npscatter.cli import images
from npscatter.cli.finding import is_shard, is_stack
from npscatter.cli.pipeline.stacks import open_stack
from npscatter.cli.samples import ImageError

# Bytes of a class that are read.
LONGEST_LABEL = 1024


class Part(Protocol):
    """Some neighbouring pictures of a source, as a process that reads them is told of them."""

    @property
    def names(self) -> list[str]:
        """What each is called."""

    def headers(self, how: images.Reading) -> Iterator[images.Header | ImageError]:
        """Yield what is known of each picture before its pixels are read, or what is wrong."""

    def pictures(self, how: images.Reading) -> Iterator[np.ndarray | ImageError]:
        """Yield each picture as `npscatter.cli.images.read_image` does, or what is wrong."""


class PictureSource(Part, Protocol):
    """All pictures of a place, in their order.

    `labels` are those that the place itself has, one a picture, or None.
    """

    labels: list[str] | None

    def __len__(self) -> int: ...

    def part(self, start: int, stop: int) -> Part:
        """Return some of the pictures."""

    def without(self, dropped: set[int]) -> PictureSource:
        """Return the others."""

    def at_once(self, pictures: int) -> int:
        """Return how many are best read together, where so many would do."""


@dataclass
class Files:
    """Pictures that are files of their own."""

    names: list[str]
    labels: list[str] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def part(self, start: int, stop: int) -> Files:
        """Return some of the pictures."""
        return Files(self.names[start:stop])

    def without(self, dropped: set[int]) -> Files:
        """Return the others."""
        return Files([name for index, name in enumerate(self.names) if index not in dropped])

    def at_once(self, pictures: int) -> int:
        """Return how many are best read together."""
        return pictures

    def headers(self, how: images.Reading) -> Iterator[images.Header | ImageError]:
        """Yield what is known of each picture before its pixels are read."""
        return _each(lambda name: images.read_header(name, how), self.names)

    def pictures(self, how: images.Reading) -> Iterator[np.ndarray | ImageError]:
        """Yield each picture."""
        return _each(lambda name: images.read_image(name, how), self.names)


@dataclass
class Shard:
    """Pictures in an uncompressed tar file, such as WebDataset reads.

    Attributes
    ----------
    path : str
        The file.
    names : list of str
        Of the pictures: the file's, and the member's behind it.
    offsets, sizes : array of int
        Where their bytes are.
    labels : list of str or None
        What the ``.cls`` member beside each picture holds.
    """

    path: str
    names: list[str]
    offsets: array[int]
    sizes: array[int]
    labels: list[str] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def part(self, start: int, stop: int) -> Shard:
        """Return some of the pictures."""
        part = slice(start, stop)
        return Shard(self.path, self.names[part], self.offsets[part], self.sizes[part])

    def without(self, dropped: set[int]) -> Shard:
        """Return the others."""
        kept = [index not in dropped for index in range(len(self))]
        return Shard(
            self.path,
            list(compress(self.names, kept)),
            array("Q", compress(self.offsets, kept)),
            array("Q", compress(self.sizes, kept)),
            None if self.labels is None else list(compress(self.labels, kept)),
        )

    def at_once(self, pictures: int) -> int:
        """Return how many are best read together."""
        return pictures

    def headers(self, how: images.Reading) -> Iterator[images.Header | ImageError]:
        """Yield what is known of each picture before its pixels are read."""
        return self._read(images.read_header, how)

    def pictures(self, how: images.Reading) -> Iterator[np.ndarray | ImageError]:
        """Yield each picture."""
        return self._read(images.read_image, how)

    def _read(self, read: Callable, how: images.Reading) -> Iterator[Any]:
        try:
            tar = open_regular(Path(self.path))
        except OSError as error:
            yield from [ImageError("its tar file cannot be read", error.strerror)] * len(self)
            return
        with tar:
            yield from _each(
                lambda member: read(_member(tar, *member), how),
                zip(self.names, self.offsets, self.sizes, strict=True),
            )


def _each(read: Callable, items: Iterable) -> Iterator[Any]:
    for item in items:
        try:
            yield read(item)
        except ImageError as error:
            yield error


def _member(tar: BinaryIO, name: str, start: int, size: int) -> BufferedReader:
    images.check_suffix(name)
    return BufferedReader(_TarMember(tar, start, size))


class _TarMember(RawIOBase):
    """Some bytes of a file, as a file of their own."""

    def __init__(self, file: BinaryIO, start: int, size: int):
        self._file, self._start, self._size, self._at = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("before the beginning")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = memoryview(buffer)[: max(0, self._size - self._at)]
        self._file.seek(self._start + self._at)
        count = self._file.readinto(wanted) or 0  # type: ignore[attr-defined]  # unbuffered
        self._at += count
        return count


def open_source(
    name: str, suffixes: Iterable[str], how: images.Reading
) -> tuple[PictureSource, ImageError | None]:
    """Return the pictures in a shard or a stack, and why they are not all that it holds, if so.

    Raises
    ------
    ImageError
        If it holds none that can be read.
    """
    return open_shard(name, suffixes) if is_shard(name) else (open_stack(name, how), None)


def open_shard(path: str, suffixes: Iterable[str]) -> tuple[Shard, ImageError | None]:
    """Return the pictures in a tar file, by suffix, in its order, and why they are not all.

    Hidden members are left out, as hidden files of folders are.

    Raises
    ------
    ImageError
        If it cannot be read, or holds none.
    """
    shard, why = Shard(path, [], array("Q"), array("Q")), ""
    classes: dict[str, str] = {}
    left_out: list[str] = []
    try:
        with (
            open_regular(Path(path)) as file,
            tarfile.open(fileobj=file, mode="r:") as tar,
        ):
            try:
                for member in tar:
                    tar.members = []  # type: ignore[attr-defined]  # or all would be kept
                    _take(tar, member, shard, classes, left_out, frozenset(suffixes))
            except MemoryError:
                raise
            except Exception as error:  # tarfile raises many kinds on broken headers
                why = images.one_line(error)
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(path, error) from None
    if not shard.names:
        raise ImageError(
            "a tar file that breaks off" if why else "a tar file without pictures", why
        )
    if classes:
        shard.labels = [classes.get(_key(name), "") for name in shard.names]
    if why:
        return shard, ImageError("is not read to its end", why)
    if left_out:
        told = f"{len(left_out):,}, such as {left_out[0]}"
        return shard, ImageError("its links and sparse members are not read", told)
    return shard, None


def _take(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    shard: Shard,
    classes: dict[str, str],
    left_out: list[str],
    suffixes: frozenset[str],
) -> None:
    """Add a member of a tar file to its pictures, or to their classes, if it is one."""
    if not 0 <= member.size <= sys.maxsize:
        # Of which the next member would be the same one, for ever.
        raise tarfile.ReadError(f"a member of {member.size} bytes")
    place = PurePosixPath(member.name)
    if member.isdir() or place.name.startswith("."):
        return
    if not member.isreg() or member.issparse():
        left_out += [str(place)] * (place.suffix.lower() in suffixes)
    elif place.suffix.lower() in suffixes:
        shard.names.append(f"{shard.path}/{place}")
        shard.offsets.append(member.offset_data)
        shard.sizes.append(member.size)
    elif place.suffix == ".cls" and (file := tar.extractfile(member)):
        content = file.read(LONGEST_LABEL).decode(errors="replace")
        classes[_key(f"{shard.path}/{place}")] = content.strip()


def _key(name: str) -> str:
    """Return what the members of one sample have in common: all up to the name's first dot."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/{last.partition('.')[0]}"


def _unreadable(path: str, error: Exception) -> ImageError:
    if isinstance(error, FileNotFoundError):
        return ImageError("no such file")
    try:
        with open_regular(Path(path)) as file:
            start = file.read(6)
    except OSError:
        start = b""
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")):
        return ImageError(
            "a compressed tar file, which cannot be read from the middle",
            remedy="uncompress it first, e.g. gunzip SHARD.tar.gz",
        )
    return ImageError("cannot be read", images.one_line(error))


def grouped(names: Iterable[str]) -> Iterator[list[str]]:
    """Yield files that follow each other together, and each shard or stack alone."""
    for container, group in groupby(names, is_container):
        together = list(group)
        yield from ([name] for name in together) if container else [together]


def is_container(name: str) -> bool:
    """Say whether a name is that of a shard or a stack."""
    return is_shard(name) or is_stack(name)


def parts_of(
    sources: Iterable[PictureSource], together: int, first: int = 0
) -> Iterator[tuple[int, int, Part]]:
    """Yield pictures from number `first` on, so many together: source, place in it, part of it."""
    before = 0
    for number, source in enumerate(sources):
        step = source.at_once(together)
        for start in range(max(0, first - before), len(source), step):
            yield number, start, source.part(start, min(start + step, len(source)))
        before += len(source)
