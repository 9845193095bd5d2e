"""Stretches of a signal that do not change: flat channels, and amplifiers at their limit."""

from __future__ import annotations

import numpy as np

# Samples in a row at an extreme value that are no peak but a limit. A sampled peak touches its
# highest value once, or twice where the converter's step is coarse.
CLIPPED_RUN = 3
# A flat stretch is looked for at so many points of its length before all samples are compared.
PROBES = 4


def constant_samples(block: np.ndarray, run: int) -> np.ndarray:
    """Count the samples of each row that lie in stretches of equal values.

    Parameters
    ----------
    block : ndarray, shape (n_channels, n_rows, n_times)
        The signal.
    run : int
        Samples that a stretch has at least.

    Returns
    -------
    ndarray of int64, shape (n_channels, n_rows)
    """
    counts = np.zeros(block.shape[:2], np.int64)
    for channel, rows in enumerate(_candidates(block, run)):
        if len(rows):
            signal = block[channel, rows]
            counts[channel, rows] = in_runs(signal[:, 1:] == signal[:, :-1], run - 1, ends=1)
    return counts


def _candidates(block: np.ndarray, run: int) -> list[np.ndarray]:
    """Return for each channel the rows that may hold a stretch: seen from few samples.

    A stretch of `run` samples holds at least ``run // step`` of every `step`-th, all equal.
    """
    step = max(1, run // PROBES)
    points = block[:, :, ::step]
    # A copy: the comparisons below pass over it several times.
    points = np.ascontiguousarray(points)
    needed = run // step - 1
    equal = points[:, :, 1:] == points[:, :, :-1]
    if needed <= 0:
        return [np.arange(block.shape[1])] * len(block)
    if equal.shape[2] < needed:
        return [np.empty(0, np.intp)] * len(block)
    length = equal.shape[2] - needed + 1
    together = equal[:, :, :length].copy()
    for shift in range(1, needed):
        together &= equal[:, :, shift : shift + length]
    return [np.flatnonzero(rows) for rows in together.any(axis=2)]


def in_runs(flags: np.ndarray, run: int, ends: int = 0) -> np.ndarray:
    """Count what lies in runs of true flags.

    Parameters
    ----------
    flags : ndarray of bool, shape (n_rows, n)
        What is looked at.
    run : int
        Flags that a run has at least.
    ends : int
        What each run counts more than its flags.

    Returns
    -------
    ndarray of int64, shape (n_rows,)
    """
    n_rows, n = flags.shape
    if run <= 0:
        # A stretch of one sample is always constant.
        return np.full(n_rows, n + ends, np.int64)
    padded = np.zeros((n_rows, n + 2), np.int8)
    padded[:, 1:-1] = flags
    changes = np.diff(padded, axis=1)
    rows, starts = np.nonzero(changes == 1)
    _, stops = np.nonzero(changes == -1)
    lengths = stops - starts
    long = lengths >= run
    return np.bincount(rows[long], lengths[long] + ends, n_rows).astype(np.int64)


class ExtremeRuns:
    """Samples at the lowest or highest value of a channel, where these stand in runs.

    Only the rows that reach the extreme seen so far are looked at, and forgotten when a later row
    exceeds it.

    Parameters
    ----------
    n_channels : int
        Channels of the signal.
    """

    def __init__(self, n_channels: int):
        self._n_channels = n_channels
        # For the lowest values the signal is turned over.
        self._limit = {sign: np.full(n_channels, -np.inf, np.float32) for sign in (1, -1)}
        self._found: dict[tuple[int, int], list[tuple[np.ndarray, np.ndarray]]] = {}

    def add(
        self,
        first: int,
        block: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        varies: np.ndarray,
    ) -> None:
        """Look at rows.

        Parameters
        ----------
        first : int
            The row of the matrix that the block begins with.
        block : ndarray of float32, shape (n_channels, n_rows, n_times)
            The signal.
        low, high : ndarray of float32, shape (n_channels, n_rows)
            Extremes of each row; rows with a value that is not finite are passed over.
        varies : ndarray of bool, shape (n_channels, n_rows)
            Rows that are flat from end to end are not clipped but dead.
        """
        usable = np.isfinite(low) & np.isfinite(high)
        for sign, values in ((1, high), (-1, -low)):
            known = np.where(usable, values, -np.inf)
            limit = np.maximum(self._limit[sign], known.max(axis=1, initial=-np.inf))
            for channel in np.flatnonzero(limit > self._limit[sign]):
                self._found.pop((sign, int(channel)), None)
            self._limit[sign] = limit
            reach = (known == limit[:, np.newaxis]) & usable & varies
            for channel in np.flatnonzero(reach.any(axis=1)):
                rows = np.flatnonzero(reach[channel])
                at_limit = block[channel, rows] == np.float32(sign * limit[channel])
                often = np.count_nonzero(at_limit, axis=1) >= CLIPPED_RUN
                if not often.any():
                    continue
                counts = in_runs(at_limit[often], CLIPPED_RUN)
                kept = counts > 0
                if kept.any():
                    entry = rows[often][kept] + first, counts[kept]
                    self._found.setdefault((sign, int(channel)), []).append(entry)

    def result(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the samples found per channel, and the rows per channel."""
        counts = np.zeros(self._n_channels, np.int64)
        touched = [np.empty(0, np.int64)] * self._n_channels
        for (_, channel), entries in sorted(self._found.items()):
            counts[channel] += sum(int(numbers.sum()) for _, numbers in entries)
            rows = np.concatenate([touched[channel], *[rows for rows, _ in entries]])
            touched[channel] = np.unique(rows)
        return counts, touched
