"""Types of values in Octave's own files, text and binary (`save -text`, `save -binary`).

The layout of both was read off files that Octave 7.3 writes. Numbers become arrays of two or
more dimensions, texts `str`, cells lists in column-major order, a struct a dict, and an array of
structs a list of dicts: the same as from the other formats of `matrix_files`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.bids.readers.sparse_matrices import MOST_BYTES, dense

INTEGERS = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
DOUBLE = np.dtype("f8")
# Cells in cells in structs; deeper ones are damage.
DEPTH = 32


class UnknownType(ValueError):
    """A value of a type that has no numbers and no text in it, as an object."""


def number_type(kind: str) -> np.dtype | None:
    """Return the type of numbers that a type of Octave has, by its name; None if it has none."""
    first = kind.split(" ", maxsplit=1)[0]
    if first in INTEGERS:
        return np.dtype(first)
    if first == "bool":
        return np.dtype(bool)
    is_complex = "complex" in kind
    if first == "float":
        return np.dtype("c8" if is_complex else "f4")
    known = ("scalar", "matrix", "complex", "null_matrix", "diagonal", "sparse")
    return np.dtype("c16" if is_complex else "f8") if first in known else None


def is_scalar(kind: str) -> bool:
    """Return whether a type of numbers holds one of them."""
    return kind.endswith("scalar") or kind in ("bool", "complex", "float complex")


def range_values(base: float, limit: float, increment: float) -> np.ndarray:
    """Return the numbers of a range, which is stored by its ends and its step."""
    if not increment:
        return np.zeros((1, 0))
    # One more than fits by rounding alone is part of it.
    count = max(int(np.floor((limit - base) / increment * (1 + 2**-50) + 1e-10)) + 1, 0)
    if count * DOUBLE.itemsize > MOST_BYTES:
        raise ValueError(f"a range has {count} numbers")
    return (base + increment * np.arange(count)).reshape(1, -1)


def records(fields: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Return an array of structs as a list of dicts, from one list of values per field.

    Structs without fields hold nothing, whatever number of them a file claims.
    """
    if not fields:
        return []
    if any(not isinstance(column, list) or len(column) != count for column in fields.values()):
        raise ValueError("the fields of an array of structs differ in length")
    return [{name: column[row] for name, column in fields.items()} for row in range(count)]


def dense_diagonal(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return a matrix that is zero beside its diagonal."""
    places = np.arange(values.size)
    return dense(places, places, values, shape)
