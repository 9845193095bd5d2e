"""The cache: every matrix decoded once into an ``.npy`` file, which is memory-mapped.

An entry is named by the sha256 of the matrix file, so that it never goes out of date, and holds
float32 in C order, rows x channels x times.
"""

from __future__ import annotations

import mmap
import os
import sys
import time
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.access.location import StoreFiles, verified_path
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.matrix import MatrixFile

MAX_MAPS = 256
# What may be held in memory where the cache folder cannot be written.
MAX_HELD_BYTES = 2**30
# A writer at work touches its file all the time; one of this age was killed.
ABANDONED_SECONDS = 3600
DTYPE = np.dtype("<f4")
MAGIC = b"\x93NUMPY\x01\x00"


def default_folder() -> Path:
    """Return the cache folder: ``BIDSMILL_CACHE``, or `bidsmill` in the user's cache folder.

    That is ``XDG_CACHE_HOME`` or ``~/.cache`` (XDG base directory specification) on Linux and
    ``~/Library/Caches`` on macOS.
    """
    stated = os.environ.get("BIDSMILL_CACHE")
    if stated:
        return Path(stated).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "bidsmill"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(base) / "bidsmill" / "Cache"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "bidsmill"


class Cache:
    """Decoded matrices of a store, as read-only arrays.

    Parameters
    ----------
    store_files : StoreFiles
        Where the matrix files are.
    folder : path-like, optional
        The cache folder (see `default_folder`).
    max_maps : int
        How many files are kept mapped; the one used longest ago is let go first.

    Notes
    -----
    Many processes may fill one folder at once. A pickled cache carries no open files.
    """

    def __init__(
        self,
        store_files: StoreFiles,
        folder: str | os.PathLike | None = None,
        max_maps: int = MAX_MAPS,
    ):
        self.store_files = store_files
        self.folder = default_folder() if folder is None else Path(folder).expanduser()
        self.max_maps = max_maps
        self._maps: OrderedDict[str, np.ndarray] = OrderedDict()
        self._held: OrderedDict[str, np.ndarray] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": OrderedDict(), "_held": OrderedDict()}

    def entry_path(self, sha256: str) -> Path:
        """Return where the decoded matrix of this sha256 is, or would be."""
        return self.folder / "matrix" / f"{sha256}.npy"

    def array(self, entry: dict[str, Any]) -> np.ndarray:
        """Return a matrix, decoding it at its first use.

        Parameters
        ----------
        entry : dict
            The manifest's entry of the matrix: ``path``, ``size``, ``sha256``, ``shape``.

        Returns
        -------
        ndarray of float32, shape (rows, channels, times), read-only
            A memory map; or memory, with a warning, where the cache cannot be written.

        Raises
        ------
        BidsmillError
            If the matrix file is missing or is not the one that the manifest names.
        """
        key = entry["sha256"]
        for kept in (self._maps, self._held):
            try:
                kept.move_to_end(key)
                return kept[key]
            except KeyError:  # never read, or just let go by another thread
                continue
        path = self.entry_path(key)
        array = _mapped(path, entry["shape"])
        if array is None:
            try:
                self._decode_to(path, entry)
            except OSError as error:
                return self._hold(entry, error)
            array = _mapped(path, entry["shape"])
            if array is None:
                return self._hold(entry, OSError("the entry was damaged after it was written"))
        self._maps[key] = array
        while len(self._maps) > self.max_maps:
            self._maps.popitem(last=False)
        return array

    def _decode_to(self, path: Path, entry: dict[str, Any]) -> None:
        """Decode a matrix into the cache, row group by row group."""
        blocks = _row_groups(self.store_files, entry)
        first = next(blocks)
        remove_abandoned(path)
        # Plain writes, not a writable map: a full disk is then an error and not a SIGBUS.
        with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
            header = {"descr": DTYPE.str, "fortran_order": False, "shape": tuple(entry["shape"])}
            np.lib.format.write_array_header_1_0(file, header)
            file.write(first.data)
            for block in blocks:
                file.write(block.data)

    def _hold(self, entry: dict[str, Any], error: OSError) -> np.ndarray:
        """Decode a matrix into memory, because the cache folder cannot be written."""
        warnings.warn(
            f"the cache folder {self.folder} cannot be written ({error.strerror or error}): "
            "matrices are decoded into memory, which is slow; set BIDSMILL_CACHE to a folder "
            "with space",
            RuntimeWarning,
            stacklevel=2,
        )
        array = np.empty(entry["shape"], DTYPE)
        start = 0
        for block in _row_groups(self.store_files, entry):
            array[start : start + len(block)] = block
            start += len(block)
        array.flags.writeable = False
        self._held[entry["sha256"]] = array
        while len(self._held) > 1 and sum(a.nbytes for a in self._held.values()) > MAX_HELD_BYTES:
            self._held.popitem(last=False)
        return array


def _row_groups(store_files: StoreFiles, entry: dict[str, Any]) -> Iterator[np.ndarray]:
    """Give the row groups of a matrix that is what the manifest says it is.

    Store errors are `BidsmillError`, so that an `OSError` can only come from the cache.
    """
    import pyarrow as pa

    path = verified_path(store_files, entry)
    with MatrixFile(path) as matrix:
        shape = list(matrix.metadata["shape"])
        if shape != list(entry["shape"]) or sum(matrix.group_rows) != shape[0]:
            raise BidsmillError(
                "a matrix has another shape than its manifest says",
                file=path,
                found=f"{shape} in {sum(matrix.group_rows)} rows",
                expected=list(entry["shape"]),
            )
        for group in range(len(matrix.group_rows)):
            try:
                block = matrix.read_group(group)
            except (pa.ArrowException, OSError) as error:
                raise BidsmillError("a matrix cannot be decoded", file=path, found=error) from None
            yield np.ascontiguousarray(block, DTYPE)


def _mapped(path: Path, shape: list[int]) -> np.ndarray | None:
    """Map an entry of the cache, or return None where it is absent or not whole.

    The header is that of NumPy's format 1.0 (numpy.lib.format): 8 bytes of magic and version,
    its length as a little-endian uint16, and a dict as text.
    """
    try:
        with open(path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # mmap: an empty file is a ValueError
        return None
    offset = 10 + int.from_bytes(content[8:10], "little")
    header = content[10:offset].decode("latin1")
    count = int(np.prod(shape))
    whole = (
        content[:8] == MAGIC
        and len(content) == offset + count * DTYPE.itemsize
        and all(part in header for part in (repr(DTYPE.str), "False", str(tuple(shape))))
    )
    if not whole:
        return None
    return np.frombuffer(content, DTYPE, count, offset).reshape(shape)


def remove_abandoned(path: Path) -> None:
    """Remove what killed writers of this entry left."""
    limit = time.time() - ABANDONED_SECONDS
    for part in path.parent.glob(f".{path.name}.*{files.PART_SUFFIX}"):
        try:
            if part.stat().st_mtime < limit:
                part.unlink()
        except OSError:  # another process was faster, or the folder is read-only
            continue
