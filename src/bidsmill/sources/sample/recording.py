"""Write one recording of the sample: signals as EDF or BrainVision, and its sidecars."""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path

import numpy as np

from bidsmill.sources.sample import design, sidecars, signals

RESOLUTION = 0.1  # uV per bit, in both formats


def write_json(path: Path, content: dict) -> None:
    """Write a sidecar, in the order of its keys."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


def write_table(path: Path, rows: list[dict]) -> None:
    """Write a BIDS table; the first row names the columns and None becomes ``n/a``."""
    lines = [list(rows[0])]
    lines += [["n/a" if value is None else str(value) for value in row.values()] for row in rows]
    text = "".join("\t".join(line) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8", newline="\n")


def write_recording(root: Path, recording: design.Recording) -> None:
    """Write one recording with all of its sidecars into the folder of the dataset.

    Parameters
    ----------
    root : pathlib.Path
        The folder of the dataset.
    recording : Recording
        What to write. Where it is the broken one, the EDF is replaced by the text that
        git-annex leaves in place of content that was never fetched.
    """
    folder = root / recording.folder
    folder.mkdir(parents=True, exist_ok=True)
    data = signals.simulate(recording)
    if recording.subject.format == "edf":
        write_edf(root / recording.data_file, recording, data)
    else:
        _write_brainvision(root / recording.data_file, recording, data)
    if recording.stem == design.BROKEN_STEM:
        _replace_by_pointer(root / recording.data_file)
    stem = folder / recording.stem
    write_json(stem.with_name(f"{stem.name}_eeg.json"), sidecars.eeg_json(recording))
    write_table(stem.with_name(f"{stem.name}_channels.tsv"), sidecars.channel_rows(recording))
    write_table(stem.with_name(f"{stem.name}_events.tsv"), sidecars.event_rows(recording))
    place = f"sub-{recording.subject.label}_ses-{recording.session}_space-{sidecars.SPACE}"
    write_table(folder / f"{place}_electrodes.tsv", sidecars.electrode_rows())
    write_json(folder / f"{place}_coordsystem.json", sidecars.coordsystem_json())


def _marker(event: design.Event) -> str:
    return event.trial_type if event.button is None else f"{event.trial_type}/{event.button}"


def write_edf(path: Path, recording: design.Recording, data: np.ndarray) -> None:
    """Write EDF+ with the events as annotations; 16 bit, ``RESOLUTION`` exactly."""
    import edfio

    limits = (-32768 * RESOLUTION, 32767 * RESOLUTION)
    rows = [
        edfio.EdfSignal(
            row,
            recording.subject.rate,
            label=name,
            physical_dimension="uV",
            physical_range=(round(limits[0], 1), round(limits[1], 1)),
            prefiltering=f"HP:{signals.HIGH_PASS}Hz LP:{signals.LOW_PASS:g}Hz",
        )
        for name, row in zip((*signals.EEG, signals.EOG), data, strict=True)
    ]
    edf = edfio.Edf(
        rows,
        patient=edfio.Patient(code=f"sub-{recording.subject.label}"),
        recording=edfio.Recording(startdate=recording.start.date()),
        starttime=recording.start.time(),
        data_record_duration=1,
        annotations=[
            edfio.EdfAnnotation(event.onset, event.duration or None, _marker(event))
            for event in design.events(recording)
        ],
    )
    edf.write(path)


def _write_brainvision(path: Path, recording: design.Recording, data: np.ndarray) -> None:
    """Write the three files of BrainVision with the events as markers; 16 bit."""
    import pybv

    rate = recording.subject.rate
    pybv.write_brainvision(
        data=data * 1e-6,
        sfreq=rate,
        ch_names=[*signals.EEG, signals.EOG],
        fname_base=path.stem,
        folder_out=str(path.parent),
        events=[
            {
                "onset": round(event.onset * rate),
                "duration": max(1, round(event.duration * rate)),
                "description": event.value,
                "type": "Stimulus" if event.button is None else "Response",
            }
            for event in design.events(recording)
        ],
        resolution=RESOLUTION,
        unit="µV",
        fmt="binary_int16",
        meas_date=recording.start.replace(tzinfo=datetime.UTC),
    )


def _replace_by_pointer(path: Path) -> None:
    """Put the pointer of git-annex in place of a file: its key names size and sha256."""
    content = path.read_bytes()
    key = f"SHA256E-s{len(content)}--{hashlib.sha256(content).hexdigest()}{path.suffix}"
    path.write_text(f"/annex/objects/{key}\n", encoding="ascii", newline="\n")
