"""What the downloader asks of a reader, what may come back, and what becomes of a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from bidsmill.errors import BidsmillError
from bidsmill.sources.listing import Entry
from bidsmill.sources.retries import Passing


class WrongAnswer(Passing):
    """The server answered, but not with the file: worth another attempt, and named if none helps.

    Parameters
    ----------
    code : str
        Reason code.
    message : str
        What came in place of the file.
    """

    def __init__(self, code: str, message: str):
        self.code = code
        super().__init__(message)


class Refused(Exception):
    """The server will not give the file, however often it is asked.

    Parameters
    ----------
    code : str
        Reason code.
    message : str
        What the server said.
    """

    def __init__(self, code: str, message: str):
        self.code = code
        super().__init__(message)


class Answer(Protocol):
    """What a reader's `ask` gives.

    Attributes
    ----------
    start : int
        Where the bytes begin: 0 if the server ignores ranges.
    checksum_is_none : bool
        Whether the server says that the checksum it lists is none of the content (S3 objects
        encrypted with a key of the owner).
    """

    start: int
    checksum_is_none: bool

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes; raise `Passing` when the connection breaks."""


class Reader(Protocol):
    """How bytes are asked for: over HTTP or from S3."""

    def ask(self, entry: Entry, start: int, stop: int | None) -> AbstractContextManager[Answer]:
        """Ask for the bytes from `start` to `stop` (None: to the end).

        Raises
        ------
        Passing, WrongAnswer, Refused
            As the server answers.
        """

    def is_encrypted(self, entry: Entry) -> bool:
        """Return whether the bytes of a file cannot change on their way unnoticed (TLS)."""

    def close(self) -> None:
        """Close all connections."""


@dataclass(frozen=True)
class Arrived:
    """A file that is there, whole."""

    sha256: str
    verified: bool


@dataclass(frozen=True)
class Failed:
    """A file that did not come, and why."""

    code: str
    message: str


def unreachable(message: str) -> BidsmillError:
    """Return the error for a source that does not answer at all."""
    return BidsmillError(
        "the source of the dataset cannot be reached",
        found=message,
        todo="check the network and run again; what has come so far is kept",
    )
