"""Text files of Octave (`save -text`)."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from bidsmill.bids.readers.sparse_matrices import dense
from bidsmill.simulate.variables.octave_types import (
    DEPTH,
    DOUBLE,
    UnknownType,
    dense_diagonal,
    is_scalar,
    number_type,
    range_values,
    records,
)

TEXT_MARKS = (b"# Created by Octave", b"% Created by Octave", b"# name:", b"# type:")
# A line that is no number begins with one of these.
HEADER = re.compile(rb"\n[#%]")
# Complex numbers are written as (real,imaginary).
PUNCTUATION = bytes.maketrans(b"(),", b"   ")


def read_octave_text(content: bytes) -> dict[str, Any]:
    """Read the variables of a text file of Octave.

    Parameters
    ----------
    content : bytes
        The file.

    Returns
    -------
    dict
        Value of each variable; None where its type has neither numbers nor text.

    Raises
    ------
    ValueError
        If the file is damaged.
    """
    return _Text(content.replace(b"\r\n", b"\n")).variables()


class _Text:
    """A place in a text file of Octave."""

    def __init__(self, content: bytes):
        self.content, self.place = content, 0

    def variables(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (name := self.find_name()) is not None:
            try:
                found[name] = self.value(0)
            except UnknownType:
                found[name] = None
        return found

    def find_name(self) -> str | None:
        """Go behind the next line that names a variable."""
        while self.place < len(self.content):
            line = self.line()
            if line[:1] in ("#", "%") and line[1:].lstrip().startswith("name:"):
                return line.partition("name:")[2].strip()
        return None

    def line(self) -> str:
        end = self.content.find(b"\n", self.place)
        end = len(self.content) if end < 0 else end
        line = self.content[self.place : end].decode("utf-8", "replace")
        self.place = end + 1
        return line

    def header(self, *keys: str) -> tuple[str, str]:
        """Read a line ``# key: value``, which is one of `keys`."""
        line = ""
        while not line.strip() and self.place < len(self.content):
            line = self.line()
        key, colon, value = line.lstrip("#% ").partition(":")
        if line[:1] not in ("#", "%") or not colon or key.strip() not in keys:
            raise ValueError(f"'# {keys[0]}:' was expected, not {line[:60]!r}")
        return key.strip(), value.strip()

    def count(self, key: str) -> int:
        return int(self.header(key)[1])

    def value(self, depth: int) -> Any:
        if depth > DEPTH:
            raise ValueError("cells within cells within cells")
        kind = self.header("type")[1].removeprefix("global ")
        if kind == "cell":
            size = math.prod(self.shape())
            return [self.named(depth)[1] for _ in range(size)]
        if kind in ("struct", "scalar struct"):
            return self.struct(kind, depth)
        if kind.endswith("string"):
            return self.text()
        if kind in ("range", "double_range"):
            self.line()
            return range_values(*self.numbers(3))
        if kind == "function handle":
            return self.function(depth)
        dtype = number_type(kind)
        if dtype is None:
            raise UnknownType(kind)
        return self.array(kind, dtype)

    def named(self, depth: int) -> tuple[str, Any]:
        name = self.header("name")[1]
        return name, self.value(depth + 1)

    def shape(self) -> tuple[int, ...]:
        key, value = self.header("rows", "ndims")
        if key == "rows":
            return int(value), self.count("columns")
        lengths = tuple(int(part) for part in self.line().split())
        if len(lengths) != int(value) or min(lengths, default=-1) < 0:
            raise ValueError("the dimensions of an array are damaged")
        return lengths

    def struct(self, kind: str, depth: int) -> Any:
        key, value = self.header("ndims", "length")
        rows = 1
        if key == "ndims":
            rows = math.prod(int(part) for part in self.line().split())
            value = self.header("length")[1]
        fields = dict(self.named(depth) for _ in range(int(value)))
        return fields if kind == "scalar struct" else records(fields, rows)

    def function(self, depth: int) -> None:
        """Go behind a function, which may have variables with names of their own in it."""
        while self.place < len(self.content) and (line := self.line()).strip():
            if line.startswith("# length:"):
                for _ in range(int(line.partition(":")[2])):
                    self.named(depth)
                return

    def text(self) -> str | list[str]:
        rows = []
        for _ in range(self.count("elements")):
            length = self.count("length")
            # Taken by its length: a text may have ends of lines in it.
            rows.append(self.content[self.place : self.place + length].decode("utf-8", "replace"))
            if length < 0 or self.place + length > len(self.content):
                raise ValueError("the file ends within a text")
            self.place += length + 1
        return rows if len(rows) > 1 else "".join(rows)

    def array(self, kind: str, dtype: np.dtype) -> np.ndarray | None:
        if is_scalar(kind):
            return self.numbers(1, dtype).reshape(1, 1)
        if kind.startswith("sparse"):
            return self.sparse(dtype.kind == "c")
        at = self.place
        by_rows = self.header("rows", "ndims")[0] == "rows"
        self.place = at
        shape = self.shape()
        if "diagonal" in kind:
            return dense_diagonal(self.numbers(min(shape), dtype), shape)
        values = self.numbers(math.prod(shape), dtype)
        return values.reshape(shape, order="C" if by_rows else "F")

    def sparse(self, is_complex: bool) -> np.ndarray | None:
        """Read rows, columns (from 1) and values."""
        entries, shape = self.count("nnz"), self.shape()
        width = 4 if is_complex else 3
        chunk = self.chunk().translate(PUNCTUATION)
        table = _parsed(chunk, width * entries).reshape(entries, width)
        rows, columns = table[:, 0].astype(int) - 1, table[:, 1].astype(int) - 1
        values = table[:, 2] + 1j * table[:, 3] if is_complex else table[:, 2]
        return dense(rows, columns, values, shape)

    def chunk(self) -> bytes:
        """Return what stands before the next header, and go there."""
        start = self.place
        header = HEADER.search(self.content, max(start - 1, 0))
        # The end of the line before it has been read.
        self.place = len(self.content) if header is None else max(header.start(), start)
        return self.content[start : self.place]

    def numbers(self, count: int, dtype: np.dtype = DOUBLE) -> np.ndarray:
        """Read numbers up to the next header, exactly `count` of them."""
        chunk = self.chunk()
        if dtype.kind == "c":
            pairs = _parsed(chunk.translate(PUNCTUATION), 2 * count)
            return pairs.view(np.complex128).astype(dtype)
        if dtype.itemsize == 8 and dtype.kind in "iu":
            # A double does not hold all of these.
            values = np.array(chunk.split(), dtype=dtype)
            return _all_of(values, count)
        return _parsed(chunk, count).astype(dtype)


def _parsed(chunk: bytes, count: int) -> np.ndarray:
    if b"NA" in chunk:
        # Octave's missing value is a NaN.
        chunk = re.sub(rb"\bNA\b", b"NaN", chunk)
    # strtod, without an object for each number: N-d arrays have tens of millions.
    return _all_of(np.fromstring(chunk, sep=" ") if chunk.strip() else np.empty(0), count)


def _all_of(values: np.ndarray, count: int) -> np.ndarray:
    if values.size != count:
        raise ValueError(f"{count} numbers were expected, {values.size} found")
    return values
