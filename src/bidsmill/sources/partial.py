"""A file on its way: written in any order under a temporary name, hashed in order, resumed.

Beside the temporary file lies a log of how far the content is whole: lines of the number of
bytes and the sha256 of all bytes before. A later process takes up a temporary file that no
living process holds (its lock is free), but only as far as the log and the bytes agree.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import threading
from collections.abc import Iterable
from pathlib import Path

from bidsmill.formats.files import PART_SUFFIX
from bidsmill.sources.checksums import Checksums, Hasher
from bidsmill.sources.listing import Entry, identity

LOG_SUFFIX = ".log" + PART_SUFFIX
READ_BYTES = 1 << 20
HEAD_BYTES = 1024


class Partial:
    """The temporary file of one download.

    Parameters
    ----------
    target : pathlib.Path
        The final name. Its folder is created.
    entry : dict
        The file as the lock has it; `size` may be None.
    leftovers : list of pathlib.Path
        Temporary files that earlier processes left for the same content (see `leftovers_in`).

    Attributes
    ----------
    whole : int
        Bytes from the start that are written and hashed.
    stated : str or None
        The checksum in the lock.
    """

    def __init__(self, target: Path, entry: Entry, leftovers: list[Path]):
        self.target = target
        self._listed_size: int | None = entry["size"]
        self._name = temporary_stem(entry)
        self.stated: str | None = entry.get("checksum")
        self._trusts_checksum = True
        self._guard = threading.Lock()
        self._hashing = False
        self._done: dict[int, int] = {}
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._file = self._adopt(leftovers) or self._create()
        self._log = open(_log_of(self.path), "a+b")  # noqa: SIM115 - closed by close()
        self._start_over()
        self._resume()

    def _create(self) -> tuple[Path, int]:
        while True:
            name = f".{self._name}.{os.getpid()}-{secrets.token_hex(4)}{PART_SUFFIX}"
            path = self.target.parent / name
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            if _hold(file, path, without_locks=True):
                return path, file
            os.close(file)  # another process tidied up between the two calls

    def _adopt(self, leftovers: list[Path]) -> tuple[Path, int] | None:
        """Take the leftover that got furthest, and remove the others."""
        held = [(path, file) for path in leftovers if (file := _take(path)) is not None]
        held.sort(key=lambda pair: _logged(pair[0])[0])
        for path, file in held[:-1]:
            remove(path)
            os.close(file)
        return held[-1] if held else None

    def _start_over(self) -> None:
        self.whole = 0
        # Where the source does not say, what came before says nothing about what comes now.
        self.size = self._listed_size
        self._done.clear()
        self._checksums = Checksums(self.stated, self.size)

    def _resume(self) -> None:
        """Go on where the log of an earlier process ends, if the bytes agree with it."""
        length, digest = _logged(self.path)
        there = os.fstat(self._file).st_size
        # A log never speaks of the whole file, see `_log_progress`.
        if self.size is not None and 0 < length <= there and length < self.size:
            self._hash_up_to(length)
            if self.sha256 == digest:
                return
        self.reset()

    def reset(self) -> None:
        """Throw away all that was written."""
        os.ftruncate(self._file, 0)
        self._log.truncate(0)
        self._start_over()

    def _hash_up_to(self, stop: int) -> None:
        while self.whole < stop:
            content = os.pread(self._file, min(READ_BYTES, stop - self.whole), self.whole)
            if not content:
                raise OSError("a temporary file was cut short by another program")
            self._checksums.update(content)
            self.whole += len(content)

    def write(self, content: bytes | memoryview, offset: int) -> None:
        """Write at a place; safe from many threads."""
        view = memoryview(content)
        while view:
            written = os.pwrite(self._file, view, offset)
            view, offset = view[written:], offset + written

    def block_done(self, start: int, stop: int) -> bool:
        """Note that the bytes from `start` to `stop` are written.

        Returns
        -------
        bool
            Whether this call made the file whole; True for one caller only.
        """
        with self._guard:
            self._done[start] = stop
            if self.size is None:
                self.size = stop
            # One thread at a time hashes what is whole, so that hashing keeps up with arrival.
            if self._hashing or self.whole not in self._done:
                return False
            self._hashing = True
        while True:
            self._hash_up_to(self._done.pop(self.whole))
            self._log_progress()
            with self._guard:
                if self.whole not in self._done:
                    self._hashing = False
                    return self.whole >= self.size

    def _log_progress(self) -> None:
        if self.size is not None and self.whole < self.size:
            self._log.write(f"{self.whole} {self.sha256}\n".encode())
            self._log.flush()

    def head(self) -> bytes:
        """Return the first bytes."""
        return os.pread(self._file, HEAD_BYTES, 0)

    @property
    def sha256(self) -> str:
        """The sha256 of what is whole."""
        return self._checksums.sha256

    def found_checksum(self) -> str | None:
        """Return the checksum that was computed in the algorithm of the source.

        Returns
        -------
        str or None
            None if the source states none, or one that cannot be computed.
        """
        return self._checksums.found(self._feed) if self._trusts_checksum else None

    def _feed(self, hasher: Hasher) -> None:
        for start in range(0, self.whole, READ_BYTES):
            hasher.update(os.pread(self._file, min(READ_BYTES, self.whole - start), start))

    def trust_size_only(self) -> None:
        """Expect no checksum: the server says that what it states is none of the content."""
        self._trusts_checksum = False

    def commit(self) -> None:
        """Sync the content to the disk and give it its final name."""
        # Longer ones come about where an answer broke off before a shorter one came.
        if os.fstat(self._file).st_size > self.whole:
            os.ftruncate(self._file, self.whole)
        os.fsync(self._file)
        os.replace(self.path, self.target)
        self.close()
        _log_of(self.path).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go; what was written stays for a later attempt."""
        try:
            self._log.close()
        finally:
            os.close(self._file)

    def discard(self) -> None:
        """Remove what was written."""
        remove(self.path)
        self.close()


def temporary_stem(entry: Entry) -> str:
    """Return what the temporary names of one version of one file begin with."""
    text = f"{entry['path']}\0{entry['size']}\0{identity(entry)}"
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:24]


def leftovers_in(folder: Path) -> dict[str, list[Path]]:
    """Return the temporary files in a folder by `temporary_stem`."""
    found: dict[str, list[Path]] = {}
    if not folder.is_dir():
        return found
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, dot, _ = entry.name[1:].partition(".")
            is_part = entry.name.startswith(".") and entry.name.endswith(PART_SUFFIX)
            if dot and is_part and not entry.name.endswith(LOG_SUFFIX) and len(stem) == 24:
                found.setdefault(stem, []).append(Path(entry.path))
    return found


def tidy(folder: Path, keep: set[str]) -> None:
    """Remove temporary files that nobody holds and that no wanted file can use, and lone logs.

    Parameters
    ----------
    folder : pathlib.Path
        Where they lie.
    keep : set of str
        Values of `temporary_stem`.
    """
    for stem, paths in leftovers_in(folder).items():
        for path in paths if stem not in keep else ():
            file = _take(path)
            if file is not None:
                remove(path)
                os.close(file)
    for log in folder.glob(f".*{LOG_SUFFIX}") if folder.is_dir() else ():
        # Left by a process that ended right after it gave the file its name.
        if not log.with_name(log.name.removesuffix(LOG_SUFFIX) + PART_SUFFIX).exists():
            log.unlink(missing_ok=True)


def begun_bytes(root: Path, wanted: list[Entry]) -> int:
    """Return how many bytes of files lie whole in temporary files.

    Parameters
    ----------
    root : pathlib.Path
        The dataset's folder.
    wanted : list of dict
        The files.
    """
    folders = {(root / entry["path"]).parent for entry in wanted}
    begun = {folder: leftovers_in(folder) for folder in folders}
    total = 0
    for entry in wanted:
        found = begun[(root / entry["path"]).parent].get(temporary_stem(entry), [])
        total += max((_logged(path)[0] for path in found), default=0)
    return total


def tidy_all(folders: Iterable[Path], wanted: Iterable[Entry]) -> None:
    """Call `tidy` on folders; what can serve to download the wanted files stays."""
    stems = {temporary_stem(entry) for entry in wanted}
    for folder in folders:
        tidy(folder, stems)


def remove(path: Path) -> None:
    """Remove a temporary file and its log."""
    _log_of(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _log_of(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(PART_SUFFIX) + LOG_SUFFIX)


def _logged(path: Path) -> tuple[int, str]:
    """Return how far a temporary file is whole, and the sha256 up to there, as its log says."""
    try:
        lines = _log_of(path).read_bytes().split(b"\n")[:-1]
        length, digest = lines[-1].split()
        return int(length), digest.decode("ascii")
    except (OSError, LookupError, ValueError):
        return 0, ""


def _take(path: Path) -> int | None:
    """Open a temporary file if no living process holds it."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    if _hold(file, path, without_locks=False):
        return file
    os.close(file)
    return None


def _hold(file: int, path: Path, *, without_locks: bool) -> bool:
    """Lock a temporary file for this process; the kernel lets go when the process ends.

    On a file system that has no locks the answer is `without_locks`: one's own file may be
    used, and nobody else's.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return without_locks
    try:
        return os.stat(path).st_ino == os.fstat(file).st_ino
    except OSError:
        return False
