"""A canonical montage: the same electrodes in the same order, whatever was recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from bidsmill.bids.channels import Channel
from bidsmill.bids.montages import built_in_montage
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.formats.files import plain_text

# Electrodes of the 10-20 system that the extended 10-10 system renamed: the place is the same
# (American Electroencephalographic Society 1991, J. Clin. Neurophysiol. 8:200-202).
NEW_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
OTHER_NAMES = {**NEW_NAMES, **{new: old for old, new in NEW_NAMES.items()}}
# With fewer sources a spline says little of what lies between them.
FEWEST_SOURCES = 4


@dataclass
class Placed:
    """Channels of a matrix, and those that have to be interpolated.

    Attributes
    ----------
    chosen : list of Channel
        In column order; ``index`` is -1 for an electrode that was not recorded.
    targets : list of int
        Places in `chosen` of those to interpolate.
    sources : list of Channel
        From which, with positions.
    positions : str
        Where the positions are from.
    steps : list of dict
        What was done, with all parameters.
    notes : list of str
        What could not be done.
    """

    chosen: list[Channel]
    targets: list[int]
    sources: list[Channel]
    positions: str
    steps: list[dict[str, Any]]
    notes: list[str]


def place_on_montage(channels: list[Channel], settings: dict[str, Any]) -> Placed:
    """Return the electrodes of the configured montage, from what a recording has of them.

    Parameters
    ----------
    channels : list of Channel
        Those that may be used.
    settings : dict
        ``channels`` of the dataset: ``montage``, ``names``, ``bad``, ``min_share``.

    Raises
    ------
    RecordingProblem
        ``missing_channels`` if too few of the electrodes were recorded.
    """
    places = canonical_places(settings["montage"], tuple(map(str, settings["names"])))
    found = match_electrodes(list(places), [c for c in channels if c.type == "eeg"])
    keep_bad = settings["bad"] == "keep"
    present = {e: c for e, c in found.items() if keep_bad or c.status != "bad"}
    missing = [electrode for electrode in places if electrode not in present]
    good = {e: c for e, c in present.items() if c.status != "bad"}
    needed = max(settings["min_share"] * len(places), FEWEST_SOURCES if missing else 1)
    if len(present) < needed or (missing and len(good) < FEWEST_SOURCES):
        raise RecordingProblem(
            "missing_channels",
            f"the recording has too few electrodes of the montage {settings['montage']}",
            found=f"{len(present)} of {len(places)}; missing are {', '.join(missing)}",
            expected=f"at least {int(np.ceil(needed))} (`channels.min_share`)",
            todo="name fewer electrodes in `channels.names`, or lower `channels.min_share`",
        )
    measured = all(channel.position is not None for channel in good.values())
    if measured:
        sources = [
            c for c in channels if c.type == "eeg" and c.status != "bad" and c.position is not None
        ]
    else:
        sources = [replace(c, position=places[e]) for e, c in good.items()]
    chosen = [
        _electrode(
            electrode, places[electrode], found.get(electrode), electrode in present, measured
        )
        for electrode in places
    ]
    renamed = {e: c.source_name for e, c in present.items() if plain_text(c.source_name) != e}
    positions = "recording" if measured else settings["montage"]
    step = {
        "step": "montage",
        "montage": settings["montage"],
        "electrodes": list(places),
        "positions": positions,
        "renamed": renamed,
        "missing": missing,
    }
    targets = [row for row, electrode in enumerate(places) if electrode not in present]
    return Placed(chosen, targets, sources, positions, [step], [])


def _electrode(
    name: str, place: list[float], channel: Channel | None, present: bool, measured: bool
) -> Channel:
    if channel is None:
        return Channel(-1, "", name, "eeg", "V", "interpolated", place)
    position = channel.position if measured and channel.position is not None else place
    status = channel.status if present else "interpolated"
    return replace(channel, name=name, status=status, position=position)


@lru_cache(maxsize=8)
def canonical_places(montage: str, names: tuple[str, ...] = ()) -> dict[str, list[float]]:
    """Return the electrodes of a standard montage in their order, and their places.

    Old names of electrodes that the montage has under their new name too (T3 and T7) are left
    out: they are one electrode.

    Parameters
    ----------
    montage : str
        A standard montage of MNE.
    names : tuple of str
        Only these, in this order; all if empty.

    Returns
    -------
    dict
        Electrode -> ``[x, y, z]`` in m in MNE's head frame.

    Raises
    ------
    BidsmillError
        If the montage has no electrode of a name.
    """
    import mne

    standard = built_in_montage(montage)
    info = mne.create_info(list(standard.ch_names), 1.0, "eeg")
    info.set_montage(standard)
    places = {
        channel["ch_name"]: [round(float(value), 6) for value in channel["loc"][:3]]
        for channel in info["chs"]
    }
    if not names:
        return {e: place for e, place in places.items() if NEW_NAMES.get(e) not in places}
    unknown = [name for name in names if name not in places]
    if unknown:
        raise BidsmillError(
            "`channels.names` has electrodes that the montage does not know",
            found=", ".join(unknown),
            expected=f"electrodes of {montage}: {', '.join(places)}",
        )
    return {name: places[name] for name in names}


def match_electrodes(electrodes: list[str], channels: list[Channel]) -> dict[str, Channel]:
    """Find the channel of each electrode, by name only.

    The same name; else the same but for case; else the other name of the electrode in the 10-20
    system (T3 is T7, T4 is T8, T5 is P7, T6 is P8). A name that several channels have decides
    nothing.

    Parameters
    ----------
    electrodes : list of str
        Canonical names.
    channels : list of Channel
        Of the recording.

    Returns
    -------
    dict
        Electrode -> channel, for those found, in the order of `electrodes`.
    """
    rules: list[Callable[[str], str]] = [
        lambda name: name,
        str.casefold,
        lambda name: OTHER_NAMES.get(name, ""),
        lambda name: OTHER_NAMES.get(name.upper(), "").casefold(),
    ]
    found: dict[str, Channel] = {}
    for place, rule in enumerate(rules):
        folded = place % 2 == 1
        free = [c for c in channels if all(c is not used for used in found.values())]
        wanted = [electrode for electrode in electrodes if electrode not in found]
        for electrode in wanted:
            name = rule(electrode)
            # Another electrode that differs in case only would have the same claim.
            alone = sum(rule(other) == name for other in wanted) == 1
            own = [c for c in free if name and _name(c, folded) == name]
            if alone and len(own) == 1:
                found[electrode] = own[0]
    return {electrode: found[electrode] for electrode in electrodes if electrode in found}


def _name(channel: Channel, folded: bool) -> str:
    name = plain_text(channel.source_name)
    return name.casefold() if folded else name
