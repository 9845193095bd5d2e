"""An FIR Hilbert transformer: the quarter-turn of the phase, sample by sample."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from bidsmill.errors import BidsmillError

# Stop-band attenuation of the Kaiser window in dB. The gain within the band then differs from 1
# by at most 3e-4: the step of a Hilbert transformer at 0 Hz, from -j to j, is twice the step of a
# low-pass, whose ripple would be 10 ** (-80 / 20).
ATTENUATION = 80.0


@lru_cache(maxsize=16)
def hilbert_kernel(sfreq: float, low: float) -> np.ndarray:
    """Return the impulse response of a Hilbert transformer.

    The ideal response ``2 / (pi * n)`` for odd ``n`` and 0 for even ``n``, times a Kaiser window
    (Oppenheim and Schafer 2010, "Discrete-time signal processing", 3rd ed., section 12.4; length
    and shape of the window by Kaiser's formulas, ibid. section 7.5.3). Odd length and odd
    symmetry: the phase is exactly a quarter-turn at every frequency. The gain is 1 within 3e-4
    from ``low`` to ``sfreq / 2 - low`` Hz and falls to 0 at 0 Hz and at half the sampling rate.

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz.
    low : float
        Lower end of the band in Hz; the length is about ``2.5 * sfreq / low``.

    Returns
    -------
    numpy.ndarray, shape (2 * half + 1,), float64

    Raises
    ------
    BidsmillError
        Unless ``0 < low < sfreq / 4``.
    """
    from scipy.signal.windows import kaiser

    if not 0 < low < sfreq / 4:
        raise BidsmillError(
            "The band of the Hilbert transformer is empty",
            found=f"low {low:g} Hz at {sfreq:g} Hz",
            expected=f"0 < low < {sfreq / 4:g} Hz: the band goes from low to half the sampling "
            "rate minus low",
        )
    # The response turns from -j to j between -low and low.
    transition = 2 * math.pi * 2 * low / sfreq
    half = math.ceil((ATTENUATION - 7.95) / (2.285 * transition) / 2)
    places = np.arange(-half, half + 1)
    odd = places % 2 != 0
    kernel = np.zeros(2 * half + 1)
    kernel[odd] = 2 / (math.pi * places[odd])
    return kernel * kaiser(2 * half + 1, 0.1102 * (ATTENUATION - 8.7))
