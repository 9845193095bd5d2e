"""Statistics of every channel within labelled stretches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.streams.operation import Operation, Span, register
from bidsmill.streams.operations.moments import Moments, merged_moments, moments_of
from bidsmill.streams.operations.places import chosen, sample_at

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("channel", "samples", "mean", "std", "least", "greatest")


@register
@dataclass(frozen=True)
class Statistics(Operation):
    """Mean, spread and range of every channel within stretches of epocs, as a table.

    One row per channel: ``channel``, ``samples`` (finite ones), ``mean``, ``std`` (divisor n),
    ``least``, ``greatest``. For ``scale``: the maximum voluntary contraction from the stretches
    labelled so, or mean and spread of a labelled rest.

    A stretch is the samples from ``round(onset * sfreq)`` up to, not including, ``round((onset +
    duration) * sfreq)``, on the clock of the stream; samples in several of them count once. Epocs
    of one channel, such as onsets, count for that channel only.

    Parameters
    ----------
    labels : tuple of str
        Which epocs; all if none is given.
    """

    name: ClassVar[str] = "statistics"
    inputs: ClassVar[tuple[str, ...]] = ("stream", "epocs")
    output: ClassVar[str] = "table"
    labels: tuple[str, ...] = ()

    def compute(self, block: Any, span: Span, core: Any, fitted: Any) -> Moments:
        """Return the moments of the samples of one chunk that lie in a stretch."""
        samples, epocs = block[0], chosen(block[1], self.labels, core[0].names)
        shown = samples[:, span.start - span.first : span.stop - span.first]
        if epocs["duration"].isna().any():
            raise BidsmillError(
                "A stretch has no end",
                found=f"no duration at {epocs.loc[epocs['duration'].isna(), 'onset'].iloc[0]} s",
                expected="a duration of every epoc that statistics are taken of",
                todo="choose other labels, or give the duration",
            )
        onset = epocs["onset"].to_numpy(np.float64)
        start = sample_at(onset, core[0])
        stop = sample_at(onset + epocs["duration"].to_numpy(np.float64), core[0])
        channels = epocs["channel"].astype(object).where(epocs["channel"].notna(), None)
        inside = np.zeros(shown.shape, dtype=bool)
        names = core[0].names
        for first, last, channel in zip(start, stop, channels, strict=True):
            rows = slice(None) if channel is None else names.index(channel)
            inside[rows, max(first - span.start, 0) : max(last - span.start, 0)] = True
        return moments_of(np.where(inside, shown, np.float32(np.nan)))

    def join(self, parts: Sequence[Moments], core: Any) -> pd.DataFrame:
        """Return the table, from the parts merged in the order of time.

        Raises
        ------
        BidsmillError
            If no stretch holds a finite sample of a channel.
        """
        import pandas as pd

        whole = merged_moments(parts)
        empty = [n for n, count in zip(core[0].names, whole.count, strict=True) if not count]
        if empty:
            raise BidsmillError(
                "There is no sample to take statistics of",
                found=f"no stretch {' or '.join(self.labels) or 'of epocs'} with a finite sample "
                f"of the channels {', '.join(empty)}",
                todo="choose labels that occur, and stretches within the stream",
            )
        values = (
            pd.array(core[0].names, dtype="string"),
            whole.count.astype(np.int64),
            whole.mean,
            whole.std,
            whole.low,
            whole.high,
        )
        return pd.DataFrame(dict(zip(COLUMNS, values, strict=True)))
