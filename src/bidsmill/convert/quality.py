"""What the rows of a matrix tell of their quality, measured while they are written.

Measured on the signal after filter and resampler and before the baseline is subtracted, from one
pass; every measure of a row looks at that row alone, so that blocks do not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bidsmill.convert.constancy import ExtremeRuns, constant_samples
from bidsmill.convert.fingerprint import SignalFingerprint
from bidsmill.convert.spectrum import SampledRows

# Types whose signal is that of a body or brain: rows are judged by these.
SIGNAL_TYPES = (
    "eeg",
    "mag",
    "grad",
    "seeg",
    "ecog",
    "dbs",
    "emg",
    "fnirs_cw_amplitude",
    "fnirs_od",
    "hbo",
    "hbr",
)
# Seconds without any change that make a channel flat.
FLAT_SECONDS = 1.0
# A row whose peak-to-peak amplitude is below this is flat, too: what a filter leaves of a constant
# are rounding errors. Less than a hundredth of the step of any converter in use (BioSemi: 31 nV;
# MEG: about 1e-16 T), by unit.
NOTHING = {"V": 1e-10, "T": 1e-18, "T/m": 1e-17}
# Standard deviation of scalp EEG beyond which the scale is suspicious, in V: below, amplifiers are
# quieter than any head; above, no head is so loud.
EEG_RANGE = (0.1e-6, 1e-3)


# Steps behind which the extreme values of a signal are no longer those of the converter.
MOVING = {"reference", "filter", "resample"}


def as_recorded(steps: list[dict[str, Any]]) -> bool:
    """Return whether the values behind processing steps are still those of the recorder."""
    return not any(step["step"] in MOVING or step.get("history") for step in steps)


class QualityMeter:
    """Measures of quality of one recording.

    Parameters
    ----------
    metadata : dict
        The document of the matrix: ``channels``, ``sfreq``, ``n_times``, ``line_frequency``.
    n_rows : int
        Rows of the matrix.
    as_recorded : bool
        Whether the values are those of the recorder. Filter, resampler and reference move the
        extreme values, so that clipping cannot be seen behind them.
    """

    def __init__(self, metadata: dict[str, Any], n_rows: int, as_recorded: bool = True):
        channels = metadata["channels"]
        self._names = [channel["name"] for channel in channels]
        self._types = np.array([channel["type"] for channel in channels])
        self._statuses = np.array([channel["status"] for channel in channels])
        self._nothing = np.array([NOTHING.get(channel["unit"], 0.0) for channel in channels])
        self._judged = _judged(self._types, self._statuses)
        shape = (len(channels), n_rows)
        self._n_times = metadata["n_times"]
        self._run = max(2, min(round(FLAT_SECONDS * metadata["sfreq"]), self._n_times))
        self._flat_samples = np.zeros(len(channels), np.int64)
        self._bad_samples = np.zeros(len(channels), np.int64)
        self._smallest = np.full(len(channels), np.inf)
        self._largest = np.full(len(channels), -np.inf)
        self._flat_rows = np.zeros(n_rows, np.float32)
        self._peaks = {
            kind: np.full(n_rows, np.nan, np.float32)
            for kind in SIGNAL_TYPES
            if (self._types[self._judged] == kind).any()
        }
        self._extremes = ExtremeRuns(len(channels)) if as_recorded else None
        self._sampled = SampledRows(shape, metadata["sfreq"], self._n_times)
        self._line = metadata["line_frequency"]
        signal = np.flatnonzero(np.isin(self._types, SIGNAL_TYPES))
        self._print = SignalFingerprint(signal, metadata["sfreq"], self._n_times, n_rows)

    def add(self, first: int, block: np.ndarray) -> None:
        """Measure rows.

        Parameters
        ----------
        first : int
            The row of the matrix that the block begins with.
        block : ndarray of float32, shape (n_channels, n_rows, n_times)
            It is not changed.
        """
        high, low = block.max(axis=2), block.min(axis=2)
        finite = np.isfinite(high) & np.isfinite(low)
        with np.errstate(invalid="ignore", over="ignore"):
            extent = high.astype(np.float64) - low
        self._count_not_finite(block, finite)
        flat = constant_samples(block, self._run)
        if self._n_times > 1:
            flat[finite & (extent <= self._nothing[:, np.newaxis])] = self._n_times
        self._flat_samples += flat.sum(axis=1)
        if self._judged.any():
            rows = slice(first, first + block.shape[1])
            self._flat_rows[rows] = (flat[self._judged] > 0).mean(axis=0)
        known = np.where(finite, extent, np.nan)
        self._smallest = np.fmin(self._smallest, np.fmin.reduce(known, axis=1, initial=np.inf))
        self._largest = np.fmax(self._largest, np.fmax.reduce(known, axis=1, initial=-np.inf))
        for kind, values in self._peaks.items():
            own = self._judged & (self._types == kind)
            values[first : first + block.shape[1]] = np.fmax.reduce(known[own], axis=0)
        if self._extremes is not None:
            self._extremes.add(first, block, low, high, flat < self._n_times)
        self._sampled.add(first, block, finite)
        self._print.add(block)

    def _count_not_finite(self, block: np.ndarray, finite: np.ndarray) -> None:
        for channel in np.flatnonzero(~finite.all(axis=1)):
            rows = block[channel, ~finite[channel]]
            self._bad_samples[channel] += np.count_nonzero(~np.isfinite(rows))

    def result(self) -> dict[str, Any]:
        """Return all measures, ready for JSON.

        Returns
        -------
        dict
            ``channels``: per channel, by name; ``rows``: per row; ``recording``: medians, the
            frequency of the line and what is suspicious; ``signal``: the fingerprint.
        """
        n_rows = len(self._flat_rows)
        total = max(1, n_rows * self._n_times)
        clipped, clipped_rows = self._clipped(n_rows)
        deviations = self._sampled.deviations()
        line, ratios = self._sampled.line_noise(self._line)
        columns = {
            "flat": self._flat_samples / total,
            "clipped": None if clipped is None else clipped / total,
            "not_finite": self._bad_samples / total,
            "peak_to_peak_min": self._smallest,
            "peak_to_peak_max": self._largest,
            "std": deviations,
            "line_noise": ratios,
        }
        return {
            "channels": {
                name: {
                    key: None if values is None else _number(values[place])
                    for key, values in columns.items()
                }
                for place, name in enumerate(self._names)
            },
            "rows": {
                "flat": _sparse(self._flat_rows),
                "clipped": None if clipped_rows is None else _sparse(clipped_rows),
                "peak_to_peak": {kind: _numbers(values) for kind, values in self._peaks.items()},
            },
            "recording": self._whole(columns, line),
            "signal": self._print.result(),
        }

    def _clipped(self, n_rows: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        if self._extremes is None:
            return None, None
        counts, touched = self._extremes.result()
        rows = np.zeros(n_rows, np.float32)
        judged = np.flatnonzero(self._judged)
        for channel in judged:
            rows[touched[channel]] += 1
        return counts, rows / max(1, len(judged))

    def _whole(self, columns: dict[str, Any], line: float | None) -> dict[str, Any]:
        judged = self._judged
        eeg = columns["std"][judged & (self._types == "eeg") & (columns["flat"] < 1)]
        median = float(np.nanmedian(eeg)) if np.isfinite(eeg).any() else np.nan
        suspicious = []
        if np.isfinite(median) and not EEG_RANGE[0] <= median <= EEG_RANGE[1]:
            suspicious.append(
                f"scale: the median standard deviation of EEG is {median:.3g} V,"
                f" usual are {EEG_RANGE[0]:g} to {EEG_RANGE[1]:g} V; nothing is rescaled"
            )
        ratios = columns["line_noise"][judged]
        noise = np.nanmedian(ratios) if np.isfinite(ratios).any() else np.nan
        whole = {}
        for key in ("flat", "clipped", "not_finite"):
            values = columns[key]
            known = values is not None and judged.any()
            whole[key] = _number(values[judged].mean()) if known else None
        return {
            **whole,
            "eeg_std": _number(median),
            "line_noise": _number(noise),
            "line_frequency": line,
            "suspicious": suspicious,
        }


def _judged(types: np.ndarray, statuses: np.ndarray) -> np.ndarray:
    """Return which channels rows are judged by: good ones of a body's signal, or all such."""
    signal = np.isin(types, SIGNAL_TYPES)
    good = signal & (statuses == "good")
    return good if good.any() else signal


def _number(value: Any) -> float | None:
    """Return a number to six digits, which every machine agrees on; None if it is not finite."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _numbers(values: np.ndarray) -> list[float | None]:
    return [_number(value) for value in values.tolist()]


def _sparse(values: np.ndarray) -> dict[str, float | None]:
    return {str(row): _number(float(values[row])) for row in np.flatnonzero(values)}
