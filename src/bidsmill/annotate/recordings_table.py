"""``recordings.tsv``: one row per recording, also of those that gave no matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bidsmill.annotate.events_table import event_counts
from bidsmill.bids.entities import entity_columns
from bidsmill.bids.events import event_conflicts
from bidsmill.bids.participants import EMPTYROOM

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.annotate.collate import Part


def recordings_table(
    parts: list[Part],
    members: dict[str, dict[str, Any]],
    annotated: dict[str, dict[str, Any]],
    participants: dict[str, dict[str, str]],
    events: pd.DataFrame,
    samples: pd.DataFrame,
) -> pd.DataFrame:
    """Return the table.

    Parameters
    ----------
    parts : list of Part
        All recordings, in order.
    members, annotated : dict
        Stem -> entry of the plans and of the manifests of `annotate`.
    participants : dict
        See `locked_participants`.
    events, samples : DataFrame
        The other tables, which it counts.
    """
    import pandas as pd

    by_recording = events.groupby("recording", sort=False)
    fates = dict(list(by_recording))
    excluded = samples.loc[samples["excluded"] != "", "recording"].value_counts().to_dict()
    rows = []
    for part in parts:
        entry, member = part.entry, members[part.stem]
        notes = [*entry.get("conflicts", []), *annotated[part.stem].get("notes", [])]
        # Looking for markers, the annotation meets what a recording is quarantined for.
        conflicts = [note for note in notes if note != entry["message"]]
        repairs = [*entry.get("repairs", []), *annotated[part.stem].get("repairs", [])]
        if part.detail:
            conflicts += event_conflicts(
                part.events, entry["source_sfreq"], entry["source_n_times"]
            )
        entities = entity_columns(part.stem)
        subject = entities["subject"]
        if participants and subject not in participants and subject.casefold() != EMPTYROOM:
            conflicts.append(f"sub-{subject} is not in participants.tsv")
        issues = annotated[part.stem].get("hed_issues", [])
        errors = sum(issue["severity"] == "error" for issue in issues)
        if errors:
            conflicts.append(f"{errors} HED error(s); those strings are empty")
        rows.append(
            {
                "recording": part.stem,
                **entities,
                "datatype": member["datatype"],
                "status": "repaired" if part.detail and repairs else entry["status"],
                "reason": entry["reason"],
                "message": entry["message"],
                "repairs": "; ".join(dict.fromkeys(r["rule"] for r in repairs)),
                "conflicts": "; ".join(dict.fromkeys(conflicts)),
                "file": member["data"],
                **_signal_facts(part),
                "excluded": excluded.get(part.stem, 0),
                **event_counts(fates.get(part.stem)),
                "layout": entry.get("layout", ""),
                "sha256": entry["files"].get(f"{part.stem}.parquet", {}).get("sha256", ""),
            }
        )
    return pd.DataFrame(rows)


def _signal_facts(part: Part) -> dict[str, Any]:
    keys = ("source_sfreq", "sfreq", "duration", "n_channels", "bad_channels", "n_times", "rows")
    if not part.detail:
        return dict.fromkeys(keys, None)
    entry = part.entry
    kept = [channel for channel in part.detail["channels"] if channel["kept"]]
    return {
        "source_sfreq": entry["source_sfreq"],
        "sfreq": entry["sfreq"],
        "duration": entry["source_n_times"] / entry["source_sfreq"],
        "n_channels": len(kept),
        "bad_channels": ", ".join(c["name"] for c in kept if c["status"] == "bad"),
        "n_times": entry["shape"][2],
        "rows": entry["shape"][0],
    }
