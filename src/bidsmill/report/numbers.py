"""Numbers behind the figures: amplitudes, spectra and class averages. No drawing here.

A matrix is read one row group at a time and only some of its rows are looked at, so memory and
time stay bounded whatever the size of the dataset.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bidsmill.formats.matrix import MatrixFile

# What people of the field are used to; other units stay as they are.
UNITS = {"V": (1e6, "µV"), "T": (1e15, "fT"), "T/m": (1e13, "fT/cm")}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
GOLDEN = (5**0.5 - 1) / 2
LONGEST_SEGMENT = 4096
# Rows are worked on in pieces of this many values (32 MB as float64).
PIECE = 4_000_000


def display_unit(unit: str) -> tuple[float, str]:
    """Return the factor from a stored unit to the displayed one, and its symbol."""
    return UNITS.get(unit, (1.0, "" if unit in ("", "n/a") else unit))


def spread(n: int, wanted: int) -> np.ndarray:
    """Choose `wanted` of `n` places: one of each of `wanted` stretches of equal length.

    Within its stretch the place follows the multiples of the golden ratio, a sequence of low
    discrepancy (Niederreiter, 1992, section 3.1), so that a regular order of the rows, such as
    two alternating classes, is not met in step.

    Returns
    -------
    numpy.ndarray
        Shape (min(n, wanted),), int64, rising.
    """
    if wanted >= n:
        return np.arange(n)
    place = np.arange(wanted)
    return np.floor((place + (place * GOLDEN + 0.5) % 1.0) * n / wanted).astype(np.int64)


def choose_rows(
    kept: np.ndarray, group_rows: list[int], most_rows: int, most_groups: int
) -> np.ndarray:
    """Choose rows of a matrix, spread over few of its row groups.

    Parameters
    ----------
    kept : numpy.ndarray
        Shape (n,), int: the rows that may be chosen, rising.
    group_rows : list of int
        Rows of each row group.
    most_rows, most_groups : int
        At most this many rows, of at most this many row groups.

    Returns
    -------
    numpy.ndarray
        Rising rows, int64.
    """
    kept = np.asarray(kept, np.int64)
    group = np.searchsorted(np.cumsum(group_rows), kept, side="right")
    present = np.unique(group)
    near = kept[np.isin(group, present[spread(len(present), most_groups)])]
    return near[spread(len(near), most_rows)]


def read_rows(matrix: MatrixFile, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read rows of a matrix in pieces.

    Parameters
    ----------
    matrix : MatrixFile
        The file.
    rows : numpy.ndarray
        Rising rows.

    Yields
    ------
    places : numpy.ndarray
        Where the rows of this piece stand in `rows`.
    block : numpy.ndarray
        float64, shape (len(places), channels, times), in the units of the file.
    """
    per_piece = max(1, PIECE // max(1, len(matrix.channels) * matrix.n_times))
    start = 0
    for group, size in enumerate(matrix.group_rows):
        low, high = np.searchsorted(rows, [start, start + size])
        if high > low:
            values = matrix.read_group(group)
            for first in range(low, high, per_piece):
                places = np.arange(first, min(first + per_piece, high))
                yield places, values[rows[places] - start].astype(np.float64)
        start += size


def channel_kinds(channels: list[dict[str, Any]]) -> dict[tuple[str, str], np.ndarray]:
    """Return the channels of each (type, unit), the most numerous first; without triggers."""
    kinds: dict[tuple[str, str], list[int]] = {}
    for index, channel in enumerate(channels):
        if channel["type"] != "stim":
            kinds.setdefault((channel["type"], channel["unit"] or ""), []).append(index)
    order = sorted(kinds, key=lambda kind: (-len(kinds[kind]), kind))
    return {kind: np.array(kinds[kind]) for kind in order}


def good_channels(channels: list[dict[str, Any]]) -> np.ndarray:
    """Return which channels are not marked as bad; shape (channels,), bool."""
    return np.array([channel.get("status") != "bad" for channel in channels], bool)


def peak_to_peak(block: np.ndarray) -> np.ndarray:
    """Return maximum minus minimum over the last axis; NaN where a value is not finite."""
    with np.errstate(invalid="ignore"):
        return block.max(axis=-1) - block.min(axis=-1)


def amplitude_quantiles(values: np.ndarray) -> dict[str, Any]:
    """Return the quantiles of peak-to-peak amplitudes, without what a log axis cannot show.

    Returns
    -------
    dict
        ``quantiles`` (of `QUANTILES`; None if no value is left), ``values`` (how many they
        rest on), ``flat`` (values of exactly 0) and ``not_finite``.
    """
    finite = values[np.isfinite(values)]
    moving = finite[finite > 0]
    return {
        "quantiles": np.quantile(moving, QUANTILES) if len(moving) else None,
        "values": len(moving),
        "flat": len(finite) - len(moving),
        "not_finite": values.size - len(finite),
    }


def segment_length(sfreq: float, n_times: int) -> int:
    """Return the samples of a segment of the spectrum: 2 s, at most the row, at most 4096."""
    return max(1, min(n_times, round(2 * sfreq), LONGEST_SEGMENT))


def power_spectra(signals: np.ndarray, sfreq: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the power spectral density of signals by Welch's method.

    Hann windows of `segment_length` samples, half overlapping, each without its mean (Welch,
    1967). The frequency 0 is left out: nothing of it is left.

    Parameters
    ----------
    signals : numpy.ndarray
        Shape (n, times).
    sfreq : float
        Hz.

    Returns
    -------
    frequencies : numpy.ndarray
        Shape (f,), Hz.
    density : numpy.ndarray
        Shape (n, f), float32, unit²/Hz.
    """
    from scipy.signal import welch

    length = segment_length(sfreq, signals.shape[-1])
    frequencies, density = welch(signals, sfreq, nperseg=length, axis=-1)
    return frequencies[1:], density[..., 1:].astype(np.float32)


def decibel(density: np.ndarray) -> np.ndarray:
    """Return 10 log10 of a density; NaN where it is 0 (a flat signal has no level)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(density > 0, 10 * np.log10(density), np.nan)


def spectrum_quantiles(densities: list[np.ndarray]) -> np.ndarray | None:
    """Return the 5 %, 50 % and 95 % quantiles in dB over all signals, per frequency.

    Parameters
    ----------
    densities : list of numpy.ndarray
        Each of shape (n, f). Flat signals and signals with values that are not finite are left
        out.

    Returns
    -------
    numpy.ndarray or None
        Shape (3, f); None if no signal is left.
    """
    if not densities:
        return None
    whole = np.concatenate(densities)
    usable = np.isfinite(whole).all(axis=1) & (whole > 0).any(axis=1)
    if not usable.any() or whole.shape[1] == 0:
        return None
    low, middle, high = np.quantile(whole[usable], (0.05, 0.5, 0.95), axis=0)
    return decibel(np.stack([low, middle, high]))


class ClassAverages:
    """Means and standard errors of classes, over rows or over recordings.

    Parameters
    ----------
    n_classes, n_channels, n_times : int
        Size of the result.
    by_recording : bool
        Whether a unit is a recording (its mean over the rows of the class counts once), or a
        row. Rows of one person are alike: with enough recordings, those are the better unit.

    Attributes
    ----------
    rows, recordings : numpy.ndarray
        Shape (n_classes,), int: what was added.
    """

    def __init__(self, n_classes: int, n_channels: int, n_times: int, by_recording: bool):
        self.by_recording = by_recording
        self.rows = np.zeros(n_classes, np.int64)
        self.recordings = np.zeros(n_classes, np.int64)
        self._count = np.zeros((n_classes, n_channels))
        self._total = np.zeros((n_classes, n_channels, n_times))
        self._squares = np.zeros_like(self._total)
        self._part = np.zeros_like(self._total)
        self._part_rows = np.zeros(n_classes, np.int64)

    def add(self, block: np.ndarray, codes: np.ndarray, good: np.ndarray) -> None:
        """Add rows of the current recording.

        Parameters
        ----------
        block : numpy.ndarray
            Shape (rows, channels, times), finite.
        codes : numpy.ndarray
            Shape (rows,), int: class of each row, -1 for none.
        good : numpy.ndarray
            Shape (channels,), bool: channels that count in this recording.
        """
        for code in np.unique(codes[codes >= 0]):
            mine = block[codes == code]
            self._part[code] += mine.sum(axis=0)
            self._part_rows[code] += len(mine)
            if not self.by_recording:
                self._squares[code][good] += np.square(mine[:, good]).sum(axis=0)

    def end_recording(self, good: np.ndarray) -> None:
        """Take in what was added since the last recording ended."""
        for code in np.flatnonzero(self._part_rows):
            n = self._part_rows[code]
            if self.by_recording:
                mean = self._part[code][good] / n
                self._total[code][good] += mean
                self._squares[code][good] += np.square(mean)
                self._count[code, good] += 1
            else:
                self._total[code][good] += self._part[code][good]
                self._count[code, good] += n
            self.rows[code] += n
            self.recordings[code] += 1
        self._part[:] = 0
        self._part_rows[:] = 0

    def means(self) -> np.ndarray:
        """Return the means, shape (classes, channels, times); NaN where nothing was added."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._total / self._count[:, :, None]

    def standard_errors(self) -> np.ndarray:
        """Return the standard errors of the means; NaN below two units."""
        count = self._count[:, :, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self._total / count
            variance = np.maximum(self._squares / count - mean**2, 0) * count / (count - 1)
            return np.where(count > 1, np.sqrt(variance / count), np.nan)


def field_power(mean: np.ndarray, kind: str) -> np.ndarray:
    """Return the strength of a response over the channels of one type.

    For EEG the global field power: the standard deviation over channels, which does not depend
    on the reference (Lehmann and Skrandies, 1980). For other types, and for fewer than three
    channels, the root mean square.

    Parameters
    ----------
    mean : numpy.ndarray
        Shape (..., channels, times). Channels with NaN are left out.
    kind : str
        Channel type.

    Returns
    -------
    numpy.ndarray
        Shape (..., times).
    """
    usable = np.isfinite(mean).all(axis=-1, keepdims=True)
    count = usable.sum(axis=-2)
    filled = np.where(usable, mean, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = np.square(filled).sum(axis=-2) / count
        centre = filled.sum(axis=-2) / count
    centred = (kind == "eeg") & (count >= 3)
    return np.sqrt(np.maximum(squares - np.where(centred, centre, 0.0) ** 2, 0))


def channel_contrast(means: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return how far apart the classes are at each channel and time, in standard errors.

    The range of the class means, over the root mean square of their standard errors. Errors
    below the median of all count as the median: a channel that happens to be quiet is not
    interesting for it. With one class, the absolute mean takes the place of the range.

    Parameters
    ----------
    means, errors : numpy.ndarray
        Shape (classes, channels, times); NaN where unknown.

    Returns
    -------
    numpy.ndarray
        Shape (channels, times), 0 where unknown.
    """
    if len(means) == 1:
        distance = np.abs(means[0])
    else:
        distance = means.max(axis=0) - means.min(axis=0)
    error = np.sqrt(np.mean(np.square(errors), axis=0))
    known = error[np.isfinite(error) & (error > 0)]
    floor = np.median(known) if len(known) else 1.0
    error = np.where(np.isfinite(error), np.maximum(error, floor), floor)
    return np.nan_to_num(distance / error, nan=0.0)


def without_baseline(block: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Subtract from each row and channel its mean before the event (or its mean, if none)."""
    before = times < 0
    span = block[..., before] if before.any() else block
    return block - span.mean(axis=-1, keepdims=True)


def thinned(values: np.ndarray, most: int) -> np.ndarray:
    """Average neighbours along the last axis so that at most `most` values are left."""
    factor = -(-values.shape[-1] // most)
    if factor <= 1:
        return values
    whole = values.shape[-1] // factor
    cut = values[..., : whole * factor]
    return cut.reshape(*values.shape[:-1], whole, factor).mean(axis=-1)


def envelope(values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Thin a signal for drawing so that its peaks stay: minimum and maximum of each stretch.

    Parameters
    ----------
    values : numpy.ndarray
        Shape (times,).
    most : int
        At most about this many values are left.

    Returns
    -------
    places, values : numpy.ndarray
        Samples, rising, and the values there.
    """
    n = len(values)
    factor = -(-2 * n // most)
    if n <= most or factor < 2:
        return np.arange(n), values
    starts = np.arange(0, n, factor)
    filled = np.nan_to_num(values)
    low = [s + int(np.argmin(filled[s : s + factor])) for s in starts]
    high = [s + int(np.argmax(filled[s : s + factor])) for s in starts]
    places = np.unique([*low, *high])
    return places, values[places]
