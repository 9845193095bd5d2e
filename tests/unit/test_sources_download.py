"""Downloads from a small web server of many habits: what arrives, what is kept, what it costs."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import random
import re
import subprocess
import sys
import termios
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from absence import absent

from bidsmill.errors import BidsmillError
from bidsmill.sources.answers import Arrived, Failed
from bidsmill.sources.download import BLOCK_BYTES, FRESH_STARTS, Download
from bidsmill.sources.fetch import fetch_batch
from bidsmill.sources.http_reader import HttpReader
from bidsmill.sources.listing import identity
from bidsmill.sources.partial import Partial, tidy_all
from bidsmill.storage.passing import asked_wait

SMALL = random.Random(1).randbytes(40_000)
LARGE = random.Random(2).randbytes(2 * BLOCK_BYTES + 12_345)
PAGE = b"<!DOCTYPE html>\n<html><title>Sign in</title></html>" + b" " * 60_000
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 40000\n" % (b"a" * 64)


class Site:
    """A web server with a list of habits per path: each request uses up one, the last one stays.

    Habits: ``plain``; ``whole`` (ranges are ignored); ``unknown`` (no length, the connection
    closes at the end); ``page`` and ``wrong`` (other bytes: a web page, or as many noughts),
    ``page unknown``, ``longer unknown`` (what comes is longer); ``cut`` (at half of the body);
    ``loop`` (redirects to itself); ``busy`` (HTTP 503); ``gone`` (HTTP 404).
    """

    def __init__(self, files: dict[str, bytes]):
        self.files, self.habits = files, {}
        self.asked: list[tuple[str, str]] = []
        self.delay, self.open, self.most = 0.0, 0, 0
        self.guard = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *arguments: None
        self.server.site = self
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def entry(self, path: str, **changes) -> dict:
        content = self.files[path]
        sha256 = hashlib.sha256(content).hexdigest()
        given = {"path": path, "size": len(content), "checksum": f"sha256:{sha256}"}
        return {**given, "url": self.url + path, **changes}

    def ranges(self, path: str) -> list[str]:
        return [span for asked, span in self.asked if asked == path]

    def habit(self, path: str) -> str:
        with self.guard:
            habits = self.habits.get(path, ["plain"])
            return habits.pop(0) if len(habits) > 1 else habits[0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        site = self.server.site
        with site.guard:
            site.open += 1
            site.most = max(site.most, site.open)
        try:
            time.sleep(site.delay)
            self.answer(site, self.path.removeprefix("/"))
        finally:
            with site.guard:
                site.open -= 1

    def answer(self, site, path):
        span = self.headers.get("range", "")
        site.asked.append((path, span))
        habit, body = site.habit(path), site.files[path]
        if habit in ("loop", "busy", "gone"):
            self.send_response({"loop": 302, "busy": 503, "gone": 404}[habit])
            self.send_header("Location", self.path)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if "page" in habit:
            body = PAGE
        elif "wrong" in habit:
            body = b"\1" * len(body)
        elif "longer" in habit:
            body = b"\2" * (len(body) + 5_000)
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", span)
        ranged = match and not {"whole", "unknown", "page"} & set(habit.split())
        start = int(match[1]) if ranged else 0
        stop = int(match[2]) + 1 if ranged and match[2] else len(body)
        self.send_response(206 if ranged else 200)
        self.send_header("Content-Type", "application/octet-stream")
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(body)}")
        if "unknown" in habit:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        sent = (stop - start) // 2 if "cut" in habit else stop - start
        self.wfile.write(memoryview(body)[start : start + sent])
        self.close_connection = sent < stop - start or "unknown" in habit
        return None


@pytest.fixture
def site():
    files = {
        "dataset_description.json": b'{"Name": "Small"}',
        "sub-01/other.edf": SMALL[::-1],
        "sub-01/small.edf": SMALL,
        "sub-01/large.edf": LARGE,
        "sub-01/empty.tsv": b"",
        "sub-01/pointer.edf": LFS,
    }
    server = Site(files)
    yield server
    server.stop()


def fetch_settings(**given) -> dict:
    return {"parallel": 4, "bandwidth": None, "retries": 2, "timeout": 5.0, **given}


def downloaded(root: Path, entries: list[dict], **given):
    """Fetch files; return what became of them, and the numbers of bytes that were reported."""
    settings = fetch_settings(**given)
    reader, counts = HttpReader(settings), []
    try:
        outcomes = Download(root, reader, settings, counts.append).run(entries)
    finally:
        reader.close()
    return outcomes, counts


def files_in(root: Path) -> dict[str, bytes]:
    found = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_all_files_arrive(site, tmp_path):
    entries = [site.entry(path) for path in site.files]
    outcomes, counts = downloaded(tmp_path, entries)
    assert files_in(tmp_path) == site.files
    for path, content in site.files.items():
        assert outcomes[path] == Arrived(hashlib.sha256(content).hexdigest(), verified=True)
    assert sum(counts) == sum(map(len, site.files.values()))
    edges = [0, BLOCK_BYTES, 2 * BLOCK_BYTES, len(LARGE)]
    spans = [f"bytes={a}-{b - 1}" for a, b in pairwise(edges)]
    assert sorted(site.ranges("sub-01/large.edf")) == sorted(spans)
    assert "sub-01/empty.tsv" not in {path for path, _ in site.asked}


HEALING = {
    "ranges are ignored": ["whole"],
    "ranges are ignored at times": ["plain", "whole", "plain"],
    "cut in each block": ["cut", "cut", "cut", "plain"],
    "cut without ranges": ["whole", "whole", "whole", "cut whole", "whole"],
    "wrong bytes": ["wrong", "plain"],
    "wrong bytes twice": ["wrong"] * 6 + ["plain"],
    "busy": ["busy", "busy", "plain"],
}


@pytest.mark.parametrize(
    ("kind", "parallel"),
    [*((kind, 4) for kind in HEALING), ("ranges are ignored", 1), ("cut without ranges", 1)],
)
def test_a_large_file_through_what_heals(site, tmp_path, kind, parallel):
    path = "sub-01/large.edf"
    site.habits[path] = list(HEALING[kind])
    entries = [site.entry(path), site.entry("sub-01/other.edf")]
    outcomes, counts = downloaded(tmp_path, entries, parallel=parallel)
    assert outcomes[path] == Arrived(hashlib.sha256(LARGE).hexdigest(), verified=True)
    assert files_in(tmp_path) == {entry["path"]: site.files[entry["path"]] for entry in entries}
    # What was thrown away is taken back from the count.
    assert sum(counts) == len(LARGE) + len(SMALL)


UNKNOWN = {
    "plain": ["plain"],
    "no length": ["unknown"],
    "no ranges": ["whole"],
    "a page first": ["page", "plain"],
    "a page first, no length": ["page unknown", "unknown"],
    "a longer one first": ["longer unknown", "unknown"],
    "a longer one cut first": ["cut longer", "unknown"],
}
LONGER_UNCHECKED = ("a longer one first", "none")


@pytest.mark.parametrize(
    ("kind", "checksum"),
    # Without size and checksum nothing tells a longer file from the right one.
    sorted({(k, c) for k in UNKNOWN for c in ("sha256", "git", "none")} - {LONGER_UNCHECKED}),
)
def test_files_of_unknown_size(site, tmp_path, kind, checksum):
    path = "sub-01/small.edf"
    site.habits[path] = list(UNKNOWN[kind])
    wanted = site.entry(path, size=None)
    if checksum == "git":
        digest = hashlib.sha1(b"blob %d\0" % len(SMALL) + SMALL).hexdigest()
        wanted["checksum"] = f"git:{digest}"
    elif checksum == "none":
        wanted["checksum"] = None
    empty = site.entry("sub-01/empty.tsv", size=None, checksum=None)
    outcomes, counts = downloaded(tmp_path, [wanted, empty])
    assert outcomes[path] == Arrived(hashlib.sha256(SMALL).hexdigest(), checksum != "none")
    assert files_in(tmp_path) == {path: SMALL, "sub-01/empty.tsv": b""}
    assert sum(counts) == len(SMALL)


NEVER = {
    "wrong": "wrong_checksum",
    "page": "wrong_size",
    "busy": "fetch_failed",
    "gone": "file_missing",
    "cut longer": "wrong_size",
}


@pytest.mark.parametrize("path", ["sub-01/small.edf", "sub-01/large.edf"])
@pytest.mark.parametrize("habit", NEVER)
def test_what_never_heals_costs_one_file(site, tmp_path, habit, path):
    site.habits[path] = [habit]
    other = "sub-01/other.edf"
    entries = [site.entry(path), site.entry(other)]
    outcomes, _ = downloaded(tmp_path, entries, retries=1)
    assert isinstance(outcomes[path], Failed)
    assert outcomes[path].code == NEVER[habit]
    assert isinstance(outcomes[other], Arrived)
    # Nothing that a later attempt could go on with is left either.
    assert files_in(tmp_path) == {other: SMALL[::-1]}
    if habit == "wrong":
        blocks = -(-len(site.files[path]) // BLOCK_BYTES)
        assert len(site.ranges(path)) == blocks * (1 + FRESH_STARTS)


def test_a_failed_large_file_goes_on_where_it_was(site, tmp_path):
    path = "sub-01/large.edf"
    site.habits[path] = ["plain", "plain", "busy"]
    outcomes, _ = downloaded(tmp_path, [site.entry(path)], retries=0, parallel=1)
    assert outcomes[path].code == "fetch_failed"
    assert not (tmp_path / path).exists()
    site.asked.clear()
    site.habits.clear()
    outcomes, counts = downloaded(tmp_path, [site.entry(path)])
    assert site.ranges(path) == [f"bytes={2 * BLOCK_BYTES}-{len(LARGE) - 1}"]
    assert files_in(tmp_path) == {path: LARGE}
    assert sum(counts) == len(LARGE)


def test_a_page_in_place_of_a_file_of_unknown_size(site, tmp_path):
    path = "sub-01/small.edf"
    site.habits[path] = ["page unknown"]
    outcomes, _ = downloaded(tmp_path, [site.entry(path, size=None, checksum=None)])
    assert outcomes[path].code == "not_data"
    assert files_in(tmp_path) == {}


def test_addresses_that_cannot_be_used_cost_their_files(site, tmp_path):
    site.habits["sub-01/small.edf"] = ["loop"]
    bad = {
        "a": site.url + "sub-01/small.edf",
        "b": "https://[broken/",
        "c": "no address",
        "d": "file:///etc/passwd",
        "e": "http://127.0.0.1:1/",
        "f": "https://a\ud83d.example/x",
        "g": None,
    }
    small = site.entry("sub-01/small.edf")
    entries = [{**small, "path": f"x/{name}", "url": bad[name]} for name in bad]
    entries.append(site.entry("sub-01/other.edf"))
    outcomes, _ = downloaded(tmp_path, entries, retries=1)
    failed = {path for path, outcome in outcomes.items() if isinstance(outcome, Failed)}
    assert failed == {f"x/{name}" for name in bad}
    assert files_in(tmp_path) == {"sub-01/other.edf": SMALL[::-1]}


def test_a_pointer_in_place_of_a_file(site, tmp_path):
    pointer = site.entry("sub-01/pointer.edf", size=40_000, checksum=None)
    outcomes, _ = downloaded(tmp_path, [pointer])
    assert outcomes["sub-01/pointer.edf"].code == "not_data"
    assert files_in(tmp_path) == {}


def leave(root: Path, wanted: dict, content: bytes) -> Path:
    """Leave a temporary file as a killed process would."""
    partial = Partial(root / wanted["path"], wanted, [])
    partial.write(content, 0)
    partial.block_done(0, len(content))
    partial.close()
    return partial.path


@pytest.mark.parametrize(
    ("checksum", "habit", "tampered"),
    [
        ("sha256", "plain", ""),
        ("none", "plain", ""),
        ("none", "whole", ""),
        ("sha256", "plain", "content"),
        ("none", "plain", "content"),
        ("none", "plain", "log"),
    ],
)
def test_leftovers_of_killed_processes(site, tmp_path, checksum, habit, tampered):
    path, reached = "sub-01/large.edf", BLOCK_BYTES + 1_000
    wanted = site.entry(path) if checksum == "sha256" else site.entry(path, checksum=None)
    part = leave(tmp_path, wanted, LARGE[:reached])
    leave(tmp_path, wanted, LARGE[:500])
    leave(tmp_path, site.entry(path, checksum=f"sha256:{'0' * 64}"), b"of an older version")
    leave(tmp_path, site.entry("sub-01/small.edf"), SMALL[:10])
    (tmp_path / f"sub-01/.{'b' * 24}.1-ab.log.part").write_bytes(b"lone")
    if tampered == "content":
        with open(part, "r+b") as file:
            file.write(b"another beginning")
    elif tampered == "log":
        sha256 = hashlib.sha256(LARGE[:reached]).hexdigest()
        log = part.with_name(part.name.removesuffix(".part") + ".log.part")
        log.write_text(f"{reached + 9} {sha256}\n")
    site.habits[path] = [habit]
    outcomes, counts = downloaded(tmp_path, [wanted])
    assert isinstance(outcomes[path], Arrived)
    tidy_all([tmp_path / "sub-01"], [])
    assert files_in(tmp_path) == {path: LARGE}
    assert sum(counts) == len(LARGE)
    if habit == "plain" and not tampered:
        starts = [int(span[6:].split("-")[0]) for span in site.ranges(path)]
        # Without a checksum and without encryption the whole is asked for again, to compare.
        assert reached in starts
        assert (min(starts) == reached) == (checksum != "none")


def test_a_dead_server_is_noticed_and_what_came_is_kept(site, tmp_path):
    files = {f"sub-{i:02}/a.edf": SMALL[i:] for i in range(60)}
    site.files.update(files)
    landed = []

    def land(entry, sha256):
        landed.append(entry["path"])
        if len(landed) == 10:
            site.habits.update({path: ["busy"] for path in files})

    settings = fetch_settings(retries=1)
    reader = HttpReader(settings)
    download = Download(tmp_path, reader, settings, landed=land)
    with pytest.raises(BidsmillError, match=r"cannot be reached.*what has come so far is kept"):
        download.run([site.entry(path) for path in files])
    there = {name: content for name, content in files_in(tmp_path).items() if name in files}
    assert set(there) == set(landed)
    assert len(there) < 30
    assert all(content == files[name] for name, content in there.items())
    site.habits.clear()
    site.asked.clear()
    # The same process can go on: it holds nothing of the attempt before.
    outcomes = Download(tmp_path, reader, settings).run(
        [site.entry(path) for path in files if path not in there]
    )
    reader.close()
    assert all(isinstance(outcome, Arrived) for outcome in outcomes.values())
    assert files_in(tmp_path) == files
    assert not {path for path, _ in site.asked} & set(there)


def test_an_interrupted_download_lets_go_of_its_files(site, tmp_path):
    """An error in our own code ends the run; the next one in this process goes on."""
    path = "sub-01/large.edf"
    settings = fetch_settings(parallel=1)
    reader, seen = HttpReader(settings), []

    def count(number):
        seen.append(number)
        if sum(seen) > BLOCK_BYTES + 1_000_000:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Download(tmp_path, reader, settings, count).run([site.entry(path)])
    site.asked.clear()
    Download(tmp_path, reader, settings).run([site.entry(path)])
    reader.close()
    assert files_in(tmp_path) == {path: LARGE}
    assert site.ranges(path)[0].startswith(f"bytes={BLOCK_BYTES}-")


def test_a_folder_where_a_file_should_be(site, tmp_path):
    (tmp_path / "sub-01/small.edf/inner").mkdir(parents=True)
    with pytest.raises(BidsmillError, match="a fetched file cannot be written"):
        downloaded(tmp_path, [site.entry("sub-01/small.edf")])
    assert (tmp_path / "sub-01/small.edf/inner").is_dir()


def test_a_file_where_a_folder_should_be(site, tmp_path):
    (tmp_path / "sub-01").write_bytes(b"a file")
    with pytest.raises(BidsmillError, match="a fetched file cannot be written"):
        downloaded(tmp_path, [site.entry("sub-01/small.edf")])
    assert files_in(tmp_path) == {"sub-01": b"a file"}


# In a process of its own, which has mounts of its own.
ON_A_DISK = """
import hashlib, json, sys
from pathlib import Path
from bidsmill.errors import BidsmillError
from bidsmill.sources.answers import Arrived
from bidsmill.sources.download import Download
from bidsmill.sources.http_reader import HttpReader
root, settings = Path(sys.argv[1]), json.loads(sys.argv[3])
reader = HttpReader(settings)
try:
    Download(root, reader, settings).run(json.loads(sys.argv[2]))
    said = "all well"
except BidsmillError as error:
    said = str(error)
finals = {
    path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
    for path in root.rglob("*") if path.is_file() and not path.name.endswith(".part")
}
print(json.dumps([said, finals]))
"""


def on_a_disk(tmp_path: Path, mount: str, entries: list[dict]) -> tuple[str, dict[str, str]]:
    """Fetch in a process that sees another disk at `tmp_path`; return what it said and has."""
    alone = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-m"]
    command = [*alone, "sh", "-c", f'{mount} || exit 77; exec "$@"', "sh", sys.executable, "-c"]
    arguments = [str(tmp_path), json.dumps(entries), json.dumps(fetch_settings())]
    try:
        done = subprocess.run(
            [*command, ON_A_DISK, *arguments], capture_output=True, text=True, timeout=120
        )
    except FileNotFoundError:
        absent("there is no unshare (util-linux)")
    if done.returncode in (1, 77) and "Traceback" not in done.stderr:
        absent(f"no file system can be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    said, finals = json.loads(done.stdout)
    return said, finals


@pytest.mark.parametrize("megabytes", [1, 5, 20])
def test_a_full_disk(site, tmp_path, megabytes):
    entries = [site.entry(f"sub-01/{name}.edf") for name in ("small", "other", "large")]
    mount = f"mount -t tmpfs -o size={megabytes}m tmpfs {tmp_path}"
    said, finals = on_a_disk(tmp_path, mount, entries)
    assert said.startswith("the disk is full")
    assert str(tmp_path) in said
    assert "what has come so far is kept" in said
    expected = {e["path"]: e["checksum"].removeprefix("sha256:") for e in entries}
    assert set(finals) <= {"sub-01/small.edf", "sub-01/other.edf"}
    assert all(sha256 == expected[path] for path, sha256 in finals.items())


@pytest.mark.parametrize("leftover", [False, True])
def test_a_disk_that_cannot_be_written(site, tmp_path, leftover):
    entries = [site.entry("sub-01/small.edf")]
    if leftover:
        leave(tmp_path, entries[0], SMALL[:100])
        leave(tmp_path, site.entry("sub-01/other.edf"), SMALL[:100])
        (tmp_path / f"sub-01/.{'b' * 24}.1-ab.log.part").write_bytes(b"lone")
    before = files_in(tmp_path)
    mount = f"mount --bind {tmp_path} {tmp_path} && mount -o remount,ro,bind {tmp_path}"
    said, finals = on_a_disk(tmp_path, mount, entries)
    assert said.startswith("a fetched file cannot be written")
    assert "Read-only file system" in said
    assert finals == {}
    assert files_in(tmp_path) == before


def planned(results: Path, entries: list[dict]) -> Path:
    """Write the lock and the plan of one batch, with each file a recording; return the plan."""
    members = [
        {"stem": Path(e["path"]).stem, "files": {e["path"]: identity(e)}, "sidecar_files": {}}
        for e in entries
    ]
    plan = results / "plan" / "b0000.json"
    plan.parent.mkdir(parents=True)
    plan.write_text(json.dumps({"batch": "b0000", "dataset": "faces", "members": members}))
    (results / "lock.json").write_text(json.dumps({"snapshot": "1.0.0", "files": entries}))
    return plan


def test_room_on_the_disk_is_asked_for_first(tmp_path):
    entry = {"path": "sub-01/a.edf", "size": 10**16, "checksum": None, "url": "https://x/"}
    source = {"source": "https", "url": "https://x/", "fetch": fetch_settings()}
    plan = planned(tmp_path, [entry])
    before = files_in(tmp_path)
    with pytest.raises(BidsmillError) as problem:
        fetch_batch(plan, tmp_path / "fetch/b0000.json", settings=source, results=tmp_path)
    assert problem.value.what == "the disk has no room for the dataset"
    assert problem.value.expected.startswith("10000000.27 GB")
    assert problem.value.found.endswith("GB free")
    assert "include" in problem.value.todo
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("habit", ["gone", "longer", "plain"])
def test_an_answer_of_any_kind_shows_that_somebody_is_there(site, tmp_path, habit):
    """One file fails; what is asked for to tell why has gone or changed upstream since."""
    source = {"source": "https", "url": site.url, "fetch": fetch_settings(retries=0)}
    plan = planned(tmp_path, [site.entry(f"sub-01/{name}.edf") for name in ("other", "small")])
    manifest = tmp_path / "fetch/b0000.json"
    site.habits["sub-01/small.edf"] = ["busy"]
    for now in ("plain", habit):
        site.habits["sub-01/other.edf"] = [now]
        fetch_batch(plan, manifest, settings=source, results=tmp_path)
        members = json.loads(manifest.read_text())["members"]
        assert members["other"]["status"] == "present"
        assert members["small"]["reason"] == "fetch_failed"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 0 ", 0.0),
        ("soon", None),
        ("-3", None),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        ("Fri, 31 Dec 1999 23:59:59", 0.0),
        ("31 Foo 99999", None),
    ],
)
def test_how_long_a_server_asks_to_wait(header, seconds):
    """The field Retry-After, RFC 9110, section 10.2.3."""
    assert asked_wait(header) == seconds


def test_a_server_asks_to_wait_until_a_time_to_come():
    assert 3500 < asked_wait(formatdate(time.time() + 3600, usegmt=True)) < 3601


def test_no_more_bytes_a_second_than_allowed(site, tmp_path):
    site.files = {f"sub-0{i}/a.edf": random.Random(i).randbytes(1_500_000) for i in range(4)}
    start = time.monotonic()
    downloaded(tmp_path, [site.entry(path) for path in site.files], bandwidth=2.0)
    # 6 MB at 2 MB/s, less what may be caught up after a pause.
    assert time.monotonic() - start >= 2.2
    assert files_in(tmp_path) == site.files


@pytest.mark.parametrize("parallel", [1, 3])
def test_no_more_requests_at_a_time_than_allowed(site, tmp_path, parallel):
    site.delay = 0.01
    site.files |= {f"sub-02/{i}.tsv": b"%d" % i for i in range(30)}
    downloaded(tmp_path, [site.entry(path) for path in site.files], parallel=parallel)
    assert site.most == parallel
    assert files_in(tmp_path) == site.files


MEMORY = """
import json, re, sys
from pathlib import Path
from bidsmill.sources.download import Download
from bidsmill.sources.http_reader import HttpReader
settings = json.loads(sys.argv[3])
reader = HttpReader(settings)
outcomes = Download(Path(sys.argv[1]), reader, settings).run(json.loads(sys.argv[2]))
print(json.dumps([o.sha256 for o in outcomes.values()]))
print(re.search("VmHWM:\\\\s+(\\\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_memory_does_not_grow_with_the_file(tmp_path):
    if not Path("/proc/self/status").exists():
        absent("the kernel does not tell the peak of memory (/proc)")
    peaks = []
    for megabytes in (110, 330):
        content = bytes(megabytes * 1_000_000)
        server = Site({"sub-01/a.edf": content})
        arguments = [str(tmp_path / str(megabytes)), json.dumps([server.entry("sub-01/a.edf")])]
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, *arguments, json.dumps(fetch_settings(parallel=8))],
            capture_output=True,
            text=True,
            check=True,
        )
        server.stop()
        sha256, peak = done.stdout.splitlines()
        assert json.loads(sha256) == [hashlib.sha256(content).hexdigest()]
        peaks.append(int(peak) / 1024)
    assert peaks[1] - peaks[0] < 30


PROGRESS = """
import json, sys
from pathlib import Path
from bidsmill.sources.fetch import fetch_batch
plan, source = Path(sys.argv[1]), json.loads(sys.argv[2])
results = plan.parents[1]
fetch_batch(plan, results / "fetch/b0000.json", settings=source, results=results)
"""


def progress_command(site, results, bandwidth):
    site.files = {"sub-01/a.edf": random.Random(5).randbytes(4_000_000)}
    settings = fetch_settings(bandwidth=bandwidth)
    source = {"source": "https", "url": site.url, "fetch": settings}
    plan = planned(results, [site.entry("sub-01/a.edf")])
    return [sys.executable, "-c", PROGRESS, str(plan), json.dumps(source)]


def test_no_progress_is_shown_where_nobody_watches(site, tmp_path):
    command = progress_command(site, tmp_path, None)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert files_in(tmp_path / "bids") == site.files


def test_progress_is_shown_on_a_terminal(site, tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = subprocess.Popen(
        progress_command(site, tmp_path, 1.6), stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # so does the end of a terminal look
            break
    os.close(ours)
    assert process.wait() == 0
    text = shown.decode()
    lines = [line for line in text.split("\r") if re.search(r"[1-9]\d*%", line)]
    assert lines
    # Name, bytes of all, time passed and left, rate.
    assert all(re.search(r"fetch faces: +\d+%.* [\d.]+[kM]?/4.00M \[", line) for line in lines)
    assert any(re.search(r"\[\d\d:\d\d<\d\d:\d\d, +[\d.]+[kM]B/s\]", line) for line in lines)


def test_without_checksum_and_encryption_two_answers_must_agree(site, tmp_path):
    wanted = site.entry("sub-01/small.edf", checksum=None)
    site.habits["sub-01/small.edf"] = ["wrong", "plain"]
    outcomes, _ = downloaded(tmp_path, [wanted])
    assert outcomes["sub-01/small.edf"] == Arrived(hashlib.sha256(SMALL).hexdigest(), False)
    assert files_in(tmp_path) == {"sub-01/small.edf": SMALL}
