"""The manifest of a version: names, order, version, pointer, catalogue row."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, manifest

SHA = "0123456789abcdef" * 4
ENTRY = {"kind": "matrix", "name": "a.parquet", "path": "datasets/ds/files/matrix/a.parquet"}


def test_paths_in_the_store():
    path = manifest.stored_path("ds", "matrix", "sub-01_task-rest_eeg.parquet", SHA)
    assert path == "datasets/ds/files/matrix/sub-01_task-rest_eeg-0123456789abcdef.parquet"
    assert manifest.stored_path("ds", "readme", "README", SHA).endswith("/README-0123456789abcdef")
    assert manifest.stored_path("ds", "matrix", "a.b.c", SHA).endswith("/a.b-0123456789abcdef.c")
    assert manifest.pointer_path("ds") == "datasets/ds/latest.json"
    assert manifest.manifest_path("ds", "1-a") == "datasets/ds/versions/1-a.json"


@given(st.permutations([*manifest.KINDS, "matrix"]))
def test_files_stand_in_one_order(kinds):
    entries = [{"kind": kind, "name": f"{index}"} for index, kind in enumerate(kinds)]
    built = manifest.build_manifest("ds", "1", entries, {"rows": 3})
    order = [list(manifest.KINDS).index(entry["kind"]) for entry in built["files"]]
    assert order == sorted(order)
    assert list(built)[:3] == ["contract", "dataset", "snapshot"]
    assert (built["contract"], built["rows"]) == ("1", 3)


@given(st.text(), st.binary())
def test_a_version_is_a_file_name_with_the_hash_of_the_manifest(snapshot, content):
    version = manifest.version_of(snapshot, content)
    assert version.endswith("-" + hashlib.sha256(content).hexdigest()[:12])
    assert re.fullmatch(r"[A-Za-z0-9._+-]+", version)
    assert not version.startswith((".", "-"))
    files.inside("store", manifest.manifest_path("ds", version))


@pytest.mark.parametrize(
    ("snapshot", "begin"),
    [("1.1.0", "1.1.0"), ("../..", "unversioned"), ("", "unversioned"), ("v 1/2", "v-1-2")],
)
def test_versions_by_hand(snapshot, begin):
    assert manifest.version_of(snapshot, b"x").rpartition("-")[0] == begin


def test_a_good_manifest_is_returned():
    good = {"contract": "1", "dataset": "ds", "files": [ENTRY]}
    assert manifest.check_manifest(good) is good


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "found: contract list"),
        ({"contract": "2", "files": "of another kind"}, "found: contract 2"),
        ({"contract": "1"}, "lacks"),
        ({"contract": "1", "dataset": "ds"}, "lacks"),
        ({"contract": "1", "dataset": "ds", "files": [{}]}, "lacks"),
        ({"contract": "1", "dataset": "ds", "files": [None]}, "lacks"),
        ({"contract": "1", "dataset": "ds", "files": [{"path": 3}]}, "lacks"),
        ({"contract": "1", "dataset": "ds", "files": None}, "lacks"),
        ({"contract": "1", "dataset": "other", "files": [ENTRY]}, "another dataset"),
        ({"contract": "1", "dataset": "ds", "files": [{"path": "../x"}]}, "leave its folder"),
        ({"contract": "1", "dataset": "ds", "files": [{"path": "/etc/passwd"}]}, "leave"),
        (
            {"contract": "1", "dataset": "ds", "files": [{"path": "datasets/ds/../../x"}]},
            "leave",
        ),
    ],
)
def test_a_bad_manifest_is_refused(bad, message):
    with pytest.raises(BidsmillError, match=message):
        manifest.check_manifest(bad)


def test_the_pointer_keeps_the_history():
    one = manifest.new_pointer(None, "1-a", "1", "t1")
    assert one["history"] == [{"version": "1-a", "snapshot": "1", "published": "t1"}]
    two = manifest.new_pointer(one, "1-b", "1", "t2")
    back = manifest.new_pointer(two, "1-a", "1", "t3")
    assert [pointer["version"] for pointer in (one, two, back)] == ["1-a", "1-b", "1-a"]
    assert [(e["version"], e["published"]) for e in back["history"]] == [
        ("1-b", "t2"),
        ("1-a", "t3"),
    ]
    assert len(one["history"]) == 1, "the old pointer is not edited"


def test_catalogue_row():
    content = {
        "dataset": "ds",
        "snapshot": "1",
        "name": None,
        "license": "CC0",
        "doi": "",
        "datatypes": ["eeg", "emg"],
        "tasks": [],
        "labels": {"face": {"kind": "class"}, "rt": {"kind": "number"}},
        "split": "refused",
        "recordings": 3,
        "converted": 2,
        "quarantined": 1,
        "subjects": 2,
        "rows": 10,
        "hed_tags": ["Event/Sensory-event", "Item/Object"],
        "layouts": {
            "x": {"channels": ["a", "b", "c"], "types": ["eeg"] * 3, "sfreq": 512.5, "rows": 4},
            "y": {"channels": ["e"], "types": ["emg"], "sfreq": 250.0, "rows": 6},
            "z": {},
        },
        "files": [
            {"size": 5},
            {
                "size": 7,
                "name": "samples.parquet",
                "path": "datasets/ds/files/samples/samples-0.parquet",
            },
        ],
    }
    row = manifest.catalog_row(content, "1-a")
    assert list(row) == list(manifest.CATALOG_COLUMNS)
    assert row == {
        "dataset": "ds",
        "version": "1-a",
        "snapshot": "1",
        "name": "",
        "license": "CC0",
        "license_class": "",
        "citation": "",
        "doi": "",
        "datatypes": "eeg, emg",
        "tasks": "",
        "labels": "face, rt",
        "split": "refused",
        "channels": "1, 3",
        "channel_types": "eeg, emg",
        "sampling_rates": "250, 512.5",
        "hed_tags": "Event/Sensory-event, Item/Object",
        "largest_layout": "y",
        "samples": "datasets/ds/files/samples/samples-0.parquet",
        "report": "",
        "recordings": 3,
        "converted": 2,
        "quarantined": 1,
        "subjects": 2,
        "rows": 10,
        "layouts": 3,
        "bytes": 12,
    }
