"""Quality in the tables: what was measured at conversion, and the rows that thresholds exclude.

Thresholds act on stored measures, so changing them converts nothing again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.annotate.collate import Part

PEAK = "quality_peak_to_peak_"
# Measures of a channel, as channels.tsv has them.
CHANNEL_MEASURES = (
    "flat",
    "clipped",
    "not_finite",
    "peak_to_peak_min",
    "peak_to_peak_max",
    "std",
    "line_noise",
)
RECORDING_MEASURES = ("flat", "clipped", "not_finite", "eeg_std", "line_noise", "line_frequency")


def with_quality(samples: pd.DataFrame, parts: list[Part], exclude: dict[str, Any]) -> pd.DataFrame:
    """Add the measures of each row to `samples`, and mark those that thresholds exclude.

    Parameters
    ----------
    samples : DataFrame
        The rows of all recordings, with the column ``excluded``.
    parts : list of Part
        All recordings, in the order of `samples`.
    exclude : dict
        ``quality.exclude`` of the dataset: thresholds of ``flat``, ``clipped``, ``extreme`` (by
        channel type) and ``line_noise``. A measure above its threshold excludes; a row keeps the
        first reason it has.

    Returns
    -------
    DataFrame
        With the measures before ``excluded``.
    """
    import pandas as pd

    used = [part for part in parts if part.detail]
    rows = [_row_measures(part) for part in used]
    kinds = sorted({name for measures in rows for name in measures if name.startswith(PEAK)})
    columns: dict[str, np.ndarray] = {}
    for name in ("quality_flat", "quality_clipped", *kinds):
        own = [m.get(name, np.full(_n_rows(p), np.nan)) for p, m in zip(used, rows, strict=True)]
        columns[name] = np.concatenate([np.empty(0), *own]).astype(np.float32)
    ratios = [_value(_measures(part, "recording").get("line_noise")) for part in used]
    noise = np.repeat(np.array(ratios, float), [_n_rows(part) for part in used])
    reasons = samples["excluded"].to_numpy(object).copy()
    limits: list[tuple[str, np.ndarray | None, float | None]] = [
        ("flat", columns["quality_flat"], exclude.get("flat")),
        ("clipped", columns["quality_clipped"], exclude.get("clipped")),
    ]
    for kind, limit in sorted((exclude.get("extreme") or {}).items()):
        limits.append(("extreme", columns.get(PEAK + kind), limit))
    limits.append(("line_noise", noise, exclude.get("line_noise")))
    for reason, values, limit in limits:
        if limit is not None and values is not None:
            reasons[(values > np.asarray(limit, values.dtype)) & (reasons == "")] = reason
    head = samples.drop(columns="excluded")
    tail = pd.DataFrame({**columns, "excluded": pd.Series(reasons, dtype=object)})
    return pd.concat([head, tail], axis=1)


def _measures(part: Part, key: str) -> dict[str, Any]:
    return part.detail.get("quality", {}).get(key, {})


def _n_rows(part: Part) -> int:
    return len(part.detail["starts"])


def _value(number: float | None) -> float:
    return np.nan if number is None else float(number)


def _row_measures(part: Part) -> dict[str, np.ndarray]:
    stored = _measures(part, "rows")
    found = {}
    for name in ("flat", "clipped"):
        if stored.get(name) is not None:
            values = np.zeros(_n_rows(part))
            for row, value in stored[name].items():
                values[int(row)] = value
            found[f"quality_{name}"] = values
    for kind, peaks in stored.get("peak_to_peak", {}).items():
        found[PEAK + kind] = np.array([_value(peak) for peak in peaks], float)
    return found


def quality_facts(part: Part, exclude: dict[str, Any], twins: list[str]) -> dict[str, Any]:
    """Return the columns of ``recordings.tsv`` that tell of quality.

    Parameters
    ----------
    part : Part
        The recording.
    exclude : dict
        ``quality.exclude`` of the dataset.
    twins : list of str
        Recordings that share its signal.
    """
    whole = _measures(part, "recording")
    remarks = list(whole.get("suspicious", []))
    if part.detail and exclude.get("clipped") is not None and whole.get("clipped") is None:
        remarks.append("clipped: not known behind a filter, a resampler or another reference")
    return {
        **{f"quality_{key}": whole.get(key) for key in RECORDING_MEASURES},
        "quality_remarks": "; ".join(remarks),
        "duplicate_of": ", ".join(twins),
    }


def insert_quality_facts(
    recordings: pd.DataFrame,
    parts: list[Part],
    exclude: dict[str, Any],
    twins: dict[str, list[str]],
) -> None:
    """Insert the columns of `quality_facts` into ``recordings.tsv``, behind ``excluded``.

    Parameters
    ----------
    recordings : DataFrame
        One row per recording, changed in place.
    parts : list of Part
        All recordings, in the order of `recordings`.
    exclude, twins
        As for `quality_facts`; `twins` by recording.
    """
    facts = [quality_facts(part, exclude, twins.get(part.stem, [])) for part in parts]
    first = recordings.columns.get_loc("excluded") + 1
    for place, name in enumerate(facts[0] if facts else ()):
        recordings.insert(first + place, name, [fact[name] for fact in facts])


def channels_table(parts: list[Part]) -> pd.DataFrame:
    """Return ``channels.tsv``: every channel of every converted recording."""
    import pandas as pd

    rows = []
    for part in parts:
        measured = _measures(part, "channels")
        for channel in part.detail.get("channels", []):
            x, y, z = channel["position"] or (None, None, None)
            row = {key: value for key, value in channel.items() if key != "position"}
            own = measured.get(channel["name"], {}) if channel["kept"] else {}
            quality = {key: own.get(key) for key in CHANNEL_MEASURES}
            rows.append({"recording": part.stem, **row, "x": x, "y": y, "z": z, **quality})
    columns = ["recording", "name", "source_name", "type", "unit", "status", "kept", "x", "y", "z"]
    return pd.DataFrame(rows, columns=[*columns, *CHANNEL_MEASURES])
