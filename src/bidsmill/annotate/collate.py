"""From the results of single recordings to the tables of a dataset."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.annotate.duplicates import duplicate_issues, find_duplicates
from bidsmill.annotate.labels import apply_labels
from bidsmill.annotate.participants import locked_participants
from bidsmill.annotate.quality import channels_table, insert_quality_facts, with_quality
from bidsmill.bids.entities import canonical_datatype, entity_columns
from bidsmill.bids.events import event_conflicts, seconds
from bidsmill.bids.participants import EMPTYROOM
from bidsmill.bids.repairs import Repairs
from bidsmill.errors import BidsmillError
from bidsmill.formats import files, receipts, tables
from bidsmill.sources.presence import read_state

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

EVENT_COLUMNS = [
    "recording",
    "onset",
    "duration",
    "sample",
    "trial_type",
    "value",
    "HED",
    "source",
    "outcome",
    "reason",
    "row",
]
# Whole numbers up to here are exact in float64; an onset beyond has no sample.
MOST_SAMPLES = 2**53
# What the events of a recording hold at least.
ANNOTATED_COLUMNS = [
    "onset",
    "duration",
    "trial_type",
    "value",
    "HED",
    "source",
    "chosen",
    "reason",
]


@dataclass
class Part:
    """One recording: its entry in the manifests, its receipt's detail, and its events."""

    stem: str
    entry: dict[str, Any]
    detail: dict[str, Any]
    events: pd.DataFrame


def collate_dataset(
    dataset_path: Path,
    plan_paths: list[Path],
    annotate_paths: list[Path],
    convert_paths: list[Path],
    fetched_path: Path,
    outputs: dict[str, Path],
    *,
    dataset: str,
    labels: dict[str, dict[str, Any]],
    exclude: dict[str, Any] | None = None,
    repairs: dict[str, list[str]] | None = None,
) -> None:
    """Write the tables of a dataset: recordings, events, samples, channels and the vocabulary.

    Parameters
    ----------
    dataset_path : pathlib.Path
        ``plan/dataset.json``.
    plan_paths, annotate_paths, convert_paths : list of pathlib.Path
        Of all batches.
    fetched_path : pathlib.Path
        ``fetch/dataset.json``.
    outputs : dict
        ``recordings``, ``events``, ``samples``, ``samples_text``, ``channels``,
        ``vocabulary`` -> path.
    dataset : str
        Dataset id.
    labels : dict
        Label definitions.
    exclude : dict, optional
        ``quality.exclude``: thresholds beyond which rows are excluded.
    repairs : dict, optional
        ``repairs`` of the dataset, for participants.tsv.

    Raises
    ------
    BidsmillError
        If a file that a manifest names is gone (with the command that rebuilds it), or a label
        names an unknown column.
    """
    overview = files.read_json(dataset_path)
    results = dataset_path.parents[1]
    members = {m["stem"]: m for path in plan_paths for m in files.read_json(path)["members"]}
    converted = _entries(convert_paths)
    annotated = _entries(annotate_paths)
    if set(converted) != set(overview["recordings"]):
        raise BidsmillError(
            "the manifests do not hold the recordings of the lock",
            file=dataset_path,
            found=f"{len(converted)} recordings",
            expected=f"{len(overview['recordings'])}",
            todo="snakemake --cores 2 -R convert (with the --configfile of this run)",
        )
    parts = [
        _part(dataset, results, stem, converted[stem], annotated[stem])
        for stem in sorted(converted)
    ]
    missing = files.read_json(fetched_path)["missing"]
    state = read_state(results, "dataset")
    rules = Repairs(**(repairs or {}))
    participants, notes = locked_participants(overview, missing, state, rules)
    events, first_rows = _events_table(parts)
    samples, of_event = _samples_table(parts, participants, events, first_rows)
    columns, vocabulary = apply_labels(samples, labels, of_event, overview["hed_version"])
    samples = _with_labels(with_quality(samples, parts, exclude or {}), columns)
    recordings = _recordings_table(parts, members, annotated, participants, events, samples)
    twins = find_duplicates({p.stem: p.detail["quality"]["signal"] for p in parts if p.detail})
    insert_quality_facts(recordings, parts, exclude or {}, twins)
    issues = duplicate_issues(twins, {stem: member["data"] for stem, member in members.items()})
    tables.write_tsv(outputs["recordings"], recordings)
    tables.write_tsv(outputs["events"], events)
    tables.write_parquet(outputs["samples"], samples)
    tables.write_tsv(outputs["samples_text"], samples)
    tables.write_tsv(outputs["channels"], channels_table(parts))
    spoken = {"labels": vocabulary, "notes": notes, "issues": issues}
    files.write_json(outputs["vocabulary"], spoken)
    log.info("%d recordings, %d events, %d rows", len(recordings), len(events), len(samples))


def _entries(paths: list[Path]) -> dict[str, dict[str, Any]]:
    return {k: v for path in paths for k, v in files.read_json(path)["members"].items()}


def _part(
    dataset: str, results: Path, stem: str, entry: dict[str, Any], annotated: dict[str, Any]
) -> Part:
    """Read what lies beside the manifests, and check that all of it is there."""
    detail: dict[str, Any] = {}
    if entry["status"] != "quarantined":
        receipt = receipts.read_receipt(results / "matrix" / f"{stem}.json")
        if receipt is None or receipts.manifest_entry(receipt) != entry:
            raise rebuild_error(dataset, stem, results / "matrix" / f"{stem}.json")
        detail = receipt["detail"]
        for name, stated in entry["files"].items():
            path = results / "matrix" / name
            if not path.is_file() or path.stat().st_size != stated["size"]:
                raise rebuild_error(dataset, stem, path)
    return Part(stem, entry, detail, _annotated_events(results, stem, annotated))


def _annotated_events(results: Path, stem: str, annotated: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    if annotated["status"] == "quarantined":
        # Its conversion is quarantined too, with what is wrong.
        return pd.DataFrame(columns=ANNOTATED_COLUMNS, dtype=object)
    path = results / "events" / f"{stem}.tsv"
    if not path.is_file() or path.stat().st_size != annotated["files"][path.name]["size"]:
        raise BidsmillError(
            "a result is missing or is not the one that was made",
            file=path,
            todo="snakemake --cores 2 -R annotate (with the --configfile of this run)",
        )
    return tables.read_tsv(path)


def rebuild_error(dataset: str, stem: str, path: Path) -> BidsmillError:
    """Return the error for a lost or damaged matrix: it names the command that rebuilds it."""
    return BidsmillError(
        "a result is missing or is not the one that was made",
        file=path,
        todo=f"snakemake --cores 2 -f results/{dataset}/matrix/{stem}.json, then snakemake again"
        " (both with the --configfile of this run)",
    )


def _events_table(parts: list[Part]) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return every event of every recording, and the first row of each recording."""
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
            samples = np.rint(onsets * part.entry["sfreq"])
            samples[~(np.abs(samples) < MOST_SAMPLES)] = np.nan
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


def _samples_table(
    parts: list[Part],
    participants: dict[str, dict[str, str]],
    events: pd.DataFrame,
    first_rows: dict[str, int],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of all matrices, and the columns of each row's event."""
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
    for name in ("trial_type", "value", "HED"):
        samples[name] = of_event[name].to_numpy()
    excluded = [
        part.detail["excluded"].get(str(row), "")
        for part in parts
        if part.detail
        for row in range(len(part.detail["starts"]))
    ]
    samples["excluded"] = pd.Series(excluded, dtype=object)
    return samples, of_event


def _rows_of(part: Part, first_event: int) -> pd.DataFrame:
    import pandas as pd

    starts = np.array(part.detail["starts"], np.int64)
    length, sfreq = part.entry["shape"][2], part.entry["sfreq"]
    used = part.detail["events"]
    if used is None:
        onsets = starts / sfreq
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


def _with_labels(samples: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Put the label columns before ``excluded``."""
    import pandas as pd

    head = samples.drop(columns="excluded")
    return pd.concat([head, labels, samples[["excluded"]]], axis=1)


def _recordings_table(parts, members, annotated, participants, events, samples) -> pd.DataFrame:
    import pandas as pd

    by_recording = events.groupby("recording", sort=False)
    fates = dict(list(by_recording))
    excluded = samples.loc[samples["excluded"] != "", "recording"].value_counts().to_dict()
    rows = []
    for part in parts:
        entry, member = part.entry, members[part.stem]
        conflicts = [*entry.get("conflicts", []), *annotated[part.stem].get("notes", [])]
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
                **_event_counts(fates.get(part.stem)),
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


def _event_counts(events: pd.DataFrame | None) -> dict[str, Any]:
    if events is None:
        return {"events": 0, "events_used": 0, "events_dropped": ""}
    used = int((events["outcome"] == "used").sum())
    reasons = Counter(events.loc[events["outcome"] != "used", "reason"])
    text = ", ".join(f"{reason}:{count}" for reason, count in sorted(reasons.items()))
    return {"events": len(events), "events_used": used, "events_dropped": text}
