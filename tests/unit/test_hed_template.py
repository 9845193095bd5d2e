"""`bidsmill hed-template`: what it lists and counts, and that a person's words stay."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill import cli
from bidsmill.annotate.survey import Column, Survey, survey_events
from bidsmill.annotate.tags import assemble_tags
from bidsmill.annotate.template import fill
from bidsmill.bids.hed_sidecars import read_config_sidecar
from bidsmill.formats.hed_strings import load_schema

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "docs" / "hed-examples").glob("*.json"))
SETTINGS = {
    "source": "local",
    "folders": [],
    "include": {},
    "annotations": "when-no-events",
    "repairs": {},
}
EVENTS = """onset\tduration\ttrial_type\tvalue\trating\tstim_file
0.5\t0\trest\t1\t0.25\ta.png
1.5\t0\tface\t2\tn/a\tb.png
2.5\t0\tface\t2\t0.75\tn/a
3.5\t0\tleft_hand\t3\t1.5\ta.png
4.5\t0\tn/a\t3\t1.5\ta.png
"""
SIDECAR = {
    "trial_type": {
        "Description": "What happens",
        "Levels": {"face": "a face is shown", "rest": "rest"},
        "HED": {"face": "Sensory-event, (Image, Face)"},
    },
    "value": {"HED": {"1": "Not-a-tag-of-any-schema"}},
    "rating": {"HED": "Parameter-value/#"},
}


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder with a local dataset of two recordings and a config, to run the command in."""
    monkeypatch.chdir(tmp_path)
    make_dataset(tmp_path / "bids", EVENTS, SIDECAR)
    (tmp_path / "config").mkdir()
    windows = {"kind": "fixed", "length": 1}
    config = {"datasets": {"own": {"source": "local", "path": "bids", "windows": windows}}}
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def make_dataset(folder: Path, events: str, sidecar: dict) -> None:
    description = {"Name": "n", "BIDSVersion": "1.10.0", "HEDVersion": "8.3.0"}
    for subject in ("01", "02"):
        stem = folder / f"sub-{subject}" / "eeg" / f"sub-{subject}_task-x"
        stem.parent.mkdir(parents=True)
        stem.with_name(f"{stem.name}_eeg.edf").write_text("signal")
        stem.with_name(f"{stem.name}_events.tsv").write_text(events)
    (folder / "dataset_description.json").write_text(json.dumps(description))
    (folder / "task-x_events.json").write_text(json.dumps(sidecar))


def run(capsys, *arguments: str, code: int = 0) -> str:
    assert cli.main(["hed-template", *arguments]) == code
    printed = capsys.readouterr()
    return printed.err if code else printed.out


def written(place: Path, name: str = "config/hed/own.json") -> dict:
    return json.loads((place / name).read_text(encoding="utf-8"))


def test_every_column_and_value_without_tags_is_listed_with_its_count(place, capsys):
    said = run(capsys, "own")
    content = written(place)
    rows = list(csv.DictReader(io.StringIO(EVENTS), delimiter="\t")) * 2
    for name, entry in content.items():
        counts = Counter(row[name] for row in rows if row[name] != "n/a")
        assert entry["Count"] == {value: counts[value] for value in entry["Count"]}
    assert set(content) == {"trial_type", "value", "stim_file"}, "rating has tags for every value"
    assert list(content["trial_type"]["Count"]) == ["left_hand", "rest"]
    assert content["trial_type"]["Description"].startswith("What happens. Values that the dataset")
    assert content["trial_type"]["Levels"]["rest"] == "rest"
    assert content["trial_type"]["HED"] == {
        "left_hand": "(Left, Hand)",
        "rest": "Experiment-structure, Rest",
    }
    assert content["trial_type"]["Proposed"] == ["left_hand", "rest"]
    assert content["value"]["HED"] == {} and "Proposed" not in content["value"]
    # The dataset's tags of value 1 are no HED: it is to be tagged as if it had none.
    assert content["value"]["Count"] == {"1": 2, "2": 4, "3": 4}
    for line in (
        "own: 2 recordings, 10 events, 4 columns beside their times",
        "trial_type: 3 values in 8 rows: 1 tagged by the dataset, 2 proposed",
        "value: 3 values in 10 rows: 3 to fill in (1, 2, 3); the dataset's tags of 1 are not valid",
        "rating: 3 values in 8 rows, all tagged by the dataset",
        "written: config/hed/own.json",
        "remove from Proposed",
    ):
        assert line in said, line


def test_what_a_person_wrote_stays(place, capsys):
    run(capsys, "own")
    content = written(place)
    kept = content["trial_type"]
    kept["Proposed"].remove("left_hand")  # kept by a person
    kept["Proposed"].remove("rest")
    del kept["HED"]["rest"]  # rejected
    kept["HED"]["face"] = ""  # the dataset's tags are taken away
    kept["Levels"]["left_hand"] = "the left one"
    kept["Description"] = "Mine"
    content["mine"] = {"Note": 1}
    content["stim_file"] = {"HED": "ID/#", "Proposed": True}
    (place / "config/hed/own.json").write_text(json.dumps(content))
    for path in (place / "bids").rglob("*_events.tsv"):
        path.write_text(EVENTS + "5.5\t0\tblink\t4\t2\tc.png\n" + "6.5\t0\tface\t2\t2\tc.png\n")
    said = run(capsys, "own")
    assert "updated: config/hed/own.json" in said and "1 tagged by the dataset" in said
    assert "2 tagged here, 1 proposed, 1 to fill in (rest)" in said
    again = written(place)
    assert again["mine"] == {"Note": 1}
    assert again["stim_file"]["HED"] == "ID/#" and again["stim_file"]["Proposed"] is True
    assert again["stim_file"]["Count"] == 12
    entry = again["trial_type"]
    assert entry["Description"] == "Mine" and entry["Levels"]["left_hand"] == "the left one"
    assert entry["HED"] == {"left_hand": "(Left, Hand)", "face": "", "blink": "Agent-action, Blink"}
    assert entry["Proposed"] == ["blink"]
    assert entry["Count"] == {"blink": 2, "face": 6, "left_hand": 2, "rest": 2}
    before = (place / "config/hed/own.json").stat().st_mtime_ns
    assert "unchanged: " in run(capsys, "own")
    assert (place / "config/hed/own.json").stat().st_mtime_ns == before
    assert "written: " in run(capsys, "own", "--force")
    assert written(place)["trial_type"]["Proposed"] == ["blink", "left_hand", "rest"]


def test_what_is_wrong_with_a_text_is_said_at_once(place, capsys):
    texts = {"rest": "Restt", "face": "Def/Of-the-dataset, {value}", "left_hand": "(Left, Hand)"}
    content = {"trial_type": {"HED": texts}, "rating": {"HED": "Zonk/#"}, "x": 3}
    (place / "own.json").write_text(json.dumps(content))
    said = [s for s in run(capsys, "own", "--output", "own.json").split("\n") if "not valid:" in s]
    assert [line.strip().split(":")[1] for line in said] == [" rating", " trial_type, rest"]
    assert "'Restt' in Restt is not a valid base HED tag" in said[1]


def test_columns_that_no_event_has_are_named(place, capsys):
    texts = {"HED": {"rest": "Red"}}
    definitions = {"HED": {"x": "(Definition/X, (Red))"}}
    content = {"trail_type": texts, "duration": {"HED": "(Duration/# s, (Red))"}, "d": definitions}
    (place / "own.json").write_text(json.dumps(content))
    said = run(capsys, "own", "--output", "own.json").split("\n")
    assert [s.strip() for s in said if "no event" in s] == [
        "trail_type: no event has a value in this column"
    ]
    assert written(place, "own.json")["trail_type"] == texts


def test_output_and_folder_of_the_config(place, capsys):
    run(capsys, "own", "--output", "elsewhere.json")
    assert written(place, "elsewhere.json") and not (place / "config" / "hed").exists()
    text = (place / "config" / "config.yaml").read_text()
    (place / "other.yaml").write_text(f"hed_sidecars: tags\n{text}")
    run(capsys, "own", "--configfile", "other.yaml")
    assert written(place, "tags/own.json") == written(place, "elsewhere.json")


@pytest.mark.parametrize(
    ("content", "said"), [("{", "cannot be read as JSON"), ("[]", "no JSON object")]
)
def test_a_damaged_file_is_never_overwritten(place, capsys, content, said):
    (place / "own.json").write_text(content)
    assert said in run(capsys, "own", "--output", "own.json", code=1)
    assert (place / "own.json").read_text() == content
    run(capsys, "own", "--output", "own.json", "--force")
    assert written(place, "own.json")


def test_what_cannot_be_done_is_said(place, capsys):
    assert "the config has no dataset other" in run(capsys, "other", code=1)
    sample = {"source": "sample", "windows": {"kind": "fixed", "length": 1}}
    (place / "sample.yaml").write_text(yaml.safe_dump({"datasets": {"s": sample}}))
    said = run(capsys, "s", "--configfile", "sample.yaml", code=1)
    assert "not on this disk yet" in said and "snakemake" in said
    for path in (place / "bids").rglob("*_events.tsv"):
        path.write_text("<html>")
    assert "no events of own can be read" in run(capsys, "own", code=1)
    for path in (place / "bids").rglob("*_events.tsv"):
        path.write_text("onset\tduration\n1\t0\n")
    assert "there is nothing to tag: no file was written" in run(capsys, "own")
    assert not (place / "config" / "hed").exists()


def test_markers_of_data_files_come_from_annotate_where_it_has_read_them(place, capsys):
    for path in (place / "bids").rglob("*_events.tsv"):
        path.unlink()
    annotated = place / "results/own/events/sub-01_task-x_eeg.tsv"
    annotated.parent.mkdir(parents=True)
    head = "onset\tduration\ttrial_type\tvalue\tHED\tsource\tchosen\treason"
    annotated.write_text(f"{head}\n0.5\t0\trest\t\t\tfile\tno\t\n1.5\t0\tface\t\t\tfile\tno\t\n")
    said = run(capsys, "own")
    assert "not read: the events of 1 recording, such as sub-02_task-x_eeg: " in said
    assert written(place)["trial_type"]["Count"] == {"rest": 1}
    assert set(written(place)) == {"trial_type"}


def test_events_with_strings_of_their_own_lack_nothing(place, capsys):
    for path in (place / "bids").rglob("*_events.tsv"):
        path.write_text(
            "onset\tduration\tkind\tHED\n1\t0\tone\tRed\n2\t0\ttwo\tn/a\n3\t0\ttwo\tRed\n"
        )
    run(capsys, "own")
    assert written(place)["kind"]["Count"] == {"two": 4}


def test_columns_of_many_values_and_of_numbers_are_tagged_as_a_whole():
    def listed(values) -> bool:
        return Column(counts=Counter(map(str, values))).is_listed

    assert listed(range(10)) and listed([*range(40)] * 3) and listed(["a", "b"])
    assert listed([0.1, 0.2] * 9) and listed([f"face {k}" for k in range(50)])
    assert not listed([k / 7 for k in range(11)]) and not listed(range(20))
    assert not listed([f"face {k}" for k in range(51)])
    column = Column(counts=Counter(f"{k / 7:.3f}" for k in range(30)), untagged={"0.000"})
    entry = fill(Survey("8.3.0", {"speed": column}), {})["speed"]
    assert entry["Count"] == 30 and "HED" not in entry and "#" in entry["Description"]


@pytest.mark.parametrize("name", ["eeglab_attention", "eegmmi_motor", "broken", "muse_p300"])
def test_an_untouched_template_changes_no_tags(corpus, tmp_path, name):
    """What `annotate` assembles is the same, but for proposals where there were no tags."""
    version = "8.3.0"
    survey = survey_events({**SETTINGS, "path": corpus / name}, tmp_path)
    path = tmp_path / "own.json"
    path.write_text(json.dumps(fill(survey, {})))
    config = read_config_sidecar(path)
    compared = 0
    for table in sorted((corpus / name).rglob("*_events.tsv"))[:4]:
        sidecars = [*(corpus / name).glob("task-*_events.json")]
        sidecar = json.loads(sidecars[0].read_text()) if sidecars else {}
        events = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)
        if events.empty:
            continue
        before = assemble_tags(events, sidecar, None, version)
        after = assemble_tags(events, sidecar, config, version)
        assert after.visible() == before.strings
        compared += sum(map(bool, before.strings))
    assert compared or name == "broken"


texts = st.text(st.sampled_from('ab01. -/"{'), min_size=1, max_size=4)
columns = st.dictionaries(
    texts,
    st.builds(
        lambda counts, bare, tagged: Column(Counter(counts), set(bare) & set(counts), tagged),
        st.dictionaries(texts | st.sampled_from(["rest", "left hand"]), st.integers(1, 9)),
        st.sets(texts | st.just("rest")),
        st.booleans(),
    ),
    max_size=3,
)
plain = st.none() | st.booleans() | texts
old = st.dictionaries(
    texts,
    plain
    | st.fixed_dictionaries(
        {},
        optional={
            "HED": plain | st.dictionaries(texts, texts),
            "Levels": plain | st.dictionaries(texts, texts),
            "Proposed": plain | st.lists(texts, max_size=2),
            "Count": plain | st.dictionaries(texts, st.integers(0, 5)),
            "Own": plain,
        },
    ),
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(columns, old)
def test_filling_in_keeps_every_text_and_is_stable(columns, old):
    survey = Survey("8.3.0", columns)
    content = fill(survey, old)
    for name, entry in old.items():
        if isinstance(entry, dict) and name in columns:
            if isinstance(entry.get("HED"), dict):
                assert entry["HED"].items() <= content[name]["HED"].items()
            if "Own" in entry:
                assert content[name]["Own"] == entry["Own"]
        else:
            assert content[name] == entry
    for name, column in columns.items():
        entry = content.get(name)
        if not isinstance(old.get(name, {}), dict):
            continue
        if column.untagged and isinstance(entry["Count"], dict) and column.is_listed:
            assert column.untagged <= set(entry["Count"])
        if name not in old and entry:
            assert set(entry.get("HED", {})) == set(entry.get("Proposed", []))
    assert fill(survey, content) == content


# Dataset and example -> events that get tags of it, in tables and in data files.
TAGGED = {"amplifier_mix": (23, 0), "broken": (50, 0), "meg_mix": (162, 0), "muse_p300": (0, 191)}


def test_there_is_an_example_for_each_dataset_of_which_we_count_events():
    assert {path.stem for path in EXAMPLES} == set(TAGGED)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid_and_tag_events(corpus, path):
    """Assembled by hedtools alone; every string of an example is used by some event."""
    from hed import Sidecar, TabularInput

    dataset = corpus / path.stem
    entry = json.loads(path.read_text(encoding="utf-8"))["trial_type"]
    assert set(entry["Levels"]) == set(entry["HED"])
    for version in ("8.0.0", "8.3.0", None):
        assert Sidecar(str(path)).validate(load_schema(version), name="") == []
    used: Counter[str] = Counter()
    strings = 0
    for table in sorted(dataset.rglob("*_events.tsv")):
        events = pd.read_csv(
            table, sep="\t", dtype=str, keep_default_na=False, encoding_errors="replace"
        )
        if "trial_type" in events and len(events):
            used.update(events["trial_type"])
            tabular = TabularInput(events[["trial_type"]], sidecar=Sidecar(str(path)))
            strings += int((tabular.series_a != "").sum())
    markers = 0
    if path.stem == "muse_p300":
        import mne

        header = dataset / "sub-02/ses-01/eeg/sub-02_ses-01_task-p300_run-03_eeg.vhdr"
        raw = mne.io.read_raw_brainvision(header, verbose="error")
        found = Counter(raw.annotations.description)
        used.update(found)
        markers = sum(found[value] for value in entry["HED"])
    assert (strings, markers) == TAGGED[path.stem]
    if path.stem != "meg_mix":
        assert set(entry["HED"]) <= set(used), "a value of the example occurs nowhere"
