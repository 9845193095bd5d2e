"""Channels: types, status and positions, from the header and the sidecars that match it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.electrodes import electrode_positions
from bidsmill.bids.reading import OpenRecording
from bidsmill.bids.repairs import Repairs, repair
from bidsmill.bids.sidecars import differs
from bidsmill.bids.tabular import agreed_rows, read_tabular
from bidsmill.formats.layout import column_names
from bidsmill.formats.numbers import finite_number

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


@dataclass
class Channel:
    """One channel of a recording.

    Position in m in MNE's head frame, or None; cutoffs of the amplifier in Hz, None where unknown.
    """

    index: int
    source_name: str
    name: str
    type: str
    unit: str
    status: str
    position: list[float] | None
    low_cutoff: float | None = None
    high_cutoff: float | None = None

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


@dataclass
class ChannelRows:
    """What channels.tsv says (``kind="channels"``).

    Attributes
    ----------
    file : str
        Its name.
    names : list of str
        The channel names of the data file, without space around them.
    rows : list of dict
        Column -> cell, row by row; ``''``: none.
    """

    file: str
    names: list[str]
    rows: list[dict[str, str]]


def describe_channels(
    opened: OpenRecording,
    root: Path,
    sidecars: dict[str, list[str]],
    repairs: Repairs | None = None,
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
    repairs : Repairs, optional
        Which rules may act on the sidecars; those that lose nothing if absent.

    Returns
    -------
    channels : list of Channel
        In file order.
    conflicts : list of str
        Where header and sidecars disagree.
    """
    repairs = repairs or Repairs()
    rows, conflicts = _channel_rows(opened, root, sidecars, repairs)
    positions, told = _positions(opened, root, sidecars, repairs)
    conflicts.extend(told)
    channels = []
    for index, (source, name) in enumerate(
        zip(opened.names, column_names(opened.names), strict=True)
    ):
        row = rows.get(source.strip(), {})
        kind = opened.types[index]
        stated = row.get("type", "").upper()
        if stated in TYPE_OF_BIDS and kind not in HEADER_DECIDES:
            kind = TYPE_OF_BIDS[stated]
        bad = row.get("status", "").casefold() == "bad" or source in opened.bads
        low, high = _cutoffs(row)
        channels.append(
            Channel(
                index=index,
                source_name=source,
                name=name,
                type=kind,
                unit="n/a" if kind == "stim" else opened.units[index],
                status="bad" if bad else "good",
                position=positions.get(source, positions.get(source.strip())),
                low_cutoff=low,
                high_cutoff=high,
            )
        )
    return channels, conflicts


def _cutoffs(row: dict[str, str]) -> tuple[float | None, float | None]:
    """Return the cutoffs of channels.tsv in Hz; those that leave no band are not known."""
    low, high = finite_number(row.get("low_cutoff")), finite_number(row.get("high_cutoff"))
    low, high = (edge if edge is not None and edge >= 0 else None for edge in (low, high))
    if high is not None and high <= (low or 0.0):
        return None, None
    return low, high


def _channel_rows(
    opened: OpenRecording, root: Path, sidecars: dict[str, list[str]], repairs: Repairs
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Return the rows of channels.tsv by name, and what is wrong with it."""
    paths = sidecars.get("channels.tsv", [])
    if not paths:
        return {}, []
    file = Path(paths[-1]).name
    frame, conflicts = read_tabular(root / paths[-1], repairs)
    if frame.empty:
        return {}, conflicts or [f"{file} lists no channel"]
    names = [name.strip() for name in opened.names]
    table = ChannelRows(file, names, frame.to_dict("records"))
    conflicts += repairs.mend("channels", table)
    if "name" not in table.rows[0]:
        return {}, [*conflicts, f"{file} has no column name; it is not used"]
    rows: dict[str, dict[str, str]] = {}
    repeated = set()
    for row in table.rows:
        if row["name"] in rows:
            repeated.add(row["name"])
        rows[row["name"]] = row
    rows.pop("", None)
    conflicts += _disagreements(names, list(rows))
    if repeated:
        conflicts.append(f"{file} lists {_some(sorted(repeated))} more than once; not used")
        rows = {name: row for name, row in rows.items() if name not in repeated}
    for rate in sorted({row.get("sampling_frequency", "") for row in rows.values()} - {""}):
        stated = finite_number(rate)
        if stated is not None and differs(stated, opened.sfreq):
            conflicts.append(
                f"channels.tsv says {rate} Hz, the file {opened.sfreq:g} Hz; the file's is used"
            )
    return rows, conflicts


def _disagreements(names: list[str], listed: list[str]) -> list[str]:
    """Say where channels.tsv lists other channels than the file, or the same in another order."""
    unknown = [name for name in listed if name not in names]
    lacking = [name for name in names if name not in listed]
    if unknown or lacking:
        return [
            f"channels.tsv and the file disagree on names: only in channels.tsv"
            f" {_some(unknown)}, only in the file {_some(lacking)}; the file's names are used"
        ]
    if listed != list(dict.fromkeys(names)):
        return ["channels.tsv has the channels in another order; the file's is used"]
    return []


@repair(
    "channel_name_column",
    kind="channels",
    risk="lossless",
    failure="The column of names in channels.tsv is not called `name`.",
    effect="The first column is read as the names if each of its cells is a channel of the file.",
    todo="call the column `name`",
)
def channel_name_column(table: ChannelRows) -> str | None:
    """Take the first column for the names where all of it are names of the file."""
    if not table.rows or "name" in table.rows[0]:
        return None
    first = next(iter(table.rows[0]))
    if not all(row[first] in table.names for row in table.rows):
        return None
    table.rows = [{"name": row.pop(first), **row} for row in table.rows]
    return f"{table.file} has no column name; its first, {first!r}, holds names of the file's"


@repair(
    "repeated_channel_rows",
    kind="channels",
    risk="lossless",
    failure="channels.tsv lists a channel more than once.",
    effect=(
        "What the rows agree on is used, and n/a for the rest. A channel that one of them calls"
        " bad is bad."
    ),
    todo="keep one row per channel",
)
def repeated_channel_rows(table: ChannelRows) -> str | None:
    """Make one row of several with the same name."""
    if not table.rows or "name" not in table.rows[0]:
        return None
    bad = {row["name"] for row in table.rows if row.get("status", "").casefold() == "bad"}
    table.rows, told = agreed_rows(table.rows, "name")
    for row in table.rows:
        if row["name"] in bad:
            row["status"] = "bad"
    return f"{table.file} lists {told}" if told else None


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5]) or "none"
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown


def _positions(
    opened: OpenRecording, root: Path, sidecars: dict[str, list[str]], repairs: Repairs
) -> tuple[dict[str, list[float]], list[str]]:
    """Return electrode positions: of electrodes.tsv if its frame is known, else the header's."""
    if sidecars.get("electrodes.tsv"):
        return electrode_positions(root, sidecars, repairs)
    found = {}
    for name, channel in zip(opened.names, opened.raw.info["chs"], strict=True):
        place = np.asarray(channel["loc"][:3], float)
        # Coordinate frame 4 is FIFF's head frame, 1 the MEG device's.
        in_head = int(channel["coord_frame"]) == 4
        if in_head and np.all(np.isfinite(place)) and np.any(place != 0):
            found[name] = [round(float(value), 6) for value in place]
    return found, []
