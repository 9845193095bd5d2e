"""The events of a recording: of events.tsv, or of the markers inside the data file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bidsmill.bids.pointers import pointer_kind
from bidsmill.bids.reading import Annotation, is_boundary
from bidsmill.bids.repairs import Repairs, repair
from bidsmill.bids.tabular import read_tabular
from bidsmill.errors import RecordingProblem

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BLANK = b" \t\r\n\0\xef\xbb\xbf"
# Decimals of an onset beyond which it is no longer rounded for people.
MOST_DECIMALS = 9


@dataclass
class EventRows:
    """The events of an events.tsv (``kind="events"``).

    Attributes
    ----------
    file : str
        Its name.
    table : DataFrame of str
        At least the columns onset and duration; ``''``: no value. No row may be removed: events
        that cannot be used are counted by `sort_and_screen`.
    """

    file: str
    table: pd.DataFrame


def read_events(path: Path, repairs: Repairs | None = None) -> tuple[pd.DataFrame, list[str]]:
    """Read an events.tsv.

    A file that is there and cannot be read is an error, so that its recording never looks as if
    it had no events.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    repairs : Repairs, optional
        Which rules may act; those that lose nothing if absent.

    Returns
    -------
    events : DataFrame of str
        At least the columns onset and duration; all cells are strings, ``''`` if missing.
    problems : list of str
        What is not as it should be.

    Raises
    ------
    RecordingProblem
        ``read_error``, ``content_not_fetched`` or ``events_unreadable``.
    """
    repairs = repairs or Repairs()
    _require_readable(path)
    frame, problems = read_tabular(path, repairs)
    if "onset" not in frame.columns and len(frame.columns):
        problems.append(f"{path.name} has no column onset; none of its events can be used")
    if "onset" not in frame.columns and not len(frame) and path.read_bytes().strip(BLANK):
        raise RecordingProblem(
            "events_unreadable",
            "the events cannot be read",
            file=path.name,
            found="; ".join(problems),
            expected="a table with the column onset",
            todo="correct the file, or remove it if the recording has no events",
        )
    for column in ("onset", "duration"):
        if column not in frame.columns:
            frame[column] = ""
    problems += repairs.mend("events", EventRows(path.name, frame))
    if len(frame) and "trial_type" in frame.columns and not any(frame["trial_type"]):
        codes = len(set(frame.get("value", [])) - {""})
        if codes:
            problems.append(
                f"trial_type is n/a in all events; column value has {codes} different value(s)"
            )
    return frame, problems


def _require_readable(path: Path) -> None:
    """Refuse what is no table of events, though it is there."""
    kind = pointer_kind(path)
    if kind is not None:
        raise RecordingProblem(
            "content_not_fetched",
            "the content of the events was not fetched",
            file=path.name,
            found=f"a {kind} pointer" if kind != "broken link" else kind,
            todo="fetch the content (`datalad get`, `git lfs pull`), then `--forcerun lock`",
        )
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError as error:
        raise RecordingProblem(
            "read_error",
            "the events cannot be read from the disk",
            file=path.name,
            found=error.strerror or type(error).__name__,
        ) from None
    if head.lstrip(BLANK).lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise RecordingProblem(
            "events_unreadable",
            "a web page stands in place of the events",
            file=path.name,
            todo="fetch the file again",
        )


@repair(
    "negative_duration",
    kind="events",
    risk="lossless",
    failure="An event has a negative duration.",
    effect="The duration is read as 0; the onset and all other cells stay.",
    todo="correct the duration, or write n/a",
)
def negative_duration(events: EventRows) -> str | None:
    """Read negative durations as none."""
    below = [seconds(text) < 0 for text in events.table["duration"]]
    if not any(below):
        return None
    events.table.loc[below, "duration"] = "0"
    return f"{events.file} has {sum(below)} negative duration(s); read as 0"


def events_of_annotations(annotations: list[Annotation]) -> pd.DataFrame:
    """Return the markers inside a data file as an events table (all strings)."""
    import pandas as pd

    rows = [
        {"onset": repr(a.onset), "duration": repr(a.duration), "trial_type": a.description}
        for a in annotations
    ]
    return pd.DataFrame(rows, columns=["onset", "duration", "trial_type"], dtype=object)


def seconds(text: Any) -> float:
    """Return the number in a cell; NaN where there is none, or one that is not finite."""
    if isinstance(text, str) and not (text.isascii() and "_" not in text):
        # Python takes 1_2 for 12, and digits of any script.
        return math.nan
    try:
        value = float(text)
    except (TypeError, ValueError, OverflowError):
        # A sidecar may state a whole number beyond all floats.
        return math.nan
    return value if math.isfinite(value) else math.nan


def sort_and_screen(events: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Sort events by onset, and say which cannot be used, whatever the recording.

    Parameters
    ----------
    events : DataFrame of str
        As read.

    Returns
    -------
    events : DataFrame of str
        Sorted by onset (stable); those without an onset last.
    reasons : list of str
        Per event ``''``, or ``onset_missing``, ``onset_not_a_number``, ``before_start``,
        ``duplicate`` (all cells equal to an event before), ``boundary_marker``.
    """
    onsets, order = onset_order(events)
    ordered = events.iloc[order].reset_index(drop=True)
    repeated = ordered.duplicated()
    reasons = []
    for onset, text, again, marker in zip(
        onsets[order], ordered["onset"], repeated, boundary_markers(ordered), strict=True
    ):
        if math.isnan(onset):
            reasons.append("onset_not_a_number" if text else "onset_missing")
        elif onset < 0:
            reasons.append("before_start")
        elif again:
            reasons.append("duplicate")
        elif marker:
            reasons.append("boundary_marker")
        else:
            reasons.append("")
    return ordered, reasons


def onset_order(events: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the onsets of events as they are (s; NaN: none), and the order that sorts them.

    Parameters
    ----------
    events : DataFrame of str
        As read.
    """
    import numpy as np

    onsets = np.array([seconds(text) for text in events["onset"]], float)
    return onsets, np.argsort(np.where(np.isnan(onsets), np.inf, onsets), kind="stable")


def boundary_markers(events: pd.DataFrame) -> list[bool]:
    """Return which events say that the signal is cut at their onset, by trial_type or by value.

    Parameters
    ----------
    events : DataFrame of str
        The events; columns that they lack say nothing.
    """
    columns = [events[name] for name in ("trial_type", "value") if name in events.columns]
    marked = [False] * len(events)
    for column in columns:
        marked = [old or is_boundary(text) for old, text in zip(marked, column, strict=True)]
    return marked


def event_conflicts(events: pd.DataFrame, sfreq: float, n_times: int) -> list[str]:
    """Return where onsets contradict the recording or the column ``sample``; nothing is moved.

    Parameters
    ----------
    events : DataFrame of str
        With ``onset`` (s), and ``sample`` or ``source_sample`` (samples of the file, from 0) if
        the source has it.
    sfreq : float
        Rate of the file in Hz.
    n_times : int
        Its samples.
    """
    onsets = [seconds(text) for text in events["onset"]]
    known = [onset for onset in onsets if not math.isnan(onset)]
    beyond = sum(onset >= n_times / sfreq for onset in known)
    told = []
    if beyond > len(known) / 2:
        fits = max(known) / sfreq < n_times / sfreq
        hint = "; they may be samples, and are not rescaled" if fits else ""
        told.append(
            f"{beyond} of {len(known)} onsets lie after the end ({n_times / sfreq:g} s){hint}"
        )
    column = next((c for c in ("source_sample", "sample") if c in events.columns), None)
    if column is not None:
        stated = [seconds(text) for text in events[column]]
        off = sum(
            abs(sample - onset * sfreq) > 1 + sfreq * _rounding(text)
            for onset, sample, text in zip(onsets, stated, events["onset"], strict=True)
        )
        if off:
            told.append(
                f"column sample and onset disagree by more than a sample in {off} event(s);"
                " onset is used"
            )
    return told


def _rounding(text: str) -> float:
    """Return half a unit of the last decimal of a number: how far it may be off for rounding."""
    decimals = len(str(text).partition(".")[2])
    return 0.5 * 10.0 ** -min(decimals, MOST_DECIMALS)
