"""An uncompressed Arrow file of a stream: every span of every channel is there without decoding.

All samples of a channel stand in one piece, so that the whole stream is one array in memory that
the system fills from the disk as it is used.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats import files

if TYPE_CHECKING:
    from bidsmill.formats.stream import StreamFile

IDENTITY_KEY = b"stream"
CORE_KEY = b"core"


def write_arrow(stream: StreamFile, path: Path) -> None:
    """Write the samples of a stream to an Arrow IPC file; memory holds one row group.

    Parameters
    ----------
    stream : StreamFile
        Where they come from.
    path : pathlib.Path
        A new file. Use an `atomic_path`: nothing is renamed here.

    Raises
    ------
    OSError
        If the disk is full.
    """
    import pyarrow as pa

    n_channels, n_samples = stream.n_channels, stream.n_times
    fields = [pa.field(name, pa.float32(), nullable=False) for name in stream.names]
    core = files.canonical_sha256(stream.core.document()).encode()
    schema = pa.schema(fields, {IDENTITY_KEY: stream.identity.encode(), CORE_KEY: core})
    # Memory that was never written to takes none: the system shows one page of zeros everywhere.
    zeros = pa.py_buffer(mmap.mmap(-1, max(1, 4 * n_samples)))
    empty = pa.Array.from_buffers(pa.float32(), n_samples, [None, zeros])
    batch = pa.RecordBatch.from_arrays([empty] * n_channels, schema=schema)
    with open(path, "wb") as raw, pa.PythonFile(_Sparse(raw, zeros.address), "w") as sink:
        with pa.ipc.new_file(sink, schema) as writer:
            writer.write_batch(batch)
        size = sink.tell()
    del empty, batch
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.truncate(handle, size)
        _reserve(handle, size)
        _fill(stream, handle, path)
    finally:
        os.close(handle)


class _Sparse:
    """A file that leaves holes where the zeros of one place in memory are written."""

    def __init__(self, file: Any, zeros: int):
        self._file, self._zeros = file, zeros
        self.closed = False

    def write(self, content: Any) -> int:
        import pyarrow as pa

        buffer = pa.py_buffer(content)
        if buffer.address == self._zeros and len(buffer):
            self._file.seek(len(buffer), os.SEEK_CUR)
        else:
            self._file.write(buffer)
        return len(buffer)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.flush()
        self.closed = True


def _reserve(handle: int, size: int) -> None:
    """Ask for the room on the disk before samples are decoded for it."""
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)


def _fill(stream: StreamFile, handle: int, path: Path) -> None:
    with mmap.mmap(handle, 0, access=mmap.ACCESS_READ) as content:
        first, stride = _places(memoryview(content), stream.n_channels, stream.n_times, path)
    start = 0
    for group, rows in enumerate(stream.group_rows):
        block = stream.read_group(group)
        for channel, values in enumerate(block):
            left = memoryview(values).cast("B")
            place = first + channel * stride + 4 * start
            while left:
                count = os.pwrite(handle, left, place)
                left, place = left[count:], place + count
        start += rows


def _places(content: Any, n_channels: int, n_samples: int, path: Path) -> tuple[int, int]:
    """Return the place of the first value in an Arrow file, and the bytes between channels."""
    import pyarrow as pa

    buffer = pa.py_buffer(content)
    try:
        with pa.ipc.open_file(pa.BufferReader(buffer)) as reader:
            if (len(reader.schema), reader.num_record_batches) != (n_channels, 1):
                raise ValueError("other columns or batches")
            columns = reader.get_batch(0).columns
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from None
    places = [column.buffers()[1].address - buffer.address for column in columns]
    strides = set(np.diff(places).tolist()) or {4 * n_samples}
    stride = strides.pop()
    fits = len(columns[0]) == n_samples and places[0] % 4 == 0 and stride % 4 == 0
    if strides or not fits or places[-1] + 4 * n_samples > len(buffer):
        raise _damaged(path, "columns that do not lie at equal distances")
    return places[0], stride


def _damaged(path: Path, found: object) -> BidsmillError:
    return BidsmillError(
        "the Arrow file of a stream cannot be used",
        file=path,
        found=found,
        todo="remove it: it is made again at the next use",
    )


def array_of(content: Any, n_channels: int, n_samples: int, path: Path) -> np.ndarray:
    """Return the samples in an Arrow file that `write_arrow` wrote, without a copy.

    Parameters
    ----------
    content : buffer
        The whole file, as a memory map.
    n_channels, n_samples : int
        What it must hold.
    path : pathlib.Path
        What messages name.

    Returns
    -------
    ndarray of float32, shape (n_channels, n_samples), read-only
        A view of `content`.

    Raises
    ------
    BidsmillError
        If it is another file.
    """
    if n_samples == 0:
        return np.empty((n_channels, 0), np.float32)
    first, stride = _places(content, n_channels, n_samples, path)
    whole: np.ndarray = np.ndarray(
        (n_channels, n_samples), "<f4", buffer=content, offset=first, strides=(stride, 4)
    )
    whole.flags.writeable = False
    return whole


def map_file(stream: StreamFile, path: Path) -> np.ndarray:
    """Return the samples of a stream from its Arrow file, which is made if it is not there.

    Parameters
    ----------
    stream : StreamFile
        The stream.
    path : pathlib.Path
        The Arrow file. One of another stream, or of an older state of this one, is replaced.

    Returns
    -------
    ndarray of float32, shape (n_channels, n_samples), read-only
    """
    if not _is_of(path, stream):
        with files.atomic_path(path) as part:
            write_arrow(stream, part)
    with open(path, "rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return array_of(content, stream.n_channels, stream.n_times, path)


def _is_of(path: Path, stream: StreamFile) -> bool:
    """Tell whether an Arrow file was made of this very stream."""
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as source:
            stored = pa.ipc.open_file(source).schema.metadata or {}
    except (pa.ArrowException, OSError):
        return False
    return stored.get(IDENTITY_KEY) == stream.identity.encode()
