"""The engine: lazy, each thing once, in any order, with bounded memory and the same bytes."""

from __future__ import annotations

import gc
import hashlib
import pickle
import subprocess
import sys
import weakref
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import dask
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stream_cases import CALLS, stream_of

from bidsmill.errors import BidsmillError
from bidsmill.formats.epocs import read_epocs
from bidsmill.formats.stream import StreamFile, write_stream
from bidsmill.streams import ArrayStream, Nodes, operation
from bidsmill.streams.building import fits_inline
from bidsmill.streams.plan import source_borders

# Above it, statistics are taken in passes of their own.
LARGE = 9 * 2**20
BRANCHES = {
    "first": "raw > counted_for_test(first, 3)",
    "clean": "first > counted_for_test(clean)",
    "env": "clean > rectify > counted_for_test(env)",
    "peaks": "clean > peaks_for_test(21)",
}


@pytest.fixture(scope="module")
def stream():
    return stream_of(10_000)


@pytest.fixture(scope="module")
def large():
    """A stream that is too large for statistics to be taken beside the samples."""
    rng = np.random.default_rng(3)
    stream = ArrayStream(rng.standard_normal((1, LARGE), dtype=np.float32), 1000.0)
    assert not fits_inline(Nodes(stream, {"env": "raw"})._plan)
    return stream


def test_nothing_is_computed_before_it_is_asked_for(stream):
    CALLS.clear()
    results = Nodes(stream, BRANCHES, chunk=1000).get("first", "env", "peaks")
    assert not CALLS
    assert results[1].shape == (10_000, 3) and results[1].dtype == np.float32
    assert results[1].chunks[0] == (1000,) * 10


@pytest.mark.parametrize("order", [("clean", "env", "peaks"), ("peaks", "env", "first", "clean")])
@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_what_results_share_is_computed_once(stream, order, scheduler):
    CALLS.clear()
    found = dict(
        zip(
            order,
            dask.compute(*Nodes(stream, BRANCHES, chunk=1000).get(*order), scheduler=scheduler),
            strict=True,
        )
    )
    assert CALLS == {"first": 10, "clean": 10, "env": 10}
    assert np.array_equal(found["clean"].T, stream.data)
    assert np.array_equal(found["env"].T, np.abs(stream.data))
    wanted = np.flatnonzero((stream.data > 21).any(axis=0))
    assert found["peaks"]["onset_sample"].tolist() == wanted.tolist()


def test_equal_graphs_on_equal_streams_share_too(stream):
    CALLS.clear()
    other = ArrayStream(stream.data.copy(), stream.core)
    one = Nodes(stream, BRANCHES, chunk=1000).get("env")
    two = Nodes(other, {"again": "raw > counted_for_test(first, 3)"}, chunk=1000).get("again")
    three = Nodes(stream_of(10_000, seed=1), BRANCHES, chunk=1000).get("env")
    dask.compute(one, two, scheduler="sync")
    assert CALLS["first"] == 10
    found = dask.compute(one, three, scheduler="sync")
    assert not np.array_equal(*found)


def test_slices_compute_only_their_chunks(stream):
    CALLS.clear()
    env = Nodes(stream, BRANCHES, chunk=1000).get("env")
    assert np.array_equal(env[2500:2600, 1].compute(), np.abs(stream.data[1, 2500:2600]))
    assert CALLS == {"first": 1, "clean": 1, "env": 1}


def test_all_nodes_and_steps_can_be_asked_for(stream):
    nodes = Nodes(stream, BRANCHES, chunk=3000)
    assert list(nodes.get()) == list(BRANCHES)
    assert list(nodes.compute()) == list(BRANCHES)
    assert np.array_equal(nodes.compute("env.rectify"), nodes.compute("rectify"))
    assert np.array_equal(nodes.compute("raw"), stream.data)
    with pytest.raises(BidsmillError, match="did you mean env"):
        nodes.get("clean", "evn")


@pytest.mark.parametrize("halo", [0, 1, 99, 100, 101, 250, 1000, 20_000])
@pytest.mark.parametrize("chunk", [100, 333, 10_000])
def test_a_halo_of_any_length_reaches_what_it_needs(stream, halo, chunk):
    @operation(name="windowed_for_test", halo=lambda sfreq, width: (width, 2 * width))
    def windowed(block, width: int):
        # The sum of the window, from running sums: wrong if one sample of the halo is absent.
        sums = np.concatenate([[0], np.cumsum(block[0].astype(np.float64))])
        places = np.arange(block.shape[1])
        low = np.clip(places - width, 0, None)
        high = np.clip(places + 2 * width + 1, None, block.shape[1])
        return (sums[high] - sums[low])[np.newaxis]

    short = ArrayStream(stream.data[:1, :1234], 1000.0)
    found = Nodes(short, {"n": f"raw > windowed_for_test({halo})"}, chunk=chunk).compute("n")
    wanted = [
        short.data[0, max(i - halo, 0) : i + 2 * halo + 1].sum(dtype=float) for i in range(1234)
    ]
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5, atol=1e-3)


def test_ones_own_operation_is_one_decorated_function(stream):
    writeable = []

    @operation(name="louder_for_test")
    def louder(block, sfreq, gain: float = 2.0):
        writeable.append(block.flags.writeable)
        return block * gain * (sfreq / 1000)

    assert np.array_equal(louder(stream.data, 1000.0), stream.data * 2)
    nodes = Nodes(stream, {"a": "raw > louder_for_test", "b": "raw > louder_for_test(gain=3)"})
    assert np.array_equal(nodes.compute("b"), stream.data * 3)
    # A block is shared with other operations.
    assert writeable == [True, False]

    @operation(name="shorter_for_test")
    def shorter(block):
        return block[:, 1:]

    with pytest.raises(BidsmillError, match=r"shorter_for_test changed the shape .* 9999"):
        Nodes(stream, {"a": "raw > shorter_for_test"}).compute("a")


def test_float64_of_an_operation_becomes_float32(stream):
    @operation(name="double_for_test")
    def double(block):
        return block.astype(np.float64)

    lazy = Nodes(stream, {"a": "raw > double_for_test"}).get("a")
    assert lazy.dtype == np.float32 and lazy.compute().dtype == np.float32


def test_statistics_of_several_passes_are_fitted_once(stream):
    CALLS.clear()
    nodes = Nodes(stream, {"c": "raw > centred_for_test", "d": "c > rectify"}, chunk=1000)
    centred, turned = nodes.compute("c", "d")
    assert CALLS == {"partial": 20, "combine": 2}
    mean = stream.data.mean(axis=1, keepdims=True, dtype=np.float64)
    np.testing.assert_allclose(centred, stream.data - mean, atol=1e-5)
    assert np.array_equal(turned, np.abs(centred))


def test_statistics_of_a_large_stream_are_kept_for_the_next_request(large):
    CALLS.clear()
    definitions = {
        "c": "raw > counted_for_test(c) > centred_for_test",
        "n": "c > normalise",
        "m": "raw > counted_for_test(c) > marked_for_test(c > peaks_for_test(4.5))",
    }
    nodes = Nodes(large, definitions, chunk=2**20)
    n_chunks = 9
    first = nodes.get("c")[: 2**20].compute(scheduler="sync")
    # Two passes of statistics, and the one chunk that was asked for.
    assert CALLS["partial"] == 2 * n_chunks and CALLS["combine"] == 2
    assert CALLS["c"] == 2 * n_chunks + 1
    again, marks = dask.compute(*nodes.get("n", "m"), scheduler="sync")
    assert CALLS["combine"] == 2
    # Statistics of `n` and the table for `m`: one pass for both, and one for the results.
    assert CALLS["c"] == 2 * n_chunks + 1 + 2 * n_chunks
    whole = large.data.astype(np.float64)
    np.testing.assert_allclose(first[:, 0], whole[0, : 2**20] - whole.mean(), atol=1e-6)
    np.testing.assert_allclose(again[:, 0], (whole[0] - whole.mean()) / whole.std(), atol=1e-5)
    assert np.array_equal(marks[:, 0], (whole[0] - whole.mean() > 4.5).astype(np.float32))


def test_tables_are_inputs_of_other_nodes(stream):
    nodes = Nodes(stream, {"m": "raw > marked_for_test(raw > peaks_for_test(21))"}, chunk=777)
    wanted = (stream.data > 21).any(axis=0).astype(np.float32)
    assert np.array_equal(nodes.compute("m"), np.broadcast_to(wanted, stream.data.shape))
    table = pd.DataFrame({"onset": [0.5, 1.25], "duration": [0.0, 0.0]})
    given = Nodes(stream, {"m": "marked_for_test(raw, epocs)"}, table, chunk=777).compute("m")
    assert np.flatnonzero(given[0]).tolist() == [500, 1250]
    with pytest.raises(BidsmillError, match="there are none"):
        Nodes(stream, {"m": "marked_for_test(raw, epocs)"})


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(st.integers(1, 900_000), min_size=1, max_size=8),
    n_channels=st.integers(1, 100),
)
def test_chunks_are_whole_row_groups_or_equal_parts_of_one(rows, n_channels):
    class Described:
        group_rows = rows
        core = stream_of(1, n_channels).core

    Described.core = replace(Described.core, n_samples=sum(rows))
    borders = source_borders(Described())
    ends = np.cumsum(rows)
    assert borders[0] == 0 and borders[-1] == sum(rows) and (np.diff(borders) > 0).all()
    sizes = np.diff(borders) * 4 * n_channels
    assert (sizes <= 16 * 2**20 + 4 * n_channels).all()
    for start, stop in pairwise(borders):
        inside = int(((ends > start) & (ends < stop)).sum())
        # Parts of a row group lie within it.
        assert inside == 0 or (start in (0, *ends) and stop in ends)


@pytest.fixture(scope="module")
def file(tmp_path_factory, stream):
    path = tmp_path_factory.mktemp("streams") / "sub-01_emg_stream.parquet"
    write_stream(path, stream.core, stream.data)
    return path


DEFINITIONS = {
    "clean": "raw > car > notch(50) > bandpass(20, 450, method=butterworth)",
    "env": "clean > rectify > lowpass(10) > resample(100)",
    "z": "env > normalise",
    "peaks": "env > peaks_for_test(1)",
    "epochs": "epochs(env, peaks, tmin=0, tmax=0.1)",
}


@pytest.mark.parametrize("threads", [1, 2])
def test_files_have_the_same_bytes_for_any_number_of_threads(file, tmp_path, threads):
    nodes = Nodes(file, DEFINITIONS, chunk=1024)
    paths = {name: tmp_path / f"{name}_{nodes.kind(name)}.parquet" for name in DEFINITIONS}
    told = nodes.write_all(paths, threads=threads)
    sums = {}
    for name, path in paths.items():
        sums[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        assert told[name]["sha256"] == sums[name]
        sidecar = path.with_suffix(".json").read_bytes()
        assert told[name]["sidecar"]["sha256"] == hashlib.sha256(sidecar).hexdigest()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    known = test_files_have_the_same_bytes_for_any_number_of_threads.__dict__
    assert known.setdefault("sums", sums) == sums
    for name in ("clean", "env", "z"):
        written = StreamFile(paths[name]).numpy()
        assert np.array_equal(written, nodes.compute(name, threads=threads))
    table = pq.read_table(paths["epochs"]).to_pandas()
    assert len(table) == len(read_epocs(paths["peaks"]).table)


def test_results_can_be_pickled(file):
    results = Nodes(file, DEFINITIONS, chunk=4096).get("z", "peaks")
    again = dask.compute(*pickle.loads(pickle.dumps(results)), scheduler="sync")
    here = dask.compute(*results, scheduler="sync")
    assert np.array_equal(again[0], here[0])
    pd.testing.assert_frame_equal(again[1], here[1])


@pytest.mark.long
def test_processes_give_what_threads_give(file):
    results = Nodes(file, DEFINITIONS, chunk=4096).get("z", "peaks")
    apart = dask.compute(*results, scheduler="processes", num_workers=1)
    here = dask.compute(*results, scheduler="sync")
    assert np.array_equal(apart[0], here[0])
    pd.testing.assert_frame_equal(apart[1], here[1])


def test_every_file_states_its_history(file, tmp_path):
    nodes = Nodes(file, DEFINITIONS)
    nodes.write("clean", tmp_path / "clean_stream.parquet")
    core = StreamFile(tmp_path / "clean_stream.parquet").core
    assert [entry["node"] for entry in core.history] == ["car", "notch", "bandpass"]
    notch, band = core.history[1:]
    assert notch["params"]["frequencies"] == [50.0] and band["params"]["order"] is None
    assert band["parents"] == [notch["id"]] and band["id"] == nodes.graph.nodes["clean"].identity
    assert {entry["input_sha256"] for entry in core.history} == {"a" * 64}
    assert core.name == "sub-01_emg_desc-clean" and core.source == nodes.stream.core.source
    assert (core.channels[0].low_cutoff, core.channels[0].high_cutoff) == (20, 450)
    # What is made of a node goes on with its history.
    more = Nodes(tmp_path / "clean_stream.parquet", {"env": "raw > rectify"})
    more.write("env", tmp_path / "env_stream.parquet")
    last = StreamFile(tmp_path / "env_stream.parquet").core
    assert [entry["node"] for entry in last.history] == ["car", "notch", "bandpass", "rectify"]
    assert last.channels[0].high_cutoff is None
    nodes.write("peaks", tmp_path / "peaks_epocs.parquet")
    epocs = read_epocs(tmp_path / "peaks_epocs.parquet").core
    assert epocs.history[-1]["node"] == "peaks_for_test" and epocs.ref_sfreq == 100


def test_a_failure_leaves_no_file_and_names_the_operation(file, tmp_path):
    @operation(name="broken_for_test")
    def broken(block):
        raise ZeroDivisionError("here")

    nodes = Nodes(file, {"a": "raw > broken_for_test", "b": "raw > rectify"}, chunk=1000)
    with pytest.raises(ZeroDivisionError) as problem:
        nodes.write_all({"b": tmp_path / "b_stream.parquet", "a": tmp_path / "a_stream.parquet"})
    assert "in the operation broken_for_test" in problem.value.__notes__[0]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(BidsmillError, match="one file"):
        nodes.write_all({"a": tmp_path / "x.parquet", "b": tmp_path / "x.parquet"})


@pytest.mark.parametrize("threads", [1, 2])
def test_a_pass_holds_few_chunks_at_a_time(large, threads):
    """Count the chunks that are alive: the memory of a pass does not grow with the stream."""
    from bidsmill.streams.passes import Sink, run_pass

    alive, most = set(), [0]

    class Watched(ArrayStream):
        def read(self, start, stop, channels=None):
            block = super().read(start, stop).copy()
            number = start
            alive.add(number)
            weakref.finalize(block, alive.discard, number)
            most[0] = max(most[0], len(alive))
            return block

    short = Watched(large.data[:, : 60 * 4096], 1000.0)
    nodes = Nodes(short, {"env": "raw > lowpass(100) > rectify > lowpass(5)"}, chunk=4096)
    got = []
    placed = nodes._plan[nodes.graph.nodes["env"]]
    run_pass(nodes._plan, [Sink(placed, lambda b: got.append(b.shape[1]))], {}, threads)
    gc.collect()
    assert got == [4096] * 60
    assert most[0] <= 4 + threads


def test_the_stream_must_not_be_empty():
    with pytest.raises(BidsmillError, match="The stream is empty"):
        Nodes(ArrayStream(np.empty((2, 0)), 10.0), {"a": "raw > rectify"})
    with pytest.raises(BidsmillError, match="too short for"):
        Nodes(stream_of(3), {"f": "raw > features(window=1)"})


@pytest.mark.long
def test_memory_does_not_hold_the_stream(tmp_path):
    """Filter 128 MB: the process grows by less than that beyond its libraries."""
    code = f"""
import re
import numpy as np
import scipy.signal, dask.threaded, pyarrow.parquet
from bidsmill.formats.stream import StreamWriter
from bidsmill.formats.stream_core import StreamChannel, StreamCore
from bidsmill.streams import Nodes
# Not ru_maxrss: that is inherited from the process that started this one.
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
path = {str(tmp_path / "a_stream.parquet")!r}
n = 4_194_304
channels = tuple(StreamChannel(f"c{{i}}", "emg", "V") for i in range(8))
rng = np.random.default_rng(0)
before = peak()
with StreamWriter(path, StreamCore("a", 2000.0, n, channels, "a")) as writer:
    for start in range(0, n, 2**17):
        writer.write(rng.integers(-9, 9, (8, 2**17)).astype(np.float32))
    writer.close()
Nodes(path, {{"f": "raw > bandpass(20, 450)"}}).write("f", path.replace("a_s", "f_s"))
print(before, peak())
"""
    environment = {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    before, after = map(float, done.stdout.split())
    assert after < min(300, before + 110), (before, after)
