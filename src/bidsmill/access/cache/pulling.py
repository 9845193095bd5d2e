"""Many matrices at a time: the network of one beside the decoding of another."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.access.cache.memory import Gate
from bidsmill.errors import BidsmillError

if TYPE_CHECKING:
    from bidsmill.storage.contract import Progress

# Decoding holds up to four row groups in memory, of at most 128 MB each. Two more than there are
# processors: meanwhile others wait for the disk.
MOST_DECODING = 4
# So many more are downloaded meanwhile (see `bidsmill.access.cache.memory.FILE_BYTES`).
AHEAD = 6

PullOne = Callable[[dict[str, Any], "Progress", Gate], None]


def in_parallel(
    entries: Iterable[dict[str, Any]],
    pull_one: PullOne,
    progress: Progress | None,
    workers: int | None,
    folder: Path,
) -> None:
    """Call ``pull_one(entry, progress, gate)`` for every entry.

    Parameters
    ----------
    entries : iterable of dict
        The manifest's entries.
    pull_one : callable
        Is to enter `gate` while it decodes.
    progress : callable or None
        Called with the number of bytes done since its last call; in sum the sizes of the entries.
    workers : int or None
        How many at a time.
    folder : pathlib.Path
        The cache folder, for messages.

    Raises
    ------
    BidsmillError
        The first problem, after what was under way has ended.
    """
    decoding = max(1, min((os.cpu_count() or 1) + 2, MOST_DECODING))
    count = decoding + AHEAD if workers is None else max(1, workers)
    gate = Gate(min(decoding, count))
    distinct = {entry["sha256"]: entry for entry in entries}
    counted = threading.Lock()

    def report(done: int) -> None:
        if progress is not None and done:
            with counted:
                progress(done)

    def one(entry: dict[str, Any]) -> None:
        share = _Share(report, entry["size"])
        pull_one(entry, share.add, gate)
        share.complete()

    with ThreadPoolExecutor(count, thread_name_prefix="pull") as pool:
        futures = [pool.submit(one, entry) for entry in distinct.values()]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown(wait=True, cancel_futures=True)
    problems = [f.exception() for f in futures if not f.cancelled() and f.exception()]
    if problems:
        raise _explained(problems[0], folder)


class _Share:
    """What one file has told of its bytes, which in the end are those of the file.

    A download that was tried twice tells more, and a file that was there already nothing.
    """

    def __init__(self, report: Callable[[int], None], size: int):
        self._report = report
        self._left = size
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            counted = min(count, self._left)
            self._left -= counted
        self._report(counted)

    def complete(self) -> None:
        self.add(self._left)


def _explained(problem: BaseException | None, folder: Path) -> BaseException:
    if not isinstance(problem, OSError):
        return problem or AssertionError("no problem")
    return BidsmillError(
        "the cache folder cannot be written",
        file=folder,
        found=problem.strerror or problem,
        todo="make room, or set BIDSMILL_CACHE to a folder with space",
    )
