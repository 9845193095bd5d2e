"""Where the trials of a CTF recording follow each other, and where something is missing.

Continuous recordings are written in blocks, each followed by the next without a gap; a device can
also be told to write a block at each trigger only, and what lies between is lost. The files look
the same (FieldTrip, FAQ "Why should I set cfg.continuous = 'yes' when preprocessing CTF
trial-based data?", which leaves the decision to the user). Here it is decided so, border by
border:

1. The clock of the acquisition decides wherever it runs: it goes on as before, or jumps.
2. Where there is no clock, or it stands still, trials that begin before their trigger
   (``preTrigPts`` of the .res4 header, CTF MEG File Formats, PN900-0088) are taken as cut around
   triggers: every border is a boundary.
3. Otherwise every border is a boundary: that costs windows, and never mixes what was not recorded
   together. The repair ``ctf_joined_trials``, a guess that has to be allowed, lets the signals
   decide. Across a gap they jump, since they have drifted. The step across a
   border is ranked among the steps around it, channel by channel: in a continuous recording all
   ranks are equally likely, and their mean is 0.5. If the mean over all borders and channels is
   above `MOST_MEAN_RANK`, every border is a boundary; if not, those are whose own mean over the
   channels is above `MOST_RANK_OF_BORDER`.

Of 19 signals of heads, cut into a dozen blocks, 18 had a mean rank of 0.40 to 0.57, and one of
0.61; with a third left out between the blocks all had 0.63 to 0.89. An empty room had 0.53 whole
and 0.52 with gaps of 33 ms: signals that do not drift show no gap. Of single gaps about half lie
above the bound for one border.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from bidsmill.bids.readers.ctf_folder import CLOCK, MEG4_HEADER, SAMPLE_BYTES, CtfFolder
from bidsmill.bids.repairs import Repairs, repair

# Samples on either side of a border, and sensors, that are looked at.
NEAR, MOST_SENSORS = 60, 48
# Between what was measured with and without gaps, and near to the latter.
MOST_MEAN_RANK, MOST_RANK_OF_BORDER = 0.57, 0.8
SENSORS = ("mag", "grad", "ref_meg", "eeg")


@dataclass
class SilentBorders:
    """Borders between trials of which no clock tells, as samples of the recording.

    Attributes
    ----------
    cut : list of int
        Those taken as boundaries.
    jumps : list of int
        Those at which the signals jump.
    """

    cut: list[int]
    jumps: list[int]


@repair(
    "ctf_joined_trials",
    kind="ctf_borders",
    risk="guess",
    failure="No clock tells whether the trials of a CTF recording follow each other.",
    effect="Takes only those borders for boundaries at which the signals jump.",
    todo="keep the channel SCLK01 when a continuous recording is exported",
)
def join_trials(borders: SilentBorders) -> str | None:
    """Join trials between which the signals go on as before."""
    n_joined = len(borders.cut) - len(borders.jumps)
    if n_joined == 0:
        return None
    borders.cut = borders.jumps
    return f"{n_joined} borders between trials, at which the signals do not jump, are joined"


def boundaries(folder: CtfFolder, raw: Any, repairs: Repairs) -> tuple[list[int], list[str]]:
    """Return the samples at which trials begin that do not follow the one before.

    Parameters
    ----------
    folder : CtfFolder
        What the header says, and where the samples lie.
    raw : mne.io.BaseRaw
        The recording, as MNE reads it: all trials, one after the other.
    repairs : Repairs
        Whether `join_trials` may act.

    Returns
    -------
    cut : list of int
        Samples of the recording.
    why : list of str
        What a person should know.
    """
    borders = list(range(folder.n_samples, raw.n_times, folder.n_samples))
    by_clock = {border: _clock_goes_on(raw, border) for border in borders}
    cut = [border for border, goes_on in by_clock.items() if goes_on is False]
    silent = [border for border, goes_on in by_clock.items() if goes_on is None]
    why = [f"at {len(cut)} the clock jumps"] if cut else []
    if silent and folder.before_trigger:
        cut += silent
        why.append(
            f"at {len(silent)} there is no clock, and trials begin {folder.before_trigger} samples"
            " before a trigger"
        )
    elif silent:
        unknown = SilentBorders(silent, _jumps(folder, raw, silent))
        why += repairs.mend("ctf_borders", unknown)
        cut += unknown.cut
        why += [f"at {len(unknown.cut)} there is no clock"] if unknown.cut else []
    return sorted(cut), why


def _clock_goes_on(raw: Any, border: int) -> bool | None:
    """Return whether the clock goes on over a border as before it; None if it does not run."""
    if CLOCK not in raw.ch_names or border < 2:
        return None
    values = raw.get_data(picks=[CLOCK], start=border - 2, stop=border + 1)[0]
    before, across = np.diff(values)
    if before <= 0:
        return None
    return bool(abs(across - before) <= 0.5 * before)


def _jumps(folder: CtfFolder, raw: Any, borders: list[int]) -> list[int]:
    """Return the borders at which the signals jump (rule 3)."""
    sensors = [i for i, kind in enumerate(raw.get_channel_types()) if kind in SENSORS]
    chosen = sensors[:: max(1, -(-len(sensors) // MOST_SENSORS))]
    near = min(NEAR, folder.n_samples)
    if not chosen or near < 3:
        return borders
    trials = [border // folder.n_samples for border in borders]
    ranks = np.array([_ranks(folder, trial, chosen, near) for trial in trials])
    if ranks.mean() > MOST_MEAN_RANK:
        return borders
    wide = ranks.mean(axis=1) > MOST_RANK_OF_BORDER
    return [border for border, jumps in zip(borders, wide, strict=True) if jumps]


def _ranks(folder: CtfFolder, trial: int, channels: list[int], near: int) -> np.ndarray:
    """Return the rank of the step into a trial among the steps around it, 0 to 1, per channel."""
    end = _samples(folder, trial - 1, channels, folder.n_samples - near, near)
    begin = _samples(folder, trial, channels, 0, near)
    steps = np.abs(np.diff(np.hstack([end, begin]), axis=1))
    across = steps[:, near - 1 : near]
    lower, equal = (steps < across).sum(axis=1), (steps == across).sum(axis=1)
    return (lower + 0.5 * equal) / steps.shape[1]


def _samples(
    folder: CtfFolder, trial: int, channels: list[int], start: int, count: int
) -> np.ndarray:
    """Return stored samples of a trial, in which each channel stands in one piece."""
    held = list(accumulate((size - MEG4_HEADER) // folder.trial_bytes for _, size in folder.parts))
    part = bisect_right(held, trial)
    first = held[part - 1] if part else 0
    place = MEG4_HEADER + (trial - first) * folder.trial_bytes + SAMPLE_BYTES * start
    with open(folder.parts[part][0], "rb") as file:
        rows = [
            os.pread(
                file.fileno(),
                SAMPLE_BYTES * count,
                place + SAMPLE_BYTES * folder.n_samples * channel,
            )
            for channel in channels
        ]
    return np.array([np.frombuffer(row, ">i4") for row in rows], np.int64)
