"""A file of a bucket, brought to this machine in ranges side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import closing
from pathlib import Path
from typing import Any

from bidsmill.storage.contract import Conflict, Progress, require_size
from bidsmill.storage.problems import Broken, status_of
from bidsmill.storage.service import Service

# Large enough that the time to first byte of an object store (some 50 ms) is small beside it.
BLOCK_BYTES = 8 << 20
# Small enough to be still in the processor's cache when it is written.
CHUNK_BYTES = 256 << 10
# A connection that breaks after less than this gained nothing: it counts as a failed attempt.
PROGRESS_BYTES = 64 << 10
# A file that is replaced while it comes is asked for again this often.
FRESH_STARTS = 2


def read_body(answer: Any) -> bytes:
    """Return the whole body of an answer.

    Raises
    ------
    Broken
        If it ends too early.
    """
    return b"".join(chunks(answer))


def chunks(answer: Any) -> Iterator[bytes]:
    """Give the body of an answer in pieces.

    Raises
    ------
    Broken
        If it ends before the length that its head states.
    """
    from botocore.exceptions import BotoCoreError
    from urllib3.exceptions import HTTPError

    left = int(answer["ContentLength"])
    with closing(answer["Body"]) as body:
        while left > 0:
            try:
                content = body.read(min(CHUNK_BYTES, left))
            except (BotoCoreError, HTTPError, OSError) as error:
                raise Broken(f"{type(error).__name__}: {error}") from None
            if not content:
                raise Broken(f"the answer ended {left} bytes too early")
            left -= len(content)
            yield content


def read_range(service: Service, key: str, file: str, start: int, stop: int) -> bytes:
    """Return the bytes ``[start, stop)`` of an object, as far as it goes."""
    from botocore.exceptions import ClientError

    def attempt() -> bytes:
        try:
            answer = service.ask_once("get_object", Key=key, Range=f"bytes={start}-{stop - 1}")
        except ClientError as error:
            if status_of(error) == 416:  # it begins after the end
                return b""
            raise
        content = read_body(answer)
        # A server that ignores ranges sends all.
        return content if "ContentRange" in answer else content[start:stop]

    return service.persist(attempt, file=file) if start < stop else b""


def download(
    service: Service,
    key: str,
    file: str,
    target: Path | memoryview,
    progress: Progress | None = None,
) -> None:
    """Write an object to a file or a buffer; all ranges are of one state of the object.

    Parameters
    ----------
    service : Service
        The bucket.
    key : str
        Of the object.
    file : str
        Relative, for messages.
    target : pathlib.Path or memoryview
        A temporary name; or a buffer for an object of this size.
    progress : callable, optional
        Given the bytes that came; a negative number if the object has to come again.

    Raises
    ------
    NotStored, NoPermission, Unreachable
        See `Service.ask`.
    Conflict
        If the object is replaced again and again.
    BidsmillError
        If the object does not have the size of the buffer.
    """
    for _ in range(FRESH_STARTS + 1):
        sink = _Memory(target) if isinstance(target, memoryview) else _File(target)
        arrival = _Arrival(service, key, file, sink, progress or (lambda count: None))
        try:
            arrival.run()
            return
        except _Replaced:
            arrival.forget()
    raise Conflict(
        "this file is replaced while it is read",
        file=service.connection.place + file,
        todo="wait until nobody writes it, and read again",
    )


class _Replaced(Exception):
    """The object is another one than at the beginning, or cannot be gone on with."""


class _GivenUp(Exception):
    """Another range of the object has failed."""


class _File:
    """A file that an object is written to."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> None:
        self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)

    def close(self) -> None:
        os.close(self._handle)

    def make_room(self, file: str, total: int) -> None:
        os.ftruncate(self._handle, total)

    def write(self, content: bytes, start: int) -> None:
        view = memoryview(content)
        while view:
            written = os.pwrite(self._handle, view, start)
            view, start = view[written:], start + written

    def size(self) -> int:
        return os.fstat(self._handle).st_size


class _Memory:
    """A buffer that an object is written to."""

    def __init__(self, target: memoryview) -> None:
        self._target = target

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def make_room(self, file: str, total: int) -> None:
        require_size(file, total, len(self._target))

    def write(self, content: bytes, start: int) -> None:
        self._target[start : start + len(content)] = content

    def size(self) -> int:
        return len(self._target)


class _Arrival:
    """One object on its way."""

    def __init__(
        self, service: Service, key: str, file: str, sink: _File | _Memory, progress: Progress
    ) -> None:
        self._service, self._key, self._file = service, key, file
        self._sink, self._progress = sink, progress
        self._guard = threading.Lock()
        self._counted = 0
        self._error: BaseException | None = None
        self._tag = ""

    def forget(self) -> None:
        """Take back what was counted."""
        self._progress(-self._counted)

    def run(self) -> None:
        """Bring the whole object."""
        self._sink.open()
        try:
            answer = self._service.persist(self._first_answer, file=self._file)
            total = total_size(answer)
            try:
                self._sink.make_room(self._service.connection.place + self._file, total)
            except BaseException:
                answer["Body"].close()
                raise
            if "ContentRange" in answer:
                self._tag = answer["ETag"]
                self._in_ranges(answer, total)
            elif self._write(answer, 0)[1]:
                raise _Replaced  # cannot be gone on with: it comes again
            if self._counted != total or self._sink.size() != total:
                raise _Replaced
        finally:
            self._sink.close()

    def _first_answer(self) -> Any:
        """Ask for the first range; its answer tells how many there are, and of what."""
        from botocore.exceptions import ClientError

        try:
            first = f"bytes=0-{BLOCK_BYTES - 1}"
            answer = self._service.ask_once("get_object", Key=self._key, Range=first)
            if "ContentRange" not in answer or answer.get("ETag"):
                return answer
            answer["Body"].close()  # nothing would tell apart two states of the object
        except ClientError as error:
            if status_of(error) != 416:  # that is what an empty object says
                raise
        return self._service.ask_once("get_object", Key=self._key)

    def _in_ranges(self, answer: Any, total: int) -> None:
        """Write the first range and fetch the others meanwhile."""
        starts = range(BLOCK_BYTES, total, BLOCK_BYTES)
        blocks = [(start, min(start + BLOCK_BYTES, total)) for start in starts]
        tasks: list[Future] = []
        try:
            for start, stop in blocks:
                tasks.append(self._service.threads.submit(self._fetch, start, stop))
            self._fetch(0, min(BLOCK_BYTES, total), answer)
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            if self._error:
                for task in tasks:
                    task.cancel()
            wait(tasks)
        if self._error:
            raise self._error

    def _fail(self, error: BaseException) -> None:
        with self._guard:
            self._error = self._error or error

    def _fetch(self, start: int, stop: int, answer: Any | None = None) -> None:
        """Write one range, going on where a connection broke."""
        reached = start

        def attempt() -> bool:
            nonlocal reached, answer
            if self._error:
                raise _GivenUp
            given, answer = answer or self._ask(reached, stop), None
            before = reached
            reached, broken = self._write(given, reached)
            if broken and reached - before < PROGRESS_BYTES:
                raise broken
            return reached == stop

        try:
            while not self._service.persist(attempt, file=self._file):
                pass
        except _GivenUp:
            pass
        except BaseException as error:
            self._fail(error)

    def _ask(self, start: int, stop: int) -> Any:
        from botocore.exceptions import ClientError

        try:
            answer = self._service.ask_once(
                "get_object", Key=self._key, Range=f"bytes={start}-{stop - 1}", IfMatch=self._tag
            )
        except ClientError as error:
            if status_of(error) in (412, 416):
                raise _Replaced from None
            raise
        if not answer.get("ContentRange", "").startswith(f"bytes {start}-{stop - 1}/"):
            answer["Body"].close()
            raise _Replaced
        return answer

    def _write(self, answer: Any, start: int) -> tuple[int, Broken | None]:
        """Write what comes; return where it ends, and what ended it too early."""
        reached = start
        try:
            for content in chunks(answer):
                self._sink.write(content, reached)
                reached += len(content)
                with self._guard:
                    self._counted += len(content)
                    self._progress(len(content))
                if self._error:
                    raise _GivenUp
        except Broken as broken:
            return reached, broken
        return reached, None


def total_size(answer: Any) -> int:
    """Return the bytes of the whole object of which an answer may hold a range."""
    _, slash, total = answer.get("ContentRange", "").rpartition("/")
    return int(total) if slash and total.isdecimal() else int(answer["ContentLength"])
