"""The tables as BIDS files: sidecars of every column, validated by others; what rows lie in."""

from __future__ import annotations

import io
import math
import shutil

import pandas as pd
import pytest
from absence import absent
from bids_cases import DESCRIPTION, SIDECARS, Dataset, brain_like, write_edf, write_tsv

from bidsmill.bids.official_validator import run_validator
from bidsmill.formats import files, tables
from bidsmill.formats.data_dictionary import COLUMNS, data_dictionary, source_column

EVENTS_JSON = {
    "trial_type": {
        "HED": {
            "face": "Sensory-event, Visual-presentation, (Image, Face)",
            "press": "Agent-action, Participant-response, Def/Speed/3",
            "asleep": "(Def/Sleeping, Onset)",
            "awake": "(Def/Sleeping, Offset)",
            "music": "(Duration/4 s, (Sensory-event, Auditory-presentation))",
        }
    },
    "definitions": {
        "HED": {
            "one": "(Definition/Sleeping, (Asleep))",
            "other": "(Definition/Speed/#, (Speed/# m-per-s))",
        }
    },
}
ROWS = [
    # onset, duration, trial_type, value, response_time, note
    (1.0, 0.5, "face", 1, 0.4, "a"),
    (2.0, 0, "asleep", "n/a", "n/a", "n/a"),
    (3.0, 0.5, "face", 2, "n/a", "12"),
    (4.0, 4, "music", "n/a", "n/a", "µ"),
    (6.0, 0.0, "press", 1, 0.25, "n/a"),
    (6.505, 0, "awake", "n/a", "n/a", "n/a"),
    (8.0, 0.5, "face", 1, 1e-3, "n/a"),
    ("n/a", 0.5, "face", 1, "n/a", "n/a"),
]
SLEEP, SOUND = "(Def-expand/Sleeping,(Asleep))", "(Sensory-event,Auditory-presentation)"
LABELS = {
    "state": {"hed": {"asleep": "Asleep"}, "context": True, "unmatched": "other"},
    "sex": {"column": "participant_sex"},
    "age": {"column": "participant_age", "numeric": True},
    "kind": {
        "classes": {
            "late": {"all": [{"hed": "Face"}, {"column": "onset", "at_least": 2}]},
            "face": {"hed": "Face"},
        }
    },
}


def write_nap(root):
    """Write two subjects who see faces and fall asleep."""
    root.mkdir(parents=True)
    files.write_json(root / "dataset_description.json", DESCRIPTION)
    files.write_json(root / "task-x_events.json", EVENTS_JSON)
    write_tsv(root / "participants.tsv", ["participant_id", "age", "sex"], ["sub-01", 24, "F"])
    header = ["onset", "duration", "trial_type", "value", "response_time", "note"]
    for n in (1, 2):
        folder = root / f"sub-0{n}" / "eeg"
        data = zip(["Fz", "Cz"], brain_like(2, 1000, n) * 1e6, strict=True)
        write_edf(folder / f"sub-0{n}_task-x_eeg.edf", [(c, v, 100, "uV") for c, v in data])
        write_tsv(folder / f"sub-0{n}_task-x_events.tsv", header, *ROWS)


@pytest.fixture(scope="module")
def nap(tmp_path_factory):
    """Return the results of both subjects. Not to be changed."""
    dataset = Dataset(tmp_path_factory.mktemp("nap"))
    write_nap(dataset.root)
    return dataset.run(
        windows={"kind": "events", "tmin": 0, "tmax": 0.5, "events": "all"}, labels=LABELS
    )


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    dataset = Dataset(tmp_path_factory.mktemp("fixed"))
    write_nap(dataset.root)
    return dataset.run(windows={"kind": "fixed", "length": 0.5}, labels=LABELS)


def sidecar(dataset, name):
    return files.read_json(dataset.results / f"{name}.json")


# -------------------------------------------------------------------------------- every column


@pytest.mark.parametrize("name", SIDECARS)
def test_every_column_is_described(nap, name):
    text = (nap.results / f"{name}.tsv").read_text(encoding="utf-8")
    header = text.split("\n", 1)[0].split("\t")
    stated = sidecar(nap, name)
    described = [key for key in stated if key != "definitions"]
    assert described == [column for column in header if column != "HED"]
    assert ("definitions" in stated) == ("HED" in header)
    for column in described:
        entry = stated[column]
        assert set(entry) <= {"LongName", "Description", "Units", "Levels", "Format"}
        assert entry["Description"].endswith(".")
        if "Levels" in entry:
            assert set(nap.table(f"{name}.tsv")[column]) <= {*entry["Levels"], ""}
    # Nothing but the source's own columns is described in general words.
    own = [c for c in described if stated[c]["Description"].startswith("A column of the source")]
    assert own == (["note", "response_time"] if name == "events" else [])


def test_labels_are_described_by_their_definitions(nap):
    stated = sidecar(nap, "samples")
    assert stated["state"]["Levels"] == {
        "asleep": "HED search (temporal scopes included): Asleep",
        "other": "rows that match none",
    }
    assert stated["sex"]["Levels"] == {"F": "the column participant_sex is F"}
    assert stated["age"] == {"Description": "Label: the number in the column participant_age."}
    assert stated["kind"]["Levels"]["late"] == (
        "(HED search: Face) and (the number in the column onset is at least 2)"
    )


def test_levels_that_hed_would_take_for_its_own_are_left_out():
    entry = {"Description": "x.", "Levels": {"HED": "y", "b": "z"}}
    content = data_dictionary("samples", ["recording", "HED", "a"], {"a": entry})
    assert content["a"] == {"Description": "x."} and "HED" not in content
    clash = data_dictionary("events", ["onset", "definitions"], None, ["(Definition/A)"])
    assert "HED" not in clash["definitions"]
    assert clash["hed_definitions"]["HED"] == {"definition1": "(Definition/A)"}


@pytest.mark.parametrize(
    ("cells", "number"),
    [
        (["1", "", "-2.5e-3", "+.5", "2."], True),
        (["", ""], False),
        (["1", "1,5"], False),
        (["nan"], False),
        (["\u0661"], False),
    ],
)
def test_a_column_of_numbers_says_so(cells, number):
    assert source_column(cells).get("Format") == ("number" if number else None)


def test_every_table_of_text_has_words_for_its_columns():
    for name in SIDECARS:
        for column, entry in COLUMNS[name].items():
            assert entry["Description"].endswith("."), column


# ---------------------------------------------------------------------- judged by other programs


def test_the_official_validator_accepts_the_tables(nap, tmp_path):
    """Each table as a behavioural file, which BIDS gives no columns of its own, and as events."""
    root = tmp_path / "bids"
    derived = {"DatasetType": "derivative", "GeneratedBy": [{"Name": "bidsmill"}]}
    files.write_json(root / "dataset_description.json", {**DESCRIPTION, **derived})
    files.write_text(root / "README.md", "About the tables.\n" * 20)
    beh = root / "sub-01" / "beh"
    beh.mkdir(parents=True)
    for name in SIDECARS:
        for kind in ("tsv", "json"):
            shutil.copy(nap.results / f"{name}.{kind}", beh / f"sub-01_task-{name}_beh.{kind}")
    # HED joins the rows of one onset, so that only the events of one recording make sense to it.
    for name, path in (
        ("events", root / "events.tsv"),
        ("events", beh / "sub-01_task-events_beh.tsv"),
        ("samples", beh / "sub-01_task-samples_beh.tsv"),
    ):
        lines = (nap.results / f"{name}.tsv").read_text(encoding="utf-8").splitlines(True)
        path.write_text("".join(line for line in lines if "sub-02_" not in line), "utf-8")
    shutil.copy(nap.results / "events.json", root / "events.json")
    # And one that is described wrongly, to see that the validator looks.
    wrong = sidecar(nap, "recordings")
    wrong["status"]["Levels"] = {"other": "x"}
    del wrong["n_channels"]
    files.write_json(beh / "sub-01_task-wrong_beh.json", wrong)
    shutil.copy(nap.results / "recordings.tsv", beh / "sub-01_task-wrong_beh.tsv")

    ran, issues = run_validator(root)
    if not ran["ran"]:
        absent(f"the official validator does not run: {ran['reason']}")
    found = {
        (issue["severity"], issue["code"])
        for issue in issues
        if "wrong" not in issue["file"] and issue["file"].endswith(("tsv", "json"))
    }
    assert found <= {
        ("warning", "TOO_FEW_AUTHORS"),
        ("warning", "BEH_ONSET_DURATION"),  # a table with onsets could be an events.tsv
        # Of the table as a whole; hedtools does not read a sidecar with such a key.
        ("warning", "SIDECAR_KEY_RECOMMENDED"),
    }
    about = {issue["code"].partition(".")[0] for issue in issues if "wrong" in issue["file"]}
    assert {"TSV_VALUE_INCORRECT_TYPE", "TSV_ADDITIONAL_COLUMNS_UNDEFINED"} <= about


def test_hedtools_reads_and_accepts_the_events(nap):
    from hed import Sidecar, TabularInput, get_printable_issue_string
    from hed.errors import ErrorHandler

    from bidsmill.formats.hed_strings import load_schema

    schema = load_schema(DESCRIPTION["HEDVersion"])
    described = Sidecar(io.StringIO((nap.results / "events.json").read_text(encoding="utf-8")))
    events = nap.table("events.tsv")
    own = events[events["recording"].str.startswith("sub-01")]
    text = io.StringIO(tables.tsv_text(own))
    read = TabularInput(text, sidecar=described, name="events")
    issues = read.validate(schema, error_handler=ErrorHandler(check_for_warnings=False))
    assert not issues, get_printable_issue_string(issues)
    assert [s.replace("n/a", "") for s in read.series_a] == own["HED"].tolist()
    definitions = read.get_def_dict(schema).defs
    assert sorted(definitions) == ["sleeping", "speed"]


# ----------------------------------------------------------------------- events.tsv, samples.tsv


def test_onset_and_duration_come_first(nap):
    assert list(nap.table("events.tsv"))[:3] == ["onset", "duration", "recording"]
    text = (nap.results / "events.tsv").read_bytes()
    assert b"\t\t" not in text and b"\t\n" not in text and "µ".encode() in text


def test_rows_of_events_have_the_hed_of_their_event(nap):
    samples, events = nap.table("samples.parquet"), nap.table("events.tsv")
    assert list(samples)[list(samples).index("HED") :][:3] == ["HED", "HED_context", "HED_source"]
    for row in samples.to_dict("records"):
        for column in ("HED", "HED_context", "HED_source"):
            assert row[column] == events[column][row["event"]]
    own = samples[samples["recording"] == "sub-01_task-x_eeg"].set_index("onset")
    assert own.loc[6.0, "HED_context"] == f"{SLEEP},{SOUND}"
    assert own.loc[3.0, "HED_context"] == SLEEP and own.loc[1.0, "HED_context"] == ""
    assert own.loc[8.0, "state"] == "other" and own.loc[6.0, "state"] == "asleep"


def test_fixed_windows_have_the_scopes_that_they_lie_in_as_a_whole(fixed):
    samples = fixed.table("samples.parquet")
    assert set(samples["HED"]) == set(samples["HED_source"]) == {""}
    for row in samples.to_dict("records"):
        start, stop = row["start"] / 100, row["stop"] / 100
        # Sleep ends at 6.505 s, which is sample 650 at 100 Hz.
        scopes = {SLEEP: (2.0, 6.5), SOUND: (4.0, 8.0)}
        wanted = [hed for hed, (begin, end) in scopes.items() if begin <= start and stop <= end]
        assert row["HED_context"] == ",".join(sorted(wanted))
        assert row["state"] == ("asleep" if SLEEP in wanted else "other")
    assert {SLEEP, SOUND, f"{SLEEP},{SOUND}", ""} == set(samples["HED_context"])


def test_a_scope_that_is_never_closed_lasts_to_the_end(tmp_path):
    dataset = Dataset(tmp_path)
    write_nap(dataset.root)
    for path in dataset.root.rglob("*_events.tsv"):
        path.write_text(path.read_text().replace("awake", "nothing"))
    dataset.run(windows={"kind": "fixed", "length": 1.0})
    scopes = tables.read_tsv(dataset.results / "events" / "sub-01_task-x_eeg_scopes.tsv")
    assert "" in scopes["stop"].tolist()
    own = dataset.table("samples.parquet").query("recording == 'sub-01_task-x_eeg'")
    assert [SLEEP in text for text in own["HED_context"]] == [False] * 2 + [True] * 8


def test_the_text_of_samples_says_the_same_as_the_table(nap):
    table, text = nap.table("samples.parquet"), nap.table("samples.tsv")
    for column in table:
        for one, other in zip(table[column], text[column], strict=True):
            if other == "":
                assert one == "" or pd.isna(one)
            elif isinstance(one, float):
                assert math.isclose(float(other), one, rel_tol=1e-12)
            else:
                assert str(one) == other
