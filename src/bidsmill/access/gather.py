"""Rows of many matrices, gathered into one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsmill.access.cache import Cache
from bidsmill.errors import BidsmillError

# From this many rows of one file on, one call of `np.take` is faster than a loop over rows.
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
        order = np.argsort(file, kind="stable")
        starts = np.flatnonzero(np.diff(file[order], prepend=-1))
        stops = [*starts[1:].tolist(), len(order)]
        for start, stop in zip(starts.tolist(), stops, strict=True):
            wanted = order[start:stop]
            index = int(file[wanted[0]])
            matrix = self.cache.array(self.entries[index])
            self._fill(out, wanted, matrix, row[wanted], self._columns[index])
        return out

    def all(self) -> np.ndarray:
        """Gather every row, in order."""
        return self.take(np.arange(len(self)))

    def _fill(self, out, places, matrix, rows, columns) -> None:
        """Copy `rows` of one matrix to `places` of `out`."""
        if columns is None and len(places) >= LONG_RUN and _adjacent(places):
            # "clip" writes into `out` without a buffer; the rows are known to be in range.
            target = out[places[0] : places[0] + len(places)]
            np.take(matrix, rows, axis=0, out=target, mode="clip")
            return
        pairs = zip(places.tolist(), rows.tolist(), strict=True)
        if columns is None:
            for place, row in pairs:
                out[place] = matrix[row]
        elif isinstance(columns, slice):
            for place, row in pairs:
                out[place] = matrix[row, columns]
        elif columns.min() >= 0:
            for place, row in pairs:
                np.take(matrix[row], columns, axis=0, out=out[place], mode="clip")
        else:
            there = columns >= 0
            for place, row in pairs:
                out[place, there] = matrix[row][columns[there]]
                out[place, ~there] = np.nan


def _adjacent(places: np.ndarray) -> bool:
    return int(places[-1]) - int(places[0]) == len(places) - 1 and bool(
        np.all(np.diff(places) == 1)
    )


def _slice_if_possible(index: np.ndarray | None) -> np.ndarray | slice | None:
    """Return adjacent columns as a slice, which is copied in one go."""
    if index is None:
        return None
    if len(index) and index[0] >= 0 and np.all(np.diff(index) == 1):
        return slice(int(index[0]), int(index[0]) + len(index))
    return index
