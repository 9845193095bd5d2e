"""Features of electromyograms in windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.streams.operation import Operation, Span, parameter, register
from bidsmill.streams.operations.outputs import RATIO, in_unit, per_window
from bidsmill.streams.operations.sliding import Frames, window_sums

if TYPE_CHECKING:
    from bidsmill.formats.stream_core import StreamCore

# Samples before and behind a value that it is computed from: those of a window's values lie
# within the window, which therefore has width - 1 differences and width - 2 turns.
COUNTED = ("zc", "ssc")


@register
@dataclass(frozen=True)
class Features(Operation):
    """Features of every channel in windows, as a stream of lower rate.

    Of a window of N samples ``x[1] ... x[N]``:

    ``mav``
        Mean absolute value, ``sum(|x[i]|) / N``.
    ``rms``
        Root mean square, ``sqrt(sum(x[i]**2) / N)``.
    ``wl``
        Waveform length, ``sum(|x[i+1] - x[i]|)``.
    ``zc``
        Zero crossings: how often ``x[i] > 0 > x[i+1]`` or ``x[i] < 0 < x[i+1]``, with
        ``|x[i] - x[i+1]| >= threshold``.
    ``ssc``
        Slope sign changes: how often ``x[i]`` is greater than both its neighbours or less than
        both, with ``|x[i] - x[i-1]| >= threshold`` or ``|x[i] - x[i+1]| >= threshold``.

    Hudgins, Parker and Scott (1993), "A new strategy for multifunction myoelectric control", IEEE
    Transactions on Biomedical Engineering 40, 82-94 (all but ``rms``); Phinyomark, Phukpattaranont
    and Limsakul (2012), "Feature reduction and selection for EMG signal classification", Expert
    Systems with Applications 39, 7420-7431 (``rms``; its slope sign changes compare a product
    with the threshold, which is then no amplitude).

    Channels are named ``{channel}_{feature}``, for each channel all features in the order given.
    One sample per whole window, in its middle. A window that holds a sample that is NaN or
    infinite gives NaN.

    Parameters
    ----------
    kinds : tuple of {"mav", "rms", "wl", "zc", "ssc"}
    window : float
        Length of a window in s.
    step : float, optional
        Seconds from one window to the next; by default windows lie side by side.
    threshold : float
        Least difference that counts for ``zc`` and ``ssc``, in the unit of the stream: it keeps
        noise from being counted.
    """

    name: ClassVar[str] = "features"
    kinds: tuple[Literal["mav", "rms", "wl", "zc", "ssc"], ...] = (
        "mav",
        "rms",
        "wl",
        "zc",
        "ssc",
    )
    window: float = parameter(0.2, unit="s", above=0)
    step: float | None = parameter(None, unit="s", above=0)
    threshold: float = parameter(0.0, at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.kinds or len(set(self.kinds)) < len(self.kinds):
            raise BidsmillError(
                "The features cannot be used",
                found=", ".join(self.kinds) or "none",
                expected="at least one, each once",
            )

    def core(self, parent: StreamCore) -> StreamCore:
        """Return the metadata at the rate of the windows, one channel per feature."""
        channels = tuple(
            in_unit(channel, RATIO if kind in COUNTED else channel.unit, f"{channel.name}_{kind}")
            for channel in parent.channels
            for kind in self.kinds
        )
        return per_window(parent, self._frames(parent), channels)

    def needs(self, start: int, stop: int, core: StreamCore) -> tuple[int, int]:
        """Return the samples of the windows."""
        return self._frames(core).needs(start, stop)

    def compute(self, block: np.ndarray, span: Span, core: StreamCore, fitted: Any) -> np.ndarray:
        """Return the features: for each channel all kinds."""
        frames = self._frames(core)
        low, high = frames.needs(span.start, span.stop)
        out = np.empty((len(block), len(self.kinds), span.stop - span.start), dtype=np.float32)
        for channel, row in enumerate(block):
            row = row[low - span.first : high - span.first].astype(np.float64)
            row[~np.isfinite(row)] = np.nan
            for index, kind in enumerate(self.kinds):
                out[channel, index] = self._feature(kind, row, low, frames)
        return out.reshape(-1, out.shape[2])

    def _frames(self, core: StreamCore) -> Frames:
        return Frames.of_seconds(self.window, self.step, core.sfreq)

    def _feature(self, kind: str, row: np.ndarray, first: int, frames: Frames) -> np.ndarray:
        """Return one feature of the windows that start at row[0], row[step], ..."""
        values, width = row, frames.width
        if kind == "mav":
            values = np.abs(row)
        elif kind == "rms":
            values = np.square(row)
        elif kind == "wl":
            values, width = np.abs(np.diff(row)), width - 1
        elif kind == "zc":
            values, width = crossings(row, self.threshold), width - 1
        else:
            values, width = turns(row, self.threshold), width - 2
        if width < 1:
            # A window of one or two samples has no difference, or no turn; a gap stays a gap.
            return window_sums(row * 0.0, frames.width, first)[:: frames.step]
        n_windows = max(len(row) - frames.width + 1, 0)
        sums = window_sums(values, width, first)[:n_windows][:: frames.step]
        if kind == "mav":
            return sums / frames.width
        return np.sqrt(sums / frames.width) if kind == "rms" else sums


def crossings(row: np.ndarray, threshold: float) -> np.ndarray:
    """Return 1 where the sign changes from a sample to the next, 0 elsewhere, NaN beside gaps.

    Parameters
    ----------
    row : numpy.ndarray, shape (n,), float64
    threshold : float
        See :class:`Features`.

    Returns
    -------
    numpy.ndarray, shape (max(n - 1, 0),), float64
    """
    left, right = row[:-1], row[1:]
    change = ((left > 0) & (right < 0)) | ((left < 0) & (right > 0))
    change &= np.abs(left - right) >= threshold
    return np.where(np.isnan(left - right), np.nan, change)


def turns(row: np.ndarray, threshold: float) -> np.ndarray:
    """Return 1 where the slope changes its sign at a sample, 0 elsewhere, NaN beside gaps.

    Returns
    -------
    numpy.ndarray, shape (max(n - 2, 0),), float64
        For the samples that have two neighbours.
    """
    before, behind = row[1:-1] - row[:-2], row[1:-1] - row[2:]
    turn = ((before > 0) & (behind > 0)) | ((before < 0) & (behind < 0))
    turn &= (np.abs(before) >= threshold) | (np.abs(behind) >= threshold)
    return np.where(np.isnan(before + behind), np.nan, turn)
