"""The lock of a dataset, and what a fetch of its files says."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.sources.fetch import fetch_batch
from bidsmill.sources.local import read_state
from bidsmill.sources.lock import make_lock
from bidsmill.sources.place import dataset_root
from bidsmill.sources.sample import SAMPLE_VERSION, write_sample


@pytest.fixture
def bids(tmp_path) -> Path:
    root = tmp_path / "ds"
    for name, content in {
        "dataset_description.json": '{"Name": "Déjà", "Funding": ["a"], "Odd": NaN}',
        "sub-01/eeg/sub-01_task-rest_eeg.edf": "signal one",
        "sub-02/eeg/sub-02_task-rest_eeg.edf": "signal two",
        "derivatives/x.txt": "not locked",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return root


def lock(bids, tmp_path, **settings):
    settings = {"source": "local", "path": str(bids), **settings}
    return make_lock("ds", settings, tmp_path / "results" / "ds")


def test_where_a_dataset_lies(tmp_path):
    assert dataset_root({"source": "local", "path": "a/b"}, tmp_path) == Path("a/b")
    assert dataset_root({"source": "sample"}, tmp_path) == tmp_path / "bids"


def test_the_lock_states_every_file(bids, tmp_path):
    found = lock(bids, tmp_path, version="2.0")
    assert {key: found[key] for key in ("contract", "dataset", "source", "snapshot")} == {
        "contract": "1",
        "dataset": "ds",
        "source": {"kind": "local", "path": bids.as_posix()},
        "snapshot": "2.0",
    }
    paths = [path for path in sorted(bids.rglob("*")) if path.is_file()]
    assert found["files"] == [
        {
            "path": path.relative_to(bids).as_posix(),
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in paths
        if "derivatives" not in path.parts
    ]
    assert found["description"]["Name"] == "Déjà"
    files.json_bytes(found)  # NaN is no JSON, though public files hold it


def test_without_a_version_the_snapshot_is_local(bids, tmp_path):
    assert lock(bids, tmp_path)["snapshot"] == "local"


def test_a_second_lock_reads_nothing_and_keeps_the_state(bids, tmp_path, monkeypatch):
    first = lock(bids, tmp_path)
    path = tmp_path / "results" / "ds" / "lock-state.json"
    before = path.stat()
    from bidsmill.sources import local

    monkeypatch.setattr(local, "sha256_file", lambda path: pytest.fail(f"read {path}"))
    assert lock(bids, tmp_path) == first
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert set(read_state(path.parent)) == {entry["path"] for entry in first["files"]}


@pytest.mark.parametrize("content", ["", "{", "\0"])
def test_a_damaged_state_is_forgotten(bids, tmp_path, content):
    first = lock(bids, tmp_path)
    (tmp_path / "results" / "ds" / "lock-state.json").write_text(content)
    assert lock(bids, tmp_path) == first


@pytest.mark.parametrize("content", ["", "[]", "{'a'}", "\xff"])
def test_a_description_that_cannot_be_read_costs_no_dataset(bids, tmp_path, content, caplog):
    (bids / "dataset_description.json").write_text(content, encoding="latin-1")
    found = lock(bids, tmp_path)
    assert found["description"] == {}
    assert "dataset_description.json" in caplog.text
    assert len(found["files"]) == 3


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(BidsmillError, match=r"folder is missing.*correct `path`"):
        lock(tmp_path / "no", tmp_path)


def test_a_folder_without_description(bids, tmp_path):
    (bids / "dataset_description.json").unlink()
    with pytest.raises(BidsmillError, match=r"expected: a file dataset_description\.json"):
        lock(bids, tmp_path)


def test_a_dataset_without_subjects(bids, tmp_path):
    for subject in bids.glob("sub-*"):
        shutil.rmtree(subject)
    with pytest.raises(BidsmillError, match=r"no subject.*sub-"):
        lock(bids, tmp_path)


# The sample: written by the lock, written again by a fetch that misses it


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    results = tmp_path_factory.mktemp("results") / "sample"
    return results, make_lock("sample", {"source": "sample"}, results)


def test_the_sample_is_written_by_the_lock(sample, tmp_path):
    results, found = sample
    assert found["snapshot"] == SAMPLE_VERSION
    write_sample(tmp_path / "again")
    for entry in found["files"]:
        content = (tmp_path / "again" / entry["path"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (
            entry["size"],
            entry["sha256"],
        )
    assert make_lock("sample", {"source": "sample"}, results) == found


def fetch(results, members, **settings) -> dict:
    plan = {"batch": "b0000", "members": members}
    files.write_json(results / "plan" / "b0000.json", plan)
    fetch_batch(
        results / "plan" / "b0000.json",
        results / "fetch" / "b0000.json",
        settings={"source": "local", **settings},
        results=results,
    )
    manifest = json.loads((results / "fetch" / "b0000.json").read_bytes())
    assert manifest["batch"] == "b0000"
    return manifest["members"]


def members_of(locked: dict, *needles: str) -> list[dict]:
    found = [{e["path"]: e["sha256"] for e in locked["files"] if n in e["path"]} for n in needles]
    return [
        {"stem": n, "files": f, "sidecar_files": {}} for n, f in zip(needles, found, strict=True)
    ]


def test_a_fetch_of_the_sample_brings_back_what_is_lost(sample):
    results, found = sample
    edf = next(e["path"] for e in found["files"] if e["path"].endswith("run-1_eeg.edf"))
    (results / "bids" / edf).unlink()
    fetched = fetch(results, members_of(found, edf), source="sample")
    assert fetched == {edf: {"status": "present"}}


def test_a_fetch_says_of_each_recording_whether_it_is_there(bids, tmp_path):
    (bids / "sub-03" / "eeg").mkdir(parents=True)
    (bids / "sub-03" / "eeg" / "sub-03_task-rest_eeg.edf").write_bytes(b"")
    (bids / "sub-04").symlink_to("nowhere")
    found = lock(bids, tmp_path)
    (bids / "sub-02" / "eeg" / "sub-02_task-rest_eeg.edf").unlink()
    members = members_of(found, "sub-01", "sub-02", "sub-03", "sub-04")
    before = sorted(p for p in bids.rglob("*"))
    fetched = fetch(tmp_path / "results" / "ds", members, path=str(bids))
    assert {stem: entry.get("reason") for stem, entry in fetched.items()} == {
        "sub-01": None,
        "sub-02": "file_missing",
        "sub-03": "empty_file",
        "sub-04": "content_not_fetched",
    }
    assert {entry["status"] for entry in fetched.values()} == {"present", "missing"}
    assert sorted(p for p in bids.rglob("*")) == before, "a local dataset is read in place"


def test_a_fetch_gives_the_same_bytes_each_time(bids, tmp_path):
    found = lock(bids, tmp_path)
    results = tmp_path / "results" / "ds"
    members = members_of(found, "sub-02", "sub-01")
    fetch(results, members, path=str(bids))
    first = (results / "fetch" / "b0000.json").read_bytes()
    fetch(results, members, path=str(bids))
    assert (results / "fetch" / "b0000.json").read_bytes() == first
