"""Noise of sensors, at a ratio of powers that means what it says.

The ratio is that of what is left after the mean over time and the average reference are taken: a
constant voltage, which is most of the power of an uncentred simulation, is no signal. The noise is
scaled so that its power is as wanted after both steps, which take a part of it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.spikes.projection import Forward, SourceProblem

MODELS = ("white", "per_channel", "recorded")
PARTS, OUTER_PARTS = 2**16, np.uint16(64)


@dataclass(frozen=True)
class NoiseSettings:
    """What the noise is.

    Attributes
    ----------
    model : {"white", "per_channel", "recorded"}
        Gaussian, with one standard deviation for each type of sensor; Gaussian, with one for
        each sensor, by its own signal; or partly recorded at rest.
    recorded_share : float
        Share of recorded noise in the power of the noise; the rest is white. For ``recorded``.
    """

    model: str = "white"
    recorded_share: float = 0.5

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise BidsmillError(
                "an unknown model of noise", found=self.model, expected=", ".join(MODELS)
            )
        if not 0 <= self.recorded_share <= 1:
            raise BidsmillError(
                "an impossible share of recorded noise",
                found=self.recorded_share,
                expected="0 to 1",
            )


@dataclass(frozen=True)
class Noisy:
    """A signal with its noise.

    Attributes
    ----------
    values : ndarray of float32, shape (n_sensors, n_times)
        Signal and noise, centred, EEG referenced to its average.
    realised : dict
        Type of sensor -> power of the signal over that of this very noise, in dB.
    """

    values: np.ndarray
    realised: dict[str, float]


class SensorNoise:
    """Add noise to signals.

    Parameters
    ----------
    settings : NoiseSettings
        What the noise is.
    forward : Forward
        Types of the sensors.
    segments : sequence of ndarray, shape (n_sensors, n_times), optional
        Recorded noise in any unit: needed by the model ``recorded``. Each at least as long as a
        sample, with the channels of the lead field in its order and at the rate of the clips.

    Raises
    ------
    BidsmillError
        If segments are wanted and are not there, or have another number of sensors.
    """

    def __init__(
        self,
        settings: NoiseSettings,
        forward: Forward,
        segments: Sequence[np.ndarray] | None = None,
    ):
        self.settings = settings
        self.forward = forward
        self.segments = [np.asarray(segment, np.float32) for segment in segments or []]
        if settings.model != "recorded":
            return
        if not self.segments:
            raise BidsmillError(
                "recorded noise is wanted, and there is no recording",
                todo="name a file of resting segments, or set the noise model to white",
            )
        for segment in self.segments:
            if segment.shape[0] != len(forward.types) or not np.isfinite(segment).all():
                raise BidsmillError(
                    "recorded noise does not fit to the lead field, or is not finite",
                    found=f"{segment.shape[0]} sensors",
                    expected=f"{len(forward.types)} sensors",
                )

    def add(
        self,
        signal: np.ndarray,
        snr: float,
        generator: np.random.Generator,
        segments: Sequence[int] | None = None,
    ) -> Noisy:
        """Return a signal with noise.

        Parameters
        ----------
        signal : ndarray of float32, shape (n_sensors, n_times)
            As projected; it is centred and referenced in place.
        snr : float
            Wanted power of the signal over that of the noise, in dB.
        generator : numpy.random.Generator
            Of this sample.
        segments : sequence of int, optional
            Numbers of the recorded segments that this sample may use; all of them if absent.

        Raises
        ------
        SourceProblem
            If the signal has no power, or the ratio leaves no noise in float32.
        """
        forward = self.forward
        forward.centre(signal, projected=True)
        power = _power_of_rows(signal)
        for kind, rows in forward.rows_of.items():
            if not power[rows].sum() > 0:
                raise SourceProblem("no_signal", f"the {kind} sensors see nothing of a sample")
        noise = normal_values(generator, signal.size).reshape(signal.shape)
        share = self.settings.recorded_share if self.settings.model == "recorded" else 0.0
        wanted = power * 10 ** (-snr / 10)
        noise *= self._deviations(wanted * (1 - share), signal.shape[1])[:, np.newaxis]
        if share > 0:
            self._add_recorded(noise, wanted * share, generator, segments)
        forward.centre(noise)
        made = _power_of_rows(noise)
        for kind, rows in forward.rows_of.items():
            if not 0 < made[rows].sum() < np.inf:
                raise SourceProblem(
                    "no_noise",
                    f"noise of the {kind} sensors at {snr:g} dB is not within float32",
                    todo="ask for a ratio between -100 and 100 dB",
                )
        realised = {
            kind: 10 * float(np.log10(power[rows].sum() / made[rows].sum()))
            for kind, rows in forward.rows_of.items()
        }
        signal += noise
        return Noisy(signal, realised)

    def _deviations(self, wanted: np.ndarray, n_times: int) -> np.ndarray:
        """Return the standard deviation of each sensor's white noise before centring.

        Centring takes one of `n_times` parts of the power. The average reference over M sensors
        turns variances v_i into v_i (1 - 2/M) + sum(v) / M**2, and their sum into
        sum(v) (1 - 1/M); this is solved for v.
        """
        variances = np.empty_like(wanted)
        for kind, rows in self.forward.rows_of.items():
            part = wanted[rows]
            count = len(part)
            if self.settings.model != "per_channel":
                # With all v_i equal, the average takes one of `count` parts.
                share = 1 - 1 / count if kind == "eeg" and count > 1 else 1
                part = part.sum() / count / share
            elif kind == "eeg" and count == 2:
                part = 2 * part.mean()
            elif kind == "eeg" and count > 2:
                total = part.sum() / (1 - 1 / count)
                part = np.maximum((part - total / count**2) / (1 - 2 / count), 0)
            variances[rows] = part
        return np.sqrt(variances * n_times / max(n_times - 1, 1)).astype(np.float32)

    def _add_recorded(
        self,
        noise: np.ndarray,
        wanted: np.ndarray,
        generator: np.random.Generator,
        segments: Sequence[int] | None,
    ) -> None:
        """Add a stretch of a recording, with the wanted mean power over each type of sensor."""
        numbers = list(range(len(self.segments))) if segments is None else list(segments)
        segment = self.segments[numbers[int(generator.integers(len(numbers)))]]
        n_times = noise.shape[1]
        if segment.shape[1] < n_times:
            raise BidsmillError(
                "a segment of recorded noise is shorter than a sample",
                found=f"{segment.shape[1]} samples",
                expected=f"{n_times} or more",
            )
        start = int(generator.integers(segment.shape[1] - n_times + 1))
        stretch = self.forward.centre(segment[:, start : start + n_times].copy())
        power = _power_of_rows(stretch)
        for kind, rows in self.forward.rows_of.items():
            if not power[rows].mean() > 0:
                raise SourceProblem("flat_noise", f"recorded noise of the {kind} sensors is flat")
            factor = np.sqrt(wanted[rows].mean() / power[rows].mean())
            noise[rows] += stretch[rows] * np.float32(factor)


def normal_values(generator: np.random.Generator, count: int) -> np.ndarray:
    """Return values of a standard normal distribution, in a quarter of numpy's time.

    16 bits choose one of 65,536 parts of equal probability. Of the outer ones, beyond 3.1, values
    are drawn by inverting the distribution function within the part, so that tails are exact;
    each other part stands for its mean, from 4e-5 to 0.005 away from the next. The distribution
    function is within 8e-6 of the normal one.

    Parameters
    ----------
    generator : numpy.random.Generator
        Of a bit generator that gives 64 bits at a time, such as Philox.
    count : int
        How many.

    Returns
    -------
    ndarray of float32, shape (count,)
    """
    from scipy.special import ndtri

    bits = generator.bit_generator.random_raw(-(-count // 4))
    parts = bits.astype("<u8", copy=False).view("<u2")[:count]
    drawn = means_of_parts().take(parts)
    # In 16 bits: parts from -OUTER_PARTS to OUTER_PARTS - 1, counted from the ends.
    outer = np.flatnonzero(parts + OUTER_PARTS < 2 * OUTER_PARTS)
    chosen = parts[outer].astype(np.float64)
    is_upper = chosen >= PARTS / 2
    from_end = np.where(is_upper, PARTS - 1 - chosen, chosen)
    # 2**-54 more than what is drawn: never 0, whose value would be infinite.
    below = (from_end + generator.random(len(outer)) + 2.0**-54) / PARTS
    drawn[outer] = np.where(is_upper, -1, 1) * ndtri(below)
    return drawn


@cache
def means_of_parts() -> np.ndarray:
    """Return the means of the normal distribution's 65,536 parts of equal probability.

    That of a part from a to b is (phi(a) - phi(b)) * 65,536, with phi the density.

    Returns
    -------
    ndarray of float32, shape (65536,)
        Ascending.
    """
    from scipy.special import ndtri

    borders = ndtri(np.arange(1, PARTS) / PARTS)
    density = np.exp(-(borders**2) / 2) / np.sqrt(2 * np.pi)
    return (-np.diff(np.concatenate([[0.0], density, [0.0]])) * PARTS).astype(np.float32)


def _power_of_rows(values: np.ndarray) -> np.ndarray:
    """Return the mean square of each row (float64), without BLAS, whose sums hang on threads."""
    return np.einsum("ij,ij->i", values, values).astype(np.float64) / values.shape[1]
