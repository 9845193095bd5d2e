"""Simulated runs for tests, with spikes where they were put."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

SFREQ = 500.0


def spike(width: float = 12.0) -> np.ndarray:
    """Return a spike of 120 samples in mV, peak 10 at sample 40, with an undershoot of -3."""
    t = np.arange(120) - 40.0
    return 10.0 * np.exp(-((t / width) ** 2)) - 3.0 * np.exp(-(((t - 38) / 14) ** 2))


def planted_run(
    region: int,
    spikes: dict[int, list[int]],
    n_times: int = 6000,
    n_regions: int = 9,
    seed: int = 0,
) -> np.ndarray:
    """Return (times, regions), float32: a quiet background and peaks at the samples named.

    The background is below 8 mV everywhere, and smooth enough not to move a peak.
    """
    random = np.random.default_rng([seed, region])
    phases = random.uniform(0, 2 * np.pi, (n_regions, 5))
    rates = random.uniform(0.5, 6, (n_regions, 5))
    t = np.arange(n_times)[:, None, None] / SFREQ
    data = 1.2 + 0.2 * np.sin(2 * np.pi * rates * t + phases).sum(axis=2)
    for channel, peaks in spikes.items():
        for peak in peaks:
            first, last = max(peak - 40, 0), min(peak + 80, n_times)
            data[first:last, channel] = 1.0 + spike()[first - peak + 40 : last - peak + 40]
    return data.astype(np.float32)


def write_run(folder: Path, region: int, condition: int, data: np.ndarray, **facts) -> Path:
    """Write a run as the simulation does; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"region-{region:04d}_condition-{condition}.npy"
    np.save(path, np.ascontiguousarray(data, dtype=np.float32))
    content = {"region": region, "condition": condition, "sfreq_hz": SFREQ, "seed": 0}
    content |= {"n_times": data.shape[0], "n_regions": data.shape[1]} | facts
    path.with_suffix(".json").write_text(json.dumps(content))
    return path
