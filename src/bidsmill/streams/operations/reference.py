"""Common references: the average or the median of channels, subtracted from each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.streams.operation import Operation, Span, register

if TYPE_CHECKING:
    from bidsmill.formats.stream_core import StreamCore

# Types whose channels are potentials against a common electrode.
REFERENCED = ("eeg", "ecog", "seeg", "dbs", "emg")
# The average of one channel is the channel: it would become zero.
FEWEST = 2
# Samples that are put in order at a time for a median.
PIECE = 2**14


@dataclass(frozen=True)
class CommonReference(Operation):
    """What both references have in common.

    Bad channels are no part of the reference; they are referenced like the others. A sample of
    the reference is that of the channels that have a finite value there.

    Parameters
    ----------
    groups : tuple of tuple of str
        Names of channels: each group has a reference of its own, and channels in none stay as
        they are. By default one group for each type among eeg, ecog, seeg, dbs and emg.
    exclude : tuple of str
        Channels that are no part of a reference and stay as they are.
    """

    groups: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[str, ...] = ()

    def members(self, core: StreamCore) -> list[tuple[list[int], list[int]]]:
        """Return for each group the places of its channels, and of those that make its reference.

        Raises
        ------
        BidsmillError
            If a channel is not there or in two groups, or if a group has too few good channels.
        """
        places = {name: index for index, name in enumerate(core.names)}
        named = [name for group in (*self.groups, self.exclude) for name in group]
        absent = [name for name in named if name not in places]
        twice = sorted({name for name in named if named.count(name) > 1})
        if absent or twice:
            raise BidsmillError(
                f"The groups of {self.name} do not fit the channels",
                found=f"not there: {', '.join(absent)}" if absent else f"twice: {', '.join(twice)}",
                expected=f"channels among {', '.join(core.names[:20])}, each once",
            )
        if self.groups:
            groups = [[places[name] for name in group] for group in self.groups]
        else:
            types = [channel.type for channel in core.channels]
            groups = [[i for i, t in enumerate(types) if t == kind] for kind in REFERENCED]
            left_out = {places[name] for name in self.exclude}
            groups = [[i for i in group if i not in left_out] for group in groups if group]
        found = [(g, [i for i in g if core.channels[i].status != "bad"]) for g in groups]
        few = [len(good) for _, good in found if len(good) < FEWEST]
        if few or not found:
            raise BidsmillError(
                f"Too few good channels for the reference of {self.name}",
                found=str(few[0]) if few else f"no channel of type {', '.join(REFERENCED)}",
                expected=f"at least {FEWEST} in each group",
                todo="name other groups, correct the status of channels, or leave the step out",
            )
        return found

    def core(self, parent: StreamCore) -> StreamCore:
        """Return the metadata as they are."""
        self.members(parent)
        return parent

    def compute(self, block: np.ndarray, span: Span, core: Any, fitted: Any) -> np.ndarray:
        """Return the samples against their reference."""
        out = block.copy()
        for rows, good in self.members(core):
            for start in range(0, block.shape[1], PIECE):
                piece = slice(start, start + PIECE)
                reference = self._reference(block[good, piece].astype(np.float64))
                out[rows, piece] = block[rows, piece] - reference
        return out

    def _reference(self, values: np.ndarray) -> np.ndarray:
        unusable = ~np.isfinite(values)
        if not unusable.any():
            return self._middle(values)
        values[unusable] = np.nan
        reference = np.full(values.shape[1], np.nan)
        some = ~unusable.all(axis=0)
        reference[some] = self._middle_of_finite(values[:, some])
        return reference

    def _middle(self, values: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _middle_of_finite(self, values: np.ndarray) -> np.ndarray:
        raise NotImplementedError


@register
@dataclass(frozen=True)
class CommonAverage(CommonReference):
    """Subtract the mean of the channels; see :class:`CommonReference`."""

    name: ClassVar[str] = "car"

    def _middle(self, values: np.ndarray) -> np.ndarray:
        return values.mean(axis=0)

    def _middle_of_finite(self, values: np.ndarray) -> np.ndarray:
        return np.nanmean(values, axis=0)


@register
@dataclass(frozen=True)
class CommonMedian(CommonReference):
    """Subtract the median of the channels; see :class:`CommonReference`."""

    name: ClassVar[str] = "cmr"

    def _middle(self, values: np.ndarray) -> np.ndarray:
        return np.median(values, axis=0)

    def _middle_of_finite(self, values: np.ndarray) -> np.ndarray:
        return np.nanmedian(values, axis=0)
