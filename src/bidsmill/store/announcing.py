"""How a publish and gc keep out of each other's way, by notes in the store.

A publish first announces the files that it relies on, then looks for statements of gc. gc first
states what it is about to remove, then looks for announcements. So at least one of them sees the
other (the store shows every write to all later reads), and the publish waits.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, manifest
from bidsmill.storage.contract import NotStored, Storage

log = logging.getLogger(__name__)

PUBLISHING, REMOVING = "publishing/", "removing/"
# An announcement that was not refreshed for so long is of a publish that ended.
STALE_ANNOUNCEMENT = timedelta(days=7)
# gc removes for ten minutes at most after its statement; the rest is for clocks that differ.
STALE_STATEMENT = timedelta(hours=1)
REFRESH_SECONDS = 600.0


def new_id() -> str:
    """Return a name that nobody else has, and that says nothing of person or machine."""
    return secrets.token_hex(8)


def note(**content: Any) -> bytes:
    """Return a note for other processes, with the time."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return files.json_bytes({"contract": manifest.CONTRACT, **content, "refreshed": now})


def files_named(storage: Storage, prefix: str, path: str) -> set[str] | None:
    """Return the files that a note names; None if it is gone.

    A note that cannot be read names everything of its kind that one may not touch: the error is
    left to the caller.
    """
    try:
        content = json.loads(storage.read(path))
        return {str(name) for name in content["files"]}
    except NotStored:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise BidsmillError(
            f"a note in {prefix} cannot be read",
            file=f"{storage}/{path}",
            found=repr(error),
            todo="remove it, if nobody publishes to this store now",
        ) from None


class Announcement:
    """What a publish tells others: these files must stay.

    Parameters
    ----------
    storage : Storage
        The store.
    dataset : str
        Dataset id.
    relied_on : iterable of str
        Paths in the store, there already or not.
    """

    def __init__(self, storage: Storage, dataset: str, relied_on: Iterable[str]):
        self.storage, self.dataset = storage, dataset
        self.relied_on = sorted(relied_on)
        self.path = f"{PUBLISHING}{new_id()}.json"
        self._refreshed = 0.0

    def make(self) -> None:
        """Write the announcement, or write it again with the present time."""
        self.storage.put(self.path, note(dataset=self.dataset, files=self.relied_on))
        self._refreshed = time.monotonic()

    def keep_fresh(self) -> None:
        """Write it again if the last time is a while ago."""
        if time.monotonic() - self._refreshed > REFRESH_SECONDS:
            self.make()

    def take_back(self) -> None:
        """Remove the announcement."""
        self.storage.remove([self.path])

    def wait_for_removals(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wait until no statement of gc names a file that this publish relies on."""
        relied_on, began, pause, told = set(self.relied_on), time.monotonic(), 0.1, False
        own = self.storage.stat(self.path)
        # By the clock of the store, that of this machine may be another.
        announced = own.modified if own is not None else datetime.now(UTC)
        while True:
            now = announced + timedelta(seconds=time.monotonic() - began)
            open_statements = [
                statement.path
                for statement in self.storage.stored(REMOVING)
                if now - statement.modified < STALE_STATEMENT
            ]
            if not any(self._concerns(path, relied_on) for path in open_statements):
                return
            if not told:
                log.warning("waiting: bidsmill gc removes files that this version has, too")
                told = True
            self.keep_fresh()
            sleep(pause)
            pause = min(2 * pause, 5.0)

    def _concerns(self, path: str, relied_on: set[str]) -> bool:
        try:
            named = files_named(self.storage, REMOVING, path)
        except BidsmillError:
            return True  # until it is old: nobody knows what it names
        return named is not None and not relied_on.isdisjoint(named)


def announced_files(storage: Storage, stale: timedelta = STALE_ANNOUNCEMENT) -> set[str]:
    """Return all files that running publishes rely on.

    Raises
    ------
    BidsmillError
        If an announcement cannot be read: then nothing may be removed.
    """
    now, found = datetime.now(UTC), set()
    for announcement in storage.stored(PUBLISHING):
        if now - announcement.modified <= stale:
            found |= files_named(storage, PUBLISHING, announcement.path) or set()
    return found
