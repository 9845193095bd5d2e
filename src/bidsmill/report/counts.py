"""Counts behind the tables of the report: fates, classes by side, layouts, channels, findings."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.formats.certificate import SIDES, rows_by_value, text_column
from bidsmill.report.signals import Layout

if TYPE_CHECKING:
    import pandas as pd

STATUSES = ("quarantined", "repaired", "converted")
SEVERITIES = ("error", "warning")
# As the split does it: a column of numbers with more distinct values is balanced in 5 bins.
NUMERIC_ABOVE = 10
QUANTILES = (0.2, 0.4, 0.6, 0.8)


def fates(recordings: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one entry per recording, the quarantined first, then the repaired."""
    order = {status: place for place, status in enumerate(STATUSES)}
    entries = recordings.to_dict("records")
    for entry in entries:
        entry["dropped"] = reasons_of(entry["events_dropped"])
    return sorted(entries, key=lambda e: (order.get(e["status"], 0), e["recording"]))


def reasons_of(text: str) -> list[tuple[str, int]]:
    """Return the reasons and counts of a cell ``reason:count, reason:count``."""
    pairs = [part.strip().rpartition(":") for part in text.split(",") if part.strip()]
    return [(reason, int(count)) for reason, _, count in pairs]


def status_counts(recordings: pd.DataFrame) -> dict[str, int]:
    """Return how many recordings have each status, also where none has it."""
    return {status: int((recordings["status"] == status).sum()) for status in STATUSES}


def event_counts(events: pd.DataFrame) -> dict[str, Any]:
    """Return how many events there are, how many were used, and the reasons of the others.

    Returns
    -------
    dict
        ``total``, ``used``, ``dropped`` (list of (reason, count), the most frequent first),
        ``with_hed``, ``used_with_hed``.
    """
    used = (events["outcome"] == "used").to_numpy(bool)
    hed = (events["HED"] != "").to_numpy(bool)
    return {
        "total": len(events),
        "used": int(used.sum()),
        "dropped": _by_count(events.loc[~used, "reason"]),
        "with_hed": int(hed.sum()),
        "used_with_hed": int((hed & used).sum()),
    }


def _by_count(values) -> list[tuple[str, int]]:
    counts = Counter(values)
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def excluded_counts(samples: pd.DataFrame) -> list[tuple[str, int]]:
    """Return the quality reasons of excluded rows, and how many rows have each."""
    values = text_column(samples, "excluded")
    return _by_count(values[values != ""])


def excluded_by_recording(samples: pd.DataFrame) -> dict[str, list[tuple[str, int]]]:
    """Return the same for each recording that has excluded rows."""
    reasons = text_column(samples, "excluded")
    flagged = np.flatnonzero(reasons != "")
    recordings = text_column(samples, "recording")[flagged]
    return {
        name: _by_count(reasons[flagged[places]])
        for name, places in rows_by_value(recordings).items()
    }


def balance(values: np.ndarray, sides: np.ndarray, classes: list[str]) -> list[dict[str, Any]]:
    """Count the rows of each class on each side.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (rows,), str: class of each row that counts, '' for none.
    sides : numpy.ndarray
        Shape (rows,), str: ``train``, ``validation``, ``test`` or ``none``.
    classes : list of str
        Classes in their order; others that occur follow; unlabelled rows come last.

    Returns
    -------
    list of dict
        ``value``, one count per side, ``total`` and ``share``: test over the rows on any side
        (as in the certificate; None where no row is on a side).
    """
    found = rows_by_value(values)
    order = [*classes, *(name for name in found if name and name not in classes)]
    order += [""] if "" in found else []
    records = []
    for name in dict.fromkeys(order):
        counts = Counter(sides[found.get(name, [])])
        record: dict[str, Any] = {"value": name, **{side: counts[side] for side in SIDES}}
        record["total"] = sum(counts.values())
        placed = record["total"] - record["none"]
        record["share"] = record["test"] / placed if placed else None
        records.append(record)
    return records


def as_classes(values: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return a column as classes: as it is, or in 5 quantile bins if it holds many numbers.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (rows,), str, '' where unknown.

    Returns
    -------
    classes : numpy.ndarray
        Shape (rows,), str.
    order : list of str
        The classes that occur, in order.
    """
    distinct = sorted(set(values) - {""})
    numbers = _as_numbers(values)
    if numbers is None:
        return values, distinct
    if len(distinct) <= NUMERIC_ABOVE:
        return values, sorted(distinct, key=float)
    known = np.isfinite(numbers)
    edges = np.unique(np.quantile(numbers[known], QUANTILES, method="inverted_cdf"))
    names = [f"≤ {edges[0]:g}"]
    names += [f"> {low:g} to {high:g}" for low, high in pairwise(edges)]
    names.append(f"> {edges[-1]:g}")
    codes = np.searchsorted(edges, numbers, side="left")
    binned = np.array(
        [names[code] if ok else "" for code, ok in zip(codes, known, strict=True)], dtype=object
    )
    return binned, [name for name in names if name in set(binned)]


def _as_numbers(values: np.ndarray) -> np.ndarray | None:
    """Return text as floats, NaN for ''; None if it holds anything but finite numbers."""
    try:
        numbers = np.array([float(value) if value else np.nan for value in values])
    except ValueError:
        return None
    finite = numbers[values != ""]
    return numbers if len(finite) and np.isfinite(finite).all() else None


def layouts_of(recordings: pd.DataFrame) -> list[Layout]:
    """Return the layouts of the converted recordings, those with most rows first."""
    rows: Counter[str] = Counter()
    names: dict[str, list[str]] = {}
    for entry in recordings.to_dict("records"):
        if entry["layout"]:
            rows[entry["layout"]] += int(entry["rows"] or 0)
            names.setdefault(entry["layout"], []).append(entry["recording"])
    order = sorted(rows, key=lambda layout: (-rows[layout], layout))
    return [
        Layout(layout, _letter(place), tuple(sorted(names[layout])), rows[layout])
        for place, layout in enumerate(order)
    ]


def _letter(place: int) -> str:
    """Return A, B, ... Z, AA, AB ..."""
    text = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        text = chr(ord("A") + rest) + text
    return text


def channel_counts(channels: pd.DataFrame) -> list[dict[str, Any]]:
    """Count the channels of all converted recordings by type and unit.

    Returns
    -------
    list of dict
        ``type``, ``unit``, ``recordings``, ``kept``, ``dropped``, ``bad`` (of the kept),
        ``with_position`` (of the kept); the types with most kept channels first.
    """
    records = []
    for (kind, unit), part in channels.groupby(["type", "unit"], sort=True):
        kept = part[part["kept"] == "true"]
        records.append(
            {
                "type": kind,
                "unit": unit,
                "recordings": part["recording"].nunique(),
                "kept": len(kept),
                "dropped": len(part) - len(kept),
                "bad": int((kept["status"] == "bad").sum()),
                "with_position": int((kept["x"] != "").sum()),
            }
        )
    return sorted(records, key=lambda r: (-r["kept"], r["type"], r["unit"]))


def layout_types(channels: pd.DataFrame, recording: str) -> list[tuple[str, int]]:
    """Return the types of the kept channels of a recording and their numbers."""
    mine = channels[(channels["recording"] == recording) & (channels["kept"] == "true")]
    return _by_count(mine["type"])


def frequent_codes(validation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what validators found, by code: errors first, then the most frequent.

    Returns
    -------
    list of dict
        ``severity``, ``source``, ``code``, ``count``, ``files`` (distinct), and ``file`` and
        ``message`` of the first one.
    """
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for issue in validation.get("issues", []):
        key = (issue["severity"], issue["source"], issue["code"])
        found.setdefault(key, []).append(issue)
    order = {severity: place for place, severity in enumerate(SEVERITIES)}
    keys = sorted(found, key=lambda k: (order.get(k[0], 2), -len(found[k]), k))
    return [
        {
            "severity": key[0],
            "source": key[1],
            "code": key[2],
            "count": len(found[key]),
            "files": len({issue["file"] for issue in found[key]}),
            "file": found[key][0]["file"],
            "message": found[key][0]["message"],
        }
        for key in keys
    ]


def response_labels(samples: pd.DataFrame, labels: dict[str, Any], most: int) -> list[str]:
    """Choose the columns whose classes are averaged around their events.

    Labels of classes, those first whose classes differ within most recordings: they say
    something about the event, the others about the person. Without any, ``trial_type`` if it
    has 2 to 20 values, else ``""``: all rows together.

    Parameters
    ----------
    samples : pandas.DataFrame
        Rows that are not excluded.
    labels : dict
        The vocabulary of the dataset.
    most : int
        At most this many.
    """
    wanted = [name for name, label in labels.items() if label["kind"] == "class"]
    wanted = [name for name in wanted if (text_column(samples, name) != "").any()]
    if wanted:
        return sorted(wanted, key=lambda name: -_within(samples, name))[:most]
    return ["trial_type"] if 2 <= len(set(text_column(samples, "trial_type"))) <= 20 else [""]


def _within(samples: pd.DataFrame, name: str) -> float:
    """Return the share of recordings in which more than one class of a label occurs."""
    import pandas as pd

    recording, values = text_column(samples, "recording"), text_column(samples, name)
    known = values != ""
    frame = pd.DataFrame({"recording": recording[known], "value": values[known]})
    return float((frame.groupby("recording")["value"].nunique() > 1).mean())
