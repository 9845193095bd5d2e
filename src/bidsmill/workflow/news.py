"""What a new lock brings: recordings, and files, that came, changed or went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bidsmill.batches import Member
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.sources.listing import Entry, identity


def changes_since(
    folder: Path, snapshot: str, lock_sha256: str, members: list[Member]
) -> dict[str, Any]:
    """Return which recordings came, changed or went since the plans before these.

    Parameters
    ----------
    folder : pathlib.Path
        ``results/{dataset}/plan``, with the plans of the run before, if there was one.
    snapshot : str
        The version of the new lock.
    lock_sha256 : str
        Of the new lock.
    members : list of dict
        The recordings of the new plans.

    Returns
    -------
    dict
        ``from`` and ``to`` (versions) and sorted stems under ``added``, ``changed`` and
        ``removed``. Empty if there was no run before. A plan that brings nothing new repeats
        what the last news were, so that a report does not forget them.
    """
    path = folder / "dataset.json"
    before = _read(path) if path.is_file() else {}
    if not before:
        return {}
    stems = {member["stem"] for member in members}
    if before.get("lock_sha256") == lock_sha256 and set(before["recordings"]) == stems:
        return before.get("changes", {})
    plans = [_read(plan) for plan in sorted(folder.glob("b*.json"))]
    old = {member["stem"]: member for plan in plans for member in plan.get("members", [])}
    new = {member["stem"]: member for member in members}
    return {
        "from": before["snapshot"],
        "to": snapshot,
        "added": sorted(set(new) - set(old)),
        "changed": sorted(stem for stem in set(new) & set(old) if new[stem] != old[stem]),
        "removed": sorted(set(old) - set(new)),
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        return files.read_json(path)
    except BidsmillError:
        return {}


def file_changes(old: list[Entry], new: list[Entry]) -> dict[str, list[str]]:
    """Return which files differ between two locks.

    Parameters
    ----------
    old, new : list of dict
        ``files`` of the locks.

    Returns
    -------
    dict
        Sorted paths under ``added``, ``changed`` and ``removed``. A file with another address
        and the same checksum has not changed.
    """
    before = {entry["path"]: (entry["size"], identity(entry)) for entry in old}
    after = {entry["path"]: (entry["size"], identity(entry)) for entry in new}
    both = set(before) & set(after)
    return {
        "added": sorted(set(after) - set(before)),
        "changed": sorted(path for path in both if before[path] != after[path]),
        "removed": sorted(set(before) - set(after)),
    }
