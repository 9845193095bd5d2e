"""Datasets of sources that others described: DeepSIF's ``train_sample_source1.mat``.

Such a file has ``selected_region`` (examples, sources, 70), ``nmm_idx``, ``scale_ratio``,
``mag_change`` and ``sensor_snr`` or ``current_snr`` (see ``forward/generate_sythetic_source.m`` of
DeepSIF, github.com/bfinl/DeepSIF). What its readers guess is decided here once, or is an error:

- padding is any id below 0, from the number of regions on, or NaN;
- a clip is looked up by (centre region, number), never by a flat row of a bank, which the shipped
  formula misses by a region;
- a scale that is NaN is found anew from its target SNR, never replaced by a constant;
- a sample that contradicts itself is listed with its reason, and left out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.random_numbers import generator
from bidsmill.simulate.sources.clip_numbers import clip_numbers
from bidsmill.simulate.sources.patches import decay_weights
from bidsmill.simulate.sources.table import Sample, Source

SNR_NAMES = ("sensor_snr", "current_snr")
# Targets of the columns of scale_ratio, in dB, by their number: those of train and of test.
TARGETS = {6: (10.0, 12.0, 14.0, 16.0, 18.0, 20.0), 2: (10.0, 15.0)}
# Without magnitudes: the middle of the distances that DeepSIF draws, in m.
HALF_DISTANCE = 0.05


@dataclass
class Described:
    """What a file describes.

    Attributes
    ----------
    samples : list of Sample
        Those that can be made, by index; they have no side yet.
    problems : list of dict
        ``sample``, ``reason``, ``message`` of each that cannot.
    notes : dict
        What was decided, and how often: text -> count.
    count, most_sources : int
        Samples that the file describes, and how many sources it has room for in each.
    """

    samples: list[Sample] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    notes: Counter[str] = field(default_factory=Counter)
    count: int = 0
    most_sources: int = 0


class _Bad(Exception):
    """Why a sample is left out: reason and message."""


def read_described(
    path: str | os.PathLike,
    n_regions: int,
    *,
    clips: Container[tuple[int, int]] | None = None,
    clips_per_region: int | None = None,
    numbering: str = "auto",
    source_snr: tuple[float, ...] | None = None,
    recompute: bool = False,
    distances: np.ndarray | None = None,
    seed: int = 0,
    start: int = 0,
    stop: int | None = None,
) -> Described:
    """Read a described dataset from MATLAB 4 to 7.3, or Octave's text or binary form.

    Parameters
    ----------
    path : path-like
        The file.
    n_regions : int
        Regions of the lead field.
    clips : container of (int, int), optional
        The clips that there are; a sample that wants another one is a problem.
    clips_per_region : int, optional
        How many clips a region had when the file was made (``nper``); found from ``nmm_idx`` where
        that is possible.
    numbering : str
        Which formula made ``nmm_idx``; see `bidsmill.simulate.sources.clip_numbers.clip_numbers`.
    source_snr : tuple of float, optional
        Target in dB of each column of ``scale_ratio``; DeepSIF's for 6 and 2 columns.
    recompute : bool
        Find every scale anew, on the sources as they are, instead of those that are NaN only.
    distances : ndarray, shape (n_regions, n_regions), optional
        In m: for files without ``mag_change``.
    seed : int
        Draws the column of ``scale_ratio`` for each source.
    start, stop : int
        Only the samples from `start` to before `stop`; all that follow if `stop` is absent.

    Returns
    -------
    Described

    Raises
    ------
    BidsmillError
        If the file cannot be read as a whole: variables are missing, their sizes contradict each
        other, or ids are counted from 1.
    """
    from bidsmill.simulate.variables.matrix_files import read_variables

    variables = read_variables(path)
    regions = _regions(variables, path)
    _check_base(regions, n_regions, path)
    count, most = regions.shape[:2]
    snr = _snr(variables, count, path)
    scales = _sized(variables, "scale_ratio", (count, most), path)
    magnitudes = _sized(variables, "mag_change", (count, most), path)
    if magnitudes is None and distances is None:
        raise BidsmillError(
            "a described dataset has no magnitudes, and there are no distances to find them from",
            file=path,
            expected="the variable mag_change",
        )
    targets = _targets(scales, source_snr, path)
    indices = _required(variables, "nmm_idx", path)
    indices = _per_source(indices, count, most, path)
    found = Described(count=count, most_sources=most)
    is_pad = ~((regions >= 0) & (regions < n_regions))
    centres = np.where(is_pad[:, :, 0], -1, np.nan_to_num(regions[:, :, 0], nan=-1)).astype(int)
    numbers, note = clip_numbers(indices, centres, clips_per_region, numbering, path)
    found.notes[note] = int((centres >= 0).sum())
    reader = _Reader(
        regions, is_pad, magnitudes, scales, numbers, targets, clips, recompute, distances, seed
    )
    for index in range(start, count if stop is None else min(stop, count)):
        try:
            found.samples.append(reader.sample(index, float(snr[index]), found.notes))
        except _Bad as bad:
            reason, message = bad.args
            found.problems.append({"sample": index, "reason": reason, "message": message})
    return found


@dataclass
class _Reader:
    """The arrays of a file, and how they are understood."""

    regions: np.ndarray
    is_pad: np.ndarray
    magnitudes: np.ndarray | None
    scales: np.ndarray | None
    numbers: np.ndarray
    targets: tuple[float, ...]
    clips: Container[tuple[int, int]] | None
    recompute: bool
    distances: np.ndarray | None
    seed: int

    def sample(self, index: int, snr: float, notes: Counter[str]) -> Sample:
        if not np.isfinite(snr):
            raise _Bad("no_snr", f"the sensor SNR is {snr}")
        sources = [
            self._source(index, number, notes)
            for number in range(self.regions.shape[1])
            if not self.is_pad[index, number].all()
        ]
        if not sources:
            raise _Bad("no_source", "all region ids are padding")
        if len(sources) < self.regions.shape[1]:
            notes["samples with fewer sources than the file has room for"] += 1
        centres = [source.centre for source in sources]
        if len(set(centres)) < len(centres):
            notes["samples with two sources of one centre"] += 1
        return Sample(index, tuple(sources), snr)

    def _source(self, index: int, number: int, notes: Counter[str]) -> Source:
        pad = self.is_pad[index, number]
        ids = self.regions[index, number][~pad]
        where = f"source {number}"
        if pad[0]:
            raise _Bad("no_centre", f"{where}: the place of the centre is padding")
        if (ids != np.round(ids)).any():
            raise _Bad("bad_region", f"{where}: a region id is no whole number")
        regions = ids.astype(np.int32)
        if len(np.unique(regions)) < len(regions):
            raise _Bad("repeated_region", f"{where}: a region id stands twice")
        centre, clip = int(regions[0]), int(self.numbers[index, number])
        if clip < 1:
            raise _Bad("bad_clip_number", f"{where}: nmm_idx is not of a clip of region {centre}")
        if self.clips is not None and (centre, clip) not in self.clips:
            raise _Bad(
                "missing_clip",
                f"{where}: region {centre} has no clip {clip} (a{centre}/nmm_{clip})",
            )
        weights = self._weights(index, number, regions, ~pad, notes)
        alpha, target = self._scale(index, number, notes)
        return Source(centre, clip, regions, weights, alpha, target)

    def _weights(
        self, index: int, number: int, regions: np.ndarray, valid: np.ndarray, notes: Counter[str]
    ) -> np.ndarray:
        """Return the magnitude of each region, at the places of their ids."""
        if self.magnitudes is None:
            assert self.distances is not None
            notes["sources whose magnitudes come from distances"] += 1
            return decay_weights(self.distances[regions[0], regions], HALF_DISTANCE)
        own = self.magnitudes[index, number]
        if len(own) < len(valid):
            own = np.pad(own, (0, len(valid) - len(own)), constant_values=np.nan)
        weights = own[: len(valid)][valid]
        # Padding of the magnitudes is that of the ids, 15213: no magnitude is above 1.
        if not ((weights >= 0) & (weights <= 1 + 1e-6)).all():
            raise _Bad(
                "bad_magnitude",
                f"source {number}: mag_change has {weights[~((weights >= 0) & (weights <= 1))][0]}"
                " at the place of a region",
            )
        if abs(weights[0] - 1) > 1e-6:
            notes["sources whose centre has another magnitude than 1"] += 1
        return weights.astype(np.float32)

    def _scale(self, index: int, number: int, notes: Counter[str]) -> tuple[float, float]:
        """Return alpha, or NaN where it is to be found, and its target SNR."""
        random = generator(self.seed, "described", index, number)
        column = int(random.integers(len(self.targets)))
        if self.scales is None:
            notes["scales found anew: the file has none"] += 1
            return float("nan"), self.targets[column]
        alpha = float(self.scales[index, number, column])
        if self.recompute or np.isnan(alpha):
            why = "as asked" if self.recompute else "it was NaN"
            notes[f"scales found anew: {why}"] += 1
            return float("nan"), self.targets[column]
        if not (np.isfinite(alpha) and alpha > 0):
            raise _Bad("bad_scale", f"source {number}: scale_ratio is {alpha}")
        return alpha, self.targets[column]


def _required(variables: dict[str, Any], name: str, path: Any) -> np.ndarray:
    value = variables.get(name)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        listed = ", ".join(
            f"{key} {list(np.shape(v))}" if isinstance(v, np.ndarray) else key
            for key, v in variables.items()
        )
        raise BidsmillError(
            f"a described dataset lacks the numbers {name}", file=path, found=listed or "nothing"
        )
    # Integers of MATLAB arrive unsigned: 0 - 1 would be a large number.
    return np.asarray(value, np.float64)


def _regions(variables: dict[str, Any], path: Any) -> np.ndarray:
    """Return ids as (examples, sources, places)."""
    regions = _required(variables, "selected_region", path)
    if regions.ndim == 2:
        # One source: the dimension of length 1 was dropped.
        regions = regions[:, np.newaxis, :]
    if regions.ndim != 3 or 0 in regions.shape:
        raise BidsmillError(
            "selected_region has no shape that is known",
            file=path,
            found=list(regions.shape),
            expected="(examples, sources, places)",
        )
    return regions


def _check_base(regions: np.ndarray, n_regions: int, path: Any) -> None:
    """Refuse ids that are counted from 1: they would all be shifted by a region."""
    if (regions == n_regions).any() and not (regions == 0).any():
        raise BidsmillError(
            "region ids seem to be counted from 1",
            file=path,
            found=f"ids of {n_regions}, and none of 0",
            expected=f"0 to {n_regions - 1}",
            todo="subtract 1 from selected_region; or check that the lead field is the right one",
        )


def _snr(variables: dict[str, Any], count: int, path: Any) -> np.ndarray:
    """Return the sensor SNR of each sample, whichever name it has."""
    names = [name for name in SNR_NAMES if name in variables]
    if not names:
        raise BidsmillError(
            "a described dataset has no sensor SNR",
            file=path,
            found=", ".join(variables) or "nothing",
            expected=" or ".join(SNR_NAMES),
        )
    values = [_required(variables, name, path).ravel() for name in names]
    if len(values) == 2 and not np.array_equal(values[0], values[1], equal_nan=True):
        raise BidsmillError(
            "sensor_snr and current_snr contradict each other", file=path, todo="remove one"
        )
    if len(values[0]) != count:
        raise BidsmillError(
            f"{names[0]} has another number of examples than selected_region",
            file=path,
            found=len(values[0]),
            expected=count,
        )
    return values[0]


def _sized(
    variables: dict[str, Any], name: str, sizes: tuple[int, int], path: Any
) -> np.ndarray | None:
    """Return an array of (examples, sources, any), or None where there is none."""
    if name not in variables:
        return None
    value = _required(variables, name, path)
    if value.ndim == 2 and sizes[1] == 1:
        value = value[:, np.newaxis, :]
    elif value.ndim == 2 and value.shape == sizes:
        value = value[:, :, np.newaxis]
    if value.ndim != 3 or value.shape[:2] != sizes:
        raise BidsmillError(
            f"{name} has another size than selected_region",
            file=path,
            found=list(value.shape),
            expected=f"{sizes[0]} examples, {sizes[1]} sources",
        )
    return value


def _per_source(indices: np.ndarray, count: int, most: int, path: Any) -> np.ndarray:
    """Return nmm_idx as (examples, sources)."""
    if indices.size != count * most or (most > 1 and indices.shape[0] != count):
        raise BidsmillError(
            "nmm_idx has another size than selected_region",
            file=path,
            found=list(indices.shape),
            expected=f"{count} examples, {most} sources",
        )
    return indices.reshape(count, most)


def _targets(
    scales: np.ndarray | None, given: tuple[float, ...] | None, path: Any
) -> tuple[float, ...]:
    if scales is None:
        return given or TARGETS[6]
    columns = scales.shape[2]
    targets = given or TARGETS.get(columns)
    if targets is None or len(targets) != columns:
        raise BidsmillError(
            "the target SNR of the columns of scale_ratio is not known",
            file=path,
            found=f"{columns} columns",
            expected="6 or 2, or a target for each",
            todo="name one value in dB for each column (--source_snr)",
        )
    return tuple(targets)
