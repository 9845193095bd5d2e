"""What the events mean, for the page: which have tags, whence, which tags, and which labels."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.formats.certificate import text_column
from bidsmill.report.inputs import Inputs
from bidsmill.report.tag_tree import count_tags, tree_lines

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 8
# What `HED_source` says, in the order of the page, and as words.
SOURCES = {
    "dataset": "tags of the dataset",
    "config,dataset": "of the dataset and the config",
    "config": "tags of the config",
    "proposed": "proposed tags only",
    "": "no tags",
}


def meaning_section(inputs: Inputs) -> dict[str, Any]:
    """Return coverage of the events by tags, the tree of tags, and the balance of the labels."""
    strings = text_column(inputs.events, "HED")
    lines: list[Any] = []
    rarer, touched, reason = 0, 0, ""
    try:
        found = count_tags(strings, inputs.description.get("hed_version") or None)
        lines, rarer, touched = tree_lines(found)
    except BidsmillError as error:
        reason = error.message()
    return {
        "events": len(inputs.events),
        "tagged": int((strings != "").sum()),
        "coverage": coverage(inputs.events),
        "tree": lines,
        "rarer": rarer,
        "rarer_events": touched,
        "reason": reason,
        "in_context": _filled(inputs.samples, "HED_context"),
        "rows": len(inputs.samples),
        "labels": [
            _label_facts(name, label, text_column(inputs.samples, name))
            for name, label in inputs.labels.items()
            if name in inputs.samples
        ],
    }


def coverage(events: pd.DataFrame) -> list[tuple[str, int]]:
    """Count the events by where their tags come from.

    Parameters
    ----------
    events : DataFrame of str
        ``events.tsv``. Without a column ``HED_source``, as older versions wrote it, all tags are
        the dataset's.

    Returns
    -------
    list of (str, int)
        Source in words and events, ``no tags`` last; sources that do not occur are left out.
    """
    strings = text_column(events, "HED")
    known = "HED_source" in events.columns
    stated = text_column(events, "HED_source") if known else np.full(len(events), "dataset")
    sources = [source if text else "" for source, text in zip(stated, strings, strict=True)]
    counts = Counter(SOURCES.get(source, source) for source in sources)
    order = {words: place for place, words in enumerate(SOURCES.values())}
    return sorted(counts.items(), key=lambda pair: (order.get(pair[0], -1), pair[0]))


def _filled(samples: pd.DataFrame, column: str) -> int | None:
    """Return how many rows hold something in a column, None where there is no such column."""
    if column not in samples.columns:
        return None
    return int((text_column(samples, column) != "").sum())


def _label_facts(name: str, label: dict[str, Any], values) -> dict[str, Any]:
    """Return how many rows have a label, and which classes they have."""
    known = [value for value in values if value != ""]
    counts = Counter(known)
    if label["kind"] == "number":
        numbers = [float(value) for value in known]
        classes = [(f"{min(numbers):g} to {max(numbers):g}", len(numbers))] if numbers else []
    else:
        listed = [(value, counts[value]) for value in label.get("classes", [])]
        others = {value: n for value, n in counts.items() if value not in label.get("classes", [])}
        classes = [*listed, *sorted(others.items())]
    return {
        "name": name,
        "kind": label["kind"],
        "labelled": len(known),
        "classes": sorted(classes, key=lambda pair: -pair[1])[:MOST_CLASSES],
        "more": max(0, len(classes) - MOST_CLASSES),
        "ambiguous": label.get("ambiguous"),
        "unmatched": label.get("unmatched"),
    }
