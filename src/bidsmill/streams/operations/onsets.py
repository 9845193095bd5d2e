"""Onsets of activity: from a stream to epocs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.streams.operation import Operation, Span, parameter, register
from bidsmill.streams.operations.activity import Runs, joined, often_above, runs_of, settled
from bidsmill.streams.operations.moments import merged_moments, moments_of
from bidsmill.streams.operations.sliding import samples_of, window_sums
from bidsmill.streams.operations.spread import Robust

if TYPE_CHECKING:
    import pandas as pd

    from bidsmill.formats.stream_core import StreamCore

# A window whose variance is less than this part of its squared mean is flat: float32 samples have
# steps of 1e-7 of themselves, and the difference of sums would show the rounding of these.
FLAT = 1e-13


@register
@dataclass(frozen=True)
class Onsets(Operation):
    """Stretches of activity of every channel, as epocs: onset, duration, channel, amplitude.

    A sample is *above* if it is finite and greater than the threshold.

    ``single``
        Every stretch of samples above (Hodges and Bui 1996, "A comparison of computer-based
        methods for the determination of onset of muscle contraction using electromyography",
        Electroencephalography and Clinical Neurophysiology 101, 511-519).
    ``double``
        A second threshold on how many: every window of ``of`` successive samples with at least
        ``count`` above is active from the first to the last of these, and windows that overlap
        are one (after Bonato, D'Alessio and Knaflitz 1998, "A statistical method for the
        measurement of muscle activation intervals from surface myoelectric signal during gait",
        IEEE Transactions on Biomedical Engineering 45, 287-299). Only whole windows count.
    ``adaptive``
        As ``single``, with a threshold of its own for every sample: mean + ``threshold`` *
        standard deviation of the finite samples in the ``window`` that ends ``guard`` before it;
        for the first samples, in the first whole window of the stream (the whole stream if that
        is shorter). Without finite samples in its window, a sample is not above.

    The threshold of ``single`` and ``double``, for each channel over its whole stream, by unit:

    ``mad``
        median + ``threshold`` * 1.4826 * median(|x - median|): the rest, as long as activity
        takes less than half of the time. Exact; the stream is read four times.
    ``sd``
        mean + ``threshold`` * standard deviation, activity included. The stream is read once.
    ``peak``
        ``threshold`` * the greatest sample. The stream is read once.
    ``absolute``
        ``threshold`` in the unit of the stream. For a threshold from labelled stretches of rest:
        ``scale(env, statistics(env, epocs, labels=rest), zscore) > onsets(unit=absolute)``.

    Thresholds are rounded to float32, as the samples are. Then stretches less than ``gap``
    apart become one, those shorter than ``minimum`` are dropped, and those that begin less than
    ``refractory`` after the beginning of the one kept before. Chunks keep the stretches at their
    borders open, so that all is as if the stream were one chunk; what is kept of a chunk is its
    events. One row per stretch, by onset, then by channel: ``duration`` runs to its own offset (the
    first sample that is no longer active), ``value`` is the greatest sample within. A stretch
    that runs into the end of the stream ends there; samples that are NaN or infinite end one, if
    they do not take less than ``gap``.

    Parameters
    ----------
    threshold : float
        See above.
    method : {"single", "double", "adaptive"}
    unit : {"mad", "sd", "peak", "absolute"}
        Ignored by ``adaptive``.
    minimum, gap, refractory : float
        In s, rounded to samples.
    count, of : int
        Samples above, of how many (``double``).
    window, guard : float
        In s (``adaptive``).
    label : str
        What the epocs are called.
    """

    name: ClassVar[str] = "onsets"
    output: ClassVar[str] = "epocs"
    threshold: float = 3.0
    method: Literal["single", "double", "adaptive"] = "single"
    unit: Literal["mad", "sd", "peak", "absolute"] = "mad"
    minimum: float = parameter(0.01, unit="s", at_least=0)
    gap: float = parameter(0.1, unit="s", at_least=0)
    refractory: float = parameter(0.0, unit="s", at_least=0)
    count: int = parameter(5, at_least=1)
    of: int = parameter(10, at_least=1)
    window: float = parameter(2.0, unit="s", above=0)
    guard: float = parameter(0.1, unit="s", at_least=0)
    label: str = "onset"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count > self.of:
            raise BidsmillError(
                "The second threshold of onsets can never be reached",
                found=f"count {self.count} of {self.of} samples",
                expected="count at most of",
            )

    @property
    def passes(self) -> int:  # type: ignore[override]
        """How often the stream is read for its threshold."""
        return self._robust.passes if self._robust else 1

    @property
    def _robust(self) -> Robust | None:
        return Robust(deviations=True) if self.unit == "mad" else None

    def fits(self) -> bool:
        """Return whether the stream is read first for a threshold."""
        return self.method != "adaptive" and self.unit != "absolute"

    def core(self, parent: StreamCore) -> StreamCore:
        """Return the metadata of the parent; lengths are checked against its rate."""
        samples_of("window", self.window, parent.sfreq, least=2)
        return parent

    def needs(self, start: int, stop: int, core: StreamCore) -> tuple[int, int]:
        """Return the span with the windows that its samples are judged by."""
        if self.method == "double":
            return start - self.of + 1, stop + self.of - 1
        if self.method == "adaptive":
            width, behind = self._baseline(core)
            return start - width - behind, max(stop, width if start < width + behind else 0)
        return start, stop

    def partial(self, block: np.ndarray, core: StreamCore, known: Any = None) -> Any:
        """Return the moments, or the counts, of a chunk."""
        return self._robust.partial(block, known) if self._robust else moments_of(block)

    def merge(self, parts: Sequence[Any], core: StreamCore, known: Any = None) -> Any:
        """Return the parts of several chunks as that of one."""
        return self._robust.merge(parts) if self._robust else merged_moments(parts)

    def combine(self, parts: Sequence[Any], core: StreamCore, known: Any = None) -> Any:
        """Return the threshold of each channel, float64, or what the next pass needs."""
        if self._robust:
            found = self._robust.combine(parts, known)
            both = found.both()
            return found if both is None else both[0] + self.threshold * both[1]
        moments = merged_moments(parts)
        if self.unit == "sd":
            return moments.mean + self.threshold * moments.std
        return self.threshold * moments.high

    def compute(self, block: np.ndarray, span: Span, core: StreamCore, fitted: Any) -> list[Runs]:
        """Return the stretches within the span, channel by channel, open at its borders."""
        gap, least, _ = self._lengths(core.sfreq)
        low, high = span.start - span.first, span.stop - span.first
        found = []
        for channel, row in enumerate(block):
            above = self._above(channel, row, span, core, fitted)
            if self.method == "double":
                above = often_above(above, self.count, self.of)
            above = above[low:high]
            runs = runs_of(above, row[low:high], span.start)
            found.append(settled(runs, span.start, span.stop, gap, least))
        return found

    def join(self, parts: Sequence[list[Runs]], core: StreamCore) -> pd.DataFrame:
        """Return the epocs from the stretches of all chunks, in the order of time."""
        names, lengths = core.names, self._lengths(core.sfreq)
        runs = [joined([part[c] for part in parts], *lengths) for c in range(len(names))]
        return epocs_of(runs, core, self.label)

    def _lengths(self, sfreq: float) -> tuple[int, int, int]:
        gap, least = round(self.gap * sfreq), round(self.minimum * sfreq)
        return gap, least, round(self.refractory * sfreq)

    def _baseline(self, core: StreamCore) -> tuple[int, int]:
        """Return the samples of a window of the adaptive threshold, and of the guard."""
        width = min(round(self.window * core.sfreq), core.n_samples)
        return max(width, 1), round(self.guard * core.sfreq)

    def _above(
        self, channel: int, row: np.ndarray, span: Span, core: StreamCore, fitted: Any
    ) -> np.ndarray:
        threshold: Any
        if self.method == "adaptive":
            threshold = self._adaptive(row, span, core)
        else:
            threshold = self.threshold if fitted is None else fitted[channel]
        # Without rounding, a sample that equals its threshold would lie above or below it by the
        # rounding of sums. NaN compares as False on either side.
        return (row > np.asarray(threshold, dtype=np.float32)) & np.isfinite(row)

    def _adaptive(self, row: np.ndarray, span: Span, core: StreamCore) -> np.ndarray:
        """Return the threshold of every sample of the block; right within the span."""
        width, guard = self._baseline(core)
        finite = np.isfinite(row)
        values = np.where(finite, row, 0.0).astype(np.float64)
        count = window_sums(finite.astype(np.float64), width, span.first)
        total = window_sums(values, width, span.first)
        squares = window_sums(values**2, width, span.first)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / count
            variance = squares / count - mean**2
            spread = np.sqrt(np.where(variance > FLAT * mean**2, variance, 0.0))
        thresholds = mean + self.threshold * spread
        # Window k starts at sample first + k; sample i is judged by the one that ends guard
        # samples before it, or by the first of the stream.
        starts = np.maximum(np.arange(len(row)) + span.first - width - guard, 0) - span.first
        return thresholds[np.clip(starts, 0, len(thresholds) - 1)]


def epocs_of(runs: Sequence[Runs], core: StreamCore, label: str) -> pd.DataFrame:
    """Return stretches as a table of epocs, by onset and then by channel.

    Parameters
    ----------
    runs : sequence of Runs
        One for each channel of ``core``.
    core : StreamCore
        The stream whose samples they count.
    label : str
        The label of all of them.

    Returns
    -------
    pandas.DataFrame
        ``onset`` and ``duration`` in s, ``onset_sample``, ``code`` (empty), ``value`` (the
        peak), ``label``, ``HED`` (empty), ``channel``.
    """
    import pandas as pd

    start, stop, peak = (
        np.concatenate([getattr(run, name) for run in runs]) for name in ("start", "stop", "peak")
    )
    channel = np.repeat(np.arange(len(runs)), [len(run.start) for run in runs])
    order = np.lexsort((channel, start))
    names = np.array(core.names, dtype=object)
    return pd.DataFrame(
        {
            "onset": core.t0 + start[order] / core.sfreq,
            "duration": (stop - start)[order] / core.sfreq,
            "onset_sample": start[order].astype(np.int64),
            "code": pd.array([pd.NA] * len(order), dtype="Int64"),
            "value": peak[order],
            "label": pd.array([label] * len(order), dtype="string"),
            "HED": pd.array([pd.NA] * len(order), dtype="string"),
            "channel": pd.array(names[channel[order]], dtype="string"),
        }
    )
