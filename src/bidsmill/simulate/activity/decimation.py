"""A lower rate for signals that arrive block by block, without aliases."""

from __future__ import annotations

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.signal.interpolation import PolyphaseKernel

PASS_BAND = 0.6
"""Edge of the pass band as a share of the new Nyquist frequency, where the stop band starts."""
ATTENUATION_DB = 80.0


class Decimator:
    """Low-pass and keep every n-th sample of a signal that comes in blocks.

    A symmetric Kaiser-windowed sinc, without a shift in time: output k stands at input
    ``half + k * factor``. The sums are done one by one in a stated order, so a channel's output
    does not depend on how many others there are, nor on the blocks.

    Parameters
    ----------
    factor : int
        Input rate over output rate.

    Attributes
    ----------
    half : int
        Inputs needed before and after each output.
    """

    def __init__(self, factor: int):
        self.factor = factor
        self.taps = np.ones(1)
        if factor > 1:
            self.taps = PolyphaseKernel(1, factor, PASS_BAND, ATTENUATION_DB).taps
        self.half = len(self.taps) // 2
        self._kept: np.ndarray | None = None

    def push(self, block: np.ndarray) -> np.ndarray:
        """Take the next inputs and return the outputs that they complete.

        Parameters
        ----------
        block : numpy.ndarray, shape (times, ...)

        Returns
        -------
        numpy.ndarray, shape (outputs, ...)
            In the precision of the input; perhaps no output.
        """
        kept = self._kept
        inputs = block if kept is None else np.concatenate([kept, block])
        n_outputs = max((len(inputs) - len(self.taps)) // self.factor + 1, 0)
        taps = self.taps.astype(inputs.dtype)
        span = (n_outputs - 1) * self.factor + 1

        def at(tap: int) -> np.ndarray:
            return inputs[tap : tap + span : self.factor]

        if not n_outputs:
            out = inputs[:0].copy()
        else:
            out = at(self.half) * taps[self.half]
            pair = np.empty_like(out)
            for tap in range(self.half):
                np.add(at(tap), at(len(taps) - 1 - tap), out=pair)
                pair *= taps[tap]
                out += pair
        self._kept = inputs[n_outputs * self.factor :].copy()
        return out

    def describe(self, sfreq: float) -> dict[str, object]:
        """Return the parameters for signals of `sfreq` Hz, ready for JSON."""
        nyquist = sfreq / self.factor / 2
        return {
            "kind": "decimate",
            "sfreq_in_hz": sfreq,
            "sfreq_out_hz": sfreq / self.factor,
            "window": "kaiser",
            "length": len(self.taps),
            "pass_band_hz": PASS_BAND * nyquist,
            "stop_band_hz": nyquist,
            "attenuation_db": ATTENUATION_DB,
        }


def whole_factor(sfreq_in: float, sfreq_out: float) -> int:
    """Return the whole number of inputs per output.

    Raises
    ------
    BidsmillError
        If it is not whole.
    """
    factor = round(sfreq_in / sfreq_out)
    if factor < 1 or abs(factor * sfreq_out - sfreq_in) > 1e-9 * sfreq_in:
        raise BidsmillError(
            "The rate of the clips must divide the rate of the simulation",
            found=f"{sfreq_out:g} Hz and {sfreq_in:g} Hz",
            expected="a whole number of steps per sample, as 500 Hz for steps of 0.5 ms",
        )
    return factor
