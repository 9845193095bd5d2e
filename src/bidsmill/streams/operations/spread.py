"""Median and spread of each channel of a whole stream, exactly, in passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsmill.streams.operations.quantiles import (
    Cells,
    count_lower,
    count_upper,
    locate,
    merged_counts,
    quantiles,
)

# The standard deviation of a Gaussian over its median absolute deviation: 1 / ppf(3 / 4).
GAUSSIAN_MAD = 1.482602218505602


@dataclass(frozen=True)
class Found:
    """What the passes so far found.

    Attributes
    ----------
    cells : Cells or None
        Where the quantiles of this step lie; None if they are known.
    centre, scale : numpy.ndarray or None, shape (n_channels,)
        The medians and the spreads.
    """

    cells: Cells | None = None
    centre: np.ndarray | None = None
    scale: np.ndarray | None = None

    def both(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return centre and scale; None as long as passes are left."""
        if self.centre is None or self.scale is None:
            return None
        return self.centre, self.scale


@dataclass(frozen=True)
class Robust:
    """The fit of medians with interquartile ranges, or with median absolute deviations.

    Two passes give quantiles (see :mod:`bidsmill.streams.operations.quantiles`). For the median
    absolute deviation two more do the same with ``|x - median|``, rounded to float32: rounding
    keeps the order, so that the result is that of the exact deviations rounded once.

    Parameters
    ----------
    deviations : bool
        Whether the scale is 1.4826 times the median absolute deviation, and not the interquartile
        range.
    """

    deviations: bool

    @property
    def passes(self) -> int:
        """How often the stream is read."""
        return 4 if self.deviations else 2

    @property
    def _fractions(self) -> tuple[float, ...]:
        return (0.5,) if self.deviations else (0.25, 0.5, 0.75)

    def partial(self, block: np.ndarray, known: Found | None) -> Any:
        """Return the counts of one chunk for the pass after ``known``."""
        known = known or Found()
        if known.centre is not None:
            block = _deviations(block, known.centre)
        return count_upper(block) if known.cells is None else count_lower(block, known.cells)

    def merge(self, parts: Sequence[Any]) -> Any:
        """Return the counts of several chunks as those of one."""
        return merged_counts(parts)

    def combine(self, parts: Sequence[Any], known: Found | None) -> Found:
        """Return what is known after this pass."""
        known = known or Found()
        if known.cells is None:
            return Found(locate(parts, self._fractions), known.centre)
        found = quantiles(parts, known.cells, self._fractions)
        if known.centre is not None:
            return Found(None, known.centre, GAUSSIAN_MAD * found[0])
        if self.deviations:
            return Found(None, found[0])
        return Found(None, found[1], found[2] - found[0])


def _deviations(block: np.ndarray, centre: np.ndarray) -> np.ndarray:
    out = np.empty(block.shape, dtype=np.float32)
    for channel, row in enumerate(block):
        with np.errstate(invalid="ignore"):
            out[channel] = np.abs(row.astype(np.float64) - centre[channel])
    return out
