"""Catalogues that look like those of archives, made of a seed; and texts that would do harm."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd

from bidsmill.formats import manifest, tables

TASKS = {
    "eeg": [
        "FaceRecognition", "rest", "oddball", "MotorImagery", "nback", "SternbergMemory",
        "eyesopen", "eyesclosed", "sleep", "SSVEP", "GoNoGo", "reading", "music", "VisualSearch",
    ],
    "meg": ["somatosensory", "rest", "audiovisual", "picturenaming", "listening", "emptyroom"],
    "ieeg": ["visual", "wordlearning", "ccep", "seizure", "movie"],
    "emg": ["gestures", "grasp", "gait", "isometric"],
    "nirs": ["fingertapping", "rest", "mentalarithmetic"],
}  # fmt: skip
TAGS = [
    "Event/Sensory-event", "Event/Agent-action", "Event/Experiment-structure",
    "Item/Biological-item/Anatomical-item/Body-part/Head/Face", "Item/Object/Ingestible-object",
    "Item/Object/Man-made-object/Media/Visualization/Image",
    "Item/Sound/Vocalized-sound", "Action/Move/Move-body-part/Move-upper-extremity/Press",
    "Action/Perceive/Hear", "Action/Perceive/See", "Action/Think/Imagine", "Action/Think/Count",
    "Property/Task-property/Task-stimulus-role/Target",
    "Property/Task-property/Task-stimulus-role/Non-target",
    "Property/Task-property/Task-action-type/Correct-action",
    "Property/Task-property/Task-event-role/Participant-response",
    "Property/Task-property/Task-event-role/Experimental-stimulus",
    "Property/Organizational-property/Condition-variable",
    "Property/Sensory-property/Sensory-presentation/Visual-presentation",
    "Property/Sensory-property/Sensory-presentation/Auditory-presentation",
    "Agent/Human-agent/Experiment-participant", "Relation/Spatial-relation/Left-side-of",
]  # fmt: skip
TOPICS = [
    "Face processing in healthy adults", "Resting state before and after a nap",
    "Auditory oddball with novel sounds", "Imagined and executed hand movements",
    "Working memory across the lifespan", "Reading aloud in two languages",
    "Naturalistic movie watching", "Steady-state responses to flicker",
    "Sleep in a simulated space mission", "Listening to speech in noise",
    "Visual search in cluttered scenes", "Grip force and fatigue",
    "Responses to single-pulse stimulation", "Music and the sense of metre",
]  # fmt: skip
PEOPLE = [
    "Abebe S", "Almeida R", "Bauer K", "Chen L", "Dubois M", "Eriksen J", "Fischer H",
    "Gupta A", "Haddad N", "Ito Y", "Jansen P", "Kowalska E", "Lindqvist O", "Moreau C",
    "Nakamura T", "Okafor C", "Petrov I", "Quispe D", "Rossi G", "Silva B", "Tanaka K",
]  # fmt: skip
LICENCES = ["CC0", "CC0", "CC0", "CC BY 4.0", "CC BY-NC 4.0", "PDDL", "CC BY-ND 4.0", ""]
CLASSES = {"CC BY-ND 4.0": "no_derivatives", "": "unknown"}
CAPS = {"eeg": [19, 32, 64, 64, 128, 256], "meg": [275, 306], "ieeg": [48, 96, 160]}
RATES = [200, 250, 256, 500, 512, 1000, 1024, 2048]
LABELS = ["face", "stimulus", "response", "condition", "sex", "age", "stage", "hand"]
HOSTILE = [
    "<script>document.title='owned'</script>",
    "</script><script>document.title='owned'</script>",
    "<!-- <script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "\"><svg onload=document.title='owned'>",
    "&lt;b&gt; {{data}} ${document.title='owned'} \u2028 \u202egnp.exe",
    "javascript:document.title='owned'",
]


def rows(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return rows of a catalogue, sorted by dataset."""
    source = random.Random(seed)
    return [_row(source, f"ds{2000 + place:06}") for place in range(count)]


def _row(source: random.Random, dataset: str) -> dict[str, Any]:
    kind = source.choices(list(TASKS), [70, 12, 9, 5, 4])[0]
    tasks = sorted(source.sample(TASKS[kind], source.choice([1, 1, 1, 2, 3])))
    subjects = source.choice([4, 12, 16, 18, 20, 24, 31, 40, 62, 109, 250])
    recordings = subjects * source.choice([1, 1, 2, 3])
    channels = sorted(set(source.choices(CAPS.get(kind, [8, 16, 24]), k=source.choice([1, 1, 2]))))
    licence = source.choice(LICENCES)
    snapshot = f"1.{source.randrange(4)}.{source.randrange(3)}"
    digest = f"{source.getrandbits(64):016x}"
    authors = ", ".join(source.sample(PEOPLE, source.randrange(2, 9)))
    name = source.choice(TOPICS)
    tags = source.sample(TAGS, source.choice([0, 0, 3, 6, 12]))
    doi = f"doi:10.18112/openneuro.{dataset}.v{snapshot}"
    made = {
        "dataset": dataset,
        "version": f"{snapshot}-{digest[:12]}",
        "snapshot": snapshot,
        "name": name,
        "license": licence,
        "license_class": CLASSES.get(licence, "open"),
        "citation": f"{authors}. {name}. {doi}",
        "doi": doi,
        "datatypes": kind if source.random() < 0.93 else f"{kind}, emg",
        "tasks": ", ".join(tasks),
        "labels": ", ".join(source.sample(LABELS, source.choice([0, 1, 1, 2]))),
        "split": source.choice(["subject"] * 6 + ["session", "refused"]),
        "channels": ", ".join(map(str, channels)),
        "channel_types": source.choice([kind, f"{kind}, eog"]),
        "sampling_rates": str(source.choice(RATES)),
        "hed_tags": ", ".join(tags),
        "largest_layout": "" if len(channels) == 1 else digest[4:],
        "samples": f"datasets/{dataset}/files/samples/samples-{digest}.parquet",
        "report": f"datasets/{dataset}/files/report/report-{digest}.html",
        "recordings": recordings + 1,
        "converted": recordings,
        "quarantined": source.choice([0, 0, 0, 1]),
        "subjects": subjects,
        "rows": recordings * source.randrange(80, 900),
        "layouts": len(channels),
        "bytes": recordings * source.randrange(5_000_000, 400_000_000),
    }
    assert list(made) == list(manifest.CATALOG_COLUMNS)
    return made


def write(root: Path, made: list[dict[str, Any]]) -> bytes:
    """Write a catalogue, and return its bytes."""
    frame = pd.DataFrame(made, columns=list(manifest.CATALOG_COLUMNS))
    tables.write_parquet(root / manifest.CATALOG, frame)
    return (root / manifest.CATALOG).read_bytes()
