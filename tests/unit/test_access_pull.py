"""The cache of a store in a bucket: whole and partial matrices, offline, kills, many processes.

The server is Ceph's; what is read is compared with the arrays that went into the store.
"""

from __future__ import annotations

import multiprocessing
import random
import signal
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pulling_child
import pytest
from access_store import Recording, StoreBuilder, samples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.access.cache.cache import Cache
from bidsmill.access.cache.decoding import verified_blocks
from bidsmill.access.cache.download import on_this_machine
from bidsmill.access.cache.location import StoreReader, locate
from bidsmill.access.cache.memory import Gate, Memory
from bidsmill.access.cache.writing import STAGE_BYTES, ArrayFile
from bidsmill.access.gather import Rows
from bidsmill.errors import BidsmillError
from bidsmill.formats import files, manifest
from bidsmill.storage.addresses import open_storage
from bidsmill.storage.contract import NoPermission, NotStored, Unreachable
from bidsmill.storage.folder import Folder

KILLS, KILLS_LONG = 5, 100
N_CHANNELS, N_ROWS, N_TIMES, GROUP_ROWS = 24, 128, 768, 32


def recording(subject: int) -> Recording:
    names = [f"E{i}" for i in range(N_CHANNELS)]
    return Recording(
        f"{subject:02}",
        names,
        ["eeg"] * N_CHANNELS,
        rows=N_ROWS,
        n_times=N_TIMES,
        group_rows=GROUP_ROWS,
    )


@dataclass
class Published:
    """A store in a bucket that anybody may read, and what went into it."""

    address: str
    endpoint: str
    client: object
    bucket: str
    root: Path
    storage: object
    recordings: list[Recording]
    entries: list[dict]

    def reader(self, cache, **options) -> StoreReader:
        connection = {"endpoint": self.endpoint, "anonymous": True}
        return locate(self.address, cache=cache, **connection, **options)

    def cache(self, folder, **options) -> Cache:
        return Cache(StoreReader(self.storage, folder), **options)


@pytest.fixture(scope="module")
def published(s3_server, tmp_path_factory):
    root = tmp_path_factory.mktemp("pull") / "store"
    recordings = [recording(i) for i in range(1, 5)]
    version = StoreBuilder(root).publish("ds", recordings, samples_of(recordings))
    bucket, client = s3_server.public_bucket("pull"), s3_server.client()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        client.upload_file(str(path), bucket, f"some/store/{path.relative_to(root).as_posix()}")
    found = files.read_json(root / manifest.manifest_path("ds", version))
    entries = [entry for entry in found["files"] if entry["kind"] == "matrix"]
    entries.sort(key=lambda entry: entry["recording"])
    address = f"s3://{bucket}/some/store"
    storage = open_storage(address, endpoint=s3_server.endpoint, anonymous=True)
    return Published(
        address, s3_server.endpoint, client, bucket, root, storage, recordings, entries
    )


class Counting:
    """A storage that counts the bytes which it gives."""

    def __init__(self, storage):
        self._storage = storage
        self.ranges: list[int] = []
        self.downloads: list[str] = []

    def __getattr__(self, name):
        return getattr(self._storage, name)

    def read_range(self, path, start, stop):
        self.ranges.append(stop - start)
        return self._storage.read_range(path, start, stop)

    def download(self, path, target, progress=None):
        self.downloads.append(path)
        self._storage.download(path, target, progress)

    def download_into(self, path, target, progress=None):
        self.downloads.append(path)
        self._storage.download_into(path, target, progress)


def counted(published, folder) -> tuple[Cache, Counting]:
    storage = Counting(published.storage)
    return Cache(StoreReader(storage, folder)), storage


def test_a_whole_matrix_is_fetched_once(published, tmp_path):
    cache, storage = counted(published, tmp_path)
    for _ in range(2):
        for entry, source in zip(published.entries, published.recordings, strict=True):
            np.testing.assert_array_equal(cache.array(entry), source.array)
    again, none = counted(published, tmp_path)
    np.testing.assert_array_equal(again.array(published.entries[0]), published.recordings[0].array)
    assert len(storage.downloads) == 4 and none.downloads == none.ranges == []
    names = sorted(path.suffix for path in (tmp_path / "matrix").iterdir())
    assert names == [".json"] * 4 + [".npy"] * 4  # the downloads are gone


def test_progress_adds_up_to_the_bytes_of_the_matrices(published, tmp_path):
    whole, steps = sum(entry["size"] for entry in published.entries), []
    published.cache(tmp_path).pull(published.entries, steps.append)
    assert sum(steps) == whole
    again = []
    published.cache(tmp_path).pull(published.entries, again.append)
    assert sum(again) == whole


@pytest.mark.parametrize("where", ["bucket", "folder", "no folder"])
@pytest.mark.parametrize("is_large", [True, False])
def test_large_files_go_over_the_disk_and_others_over_memory(published, tmp_path, where, is_large):
    entry, expected = published.entries[0], published.recordings[0].array
    storage = Folder(published.root) if where == "folder" else published.storage
    reader = StoreReader(storage, tmp_path)
    gate = Gate(largest=entry["size"] - is_large)
    content = (published.root / entry["path"]).read_bytes()
    folder = None if where == "no folder" else tmp_path
    with on_this_machine(reader, entry, gate, folder=folder) as source:
        on_disk = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(on_disk) == (where == "bucket" and is_large)
        assert isinstance(source, Path) == (where == "folder" and is_large)
        assert (source.read_bytes() if isinstance(source, Path) else bytes(source)) == content
        blocks = [b.copy() for b in verified_blocks(source, entry, "shown", gate)]
        np.testing.assert_array_equal(np.concatenate(blocks), expected)
        other = {**entry, "sha256": "0" * 64}
        with pytest.raises(BidsmillError, match="another content"):
            list(verified_blocks(source, other, "shown", gate))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    wrong = {**entry, "size": entry["size"] + 1}
    gate.largest += 1
    with (
        pytest.raises(BidsmillError, match="another size"),
        on_this_machine(reader, wrong, gate, folder=folder) as source,
    ):
        next(verified_blocks(source, wrong, "shown", gate))


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 1500), min_size=1, max_size=40))
def test_memory_for_files_is_bounded_and_nobody_shares_a_piece(sizes):
    memory, guard, taken, most = Memory(1000), threading.Lock(), [0], [0]

    def use(numbered: tuple[int, int]) -> bool:
        number, size = numbered
        with memory.take(size) as piece:
            with guard:
                taken[0] += size
                # One that is larger than all there is comes alone.
                most[0] = max(most[0], taken[0] if taken[0] > size else min(size, 1000))
            piece[:] = number
            time.sleep(0.0005)
            right = len(piece) == size and bool(np.all(piece == number))
            with guard:
                taken[0] -= size
        return right

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, enumerate(sizes)))
    assert most[0] <= 1000


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, STAGE_BYTES, STAGE_BYTES + 1, 9_000_013])
@pytest.mark.parametrize("direct", [True, False])
def test_arrays_written_past_memory_have_all_bytes(tmp_path, size, direct):
    content = np.random.default_rng(size).bytes(size)
    with ArrayFile(tmp_path / "a", direct) as file:
        for start in (0, 128, 5_000_000):
            end = {0: 128, 128: 5_000_000, 5_000_000: size}[start]
            file.write(memoryview(content)[start:end])
        file.finish(sync=True)
    assert (tmp_path / "a").read_bytes() == content
    assert file.checksum == zlib.crc32(content)


def test_a_full_disk_while_pulling(published, tmp_path):
    """The kernel refuses to write past a limit, in the middle of an entry."""
    code = f"""
import resource, sys
from bidsmill.access.cache.cache import Cache
from bidsmill.access.cache.location import locate
from bidsmill.errors import BidsmillError
reader = locate({published.address!r}, cache={str(tmp_path)!r},
                endpoint={published.endpoint!r}, anonymous=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_001, 5_000_001))
try:
    Cache(reader).pull({published.entries!r})
except BidsmillError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "the cache folder cannot be written" in run.stdout, run.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def channels_array(cache, entry, columns):
    """Return an array with these channels, and where they are in it (None: it has them all)."""
    part = cache.part(entry, columns)
    if part.channels is None:
        return part.array, None
    return part.array, tuple(part.channels[list(columns)].tolist())


def test_few_channels_are_fetched_as_ranges_and_never_pose_as_the_whole(published, tmp_path):
    cache, storage = counted(published, tmp_path)
    entry, expected = published.entries[0], published.recordings[0].array
    array, places = channels_array(cache, entry, (3, 1))
    assert array.shape == (N_ROWS, 2, N_TIMES) and places == (1, 0)
    np.testing.assert_array_equal(array[:, list(places)], expected[:, [3, 1]])
    assert storage.downloads == [] and sum(storage.ranges) < 0.5 * entry["size"]
    assert not cache.entry_path(entry["sha256"]).exists()
    requests = len(storage.ranges)
    # Held already: as a map, and by another process.
    for reader in (cache, counted(published, tmp_path)[0]):
        array, places = channels_array(reader, entry, (1,))
        np.testing.assert_array_equal(array[:, list(places)], expected[:, [1]])
    assert len(storage.ranges) == requests
    # Another channel, and then all of them.
    array, places = channels_array(cache, entry, (0, 3))
    np.testing.assert_array_equal(array[:, list(places)], expected[:, [0, 3]])
    np.testing.assert_array_equal(cache.array(entry), expected)
    assert channels_array(cache, entry, (1,))[1] is None
    assert storage.downloads == [entry["path"]]


def test_most_channels_come_with_the_whole_file(published, tmp_path):
    cache, storage = counted(published, tmp_path)
    array, places = channels_array(cache, published.entries[0], tuple(range(N_CHANNELS - 4)))
    assert places is None and array.shape[1] == N_CHANNELS
    assert storage.downloads == [published.entries[0]["path"]]


def rows_of(cache, published, file, row, columns=None):
    n_channels = N_CHANNELS if columns is None else len(columns)
    chosen = [None if columns is None else np.asarray(columns)] * len(published.entries)
    return Rows(cache, published.entries, file, row, chosen, (n_channels, N_TIMES))


def test_rows_of_one_row_group_are_fetched_alone(published, tmp_path):
    cache, storage = counted(published, tmp_path)
    file, row = np.array([1, 1, 1]), np.array([35, 32, 47])
    rows = rows_of(cache, published, file, row)
    np.testing.assert_array_equal(rows.all(), published.recordings[1].array[row])
    assert storage.downloads == [] and sum(storage.ranges) < 0.5 * published.entries[1]["size"]
    (part,) = (tmp_path / "part" / published.entries[1]["sha256"]).glob("*.npy")
    assert np.load(part).shape == (GROUP_ROWS, N_CHANNELS, N_TIMES)
    np.testing.assert_array_equal(rows.take([2, 0]), published.recordings[1].array[[47, 35]])


def test_pulling_rows_takes_what_they_need(published, tmp_path):
    file, row = np.repeat(np.arange(4), 3), np.tile([0, 20, 63], 4)
    columns = [5, -1, 2]
    cache, storage = counted(published, tmp_path)
    steps: list[int] = []
    rows = rows_of(cache, published, file, row, columns)
    rows.pull(steps.append)
    requests = len(storage.ranges)
    assert storage.downloads == []
    assert sum(steps) == sum(entry["size"] for entry in published.entries)
    expected = np.stack(
        [published.recordings[f].array[r][[5, 0, 2]] for f, r in zip(file, row, strict=True)]
    )
    expected[:, 1] = np.nan
    np.testing.assert_array_equal(rows.all(), expected)
    assert len(storage.ranges) == requests


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_channels_are_those_of_the_matrix(published, data):
    """Over one folder, so that entries of earlier examples are there in part."""
    folder = published.root.parent / "any"
    index = data.draw(st.integers(0, 1))
    columns = data.draw(st.lists(st.integers(0, N_CHANNELS - 1), min_size=1, max_size=6))
    cache = Cache(StoreReader(published.storage, folder))
    array, places = channels_array(cache, published.entries[index], tuple(columns))
    chosen = array[:, columns if places is None else list(places)]
    np.testing.assert_array_equal(chosen, published.recordings[index].array[:, columns])
    n = data.draw(st.integers(1, 5))
    file = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    row = np.array(data.draw(st.lists(st.integers(0, N_ROWS - 1), min_size=n, max_size=n)))
    found = rows_of(cache, published, file, row, columns).all()
    for place, (f, r) in enumerate(zip(file, row, strict=True)):
        np.testing.assert_array_equal(found[place], published.recordings[f].array[r][columns])


def test_a_flipped_byte_is_found_in_parts_and_in_whole(published, tmp_path):
    entry = published.entries[2]
    content = bytearray((published.root / entry["path"]).read_bytes())
    content[len(content) // (2 * N_CHANNELS * 4)] ^= 1  # in the page of the first channel
    path = entry["path"].replace("datasets/ds", "datasets/flipped")
    key = f"some/store/{path}"
    published.client.put_object(Bucket=published.bucket, Key=key, Body=bytes(content))
    cache = published.cache(tmp_path)
    with pytest.raises(BidsmillError, match="damaged") as error:
        channels_array(cache, {**entry, "path": path}, (0,))
    assert path in error.value.file
    with pytest.raises(BidsmillError, match="another content"):
        cache.array({**entry, "path": path})
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []
    # A channel whose pages are whole.
    array, places = channels_array(cache, {**entry, "path": path}, (5,))
    np.testing.assert_array_equal(array[:, list(places)], published.recordings[2].array[:, [5]])


def test_offline(published, tmp_path):
    reader = published.reader(tmp_path)
    pointer = reader.read(manifest.pointer_path("ds"))
    tables = [reader.verified_path(entry) for entry in entries_of(published, "samples")]
    Cache(reader).array(published.entries[0])
    channels_array(Cache(reader), published.entries[1], (2,))
    # An endpoint where nobody listens shows that nobody is asked.
    offline = locate(published.address, cache=tmp_path, offline=True, endpoint="http://127.0.0.1:9")
    assert offline.read(manifest.pointer_path("ds")) == pointer
    assert [offline.verified_path(e) for e in entries_of(published, "samples")] == tables
    cache = Cache(offline)
    np.testing.assert_array_equal(cache.array(published.entries[0]), published.recordings[0].array)
    array, _ = channels_array(cache, published.entries[1], (2,))
    np.testing.assert_array_equal(array[:, 0], published.recordings[1].array[:, 2])
    for ask in (
        lambda: cache.array(published.entries[1]),
        lambda: channels_array(cache, published.entries[1], (3,)),
        lambda: cache.pull(published.entries),
        lambda: offline.read("catalog.parquet"),
        lambda: offline.verified_path(published.entries[3]),
    ):
        with pytest.raises(BidsmillError, match="offline=True"):
            ask()


def entries_of(published, kind):
    (path,) = (published.root / "datasets/ds/versions").glob("*.json")
    return [entry for entry in files.read_json(path)["files"] if entry["kind"] == kind]


def test_manifests_are_read_once_and_damaged_copies_again(published, tmp_path):
    (stored,) = (published.root / "datasets/ds/versions").glob("*.json")
    path = manifest.manifest_path("ds", stored.stem)
    reader = published.reader(tmp_path)
    assert reader.read_immutable(path) == stored.read_bytes()
    (copy,) = tmp_path.glob(f"store/*/{path}")
    assert published.reader(tmp_path, offline=True).read_immutable(path) == stored.read_bytes()
    copy.write_bytes(b"{}")
    assert reader.read_immutable(path) == stored.read_bytes() == copy.read_bytes()


def test_errors_say_what_is_there_and_what_can_be_done(published, s3_server, tmp_path):
    connection = {"cache": tmp_path, "endpoint": published.endpoint}
    above = locate(f"s3://{published.bucket}/some", anonymous=True, **connection)
    with pytest.raises(NotStored) as error:
        above.read("catalog.parquet")
    assert "store/" in error.value.found
    assert error.value.todo == f"open s3://{published.bucket}/some/store"
    s3_server.client().create_bucket(Bucket="pull-private")
    private = locate("s3://pull-private/store", anonymous=True, **connection)
    with pytest.raises(NoPermission):
        private.read("catalog.parquet")
    nobody = {"anonymous": True, "cache": tmp_path, "endpoint": "http://127.0.0.1:9"}
    with pytest.raises(Unreachable) as error:
        locate(published.address, **nobody).read("catalog.parquet")
    assert "offline=True" not in str(error.value)
    published.reader(tmp_path).read("catalog.parquet")
    with pytest.raises(Unreachable, match="offline=True"):
        locate(published.address, **nobody).read("catalog.parquet")


def test_a_cache_that_cannot_be_written(published, tmp_path):
    (tmp_path / "occupied").write_text("")
    cache = published.cache(tmp_path / "occupied" / "cache")
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        np.testing.assert_array_equal(
            cache.array(published.entries[0]), published.recordings[0].array
        )
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        array, places = channels_array(cache, published.entries[1], (4,))
    np.testing.assert_array_equal(array[:, list(places)], published.recordings[1].array[:, [4]])
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        path = cache.reader.verified_path(published.entries[2])
    assert path.read_bytes() == (published.root / published.entries[2]["path"]).read_bytes()
    with pytest.raises(BidsmillError, match="cannot be written"):
        cache.pull(published.entries)


class Puller:
    """A process that fills a cache, as soon as it is told to."""

    # Imports take longer than pulling: one process does them for all.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pulling_child"])

    def __init__(self, published, cache, log: Path):
        self.log = log
        self._start = self.context.Event()
        where = (published.address, published.endpoint, str(cache))
        self.process = self.context.Process(
            target=pulling_child.pull, args=(*where, published.entries, self._start, str(log))
        )
        self.process.start()

    def go(self) -> None:
        self._start.set()

    def lines(self) -> list[str]:
        """Return what it has told, once it has ended."""
        self.process.join(120)
        return self.log.read_text().splitlines() if self.log.exists() else []


def assert_right(published, folder) -> None:
    """Whatever can be read is what went in, and an array without a record is never taken."""
    offline = Cache(published.reader(folder, offline=True))
    for entry, source in zip(published.entries, published.recordings, strict=True):
        if offline.entry_path(entry["sha256"]).exists():
            np.testing.assert_array_equal(offline.array(entry), source.array)


def test_eight_processes_decode_each_matrix_once(published, tmp_path):
    runs = [Puller(published, tmp_path / "cache", tmp_path / f"{i}.log") for i in range(8)]
    for run in runs:
        run.go()
    told = [line for run in runs for line in run.lines()]
    assert [run.process.exitcode for run in runs] == [0] * 8
    decoded = sorted(line for line in told if line.startswith("decoded "))
    assert decoded == sorted(f"decoded matrix/{e['sha256']}.npy" for e in published.entries)
    assert len(told) == len(decoded) + 8
    assert len(list((tmp_path / "cache" / "matrix").iterdir())) == 2 * len(decoded)
    assert_right(published, tmp_path / "cache")


def pull_under_kills(published, folder, kills: int) -> None:
    """Kill pulls at random moments; what is there is right each time, and the last one ends."""
    cache = folder / "cache"
    first = Puller(published, folder / "other", folder / "first.log")
    began = time.perf_counter()
    first.go()
    assert first.lines()[-1].startswith("done")
    duration = time.perf_counter() - began
    moments = random.Random(0)
    killed = 0
    for attempt in range(10 * kills):
        run = Puller(published, cache, folder / f"{attempt}.log")
        run.go()
        time.sleep(moments.random() * duration)
        run.process.kill()
        run.process.join()
        killed += run.process.exitcode == -signal.SIGKILL
        assert_right(published, cache)
        if killed == kills:
            break
        if moments.random() < 0.5:  # else the next one goes on with what is there
            for path in cache.glob("matrix/*"):
                path.unlink()
    assert killed == kills
    last = Puller(published, cache, folder / "last.log")
    last.go()
    assert last.lines()[-1].startswith("done")
    complete = Cache(published.reader(cache, offline=True))
    for entry, source in zip(published.entries, published.recordings, strict=True):
        np.testing.assert_array_equal(complete.array(entry), source.array)
    assert complete.verify() == []


def test_killed_while_pulling(published, tmp_path):
    pull_under_kills(published, tmp_path, KILLS)


@pytest.mark.long
def test_killed_while_pulling_many_times(published, tmp_path):
    pull_under_kills(published, tmp_path, KILLS_LONG)
