"""Values of MATLAB files as plain Python: texts, arrays, lists of records."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

# Numeric arrays of more elements are not read before they are asked for.
LARGE = 2**16


@dataclass
class LargeArray:
    """An array that stays in its file (HDF5), or is read when it is asked for.

    Attributes
    ----------
    shape : tuple of int
        As MATLAB counts: rows first, the first index running fastest.
    load : callable
        Returns the array; of that shape, column-major.
    dataset : str
        Path inside an HDF5 file; empty for other formats.
    offset : int
        Byte of the file at which it begins, if it stands there as it is; else -1.
    dtype : numpy.dtype or None
        Type of its numbers in the file, where there is an offset.
    """

    shape: tuple[int, ...]
    load: Callable[[], np.ndarray]
    dataset: str = ""
    offset: int = -1
    dtype: np.dtype | None = None

    def __deepcopy__(self, memo: dict) -> LargeArray:
        """Return itself: samples are never changed, and too large to be held twice."""
        return self


class Struct:
    """The fields of one MATLAB struct, converted when they are asked for."""

    def __init__(
        self,
        fields: dict[str, Any],
        convert: Callable[[Any, Collection[str]], Any],
        open_structs: Callable[[Any], list[Struct]],
    ):
        self._fields, self._convert, self._open_structs = fields, convert, open_structs

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __deepcopy__(self, memo: dict) -> Struct:
        """Return itself: it is never changed."""
        return self

    def value(self, name: str, keys: Collection[str] = ()) -> Any:
        """Return a field: text, array, list, list of records (with `keys` only), or None."""
        return self._convert(self._fields[name], keys) if name in self._fields else None

    def structs(self, name: str) -> list[Struct]:
        """Return a field that is a struct, or an array of structs."""
        return self._open_structs(self._fields[name]) if name in self._fields else []

    def number(self, name: str) -> float:
        """Return a field that is one number, else NaN."""
        return number(self.value(name))

    def records(self, name: str, keys: Collection[str]) -> list[dict[str, Any]]:
        """Return a field that is an array of structs, as a list of its elements."""
        value = self.value(name, keys)
        value = [value] if isinstance(value, dict) else value
        return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def number(value: Any) -> float:
    """Return a value as a number; NaN if it is none, or several."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str | None):
        try:
            return float(value or "nan")
        except ValueError:
            return float("nan")
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biuf":
        return float("nan")
    return float(array.reshape(-1)[0])
