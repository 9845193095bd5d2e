"""Which files of a dataset are locked, and which of those are fetched with it as a whole."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids.recordings import find_recordings, included
from bidsmill.sources.selection import files_of_dataset, is_raw

ONE = "sub-01/ses-1/eeg/sub-01_ses-1"
CTF = "sub-01/ses-2/meg/sub-01_ses-2_task-rest_meg.ds"

# Locked: the raw dataset.
TOP = [
    ".bidsignore",
    "CHANGES",
    "README",
    "dataset_description.json",
    "participants.json",
    "participants.tsv",
    "phenotype/bdi.json",
    "phenotype/bdi.tsv",
]
# Sidecars above the folders of recordings, and which recordings they describe.
EVENTS_OF_ALL = "task-rest_events.json"
EVENTS_OF_FACES = "task-faces_events.json"
OF_NO_RECORDING = "task-rest_bold.json"
OF_SUBJECT = "sub-01/sub-01_task-rest_eeg.json"
OF_SESSION = "sub-01/ses-1/sub-01_ses-1_task-rest_channels.tsv"
# The first session: two runs at rest, and faces.
RUN_1 = [f"{ONE}_task-rest_run-1_{name}" for name in ("eeg.eeg", "eeg.vhdr", "eeg.vmrk")]
RUN_2 = [f"{ONE}_task-rest_run-2_{name}" for name in ("eeg.eeg", "eeg.vhdr", "eeg.vmrk")]
FACES = [f"{ONE}_task-faces_eeg.edf"]
RUN_1_SIDECARS = [f"{ONE}_task-rest_run-1_channels.tsv", f"{ONE}_task-rest_run-1_events.tsv"]
RUN_2_SIDECARS = [f"{ONE}_task-rest_run-2_events.tsv"]
FACES_SIDECARS = [f"{ONE}_task-faces_eeg.json", f"{ONE}_task-faces_events.tsv"]
FACES_ALTERNATIVE = [f"{ONE}_task-faces_eeg.bdf"]
SHARED = [f"{ONE}_electrodes.tsv", f"{ONE}_space-CapTrak_coordsystem.json"]
BESIDE_EEG = [f"{ONE}_acq-front_photo.jpg", f"{ONE}_notes.txt"]
TABLES_1 = ["sub-01/ses-1/sub-01_ses-1_scans.json", "sub-01/ses-1/sub-01_ses-1_scans.tsv"]
# The second session: CTF.
MEG = [f"{CTF}/{name}" for name in ("BadChannels", "hz.ds/x.meg4", "sub.meg4", "sub.res4")]
MEG_SIDECARS = [
    "sub-01/ses-2/meg/sub-01_ses-2_coordsystem.json",
    "sub-01/ses-2/meg/sub-01_ses-2_task-rest_channels.tsv",
]
BESIDE_MEG = [
    "sub-01/ses-2/meg/sub-01_ses-2_acq-crosstalk_meg.fif",
    "sub-01/ses-2/meg/sub-01_ses-2_headshape.pos",
]
TABLES_2 = ["sub-01/ses-2/sub-01_ses-2_scans.tsv"]
SESSIONS = ["sub-01/sub-01_sessions.tsv"]
# The second subject.
IEEG = ["sub-02/ieeg/sub-02_task-rest_ieeg.edf"]
IEEG_SIDECARS = [
    "sub-02/ieeg/sub-02_space-MNI_coordsystem.json",
    "sub-02/ieeg/sub-02_space-MNI_electrodes.tsv",
    "sub-02/ieeg/sub-02_task-rest_channels.tsv",
]
BESIDE_IEEG = ["sub-02/ieeg/sub-02_task-rest_photo.jpg"]
TABLES_OF_02 = ["sub-02/sub-02_scans.tsv"]
# Images and behaviour, and a subject without recordings.
ELSEWHERE = [
    "sub-01/ses-1/anat/sub-01_ses-1_T1w.json",
    "sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz",
    "sub-01/ses-1/beh/sub-01_ses-1_task-rest_events.tsv",
    "sub-01/ses-1/func/sub-01_ses-1_task-rest_bold.nii.gz",
    "sub-01/ses-1/func/sub-01_ses-1_task-rest_events.tsv",
    "sub-02/anat/sub-02_T1w.nii.gz",
    "sub-03/anat/sub-03_T1w.nii.gz",
    "sub-03/sub-03_scans.tsv",
]
# Not locked.
OTHERS = {
    "derivatives": ["derivatives/clean/dataset_description.json", f"derivatives/clean/{FACES[0]}"],
    "sourcedata": ["sourcedata/sub-01/raw.dat"],
    "code": ["code/convert.py"],
    "stimuli": ["stimuli/face.png"],
}
HIDDEN = [
    ".DS_Store",
    ".datalad/config",
    ".git/annex/objects/x",
    ".gitattributes",
    "phenotype/.bidsignore",
    "sub-01/.heudiconv/info.txt",
    f"{CTF}/.acq",
    "stimuli/.hidden/a",
]
LOCKED = [
    *TOP, EVENTS_OF_ALL, EVENTS_OF_FACES, OF_NO_RECORDING, OF_SUBJECT, OF_SESSION,
    *RUN_1, *RUN_2, *FACES, *RUN_1_SIDECARS, *RUN_2_SIDECARS, *FACES_SIDECARS,
    *FACES_ALTERNATIVE, *SHARED, *BESIDE_EEG, *TABLES_1, *MEG, *MEG_SIDECARS, *BESIDE_MEG,
    *TABLES_2, *SESSIONS, *IEEG, *IEEG_SIDECARS, *BESIDE_IEEG, *TABLES_OF_02, *ELSEWHERE,
]  # fmt: skip
EVERYTHING = [*LOCKED, *(path for paths in OTHERS.values() for path in paths), *HIDDEN]


def locked(folders: list[str], paths: list[str] = EVERYTHING) -> list[str]:
    return sorted(path for path in paths if is_raw(path, folders))


def selected(include: dict, folders: list[str] | None = None) -> tuple[list[str], list[str]]:
    """Return what is fetched for the dataset, and what for its batches."""
    paths = locked(folders or [])
    every = find_recordings(paths)
    chosen = [recording for recording in every if included(recording, include)]
    return files_of_dataset([{"path": path} for path in paths], every, chosen), of_batches(chosen)


def of_batches(chosen) -> list[str]:
    """Return the files of the members of plans."""
    wanted = {path for recording in chosen for path in recording.files}
    for recording in chosen:
        wanted.update(*recording.sidecars.values())
    return sorted(wanted)


def test_no_path_of_the_example_stands_twice():
    assert len(set(EVERYTHING)) == len(EVERYTHING)


# Locked


def test_the_raw_dataset_is_locked():
    assert locked([]) == sorted(LOCKED)


@pytest.mark.parametrize("folder", sorted(OTHERS))
def test_folders_that_are_asked_for_are_locked(folder):
    assert locked([folder]) == sorted([*LOCKED, *OTHERS[folder]])


def test_all_folders_are_locked_without_what_is_hidden_in_them():
    asked = locked(list(OTHERS))
    assert asked == sorted([*LOCKED, *(path for paths in OTHERS.values() for path in paths)])


@pytest.mark.parametrize(
    "path", ["derivatives", "code", "stimuli.tsv", "sub-01/stimuli/a", "code2/a"]
)
def test_only_folders_at_the_top_are_left_out(path):
    assert is_raw(path, [])


# Fetched with the dataset


def test_all_is_fetched_but_images_behaviour_and_what_stands_in_two_formats():
    of_dataset, batches = selected({})
    assert of_dataset == sorted(
        (
            *TOP,
            OF_NO_RECORDING,
            *SESSIONS,
            *BESIDE_EEG,
            *TABLES_1,
            *BESIDE_MEG,
            *TABLES_2,
            *BESIDE_IEEG,
            *TABLES_OF_02,
        )
    )
    assert batches == sorted(
        (
            EVENTS_OF_ALL,
            EVENTS_OF_FACES,
            OF_SUBJECT,
            OF_SESSION,
            *SHARED,
            *RUN_1,
            *RUN_2,
            *FACES,
            *RUN_1_SIDECARS,
            *RUN_2_SIDECARS,
            *FACES_SIDECARS,
            *MEG,
            *MEG_SIDECARS,
            *IEEG,
            *IEEG_SIDECARS,
        )
    )
    rest = set(LOCKED) - {*of_dataset, *batches}
    assert rest == {*ELSEWHERE, *FACES_ALTERNATIVE}


def test_of_one_run_nothing_of_the_other_is_fetched():
    of_dataset, batches = selected({"run": [1]})
    assert of_dataset == sorted(
        [*TOP, OF_NO_RECORDING, EVENTS_OF_FACES, *BESIDE_EEG, *TABLES_1, *SESSIONS]
    )
    assert batches == sorted(
        [*RUN_1, *RUN_1_SIDECARS, *SHARED, EVENTS_OF_ALL, OF_SUBJECT, OF_SESSION]
    )


def test_of_one_datatype_no_folder_of_another_is_fetched():
    of_dataset, batches = selected({"datatype": ["meg"]})
    assert of_dataset == sorted(
        [*TOP, OF_NO_RECORDING, EVENTS_OF_FACES, OF_SUBJECT, *BESIDE_MEG, *TABLES_2, *SESSIONS]
    )
    assert batches == sorted([*MEG, *MEG_SIDECARS, EVENTS_OF_ALL])


def test_of_one_subject_no_other_is_fetched():
    of_dataset, batches = selected({"subject": [2]}, folders=["stimuli"])
    assert of_dataset == sorted(
        [*TOP, OF_NO_RECORDING, EVENTS_OF_FACES, *OTHERS["stimuli"], *BESIDE_IEEG, *TABLES_OF_02]
    )
    assert batches == sorted([*IEEG, *IEEG_SIDECARS, EVENTS_OF_ALL])


def test_of_a_recording_in_two_formats_one_is_fetched():
    of_dataset, batches = selected({"task": ["faces"]})
    assert of_dataset == sorted(
        (
            *TOP,
            OF_NO_RECORDING,
            EVENTS_OF_ALL,
            OF_SUBJECT,
            OF_SESSION,
            *BESIDE_EEG,
            *TABLES_1,
            *SESSIONS,
        )
    )
    assert batches == sorted([*FACES, *FACES_SIDECARS, *SHARED, EVENTS_OF_FACES])


@pytest.mark.parametrize("chosen", [True, False])
def test_a_second_format_that_is_a_folder_is_not_fetched(chosen):
    """One recording as FIF and as CTF: of the two, FIF is read."""
    inside = [f"sub-01/meg/sub-01_task-x_meg.ds/{name}" for name in ("a.meg4", "a.res4")]
    fif = ["sub-01/meg/sub-01_task-x_meg.fif", "sub-01/meg/sub-01_task-y_meg.fif"]
    entries = [{"path": path, "size": 1, "checksum": None} for path in sorted([*inside, *fif])]
    every = find_recordings(entry["path"] for entry in entries)
    assert [recording.data for recording in every] == fif
    assert files_of_dataset(entries, every, every if chosen else every[1:]) == []


# Whatever a dataset holds

DATA = ("eeg", "meg")
EXTENSIONS = (".edf", ".vhdr", ".eeg", ".set", ".fif", ".ds/a.meg4", ".ds/b/c.res4")


@st.composite
def raw_paths(draw) -> str:
    """Draw a file of a raw dataset: data, a sidecar on some level, a table, an image."""
    subject = draw(st.sampled_from(["01", "02"]))
    session = draw(st.sampled_from(["", "1"]))
    entities = [f"sub-{subject}", *([f"ses-{session}"] if session else [])]
    folders = ["", *("/".join(entities[:n]) + "/" for n in range(1, len(entities) + 1))]
    more = draw(st.sampled_from(["", "_task-x", "_task-x_run-1", "_task-y"]))
    kind = draw(
        st.sampled_from(["data", "data", "data", "sidecar", "sidecar", "above", "other", "top"])
    )
    datatype = draw(st.sampled_from(DATA))
    if kind == "top":
        return draw(st.sampled_from(["README", "participants.tsv", "phenotype/a.tsv", "extra/b"]))
    if kind == "other":
        folder = draw(st.sampled_from([f"{datatype}/", "anat/", "func/", ""]))
        suffix = draw(st.sampled_from(["T1w.nii.gz", "photo.jpg", "scans.tsv", "headshape.pos"]))
        return f"{folders[-1]}{folder}{'_'.join(entities)}{more}_{suffix}"
    if kind == "data":
        extension = draw(st.sampled_from(EXTENSIONS))
        return f"{folders[-1]}{datatype}/{'_'.join(entities)}{more}_{datatype}{extension}"
    name = draw(
        st.sampled_from(["events.tsv", "events.json", "channels.tsv", "electrodes.tsv"])
        | st.just(f"{datatype}.json")
    )
    if kind == "sidecar":
        return f"{folders[-1]}{datatype}/{'_'.join(entities)}{more}_{name}"
    depth = draw(st.integers(0, len(entities)))
    return folders[depth] + "_".join([*entities[:depth], *more[1:].split("_")[: bool(more)], name])


def is_data(path: str) -> bool:
    """Say again what of the drawn paths holds signals."""
    unit = path.split(".ds/")[0] + (".ds" if ".ds/" in path else "")
    return unit.endswith(tuple(f"_{d}{e.split('/')[0]}" for d in DATA for e in EXTENSIONS))


def place(path: str) -> str:
    """Return the folder of the subject, session and datatype that a file lies in."""
    return "/".join(path.split(".ds/")[0].split("/")[:-1])


@settings(max_examples=400, deadline=None)
@given(paths=st.lists(raw_paths(), min_size=8, max_size=40, unique=True), seed=st.randoms())
def test_every_file_is_fetched_or_there_is_a_reason(paths, seed):
    paths = sorted(paths)
    assert locked([], paths) == paths
    every = find_recordings(paths)
    chosen = [recording for recording in every if seed.random() < 0.5]
    of_dataset = files_of_dataset([{"path": path} for path in paths], every, chosen)
    batches = of_batches(chosen)
    assert of_dataset == sorted(set(of_dataset) & set(paths))
    assert not set(of_dataset) & set(batches), "a file is fetched once"

    # Signals are fetched for chosen recordings alone, and of these in one format.
    fetched = {*of_dataset, *batches}
    signals = {path for recording in chosen for path in recording.files}
    assert {path for path in fetched if is_data(path)} == signals

    folders = {place(recording.files[0]) for recording in chosen}
    for path in sorted(set(paths) - fetched):
        assert path.startswith("sub-"), "what lies at the top is for all"
        near = any(f"{folder}/".startswith(f"{place(path)}/") for folder in folders)
        owners = [r for r in every if any(path in found for found in r.sidecars.values())]
        # Of a chosen place nothing stays behind but signals that are not asked for, and what
        # describes them alone.
        if near and not is_data(path):
            assert owners
            assert not any(recording in chosen for recording in owners)
            assert place(path) in folders, "what lies above is for all"
