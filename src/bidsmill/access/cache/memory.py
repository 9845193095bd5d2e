"""Memory for files on their way and for what is decoded from them: bounded, and used again.

New memory costs more than what is done with it here: the system clears each page at its first use.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import numpy as np

LARGEST_FILE = 96 << 20
# Of all files that are in memory at a time.
FILE_BYTES = 128 << 20


class Memory:
    """Pieces of memory for several threads.

    Parameters
    ----------
    limit : int, optional
        Bytes; who wants more waits until others are done. One piece is always given.
    """

    def __init__(self, limit: int | None = None):
        self._limit = limit
        self._changed = threading.Condition()
        self._taken = 0
        self._free: list[np.ndarray] = []

    @contextmanager
    def take(self, size: int) -> Iterator[np.ndarray]:
        """Give so many bytes (uint8) until the end of the block; their content is undefined."""
        piece = self._piece(size)
        try:
            yield piece[:size]
        finally:
            with self._changed:
                self._taken -= len(piece)
                self._free.append(piece)
                self._changed.notify_all()

    def _piece(self, size: int) -> np.ndarray:
        with self._changed:
            self._changed.wait_for(lambda: self._fits(size))
            fitting = [n for n, piece in enumerate(self._free) if size <= len(piece)]
            if fitting:
                piece = self._free.pop(min(fitting, key=lambda n: len(self._free[n])))
            else:
                self._free = []  # too small
                piece = np.empty(size, np.uint8)
            self._taken += len(piece)
            return piece

    def _fits(self, size: int) -> bool:
        return self._limit is None or not self._taken or self._taken + size <= self._limit


class Gate:
    """Lets some threads decode at a time: a context; and the memory that they share.

    Parameters
    ----------
    count : int
        How many decode at a time.
    alone, largest
        See below.

    Attributes
    ----------
    files : Memory
        For files that were downloaded. It is taken before the gate is entered.
    arrays : Memory
        For what is decoded. It is taken within the gate, which bounds it.
    alone : bool
        Whether nobody else decodes: one matrix may then use several threads, and is read at once.
    largest : int
        A file of more bytes goes over the disk.
    """

    def __init__(self, count: int = 1, alone: bool = False, largest: int = LARGEST_FILE):
        self.largest = largest
        self._places = threading.BoundedSemaphore(count)
        self.files = Memory(FILE_BYTES)
        self.arrays = Memory()
        self.alone = alone

    def __enter__(self) -> Gate:
        self._places.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._places.release()
