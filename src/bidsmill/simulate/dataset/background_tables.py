"""Tables and documents of a converted dataset with spikes: what stays, what is counted anew."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.formats import certificate, files, tables
from bidsmill.simulate.dataset.words import samples_words

if TYPE_CHECKING:
    import pandas as pd

Entries = dict[str, dict[str, Any]]

# Name of the one manifest of the files of such a dataset.
BATCH = "background"
# What it takes over as it is.
KEPT = ("events.json", "recordings.json", "channels.json", "validation.json")
# Nothing is known of the signal of a recording that gave no matrix.
OF_SIGNAL = ("source_sfreq", "sfreq", "duration", "n_channels", "bad_channels", "n_times", "rows")
NUMBERS = ("n_sources", "extent", "snr", "snr_realised", "spike_time")
# Why an event gives no row, as `bidsmill.bids.reasons` has it.
WITHOUT_RECORDING = "recording_quarantined"


def write_background_tables(origin: Path, results: Path, entries: Entries) -> pd.DataFrame:
    """Write the tables and the split; return the table of recordings.

    Parameters
    ----------
    origin, results : pathlib.Path
        ``results/{dataset}`` of the converted dataset, and of the new one.
    entries : dict
        Recording -> its receipt: converted, or quarantined with reason and message.
    """
    import pandas as pd

    for name in KEPT:
        shutil.copyfile(origin / name, results / name)
    _write_samples(origin, results, entries)
    events = _events(tables.read_tsv(origin / "events.tsv"), entries)
    tables.write_tsv(results / "events.tsv", events)
    recordings = _recordings(tables.read_tsv(origin / "recordings.tsv"), entries, events)
    tables.write_tsv(results / "recordings.tsv", recordings)
    channels = _channels(tables.read_tsv(origin / "channels.tsv"), entries)
    tables.write_tsv(results / "channels.tsv", channels)
    _write_split(origin, results, entries)
    failed = [
        {"recording": name, **{key: entry[key] for key in ("reason", "message")}}
        for name, entry in entries.items()
        if entry["status"] == "quarantined"
    ]
    columns = ["recording", "reason", "message"]
    tables.write_tsv(results / "failed.tsv", pd.DataFrame(failed, columns=columns))
    return recordings


def _converted(entries: Entries) -> Entries:
    return {name: entry for name, entry in entries.items() if entry["status"] != "quarantined"}


def _write_samples(origin: Path, results: Path, entries: Entries) -> None:
    import pandas as pd

    samples = tables.read_parquet(origin / "samples.parquet")
    paths = (results / "labels" / f"{name}.parquet" for name in _converted(entries))
    labels = pd.concat([tables.read_parquet(path) for path in paths], ignore_index=True)
    # A column of the origin that has the name of a label gives way to it.
    ours = [c for c in labels if c not in ("recording", "row")]
    kept = samples.drop(columns=[c for c in ours if c in samples])
    joined = kept.merge(labels, on=["recording", "row"], how="inner", validate="one_to_one")
    tables.write_parquet(results / "samples.parquet", joined)
    tables.write_tsv(results / "samples.tsv", joined)
    known = files.read_json(origin / "samples.json")
    files.write_json(results / "samples.json", {**known, **samples_words([*ours])})


def _events(events: pd.DataFrame, entries: Entries) -> pd.DataFrame:
    """Return the events: rows stay where they are, for `event` of `samples` counts them."""
    gone = ~events["recording"].isin(list(_converted(entries)))
    for name, fate in {"outcome": "dropped", "row": "", "sample": ""}.items():
        if name in events:
            events[name] = events[name].mask(gone, fate)
    if "reason" in events:
        # One that gave no row before keeps its reason.
        events["reason"] = events["reason"].mask(gone & (events["reason"] == ""), WITHOUT_RECORDING)
    return events


def _recordings(recordings: pd.DataFrame, entries: Entries, events: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    fates = dict(list(events.groupby("recording", sort=False)))
    rows = []
    for row in recordings.to_dict("records"):
        entry = entries[row["recording"]]
        if entry["status"] == "quarantined":
            row |= {key: entry[key] for key in ("status", "reason", "message")}
            row |= {**dict.fromkeys(OF_SIGNAL, ""), "excluded": "0", "layout": "", "sha256": ""}
            row |= _event_counts(fates.get(row["recording"]))
        else:
            stated = entry["files"][f"{row['recording']}.parquet"]
            _, n_channels, n_times = entry["shape"]
            row |= {"n_channels": n_channels, "bad_channels": "", "n_times": n_times}
            row |= {"layout": entry["layout"], "sha256": stated["sha256"]}
        rows.append(row)
    return pd.DataFrame(rows)


def _event_counts(events: pd.DataFrame | None) -> dict[str, Any]:
    reasons = Counter() if events is None or "reason" not in events else Counter(events["reason"])
    text = ", ".join(f"{reason}:{count}" for reason, count in sorted(reasons.items()))
    return {"events_used": 0, "events_dropped": text}


def _channels(channels: pd.DataFrame, entries: Entries) -> pd.DataFrame:
    """Return the channels of converted recordings: kept are those that the lead field knows."""
    made = _converted(entries)
    channels = channels[channels["recording"].isin(list(made))]
    if "name" not in channels:
        return channels
    names = {r: {c["name"] for c in entry["detail"]["channels"]} for r, entry in made.items()}
    was_kept = channels["kept"] if "kept" in channels else ["true"] * len(channels)
    places = zip(channels["recording"], channels["name"], was_kept, strict=True)
    return channels.assign(
        kept=[str(b == "true" and name in names[r]).lower() for r, name, b in places]
    )


def _write_split(origin: Path, results: Path, entries: Entries) -> None:
    """Write the split: everybody stays where he is; rows that are gone are counted no more."""
    old = origin / "split.tsv", origin / "split.json"
    new = results / "split.tsv", results / "split.json"
    kept = tables.read_parquet(results / "samples.parquet")
    table, proof = certificate.read_split(*old)
    if len(kept) == len(tables.read_parquet(origin / "samples.parquet", ["recording"])):
        for source, target in zip(old, new, strict=True):
            shutil.copyfile(source, target)
        return
    group = certificate.group_of_rows(kept, table)
    excluded = certificate.text_column(kept, "excluded") != ""
    sides = certificate.side_of_rows(kept, table)
    counted = {"rows": ~excluded, "rows_excluded": excluded}
    for key, chosen in counted.items():
        found = Counter(group[chosen])
        table[key] = [found[name] for name in table["group"]]
        count = Counter(sides[chosen])
        proof[key] = {side: count[side] for side in certificate.SIDES}
    missing = sorted(name for name, e in entries.items() if e["status"] == "quarantined")
    proof["reason"] = "; ".join(
        text
        for text in (
            proof.get("reason") or "",
            "sides and balance are those of the dataset without spikes; these of its recordings"
            f" took none and are not there: {', '.join(missing)}",
        )
        if text
    )
    certificate.write_split(*new, table, proof)


def write_background_documents(
    origin: Path,
    results: Path,
    dataset: str,
    recordings: pd.DataFrame,
    entries: Entries,
    n_regions: int,
    description: dict[str, Any],
) -> None:
    """Write ``dataset.json``, README, the plan and the vocabulary.

    Parameters
    ----------
    origin, results : pathlib.Path
        As for `write_background_tables`.
    dataset : str
        Id of the new dataset.
    recordings : pandas.DataFrame
        Its table of recordings.
    entries : dict
        Recording -> its receipt.
    n_regions : int
        Regions of the cortex: classes of the label ``centre``.
    description : dict
        What ``dataset.json`` shall say besides or instead: ``snapshot``, ``license``, settings.
    """
    old = files.read_json(origin / "dataset.json")
    made = _converted(entries)
    rows = sum(entry["shape"][0] for entry in made.values())
    labels = {
        "spike": {"kind": "class", "classes": ["none", "spike"], "ambiguous": 0, "unmatched": 0},
        "centre": {"kind": "class", "classes": [str(i) for i in range(n_regions)]},
        **{name: {"kind": "number", "unmatched": 0} for name in NUMBERS},
    }
    used = recordings[recordings["recording"].isin(list(made))]
    counts = {"recordings": len(recordings), "converted": len(made), "rows": rows}
    if "subject" in used:
        counts["subjects"] = len(set(used["subject"]) - {"", certificate.EMPTY_ROOM})
    overview = files.read_json(origin / "plan" / "dataset.json")
    content = {
        **old,
        **description,
        "dataset": dataset,
        "name": f"{old['name']} with simulated spikes",
        "origin": {"dataset": old.get("dataset", ""), "snapshot": overview["snapshot"]},
        "counts": {**old["counts"], **counts, "quarantined": len(recordings) - len(made)},
        "labels": {**old.get("labels", {}), **labels},
    }
    files.write_json(results / "dataset.json", content)
    own = {key: description[key] for key in ("snapshot",) if key in description}
    manifest = {**overview, "dataset": dataset, "batches": [BATCH], **own}
    files.write_json(results / "plan" / "dataset.json", manifest)
    files.write_json(results / "labels.json", {"labels": content["labels"]})
    without = len(recordings) - len(made)
    told = f" {without} of {len(recordings)} recordings took none; recordings.tsv says why."
    files.write_text(
        results / "README.md",
        f"# {content['name']}\n\n{rows} rows of real EEG, referenced to the average; the column"
        " `spike` says which of them have a simulated interictal spike, `snr` how strong it is."
        f"{told if without else ''}\n",
    )
