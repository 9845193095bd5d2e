"""The Croissant record: valid, pure, and mlcroissant loads through it what went in."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from access_store import Recording, StoreBuilder, samples_of
from odd_store import DATASET, OddStore
from store_results import Results

from bidsmill.formats import manifest
from bidsmill.store.croissant import croissant_bytes, croissant_path

WIDE = 1100
DESCRIPTION = {
    "name": 'Faces "µ"',
    "snapshot": "1.2.3",
    "license": "CC0",
    "doi": "doi:10.18112/openneuro.ds002718.v1.0.5",
    "authors": ["Ada Lovelace", "Kurt Gödel"],
    "citation": "Ada Lovelace, Kurt Gödel. Faces",
    "hed_version": "8.3.0",
    "datatypes": ["eeg"],
    "tasks": ["faces"],
    "labels": {"face": {}, "rt": {}},
    "counts": {"rows": 23, "converted": 4, "subjects": 4},
    "processing": ["Recordings keep their sampling rate."],
}


def write_record(root: Path, content: dict, samples: Path) -> Path:
    """Write the record of a version where it belongs."""
    columns = {field.name: str(field.type) for field in pq.read_schema(samples)}
    dataset = content["dataset"]
    record = croissant_bytes(dataset, DESCRIPTION, content["layouts"], content["files"], columns)
    path = root / croissant_path(dataset, hashlib.sha256(record).hexdigest())
    path.write_bytes(record)
    return path


def encoded(name: str) -> str:
    """Return a name as it stands in the id of a field: no part of a path."""
    return name.replace(".", "%2E") if name in (".", "..") else quote(name, safe="")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> OddStore:
    return OddStore(tmp_path_factory.mktemp("croissant"))


@pytest.fixture(scope="module")
def record(store) -> Path:
    return write_record(store.root, store.manifest, store.path_of("samples"))


@pytest.fixture(scope="module")
def loaded(record):
    import mlcroissant

    return mlcroissant.Dataset(jsonld=record)


def test_it_is_valid(loaded):
    issues = loaded.metadata.ctx.issues
    assert not issues.errors
    # What is published holds no time: the date of publishing is in the store's pointer.
    assert all("datePublished" in warning for warning in issues.warnings)


def test_it_describes_the_dataset(loaded):
    metadata = loaded.metadata
    assert metadata.name == DESCRIPTION["name"]
    assert metadata.version == "1.2.3" and metadata.license == ["CC0"]
    assert metadata.url == "https://doi.org/10.18112/openneuro.ds002718.v1.0.5"
    assert metadata.cite_as == DESCRIPTION["citation"]
    assert [person.name for person in metadata.creators] == DESCRIPTION["authors"]
    assert metadata.keywords == ["BIDS", "eeg", "faces", "face", "rt", "HED"]
    assert "23 rows of 4 recordings" in metadata.description


def test_every_file_is_listed_with_size_and_checksum(store, record, loaded):
    objects = {node.id: node for node in loaded.metadata.file_objects}
    assert len(objects) == len(store.manifest["files"])
    for entry in store.manifest["files"]:
        found = (record.parent / objects[entry["path"].split("/files/")[1]].content_url).resolve()
        node = objects[entry["path"].split("/files/")[1]]
        assert found == (store.root / entry["path"]).resolve()
        assert node.sha256 == hashlib.sha256(found.read_bytes()).hexdigest()
        assert node.content_size == f"{found.stat().st_size} B"


def test_a_layout_is_a_record_set_of_listed_files(store, record, loaded):
    sets = {node.id: node.includes for node in loaded.metadata.file_sets}
    for layout in (store.odd, store.plain):
        listed = [f"{record.parent}/{path}" for path in sets[f"{layout}-files"]]
        wanted = [str(store.root / path) for path in store.manifest["layouts"][layout]["files"]]
        assert sorted(listed) == sorted(wanted)
    assert {one.id for one in loaded.metadata.record_sets} == {store.odd, store.plain, "samples"}


@pytest.mark.parametrize("layout", ["odd", "plain"])
def test_signals_are_those_that_went_in(store, loaded, layout):
    layout = getattr(store, layout)
    seen = set()
    for found in loaded.records(layout):
        file, row = found[f"{layout}/file"].decode(), found[f"{layout}/row"]
        recording = store.recording_of(file)
        seen.add((recording.name, row))
        for index, name in enumerate(recording.columns):
            signal = found[f"{layout}/channel/{encoded(name)}"]
            np.testing.assert_array_equal(signal, recording.array[row, index])
            assert signal[0].dtype == np.float32
    assert seen == {
        (r.name, i) for r in store.recordings if r.layout == layout for i in range(r.rows)
    }


def test_labels_are_those_that_went_in(store, loaded):
    samples = store.samples
    count = 0
    for found, row in zip(loaded.records("samples"), samples.to_dict("records"), strict=True):
        for name, value in row.items():
            stated = found[f"samples/{quote(name, safe='')}"]
            if isinstance(stated, bytes):
                stated = stated.decode()
            if name == "file":
                assert stated == Path(value).name
            elif pd.isna(value):
                assert stated is None
            else:
                assert stated == value
        count += 1
    assert count == len(samples)


def test_file_and_row_join_labels_and_signals(store, loaded):
    def places(name):
        return {(r[f"{name}/file"], int(r[f"{name}/row"])) for r in loaded.records(name)}

    assert places("samples") == places(store.odd) | places(store.plain)


def test_files_of_other_versions_are_not_read(store, record, loaded):
    before = [r[f"{store.plain}/row"] for r in loaded.records(store.plain)]
    matrix = store.root / store.manifest["layouts"][store.plain]["files"][0]
    other = matrix.with_name(matrix.name.replace("sub-04", "sub-05"))
    other.write_bytes(matrix.read_bytes())
    try:
        assert [r[f"{store.plain}/row"] for r in loaded.records(store.plain)] == before
    finally:
        other.unlink()


def test_a_wide_layout_has_one_signal(tmp_path):
    import mlcroissant

    names = [f"E {index}" for index in range(WIDE)]
    wide = Recording("01", names, ["eeg"] * WIDE, rows=4, n_times=4)
    version = StoreBuilder(tmp_path).publish("wide", [wide], samples_of([wide]))
    content = json.loads((tmp_path / manifest.manifest_path("wide", version)).read_bytes())
    samples = next(entry["path"] for entry in content["files"] if entry["kind"] == "samples")
    loaded = mlcroissant.Dataset(jsonld=write_record(tmp_path, content, tmp_path / samples))
    rows = [r[f"{wide.layout}/channel/signal"] for r in loaded.records(wide.layout)]
    values = np.array(rows, np.float32).reshape(4, WIDE, 4)
    np.testing.assert_array_equal(values, wide.array)


def test_same_input_same_bytes(store):
    content, columns = store.manifest, {"file": "string", "row": "int64", "ok": "bool"}
    one = croissant_bytes(DATASET, DESCRIPTION, content["layouts"], content["files"], columns)
    layouts = dict(reversed(content["layouts"].items()))
    entries = reversed(content["files"])
    assert croissant_bytes(DATASET, DESCRIPTION, layouts, entries, columns) == one
    assert store.version.encode() not in one


def test_a_file_name_with_wildcards_stands_for_itself(store):
    content = json.loads(json.dumps(store.manifest).replace("sub-04", "sub-[0]*?"))
    record = json.loads(
        croissant_bytes(DATASET, {}, content["layouts"], content["files"], {"row": "int64"})
    )
    sets = [node for node in record["distribution"] if node["@type"] == "cr:FileSet"]
    pattern = next(
        one for node in sets for one in node["includes"] if "[0]" in one or "[[]0" in one
    )
    assert "sub-[[]0][*][?]_task" in pattern


def test_a_bare_description_is_enough(store, tmp_path):
    import mlcroissant

    text = croissant_bytes(DATASET, {}, store.manifest["layouts"], store.manifest["files"], {})
    path = tmp_path / "croissant.json"
    path.write_bytes(text)
    metadata = mlcroissant.Dataset(jsonld=path).metadata
    assert not metadata.ctx.issues.errors and metadata.name == DATASET


def test_publishing_writes_it(tmp_path):
    import mlcroissant

    results = Results(tmp_path, [Recording("01", ["Fz", "C.z"], ["eeg"] * 2, rows=5)])
    results.publish()
    content = results.manifest()
    (entry,) = [entry for entry in content["files"] if entry["kind"] == "croissant"]
    text = (results.store / entry["path"]).read_bytes()
    assert entry["name"] == "croissant.json"
    assert entry["sha256"] == hashlib.sha256(text).hexdigest() and entry["size"] == len(text)
    loaded = mlcroissant.Dataset(jsonld=results.store / entry["path"])
    listed = {node.sha256 for node in loaded.metadata.file_objects}
    assert listed == {other["sha256"] for other in content["files"]} - {entry["sha256"]}
    (layout,) = content["layouts"]
    rows = [record[f"{layout}/channel/C.z"] for record in loaded.records(layout)]
    np.testing.assert_array_equal(rows, results.recordings[0].array[:, 1])
    sides = {record["samples/split"] for record in loaded.records("samples")}
    assert sides == {b"train"}
