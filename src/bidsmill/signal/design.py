"""Design of zero-phase FIR filters, by the rules that MNE-Python uses by default.

A filter is a signed sum of windowed-sinc low-passes (one for each transition band) and, if it
passes the Nyquist frequency, a unit impulse. Rules and constants: MNE-Python's documentation,
"Background information on filtering" and "Filter defaults"; Widmann, Schröger and Maess (2015),
"Digital filter design for electrophysiological data - a practical approach", Journal of
Neuroscience Methods 250, 34-46.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.signal.source import check_rate

# Taps of a Hamming-windowed sinc = 3.3 * sfreq / transition band (Widmann et al. 2015, table 2).
HAMMING_LENGTH = 3.3
# Pass-band ripple and stop-band attenuation of that window (ibid.).
HAMMING_RIPPLE, HAMMING_ATTENUATION_DB = 0.0194, 53.0
# MNE-Python: transition band = a quarter of the cut-off, at least 2 Hz, within the spectrum.
TRANSITION_SHARE, TRANSITION_MINIMUM = 0.25, 2.0
# MNE-Python's notch_filter: the stop band is 1/200 of the notch, its two transitions 1 Hz together.
NOTCH_WIDTH_SHARE, NOTCH_TRANSITION = 1 / 200.0, 1.0
# A kernel of more taps takes gigabytes to design: its edge was meant in another unit.
MOST_TAPS = 2**24


@dataclass(frozen=True)
class FilterDesign:
    """A zero-phase FIR filter.

    Attributes
    ----------
    kernel : numpy.ndarray, shape (length,), float64
        The impulse response: symmetric, of odd length.
    parameters : dict
        Everything that determines it, ready for JSON.
    """

    kernel: np.ndarray
    parameters: dict[str, Any]


def design_band(
    sfreq: float,
    low: float | None = None,
    high: float | None = None,
    *,
    low_transition: float | None = None,
    high_transition: float | None = None,
) -> FilterDesign:
    """Design a high-pass, low-pass or band-pass filter.

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz.
    low, high : float, optional
        Edges of the pass band in Hz; at least one. The -6 dB cut-offs lie half a transition band
        outside it.
    low_transition, high_transition : float, optional
        Widths of the transition bands in Hz; by default
        ``min(max(0.25 * low, 2), low)`` and ``min(max(0.25 * high, 2), sfreq / 2 - high)``.

    Returns
    -------
    FilterDesign
        The kernel equals ``mne.filter.create_filter(None, sfreq, low, high)``.

    Raises
    ------
    BidsmillError
        If the edges are absent, not in order, or outside the spectrum, or the filter would be
        longer than `MOST_TAPS`.
    """
    sfreq = check_rate(sfreq)
    nyquist = sfreq / 2.0
    _check_edges(low, high, nyquist)
    slopes = []
    if high is not None:
        width = min(max(TRANSITION_SHARE * high, TRANSITION_MINIMUM), nyquist - high)
        width = width if high_transition is None else float(high_transition)
        _check_transition(width, high + width <= nyquist, f"above {high} Hz")
        slopes.append((float(high), high + width, width, 1))
    if low is not None:
        width = min(max(TRANSITION_SHARE * low, TRANSITION_MINIMUM), low)
        width = width if low_transition is None else float(low_transition)
        _check_transition(width, low - width >= 0, f"below {low} Hz")
        slopes.append((low - width, float(low), width, -1))
    kernel = _kernel(sfreq, slopes, passes_nyquist=high is None)
    kind = "band-pass" if len(slopes) == 2 else "low-pass" if low is None else "high-pass"
    parameters = {
        "kind": kind,
        "low_hz": None if low is None else float(low),
        "high_hz": None if high is None else float(high),
        "low_transition_hz": None if low is None else slopes[-1][2],
        "high_transition_hz": None if high is None else slopes[0][2],
        "low_cutoff_hz": None if low is None else low - slopes[-1][2] / 2,
        "high_cutoff_hz": None if high is None else high + slopes[0][2] / 2,
    }
    return FilterDesign(kernel, parameters | _common_parameters(sfreq, kernel))


def design_notch(
    sfreq: float,
    frequencies: float | Sequence[float],
    *,
    widths: float | Sequence[float] | None = None,
    transition: float = NOTCH_TRANSITION,
) -> FilterDesign:
    """Design a band-stop filter around one or more frequencies.

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz.
    frequencies : float or sequence of float
        Centres of the stop bands in Hz. Harmonics are not implied: name them.
    widths : float or sequence of float, optional
        Widths of the stop bands in Hz; by default 1/200 of each frequency.
    transition : float
        Width in Hz of the two transition bands of a stop band together.

    Returns
    -------
    FilterDesign
        The filter of ``mne.filter.notch_filter(x, sfreq, frequencies)``.

    Raises
    ------
    BidsmillError
        If a stop band leaves the spectrum, or two of them meet.
    """
    sfreq = check_rate(sfreq)
    centres = np.sort(np.atleast_1d(np.asarray(frequencies, dtype=float)))
    half = transition / 2.0
    _check_transition(half, True, "of the notch")
    stop_widths = centres * NOTCH_WIDTH_SHARE
    if widths is not None:
        order = np.argsort(np.atleast_1d(np.asarray(frequencies, dtype=float)))
        stop_widths = np.broadcast_to(np.asarray(widths, dtype=float), centres.shape)[order]
    lower = centres - stop_widths / 2.0 - half
    upper = centres + stop_widths / 2.0 + half
    _check_notches(centres, lower, upper, sfreq / 2.0)
    slopes = []
    for below, above in zip(lower[::-1], upper[::-1], strict=True):
        slopes.append((above - half, above + half - half, half, -1))
        slopes.append((below - half + half, below + half, half, 1))
    kernel = _kernel(sfreq, slopes, passes_nyquist=True)
    parameters = {
        "kind": "band-stop",
        "notch_hz": centres.tolist(),
        "stop_widths_hz": stop_widths.tolist(),
        "transition_hz": half,
    }
    return FilterDesign(kernel, parameters | _common_parameters(sfreq, kernel))


def _kernel(
    sfreq: float, slopes: list[tuple[float, float, float, int]], *, passes_nyquist: bool
) -> np.ndarray:
    """Sum the low-passes of all slopes (from Hz, to Hz, width in Hz, sign)."""
    from scipy.signal import firwin

    nyquist = sfreq / 2.0
    narrowest = min(s[2] for s in slopes)
    if HAMMING_LENGTH / narrowest * sfreq > MOST_TAPS:
        raise BidsmillError(
            "The filter is too long",
            found=f"a transition band of {narrowest:g} Hz at {sfreq:g} Hz",
            expected=f"at least {HAMMING_LENGTH * sfreq / MOST_TAPS:.2g} Hz",
            todo="choose a higher edge or a wider transition band, or resample first",
        )
    length = _odd(max(math.ceil(HAMMING_LENGTH / narrowest * sfreq), 1))
    kernel = np.zeros(length)
    if passes_nyquist:
        kernel[length // 2] = 1.0
    for below, above, _, sign in slopes:
        # Lengths are rounded from edges in units of the Nyquist frequency, as MNE-Python does:
        # ties would otherwise fall the other way at some rates.
        start, stop = below / nyquist, above / nyquist
        own_length = _odd(round(HAMMING_LENGTH / ((stop - start) / 2.0)))
        margin = (length - own_length) // 2
        kernel[margin : length - margin] += sign * firwin(
            own_length, (start + stop) / 2.0, window="hamming", fs=2.0
        )
    return kernel


def _common_parameters(sfreq: float, kernel: np.ndarray) -> dict[str, Any]:
    return {
        "sfreq_hz": sfreq,
        "method": "fir",
        "design": "firwin",
        "phase": "zero",
        "window": "hamming",
        "pass_band_ripple": HAMMING_RIPPLE,
        "stop_band_attenuation_db": HAMMING_ATTENUATION_DB,
        "length": len(kernel),
    }


def _odd(length: int) -> int:
    return length + 1 - length % 2


def _check_edges(low: float | None, high: float | None, nyquist: float) -> None:
    if low is None and high is None:
        raise BidsmillError(
            "The filter has no edge", expected="a low edge, a high edge, or both, in Hz"
        )
    edges = [float(edge) for edge in (low, high) if edge is not None]
    if not all(0 < edge < nyquist for edge in edges) or sorted(set(edges)) != edges:
        raise BidsmillError(
            "The edges of the filter do not fit the sampling rate",
            found=f"low {low} Hz, high {high} Hz at {2 * nyquist:g} Hz",
            expected=f"0 < low < high < {nyquist:g} Hz (half the sampling rate)",
            todo="correct the keys low and high, or leave out the edge that is not needed",
        )


def _check_transition(width: float, fits: bool, where: str) -> None:
    if not (width > 0 and fits):
        raise BidsmillError(
            f"The transition band {where} leaves the spectrum or is empty",
            found=f"{width} Hz",
            todo="choose a narrower one, or the default",
        )


def _check_notches(
    centres: np.ndarray, lower: np.ndarray, upper: np.ndarray, nyquist: float
) -> None:
    inside = np.all(lower > 0) and np.all(upper < nyquist) and np.all(np.isfinite(centres))
    if not (centres.size and inside):
        raise BidsmillError(
            "A notch does not fit the sampling rate",
            found=f"{centres.tolist()} Hz at {2 * nyquist:g} Hz",
            expected=f"stop bands with their transitions between 0 and {nyquist:g} Hz",
            todo="leave out the frequencies that the recording cannot hold",
        )
    if np.any(upper[:-1] > lower[1:]):
        raise BidsmillError(
            "Two notches overlap",
            found=f"{centres.tolist()} Hz",
            expected="stop bands whose transition bands do not meet",
        )
