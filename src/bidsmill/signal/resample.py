"""Change the sampling rate of a signal, block by block."""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.signal.blocks import Blockwise, ExtendedReader, blank_unusable, mark_reach
from bidsmill.signal.interpolation import (
    ContinuousKernel,
    Kernel,
    PolyphaseKernel,
    kaiser_beta,
    multiply,
)
from bidsmill.signal.ratio import resampled_length, resampling_ratio
from bidsmill.signal.source import Signal, check_rate, check_span

# The pass band ends at this share of the lower Nyquist frequency, the stop band starts at it.
PASS_BAND = 0.9
# Of the stop band, in dB: what would alias is below 1/30,000, and so is the pass-band ripple.
ATTENUATION_DB = 90.0
# A block spans at least this many samples of the larger of its two sides.
BLOCK = 4096


class Resampled(Blockwise):
    """A signal at another sampling rate.

    Output sample ``k`` stands at ``k / sfreq`` seconds, the first at the first of the source, and
    there are ``ceil(n_times * sfreq / source.sfreq)``. Rates whose ratio has terms up to 1000 are
    resampled by a polyphase filter, all others by a windowed sinc of continuous phase; with equal
    rates the source is passed on. The low-pass has its stop band from the lower of the two
    Nyquist frequencies on, so nothing aliases by more than its attenuation.

    Beyond the edges of the recording its first and its last sample stand for ever
    (``padtype="edge"`` of ``scipy.signal.resample_poly``): an offset stays what it is, and
    nothing rings.

    An output sample is NaN exactly if one of the source samples under its kernel is NaN or
    infinite (beyond an edge: the edge sample); all others are as if those samples were zero,
    which they do not see.

    Parameters
    ----------
    source : Signal
        The signal to resample.
    sfreq : float
        The new rate in Hz.
    pass_band : float
        Edge of the pass band as a share of the lower Nyquist frequency, below 1.
    attenuation : float
        Attenuation of the stop band in dB, at least 50.

    Attributes
    ----------
    reach_seconds : float
        An output sample depends on nothing farther away in the recording.

    Raises
    ------
    BidsmillError
        If the rate, the pass band or the attenuation cannot be used.
    """

    def __init__(
        self,
        source: Signal,
        sfreq: float,
        *,
        pass_band: float = PASS_BAND,
        attenuation: float = ATTENUATION_DB,
    ):
        super().__init__()
        self.source = source
        self.sfreq = check_rate(sfreq)
        _check_low_pass(pass_band, attenuation)
        self.pass_band, self.attenuation = float(pass_band), float(attenuation)
        self.ratio = resampling_ratio(source.sfreq, self.sfreq)
        self.n_channels = source.n_channels
        self.n_times = resampled_length(source.n_times, source.sfreq, self.sfreq)
        self.reach_seconds = getattr(source, "reach_seconds", 0.0)
        self.kernel: Kernel | None = None
        if self.ratio == (1, 1):
            return
        if self.ratio is not None:
            self.kernel = PolyphaseKernel(*self.ratio, self.pass_band, self.attenuation)
        else:
            self.kernel = ContinuousKernel(
                source.sfreq, self.sfreq, self.pass_band, self.attenuation
            )
        self.reach_seconds += self.kernel.half_width / source.sfreq
        n_outputs = BLOCK * min(1.0, self.sfreq / source.sfreq)
        self.step = self.kernel.period
        self.block = max(int(n_outputs) // self.step, 1) * self.step
        overlap = self.kernel.width + 2 * int(np.ceil(source.sfreq / self.sfreq))
        self._reader = ExtendedReader(source, "edge", keep=overlap)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return resampled samples ``start`` to ``stop``; see :meth:`Blockwise.read`."""
        if self.kernel is None:
            check_span(start, stop, self.n_times)
            return self.source.read(start, stop)
        return super().read(start, stop)

    def describe(self) -> dict[str, Any]:
        """Return the parameters of this change of rate, ready for JSON."""
        common = {"kind": "resample", "sfreq_in_hz": self.source.sfreq, "sfreq_out_hz": self.sfreq}
        if self.kernel is None:
            return common | {"method": "none"}
        nyquist = min(self.source.sfreq, self.sfreq) / 2
        low_pass = {
            "window": "kaiser",
            "beta": kaiser_beta(self.attenuation),
            "pass_band_hz": self.pass_band * nyquist,
            "stop_band_hz": nyquist,
            "attenuation_db": self.attenuation,
            "half_width_seconds": self.kernel.half_width / self.source.sfreq,
            "pad": "edge",
        }
        if isinstance(self.kernel, PolyphaseKernel):
            up, down = self.kernel.up, self.kernel.down
            own = {"method": "polyphase", "up": up, "down": down, "length": len(self.kernel.taps)}
        else:
            own = {"method": "continuous-phase sinc", "length": self.kernel.width}
        return common | own | low_pass

    def _compute(self, start: int, stop: int) -> np.ndarray:
        assert self.kernel is not None
        batches = list(self.kernel.frames(start, stop))
        first = min(frames.first for frames in batches)
        window = self._reader.read(first, max(frames.last for frames in batches))
        unusable = blank_unusable(window)
        out = np.empty((self.n_channels, stop - start))
        for frames in batches:
            multiply(window[:, frames.first - first :], frames, out[:, frames.start - start :])
        if unusable is not None:
            begins, ends = self.kernel.support(np.arange(start, stop))
            mark_reach(out, unusable, begins - first, ends - first)
        return out


def _check_low_pass(pass_band: float, attenuation: float) -> None:
    if not (0 < pass_band < 1 and 50 <= attenuation <= 200):
        raise BidsmillError(
            "The low-pass of the resampler cannot be designed",
            found=f"pass band {pass_band}, attenuation {attenuation} dB",
            expected="a pass band between 0 and 1, an attenuation of 50 to 200 dB",
        )
