"""Files that stand for data that were never fetched."""

from __future__ import annotations

import os
import re
from pathlib import Path

# A pointer is one or a few short lines; larger files are data (Git LFS specification, "The
# Pointer": less than 1024 bytes).
MAX_POINTER_BYTES = 1024
# git-annex: a pointer file begins with the line "/annex/objects/KEY", a broken link leads to
# ".git/annex/objects" (git-annex manual, "pointer files"); archives also serve the bare key as
# the file's content.
ANNEX = re.compile(rb"(?:.*/annex/objects/|(?:MD5|SHA1|SHA256|SHA512|BLAKE2B?\d*)E?-s\d+--)\S+\s*")
# Git LFS specification, "The Pointer": the first line names the version.
LFS = b"version https://git-lfs.github.com/spec/"


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
    return pointed_to_by(head)


def pointed_to_by(content: bytes) -> str | None:
    """Return ``git-annex`` or ``Git LFS`` if `content` stands for a file kept there, else None."""
    if len(content) > MAX_POINTER_BYTES or b"\0" in content:
        return None
    if content.startswith(LFS):
        return "Git LFS"
    return "git-annex" if ANNEX.fullmatch(content.split(b"\n", 1)[0]) else None
