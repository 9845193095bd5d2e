"""The commands that read a store, against the files of the store themselves."""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from access_store import expected_rows
from botocore.exceptions import ClientError
from command_stores import answer, build, manifest, pointer, run, upload

import bidsmill
from bidsmill import cli
from bidsmill.storage.problems import explain

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a store in a folder and the recordings in it. Not to be changed."""
    root = tmp_path_factory.mktemp("commands") / "store"
    return root, build(root)


@pytest.fixture(scope="module")
def root(built) -> Path:
    return built[0]


@pytest.fixture
def copy(root, tmp_path) -> Path:
    """Return a copy of the store that may be damaged."""
    return Path(shutil.copytree(root, tmp_path / "store"))


@pytest.fixture(scope="module")
def public(root, s3_server) -> list[str]:
    """Return the address of the store in a bucket that anyone may read, and how it is reached."""
    upload(s3_server.client(), root, s3_server.public_bucket("commands-public"), "lab/store/")
    return ["s3://commands-public/lab/store", "--endpoint", s3_server.endpoint, "--anonymous"]


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """Return the cache folder of a test, without any AWS setting of the machine around it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("BIDSMILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BIDSMILL_CACHE_SIZE", raising=False)
    return tmp_path / "cache"


@pytest.fixture(params=["folder", "bucket"])
def store(request, cache) -> list[str]:
    """Return the arguments that name the store: of a folder, then of a bucket."""
    if request.param == "folder":
        return [str(request.getfixturevalue("root"))]
    return request.getfixturevalue("public")


def catalog(root: Path) -> list[dict]:
    return pq.read_table(root / "catalog.parquet").to_pylist()


# ls


def test_ls_gives_the_catalogue(store, root, capsys):
    found = answer(capsys, "ls", *store)
    assert found == {"store": store[0], "datasets": sorted(catalog(root), key=dataset_of)}
    code, printed, told = run(capsys, "ls", *store)
    lines = printed.splitlines()
    assert code == 0 and [line.split()[0] for line in lines[1:]] == ["faces", "other"]
    assert f"2 datasets of 2, {sum(row['rows'] for row in catalog(root))} rows" in told


def dataset_of(row: dict) -> str:
    return row["dataset"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["f*"], ["faces"]),
        (["THE"], ["other"]),
        (["x*"], []),
        (["--where", "subjects > 2 and license == 'CC0'"], ["faces"]),
        (["o", "--where", "rows >= 0"], ["other"]),
        (["--where", "dataset in ['other', 'x']"], ["other"]),
    ],
)
def test_ls_of_some(root, capsys, cache, arguments, expected):
    found = answer(capsys, "ls", root, *arguments)
    assert [row["dataset"] for row in found["datasets"]] == expected


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (999_499, "999 kB"), (999_500, "1.00 MB")],
)
def test_sizes_that_people_read(count, text):
    from bidsmill.formats.numbers import size_text

    assert size_text(count) == text


# info


def test_info_of_a_store(root, capsys, cache):
    found, rows = answer(capsys, "info", root), catalog(root)
    for name in ("rows", "subjects", "bytes", "recordings"):
        assert found[name] == sum(row[name] for row in rows)
    assert (found["names"], found["licenses"]) == (["faces", "other"], {"CC0": 2})
    code, printed, _ = run(capsys, "info", root)
    assert code == 0 and f'bidsmill.open("{root}")' in printed


def test_info_of_a_dataset_is_its_manifest_and_its_pointer(store, root, capsys):
    found, stated = answer(capsys, "info", *store, "faces"), manifest(root, "faces")
    assert found["version"] == found["latest"] == pointer(root, "faces")["version"]
    assert found["versions"] == pointer(root, "faces")["history"]
    assert found["bytes"] == sum(entry["size"] for entry in stated["files"])
    for name in ("license", "rows", "subjects", "tasks", "split"):
        assert found[name] == stated[name]
    assert {key: one["sfreq"] for key, one in found["layouts"].items()} == {
        key: one["sfreq"] for key, one in stated["layouts"].items()
    }
    code, printed, told = run(capsys, "info", root, "faces")
    assert (code, told) == (0, "")
    for entry in found["versions"]:
        assert entry["version"] in printed


def test_info_of_an_old_version(root, capsys, cache):
    first = pointer(root, "faces")["history"][0]["version"]
    found = answer(capsys, "info", root, "faces@1.0.0")
    assert (found["version"], found["snapshot"]) == (first, "1.0.0")
    assert f'"faces@{first}"' in found["python"] and f"'faces@{first}'" in found["matlab"]


def test_the_lines_of_info_load_the_dataset(store, built, capsys):
    recordings = built[1]
    for name in ("faces", "faces@1.0.0"):
        found = answer(capsys, "info", *store, name)
        space: dict = {}
        exec(found["python"], space)
        assert len(space["y"]) == len(space["X"]) > 0
        rows = space["train"].labelled("face").samples
        assert np.array_equal(space["X"], expected_rows(recordings[name], rows))
        if len(store) > 1:  # MATLAB reads a bucket through the cache: what fills it is said first
            first, then = found["matlab"].splitlines()[:2]
            pulling = first.removeprefix("% in a terminal first: bidsmill ")
            command, address, chosen, *options = shlex.split(pulling)
            assert (command, address, options) == ("pull", store[0], store[1:])
            assert chosen == (name if name == "faces" else f"faces@{found['version']}")
            assert then.startswith(f"ds = bidsmill.Datastore('{address}', '{chosen}', 'Split', ")


# verify


def sound(root: Path) -> dict[str, bool]:
    """Say of every file of every version, by the bytes, whether it is what a manifest states."""
    found = {}
    for path in root.glob("datasets/*/versions/*.json"):
        for entry in json.loads(path.read_bytes())["files"]:
            place = root / entry["path"]
            content = place.read_bytes() if place.exists() else b""
            found[entry["path"]] = hashlib.sha256(content).hexdigest() == entry["sha256"]
    return found


def test_verify_of_a_sound_store(store, root, capsys):
    every = sound(root)
    for more in ([], ["--sizes"]):
        found = answer(capsys, "verify", *store, *more)
        assert found["sound"] and found["faults"] == [] and found["unlisted"] == []
        assert (found["datasets"], found["versions"], found["files"]) == (2, 3, len(every))
        assert found["bytes"] == sum((root / path).stat().st_size for path in every)
    code, printed, told = run(capsys, "verify", *store, "--latest", "other")
    assert (code, told) == (0, "") and printed.startswith("no fault: 1 dataset, 1 version")


def matrices(root: Path, version: str | None = None) -> list[Path]:
    files = manifest(root, "faces", version)["files"]
    return [root / entry["path"] for entry in files if entry["kind"] == "matrix"]


def damage(root: Path) -> dict[str, str]:
    """Damage files of `faces` in several ways; return their paths and what verify calls it."""
    cut, flipped, gone = matrices(root)[1:4]
    only_old = matrices(root, pointer(root, "faces")["history"][0]["version"])[0]
    cut.write_bytes(cut.read_bytes()[:-1])
    for path in (flipped, only_old):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    gone.unlink()
    kinds = {cut: "damaged", flipped: "damaged", gone: "missing", only_old: "damaged"}
    return {path.relative_to(root).as_posix(): kind for path, kind in kinds.items()}


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_verify_finds_every_damaged_file(copy, s3_server, capsys, cache, where):
    expected = damage(copy)
    stray = copy / "datasets" / "other" / "files" / "matrix" / "stray.parquet"
    stray.write_bytes(b"12345")
    half = copy / "datasets" / "new" / "files" / "half"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"1")
    assert sum(not right for right in sound(copy).values()) == len(expected)
    arguments = [str(copy)]
    if where == "bucket":
        client = s3_server.client()
        client.create_bucket(Bucket="commands-damaged")
        upload(client, copy, "commands-damaged")
        arguments = reached(s3_server, "s3://commands-damaged", cache)
    found = answer(capsys, "verify", *arguments, code=1)
    assert {fault["path"]: fault["kind"] for fault in found["faults"]} == expected
    assert {fault["dataset"] for fault in found["faults"]} == {"faces"}
    unlisted = {path.relative_to(copy).as_posix(): path.stat().st_size for path in (stray, half)}
    assert {one["path"]: one["size"] for one in found["unlisted"]} == unlisted
    found = answer(capsys, "verify", *arguments, "--sizes", code=1)
    seen = [path for path in expected if not has_size(copy, path)]
    assert [fault["path"] for fault in found["faults"]] == sorted(seen) and len(seen) == 2
    if where == "bucket":
        return
    found = answer(capsys, "verify", *arguments, "--latest", code=1)
    assert len(found["faults"]) == 3 and found["unlisted"] == []
    assert answer(capsys, "verify", *arguments, "other")["sound"]
    code, printed, told = run(capsys, "verify", *arguments)
    assert code == 1 and "4 FAULTS (3 damaged, 1 missing)" in printed.splitlines()[-1]
    assert "unlisted: datasets/other/files/matrix/stray.parquet" in told


def has_size(root: Path, path: str) -> bool:
    sizes = {
        entry["path"]: entry["size"]
        for one in root.glob("datasets/*/versions/*.json")
        for entry in json.loads(one.read_bytes())["files"]
    }
    return (root / path).exists() and (root / path).stat().st_size == sizes[path]


def reached(server, address: str, cache: Path) -> list[str]:
    """Return an address and the profile that may read it."""
    keys = f"aws_access_key_id={server.access_key}\naws_secret_access_key={server.secret_key}\n"
    (cache.parent / "no-credentials").write_text(f"[tester]\n{keys}")
    return [address, "--endpoint", server.endpoint, "--profile", "tester"]


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("datasets/faces/latest.json", "missing"),
        ("catalog.parquet", "missing"),
        ("catalog.parquet", "damaged"),
        ("datasets/faces/latest.json", "damaged"),
        ("manifest", "missing"),
        ("manifest", "damaged"),
        ("row", "catalogue"),
    ],
)
def test_verify_finds_documents_that_are_wrong(copy, capsys, cache, what, kind):
    path = copy / what
    if what == "manifest":
        path = copy / "datasets" / "faces" / "versions"
        path /= f"{pointer(copy, 'faces')['version']}.json"
    if what == "row":
        path = copy / "catalog.parquet"
        table = pq.read_table(path)
        pq.write_table(table.slice(1 if table["dataset"][0].as_py() == "faces" else 0, 1), path)
    elif kind == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(b"1.1.0", b"1.1.1"))
    if what != "manifest" and kind == "damaged":
        path.write_text("[]")
    faults = answer(capsys, "verify", copy, code=1)["faults"]
    assert [fault["kind"] for fault in faults] == [kind]
    assert faults[0]["path"] == path.relative_to(copy).as_posix()


# pull and cache


def test_pull_fills_the_cache_and_says_what_was_there(store, built, capsys, cache):
    root, recordings = built
    entries = [entry for entry in manifest(root, "faces")["files"] if entry["kind"] == "matrix"]
    size = sum(entry["size"] for entry in entries)
    (done,) = answer(capsys, "pull", *store, "faces")["pulled"]
    assert (done["matrices"], done["there"], done["bytes"]) == (len(entries), 0, size)
    for entry, recording in zip(entries, recordings["faces"], strict=True):
        decoded = np.load(cache / "matrix" / f"{entry['sha256']}.npy")
        assert np.array_equal(decoded, recording.array)
    code, printed, told = run(capsys, "pull", *store, "faces")
    assert code == 0 and "fetched 0 (0 B), 5 were there" in printed and str(cache) in told


def test_pull_of_a_part(store, built, capsys, cache):
    arguments = ["--split", "test", "--where", "subject == '03'", "--channels", "Fz,A.1"]
    (done,) = answer(capsys, "pull", *store, "faces", *arguments)["pulled"]
    assert (done["rows"], done["matrices"]) == (5, 1)
    assert done["there"] + done["fetched"] + done["parts"] == 1
    held = {one["dataset"]: one for one in answer(capsys, "cache", *store)["datasets"]}["faces"]
    assert held["held"] + held["parts"] == 1 and held["parts"] == done["parts"]
    assert held["bytes"] == bytes_below(cache / "matrix") + bytes_below(cache / "part")
    (done,) = answer(capsys, "pull", *store, "faces", *arguments)["pulled"]
    assert (done["there"], done["fetched"], done["parts"]) == (1, 0, 0)
    rows = bidsmill.open(built[0], cache=cache)["faces"].select(
        recordings="sub-03_task-faces_eeg", channels=["Fz", "A.1"]
    )
    expected = expected_rows(built[1]["faces"], rows.samples, ["Fz", "A.1"])
    assert np.array_equal(rows.arrays(), expected)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_is_shown_on_a_terminal_alone(monkeypatch, cache, root, capsys):
    told = Terminal()
    monkeypatch.setattr(sys, "stderr", told)
    assert run(capsys, "pull", root, "other")[0] == 0
    assert re.search(r"\rpull other \[#*\.*\] +\d+% of [\d.]+ .?B\x1b", told.getvalue())
    assert told.getvalue().splitlines()[-1].rpartition("\x1b[K")[2].startswith("bidsmill: in the")
    quiet = io.StringIO()
    monkeypatch.setattr(sys, "stderr", quiet)
    assert run(capsys, "pull", root, "faces")[0] == 0
    assert "\r" not in quiet.getvalue()


def test_what_was_pulled_is_read_offline(built, public, s3_server, capsys, cache):
    root, recordings = built
    assert run(capsys, "pull", *public, "faces", "other")[0] == 0
    nowhere = ["--endpoint", closed_endpoint(), "--anonymous", "--offline"]
    found = answer(capsys, "info", public[0], "faces", *nowhere)
    assert found["version"] == pointer(root, "faces")["version"]
    for command in (["ls"], ["query", "--where", "rows > 0"]):
        assert run(capsys, command[0], public[0], *command[1:], *nowhere)[0] == 0
    (done,) = answer(capsys, "pull", public[0], "faces", *nowhere)["pulled"]
    assert done["there"] == done["matrices"]
    opened = bidsmill.open(public[0], cache=cache, offline=True, endpoint=nowhere[1])
    rows = opened["faces"].select(where="subject in ['01', '02']")
    assert np.array_equal(rows.arrays(), expected_rows(recordings["faces"], rows.samples))
    assert bytes_below(cache / "store") and bytes_below(cache / "search")
    assert answer(capsys, "cache", "--clear")["removed"]
    assert bytes_below(cache / "store") == bytes_below(cache / "search") == 0
    assert run(capsys, "ls", public[0], *nowhere)[0] == 2


def closed_endpoint() -> str:
    """Return an address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_cache_is_shown_trimmed_checked_and_cleared(root, capsys, cache):
    assert answer(capsys, "cache")["bytes"] == 0
    run(capsys, "pull", root, "faces", "other")
    found = answer(capsys, "cache", root)
    arrays = sorted((cache / "matrix").glob("*.npy"))
    assert found["folder"] == str(cache) and found["bytes"] == bytes_below(cache)
    assert found["kinds"]["matrix"]["entries"] == len(arrays) == 5
    held = {one["dataset"]: (one["matrices"], one["held"]) for one in found["datasets"]}
    assert held == {"faces": (5, 5), "other": (2, 2)}
    assert [one["parts"] for one in found["datasets"]] == [0, 0]
    code, printed, _ = run(capsys, "cache")
    assert code == 0 and "decoded matrices" in printed
    content = bytearray(arrays[0].read_bytes())
    content[-1] ^= 1
    arrays[0].write_bytes(content)
    found = answer(capsys, "cache", "--verify", code=1)
    assert [one["path"] for one in found["damaged"]] == [f"matrix/{arrays[0].name}"]
    assert not arrays[0].exists() and answer(capsys, "cache", "--verify")["damaged"] == []
    found = answer(capsys, "cache", "--trim", "4kB")
    assert found["bytes"] == bytes_below(cache) <= 4000 and found["removed"]
    assert answer(capsys, "cache", "--clear")["bytes"] == 0 == bytes_below(cache / "matrix")


def test_a_size_that_is_none_and_a_store_that_is_not_trimmed(root, capsys, cache):
    for arguments in (["--trim", "much"], [root, "--clear"]):
        code, printed, told = run(capsys, "cache", *arguments)
        assert (code, printed) == (2, "") and told.startswith("bidsmill: ")


# What cannot be answered


def refused(capsys, *arguments: object) -> str:
    """Run a command that has no answer; return its words."""
    code, printed, told = run(capsys, *arguments)
    assert (code, printed) == (2, ""), (code, printed, told)
    assert told.startswith("bidsmill: ") and told.count("\n") == 1, told
    return told


READING = {
    "ls": [],
    "info": [],
    "query": ["--where", "rows > 0"],
    "pull": ["faces"],
    "verify": [],
    "audit": [],
    "sql": ["faces"],
    "cache": [],
    "gc": [],
}


@pytest.mark.parametrize("command", READING)
def test_a_wrong_path_and_what_is_no_store(root, capsys, cache, tmp_path, command):
    told = refused(capsys, command, root.parent / "stroe", *READING[command])
    assert "perhaps 'store'" in told
    refused(capsys, command, root / "catalog.parquet", *READING[command])
    told = refused(capsys, command, root.parent, *READING[command])
    assert f"open {root}" in told
    refused(capsys, command, "ftp://host/store", *READING[command])


@pytest.mark.parametrize("command", ["ls", "info", "pull", "cache"])
def test_a_damaged_catalogue(copy, capsys, cache, command):
    (copy / "catalog.parquet").write_text("[]")
    told = refused(capsys, command, copy, *READING[command])
    assert f"file: {copy / 'catalog.parquet'}" in told


@pytest.mark.parametrize("command", ["info", "pull", "verify", "audit", "sql"])
def test_a_dataset_that_is_not_there(root, capsys, cache, command):
    told = refused(capsys, command, root, "facse")
    assert "facse" in told and "faces" in told


@pytest.mark.parametrize("command", ["info", "pull", "sql"])
def test_a_version_that_is_not_there(root, capsys, cache, command):
    assert "1.0.0" in refused(capsys, command, root, "faces@1.0.1")


@pytest.mark.parametrize(
    "arguments",
    [
        ["ls", "--where", "rows >"],
        ["ls", "--where", "row > 1"],
        ["pull", "faces", "--split", "trian"],
        ["pull", "faces", "--channels", "Zz"],
        ["pull", "faces", "--recordings", "sub-1"],
    ],
)
def test_conditions_that_cannot_be_read(root, capsys, cache, arguments):
    told = refused(capsys, arguments[0], root, *arguments[1:])
    assert "expected: " in told


@pytest.mark.parametrize("command", ["ls", "audit"])
def test_buckets_that_cannot_be_read(public, s3_server, capsys, cache, command):
    more = READING[command]
    endpoint = ["--endpoint", s3_server.endpoint]
    assert "no such bucket" in refused(capsys, command, "s3://commands-none", *endpoint, *more)
    wrong = ["--endpoint", closed_endpoint(), "--anonymous"]
    assert "cannot be reached" in refused(capsys, command, public[0], *wrong, *more)
    no_such = ["--profile", "nobody", *endpoint]
    assert "no AWS profile nobody" in refused(capsys, command, public[0], *no_such, *more)
    if command not in ("verify", "audit"):
        told = refused(capsys, command, public[0], *public[1:], "--offline", *more)
        assert "offline" in told


def test_wrong_keys_and_no_store_in_a_bucket(public, s3_server, capsys, cache):
    s3_server.client().create_bucket(Bucket="commands-private")
    address = reached(s3_server, "s3://commands-private", cache)
    assert "no store at this address" in refused(capsys, "ls", *address)
    assert "no store at this address" in refused(capsys, "verify", *address)
    assert "denied" in refused(capsys, "ls", *address[:3], "--anonymous")
    text = (cache.parent / "no-credentials").read_text().replace(s3_server.secret_key, "wrong")
    (cache.parent / "no-credentials").write_text(text)
    told = refused(capsys, "verify", *address)
    assert "denied" in told and "wrong" not in told


@pytest.mark.parametrize("command", READING)
def test_a_password_in_an_address_is_refused_and_not_repeated(capsys, cache, command):
    for arguments in (
        ["s3://key:pass-phrase@bucket/x"],
        ["s3://bucket/x", "--endpoint", "https://key:pass-phrase@host"],
    ):
        told = refused(capsys, command, *arguments, *READING[command])
        assert "pass-phrase" not in told and "holds a password" in told


def test_a_pipe_that_nobody_reads(root, cache):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "bidsmill.cli", "ls", str(root)],
        stdout=writing,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (2, "")


def test_an_interrupt_while_a_server_is_silent(cache):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = ["verify", "s3://bucket/x", "--endpoint", endpoint, "--anonymous"]
        process = subprocess.Popen(
            [sys.executable, "-m", "bidsmill.cli", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(SOURCE)},
            text=True,
        )
        connection, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        printed, told = process.communicate(timeout=60)
        connection.close()
    assert (process.returncode, printed) == (130, "") and "Traceback" not in told


# Help


def commands() -> dict[str, argparse.ArgumentParser]:
    (action,) = (
        action
        for action in cli._parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return action.choices


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_help_of_every_command_teaches(name):
    """It describes the command, and its examples are commands that are understood."""
    parser = commands()[name]
    assert parser.description and parser.format_help()
    before, _, examples = parser.epilog.partition("example:")
    assert before == "" and examples
    for line in examples.strip().splitlines():
        words = shlex.split(line.partition(" | ")[0])
        assert words[:2] == ["bidsmill", name], line
        cli._parser().parse_args(words[1:])


def test_every_reading_command_prints_json_and_reaches_buckets():
    for name in ("ls", "info", "query", "pull", "verify", "audit", "cache", "sql", "gc"):
        if name in commands():
            options = {option for a in commands()[name]._actions for option in a.option_strings}
            assert {"--json", "--endpoint", "--profile", "--anonymous"} <= options, name


def test_a_number_of_workers_that_is_none(root, capsys):
    code, printed, told = run(capsys, "verify", root, "--workers", "0")
    assert (code, printed) == (2, "") and "expected 1 or more" in told


def test_an_answer_without_a_message():
    answer = {"Error": {"Code": "NoSuchBucket", "Message": None}}
    told = explain(ClientError(answer, "ListObjectsV2"), "s3://bucket")
    assert told is not None and told.found == "NoSuchBucket"
