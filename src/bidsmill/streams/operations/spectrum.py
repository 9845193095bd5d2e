"""Power over frequency in windows: spectrogram, median and mean frequency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.streams.operation import Operation, Span, parameter, register
from bidsmill.streams.operations.outputs import in_unit, per_window, square_unit
from bidsmill.streams.operations.sliding import Frames

if TYPE_CHECKING:
    from bidsmill.formats.stream_core import StreamCore

# Samples of windows that are transformed at once: with their spectra about 30 MB.
AT_ONCE = 2**20


@dataclass(frozen=True)
class Windowed(Operation):
    """Power spectra of windows, which the operations of this module share.

    One window is ``scipy.signal.periodogram`` with a Hann window, its mean removed, as a
    one-sided density: unit squared per Hz, as ``scipy.signal.spectrogram`` gives by default with
    that window. Only whole windows count; a window that holds a sample that is NaN or infinite
    gives NaN.

    Parameters
    ----------
    window : float
        Length of a window in s; the resolution is its inverse.
    step : float, optional
        Seconds from one window to the next; by default half a window.
    low, high : float, optional
        Frequencies in Hz to keep, both included; by default all above 0 Hz.
    """

    window: float = parameter(1.0, unit="s", above=0)
    step: float | None = parameter(None, unit="s", above=0)
    low: float | None = parameter(None, unit="Hz", at_least=0)
    high: float | None = parameter(None, unit="Hz", above=0)

    def needs(self, start: int, stop: int, core: StreamCore) -> tuple[int, int]:
        """Return the samples of the windows."""
        return self._frames(core).needs(start, stop)

    def _frames(self, core: StreamCore) -> Frames:
        step = self.window / 2 if self.step is None else self.step
        frames = Frames.of_seconds(self.window, step, core.sfreq)
        if not self._band(core, frames.width)[1].any():
            raise BidsmillError(
                f"No frequency is left for {self.name}",
                found=f"low {self.low}, high {self.high} Hz at a resolution of "
                f"{core.sfreq / frames.width:g} Hz and a rate of {core.sfreq:g} Hz",
                expected="a band that holds a multiple of the resolution, or a longer window",
            )
        return frames

    def _band(self, core: StreamCore, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Return all frequencies of a window in Hz, and which of them are kept."""
        frequencies = np.fft.rfftfreq(width, 1 / core.sfreq)
        low = np.nextafter(0, 1) if self.low is None else self.low
        high = core.sfreq / 2 if self.high is None else self.high
        # A bound written in decimals is to hold a frequency that differs by rounding.
        slack = 1e-9 * core.sfreq
        return frequencies, (frequencies >= low - slack * (self.low is not None)) & (
            frequencies <= high + slack
        )

    def _powers(self, row: np.ndarray, span: Span, core: StreamCore) -> np.ndarray:
        """Return the densities of one row, shape (windows, kept frequencies), float64."""
        from scipy.signal import periodogram

        frames = self._frames(core)
        _, kept = self._band(core, frames.width)
        out = np.empty((span.stop - span.start, int(kept.sum())))
        if not len(out):
            return out
        row = np.where(np.isfinite(row), row.astype(np.float64), np.nan)
        row = row[span.start * frames.step - span.first :]
        windows = np.lib.stride_tricks.sliding_window_view(row, frames.width)[:: frames.step]
        at_once = max(AT_ONCE // frames.width, 1)
        for start in range(0, len(out), at_once):
            stop = min(start + at_once, len(out))
            out[start:stop] = periodogram(
                windows[start:stop], core.sfreq, "hann", detrend="constant", scaling="density"
            )[1][:, kept]
        return out


@register
@dataclass(frozen=True)
class Spectrogram(Windowed):
    """The power of every channel over time and frequency, as a stream of lower rate.

    Every channel becomes as many as there are frequencies: ``FCR 10Hz`` is the density of ``FCR``
    at 10 Hz. One sample per window, in its middle. Parameters and gaps as in :class:`Windowed`.
    """

    name: ClassVar[str] = "spectrogram"

    def core(self, parent: StreamCore) -> StreamCore:
        """Return the metadata at the rate of the windows, one channel per frequency."""
        frames = self._frames(parent)
        frequencies, kept = self._band(parent, frames.width)
        channels = tuple(
            in_unit(channel, square_unit(channel.unit, "/Hz"), f"{channel.name} {hertz:.12g}Hz")
            for channel in parent.channels
            for hertz in frequencies[kept]
        )
        return per_window(parent, frames, channels)

    def compute(self, block: np.ndarray, span: Span, core: StreamCore, fitted: Any) -> np.ndarray:
        """Return the densities: for each channel all frequencies."""
        rows = [self._powers(row, span, core).T for row in block]
        return np.concatenate(rows).astype(np.float32)


class OneFrequency(Windowed):
    """One frequency per window: what the two operations below share."""

    def core(self, parent: StreamCore) -> StreamCore:
        """Return the metadata at the rate of the windows, in Hz."""
        channels = tuple(in_unit(channel, "Hz") for channel in parent.channels)
        return per_window(parent, self._frames(parent), channels)

    def compute(self, block: np.ndarray, span: Span, core: StreamCore, fitted: Any) -> np.ndarray:
        """Return one frequency per window."""
        frequencies, kept = self._band(core, self._frames(core).width)
        out = np.empty((len(block), span.stop - span.start), dtype=np.float32)
        for channel, row in enumerate(block):
            out[channel] = self._of(self._powers(row, span, core), frequencies[kept])
        return out

    def _of(self, powers: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        raise NotImplementedError


@register
@dataclass(frozen=True)
class MedianFrequency(OneFrequency):
    """The frequency in Hz that divides the power of each channel into equal halves, in windows.

    The power of a line of the spectrum is taken as spread evenly over the resolution around it,
    so that the median moves steadily and not from line to line. De Luca (1997), "The use of
    surface electromyography in biomechanics", Journal of Applied Biomechanics 13, 135-163;
    Phinyomark et al. (2012), "The usefulness of mean and median frequencies in electromyography
    analysis", in "Computational intelligence in electromyography analysis", 195-220. It falls as
    a muscle tires. Windows without power give NaN. Parameters and gaps as in :class:`Windowed`.
    """

    name: ClassVar[str] = "median_frequency"

    def _of(self, powers: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        return median_frequency(powers, frequencies)


@register
@dataclass(frozen=True)
class MeanFrequency(OneFrequency):
    """The mean frequency ``sum(f * P) / sum(P)`` of each channel in windows, in Hz.

    Source, parameters and gaps as in :class:`MedianFrequency`.
    """

    name: ClassVar[str] = "mean_frequency"

    def _of(self, powers: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
        return mean_frequency(powers, frequencies)


def mean_frequency(powers: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Return ``sum(f * P) / sum(P)`` of each row of powers, shape (windows, frequencies)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (powers * frequencies).sum(axis=1) / powers.sum(axis=1)


def median_frequency(powers: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Return the frequency with half of the power below it, for each row of powers.

    Parameters
    ----------
    powers : numpy.ndarray, shape (windows, n)
    frequencies : numpy.ndarray, shape (n,)
        Evenly spaced, in Hz.
    """
    if not powers.size:
        return np.full(len(powers), np.nan)
    if len(frequencies) == 1:
        return np.where(powers[:, 0] > 0, frequencies[0], np.nan)
    upto = np.cumsum(powers, axis=1)
    half = upto[:, -1:] / 2
    place = np.minimum((upto < half).sum(axis=1), len(frequencies) - 1)
    rows = np.arange(len(powers))
    own = powers[rows, place]
    with np.errstate(invalid="ignore", divide="ignore"):
        # The power below the line, then the part of the line that is missing to the half.
        share = (half[:, 0] - (upto[rows, place] - own)) / own
    return frequencies[place] + (share - 0.5) * (frequencies[1] - frequencies[0])
