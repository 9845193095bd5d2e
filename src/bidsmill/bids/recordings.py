"""Which recordings a list of files holds, and which files each of them needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath

from bidsmill.bids.entities import (
    DATATYPES,
    canonical_datatype,
    parse_name,
    without_entity,
)
from bidsmill.bids.inheritance import SidecarIndex, labels_of

# Extensions that hold, or head, a recording (BIDS 1.10, modality pages), in the order of
# preference where one recording stands in several formats.
DATA_EXTENSIONS = (
    ".vhdr",
    ".edf",
    ".bdf",
    ".set",
    ".fif",
    ".ds",
    ".con",
    ".sqd",
    ".kdf",
    ".meg4",
    ".snirf",
    ".nwb",
    ".mefd",
    ".cnt",
    ".gdf",
)
# Data of another file's recording; a recording of their own only if the header is missing.
COMPANION_EXTENSIONS = (".eeg", ".vmrk", ".fdt", ".dat", ".vamrk")
COMPANIONS = {".vhdr": (".eeg", ".vmrk", ".dat", ".vamrk"), ".set": (".fdt",)}
FOLDER_EXTENSIONS = (".ds", ".mefd")
# A MEG device's calibration files carry the suffix of a recording.
NOT_RECORDINGS = {"crosstalk", "calibration"}
SIDECAR_SUFFIXES = ("events", "channels", "electrodes", "coordsystem")


@dataclass
class Recording:
    """One recording, and the files that it needs, all as paths relative to the dataset.

    Attributes
    ----------
    stem : str
        The BIDS name without extension (and without ``split``): the recording's identity.
    datatype : str
        One of `DATATYPES`.
    data : str
        The file or folder that a reader opens; the only file there is where the header of
        the recording is missing.
    files : list of str
        Data file, companions and parts, sorted.
    sidecars : dict
        Suffix (``events.tsv``, ``events.json``, ``channels.tsv``, ``eeg.json`` ...) -> list
        of paths, from the root inwards; the nearest is the last.
    alternatives : list of str
        Other files that hold the same recording in another format, with what belongs to
        them; not read.
    """

    stem: str
    datatype: str
    data: str
    files: list[str] = field(default_factory=list)
    sidecars: dict[str, list[str]] = field(default_factory=dict)
    alternatives: list[str] = field(default_factory=list)

    def as_dict(self) -> dict:
        """Return the recording as plain JSON content."""
        return asdict(self)


def find_recordings(paths: Iterable[str]) -> list[Recording]:
    """Find the recordings in a list of files.

    Every stem with a data file becomes a recording, also one whose header is missing, so that
    nothing is dropped silently. Files inside a folder that is itself a recording (CTF
    ``.ds``, MEF3 ``.mefd``, BTi) belong to it.

    Parameters
    ----------
    paths : iterable of str
        POSIX paths relative to the dataset's root.

    Returns
    -------
    list of Recording
        Sorted by stem.
    """
    ordered = sorted(set(paths))
    members: dict[str, dict[str, list[str]]] = {}
    datatypes: dict[str, str] = {}
    for path in ordered:
        placed = _place(path)
        if placed is None:
            continue
        stem, datatype, unit = placed
        members.setdefault(stem, {}).setdefault(unit, []).append(path)
        datatypes[stem] = datatype
    labels = labels_of(unit for units in members.values() for unit in units)
    index = SidecarIndex(ordered, labels)
    return [
        _recording(stem, datatypes[stem], units, index) for stem, units in sorted(members.items())
    ]


def _place(path: str) -> tuple[str, str, str] | None:
    """Return stem, datatype and data unit (file or folder) of a path, or None."""
    parts = PurePosixPath(path).parts
    for depth in range(1, len(parts)):
        datatype, unit = canonical_datatype(parts[depth - 1]), parts[depth]
        if datatype not in DATATYPES or not parts[0].startswith("sub-"):
            continue
        name = parse_name(unit)
        suffix = canonical_datatype(name.suffix)
        is_folder = len(parts) > depth + 1
        if is_folder and not (name.extension in FOLDER_EXTENSIONS or suffix == datatype):
            return None
        if suffix != datatype or name.entities.get("acq") in NOT_RECORDINGS:
            return None
        known = name.extension.lower() in DATA_EXTENSIONS + COMPANION_EXTENSIONS
        if not known and not is_folder:
            return None
        stem = unit[: len(unit) - len(name.extension)] if name.extension else unit
        return without_entity(stem, "split"), datatype, "/".join(parts[: depth + 1])
    return None


def _recording(
    stem: str, datatype: str, units: dict[str, list[str]], index: SidecarIndex
) -> Recording:
    ranked = sorted(units, key=lambda unit: (_rank(unit), _part(unit), unit))
    data = ranked[0]
    own = COMPANIONS.get(_extension(data), ())
    if _rank(data) >= _COMPANION_RANK:
        own = COMPANION_EXTENSIONS
    parts = [u for u in ranked if _rank(u) == _rank(data)]
    if len({_part(u) for u in parts}) < len(parts):
        # The same name in another case is another file, no part of this one.
        parts = parts[:1]
    same_format = [u for u in ranked if u in parts or _extension(u) in own]
    alternatives = [u for u in ranked if u not in same_format]
    files = sorted(path for unit in same_format for path in units[unit])
    sidecars = {}
    named = {datatype: parse_name(data).suffix}
    for suffix in (*SIDECAR_SUFFIXES, datatype):
        for extension in (".tsv", ".json"):
            found = index.applicable(data, named.get(suffix, suffix), extension)
            if found:
                sidecars[suffix + extension] = found
    return Recording(stem, datatype, data, files, sidecars, alternatives)


_COMPANION_RANK = len(DATA_EXTENSIONS)


def _part(unit: str) -> int:
    """Return the number of a part of a split recording: ``split-2`` comes before ``split-10``."""
    number = parse_name(unit).entities.get("split", "")
    return int(number) if number.isdecimal() else 0


def _extension(unit: str) -> str:
    return parse_name(unit).extension.lower()


def _rank(unit: str) -> int:
    extension = _extension(unit)
    if extension in COMPANION_EXTENSIONS:
        return _COMPANION_RANK + COMPANION_EXTENSIONS.index(extension)
    return DATA_EXTENSIONS.index(extension) if extension in DATA_EXTENSIONS else -1


def included(recording: Recording, include: dict[str, list]) -> bool:
    """Return whether a recording is among those that the config asks for.

    Parameters
    ----------
    recording : Recording
        The recording.
    include : dict
        Entity column (or ``datatype``) -> labels; a number matches its label with or without
        leading zeros.
    """
    from bidsmill.bids.entities import entity_columns

    columns = {**entity_columns(recording.stem), "datatype": recording.datatype}
    return all(_matches(columns[key], wanted) for key, wanted in include.items())


def _matches(label: str, wanted: list) -> bool:
    for item in wanted:
        if label == str(item):
            return True
        if isinstance(item, int) and label.isdecimal() and int(label) == item:
            return True
    return False
