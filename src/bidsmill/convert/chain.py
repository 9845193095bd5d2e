"""The signal that a matrix is cut from: read, filtered and resampled as it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsmill.bids.reading import OpenRecording, reader_problems
from bidsmill.signal.source import Signal

# Bytes of float64 that are read at once: large enough to make a call's cost vanish, small
# enough to stay in the bound of memory.
READ_BYTES = 32 * 2**20


class RecordingSignal:
    """The chosen channels of an open recording.

    Parameters
    ----------
    opened : OpenRecording
        The recording.
    picks : list of int
        Channel indices, in output order.
    root, data
        For messages: the dataset's folder, and the data file in it.
    """

    def __init__(self, opened: OpenRecording, picks: list[int], root, data: str):
        self.raw = opened.raw
        self.sfreq = opened.sfreq
        self.n_times = opened.n_times
        self.n_channels = len(picks)
        self._picks = np.array(picks)
        self._where = (root, data)
        self._contiguous = bool(np.all(np.diff(self._picks) > 0))

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``[start, stop)`` in SI units, float64 of shape (channels, times)."""
        with reader_problems(*self._where):
            if self._contiguous:
                return self.raw.get_data(picks=self._picks, start=start, stop=stop)
            order = np.argsort(self._picks)
            data = self.raw.get_data(picks=self._picks[order], start=start, stop=stop)
            return data[np.argsort(order)]


class Joined:
    """Signals of one recording, one after the other on its grid; the space between is NaN.

    Parameters
    ----------
    parts : list of (int, Signal)
        Where each part begins, and the part.
    whole : Signal
        The signal that the parts were cut from.
    """

    def __init__(self, parts: Sequence[tuple[int, Signal]], whole: Signal):
        self.parts = parts
        self.sfreq, self.n_times = whole.sfreq, whole.n_times
        self.n_channels = whole.n_channels

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``[start, stop)``."""
        result = np.full((self.n_channels, stop - start), np.nan)
        for begin, part in self.parts:
            low, high = max(start, begin), min(stop, begin + part.n_times)
            if low < high:
                result[:, low - start : high - start] = part.read(low - begin, high - begin)
        return result


class Segment:
    """A stretch of a signal.

    Parameters
    ----------
    source : Signal
        The signal.
    start, stop : int
        Its samples.
    """

    def __init__(self, source: Signal, start: int, stop: int):
        self.source, self.start = source, start
        self.sfreq, self.n_times = source.sfreq, stop - start
        self.n_channels = source.n_channels

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``[start, stop)``, counted from the stretch's begin."""
        return self.source.read(self.start + start, self.start + stop)


def build_chain(
    source: Signal,
    segments: list[tuple[int, int]],
    band: dict[str, Any] | None,
    resample: float | None,
) -> tuple[Signal, list[dict[str, Any]]]:
    """Put filter and resampler behind a signal.

    The filter treats each continuous stretch for itself, so that nothing from beyond a
    boundary enters a window.

    Parameters
    ----------
    source : Signal
        The recording.
    segments : list of (int, int)
        Its continuous stretches.
    band : dict or None
        ``low``, ``high``, ``notch`` in Hz.
    resample : float or None
        Wanted rate in Hz.

    Returns
    -------
    signal : Signal
        What to read.
    steps : list of dict
        What was done, with all parameters.
    """
    from bidsmill.signal.filters import Filtered
    from bidsmill.signal.resample import Resampled

    signal, steps = source, []
    if band:
        wanted = {key: band.get(key) for key in ("low", "high", "notch")}
        parts = [(low, Filtered(Segment(source, low, high), **wanted)) for low, high in segments]
        if parts:
            steps.append({"step": "filter", "per_segment": True, **_described(parts[0][1])})
        signal = parts[0][1] if _is_whole(segments, source.n_times) else Joined(parts, source)
    if resample and abs(resample - signal.sfreq) > 1e-9 * resample:
        signal = Resampled(signal, resample)
        steps.append({"step": "resample", **_described(signal)})
    return signal, steps


def _described(signal) -> dict[str, Any]:
    return {key: value for key, value in signal.describe().items() if key != "source"}


def _is_whole(segments: list[tuple[int, int]], n_times: int) -> bool:
    return segments == [(0, n_times)]


def block_samples(n_channels: int) -> int:
    """Return how many samples are read at once."""
    return max(1, READ_BYTES // (8 * n_channels))
