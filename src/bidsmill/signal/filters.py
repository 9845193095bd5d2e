"""Zero-phase FIR filters, equal to MNE-Python's at the edges of a recording too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.signal.blocks import Blockwise, ExtendedReader, blank_unusable, mark_reach
from bidsmill.signal.design import FilterDesign, design_band, design_notch
from bidsmill.signal.source import Signal

# A transform of four filter lengths spends a quarter of its work on the overlap; where many
# channels would make the window larger than this many bytes, two lengths have to do.
WINDOW_BYTES = 64 * 2**20
SMALLEST_TRANSFORM = 8192
# Rows per transform: their spectra stay in the processor's cache and bound the memory.
ROWS = 8


class Convolved(Blockwise):
    """A signal convolved with a symmetric kernel, without delay.

    By overlap-save on a fixed grid: every block is one transform per channel. Beyond the edges of
    the recording stands MNE-Python's ``reflect_limited``: the signal turned by 180 degrees around
    its edge sample, for ``min(length, n_times) - 1`` samples, then zeros. A recording shorter
    than the filter is thus treated as MNE-Python does (which warns that distortion is likely);
    ``shorter_than_filter`` in :meth:`describe` says so.

    An output sample is NaN exactly if a sample of the source within half the length of the kernel
    is NaN or infinite (the edge sample included, where its reflection is used); all others are as
    if those samples were zero, which they do not see.

    Parameters
    ----------
    source : Signal
        The signal to filter.
    design : FilterDesign
        Kernel of odd length and its parameters.

    Notes
    -----
    Rounding errors are about 1e-16 of the largest magnitude within a transform.
    """

    def __init__(self, source: Signal, design: FilterDesign):
        from scipy.fft import next_fast_len, rfft

        super().__init__()
        self.source = source
        self.sfreq, self.n_channels, self.n_times = source.sfreq, source.n_channels, source.n_times
        self.design = design
        length = len(design.kernel)
        self.half = length // 2
        self.reach_seconds = self.half / self.sfreq + getattr(source, "reach_seconds", 0.0)
        fits = 4 * length * self.n_channels * 8 <= WINDOW_BYTES
        wanted = max((4 if fits else 2) * length, SMALLEST_TRANSFORM)
        wanted = min(wanted, max(self.n_times, 1) + length - 1)
        self.n_fft = next_fast_len(wanted, real=True)
        self.block = self.n_fft - length + 1
        # With the kernel's centre at 0 its spectrum is real: half the work of a product.
        centred = np.zeros(self.n_fft)
        centred[: self.half + 1] = design.kernel[self.half :]
        centred[self.n_fft - self.half :] = design.kernel[: self.half]
        self._gain = rfft(centred).real
        self._reader = ExtendedReader(
            source, "reflect_limited", keep=length - 1, limit=min(length, self.n_times) - 1
        )

    def describe(self) -> dict[str, Any]:
        """Return the parameters of this filter, ready for JSON."""
        return self.design.parameters | {
            "pad": "reflect_limited",
            "shorter_than_filter": self.n_times < len(self.design.kernel),
        }

    def _compute(self, start: int, stop: int) -> np.ndarray:
        from scipy.fft import irfft, rfft

        window = self._reader.read(start - self.half, stop + self.half)
        unusable = blank_unusable(window)
        out = np.empty((self.n_channels, stop - start))
        for row in range(0, self.n_channels, ROWS):
            spectrum = rfft(window[row : row + ROWS], self.n_fft)
            spectrum *= self._gain
            filtered = irfft(spectrum, self.n_fft, overwrite_x=True)
            out[row : row + ROWS] = filtered[:, self.half : self.half + stop - start]
        if unusable is not None:
            first = np.arange(stop - start)
            mark_reach(out, unusable, first, first + 2 * self.half)
        return out


class Filtered:
    """A signal after a notch and a band filter, as ``mne.filter`` makes them by default.

    The notch comes first, then the band filter; each sees the edges of the recording as
    :class:`Convolved` states. The whole output equals ``filter_data(notch_filter(x, sfreq,
    notch), sfreq, low, high)`` of ``mne.filter`` up to rounding.

    Parameters
    ----------
    source : Signal
        The signal to filter.
    low, high : float, optional
        Edges of the pass band in Hz.
    notch : float or sequence of float, optional
        Frequencies to remove in Hz. Harmonics are not implied: name them.
    low_transition, high_transition : float, optional
        Widths of the transition bands in Hz; see :func:`bidsmill.signal.design.design_band`.
    notch_widths : float or sequence of float, optional
        Widths of the stop bands in Hz; see :func:`bidsmill.signal.design.design_notch`.

    Attributes
    ----------
    reach_seconds : float
        An output sample depends on nothing farther away in the recording.

    Raises
    ------
    BidsmillError
        If nothing is asked for, or the frequencies do not fit the sampling rate.
    """

    def __init__(
        self,
        source: Signal,
        low: float | None = None,
        high: float | None = None,
        notch: float | Sequence[float] | None = None,
        *,
        low_transition: float | None = None,
        high_transition: float | None = None,
        notch_widths: float | Sequence[float] | None = None,
    ):
        self.source = source
        self._steps: list[Convolved] = []
        last: Signal = source
        if notch is not None and np.size(notch) > 0:
            design = design_notch(source.sfreq, notch, widths=notch_widths)
            last = self._add(last, design)
        if low is not None or high is not None:
            design = design_band(
                source.sfreq,
                low,
                high,
                low_transition=low_transition,
                high_transition=high_transition,
            )
            last = self._add(last, design)
        if not self._steps:
            raise BidsmillError(
                "The filter does nothing", expected="at least one of low, high and notch, in Hz"
            )
        self.sfreq, self.n_channels, self.n_times = source.sfreq, source.n_channels, source.n_times
        self.reach_seconds = self._steps[-1].reach_seconds

    def _add(self, source: Signal, design: FilterDesign) -> Convolved:
        self._steps.append(Convolved(source, design))
        return self._steps[-1]

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return filtered samples ``start`` to ``stop``; see :meth:`Convolved.read`."""
        return self._steps[-1].read(start, stop)

    def describe(self) -> dict[str, Any]:
        """Return the parameters of every step, in the order of application, ready for JSON."""
        return {"kind": "filter", "steps": [step.describe() for step in self._steps]}
