"""What may go wrong on the way from a server, and how often."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Faults of the body on its way, and answers that the proxy makes up itself.
ON_THE_WAY = ("cut", "stall", "truncate", "corrupt", "slow", "whole")
MADE_UP = ("status", "html", "expired")
WRONG_BYTES = 16  # so many bytes in a row are turned over by `corrupt`


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with requests of a kind.

    Parameters
    ----------
    kind : str
        ``cut``: the connection closes after `at` bytes of the body. ``stall``: after `at` bytes
        nothing comes for `seconds`, then the connection closes. ``status``: the answer is `code`.
        ``truncate``: a well-formed answer that ends after `at` bytes (Content-Length and
        Content-Range say so too). ``corrupt``: 16 bytes from `at` on are wrong (each bit turned
        over). ``html``: status 200 and a web page in place of the body. ``expired``: status 403
        as S3 answers to an address whose time is over. ``whole``: status 200 and the whole body
        in place of a range. ``slow``: `bytes_per_second` per connection.
    path : str
        A regular expression, searched for in the path with its query.
    times : int or None
        How often it strikes each path (without query); None for always.
    method : str
        A regular expression for the whole method.
    at : int or None
        Offset into the body in bytes; None for half of it (0 when its length is unknown). Never
        beyond the last byte of the body.
    seconds : float
        Of ``stall``.
    code : int
        Of ``status``.
    retry_after : str or int or None
        The field Retry-After of ``status``.
    bytes_per_second : float
        Of ``slow``.
    """

    kind: str
    path: str = ""
    times: int | None = 1
    method: str = "GET"
    at: int | None = None
    seconds: float = 3600
    code: int = 503
    retry_after: str | int | None = None
    bytes_per_second: float = 1e6

    def __post_init__(self) -> None:
        if self.kind not in ON_THE_WAY + MADE_UP:
            raise ValueError(f"unknown kind of fault: {self.kind}")

    def strikes(self, method: str, target: str) -> bool:
        """Return whether a request is of the kind that this fault is for."""
        return bool(re.fullmatch(self.method, method) and re.search(self.path, target))

    def offset(self, length: int | None) -> int:
        """Return where in a body of a length (bytes; None: unknown) it strikes."""
        if length is None:
            return self.at or 0
        return min(length // 2 if self.at is None else self.at, max(length - 1, 0))

    def answer(self, target: str) -> tuple[str, dict[str, str], bytes]:
        """Return status line, fields and body of an answer that is made up."""
        if self.kind == "html":
            page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n"
            return "200 OK", {"content-type": "text/html; charset=utf-8"}, page.encode()
        if self.kind == "expired":
            error = "<Code>AccessDenied</Code><Message>Request has expired</Message>"
            body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{error}</Error>'
            return "403 Forbidden", {"content-type": "application/xml"}, body.encode()
        waiting = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        return f"{self.code} Fault", {"content-type": "text/plain", **waiting}, b"busy\n"


class Faults:
    """The faults of a proxy, with how often each has struck. For many threads at once."""

    def __init__(self, faults: Iterable[Fault] = ()):
        self._lock = threading.Lock()
        self._faults: list[tuple[Fault, Counter[str]]] = [(fault, Counter()) for fault in faults]

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append((fault, Counter()))

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def choose(self, method: str, target: str) -> Fault | None:
        """Return the first fault that strikes a request, and count the strike."""
        path = target.partition("?")[0]
        with self._lock:
            for fault, struck in self._faults:
                left = fault.times is None or struck[path] < fault.times
                if left and fault.strikes(method, target):
                    struck[path] += 1
                    return fault
        return None


class Cut(Exception):
    """The connection to the client is to be closed now."""


def spoil(
    pieces: Iterator[memoryview], fault: Fault, at: int, stopped: threading.Event
) -> Iterator[memoryview]:
    """Yield a body as the fault leaves it.

    Parameters
    ----------
    pieces : iterator of memoryview
        The body.
    fault : Fault
        One of those on the way.
    at : int
        Offset into the body in bytes; see `Fault.offset`.
    stopped : threading.Event
        Ends every waiting.

    Raises
    ------
    Cut
        When the connection is to be closed.
    """
    if fault.kind in ("cut", "stall", "truncate"):
        yield from first_bytes(pieces, at)
        if fault.kind == "stall":
            stopped.wait(fault.seconds)
        if fault.kind != "truncate":
            raise Cut
    elif fault.kind == "corrupt":
        yield from turn_over(pieces, at)
    elif fault.kind == "slow":
        yield from slowly(pieces, fault.bytes_per_second, stopped)
    else:
        yield from pieces


def first_bytes(pieces: Iterator[memoryview], count: int) -> Iterator[memoryview]:
    while count > 0 and (piece := next(pieces, None)) is not None:
        yield piece[:count]
        count -= len(piece)


def turn_over(pieces: Iterator[memoryview], at: int) -> Iterator[memoryview]:
    """Yield the pieces with every bit of some bytes from an offset on turned over."""
    start = 0
    for piece in pieces:
        low, high = max(at - start, 0), min(at + WRONG_BYTES - start, len(piece))
        start += len(piece)
        if low >= high:
            yield piece
            continue
        wrong = bytearray(piece)
        wrong[low:high] = bytes(255 - byte for byte in wrong[low:high])
        yield memoryview(wrong)


def slowly(
    pieces: Iterator[memoryview], rate: float, stopped: threading.Event
) -> Iterator[memoryview]:
    """Yield the pieces in slices of a tenth of a second's worth, at the rate (bytes/s)."""
    began, sent, step = time.monotonic(), 0, max(int(rate / 10), 1)
    for piece in pieces:
        for first in range(0, len(piece), step):
            part = piece[first : first + step]
            sent += len(part)
            if stopped.wait(max(began + sent / rate - time.monotonic(), 0)):
                raise Cut
            yield part
