"""Fetching processes that are killed, or that fetch the same dataset at once, do no harm."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from absence import absent
from fetching import (
    ended,
    entries_of,
    fetch_settings,
    make_dataset,
    manifest_of,
    parts,
    remove_large,
    start_fetch,
    tree,
    write_plan,
)
from servers import nginx
from servers.nginx import Nginx

from bidsmill.sources.download import BLOCK_BYTES
from bidsmill.sources.partial import temporary_stem

LARGE = [3 * BLOCK_BYTES + 77, 2 * BLOCK_BYTES]


pytestmark = pytest.mark.usefixtures("no_heaps")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    yield folder, make_dataset(folder, 60, LARGE)
    remove_large(folder)


@pytest.fixture
def web(tmp_path, authority, made):
    if missing := nginx.missing():
        absent(f"install nginx-light: there is no {missing}")
    with Nginx(tmp_path / "nginx", made[0], authority) as server:
        yield server


def locked(made, web) -> list[dict]:
    """Return the entries of a lock; every second file has no checksum that can be computed."""
    entries = entries_of(*made, web.url)
    for entry in entries[::2]:
        entry["checksum"] = f"etag:{entry['checksum'][-32:]}-3"
    return entries


def source(web, **fetch) -> dict:
    return {"source": "https", "url": web.url, "fetch": fetch_settings(**fetch)}


def remembered(results: Path) -> set[str]:
    """Return the files that a killed process had noted as fetched."""
    noted = set()
    for path in (results / "fetch-state").glob("*"):
        if path.suffix == ".json":
            noted |= set(json.loads(path.read_text()))
        else:
            lines = path.read_text().split("\n")[:-1]
            noted |= {json.loads(line)[0] for line in lines}
    return noted


def logged(results: Path) -> dict[str, int]:
    """Return how far large files had come by their logs, by the stem of the temporary name."""
    reached = {}
    for log in (results / "bids").rglob("*.log.part"):
        lines = log.read_text().split("\n")[:-1]
        if lines:
            part = log.with_name(log.name.removesuffix(".log.part") + ".part")
            reached[log.name.split(".")[1]] = int(lines[-1].split()[0])
            assert part.stat().st_size >= int(lines[-1].split()[0])
    return reached


def asked_for(web, since: int) -> dict[str, list[int]]:
    """Return path -> where the ranges began that were asked for."""
    found: dict[str, list[int]] = {}
    for request in web.requests()[since:]:
        start = int(request.range.removeprefix("bytes=").split("-")[0] or 0)
        found.setdefault(request.path.removeprefix("/"), []).append(start)
    return found


def check_what_is_there(results: Path, sums: dict[str, str]) -> dict[str, str]:
    """Check that each file under its final name is the right one; return them."""
    there = tree(results / "bids")
    assert all(sums[path] == sha256 for path, sha256 in there.items())
    return there


class Kills:
    """Runs that are killed, each going on with what the one before has left."""

    def __init__(self, folder: Path, made, web, authority):
        self.folder, self.sums, self.web, self.authority = folder, made[1], web, authority
        self.entries, self.chance = locked(made, web), random.Random(7)
        self.done = self.resumed = self.spared = self.begun = 0
        self.begin()

    def begin(self) -> None:
        """Begin with nothing fetched."""
        self.begun += 1
        self.results = self.folder / f"results{self.begun}"
        write_plan(self.results, self.entries)
        self.finished: set[str] = set()
        self.there: set[str] = set()
        self.reached: dict[str, int] = {}

    def run(self, seconds: float | None) -> bool:
        """Let a process fetch, for some seconds at most; return whether it came to its end."""
        since = len(self.web.requests())
        options = source(self.web, parallel=2, bandwidth=70)
        process = start_fetch(self.results, options, self.authority)
        alive = True
        if seconds is not None:
            time.sleep(seconds)
            alive = process.poll() is None
            process.kill()
        code, printed = ended(process)
        assert code == 0 or (seconds is not None and alive), printed
        self.compare(asked_for(self.web, since))
        there = check_what_is_there(self.results, self.sums)
        noted = remembered(self.results)
        self.finished = {
            entry["path"]
            for entry in self.entries
            if entry["path"] in there
            and (entry["checksum"].startswith("sha256:") or entry["path"] in noted)
        }
        # A file gets its final name first, and is noted next: no more than these two at work.
        assert len(set(there) - self.there - noted) <= 2
        self.there = set(there)
        self.reached = logged(self.results)
        return code == 0

    def compare(self, asked: dict[str, list[int]]) -> None:
        """Check that nothing was asked for that an earlier run has brought."""
        assert not self.finished & set(asked)
        self.spared += len(self.finished)
        for entry in self.entries:
            reached = self.reached.get(temporary_stem(entry), 0)
            if reached and entry["path"] in asked:
                assert min(asked[entry["path"]]) >= reached
                self.resumed += 1


def kill_often(kills: Kills, count: int) -> None:
    while kills.done < count:
        if kills.run(kills.chance.uniform(0.05, 1.6)):
            kills.begin()
        else:
            kills.done += 1
    while not kills.run(None):
        pass
    assert tree(kills.results / "bids") == kills.sums
    members = manifest_of(kills.results)
    assert {member["status"] for member in members.values()} == {"present"}
    assert {m["files"][path] for path, m in members.items()} == set(kills.sums.values())
    assert parts(kills.results) == []
    assert kills.spared


def test_kills_lose_nothing(tmp_path, made, web, authority):
    kill_often(Kills(tmp_path, made, web, authority), 5)


@pytest.mark.long
def test_many_kills_lose_nothing(tmp_path, made, web, authority):
    kills = Kills(tmp_path, made, web, authority)
    kill_often(kills, 50)
    assert kills.resumed


def test_a_large_file_goes_on_where_a_killed_process_was(tmp_path, made, web, authority):
    """With and without a checksum: what was logged is not asked for again."""
    results = tmp_path / "results"
    entries = [entry for entry in locked(made, web) if "task-long" in entry["path"]]
    assert {entry["checksum"].split(":")[0] for entry in entries} == {"sha256", "etag"}
    write_plan(results, entries)
    process = start_fetch(results, source(web, parallel=2, bandwidth=30), authority)
    # Each of the two connections works on a block of its own; wait until one is logged.
    end = time.monotonic() + 60
    while not (before := logged(results)) and time.monotonic() < end:
        time.sleep(0.02)
    process.kill()
    ended(process)
    before = logged(results)
    assert before and all(reached >= BLOCK_BYTES for reached in before.values())
    since = len(web.requests())
    code, printed = ended(start_fetch(results, source(web), authority))
    assert code == 0, printed
    asked = asked_for(web, since)
    for entry in entries:
        assert min(asked[entry["path"]]) >= before.get(temporary_stem(entry), 0)
    assert tree(results / "bids") == {e["path"]: made[1][e["path"]] for e in entries}
    assert parts(results) == []


@pytest.mark.parametrize("count", [2, 4])
def test_processes_that_fetch_the_same_at_once(tmp_path, made, web, authority, count):
    results = tmp_path / "results"
    write_plan(results, locked(made, web))
    options = source(web, parallel=4)
    processes = [start_fetch(results, options, authority, f"{n}.log") for n in range(count)]
    for process in processes:
        code, printed = ended(process)
        assert code == 0, printed
    assert tree(results / "bids") == made[1]
    assert {member["status"] for member in manifest_of(results).values()} == {"present"}
    assert parts(results) == []
    # All of it is known to be there.
    since = len(web.requests())
    code, printed = ended(start_fetch(results, options, authority))
    assert (code, printed) == (0, "")
    assert len(web.requests()) == since


def test_a_process_that_is_killed_while_another_goes_on(tmp_path, made, web, authority):
    results = tmp_path / "results"
    write_plan(results, locked(made, web))
    options = source(web, parallel=2, bandwidth=40)
    killed, other = (start_fetch(results, options, authority, f"{n}.log") for n in range(2))
    time.sleep(1.2)
    killed.kill()
    ended(killed)
    check_what_is_there(results, made[1])
    code, printed = ended(other)
    assert code == 0, printed
    assert tree(results / "bids") == made[1]
    assert {member["status"] for member in manifest_of(results).values()} == {"present"}
    assert parts(results) == []


def test_leftovers_in_a_dataset_that_is_complete_are_removed(tmp_path, made, web, authority):
    """As a process leaves them that was killed after another had finished."""
    results = tmp_path / "results"
    entries = [entry for entry in locked(made, web) if "run-00" in entry["path"]]
    write_plan(results, entries)
    assert ended(start_fetch(results, source(web), authority))[0] == 0
    folder = (results / "bids" / entries[0]["path"]).parent
    stem = "0123456789abcdef01234567"
    for name in (f".{stem}.1-ab.part", f".{stem}.1-ab.log.part", f".{stem}.2-cd.log.part"):
        (folder / name).write_bytes(b"left")
    assert ended(start_fetch(results, source(web), authority))[0] == 0
    assert parts(results) == []
