"""How strong a signal is: envelopes, and the energy operator of Teager and Kaiser."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bidsmill.signal.design import design_band
from bidsmill.streams.operation import Operation, Span, parameter, register
from bidsmill.streams.operations.convolution import convolved
from bidsmill.streams.operations.hilbert import hilbert_kernel
from bidsmill.streams.operations.outputs import in_unit, square_unit
from bidsmill.streams.operations.sliding import samples_of, window_sums

if TYPE_CHECKING:
    from bidsmill.formats.stream_core import StreamCore


@register
@dataclass(frozen=True)
class Envelope(Operation):
    """The envelope of each channel, by one of four methods.

    ``lowpass``
        The rectified signal ``|x|`` after the zero-phase FIR low-pass of ``bidsmill.signal``
        ("linear envelope": Winter 2009, "Biomechanics and motor control of human movement", 4th
        ed., section 10.3). It can fall a little below zero beside a steep flank.
    ``rms``
        ``sqrt(mean(x**2))`` over the window centred on the sample (De Luca 1997, "The use of
        surface electromyography in biomechanics", Journal of Applied Biomechanics 13, 135-163),
        of an odd number of samples; at the edges of the recording over the samples that exist.
    ``hilbert``
        ``sqrt(x**2 + h**2)``, the magnitude of the analytic signal, with ``h`` from an FIR
        Hilbert transformer (:func:`bidsmill.streams.operations.hilbert.hilbert_kernel`). For
        signals between ``low`` and ``sfreq / 2 - low`` it equals ``|scipy.signal.hilbert(x)|``
        within 1e-3 of the amplitude; that one needs the whole signal at once.
    ``tkeo``
        The low-pass of ``|psi|``, psi as in :class:`Tkeo` (Li, Zhou and Aruin 2007,
        "Teager-Kaiser energy operation of surface EMG improves muscle activity onset detection",
        Annals of Biomedical Engineering 35, 1532-1538). Its unit is the square of the signal's.

    A sample that is NaN or infinite makes exactly those outputs NaN that its method would need
    it for: half a filter, half a window, one sample more for ``tkeo``.

    Parameters
    ----------
    method : {"lowpass", "rms", "hilbert", "tkeo"}
    cutoff : float
        Edge of the pass band of the low-pass in Hz (``lowpass``, ``tkeo``).
    window : float
        Length of the window in s (``rms``).
    low : float
        Lower end of the band of the Hilbert transformer in Hz (``hilbert``).
    """

    name: ClassVar[str] = "envelope"
    method: Literal["lowpass", "rms", "hilbert", "tkeo"] = "lowpass"
    cutoff: float = parameter(10.0, unit="Hz", above=0)
    window: float = parameter(0.1, unit="s", above=0)
    low: float = parameter(20.0, unit="Hz", above=0)

    def core(self, parent: StreamCore) -> StreamCore:
        """Return the metadata of the parent; the filters are designed, so that errors come now."""
        self._half(parent.sfreq)
        if self.method != "tkeo":
            return parent
        channels = tuple(in_unit(c, square_unit(c.unit)) for c in parent.channels)
        return dataclasses.replace(parent, channels=channels)

    def needs(self, start: int, stop: int, core: StreamCore) -> tuple[int, int]:
        """Return the span with the reach of the method on either side."""
        reach = self._half(core.sfreq) + (self.method == "tkeo")
        return start - reach, stop + reach

    def compute(self, block: np.ndarray, span: Span, core: StreamCore, fitted: Any) -> np.ndarray:
        """Return the envelope, channel by channel in float64."""
        make = getattr(self, f"_{self.method}")
        out = np.empty((len(block), span.stop - span.start), dtype=np.float32)
        for channel, row in enumerate(block):
            out[channel] = make(row.astype(np.float64), span, core.sfreq)
        return out

    def _half(self, sfreq: float) -> int:
        if self.method == "rms":
            return samples_of("window", self.window, sfreq) // 2
        if self.method == "hilbert":
            return len(hilbert_kernel(sfreq, self.low)) // 2
        return len(lowpass_kernel(sfreq, self.cutoff)) // 2

    def _lowpass(self, row: np.ndarray, span: Span, sfreq: float) -> np.ndarray:
        return self._smoothed(np.abs(row), span.first, span, sfreq)

    def _smoothed(self, row: np.ndarray, first: int, span: Span, sfreq: float) -> np.ndarray:
        kernel = lowpass_kernel(sfreq, self.cutoff)
        return convolved(row, kernel, first, span.start, span.stop, span.total)

    def _tkeo(self, row: np.ndarray, span: Span, sfreq: float) -> np.ndarray:
        half = self._half(sfreq)
        low, high = max(span.start - half, 0), min(span.stop + half, span.total)
        energy = teager_kaiser(row, Span(low, high, span.first, span.total))
        return self._smoothed(np.abs(energy), low, span, sfreq)

    def _hilbert(self, row: np.ndarray, span: Span, sfreq: float) -> np.ndarray:
        kernel = hilbert_kernel(sfreq, self.low)
        turned = convolved(row, kernel, span.first, span.start, span.stop, span.total)
        own = row[span.start - span.first : span.stop - span.first]
        # hypot makes infinity of infinity and NaN.
        return np.hypot(np.where(np.isfinite(own), own, np.nan), turned)

    def _rms(self, row: np.ndarray, span: Span, sfreq: float) -> np.ndarray:
        # A window reaches over the whole recording at most.
        half = min(self._half(sfreq), span.total)
        squares = np.zeros(span.stop - span.start + 2 * half)
        low, high = max(span.start - half, 0), min(span.stop + half, span.total)
        place = low - (span.start - half)
        row = np.where(np.isfinite(row), row, np.nan)[low - span.first : high - span.first]
        np.square(row, out=squares[place : place + high - low])
        samples = np.arange(span.start, span.stop)
        count = np.minimum(samples + half + 1, span.total) - np.maximum(samples - half, 0)
        return np.sqrt(window_sums(squares, 2 * half + 1, span.start - half) / count)


@register
@dataclass(frozen=True)
class Tkeo(Operation):
    """The energy operator of Teager and Kaiser, ``psi[n] = x[n]**2 - x[n-1] * x[n+1]``.

    Kaiser (1990), "On a simple algorithm to calculate the 'energy' of a signal", ICASSP 1990,
    381-384. The length stays: beyond the edges of the recording its edge samples are repeated. A
    sample that is NaN or infinite makes itself and both neighbours NaN. The unit is the square of
    the signal's.
    """

    name: ClassVar[str] = "tkeo"

    def core(self, parent: StreamCore) -> StreamCore:
        """Return the metadata of the parent, in squared units."""
        channels = tuple(in_unit(c, square_unit(c.unit)) for c in parent.channels)
        return dataclasses.replace(parent, channels=channels)

    def needs(self, start: int, stop: int, core: StreamCore) -> tuple[int, int]:
        """Return the span with one sample on either side."""
        return start - 1, stop + 1

    def compute(self, block: np.ndarray, span: Span, core: StreamCore, fitted: Any) -> np.ndarray:
        """Return the energy, computed in float64."""
        rows = [teager_kaiser(row.astype(np.float64), span) for row in block]
        return np.array(rows, dtype=np.float32).reshape(len(block), span.stop - span.start)


def teager_kaiser(row: np.ndarray, span: Span) -> np.ndarray:
    """Return ``x[n]**2 - x[n-1] * x[n+1]`` for one row in float64; see :class:`Tkeo`."""
    low, high = max(span.start - 1, 0), min(span.stop + 1, span.total)
    own = row[low - span.first : high - span.first]
    wide = np.pad(own, (low - span.start + 1, span.stop + 1 - high), mode="edge")
    wide[~np.isfinite(wide)] = np.nan
    return wide[1:-1] ** 2 - wide[:-2] * wide[2:]


@lru_cache(maxsize=16)
def lowpass_kernel(sfreq: float, cutoff: float) -> np.ndarray:
    """Return the kernel of the zero-phase low-pass of ``bidsmill.signal``."""
    return design_band(sfreq, high=cutoff).kernel
