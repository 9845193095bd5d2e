"""Rows of many matrices, gathered into one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsmill.access.cache import Cache
from bidsmill.errors import BidsmillError

# From this many rows per file on, one call of `np.take` for each is faster than a loop over rows.
LONG_RUN = 8


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
        self._columns = [_slice_if_possible(index) for index in columns]
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
        out = np.empty((len(positions), *self.shape), np.float32)
        steps = np.diff(file)
        starts = [0, *(np.flatnonzero(steps) + 1).tolist()]
        if len(positions) >= LONG_RUN * len(starts) and np.all(steps >= 0):
            self._take_runs(out, file, row, starts)
        else:
            self._take_rows(out, file, row)
        return out

    def all(self) -> np.ndarray:
        """Gather every row, in order."""
        return self.take(np.arange(len(self)))

    def _take_runs(self, out, file, row, starts: list[int]) -> None:
        """Fill `out` from files in ascending order, one call per run of rows."""
        for start, stop in zip(starts, [*starts[1:], len(file)], strict=True):
            columns = self._columns[file[start]]
            if columns is None:
                matrix = self.cache.array(self.entries[file[start]])
                # "clip" writes to `out` without a buffer; all rows are known to be in range.
                np.take(matrix, row[start:stop], axis=0, out=out[start:stop], mode="clip")
            else:
                self._take_rows(out[start:stop], file[start:stop], row[start:stop])

    def _take_rows(self, out, file, row) -> None:
        """Fill `out` row by row, file after file: the least work where runs are short."""
        order = np.argsort(file, kind="stable")
        places = zip(order.tolist(), file[order].tolist(), row[order].tolist(), strict=True)
        last = -1
        for place, index, number in places:
            if index != last:
                last = index
                matrix = self.cache.array(self.entries[index])
                columns = self._columns[index]
            if columns is None:
                out[place] = matrix[number]
            elif isinstance(columns, slice):
                out[place] = matrix[number, columns]
            else:
                _pick(matrix[number], columns, out[place])


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
