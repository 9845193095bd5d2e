"""Checks that the BIDS validator does not make: who has data, and whether files hold any."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from bidsmill.bids.entities import DATATYPES, canonical_datatype
from bidsmill.bids.pointers import MAX_POINTER_BYTES, pointed_to_by
from bidsmill.bids.unmatched import unmatched_sidecars
from bidsmill.formats.files import inside

Issue = dict[str, Any]

POINTER_CODES = {"git-annex": "annex_pointer", "Git LFS": "lfs_pointer", None: None}
# What holds samples, in the formats BIDS allows for these datatypes (BIDS specification, EEG, MEG,
# iEEG, EMG and NIRS), not headers and markers.
SAMPLE_FILES = frozenset(
    {
        ".bdf",
        ".bin",
        ".con",
        ".dat",
        ".edf",
        ".eeg",
        ".fdt",
        ".fif",
        ".kdf",
        ".meg4",
        ".nwb",
        ".raw",
        ".set",
        ".snirf",
        ".sqd",
        ".tdat",
    }
)
# Calibration files of a machine are the same for every subject (BIDS specification, appendix MEG
# file formats: acq-crosstalk_meg.fif, acq-calibration_meg.dat).
CALIBRATION = re.compile(r"_acq-(?:crosstalk|calibration)_meg\.")
NO_PARTICIPANT = "sub-emptyroom"  # MEG noise recordings (BIDS specification, MEG)


def cross_check(
    files: Iterable[Mapping[str, Any]],
    participants: Sequence[str] | None,
    *,
    root: Path | None = None,
) -> list[Issue]:
    """Return what is wrong with the files of a dataset as a whole.

    Parameters
    ----------
    files : iterable of mapping
        ``path`` (relative to the dataset, with ``/``), ``size`` in bytes (None: a broken link)
        and ``checksum`` (None: not known) of every file.
    participants : sequence of str or None
        The column ``participant_id`` of participants.tsv (``sub-01``), or None without the file.
    root : pathlib.Path, optional
        The folder of the dataset, to look into small files for pointers. Without it, a file that
        is not there to be read is not looked into.

    Returns
    -------
    list of dict
        Sorted by file and code. Keys ``severity`` (``error`` or ``warning``), ``code``, ``file``
        and ``message``. Codes: ``subject_not_in_participants``, ``participant_without_data``,
        ``broken_link``, ``empty_file``, ``annex_pointer``, ``lfs_pointer``, ``identical_data``,
        ``sidecar_without_recording``.
    """
    listed = sorted(files, key=lambda file: file["path"])
    issues = [] if participants is None else _participants(listed, participants)
    hollow: set[str] = set()
    for file in listed:
        if _subject(file["path"]) is None:
            continue
        problem = _content(file, root)
        if problem is not None:
            issues.append(_issue("error", *problem, file["path"]))
            hollow.add(file["path"])
    unmatched = unmatched_sidecars(file["path"] for file in listed)
    issues += [
        _issue("warning", "sidecar_without_recording", why, path) for path, why in unmatched.items()
    ]
    issues += _identical([file for file in listed if file["path"] not in hollow])
    return sorted(issues, key=lambda i: (i["file"], i["code"], i["message"]))


def pointer_kind(content: bytes) -> str | None:
    """Return ``annex_pointer`` or ``lfs_pointer`` if `content` stands for a file kept elsewhere."""
    return POINTER_CODES[pointed_to_by(content)]


def _issue(severity: str, code: str, message: str, file: str) -> Issue:
    return {"severity": severity, "code": code, "file": file, "message": message}


def _subject(path: str) -> str | None:
    """Return the subject's folder of a raw file, or None for files of no subject."""
    first, _, rest = path.partition("/")
    return first if rest and first.startswith("sub-") else None


def _participants(files: Sequence[Mapping[str, Any]], participants: Sequence[str]) -> list[Issue]:
    with_data = {s for file in files if (s := _subject(file["path"])) and _is_data(file["path"])}
    listed = {name if name.startswith("sub-") else f"sub-{name}" for name in participants}
    without_row = sorted(with_data - listed - {NO_PARTICIPANT})
    without_data = sorted(listed - with_data)
    return [
        _issue(
            "warning",
            "subject_not_in_participants",
            f"{subject} has data but no row in participants.tsv",
            subject,
        )
        for subject in without_row
    ] + [
        _issue(
            "warning",
            "participant_without_data",
            f"{subject} has a row in participants.tsv but no data",
            "participants.tsv",
        )
        for subject in without_data
    ]


def _is_data(path: str) -> bool:
    """Tell whether a file lies in a folder of recordings and is no sidecar."""
    parts = PurePosixPath(path).parts
    folders = [canonical_datatype(part) for part in parts[1:-1]]
    return any(part in DATATYPES for part in folders) and not path.endswith((".json", ".tsv"))


def _is_part_of_folder(path: str) -> bool:
    """Tell whether a file is no samples, but an attachment in a recording that is a folder."""
    *folders, name = PurePosixPath(path).parts
    inside_recording = any(folder.startswith("sub-") and "." in folder for folder in folders)
    return inside_recording and PurePosixPath(name).suffix.lower() not in SAMPLE_FILES


def _content(file: Mapping[str, Any], root: Path | None) -> tuple[str, str] | None:
    path, size = file["path"], file["size"]
    if size is None:
        return "broken_link", "a link that leads nowhere: the content was not fetched"
    if size == 0 and _is_part_of_folder(path):
        # Folders of CTF hold logs that are empty in healthy recordings.
        return None
    if size == 0:
        return "empty_file", "the file has 0 bytes"
    if size > MAX_POINTER_BYTES or root is None:
        return None
    try:
        kind = pointer_kind(inside(root, path).read_bytes())
    except OSError:
        # The reading of the recording itself reports a file that has gone.
        return None
    if kind is None:
        return None
    keeper = "git-annex" if kind == "annex_pointer" else "Git LFS"
    return kind, f"a {keeper} pointer of {size} bytes in place of data: the content was not fetched"


def _identical(files: Sequence[Mapping[str, Any]]) -> list[Issue]:
    same: dict[str, list[str]] = defaultdict(list)
    for file in files:
        path = file["path"]
        if (
            file.get("checksum")
            and _subject(path)
            and _is_data(path)
            and PurePosixPath(path).suffix.lower() in SAMPLE_FILES
            and not CALIBRATION.search(path)
        ):
            same[file["checksum"]].append(path)
    return [
        _issue("warning", "identical_data", f"the same bytes as {paths[0]}", path)
        for paths in same.values()
        for path in paths[1:]
    ]
