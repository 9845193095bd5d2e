"""Channels, positions and markers of EEGLAB recordings, as MNE describes them."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from bidsmill.bids.readers.eeglab_header import LOCATION_KEYS, Header
from bidsmill.bids.readers.eeglab_rules import kept_epochs
from bidsmill.bids.readers.matlab_values import number
from bidsmill.errors import RecordingProblem

# EEGLAB's samples are µV, MNE's V.
MICROVOLT = 1e-6
# Units of positions by the mean radius of the electrodes in that unit: a head has some 0.085 m
# (the limits are MNE's for ``montage_units="auto"``).
POSITION_UNITS = ((0.25, 1.0), (2.5, 0.1), (25.0, 0.01), (math.inf, 0.001))
FIDUCIALS = {
    "Nasion": "nasion",
    "Left periauricular point": "lpa",
    "Right periauricular point": "rpa",
}
BOUNDARY = "boundary"


def channel_info(header: Header, data: str) -> tuple[Any, np.ndarray | None]:
    """Return MNE's info of a recording, and the positions of its channels.

    Returns
    -------
    info : mne.Info
        Names and types of the header; channels without a label are called ``EEG 000`` by their
        number, as MNE does.
    positions : ndarray, shape (n_channels, 3), or None
        In m, head coordinates; NaN where a channel has none.

    Raises
    ------
    RecordingProblem
        ``unreadable`` if the header describes another number of channels.
    """
    import mne

    locations = header.fields.records("chanlocs", LOCATION_KEYS)
    if locations and len(locations) != header.n_channels:
        raise RecordingProblem(
            "unreadable",
            "the header describes another number of channels than it states",
            file=data,
            found=f"{len(locations)} elements of chanlocs",
            expected=f"{header.n_channels} channels (nbchan)",
            todo="correct chanlocs; names are never given by position",
        )
    labels = [_label(location.get("labels")) for location in locations]
    labels = labels or [""] * header.n_channels
    if not all(labels):
        _note(
            f"{labels.count('')} of {len(labels)} channels have no label, and are called EEG"
            " and their number from 0"
        )
    names = [label or f"EEG {index:03d}" for index, label in enumerate(labels)]
    info = mne.create_info(names, header.sfreq, _types(locations, names))
    for channel in info["chs"]:
        channel["cal"] = MICROVOLT
    return info, _positions(locations)


def _note(text: str) -> None:
    """Tell of something that is not as it should be; `open_recording` keeps warnings."""
    warnings.warn(text, RuntimeWarning, stacklevel=3)


def _label(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return f"{number(value):g}" if math.isfinite(number(value)) else ""


def _types(locations: list[dict[str, Any]], names: list[str]) -> list[str]:
    import mne

    known = set(mne.io.get_channel_type_constants()) - {"mag", "grad", "ref_meg"}
    types, unknown = [], set()
    for location in locations or [{}] * len(names):
        stated = location.get("type")
        kind = stated.strip().lower() if isinstance(stated, str) else ""
        unknown |= {kind} - known - {""}
        types.append(kind if kind in known else "eeg")
    if unknown:
        _note(f"types of channels that are not known, taken as EEG: {', '.join(sorted(unknown))}")
    return types


def _positions(locations: list[dict[str, Any]]) -> np.ndarray | None:
    """Return positions in m: EEGLAB's X points to the nose, MNE's to the right ear."""
    if not locations or not all(axis in locations[0] for axis in "XYZ"):
        return None
    values = np.array([[number(each.get(axis)) for axis in "XYZ"] for each in locations])
    positions = np.column_stack([-values[:, 1], values[:, 0], values[:, 2]])
    return positions * _position_unit(positions)


def _position_unit(positions: np.ndarray) -> float:
    known = positions[np.isfinite(positions).all(axis=1)]
    if not len(known):
        return 1.0
    radius = np.linalg.norm(known, axis=1).mean()
    return next(unit for limit, unit in POSITION_UNITS if radius < limit)


def set_positions(raw: Any, header: Header, positions: np.ndarray | None) -> None:
    """Give a raw object the positions of its channels and the fiducials of the header."""
    import mne

    if positions is None:
        return
    fiducials = {}
    chaninfo = header.fields.records("chaninfo", ("nodatchans", *LOCATION_KEYS))
    found = chaninfo[0].get("nodatchans") if chaninfo else None
    for each in found if isinstance(found, list) else []:
        place = FIDUCIALS.get(str(each.get("description")))
        if place and each.get("type") == "FID":
            fiducials[place] = np.array([number(each.get(axis)) for axis in "XYZ"])
    montage = mne.channels.make_dig_montage(
        dict(zip(raw.ch_names, positions, strict=True)), coord_frame="head", **fiducials
    )
    raw.set_montage(montage)


def file_annotations(header: Header) -> Any:
    """Return the events of a recording, and a boundary between any two epochs.

    Returns
    -------
    mne.Annotations
        Events without a latency are left out, and counted in a warning.
    """
    import mne

    onsets, durations, texts = [], [], []
    for event in header.events:
        latency, duration = number(event.get("latency")), number(event.get("duration"))
        if not math.isfinite(latency):
            continue
        if header.durations_clamped:
            duration = max(0.0, duration)
        onsets.append((latency - 1) / header.sfreq)
        durations.append(duration / header.sfreq if "duration" in event else 0.0)
        texts.append(_event_type(event.get("type")))
    lost = len(header.events) - len(onsets)
    if lost:
        _note(f"{lost} event(s) of the file have no latency, and are left out")
    if header.joined:
        for place in range(1, len(kept_epochs(header))):
            onsets.append(place * header.length / header.sfreq)
            durations.append(0.0)
            texts.append(BOUNDARY)
    return mne.Annotations(onsets, durations, texts)


def _event_type(value: Any) -> str:
    """Return the type of an event as text; a whole number is written as one."""
    if isinstance(value, str):
        return value
    if value is None or np.size(value) == 0:
        return "n/a"
    amount = number(value)
    if not math.isfinite(amount):
        return " ".join(str(part) for part in np.asarray(value).reshape(-1).tolist())
    return str(int(amount)) if amount == int(amount) else repr(amount)
