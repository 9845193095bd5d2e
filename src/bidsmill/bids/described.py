"""A recording with all that its header and its sidecars say of it; no sample is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.channels import Channel, describe_channels
from bidsmill.bids.entities import odd_names
from bidsmill.bids.reading import OpenRecording, open_recording
from bidsmill.bids.repairs import Repairs
from bidsmill.bids.sidecars import merged_json, sidecar_conflicts, sidecars_in_use
from bidsmill.formats.files import canonical_sha256


@dataclass
class Described:
    """A recording that is open, and what is known of it.

    Attributes
    ----------
    opened : OpenRecording
        The recording.
    sidecar : dict
        Its JSON sidecar, merged by the rules of inheritance.
    channels : list of Channel
        All of the file, in its order.
    conflicts : list of str
        Where header and sidecars disagree.
    """

    opened: OpenRecording
    sidecar: dict[str, Any]
    channels: list[Channel]
    conflicts: list[str]


def describe_recording(member: dict[str, Any], root: Path, repairs: dict[str, Any]) -> Described:
    """Open a recording and read its sidecars.

    Parameters
    ----------
    member : dict
        The recording's entry in ``plan/{batch}.json``.
    root : pathlib.Path
        The dataset.
    repairs : dict
        ``repairs`` of the dataset.

    Raises
    ------
    RecordingProblem
        If the recording cannot be opened.
    """
    allowed = Repairs(**repairs)
    opened = open_recording(root, member["data"], allowed)
    signal_sidecars = {k: v for k, v in member["sidecars"].items() if not k.startswith("events.")}
    sidecars, told = sidecars_in_use(member["data"], signal_sidecars, allowed)
    conflicts = [*odd_names(member["data"]), *told]
    sidecar, told = merged_json(root, sidecars.get(f"{member['datatype']}.json", []), allowed)
    conflicts += told
    conflicts += sidecar_conflicts(opened, sidecar, member["datatype"], allowed)
    channels, told = describe_channels(opened, root, sidecars, allowed)
    conflicts += told
    if member["alternatives"]:
        conflicts.append(f"not read, the same recording: {', '.join(member['alternatives'])}")
    return Described(opened, sidecar, channels, conflicts)


def signal_sidecars_of(member: dict[str, Any]) -> dict[str, str | None]:
    """Return the sidecars that shape a signal, with checksums: all but those of the events."""
    checksums = member["sidecar_files"]
    return {name: checksums[name] for name in sorted(checksums) if not _is_events(name)}


def _is_events(path: str) -> bool:
    return path.endswith(("_events.tsv", "_events.json")) or path in ("events.tsv", "events.json")


def source_sha256(member: dict[str, Any]) -> str:
    """Return the sha256 of the data file; of several files that of their names and checksums."""
    return member["files"].get(member["data"]) or canonical_sha256(member["files"])


def format_name(opened: OpenRecording) -> str:
    """Return the format of a recording, by the name of its reader."""
    return type(opened.raw).__name__.removeprefix("Raw") or "FIF"


def load_if_rates_differ(opened: OpenRecording, picks: list[int]) -> list[str]:
    """Load a recording whose channels differ in rate: MNE upsamples each block for itself.

    Returns
    -------
    list of str
        What is to be told of it.
    """
    own = (opened.raw._raw_extras[0] or {}).get("own")
    if own is not None:
        # EDF and BDF are read block by block at any rate; see `readers.edf_samples`.
        return own.told_of(picks)
    counts = (opened.raw._raw_extras[0] or {}).get("n_samps")
    if counts is None or len(counts) == 0:
        return []
    selected = opened.raw._raw_extras[0].get("sel", np.arange(len(counts)))
    used = {int(counts[selected[index]]) for index in picks if index < len(selected)}
    record = opened.n_times / opened.raw._raw_extras[0]["n_records"]
    if used <= {record}:
        return []
    opened.raw.load_data()
    return [
        "channels differ in sampling rate; the slower ones were upsampled by MNE to"
        f" {opened.sfreq:g} Hz"
    ]
