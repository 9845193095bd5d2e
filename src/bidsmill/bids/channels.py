"""Channels: types, status and positions, from the header and the sidecars that match it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.entities import parse_name
from bidsmill.bids.reading import OpenRecording
from bidsmill.bids.sidecars import merged_json
from bidsmill.bids.tabular import read_tabular
from bidsmill.formats.layout import column_names

# BIDS channel types (BIDS 1.10, modality pages) -> MNE's. MEG sensors are not here: what
# kind of coil a sensor has is a fact of the header.
TYPE_OF_BIDS = {
    "EEG": "eeg",
    "ECOG": "ecog",
    "SEEG": "seeg",
    "DBS": "dbs",
    "EMG": "emg",
    "EOG": "eog",
    "VEOG": "eog",
    "HEOG": "eog",
    "ECG": "ecg",
    "RESP": "resp",
    "GSR": "gsr",
    "TEMP": "temperature",
    "TRIG": "stim",
    "MISC": "misc",
    "REF": "misc",
    "AUDIO": "misc",
    "PD": "misc",
    "PUPIL": "pupil",
    "EYEGAZE": "eyegaze",
    "SYSCLOCK": "syst",
    "ADC": "misc",
    "DAC": "misc",
    "OTHER": "misc",
}
HEADER_DECIDES = {"mag", "grad", "ref_meg", "hbo", "hbr", "fnirs_cw_amplitude", "fnirs_od"}

# Whose key of coordsystem.json tells the frame of electrodes.tsv; beside them stand those of
# fiducials and landmarks (BIDS 1.10, modality pages, "Coordinate System JSON").
ELECTRODE_KEYS = ("EEG", "iEEG", "EMG", "NIRS", "MEG")
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
# Coordinate systems whose axes are those of MNE's head frame (x right, y front, z up), and
# those that are turned by 90 degrees (x front, y left, z up: BIDS 1.10, appendix
# "Coordinate systems").
HEAD_FRAMES = {"CapTrak", "ElektaNeuromag", "ChietiItab"}
TURNED_FRAMES = {"CTF", "EEGLAB", "EEGLAB-HJ", "4DBti", "KitYokogawa"}


@dataclass
class Channel:
    """One channel of a recording; position in m in MNE's head frame, or None."""

    index: int
    source_name: str
    name: str
    type: str
    unit: str
    status: str
    position: list[float] | None

    def as_metadata(self) -> dict[str, Any]:
        """Return what the matrix file says of the channel."""
        return {
            "name": self.name,
            "source_name": self.source_name,
            "type": self.type,
            "unit": self.unit,
            "status": self.status,
            "position": self.position,
        }


def describe_channels(
    opened: OpenRecording, root: Path, sidecars: dict[str, list[str]]
) -> tuple[list[Channel], list[str]]:
    """Return the channels of a recording.

    The names, their order and the units are the header's. ``channels.tsv`` decides type and
    status where its name is exactly that of the header; nothing is matched by position.

    Parameters
    ----------
    opened : OpenRecording
        The recording.
    root : pathlib.Path
        The dataset.
    sidecars : dict
        As in `bids.recordings.Recording.sidecars`.

    Returns
    -------
    channels : list of Channel
        In file order.
    conflicts : list of str
        Where header and sidecars disagree.
    """
    rows, conflicts = _channel_rows(opened, root, sidecars)
    positions, told = _positions(opened, root, sidecars)
    conflicts.extend(told)
    channels = []
    for index, (source, name) in enumerate(
        zip(opened.names, column_names(opened.names), strict=True)
    ):
        row = rows.get(source, {})
        kind = opened.types[index]
        stated = row.get("type", "").upper()
        if stated in TYPE_OF_BIDS and kind not in HEADER_DECIDES:
            kind = TYPE_OF_BIDS[stated]
        bad = row.get("status", "").casefold() == "bad" or source in opened.bads
        channels.append(
            Channel(
                index=index,
                source_name=source,
                name=name,
                type=kind,
                unit="n/a" if kind == "stim" else opened.units[index],
                status="bad" if bad else "good",
                position=positions.get(source),
            )
        )
    return channels, conflicts


def _channel_rows(opened, root, sidecars) -> tuple[dict[str, dict[str, str]], list[str]]:
    paths = sidecars.get("channels.tsv", [])
    if not paths:
        return {}, []
    frame, conflicts = read_tabular(root / paths[-1])
    if "name" not in frame.columns:
        return {}, [*conflicts, f"{Path(paths[-1]).name} has no column name; it is not used"]
    rows: dict[str, dict[str, str]] = {}
    for row in frame.to_dict("records"):
        rows.setdefault(row["name"], row)
    unknown = [name for name in rows if name not in opened.names]
    lacking = [name for name in opened.names if name not in rows]
    if unknown or lacking:
        conflicts.append(
            f"channels.tsv and the file disagree on names: only in channels.tsv"
            f" {_some(unknown)}, only in the file {_some(lacking)}; the file's names are used"
        )
    rates = {row.get("sampling_frequency", "") for row in rows.values()} - {""}
    for rate in sorted(rates):
        if _differs(rate, opened.sfreq):
            conflicts.append(
                f"channels.tsv says {rate} Hz, the file {opened.sfreq:g} Hz; the file's is used"
            )
    return rows, conflicts


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5]) or "none"
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _differs(text: Any, value: float) -> bool:
    try:
        return abs(float(text) - value) > 1e-3 * abs(value)
    except (TypeError, ValueError):
        return False


def rate_conflict(opened: OpenRecording, sidecar: dict[str, Any]) -> list[str]:
    """Return the conflict between the sidecar's SamplingFrequency and the header's, if any."""
    stated = sidecar.get("SamplingFrequency")
    if stated is None or not _differs(stated, opened.sfreq):
        return []
    return [
        f"the sidecar says SamplingFrequency {stated} Hz, the file {opened.sfreq:g} Hz;"
        " the file's is used"
    ]


def _positions(opened, root, sidecars) -> tuple[dict[str, list[float]], list[str]]:
    """Return electrode positions: of electrodes.tsv if its frame is known, else the header's."""
    paths = sidecars.get("electrodes.tsv", [])
    if paths:
        return _electrode_positions(root, paths, sidecars.get("coordsystem.json", []))
    found = {}
    for name, channel in zip(opened.names, opened.raw.info["chs"], strict=True):
        place = np.asarray(channel["loc"][:3], float)
        # Coordinate frame 4 is FIFF's head frame, 1 the MEG device's.
        in_head = int(channel["coord_frame"]) == 4
        if in_head and np.all(np.isfinite(place)) and np.any(place != 0):
            found[name] = [round(float(value), 6) for value in place]
    return found, []


def _electrode_positions(root, paths, coordsystems) -> tuple[dict[str, list[float]], list[str]]:
    """Return the positions of the nearest electrodes.tsv whose frame and units are known."""
    conflicts: list[str] = []
    stated = unit = None
    for path in reversed(paths):
        space = parse_name(path).entities.get("space")
        own = [p for p in coordsystems if parse_name(p).entities.get("space") in (None, space)]
        system, problems = merged_json(root, own)
        conflicts.extend(problems)
        stated, unit = _frame_and_unit(system)
        if stated in HEAD_FRAMES | TURNED_FRAMES and unit in METRES:
            found, told = _places(root / path, stated, METRES[unit])
            return found, [*conflicts, *told]
    return {}, [
        *conflicts,
        f"electrode positions are not used: coordinate system {stated!r}, units {unit!r};"
        f" known are {', '.join(sorted(HEAD_FRAMES | TURNED_FRAMES))} in m, cm or mm",
    ]


def _frame_and_unit(system: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return coordinate system and units of the electrodes (fiducials have their own)."""
    for sensors in ELECTRODE_KEYS:
        if f"{sensors}CoordinateSystem" in system:
            stated = system[f"{sensors}CoordinateSystem"]
            unit = system.get(f"{sensors}CoordinateUnits")
            return None if stated is None else str(stated), None if unit is None else str(unit)
    return None, None


def _places(path: Path, stated: str, scale: float) -> tuple[dict[str, list[float]], list[str]]:
    frame, conflicts = read_tabular(path)
    if not {"name", "x", "y", "z"} <= set(frame.columns):
        return {}, [*conflicts, "electrodes.tsv lacks a column of name, x, y, z; it is not used"]
    found = {}
    for row in frame.to_dict("records"):
        try:
            place = np.array([float(row[axis]) for axis in "xyz"]) * scale
        except ValueError:
            continue
        if stated in TURNED_FRAMES:
            place = np.array([-place[1], place[0], place[2]])
        if np.all(np.isfinite(place)):
            found[row["name"]] = [round(float(value), 6) for value in place]
    return found, conflicts
