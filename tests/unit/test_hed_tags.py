"""Tags of the config over those of a dataset: merging, sources, proposals, odd versions."""

from __future__ import annotations

import functools
import json

import pandas as pd
import pytest
from bids_cases import DESCRIPTION, Dataset, brain_like, write_brainvision, write_tsv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_hed import NAMES, SIDECARS, TEXTS, tables

from bidsmill.annotate.tags import assemble_tags
from bidsmill.bids.hed_sidecars import merge, read_config_sidecar
from bidsmill.bids.hed_validation import run_hed_validation
from bidsmill.errors import BidsmillError
from bidsmill.formats import files

VERSION = "8.3.0"


@pytest.fixture
def config(tmp_path):
    """Return a function that reads a config sidecar from its content."""

    def read(content):
        path = tmp_path / "config" / "hed" / "t.json"
        files.write_json(path, content)
        return read_config_sidecar(path)

    return read


def table(**columns):
    return pd.DataFrame(columns, dtype=object)


# --- merging -----------------------------------------------------------------------------------

OF_DATASET = {
    "kind": {"Levels": {"a": "an a"}, "HED": {"a": "Red", "b": "Blue", "c": "Green"}},
    "time": {"HED": "Duration/# s"},
}


def test_the_config_adds_replaces_and_takes_away_by_column_and_value(config):
    given_tags = {
        "kind": {"HED": {"b": "Square", "c": "", "d": "Circle"}},
        "new": {"HED": "Label/#"},
    }
    merged = merge(OF_DATASET, config(given_tags), with_proposed=False)
    assert merged.content == {
        "kind": {"Levels": {"a": "an a"}, "HED": {"a": "Red", "b": "Square", "d": "Circle"}},
        "time": {"HED": "Duration/# s"},
        "new": {"HED": "Label/#"},
    }
    places = [("kind", "a"), ("kind", "b"), ("kind", "d"), ("new", "x"), ("time", "1")]
    assert [merged.origin(*place) for place in places] == [
        *("dataset", "config", "config", "config", "dataset")
    ]
    assert OF_DATASET["kind"]["HED"]["b"] == "Blue"


def test_a_text_and_texts_by_value_replace_each_other(config):
    swapped = {"kind": {"HED": "Label/#"}, "time": {"HED": {"1": "Red"}}}
    merged = merge(OF_DATASET, config(swapped), with_proposed=False).content
    assert merged["kind"]["HED"] == "Label/#"
    assert merged["time"]["HED"] == {"1": "Red"}
    emptied = merge(OF_DATASET, config({"time": {"HED": ""}}), with_proposed=False).content
    assert "HED" not in emptied["time"]
    refused = merge(OF_DATASET, config({"time": {"HED": {"1": ""}}}), with_proposed=False)
    assert refused.content == OF_DATASET
    assert [column for column, _ in refused.faults] == ["time"]


def test_proposals_take_part_only_if_asked_for(config):
    tags = config(
        {
            "kind": {"HED": {"a": "Square", "d": "Circle"}, "Proposed": ["a"]},
            "time": {"HED": "Delay/# s", "Proposed": True},
        }
    )
    kept = merge(OF_DATASET, tags, with_proposed=False)
    assert kept.content["kind"]["HED"]["a"] == "Red"
    assert kept.content["time"] == OF_DATASET["time"]
    assert kept.origin("kind", "d") == "config"
    everything = merge(OF_DATASET, tags, with_proposed=True)
    assert everything.content["kind"]["HED"]["a"] == "Square"
    assert [everything.origin("kind", "a"), everything.origin("time", "3")] == ["proposed"] * 2


@pytest.mark.parametrize("text", ["{", "[1]", '"x"', '{"a": NaN}', '{"a": 1e999}', "\xff"])
def test_a_config_sidecar_that_is_no_json_object_is_refused(tmp_path, text):
    path = tmp_path / "t.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BidsmillError) as caught:
        read_config_sidecar(path)
    assert str(path) in str(caught.value)


# --- assembly ----------------------------------------------------------------------------------


def test_sources_of_events(config):
    sidecar = {"kind": {"HED": {"a": "Red", "b": "Blue, {shape}"}}}
    tags = config(
        {"shape": {"HED": {"s": "Square", "c": "Circel"}}, "note": {"HED": {"x": "Label/X"}}}
    )
    events = table(
        kind=["a", "b", "b", "n/a", "n/a", "b"],
        shape=["n/a", "s", "n/a", "n/a", "s", "c"],
        note=["n/a", "n/a", "n/a", "x", "n/a", "n/a"],
        HED=["n/a", "n/a", "Green", "n/a", "n/a", "n/a"],
    )
    made = assemble_tags(events, sidecar, tags, VERSION)
    assert made.strings == ["Red", "Blue, Square", "Green, Blue", "Label/X", "", ""]
    assert made.sources == ["dataset", "config,dataset", "dataset", "config", "", ""]
    assert [(i["row"], i["column"], i["code"]) for i in made.issues] == [
        (5, "shape", "TAG_INVALID")
    ]
    assert made.hidden == [False] * 6


def test_proposals_are_shown_alone_and_hidden_unless_they_are_used(config):
    sidecar = {"kind": {"HED": {"a": "Red", "w": "Redd"}}}
    tags = config(
        {
            "kind": {"HED": {"b": "Square", "a": "Circle"}, "Proposed": ["b", "a"]},
            "note": {"HED": {"x": "Label/X"}, "Proposed": True},
        }
    )
    events = table(kind=["a", "b", "a", "n/a", "w"], note=["n/a", "n/a", "x", "n/a", "x"])
    made = assemble_tags(events, sidecar, tags, VERSION)
    assert made.strings == ["Red", "Square", "Red", "", ""]
    assert made.sources == ["dataset", "proposed", "dataset", "", ""]
    assert made.visible() == ["Red", "", "Red", "", ""]
    used = assemble_tags(events, sidecar, tags, VERSION, use_proposed=True)
    assert used.strings == ["Circle", "Square", "Circle, Label/X", "", ""]
    assert used.visible() == used.strings
    assert used.sources == ["proposed"] * 3 + ["", ""]


@pytest.mark.parametrize(
    "version", ["7.7.7", 8.3, {"a": [1]}, [["8.3.0"]], ["8.3.0", {}], True, []]
)
def test_a_version_that_cannot_be_used_empties_the_strings_with_one_issue(version):
    events = table(HED=["Red", "n/a"])
    made = assemble_tags(events, {}, None, version)
    assert made.strings == made.sources == ["", ""]
    (issue,) = made.issues
    assert (issue["code"], issue["row"]) == ("HED_VERSION_INVALID", None)
    assert "8.3.0" in issue["message"] and "dataset_description.json" in issue["message"]
    assert assemble_tags(table(a=["1"]), {}, None, version).issues == []


CONFIGS = st.dictionaries(
    NAMES,
    st.fixed_dictionaries(
        {"HED": st.dictionaries(st.sampled_from(["1", "2", "n/a"]), TEXTS | st.none()) | TEXTS},
        optional={"Proposed": st.sampled_from([True, ["1"], ["1", "2"], [], 3, {"a": None}])},
    )
    | st.integers(),
    max_size=3,
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), SIDECARS, CONFIGS, st.booleans(), st.sampled_from([VERSION, None, {"x": 1}]))
def test_any_sidecar_of_the_config_gives_strings_with_their_sources(
    tmp_path_factory, events, sidecar, content, use_proposed, version
):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(content))
    config = read_config_sidecar(path)
    made = assemble_tags(events, sidecar, config, version, use_proposed=use_proposed)
    assert len(made.strings) == len(made.sources) == len(made.hidden) == len(events)
    allowed = {"dataset", "config", "proposed"}
    for string, source, hidden in zip(made.strings, made.sources, made.hidden, strict=True):
        assert bool(string) == bool(source)
        assert not string or set(source.split(",")) <= allowed
        assert not hidden or (source == "proposed" and not use_proposed)
    if not use_proposed:
        # What is only proposed changes nothing that is seen.
        path.write_text(json.dumps(without_proposals(content)))
        seen_alone = assemble_tags(events, sidecar, read_config_sidecar(path), version)
        assert made.visible() == seen_alone.strings


def without_proposals(content):
    kept = {}
    for column, entry in content.items():
        if not isinstance(entry, dict):
            continue
        marked, hed = entry.get("Proposed", []), entry["HED"]
        if isinstance(hed, dict) and isinstance(marked, list):
            kept[column] = {"HED": {k: text for k, text in hed.items() if k not in marked}}
        elif marked == []:
            kept[column] = {"HED": hed}
    return kept


# --- a dataset ---------------------------------------------------------------------------------

SIDECAR = {
    "trial_type": {"HED": {"face": "Image, Face", "house": "Image"}},
    "definitions": {"HED": {"d": "(Definition/Block, (Task))"}},
    "scope": {"HED": {"begin": "(Def/Block, Onset)", "end": "(Def/Block, Offset)"}},
}
ROWS = [
    # onset, duration, trial_type, scope, HED
    (4.0, 0, "house", "n/a", "n/a"),
    (1.0, 0, "n/a", "begin", "n/a"),
    (2.0, 0, "face", "n/a", "Label/Seen"),
    (2.0, 0, "face", "n/a", "Label/Seen"),
    (5.0, 0, "n/a", "end", "n/a"),
    (6.0, 0, "rest", "n/a", "n/a"),
    (7.0, 0, "n/a", "begin", "n/a"),
    ("n/a", 0, "face", "n/a", "n/a"),
]
FIXED = {"kind": "fixed", "length": 1}
AROUND = {"kind": "events", "tmin": -0.1, "tmax": 0.4}


@pytest.fixture
def dataset(tmp_path):
    """Return a dataset of one recording with HED and one without events, not run yet."""
    made = Dataset(tmp_path)
    made.root.mkdir(parents=True)
    files.write_json(made.root / "dataset_description.json", DESCRIPTION)
    files.write_json(made.root / "task-x_events.json", SIDECAR)
    folder = made.root / "sub-01" / "eeg"
    for task in ("x", "y"):
        stem = f"sub-01_task-{task}_eeg"
        write_brainvision(folder, stem, brain_like(2, 2000), 200.0, ["Fz", "Cz"])
    header = ["onset", "duration", "trial_type", "scope", "HED"]
    write_tsv(folder / "sub-01_task-x_events.tsv", header, *ROWS)
    return made


def tag(made, content):
    made.hed_sidecar = made.results.parents[1] / "config" / "hed" / "t.json"
    files.write_json(made.hed_sidecar, content)


def seen(made):
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in made.results.rglob("*.parquet")}


STEM = "sub-01_task-x_eeg"


def test_tables_of_events_have_context_source_and_scopes(dataset):
    dataset.convert(windows={**AROUND, "events": {"hed": "Face"}})
    events = dataset.table(f"events/{STEM}.tsv")
    assert list(events.columns[:10]) == [
        *("onset", "duration", "trial_type", "value", "HED"),
        *("HED_context", "HED_source", "source", "chosen", "reason"),
    ]
    block = "(Def-expand/Block,(Task))"
    assert list(events["HED_context"]) == ["", block, "", block, "", "", "", ""]
    assert list(events["HED_source"]) == ["dataset"] * 5 + ["", "dataset", "dataset"]
    assert list(events["source_HED"][:3]) == ["", "Label/Seen", "Label/Seen"]
    assert list(events["chosen"]) == ["no", "yes", *["no"] * 6]
    scopes = (dataset.results / "events" / f"{STEM}_scopes.tsv").read_text().splitlines()
    assert scopes == ["onset\tstop\tHED", f"1\t5\t{block}", f"7\tn/a\t{block}"]
    receipt = files.read_json(dataset.results / "events" / f"{STEM}.json")
    assert sorted(receipt["files"]) == [f"{STEM}.tsv", f"{STEM}_scopes.tsv"]
    assert len(events) == len(ROWS)


def test_scopes_that_are_gone_leave_no_file(dataset):
    dataset.convert(windows=FIXED)
    tag(dataset, {"scope": {"HED": {"begin": "", "end": ""}}})
    dataset.convert(windows=FIXED)
    assert [p.name for p in (dataset.results / "events").glob("*_scopes.tsv")] == []
    assert set(dataset.table(f"events/{STEM}.tsv")["HED_context"]) == {""}


def test_tags_of_the_config_convert_nothing_unless_other_events_are_chosen(dataset):
    windows = {**AROUND, "events": {"hed": "Face"}}
    run = functools.partial(dataset.convert, windows=windows, annotations="never")
    run()
    before = seen(dataset)
    path = dataset.results / "events" / f"{STEM}.tsv"
    table_before = path.read_bytes(), path.stat().st_mtime_ns
    other = dataset.results / "events" / "sub-01_task-y_eeg.json"
    receipt_before = other.stat().st_mtime_ns
    # Values that no event has, and keys that mean nothing here.
    tag(dataset, {"trial_type": {"Count": {"car": 0}, "HED": {"car": "Car"}}})
    run()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == table_before
    tag(dataset, {"trial_type": {"HED": {"rest": "Rest", "house": "Image, Building"}}})
    run()
    events = dataset.table(f"events/{STEM}.tsv")
    assert list(events["HED_source"]).count("config") == 2
    assert seen(dataset) == before
    tag(dataset, {"trial_type": {"HED": {"rest": "Face"}}})
    run()
    assert seen(dataset)[f"{STEM}.parquet"] != before[f"{STEM}.parquet"]
    # A recording without events has nothing to tag.
    assert other.stat().st_mtime_ns == receipt_before
    dataset.hed_sidecar = None
    run()
    assert path.read_bytes() == table_before[0]
    assert {n: c for n, (c, _) in seen(dataset).items()} == {n: c for n, (c, _) in before.items()}


def test_proposals_choose_events_only_if_the_config_says_so(dataset):
    tag(dataset, {"trial_type": {"HED": {"rest": "Rest"}, "Proposed": ["rest"]}})
    windows = {**AROUND, "events": {"hed": "Rest"}}
    dataset.convert(windows=windows)
    events = dataset.table(f"events/{STEM}.tsv")
    assert events.loc[5, ["HED", "HED_source", "chosen"]].tolist() == ["Rest", "proposed", "no"]
    dataset.convert(windows=windows, hed={"proposed": "use"})
    events = dataset.table(f"events/{STEM}.tsv")
    assert events.loc[5, ["HED", "HED_source", "chosen"]].tolist() == ["Rest", "proposed", "yes"]


def test_a_version_that_cannot_be_used_loses_no_recording_unless_hed_is_asked_for(dataset):
    odd = {**DESCRIPTION, "HEDVersion": {"standard": [8.3]}}
    files.write_json(dataset.root / "dataset_description.json", odd)
    dataset.convert(windows={**AROUND, "events": {"trial_type": "face"}})
    events = dataset.table(f"events/{STEM}.tsv")
    assert set(events["HED"]) == set(events["HED_context"]) == {""}
    assert list(events["chosen"]).count("yes") == 1
    receipt = files.read_json(dataset.results / "events" / f"{STEM}.json")
    assert [issue["code"] for issue in receipt["hed_issues"]] == ["HED_VERSION_INVALID"]
    with pytest.raises(BidsmillError, match=r"dataset_description\.json"):
        dataset.convert(windows={**AROUND, "events": {"hed": "Face"}})


# --- validation --------------------------------------------------------------------------------


def found(issues):
    return {(i["severity"], i["code"], i["file"], i.get("column"), i.get("row")) for i in issues}


EVENTS = "sub-01/eeg/sub-01_task-x_events.tsv"
OWN = EVENTS.replace(".tsv", ".json")


def test_issues_of_merged_sidecars_name_the_file_that_holds_the_string(tmp_path, config):
    files.write_json(
        tmp_path / "task-x_events.json",
        {
            "kind": {"HED": {"a": "Red", "b": "Bluue"}},
            "defs": {"HED": {"d": "(Definition/X, (Red))", "e": "(Definition/X, (Blue))"}},
        },
    )
    own = {"value": {"HED": {"1": "Def/Z", "2": 3, "3": "Greeen"}}}
    files.write_json(tmp_path / OWN, own)
    write_tsv(tmp_path / EVENTS, ["onset", "duration", "kind", "HED"], (1, 0, "a", "Redd"))
    tags = config(
        {"kind": {"HED": {"c": "Cirrcle"}}, "value": {"HED": {"9": "Def/X"}, "Proposed": 5}}
    )
    tags = type(tags)("config/hed/t.json", tags.columns, tags.proposed, tags.faults)
    state, issues = run_hed_validation(tmp_path, VERSION, config=tags)
    assert state["ran"]
    assert found(issues) == {
        ("error", "TAG_INVALID", "task-x_events.json", "kind", None),
        ("error", "DEFINITION_INVALID", "task-x_events.json", "defs", None),
        ("error", "DEF_INVALID", OWN, "value", None),
        ("error", "WRONG_HED_DATA_TYPE", OWN, "value", None),
        ("error", "TAG_INVALID", OWN, "value", None),
        ("error", "TAG_INVALID", "config/hed/t.json", "kind", None),
        ("error", "SIDECAR_INVALID", "config/hed/t.json", "value", None),
        ("warning", "HED_COLUMN_MISSING", "config/hed/t.json", "value", None),
        ("error", "TAG_INVALID", EVENTS, "HED", 0),
    }
    texts = {i["message"] for i in issues if i["code"] == "TAG_INVALID"}
    assert any("value 'b'" in text and "Bluue" in text for text in texts)
    assert len(issues) == len({json.dumps(issue) for issue in issues})


@pytest.mark.parametrize("fact", ["rest", 7, ["HED"], None])
def test_facts_beside_the_columns_hide_no_issue(tmp_path, fact):
    content = {"TaskName": fact, "kind": {"HED": {"a": "Bluue"}}}
    files.write_json(tmp_path / "task-x_events.json", content)
    write_tsv(tmp_path / EVENTS, ["onset", "duration", "kind", "HED"], (1, 0, "a", "Redd"))
    state, issues = run_hed_validation(tmp_path, VERSION)
    assert state["ran"]
    assert found(issues) == {
        ("error", "TAG_INVALID", "task-x_events.json", "kind", None),
        ("error", "TAG_INVALID", EVENTS, "HED", 0),
    }


def test_columns_of_the_config_that_no_table_has_are_named(tmp_path, config):
    write_tsv(tmp_path / EVENTS, ["onset", "duration", "kind"], (1, 0.5, "a"))
    tags = config(
        {
            "kind": {"HED": {"a": "Def/X", "never": "Red"}},
            "knid": {"HED": {"a": "Red"}},
            "trial_type": {"HED": {"a": "Red"}},  # what the markers of other recordings have
            "duration": {"HED": "(Duration/# s, (Blue))"},
            "definitions": {"HED": {"x": "(Definition/X, (Red))"}},
        }
    )
    _, issues = run_hed_validation(tmp_path, VERSION, config=tags)
    assert found(issues) == {("warning", "HED_COLUMN_MISSING", tags.name, "knid", None)}


def test_issues_of_temporal_scopes_name_the_rows_of_the_file(tmp_path):
    files.write_json(
        tmp_path / "task-x_events.json", {"d": {"HED": {"d": "(Definition/X, (Red))"}}}
    )
    cells = ["(Def/X, Offset)", "(Def/X, Inset)", "(Def/X, Onset)", "Red", "(Def/X, Onset)"]
    rows = [(onset, 0, cell) for onset, cell in zip([2, 1, 3, 4, "n/a"], cells, strict=True)]
    write_tsv(tmp_path / EVENTS, ["onset", "duration", "HED"], *rows)
    _, issues = run_hed_validation(tmp_path, VERSION)
    errors = {issue["row"] for issue in issues if issue["code"] == "TEMPORAL_TAG_ERROR"}
    # hedtools looks no further than the row without a time.
    assert errors == {4}
    write_tsv(tmp_path / EVENTS, ["onset", "duration", "HED"], *rows[:4])
    _, issues = run_hed_validation(tmp_path, VERSION)
    assert {i["row"] for i in issues if i["code"] == "TEMPORAL_TAG_ERROR"} == {0, 1}


def test_an_odd_version_is_reported_with_and_without_hed(tmp_path):
    write_tsv(tmp_path / EVENTS, ["onset", "duration", "HED"], (1, 0, "Red"))
    state, issues = run_hed_validation(tmp_path, [["8.3.0"]])
    assert (state["ran"], found(issues)) == (
        False,
        {("error", "HED_VERSION_INVALID", "dataset_description.json", None, None)},
    )
    write_tsv(tmp_path / EVENTS, ["onset", "duration"], (1, 0))
    state, issues = run_hed_validation(tmp_path, "7.7.7")
    assert (state["ran"], state["version"]) == (True, None)
    assert [(i["severity"], i["code"]) for i in issues] == [("warning", "HED_VERSION_INVALID")]
    assert "8.3.0" in issues[0]["message"]
