"""The page of a simulated dataset: what a person should look at before training on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.formats import files
from bidsmill.formats.certificate import text_column
from bidsmill.report import drawing
from bidsmill.report.page import render
from bidsmill.report.simulated_cortex import Drawn, draw_cortex
from bidsmill.report.simulated_figures import (
    NEAR,
    size_counts,
    size_pictures,
    snr_picture,
    snr_rows,
)
from bidsmill.report.simulated_inputs import Layout, SimulatedInputs, read_simulated
from bidsmill.report.simulated_maps import base_pictures
from bidsmill.report.simulated_regions import coverage_section, split_section
from bidsmill.report.simulated_samples import sample_section, sensor_words

TEMPLATE = "simulated_template.html"
MOST_FAILED = 30
STATED = ("name", "snapshot", "license", "citation")
NO_LAYOUT = Layout("", 0, 0, 0, 0.0, [])


def write_simulated_page(results: Path, output: Path) -> None:
    """Write the page of a simulated dataset: one HTML file that loads nothing else.

    What it is and how it is loaded, a few samples (sensors, map, source on the cortex), SNR
    asked for and realised, coverage of regions, extents, the split, and samples that failed.
    Equal inputs give equal bytes. Memory holds the columns of the table that are used, and one
    row group of a matrix at a time.

    Parameters
    ----------
    results : pathlib.Path
        ``results/{dataset}``: ``dataset.json``, ``samples.parquet``, ``split.tsv``,
        ``split.json``, ``failed.tsv``, ``matrix/`` (with receipts), ``sources/``; where they exist
        also ``anatomy/anatomy.npz``, ``anatomy/anatomy.json`` and
        ``clips/*/regions.tsv``.
    output : pathlib.Path
        The page, written atomically.

    Raises
    ------
    BidsmillError
        If a file of `results` is missing or cannot be read.
    """
    inputs = read_simulated(Path(results))
    drawn: list[Drawn] = [] if inputs.anatomy is None else draw_cortex(inputs.anatomy)
    with drawing.style():
        snr = snr_rows(inputs.spikes)
        sizes = size_counts(inputs.spikes)
        content = {
            "dataset": inputs.about["dataset"],
            "about": {**dict.fromkeys(STATED, ""), **inputs.about},
            "real": inputs.in_real_background,
            "tiles": _tiles(inputs),
            "sentences": _sentences(inputs),
            "facts": _facts(inputs),
            "settings": _flat(inputs.about.get("settings") or {}),
            "stacked": inputs.layouts[0].id if len(inputs.layouts) > 1 else "",
            "layout": inputs.layouts[0] if inputs.layouts else NO_LAYOUT,
            "bases": base_pictures(drawn),
            "samples": sample_section(inputs, drawn),
            "snr": {"rows": snr, "picture": snr_picture(snr), "near": NEAR},
            "coverage": coverage_section(inputs, drawn),
            "sizes": size_pictures(sizes),
            "split": split_section(inputs, drawn),
            "failed": _failed(inputs),
        }
    files.write_text(output, render(content, TEMPLATE))


def _tiles(inputs: SimulatedInputs) -> list[tuple[str, str]]:
    first = inputs.layouts[0] if inputs.layouts else NO_LAYOUT
    spikes = len(inputs.spikes)
    noun = "row" if inputs.in_real_background else "sample"
    tiles = [(f"{len(inputs.samples):,}", noun if len(inputs.samples) == 1 else f"{noun}s")]
    if inputs.in_real_background:
        tiles.append((f"{spikes:,}", "with a spike"))
    return [
        *tiles,
        (f"{first.channels:,}", "sensors"),
        (f"{first.times:,}", "points in time"),
        (f"{first.sfreq:g}", "Hz"),
        (f"{inputs.n_regions:,}", "regions"),
        (f"{len(inputs.failed):,}", "failed"),
    ]


def _sentences(inputs: SimulatedInputs) -> list[str]:
    """Return what the dataset is, for somebody who meets it for the first time."""
    first, spikes = inputs.layouts[0] if inputs.layouts else NO_LAYOUT, inputs.spikes
    seconds = first.times / first.sfreq if first.sfreq else 0.0
    sensors = " and ".join(f"{n:,} {sensor_words(kind)}" for kind, n in first.types)
    size = f"{first.times:,} points ({seconds:.3g} s at {first.sfreq:g} Hz) of {sensors}"
    if inputs.in_real_background:
        said = [
            f"Every row is {size} of a real recording, referenced to the average. To"
            f" {len(spikes):,} of {len(inputs.samples):,} rows a simulated interictal spike was"
            " added; the others are as they were."
        ]
        if len(inputs.layouts) > 1:
            said.append(
                f"The recordings have {len(inputs.layouts)} layouts of channels; the numbers above"
                " are those of the one with most rows."
            )
    else:
        said = [
            f"Every row is a simulated interictal spike: {size}, as sensors would see activity of"
            " the cortex through the lead field, with sensor noise."
        ]
    if inputs.excluded:
        said.append(f"Excluded by their quality, and not counted here: {inputs.excluded:,} rows.")
    if not len(spikes):
        return [*said, "No row has a spike."]
    counts = np.array([len(text.split()) for text in text_column(spikes, "centres")])
    sources = _range(counts.min(), counts.max(), "source")
    extent = _range(spikes["extent"].min(), spikes["extent"].max(), "region")
    said.append(
        f"Behind each spike {'is' if counts.max() == 1 else 'are'} {sources}: patches of cortex"
        f" around a centre, {extent} of {inputs.n_regions:,} in all. Because it is simulated, the"
        " truth is known: where (centre, regions), when (peak), and how strong (signal to noise"
        " ratio)."
    )
    return said


def _range(low: Any, high: Any, noun: str) -> str:
    text = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{text} {noun}{'' if high == 1 else 's'}"


def _facts(inputs: SimulatedInputs) -> list[tuple[str, str]]:
    """Return what is known of anatomy and lead field."""
    found = []
    anatomy = inputs.anatomy
    if anatomy is not None:
        found.append(("Cortex", _cortex_text(anatomy.facts.get("cortex"))))
        if anatomy.vertices is not None and anatomy.triangles is not None:
            size = f"{len(anatomy.vertices):,} vertices, {len(anatomy.triangles):,} triangles"
            found.append(("Surface", size))
        left = int((anatomy.hemisphere == 0).sum())
        sides = f"{left:,} left, {anatomy.n_regions - left:,} right"
        found.append(("Regions", f"{anatomy.n_regions:,} ({sides})"))
    leadfield = inputs.built.get("leadfield") or {}
    for key, name in (
        ("unit", "Unit of the lead field"),
        ("reference", "Reference"),
        ("rank", "Rank"),
        ("sensors", "Sensors"),
        ("model", "Head model"),
    ):
        if leadfield.get(key) not in (None, ""):
            found.append((name, _text(leadfield[key])))
    return found


def _cortex_text(stated: Any) -> str:
    parts = stated if isinstance(stated, list) else [stated]
    names = [str(p.get("file", "")) if isinstance(p, dict) else str(p) for p in parts if p]
    return ", ".join(names) or "not stated"


def _text(value: Any) -> str:
    """Return a setting as a person reads it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_text(part)}" for key, part in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def _flat(settings: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Return settings as rows: keys of sections within one another, joined by dots."""
    rows: list[tuple[str, str]] = []
    for key in sorted(settings):
        value = settings[key]
        if isinstance(value, dict) and value:
            rows += _flat(value, f"{before}{key}.")
        else:
            rows.append((f"{before}{key}", _text(value)))
    return rows


def _failed(inputs: SimulatedInputs) -> dict[str, Any]:
    failed = inputs.failed
    reasons = Counter(failed["reason"]).most_common() if "reason" in failed else []
    rows = failed.head(MOST_FAILED).to_dict("records")
    return {
        "total": len(failed),
        "noun": "sample" if "sample" in failed else "recording",
        "reasons": sorted(reasons, key=lambda pair: (-pair[1], pair[0])),
        "rows": [
            {"name": row.get("sample") or row["recording"], "reason": row.get("reason", ""),
             "message": row["message"]}
            for row in rows
        ],
        "more": len(failed) - len(rows),
    }  # fmt: skip
