"""The lock of a dataset, and what a fetch of its files says."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.sources.fetch import fetch_batch, fetch_dataset
from bidsmill.sources.lock import make_lock, read_lock
from bidsmill.sources.place import dataset_root
from bidsmill.sources.presence import read_state, seen_of, write_state
from bidsmill.sources.remote_files import RemoteDataset, fetch_files
from bidsmill.sources.sample import SAMPLE_VERSION


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
    settings = {"source": "local", "path": str(bids), "folders": [], **settings}
    return make_lock("ds", settings, tmp_path / "results" / "ds")


def test_where_a_dataset_lies(tmp_path):
    assert dataset_root({"source": "local", "path": "a/b"}, tmp_path) == Path("a/b")
    assert dataset_root({"source": "sample"}, tmp_path) == tmp_path / "bids"


def test_the_lock_states_every_file(bids, tmp_path):
    found = lock(bids, tmp_path, version="2.0")
    assert {key: found[key] for key in ("contract", "dataset", "source", "snapshot")} == {
        "contract": "2",
        "dataset": "ds",
        "source": {"kind": "local", "path": bids.as_posix()},
        "snapshot": "2.0",
    }
    paths = [path for path in sorted(bids.rglob("*")) if path.is_file()]
    assert found["files"] == [
        {
            "path": path.relative_to(bids).as_posix(),
            "size": path.stat().st_size,
            "checksum": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
        }
        for path in paths
        if "derivatives" not in path.parts
    ]
    assert found["description"]["Name"] == "Déjà"
    files.json_bytes(found)  # NaN is no JSON, though public files hold it


def test_a_lock_is_read_back(bids, tmp_path):
    (bids / "sub-03").symlink_to("nowhere")
    found = lock(bids, tmp_path)
    assert [e["checksum"] for e in found["files"] if e["path"] == "sub-03"] == [None]
    files.write_json(tmp_path / "ds.json", found)
    assert read_lock(tmp_path / "ds.json") == json.loads(files.json_bytes(found))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{}", ("", "", [])),
        (
            '{"License": "CC0", "DatasetDOI": "doi:10.1/x", "Authors": ["Ada", "Béla"]}',
            ("CC0", "doi:10.1/x", ["Ada", "Béla"]),
        ),
        ('{"License": 3, "DatasetDOI": null, "Authors": null}', ("", "", [])),
    ],
)
def test_the_lock_states_licence_doi_and_authors(bids, tmp_path, content, expected):
    (bids / "dataset_description.json").write_text(content, encoding="utf-8")
    found = lock(bids, tmp_path)
    assert (found["license"], found["doi"], found["authors"]) == expected


def test_folders_that_are_asked_for_are_locked(bids, tmp_path):
    paths = [entry["path"] for entry in lock(bids, tmp_path)["files"]]
    more = lock(bids, tmp_path, folders=["derivatives", "code"])["files"]
    assert [entry["path"] for entry in more] == sorted([*paths, "derivatives/x.txt"])
    (entry,) = [entry for entry in more if entry["path"] == "derivatives/x.txt"]
    digest = hashlib.sha256(b"not locked").hexdigest()
    assert (entry["size"], entry["checksum"]) == (10, f"sha256:{digest}")


def test_without_a_version_the_snapshot_is_local(bids, tmp_path):
    assert lock(bids, tmp_path)["snapshot"] == "local"


def test_a_second_lock_reads_nothing_and_keeps_the_state(bids, tmp_path, monkeypatch):
    first = lock(bids, tmp_path)
    path = tmp_path / "results" / "ds" / "lock-state.json"
    before = path.stat()
    from bidsmill.sources import presence

    monkeypatch.setattr(presence, "sha256_file", lambda path: pytest.fail(f"read {path}"))
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


SAMPLE = {"source": "sample", "folders": []}


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    results = tmp_path_factory.mktemp("results") / "sample"
    return results, make_lock("sample", SAMPLE, results)


def test_the_sample_is_written_by_the_lock(sample, sample_dataset):
    results, found = sample
    assert found["snapshot"] == SAMPLE_VERSION
    for entry in found["files"]:
        content = (sample_dataset / entry["path"]).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        assert (len(content), f"sha256:{digest}") == (entry["size"], entry["checksum"])
    assert make_lock("sample", SAMPLE, results) == found


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
    found = [{e["path"]: e["checksum"] for e in locked["files"] if n in e["path"]} for n in needles]
    return [
        {"stem": n, "files": f, "sidecar_files": {}} for n, f in zip(needles, found, strict=True)
    ]


def test_a_fetch_of_the_sample_brings_back_what_is_lost(sample):
    results, found = sample
    edf = next(e["path"] for e in found["files"] if e["path"].endswith("run-1_eeg.edf"))
    (results / "bids" / edf).unlink()
    fetched = fetch(results, members_of(found, edf), source="sample")
    digest = hashlib.sha256((results / "bids" / edf).read_bytes()).hexdigest()
    assert fetched == {edf: {"status": "present", "files": {edf: digest}}}


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
    edf = "sub-01/eeg/sub-01_task-rest_eeg.edf"
    digest = hashlib.sha256((bids / edf).read_bytes()).hexdigest()
    assert fetched["sub-01"] == {"status": "present", "files": {edf: digest}}
    for subject in ("sub-02", "sub-03", "sub-04"):
        assert set(fetched[subject]) == {"status", "reason", "message"}
        assert fetched[subject]["status"] == "missing"
    assert sorted(p for p in bids.rglob("*")) == before, "a local dataset is read in place"


def test_a_fetch_gives_the_same_bytes_each_time(bids, tmp_path):
    found = lock(bids, tmp_path)
    results = tmp_path / "results" / "ds"
    members = members_of(found, "sub-02", "sub-01")
    fetch(results, members, path=str(bids))
    first = (results / "fetch" / "b0000.json").read_bytes()
    fetch(results, members, path=str(bids))
    assert (results / "fetch" / "b0000.json").read_bytes() == first


@pytest.mark.parametrize("state", ["kept", "gone", "damaged", "old times"])
def test_a_fetch_states_the_sha256_of_what_is_there(bids, tmp_path, state):
    """Whatever became of lock-state.json: with a committed lock there is none."""
    found = lock(bids, tmp_path)
    results, edf = tmp_path / "results" / "ds", "sub-01/eeg/sub-01_task-rest_eeg.edf"
    if state == "gone":
        (results / "lock-state.json").unlink()
    if state == "damaged":
        (results / "lock-state.json").write_text("{")
    if state == "old times":
        os.utime(bids / edf, ns=(0, 0))
    fetched = fetch(results, members_of(found, "sub-01"), path=str(bids))
    digest = hashlib.sha256((bids / edf).read_bytes()).hexdigest()
    assert fetched == {"sub-01": {"status": "present", "files": {edf: digest}}}


def test_a_local_dataset_misses_no_file_of_its_own(bids, tmp_path):
    results = tmp_path / "results" / "ds"
    overview = {"dataset": "ds", "dataset_files": ["dataset_description.json"]}
    files.write_json(results / "plan" / "dataset.json", overview)
    fetch_dataset(
        results / "plan" / "dataset.json",
        results / "fetch" / "dataset.json",
        settings={"source": "local", "path": str(bids)},
        results=results,
    )
    assert json.loads((results / "fetch" / "dataset.json").read_bytes()) == {"missing": {}}
    assert not (results / "bids").exists()


def test_what_a_batch_no_longer_asks_for_is_still_known(tmp_path):
    """With more batches a file moves to another, which must not fetch it again."""
    results = tmp_path / "ds"
    entries = [{"path": f"sub-0{n}/a", "size": 2, "checksum": f"etag:{n}-2"} for n in (1, 2)]
    state = {}
    for entry in entries:
        path = results / "bids" / entry["path"]
        path.parent.mkdir(parents=True)
        path.write_bytes(entry["path"][5:6].encode() * 2)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        state[entry["path"]] = seen_of(path, digest, entry)
    write_state(results, "b0001", state)
    for entry, batch in zip(entries, ("b0001", "b0003"), strict=True):
        # No file is asked for: the server is not there.
        settings = {"source": "s3", "url": "s3://bucket", "endpoint": "http://127.0.0.1:9"}
        settings["fetch"] = {"parallel": 1, "bandwidth": None, "retries": 0, "timeout": 1}
        locked = {entry["path"]: entry for entry in entries}
        source = RemoteDataset("ds", settings, results, "1", locked)
        assert fetch_files(source, [entry["path"]], batch) == {}
        assert read_state(results, batch)[entry["path"]] == state[entry["path"]]
