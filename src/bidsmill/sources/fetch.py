"""Fetch the files of a batch, or of the dataset as a whole, and say what is there."""

from __future__ import annotations

import logging
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.sources.answers import Arrived, Failed, Reader, Refused, WrongAnswer, unreachable
from bidsmill.sources.download import Download
from bidsmill.sources.listing import Entry, identity
from bidsmill.sources.partial import tidy_all
from bidsmill.sources.place import dataset_root
from bidsmill.sources.presence import (
    State,
    check_files,
    is_locked_file,
    look_at,
    read_state,
    remember,
    seen_of,
    sha256_of,
    write_state,
)
from bidsmill.sources.progress import Progress
from bidsmill.sources.remote import is_remote, open_reader
from bidsmill.sources.retries import Passing, try_again

log = logging.getLogger(__name__)

# Left free on the disk for results and logs.
RESERVE_BYTES = 256 << 20
# Files that belong to the dataset as a whole: the name of their state and manifest.
DATASET = "dataset"

# Path -> reason code and message.
Problems = dict[str, tuple[str, str]]


def fetch_batch(
    plan_path: Path, manifest_path: Path, *, settings: dict[str, Any], results: Path
) -> None:
    """Fetch the files of a batch and write ``fetch/{batch}.json``.

    A local dataset is read in place: nothing is copied. A file that does not come, is no longer
    the one of the lock, is missing, empty or a pointer costs its recording, and no other.

    Parameters
    ----------
    plan_path, manifest_path : pathlib.Path
        Read and written.
    settings : dict
        Settings of the dataset that say where it comes from.
    results : pathlib.Path
        ``results/{dataset}``.

    Raises
    ------
    BidsmillError
        If the source cannot be reached at all, or the disk is full.
    """
    plan = files.read_json(plan_path)
    root, name = dataset_root(settings, results), plan["batch"]
    problems: Problems = {}
    if is_remote(settings):
        paths = sorted({p for m in plan["members"] for p in (*m["files"], *m["sidecar_files"])})
        lock = files.read_json(results / "lock.json")
        problems = _fetch_locked(plan["dataset"], settings, results, lock, paths, name)
    elif settings["source"] == "sample":
        _write_sample(root, plan)
    state = read_state(results, name)
    members = {}
    for member in plan["members"]:
        wanted = {**member["files"], **member["sidecar_files"]}
        problem = next((problems[path] for path in wanted if path in problems), None)
        problem = problem or check_files(root, wanted, state)
        if problem:
            log.info("%s: %s", member["stem"], problem[1])
        members[member["stem"]] = (
            {"status": "present", "files": sha256_of(root, member["files"], state)}
            if problem is None
            else {"status": "missing", "reason": problem[0], "message": problem[1]}
        )
    log.info("%d recordings present", sum(m["status"] == "present" for m in members.values()))
    files.write_json(manifest_path, {"batch": name, "members": members})


def _write_sample(root: Path, plan: dict[str, Any]) -> None:
    wanted = [name for member in plan["members"] for name in member["files"]]
    if not all((root / name).is_file() for name in wanted):
        from bidsmill.sources.sample import write_sample

        write_sample(root)


def fetch_dataset(
    overview_path: Path, manifest_path: Path, *, settings: dict[str, Any], results: Path
) -> None:
    """Fetch the files that belong to a dataset as a whole; remove those that left the lock.

    Parameters
    ----------
    overview_path, manifest_path : pathlib.Path
        ``plan/dataset.json``, read, and ``fetch/dataset.json``, written: ``missing`` maps what
        did not come to reason code and message.
    settings : dict
        Settings of the dataset that say where it comes from.
    results : pathlib.Path
        ``results/{dataset}``.

    Raises
    ------
    BidsmillError
        If the source cannot be reached at all, or the disk is full.
    """
    overview = files.read_json(overview_path)
    problems: Problems = {}
    if is_remote(settings):
        lock = files.read_json(results / "lock.json")
        paths, dataset = overview["dataset_files"], overview["dataset"]
        problems = _fetch_locked(dataset, settings, results, lock, paths, DATASET)
    files.write_json(manifest_path, {"missing": dict(sorted(problems.items()))})


def _fetch_locked(
    dataset: str,
    settings: dict[str, Any],
    results: Path,
    lock: dict[str, Any],
    paths: list[str],
    name: str,
) -> Problems:
    known = {entry["path"]: entry for entry in lock["files"]}
    state = read_state(results, name)
    gone = set(state) - set(known)
    _remove_files(dataset_root(settings, results), {path: state.pop(path) for path in gone})
    entries = [known[path] for path in paths]
    return fetch_files(dataset, settings, results, entries, lock["snapshot"], name, state)


def _remove_files(root: Path, gone: State) -> None:
    """Remove files that were fetched once and are no longer in the lock."""
    for path, seen in sorted(gone.items()):
        target = files.inside(root, path)
        # Only what nobody has changed since is ours to remove (a copy of it has another inode).
        look = look_at(target, seen)
        if look and look[3] == seen[3]:
            target.unlink()
            _remove_empty(target.parent, root)
            log.info("removed %s: it is no longer in the lock", path)


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove a folder and those above it, as far as nothing is left in them."""
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def fetch_files(
    dataset: str,
    settings: dict[str, Any],
    results: Path,
    entries: list[Entry],
    snapshot: str,
    name: str,
    state: State,
) -> Problems:
    """Fetch files that are not there yet in the version of the lock.

    Parameters
    ----------
    dataset : str
        Dataset id.
    settings : dict
        Settings of the dataset that say where it comes from.
    results : pathlib.Path
        ``results/{dataset}``; files go to ``bids/``.
    entries : list of dict
        Files of the lock.
    snapshot : str
        The version of the lock.
    name : str
        Batch, or ``dataset``: under this name it is remembered what is there.
    state : dict
        What was remembered under this name.

    Returns
    -------
    dict
        Path -> reason code and message, for each file that did not come.

    Raises
    ------
    BidsmillError
        If the source cannot be reached at all, or the disk is full.
    """
    root = dataset_root(settings, results)
    seen, wanted = _present(root, results, entries, state)
    # What is not asked for now is remembered on: another batch may ask for it.
    asked = {entry["path"] for entry in entries}
    seen.update({path: known for path, known in state.items() if path not in asked})
    log.info("%d files are there, %d to fetch", len(entries) - len(wanted), len(wanted))
    folders = {(root / entry["path"]).parent for entry in entries}
    tidy_all(folders, wanted)
    if not wanted:
        write_state(results, name, seen)
        return {}
    root.mkdir(parents=True, exist_ok=True)
    total, done = _volume(results, name, entries, wanted)
    _require_space(root, total - done)
    progress = Progress(dataset, total, done)

    def landed(entry: Entry, sha256: str) -> None:
        path = entry["path"]
        seen[path] = seen_of(root / path, sha256, entry)
        remember(results, name, path, seen[path])

    with closing(progress), closing(open_reader(dataset, settings, snapshot)) as reader:
        download = Download(root, reader, settings["fetch"], progress.add, landed)
        outcomes = download.run(wanted)
        _require_answers(reader, outcomes, entries)
    problems = {
        path: (outcome.code, outcome.message)
        for path, outcome in outcomes.items()
        if isinstance(outcome, Failed)
    }
    for path, (code, message) in sorted(problems.items()):
        log.warning("%s did not come (%s): %s", path, code, message)
    write_state(results, name, seen)
    log.info("fetched %d files, %d did not come", len(wanted) - len(problems), len(problems))
    return problems


def _present(
    root: Path, results: Path, entries: list[Entry], state: State
) -> tuple[State, list[Entry]]:
    """Return what is seen of the files that are there, and the entries of the others."""
    seen: State = {}
    wanted = []
    others: State | None = None
    for entry in entries:
        path, version = entry["path"], identity(entry)
        target = files.inside(root, path)
        known = state.get(path)
        if known is None and target.is_file():
            others = read_state(results) if others is None else others
            known = others.get(path)
        look = look_at(target, known)
        if look and is_locked_file(target, look, version, known):
            seen[path] = [*look[:4], version]
        else:
            wanted.append(entry)
    return seen, wanted


def _volume(results: Path, name: str, entries: list[Entry], wanted: list[Entry]) -> tuple[int, int]:
    """Return the bytes of the whole dataset, and those that are there.

    Of other batches the plan says how much they hold, and their manifests say that it is there.
    """
    path = results / "plan" / "dataset.json"
    volumes = files.read_json(path)["bytes"] if path.is_file() else {}
    volumes[name] = _size(entries)
    finished = {manifest.stem for manifest in (results / "fetch").glob("*.json")} - {name}
    done = sum(volumes[batch] for batch in finished & set(volumes))
    return sum(volumes.values()), done + volumes[name] - _size(wanted)


def _size(entries: list[Entry]) -> int:
    return sum(entry["size"] or 0 for entry in entries)


def _require_space(root: Path, needed: int) -> None:
    free = shutil.disk_usage(root).free
    if needed + RESERVE_BYTES > free:
        raise BidsmillError(
            "the disk has no room for the dataset",
            file=root,
            found=f"{free / 1e9:.2f} GB free",
            expected=f"{(needed + RESERVE_BYTES) / 1e9:.2f} GB for what is still to be fetched",
            todo="make room, or choose fewer recordings (`include` in the config)",
        )


def _require_answers(
    reader: Reader, outcomes: dict[str, Arrived | Failed], entries: list[Entry]
) -> None:
    """Tell a few bad files from a source that has gone: the latter must not cost recordings.

    Raises
    ------
    BidsmillError
        If files failed for want of an answer, and a file that came before gets none either.
    """
    failed = [o for o in outcomes.values() if isinstance(o, Failed) and o.code == "fetch_failed"]
    if not failed:
        return
    bad = {path for path, outcome in outcomes.items() if isinstance(outcome, Failed)}
    for entry in entries:
        if entry["path"] in bad or not entry["size"]:
            continue
        probe = entry
        break
    else:
        raise unreachable(failed[0].message)

    def ask() -> None:
        with reader.ask(probe, 0, 1) as answer:
            for _ in answer.chunks():
                return

    try:
        try_again(ask, 2)
    except Refused:
        return  # somebody is there
    except Passing as problem:
        if not isinstance(problem, WrongAnswer) or problem.code == "not_data":
            raise unreachable(failed[0].message) from None
