"""Figures of single rows, as a reader of the matrix gets them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.formats.certificate import text_column
from bidsmill.formats.matrix import MatrixFile
from bidsmill.report import numbers, sampling
from bidsmill.report.drawing import (
    INK,
    MUTED,
    PALETTE,
    Picture,
    new_figure,
    picture,
    plain,
)
from bidsmill.report.figures_signals import type_name
from bidsmill.report.signals import matrix_path

if TYPE_CHECKING:
    import pandas as pd

WINDOWS = 3
MOST_CHANNELS = 32
MOST_TYPES = 3
MOST_POINTS = 600
# Traces further than this from their line, in distances of two lines, are cut.
CUT = 1.6


def choose_windows(samples: pd.DataFrame, kept: dict[str, np.ndarray]) -> list[int]:
    """Choose rows to show, spread over recordings and over the time within them.

    Returns
    -------
    list of int
        At most 3 places in `samples`, all different.
    """
    names = sorted(kept)
    chosen: list[int] = []
    for place in range(WINDOWS if names else 0):
        rows = kept[names[(2 * place + 1) * len(names) // (2 * WINDOWS)]]
        row = int(rows[(2 * place + 1) * len(rows) // (2 * WINDOWS)])
        if row not in chosen:
            chosen.append(row)
    return chosen


def window_picture(
    name: str, results: Path, samples: pd.DataFrame, place: int, labels: list[str]
) -> Picture:
    """Draw all channels (at most about 32) of one row.

    Parameters
    ----------
    name : str
        Identifier of the figure in the page.
    results : pathlib.Path
        The results of the dataset.
    samples : pandas.DataFrame
        One row per matrix row, with ``split``.
    place : int
        Which row of `samples`.
    labels : list of str
        Columns that are named beside it.
    """
    facts = samples.iloc[place]
    with MatrixFile(matrix_path(results, facts["recording"])) as matrix:
        rows = np.array([int(facts["row"])])
        block = next(iter(sampling.read_rows(matrix, rows)))[1][0]
        meta = matrix.metadata
    times = meta["tmin"] + np.arange(meta["n_times"]) / meta["sfreq"]
    picks = shown_channels(meta["channels"])
    lines = sum(len(p) for p in picks.values())
    figure = new_figure(3.7, 0.8 + lines * max(0.165, min(0.5, 2.4 / max(1, lines))))
    axes = figure.subplots()
    line, ticks, scales = 0.0, {}, []
    for number, (kind, channels) in enumerate(picks.items()):
        factor, unit = numbers.display_unit(kind[1])
        signals = block[channels] * factor
        step = line_distance(signals)
        for channel, signal in zip(channels, signals, strict=True):
            bad = meta["channels"][channel].get("status") == "bad"
            _draw_trace(axes, times, signal, line, step, MUTED if bad else PALETTE[number])
            ticks[line] = plain(meta["channels"][channel]["name"], 14) + (" (bad)" if bad else "")
            line -= 1
        scales.append((line + len(channels) / 2 + 0.5, step, unit, number))
        line -= 0.8
    _finish(axes, times, ticks, scales)
    said = _labels_text(samples, place, labels)
    title = f"{facts['recording']}, row {facts['row']}"
    alt = (
        f"Row {facts['row']} of {facts['recording']} ({said}): {len(ticks)} of"
        f" {len(meta['channels'])} channels over {len(times) / meta['sfreq']:.3g} s."
    )
    return picture(figure, name, title, alt, _caption(facts, said, len(ticks), meta, picks))


def shown_channels(channels: list[dict[str, Any]]) -> dict[tuple[str, str], np.ndarray]:
    """Choose at most about 32 channels of at most 3 types, evenly over their order."""
    kinds = dict(list(numbers.channel_kinds(channels).items())[:MOST_TYPES])
    total = sum(len(picks) for picks in kinds.values())
    room = {kind: max(2, MOST_CHANNELS * len(p) // max(1, total)) for kind, p in kinds.items()}
    if total <= MOST_CHANNELS:
        return kinds
    return {
        kind: picks[np.linspace(0, len(picks) - 1, min(len(picks), room[kind])).round().astype(int)]
        for kind, picks in kinds.items()
    }


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


def _draw_trace(axes, times, signal: np.ndarray, line: float, step: float, colour: str) -> None:
    finite = signal[np.isfinite(signal)]
    if not len(finite):
        axes.text(times[0], line, " no finite value", fontsize=7, color=MUTED, va="center")
        return
    moved = np.clip((signal - np.median(finite)) / step, -CUT, CUT) + line
    places, values = numbers.envelope(moved, MOST_POINTS)
    axes.plot(times[places], values, color=colour, linewidth=0.7)


def _finish(axes, times: np.ndarray, ticks: dict[float, str], scales: list) -> None:
    axes.set_yticks(list(ticks), list(ticks.values()), fontsize=7)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(min(ticks, default=0) - CUT, CUT)
    span = max(times[-1] - times[0], 1e-9)
    axes.set_xlim(times[0], times[-1] + 0.02 * span)
    axes.set_xlabel("time (s)")
    if times[0] < 0 < times[-1]:
        axes.axvline(0, color=INK, linewidth=0.8)
    for middle, step, unit, number in scales:
        right = {"transform": axes.get_yaxis_transform(), "clip_on": False}
        axes.plot([1.02, 1.02], [middle - 0.5, middle + 0.5], color=PALETTE[number],
                  linewidth=2.5, solid_capstyle="butt", **right)  # fmt: skip
        axes.text(1.035, middle, f"{step:g}\n{unit}", fontsize=7.5, va="center", **right)


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
