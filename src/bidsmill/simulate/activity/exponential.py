"""An exponential function whose bits are the same wherever it is computed.

The mathematical libraries of systems and compilers round the last bit differently, and a network
of neural masses passes such differences on. Here only additions, multiplications and shifts are
used, in one order: NumPy and compiled code give equal results.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial, log
from typing import Any

import numpy as np

# ln 2 in two parts: the first 12 bits, and the rest.
LN2_HIGH, LN2_LOW = 2839 / 4096, 3.19461849453094172321e-05


@dataclass(frozen=True)
class Constants:
    """Numbers for one precision.

    exp(x) = 2^n exp(r) with n = x / ln 2 rounded and abs(r) <= ln(2) / 2; exp(r) is the Taylor
    series, long enough for an error below half a unit in the last place.

    Attributes
    ----------
    lowest, highest : float
        Arguments are kept within these.
    per_ln2 : float
        1 / ln 2.
    ln2_high, ln2_low : float
        Their sum is ln 2; the product of the first with a whole number is exact.
    rounding : float
        Adding and taking away this number rounds to a whole one.
    coefficients : numpy.ndarray
        Of the Taylor series, highest power first.
    shift, bias : int
        Bits of the fraction of a number, and the exponent of 1.
    """

    lowest: Any
    highest: Any
    per_ln2: Any
    ln2_high: Any
    ln2_low: Any
    rounding: Any
    coefficients: np.ndarray
    shift: Any
    bias: Any


def _constants(dtype: Any, whole: Any, shift: int, degree: int, limit: float) -> Constants:
    return Constants(
        lowest=dtype(-limit),
        highest=dtype(limit),
        per_ln2=dtype(1 / log(2)),
        ln2_high=dtype(LN2_HIGH),
        ln2_low=dtype(LN2_LOW),
        rounding=dtype(1.5 * 2**shift),
        coefficients=np.array([1 / factorial(k) for k in range(degree, -1, -1)], dtype=dtype),
        shift=whole(shift),
        bias=whole(np.finfo(dtype).maxexp - 1),
    )


SINGLE = _constants(np.float32, np.int32, 23, 7, 87.0)
DOUBLE = _constants(np.float64, np.int64, 52, 13, 700.0)


def constants(dtype: Any) -> Constants:
    """Return the numbers for ``float32`` or ``float64``."""
    return SINGLE if np.dtype(dtype) == np.float32 else DOUBLE


def exponential(x: np.ndarray) -> np.ndarray:
    """Return exp(x) of a contiguous float32 or float64 array; arguments are kept in range."""
    c = constants(x.dtype)
    x = np.minimum(np.maximum(x, c.lowest), c.highest)
    scaled = x * c.per_ln2
    scaled += c.rounding
    n = scaled - c.rounding
    x -= n * c.ln2_high
    x -= n * c.ln2_low
    result = np.full_like(x, c.coefficients[0])
    for coefficient in c.coefficients[1:]:
        result *= x
        result += coefficient
    # The last bits of `scaled` hold n; those of `rounding` above them are shifted out.
    power = scaled.view(c.shift.dtype)
    power += c.bias
    power <<= c.shift
    result *= scaled
    return result
