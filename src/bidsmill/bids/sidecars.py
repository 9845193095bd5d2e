"""Sidecar inheritance: which files describe a recording (BIDS 1.10, "Inheritance principle")."""

from __future__ import annotations

import json
import math
from pathlib import Path, PurePosixPath
from typing import Any

from bidsmill.bids.entities import parse_name

# Entities that a sidecar may have though the recording has not: they name the space of the
# coordinates, not the recording.
FREE_ENTITIES = {"electrodes": {"space"}, "coordsystem": {"space"}}


def applicable(
    data: str, suffix: str, extension: str, by_folder: dict[str, list[str]]
) -> list[str]:
    """Return the sidecars of a suffix that apply to a data file, from the root inwards.

    A sidecar applies if it lies in the data file's folder or above it and each of its entities
    is an entity of the data file. Where several of one folder apply, the one with the most
    entities comes last, and so wins.

    Parameters
    ----------
    data : str
        Path of the data file, relative to the dataset.
    suffix, extension : str
        Of the sidecar, e.g. ``events`` and ``.json``.
    by_folder : dict
        Folder (``''``: the root) -> paths of sidecar files in it.
    """
    entities = parse_name(data).entities
    free = FREE_ENTITIES.get(suffix, set())
    folders = ["" if str(parent) == "." else str(parent) for parent in PurePosixPath(data).parents]
    result: list[str] = []
    for folder in reversed(folders):
        found = []
        for path in by_folder.get(folder, []):
            if not path.endswith(f"{suffix}{extension}"):
                continue
            name = parse_name(path)
            if name.suffix != suffix or name.extension != extension:
                continue
            stated = {k: v for k, v in name.entities.items() if k not in free}
            if stated.items() <= entities.items():
                found.append((len(name.entities), path))
        result.extend(path for _, path in sorted(found))
    return result


def read_json_sidecar(path: Path) -> tuple[dict[str, Any], str | None]:
    """Read a JSON sidecar as it is found in public data.

    Returns
    -------
    content : dict
        Empty where it cannot be read.
    problem : str or None
        What is wrong with it, with the line where a parser would stop.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        return {}, f"cannot be read ({error.strerror or error})"
    try:
        text = raw.decode("utf-8-sig")
        problem = None
    except UnicodeDecodeError as error:
        text = raw.decode("cp1252", errors="replace")
        problem = f"is not UTF-8 (byte {error.start}); read as Windows-1252"
    strange: list[str] = []
    try:
        content = json.loads(
            text,
            parse_constant=lambda name: strange.append(name),
            parse_float=lambda digits: _finite(digits, strange),
        )
    except (ValueError, RecursionError) as error:
        return {}, f"is not JSON ({error}); its content is not used"
    if not isinstance(content, dict):
        return {}, f"holds a {type(content).__name__}, expected an object; it is not used"
    if strange:
        problem = f"holds {strange[0]}, which JSON has not; read as null"
    if "\\u" in text:
        # Half of a surrogate pair is no character, and could not be written again.
        whole = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
        content = json.loads(whole)
    return content, problem


def _finite(digits: str, strange: list[str]) -> float | None:
    value = float(digits)
    if math.isfinite(value):
        return value
    strange.append(digits)
    return None


def merged_json(root: Path, paths: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Merge JSON sidecars, from the root inwards: the nearest file wins, key by key.

    Returns
    -------
    content : dict
        The merged content.
    problems : list of str
        One text for each file that is not as it should be.
    """
    content: dict[str, Any] = {}
    problems = []
    for path in paths:
        found, problem = read_json_sidecar(root / path)
        content.update(found)
        if problem:
            problems.append(f"{path} {problem}")
    return content, problems
