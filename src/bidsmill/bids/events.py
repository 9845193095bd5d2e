"""The events of a recording: of events.tsv, or of the markers inside the data file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.bids.reading import Annotation, is_boundary
from bidsmill.bids.tabular import read_tabular

if TYPE_CHECKING:
    import pandas as pd

FIRST_COLUMNS = ["onset", "duration", "trial_type", "value", "HED"]


def read_events(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read an events.tsv.

    Returns
    -------
    events : DataFrame of str
        At least the columns onset and duration; all cells are strings, ``''`` if missing.
    problems : list of str
        What is not as it should be.
    """
    frame, problems = read_tabular(path)
    if "onset" not in frame.columns and len(frame.columns):
        problems.append(f"{path.name} has no column onset; none of its events can be used")
    for column in ("onset", "duration"):
        if column not in frame.columns:
            frame[column] = ""
    return frame, problems


def events_of_annotations(annotations: list[Annotation]) -> pd.DataFrame:
    """Return the markers inside a data file as an events table (all strings)."""
    import pandas as pd

    rows = [
        {"onset": repr(a.onset), "duration": repr(a.duration), "trial_type": a.description}
        for a in annotations
    ]
    return pd.DataFrame(rows, columns=["onset", "duration", "trial_type"], dtype=object)


def seconds(text: Any) -> float:
    """Return the number in a cell; NaN where there is none, or one that is not finite."""
    if isinstance(text, str) and not (text.isascii() and "_" not in text):
        # Python takes 1_2 for 12, and digits of any script.
        return math.nan
    try:
        value = float(text)
    except (TypeError, ValueError):
        return math.nan
    return value if math.isfinite(value) else math.nan


def sort_and_screen(events: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Sort events by onset, and say which cannot be used, whatever the recording.

    Parameters
    ----------
    events : DataFrame of str
        As read.

    Returns
    -------
    events : DataFrame of str
        Sorted by onset (stable); those without an onset last.
    reasons : list of str
        Per event ``''``, or ``onset_missing``, ``onset_not_a_number``, ``before_start``,
        ``duplicate`` (all cells equal to an event before), ``boundary_marker``.
    """
    import numpy as np

    onsets = np.array([seconds(text) for text in events["onset"]], float)
    order = np.argsort(np.where(np.isnan(onsets), np.inf, onsets), kind="stable")
    ordered = events.iloc[order].reset_index(drop=True)
    repeated = ordered.duplicated()
    markers = ordered["trial_type"] if "trial_type" in ordered else [""] * len(ordered)
    reasons = []
    for onset, text, again, marker in zip(
        onsets[order], ordered["onset"], repeated, markers, strict=True
    ):
        if math.isnan(onset):
            reasons.append("onset_not_a_number" if text else "onset_missing")
        elif onset < 0:
            reasons.append("before_start")
        elif again:
            reasons.append("duplicate")
        elif is_boundary(marker):
            reasons.append("boundary_marker")
        else:
            reasons.append("")
    return ordered, reasons
