"""Binary files of Octave (`save -binary`)."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

from bidsmill.bids.readers.sparse_matrices import columns_of, dense
from bidsmill.simulate.variables.octave_types import (
    DEPTH,
    dense_diagonal,
    is_scalar,
    number_type,
    range_values,
    records,
)

BINARY_MARKS = {b"Octave-1-L": "<", b"Octave-1-B": ">"}
# Numbers are stored in the smallest type that holds them; the types by their number in the file.
STORED = ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8", "u8", "i8")
# Types of the oldest files, which have a number in place of a name.
NUMBERED = {1: "scalar", 2: "matrix", 3: "complex scalar", 4: "complex matrix", 7: "string"}


def read_octave_binary(content: bytes) -> dict[str, Any]:
    """Read the variables of a binary file of Octave.

    Parameters
    ----------
    content : bytes
        The file.

    Returns
    -------
    dict
        Value of each variable.

    Raises
    ------
    ValueError
        If the file is damaged, or a variable has a type that cannot be passed over.
    """
    source = _Binary(content, BINARY_MARKS[content[:10]])
    found = {}
    while source.place < len(content):
        name, value = source.named(0)
        found[name] = value
    return found


class _Binary:
    """A place in a binary file of Octave."""

    def __init__(self, content: bytes, order: str):
        # Behind the mark stands one byte for the format of floating-point numbers.
        self.content, self.order, self.place = content, order, 11

    def take(self, count: int) -> bytes:
        part = self.content[self.place : self.place + count]
        if count < 0 or len(part) != count:
            raise ValueError("the file ends within a value")
        self.place += count
        return part

    def integer(self) -> int:
        return int(struct.unpack(self.order + "i", self.take(4))[0])

    def array(self, code: str, count: int) -> np.ndarray:
        dtype = np.dtype(self.order + code)
        return np.frombuffer(self.take(count * dtype.itemsize), dtype).astype(
            dtype.newbyteorder("=")
        )

    def stored(self, count: int) -> np.ndarray:
        """Read numbers in the type that the file says."""
        code = self.take(1)[0]
        if code >= len(STORED):
            raise ValueError(f"numbers of the unknown type {code}")
        return self.array(STORED[code], count)

    def shape(self) -> tuple[int, ...]:
        """Read dimensions: the negative of their number, then each; or rows and columns."""
        first = self.integer()
        rank = -first if first < 0 else 2
        lengths = tuple(self.integer() for _ in range(rank if first < 0 else 1))
        lengths = lengths if first < 0 else (first, *lengths)
        if min(lengths) < 0 or rank > DEPTH:
            raise ValueError("the dimensions of an array are damaged")
        return lengths

    def named(self, depth: int) -> tuple[str, Any]:
        name = self.take(self.integer()).decode("utf-8", "replace")
        self.take(self.integer())
        self.take(1)
        code = self.take(1)[0]
        kind = self.take(self.integer()).decode("latin-1") if code == 255 else NUMBERED.get(code)
        if kind is None or depth > DEPTH:
            raise ValueError(f"the variable {name!r} has the unknown type {code}")
        return name, self.value(kind, depth)

    def value(self, kind: str, depth: int) -> Any:
        if kind == "cell":
            return [self.named(depth + 1)[1] for _ in range(math.prod(self.shape()))]
        if kind == "struct":
            rows = math.prod(self.shape())
            return records(self.fields(depth), rows)
        if kind == "scalar struct":
            return self.fields(depth)
        if kind.endswith("string"):
            return self.text()
        if kind in ("range", "double_range"):
            self.take(1)
            return range_values(*self.array("f8", 3))
        dtype = number_type(kind)
        if dtype is None:
            raise ValueError(f"a variable has the type {kind!r}, which cannot be read")
        return self.numbers(kind, dtype)

    def fields(self, depth: int) -> dict[str, Any]:
        return dict(self.named(depth + 1) for _ in range(self.integer()))

    def text(self) -> str | list[str]:
        start = self.place
        if self.integer() >= 0:
            # Files before Octave 2.1.50: one row after the other.
            self.place = start
            rows = [self.take(self.integer()) for _ in range(self.integer())]
        else:
            self.place = start
            height, width = self.shape()
            columns = self.take(height * width)
            rows = [columns[row::height] for row in range(height if width else 0)]
        texts = [row.decode("utf-8", "replace") for row in rows]
        return texts if len(texts) > 1 else "".join(texts)

    def numbers(self, kind: str, dtype: np.dtype) -> np.ndarray | None:
        if "diagonal" in kind:
            lengths = (self.integer(), self.integer())
            count = min(lengths)
            values = self.complex_numbers(count) if dtype.kind == "c" else self.stored(count)
            return dense_diagonal(values.astype(dtype), lengths)
        if kind.startswith("sparse"):
            return self.sparse(kind)
        shape = (1, 1) if is_scalar(kind) else self.shape()
        size = math.prod(shape)
        if dtype.kind in "iub":
            values = self.array(dtype.str[1:].replace("b1", "u1"), size)
        elif dtype.kind == "c":
            values = self.complex_numbers(size)
        else:
            values = self.stored(size)
        return values.astype(dtype).reshape(shape, order="F")

    def complex_numbers(self, count: int) -> np.ndarray:
        return self.stored(2 * count).astype("f8").view("c16")

    def sparse(self, kind: str) -> np.ndarray | None:
        shape, entries = self.shape(), self.integer()
        starts, rows = self.array("i4", shape[1] + 1), self.array("i4", entries)
        if "bool" in kind:
            values = self.array("u1", entries).astype("f8")
        elif "complex" in kind:
            values = self.complex_numbers(entries)
        else:
            values = self.stored(entries).astype("f8")
        return dense(rows, columns_of(starts, entries), values, shape)
