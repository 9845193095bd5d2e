"""The stream file: rows are samples, columns are channels; opened in milliseconds, read lazily.

One float32 column per channel (above `WIDE_ABOVE` channels one column of lists), row groups of 8
to 32 MB. The file is mapped into memory; a row group is decoded when one of its samples is read.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.stream_core import parse_core
from bidsmill.formats.stream_opening import (
    DAMAGED,
    check_columns,
    check_sidecar,
    mapped_file,
    read_documents,
)
from bidsmill.formats.stream_writing import (
    WIDE_ABOVE,
    StreamWriter,
    rows_per_group,
    sidecar_path,
    write_stream,
)

if TYPE_CHECKING:
    from bidsmill.formats.epocs import Epocs

__all__ = ["StreamFile", "StreamWriter", "rows_per_group", "sidecar_path", "write_stream"]

# Decoded row groups that each thread keeps: a span over the border of two needs both.
KEPT_GROUPS = 2
# Names of number formats in Arrow that NumPy has others for.
NUMBERS = {"float": "float32", "double": "float64"}


class StreamFile:
    """A stream open for reading; it is a `bidsmill.signal.source.Signal`.

    Parameters
    ----------
    path : path-like
        ``..._stream.parquet``. A sidecar of the same name that is there must say the same.
    sha256 : str, optional
        Of the whole file, where it is known.

    Attributes
    ----------
    core : StreamCore
        What the stream says of itself.
    sfreq : float
        Sampling rate in Hz.
    n_channels, n_times : int
        Shape of the stream.
    group_rows : list of int
        Samples of each row group.

    Raises
    ------
    BidsmillError
        If the file is absent, damaged, or does not hold what its core states.

    Notes
    -----
    It can be pickled, and read by many threads at once.
    """

    def __init__(self, path: str | os.PathLike, sha256: str | None = None):
        self.path = Path(path)
        self._sha256 = sha256
        self._map = mapped_file(self.path)
        self._threads = threading.local()
        opened = self._opened()
        self.metadata = opened.metadata
        document = read_documents(opened.metadata, self.path)
        self.core = parse_core(document, file=self.path)
        check_columns(opened, self.core, self.path)
        check_sidecar(document, self.path)
        self.sfreq = self.core.sfreq
        self.n_channels = self.core.n_channels
        self.n_times = self.core.n_samples
        self.wide = self.n_channels > WIDE_ABOVE
        groups = range(self.metadata.num_row_groups)
        self.group_rows = [self.metadata.row_group(group).num_rows for group in groups]
        self._starts = np.concatenate([[0], np.cumsum(self.group_rows)]).astype(np.int64)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self._sha256)

    @property
    def names(self) -> list[str]:
        """Return the names of the channels."""
        return self.core.names

    @cached_property
    def identity(self) -> str:
        """Return what tells this stream from others: its core and where its pages lie."""
        place = self.metadata
        sizes = [place.row_group(g).total_byte_size for g in range(place.num_row_groups)]
        found = self.path.stat()
        return files.canonical_sha256(
            [self._sha256, self.core.sidecar(), self.group_rows, sizes, found.st_size]
            + ([] if self._sha256 else [found.st_mtime_ns])
        )

    def sha256(self) -> str:
        """Return the sha256 of the whole file; it is read once if nobody has stated it."""
        if self._sha256 is None:
            self._sha256 = files.sha256_file(self.path)
        return self._sha256

    def read(
        self, start: int, stop: int, channels: Sequence[str | int] | None = None
    ) -> np.ndarray:
        """Read a span of samples.

        Parameters
        ----------
        start, stop : int
            First sample, and the one behind the last.
        channels : sequence of str or int, optional
            Names or places of channels; all if absent.

        Returns
        -------
        ndarray of float32, shape (n_channels, stop - start)
            In the units of the core.

        Raises
        ------
        BidsmillError
            If the span or a channel is not in the stream, or the file is damaged.
        """
        start, stop = self._span(start, stop)
        chosen = self._indices(channels)
        result = np.empty((len(chosen), stop - start), np.float32)
        if not chosen:
            return result
        first = int(np.searchsorted(self._starts, start, "right")) - 1
        for group in range(max(first, 0), len(self.group_rows)):
            begin = int(self._starts[group])
            if begin >= stop:
                break
            low, high = max(start, begin), min(stop, begin + self.group_rows[group])
            if low < high:
                self._copy(group, chosen, slice(low - begin, high - begin), result, low - start)
        return result

    def numpy(
        self,
        start: int = 0,
        stop: int | None = None,
        channels: Sequence[str | int] | None = None,
    ) -> np.ndarray:
        """Read samples; all of them if nothing is said. See `read`."""
        return self.read(start, self.n_times if stop is None else stop, channels)

    def read_group(self, group: int) -> np.ndarray:
        """Read a whole row group; nothing of it is kept.

        Returns
        -------
        ndarray of float32, shape (n_channels, rows)
        """
        result = np.empty((self.n_channels, self.group_rows[group]), np.float32)
        for row, column in enumerate(self._decode(group, None)):
            result[row] = column
        return result

    def group_at(self, sample: int) -> int | None:
        """Return the row group that begins with a sample, or None."""
        group = int(np.searchsorted(self._starts[:-1], sample))
        begins = group < len(self.group_rows) and self._starts[group] == sample
        return group if begins else None

    def dask(self) -> Any:
        """Return the stream as a lazy array.

        Returns
        -------
        dask.array.Array of float32, shape (n_samples, n_channels)
            Its chunks are the row groups.

        Raises
        ------
        BidsmillError
            If dask is not installed.
        """
        from bidsmill.formats.stream_dask import lazy_array

        return lazy_array(self)

    def mapped(self, path: str | os.PathLike | None = None) -> np.ndarray:
        """Return the stream as a memory map: any span of any channel without decoding or copying.

        Parameters
        ----------
        path : path-like, optional
            An uncompressed Arrow IPC file, which is made at the first use; as large as the samples
            in memory. If absent, beside the stream, with the suffix ``.arrow``.

        Returns
        -------
        ndarray of float32, shape (n_channels, n_samples), read-only
        """
        from bidsmill.formats.stream_ipc import map_file

        return map_file(self, Path(path) if path else self.path.with_suffix(".arrow"))

    def to_mne(self, epocs: Epocs | None = None) -> Any:
        """Return the stream as an MNE Raw that reads samples when they are asked for.

        Parameters
        ----------
        epocs : Epocs, optional
            Become annotations. They must be on the clock of the stream.

        Returns
        -------
        mne.io.BaseRaw
            In SI units, with types, bad channels and positions.

        Raises
        ------
        BidsmillError
            If MNE is not installed, or the epocs are on another clock.
        """
        from bidsmill.formats.stream_mne import raw_of

        return raw_of(self, epocs)

    def _span(self, start: int, stop: int) -> tuple[int, int]:
        if not 0 <= start <= stop <= self.n_times:
            raise BidsmillError(
                "the span of samples lies outside the stream",
                file=self.path,
                found=f"start {start}, stop {stop}",
                expected=f"0 <= start <= stop <= {self.n_times}",
            )
        return int(start), int(stop)

    def _indices(self, channels: Sequence[str | int] | None) -> tuple[int, ...]:
        if channels is None:
            return tuple(range(self.n_channels))
        wanted = [channels] if isinstance(channels, str | int) else channels
        place = self._places
        result = []
        for name in wanted:
            index = place.get(str(name)) if not isinstance(name, Integral) else int(name)
            if index is None or not -self.n_channels <= index < self.n_channels:
                raise BidsmillError(
                    "the stream has no such channel",
                    file=self.path,
                    found=repr(name),
                    expected=f"one of {', '.join(self.names[:12])}"
                    + (f" and {self.n_channels - 12} more" if self.n_channels > 12 else ""),
                )
            result.append(index % self.n_channels)
        return tuple(result)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.names)}

    def _copy(
        self, group: int, chosen: tuple[int, ...], rows: slice, out: np.ndarray, place: int
    ) -> None:
        """Copy rows of a row group into an array, whose sample they begin at is `place`."""
        target = slice(place, place + rows.stop - rows.start)
        if self.wide:
            # All channels are decoded in any case.
            every = self._kept(group, None)
            out[:, target] = every[list(chosen), rows] if chosen != self._every else every[:, rows]
            return
        columns = self._kept(group, None if chosen == self._every else chosen)
        for row, column in enumerate(columns):
            out[row, target] = column[rows]

    @cached_property
    def _every(self) -> tuple[int, ...]:
        return tuple(range(self.n_channels))

    def _kept(self, group: int, chosen: tuple[int, ...] | None) -> Any:
        """Return columns of a row group; each thread keeps the last ones."""
        kept: OrderedDict[Any, Any] | None = getattr(self._threads, "kept", None)
        if kept is None:
            kept = self._threads.kept = OrderedDict()
        key = group, chosen
        columns = kept.get(key)
        if columns is None:
            while len(kept) >= KEPT_GROUPS:
                kept.popitem(last=False)
            columns = kept[key] = self._decode(group, chosen)
        kept.move_to_end(key)
        return columns

    def _decode(self, group: int, chosen: tuple[int, ...] | None) -> Any:
        """Decode columns of a row group: views of Arrow's memory where there is one page."""
        import pyarrow as pa

        names = None
        if chosen is not None and not self.wide:
            names = [self.core.channels[index].name for index in chosen]
        try:
            # One thread: whoever reads in parallel reads several row groups.
            table = self._opened().read_row_group(group, columns=names, use_threads=False)
            if self.wide:
                flat = _one(table.column(0).combine_chunks().flatten())
                return flat.reshape(-1, self.n_channels).T
            return [_one(table.column(name)) for name in names or self.names]
        except (pa.ArrowException, OSError, ValueError) as error:
            raise BidsmillError(
                "a stream cannot be decoded: its bytes are damaged",
                file=self.path,
                found=error,
                todo=DAMAGED,
            ) from None
        finally:
            self._forget(group)

    def _forget(self, group: int) -> None:
        """Let the system take back the memory of the map that held a row group."""
        described = self.metadata.row_group(group)
        chunks = described.column(0), described.column(described.num_columns - 1)
        page = mmap.PAGESIZE
        first = chunks[0].data_page_offset // page * page
        end = chunks[1].data_page_offset + chunks[1].total_compressed_size
        if hasattr(mmap, "MADV_DONTNEED") and first < end <= len(self._map):
            self._map.madvise(mmap.MADV_DONTNEED, first, end - first)

    def _opened(self) -> Any:
        """Return the Parquet file as this thread has it open: a reader is for one thread."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        opened = getattr(self._threads, "opened", None)
        if opened is None:
            source = pa.BufferReader(pa.py_buffer(self._map))
            try:
                opened = pq.ParquetFile(
                    source,
                    metadata=getattr(self, "metadata", None),
                    pre_buffer=False,
                    page_checksum_verification=True,
                )
            except (pa.ArrowException, OSError) as error:
                raise BidsmillError(
                    "a stream cannot be read as Parquet",
                    file=self.path,
                    found=error,
                    todo=DAMAGED,
                ) from None
            self._threads.opened = opened
        return opened

    def __repr__(self) -> str:
        return (
            f"stream {self.core.name}: {self.n_channels} channels, {self.sfreq:g} Hz, "
            f"{self.n_times} samples ({self.core.duration:g} s)"
        )


def _one(column: Any) -> np.ndarray:
    """Return a column as one array."""
    chunks = getattr(column, "chunks", [column])
    arrays = [_view(chunk) for chunk in chunks]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays or [np.empty(0, np.float32)])


def _view(chunk: Any) -> np.ndarray:
    """Return Arrow's numbers as an array, without a copy (its own way would import pandas)."""
    number = np.dtype(NUMBERS.get(str(chunk.type), str(chunk.type)))
    if chunk.null_count:
        raise ValueError("samples that are missing (null)")
    values = chunk.buffers()[1]
    return np.frombuffer(values or b"", number, len(chunk), chunk.offset * number.itemsize)
