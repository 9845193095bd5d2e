"""Where electrodes sit: electrodes.tsv in the frame and the units that coordsystem.json states."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.entities import canonical_datatype, parse_name
from bidsmill.bids.repairs import Repairs, repair
from bidsmill.bids.sidecars import merged_json
from bidsmill.bids.tabular import read_tabular
from bidsmill.formats.numbers import finite_number

# Whose key of coordsystem.json tells the frame of electrodes.tsv; beside them stand those of
# fiducials and landmarks (BIDS 1.10, modality pages, "Coordinate System JSON").
ELECTRODE_KEYS = ("EEG", "iEEG", "EMG", "NIRS", "MEG")
# Which of them is that of the electrodes, for each datatype.
KEY_OF_DATATYPE: dict[str, tuple[str, ...]] = {
    "eeg": ("EEG",),
    "ieeg": ("iEEG",),
    "emg": ("EMG",),
    "nirs": ("NIRS",),
    "meg": ("EEG",),
}
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
# Coordinate systems whose axes are those of MNE's head frame (x right, y front, z up), and
# those that are turned by 90 degrees (x front, y left, z up: BIDS 1.10, appendix
# "Coordinate systems").
HEAD_FRAMES = {"CapTrak", "ElektaNeuromag", "ChietiItab"}
TURNED_FRAMES = {"CTF", "EEGLAB", "EEGLAB-HJ", "4DBti", "KitYokogawa"}


# Radius of a head in m, with room for small animals' heads and for electrodes inside: positions
# that are all nearer or farther are in another unit than stated. A person's head has about 0.09 m.
HEAD_RADIUS = (0.005, 0.3)
FEWEST_FOR_RADIUS = 4


@dataclass
class CoordinateSystem:
    """What coordsystem.json says (``kind="coordsystem"``).

    Attributes
    ----------
    datatype : str
        Of the recording, ``''`` if the files do not tell.
    content : dict
        The merged file.
    frame, unit : str or None
        Of the electrodes, None while nothing states them.
    """

    datatype: str
    content: dict[str, Any]
    frame: str | None = None
    unit: str | None = None


def electrode_positions(
    root: Path, sidecars: dict[str, list[str]], repairs: Repairs
) -> tuple[dict[str, list[float]], list[str]]:
    """Return the positions of the nearest electrodes.tsv whose frame and units are known.

    Parameters
    ----------
    root : pathlib.Path
        The dataset.
    sidecars : dict
        As in `bids.recordings.Recording.sidecars`, with ``electrodes.tsv``.
    repairs : Repairs
        Which rules may act.

    Returns
    -------
    positions : dict
        Electrode -> x, y, z in m in MNE's head frame.
    conflicts : list of str
        Why positions are not used.
    """
    conflicts: list[str] = []
    system = CoordinateSystem("", {})
    files = sidecars.get("coordsystem.json", [])
    for path in reversed(sidecars["electrodes.tsv"]):
        space = parse_name(path).entities.get("space")
        own = [p for p in files if parse_name(p).entities.get("space") in (None, space)]
        content, problems = merged_json(root, own, repairs)
        system = CoordinateSystem(_datatype(sidecars), content)
        _state(system, KEY_OF_DATATYPE.get(system.datatype, ELECTRODE_KEYS))
        conflicts += [*problems, *repairs.mend("coordsystem", system)]
        if system.frame in HEAD_FRAMES | TURNED_FRAMES and system.unit in METRES:
            found, told = _places(root / path, system, repairs)
            return found, [*conflicts, *told]
    if not files:
        return {}, ["electrode positions are not used: coordsystem.json is missing, no unit stated"]
    known = ", ".join(sorted(HEAD_FRAMES | TURNED_FRAMES))
    return {}, [
        *conflicts,
        f"electrode positions are not used: coordinate system {system.frame!r}, units"
        f" {system.unit!r}; known are {known} in m, cm or mm",
    ]


def _datatype(sidecars: dict[str, list[str]]) -> str:
    folders = (part for paths in sidecars.values() for path in paths for part in path.split("/"))
    known = [canonical_datatype(part) for part in folders]
    return next((part for part in known if part in KEY_OF_DATATYPE), "")


def _state(system: CoordinateSystem, keys: tuple[str, ...]) -> None:
    """Fill in frame and units from the first of the keys that is there."""
    for sensors in keys:
        if f"{sensors}CoordinateSystem" in system.content:
            stated = system.content[f"{sensors}CoordinateSystem"]
            unit = system.content.get(f"{sensors}CoordinateUnits")
            system.frame = None if stated is None else str(stated)
            system.unit = None if unit is None else str(unit)
            return


@repair(
    "coordsystem_of_another_modality",
    kind="coordsystem",
    risk="guess",
    failure="coordsystem.json states frame and units for another kind of sensor only.",
    effect="They are taken for those of the electrodes.",
    todo="state them under the key of the modality, such as `EEGCoordinateSystem`",
)
def coordsystem_of_another_modality(system: CoordinateSystem) -> str | None:
    """Take the frame and units that are stated for other sensors."""
    if system.frame is not None or system.unit is not None:
        return None
    found = [key for key in ELECTRODE_KEYS if f"{key}CoordinateSystem" in system.content]
    _state(system, tuple(found))
    if system.frame is None:
        return None
    return (
        f"coordsystem.json has no frame for {system.datatype} but {found[0]}CoordinateSystem;"
        " taken for that of the electrodes"
    )


def _places(
    path: Path, system: CoordinateSystem, repairs: Repairs
) -> tuple[dict[str, list[float]], list[str]]:
    """Return the positions of electrodes.tsv in m, in MNE's head frame."""
    assert system.unit is not None
    frame, conflicts = read_tabular(path, repairs)
    if not {"name", "x", "y", "z"} <= set(frame.columns):
        return {}, [*conflicts, "electrodes.tsv lacks a column of name, x, y, z; it is not used"]
    found: dict[str, list[float]] = {}
    without, repeated = [], set()
    for row in frame.to_dict("records"):
        axes = [finite_number(row[axis]) for axis in "xyz"]
        if None in axes:
            without.append(row["name"])
            continue
        place = np.array(axes, float) * METRES[system.unit]
        if system.frame in TURNED_FRAMES:
            place = np.array([-place[1], place[0], place[2]])
        rounded = [round(float(value), 6) for value in place]
        if found.setdefault(row["name"], rounded) != rounded:
            repeated.add(row["name"])
    if without:
        conflicts.append(f"electrodes.tsv has no position for {len(without)} of {len(frame)} rows")
    if repeated:
        conflicts.append(f"electrodes.tsv has two positions for {', '.join(sorted(repeated))}")
    found = {name: place for name, place in found.items() if name not in repeated}
    return _of_a_head(found, system, conflicts)


def _of_a_head(
    found: dict[str, list[float]], system: CoordinateSystem, conflicts: list[str]
) -> tuple[dict[str, list[float]], list[str]]:
    """Drop positions that can be on no head: the unit is another than stated."""
    radii = np.linalg.norm(np.array(list(found.values())).reshape(-1, 3), axis=1)
    typical = float(np.median(radii)) if len(radii) else 0.0
    if len(radii) < FEWEST_FOR_RADIUS or HEAD_RADIUS[0] <= typical <= HEAD_RADIUS[1]:
        return found, conflicts
    text = f"electrode positions are not used: in {system.unit} they lie {typical:g} m from the"
    return {}, [*conflicts, f"{text} origin, which no head does; units are never guessed"]
