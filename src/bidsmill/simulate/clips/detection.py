"""Where a simulated run has spikes of its region, and which of them make clean clips.

Each channel is looked at by itself, and nothing is hidden by a peak elsewhere: a clip is refused
if any other region is above the threshold at any of its samples.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.activity.runs import Activity
from bidsmill.simulate.random_numbers import generator

READ_TIMES = 4096
"""Samples of all regions read at a time."""
EDGE, CONTAMINATED, CUT, OVERLAPPING = "edge", "contaminated", "cut", "overlapping"
NO_SPIKES = "no_spikes"


@dataclass(frozen=True)
class DetectionSettings:
    """What is a spike, and what is a clip.

    Attributes
    ----------
    threshold : float
        A spike is a local maximum above it, in mV. 8 mV is that of DeepSIF: the background is at
        1.0 to 1.3 mV with a standard deviation of 0.3 to 0.6 mV, peaks reach 11 to 12.7 mV.
    separation : float
        Of maxima of one region nearer than this, in seconds, only the highest is a spike.
    clip_seconds : float
        Length of a clip.
    jitter_seconds : float
        The peak is at the middle of the clip, moved by a whole number of samples drawn evenly
        from minus to plus this.
    margin_seconds : float
        Other regions must be quiet so long before and after the clip, too.
    """

    threshold: float = 8.0
    separation: float = 0.05
    clip_seconds: float = 1.0
    jitter_seconds: float = 0.05
    margin_seconds: float = 0.0

    def clip_times(self, sfreq: float) -> int:
        """Return the number of samples of a clip."""
        return round(self.clip_seconds * sfreq)

    def largest_jitter(self, sfreq: float) -> int:
        """Return the largest jitter in samples."""
        return int(np.floor(self.jitter_seconds * sfreq + 1e-9))


@dataclass(frozen=True)
class Spike:
    """One spike that makes a clip.

    Attributes
    ----------
    peak : int
        Its sample in the run.
    start : int
        The first sample of the clip in the run.
    jitter : int
        ``peak - start`` is the middle of the clip plus this.
    height : float
        Of the peak, in mV.
    """

    peak: int
    start: int
    jitter: int
    height: float


@dataclass(frozen=True)
class Detection:
    """What was found in one run.

    Attributes
    ----------
    spikes : tuple of Spike
        In the order of time. No two of their clips share a sample.
    n_peaks : int
        All spikes of the region.
    dropped : dict
        Reason (``edge``, ``contaminated``, ``cut``, ``overlapping``) -> number of spikes.
    """

    spikes: tuple[Spike, ...]
    n_peaks: int
    dropped: dict[str, int] = field(default_factory=dict)


def find_peaks(trace: np.ndarray, threshold: float, separation: int) -> np.ndarray:
    """Return the samples of local maxima above a threshold, at least some samples apart.

    Parameters
    ----------
    trace : numpy.ndarray, shape (times,)
    threshold : float
        A peak is higher than this.
    separation : int
        Of peaks fewer samples apart, the highest stays (the later of equals).

    Returns
    -------
    numpy.ndarray of int64
        Ascending. The middle of a plateau; never the first or last sample.
    """
    from scipy.signal import find_peaks as maxima

    trace = np.asarray(trace, dtype=np.float64)
    above = np.nextafter(threshold, np.inf)
    return maxima(trace, height=above, distance=max(separation, 1))[0].astype(np.int64)


def detect_spikes(
    activity: Activity, settings: DetectionSettings | None = None, seed: int = 0
) -> Detection:
    """Find the spikes of a run that make clean clips.

    A spike is left out, in this order of reasons, if its clip would reach over an end of the run
    (``edge``), if another region is above the threshold within the clip and its margins
    (``contaminated``), if the first or last sample of the clip is within another spike of the
    region (``cut``), or if its clip would share samples with the one before (``overlapping``; the
    clip before may hold this spike as its second).

    Parameters
    ----------
    activity : Activity
        The run.
    settings : DetectionSettings, optional
        Threshold and clip.
    seed : int
        Seed of the simulation, for the jitter.

    Returns
    -------
    Detection
    """
    settings = settings or DetectionSettings()
    check_settings(settings, activity.sfreq)
    sfreq, n_times = activity.sfreq, len(activity.data)
    length, margin = settings.clip_times(sfreq), round(settings.margin_seconds * sfreq)
    trace, loud = _trace_and_loud(activity, settings.threshold)
    n_loud = np.concatenate([[0], np.cumsum(loud)])
    peaks = find_peaks(trace, settings.threshold, round(settings.separation * sfreq))
    dropped: Counter[str] = Counter()
    spikes: list[Spike] = []
    free = 0
    for peak in peaks.tolist():
        jitter = _jitter(activity, peak, settings.largest_jitter(sfreq), seed)
        start = peak - length // 2 - jitter
        if start < 0 or start + length > n_times:
            dropped[EDGE] += 1
        elif n_loud[min(start + length + margin, n_times)] > n_loud[max(start - margin, 0)]:
            dropped[CONTAMINATED] += 1
        elif max(trace[start], trace[start + length - 1]) > settings.threshold:
            dropped[CUT] += 1
        elif start < free:
            dropped[OVERLAPPING] += 1
        else:
            spikes.append(Spike(peak, start, jitter, float(trace[peak])))
            free = start + length
    return Detection(tuple(spikes), len(peaks), dict(sorted(dropped.items())))


def reason_without_clips(n_peaks: int, dropped: dict[str, int]) -> str:
    """Return why a region has no clip: ``no_spikes``, or why its spikes were dropped."""
    if not n_peaks:
        return NO_SPIKES
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(dropped.items()) if count)


def check_settings(settings: DetectionSettings, sfreq: float) -> None:
    """Refuse settings with which a peak could lie outside its clip.

    Raises
    ------
    BidsmillError
        If the clip is too short, or a number is negative.
    """
    length = settings.clip_times(sfreq)
    lowest = min(settings.separation, settings.jitter_seconds, settings.margin_seconds)
    if lowest < 0 or settings.largest_jitter(sfreq) >= length // 2 or length < 3:
        raise BidsmillError(
            "Clips cannot be cut with these settings",
            found=f"clips of {settings.clip_seconds} s, jitter {settings.jitter_seconds} s, "
            f"separation {settings.separation} s, margin {settings.margin_seconds} s",
            expected="nothing negative, and a jitter of less than half a clip",
        )


def _trace_and_loud(activity: Activity, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the waveform of the region, and where any other region is above the threshold."""
    n_times = len(activity.data)
    trace, loud = np.empty(n_times, dtype=np.float32), np.empty(n_times, dtype=bool)
    for start in range(0, n_times, READ_TIMES):
        part = slice(start, min(start + READ_TIMES, n_times))
        block = np.asarray(activity.data[part])
        trace[part] = block[:, activity.region]
        above = block > threshold
        above[:, activity.region] = False
        loud[part] = above.any(axis=1)
    return trace, loud


def _jitter(activity: Activity, peak: int, largest: int, seed: int) -> int:
    random = generator(seed, "jitter", activity.region, activity.condition, peak)
    return int(random.integers(-largest, largest + 1))
