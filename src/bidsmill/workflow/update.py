"""Locks by hand: commit one, and see what an update of it would bring."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from bidsmill.bids.recordings import included
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.sources.lock import make_lock, read_lock
from bidsmill.workflow.news import file_changes
from bidsmill.workflow.plan import plan_member, recordings_of

# Sources whose versions are named by an archive, which always has a latest one.
VERSIONED = ("openneuro", "nemar")
MOST_PATHS = 20
SIGNS = {"added": "+", "changed": "~", "removed": "-"}


def commit_lock(dataset: str, settings: dict[str, Any], locks: Path) -> list[str]:
    """Ask the source of a dataset and write its lock to the folder of committed locks.

    Parameters
    ----------
    dataset : str
        Dataset id.
    settings : dict
        Its settings.
    locks : pathlib.Path
        ``config/locks``. A lock that is there stays as it is.

    Returns
    -------
    list of str
        Lines for the person who asked.
    """
    path = locks / f"{dataset}.json"
    if path.is_file():
        lock = read_lock(path)
        return [
            f"{dataset}: {path} holds {lock['snapshot']} ({_amount(lock['files'])})",
            f"  what is new:  bidsmill lock --update {dataset}",
        ]
    lock = _new_lock(dataset, settings, Path("results") / dataset)
    files.write_json(path, lock)
    return [f"{dataset}: {lock['snapshot']} ({_amount(lock['files'])}) locked in {path}"]


def show_update(
    dataset: str, settings: dict[str, Any], locks: Path, *, accept: bool, every_path: bool
) -> list[str]:
    """Say what an update of a lock would bring, before anything is fetched.

    Parameters
    ----------
    dataset : str
        Dataset id.
    settings : dict
        Its settings. Of an archive with versions the latest is looked at, whichever the config
        names.
    locks : pathlib.Path
        ``config/locks``.
    accept : bool
        Whether to write the new lock there.
    every_path : bool
        Whether to list every path; the first `MOST_PATHS` of a kind otherwise.

    Returns
    -------
    list of str
        Lines for the person who asked.

    Raises
    ------
    BidsmillError
        If there is no lock yet, the source does not answer, or the new version is to be
        accepted while the config names another.
    """
    path, results = locks / f"{dataset}.json", Path("results") / dataset
    current = next((p for p in (path, results / "lock.json") if p.is_file()), None)
    if current is None:
        raise BidsmillError(
            f"{dataset} has no lock yet",
            found=f"neither {path} nor {results / 'lock.json'}",
            todo=f"bidsmill lock {dataset}",
        )
    old = {key: value for key, value in read_lock(current).items() if key != "split"}
    asked = dict(settings)
    if settings["source"] in VERSIONED:
        asked.pop("version", None)
    new = _new_lock(dataset, asked, results)
    lines = [f"{dataset}: {old['snapshot']} ({current}) -> {new['snapshot']}"]
    lines += _news(old, new, settings["include"], every_path)
    pinned = settings.get("version") if settings["source"] in VERSIONED else None
    if pinned is not None and pinned.removeprefix("v") != new["snapshot"].removeprefix("v"):
        todo = f"set `version: {new['snapshot']}` in the config"
        if accept:
            raise BidsmillError(
                f"the config asks for version {pinned} of {dataset}",
                found=f"{new['snapshot']} is the latest",
                todo=f"{todo}, and accept it again",
            )
        return [*lines, f"  take it in:   {todo} first"]
    if accept:
        files.write_json(path, new)
        return [*lines, f"  written to {path}; the next run takes it in"]
    if old == new:
        return lines
    if current == path:
        return [*lines, f"  take it in:   bidsmill lock --update --accept {dataset}"]
    return [*lines, "  take it in:   snakemake --cores 2 --forcerun lock (with your --configfile)"]


def _news(old, new, include: dict[str, list], every_path: bool) -> list[str]:
    changes = file_changes(old["files"], new["files"])
    if not any(changes.values()):
        return ["  no file has changed"]
    return [
        *_change_lines(changes, old["files"], new["files"], every_path),
        *_recording_lines(old, new, include),
    ]


def _new_lock(dataset: str, settings: dict[str, Any], results: Path) -> dict[str, Any]:
    """Ask the source, and leave what is under ``results/`` as it is."""
    with tempfile.TemporaryDirectory() as name:
        state = results / "lock-state.json"
        if state.is_file():
            shutil.copy(state, name)
        return make_lock(dataset, settings, Path(name))


def _change_lines(changes, old, new, every_path: bool) -> list[str]:
    sizes = {e["path"]: e for e in old} | {e["path"]: e for e in new}
    lines = []
    for kind, paths in changes.items():
        lines.append(f"  {kind:8} {_amount([sizes[path] for path in paths])}")
        shown = paths if every_path else paths[:MOST_PATHS]
        lines += [f"    {SIGNS[kind]} {path}" for path in shown]
        if len(paths) > len(shown):
            lines.append(f"    ... and {len(paths) - len(shown)} more (--all lists them)")
    return lines


def _recording_lines(old, new, include: dict[str, list]) -> list[str]:
    before, after = (_members(lock, include) for lock in (old, new))
    both = set(before) & set(after)
    changed = sum(before[stem] != after[stem] for stem in both)
    return [
        f"  recordings: {len(set(after) - set(before))} added, {changed} changed,"
        f" {len(set(before) - set(after))} removed, {len(both) - changed} unchanged"
    ]


def _members(lock: dict[str, Any], include: dict[str, list]) -> dict[str, dict[str, Any]]:
    known = {entry["path"]: entry for entry in lock["files"]}
    found = [r for r in recordings_of(lock, None) if included(r, include)]
    return {recording.stem: plan_member(recording, known) for recording in found}


def _amount(entries: list[dict[str, Any]]) -> str:
    size = sum(entry["size"] or 0 for entry in entries) / 1e6
    unit = "file" if len(entries) == 1 else "files"
    return f"{len(entries)} {unit}, {size:,.1f} MB"
