"""Sidecars that describe no recording: nothing reads them, so somebody has to be told."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from bidsmill.bids.entities import DATATYPE_ALIASES, DATATYPES, canonical_datatype, parse_name
from bidsmill.bids.inheritance import SidecarIndex, folders_above, stated_entities
from bidsmill.bids.recordings import SIDECAR_SUFFIXES, Recording, find_recordings

# Suffixes and extensions of the sidecars that are read (BIDS 1.10, modality pages).
SHARED = [(suffix, extension) for suffix in SIDECAR_SUFFIXES for extension in (".tsv", ".json")]
OF_DATA = [(suffix, ".json") for suffix in (*DATATYPES, *DATATYPE_ALIASES)]


def unmatched_sidecars(paths: Iterable[str]) -> dict[str, str]:
    """Find the sidecars of a dataset that apply to none of its recordings.

    Sidecars in folders of other datatypes (``func``, ``beh``) are left alone, as are those above
    such folders that describe something in them.

    Parameters
    ----------
    paths : iterable of str
        Files relative to the dataset.

    Returns
    -------
    dict
        Path of the sidecar -> why no recording has it, and what to do; sorted by path.
    """
    listed = sorted(set(paths))
    candidates = [path for path in listed if _is_sidecar(path)]
    if not candidates:
        return {}
    recordings = find_recordings(listed)
    used = {p for r in recordings for found in r.sidecars.values() for p in found}
    index = SidecarIndex(candidates)
    # Parts of a split file may have sidecars of their own; what else lies in the dataset is
    # described by sidecars that stand above.
    parts = [path for r in recordings for path in r.files]
    others = [path for path in listed if path not in used and _is_elsewhere(path)]
    for path in (*parts, *others):
        for suffix, extension in (*SHARED, (parse_name(path).suffix, ".json")):
            used.update(index.applicable(path, suffix, extension))
    labels = _labels_by_folder(recordings)
    return {path: _why(path, labels) for path in candidates if path not in used}


def _is_sidecar(path: str) -> bool:
    """Return whether a file has the name of a sidecar, where recordings would inherit it."""
    name, parts = parse_name(path), PurePosixPath(path).parts
    if (name.suffix, name.extension) not in (*SHARED, *OF_DATA):
        return False
    return len(parts) == 1 or (parts[0].startswith("sub-") and not _is_elsewhere(path))


def _is_elsewhere(path: str) -> bool:
    """Return whether a file lies in a folder of a subject that holds no recordings."""
    first, *folders = PurePosixPath(path).parts[:-1] or ("",)
    if not first.startswith("sub-"):
        return False
    below = [folder for folder in folders if not folder.startswith("ses-")]
    return bool(below) and canonical_datatype(below[0]) not in DATATYPES


def _labels_by_folder(recordings: list[Recording]) -> dict[str, set[tuple[str, str]]]:
    """Return the entities that occur in and below each folder, and as ``""`` the suffixes."""
    labels: dict[str, set[tuple[str, str]]] = {}
    for recording in recordings:
        name = parse_name(recording.data)
        for folder in folders_above(recording.data):
            labels.setdefault(folder, set()).update([*name.entities.items(), ("", name.suffix)])
    return labels


def _why(path: str, labels: dict[str, set[tuple[str, str]]]) -> str:
    folder = path.rpartition("/")[0]
    place = "in the dataset" if not folder else f"in {folder}"
    if folder not in labels:
        return (
            f"describes no recording, and is not used: there is none {place}; move it to its"
            " recording, or remove it"
        )
    unknown = [f"{k}-{v}" for k, v in stated_entities(path).items() if (k, v) not in labels[folder]]
    suffix = parse_name(path).suffix
    if (suffix, ".json") in OF_DATA and ("", suffix) not in labels[folder]:
        unknown.append(f"the suffix {suffix}")
    found = ", ".join(unknown) if unknown else "all its entities together"
    return (
        f"describes no recording, and is not used: none {place} has {found}; give it the name of"
        " its recording, or remove it"
    )
