"""Which channels of a recording are asked for; decided from the recording alone."""

from __future__ import annotations

from typing import Any

from bidsmill.bids.channels import Channel
from bidsmill.errors import RecordingProblem
from bidsmill.formats.files import plain_text

# What `data` stands for, by datatype: the first set that the recording has channels of. EDF
# knows no types, so that without channels.tsv its channels are `eeg` for the reader.
DATA_TYPES: dict[str, list[set[str]]] = {
    "eeg": [{"eeg"}],
    "meg": [{"mag", "grad"}],
    "ieeg": [{"seeg", "ecog", "dbs"}, {"eeg"}],
    "emg": [{"emg"}, {"eeg"}],
    "nirs": [{"fnirs_cw_amplitude"}, {"fnirs_od"}, {"hbo", "hbr"}],
}


def choose_channels(
    channels: list[Channel], datatype: str, settings: dict[str, Any]
) -> list[Channel]:
    """Return the chosen channels, in column order.

    Parameters
    ----------
    channels : list of Channel
        All channels of the recording, in file order.
    datatype : str
        BIDS datatype of the recording.
    settings : dict
        ``channels`` of the dataset: ``types``, ``policy``, ``names``, ``exclude``, ``bad``.

    Raises
    ------
    RecordingProblem
        ``missing_channels`` if the list names one that the recording lacks;
        ``no_channels`` if nothing is left.
    """
    if settings["policy"] == "list":
        chosen = _listed(channels, [str(name) for name in settings["names"]])
    else:
        types = _types(channels, datatype, settings["types"])
        chosen = [channel for channel in channels if channel.type in types]
    chosen = without(chosen, excluded_names(settings))
    if settings["bad"] == "drop":
        chosen = [c for c in chosen if c.status != "bad"]
    if not chosen:
        present = sorted({channel.type for channel in channels})
        raise RecordingProblem(
            "no_channels",
            "no channel of this recording is asked for",
            found=f"channels of type {', '.join(present)}",
            expected=f"{datatype} channels of type {', '.join(settings['types'])}",
            todo="name other types in `channels.types`, or correct channels.tsv",
        )
    return chosen


def excluded_names(settings: dict[str, Any]) -> set[str]:
    """Return the names in `channels.exclude` in plain text."""
    return {plain_text(str(name)) for name in settings["exclude"]}


def without(channels: list[Channel], excluded: set[str]) -> list[Channel]:
    """Return the channels but those whose name or source name is excluded."""
    return [c for c in channels if not excluded & {c.name, plain_text(c.source_name)}]


def by_name(channels: list[Channel]) -> dict[str, Channel]:
    """Return channels by their name and, where no other has it, by their source name."""
    found = {plain_text(c.source_name): c for c in reversed(channels)}
    return found | {channel.name: channel for channel in channels}


def _types(channels: list[Channel], datatype: str, wanted: list[str]) -> set[str]:
    types = set(wanted) - {"data"}
    if "data" in wanted:
        present = {channel.type for channel in channels}
        candidates = DATA_TYPES[datatype]
        types |= next((group for group in candidates if group & present), candidates[0])
    return types


def _listed(channels: list[Channel], names: list[str]) -> list[Channel]:
    known = by_name(channels)
    missing = [name for name in names if plain_text(name) not in known]
    if missing:
        raise RecordingProblem(
            "missing_channels",
            "the recording lacks channels of the list",
            found=f"no channel {', '.join(missing)}",
            expected="every channel of `channels.names`",
        )
    # Two names may mean one channel: its source name and its column name.
    chosen = [known[plain_text(name)] for name in names]
    return list({channel.index: channel for channel in chosen}.values())


def unknown_exclusions(channels: list[Channel], settings: dict[str, Any]) -> list[str]:
    """Return a text about names in `channels.exclude` that no channel has, if there are any."""
    known = {name for c in channels for name in (c.name, plain_text(c.source_name))}
    unknown = [str(n) for n in settings["exclude"] if plain_text(str(n)) not in known]
    if not unknown:
        return []
    return [f"`channels.exclude` names channels that are not here: {', '.join(unknown)}"]
