"""What ``npscatter transform`` writes, row after row, and completes in the end: .npy and .npz."""

from __future__ import annotations

import errno
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from npscatter.atomic_write import atomic_write, is_sent, put_in_place, stat_or_none
from npscatter.cli.options import extra
from npscatter.cli.pipeline.staging import StagedRows, flush_to_disk
from npscatter.errors import ArgumentError, explain

# The suffixes that `output_for` knows.
SUFFIXES = (".npy", ".npz", ".zarr", ".parquet")
# Bytes that are copied, or brought into a form that can be written, at a time.
AT_ONCE = 2**22


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


class Output:
    """An output in the making. It can be left at any moment, and gone on with by another object.

    Rows are staged, in a file if a subclass does not say otherwise, and in the end `complete` makes
    of them what is put in place.

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

    def __init__(self, path: Path, folder: Path, layout: Layout, force: bool):
        self.path, self.folder, self.layout, self.force = path, folder, layout, force
        self.rows = self.stage()

    def open(self, rows: int) -> bool:
        """Go on after so many rows, and forget those beyond.

        Returns
        -------
        bool
            False if so many are not there: then it begins anew, with row 0.
        """
        with self.naming():
            return self.rows.open(rows)

    def write(self, start: int, numbers: np.ndarray) -> None:
        """Write rows, shape (n, *layout.shape), the first of which is number `start`."""
        with self.naming():
            self.rows.write(start, numbers)

    def sync(self) -> None:
        """Return once the rows that were written are on the disk."""
        with self.naming():
            self.rows.sync()

    def close(self) -> None:
        """Leave it as it is, for a later `open`."""
        self.rows.close()

    def finish(self, contents: Contents) -> None:
        """Complete the output, and put it in place of what stands there in one step.

        Killed at any moment, it leaves what stood there, or can be gone on with to the same end.
        """
        if len(contents.names) != self.rows.count:
            rule = f"a name for each of {self.rows.count} rows"
            raise ArgumentError(explain("names", contents.names, rule, "name each row once"))
        with self.naming():
            self.rows.sync()
            self.rows.close()
            self.complete(contents)

    # What subclasses say

    def complete(self, contents: Contents) -> None:
        """Make of the rows what is written, and put it in place."""
        raise NotImplementedError

    def offset(self) -> int:
        """Return how many bytes stand before the rows in the staged file."""
        return 0

    def stage(self) -> StagedRows:
        """Return where the rows are staged."""
        return StagedRows(
            lambda _: self.staged, self.layout.shape, self.layout.dtype, offset=self.offset()
        )

    # What they use

    @property
    def staged(self) -> Path:
        """What is staged: not shared with other layouts."""
        shape = "x".join(map(str, self.layout.shape))
        return self.folder / f"rows-{self.layout.dtype.name}-{shape}{self.path.suffix.lower()}"

    def whole_shape(self, contents: Contents) -> tuple[int, ...]:
        """Return the shape of all coefficients."""
        return (len(contents.names), *self.layout.shape)

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


def output_for(path: Path) -> type[Output]:
    """Return the class of outputs that a suffix, one of `SUFFIXES`, stands for."""
    suffix = path.suffix.lower()
    if suffix == ".zarr":
        from npscatter.cli.pipeline.zarr_output import ZarrOutput

        return ZarrOutput
    if suffix == ".parquet":
        return extra("npscatter.cli.pipeline.parquet_output").ParquetOutput
    return NpyOutput if suffix == ".npy" else NpzOutput


class NpyOutput(Output):
    """The coefficients alone, as one array, with a card beside it that says what they are."""

    def __init__(self, path: Path, folder: Path, layout: Layout, force: bool):
        super().__init__(path, folder, layout, force)
        if self._card is not None and not force and _is_foreign(self._card):
            reason = "would be the card of this output, but is something else; move it elsewhere"
            raise FileExistsError(errno.EEXIST, reason, str(self._card))

    def offset(self) -> int:
        """Return the size of the header."""
        return len(npy_header((0, *self.layout.shape), self.layout.dtype))

    @property
    def _card(self) -> Path | None:
        status = stat_or_none(self.path)
        if status is not None and is_sent(status):
            return None
        return self.path.with_name(f"{self.path.name}.json")

    def complete(self, contents: Contents) -> None:
        """Write the header before the rows, and the card."""
        with open(self.staged, "r+b") as file:
            file.write(npy_header(self.whole_shape(contents), self.layout.dtype))
            flush_to_disk(file)
        if self._card is not None:
            with atomic_write(self._card, self.force) as card:
                _write_card(card, contents, self.whole_shape(contents), self.layout.dtype)
                flush_to_disk(card)
        put_in_place(self.staged, self.path, self.force)


class NpzOutput(Output):
    """Everything in one archive, without compression but of text.

    The rows are staged where they will be, in the archive's first member, and are not copied.
    """

    def offset(self) -> int:
        """Return the size of the member's header, and of the array's in it."""
        return len(_member("coefficients").FileHeader(zip64=True)) + len(
            npy_header((0, *self.layout.shape), self.layout.dtype)
        )

    def complete(self, contents: Contents) -> None:
        """Write the headers before the rows, and the other members after them."""
        with open(self.staged, "r+b") as file:
            first = self._write_headers(file, self.whole_shape(contents))
            file.seek(0, os.SEEK_END)
            with ZipFile(file, "w") as archive:
                # Members that follow are appended; the directory has to have the first one too.
                archive.filelist.append(first)
                archive.NameToInfo[first.filename] = first
                for key, texts in contents.texts().items():
                    _add_texts(archive, key, texts)
                for key, value in {**contents.columns, **contents.settings}.items():
                    _add_array(archive, key, as_array(value))
            flush_to_disk(file)
        put_in_place(self.staged, self.path, self.force)

    def _write_headers(self, file: BinaryIO, shape: tuple[int, ...]) -> ZipInfo:
        """Write what stands before the rows, and return the entry of the directory."""
        header = npy_header(shape, self.layout.dtype)
        member, start = _member("coefficients"), self.offset() - len(header)
        file.seek(start)
        file.write(header)
        file.seek(start)
        member.CRC, member.file_size = _checksum(file)
        member.compress_size = member.file_size
        file.seek(0)
        file.write(member.FileHeader(zip64=True))
        return member


# Arrays


def npy_header(shape: tuple[int, ...], dtype: np.dtype) -> bytes:
    """Return what stands before an array in an .npy file: as long for any count of rows."""
    descr = np.lib.format.dtype_to_descr(dtype)
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    # Room for any count, and then to a multiple of 64 bytes: as NumPy itself does.
    text += " " * (21 - len(repr(shape[0])))
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode("latin1")


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


def _member(key: str, compression: int = ZIP_STORED) -> ZipInfo:
    # Of no date, so that the same content gives the same bytes.
    member = ZipInfo(f"{key}.npy", (1980, 1, 1, 0, 0, 0))
    member.compress_type, member.external_attr = compression, 0o600 << 16
    # Which it lacks until it is written; they hold for one at the beginning, not yet summed up.
    member.header_offset = member.CRC = 0
    return member


def _checksum(file: BinaryIO) -> tuple[int, int]:
    """Return the CRC and the number of the bytes up to the end of a file."""
    crc = size = 0
    while piece := file.read(AT_ONCE):
        crc, size = zlib.crc32(piece, crc), size + len(piece)
    return crc, size


def _add_texts(archive: ZipFile, key: str, texts: Sequence[str]) -> None:
    dtype, pieces = fixed_width(texts)
    with archive.open(_member(key, ZIP_DEFLATED), "w", force_zip64=True) as file:
        file.write(npy_header((len(texts),), dtype))
        for piece in pieces:
            file.write(piece.tobytes())


def _add_array(archive: ZipFile, key: str, array: np.ndarray) -> None:
    with archive.open(_member(key), "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


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
    """Return a value as JSON; arrays become lists."""
    return json.dumps(value, default=lambda array: array.tolist())
