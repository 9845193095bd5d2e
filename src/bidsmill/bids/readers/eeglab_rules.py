"""Repairs of EEGLAB recordings."""

from __future__ import annotations

import math

import numpy as np

from bidsmill.bids.readers.companions import described
from bidsmill.bids.readers.eeglab_header import Header, SetFile
from bidsmill.bids.readers.matlab_values import number
from bidsmill.bids.repairs import repair
from bidsmill.bids.tabular import read_tabular


@repair(
    "eeglab_single_dataset",
    kind="eeglab_file",
    risk="lossless",
    failure="The file holds EEGLAB's list of datasets (ALLEEG), of which one has samples.",
    effect="That one is read.",
    todo="Save the dataset alone with EEGLAB's pop_saveset.",
)
def mend_single_dataset(file: SetFile) -> str | None:
    """Take the only dataset with samples."""
    if file.chosen is not None or len(file.filled) != 1:
        return None
    file.chosen = file.filled[0]
    return f"{len(file.datasets)} datasets in one file; the only one with samples is read"


@repair(
    "eeglab_renamed_fdt",
    kind="eeglab",
    risk="lossless",
    failure="The header names a .fdt file of an old name.",
    effect="The .fdt file with the stem of the .set is read, if its size is exactly as stated.",
    todo="Load and save the recording with EEGLAB, or correct `EEG.data` and `EEG.datfile`.",
)
def mend_renamed_fdt(header: Header) -> str | None:
    """Take the .fdt of the header's stem for the one that is not there, or does not fit."""
    fdt = header.fdt
    if header.array is not None or len(fdt.beside) != 1 or fdt.path in fdt.beside:
        return None
    if header.size_of(fdt.beside[0]) != header.size_stated:
        return None
    if fdt.path is not None and header.size_of(fdt.path) == header.size_stated:
        return None
    message = f"{described(fdt)}, which is read: it has exactly the size that the header states"
    fdt.path = fdt.beside[0]
    return message


@repair(
    "eeglab_truncated_fdt",
    kind="eeglab",
    risk="lossy",
    failure="The .fdt file ends before the last sample that the header states.",
    effect="The whole samples that are there are kept; nothing is filled in.",
    todo="Fetch the .fdt file again.",
)
def mend_truncated_fdt(header: Header) -> str | None:
    """Keep the whole samples of a .fdt that is too short."""
    path = header.fdt.path or (header.fdt.beside[0] if len(header.fdt.beside) == 1 else None)
    if header.array is not None or path is None or channels_of(header, header.size_of(path)):
        return None
    held = header.size_of(path) // header.sample_bytes
    if held == 0 or header.size_of(path) >= header.size_stated:
        return None
    header.fdt.path, header.keep_held = path, True
    return f"{path.name} holds {held} of {header.n_stated} samples, which are kept"


@repair(
    "eeglab_overlapping_epochs",
    kind="eeglab",
    risk="lossy",
    failure="The file holds epochs that overlap in the original recording.",
    effect="An epoch that overlaps an earlier one that is kept is left out, with its events.",
    todo="Share the continuous recording, or epochs that do not overlap.",
)
def mend_overlapping_epochs(header: Header) -> str | None:
    """Leave out epochs that repeat samples of others."""
    if not overlaps(header):
        return None
    kept: list[int] = []
    stop = -math.inf
    for epoch in np.argsort(header.starts, kind="stable"):
        start = header.starts[epoch]
        # Half a sample: where epochs were cut is rounded.
        if math.isfinite(start) and start >= stop - 0.5:
            kept.append(int(epoch))
            stop = start + header.length
    header.kept = sorted(kept)
    places = {epoch: place for place, epoch in enumerate(header.kept)}
    before = len(header.events)
    header.events = [
        {**event, "latency": _moved(header, event, places)}
        for event in header.events
        if _epoch_of(header, event) in places
    ]
    lost = before - len(header.events)
    return (
        f"{len(kept)} of {header.n_epochs} epochs are kept, those that overlap them are left out"
        f" with their {lost} event(s)"
    )


def _epoch_of(header: Header, event: dict) -> int:
    latency = number(event.get("latency"))
    return int((latency - 1) // header.length) if math.isfinite(latency) else -1


def _moved(header: Header, event: dict, places: dict[int, int]) -> float:
    epoch = _epoch_of(header, event)
    return number(event.get("latency")) + (places[epoch] - epoch) * header.length


@repair(
    "eeglab_epochs",
    kind="eeglab",
    risk="lossless",
    failure="The file holds epochs, not a continuous recording.",
    effect="They follow each other as in the file, with a boundary between any two.",
    todo="Share the continuous recording: BIDS wants raw data.",
)
def mend_epochs(header: Header) -> str | None:
    """Take epochs one after the other."""
    if header.n_epochs == 1 or (overlaps(header) and header.kept is None):
        return None
    if foreign_events(header):
        return None
    header.joined = True
    known = np.isfinite(header.starts).all()
    return (
        f"{header.n_epochs} epochs of {header.length} samples, read one after the other with"
        f" {len(kept_epochs(header)) - 1} boundaries"
        + ("" if known else "; whether they overlap in the original recording is not stated")
    )


@repair(
    "eeglab_negative_durations",
    kind="eeglab",
    risk="lossless",
    failure="Events have a negative duration.",
    effect="It counts as 0; the onset stays.",
    todo="Correct `EEG.event.duration`.",
)
def mend_negative_durations(header: Header) -> str | None:
    """Clamp durations of events."""
    count = sum(number(event.get("duration")) < 0 for event in header.events)
    header.durations_clamped = count > 0
    return f"{count} event(s) with a negative duration, taken as 0" if count else None


def kept_epochs(header: Header) -> list[int]:
    """Return the epochs that are read."""
    return list(range(header.n_epochs)) if header.kept is None else header.kept


def overlaps(header: Header) -> bool:
    """Return whether epochs share samples of the original recording, as far as that is stated."""
    starts = np.sort(header.starts[np.isfinite(header.starts)])
    return bool(np.any(np.diff(starts) < header.length - 0.5))


def channels_of(header: Header, size: int) -> int:
    """Return how many channels a file of all stated samples has, if others than stated; else 0."""
    found, rest = divmod(size, header.n_stated * 4)
    return found if not rest and found and found != header.n_channels else 0


def foreign_events(header: Header) -> str:
    """Return in what way events.tsv counts another time than the epochs; empty if it does not.

    Onsets of BIDS count from the start of the acquisition, and so fit to epochs one after the
    other only where they are those of the events in the file.
    """
    stem = header.path.stem.rpartition("_")[0]
    path = header.path.with_name(f"{stem}_events.tsv")
    if not path.is_file():
        return ""
    frame, _ = read_tabular(path)
    onsets = np.array([number(text) for text in frame.get("onset", [])], float)
    onsets = onsets[np.isfinite(onsets)]
    own = [(number(event.get("latency")) - 1) / header.sfreq for event in header.events]
    own = [onset for onset in own if math.isfinite(onset)]
    off = [t for t in onsets if not own or np.abs(np.array(own) - t).min() > 1 / header.sfreq]
    if not off:
        return ""
    return f"{len(off)} of {len(onsets)} onsets of {path.name}, the first {off[0]:g} s"
