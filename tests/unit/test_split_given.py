"""A split of one's own, adopted splits, and what `lock` reads of the version before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from access_store import Recording
from bids_cases import SCHEMA
from split_cases import alcoholism, fixed_windows
from store_results import Results

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, tables
from bidsmill.formats.certificate import side_of_rows, write_split
from bidsmill.formats.placements import placements_after, read_placements, write_placements
from bidsmill.split.dataset import split_samples
from bidsmill.split.given import read_given
from bidsmill.split.merging import Links
from bidsmill.split.placed import Previous, read_previous
from bidsmill.workflow.config import load_schema, resolve
from bidsmill.workflow.plan import lock_dataset

SOURCE = Path(__file__).resolve().parents[2] / "src"


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(line.split()) + "\n" for line in lines))
    return path


def given(tmp_path, samples, *lines, links=None, **wish):
    table = write(tmp_path / "paper.tsv", *lines)
    return split_samples(
        samples,
        dataset="ds",
        labels=["label"],
        settings={"fixed": str(table), **wish},
        given=read_given(table),
        links=links,
    )


def people() -> list[str]:
    return [f"{kind}{i:04} {side}" for kind in ("co2a", "co2c") for i, side in SIDES]


SIDES = [(0, "test"), (1, "validation"), *((i, "train") for i in range(2, 9))]


def test_a_given_split_is_used_and_stated_like_ours(tmp_path):
    samples = alcoholism()
    table, content = given(tmp_path, samples, "subject split", *people(), "nobody train")
    assert (content["status"], content["level"]) == ("done", "subject")
    side = dict(zip(table["group"], table["split"], strict=True))
    assert side["sub-co2a0001"] == "validation" and side["sub-co2c0009"] == "none"
    assert content["fixed"]["file"] == "paper.tsv"
    assert content["fixed"]["unlisted"] == {"groups": 2, "rows": 10}
    assert content["fixed"]["unknown"] == ["sub-nobody"]
    assert content["groups"] == {"train": 14, "validation": 2, "test": 2, "none": 2}
    assert content["objective"] is None and "nothing was optimised" in content["method"]
    assert [r["test"] for r in content["balance"]] == [5, 5]
    assert content["audit"]["leaks"] == 0
    assert str(tmp_path) not in json.dumps(content)


def test_leaks_of_a_given_split_are_told(tmp_path):
    links = Links(
        signals=(("sub-co2a0000_task-x_eeg", "sub-co2a0002_task-x_eeg", "identical_signal"),),
        people=((("sub-co2c0000", "sub-co2c0001"), "declared"),),
    )
    _, content = given(tmp_path, alcoholism(), "subject split", *people(), links=links)
    assert content["status"] == "done"
    leaks = [f for f in content["audit"]["findings"] if f["severity"] == "leak"]
    assert [(leak["code"], leak["places"]) for leak in leaks] == [
        ("alias_on_several_sides", ["test: ds/sub-co2c0000; validation: ds/sub-co2c0001"]),
        (
            "merged_group_on_several_sides",
            [
                "sub-co2a0000, sub-co2a0002 (test, train)",
                "sub-co2c0000, sub-co2c0001 (test, validation)",
            ],
        ),
    ]


@pytest.mark.parametrize(
    ("lines", "level", "tests"),
    [
        (["group split", "sub-01 train", "sub-02_ses-2 test"], "session", {"02"}),
        (
            ["subject session split", "01 1 test", "01 2 test", "sub-02 ses-1 train"],
            "session",
            {"01"},
        ),
        (
            [
                "recording split",
                "sub-02_ses-1_task-x_run-1_eeg test",
                "sub-01_ses-1_task-x_run-1_eeg train",
            ],
            "run",
            {"02"},
        ),
        (
            [
                "recording split",
                "a/sub-02_ses-1_task-x_run-1_eeg.edf test",
                "sub-01_ses-1_task-x_run-1_eeg.vhdr train",
            ],
            "run",
            {"02"},
        ),
        (
            ["group level split members", "sub-01 subject test sub-01", "sub-02 subject train n/a"],
            "subject",
            {"01"},
        ),
    ],
)
def test_columns_that_name_who_is_meant(tmp_path, lines, level, tests):
    recordings = [(s, n, "1", "a", "x") for s in ("01", "02", "03") for n in ("1", "2")]
    samples = fixed_windows(recordings)
    table, content = given(tmp_path, samples, *lines)
    assert (content["status"], content["level"]) == ("done", level), content["reason"]
    assert content["fixed"]["unknown"] == []
    side = side_of_rows(samples, table)
    assert set(samples["subject"][side == "test"]) == tests
    assert set(side[(samples["subject"] == "03").to_numpy()]) == {"none"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["who split", "sub-01 train"], "lacks columns"),
        (["session split", "1 train"], "lacks columns"),
        (["subject split", "01 training"], "unknown split.*training"),
        (["subject split", "01 train", "n/a test"], "line 3.*names nobody"),
        (["subject split", "01 train", "sub-01 test"], "sub-01 on two sides"),
        (
            ["group level split recording onset_start onset_stop", "a@1 time test a x 2"],
            "no number",
        ),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, lines, message):
    with pytest.raises(BidsmillError, match=f"(?s){message}"):
        read_placements(write(tmp_path / "paper.tsv", *lines))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["group split", "sub-co2a0000 test", "sub-co2a0000_task-x_eeg train"], "two sides"),
        (["subject split", "co2a0000 test"], "puts nobody of the dataset on train"),
        (["subject split", "01 test", "02 train"], "nobody of the dataset on train"),
        (
            ["group level split recording onset_start onset_stop", "a@1 time test a 1 2"],
            "pieces of time",
        ),
    ],
)
def test_given_splits_that_are_refused(tmp_path, lines, reason):
    table, content = given(tmp_path, alcoholism(), *lines)
    assert content["status"] == "refused" and reason in content["reason"]
    assert set(table["split"]) == {"none"}


def test_a_split_of_before_that_knows_nobody_changes_nothing():
    samples = alcoholism()
    keys = ("group", "level", "split", "recording", "onset_start", "onset_stop")
    entry = dict(zip(keys, ("sub-gone", "", "test", "", None, None), strict=True))
    previous = Previous("config", "", "s", [entry])
    table, content = split_samples(
        samples, dataset="ds", labels=["label"], settings={}, previous=previous
    )
    alone, _ = split_samples(samples, dataset="ds", labels=["label"], settings={})
    assert table.equals(alone)
    assert content["remembered"] == [entry]
    assert (content["previous"]["stayed"], content["previous"]["new"]) == (0, 20)


@pytest.mark.parametrize(
    ("own", "top", "message"),
    [
        (
            {"split": {"fixed": "a.tsv", "move": {"sub-1": "test"}}},
            {},
            "split.move: has no meaning",
        ),
        ({"split": {"fixed": "a.tsv", "validation": 0.1}}, {}, "split.validation: has no meaning"),
        ({"split": {"move": {"sub-1": "left"}}}, {}, "left"),
        ({"split": {"move": {"sub-1": "validation"}}}, {}, "validation, which has no share"),
        ({"split": {"move": {"a": "test"}, "release": ["a"]}}, {}, "'a' stands in `move`, too"),
        ({"same_subject": [["sub-1"]]}, {}, "same_subject.0"),
        ({"same_subject": [["sub-1", "2"]]}, {}, "same_subject.0.1"),
        ({}, {"same_subject": [["ds/sub-1", "no/sub-2"]]}, "'no/sub-2', expected a dataset of: ds"),
        ({}, {"same_subject": [["ds/sub-1", "sub-2"]]}, "same_subject.0.1"),
        ({}, {"splits": "s3://bucket/splits"}, "splits: found"),
    ],
)
def test_settings_that_cannot_stand_together(own, top, message):
    windows = {"kind": "fixed", "length": 1}
    content = {"datasets": {"ds": {"source": "sample", "windows": windows, **own}}, **top}
    with pytest.raises(BidsmillError) as caught:
        resolve(content, load_schema(SCHEMA))
    assert message in str(caught.value)


# ------------------------------------------------------------------------- lock, store, adopt


@pytest.fixture
def project(tmp_path) -> Results:
    """A dataset of five people, split and published once."""
    recordings = [Recording(f"0{i}", ["Fz"], ["eeg"]) for i in range(1, 6)]
    results = Results(tmp_path, recordings)
    for recording in recordings:
        stem = recording.name
        path = tmp_path / "bids" / f"sub-{recording.subject}" / "eeg" / f"{stem}.edf"
        path.parent.mkdir(parents=True)
        path.write_text(stem)
    (tmp_path / "bids" / "dataset_description.json").write_text(
        '{"Name": "n", "BIDSVersion": "1.10.0"}'
    )
    return results


def locked(project) -> Path:
    return project.results.parents[1] / "locked" / project.dataset


def lock(project, question="q", **options) -> tuple[dict, dict]:
    """Lock in a folder of its own, and return the lock and the previous split."""
    path = locked(project) / "lock.json"
    settings = {
        "source": "local",
        "path": str(project.results.parents[1] / "bids"),
        "include": {},
        "folders": [],
    }
    lock_dataset(
        path,
        dataset=project.dataset,
        settings=settings,
        batches={"recordings": 64, "gigabytes": 20},
        store=str(project.store),
        question=question,
        **options,
    )
    previous = files.read_json(path.parent / "split-previous.json")
    return files.read_json(path), previous


def add_subject(project) -> None:
    path = project.results.parents[1] / "bids" / "sub-90" / "eeg" / "sub-90_task-faces_eeg.edf"
    path.parent.mkdir(parents=True)
    path.write_text("new")


def bytes_of(project) -> list[bytes]:
    names = ("lock.json", "split-previous.json", "plan/dataset.json")
    return [(locked(project) / name).read_bytes() for name in names]


def test_lock_reads_the_latest_version_once_per_question(project):
    content, previous = lock(project)
    assert content["split"] == {"source": "none", "version": "", "sha256": ""}
    assert read_previous(locked(project) / "split-previous.json") is None
    before = bytes_of(project)
    version = project.publish()["version"]
    # The same files and settings: the same bytes, although the store has a version now.
    lock(project)
    assert bytes_of(project) == before
    add_subject(project)
    content, previous = lock(project)
    assert (content["split"]["source"], content["split"]["version"]) == ("store", version)
    assert content["split"]["sha256"] == files.canonical_sha256(previous["placements"])
    sides = {e["group"]: e["split"] for e in previous["placements"]}
    assert sides == dict(
        zip(project.split_table["group"], project.split_table["split"], strict=True)
    )
    # Other settings alone ask again when the lock runs, and leave the plans as they are.
    plan = bytes_of(project)[2]
    project.split_table.loc[0, "split"] = "test"
    project.write()
    newer = project.publish()["version"]
    assert lock(project)[0]["split"]["version"] == version
    assert lock(project, question="other")[0]["split"]["version"] == newer
    assert json.loads(bytes_of(project)[2])["lock_sha256"] == json.loads(plan)["lock_sha256"]


def test_a_split_grows_from_the_store(project):
    """What lock reads is what `split` starts from: nobody of the version before moves."""
    project.publish()
    lock(project, question="news")
    previous = read_previous(locked(project) / "split-previous.json")
    samples = project.samples.assign(label="")
    more = samples[samples["subject"] == "01"].assign(subject="77", recording="sub-77_task-x_eeg")
    import pandas as pd

    grown = pd.concat([samples, more], ignore_index=True)
    table, content = split_samples(grown, dataset="ds", labels=[], settings={}, previous=previous)
    sides = dict(zip(table["group"], table["split"], strict=True))
    old = dict(zip(project.split_table["group"], project.split_table["split"], strict=True))
    assert {name: sides[name] for name in old} == old
    assert content["previous"]["stayed"] == 5 and content["previous"]["new"] == 1
    assert content["inputs"]["previous"] == previous.sha256


def test_an_adopted_split_comes_first(project, tmp_path):
    project.publish()
    adopted = write(tmp_path / "splits" / "ds.tsv", "subject split", "01 test", "77 train")
    content, previous = lock(project, adopted=adopted)
    assert (content["split"]["source"], content["split"]["version"]) == ("config", "")
    assert [(e["group"], e["split"]) for e in previous["placements"]] == [
        ("sub-01", "test"),
        ("sub-77", "train"),
    ]
    adopted.write_text(adopted.read_text().replace("77", "78"))
    assert lock(project, adopted=adopted)[1] != previous
    # Without it, the store is asked again.
    assert lock(project)[0]["split"]["source"] == "store"


def test_a_committed_lock_names_the_split_it_starts_from(project, tmp_path):
    version = project.publish()["version"]
    content, previous = lock(project, question="first")
    assert content["split"]["version"] == version
    committed = tmp_path / "locks" / "ds.json"
    files.write_json(committed, content)
    project.split_table.loc[0, "split"] = "test"
    project.write()
    assert project.publish()["version"] != version
    again, same = lock(project, question="much later", committed=committed)
    assert again == content and same == previous
    files.write_json(committed, {**content, "split": {**content["split"], "sha256": "0" * 64}})
    with pytest.raises(BidsmillError, match="is not here"):
        lock(project, committed=committed)
    files.write_json(committed, {**content, "split": {"source": "store"}})
    with pytest.raises(BidsmillError, match="damaged"):
        lock(project, committed=committed)
    files.write_json(
        committed, {**content, "split": {"source": "none", "version": "", "sha256": ""}}
    )
    assert lock(project, committed=committed)[1]["placements"] == []


def test_those_who_left_are_remembered_by_the_store(project):
    gone = {"level": "subject", "group": "sub-70", "split": "test", "recording": ""}
    gone |= {"onset_start": None, "onset_stop": None}
    certificate = files.read_json(project.results / "split.json")
    certificate["remembered"] = [gone]
    files.write_json(project.results / "split.json", certificate)
    project.publish()
    _, previous = lock(project, question="other")
    assert gone in previous["placements"]


def run(*arguments: str, folder: Path) -> tuple[int, str, str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-m", "bidsmill.cli", "split", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
    )
    return done.returncode, done.stdout, done.stderr


def test_adopting_a_split(project, tmp_path):
    own = {"source": "local", "path": "bids", "windows": {"kind": "fixed", "length": 1}}
    content = {"store": "store", "datasets": {"ds": own}}
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(content))
    code, printed, _ = run("--adopt", "ds", folder=tmp_path)
    assert code == 0
    assert printed == (
        "ds: the split of results/ds/split.tsv adopted in config/splits/ds.tsv (3 train, 2 test)\n"
    )
    adopted = tmp_path / "config" / "splits" / "ds.tsv"
    table, certificate = project.split_table.assign(members=""), {}
    assert read_placements(adopted) == placements_after(table, certificate)
    first = adopted.read_bytes()
    # Without results the store is read; the bytes are the same.
    project.publish()
    (project.results / "split.json").unlink()
    code, printed, _ = run("--adopt", "ds", folder=tmp_path)
    assert code == 0 and "the split of version 1.0.0-" in printed
    assert adopted.read_bytes() == first
    for arguments, words in ((["ds"], "--adopt"), (["--adopt", "no"], "no dataset no")):
        code, _, told = run(*arguments, folder=tmp_path)
        assert code in (1, 2) and words in told and "Traceback" not in told


def test_nothing_to_adopt(tmp_path):
    own = {"source": "local", "path": "bids", "windows": {"kind": "fixed", "length": 1}}
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump({"datasets": {"ds": own}}))
    code, _, told = run("--adopt", "ds", folder=tmp_path)
    assert code == 1 and "ds has no split to adopt" in told


def test_adopted_pieces_of_merged_recordings_come_back(tmp_path):
    samples = fixed_windows([(s, "", "", "a", "x") for s in ("1", "2", "3")], windows=40)
    stem = "sub-{}_task-x_eeg".format
    table, content = split_samples(
        samples,
        dataset="ds",
        labels=[],
        settings={"group": "time", "gap": 1.0},
        links=Links(signals=((stem(1), stem(2), "identical_signal"),)),
    )
    write_split(tmp_path / "split.tsv", tmp_path / "split.json", table, content)
    placements = placements_after(tables.read_tsv(tmp_path / "split.tsv"), content)
    assert {e["recording"] for e in placements} == {stem(1), stem(2), stem(3)}
    write_placements(tmp_path / "adopted.tsv", placements)
    assert read_placements(tmp_path / "adopted.tsv") == placements
