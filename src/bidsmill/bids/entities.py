"""Names of BIDS files: entities, suffix, extension."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath

# Long names of the entities that bidsmill shows as columns (BIDS 1.10, appendix "Entities").
ENTITY_COLUMNS = {
    "sub": "subject",
    "ses": "session",
    "task": "task",
    "acq": "acquisition",
    "run": "run",
    "proc": "processing",
}
DATATYPES = ("eeg", "meg", "ieeg", "emg", "nirs")
# Names that people give to folders and suffixes in place of the one of BIDS.
DATATYPE_ALIASES = {"fnirs": "nirs"}
LABEL = re.compile(r"[0-9A-Za-z]+", re.ASCII)
NEEDS_TASK = ("eeg", "meg", "ieeg", "emg", "nirs", "fnirs")


@dataclass(frozen=True)
class BidsName:
    """A file name taken apart.

    Attributes
    ----------
    entities : dict
        Short entity name -> label, in the order of the name (``{"sub": "01"}``).
    suffix : str
        The part after the last underscore, e.g. ``eeg`` or ``events``.
    extension : str
        From the first dot of the last part on, e.g. ``.tsv``.
    """

    entities: dict[str, str] = field(default_factory=dict)
    suffix: str = ""
    extension: str = ""


@lru_cache(maxsize=200_000)
def parse_name(path: str) -> BidsName:
    """Take the name of a BIDS file apart.

    Parameters
    ----------
    path : str
        A file name or POSIX path; folders before the name do not matter.

    Returns
    -------
    BidsName
        Parts without a dash, before the last, are ignored.
    """
    name = PurePosixPath(path).name
    *parts, last = name.split("_")
    suffix, dot, extension = last.partition(".")
    pairs = [(key, label) for key, dash, label in (part.partition("-") for part in parts) if dash]
    return BidsName(dict(pairs), suffix, dot + extension)


def entity_columns(stem: str) -> dict[str, str]:
    """Return the entity columns of a recording (``''`` where it has no such entity)."""
    entities = parse_name(stem).entities
    return {column: entities.get(short, "") for short, column in ENTITY_COLUMNS.items()}


def without_entity(stem: str, entity: str) -> str:
    """Return a BIDS stem without one entity."""
    return re.sub(rf"(^|_){re.escape(entity)}-[^_]*_?", r"\1", stem)


def canonical_datatype(name: str) -> str:
    """Return the datatype that a folder or suffix stands for (``fnirs``: ``nirs``)."""
    return DATATYPE_ALIASES.get(name, name)


def odd_names(path: str) -> list[str]:
    """Say what BIDS does not allow in the name of a recording; it is read all the same.

    Labels are letters and digits, `run` is a number, each part but the last is an entity, and
    there is a task unless it is an empty-room recording (BIDS 1.10, "File name structure").
    Labels stay as they are: what was meant is never guessed.

    Parameters
    ----------
    path : str
        POSIX path of the data file, relative to the dataset.
    """
    name = parse_name(path)
    odd = [
        f"{key}-{label}"
        for key, label in name.entities.items()
        if not LABEL.fullmatch(label) or (key == "run" and not label.isdecimal())
    ]
    odd += [part for part in PurePosixPath(path).name.split("_")[:-1] if "-" not in part]
    told = [f"not a BIDS label, kept as it is: {part}" for part in odd]
    if "task" not in name.entities and name.suffix in NEEDS_TASK:
        told.append("the name has no task")
    folders = [part for part in PurePosixPath(path).parts[:-1] if part in DATATYPE_ALIASES]
    wanted = DATATYPE_ALIASES
    told += [f"the folder {part} is read as {wanted[part]}" for part in folders]
    return told
