"""What the cache folder holds, and how much it may hold: the longest unused goes first."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsmill.access.cache.entries import (
    ABANDONED_SECONDS,
    Place,
    has_content,
    lock_path,
    read_record,
)
from bidsmill.access.cache.locks import only_one, try_lock
from bidsmill.errors import BidsmillError
from bidsmill.formats import files

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
# How long a count of the folder is believed, in which other processes may have filled it.
COUNTED_SECONDS = 60
# Without locks nobody knows what is mapped; what was not used for so long is taken to be free.
UNUSED_SECONDS = 86400
# A copy of a file is looked up and then opened: it stays at least for so long.
IN_USE_SECONDS = 600
# What has a record beside it, and the suffix of the file itself.
ARRAYS = {"matrix": ".npy", "part": ".npy", "stream": ".arrow"}
EVICTED = (*ARRAYS, "file", "search", "temporary")
# What is read as a whole, and made or fetched again where it is missing.
WHOLE = ("search", "store")


@dataclass(frozen=True)
class Kept:
    """One thing in the cache folder.

    Attributes
    ----------
    kind : str
        ``matrix`` (decoded), ``part`` (some channels or rows of one), ``stream`` (as an Arrow
        file), ``file`` (a verified
        file of a remote store), ``search`` (an index), ``store`` (what was last seen of a
        remote store), ``temporary`` (what a killed process left, or one at work is writing).
    path : pathlib.Path
        The file; of a matrix its ``.npy``, of a stream its ``.arrow``.
    bytes : int
        With its record.
    used : float
        Time of the last use, in s since 1970.
    """

    kind: str
    path: Path
    bytes: int
    used: float


def parse_size(text: int | str) -> int:
    """Return a number of bytes: ``200GB``, ``1.5 TB``, ``500M`` or a plain number.

    Raises
    ------
    BidsmillError
        If it is none.
    """
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(i?)B?\s*", str(text), re.IGNORECASE)
    if found is None or (found[3] and not found[2]):
        raise BidsmillError(
            "this is no size", found=repr(text), expected="bytes, or such as 200GB or 1.5TB"
        )
    unit = UNITS[found[2].upper()]
    if found[3]:
        unit = 1024 ** list(UNITS).index(found[2].upper())
    return int(float(found[1]) * unit)


class Budget:
    """How many bytes a cache folder may hold.

    Parameters
    ----------
    folder : pathlib.Path
        The cache folder.
    size : int or str, optional
        Such as ``200GB``; if absent ``BIDSMILL_CACHE_SIZE``, and without that half of what the
        disk has free and the cache holds together.
    """

    def __init__(self, folder: Path, size: int | str | None = None):
        self.folder = folder
        stated = os.environ.get("BIDSMILL_CACHE_SIZE") or None if size is None else size
        self._stated = None if stated is None else parse_size(stated)
        self._held = 0
        self._limit = 0
        self._counted: float | None = None

    def bytes(self) -> int:
        """Return the number of bytes."""
        if self._stated is not None:
            return self._stated
        held = sum(kept.bytes for kept in contents(self.folder))
        return (_free(self.folder) + held) // 2

    def make_room(self, needed: int) -> bool:
        """Evict until `needed` more bytes fit in.

        Returns
        -------
        bool
            False if they do not: what is left is in use.
        """
        now = time.monotonic()
        if self._counted is None or now > self._counted + COUNTED_SECONDS or self._is_over(needed):
            self._held = sum(kept.bytes for kept in contents(self.folder))
            half = (_free(self.folder) + self._held) // 2
            self._limit = half if self._stated is None else self._stated
            self._counted = now
            if self._is_over(needed):
                removed = trim(self.folder, self._limit - needed)
                self._held -= sum(kept.bytes for kept in removed)
        fits = not self._is_over(needed)
        self._held += needed
        return fits

    def _is_over(self, needed: int) -> bool:
        return self._held + needed > self._limit

    def warn_of_its_own(self) -> None:
        """Say that a process evicts what it has just read itself."""
        warnings.warn(
            f"the cache folder {self.folder} may hold {self._limit / 1e9:.3g} GB, which is less "
            "than what is read here: matrices are decoded again and again; set "
            "BIDSMILL_CACHE_SIZE (such as 200GB), or select less",
            RuntimeWarning,
            stacklevel=3,
        )


def _free(folder: Path) -> int:
    """Return the free bytes of the disk that holds a folder, which may not be there yet."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return 0


def contents(folder: Path) -> list[Kept]:
    """Return what a cache folder holds; what was used last comes last."""
    found = [kept for kept in _walk(folder) if kept is not None]
    return sorted(found, key=lambda kept: (kept.used, kept.path))


def _walk(folder: Path) -> Iterator[Kept | None]:
    for kind in (*ARRAYS, "file", "search", "store"):
        suffix = ARRAYS.get(kind, "")
        for base, _, names in os.walk(folder / kind):
            inside = set(names)
            for name in names:
                path = Path(base) / name
                if name.startswith("."):
                    if name.endswith(files.PART_SUFFIX):
                        yield _kept("temporary", path)
                elif kind not in ARRAYS:
                    yield _kept(kind, path)
                elif name.endswith(suffix):
                    yield _kept(kind, path, path.with_suffix(".json"))
                elif name.endswith(".json") and f"{name[:-5]}{suffix}" not in inside:
                    yield _kept("temporary", path)  # its array was removed, or comes right now


def _kept(kind: str, path: Path, record: Path | None = None) -> Kept | None:
    try:
        found = path.stat()
        if record is None:
            return Kept(kind, path, found.st_size, found.st_mtime)
    except OSError:  # removed meanwhile
        return None
    try:
        beside = record.stat()
    except OSError:  # an array without a record is no entry: nobody can use it
        return Kept("temporary", path, found.st_size, found.st_mtime)
    return Kept(kind, path, found.st_size + beside.st_size, beside.st_mtime)


def trim(folder: Path, limit: int) -> list[Kept]:
    """Remove what was used longest ago, until a cache folder holds at most `limit` bytes.

    What a process has mapped stays, and so does what one is writing; what a killed one left goes
    in any case.

    Returns
    -------
    list of Kept
        What was removed.
    """
    removed, every = [], contents(folder)
    held = sum(kept.bytes for kept in every)
    first = [kept for kept in every if kept.kind == "temporary"]
    rest = [kept for kept in every if kept.kind != "temporary" and kept.kind in EVICTED]
    for kept in [*first, *rest]:
        if kept.kind != "temporary" and held <= limit:
            break
        if _remove(folder, kept):
            removed.append(kept)
            held -= kept.bytes
    return removed


def clear(folder: Path) -> list[Kept]:
    """Remove all that no process has mapped, is writing or has just looked up.

    Unlike `trim`, this removes what was last seen of remote stores, and search indexes however
    new: both are read as a whole, and are made again where they are missing.

    Returns
    -------
    list of Kept
        What was removed.
    """
    return [kept for kept in contents(folder) if _remove(folder, kept, WHOLE)]


def _remove(folder: Path, kept: Kept, at_any_time: tuple[str, ...] = ()) -> bool:
    """Remove one thing unless it is in use. Returns whether it is gone."""
    age = time.time() - kept.used
    try:
        if kept.kind in ARRAYS:
            return _evict(folder, kept, age)
        needed = ABANDONED_SECONDS if kept.kind == "temporary" else IN_USE_SECONDS
        if kept.kind not in at_any_time and age < needed:
            return False
        kept.path.unlink(missing_ok=True)
        return True
    except OSError:  # a folder that can only be read
        return False


def place_of(kept: Kept) -> Place:
    """Return the place of a matrix, a part or a stream."""
    sha256 = kept.path.parent.name if kept.kind == "part" else kept.path.stem
    return Place(sha256, kept.path)


def _evict(folder: Path, kept: Kept, age: float) -> bool:
    """Remove an array that nobody has mapped, and its record."""
    place = place_of(kept)
    with open(place.array, "r+b") as file:  # NFS wants an open file that could be written
        free = try_lock(file.fileno(), fcntl.LOCK_EX)
        if free is False or (free is None and age < UNUSED_SECONDS):
            return False
        with only_one(lock_path(folder, place.sha256), wait=0) as held:
            if free and not held:
                return False  # somebody is filling it
            place.array.unlink()
            place.record.unlink(missing_ok=True)
    if kept.kind == "part":
        with suppress(OSError):  # there are others
            place.array.parent.rmdir()
    return True


def damaged(folder: Path) -> list[Kept]:
    """Read all arrays and files of a cache folder, and remove the damaged ones.

    Returns
    -------
    list of Kept
        Those that are not what their record or their name says.
    """
    found = []
    for kept in contents(folder):
        if kept.kind in (*ARRAYS, "file") and not _is_right(kept):
            found.append(kept)
            _discard(folder, kept)
    return found


def _is_right(kept: Kept) -> bool:
    try:
        if kept.kind == "file":
            return files.sha256_file(kept.path) == kept.path.name.partition(".")[0]
        record: dict[str, Any] | None = read_record(place_of(kept))
        with open(kept.path, "rb") as file:
            return record is not None and has_content(file, record)
    except FileNotFoundError:  # removed meanwhile
        return True
    except OSError:
        return False


def _discard(folder: Path, kept: Kept) -> None:
    """Remove a damaged thing. A process that has it mapped keeps what it has."""
    try:
        if kept.kind == "file":
            kept.path.unlink(missing_ok=True)
            return
        place = place_of(kept)
        with only_one(lock_path(folder, place.sha256)):
            place.array.unlink(missing_ok=True)
            place.record.unlink(missing_ok=True)
    except OSError:
        return
