"""The output .zarr: a store of Zarr's format 2, which every reader of Zarr has, by Zarr itself."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from npscatter.atomic_write import exchange_folders, settle_exchange
from npscatter.cli.finding import is_store
from npscatter.cli.pipeline.outputs import (
    Contents,
    Layout,
    Staged,
    as_array,
    fixed_width,
    flush_to_disk,
    make_accessible,
    npy_header,
    spelt,
)

# Bytes of a chunk of coefficients, at most.
CHUNK = 2**23
COEFFICIENTS = "coefficients"
_SINCE_3 = int(zarr.__version__.partition(".")[0]) >= 3


class ZarrOutput(Staged):
    """A group with all coefficients, names and labels, and what each channel is.

    Dimensions have names as xarray understands them; settings are attributes. Zarr is given whole
    chunks, each once; the rows of the one that is not whole yet are kept beside the store.
    """

    def __init__(self, path: Path, folder: Path, layout: Layout, force: bool):
        super().__init__(path, folder, layout, force)
        self.chunks = chunk_shape(layout.shape, layout.dtype.itemsize)
        # Where what is replaced stands until it is removed.
        self._replaced = folder / "replaced.zarr"
        self._group: Any = None
        self._array: Any = None
        self._rest = np.empty((0, *layout.shape), layout.dtype)
        self._synced: set[str] = set()

    def open(self, rows: int) -> bool:
        """Go on after so many rows; see `Output`."""
        with self.naming():
            settle_exchange(Path(os.path.realpath(self.path)), self._replaced)
            make_accessible(self.staged)
            self._forget_contents()
            whole = rows - rows % self.chunks[0]
            rest = self._rest_of(whole, rows) if self._opened(whole) else None
            if rest is None:
                self._begin()
                whole, self._rest = 0, self._none()
            else:
                self._array.resize((whole, *self.layout.shape))
                self._rest = rest
            self.count = whole + len(self._rest)
            return rest is not None or not rows

    def write(self, start: int, numbers: np.ndarray) -> None:
        """Write rows; see `Output`."""
        with self.naming():
            rows = np.concatenate([self._rest, numbers], dtype=self.layout.dtype)
            whole = len(rows) - len(rows) % self.chunks[0]
            self._append(rows[:whole])
            self._rest, self.count = rows[whole:].copy(), start + len(numbers)

    def sync(self) -> None:
        """Return once all rows are on the disk; see `Output`."""
        with self.naming():
            kept = self._rest_file(self.count - len(self._rest))
            with open(kept.with_suffix(".new"), "wb") as file:
                # By `numpy.save`, a full disk would be told in other words.
                file.write(npy_header(self._rest.shape, self._rest.dtype))
                file.write(np.ascontiguousarray(self._rest).data)
                flush_to_disk(file)
            os.replace(kept.with_suffix(".new"), kept)
            for path in set(self.folder.glob("rest-*")) - {kept}:
                path.unlink()
            self._flush()

    def close(self) -> None:
        """Leave it as it is; see `Output`."""

    def complete(self, contents: Contents) -> None:
        """Write what is not a coefficient, and put the store in place; see `Output`."""
        self._append(self._rest)
        described = []
        for key, texts in contents.texts().items():
            skipped = key.startswith("skipped")
            dtype, pieces = fixed_width(texts)
            self._add(key, dtype, (len(texts),), pieces, ["skipped" if skipped else "image"])
            described += [] if skipped else [key]
        for key, column in contents.columns.items():
            array = as_array(column)
            axes = ["channel", "wavelet"][: array.ndim]
            self._add(key, array.dtype, array.shape, [array], axes)
            described.append(key)
        self._array.attrs.update(
            {
                "_ARRAY_DIMENSIONS": ["image", *self.layout.axes],
                "coordinates": " ".join(described),
            }
        )
        self._group.attrs.update(spelt(contents.settings))
        zarr.consolidate_metadata(str(self.staged))
        self._synced.clear()
        self._flush()
        self._put_in_place()

    # Rows

    def _none(self) -> np.ndarray:
        return np.empty((0, *self.layout.shape), self.layout.dtype)

    def _opened(self, rows: int) -> bool:
        """Open the store that is there; return whether it has so many rows."""
        try:
            self._group = zarr.open_group(str(self.staged), mode="r+")
            self._array = self._group[COEFFICIENTS]
            return self._array.chunks == self.chunks and self._array.shape[0] >= rows
        except Exception:  # of Zarr's own kinds, by version: there is none, or none that is whole
            return False

    def _begin(self) -> None:
        shutil.rmtree(self.staged, ignore_errors=True)
        for path in self.folder.glob("rest-*"):
            path.unlink()
        format: dict[str, Any] = {"zarr_format": 2} if _SINCE_3 else {}
        self._group = zarr.open_group(str(self.staged), mode="w", **format)
        shape = (0, *self.layout.shape)
        self._array = self._create(COEFFICIENTS, self.layout.dtype, shape, self.chunks)

    def _rest_file(self, first: int) -> Path:
        return self.folder / f"rest-{first}.npy"

    def _rest_of(self, whole: int, rows: int) -> np.ndarray | None:
        """Return rows from one on that were not handed to Zarr, or were since; None if neither."""
        if rows == whole:
            return self._none()
        try:
            rest = np.load(self._rest_file(whole))
        except (OSError, ValueError):
            rest = self._none()
        if len(rest) < rows - whole and self._array.shape[0] >= rows:
            rest = self._array[whole:rows]
        return rest[: rows - whole] if len(rest) >= rows - whole else None

    def _append(self, rows: np.ndarray) -> None:
        if len(rows):
            start = self._array.shape[0]
            self._array.resize((start + len(rows), *self.layout.shape))
            self._array[start:] = rows

    def _flush(self) -> None:
        """Return once all files that were written since the last time are on the disk."""
        for place, _, names in os.walk(self.staged):
            for path in (os.path.join(place, name) for name in names):
                if path not in self._synced:
                    with open(path, "rb") as file:
                        os.fsync(file.fileno())
                    # Of metadata, which are written again and again, only a chunk is remembered.
                    if not os.path.basename(path).startswith("."):
                        self._synced.add(path)

    # What else is in the store

    def _create(self, key: str, dtype: np.dtype, shape: tuple, chunks: tuple) -> Any:
        settings = {"shape": shape, "chunks": chunks, "dtype": dtype}
        # xarray takes numbers that equal it to be missing.
        settings["fill_value"] = None
        if _SINCE_3:
            return self._group.create_array(key, compressors=None, **settings)
        return self._group.create_dataset(key, compressor=None, **settings)

    def _add(
        self,
        key: str,
        dtype: np.dtype,
        shape: tuple[int, ...],
        pieces: Iterable[np.ndarray],
        axes: list[str],
    ) -> None:
        """Write an array in chunks along its first axis: the pieces, as long as the first."""
        array, first = None, 0
        for piece in pieces:
            if array is None:
                array = self._create(key, dtype, shape, piece.shape)
            array[first : first + len(piece)] = piece
            first += len(piece)
        if array is None:
            array = self._create(key, dtype, shape, (1, *shape[1:]))
        array.attrs["_ARRAY_DIMENSIONS"] = axes

    def _forget_contents(self) -> None:
        """Remove what an earlier `complete` wrote beside the coefficients."""
        for path in self.staged.iterdir() if self.staged.exists() else ():
            if path.name not in (COEFFICIENTS, ".zgroup"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    # Where it goes

    def _put_in_place(self) -> None:
        """Take the place of what stands there; until that is done, it stands in our folder."""
        target = Path(os.path.realpath(self.path))
        if target.exists():
            if not is_store(target):
                reason = "is there by now and no Zarr store, which alone is replaced"
                raise FileExistsError(errno.EEXIST, reason, str(self.path))
        exchange_folders(self.staged, target, self._replaced)


def chunk_shape(row: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the shape of chunks of whole rows, or of equal parts of one, no larger than `CHUNK`.

    A row that is larger is cut into equal parts along the first axis that allows it.
    """
    below = itemsize * prod(row)
    if below <= CHUNK:
        return (CHUNK // below, *row)
    for axis, size in enumerate(row):
        below //= size
        if below <= CHUNK:
            part = max(
                part for part in range(1, size + 1) if not size % part and part * below <= CHUNK
            )
            return (*(1 for _ in row[: axis + 1]), part, *row[axis + 1 :])
    raise AssertionError("a number is no larger than a chunk")
