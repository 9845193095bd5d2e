"""The matrix file: one row per window, one column per channel, in Parquet.

DESIGN: ``fixed_size_list<float32>[n_times]`` columns in SI units; zstd with
BYTE_STREAM_SPLIT, no dictionary, no statistics; above `WIDE_ABOVE` channels one column
``signal`` that holds channels x times in C order. The key ``bidsmill`` of the file's metadata
holds one JSON document that describes the channels and every processing step.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.hashing_file import HashingFile
from bidsmill.formats.manifest import DAMAGED_STORE
from bidsmill.formats.matrix_document import (
    CONTRACT,
    METADATA_KEY,
    WIDE_ABOVE,
    WIDE_COLUMN,
    read_channels,
    read_document,
)

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
        self._file = HashingFile(path)
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


class MatrixFile:
    """A matrix file open for reading.

    Parameters
    ----------
    path : path-like
        The file.
    source : file-like, optional
        Where its bytes come from, if not from `path`, which then only names it in messages.
    content : buffer, optional
        All of its bytes, in place of `source`. The caller compares them with their sha256, so that
        pages are not compared with their checksums.

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

    def __init__(self, path: str | os.PathLike, source: Any = None, content: Any = None):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = Path(path)
        if content is not None:
            source = pa.BufferReader(pa.py_buffer(content))
        try:
            self._file = pq.ParquetFile(
                self.path if source is None else source,
                pre_buffer=False,
                page_checksum_verification=content is None,
            )
        except FileNotFoundError:
            raise BidsmillError("a matrix file is missing", file=path) from None
        except (pa.ArrowInvalid, OSError) as error:
            raise BidsmillError(
                "a matrix file cannot be read as Parquet", file=path, found=error
            ) from None
        try:
            self.metadata = read_document(self._file, self.path)
            self.channels = read_channels(self._file, self.metadata, self.path)
        except BidsmillError:
            self._file.close()
            raise
        self.n_rows, _, self.n_times = self.metadata["shape"]
        self.wide = len(self.channels) > WIDE_ABOVE
        self._pages = None
        if content is not None:
            from bidsmill.formats.float_list_pages import FloatListPages

            length = self.n_times * len(self.channels) if self.wide else self.n_times
            self._pages = FloatListPages(content, length)

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

        Raises
        ------
        BidsmillError
            If the bytes are damaged: pages are compared with their checksums, where the file
            has them.
        """
        names = self.channels if channels is None else list(channels)
        rows = self._file.metadata.row_group(group).num_rows
        # PyArrow takes a dot in a wanted name for a path, and so may read more columns.
        table = self._table(group, None if self.wide else names)
        if self.wide:
            whole = _values(table.column(0)).reshape(rows, len(self.channels), self.n_times)
            if channels is None:
                return whole
            return whole[:, [self.channels.index(name) for name in names]]
        result = np.empty((rows, len(names), self.n_times), np.float32)
        self._fill(result, table, names)
        return result

    def _fill(self, out: np.ndarray, table: Any, names: Sequence[str] | None) -> None:
        if names is None:
            out[:] = _values(table.column(0)).reshape(out.shape)
            return
        for index, name in enumerate(names):
            out[:, index] = _values(table.column(name)).reshape(out.shape[0], self.n_times)

    def read_whole_group(self, group: int, out: np.ndarray) -> None:
        """Read all channels of a row group into an array, the fastest way there is.

        Parameters
        ----------
        group : int
            Index of the row group.
        out : ndarray of float32, shape (n_rows, n_channels, n_times), C order
            Where they go.

        Raises
        ------
        BidsmillError
            As for `read_group`.
        """
        columns = out.reshape(len(out), 1, -1) if self.wide else out
        if self._pages is not None and self._pages.read_chunks(self.chunk_ranges(group), columns):
            return
        names = None if self.wide else self.channels
        self._fill(out, self._table(group, None, threads=False), names)

    def _table(self, group: int, names: list[str] | None, threads: bool = True) -> Any:
        import pyarrow as pa

        try:
            return self._file.read_row_group(group, columns=names, use_threads=threads)
        except (pa.ArrowException, OSError) as error:
            raise BidsmillError(
                "a matrix cannot be decoded: its bytes are damaged",
                file=self.path,
                found=error,
                todo=DAMAGED_STORE,
            ) from None

    def chunk_ranges(
        self, group: int, channels: Sequence[str] | None = None
    ) -> list[tuple[int, int]]:
        """Return where the column chunks of a row group are in the file.

        Parameters
        ----------
        group : int
            Index of the row group.
        channels : sequence of str, optional
            Column names; all of them if absent.

        Returns
        -------
        list of (int, int)
            First byte of a chunk, and the one behind its last; what `read_group` reads.
        """
        described = self._file.metadata.row_group(group)
        names = self.channels if channels is None or self.wide else channels
        place = {name: index for index, name in enumerate(self.channels)}
        indices = [0] if self.wide else [place[name] for name in names]
        chunks = [described.column(index) for index in indices]
        return [(c.data_page_offset, c.data_page_offset + c.total_compressed_size) for c in chunks]

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


def _values(column) -> np.ndarray:
    """Return the flat values of a column of fixed-size lists, without a copy where possible."""
    chunks = [chunk.flatten().to_numpy(zero_copy_only=True) for chunk in column.chunks]
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks or [np.empty(0, np.float32)])
