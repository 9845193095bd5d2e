"""All variables of a MATLAB file of version 5 to 7, whole.

For matrix files in general, where `matlab5` reads what a header of EEGLAB is made of. Every length
is checked before it is believed, as there: SciPy's reader ends the process on some damaged files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.readers.matlab5 import (
    CELL,
    CHAR,
    COMPRESSED,
    DEPTH,
    HEADER_BYTES,
    MATRIX,
    NUMBERS,
    NUMERIC,
    STRUCT,
    Array,
    Element,
    Source,
    byte_order,
    compressed_head,
    letters_of,
    read_array,
    read_element,
    struct_rows,
)
from bidsmill.bids.readers.sparse_matrices import columns_of, dense

SPARSE, OPAQUE = 5, 17
# Types of the classes from double on ("MATLAB Array Types"); numbers may be stored in smaller ones.
CLASSES = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")


def read_variables_level5(path: Path, names: Collection[str] | None = None) -> dict[str, Any]:
    """Read the variables of a file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    names : collection of str, optional
        Only these; the others are not decompressed.

    Returns
    -------
    dict
        Arrays in MATLAB's shape and type, texts (a list where there are several rows), cells as
        lists in column-major order, structs as dicts and arrays of structs as lists of dicts;
        None for anything else. Variables of MATLAB's newer classes (string, table) are left out.

    Raises
    ------
    ValueError, zlib.error
        If the file is damaged.
    """
    size = path.stat().st_size
    whole, place = Source(path, byte_order(path)), HEADER_BYTES
    found: dict[str, Any] = {}
    while place < size:
        element = read_element(whole, place, size)
        place = element.after
        if element.kind not in (COMPRESSED, MATRIX) or _class(element) == OPAQUE:
            continue
        name = (compressed_head if element.kind == COMPRESSED else read_array)(element).name
        # Without a name: what MATLAB keeps about its newer classes.
        if name and (names is None or name in names):
            found[name] = _value(_whole(element), 0)
    return found


def _whole(element: Element) -> Array:
    """Return a variable, decompressed if it is compressed."""
    if element.kind != COMPRESSED:
        return read_array(element)
    packed = element.source.take(element.start, element.count)
    content = zlib.decompress(packed)
    if len(content) < 8:
        raise ValueError("a compressed variable is empty")
    # Octave states a length for texts of several rows that is not the one that it writes.
    order = element.source.order
    content = content[:4] + struct.pack(order + "I", len(content) - 8) + content[8:]
    return read_array(
        read_element(Source(element.source.path, order, content, -1), 0, len(content))
    )


def _class(element: Element) -> int:
    """Return the class of a variable, which stands behind one tag, or two."""
    if element.kind == COMPRESSED:
        packed = element.source.take(element.start, min(element.count, 1024))
        flags = zlib.decompressobj().decompress(packed, 24)[16:20]
    else:
        flags = element.source.take(element.start, min(element.count, 16))[8:12]
    return struct.unpack(element.source.order + "I", flags)[0] & 0xFF if len(flags) == 4 else 0


def _value(array: Array, depth: int) -> Any:
    if depth > DEPTH:
        raise ValueError("cells within cells within cells")
    if array.kind in NUMERIC:
        return _numbers(array)
    if array.kind == SPARSE:
        return _sparse(array)
    if array.kind == CHAR:
        return _text(array)
    if array.kind == CELL:
        return [_value(read_array(part), depth + 1) for part in array.parts()]
    if array.kind != STRUCT:
        return None
    rows = [
        {name: _value(read_array(field), depth + 1) for name, field in row.items()}
        for row in struct_rows(array)
    ]
    return rows[0] if len(rows) == 1 else rows


def _stored(part: Element) -> np.ndarray:
    """Return the numbers of an element, in the type in which they are stored."""
    if part.kind not in NUMBERS:
        raise ValueError("an element has no numbers")
    dtype = np.dtype(part.source.order + NUMBERS[part.kind])
    if part.count % dtype.itemsize:
        raise ValueError("an element ends within a number")
    return np.frombuffer(part.source.take(part.start, part.count), dtype)


def _numbers(array: Array) -> np.ndarray:
    parts = [_stored(part) for part in array.parts()]
    wanted = 2 if array.is_complex else 1
    if array.size == 0:
        parts = parts or [np.empty(0)] * wanted
    if len(parts) < wanted or any(len(part) != array.size for part in parts[:wanted]):
        raise ValueError("an array has another number of elements than its dimensions say")
    if array.is_complex:
        return (parts[0] + 1j * parts[1]).reshape(array.shape, order="F")
    values = parts[0].astype(CLASSES[array.kind - NUMERIC[0]])
    return values.reshape(array.shape, order="F")


def _sparse(array: Array) -> np.ndarray | None:
    """Return a sparse matrix as a full one: row of each entry, where columns begin, values."""
    parts = [_stored(part) for part in array.parts()]
    if len(parts) < (4 if array.is_complex else 3) or len(array.shape) != 2:
        raise ValueError("a sparse matrix has no numbers")
    rows, starts, values = parts[:3]
    if array.is_complex:
        values = values[: len(parts[3])] + 1j * parts[3][: len(values)]
    if len(starts) != array.shape[1] + 1:
        raise ValueError("the columns of a sparse matrix are damaged")
    # There may be room for more entries than there are.
    entries = int(starts[-1])
    rows, values = rows[: max(entries, 0)], values[: max(entries, 0)]
    if len(rows) != entries or len(values) != entries:
        raise ValueError("a sparse matrix ends within its entries")
    columns = columns_of(starts, entries)
    kind = np.complex128 if array.is_complex else np.float64
    return dense(rows, columns, values.astype(kind), array.shape)


def _text(array: Array) -> str | list[str]:
    part = next(array.parts(), None)
    if part is None or part.count == 0 or array.size == 0:
        return ""
    if array.size > part.count:
        raise ValueError("a text is not made of characters")
    text = letters_of(part)
    # Rows stand column by column.
    rows = array.shape[0]
    return text if rows == 1 else [text[row::rows] for row in range(rows)]
