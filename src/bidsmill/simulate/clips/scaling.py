"""How much stronger a simulated spike is made than the activity of all other regions.

The strength is stated as a signal-to-noise ratio at the sensors. It is reached by one factor,
alpha, that each sample of a waveform meets at most once, with soft borders.
"""

from __future__ import annotations

import numpy as np

SOURCE_SNR_DB = 15.0
"""That of DeepSIF (``forward/process_raw_nmm.m``)."""
WINDOW_SECONDS = 0.2
"""Power is taken this long before and after the peak (100 samples at 500 Hz, as there)."""
SETTLED = 0.1
"""A spike ends where its waveform is this share of its height away from the rest."""
LONGEST_SECONDS = 0.3
"""A spike reaches no farther from its peak."""
TAPER_SECONDS = 0.04
"""Length of the soft border, outside of the spike."""


def strength_factor(
    column: np.ndarray,
    waveform: np.ndarray,
    projected: np.ndarray,
    peak: int,
    sfreq: float,
    snr_db: float = SOURCE_SNR_DB,
) -> float:
    """Return alpha: the factor by which a spike has to be multiplied for a ratio at the sensors.

    ``sqrt(10^(snr/10) P_n / P_s)``, with P_s the power of the region alone and P_n that of all
    others, both projected, without their means over the clip, summed over sensors and averaged
    around the peak.

    Parameters
    ----------
    column : numpy.ndarray, shape (sensors,)
        Lead field of the region.
    waveform : numpy.ndarray, shape (times,)
        Of the region.
    projected : numpy.ndarray, shape (sensors, times)
        The whole clip at the sensors.
    peak : int
        Sample of the peak in the clip.
    sfreq : float
        In Hz.
    snr_db : float
        The ratio of powers, in dB.

    Returns
    -------
    float
        NaN if the region is silent at the sensors.
    """
    reach = round(WINDOW_SECONDS * sfreq)
    window = slice(max(peak - reach, 0), min(peak + reach + 1, len(waveform)))
    own = np.outer(np.asarray(column, dtype=float), np.asarray(waveform, dtype=float))
    others = np.asarray(projected, dtype=float) - own
    powers = [
        np.mean(np.sum((x - x.mean(axis=1, keepdims=True))[:, window] ** 2, axis=0))
        for x in (own, others)
    ]
    if powers[0] == 0:
        return float("nan")
    return float(np.sqrt(10 ** (snr_db / 10) * powers[1] / powers[0]))


def spike_weight(waveform: np.ndarray, peaks: np.ndarray, sfreq: float) -> np.ndarray:
    """Return how much each sample belongs to a spike: 1 within, 0 outside, a cosine between.

    A spike starts where the waveform last was near its median before the peak and ends where it
    is near it again after the undershoot; at most 0.3 s from the peak.

    Parameters
    ----------
    waveform : numpy.ndarray, shape (times,)
        In any unit.
    peaks : numpy.ndarray of int
        Samples of the peaks.
    sfreq : float
        In Hz.

    Returns
    -------
    numpy.ndarray, shape (times,), float64
        Where spikes meet, the larger weight: no sample counts twice.
    """
    deviation = np.asarray(waveform, dtype=float) - np.median(waveform)
    samples = np.arange(len(deviation))
    taper = max(round(TAPER_SECONDS * sfreq), 1)
    weight = np.zeros(len(deviation))
    for peak in np.asarray(peaks).tolist():
        first, last = _extent(deviation, peak, round(LONGEST_SECONDS * sfreq))
        outside = np.maximum(np.maximum(first - samples, samples - last), 0)
        ramp = 0.5 * (1 + np.cos(np.pi * np.minimum(outside / taper, 1)))
        weight = np.maximum(weight, ramp)
    return weight


def scale_spikes(waveform: np.ndarray, peaks: np.ndarray, alpha: float, sfreq: float) -> np.ndarray:
    """Return a waveform whose spikes are `alpha` times as high above its mean.

    Parameters
    ----------
    waveform : numpy.ndarray, shape (times,)
        Unscaled.
    peaks : numpy.ndarray of int
        Samples of its spikes.
    alpha : float
        The factor; see :func:`strength_factor`.
    sfreq : float
        In Hz.

    Returns
    -------
    numpy.ndarray, shape (times,), float64
    """
    waveform = np.asarray(waveform, dtype=float)
    mean = waveform.mean()
    gain = 1 + (alpha - 1) * spike_weight(waveform, peaks, sfreq)
    return mean + (waveform - mean) * gain


def _extent(deviation: np.ndarray, peak: int, longest: int) -> tuple[int, int]:
    near = np.abs(deviation) < SETTLED * abs(deviation[peak])
    before = np.flatnonzero(near[max(peak - longest, 0) : peak])
    first = max(peak - longest, 0) + int(before[-1]) if len(before) else max(peak - longest, 0)
    after = deviation[peak : peak + longest + 1]
    lowest = peak + int(np.argmin(after))
    settled = np.flatnonzero(near[lowest : peak + longest + 1])
    last = lowest + int(settled[0]) if len(settled) else peak + len(after) - 1
    return first, last
