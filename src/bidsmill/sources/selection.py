"""Which files of a locked dataset are fetched."""

from __future__ import annotations

from pathlib import PurePosixPath

from bidsmill.bids.entities import DATATYPES
from bidsmill.bids.recordings import Recording
from bidsmill.sources.listing import Entry

# Folders at the top of a dataset that hold no raw recordings (BIDS 1.10, "Directory structure"):
# fetched only where `folders` names them.
OTHER_FOLDERS = ("derivatives", "sourcedata", "code", "stimuli")
# Folders of git and DataLad.
TOOL_FOLDERS = (".git", ".datalad")
# At the top, hidden files and folders belong to the tools that keep the dataset; the validator
# reads this one.
HIDDEN_FILES = {".bidsignore"}


def is_raw(path: str, folders: list[str]) -> bool:
    """Return whether a file belongs to the raw dataset, or to a folder that is asked for.

    Parameters
    ----------
    path : str
        Relative to the dataset.
    folders : list of str
        Of `OTHER_FOLDERS`, those to take along.
    """
    parts = PurePosixPath(path).parts
    if any(part.startswith(".") for part in parts):
        return path in HIDDEN_FILES
    return len(parts) == 1 or parts[0] not in OTHER_FOLDERS or parts[0] in folders


def leads_elsewhere(path: str) -> bool:
    """Return whether a name is no plain path below the dataset's folder."""
    parts = path.split("/")
    return any(part in ("", ".", "..") for part in parts) or any(c in path for c in "\\\0:")


def files_of_dataset(
    entries: list[Entry], every: list[Recording], chosen: list[Recording]
) -> list[str]:
    """Return the files that belong to a dataset, or to its chosen subjects, as a whole.

    That is all but the recordings and their sidecars, which the batches fetch: the files at the
    top, tables of sessions and scans, head shapes, photographs.
    Images and behaviour (``anat``, ``func``, ``beh`` and so on) stay where they are, as do files
    of subjects and datatypes of which no recording is chosen.

    Parameters
    ----------
    entries : list of dict
        Files of the lock.
    every, chosen : list of Recording
        All recordings of the dataset, and those that the config asks for.

    Returns
    -------
    list of str
        Sorted paths.
    """
    of_recordings = {path for recording in every for path in _own_files(recording)}
    for recording in chosen:
        of_recordings.update(*recording.sidecars.values())
    folders = {_datatype_folder(recording.data) for recording in chosen}
    above = {str(parent) for folder in folders for parent in PurePosixPath(folder).parents}
    return sorted(
        entry["path"]
        for entry in entries
        if not _is_in(entry["path"], of_recordings) and _is_wanted(entry["path"], folders, above)
    )


def _is_in(path: str, units: set[str]) -> bool:
    """Return whether a file, or a folder that it lies in, is among units."""
    return path in units or any(str(parent) in units for parent in PurePosixPath(path).parents)


def _own_files(recording: Recording) -> set[str]:
    """Return the files of a recording, with those beside it that no other recording uses."""
    folder = PurePosixPath(recording.data).parent
    begin = f"{folder}/{recording.stem.rpartition('_')[0]}_"
    own = {*recording.files, *recording.alternatives}  # an alternative may be a folder
    for paths in recording.sidecars.values():
        own.update(path for path in paths if path.startswith(begin))
    return own


def _datatype_folder(path: str) -> str:
    """Return the folder of a datatype that a file lies in, at any depth (CTF, BTi)."""
    parts = PurePosixPath(path).parts
    depth = next(i for i, part in enumerate(parts) if part in DATATYPES)
    return "/".join(parts[: depth + 1])


def _is_wanted(path: str, folders: set[str], above: set[str]) -> bool:
    parts = PurePosixPath(path).parts
    if not parts[0].startswith("sub-") or len(parts) == 1:
        return True
    if any("/".join(parts[:depth]) in folders for depth in range(2, len(parts))):
        return True
    # Tables of a subject or session lie right in its folder.
    return str(PurePosixPath(path).parent) in above
