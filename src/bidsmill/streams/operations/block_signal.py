"""One block of a stream as a signal, for the filters of ``bidsmill.signal``."""

from __future__ import annotations

import numpy as np


class BlockSignal:
    """The part of a signal that a block holds, in the numbering of the whole.

    Parameters
    ----------
    block : numpy.ndarray, shape (n_channels, n_samples)
        The samples.
    first : int
        The place of the first of them in the whole signal.
    total : int
        Samples of the whole signal.
    sfreq : float
        Sampling rate in Hz.
    """

    def __init__(self, block: np.ndarray, first: int, total: int, sfreq: float):
        self.block, self.first = block, first
        self.sfreq, self.n_times = sfreq, total
        self.n_channels = len(block)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``start`` to ``stop`` of the whole signal, which the block must hold."""
        assert self.first <= start <= stop <= self.first + self.block.shape[1]
        return self.block[:, start - self.first : stop - self.first]
