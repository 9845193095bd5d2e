"""Where the channels are, and which of them can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.formats.certificate import rows_by_value, text_column
from bidsmill.report import numbers, sampling
from bidsmill.report.drawing import Picture, plain
from bidsmill.report.figures_signals import type_name
from bidsmill.report.scalp import scalp_places
from bidsmill.report.sketch import MUTED, Sketch, text_width

if TYPE_CHECKING:
    import pandas as pd

SIZE = 470.0  # pixels of a montage
MOST_NAMES = 90  # channels; beyond, names show under the pointer only
MOST_RECORDINGS, MOST_CHANNELS = 40, 400
WIDTH = 1000
FONT = 11.5
# What can be wrong with a channel of a recording: the worst first.
FAULTS = {
    "bad": ("stated as bad", "var(--c1)"),
    "not_finite": ("values not finite", "var(--c3)"),
    "flat": ("flat", "var(--c4)"),
    "clipped": ("clipped", "var(--c5)"),
}


def montage_picture(
    channels: list[dict[str, Any]], kind: tuple[str, str], letter: str, faulty: dict[str, float]
) -> Picture | None:
    """Draw the places of one type of channels, seen from above; None where they are unknown.

    Parameters
    ----------
    channels : list of dict
        All channels of a layout (see `formats.matrix`).
    kind : (str, str)
        Channel type and unit.
    letter : str
        Of the layout.
    faulty : dict
        Channel -> share of the recordings in which something is wrong with it.
    """
    own = [channels[place] for place in numbers.channel_kinds(channels)[kind]]
    places = scalp_places(own)
    if places is None:
        return None
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    reach = max(1.0, float(np.linalg.norm(places[known], axis=1).max()))
    sketch = Sketch(SIZE, SIZE)
    middle, scale = SIZE / 2, (SIZE / 2 - 34) / reach
    _draw_head(sketch, middle, scale)
    named = len(known) <= MOST_NAMES
    size = 11.0 if len(known) <= 40 else 9.0
    for place in known:
        name = own[place]["name"]
        share = faulty.get(name, 0.0)
        x, y = middle + places[place, 0] * scale, middle - places[place, 1] * scale
        text = f"{name}: faulty in {100 * share:.0f} % of the recordings" if share else name
        radius = (4.0 if named else 3.0) + 4 * share
        sketch.circle(x, y, radius, "var(--c1)" if share else "var(--c0)", text)
        if named:
            sketch.text(x, y + radius + size, plain(name, 8), size, anchor="middle")
    bad = [own[place]["name"] for place in known if faulty.get(own[place]["name"], 0)]
    title = f"{type_name(kind[0])}, layout {letter}"
    alt = (
        f"Places of {len(known)} channels of {title} seen from above, nose up;"
        f" {len(bad)} of them are faulty in some recording."
    )
    return sketch.picture(title, alt, _montage_caption(len(known), len(own), bad))


def _draw_head(sketch: Sketch, middle: float, scale: float) -> None:
    turn = np.linspace(0, 2 * np.pi, 73)
    x, y = middle + scale * np.cos(turn), middle - scale * np.sin(turn)
    circle = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True)) + "Z"
    nose = f"M{middle - 14:g} {middle - scale + 1:.1f}l14 -16l14 16"
    for path in (circle, nose):
        sketch.path(path, MUTED, 1.2)


def _montage_caption(known: int, total: int, bad: list[str]) -> str:
    text = f"{known} channels from above, nose up; the circle is the equator of the fitted head."
    if known < total:
        text += f" {total - known} of {total} have no position."
    if bad:
        named = ", ".join(plain(name, 16) for name in bad[:8])
        text += f" Orange, the larger the more often: faulty in some recording ({named}"
        text += f" and {len(bad) - 8} more)." if len(bad) > 8 else ")."
    return text + " Good: names and places agree with the cap that was used."


def faults_of(channels: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return what is wrong with the channels in the matrices: recording -> channel -> fault.

    Every recording of the table is there. Of several faults the worst counts, in the order of
    `FAULTS`: stated as bad; then what conversion counted (``channels.tsv``).
    """
    kept = channels[text_column(channels, "kept") == "true"]
    fault = np.full(len(kept), "", dtype=object)
    for column in ("clipped", "flat", "not_finite"):
        if column in kept:
            fault[~np.isin(text_column(kept, column), ("", "0", "0.0"))] = column
    fault[text_column(kept, "status") == "bad"] = "bad"
    names = text_column(kept, "name")
    found: dict[str, dict[str, str]] = {}
    for recording, rows in sorted(rows_by_value(text_column(kept, "recording")).items()):
        found[recording] = {str(names[row]): fault[row] for row in rows if fault[row]}
    return found


def shares(faults: dict[str, dict[str, str]], recordings: tuple[str, ...]) -> dict[str, float]:
    """Return, for each channel, the share of the recordings in which it is faulty."""
    count: dict[str, int] = {}
    for recording in recordings:
        for name in faults.get(recording, ()):
            count[name] = count.get(name, 0) + 1
    return {name: number / len(recordings) for name, number in count.items()}


def quality_picture(channels: pd.DataFrame, faults: dict[str, dict[str, str]]) -> Picture | None:
    """Draw recordings against channels, and mark what is wrong; None where nothing is."""
    faulty = [recording for recording in faults if faults[recording]]
    if not faulty:
        return None
    shown = [faulty[place] for place in sampling.spread(len(faulty), MOST_RECORDINGS)]
    columns = _columns(channels, shown, faults)
    names = [plain(recording, 42) for recording in shown]
    left = 14 + max(text_width(name, FONT) for name in names)
    step = min(26.0, (WIDTH - left - 10) / len(columns))
    top, line = 34.0, 18.0
    turned = step >= 11
    below = 14 + 6.4 * max(len(plain(c, 12)) for c in columns) if turned else 30
    sketch = Sketch(WIDTH, top + line * len(names) + below)
    used = [c for c in FAULTS if any(c in faults[r].values() for r in shown)]
    sketch.key(left, 16, [FAULTS[c] for c in used])
    for row, (recording, name) in enumerate(zip(shown, names, strict=True)):
        y = top + line * row
        sketch.text(left - 8, y + 13, name, FONT, anchor="end")
        sketch.rect(left, y + 1, step * len(columns), line - 2, "var(--panel)")
        for column, channel in enumerate(columns):
            if channel in faults[recording]:
                said, fill = FAULTS[faults[recording][channel]]
                text = f"{recording}, {channel}: {said}"
                sketch.rect(left + step * column, y + 1, max(1, step - 1), line - 2, fill, text)
    bottom = top + line * len(names)
    for column, channel in enumerate(columns if turned else ()):
        x = left + step * (column + 0.5) + 4
        sketch.text(x, bottom + 8, plain(channel, 12), 10.5, anchor="end", turned=True)
    if not turned:
        sketch.text(left, bottom + 18, f"{len(columns)} channels in their order", FONT)
    number = sum(len(faults[recording]) for recording in shown)
    alt = f"Table of {len(names)} recordings by {len(columns)} channels: {number} are faulty."
    return sketch.picture("Faulty channels", alt, _quality_caption(faults, faulty, shown))


def _columns(
    channels: pd.DataFrame, shown: list[str], faults: dict[str, dict[str, str]]
) -> list[str]:
    """Return the channels to draw in the order of the table: all, or those with a fault."""
    kept = channels[text_column(channels, "kept") == "true"]
    kept = kept[np.isin(text_column(kept, "recording"), shown)]
    names = list(dict.fromkeys(text_column(kept, "name")))
    if len(names) > 80:
        faulty = {name for recording in shown for name in faults[recording]}
        names = [name for name in names if name in faulty]
    return [str(name) for name in names[:MOST_CHANNELS]]


def _quality_caption(faults: dict[str, dict[str, str]], faulty: list[str], shown: list[str]) -> str:
    drawn = f" {len(shown)} of them are drawn." if len(shown) < len(faulty) else ""
    return (
        f"{len(faulty)} of {len(faults)} recordings have a faulty channel.{drawn} Bad channels stay"
        " in the matrices, marked; the figures of signals leave them out. Good: few marks, and no"
        " channel that is marked in every recording."
    )
