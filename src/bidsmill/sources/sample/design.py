"""Who takes part in the sample, in which sessions and runs, and what happens when."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

SAMPLE_VERSION = "1.0.0"
TASK = "faces"
TRIALS = 40  # per recording, half of them faces
FIRST_ONSET = 2.0  # s
ONSET_ASYNCHRONY = (1.2, 1.6)  # s, uniform
STIMULUS_DURATION = 0.5  # s
TAIL = 2.0  # s of signal after the last trial, at least
VALUES = {"face": 1, "scrambled": 2}
BUTTON_VALUES = {"left": 3, "right": 4}
BUTTONS = {"face": "left", "scrambled": "right"}
FIRST_DAY = datetime.datetime(2024, 1, 8, 9, 30)  # an invented date; nobody was recorded


@dataclass(frozen=True)
class Subject:
    """One invented participant.

    Attributes
    ----------
    runs : tuple of int
        Number of runs of session 1, and of session 2 where there is one.
    rate : int
        Sampling rate in Hz.
    format : str
        ``edf`` or ``brainvision``.
    """

    label: str
    age: int
    sex: str
    hand: str
    group: str
    rate: int
    format: str
    runs: tuple[int, ...]


SUBJECTS = (
    Subject("01", 24, "F", "right", "control", 250, "brainvision", (2, 1)),
    Subject("02", 31, "M", "right", "control", 256, "edf", (1,)),
    Subject("03", 45, "F", "right", "patient", 250, "edf", (1, 1)),
    Subject("04", 52, "M", "left", "patient", 256, "brainvision", (2,)),
    Subject("05", 19, "M", "right", "control", 250, "brainvision", (1,)),
    Subject("06", 38, "F", "right", "patient", 256, "edf", (1, 1)),
    Subject("07", 64, "F", "right", "control", 256, "brainvision", (2,)),
    Subject("08", 27, "M", "right", "patient", 250, "edf", (1,)),
    Subject("09", 41, "F", "left", "patient", 250, "brainvision", (1,)),
    Subject("10", 58, "M", "right", "control", 256, "edf", (1, 1)),
    Subject("11", 33, "M", "right", "patient", 256, "edf", (2, 1)),
    Subject("12", 22, "F", "right", "control", 250, "brainvision", (1, 1)),
    Subject("13", 49, "F", "right", "patient", 256, "brainvision", (1,)),
    Subject("14", 36, "M", "right", "control", 250, "edf", (2,)),
)


@dataclass(frozen=True)
class Recording:
    """One run of one session of one subject."""

    subject: Subject
    session: int
    run: int

    @property
    def folder(self) -> str:
        """Return the folder inside the dataset, with ``/``."""
        return f"sub-{self.subject.label}/ses-{self.session}/eeg"

    @property
    def stem(self) -> str:
        """Return the file name up to the suffix, e.g. ``sub-01_ses-1_task-faces_run-1``."""
        return f"sub-{self.subject.label}_ses-{self.session}_task-{TASK}_run-{self.run}"

    @property
    def data_file(self) -> str:
        """Return the path of the data file (the header, for BrainVision) in the dataset."""
        extension = {"edf": "edf", "brainvision": "vhdr"}[self.subject.format]
        return f"{self.folder}/{self.stem}_eeg.{extension}"

    @property
    def start(self) -> datetime.datetime:
        """Return the invented time of acquisition."""
        return FIRST_DAY + datetime.timedelta(
            days=int(self.subject.label) + 28 * (self.session - 1), minutes=10 * (self.run - 1)
        )


BROKEN_STEM = f"sub-11_ses-2_task-{TASK}_run-1"  # its EDF is a git-annex pointer
BAD_CHANNELS = {f"sub-07_ses-1_task-{TASK}_run-2": "T8"}  # loose electrode, marked as bad


def recordings() -> Iterator[Recording]:
    """Yield every recording of the sample, the broken one too, in the order of names."""
    for subject in SUBJECTS:
        for session, runs in enumerate(subject.runs, start=1):
            for run in range(1, runs + 1):
                yield Recording(subject, session, run)


def generator(name: str) -> np.random.Generator:
    """Return the random generator that belongs to a name (seed: sha256 of the name)."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()))


@dataclass(frozen=True)
class Event:
    """One row of ``events.tsv``; times in seconds, on the grid of the samples.

    ``button`` and ``response_time`` belong to responses and are None for pictures.
    """

    onset: float
    duration: float
    trial_type: str
    value: int
    button: str | None = None
    response_time: float | None = None


@cache
def events(recording: Recording) -> tuple[Event, ...]:
    """Return the events of one recording in the order of their onsets.

    Responses take about 0.5 s (0.06 s longer for patients); 3 % are missing, 4 % are wrong.
    """
    rng = generator(f"{recording.stem} events")
    rate = recording.subject.rate
    pictures = rng.permutation(["face", "scrambled"] * (TRIALS // 2))
    gaps = rng.uniform(*ONSET_ASYNCHRONY, TRIALS - 1)
    onsets = np.round(np.cumsum([FIRST_ONSET, *gaps]) * rate) / rate
    median = 0.56 if recording.subject.group == "patient" else 0.5
    rows = []
    for onset, picture in zip(onsets.tolist(), pictures.tolist(), strict=True):
        rows.append(Event(onset, STIMULUS_DURATION, picture, VALUES[picture]))
        reaction = np.clip(median * np.exp(rng.normal(0, 0.16)), 0.3, 1.1)
        luck = rng.random()
        if luck < 0.03:
            continue
        button = BUTTONS[picture]
        if luck > 0.96:
            button = "left" if button == "right" else "right"
        pressed = round((onset + reaction) * rate) / rate
        rows.append(Event(pressed, 0.0, "response", BUTTON_VALUES[button], button, pressed - onset))
    return tuple(rows)


def duration(recording: Recording) -> int:
    """Return the length of one recording in whole seconds (EDF data records last 1 s)."""
    return int(np.ceil(events(recording)[-1].onset + TAIL))
