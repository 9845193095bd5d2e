"""One recording becomes one matrix file: streamed, so that memory does not grow with length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.bids.channels import Channel, describe_channels
from bidsmill.bids.entities import odd_names
from bidsmill.bids.events import seconds
from bidsmill.bids.reading import OpenRecording, open_recording
from bidsmill.bids.repairs import Repairs
from bidsmill.bids.sidecars import merged_json, sidecar_conflicts, sidecars_in_use
from bidsmill.convert.chain import RecordingSignal, build_chain
from bidsmill.convert.channel_plan import channel_rows, plan_channels
from bidsmill.convert.channels import unknown_exclusions
from bidsmill.convert.quality import QualityMeter, as_recorded
from bidsmill.convert.rows import Rows, bad_rows, find_boundaries, place_rows
from bidsmill.convert.windows import find_cuts
from bidsmill.convert.writing import write_matrix
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.formats import tables
from bidsmill.formats.files import canonical_sha256
from bidsmill.formats.layout import layout_id
from bidsmill.signal.source import Signal

if TYPE_CHECKING:
    import pandas as pd


# Keys of the sidecar that a description of the dataset repeats (BIDS 1.10, modality pages).
HARDWARE = (
    "Manufacturer",
    "ManufacturersModelName",
    "CapManufacturer",
    "EEGReference",
    "EEGGround",
    "iEEGReference",
    "EMGReference",
    "EEGPlacementScheme",
    "PowerLineFrequency",
    "SoftwareFilters",
    "HardwareFilters",
    "RecordingType",
    "DewarPosition",
)


def convert_recording(
    member: dict[str, Any], root: Path, events_path: Path, output: Path, settings: dict[str, Any]
) -> dict[str, Any]:
    """Convert one recording.

    Parameters
    ----------
    member : dict
        The recording's entry in ``plan/{batch}.json``, with the sha256 of its ``files``.
    root : pathlib.Path
        The dataset.
    events_path : pathlib.Path
        ``events/{recording}.tsv``.
    output : pathlib.Path
        ``matrix/{recording}.parquet``.
    settings : dict
        ``windows``, ``channels``, ``reference``, ``resample``, ``filter`` and ``repairs`` of
        the dataset.

    Returns
    -------
    dict
        The content of the receipt.

    Raises
    ------
    RecordingProblem
        If the recording cannot be converted.
    """
    prepared = prepare_recording(member, root, tables.read_tsv(events_path), settings)
    metadata = _metadata(member, prepared, settings)
    names = [channel.name for channel in prepared.chosen]
    meter = QualityMeter(metadata, len(prepared.rows.starts), as_recorded(prepared.steps))
    excluded, stated = write_matrix(
        output, prepared.signal, prepared.rows, names, settings["windows"], metadata, meter
    )
    excluded.update(bad_rows(prepared.opened, prepared.rows, prepared.signal.sfreq))
    repairs = prepared.opened.repairs
    return {
        "status": "repaired" if repairs else "converted",
        "reason": "",
        "message": "",
        "repairs": repairs,
        "conflicts": [*prepared.conflicts, *prepared.opened.warnings],
        "shape": stated["shape"],
        "layout": metadata["layout"],
        "sfreq": metadata["sfreq"],
        "tmin": metadata["tmin"],
        "source_sfreq": prepared.opened.sfreq,
        "source_n_times": prepared.opened.n_times,
        "line_frequency": metadata["line_frequency"],
        "files": {output.name: {"size": stated["size"], "sha256": stated["sha256"]}},
        "detail": {
            **_detail(prepared, excluded, metadata["processing"]),
            "quality": meter.result(),
        },
    }


@dataclass
class Prepared:
    """A recording that is open, and all that was decided about its matrix."""

    opened: OpenRecording
    sidecar: dict[str, Any]
    channels: list[Channel]
    chosen: list[Channel]
    conflicts: list[str]
    signal: Signal
    steps: list[dict[str, Any]]
    rows: Rows


def prepare_recording(
    member: dict[str, Any], root: Path, events: pd.DataFrame, settings: dict[str, Any]
) -> Prepared:
    """Open a recording and decide on channels, signal and rows; no sample is read.

    Parameters
    ----------
    member, root, settings
        As for `convert_recording`.
    events : DataFrame of str
        The annotated events.

    Raises
    ------
    RecordingProblem
        If the recording cannot be converted.
    """
    repairs = Repairs(**settings["repairs"])
    opened = open_recording(root, member["data"], repairs)
    signal_sidecars = {k: v for k, v in member["sidecars"].items() if not k.startswith("events.")}
    sidecars, told = sidecars_in_use(member["data"], signal_sidecars, repairs)
    conflicts = [*odd_names(member["data"]), *told]
    sidecar, told = merged_json(root, sidecars.get(f"{member['datatype']}.json", []), repairs)
    conflicts += told
    conflicts += sidecar_conflicts(opened, sidecar, member["datatype"], repairs)
    channels, told = describe_channels(opened, root, sidecars, repairs)
    conflicts += told
    if member["alternatives"]:
        conflicts.append(f"not read, the same recording: {', '.join(member['alternatives'])}")
    plan = plan_channels(channels, member["datatype"], settings["channels"], settings["reference"])
    conflicts += [*plan.notes, *unknown_exclusions(channels, settings["channels"])]
    conflicts += _load_if_rates_differ(opened, plan.picks)
    cuts = find_cuts(find_boundaries(opened, events), opened.sfreq, opened.n_times)
    source = plan.apply(RecordingSignal(opened, plan.picks, root, member["data"]))
    segments = cuts.segments(opened.n_times)
    try:
        signal, steps = build_chain(source, segments, settings["filter"], settings["resample"])
    except BidsmillError as problem:
        raise RecordingProblem("filter_impossible", problem.message()) from None
    cuts = cuts.on_grid(opened.sfreq, signal.sfreq)
    rows = place_rows(signal, settings["windows"], events, cuts)
    steps = [*plan.steps, *steps]
    return Prepared(opened, sidecar, channels, plan.chosen, conflicts, signal, steps, rows)


def _metadata(
    member: dict[str, Any], prepared: Prepared, settings: dict[str, Any]
) -> dict[str, Any]:
    """Return the document of the matrix file."""
    signal, rows, chosen = prepared.signal, prepared.rows, prepared.chosen
    names, types, units = zip(*[(c.name, c.type, c.unit) for c in chosen], strict=True)
    return {
        "recording": member["stem"],
        "channels": [channel.as_metadata() for channel in chosen],
        "sfreq": signal.sfreq,
        "tmin": round(settings["windows"].get("tmin", 0.0) * signal.sfreq) / signal.sfreq,
        "n_times": rows.length,
        "layout": layout_id(names, types, units, signal.sfreq, rows.length),
        "source": _source_facts(member, prepared.opened),
        "processing": _processing(prepared.steps, settings["windows"], signal, rows),
        "repairs": prepared.opened.repairs,
        "line_frequency": _number(prepared.sidecar.get("PowerLineFrequency")),
    }


def _detail(
    prepared: Prepared, excluded: dict[int, str], processing: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return what the tables of the dataset need to know of the recording."""
    rows = prepared.rows
    return {
        "starts": rows.starts.tolist(),
        "events": rows.events,
        "dropped": {str(event): rows.dropped[event] for event in sorted(rows.dropped)},
        "excluded": {str(row): excluded[row] for row in sorted(excluded)},
        "channels": channel_rows(prepared.channels, prepared.chosen),
        "processing": processing,
        "hardware": {key: prepared.sidecar[key] for key in HARDWARE if key in prepared.sidecar},
    }


def _load_if_rates_differ(opened: OpenRecording, picks: list[int]) -> list[str]:
    """Load a recording whose channels differ in rate: MNE upsamples each block for itself."""
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


def _source_facts(member: dict[str, Any], opened: OpenRecording) -> dict[str, Any]:
    files = member["files"]
    single = files.get(member["data"])
    return {
        "file": member["data"],
        "sha256": single or canonical_sha256(files),
        "sfreq": opened.sfreq,
        "n_times": opened.n_times,
        "format": type(opened.raw).__name__.removeprefix("Raw") or "FIF",
    }


def _processing(steps, windows: dict[str, Any], signal: Signal, rows: Rows) -> list[dict]:
    done = list(steps)
    step = {"step": "windows", **windows, "sfreq": signal.sfreq, "n_times": rows.length}
    step.pop("baseline", None)
    step.pop("events", None)
    done.append(step)
    if windows.get("baseline"):
        done.append({"step": "baseline", "span": windows["baseline"], "mode": "mean"})
    done.append({"step": "cast", "dtype": "float32"})
    return done


def _number(value: Any) -> float | None:
    number = seconds(value)
    return number if np.isfinite(number) else None
