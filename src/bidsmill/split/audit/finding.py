"""Findings of an audit: what, how bad, where, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

SEVERITIES = ("leak", "confound", "note")
# Places that a finding names; all others are counted.
MOST_PLACES = 10


@dataclass(frozen=True)
class Finding:
    """One thing that an audit found.

    Attributes
    ----------
    code : str
        What it is, in snake_case.
    severity : {"leak", "confound", "note"}
        A leak makes a score of this split too good or its proof void; a confound can be learned in
        place of what a label means; a note is worth knowing.
    message : str
        What was found, how much of it, why it matters and what to do.
    dataset : str
        The dataset, or several of them joined by `` + ``.
    count : int
        How many rows, recordings, groups or files, as the message says.
    places : tuple of str
        Some of them.
    facts : dict
        Numbers behind the message, ready for JSON.
    """

    code: str
    severity: str
    message: str
    dataset: str = ""
    count: int = 1
    places: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the finding ready for JSON."""
        return {**asdict(self), "places": list(self.places)}


def some(names: list[str]) -> tuple[str, ...]:
    """Return the first names that a finding shows."""
    return tuple(names[:MOST_PLACES])


def in_order(findings: list[Finding]) -> list[Finding]:
    """Return findings sorted: leaks first, then by dataset and code."""
    return sorted(
        findings, key=lambda f: (SEVERITIES.index(f.severity), f.dataset, f.code, f.places)
    )


def summary(findings: list[Finding]) -> dict[str, Any]:
    """Return findings as one document.

    Returns
    -------
    dict
        ``clean`` (no leak), ``leaks``, ``confounds``, ``notes`` (numbers of findings) and
        ``findings`` (list, see `Finding`).
    """
    numbers = {s: sum(f.severity == s for f in findings) for s in SEVERITIES}
    return {
        "clean": numbers["leak"] == 0,
        **{f"{name}s": number for name, number in numbers.items()},
        "findings": [finding.as_json() for finding in in_order(findings)],
    }
