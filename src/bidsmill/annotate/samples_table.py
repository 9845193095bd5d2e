"""`samples`: one row per row of the matrices, with what its event says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bidsmill.bids.entities import canonical_datatype, entity_columns
from bidsmill.bids.events import seconds
from bidsmill.formats import tables

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.annotate.collate import Part

# What a row has of its event.
OF_EVENT = ("trial_type", "value", "HED")


def samples_table(
    parts: list[Part],
    participants: dict[str, dict[str, str]],
    events: pd.DataFrame,
    first_rows: dict[str, int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of all matrices, and the columns of each row's event.

    Parameters
    ----------
    parts : list of Part
        All recordings, in order.
    participants : dict
        See `locked_participants`.
    events, first_rows
        See `events_table`.

    Returns
    -------
    samples : DataFrame
        Without labels.
    of_event : DataFrame of str
        All columns of ``events.tsv`` for the event of each row (``''`` for fixed windows).
    """
    import pandas as pd

    frames = [_rows_of(part, first_rows[part.stem]) for part in parts if part.detail]
    if not frames:
        frames = [_empty_rows()]
    samples = pd.concat(frames, ignore_index=True)
    keys = sorted({key for columns in participants.values() for key in columns})
    unknown: dict[str, str] = {}
    for key in keys:
        samples[f"participant_{key}"] = [
            participants.get(subject, unknown).get(key, "") for subject in samples["subject"]
        ]
    has_event = samples["event"].notna().to_numpy()
    rows = samples["event"].fillna(0).astype(int).to_numpy()
    text = events.drop(columns=["recording", "onset", "sample", "row"])
    text["duration"] = ["" if np.isnan(d) else tables.cell_text(d) for d in events["duration"]]
    if len(events):
        of_event = text.iloc[rows].reset_index(drop=True)
        of_event = of_event.where(pd.Series(has_event), "")
    else:
        of_event = pd.DataFrame("", index=samples.index, columns=text.columns)
    for name in OF_EVENT:
        samples[name] = of_event[name].to_numpy()
    around = [_contexts_of_windows(part) for part in parts if part.detail]
    context = np.array([text for texts in around for text in texts], dtype=object)
    samples["HED_context"] = np.where(has_event, of_event["HED_context"].to_numpy(), context)
    samples["HED_source"] = of_event["HED_source"].to_numpy()
    excluded = [
        part.detail["excluded"].get(str(row), "")
        for part in parts
        if part.detail
        for row in range(len(part.detail["starts"]))
    ]
    samples["excluded"] = pd.Series(excluded, dtype=object)
    return samples, of_event


def _contexts_of_windows(part: Part) -> list[str]:
    """Return the scopes in which the whole of each fixed window lies; ``''`` for other rows.

    Beginning and end of a scope stand on the nearest sample, as events do.
    """
    starts = np.array(part.detail["starts"], np.int64)
    texts: list[set[str]] = [set() for _ in starts]
    length, sfreq, t0 = part.entry["shape"][2], part.entry["sfreq"], part.entry.get("t0", 0.0)
    for onset, stop, string in part.scopes:
        first = np.searchsorted(starts, np.rint((onset - t0) * sfreq), side="left")
        last = np.searchsorted(starts, np.rint((stop - t0) * sfreq) - length, side="right")
        for row in range(first, last):
            texts[row].add(string)
    return [",".join(sorted(own)) for own in texts]


def _rows_of(part: Part, first_event: int) -> pd.DataFrame:
    import pandas as pd

    starts = np.array(part.detail["starts"], np.int64)
    length, sfreq = part.entry["shape"][2], part.entry["sfreq"]
    used = part.detail["events"]
    if used is None:
        onsets = part.entry.get("t0", 0.0) + starts / sfreq
        event = pd.Series([pd.NA] * len(starts), dtype="Int64")
    else:
        onsets = np.array([seconds(part.events["onset"].iloc[index]) for index in used])
        event = pd.Series(np.array(used, np.int64) + first_event, dtype="Int64")
    frame = pd.DataFrame(
        {
            "recording": part.stem,
            "row": np.arange(len(starts), dtype=np.int64),
            "onset": onsets,
            "start": starts,
            "stop": starts + length,
            "event": event,
        }
    )
    for column, label in entity_columns(part.stem).items():
        frame[column] = label
    frame["datatype"] = canonical_datatype(part.stem.rpartition("_")[2])
    return frame


def _empty_rows() -> pd.DataFrame:
    import pandas as pd

    columns = {
        "recording": "object",
        "row": "int64",
        "onset": "float64",
        "start": "int64",
        "stop": "int64",
        "event": "Int64",
        **dict.fromkeys(entity_columns(""), "object"),
        "datatype": "object",
    }
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
