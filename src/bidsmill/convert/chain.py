"""The signal that a matrix is cut from: read, filtered and resampled as it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.signal.source import Signal

# A rate is raised by this factor at most: one sample in ten seconds becomes 100 Hz. A header that
# states less is damaged (the record duration of EDF has eight digits), and its recording would
# become years of samples.
MOST_UPSAMPLING = 1_000


class Joined:
    """Signals of one recording, one after the other on its grid; the space between is NaN.

    One part is kept at a time, so that memory does not grow with their number; read forwards.

    Parameters
    ----------
    parts : list of Part
        Sorted.
    sfreq : float
        Rate of the grid in Hz.
    n_channels, n_times : int
        Shape of the whole.
    """

    def __init__(self, parts: Sequence[Part], sfreq: float, n_channels: int, n_times: int):
        self.parts = parts
        self.sfreq, self.n_channels, self.n_times = sfreq, n_channels, n_times
        self._stops = np.array([part.stop for part in parts], np.int64)
        self._current: tuple[int, Signal] | None = None

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``[start, stop)``."""
        result = np.full((self.n_channels, stop - start), np.nan)
        index = int(np.searchsorted(self._stops, start, side="right"))
        while index < len(self.parts) and self.parts[index].start < stop:
            part = self.parts[index]
            low, high = max(start, part.start), min(stop, part.stop)
            data = self._signal(index).read(low - part.origin, high - part.origin)
            result[:, low - start : high - start] = data
            index += 1
        return result

    def _signal(self, index: int) -> Signal:
        if self._current is None or self._current[0] != index:
            self._current = index, self.parts[index].make()
        return self._current[1]


@dataclass
class Part:
    """A stretch of a grid, and the signal that is read there.

    Attributes
    ----------
    start, stop : int
        Samples of the grid.
    origin : int
        Where on the grid the signal's sample 0 stands.
    make : callable
        Returns the signal.
    """

    start: int
    stop: int
    origin: int
    make: Callable[[], Signal]


class Segment:
    """A stretch of a signal, behind as many repeats of its first sample as are asked for.

    Parameters
    ----------
    source : Signal
        The signal.
    start, stop : int
        Its samples.
    lead : int
        Repeats of the first sample.
    """

    def __init__(self, source: Signal, start: int, stop: int, lead: int = 0):
        self.source, self.start, self.lead = source, start, lead
        self.sfreq, self.n_times = source.sfreq, lead + stop - start
        self.n_channels = source.n_channels

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``[start, stop)``, counted from the first repeat."""
        begin = self.start - self.lead
        if start >= self.lead:
            return self.source.read(begin + start, begin + stop)
        repeats = min(self.lead, stop) - start
        data = self.source.read(self.start, max(begin + stop, self.start + 1))
        edge = np.repeat(data[:, :1], repeats, axis=1)
        return np.concatenate([edge, data[:, : stop - start - repeats]], axis=1)


def build_chain(
    source: Signal,
    segments: list[tuple[int, int]],
    band: dict[str, Any] | None,
    resample: float | None,
) -> tuple[Signal, list[dict[str, Any]]]:
    """Put filter and resampler behind a signal.

    Both treat each continuous stretch for itself, as if nothing stood beside it, so that nothing
    from beyond a boundary enters a window.

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

    Raises
    ------
    BidsmillError
        If filter or resampler do not fit the rate of the recording.
    """
    if resample and resample > MOST_UPSAMPLING * source.sfreq:
        raise BidsmillError(
            "the sampling rate is too low to be resampled to the wanted one",
            found=f"{source.sfreq:g} Hz in the header",
            expected=f"at least {resample / MOST_UPSAMPLING:g} Hz",
            todo="correct the rate in the header, or leave the recording out",
        )
    if resample and abs(resample - source.sfreq) <= 1e-9 * resample:
        resample = None
    if not segments or not (band or resample):
        return _on_grid(source, resample), []
    # The shortest tells whether a stretch is shorter than the filter.
    low, high = min(segments, key=lambda segment: segment[1] - segment[0])
    steps = []
    if band:
        filtered = _filtered(Segment(source, low, high), band)
        steps.append({"step": "filter", "per_segment": True, **_described(filtered)})
    if resample:
        whole = _on_grid(source, resample)
        steps.append({"step": "resample", "per_segment": True, **_described(whole)})
    if segments == [(0, source.n_times)]:
        return _on_grid(_filtered(source, band), resample), steps
    parts = [_part(source, segment, band, resample) for segment in segments]
    grid = whole if resample else source
    return Joined(parts, grid.sfreq, grid.n_channels, grid.n_times), steps


def _filtered(signal: Signal, band: dict[str, Any] | None) -> Signal:
    from bidsmill.signal.filters import Filtered

    if not band:
        return signal
    return Filtered(signal, **{key: band.get(key) for key in ("low", "high", "notch")})


def _on_grid(signal: Signal, resample: float | None) -> Signal:
    from bidsmill.signal.resample import Resampled

    return Resampled(signal, resample) if resample else signal


def _part(
    source: Signal,
    segment: tuple[int, int],
    band: dict[str, Any] | None,
    resample: float | None,
) -> Part:
    """Return the part of the output grid that one stretch of the recording becomes.

    A resampler counts from sample 0 of what it reads. So that its grid is that of the whole
    recording, repeats of the first sample lead up to the stretch: from the last sample before
    it that stands on both grids.
    """
    from bidsmill.signal.ratio import resampled_length, resampling_ratio

    low, high = segment
    filtered = partial(_filtered, Segment(source, low, high), band)
    if not resample:
        return Part(low, high, low, filtered)
    ratio = resampling_ratio(source.sfreq, resample)
    lead = low % ratio[1] if ratio else low
    start, stop, origin = (
        resampled_length(sample, source.sfreq, resample) for sample in (low, high, low - lead)
    )
    return Part(
        start,
        stop,
        origin,
        lambda: _on_grid(Segment(filtered(), 0, high - low, lead), resample),
    )


def _described(signal) -> dict[str, Any]:
    return {key: value for key, value in signal.describe().items() if key != "source"}
