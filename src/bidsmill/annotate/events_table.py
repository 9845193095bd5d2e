"""``events.tsv``: every event of every recording, and what became of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.bids.events import seconds
from bidsmill.formats.numbers import LARGEST_EXACT

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.annotate.collate import Part

# The first columns of ``events/{recording}.tsv``; columns of the source with these names are
# renamed.
OWN_COLUMNS = [
    "onset",
    "duration",
    "trial_type",
    "value",
    "HED",
    "HED_context",
    "HED_source",
    "source",
    "chosen",
    "reason",
]
# BIDS wants onset and duration first (specification 1.10, "Events").
EVENT_COLUMNS = [
    "onset",
    "duration",
    "recording",
    "sample",
    "trial_type",
    "value",
    "HED",
    "HED_context",
    "HED_source",
    "source",
    "outcome",
    "reason",
    "row",
]


def events_table(parts: list[Part]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return every event of every recording, and the first row of each recording.

    Parameters
    ----------
    parts : list of Part
        All recordings, in order.

    Returns
    -------
    events : DataFrame
        `EVENT_COLUMNS`, then the sources' own columns by name; ``onset`` and ``duration`` in s,
        ``sample`` on the grid of the rows.
    first_rows : dict
        Recording -> row of its first event.
    """
    import pandas as pd

    frames, first_rows, start = [], {}, 0
    for part in parts:
        frame = part.events.copy()
        first_rows[part.stem] = start
        start += len(frame)
        frame["recording"] = part.stem
        onsets = np.array([seconds(text) for text in frame["onset"]], float)
        frame["onset"] = onsets
        frame["duration"] = [seconds(text) for text in frame["duration"]]
        frame["sample"] = pd.Series([pd.NA] * len(frame), dtype="Int64")
        frame["reason"] = _reasons(part, onsets)
        frame["outcome"] = "dropped"
        frame["row"] = pd.Series([pd.NA] * len(frame), dtype="Int64")
        if part.detail:
            samples = np.rint((onsets - part.entry.get("t0", 0.0)) * part.entry["sfreq"])
            # An onset beyond has no sample.
            samples[~(np.abs(samples) < LARGEST_EXACT)] = np.nan
            frame["sample"] = pd.Series(samples).astype("Int64")
            used = part.detail["events"] or []
            frame.loc[used, "row"] = np.arange(len(used))
            frame.loc[used, "outcome"] = "used"
            frame.loc[used, "reason"] = ""
        frames.append(frame.drop(columns="chosen"))
    whole = pd.concat(frames, ignore_index=True)
    others = sorted(column for column in whole.columns if column not in EVENT_COLUMNS)
    whole[others] = whole[others].fillna("")
    return whole[[*EVENT_COLUMNS, *others]], first_rows


def _reasons(part: Part, onsets: np.ndarray) -> list[str]:
    """Return why each event gives no row, as far as it gives none."""
    if part.entry["status"] == "quarantined":
        return [reason or "recording_quarantined" for reason in part.events["reason"]]
    reasons = list(part.events["reason"])
    for event, reason in part.detail["dropped"].items():
        reasons[int(event)] = reason
    end = part.entry["source_n_times"] / part.entry["source_sfreq"]
    return [
        "after_end" if onset >= end and reason in ("not_chosen", "fixed_windows") else reason
        for onset, reason in zip(onsets, reasons, strict=True)
    ]


def event_counts(events: pd.DataFrame | None) -> dict[str, Any]:
    """Return the columns of ``recordings.tsv`` that count the events of a recording.

    Parameters
    ----------
    events : DataFrame or None
        Its rows of ``events.tsv``.
    """
    if events is None:
        return {"events": 0, "events_used": 0, "events_dropped": ""}
    used = int((events["outcome"] == "used").sum())
    reasons = Counter(events.loc[events["outcome"] != "used", "reason"])
    text = ", ".join(f"{reason}:{count}" for reason, count in sorted(reasons.items()))
    return {"events": len(events), "events_used": used, "events_dropped": text}
