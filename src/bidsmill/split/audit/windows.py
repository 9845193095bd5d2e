"""Windows of two sides that hold, or were made from, the same samples of the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bidsmill.formats.certificate import rows_by_value
from bidsmill.formats.numbers import counted
from bidsmill.split.audit.finding import some
from bidsmill.split.audit.material import Material

# Seconds within which two times are equal.
EQUAL = 1e-6
# Steps that stay within a row or look at one sample at a time.
WITHOUT_REACH = {"reference", "montage", "windows", "baseline", "cast", "exclude", "interpolate"}


@dataclass(frozen=True)
class Reach:
    """How far the samples of a row look beyond it.

    Attributes
    ----------
    seconds : float
        To either side.
    text : str
        From which steps.
    unknown : tuple of str
        Steps of time whose reach the metadata do not state.
    """

    seconds: float
    text: str
    unknown: tuple[str, ...] = ()


def reach_of(document: dict[str, Any]) -> Reach:
    """Return how far processing reaches, by the metadata of a matrix.

    A finite filter of n taps at a rate f reaches (n - 1) / 2 / f to either side, a resampler half
    the width of its kernel; steps behind one another add up.

    Parameters
    ----------
    document : dict
        The metadata; ``processing`` lists steps as `bidsmill.signal` describes them.
    """
    seconds, texts, unknown = 0.0, [], []
    steps = document.get("processing")
    for step in steps if isinstance(steps, list) else []:
        if not isinstance(step, dict):
            continue
        kind = str(step.get("step", ""))
        if kind == "filter":
            for part in step["steps"] if isinstance(step.get("steps"), list) else [step]:
                half = _half_length(part)
                if half is None:
                    unknown.append(kind)
                else:
                    seconds += half
                    texts.append(f"filter {half:.4g} s")
        elif kind == "resample":
            half = step.get("half_width_seconds", 0.0 if step.get("method") == "none" else None)
            if not isinstance(half, int | float):
                unknown.append(kind)
            elif half:
                seconds += half
                texts.append(f"resampler {half:.4g} s")
        elif kind not in WITHOUT_REACH and "reach_seconds" in step:
            seconds += float(step["reach_seconds"])
            texts.append(f"{kind} {float(step['reach_seconds']):.4g} s")
    return Reach(seconds, " + ".join(texts) or "no filter and no resampler", tuple(unknown))


def _half_length(part: Any) -> float | None:
    """Return half the length of a filter in seconds, or None if that is not stated."""
    if not isinstance(part, dict):
        return None
    length, sfreq = part.get("length"), part.get("sfreq_hz", part.get("sfreq"))
    if isinstance(length, int | float) and isinstance(sfreq, int | float) and sfreq > 0:
        return (length - 1) / 2 / sfreq
    return None


def check_windows(material: Material) -> None:
    """Find windows of two sides that overlap, or lie nearer than processing reaches."""
    samples, side = material.samples, material.side
    start = samples["start"].to_numpy(dtype=float)
    stop = samples["stop"].to_numpy(dtype=float)
    overlapping: dict[str, int] = {}
    near: dict[str, tuple[int, float, Reach]] = {}
    sharing: dict[str, tuple[int, float, Reach]] = {}
    unknown: dict[str, Reach] = {}
    for name, rows in rows_by_value(material.recordings).items():
        rows = rows[~np.isin(side[rows], ("none", ""))]
        if len(set(side[rows])) < 2:
            continue
        document = material.documents.get(name, {})
        reach = reach_of(document)
        rate = float(document.get("sfreq") or 0) or 1.0
        gap = _gaps(start[rows] / rate, stop[rows] / rate, side[rows])
        if reach.unknown:
            unknown[name] = reach
        if (gap < -EQUAL).any():
            overlapping[name] = int((gap < -EQUAL).sum())
        apart = gap[gap >= -EQUAL]
        within = apart < reach.seconds - EQUAL
        if within.any():
            near[name] = int(within.sum()), float(apart.min()), reach
        elif (apart < 2 * reach.seconds - EQUAL).any():
            number = int((apart < 2 * reach.seconds - EQUAL).sum())
            sharing[name] = number, float(apart.min()), reach
    _tell_overlap(material, overlapping)
    _tell_near(material, near, sharing)
    if unknown:
        steps = sorted({step for reach in unknown.values() for step in reach.unknown})
        material.found(
            "reach_unknown",
            "note",
            f"{counted(len(unknown), 'recording')} with windows on several sides: the metadata do "
            f"not state how far the {' and the '.join(steps)} reaches, so that nothing shows "
            "whether windows of two sides were made from the same samples.",
            count=len(unknown),
            places=some(list(unknown)),
        )


def _gaps(start: np.ndarray, stop: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Return the seconds from each window to the nearest of another side; -1 if they overlap."""
    gap = np.full(len(start), np.inf)
    for name in set(side):
        own, others = np.flatnonzero(side == name), np.flatnonzero(side != name)
        begins, ends = np.sort(start[others]), np.sort(stop[others])
        began = np.searchsorted(begins, stop[own] - EQUAL, side="left")
        ended = np.searchsorted(ends, start[own] + EQUAL, side="right")
        after = np.append(begins, np.inf)[began] - stop[own]
        before = start[own] - np.concatenate([[-np.inf], ends])[ended]
        gap[own] = np.where(began > ended, -1.0, np.maximum(np.minimum(after, before), 0.0))
    return gap


def _tell_overlap(material: Material, overlapping: dict[str, int]) -> None:
    if overlapping:
        number = sum(overlapping.values())
        material.found(
            "windows_overlap",
            "leak",
            f"{counted(number, 'window')} of {counted(len(overlapping), 'recording')} share "
            "samples of the source with a window of another side: the same signal is trained and "
            "tested on. Split by recording or subject, or leave a gap between the sides.",
            count=number,
            places=some(list(overlapping)),
        )


def _tell_near(material: Material, near, sharing) -> None:
    for code, severity, found, why in (
        (
            "windows_within_reach",
            "leak",
            near,
            "nearer to a window of another side than filter and resampler reach: samples of one "
            "side were made from signal of the other. Leave a gap of at least",
        ),
        (
            "windows_share_input",
            "note",
            sharing,
            "nearer to a window of another side than twice the reach of filter and resampler: both "
            "were made from the signal between them, which neither holds. To share nothing, leave",
        ),
    ):
        if not found:
            continue
        number = sum(rows for rows, _, _ in found.values())
        longest = max((reach for _, _, reach in found.values()), key=lambda r: r.seconds)
        nearest = min(gap for _, gap, _ in found.values())
        needed = longest.seconds * (1 if severity == "leak" else 2)
        material.found(
            code,
            severity,
            f"{counted(number, 'window')} of {counted(len(found), 'recording')} lie {why} "
            f"{needed:.4g} s between the sides (reach: {longest.text}; nearest: {nearest:.4g} s).",
            count=number,
            places=some(list(found)),
            facts={"reach_seconds": longest.seconds, "nearest_seconds": nearest},
        )
