"""Whether a file of the lock is there, and is still that file."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bidsmill.bids.pointers import pointer_kind
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.formats import files
from bidsmill.formats.files import sha256_file
from bidsmill.sources.listing import Entry, identity

# path -> [size, mtime in ns, inode, sha256, identity]: what the last look at a file saw, and
# which version of the file that is (see `listing.identity`).
State = dict[str, list]


def look_at(path: Path, known: list | None = None) -> list | None:
    """Return what is seen of a file; it is read only if it moved since the last look.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    known : list, optional
        What was seen before.

    Returns
    -------
    list or None
        An entry of `State`; None for what is no file or cannot be read.
    """
    try:
        facts = path.stat()
        # A pipe would never end.
        if not stat.S_ISREG(facts.st_mode):
            return None
        seen = [facts.st_size, facts.st_mtime_ns, facts.st_ino]
        if known and len(known) == 5 and known[:3] == seen:
            return known
        sha256 = sha256_file(path)
        return [*seen, sha256, f"sha256:{sha256}"]
    except OSError:
        return None


def is_locked_file(path: Path, look: list, wanted: str | None, known: list | None) -> bool:
    """Return whether what was seen is the version that the lock holds.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    look : list
        What was seen just now (see `look_at`).
    wanted : str or None
        The identity in the lock.
    known : list or None
        What was seen when the file was fetched: an identity that cannot be computed (a version
        in a bucket) holds as long as the bytes are those.
    """
    if wanted is None:
        return False
    if wanted in (look[4], f"sha256:{look[3]}"):
        return True
    if known and len(known) == 5 and known[4] == wanted and known[3] == look[3]:
        return True
    algorithm, _, digest = wanted.partition(":")
    if algorithm not in ("md5", "git") or look[4].startswith(f"{algorithm}:"):
        return False
    hasher = hashlib.new("md5" if algorithm == "md5" else "sha1", usedforsecurity=False)
    if algorithm == "git":
        hasher.update(f"blob {look[0]}\0".encode())
    with open(path, "rb") as file:
        while content := file.read(1 << 20):
            hasher.update(content)
    return hasher.hexdigest() == digest


def check_files(root: Path, wanted: dict[str, str | None], state: State) -> tuple[str, str] | None:
    """Check that the files of a recording are still those of the lock, and hold data.

    Parameters
    ----------
    root : pathlib.Path
        The dataset.
    wanted : dict
        Path -> identity (None: it was a broken link when it was locked).
    state : dict
        What the lock, or the fetch, saw: a file that did not move since is not read.

    Returns
    -------
    tuple of str or None
        Reason code and message of the first problem; None if all is well.
    """
    for name, version in wanted.items():
        path = root / name
        kind = pointer_kind(path)
        if kind:
            return "content_not_fetched", (
                f"{name} is a {kind} pointer: the content was not fetched"
                " (in your own folder fetch it, e.g. with `datalad get` or `git lfs pull`, then"
                " --forcerun lock; of an archive tell its keepers)"
            )
        look = look_at(path, state.get(name))
        if look is None:
            return "file_missing", (
                f"{name} is missing or cannot be read, though the lock names it"
                " (to fetch what is missing: --forcerun lock)"
            )
        if not is_locked_file(path, look, version, state.get(name)):
            return "source_changed", (
                f"{name} is not the file that was locked; found sha256 {look[3][:12]}…,"
                f" expected {_short(version)} (take the news in: --forcerun lock)"
            )
        # A sidecar may be empty, and so may a file inside a recording that is a folder (CTF).
        inside = "." in Path(name).parent.name
        if look[0] == 0 and not inside and not name.endswith((".tsv", ".json")):
            return "empty_file", f"{name} has 0 bytes"
    return None


def _short(version: str | None) -> str:
    """Return an identity as it is shown to a person."""
    if version is None:
        return "none"
    algorithm, _, digest = version.partition(":")
    return f"{algorithm} {digest[:12]}{'…' if len(digest) > 12 else ''}"


def require_files(root: Path, wanted: dict[str, str | None], state: State) -> None:
    """Raise what `check_files` finds: a stage calls this just before it reads the files.

    Raises
    ------
    RecordingProblem
        With the reason code and message of the first problem.
    """
    problem = check_files(root, wanted, state)
    if problem:
        raise RecordingProblem(*problem)


def sha256_of(root: Path, wanted: Iterable[str], state: State) -> dict[str, str | None]:
    """Return the sha256 of files that `check_files` found to be well.

    Parameters
    ----------
    root : pathlib.Path
        The dataset.
    wanted : iterable of str
        The files.
    state : dict
        As for `check_files`.
    """
    looks = {name: look_at(root / name, state.get(name)) for name in wanted}
    return {name: look[3] if look else None for name, look in looks.items()}


def read_state(results: Path, batch: str | None = None) -> State:
    """Return what the last look at the files of a dataset saw.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``. A local dataset keeps one ``lock-state.json``; of one that is
        fetched, each batch keeps its ``fetch-state/{batch}.json``.
    batch : str, optional
        Of a fetched dataset, the files of this batch; all if absent.

    Returns
    -------
    dict
        Empty if nothing was looked at, or what was seen cannot be read.
    """
    folder = results / "fetch-state"
    paths = [folder / f"{batch}.json"] if batch else sorted(folder.glob("*.json"))
    state = _read(results / "lock-state.json")
    for path in paths:
        _add(state, _read(path))
    # What a fetch that was killed had brought until then.
    for path in [folder / f"{batch}.log"] if batch else sorted(folder.glob("*.log")):
        _add(state, _read_lines(path))
    return state


def _add(state: State, other: State) -> None:
    """Add what was seen elsewhere; of one file the later version counts."""
    for path, seen in other.items():
        if path not in state or seen[1] >= state[path][1]:
            state[path] = seen


def write_state(results: Path, name: str, state: State) -> None:
    """Remember what was seen of the files of a batch (or of ``dataset``), when all is done."""
    path = results / "fetch-state" / f"{name}.json"
    files.replace_if_different(path, files.json_bytes(dict(sorted(state.items()))))
    path.with_suffix(".log").unlink(missing_ok=True)


def remember(results: Path, name: str, path: str, seen: list) -> None:
    """Remember one file at once, so that an interruption does not fetch it again.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``.
    name : str
        The batch, or ``dataset``.
    path : str
        The file.
    seen : list
        Its entry of `State`.
    """
    log = results / "fetch-state" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps([path, seen], ensure_ascii=True) + "\n"
    with open(log, "ab", buffering=0) as file:
        file.write(line.encode("ascii"))


def keep_state_of(results: Path, batches: set[str]) -> None:
    """Keep what batches that exist no longer saw: under the name of the dataset as a whole.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``.
    batches : set of str
        The batches that there are now.
    """
    folder = results / "fetch-state"
    gone = [path for path in sorted(folder.glob("b*.json")) if path.stem not in batches]
    if gone:
        state = _read(folder / "dataset.json")
        for path in gone:
            _add(state, _read(path))
        write_state(results, "dataset", state)
    for path in gone:
        path.unlink()


def _read(path: Path) -> State:
    try:
        content = files.read_json(path) if path.is_file() else {}
    except BidsmillError:
        return {}
    return _sound(content.items()) if isinstance(content, dict) else {}


def _read_lines(path: Path) -> State:
    pairs = []
    for line in path.read_bytes().split(b"\n")[:-1] if path.is_file() else ():
        try:
            name, seen = json.loads(line)
        except (ValueError, TypeError):
            continue  # two processes wrote at once on a disk that lets them
        pairs.append((name, seen))
    return _sound(pairs)


def _sound(pairs: Iterable[tuple[Any, Any]]) -> State:
    """Return the entries that have the shape of `State`: a damaged one is as good as none."""
    kinds = (int, int, int, str, str | None)
    return {
        name: seen
        for name, seen in pairs
        if isinstance(name, str)
        and isinstance(seen, list)
        and len(seen) == len(kinds)
        and all(isinstance(value, kind) for value, kind in zip(seen, kinds, strict=True))
    }


def seen_of(path: Path, sha256: str, entry: Entry) -> list:
    """Return the entry of `State` for a file that has just been fetched."""
    facts = os.stat(path)
    return [facts.st_size, facts.st_mtime_ns, facts.st_ino, sha256, identity(entry)]
