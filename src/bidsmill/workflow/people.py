"""Who is the same person: aliases that the config declares, mirrors, and releases of one study."""

from __future__ import annotations

import re
from typing import Any

# NEMAR's copy of OpenNeuro's ds002718 is called on002718.
ARCHIVE_ID = re.compile(r"(?:ds|on)(\d{6})")


def study_of(dataset: str, settings: dict[str, Any]) -> tuple[str, str]:
    """Return what mirrors and releases of one study have in common.

    Parameters
    ----------
    dataset : str
        Dataset id.
    settings : dict
        Where it comes from.

    Returns
    -------
    tuple of str
        Equal for datasets of one study: the digits of the archive's id, or the same address.
    """
    for name in (settings.get("id", dataset), dataset):
        match = ARCHIVE_ID.fullmatch(name)
        if match:
            return "archive", match[1]
    for key in ("url", "path"):
        if key in settings:
            return key, settings[key].rstrip("/")
    if settings["source"] in ("openneuro", "nemar"):
        return settings["source"], settings.get("id", dataset)
    return "dataset", dataset


def people_of(config: dict[str, Any], dataset: str) -> dict[str, Any]:
    """Return what the config says of the people of one dataset.

    Parameters
    ----------
    config : dict
        The whole configuration, resolved.
    dataset : str
        Dataset id.

    Returns
    -------
    dict
        ``same``: list of ``{"subjects": [...], "reason": "declared" | "mirror"}``, subjects of
        this dataset that are one person, by lists of its own or by those of a mirror;
        ``mirrors``: datasets of the same study; ``elsewhere``: subject -> names of the same
        person in other datasets, ``{dataset}/sub-01``.
    """
    datasets = config["datasets"]
    studies = {name: study_of(name, settings) for name, settings in datasets.items()}
    mirrors = sorted(n for n in datasets if n != dataset and studies[n] == studies[dataset])
    lists = [
        [f"{name}/{subject}" for subject in subjects]
        for name, settings in datasets.items()
        for subjects in settings.get("same_subject", [])
    ]
    lists += config.get("same_subject", [])
    own = {dataset: dataset}
    declared = _joined(lists, own)
    everywhere = _joined(lists, own | dict.fromkeys(mirrors, dataset))
    same = []
    elsewhere: dict[str, list[str]] = {}
    for names in everywhere:
        subjects = sorted(n.split("/")[1] for n in names if n.split("/")[0] == dataset)
        if len(subjects) > 1:
            known = any({f"{dataset}/{s}" for s in subjects} <= set(part) for part in declared)
            same.append({"subjects": subjects, "reason": "declared" if known else "mirror"})
        others = sorted(n for n in names if n.split("/")[0] != dataset)
        elsewhere |= {subject: others for subject in subjects if others}
    return {"same": same, "mirrors": mirrors, "elsewhere": dict(sorted(elsewhere.items()))}


def _joined(lists: list[list[str]], rename: dict[str, str]) -> list[list[str]]:
    """Return the names that lists connect, after datasets were renamed; each sorted, in order."""
    parts: list[set[str]] = []
    for names in lists:
        new = set()
        for name in names:
            place, _, subject = name.partition("/")
            new.add(f"{rename.get(place, place)}/{subject}")
        touched = [part for part in parts if part & new]
        parts = [part for part in parts if not part & new]
        parts.append(new.union(*touched))
    return sorted(sorted(part) for part in parts)
