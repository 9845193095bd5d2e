"""Sums over sliding windows: exact at the borders of chunks, the same bits for every chunking.

A running sum that adds the sample that enters and takes away the one that leaves keeps the
rounding error of everything that it ever saw: after one large artefact the quiet signal behind it
is wrong. Here nothing is taken away (van Herk 1992, "A fast algorithm for local minimum and
maximum filters", Pattern Recognition Letters 13, 517-521, with sums in place of maxima).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bidsmill.errors import BidsmillError


def window_sums(values: np.ndarray, width: int, first: int) -> np.ndarray:
    """Sum every window of ``width`` successive values.

    The time line is cut into blocks of ``width`` that start at sample 0 of the stream. A window
    touches two of them at most, so that its sum is the sum from its start to the end of the one
    block, and from the start of the other to its end: ``width`` additions of accuracy, two of
    work.

    Parameters
    ----------
    values : numpy.ndarray, shape (n,), float64
        The values. A NaN makes exactly the sums of the windows around it NaN.
    width : int
        Values of a window, at least 1.
    first : int
        The place of ``values[0]`` in the whole stream.

    Returns
    -------
    numpy.ndarray, shape (max(n - width + 1, 0),), float64
        ``values[i] + ... + values[i + width - 1]``. Bits do not depend on ``first``, nor on how
        much of the stream ``values`` holds.
    """
    n_windows = len(values) - width + 1
    if n_windows <= 0:
        return np.empty(0)
    offset = first % width
    n_blocks = -(-(offset + len(values)) // width)
    blocks = np.zeros((n_blocks, width))
    blocks.reshape(-1)[offset : offset + len(values)] = values
    after = np.ascontiguousarray(np.cumsum(blocks[:, ::-1], axis=1)[:, ::-1])
    # A window that is a whole block has no part in a block before.
    after[:, 0] = 0.0
    before = np.cumsum(blocks, axis=1, out=blocks).reshape(-1)
    sums = after.reshape(-1)[offset : offset + n_windows]
    sums += before[offset + width - 1 : offset + width - 1 + n_windows]
    return sums


@dataclass(frozen=True)
class Frames:
    """The grid of windows of a stream: window ``k`` is the samples from ``k * step`` on.

    Attributes
    ----------
    width, step : int
        Samples of a window, and from one window to the next.
    """

    width: int
    step: int

    @classmethod
    def of_seconds(cls, window: float, step: float | None, sfreq: float) -> Frames:
        """Return the grid for lengths in seconds, rounded to whole samples.

        Parameters
        ----------
        window : float
            Length of a window in seconds.
        step : float or None
            Seconds from one window to the next; None: windows side by side.
        sfreq : float
            Sampling rate in Hz.

        Raises
        ------
        BidsmillError
            If a length is not positive, or shorter than a sample.
        """
        width = samples_of("window", window, sfreq)
        return cls(width, width if step is None else samples_of("step", step, sfreq))

    def count(self, n_samples: int) -> int:
        """Return how many whole windows a stream holds."""
        return 0 if n_samples < self.width else 1 + (n_samples - self.width) // self.step

    def needs(self, start: int, stop: int) -> tuple[int, int]:
        """Return the samples of the parent that windows ``start`` to ``stop`` need."""
        if stop <= start:
            return start * self.step, start * self.step
        return start * self.step, (stop - 1) * self.step + self.width


def samples_of(name: str, seconds: float, sfreq: float, least: int = 1) -> int:
    """Return a length in whole samples.

    Parameters
    ----------
    name : str
        The name of the parameter, for the message.
    seconds : float
        The length in seconds.
    sfreq : float
        Sampling rate in Hz.
    least : int
        The fewest samples that make sense.

    Raises
    ------
    BidsmillError
        If it is no finite number, negative, or less than ``least`` samples.
    """
    given = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not given or not np.isfinite(seconds) or seconds < 0 or round(seconds * sfreq) < least:
        raise BidsmillError(
            f"The parameter {name} cannot be used",
            found=repr(seconds),
            expected=f"seconds, at least {least / sfreq:g} ({least} samples at {sfreq:g} Hz)",
        )
    return round(seconds * sfreq)
