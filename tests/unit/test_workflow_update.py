"""Locks by hand: what is committed, what an update would bring, and when it is taken in."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from archive_data import make_dataset
from archive_data import settings as source_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers.archive import Archive

from bidsmill.errors import BidsmillError
from bidsmill.sources.lock import make_lock
from bidsmill.workflow.plan import lock_dataset
from bidsmill.workflow.update import MOST_PATHS, commit_lock, show_update

LOCKS = Path("locks")
OPENNEURO = "ds900001"
FETCH = {"parallel": 4, "bandwidth": None, "retries": 1, "timeout": 10}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """Run where a project is: locks and results lie below."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name: str, text: str) -> None:
    path = Path("bids") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def data(subject: int) -> str:
    return f"sub-{subject:02d}/eeg/sub-{subject:02d}_task-x_eeg.edf"


@pytest.fixture
def local() -> dict:
    """A local dataset of three recordings, and its settings."""
    put("dataset_description.json", '{"Name": "n", "BIDSVersion": "1.9.0"}')
    for subject in (1, 2, 3):
        put(data(subject), f"signal of {subject}")
    return {"source": "local", "path": "bids", "include": {}, "folders": []}


def update(settings: dict, dataset: str = "ds", accept=False, every_path=False) -> list[str]:
    return show_update(dataset, settings, LOCKS, accept=accept, every_path=every_path)


def paths_of(lines: list[str]) -> dict[str, list[str]]:
    """Return the listed paths by their signs."""
    found: dict[str, list[str]] = {"+": [], "~": [], "-": []}
    for line in lines:
        sign, _, path = line.strip().partition(" ")
        if line.startswith("    ") and sign in found:
            found[sign].append(path)
    return found


def recordings_of(lines: list[str]) -> str:
    (line,) = [line for line in lines if line.startswith("  recordings: ")]
    return line.removeprefix("  recordings: ")


def test_a_lock_is_committed_once(local):
    lines = commit_lock("ds", local, LOCKS)
    lock = json.loads((LOCKS / "ds.json").read_bytes())
    size = sum(path.stat().st_size for path in Path("bids").rglob("*") if path.is_file())
    assert lines == [f"ds: local (4 files, {size / 1e6:,.1f} MB) locked in locks/ds.json"]
    for entry in lock["files"]:
        content = (Path("bids") / entry["path"]).read_bytes()
        assert entry["checksum"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    before = (LOCKS / "ds.json").read_bytes()
    put(data(1), "another")
    assert commit_lock("ds", local, LOCKS) == [
        f"ds: locks/ds.json holds local (4 files, {size / 1e6:,.1f} MB)",
        "  what is new:  bidsmill lock --update ds",
    ]
    assert (LOCKS / "ds.json").read_bytes() == before


def test_it_is_the_lock_that_a_run_makes(local, here):
    commit_lock("ds", local, LOCKS)
    lock = make_lock("ds", local, here / "elsewhere")
    assert json.loads((LOCKS / "ds.json").read_bytes()) == lock


def test_without_news(local):
    commit_lock("ds", local, LOCKS)
    before = (LOCKS / "ds.json").stat().st_mtime_ns
    assert update(local) == ["ds: local (locks/ds.json) -> local", "  no file has changed"]
    assert (LOCKS / "ds.json").stat().st_mtime_ns == before


def test_news_are_listed_and_nothing_is_written(local):
    commit_lock("ds", local, LOCKS)
    before = (LOCKS / "ds.json").read_bytes()
    put(data(1), "another")
    put(data(4), "new")
    put("README", "words")
    (Path("bids") / data(3)).unlink()
    lines = update(local)
    assert paths_of(lines) == {"+": ["README", data(4)], "~": [data(1)], "-": [data(3)]}
    assert recordings_of(lines) == "1 added, 1 changed, 1 removed, 1 unchanged"
    assert "  added    2 files, 0.0 MB" in lines and "  removed  1 file, 0.0 MB" in lines
    assert lines[-1] == "  take it in:   bidsmill lock --update --accept ds"
    assert (LOCKS / "ds.json").read_bytes() == before
    assert not Path("results").exists()


def test_news_are_accepted(local):
    commit_lock("ds", local, LOCKS)
    put(data(1), "another")
    lines = update(local, accept=True)
    assert paths_of(lines)["~"] == [data(1)]
    assert lines[-1] == "  written to locks/ds.json; the next run takes it in"
    known = {e["path"]: e for e in json.loads((LOCKS / "ds.json").read_bytes())["files"]}
    assert known[data(1)]["checksum"] == f"sha256:{hashlib.sha256(b'another').hexdigest()}"
    assert update(local)[-1] == "  no file has changed"


def test_a_change_of_the_choice_alone_is_told(local):
    """Only recordings that the config asks for are counted; files are listed all."""
    commit_lock("ds", local, LOCKS)
    put(data(1), "another")
    lines = update({**local, "include": {"subject": ["02", "03"]}})
    assert paths_of(lines)["~"] == [data(1)]
    assert recordings_of(lines) == "0 added, 0 changed, 0 removed, 2 unchanged"


def test_a_sidecar_for_all_changes_every_recording(local):
    commit_lock("ds", local, LOCKS)
    put("task-x_events.json", "{}")
    lines = update(local)
    assert paths_of(lines)["+"] == ["task-x_events.json"]
    assert recordings_of(lines) == "0 added, 3 changed, 0 removed, 0 unchanged"


def test_of_many_paths_the_first_are_shown(local):
    commit_lock("ds", local, LOCKS)
    for subject in range(10, 10 + MOST_PATHS + 5):
        put(data(subject), "new")
    lines = update(local)
    wanted = [data(subject) for subject in range(10, 10 + MOST_PATHS + 5)]
    assert paths_of(lines)["+"] == wanted[:MOST_PATHS]
    assert "    ... and 5 more (--all lists them)" in lines
    lines = update(local, every_path=True)
    assert paths_of(lines)["+"] == wanted
    assert not [line for line in lines if "more" in line]


def test_without_a_committed_lock_that_of_the_last_run_counts(local):
    lock_dataset(
        Path("results/ds/lock.json"),
        dataset="ds",
        settings=local,
        batches={"recordings": 8, "gigabytes": 1},
    )
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in Path("results").rglob("*.json")}
    put(data(1), "another")
    lines = update(local)
    assert lines[0] == "ds: local (results/ds/lock.json) -> local"
    assert paths_of(lines)["~"] == [data(1)]
    assert lines[-1].startswith("  take it in:   snakemake --cores 2 --forcerun lock")
    after = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in Path("results").rglob("*.json")}
    assert after == before
    # Accepted, it is committed.
    update(local, accept=True)
    known = {e["path"]: e for e in json.loads((LOCKS / "ds.json").read_bytes())["files"]}
    assert known[data(1)]["size"] == len("another")


def test_without_any_lock(local):
    with pytest.raises(BidsmillError, match="ds has no lock yet") as caught:
        update(local)
    assert caught.value.todo == "bidsmill lock ds"
    assert "locks/ds.json" in caught.value.found and "results/ds/lock.json" in caught.value.found


def test_a_dataset_that_has_gone(local):
    commit_lock("ds", local, LOCKS)
    shutil.rmtree("bids")
    with pytest.raises(BidsmillError, match="folder is missing"):
        update(local, accept=True)
    assert (LOCKS / "ds.json").is_file()


contents = st.dictionaries(st.integers(1, 8), st.sampled_from("abc"), min_size=1, max_size=8)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=contents, after=contents)
def test_every_change_is_listed_once(here, before, after):
    shutil.rmtree("bids", ignore_errors=True)
    own = {"source": "local", "path": "bids", "include": {}, "folders": []}
    put("dataset_description.json", "{}")
    for subject, text in before.items():
        put(data(subject), text)
    (LOCKS / "ds.json").unlink(missing_ok=True)
    commit_lock("ds", own, LOCKS)
    shutil.rmtree("bids")
    put("dataset_description.json", "{}")
    for subject, text in after.items():
        put(data(subject), text)
    lines = update(own)
    changed = {s for s in before.keys() & after.keys() if before[s] != after[s]}
    assert paths_of(lines) == {
        "+": [data(s) for s in sorted(after.keys() - before.keys())],
        "~": [data(s) for s in sorted(changed)],
        "-": [data(s) for s in sorted(before.keys() - after.keys())],
    }
    if before != after:
        counts = (
            len(after.keys() - before.keys()),
            len(changed),
            len(before.keys() - after.keys()),
            len(before.keys() & after.keys()) - len(changed),
        )
        words = ("added", "changed", "removed", "unchanged")
        told = ", ".join(f"{n} {word}" for n, word in zip(counts, words, strict=True))
        assert recordings_of(lines) == told


# An archive with versions


@pytest.fixture
def archive(here):
    """A server with two snapshots of a dataset: in the newer one a subject came."""
    old = make_dataset(here / "old")
    new = make_dataset(here / "new", subjects=("01", "02", "03"))
    with Archive({OPENNEURO: {"1.0.0": old, "1.1.0": new}}) as server:
        yield server


def openneuro(archive: Archive, **more) -> dict:
    own = source_settings(endpoint=archive.graphql, **more)
    return {**own, "source": "openneuro", "fetch": FETCH, "include": {}, "folders": []}


def test_the_version_of_the_config_is_committed(archive):
    lines = commit_lock(OPENNEURO, openneuro(archive, version="1.0.0"), LOCKS)
    assert f"{OPENNEURO}: 1.0.0 (" in lines[0]
    assert json.loads((LOCKS / f"{OPENNEURO}.json").read_bytes())["snapshot"] == "1.0.0"


def test_the_latest_version_is_looked_at_whichever_is_asked_for(archive):
    pinned = openneuro(archive, version="1.0.0")
    commit_lock(OPENNEURO, pinned, LOCKS)
    before = (LOCKS / f"{OPENNEURO}.json").read_bytes()
    lines = update(pinned, OPENNEURO)
    assert lines[0] == f"{OPENNEURO}: 1.0.0 (locks/{OPENNEURO}.json) -> 1.1.0"
    found = paths_of(lines)
    came = [p.relative_to("new").as_posix() for p in Path("new/sub-03").rglob("*") if p.is_file()]
    assert found == {"+": sorted(came), "~": ["participants.tsv"], "-": []}
    assert recordings_of(lines) == "2 added, 0 changed, 0 removed, 4 unchanged"
    assert lines[-1] == "  take it in:   set `version: 1.1.0` in the config first"
    # No run would use that lock.
    with pytest.raises(BidsmillError, match="the config asks for version") as caught:
        update(pinned, OPENNEURO, accept=True)
    assert "set `version: 1.1.0` in the config" in caught.value.todo
    assert (LOCKS / f"{OPENNEURO}.json").read_bytes() == before
    update(openneuro(archive, version="1.1.0"), OPENNEURO, accept=True)
    assert json.loads((LOCKS / f"{OPENNEURO}.json").read_bytes())["snapshot"] == "1.1.0"


def test_without_a_version_the_latest_is_accepted(archive, here):
    free = openneuro(archive)
    commit_lock(OPENNEURO, openneuro(archive, version="1.0.0"), LOCKS)
    update(free, OPENNEURO, accept=True)
    assert json.loads((LOCKS / f"{OPENNEURO}.json").read_bytes())["snapshot"] == "1.1.0"
    # A new version with the same files is still another version.
    shutil.copytree(here / "new", here / "same", symlinks=True)
    archive.publish(OPENNEURO, "1.2.0", here / "same")
    lines = update(free, OPENNEURO)
    assert lines[0].endswith("-> 1.2.0") and lines[1] == "  no file has changed"
    assert lines[-1] == f"  take it in:   bidsmill lock --update --accept {OPENNEURO}"


def test_an_update_asks_for_no_data(archive):
    commit_lock(OPENNEURO, openneuro(archive, version="1.0.0"), LOCKS)
    archive.requests.clear()
    update(openneuro(archive), OPENNEURO)
    asked = {r.path.partition("?")[0] for r in archive.requests if r.method == "GET"}
    # Small files are read to learn what the ids of a listing are; data never.
    assert asked and not [path for path in asked if path.endswith(".edf")]
    assert not Path("results").exists()


def test_an_archive_that_does_not_answer(archive):
    commit_lock(OPENNEURO, openneuro(archive, version="1.0.0"), LOCKS)
    before = (LOCKS / f"{OPENNEURO}.json").read_bytes()
    archive.fail(100, status=503)
    with pytest.raises(BidsmillError):
        update(openneuro(archive), OPENNEURO, accept=True)
    archive.listing = "no_subject"
    with pytest.raises(BidsmillError):
        update(openneuro(archive), OPENNEURO, accept=True)
    assert (LOCKS / f"{OPENNEURO}.json").read_bytes() == before
