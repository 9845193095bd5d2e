"""A stored file read by byte ranges: as much as is needed, in few requests."""

from __future__ import annotations

import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    from bidsmill.storage.contract import Storage

# Reading what nobody asked for costs less than another request below about this many bytes:
# 10 to 100 ms to the first byte at 10 to 100 MB/s.
GAP_BYTES = 2**20
REQUEST_BYTES = 8 * 2**20
CONNECTIONS = 8
# Readers of Parquet begin at the end: one request for most footers.
TAIL_BYTES = 256 * 2**10

Range = tuple[int, int]


def coalesced(ranges: Iterable[Range], gap: int = GAP_BYTES, limit: int = REQUEST_BYTES):
    """Return few ranges that hold all of `ranges`, sorted.

    Parameters
    ----------
    ranges : iterable of (int, int)
        First byte, and the one behind the last.
    gap : int
        Ranges with no more bytes between them become one.
    limit : int
        No range of the result has more bytes, so that many go over at once.

    Returns
    -------
    list of (int, int)
    """
    merged: list[list[int]] = []
    for start, stop in sorted(ranges):
        if stop <= start:
            continue
        if merged and start - merged[-1][1] <= gap:
            merged[-1][1] = max(merged[-1][1], stop)
        else:
            merged.append([start, stop])
    return [
        (begin, min(begin + limit, stop))
        for start, stop in merged
        for begin in range(start, stop, limit)
    ]


class RangeFile(io.RawIOBase):
    """A stored file, seekable, whose bytes come by range requests.

    Parameters
    ----------
    storage : Storage
        Where it is.
    path : str
        In the storage.
    size : int
        Its bytes.

    Notes
    -----
    `prefetch` holds ranges in memory until the next call of it; what is read outside of them is
    requested one by one.
    """

    def __init__(self, storage: Storage, path: str, size: int):
        super().__init__()
        self._storage = storage
        self.path = path
        self.size = size
        self._place = 0
        self._held: list[tuple[int, bytes]] = []
        self._tail: tuple[int, bytes] | None = None

    def prefetch(self, ranges: Iterable[Range]) -> None:
        """Fetch ranges in parallel, in few requests, and hold them in place of earlier ones.

        Parameters
        ----------
        ranges : iterable of (int, int)
            First byte, and the one behind the last.
        """
        wanted = coalesced(ranges)
        self._held = []
        if len(wanted) < 2:
            self._held = [(start, self._request(start, stop)) for start, stop in wanted]
            return
        with ThreadPoolExecutor(min(CONNECTIONS, len(wanted))) as pool:
            contents = pool.map(lambda r: self._request(*r), wanted)
            self._held = _joined([(r[0], c) for r, c in zip(wanted, contents, strict=True)])

    def readinto(self, buffer) -> int:
        """Fill a buffer from the current place on."""
        count = min(len(buffer), self.size - self._place)
        if count <= 0:
            return 0
        buffer[:count] = self._bytes(self._place, self._place + count)
        self._place += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place of the file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def tell(self) -> int:
        """Return the current place."""
        return self._place

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def _bytes(self, start: int, stop: int) -> memoryview | bytes:
        if self._tail is None and stop > self.size - TAIL_BYTES:
            begin = max(0, self.size - TAIL_BYTES)
            self._tail = begin, self._request(begin, self.size)
        for begin, content in [*self._held, *([self._tail] if self._tail else [])]:
            if begin <= start and stop <= begin + len(content):
                return memoryview(content)[start - begin : stop - begin]
        return self._request(start, stop)

    def _request(self, start: int, stop: int) -> bytes:
        content = self._storage.read_range(self.path, start, stop)
        if len(content) != stop - start:
            raise BidsmillError(
                "a file of the store is shorter than its manifest says",
                file=self.path,
                found=f"{len(content)} bytes from {start} on",
                expected=f"{stop - start} bytes",
                todo="the store is damaged: publish the dataset again",
            )
        return content


def _joined(parts: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Return adjacent parts as one, so that a read that spans them is one slice."""
    runs: list[tuple[int, list[bytes]]] = []
    end = -1
    for start, content in parts:
        if start == end:
            runs[-1][1].append(content)
        else:
            runs.append((start, [content]))
        end = start + len(content)
    return [(start, pieces[0] if len(pieces) == 1 else b"".join(pieces)) for start, pieces in runs]
