"""Rows are cut from a node of the recording's streams instead of the recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bidsmill.bids.channels import Channel
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.formats.stream import StreamFile
from bidsmill.formats.stream_names import stream_file
from bidsmill.signal.source import Signal


@dataclass
class StreamNode:
    """A node that rows are cut from.

    Attributes
    ----------
    name : str
        As in ``windows.source``.
    signal : Signal
        Its samples.
    t0 : float
        Time of its first sample in s.
    channels : list of Channel
        Its channels; ``index`` is -1 where the recording has none of that name.
    step : dict
        What ``processing`` says of it.
    """

    name: str
    signal: Signal
    t0: float
    channels: list[Channel]
    step: dict[str, Any]

    def told_of(self, boundaries: int) -> list[str]:
        """Return what is to be told where the recording is not continuous."""
        if not boundaries or not self.step["history"]:
            return []
        return [
            f"the node {self.name} was computed over {boundaries} boundaries: rows beside them may"
            f" hold {self.step['reach_seconds']:.4g} s of what lies beyond"
        ]


def stream_of(
    streams: Path, member: dict[str, Any], node: str, entry: dict[str, Any]
) -> tuple[Path, dict[str, Any]]:
    """Return the file of a node, and what its manifest says of the node.

    Parameters
    ----------
    streams : pathlib.Path
        ``results/{dataset}/streams``.
    member : dict
        The recording's entry in ``plan/{batch}.json``.
    node : str
        ``windows.source``.
    entry : dict
        The recording's entry in ``streams/{batch}.json``.

    Raises
    ------
    RecordingProblem
        ``no_stream`` if there is no such file.
    """
    name = stream_file(member["stem"], node)
    stated = entry["files"].get(name)
    path = streams / name
    if stated is None or not path.is_file() or path.stat().st_size != stated["size"]:
        raise RecordingProblem(
            "no_stream",
            f"the stream of the node {node} is missing or cut",
            file=name,
            todo=f"snakemake -f {streams}/{name.removesuffix('.parquet')}.json",
        )
    return path, entry["nodes"][node]


def open_node(path: Path, node: str, facts: dict[str, Any], recorded: list[Channel]) -> StreamNode:
    """Open a node as the signal that rows are cut from.

    Parameters
    ----------
    path : pathlib.Path
        Its file.
    node : str
        Its name.
    facts : dict
        ``identity`` and ``reach_seconds``.
    recorded : list of Channel
        The channels of the recording.

    Raises
    ------
    RecordingProblem
        ``no_stream`` if the file is not what it says.
    """
    try:
        signal = StreamFile(path)
    except BidsmillError as problem:
        raise RecordingProblem("no_stream", problem.message()) from None
    core = signal.core
    places = {channel.name: channel.index for channel in recorded}
    channels = [
        Channel(
            index=places.get(channel.name, -1),
            source_name=channel.source_name or channel.name,
            name=channel.name,
            type=channel.type,
            unit=channel.unit,
            status=channel.status,
            position=None if channel.position is None else list(channel.position),
        )
        for channel in core.channels
    ]
    step = {
        "step": "stream",
        "node": node,
        **facts,
        "history": [dict(entry) for entry in core.history],
    }
    return StreamNode(node, signal, core.t0, channels, step)
