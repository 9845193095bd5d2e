"""MATLAB files of version 5 to 7 (MAT-file Level 5), read field by field.

SciPy's reader converts a whole struct before anything of it can be looked at, holds its samples
twice while it does so, and ends the process where bytes of it are damaged. Here a struct is a
table of places; what is asked for is read, every length is checked before it is believed, and
samples that are not compressed stay in their file. The format is described by The MathWorks,
"MAT-File Format", chapter 1 (R2024a).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.readers.matlab_values import LARGE, LargeArray, Struct

HEADER_BYTES = 128
# Data types of elements ("MAT-File Data Types").
NUMBERS = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"},
    **{7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
MATRIX, COMPRESSED = 14, 15
# Classes of arrays ("MATLAB Array Types"): cell, struct, object, char, and numbers from double on.
CELL, STRUCT, OBJECT, CHAR = 1, 2, 3, 4
NUMERIC = range(6, 16)
# Variables of more bytes are not read as a whole.
WHOLE_BYTES = 32 * 2**20
# Bytes of a file that are read at once, where it is not read as a whole.
AHEAD_BYTES = 2**16
# Bytes that hold flags, dimensions and name of a variable.
HEAD_BYTES = 1024
# Deflate makes at most 1032 bytes of one (zlib technical details, "Maximum Compression Factor").
MOST_PACKED = 1032
# Cells in cells; deeper ones are no header of EEGLAB.
DEPTH = 8


class Source:
    """Bytes of a variable: in memory, or in a file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    order : str
        ``<`` or ``>``: the order of bytes.
    content : bytes, optional
        The bytes, if they are in memory.
    base : int
        Byte of the file at which the first one stands; -1 if they are compressed there.
    """

    def __init__(self, path: Path, order: str, content: bytes | None = None, base: int = 0):
        self.path, self.order, self.content, self.base = path, order, content, base
        self._ahead, self._ahead_at = b"", 0

    def take(self, start: int, count: int) -> bytes:
        """Return bytes, all of them."""
        if self.content is not None:
            found = self.content[start : start + count]
        else:
            at = start - self._ahead_at
            if at < 0 or at + count > len(self._ahead):
                with open(self.path, "rb") as file:
                    self._ahead = os.pread(file.fileno(), max(count, AHEAD_BYTES), start)
                self._ahead_at, at = start, 0
            found = self._ahead[at : at + count]
        if len(found) != count or count < 0:
            raise ValueError(f"the file ends within an element of {count} bytes")
        return found


@dataclass(frozen=True)
class Element:
    """An element: its data type, and where its data stand."""

    source: Source
    kind: int
    start: int
    count: int
    after: int


def read_element(source: Source, place: int, end: int) -> Element:
    """Read the tag of an element ("Data Elements")."""
    if place + 8 > end:
        raise ValueError("an element stands outside of what holds it")
    word, count = struct.unpack(source.order + "II", source.take(place, 8))
    if word >> 16:
        kind, count, start, after = word & 0xFFFF, word >> 16, place + 4, place + 8
        if count > 4:
            raise ValueError("a small element has more than four bytes")
    else:
        kind, start = word, place + 8
        after = start + count + (0 if kind == COMPRESSED else -count % 8)
    if start + count > end:
        raise ValueError("an element is longer than what holds it")
    return Element(source, kind, start, count, min(after, end))


@dataclass(frozen=True)
class Array:
    """The head of an array: its class, its dimensions, its name, and where the rest begins."""

    kind: int
    shape: tuple[int, ...]
    name: str
    is_complex: bool
    element: Element
    place: int

    @property
    def size(self) -> int:
        """Number of elements; exact, whatever the dimensions say."""
        size = 1
        for length in self.shape:
            size *= length
        return size

    def parts(self) -> Iterator[Element]:
        """Yield the elements that follow the head."""
        place, end = self.place, self.element.start + self.element.count
        while place < end:
            part = read_element(self.element.source, place, end)
            yield part
            place = part.after


def read_array(element: Element) -> Array:
    """Read the head of an array ("Array Flags", "Dimensions Array", "Array Name")."""
    if element.kind != MATRIX:
        raise ValueError(f"an array was expected, not an element of type {element.kind}")
    source, end = element.source, element.start + element.count
    if element.count == 0:
        return Array(6, (0, 0), "", False, element, end)
    flags = read_element(source, element.start, end)
    dimensions = read_element(source, flags.after, end)
    name = read_element(source, dimensions.after, end)
    if flags.count != 8 or not 8 <= dimensions.count <= 128 or name.count > HEAD_BYTES:
        raise ValueError("the head of an array is damaged")
    word = struct.unpack(source.order + "II", source.take(flags.start, 8))[0]
    shape = np.frombuffer(source.take(dimensions.start, dimensions.count), source.order + "i4")
    if (shape < 0).any():
        raise ValueError("an array has a negative dimension")
    text = source.take(name.start, name.count).decode("latin-1")
    lengths = tuple(int(length) for length in shape)
    return Array(word & 0xFF, lengths, text, bool(word & 0x0800), element, name.after)


def read_level5(
    path: Path, names: Collection[str], wanted: Collection[str]
) -> dict[str, list[Struct]]:
    """Read structs of a file; see `matlab_files.read_structs`."""
    found: dict[str, Element] = {}
    for name, element in _variables(path):
        if name in names or name in wanted:
            found.setdefault(name, element)
    chosen = {name: _structs(found[name]) for name in names if name in found}
    if chosen:
        return chosen
    fields = {name: element for name, element in found.items() if name in wanted}
    return {"": [Struct(fields, _convert, _structs)]}


def byte_order(path: Path) -> str:
    """Return the order of bytes that the head of a file states, ``<`` or ``>``."""
    with open(path, "rb") as file:
        order = {b"IM": "<", b"MI": ">"}.get(file.read(HEADER_BYTES)[126:128])
    if order is None:
        raise ValueError("the bytes that every MATLAB file has are not there")
    return order


def _variables(path: Path) -> Iterator[tuple[str, Element]]:
    """Yield name and content of each variable of a file."""
    size = path.stat().st_size
    whole = Source(path, byte_order(path))
    place = HEADER_BYTES
    while place < size:
        element = read_element(whole, place, size)
        place = element.after
        if element.kind == COMPRESSED:
            yield compressed_head(element).name, element
        elif element.kind == MATRIX:
            if element.count <= WHOLE_BYTES:
                # From its tag on: 8 bytes before the data.
                content = whole.take(element.start - 8, element.count + 8)
                source = Source(path, whole.order, content, element.start - 8)
                element = read_element(source, 0, len(content))
            yield read_array(element).name, element


def compressed_head(element: Element) -> Array:
    """Return the head of a compressed variable; the rest is not decompressed."""
    packed = element.source.take(element.start, min(element.count, HEAD_BYTES))
    content = zlib.decompressobj().decompress(packed, HEAD_BYTES)
    # The tag states the length of all, of which only the beginning is here.
    inner = content[:4] + struct.pack(element.source.order + "I", len(content) - 8) + content[8:]
    source = Source(element.source.path, element.source.order, inner, -1)
    return read_array(read_element(source, 0, len(inner)))


def _opened(element: Element) -> Array:
    """Return an array, decompressed if it is compressed."""
    if element.kind != COMPRESSED:
        return read_array(element)
    source = element.source
    packed = source.take(element.start, element.count)
    head = zlib.decompressobj().decompress(packed, 8)
    if len(head) < 8:
        raise ValueError("a compressed variable is empty")
    size = 8 + struct.unpack(source.order + "II", head)[1]
    if size > MOST_PACKED * (len(packed) + 1):
        raise ValueError("a variable is longer than its compressed bytes can be")
    # With the length known, the buffer is not enlarged, and copied, again and again.
    content = zlib.decompress(packed, bufsize=size)
    return read_array(read_element(Source(source.path, source.order, content, -1), 0, len(content)))


def _structs(element: Element) -> list[Struct]:
    """Return the elements of an array of structs, or of a cell that holds some."""
    array = _opened(element)
    if array.kind == CELL:
        return [found for part in array.parts() for found in _structs(part)]
    if array.kind not in (STRUCT, OBJECT):
        return []
    return [Struct(fields, _convert, _structs) for fields in struct_rows(array)]


def struct_rows(array: Array) -> Iterator[dict[str, Element]]:
    """Yield the fields of each element of an array of structs."""
    parts = array.parts()
    if array.kind == OBJECT:
        next(parts, None)
    length, labels = next(parts), next(parts)
    source = array.element.source
    width = int.from_bytes(source.take(length.start, 4), "little" if source.order == "<" else "big")
    if length.count != 4 or not 0 < width <= HEAD_BYTES or labels.count % width:
        raise ValueError("the field names of a struct are damaged")
    text = source.take(labels.start, labels.count)
    names = [
        text[at : at + width].split(b"\0")[0].decode("latin-1") for at in range(0, len(text), width)
    ]
    # Every field takes a tag of 8 bytes at least.
    if array.size * len(names) * 8 > array.element.count:
        raise ValueError("a struct has more elements than bytes")
    for _ in range(array.size if names else 0):
        row = dict(zip(names, parts, strict=False))
        if len(row) < len(names):
            raise ValueError("a struct ends within an element")
        yield row


def _convert(element: Any, keys: Collection[str] = (), depth: int = 0) -> Any:
    """Convert an array to plain Python; of structs, only the fields `keys`."""
    compressed = element.kind == COMPRESSED
    array = compressed_head(element) if compressed else read_array(element)
    if array.kind in NUMERIC and array.size > LARGE:
        return _large(element, array)
    array = _opened(element) if compressed else array
    if array.kind in NUMERIC:
        return _numbers(array)
    if array.kind == CHAR:
        return _text(array)
    if depth > DEPTH:
        raise ValueError("cells within cells within cells")
    if array.kind == CELL:
        return [_convert(part, keys, depth + 1) for part in array.parts()]
    if array.kind == STRUCT:
        return [
            {name: _convert(row[name], keys, depth + 1) for name in row if name in keys}
            for row in struct_rows(array)
        ]
    return None


def _real(array: Array) -> tuple[Element, np.dtype]:
    """Return the element with the (real) numbers of an array, and their type."""
    real = next(array.parts(), None)
    if real is None and array.size == 0:
        real = Element(array.element.source, 9, array.place, 0, array.place)
    if real is None or real.kind not in NUMBERS or array.is_complex:
        raise ValueError("an array has no real numbers")
    dtype = np.dtype(array.element.source.order + NUMBERS[real.kind])
    if array.size * dtype.itemsize != real.count:
        raise ValueError("an array has another number of elements than its dimensions say")
    return real, dtype


def _numbers(array: Array) -> np.ndarray:
    real, dtype = _real(array)
    source = real.source
    if source.content is not None:
        # A view: what was decompressed is not copied.
        values = np.frombuffer(source.content, dtype, array.size, real.start)
    else:
        values = np.frombuffer(source.take(real.start, real.count), dtype)
    return values.reshape(array.shape, order="F")


def _large(element: Element, array: Array) -> LargeArray:
    """Return an array that is read when it is asked for, or block by block."""
    if element.kind == COMPRESSED:
        return LargeArray(array.shape, lambda: _numbers(_opened(element)))
    real, dtype = _real(array)
    if real.source.base < 0:
        return LargeArray(array.shape, lambda: _numbers(array))
    offset = real.source.base + real.start
    return LargeArray(array.shape, lambda: _numbers(array), offset=offset, dtype=dtype)


def _text(array: Array) -> str:
    stored = next(array.parts(), None)
    if stored is None or stored.count == 0:
        return ""
    text = letters_of(stored)
    # Of several rows, which stand column by column, the first.
    return text[:: array.shape[0]] if array.shape[0] > 1 else text


def letters_of(stored: Element) -> str:
    """Return the letters of an element in the order in which they are stored."""
    if stored.kind not in TEXTS:
        raise ValueError("a text is not made of characters")
    encoding = TEXTS[stored.kind]
    if encoding in ("utf-16", "utf-32"):
        encoding += "-le" if stored.source.order == "<" else "-be"
    return stored.source.take(stored.start, stored.count).decode(encoding, "replace")
