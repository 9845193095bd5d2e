"""The matrix file: one row per window, one column per channel, in Parquet.

DESIGN: ``fixed_size_list<float32>[n_times]`` columns in SI units; zstd with
BYTE_STREAM_SPLIT, no dictionary, no statistics; above `WIDE_ABOVE` channels one column
``signal`` that holds channels x times in C order. The key ``bidsmill`` of the file's metadata
holds one JSON document that describes the channels and every processing step.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError

CONTRACT = "1"
METADATA_KEY = "bidsmill"
WIDE_ABOVE = 1024
WIDE_COLUMN = "signal"
MIN_GROUP_BYTES = 16 * 2**20
MAX_GROUP_BYTES = 128 * 2**20
MIN_CHUNK_BYTES = 64 * 2**10


def rows_per_group(n_channels: int, n_times: int) -> int:
    """Return how many rows a row group holds.

    A group has 16 to 128 MB, with at least 64 KB per column chunk where 128 MB allow it, so
    that a reader can take single channels at the speed of the disk.

    Parameters
    ----------
    n_channels, n_times : int
        Size of a row.
    """
    row_bytes = max(1, n_channels * n_times * 4)
    wanted = -(-max(MIN_GROUP_BYTES, MIN_CHUNK_BYTES * n_channels) // row_bytes)
    return max(1, min(wanted, MAX_GROUP_BYTES // row_bytes))


class MatrixWriter:
    """Write a matrix file row group by row group; memory holds one row group.

    Parameters
    ----------
    path : path-like
        Where the file goes. Use an `atomic_path`: the writer itself does not rename.
    channels : sequence of str
        Column names, distinct when case is ignored (see `layout.column_names`).
    n_times : int
        Samples per row.

    Notes
    -----
    Close with `close(metadata)`. The sha256 is taken while writing, so that the file is not
    read again.
    """

    def __init__(self, path: str | os.PathLike, channels: Sequence[str], n_times: int):
        import pyarrow as pa

        from bidsmill.formats.float_lists import FloatListWriter

        self.channels = list(channels)
        self.n_times = int(n_times)
        self.n_rows = 0
        self.wide = len(self.channels) > WIDE_ABOVE
        length = self.n_times * len(self.channels) if self.wide else self.n_times
        item = pa.field("element", pa.float32(), nullable=False)
        lists = pa.list_(item, length)
        names = [WIDE_COLUMN] if self.wide else self.channels
        schema = pa.schema([pa.field(name, lists, nullable=False) for name in names])
        self._file = _HashingFile(path)
        self._writer = FloatListWriter(self._file, schema)

    def write_group(self, block: np.ndarray) -> None:
        """Write one row group.

        Parameters
        ----------
        block : ndarray of float32, shape (n_channels, n_rows, n_times)
            Channels first: the layout of a recording cut into adjacent windows, which then
            needs no copy.
        """
        if block.shape[0] != len(self.channels) or block.shape[2] != self.n_times:
            raise ValueError(
                f"block of shape {block.shape}: expected "
                f"({len(self.channels)}, rows, {self.n_times})"
            )
        if block.dtype != np.float32:
            raise ValueError(f"block of {block.dtype}: expected float32")
        if block.shape[1] == 0:
            return
        if self.wide:
            parts = [np.ascontiguousarray(block.transpose(1, 0, 2)).reshape(-1)]
        else:
            parts = [np.ascontiguousarray(channel).reshape(-1) for channel in block]
        self._writer.write_group(parts)
        self.n_rows += block.shape[1]

    def close(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """End the file.

        Parameters
        ----------
        metadata : dict
            The document of the key ``bidsmill``; contract, rows and shape are added.

        Returns
        -------
        dict
            ``sha256``, ``size`` (bytes) and ``shape`` ([rows, channels, times]).
        """
        shape = [self.n_rows, len(self.channels), self.n_times]
        document = {"contract": CONTRACT, "shape": shape, **metadata}
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._writer.close({METADATA_KEY: text})
        self._file.close()
        return {
            "sha256": self._file.sha256.hexdigest(),
            "size": self._file.size,
            "shape": shape,
        }

    def __enter__(self) -> MatrixWriter:
        return self

    def __exit__(self, *exception) -> None:
        if not self._file.closed:
            self._writer.close({})
            self._file.close()


class _HashingFile:
    """A file open for writing that takes the sha256 of what passes."""

    def __init__(self, path: str | os.PathLike):
        self._file = open(path, "wb")  # noqa: SIM115 (closed by `close`)
        self.sha256 = hashlib.sha256()
        self.size = 0

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, content) -> int:
        self._file.write(content)
        self.sha256.update(content)
        self.size += len(content)
        return len(content)

    def tell(self) -> int:
        return self.size

    def close(self) -> None:
        self._file.close()


class MatrixFile:
    """A matrix file open for reading.

    Parameters
    ----------
    path : path-like
        The file.

    Attributes
    ----------
    metadata : dict
        The document of the key ``bidsmill``.
    n_rows, n_times : int
        Rows (windows) and samples per row.
    channels : list of str
        Column names, in file order.

    Raises
    ------
    BidsmillError
        If the file is absent, is not Parquet, or is not a matrix of this contract.
    """

    def __init__(self, path: str | os.PathLike):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = Path(path)
        try:
            self._file = pq.ParquetFile(self.path, pre_buffer=False)
        except FileNotFoundError:
            raise BidsmillError("a matrix file is missing", file=path) from None
        except (pa.ArrowInvalid, OSError) as error:
            raise BidsmillError(
                "a matrix file cannot be read as Parquet", file=path, found=error
            ) from None
        try:
            self.metadata = _document(self._file, self.path)
            self.channels = _channels(self._file, self.metadata, self.path)
        except BidsmillError:
            self._file.close()
            raise
        self.n_rows, _, self.n_times = self.metadata["shape"]
        self.wide = len(self.channels) > WIDE_ABOVE

    @property
    def group_rows(self) -> list[int]:
        """Return the number of rows of each row group."""
        meta = self._file.metadata
        return [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]

    def read_group(self, group: int, channels: Sequence[str] | None = None) -> np.ndarray:
        """Read one row group.

        Parameters
        ----------
        group : int
            Index of the row group.
        channels : sequence of str, optional
            Column names; all of them if absent.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_channels, n_times)
        """
        names = self.channels if channels is None else list(channels)
        rows = self._file.metadata.row_group(group).num_rows
        if self.wide:
            flat = _values(self._file.read_row_group(group).column(0))
            whole = flat.reshape(rows, len(self.channels), self.n_times)
            if channels is None:
                return whole
            return whole[:, [self.channels.index(name) for name in names]]
        # PyArrow takes a dot in a wanted name for a path, and so may read more columns.
        table = self._file.read_row_group(group, columns=names)
        result = np.empty((rows, len(names), self.n_times), np.float32)
        for index, name in enumerate(names):
            result[:, index] = _values(table.column(name)).reshape(rows, self.n_times)
        return result

    def read(self, channels: Sequence[str] | None = None) -> np.ndarray:
        """Read all rows.

        Parameters
        ----------
        channels : sequence of str, optional
            Column names; all of them if absent.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_channels, n_times)
        """
        names = self.channels if channels is None else list(channels)
        result = np.empty((self.n_rows, len(names), self.n_times), np.float32)
        start = 0
        for group, rows in enumerate(self.group_rows):
            result[start : start + rows] = self.read_group(group, names)
            start += rows
        return result

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> MatrixFile:
        return self

    def __exit__(self, *exception) -> None:
        self.close()


def _document(file, path: Path) -> dict[str, Any]:
    """Return the document of a matrix file, which must be one of this contract."""
    stored = (file.metadata.metadata or {}).get(METADATA_KEY.encode())
    if stored is None:
        raise BidsmillError(
            "this Parquet file is not a matrix",
            file=path,
            expected=f"the metadata key {METADATA_KEY!r}",
        )
    try:
        document = json.loads(stored)
        contract = document["contract"]
    except (ValueError, TypeError, KeyError) as error:
        raise BidsmillError(
            "the metadata of a matrix cannot be read",
            file=path,
            found=repr(error),
            expected=f"a JSON document in the key {METADATA_KEY!r}",
        ) from None
    if contract != CONTRACT:
        raise BidsmillError(
            "this matrix has another contract version",
            file=path,
            found=contract,
            expected=CONTRACT,
            todo="install a newer bidsmill",
        )
    return document


def _channels(file, document: dict[str, Any], path: Path) -> list[str]:
    """Return the channels of a matrix file, which must hold what its document states."""
    try:
        names = [channel["name"] for channel in document["channels"]]
        rows, _, n_times = stated = document["shape"]
    except (TypeError, KeyError, ValueError) as error:
        raise BidsmillError(
            "the metadata of a matrix lack channels or shape", file=path, found=repr(error)
        ) from None
    wide = len(names) > WIDE_ABOVE
    columns = [(WIDE_COLUMN, n_times * len(names))] if wide else [(n, n_times) for n in names]
    found = [(field.name, getattr(field.type, "list_size", 0)) for field in file.schema_arrow]
    if stated != [file.metadata.num_rows, len(names), n_times] or found != columns:
        raise BidsmillError(
            "a matrix file does not hold what its metadata state",
            file=path,
            found=f"{file.metadata.num_rows} rows, {len(found)} columns",
            expected=f"{rows} rows of {len(names)} channels and {n_times} samples",
        )
    return names


def _values(column) -> np.ndarray:
    """Return the flat values of a column of fixed-size lists, without a copy where possible."""
    chunks = [chunk.flatten().to_numpy(zero_copy_only=True) for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks or [np.empty(0, np.float32)])
