"""Whether the files of a lock are there, and are still those: what is computed, what is known."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
from absence import absent
from hypothesis import given
from hypothesis import strategies as st

from bidsmill.errors import RecordingProblem
from bidsmill.sources import presence

ANNEX = ".git/annex/objects/aa/bb/MD5E-s100--abc.edf/MD5E-s100--abc.edf"
LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 100\n"
THREE = ["dataset_description.json", "sub-01/eeg/sub-01_eeg.edf", "sub-02/eeg/sub-02_eeg.edf"]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def put(root: Path, name: str, content: bytes = b"x") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def bids(tmp_path) -> Path:
    """A dataset of three files."""
    root = tmp_path / "ds"
    for name, content in zip(THREE, (b"{}", b"signal one", b"signal two"), strict=True):
        put(root, name, content)
    return root


def looked(root: Path) -> presence.State:
    """Return what a look at all files sees."""
    seen = {name: presence.look_at(root / name) for name in THREE}
    assert None not in seen.values()
    return seen


# Are they still those of the lock?


def checked(bids, state=None, name=THREE[1], content=b"signal one"):
    return presence.check_files(bids, {name: f"sha256:{sha256(content)}"}, state or {})


def test_all_is_well(bids):
    assert checked(bids) is None
    assert presence.check_files(bids, {}, {}) is None


def test_pointers_of_git_annex_and_lfs(bids):
    path = bids / THREE[1]
    for content in (b"/annex/objects/MD5E-s100--abc.edf\n", b"../.git/annex/objects/x\n"):
        path.write_bytes(content)
        reason, message = checked(bids, content=content)
        assert reason == "content_not_fetched"
        assert "git-annex" in message
        assert THREE[1] in message
    path.write_text(LFS)
    reason, message = checked(bids, content=LFS.encode())
    assert (reason, "Git LFS" in message) == ("content_not_fetched", True)


@pytest.mark.parametrize(("target", "kind"), [(f"../../{ANNEX}", "git-annex"), ("x", "broken")])
def test_broken_links(bids, target, kind):
    (bids / THREE[1]).unlink()
    (bids / THREE[1]).symlink_to(target)
    reason, message = presence.check_files(bids, {THREE[1]: None}, {})
    assert reason == "content_not_fetched"
    assert kind in message


def test_a_fetched_annex_file_is_data(bids):
    target = put(bids, ANNEX, b"signal one")
    (bids / THREE[1]).unlink()
    (bids / THREE[1]).symlink_to(os.path.relpath(target, bids / "sub-01" / "eeg"))
    assert checked(bids) is None


def test_data_that_speak_of_pointers_are_data(bids):
    content = b"version https://git-lfs.github.com/spec/v1\n" + b"\0" * 2000
    (bids / THREE[1]).write_bytes(content)
    assert checked(bids, content=content) is None
    content = b"\0\0 /annex/objects/ in a small binary file"
    (bids / THREE[1]).write_bytes(content)
    assert checked(bids, content=content) is None


def test_a_missing_file(bids):
    (bids / THREE[1]).unlink()
    reason, message = checked(bids)
    assert reason == "file_missing"
    assert THREE[1] in message


def test_a_file_that_changed(bids):
    state = looked(bids)
    (bids / THREE[1]).write_bytes(b"other")
    reason, message = checked(bids, state)
    assert reason == "source_changed"
    assert sha256(b"other")[:12] in message
    assert sha256(b"signal one")[:12] in message
    assert "--forcerun lock" in message
    assert presence.check_files(bids, {THREE[1]: None}, {})[0] == "source_changed"


def test_a_file_that_moved_without_changing_is_well(bids):
    state = looked(bids)
    content = (bids / THREE[1]).read_bytes()
    (bids / THREE[1]).unlink()
    put(bids, THREE[1], content)
    assert checked(bids, state) is None


def test_a_forged_time_is_believed(bids):
    """Size, time and inode decide whether a file is read: what restores all three is not seen.

    A lock without the state (a fresh results folder) sees it.
    """
    state = looked(bids)
    path = bids / THREE[1]
    before = path.stat()
    with open(path, "r+b") as file:
        file.write(b"SIGNAL ONE")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_ino == before.st_ino
    assert checked(bids, state) is None
    assert checked(bids, {})[0] == "source_changed"


def test_an_empty_file(bids):
    (bids / THREE[1]).write_bytes(b"")
    assert checked(bids, content=b"")[0] == "empty_file"
    put(bids, "sub-01/meg/sub-01_meg.ds/empty.acq", b"")
    name = "sub-01/meg/sub-01_meg.ds/empty.acq"
    assert checked(bids, name=name, content=b"") is None, "CTF folders hold empty files"


def test_the_first_problem_is_told(bids):
    contents = {THREE[2]: b"signal two", THREE[1]: b"x", "no": b"y"}
    wanted = {path: f"sha256:{sha256(content)}" for path, content in contents.items()}
    reason, message = presence.check_files(bids, wanted, {})
    assert reason == "source_changed"
    assert message.startswith(THREE[1])


def test_what_is_required_is_raised(bids):
    presence.require_files(bids, {THREE[1]: f"sha256:{sha256(b'signal one')}"}, {})
    (bids / THREE[1]).write_bytes(b"other")
    with pytest.raises(RecordingProblem, match="is not the file that was locked") as caught:
        presence.require_files(bids, {THREE[1]: f"sha256:{sha256(b'signal one')}"}, {})
    assert caught.value.code == "source_changed"


# Checksums of other kinds: computed


def is_locked(path: Path, wanted: str | None, known: list | None = None) -> bool:
    look = presence.look_at(path, known)
    assert look is not None
    return presence.is_locked_file(path, look, wanted, known)


CONTENTS = [b"", b"a", b"line\r\nline\n", bytes(range(256)) * 8200]


@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_a_git_blob_is_the_one_that_git_knows(tmp_path, content):
    path = put(tmp_path, "file", content)
    try:
        command = ["git", "hash-object", "--no-filters", str(path)]
        blob = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        absent("git is not installed")
    assert is_locked(path, f"git:{blob}")
    assert not is_locked(path, f"md5:{blob}")
    assert not is_locked(path, f"git:{hashlib.sha1(content).hexdigest()}"), "the header counts"
    path.write_bytes(content + b"x")
    assert not is_locked(path, f"git:{blob}")


@given(content=st.binary(max_size=50), other=st.binary(max_size=50))
def test_an_md5_is_that_of_the_bytes(tmp_path_factory, content, other):
    path = put(tmp_path_factory.mktemp("md5"), "file", content)
    wanted = f"md5:{hashlib.md5(other).hexdigest()}"
    assert is_locked(path, wanted) == (content == other)
    assert is_locked(path, f"sha256:{sha256(other)}") == (content == other)
    assert not is_locked(path, None)


def test_an_md5_of_a_file_of_more_than_one_block(tmp_path):
    content = bytes(range(256)) * 8200
    assert is_locked(put(tmp_path, "file", content), f"md5:{hashlib.md5(content).hexdigest()}")


@pytest.mark.parametrize("algorithm", ["md5", "git"])
def test_the_files_of_a_recording_with_checksums_of_other_kinds(bids, algorithm):
    content = b"signal one"
    digests = {
        "md5": hashlib.md5(content).hexdigest(),
        # echo -n "signal one" | git hash-object --stdin
        "git": hashlib.sha1(b"blob 10\0" + content).hexdigest(),
    }
    wanted = {THREE[1]: f"{algorithm}:{digests[algorithm]}"}
    assert presence.check_files(bids, wanted, {}) is None
    (bids / THREE[1]).write_bytes(b"signal two")
    reason, message = presence.check_files(bids, wanted, {})
    assert reason == "source_changed"
    assert f"expected {algorithm} {digests[algorithm][:12]}…" in message
    assert sha256(b"signal two")[:12] in message


def test_what_was_verified_is_not_read_again(bids):
    """A file that did not move since it was fetched as the version of the lock."""
    path, wanted = bids / THREE[1], f"md5:{hashlib.md5(b'signal one').hexdigest()}"
    known = presence.seen_of(path, sha256(b"signal one"), {"checksum": wanted})
    facts = path.stat()
    assert known == [10, facts.st_mtime_ns, facts.st_ino, sha256(b"signal one"), wanted]
    with open(path, "r+b") as file:
        file.write(b"SIGNAL ONE")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert presence.look_at(path, known) == known
    assert presence.check_files(bids, {THREE[1]: wanted}, {THREE[1]: known}) is None
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    assert presence.look_at(path, known)[3] == sha256(b"SIGNAL ONE")
    assert presence.check_files(bids, {THREE[1]: wanted}, {THREE[1]: known}) is not None


# Identities that cannot be computed: known from fetching

UNKNOWABLE = [
    {"path": THREE[1], "size": 10, "checksum": None, "version": "3L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY"},
    {"path": THREE[1], "size": 10, "checksum": "etag:0123456789abcdef0123456789abcdef-4"},
    {"path": THREE[1], "size": 10, "checksum": None, "url": "https://example.org/ds/file.edf"},
]
IDENTITIES = [
    "version:3L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY",
    "etag:0123456789abcdef0123456789abcdef-4",
    "listed:10 https://example.org/ds/file.edf",
]


@pytest.fixture(params=zip(UNKNOWABLE, IDENTITIES, strict=True), ids=IDENTITIES)
def fetched(request, bids):
    """Return the file, its identity in the lock, and the state after it was fetched."""
    entry, wanted = request.param
    path = bids / THREE[1]
    state = {THREE[1]: presence.seen_of(path, sha256(b"signal one"), entry)}
    assert state[THREE[1]][3:] == [sha256(b"signal one"), wanted]
    return path, {THREE[1]: wanted}, state


def test_bytes_that_are_those_of_the_fetch_are_the_version_of_the_lock(bids, fetched):
    path, wanted, state = fetched
    assert presence.check_files(bids, wanted, state) is None
    path.unlink()
    put(bids, THREE[1], b"signal one")
    os.utime(path, ns=(0, 0))
    assert presence.check_files(bids, wanted, state) is None, "it moved, and holds the same"


@pytest.mark.parametrize("content", [b"SIGNAL ONE", b"signal", b"longer than it was"])
def test_other_bytes_are_not_the_version_of_the_lock(bids, fetched, content):
    path, wanted, state = fetched
    path.write_bytes(content)
    os.utime(path, ns=(0, 0))
    reason, message = presence.check_files(bids, wanted, state)
    assert reason == "source_changed"
    assert sha256(content)[:12] in message


def test_the_same_bytes_are_no_proof_of_another_version(bids, fetched):
    _, wanted, state = fetched
    (identity,) = wanted.values()
    assert presence.check_files(bids, {THREE[1]: f"{identity}x"}, state)[0] == "source_changed"


@pytest.mark.parametrize("known", [None, "another identity", "without identity"])
def test_a_file_that_was_never_fetched_is_not_known(bids, fetched, known):
    path, wanted, state = fetched
    if known is None:
        state = {}
    elif known == "another identity":
        state = {THREE[1]: presence.look_at(path)}
    else:
        state = {THREE[1]: state[THREE[1]][:4]}
    assert presence.check_files(bids, wanted, state)[0] == "source_changed"


def test_the_checksums_of_what_is_there(bids):
    state = looked(bids)
    wanted = dict.fromkeys(THREE[1:], "etag:x")
    assert presence.sha256_of(bids, wanted, state) == {
        THREE[1]: sha256(b"signal one"),
        THREE[2]: sha256(b"signal two"),
    }


# What is remembered


def states(results: Path) -> dict[str, dict]:
    found = sorted((results / "fetch-state").glob("*.json"))
    return {path.stem: json.loads(path.read_bytes()) for path in found}


def a_look(number: int) -> list:
    return [number, number, number, f"{number:064x}", f"version:{number}"]


def test_a_state_is_found_again(tmp_path):
    assert presence.read_state(tmp_path) == {}
    presence.write_state(tmp_path, "b0000", {"b": a_look(1), "a": a_look(2)})
    presence.write_state(tmp_path, "b0001", {"c": a_look(3)})
    presence.write_state(tmp_path, "dataset", {"d": a_look(4)})
    looks = {"a": a_look(2), "b": a_look(1), "c": a_look(3), "d": a_look(4)}
    assert presence.read_state(tmp_path) == looks
    assert presence.read_state(tmp_path, "b0001") == {"c": a_look(3)}
    assert presence.read_state(tmp_path, "b0007") == {}
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "fetch-state").iterdir()}
    presence.write_state(tmp_path, "b0000", {"a": a_look(2), "b": a_look(1)})
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_local_dataset_has_one_state_for_all_batches(tmp_path):
    (tmp_path / "lock-state.json").write_text(json.dumps({"a": a_look(1), "b": a_look(2)}))
    for batch in (None, "b0000", "dataset"):
        assert presence.read_state(tmp_path, batch) == {"a": a_look(1), "b": a_look(2)}


def test_what_batches_saw_that_vanish_is_kept_for_the_dataset(tmp_path):
    presence.write_state(tmp_path, "b0000", {"a": a_look(1)})
    presence.write_state(tmp_path, "b0001", {"b": a_look(2)})
    presence.write_state(tmp_path, "b0002", {"c": a_look(3), "d": a_look(4)})
    presence.write_state(tmp_path, "dataset", {"e": a_look(5), "c": a_look(6)})
    presence.keep_state_of(tmp_path, {"b0000", "b0003"})
    assert states(tmp_path) == {
        "b0000": {"a": a_look(1)},
        "dataset": {"b": a_look(2), "c": a_look(6), "d": a_look(4), "e": a_look(5)},
    }
    presence.keep_state_of(tmp_path, {"b0003"})
    numbers = {"a": 1, "b": 2, "c": 6, "d": 4, "e": 5}
    assert states(tmp_path) == {"dataset": {n: a_look(i) for n, i in numbers.items()}}


def test_nothing_is_kept_where_nothing_vanishes(tmp_path):
    presence.keep_state_of(tmp_path, {"b0000"})
    assert states(tmp_path) == {}
    presence.write_state(tmp_path, "b0000", {"a": a_look(1)})
    presence.keep_state_of(tmp_path, {"b0000"})
    assert states(tmp_path) == {"b0000": {"a": a_look(1)}}


def test_what_a_batch_sees_now_wins_over_what_a_vanished_one_saw(tmp_path):
    """Else a new version of a file would be told from the version before, which is gone."""
    presence.write_state(tmp_path, "b0003", {"a": a_look(1)})
    presence.keep_state_of(tmp_path, {"b0000"})
    presence.write_state(tmp_path, "b0000", {"a": a_look(2)})
    assert presence.read_state(tmp_path)["a"] == a_look(2)


DAMAGED = ["", "{", "\0", "\xff", "[]", "[1]", "null", "3", '"a"', '{"a": null}', '{"a": 3}']
DAMAGED += ['{"a": []}', '{"a": {}}', '{"a": "12345"}', '{"a": [1, 2, 3, "x"]}']


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize("name", ["lock-state", "fetch-state/b0000", "fetch-state/dataset"])
def test_a_damaged_state_is_ignored(tmp_path, content, name):
    path = put(tmp_path, f"{name}.json", content.encode("latin-1"))
    if name != "fetch-state/dataset":
        presence.write_state(tmp_path, "dataset", {"b": a_look(1)})
    presence.write_state(tmp_path, "b0001", {"c": a_look(2)})
    state = presence.read_state(tmp_path)
    assert state["c"] == a_look(2)
    assert name == "fetch-state/dataset" or state["b"] == a_look(1)
    target = put(tmp_path, "ds/a", b"signal")
    expected = [6, target.stat().st_mtime_ns, target.stat().st_ino, sha256(b"signal")]
    assert presence.look_at(target, state.get("a"))[:4] == expected
    assert (
        presence.check_files(tmp_path / "ds", {"a": f"sha256:{sha256(b'signal')}"}, state) is None
    )
    presence.keep_state_of(tmp_path, {"b0002"})
    assert states(tmp_path)["dataset"]["c"] == a_look(2)
    assert path.exists() == (name != "fetch-state/b0000")
