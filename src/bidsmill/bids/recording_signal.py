"""The samples of the chosen channels of an open recording, as a signal."""

from __future__ import annotations

import numpy as np

from bidsmill.bids.reading import OpenRecording, reader_problems
from bidsmill.bids.samples import Samples, open_samples

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
        self.sfreq = opened.sfreq
        self.n_times = opened.n_times
        self.n_channels = len(picks)
        self._raw, self._picks = opened.raw, picks
        self._where = (root, data)
        self._samples: Samples | None = None

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``[start, stop)`` in SI units, float64 of shape (channels, times)."""
        result = np.empty((self.n_channels, stop - start))
        self.read_into(start, stop, result)
        return result

    def read_into(self, start: int, stop: int, out: np.ndarray) -> None:
        """Write samples ``[start, stop)`` in SI units to an array of floats."""
        with reader_problems(*self._where):
            if self._samples is None:
                self._samples = open_samples(self._raw, self._picks)
            self._samples.read_into(start, stop, out)


def block_samples(n_channels: int) -> int:
    """Return how many samples are read at once."""
    return max(1, READ_BYTES // (8 * n_channels))
