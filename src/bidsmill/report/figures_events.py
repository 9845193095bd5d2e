"""The events of recordings over time: which stand where, and which became rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bidsmill.formats.certificate import rows_by_value, text_column
from bidsmill.report import sampling
from bidsmill.report.drawing import Picture, plain
from bidsmill.report.inputs import Inputs
from bidsmill.report.sketch import INK, MUTED, RULE, Sketch, colour, text_width

MOST_RECORDINGS = 30
MOST_CLASSES = 5  # with a colour of their own; the others share the sixth
WIDTH, LINE, TOP, BOTTOM = 1000, 20, 34, 42  # pixels
FONT = 11.5
OTHERS, UNLABELLED, UNUSED = "other classes", "without a label", "not used"


@dataclass(frozen=True)
class Raster:
    """Events of some recordings.

    Attributes
    ----------
    named : str
        What the classes are of: a label, or ``trial_type``.
    classes : list of str
        The frequent ones in the order of the alphabet, then what is neither.
    onsets : dict
        Recording -> class -> onsets in s, rising.
    n_recordings : int
        How many recordings have events.
    timeless : int
        Events without a number as onset, in the recordings that are shown.
    """

    named: str
    classes: list[str]
    onsets: dict[str, dict[str, np.ndarray]]
    n_recordings: int
    timeless: int


def raster_of(inputs: Inputs) -> Raster | None:
    """Sort events by recording and class; None where there are none.

    Where rows stand around events, an event has the class of its row for the first label of the
    dataset, and events without a row are ``not used``. Otherwise classes are those of
    ``trial_type``.
    """
    import pandas as pd

    events = inputs.events
    if not len(events):
        return None
    named, classes = _classes_of_events(inputs)
    onset = pd.to_numeric(events["onset"], errors="coerce").to_numpy(dtype=float)
    by_recording = rows_by_value(text_column(events, "recording"))
    names = sorted(by_recording)
    shown = [names[place] for place in sampling.spread(len(names), MOST_RECORDINGS)]
    places = np.concatenate([by_recording[name] for name in shown])
    special = (UNLABELLED, UNUSED)
    counts = {c: len(rows) for c, rows in rows_by_value(classes[places]).items()}
    frequent = sorted((c for c in counts if c not in special), key=lambda c: (-counts[c], c))
    rare = frequent[MOST_CLASSES:]
    classes = np.where(np.isin(classes, rare), OTHERS, classes) if rare else classes
    onsets: dict[str, dict[str, np.ndarray]] = {}
    for name in shown:
        own = by_recording[name]
        own = own[np.isfinite(onset[own])]
        found = rows_by_value(classes[own])
        onsets[name] = {c: np.sort(onset[own[rows]]) for c, rows in found.items()}
    known = (
        sorted(frequent[:MOST_CLASSES])
        + [OTHERS] * bool(rare)
        + [s for s in special if s in counts]
    )
    timeless = int((~np.isfinite(onset[places])).sum())
    return Raster(named, known, onsets, len(names), timeless)


def _classes_of_events(inputs: Inputs) -> tuple[str, np.ndarray]:
    """Return what events are sorted by, and the class of each."""
    rows = inputs.samples["event"]
    classes = np.full(len(inputs.events), UNUSED, dtype=object)
    if not rows.notna().any():
        stated = text_column(inputs.events, "trial_type")
        return "trial_type", np.where(stated == "", UNLABELLED, stated).astype(object)
    named = next((name for name in inputs.labels if name in inputs.samples), "trial_type")
    values = text_column(inputs.samples, named).astype(object)
    known = rows.notna().to_numpy()
    places = rows[known].to_numpy(dtype=np.int64)
    classes[places] = np.where(values[known] == "", UNLABELLED, values[known])
    return named, classes


def raster_picture(raster: Raster) -> Picture | None:
    """Draw a line for each recording with a stroke for each event; None without any onset."""
    every = [t for of in raster.onsets.values() for t in of.values() if len(t)]
    if not every:
        return None
    low = min(0.0, *(float(t[0]) for t in every))
    high = max(float(t[-1]) for t in every)
    high = high if high > low else low + 1.0
    high += 0.01 * (high - low)
    names = [plain(name, 42) for name in raster.onsets]
    left = 14 + max(text_width(name, FONT) for name in names)
    end, bottom = WIDTH - 14.0, TOP + LINE * len(names) + 2.0
    sketch = Sketch(WIDTH, bottom + BOTTOM)
    fills = _fills(raster.classes)
    sketch.key(left, 16, [(plain(c, 22), fills[c]) for c in raster.classes])
    sketch.axis(left, end, bottom, low, high, "seconds from the start of the recording", TOP)
    for place, (name, of_class) in enumerate(zip(names, raster.onsets.values(), strict=True)):
        y = TOP + LINE * place
        sketch.text(left - 8, y + 14, name, FONT, anchor="end")
        sketch.line(left, y + LINE - 1, end, y + LINE - 1, RULE, width=0.6)
        for c in reversed(raster.classes):
            if c in of_class:
                x = left + (of_class[c] - low) / (high - low) * (end - left)
                unused = c == UNUSED
                strokes = _strokes(x, y + (9 if unused else 3), LINE - (10 if unused else 4))
                sketch.path(strokes, fills[c], 1.2)
    total = sum(len(t) for t in every)
    alt = (
        f"Raster of {total} events of {len(names)} recordings from {low:.3g} to {high:.3g} s, by"
        f" {raster.named}: {', '.join(raster.classes)}."
    )
    return sketch.picture("When what happened", alt, _caption(raster, total))


def _fills(classes: list[str]) -> dict[str, str]:
    own = {OTHERS: "var(--c5)", UNLABELLED: INK, UNUSED: MUTED}
    return {c: own.get(c, colour(place)) for place, c in enumerate(classes)}


def _strokes(x: np.ndarray, y: float, height: float) -> str:
    """Return vertical strokes; those of one half pixel are one, so that the size is bounded."""
    columns = np.unique(np.rint(2 * x).astype(np.int64)) / 2
    return "".join(f"M{column:g} {y:g}v{height:g}" for column in columns.tolist())


def _caption(raster: Raster, total: int) -> str:
    some = len(raster.onsets)
    of = f"{some} of {raster.n_recordings}" if some < raster.n_recordings else f"all {some}"
    lost = f" {raster.timeless:,} events without a time are not drawn." if raster.timeless else ""
    return (
        f"{total:,} events of {of} recordings with events, by {raster.named}. Short grey strokes"
        " became no row. Good: classes are mixed over time, and no recording has a gap or stops"
        f" early; classes in blocks can be told by slow drifts alone.{lost}"
    )
