"""A BIDS folder on a disk: its files and their checksums; read in place, never copied."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bidsmill.errors import BidsmillError
from bidsmill.sources.listing import Entry
from bidsmill.sources.presence import State, look_at
from bidsmill.sources.selection import OTHER_FOLDERS

log = logging.getLogger(__name__)


def list_files(root: Path, folders: Sequence[str] = ()) -> list[str]:
    """Return the files of a BIDS folder as sorted POSIX paths relative to it.

    Hidden files and folders are left out, and at the top `OTHER_FOLDERS`, but for those that
    `folders` names. Links to folders
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
    left_out = set(OTHER_FOLDERS) - set(folders)
    _walk(root, "", found, links, own, left_out)
    followed = set(own)
    # Links come after all real folders, so that a link never stands in for the folder itself.
    while links:
        prefix = links.pop(0)
        real = os.path.realpath(root / prefix)
        if real not in followed:
            followed.add(real)
            _walk(root, prefix, found, links, set(own), left_out)
    return sorted(found)


def _walk(
    root: Path,
    prefix: str,
    found: list[str],
    links: list[str],
    seen: set[str],
    left_out: set[str],
) -> None:
    """List the files of one folder and of the real folders in it; collect links to folders."""
    real = os.path.realpath(root / prefix)
    if real in seen:
        return
    seen.add(real)
    with os.scandir(root / prefix) as entries:
        for entry in sorted(entries, key=lambda e: e.name):
            if entry.name.startswith(".") or (not prefix and entry.name in left_out):
                continue
            path = f"{prefix}{entry.name}"
            if not _is_utf8(path):
                log.warning("left out, as its name is not UTF-8: %s", ascii(path))
            elif entry.is_dir(follow_symlinks=False):
                _walk(root, f"{path}/", found, links, seen, left_out)
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


def checksums(root: Path, paths: list[str], state: State) -> tuple[list[Entry], State]:
    """Return size and checksum of files; only what moved since `state` is read.

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
        ``path``, ``size`` and ``checksum`` (``sha256:…``); both None for a broken link and for
        what cannot be read.
    state : dict
        For the next call.
    """
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        looks = list(pool.map(lambda path: look_at(root / path, state.get(path)), paths))
    listed, new_state = [], {}
    for path, look in zip(paths, looks, strict=True):
        size, checksum = (look[0], f"sha256:{look[3]}") if look else (None, None)
        listed.append({"path": path, "size": size, "checksum": checksum})
        if look:
            new_state[path] = look
    return listed, new_state
