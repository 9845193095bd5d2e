"""Partial entries: some channels or row groups of a remote matrix, fetched by range requests.

They are kept apart from whole matrices (``part/`` in the cache folder), and their record says which
channels and row groups they hold, so that they never pose as the whole. The sha256 of the file
cannot vouch for them: every page is compared with its own checksum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bidsmill.access.cache.decoding import blocks_of, check_shape, write_entry
from bidsmill.access.cache.entries import (
    Place,
    lock_path,
    mapped,
    part_place,
    read_record,
    remove_abandoned,
)
from bidsmill.access.cache.locks import only_one
from bidsmill.access.cache.ranges import coalesced
from bidsmill.formats.matrix import MatrixFile

if TYPE_CHECKING:
    from bidsmill.access.cache.location import StoreReader

# A part is fetched in place of the whole file if it has less than this share of its bytes: the
# rest may be wanted later, and a whole file is verified as one.
WORTH = 0.5


class Part(NamedTuple):
    """An array of the cache, and what of the matrix it holds.

    Attributes
    ----------
    key : str
        For `Cache.kept`.
    array : ndarray of float32, shape (rows, channels, times)
        Read-only.
    channels : ndarray of int or None
        Column of the matrix -> column of the array, -1 where it is not there. None: all, as
        they are.
    rows : ndarray of int or None
        Row of the matrix -> row of the array, -1 where it is not there. None: all.
    """

    key: str
    array: np.ndarray
    channels: np.ndarray | None
    rows: np.ndarray | None


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a matrix.

    Attributes
    ----------
    columns : tuple of int
        Columns of the matrix, rising.
    rows : ndarray of int
        Rows of the matrix, rising.
    """

    columns: tuple[int, ...]
    rows: np.ndarray

    @classmethod
    def of(
        cls, entry: dict[str, Any], columns: Sequence[int] | None, rows: np.ndarray | None
    ) -> Wanted:
        """Return what is wanted; None means all of them."""
        n_rows, n_channels, _ = entry["shape"]
        every = range(n_channels) if columns is None else columns
        chosen = np.arange(n_rows) if rows is None else np.unique(rows)
        return cls(tuple(sorted({int(c) for c in every if c >= 0})), chosen)


@dataclass(frozen=True)
class Found:
    """A partial entry that holds what is wanted, or is to hold it.

    Attributes
    ----------
    place : Place
        Where it is.
    shape : tuple of int
        Of its array.
    channels : ndarray of int
        Column of the matrix -> column of the array, -1 where it is not there.
    rows : ndarray of int
        Row of the matrix -> row of the array, -1 where it is not there.
    record : dict
        ``channels``, ``groups`` and ``group_rows``.
    """

    place: Place
    shape: tuple[int, int, int]
    channels: np.ndarray
    rows: np.ndarray
    record: dict[str, Any]

    @property
    def key(self) -> str:
        """Return the name of its map."""
        return f"{self.place.sha256}/{self.place.array.stem}"


def covering(folder: Path, entry: dict[str, Any], wanted: Wanted) -> Iterator[Found]:
    """Give the partial entries of a matrix that hold all that is wanted, the smallest first."""
    found = []
    try:
        paths = sorted((folder / "part" / entry["sha256"]).glob("[!.]*.json"))
    except OSError:
        return
    for path in paths:
        place = Place(entry["sha256"], path.with_suffix(".npy"))
        record = read_record(place)
        try:
            part = None if record is None else _found(place, entry, record)
        except (KeyError, TypeError, ValueError, IndexError):  # a damaged record
            continue
        if part is not None and _holds(part, wanted):
            found.append(part)
    yield from sorted(found, key=lambda part: (np.prod(part.shape), part.key))


def _holds(part: Found, wanted: Wanted) -> bool:
    has_channels = bool(np.all(part.channels[list(wanted.columns)] >= 0))
    return has_channels and bool(np.all(part.rows[wanted.rows] >= 0))


def _found(place: Place, entry: dict[str, Any], record: dict[str, Any]) -> Found:
    n_rows, n_channels, n_times = entry["shape"]
    kept = {key: record[key] for key in ("channels", "groups", "group_rows")}
    channels = np.full(n_channels, -1, np.intp)
    channels[kept["channels"]] = np.arange(len(kept["channels"]))
    rows = np.full(n_rows, -1, np.intp)
    count = 0
    for start, stop in kept["group_rows"]:
        rows[start:stop] = np.arange(count, count + stop - start)
        count += stop - start
    shape = (count, len(kept["channels"]), n_times)
    return Found(place, shape, channels, rows, kept)


class Source:
    """A remote matrix of which something is wanted.

    Parameters
    ----------
    reader : StoreReader
        The store.
    entry : dict
        The manifest's entry of the matrix.
    wanted : Wanted
        Channels and rows.
    """

    def __init__(self, reader: StoreReader, entry: dict[str, Any], wanted: Wanted):
        self.entry = entry
        self.wanted = wanted
        self._reader = reader
        self._matrix: MatrixFile | None = None

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exception) -> None:
        if self._matrix is not None:
            self._matrix.close()

    def is_worth_it(self) -> bool:
        """Tell whether the parts wanted have few of the file's bytes. Reads the footer."""
        n_rows, n_channels, _ = self.entry["shape"]
        # What an even file would need; a look at the footer costs a request.
        if len(self.wanted.columns) * len(self.wanted.rows) >= n_channels * n_rows:
            return False
        self._open()
        ranges = [r for group in self.groups for r in self.matrix.chunk_ranges(group, self.names)]
        needed = sum(stop - start for start, stop in coalesced(ranges))
        return needed < WORTH * self.entry["size"]

    @property
    def matrix(self) -> MatrixFile:
        """Return the open file."""
        assert self._matrix is not None
        return self._matrix

    def _open(self) -> None:
        self._file = self._reader.open_ranges(self.entry)
        shown = f"{self._reader.address.rstrip('/')}/{self.entry['path']}"
        self._matrix = MatrixFile(shown, self._file)
        check_shape(self._matrix, self.entry)
        ends = np.cumsum(self._matrix.group_rows)
        # The group of a row is the first one that ends behind it.
        self.groups = np.unique(np.searchsorted(ends, self.wanted.rows, side="right")).tolist()
        self._ends = ends.tolist()
        columns = self.wanted.columns
        if self._matrix.wide:  # one column chunk holds them all
            columns = tuple(range(self.entry["shape"][1]))
        self.columns = columns
        self.names = [self._matrix.channels[column] for column in columns]

    def chosen(self, folder: Path) -> Found:
        """Return the partial entry that is to be made."""
        place = part_place(folder, self.entry["sha256"], self.columns, self.groups)
        starts = [0, *self._ends]
        record = {
            "channels": list(self.columns),
            "groups": self.groups,
            "group_rows": [[starts[group], self._ends[group]] for group in self.groups],
        }
        return _found(place, self.entry, record)

    def blocks(self) -> Iterator[np.ndarray]:
        """Give the row groups wanted, each fetched in few requests and held alone."""
        whole = len(self.names) == len(self.matrix.channels)
        names = None if whole else self.names
        for group in self.groups:
            self._file.prefetch(self.matrix.chunk_ranges(group, names))
            yield from blocks_of(self.matrix, [group], names)


def fill(folder: Path, found: Found, source: Source) -> np.ndarray:
    """Make a partial entry, unless another process has just done so, and map it.

    Raises
    ------
    OSError
        If the cache folder cannot be written.
    """
    with only_one(lock_path(folder, f"{found.place.sha256}-{found.place.array.stem}")):
        array = mapped(found.place, found.shape)
        if array is None:
            remove_abandoned(found.place.array)
            write_entry(found.place, found.shape, source.blocks(), found.record)
            array = mapped(found.place, found.shape)
    if array is None:
        raise OSError("the entry was damaged after it was written")
    return array
