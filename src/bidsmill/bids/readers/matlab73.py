"""MATLAB files of version 7.3, which are HDF5: dimensions in reverse order, cells as references."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.readers.matlab_values import LARGE, LargeArray, Struct


def read_hdf5(
    path: Path, names: Collection[str], wanted: Collection[str]
) -> dict[str, list[Struct]]:
    """Read structs of a file; see `matlab_files.read_structs`."""
    import h5py

    with h5py.File(path, "r") as file:
        found = {name: _structs_hdf5(file[name], path) for name in names if name in file}
        if found:
            return found
        fields = {name: _Node(path, file[name].name) for name in file if name in wanted}
    return {"": [Struct(fields, _plain_node, _structs_of)]}


@dataclass
class _Node:
    """An object of an HDF5 file, opened when it is converted."""

    path: Path
    name: str


def _structs_hdf5(item: Any, path: Path) -> list[Struct]:
    """Return the structs of a variable: one group, or a group of columns of references."""
    import h5py

    if not isinstance(item, h5py.Group):
        references = item[()] if item.dtype == h5py.ref_dtype else np.empty(0)
        found = [item.file[reference] for reference in references.reshape(-1)]
        return [struct for each in found for struct in _structs_hdf5(each, path)]
    columns = {key: item[key] for key in item}
    rows = {_is_column(child) and child.size for child in columns.values()}
    if len(rows) == 1 and (length := rows.pop()) and length > 1:
        cells = {key: child[()].reshape(-1) for key, child in columns.items()}
        return [
            Struct(
                {key: _Node(path, item.file[refs[row]].name) for key, refs in cells.items()},
                _plain_node,
                _structs_of,
            )
            for row in range(length)
        ]
    return [
        Struct(
            {key: _Node(path, child.name) for key, child in columns.items()},
            _plain_node,
            _structs_of,
        )
    ]


def _structs_of(node: _Node) -> list[Struct]:
    import h5py

    with h5py.File(node.path, "r") as file:
        return _structs_hdf5(file[node.name], node.path)


def _is_column(item: Any) -> bool:
    """Return whether a dataset holds one field of an array of structs, element by element."""
    import h5py

    return (
        isinstance(item, h5py.Dataset)
        and item.dtype == h5py.ref_dtype
        and "MATLAB_class" not in item.attrs
    )


def _plain_node(node: Any, keys: Collection[str] = ()) -> Any:
    import h5py

    with h5py.File(node.path, "r") as file:
        item = file[node.name]
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf" and item.size > LARGE:
            return LargeArray(item.shape[::-1], lambda: _array_of(node), node.name)
        return _plain_hdf5(item, keys)


def _array_of(node: _Node) -> np.ndarray:
    import h5py

    with h5py.File(node.path, "r") as file:
        return file[node.name][()].T


def _plain_hdf5(item: Any, keys: Collection[str] = ()) -> Any:
    import h5py

    if isinstance(item, h5py.Group):
        return _records_hdf5(item, keys)
    kind = item.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if "MATLAB_empty" in item.attrs:
        return {"char": "", "cell": [], "struct": []}.get(kind, np.empty((0, 0)))
    value = item[()]
    if item.dtype == h5py.ref_dtype:
        return [_plain_hdf5(item.file[reference], keys) for reference in value.reshape(-1)]
    if kind == "char":
        return _text(value)
    return np.asarray(value).T


def _text(value: np.ndarray) -> str:
    return value.reshape(-1).astype("<u2").tobytes().decode("utf-16-le", "replace")


def _records_hdf5(group: Any, keys: Collection[str]) -> Any:
    columns = {key: group[key] for key in group if key in keys}
    arrays = {key: item for key, item in columns.items() if _is_column(item)}
    if not arrays or len(arrays) < len(columns):
        return {key: _plain_hdf5(item, keys) for key, item in columns.items()}
    values = {key: _plain_hdf5(item, keys) for key, item in arrays.items()}
    length = min(len(column) for column in values.values())
    return [{key: column[row] for key, column in values.items()} for row in range(length)]
