"""Download many files at once: in ranges, resumed, verified, each whole or absent."""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats.files import inside
from bidsmill.sources.answers import Arrived, Failed, Reader, Refused, WrongAnswer, unreachable
from bidsmill.sources.listing import Entry
from bidsmill.sources.pace import Pace
from bidsmill.sources.partial import Partial, leftovers_in, temporary_stem
from bidsmill.sources.retries import Passing, try_again

log = logging.getLogger(__name__)

# Large files come in blocks of this size, side by side. Large enough that the time to first byte
# of an object store (some 50 ms) is small beside it, small enough to be lost without regret.
BLOCK_BYTES = 16 << 20
# A connection that breaks after less than this gained nothing: it counts as a failed attempt.
PROGRESS_BYTES = 64 << 10
# Files that arrive whole and wrong are asked for again this often.
FRESH_STARTS = 2
# So many files failed one after the other and not one byte came: nobody is there.
SILENT_FAILURES = 8


@dataclass
class _Arrival:
    """One file while it is downloaded."""

    entry: Entry
    partial: Partial
    in_ranges: bool
    active: int = 0
    counted: int = 0
    fresh_starts: int = 0
    failed: Failed | None = None
    sha256: str | None = None


@dataclass
class Download:
    """A set of files to download into a folder.

    Parameters
    ----------
    root : pathlib.Path
        The dataset's folder.
    reader : Reader
        How bytes are asked for.
    settings : dict
        ``parallel`` (requests at a time), ``bandwidth`` (MB/s, None: no limit), ``retries``.
    arrived : callable
        Called with each number of bytes that came and stayed (negative: thrown away).
    landed : callable
        Called with the entry and the sha256 of each file that has its final name.
    answers : callable
        Asked after many failures in a row: whether the source still gives out anything.
    """

    root: Path
    reader: Reader
    settings: dict[str, Any]
    arrived: Callable[[int], None] = lambda count: None
    landed: Callable[[Entry, str], None] = lambda entry, sha256: None
    answers: Callable[[], bool] = lambda: False
    _outcomes: dict[str, Arrived | Failed] = field(default_factory=dict)
    _under_way: dict[str, _Arrival] = field(default_factory=dict)
    _tasks: deque = field(default_factory=deque)
    _busy: int = 0
    _silent_failures: int = 0
    _crash: BaseException | None = None

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._halt = threading.Event()
        self._pace = Pace(self.settings["bandwidth"])

    def run(self, entries: list[Entry]) -> dict[str, Arrived | Failed]:
        """Download files; those that exist are replaced.

        Parameters
        ----------
        entries : list of dict
            Files of a lock.

        Returns
        -------
        dict
            Path -> `Arrived` or `Failed`, for every entry.

        Raises
        ------
        BidsmillError
            If the disk is full or cannot be written, or the source does not answer at all. What
            has come so far is resumed next time.
        """
        try:
            self._prepare(entries)
            self._run_workers()
        except OSError as error:
            raise _as_error(error, self.root) from None
        return self._outcomes

    def _prepare(self, entries: list[Entry]) -> None:
        """Make a task of each file."""
        targets = {entry["path"]: inside(self.root, entry["path"]) for entry in entries}
        leftovers = {
            folder: leftovers_in(folder) for folder in {t.parent for t in targets.values()}
        }
        for entry in entries:
            target = targets[entry["path"]]
            found = leftovers[target.parent].get(temporary_stem(entry), [])
            self._tasks.append((self._open, entry, target, found))

    def _run_workers(self) -> None:
        workers = [
            threading.Thread(target=self._work, name=f"download-{index}", daemon=True)
            for index in range(self.settings["parallel"])
        ]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                worker.join()
        except BaseException as interruption:
            self._stop(interruption)
            raise
        if self._crash:
            for arrival in self._under_way.values():
                # The disk may be full: then what a log still had to write is lost.
                with suppress(OSError):
                    arrival.partial.close()
            raise self._crash

    # Workers take tasks from one queue; opening a file puts its blocks before all other files.

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._tasks and self._busy and not self._crash:
                    self._changed.wait()
                if not self._tasks or self._crash:
                    return
                action, *arguments = self._tasks.popleft()
                self._busy += 1
            try:
                action(*arguments)
            except BaseException as error:
                self._stop(_as_error(error, self.root))
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def _stop(self, error: BaseException) -> None:
        with self._changed:
            self._crash = self._crash or error
            self._halt.set()
            self._changed.notify_all()

    def _first(self, tasks: list[tuple]) -> None:
        with self._changed:
            self._tasks.extendleft(reversed(tasks))
            self._changed.notify_all()

    def _open(self, entry: Entry, target: Path, leftovers: list[Path]) -> None:
        partial = Partial(target, entry, leftovers)
        arrival = _Arrival(entry, partial, in_ranges=entry["size"] is not None)
        self._under_way[entry["path"]] = arrival
        if partial.whole:
            log.info("%s: goes on at byte %d", entry["path"], partial.whole)
            self._count(arrival, partial.whole)
        self._ask_for(arrival)

    def _count(self, arrival: _Arrival, count: int) -> None:
        with self._changed:
            arrival.counted += count
        self.arrived(count)

    def _ask_for(self, arrival: _Arrival) -> None:
        """Queue the blocks of a file that are not there yet."""
        size, whole = arrival.entry["size"], arrival.partial.whole
        if size is not None and whole >= size:
            self._finish(arrival)
            return
        if arrival.in_ranges:
            starts = range(whole, size, BLOCK_BYTES)
            blocks = [(start, min(start + BLOCK_BYTES, size)) for start in starts]
        else:
            blocks = [(0, size)]
        with self._changed:
            # A thread may be about to leave a block of an earlier round.
            arrival.active += len(blocks)
        self._first([(self._fetch_block, arrival, start, stop) for start, stop in blocks])

    def _fetch_block(self, arrival: _Arrival, start: int, stop: int | None) -> None:
        finished = False
        try:
            if arrival.failed is None and not self._crash:
                end = self._stream_block(arrival, start, stop)
                finished = arrival.partial.block_done(start, end)
        except _RangesIgnored:
            arrival.failed = arrival.failed or _AGAIN_IN_ONE_PIECE
        except _GivenUp:
            log.debug("%s: given up, as another part failed", arrival.entry["path"])
        except (Passing, Refused) as problem:
            arrival.failed = arrival.failed or _as_failure(problem, self.settings["retries"])
        with self._changed:
            arrival.active -= 1
            last = arrival.active == 0
        if finished:
            self._finish(arrival)
        elif last and arrival.failed is _AGAIN_IN_ONE_PIECE:
            self._again(arrival, in_ranges=False)
        elif last and arrival.failed:
            self._fail(arrival, arrival.failed)

    def _stream_block(self, arrival: _Arrival, start: int, stop: int | None) -> int:
        """Bring one block to the disk and return where it ends."""
        reached = start

        def attempt() -> bool:
            nonlocal reached
            before = reached
            try:
                reached = self._stream(arrival, reached, start, stop)
                return True
            except _Broken as broken:
                if not arrival.in_ranges:
                    self._count(arrival, start - broken.reached)
                    raise Passing(str(broken)) from None
                reached = broken.reached
                if reached - before < PROGRESS_BYTES:
                    raise Passing(str(broken)) from None
                log.info("%s: %s; going on at byte %d", arrival.entry["path"], broken, reached)
                return False

        while not try_again(attempt, self.settings["retries"], self._halt):
            pass
        return reached

    def _stream(self, arrival: _Arrival, offset: int, start: int, stop: int | None) -> int:
        """Ask once, write what comes, and return the place after the last byte."""
        if arrival.failed or self._crash:
            raise _GivenUp
        # Without ranges one cannot go on in the middle: such a file begins again.
        ask_from = offset if arrival.in_ranges else start
        with self.reader.ask(
            arrival.entry, ask_from, stop if arrival.in_ranges else None
        ) as answer:
            if answer.checksum_is_none:
                arrival.partial.trust_size_only()
            if answer.start != ask_from:
                raise _RangesIgnored
            reached = ask_from
            try:
                for chunk in answer.chunks():
                    if stop is not None and reached + len(chunk) > stop:
                        if ask_from == 0 and stop != arrival.entry["size"]:
                            raise _RangesIgnored
                        raise WrongAnswer("wrong_size", "more bytes came than were asked for")
                    self._pace.spend(len(chunk))
                    arrival.partial.write(chunk, reached)
                    reached += len(chunk)
                    self._count(arrival, len(chunk))
                    self._silent_failures = 0
                    if self._crash or arrival.failed:
                        raise _GivenUp
            except WrongAnswer:
                self._count(arrival, ask_from - reached)
                raise
            except Passing as problem:
                raise _Broken(str(problem), reached) from None
        if stop is not None and reached < stop:
            raise _Broken(f"the answer ended {stop - reached} bytes too early", reached)
        return reached

    def _finish(self, arrival: _Arrival) -> None:
        """Give a whole file its final name, if it is the file that was asked for."""
        partial, path = arrival.partial, arrival.entry["path"]
        found = partial.found_checksum()
        problem = self._problem_of(arrival, found)
        if problem is None:
            sha256 = partial.sha256
            partial.commit()
            del self._under_way[path]
            self.landed(arrival.entry, sha256)
            self._outcomes[path] = Arrived(sha256, verified=found is not None)
        elif arrival.fresh_starts < FRESH_STARTS:
            log.info("%s: %s; asking again", path, problem.message)
            arrival.fresh_starts += 1
            self._again(arrival, in_ranges=arrival.in_ranges)
        else:
            self._fail(arrival, problem, keep=False)

    def _problem_of(self, arrival: _Arrival, found: str | None) -> Failed | None:
        """Return what speaks against a whole file."""
        entry = arrival.entry
        if found is not None:
            expected = entry["checksum"]
            text = f"found {found}, expected {expected}"
            return None if found == expected else Failed("wrong_checksum", text)
        if _is_page(arrival.partial.head(), entry["path"]):
            return Failed("not_data", "an HTML page came in place of the file")
        if self.reader.is_encrypted(entry) or arrival.sha256 == arrival.partial.sha256:
            return None
        # TLS notices bytes that change on their way; here only a second answer can.
        first, arrival.sha256 = arrival.sha256, arrival.partial.sha256
        text = "two answers differ" if first else "no checksum to compare with"
        return Failed("wrong_checksum", text)

    def _again(self, arrival: _Arrival, *, in_ranges: bool) -> None:
        self._count(arrival, -arrival.counted)
        arrival.failed, arrival.in_ranges = None, in_ranges
        arrival.partial.reset()
        self._ask_for(arrival)

    def _fail(self, arrival: _Arrival, problem: Failed, *, keep: bool = True) -> None:
        del self._under_way[arrival.entry["path"]]
        if keep and arrival.partial.whole:
            arrival.partial.close()
        else:
            arrival.partial.discard()
        self._outcomes[arrival.entry["path"]] = problem
        if problem.code == "fetch_failed":
            self._silent_failures += 1
            # Without this a source that went away would be asked for every file in turn.
            if self._silent_failures >= SILENT_FAILURES:
                if not self.answers():
                    raise unreachable(problem.message)
                self._silent_failures = 0


class _GivenUp(Exception):
    """Another part of the file, or of the download, has failed."""


class _RangesIgnored(Exception):
    """The server sends whole files only."""


class _Broken(Exception):
    """The connection ended before the answer did."""

    def __init__(self, message: str, reached: int):
        self.reached = reached
        super().__init__(message)


_AGAIN_IN_ONE_PIECE = Failed("", "")


def _as_failure(problem: Passing | Refused, retries: int) -> Failed:
    if isinstance(problem, Refused):
        return Failed(problem.code, str(problem))
    if isinstance(problem, WrongAnswer):
        return Failed(problem.code, f"{problem} (asked {retries + 1} times)")
    return Failed("fetch_failed", f"{problem} (asked {retries + 1} times)")


def _as_error(error: BaseException, root: Path) -> BaseException:
    """Say what a person can do about a disk that cannot be written."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BidsmillError(
            "the disk is full",
            file=root,
            todo="make room and run again; what has come so far is kept",
        )
    if isinstance(error, OSError):
        return BidsmillError("a fetched file cannot be written", file=root, found=error)
    return error


def _is_page(head: bytes, path: str) -> bool:
    """Return whether content is an HTML page under a name that promises something else."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:15].lower()
    return start.startswith((b"<!doctype html", b"<html")) and not path.lower().endswith(
        (".html", ".htm")
    )
