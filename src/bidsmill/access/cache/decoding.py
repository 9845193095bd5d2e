"""Matrices as blocks of float32, and writing blocks as an entry of the cache."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.access.cache.entries import (
    DTYPE,
    Place,
    new_record,
    npy_header,
    system_start,
    temporary,
)
from bidsmill.access.cache.memory import Gate
from bidsmill.access.cache.verification import check_sha256, check_size
from bidsmill.access.cache.writing import ArrayFile
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.matrix import MatrixFile

LOG = logging.getLogger("bidsmill.cache")
# Smaller arrays are written faster through memory.
DIRECT_BYTES = 4 << 20


def blocks_of(
    matrix: MatrixFile, groups: Iterable[int], channels: Sequence[str] | None = None
) -> Iterator[np.ndarray]:
    """Give row groups of a matrix, each rows x channels x times in C order."""
    for group in groups:
        yield np.ascontiguousarray(matrix.read_group(group, channels), DTYPE)


def check_shape(matrix: MatrixFile, entry: dict[str, Any]) -> None:
    """Compare the shape of a matrix with its manifest entry.

    Raises
    ------
    BidsmillError
        If it is another one.
    """
    shape = list(matrix.metadata["shape"])
    if shape != list(entry["shape"]) or sum(matrix.group_rows) != shape[0]:
        raise BidsmillError(
            "a matrix has another shape than its manifest says",
            file=matrix.path,
            found=f"{shape} in {sum(matrix.group_rows)} rows",
            expected=list(entry["shape"]),
        )


def verified_blocks(
    source: Path | memoryview, entry: dict[str, Any], shown: object, gate: Gate
) -> Generator[np.ndarray, None, None]:
    """Give the row groups of a whole matrix, and end well only if it is the manifest's.

    Parameters
    ----------
    source : pathlib.Path or memoryview
        The matrix file, or its bytes.
    entry : dict
        The manifest's entry of the matrix.
    shown : object
        What messages name: where the file came from.
    gate : Gate
        Is entered while the file is decoded.

    Yields
    ------
    ndarray of float32, shape (rows, channels, times)
        Until the next one is asked for.

    Raises
    ------
    BidsmillError
        At any block, and after the last one: what was given before must not be used then.
    """
    if isinstance(source, Path):
        check_size(entry, source, shown)
    with ThreadPoolExecutor(1) as pool:
        # In a thread beside the decoding, unless other files are decoded there.
        digest: Future = pool.submit(_sha256, source) if gate.alone else _done(_sha256(source))
        if not gate.alone:
            check_sha256(entry, shown, digest.result())
        try:
            with gate:
                yield from _blocks(source, entry, shown, gate)
        except BidsmillError:
            # Where the file is another one, that says more than what could not be read in it.
            check_sha256(entry, shown, digest.result())
            raise
        check_sha256(entry, shown, digest.result())


def _done(result: str) -> Future:
    future: Future = Future()
    future.set_result(result)
    return future


def _blocks(
    source: Path | memoryview, entry: dict[str, Any], shown: object, gate: Gate
) -> Iterator[np.ndarray]:
    if isinstance(source, Path):
        with MatrixFile(source) as matrix:
            check_shape(matrix, entry)
            yield from blocks_of(matrix, range(len(matrix.group_rows)))
        return
    with MatrixFile(str(shown), content=source) as matrix:
        check_shape(matrix, entry)
        for group, rows in enumerate(matrix.group_rows):
            shape = (rows, *entry["shape"][1:])
            with gate.arrays.take(_bytes_of(shape)) as room:
                block = room.view(DTYPE).reshape(shape)
                matrix.read_whole_group(group, block)
                yield block


def _sha256(source: Path | memoryview) -> str:
    if not isinstance(source, Path):
        return hashlib.sha256(source).hexdigest()
    try:
        return files.sha256_file(source)
    except OSError as error:
        raise BidsmillError(
            "a file of the store cannot be read", file=source, found=error.strerror
        ) from None


def write_entry(
    place: Place,
    shape: Sequence[int],
    blocks: Iterable[np.ndarray],
    more: dict[str, Any] | None = None,
    direct: bool = False,
) -> None:
    """Write an entry of the cache: its record, and then its array, each by a rename.

    Parameters
    ----------
    place : Place
        Where it goes.
    shape : sequence of int
        Of the array.
    blocks : iterable of ndarray
        The array along its first axis. Nothing becomes visible before they have ended well.
    more : dict, optional
        Of a partial entry, for the record.
    direct : bool
        It will not be read at once (see `bidsmill.access.cache.writing`).

    Raises
    ------
    OSError
        If the folder cannot be written, or the disk is full.
    """
    with temporary(place.array) as part:
        with ArrayFile(part, direct and _bytes_of(shape) >= DIRECT_BYTES) as file:
            file.write(npy_header(shape))
            for block in blocks:
                file.write(block.reshape(-1).view(np.uint8).data)
            # Elsewhere the record tells that the array was not synced.
            file.finish(sync=system_start() is None)
        # A record that is lost or torn makes the array no entry, and no wrong one.
        with temporary(place.record) as record:
            record.write_bytes(files.json_bytes(new_record(part, file.checksum, more)))
            os.replace(record, place.record)
        os.replace(part, place.array)
    LOG.debug("decoded %s", place.array.relative_to(place.array.parents[1]))


def _bytes_of(shape: Sequence[int]) -> int:
    return int(np.prod(shape)) * DTYPE.itemsize


def in_memory(shape: Sequence[int], blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Return blocks as one read-only array."""
    array = np.empty(tuple(shape), DTYPE)
    start = 0
    for block in blocks:
        array[start : start + len(block)] = block
        start += len(block)
    array.flags.writeable = False
    return array
