"""Slow channels of EDF and BDF files at the rate of the fastest one."""

from __future__ import annotations

import math
import tempfile

import numpy as np


class Upsampled:
    """A slow channel, interpolated as one period of a band-limited signal.

    The values are those of MNE's reader (``mne.filter.resample`` by FFT over the whole signal,
    without padding), that needs the whole result in memory. Here each of the positions between
    slow samples is one inverse transform of the slow signal's length, and the results lie in a
    temporary file without a name: in memory stands a few times the slow channel, never the fast
    one.

    Parameters
    ----------
    values : ndarray of float64, shape (n_slow,)
        The whole slow channel.
    count, per_record : int
        Samples of a record that it has, and that it gets; more of the latter.
    """

    def __init__(self, values: np.ndarray, count: int, per_record: int):
        common = math.gcd(count, per_record)
        self._phases, skip = per_record // common, count // common
        self._per_phase = len(values) // count * common
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        spectrum = np.fft.rfft(values)
        turn = 2j * np.pi * np.arange(len(spectrum)) / len(values)
        for phase in range(self._phases):
            shifted = spectrum * np.exp(turn * (phase * skip / self._phases))
            moved = np.fft.irfft(shifted, len(values))
            self._file.write(np.ascontiguousarray(moved[::skip]).tobytes())

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``[start, stop)`` at the fast rate."""
        first, last = start // self._phases, -(-stop // self._phases)
        result = np.empty((last - first, self._phases))
        for phase in range(self._phases):
            self._file.seek(8 * (phase * self._per_phase + first))
            content = self._file.read(8 * (last - first))
            result[:, phase] = np.frombuffer(content)
        begin = first * self._phases
        return result.reshape(-1)[start - begin : stop - begin]


def held_indices(count: int, per_record: int) -> np.ndarray:
    """Return which of a record's `count` trigger codes stands at each of `per_record` samples.

    Codes are held until the next one, never interpolated.
    """
    # The same grids as MNE's reader, so that rounding falls on the same side.
    old = np.linspace(0, 1, count + 1)
    new = np.linspace(0, 1, per_record, endpoint=False)
    return np.clip(np.searchsorted(old, new, side="right") - 1, 0, count - 1)
