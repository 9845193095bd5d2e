"""A fingerprint of a signal: recordings with the same samples share most of it.

Each channel of each row gives one hash over some of its samples, in steps that do not depend on
gain or offset. So a part of a recording shares the hashes of its rows with the whole, whatever
the file format, the names and the order of channels; rows have to begin at the same samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.formats.mixed_bits import mixed_bits

# Samples of a row that enter its hash, evenly spread, and the fewest that make one.
POINTS, FEWEST_POINTS = 32, 16
# Steps per standard deviation of the differences between these samples. Coarse beside rounding
# errors of float32, fine enough that rows of noise never agree.
STEPS = 16
# Differences that must not be zero: a trigger or a square wave is no fingerprint.
FEWEST_CHANGES = 8
# Hashes of a recording that are kept. Beyond, only those are that end in zero bits, so that two
# recordings keep the same ones of those they share.
MOST = 2048
# Hashes that are held before they are thinned out.
HELD = 2**16
BITS = 48
MASK = np.uint64((1 << BITS) - 1)
# The lowest bits of a hash tell which of two samples is higher, for so many pairs: they are known
# before the hash is, so that of a long recording most rows need none.
CHOICES = 6


class SignalFingerprint:
    """Hashes of the rows of a matrix.

    Parameters
    ----------
    channels : ndarray of int
        Channels to look at.
    sfreq : float
        Rate in Hz. Only recordings of one rate and one length of row can share a hash.
    n_times : int
        Samples per row.
    n_rows : int
        Rows of the matrix.
    """

    def __init__(self, channels: np.ndarray, sfreq: float, n_times: int, n_rows: int):
        self._channels = channels
        self._points = np.unique(np.linspace(0, n_times - 1, POINTS).astype(np.int64))
        seed = [n_times, round(sfreq * 1000)]
        # Odd multipliers of a sum modulo 2**64 (Dietzfelbinger et al. 1997, J. Algorithms 25).
        factors = np.random.Generator(np.random.PCG64(seed)).integers(
            0, 2**63, len(self._points), np.uint64
        )
        self._factors = factors * np.uint64(2) + np.uint64(1)
        cells = max(1, len(channels) * n_rows)
        self._thinning = min(CHOICES, max(0, int(np.ceil(np.log2(cells / MOST)))))
        self._parts: list[np.ndarray] = []
        self._held = 0

    def add(self, block: np.ndarray) -> None:
        """Take in rows, float32 of shape (n_channels, n_rows, n_times)."""
        if len(self._points) < FEWEST_POINTS or not len(self._channels):
            return
        choices = self._choices(block)
        mask = (1 << min(self._thinning, CHOICES)) - 1
        own, rows = np.nonzero((choices & mask) == 0)
        values = block[self._channels[own, np.newaxis], rows[:, np.newaxis], self._points]
        telling, hashes = row_hashes(values.astype(np.float64), self._factors)
        low = choices[own, rows][telling].astype(np.uint64)
        hashes = ((mixed_bits(hashes) & MASK) >> np.uint64(CHOICES) << np.uint64(CHOICES)) | low
        self._parts.append(self._thinned(hashes))
        self._held += len(self._parts[-1])
        if self._held > HELD:
            self._thin(HELD // 2)

    def _choices(self, block: np.ndarray) -> np.ndarray:
        """Return the lowest bits of the hash of each row, shape (n_channels, n_rows)."""
        bits = np.zeros((len(self._channels), block.shape[1]), np.uint8)
        for place in range(CHOICES):
            first, second = self._points[2 * place], self._points[2 * place + 1]
            lower = block[self._channels, :, first] < block[self._channels, :, second]
            bits |= (~lower).astype(np.uint8) << np.uint8(place)
        return bits

    def result(self) -> dict[str, Any]:
        """Return ``hashes`` (hexadecimal, 12 digits each, sorted) and ``thinning``."""
        self._thin(MOST)
        hashes = self._parts[0] if self._parts else np.empty(0, np.uint64)
        return {
            "hashes": "".join(f"{value:012x}" for value in hashes.tolist()),
            "thinning": self._thinning,
        }

    def _thinned(self, hashes: np.ndarray) -> np.ndarray:
        mask = np.uint64((1 << self._thinning) - 1)
        return np.unique(hashes[(hashes & mask) == 0])

    def _thin(self, most: int) -> None:
        if not self._parts:
            return
        hashes = np.unique(np.concatenate(self._parts))
        while len(hashes) > most:
            self._thinning += 1
            hashes = self._thinned(hashes)
        self._parts, self._held = [hashes], len(hashes)


def row_hashes(values: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return one number per row of one channel.

    Parameters
    ----------
    values : ndarray of float64, shape (n_rows, n_points)
        Samples.
    factors : ndarray of uint64, shape (n_points,)
        Odd.

    Returns
    -------
    telling : ndarray of bool, shape (n_rows,)
        Rows that can be told from others.
    hashes : ndarray of uint64
        Of these.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.diff(values, axis=1)
        spread = steps.std(axis=1)
    telling = np.isfinite(spread) & (spread > 0)
    telling &= np.count_nonzero(steps, axis=1) >= FEWEST_CHANGES
    steps, spread = steps[telling], spread[telling]
    quantised = np.rint(steps / spread[:, np.newaxis] * STEPS).astype(np.int64).astype(np.uint64)
    return telling, (quantised * factors[1:]).sum(axis=1, dtype=np.uint64)
