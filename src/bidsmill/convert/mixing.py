"""Channels as weighted sums of others: interpolation and reference, sample by sample.

Every operation is linear and looks at one sample at a time, so it commutes with the filter and the
resampler, which treat all channels alike; it stands before them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bidsmill.bids.recording_signal import block_samples
from bidsmill.signal.interpolation import PRODUCT
from bidsmill.signal.source import Signal


@dataclass(frozen=True)
class Interpolation:
    """Rows of the output that are weighted sums of channels of the input.

    Attributes
    ----------
    rows : ndarray of int, shape (n_rows,)
        Rows of the output.
    inputs : ndarray of int, shape (n_inputs,)
        Channels of the input.
    weights : ndarray of float64, shape (n_rows, n_inputs)
    """

    rows: np.ndarray
    inputs: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Reference:
    """Rows of the output from which the mean of channels of the input is subtracted."""

    rows: np.ndarray
    inputs: np.ndarray


@dataclass(frozen=True)
class Mixing:
    """What makes the channels of a matrix out of those of a recording.

    Attributes
    ----------
    take : ndarray of int, shape (n_outputs,)
        The input of each row; -1 for a row that is interpolated.
    interpolation : Interpolation or None
    references : list of Reference
        Computed from the input, that is before any interpolation.
    """

    take: np.ndarray
    interpolation: Interpolation | None = None
    references: list[Reference] = field(default_factory=list)

    def matrix(self, n_inputs: int) -> np.ndarray:
        """Return the whole as one matrix of shape (n_outputs, n_inputs)."""
        kept = np.flatnonzero(self.take >= 0)
        result = np.zeros((len(self.take), n_inputs))
        result[kept, self.take[kept]] = 1.0
        if self.interpolation is not None:
            rows, inputs = self.interpolation.rows, self.interpolation.inputs
            result[np.ix_(rows, inputs)] = self.interpolation.weights
        for reference in self.references:
            result[np.ix_(reference.rows, reference.inputs)] -= 1.0 / len(reference.inputs)
        return result


class Mixed:
    """A signal whose channels are made from those of another.

    Rows that nothing is done to are copied, never multiplied: their values keep every bit, and a
    NaN of one channel does not reach the others by way of a weight of 0.

    Parameters
    ----------
    source : Signal
        The recording.
    mixing : Mixing
        What to do.
    """

    def __init__(self, source: Signal, mixing: Mixing):
        self.source, self.mixing = source, mixing
        self.sfreq, self.n_times = source.sfreq, source.n_times
        self.n_channels = len(mixing.take)
        self.reach_seconds = float(getattr(source, "reach_seconds", 0.0))
        self._kept = np.flatnonzero(mixing.take >= 0)
        self._inputs = mixing.take[self._kept]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``[start, stop)``, float64 of shape (channels, times)."""
        result = np.empty((self.n_channels, stop - start))
        # Few channels of a matrix may be made from many: the recording's bound the block.
        step = block_samples(self.source.n_channels)
        for low in range(start, stop, step):
            high = min(low + step, stop)
            self._mix(self.source.read(low, high), result[:, low - start : high - start])
        return result

    def _mix(self, data: np.ndarray, out: np.ndarray) -> None:
        for row, channel in zip(self._kept, self._inputs, strict=True):
            out[row] = data[channel]
        if self.mixing.interpolation is not None:
            _interpolate(self.mixing.interpolation, data, out)
        for reference in self.mixing.references:
            mean = _mean(data, reference.inputs)
            for row in reference.rows:
                out[row] -= mean


def _interpolate(how: Interpolation, data: np.ndarray, out: np.ndarray) -> None:
    weights = how.weights
    if len(weights) == 1:
        # OpenBLAS shares a matrix-vector product among threads far earlier than a product of
        # two matrices; twice the same row makes it one of those.
        weights = np.repeat(weights, 2, axis=0)
    # Smaller products use one thread, whatever there are, and so give the same bits.
    step = max(1, PRODUCT // weights.size)
    for low in range(0, data.shape[1], step):
        part = data[how.inputs, low : low + step].astype(np.float64, copy=False)
        out[how.rows, low : low + step] = (weights @ part)[: len(how.rows)]


def _mean(data: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    total = data[inputs[0]].astype(np.float64)
    for channel in inputs[1:]:
        total += data[channel]
    total /= len(inputs)
    return total
