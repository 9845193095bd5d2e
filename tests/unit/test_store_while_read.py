"""Publishers and a server that are killed while another process reads all the time."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from access_store import A_SOURCES, A_TYPES, Recording, expected_rows
from store_publishers import SOURCE, PlainStore, go, start
from store_reading_child import digest, look
from store_results import Results

BUCKET = "read-while-published"
CHILD = Path(__file__).with_name("store_reading_child.py")


@pytest.fixture
def plain(s3_server, monkeypatch, request) -> PlainStore:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    client, bucket = s3_server.client(), f"{BUCKET}-{len(request.node.name)}"
    client.create_bucket(Bucket=bucket)
    return PlainStore(client, bucket, "store")


class Builds:
    """Builds of one dataset: some with other labels, some with other signals.

    Parameters
    ----------
    folder : pathlib.Path
        For results.
    count : int
        How many.

    Attributes
    ----------
    results : list of Results
        Of each build.
    versions : list of str
        How the store names each.
    allowed : dict
        Version -> what its rows and labels come to, by the arrays that went in.
    """

    def __init__(self, folder: Path, count: int):
        self.results, self.versions, self.allowed = [], [], {}
        for index in range(count):
            subjects = [f"{n:02d}" for n in range(1, 7)]
            recordings = [
                Recording(s, A_SOURCES, A_TYPES, rows=30, seed=index // 2) for s in subjects
            ]
            results = Results(folder / str(index), recordings)
            if index % 2:
                results.samples["face"] = results.samples["face"].tolist()[::-1]
                results.write()
            version = results.publish()["version"]  # to a folder: the name is the same
            labelled = results.samples[results.samples["face"] != ""]
            rows = expected_rows(recordings, labelled)
            self.results.append(results)
            self.versions.append(version)
            self.allowed[version] = digest(rows, labelled["face"].tolist())


class Reader:
    """The reading process.

    Parameters
    ----------
    address, endpoint : str
        Of the store.
    """

    def __init__(self, address: str, endpoint: str):
        self.run = subprocess.Popen(
            [sys.executable, str(CHILD), address, endpoint],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.seen = [json.loads(self.run.stdout.readline())]

    def stop(self) -> list[dict[str, Any]]:
        """End it, and return all that it saw."""
        printed, told = self.run.communicate("\n", timeout=120)
        assert self.run.returncode == 0, told
        return self.seen + [json.loads(line) for line in printed.splitlines()]

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self.run.kill()
        self.run.wait()


def check(seen: list[dict], builds: Builds, down: tuple[float, float] | None = None) -> None:
    """Check that every look gave one version, whole and right, or met a server that was down."""
    for one in seen:
        assert "traceback" not in one, one["traceback"]
        if "error" in one:
            assert down, one
            assert one["ended"] >= down[0], one
            assert one["began"] <= down[1], one
        else:
            assert one["digest"] == builds.allowed[one["version"]], one
    order = [one["version"] for one in seen if "version" in one]
    places = [builds.versions.index(version) for version in order]
    assert places == sorted(places), "an older version came after a newer one"
    assert len(set(order)) >= 2, order


def check_every_version(plain: PlainStore, builds: Builds, endpoint: str, cache: Path) -> None:
    """Check the bytes of what is in the store, and what a reader makes of the latest."""
    history = [entry["version"] for entry in plain.pointer()["history"]]
    assert history == builds.versions
    for version in history:
        plain.check_version(version)
    last = look(plain.address, endpoint, str(cache))
    assert last == {"version": history[-1], "digest": builds.allowed[history[-1]]}


def kill_publishers(
    folder: Path, plain: PlainStore, endpoint: str, *, count: int, kills: int
) -> None:
    """Publish builds one after the other, each after some tries that are killed."""
    builds, moments = Builds(folder, count), random.Random(1)
    connection = {"endpoint": endpoint}
    first = time.monotonic()
    builds.results[0].publish(plain.address, connection=connection)
    duration = time.monotonic() - first
    with Reader(plain.address, endpoint) as reader:
        for index, results in enumerate(builds.results[1:], 1):
            for _ in range(kills):
                run = start(results.results, plain.address, connection)
                go(run)
                time.sleep(moments.random() * duration)
                run.send_signal(signal.SIGKILL)
                run.communicate()
                assert plain.pointer()["version"] in builds.versions[index - 1 : index + 1]
            results.publish(plain.address, connection=connection)
        seen = reader.stop()
    check(seen, builds)
    check_every_version(plain, builds, endpoint, folder / "cache")


def test_who_reads_while_publishers_are_killed(tmp_path, plain, s3_server):
    kill_publishers(tmp_path, plain, s3_server.endpoint, count=4, kills=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_who_reads_while_publishers_are_killed_a_hundred_times(tmp_path, plain, s3_server):
    kill_publishers(tmp_path, plain, s3_server.endpoint, count=21, kills=5)


@pytest.mark.long
def test_who_reads_while_the_server_is_killed(tmp_path, plain, s3_server):
    builds, connection = Builds(tmp_path, 2), {"endpoint": s3_server.endpoint}
    old, new = builds.results
    old.publish(plain.address, connection=connection)
    run = start(new.results, plain.address, connection)
    with Reader(plain.address, s3_server.endpoint) as reader:
        before = set(plain.paths())
        go(run)
        deadline = time.monotonic() + 30
        while set(plain.paths()) == before and time.monotonic() < deadline:
            time.sleep(0.005)
        down = time.monotonic()
        s3_server.kill()
        s3_server.restart()
        up = time.monotonic()
        said = "".join(run.communicate(timeout=120))
        assert "Traceback" not in said
        new.publish(plain.address, connection=connection)
        seen = reader.stop()
    seen.append({"began": 0, "ended": 0, **look(plain.address, s3_server.endpoint, str(tmp_path))})
    check(seen, builds, (down, up))
    check_every_version(plain, builds, s3_server.endpoint, tmp_path / "cache")
