"""The entries of the cache folder: their names, their records, and mapping them into memory.

An entry is an array in an ``.npy`` file and a record beside it that says what the file must be.
The record is written first and the array last, both by a rename, so that an array without a fitting
record is no entry. docs/data-contract.md has the layout of the folder.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import io
import json
import mmap
import os
import resource
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.access.cache.locks import try_lock
from bidsmill.formats import files
from bidsmill.formats.float_lists import crc32

# A writer at work touches its file all the time; one of this age was killed.
ABANDONED_SECONDS = 3600
MAX_MAPS = 256
DTYPE = np.dtype("<f4")
MAGIC = b"\x93NUMPY\x01\x00"
# Arrays that this process has hashed already: path -> (size, mtime_ns). Where records cannot be
# completed, an entry would be hashed at every map.
_hashed: dict[Path, tuple[int, int]] = {}


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


def most_maps() -> int:
    """Return how many entries a process may keep mapped: each holds a file descriptor.

    Half of the descriptors are left to downloads and to everything else: on macOS a process has
    256 of them unless its user says otherwise (launchctl limit maxfiles).
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_MAPS if soft == resource.RLIM_INFINITY else max(1, min(MAX_MAPS, soft // 2))


@dataclass(frozen=True)
class Place:
    """Where an entry of the cache is.

    Attributes
    ----------
    sha256 : str
        Of the Parquet file.
    array : pathlib.Path
        The ``.npy`` file; of a stream the ``.arrow`` file.
    """

    sha256: str
    array: Path

    @property
    def record(self) -> Path:
        """Return the path of the record beside the array."""
        return self.array.with_suffix(".json")


def whole_place(folder: Path, sha256: str) -> Place:
    """Return where the whole matrix of this sha256 is, or would be."""
    return Place(sha256, files.inside(folder / "matrix", f"{sha256}.npy"))


def part_place(folder: Path, sha256: str, channels: Sequence[int], groups: Sequence[int]) -> Place:
    """Return where some channels and row groups of a matrix are, or would be.

    Parameters
    ----------
    folder : pathlib.Path
        The cache folder.
    sha256 : str
        Of the Parquet file.
    channels, groups : sequence of int
        Indices of columns and of row groups.
    """
    chosen = json.dumps([list(map(int, channels)), list(map(int, groups))])
    key = hashlib.sha256(chosen.encode()).hexdigest()[:32]
    return Place(sha256, files.inside(folder / "part", f"{sha256}/{key}.npy"))


def stream_place(folder: Path, sha256: str) -> Place:
    """Return where the samples of the stream of this sha256 are, or would be, as an Arrow file."""
    return Place(sha256, files.inside(folder / "stream", f"{sha256}.arrow"))


def lock_path(folder: Path, sha256: str) -> Path:
    """Return the file that is locked while an entry of this matrix is filled or removed."""
    return files.inside(folder / "lock", sha256)


@functools.cache
def system_start() -> str | None:
    """Return what names the time since the system started, or None where nothing does.

    It is the same for all processes, and another one after a restart (random(4)).
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() or None
    except OSError:
        return None


def new_record(array: Path, checksum: int, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the record of a finished ``.npy`` file.

    Parameters
    ----------
    array : pathlib.Path
        The file, under any name.
    checksum : int
        The CRC-32 of its content.
    more : dict, optional
        Of a partial entry: ``channels`` and ``groups``.
    """
    found = array.stat()
    start = system_start()
    return {
        "size": found.st_size,
        "crc32": f"{checksum:08x}",
        "mtime_ns": found.st_mtime_ns,
        **({} if start is None else {"not_synced_since": start}),
        **(more or {}),
    }


def read_record(place: Place) -> dict[str, Any] | None:
    """Return the record of an entry, or None where it is absent or damaged."""
    try:
        record = json.loads(place.record.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("size"), int):
        return None
    if not any(isinstance(record.get(kind), str) for kind in ("sha256", "crc32")):
        return None
    return record


def has_content(file: Any, record: dict[str, Any]) -> bool:
    """Read an open array and tell whether it is the one that a record states."""
    if isinstance(record.get("sha256"), str):
        return hashlib.file_digest(file, "sha256").hexdigest() == record["sha256"]
    checksum, room = 0, memoryview(bytearray(1 << 20))
    while count := file.readinto(room):
        checksum = crc32()(room[:count], checksum)
    return f"{checksum:08x}" == record["crc32"]


def _is_as_written(found: os.stat_result, record: dict[str, Any]) -> bool:
    """Tell whether the time of an array vouches for its content.

    It does not where the system has started anew since an array was written and not synced: a
    loss of power may have left a file of the right size and time, and of other content.
    """
    start = record.get("not_synced_since")
    return found.st_mtime_ns == record.get("mtime_ns") and start in (None, system_start())


def mapped(place: Place, shape: Sequence[int]) -> np.ndarray | None:
    """Map an entry, or return None where there is none that is whole and right.

    The first map of a process marks the entry as used.

    Parameters
    ----------
    place : Place
        Of the entry.
    shape : sequence of int
        What its array must have.

    Returns
    -------
    ndarray of float32, read-only, or None
        While it lives, a shared lock is held on the file: nobody evicts it.
    """
    content = mapped_content(place)
    array = None if content is None else _array(content, shape)
    if array is not None:
        mark_used(place)
    return array


def mapped_content(place: Place) -> mmap.mmap | None:
    """Map the file of an entry (see `mapped`).

    A file that changed since its record was written, or whose record lacks a time, is compared
    with the checksum of the record.
    """
    record = read_record(place)
    if record is None:
        return None
    try:
        with open(place.array, "rb") as file:
            # Python's map keeps a copy of the descriptor, and so the lock.
            if try_lock(file.fileno(), fcntl.LOCK_SH) is False:
                return None  # it is being removed
            found = os.fstat(file.fileno())
            if found.st_nlink == 0 or found.st_size != record["size"]:
                return None
            if not _is_as_written(found, record) and not _complete(place, record, file):
                return None
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # mmap: an empty file is a ValueError
        return None


def _complete(place: Place, record: dict[str, Any], file: Any) -> bool:
    """Tell whether an array has the content that its record states; then note its time."""
    found = os.fstat(file.fileno())
    state = found.st_size, found.st_mtime_ns
    if _hashed.get(place.array) == state:
        return True
    if not has_content(file, record):
        return False
    _hashed[place.array] = state
    record = {**record, "mtime_ns": found.st_mtime_ns}
    record.pop("not_synced_since", None)
    with suppress(OSError):  # a folder that can only be read: it is hashed by each process
        files.write_json(place.record, record)
    return True


def mark_used(place: Place) -> None:
    """Note that an entry is used now."""
    with suppress(OSError):
        os.utime(place.record)


def npy_header(shape: Sequence[int]) -> bytes:
    """Return the header of an ``.npy`` file of format 1.0: float32, C order."""
    header = io.BytesIO()
    described = {"descr": DTYPE.str, "fortran_order": False, "shape": tuple(map(int, shape))}
    np.lib.format.write_array_header_1_0(header, described)
    return header.getvalue()


def _array(content: mmap.mmap, shape: Sequence[int]) -> np.ndarray | None:
    """Return the array of an ``.npy`` file, or None if it is another one or not whole.

    The header is that of NumPy's format 1.0 (numpy.lib.format): 8 bytes of magic and version,
    its length as a little-endian uint16, and a dict as text.
    """
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


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """Give a name beside `path` that `remove_abandoned` knows; what is left there is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.parent / f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{files.PART_SUFFIX}"
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def remove_abandoned(*paths: Path) -> None:
    """Remove what killed writers of these files left; the files are of one folder."""
    limit = time.time() - ABANDONED_SECONDS
    beginnings = tuple(f".{path.name}." for path in paths)
    try:
        # Not by a pattern: there are many entries, and each would compile one of its own.
        with os.scandir(paths[0].parent) as found:
            parts = [entry for entry in found if entry.name.startswith(beginnings)]
    except OSError:  # nothing was written yet
        return
    for part in parts:
        with suppress(OSError):  # another process was faster, or the folder is read-only
            if part.name.endswith(files.PART_SUFFIX) and part.stat().st_mtime < limit:
                os.unlink(part.path)
