"""One label definition over datasets with events of their own dialects, from raw files to y.

And what retagging costs: tables are written anew, matrices are not touched.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil

import numpy as np
import pytest
from absence import absent
from bids_cases import DESCRIPTION, Dataset, brain_like, write_edf, write_tsv

import bidsmill
from bidsmill.formats import files
from bidsmill.report.describe import describe_dataset
from bidsmill.split.dataset import split_dataset
from bidsmill.store.publish import publish_dataset

LABELS = {
    "picture": {"hed": {"face": "Face", "scrambled": "Image and not Face"}},
    "hand": {
        "classes": {
            "left": {"hed": "Participant-response and Left"},
            "right": {"hed": "Participant-response and Right"},
        },
        "overlap": "error",
    },
}
WINDOWS = {
    "kind": "events",
    "tmin": 0.0,
    "tmax": 0.4,
    "events": {"hed": "Sensory-event or Participant-response"},
}
# What happens in each recording, in words of no dataset.
STORY = {
    "words": ["face", "scrambled", "left", "face", "nothing", "right"],
    "codes": ["scrambled", "right", "face", "face", "left", "nothing"],
    "untagged": ["left", "nothing", "right", "left", "face", "face"],  # shows no scrambled one
}
# How each dataset says it: column, its values, and the HED of the values.
FACE = "Sensory-event, Visual-presentation, (Image, Face)"
WORDS = {"face": "Famous", "scrambled": "Mixed", "left": "l", "right": "r", "nothing": "break"}
HED_OF_WORDS = {
    "Famous": FACE,
    "Mixed": "Sensory-event, Visual-presentation, (Image, Label/Scrambled)",
    "l": "Agent-action, Participant-response, (Left, Hand)",
    "r": "Agent-action, Participant-response, (Right, Hand)",
}
CODES = {"face": 5, "scrambled": 17, "left": 256, "right": 4096, "nothing": 1}
HED_OF_CODES = {
    "5": "Sensory-event, Def/Picture, (Item-count/1, Face)",
    "17": "Def/Picture, Sensory-event",
    "256": "(Participant-response, (Press, (Left, Push-button)))",
    "4096": "(Participant-response, (Press, (Right, Push-button)))",
}
KINDS = {
    "face": "s1/face",
    "scrambled": "s2",
    "left": "key_left",
    "right": "key_right",
    "nothing": "x",
}
HED_OF_KINDS = {
    "s1/face": "Sensory-event, (Face, Image)",
    "s2": "Sensory-event, Image",
    "key_left": "Participant-response, Left",
    "key_right": "Participant-response, Right",
}


def write_dataset(root, story, column, said, sidecar):
    """Write two subjects to whom the same happens in another order."""
    root.mkdir(parents=True)
    files.write_json(root / "dataset_description.json", DESCRIPTION)
    if sidecar:
        files.write_json(root / "task-x_events.json", sidecar)
    for n, moments in ((1, story), (2, story[::-1]), (3, story)):
        folder = root / f"sub-0{n}" / "eeg"
        data = zip(["Fz", "Cz"], brain_like(2, 1000, n) * 1e6, strict=True)
        write_edf(folder / f"sub-0{n}_task-x_eeg.edf", [(c, v, 100, "uV") for c, v in data])
        rows = [(float(at), 0.1, said[moment]) for at, moment in enumerate(moments, 1)]
        write_tsv(folder / f"sub-0{n}_task-x_events.tsv", ["onset", "duration", column], *rows)


def made(folder, name):
    """Write one of the datasets."""
    dataset = Dataset(folder / name)
    if name == "words":
        sidecar = {"trial_type": {"HED": HED_OF_WORDS}}
        write_dataset(dataset.root, STORY[name], "trial_type", WORDS, sidecar)
    elif name == "codes":
        definition = {"HED": {"picture": "(Definition/Picture, (Visual-presentation, Image))"}}
        sidecar = {"value": {"HED": HED_OF_CODES}, "definitions": definition}
        write_dataset(dataset.root, STORY[name], "value", CODES, sidecar)
    else:
        write_dataset(dataset.root, STORY[name], "kind", KINDS, {})
        dataset.hed_sidecar = folder / "hed" / f"{name}.json"
        files.write_json(dataset.hed_sidecar, {"kind": {"HED": HED_OF_KINDS}})
    return dataset


def publish(dataset, name, store):
    """Split, describe and publish what the stages before have made."""
    results, labels = dataset.results, dataset.settings["labels"]
    split_dataset(
        results / "samples.parquet",
        results / "split.tsv",
        results / "split.json",
        dataset=name,
        labels=list(labels),
        settings={**dataset.settings["split"], "fallback": "refuse"},
    )
    files.write_json(results / "validation.json", {"counts": {}})
    files.write_text(results / "report.html", "<html></html>\n")
    inputs = {
        "dataset": results / "plan" / "dataset.json",
        "recordings": results / "recordings.tsv",
        "samples": results / "samples.parquet",
        "vocabulary": results / "labels.json",
        "split": results / "split.json",
        "validation": results / "validation.json",
        "annotated": [dataset.of("annotate", batch) for batch in dataset.batches],
        "converted": [dataset.of("convert", batch) for batch in dataset.batches],
    }
    outputs = results / "dataset.json", results / "README.md"
    describe_dataset(inputs, *outputs, dataset=name, settings=dataset.settings)
    published = results / "published.json"
    publish_dataset(
        results,
        inputs["converted"],
        published,
        dataset=name,
        store=str(store),
        license_allowed=True,
    )
    return files.read_json(published)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Return a folder with the store of the three datasets. Not to be changed."""
    folder = tmp_path_factory.mktemp("three")
    for name in STORY:
        publish(made(folder, name).run(windows=WINDOWS, labels=LABELS), name, folder / "store")
    return folder


@pytest.fixture(scope="module")
def store(three):
    return bidsmill.open(three / "store", cache=three / "cache")


def truth(name, classes):
    """Return the classes of the rows of a dataset, as its story tells them."""
    orders = (STORY[name], STORY[name][::-1], STORY[name])
    return [moment for story in orders for moment in story if moment in classes]


@pytest.mark.parametrize("name", STORY)
@pytest.mark.parametrize("label", LABELS)
def test_one_definition_gives_one_vocabulary_and_the_right_classes(store, name, label):
    classes = {"picture": ["face", "scrambled"], "hand": ["left", "right"]}
    assert store[name].labels == classes
    X, y = store[name].select().arrays(target=label)
    assert y.tolist() == truth(name, classes[label])
    assert X.shape == (len(y), 2, 40)
    assert len(store[name].samples) == 15  # nothing but the breaks is left out


def test_the_loader_gives_the_same_codes_for_the_same_meaning(store):
    if importlib.util.find_spec("torch") is None:
        absent("torch is not installed")
    codes = {"face": 0, "scrambled": 1}
    for name in STORY:
        loader = store[name].select().loader(target="picture", batch_size=4)
        X, y = zip(*loader, strict=True)
        assert np.concatenate(y).tolist() == [codes[c] for c in truth(name, codes)]
        np.testing.assert_array_equal(
            np.concatenate(X), store[name].select().arrays(target="picture")[0]
        )


@pytest.mark.parametrize("name", STORY)
def test_the_store_has_the_sidecars_of_its_tables(three, store, name):
    entries = {entry["name"]: entry for entry in store[name].manifest["files"]}
    for table in ("samples", "events", "recordings", "channels"):
        assert entries[f"{table}.json"]["kind"] == table
    stored = files.read_json(three / "store" / entries["samples.json"]["path"])
    assert set(stored) - {"definitions"} == set(store[name].samples.columns) - {"HED"}
    assert ("definitions" in stored) == (name == "codes")


# ------------------------------------------------------------------------------------- retagging


def facts(dataset):
    """Return sha256 and time of every file of the matrices."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted((dataset.results / "matrix").iterdir())
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    for name in ("words", "untagged"):
        made(folder, name).run(windows=BY_COLUMN[name], labels=LABELS)
    return folder


BY_COLUMN = {
    "words": {**WINDOWS, "events": {"trial_type": ["Famous", "Mixed"]}},
    "untagged": {**WINDOWS, "events": {"kind": ["s1/face", "s2"]}},
}


def again(finished, tmp_path, name):
    """Return a copy of a finished dataset, times and all."""
    shutil.copytree(finished / name, tmp_path / name)
    dataset = Dataset(tmp_path / name)
    if name == "untagged":
        dataset.hed_sidecar = tmp_path / "hed" / f"{name}.json"
        files.write_json(dataset.hed_sidecar, {"kind": {"HED": HED_OF_KINDS}})
    return dataset


@pytest.mark.parametrize("name", ["words", "untagged"])
def test_retagging_rewrites_tables_and_no_matrix(finished, tmp_path, name):
    dataset = again(finished, tmp_path, name)
    dataset.run(windows=BY_COLUMN[name], labels=LABELS)
    before, version = facts(dataset), publish(dataset, name, tmp_path / "store")["version"]
    assert set(dataset.table("samples.parquet")["picture"]) <= {"face", "scrambled"}
    if name == "words":
        house = {**HED_OF_WORDS, "Famous": "Sensory-event, (Image, Building)"}
        files.write_json(dataset.root / "task-x_events.json", {"trial_type": {"HED": house}})
    else:
        house = {**HED_OF_KINDS, "s1/face": "Sensory-event, (Image, Building)"}
        files.write_json(dataset.hed_sidecar, {"kind": {"HED": house}})
    dataset.run(windows=BY_COLUMN[name], labels=LABELS)
    samples, events = dataset.table("samples.parquet"), dataset.table("events.tsv")
    assert set(samples["picture"]) == {"scrambled"}
    assert not events["HED"].str.contains("Face").any() and events["HED"].str.contains("B").any()
    assert facts(dataset) == before
    content = publish(dataset, name, tmp_path / "store")
    assert content["version"] != version
    opened = bidsmill.open(tmp_path / "store", cache=tmp_path / "cache")
    kinds = {
        each: {
            e["path"] for e in opened[f"{name}@{each}"].manifest["files"] if e["kind"] == "matrix"
        }
        for each in (version, content["version"])
    }
    assert kinds[version] == kinds[content["version"]] != set()


def test_relabelling_rewrites_tables_and_no_matrix(finished, tmp_path):
    dataset = again(finished, tmp_path, "words")
    before = facts(dataset)
    dataset.run(windows=BY_COLUMN["words"], labels={"any": {"hed": {"yes": "Image"}}})
    assert set(dataset.table("samples.parquet")["any"]) == {"yes"}
    assert facts(dataset) == before


def test_retagging_that_changes_the_choice_converts_where_it_does(finished, tmp_path):
    dataset = again(finished, tmp_path, "words")
    by_hed = {**WINDOWS, "events": {"hed": "Face"}}
    dataset.run(windows=by_hed, labels=LABELS)
    before = facts(dataset)
    # A sidecar for sub-02 alone, whose faces are none.
    house = {**HED_OF_WORDS, "Famous": "Sensory-event, (Image, Building)", "l": FACE}
    path = dataset.root / "sub-02" / "eeg" / "sub-02_task-x_events.json"
    files.write_json(path, {"trial_type": {"HED": house}})
    dataset.run(windows=by_hed, labels=LABELS)
    changed = {name.split("_")[0] for name, fact in facts(dataset).items() if before[name] != fact}
    assert changed == {"sub-02"}
    samples = dataset.table("samples.parquet")
    assert samples.loc[samples["recording"] == "sub-02_task-x_eeg", "trial_type"].tolist() == ["l"]
