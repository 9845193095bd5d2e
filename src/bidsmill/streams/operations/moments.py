"""Mean, spread and range of a whole stream, from its chunks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Counts, means, sums of squared deviations and ranges, one of each per channel.

    Samples that are NaN or infinite are left out. A channel without a finite sample has count 0,
    and NaN elsewhere.

    Attributes
    ----------
    count, mean, squares, low, high : numpy.ndarray, shape (n_channels,), float64
        Finite samples; their mean; the sum of the squared deviations from it; least and greatest.
    """

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @property
    def std(self) -> np.ndarray:
        """The standard deviation with divisor n, shape (n_channels,)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(self.squares / self.count)


def moments_of(block: np.ndarray) -> Moments:
    """Return the moments of a chunk, shape (n_channels, n), by sums in float64."""
    finite = np.isfinite(block)
    count = finite.sum(axis=1).astype(np.float64)
    mean, squares, low, high = np.full((4, len(block)), np.nan)
    for channel, row in enumerate(block):
        values = row if count[channel] == block.shape[1] else row[finite[channel]]
        if not len(values):
            continue
        # A row at a time: a copy in float64 of the whole chunk would double its memory.
        wide = values.astype(np.float64)
        mean[channel] = wide.mean()
        low[channel], high[channel] = wide.min(), wide.max()
        wide -= mean[channel]
        squares[channel] = np.square(wide, out=wide).sum()
    return Moments(count, mean, squares, low, high)


def merged_moments(parts: Iterable[Moments]) -> Moments:
    """Merge the moments of chunks, in the order given.

    Chan, Golub and LeVeque (1983), "Algorithms for computing the sample variance: analysis and
    recommendations", The American Statistician 37, 242-247: with ``d`` the difference of two
    means, ``mean = mean_a + d * n_b / n`` and ``squares = squares_a + squares_b + d**2 * n_a *
    n_b / n``. No difference of large sums is ever taken.

    Parameters
    ----------
    parts : iterable of Moments
        At least one, all of the same channels.
    """
    whole: Moments | None = None
    for part in parts:
        whole = part if whole is None else _merged(whole, part)
    assert whole is not None
    # The mean of equal values is that value; rounding would give it a spread of its own.
    equal = whole.low == whole.high
    mean = np.where(equal, whole.low, whole.mean)
    return replace(whole, mean=mean, squares=np.where(equal, 0.0, whole.squares))


def _merged(a: Moments, b: Moments) -> Moments:
    count = a.count + b.count
    share = np.divide(b.count, count, out=np.zeros_like(count), where=count > 0)
    difference = b.mean - a.mean
    mean = a.mean + difference * share
    squares = a.squares + b.squares + difference**2 * a.count * share
    # Where one side has no sample its mean is NaN and the other side stands.
    mean = np.where(a.count == 0, b.mean, np.where(b.count == 0, a.mean, mean))
    squares = np.where(a.count == 0, b.squares, np.where(b.count == 0, a.squares, squares))
    return Moments(count, mean, squares, np.fmin(a.low, b.low), np.fmax(a.high, b.high))
