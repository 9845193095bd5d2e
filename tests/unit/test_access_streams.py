"""Streams and epocs of a store: in a folder and in a bucket, published and read."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from access_store import mixed_recordings
from store_results import GONE, Results, verify

import bidsmill
from bidsmill.access.cache.budget import clear, contents, damaged
from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.epocs import make_epocs, write_epocs
from bidsmill.formats.stream import write_stream
from bidsmill.formats.stream_core import StreamChannel, StreamCore

FIRST, SECOND = "sub-01_task-faces_eeg", "sub-02_task-faces_eeg"
N_SAMPLES = 5000


def core_of(recording: str, sfreq: float = 250.0) -> StreamCore:
    channels = (
        StreamChannel("Fz", "eeg", "µV", position=(0.0, 0.1, 0.05)),
        StreamChannel("EMG 1", "emg", "mV", status="bad"),
        StreamChannel("A.1", "misc", "1"),
    )
    return StreamCore(recording, sfreq, N_SAMPLES, channels, recording)


def data_of(recording: str, node: str = "") -> np.ndarray:
    rng = np.random.default_rng([ord(letter) for letter in recording + node])
    return rng.standard_normal((3, N_SAMPLES)).astype(np.float32)


def events_of(recording: str) -> pd.DataFrame:
    return pd.DataFrame({"onset": [1.0, 3.5], "duration": [0.5, np.nan], "label": [recording, "b"]})


class WithStreams(Results):
    """Results with the streams of two recordings, one of which has a node too."""

    def write_streams(self, recordings=(FIRST, SECOND)) -> None:
        members: dict[str, dict] = {"b0000": {}, "b0001": {}}
        for index, recording in enumerate(recordings):
            members[f"b000{index % 2}"][recording] = {
                "status": "converted",
                "files": self._stream(recording),
            }
        members["b0001"][GONE] = {"status": "quarantined", "reason": "empty_file", "files": {}}
        for name, entries in members.items():
            content = {"batch": name, "members": entries}
            files.write_json(self.results / "streams" / f"{name}.json", content)

    def _stream(self, recording: str) -> dict:
        folder, stated = self.results / "streams", {}
        core = core_of(recording)
        node = replace(core, history=({"node": "notch", "params": {"freq": 50}, "version": 1},))
        named = [("", core)] + ([("_desc-clean", node)] if recording == FIRST else [])
        for name, own in named:
            path = folder / f"{recording}{name}_stream.parquet"
            data = data_of(recording, "clean" if name else "")
            stated[path.name] = found = write_stream(path, own, data)
            stated[path.with_suffix(".json").name] = found["sidecar"]
        path = folder / f"{recording}_epocs.parquet"
        stated[path.name] = found = write_epocs(path, make_epocs(events_of(recording), core))
        stated[path.with_suffix(".json").name] = found["sidecar"]
        stated["features.csv"] = {"size": 1, "sha256": "0" * 64}  # of no known kind
        return {k: {key: v[key] for key in ("size", "sha256")} for k, v in stated.items()}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> WithStreams:
    made = WithStreams(tmp_path_factory.mktemp("streams"), mixed_recordings())
    made.write_streams()
    made.publish()
    return made


@pytest.fixture
def dataset(results, tmp_path):
    return bidsmill.open(results.store, cache=tmp_path / "cache")["ds"]


@pytest.fixture(scope="module")
def bucket(results, s3_server):
    name, client = s3_server.public_bucket("streams"), s3_server.client()
    for path in sorted(p for p in results.store.rglob("*") if p.is_file()):
        client.upload_file(str(path), name, path.relative_to(results.store).as_posix())
    return f"s3://{name}", {"endpoint": s3_server.endpoint, "anonymous": True}


def test_the_manifest_names_streams_and_epocs(results):
    content = results.manifest()
    verify(results.store, content)
    by_kind = [e for e in content["files"] if e["kind"] in ("stream", "epocs")]
    assert sorted((e["kind"], e["recording"], e["node"]) for e in by_kind) == sorted(
        (kind, recording, node)
        for kind, recording, node in [
            ("epocs", FIRST, ""),
            ("epocs", SECOND, ""),
            ("stream", FIRST, ""),
            ("stream", FIRST, "clean"),
            ("stream", SECOND, ""),
        ]
        for _ in range(2)  # the file and its sidecar
    )
    entry = next(e for e in by_kind if e["name"] == f"{FIRST}_desc-clean_stream.parquet")
    assert (entry["shape"], entry["sfreq"]) == ([N_SAMPLES, 3], 250)
    assert entry["path"].startswith(f"datasets/ds/files/stream/{FIRST}_desc-clean_stream-")


def test_streams_of_a_folder_are_read_in_place(dataset, results):
    assert dataset.streams == {FIRST: ["", "clean"], SECOND: [""]}
    stream = dataset.stream(FIRST)
    assert stream.path.is_relative_to(results.store)
    np.testing.assert_array_equal(stream.numpy(), data_of(FIRST))
    np.testing.assert_array_equal(stream.numpy(10, 20, ["A.1"]), data_of(FIRST)[2:, 10:20])
    clean = dataset.stream(FIRST, "clean")
    np.testing.assert_array_equal(clean.dask()[:, 1].compute(), data_of(FIRST, "clean")[1])
    assert clean.core.history[0]["node"] == "notch"
    assert "streams     2 recordings; nodes clean" in dataset.describe()
    assert "epocs       2 recordings\n" in dataset.describe()
    assert dataset.stream(FIRST, "raw").path == dataset.stream(FIRST).path
    epocs = dataset.epocs(SECOND)
    assert repr(epocs).startswith(f"epocs {SECOND}: 2 on the samples of {SECOND}; ")
    assert epocs.table["onset_sample"].tolist() == [250, 875]
    assert epocs.table["label"].tolist() == [SECOND, "b"]


def test_a_raw_has_the_events_of_the_recording(dataset):
    raw = dataset.stream(FIRST, "clean").to_mne()
    np.testing.assert_allclose(raw.annotations.onset, [1, 3.5])
    assert raw.annotations.description.tolist() == [FIRST, "b"]
    assert raw.info["bads"] == ["EMG 1"]
    scales = np.array([[1e-6], [1e-3], [1]])
    expected = data_of(FIRST, "clean").astype(float) * scales
    np.testing.assert_allclose(raw.get_data(), expected, rtol=1e-12)
    np.testing.assert_allclose(raw.get_montage().get_positions()["ch_pos"]["Fz"], [0, 0.1, 0.05])


def test_a_mapped_stream_is_an_entry_of_the_cache(dataset, tmp_path):
    stream = dataset.stream(FIRST)
    with ThreadPoolExecutor(4) as pool:
        arrays = list(pool.map(lambda _: stream.mapped(), range(4)))
    for array in arrays:
        np.testing.assert_array_equal(array, data_of(FIRST))
    folder = tmp_path / "cache"
    assert sorted(p.suffix for p in (folder / "stream").iterdir()) == [".arrow", ".json"]
    path = folder / "stream" / f"{stream.sha256()}.arrow"
    with pa.memory_map(str(path)) as source, pa.ipc.open_file(source) as reader:
        np.testing.assert_array_equal(reader.read_all()["Fz"].to_numpy(), data_of(FIRST)[0])
    (kept,) = contents(folder)
    assert kept.kind == "stream" and kept.bytes > data_of(FIRST).nbytes
    assert damaged(folder) == []
    # What is mapped stays; a copy of the reader in another process maps the same file.
    assert clear(folder) == [] and path.is_file()
    again = pickle.loads(pickle.dumps(stream))
    np.testing.assert_array_equal(again.mapped(), data_of(FIRST))
    np.testing.assert_array_equal(again.epocs.table["onset"], [1, 3.5])
    del arrays, array, again
    assert [k.path for k in clear(folder)] == [path] and not path.exists()
    # A damaged entry is made again.
    stream.mapped()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    np.testing.assert_array_equal(stream.mapped(), data_of(FIRST))


def test_a_cache_that_cannot_be_written_costs_memory(results, tmp_path):
    (tmp_path / "file").write_text("no folder")
    found = bidsmill.open(results.store, cache=tmp_path / "file" / "cache")["ds"]
    with pytest.warns(RuntimeWarning, match="into memory"):
        array = found.stream(FIRST).mapped()
    np.testing.assert_array_equal(array, data_of(FIRST))


def test_what_is_not_there_is_said(dataset, results, tmp_path):
    with pytest.raises(BidsmillError, match="no stream of this recording") as caught:
        dataset.stream("sub-01_task-face_eeg")
    assert FIRST in caught.value.expected
    with pytest.raises(BidsmillError, match="no stream of this node") as caught:
        dataset.stream(FIRST, "env")
    assert "clean, raw" in caught.value.expected
    with pytest.raises(BidsmillError, match="no epocs of this node"):
        dataset.epocs(FIRST, "onsets")
    bare = Results(tmp_path, mixed_recordings()[:4])
    bare.publish()
    none = bidsmill.open(bare.store)["ds"]
    assert none.streams == {} and "streams  " not in none.describe()
    for kind in ("stream", "epocs"):
        with pytest.raises(BidsmillError, match=f"has no {kind}") as caught:
            getattr(none, kind)(FIRST)
        assert "streams" in caught.value.todo


def test_damage_in_the_store_is_found(results, tmp_path):
    import shutil

    store = tmp_path / "store"
    shutil.copytree(results.store, store)
    dataset = bidsmill.open(store, cache=tmp_path / "cache")["ds"]
    path = dataset.stream(FIRST).path
    content = path.read_bytes()
    path.write_bytes(content[:5000] + bytes([content[5000] ^ 1]) + content[5001:])
    with pytest.raises(BidsmillError, match="damaged"):
        dataset.stream(FIRST).numpy()
    # A digit of the rate in the footer: the pages are right, and the manifest knows the core.
    assert content.count(b'"fs":250.0') == 1
    path.write_bytes(content.replace(b'"fs":250.0', b'"fs":260.0'))
    with pytest.raises(BidsmillError, match="core of a stream is not the one"):
        dataset.stream(FIRST)
    path.write_bytes(content[:-1])
    with pytest.raises(BidsmillError, match="another size"):
        dataset.stream(FIRST)
    path.unlink()
    with pytest.raises(BidsmillError, match="missing"):
        dataset.stream(FIRST)


def test_a_missing_or_cut_result_is_not_published(tmp_path):
    made = WithStreams(tmp_path, mixed_recordings())
    made.write_streams([FIRST])
    path = made.results / "streams" / f"{FIRST}_desc-clean_stream.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(BidsmillError, match="missing or cut") as caught:
        made.publish()
    assert f"streams/{FIRST}_desc-clean_stream.json" in caught.value.todo
    # Of the right size, and not what its core says.
    path.write_bytes(content.replace(b'"fs":250.0', b'"fs":-50.0'))
    with pytest.raises(BidsmillError, match=r"core\.fs"):
        made.publish()


def test_streams_of_a_bucket_come_through_the_cache(bucket, tmp_path):
    address, connection = bucket
    cache = tmp_path / "cache"
    stream = bidsmill.open(address, cache=cache, **connection)["ds"].stream(FIRST)
    assert stream.path == cache / "file" / f"{stream.sha256()}.parquet"
    assert hashlib.sha256(stream.path.read_bytes()).hexdigest() == stream.sha256()
    np.testing.assert_array_equal(stream.dask().compute(), data_of(FIRST).T)
    np.testing.assert_array_equal(stream.mapped(), data_of(FIRST))
    assert len(stream.epocs) == 2
    # From now on without the network, and what was not fetched is named.
    offline = bidsmill.open(address, cache=cache, offline=True, **connection)["ds"]
    np.testing.assert_array_equal(offline.stream(FIRST).numpy(), data_of(FIRST))
    assert len(offline.stream(FIRST).to_mne().annotations) == 2
    with pytest.raises(BidsmillError, match="offline"):
        offline.stream(SECOND)
    # A cut copy is fetched again.
    stream.path.write_bytes(b"PAR1")
    again = bidsmill.open(address, cache=cache, **connection)["ds"].stream(FIRST)
    np.testing.assert_array_equal(again.numpy(), data_of(FIRST))


def test_another_process_reads_what_is_in_the_cache(dataset, results, tmp_path):
    code = (
        "import bidsmill, sys\n"
        f"stream = bidsmill.open({str(results.store)!r})['ds'].stream({SECOND!r})\n"
        "array = stream.mapped()\n"
        "print(float(array[1, 77]), 'mne' in sys.modules, 'dask' in sys.modules)\n"
    )
    dataset.stream(SECOND).mapped()
    before = (tmp_path / "cache" / "stream").stat().st_mtime_ns
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "BIDSMILL_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    value, *heavy = run.stdout.split()
    assert np.float32(value) == data_of(SECOND)[1, 77] and heavy == ["False", "False"]
    assert (tmp_path / "cache" / "stream").stat().st_mtime_ns == before
