"""gc removes what no kept version names, and nothing else, whoever publishes meanwhile."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from access_store import mixed_recordings
from store_results import Results, facts, verify

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.storage.folder import Folder
from bidsmill.store.gc import find_removable, remove_found
from bidsmill.store.gc_command import add_gc_command

DAY = 86400.0
NOW = timedelta(0)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Results:
    """Return a dataset with three versions. Not to be changed."""
    results = Results(tmp_path_factory.mktemp("template"), mixed_recordings())
    results.versions = []
    for face in ("Famous", "Scrambled", "Unfamiliar"):
        results.samples["face"] = face
        results.write()
        results.versions.append(results.publish()["version"])
    return results


@pytest.fixture
def published(template, tmp_path) -> Results:
    """Return a dataset with three versions, whose files are all old."""
    shutil.copytree(template.store.parent, tmp_path, dirs_exist_ok=True)
    results = copy(template)
    results.results, results.store = tmp_path / "results" / "ds", tmp_path / "store"
    results.samples = template.samples.copy()
    age(results.store, 30)
    return results


def age(folder: Path, days: float) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() - days * DAY,) * 2)


def plant(store: Path, path: str, days: float, content: bytes = b"junk") -> Path:
    files.write_bytes(store / path, content)
    os.utime(store / path, (time.time() - days * DAY,) * 2)
    return store / path


def collect(store: Path, *, keep: int | None = None, older_than: timedelta = timedelta(7)):
    storage = Folder(store)
    found = find_removable(storage, keep=keep, older_than=older_than)
    return found, [stored.path for stored in remove_found(storage, found, keep=keep)]


def run(*arguments: str, told: list[str] | None = None) -> list[str]:
    """Run the command; return its lines, and put each into `told` as it comes."""
    parser = argparse.ArgumentParser()
    add_gc_command(parser.add_subparsers())
    options = parser.parse_args(["gc", *map(str, arguments)])
    lines = [] if told is None else told
    for line in options.action(options):
        lines.append(line)
    return lines


ORPHAN = "datasets/ds/files/matrix/sub-77_eeg-0123456789abcdef.parquet"


def test_nothing_of_a_published_dataset_goes(published):
    before = facts(published.store)
    found, removed = collect(published.store, older_than=NOW)
    assert removed == []
    (finding,) = found.findings
    assert finding.versions == published.versions
    assert finding.kept["named by a kept version"][0] == len(before) - 3
    assert facts(published.store) == before


def test_a_dry_run_names_and_removes_nothing(published):
    plant(published.store, ORPHAN, 30, b"x" * 12345)
    plant(published.store, "publishing/00.json", 8, b'{"files": []}')
    before = facts(published.store)
    lines = run(published.store, "--keep", "1")
    assert facts(published.store) == before
    text = "\n".join(lines)
    assert f"remove    12.3 kB  {ORPHAN}" in text
    assert "remove       13 B  publishing/00.json" in text
    for version in published.versions[:2]:
        assert f"drop    version    {version}" in text
    assert "nothing is removed without --delete" in lines[-1]
    stated = json.loads("\n".join(run(published.store, "--keep", "1", "--json")))
    assert stated["deleted"] == []
    paths = [entry["path"] for entry in stated["datasets"][0]["remove"]]
    assert ORPHAN in paths and len(paths) == 2 + 1 + 2 * 3  # manifests, orphan, own tables
    assert facts(published.store) == before


def test_only_old_unnamed_unannounced_files_go(published):
    store = published.store
    old = plant(store, ORPHAN, 7.1)
    young = plant(store, ORPHAN.replace("77", "78"), 6.9)
    announced = plant(store, ORPHAN.replace("77", "79"), 30)
    stale = plant(store, ORPHAN.replace("77", "80"), 30)
    foreign = [
        plant(store, path, 30)
        for path in ("notes.txt", "datasets/ds/mine.txt", "datasets/README", "other/files/x")
    ]
    for name, path, days in (("a", announced, 6.9), ("b", stale, 7.1)):
        note = files.json_bytes({"files": [path.relative_to(store).as_posix()]})
        plant(store, f"publishing/{name}.json", days, note)
    statement = plant(store, "removing/c.json", 8, b"{}")
    manifest = plant(store, "datasets/ds/versions/1.0.0-abc.json", 30)
    before = set(facts(store))
    _, removed = collect(store)
    gone = {old, stale, store / "publishing/b.json", statement, manifest}
    assert before - set(facts(store)) == {path.relative_to(store).as_posix() for path in gone}
    assert sorted(removed) == sorted(path.relative_to(store).as_posix() for path in gone)
    assert young.exists() and announced.exists() and all(path.exists() for path in foreign)
    for version in published.versions:
        verify(store, published.manifest(version))


@pytest.mark.parametrize("keep", [1, 2, 3, 9])
def test_keep_shortens_the_history(published, keep):
    manifests = {version: published.manifest(version) for version in published.versions}
    kept = published.versions[-keep:]
    named = {e["path"] for version in kept for e in manifests[version]["files"]}
    _, removed = collect(published.store, keep=keep)
    pointer = published.pointer()
    assert [entry["version"] for entry in pointer["history"]] == kept
    assert pointer["version"] == kept[-1]
    assert [path.stem for path in published.manifests] == sorted(kept)
    assert {path for path in facts(published.store) if "/files/" in path} == named
    for version in kept:
        verify(published.store, manifests[version])
    # A version that goes is no longer found before its files go.
    of_manifests = [index for index, path in enumerate(removed) if "/versions/" in path]
    assert of_manifests == list(range(3 - len(kept)))
    catalog = (published.store / "catalog.parquet").read_bytes()
    assert published.publish()["version"] == kept[-1]
    assert (published.store / "catalog.parquet").read_bytes() == catalog


def test_a_version_that_was_dropped_can_be_published_again(published):
    collect(published.store, keep=1)
    published.samples["face"] = "Famous"
    published.write()
    assert published.publish()["version"] == published.versions[0]
    verify(published.store, published.manifest())


@pytest.mark.parametrize("lost", ["pointer", "broken pointer", "manifest", "broken manifest"])
def test_nothing_goes_where_it_is_not_known_what_is_needed(published, lost):
    path = published.store / "datasets/ds/latest.json"
    if "manifest" in lost:
        path = published.store / f"datasets/ds/versions/{published.versions[0]}.json"
    path.unlink()
    if "broken" in lost:
        path.write_bytes(b'{"contract": "1"')
    plant(published.store, ORPHAN, 30)
    before = facts(published.store)
    found, removed = collect(published.store, keep=3, older_than=NOW)
    assert removed == []
    assert found.findings[0].problem
    told: list[str] = []
    with pytest.raises(SystemExit) as left:
        run(published.store, "--delete", told=told)
    assert left.value.code == 1 and "nothing is removed" in told[0]
    assert facts(published.store) == before


def test_an_announcement_that_cannot_be_read_stops_gc(published):
    plant(published.store, "publishing/a.json", 0, b"{")
    plant(published.store, ORPHAN, 30)
    with pytest.raises(BidsmillError, match="a note in publishing"):
        collect(published.store)
    assert (published.store / ORPHAN).exists()


def test_an_announcement_that_came_after_the_look_is_seen(published):
    """Between the list and the removal a publish began: what it announces stays."""
    plant(published.store, ORPHAN, 30)
    other = plant(published.store, ORPHAN.replace("77", "78"), 30)
    storage = Folder(published.store)
    found = find_removable(storage)
    plant(published.store, "publishing/a.json", 0, files.json_bytes({"files": [ORPHAN]}))
    assert len(remove_found(storage, found)) == 1
    assert (published.store / ORPHAN).exists() and not other.exists()
    assert not list((published.store / "removing").iterdir())


def test_a_pointer_that_moved_after_the_look_is_seen(published):
    storage = Folder(published.store)
    found = find_removable(storage, keep=1, older_than=NOW)
    published.samples["face"] = "Famous"
    published.write()
    assert published.publish()["version"] == published.versions[0]
    remove_found(storage, found, keep=1)
    verify(published.store, published.manifest())


@pytest.mark.parametrize("hours", [0, 2])
def test_a_publish_waits_for_what_is_being_removed(tmp_path, hours):
    results = Results(tmp_path, mixed_recordings()[:2])
    source = results.results / "matrix" / f"{results.recordings[0].name}.parquet"
    sha16 = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    path = f"datasets/ds/files/matrix/{source.stem}-{sha16}.parquet"
    content = files.json_bytes({"files": [path]})
    statement = plant(results.store, "removing/a.json", hours / 24, content)
    other = {"files": ["datasets/ds/files/matrix/another.parquet"]}
    plant(results.store, "removing/b.json", 0, files.json_bytes(other))
    with ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(results.publish)
        if hours < 1:  # an older one is of a gc that was killed
            deadline = time.monotonic() + 20
            while not list(results.store.glob("publishing/*")) and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.3)
            assert not (results.store / path).exists()
            assert not (results.store / "datasets/ds/latest.json").exists()
            statement.unlink()
        publishing.result(60)
    verify(results.store, results.manifest())


def test_half_written_files_go(published):
    part = published.store / "datasets/ds/files/matrix/.x.parquet.12-abcd0123.part"
    part.write_bytes(b"half")
    storage = Folder(published.store)
    found, _ = collect(published.store)
    assert found.unfinished == []  # it may be of a publisher at work
    found.unfinished = storage.unfinished("", datetime.now(UTC) + timedelta(seconds=1))
    remove_found(storage, found)
    assert not part.exists()


@pytest.mark.parametrize(
    "arguments",
    [("--keep", "0"), ("--keep", "x"), ("--older-than", "week"), ("--older-than", "-1")],
)
def test_wrong_arguments(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, *arguments)
    assert arguments[0] in capsys.readouterr().err


def test_an_empty_store(tmp_path):
    assert run(tmp_path / "none", "--delete") == ["removed 0 files, 0 B"]
    assert run(tmp_path) == ["nothing to remove"]


# Racing


class Race:
    """Publishers of several versions of a dataset, gc, and somebody who looks all the while."""

    def __init__(self, folder: Path, publishers: int, collectors: int):
        self.store = folder / "store"
        self.made = []
        for index in range(publishers):
            own = []
            for face in ("Famous", "Scrambled"):
                made = Results(folder / f"{index}-{face}", mixed_recordings()[:2])
                made.samples["face"] = f"{face} {index}"
                made.write()
                own.append(made)
            self.made.append(own)
        self.collectors, self.ended, self.looks = collectors, threading.Event(), 0

    def run(self, rounds: int) -> None:
        with ThreadPoolExecutor(len(self.made) + self.collectors + 1) as pool:
            others = [pool.submit(self.collect) for _ in range(self.collectors)]
            others.append(pool.submit(self.look))
            try:
                runs = [pool.submit(self.publish, own, rounds) for own in self.made]
                for one in runs:
                    one.result()
            finally:
                self.ended.set()
            for other in others:
                other.result()
        assert self.looks
        self.check()

    def publish(self, own: list[Results], rounds: int) -> None:
        for turn in range(rounds):
            own[turn % 2].publish(str(self.store))

    def collect(self) -> None:
        while not self.ended.is_set():
            collect(self.store, keep=1, older_than=NOW)

    def look(self) -> None:
        while not self.ended.is_set():
            self.check()

    def check(self) -> None:
        """Check that what the pointer names is there, as long as the pointer names it."""
        pointer = self.store / "datasets/ds/latest.json"
        try:
            before = pointer.stat()
            version = json.loads(pointer.read_bytes())["version"]
            manifest = self.store / f"datasets/ds/versions/{version}.json"
            missing = [manifest] if not manifest.is_file() else []
            if not missing:
                named = [entry["path"] for entry in json.loads(manifest.read_bytes())["files"]]
                missing = [path for path in named if not (self.store / path).is_file()]
        except FileNotFoundError:
            missing = []
        if missing:
            after = pointer.stat()
            unmoved = (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
            assert not unmoved, f"{version} is the latest and lacks {missing}"
        self.looks += 1


def test_gc_races_with_publishes(tmp_path):
    Race(tmp_path, publishers=2, collectors=1).run(4)


@pytest.mark.long
def test_gc_races_with_publishes_many_times(tmp_path):
    Race(tmp_path, publishers=3, collectors=2).run(100)
