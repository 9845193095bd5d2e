"""Find the files beside a header that hold its samples and its markers."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bidsmill.bids.pointers import pointer_kind
from bidsmill.errors import RecordingProblem

# The name under which git-annex keeps content (git-annex manual, "key format").
ANNEX_KEY = re.compile(r"(MD5|SHA\d+|SHA\d_\d+|BLAKE2\w*|WORM|URL)E?(-[smSC]\d+)*--.+")


@dataclass
class Companion:
    """A file that a header names, and what lies beside the header.

    Attributes
    ----------
    named : str
        As the header says it; empty if it says nothing.
    path : pathlib.Path or None
        The file that is meant; None while that is open.
    beside : list of pathlib.Path
        Files with the stem of the header itself (BIDS: the files of a recording differ in their
        extension only).
    why : str
        Why `named` is not followed.
    """

    named: str
    path: Path | None = None
    beside: list[Path] = field(default_factory=list)
    why: str = ""

    @property
    def contradicted(self) -> bool:
        """Whether one file is named and another one lies beside the header under its stem."""
        return self.path is not None and bool(self.beside) and self.path not in self.beside


def plain_name(named: str) -> str | None:
    """Return the name of a file of the same folder, or None if the text leads elsewhere."""
    name = named[2:] if named.startswith("./") else named
    if not name or name in (".", "..") or re.search(r"[/\\\0]|^[A-Za-z]:", name):
        return None
    return name


def find_companion(header: Path, named: str, extensions: Collection[str]) -> Companion:
    """Look for the file that a header names; only its own folder is searched.

    Parameters
    ----------
    header : pathlib.Path
        The header file.
    named : str
        What it names.
    extensions : collection of str
        Extensions that such a file may have, in lower case.

    Returns
    -------
    Companion
        With `path` where the named file is there and belongs to no other recording.
    """
    with os.scandir(header.parent) as found:
        # A folder, or a link to one, is no companion; a broken link is one that was not fetched.
        entries = sorted(entry.name for entry in found if not entry.is_dir())
    beside = [
        header.parent / entry
        for entry in entries
        if Path(entry).stem == header.stem and Path(entry).suffix.lower() in extensions
    ]
    companion = Companion(named.strip(), beside=beside)
    name = plain_name(companion.named)
    if not companion.named:
        companion.why = "nothing is named"
    elif name is None:
        companion.why = "the name leads out of the folder"
    elif ANNEX_KEY.fullmatch(name):
        companion.why = "the name is a git-annex key"
    elif name not in entries:
        companion.why = "there is no such file"
    elif Path(name).stem != header.stem and _owner(header, name, entries):
        companion.why = f"that file belongs to {_owner(header, name, entries)}"
    else:
        companion.path = header.parent / name
    return companion


def _owner(header: Path, name: str, entries: list[str]) -> str | None:
    """Return the other header whose stem a file has."""
    extension = header.suffix.lower()
    return next(
        (e for e in entries if Path(e).stem == Path(name).stem and e.lower().endswith(extension)),
        None,
    )


def described(companion: Companion) -> str:
    """Return what is named and what is there, for messages."""
    beside = ", ".join(path.name for path in companion.beside)
    named = repr(companion.named) if companion.named else "no file"
    return f"{named} is named ({companion.why or 'it is there'}); beside the header: " + (
        beside or "no file of its name"
    )


def refuse_unusable(path: Path, data: str, *, may_be_empty: bool = False) -> None:
    """Refuse a companion that holds nothing.

    Parameters
    ----------
    path : pathlib.Path
        The companion.
    data : str
        The data file of the recording, relative to the dataset.
    may_be_empty : bool
        Whether 0 bytes are content: a file of no markers.

    Raises
    ------
    RecordingProblem
        ``content_not_fetched`` or ``empty_file``.
    """
    file = (PurePosixPath(data).parent / path.name).as_posix()
    kind = pointer_kind(path)
    if kind:
        raise RecordingProblem(
            "content_not_fetched",
            "the content of this file was not fetched",
            file=file,
            found=f"a {kind}" + ("" if kind == "broken link" else " pointer"),
            expected="samples or markers",
            todo="fetch the content (`datalad get`, `git lfs pull`)",
        )
    if not may_be_empty and path.stat().st_size == 0:
        raise RecordingProblem(
            "empty_file",
            "this file is empty",
            file=file,
            found="0 bytes",
            todo="fetch it again",
        )
