"""Figures of the average response around events, per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bidsmill.report import averages, numbers
from bidsmill.report.drawing import (
    INK,
    MUTED,
    PALETTE,
    Picture,
    axes_at,
    bare_figure,
    picture,
    plain,
)
from bidsmill.report.figures_signals import type_name
from bidsmill.report.scalp import draw_map, draw_scale, largest, scalp_places, why_no_map
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
    means, errors, margins : numpy.ndarray
        Shape (classes, channels of the type, times): means, their standard errors, and half the
        width of their 95 % confidence intervals.
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
    margins: np.ndarray
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
        response.of_classes.margins()[:, picks] * factor,
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
    places = scalp_places(shown.channels)
    above = 0.12 + 0.2 * -(-len(response.classes) // 3)  # the key
    height = 5.15 + above
    figure = bare_figure(10.6, height)
    width = 9.75 if places is None else 4.2
    power = axes_at(figure, 0.75, height - above - 2.25, width, 1.95)
    _draw_power(power, kind, response, shown)
    if places is not None:
        _draw_maps(figure, height - above - 2.2, places, kind, response, shown)
    for column in range(len(shown.best)):
        room = 10.1 / len(shown.best)
        axes = axes_at(figure, 0.75 + column * room, 0.55, room - 0.35, 1.8)
        _draw_channel(axes, kind, shown, column)
    _draw_key(figure, power, response)
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


def _draw_maps(
    figure, bottom: float, places: np.ndarray, kind: Kind, response: Response, shown: Shown
) -> None:
    """Draw the two classes that are furthest apart on the head, and their difference."""
    pair = _pair(shown)
    own = [shown.means[code][:, shown.peak] for code in pair]
    maps = [(_pair_text(response, [code]), v) for code, v in zip(pair, own, strict=True)]
    if len(pair) > 1:
        maps.append((_pair_text(response, pair), own[0] - own[1]))
    limit = largest(np.concatenate([values for _, values in maps]))
    image = None
    for column, (title, values) in enumerate(maps):
        axes = axes_at(figure, 5.25 + 1.6 * column, bottom, 1.5, 1.65)
        image = draw_map(axes, places, values, title, shown.best, limit)
    beside = axes_at(figure, 5.33 + 1.6 * len(maps), bottom + 0.35, 0.08, 0.95)
    draw_scale(figure, beside, image, numbers.display_unit(kind[1])[1])
    at = f"at {shown.times[shown.peak]:.3f} s"
    figure.text(5.25 / 10.6, (bottom - 0.06) / figure.get_size_inches()[1], at, fontsize=8.5)


def _draw_key(figure, axes, response: Response) -> None:
    counted = [
        f"{plain(c, 28)} ({rows:,} rows, {recordings} rec.)"
        for c, rows, recordings in zip(
            response.classes, response.of_classes.rows, response.of_classes.recordings, strict=True
        )
    ]
    handles = [
        axes.plot([], [], color=PALETTE[i], linestyle=DASHES[i], linewidth=1.8)[0]
        for i in range(len(response.classes))
    ]
    figure.legend(
        handles, counted, loc="upper left", ncols=3, handlelength=3,
        bbox_to_anchor=(0.06, 1.0), borderaxespad=0.2,
    )  # fmt: skip


def _draw_channel(axes, kind: Kind, shown: Shown, column: int) -> None:
    """Draw the means of the classes at one of the channels, with their confidence bands."""
    unit = numbers.display_unit(kind[1])[1]
    alpha = 0.2 if len(shown.means) <= 3 else 0.08
    low, high = _extent(shown)
    channel = shown.best[column]
    for code in range(len(shown.means)):
        mean, margin = shown.means[code, channel], np.nan_to_num(shown.margins[code, channel])
        upper, lower = np.clip([mean + margin, mean - margin], low, high)
        band = {"color": PALETTE[code], "alpha": alpha, "linewidth": 0}
        axes.fill_between(shown.times, lower, upper, **band)
        axes.plot(shown.times, mean, color=PALETTE[code], linestyle=DASHES[code])
    axes.set_title(plain(shown.channels[channel]["name"], 32))
    axes.axhline(0, color=MUTED, linewidth=0.6)
    axes.set_ylim(low, high)
    _time_axis(axes, shown.times)
    axes.set_xlabel("s from the event")
    if column:
        axes.tick_params(axis="y", labelleft=False)
    else:
        axes.set_ylabel(unit or "amplitude")


def _extent(shown: Shown) -> tuple[float, float]:
    """Return limits that hold the means and their bands, wide ones (of few units) in part."""
    means = shown.means[:, shown.best]
    margins = np.nan_to_num(shown.margins[:, shown.best])
    known = np.isfinite(means)
    size = float(np.ptp(means[known])) or float(np.abs(means[known]).max()) or 1.0
    low = max(np.nanmin(means - margins), means[known].min() - 2 * size)
    high = min(np.nanmax(means + margins), means[known].max() + 2 * size)
    return float(low - 0.06 * (high - low)), float(high + 0.06 * (high - low))


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
    chosen = ""
    if with_map:
        chosen = ", and maps at the moment where the first of them shows most"
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
        f" {compared}, with 95 % confidence intervals over {over} (bottom; for each point of time"
        f" by itself){chosen}; {done}."
        f" {judged}{more}"
    )
