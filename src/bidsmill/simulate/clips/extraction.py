"""From simulated runs to a clip bank."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.simulate.activity.runs import Activity, load_activity
from bidsmill.simulate.clips.bank import ClipBank, write_bank
from bidsmill.simulate.clips.detection import (
    CONTAMINATED,
    CUT,
    EDGE,
    OVERLAPPING,
    Detection,
    DetectionSettings,
    detect_spikes,
    reason_without_clips,
)
from bidsmill.simulate.clips.scaling import SOURCE_SNR_DB, strength_factor

if TYPE_CHECKING:
    import pandas as pd


def extract_clips(
    folder: str | os.PathLike,
    activities: Sequence[str | os.PathLike | Activity],
    leadfield: np.ndarray,
    settings: DetectionSettings | None = None,
    *,
    seed: int = 0,
    source_snr: float = SOURCE_SNR_DB,
) -> ClipBank:
    """Find the spikes of simulated runs and write their clips as a bank.

    The clips of a region are numbered from 1, over its conditions and then over time. All runs of
    a region have to be in one call.

    Parameters
    ----------
    folder : path-like
        Of the bank.
    activities : sequence of path-like or Activity
        Runs, in any order; see :func:`bidsmill.simulate.activity.runs.simulate_activity`.
    leadfield : numpy.ndarray, shape (sensors, regions)
        Average-referenced for EEG.
    settings : DetectionSettings, optional
        Threshold and clip.
    seed : int
        Seed of the simulation, for the jitter.
    source_snr : float
        The ratio (dB) of a spike to all other regions that `alpha` stands for.

    Returns
    -------
    ClipBank
        Perhaps empty: ``regions.tsv`` tells why.

    Raises
    ------
    BidsmillError
        If runs do not belong together or do not fit the lead field.
    """
    settings = settings or DetectionSettings()
    opened = [a if isinstance(a, Activity) else load_activity(a) for a in activities]
    runs = sorted(opened, key=lambda run: (run.region, run.condition))
    _check_runs(runs, leadfield)
    found = [detect_spikes(run, settings, seed) for run in runs]
    sfreq = runs[0].sfreq
    facts = {
        "sfreq_hz": sfreq,
        "n_times": settings.clip_times(sfreq),
        "unit": "mV",
        "detection": asdict(settings),
        "jitter_seed": seed,
        "source_snr_db": source_snr,
        "simulation": {
            name: value
            for name, value in runs[0].facts.items()
            if name not in OF_ONE_RUN and name not in ("sfreq_hz", "unit")
        },
    }
    clips = _clips(runs, found, settings, leadfield, source_snr)
    n_clips = sum(len(one.spikes) for one in found)
    write_bank(folder, clips, n_clips, leadfield, facts, _regions(runs, found))
    return ClipBank(folder)


OF_ONE_RUN = ("region", "condition", "active_node", "mean_input_per_ms", "noise_factor")


def _clips(
    runs: Sequence[Activity],
    found: Sequence[Detection],
    settings: DetectionSettings,
    leadfield: np.ndarray,
    source_snr: float,
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    number: Counter[int] = Counter()
    for run, detection in zip(runs, found, strict=True):
        length = settings.clip_times(run.sfreq)
        for spike in detection.spikes:
            number[run.region] += 1
            peak = spike.peak - spike.start
            row = {
                "region": run.region,
                "clip": number[run.region],
                "sfreq": run.sfreq,
                "peak_in_clip": peak,
                "jitter": spike.jitter,
                "height": spike.height,
                "contaminating": 0,
                "run": run.path.stem,
                "condition": run.condition,
                "peak_sample": spike.peak,
                "complete": _strength(leadfield, run.region, peak, run.sfreq, source_snr),
            }
            yield row, np.asarray(run.data[spike.start : spike.start + length]).T


def _strength(
    leadfield: np.ndarray, region: int, peak: int, sfreq: float, snr: float
) -> Callable[[np.ndarray, np.ndarray], dict[str, Any]]:
    def complete(clip: np.ndarray, projected: np.ndarray) -> dict[str, Any]:
        column = leadfield[:, region]
        return {"alpha": strength_factor(column, clip[region], projected, peak, sfreq, snr)}

    return complete


def _regions(runs: Sequence[Activity], found: Sequence[Detection]) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for region in sorted({run.region for run in runs}):
        own = [one for run, one in zip(runs, found, strict=True) if run.region == region]
        dropped: Counter[str] = Counter()
        for one in own:
            dropped.update(one.dropped)
        n_peaks = sum(one.n_peaks for one in own)
        n_clips = sum(len(one.spikes) for one in own)
        counts = {reason: dropped[reason] for reason in (EDGE, CONTAMINATED, CUT, OVERLAPPING)}
        reason = "" if n_clips else reason_without_clips(n_peaks, counts)
        row = {"region": region, "n_runs": len(own), "n_spikes": n_peaks, "n_clips": n_clips}
        rows.append(row | counts | {"reason": reason})
    return pd.DataFrame(rows)


def _check_runs(runs: Sequence[Activity], leadfield: np.ndarray) -> None:
    if not runs:
        raise BidsmillError("There is no simulated activity to take clips from")
    n_regions = np.asarray(leadfield).shape[1]
    names = set(runs[0].facts) - set(OF_ONE_RUN)
    seen = set()
    for run in runs:
        if run.data.shape[1] != n_regions:
            raise BidsmillError(
                "The simulated activity does not fit the lead field",
                file=run.path,
                found=f"{run.data.shape[1]} regions",
                expected=f"{n_regions}",
            )
        other = [name for name in sorted(names) if run.facts.get(name) != runs[0].facts[name]]
        if other:
            raise BidsmillError(
                "Runs of different simulations cannot be in one clip bank",
                file=run.path,
                found=f"{other[0]} {run.facts.get(other[0])}",
                expected=f"{runs[0].facts[other[0]]}, as in {runs[0].path.name}",
            )
        if (run.region, run.condition) in seen:
            raise BidsmillError("A run is named twice", file=run.path)
        seen.add((run.region, run.condition))
