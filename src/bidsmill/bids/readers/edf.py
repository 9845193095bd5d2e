"""EDF and BDF, with and without annotations."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bidsmill.bids.readers.edf_header import SPELLING, VOLTS, EdfHeader, read_header
from bidsmill.bids.readers.edf_marks import find_runs, list_annotations, read_marks
from bidsmill.bids.readers.edf_repairs import settle
from bidsmill.bids.readers.edf_samples import EdfSamples, samples_per_record
from bidsmill.bids.repairs import Repairs


def read(path: Path, data: str, repairs: Repairs):
    """Open an EDF or BDF file; see `reading.open_recording` for the errors.

    Channels, types, values and annotations are those of MNE's reader; beyond it, the number of
    records is never assumed, time between records (EDF+D) stays time without signal, and
    channels of different rates are read block by block.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    data : str
        Its path in the dataset, for messages.
    repairs : Repairs
        Which rules may act.

    Returns
    -------
    mne.io.BaseRaw
        Of a class ``RawEDF`` or ``RawBDF`` of our own, that reads by an `EdfSamples`:
        ``raw._raw_extras[0]["own"]``. It says where on the disk which sample is, for those who
        read past MNE. Where all channels have one rate and the file one run, the extras also
        hold the keys of MNE's class of that name.
    """
    header = read_header(path, data)
    settle(header, repairs)
    marks = read_marks(path, header)
    repairs.mend("edf_marks", marks)
    per_record = samples_per_record(header)
    runs = find_runs(marks, header.records or 0, header.duration, per_record)
    own = EdfSamples(path, header, runs)
    _tell_of_names(header)
    raw = _raw_class(header.kind)(path, header, own)
    found = list_annotations(marks) + _gaps(own, raw.info["sfreq"])
    if found:
        import mne

        onsets, durations, texts = zip(*found, strict=True)
        raw.set_annotations(mne.Annotations(onsets, durations, texts))
    return raw


def _gaps(own: EdfSamples, sfreq: float) -> list[tuple[float, float, str]]:
    """Return the time between runs, under the name that MNE gives to it."""
    gaps = []
    for before, after in zip(own.runs, own.runs[1:], strict=False):
        end = before.start + before.records * own.per_record
        gaps.append((end / sfreq, (after.start - end) / sfreq, "BAD_ACQ_SKIP"))
    if gaps:
        warnings.warn(
            f"the recording was interrupted: {len(gaps)} times,"
            f" {sum(gap[1] for gap in gaps):g} s without signal",
            RuntimeWarning,
            stacklevel=2,
        )
    return gaps


def _tell_of_names(header: EdfHeader) -> None:
    counts = Counter(channel.label for channel in header.channels)
    twice = [label for label, count in counts.items() if count > 1]
    if twice:
        warnings.warn(
            f"channel names occur more than once, and are numbered: {', '.join(twice[:5])}",
            RuntimeWarning,
            stacklevel=2,
        )


def unique_names(labels: list[str]) -> list[str]:
    """Return labels with ``-0``, ``-1`` ... after those that occur more than once.

    As MNE's reader names them: a suffix that would make another label's name is a letter.
    """
    names = list(labels)
    for label in sorted({name for name in labels if labels.count(name) > 1}):
        places = [place for place, name in enumerate(labels) if name == label]
        for number, place in enumerate(places):
            suffixes = [str(number), *"abcdefghijklmnopqrstuvwxyz"]
            free = (f"{label}-{s}" for s in suffixes if f"{label}-{s}" not in names)
            names[place] = next(free)
    return names


@functools.cache
def _raw_class(kind: str):
    """Return the class of MNE's that reads by `EdfSamples`."""
    import mne

    class Raw(mne.io.BaseRaw):
        """A recording in EDF or BDF."""

        def __init__(self, path: Path, header: EdfHeader, own: EdfSamples):
            labels = unique_names([channel.label for channel in header.channels])
            types = ["stim" if trigger else "eeg" for trigger in own.triggers]
            info = mne.create_info(labels, own.per_record / header.duration, types)
            info["bads"] = [
                name for name, c in zip(labels, header.channels, strict=True) if not c.scaled
            ]
            units = {
                name: _unit(channel.dimension) if channel.scaled else ""
                for name, channel in zip(labels, header.channels, strict=True)
            }
            super().__init__(
                info,
                preload=False,
                filenames=[path],
                last_samps=[own.n_times - 1],
                raw_extras=[{"own": own, **_as_mne_says_it(header, own)}],
                orig_format="int",
                orig_units=units,
            )

        def _read_segment_file(self, data, idx, fi, start, stop, cals, mult):
            """Fill `data` with samples ``[start, stop)``; called by MNE."""
            own = self._raw_extras[fi]["own"]
            block = own.read(np.arange(len(own.counts))[idx], start, stop)
            data[:] = block if mult is None else mult @ block

    Raw.__name__ = Raw.__qualname__ = f"Raw{kind}"
    return Raw


def _as_mne_says_it(header: EdfHeader, own: EdfSamples) -> dict[str, Any]:
    """Return the layout of a plain file under the keys of MNE's readers."""
    if np.any(own.counts != own.per_record) or len(own.runs) > 1:
        return {}
    kept = [i for i, s in enumerate(header.signals) if not s.is_annotation and s.samples]
    return {
        "blob": None,
        "subtype": header.kind.lower(),
        "dtype_byte": header.width,
        "data_offset": own.begin,
        "n_records": header.records,
        "n_samps": np.array([signal.samples for signal in header.signals], np.int64),
        "sel": np.array(kept, np.int64),
        "max_samp": own.per_record,
        "cal": own.scale,
        "offsets": own.offset,
        "units": own.factor,
        "stim_channel_idxs": np.flatnonzero(own.triggers).tolist(),
    }


def _unit(dimension: str) -> str:
    """Return a physical dimension in the spelling that MNE knows."""
    return SPELLING.get(VOLTS.get(dimension, 0.0), dimension)
