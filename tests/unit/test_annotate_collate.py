"""From recordings to the tables of a dataset: nothing is lost, everything points right."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from bids_cases import EVENTS_JSON, SMALL_EVENTS, Dataset, write_small

from bidsmill.annotate.recording import with_first_columns
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.matrix import MatrixFile

RUN_1, RUN_2 = "sub-01_task-x_run-1_eeg", "sub-01_task-x_run-2_eeg"
TRUNCATED, STRANGER = "sub-02_task-x_eeg", "sub-03_ses-1_task-x_eeg"
WINDOWS = {"kind": "events", "tmin": -0.1, "tmax": 0.4, "events": {"hed": "Sensory-event"}}
LABELS = {
    "picture": {"hed": {"face": "Face", "scrambled": "Image and not Face"}},
    "both": {"hed": {"image": "Image", "face": "Face"}},
    "code": {"column": "value", "values": {"one": 1, "two": 2}},
    "sex": {"column": "participant_sex"},
    "age": {"column": "participant_age", "numeric": True},
    "long": {"column": "duration", "numeric": True},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Return a finished run of the small dataset. Not to be changed."""
    dataset = Dataset(tmp_path_factory.mktemp("small"))
    write_small(dataset.root)
    return dataset.run(windows=WINDOWS, labels=LABELS)


@pytest.fixture
def fresh(tmp_path):
    """Return the small dataset, to be changed and run."""
    dataset = Dataset(tmp_path)
    write_small(dataset.root)
    return dataset


def events_of(dataset, stem):
    events = dataset.table("events.tsv")
    return events[events["recording"] == stem].reset_index(drop=True)


# -------------------------------------------------------------------------------------- events


def test_every_event_has_a_fate(small):
    own = events_of(small, RUN_1)
    fates = [tuple(row) for row in own[["onset", "trial_type", "outcome", "reason", "row"]].values]
    assert fates == [
        ("-1", "face", "dropped", "before_start", ""),
        ("0.05", "face", "dropped", "window_before_start", ""),
        ("2", "face", "used", "", "0"),
        ("2.7", "press", "dropped", "not_chosen", ""),
        ("4", "scrambled", "used", "", "1"),
        ("6", "face", "used", "", "2"),
        ("6", "face", "dropped", "duplicate", ""),
        ("7", "boundary", "dropped", "boundary_marker", ""),
        ("7.1", "face", "used", "", "3"),
        ("8", "", "dropped", "not_chosen", ""),
        ("9.95", "face", "dropped", "window_after_end", ""),
        ("10", "press", "dropped", "after_end", ""),
        ("25", "face", "dropped", "after_end", ""),
        ("26", "press", "dropped", "after_end", ""),
        ("1e+300", "face", "dropped", "after_end", ""),
        ("", "face", "dropped", "onset_missing", ""),
        ("", "face", "dropped", "onset_not_a_number", ""),
    ]


def test_events_in_are_events_out(small):
    recordings = small.table("recordings.tsv").set_index("recording")
    for stem, rows in SMALL_EVENTS.items():
        own = events_of(small, f"{stem}_eeg")
        fact = recordings.loc[f"{stem}_eeg"]
        assert len(own) == int(fact["events"]) == len(rows)
        counts = dict(part.split(":") for part in fact["events_dropped"].split(", ") if part)
        assert int(fact["events_used"]) + sum(map(int, counts.values())) == len(rows)
        dropped = own.loc[own["outcome"] == "dropped", "reason"]
        assert counts == {reason: str(n) for reason, n in Counter(dropped).items()}


def test_events_of_a_quarantined_recording_are_dropped_with_their_own_reason(small):
    own = events_of(small, TRUNCATED)
    assert own["reason"].tolist() == ["recording_quarantined", "onset_missing"]
    assert set(own["outcome"]) == {"dropped"} and set(own["sample"]) == {""}


def test_samples_stand_on_the_output_grid(small):
    own = events_of(small, RUN_1)
    for onset, sample in zip(own["onset"], own["sample"], strict=True):
        if onset in ("", "1e+300"):
            assert sample == ""
        else:
            assert int(sample) == round(float(onset) * 200)


def test_columns_of_the_source_stay_under_another_name(small):
    own = events_of(small, STRANGER)
    assert own["source_row"].tolist() == ["b", "b"]


def test_markers_of_the_file_are_events_only_without_events_tsv(small):
    own = events_of(small, RUN_2)
    assert own["source"].tolist() == ["file"] * 3
    assert own["onset"].tolist() == ["1", "3", "5"]
    assert own["outcome"].tolist() == ["used", "dropped", "dropped"]
    assert set(events_of(small, RUN_1)["source"]) == {"events.tsv"}


def test_markers_of_the_file_can_be_left_alone(fresh):
    fresh.run(windows={"kind": "fixed", "length": 1.0}, annotations="never")
    assert len(events_of(fresh, RUN_2)) == 0
    assert len(events_of(fresh, RUN_1)) == len(SMALL_EVENTS["sub-01_task-x_run-1"])


# ------------------------------------------------------------------------------------- samples


def test_rows_are_ordered_and_point_to_their_events(small):
    samples, events = small.table("samples.parquet"), small.table("events.tsv")
    keys = list(zip(samples["recording"], samples["row"], strict=True))
    assert keys == sorted(keys) and len(keys) == 7
    for row in samples.to_dict("records"):
        event = events.iloc[row["event"]]
        assert (event["recording"], event["outcome"]) == (row["recording"], "used")
        assert int(event["row"]) == row["row"] and float(event["onset"]) == row["onset"]
        for column in ("trial_type", "value", "HED"):
            assert event[column] == row[column]
        assert row["start"] == int(event["sample"]) - 20 and row["stop"] - row["start"] == 100


def test_rows_are_those_of_the_matrices(small):
    import mne

    samples = small.table("samples.parquet")
    for stem, own in samples.groupby("recording"):
        with MatrixFile(small.results / "matrix" / f"{stem}.parquet") as matrix:
            assert own["row"].tolist() == list(range(matrix.n_rows))
            source = small.root / matrix.metadata["source"]["file"]
            data = mne.io.read_raw(source, preload=True, verbose="ERROR").get_data()
            for start, values in zip(own["start"], matrix.read(), strict=True):
                np.testing.assert_allclose(values, data[:, start : start + 100], rtol=1e-6)


def test_the_text_says_what_the_table_says(small):
    text, table = small.table("samples.tsv"), small.table("samples.parquet")
    assert list(text) == list(table)
    for name in ("recording", "row", "event", "sex", "picture", "age"):
        for one, other in zip(text[name], table[name], strict=True):
            missing = isinstance(other, float) and np.isnan(other)
            assert one == ("" if missing else str(other).removesuffix(".0"))


def test_entities_and_participants_are_joined_by_subject(small):
    samples = small.table("samples.parquet").set_index("recording")
    one, other = samples.loc[RUN_1].iloc[0], samples.loc[STRANGER].iloc[0]
    assert (one["subject"], one["session"], one["run"], one["datatype"]) == ("01", "", "1", "eeg")
    assert (one["participant_sex"], one["participant_age"]) == ("F", "24")
    assert (other["subject"], other["session"], other["participant_sex"]) == ("03", "1", "")
    recordings = small.table("recordings.tsv").set_index("recording")
    assert "sub-03 is not in participants.tsv" in recordings.loc[STRANGER, "conflicts"]
    assert "not in participants" not in recordings.loc[RUN_1, "conflicts"]


def test_a_participants_table_without_prefixes_is_repaired_unless_that_is_refused(fresh):
    path = fresh.root / "participants.tsv"
    path.write_text(path.read_text().replace("sub-", ""))
    fresh.run(windows=WINDOWS)
    of_person = fresh.table("samples.parquet").set_index("recording")["participant_sex"]
    assert of_person[RUN_1].eq("F").all() and of_person[STRANGER].eq("").all()
    fresh.run(windows=WINDOWS, repairs={"refuse": ["participant_prefix"]})
    assert "participant_sex" not in fresh.table("samples.parquet")


def test_labels_of_rows(small):
    samples = small.table("samples.parquet")
    own = samples[samples["recording"] == RUN_1]
    assert own["picture"].tolist() == ["face", "scrambled", "face", "face"]
    assert own["both"].tolist() == ["", "image", "", ""]
    assert own["code"].tolist() == ["one", "two", "one", "one"]
    assert own["age"].tolist() == [24.0] * 4
    np.testing.assert_array_equal(own["long"], [0.5, 0.5, np.nan, 0.5])
    vocabulary = files.read_json(small.results / "labels.json")["labels"]
    assert vocabulary["both"] == {
        "kind": "class",
        "classes": ["image", "face"],
        "ambiguous": int((samples["picture"] == "face").sum()),
        "unmatched": int((samples["picture"] == "").sum()),
    }
    assert vocabulary["age"] == {"kind": "number", "unmatched": int(samples["age"].isna().sum())}
    assert list(samples)[-len(LABELS) - 1 :] == [*LABELS, "excluded"]


def test_an_unknown_column_of_a_label_is_an_error(fresh):
    with pytest.raises(BidsmillError, match="participant_sexx"):
        fresh.run(windows=WINDOWS, labels={"sex": {"column": "participant_sexx"}})


def test_fixed_windows_have_no_event(fresh):
    fresh.run(
        windows={"kind": "fixed", "length": 1.0},
        labels={"type": {"column": "trial_type"}, "button": {"column": "source_row"}},
    )
    samples = fresh.table("samples.parquet")
    assert samples["event"].isna().all()
    for column in ("trial_type", "value", "HED", "type", "button"):
        assert set(samples[column]) == {""}
    own = samples[samples["recording"] == RUN_2]
    assert own["onset"].tolist() == list(range(10))
    assert own["excluded"].tolist() == ["", "", "", "", "", "bad_segment", "", "", "", ""]
    # The boundary at 7 s begins the next stretch.
    assert samples.loc[samples["recording"] == RUN_1, "start"].tolist() == list(range(0, 2000, 200))
    assert set(fresh.table("events.tsv")["outcome"]) == {"dropped"}


# ----------------------------------------------------------------------------------- recordings


def test_every_recording_has_a_row(small):
    recordings = small.table("recordings.tsv")
    assert recordings["recording"].tolist() == [RUN_1, RUN_2, TRUNCATED, STRANGER]
    assert recordings["status"].tolist() == ["converted", "converted", "quarantined", "converted"]
    assert recordings["reason"].tolist() == ["", "", "truncated_file", ""]
    assert recordings["rows"].tolist() == ["4", "1", "", "2"]
    channels = small.table("channels.tsv")
    assert Counter(channels["recording"]) == {RUN_1: 3, RUN_2: 3, STRANGER: 3}


def test_the_reason_of_a_quarantine_is_told_once(fresh):
    next(fresh.root.rglob("sub-02_task-x_events.tsv")).unlink()
    fresh.run(windows=WINDOWS)
    told = fresh.table("recordings.tsv").set_index("recording").loc[TRUNCATED]
    assert "the file ends before its last record" in told["message"]
    assert "the file ends" not in told["conflicts"]


def test_a_recording_whose_events_cannot_be_annotated_stops_no_other(fresh, monkeypatch):
    from bidsmill.annotate import recording

    whole = recording.assemble_tags

    def assemble(events, *arguments, **keywords):
        if "b" in set(events.get("row", [])):
            raise RuntimeError("a bug")
        return whole(events, *arguments, **keywords)

    monkeypatch.setattr(recording, "assemble_tags", assemble)
    fresh.run(windows=WINDOWS)
    recordings = fresh.table("recordings.tsv").set_index("recording")
    assert recordings.loc[STRANGER, ["status", "reason"]].tolist() == [
        "quarantined",
        "not_annotated",
    ]
    assert "a bug" in recordings.loc[STRANGER, "message"]
    assert recordings.loc[RUN_1, "status"] == "converted"
    assert len(events_of(fresh, STRANGER)) == 0
    monkeypatch.setattr(recording, "assemble_tags", whole)
    fresh.code = "mended"
    fresh.run(windows=WINDOWS)
    assert len(events_of(fresh, STRANGER)) == 2


def test_a_dataset_without_any_good_recording_has_all_tables(fresh):
    fresh.run(windows={"kind": "fixed", "length": 100.0}, labels={"sex": {"column": "subject"}})
    assert len(fresh.table("samples.parquet")) == 0
    assert set(fresh.table("recordings.tsv")["status"]) == {"quarantined"}
    assert len(fresh.table("events.tsv")) == sum(map(len, SMALL_EVENTS.values())) + 3


def test_a_nan_in_a_sidecar_stops_nothing(fresh):
    path = fresh.root / "sub-03/ses-1/eeg/sub-03_ses-1_task-x_eeg.json"
    path.write_text('{"PowerLineFrequency": NaN, "Manufacturer": "M"}')
    fresh.run(windows=WINDOWS)
    recordings = fresh.table("recordings.tsv").set_index("recording")
    assert recordings.loc[STRANGER, "status"] == "converted"
    assert "NaN" in recordings.loc[STRANGER, "conflicts"]


# ---------------------------------------------------------------------------------- what is gone


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (f"matrix/{RUN_1}.json", f"snakemake --cores 2 -f results/t/matrix/{RUN_1}.json"),
        (f"matrix/{RUN_1}.parquet", f"snakemake --cores 2 -f results/t/matrix/{RUN_1}.json"),
        (f"events/{RUN_1}.tsv", "snakemake --cores 2 -R annotate"),
    ],
)
@pytest.mark.parametrize("harm", ["gone", "shorter"])
def test_a_lost_or_damaged_result_names_the_command(fresh, monkeypatch, name, command, harm):
    fresh.convert(windows=WINDOWS)
    path = fresh.results / name
    path.unlink() if harm == "gone" else path.write_bytes(path.read_bytes()[:-3])
    monkeypatch.setattr(fresh, "convert", lambda **own: None)
    with pytest.raises(BidsmillError) as raised:
        fresh.run()
    assert command in raised.value.todo and path.name in raised.value.file


def test_manifests_of_another_lock_are_refused(fresh, monkeypatch):
    fresh.convert(windows=WINDOWS)
    overview = files.read_json(fresh.results / "plan/dataset.json")
    overview["recordings"]["sub-09_task-x_eeg"] = 0
    files.write_json(fresh.results / "plan/dataset.json", overview)
    monkeypatch.setattr(fresh, "convert", lambda **own: None)
    with pytest.raises(BidsmillError) as raised:
        fresh.run()
    assert "4 recordings" in raised.value.found and raised.value.expected == "5"


# ------------------------------------------------------------------------------------- annotate


def test_names_of_own_columns_are_never_used_twice():
    frame = pd.DataFrame(
        [["1", "a", "b", "c", "d"]], columns=["onset", "row", "source_row", "reason", "sample"]
    )
    renamed = with_first_columns(frame)
    assert renamed.columns.is_unique and not {"row", "reason", "sample"} & set(renamed)
    assert set(renamed.loc[0, ["source_row", "source_row_"]]) == {"a", "b"}


def test_events_are_annotated_again_only_if_they_or_the_settings_change(fresh):
    fresh.convert(windows=WINDOWS)
    folder = fresh.results / "events"

    def times():
        return {p.name: p.stat().st_mtime_ns for p in sorted(folder.glob("*.tsv"))}

    before = times()
    fresh.convert(windows=WINDOWS, labels={"a": {"column": "task"}}, resample=100)
    assert times() == before
    folder_of_data = fresh.root / "sub-03/ses-1/eeg"
    data = folder_of_data / "sub-03_ses-1_task-x_eeg.edf"
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    fresh.convert(windows=WINDOWS)
    assert times() == before
    path = folder_of_data / "sub-03_ses-1_task-x_events.tsv"
    path.write_text(path.read_text().replace("face", "scrambled"))
    fresh.convert(windows=WINDOWS)
    changed = {name for name, at in times().items() if before[name] != at}
    assert changed == {f"{STRANGER}.tsv"}
    sidecar = json.loads(json.dumps(EVENTS_JSON))
    sidecar["trial_type"]["HED"]["face"] = "Sensory-event, Face"
    files.write_json(fresh.root / "task-x_events.json", sidecar)
    fresh.convert(windows=WINDOWS)
    # Markers of a file have no sidecar of their own, but the one of the task applies.
    assert all(before[name] != at for name, at in times().items())


# ------------------------------------------------------------------------------------ the sample


def test_the_sample_from_end_to_end(sample_dataset, tmp_path):
    """Some of its subjects, among them the one with a recording that cannot be read."""
    dataset = Dataset(tmp_path)
    dataset.root = sample_dataset
    labels = {
        "stimulus": {"hed": {"face": "Face", "scrambled": "Image and not Face"}},
        "sex": {"column": "participant_sex"},
    }
    windows = {"kind": "events", "tmin": -0.2, "tmax": 0.8, "events": {"hed": "Sensory-event"}}
    subjects = ["01", "02", "11"]
    dataset.run(windows=windows, labels=labels, resample=128, include={"subject": subjects})
    samples, events = dataset.table("samples.parquet"), dataset.table("events.tsv")
    assert samples["stimulus"].tolist() == samples["trial_type"].tolist()
    tables_of = [p for s in subjects for p in (dataset.root / f"sub-{s}").rglob("*_events.tsv")]
    rows = [path.read_text().splitlines()[1:] for path in tables_of]
    assert len(events) == sum(map(len, rows))
    pictures = [line for lines in rows for line in lines if "response" not in line]
    assert set(samples["subject"]) == set(subjects)
    broken = events[events["reason"] == "recording_quarantined"]
    lost = (broken["trial_type"] != "response").sum()
    assert lost > 0 and len(samples) == len(pictures) - lost
    lines = (dataset.root / "participants.tsv").read_text().splitlines()
    column = lines[0].split("\t").index("sex")
    people = {cells[0]: cells[column] for cells in (line.split("\t") for line in lines[1:])}
    for subject, sex in set(zip(samples["subject"], samples["sex"], strict=True)):
        assert sex == people[f"sub-{subject}"]
