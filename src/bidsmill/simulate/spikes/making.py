"""One sample after another: sensors with their noise, and the sources behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bidsmill.simulate.random_numbers import generator
from bidsmill.simulate.sources.sides import sides_of_groups
from bidsmill.simulate.sources.table import Sample
from bidsmill.simulate.spikes.projection import Clips, Forward, SourceProblem, project
from bidsmill.simulate.spikes.sensor_noise import NoiseSettings, SensorNoise


@dataclass(frozen=True)
class Spike:
    """A finished sample.

    Attributes
    ----------
    sample : Sample
        What it was made of.
    values : ndarray of float32, shape (n_sensors, n_times)
        Centred over time, EEG referenced to its average, divided by `scales`: the largest
        magnitude of each type of sensor is 1.
    scales : dict
        Type of sensor -> what its values were divided by, in units of the lead field times mV.
    source : ndarray of float32, shape (n_regions_of_sample, n_times)
        Activity of `sample.regions`, divided by `source_scale`: within -1 and 1.
    source_scale : float
        In mV.
    realised : dict
        Type of sensor -> signal over noise in dB.
    alphas : tuple of float
        What the waveform of each source was multiplied with (mV).
    peaks : tuple of int
        Sample of the maximum of each.
    """

    sample: Sample
    values: np.ndarray
    scales: dict[str, float]
    source: np.ndarray
    source_scale: float
    realised: dict[str, float]
    alphas: tuple[float, ...]
    peaks: tuple[int, ...]


class SpikeMaker:
    """Make samples; each depends on its row of the table, the seed and its index alone.

    Parameters
    ----------
    forward : Forward
        The lead field.
    clips : Clips
        The bank.
    sfreq : float
        Of the clips, in Hz.
    seed : int
        Of the simulation.
    noise : NoiseSettings, optional
        White if absent.
    segments : sequence of ndarray, optional
        Recorded noise, see `SensorNoise`. With two or more, the sides of a split have segments
        of their own.
    test, validation : float
        Shares of the segments for these sides.
    """

    def __init__(
        self,
        forward: Forward,
        clips: Clips,
        sfreq: float,
        seed: int,
        noise: NoiseSettings | None = None,
        segments: Sequence[np.ndarray] | None = None,
        *,
        test: float = 0.2,
        validation: float = 0.0,
    ):
        self.forward, self.clips, self.sfreq, self.seed = forward, clips, sfreq, seed
        self.noise = SensorNoise(noise or NoiseSettings(), forward, segments)
        names = [f"{number:06d}" for number in range(len(self.noise.segments))]
        sides = sides_of_groups(names, seed, test, validation)
        self._segments: dict[str, list[int]] = {}
        for name, side in sides.items():
            self._segments.setdefault(side, []).append(int(name))

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What every sample depends on but the clips: settings and checksums."""
        arrays = {"forward": [self.forward.matrix], "segments": self.noise.segments}
        return {
            "seed": self.seed,
            "sfreq": self.sfreq,
            "types": list(self.forward.types),
            "noise": vars(self.noise.settings),
            "sides_of_segments": self._segments,
            **{
                name: [hashlib.sha256(a.tobytes()).hexdigest() for a in own]
                for name, own in arrays.items()
            },
        }

    def segments_of(self, side: str) -> list[int] | None:
        """Return the recorded segments for a side: those of train for samples on none."""
        if len(self.noise.segments) < 2:
            return None
        return self._segments.get(side) or self._segments["train"]

    def make(self, sample: Sample) -> Spike:
        """Return a sample.

        Raises
        ------
        BidsmillError
            If it cannot be made: a clip is missing, a waveform has no peak.
        """
        projected = project(sample, self.forward, self.clips, self.sfreq)
        random = generator(self.seed, "noise", sample.index)
        noisy = self.noise.add(projected.signal, sample.snr, random, self.segments_of(sample.side))
        scales = {}
        for kind, rows in self.forward.rows_of.items():
            part = noisy.values[rows]
            scales[kind] = max(float(part.max()), -float(part.min()))
            noisy.values[rows] /= np.float32(scales[kind])
        source = projected.source
        source_scale = max(float(source.max()), -float(source.min()))
        if not (source_scale > 0 and np.isfinite(source_scale)):
            raise SourceProblem("no_source", f"all regions of sample {sample.index} are silent")
        source /= np.float32(source_scale)
        return Spike(
            sample,
            noisy.values,
            scales,
            source,
            source_scale,
            noisy.realised,
            projected.alphas,
            projected.peaks,
        )


def labels_of(spike: Spike, sfreq: float) -> dict[str, Any]:
    """Return what the table of samples says of a sample.

    Lists are texts, their parts separated by a space.
    """
    sample = spike.sample
    several = len(spike.realised) > 1
    by_type = {
        **{f"snr_realised_{k}": v for k, v in spike.realised.items() if several},
        **{f"scale_{kind}": scale for kind, scale in spike.scales.items()},
    }
    return {
        "sample": sample.index,
        "centre": str(sample.sources[0].centre),
        "n_sources": len(sample.sources),
        "centres": _joined([source.centre for source in sample.sources]),
        "clips": _joined([source.clip for source in sample.sources]),
        "regions": _joined(sample.regions.tolist()),
        "extents": _joined([len(source.regions) for source in sample.sources]),
        "extent": len(sample.regions),
        "overlap": sample.overlap,
        "snr": sample.snr,
        "snr_realised": sum(spike.realised.values()) / len(spike.realised),
        "alphas": _joined([float(f"{alpha:.9g}") for alpha in spike.alphas]),
        "spike_time": spike.peaks[0] / sfreq,
        "spike_times": _joined([peak / sfreq for peak in spike.peaks]),
        **by_type,
        "scale_source": spike.source_scale,
        "split_group": sample.group,
        "split_side": sample.side,
    }


def _joined(values: Iterable[Any]) -> str:
    return " ".join(map(str, values))
