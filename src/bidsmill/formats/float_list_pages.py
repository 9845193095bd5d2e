"""Reading the pages that `FloatListWriter` writes, from a file that is in memory.

A general reader works out from the levels where lists begin, value by value. Here they are compared
with the levels that the writer writes, which are the same in each page, and the values are put
together in place: three quarters of the time, and no memory beyond a few pages. Pages of other
writers are left to a general reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsmill.formats.float_lists import (
    DATA_PAGE,
    I32,
    PAGE_BYTES,
    STRUCT,
    described_page,
    levels_of,
    struct,
    zigzag,
)

# What stays in the processor's cache from one step to the next.
TOGETHER_BYTES = 512 << 10


class FloatListPages:
    """Decode column chunks of lists of float32 of one length.

    Parameters
    ----------
    content : buffer
        The whole file. It was compared with a checksum, or will be: the CRC of pages is not looked
        at.
    length : int
        Values of a list.

    Notes
    -----
    Not for several threads at a time: it keeps room for the values of a page.
    """

    def __init__(self, content: Any, length: int):
        import pyarrow as pa

        self._content = memoryview(content)
        self.length = length
        self._codec = pa.Codec("zstd")
        self._per_page = max(1, PAGE_BYTES // (4 * length))
        self._pages: dict[int, _Page] = {}

    def read_chunks(self, ranges: Sequence[tuple[int, int]], out: np.ndarray) -> bool:
        """Decode the column chunks of a row group.

        Parameters
        ----------
        ranges : sequence of (int, int)
            For each column the first byte of its chunk in the file, and the one behind its last.
        out : ndarray of float32, shape (rows, columns, length)
            Where the values go.

        Returns
        -------
        bool
            False if another writer wrote one of them, or its bytes are damaged; `out` is undefined
            then.
        """
        places = [start for start, _ in ranges]
        for first in range(0, len(out), self._per_page):
            rows = out[first : first + self._per_page]
            page = self._pages.get(len(rows))
            if page is None:
                page = self._pages[len(rows)] = _Page(len(rows), self.length)
            for at in range(0, len(ranges), page.columns):
                columns = slice(at, at + page.columns)
                found = page.decode(self._content, places[columns], self._codec)
                if not found:
                    return False
                page.put_together(rows[:, columns])
                places[columns] = found
        return places == [stop for _, stop in ranges]


class _Page:
    """What all pages of so many lists have in common, and room for the values of some."""

    def __init__(self, n_rows: int, length: int):
        self._levels = levels_of(n_rows, length)
        n_values = n_rows * length
        self._size = len(self._levels) + 4 * n_values
        # Fields are numbered from the one before.
        self._begin = struct((1, I32, zigzag(DATA_PAGE)), (2, I32, zigzag(self._size)))[:-1]
        self._end = bytes([1 << 4 | STRUCT]) + described_page(n_values) + b"\0"
        # Many small pages at a time: a call takes longer than what it does for one of them.
        self.columns = max(1, TOGETHER_BYTES // self._size)
        self._streams = np.empty((self.columns, 4, n_values), np.uint8)
        self._halves = np.empty((2, self.columns, n_values), np.uint16)
        self._values = np.empty((self.columns, n_values), np.uint32)

    def decode(self, content: memoryview, places: Sequence[int], codec: Any) -> list[int]:
        """Decompress one page of each column; return where they end, nothing if one is another."""
        import pyarrow as pa

        ends, skipped = [], len(self._levels)
        for column, place in enumerate(places):
            begin, end = self._stored(content, place)
            if not begin:
                return []
            try:
                raw = np.frombuffer(codec.decompress(content[begin:end], self._size), np.uint8)
            except (pa.ArrowException, OSError):
                return []
            if raw[:skipped].tobytes() != self._levels:
                return []
            self._streams[column] = raw[skipped:].reshape(4, -1)
            ends.append(end)
        return ends

    def put_together(self, out: np.ndarray) -> None:
        """Write the values of the pages that were decompressed, shape (rows, columns, length).

        BYTE_STREAM_SPLIT: the first bytes of all values, then the second ones, and so on.
        """
        n = out.shape[1]
        streams, halves, values = self._streams[:n], self._halves[:, :n], self._values[:n]
        for half, low in ((halves[0], 0), (halves[1], 2)):
            np.left_shift(streams[:, low + 1], 8, out=half, dtype=np.uint16)
            np.bitwise_or(half, streams[:, low], out=half)
        np.left_shift(halves[1], 16, out=values, dtype=np.uint32)
        np.bitwise_or(values, halves[0], out=values)
        whole = values.view(np.float32).reshape(n, out.shape[0], out.shape[2])
        out[:] = whole.transpose(1, 0, 2)

    def _stored(self, content: memoryview, place: int) -> tuple[int, int]:
        """Return where the stored bytes of a page begin and end, (0, 0) if it is another one."""
        at = len(self._begin)
        head = bytes(content[place : place + at + 12 + len(self._end)])
        if not head.startswith(self._begin):
            return 0, 0
        stored, at = _number(head, at)
        _, at = _number(head, at)  # its CRC
        begin = at + len(self._end)
        if at == 0 or stored < 0 or head[at:begin] != self._end:
            return 0, 0
        end = place + begin + stored
        return (place + begin, end) if end <= len(content) else (0, 0)


def _number(content: bytes, at: int) -> tuple[int, int]:
    """Return the next field of an int32 and where it ends; its end is 0 if there is none."""
    if not at or content[at : at + 1] != bytes([1 << 4 | I32]):
        return 0, 0
    number = shift = 0
    for place in range(at + 1, len(content)):
        number |= (content[place] & 127) << shift
        shift += 7
        if content[place] < 128:
            return number >> 1 ^ -(number & 1), place + 1
    return 0, 0
