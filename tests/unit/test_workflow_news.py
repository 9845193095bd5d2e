"""What a new lock brings, and locks that are committed with a config."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.workflow.committed import committed_lock
from bidsmill.workflow.news import changes_since, file_changes
from bidsmill.workflow.plan import lock_dataset


def checksum(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def member(stem: str, text: str = "", **more) -> dict:
    """Return a recording of a plan."""
    return {"stem": stem, "files": {f"{stem}.edf": checksum(text)}, "sidecar_files": {}, **more}


def write_run(folder: Path, members: list[dict], lock: str = "one", **overview) -> None:
    """Write the plans of a run, two recordings in each."""
    content = {
        "snapshot": "1.0.0",
        "lock_sha256": lock,
        "recordings": {entry["stem"]: 0 for entry in members},
        "changes": {},
        **overview,
    }
    files.write_json(folder / "dataset.json", content)
    for index in range(0, len(members), 2):
        batch = {"members": members[index : index + 2]}
        files.write_json(folder / f"b{index // 2:04d}.json", batch)


BEFORE = [member("a", "1"), member("b", "2"), member("c", "3"), member("d", "4"), member("e", "5")]


# Recordings


def test_a_first_run_has_no_news(tmp_path):
    assert changes_since(tmp_path / "plan", "1.0.0", "one", BEFORE) == {}


@pytest.mark.parametrize("content", ["", "{", "\0", "{}"])
def test_a_run_that_cannot_be_read_is_none(tmp_path, content):
    write_run(tmp_path, BEFORE)
    (tmp_path / "dataset.json").write_text(content)
    assert changes_since(tmp_path, "2.0.0", "two", BEFORE) == {}


def test_what_came_changed_and_went(tmp_path):
    write_run(tmp_path, BEFORE)
    sidecars = {"sidecar_files": {"task-x_events.json": checksum("other")}}
    after = [
        member("z", "9"),
        member("a", "1"),
        member("c", "another signal"),
        member("e", "5", **sidecars),
        member("f", "6"),
    ]
    assert changes_since(tmp_path, "2.0.0", "two", after) == {
        "from": "1.0.0",
        "to": "2.0.0",
        "added": ["f", "z"],
        "changed": ["c", "e"],
        "removed": ["b", "d"],
    }


def test_a_new_version_with_the_same_recordings_says_so(tmp_path):
    write_run(tmp_path, BEFORE)
    assert changes_since(tmp_path, "1.0.1", "two", list(reversed(BEFORE))) == {
        "from": "1.0.0",
        "to": "1.0.1",
        "added": [],
        "changed": [],
        "removed": [],
    }


LAST = {"from": "0.9", "to": "1.0.0", "added": ["a"], "changed": [], "removed": ["x"]}


def test_a_plan_without_news_repeats_the_last(tmp_path):
    write_run(tmp_path, BEFORE, changes=LAST)
    assert changes_since(tmp_path, "1.0.0", "one", BEFORE) == LAST


def test_the_plan_of_an_earlier_program_has_no_last_news(tmp_path):
    write_run(tmp_path, BEFORE)
    overview = json.loads((tmp_path / "dataset.json").read_bytes())
    del overview["changes"]
    files.write_json(tmp_path / "dataset.json", overview)
    assert changes_since(tmp_path, "1.0.0", "one", BEFORE) == {}


def test_another_choice_of_recordings_of_the_same_lock_is_news(tmp_path):
    write_run(tmp_path, BEFORE, changes=LAST)
    assert changes_since(tmp_path, "1.0.0", "one", [*BEFORE[1:], member("g")]) == {
        "from": "1.0.0",
        "to": "1.0.0",
        "added": ["g"],
        "changed": [],
        "removed": ["a"],
    }


@pytest.mark.parametrize("content", ["", "{", "{}"])
def test_of_a_plan_that_cannot_be_read_all_recordings_are_new(tmp_path, content):
    write_run(tmp_path, BEFORE)
    (tmp_path / "b0000.json").write_text(content)
    changes = changes_since(tmp_path, "2.0.0", "two", BEFORE)
    assert (changes["added"], changes["changed"], changes["removed"]) == (["a", "b"], [], [])


CONTENT = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("123"), max_size=8)


@given(before=CONTENT, after=CONTENT)
def test_news_lead_from_the_old_to_the_new(tmp_path_factory, before, after):
    folder = tmp_path_factory.mktemp("plan")
    write_run(folder, [member(stem, text) for stem, text in before.items()])
    new = [member(stem, text) for stem, text in after.items()]
    changes = changes_since(folder, "2.0.0", "two", new)
    moved = {stem for stem in {*before, *after} if before.get(stem) != after.get(stem)}
    named = [*changes["added"], *changes["changed"], *changes["removed"]]
    assert sorted(named) == sorted(moved)
    assert set(changes["added"]) == after.keys() - before.keys()
    assert set(changes["removed"]) == before.keys() - after.keys()


# Files


def entry(path: str, **more) -> dict:
    return {"path": path, "size": 10, "checksum": checksum("x"), **more}


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({}, {}, False),
        ({"url": "https://a.org/1"}, {"url": "https://b.org/2"}, False),
        ({"url": "https://a.org/1"}, {"signed": True}, False),
        ({"version": "v1"}, {"version": "v2"}, False),
        ({}, {"size": 11}, True),
        ({}, {"checksum": checksum("y")}, True),
        ({}, {"checksum": "md5:" + "0" * 32}, True),
        ({"checksum": None, "version": "v1"}, {"checksum": None, "version": "v1"}, False),
        ({"checksum": None, "version": "v1"}, {"checksum": None, "version": "v2"}, True),
        ({"checksum": None, "url": "https://a/1"}, {"checksum": None, "url": "https://a/1"}, False),
        ({"checksum": None, "url": "https://a/1"}, {"checksum": None, "url": "https://a/2"}, True),
        ({"checksum": None, "size": None}, {}, True),
    ],
)
def test_which_file_has_changed(old, new, changed):
    others = [entry("a"), entry("z")]
    found = file_changes([entry("f", **old), *others], [*others, entry("f", **new)])
    assert found == {"added": [], "changed": ["f"] if changed else [], "removed": []}


def test_files_that_came_and_went():
    old, new = [entry(name) for name in "cab"], [entry(name) for name in "ezcdy"]
    found = file_changes(old, new)
    assert found == {"added": ["d", "e", "y", "z"], "changed": [], "removed": ["a", "b"]}
    assert file_changes(new, old) == {"added": ["a", "b"], "changed": [], "removed": list("deyz")}
    assert file_changes([], old) == {"added": ["a", "b", "c"], "changed": [], "removed": []}


# News of a dataset that is locked


class Project:
    """A BIDS folder with its results."""

    def __init__(self, folder: Path):
        self.folder, self.bids, self.results = folder, folder / "bids", folder / "results"
        self.put("dataset_description.json", '{"Name": "n", "BIDSVersion": "1.9.0"}')
        for subject in ("01", "02", "03"):
            self.put(f"sub-{subject}/eeg/sub-{subject}_task-x_eeg.edf", f"signal of {subject}")

    def put(self, name: str, text: str) -> None:
        path = self.bids / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def settings(self, **more) -> dict:
        settings = {"source": "local", "path": str(self.bids), "include": {}, "folders": []}
        return {**settings, **more}

    def lock(self, committed: Path | None = None, **more) -> dict:
        """Lock the dataset and return the news in its overview."""
        lock_dataset(
            self.results / "lock.json",
            dataset="ds",
            settings=self.settings(**more),
            batches={"recordings": 1, "gigabytes": 20},
            committed=committed,
        )
        return json.loads((self.results / "plan" / "dataset.json").read_bytes())["changes"]

    def commit(self) -> Path:
        """Copy the lock to where a config keeps it."""
        path = self.folder / "config" / "locks" / "ds.json"
        files.write_bytes(path, (self.results / "lock.json").read_bytes())
        return path


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


def test_the_overview_tells_the_news_until_there_are_others(project):
    assert project.lock(version="1") == {}
    project.put("sub-02/eeg/sub-02_task-x_eeg.edf", "another")
    project.put("sub-04/eeg/sub-04_task-x_eeg.edf", "new")
    (project.bids / "sub-01/eeg/sub-01_task-x_eeg.edf").unlink()
    news = {
        "from": "1",
        "to": "2",
        "added": ["sub-04_task-x_eeg"],
        "changed": ["sub-02_task-x_eeg"],
        "removed": ["sub-01_task-x_eeg"],
    }
    assert project.lock(version="2") == news
    assert project.lock(version="2") == news
    project.put("task-x_events.json", "{}")
    stems = [f"sub-0{number}_task-x_eeg" for number in (2, 3, 4)]
    described = {"from": "2", "to": "3", "added": [], "changed": stems, "removed": []}
    assert project.lock(version="3") == described


# Committed locks


def test_a_committed_lock_is_used_as_it_is(project):
    project.lock(version="1")
    path = project.commit()
    plans = {p.name: p.read_bytes() for p in (project.results / "plan").iterdir()}
    project.put("sub-02/eeg/sub-02_task-x_eeg.edf", "another")
    project.put("sub-04/eeg/sub-04_task-x_eeg.edf", "new")
    assert project.lock(path, version="1") == {}
    assert json.loads((project.results / "lock.json").read_bytes()) == json.loads(path.read_bytes())
    assert {p.name: p.read_bytes() for p in (project.results / "plan").iterdir()} == plans
    assert committed_lock(path, "ds", project.settings()) == json.loads(path.read_bytes())


REMOTE = {
    "contract": "2",
    "dataset": "faces",
    "source": {"kind": "openneuro", "id": "ds002718"},
    "snapshot": "1.0.5",
    "license": "CC0",
    "doi": "",
    "authors": [],
    "description": {},
    "files": [entry("sub-01/eeg/sub-01_task-x_eeg.edf", url="https://example.org/1")],
}
BUCKET = {**REMOTE, "source": {"kind": "s3", "url": "s3://bucket/ds"}, "snapshot": "s3"}
OWN = {"source": "openneuro", "id": "ds002718"}
OF_BUCKET = {"source": "s3", "url": "s3://bucket/ds"}


def committed(tmp_path, lock) -> Path:
    path = tmp_path / "faces.json"
    files.write_json(path, lock)
    return path


@pytest.mark.parametrize(
    ("lock", "settings"),
    [
        (REMOTE, OWN),
        (REMOTE, {**OWN, "version": "1.0.5"}),
        (REMOTE, {**OWN, "version": "v1.0.5"}),
        ({**REMOTE, "snapshot": "v1.0.5"}, {**OWN, "version": "1.0.5"}),
        (BUCKET, OF_BUCKET),
        ({**REMOTE, "source": {"kind": "nemar", "id": "faces"}}, {"source": "nemar"}),
    ],
)
def test_a_lock_of_the_dataset_in_the_config_is_taken(tmp_path, lock, settings):
    assert committed_lock(committed(tmp_path, lock), "faces", settings) == lock


@pytest.mark.parametrize(
    ("lock", "dataset", "settings", "found", "expected"),
    [
        (REMOTE, "other", OWN, "dataset faces", "dataset other"),
        (REMOTE, "faces", {**OWN, "id": "ds9"}, "id ds002718", "id ds9"),
        (REMOTE, "faces", {"source": "openneuro"}, "id ds002718", "id faces"),
        (REMOTE, "faces", {**OWN, "source": "nemar"}, "source openneuro", "source nemar"),
        (REMOTE, "faces", {**OWN, "version": "1.0.6"}, "version 1.0.5", "version 1.0.6"),
        (
            BUCKET,
            "faces",
            {**OF_BUCKET, "url": "s3://bucket/ds2"},
            "url s3://bucket/ds",
            "url s3://bucket/ds2",
        ),
        (
            REMOTE,
            "other",
            {**OWN, "version": "2"},
            "dataset faces, version 1.0.5",
            "dataset other, version 2",
        ),
    ],
)
def test_a_lock_of_another_dataset_is_refused(tmp_path, lock, dataset, settings, found, expected):
    path = committed(tmp_path, lock)
    with pytest.raises(BidsmillError, match="is not the one that the config asks for") as caught:
        committed_lock(path, dataset, settings)
    assert (caught.value.file, caught.value.found) == (str(path), found)
    assert caught.value.expected == expected
    assert f"bidsmill lock --update --accept {dataset}" in caught.value.todo


def test_a_refused_lock_leaves_the_results_as_they_are(project):
    project.lock(version="1")
    path = project.commit()
    before = {p: p.stat().st_mtime_ns for p in project.results.rglob("*") if p.is_file()}
    with pytest.raises(BidsmillError, match="is not the one"):
        project.lock(path, version="2")
    assert {p: p.stat().st_mtime_ns for p in project.results.rglob("*") if p.is_file()} == before


def without(key: str) -> dict:
    return {name: value for name, value in REMOTE.items() if name != key}


def with_file(**changes) -> dict:
    lock = copy.deepcopy(REMOTE)
    lock["files"][0].update(changes)
    return lock


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "no lock that this version reads"),
        ({**REMOTE, "contract": "1"}, "found: contract 1; expected: contract 2"),
        (without("contract"), "no lock that this version reads"),
        *((without(key), "damaged") for key in ("dataset", "source", "snapshot", "files")),
        (without("description"), "damaged"),
        (with_file(path="../../etc/passwd"), "refused"),
        (with_file(path="/etc/passwd"), "refused"),
        (with_file(checksum="sha256:0"), "refused|damaged"),
        (with_file(checksum="crc32:00000000"), "refused|damaged"),
        (with_file(size=-1), "damaged"),
        ({**REMOTE, "files": REMOTE["files"] * 2}, "listed twice"),
        # Damage that editing by hand may do.
        (without("license"), "damaged"),
        ({**REMOTE, "files": None}, "."),
        ({**REMOTE, "files": ["a"]}, "."),
        ({**REMOTE, "files": [{"path": "a"}]}, "."),
        ({**REMOTE, "source": "openneuro"}, "."),
        ({**REMOTE, "source": {}}, "."),
        ({**REMOTE, "snapshot": None}, "."),
        ({**REMOTE, "description": []}, "."),
    ],
)
def test_a_lock_that_cannot_be_trusted_is_refused(tmp_path, content, message):
    path = tmp_path / "faces.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(BidsmillError, match=message):
        committed_lock(path, "faces", {**OWN, "version": "1.0.5"})


def test_a_lock_that_is_not_there(tmp_path):
    with pytest.raises(BidsmillError):
        committed_lock(tmp_path / "faces.json", "faces", OWN)
