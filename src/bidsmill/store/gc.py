"""Remove what no kept version of a store names, while others read it and publish to it.

Nothing is removed of a dataset whose pointer or manifests cannot be read. Whatever is there but
is neither a file nor a manifest of a dataset, nor a note of a publish or of gc, is never touched.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, manifest
from bidsmill.storage.contract import NotStored, Storage, Stored, Unfinished
from bidsmill.store.announcing import (
    PUBLISHING,
    REMOVING,
    STALE_ANNOUNCEMENT,
    announced_files,
    new_id,
    note,
)
from bidsmill.store.pointing import POINTER, replace

log = logging.getLogger(__name__)

OLDER_THAN = timedelta(days=7)
# Files per statement, and how long one statement is acted upon: a publish may wait for it.
BATCH = 1000
SECONDS_PER_STATEMENT = 600.0
REMOVED_AT_ONCE = 100


@dataclass
class Contents:
    """What a store holds of one dataset.

    Attributes
    ----------
    pointed : bool
        Whether there is a pointer.
    manifests : dict
        Version -> its manifest, as stored.
    stored : list of Stored
        Immutable files.
    """

    pointed: bool = False
    manifests: dict[str, Stored] = field(default_factory=dict)
    stored: list[Stored] = field(default_factory=list)


@dataclass
class Finding:
    """What gc found of one dataset.

    Attributes
    ----------
    dataset : str
        Dataset id.
    versions : list of str
        Versions that are kept, the oldest first.
    dropped : list of str
        Versions that leave the history.
    remove : list of Stored
        Manifests of no kept version, then files that no kept version names.
    kept : dict
        Reason -> (files, bytes) that are kept for it.
    problem : str
        Why nothing of this dataset may be removed, or ''.
    """

    dataset: str
    versions: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    remove: list[Stored] = field(default_factory=list)
    kept: dict[str, tuple[int, int]] = field(default_factory=dict)
    problem: str = ""

    def keep(self, reason: str, size: int) -> None:
        """Count a file that is kept."""
        count, total = self.kept.get(reason, (0, 0))
        self.kept[reason] = (count + 1, total + size)


@dataclass
class Removable:
    """What gc found in a store.

    Attributes
    ----------
    findings : list of Finding
        One per dataset, sorted.
    notes : list of Stored
        Announcements and statements of processes that ended long ago.
    unfinished : list of Unfinished
        Uploads that were begun long ago and never ended.
    """

    findings: list[Finding]
    notes: list[Stored]
    unfinished: list[Unfinished]


def find_removable(
    storage: Storage, *, keep: int | None = None, older_than: timedelta = OLDER_THAN
) -> Removable:
    """Return what may go; nothing is written.

    Parameters
    ----------
    storage : Storage
        The store.
    keep : int, optional
        So many versions of each dataset are kept, the latest ones; all of the history if absent.
    older_than : datetime.timedelta
        Files that are younger are kept.

    Raises
    ------
    BidsmillError
        If an announcement cannot be read.
    """
    announced = announced_files(storage)
    findings = []
    for dataset, contents in sorted(_contents(storage).items()):
        finding = Finding(dataset)
        try:
            _judge(storage, finding, contents, keep, older_than, announced)
        except BidsmillError as error:
            finding.remove, finding.problem = [], str(error)
        findings.append(finding)
    long_ago = datetime.now(UTC) - STALE_ANNOUNCEMENT
    return Removable(findings, list(_stale_notes(storage)), storage.unfinished("", long_ago))


def _contents(storage: Storage) -> dict[str, Contents]:
    """Return what the store holds of each dataset, by one listing."""
    found: dict[str, Contents] = {}
    for stored in storage.stored("datasets/"):
        parts = stored.path.split("/")
        if len(parts) < 3:
            continue
        contents = found.setdefault(parts[1], Contents())
        if POINTER.fullmatch(stored.path):
            contents.pointed = True
        elif parts[2] == "versions" and len(parts) == 4 and stored.path.endswith(".json"):
            contents.manifests[parts[3].removesuffix(".json")] = stored
        elif parts[2] == "files" and len(parts) > 3:
            contents.stored.append(stored)
    return {dataset: c for dataset, c in found.items() if c.pointed or c.manifests or c.stored}


def _judge(
    storage: Storage,
    finding: Finding,
    contents: Contents,
    keep: int | None,
    older_than: timedelta,
    announced: set[str],
) -> None:
    """Say of every file of a dataset whether it goes, or why it stays."""
    if contents.pointed:
        history = _history(storage, finding.dataset)
        finding.versions = history[-keep:] if keep else history
        finding.dropped = [version for version in history if version not in finding.versions]
    elif contents.manifests:
        raise BidsmillError(
            "there are versions, but no latest.json",
            todo="publish the dataset again, or remove its folder by hand",
        )
    named: set[str] = set()
    for version in finding.versions:
        named |= _named(storage, finding.dataset, version)
    now = datetime.now(UTC)
    candidates = [*contents.manifests.values(), *contents.stored]
    for stored in candidates:
        if stored.path in named:
            finding.keep("named by a kept version", stored.size)
        elif stored.path in announced:
            finding.keep("announced by a publish", stored.size)
        elif now - stored.modified < older_than:
            finding.keep("too young", stored.size)
        else:
            finding.remove.append(stored)


def _history(storage: Storage, dataset: str) -> list[str]:
    """Return the versions of the history, the latest last."""
    path = manifest.pointer_path(dataset)
    pointer = manifest.read_pointer(storage.read(path), f"{storage}/{path}")
    versions = [entry["version"] for entry in pointer["history"]]
    return [version for version in versions if version != pointer["version"]] + [pointer["version"]]


def _named(storage: Storage, dataset: str, version: str) -> set[str]:
    """Return the paths that a version needs, its manifest among them."""
    try:
        content = manifest.read_manifest(storage, dataset, version)
    except NotStored:
        raise BidsmillError(
            "a version of the history has no manifest",
            file=f"{storage}/{manifest.manifest_path(dataset, version)}",
            todo="restore it, or shorten the history: bidsmill gc --keep",
        ) from None
    paths = {entry["path"] for entry in content["files"]}
    return paths | {manifest.manifest_path(dataset, version)}


def _stale_notes(storage: Storage) -> Iterator[Stored]:
    """Give the announcements and statements of processes that ended long ago."""
    now = datetime.now(UTC)
    for prefix in (PUBLISHING, REMOVING):
        for stored in storage.stored(prefix):
            if now - stored.modified > STALE_ANNOUNCEMENT:
                yield stored


def remove_found(
    storage: Storage,
    found: Removable,
    *,
    keep: int | None = None,
    tell: Callable[[str], None] = log.warning,
) -> list[Stored]:
    """Remove what `find_removable` found, as far as nobody needs it by now.

    For each dataset: shorten the history, so that no reader finds the versions that go; state
    what is about to be removed; read announcements and pointer again; remove what is still not
    needed, manifests first; take the statement back.

    Parameters
    ----------
    storage : Storage
        The store.
    found : Removable
        As `find_removable` returned it.
    keep : int, optional
        As it was given there.
    tell : callable
        Is told what could not be done.

    Returns
    -------
    list of Stored
        Files and notes that were removed.
    """
    removed: list[Stored] = []
    for finding in found.findings:
        if finding.problem:
            continue
        try:
            if finding.dropped and keep:
                shorten_history(storage, finding.dataset, keep)
            for start in range(0, len(finding.remove), BATCH):
                batch = finding.remove[start : start + BATCH]
                removed += _remove_batch(storage, finding.dataset, batch)
        except BidsmillError as error:
            tell(f"{finding.dataset}: {error}")
    storage.remove([stored.path for stored in found.notes])
    storage.discard(found.unfinished)
    return removed + found.notes


def shorten_history(storage: Storage, dataset: str, keep: int) -> None:
    """Leave the last `keep` versions in the history of a dataset."""
    path = manifest.pointer_path(dataset)

    def shortened(content: bytes | None) -> bytes | None:
        if content is None:
            return None
        pointer = manifest.read_pointer(content, f"{storage}/{path}")
        others = [e for e in pointer["history"] if e["version"] != pointer["version"]]
        latest = [e for e in pointer["history"] if e["version"] == pointer["version"]]
        kept = [*others, *latest][-keep:]
        return files.json_bytes({**pointer, "history": kept})

    replace(storage, path, shortened)


def _remove_batch(storage: Storage, dataset: str, batch: list[Stored]) -> list[Stored]:
    """Remove files of a dataset, in step with publishes that begin now."""
    statement = f"{REMOVING}{new_id()}.json"
    storage.put(statement, note(dataset=dataset, files=[stored.path for stored in batch]))
    began = time.monotonic()
    try:
        # First announcements, then the pointer: a publish moves its pointer before it takes its
        # announcement back, so that what is in neither is not needed.
        needed = announced_files(storage)
        needed |= _needed_now(storage, dataset)
        chosen = [stored for stored in batch if stored.path not in needed]
        removed: list[Stored] = []
        for start in range(0, len(chosen), REMOVED_AT_ONCE):
            if time.monotonic() - began > SECONDS_PER_STATEMENT:
                break  # a publish that waits for the statement must not wait for ever
            some = chosen[start : start + REMOVED_AT_ONCE]
            storage.remove([stored.path for stored in some])
            removed += some
        return removed
    finally:
        storage.remove([statement])


def _needed_now(storage: Storage, dataset: str) -> set[str]:
    path = manifest.pointer_path(dataset)
    if storage.stat(path) is None:
        return set()
    needed: set[str] = set()
    for version in _history(storage, dataset):
        needed |= _named(storage, dataset, version)
    return needed


def as_dict(found: Removable) -> dict[str, Any]:
    """Return findings as JSON: what goes, and what stays and why."""
    return {
        "datasets": [
            {
                "dataset": finding.dataset,
                "versions": finding.versions,
                "dropped": finding.dropped,
                "problem": finding.problem,
                "remove": [{"path": s.path, "size": s.size} for s in finding.remove],
                "kept": {
                    reason: {"files": count, "bytes": total}
                    for reason, (count, total) in finding.kept.items()
                },
            }
            for finding in found.findings
        ],
        "notes": [stored.path for stored in found.notes],
        "unfinished": [each.path for each in found.unfinished],
    }
