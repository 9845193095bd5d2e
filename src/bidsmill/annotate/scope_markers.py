"""What a HED string says of temporal scopes: which begin or end with it, how long they last."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# A tag of one of these names makes a group temporal (HED specification, section 3.2.8).
WORDS = re.compile(r"onset|offset|inset|duration|delay", re.IGNORECASE)
ANCHORED = frozenset({"onset", "offset", "inset"})
TEMPORAL = ANCHORED | {"duration", "delay"}
# Tags that mean nothing without a time of the row ("requiresTimeline" in the specification's
# table of reserved tags); Duration may stand in a table without times.
TIMELINE = ANCHORED | {"delay"}


@dataclass(frozen=True)
class Marker:
    """A temporal group of a HED string that begins a scope, ends one, or lies in one.

    Attributes
    ----------
    kind : str
        ``onset``, ``offset``, ``inset`` or ``duration``.
    anchor : str
        Name and value of the definition (``X/3``); ``''`` for ``duration``.
    delay : float
        From the onset of the row, in s.
    length : float
        Of a ``duration``, in s; NaN for the others.
    text : str
        The HED string of the scope: the group without its temporal tags.
    """

    kind: str
    anchor: str
    delay: float
    length: float
    text: str


@dataclass(frozen=True)
class Reading:
    """The markers of one HED string in its order, and its faults: (code, severity, message)."""

    markers: tuple[Marker, ...]
    faults: tuple[tuple[str, str, str], ...]
    needs_time: bool


def read_all(strings: Iterable[str], schema: Any) -> dict[str, Reading]:
    """Read the temporal groups of HED strings; those without one are left out."""
    from hed import HedString
    from hed.validator.util import GroupValidator

    validator = GroupValidator(schema)
    readings = {}
    for text in strings:
        string = HedString(text, schema)
        if not string.children:
            # hedtools gives an empty string for one that cannot be taken apart.
            fault = ("PARENTHESES_MISMATCH", "error", f"the HED string {text!r} cannot be read")
            readings[text] = Reading((), (fault,), False)
            continue
        names = {_name(tag) for tag in string.get_all_tags()} & TEMPORAL
        if names:
            readings[text] = _reading(string, names, validator)
    return readings


def _name(tag: Any) -> str:
    # Without prefix and parents: "sc:Onset" and "Temporal-marker/Onset" are Onset too.
    return tag.short_base_tag.casefold()


def _reading(string: Any, names: set[str], validator: Any) -> Reading:
    needs_time = bool(names & TIMELINE)
    found = validator.run_tag_level_validators(string)
    if found:
        faults = [(e["code"], "error", e["message"]) for e in found]
        return Reading((), tuple(dict.fromkeys(faults)), needs_time)
    markers, faults = [], []
    for group in string.groups():
        tags = {_name(tag): tag for tag in group.tags() if _name(tag) in TEMPORAL}
        try:
            marker = _marker(group, tags)
        except _NoScope as problem:
            faults.append(("TEMPORAL_TAG_ERROR", problem.severity, str(problem)))
            continue
        if marker is not None:
            markers.append(marker)
    return Reading(tuple(markers), tuple(faults), needs_time)


class _NoScope(Exception):
    def __init__(self, message: str, severity: str = "error") -> None:
        super().__init__(message)
        self.severity = severity


def _marker(group: Any, tags: dict[str, Any]) -> Marker | None:
    """Return the marker of a valid top-level group; one with a delay alone has no extent."""
    delay = _seconds(tags["delay"]) if "delay" in tags else 0.0
    kind = next((name for name in tags if name != "delay"), None)
    if kind is None:
        return None
    length = math.nan
    anchor = ""
    if kind == "duration":
        length = _seconds(tags["duration"])
        if length < 0:
            # No fault for hedtools: the scope ends before it begins, and is nobody's context.
            message = f"'{tags['duration']}' is negative: the scope is left out"
            raise _NoScope(message, "warning")
    else:
        anchor = group.find_def_tags(recursive=False, include_groups=0)[0].extension
    temporal = {id(tag) for tag in tags.values()}
    content = [str(child) for child in group.children if id(child) not in temporal]
    text = content[0] if len(content) == 1 else f"({','.join(content)})"
    return Marker(kind, anchor, delay, length, text)


def _seconds(tag: Any) -> float:
    """Return the value of a tag in seconds, the default unit of time in all HED schemas."""
    value = tag.value_as_default_unit()
    if value is None or not math.isfinite(value):
        raise _NoScope(
            f"'{tag}' cannot be converted to seconds: its value is no number, or its unit is "
            "unknown to the HED schema or has no length in it"
        )
    return float(value)
