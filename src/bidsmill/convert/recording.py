"""One recording becomes one matrix file: streamed, so that memory does not grow with length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.channels import Channel, describe_channels, rate_conflict
from bidsmill.bids.events import seconds
from bidsmill.bids.reading import OpenRecording, is_bad, is_boundary, open_recording
from bidsmill.bids.sidecars import merged_json
from bidsmill.convert.chain import RecordingSignal, block_samples, build_chain
from bidsmill.convert.channels import choose_channels
from bidsmill.convert.windows import Cuts, event_windows, find_cuts, fixed_windows
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.formats import tables
from bidsmill.formats.files import atomic_path, remove_parts
from bidsmill.formats.layout import layout_id
from bidsmill.formats.matrix import MatrixWriter, rows_per_group
from bidsmill.signal.source import Signal


@dataclass
class Rows:
    """The rows of a matrix: where they start, their events, and what became of the others."""

    starts: np.ndarray
    length: int
    events: list[int] | None
    dropped: dict[int, str]


def convert_recording(
    member: dict[str, Any], root: Path, events_path: Path, output: Path, settings: dict[str, Any]
) -> dict[str, Any]:
    """Convert one recording.

    Parameters
    ----------
    member : dict
        The recording's entry in ``plan/{batch}.json``.
    root : pathlib.Path
        The dataset.
    events_path : pathlib.Path
        ``events/{recording}.tsv``.
    output : pathlib.Path
        ``matrix/{recording}.parquet``.
    settings : dict
        ``windows``, ``channels``, ``resample`` and ``filter`` of the dataset.

    Returns
    -------
    dict
        The content of the receipt.

    Raises
    ------
    RecordingProblem
        If the recording cannot be converted.
    """
    opened = open_recording(root, member["data"])
    sidecar, conflicts = merged_json(root, member["sidecars"].get(f"{member['datatype']}.json", []))
    conflicts += rate_conflict(opened, sidecar)
    channels, told = describe_channels(opened, root, member["sidecars"])
    conflicts += told
    if member["alternatives"]:
        conflicts.append(f"not read, the same recording: {', '.join(member['alternatives'])}")
    chosen = choose_channels(channels, member["datatype"], settings["channels"])
    conflicts += _load_if_rates_differ(opened, [channel.index for channel in chosen])
    events = tables.read_tsv(events_path)
    boundaries = _boundaries(opened, events)
    source = RecordingSignal(opened, [c.index for c in chosen], root, member["data"])
    cuts = find_cuts(boundaries, opened.sfreq, opened.n_times)
    try:
        signal, steps = build_chain(
            source, cuts.segments(opened.n_times), settings["filter"], settings["resample"]
        )
    except BidsmillError as problem:
        raise RecordingProblem("filter_impossible", problem.message()) from None
    rows = place_rows(signal, settings["windows"], events, boundaries)
    layout = layout_id(
        [c.name for c in chosen],
        [c.type for c in chosen],
        [c.unit for c in chosen],
        signal.sfreq,
        rows.length,
    )
    metadata = {
        "recording": member["stem"],
        "channels": [channel.as_metadata() for channel in chosen],
        "sfreq": signal.sfreq,
        "tmin": round(settings["windows"].get("tmin", 0.0) * signal.sfreq) / signal.sfreq,
        "n_times": rows.length,
        "layout": layout,
        "source": _source_facts(member, opened),
        "processing": _processing(steps, settings["windows"], signal, rows),
        "repairs": [],
        "line_frequency": _number(sidecar.get("PowerLineFrequency")),
    }
    excluded, stated = write_matrix(output, signal, rows, chosen, settings["windows"], metadata)
    excluded.update(_bad_spans(opened, rows, signal.sfreq))
    return {
        "status": "converted",
        "reason": "",
        "message": "",
        "repairs": [],
        "conflicts": [*conflicts, *opened.warnings],
        "shape": stated["shape"],
        "layout": layout,
        "sfreq": signal.sfreq,
        "tmin": metadata["tmin"],
        "source_sfreq": opened.sfreq,
        "source_n_times": opened.n_times,
        "line_frequency": metadata["line_frequency"],
        "files": {output.name: {"size": stated["size"], "sha256": stated["sha256"]}},
        "detail": {
            "starts": rows.starts.tolist(),
            "events": rows.events,
            "dropped": {str(event): reason for event, reason in sorted(rows.dropped.items())},
            "excluded": {str(row): excluded[row] for row in sorted(excluded)},
            "channels": [
                {**channel.as_metadata(), "kept": channel in chosen} for channel in channels
            ],
            "processing": metadata["processing"],
            "hardware": {key: sidecar[key] for key in HARDWARE if key in sidecar},
        },
    }


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


def place_rows(
    signal: Signal,
    windows: dict[str, Any],
    events: Any,
    boundaries: list[tuple[float, float]],
) -> Rows:
    """Return the rows of a recording on the output grid.

    Parameters
    ----------
    signal : Signal
        What the rows are cut from.
    windows : dict
        ``windows`` of the dataset.
    events : DataFrame of str
        The annotated events, with the column ``chosen``.
    boundaries : list of (float, float)
        Onset and duration in s.

    Raises
    ------
    RecordingProblem
        ``no_events`` if no event is chosen, ``no_windows`` if there is no row.
    """
    cuts = find_cuts(boundaries, signal.sfreq, signal.n_times)
    if windows["kind"] == "fixed":
        rows = _fixed_rows(signal, windows, cuts)
    else:
        rows = _event_rows(signal, windows, events, cuts)
    if len(rows.starts) == 0:
        raise RecordingProblem(
            "no_windows",
            "no window fits into the recording",
            found=f"{signal.n_times} samples at {signal.sfreq:g} Hz; " + _counted(rows.dropped),
            expected=f"room for {rows.length} samples without a boundary",
        )
    return rows


def _fixed_rows(signal: Signal, windows: dict[str, Any], cuts: Cuts) -> Rows:
    starts, length = fixed_windows(
        signal.sfreq, windows["length"], windows["overlap"], signal.n_times, cuts
    )
    return Rows(starts, length, None, {})


def _event_rows(signal: Signal, windows: dict[str, Any], events: Any, cuts: Cuts) -> Rows:
    chosen = np.flatnonzero((events["chosen"] == "yes").to_numpy(bool))
    if len(chosen) == 0:
        raise RecordingProblem(
            "no_events",
            "no event of this recording is chosen",
            found=f"{len(events)} events",
            expected="an event that `windows.events` names",
            todo="choose other events, or windows of kind `fixed`",
        )
    onsets = np.array([seconds(text) for text in events["onset"].iloc[chosen]])
    starts, length, kept, reasons = event_windows(
        onsets, signal.sfreq, windows["tmin"], windows["tmax"], signal.n_times, cuts
    )
    dropped = {int(event): why for event, why in zip(chosen, reasons, strict=True) if why}
    return Rows(starts, length, chosen[kept].tolist(), dropped)


def _counted(dropped: dict[int, str]) -> str:
    reasons = sorted(set(dropped.values()))
    counts = [f"{reason}: {list(dropped.values()).count(reason)}" for reason in reasons]
    return ", ".join(counts) or "no event"


def _boundaries(opened: OpenRecording, events: Any) -> list[tuple[float, float]]:
    """Return onset and duration of every boundary, of the file and of the events."""
    found = [
        (mark.onset, mark.duration if "skip" in mark.description.casefold() else 0.0)
        for mark in opened.annotations
        if is_boundary(mark.description)
    ]
    for onset, marker in zip(events["onset"], events["trial_type"], strict=True):
        if is_boundary(marker) and np.isfinite(seconds(onset)):
            found.append((seconds(onset), 0.0))
    return sorted(set(found))


def _bad_spans(opened: OpenRecording, rows: Rows, sfreq: float) -> dict[int, str]:
    """Return the rows that touch what the file itself marks as bad."""
    excluded: dict[int, str] = {}
    for mark in opened.annotations:
        if is_bad(mark.description):
            low = mark.onset * sfreq
            high = max(low + 1, (mark.onset + mark.duration) * sfreq)
            touched = np.flatnonzero((rows.starts < high) & (rows.starts + rows.length > low))
            excluded.update({int(row): "bad_segment" for row in touched})
    return excluded


def _load_if_rates_differ(opened: OpenRecording, picks: list[int]) -> list[str]:
    """Load a recording whose channels differ in rate: MNE upsamples each block for itself."""
    counts = (opened.raw._raw_extras[0] or {}).get("n_samps")
    if counts is None or len(counts) == 0:
        return []
    selected = opened.raw._raw_extras[0].get("sel", np.arange(len(counts)))
    used = {int(counts[selected[index]]) for index in picks if index < len(selected)}
    if len(used) < 2:
        return []
    opened.raw.load_data()
    return [
        "channels differ in sampling rate; the slower ones were upsampled by MNE to"
        f" {opened.sfreq:g} Hz"
    ]


def _source_facts(member: dict[str, Any], opened: OpenRecording) -> dict[str, Any]:
    from bidsmill.formats.files import canonical_sha256

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


def write_matrix(
    output: Path,
    signal: Signal,
    rows: Rows,
    chosen: list[Channel],
    windows: dict[str, Any],
    metadata: dict[str, Any],
) -> tuple[dict[int, str], dict[str, Any]]:
    """Write the rows of a recording, one row group at a time.

    Returns
    -------
    excluded : dict
        Row -> ``not_finite`` for rows that hold a NaN or an infinity.
    stated : dict
        As `MatrixWriter.close` returns it.
    """
    names = [channel.name for channel in chosen]
    per_group = rows_per_group(len(names), rows.length)
    baseline = _baseline_samples(windows, signal.sfreq, rows.length)
    excluded: dict[int, str] = {}
    remove_parts(output)
    with atomic_path(output) as part, MatrixWriter(part, names, rows.length) as writer:
        for first in range(0, len(rows.starts), per_group):
            starts = rows.starts[first : first + per_group]
            block = read_windows(signal, starts, rows.length)
            if baseline is not None:
                block -= block[:, :, baseline].mean(axis=2, keepdims=True, dtype=np.float64)
            unusable = ~np.isfinite(block).all(axis=(0, 2))
            excluded.update({int(first + row): "not_finite" for row in np.flatnonzero(unusable)})
            writer.write_group(block)
        stated = writer.close(metadata)
    return excluded, stated


def _baseline_samples(windows: dict[str, Any], sfreq: float, length: int) -> slice | None:
    span = windows.get("baseline")
    if not span:
        return None
    low = max(0, round((span[0] - windows["tmin"]) * sfreq))
    high = min(length, round((span[1] - windows["tmin"]) * sfreq))
    return slice(low, max(high, low + 1))


def read_windows(signal: Signal, starts: np.ndarray, length: int) -> np.ndarray:
    """Read windows of a signal; those that lie close to each other in one go.

    Parameters
    ----------
    signal : Signal
        What to read.
    starts : ndarray of int64, shape (n_windows,)
        Sorted first samples.
    length : int
        Samples per window.

    Returns
    -------
    ndarray of float32, shape (n_channels, n_windows, length)
    """
    block = np.empty((signal.n_channels, len(starts), length), np.float32)
    limit = max(block_samples(signal.n_channels), length)
    # What lies between two windows is read along when that costs less than another call.
    joined = max(length, round(getattr(signal, "reach_seconds", 0.0) * signal.sfreq))
    first = 0
    while first < len(starts):
        last = first
        while (
            last + 1 < len(starts)
            and starts[last + 1] - (starts[last] + length) <= joined
            and starts[last + 1] + length - starts[first] <= limit
        ):
            last += 1
        _read_run(signal, starts[first : last + 1], length, block[:, first : last + 1])
        first = last + 1
    return block


def _read_run(signal: Signal, starts: np.ndarray, length: int, out: np.ndarray) -> None:
    begin = int(starts[0])
    data = signal.read(begin, int(starts[-1]) + length)
    if len(starts) > 1 and np.all(np.diff(starts) == length):
        out[:] = data.reshape(out.shape)
        return
    for index, start in enumerate(starts - begin):
        out[:, index] = data[:, start : start + length]
