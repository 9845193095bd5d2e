"""The cache: every matrix decoded once into an ``.npy`` file, which is memory-mapped.

An entry is named by the sha256 of the matrix file, so that it never goes out of date, and holds
float32 in C order, rows x channels x times.
"""

from __future__ import annotations

import os
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.cache import partial
from bidsmill.access.cache.budget import Budget, Kept, contents, damaged, trim
from bidsmill.access.cache.decoding import in_memory, verified_blocks, write_entry
from bidsmill.access.cache.download import on_this_machine
from bidsmill.access.cache.entries import (
    DTYPE,
    Place,
    default_folder,
    lock_path,
    mapped,
    most_maps,
    remove_abandoned,
    whole_place,
)
from bidsmill.access.cache.locks import only_one
from bidsmill.access.cache.memory import Gate
from bidsmill.access.cache.partial import Part
from bidsmill.access.cache.pulling import in_parallel

if TYPE_CHECKING:
    from bidsmill.access.cache.location import StoreReader
    from bidsmill.storage.contract import Progress

__all__ = ["Cache", "Part", "default_folder", "remove_abandoned"]

# What may be held in memory where the cache folder cannot be written.
MAX_HELD_BYTES = 2**30
HEADER_BYTES = 128


class Cache:
    """Decoded matrices of a store, as read-only arrays.

    Parameters
    ----------
    reader : StoreReader
        Where the matrix files are.
    folder : path-like, optional
        The cache folder; that of the reader if absent.
    max_maps : int, optional
        How many files are kept mapped; the one used longest ago is let go first. If absent,
        `bidsmill.access.cache.entries.most_maps`.
    budget : int or str, optional
        How many bytes the cache folder may hold (see `bidsmill.access.cache.budget.Budget`).

    Notes
    -----
    Many threads and processes may fill one folder at once: each matrix is decoded once. A
    pickled cache carries no open files, and a forked one may go on with those it has.
    """

    def __init__(
        self,
        reader: StoreReader,
        folder: str | os.PathLike | None = None,
        max_maps: int | None = None,
        budget: int | str | None = None,
    ):
        self.reader = reader
        self.folder = reader.folder if folder is None else Path(folder).expanduser()
        self.max_maps = most_maps() if max_maps is None else max_maps
        self.budget = Budget(self.folder, budget)
        self._maps: OrderedDict[str, np.ndarray] = OrderedDict()
        self._held: OrderedDict[str, np.ndarray] = OrderedDict()
        self._bytes: dict[str, memoryview] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": OrderedDict(), "_held": OrderedDict(), "_bytes": {}}

    def entry_path(self, sha256: str) -> Path:
        """Return where the decoded matrix of this sha256 is, or would be."""
        return whole_place(self.folder, sha256).array

    def kept(self, key: str) -> np.ndarray | None:
        """Return an array that is open already, or None."""
        for arrays in (self._maps, self._held):
            try:
                arrays.move_to_end(key)
                return arrays[key]
            except KeyError:  # never read, or just let go by another thread
                continue
        return None

    def kept_bytes(self, key: str) -> memoryview | None:
        """Return the bytes of an array that is open already, or None.

        Copying slices of them takes less time than copying rows of the array.
        """
        array = self.kept(key)
        if array is None:
            return None
        view = self._bytes.get(key)
        if view is None or view.obj is not array:
            view = self._bytes[key] = array.data.cast("B")
        return view

    def array(self, entry: dict[str, Any]) -> np.ndarray:
        """Return a whole matrix, decoding it at its first use.

        Parameters
        ----------
        entry : dict
            The manifest's entry of the matrix: ``path``, ``size``, ``sha256``, ``shape``.

        Returns
        -------
        ndarray of float32, shape (rows, channels, times), read-only
            A memory map; or memory, with a warning, where the cache cannot be written.

        Raises
        ------
        BidsmillError
            If the matrix file is missing or is not the one that the manifest names.
        """
        key = entry["sha256"]
        array = self.kept(key)
        if array is None:
            array = self._map(key, whole_place(self.folder, key), entry["shape"])
        if array is not None:
            return array
        try:
            array = self._fill(entry)
        except OSError as error:
            return self._hold(key, error, lambda: self._whole_in_memory(entry))
        return self._keep(key, array)

    def part(
        self,
        entry: dict[str, Any],
        columns: Sequence[int] | None = None,
        rows: np.ndarray | None = None,
    ) -> Part:
        """Return an array that holds at least these channels and rows of a matrix.

        A whole matrix is fetched unless the store is remote and the parts wanted have less than
        half of its bytes (`bidsmill.access.cache.partial.WORTH`).

        Parameters
        ----------
        entry : dict
            The manifest's entry of the matrix.
        columns : sequence of int, optional
            Columns of the matrix; all if absent.
        rows : ndarray of int, optional
            Rows of the matrix; all if absent.

        Raises
        ------
        BidsmillError
            As for `array`.
        """
        key = entry["sha256"]
        everything = columns is None and rows is None
        array = self.kept(key)
        if array is None and self.reader.remote and not everything:
            array = self._map(key, whole_place(self.folder, key), entry["shape"])
            if array is None:
                found = self._some(entry, partial.Wanted.of(entry, columns, rows))
                if found is not None:
                    return found
        return Part(key, self.array(entry) if array is None else array, None, None)

    def pull(
        self,
        entries: Iterable[dict[str, Any]],
        progress: Progress | None = None,
        workers: int | None = None,
    ) -> None:
        """Fill the cache with whole matrices, several at a time.

        The network of one matrix and the decoding of another go on together.

        Parameters
        ----------
        entries : iterable of dict
            The manifest's entries of the matrices.
        progress : callable, optional
            Called with the number of bytes of matrix files done since its last call; they add
            up to the sum of ``size``.
        workers : int, optional
            How many matrices at a time.

        Raises
        ------
        BidsmillError
            If a matrix is missing or is not the one that the manifest names, or if the cache
            cannot be written. What was done before stays.
        """
        self.pull_with(entries, self._pull_whole, progress, workers)

    def pull_part(self, entry, columns, rows, progress: Progress, gate) -> None:
        """Fill the cache with at least these channels and rows (see `part` and `pull`)."""
        if self.reader.remote and not (columns is None and rows is None):
            whole = whole_place(self.folder, entry["sha256"])
            there = self.kept(entry["sha256"]) is not None
            if there or mapped(whole, entry["shape"]) is not None:
                return
            # Memory holds one row group, as where a file is decoded.
            with gate:
                if self._some(entry, partial.Wanted.of(entry, columns, rows)) is not None:
                    return
        self._pull_whole(entry, progress, gate)

    def pull_with(self, entries, pull_one: Callable, progress=None, workers=None) -> None:
        """Call ``pull_one(entry, progress, gate)`` for entries, in parallel (see `pull`)."""
        in_parallel(entries, pull_one, progress, workers, self.folder)

    def contents(self) -> list[Kept]:
        """Return what the cache folder holds, of all stores; what was used last comes last."""
        return contents(self.folder)

    def trim(self, budget: int | str | None = None) -> list[Kept]:
        """Remove what was used longest ago, until the folder holds at most `budget` bytes.

        What a process has mapped stays. Without a budget: that of this cache.

        Returns
        -------
        list of Kept
            What was removed.
        """
        size = self.budget.bytes() if budget is None else Budget(self.folder, budget).bytes()
        self._let_go()
        return trim(self.folder, size)

    def verify(self) -> list[Kept]:
        """Read every array again, and remove those that are not what their records say.

        Returns
        -------
        list of Kept
            The damaged ones.
        """
        return damaged(self.folder)

    def _map(self, key: str, place: Place, shape: Sequence[int]) -> np.ndarray | None:
        array = mapped(place, shape)
        return None if array is None else self._keep(key, array)

    def _keep(self, key: str, array: np.ndarray) -> np.ndarray:
        self._maps[key] = array
        while len(self._maps) > self.max_maps:
            try:
                self._bytes.pop(self._maps.popitem(last=False)[0], None)
            except KeyError:  # another thread let it go
                break
        return array

    def _fill(
        self,
        entry: dict[str, Any],
        progress: Progress | None = None,
        gate: Gate | None = None,
    ) -> np.ndarray:
        """Decode a matrix into the cache, unless another process has just done so.

        Raises
        ------
        OSError
            If the cache folder cannot be written.
        """
        sha256, shape = entry["sha256"], entry["shape"]
        place = whole_place(self.folder, sha256)
        gate = gate or Gate(alone=True)
        with only_one(lock_path(self.folder, sha256)):
            array = mapped(place, shape)
            if array is not None:
                return array
            remove_abandoned(place.array, place.array.with_suffix(".parquet"), place.record)
            self._make_room(entry["size"] * self.reader.remote + _bytes_of(shape))
            with (
                on_this_machine(self.reader, entry, gate, progress, self.folder) as source,
                closing(verified_blocks(source, entry, self.reader.shown(entry), gate)) as blocks,
            ):
                write_entry(place, shape, blocks, direct=not gate.alone)
            array = mapped(place, shape)
        if array is None:
            raise OSError("the entry was damaged after it was written")
        return array

    def _pull_whole(self, entry, progress: Progress, gate: Gate) -> None:
        if self.kept(entry["sha256"]) is None:
            place = whole_place(self.folder, entry["sha256"])
            if mapped(place, entry["shape"]) is None:
                self._fill(entry, progress, gate)

    def _whole_in_memory(self, entry: dict[str, Any]) -> np.ndarray:
        gate = Gate(alone=True)
        with on_this_machine(self.reader, entry, gate) as source:
            blocks = verified_blocks(source, entry, self.reader.shown(entry), gate)
            return in_memory(entry["shape"], blocks)

    def _some(self, entry: dict[str, Any], wanted: partial.Wanted) -> Part | None:
        """Return a partial entry, or None where the whole matrix is to be taken."""
        for found in partial.covering(self.folder, entry, wanted):
            array = self.kept(found.key)
            if array is None:
                array = self._map(found.key, found.place, found.shape)
            if array is not None:
                return Part(found.key, array, found.channels, found.rows)
        if self.reader.offline:
            return None
        with partial.Source(self.reader, entry, wanted) as source:
            if not source.is_worth_it():
                return None
            found = source.chosen(self.folder)
            try:
                self._make_room(_bytes_of(found.shape))
                array = partial.fill(self.folder, found, source)
                self._keep(found.key, array)
            except OSError as error:
                make = lambda: in_memory(found.shape, source.blocks())  # noqa: E731
                array = self._hold(found.key, error, make)
        return Part(found.key, array, found.channels, found.rows)

    def _make_room(self, needed: int) -> None:
        """Evict what was used longest ago; in need, what only this cache has mapped."""
        if not self.budget.make_room(needed) and self._maps:
            self._let_go()
            if self.budget.make_room(needed):
                self.budget.warn_of_its_own()

    def _let_go(self) -> None:
        """Keep nothing mapped but what somebody else has a reference to."""
        self._maps.clear()
        self._bytes.clear()

    def _hold(self, key: str, error: OSError, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Decode a matrix into memory, because the cache folder cannot be written."""
        warnings.warn(
            f"the cache folder {self.folder} cannot be written ({error.strerror or error}): "
            "matrices are decoded into memory, which is slow; set BIDSMILL_CACHE to a folder "
            "with space",
            RuntimeWarning,
            stacklevel=2,
        )
        array = self._held[key] = make()
        while len(self._held) > 1 and sum(a.nbytes for a in self._held.values()) > MAX_HELD_BYTES:
            self._bytes.pop(self._held.popitem(last=False)[0], None)
        return array


def _bytes_of(shape: Sequence[int]) -> int:
    return int(np.prod(shape)) * DTYPE.itemsize + HEADER_BYTES
