"""Compute a signal in blocks of a fixed grid, reading each sample of its source once.

The grid is anchored at sample 0 of the output, and a block is always computed whole and from the
same span of its source. So a sample has the same bits however a caller cuts its reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from bidsmill.signal.source import Signal, check_span

# A read that straddles a border of the grid needs two blocks; keeping both lets overlapping
# windows pass the border without computing either again.
KEPT_BLOCKS = 2


class Blockwise(ABC):
    """A signal whose samples are computed in blocks of a fixed grid.

    A subclass sets ``sfreq``, ``n_channels``, ``n_times`` and ``block`` (samples of a block),
    and computes one block in :meth:`_compute`.
    """

    sfreq: float
    n_channels: int
    n_times: int
    block: int
    # A block may begin at any multiple of this.
    step: int = 1

    def __init__(self) -> None:
        self._kept: dict[int, np.ndarray] = {}

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``start`` to ``stop`` (excluded).

        Returns
        -------
        numpy.ndarray, shape (n_channels, stop - start), float64
            A new array. The values do not depend on how reads are cut.

        Raises
        ------
        BidsmillError
            Unless ``0 <= start <= stop <= n_times``.
        """
        check_span(start, stop, self.n_times)
        out = np.empty((self.n_channels, stop - start))
        position = start
        while position < stop:
            number, offset = divmod(position, self.block)
            part = self._block(number)[:, offset : offset + stop - position]
            out[:, position - start : position - start + part.shape[1]] = part
            position += part.shape[1]
        return out

    def read_once(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``start`` to ``stop`` without the grid: nothing beside them is computed.

        For a caller that has no more of the source than these samples need. They equal those of
        :meth:`read` up to rounding.

        Returns
        -------
        numpy.ndarray, shape (n_channels, stop - start), float64
        """
        check_span(start, stop, self.n_times)
        out = np.empty((self.n_channels, stop - start))
        position = start - start % self.step
        while position < stop:
            end = min(position + self.block, stop)
            part = self._compute(position, end)[:, max(start - position, 0) :]
            out[:, end - start - part.shape[1] : end - start] = part
            position = end
        return out

    def _block(self, number: int) -> np.ndarray:
        if number not in self._kept:
            start = number * self.block
            computed = self._compute(start, min(start + self.block, self.n_times))
            while len(self._kept) >= KEPT_BLOCKS:
                del self._kept[next(iter(self._kept))]
            self._kept[number] = computed
        return self._kept[number]

    @abstractmethod
    def _compute(self, start: int, stop: int) -> np.ndarray:
        """Return the block that starts at ``start``; ``start`` is a multiple of ``block``."""


class ExtendedReader:
    """Read a source beyond its edges, and each of its samples once when read forwards.

    Parameters
    ----------
    source : Signal
        The signal to read.
    pad : {"reflect_limited", "edge"}
        What stands beyond an edge. ``reflect_limited``: the signal turned by 180 degrees around
        its edge sample, ``2 * x[0] - x[j]`` at ``-j``, for ``limit`` samples, and zeros beyond
        (MNE-Python's padding of that name). ``edge``: the edge sample for ever.
    limit : int
        Samples of reflection, at most ``source.n_times - 1``.
    keep : int
        Trailing samples kept for the next read: the overlap of successive reads.
    """

    def __init__(self, source: Signal, pad: str, keep: int, limit: int = 0):
        self.source = source
        self.pad = pad
        self.limit = limit
        self.keep = keep
        self._held = np.empty((source.n_channels, 0))
        self._held_start = 0

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples ``start`` to ``stop`` of the extended signal, which has no end.

        Parameters
        ----------
        start, stop : int
            A span that touches the recording: ``start < n_times`` and ``stop > 0``.

        Returns
        -------
        numpy.ndarray, shape (n_channels, stop - start), float64
            A new array.
        """
        n_times = self.source.n_times
        before, after = max(-start, 0), max(stop - n_times, 0)
        first, last = max(start, 0), min(stop, n_times)
        # The reflection needs the edge sample and those opposite, also if the span is short.
        mirrored = (
            (0, 0) if self.pad == "edge" else (min(before, self.limit), min(after, self.limit))
        )
        low = min(first, n_times - 1 - mirrored[1]) if after else first
        high = max(last, 1 + mirrored[0]) if before else last
        inner = self._inner(low, high)
        if not (before or after):
            return inner
        out = np.empty((self.source.n_channels, stop - start))
        out[:, before : before + last - first] = inner[:, first - low : last - low]
        if before:
            self._extend(out[:, :before][:, ::-1], inner, mirrored[0])
        if after:
            self._extend(out[:, -after:], inner[:, ::-1], mirrored[1])
        return out

    def _extend(self, out: np.ndarray, inner: np.ndarray, n_mirrored: int) -> None:
        """Fill ``out`` outwards from an edge; ``inner`` starts with the edge sample."""
        edge = inner[:, :1]
        if self.pad == "edge":
            out[...] = edge
            return
        out[:, :n_mirrored] = 2 * edge - inner[:, 1 : 1 + n_mirrored]
        out[:, n_mirrored:] = 0.0

    def _inner(self, start: int, stop: int) -> np.ndarray:
        held_stop = self._held_start + self._held.shape[1]
        data = np.empty((self.source.n_channels, stop - start))
        position = start
        if self._held_start <= start < held_stop:
            known = self._held[:, start - self._held_start : stop - self._held_start]
            data[:, : known.shape[1]] = known
            position += known.shape[1]
        if position < stop:
            data[:, position - start :] = self.source.read(position, stop)
            kept = max(start, stop - self.keep)
            self._held, self._held_start = data[:, kept - start :].copy(), kept
        return data


def blank_unusable(window: np.ndarray) -> np.ndarray | None:
    """Replace NaN and infinite samples by zero, in place, and say where they were.

    Returns
    -------
    numpy.ndarray of bool, or None
        The mask of replaced samples; None if there was none.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        # A sum is finite only if every term is; the mask is built for the rare rest.
        if np.isfinite(window.sum()):
            return None
    unusable = ~np.isfinite(window)
    if not unusable.any():
        return None
    window[unusable] = 0.0
    return unusable


def mark_reach(out: np.ndarray, unusable: np.ndarray, first: Any, last: Any) -> None:
    """Set NaN wherever an output sample depends on an unusable sample of the window.

    Parameters
    ----------
    out : numpy.ndarray, shape (n_channels, n_out)
        The output, changed in place.
    unusable : numpy.ndarray of bool, shape (n_channels, n_in)
        The mask from :func:`blank_unusable`.
    first, last : numpy.ndarray of int, shape (n_out,)
        The first and the last column of the window that each output sample depends on.
    """
    counts = np.zeros((unusable.shape[0], unusable.shape[1] + 1), dtype=np.int64)
    np.cumsum(unusable, axis=1, out=counts[:, 1:])
    out[counts[:, last + 1] > counts[:, first]] = np.nan
