"""Standard deviation and line noise of a recording, from some of its rows."""

from __future__ import annotations

import numpy as np

# Rows looked at: one in 20, but no fewer and no more than these; evenly spread.
SHARE = 20
FEWEST, MOST = 4, 16
# Seconds of a row that enter its periodogram: bins of 0.5 Hz tell the line from its neighbours.
SPAN = 2.0
# Frequencies of the mains, for recordings whose sidecar names none (IEC 60038).
MAINS = (50.0, 60.0)
# The line: this many Hz to either side of it, and no less than the main lobe of a Hann window,
# two bins. Its neighbours: as far again as this many Hz, or bins, beyond.
LINE_HZ, LINE_BINS = 1.0, 2
NEIGHBOUR_HZ, NEIGHBOUR_BINS = 5.0, 5


class SampledRows:
    """Rows of a matrix, evenly spread, and what they tell of its channels.

    Parameters
    ----------
    shape : (int, int)
        Channels and rows of the matrix.
    sfreq : float
        Rate in Hz.
    n_times : int
        Samples per row.
    """

    def __init__(self, shape: tuple[int, int], sfreq: float, n_times: int):
        n_channels, n_rows = shape
        self.rows = sampled_rows(n_rows)
        self._length = min(n_times, max(1, round(SPAN * sfreq)))
        self._sfreq = sfreq
        self._window = np.hanning(self._length + 2)[1:-1].astype(np.float32)
        self._power = np.zeros((n_channels, self._length // 2 + 1))
        self._variance = np.zeros(n_channels)
        self._counted = np.zeros(n_channels, np.int64)

    def add(self, first: int, block: np.ndarray, finite: np.ndarray) -> None:
        """Look at those of the rows of a block that are in the sample.

        Parameters
        ----------
        first : int
            The row of the matrix that the block begins with.
        block : ndarray of float32, shape (n_channels, n_rows, n_times)
            The signal.
        finite : ndarray of bool, shape (n_channels, n_rows)
            Channels of a row that may be used.
        """
        from scipy import fft

        own = self.rows[(self.rows >= first) & (self.rows < first + block.shape[1])] - first
        for row in own:
            used = np.flatnonzero(finite[:, row])
            if not len(used):
                continue
            signal = block[used, row].astype(np.float64)
            signal -= signal.mean(axis=1, keepdims=True)
            self._variance[used] += np.einsum("ct,ct->c", signal, signal) / signal.shape[1]
            # Scaled to 1, so that the squares of field strengths stay in the range of float32.
            scale = np.abs(signal).max(axis=1, keepdims=True)
            scale[scale == 0] = 1.0
            part = signal[:, : self._length] / scale
            part = (part - part.mean(axis=1, keepdims=True)).astype(np.float32)
            spectrum = fft.rfft(part * self._window, axis=1)
            power = spectrum.real**2 + spectrum.imag**2
            self._power[used] += power * np.square(scale)
            self._counted[used] += 1

    def deviations(self) -> np.ndarray:
        """Return the standard deviation within rows, per channel; NaN where there is none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sqrt(self._variance / self._counted)

    def line_noise(self, stated: float | None) -> tuple[float | None, np.ndarray]:
        """Return power at the line relative to its neighbours.

        Parameters
        ----------
        stated : float or None
            The line's frequency in Hz; None: 50 or 60 Hz, whichever stands out more.

        Returns
        -------
        line : float or None
            The frequency used; None if rows are too short or the rate too low to tell.
        ratios : ndarray of float64, shape (n_channels,)
            Mean power at the line over median power beside it; NaN where it is not known.
        """
        best: tuple[float | None, np.ndarray] = None, np.full(len(self._power), np.nan)
        height = -np.inf
        for line in (stated,) if stated else MAINS:
            ratios = self._ratios(line)
            if np.isfinite(ratios).any() and np.nanmedian(ratios) > height:
                best, height = (line, ratios), float(np.nanmedian(ratios))
        return best

    def _ratios(self, line: float) -> np.ndarray:
        resolution = self._sfreq / self._length
        frequencies = np.arange(self._power.shape[1]) * resolution
        inner = max(LINE_HZ, LINE_BINS * resolution)
        outer = inner + max(NEIGHBOUR_HZ, NEIGHBOUR_BINS * resolution)
        away = np.abs(frequencies - line)
        at_line, beside = away <= inner, (away > inner) & (away <= outer)
        if line - outer <= 0 or line + inner > self._sfreq / 2 or not beside.any():
            return np.full(len(self._power), np.nan)
        floor = np.median(self._power[:, beside], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = self._power[:, at_line].mean(axis=1) / floor
        return np.where(floor > 0, ratios, np.nan)


def sampled_rows(n_rows: int) -> np.ndarray:
    """Return the rows that are looked at, sorted."""
    count = min(n_rows, max(FEWEST, min(MOST, n_rows // SHARE)))
    return np.unique(np.linspace(0, max(n_rows - 1, 0), count).round().astype(np.int64))
