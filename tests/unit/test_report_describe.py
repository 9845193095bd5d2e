"""The description of a dataset and its README; then the same results published and read back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from bids_cases import Dataset, brain_like, write_edf, write_tsv

import bidsmill
from bidsmill.formats import files, tables
from bidsmill.formats.matrix import MatrixFile
from bidsmill.report.describe import authors, citation, describe_dataset
from bidsmill.report.prose import dataset_readme, processing_prose
from bidsmill.split.dataset import split_dataset
from bidsmill.store.publish import publish_dataset

DESCRIPTION = {
    "Name": "Rest | with a pipe",
    "BIDSVersion": "1.9.0",
    "License": "CC0",
    "Authors": ["Ada Lovelace", "Émilie du Châtelet"],
    "DatasetDOI": "doi:10.1/xyz",
    "ReferencesAndLinks": ["a paper"],
    "Funding": ["a grant"],
    "HowToAcknowledge": "cite us",
}
SECONDS, RATE = 10, 100


def write_rest(root: Path) -> None:
    """Write five subjects: sub-05 has an empty file; amplifiers differ."""
    files.write_json(root / "dataset_description.json", DESCRIPTION)
    header, *rows = [["participant_id", "sex"], *([f"sub-0{n}", "FM"[n % 2]] for n in range(1, 6))]
    write_tsv(root / "participants.tsv", header, *rows)
    files.write_json(root / "task-rest_eeg.json", {"EEGReference": "Cz", "PowerLineFrequency": 50})
    files.write_json(
        root / "sub-02" / "eeg" / "sub-02_task-rest_eeg.json",
        {"Manufacturer": "Other", "SoftwareFilters": {"High": {"cutoff": 0.1}}},
    )
    files.write_json(root / "sub-03" / "eeg" / "sub-03_task-rest_eeg.json", {"Manufacturer": "A"})
    for subject in range(1, 6):
        data = brain_like(2, SECONDS * RATE, seed=subject) * 1e6
        signals = [(name, d, RATE, "uV") for name, d in zip(["Fz", "Pz"], data, strict=True)]
        path = root / f"sub-0{subject}" / "eeg" / f"sub-0{subject}_task-rest_eeg.edf"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_edf(path, signals)
    path.write_bytes(b"")


class Described:
    """The results of a dataset of fixed windows, through every stage but the page."""

    def __init__(self, folder: Path):
        self.folder = folder
        write_rest(folder / "bids")
        self.made = Dataset(folder).run(
            windows={"kind": "fixed", "length": 2.0},
            labels={"sex": {"column": "participant_sex"}},
            split={"test": 0.25},
        )
        self.results = self.made.results
        self.converted = [self.made.of("convert", batch) for batch in self.made.batches]
        split_dataset(
            self.results / "samples.parquet",
            self.results / "split.tsv",
            self.results / "split.json",
            dataset="t",
            labels=["sex"],
            settings=self.made.settings["split"],
        )
        files.write_json(self.results / "validation.json", {"counts": {"error": {"X": 2}}})
        files.write_text(self.results / "report.html", "<html></html>\n")
        self.describe()

    def describe(self) -> dict:
        """Describe the dataset; return ``dataset.json``."""
        names = {"vocabulary": "labels.json", "dataset": "plan/dataset.json"}
        single = {
            "recordings": "recordings.tsv",
            "samples": "samples.parquet",
            "split": "split.json",
            "validation": "validation.json",
            **names,
        }
        inputs = {name: str(self.results / file) for name, file in single.items()}
        for name, stage in {"converted": "convert", "annotated": "annotate"}.items():
            inputs[name] = [str(self.made.of(stage, batch)) for batch in self.made.batches]
        describe_dataset(
            inputs,
            self.results / "dataset.json",
            self.results / "README.md",
            dataset="t",
            settings=self.made.settings,
        )
        self.content = json.loads((self.results / "dataset.json").read_bytes())
        self.readme = (self.results / "README.md").read_text(encoding="utf-8")
        return self.content


@pytest.fixture(scope="module")
def described(tmp_path_factory) -> Described:
    return Described(tmp_path_factory.mktemp("described"))


def test_the_facts_of_the_archive(described):
    content = described.content
    assert {key: content[key] for key in ("name", "license", "doi", "authors", "bids_version")} == {
        "name": "Rest | with a pipe",
        "license": "CC0",
        "doi": "doi:10.1/xyz",
        "authors": ["Ada Lovelace", "Émilie du Châtelet"],
        "bids_version": "1.9.0",
    }
    assert content["citation"] == (
        "Ada Lovelace, Émilie du Châtelet. Rest | with a pipe. doi:10.1/xyz"
    )
    assert (content["references"], content["funding"]) == (["a paper"], ["a grant"])
    assert content["how_to_acknowledge"] == "cite us"
    assert (content["source"], content["snapshot"]) == ("local", "local")
    assert content["hed_version"] is None
    assert content["hed_tags"] == []


def test_hed_tags_are_those_of_rows_and_of_their_context(described):
    path = described.results / "samples.parquet"
    whole, samples = path.read_bytes(), tables.read_parquet(path)
    samples["HED"] = ["Sensory-event, (Image, Face)"] + ["Event/Sensory-event"] * (len(samples) - 1)
    samples["HED_context"] = ""
    samples.loc[:1, "HED_context"] = "Condition-variable/Eyes, Label/some words"
    tables.write_parquet(path, samples)
    try:
        found = described.describe()["hed_tags"]
    finally:
        path.write_bytes(whole)
        described.describe()
    assert found == [
        "Event/Sensory-event",  # of all rows
        "Property/Informational-property/Label",  # of two, in the order of their paths
        "Property/Organizational-property/Condition-variable",
        "Item/Biological-item/Anatomical-item/Body-part/Head-part/Face",  # of one
        "Item/Object/Man-made-object/Media/Visualization/Image",
    ]


def test_the_counts_are_those_of_the_recordings(described):
    content = described.content
    rows = 4 * (SECONDS // 2)
    assert content["counts"] == {
        "recordings": 5,
        "converted": 4,
        "quarantined": 1,
        "subjects": 4,
        "rows": rows,
    }
    assert content["rows_excluded"] == 0
    assert content["hours"] == round(4 * SECONDS / 3600, 4)
    assert content["sampling_rates"] == [RATE]
    assert (content["datatypes"], content["tasks"]) == (["eeg"], ["rest"])
    assert content["labels"]["sex"]["classes"] == ["F", "M"]
    assert (content["split"], content["split_reason"]) == ("subject", "")
    assert content["validation"] == {"error": {"X": 2}}


def test_hardware_lists_distinct_values(described):
    hardware = described.content["hardware"]
    assert hardware["EEGReference"] == ["Cz"]
    assert hardware["Manufacturer"] == ["A", "Other"]
    assert hardware["PowerLineFrequency"] == ["50"]
    assert [json.loads(text) for text in hardware["SoftwareFilters"]] == [{"High": {"cutoff": 0.1}}]


def test_settings_hold_no_path(described, tmp_path):
    content = described.content
    assert "path" not in content["settings"]
    windows = {"kind": "fixed", "length": 2.0, "overlap": 0, "source": None}
    assert content["settings"]["windows"] == windows
    for name in ("dataset.json", "README.md"):
        assert str(described.folder) not in (described.results / name).read_text(encoding="utf-8")


def test_software_names_what_shaped_the_results(described):
    import mne

    assert described.content["software"]["mne"] == mne.__version__
    assert described.content["software"]["bidsmill"] == bidsmill.__version__


def test_the_same_results_give_the_same_bytes(described):
    names = ("dataset.json", "README.md")
    before = [(described.results / name).read_bytes() for name in names]
    described.describe()
    assert [(described.results / name).read_bytes() for name in names] == before


def test_the_readme_speaks_for_itself(described):
    text = described.readme
    assert text.startswith("# Rest | with a pipe\n")
    assert (
        "20 rows of 4 recordings and 4 subjects, 0.01 hours; 1 recordings are quarantined" in text
    )
    assert "- Authors: Ada Lovelace, Émilie du Châtelet\n" in text
    assert "- Licence: CC0\n" in text
    assert "- `sex`: F, M\n" in text
    assert "- Split: by subject; the proof is in split.json\n" in text
    assert "| sub-05_task-rest_eeg | empty_file | " in text
    assert "Rows are 2 s long; none crosses a boundary." in text
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    compile(code, "README.md", "exec")


# Published


@pytest.fixture(scope="module")
def dataset(described):
    """The published dataset, opened."""
    publish_dataset(
        described.results,
        described.converted,
        described.results / "published.json",
        dataset="t",
        store=str(described.folder / "store"),
    )
    return bidsmill.open(described.folder / "store", cache=described.folder / "cache")["t"]


def test_the_store_reads_back_what_was_converted(described, dataset):
    samples = described.made.table("samples.parquet")
    for side in ("train", "test"):
        chosen = dataset.select(split=side)
        blocks = []
        for name, rows in chosen.samples.groupby("recording", sort=False):
            with MatrixFile(described.results / "matrix" / f"{name}.parquet") as matrix:
                blocks.append(matrix.read()[rows["row"].to_numpy()])
        np.testing.assert_array_equal(chosen.arrays(), np.concatenate(blocks))
    assert len(dataset.select()) == len(samples) == 20


def test_the_matrices_hold_the_recordings(described, dataset):
    """Against the numbers that went into the files, within the steps of 16-bit EDF."""
    for subject in ("01", "02", "03", "04"):
        block = dataset.select(where=f"subject == '{subject}'").arrays()
        data = brain_like(2, SECONDS * RATE, seed=int(subject))
        wanted = data.reshape(2, 5, 2 * RATE).transpose(1, 0, 2)
        step = np.ptp(data, axis=1).max() / 2**16
        np.testing.assert_allclose(block, wanted, atol=1.01 * step, rtol=0)


def test_windows_without_event_have_a_missing_whole_number(described, dataset):
    (entry,) = [e for e in dataset.manifest["files"] if e["name"] == "samples.parquet"]
    table = pq.read_table(described.folder / "store" / entry["path"])
    assert str(table.schema.field("event").type) == "int64"
    assert table.column("event").null_count == 20


def test_the_readme_that_is_published_runs(described, dataset, monkeypatch, tmp_path):
    monkeypatch.setenv("BIDSMILL_CACHE", str(tmp_path))
    (code,) = re.findall(r"```python\n(.*?)```", described.readme, re.S)
    found: dict = {}
    exec(code.replace("STORE", str(described.folder / "store")), found)
    assert len(found["X"]) == len(dataset.select(split="train"))


# Small pieces


@pytest.mark.parametrize(
    ("stated", "names", "cited"),
    [
        ({}, [], "ds"),
        ({"Authors": None, "Name": ""}, [], "ds"),
        ({"Authors": "Ada Lovelace"}, ["Ada Lovelace"], "Ada Lovelace. ds"),
        ({"Authors": ["A", 3], "Name": "N"}, ["A", "3"], "A, 3. N"),
        ({"Authors": [], "Name": 7, "DatasetDOI": "d"}, [], "7. d"),
    ],
)
def test_authors_as_public_files_state_them(stated, names, cited):
    assert authors(stated) == names
    assert citation("ds", stated) == cited


BASE = {
    "channels": {"types": ["data"], "policy": "native", "names": [], "bad": "keep"},
    "filter": None,
    "resample": None,
    "windows": {"kind": "fixed", "length": 2.0, "overlap": 0},
}
EVENTS = {"kind": "events", "tmin": -0.2, "tmax": 0.8, "events": "all", "baseline": None}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "Each matrix holds channels of type: the main types of the datatype; bad channels"),
        ({}, "No filter was applied."),
        ({}, "Recordings keep their sampling rate."),
        ({}, "Rows are 2 s long; none crosses a boundary."),
        ({"filter": {"low": None, "high": None}}, "No filter was applied."),
        (
            {"filter": {"low": 0.5, "high": 40, "notch": [50, 100.5]}},
            "(high-pass 0.5 Hz; low-pass 40 Hz; notch 50, 100.5 Hz)",
        ),
        ({"filter": {"notch": 60}}, "continuous stretch (notch 60 Hz)."),
        ({"resample": 128}, "Recordings were resampled to 128 Hz with an anti-aliasing filter."),
        (
            {"channels": {**BASE["channels"], "types": ["eeg", "eog"], "bad": "drop"}},
            "holds channels of type: eeg, eog; bad channels are dropped",
        ),
        (
            {"channels": {**BASE["channels"], "policy": "list", "names": ["Fz", 7]}},
            "Each matrix holds the channels Fz, 7; bad channels are kept and flagged",
        ),
        ({"windows": {**BASE["windows"], "overlap": 0.5}}, "2 s long, overlapping by 0.5 s;"),
        ({"windows": EVENTS}, "Rows span -0.2 s to 0.8 s around every event; none crosses"),
        (
            {"windows": {**EVENTS, "events": {"hed": "Face", "value": [1, "b"]}}},
            "around events with HED matching “Face” and value in 1, b;",
        ),
        (
            {"windows": {**EVENTS, "baseline": [-0.2, 0]}},
            "From each channel and row the mean between -0.2 s and 0 s was subtracted.",
        ),
        (
            {
                "windows": {**BASE["windows"], "source": "env"},
                "streams": {"nodes": {"env": "clean > rectify", "clean": "raw > notch(50)"}},
            },
            "from the node `env` of the recording's stream: `env` is `clean > rectify`; `clean` is"
            " `raw > notch(50)`.",
        ),
    ],
)
def test_what_was_done_is_said(settings, sentence):
    told = processing_prose({**BASE, **settings})
    assert [text for text in told if sentence in text], told
    assert told[-1].startswith("Values are float32")


def readme(recordings: list[dict], **own) -> str:
    """Return the README of a dataset of those recordings."""
    content = {
        "name": "N",
        "dataset": "ds",
        "snapshot": "1",
        "counts": {"rows": 1, "converted": 1, "subjects": 1, "quarantined": 1},
        "hours": 0.1,
        "license": "",
        "authors": [],
        "doi": "",
        "citation": "",
        "processing": [],
        "labels": {"rt": {"kind": "number"}, "c": {"kind": "class", "classes": []}},
        "split": "refused",
        "split_reason": "two groups are too few",
        **own,
    }
    columns = ["recording", "status", "reason", "message", "layout", "rows"]
    return dataset_readme(content, pd.DataFrame(recordings, columns=columns).fillna(""))


def test_the_readme_of_a_refused_split_selects_all():
    bad = {"recording": "r", "status": "quarantined", "reason": "x", "message": "a | b"}
    text = readme([bad])
    assert "- Split: refused (two groups are too few)" in text
    assert 'train = bidsmill.open("STORE")["ds"].select()\n' in text
    assert "- Licence: not stated\n- Authors: not stated\n" in text
    assert "- `rt`: a number\n- `c`: none\n" in text
    assert "| r | x | a \\| b |" in text


def test_of_several_layouts_the_readme_selects_the_largest():
    """Rows of different layouts cannot be stacked: the lines would fail as they stand."""
    made = [{"recording": f"r{n}", "status": "converted", "layout": "ab"[n % 2]} for n in range(3)]
    rows = ["9", "20", "10"]  # a: 19, b: 20
    for entry, count in zip(made, rows, strict=True):
        entry["rows"] = count
    text = readme(made, split="subject")
    assert """["ds"].select(split="train", where="layout == 'b'")\n""" in text
    assert """["ds"].select(split="train")\n""" in readme(made[:1], split="subject")
    assert """["ds"].select(where="layout == 'b'")\n""" in readme(made)
