"""Structs of MATLAB files, whichever of the two formats they are in."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from bidsmill.bids.readers.matlab5 import read_level5
from bidsmill.bids.readers.matlab73 import read_hdf5
from bidsmill.bids.readers.matlab_values import Struct

# HDF5 file format specification, "Format Signature"; MATLAB writes 512 bytes of its own before.
HDF5 = b"\x89HDF\r\n\x1a\n"


def read_structs(
    path: Path, names: Collection[str], wanted: Collection[str]
) -> dict[str, list[Struct]]:
    """Read structs of a MATLAB file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    names : collection of str
        Variables that are structs or arrays of structs.
    wanted : collection of str
        Variables that are taken for the fields of one struct where no such variable exists.

    Returns
    -------
    dict
        The structs of each of `names` that is there; the one of ``""`` if there is none.
    """
    with open(path, "rb") as file:
        head = file.read(520)
    if HDF5 in (head[:8], head[512:]):
        return read_hdf5(path, names, wanted)
    return read_level5(path, names, wanted)
