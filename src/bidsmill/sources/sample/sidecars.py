"""The texts and tables of the sample: description, participants, sidecars, README."""

from __future__ import annotations

import itertools
import math

from bidsmill.sources.sample import design, signals

SPACE = "CapTrak"
DATASET_NAME = "bidsmill sample: faces and scrambled pictures (simulated EEG)"
HED_VERSION = "8.3.0"
SIMULATED = "Simulated"


def dataset_description() -> dict:
    """Return ``dataset_description.json``."""
    return {
        "Name": DATASET_NAME,
        "BIDSVersion": "1.10.0",
        "HEDVersion": HED_VERSION,
        "DatasetType": "raw",
        "License": "CC0",
        "Authors": ["The bidsmill developers"],
        "Acknowledgements": "Nobody was recorded: every signal and every participant is invented.",
        "HowToAcknowledge": "Name it as the sample dataset of bidsmill; do not use it as data.",
        "Funding": ["n/a"],
        "EthicsApprovals": ["n/a: simulated data"],
        "ReferencesAndLinks": ["https://doi.org/10.1162/jocn.1996.8.6.551"],
        "Keywords": ["simulated", "EEG", "face", "N170", "HED"],
        "GeneratedBy": [
            {
                "Name": "bidsmill sample",
                "Version": design.SAMPLE_VERSION,
                "Description": "Simulated by code with the spherical head model of MNE-Python",
            }
        ],
    }


def readme() -> str:
    """Return ``README.md``, which says that the data are simulated and what is broken."""
    broken = next(r for r in design.recordings() if r.stem == design.BROKEN_STEM)
    count = len(list(design.recordings()))
    bad = "; ".join(f"{name} of `{stem}`" for stem, name in design.BAD_CHANNELS.items())
    return f"""# Sample dataset of bidsmill

**These data are simulated.** No person was recorded; participants, dates and signals are made by
code. They serve to try bidsmill, to teach and to test, and are no evidence for anything.

## What it looks like

{len(design.SUBJECTS)} invented participants (7 F, 7 M, 7 patients, 7 controls, 19 to 64 years)
see pictures of faces and scrambled pictures, 0.5 s each, one every 1.2 to 1.6 s, and press the
left button for a face and the right one for a scrambled picture. Every participant has session 1,
six have session 2, and a session has one run or two: {count} recordings of {design.TRIALS}
pictures, about a minute each. 19 EEG channels of the 10-20 system against FCz and one bipolar EOG;
some subjects are EDF, some BrainVision, some at 250 Hz, some at 256 Hz.

## What is in the signals

Dipoles in a spherical head model: 1/f background, posterior alpha at about 10 Hz (0.4 Hz slower in
patients), blinks, line noise at 50 Hz, drift, and responses to the pictures: P100, an N170 that is
larger for faces (most at P7 and P8, a little later in patients), and a late positivity at Pz.
Responses take 0.5 s and 0.06 s more in patients; some are wrong, some are missing.

## What is wrong with them, on purpose

- `{broken.data_file}`
  cannot be read: in its place stands the text of a git-annex pointer, as in a dataset
  whose content was never fetched. Its sidecars are whole. A pipeline should set this recording
  aside, say why, and convert the others.
- Bad channel: {bad} lost contact, and `channels.tsv` says so.

Everything else passes the BIDS validator and HED validation.
"""


def changes() -> str:
    """Return ``CHANGES`` (CPAN format)."""
    return f"{design.SAMPLE_VERSION} 2026-01-15\n  - First version.\n"


def participants() -> list[dict]:
    """Return the rows of ``participants.tsv``."""
    return [
        {
            "participant_id": f"sub-{subject.label}",
            "species": "homo sapiens",
            "age": subject.age,
            "sex": subject.sex,
            "handedness": subject.hand,
            "group": subject.group,
        }
        for subject in design.SUBJECTS
    ]


def participants_json() -> dict:
    """Return ``participants.json``."""
    return {
        "participant_id": {"Description": "Label of the invented participant"},
        "species": {"Description": "Species that is imitated"},
        "age": {"Description": "Age at session 1", "Units": "year"},
        "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
        "handedness": {
            "Description": "Dominant hand",
            "Levels": {"left": "left-handed", "right": "right-handed"},
        },
        "group": {
            "Description": "Invented group; patients have slower alpha and slower responses",
            "Levels": {"patient": "patient", "control": "healthy control"},
        },
    }


def events_json() -> dict:
    """Return the events sidecar of the whole dataset, with HED."""
    seen = "Sensory-event, Experimental-stimulus, Visual-presentation"
    finger = "(Index-finger, ({side}-side-of, Experiment-participant))"
    return {
        "onset": {"Description": "Start of the event from the first sample", "Units": "s"},
        "duration": {"Description": "Time on the screen; 0 for responses", "Units": "s"},
        "trial_type": {
            "Description": "What happens",
            "Levels": {
                "face": "A picture of a face is shown",
                "scrambled": "A picture of a face with its phases scrambled is shown",
                "response": "The participant presses a button",
            },
            "HED": {
                "face": f"{seen}, (Image, Face, Def/Screen-centre)",
                "scrambled": f"{seen}, (Image, Disordered, Def/Screen-centre)",
                "response": "Agent-action, Participant-response, "
                "(Experiment-participant, (Press, Push-button, {button}))",
            },
        },
        "value": {
            "Description": "Marker value in the data file",
            "Levels": {"1": "face", "2": "scrambled", "3": "left button", "4": "right button"},
        },
        "button": {
            "Description": "Button pressed: left for a face, right for a scrambled picture",
            "Levels": {"left": "Left index finger", "right": "Right index finger"},
            "HED": {
                "left": finger.format(side="Left"),
                "right": finger.format(side="Right"),
            },
        },
        "response_time": {
            "Description": "Time from the onset of the picture to the response",
            "Units": "s",
            "HED": "(Behavioral-evidence, Time-interval/# s)",
        },
        "StimulusPresentation": {
            "SoftwareName": SIMULATED,
            "SoftwareVersion": design.SAMPLE_VERSION,
            "OperatingSystem": "n/a",
            "Code": "n/a",
        },
        "definitions": {
            "Description": "No column of the events: holds HED definitions",
            "HED": {
                "screen_centre": "(Definition/Screen-centre, (Center-of, Computer-screen))",
            },
        },
    }


def event_rows(recording: design.Recording) -> list[dict]:
    """Return the rows of one ``events.tsv``; what does not apply is None."""
    rows = []
    for event in design.events(recording):
        reaction = event.response_time
        rows.append(
            {
                "onset": round(event.onset, 6),
                "duration": event.duration,
                "trial_type": event.trial_type,
                "value": event.value,
                "button": event.button,
                "response_time": None if reaction is None else round(reaction, 6),
            }
        )
    return rows


def eeg_json(recording: design.Recording) -> dict:
    """Return the ``eeg.json`` of one recording."""
    amplifier = {"Cutoff (Hz)": signals.HIGH_PASS}, {"Cutoff (Hz)": signals.LOW_PASS}
    return {
        "TaskName": design.TASK,
        "TaskDescription": "Faces and scrambled pictures; a button is pressed for each",
        "Instructions": "Press left for a face and right for a scrambled picture.",
        "CogAtlasID": "n/a",
        "CogPOID": "n/a",
        "InstitutionName": "n/a",
        "InstitutionAddress": "n/a",
        "InstitutionalDepartmentName": "n/a",
        "Manufacturer": SIMULATED,
        "ManufacturersModelName": "bidsmill sample",
        "DeviceSerialNumber": "n/a",
        "SoftwareVersions": design.SAMPLE_VERSION,
        "CapManufacturer": SIMULATED,
        "CapManufacturersModelName": "n/a",
        "SamplingFrequency": recording.subject.rate,
        "PowerLineFrequency": int(signals.LINE_FREQUENCY),
        "EEGReference": signals.REFERENCE,
        "EEGGround": "n/a",
        "EEGPlacementScheme": "10-20",
        "EEGChannelCount": len(signals.EEG),
        "EOGChannelCount": 1,
        "ECGChannelCount": 0,
        "EMGChannelCount": 0,
        "MISCChannelCount": 0,
        "TriggerChannelCount": 0,
        "HardwareFilters": {"High-pass": amplifier[0], "Low-pass": amplifier[1]},
        "SoftwareFilters": "n/a",
        "RecordingDuration": design.duration(recording),
        "RecordingType": "continuous",
        "HeadCircumference": round(200 * math.pi * signals.RADIUS, 1),
        "SubjectArtefactDescription": "Blinks, muscle and drift are simulated",
        "ElectricalStimulation": False,
    }


def channel_rows(recording: design.Recording) -> list[dict]:
    """Return the rows of one ``channels.tsv``."""
    bad = design.BAD_CHANNELS.get(recording.stem)
    return [
        {
            "name": name,
            "type": "EOG" if name == signals.EOG else "EEG",
            "units": "uV",
            "low_cutoff": signals.HIGH_PASS,
            "high_cutoff": signals.LOW_PASS,
            "reference": "bipolar" if name == signals.EOG else signals.REFERENCE,
            "sampling_frequency": recording.subject.rate,
            "status": "bad" if name == bad else "good",
            "status_description": "lost contact: drift and hiss" if name == bad else None,
        }
        for name in (*signals.EEG, signals.EOG)
    ]


def electrode_rows() -> list[dict]:
    """Return the rows of every ``electrodes.tsv``: the reference too, in metres."""
    rows: list[dict] = [
        {"name": name, **{axis: round(float(x), 5) for axis, x in zip("xyz", place, strict=True)}}
        for name, place in signals.positions().items()
    ]
    return [*rows, {"name": signals.EOG, "x": None, "y": None, "z": None}]


def coordsystem_json() -> dict:
    """Return every ``coordsystem.json``."""
    points = {
        name: [round(float(x), 5) for x in place] for name, place in signals.landmarks().items()
    }
    description = "RAS: x through the ears, y through the nasion; idealised places on a sphere"
    content: dict = {
        "EEGCoordinateSystem": SPACE,
        "EEGCoordinateUnits": "m",
        "EEGCoordinateSystemDescription": description,
    }
    for kind in ("AnatomicalLandmark", "Fiducials"):
        content |= {
            f"{kind}Coordinates": points,
            f"{kind}CoordinateSystem": SPACE,
            f"{kind}CoordinateUnits": "m",
            f"{kind}CoordinateSystemDescription": description,
        }
    return content


def scans() -> dict[str, list[dict]]:
    """Return the rows of every ``scans.tsv`` by its path in the dataset."""
    tables: dict[str, list[dict]] = {}
    by_session = itertools.groupby(design.recordings(), key=lambda r: (r.subject, r.session))
    for (subject, session), group in by_session:
        folder = f"sub-{subject.label}/ses-{session}"
        tables[f"{folder}/sub-{subject.label}_ses-{session}_scans.tsv"] = [
            {
                "filename": recording.data_file.removeprefix(f"{folder}/"),
                "acq_time": recording.start.isoformat(),
            }
            for recording in group
        ]
    return tables
