"""Which windows of a recording become the rows of its matrix."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsmill.bids.events import boundary_markers, seconds
from bidsmill.bids.reading import OpenRecording, is_bad, is_boundary
from bidsmill.convert.windows import Cuts, event_windows, fixed_windows
from bidsmill.errors import RecordingProblem
from bidsmill.signal.source import Signal


@dataclass
class Rows:
    """The rows of a matrix: where they start, their events, and what became of the others."""

    starts: np.ndarray
    length: int
    events: list[int] | None
    dropped: dict[int, str]


def place_rows(
    signal: Signal,
    windows: dict[str, Any],
    events: Any,
    cuts: Cuts,
    t0: float = 0.0,
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
    cuts : Cuts
        Where the signal is not continuous.
    t0 : float
        Time of the first sample of the signal in s.

    Raises
    ------
    RecordingProblem
        ``no_events`` if no event is chosen, ``no_windows`` if there is no row.
    """
    if windows["kind"] == "fixed":
        rows = _fixed_rows(signal, windows, cuts)
    else:
        rows = _event_rows(signal, windows, events, cuts, t0)
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


def _event_rows(
    signal: Signal, windows: dict[str, Any], events: Any, cuts: Cuts, t0: float
) -> Rows:
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
        onsets - t0, signal.sfreq, windows["tmin"], windows["tmax"], signal.n_times, cuts
    )
    dropped = {int(event): why for event, why in zip(chosen, reasons, strict=True) if why}
    return Rows(starts, length, chosen[kept].tolist(), dropped)


def _counted(dropped: dict[int, str]) -> str:
    counts = sorted(Counter(dropped.values()).items())
    return ", ".join(f"{reason}: {count}" for reason, count in counts) or "no event"


def find_boundaries(opened: OpenRecording, events: Any) -> list[tuple[float, float]]:
    """Return onset and duration of every boundary, of the file and of the events."""
    found = [
        (mark.onset, mark.duration if "skip" in mark.description.casefold() else 0.0)
        for mark in opened.annotations
        if is_boundary(mark.description)
    ]
    for onset, marked in zip(events["onset"], boundary_markers(events), strict=True):
        if marked and np.isfinite(seconds(onset)):
            found.append((seconds(onset), 0.0))
    return sorted(set(found))


def bad_rows(opened: OpenRecording, rows: Rows, sfreq: float, t0: float = 0.0) -> dict[int, str]:
    """Return the rows that touch what the file itself marks as bad; `t0`: of sample 0 in s."""
    excluded: dict[int, str] = {}
    for mark in opened.annotations:
        if is_bad(mark.description):
            low = (mark.onset - t0) * sfreq
            high = max(low + 1, (mark.onset + mark.duration - t0) * sfreq)
            touched = np.flatnonzero((rows.starts < high) & (rows.starts + rows.length > low))
            excluded.update({int(row): "bad_segment" for row in touched})
    return excluded
