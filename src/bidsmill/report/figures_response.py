"""Figures of the average response around events, per class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsmill.report import averages, numbers
from bidsmill.report.drawing import INK, MUTED, PALETTE, Picture, new_figure, picture, plain
from bidsmill.report.figures_signals import type_name
from bidsmill.report.scalp import draw_map, scalp_places, why_no_map
from bidsmill.report.signals import Kind, LayoutSignals, Response

SHOWN_CHANNELS = 3
DASHES = ("-", (0, (5, 1.5)), (0, (2, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (1, 1)), (0, (8, 3)))


@dataclass(frozen=True)
class Shown:
    """The part of a response that one figure shows, in displayed units.

    Attributes
    ----------
    times : numpy.ndarray
        Shape (times,), s, 0 at the event.
    means, errors : numpy.ndarray
        Shape (classes, channels of the type, times).
    channels : list of dict
        The channels of the type.
    best : list of int
        The channels where the classes differ most, in standard errors.
    peak : int
        The time at which the first of them differs most.
    """

    times: np.ndarray
    means: np.ndarray
    errors: np.ndarray
    channels: list[dict]
    best: list[int]
    peak: int


def select(response: Response, kind: Kind, signals: LayoutSignals) -> Shown | None:
    """Choose what to show of a response for one channel type; None if nothing was averaged."""
    picks = numbers.channel_kinds(signals.channels)[kind]
    factor = numbers.display_unit(kind[1])[0]
    means = response.of_classes.means()[:, picks] * factor
    errors = response.of_classes.standard_errors()[:, picks] * factor
    some = np.isfinite(means).any(axis=(1, 2))
    if not some.any() or means.shape[-1] < 2:
        return None
    times = signals.drawn_times
    contrast = averages.channel_contrast(means[some], errors[some])
    if (times > 0).any():  # before the event there is nothing to find
        contrast[:, times <= 0] = 0
    order = np.argsort(-contrast.max(axis=1), kind="stable")
    known = [int(i) for i in order if np.isfinite(means[some][:, i]).all()]
    if not known:
        return None
    return Shown(
        times,
        means,
        errors,
        [signals.channels[i] for i in picks],
        known[:SHOWN_CHANNELS],
        int(np.argmax(contrast[known[0]])),
    )


def response_picture(
    name: str, kind: Kind, response: Response, shown: Shown, signals: LayoutSignals
) -> Picture:
    """Draw field power per class, the channels that differ most, and where on the head.

    Parameters
    ----------
    name : str
        Identifier of the figure in the page.
    kind : (str, str)
        Channel type and unit.
    response : Response
        The classes and their counts.
    shown : Shown
        As `select` returns it.
    signals : LayoutSignals
        The layout.
    """
    figure = new_figure(10.6, 5.3)
    places = scalp_places(shown.channels)
    pair = _pair(shown)
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.12, 1])
    upper, lower = parts
    if places is None:
        power = upper.subplots()
    else:
        power, head = upper.subplots(1, 2, gridspec_kw={"width_ratios": [2.6, 1]})
        values = shown.means[pair[0]] - (shown.means[pair[1]] if len(pair) > 1 else 0)
        title = f"{_pair_text(response, pair)} at {shown.times[shown.peak]:.3f} s"
        unit = numbers.display_unit(kind[1])[1]
        draw_map(upper, head, places, values[:, shown.peak], title, unit, shown.best)
    _draw_power(power, kind, response, shown)
    axes = lower.subplots(1, len(shown.best), sharey=True, squeeze=False)[0]
    _draw_channels(axes, kind, shown)
    counted = [
        f"{plain(c, 28)} ({rows:,} rows, {recordings} rec.)"
        for c, rows, recordings in zip(
            response.classes, response.of_classes.rows, response.of_classes.recordings, strict=True
        )
    ]
    handles = [
        power.plot([], [], color=PALETTE[i], linestyle=DASHES[i], linewidth=1.8)[0]
        for i in range(len(response.classes))
    ]
    figure.legend(handles, counted, loc="outside upper left", ncols=3, handlelength=3)
    names = ", ".join(plain(shown.channels[i]["name"], 24) for i in shown.best)
    title = _title(kind, response, signals)
    alt = (
        f"Average response of {title}: field power over time for"
        f" {', '.join(response.classes)}, and the channels {names}."
    )
    return picture(figure, name, title, alt, _caption(response, shown, signals, places is not None))


def _title(kind: Kind, response: Response, signals: LayoutSignals) -> str:
    label = f" by “{response.label}”" if response.label else ""
    return f"{type_name(kind[0])}{label}, layout {signals.layout.letter}"


def _draw_power(axes, kind: Kind, response: Response, shown: Shown) -> None:
    unit = numbers.display_unit(kind[1])[1]
    for code in range(len(response.classes)):
        power = averages.field_power(shown.means[code], kind[0])
        axes.plot(shown.times, power, color=PALETTE[code], linestyle=DASHES[code], linewidth=1.8)
    noise = np.stack([averages.noise_power(errors) for errors in shown.errors])
    known = np.isfinite(noise).all(axis=1)
    if known.any():
        middle = np.median(noise[known], axis=0)
        axes.plot(shown.times, middle, color=MUTED, linewidth=1.2, linestyle=(0, (1, 1.5)))
    centred = kind[0] == "eeg" and len(shown.channels) >= 3
    axes.set_title("Global field power" if centred else "Root mean square over channels")
    axes.set_ylabel(unit or "amplitude")
    axes.set_ylim(bottom=0)
    _time_axis(axes, shown.times)


def _draw_channels(panels, kind: Kind, shown: Shown) -> None:
    unit = numbers.display_unit(kind[1])[1]
    alpha = 0.2 if len(shown.means) <= 3 else 0.1
    for axes, channel in zip(panels, shown.best, strict=True):
        for code in range(len(shown.means)):
            mean, error = shown.means[code, channel], np.nan_to_num(shown.errors[code, channel])
            band = {"color": PALETTE[code], "alpha": alpha, "linewidth": 0}
            axes.fill_between(shown.times, mean - error, mean + error, **band)
            axes.plot(shown.times, mean, color=PALETTE[code], linestyle=DASHES[code])
        axes.set_title(plain(shown.channels[channel]["name"], 32))
        axes.axhline(0, color=MUTED, linewidth=0.6)
        _time_axis(axes, shown.times)
        axes.set_xlabel("s from the event")
    panels[0].set_ylabel(unit or "amplitude")


def _time_axis(axes, times: np.ndarray) -> None:
    axes.set_xlim(times[0], times[-1])
    if times[0] <= 0 <= times[-1]:
        axes.axvline(0, color=INK, linewidth=0.9)


def _pair(shown: Shown) -> list[int]:
    """Return the two classes that are furthest apart where the channels differ most."""
    values = shown.means[:, shown.best[0], shown.peak]
    known = np.flatnonzero(np.isfinite(values))
    if len(known) == 1:
        return [int(known[0])]
    order = known[np.argsort(values[known], kind="stable")]
    return sorted((int(order[0]), int(order[-1])))


def _pair_text(response: Response, pair: list[int]) -> str:
    return " \u2212 ".join(plain(response.classes[code], 16) for code in pair)


def _caption(response: Response, shown: Shown, signals: LayoutSignals, with_map: bool) -> str:
    over = "recordings" if response.of_classes.by_recording else "rows"
    more = ""
    if not with_map:
        more = f" {why_no_map(shown.channels)}".rstrip()
    if response.left_out:
        more += f" {len(response.left_out)} rarer classes are not drawn."
    compared = (
        "the channels where the classes differ most (in standard errors)"
        if len(response.classes) > 1
        else "the channels with the clearest response"
    )
    chosen = " and the map at the moment of the largest difference" if with_map else ""
    if shown.channels[0]["type"] == "emg":
        done = "EMG is rectified"
    else:
        done = "each row's mean before the event is subtracted"
    if signals.smoothing:
        done += f", smoothed over {1000 * signals.smoothing:.0f} ms"
    judged = "Good: flat before 0, then well above the dotted line."
    if len(response.classes) > 1:
        judged = (
            "Good: flat before 0, then well above the dotted line; since the channels were chosen"
            " for their difference, small gaps between classes prove nothing."
        )
    return (
        "Strength of the average response (top; dotted: about what noise alone would give), and"
        f" {compared}, with ± 1 standard error over {over} (bottom){chosen}; {done}."
        f" {judged}{more}"
    )
