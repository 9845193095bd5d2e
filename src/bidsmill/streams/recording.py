"""One recording of BIDS becomes a stream and its epocs; memory does not grow with its length."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bidsmill.bids.channel_choice import choose_channels, unknown_exclusions
from bidsmill.bids.channels import Channel
from bidsmill.bids.described import (
    describe_recording,
    format_name,
    load_if_rates_differ,
    source_sha256,
)
from bidsmill.bids.events import seconds
from bidsmill.bids.recording_signal import RecordingSignal, block_samples
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.formats import files, tables
from bidsmill.formats.epocs import write_epocs
from bidsmill.formats.epocs_bids import epocs_from_bids
from bidsmill.formats.numbers import LARGEST_EXACT, finite_number
from bidsmill.formats.stream import StreamFile, StreamWriter
from bidsmill.formats.stream_core import StreamChannel, StreamCore
from bidsmill.formats.stream_units import NO_UNIT, QUANTITY_OF_TYPE, parse_unit
from bidsmill.version import __version__

if TYPE_CHECKING:
    import pandas as pd

# Columns of events/{recording}.tsv that say what `windows` does with an event, not what it is.
OF_WINDOWS = ("chosen", "reason")


def write_recording(
    member: dict[str, Any], root: Path, output: Path, settings: dict[str, Any]
) -> dict[str, Any]:
    """Write the stream of a recording: the chosen channels as they were recorded, in SI units.

    Parameters
    ----------
    member : dict
        The recording's entry in ``plan/{batch}.json``, with the sha256 of its ``files``.
    root : pathlib.Path
        The dataset.
    output : pathlib.Path
        ``streams/{recording}_stream.parquet``; its sidecar is written beside it.
    settings : dict
        ``channels`` and ``repairs`` of the dataset. Of `channels` the choice: a stream is as it
        was recorded, without interpolation, and a montage chooses as ``native`` does.

    Returns
    -------
    dict
        ``files`` (name -> size and sha256), ``repairs``, ``conflicts``.

    Raises
    ------
    RecordingProblem
        If the recording cannot be opened, or its metadata make no valid core
        (``stream_metadata``).
    """
    known = describe_recording(member, root, settings["repairs"])
    opened, conflicts = known.opened, list(known.conflicts)
    choice = settings["channels"]
    if choice["policy"] == "montage":
        choice = {**choice, "policy": "native"}
    chosen = choose_channels(known.channels, member["datatype"], choice)
    conflicts += unknown_exclusions(known.channels, choice)
    picks = [channel.index for channel in chosen]
    conflicts += load_if_rates_differ(opened, picks)
    channels, told = _stream_channels(chosen)
    core = StreamCore(
        name=member["stem"],
        sfreq=opened.sfreq,
        n_samples=opened.n_times,
        channels=channels,
        clock=member["stem"],
        source={
            "uri": member["data"],
            "sha256": source_sha256(member),
            "reader": f"mne {format_name(opened)}",
            "reader_version": version("mne"),
        },
        other={"line_frequency": finite_number(str(known.sidecar.get("PowerLineFrequency", "")))},
    )
    stated = _write(RecordingSignal(opened, picks, root, member["data"]), core, output)
    return {
        "files": files_of(output, stated),
        "repairs": opened.repairs,
        "conflicts": [*conflicts, *told, *opened.warnings],
    }


def _stream_channels(chosen: list[Channel]) -> tuple[tuple[StreamChannel, ...], list[str]]:
    """Return the channels of a stream, and which of them have a unit that nobody knows."""
    made, unknown = [], []
    for channel in chosen:
        unit = channel.unit
        # A body's signal without a unit is refused by the core; of a trigger nobody needs one.
        if parse_unit(unit) is None and QUANTITY_OF_TYPE.get(channel.type) is None:
            unknown.append(f"{channel.name} ({unit})")
            unit = NO_UNIT
        source = files.plain_text(channel.source_name)
        made.append(
            StreamChannel(
                channel.name,
                channel.type,
                unit,
                low_cutoff=channel.low_cutoff,
                high_cutoff=channel.high_cutoff,
                status=channel.status,
                source_name=source if source and source != channel.name else None,
                position=channel.position,  # type: ignore[arg-type]
            )
        )
    told = [f"units that are not known became n/a: {', '.join(unknown)}"] if unknown else []
    return tuple(made), told


def _write(signal: RecordingSignal, core: StreamCore, output: Path) -> dict[str, Any]:
    files.remove_parts(output)
    try:
        writer = StreamWriter(output, core)
    except BidsmillError as problem:
        raise RecordingProblem(
            "stream_metadata",
            problem.what,
            file=problem.file,
            found=problem.found,
            expected=problem.expected,
            todo="correct the recording, its channels.tsv, or `channels` in the config",
        ) from None
    # Whole blocks of memory that are filled again and again: 4 bytes a sample, not 8.
    step = min(block_samples(core.n_channels), max(core.n_samples, 1))
    block = np.empty((core.n_channels, step), np.float32)
    with writer:
        for start in range(0, core.n_samples, step):
            stop = min(start + step, core.n_samples)
            part = block[:, : stop - start] if stop - start == step else _last(block, stop - start)
            with np.errstate(over="ignore"):
                signal.read_into(start, stop, part)
            writer.write(part)
        return writer.close()


def _last(block: np.ndarray, count: int) -> np.ndarray:
    """Return contiguous space for the last samples."""
    return block.reshape(-1)[: len(block) * count].reshape(len(block), count)


def write_recording_epocs(
    stem: str, events_path: Path, stream: Path, output: Path
) -> dict[str, Any]:
    """Write all events of a recording, with their HED, on the clock of its stream.

    Parameters
    ----------
    stem : str
        The recording.
    events_path : pathlib.Path
        ``events/{recording}.tsv``.
    stream : pathlib.Path
        ``streams/{recording}_stream.parquet``.
    output : pathlib.Path
        ``streams/{recording}_epocs.parquet``.

    Returns
    -------
    dict
        ``files`` and ``conflicts``: events without a usable onset, or outside of the recording.
    """
    core = StreamFile(stream).core
    events = events_of(events_path)
    onsets = np.array([seconds(text) for text in events["onset"]], float)
    with np.errstate(invalid="ignore"):
        # An onset beyond has no sample.
        usable = np.abs(onsets * core.sfreq) < LARGEST_EXACT
    conflicts = []
    if not usable.all():
        count = int((~usable).sum())
        conflicts.append(f"{count} event(s) without a usable onset are not in the epocs")
    events = events[usable].reset_index(drop=True)
    # As numbers are written here: a source may write 1e0, or 01.5.
    events["onset"] = [repr(float(onset)) for onset in onsets[usable]]
    source = {
        "uri": f"events/{events_path.name}",
        "sha256": events_sha256(events_path),
        "reader": "bidsmill",
        "reader_version": __version__,
    }
    files.remove_parts(output)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        epocs = epocs_from_bids(events, core, outside="warn", name=stem, source=source)
    conflicts += [str(one.message) for one in caught if one.category is UserWarning]
    return {"files": files_of(output, write_epocs(output, epocs)), "conflicts": conflicts}


def events_of(path: Path) -> pd.DataFrame:
    """Return the events of a recording without what depends on `windows`."""
    events = tables.read_tsv(path)
    return events.drop(columns=[name for name in OF_WINDOWS if name in events])


def events_sha256(path: Path) -> str:
    """Return the sha256 of what `events_of` gives: another choice of rows changes no epocs."""
    events = events_of(path)
    cells = [list(map(str, events[column])) for column in events.columns]
    return files.canonical_sha256([list(map(str, events.columns)), cells])


def files_of(path: Path, stated: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what a receipt says of a data file and its sidecar."""
    facts = {path.name: stated, path.with_suffix(".json").name: stated["sidecar"]}
    return {name: {"size": fact["size"], "sha256": fact["sha256"]} for name, fact in facts.items()}
