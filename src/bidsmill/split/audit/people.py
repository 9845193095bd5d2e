"""The same people and the same files under different names, within and across datasets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from bidsmill.formats.certificate import group_ids, rows_by_value
from bidsmill.formats.numbers import counted
from bidsmill.split.audit.finding import Finding, some
from bidsmill.split.audit.material import Material
from bidsmill.split.merging import Union

# NEMAR's copy of OpenNeuro's ds002718 is called on002718.
MIRROR = re.compile(r"on(\d{6})")


def study_of(dataset: str, doi: str) -> tuple[str, str]:
    """Return what tells one study from others: its name, and its DOI without the release."""
    name = MIRROR.sub(r"ds\1", dataset)
    plain = re.sub(r"^(doi:|https?://(dx\.)?doi\.org/)", "", doi.strip(), flags=re.IGNORECASE)
    match = re.search(r"\.v\d+(\.\d+)*$", plain)
    return name, plain[: match.start()] if match else plain


def people_of(materials: Sequence[Material], aliases: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Return the person of each row of each dataset, ``{dataset}/sub-01``.

    Parameters
    ----------
    materials : sequence of Material
        The datasets.
    aliases : sequence of sequence of str
        Names of one person each: ``{dataset}/sub-01``, or ``sub-01`` in every dataset.

    Returns
    -------
    list of numpy.ndarray
        Shape (rows,), dtype object; '' for rows of nobody. Names that are aliases, or of mirrors
        and releases of one study, are one.
    """
    names = Union()
    subjects = [group_ids(material.samples, "subject") for material in materials]
    known = [sorted(set(own) - {""}) for own in subjects]
    for alias in aliases:
        here = [[f"{m.dataset}/{name}" for name in alias if "/" not in name] for m in materials]
        stated = [name for name in alias if "/" in name]
        for together in [[*stated, *chain.from_iterable(here)]] if stated else here:
            names.join(together)
    for i, one in enumerate(materials):
        for j in range(i):
            if _one_study(one, materials[j]):
                for subject in sorted(set(known[i]) & set(known[j])):
                    names.join([f"{one.dataset}/{subject}", f"{materials[j].dataset}/{subject}"])
    people = []
    for material, own in zip(materials, subjects, strict=True):
        first = {s: names.first(f"{material.dataset}/{s}") for s in set(own) - {""}}
        people.append(np.array([first.get(s, "") for s in own], dtype=object))
    return people


def _one_study(one: Material, other: Material) -> bool:
    names = study_of(one.dataset, one.doi), study_of(other.dataset, other.doi)
    return names[0][0] == names[1][0] or (names[0][1] == names[1][1] != "")


def check_people(materials: Sequence[Material], aliases: Sequence[Sequence[str]]) -> list[Finding]:
    """Find people on several sides under different names, or in different datasets."""
    people = people_of(materials, aliases)
    places: dict[str, dict[str, set[str]]] = {}
    for material, person in zip(materials, people, strict=True):
        subject = group_ids(material.samples, "subject")
        for first, rows in rows_by_value(person).items():
            for side in set(material.side[rows]) - {"none", ""}:
                own = {
                    f"{material.dataset}/{s}" for s in subject[rows[material.side[rows] == side]]
                }
                places.setdefault(first, {}).setdefault(side, set()).update(own)
    within: dict[str, list[str]] = {}
    across: dict[str, list[str]] = {}
    for first, sides in places.items():
        names = sorted(set().union(*sides.values()))
        if first == "" or len(sides) < 2 or len(names) < 2:
            continue
        datasets = sorted({name.split("/")[0] for name in names})
        text = "; ".join(f"{side}: {', '.join(sorted(own))}" for side, own in sorted(sides.items()))
        (across if len(datasets) > 1 else within).setdefault(" + ".join(datasets), []).append(text)
    findings = [
        Finding(
            "alias_on_several_sides",
            "leak",
            f"{counted(len(texts), 'person')} with several declared names on more than one side: "
            "who is trained on is tested on. Let one group hold all their names (the key "
            "same_subject of the config), and split again.".replace("persons", "people"),
            dataset,
            len(texts),
            some(sorted(texts)),
        )
        for dataset, texts in within.items()
    ]
    for dataset, texts in across.items():
        findings.append(
            Finding(
                "subject_across_datasets",
                "leak",
                f"{counted(len(texts), 'person')} in several datasets and on different sides there "
                "(declared as one, or of mirrors or releases of one study): training on one "
                "dataset and testing on another is no test. Split these datasets together, or "
                "use one of them.".replace("persons", "people"),
                dataset,
                len(texts),
                some(sorted(texts)),
            )
        )
    return findings


def check_merged(material: Material) -> None:
    """Find groups that the certificate calls merged and that stand on several sides."""
    broken = []
    ids = [group_ids(material.samples, level) for level in ("subject", "session", "run")]
    for members in merged_groups(material.content):
        rows = np.any([np.isin(own, members) for own in ids], axis=0)
        sides = sorted(set(material.side[rows]) - {"none", ""})
        if len(sides) > 1:
            broken.append(f"{', '.join(members)} ({', '.join(sides)})")
    if broken:
        material.found(
            "merged_group_on_several_sides",
            "leak",
            f"{counted(len(broken), 'group')} that split.json calls merged on more than one side: "
            "their members were found to be the same people or signals. Split again.",
            count=len(broken),
            places=some(broken),
        )


def stated_aliases(material: Material) -> list[list[str]]:
    """Return the names of one person each that a certificate states (key ``same_subject``)."""
    stated = material.content.get("same_subject")
    lists = (
        [names for names in stated if isinstance(names, list)] if isinstance(stated, list) else []
    )
    return [
        [str(name) if "/" in str(name) else f"{material.dataset}/{name}" for name in names]
        for names in lists
    ]


def merged_groups(content: dict[str, Any]) -> list[list[str]]:
    """Return the members of each merged group that a certificate states (key ``merged``)."""
    stated = content.get("merged")
    found = []
    for entry in stated if isinstance(stated, list) else []:
        members = entry.get("members") if isinstance(entry, dict) else entry
        if isinstance(members, list):
            found.append([str(member) for member in members])
    return found


def check_source_files(materials: Sequence[Material]) -> list[Finding]:
    """Find data files that became several recordings on different sides."""
    places: dict[str, dict[str, set[str]]] = {}
    for material in materials:
        for recording, rows in rows_by_value(material.recordings).items():
            source = material.documents.get(recording, {}).get("source")
            sha256 = source.get("sha256") if isinstance(source, dict) else None
            sides = set(material.side[rows]) - {"none", ""}
            if isinstance(sha256, str) and sha256 and sides:
                places.setdefault(sha256, {})[f"{material.dataset}/{recording}"] = sides
    found: dict[str, list[str]] = {}
    for owners in places.values():
        if len(owners) < 2 or len(set().union(*owners.values())) < 2:
            continue
        datasets = " + ".join(sorted({name.split("/")[0] for name in owners}))
        text = "; ".join(f"{name} ({', '.join(sorted(s))})" for name, s in sorted(owners.items()))
        found.setdefault(datasets, []).append(text)
    return [
        Finding(
            "same_source_file",
            "leak",
            f"{counted(len(texts), 'data file')} (by sha256) behind several recordings on "
            "different sides: the same signal is trained and tested on. Keep one of the "
            "recordings, or put them into one group.",
            datasets,
            len(texts),
            some(sorted(texts)),
        )
        for datasets, texts in sorted(found.items())
    ]
