"""Numbers behind the figures of whole recordings: units, amplitudes, spectra. No drawing here."""

from __future__ import annotations

from typing import Any

import numpy as np

# What people of the field are used to; other units stay as they are.
UNITS = {"V": (1e6, "µV"), "T": (1e15, "fT"), "T/m": (1e13, "fT/cm")}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
LONGEST_SEGMENT = 4096


def display_unit(unit: str) -> tuple[float, str]:
    """Return the factor from a stored unit to the displayed one, and its symbol."""
    return UNITS.get(unit, (1.0, "" if unit in ("", "n/a") else unit))


def channel_kinds(channels: list[dict[str, Any]]) -> dict[tuple[str, str], np.ndarray]:
    """Return the channels of each (type, unit), the most numerous first; without triggers."""
    kinds: dict[tuple[str, str], list[int]] = {}
    for index, channel in enumerate(channels):
        if channel["type"] != "stim":
            kinds.setdefault((channel["type"], channel["unit"] or ""), []).append(index)
    order = sorted(kinds, key=lambda kind: (-len(kinds[kind]), kind))
    return {kind: np.array(kinds[kind]) for kind in order}


def good_channels(channels: list[dict[str, Any]]) -> np.ndarray:
    """Return which channels are not marked as bad; shape (channels,), bool."""
    return np.array([channel.get("status") != "bad" for channel in channels], bool)


def peak_to_peak(block: np.ndarray) -> np.ndarray:
    """Return maximum minus minimum over the last axis; NaN where a value is not finite."""
    with np.errstate(invalid="ignore"):
        return block.max(axis=-1) - block.min(axis=-1)


def amplitude_quantiles(values: np.ndarray) -> dict[str, Any]:
    """Return the quantiles of peak-to-peak amplitudes, without what a log axis cannot show.

    Returns
    -------
    dict
        ``quantiles`` (of `QUANTILES`; None if no value is left), ``values`` (how many they
        rest on), ``flat`` (values of exactly 0) and ``not_finite``.
    """
    finite = values[np.isfinite(values)]
    moving = finite[finite > 0]
    return {
        "quantiles": np.quantile(moving, QUANTILES) if len(moving) else None,
        "values": len(moving),
        "flat": len(finite) - len(moving),
        "not_finite": values.size - len(finite),
    }


def segment_length(sfreq: float, n_times: int) -> int:
    """Return the samples of a segment of the spectrum: 2 s, at most the row, at most 4096."""
    return max(1, min(n_times, round(2 * sfreq), LONGEST_SEGMENT))


def power_spectra(signals: np.ndarray, sfreq: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the power spectral density of signals by Welch's method.

    Hann windows of `segment_length` samples, half overlapping, each without its mean (Welch,
    1967). The frequency 0 is left out: nothing of it is left.

    Parameters
    ----------
    signals : numpy.ndarray
        Shape (n, times).
    sfreq : float
        Hz.

    Returns
    -------
    frequencies : numpy.ndarray
        Shape (f,), Hz.
    density : numpy.ndarray
        Shape (n, f), float32, unit²/Hz.
    """
    from scipy.signal import welch

    length = segment_length(sfreq, signals.shape[-1])
    frequencies, density = welch(signals, sfreq, nperseg=length, axis=-1)
    return frequencies[1:], density[..., 1:].astype(np.float32)


def decibel(density: np.ndarray) -> np.ndarray:
    """Return 10 log10 of a density; NaN where it is 0 (a flat signal has no level)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(density > 0, 10 * np.log10(density), np.nan)


def spectrum_quantiles(densities: list[np.ndarray]) -> np.ndarray | None:
    """Return the 5 %, 50 % and 95 % quantiles in dB over all signals, per frequency.

    Parameters
    ----------
    densities : list of numpy.ndarray
        Each of shape (n, f). Flat signals and signals with values that are not finite are left
        out.

    Returns
    -------
    numpy.ndarray or None
        Shape (3, f); None if no signal is left.
    """
    if not densities:
        return None
    whole = np.concatenate(densities)
    usable = np.isfinite(whole).all(axis=1) & (whole > 0).any(axis=1)
    if not usable.any() or whole.shape[1] == 0:
        return None
    low, middle, high = np.quantile(whole[usable], (0.05, 0.5, 0.95), axis=0)
    return decibel(np.stack([low, middle, high]))


def line_excess(frequencies: np.ndarray, level: np.ndarray, line: float) -> float | None:
    """Return how far a spectrum rises at a frequency above both sides of its neighbourhood.

    Parameters
    ----------
    frequencies : numpy.ndarray
        Shape (f,), Hz.
    level : numpy.ndarray
        Shape (f,), dB.
    line : float
        Hz.

    Returns
    -------
    float or None
        Highest level within 1.5 Hz of `line`, minus the higher of two medians: of the levels 3
        to 8 Hz below and of those 3 to 8 Hz above. The slope of a filter is no peak. None if
        one of the three holds no level.
    """
    away = frequencies - line
    known = np.isfinite(level)
    peak = level[(np.abs(away) <= 1.5) & known]
    below = level[(away <= -3) & (away >= -8) & known]
    above = level[(away >= 3) & (away <= 8) & known]
    if not len(peak) or not len(below) or not len(above):
        return None
    return float(peak.max() - max(np.median(below), np.median(above)))


def envelope(values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Thin a signal for drawing so that its peaks stay: minimum and maximum of each stretch.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (times,).
    most : int
        At most about this many values are left.

    Returns
    -------
    places, values : numpy.ndarray
        Samples, rising, and the values there.
    """
    n = len(values)
    factor = -(-2 * n // most)
    if n <= most or factor < 2:
        return np.arange(n), values
    starts = np.arange(0, n, factor)
    filled = np.nan_to_num(values)
    low = [s + int(np.argmin(filled[s : s + factor])) for s in starts]
    high = [s + int(np.argmax(filled[s : s + factor])) for s in starts]
    places = np.unique([*low, *high])
    return places, values[places]
