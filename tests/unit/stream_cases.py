"""Streams and counting operations for the tests of the graph."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bidsmill.formats.stream_core import StreamChannel, StreamCore
from bidsmill.streams import ArrayStream, Operation, register

CALLS: Counter[str] = Counter()


def stream_of(n_samples: int, n_channels: int = 3, sfreq: float = 1000.0, seed: int = 0):
    """Return noise with slow drifts and an offset, as recordings have them."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n_channels, n_samples))
    drift = np.cumsum(rng.standard_normal((n_channels, n_samples)), axis=1) * 0.05
    channels = tuple(StreamChannel(f"EMG{i}", "emg", "V") for i in range(n_channels))
    source = {"uri": "x.edf", "sha256": "a" * 64, "reader": "mne", "reader_version": "1"}
    core = StreamCore("sub-01_emg", sfreq, n_samples, channels, "sub-01", source=source)
    return ArrayStream(noise + drift + rng.uniform(-20, 20, (n_channels, 1)), core)


@register
@dataclass(frozen=True)
class Counted(Operation):
    """Pass samples on, with a halo, and count the calls."""

    name: ClassVar[str] = "counted_for_test"
    label: str
    halo: int = 0

    def needs(self, start: int, stop: int, core: Any) -> tuple[int, int]:
        return start - self.halo, stop + self.halo

    def compute(self, block: np.ndarray, span: Any, core: Any, fitted: Any) -> np.ndarray:
        CALLS[self.label] += 1
        return block[:, span.start - span.first : span.stop - span.first]


@register
@dataclass(frozen=True)
class Centred(Operation):
    """Subtract the mean of the whole signal, which takes two passes: sums, and what they leave."""

    name: ClassVar[str] = "centred_for_test"
    passes: ClassVar[int] = 2

    def partial(self, block: np.ndarray, core: Any, known: Any = None) -> Any:
        CALLS["partial"] += 1
        values = block.astype(np.float64) - (0 if known is None else known[:, np.newaxis])
        return values.sum(axis=1)

    def combine(self, parts: Any, core: Any, known: Any = None) -> Any:
        CALLS["combine"] += 1
        mean = np.sum(parts, axis=0) / core.n_samples
        return mean if known is None else known + mean

    def compute(self, block: np.ndarray, span: Any, core: Any, fitted: Any) -> np.ndarray:
        return block - fitted[:, np.newaxis]


@register
@dataclass(frozen=True)
class Peaks(Operation):
    """Samples above a threshold, as epocs."""

    name: ClassVar[str] = "peaks_for_test"
    output: ClassVar[str] = "epocs"
    threshold: float

    def compute(self, block: np.ndarray, span: Any, core: Any, fitted: Any) -> pd.DataFrame:
        shown = block[:, span.start - span.first : span.stop - span.first]
        samples = np.flatnonzero((shown > self.threshold).any(axis=0)) + span.start
        onset = core.t0 + samples / core.sfreq
        return pd.DataFrame({"onset": onset, "duration": 0.0, "onset_sample": samples})


@register
@dataclass(frozen=True)
class Marked(Operation):
    """Ones at the epocs, zeros elsewhere."""

    name: ClassVar[str] = "marked_for_test"
    inputs: ClassVar[tuple[str, ...]] = ("stream", "epocs")

    def compute(self, block: Any, span: Any, core: Any, fitted: Any) -> np.ndarray:
        samples = block[1]["onset_sample"].to_numpy()
        places = np.arange(span.start, span.stop)
        return np.broadcast_to(np.isin(places, samples), block[0].shape).astype(np.float32)
