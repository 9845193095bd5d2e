"""Placements: who was put on which side before, as a list that any split can start from.

A placement is a dict with the keys of `COLUMNS`. Placements come from the split of a version in
the store, or from a table that a person keeps (`config/splits/{dataset}.tsv`, or the split of a
paper).
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, manifest, tables
from bidsmill.formats.certificate import LEVELS, MEMBERS, SEPARATOR, SIDES

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.formats.manifest import Readable

# One member of a group; at level `time` a stretch of a recording, with its first and last onset
# (s), else None. The level is '' where a table does not state it.
COLUMNS = ("group", "level", "split", "recording", "onset_start", "onset_stop")
# Columns that name who is meant, the finest first.
NAMING = ("group", "recording", "session", "subject")
PREFIXES = {"subject": "sub-", "session": "ses-"}


def read_placements(path: Path) -> list[dict[str, Any]]:
    """Read a table of placements that a person wrote, or a ``split.tsv``.

    Parameters
    ----------
    path : pathlib.Path
        Tab-separated, with the column `split`, and either `group` (``sub-01``,
        ``sub-01_ses-1`` or the BIDS stem of a recording; with `members`, if there is one), or
        `recording`, or `subject`, and with it perhaps `session`.

    Raises
    ------
    BidsmillError
        If the file cannot be read, names nobody, holds an unknown side, or puts one on two sides.
    """
    table = tables.read_tsv(path)
    columns = [name for name in NAMING if name in table]
    if "split" not in table or not columns or columns == ["session"]:
        raise BidsmillError(
            "a table of a split lacks columns",
            file=path,
            found=", ".join(table.columns),
            expected="split, and one of group, recording, subject",
        )
    for column, allowed in (("split", SIDES), ("level", ("", *LEVELS))):
        unknown = sorted(set(table[column]) - set(allowed)) if column in table else []
        if unknown:
            raise BidsmillError(
                f"a table of a split holds an unknown {column}",
                file=path,
                found=", ".join(unknown),
                expected=", ".join(allowed).removeprefix(", "),
            )
    if "group" not in table:
        table["group"] = [_name_of(row) for row in table.to_dict("records")]
    if (table["group"] == "").any():
        line = int((table["group"] == "").to_numpy().argmax()) + 2
        raise BidsmillError(f"line {line} of a table of a split names nobody", file=path)
    try:
        return _unique(placements_of(table), path)
    except ValueError as error:
        raise BidsmillError("a split table holds no number", file=path, found=error) from None


def _name_of(row: dict[str, str]) -> str:
    """Return the name of a group from the columns that describe it."""
    if row.get("recording"):
        # A path to a data file stands for its recording.
        return re.sub(r"\..*$", "", row["recording"].split("/")[-1])
    parts = []
    for key, prefix in PREFIXES.items():
        if row.get(key):
            parts.append(prefix + row[key].removeprefix(prefix))
    return "_".join(parts) if row.get("subject") else ""


def placements_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the placements in a table of groups, one per member, sorted; ``none`` is left out.

    Parameters
    ----------
    table : pandas.DataFrame
        Text, with `group` and `split`, and as far as there is one `level`, `members`,
        `recording`, `onset_start`, `onset_stop`.
    """
    if "level" not in table:
        table = table.assign(level="")
    found = []
    for row in table.to_dict("records"):
        is_piece = row["level"] == "time"
        bounds = [_number(row.get(name)) for name in COLUMNS[4:]] if is_piece else [None, None]
        if row["split"] == "none" or (is_piece and None in bounds):
            continue
        alone = row["recording"] if is_piece else row["group"]
        for member in str(row.get(MEMBERS) or alone).split(SEPARATOR):
            names = (row["group"], member) if is_piece else (member, "")
            values = (names[0], row["level"], row["split"], names[1], *bounds)
            found.append(dict(zip(COLUMNS, values, strict=True)))
    return in_order(found)


def _number(value: Any) -> float | None:
    return None if value is None or value == "" or value != value else float(value)


def in_order(placements: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return placements in the one order that their sha256 is taken in."""
    return sorted(placements, key=lambda p: (p["level"], p["recording"], p["group"]))


def _unique(placements: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    sides: dict[tuple[str, str], str] = {}
    for entry in placements:
        key = (entry["group"], entry["recording"])
        if sides.setdefault(key, entry["split"]) != entry["split"]:
            raise BidsmillError(
                f"a table of a split puts {entry['group']} on two sides",
                file=path,
                found=f"{sides[key]}, {entry['split']}",
            )
    unique = {(e["group"], e["recording"]): e for e in placements}
    return list(unique.values())


def placements_after(table: pd.DataFrame, content: dict[str, Any]) -> list[dict[str, Any]]:
    """Return where a split put everybody, with those that it only remembers.

    Parameters
    ----------
    table : pandas.DataFrame
        ``split.tsv``.
    content : dict
        ``split.json``; its key ``remembered`` holds the placements of those who left.
    """
    return in_order([*placements_of(table), *content.get("remembered", [])])


def placements_of_version(store: Readable, dataset: str, version: str) -> list[dict[str, Any]]:
    """Return the placements of one version in a store.

    Raises
    ------
    BidsmillError
        If the version or its split cannot be read.
    """
    content = manifest.read_manifest(store, dataset, version)
    entries = {e["name"]: e for e in content["files"] if e["kind"] == "split"}
    if not {"split.tsv", "split.json"} <= set(entries):
        return []
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name in ("split.tsv", "split.json"):
            read = store.read(entries[name]["path"])
            if hashlib.sha256(read).hexdigest() != entries[name]["sha256"]:
                raise BidsmillError(
                    "a file of the store is not the one that was published",
                    file=f"{store}/{entries[name]['path']}",
                    expected=f"sha256 {entries[name]['sha256'][:12]}…",
                    todo="publish the dataset again",
                )
            paths[name] = Path(folder) / name
            paths[name].write_bytes(read)
        table, split = tables.read_tsv(paths["split.tsv"]), files.read_json(paths["split.json"])
    return placements_after(table, split)


def versions_of(store: Readable, dataset: str) -> list[str]:
    """Return the versions of a dataset in a store, the latest first; [] if it has none."""
    path = manifest.pointer_path(dataset)
    if store.stat(path) is None:
        return []
    pointer = manifest.read_pointer(store.read(path), f"{store}/{path}")
    versions = [pointer["version"], *(entry["version"] for entry in reversed(pointer["history"]))]
    return list(dict.fromkeys(versions))


def write_placements(path: Path, placements: list[dict[str, Any]]) -> None:
    """Write placements as the table that `read_placements` reads."""
    import pandas as pd

    frame = pd.DataFrame(placements, columns=list(COLUMNS)).astype(object)
    tables.write_tsv(path, frame.where(frame.notna(), ""))


def placement_frame(placements: list[dict[str, Any]]) -> pd.DataFrame:
    """Return placements as a table that `certificate.side_of_rows` takes, one group for each.

    Parameters
    ----------
    placements : list of dict
        With a level each.
    """
    import pandas as pd

    frame = pd.DataFrame(placements, columns=list(COLUMNS)).astype(object)
    for name in ("onset_start", "onset_stop"):
        frame[name] = frame[name].astype(float)
    members = frame["recording"].where(frame["level"] == "time", frame["group"])
    # One name may stand at several levels, and pieces of merged recordings have one name.
    names = frame["level"] + " " + frame["group"] + " " + frame["recording"]
    return frame.assign(**{"group": names, MEMBERS: members})
