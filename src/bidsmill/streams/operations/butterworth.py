"""Butterworth filters of second-order sections: block by block as if on the whole signal.

An infinite impulse response has decayed to nothing after a time that its poles give. A block that
reaches so far beyond what is wanted gives the samples of the whole signal to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.signal.blocks import blank_unusable, mark_reach

if TYPE_CHECKING:
    from bidsmill.streams.operation import Span

# What is left of an impulse response beyond its reach. A pole of magnitude p decays as p**n; those
# of a Butterworth filter are distinct, and 1e-12 leaves room for their sums and for an offset of
# the signal a thousand times its spread.
REST = 1e-12
# Samples that pass through all sections at a time: they stay in the processor's cache.
PIECE = 2**16


@dataclass(frozen=True, eq=False)
class Butterworth:
    """A filter of second-order sections.

    Attributes
    ----------
    sos : numpy.ndarray, shape (n_sections, 6), float64
        The sections.
    reach : int
        Samples after which the impulse response has decayed.
    padding : int
        Samples by which ``scipy.signal.sosfiltfilt`` extends a signal at each end.
    """

    sos: np.ndarray
    reach: int
    padding: int

    @classmethod
    def of(cls, sos: np.ndarray) -> Butterworth:
        """Return the filter of some sections."""
        # The default of scipy.signal.sosfiltfilt (its documentation, `padlen`).
        n_taps = 2 * len(sos) + 1 - min((sos[:, 2] == 0).sum(), (sos[:, 5] == 0).sum())
        return cls(sos, _reach(sos), 3 * int(n_taps))

    @classmethod
    def joined(cls, filters: tuple[Butterworth, ...]) -> Butterworth:
        """Return several filters as one."""
        return cls.of(np.concatenate([one.sos for one in filters]))

    def needs(self, start: int, stop: int, causal: bool) -> tuple[int, int]:
        """Return the samples that the output ``[start, stop)`` depends on."""
        if causal:
            return start - self.reach, stop
        margin = max(self.reach, self.padding + 1)
        return start - margin, stop + margin

    def filtered(self, block: np.ndarray, span: Span, causal: bool) -> np.ndarray:
        """Return the wanted samples of a block, shape (n_channels, n), float32."""
        out = np.empty((len(block), span.stop - span.start), dtype=np.float32)
        n_rows = max(PIECE // max(block.shape[1], 1), 1)
        for row in range(0, len(block), n_rows):
            rows = slice(row, row + n_rows)
            out[rows] = self._rows(block[rows], span, causal)
        return out

    def _rows(self, block: np.ndarray, span: Span, causal: bool) -> np.ndarray:
        values = block.astype(np.float64)
        unusable = blank_unusable(values)
        before = after = 0
        if not causal:
            padding = min(self.padding, span.total - 1)
            before = padding if span.first == 0 else 0
            after = padding if span.first + block.shape[1] == span.total else 0
            values = _odd_extension(values, before, after)
        # The whole signal starts at rest; a block inside starts as if its first sample had stood
        # for ever, which is nearer to what was there than nothing.
        at_rest = causal and span.first == 0
        self._pass(values, at_rest)
        if not causal:
            self._pass(values[:, ::-1], False)
        first = before + span.start - span.first
        result = values[:, first : first + span.stop - span.start]
        if unusable is not None:
            result = result.copy()
            places = np.arange(span.start - span.first, span.stop - span.first)
            last = places if causal else np.minimum(places + self.reach, block.shape[1] - 1)
            mark_reach(result, unusable, np.maximum(places - self.reach, 0), last)
        return result

    def _pass(self, values: np.ndarray, at_rest: bool) -> None:
        """Filter rows once in the order in which they are given, in place."""
        from scipy.signal import sosfilt, sosfilt_zi

        state = np.zeros((len(self.sos), len(values), 2))
        if not at_rest:
            state += sosfilt_zi(self.sos)[:, np.newaxis, :] * values[:, :1]
        step = max(PIECE // len(values), 1)
        for start in range(0, values.shape[1], step):
            piece = values[:, start : start + step]
            values[:, start : start + step], state = sosfilt(self.sos, piece, zi=state)


@lru_cache(maxsize=64)
def butterworth(
    sfreq: float, low: float | None, high: float | None, order: int, stop: bool
) -> Butterworth:
    """Return the filter that ``scipy.signal.butter`` designs.

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz.
    low, high : float or None
        Edges (-3 dB) in Hz.
    order : int
        That of the prototype.
    stop : bool
        Whether the band between the edges is stopped in place of passed.

    Raises
    ------
    BidsmillError
        If the edges do not fit the sampling rate, or the filter cannot be computed with numbers
        of double precision.
    """
    from scipy.signal import butter

    edges = [edge for edge in (low, high) if edge is not None]
    if not all(0 < edge < sfreq / 2 for edge in edges) or edges != sorted(set(edges)):
        raise BidsmillError(
            "The edges of the filter do not fit the sampling rate",
            found=f"{' and '.join(f'{edge:g}' for edge in edges)} Hz at {sfreq:g} Hz",
            expected=f"0 < low < high < {sfreq / 2:g} Hz (half the sampling rate)",
            todo="choose lower edges, or leave out what the recording cannot hold",
        )
    if len(edges) == 2:
        kind = "bandstop" if stop else "bandpass"
    else:
        kind = "highpass" if high is None else "lowpass"
    sos = butter(order, edges if len(edges) == 2 else edges[0], kind, fs=sfreq, output="sos")
    if not np.isfinite(sos).all() or _largest_pole(sos) >= 1 or not _has_steady_state(sos):
        words = " and ".join(f"{edge:g}" for edge in edges)
        raise BidsmillError(
            "The filter is not stable in double precision",
            found=f"order {order}, {words} Hz at {sfreq:g} Hz",
            todo="choose a lower order or a wider band, or resample first",
        )
    return Butterworth.of(sos)


def _largest_pole(sos: np.ndarray) -> float:
    return float(max(np.abs(np.roots(section[3:])).max(initial=0.0) for section in sos))


def _has_steady_state(sos: np.ndarray) -> bool:
    """Return whether the state for a constant signal can be computed (see `Butterworth._pass`)."""
    from scipy.signal import sosfilt_zi

    try:
        return bool(np.isfinite(sosfilt_zi(sos)).all())
    except np.linalg.LinAlgError:
        return False


def _reach(sos: np.ndarray) -> int:
    """Return ``ln(rest) / ln(|largest pole|)``, the time in which it decays to the rest."""
    largest = _largest_pole(sos)
    if largest <= 0:
        return 2 * len(sos)
    return math.ceil(math.log(REST) / math.log(largest)) + 2 * len(sos)


def _odd_extension(values: np.ndarray, before: int, after: int) -> np.ndarray:
    """Continue rows beyond the ends, turned by 180 degrees around the last sample."""
    if not (before or after):
        return values
    parts = [values]
    if before:
        parts.insert(0, 2 * values[:, :1] - values[:, before:0:-1])
    if after:
        parts.append(2 * values[:, -1:] - values[:, -2 : -2 - after : -1])
    return np.concatenate(parts, axis=1)
