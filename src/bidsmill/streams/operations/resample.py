"""A change of the sampling rate."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.signal.ratio import resampled_length
from bidsmill.signal.resample import PASS_BAND
from bidsmill.streams.operation import Operation, Span, parameter, register
from bidsmill.streams.operations.bands import narrowed
from bidsmill.streams.operations.block_signal import BlockSignal

if TYPE_CHECKING:
    from bidsmill.formats.stream_core import StreamCore
    from bidsmill.signal.interpolation import Kernel

# Channels that are resampled together.
ROWS = 8
# A rate is raised by this factor at most (as by the windows of `convert`): one sample in ten
# seconds becomes 100 Hz. A header that states less is damaged.
MOST_UPSAMPLING = 1000
# And lowered by this one: the kernel grows with it.
MOST_DOWNSAMPLING = 1e6


@register
@dataclass(frozen=True)
class Resample(Operation):
    """Another sampling rate, with the anti-aliasing filter of :mod:`bidsmill.signal.resample`.

    Parameters
    ----------
    sfreq : float
        The new rate in Hz.
    """

    name: ClassVar[str] = "resample"
    sfreq: float = parameter(unit="Hz", above=0)

    def core(self, parent: StreamCore) -> StreamCore:
        """Return the metadata with the new rate and length."""
        if self.sfreq > MOST_UPSAMPLING * parent.sfreq:
            raise BidsmillError(
                "The sampling rate is too low to be resampled to the wanted one",
                found=f"{parent.sfreq:g} Hz",
                expected=f"at least {self.sfreq / MOST_UPSAMPLING:g} Hz",
            )
        if self.sfreq * MOST_DOWNSAMPLING < parent.sfreq:
            raise BidsmillError(
                "The wanted sampling rate is too low",
                found=f"{self.sfreq:g} Hz of {parent.sfreq:g} Hz",
                expected=f"at least {parent.sfreq / MOST_DOWNSAMPLING:g} Hz",
            )
        n_samples = resampled_length(parent.n_samples, parent.sfreq, self.sfreq)
        lower = self.sfreq < parent.sfreq
        made = dataclasses.replace(parent, sfreq=self.sfreq, n_samples=n_samples)
        return narrowed(made, None, PASS_BAND * self.sfreq / 2) if lower else made

    def needs(self, start: int, stop: int, core: StreamCore) -> tuple[int, int]:
        """Return what stands under the kernels of the outputs, in whole frames."""
        kernel = _kernel(core.sfreq, self.sfreq)
        if kernel is None:
            return start, stop
        low, high = start // kernel.period, -(-stop // kernel.period)
        ratio = core.sfreq / self.sfreq
        margin = kernel.half_width + 2
        return (
            math.floor(low * kernel.period * ratio - margin),
            math.ceil(high * kernel.period * ratio + margin),
        )

    def compute(self, block: np.ndarray, span: Span, core: Any, fitted: Any) -> np.ndarray:
        """Return the samples at the new rate."""
        from bidsmill.signal.resample import Resampled

        out = np.empty((len(block), span.stop - span.start), dtype=np.float32)
        for row in range(0, len(block), ROWS):
            part = BlockSignal(block[row : row + ROWS], span.first, span.total, core.sfreq)
            resampled = Resampled(part, self.sfreq)
            if resampled.kernel is None:
                return block
            out[row : row + ROWS] = resampled.read_once(span.start, span.stop)
        return out


@lru_cache(maxsize=16)
def _kernel(sfreq_in: float, sfreq_out: float) -> Kernel | None:
    from bidsmill.signal.resample import Resampled

    return Resampled(BlockSignal(np.empty((1, 1)), 0, 1, sfreq_in), sfreq_out).kernel
