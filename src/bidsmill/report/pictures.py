"""Which figures the page has, section by section."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.formats.certificate import text_column
from bidsmill.report import counts, numbers
from bidsmill.report.drawing import Picture
from bidsmill.report.figures_balance import balance_picture, groups_picture
from bidsmill.report.figures_response import response_picture, select
from bidsmill.report.figures_signals import (
    amplitude_picture,
    outlying,
    spectrum_picture,
    type_name,
)
from bidsmill.report.figures_windows import CUT, choose_windows, read_windows, window_picture
from bidsmill.report.inputs import Inputs
from bidsmill.report.signals import (
    GLANCE_ROWS,
    MOST_RECORDINGS,
    MOST_ROWS,
    Kind,
    LayoutSignals,
    glance,
    measure_layout,
)

MOST_LAYOUTS = 4
MOST_LABELS = 3
MOST_TYPES = 4  # per layout, with spectra
MOST_RESPONSE_TYPES = 2
MOST_AMPLITUDE_TYPES = 5
LINES = (50.0, 60.0)
CLEAR_PEAK = 6.0  # dB
RESPONDING = ("eeg", "mag", "grad", "seeg", "ecog", "dbs", "emg")

Amplitudes = dict[Kind, dict[str, dict[str, Any]]]


def signals_of(inputs: Inputs) -> tuple[list[LayoutSignals], Amplitudes]:
    """Read the matrices: the largest layouts with care, every other recording at a glance.

    Returns
    -------
    signals : list of LayoutSignals
        Of at most 4 layouts.
    amplitudes : dict
        Kind -> recording -> amplitudes.
    """
    labels = _averaged_labels(inputs)
    signals: list[LayoutSignals] = []
    by_recording: dict[str, dict[Kind, dict[str, Any]]] = {}
    for layout in inputs.layouts[:MOST_LAYOUTS]:
        found, amplitudes = measure_layout(
            inputs.results, layout, inputs.samples, inputs.kept, labels
        )
        by_recording.update(amplitudes)
        if found is not None:
            signals.append(found)
    rows = inputs.samples["row"].to_numpy()
    for name in sorted(set(inputs.kept) - set(by_recording)):
        by_recording[name] = glance(inputs.results, name, rows[inputs.kept[name]])
    by_kind: Amplitudes = {}
    for name in sorted(by_recording):
        for kind, values in by_recording[name].items():
            by_kind.setdefault(kind, {})[name] = values
    return signals, by_kind


def _around_events(inputs: Inputs) -> bool:
    return bool(inputs.samples["event"].notna().any())


def _averaged_labels(inputs: Inputs) -> list[str]:
    if not inputs.kept or not _around_events(inputs):
        return []
    places = np.concatenate(list(inputs.kept.values()))
    return counts.response_labels(inputs.samples.iloc[places], inputs.labels, MOST_LABELS)


def balance_section(inputs: Inputs) -> dict[str, Any]:
    """Return classes by side for every label and every column that the split balances."""
    kept = text_column(inputs.samples, "excluded") == ""
    sides = inputs.samples["split"].to_numpy(dtype=object)[kept]
    balanced = [record["column"] for record in inputs.split.get("balance", [])]
    names = [n for n in dict.fromkeys([*inputs.labels, *balanced]) if n in inputs.samples]
    tables, pictures = [], []
    for name in names:
        values, order = counts.as_classes(text_column(inputs.samples, name)[kept])
        stated = inputs.labels.get(name, {}).get("classes", [])
        records = counts.balance(values, sides, [*stated, *order])
        tables.append(
            {
                "name": name,
                "records": records,
                "ambiguous": inputs.labels.get(name, {}).get("ambiguous", 0),
            }
        )
        if any(record["total"] for record in records):
            pictures.append(balance_picture(name, records, inputs.split))
    return {
        "tables": tables,
        "pictures": pictures,
        "certificate": [p for p in [groups_picture(inputs.groups, inputs.split)] if p],
        "excluded": counts.excluded_counts(inputs.samples),
        "no_labels": not inputs.labels,
    }


def response_section(inputs: Inputs, signals: list[LayoutSignals]) -> dict[str, Any]:
    """Return the average responses of the largest layouts, or why there are none."""
    pictures: list[Picture] = []
    for found in signals:
        kinds = [k for k in numbers.channel_kinds(found.channels) if k[0] in RESPONDING]
        for response in found.responses:
            for kind in kinds[:MOST_RESPONSE_TYPES]:
                shown = select(response, kind, found)
                if shown is not None:
                    name = f"response{len(pictures)}"
                    pictures.append(response_picture(name, kind, response, shown, found))
    reason = ""
    if not len(inputs.samples):
        reason = "No recording was converted: there is no signal to show."
    elif not _around_events(inputs):
        reason = (
            "The rows are windows of fixed length that follow no event, so there is no evoked"
            " response to average."
        )
    elif not pictures:
        reason = "Every row is excluded or holds values that are not finite."
    return {"pictures": pictures, "reason": reason, "sampling": _sampling(inputs, signals)}


def spectra_section(inputs: Inputs, signals: list[LayoutSignals]) -> dict[str, Any]:
    """Return the spectra of the largest layouts by channel type."""
    pictures: list[Picture] = []
    missing: list[str] = []
    for found in signals:
        kinds = [kind for kind in numbers.channel_kinds(found.channels) if kind in found.spectra]
        for kind in kinds[:MOST_TYPES]:
            spectrum = found.spectra[kind]
            if spectrum.quantiles is None:
                missing.append(f"{type_name(kind[0])} of layout {found.layout.letter}")
            else:
                name = f"spectrum{len(pictures)}"
                pictures.append(spectrum_picture(name, kind, spectrum, found))
        missing += [
            f"{type_name(kind[0])} of layout {found.layout.letter}" for kind in kinds[MOST_TYPES:]
        ]
    remarks = [remark for found in signals for remark in _line_remarks(found)]
    unsaid = [text for text, expected in remarks if not expected]
    return {
        "pictures": pictures,
        "missing": missing,
        "line_faults": unsaid,
        "line_remarks": [text for text, expected in remarks if expected],
        "sampling": _sampling(inputs, signals),
    }


def _line_remarks(found: LayoutSignals) -> list[tuple[str, bool]]:
    """Say where a spectrum has a clear peak at 50 or 60 Hz, and whether the sidecars do."""
    remarks = []
    for kind, spectrum in found.spectra.items():
        if spectrum.quantiles is None:
            continue
        for line in LINES:
            excess = numbers.line_excess(spectrum.frequencies, spectrum.quantiles[1], line)
            if excess is not None and excess >= CLEAR_PEAK:
                stated = " and ".join(f"{f:g}" for f in found.line_frequencies)
                said = f"the sidecars state {stated} Hz" if stated else "no sidecar states it"
                text = (
                    f"Layout {found.layout.letter}, {type_name(kind[0])}: the median spectrum"
                    f" rises {excess:.0f} dB above its neighbourhood at {line:g} Hz; {said}."
                )
                remarks.append((text, not stated or line in found.line_frequencies))
    return remarks


def _sampling(inputs: Inputs, signals: list[LayoutSignals]) -> str:
    """Return what was looked at, in sentences."""
    if not signals:
        return ""
    read = ", ".join(
        f"{found.layout.letter}: {found.n_rows:,} of {found.layout.rows:,} rows from"
        f" {found.n_recordings} of {len(found.layout.recordings)} recordings"
        for found in signals
    )
    text = (
        f"Looked at, by layout: {read} (at most {MOST_ROWS} rows of {MOST_RECORDINGS} recordings,"
        " evenly spread; fewer where rows are long; excluded rows are left out)."
    )
    others = [layout.letter for layout in inputs.layouts[MOST_LAYOUTS:]]
    if others:
        text += f" Smaller layouts, not shown here: {', '.join(others)}."
    return text


def amplitude_section(inputs: Inputs, amplitudes: Amplitudes) -> dict[str, Any]:
    """Return amplitudes of every recording, those far off by name, and excluded rows."""
    letters = {name: layout.letter for layout in inputs.layouts for name in layout.recordings}
    order = sorted(amplitudes, key=lambda k: (-sum(a["values"] for a in amplitudes[k].values()), k))
    pictures: list[Picture] = []
    far: list[dict[str, Any]] = []
    for kind in order:
        found = amplitudes[kind]
        if all(a["quantiles"] is None for a in found.values()):
            continue
        if len(pictures) < MOST_AMPLITUDE_TYPES:
            pictures.append(amplitude_picture(f"amplitude{len(pictures)}", kind, found))
        far += [
            {
                "recording": name,
                "type": type_name(kind[0]),
                "factor": factor,
                "median": found[name]["quantiles"][2],
                "unit": numbers.display_unit(kind[1])[1],
            }
            for name, factor in sorted(outlying(found).items())
        ]
    every = [a for found in amplitudes.values() for a in found.values()]
    return {
        "pictures": pictures,
        "far": far,
        "excluded": counts.excluded_counts(inputs.samples),
        "without_rows": sorted(set(letters) - set(inputs.kept)),
        "flat": sum(a["flat"] for a in every),
        "not_finite": sum(a["not_finite"] for a in every),
        "looked_at": sum(a["values"] + a["flat"] + a["not_finite"] for a in every),
        "glance": GLANCE_ROWS,
        "rows": MOST_ROWS,
    }


def windows_section(inputs: Inputs) -> dict[str, Any]:
    """Return single rows to page through."""
    chosen = choose_windows(inputs.kept)
    labels = list(inputs.labels)
    return {
        "cut": CUT,
        "pictures": [
            window_picture(inputs.samples, place, block, meta, labels)
            for place, block, meta in read_windows(inputs.results, inputs.samples, chosen)
        ],
    }
