"""A stream of batches: row groups in a shuffled order, mixed in a buffer of bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.access.training.loading import Sharing, permutation
from bidsmill.access.training.pytorch import trained_on
from bidsmill.access.training.row_groups import Plan, RowGroups, Unit

if TYPE_CHECKING:
    from bidsmill.access.selection import Selection


class Stream:
    """Batches of a selection, straight from its files. Made by `Selection.stream`.

    Iterating gives arrays: X, or (X, y) with y the codes or numbers of the target, or a dict of
    them. Each pass is the next epoch, and has every row once.

    Parameters
    ----------
    groups : RowGroups
        The reader.
    file, row : ndarray of int, shape (n,)
        Entry and number in its matrix of each row of the selection.
    y : ndarray, dict of them, or None
        What a model is trained on.
    settings : dict
        The arguments of `Selection.stream`, and `sharing`.

    Attributes
    ----------
    epoch : int
        The one that the next pass gives.
    """

    def __init__(
        self,
        groups: RowGroups,
        file: np.ndarray,
        row: np.ndarray,
        y: np.ndarray | dict[str, np.ndarray] | None,
        settings: dict[str, Any],
    ):
        self.groups = groups
        self.y = y
        self.epoch = 0
        self._file, self._row = file, row
        self.batch_size: int = settings["batch_size"]
        self.shuffle: bool = settings["shuffle"]
        self.seed: int = settings["seed"]
        self.buffer_bytes: int = settings["buffer_bytes"]
        self.drop_last: bool = settings["drop_last"]
        self.transform: Callable | None = settings["transform"]
        self.batch_transform: Callable | None = settings["batch_transform"]
        self.sharing: Sharing = settings["sharing"]

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass gives."""
        self.epoch = int(epoch)

    def __iter__(self) -> Iterator[Any]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        for X, y in self.batches(epoch):
            if self.transform is not None:
                X = np.stack([self.transform(x) for x in X])
            if self.batch_transform is not None:
                X = self.batch_transform(X)
            yield X if self.y is None else (X, y)

    def torch(self) -> Any:
        """Return the stream as an IterableDataset of PyTorch, whose items are whole batches.

        Give it to ``DataLoader(..., batch_size=None)``; its workers share the row groups. With
        workers, ``set_epoch`` of the dataset says which epoch comes next (they are copies, and
        would repeat the first); `loader` does that by itself.

        Raises
        ------
        BidsmillError
            If torch is not installed.
        """
        from bidsmill.access.training.torch_stream import torch_stream

        return torch_stream(self)

    def loader(self, num_workers: int = 2, **options: Any) -> Any:
        """Return a DataLoader of the stream, in which each pass is the next epoch.

        Parameters
        ----------
        num_workers : int
            Processes that read and decode. Each has buffers of its own.
        **options
            Any other argument of ``torch.utils.data.DataLoader``.

        Raises
        ------
        BidsmillError
            If torch is not installed.
        """
        from bidsmill.access.training.torch_stream import stream_loader

        return stream_loader(self, num_workers, options)

    def batches(self, epoch: int, worker: int = 0, workers: int = 1) -> Iterator[tuple]:
        """Give the batches of an epoch that are those of one worker of this process.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        worker, workers : int
            Number of the worker, and how many there are in each process.

        Yields
        ------
        X : ndarray of float32, shape (batch, channels, times)
        y : ndarray, dict of them, or None
        """
        rank, size = self.sharing
        share, shares = rank * workers + worker, size * workers
        units = self._order(epoch)
        own = units[share::shares]
        batches = self._mixed(own, epoch, share)
        if self.drop_last:
            whole = min(_rows(units[s::shares]) // self.batch_size for s in range(shares))
            batches = (batch for _, batch in zip(range(whole), batches, strict=False))
        for X, position in batches:
            yield X, self._of_rows(position)

    @cached_property
    def plan(self) -> Plan:
        """Return which rows are in which row group of which file."""
        return self.groups.plan(self._file, self._row)

    def _order(self, epoch: int) -> list[Unit]:
        units = self.plan.units
        if not self.shuffle:
            return units
        return [units[index] for index in permutation(len(units), self.seed, epoch)]

    def _mixed(self, units: Sequence[Unit], epoch: int, share: int) -> Iterator[tuple]:
        capacity = self.batch_size
        if self.shuffle:
            bytes_per_row = 4 * self.groups.shape[0] * self.groups.shape[1]
            room = max(capacity, self.buffer_bytes // max(bytes_per_row, 1))
            capacity = max(capacity, min(room, _rows(units)))
        random = np.random.PCG64([self.seed, epoch, share]) if self.shuffle else None
        buffer = _Buffer(capacity, self.groups.shape, random)
        for X, position in self.groups.read(self.plan, units, self.buffer_bytes):
            done = 0
            while done < len(X):
                done += buffer.add(X[done:], position[done:])
                if buffer.count == capacity:
                    yield buffer.batch(self.batch_size)
        while buffer.count:
            yield buffer.batch(self.batch_size)

    def _of_rows(self, position: np.ndarray) -> Any:
        if isinstance(self.y, dict):
            return {name: values[position] for name, values in self.y.items()}
        return None if self.y is None else self.y[position]


class _Buffer:
    """Rows that wait: batches are drawn from all of them, or taken in their order.

    Without random numbers, its capacity is that of one batch.
    """

    def __init__(self, capacity: int, shape: tuple[int, int], random: np.random.PCG64 | None):
        self._X = np.empty((capacity, *shape), np.float32)
        self._position = np.empty(capacity, np.intp)
        self._random = random
        self.count = 0

    def add(self, X: np.ndarray, position: np.ndarray) -> int:
        """Take in as many rows as there is room for, and return how many."""
        taken = min(len(X), len(self._X) - self.count)
        place = slice(self.count, self.count + taken)
        self._X[place], self._position[place] = X[:taken], position[:taken]
        self.count += taken
        return taken

    def batch(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Take out a batch; what remains moves together."""
        size = min(size, self.count)
        left = self.count - size
        if self._random is None:
            drawn = np.arange(size)
        else:
            drawn = draw(self._random.random_raw(size), self.count)
        X, position = self._X[drawn], self._position[drawn]
        behind = np.ones(size, bool)  # those of the last rows that were not drawn
        behind[drawn[drawn >= left] - left] = False
        holes, movers = drawn[drawn < left], left + np.flatnonzero(behind)
        self._X[holes], self._position[holes] = self._X[movers], self._position[movers]
        self.count = left
        return X, position


def draw(raw: np.ndarray, n: int) -> np.ndarray:
    """Return as many distinct numbers below n as there are raw random numbers of 64 bits.

    This is the shuffle of Fisher and Yates (Durstenfeld 1964, Algorithm 235), as far as it is
    needed.
    """
    moved: dict[int, int] = {}
    drawn = []
    for done, number in enumerate(raw.tolist()):
        last = n - 1 - done
        place = number % (last + 1)
        drawn.append(moved.get(place, place))
        moved[place] = moved.get(last, last)
    return np.array(drawn, np.intp)


def _rows(units: Sequence[Unit]) -> int:
    return sum(unit.stop - unit.start for unit in units)


def stream_of(
    selection: Selection, target: str | Sequence[str] | None, settings: dict[str, Any]
) -> Stream:
    """Return the stream of a selection; see `Readable.stream`."""
    chosen, y = trained_on(selection, target)
    rows = chosen.rows()
    view = chosen.view
    columns = [view.columns[recording] for recording in chosen.recordings]
    groups = RowGroups(chosen.dataset.store_files, rows.entries, columns, rows.shape)
    return Stream(groups, chosen.file_index, chosen.table["row"].to_numpy(np.intp), y, settings)
