"""Heads and bodies of HTTP/1.1 on a socket, byte for byte (RFC 9112)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

# Bytes asked for at a time: large, so that a large body costs few steps of Python.
READ = 1 << 20
LINE = 1 << 12
LARGEST_HEAD = 1 << 16


class Ended(Exception):
    """The other side closed the connection in the middle of a message."""


class Head:
    """The first line and the fields of a message, changed only where it is asked for."""

    def __init__(self, raw: bytes):
        self.lines = raw.split(b"\r\n")

    @property
    def first(self) -> list[str]:
        """The words of the first line."""
        return self.lines[0].decode("latin-1").split(" ", 2)

    def get(self, name: str) -> str:
        """Return the value of a field, or an empty string."""
        for line in self.lines[1:]:
            key, _, value = line.decode("latin-1").partition(":")
            if key.lower() == name:
                return value.strip()
        return ""

    def change(self, name: str, value: str | None) -> None:
        """Replace the value of a field, or remove the field."""
        start = name.encode() + b":"
        kept = [line for line in self.lines[1:] if not line.lower().startswith(start)]
        added = [] if value is None else [f"{name}: {value}".encode("latin-1")]
        self.lines = [self.lines[0], *kept, *added]

    def encode(self) -> bytes:
        """Return the bytes as they go over the wire."""
        return b"\r\n".join(self.lines) + b"\r\n\r\n"

    @property
    def closes(self) -> bool:
        """Whether the connection ends after this message."""
        wish = self.get("connection").lower()
        return "close" in wish or (b"HTTP/1.0" in self.lines[0] and "keep-alive" not in wish)


class Framing(NamedTuple):
    """How the end of a body is marked: by a length, by chunks, or else by the connection's end."""

    length: int | None
    chunked: bool = False


def request_framing(head: Head) -> Framing:
    if "chunked" in head.get("transfer-encoding").lower():
        return Framing(None, True)
    return Framing(int(head.get("content-length") or 0))


def answer_framing(method: str, answer: Head) -> Framing:
    status = int(answer.first[1])
    if method == "HEAD" or status in (204, 304) or status < 200:
        return Framing(0)
    if "chunked" in answer.get("transfer-encoding").lower():
        return Framing(None, True)
    length = answer.get("content-length")
    return Framing(int(length) if length else None)


class Stream:
    """One side of a connection. Pieces that it returns are valid until the next read."""

    def __init__(self, connection: socket.socket):
        self.socket = connection
        self._room = memoryview(bytearray(READ))
        self._start = self._end = 0  # what was received and not yet returned

    def read(self, most: int = READ) -> memoryview:
        """Return the next bytes, at most so many; none at the end.

        Raises
        ------
        Ended
            If the other side broke the connection.
        """
        if self._start == self._end:
            try:
                self._start, self._end = 0, self.socket.recv_into(self._room)
            except ConnectionError as error:
                raise Ended from error
        first = self._start
        self._start = min(first + most, self._end)
        return self._room[first : self._start]

    def _until(self, mark: bytes) -> bytes:
        """Return the bytes before a mark, and pass over the mark; none at the end."""
        found = bytearray()
        while (end := found.find(mark)) < 0:
            piece = self.read(LINE)
            if not piece and not found:
                return b""
            if not piece or len(found) > LARGEST_HEAD:
                raise Ended
            found += piece
        # The mark ends in the last piece: what follows it is still in the room.
        self._start -= len(found) - end - len(mark)
        return bytes(found[:end])

    def head(self) -> Head | None:
        """Return the next head, or None when the other side has nothing more to say."""
        raw = self._until(b"\r\n\r\n")
        return Head(raw) if raw else None

    def body(self, framing: Framing) -> Iterator[memoryview]:
        """Yield the bytes of a body without the marks of its chunks.

        Raises
        ------
        Ended
            If the connection ends before the body does.
        """
        if framing.chunked:
            while size := int(self._until(b"\r\n").split(b";")[0] or b"0", 16):
                yield from self._exactly(size)
                self._until(b"\r\n")
            while self._until(b"\r\n"):  # trailers, which nobody here sends
                pass
        elif framing.length is None:
            while piece := self.read():
                yield piece
        else:
            yield from self._exactly(framing.length)

    def _exactly(self, size: int) -> Iterator[memoryview]:
        while size:
            piece = self.read(size)
            if not piece:
                raise Ended
            size -= len(piece)
            yield piece

    def write_body(self, pieces: Iterator[memoryview], chunked: bool) -> None:
        for piece in pieces:
            if chunked:
                self.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            else:
                self.socket.sendall(piece)
        if chunked:
            self.socket.sendall(b"0\r\n\r\n")

    def close(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
