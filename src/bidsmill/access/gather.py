"""Rows of many matrices, gathered into one array."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bidsmill.access.cache.cache import Cache
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    from bidsmill.storage.contract import Progress

# From this many rows per file on, one call of `np.take` for each is faster than a loop over rows.
LONG_RUN = 8


class _Opened(NamedTuple):
    """How the rows of one file are read from an array of the cache."""

    key: str
    columns: np.ndarray | slice | None
    rows: np.ndarray | None


class Rows:
    """The rows of a selection: which row of which matrix, and which columns of it.

    Parameters
    ----------
    cache : Cache
        Gives the matrices.
    entries : sequence of dict
        The manifest's entries of the matrices.
    file : ndarray of int, shape (n,)
        For each row, the index of its entry.
    row : ndarray of int, shape (n,)
        For each row, its number in the matrix.
    columns : sequence of (ndarray of int or None), one per entry
        Column of each channel, -1 where the matrix lacks it; None: all columns as they are.
    shape : (int, int)
        Channels and times of one gathered row.

    Raises
    ------
    BidsmillError
        If a matrix has fewer rows than the samples say.
    """

    def __init__(
        self,
        cache: Cache,
        entries: Sequence[dict[str, Any]],
        file: np.ndarray,
        row: np.ndarray,
        columns: Sequence[np.ndarray | None],
        shape: tuple[int, int],
    ):
        self.cache = cache
        self.entries = list(entries)
        self.shape = shape
        self._file = np.asarray(file, np.intp)
        self._row = np.asarray(row, np.intp)
        self._columns = list(columns)
        self._opened: dict[int, _Opened] = {}
        rows_of = np.array([entry["shape"][0] for entry in self.entries], np.intp)
        # `np.take` clips below, so a row out of range must be found here.
        wrong = (self._row < 0) | (self._row >= rows_of[self._file])
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            entry = self.entries[self._file[first]]
            raise BidsmillError(
                "samples name a row that the matrix does not have",
                file=entry["path"],
                found=f"row {self._row[first]}",
                expected=f"0 to {entry['shape'][0] - 1}",
            )

    def __len__(self) -> int:
        return len(self._row)

    def take(self, positions: np.ndarray | Sequence[int]) -> np.ndarray:
        """Gather rows: each matrix is opened once, in whatever order its rows are wanted.

        Parameters
        ----------
        positions : array of int, shape (n,)
            Which rows; repeats are allowed.

        Returns
        -------
        ndarray of float32, shape (n, channels, times)
            In the order of `positions`.
        """
        positions = np.asarray(positions, np.intp)
        file, row = self._file[positions], self._row[positions]
        if len(self._opened) < len(self.entries):
            self._fill(file)
        out = np.empty((len(positions), *self.shape), np.float32)
        if out.size == 0:
            return out
        changes = np.flatnonzero(file[1:] != file[:-1]) + 1
        if len(positions) > LONG_RUN * len(changes) and np.all(file[1:] >= file[:-1]):
            self._take_runs(out, file, row, [0, *changes.tolist()])
        else:
            self._take_rows(out, file, row)
        return out

    def all(self) -> np.ndarray:
        """Gather every row, in order."""
        return self.take(np.arange(len(self)))

    def pull(self, progress: Progress | None = None, workers: int | None = None) -> None:
        """Fill the cache with what these rows need; see `Cache.pull`."""
        used = np.unique(self._file).tolist()
        self.cache.pull_with(
            [self.entries[index] for index in used], self._pull_one, progress, workers
        )

    def _pull_one(self, entry: dict[str, Any], advance: Progress, gate) -> None:
        self.cache.pull_part(entry, *self._wanted(self._index_of[entry["sha256"]]), advance, gate)

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {entry["sha256"]: index for index, entry in enumerate(self.entries)}

    def _fill(self, file: np.ndarray) -> None:
        """Fill the cache with files that are wanted for the first time, several at a time."""
        new = [index for index in np.unique(file).tolist() if index not in self._opened]
        absent = [
            self.entries[index]
            for index in new
            if not self.cache.entry_path(self.entries[index]["sha256"]).exists()
        ]

        def one(entry, advance, gate):
            with suppress(OSError):  # a cache that cannot be written is told of by `Cache.part`
                self._pull_one(entry, advance, gate)

        if len(absent) > 1:
            self.cache.pull_with(absent, one)

    def _take_runs(self, out, file, row, starts: list[int]) -> None:
        """Fill `out` from files in ascending order, one call per run of rows."""
        for start, stop in zip(starts, [*starts[1:], len(file)], strict=True):
            if start == stop:
                continue
            matrix, columns, rows = self._open(int(file[start]))
            if columns is None:
                numbers = row[start:stop] if rows is None else rows[row[start:stop]]
                # "clip" writes to `out` without a buffer; all rows are known to be in range.
                np.take(matrix, numbers, axis=0, out=out[start:stop], mode="clip")
            else:
                self._take_rows(out[start:stop], file[start:stop], row[start:stop])

    def _take_rows(self, out, file, row) -> None:
        """Fill `out` row by row: the least work where runs are short."""
        numbers = file.tolist()
        distinct = sorted(set(numbers))
        if len(distinct) > self.cache.max_maps:  # so many cannot be open at once
            order = np.argsort(file, kind="stable")
            for part in np.split(order, np.flatnonzero(np.diff(file[order])) + 1):
                self._take_rows_of_one(out, part.tolist(), int(file[part[0]]), row[part].tolist())
            return
        contents = self._bytes_of(distinct)
        if contents is None:
            opened = {index: self._open(index) for index in distinct}
            for target, index, number in zip(out, numbers, row.tolist(), strict=True):
                _copy_row(target, *opened[index], number)
            return
        # The loop that training waits for. Slices of bytes are copied with less ado than rows
        # of arrays, and `out` is best written from its begin to its end.
        size = out[0].nbytes
        target, stop = memoryview(out).cast("B"), 0
        for index, begin in zip(numbers, (row * size).tolist(), strict=True):
            start, stop = stop, stop + size
            target[start:stop] = contents[index][begin : begin + size]

    def _take_rows_of_one(self, out, places: list[int], index: int, numbers: list[int]) -> None:
        opened = self._open(index)
        for place, number in zip(places, numbers, strict=True):
            _copy_row(out[place], *opened, number)

    def _bytes_of(self, distinct: list[int]) -> dict[int, memoryview] | None:
        """Return the bytes of matrices of which whole rows are wanted; None if some are not."""
        found = {}
        for index in distinct:
            if self._columns[index] is not None:
                return None
            opened = self._opened.get(index)
            if opened is None:
                self._open(index)
                opened = self._opened[index]
            if opened.columns is not None or opened.rows is not None:
                return None
            content = self.cache.kept_bytes(opened.key)
            if content is None:
                matrix, _, _ = self._open(index)
                content = self.cache.kept_bytes(opened.key) or matrix.data.cast("B")
            found[index] = content
        return found

    def _open(self, index: int) -> tuple[np.ndarray, Any, np.ndarray | None]:
        """Return the array of a file, the columns to take from it, and where its rows are."""
        opened = self._opened.get(index)
        if opened is not None:
            matrix = self.cache.kept(opened.key)
            if matrix is not None:
                return matrix, opened.columns, opened.rows
        wanted, rows = self._wanted(index)
        part = self.cache.part(self.entries[index], wanted, rows)
        columns = self._columns[index]
        if part.channels is not None:
            every = np.arange(len(part.channels)) if columns is None else np.asarray(columns)
            columns = np.where(every < 0, -1, part.channels[every])
            if np.array_equal(columns, np.arange(part.array.shape[1])):
                columns = None
        opened = _Opened(part.key, _slice_if_possible(columns), part.rows)
        self._opened[index] = opened
        return part.array, opened.columns, opened.rows

    def _wanted(self, index: int) -> tuple[list[int] | None, np.ndarray | None]:
        """Return the columns and rows of a file that are wanted; None: all."""
        if not self.cache.reader.remote:
            return None, None
        columns = self._columns[index]
        n_rows, n_channels, _ = self.entries[index]["shape"]
        there = None if columns is None else sorted({int(c) for c in columns if c >= 0})
        if there is not None and len(there) == n_channels:
            there = None
        rows = np.unique(self._row[self._file == index])
        return there, None if len(rows) == n_rows else rows


def _copy_row(target: np.ndarray, matrix: np.ndarray, columns, rows, number: int) -> None:
    """Copy one row of a matrix: all of it, adjacent columns, or any columns."""
    source = matrix[number if rows is None else rows[number]]
    if columns is None:
        target[...] = source
    elif isinstance(columns, slice):
        target[...] = source[columns]
    else:
        _pick(source, columns, target)


def _pick(source: np.ndarray, columns: np.ndarray, target: np.ndarray) -> None:
    """Copy the columns of one row; a column of -1 is NaN."""
    np.take(source, columns, axis=0, out=target, mode="clip")
    target[columns < 0] = np.nan


def _slice_if_possible(index: np.ndarray | None) -> np.ndarray | slice | None:
    """Return adjacent columns as a slice, which is copied in one go."""
    if index is None:
        return None
    if len(index) and index[0] >= 0 and np.all(np.diff(index) == 1):
        return slice(int(index[0]), int(index[0]) + len(index))
    return index
