"""Pieces of a stream around epocs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.streams.operation import Operation, Span, parameter, register
from bidsmill.streams.operations.places import chosen, sample_at

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.formats.stream_core import StreamCore

INSIDE, BEFORE, BEHIND = "inside", "starts before the stream", "ends behind the stream"
# Seconds from an epoc; eleven days are longer than any recording.
FARTHEST = 1e6
COLUMNS = ("epoc", "epoc_onset", "epoc_label", "epoc_channel", "epoc_start", "epoc_status")


@register
@dataclass(frozen=True)
class Epochs(Operation):
    """A window of every channel around each epoc, as a table with one row per epoc.

    The windows are those of the matrix files: of the sample ``round(onset * sfreq)`` on the clock
    of the stream, from ``round(tmin * sfreq)`` samples beside it on, ``round((tmax - tmin) *
    sfreq)`` samples, at least one.

    Columns: ``epoc`` (row in the table of epocs), ``epoc_onset`` (s), ``epoc_label``,
    ``epoc_channel``, ``epoc_start`` (first sample of the window in the stream), ``epoc_status``,
    then one per channel of the stream with the samples (arrays of float32). An epoc whose window
    is not wholly within the stream keeps its row: its status says ``starts before the stream`` or
    ``ends behind the stream``, and it has no samples. :func:`epoch_array` gives the array of the
    others and :func:`left_out` lists these. NaN within a window stays NaN. The whole table is in
    memory in the end: 4 bytes per epoc, channel and sample.

    Parameters
    ----------
    tmin, tmax : float
        Window relative to the onset in s; ``tmax`` is excluded.
    labels : tuple of str
        Which epocs; all if none is given.
    """

    name: ClassVar[str] = "epochs"
    inputs: ClassVar[tuple[str, ...]] = ("stream", "epocs")
    output: ClassVar[str] = "table"
    tmin: float = parameter(-0.2, unit="s", at_least=-FARTHEST, at_most=FARTHEST)
    tmax: float = parameter(0.8, unit="s", at_least=-FARTHEST, at_most=FARTHEST)
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tmax <= self.tmin:
            raise BidsmillError(
                "The window around the epocs is empty",
                found=f"tmin {self.tmin} s, tmax {self.tmax} s",
                expected="tmin below tmax",
            )

    def core(self, parent: Any) -> StreamCore:
        """Return the metadata of the stream."""
        clash = sorted(set(parent[0].names) & set(COLUMNS))
        if clash:
            raise BidsmillError(
                "A channel has the name of a column of the table of epochs", found=", ".join(clash)
            )
        return parent[0]

    def needs(self, start: int, stop: int, core: Any) -> tuple[int, int]:
        """Return the span with the rest of the windows that start in it."""
        # The call of the last samples also answers for windows that start behind them.
        return start, stop + self._length(core[0].sfreq) - 1

    def compute(self, block: Any, span: Span, core: Any, fitted: Any) -> pd.DataFrame:
        """Return the rows of the epocs whose windows start in the span.

        Windows that start before the stream belong to its first sample, those that start behind
        it to its last.
        """
        import pandas as pd

        samples, epocs = block[0], chosen(block[1], self.labels, core[0].names)
        length = self._length(core[0].sfreq)
        start = sample_at(epocs["onset"].to_numpy(np.float64), core[0])
        start = start + round(self.tmin * core[0].sfreq)
        place = start.clip(0, span.total - 1)
        own = np.flatnonzero((place >= span.start) & (place < span.stop))
        start = start[own]
        status = np.where(start < 0, BEFORE, np.where(start + length > span.total, BEHIND, INSIDE))
        rows = epocs.iloc[own]
        table: dict[str, Any] = {
            "epoc": np.asarray(rows.index, dtype=np.int64),
            "epoc_onset": rows["onset"].to_numpy(np.float64),
            "epoc_label": pd.array(rows["label"], dtype="string"),
            "epoc_channel": pd.array(rows["channel"], dtype="string"),
            "epoc_start": start,
            "epoc_status": pd.array(status, dtype="string"),
        }
        for channel, name in enumerate(core[0].names):
            pieces = np.empty(len(own), dtype=object)
            for index, first in enumerate(start - span.first):
                if status[index] == INSIDE:
                    # A copy: a view would keep the whole chunk in memory.
                    pieces[index] = samples[channel, first : first + length].copy()
            table[name] = pieces
        return pd.DataFrame(table)

    def join(self, parts: Sequence[Any], core: Any) -> pd.DataFrame:
        """Return the rows of all chunks in the order of the epocs."""
        table = super().join(parts, core)
        return table.sort_values("epoc", kind="stable", ignore_index=True)

    def _length(self, sfreq: float) -> int:
        return max(1, round((self.tmax - self.tmin) * sfreq))


def epoch_array(table: pd.DataFrame, channels: Sequence[str] | None = None) -> np.ndarray:
    """Return the samples of a table of :class:`Epochs`, without the epocs left out.

    Parameters
    ----------
    table : pandas.DataFrame
    channels : sequence of str, optional
        Some of the channels; by default all, in the order of the stream.

    Returns
    -------
    numpy.ndarray, shape (n_epochs, n_channels, n_samples), float32
        Row k belongs to row k of ``table[table["epoc_status"] == "inside"]``.
    """
    names = [c for c in table.columns if c not in COLUMNS] if channels is None else list(channels)
    inside = table[table["epoc_status"] == INSIDE]
    if not len(inside):
        return np.empty((0, len(names), 0), dtype=np.float32)
    return np.stack([np.stack(list(inside[name])) for name in names], axis=1)


def left_out(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the epocs whose windows do not lie within the stream, without samples.

    Their number is the difference between the epocs and the rows of :func:`epoch_array`.
    """
    return table.loc[table["epoc_status"] != INSIDE, list(COLUMNS)].reset_index(drop=True)
