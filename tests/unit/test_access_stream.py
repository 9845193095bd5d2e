"""Streams: every row once, whoever shares them, from a folder and a bucket, in little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from access_store import (
    FACES,
    Recording,
    StoreBuilder,
    expected_rows,
    mixed_recordings,
    samples_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import bidsmill
from bidsmill.access.training.streaming import draw
from bidsmill.errors import BidsmillError

RECORDINGS = mixed_recordings()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    builder = StoreBuilder(tmp_path_factory.mktemp("stream") / "store")
    builder.publish("ds", RECORDINGS, samples_of(RECORDINGS))
    return builder.root


@pytest.fixture(scope="module")
def dataset(root, tmp_path_factory):
    return bidsmill.open(root, cache=tmp_path_factory.mktemp("cache"))["ds"]


def rows_of(batches) -> list[bytes]:
    return [x.tobytes() for batch in batches for x in np.asarray(batch)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_row_comes_once_whoever_shares_them(dataset, data):
    channels = data.draw(st.sampled_from(["union", "common", ["EOG", "A.1"], ["A.1"]]))
    size = data.draw(st.integers(1, 4))
    workers = data.draw(st.integers(1, 3))
    options = {
        "batch_size": data.draw(st.integers(1, 40)),
        "shuffle": data.draw(st.booleans()),
        "seed": data.draw(st.integers(0, 3)),
        "buffer_bytes": data.draw(st.sampled_from([0, 3000, 2**20])),
        "drop_last": data.draw(st.booleans()),
    }
    where = data.draw(st.sampled_from([None, "rt < 0.5", "subject in ['03', '05']"]))
    selection = dataset.select(channels=channels, where=where)
    X = selection.arrays()
    code = {x.tobytes(): i for i, x in enumerate(X)}
    shares = [
        [len(x) for x, _ in stream.batches(2, worker, workers)]
        for rank in range(size)
        for stream in [selection.stream(**options, rank=rank, world_size=size)]
        for worker in range(workers)
    ]
    found = [
        code[row]
        for rank in range(size)
        for stream in [selection.stream(**options, rank=rank, world_size=size)]
        for worker in range(workers)
        for row in rows_of(x for x, _ in stream.batches(2, worker, workers))
    ]
    if options["drop_last"]:
        assert len({len(share) for share in shares}) == 1
        assert all(length == options["batch_size"] for share in shares for length in share)
        assert len(set(found)) == len(found)
    else:
        assert Counter(found) == Counter(range(len(X)))
        assert all(length == options["batch_size"] for share in shares for length in share[:-1])
    if not options["shuffle"] and size == workers == 1:
        assert found == list(range(len(found))), "the order of the rows"


def test_targets_go_with_their_rows(dataset):
    selection = dataset.select(channels="union")
    X, frame = selection.arrays(["face", "rt"])
    place = {x.tobytes(): i for i, x in enumerate(X)}
    for batch, y in selection.stream(["face", "rt"], batch_size=5):
        for x, code, rt in zip(batch, y["face"], y["rt"], strict=True):
            row = place[x.tobytes()]
            assert FACES[code] == frame["face"][row] and rt == np.float32(frame["rt"][row])
    X, y = selection.arrays("rt")
    found = list(selection.stream("rt", batch_size=100, shuffle=False))
    np.testing.assert_array_equal(found[0][0], X)
    np.testing.assert_array_equal(found[0][1], y.astype(np.float32))


def test_epochs_and_seeds(dataset):
    selection = dataset.select(channels="common")
    stream = selection.stream(batch_size=4, seed=1)
    epochs = [rows_of(stream) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] and sorted(epochs[0]) == sorted(epochs[1])
    again = selection.stream(batch_size=4, seed=1)
    again.set_epoch(2)
    assert rows_of(again) == epochs[2]
    assert rows_of(selection.stream(batch_size=4, seed=2)) != epochs[0]
    # Rows of one file do not stay together, as they would if row groups alone were shuffled.
    recordings = selection.samples["recording"]
    file_of = dict(zip(rows_of([selection.arrays()]), recordings, strict=True))
    files = [file_of[row] for row in epochs[0]]
    assert sum(a != b for a, b in pairwise(files)) > 20


def test_transforms(dataset):
    selection = dataset.select(channels="common")
    found = np.concatenate(
        list(
            selection.stream(
                batch_size=7,
                shuffle=False,
                transform=lambda x: x[:, ::2],
                batch_transform=lambda X: X * 2,
            )
        )
    )
    np.testing.assert_array_equal(found, selection.arrays()[:, :, ::2] * 2)


def test_the_cache_is_left_alone(root, tmp_path):
    selection = bidsmill.open(root, cache=tmp_path)["ds"].select(channels="common")
    assert sum(map(len, selection.stream())) == len(selection)
    assert not list(tmp_path.rglob("*.npy"))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 200), st.integers(0, 2**32))
def test_draws_are_distinct(n, seed):
    raw = np.random.PCG64(seed).random_raw(n)
    assert sorted(draw(raw, n).tolist()) == list(range(n))
    some = draw(raw[: n // 2], n)
    assert len(set(some.tolist())) == n // 2 and some.tolist() == draw(raw, n)[: n // 2].tolist()


def test_draws_are_even():
    random = np.random.PCG64(1)
    counts = Counter(
        place for _ in range(6000) for place in draw(random.random_raw(3), 10).tolist()
    )
    expected = 6000 * 3 / 10
    # Binomial: a standard deviation is 36; six of them.
    assert all(abs(counts[place] - expected) < 6 * 36 for place in range(10))


def test_workers_of_pytorch_share_the_rows(dataset, torch):
    selection = dataset.select(channels="common")
    X, y = selection.arrays("face")
    label = dict(zip(rows_of([X]), y.tolist(), strict=True))
    stream = selection.stream("face", batch_size=4, seed=3)
    loader = stream.loader(num_workers=2, persistent_workers=True)
    epochs = [list(loader) for _ in range(2)]
    for epoch in epochs:
        found = {x.numpy().tobytes(): FACES[c] for X, y in epoch for x, c in zip(X, y, strict=True)}
        assert found == label and sum(len(y) for _, y in epoch) == len(label)
    assert rows_of(x for x, _ in epochs[0]) != rows_of(x for x, _ in epochs[1])
    plain = torch.utils.data.DataLoader(stream.torch(), batch_size=None, num_workers=2)
    assert rows_of(x for x, _ in plain) == rows_of(x for x, _ in epochs[0])
    plain.dataset.set_epoch(1)
    assert rows_of(x for x, _ in plain) == rows_of(x for x, _ in epochs[1])
    alone = selection.stream("face", batch_size=4, seed=3).torch()
    assert rows_of(x for x, _ in alone) == rows_of(x for x, _ in stream)
    with pytest.raises(BidsmillError, match="takes no batch_size"):
        stream.loader(batch_size=4)


def test_a_damaged_page_is_noticed(tmp_path):
    builder = StoreBuilder(tmp_path / "store")
    builder.publish("ds", RECORDINGS[:3], samples_of(RECORDINGS[:3]))
    selection = bidsmill.open(builder.root, cache=tmp_path / "cache")["ds"].select()
    path = builder.root / selection.dataset.matrices[RECORDINGS[1].name]["path"]
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(BidsmillError, match="its bytes are damaged") as error:
        list(selection.stream())
    assert error.value.file == str(path)


ROWS, CHANNELS, TIMES = 250, 48, 1024  # 49 MB for each recording, row groups of 2.5 MB
N_LARGE = 6 if os.environ.get("BIDSMILL_LONG") else 2
LARGE = [f"E{i}" for i in range(CHANNELS)]

WATCHED = """
import json, sys
import bidsmill

address, endpoint, cache = sys.argv[1:4]
options = {"endpoint": endpoint, "anonymous": True} if endpoint else {}
selection = bidsmill.open(address, cache=cache, **options)["large"].select(excluded=True)
list(bidsmill.open(address, cache=cache, **options)["small"].select(channels="common").stream())

def high_water(reset=False):
    if reset:
        open("/proc/self/clear_refs", "w").write("5")
    lines = open("/proc/self/status").read().split("\\n")
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

before = high_water(reset=True)
first = [x for batch in selection.stream(batch_size=16, buffer_bytes=2**23)
         for x in batch[:, 0, 0].tolist()]
print(json.dumps({"before": before, "after": high_water(), "first": first}))
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Return a store with a dataset of 100 MB (long: 300 MB) and a small one."""
    builder = StoreBuilder(tmp_path_factory.mktemp("large") / "store")
    recordings = [
        Recording(
            f"{i:02}", LARGE, ["eeg"] * CHANNELS, rows=ROWS, n_times=TIMES, group_rows=13, seed=1
        )
        for i in range(N_LARGE)
    ]
    builder.publish("large", recordings, samples_of(recordings))
    builder.publish("small", RECORDINGS, samples_of(RECORDINGS))
    return builder.root, [float(x) for r in recordings for x in r.array[:, 0, 0]]


def upload(root, server, bucket):
    server.public_bucket(bucket)
    client = server.client()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        client.upload_file(str(path), bucket, f"store/{path.relative_to(root)}")


def watched(address, endpoint, cache):
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(address), endpoint, str(cache)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_memory_is_bounded_from_a_folder_and_from_a_bucket(large, s3_server, tmp_path):
    root, first = large
    upload(root, s3_server, "streamed")
    results = {}
    for address, endpoint in ((root, ""), ("s3://streamed/store", s3_server.endpoint)):
        found = watched(address, endpoint, tmp_path / "cache")
        results[str(address)] = found["first"]
        assert Counter(found["first"]) == Counter(first)
        # 8 MB of rows that wait, as much for what is read, two batches of 3 MB, and what the
        # allocators keep; the dataset has 100 MB or more.
        grown = found["after"] - found["before"]
        assert grown < 75e6, grown
    local, remote = results.values()
    assert local == remote != first
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_a_bucket_streams_what_a_folder_does(root, dataset, s3_server, tmp_path, torch):
    upload(root, s3_server, "streamed-small")
    store = bidsmill.open(
        "s3://streamed-small/store", cache=tmp_path, endpoint=s3_server.endpoint, anonymous=True
    )
    for channels in ("union", ["EOG", "A.1"]):
        local = dataset.select(channels=channels)
        remote = store["ds"].select(channels=channels)
        settings = {"target": "face", "batch_size": 5, "seed": 7}
        for (X, y), (own, code) in zip(
            local.stream(**settings), remote.stream(**settings), strict=True
        ):
            np.testing.assert_array_equal(X, own)
            np.testing.assert_array_equal(y, code)
    loader = remote.stream(**settings).loader(num_workers=2)
    expected = expected_rows(RECORDINGS, local.labelled("face").samples, ["EOG", "A.1"])
    assert sorted(rows_of(X for X, _ in loader)) == sorted(rows_of([expected]))
    assert not list(tmp_path.rglob("*.npy"))


def test_what_offline_and_a_wrong_address_say(root, dataset, s3_server, tmp_path):
    upload(root, s3_server, "streamed-offline")
    settings = {"endpoint": s3_server.endpoint, "anonymous": True, "cache": tmp_path}
    address = "s3://streamed-offline/store"
    with pytest.raises(BidsmillError, match=r"offline=True was asked for.*catalog\.parquet"):
        bidsmill.open(address, **settings, offline=True)
    with pytest.raises(BidsmillError, match=r"no store at this address.*streamed-offline/store"):
        bidsmill.open("s3://streamed-offline", **settings)
    with pytest.raises(BidsmillError, match=r"no such dataset.*perhaps 'ds'"):
        bidsmill.open(address, **settings)["dss"]
    bidsmill.open(address, **settings)["ds"].select(subject="04").pull()
    offline = bidsmill.open(address, **settings, offline=True)["ds"]
    expected = dataset.select(subject="04")
    np.testing.assert_array_equal(offline.select(subject="04").arrays(), expected.arrays())
    pd.testing.assert_frame_equal(offline.events, dataset.events)
    for missing in (
        lambda: offline.select(subject="05").arrays(),
        lambda: list(offline.select(subject="04").stream()),
    ):
        with pytest.raises(BidsmillError, match="offline=True was asked for"):
            missing()
