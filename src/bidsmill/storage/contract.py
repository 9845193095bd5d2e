"""What a folder and a bucket have in common, and the errors that both raise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from bidsmill.errors import BidsmillError
from bidsmill.formats.manifest import DAMAGED_STORE

# Called with the number of bytes that went over since the last call.
Progress = Callable[[int], None]


class NotStored(BidsmillError):
    """There is no file of this name."""


class NoPermission(BidsmillError):
    """The service or the disk refuses: no credentials, the wrong ones, or too few rights."""


class Unreachable(BidsmillError):
    """The service did not answer, or broke off: no network, a wrong address, a server that died."""


class Conflict(BidsmillError):
    """A file is not what it was when it was read: somebody else wrote it first."""


@dataclass(frozen=True)
class Stored:
    """A file that is stored.

    Attributes
    ----------
    path : str
        Relative and POSIX.
    size : int
        Bytes.
    modified : datetime.datetime
        When it was written, with a time zone.
    sha256 : str or None
        Of the content, where it was stored with the file; None where nothing is known.
    """

    path: str
    size: int
    modified: datetime
    sha256: str | None = None


@dataclass(frozen=True)
class Unfinished:
    """What somebody began to store and never ended: nobody sees it, but it takes room.

    Attributes
    ----------
    path : str
        Of the file that it would have become, as far as that is known.
    started : datetime.datetime
        With a time zone.
    upload : str
        What the storage calls it.
    """

    path: str
    started: datetime
    upload: str


def require_size(file: object, size: int, expected: int) -> None:
    """Compare the size of a file with what it must have.

    Raises
    ------
    BidsmillError
        If it is another one.
    """
    if size != expected:
        raise BidsmillError(
            "a file of the store has another size than its manifest says",
            file=file,
            found=f"{size} bytes",
            expected=f"{expected} bytes",
            todo=DAMAGED_STORE,
        )


class Storage(Protocol):
    """The files below one address. Paths are relative and POSIX, and never leave the address.

    All methods raise `NoPermission` and `Unreachable`. A storage can be pickled and used by many
    threads and after a fork.
    """

    address: str
    """As its user wrote it. It holds no secret."""
    remote: bool
    """Whether reading goes over a network that bidsmill itself speaks to."""

    def read(self, path: str) -> bytes:
        """Return the content of a small file; `NotStored` if it is absent."""

    def read_tagged(self, path: str) -> tuple[bytes, str]:
        """Return a small file and the tag of this content, for `swap`."""

    def read_range(self, path: str, start: int, stop: int) -> bytes:
        """Return the bytes ``[start, stop)`` of a file."""

    def stat(self, path: str) -> Stored | None:
        """Return what is known of a file, or None if it is absent."""

    def stored(self, prefix: str) -> Iterator[Stored]:
        """Give every file whose path begins with `prefix`, sorted by path."""

    def local_path(self, path: str) -> Path | None:
        """Return where a file is on this machine; None where it is remote. It may be absent."""

    def download(self, path: str, target: Path, progress: Progress | None = None) -> None:
        """Write a file to `target`, in parallel where that is faster; `NotStored` if absent.

        `target` is a temporary name: what it holds after an error is undefined.
        """

    def download_into(
        self, path: str, target: memoryview, progress: Progress | None = None
    ) -> None:
        """Fill a buffer with a file that has as many bytes; `BidsmillError` if it has not."""

    def put(self, path: str, content: bytes) -> None:
        """Store a small file, whole or not at all."""

    def put_file(
        self, path: str, source: Path, *, size: int, sha256: str, progress: Progress | None = None
    ) -> None:
        """Store a file of this machine, whole or not at all, and check what was stored."""

    def swap(self, path: str, content: bytes, tag: str | None) -> str:
        """Replace the file that `read_tagged` gave with this tag; None: it must be absent.

        Returns the new tag. Raises `Conflict` if the file is another one by now.
        """

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files; those that are absent already are no error."""

    def require_conditional_writes(self, path: str) -> None:
        """Refuse a storage that would let two `swap` of the same tag succeed.

        `path` is a file that exists and that nobody else writes; it keeps its content.
        """

    def unfinished(self, prefix: str, before: datetime) -> list[Unfinished]:
        """Return what was begun below `prefix` before a time and never ended."""

    def discard(self, unfinished: Iterable[Unfinished]) -> None:
        """Remove what `unfinished` returned."""
