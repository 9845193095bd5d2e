"""Signals that were scaled by statistics of more than their own side.

Two things can be seen: a processing step that states on what it was fitted (``fitted_on``), and a
mean of 0 with a standard deviation of 1 over the rows of all sides together, to the rounding error
of float32, where neither single recordings nor train alone have them. Scaling by other statistics
that no metadata states (minimum and maximum, median, whitening) leaves no trace to look for.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from bidsmill.formats.certificate import group_ids
from bidsmill.formats.numbers import counted
from bidsmill.split.audit.finding import some
from bidsmill.split.audit.material import Material

# Fitted on the signal itself: nothing of other rows comes in, or of rows of one side only.
OWN = {"row", "window", "epoch", "channel", "sample", "recording", "self", "train", "none", ""}
EVERYTHING = {"all", "dataset", "store", "test", "validation", "everything"}
# Words in the name of a step that scales by statistics.
SCALING = ("normali", "standardi", "zscore", "z-score", "z_score", "scaler", "whiten")
# How near to 0 and 1 mean and standard deviation over all rows are, and how many times farther
# from them those of a single recording and of train.
EXACT, FARTHER = 1e-4, 100.0


def check_declared(material: Material) -> None:
    """Find processing steps that state that they were fitted on rows of other sides."""
    side_of: dict[str, set[str]] = defaultdict(set)
    groups = [
        material.recordings,
        *(group_ids(material.samples, x) for x in ("subject", "session")),
    ]
    for names in groups:
        for name, side in set(zip(names, material.side, strict=True)):
            if side not in ("none", ""):
                side_of[name].add(side)
    sides = set(material.side) - {"none", ""}
    leaking: dict[str, list[str]] = defaultdict(list)
    untold: dict[str, list[str]] = defaultdict(list)
    for recording, document in material.documents.items():
        steps = document.get("processing")
        for step in steps if isinstance(steps, list) else []:
            if not isinstance(step, dict) or not side_of[recording]:
                continue
            name = str(step.get("step", ""))
            if "fitted_on" in step:
                seen = _sides_seen(step["fitted_on"], material, recording, side_of, sides)
                if seen is None:
                    untold[name].append(recording)
                elif (seen - {"train"}) and len(seen | side_of[recording]) > 1:
                    leaking[name].append(recording)
            elif any(word in name.lower() for word in SCALING):
                untold[name].append(recording)
    for name, recordings in sorted(leaking.items()):
        material.found(
            "normalised_on_other_sides",
            "leak",
            f"The step {name!r} of {counted(len(recordings), 'recording')} states that it was "
            "fitted on rows of other sides, test or validation among them: train knows what test "
            "looks like. Fit it on train alone, or on each recording.",
            count=len(recordings),
            places=some(recordings),
        )
    for name, recordings in sorted(untold.items()):
        material.found(
            "normalisation_unknown",
            "note",
            f"The step {name!r} of {counted(len(recordings), 'recording')} scales by statistics "
            "and does not state on which rows they were taken (`fitted_on`: row, recording, "
            "train, dataset, or names of recordings).",
            count=len(recordings),
            places=some(recordings),
        )


def _sides_seen(fitted: Any, material, recording, side_of, sides) -> set[str] | None:
    """Return the sides whose rows a step was fitted on, or None if that cannot be told."""
    names = [fitted] if isinstance(fitted, str) else fitted
    if not isinstance(names, list):
        return None
    own = np.flatnonzero(material.recordings == recording)[:1]
    seen: set[str] = set()
    for name in map(str, names):
        if name in ("subject", "session"):
            seen |= side_of[str(group_ids(material.samples.iloc[own], name)[0])]
        elif name in ("test", "validation"):
            seen |= {name}
        elif name in EVERYTHING:
            seen |= sides
        elif name == "train":
            seen |= {"train"}
        elif name in side_of:
            seen |= side_of[name]
        elif name not in OWN:
            return None
    return seen


class Moments:
    """Sums and sums of squares of each channel, by layout, recording and side."""

    def __init__(self) -> None:
        self._sums: dict[tuple, list[Any]] = {}

    def add(self, layout: tuple, recording: str, sides: np.ndarray, rows: np.ndarray) -> None:
        """Take in rows.

        Parameters
        ----------
        layout : tuple
            What recordings that can be scaled together have in common.
        recording : str
            The recording.
        sides : numpy.ndarray
            Shape (n_rows,): side of each row.
        rows : numpy.ndarray
            float32, shape (n_rows, n_channels, n_times).
        """
        total = rows.sum(axis=2).astype(np.float64)
        squares = np.einsum("rct,rct->rc", rows, rows).astype(np.float64)
        for side in np.unique(sides):
            own = sides == side
            held = self._sums.setdefault(
                (layout, recording, side), [np.zeros(rows.shape[1]), np.zeros(rows.shape[1]), 0]
            )
            held[0] += total[own].sum(axis=0)
            held[1] += squares[own].sum(axis=0)
            held[2] += int(own.sum()) * rows.shape[2]

    def check(self, material: Material) -> None:
        """Find layouts that were scaled over all sides together."""
        layouts = sorted({key[0] for key in self._sums}, key=str)
        for layout in layouts:
            own = {k[1:]: v for k, v in self._sums.items() if k[0] == layout}
            recordings = sorted({recording for recording, _ in own})
            if len(recordings) < 2 or len({side for _, side in own}) < 2:
                continue
            for together in (False, True):
                if _scaled_jointly(own, recordings, together):
                    how = "over all channels together" if together else "in each channel"
                    material.found(
                        "normalised_over_sides",
                        "leak",
                        f"The rows of {counted(len(recordings), 'recording')} have, all sides "
                        f"together, a mean of 0 and a standard deviation of 1 {how} to rounding "
                        "error, and neither single recordings nor train alone have them: the "
                        "signals were scaled by statistics that hold test. Fit the scaling on "
                        "train alone, or on each recording.",
                        count=len(recordings),
                        places=some(recordings),
                    )
                    break


def _scaled_jointly(own: dict, recordings: list[str], together: bool) -> bool:
    joint = _off(list(own.values()), together)
    if not (joint <= EXACT).all():
        return False
    limit = FARTHER * max(EXACT, float(joint.max()))
    single = [_off([v for k, v in own.items() if k[0] == r], together).max() for r in recordings]
    train = _off([v for k, v in own.items() if k[1] == "train"], together).max()
    return max(single) > limit and train > EXACT * 3 and train > 3 * float(joint.max())


def _off(parts: list, together: bool) -> np.ndarray:
    """Return how far mean and standard deviation are from 0 and 1, per channel."""
    if not parts:
        return np.array([np.inf])
    total, squares = sum(p[0] for p in parts), sum(p[1] for p in parts)
    number = sum(p[2] for p in parts)
    if together:
        total, squares, number = total.sum(), squares.sum(), number * len(parts[0][0])
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / number
        deviation = np.sqrt(np.maximum(squares / number - mean**2, 0))
    off = np.maximum(np.abs(mean), np.abs(deviation - 1))
    return np.atleast_1d(np.where(np.isfinite(off), off, np.inf))
