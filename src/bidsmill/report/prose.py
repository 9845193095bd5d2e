"""What was done to a dataset, in sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def processing_prose(settings: dict[str, Any]) -> list[str]:
    """Return the steps from recording to row, one sentence each.

    Parameters
    ----------
    settings : dict
        All settings of the dataset.
    """
    windows = settings["windows"]
    if windows.get("source"):
        made = [_node(windows["source"], settings["streams"]["nodes"])]
        values = "Values are float32 in the units that the node gives."
    else:
        made = [
            _reference(settings.get("reference")),
            _filter(settings["filter"]),
            _resample(settings["resample"]),
        ]
        values = "Values are float32 in SI units; nothing is rescaled or normalised."
    sentences = [
        _channels(settings["channels"]),
        *made,
        _windows(windows),
        _baseline(windows),
        values,
    ]
    return [sentence for sentence in sentences if sentence]


def _node(source: str, nodes: dict[str, str]) -> str:
    """Say which node rows are cut from, and how it is made."""
    if source not in nodes:
        return "Rows are cut from the stream of the recording, as it was recorded."
    words, waiting = [source], [source]
    while waiting:
        inside = re.findall(r"[A-Za-z][A-Za-z0-9_]*", nodes[waiting.pop(0)])
        new = [name for name in dict.fromkeys(inside) if name in nodes and name not in words]
        words += new
        waiting += new
    listed = "; ".join(f"`{name}` is `{nodes[name]}`" for name in words)
    return f"Rows are cut from the node `{source}` of the recording's stream: {listed}."


def _channels(channels: dict[str, Any]) -> str:
    if channels["policy"] == "montage":
        named = f": {', '.join(map(str, channels['names']))}" if channels["names"] else ""
        kept = f"the EEG electrodes of the montage {channels['montage']}{named} (missing ones are"
        kept += " interpolated by spherical splines)"
    elif channels["policy"] == "list":
        kept = f"the channels {', '.join(map(str, channels['names']))}"
    else:
        types = [
            "the main types of the datatype" if kind == "data" else kind
            for kind in channels["types"]
        ]
        kept = f"channels of type: {', '.join(types)}"
    bad = {
        "keep": "kept and flagged",
        "drop": "dropped",
        "interpolate": "interpolated where they are EEG with known places, else kept and flagged",
    }[channels["bad"]]
    if channels["policy"] == "montage" and channels["bad"] != "keep":
        bad = "interpolated"
    return f"Each matrix holds {kept}; bad channels are {bad}."


def _reference(reference: str | list[str] | None) -> str:
    if reference is None:
        return "The reference is as recorded."
    if reference == "average":
        return "EEG and iEEG channels are referenced to the average of the good ones of their type."
    return f"The mean of {', '.join(map(str, reference))} was subtracted from channels of its type."


def _filter(band: dict[str, Any] | None) -> str:
    if not band:
        return "No filter was applied."
    parts = []
    if band.get("low"):
        parts.append(f"high-pass {band['low']:g} Hz")
    if band.get("high"):
        parts.append(f"low-pass {band['high']:g} Hz")
    if band.get("notch"):
        notch = band["notch"] if isinstance(band["notch"], list) else [band["notch"]]
        parts.append("notch " + ", ".join(f"{f:g}" for f in notch) + " Hz")
    if not parts:
        return "No filter was applied."
    return f"A zero-phase FIR filter was applied to each continuous stretch ({'; '.join(parts)})."


def _resample(rate: float | None) -> str:
    if rate is None:
        return "Recordings keep their sampling rate."
    return f"Recordings were resampled to {rate:g} Hz with an anti-aliasing filter."


def _windows(windows: dict[str, Any]) -> str:
    if windows["kind"] == "fixed":
        overlap = f", overlapping by {windows['overlap']:g} s" if windows["overlap"] else ""
        return f"Rows are {windows['length']:g} s long{overlap}; none crosses a boundary."
    events = windows["events"]
    which = "every event" if events == "all" else f"events with {_choice(events)}"
    return (
        f"Rows span {windows['tmin']:g} s to {windows['tmax']:g} s around {which};"
        " none crosses a boundary."
    )


def _choice(events: dict[str, Any]) -> str:
    return " and ".join(
        f"HED matching “{value}”"
        if key == "hed"
        else f"{key} in {', '.join(map(str, value if isinstance(value, list) else [value]))}"
        for key, value in events.items()
    )


def _baseline(windows: dict[str, Any]) -> str:
    span = windows.get("baseline")
    if not span:
        return ""
    return (
        f"From each channel and row the mean between {span[0]:g} s and {span[1]:g} s"
        " was subtracted."
    )


def dataset_readme(content: dict[str, Any], recordings: pd.DataFrame) -> str:
    """Return the README of a dataset in the store.

    Parameters
    ----------
    content : dict
        ``dataset.json``.
    recordings : DataFrame of str
        ``recordings.tsv``.
    """
    counts = content["counts"]
    lines = [
        f"# {content['name']}",
        "",
        f"Dataset `{content['dataset']}`, snapshot `{content['snapshot']}`: {counts['rows']} rows"
        f" of {counts['converted']} recordings and {counts['subjects']} subjects,"
        f" {content['hours']:.2f} hours; {counts['quarantined']} recordings are quarantined.",
        "",
        f"- Licence: {content['license'] or 'not stated'}",
        f"- Authors: {', '.join(content['authors']) or 'not stated'}",
        f"- DOI: {content['doi'] or 'none'}",
        f"- Cite as: {content['citation'] or 'not stated'}",
        "",
        "## What was done",
        "",
        *[f"- {sentence}" for sentence in content["processing"]],
        "",
        "## Labels and split",
        "",
    ]
    for name, label in content["labels"].items():
        kind = "a number" if label["kind"] == "number" else ", ".join(label["classes"]) or "none"
        lines.append(f"- `{name}`: {kind}")
    split = content["split"]
    if split == "refused":
        lines.append(f"- Split: refused ({content['split_reason']})")
    else:
        lines.append(f"- Split: by {split}; the proof is in split.json")
    bad = recordings[recordings["status"] == "quarantined"]
    if len(bad):
        lines += ["", "## Quarantined", "", "| recording | reason | message |", "|---|---|---|"]
        for row in bad.to_dict("records"):
            message = row["message"].replace("|", "\\|")
            lines.append(f"| {row['recording']} | {row['reason']} | {message} |")
    lines += [
        "",
        "## Load it",
        "",
        "```python",
        "import bidsmill",
        "",
        f'train = bidsmill.open("STORE")["{content["dataset"]}"].{selection(split, recordings)}',
        "X = train.arrays()",
        "```",
        "",
        f"`bidsmill sql STORE {content['dataset']}` prints a query that reads it in DuckDB;"
        " `croissant.json` describes its files to other loaders.",
        "",
    ]
    return "\n".join(lines)


def selection(split: str, recordings: pd.DataFrame) -> str:
    """Return the call that selects rows which can be stacked: those of the largest layout."""
    choice = [] if split == "refused" else ['split="train"']
    layout = largest_layout(recordings)
    if layout:
        choice.append(f"where=\"layout == '{layout}'\"")
    return f"select({', '.join(choice)})"


def largest_layout(recordings: pd.DataFrame) -> str:
    """Return the layout with most rows, '' where all recordings have the same."""
    used = recordings[recordings["layout"] != ""]
    rows = used["rows"].astype(int).groupby(used["layout"]).sum()
    return str(rows.idxmax()) if len(rows) > 1 else ""
