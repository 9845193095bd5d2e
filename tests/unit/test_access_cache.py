"""The cache under damage, many processes, kills, and folders that cannot be written."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import time
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from access_store import A_SOURCES, A_TYPES, Recording, StoreBuilder, samples_of

import bidsmill
from bidsmill.access.cache.budget import parse_size
from bidsmill.access.cache.cache import Cache, default_folder
from bidsmill.access.cache.entries import whole_place
from bidsmill.access.cache.location import StoreReader
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.storage.folder import Folder

KILLS = 1  # of the same code as in test_access_pull, which has more
KILLS_LONG = 50


def recordings_of(count: int, rows: int = 20, n_times: int = 16) -> list[Recording]:
    return [
        Recording(f"{i:02}", A_SOURCES, A_TYPES, rows=rows, n_times=n_times)
        for i in range(1, count + 1)
    ]


@pytest.fixture
def built(tmp_path):
    recordings = recordings_of(6)
    builder = StoreBuilder(tmp_path / "store")
    builder.publish("ds", recordings, samples_of(recordings))
    return builder.root, recordings


def opened(built, cache):
    dataset = bidsmill.open(built[0], cache=cache)["ds"]
    entries = [dataset.matrices[recording.name] for recording in built[1]]
    return dataset, entries


def all_rows(recordings) -> np.ndarray:
    return np.concatenate([recording.array for recording in recordings])


def test_entries_are_npy_files_of_the_rows(built, tmp_path):
    dataset, entries = opened(built, tmp_path / "cache")
    X = dataset.select(excluded=True).arrays()
    np.testing.assert_array_equal(X, all_rows(built[1]))
    for recording, entry in zip(built[1], entries, strict=True):
        stored = built[0] / entry["path"]
        sha256 = hashlib.sha256(stored.read_bytes()).hexdigest()
        loaded = np.load(tmp_path / "cache" / "matrix" / f"{sha256}.npy", allow_pickle=False)
        assert loaded.dtype == np.dtype("<f4") and loaded.flags.c_contiguous
        np.testing.assert_array_equal(loaded, recording.array)


def test_a_warm_cache_needs_no_matrix_files(built, tmp_path):
    dataset, entries = opened(built, tmp_path / "cache")
    dataset.select().arrays()
    for entry in entries:
        (built[0] / entry["path"]).unlink()
    again = opened(built, tmp_path / "cache")[0].select(excluded=True).arrays()
    np.testing.assert_array_equal(again, all_rows(built[1]))


def test_arrays_of_the_cache_cannot_be_written(built, tmp_path):
    dataset, entries = opened(built, tmp_path / "cache")
    array = dataset.cache.array(entries[0])
    with pytest.raises(ValueError):
        array[0] = 0


@pytest.mark.parametrize("damage", ["truncated", "longer", "empty", "header", "other shape"])
def test_a_damaged_entry_is_made_again(built, tmp_path, damage):
    dataset, entries = opened(built, tmp_path / "cache")
    dataset.select().arrays()
    path = dataset.cache.entry_path(entries[2]["sha256"])
    content = path.read_bytes()
    if damage == "other shape":
        np.save(path, built[1][2].array.reshape(5, 20, 16))
    else:
        path.write_bytes(
            {
                "truncated": content[:-1],
                "longer": content + b"\0",
                "empty": b"",
                "header": b"x" * 128 + content[128:],
            }[damage]
        )
    again = opened(built, tmp_path / "cache")[0].select(excluded=True).arrays()
    np.testing.assert_array_equal(again, all_rows(built[1]))
    assert path.read_bytes() == content


@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing", "swapped"])
def test_a_damaged_matrix_is_an_error_that_names_it(built, tmp_path, damage):
    dataset, entries = opened(built, tmp_path / "cache")
    path = built[0] / entries[1]["path"]
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "truncated":
        path.write_bytes(content[:-10])
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes((built[0] / entries[0]["path"]).read_bytes())
    with pytest.raises(BidsmillError) as error:
        dataset.select().arrays()
    assert error.value.file == str(path)
    if damage == "truncated":
        assert error.value.found == f"{len(content) - 10} bytes"
        assert error.value.expected == f"{len(content)} bytes"
    if damage == "flipped":
        assert error.value.found == f"sha256 {hashlib.sha256(content).hexdigest()}"
        assert error.value.expected == f"sha256 {entries[1]['sha256']}"
    assert not dataset.cache.entry_path(entries[1]["sha256"]).exists()


def test_a_folder_that_cannot_be_made(built, tmp_path):
    """A file in the place of the folder: what root sees, too, unlike a folder without rights."""
    (tmp_path / "occupied").write_text("")
    dataset = opened(built, tmp_path / "occupied" / "cache")[0]
    with pytest.warns(RuntimeWarning, match="cannot be written.*BIDSMILL_CACHE"):
        X = dataset.select(excluded=True).arrays()
    np.testing.assert_array_equal(X, all_rows(built[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(dataset.select(excluded=True).arrays(), X)


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_full_disk(built, tmp_path):
    """The kernel refuses to write past a limit, in the middle of an entry."""
    code = f"""
        import resource, warnings, bidsmill
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            X = bidsmill.open({str(built[0])!r})["ds"].select(excluded=True).arrays()
        assert "cannot be written" in str(caught[0].message), caught
        import hashlib
        print(hashlib.sha256(X.tobytes()).hexdigest())
    """
    run = _python(code, tmp_path / "cache")
    out, error = run.communicate()
    assert run.returncode == 0, error
    assert out.strip() == hashlib.sha256(all_rows(built[1]).tobytes()).hexdigest()
    assert list((tmp_path / "cache" / "matrix").iterdir()) == []


def test_only_a_bounded_number_of_maps_is_kept(built, tmp_path):
    dataset = opened(built, tmp_path / "cache")[0]
    dataset.cache.max_maps = 2
    rows = dataset.select(excluded=True).rows()
    order = np.random.default_rng(0).permutation(120)
    np.testing.assert_array_equal(rows.take(order), all_rows(built[1])[order])
    assert len(dataset.cache._maps) == 2 and rows.take([]).shape == (0, *rows.shape)
    if os.path.isdir("/proc/self/fd"):
        here = str(tmp_path / "cache")
        links = [os.path.join("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")]
        open_entries = [x for x in links if os.path.islink(x) and here in os.readlink(x)]
        assert len(open_entries) <= 2


def test_a_pickled_reader_carries_no_open_files(built, tmp_path):
    dataset = opened(built, tmp_path / "cache")[0]
    rows = dataset.select(excluded=True).rows()
    rows.all()
    content = pickle.dumps(rows)
    assert len(content) < all_rows(built[1]).nbytes / 2
    copy = pickle.loads(content)
    assert not copy.cache._maps and rows.cache._maps
    np.testing.assert_array_equal(copy.all(), all_rows(built[1]))


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("BIDSMILL_CACHE", str(tmp_path / "named"))
    assert default_folder() == tmp_path / "named"
    monkeypatch.delenv("BIDSMILL_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_folder() == tmp_path / "xdg" / "bidsmill"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "bidsmill"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_folder() == tmp_path / "Library" / "Caches" / "bidsmill"


def _python(code: str, cache) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "BIDSMILL_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_only_entries(cache, matrices):
    """Every matrix has an array and its record; no lock and no temporary file is left."""
    names = [f"{entry['sha256']}{end}" for entry in matrices for end in (".json", ".npy")]
    assert sorted(path.name for path in (cache / "matrix").iterdir()) == sorted(names)
    assert list((cache / "lock").iterdir()) == []


def test_four_processes_fill_one_cache(built, tmp_path):
    code = """
        import hashlib, sys, time
        import numpy as np, pandas, pyarrow.parquet, bidsmill
        rows = bidsmill.open({root!r})["ds"].select(excluded=True).rows()
        print("ready", flush=True)
        sys.stdin.readline()
        order = np.random.default_rng({seed}).permutation(len(rows))
        X = np.empty((len(rows), *rows.shape), np.float32)
        for i in order:
            X[i] = rows.take([i])[0]
        print(hashlib.sha256(X.tobytes()).hexdigest())
    """
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code).format(root=str(built[0]), seed=seed)],
            env={**os.environ, "BIDSMILL_CACHE": str(tmp_path / "cache")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    for run in runs:
        assert run.stdout.readline() == "ready\n"
    for run in runs:  # all four are loaded and start together
        run.stdin.write("go\n")
        run.stdin.flush()
    expected = hashlib.sha256(all_rows(built[1]).tobytes()).hexdigest()
    for run in runs:
        out, error = run.communicate(timeout=120)
        assert run.returncode == 0, error
        assert out.strip() == expected
    matrices = opened(built, tmp_path / "cache")[1]
    assert_only_entries(tmp_path / "cache", matrices)


def kill_writers(built, folder, kills: int) -> int:
    """Kill processes at random moments until `kills` of them were filling the cache.

    Returns how many were. A process that was done before its kill does not count.
    """
    code = f"""
        import bidsmill, numpy, pandas, pyarrow.parquet
        rows = bidsmill.open({str(built[0])!r})["ds"].select(excluded=True).rows()
        print("ready", flush=True)
        rows.all()
        print("done", flush=True)
    """
    start = _python(code, folder.with_name("whole"))
    assert start.stdout.readline() == "ready\n"
    began = time.perf_counter()
    assert start.stdout.readline() == "done\n"
    duration = time.perf_counter() - began
    start.communicate()
    moments = random.Random(0)
    at_work = 0
    for _ in range(20 * kills):
        if at_work == kills:
            break
        for path in folder.glob("matrix/*.npy"):
            path.unlink()
        run = _python(code, folder)
        assert run.stdout.readline() == "ready\n"
        time.sleep(moments.random() * duration)
        run.send_signal(signal.SIGKILL)
        out, _ = run.communicate()
        at_work += out == ""
        for recording in built[1]:
            sha256 = opened(built, folder)[0].matrices[recording.name]["sha256"]
            path = folder / "matrix" / f"{sha256}.npy"
            if path.exists():  # whole, or absent
                np.testing.assert_array_equal(np.load(path), recording.array)
    return at_work


@pytest.fixture
def built_large(tmp_path):
    recordings = recordings_of(6, rows=400, n_times=512)
    builder = StoreBuilder(tmp_path / "store")
    for recording in recordings:
        recording.group_rows = 50
    builder.publish("ds", recordings, samples_of(recordings))
    return builder.root, recordings


def check_kills(built, folder, kills):
    assert kill_writers(built, folder, kills) == kills
    dataset, entries = opened(built, folder)
    np.testing.assert_array_equal(dataset.select(excluded=True).arrays(), all_rows(built[1]))
    for part in folder.glob("matrix/.*.part"):  # what the killed ones left is removed when old
        os.utime(part, (0, 0))
    for entry in entries:
        dataset.cache.entry_path(entry["sha256"]).unlink()
    Cache.array(opened(built, folder)[0].cache, entries[0])
    opened(built, folder)[0].select().arrays()
    assert_only_entries(folder, entries)


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_while_filling(built_large, tmp_path):
    check_kills(built_large, tmp_path / "cache", KILLS)


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_while_filling_many_times(built_large, tmp_path):
    check_kills(built_large, tmp_path / "cache", KILLS_LONG)


def test_an_entry_overwritten_with_as_many_bytes_is_made_again(built, tmp_path):
    dataset, entries = opened(built, tmp_path / "cache")
    expected = dataset.select(excluded=True).arrays()
    path = dataset.cache.entry_path(entries[1]["sha256"])
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    os.utime(path, (1, 1))
    dataset, _ = opened(built, tmp_path / "cache")
    np.testing.assert_array_equal(dataset.select(excluded=True).arrays(), expected)


def test_a_copied_cache_is_hashed_and_its_records_are_completed(built, tmp_path):
    dataset, entries = opened(built, tmp_path / "cache")
    dataset.cache.array(entries[0])
    place = whole_place(tmp_path / "cache", entries[0]["sha256"])
    os.utime(place.array, (1, 1))
    before = place.array.stat().st_ino
    array = opened(built, tmp_path / "cache")[0].cache.array(entries[0])
    np.testing.assert_array_equal(array, built[1][0].array)
    assert place.array.stat().st_ino == before
    record = files.read_json(place.record)
    assert record["mtime_ns"] == 10**9
    assert record["crc32"] == f"{zlib.crc32(place.array.read_bytes()):08x}"
    assert record["size"] == place.array.stat().st_size
    assert "not_synced_since" not in record


def changed_record(place, **changes) -> dict:
    """Change some keys of a record, leave out those that are None, and return the record."""
    record = {**files.read_json(place.record), **changes}
    record = {key: value for key, value in record.items() if value is not None}
    files.write_json(place.record, record)
    return record


@pytest.mark.parametrize("is_right", [True, False])
@pytest.mark.parametrize("kind", ["crc32", "sha256"])
def test_the_content_counts_after_the_system_has_started_anew(built, tmp_path, kind, is_right):
    """A loss of power may leave a file of the right size and time with zeros in it."""
    dataset, entries = opened(built, tmp_path / "cache")
    dataset.cache.array(entries[0])
    place = whole_place(tmp_path / "cache", entries[0]["sha256"])
    content, found = place.array.read_bytes(), place.array.stat()
    sha256 = hashlib.sha256(content).hexdigest()
    stated = {} if kind == "crc32" else {"crc32": None, "sha256": sha256}
    changed_record(place, not_synced_since="another start", **stated)
    if not is_right:
        place.array.write_bytes(content[:200] + bytes(len(content) - 200))
        os.utime(place.array, ns=(found.st_atime_ns, found.st_mtime_ns))
    cache = opened(built, tmp_path / "cache")[0].cache
    np.testing.assert_array_equal(cache.array(entries[0]), built[1][0].array)
    assert place.array.read_bytes() == content
    assert (place.array.stat().st_ino == found.st_ino) is is_right
    assert files.read_json(place.record).get("not_synced_since") != "another start"
    assert cache.verify() == []


def test_a_record_of_another_writer_with_a_sha256_is_believed(built, tmp_path):
    dataset, entries = opened(built, tmp_path / "cache")
    dataset.cache.array(entries[0])
    place = whole_place(tmp_path / "cache", entries[0]["sha256"])
    digest, inode = hashlib.sha256(place.array.read_bytes()).hexdigest(), place.array.stat().st_ino
    changed_record(place, crc32=None, mtime_ns=None, not_synced_since=None, sha256=digest)
    cache = opened(built, tmp_path / "cache")[0].cache
    np.testing.assert_array_equal(cache.array(entries[0]), built[1][0].array)
    assert place.array.stat().st_ino == inode and cache.verify() == []
    assert files.read_json(place.record)["mtime_ns"] == place.array.stat().st_mtime_ns


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"size": "x"}', b'{"size": 1}', None])
def test_a_damaged_record_makes_no_entry(built, tmp_path, content):
    dataset, entries = opened(built, tmp_path / "cache")
    dataset.cache.array(entries[0])
    place = whole_place(tmp_path / "cache", entries[0]["sha256"])
    if content is None:
        place.record.unlink()
    else:
        place.record.write_bytes(content)
    again = opened(built, tmp_path / "cache")[0].cache
    np.testing.assert_array_equal(again.array(entries[0]), built[1][0].array)
    assert again.verify() == [] and files.read_json(place.record)["size"] > 1


def test_verify_finds_what_only_hashing_finds(built, tmp_path):
    dataset, entries = opened(built, tmp_path / "cache")
    dataset.cache.pull(entries)
    place = whole_place(tmp_path / "cache", entries[3]["sha256"])
    found, content = place.array.stat(), bytearray(place.array.read_bytes())
    content[-1] ^= 128
    place.array.write_bytes(content)
    os.utime(place.array, ns=(found.st_atime_ns, found.st_mtime_ns))
    cache = opened(built, tmp_path / "cache")[0].cache
    assert [kept.path for kept in cache.verify()] == [place.array]
    assert not place.array.exists() and not place.record.exists()
    np.testing.assert_array_equal(cache.array(entries[3]), built[1][3].array)


def test_the_longest_unused_go_when_the_budget_is_spent(built, tmp_path):
    folder = tmp_path / "cache"
    dataset, entries = opened(built, folder)
    one = dataset.cache.array(entries[0]).nbytes + 1000  # with header and record
    places = [whole_place(folder, entry["sha256"]) for entry in entries]
    cache = Cache(StoreReader(Folder(built[0])), folder, budget=4 * one)
    for index in range(4):
        cache.array(entries[index])
        os.utime(places[index].record, (1000 + index, 1000 + index))
    del dataset, cache
    cache = Cache(StoreReader(Folder(built[0])), folder, budget=4 * one)
    cache.array(entries[0])  # the oldest is used again
    cache.array(entries[4])
    cache.array(entries[5])
    there = [place.array.exists() for place in places]
    assert there == [True, False, False, True, True, True]
    assert [place.record.exists() for place in places] == there
    kept = cache.contents()
    assert {k.kind for k in kept} == {"matrix"} and sum(k.bytes for k in kept) <= 4 * one
    assert [k.path for k in kept][-1] == places[5].array
    assert len(cache.trim("1KB")) == 4 and cache.contents() == []


def test_one_process_that_reads_more_than_the_budget(built, tmp_path):
    cache = Cache(StoreReader(Folder(built[0])), tmp_path / "cache", budget=30_000)
    entries = opened(built, tmp_path / "cache")[1]
    with pytest.warns(RuntimeWarning, match="BIDSMILL_CACHE_SIZE"):
        for entry, recording in zip(entries, built[1], strict=True):
            np.testing.assert_array_equal(cache.array(entry), recording.array)
    assert sum(kept.bytes for kept in cache.contents()) <= 30_000


def test_what_a_live_process_has_mapped_is_not_evicted(built, tmp_path):
    folder = tmp_path / "cache"
    code = f"""
        import sys, hashlib, bidsmill
        rows = bidsmill.open({str(built[0])!r})["ds"].select(excluded=True).rows()
        rows.take([0, 25])
        print("mapped", flush=True)
        sys.stdin.readline()
        print(hashlib.sha256(rows.take(range(40)).tobytes()).hexdigest())
    """
    run = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "BIDSMILL_CACHE": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout.readline() == "mapped\n"
    dataset, entries = opened(built, folder)
    dataset.cache.pull(entries)
    places = [whole_place(folder, entry["sha256"]) for entry in entries]
    inodes = [place.array.stat().st_ino for place in places]
    assert {kept.path for kept in dataset.cache.trim(0)} == {p.array for p in places[2:]}
    assert [place.array.stat().st_ino for place in places[:2]] == inodes[:2]
    out, _ = run.communicate("go\n", timeout=60)
    expected = np.concatenate([recording.array for recording in built[1][:2]])
    assert out.strip() == hashlib.sha256(expected.tobytes()).hexdigest()
    assert len(dataset.cache.trim(0)) == 2  # its maps ended with it


def test_abandoned_files_go_and_those_at_work_stay(built, tmp_path):
    dataset, entries = opened(built, tmp_path / "cache")
    dataset.cache.array(entries[0])
    old, new = (tmp_path / "cache" / "matrix" / f".x.npy.{i}.part" for i in "ab")
    orphan = tmp_path / "cache" / "matrix" / f"{'0' * 64}.json"
    for path in (old, new, orphan):
        path.write_bytes(b"{}")
    for path in (old, orphan):
        os.utime(path, (0, 0))
    assert {kept.path for kept in dataset.cache.trim("1TB")} == {old, orphan}
    assert new.exists() and dataset.cache.entry_path(entries[0]["sha256"]).exists()


def test_a_cache_that_can_only_be_read(built, tmp_path):
    """What is there is used, the rest is held in memory: nobody but root could write here."""
    folder = tmp_path / "cache"
    dataset, entries = opened(built, folder)
    dataset.cache.array(entries[0])
    (folder / "lock").rmdir()
    (folder / "lock").write_text("")  # root, too, cannot make a lock in it
    cache = opened(built, folder)[0].cache
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(cache.array(entries[0]), built[1][0].array)
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        np.testing.assert_array_equal(cache.array(entries[1]), built[1][1].array)


def test_threads_and_forks_share_one_cache(built, tmp_path):
    dataset, _ = opened(built, tmp_path / "cache")
    dataset.cache.max_maps = 2
    rows = dataset.select(excluded=True).rows()
    expected = all_rows(built[1])

    def gather(seed: int) -> bool:
        order = np.random.default_rng(seed).permutation(120)
        return all(np.array_equal(rows.take(part), expected[part]) for part in np.split(order, 12))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(gather, range(8)))
    child = os.fork()
    if child == 0:
        os._exit(0 if gather(9) else 1)
    assert os.waitpid(child, 0)[1] == 0 and gather(10)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("200GB", 200 * 10**9), ("1.5 TB", 15 * 10**11), ("10MiB", 10 * 2**20), (7, 7), ("5k", 5000)],
)
def test_sizes(text, expected):
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1 XB", "1iB"])
def test_what_is_no_size(text):
    with pytest.raises(BidsmillError, match="no size"):
        parse_size(text)
