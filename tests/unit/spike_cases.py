"""Anatomy, lead field and clips for tests of simulated spikes, made of formulas."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from bidsmill.simulate.sources.table import Sample, Source
from bidsmill.simulate.spikes.projection import Forward

SFREQ = 500.0


@dataclass
class Sheet:
    """Two hemispheres, each a sheet of hexagonal cells, 12 mm apart."""

    rows: int = 6
    columns: int = 8

    def __post_init__(self):
        one = [
            (c * 0.012 + (r % 2) * 0.006, r * 0.0104, 0.01 * np.sin(c))
            for r in range(self.rows)
            for c in range(self.columns)
        ]
        half = np.array(one)
        self.positions = np.concatenate([half, half + np.array([0.2, 0, 0])])
        self.n_regions = len(self.positions)
        away = np.linalg.norm(self.positions[:, None, :2] - self.positions[None, :, :2], axis=2)
        near = (away < 0.0135) & (away > 0)
        self.neighbours = tuple(np.flatnonzero(row).astype(np.int32) for row in near)
        self.hemisphere = (np.arange(self.n_regions) >= len(half)).astype(np.int8)
        geodesic = self._paths(np.where(near, away, np.inf))
        self.distances = {
            "geodesic": geodesic.astype(np.float32),
            "euclidean": away.astype(np.float32),
        }

    def _paths(self, links: np.ndarray) -> np.ndarray:
        """All shortest paths (Floyd 1962)."""
        paths = links.copy()
        np.fill_diagonal(paths, 0)
        for middle in range(self.n_regions):
            paths = np.minimum(paths, paths[:, [middle]] + paths[[middle]])
        return paths


@dataclass
class Bank:
    """A clip bank in memory: background noise, and a biphasic spike in the centre region."""

    forward: Forward
    per_region: int = 4
    n_times: int = 100
    seed: int = 0
    regions: tuple[int, ...] | None = None
    reads: int = field(default=0, init=False)

    def __post_init__(self):
        n_regions = self.forward.matrix.shape[1]
        centres = range(n_regions) if self.regions is None else self.regions
        keys = [(r, k) for r in centres for k in range(1, self.per_region + 1)]
        self.table = pd.DataFrame(keys, columns=["region", "clip"])
        self.table["run"] = self.table["region"] * 10
        self.table["peak_sample"] = self.table["clip"] * 3 * self.n_times
        self._made = {}

    def clip(self, region: int, clip: int) -> np.ndarray:
        """Background around 1.1 mV and, in the region, a spike near the middle."""
        if (region, clip) not in self._made:
            if not (self.table[["region", "clip"]] == [region, clip]).all(axis=1).any():
                raise KeyError((region, clip))
            random = np.random.default_rng([self.seed, region, clip])
            n_regions = self.forward.matrix.shape[1]
            steps = random.standard_normal((n_regions, self.n_times))
            x = 1.1 + 0.4 * np.cumsum(steps, axis=1) / np.sqrt(self.n_times)
            time = np.arange(self.n_times) - self.n_times // 2 - random.integers(-9, 10)
            x[region] += 10 * np.exp(-((time / 5) ** 2)) - 3 * np.exp(-(((time - 14) / 8) ** 2))
            x = x.astype(np.float32)
            self._made[region, clip] = (x, (self.forward.matrix @ x).astype(np.float32))
        return self._made[region, clip][0]

    def rows(self, region: int, clip: int, regions) -> np.ndarray:
        self.reads += len(regions)
        return self.clip(region, clip)[np.asarray(regions)]

    def waveform(self, region: int, clip: int) -> np.ndarray:
        return self.clip(region, clip)[region]

    def projected(self, region: int, clip: int) -> np.ndarray:
        self.clip(region, clip)
        return self._made[region, clip][1]


def forward_of(
    n_regions: int, n_sensors: int = 12, types: tuple[str, ...] | None = None
) -> Forward:
    """A smooth lead field: each sensor sees the regions by a Gaussian over their order."""
    random = np.random.default_rng(5)
    at = random.uniform(0, n_regions, n_sensors)
    seen = np.exp(-(((np.arange(n_regions) - at[:, None]) / 10) ** 2))
    matrix = 300 * (seen + 0.2 * random.standard_normal(seen.shape))
    return Forward(matrix, types or ("eeg",) * n_sensors)


def dense_formula(sample: Sample, alphas, forward: Forward, bank: Bank):
    """V and Z of section 4.1, steps 1 to 4, region by region in float64."""
    whole = 0.0
    for source, alpha in zip(sample.sources, alphas, strict=True):
        x = bank.clip(source.centre, source.clip).astype(np.float64).T.copy()
        wave = x[:, source.centre] / x[:, source.centre].max() * alpha
        for region, weight in zip(source.regions, source.weights, strict=True):
            x[:, region] = wave * np.float64(weight)
        whole = whole + x
    return forward.matrix @ whole.T, whole


def centred(v: np.ndarray, average: bool = True) -> np.ndarray:
    """Mean over time, then the average over channels, taken away; in float64."""
    v = np.asarray(v, np.float64)
    v = v - v.mean(axis=1, keepdims=True)
    return v - v.mean(axis=0, keepdims=True) if average else v


def one_source(centre: int, clip: int, regions=None, **settings) -> Source:
    regions = np.array([centre, *(regions or ())], np.int32)
    weights = np.linspace(1, 0.5, len(regions)).astype(np.float32)
    return Source(centre, clip, regions, weights, **settings)


def is_connected(neighbours, regions) -> bool:
    """Grow a set from the first region by looking at every pair, over and over."""
    wanted = {int(region) for region in regions}
    near = {a: wanted.intersection(np.asarray(neighbours[a]).tolist()) for a in wanted}
    reached = {int(regions[0])}
    for _ in wanted:
        reached |= {b for a in reached for b in near[a]}
    return reached == wanted


def bytes_read() -> int:
    """Return how many bytes this process has read from files."""
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])
