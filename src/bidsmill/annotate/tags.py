"""The HED of events from a dataset and a config, with the files that it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bidsmill.annotate.hed import Issue, Rows, assemble_rows, issue_order, new_issue
from bidsmill.bids.hed_sidecars import ConfigTags, Merged, merge
from bidsmill.errors import BidsmillError
from bidsmill.formats.hed_strings import require_hedtools

PROPOSED = "proposed"


@dataclass
class Tags:
    """The HED of the events of a recording.

    Attributes
    ----------
    strings : list of str
        Per event; ``''`` without a valid one.
    sources : list of str
        ``dataset``, ``config``, ``config,dataset``, ``proposed``; ``''`` without HED. With
        proposals in use an event can have several, in the order of the alphabet.
    hidden : list of bool
        Events whose string is only proposed, and not to be used for anything.
    issues : list of dict
        As of `assemble`.
    """

    strings: list[str]
    sources: list[str]
    hidden: list[bool]
    issues: list[Issue]

    def visible(self) -> list[str]:
        """Return the strings that choices and labels may look at."""
        return ["" if h else s for s, h in zip(self.strings, self.hidden, strict=True)]


def assemble_tags(
    events: pd.DataFrame,
    sidecar: Mapping[str, Any],
    config: ConfigTags | None,
    schema_version: str | Sequence[str] | None,
    *,
    use_proposed: bool = False,
) -> Tags:
    """Assemble the HED of events from the tags of their dataset and those of the config.

    Parameters
    ----------
    events : pandas.DataFrame
        The events table, all strings, as read from the file.
    sidecar : mapping
        The dataset's sidecar after inheritance.
    config : ConfigTags or None
        The config's.
    schema_version : str, sequence of str or None
        ``HEDVersion`` of dataset_description.json. One that cannot be used empties all strings,
        with one issue that says which can.
    use_proposed : bool
        Whether proposals count as tags of the config. Otherwise only an event that has no others
        gets them, and they stay hidden.

    Raises
    ------
    BidsmillError
        If there is HED and hedtools is missing.
    """
    kept = merge(sidecar, config, with_proposed=use_proposed)
    rows = _rows(events, kept.content, schema_version)
    tags = Tags(rows.strings, _sources(rows, kept), [False] * len(events), rows.issues)
    faults = kept.faults
    if config is not None and config.has_proposals and not use_proposed:
        everything = merge(sidecar, config, with_proposed=True)
        faults = faults + [fault for fault in everything.faults if fault not in faults]
        _add_proposals(tags, _rows(events, everything.content, schema_version))
    for column, fault in [*(config.faults if config else ()), *faults]:
        assert config is not None
        message = f"{config.name}: {fault}"
        tags.issues.append(new_issue(None, column, "SIDECAR_INVALID", message))
    tags.issues = sorted(tags.issues, key=issue_order)
    return tags


def _rows(events: pd.DataFrame, sidecar: Mapping[str, Any], version: Any) -> Rows:
    try:
        return assemble_rows(events, sidecar, version)
    except BidsmillError as error:
        require_hedtools("reading HED")  # without it there is no telling which versions there are
        count = len(events)
        issue = new_issue(None, None, "HED_VERSION_INVALID", error.message())
        return Rows([""] * count, [issue], [[] for _ in range(count)])


def _sources(rows: Rows, merged: Merged) -> list[str]:
    """Return which files gave tags to each row."""
    return [
        ",".join(sorted({merged.origin(*cell) for cell in used})) if string else ""
        for string, used in zip(rows.strings, rows.used, strict=True)
    ]


def _add_proposals(tags: Tags, rows: Rows) -> None:
    """Give proposals to the events that have no other tags, and add what is wrong with them."""
    faulty = {issue["row"] for issue in tags.issues}
    bare = {row for row, string in enumerate(tags.strings) if string == "" and row not in faulty}
    for row in sorted(bare):
        if rows.strings[row]:
            tags.strings[row], tags.sources[row] = rows.strings[row], PROPOSED
            tags.hidden[row] = True
    about = bare | {None}
    tags.issues = tags.issues + [
        issue for issue in rows.issues if issue["row"] in about and issue not in tags.issues
    ]
