"""Where the windows of a recording lie, and why an event gives none."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from bidsmill.signal.ratio import resampled_length


@dataclass
class Cuts:
    """Where a recording is not continuous, in samples of one grid.

    Attributes
    ----------
    points : ndarray of int64
        Sorted: the first sample after each cut.
    gaps : ndarray of int64, shape (n_gaps, 2)
        Sorted ``[start, stop)`` without signal.
    """

    points: np.ndarray
    gaps: np.ndarray

    def segments(self, n_times: int) -> list[tuple[int, int]]:
        """Return the continuous stretches ``[start, stop)`` of a recording, in order."""
        free = [(0, n_times)]
        for start, stop in self.gaps:
            free = [
                piece
                for low, high in free
                for piece in ((low, min(high, start)), (max(low, stop), high))
                if piece[0] < piece[1]
            ]
        result: list[tuple[int, int]] = []
        for low, high in free:
            inner = [int(p) for p in self.points if low < p < high]
            borders = [low, *inner, high]
            result.extend(itertools.pairwise(borders))
        return [(int(low), int(high)) for low, high in result]

    def on_grid(self, sfreq: float, other: float, t0: float = 0.0) -> Cuts:
        """Return the cuts on a grid of another rate.

        Parameters
        ----------
        sfreq, other : float
            Rates in Hz of this grid and of the other. Sample ``k`` of either stands at ``k``
            divided by its rate; a sample of the other grid lies behind a cut if it stands at or
            after the first sample there.
        t0 : float
            Time of the first sample of the other grid in s.
        """
        if t0:
            # To 1e-6 of a sample: what stands on the cut lies behind it.
            shifted = [
                np.maximum(np.ceil(np.round((cut / sfreq - t0) * other, 6)), 0).astype(np.int64)
                for cut in (self.points, self.gaps)
            ]
            return Cuts(shifted[0], shifted[1].reshape(-1, 2))
        points = [resampled_length(int(point), sfreq, other) for point in self.points]
        gaps = [[resampled_length(int(s), sfreq, other) for s in gap] for gap in self.gaps]
        return Cuts(np.array(points, np.int64), np.array(gaps, np.int64).reshape(-1, 2))


def find_cuts(boundaries: list[tuple[float, float]], sfreq: float, n_times: int) -> Cuts:
    """Put boundaries on a grid.

    Parameters
    ----------
    boundaries : list of (float, float)
        Onset and duration in s; a duration of 0 is a cut between two samples.
    sfreq : float
        Rate of the grid in Hz.
    n_times : int
        Samples of the recording on the grid.
    """
    points, gaps = set(), set()
    for onset, duration in boundaries:
        # What a typing error put beyond all whole numbers lies outside, too.
        start = round(min(max(onset * sfreq, -1.0), n_times + 1.0))
        stop = round(min(max((onset + duration) * sfreq, -1.0), n_times + 1.0))
        if stop > start:
            gaps.add((max(0, start), min(n_times, stop)))
        elif 0 < start < n_times:
            points.add(start)
    kept = [gap for gap in sorted(gaps) if gap[0] < gap[1]]
    return Cuts(np.array(sorted(points), np.int64), np.array(kept, np.int64).reshape(-1, 2))


def event_windows(
    onsets: np.ndarray, sfreq: float, tmin: float, tmax: float, n_times: int, cuts: Cuts
) -> tuple[np.ndarray, int, np.ndarray, list[str]]:
    """Place one window around each event.

    The event stands on the sample nearest to its onset; the window holds the samples from
    ``tmin`` on, and ``round((tmax - tmin) * sfreq)`` of them.

    Parameters
    ----------
    onsets : ndarray of float, shape (n_events,)
        Seconds, sorted.
    sfreq : float
        Rate of the output grid in Hz.
    tmin, tmax : float
        Window relative to the event in s, ``tmax`` excluded.
    n_times : int
        Samples of the recording on the output grid.
    cuts : Cuts
        Where it is not continuous, on the output grid.

    Returns
    -------
    starts : ndarray of int64, shape (n_windows,)
        First sample of each window that exists.
    length : int
        Samples per window.
    kept : ndarray of int64, shape (n_windows,)
        The event of each window.
    reasons : list of str, length n_events
        ``''``, or why the event gives no window: ``after_end``, ``window_before_start``,
        ``window_after_end``, ``boundary``.
    """
    length = max(1, round((tmax - tmin) * sfreq))
    # An onset that a typing error put beyond all whole numbers is after the end, too.
    samples = np.rint(np.clip(np.asarray(onsets, float) * sfreq, -(2**62), 2**62)).astype(np.int64)
    starts = samples + round(tmin * sfreq)
    stops = starts + length
    crossing = crosses(starts, stops, cuts)
    reasons = np.full(len(starts), "", dtype=object)
    reasons[crossing] = "boundary"
    reasons[stops > n_times] = "window_after_end"
    reasons[starts < 0] = "window_before_start"
    reasons[samples >= n_times] = "after_end"
    kept = np.flatnonzero(reasons == "")
    return starts[kept], length, kept, reasons.tolist()


def fixed_windows(
    sfreq: float, length: float, overlap: float, n_times: int, cuts: Cuts
) -> tuple[np.ndarray, int]:
    """Place windows one after the other in each continuous stretch.

    Parameters
    ----------
    sfreq : float
        Rate of the output grid in Hz.
    length, overlap : float
        Seconds of a window, and seconds that it shares with the one before.
    n_times : int
        Samples of the recording on the output grid.
    cuts : Cuts
        Where it is not continuous, on the output grid.

    Returns
    -------
    starts : ndarray of int64, shape (n_windows,)
        First sample of each window.
    length : int
        Samples per window.
    """
    samples = max(1, round(length * sfreq))
    step = max(1, round((length - overlap) * sfreq))
    starts = [
        np.arange(low, high - samples + 1, step, dtype=np.int64)
        for low, high in cuts.segments(n_times)
    ]
    return np.concatenate([np.empty(0, np.int64), *starts]), samples


def crosses(starts: np.ndarray, stops: np.ndarray, cuts: Cuts) -> np.ndarray:
    """Return which windows ``[start, stop)`` lie on both sides of a cut or touch a gap."""
    after = np.searchsorted(cuts.points, starts, side="right")
    before = np.searchsorted(cuts.points, stops, side="left")
    crossing = before > after
    for low, high in cuts.gaps:
        crossing |= (starts < high) & (stops > low)
    return crossing
