"""Near-infrared spectroscopy: SNIRF."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.repairs import Repairs, repair
from bidsmill.errors import RecordingProblem

# Data types of a measurement list (SNIRF specification 1.1, appendix "Supported values of
# dataType"): those that MNE reads without loss of meaning, and what the others are.
KNOWN_TYPES = {1: "continuous-wave amplitude", 99999: "processed"}
OTHER_TYPES = {
    51: "continuous-wave fluorescence amplitude",
    101: "frequency-domain AC amplitude",
    102: "frequency-domain phase",
    201: "time-domain gated amplitude",
    301: "time-domain moments",
    401: "diffuse correlation spectroscopy g2",
    410: "diffuse correlation spectroscopy blood flow index",
}
# Parts of a second (same specification, TimeUnit).
TIME_UNITS = {"s": 1.0, "ms": 1e-3}
# Largest distance of a sample's time from an even grid, in periods: beyond it the sample would
# stand nearer to another place of the grid than to its own.
LARGEST_SHIFT = 0.5
# Shifts above this share of a period are told (MNE warns from there on).
TOLD_SHIFT = 0.01


@dataclass
class Times:
    """What a SNIRF file says of the times of its samples.

    Attributes
    ----------
    data : str
        The file's path in the dataset, for messages.
    n_times : int
        Samples of the recording.
    values : ndarray of float64
        The file's times, in s.
    sfreq : float or None
        Hz; None where it is not settled.
    notes : list of str
        What a person should know, though nothing was mended.
    """

    data: str
    n_times: int
    values: np.ndarray
    sfreq: float | None = None
    notes: list[str] = field(default_factory=list)


@repair(
    "snirf_two_times",
    kind="snirf",
    risk="guess",
    failure="The file gives two times for many samples: start and period, or first and last.",
    effect="Takes the second as the period, as the specification says.",
    todo="write the time of each sample",
)
def take_period(times: Times) -> str | None:
    """Take the second of two times as the period."""
    if times.sfreq is not None or len(times.values) != 2 or not times.values[1] > 0:
        return None
    times.sfreq = float(f"{1 / times.values[1]:.9g}")
    return (
        f"two times for {times.n_times} samples: the second, {times.values[1]:g} s, is the period"
    )


def read_snirf(path: Path, data: str, repairs: Repairs):
    """Open a SNIRF file; see `reading.open_recording` for the errors.

    What MNE would read as something else is refused: other data types than those of the first
    channel, columns that are not those of the measurement lists, uneven times.
    """
    import h5py
    import mne

    with h5py.File(path, "r") as file:
        times = _checked(file, data)
    _settle(times)
    repairs.mend("snirf", times)
    if times.sfreq is None:
        raise _no_rate(times)
    for note in times.notes:
        warnings.warn(note, RuntimeWarning, stacklevel=2)
    with warnings.catch_warnings():
        # What MNE says of times, is said above.
        warnings.filterwarnings("ignore", message="(Found jitter|User-supplied sampling)")
        return mne.io.read_raw_snirf(path, preload=False, sfreq=times.sfreq)


def _checked(file: Any, data: str) -> Times:
    """Return the times of a file whose channels are what MNE takes them for."""
    groups = [name for name in file if re.fullmatch("nirs[0-9]*", name)]
    if groups != ["nirs"]:
        raise _unsupported(data, "the file holds several recordings, or none", groups)
    blocks = [name for name in file["nirs"] if re.fullmatch("data[0-9]+", name)]
    if blocks != ["data1"]:
        raise _unsupported(data, "the file holds several blocks of data, or none", blocks)
    block = file["nirs/data1"]
    lists = [name for name in block if re.fullmatch("measurementList[0-9]+", name)]
    _check_types(block, lists, data)
    shape = np.shape(block["dataTimeSeries"])
    numbers = sorted(int(name.removeprefix("measurementList")) for name in lists)
    if len(shape) != 2 or shape[1] != len(lists) or numbers != list(range(1, len(lists) + 1)):
        raise RecordingProblem(
            "unreadable",
            "the samples of this SNIRF file are not those of its channels",
            file=data,
            found=f"samples of shape {shape}, {len(lists)} channels",
            expected=f"shape (times, {len(lists)})",
        )
    unit = _text(file["nirs/metaDataTags/TimeUnit"]) if _has_unit(file) else "unknown"
    if unit not in TIME_UNITS:
        raise RecordingProblem(
            "unreadable",
            "the unit of the times is not known",
            file=data,
            found=unit,
            expected=" or ".join(TIME_UNITS),
        )
    values = np.asarray(block["time"], float).reshape(-1) * TIME_UNITS[unit]
    times = Times(data, int(shape[0]), values)
    if "dataOffset" in block and np.any(np.asarray(block["dataOffset"])):
        times.notes.append("the file gives offsets of its channels, which are not added")
    return times


def _has_unit(file: Any) -> bool:
    return "nirs/metaDataTags/TimeUnit" in file


def _check_types(block: Any, lists: list[str], data: str) -> None:
    kinds: dict[int, int] = {}
    units: dict[str, int] = {}
    for name in lists:
        kind = int(np.ravel(block[f"{name}/dataType"])[0])
        if kind not in KNOWN_TYPES:
            meaning = OTHER_TYPES.get(kind, "not in the specification")
            raise _unsupported(
                data,
                "this kind of data of SNIRF has no reader here",
                [f"data type {kind} ({meaning}), {len(lists)} channels"],
                "data type " + " or ".join(f"{k} ({text})" for k, text in KNOWN_TYPES.items()),
            )
        kinds[kind] = kinds.get(kind, 0) + 1
        stated = f"{name}/dataUnit"
        unit = _text(block[stated]) if stated in block else ""
        units[unit] = units.get(unit, 0) + 1
    for what, found in (("data types", kinds), ("units", units)):
        if len(found) > 1:
            counts = [f"{key!r} in {count} channels" for key, count in found.items()]
            raise _unsupported(data, f"the channels differ in their {what}", counts)


def _settle(times: Times) -> None:
    """Take the rate from the times of all samples, if these are even."""
    values, n_times = times.values, times.n_times
    if len(values) != n_times or n_times < 3 or not np.all(np.isfinite(values)):
        return
    span = values[-1] - values[0]
    if not span > 0:
        return
    period = span / (n_times - 1)
    shift = float(_shifts(times).max())
    if shift > LARGEST_SHIFT:
        return
    # Nine digits: what is left of the rounding of the times goes.
    times.sfreq = float(f"{1 / period:.9g}")
    if shift > TOLD_SHIFT:
        times.notes.append(
            f"the times of samples are up to {shift:.1%} of a period off an even grid of"
            f" {times.sfreq:g} Hz, on which they are read"
        )


def _shifts(times: Times) -> np.ndarray:
    """Return how far each sample stands from an even grid from the first to the last."""
    values = times.values
    grid = np.linspace(values[0], values[-1], times.n_times)
    period = (values[-1] - values[0]) / max(1, times.n_times - 1)
    return np.abs(values - grid) / period


def _no_rate(times: Times) -> RecordingProblem:
    values, n_times = times.values, times.n_times
    if n_times == 0:
        return RecordingProblem(
            "no_samples", "the recording holds no samples", file=times.data, found="0 samples"
        )
    found = f"{len(values)} times for {n_times} samples"
    if len(values) <= 2:
        found += f": {', '.join(f'{value:g} s' for value in values)}"
    elif not np.all(np.isfinite(values)):
        found = f"{np.count_nonzero(~np.isfinite(values))} times that are no numbers"
    elif len(values) == n_times and values[-1] > values[0]:
        shifts = _shifts(times)
        at = int(np.argmax(shifts))
        found = (
            f"sample {at} at {values[at]:g} s, {shifts[at]:.3g} periods off an even grid from"
            f" {values[0]:g} to {values[-1]:g} s"
        )
    return RecordingProblem(
        "unsupported_format",
        "the times of the samples give no sampling rate",
        file=times.data,
        found=found,
        expected=f"{n_times} times, evenly spaced",
        todo="write the time of each sample; resample uneven recordings at their source",
    )


def _unsupported(data: str, what: str, found: list[str], expected=None) -> RecordingProblem:
    return RecordingProblem(
        "unsupported_format",
        what,
        file=data,
        found=", ".join(found) or "nothing",
        expected=expected or "one, as MNE reads it",
    )


def _text(cell: Any) -> str:
    value = np.ravel(cell[()])[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
