"""The stream file: values against PyArrow and the array that was written, damage, large shapes."""

from __future__ import annotations

import errno
import hashlib
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.formats.stream import (
    StreamFile,
    StreamWriter,
    rows_per_group,
    sidecar_path,
    write_stream,
)
from bidsmill.formats.stream_core import StreamChannel, StreamCore
from bidsmill.signal.source import Signal

N_CHANNELS = 64
ROWS = 2**16  # 16 MiB of 64 channels
N_SAMPLES = ROWS + 1234


def core_of(n_channels: int, n_samples: int = 0, **fields) -> StreamCore:
    channels = tuple(StreamChannel(f"E.{i}", "eeg", "µV") for i in range(n_channels))
    given = {"sfreq": 1000.0, "clock": "sub-01_eeg", **fields}
    return StreamCore("sub-01_eeg", n_samples=n_samples, channels=channels, **given)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A stream of two row groups, written in pieces of odd sizes."""
    rng = np.random.default_rng(1)
    data = rng.integers(-9999, 9999, (N_CHANNELS, N_SAMPLES)).astype(np.float32) * np.float32(0.1)
    path = tmp_path_factory.mktemp("stream") / "sub-01_eeg_stream.parquet"
    with StreamWriter(path, core_of(N_CHANNELS, N_SAMPLES)) as writer:
        start = 0
        for size in (1, 60_000, 3, N_SAMPLES):
            writer.write(data[:, start : start + size])
            start += size
        stated = writer.close()
    return path, data, stated


def test_the_file_is_what_it_says(written):
    path, data, stated = written
    content = path.read_bytes()
    assert stated["sha256"] == hashlib.sha256(content).hexdigest()
    assert (stated["size"], stated["n_samples"]) == (len(content), N_SAMPLES)
    beside = sidecar_path(path).read_bytes()
    assert stated["sidecar"]["sha256"] == hashlib.sha256(beside).hexdigest()
    with pq.ParquetFile(path) as file:
        metadata = file.metadata
        groups = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
        assert groups == [ROWS, 1234]
        column = metadata.row_group(0).column(3)
        assert column.compression == "ZSTD" and "BYTE_STREAM_SPLIT" in column.encodings
        assert not column.has_dictionary_page and column.statistics is None
        document = json.loads(beside)
        assert json.loads(metadata.metadata[b"core"]) == document["core"]
        assert document["core"]["n_samples"] == N_SAMPLES
        table = file.read()
    # As any other reader sees it.
    assert table.column_names == [f"E.{i}" for i in range(N_CHANNELS)]
    assert table.schema.field(0) == pa.field("E.0", pa.float32(), nullable=False)
    np.testing.assert_array_equal(np.stack([c.to_numpy() for c in table.columns]), data)
    assert sorted(p.name for p in path.parent.iterdir()) == [sidecar_path(path).name, path.name]


def test_the_same_samples_give_the_same_bytes(written, tmp_path):
    path, data, stated = written
    again = write_stream(tmp_path / path.name, core_of(N_CHANNELS), data)
    assert again == stated


def test_spans_and_channels_are_those_of_the_array(written):
    path, data, _ = written
    stream = StreamFile(path)
    assert isinstance(stream, Signal)
    assert (stream.sfreq, stream.n_channels, stream.n_times) == (1000, N_CHANNELS, N_SAMPLES)
    rng = np.random.default_rng(2)
    spans = [(0, 0), (ROWS - 1, ROWS + 1), (ROWS, ROWS), (5, N_SAMPLES), (N_SAMPLES, N_SAMPLES)]
    spans += [tuple(sorted(rng.integers(0, N_SAMPLES, 2).tolist())) for _ in range(5)]
    for start, stop in spans:
        found = stream.read(start, stop)
        assert found.dtype == np.float32 and found.flags.c_contiguous
        np.testing.assert_array_equal(found, data[:, start:stop])
        some = stream.read(start, stop, ["E.7", "E.0", "E.7"])
        np.testing.assert_array_equal(some, data[[7, 0, 7], start:stop])
    np.testing.assert_array_equal(
        stream.numpy(ROWS - 5, ROWS + 5, [-1]), data[-1:, ROWS - 5 : ROWS + 5]
    )
    np.testing.assert_array_equal(stream.read_group(1), data[:, ROWS:])
    for bad in ((-1, 3), (3, 2), (0, N_SAMPLES + 1)):
        with pytest.raises(BidsmillError, match="span"):
            stream.read(*bad)
    assert stream.read(0, 5, []).shape == (0, 5)
    for channel in ("E", "e.0", N_CHANNELS, 1.7):
        with pytest.raises(BidsmillError, match="no such channel"):
            stream.read(0, 1, [channel])


def test_dask_chunks_are_row_groups(written):
    import dask

    path, data, _ = written
    stream = StreamFile(path)
    lazy = stream.dask()
    assert lazy.chunks == ((ROWS, 1234), (N_CHANNELS,)) and lazy.dtype == np.float32
    assert StreamFile(path).dask().name == lazy.name
    with dask.config.set(scheduler="threads", num_workers=2):
        np.testing.assert_array_equal(lazy[:, 9].compute(), data[9])
        np.testing.assert_array_equal(
            lazy[ROWS - 7 : ROWS + 7 : 3, ::-2], data.T[ROWS - 7 : ROWS + 7 : 3, ::-2]
        )
        np.testing.assert_array_equal(lazy[::-1][3:9, [5, 2]], data.T[::-1][3:9, [5, 2]])
        np.testing.assert_array_equal(lazy[N_SAMPLES - 1], data[:, -1])
        total = lazy.sum(axis=0, dtype=np.float64).compute()
    np.testing.assert_allclose(total, data.sum(axis=1, dtype=np.float64), rtol=1e-9)


def test_threads_and_pickles_read_the_same(written):
    path, data, _ = written
    stream = pickle.loads(pickle.dumps(StreamFile(path)))
    spans = [(k * 9999, k * 9999 + 20_000) for k in range(5)]
    with ThreadPoolExecutor(4) as pool:
        for (start, stop), found in zip(
            spans, pool.map(lambda s: stream.read(*s), spans), strict=True
        ):
            np.testing.assert_array_equal(found, data[:, start:stop])


def test_the_map_is_arrows_own_memory(written, tmp_path):
    path, data, _ = written
    stream, arrow = StreamFile(path), tmp_path / "a.arrow"
    stream.mapped(arrow)
    before = pa.total_allocated_bytes()
    array = stream.mapped(arrow)
    assert array[17, 55_555] == data[17, 55_555] and not array.flags.writeable
    assert pa.total_allocated_bytes() == before
    np.testing.assert_array_equal(array, data)
    # As any other reader of Arrow sees it.
    with pa.memory_map(str(arrow)) as source, pa.ipc.open_file(source) as reader:
        table = reader.read_all()
    assert table.column_names == stream.names
    np.testing.assert_array_equal(table.column("E.3").to_numpy(), data[3])
    inode = arrow.stat().st_ino
    stream.mapped(arrow)
    assert arrow.stat().st_ino == inode
    # Of another stream, or cut: made again.
    other = tmp_path / "sub-02_stream.parquet"
    write_stream(other, core_of(3), data[:3, :500])
    np.testing.assert_array_equal(StreamFile(other).mapped(arrow), data[:3, :500])
    arrow.write_bytes(arrow.read_bytes()[:-8])
    np.testing.assert_array_equal(StreamFile(other).mapped(arrow), data[:3, :500])


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 5),
    st.lists(st.integers(0, 50), max_size=6),
    st.sampled_from(["float32", "float64", "int16", "int32"]),
)
def test_every_shape_and_number_format_comes_back(tmp_path_factory, n_channels, sizes, dtype):
    path = tmp_path_factory.mktemp("shape") / "a_stream.parquet"
    rng = np.random.default_rng(0)
    data = rng.integers(-3000, 3000, (n_channels, sum(sizes))).astype(dtype)
    with StreamWriter(path, core_of(n_channels, sum(sizes), dtype=dtype)) as writer:
        start = 0
        for size in sizes:
            writer.write(data[:, start : start + size])
            start += size
        writer.close()
    stream = StreamFile(path)
    np.testing.assert_array_equal(stream.numpy(), data.astype(np.float32))
    np.testing.assert_array_equal(stream.mapped(), data.astype(np.float32))
    np.testing.assert_array_equal(stream.dask().compute(), data.T.astype(np.float32))
    assert pq.read_schema(path).field(0).type == pa.from_numpy_dtype(dtype)


def test_twenty_thousand_channels_stand_in_one_column(tmp_path):
    n_channels, n_samples = 20_000, 300
    rng = np.random.default_rng(3)
    data = rng.standard_normal((n_channels, n_samples)).astype(np.float32)
    path = tmp_path / "wide_stream.parquet"
    write_stream(path, core_of(n_channels), data)
    stream = StreamFile(path)
    assert stream.group_rows == [256, 44] == [rows_per_group(n_channels), 44]
    with pq.ParquetFile(path) as file:
        assert file.schema_arrow.names == ["signal"]
        assert file.schema_arrow.field(0).type.list_size == n_channels
        flat = file.read_row_group(1).column(0).combine_chunks().flatten().to_numpy()
    np.testing.assert_array_equal(flat.reshape(-1, n_channels).T, data[:, 256:])
    np.testing.assert_array_equal(stream.read(250, 300), data[:, 250:])
    np.testing.assert_array_equal(stream.read(255, 257, ["E.19999", 4]), data[[19_999, 4], 255:257])
    np.testing.assert_array_equal(stream.mapped()[::999, 100:], data[::999, 100:])
    with pytest.raises(BidsmillError, match=r"core\.dtype"):
        StreamWriter(tmp_path / "x_stream.parquet", core_of(2000, dtype="int16"))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("n_channels", [1, 2, 7, 8, 64, 306, 1024, 20_000])
def test_row_groups_are_powers_of_two_of_8_to_32_mb(n_channels):
    rows = rows_per_group(n_channels)
    assert rows & (rows - 1) == 0 and 8e6 <= rows * n_channels * 4 <= 32e6


# What is refused


def small(folder: Path, **fields) -> Path:
    path = folder / "sub-01_eeg_stream.parquet"
    data = np.arange(3 * 5000, dtype=np.float32).reshape(3, -1)
    write_stream(path, core_of(3, **fields), data)
    return path


def rewritten(path: Path, table: pa.Table | None = None, **core) -> Path:
    """Write a stream's file again with PyArrow: other columns, or another core."""
    own = pq.read_table(path)
    document = json.loads(pq.read_metadata(path).metadata[b"core"]) | core
    table = own if table is None else table
    pq.write_table(table.replace_schema_metadata({"core": json.dumps(document)}), path)
    sidecar_path(path).unlink(missing_ok=True)
    return path


def test_a_file_of_another_writer_is_read_if_its_core_fits(tmp_path):
    path = rewritten(small(tmp_path))
    assert StreamFile(path).read(4998, 5000).tolist() == [
        [4998, 4999],
        [9998, 9999],
        [14998, 14999],
    ]


@pytest.mark.parametrize(
    ("field", "core"),
    [
        ("core.fs", {"fs": "banana"}),
        ("core.n_samples", {"n_samples": 4999}),
        ("core.dtype", {"dtype": "float64"}),
        ("core.n_channels", {"n_channels": 2}),
        ("core.kind", {"kind": "epoc"}),
    ],
)
def test_a_core_that_does_not_fit_the_file_is_refused(tmp_path, field, core):
    path = rewritten(small(tmp_path), **core)
    with pytest.raises(BidsmillError) as caught:
        StreamFile(path)
    assert f"field {field} " in caught.value.what and caught.value.file == str(path)
    assert caught.value.found and caught.value.expected and caught.value.todo


def test_other_columns_than_the_core_has_are_refused(tmp_path):
    path = small(tmp_path)
    table = pq.read_table(path)
    rewritten(path, table.rename_columns(["E.0", "E.2", "E.1"]))
    with pytest.raises(BidsmillError, match=r"core\.channels\[1\]\.name"):
        StreamFile(path)
    rewritten(small(tmp_path), table.select([0, 1]))
    with pytest.raises(BidsmillError, match=r"core\.n_channels"):
        StreamFile(path)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda d: d["core"].update(fs=999.0), "core.fs"),
        (lambda d: d["core"]["channels"][2].update(unit="V"), "core.channels[2].unit"),
        (lambda d: d["core"].pop("t0"), "core.t0"),
        (lambda d: d.update(other={"a": 1}), "other.a"),
        (lambda d: d["core"]["channels"].pop(), "core.channels"),
        (lambda d: d.update(more=1), "more"),
    ],
)
def test_a_sidecar_that_says_something_else_is_refused(tmp_path, change, field):
    path = small(tmp_path)
    document = json.loads(sidecar_path(path).read_bytes())
    change(document)
    sidecar_path(path).write_text(json.dumps(document))
    with pytest.raises(BidsmillError) as caught:
        StreamFile(path)
    assert caught.value.what.startswith(f"the field {field} of a sidecar")
    sidecar_path(path).unlink()
    assert StreamFile(path).n_times == 5000


def test_missing_samples_of_another_writer_are_refused(tmp_path):
    path = small(tmp_path)
    table = pq.read_table(path)
    gaps = pa.array([None, *range(4999)], pa.float32())
    schema = table.schema.set(0, pa.field("E.0", pa.float32()))
    rewritten(path, table.cast(schema).set_column(0, "E.0", gaps))
    with pytest.raises(BidsmillError, match="missing"):
        StreamFile(path).numpy()
    np.testing.assert_array_equal(
        StreamFile(path).numpy(channels=["E.2"])[0, :3], [10000, 10001, 10002]
    )


def test_damaged_and_cut_files_are_refused(tmp_path):
    path = small(tmp_path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    end = pq.read_metadata(path).row_group(0).column(2)
    # Anywhere in the pages: no sample is given that is not the one that was written.
    for place in rng.integers(4, end.data_page_offset + end.total_compressed_size, 25):
        changed = bytearray(content)
        changed[place] ^= 0x10
        path.write_bytes(changed)
        with pytest.raises(BidsmillError, match="damaged"):
            StreamFile(path).numpy()
    for cut in (len(content) - 1, len(content) // 2, 3, 0):
        path.write_bytes(content[:cut])
        with pytest.raises(BidsmillError) as caught:
            StreamFile(path)
        assert caught.value.file == str(path)
    path.unlink()
    with pytest.raises(BidsmillError, match="missing"):
        StreamFile(path)
    pq.write_table(pa.table({"a": [1.0]}), path)
    with pytest.raises(BidsmillError, match="not a stream"):
        StreamFile(path)


def test_what_is_written_wrong_leaves_nothing(tmp_path):
    path = tmp_path / "a_stream.parquet"
    with pytest.raises(BidsmillError, match=r"core\.fs"):
        StreamWriter(path, replace(core_of(2), sfreq="banana"))
    with StreamWriter(path, core_of(2, 10)) as writer:
        with pytest.raises(ValueError, match="shape"):
            writer.write(np.zeros((3, 4), np.float32))
        with pytest.raises(ValueError, match="complex"):
            writer.write(np.zeros((2, 4), np.complex64))
        writer.write(np.zeros((2, 4)))
        with pytest.raises(BidsmillError, match=r"core\.n_samples"):
            writer.close()
    with pytest.raises(RuntimeError), StreamWriter(path, core_of(2, 10)) as writer:
        writer.write(np.zeros((2, 4), np.float32))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with StreamWriter(path, core_of(2)) as writer:
        writer.write(np.ones((2, 4), np.float32))
        writer.close(core_of(2, 4, other={"known": "late"}))
    assert StreamFile(path).core.other == {"known": "late"}


FULL_DISK = """
import resource, sys
import numpy as np
import pyarrow.parquet
from bidsmill.streams import ArrayStream, Nodes
noise = np.random.default_rng(0).standard_normal((2, 4000))
nodes = Nodes(ArrayStream(noise, 1000.0), {"a": "raw > rectify", "b": "raw > tkeo"})
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    nodes.write_all({name: f"{sys.argv[1]}/{name}_stream.parquet" for name in "ab"})
except OSError as problem:
    print(problem.errno)
"""


@pytest.mark.parametrize("limit", [1, 20_000])
def test_a_full_disk_leaves_nothing(tmp_path, limit):
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.EFBIG)]
    assert not list(tmp_path.iterdir())


def test_a_raw_reads_from_the_stream(tmp_path):
    import mne

    channels = (
        StreamChannel("Fz", "eeg", "µV", position=(0.0, 0.1, 0.05)),
        StreamChannel("M1", "mag", "fT", status="bad"),
        StreamChannel("E1", "emg", "mV"),
        StreamChannel("T", "stim", "n/a"),
    )
    core = replace(core_of(1), channels=channels)
    rng = np.random.default_rng(5)
    data = rng.standard_normal((4, 3000)).astype(np.float32)
    path = tmp_path / "a_stream.parquet"
    write_stream(path, core, data)
    raw = StreamFile(path).to_mne()
    assert raw.get_channel_types() == ["eeg", "mag", "emg", "stim"]
    assert raw.info["bads"] == ["M1"] and raw.info["sfreq"] == 1000 and not raw.preload
    scales = np.array([[1e-6], [1e-15], [1e-3], [1]])
    np.testing.assert_allclose(raw.get_data(), data.astype(float) * scales, rtol=1e-12)
    np.testing.assert_allclose(
        raw.get_data(["T", "Fz"], 10, 20), (data.astype(float) * scales)[[3, 0], 10:20], rtol=1e-12
    )
    np.testing.assert_allclose(raw.get_montage().get_positions()["ch_pos"]["Fz"], [0, 0.1, 0.05])
    copied = pickle.loads(pickle.dumps(raw)).load_data()
    np.testing.assert_array_equal(copied.get_data(), raw.get_data())
    raw.save(tmp_path / "a_raw.fif", verbose="error")
    saved = mne.io.read_raw(tmp_path / "a_raw.fif", verbose="error").get_data()
    np.testing.assert_allclose(saved, raw.get_data(), rtol=1e-6)


def test_reading_needs_neither_dask_nor_mne(written):
    path, data, _ = written
    code = (
        "import sys\n"
        "sys.modules['dask'] = sys.modules['mne'] = None\n"
        "from bidsmill.formats.stream import StreamFile\n"
        f"stream = StreamFile({str(path)!r})\n"
        "print(stream.read(3, 4, [1])[0, 0])\n"
        "assert 'pandas' not in sys.modules\n"
        "for name in ('dask', 'to_mne'):\n"
        "    try: getattr(stream, name)()\n"
        "    except Exception as error: print(type(error).__name__, error.todo)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, *errors = run.stdout.splitlines()
    assert np.float32(first) == data[1, 3]
    assert all(e.startswith("BidsmillError pip install") for e in errors) and len(errors) == 2
