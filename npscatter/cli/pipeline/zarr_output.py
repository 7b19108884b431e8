"""The output .zarr: a store of Zarr's format 2, which every reader of Zarr has.

https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html: a chunk that is not compressed is a file
of numbers. Chunks of whole rows, or of equal parts of a row, are therefore the rows as they come,
cut into files: they can be appended to, cut off and flushed to the disk like any other rows.
Coefficients as good as never repeat, and compressed would take about a tenth less.
"""

from __future__ import annotations

import errno
import os
import shutil
import zlib
from collections.abc import Iterable
from math import prod
from pathlib import Path

import numpy as np

from npscatter.atomic_write import keep_owner_and_mode
from npscatter.cli.options import is_zarr_store
from npscatter.cli.pipeline.outputs import (
    Contents,
    Layout,
    Output,
    as_array,
    as_json,
    fixed_width,
    spelt,
)
from npscatter.cli.pipeline.staging import StagedRows, flush_to_disk, make_accessible

# Bytes of a chunk of coefficients, at most.
CHUNK = 2**23
COEFFICIENTS = "coefficients"
# Text repeats itself; the level is the fastest.
_ZLIB: dict = {"id": "zlib", "level": 1}


class ZarrOutput(Output):
    """A group with all coefficients, names and labels, and what each channel is.

    Dimensions have names as xarray understands them; settings are attributes.
    """

    def __init__(self, path: Path, folder: Path, layout: Layout, force: bool):
        self.chunks = chunk_shape(layout.shape, layout.dtype.itemsize)
        # Where what is replaced stands until it is removed.
        self._replaced = folder / "replaced.zarr"
        super().__init__(path, folder, layout, force)

    def stage(self) -> StagedRows:
        """Return where the rows are written: in the chunks."""
        counts = [
            size // part for size, part in zip(self.layout.shape, self.chunks[1:], strict=True)
        ]

        def file(number: int) -> Path:
            place = []
            for count in reversed(counts):
                number, index = divmod(number, count)
                place.append(index)
            key = ".".join(map(str, [number, *reversed(place)]))
            return self.staged / COEFFICIENTS / key

        piece = prod(self.chunks) * self.layout.dtype.itemsize
        return StagedRows(file, self.layout.shape, self.layout.dtype, piece=piece)

    def open(self, rows: int) -> bool:
        """Go on after so many rows."""
        with self.naming():
            if self._replaced.exists():
                self._settle_the_replaced()
            make_accessible(self.staged)
            (self.staged / COEFFICIENTS).mkdir(parents=True, exist_ok=True)
            self._forget_contents()
        return super().open(rows)

    def complete(self, contents: Contents) -> None:
        """Write what is not a coefficient, and put the store in place."""
        store = _Store(self.staged)
        count, *row = self.whole_shape(contents)
        chunks = self.chunks
        if count < chunks[0]:
            chunks = (max(count, 1), *chunks[1:])
        else:
            self.rows.fill()
        for key, texts in contents.texts().items():
            dimension = "skipped" if key.startswith("skipped") else "image"
            dtype, pieces = fixed_width(texts)
            store.add(key, dtype, (len(texts),), pieces, (dimension,))
        for key, column in contents.columns.items():
            array = as_array(column)
            store.add(key, array.dtype, array.shape, [array], ("channel", "wavelet")[: array.ndim])
        described = [key for key in store.arrays if not key.startswith("skipped")]
        store.declare(
            COEFFICIENTS,
            *(self.layout.dtype, (count, *row), chunks, None),
            dimensions=("image", *self.layout.axes),
            attributes={"coordinates": " ".join(described)},
        )
        store.finish(contents.settings)
        self._put_in_place()

    def _forget_contents(self) -> None:
        """Remove what an earlier `complete` wrote beside the coefficients."""
        for path in self.staged.iterdir():
            if path.name == COEFFICIENTS:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _put_in_place(self) -> None:
        """Take the place of what stands there; until that is done, it stands in our folder."""
        target = Path(os.path.realpath(self.path))
        if target.exists():
            if not is_zarr_store(target):
                reason = "is there by now and no Zarr store, which alone is replaced"
                raise FileExistsError(errno.EEXIST, reason, str(self.path))
            keep_owner_and_mode(self.staged, target.stat())
            os.rename(target, self._replaced)
        try:
            os.rename(self.staged, target)
        finally:
            if self._replaced.exists():
                self._settle_the_replaced()

    def _settle_the_replaced(self) -> None:
        """Remove what was replaced, or put it back where nothing took its place."""
        target = Path(os.path.realpath(self.path))
        if target.exists():
            shutil.rmtree(self._replaced)
        else:
            os.rename(self._replaced, target)


class _Store:
    """The files of a store besides the chunks of coefficients.

    Parameters
    ----------
    folder : Path
        The store.
    """

    def __init__(self, folder: Path):
        self.arrays: list[str] = []
        self._folder = folder
        self._metadata: dict[str, object] = {".zgroup": {"zarr_format": 2}}

    def declare(
        self,
        key: str,
        dtype: np.dtype,
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        compressor: dict | None,
        dimensions: tuple[str, ...],
        attributes: dict[str, object],
    ) -> None:
        """Say what an array is; its chunks are the caller's."""
        self.arrays.append(key)
        self._metadata[f"{key}/.zarray"] = {
            "zarr_format": 2,
            "shape": shape,
            "chunks": chunks,
            "dtype": np.lib.format.dtype_to_descr(dtype),
            "compressor": compressor,
            # xarray takes numbers that equal it to be missing.
            "fill_value": None,
            "order": "C",
            "filters": None,
        }
        self._metadata[f"{key}/.zattrs"] = {"_ARRAY_DIMENSIONS": dimensions, **attributes}

    def add(
        self,
        key: str,
        dtype: np.dtype,
        shape: tuple[int, ...],
        pieces: Iterable[np.ndarray],
        dimensions: tuple[str, ...],
    ) -> None:
        """Write an array in chunks along its first axis: the pieces, as long as the first."""
        (self._folder / key).mkdir()
        rows = 1
        for number, piece in enumerate(pieces):
            if number == 0:
                rows = len(piece)
            chunk = np.zeros((rows, *shape[1:]), dtype)
            chunk[: len(piece)] = piece
            name = ".".join(map(str, [number, *(0 for _ in shape[1:])]))
            self._put(f"{key}/{name}", zlib.compress(chunk.tobytes(), _ZLIB["level"]))
        self.declare(key, dtype, shape, (rows, *shape[1:]), _ZLIB, dimensions, {})

    def finish(self, attributes: dict[str, object]) -> None:
        """Write the attributes of the group, and all that was declared, each and together."""
        self._metadata[".zattrs"] = attributes
        for name, value in self._metadata.items():
            self._put(name, as_json(spelt(value)).encode())
        together = {"zarr_consolidated_format": 1, "metadata": spelt(self._metadata)}
        self._put(".zmetadata", as_json(together).encode())

    def _put(self, name: str, content: bytes) -> None:
        with open(self._folder / name, "wb") as file:
            file.write(content)
            flush_to_disk(file)


def chunk_shape(row: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return the shape of chunks that are contiguous among rows, and no larger than `CHUNK`.

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
