"""What ``npscatter transform`` writes, row after row, and completes in the end: .npy and .npz."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from npscatter.atomic_write import is_sent, put_in_place, stat_or_none
from npscatter.cli.options import extra
from npscatter.errors import ArgumentError, explain

# The suffixes that `output_for` knows.
SUFFIXES = (".npy", ".npz", ".zarr", ".parquet")
# Bytes that are copied, or brought into a form that can be written, at a time.
AT_ONCE = 2**22
_BINARY = getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class Layout:
    """What is known before the first row.

    Parameters
    ----------
    shape : tuple of int
        Of a row: (81, 8, 8), (3, 81, 8, 8) for colour, (81,) for a summary.
    dtype : numpy.dtype
        Of its numbers.
    axes : tuple of str
        The names of its axes: ("channel", "y", "x").
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    axes: tuple[str, ...]


@dataclass(frozen=True)
class Contents:
    """What is known after the last row.

    Parameters
    ----------
    names : sequence of str
        Of each row. Those of files may hold lone surrogates, for bytes that are no UTF-8.
    labels : sequence of str or None
        Of each row, if there are any.
    skipped : sequence of (str, str)
        The names of what has no row, and why.
    columns : dict of str to numpy.ndarray
        What each channel is: order, j, theta, ..., each with an element, or a row, per channel.
    settings : dict of str to object
        How this came about: text, numbers, sequences of these; None for what was not given.
    """

    names: Sequence[str]
    labels: Sequence[str] | None
    skipped: Sequence[tuple[str, str]]
    columns: dict[str, np.ndarray]
    settings: dict[str, object]

    def texts(self) -> dict[str, Sequence[str]]:
        """Return the columns of text, by their keys in the output."""
        labels = {} if self.labels is None else {"labels": self.labels}
        return {
            "names": self.names,
            **labels,
            "skipped": [name for name, _ in self.skipped],
            "skipped_because": [reason for _, reason in self.skipped],
        }


class Output(Protocol):
    """An output in the making. It can be left at any moment, and gone on with by another object.

    Parameters
    ----------
    path : Path
        Where it will be. What stands there is untouched until `finish`.
    folder : Path
        Where it is made: a folder that exists, on the disk that `path` leads to, and that nobody
        else may enter. Whoever made it removes it after `finish`.
    layout : Layout
        Of the rows.
    force : bool
        Whether even a file that is read-only is replaced.

    Raises
    ------
    OSError
        From every method, with the path that was given.
    """

    def __init__(self, path: Path, folder: Path, layout: Layout, force: bool): ...

    def open(self, rows: int) -> bool:
        """Go on after so many rows, and forget those beyond.

        Returns
        -------
        bool
            False if so many are not there: then it begins anew, with row 0.
        """

    def write(self, start: int, numbers: np.ndarray) -> None:
        """Write rows, shape (n, *layout.shape), the first of which is number `start`."""

    def sync(self) -> None:
        """Return once the rows that were written are on the disk."""

    def finish(self, contents: Contents) -> None:
        """Complete the output, and put it in place of what stands there in one step."""

    def close(self) -> None:
        """Leave it as it is, for a later `open`."""


def output_for(path: Path) -> type[Output]:
    """Return the class of outputs that a suffix, one of `SUFFIXES`, stands for."""
    suffix = path.suffix.lower()
    if suffix == ".zarr":
        return extra("npscatter.cli.pipeline.zarr_output").ZarrOutput
    if suffix == ".parquet":
        return extra("npscatter.cli.pipeline.parquet_output").ParquetOutput
    return NpyOutput if suffix == ".npy" else NpzOutput


class Staged(ABC):
    """What the outputs share: they are made in a folder, and what fails there is told of the path.

    Parameters
    ----------
    path, folder, layout, force
        As in `Output`.

    Attributes
    ----------
    count : int
        The number of rows.
    """

    def __init__(self, path: Path, folder: Path, layout: Layout, force: bool):
        self.path, self.folder, self.layout, self.force = path, folder, layout, force
        self.count = 0

    @property
    def staged(self) -> Path:
        """The file or folder that is made, which those of other layouts do not share."""
        shape = "x".join(map(str, self.layout.shape))
        return self.folder / f"rows-{self.layout.dtype.name}-{shape}{self.path.suffix.lower()}"

    @abstractmethod
    def sync(self) -> None:
        """Return once all rows are on the disk; see `Output`."""

    def finish(self, contents: Contents) -> None:
        """Complete it and put it in place; see `Output`."""
        if len(contents.names) != self.count:
            rule = f"a name for each of {self.count} rows"
            raise ArgumentError(explain("names", contents.names, rule, "name each row once"))
        self.sync()
        with self.naming():
            self.complete(contents)

    @abstractmethod
    def complete(self, contents: Contents) -> None:
        """Make an output of the rows, and put it in place."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all coefficients."""
        return (self.count, *self.layout.shape)

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Let errors about what is staged name the output."""
        try:
            yield
        except OSError as error:
            if not (error.filename is None or self._is_ours(Path(os.fsdecode(error.filename)))):
                raise
            reason = error.strerror or str(error)
            raise OSError(error.errno or errno.EIO, reason, str(self.path)) from error

    def _is_ours(self, path: Path) -> bool:
        return self.folder in path.parents or path == Path(os.path.realpath(self.path))


class StagedRows(Staged):
    """Outputs whose rows are staged as they are, in one file, and made into another in the end."""

    def __init__(self, path: Path, folder: Path, layout: Layout, force: bool):
        super().__init__(path, folder, layout, force)
        self.row = math.prod(layout.shape) * layout.dtype.itemsize
        self._file: BinaryIO | None = None

    @property
    def offset(self) -> int:
        """How many bytes stand before the rows in the staged file."""
        return 0

    def open(self, rows: int) -> bool:
        """Go on after so many rows; see `Output`."""
        with self.naming():
            self.close()
            make_accessible(self.staged)
            descriptor = os.open(self.staged, os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
            self._file = open(descriptor, "r+b")
            there = not rows or os.stat(descriptor).st_size >= self.offset + rows * self.row
            self.count = rows if there else 0
            self._file.truncate(self.offset + self.count * self.row)
            return there

    def write(self, start: int, numbers: np.ndarray) -> None:
        """Write rows; see `Output`."""
        assert self._file is not None
        with self.naming():
            self._file.seek(self.offset + start * self.row)
            self._file.write(np.ascontiguousarray(numbers, self.layout.dtype).data)
            self._file.flush()
            self.count = start + len(numbers)

    def sync(self) -> None:
        """Return once all rows are on the disk; see `Output`."""
        assert self._file is not None
        with self.naming():
            flush_to_disk(self._file)

    def close(self) -> None:
        """Leave it as it is; see `Output`."""
        if self._file is not None:
            # Where the disk is full, Python would try once more what failed.
            with suppress(OSError):
                self._file.close()
            self._file = None


class NpyOutput(StagedRows):
    """The coefficients alone, as one array, with a card beside it that says what they are."""

    def __init__(self, path: Path, folder: Path, layout: Layout, force: bool):
        super().__init__(path, folder, layout, force)
        if self._card is not None and not force and _is_foreign(self._card):
            reason = "would be the card of this output, but is something else; move it elsewhere"
            raise FileExistsError(errno.EEXIST, reason, str(self._card))

    @property
    def offset(self) -> int:
        """The size of the header."""
        return len(npy_header(self.shape, self.layout.dtype))

    @property
    def _card(self) -> Path | None:
        status = stat_or_none(self.path)
        if status is not None and is_sent(status):
            return None
        return self.path.with_name(f"{self.path.name}.json")

    def complete(self, contents: Contents) -> None:
        """Write the header before the rows, and the card; see `Output`."""
        with open(self.staged, "r+b") as file:
            file.write(npy_header(self.shape, self.layout.dtype))
            flush_to_disk(file)
        if self._card is None:
            put_in_place(self.staged, self.path, self.force)
            return
        card, old = self.folder / "card.json", self.folder / "old-card.json"
        with open(card, "wb") as file:
            _write_card(file, contents, self.shape, self.layout.dtype)
            flush_to_disk(file)
        # At no moment does a card stand beside an array that it does not speak of.
        if self._card.exists():
            os.replace(self._card, old)
        try:
            put_in_place(self.staged, self.path, self.force)
        except BaseException:
            if old.exists():
                os.replace(old, self._card)
            raise
        put_in_place(card, self._card, self.force)


class NpzOutput(StagedRows):
    """Everything in one archive, without compression but of text."""

    def complete(self, contents: Contents) -> None:
        """Copy the rows into an archive, and add the rest; see `Output`."""
        whole = self.folder / "whole.npz"
        with open(whole, "wb") as file:
            with ZipFile(file, "w") as archive:
                with _member(archive, "coefficients") as member, open(self.staged, "rb") as rows:
                    member.write(npy_header(self.shape, self.layout.dtype))
                    shutil.copyfileobj(rows, member, AT_ONCE)
                for key, texts in contents.texts().items():
                    dtype, pieces = fixed_width(texts)
                    with _member(archive, key, ZIP_DEFLATED) as member:
                        member.write(npy_header((len(texts),), dtype))
                        for piece in pieces:
                            member.write(piece.tobytes())
                for key, value in {**contents.columns, **contents.settings}.items():
                    with _member(archive, key) as member:
                        np.lib.format.write_array(member, as_array(value), allow_pickle=False)
            flush_to_disk(file)
        put_in_place(whole, self.path, self.force)


# Files


def make_accessible(path: Path) -> None:
    """Let us in: what was about to be put in place has the mode of what it was to replace."""
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        path.chmod(0o700 if path.is_dir() else 0o600)


def flush_to_disk(file: BinaryIO) -> None:
    """Return once what was written to a file is on the disk."""
    file.flush()
    os.fsync(file.fileno())


# Arrays


def npy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Return what stands before an array in an .npy file: as long for any count of rows."""
    descr, file = np.lib.format.dtype_to_descr(dtype), io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


def fixed_width(texts: Sequence[str]) -> tuple[np.dtype, Iterator[np.ndarray]]:
    """Return the type of an array of texts, as wide as the longest, and the array in pieces."""
    dtype = np.dtype(f"<U{max(map(len, texts), default=0) or 1}")
    count = max(1, AT_ONCE // dtype.itemsize)
    return dtype, (
        np.array(texts[first : first + count], dtype) for first in range(0, len(texts), count)
    )


def as_array(value: object) -> np.ndarray:
    """Return a setting or a column as an array; what was not given is an empty one."""
    array = np.asarray(() if value is None else value)
    if array.dtype.hasobject:
        raise TypeError(f"{value!r} is neither text nor numbers")
    return array


# Archives


def _member(archive: ZipFile, key: str, compression: int = ZIP_STORED) -> IO[bytes]:
    """Open a member of an archive, of no date, so that the same content gives the same bytes."""
    member = ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
    member.compress_type, member.external_attr = compression, 0o600 << 16
    return archive.open(member, "w", force_zip64=True)


# Cards

_CARD = '{"npscatter": '


def _is_foreign(path: Path) -> bool:
    """Return whether a file is there, and is no card."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_CARD)) != _CARD.encode()
    except FileNotFoundError:
        return False


def _write_card(
    file: BinaryIO, contents: Contents, shape: tuple[int, ...], dtype: np.dtype
) -> None:
    head = {
        "shape": shape,
        "dtype": dtype.name,
        "settings": contents.settings,
        "columns": contents.columns,
        "skipped": contents.skipped,
    }
    file.write(f"{_CARD}{as_json(contents.settings.get('version'))}".encode())
    for key, value in head.items():
        file.write(f',\n"{key}": {as_json(value)}'.encode())
    for key, texts in (("labels", contents.labels), ("names", contents.names)):
        if texts is not None:
            file.write(f',\n"{key}": [\n'.encode())
            for first in range(0, len(texts), 1000):
                lines = ",\n".join(map(as_json, texts[first : first + 1000]))
                file.write(((",\n" if first else "") + lines).encode())
            file.write(b"\n]")
    file.write(b"}\n")


def spelt(value: Any) -> Any:
    """Return a value whose text is UTF-8: what cannot be is spelt as in Python's strings."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list | tuple):
        return [spelt(each) for each in value]
    if isinstance(value, dict):
        return {key: spelt(each) for key, each in value.items()}
    return value


def as_json(value: object) -> str:
    """Return a value as JSON; arrays become lists, and what is no number null."""
    return json.dumps(value, default=_as_list, allow_nan=False)


def _as_list(array: np.ndarray) -> list:
    numbers = array.astype(object)
    if array.dtype.kind == "f":
        numbers[~np.isfinite(array)] = None
    return numbers.tolist()
