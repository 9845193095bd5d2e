"""Writing a stream: row groups as samples come, and the sidecar with the same document."""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.hashing_file import HashingFile
from bidsmill.formats.stream_core import StreamCore, check_core

GROUP_BYTES = 16 * 2**20
# Above, a file would have more columns than a footer should list: one column holds all channels.
WIDE_ABOVE = 1024
WIDE_COLUMN = "signal"
CORE_KEY, OTHER_KEY = "core", "other"


def rows_per_group(n_channels: int, itemsize: int = 4) -> int:
    """Return how many samples a row group holds: a power of two, 8 to 32 MB.

    Parameters
    ----------
    n_channels : int
        Number of channels.
    itemsize : int
        Bytes of a value.
    """
    return 2 ** max(0, round(math.log2(GROUP_BYTES / (itemsize * max(1, n_channels)))))


def sidecar_path(path: str | os.PathLike) -> Path:
    """Return the path of the sidecar of a stream or of epocs."""
    return Path(path).with_suffix(".json")


class StreamWriter:
    """Write a stream and its sidecar; memory holds one row group.

    Parameters
    ----------
    path : path-like
        Its final name, ``..._stream.parquet``. It appears when all is written: until then the
        samples go to a temporary name beside it.
    core : StreamCore
        What the stream says of itself. All of it is checked before anything is written.

    Raises
    ------
    BidsmillError
        If a field of the core is not as it must be.

    Notes
    -----
    In a ``with`` block an error removes what was written. Zstd at level 1 with
    BYTE_STREAM_SPLIT, no dictionary, no statistics; every page has its CRC-32.
    """

    def __init__(self, path: str | os.PathLike, core: StreamCore):
        self.path = Path(path)
        self.core = check_core(core, file=path)
        self.dtype = np.dtype(core.dtype)
        self.n_samples = 0
        self.rows = rows_per_group(core.n_channels, self.dtype.itemsize)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        name = f".{self.path.name}.{os.getpid()}-{secrets.token_hex(4)}{files.PART_SUFFIX}"
        self._part = self.path.parent / name
        wide = core.n_channels > WIDE_ABOVE
        if wide and core.dtype != "float32":
            raise BidsmillError(
                "the field core.dtype is not as it must be",
                file=path,
                found=core.dtype,
                expected=f"float32: the stream has more than {WIDE_ABOVE} channels",
            )
        self._sink = HashingFile(self._part)
        self._writer: Any = (_OneColumn if wide else _Columns)(self._sink, self.core)
        self._waiting = np.empty((core.n_channels, 0), self.dtype)
        self._held = 0

    def write(self, block: np.ndarray) -> None:
        """Write the next samples.

        Parameters
        ----------
        block : ndarray, shape (n_channels, n)
            Any number of samples, in the units of the core.

        Raises
        ------
        ValueError
            If the shape or the number format is another one.
        """
        block = np.asarray(block)
        if block.ndim != 2 or block.shape[0] != self.core.n_channels:
            raise ValueError(f"block of shape {block.shape}: expected ({self.core.n_channels}, n)")
        if not np.can_cast(block.dtype, self.dtype, "same_kind"):
            raise ValueError(f"block of {block.dtype}: expected {self.dtype}")
        place = 0
        while place < block.shape[1]:
            count = min(self.rows - self._held, block.shape[1] - place)
            piece = block[:, place : place + count]
            place += count
            if count == self.rows:
                self._pass_on(np.ascontiguousarray(piece, self.dtype))
                continue
            if self._waiting.shape[1] == 0:
                self._waiting = np.empty((self.core.n_channels, self.rows), self.dtype)
            self._waiting[:, self._held : self._held + count] = piece
            self._held += count
            if self._held == self.rows:
                self._pass_on(self._waiting)
                self._held = 0

    def _pass_on(self, group: np.ndarray) -> None:
        self._writer.write_group(group)
        self.n_samples += group.shape[1]

    def close(self, core: StreamCore | None = None) -> dict[str, Any]:
        """End the file, write the sidecar, and give the file its name.

        Parameters
        ----------
        core : StreamCore, optional
            In place of that of the start: what is known only now. Its channels and dtype are the
            same.

        Returns
        -------
        dict
            ``n_samples``, ``sha256``, ``size`` (bytes), and ``sidecar`` with ``sha256``, ``size``.

        Raises
        ------
        BidsmillError
            If the core states another number of samples than were written.
        """
        final = self.core if core is None else check_core(core, file=self.path)
        if self._held:
            self._pass_on(np.ascontiguousarray(self._waiting[:, : self._held]))
            self._held = 0
        try:
            self._check(final)
            self._writer.close(final)
            self._sink.finish()
            content = files.json_bytes(final.sidecar())
            files.write_bytes(sidecar_path(self.path), content)
            os.replace(self._part, self.path)
        finally:
            self.abandon()
        return {
            "n_samples": self.n_samples,
            "sha256": self._sink.sha256.hexdigest(),
            "size": self._sink.size,
            "sidecar": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)},
        }

    def _check(self, final: StreamCore) -> None:
        if final.n_samples != self.n_samples:
            raise BidsmillError(
                "the field core.n_samples is not the number of samples that were written",
                file=self.path,
                found=final.n_samples,
                expected=self.n_samples,
                todo="write every sample once, or close with a core that states the number",
            )
        if final.channels != self.core.channels or final.dtype != self.core.dtype:
            raise ValueError("a writer cannot be closed with other channels or another dtype")

    def abandon(self) -> None:
        """Remove what was written, unless the file has its name already."""
        if not self._sink.closed:
            # On a full disk these fail, too; what was wrong has been told.
            with suppress(OSError):
                self._writer.end()
            with suppress(OSError):
                self._sink.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.abandon()


def write_stream(path: str | os.PathLike, core: StreamCore, data: np.ndarray) -> dict[str, Any]:
    """Write a stream that is in memory; see `StreamWriter.close` for what is returned.

    Parameters
    ----------
    path : path-like
        Its name.
    core : StreamCore
        Its number of samples is taken from `data`.
    data : ndarray, shape (n_channels, n_samples)
        In the units of the core.
    """
    with StreamWriter(path, replace(core, n_samples=int(np.shape(data)[-1]))) as writer:
        writer.write(data)
        return writer.close()


class _Columns:
    """One column per channel."""

    def __init__(self, sink: Any, core: StreamCore):
        import pyarrow as pa
        import pyarrow.parquet as pq

        kind = pa.from_numpy_dtype(core.dtype)
        self._schema = pa.schema([pa.field(name, kind, nullable=False) for name in core.names])
        self._writer = pq.ParquetWriter(
            sink,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_byte_stream_split=True,
            use_dictionary=False,
            write_statistics=False,
            write_page_checksum=True,
            store_schema=False,
        )

    def write_group(self, group: np.ndarray) -> None:
        import pyarrow as pa

        # No copy: a row of the array is the buffer of a column (and pandas is not imported).
        columns = [
            pa.Array.from_buffers(field.type, len(row), [None, pa.py_buffer(row)])
            for field, row in zip(self._schema, group, strict=True)
        ]
        table = pa.Table.from_arrays(columns, schema=self._schema)
        self._writer.write_table(table, row_group_size=group.shape[1])

    def close(self, core: StreamCore) -> None:
        self._writer.add_key_value_metadata(_metadata(core))
        self.end()

    def end(self) -> None:
        self._writer.close()


class _OneColumn:
    """All channels in one column, whose cells are lists with a value of each channel."""

    def __init__(self, sink: Any, core: StreamCore):
        import pyarrow as pa

        from bidsmill.formats.float_lists import FloatListWriter

        item = pa.field("element", pa.float32(), nullable=False)
        field = pa.field(WIDE_COLUMN, pa.list_(item, core.n_channels), nullable=False)
        self._writer = FloatListWriter(sink, pa.schema([field]))

    def write_group(self, group: np.ndarray) -> None:
        self._writer.write_group([np.ascontiguousarray(group.T).reshape(-1)])

    def close(self, core: StreamCore) -> None:
        self._writer.close(_metadata(core))

    def end(self) -> None:
        pass


def _metadata(core: StreamCore) -> dict[str, str]:
    content = core.sidecar()
    return {key: compact(content[key]) for key in (CORE_KEY, OTHER_KEY)}


def compact(content: Any) -> str:
    """Return JSON on one line; keys keep their order."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
