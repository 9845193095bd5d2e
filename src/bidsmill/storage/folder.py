"""A store in a folder of this machine, or of a file system that it mounts."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.storage.contract import (
    Conflict,
    NoPermission,
    NotStored,
    Progress,
    Stored,
    Unfinished,
    require_size,
)

LOCK = ".publishing.lock"
# What `files.atomic_path` calls a file that is being written.
PART = re.compile(r"\.(.+)\.\d+-[0-9a-f]{8}" + re.escape(files.PART_SUFFIX))
# What a file system answers that has no locks of one kind (flock(2), fcntl(2)).
NO_LOCKS = {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
# The locks that go by process do not keep threads apart.
_THREADS = threading.Lock()


class Folder:
    """The files of a folder; see `bidsmill.storage.contract.Storage`.

    Parameters
    ----------
    root : path-like
        The folder. It is made when something is written.
    """

    remote = False

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)
        self.address = str(root)

    def read(self, path: str) -> bytes:
        """Return the content of a file."""
        local = self.local_path(path)
        with _explained(local):
            return local.read_bytes()

    def read_tagged(self, path: str) -> tuple[bytes, str]:
        """Return the content of a file, and its sha256 as the tag."""
        content = self.read(path)
        return content, hashlib.sha256(content).hexdigest()

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes ``[start, stop)`` of a file."""
        local = self.local_path(path)
        with _explained(local), open(local, "rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def stat(self, path: str) -> Stored | None:
        """Return size and time of a file, or None if it is absent."""
        local = self.local_path(path)
        with _explained(local):
            try:
                found = local.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            if not local.is_file():
                return None
            return Stored(path, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def stored(self, prefix: str) -> Iterator[Stored]:
        """Give every finished file whose path begins with `prefix`, sorted by path."""
        for path in sorted(p for p in self._names(prefix) if not _is_hidden(p)):
            entry = self.stat(path)
            if entry is not None:  # removed by another process since
                yield entry

    def _names(self, prefix: str) -> Iterator[str]:
        """Give the paths of all files that begin with `prefix`."""
        above = prefix.rpartition("/")[0]
        folder = self.local_path(above) if above else self.root
        with _explained(folder):
            for base, _, names in os.walk(folder, onerror=_raise_unless_absent):
                for name in names:
                    path = (Path(base) / name).relative_to(self.root).as_posix()
                    if path.startswith(prefix):
                        yield path

    def local_path(self, path: str) -> Path:
        """Return where a file is, or would be."""
        return files.inside(self.root, path)

    def download(self, path: str, target: Path, progress: Progress | None = None) -> None:
        """Copy a file to `target`."""
        local = self.local_path(path)
        with _explained(local):
            shutil.copyfile(local, target)
        if progress is not None:
            progress(target.stat().st_size)

    def download_into(
        self, path: str, target: memoryview, progress: Progress | None = None
    ) -> None:
        """Fill a buffer with a file."""
        local = self.local_path(path)
        with _explained(local), open(local, "rb", buffering=0) as file:
            require_size(str(local), os.fstat(file.fileno()).st_size, len(target))
            left = target
            while left and (count := file.readinto(left)):
                left = left[count:]
        require_size(str(local), len(target) - len(left), len(target))
        if progress:
            progress(len(target))

    def put(self, path: str, content: bytes) -> None:
        """Write a small file."""
        local = self.local_path(path)
        with _explained(local), self._durable(local):
            files.write_bytes(local, content)

    def put_file(
        self, path: str, source: Path, *, size: int, sha256: str, progress: Progress | None = None
    ) -> None:
        """Bring a finished file in, sharing its content where the disk can.

        Raises
        ------
        BidsmillError
            If `source` is not the file that `size` and `sha256` state.
        """
        if not source.is_file():
            raise BidsmillError("a file to store is missing", file=source)
        local = self.local_path(path)
        with _explained(local), self._durable(local), files.atomic_path(local) as part:
            try:
                # The name of a link would be linked, not the file behind it.
                os.link(os.path.realpath(source), part)
            except OSError:
                shutil.copyfile(source, part)
            # What is checked is what gets the name, whatever becomes of the source meanwhile.
            if part.stat().st_size != size or files.sha256_file(part) != sha256:
                raise BidsmillError(
                    "a file is not the one that was made", file=source, expected=f"sha256 {sha256}"
                )
        if progress is not None:
            progress(size)

    def swap(self, path: str, content: bytes, tag: str | None) -> str:
        """Replace a file if it is still the one with this tag."""
        local = self.local_path(path)
        with _explained(local), self._only_writer(), self._durable(local):
            try:
                found = hashlib.sha256(local.read_bytes()).hexdigest()
            except FileNotFoundError:
                found = None
            if found != tag:
                raise Conflict(
                    "somebody else wrote this file first", file=local, todo="read it again"
                )
            files.write_bytes(local, content)
        return hashlib.sha256(content).hexdigest()

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files."""
        for path in paths:
            local = self.local_path(path)
            with _explained(local):
                local.unlink(missing_ok=True)

    def require_conditional_writes(self, path: str) -> None:
        """Refuse a file system without locks."""
        with _explained(self.local_path(path)), self._only_writer():
            pass

    def unfinished(self, prefix: str, before: datetime) -> list[Unfinished]:
        """Return the temporary files of writers that were killed."""
        found = []
        for name in sorted(self._names("")):
            above, slash, last = name.rpartition("/")
            match = PART.fullmatch(last)
            path = above + slash + match[1] if match else ""
            if match and path.startswith(prefix):
                with suppress(FileNotFoundError):
                    # Of a link to a finished file only this time says when it was made.
                    changed = self.local_path(name).lstat().st_ctime
                    started = datetime.fromtimestamp(changed, UTC)
                    if started < before:
                        found.append(Unfinished(path, started, name))
        return found

    def discard(self, unfinished: Iterable[Unfinished]) -> None:
        """Remove temporary files."""
        self.remove(each.upload for each in unfinished)

    @contextmanager
    def _durable(self, local: Path) -> Iterator[None]:
        """Make sure that a file's new name survives a loss of power, with new folders above it."""
        folders = [local.parent]
        while not folders[-1].exists() and folders[-1] != folders[-1].parent:
            folders.append(folders[-1].parent)
        yield
        for folder in folders:
            with suppress(OSError):  # network file systems refuse it, and do without
                handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(handle)
                finally:
                    os.close(handle)

    @contextmanager
    def _only_writer(self) -> Iterator[None]:
        """Let one process at a time swap. The lock is the kernel's: it ends with its holder."""
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / LOCK, "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                with _THREADS:
                    self._lock_by_process(file.fileno())
                    yield
                return
            yield

    def _lock_by_process(self, handle: int) -> None:
        """Take the kind of lock that some network file systems have only."""
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            raise BidsmillError(
                "this file system has no locks, so two publishers could overwrite each other",
                file=self.root,
                todo="publish to another disk, and copy the store",
            ) from None

    def __str__(self) -> str:
        return self.address


def _is_hidden(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".")


def _raise_unless_absent(error: OSError) -> None:
    """Do not take a folder that may not be read for an empty one."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn errors of the disk into errors that say what to do."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NotStored(
            "a file of the store is missing",
            file=path,
            todo="copy the store again, or publish the dataset again",
        ) from None
    except PermissionError as error:
        raise NoPermission(
            "this file may not be read or written",
            file=error.filename or path,
            todo="check the permissions of the store's folder",
        ) from None
    except OSError as error:
        if error.errno == errno.EROFS:
            raise NoPermission(
                "this file system may not be written", file=error.filename or path
            ) from None
        raise BidsmillError(
            "the disk of the store fails",
            file=error.filename or path,
            found=error.strerror or error,
            todo="check the disk and its free space",
        ) from None
