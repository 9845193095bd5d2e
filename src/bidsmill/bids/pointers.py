"""Files that stand for data that were never fetched."""

from __future__ import annotations

import os
from pathlib import Path

# A pointer is one or a few short lines; larger files are data.
MAX_POINTER_BYTES = 1024


def pointer_kind(path: Path) -> str | None:
    """Return what a file points to instead of holding data.

    Parameters
    ----------
    path : pathlib.Path
        A file or a link.

    Returns
    -------
    str or None
        ``git-annex`` (a pointer file, or a broken link into ``.git/annex``), ``Git LFS``,
        ``broken link``, or None for a file with content of its own.
    """
    if path.is_symlink() and not path.exists():
        return "git-annex" if ".git/annex/" in os.readlink(path) else "broken link"
    try:
        if path.is_dir() or path.stat().st_size > MAX_POINTER_BYTES:
            return None
        with open(path, "rb") as file:
            head = file.read(MAX_POINTER_BYTES)
    except OSError:
        return None
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        return "Git LFS"
    first = head.split(b"\n", 1)[0]
    if b"/annex/objects/" in first and b"\0" not in head:
        return "git-annex"
    return None
