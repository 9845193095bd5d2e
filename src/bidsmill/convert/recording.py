"""One recording becomes one matrix file: streamed, so that memory does not grow with length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.bids.channel_choice import unknown_exclusions
from bidsmill.bids.channels import Channel
from bidsmill.bids.described import (
    Described,
    describe_recording,
    format_name,
    load_if_rates_differ,
    source_sha256,
)
from bidsmill.bids.events import seconds
from bidsmill.bids.limits import require_within
from bidsmill.bids.reading import OpenRecording
from bidsmill.bids.recording_signal import RecordingSignal
from bidsmill.convert.chain import build_chain
from bidsmill.convert.channel_plan import channel_rows, plan_channels
from bidsmill.convert.quality import QualityMeter, as_recorded
from bidsmill.convert.rows import Rows, bad_rows, find_boundaries, place_rows
from bidsmill.convert.stream_source import open_node
from bidsmill.convert.windows import Cuts, find_cuts
from bidsmill.convert.writing import write_matrix
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.formats import tables
from bidsmill.formats.layout import layout_id
from bidsmill.formats.space import require_room
from bidsmill.signal.source import Signal

if TYPE_CHECKING:
    import pandas as pd


# Samples are float32.
BYTES_PER_VALUE = 4
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
    member: dict[str, Any],
    root: Path,
    events_path: Path,
    output: Path,
    settings: dict[str, Any],
    stream: tuple[Path, dict[str, Any]] | None = None,
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
        ``windows``, ``channels``, ``reference``, ``resample``, ``filter``, ``repairs`` and, if
        there are any, ``limits`` of the dataset.
    stream : (pathlib.Path, dict), optional
        With ``windows.source``: the file of that node, and its facts (see
        `bidsmill.convert.stream_source.stream_of`).

    Returns
    -------
    dict
        The content of the receipt.

    Raises
    ------
    RecordingProblem
        If the recording cannot be converted.
    DiskFull
        If there is no room for its matrix.
    """
    prepared = prepare_recording(member, root, tables.read_tsv(events_path), settings, stream)
    made = prepared.made
    metadata = _metadata(member, prepared, settings)
    names = [channel.name for channel in made.chosen]
    require_room(
        output.parent,
        len(prepared.rows.starts) * len(names) * prepared.rows.length * BYTES_PER_VALUE,
        what=f"the disk has no room for the matrix of {member['stem']}",
        purpose="its rows before they are compressed",
        todo="make room and run again: what is converted stays; `limits` leaves large ones out",
    )
    meter = QualityMeter(metadata, len(prepared.rows.starts), as_recorded(made.steps))
    excluded, stated = write_matrix(
        output, made.signal, prepared.rows, names, settings["windows"], metadata, meter
    )
    excluded.update(bad_rows(prepared.opened, prepared.rows, made.signal.sfreq, made.t0))
    repairs = prepared.opened.repairs
    return {
        "status": "repaired" if repairs else "converted",
        "reason": "",
        "message": "",
        "repairs": repairs,
        "conflicts": [*made.conflicts, *prepared.opened.warnings],
        "shape": stated["shape"],
        "layout": metadata["layout"],
        "sfreq": metadata["sfreq"],
        "tmin": metadata["tmin"],
        **({"t0": made.t0} if made.t0 else {}),
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
class Made:
    """The signal that rows are cut from.

    Attributes
    ----------
    signal : Signal
        What to read.
    chosen : list of Channel
        Its channels.
    steps : list of dict
        How it was made.
    conflicts : list of str
        What is to be told.
    t0 : float
        Time of its first sample in s.
    """

    signal: Signal
    chosen: list[Channel]
    steps: list[dict[str, Any]]
    conflicts: list[str]
    t0: float = 0.0


@dataclass
class Prepared:
    """A recording that is open, and all that was decided about its matrix."""

    opened: OpenRecording
    sidecar: dict[str, Any]
    channels: list[Channel]
    made: Made
    rows: Rows


def prepare_recording(
    member: dict[str, Any],
    root: Path,
    events: pd.DataFrame,
    settings: dict[str, Any],
    stream: tuple[Path, dict[str, Any]] | None = None,
) -> Prepared:
    """Open a recording and decide on channels, signal and rows; no sample is read.

    Parameters
    ----------
    member, root, settings, stream
        As for `convert_recording`.
    events : DataFrame of str
        The annotated events.

    Raises
    ------
    RecordingProblem
        If the recording cannot be converted.
    """
    known = describe_recording(member, root, settings["repairs"])
    opened = known.opened
    hours = opened.n_times / opened.sfreq / 3600
    require_within(len(opened.names), hours, settings.get("limits"))
    cuts = find_cuts(find_boundaries(opened, events), opened.sfreq, opened.n_times)
    if stream is None:
        made = _of_recording(member, root, known, cuts, settings)
    else:
        made = _of_node(*stream, known, cuts, settings["windows"]["source"])
    cuts = cuts.on_grid(opened.sfreq, made.signal.sfreq, made.t0)
    rows = place_rows(made.signal, settings["windows"], events, cuts, made.t0)
    return Prepared(opened, known.sidecar, known.channels, made, rows)


def _of_recording(
    member: dict[str, Any], root: Path, known: Described, cuts: Cuts, settings: dict[str, Any]
) -> Made:
    opened, channels = known.opened, known.channels
    plan = plan_channels(channels, member["datatype"], settings["channels"], settings["reference"])
    conflicts = [*known.conflicts, *plan.notes]
    conflicts += unknown_exclusions(channels, settings["channels"])
    conflicts += load_if_rates_differ(opened, plan.picks)
    source = plan.apply(RecordingSignal(opened, plan.picks, root, member["data"]))
    segments = cuts.segments(opened.n_times)
    try:
        signal, steps = build_chain(source, segments, settings["filter"], settings["resample"])
    except BidsmillError as problem:
        raise RecordingProblem("filter_impossible", problem.message()) from None
    return Made(signal, plan.chosen, [*plan.steps, *steps], conflicts)


def _of_node(path: Path, facts: dict[str, Any], known: Described, cuts: Cuts, name: str) -> Made:
    node = open_node(path, name, facts, known.channels)
    told = node.told_of(len(cuts.points) + len(cuts.gaps))
    return Made(node.signal, node.channels, [node.step], [*known.conflicts, *told], node.t0)


def _metadata(
    member: dict[str, Any], prepared: Prepared, settings: dict[str, Any]
) -> dict[str, Any]:
    """Return the document of the matrix file."""
    signal, rows, chosen = prepared.made.signal, prepared.rows, prepared.made.chosen
    names, types, units = zip(*[(c.name, c.type, c.unit) for c in chosen], strict=True)
    return {
        "recording": member["stem"],
        "channels": [channel.as_metadata() for channel in chosen],
        "sfreq": signal.sfreq,
        "tmin": round(settings["windows"].get("tmin", 0.0) * signal.sfreq) / signal.sfreq,
        "n_times": rows.length,
        "layout": layout_id(names, types, units, signal.sfreq, rows.length),
        "source": _source_facts(member, prepared.opened),
        "processing": _processing(prepared.made.steps, settings["windows"], signal, rows),
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
        "channels": channel_rows(prepared.channels, prepared.made.chosen),
        "processing": processing,
        "hardware": {key: prepared.sidecar[key] for key in HARDWARE if key in prepared.sidecar},
    }


def _source_facts(member: dict[str, Any], opened: OpenRecording) -> dict[str, Any]:
    return {
        "file": member["data"],
        "sha256": source_sha256(member),
        "sfreq": opened.sfreq,
        "n_times": opened.n_times,
        "format": format_name(opened),
    }


def _processing(steps, windows: dict[str, Any], signal: Signal, rows: Rows) -> list[dict]:
    done = list(steps)
    # Sorted: the order of keys in a config is no setting, and must not reach the bytes.
    asked = {
        key: windows[key] for key in sorted(windows) if key not in ("baseline", "events", "source")
    }
    step = {"step": "windows", **asked, "sfreq": signal.sfreq, "n_times": rows.length}
    done.append(step)
    if windows.get("baseline"):
        done.append({"step": "baseline", "span": windows["baseline"], "mode": "mean"})
    done.append({"step": "cast", "dtype": "float32"})
    return done


def _number(value: Any) -> float | None:
    number = seconds(value)
    return number if np.isfinite(number) else None
