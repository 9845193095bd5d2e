"""The reference of electric channels: as recorded, their average, or named channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bidsmill.bids.channel_choice import by_name, without
from bidsmill.bids.channels import Channel
from bidsmill.errors import RecordingProblem
from bidsmill.formats.files import plain_text

# Potentials against a common electrode. Each type is referenced for itself, as
# ``mne.set_eeg_reference`` does it where a recording has several of them: contacts in depth and
# on the cortex do not share a mean with the scalp.
REFERENCED = ("eeg", "ecog", "seeg", "dbs")
# What EDF calls `eeg` in these is something else (EDF knows no types).
NOT_ELECTRIC = {"emg", "nirs"}
# The average of one channel is the channel: it would become zero.
FEWEST_AVERAGED = 2


@dataclass
class Referenced:
    """Channels of a matrix, and the recorded channels whose mean is subtracted from them.

    Attributes
    ----------
    rows : list of int
        Places in the matrix.
    inputs : list of Channel
        Good recorded channels.
    step : dict
        What was done, with all parameters.
    """

    rows: list[int]
    inputs: list[Channel]
    step: dict[str, Any]


def find_reference(
    channels: list[Channel],
    chosen: list[Channel],
    datatype: str,
    reference: str | list[str] | None,
    exclude: set[str],
) -> tuple[list[Referenced], list[str]]:
    """Return what is subtracted from which channels.

    The average is that over all good channels of a type that the recording has, in the matrix or
    not, but for those that the configuration excludes. An interpolated channel is no part of it;
    bad and interpolated channels are referenced like the others.

    Parameters
    ----------
    channels : list of Channel
        All channels of the recording.
    chosen : list of Channel
        Those of the matrix.
    datatype : str
        BIDS datatype.
    reference : str, list of str or None
        ``average``, names, or as recorded.
    exclude : set of str
        Names that are left out.

    Returns
    -------
    referenced : list of Referenced
        One per type.
    notes : list of str
        What was not done.

    Raises
    ------
    RecordingProblem
        ``missing_channels`` if a named channel is not there; ``reference_impossible`` if no good
        channels are left to reference to, or the named ones are of other types.
    """
    if reference is None:
        return [], []
    kinds = () if datatype in NOT_ELECTRIC else REFERENCED
    rows = {kind: [i for i, c in enumerate(chosen) if c.type == kind] for kind in kinds}
    rows = {kind: places for kind, places in rows.items() if places}
    if not rows:
        return [], ["the reference is as recorded: the matrix holds no EEG or iEEG channel"]
    if reference == "average":
        usable = without(channels, exclude)
        return [_average(usable, kind, places) for kind, places in rows.items()], []
    named, notes = _named(channels, [str(name) for name in reference])
    kind = named[0].type
    others = sorted(set(rows) - {kind})
    if others:
        notes.append(f"the reference of channels of type {', '.join(others)} is as recorded")
    if kind not in rows:
        return [], notes
    step: dict[str, Any] = {"step": "reference", "kind": "named", "type": kind}
    step["channels"] = [channel.source_name for channel in named]
    return [Referenced(rows[kind], named, step)], notes


def _average(channels: list[Channel], kind: str, rows: list[int]) -> Referenced:
    good = [c for c in channels if c.type == kind and c.status == "good"]
    if len(good) < FEWEST_AVERAGED:
        raise RecordingProblem(
            "reference_impossible",
            f"too few good channels of type {kind} for an average reference",
            found=str(len(good)),
            expected=f"at least {FEWEST_AVERAGED}",
            todo="set `reference: null`, or correct the status in channels.tsv",
        )
    step = {"step": "reference", "kind": "average", "type": kind}
    return Referenced(rows, good, {**step, "channels": [c.source_name for c in good]})


def _named(channels: list[Channel], names: list[str]) -> tuple[list[Channel], list[str]]:
    known = by_name(channels)
    missing = [name for name in names if plain_text(name) not in known]
    if missing:
        raise RecordingProblem(
            "missing_channels",
            "the recording lacks channels of the reference",
            found=f"no channel {', '.join(missing)}",
            expected="every channel of `reference`",
        )
    found = list({c.index: c for c in (known[plain_text(name)] for name in names)}.values())
    kinds = {channel.type for channel in found}
    good = [channel for channel in found if channel.status == "good"]
    if len(kinds) > 1 or not kinds <= set(REFERENCED) or not good:
        raise RecordingProblem(
            "reference_impossible",
            "the named channels cannot serve as reference",
            found=", ".join(f"{c.source_name} ({c.type}, {c.status})" for c in found),
            expected=f"good channels of one type among {', '.join(REFERENCED)}",
            todo="name other channels in `reference`, or correct type and status in channels.tsv",
        )
    bad = [channel.source_name for channel in found if channel.status != "good"]
    notes = [f"bad channels are no part of the reference: {', '.join(bad)}"] if bad else []
    return good, notes
