"""Bring files of a lock from their archive to the folder of the dataset."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsmill.formats import files
from bidsmill.formats.space import require_room
from bidsmill.sources.answers import Arrived, Failed, Reader, Refused, WrongAnswer, unreachable
from bidsmill.sources.download import Download
from bidsmill.sources.listing import Entry, identity
from bidsmill.sources.partial import begun_bytes, tidy_all
from bidsmill.sources.place import dataset_root
from bidsmill.sources.presence import (
    State,
    is_locked_file,
    look_at,
    read_state,
    remember,
    seen_of,
    write_state,
)
from bidsmill.sources.progress import Progress
from bidsmill.sources.remote import open_reader
from bidsmill.sources.retries import Passing, try_again

log = logging.getLogger(__name__)

# Files that belong to the dataset as a whole: the name of their state and manifest.
DATASET = "dataset"
DESCRIPTION = "dataset_description.json"
# Codes of files that a source refuses; if it refuses every file, it is the source.
REFUSED = {"file_missing", "not_data"}

# Path -> reason code and message.
Problems = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class RemoteDataset:
    """A dataset in an archive, as it was locked.

    Attributes
    ----------
    dataset : str
        Dataset id.
    settings : dict
        Those that say where it comes from, and ``fetch``.
    results : pathlib.Path
        ``results/{dataset}``; files go to ``bids/``.
    snapshot : str
        The version of the lock.
    locked : dict
        Path -> entry of every file of the lock.
    """

    dataset: str
    settings: dict[str, Any]
    results: Path
    snapshot: str
    locked: dict[str, Entry]

    @property
    def root(self) -> Path:
        """Where the files lie."""
        return dataset_root(self.settings, self.results)


def locked_dataset(dataset: str, settings: dict[str, Any], results: Path) -> RemoteDataset:
    """Return a dataset as ``lock.json`` has it."""
    lock = files.read_json(results / "lock.json")
    locked = {entry["path"]: entry for entry in lock["files"]}
    return RemoteDataset(dataset, settings, results, lock["snapshot"], locked)


def fetch_files(source: RemoteDataset, paths: list[str], name: str) -> Problems:
    """Fetch files that are not there yet in the version of the lock.

    Files that were fetched under this name before, and are no longer in the lock, are removed.

    Parameters
    ----------
    source : RemoteDataset
        Where they come from.
    paths : list of str
        Files of the lock.
    name : str
        Batch, or ``dataset``: under this name it is remembered what is there.

    Returns
    -------
    dict
        Path -> reason code and message, for each file that did not come.

    Raises
    ------
    BidsmillError
        If the source cannot be reached, or gives out nothing; if the disk is full.
    """
    root, results = source.root, source.results
    entries = [source.locked[path] for path in paths]
    state = read_state(results, name)
    gone = set(state) - set(source.locked)
    _remove_files(root, {path: state.pop(path) for path in gone})
    seen, wanted = _present(source, entries, state)
    # What is not asked for now is remembered on: another batch may ask for it.
    seen.update({path: known for path, known in state.items() if path not in set(paths)})
    log.info("%d files are there, %d to fetch", len(entries) - len(wanted), len(wanted))
    outcomes = _download(source, entries, wanted, seen, name) if wanted else {}
    done = [e for e in entries if not isinstance(outcomes.get(e["path"]), Failed)]
    _tidy(source, entries, done)
    write_state(results, name, seen)
    problems = {
        path: (outcome.code, outcome.message)
        for path, outcome in sorted(outcomes.items())
        if isinstance(outcome, Failed)
    }
    for path, (code, message) in problems.items():
        log.warning("%s did not come (%s): %s", path, code, message)
    proven = sum(isinstance(o, Arrived) and o.verified for o in outcomes.values())
    log.info(
        "fetched %d files, %d of them compared with a checksum of the source; %d did not come",
        len(wanted) - len(problems),
        proven,
        len(problems),
    )
    return problems


def _tidy(source: RemoteDataset, entries: list[Entry], done: list[Entry]) -> None:
    """Remove temporary files of what is done, and of versions that are no longer in the lock."""
    finished = {entry["path"] for entry in done}
    useful = [entry for path, entry in source.locked.items() if path not in finished]
    tidy_all({(source.root / entry["path"]).parent for entry in entries}, useful)


def _download(
    source: RemoteDataset, entries: list[Entry], wanted: list[Entry], seen: State, name: str
) -> dict[str, Arrived | Failed]:
    """Download files, and remember each as it comes."""
    root, fetch = source.root, source.settings["fetch"]
    root.mkdir(parents=True, exist_ok=True)
    require_space(root, wanted)
    total, done = _volume(source.results, name, entries, wanted)
    progress = Progress(source.dataset, total, done)

    def landed(entry: Entry, sha256: str) -> None:
        path = entry["path"]
        seen[path] = seen_of(root / path, sha256, entry)
        remember(source.results, name, path, seen[path])

    with (
        closing(progress),
        closing(open_reader(source.dataset, source.settings, source.snapshot)) as reader,
    ):

        def answer() -> str:
            return _answer(reader, _probe(source, seen), fetch["retries"])

        def answers() -> bool:
            return answer() != "silence"

        outcomes = Download(root, reader, fetch, progress.add, landed, answers).run(wanted)
        _require_answers(outcomes, answer)
    return outcomes


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


def _present(
    source: RemoteDataset, entries: list[Entry], state: State
) -> tuple[State, list[Entry]]:
    """Return what is seen of the files that are there, and the entries of the others."""
    seen: State = {}
    wanted = []
    others: State | None = None
    for entry in entries:
        path, version = entry["path"], identity(entry)
        target = files.inside(source.root, path)
        known = state.get(path)
        if known is None and target.is_file():
            others = read_state(source.results) if others is None else others
            known = others.get(path)
        look = look_at(target, known)
        if look and is_locked_file(target, look, version, known):
            seen[path] = [*look[:4], version]
        else:
            wanted.append(entry)
    return seen, wanted


def _volume(results: Path, name: str, entries: list[Entry], wanted: list[Entry]) -> tuple[int, int]:
    """Return the bytes of the whole dataset, and those that are there, for the bar.

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


def require_space(root: Path, wanted: list[Entry]) -> None:
    """Refuse to begin what does not fit on the disk.

    Parameters
    ----------
    root : pathlib.Path
        Where the files will lie; it may not be there yet.
    wanted : list of dict
        Files that are to be fetched. What has come of them counts as there.

    Raises
    ------
    DiskFull
        That says how much is free and how much is needed.
    """
    require_room(
        root,
        _size(wanted) - begun_bytes(root, wanted),
        what="the disk has no room for the dataset",
        purpose="what is still to be fetched",
        todo="make room, or choose fewer recordings (`include`, `limits` in the config)",
    )


def _probe(source: RemoteDataset, seen: State) -> Entry | None:
    """Return a small file that the source gave out before."""
    came = {path: source.locked[path] for path in seen if path in source.locked}
    came = {path: entry for path, entry in came.items() if entry["size"]}
    known = source.locked.get(DESCRIPTION)
    if known and (source.root / DESCRIPTION).is_file():
        return known
    return min(came.values(), key=lambda entry: (entry["size"], entry["path"]), default=None)


def _answer(reader: Reader, probe: Entry | None, retries: int) -> str:
    """Return what a source says to a file that it gave out before.

    Returns
    -------
    str
        ``given``, ``refused`` (or a page in its place), or ``silence``.
    """
    if probe is None:
        return "silence"

    def ask() -> None:
        with reader.ask(probe, 0, probe["size"]) as answer:
            for _ in answer.chunks():
                return

    try:
        try_again(ask, min(retries, 2))
    except Refused as problem:
        return "given" if problem.code == "source_changed" else "refused"
    except WrongAnswer as problem:
        return "refused" if problem.code == "not_data" else "given"
    except Passing:
        return "silence"
    return "given"


def _require_answers(outcomes: dict[str, Arrived | Failed], answer: Callable[[], str]) -> None:
    """Tell a few bad files from a source that has gone: the latter must not cost recordings.

    Raises
    ------
    BidsmillError
        If files failed for want of an answer and there is none to a file that came before, or if
        everything is refused, that file too.
    """
    failed = [outcome for outcome in outcomes.values() if isinstance(outcome, Failed)]
    silent = [outcome for outcome in failed if outcome.code == "fetch_failed"]
    if silent and answer() == "silence":
        raise unreachable(silent[0].message)
    refused = [outcome for outcome in failed if outcome.code in REFUSED]
    if refused and len(refused) == len(outcomes) and answer() != "given":
        raise unreachable(refused[0].message)
