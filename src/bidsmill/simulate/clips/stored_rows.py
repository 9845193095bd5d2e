"""Rows of an array on the disk, read when they are asked for.

Not a memory map: mapped pages count as memory of the process, which would grow with the share of a
bank that was ever looked at, and a map of a file that somebody shortens ends the process.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from bidsmill.errors import BidsmillError

# Rows between two that are wanted are read along if they are not more than this: one longer read
# takes less time than two short ones.
MOST_BETWEEN = 8


class StoredRows:
    """A ``.npy`` file of float32 as rows of one length, of which some are read at a time.

    Parameters
    ----------
    path : pathlib.Path
        The file; it stays open.
    shape : tuple of int
        Of the whole array; its last dimension is the length of a row.

    Raises
    ------
    BidsmillError
        If the file cannot be read, is cut off, or has another shape or type.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]):
        self.path = path
        self._length = shape[-1]
        try:
            # Closed with the object.
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115
            self._start, found, dtype = _header(self._file)
        except (OSError, ValueError, EOFError) as problem:
            raise BidsmillError(
                "The clip bank cannot be read", file=path, found=str(problem)
            ) from None
        if (found, dtype) != (shape, np.dtype("<f4")):
            raise BidsmillError(
                "The clip bank does not fit its description",
                file=path,
                found=f"{dtype} {found}",
                expected=f"float32 {shape}",
            )
        size = self._start + 4 * int(np.prod(shape, dtype=np.int64))
        if path.stat().st_size != size:
            raise self._damaged(path.stat().st_size, size)

    def read(self, first: int, n_rows: int) -> np.ndarray:
        """Return rows that follow each other: a new array, (n_rows, length)."""
        out = np.empty((n_rows, self._length), np.float32)
        self._read_into(out, first)
        return out

    def take(self, first: int, n_rows: int, wanted: np.ndarray) -> np.ndarray:
        """Return some of rows that follow each other.

        Parameters
        ----------
        first, n_rows : int
            The first of these rows, and how many they are.
        wanted : ndarray of int32
            Which of them, counted from 0, in any order.

        Returns
        -------
        ndarray of float32, shape (len(wanted), length)
            A new array.
        """
        spans, places = reading_plan(wanted.tobytes())
        if spans and not 0 <= spans[0][0] <= spans[-1][0] + spans[-1][1] <= n_rows:
            raise IndexError(f"rows {wanted.min()} to {wanted.max()} of {n_rows}")
        out = np.empty((sum(count for _, count in spans), self._length), np.float32)
        at = 0
        for begin, count in spans:
            self._read_into(out[at : at + count], first + begin)
            at += count
        return out if places is None else out.take(places, axis=0)

    def _read_into(self, out: np.ndarray, first: int) -> None:
        offset = self._start + 4 * self._length * first
        done = os.preadv(self._file.fileno(), [out.data], offset) if out.size else 0
        if done != out.nbytes:
            raise self._damaged(offset + done, offset + out.nbytes)

    def _damaged(self, found: int, expected: int) -> BidsmillError:
        return BidsmillError(
            "The clip bank cannot be read: a file is not as long as it says",
            file=self.path,
            found=f"{found} bytes",
            expected=f"{expected} bytes",
            todo="make the clips again",
        )


@lru_cache(maxsize=64)
def reading_plan(wanted: bytes) -> tuple[list[tuple[int, int]], np.ndarray | None]:
    """Return which spans of rows to read for some rows, and where these are in what was read.

    Parameters
    ----------
    wanted : bytes
        Of an array of int32: the rows, in any order.

    Returns
    -------
    spans : list of (int, int)
        First row and number of rows, ascending.
    places : ndarray of int, or None
        Of the wanted rows among all rows of the spans; None if these are the wanted ones.
    """
    rows = np.frombuffer(wanted, np.int32).tolist()
    spans: list[tuple[int, int]] = []
    place: dict[int, int] = {}
    begin = end = read = 0
    for row in sorted(set(rows)):
        if not place or row - end > MOST_BETWEEN:
            if place:
                spans.append((begin, end - begin))
                read += end - begin
            begin = row
        end = row + 1
        place[row] = read + row - begin
    if place:
        spans.append((begin, end - begin))
        read += end - begin
    places = [place[row] for row in rows]
    return spans, None if places == list(range(read)) else np.array(places, np.intp)


def _header(file) -> tuple[int, tuple[int, ...], np.dtype]:
    """Return where the numbers of a ``.npy`` file begin, the shape and the type."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"version {version} of the .npy format")
    shape, is_fortran, dtype = read(file)
    if is_fortran:
        raise ValueError("columns come first (Fortran order)")
    return file.tell(), shape, dtype
