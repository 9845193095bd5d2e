"""Parquet files whose columns are lists of float32 of one length, written page by page.

Such columns are the simplest that Parquet knows: nothing is null, and every list has the same
length, so the levels that say where lists begin are the same in each page. A general writer
works them out value by value, which takes as long as the compression; here they are written down
once. The files are ordinary Parquet (https://parquet.apache.org/docs/file-format, version 2.6 of
the format): data pages of version 1 with checksums, BYTE_STREAM_SPLIT, zstd, no dictionary, no
statistics; with the schema of Arrow in the key ``ARROW:schema``, as PyArrow writes it.

The level of zstd is 1, or -1 for pages in which the bytes of the mantissas are nearly random, as
those of amplifiers with a fine resolution are. At negative levels zstd matches repetitions but
does not code single bytes by their frequency (https://facebook.github.io/zstd/zstd_manual.html),
which takes half of its time and would save less than `LEAST_SAVING` there.
"""

from __future__ import annotations

import base64
import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

MAGIC = b"PAR1"
CREATED_BY = "bidsmill version 1.0.0 (build 1)"
COMPRESSION_LEVEL = 1
# For pages in which the frequencies of bytes save less than this share.
FAST_LEVEL, LEAST_SAVING = -1, 0.05
# So many values of a page tell which it is: Shannon's entropy of 256 kinds of bytes comes out
# 0.05 bits too small (Miller 1955, "Note on the bias of information estimates").
SAMPLED_VALUES = 4096
# n * log2(n) in steps of 2**-16, as integers: the choice never hangs on a processor's rounding.
ENTROPY_STEPS = 2**16
# A page holds whole lists, and no more than this many bytes if a list is not longer.
PAGE_BYTES = 2**20
# Numbers of the format, from parquet.thrift.
FORMAT_VERSION = 2
FLOAT, CONVERTED_LIST = 4, 3
REQUIRED, REPEATED = 0, 2
RLE, BYTE_STREAM_SPLIT = 3, 9
ZSTD = 6
DATA_PAGE = 0
# Numbers of Thrift's compact protocol.
I16, I32, I64, BINARY, LIST, STRUCT = 4, 5, 6, 8, 9, 12


class Sink(Protocol):
    """Where bytes go."""

    def write(self, content: Any) -> int:
        """Write bytes, or an object with their buffer."""
        ...

    def tell(self) -> int:
        """Return how many bytes were written."""
        ...


class FloatListWriter:
    """Write a Parquet file of lists of float32.

    Parameters
    ----------
    sink : Sink
        Where the file goes.
    schema : pyarrow.Schema
        Its columns, all of one type: a fixed-size list of float32; nothing nullable.

    Notes
    -----
    Memory holds the description of the pages written so far, some 80 bytes for each column of a
    row group.
    """

    def __init__(self, sink: Sink, schema: Any):
        import pyarrow as pa

        self._sink = sink
        self._schema = schema
        self._length = int(schema.field(0).type.list_size)
        if self._length * 4 >= 2**31:
            raise ValueError(f"lists of {self._length} values: a page has less than 2 GiB")
        self._codecs = {
            level: pa.Codec("zstd", compression_level=level)
            for level in (COMPRESSION_LEVEL, FAST_LEVEL)
        }
        self._names = [encode_text(name) for name in schema.names]
        self._groups: list[bytes] = []
        self._n_rows = 0
        sink.write(MAGIC)

    def write_group(self, columns: Sequence[np.ndarray]) -> None:
        """Write one row group.

        Parameters
        ----------
        columns : sequence of ndarray of float32
            The values of each column, list after list, contiguous.
        """
        begin = self._sink.tell()
        n_rows = len(columns[0]) // self._length
        per_page = max(1, PAGE_BYTES // (4 * self._length))
        pages = [
            _Page(min(per_page, n_rows - first), self._length, self._codecs)
            for first in sorted({0, (n_rows - 1) // per_page * per_page})
        ]
        chunks, total = [], 0
        for name, values in zip(self._names, columns, strict=True):
            place, size = self._sink.tell(), 0
            for first in range(0, n_rows, per_page):
                page = pages[0] if n_rows - first >= pages[0].n_rows else pages[-1]
                low = first * self._length
                header, content = page.encode(values[low : low + page.n_rows * self._length])
                self._sink.write(header)
                self._sink.write(content)
                size += len(header) + page.size
            stored = self._sink.tell() - place
            chunks.append(_chunk(name, n_rows * self._length, size, stored, place))
            total += size
        self._groups.append(
            struct(
                (1, LIST, listed(STRUCT, chunks)),
                (2, I64, zigzag(total)),
                (3, I64, zigzag(n_rows)),
                (5, I64, zigzag(begin)),
                (6, I64, zigzag(self._sink.tell() - begin)),
            )
        )
        self._n_rows += n_rows

    def close(self, metadata: dict[str, str]) -> None:
        """Write the footer.

        Parameters
        ----------
        metadata : dict
            Keys and values of the file.
        """
        arrow = base64.b64encode(self._schema.serialize().to_pybytes()).decode("ascii")
        pairs = {"ARROW:schema": arrow, **metadata}
        footer = struct(
            (1, I32, zigzag(FORMAT_VERSION)),
            (2, LIST, listed(STRUCT, _schema_elements(self._names))),
            (3, I64, zigzag(self._n_rows)),
            (4, LIST, listed(STRUCT, self._groups)),
            (
                5,
                LIST,
                listed(
                    STRUCT,
                    [
                        struct((1, BINARY, encode_text(key)), (2, BINARY, encode_text(value)))
                        for key, value in pairs.items()
                    ],
                ),
            ),
            (6, BINARY, encode_text(CREATED_BY)),
        )
        self._sink.write(footer + len(footer).to_bytes(4, "little") + MAGIC)


class _Page:
    """A data page of so many lists: its levels, and room for its values."""

    def __init__(self, n_rows: int, length: int, codecs: dict[int, Any]):
        self.n_rows = n_rows
        n_values = n_rows * length
        levels = levels_of(n_rows, length)
        self._content = np.empty(len(levels) + 4 * n_values, np.uint8)
        self._content[: len(levels)] = np.frombuffer(levels, np.uint8)
        self._streams = self._content[len(levels) :].reshape(4, n_values)
        self._codecs = codecs
        self.size = len(self._content)
        self._described = described_page(n_values)

    def encode(self, values: np.ndarray) -> tuple[bytes, Any]:
        """Return the header and the compressed content of a page of these values."""
        # Twice as fast as a copy of every fourth byte.
        whole = values.view("<u4")
        for index, stream in enumerate(self._streams):
            np.right_shift(whole, 8 * index, out=stream, dtype=np.uint32, casting="unsafe")
        level = FAST_LEVEL if _is_nearly_random(self._streams) else COMPRESSION_LEVEL
        content = self._codecs[level].compress(self._content)
        header = struct(
            (1, I32, zigzag(DATA_PAGE)),
            (2, I32, zigzag(self.size)),
            (3, I32, zigzag(len(content))),
            (4, I32, zigzag(_checksum(content))),
            (5, STRUCT, self._described),
        )
        return header, content


def levels_of(n_rows: int, length: int) -> bytes:
    """Return the levels of a page of so many lists of so many values.

    The first value of each list has repetition level 0, all others 1; all are there, which is
    definition level 1. Each kind of level stands behind its length in bytes.
    """
    repetition = (_run(1, 0) + (_run(length - 1, 1) if length > 1 else b"")) * n_rows
    if length == 1:
        repetition = _run(n_rows, 0)
    definition = _run(n_rows * length, 1)
    return b"".join(len(level).to_bytes(4, "little") + level for level in (repetition, definition))


def described_page(n_values: int) -> bytes:
    """Return the ``DataPageHeader`` of a page of so many values."""
    return struct(
        (1, I32, zigzag(n_values)),
        (2, I32, zigzag(BYTE_STREAM_SPLIT)),
        (3, I32, zigzag(RLE)),
        (4, I32, zigzag(RLE)),
    )


def _checksum(content: Any) -> int:
    """Return the CRC-32 of a page as it is stored, in the signed number that Parquet has for it.

    The CRC is that of gzip, over the compressed bytes without the header (parquet.thrift,
    ``PageHeader.crc``). It vouches for pages that are read without the rest of the file.
    """
    crc = crc32()(content)
    return crc - 2**32 if crc >= 2**31 else crc


@functools.cache
def crc32() -> Callable[..., int]:
    """Return the fastest function for the same number: zlib's takes 5 % of a conversion."""
    try:
        from isal.isal_zlib import crc32 as fastest
    except ImportError:
        return zlib.crc32
    return fastest


@functools.cache
def _weights() -> np.ndarray:
    """Return n * log2(n) for n up to `SAMPLED_VALUES`, in `ENTROPY_STEPS`."""
    counts = np.arange(SAMPLED_VALUES + 1)
    return np.rint(counts * np.log2(np.maximum(counts, 1)) * ENTROPY_STEPS).astype(np.int64)


def _is_nearly_random(streams: np.ndarray) -> bool:
    """Tell whether coding the bytes of the mantissas by their frequency would save little.

    Parameters
    ----------
    streams : ndarray of uint8, shape (4, n_values)
        The bytes of little-endian floats; the last row holds signs and exponents.
    """
    sample = streams[:3, :: -(-streams.shape[1] // SAMPLED_VALUES)]
    n_values = sample.shape[1]
    weights = _weights()
    # Bits that Shannon's entropy needs: n log2 n - sum of c log2 c over the counts c.
    needed = sum(
        int(weights[n_values]) - int(weights[np.bincount(row, minlength=256)].sum())
        for row in sample
    )
    saved = 3 * 8 * n_values * ENTROPY_STEPS - needed
    return saved < LEAST_SAVING * 4 * 8 * n_values * ENTROPY_STEPS


def _run(count: int, level: int) -> bytes:
    """Return a run of equal levels of one bit in the RLE/bit-packing hybrid encoding."""
    return varint(count << 1) + bytes([level])


def _chunk(name: bytes, n_values: int, size: int, stored: int, place: int) -> bytes:
    """Return the description of a column chunk."""
    path = [name, encode_text("list"), encode_text("element")]
    metadata = struct(
        (1, I32, zigzag(FLOAT)),
        (2, LIST, listed(I32, [zigzag(RLE), zigzag(BYTE_STREAM_SPLIT)])),
        (3, LIST, listed(BINARY, path)),
        (4, I32, zigzag(ZSTD)),
        (5, I64, zigzag(n_values)),
        (6, I64, zigzag(size)),
        (7, I64, zigzag(stored)),
        (9, I64, zigzag(place)),
    )
    return struct((2, I64, zigzag(0)), (3, STRUCT, metadata))


def _schema_elements(names: list[bytes]) -> list[bytes]:
    """Return the tree of the schema: for each column a list of one required float."""
    elements = [
        struct(
            (3, I32, zigzag(REQUIRED)),
            (4, BINARY, encode_text("schema")),
            (5, I32, zigzag(len(names))),
        )
    ]
    list_type = struct((3, STRUCT, struct()))
    for name in names:
        elements += [
            struct(
                (3, I32, zigzag(REQUIRED)),
                (4, BINARY, name),
                (5, I32, zigzag(1)),
                (6, I32, zigzag(CONVERTED_LIST)),
                (10, STRUCT, list_type),
            ),
            struct(
                (3, I32, zigzag(REPEATED)),
                (4, BINARY, encode_text("list")),
                (5, I32, zigzag(1)),
            ),
            struct(
                (1, I32, zigzag(FLOAT)),
                (3, I32, zigzag(REQUIRED)),
                (4, BINARY, encode_text("element")),
            ),
        ]
    return elements


def varint(number: int) -> bytes:
    """Return a number of zero or more in base 128, the lowest digits first."""
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def zigzag(number: int) -> bytes:
    """Return a signed number as Thrift's compact protocol writes it."""
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)


def encode_text(text: str) -> bytes:
    """Return a text behind its length in bytes."""
    content = text.encode("utf-8")
    return varint(len(content)) + content


def listed(kind: int, items: list[bytes]) -> bytes:
    """Return a list of encoded items of one kind."""
    count = len(items)
    head = bytes([count << 4 | kind]) if count < 15 else bytes([0xF0 | kind]) + varint(count)
    return head + b"".join(items)


def struct(*fields: tuple[int, int, bytes]) -> bytes:
    """Return a structure; each field is its number (rising), its kind and its encoded value."""
    parts, last = [], 0
    for number, kind, value in fields:
        # The difference to the last number fits into half a byte in all structures here.
        parts += [bytes([(number - last) << 4 | kind]), value]
        last = number
    return b"".join([*parts, b"\0"])
