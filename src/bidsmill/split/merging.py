"""Groups that are one: the same people under several names, the same signal in several files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.formats import tables
from bidsmill.formats.certificate import group_ids, text_column

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Links:
    """What is known to be the same, from outside of `samples`.

    Attributes
    ----------
    signals : tuple of (recording, recording, reason)
        Recordings that share signals; the reason is ``identical_signal`` or
        ``identical_windows``.
    people : tuple of (subjects, reason)
        Subjects (``sub-01``) that are one person; the reason is ``declared`` or ``mirror``.
    mirrors : tuple of str
        Other datasets of the same study.
    elsewhere : mapping
        Subject -> names of the same person in other datasets.
    """

    signals: tuple[tuple[str, str, str], ...] = ()
    people: tuple[tuple[tuple[str, ...], str], ...] = ()
    mirrors: tuple[str, ...] = ()
    elsewhere: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Merging:
    """What was merged at one level.

    Attributes
    ----------
    first : dict
        Member (a subject, a session, or at levels `run` and `time` a recording) -> the smallest
        one of its group; only of groups with several members.
    entries : list of dict
        For the certificate: ``group``, ``members``, ``reasons`` (``reason``, ``names``).
    """

    first: dict[str, str]
    entries: list[dict[str, Any]]


class Union:
    """Names that stand for one thing (union-find, Tarjan 1975); the smallest stands for all."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def first(self, name: str) -> str:
        """Return the smallest of the names that are joined with one."""
        while self._parent.setdefault(name, name) != name:
            self._parent[name] = self._parent[self._parent[name]]
            name = self._parent[name]
        return name

    def join(self, names: Iterable[str]) -> None:
        """Let names stand for one thing."""
        firsts = sorted({self.first(name) for name in names})
        for other in firsts[1:]:
            self._parent[other] = firsts[0]


def read_links(duplicates_path: Path | None, people: Mapping[str, Any] | None) -> Links:
    """Return what `collate` found in the signals, and what the config says of people.

    Parameters
    ----------
    duplicates_path : pathlib.Path or None
        ``duplicates.tsv``.
    people : mapping or None
        ``same`` (list of ``subjects`` and ``reason``), ``mirrors``, ``elsewhere``.
    """
    signals = []
    if duplicates_path is not None:
        table = tables.read_tsv(duplicates_path)
        signals = list(zip(table["recording"], table["duplicate_of"], table["reason"], strict=True))
    people = people or {}
    same = [(tuple(sorted(e["subjects"])), e["reason"]) for e in people.get("same", [])]
    return Links(
        signals=tuple(sorted(signals)),
        people=tuple(sorted(same)),
        mirrors=tuple(people.get("mirrors", ())),
        elsewhere=people.get("elsewhere", {}),
    )


def unit_ids(samples: pd.DataFrame, level: str) -> np.ndarray:
    """Return the member of a group that each row belongs to; at `time` it is a recording."""
    return group_ids(samples, "run" if level == "time" else level)


def merge_units(samples: pd.DataFrame, level: str, links: Links) -> Merging:
    """Join subjects, sessions or recordings that no split may tear apart.

    Recordings that share signals stay together at every level. People with several names are
    joined at level `subject`; at finer levels a person stands on several sides anyway.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    level : {"subject", "session", "run", "time"}
        The level; at `time`, recordings that share signals are not cut into pieces.
    links : Links
        What is known to be the same. Names that `samples` does not have are passed over.
    """
    units = unit_ids(samples, level)
    unit_of = dict(zip(text_column(samples, "recording"), units, strict=True))
    union = Union()
    found: list[tuple[str, str, tuple[str, ...]]] = []
    for one, other, reason in links.signals:
        own = unit_of.get(one, ""), unit_of.get(other, "")
        if all(own) and one != other:
            union.join(own)
            found.append((own[0], reason, (one, other)))
    known = set(units) - {""}
    for subjects, reason in links.people if level == "subject" else ():
        present = tuple(subject for subject in subjects if subject in known)
        if len(present) > 1:
            union.join(present)
            found.append((present[0], reason, present))
    members: dict[str, list[str]] = {}
    for unit in sorted(known):
        members.setdefault(union.first(unit), []).append(unit)
    evidence: dict[str, dict[str, set[str]]] = {}
    for unit, reason, names in found:
        evidence.setdefault(union.first(unit), {}).setdefault(reason, set()).update(names)
    entries = [
        {
            "group": f"{first}@1" if level == "time" else first,
            "members": members[first],
            "reasons": [
                {"reason": reason, "names": sorted(names)}
                for reason, names in sorted(evidence[first].items())
            ],
        }
        for first in sorted(evidence)
    ]
    joined = {u: first for first, own in members.items() if len(own) > 1 for u in own}
    return Merging(joined, entries)


def people_of_rows(samples: pd.DataFrame, links: Links) -> np.ndarray:
    """Return the person of each row, by the smallest name; '' for rows of nobody."""
    union = Union()
    for alias, _ in links.people:
        union.join(alias)
    subjects = group_ids(samples, "subject")
    names: dict[str, str] = {}
    for subject in sorted(set(subjects) - {""}):
        names.setdefault(union.first(subject), subject)
    return np.array([names[union.first(s)] if s else "" for s in subjects], dtype=object).reshape(
        len(subjects)
    )


def unknown_people(samples: pd.DataFrame, links: Links) -> list[str]:
    """Return declared subjects that have no row, sorted."""
    known = set(group_ids(samples, "subject"))
    return sorted({s for subjects, _ in links.people for s in subjects if s not in known})
