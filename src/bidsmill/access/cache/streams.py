"""Streams in the cache: their samples in an uncompressed Arrow file, mapped into memory."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bidsmill.access.cache.entries import (
    Place,
    lock_path,
    mapped_content,
    mark_used,
    new_record,
    remove_abandoned,
    stream_place,
    temporary,
)
from bidsmill.access.cache.locks import only_one
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.float_lists import crc32
from bidsmill.formats.stream_ipc import array_of, write_arrow

if TYPE_CHECKING:
    from bidsmill.access.cache.cache import Cache
    from bidsmill.formats.stream import StreamFile

READ_BYTES = 4 << 20


def mapped_stream(cache: Cache, stream: StreamFile) -> np.ndarray:
    """Return the samples of a stream as a memory map, writing its Arrow file at the first use.

    Many threads and processes may ask at once: one of them writes.

    Parameters
    ----------
    cache : Cache
        Whose folder holds the file.
    stream : StreamFile
        The stream; the file is named by its sha256.

    Returns
    -------
    ndarray of float32, shape (n_channels, n_samples), read-only
        While it lives, nobody evicts the file. Where the cache cannot be written: in memory, with
        a warning.
    """
    place = stream_place(cache.folder, stream.sha256())
    array = _mapped(place, stream)
    if array is not None:
        return array
    try:
        with only_one(lock_path(cache.folder, place.sha256)):
            array = _mapped(place, stream)
            if array is None:
                remove_abandoned(place.array, place.record)
                cache.budget.make_room(4 * stream.n_channels * stream.n_times)
                _write(place, stream)
                array = _mapped(place, stream)
    except OSError as error:
        warnings.warn(
            f"the cache folder {cache.folder} cannot be written ({error.strerror or error}): the "
            "whole stream is read into memory; set BIDSMILL_CACHE to a folder with space",
            RuntimeWarning,
            stacklevel=3,
        )
    if array is None:
        array = stream.numpy()
        array.flags.writeable = False
    return array


def _mapped(place: Place, stream: StreamFile) -> np.ndarray | None:
    content = mapped_content(place)
    if content is None:
        return None
    try:
        array = array_of(content, stream.n_channels, stream.n_times, place.array)
    except BidsmillError:
        return None
    mark_used(place)
    return array


def _write(place: Place, stream: StreamFile) -> None:
    """Write an entry: its record and then the file, each by a rename."""
    with temporary(place.array) as part:
        write_arrow(stream, part)
        with temporary(place.record) as record:
            record.write_bytes(files.json_bytes(new_record(part, _checksum(part))))
            os.replace(record, place.record)
        os.replace(part, place.array)


def _checksum(path: Path) -> int:
    checksum, room = 0, memoryview(bytearray(READ_BYTES))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(room):
            checksum = crc32()(room[:count], checksum)
    return checksum
