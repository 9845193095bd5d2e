"""From a lock to plans: every recording in one batch, and files that move only when they must."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from bidsmill import batches
from bidsmill.errors import BidsmillError
from bidsmill.formats import files, receipts
from bidsmill.sources import presence
from bidsmill.workflow.plan import lock_dataset

LIMITS = {"recordings": 3, "gigabytes": 20}


def stem(subject: int, task: str = "rest") -> str:
    return f"sub-{subject:02d}_task-{task}_eeg"


def data(subject: int, task: str = "rest") -> str:
    return f"sub-{subject:02d}/eeg/{stem(subject, task)}.edf"


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


class Project:
    """A BIDS folder with its results."""

    def __init__(self, folder: Path):
        self.bids, self.results = folder / "ds", folder / "results" / "ds"
        description = {"Name": "n", "BIDSVersion": "1.9.0", "HEDVersion": "8.3.0"}
        self.put("dataset_description.json", json.dumps(description))
        self.put("task-rest_events.json", "{}")
        for subject in range(1, 11):
            self.put(data(subject), f"signal of {subject}" * subject)
            self.put(data(subject).replace("_eeg.edf", "_events.tsv"), "onset\tduration\n")

    def put(self, name: str, text: str) -> Path:
        path = self.bids / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def lock(self, include=None, limits=LIMITS, **settings) -> dict[str, dict]:
        """Lock, and return the content of all plans by name."""
        lock_dataset(
            self.results / "lock.json",
            dataset="ds",
            settings={
                "source": "local",
                "path": str(self.bids),
                "include": include or {},
                "folders": [],
                **settings,
            },
            batches=limits,
        )
        found = sorted((self.results / "plan").iterdir())
        return {path.stem: json.loads(path.read_bytes()) for path in found}

    def times(self) -> dict[str, tuple]:
        stats = {path.name: path.stat() for path in (self.results / "plan").iterdir()}
        return {name: (s.st_mtime_ns, s.st_ino) for name, s in stats.items()}


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


def recordings_of(plans) -> dict[str, str]:
    """Return recording -> batch, and check that no recording stands twice."""
    found = [(m["stem"], n) for n, p in plans.items() if n != "dataset" for m in p["members"]]
    assert len(found) == len(dict(found))
    return dict(found)


def test_every_recording_is_in_one_plan(project):
    plans = project.lock()
    placed = recordings_of(plans)
    assert set(placed) == {stem(subject) for subject in range(1, 11)}
    count = 4  # ten recordings, at most three in a mean batch
    for name, plan in plans.items():
        if name == "dataset":
            continue
        assert (plan["dataset"], plan["batch"], plan["batches"]) == ("ds", name, count)
        assert [m["stem"] for m in plan["members"]] == sorted(m["stem"] for m in plan["members"])
        for member in plan["members"]:
            assert batches.batch_name(batches.bucket(member["stem"], count)) == name


def test_a_member_names_its_files_with_checksums(project):
    plans = project.lock()
    member = next(
        m for m in plans[recordings_of(plans)[stem(3)]]["members"] if m["stem"] == stem(3)
    )
    path = project.bids / data(3)
    assert member == {
        "stem": stem(3),
        "datatype": "eeg",
        "data": data(3),
        "size": path.stat().st_size,
        "files": {data(3): sha256(path)},
        "sidecars": {
            "events.tsv": [data(3).replace("_eeg.edf", "_events.tsv")],
            "events.json": ["task-rest_events.json"],
        },
        "sidecar_files": {
            name: sha256(project.bids / name)
            for name in (data(3).replace("_eeg.edf", "_events.tsv"), "task-rest_events.json")
        },
        "alternatives": [],
    }


def batch_files(plan: dict) -> set[str]:
    return {path for m in plan["members"] for path in (*m["files"], *m["sidecar_files"])}


def test_the_overview_of_the_dataset(project):
    plans = project.lock(version="1.2")
    overview, placed = plans["dataset"], recordings_of(plans)
    lock = json.loads((project.results / "lock.json").read_bytes())
    # Plans do not depend on the split that the next one starts from.
    assert lock.pop("split") == {"source": "none", "version": "", "sha256": ""}
    assert overview == {
        "dataset": "ds",
        "snapshot": "1.2",
        "root": project.bids.as_posix(),
        "lock_sha256": files.canonical_sha256(lock),
        "participants": None,
        "hed_version": "8.3.0",
        "description": json.loads((project.bids / "dataset_description.json").read_text()),
        "source": "local",
        "batches": sorted(set(placed.values())),
        "recordings": {s: int(placed[s].removeprefix("b")) for s in sorted(placed)},
        "dataset_files": ["dataset_description.json"],
        "bytes": {
            "dataset": (project.bids / "dataset_description.json").stat().st_size,
            **{
                name: sum((project.bids / path).stat().st_size for path in batch_files(plans[name]))
                for name in set(placed.values())
            },
        },
        "changes": {},
        "attempt": 0,
    }


def test_the_overview_names_the_files_of_the_dataset(project):
    project.put("participants.tsv", "participant_id\nsub-01\n")
    project.put("README", "r")
    project.put("sub-01/sub-01_scans.tsv", "filename\n")
    project.put("sub-02/sub-02_scans.tsv", "filename\n")
    project.put("sub-01/eeg/sub-01_photo.jpg", "p")
    project.put("sub-01/anat/sub-01_T1w.nii.gz", "t")
    project.put("derivatives/a.txt", "a")
    overview = project.lock({"subject": [1]}, folders=["derivatives"])["dataset"]
    assert overview["participants"] == sha256(project.bids / "participants.tsv")
    assert overview["dataset_files"] == [
        "README",
        "dataset_description.json",
        "derivatives/a.txt",
        "participants.tsv",
        "sub-01/eeg/sub-01_photo.jpg",
        "sub-01/sub-01_scans.tsv",
    ]


def test_what_was_seen_of_files_outlives_their_batch(project):
    """Else other limits of a batch would fetch every file again."""
    placed = recordings_of(project.lock(limits={"recordings": 1, "gigabytes": 20}))
    seen = {name: [1, 2, 3, name, "etag:x"] for name in placed}
    for batch in set(placed.values()):
        own = {name: seen[name] for name in placed if placed[name] == batch}
        presence.write_state(project.results, batch, own)
    project.lock(limits={"recordings": 64, "gigabytes": 20})
    left = {path.stem for path in (project.results / "fetch-state").iterdir()}
    assert left == {"dataset"} | ({"b0000"} & set(placed.values()))
    found = presence.read_state(project.results)
    assert {name: found[name] for name in placed} == seen


def test_a_second_lock_moves_no_plan(project):
    project.lock()
    before = project.times()
    project.lock()
    assert project.times() == before


def test_only_the_plan_of_a_changed_recording_moves(project):
    placed = recordings_of(project.lock())
    before = project.times()
    project.put(data(5), "another signal")
    project.lock()
    after = project.times()
    moved = {name for name in after if after[name] != before[name]}
    assert moved == {f"{placed[stem(5)]}.json", "dataset.json"}


def test_a_change_of_what_is_no_recording_moves_the_overview_alone(project):
    project.lock()
    before = project.times()
    project.put("README", "news")
    project.lock()
    after = project.times()
    assert {name for name in after if after[name] != before[name]} == {"dataset.json"}


def test_batches_without_recordings_leave_nothing_behind(project):
    placed = recordings_of(project.lock())
    gone = placed[stem(5)]
    leavers = [number for number in range(1, 11) if placed[stem(number)] == gone]
    stayed = next(number for number in range(1, 11) if number not in leavers)
    matrix = project.results / "matrix"
    for number in range(1, 11):
        content = {"status": "converted", "files": {f"{stem(number)}.parquet": {"size": 1}}}
        files.write_bytes(matrix / f"{stem(number)}.parquet", b"1")
        receipts.write_receipt(matrix / f"{stem(number)}.json", "x", content)
    files.write_json(project.results / "convert" / f"{gone}.json", {"members": {}})
    for number in leavers:
        (project.bids / data(number)).unlink()
    left = project.lock()
    assert gone not in left
    assert gone not in left["dataset"]["batches"]
    assert not (project.results / "convert" / f"{gone}.json").exists()
    kept = {path.stem for path in matrix.glob("*.parquet")}
    assert kept == {path.stem for path in matrix.glob("*.json")}
    assert kept.isdisjoint(stem(number) for number in leavers)
    assert stem(stayed) in kept


def test_a_restored_file_ends_its_quarantine(project):
    """The lock is as it was, so that the plan says that its batch is to run again."""
    placed = recordings_of(project.lock())
    folder = project.results / "fetch"
    for name in sorted(set(placed.values())):
        lost = name == placed[stem(5)]
        member = {"status": "missing", "reason": "file_missing" if lost else "empty_file"}
        files.write_json(folder / f"{name}.json", {"members": {"x": member}})
    before, plans = project.times(), project.lock()
    moved = {name for name, time in project.times().items() if time != before[name]}
    assert moved == {f"{placed[stem(5)]}.json"}
    assert {plan["attempt"] for plan in plans.values()} == {0, 1}
    assert plans[placed[stem(5)]]["attempt"] == 1


def test_more_recordings_make_more_batches(project):
    assert recordings_of(project.lock(limits={"recordings": 64, "gigabytes": 20})) == {
        stem(subject): "b0000" for subject in range(1, 11)
    }
    assert len(project.lock(limits={"recordings": 1, "gigabytes": 20})) > 4
    left = project.lock(limits={"recordings": 64, "gigabytes": 20})
    assert set(left) == {"b0000", "dataset"}


@pytest.mark.parametrize(
    ("include", "subjects"),
    [
        ({"subject": ["02", 3]}, {2, 3}),
        ({"task": ["rest"]}, set(range(1, 11))),
        ({"task": ["rest"], "subject": ["10"]}, {10}),
        ({"datatype": ["eeg"]}, set(range(1, 11))),
        ({"session": [""]}, set(range(1, 11))),
    ],
)
def test_include_chooses_recordings(project, include, subjects):
    project.put(data(11, "faces"), "x")
    placed = recordings_of(project.lock(include))
    named = {int(name[4:6]) for name in placed if "rest" in name}
    assert named == subjects
    assert (stem(11, "faces") in placed) == ("task" not in include and len(subjects) == 10)


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ({"subject": ["99", "x"]}, "subject 99, x (there are: 01, 02, 03, 04, 05"),
        ({"datatype": ["meg"]}, "datatype meg (there are: eeg)"),
        ({"session": ["1"]}, "session 1 (there are: none)"),
    ],
)
def test_nothing_that_is_asked_for_is_an_error(project, include, expected):
    with pytest.raises(BidsmillError, match="10 recordings before `include`") as caught:
        project.lock(include)
    assert caught.value.expected.startswith(expected)
    assert not (project.results / "lock.json").exists()


def test_a_dataset_without_recordings_is_an_error(project):
    for subject in range(1, 11):
        (project.bids / data(subject)).unlink()
    with pytest.raises(BidsmillError, match="a known format"):
        project.lock()


def test_a_broken_link_is_a_recording(project):
    path = project.bids / data(4)
    path.unlink()
    os.symlink("../../.git/annex/objects/x", path)
    plans = project.lock()
    member = next(
        m for m in plans[recordings_of(plans)[stem(4)]]["members"] if m["stem"] == stem(4)
    )
    assert (member["size"], member["files"]) == (0, {data(4): None})


def test_the_results_of_a_batch_without_members_are_removed(project):
    plans = project.lock(limits={"recordings": 1, "gigabytes": 20})
    placed = recordings_of(plans)
    alone = next(s for s, name in placed.items() if list(placed.values()).count(name) == 1)
    for folder in ("matrix", "events"):
        (project.results / folder).mkdir(exist_ok=True)
        for kept in placed:
            receipt = {"fingerprint": "x", "files": {f"{kept}.bin": {"size": 1}}}
            files.write_json(project.results / folder / f"{kept}.json", receipt)
            (project.results / folder / f"{kept}.bin").write_bytes(b"1")
    (project.results / "convert").mkdir(exist_ok=True)
    files.write_json(project.results / "convert" / f"{placed[alone]}.json", {"members": {}})
    (project.bids / data(int(alone[4:6]))).unlink()
    project.lock(limits={"recordings": 1, "gigabytes": 20})
    assert not (project.results / "convert" / f"{placed[alone]}.json").exists()
    for folder in ("matrix", "events"):
        left = {path.stem for path in (project.results / folder).iterdir()}
        assert left == set(placed) - {alone}
