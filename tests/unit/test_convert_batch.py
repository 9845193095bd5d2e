"""What is converted again, and what keeps its bytes and times."""

from __future__ import annotations

import json
import shutil

import pytest
from bids_cases import EVENTS_JSON, Dataset, brain_like, write_edf, write_small, write_tsv

from bidsmill.bids.rules import all_rules
from bidsmill.convert import batch
from bidsmill.convert.batch import convert_batch
from bidsmill.errors import BidsmillError
from bidsmill.formats import files

RUN_1, RUN_2 = "sub-01_task-x_run-1_eeg", "sub-01_task-x_run-2_eeg"
TRUNCATED, STRANGER = "sub-02_task-x_eeg", "sub-03_ses-1_task-x_eeg"
ALL = {RUN_1, RUN_2, TRUNCATED, STRANGER}
WINDOWS = {"kind": "events", "tmin": -0.1, "tmax": 0.4, "events": {"hed": "Sensory-event"}}
STRANGERS_EVENTS = "sub-03/ses-1/eeg/sub-03_ses-1_task-x_events.tsv"


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """Return a converted dataset. Not to be changed."""
    dataset = Dataset(tmp_path_factory.mktemp("converted"))
    write_small(dataset.root)
    dataset.convert(windows=WINDOWS)
    return dataset


@pytest.fixture
def dataset(converted, tmp_path):
    """Return a copy of the converted dataset, with its times."""
    return converted.copied(tmp_path)


def state(dataset) -> dict[str, tuple]:
    """Return fingerprint, time of the receipt, and bytes and time of the matrix, by stem."""
    result = {}
    for stem, receipt in dataset.receipts().items():
        matrix = dataset.results / "matrix" / f"{stem}.parquet"
        result[stem] = (
            receipt["fingerprint"],
            (dataset.results / "matrix" / f"{stem}.json").stat().st_mtime_ns,
            (matrix.read_bytes(), matrix.stat().st_mtime_ns) if matrix.is_file() else None,
        )
    return result


def redone(dataset, before) -> set[str]:
    """Return which recordings were converted again; the others kept everything."""
    after = state(dataset)
    changed = {stem for stem in after if after[stem][1] != before[stem][1]}
    assert changed == {stem for stem in after if after[stem][0] != before[stem][0]}
    for stem in after.keys() - changed:
        assert after[stem] == before[stem]
    return changed


def edit(dataset, path, old, new):
    path = dataset.root / path
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_nothing_changed_nothing_done(dataset):
    before = state(dataset)
    manifests = {b: dataset.of("convert", b).read_bytes() for b in dataset.batches}
    dataset.convert(windows=WINDOWS)
    assert redone(dataset, before) == set()
    assert {b: dataset.of("convert", b).read_bytes() for b in dataset.batches} == manifests


def relabel(dataset):
    edit(dataset, STRANGERS_EVENTS, "face", "scrambled")


def retag(dataset):
    content = json.loads(json.dumps(EVENTS_JSON))
    content["trial_type"]["HED"]["face"] = "Sensory-event, Face, Red"
    files.write_json(dataset.root / "task-x_events.json", content)


def add_a_column(dataset):
    rows = [[3.0, "left"], [1.0, "right"]]
    header = ["onset", "button", "trial_type"]
    write_tsv(dataset.root / STRANGERS_EVENTS, header, *[[*row, "face"] for row in rows])


def change_durations(dataset):
    edit(dataset, STRANGERS_EVENTS, "0.5", "0.75")


def write_participants(dataset):
    write_tsv(dataset.root / "participants.tsv", ["participant_id", "age"], ["sub-01", 99])


def touch_all(dataset):
    for path in dataset.root.rglob("*"):
        path.touch()


@pytest.mark.parametrize(
    "change", [relabel, retag, add_a_column, change_durations, write_participants, touch_all]
)
def test_meaning_changes_no_matrix(dataset, change):
    before = state(dataset)
    change(dataset)
    dataset.convert(windows=WINDOWS, labels={"a": {"column": "trial_type"}})
    assert redone(dataset, before) == set()


def test_another_choice_with_the_same_result_changes_no_matrix(dataset):
    before = state(dataset)
    choice = {"trial_type": ["face", "scrambled"]}
    dataset.convert(windows={**WINDOWS, "events": choice})
    # The event without a type has no HED, so neither choice takes it.
    assert redone(dataset, before) == set()


def move_an_event(dataset):
    edit(dataset, STRANGERS_EVENTS, "3.0", "3.1")


def drop_an_event(dataset):
    edit(dataset, STRANGERS_EVENTS, "scrambled", "press")


def add_an_event_before(dataset):
    path = dataset.root / STRANGERS_EVENTS
    path.write_text(path.read_text() + "0.5\t0\tpress\t3\tb\n")


def add_a_boundary(dataset):
    path = dataset.root / STRANGERS_EVENTS
    path.write_text(path.read_text() + "9.0\t0\tboundary\t3\tb\n")


def add_channels(dataset):
    path = dataset.root / "sub-03/ses-1/eeg/sub-03_ses-1_task-x_channels.tsv"
    write_tsv(path, ["name", "type"], ["Fz", "EEG"], ["Cz", "EOG"], ["Pz", "EEG"])


def add_sidecar(dataset):
    path = dataset.root / "sub-03/sub-03_eeg.json"
    path.write_text('{"PowerLineFrequency": 60}')


def add_electrodes(dataset):
    path = dataset.root / "sub-03/ses-1/eeg/sub-03_ses-1_electrodes.tsv"
    write_tsv(path, ["name", "x", "y", "z"], ["Fz", 0, 0, 1])


def change_the_data(dataset):
    path = next(dataset.root.rglob("sub-03*.edf"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def write_other_signals(dataset):
    path = next(dataset.root.rglob("sub-03*.edf"))
    data = brain_like(2, 2000, 9) * 1e6
    write_edf(path, [(n, d, 200, "uV") for n, d in zip("ab", data, strict=True)])


@pytest.mark.parametrize(
    "change",
    [
        move_an_event,
        drop_an_event,
        add_an_event_before,
        add_a_boundary,
        add_channels,
        add_sidecar,
        add_electrodes,
        change_the_data,
        write_other_signals,
    ],
)
def test_what_shapes_one_matrix_changes_this_one(dataset, change):
    before = state(dataset)
    change(dataset)
    dataset.convert(windows=WINDOWS)
    assert redone(dataset, before) == {STRANGER}


@pytest.mark.parametrize(
    "own",
    [
        {"windows": {**WINDOWS, "tmax": 0.5}},
        {"windows": {**WINDOWS, "baseline": [-0.1, 0.0]}},
        {"windows": {"kind": "fixed", "length": 1.0}},
        {"resample": 100},
        {"filter": {"high": 30}},
        {"channels": {"exclude": ["Fz"]}},
    ],
)
def test_settings_of_the_signal_change_all(dataset, own):
    before = state(dataset)
    dataset.convert(**{"windows": WINDOWS, **own})
    assert redone(dataset, before) == ALL


def test_another_choice_changes_those_whose_rows_it_changes(dataset):
    before = state(dataset)
    dataset.convert(windows={**WINDOWS, "events": {"trial_type": "face"}})
    # The marker `face` of run 2 is chosen either way; so is nothing of the truncated file.
    assert redone(dataset, before) == {RUN_1, STRANGER}


def test_the_code_changes_all(dataset):
    before = state(dataset)
    dataset.code = "other"
    dataset.convert(windows=WINDOWS)
    assert redone(dataset, before) == ALL


@pytest.mark.parametrize("library", ["mne", "numpy", "scipy", "pyarrow"])
def test_the_libraries_that_shape_the_bytes_change_all(dataset, monkeypatch, library):
    before = state(dataset)
    version = batch.version
    monkeypatch.setattr(batch, "version", lambda name: version(name) + "+x" * (name == library))
    dataset.convert(windows=WINDOWS)
    assert redone(dataset, before) == ALL


@pytest.mark.parametrize("own", [{"split": {"test": 0.4}}, {"labels": {"a": {"column": "task"}}}])
def test_settings_of_other_stages_change_nothing(dataset, own):
    before = state(dataset)
    dataset.convert(windows=WINDOWS, **own)
    assert redone(dataset, before) == set()


def test_a_lost_matrix_is_made_again_with_the_same_bytes(dataset):
    before = state(dataset)
    (dataset.results / "matrix" / f"{RUN_1}.parquet").unlink()
    dataset.convert(windows=WINDOWS)
    after = state(dataset)
    assert after[RUN_1][2][0] == before[RUN_1][2][0] and after[RUN_1][2][1] != before[RUN_1][2][1]
    assert {s: after[s] for s in ALL - {RUN_1}} == {s: before[s] for s in ALL - {RUN_1}}


def test_what_leaves_the_dataset_leaves_the_results(dataset):
    shutil.rmtree(dataset.root / "sub-03")
    dataset.convert(windows=WINDOWS)
    left = {path.name.split(".")[0] for path in (dataset.results / "matrix").iterdir()}
    assert left == ALL - {STRANGER}


def test_the_quarantined_are_tried_again_when_their_file_is_whole(dataset):
    receipts = dataset.receipts()
    assert receipts[TRUNCATED]["reason"] == "truncated_file"
    shutil.copy(next(dataset.root.rglob("sub-03*.edf")), next(dataset.root.rglob("sub-02*.edf")))
    before = state(dataset)
    dataset.convert(windows=WINDOWS)
    assert redone(dataset, before) == {TRUNCATED}
    assert dataset.receipts()[TRUNCATED]["status"] == "converted"


def test_a_file_that_changes_after_the_lock_costs_its_recording(dataset):
    change_the_data(dataset)
    name = dataset.batches[0]
    plan = dataset.of("plan", name)
    from bidsmill.sources.fetch import fetch_batch

    fetch_batch(
        plan, dataset.of("fetch", name), settings=dataset_settings(dataset), results=dataset.results
    )
    convert(dataset)
    receipt = dataset.receipts()[STRANGER]
    assert (receipt["status"], receipt["reason"]) == ("quarantined", "source_changed")
    assert not (dataset.results / "matrix" / f"{STRANGER}.parquet").is_file()


def dataset_settings(dataset) -> dict:
    return {**dataset.settings, "path": str(dataset.root)}


def convert(dataset, **more):
    name = dataset.batches[0]
    convert_batch(
        dataset.of("plan", name),
        dataset.of("fetch", name),
        dataset.of("annotate", name),
        dataset.of("convert", name),
        settings={**dataset_settings(dataset), **more.pop("settings", {})},
        code=dataset.code,
        **more,
    )


def test_one_recording_alone_is_made_again(dataset):
    before = state(dataset)
    manifest = dataset.of("convert", dataset.batches[0])
    at = manifest.stat().st_mtime_ns
    convert(dataset, only=STRANGER)
    after = state(dataset)
    assert after[STRANGER][2][0] == before[STRANGER][2][0]
    assert {s for s in ALL if after[s][1] != before[s][1]} == {STRANGER}
    assert manifest.stat().st_mtime_ns == at


def test_a_bad_recording_can_stop_the_batch(dataset):
    with pytest.raises(BidsmillError) as raised:
        convert(dataset, settings={"on_bad_recording": "fail"})
    assert TRUNCATED in raised.value.found and STRANGER not in raised.value.found


def test_a_repair_that_does_not_exist_is_refused_and_every_other_is_known(dataset):
    with pytest.raises(BidsmillError, match="no such repair") as caught:
        dataset.convert(windows=WINDOWS, repairs={"refuse": ["participant_prefx"]})
    assert "participant_prefx" in str(caught.value) and "participant_prefix" in str(caught.value)
    dataset.convert(windows=WINDOWS, repairs={"refuse": sorted(all_rules())})


def test_processes_make_the_same_bytes(dataset):
    before = state(dataset)
    for stem in ALL:
        (dataset.results / "matrix" / f"{stem}.json").unlink()
    convert(dataset, processes=2)
    after = state(dataset)
    assert {s: (a[0], a[2] and a[2][0]) for s, a in after.items()} == {
        s: (b[0], b[2] and b[2][0]) for s, b in before.items()
    }
