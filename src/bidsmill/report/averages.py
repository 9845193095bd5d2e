"""Average responses of classes: means, errors, strength, and how far classes are apart."""

from __future__ import annotations

import numpy as np


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

    def margins(self, level: float = 0.95) -> np.ndarray:
        """Return half the width of the confidence intervals of the means; NaN below two units.

        Student's t for the number of units, less one, times the standard error: each point of
        time by itself, not the curve as a whole.
        """
        from scipy.special import stdtrit

        units = self._count[:, :, None]
        factor = stdtrit(np.maximum(units - 1, 1), (1 + level) / 2)
        return factor * self.standard_errors()


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


def noise_power(errors: np.ndarray) -> np.ndarray:
    """Return the root mean square over channels that the noise of an average has by itself.

    The expected square of a mean of pure noise is its squared standard error. Field power is
    never 0 for that reason; for the global field power it is an upper limit.

    Parameters
    ----------
    errors : numpy.ndarray
        Standard errors, shape (channels, times). Channels with NaN are left out.

    Returns
    -------
    numpy.ndarray
        Shape (times,); NaN if no channel is left.
    """
    known = errors[np.isfinite(errors).all(axis=1)]
    if not len(known):
        return np.full(errors.shape[1], np.nan)
    return np.sqrt(np.square(known).mean(axis=0))


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


def rectified(block: np.ndarray) -> np.ndarray:
    """Return the distance of each value from the mean of its row: what is averaged of EMG.

    The sign of surface EMG is as good as random, so plain averages vanish (Merletti, 1999,
    Standards for reporting EMG data).
    """
    return np.abs(block - block.mean(axis=-1, keepdims=True))


def smoothing_margin(seconds: float, sfreq: float, n_times: int) -> int:
    """Return how many samples a moving mean of this length costs at each end of a row.

    0, which means no smoothing, if the mean would hold one sample or a quarter of the row.
    """
    margin = round((seconds * sfreq - 1) / 2)
    return margin if 0 < 8 * margin <= n_times else 0


def moving_mean(block: np.ndarray, margin: int) -> np.ndarray:
    """Average each sample with `margin` neighbours on both sides, along the last axis.

    A mean over one period of the line frequency leaves nearly nothing of its noise.

    Returns
    -------
    numpy.ndarray
        As `block`, shorter by `margin` at both ends of the last axis.
    """
    from scipy.ndimage import uniform_filter1d

    if not margin:
        return block
    return uniform_filter1d(block, 2 * margin + 1, axis=-1)[..., margin:-margin]


def thinned(values: np.ndarray, most: int) -> np.ndarray:
    """Average neighbours along the last axis so that at most `most` values are left."""
    factor = -(-values.shape[-1] // most)
    if factor <= 1:
        return values
    whole = values.shape[-1] // factor
    cut = values[..., : whole * factor]
    return cut.reshape(*values.shape[:-1], whole, factor).mean(axis=-1)
