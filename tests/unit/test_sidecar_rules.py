"""Rules about sidecars, names, channels, electrodes and participants of broken datasets.

Numbers in comments are rows of the catalogue of failures seen in public archives.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from bids_cases import (
    Dataset,
    brain_like,
    listed,
    members,
    write_edf,
    write_fif,
    write_small,
    write_tsv,
)
from hypothesis import given
from hypothesis import strategies as st

from bidsmill.bids.channels import describe_channels
from bidsmill.bids.entities import odd_names
from bidsmill.bids.participants import read_participants
from bidsmill.bids.reading import open_recording
from bidsmill.bids.recordings import find_recordings
from bidsmill.bids.repairs import RULES, Repairs
from bidsmill.bids.sidecars import merged_json, sidecar_conflicts, sidecars_in_use
from bidsmill.bids.tabular import NUMERIC, read_tabular
from bidsmill.formats.matrix import MatrixFile

DATA = brain_like(4, 300)
NAMES = ["Fz", "Cz", "Pz", "EOG"]
STEM = "sub-01/eeg/sub-01_task-x"


def rules(repairs):
    return [note["rule"] for note in repairs.applied]


def read(tmp_path, name, content, **settings):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    repairs = Repairs(**settings)
    frame, problems = read_tabular(path, repairs)
    return frame.to_dict("list"), repairs, problems


# ------------------------------------------------------------------------- 53, encodings


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le-bom", "cp1252", "latin-1"])
def test_encodings(tmp_path, encoding):
    text = "name\tunits\nFz\tµV\n"
    if encoding == "utf-16-le-bom":
        content = b"\xff\xfe" + text.encode("utf-16-le")
    else:
        content = text.encode(encoding)
    cells, repairs, problems = read(tmp_path, "x_channels.tsv", content)
    assert cells == {"name": ["Fz"], "units": ["µV"]}
    rule = "utf_16" if encoding.startswith("utf-16") else "windows_1252"
    assert rules(repairs) == [rule] and len(problems) == 1
    cells, repairs, problems = read(tmp_path, "x_channels.tsv", content, refuse=list(RULES))
    assert cells == {} and rules(repairs) == [] and "not used" in problems[-1]


def test_the_bad_byte_is_counted_from_the_start_of_the_file(tmp_path):
    content = b"\xef\xbb\xbfname\nF\xb5\n"
    _, _, problems = read(tmp_path, "x_channels.tsv", content)
    assert content[9] == 0xB5 and "byte 9, 0xb5" in problems[0]


def test_json_of_windows(tmp_path):
    (tmp_path / "a.json").write_bytes('{"Units": "µV", "n": 1.5}'.encode("cp1252"))
    repairs = Repairs()
    assert merged_json(tmp_path, ["a.json"], repairs)[0] == {"Units": "µV", "n": 1.5}
    assert rules(repairs) == ["windows_1252"]
    content, problems = merged_json(tmp_path, ["a.json"], Repairs(refuse=["windows_1252"]))
    assert content == {} and "is not UTF-8; it is not used" in problems[0]


# -------------------------------------------------------------------- 54, decimal commas


def test_decimal_commas_of_numbers_only(tmp_path):
    text = "onset\tduration\tvalue\tstim\n0,5\t1,25\tB2,4,8,16\t1,5\n4,988\tn/a\t3,4\tx\n7\t0\t\t\n"
    cells, repairs, problems = read(tmp_path, "x_events.tsv", text)
    assert cells == {
        "onset": ["0.5", "4.988", "7"],
        "duration": ["1.25", "", "0"],
        "value": ["B2,4,8,16", "3,4", ""],
        "stim": ["1,5", "x", ""],
    }
    assert rules(repairs) == ["decimal_comma"]
    assert problems == [
        "x_events.tsv has 3 number(s) with a decimal comma, such as 0,5, in duration, onset;"
        " read with a point"
    ]


@pytest.mark.parametrize(
    "onsets",
    [
        ["1.5", "2,5"],  # the table's own sign is the point
        ["1,2,3", "2,5"],  # a list
        ["a,b", "2,5"],
        ["1,234,567", "0,5"],
        ["1.234,5"],
        ["x", "5"],
        ["1", "2"],
        [],
    ],
)
def test_commas_that_may_be_something_else_stay(tmp_path, onsets):
    text = "\n".join(["onset", *onsets]) + "\n"
    every = Repairs(allow=list(RULES))
    path = tmp_path / "x_events.tsv"
    path.write_text(text)
    assert read_tabular(path, every)[0]["onset"].tolist() == onsets
    assert rules(every) == []


def test_thousands_or_decimals_is_a_guess(tmp_path):
    text = "onset\tduration\n4,988\t0\n12,001\t0\n"
    cells, repairs, problems = read(tmp_path, "x_events.tsv", text)
    assert cells["onset"] == ["4,988", "12,001"] and rules(repairs) == []
    assert "decimal_comma_assumed (guess) is not allowed" in problems[0]
    cells, repairs, _ = read(tmp_path, "x_events.tsv", text, allow=["decimal_comma_assumed"])
    assert cells["onset"] == ["4.988", "12.001"] and rules(repairs) == ["decimal_comma_assumed"]


CELL = st.one_of(
    st.from_regex(r"[+-]?\d{1,3},\d{1,4}", fullmatch=True),
    st.integers(-9, 9999).map(str),
    st.sampled_from(["", "1.5", "1,2,3", "B2,4", "x", "1e-3"]),
)


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=6))
def test_commas_change_numbers_as_a_whole_or_not_at_all(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "x_events.tsv"
    lines = ["\t".join(["onset", "sample", "value"]), *("\t".join([*r, "."]) for r in rows)]
    path.write_text("\n".join(lines).replace("\t.", "") + "\n")
    frame, _ = read_tabular(path, Repairs())
    kept = [row for row in rows if any(row)]
    assert len(frame) == len(kept)
    for row, found in zip(kept, frame.to_numpy().tolist(), strict=True):
        assert found[2] == row[2]
        for before, after in zip(row[:2], found[:2], strict=True):
            assert after == before or (
                before.count(",") == 1 and float(after) == float(before.replace(",", "."))
            )


def test_no_column_of_codes_is_numeric():
    assert not {"value", "trial_type", "notch", "name"} & set().union(*NUMERIC.values())


# --------------------------------------------------------------------- 55, 60, columns


def test_padded_cells_and_the_case_of_columns(tmp_path):
    text = "Onset\tDURATION\tValue\n1.5 \tn/a  \tN/A\n"
    cells, repairs, problems = read(tmp_path, "x_events.tsv", text)
    assert cells == {"onset": ["1.5"], "duration": [""], "Value": [""]}
    assert rules(repairs) == ["column_case"]
    assert "'Onset', 'DURATION'" in problems[0]


@pytest.mark.parametrize("header", ["Onset\tonset", "Onset\tONSET", "On set"])
def test_columns_that_may_be_another_stay(tmp_path, header):
    cells, repairs, _ = read(tmp_path, "x_events.tsv", f"{header}\n1\t2\n")
    assert list(cells) == header.split("\t") and rules(repairs) == []


# ---------------------------------------------------------------- 59 to 62, channels.tsv


@pytest.fixture
def channels(tmp_path):
    """Return a function that describes the channels of an EDF file with given sidecars."""
    signals = [(n, d * 1e6, 100, "uV") for n, d in zip(NAMES, DATA, strict=True)]
    write_edf(tmp_path / f"{STEM}_eeg.edf", signals)

    def describe(*rows, **settings):
        if rows:
            write_tsv(tmp_path / f"{STEM}_channels.tsv", *rows)
        member = members(tmp_path)["sub-01_task-x_eeg"]
        opened = open_recording(tmp_path, member["data"])
        repairs = Repairs(**settings)
        found, told = describe_channels(opened, tmp_path, member["sidecars"], repairs)
        assert [c.source_name for c in found] == NAMES
        return {c.source_name: (c.type, c.status) for c in found}, repairs, told

    return describe


def test_a_first_column_of_another_name_is_read_if_the_file_has_all_of_it(channels):
    rows = [["label", "type"], ["EOG", "VEOG"], ["Pz", "ECG"]]
    found, repairs, _ = channels(*rows)
    assert found == {
        "Fz": ("eeg", "good"),
        "Cz": ("eeg", "good"),
        "Pz": ("ecg", "good"),
        "EOG": ("eog", "good"),
    }
    assert rules(repairs) == ["channel_name_column"]
    found, _, told = channels(*rows, refuse=["channel_name_column"])
    assert set(found.values()) == {("eeg", "good")} and "no column name" in told[-1]


def test_rows_of_one_name_count_where_they_agree_and_bad_is_bad(channels):
    rows = [
        ["name", "type", "status"],
        ["Fz", "EOG", "good"],
        ["Fz", "EOG", "bad"],
        ["Cz", "EOG", "good"],
        ["Cz", "ECG", "good"],
        ["Pz", "EMG", "good"],
        ["Pz", "EMG", "good"],
    ]
    found, repairs, told = channels(*rows)
    assert found["Fz"] == ("eog", "bad")
    assert found["Cz"] == ("eeg", "good")
    assert found["Pz"] == ("emg", "good")
    assert rules(repairs) == ["repeated_channel_rows"]
    assert "Fz in 2 rows (they differ in status, n/a)" in told[0]
    assert "Pz in 2 rows (all cells agree)" in told[0]
    found, _, told = channels(*rows, refuse=["repeated_channel_rows"])
    assert set(found.values()) == {("eeg", "good")} and "more than once; not used" in told[-1]


def test_another_order_is_told_and_nothing_is_bound_by_position(channels):
    rows = [["name", "type", "status"], *[[n, "EEG", "good"] for n in NAMES[::-1]]]
    rows[1][1:] = ["EOG", "bad"]
    found, repairs, told = channels(*rows)
    assert found["EOG"] == ("eog", "bad") and found["Fz"] == ("eeg", "good")
    assert told == ["channels.tsv has the channels in another order; the file's is used"]
    assert rules(repairs) == []


@given(st.permutations(NAMES), st.lists(st.sampled_from([*NAMES, "Oz", "cz"]), max_size=6))
def test_a_status_never_reaches_a_channel_of_another_name(tmp_path_factory, order, bad):
    folder = tmp_path_factory.mktemp("t")
    rows = [[n, "good"] for n in order] + [[n, "bad"] for n in bad]
    write_tsv(folder / "x_channels.tsv", ["name", "status"], *rows)

    class Opened:
        names, types, units, bads, sfreq = NAMES, ["eeg"] * 4, ["V"] * 4, [], 100.0
        raw = type("Raw", (), {"info": {"chs": [{"loc": np.zeros(12), "coord_frame": 0}] * 4}})

    found, _ = describe_channels(Opened(), folder, {"channels.tsv": ["x_channels.tsv"]})
    assert {c.source_name for c in found if c.status == "bad"} == set(bad) & set(NAMES)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"name\ttype\n", b"\xef\xbb\xbf"])
def test_an_empty_table_of_channels_changes_nothing(channels, tmp_path, content):
    (tmp_path / f"{STEM}_channels.tsv").write_bytes(content)
    found, _, told = channels()
    assert set(found.values()) == {("eeg", "good")} and len(told) == 1


# ------------------------------------------------------------- 64 to 66, H4, electrodes

PLACES = [[0.0, 0.07, 0.07], [0.0, -0.01, 0.1], [0.0, -0.08, 0.08], [0.03, 0.08, 0.01]]


def positions(tmp_path, system, places=PLACES, **settings):
    rows = [[n, *p] for n, p in zip(NAMES, places, strict=True)]
    write_tsv(tmp_path / f"{STEM}_electrodes.tsv", ["name", "x", "y", "z"], *rows)
    if system is not None:
        (tmp_path / f"{STEM}_coordsystem.json").write_text(json.dumps(system))
    write_edf(
        tmp_path / f"{STEM}_eeg.edf",
        [(n, d * 1e6, 100, "uV") for n, d in zip(NAMES, DATA, strict=True)],
    )
    member = members(tmp_path)["sub-01_task-x_eeg"]
    opened = open_recording(tmp_path, member["data"])
    repairs = Repairs(**settings)
    found, told = describe_channels(opened, tmp_path, member["sidecars"], repairs)
    return [c.position for c in found], told, repairs


METRES = {"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "m"}
NONE = [None] * 4


@pytest.mark.parametrize(
    "system",
    [
        None,
        {},
        {"EEGCoordinateSystem": "CapTrak"},
        {"EEGCoordinateUnits": "m"},
        {**METRES, "EEGCoordinateUnits": "n/a"},
    ],
)
def test_no_unit_is_ever_guessed(tmp_path, system):
    found, told, _ = positions(tmp_path, system, allow=list(RULES))
    assert found == NONE and len(told) == 1 and "positions are not used" in told[0]


@pytest.mark.parametrize(("unit", "scale"), [("m", 1000), ("cm", 1000), ("mm", 1), ("m", 100)])
def test_positions_that_lie_on_no_head_are_not_used(tmp_path, unit, scale):
    scaled = (np.array(PLACES) * scale).tolist()
    found, told, _ = positions(tmp_path, {**METRES, "EEGCoordinateUnits": unit}, scaled)
    assert found == NONE and "which no head does" in told[0]


def test_recordings_tsv_says_that_positions_were_not_used(corpus_copy, tmp_path):
    # Electrodes on a unit sphere, whose coordsystem.json says mm.
    run = Dataset(tmp_path)
    corpus_copy("eeglab_attention").rename(run.root)
    run.run(windows={"kind": "fixed", "length": 1.0})
    told = run.table("recordings.tsv").set_index("recording")["conflicts"]
    with_places = [r for r in find_recordings(listed(run.root)) if "electrodes.tsv" in r.sidecars]
    assert len(with_places) == 3
    for recording in with_places:
        assert "in mm they lie 0.00099" in told[recording.stem]
        path = run.results / "matrix" / f"{recording.stem}.parquet"
        with MatrixFile(path) as matrix:
            assert {str(c["position"]) for c in matrix.metadata["channels"]} == {"None"}


def test_keys_of_another_modality_are_a_guess(tmp_path):
    system = {"MEGCoordinateSystem": "CapTrak", "MEGCoordinateUnits": "m"}
    found, told, _ = positions(tmp_path, system)
    assert found == NONE and "coordsystem_of_another_modality (guess)" in told[0]
    found, _, repairs = positions(tmp_path, system, allow=["coordsystem_of_another_modality"])
    np.testing.assert_allclose(found, PLACES, atol=1e-9)
    assert rules(repairs) == ["coordsystem_of_another_modality"]


def test_electrodes_without_a_place_or_with_two_have_none(tmp_path):
    places = [PLACES[0], ["n/a", "n/a", "n/a"], PLACES[2], PLACES[3]]
    found, told, _ = positions(tmp_path, METRES, places)
    assert found == [PLACES[0], None, PLACES[2], PLACES[3]]
    assert told == ["electrodes.tsv has no position for 1 of 4 rows"]
    rows = [["Fz", *PLACES[0]], ["Fz", *PLACES[1]], ["Cz", *PLACES[1]], ["Cz", *PLACES[1]]]
    write_tsv(tmp_path / f"{STEM}_electrodes.tsv", ["name", "x", "y", "z"], *rows)
    member = members(tmp_path)["sub-01_task-x_eeg"]
    opened = open_recording(tmp_path, member["data"])
    found, told = describe_channels(opened, tmp_path, member["sidecars"])
    assert [c.position for c in found] == [None, PLACES[1], None, None]
    assert told == ["electrodes.tsv has two positions for Fz"]


# ------------------------------------------------------------ 63, 79 to 81, JSON sidecars


@pytest.fixture
def opened(tmp_path):
    write_fif(tmp_path / "a_eeg.fif", DATA, 100.0, NAMES)
    return open_recording(tmp_path, "a_eeg.fif")


@pytest.mark.parametrize(
    ("sidecar", "datatype", "told"),
    [
        ({"EEGChannelCount": 3, "EOGChannelCount": 1}, "eeg", None),
        ({"EEGChannelCount": 4, "EOGChannelCount": 1}, "eeg", "counts 5 channels, the file has 4"),
        ({"EEGChannelCount": "n/a", "EOGChannelCount": 9}, "eeg", None),
        ({"EOGChannelCount": 1}, "eeg", None),
        ({"MEGChannelCount": 306, "EEGChannelCount": 4}, "meg", "counts 310"),
        ({"ECOGChannelCount": 2, "SEEGChannelCount": 2}, "ieeg", None),
        ({"RecordingDuration": 3}, "eeg", None),
        ({"RecordingDuration": 3.9}, "eeg", None),
        ({"RecordingDuration": 300}, "eeg", "RecordingDuration 300 s, the file has 3 s"),
        ({"RecordingDuration": "long"}, "eeg", None),
        ({"SamplingFrequency": 99}, "eeg", "SamplingFrequency 99 Hz, the file 100 Hz"),
        ({"SamplingFrequency": -1}, "eeg", "SamplingFrequency -1 Hz"),
        ({"SamplingFrequency": 5e6}, "eeg", "5000000.0 Hz"),
        ({"SamplingFrequency": [100]}, "eeg", None),
    ],
)
def test_contradictions_are_told_and_not_followed(opened, sidecar, datatype, told):
    stated = dict(sidecar)
    found = sidecar_conflicts(opened, sidecar, datatype)
    assert len(found) == (told is not None) and (told is None or told in found[0])
    assert sidecar == stated and opened.sfreq == 100.0


@pytest.mark.parametrize(("stated", "kept"), [(50, True), ("60", True), ("n/a", True)])
def test_line_frequencies(opened, stated, kept):
    sidecar = {"PowerLineFrequency": stated}
    assert sidecar_conflicts(opened, sidecar, "eeg") == [] and bool(sidecar) == kept


@pytest.mark.parametrize("stated", [0, -50, 1e9, "-1"])
def test_an_impossible_line_frequency_is_none(opened, stated):
    sidecar, repairs = {"PowerLineFrequency": stated}, Repairs()
    told = sidecar_conflicts(opened, sidecar, "eeg", repairs)
    assert sidecar == {} and rules(repairs) == ["impossible_line_frequency"] and len(told) == 1


# ------------------------------------------------------------------ 69 to 71, H6, identity


def participants(tmp_path, text, **settings):
    (tmp_path / "participants.tsv").write_text(text)
    return read_participants(tmp_path, Repairs(**settings))


def test_the_prefix_is_all_that_is_added_to_an_id(tmp_path):
    text = "participant_id\tage\nsub-FFE001\t1\n001\t2\nSUB-2\t3\nsub-03\t4\n"
    found, problems = participants(tmp_path, text)
    assert {who: row["age"] for who, row in found.items()} == {
        "FFE001": "1",
        "001": "2",
        "SUB-2": "3",
        "03": "4",
    }
    assert "3" not in found and "1" not in found
    assert problems == ["participants.tsv lists 2 label(s) without sub-"]
    found, problems = participants(tmp_path, text, refuse=["participant_prefix"])
    assert set(found) == {"FFE001", "03"} and "not used: 001, SUB-2" in problems[-1]


def test_rows_of_one_subject_count_where_they_agree(tmp_path):
    text = "participant_id\tsex\tage\nsub-1\tF\t20\nsub-1\tF\t21\nsub-2\tM\t9\n1\tF\t20\n"
    found, problems = participants(tmp_path, text)
    assert found == {"1": {"sex": "F", "age": ""}, "2": {"sex": "M", "age": "9"}}
    assert problems[-1] == ("participants.tsv lists sub-1 in 3 rows (they differ in age, n/a)")
    found, problems = participants(tmp_path, text, refuse=["repeated_participant_rows"])
    assert set(found) == {"2"} and "not used: sub-1" in problems[-1]


def test_two_columns_of_ids_must_agree(tmp_path):
    text = "participant_id\tage\tparticipant_id\nsub-1\t4\tsub-1\nsub-2\t5\tsub-3\n"
    found, problems = participants(tmp_path, text)
    assert found == {"1": {"age": "4"}}
    assert "1 row(s) whose columns participant_id differ" in problems[-1]


LABEL = st.text("01aAb-", min_size=1, max_size=4)


@given(st.lists(st.tuples(LABEL, st.sampled_from(["", "sub-"]), st.integers(0, 3)), max_size=6))
def test_nobody_gets_the_values_of_another_label(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("t")
    lines = ["participant_id\tage", *(f"{p}{label}\t{age}" for label, p, age in rows)]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    found, _ = read_participants(folder)
    truth: dict[str, set[str]] = {}
    for label, prefix, age in rows:
        truth.setdefault(f"{prefix}{label}".removeprefix("sub-"), set()).add(str(age))
    assert set(found) == set(truth) - {""}
    for label, row in found.items():
        assert row["age"] == (truth[label].pop() if len(truth[label]) == 1 else "")


# ------------------------------------------------------------------- 72 to 78, names


def only(*paths):
    found = find_recordings(paths)
    assert len(found) == 1
    return found[0]


def test_a_sidecar_in_another_case_is_used_and_told():
    found = only("sub-01/eeg/sub-01_task-Rest_eeg.edf", "sub-01/eeg/sub-01_task-rest_events.tsv")
    assert found.sidecars == {"events.tsv": ["sub-01/eeg/sub-01_task-rest_events.tsv"]}
    repairs = Repairs()
    used, told = sidecars_in_use(found.data, found.sidecars, repairs)
    assert used == found.sidecars and rules(repairs) == ["sidecar_case"] and len(told) == 1
    used, told = sidecars_in_use(found.data, found.sidecars, Repairs(refuse=["sidecar_case"]))
    assert used == {} and "not allowed" in told[0]


def test_exact_names_are_not_told():
    found = only("sub-01/eeg/sub-01_task-x_eeg.edf", "task-x_events.json", "events.json")
    assert sidecars_in_use(found.data, found.sidecars, Repairs()) == (found.sidecars, [])


def test_case_decides_where_two_recordings_differ_by_it():
    folder = "sub-01/eeg/sub-01_task"
    paths = [f"{folder}-Rest_eeg.edf", f"{folder}-rest_eeg.edf", f"{folder}-rest_events.tsv"]
    by_stem = {r.stem: r.sidecars for r in find_recordings(paths)}
    assert by_stem["sub-01_task-Rest_eeg"] == {}
    assert by_stem["sub-01_task-rest_eeg"] == {"events.tsv": [paths[2]]}


def test_the_exact_sidecar_of_a_folder_goes_before_one_in_another_case():
    folder = "sub-01/eeg/sub-01_task"
    found = only(*(f"{folder}-{n}" for n in ("Rest_eeg.edf", "rest_events.tsv", "Rest_events.tsv")))
    assert found.sidecars == {"events.tsv": [f"{folder}-Rest_events.tsv"]}


def test_the_case_of_a_subject_is_never_passed_over():
    found = only("sub-a/eeg/sub-a_task-x_eeg.edf", "sub-a/eeg/sub-A_task-x_events.tsv")
    assert found.sidecars == {}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sub-01_task-x_run-1_eeg.edf", []),
        ("sub-01_task-x-y-z_eeg.edf", ["task-x-y-z"]),
        ("sub-01_task-x_run-5H_eeg.edf", ["run-5H"]),
        ("sub-01_task-ECONrun-1_eeg.edf", ["task-ECONrun-1"]),
        ("sub-01_task-TODO: name_eeg.edf", ["task-TODO: name"]),
        ("sub-01_odd_task-x_eeg.edf", ["odd"]),
        ("sub-01_eeg.edf", ["no task"]),
        ("sub-emptyroom_ses-20200101_task-noise_eeg.edf", []),
    ],
)
def test_odd_names_are_found_kept_and_told(name, told):
    path = f"sub-01/eeg/{name}"
    assert only(path).stem == name.removesuffix(".edf")
    found = odd_names(path)
    assert len(found) == len(told)
    assert all(word in text for word, text in zip(told, found, strict=True))


@pytest.mark.parametrize("suffix", ["nirs", "fnirs"])
def test_a_folder_called_fnirs_holds_nirs(suffix):
    folder = "sub-01/fnirs/sub-01_task-x"
    found = only(f"{folder}_{suffix}.snirf", f"{folder}_{suffix}.json", f"{folder}_channels.tsv")
    assert (found.datatype, found.stem) == ("nirs", f"sub-01_task-x_{suffix}")
    assert set(found.sidecars) == {"nirs.json", "channels.tsv"}
    assert odd_names(found.data) == ["the folder fnirs is read as nirs"]


@pytest.mark.parametrize("top", ["derivatives/p/", "sourcedata/", "code/", "derivatives/"])
def test_what_is_derived_is_no_recording(top):
    assert find_recordings([f"{top}sub-01/eeg/sub-01_task-x_eeg.edf"]) == []


# ---------------------------------------------------------------- whole datasets


def test_repairs_of_sidecars_reach_the_table_of_recordings(tmp_path):
    dataset = Dataset(tmp_path)
    write_small(dataset.root)
    folder = dataset.root / "sub-03" / "ses-1" / "eeg"
    (folder / "sub-03_ses-1_task-x_events.tsv").unlink()
    events = "Onset\tduration\ttrial_type\n1,5\t0,5\tfäce\n3,25\t-1\tb\n"
    (folder / "sub-03_ses-1_task-X_events.tsv").write_bytes(events.encode("cp1252"))
    (folder / "sub-03_ses-1_task-x_channels.tsv").write_text("label\tstatus\nCz\tbad\n")
    (dataset.root / "sub-03" / "ses-1" / "sub-03_ses-1_scans.tsv").write_text(
        "filename\tacq_time\nx\t1-1-1T25:61:99\n\tn/a\n"
    )
    windows = {"kind": "events", "events": "all", "tmin": 0.0, "tmax": 0.2}
    table = dataset.run(windows=windows).table("recordings.tsv").set_index("recording")
    row = table.loc["sub-03_ses-1_task-x_eeg"]
    assert row["status"] == "repaired"
    assert set(row["repairs"].split("; ")) == {
        "channel_name_column",
        "sidecar_case",
        "windows_1252",
        "column_case",
        "decimal_comma",
        "negative_duration",
    }
    assert row["bad_channels"] == "Cz" and (row["events"], row["events_used"]) == ("2", "2")
    events = dataset.table("events.tsv")
    own = events[events["recording"] == "sub-03_ses-1_task-x_eeg"]
    assert own["onset"].astype(float).tolist() == [1.5, 3.25]
    assert own["duration"].astype(float).tolist() == [0.5, 0.0]
    assert own["trial_type"].tolist() == ["fäce", "b"]
    assert table.loc["sub-01_task-x_run-2_eeg", "status"] == "converted"
