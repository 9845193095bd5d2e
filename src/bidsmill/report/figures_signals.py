"""Figures of whole recordings: spectra and amplitudes."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.report.drawing import (
    INK,
    MUTED,
    PALETTE,
    Picture,
    new_figure,
    picture,
    plain,
    wide_ticks,
)
from bidsmill.report.numbers import display_unit, segment_length
from bidsmill.report.signals import Kind, LayoutSignals, Spectrum

TYPE_NAMES = {
    "eeg": "EEG",
    "mag": "MEG magnetometers",
    "grad": "MEG gradiometers",
    "ref_meg": "MEG references",
    "seeg": "sEEG",
    "ecog": "ECoG",
    "dbs": "DBS",
    "emg": "EMG",
    "eog": "EOG",
    "ecg": "ECG",
}
BRAIN = "a smooth fall with physiological peaks (such as alpha at 8 to 12 Hz)"
EXPECTED = {
    **dict.fromkeys(("eeg", "mag", "grad", "seeg", "ecog", "dbs"), BRAIN),
    "emg": "most power between 20 and 200 Hz",
    "eog": "most power below 10 Hz",
}
FEW_RECORDINGS = 25  # as thin lines
NAMED_RECORDINGS = 40  # one line of the figure each, with its name
OUTLYING = 10.0
MOST_NAMED_OUTLIERS = 6


def type_name(kind: str) -> str:
    """Return how people call a channel type."""
    return TYPE_NAMES.get(kind, kind)


def spectrum_picture(name: str, kind: Kind, spectrum: Spectrum, signals: LayoutSignals) -> Picture:
    """Draw the spectra of one channel type in one layout.

    Parameters
    ----------
    name : str
        Identifier of the figure in the page.
    kind : (str, str)
        Channel type and unit.
    spectrum : Spectrum
        What to draw; its quantiles are there.
    signals : LayoutSignals
        The layout.
    """
    unit = display_unit(kind[1])[1]
    figure = new_figure(5.2, 3.3)
    axes = figure.subplots()
    few = 1 < len(spectrum.recordings) <= FEW_RECORDINGS
    for line in spectrum.recordings.values() if few else ():
        axes.plot(spectrum.frequencies, line, color=MUTED, linewidth=0.6, alpha=0.6)
    assert spectrum.quantiles is not None
    low, middle, high = spectrum.quantiles
    axes.fill_between(
        spectrum.frequencies, low, high, color=PALETTE[0], alpha=0.2, linewidth=0, label="5 to 95 %"
    )
    axes.plot(spectrum.frequencies, middle, color=PALETTE[0], linewidth=2, label="median")
    if few:
        axes.plot([], [], color=MUTED, linewidth=0.8, label="each recording")
    wide_ticks(axes, spectrum.frequencies[0], max(spectrum.frequencies[-1], 1.01))
    bottom, top = _decibel_limits(spectrum)
    axes.set_ylim(bottom, top)
    for frequency in signals.line_frequencies:
        if spectrum.frequencies[0] <= frequency <= spectrum.frequencies[-1]:
            axes.axvline(frequency, color=PALETTE[1], linewidth=1, linestyle=(0, (4, 2)))
            text = f"line {frequency:g} Hz "
            axes.text(frequency, top, text, color=PALETTE[1], fontsize=8, ha="right", va="top")
    axes.set_xlabel("frequency (Hz)")
    density = f"({unit})²/Hz" if "/" in unit else f"{unit or 'unit'}²/Hz"
    axes.set_ylabel(f"dB relative to 1 {density}")
    figure.legend(loc="outside upper right", ncols=3)
    title = f"{type_name(kind[0])}, layout {signals.layout.letter}"
    caption = _spectrum_caption(kind, spectrum, signals, few)
    return picture(figure, name, title, _spectrum_alt(title, spectrum), caption)


def _decibel_limits(spectrum: Spectrum) -> tuple[float, float]:
    """Return limits that hold band and lines, but not the abyss beyond a low-pass filter."""
    assert spectrum.quantiles is not None
    known = spectrum.quantiles[np.isfinite(spectrum.quantiles)]
    lines = [line[np.isfinite(line)] for line in spectrum.recordings.values()]
    top = max([known.max(), *(line.max() for line in lines if len(line))])
    bottom = max(known.min(), top - 80)
    room = max(3.0, 0.06 * (top - bottom))
    return float(bottom - room), float(top + 2 * room)


def _spectrum_alt(title: str, spectrum: Spectrum) -> str:
    assert spectrum.quantiles is not None
    middle = np.nan_to_num(spectrum.quantiles[1], nan=-np.inf)
    peak = spectrum.frequencies[int(np.argmax(middle))]
    return (
        f"Power spectral density of {title}: median and 5 to 95 % band from"
        f" {spectrum.frequencies[0]:.3g} to {spectrum.frequencies[-1]:.4g} Hz;"
        f" the median is highest at {peak:.3g} Hz."
    )


def _spectrum_caption(kind: Kind, spectrum: Spectrum, signals: LayoutSignals, few: bool) -> str:
    length = segment_length(signals.sfreq, len(signals.times))
    lines = " Thin lines: the median of each recording." if few else ""
    n = signals.n_recordings
    expected = EXPECTED.get(kind[0], "a smooth curve")
    return (
        f"Welch spectra of {spectrum.n_signals:,} rows of single channels from"
        f" {n} recording{'s' * (n != 1)} (segments of {length / signals.sfreq:.3g} s), without bad"
        f" channels.{lines} Good: {expected}, no spike at the line frequency, and recordings that"
        " lie together; one far above or below the others has another gain or unit."
    )


def amplitude_picture(name: str, kind: Kind, amplitudes: dict[str, dict[str, Any]]) -> Picture:
    """Draw the distribution of peak-to-peak amplitudes of each recording on a log axis.

    Parameters
    ----------
    name : str
        Identifier of the figure in the page.
    kind : (str, str)
        Channel type and unit.
    amplitudes : dict
        Recording -> as `numbers.amplitude_quantiles`; those without quantiles are left out.
    """
    shown = {n: a["quantiles"] for n, a in sorted(amplitudes.items()) if a["quantiles"] is not None}
    far = outlying(amplitudes)
    unit = display_unit(kind[1])[1] or "unit not stated"
    draw = _draw_strips if len(shown) <= NAMED_RECORDINGS else _draw_many
    figure = draw(shown, far, unit)
    middle = float(np.median([q[2] for q in shown.values()]))
    title = type_name(kind[0])
    alt = (
        f"Peak-to-peak amplitudes of {title} in {len(shown)} recordings, log axis: the median"
        f" recording has {middle:.3g} {unit}; {len(far)} recordings lie ten times off."
    )
    caption = (
        f"Peak-to-peak amplitude of single channels within a row, for each of {len(shown)}"
        " recordings (dot: median, thick: 25 to 75 %, thin: 5 to 95 %; dashed: median of all"
        " recordings). Good: recordings overlap; one that lies ten times or more off (orange)"
        " has a wrong unit or gain, or is not brain signal."
    )
    return picture(figure, name, title, alt, caption)


def outlying(amplitudes: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return recordings whose median amplitude is 10 times off, and the factor.

    The factor is over the median of the medians of all recordings.
    """
    medians = {n: a["quantiles"][2] for n, a in amplitudes.items() if a["quantiles"] is not None}
    if len(medians) < 3:
        return {}
    middle = np.median(list(medians.values()))
    factors = {name: float(value / middle) for name, value in medians.items()}
    return {n: f for n, f in factors.items() if not 1 / OUTLYING < f < OUTLYING}


def _draw_strips(shown: dict[str, np.ndarray], far: dict[str, float], unit: str):
    figure = new_figure(10.6, 0.9 + 0.2 * len(shown))
    axes = figure.subplots()
    for place, (recording, quantiles) in enumerate(shown.items()):
        low, lower, middle, upper, high = quantiles
        colour = PALETTE[1] if recording in far else PALETTE[0]
        axes.plot([low, high], [place, place], color=colour, linewidth=1.2)
        axes.plot([lower, upper], [place, place], color=colour, linewidth=5, alpha=0.55)
        axes.plot([middle], [place], "o", color=colour, markersize=4)
    axes.axvline(_middle(shown), color=INK, linewidth=1, linestyle=(0, (4, 2)))
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis, *_extremes(shown))
    axes.set_yticks(range(len(shown)), [plain(n, 44) for n in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"peak-to-peak amplitude ({unit})")
    return figure


def _draw_many(shown: dict[str, np.ndarray], far: dict[str, float], unit: str):
    figure = new_figure(10.6, 3.9)
    axes = figure.subplots()
    values = np.array(list(shown.values()))
    place = np.arange(len(shown))
    is_far = np.array([recording in far for recording in shown])
    for mask, colour in ((~is_far, PALETTE[0]), (is_far, PALETTE[1])):
        x = place[mask]
        axes.vlines(x, values[mask, 0], values[mask, 4], color=colour, linewidth=0.8, alpha=0.5)
        axes.vlines(x, values[mask, 1], values[mask, 3], color=colour, linewidth=1.6, alpha=0.7)
        size = 8 if colour == PALETTE[1] else 4
        axes.plot(x, values[mask, 2], ".", color=colour, markersize=size, markeredgewidth=0)
    axes.axhline(_middle(shown), color=INK, linewidth=1, linestyle=(0, (4, 2)))
    axes.set_yscale("log")
    _plain_numbers(axes.yaxis, *_extremes(shown))
    names = list(shown)
    far_first = sorted(far, key=lambda n: -abs(np.log(far[n])))
    for recording in far_first[:MOST_NAMED_OUTLIERS]:
        x = names.index(recording)
        right = x > len(names) / 2
        axes.annotate(
            plain(recording, 40), (x, shown[recording][2]), (-6 if right else 6, 0),
            textcoords="offset points", ha="right" if right else "left", va="center", fontsize=8,
        )  # fmt: skip
    axes.set_xlim(-len(names) * 0.01 - 1, len(names) * 1.01)
    axes.set_xlabel(f"recordings in the order of their names, 1 to {len(names)}")
    axes.set_ylabel(f"peak-to-peak ({unit})")
    return figure


def _middle(shown: dict[str, np.ndarray]) -> float:
    return float(np.median([quantiles[2] for quantiles in shown.values()]))


def _extremes(shown: dict[str, np.ndarray]) -> tuple[float, float]:
    values = np.array(list(shown.values()))
    return float(values.min()), float(values.max())


def _plain_numbers(axis, low: float, high: float) -> None:
    """Label a log axis with round plain numbers, as many as fit."""
    from matplotlib.ticker import FixedLocator, NullLocator

    room = max(1.25, (high / low) ** 0.05)
    low, high = low / room, high * room
    every = max(1, round(np.log10(high / low) / 8))
    first, last = int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1
    for marks in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        ticks = [m * 10.0**e for e in range(first, last + 1, every) for m in marks]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 3:
            break
    axis.axes.set(**{f"{axis.axis_name}lim": (low, high)})
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda v, _: f"{v:,.10g}" if 1e-3 <= v < 1e9 else f"{v:.0e}")
