"""From the channels of a recording to those of its matrix: choice, montage, bad ones, reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bidsmill.bids.channel_choice import choose_channels, excluded_names, without
from bidsmill.bids.channels import Channel
from bidsmill.convert import spline
from bidsmill.convert.mixing import Interpolation, Mixed, Mixing, Reference
from bidsmill.convert.montage import FEWEST_SOURCES, Placed, place_on_montage
from bidsmill.convert.reference import Referenced, find_reference
from bidsmill.signal.source import Signal


@dataclass
class ChannelPlan:
    """The channels of a matrix and how they are made; decided from the recording alone.

    Attributes
    ----------
    chosen : list of Channel
        In column order; ``status`` is ``interpolated`` where a spline makes the values, and
        ``index`` -1 where nothing of that name was recorded.
    picks : list of int
        Channels of the file to read.
    mixing : Mixing or None
        How the columns are made from these; None: they are the columns.
    steps : list of dict
        What is done, with all parameters.
    notes : list of str
        What was asked for and cannot be done.
    """

    chosen: list[Channel]
    picks: list[int]
    mixing: Mixing | None
    steps: list[dict[str, Any]]
    notes: list[str]

    def apply(self, source: Signal) -> Signal:
        """Return the signal of the columns from that of `picks`."""
        return source if self.mixing is None else Mixed(source, self.mixing)


def plan_channels(
    channels: list[Channel],
    datatype: str,
    settings: dict[str, Any],
    reference: str | list[str] | None,
) -> ChannelPlan:
    """Decide on the channels of a matrix.

    Interpolation comes before the reference: the recording's own channels make both, and since
    the weights of a spline add up to 1, the other order would give the same.

    Parameters
    ----------
    channels : list of Channel
        All channels of the recording, in file order.
    datatype : str
        BIDS datatype of the recording.
    settings : dict
        ``channels`` of the dataset.
    reference : str, list of str or None
        ``reference`` of the dataset.

    Raises
    ------
    RecordingProblem
        As `choose_channels`, `place_on_montage` and `find_reference` raise them.
    """
    excluded = excluded_names(settings)
    usable = without(channels, excluded)
    if settings["policy"] == "montage":
        placed = place_on_montage(usable, settings)
    else:
        placed = _with_bad_interpolated(
            choose_channels(channels, datatype, settings), usable, settings
        )
    chosen = placed.chosen
    referenced, notes = find_reference(channels, chosen, datatype, reference, excluded)
    steps, notes = list(placed.steps), [*placed.notes, *notes]
    if not placed.targets and not referenced:
        return ChannelPlan(chosen, [c.index for c in chosen], None, steps, notes)
    weights = None
    if placed.targets:
        weights, step = _weights(placed)
        steps.append(step)
    steps.extend(entry.step for entry in referenced)
    picks, mixing = _mixing(placed, weights, referenced)
    return ChannelPlan(chosen, picks, mixing, steps, notes)


def _with_bad_interpolated(
    chosen: list[Channel], usable: list[Channel], settings: dict[str, Any]
) -> Placed:
    """Find the bad channels to interpolate: EEG whose places are known."""
    if settings["bad"] != "interpolate":
        return Placed(chosen, [], [], "", [], [])
    bad = [row for row, channel in enumerate(chosen) if channel.status == "bad"]
    sources = [
        c for c in usable if c.type == "eeg" and c.status == "good" and c.position is not None
    ]
    targets, kept = [], []
    for row in bad:
        channel = chosen[row]
        if channel.type != "eeg":
            kept.append(f"{channel.name} (type {channel.type})")
        elif channel.position is None:
            kept.append(f"{channel.name} (its place is not known)")
        elif len(sources) < FEWEST_SOURCES:
            kept.append(f"{channel.name} (good EEG channels with a known place: {len(sources)})")
        else:
            targets.append(row)
    notes = (
        [f"bad channels that cannot be interpolated are kept: {', '.join(kept)}"] if kept else []
    )
    made = [
        replace(channel, status="interpolated") if row in targets else channel
        for row, channel in enumerate(chosen)
    ]
    return Placed(made, targets, sources, "recording", [], notes)


def _weights(placed: Placed) -> tuple[np.ndarray, dict[str, Any]]:
    targets = [placed.chosen[row] for row in placed.targets]
    start = np.array([channel.position for channel in placed.sources], float)
    goal = np.array([channel.position for channel in targets], float)
    origin = spline.fit_origin(np.concatenate([start, goal]))
    step = {
        "step": "interpolate",
        "method": "spherical splines (Perrin et al. 1989)",
        "channels": [channel.name for channel in targets],
        "sources": [channel.source_name for channel in placed.sources],
        "positions": placed.positions,
        "origin": origin.tolist(),
        "stiffness": spline.STIFFNESS,
        "terms": spline.TERMS,
        "smoothing": spline.SMOOTHING,
    }
    return spline.spline_weights(start, goal, origin), step


def _mixing(
    placed: Placed, weights: np.ndarray | None, referenced: list[Referenced]
) -> tuple[list[int], Mixing]:
    """Return the channels to read, in file order, and what is made from them."""
    targets = set(placed.targets)
    copied = [-1 if row in targets else c.index for row, c in enumerate(placed.chosen)]
    needed = {index for index in copied if index >= 0}
    needed.update(c.index for c in placed.sources if weights is not None)
    needed.update(c.index for entry in referenced for c in entry.inputs)
    picks = sorted(needed)
    place = {index: position for position, index in enumerate(picks)} | {-1: -1}
    interpolation = None
    if weights is not None:
        inputs = np.array([place[channel.index] for channel in placed.sources])
        interpolation = Interpolation(np.array(placed.targets), inputs, weights)
    references = [
        Reference(np.array(entry.rows), np.array([place[c.index] for c in entry.inputs]))
        for entry in referenced
    ]
    return picks, Mixing(np.array([place[index] for index in copied]), interpolation, references)


def channel_rows(channels: list[Channel], chosen: list[Channel]) -> list[dict[str, Any]]:
    """Return what ``channels.tsv`` says: every channel of the file, and those made without one.

    Parameters
    ----------
    channels : list of Channel
        All channels of the recording.
    chosen : list of Channel
        Those of the matrix.
    """
    kept = {channel.index: channel for channel in chosen if channel.index >= 0}
    rows = [{**kept.get(c.index, c).as_metadata(), "kept": c.index in kept} for c in channels]
    return rows + [{**c.as_metadata(), "kept": True} for c in chosen if c.index < 0]
