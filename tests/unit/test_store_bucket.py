"""Publishing to a real S3 server, read back by plain boto3."""

from __future__ import annotations

import io
import json
import random
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from itertools import count
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from access_store import A_SOURCES, A_TYPES, Recording, mixed_recordings
from servers.proxy import FaultyProxy
from store_publishers import PlainStore, go, start
from store_results import Results, facts, verify

from bidsmill.errors import BidsmillError
from bidsmill.formats import manifest
from bidsmill.formats.placements import placements_of_version, versions_of
from bidsmill.storage.addresses import open_storage
from bidsmill.store.gc import find_removable, remove_found
from bidsmill.store.pointing import move_pointer
from bidsmill.store.publish import publish_plan

BUCKET = "publishing-tests"
NUMBERS = count()


@pytest.fixture(scope="module")
def server(s3_server):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
        s3_server.client().create_bucket(Bucket=BUCKET)
        yield s3_server


@pytest.fixture
def plain(server) -> PlainStore:
    """A store of its own, empty."""
    return PlainStore(server.client(), BUCKET, f"store-{next(NUMBERS)}")


@pytest.fixture
def connection(server) -> dict:
    return {"endpoint": server.endpoint, "connections": 8}


@pytest.fixture
def results(tmp_path) -> Results:
    return Results(tmp_path, mixed_recordings())


class Listening(FaultyProxy):
    """A proxy that keeps the heads of requests."""

    def __init__(self, *arguments, **options):
        self.heads: list = []
        super().__init__(*arguments, **options)

    def log(self, request, status, fault):
        self.heads.append(request)
        super().log(request, status, fault)

    def written(self, plain: PlainStore) -> list[str]:
        """Return the paths of the store that were written or removed."""
        begin = f"/{plain.bucket}/{plain.prefix}/"
        written = [r for r in self.requests if r.method not in ("GET", "HEAD")]
        return [r.path.partition("?")[0].removeprefix(begin) for r in written]


def test_a_bucket_holds_what_a_folder_would(results, plain, connection, server):
    stated = results.publish(plain.address, connection=connection)
    assert (stated["store"], stated["status"]) == (plain.address, "published")
    assert plain.check_latest() == stated["version"] == results.publish()["version"]
    folder = facts(results.store)
    assert set(plain.paths()) == set(folder)
    for path in folder:
        if not path.endswith("latest.json"):
            assert plain.get(path) == (results.store / path).read_bytes(), path
    head = server.client().head_object(
        Bucket=BUCKET, Key=f"{plain.prefix}/{results.manifest()['files'][0]['path']}"
    )
    assert head["Metadata"]["sha256"] == results.manifest()["files"][0]["sha256"]


def test_only_what_changed_is_sent(results, plain, server):
    with Listening(server.endpoint) as proxy:
        connection = {"endpoint": proxy.url.rstrip("/"), "connections": 4}
        old = results.publish(plain.address, connection=connection)["version"]
        first = proxy.written(plain)
        assert len([path for path in first if "/files/" in path]) == 21
        proxy.requests.clear()
        assert results.publish(plain.address, connection=connection)["version"] == old
        assert proxy.written(plain) == []
        results.samples["face"] = "Famous"
        results.write()
        plan = publish_plan(
            results.results,
            results.batches,
            dataset="ds",
            store=plain.address,
            connection=connection,
        )
        assert proxy.written(plain) == []
        new = results.publish(plain.address, connection=connection)["version"]
        sent = [path for path in proxy.written(plain) if "/files/" in path]
    kinds = {re.sub(r"-[0-9a-f]{16}", "", path).removeprefix("datasets/ds/files/") for path in sent}
    assert kinds == {"samples/samples.parquet", "samples/samples.tsv", "croissant.json"}
    assert sorted(file["path"] for file in plan["files"]) == sorted(sent)
    assert plan["version"] == new != old
    assert plan["send_bytes"] == sum(plain.paths()[path] for path in sent)
    assert [entry["version"] for entry in plain.pointer()["history"]] == [old, new]
    for version in (old, new):
        plain.check_version(version)
    assert not [path for path in plain.paths() if path.startswith(("publishing/", "removing/"))]


def test_an_interrupted_publish_sends_the_rest(results, plain, server):
    """What an earlier try brought is known by its sha256, without a manifest that names it."""
    with Listening(server.endpoint) as proxy:
        connection = {"endpoint": proxy.url.rstrip("/")}
        results.publish(plain.address, connection=connection)
        client, keys = server.client(), plain.paths()
        for path in [path for path in keys if "/files/" not in path or "sub-02" in path]:
            client.delete_object(Bucket=BUCKET, Key=f"{plain.prefix}/{path}")
        (wrong,) = [path for path in keys if path.endswith(".md")]
        client.put_object(Bucket=BUCKET, Key=f"{plain.prefix}/{wrong}", Body=b"#" * keys[wrong])
        proxy.requests.clear()
        results.publish(plain.address, connection=connection)
        sent = [path for path in proxy.written(plain) if "/files/" in path]
    assert sorted(sent) == sorted([wrong, *(path for path in keys if "sub-02" in path)])
    assert plain.check_latest()


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ({"storage_class": "STANDARD"}, {"x-amz-storage-class": "STANDARD"}),
        (
            {"encryption": "aws:kms", "kms_key": "some-key"},
            {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": "some-key",
            },
        ),
    ],
)
def test_options_of_the_bucket_reach_the_server(options, headers, results, plain, server):
    with Listening(server.endpoint) as proxy:
        connection = {"endpoint": proxy.url.rstrip("/"), **options}
        with suppress(BidsmillError):  # this server has no keys: it refuses the first request
            results.publish(plain.address, connection=connection)
        heads = [head for head in proxy.heads if head.first[0] == "PUT"]
    assert len(heads) >= (1 if "encryption" in options else 24)
    for head in heads:
        assert {name: head.get(name) for name in headers} == headers


# Several at once


def catalog(plain: PlainStore) -> dict[str, str]:
    table = pq.read_table(io.BytesIO(plain.get("catalog.parquet")))
    return dict(zip(*(table[name].to_pylist() for name in ("dataset", "version")), strict=True))


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_every_swap_of_a_pointer_ends_in_the_history(kind, tmp_path, plain, connection):
    address = str(tmp_path / "store") if kind == "folder" else plain.address
    storages = [open_storage(address, **connection) for _ in range(6)]
    together = threading.Barrier(len(storages))

    def move(index: int) -> None:
        together.wait()
        for turn in range(2):
            move_pointer(storages[index], "ds", f"1-{index}-{turn}", "1")

    with ThreadPoolExecutor(len(storages)) as pool:
        list(pool.map(move, range(len(storages))))
    pointer = json.loads(storages[0].read("datasets/ds/latest.json"))
    versions = [entry["version"] for entry in pointer["history"]]
    assert sorted(versions) == sorted(f"1-{index}-{turn}" for index in range(6) for turn in (0, 1))
    assert pointer["version"] == versions[-1]


def test_publishers_at_once_and_a_reader(tmp_path, plain, connection, server):
    """Two versions of one dataset and another dataset, while somebody reads without a pause."""
    made = [Results(tmp_path / str(n), mixed_recordings(), dataset="ds") for n in range(2)]
    made.append(Results(tmp_path / "2", mixed_recordings()[:2], dataset="other"))
    made[1].samples["face"] = "Famous"
    made[1].write()
    reader = PlainStore(server.client(), BUCKET, plain.prefix)
    ended, seen = threading.Event(), []

    def read() -> None:
        while not ended.is_set():
            seen.append(reader.check_latest())

    with ThreadPoolExecutor(4) as pool:
        reading = pool.submit(read)
        try:
            arguments = [(one, plain.address) for one in made]
            runs = [
                pool.submit(one.publish, address, connection=connection)
                for one, address in arguments
            ]
            published = [run.result() for run in runs]
        finally:
            ended.set()
        reading.result()
    versions = [stated["version"] for stated in published]
    history = [entry["version"] for entry in plain.pointer()["history"]]
    assert sorted(history) == sorted(versions[:2])
    assert catalog(plain) == {"ds": history[-1], "other": versions[2]}
    for version in versions[:2]:
        plain.check_version(version)
    assert set(seen) <= {None, *versions}


def test_gc_beside_publishes_on_the_server(results, plain, connection):
    storage = open_storage(plain.address, **connection)
    samples = results.samples.copy()
    ended = threading.Event()

    def collect() -> None:
        while not ended.is_set():
            found = find_removable(storage, keep=1, older_than=timedelta(0))
            remove_found(storage, found, keep=1, tell=pytest.fail)

    with ThreadPoolExecutor(1) as pool:
        collecting = pool.submit(collect)
        try:
            for turn in range(3):  # there and back: files of a version that was dropped
                results.samples = samples if turn % 2 else samples.assign(face="Famous")
                results.write()
                version = results.publish(plain.address, connection=connection)["version"]
                assert plain.check_latest() == version
        finally:
            ended.set()
        collecting.result()
    assert plain.check_latest() == version


# Killed


def large_recordings() -> list[Recording]:
    return [Recording(f"{n:02d}", A_SOURCES, A_TYPES, rows=40, seed=2) for n in range(1, 9)]


def check_kills(folder: Path, plain: PlainStore, connection: dict, kills: int) -> None:
    results = Results(folder, large_recordings())
    whole = PlainStore(plain.client, plain.bucket, f"{plain.prefix}-whole")
    began = time.perf_counter()
    old = results.publish(whole.address, connection=connection)["version"]
    duration = time.perf_counter() - began
    moments, unfinished, versions = random.Random(0), 0, {None, old}
    for kill in range(kills):
        if kill % 3 == 2:  # another version, beside what was killed before
            results.samples["rt"] = float(kill)
            results.write()
            versions.add(results.publish(f"{whole.address}", connection=connection)["version"])
        run = start(results.results, plain.address, connection)
        go(run)
        time.sleep(moments.random() * duration)
        run.send_signal(signal.SIGKILL)
        unfinished += "done" not in run.communicate()[0]
        assert plain.check_latest() in versions
    version = results.publish(plain.address, connection=connection)["version"]
    assert plain.check_latest() == version == whole.check_latest()
    assert catalog(plain) == {"ds": version}
    assert unfinished, "no kill came while the publisher was at work"


def test_a_publish_to_a_bucket_that_is_killed_goes_on(tmp_path, plain, connection):
    check_kills(tmp_path, plain, connection, 5)


@pytest.mark.long
def test_a_publish_to_a_bucket_killed_a_hundred_times_goes_on(tmp_path, plain, connection):
    check_kills(tmp_path, plain, connection, 100)


def test_a_server_that_is_killed_meanwhile(tmp_path, plain, connection, server):
    results = Results(tmp_path, large_recordings())
    run = start(results.results, plain.address, connection)
    go(run)
    deadline = time.monotonic() + 20
    while not any("/files/" in path for path in plain.paths()) and time.monotonic() < deadline:
        time.sleep(0.02)
    server.kill()
    server.restart()
    said = run.communicate(timeout=120)[0]
    assert "Traceback" not in said
    if "done" not in said:  # it gave up while the server was away, and says so
        assert server.endpoint.rpartition(":")[2] in said or "reach" in said
    assert plain.check_latest() in (None, json.loads(_published(results))["version"])
    version = results.publish(plain.address, connection=connection)["version"]
    assert plain.check_latest() == version


def _published(results: Results) -> bytes:
    path = results.results / "published.json"
    return path.read_bytes() if path.is_file() else b'{"version": null}'


# Secrets and refusals


@pytest.mark.parametrize("right", [True, False])
def test_no_secret_is_told(right, tmp_path, plain, connection, server, monkeypatch):
    secret = server.secret_key if right else "planted-WRONG-sekrit-0123456789"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    results = Results(tmp_path, mixed_recordings()[:1])
    run = start(results.results, plain.address, connection)
    go(run)
    said = "".join(run.communicate())
    assert ("done" in said) is right
    assert "Traceback" not in said
    told = [said.encode(), *(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())]
    told += [plain.get(path) for path in plain.paths()]
    assert len(told) > 20
    for content in told:
        assert secret.encode() not in content


def test_a_bucket_that_is_not_there(results, connection):
    with pytest.raises(BidsmillError, match="no-such-bucket-here"):
        results.publish("s3://no-such-bucket-here/x", connection=connection)
    assert not (results.results / "published.json").exists()


def test_a_server_that_is_not_there(results, plain):
    with pytest.raises(BidsmillError, match=r"127\.0\.0\.1:9"):
        results.publish(plain.address, connection={"endpoint": "http://127.0.0.1:9"})


def test_the_split_of_a_version_in_a_bucket(results, plain, connection):
    version = results.publish(plain.address, connection=connection)["version"]
    results.publish()
    places = [open_storage(plain.address, **connection), open_storage(results.store)]
    assert [versions_of(storage, "ds") for storage in places] == [[version]] * 2
    one, two = (placements_of_version(storage, "ds", version) for storage in places)
    assert one == two
    assert {entry["split"] for entry in one} == {"train", "test"}
    assert versions_of(places[0], "none") == []
    verify(results.store, results.manifest())
    assert manifest.read_manifest(places[0], "ds", version) == results.manifest()
