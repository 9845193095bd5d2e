"""Variables of matrix files: MATLAB 4 to 7.3, Octave text and binary, HDF5, NumPy.

All formats give the same values: numbers are arrays (of two or more dimensions where the format
is one of MATLAB or Octave), texts are `str`, cells are lists in column-major order, a struct is a
dict, and an array of structs is a list of dicts.
"""

from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.readers.matlab_variables import read_variables_level5
from bidsmill.bids.readers.sparse_matrices import dense
from bidsmill.errors import BidsmillError
from bidsmill.simulate.variables.hdf5_files import read_hdf5
from bidsmill.simulate.variables.octave_binary import BINARY_MARKS, read_octave_binary
from bidsmill.simulate.variables.octave_text import TEXT_MARKS, read_octave_text

# HDF5 file format specification, "Format Signature"; MATLAB writes 512 bytes of its own before.
HDF5 = b"\x89HDF\r\n\x1a\n"
NUMPY, ZIP, GZIP = b"\x93NUMPY", b"PK\x03\x04", b"\x1f\x8b"
# The name under which NumPy stores an array that was given none.
UNNAMED = "arr_0"
FORMATS = (
    "MATLAB 4 to 7, MATLAB 7.3 (HDF5), Octave text or binary (also gzip), .npy or .npz of NumPy"
)


def read_variables(path: str | os.PathLike, names: Collection[str] | None = None) -> dict[str, Any]:
    """Read the variables of a matrix file; its format is recognised by its bytes.

    Parameters
    ----------
    path : path-like
        A ``.mat`` file of version 4 to 7.3, an Octave file, ``.npy`` or ``.npz``.
    names : collection of str, optional
        Only these variables, where the format allows to pass others over.

    Returns
    -------
    dict
        Value of each variable in the order of the file: array, str, list (a cell), dict (a
        struct), list of dicts (an array of structs), or None for what has no such form. The
        array of a ``.npy`` file is called ``arr_0``.

    Raises
    ------
    BidsmillError
        If the file is absent, of another format, or damaged.
    """
    target = Path(path)
    try:
        with open(target, "rb") as file:
            head = file.read(520)
    except OSError as error:
        raise BidsmillError(
            "a matrix file cannot be opened", file=target, found=error.strerror, expected=FORMATS
        ) from None
    try:
        found = _read(target, head, names)
    except BidsmillError:
        raise
    # A damaged file can make its parser fail in any way; all of them mean the same to a person.
    except Exception as error:
        raise BidsmillError(
            "a matrix file cannot be read",
            file=target,
            found=f"{type(error).__name__}: {error}",
            expected=FORMATS,
            todo="check that the file is complete, or save it again (save -v7 in MATLAB or Octave)",
        ) from None
    return {name: found[name] for name in found if names is None or name in names}


def _read(path: Path, head: bytes, names: Collection[str] | None) -> dict[str, Any]:
    if head[:2] == GZIP:
        content = gzip.decompress(path.read_bytes())
        head = content[:520]
        if not head.startswith((*BINARY_MARKS, *TEXT_MARKS)):
            raise ValueError("what is packed in it is not a file of Octave")
        return _read_octave(content)
    if HDF5 in (head[:8], head[512:]):
        return read_hdf5(path, names)
    if head.startswith((*BINARY_MARKS, *TEXT_MARKS)):
        return _read_octave(path.read_bytes())
    if head.startswith(NUMPY):
        return {UNNAMED: np.load(path, allow_pickle=False)}
    if head.startswith(ZIP) and zipfile.is_zipfile(path):
        with np.load(path, allow_pickle=False) as arrays:
            wanted = [name for name in arrays if names is None or name in names]
            return {name: _of_zip(arrays, name) for name in wanted}
    if not head:
        raise ValueError("the file is empty")
    return _read_matlab(path, head, names)


def _of_zip(arrays: Any, name: str) -> Any:
    """Return an array of a `.npz` file; None for one of Python objects, which are never loaded."""
    try:
        return arrays[name]
    except ValueError as error:
        if "Object arrays" not in str(error):
            raise
        return None


def _read_octave(content: bytes) -> dict[str, Any]:
    reader = read_octave_binary if content.startswith(tuple(BINARY_MARKS)) else read_octave_text
    return reader(content)


def shape_text(value: Any) -> str:
    """Return what a variable is, for a person: ``(75, 994)``, ``text``, ``struct``."""
    if isinstance(value, np.ndarray):
        return str(tuple(int(length) for length in value.shape))
    if isinstance(value, list):
        records = bool(value) and all(isinstance(item, dict) for item in value)
        return f"{len(value)} structs" if records else f"cell of {len(value)}"
    if isinstance(value, str | dict):
        return "text" if isinstance(value, str) else "struct"
    return "of another kind, or too large"


def variables_text(variables: dict[str, Any]) -> str:
    """Return all variables with their shapes, for an error: ``fwd (75, 994), pos (20484, 3)``."""
    return ", ".join(f"{name} {shape_text(value)}" for name, value in variables.items()) or "none"


def numeric(value: Any, what: str, path: str | os.PathLike) -> np.ndarray:
    """Return a value that must be an array of real, finite or not, numbers, as float64.

    Parameters
    ----------
    value : object
        What was read.
    what : str
        Name of the variable, for the error.
    path : path-like
        Its file, for the error.

    Raises
    ------
    BidsmillError
        If it is something else.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        kind = f"{value.dtype} " if isinstance(value, np.ndarray) else ""
        raise BidsmillError(
            f"the variable {what} is not an array of real numbers",
            file=path,
            found=kind + shape_text(value),
            expected="an array of numbers",
        )
    return value.astype(np.float64)


def _read_matlab(path: Path, head: bytes, names: Collection[str] | None) -> dict[str, Any]:
    if head[126:128] in (b"IM", b"MI"):
        return read_variables_level5(path, names)
    from scipy.io import loadmat

    # Version 4 has matrices and texts alone. Anything else is none of MATLAB's.
    if head[:2] == b"\0\0" or 0 in head[:4]:
        wanted = None if names is None else list(names)
        found = loadmat(path, mat_dtype=True, variable_names=wanted)
        return {name: _plain4(value) for name, value in found.items() if name[:2] != "__"}
    raise ValueError("its first bytes are those of none of these formats")


def _plain4(value: Any) -> Any:
    if hasattr(value, "tocoo"):
        entries = value.tocoo()
        return dense(entries.row, entries.col, entries.data, entries.shape)
    if value.dtype.kind in "US":
        texts = [str(row) for row in value.reshape(-1)]
        return "".join(texts) if len(texts) < 2 else texts
    return value
