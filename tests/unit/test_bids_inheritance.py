"""Sidecars are found without comparing every file with every other; those of nothing are told."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from bids_cases import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids.entities import parse_name
from bidsmill.bids.inheritance import SidecarIndex, labels_of
from bidsmill.bids.recordings import find_recordings
from bidsmill.bids.unmatched import unmatched_sidecars
from bidsmill.formats import files
from bidsmill.workflow.validation import validate_locked

# ------------------------------------------------------------------------------------ the index


def by_force(data, suffix, extension, paths, labels) -> list[str]:
    """Compare a data file with every sidecar, as BIDS words it, and case by the rule here."""
    entities = parse_name(data).entities
    free = {"space"} if suffix in ("electrodes", "coordsystem") else set()
    parents = [str(parent) for parent in PurePosixPath(data).parents]
    result: list[str] = []
    for folder in reversed(parents):
        exact, alike = [], []
        for path in paths:
            name = parse_name(path)
            if str(PurePosixPath(path).parent) != folder:
                continue
            if (name.suffix, name.extension) != (suffix, extension):
                continue
            stated = {k: v for k, v in name.entities.items() if k not in free}
            if all(entities.get(k) == v for k, v in stated.items()):
                exact.append(path)
            elif all(_can_mean(k, v, entities, labels) for k, v in stated.items()):
                alike.append(path)
        result += sorted(exact or alike, key=lambda p: (len(parse_name(p).entities), p))
    return result


def _can_mean(key, label, entities, labels) -> bool:
    own = entities.get(key)
    if own == label:
        return True
    if own is None or key == "sub" or own.lower() != label.lower():
        return False
    return labels[key, label.lower()] == {own}


KEYS = ("ses", "task", "run", "space")
NAMES = st.builds(
    lambda subject, labels, order: "_".join(
        [*subject, *(f"{key}-{labels[key]}" for key in order if key in labels)]
    ),
    st.sampled_from([["sub-a"], ["sub-A"], []]),
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["x", "X", "y", ""]), max_size=3),
    st.permutations(KEYS),
)
FOLDERS = st.sampled_from(["", "sub-a/", "sub-a/eeg/", "sub-A/eeg/", "sub-a/ses-x/eeg/"])
KINDS = [
    *[("events", ".tsv"), ("events", ".json"), ("channels", ".tsv"), ("electrodes", ".tsv")],
    *[("coordsystem", ".json"), ("eeg", ".json")],
]


@settings(max_examples=150, deadline=None)
@given(
    data=st.lists(st.tuples(FOLDERS.filter(bool), NAMES), min_size=1, max_size=5),
    sidecars=st.lists(st.tuples(FOLDERS, NAMES, st.sampled_from(KINDS)), max_size=25),
)
def test_the_index_finds_what_comparing_all_with_all_finds(data, sidecars):
    recordings = sorted({f"{folder}{name}_eeg.edf" for folder, name in data})
    paths = sorted({f"{f}{n}_{suffix}{end}" for f, n, (suffix, end) in sidecars})
    labels = labels_of(recordings)
    index = SidecarIndex(paths, labels)
    for path in recordings:
        for suffix, extension in KINDS:
            wanted = by_force(path, suffix, extension, paths, labels)
            assert index.applicable(path, suffix, extension) == wanted
    found = {r.data: r.sidecars for r in find_recordings([*recordings, *paths])}
    # Of the files, those that are recordings say how labels are spelled.
    labels = labels_of(found)
    for path, own in found.items():
        listed = {f"{s}{e}": by_force(path, s, e, paths, labels) for s, e in KINDS}
        assert own == {key: value for key, value in listed.items() if value}


# ------------------------------------------------------------------------ sidecars of nothing

ONE = "sub-01/eeg/sub-01_task-x_run-1"
DATASET = [
    "participants.tsv",
    "participants.json",
    "task-x_events.json",
    "sub-01/sub-01_scans.tsv",
    f"{ONE}_eeg.edf",
    f"{ONE}_events.tsv",
    f"{ONE}_eeg.json",
    "sub-01/eeg/sub-01_task-X_channels.tsv",
    "sub-01/eeg/sub-01_space-CapTrak_electrodes.tsv",
    "sub-01/meg/sub-01_split-01_meg.fif",
    "sub-01/meg/sub-01_split-02_meg.fif",
    "sub-01/meg/sub-01_split-02_meg.json",
    "sub-02/fnirs/sub-02_fnirs.snirf",
    "sub-02/fnirs/sub-02_fnirs.json",
    "sub-01/func/sub-01_task-rest_bold.nii.gz",
    "sub-01/func/sub-01_task-other_events.tsv",
    "task-rest_events.json",
    "derivatives/clean/sub-09/eeg/sub-09_events.tsv",
    "phenotype/events.tsv",
]


def test_what_describes_a_recording_or_other_data_is_not_reported():
    assert unmatched_sidecars(DATASET) == {}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"{ONE[:-1]}2_events.tsv", "none in sub-01/eeg has run-2;"),
        ("sub-01/eeg/sub-02_task-x_channels.tsv", "none in sub-01/eeg has sub-02;"),
        ("sub-01/eeg/sub-01_task-x_space-a_run-7_electrodes.tsv", "has run-7;"),
        ("sub-01/eeg/sub-01_task-x_acq-y_coordsystem.json", "has acq-y;"),
        ("sub-01/eeg/sub-01_task-x_ieeg.json", "none in sub-01/eeg has the suffix ieeg;"),
        ("sub-01/sub-01_split-01_task-x_events.tsv", "in sub-01 has all its entities together;"),
        ("sub-03/eeg/sub-03_eeg.json", "there is none in sub-03/eeg;"),
        ("sub-02/nirs/sub-02_task-x_nirs.json", "there is none in sub-02/nirs;"),
        ("task-z_events.json", "none in the dataset has task-z;"),
        ("sub-01/sub-01_ses-1_events.tsv", "none in sub-01 has ses-1;"),
    ],
)
def test_a_sidecar_of_no_recording_is_reported(path, told):
    found = unmatched_sidecars([*DATASET, path])
    assert list(found) == [path]
    assert told in found[path] and "or remove it" in found[path]


@settings(max_examples=100, deadline=None)
@given(
    data=st.lists(st.tuples(FOLDERS.filter(bool), NAMES), max_size=4),
    sidecars=st.lists(st.tuples(FOLDERS, NAMES, st.sampled_from(KINDS)), max_size=15),
)
def test_every_sidecar_is_used_or_reported_and_none_is_both(data, sidecars):
    recordings = {f"{folder}{name}_eeg.edf" for folder, name in data}
    paths = {f"{f}{n}_{suffix}{end}" for f, n, (suffix, end) in sidecars}
    found = find_recordings([*recordings, *paths])
    used = {path for r in found for own in r.sidecars.values() for path in own}
    # Names without a subject do not lie in a subject's folder, and what describes a second file
    # of the same recording is its own.
    assert unmatched_sidecars([*recordings, *paths]).keys() == paths - used


def test_the_report_of_the_dataset_holds_it(tmp_path):
    root = tmp_path / "bids"
    stray = "sub-01/eeg/sub-01_task-x_run-2_events.tsv"
    for path in (f"{ONE}_eeg.edf", stray):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("onset\tduration\n")
    files.write_json(root / "dataset_description.json", {"Name": "t", "BIDSVersion": "1.10.0"})
    run = Dataset(tmp_path)
    run.convert(windows={"kind": "fixed", "length": 1.0})
    plan = run.results / "plan" / "dataset.json"
    validate_locked(plan, run.results / "validation.json", fatal=[])
    issues = files.read_json(run.results / "validation.json")["issues"]
    (own,) = [issue for issue in issues if issue["code"] == "sidecar_without_recording"]
    assert own["source"] == "bidsmill" and own["file"] == stray
    assert "none in sub-01/eeg has run-2" in own["message"]
