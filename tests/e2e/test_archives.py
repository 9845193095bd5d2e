"""Datasets of archives, through the whole pipeline: pinned, complete, and only news is fetched.

One dataset of eight recordings stands behind real servers; what is asked for is read in their
own records.
"""

from __future__ import annotations

import compileall
import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from absence import absent
from archive_runs import (
    DESCRIPTION,
    RUNS,
    SETTINGS,
    STEMS,
    STRANGER,
    Bucket,
    SmallRun,
    copied,
    data,
    digest,
    events,
    files_of,
    kill_all,
    put,
    results_of,
    stem,
    wait_until,
    without_logs,
    write_dataset,
    write_files,
    write_participants,
    write_recording,
)
from servers import nginx
from servers.archive import Archive
from servers.authority import Authority
from servers.proxy import FaultyProxy
from stages import run_stages

import bidsmill

# Up to here everything that a source may have a part in is done; figures and store come later.
TABLES = "results/small/recordings.tsv"
CONVERTED = "results/small/convert/b0000.json"
FETCHED = ("results/small/fetch/b0000.json", "results/small/fetch/dataset.json")
SOURCES = ("s3", "openneuro", "nemar", "https")
# How the archives below call the dataset.
OPENNEURO, NEMAR = "ds900001", "nm900001"


@pytest.fixture(scope="module")
def project(root, tmp_path_factory) -> Path:
    """Return a copy of the project: runs that take minutes must not see it change."""
    target = tmp_path_factory.mktemp("project")
    for name in ("src", "workflow", "config", "envs", "profiles"):
        shutil.copytree(root / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "Snakefile", target)
    # Or else every job would do it anew: they write no bytecode.
    compileall.compile_dir(target / "src", quiet=1)
    return target


@pytest.fixture(scope="module")
def authority(tmp_path_factory, project):
    """Return the authority that signs the servers' certificates, and set up what runs see of us.

    They trust it, find no credentials, and take all code from the copy of the project.
    """
    with pytest.MonkeyPatch.context() as patch:
        made = Authority(tmp_path_factory.mktemp("authority"))
        patch.setenv("SSL_CERT_FILE", str(made.bundle))
        for key, value in {**STRANGER, "PYTHONPATH": str(project / "src")}.items():
            patch.setenv(key, value)
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            patch.delenv(key, raising=False)
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return the dataset. Not to be changed: `copied` makes a copy."""
    return write_dataset(tmp_path_factory.mktemp("data") / "small")


@pytest.fixture(scope="module")
def proxy(s3_server):
    """Return what stands before the S3 server and writes down what is asked for."""
    with FaultyProxy(s3_server.endpoint) as running:
        yield running


@pytest.fixture(scope="module")
def public(s3_server, authority, proxy, folder) -> Bucket:
    """Return a public bucket that keeps no versions, with the dataset."""
    bucket = Bucket(s3_server.client(), s3_server.public_bucket("public"), proxy)
    bucket.mirror(folder)
    return bucket


@pytest.fixture
def bucket(public, folder):
    """Return that bucket, to be changed: it is put in order again."""
    public.asked()
    yield public
    public.mirror(folder)


@pytest.fixture(scope="module")
def archive(authority, folder):
    """Return the server that speaks as OpenNeuro and NEMAR do."""
    datasets = {OPENNEURO: {"1.0.0": folder}, NEMAR: {"1.0.0": folder}}
    with Archive(datasets, authority) as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory, authority, folder):
    """Return nginx with the dataset in the folder `small`, listed by `bidsmill manifest`."""
    missing = nginx.missing()
    if missing:
        absent(f"no HTTPS server: {missing}")
    www = tmp_path_factory.mktemp("www")
    served = copied(folder, www / "small")
    subprocess.run([sys.executable, "-m", "bidsmill.cli", "manifest", str(served)], check=True)
    with nginx.Nginx(tmp_path_factory.mktemp("nginx"), www, authority) as running:
        yield running


@pytest.fixture(scope="module")
def settings(request):
    """Return a function: the settings of the dataset from a source, whose server is started."""

    def of(source: str) -> dict:
        if source == "s3":
            return request.getfixturevalue("public").settings()
        if source == "https":
            url = f"{request.getfixturevalue('site').url}small"
            return {"source": source, "url": url, **SETTINGS}
        server = request.getfixturevalue("archive")
        if source == "openneuro":
            named = {"id": OPENNEURO, "endpoint": server.graphql}
        else:
            named = {"id": NEMAR, "endpoint": server.nemar}
        return {"source": source, **named, **SETTINGS}

    return of


@pytest.fixture(scope="module")
def finished(request, settings, folder, tmp_path_factory, project):
    """Return a function: a finished run from a source. Not to be changed."""
    runs: dict[str, SmallRun] = {}

    def of(source: str) -> SmallRun:
        if source not in runs:
            run = SmallRun(tmp_path_factory.mktemp(source), project)
            runs[source] = run
            if source == "local":
                # What all are compared with, made without Snakemake.
                own = {"source": source, "path": str(folder), **SETTINGS}
                run_stages(run.folder, {"datasets": {"small": own}}, finished=())
                return run
            run.configure(small=settings(source))
            if source == "nemar":
                # Its addresses are signed: they end, and are secrets until then.
                request.getfixturevalue("archive").signed_for = 600.0
            run.go(*([] if source == "s3" else [TABLES]))
            if source == "nemar":
                request.getfixturevalue("archive").signed_for = None
        return runs[source]

    return of


@pytest.fixture
def from_bucket(finished, bucket, tmp_path) -> SmallRun:
    """Return a copy of the finished run from the bucket, to be changed."""
    run = finished("s3").copy(tmp_path / "copy")
    bucket.asked()
    return run


# Every source gives the same


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_the_same_bytes(finished, folder, source):
    run, local = finished(source), finished("local")
    assert run.fates() == local.fates() == dict.fromkeys(STEMS, "converted")
    assert run.matrices() == local.matrices()
    assert len(run.matrices()) == len(STEMS)
    for name in ("samples.parquet", "recordings.tsv", "events.tsv", "channels.tsv", "labels.json"):
        results = [each.results / "small" / name for each in (run, local)]
        assert results[0].read_bytes() == results[1].read_bytes(), name
    assert run.fetched() == files_of(folder)
    for subject, number in (("01", "1"), ("04", "2")):
        matrix = run.results / "small" / "matrix" / f"{stem(subject, number)}.parquet"
        stated = json.loads(pq.read_metadata(matrix).metadata[b"bidsmill"])["source"]
        content = (folder / data(subject, number)).read_bytes()
        assert f"sha256:{stated['sha256']}" == digest("sha256", content)


@pytest.mark.parametrize("source", [*SOURCES, "local"])
def test_the_lock_says_what_is_used(finished, folder, source):
    lock = finished(source).lock()
    assert lock["source"]["kind"] == source and lock["dataset"] == "small"
    versions = {"openneuro": "1.0.0", "nemar": "v1.0.0"}
    assert lock["snapshot"] == versions.get(source, source)
    assert (lock["license"], lock["doi"]) == (DESCRIPTION["License"], DESCRIPTION["DatasetDOI"])
    assert lock["authors"] == DESCRIPTION["Authors"]
    assert lock["description"] == DESCRIPTION
    content = files_of(folder)
    assert [entry["path"] for entry in lock["files"]] == sorted(content)
    used = set()
    for entry in lock["files"]:
        algorithm, _, _ = entry["checksum"].partition(":")
        used.add(algorithm)
        assert entry["checksum"] == digest(algorithm, content[entry["path"]])
        assert entry["size"] == len(content[entry["path"]])
    known = {"s3": {"md5"}, "https": {"sha256"}, "local": {"sha256"}}
    assert used == known.get(source, {"sha256", "md5", "git"})


def test_no_endpoint_and_no_signature_is_in_a_result(finished, public, archive):
    """Endpoints belong to the config: a lock and a store hold wherever the service is."""
    endpoint = public.proxy.url.rstrip("/")
    for source, secret in (
        ("s3", endpoint),
        ("openneuro", archive.graphql),
        ("nemar", "X-Amz-Signature"),
    ):
        results = files_of(finished(source).results)
        assert results and not [p for p, content in results.items() if secret.encode() in content]
    assert archive.count("X-Amz-Signature")


def test_a_second_run_asks_the_server_for_nothing(finished, public, archive, site):
    for source in SOURCES:
        finished(source)
    public.proxy.requests.clear()
    archive.requests.clear()
    site.forget()
    assert "Nothing to be done" in finished("s3").go()
    assert "Nothing to be done" in finished("nemar").go(TABLES)
    assert not public.proxy.requests and not archive.requests and not site.requests()


# News


@pytest.mark.long
def test_of_news_in_a_bucket_only_what_changed_is_fetched_and_converted(
    from_bucket, bucket, folder, tmp_path
):
    run, upstream = from_bucket, copied(folder, tmp_path / "upstream")
    old = bidsmill.open(run.results / "store")["small"]
    # A data file.
    write_recording(upstream, "02", "1", seed=1)
    bucket.mirror(upstream)
    before = run.kept()
    run.go(TABLES, "--forcerun", "lock")
    name = stem("02", "1")
    assert bucket.asked() == [data("02", "1")]
    assert "1 to fetch" in run.log("small", "fetch.b0000")
    assert "0 to fetch" in run.log("small", "fetch_dataset")
    assert f"converted 1, unchanged {len(STEMS) - 1}" in run.log("small", "convert.b0000")
    moved = run.moved(before)
    assert {f"bids/{data('02', '1')}", f"matrix/{name}.parquet"} <= moved
    assert moved <= {f"bids/{data('02', '1')}"} | results_of(name)
    assert run.fetched() == files_of(upstream)
    # A subject comes, a recording goes, and of one the events change, which shape no row of a
    # fixed length.
    text = (upstream / events("03", "2")).read_text()
    put(upstream, events("03", "2"), text.replace("\tgo\n", "\twait\n", 1))
    write_participants(upstream, ("01", "02", "03", "04", "05"))
    for number in RUNS:
        write_recording(upstream, "05", number)
    (upstream / data("01", "2")).unlink()
    (upstream / events("01", "2")).unlink()
    bucket.mirror(upstream)
    before = run.kept()
    run.go("--forcerun", "lock")
    came = {path for number in RUNS for path in (data("05", number), events("05", number))}
    went = {data("01", "2"), events("01", "2")}
    shared = {"participants.tsv", events("03", "2")}
    assert bucket.asked() == sorted(came | shared)
    assert f"annotated 3, unchanged {len(STEMS) - 2}" in run.log("small", "annotate.b0000")
    assert f"converted 2, unchanged {len(STEMS) - 1}" in run.log("small", "convert.b0000")
    assert run.fetched() == files_of(upstream)
    assert "wait" in (run.results / "small" / "events.tsv").read_text()
    allowed = {f"bids/{path}" for path in came | went | shared}
    for name in (stem("05", "1"), stem("05", "2"), stem("01", "2")):
        allowed |= results_of(name)
    allowed |= {f"events/{stem('03', '2')}.{extension}" for extension in ("tsv", "json")}
    assert run.moved(before) == allowed
    names = sorted({*STEMS, stem("05", "1"), stem("05", "2")} - {stem("01", "2")})
    assert run.fates() == dict.fromkeys(names, "converted")
    check_what_is_published(run, old, names)


def check_what_is_published(run, old, names):
    """The newest version holds these recordings; the one before is as it was."""
    store = bidsmill.open(run.results / "store")
    new = store["small"]
    assert new.version != old.version
    assert sorted(new.recordings["recording"]) == names
    assert sorted(set(new.samples["recording"])) == names
    before = store[f"small@{old.version}"]
    assert sorted(before.recordings["recording"]) == STEMS
    assert before.select(channels=["Cz"]).arrays().tobytes() == (
        old.select(channels=["Cz"]).arrays().tobytes()
    )
    page = (run.results / "small" / "report.html").read_text()
    news = re.sub(r"\s+", " ", page.partition("What the last update brought")[2])
    assert "2 recordings added, 1 changed, 1 removed" in news
    came = [stem("05", number) for number in RUNS]
    changed, went = [stem("03", "2")], [stem("01", "2")]
    for kind, listed in (("Removed", went), ("Added", came), ("Changed", changed)):
        own = news.partition(f"<summary>{kind}:")[2].partition("</details>")[0]
        assert re.findall("<code>(.*?)</code>", own) == listed


def test_without_news_nothing_is_fetched_or_converted(from_bucket, bucket):
    run, before = from_bucket, from_bucket.bytes_of_results()
    printed = run.go("--forcerun", "lock")
    assert "lock small" in printed
    assert not re.findall("(?:fetch|annotate|convert|collate) small", printed)
    assert bucket.asked() == []
    # The store, too, holds the same version and no other.
    assert run.bytes_of_results() == before


def test_of_a_new_snapshot_only_what_changed_is_fetched(finished, archive, folder, tmp_path):
    run = finished("openneuro").copy(tmp_path / "copy")
    upstream = copied(folder, tmp_path / "upstream")
    write_recording(upstream, "03", "1", seed=1)
    write_recording(upstream, "03", "3")
    (upstream / data("04", "1")).unlink()
    (upstream / events("04", "1")).unlink()
    archive.publish(OPENNEURO, "1.1.0", upstream)
    archive.requests.clear()
    before = run.kept()
    run.go(TABLES, "--forcerun", "lock")
    del archive.datasets[OPENNEURO]["1.1.0"]
    start = f"/openneuro.org/{OPENNEURO}/"
    asked = {r.path.partition("?")[0].removeprefix(start) for r in archive.requests}
    news = {data("03", "1"), data("03", "3"), events("03", "3")}
    # Small files are read to learn what the ids in a listing are.
    assert {path for path in asked if path.startswith("sub-")} == news
    assert "3 to fetch" in run.log("small", "fetch.b0000")
    assert f"converted 2, unchanged {len(STEMS) - 2}" in run.log("small", "convert.b0000")
    touched = (stem("03", "1"), stem("03", "3"), stem("04", "1"))
    allowed = {path for name in touched for path in results_of(name)}
    allowed |= {f"bids/{path}" for path in (*news, data("04", "1"), events("04", "1"))}
    assert run.moved(before) <= allowed
    assert run.fetched() == files_of(upstream)
    assert run.lock()["snapshot"] == "1.1.0"
    assert set(run.fates()) == {*STEMS, stem("03", "3")} - {stem("04", "1")}


@pytest.mark.long
def test_lost_events_are_noticed_and_the_named_command_rebuilds_them(from_bucket):
    run, clean = from_bucket, from_bucket.bytes_of_results()
    lost = run.results / "small" / "events" / f"{stem('01', '1')}.tsv"
    lost.unlink()
    printed = run.go(TABLES, "--forcerun", "collate", fails=True)
    assert str(lost.relative_to(run.folder)) in printed
    assert "snakemake --cores 2 -R annotate" in printed
    assert "Traceback" not in without_logs(printed)
    run.go(TABLES, "-R", "annotate")
    assert f"annotated 1, unchanged {len(STEMS) - 1}" in run.log("small", "annotate.b0000")
    assert "converted 0" in run.log("small", "convert.b0000")
    assert run.bytes_of_results() == clean


def lose_a_file_that_is_needed(run: SmallRun) -> None:
    """Remove a fetched file, and change the settings so that it has to be read again."""
    (run.results / "small" / "bids" / data("02", "2")).unlink()
    run.change(windows={"kind": "fixed", "length": 2})
    run.go(CONVERTED)
    lost = stem("02", "2")
    assert run.fates() == {**dict.fromkeys(STEMS, "converted"), lost: "file_missing"}
    assert data("02", "2") in run.members()[lost]["message"]


@pytest.mark.long
def test_a_lost_file_is_noticed_when_it_is_needed_and_fetched_alone(from_bucket, bucket):
    lose_a_file_that_is_needed(from_bucket)
    from_bucket.go(CONVERTED, "-R", "fetch")
    assert bucket.asked() == [data("02", "2")]
    assert from_bucket.fates() == dict.fromkeys(STEMS, "converted")
    assert "converted 1, unchanged 7" in from_bucket.log("small", "convert.b0000")


@pytest.mark.long
def test_the_command_in_the_message_fetches_a_lost_file(from_bucket, bucket):
    lose_a_file_that_is_needed(from_bucket)
    assert "--forcerun lock" in from_bucket.members()[stem("02", "2")]["message"]
    from_bucket.go(TABLES)
    from_bucket.go(TABLES, "--forcerun", "lock")
    assert bucket.asked() == [data("02", "2")]
    assert from_bucket.fates() == dict.fromkeys(STEMS, "converted")


# Committed locks


@pytest.mark.long
def test_a_committed_lock_gives_the_same_from_a_bucket_with_versions(
    s3_server, authority, proxy, finished, folder, tmp_path, project, monkeypatch
):
    """The bucket is private; what opens it is in the files of AWS, and in nothing that we write."""
    owner = s3_server.access_key, s3_server.secret_key
    keys = "aws_access_key_id={}\naws_secret_access_key={}\n".format(*owner)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(put(tmp_path, "aws", f"[lab]\n{keys}")))
    client = s3_server.client()
    client.create_bucket(Bucket="versions")
    enabled = {"Status": "Enabled"}
    client.put_bucket_versioning(Bucket="versions", VersioningConfiguration=enabled)
    bucket = Bucket(client, "versions", proxy)
    bucket.mirror(folder)
    run = SmallRun(tmp_path / "run", project)
    run.folder.mkdir()
    run.configure(small=bucket.settings(profile="lab"))
    told = run.bidsmill("lock", "small")
    assert (told.returncode, told.stderr) == (0, "")
    assert "config/locks/small.json" in told.stdout
    assert not run.results.exists()
    upstream = copied(folder, tmp_path / "upstream")
    write_recording(upstream, "02", "1", seed=1)
    (upstream / data("03", "2")).unlink()
    bucket.mirror(upstream)
    run.go(CONVERTED, *FETCHED)
    found = run.lock()
    assert found.pop("split")["source"] == "none"
    assert found == json.loads((run.folder / "config/locks/small.json").read_bytes())
    assert set(run.fates().values()) == {"converted"}
    assert run.matrices() == finished("local").matrices()
    assert run.fetched() == files_of(folder)
    secrets = [secret.encode() for secret in owner]
    written = files_of(run.folder)
    assert not [path for path, content in written.items() for s in secrets if s in content]


@pytest.mark.long
def test_without_the_old_bytes_just_their_recordings_are_missed_until_an_update(
    bucket, finished, folder, tmp_path, project
):
    run = SmallRun(tmp_path / "run", project)
    run.folder.mkdir()
    run.configure(small=bucket.settings())
    assert run.bidsmill("lock").returncode == 0
    upstream = copied(folder, tmp_path / "upstream")
    write_recording(upstream, "02", "1", seed=1)
    write_recording(upstream, "04", "3")
    (upstream / data("03", "2")).unlink()
    (upstream / events("03", "2")).unlink()
    bucket.mirror(upstream)
    run.go(CONVERTED)
    gone = {stem("02", "1"): "source_changed", stem("03", "2"): "file_missing"}
    assert run.fates() == {**dict.fromkeys(STEMS, "converted"), **gone}
    kept = finished("local").matrices()
    assert run.matrices() == {name: kept[name] for name in STEMS if name not in gone}
    # What an update would bring; nothing is fetched, nothing is written.
    bucket.asked()
    before = files_of(run.folder)
    told = run.bidsmill("lock", "--update", "small")
    assert (told.returncode, told.stderr) == (0, "")
    assert re.findall(r"^ +([+~-]) (.*)$", told.stdout, re.MULTILINE) == [
        ("+", data("04", "3")),
        ("+", events("04", "3")),
        ("~", data("02", "1")),
        ("-", data("03", "2")),
        ("-", events("03", "2")),
    ]
    assert "recordings: 1 added, 1 changed, 1 removed, 6 unchanged" in told.stdout
    assert "bidsmill lock --update --accept small" in told.stdout
    assert files_of(run.folder) == before
    assert not [path for path in bucket.asked() if path.startswith("sub-")]
    # It is taken in.
    assert run.bidsmill("lock", "--update", "--accept", "small").returncode == 0
    run.go(CONVERTED, *FETCHED)
    names = sorted({*STEMS, stem("04", "3")} - {stem("03", "2")})
    assert run.fates() == dict.fromkeys(names, "converted")
    assert run.fetched() == files_of(upstream)
    assert "converted 2, unchanged 6" in run.log("small", "convert.b0000")


@pytest.mark.long
def test_a_committed_lock_gives_the_same_from_an_old_snapshot(
    archive, settings, finished, folder, tmp_path, project
):
    run = SmallRun(tmp_path / "run", project)
    run.folder.mkdir()
    archive.publish("ds900002", "1.0.0", folder)
    run.configure(small={**settings("openneuro"), "id": "ds900002"})
    assert run.bidsmill("lock").returncode == 0
    upstream = copied(folder, tmp_path / "upstream")
    for subject in ("01", "02"):
        write_recording(upstream, subject, "1", seed=1)
    archive.publish("ds900002", "2.0.0", upstream)
    run.go(CONVERTED)
    assert run.lock()["snapshot"] == "1.0.0"
    assert run.matrices() == finished("local").matrices()
    told = run.bidsmill("lock", "--update")
    assert f"1.0.0 ({Path('config/locks/small.json')}) -> 2.0.0" in told.stdout
    assert re.findall(r"^ +([+~-]) (.*)$", told.stdout, re.MULTILINE) == [
        ("~", data("01", "1")),
        ("~", data("02", "1")),
    ]


def test_locks_that_cannot_be_used_are_refused(finished, tmp_path, project):
    """Each dataset of one run has a lock of another kind."""
    good = finished("openneuro").lock()
    known = json.loads(json.dumps(good["files"]))
    outside = [{**known[0], "path": "../../outside.txt"}, *known[1:]]
    weak = [{**known[0], "checksum": "crc32:00000000"}, *known[1:]]
    locks = {
        "outside": ({**good, "files": outside}, "'../../outside.txt'"),
        "weak": ({**good, "files": weak}, "the lock is damaged"),
        "older": (good, "expected: version 0.9.0"),
        "newer": ({**good, "contract": "3"}, "found: contract 3"),
        "cut": (None, "cut.json"),
    }
    run = SmallRun(tmp_path / "run", project)
    run.folder.mkdir()
    datasets = {}
    own = {"source": "openneuro", "id": OPENNEURO, **SETTINGS}
    for name, (lock, _) in locks.items():
        datasets[name] = {**own, "version": "0.9.0" if name == "older" else "1.0.0"}
        text = json.dumps({**(lock or good), "dataset": name})
        put(run.folder, f"config/locks/{name}.json", text[:-400] if name == "cut" else text)
    run.configure(**datasets)
    printed = run.go(fails=True)
    for name, (_, told) in locks.items():
        (line,) = run.log(name, "lock").splitlines()
        assert f"config/locks/{name}.json" in line and told in line, name
        # The job tells it, and Snakemake repeats the log of a job that failed.
        assert printed.count(line.removeprefix("ERROR ")) == 2, (name, printed)
    assert "Traceback" not in printed
    assert not list(run.results.rglob("*.json"))
    assert not (tmp_path / "outside.txt").exists()


# What is chosen

TOP = [
    ".bidsignore",
    "CHANGES",
    "README",
    "dataset_description.json",
    "participants.json",
    "participants.tsv",
    "phenotype/bdi.tsv",
    "task-rest_eeg.json",
    "task-rest_events.json",
]
OF_01 = ["sub-01/sub-01_sessions.tsv"]
FOR_REST_OF_01 = ["sub-01/sub-01_task-rest_eeg.json"]
IN_1_OF_01 = ["sub-01/ses-1/sub-01_ses-1_scans.tsv"]
FOR_REST_IN_1_OF_01 = ["sub-01/ses-1/sub-01_ses-1_task-rest_channels.tsv"]
EEG = "sub-01/ses-1/eeg/sub-01_ses-1"
SHARED_EEG = [f"{EEG}_electrodes.tsv", f"{EEG}_coordsystem.json"]
REST_1 = [
    f"{EEG}_task-rest_run-1_{end}" for end in ("eeg.eeg", "eeg.vhdr", "eeg.vmrk", "events.tsv")
]
REST_2 = [f"{EEG}_task-rest_run-2_{end}" for end in ("eeg.fdt", "eeg.set", "events.tsv")]
FACES = [f"{EEG}_task-faces_run-1_{end}" for end in ("eeg.edf", "eeg.json")]
MEG = "sub-01/ses-2/meg/sub-01_ses-2"
CTF = [
    f"{MEG}_task-rest_run-1_meg.ds/{name}"
    for name in ("BadChannels", "hz.ds/hz.meg4", "rest.meg4", "rest.res4")
]
CTF_SIDECARS = [f"{MEG}_coordsystem.json", f"{MEG}_task-rest_run-1_channels.tsv"]
SPLIT = [f"{MEG}_task-faces_split-{part}_meg.fif" for part in ("01", "02")]
BTI = [f"sub-02/meg/sub-02_task-rest_run-1_meg/{name}" for name in ("c,rfDC", "config", "hs_file")]
OF_02 = ["sub-02/sub-02_scans.tsv"]
# Never fetched; and only if they are asked for.
ELSEWHERE = ["sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz", ".git/config", "sub-01/.heudiconv/x.txt"]
DERIVATIVES = ["derivatives/clean/sub-01/eeg/sub-01_task-rest_desc-clean_eeg.edf"]
STIMULI = ["stimuli/face.png"]
OTHERS = ["sourcedata/sub-01/raw.dat", "code/convert.py"]
IN_1 = [*OF_01, *IN_1_OF_01, *SHARED_EEG]
CHOICES = {
    "all": (
        {},
        [*TOP, *IN_1, *FOR_REST_OF_01, *FOR_REST_IN_1_OF_01, *REST_1, *REST_2, *FACES, *CTF,
         *CTF_SIDECARS, *SPLIT, *BTI, *OF_02],
    ),
    "subject": (
        {"include": {"subject": [2]}, "folders": ["derivatives", "stimuli"]},
        [*TOP, *BTI, *OF_02, *DERIVATIVES, *STIMULI],
    ),
    "session": (
        {"include": {"session": ["1"], "task": ["rest"]}, "folders": ["sourcedata", "code"]},
        [*TOP, *IN_1, *FOR_REST_OF_01, *FOR_REST_IN_1_OF_01, *REST_1, *REST_2, *OTHERS],
    ),
    "run": (
        {"include": {"run": ["1"], "datatype": ["meg"]}},
        [*TOP, *OF_01, *FOR_REST_OF_01, *CTF, *CTF_SIDECARS, *BTI, *OF_02],
    ),
}  # fmt: skip


def test_what_is_chosen_comes_with_all_it_needs_and_one_dataset_after_the_other(
    s3_server, authority, proxy, tmp_path, project
):
    """Four datasets with the same files; what is in a file does not matter until it is read."""
    every = {path for _, paths in CHOICES.values() for path in paths}
    upstream = write_files(tmp_path / "upstream", [*every, *ELSEWHERE])
    client, name = s3_server.client(), s3_server.public_bucket("choices")
    datasets = {}
    for choice, (chosen, _) in CHOICES.items():
        bucket = Bucket(client, name, proxy, prefix=choice)
        bucket.mirror(upstream)
        datasets[choice] = bucket.settings(**chosen)
    run = SmallRun(tmp_path / "run", project)
    run.folder.mkdir()
    run.configure(**datasets)
    proxy.requests.clear()
    targets = [target.replace("small", choice) for choice in CHOICES for target in FETCHED]
    run.go(*targets)
    content = files_of(upstream)
    for choice, (_, paths) in CHOICES.items():
        assert run.fetched(choice) == {path: content[path] for path in sorted(paths)}, choice
    # One job downloads at a time: the two fetches of a dataset never mix with those of another.
    # A lock may ask beside them: it lists, and reads the description, which no fetch asks for.
    asked = [r.path.split("/")[2:] for r in proxy.requests if r.path.startswith(f"/{name}/")]
    fetched = [choice for choice, *path in asked if path != ["dataset_description.json"]]
    turns = [b for a, b in zip(["", *fetched], fetched, strict=False) if a != b]
    assert set(turns) == set(CHOICES)
    assert len(turns) <= 2 * len(CHOICES)
    # Another choice fetches what is missing, and moves nothing.
    before = run.kept("run")
    run.change("run", include={"run": ["1"]})
    proxy.requests.clear()
    run.go(*(target.replace("small", "run") for target in FETCHED))
    news = {f"bids/{path}" for path in [*IN_1, *FOR_REST_IN_1_OF_01, *REST_1, *FACES]}
    news -= {f"bids/{path}" for path in OF_01}
    assert run.moved(before, "run") == news
    asked = {r.path.removeprefix(f"/{name}/run/") for r in proxy.requests if "/run/" in r.path}
    assert {f"bids/{path}" for path in asked} == news


# What goes wrong


def test_servers_that_are_down_are_told_of(authority, tmp_path, project):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    run = SmallRun(tmp_path, project)
    own = {**SETTINGS, "fetch": {"retries": 0, "timeout": 5}}
    down = {
        "bucket": {"source": "s3", "url": "s3://b/ds", "endpoint": f"http://127.0.0.1:{port}"},
        "ds900001": {"source": "openneuro", "endpoint": f"http://127.0.0.1:{port}/crn/graphql"},
        "nm900001": {"source": "nemar", "endpoint": f"https://127.0.0.1:{port}/"},
        "site": {"source": "https", "url": f"https://127.0.0.1:{port}/small"},
    }
    run.configure(**{name: {**settings, **own} for name, settings in down.items()})
    printed = run.go(fails=True)
    told = [line for line in printed.splitlines() if line.startswith("bidsmill: ")]
    assert len(told) == len(down)
    for name in ("s3://b/ds", "ds900001", "nm900001", "site"):
        assert sum(name in line for line in told) == 1, told
    assert all(" to do: " in line for line in told)
    assert "Traceback" not in without_logs(printed)
    assert not list(run.results.rglob("*.json"))


def test_files_that_are_not_there_cost_their_recordings_alone(
    site, finished, folder, tmp_path, project
):
    served = copied(folder, site.root / "partial")
    missing = [data("02", "1"), "participants.tsv"]
    subprocess.run([sys.executable, "-m", "bidsmill.cli", "manifest", str(served)], check=True)
    for path in missing:
        (served / path).unlink()
    run = SmallRun(tmp_path, project)
    run.configure(small={"source": "https", "url": f"{site.url}partial", **SETTINGS})
    run.go(TABLES)
    lost = stem("02", "1")
    assert run.fates() == {**dict.fromkeys(STEMS, "converted"), lost: "file_missing"}
    assert data("02", "1") in run.members()[lost]["message"]
    kept = finished("local").matrices()
    assert run.matrices() == {name: kept[name] for name in STEMS if name != lost}
    vocabulary = json.loads((run.results / "small" / "labels.json").read_bytes())
    assert len(vocabulary["notes"]) == 1 and "participants.tsv" in vocabulary["notes"][0]
    # They come back.
    for path in missing:
        put(served, path, (folder / path).read_bytes())
    site.forget()
    run.go(TABLES, "-R", "fetch", "fetch_dataset")
    assert {r.path.removeprefix("/partial/") for r in site.requests()} == set(missing)
    assert run.matrices() == kept
    samples = [each.results / "small" / "samples.parquet" for each in (run, finished("local"))]
    assert samples[0].read_bytes() == samples[1].read_bytes()


@pytest.mark.long
@pytest.mark.parametrize("fate", ["the server goes", "the run is killed"])
def test_an_interrupted_fetch_goes_on(site, finished, settings, folder, tmp_path, project, fate):
    run = SmallRun(tmp_path, project)
    # So slow that it is surely interrupted: some 2 s for 40 kB.
    slow = {**settings("https"), "fetch": {"retries": 0, "bandwidth": 0.02, "parallel": 2}}
    run.configure(small=slow)
    site.forget()
    process = run.begin(TABLES)
    wait_until(lambda: sum(r.path.endswith(".edf") for r in site.requests()) >= 3, process)
    if fate == "the server goes":
        site.kill()
        printed = process.communicate(timeout=120)[0]
        site.restart()
        assert process.returncode == 1
        assert re.search("^bidsmill: .*(?:reached|answer).* to do: ", printed, re.MULTILINE)
        assert "Traceback" not in without_logs(printed)
    else:
        kill_all(process)
        run.snakemake("--unlock", "--configfile", str(run.config))
    content = files_of(folder)
    arrived = {path: text for path, text in run.fetched().items() if not path.endswith(".part")}
    assert arrived.items() <= content.items()
    assert any(path.startswith("sub-") for path in arrived) and len(arrived) < len(content)
    site.forget()
    run.change(fetch=SETTINGS["fetch"])
    run.go(TABLES)
    asked = {request.path.removeprefix("/small/") for request in site.requests()}
    assert asked - {"manifest.tsv"} == set(content) - set(arrived)
    assert run.bytes_of_results() == finished("https").bytes_of_results()
