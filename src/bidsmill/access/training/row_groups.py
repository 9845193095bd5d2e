"""Row groups of matrices, read straight from a store: a share of them, in any order, ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.matrix import MatrixFile

if TYPE_CHECKING:
    from bidsmill.access.cache.location import StoreReader

# How many answers of a bucket are waited for at once; a disk and a processor need fewer.
REMOTE_READERS, LOCAL_READERS = 8, 2
# Decoding holds the bytes of a row group as they are stored, as PyArrow has them, and as rows.
COPIES = 3


class Unit(NamedTuple):
    """Rows of one row group.

    Attributes
    ----------
    file : int
        Which entry.
    group : int
        Which row group of the file.
    start, stop : int
        Which of the rows of `Plan`.
    """

    file: int
    group: int
    start: int
    stop: int


class Plan(NamedTuple):
    """All rows, sorted by file and row group, each with its place in the selection.

    Attributes
    ----------
    units : list of Unit
        One for every row group that has rows of the selection.
    row : ndarray of int, shape (n,)
        Number of each row within its row group.
    position : ndarray of int, shape (n,)
        Place of each row in the selection.
    """

    units: list[Unit]
    row: np.ndarray
    position: np.ndarray


class RowGroups:
    """Reader of row groups.

    Parameters
    ----------
    reader : StoreReader
        Where the files are.
    entries : sequence of dict
        The manifest's entries of the matrices.
    columns : sequence of (ndarray of int or None), one per entry
        Column of each wanted channel, -1 where the matrix lacks it; None: all as they are.
    shape : (int, int)
        Channels and times of one row.
    """

    def __init__(
        self,
        reader: StoreReader,
        entries: Sequence[dict[str, Any]],
        columns: Sequence[np.ndarray | None],
        shape: tuple[int, int],
    ):
        self.reader = reader
        self.entries = list(entries)
        self.columns = list(columns)
        self.shape = shape
        self._lengths: list[list[int]] | None = None

    def lengths(self) -> list[list[int]]:
        """Return the rows of every row group of every file, from the ends of the files."""
        if self._lengths is None:
            with ThreadPoolExecutor(self._readers) as pool:
                self._lengths = list(pool.map(self._lengths_of, range(len(self.entries))))
        return self._lengths

    def plan(self, file: np.ndarray, row: np.ndarray) -> Plan:
        """Return where rows are.

        Parameters
        ----------
        file, row : ndarray of int, shape (n,)
            Entry and number in its matrix of each row of the selection.
        """
        group, within = np.zeros(len(row), np.intp), np.zeros(len(row), np.intp)
        order = np.argsort(file, kind="stable")
        ends = np.searchsorted(file[order], np.arange(len(self.entries) + 1))
        for lengths, start, stop in zip(self.lengths(), ends[:-1], ends[1:], strict=True):
            own = order[start:stop]
            first = np.cumsum([0, *lengths])
            group[own] = np.searchsorted(first, row[own], side="right") - 1
            within[own] = row[own] - first[group[own]]
        order = np.lexsort((group, file))
        file, group = file[order], group[order]
        changes = np.flatnonzero((np.diff(file) != 0) | (np.diff(group) != 0)) + 1
        starts = [0, *changes.tolist(), len(order)] if len(order) else [0]
        units = [
            Unit(int(file[start]), int(group[start]), start, stop)
            for start, stop in pairwise(starts)
        ]
        return Plan(units, within[order], order)

    def read(self, plan: Plan, units: Sequence[Unit], ahead_bytes: int) -> Iterator[tuple]:
        """Give the rows of row groups in this order, and read ahead in threads.

        Parameters
        ----------
        plan : Plan
            Of the rows.
        units : sequence of Unit
            What is wanted of it.
        ahead_bytes : int
            Memory for what is being read; one row group is always read.

        Yields
        ------
        X : ndarray of float32, shape (rows, channels, times)
        position : ndarray of int, shape (rows,)
            Places in the selection.
        """
        waiting: deque[tuple[Unit, Future]] = deque()
        held, following = 0, iter(units)
        coming = next(following, None)
        with ThreadPoolExecutor(self._readers, thread_name_prefix="stream") as pool:
            try:
                while waiting or coming is not None:
                    while coming is not None and (
                        not waiting or held + self._bytes(coming) <= ahead_bytes
                    ):
                        held += self._bytes(coming)
                        waiting.append((coming, pool.submit(self._rows_of, plan, coming)))
                        coming = next(following, None)
                    unit, future = waiting.popleft()
                    X = future.result()
                    del future
                    yield X, plan.position[unit.start : unit.stop]
                    del X
                    held -= self._bytes(unit)
            finally:
                for _, future in waiting:
                    future.cancel()

    def _rows_of(self, plan: Plan, unit: Unit) -> np.ndarray:
        """Return the wanted rows and channels of one row group."""
        rows, columns = plan.row[unit.start : unit.stop], self.columns[unit.file]
        with self._opened(unit.file) as (matrix, source):
            names = None
            if columns is not None:
                present = np.unique(columns[columns >= 0])
                names = [matrix.channels[column] for column in present.tolist()]
            if source is not None:
                source.prefetch(matrix.chunk_ranges(unit.group, names))
            block = matrix.read_group(unit.group, names)
        if columns is None:
            every = len(rows) == len(block) and np.array_equal(rows, np.arange(len(block)))
            return block if every else block[rows]
        place = np.searchsorted(present, columns)
        picked = block[np.ix_(rows, np.minimum(place, max(len(present) - 1, 0)))]
        picked[:, columns < 0] = np.nan
        return picked

    def _bytes(self, unit: Unit) -> int:
        columns = self.columns[unit.file]
        channels = self.entries[unit.file]["shape"][1] if columns is None else len(columns)
        rows = self.lengths()[unit.file][unit.group]
        return COPIES * 4 * rows * channels * self.shape[1]

    def _lengths_of(self, file: int) -> list[int]:
        with self._opened(file) as (matrix, _):
            lengths, shape = matrix.group_rows, list(matrix.metadata["shape"])
            if shape != list(self.entries[file]["shape"]) or sum(lengths) != shape[0]:
                raise BidsmillError(
                    "a matrix has another shape than its manifest says",
                    file=matrix.path,
                    found=f"{shape} in {sum(lengths)} rows",
                    expected=self.entries[file]["shape"],
                )
            return lengths

    @contextmanager
    def _opened(self, file: int) -> Iterator[tuple[MatrixFile, Any]]:
        """Open a file: in place in a folder, by ranges of bytes in a bucket."""
        entry = self.entries[file]
        local = self.reader.storage.local_path(entry["path"])
        if local is not None:
            with MatrixFile(local) as matrix:
                yield matrix, None
            return
        source = self.reader.open_ranges(entry)
        with source, MatrixFile(entry["path"], source) as matrix:
            yield matrix, source

    @property
    def _readers(self) -> int:
        return REMOTE_READERS if self.reader.remote else LOCAL_READERS
