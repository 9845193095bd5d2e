"""A BIDS folder on a disk: which files it has, which are read again, and what is wrong."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from bidsmill.errors import BidsmillError
from bidsmill.sources import local

ANNEX = ".git/annex/objects/aa/bb/MD5E-s100--abc.edf/MD5E-s100--abc.edf"
LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 100\n"


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
    unreadable = [entry["path"] for entry in listed if entry["sha256"] is None]
    assert unreadable == ["loop", "one", "other", "sub-01/eeg/sub-01_eeg.fdt"]
    assert set(state) == set(THREE)


def test_links_to_files_are_files(bids, tmp_path):
    put(tmp_path, "content", b"linked")
    (bids / "sub-01" / "eeg" / "sub-01_eeg.fdt").symlink_to(tmp_path / "content")
    listed, _ = local.checksums(bids, local.list_files(bids), {})
    (entry,) = [e for e in listed if e["path"].endswith(".fdt")]
    assert (entry["size"], entry["sha256"]) == (6, sha256(b"linked"))


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

    monkeypatch.setattr(local, "sha256_file", counted)
    return names


def look(bids, state):
    listed, state = local.checksums(bids, local.list_files(bids), state)
    return {entry["path"]: entry for entry in listed}, state


def test_nothing_that_did_not_move_is_read_again(bids, read):
    first, state = look(bids, {})
    assert sorted(read) == ["dataset_description.json", "sub-01_eeg.edf", "sub-02_eeg.edf"]
    for path, entry in first.items():
        content = (bids / path).read_bytes()
        assert entry == {"path": path, "size": len(content), "sha256": sha256(content)}
    read.clear()
    assert look(bids, state) == (first, state)
    assert read == []


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
    assert second[THREE[1]]["sha256"] == sha256(path.read_bytes())
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

    monkeypatch.setattr(local, "sha256_file", refused)
    listed, _ = look(bids, {})
    assert listed[THREE[1]]["sha256"] is None
    assert listed[THREE[2]]["sha256"] == sha256(b"signal two")


@pytest.mark.timeout(20, method="thread")
def test_a_pipe_is_not_waited_for(bids):
    os.mkfifo(bids / "sub-01" / "pipe")
    listed, _ = look(bids, {})
    assert listed["sub-01/pipe"]["sha256"] is None


# Are they still those of the lock?


def checked(bids, state=None, name=THREE[1], content=b"signal one"):
    return local.check_files(bids, {name: sha256(content)}, state or {})


def test_all_is_well(bids):
    assert checked(bids) is None
    assert local.check_files(bids, {}, {}) is None


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
    reason, message = local.check_files(bids, {THREE[1]: None}, {})
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
    _, state = look(bids, {})
    (bids / THREE[1]).write_bytes(b"other")
    reason, message = checked(bids, state)
    assert reason == "source_changed"
    assert sha256(b"other")[:12] in message
    assert sha256(b"signal one")[:12] in message
    assert "--forcerun lock" in message
    assert local.check_files(bids, {THREE[1]: None}, {})[0] == "source_changed"


def test_a_file_that_moved_without_changing_is_well(bids):
    _, state = look(bids, {})
    content = (bids / THREE[1]).read_bytes()
    (bids / THREE[1]).unlink()
    put(bids, THREE[1], content)
    assert checked(bids, state) is None


def test_a_forged_time_is_believed(bids):
    """Size, time and inode decide whether a file is read: what restores all three is not seen.

    A lock without the state (a fresh results folder) sees it.
    """
    _, state = look(bids, {})
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
    wanted = {THREE[2]: sha256(b"signal two"), THREE[1]: sha256(b"x"), "no": sha256(b"y")}
    reason, message = local.check_files(bids, wanted, {})
    assert reason == "source_changed"
    assert message.startswith(THREE[1])
