"""The output .parquet: a table with a row for each picture, for the tools that read tables.

Coefficients are lists of a fixed length, flattened, with their shape in the metadata. Arrow's type
for tensors would keep the shape, but polars, to name one, does not calculate with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from npscatter.atomic_write import put_in_place
from npscatter.cli.pipeline.outputs import Contents, StagedRows, as_json, flush_to_disk, spelt

# Bytes of coefficients that are converted at a time, and stand together in the file.
ROW_GROUP = 2**25


class ParquetOutput(StagedRows):
    """One file: columns ``name``, ``label`` where there are any, and the coefficients.

    Numbers with one axis, summaries, are a column for each channel, under its name; others are one
    column ``coefficients``. What else there is to say stands in the schema's metadata, as JSON,
    under ``npscatter``. A file of Parquet cannot be gone on with, so it is made at the end.
    """

    def complete(self, contents: Contents) -> None:
        """Convert the rows, a group at a time, and put the file in place; see `Output`."""
        whole = self.folder / "whole.parquet"
        columns = self._columns(contents)
        texts = {"name": contents.names}
        if contents.labels is not None:
            texts["label"] = contents.labels
        fields = [pa.field(key, pa.string(), nullable=False) for key in texts] + columns
        settings = {"compression": "zstd", "use_dictionary": ["label"]}
        with open(whole, "wb") as file:
            with pq.ParquetWriter(
                file,
                pa.schema(fields, {b"npscatter": self._metadata(contents)}),
                write_statistics=list(texts),
                **settings,
            ) as writer:
                for first, rows in self._groups(len(contents.names)):
                    names = [
                        spelt(list(text[first : first + len(rows)])) for text in texts.values()
                    ]
                    arrays = [pa.array(text, pa.string()) for text in names]
                    arrays += [
                        _as_arrow(part, field.type)
                        for part, field in zip(np.hsplit(rows, len(columns)), columns, strict=True)
                    ]
                    writer.write_table(pa.Table.from_arrays(arrays, schema=writer.schema))
            flush_to_disk(file)
        put_in_place(whole, self.path, self.force)

    def _columns(self, contents: Contents) -> list[pa.Field]:
        """Return the columns of coefficients."""
        number = pa.from_numpy_dtype(self.layout.dtype)
        if len(self.layout.shape) > 1:
            element = pa.field("element", number, nullable=False)
            kind = pa.list_(element, prod(self.layout.shape))
            return [pa.field("coefficients", kind, nullable=False)]
        keys = [str(key) for key in contents.columns.get("channels", ())]
        count = self.layout.shape[0]
        if len({"name", "label", *keys}) != count + 2:
            keys = [f"channel_{index}" for index in range(count)]
        return [pa.field(key, number, nullable=False) for key in keys]

    def _metadata(self, contents: Contents) -> bytes:
        content = {
            "shape": self.layout.shape,
            "axes": self.layout.axes,
            "settings": contents.settings,
            "columns": contents.columns,
            "skipped": contents.skipped,
        }
        return as_json(spelt(content)).encode()

    def _groups(self, count: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number of the first row of a group, and its rows, flattened."""
        width, dtype = prod(self.layout.shape), self.layout.dtype
        most = max(1, ROW_GROUP // self.row)
        with open(self.staged, "rb") as file:
            for first in range(0, count, most):
                rows = np.empty((min(most, count - first), width), dtype)
                file.readinto(rows.data)
                yield first, rows


def _as_arrow(numbers: np.ndarray, kind: pa.DataType) -> pa.Array:
    """Return numbers of some rows, shape (n, k), as a column."""
    flat = pa.array(numbers.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=kind) if pa.types.is_nested(kind) else flat
