"""A BIDS folder on a disk: its files and their checksums; read in place, never copied."""

from __future__ import annotations

import logging
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bidsmill.bids.pointers import pointer_kind
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.formats import files
from bidsmill.formats.files import sha256_file

log = logging.getLogger(__name__)

# Folders of a dataset that hold no raw recordings (BIDS 1.10, "Directory structure").
EXCLUDED_FOLDERS = {"derivatives", "sourcedata", "code", "stimuli"}

# path -> [size, mtime in ns, inode, sha256]: what the last look at the folder saw.
State = dict[str, list]


def list_files(root: Path) -> list[str]:
    """Return the files of a BIDS folder as sorted POSIX paths relative to it.

    Hidden files and folders are left out, and at the top `EXCLUDED_FOLDERS`. Links to folders
    outside are followed, each folder once; links to folders of the dataset itself name nothing
    new, and are not. Broken links are files that cannot be read, and are listed. A name that is
    not UTF-8, which BIDS does not allow, is left out with a warning.

    Raises
    ------
    BidsmillError
        If there is no such folder, or it holds no dataset_description.json.
    """
    if not root.is_dir():
        raise BidsmillError(
            "the dataset's folder is missing",
            file=root,
            todo="correct `path` in the config, or mount the disk",
        )
    if not (root / "dataset_description.json").is_file():
        raise BidsmillError(
            "this is no BIDS dataset",
            file=root,
            expected="a file dataset_description.json in it",
            todo="name the folder that holds the `sub-...` folders",
        )
    found: list[str] = []
    links: list[str] = []
    own: set[str] = set()
    _walk(root, "", found, links, own)
    followed = set(own)
    # Links come after all real folders, so that a link never stands in for the folder itself.
    while links:
        prefix = links.pop(0)
        real = os.path.realpath(root / prefix)
        if real not in followed:
            followed.add(real)
            _walk(root, prefix, found, links, set(own))
    return sorted(found)


def _walk(root: Path, prefix: str, found: list[str], links: list[str], seen: set[str]) -> None:
    """List the files of one folder and of the real folders in it; collect links to folders."""
    real = os.path.realpath(root / prefix)
    if real in seen:
        return
    seen.add(real)
    with os.scandir(root / prefix) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.name.startswith(".") or (not prefix and entry.name in EXCLUDED_FOLDERS):
                continue
            path = f"{prefix}{entry.name}"
            if not _is_utf8(path):
                log.warning("left out, as its name is not UTF-8: %s", ascii(path))
            elif entry.is_dir(follow_symlinks=False):
                _walk(root, f"{path}/", found, links, seen)
            elif os.path.isdir(entry.path):
                links.append(f"{path}/")
            else:
                found.append(path)


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def checksums(root: Path, paths: list[str], state: State) -> tuple[list[dict[str, Any]], State]:
    """Return size and sha256 of files; only what moved since `state` is read.

    Parameters
    ----------
    root : pathlib.Path
        The dataset.
    paths : list of str
        Files relative to it.
    state : dict
        As returned by the last call; empty at first.

    Returns
    -------
    files : list of dict
        ``path``, ``size`` and ``sha256``; both None for a broken link and for what cannot be
        read.
    state : dict
        For the next call.
    """
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        looks = list(pool.map(lambda path: _look(root / path, state.get(path)), paths))
    listed, new_state = [], {}
    for path, look in zip(paths, looks, strict=True):
        size, sha256 = (look[0], look[3]) if look else (None, None)
        listed.append({"path": path, "size": size, "sha256": sha256})
        if look:
            new_state[path] = look
    return listed, new_state


def _look(path: Path, known: list | None) -> list | None:
    try:
        facts = path.stat()
        # A pipe would never end.
        if not stat.S_ISREG(facts.st_mode):
            return None
        seen = [facts.st_size, facts.st_mtime_ns, facts.st_ino]
        return known if known and known[:3] == seen else [*seen, sha256_file(path)]
    except OSError:
        return None


def check_files(root: Path, wanted: dict[str, str | None], state: State) -> tuple[str, str] | None:
    """Check that the files of a recording are still those of the lock, and hold data.

    Parameters
    ----------
    root : pathlib.Path
        The dataset.
    wanted : dict
        Path -> sha256 (None: it was a broken link when it was locked).
    state : dict
        What the lock saw: a file that did not move since is not read.

    Returns
    -------
    tuple of str or None
        Reason code and message of the first problem; None if all is well.
    """
    for name, sha256 in wanted.items():
        path = root / name
        kind = pointer_kind(path)
        if kind:
            return "content_not_fetched", (
                f"{name} is a {kind} pointer: the content was not fetched"
                " (fetch it, e.g. with `datalad get` or `git lfs pull`, then --forcerun lock)"
            )
        look = _look(path, state.get(name))
        if look is None:
            return "file_missing", f"{name} is missing or cannot be read, though the lock names it"
        if look[3] != sha256:
            return "source_changed", (
                f"{name} is not the file that was locked; found sha256 {look[3][:12]}…,"
                f" expected {(sha256 or 'none')[:12]}… (take the news in: --forcerun lock)"
            )
        # A sidecar may be empty, and so may a file inside a recording that is a folder (CTF).
        inside = "." in Path(name).parent.name
        if look[0] == 0 and not inside and not name.endswith((".tsv", ".json")):
            return "empty_file", f"{name} has 0 bytes"
    return None


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


def read_state(results: Path) -> State:
    """Return what the last look at a local dataset saw (empty if there was none)."""
    path = results / "lock-state.json"
    try:
        return files.read_json(path) if path.is_file() else {}
    except BidsmillError:
        return {}
