"""Figures of single rows, as a reader of the matrix gets them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.formats.certificate import text_column
from bidsmill.formats.matrix import MatrixFile
from bidsmill.report import numbers, sampling
from bidsmill.report.drawing import Picture, plain
from bidsmill.report.figures_signals import type_name
from bidsmill.report.signals import matrix_path
from bidsmill.report.sketch import INK, MUTED, Sketch, colour, polyline

if TYPE_CHECKING:
    import pandas as pd

WINDOWS = 12
MOST_CHANNELS = 32
MOST_TYPES = 3
MOST_POINTS = 500
# Traces further than this from their line, in distances of two lines, are cut.
CUT = 1.6
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 860, 104, 84, 8, 40  # pixels


def choose_windows(kept: dict[str, np.ndarray]) -> list[int]:
    """Choose rows to show, spread over recordings and over the time within them.

    Parameters
    ----------
    kept : dict of numpy.ndarray
        Recording -> places of its rows in `samples`.

    Returns
    -------
    list of int
        At most 12 places in `samples`, all different.
    """
    names = sorted(kept)
    chosen: list[int] = []
    # A stretch of each recording, such that the first, the middle and the last are all met.
    parts = (np.arange(WINDOWS) * sampling.GOLDEN + 0.5) % 1.0
    for place in range(WINDOWS if names else 0):
        rows = kept[names[(2 * place + 1) * len(names) // (2 * WINDOWS)]]
        row = int(rows[int(parts[place] * len(rows))])
        if row not in chosen:
            chosen.append(row)
    return chosen


def read_windows(
    results: Path, samples: pd.DataFrame, places: list[int]
) -> list[tuple[int, np.ndarray, dict[str, Any]]]:
    """Read rows one after the other, each file opened once and each row group read once.

    Returns
    -------
    list of (int, numpy.ndarray, dict)
        Place in `samples`, values of shape (channels, times) in the units of the file, and the
        metadata of the matrix.
    """
    found: dict[int, tuple[int, np.ndarray, dict[str, Any]]] = {}
    by_recording: dict[str, list[int]] = {}
    for place in places:
        by_recording.setdefault(str(samples["recording"].iloc[place]), []).append(place)
    rows = samples["row"].to_numpy()
    for recording, mine in by_recording.items():
        mine.sort(key=lambda place: rows[place])
        with MatrixFile(matrix_path(results, recording)) as matrix:
            for here, block in sampling.read_rows(matrix, rows[mine].astype(np.int64)):
                for at, values in zip(here, block, strict=True):
                    found[mine[at]] = (mine[at], values, matrix.metadata)
    return [found[place] for place in places]


def window_picture(
    samples: pd.DataFrame, place: int, block: np.ndarray, meta: dict[str, Any], labels: list[str]
) -> Picture:
    """Draw all channels (at most about 32) of one row.

    Parameters
    ----------
    samples : pandas.DataFrame
        One row per matrix row, with ``split``.
    place : int
        Which row of `samples`.
    block : numpy.ndarray
        Its values, shape (channels, times), in the units of the file.
    meta : dict
        Of the matrix.
    labels : list of str
        Columns that are named beside it.
    """
    facts = samples.iloc[place]
    times = meta["tmin"] + np.arange(meta["n_times"]) / meta["sfreq"]
    picks = shown_channels(meta["channels"])
    lines = sum(len(p) for p in picks.values())
    distance = max(14.0, min(44.0, 260 / max(1, lines)))
    gaps = 0.8 * max(0, len(picks) - 1)
    height = TOP + BOTTOM + distance * (max(1, lines) - 1 + gaps + 2 * CUT)
    sketch = Sketch(WIDTH, height)
    _draw_times(sketch, times, height)
    y = TOP + CUT * distance
    for number, (kind, channels) in enumerate(picks.items()):
        factor, unit = numbers.display_unit(kind[1])
        signals = block[channels] * factor
        step = line_distance(signals)
        middle = y + (len(channels) - 1) / 2 * distance
        _draw_scale(sketch, middle, distance, f"{step:g} {unit}".rstrip(), colour(number))
        for channel, signal in zip(channels, signals, strict=True):
            bad = meta["channels"][channel].get("status") == "bad"
            name = plain(meta["channels"][channel]["name"], 9 if bad else 14)
            size = min(11.5, distance - 2)
            name += " (bad)" if bad else ""
            sketch.text(LEFT - 7, y + size / 3, name, size, anchor="end")
            _draw_trace(sketch, signal, y, distance, step, MUTED if bad else colour(number))
            y += distance
        y += 0.8 * distance
    said = _labels_text(samples, place, labels)
    title = f"{facts['recording']}, row {facts['row']}"
    alt = (
        f"Row {facts['row']} of {facts['recording']} ({said}): {lines} of"
        f" {len(meta['channels'])} channels over {len(times) / meta['sfreq']:.3g} s."
    )
    return sketch.picture(title, alt, _caption(facts, said, lines, meta, picks))


def shown_channels(channels: list[dict[str, Any]]) -> dict[tuple[str, str], np.ndarray]:
    """Choose at most about 32 channels of at most 3 types, evenly over their order."""
    kinds = dict(list(numbers.channel_kinds(channels).items())[:MOST_TYPES])
    total = sum(len(picks) for picks in kinds.values())
    room = {kind: max(2, MOST_CHANNELS * len(p) // max(1, total)) for kind, p in kinds.items()}
    if total <= MOST_CHANNELS:
        return kinds
    return {kind: picks[sampling.evenly(len(picks), room[kind])] for kind, picks in kinds.items()}


def line_distance(signals: np.ndarray) -> float:
    """Return a round distance of two lines at which most traces do not touch.

    A round number (1, 2 or 5 times a power of ten) near the third quartile over channels of
    the peak-to-peak amplitude; 1 if nothing moves.
    """
    ranges = numbers.peak_to_peak(signals)
    ranges = ranges[np.isfinite(ranges) & (ranges > 0)]
    if not len(ranges):
        return 1.0
    wanted = float(np.quantile(ranges, 0.75))
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(power * min((1, 2, 5, 10), key=lambda m: abs(np.log(m * power / wanted))))


def _draw_trace(
    sketch: Sketch, signal: np.ndarray, y: float, distance: float, step: float, stroke: str
) -> None:
    finite = signal[np.isfinite(signal)]
    if not len(finite):
        sketch.text(LEFT + 4, y + 4, "no finite value", 11, muted=True)
        return
    moved = distance * np.clip((signal - np.median(finite)) / step, -CUT, CUT)
    places, values = numbers.envelope(moved, MOST_POINTS)
    x = LEFT + (WIDTH - LEFT - RIGHT) * places / max(1, len(signal) - 1)
    gaps = np.flatnonzero(np.diff(np.isfinite(values).astype(int))) + 1
    for part in np.split(np.arange(len(values)), gaps):
        if np.isfinite(values[part[0]]):
            sketch.path(polyline(x[part], y - values[part]), stroke, 1.0)


def _draw_times(sketch: Sketch, times: np.ndarray, height: float) -> None:
    low, high = float(times[0]), float(max(times[-1], times[0] + 1e-6))
    sketch.axis(LEFT, WIDTH - RIGHT, height - BOTTOM, low, high, "time (s)", TOP)
    if low < 0 < high:
        x = LEFT + (0 - low) / (high - low) * (WIDTH - LEFT - RIGHT)
        sketch.line(x, TOP, x, height - BOTTOM, INK)


def _draw_scale(sketch: Sketch, y: float, distance: float, text: str, fill: str) -> None:
    sketch.rect(WIDTH - RIGHT + 12, y - distance / 2, 4, distance, fill)
    sketch.text(WIDTH - RIGHT + 21, y + 4, text, 11)


def _labels_text(samples: pd.DataFrame, place: int, labels: list[str]) -> str:
    said = [f"{name}: {text_column(samples.iloc[[place]], name)[0] or 'none'}" for name in labels]
    side = samples["split"].iloc[place]
    return ", ".join([*said, f"split: {side}"])


def _caption(facts, said: str, shown: int, meta, picks) -> str:
    if shown < len(meta["channels"]):
        which = f"{shown} of {len(meta['channels'])} channels"
    else:
        which = f"all {shown} channels"
    kinds = ", ".join(type_name(kind[0]) for kind in picks)
    return f"At {facts['onset']:.3f} s; {said}; {which} ({kinds})."
