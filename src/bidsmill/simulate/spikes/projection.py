"""What sensors see of a sample: the backgrounds of its clips with the spikes in their place.

The formula is that of DeepSIF's loader (Sun et al. 2022, doi:10.1073/pnas.2201128119): in each
clip X_k the patch P_k gets the waveform s_k of the centre, scaled and weighted; the clips add up to
Z, and the sensors see V = L Z'. Multiplying out all regions costs 75 MFLOP; but Z differs from the
clips only in the patches, so with E_k = L X_k', known for each clip,

    V = B + sum_k L[:, P_k] w_k s_k',   B = sum_k E_k - sum_k L[:, P_k] X_k[:, P_k]'

is the same with 3 MFLOP. B is what is seen of all that is not a spike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.sources.table import Sample, Source

# Around the peak of a spike: where its power is compared with that of the background, in s.
WINDOW = 0.1


class SourceProblem(BidsmillError):
    """A reason why one sample cannot be made; it is listed, its neighbours go on.

    Parameters
    ----------
    code : str
        The reason (snake_case).
    """

    def __init__(self, code: str, what: str, **details: Any):
        self.code = code
        super().__init__(what, **details)


class Clips(Protocol):
    """What is asked of a clip bank."""

    def waveform(self, region: int, clip: int) -> np.ndarray:
        """Return the waveform that a source of this centre shows, (times,)."""

    def rows(self, region: int, clip: int, regions: Any) -> np.ndarray:
        """Return the activity of some regions in a clip, (regions, times): a copy."""

    def projected(self, region: int, clip: int) -> np.ndarray:
        """Return what the sensors see of a clip, (sensors, times)."""


@dataclass(frozen=True)
class Forward:
    """The rows of a lead field, by type.

    Attributes
    ----------
    matrix : ndarray, shape (n_sensors, n_regions)
        The lead field.
    types : tuple of str
        ``eeg``, ``mag``, ``grad`` for each sensor.
    """

    matrix: np.ndarray
    types: tuple[str, ...]

    @cached_property
    def columns(self) -> np.ndarray:
        """Columns of the lead field one after the other: (n_regions, n_sensors), float64."""
        return np.ascontiguousarray(self.matrix.T, np.float64)

    @cached_property
    def columns32(self) -> np.ndarray:
        """The same in float32."""
        return self.columns.astype(np.float32)

    @cached_property
    def rows_of(self) -> dict[str, np.ndarray | slice]:
        """Rows of each type, in the order in which types first occur; a slice if it is all."""
        kinds = list(dict.fromkeys(self.types))
        if len(kinds) == 1:
            return {kinds[0]: slice(None)}
        return {kind: np.flatnonzero(np.array(self.types) == kind) for kind in kinds}

    @cached_property
    def is_referenced(self) -> bool:
        """Whether the average of the EEG sensors is zero for every region."""
        rows = self.rows_of.get("eeg")
        if rows is None:
            return True
        means = self.matrix[rows].mean(axis=0)
        return bool(np.abs(means).max() <= 1e-9 * np.abs(self.matrix[rows]).max())

    def centre(self, values: np.ndarray, projected: bool = False) -> np.ndarray:
        """Take the mean over time, and of EEG the average over sensors, from values, in place.

        MEG has no reference, so nothing is taken from it but the mean over time.

        Parameters
        ----------
        values : ndarray of float, shape (n_sensors, n_times)
        projected : bool
            They are what this lead field gives.

        Returns
        -------
        ndarray
            `values`.
        """
        values -= np.einsum("ij->i", values)[:, None] / values.dtype.type(values.shape[1])
        self.reference(values, projected)
        return values

    def reference(self, values: np.ndarray, projected: bool = False) -> None:
        """Subtract the average of the EEG sensors from them, in place, unless it is zero."""
        rows = self.rows_of.get("eeg")
        if rows is not None and not (projected and self.is_referenced):
            part = values[rows]
            values[rows] -= part.sum(axis=0) / part.dtype.type(len(part))


@dataclass(frozen=True)
class Projection:
    """A sample without sensor noise.

    Attributes
    ----------
    signal : ndarray of float32, shape (n_sensors, n_times)
        V: neither centred nor referenced.
    source : ndarray of float32, shape (n_sources_regions, n_times)
        Z of the regions of the sample, in their order (mV).
    alphas : tuple of float
        What each waveform was multiplied with (mV).
    peaks : tuple of int
        Sample of each waveform's maximum.
    """

    signal: np.ndarray
    source: np.ndarray
    alphas: tuple[float, ...]
    peaks: tuple[int, ...]


def project(sample: Sample, forward: Forward, clips: Clips, sfreq: float) -> Projection:
    """Return what sensors see of a sample, without noise.

    Parameters
    ----------
    sample : Sample
        What it is made of. Sources whose alpha is NaN get one that makes their power at the
        sensors, in a window around the peak, `snr` dB above that of all backgrounds together.
    forward : Forward
        The lead field.
    clips : Clips
        The bank; what it has projected must be of this lead field.
    sfreq : float
        Of the clips, in Hz.

    Raises
    ------
    SourceProblem
        If a waveform has no maximum above 0, a background has no power, or a patch does not fit
        to the lead field.
    """
    sources = sample.sources
    _check(sample, forward.matrix.shape[1])
    union = sample.regions
    place = {region: at for at, region in enumerate(union.tolist())}
    places = [[place[region] for region in source.regions.tolist()] for source in sources]
    activity = [clips.rows(s.centre, s.clip, union).astype(np.float32, copy=False) for s in sources]
    silenced = np.concatenate([rows[at] for rows, at in zip(activity, places, strict=True)])
    seen = forward.columns32.take(np.concatenate([s.regions for s in sources]), axis=0)
    signal = _sum_of_projections(sources, clips)
    signal -= seen.T @ silenced
    waves = [_shape(source, clips.waveform(source.centre, source.clip)) for source in sources]
    peaks = tuple(int(wave.argmax()) for wave in waves)
    gains = np.array([s.weights @ forward.columns.take(s.regions, axis=0) for s in sources])
    alphas = _alphas(sources, waves, peaks, gains, signal, forward, sfreq)
    scaled = np.array([wave * a for wave, a in zip(waves, alphas, strict=True)], np.float32)
    signal += gains.T.astype(np.float32) @ scaled
    for source, rows, at, wave in zip(sources, activity, places, scaled, strict=True):
        rows[at] = source.weights[:, None] * wave
    for rows in activity[1:]:
        activity[0] += rows
    return Projection(signal, activity[0], alphas, peaks)


def _sum_of_projections(sources: Sequence[Source], clips: Clips) -> np.ndarray:
    """Return sum_k E_k, as a new array."""
    first, *others = (clips.projected(source.centre, source.clip) for source in sources)
    if not others:
        return np.array(first, np.float32)
    signal = np.add(first, others[0], dtype=np.float32)
    for other in others[1:]:
        signal += other
    return signal


def _check(sample: Sample, n_regions: int) -> None:
    if not sample.sources:
        raise SourceProblem("no_source", f"sample {sample.index} has no source")
    for source in sample.sources:
        regions = source.regions.tolist()
        if not regions or regions[0] != source.centre:
            problem = "a patch does not begin with its centre"
        elif min(regions) < 0 or max(regions) >= n_regions:
            problem = "a patch names a region that the lead field lacks"
        elif len(set(regions)) != len(regions) or len(regions) != len(source.weights):
            problem = "a patch names a region twice, or has another number of weights"
        elif not np.isfinite(source.weights).all():
            problem = "a weight of a patch is not finite"
        else:
            continue
        raise SourceProblem(
            "bad_patch",
            f"{problem} (sample {sample.index})",
            found=", ".join(map(str, regions)),
            expected=f"the centre {source.centre}, and others from 0 to {n_regions - 1}",
        )


def _shape(source: Source, waveform: np.ndarray) -> np.ndarray:
    """Return the waveform of a centre divided by its maximum, in float64."""
    highest = float(waveform.max())
    if not (np.isfinite(waveform).all() and highest > 0):
        raise SourceProblem(
            "no_peak",
            "the waveform of a centre has no maximum above 0, so it cannot be scaled",
            found=f"region {source.centre}, clip {source.clip}: maximum {highest:g}",
            todo="remove this clip from the bank",
        )
    return waveform.astype(np.float64) / highest


def _alphas(
    sources: Sequence[Source],
    shapes: Sequence[np.ndarray],
    peaks: Sequence[int],
    gains: np.ndarray,
    background: np.ndarray,
    forward: Forward,
    sfreq: float,
) -> tuple[float, ...]:
    """Return alpha of each source: the given one, or sqrt(10^(snr/10) P_background / P_spike).

    P_spike is of the weighted patch with alpha 1, P_background of all that is not a spike; both
    are centred over the whole clip and referenced, and are means over sensors and the window. With
    several types of sensors the mean of P_spike / P_background over types counts.

    Parameters
    ----------
    gains : ndarray, shape (n_sources, n_sensors)
        What is seen of a weighted patch of 1 mV.
    background : ndarray, shape (n_sensors, n_times)
        B of the formula.
    """
    if not any(np.isnan(source.alpha) for source in sources):
        return tuple(float(source.alpha) for source in sources)
    means = (np.einsum("ij->i", background) / np.float32(background.shape[1]))[:, None]
    gains = gains.T.copy()
    forward.reference(gains, projected=True)
    seen = {kind: np.square(gains[rows]).mean(axis=0) for kind, rows in forward.rows_of.items()}
    half = round(WINDOW * sfreq)
    found = []
    for number, (source, shape, peak) in enumerate(zip(sources, shapes, peaks, strict=True)):
        if not np.isnan(source.alpha):
            found.append(float(source.alpha))
            continue
        window = slice(max(peak - half, 0), peak + half)
        near = background[:, window] - means
        forward.reference(near, projected=True)
        wave = shape[np.newaxis, window] - shape.sum() / len(shape)
        power = _power(wave)
        ratios = [
            power * float(seen[kind][number]) / max(_power(near[rows]), 1e-300)
            for kind, rows in forward.rows_of.items()
        ]
        ratio = sum(ratios) / len(ratios)
        if not (0 < ratio < 1e250 and np.isfinite(source.snr)):
            raise SourceProblem(
                "no_alpha",
                "the strength of a source cannot be found: the spike or the background has no"
                " power at the sensors, or no source SNR is given",
                found=f"region {source.centre}, clip {source.clip}, source SNR {source.snr:g} dB",
            )
        found.append(float(np.sqrt(10 ** (source.snr / 10) / ratio)))
    return tuple(found)


def _power(values: np.ndarray) -> float:
    return float(np.einsum("ij,ij->", values, values)) / values.size
