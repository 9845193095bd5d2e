"""Which recordings a list of files holds, and which sidecars describe each."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids.entities import entity_columns, parse_name, without_entity
from bidsmill.bids.recordings import (
    COMPANION_EXTENSIONS,
    DATA_EXTENSIONS,
    Recording,
    find_recordings,
    included,
)

EEG = "sub-01/eeg/sub-01_task-x"


def only(paths) -> Recording:
    found = find_recordings(paths)
    assert len(found) == 1
    return found[0]


# ------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("path", "entities", "suffix", "extension"),
    [
        ("sub-01/eeg/sub-01_task-x_eeg.edf", {"sub": "01", "task": "x"}, "eeg", ".edf"),
        ("sub-01_meg.fif.gz", {"sub": "01"}, "meg", ".fif.gz"),
        ("participants.tsv", {}, "participants", ".tsv"),
        ("sub-01_task-a-b_eeg.set", {"sub": "01", "task": "a-b"}, "eeg", ".set"),
        ("sub-01_task-ECONrun-1_eeg.set", {"sub": "01", "task": "ECONrun-1"}, "eeg", ".set"),
        ("sub-01_run-5H_odd_eeg.vhdr", {"sub": "01", "run": "5H"}, "eeg", ".vhdr"),
        ("sub-01_task-_eeg", {"sub": "01", "task": ""}, "eeg", ""),
        ("", {}, "", ""),
    ],
)
def test_names_are_taken_apart(path, entities, suffix, extension):
    name = parse_name(path)
    assert (name.entities, name.suffix, name.extension) == (entities, suffix, extension)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True),
        st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True),
        max_size=6,
    ),
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    st.sampled_from(["", ".edf", ".tsv", ".fif.gz"]),
)
def test_a_name_that_is_put_together_comes_apart_again(entities, suffix, extension):
    stem = "_".join([*(f"{key}-{label}" for key, label in entities.items()), suffix])
    name = parse_name(f"a/b/{stem}{extension}")
    assert (name.entities, name.suffix, name.extension) == (entities, suffix, extension)
    for entity in entities:
        left = parse_name(without_entity(stem, entity))
        assert left.entities == {k: v for k, v in entities.items() if k != entity}
        assert left.suffix == suffix


def test_columns_of_entities():
    assert entity_columns("sub-01_ses-2_task-x_acq-a_run-03_proc-sss_split-1_meg") == {
        "subject": "01",
        "session": "2",
        "task": "x",
        "acquisition": "a",
        "run": "03",
        "processing": "sss",
    }
    assert set(entity_columns("eeg").values()) == {""}


# --------------------------------------------------------------------------------- recordings


def test_brainvision_is_one_recording_of_three_files():
    found = only([f"{EEG}_eeg{e}" for e in (".vmrk", ".eeg", ".vhdr")])
    assert found.stem == "sub-01_task-x_eeg" and found.datatype == "eeg"
    assert found.data == f"{EEG}_eeg.vhdr"
    assert found.files == [f"{EEG}_eeg{e}" for e in (".eeg", ".vhdr", ".vmrk")]
    assert found.alternatives == []


def test_eeglab_is_one_recording_of_two_files():
    found = only([f"{EEG}_eeg.fdt", f"{EEG}_eeg.set"])
    assert (found.data, len(found.files)) == (f"{EEG}_eeg.set", 2)


@pytest.mark.parametrize("extension", [".edf", ".bdf", ".EDF", ".BDF", ".Edf"])
def test_single_files_in_either_case(extension):
    found = only([f"{EEG}_eeg{extension}"])
    assert found.stem == "sub-01_task-x_eeg"
    assert found.data == f"{EEG}_eeg{extension}" == found.files[0]


@pytest.mark.parametrize("extension", COMPANION_EXTENSIONS)
def test_a_companion_without_its_header_is_still_a_recording(extension):
    found = only([f"{EEG}_eeg{extension}"])
    assert found.data == f"{EEG}_eeg{extension}" and found.files == [found.data]


def test_all_companions_without_header_are_one_recording():
    found = only([f"{EEG}_eeg.vmrk", f"{EEG}_eeg.eeg"])
    assert found.data == f"{EEG}_eeg.eeg" and len(found.files) == 2


def test_two_formats_of_one_recording_are_one_recording_with_alternatives():
    paths = [f"{EEG}_eeg{e}" for e in (".set", ".fdt", ".vhdr", ".eeg", ".vmrk")]
    found = only(paths)
    assert found.data == f"{EEG}_eeg.vhdr"
    # What belongs to the other format must not cost this one: its .fdt may never be fetched.
    assert found.files == [f"{EEG}_eeg{e}" for e in (".eeg", ".vhdr", ".vmrk")]
    assert sorted(found.alternatives) == [f"{EEG}_eeg.fdt", f"{EEG}_eeg.set"]


def test_a_ctf_folder_is_one_recording():
    folder = "sub-01/ses-1/meg/sub-01_ses-1_task-x_meg.ds"
    inside = [f"{folder}/x.meg4", f"{folder}/x.res4", f"{folder}/hz.ds/hz.meg4", f"{folder}/x.hist"]
    found = only(inside)
    assert (found.stem, found.data) == ("sub-01_ses-1_task-x_meg", folder)
    assert found.files == sorted(inside)


def test_a_bti_folder_is_one_recording():
    folder = "sub-01/meg/sub-01_task-x_meg"
    inside = [f"{folder}/c,rfDC", f"{folder}/config", f"{folder}/hs_file"]
    found = only(inside)
    assert (found.stem, found.data, found.files) == ("sub-01_task-x_meg", folder, sorted(inside))


def test_a_mef_folder_is_one_recording():
    folder = "sub-01/ieeg/sub-01_task-x_ieeg.mefd"
    found = only([f"{folder}/a.timd/a.segd/a.tdat", f"{folder}/a.timd/a.segd/a.tmet"])
    assert (found.stem, found.data, len(found.files)) == ("sub-01_task-x_ieeg", folder, 2)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_parts_of_a_split_file_are_one_recording_that_begins_with_the_first(width):
    paths = [f"sub-01/meg/sub-01_task-x_split-{i:0{width}d}_meg.fif" for i in range(1, 13)]
    found = only(reversed(paths))
    assert found.stem == "sub-01_task-x_meg"
    assert found.data == paths[0]
    assert found.files == sorted(paths)


def test_calibration_files_and_other_suffixes_are_no_recordings():
    assert not find_recordings(
        [
            "sub-01/meg/sub-01_acq-crosstalk_meg.fif",
            "sub-01/meg/sub-01_acq-calibration_meg.dat",
            "sub-01/meg/sub-01_headshape.pos",
            "sub-01/meg/sub-01_task-x_markers.sqd",
            "sub-01/eeg/sub-01_task-x_events.tsv",
            "sub-01/eeg/sub-01_task-x_eeg.json",
            "sub-01/anat/sub-01_T1w.nii.gz",
            "sub-01/sub-01_eeg.edf",
            "eeg/sub-01_task-x_eeg.edf",
        ]
    )


@pytest.mark.parametrize("folder", ["derivatives/clean", "sourcedata", "code", "stimuli"])
def test_what_is_not_raw_is_not_seen(folder):
    assert not find_recordings([f"{folder}/{EEG}_eeg.edf"])


def test_recordings_are_sorted_and_each_has_its_own_sidecars():
    found = find_recordings(
        [
            "sub-02/eeg/sub-02_task-x_eeg.edf",
            "sub-01/eeg/sub-01_task-x_run-2_eeg.edf",
            "sub-01/eeg/sub-01_task-x_run-1_eeg.edf",
            "sub-01/eeg/sub-01_task-x_run-1_events.tsv",
            "sub-01/eeg/sub-01_task-x_channels.tsv",
            "task-x_eeg.json",
        ]
    )
    assert [r.stem for r in found] == [
        "sub-01_task-x_run-1_eeg",
        "sub-01_task-x_run-2_eeg",
        "sub-02_task-x_eeg",
    ]
    assert [sorted(r.sidecars) for r in found] == [
        ["channels.tsv", "eeg.json", "events.tsv"],
        ["channels.tsv", "eeg.json"],
        ["eeg.json"],
    ]


# What BIDS calls data, said again: a file right inside a folder of a modality below a subject,
# with the modality as its suffix, that is no calibration file; or a file inside a folder of this
# name.
def is_data(path: str) -> bool:
    parts = PurePosixPath(path).parts
    if not parts or not parts[0].startswith("sub-"):
        return False
    for depth, part in enumerate(parts[:-1]):
        if part in ("eeg", "meg", "ieeg", "emg", "nirs"):
            unit = parts[depth + 1]
            stem, dot, extension = unit.partition(".")
            right = stem.split("_")[-1] == part and not any(
                f"_acq-{word}_" in unit for word in ("crosstalk", "calibration")
            )
            if len(parts) > depth + 2:
                return right
            return right and (dot + extension).lower() in DATA_EXTENSIONS + COMPANION_EXTENSIONS
    return False


LABELS = st.sampled_from(["1", "01", "x", "crosstalk", "calibration", "emptyroom"])


@st.composite
def bids_paths(draw):
    datatype = draw(st.sampled_from(["eeg", "meg", "ieeg", "emg", "nirs"]))
    subject = draw(st.sampled_from(["01", "02", "emptyroom"]))
    folder = f"sub-{subject}/" + draw(st.sampled_from(["", "ses-1/"])) + f"{datatype}/"
    name = f"sub-{subject}"
    for key in draw(st.lists(st.sampled_from(["task", "acq", "run", "split"]), unique=True)):
        name += f"_{key}-{draw(LABELS)}"
    suffix = draw(st.sampled_from([datatype, datatype, "events", "eeg", "channels"]))
    extension = draw(
        st.sampled_from([*DATA_EXTENSIONS, *COMPANION_EXTENSIONS, ".EDF", ".tsv", ".json", ""])
    )
    inside = draw(st.sampled_from(["", "", "/c,rfDC", "/a/b.meg4"]))
    top = draw(st.sampled_from(["", "", "", "derivatives/p/"]))
    return f"{top}{folder}{name}_{suffix}{extension}{inside}"


@settings(max_examples=300, deadline=None)
@given(st.lists(bids_paths(), max_size=25))
def test_no_data_file_is_lost_and_none_is_taken_twice(paths):
    found = find_recordings(paths)
    stems = [recording.stem for recording in found]
    assert stems == sorted(set(stems))
    owners: dict[str, int] = {}
    for recording in found:
        for path in recording.files:
            owners[path] = owners.get(path, 0) + 1
        for unit in recording.alternatives:
            for path in {p for p in paths if p == unit or p.startswith(f"{unit}/")}:
                owners[path] = owners.get(path, 0) + 1
        units = recording.files + [str(PurePosixPath(p).parent) for p in recording.files]
        assert any(u == recording.data or u.startswith(f"{recording.data}/") for u in units)
        assert "split-" not in recording.stem
    assert owners == dict.fromkeys({p for p in paths if is_data(p)}, 1)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(alphabet="sub-01/eegm_.djtvx \u00e9\n", max_size=60), max_size=8))
def test_no_list_of_names_raises(paths):
    for recording in find_recordings(paths):
        assert recording.files


# -------------------------------------------------------------------------------- inheritance


def applicable_by_force(data: str, paths: list[str], suffix: str, extension: str) -> list[str]:
    """Say the inheritance principle again: BIDS 1.10, "Inheritance principle", rules 1 to 4."""
    own = parse_name(data).entities
    found = []
    for path in paths:
        name, folder = parse_name(path), str(PurePosixPath(path).parent)
        above = folder == "." or data.startswith(f"{folder}/")
        if name.suffix != suffix or name.extension != extension or not above:
            continue
        if all(own.get(key) == label for key, label in name.entities.items()):
            depth = 0 if folder == "." else folder.count("/") + 1
            found.append((depth, len(name.entities), path))
    return [path for _, _, path in sorted(found)]


PLACES = ("", "sub-01/", "sub-01/ses-1/", "sub-01/ses-1/eeg/", "sub-02/", "sub-01/ses-2/eeg/")
ENTITIES = ("sub-01", "ses-1", "task-x", "run-1", "task-y", "sub-02", "acq-a")
SIDECARS = [
    "_".join([*chosen, suffix])
    for size in range(4)
    for chosen in combinations(ENTITIES, size)
    for suffix in ("events.json", "eeg.json", "events.tsv")
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(SIDECARS)), max_size=12))
def test_sidecars_are_inherited_as_the_principle_says(pairs):
    paths = sorted({place + name for place, name in pairs})
    data = "sub-01/ses-1/eeg/sub-01_ses-1_task-x_run-1_eeg.edf"
    found = only([data, *paths])
    for suffix, extension in (("events", ".json"), ("eeg", ".json"), ("events", ".tsv")):
        wanted = applicable_by_force(data, paths, suffix, extension)
        assert found.sidecars.get(f"{suffix}{extension}", []) == wanted


@pytest.mark.parametrize(
    "present",
    [
        ["task-x_events.json"],
        ["events.json", "sub-01/sub-01_task-x_events.json"],
        ["task-x_events.json", "sub-01/ses-1/sub-01_ses-1_task-x_events.json"],
        ["task-x_events.json", "sub-01/ses-1/eeg/sub-01_ses-1_task-x_run-1_events.json"],
        ["task-y_events.json"],
    ],
)
def test_the_nearest_sidecar_is_that_of_mne_bids(tmp_path, present):
    from mne_bids import BIDSPath

    data = "sub-01/ses-1/eeg/sub-01_ses-1_task-x_run-1_eeg.edf"
    for path in [data, *present]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps({}))
    path = BIDSPath(
        root=tmp_path, subject="01", session="1", task="x", run="1", datatype="eeg", suffix="eeg"
    )
    nearest = path.find_matching_sidecar("events", ".json", on_error="ignore")
    found = only([data, *present]).sidecars.get("events.json", [])
    wanted = [] if nearest is None else [nearest.relative_to(tmp_path).as_posix()]
    assert found[-1:] == wanted


def test_coordinates_may_name_a_space_that_the_recording_has_not():
    paths = [
        "sub-01/eeg/sub-01_task-x_eeg.edf",
        "sub-01/eeg/sub-01_space-CapTrak_electrodes.tsv",
        "sub-01/eeg/sub-01_space-CapTrak_coordsystem.json",
        "sub-01/eeg/sub-01_space-CapTrak_events.tsv",
    ]
    assert only(paths).sidecars == {
        "electrodes.tsv": [paths[1]],
        "coordsystem.json": [paths[2]],
    }


# ------------------------------------------------------------------------------------ include


@pytest.mark.parametrize(
    ("include", "inside"),
    [
        ({}, True),
        ({"subject": ["01"]}, True),
        ({"subject": [1]}, True),
        ({"subject": ["1"]}, False),
        ({"subject": ["02", "01"], "run": [3]}, True),
        ({"run": ["03"], "task": ["y"]}, False),
        ({"session": ["1"]}, False),
        ({"datatype": ["eeg"]}, True),
        ({"datatype": ["meg"]}, False),
        ({"run": []}, False),
    ],
)
def test_include(include, inside):
    recording = Recording("sub-01_task-x_run-03_eeg", "eeg", "a")
    assert included(recording, include) is inside


def test_include_survives_digits_that_are_no_numbers():
    assert not included(Recording("sub-²_eeg", "eeg", "a"), {"subject": [2]})
