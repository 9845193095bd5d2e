"""Made-up datasets for the tests of the split: rows as `collate` writes them."""

from __future__ import annotations

import numpy as np
import pandas as pd

COLUMNS = [
    *("recording", "row", "onset", "start", "stop", "subject", "session", "task", "run"),
    *("participant_group", "label", "excluded"),
]
RATE = 256


def fixed_windows(recordings, windows=5, length=1.0, step=1.0) -> pd.DataFrame:
    """Return equal windows of (subject, session, run, participant group, labels) recordings.

    `labels` is a function of the window's number, or one text for all windows.
    """
    rows = []
    for subject, session, run, group, labels in recordings:
        stem = "_".join(
            f"{key}-{value}"
            for key, value in (("sub", subject), ("ses", session), ("task", "x"), ("run", run))
            if value
        )
        for i in range(windows):
            start = round(i * step * RATE)
            label = labels(i) if callable(labels) else labels
            place = (f"{stem}_eeg", i, start / RATE, start, start + round(length * RATE))
            rows.append((*place, subject, session, "x", run, group, label, ""))
    return pd.DataFrame(rows, columns=COLUMNS)


def alcoholism() -> pd.DataFrame:
    """Return 20 subjects, 10 of each group, with 5 windows of one second each."""
    people = [(f"co2a{i:04}", "alcoholic") for i in range(10)]
    people += [(f"co2c{i:04}", "control") for i in range(10)]
    return fixed_windows([(name, "", "", group, group) for name, group in people])


def p300(seed: int = 0) -> pd.DataFrame:
    """Return two subjects, 3 + 1 sessions of two runs of 120 s, targets rare (about 85 : 15)."""
    chance = np.random.default_rng(seed)
    rows = []
    sessions = [("01", "01"), ("01", "02"), ("01", "03"), ("02", "01")]
    for subject, session in sessions:
        for run in ("01", "02"):
            stem = f"sub-{subject}_ses-{session}_task-p300_run-{run}_eeg"
            onset, i = 0.5, 0
            while onset < 118:
                start = round((onset - 0.2) * RATE)
                label = "target" if chance.random() < 0.15 else "non-target"
                place = (stem, i, onset, start, start + RATE)
                rows.append((*place, subject, session, "p300", run, "", label, ""))
                i += 1
                onset = round(onset + 0.5 + 0.2 * chance.random(), 6)
    return pd.DataFrame(rows, columns=COLUMNS)


def random_dataset(seed: int, subjects: int) -> pd.DataFrame:
    """Return subjects with different numbers of rows, sessions, classes and exclusions."""
    chance = np.random.default_rng(seed)
    classes = ["", "face", "house", "tool"]
    parts = []
    for number in range(subjects):
        rates = chance.dirichlet(np.ones(4))
        for session in range(int(chance.integers(1, 3))):
            part = fixed_windows(
                [(f"{number:03}", f"{session + 1}", "1", "ab"[int(chance.integers(0, 2))], "")],
                windows=int(chance.integers(3, 30)),
                step=float(chance.choice([0.5, 1.0])),
            )
            part["label"] = chance.choice(classes, size=len(part), p=rates)
            part["excluded"] = chance.choice(["", "flat"], size=len(part), p=[0.9, 0.1])
            parts.append(part)
    return pd.concat(parts, ignore_index=True)
