"""Datasets arrive byte-exact through everything that goes wrong on the way, or are refused."""

from __future__ import annotations

import json
import logging
import re
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from absence import absent
from fetching import (
    DESCRIPTION,
    entries_of,
    fetch_settings,
    make_dataset,
    manifest_of,
    parts,
    remove_large,
    tree,
    write_plan,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import nginx
from servers.archive import Archive
from servers.nginx import Nginx
from servers.proxy import Fault, FaultyProxy

from bidsmill.errors import BidsmillError
from bidsmill.sources.answers import Failed
from bidsmill.sources.download import BLOCK_BYTES, Download
from bidsmill.sources.fetch import fetch_batch
from bidsmill.sources.lock import make_lock
from bidsmill.sources.remote import list_dataset, open_reader
from bidsmill.workflow.job_log import job_log

LONG = "task-long"
LARGE = 110_000_000
NEMAR, OPENNEURO = "nm900001", "ds900001"


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory, authority):
    """The test authority is trusted, and boto3 finds no credentials."""
    none = tmp_path_factory.mktemp("aws") / "none"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(authority.bundle))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", str(none))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(none))
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            patch.delenv(key, raising=False)
        yield


pytestmark = pytest.mark.usefixtures("no_heaps")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    yield folder
    remove_large(folder)


@pytest.fixture(scope="module")
def web(tmp_path_factory, authority, site):
    if missing := nginx.missing():
        absent(f"install nginx-light: there is no {missing}")
    with Nginx(tmp_path_factory.mktemp("nginx"), site, authority) as server:
        yield server


@pytest.fixture(scope="module")
def made(site):
    """A dataset of 60 files, one of them large."""
    return site / "made", make_dataset(site / "made", 59, [LARGE])


@pytest.fixture(scope="module")
def all_200(site):
    """A dataset of 200 files, three of them large."""
    sizes = [LARGE, LARGE + BLOCK_BYTES, 130_000_001]
    return site / "all", make_dataset(site / "all", 197, sizes, seed=1)


def stored(s3_server, bucket: str, root: Path, sums: dict[str, str]) -> str:
    """Store a dataset in a bucket that all may read, large files in parts; return its address."""
    client = s3_server.client()
    if bucket not in {each["Name"] for each in client.list_buckets()["Buckets"]}:
        s3_server.public_bucket(bucket)
        for path in sums:
            client.upload_file(str(root / path), bucket, f"ds/{path}")
    return f"s3://{bucket}/ds"


# Each small file meets one kind of fault, by the last digit of its run.
MIXED = [
    Fault("cut", r"run-\d\d0", at=1_000),
    Fault("status", r"run-\d\d1", times=2),
    Fault("status", r"run-\d\d2", retry_after=1),
    Fault("status", r"run-\d\d3", code=429),
    Fault("stall", r"run-\d\d4"),
    Fault("truncate", r"run-\d\d5"),
    Fault("corrupt", r"run-\d\d6"),
    Fault("html", r"run-\d\d7"),
    Fault("expired", r"run-\d\d8"),
    Fault("slow", r"run-\d\d9", bytes_per_second=400_000),
    Fault("whole", "task-over"),
    Fault("cut", "task-block", at=9_000_000),
]
# A large file meets all of them, one after the other.
MIXED_LARGE = [
    Fault("cut", LONG, times=2, at=5_000_000),
    Fault("status", LONG),
    Fault("stall", LONG, at=3_000_000),
    Fault("truncate", LONG, at=10_000_000),
    Fault("slow", LONG, bytes_per_second=3e7),
]


def arrives(root: Path, source: dict, sums: dict[str, str], entries: list[dict]) -> dict:
    """Fetch a dataset, check that all of it is there, and return what became of each file."""
    snapshot = "v1.0.0" if source["source"] == "nemar" else "1.0.0"
    reader = open_reader(source["id"] or "made", source, snapshot)
    try:
        outcomes = Download(root, reader, source["fetch"]).run(entries)
    finally:
        reader.close()
    failed = {path: o for path, o in outcomes.items() if isinstance(o, Failed)}
    assert failed == {}
    assert tree(root) == sums
    assert {path: outcome.sha256 for path, outcome in outcomes.items()} == sums
    assert parts(root) == []
    return outcomes


def source(kind: str, **given) -> dict:
    empty = dict.fromkeys(("id", "version", "url", "endpoint", "profile", "manifest", "path"))
    limits = fetch_settings(timeout=2.0, **given.pop("fetch", {}))
    return {**empty, "source": kind, "folders": [], "fetch": limits, **given}


def test_over_https_through_all_faults_at_once(web, authority, made, tmp_path):
    folder, sums = made
    faults = [*MIXED, *MIXED_LARGE, Fault("corrupt", LONG)]
    with FaultyProxy(web.url, authority, faults) as proxy:
        entries = entries_of(folder, sums, proxy.url + "made/")
        outcomes = arrives(tmp_path, source("https", url=proxy.url), sums, entries)
        assert {r.fault for r in proxy.requests} - {""} == {fault.kind for fault in faults}
        assert "participants.tsv" not in {Path(r.path).name for r in proxy.requests}
    assert all(outcome.verified for outcome in outcomes.values())


def test_over_s3_through_all_faults_at_once(s3_server, made, tmp_path):
    folder, sums = made
    url = stored(s3_server, "mixed", folder, sums)
    with FaultyProxy(s3_server.endpoint) as proxy:
        options = source("s3", url=url, endpoint=proxy.url.rstrip("/"))
        entries = list_dataset("made", options).files
        for fault in [*MIXED, *MIXED_LARGE, Fault("whole", LONG)]:
            proxy.add(fault)
        outcomes = arrives(tmp_path, options, sums, entries)
        kinds = {fault.kind for fault in (*MIXED, *MIXED_LARGE)}
        assert {r.fault for r in proxy.requests} - {""} == kinds
    # An ETag of many parts is one too, as the size of its parts is a usual one.
    assert all(outcome.verified for outcome in outcomes.values())


@pytest.mark.parametrize("kind", ["nemar", pytest.param("openneuro", marks=pytest.mark.long)])
def test_from_an_archive_through_all_faults_at_once(authority, made, tmp_path, kind):
    folder, sums = made
    name = NEMAR if kind == "nemar" else OPENNEURO
    with (
        Archive({name: {"1.0.0": folder}}, authority) as archive,
        FaultyProxy(archive.url, authority) as proxy,
    ):
        archive.url = proxy.url.rstrip("/")
        endpoint = proxy.url if kind == "nemar" else f"{proxy.url}crn/graphql"
        # All that comes after 2 s comes from addresses that were asked for in between.
        archive.signed_for = 2.0
        options = source(kind, id=name, endpoint=endpoint, fetch={"bandwidth": 40, "parallel": 2})
        entries = list_dataset(name, options).files
        assert "X-Amz" not in json.dumps(entries)
        quick = {"status", "truncate", "corrupt", "html", "cut"}
        for fault in (*MIXED, *MIXED_LARGE):
            if fault.kind in quick:
                proxy.add(fault)
        asked = archive.count("manifest.json") + archive.count("graphql")
        arrives(tmp_path, options, sums, entries)
        refused = [r for r in archive.requests if r.status == 403]
        renewed = archive.count("manifest.json") + archive.count("graphql") - asked
        if kind == "nemar":
            assert refused
        assert renewed <= 10 + len(refused)


def test_a_missing_object_behind_a_signed_address(authority, made, tmp_path):
    """Each new address differs from the one before; that alone is no hope."""
    folder, sums = made
    gone = "sub-01/eeg/sub-01_task-rest_run-000_eeg.edf"
    with Archive({NEMAR: {"1.0.0": folder}}, authority) as archive:
        archive.signed_for = 60
        archive.missing.add(gone)
        options = source("nemar", id=NEMAR, endpoint=archive.nemar)
        found = {entry["path"]: entry for entry in list_dataset(NEMAR, options).files}
        paths = [gone, DESCRIPTION, "participants.tsv"]
        reader = open_reader(NEMAR, options, "v1.0.0")
        try:
            outcomes = Download(tmp_path, reader, options["fetch"]).run([found[p] for p in paths])
        finally:
            reader.close()
        assert outcomes[gone].code == "file_missing"
        assert "by which this archive says" in outcomes[gone].message
        assert archive.count("manifest.json") <= 4
    assert tree(tmp_path) == {path: sums[path] for path in paths[1:]}
    assert parts(tmp_path) == []


ALONE = {
    "cut": Fault("cut"),
    "cut at the start": Fault("cut", at=0),
    "503": Fault("status", times=2),
    "503 with Retry-After": Fault("status", retry_after=1),
    "429": Fault("status", code=429),
    "stall": Fault("stall"),
    "truncate": Fault("truncate"),
    "corrupt": Fault("corrupt"),
    "html": Fault("html"),
    "expired": Fault("expired"),
    "whole": Fault("whole"),
    "slow": Fault("slow", bytes_per_second=1e7),
}


@pytest.mark.long
@pytest.mark.parametrize("kind", ALONE)
def test_200_files_over_https_through_one_fault(web, authority, all_200, tmp_path, kind):
    folder, sums = all_200
    with FaultyProxy(web.url, authority, [ALONE[kind]]) as proxy:
        entries = entries_of(folder, sums, proxy.url + "all/")
        arrives(tmp_path, source("https", url=proxy.url), sums, entries)
        struck = sum(request.fault != "" for request in proxy.requests)
        assert struck >= len(sums) - 1


@pytest.mark.long
@pytest.mark.parametrize("kind", ALONE)
def test_200_files_over_s3_through_one_fault(s3_server, all_200, tmp_path, kind):
    folder, sums = all_200
    url, fault = stored(s3_server, "all", folder, sums), ALONE[kind]
    if kind == "corrupt":
        fault = replace(fault, path=r"task-rest|\.json")  # what came in one part
    with FaultyProxy(s3_server.endpoint) as proxy:
        options = source("s3", url=url, endpoint=proxy.url.rstrip("/"))
        entries = list_dataset("all", options).files
        proxy.add(fault)
        arrives(tmp_path, options, sums, entries)
        assert sum(request.fault != "" for request in proxy.requests) >= len(sums) - 6


# Fault that never ends, and the reason code that a file gets by it.
NEVER = {
    "corrupt": (Fault("corrupt", times=None), "wrong_checksum"),
    "truncate": (Fault("truncate", times=None), "wrong_size"),
    "html": (Fault("html", times=None), "not_data"),
    "cut": (Fault("cut", times=None), "fetch_failed"),
    "stall": (Fault("stall", times=None), "fetch_failed"),
    "503": (Fault("status", times=None), "fetch_failed"),
    "500": (Fault("status", times=None, code=500), "fetch_failed"),
    "418": (Fault("status", times=None, code=418), "fetch_failed"),
    "404": (Fault("status", times=None, code=404), "file_missing"),
    "403": (Fault("status", times=None, code=403), "file_missing"),
    "410": (Fault("status", times=None, code=410), "file_missing"),
    "expired": (Fault("expired", times=None), "fetch_failed"),
}


def fetched(results: Path, options: dict) -> dict[str, dict]:
    """Fetch the batch as a job does, and return its manifest."""
    plan, manifest = results / "plan/b0000.json", results / "fetch/b0000.json"
    with job_log(results / "logs" / "fetch.log"):
        fetch_batch(plan, manifest, settings=options, results=results)
    return manifest_of(results)


def test_what_never_heals_costs_its_recording_alone(web, authority, made, tmp_path):
    folder, sums = made
    small = [path for path in sums if "run-0" in path]
    bad = dict(zip(small, NEVER, strict=False))
    faults = [replace(NEVER[bad[path]][0], path=re.escape(path)) for path in bad]
    large = next(path for path in sums if LONG in path)
    with FaultyProxy(web.url, authority, [*faults, Fault("corrupt", LONG, times=None)]) as proxy:
        write_plan(tmp_path, entries_of(folder, sums, proxy.url + "made/"))
        options = source("https", url=proxy.url, fetch={"retries": 1})
        members = fetched(tmp_path, options)
        wrong = {**{path: NEVER[kind][1] for path, kind in bad.items()}, large: "wrong_checksum"}
        found = {
            path: member["reason"]
            for path, member in members.items()
            if member["status"] == "missing"
        }
        assert found == wrong
        there = {path: sha256 for path, sha256 in sums.items() if path not in wrong}
        assert tree(tmp_path / "bids") == there
        assert parts(tmp_path) == []
        log = (tmp_path / "logs" / "fetch.log").read_text()
        assert all(f"{path} did not come ({code})" in log for path, code in wrong.items())
        # Once the way is clear, only what is missing is asked for.
        proxy.heal()
        proxy.requests.clear()
        members = fetched(tmp_path, options)
        assert {member["status"] for member in members.values()} == {"present"}
        asked = {request.path.removeprefix("/made/") for request in proxy.requests}
        assert asked == set(wrong)
    assert tree(tmp_path / "bids") == sums
    assert parts(tmp_path) == []


@pytest.mark.parametrize("there", [0, 3])
def test_a_server_that_is_gone_costs_no_recording(authority, made, tmp_path, there):
    """Few files are left to fetch; their recordings must not be given up for that."""
    folder, sums = made
    if missing := nginx.missing():
        absent(f"install nginx-light: there is no {missing}")
    chosen = {path: sums[path] for path in sorted(sums) if "run-00" in path}
    chosen = dict(list(chosen.items())[:6])
    with Nginx(tmp_path / "nginx", folder, authority) as server:
        entries = entries_of(folder, chosen, server.url)
        results = tmp_path / "results"
        options = source("https", url=server.url, fetch={"retries": 1})
        if there:
            write_plan(results, entries[:there])
            fetched(results, options)
        write_plan(results, entries)
        server.stop()
        began = time.monotonic()
        with pytest.raises(BidsmillError, match=r"cannot be reached.*is kept") as problem:
            fetch_batch(
                results / "plan/b0000.json",
                results / "fetch/again.json",
                settings=options,
                results=results,
            )
        assert time.monotonic() - began < 120
        assert "Traceback" not in str(problem.value)
        assert not (results / "fetch/again.json").exists()
        assert len(tree(results / "bids")) == there
        server.restart()
        server.forget()
        fetched(results, options)
        assert len({request.path for request in server.requests()}) == 6 - there
    assert tree(results / "bids") == chosen


def test_a_server_that_goes_away_in_the_middle(authority, made, tmp_path):
    folder, sums = made
    if missing := nginx.missing():
        absent(f"install nginx-light: there is no {missing}")
    landed = {}
    with Nginx(tmp_path / "nginx", folder, authority) as server:

        def land(entry, sha256):
            landed[entry["path"]] = sha256
            if len(landed) == 20:
                server.kill()

        options = source("https", url=server.url, fetch={"retries": 1})
        entries = entries_of(folder, sums, server.url)
        reader = open_reader("made", options, "1.0.0")
        download = Download(tmp_path / "bids", reader, options["fetch"], landed=land)
        with pytest.raises(BidsmillError, match="cannot be reached"):
            download.run(entries)
        reader.close()
        assert tree(tmp_path / "bids") == landed
        assert all(sums[path] == sha256 for path, sha256 in landed.items())
        server.restart()
        arrives(tmp_path / "bids", options, sums, entries)


def test_an_s3_server_that_is_gone(made, tmp_path):
    options = source("s3", url="s3://any/ds", endpoint="http://127.0.0.1:9", fetch={"retries": 1})
    paths = [f"sub-{i:02}/a.edf" for i in range(12)]
    entries = [{"path": path, "size": 5, "checksum": "etag:x-2"} for path in paths]
    write_plan(tmp_path, entries)
    with pytest.raises(BidsmillError, match="cannot be reached"):
        fetch_batch(
            tmp_path / "plan/b0000.json",
            tmp_path / "fetch/b0000.json",
            settings=options,
            results=tmp_path,
        )
    assert not tree(tmp_path / "bids")


# Secrets


def everything(folder: Path) -> bytes:
    return b"\n".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def test_signed_addresses_stay_in_memory(authority, made, tmp_path, caplog, capfd):
    folder, sums = made
    kept = {path for path in sums if LONG not in path and "task-" in path}
    with (
        Archive({NEMAR: {"1.0.0": folder}}, authority) as archive,
        FaultyProxy(archive.url, authority) as proxy,
    ):
        archive.url = proxy.url.rstrip("/")
        archive.signed_for = 60
        options = source("nemar", id=NEMAR, endpoint=proxy.url, fetch={"retries": 1})
        with caplog.at_level(logging.DEBUG):
            lock = make_lock(NEMAR, options, tmp_path)
            entries = [entry for entry in lock["files"] if entry["path"] in kept]
            write_plan(tmp_path, entries, lock["snapshot"])
            (tmp_path / "whole.json").write_text(json.dumps(lock))
            archive.missing.add(entries[0]["path"])
            for fault in (*MIXED, Fault("expired", "run-013", times=None)):
                proxy.add(fault)
            proxy.add(Fault("status", "run-014", times=None))
            fetched(tmp_path, options)
        assert archive.count("X-Amz-Signature=") > 50
    text = everything(tmp_path) + caplog.text.encode() + "".join(capfd.readouterr()).encode()
    assert b"did not come" in text
    for secret in (b"X-Amz", b"Signature"):
        assert secret not in text


def test_credentials_stay_in_memory(s3_server, made, tmp_path, monkeypatch, caplog, capfd):
    folder, sums = made
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret_key)
    url = stored(s3_server, "mixed", folder, sums)
    with FaultyProxy(s3_server.endpoint) as proxy:
        options = source("s3", url=url, endpoint=proxy.url.rstrip("/"), fetch={"retries": 1})
        with caplog.at_level(logging.DEBUG):
            lock = make_lock("made", options, tmp_path)
            entries = [entry for entry in lock["files"] if "run-00" in entry["path"]]
            write_plan(tmp_path, entries, lock["snapshot"])
            (tmp_path / "whole.json").write_text(json.dumps(lock))
            proxy.add(Fault("status", "run-002", times=None))
            proxy.add(Fault("status", "run-003", code=403, times=None))
            proxy.add(Fault("html", "run-004", times=None))
            fetched(tmp_path, options)
    text = everything(tmp_path) + "".join(capfd.readouterr()).encode()
    assert b"did not come" in text
    for secret in (s3_server.access_key, s3_server.secret_key, "Signature", "AWS4-HMAC"):
        assert secret.encode() not in text
    assert s3_server.secret_key not in caplog.text


# Hostile listings

PARTS = ["sub-01", "eeg", "a b", "sub-01_task-rest_eeg.edf", "ä", ".bidsignore"]
BAD_PARTS = ["..", ".", "", "...", ".. ", "a\\b", "..\\..\\x", "C:x", "c:", "CON", "nul.txt"]
BAD_PARTS += ["COM1.edf", "a\x01b", "\x7f", "x" * 256, "ä" * 128, "x\x85y", "AUX ", ".a.1-b.part"]
COLLISIONS = [
    ["sub-01/a.edf", "sub-01/A.EDF"],
    ["Sub-02/a.edf", "sub-02/b.edf"],
    ["sub-02", "sub-02/a.edf"],
    ["sub-01/caf\u00e9", "sub-01/cafe\u0301"],
    ["sub-01/a.edf.", "sub-01/a.edf"],
    ["sub-01/x.edf", "sub-01/x.edf"],
    ["/".join(["long"] * 230)],
    ["/etc/bidsmill-was-here"],
    ["../../bidsmill-was-here"],
]


@st.composite
def hostile(draw, bad_parts=tuple(BAD_PARTS)) -> list[str]:
    """Names of files, one or some of them such that a disk must not hold them."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(COLLISIONS))
    before, after = (draw(st.lists(st.sampled_from(PARTS), max_size=2)) for _ in range(2))
    bad = draw(st.sampled_from(bad_parts))
    # A temporary name at the end only; elsewhere it is a folder like any other.
    return ["/".join([*before, bad, *([] if bad.endswith(".part") else after)])]


def snapshot(folder: Path) -> dict[str, tuple]:
    """Return all that lies in a folder, with times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        found[str(path)] = (facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ino)
    return found


def is_refused(arena: Path, name: str, options: dict) -> None:
    """Check that a dataset cannot be locked, in words for people, and that nothing is written."""
    results = arena / "deep" / "deeper" / "results" / "made"
    results.mkdir(parents=True)
    (arena / "bystander.txt").write_text("untouched")
    before = snapshot(arena)
    with pytest.raises(BidsmillError) as problem:
        make_lock(name, options, results)
    message = str(problem.value)
    assert message.encode("utf-8").decode().isprintable()
    assert len(message) < 4_000
    assert snapshot(arena) == before
    assert not Path("/etc/bidsmill-was-here").exists()


GOOD = [DESCRIPTION, "sub-01/eeg/sub-01_task-good_eeg.edf"]


def manifest(kind: str, paths: list[str]) -> tuple[str, bytes]:
    rows = [{"path": path, "size": 60, "sha256": "a" * 64} for path in [*GOOD, *paths]]
    if kind == "json":
        return "manifest.json", json.dumps({"files": rows}).encode("utf-8", "surrogatepass")
    lines = ["\t".join(map(str, row.values())) for row in rows]
    return "manifest.tsv", "\n".join(["path\tsize\tsha256", *lines, ""]).encode()


def hostile_manifests(web, site):
    @given(paths=hostile(), kind=st.sampled_from(["tsv", "json"]))
    def check(paths, kind):
        folder = site / "hostile"
        folder.mkdir(exist_ok=True)
        name, content = manifest(kind, paths)
        (folder / name).write_bytes(content)
        with TemporaryDirectory() as arena:
            options = source("https", url=f"{web.url}hostile/", manifest=name)
            is_refused(Path(arena), "made", options)

    return check


def hostile_archives(archive):
    files = archive.files(NEMAR, "1.0.0")
    good = [file for file in files if file.path in (DESCRIPTION, GOOD[1])]

    # nemar-py takes the parts "." and "" out of names, which then are harmless.
    @given(paths=hostile([part for part in BAD_PARTS if part not in ("", ".")]))
    def check(paths):
        archive.files(NEMAR, "1.0.0")[:] = good + [replace(good[1], path=path) for path in paths]
        with TemporaryDirectory() as arena:
            options = source("nemar", id=NEMAR, endpoint=archive.nemar, fetch={"retries": 0})
            is_refused(Path(arena), NEMAR, options)

    return check


@pytest.fixture(scope="module")
def small_archive(tmp_path_factory, authority):
    folder = tmp_path_factory.mktemp("small")
    for path in GOOD:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text('{"Name": "Made", "BIDSVersion": "1.10.0"}')
    with Archive({NEMAR: {"1.0.0": folder}}, authority) as archive:
        yield archive


def effort(count: int):
    return settings(max_examples=count, deadline=None, derandomize=True)


def test_hostile_manifests_are_refused(web, site):
    effort(12)(hostile_manifests(web, site))()


@pytest.mark.long
def test_many_hostile_manifests_are_refused(web, site):
    effort(60)(hostile_manifests(web, site))()


def test_hostile_archives_are_refused(small_archive):
    effort(10)(hostile_archives(small_archive))()


@pytest.mark.long
def test_many_hostile_archives_are_refused(small_archive):
    effort(40)(hostile_archives(small_archive))()


KEYS = ["../x", "sub-01/../../x", "/etc/x", "a//b", "a\\b", "sub-01/CON.edf", ".a.1-b.part"]
KEYS += ["a\x7fb", "sub-01/eeg", "SUB-01/eeg/sub-01_task-good_eeg.edf"]


@pytest.mark.parametrize("number", range(len(KEYS)), ids=lambda n: ascii(KEYS[n]))
def test_hostile_buckets_are_refused(s3_server, tmp_path, number):
    client, bucket = s3_server.client(), "hostile"
    if bucket not in {each["Name"] for each in client.list_buckets()["Buckets"]}:
        s3_server.public_bucket(bucket)
    prefix = f"ds{number}/"
    for path in [*GOOD, KEYS[number]]:
        client.put_object(Bucket=bucket, Key=prefix + path, Body=b"{}")
    options = source("s3", url=f"s3://{bucket}/{prefix}", endpoint=s3_server.endpoint)
    is_refused(tmp_path, "made", options)
