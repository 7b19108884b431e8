"""Rows of numbers on disk before an output is complete: what survives an interruption."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np


class StagedRows:
    """Rows of one shape in files, each of which is full before the next begins.

    Parameters
    ----------
    file : callable
        The path of file k, whose folder exists.
    shape : tuple of int
        Of a row.
    dtype : numpy.dtype
        Of its numbers.
    offset : int, optional
        Bytes at the beginning of each file that are left to others.
    piece : int, optional
        Bytes of numbers in a file. Without, there is one file, and it is there from the beginning.

    Attributes
    ----------
    count : int
        How many rows there are.
    """

    def __init__(
        self,
        file: Callable[[int], Path],
        shape: tuple[int, ...],
        dtype: np.dtype,
        offset: int = 0,
        piece: int = sys.maxsize,
    ):
        self._path, self._dtype, self._offset, self._piece = file, dtype, offset, piece
        self.row = prod(shape) * dtype.itemsize
        self.count = 0
        self._file: BinaryIO | None = None
        self._number = -1
        self._unsynced: set[int] = set()

    def open(self, rows: int) -> bool:
        """Keep so many rows and nothing else. Where there are fewer, keep none, and say False."""
        self.close()
        whole, rest = divmod(rows * self.row, self._piece)
        there = all(self._size(k) == self._piece for k in range(whole))
        there = there and (not rest or self._size(whole) >= rest)
        if not there:
            rows = whole = rest = 0
        self.count = rows
        self._remove_from(whole + (rest > 0))
        if rest or self._piece == sys.maxsize:
            self._at(whole).truncate(self._offset + rest)
        return there

    def write(self, start: int, numbers: np.ndarray) -> None:
        """Write rows from number `start` on, of which none may be left out."""
        content = np.ascontiguousarray(numbers, self._dtype).reshape(-1).view(np.uint8)
        position = start * self.row
        while len(content):
            number, inside = divmod(position, self._piece)
            part = content[: self._piece - inside]
            file = self._at(number)
            file.seek(self._offset + inside)
            file.write(part.data)
            file.flush()
            content, position = content[len(part) :], position + len(part)
        self.count = start + len(numbers)

    def fill(self) -> None:
        """Make the file that the last row is in as large as the others."""
        number, rest = divmod(self.count * self.row, self._piece)
        if rest:
            self._at(number).truncate(self._offset + self._piece)
            self.close()

    def sync(self) -> None:
        """Return once what was written is on the disk."""
        for number in sorted(self._unsynced):
            os.fsync(self._at(number).fileno())
        self._unsynced.clear()

    def close(self) -> None:
        """Close what is open; the rows stay."""
        if self._file is not None:
            # Where the disk is full, Python would try once more what failed.
            with suppress(OSError):
                self._file.close()
            self._file, self._number = None, -1

    def _at(self, number: int) -> BinaryIO:
        """Return the file of this number, open."""
        if self._file is None or self._number != number:
            self.close()
            path = self._path(number)
            make_accessible(path)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            self._file, self._number = open(descriptor, "r+b"), number
            self._unsynced.add(number)
        return self._file

    def _size(self, number: int) -> int:
        try:
            return os.stat(self._path(number)).st_size - self._offset
        except FileNotFoundError:
            return -1

    def _remove_from(self, number: int) -> None:
        """Remove the files from this one on, the last first: a gap would hide some of them."""
        if self._piece == sys.maxsize:
            return
        last = number
        while self._size(last) >= 0:
            last += 1
        for each in range(last - 1, number - 1, -1):
            self._path(each).unlink()
            self._unsynced.discard(each)


def make_accessible(path: Path) -> None:
    """Let us in: what was about to be put in place has the mode of what it was to replace."""
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        path.chmod(0o700 if path.is_dir() else 0o600)


def flush_to_disk(file: BinaryIO) -> None:
    """Return once what was written to a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())
