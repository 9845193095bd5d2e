"""Files of HDF5: MATLAB 7.3, Octave (`save -hdf5`), and others."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.readers.sparse_matrices import columns_of, dense

# Deeper cells and structs are damage, and so are more objects: they may hold each other.
DEPTH, MOST_OBJECTS = 32, 1_000_000
# Deflate makes at most 1032 bytes of one (zlib technical details, "Maximum Compression Factor").
MOST_PACKED = 1032
# So much may stand in a file without a byte of its own: fill values.
MOST_FILLED = 2**24


def read_hdf5(path: Path, names: Collection[str] | None = None) -> dict[str, Any]:
    """Read the variables of a file; see `matrix_files.read_variables`.

    Links that lead nowhere, or into another file, are left out.

    Raises
    ------
    ValueError, OSError
        If the file is damaged.
    """
    import h5py

    with h5py.File(path, "r") as file:
        wanted = [name for name in file if not name.startswith("#")]
        wanted = [name for name in wanted if names is None or name in names]
        reader = _Reader()
        return {name: reader.value(file[name], 0) for name in _within(file, wanted)}


def _within(group: Any, names: Collection[str]) -> list[str]:
    import h5py

    found = []
    for name in names:
        link = group.get(name, getlink=True)
        is_dangling = isinstance(link, h5py.SoftLink) and group.get(link.path) is None
        if not is_dangling and not isinstance(link, h5py.ExternalLink):
            found.append(name)
    return found


class _Reader:
    """Convert objects of HDF5, as MATLAB, Octave or h5py itself stores them."""

    def __init__(self) -> None:
        self._objects = 0

    def value(self, item: Any, depth: int) -> Any:
        import h5py

        self._objects += 1
        if depth > DEPTH or self._objects > MOST_OBJECTS:
            raise ValueError("cells within cells within cells")
        if isinstance(item, h5py.Group):
            if "MATLAB_sparse" in item.attrs:
                return _sparse(item)
            if "type" in item and "value" in item and "OCTAVE_NEW_FORMAT" in item.attrs:
                return _of_octave(item)
            return self._struct({name: item[name] for name in _within(item, list(item))}, depth)
        kind = _attribute(item, "MATLAB_class")
        value = _stored(item)
        if item.attrs.get("MATLAB_empty", 0):
            return _empty(kind, value)
        if item.dtype == h5py.ref_dtype:
            return [self.value(item.file[each], depth + 1) for each in np.ravel(value)]
        if kind == "char":
            return _text(value)
        if isinstance(value, bytes | str):
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        # MATLAB counts the first dimension fastest, HDF5 the last; others mean what they say.
        return np.asarray(value).T if kind else np.asarray(value)

    def _struct(self, fields: dict[str, Any], depth: int) -> Any:
        """Return a struct as a dict; an array of structs, stored by references, as a list."""
        import h5py

        stored_by_element = bool(fields) and all(
            isinstance(item, h5py.Dataset)
            and item.dtype == h5py.ref_dtype
            and "MATLAB_class" not in item.attrs
            for item in fields.values()
        )
        values = {name: self.value(item, depth + 1) for name, item in fields.items()}
        if not stored_by_element:
            return values
        lengths = {len(column) for column in values.values()}
        if len(lengths) > 1:
            raise ValueError("the fields of an array of structs differ in length")
        return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def _stored(item: Any) -> Any:
    """Return the values of a dataset.

    Raises
    ------
    MemoryError
        If no memory can hold them.
    ValueError
        If they are more than the bytes of the file can be.
    """
    if item.shape:
        # Takes no memory yet.
        size = np.empty(item.shape, item.dtype).nbytes
        if size > MOST_PACKED * item.id.get_storage_size() + MOST_FILLED:
            raise ValueError(f"{item.name} {item.shape} is larger than its bytes can be")
    value = item[()]
    if isinstance(value, np.ndarray) and value.dtype.names == ("real", "imag"):
        return value["real"] + 1j * value["imag"]
    return value


def _empty(kind: str, dimensions: Any) -> Any:
    """Return a value of MATLAB without elements: its dimensions stand in place of the values."""
    shape = tuple(int(length) for length in np.ravel(dimensions))
    if kind in ("char", "cell", "struct"):
        return "" if kind == "char" else []
    if math.prod(shape):
        raise ValueError("an empty array has elements")
    return np.empty(shape)


def _text(value: Any) -> str | list[str]:
    rows = np.atleast_2d(np.asarray(value).T).astype("<u2")
    texts = [row.tobytes().decode("utf-16-le", "replace") for row in rows]
    return texts if len(texts) > 1 else texts[0]


def _attribute(item: Any, name: str) -> str:
    value = item.attrs.get(name, b"")
    return value.decode() if isinstance(value, bytes) else str(value)


def _sparse(item: Any) -> np.ndarray | None:
    """Return a sparse matrix: row of each entry, and where each column begins."""
    starts = np.ravel(_stored(item["jc"])).astype(int)
    shape = (int(item.attrs["MATLAB_sparse"]), len(starts) - 1)
    if "data" not in item:
        nowhere = np.empty(0, int)
        return dense(nowhere, nowhere, np.empty(0), shape)
    rows, values = np.ravel(_stored(item["ir"])).astype(int), np.ravel(_stored(item["data"]))
    return dense(rows, columns_of(starts, len(rows)), values, shape)


def _of_octave(item: Any) -> Any:
    """Return numbers and texts of a file that Octave saved with -hdf5; None for the rest."""
    kind = item["type"][()]
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    value = np.asarray(_stored(item["value"])) if hasattr(item["value"], "dtype") else None
    if value is None or value.dtype.kind not in "biufc":
        return None
    if kind.strip("\0").endswith("string"):
        return value.astype("u1").tobytes().decode("utf-8", "replace").rstrip("\0")
    if "OCTAVE_EMPTY_MATRIX" in item.attrs or "range" in kind:
        return None
    return value.reshape(1, 1) if value.ndim == 0 else value.T
