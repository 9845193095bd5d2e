"""Sampling of sources: where spikes start, how far they spread, and how strong they are.

Sample *i* depends on the settings, the seed and *i* alone, so that any range of samples can be
drawn by itself, and a longer dataset begins with the samples of a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.random_numbers import generator
from bidsmill.simulate.sources.patches import MOST_LAYERS, decay_weights, grow_patch
from bidsmill.simulate.sources.sides import GROUPS, clip_groups, sides_of_groups
from bidsmill.simulate.sources.table import Sample, Source

if TYPE_CHECKING:
    import pandas as pd

OVERLAPS = ("allow", "forbid")
# How often another place is tried for a patch that may not overlap, or may not be a centre twice.
ATTEMPTS = 200


@dataclass(frozen=True)
class SourceSettings:
    """How sources are drawn.

    Attributes
    ----------
    seed : int
        Of the simulation.
    n_sources : (int, int)
        Fewest and most sources of a sample; any number between is equally likely.
    layers : tuple of int
        Over how many layers of neighbours a patch grows (1 to 3), drawn per source.
    half_distance : (float, float)
        Distance in m at which the magnitude is a half: drawn per source between these two.
    metric : str
        Of the anatomy's distances: ``geodesic`` or ``euclidean``.
    source_snr : tuple of float
        Power of a spike over that of the background at the sensors, in dB; drawn per source.
    sensor_snr : tuple of float
        Power of the signal over that of the sensor noise, in dB; sample *i* has number *i* modulo
        their count.
    overlap : {"allow", "forbid"}
        Whether patches of a sample may share regions.
    group : {"region", "clip"}
        What the split keeps apart: centre regions, or clips.
    test, validation : float
        Shares of the groups on these sides.
    """

    seed: int = 0
    n_sources: tuple[int, int] = (2, 2)
    layers: tuple[int, ...] = (2, 3)
    half_distance: tuple[float, float] = (0.04, 0.06)
    metric: str = "geodesic"
    source_snr: tuple[float, ...] = (10.0, 12.0, 14.0, 16.0, 18.0, 20.0)
    sensor_snr: tuple[float, ...] = (5.0, 10.0, 15.0, 20.0)
    overlap: str = "allow"
    group: str = "region"
    test: float = 0.2
    validation: float = 0.0

    def __post_init__(self) -> None:
        low, high = self.half_distance
        checks = {
            "n_sources": 1 <= self.n_sources[0] <= self.n_sources[1],
            "layers": bool(self.layers) and all(1 <= n <= MOST_LAYERS for n in self.layers),
            "half_distance": 0 < low <= high < np.inf,
            "source_snr": bool(self.source_snr),
            "sensor_snr": bool(self.sensor_snr),
            "overlap": self.overlap in OVERLAPS,
            "group": self.group in GROUPS,
            "test": 0 <= self.test < 1,
            "validation": 0 <= self.validation < 1 - self.test,
        }
        for name, is_good in checks.items():
            if not is_good:
                raise BidsmillError(
                    f"the setting {name!r} of the sources is impossible", found=getattr(self, name)
                )


class SourceDrawing:
    """Draw samples of sources.

    Parameters
    ----------
    settings : SourceSettings
        How.
    anatomy : Anatomy
        Positions, neighbours and distances of the regions.
    clips : pandas.DataFrame
        One row per clip: ``region``, ``clip`` and where it comes from (see
        `bidsmill.simulate.sources.sides.clip_groups`). Regions without clips are no centres.
    n_times : int
        Samples of a clip.

    Attributes
    ----------
    groups : dict
        (region, clip) -> group.
    sides : dict
        Group -> side.

    Raises
    ------
    BidsmillError
        If a clip is of a region that the anatomy lacks, or a side has too few regions.
    """

    def __init__(self, settings: SourceSettings, anatomy: Any, clips: pd.DataFrame, n_times: int):
        self.settings = settings
        self.anatomy = anatomy
        self.groups = clip_groups(clips, settings.group, n_times)
        self.sides = sides_of_groups(
            self.groups.values(), settings.seed, settings.test, settings.validation
        )
        self._positions = np.asarray(anatomy.positions, np.float64)
        self._distances = _distances(anatomy, settings.metric)
        # Plain numbers: a patch is a matter of small sets, for which arrays are slow. Without links
        # to where no path leads along the cortex: the magnitude would be 0 there.
        self._neighbours = tuple(
            tuple(int(other) for other in near if np.isfinite(self._distances[region, other]))
            for region, near in enumerate(anatomy.neighbours)
        )
        self._on_side: dict[str, dict[int, list[int]]] = {}
        self._clips: dict[int, list[int]] = {}
        for (region, clip), group in sorted(self.groups.items()):
            if not 0 <= region < anatomy.n_regions:
                raise BidsmillError(
                    "a clip is of a region that the anatomy lacks",
                    found=region,
                    expected=f"0 to {anatomy.n_regions - 1}",
                )
            self._clips.setdefault(region, []).append(clip)
            side = self._on_side.setdefault(self.sides[group], {})
            side.setdefault(region, []).append(clip)
        self._regions = {side: sorted(found) for side, found in self._on_side.items()}
        self.centres = sorted(self._clips)
        self._check()

    def _check(self) -> None:
        if not self.centres:
            raise BidsmillError(
                "no sources can be drawn: there are no clips", todo="make or import clips first"
            )
        most = self.settings.n_sources[1]
        for side, regions in self._regions.items():
            if len(regions) < most:
                raise BidsmillError(
                    f"the {side} side of the split has too few centre regions",
                    found=f"{len(regions)} regions with clips",
                    expected=f"{most}, for samples of {most} sources",
                    todo="simulate more regions, or set a smaller n_sources",
                )

    def sample(self, index: int, only: str | None = None) -> Sample:
        """Return a sample.

        The first centre goes round all regions with clips, one round for each level of noise.

        Parameters
        ----------
        index : int
            Number of the sample.
        only : str, optional
            A side: take all clips from it.

        Raises
        ------
        BidsmillError
            If patches may not overlap and no place is found, or the side has no clips.
        """
        settings = self.settings
        random = generator(settings.seed, "sources", index)
        levels = len(settings.sensor_snr)
        if only is not None and only not in self._on_side:
            raise BidsmillError(f"no clip stands on the side {only!r} of the split")
        clips = self._clips if only is None else self._on_side[only]
        centres = self.centres if only is None else self._regions[only]
        centre = centres[index // levels % len(centres)]
        clip = _choice(random, clips[centre])
        group = self.groups[centre, clip]
        side = self.sides[group]
        low, high = settings.n_sources
        sources = [self._source(random, centre, clip)]
        for _ in range(int(random.integers(low, high + 1)) - 1):
            sources.append(self._another(random, side, sources, index))
        return Sample(index, tuple(sources), settings.sensor_snr[index % levels], group, side)

    def samples(self, start: int, stop: int) -> Iterator[Sample]:
        """Yield the samples from `start` to before `stop`."""
        return (self.sample(index) for index in range(start, stop))

    def _another(
        self, random: np.random.Generator, side: str, sources: list[Source], index: int
    ) -> Source:
        """Return one more source, with a centre and a clip of the side of the first."""
        taken = {source.centre for source in sources}
        covered = {int(region) for source in sources for region in source.regions}
        for _ in range(ATTEMPTS):
            centre = _choice(random, self._regions[side])
            if centre in taken:
                continue
            source = self._source(random, centre, _choice(random, self._on_side[side][centre]))
            if self.settings.overlap == "allow" or not covered & set(source.regions.tolist()):
                return source
        raise BidsmillError(
            f"no place was found for one more source of sample {index}",
            found=f"{ATTEMPTS} places, all of them within the other patches",
            todo="set overlap: allow, fewer sources or fewer layers",
        )

    def _source(self, random: np.random.Generator, centre: int, clip: int) -> Source:
        settings = self.settings
        layers = _choice(random, list(settings.layers))
        half_distance = float(random.uniform(*settings.half_distance))
        snr = float(_choice(random, list(settings.source_snr)))
        regions = grow_patch(self._positions, self._neighbours, centre, layers, random)
        weights = decay_weights(self._distances[centre, regions], half_distance)
        # So far away that nothing is left of it: no source.
        is_active = weights > 0
        regions, weights = regions[is_active], weights[is_active]
        return Source(centre, clip, regions, weights, float("nan"), snr, half_distance)


def _choice(random: np.random.Generator, values: list[Any]) -> Any:
    return values[int(random.integers(len(values)))]


def _distances(anatomy: Any, metric: str) -> np.ndarray:
    try:
        return anatomy.distances[metric]
    except KeyError:
        raise BidsmillError(
            "the anatomy lacks the distances of this metric",
            found=metric,
            expected=" or ".join(sorted(anatomy.distances)),
        ) from None
