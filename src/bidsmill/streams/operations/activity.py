"""Stretches of activity: found in chunks, put together over the borders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bidsmill.streams.operations.convolution import window_counts


@dataclass(frozen=True)
class Runs:
    """Stretches of one channel, in the order of time, apart from each other.

    Attributes
    ----------
    start, stop : numpy.ndarray of int64
        First sample, and the one after the last, counted from the start of the stream.
    peak : numpy.ndarray of float64
        The greatest sample of each.
    """

    start: np.ndarray
    stop: np.ndarray
    peak: np.ndarray

    def where(self, kept: np.ndarray) -> Runs:
        """Return those that a mask keeps."""
        return Runs(self.start[kept], self.stop[kept], self.peak[kept])


def runs_of(active: np.ndarray, values: np.ndarray, first: int) -> Runs:
    """Return the stretches of successive active samples.

    Parameters
    ----------
    active : numpy.ndarray of bool, shape (n,)
    values : numpy.ndarray, shape (n,)
        The samples, for the peaks; NaN is passed over.
    first : int
        The place of the first of them in the stream.
    """
    edges = np.flatnonzero(np.diff(active, prepend=False, append=False))
    start, stop = edges[::2], edges[1::2]
    if not len(edges):
        return Runs(start, stop, np.empty(0))
    # One more value, so that the end of the last stretch is a place too.
    wide = np.append(values.astype(np.float64), -np.inf)
    return Runs(start + first, stop + first, np.fmax.reduceat(wide, edges)[::2])


def closed(runs: Runs, gap: int) -> Runs:
    """Merge stretches with fewer than ``gap`` samples between them; those that touch always.

    What is merged does not depend on the order in which it happens: once before and once after
    chunks are put together gives the same as once at the end.
    """
    if len(runs.start) < 2:
        return runs
    begins = np.append(True, runs.start[1:] - runs.stop[:-1] >= max(gap, 1))
    places = np.flatnonzero(begins)
    ends = np.append(places[1:] - 1, len(begins) - 1)
    return Runs(runs.start[places], runs.stop[ends], np.fmax.reduceat(runs.peak, places))


def settled(runs: Runs, start: int, stop: int, gap: int, least: int) -> Runs:
    """Merge the stretches of one chunk, and drop the short ones that no neighbour can reach.

    This bounds what is kept of a chunk: at most one stretch per ``least`` samples, beside one at
    each border.

    Parameters
    ----------
    runs : Runs
        Those of samples ``start`` to ``stop``.
    start, stop : int
        The chunk.
    gap, least : int
        As in :func:`joined`.
    """
    runs = closed(runs, gap)
    near = (runs.start - start < max(gap, 1)) | (stop - runs.stop < max(gap, 1))
    return runs.where(near | (runs.stop - runs.start >= least))


def joined(parts: Iterable[Runs], gap: int, least: int, refractory: int) -> Runs:
    """Return the stretches of a whole channel from those of its chunks.

    First stretches with fewer than ``gap`` samples between them are merged, then those of fewer
    than ``least`` samples dropped, then those that begin fewer than ``refractory`` samples after
    the beginning of the one kept before.

    Parameters
    ----------
    parts : iterable of Runs
        Of all chunks, in the order of time.
    gap, least, refractory : int
        In samples.
    """
    parts = list(parts)
    fields = ("start", "stop", "peak")
    whole = Runs(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))
    whole = closed(whole, gap)
    whole = whole.where(whole.stop - whole.start >= least)
    kept = np.ones(len(whole.start), dtype=bool)
    last = None
    for index, start in enumerate(whole.start.tolist()):
        kept[index] = last is None or start - last >= refractory
        last = start if kept[index] else last
    return whole.where(kept)


def often_above(above: np.ndarray, count: int, width: int) -> np.ndarray:
    """Mark the stretches in which at least ``count`` of ``width`` successive samples are above.

    Parameters
    ----------
    above : numpy.ndarray of bool, shape (n,)
    count, width : int
        ``1 <= count <= width``.

    Returns
    -------
    numpy.ndarray of bool, shape (n,)
        True from the first to the last sample above, of every window of ``width`` samples that
        holds enough of them.
    """
    n = len(above)
    enough = np.flatnonzero(window_counts(above, width) >= count)
    if not len(enough):
        return np.zeros(n, dtype=bool)
    places = np.flatnonzero(above)
    first = places[np.searchsorted(places, enough, side="left")]
    last = places[np.searchsorted(places, enough + width, side="left") - 1]
    steps = np.zeros(n + 1, dtype=np.int64)
    np.add.at(steps, first, 1)
    np.add.at(steps, last + 1, -1)
    return np.cumsum(steps[:-1]) > 0
