"""A BIDS folder on a disk: which files it has, and which are read again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from bidsmill.errors import BidsmillError
from bidsmill.sources import local, presence

ANNEX = ".git/annex/objects/aa/bb/MD5E-s100--abc.edf/MD5E-s100--abc.edf"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def bids(tmp_path) -> Path:
    """A dataset of three files."""
    root = tmp_path / "ds"
    for name, content in {
        "dataset_description.json": b"{}",
        "sub-01/eeg/sub-01_eeg.edf": b"signal one",
        "sub-02/eeg/sub-02_eeg.edf": b"signal two",
    }.items():
        put(root, name, content)
    return root


def put(root: Path, name: str, content: bytes = b"x") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


THREE = ["dataset_description.json", "sub-01/eeg/sub-01_eeg.edf", "sub-02/eeg/sub-02_eeg.edf"]


# Which files


def test_hidden_and_excluded_are_left_out(bids):
    for name in (".git/config", ".bidsignore", "sub-01/.hidden/a", "sub-01/eeg/.DS_Store"):
        put(bids, name)
    for folder in ("derivatives", "sourcedata", "code", "stimuli"):
        put(bids, f"{folder}/a.txt")
        put(bids, f"sub-01/{folder}/a.txt")  # only those at the top are left out
    kept = [f"sub-01/{folder}/a.txt" for folder in ("derivatives", "sourcedata", "code", "stimuli")]
    assert local.list_files(bids) == sorted([*THREE, *kept])


def test_folders_that_are_asked_for_are_listed(bids):
    for folder in ("derivatives", "sourcedata", "code", "stimuli"):
        put(bids, f"{folder}/.hidden/a.txt")
        put(bids, f"{folder}/a.txt")
    asked = local.list_files(bids, ["stimuli", "code"])
    assert asked == ["code/a.txt", THREE[0], "stimuli/a.txt", *THREE[1:]]
    assert local.list_files(bids, ["sourcedata"]) == sorted([*THREE, "sourcedata/a.txt"])


def test_order_is_that_of_names_whatever_the_disk_says(bids):
    for name in ("b.txt", "a/z.txt", "a-b.txt", "B.txt", "a.txt", "é.txt"):
        put(bids, name)
    listed = local.list_files(bids)
    assert listed == sorted(listed)
    assert set(listed) - set(THREE) == {"b.txt", "a/z.txt", "a-b.txt", "B.txt", "a.txt", "é.txt"}


def test_links_to_folders_outside_are_followed_once(bids, tmp_path):
    put(tmp_path, "elsewhere/eeg/sub-03_eeg.edf")
    (bids / "sub-03").symlink_to(tmp_path / "elsewhere")
    (bids / "sub-04").symlink_to(tmp_path / "elsewhere")
    assert local.list_files(bids) == [*THREE, "sub-03/eeg/sub-03_eeg.edf"]


@pytest.mark.parametrize("name", ["a", "zzz"])
def test_a_link_never_stands_in_for_a_folder_of_the_dataset(bids, name):
    """Whether the link comes before the folder or after it, by name."""
    (bids / name).symlink_to("sub-01")
    (bids / "sub-02" / name).symlink_to("../sub-01/eeg")
    assert local.list_files(bids) == THREE


def test_loops_of_links_end(bids, tmp_path):
    put(tmp_path, "elsewhere/a.txt")
    (bids / "sub-01" / "root").symlink_to(bids)
    (bids / "sub-01" / "eeg" / "up").symlink_to("..")
    (bids / "sub-02" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(bids)
    (tmp_path / "elsewhere" / "self").symlink_to(".")
    (bids / "parent").symlink_to(tmp_path)  # a folder that holds the dataset itself
    linked = ["parent/elsewhere/a.txt", "sub-02/out/a.txt"]
    assert local.list_files(bids) == sorted([*THREE, *linked])


def test_a_link_to_a_storage_does_not_swallow_the_links_into_it(bids, tmp_path):
    put(tmp_path, "storage/03/eeg/sub-03_eeg.edf")
    (bids / "all").symlink_to(tmp_path / "storage")
    (bids / "sub-03").symlink_to(tmp_path / "storage" / "03")
    assert "sub-03/eeg/sub-03_eeg.edf" in local.list_files(bids)


def test_broken_links_and_links_to_themselves_are_listed(bids):
    (bids / "sub-01" / "eeg" / "sub-01_eeg.fdt").symlink_to(f"../../{ANNEX}")
    (bids / "loop").symlink_to("loop")
    (bids / "one").symlink_to("other")
    (bids / "other").symlink_to("one")
    paths = local.list_files(bids)
    assert paths == sorted([*THREE, "loop", "one", "other", "sub-01/eeg/sub-01_eeg.fdt"])
    listed, state = local.checksums(bids, paths, {})
    unreadable = [entry["path"] for entry in listed if entry["checksum"] is None]
    assert unreadable == ["loop", "one", "other", "sub-01/eeg/sub-01_eeg.fdt"]
    assert set(state) == set(THREE)


def test_links_to_files_are_files(bids, tmp_path):
    put(tmp_path, "content", b"linked")
    (bids / "sub-01" / "eeg" / "sub-01_eeg.fdt").symlink_to(tmp_path / "content")
    listed, _ = local.checksums(bids, local.list_files(bids), {})
    (entry,) = [e for e in listed if e["path"].endswith(".fdt")]
    assert (entry["size"], entry["checksum"]) == (6, f"sha256:{sha256(b'linked')}")


def test_a_name_that_is_not_utf8_is_left_out_with_a_warning(bids, caplog):
    with open(os.fsencode(bids) + b"/sub-01/M\xfcller.txt", "wb"):
        pass
    os.mkdir(os.fsencode(bids) + b"/\xe9t\xe9")
    assert local.list_files(bids) == THREE
    assert "udcfc" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: root.rename(root.with_name("gone")), "folder is missing"),
        (lambda root: (root / THREE[0]).unlink(), "no BIDS dataset"),
    ],
)
def test_what_is_no_dataset(bids, change, message):
    change(bids)
    with pytest.raises(BidsmillError, match=message) as caught:
        local.list_files(bids)
    assert caught.value.file == str(bids)
    assert caught.value.todo


# What is read again


@pytest.fixture
def read(monkeypatch):
    """Names of the files that are hashed, in the order of names."""
    names: list[str] = []

    def counted(path):
        names.append(Path(path).name)
        return sha256(Path(path).read_bytes())

    monkeypatch.setattr(presence, "sha256_file", counted)
    return names


def look(bids, state):
    listed, state = local.checksums(bids, local.list_files(bids), state)
    return {entry["path"]: entry for entry in listed}, state


def test_nothing_that_did_not_move_is_read_again(bids, read):
    first, state = look(bids, {})
    assert sorted(read) == ["dataset_description.json", "sub-01_eeg.edf", "sub-02_eeg.edf"]
    for path, entry in first.items():
        content = (bids / path).read_bytes()
        assert entry == {
            "path": path,
            "size": len(content),
            "checksum": f"sha256:{sha256(content)}",
        }
    for path, seen in state.items():
        facts, digest = (bids / path).stat(), sha256((bids / path).read_bytes())
        assert seen == [facts.st_size, facts.st_mtime_ns, facts.st_ino, digest, f"sha256:{digest}"]
    read.clear()
    assert look(bids, state) == (first, state)
    assert read == []


def test_a_state_of_another_version_is_read_anew(bids, read):
    """It has no identity: size, time, inode and sha256 alone."""
    first, state = look(bids, {})
    read.clear()
    assert look(bids, {path: seen[:4] for path, seen in state.items()}) == (first, state)
    assert len(read) == len(THREE)


@pytest.mark.parametrize("move", ["content", "size", "mtime", "inode"])
def test_whatever_moved_is_read_again(bids, read, move):
    first, state = look(bids, {})
    read.clear()
    path = bids / THREE[1]
    before = path.stat()
    if move == "content":
        path.write_bytes(b"SIGNAL ONE")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    if move == "size":
        path.write_bytes(b"longer than before")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    if move == "mtime":
        os.utime(path, ns=(0, 0))
    if move == "inode":
        other = put(bids, "sub-01/eeg/new", b"signal 111")
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.replace(other, path)
    second, _ = look(bids, state)
    assert read == ["sub-01_eeg.edf"]
    assert second[THREE[1]]["checksum"] == f"sha256:{sha256(path.read_bytes())}"
    changed = {name for name in second if second[name] != first[name]}
    assert changed == (set() if move == "mtime" else {THREE[1]})


def test_new_and_lost_files(bids, read):
    _, state = look(bids, {})
    read.clear()
    (bids / THREE[1]).unlink()
    put(bids, "sub-03/eeg/sub-03_eeg.edf", b"three")
    second, state = look(bids, state)
    assert read == ["sub-03_eeg.edf"]
    assert set(second) == set(state) == {THREE[0], THREE[2], "sub-03/eeg/sub-03_eeg.edf"}


def test_what_cannot_be_read_costs_itself_alone(bids, monkeypatch):
    def refused(path):
        if Path(path).name == "sub-01_eeg.edf":
            raise PermissionError(13, "Permission denied", str(path))
        return sha256(Path(path).read_bytes())

    monkeypatch.setattr(presence, "sha256_file", refused)
    listed, _ = look(bids, {})
    assert listed[THREE[1]]["checksum"] is None
    assert listed[THREE[2]]["checksum"] == f"sha256:{sha256(b'signal two')}"


@pytest.mark.timeout(20, method="thread")
def test_a_pipe_is_not_waited_for(bids):
    os.mkfifo(bids / "sub-01" / "pipe")
    listed, _ = look(bids, {})
    assert listed["sub-01/pipe"]["checksum"] is None
