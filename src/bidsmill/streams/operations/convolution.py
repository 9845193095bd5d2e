"""Convolution of a chunk with a kernel of odd length, with the edges of ``bidsmill.signal``."""

from __future__ import annotations

import numpy as np


def extended(row: np.ndarray, before: int, after: int) -> np.ndarray:
    """Continue a row beyond the edges of the recording.

    The signal is turned by 180 degrees around its edge sample, ``2 * x[0] - x[j]`` at ``-j``;
    where it is shorter than that, zeros follow (``reflect_limited`` of MNE-Python, as in
    :mod:`bidsmill.signal.blocks`).

    Parameters
    ----------
    row : numpy.ndarray, shape (n,), float64
        At least one sample; it begins at the first sample of the recording if ``before`` is not
        0, and ends at its last if ``after`` is not 0.
    before, after : int
        Samples to add.

    Returns
    -------
    numpy.ndarray, shape (before + n + after,), float64
    """
    out = np.zeros(before + len(row) + after)
    out[before : before + len(row)] = row
    n_before, n_after = min(before, len(row) - 1), min(after, len(row) - 1)
    if n_before:
        out[before - n_before : before] = 2 * row[0] - row[n_before:0:-1]
    if n_after:
        end = before + len(row)
        out[end : end + n_after] = 2 * row[-1] - row[-2 : -2 - n_after : -1]
    return out


def convolved(
    row: np.ndarray, kernel: np.ndarray, first: int, start: int, stop: int, total: int
) -> np.ndarray:
    """Convolve a row with a kernel whose centre is time zero.

    Parameters
    ----------
    row : numpy.ndarray, shape (n,)
        Samples ``first`` to ``first + n`` of the recording, which hold ``start - half`` to
        ``stop + half`` as far as the recording goes (``half``: half the length of the kernel).
    kernel : numpy.ndarray, shape (2 * half + 1,), float64
        The impulse response.
    first, start, stop, total : int
        As in :class:`bidsmill.streams.operation.Span`.

    Returns
    -------
    numpy.ndarray, shape (stop - start,), float64
        NaN where a sample within the reach of the kernel is NaN or infinite.

    Notes
    -----
    By overlap-add (``scipy.signal.oaconvolve``); rounding errors are about 1e-16 of the largest
    magnitude within a transform.
    """
    from scipy.signal import oaconvolve

    if stop <= start:
        return np.empty(0)
    half = len(kernel) // 2
    low, high = max(start - half, 0), min(stop + half, total)
    samples = np.asarray(row[low - first : high - first], dtype=np.float64)
    wide = extended(samples, max(half - start, 0), max(stop + half - total, 0))
    unusable = ~np.isfinite(wide)
    wide[unusable] = 0.0
    out = oaconvolve(wide, kernel, mode="valid")
    if unusable.any():
        out[window_any(unusable, len(kernel))] = np.nan
    return out


def window_any(mask: np.ndarray, width: int) -> np.ndarray:
    """Say of every window of ``width`` successive places whether one of them is marked.

    Parameters
    ----------
    mask : numpy.ndarray of bool, shape (n,)
    width : int
        At most n.

    Returns
    -------
    numpy.ndarray of bool, shape (n - width + 1,)
    """
    return window_counts(mask, width) > 0


def window_counts(mask: np.ndarray, width: int) -> np.ndarray:
    """Count the marked places in every window of ``width`` successive places.

    Returns
    -------
    numpy.ndarray of int64, shape (max(n - width + 1, 0),)
    """
    if len(mask) < width:
        return np.zeros(0, dtype=np.int64)
    counts = np.zeros(len(mask) + 1, dtype=np.int64)
    np.cumsum(mask, out=counts[1:])
    return counts[width:] - counts[:-width]
