"""Groups: what stands on one side as a whole, and the guard between two sides in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bidsmill.formats.certificate import (
    GROUP_COLUMNS,
    MEMBERS,
    SEPARATOR,
    group_ids,
    group_of_rows,
    rows_by_value,
    side_of_rows,
)

if TYPE_CHECKING:
    import pandas as pd

# A recording is cut into as many pieces as one test share asks for (five for 0.2), within this.
FEWEST_PIECES, MOST_PIECES = 5, 20
# The side that keeps its rows where two sides meet in time: test before validation before train.
PRECEDENCE = ("test", "validation", "train")


def group_table(
    samples: pd.DataFrame,
    level: str,
    *,
    share: float,
    gap: float,
    joined: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return the groups of a level, sorted by id, all with split ``none``.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    level : {"subject", "session", "run", "time"}
        `time` cuts each recording into contiguous pieces ``{recording}@{k}`` (k from 1) with
        about equal numbers of distinct onsets: as many pieces as the inverse of `share`, at
        least 5 and at most 20, but none shorter than the gap and one window together. A
        recording that is too short for two pieces is one piece.
    share : float
        Share of test, in (0, 1).
    gap : float
        Guard between two sides within a recording (s); used at level `time` only.
    joined : mapping, optional
        Member (at `time` a recording) -> the smallest member of its group, as
        `merging.merge_units` finds them. Joined recordings are not cut into pieces: the same
        signal may stand at other times in each.

    Returns
    -------
    pandas.DataFrame
        The columns of `bidsmill.formats.certificate.GROUP_COLUMNS` and `members`; counts are 0.
    """
    import pandas as pd

    joined = joined or {}
    records = []
    if level == "time":
        numbers = [samples[n].to_numpy(dtype=float) for n in ("onset", "start", "stop")]
        for first, recordings in _clusters(samples, "run", joined).items():
            if len(recordings) == 1:
                records += _pieces(numbers, recordings[first], first, share, gap)
            else:
                onset = numbers[0][np.concatenate([*recordings.values()])]
                onset = onset[np.isfinite(onset)]
                if len(onset):
                    span = float(onset.min()), float(onset.max())
                    records.append((f"{first}@1", first, *span, SEPARATOR.join(recordings)))
    else:
        for first, units in _clusters(samples, level, joined).items():
            records.append((first, "", np.nan, np.nan, SEPARATOR.join(units)))
    columns = ["group", "recording", "onset_start", "onset_stop", MEMBERS]
    frame = pd.DataFrame(records, columns=columns)
    frame[["onset_start", "onset_stop"]] = frame[["onset_start", "onset_stop"]].astype(float)
    frame = frame.assign(level=level, split="none", rows=0, rows_excluded=0)
    frame = frame[[*GROUP_COLUMNS, MEMBERS]]
    return frame.sort_values("group", kind="stable", ignore_index=True)


def _clusters(
    samples: pd.DataFrame, level: str, joined: Mapping[str, str]
) -> dict[str, dict[str, np.ndarray]]:
    """Return, by the smallest member, the members of each group and their rows, in order."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for unit, rows in rows_by_value(group_ids(samples, level)).items():
        if unit:
            found.setdefault(joined.get(unit, unit), {})[unit] = rows
    return found


def _pieces(numbers, rows: np.ndarray, name: str, share: float, gap: float) -> list[tuple]:
    """Cut one recording; return (group, recording, first and last onset, members)."""
    onset, start, stop = (v[rows] for v in numbers)
    start, stop, onset = (v[np.isfinite(onset)] for v in (start, stop, onset))
    if not len(onset):
        return []
    distinct = np.unique(onset)
    number = min(int(np.clip(round(1 / share), FEWEST_PIECES, MOST_PIECES)), len(distinct))
    rate = samples_per_second(onset, start)
    if rate > 0:
        span = (stop.max() - start.min()) / rate
        window = (stop - start).max() / rate
        # The small addition keeps a whole quotient from falling to the number below it.
        number = min(number, int(span / (gap + window) + 1e-9))
    return [
        (f"{name}@{k}", name, float(part[0]), float(part[-1]), name)
        for k, part in enumerate(np.array_split(distinct, max(1, number)), 1)
    ]


def samples_per_second(onset: np.ndarray, start: np.ndarray) -> float:
    """Return the rate of a recording's output grid, from its first and its last window.

    Parameters
    ----------
    onset : numpy.ndarray
        Shape (rows,): onsets of the windows of one recording (s).
    start : numpy.ndarray
        Shape (rows,): their first samples on the grid.

    Returns
    -------
    float
        Samples per second, off by at most one sample over the recording; 0 if all windows
        start together.
    """
    first, last = int(np.argmin(onset)), int(np.argmax(onset))
    seconds = float(onset[last] - onset[first])
    return abs(float(start[last] - start[first])) / seconds if seconds > 0 else 0.0


def apply_guard(samples: pd.DataFrame, table: pd.DataFrame, gap: float) -> pd.DataFrame:
    """Shorten pieces so that windows of different sides lie at least a gap apart.

    Where two sides meet, test keeps its rows, validation gives way to test, and train to both.
    Pieces with split ``none`` give way to all (they will be put on a side later). A piece of
    which nothing is left gets split ``none`` and no onsets.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    table : pandas.DataFrame
        Groups with their sides; groups that are no pieces of time stay as they are.
    gap : float
        Least time from the end of one window to the start of the next on another side (s).

    Returns
    -------
    pandas.DataFrame
        A new table.
    """
    table = table.copy()
    pieces = table[(table["level"] == "time") & table["onset_start"].notna()]
    if pieces.empty:
        return table
    rows_of = rows_by_value(group_of_rows(samples, pieces))
    onset, start, stop = (
        samples[name].to_numpy(dtype=float) for name in ("onset", "start", "stop")
    )
    for _, part in pieces.groupby("recording", sort=True):
        if part["split"].nunique() < 2:
            continue
        rows = np.concatenate([rows_of[g] for g in part["group"]])
        # One sample more covers the rounding of the rate.
        guard = np.ceil(gap * samples_per_second(onset[rows], start[rows])) + (gap > 0)
        kept: list[tuple[str, float, float]] = []
        for place in sorted(part.index, key=lambda i: (_rank(table.at[i, "split"]), i)):
            side = table.at[place, "split"]
            own = rows_of[table.at[place, "group"]]
            free = np.ones(len(own), dtype=bool)
            for other, low, high in kept:
                if other != side:
                    free &= (stop[own] <= low - guard) | (start[own] >= high + guard)
            first, last = _longest_run(onset[own], free)
            table.at[place, "onset_start"], table.at[place, "onset_stop"] = first, last
            if np.isnan(first):
                table.at[place, "split"] = "none"
                continue
            left = own[(onset[own] >= first) & (onset[own] <= last)]
            kept.append((side, float(start[left].min()), float(stop[left].max())))
    return table


def _rank(side: str) -> int:
    return PRECEDENCE.index(side) if side in PRECEDENCE else len(PRECEDENCE)


def _longest_run(onset: np.ndarray, free: np.ndarray) -> tuple[float, float]:
    """Return the first and last onset of the longest run of onsets of which all rows are free."""
    distinct = np.unique(onset)
    is_free = ~np.isin(distinct, onset[~free])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_free.astype(int), [0]])))
    if not len(edges):
        return np.nan, np.nan
    begins, ends = edges[::2], edges[1::2] - 1
    longest = int(np.argmax(ends - begins))
    return float(distinct[begins[longest]]), float(distinct[ends[longest]])


def count_rows(samples: pd.DataFrame, table: pd.DataFrame, kept: np.ndarray) -> pd.DataFrame:
    """Return the table with the rows of each group counted.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window.
    table : pandas.DataFrame
        Groups.
    kept : numpy.ndarray
        Shape (rows,), bool: rows that are not excluded.
    """
    numbers = group_numbers(samples, table)
    size = len(table)
    return table.assign(
        rows=np.bincount(numbers[(numbers >= 0) & kept], minlength=size),
        rows_excluded=np.bincount(numbers[(numbers >= 0) & ~kept], minlength=size),
    )


def group_numbers(samples: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """Return the place in `table` of each row's group; shape (rows,), int64, -1 for none."""
    place = {group: i for i, group in enumerate(table["group"])}
    found = group_of_rows(samples, table)
    return np.array([place.get(g, -1) for g in found], dtype=np.int64).reshape(len(samples))


def overlapping_windows(samples: pd.DataFrame, table: pd.DataFrame) -> int:
    """Count windows that share samples of a recording with a window of another side.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per window, with `recording`, `start` and `stop` (samples).
    table : pandas.DataFrame
        Groups with their sides.

    Returns
    -------
    int
        Number of windows on a side that overlap a window of another side.
    """
    side = side_of_rows(samples, table)
    start = samples["start"].to_numpy(dtype=float)
    stop = samples["stop"].to_numpy(dtype=float)
    number = 0
    for rows in rows_by_value(group_ids(samples, "run")).values():
        rows = rows[side[rows] != "none"]
        if len(set(side[rows])) < 2:
            continue
        for name in PRECEDENCE:
            own, others = rows[side[rows] == name], rows[(side[rows] != name)]
            begins, ends = np.sort(start[others]), np.sort(stop[others])
            # Others that began before this window's end, less those that ended by its start.
            began = np.searchsorted(begins, stop[own], side="left")
            ended = np.searchsorted(ends, start[own], side="right")
            number += int((began > ended).sum())
    return number
