"""Which streams, epocs and nodes are made again, and what they hold."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from bids_cases import Dataset, brain_like, write_brainvision, write_edf, write_small

from bidsmill.errors import BidsmillError
from bidsmill.formats import files, tables
from bidsmill.formats.epocs import read_epocs
from bidsmill.formats.stream import StreamFile
from bidsmill.streams.batch import stream_batch, stream_one

RUN_1, RUN_2 = "sub-01_task-x_run-1_eeg", "sub-01_task-x_run-2_eeg"
TRUNCATED, STRANGER = "sub-02_task-x_eeg", "sub-03_ses-1_task-x_eeg"
NODES = {
    "clean": "raw > bandpass(5, 40)",
    "env": "clean > rectify > lowpass(10)",
    "bursts": "env > onsets(threshold=3)",
}
FIXED = {"kind": "fixed", "length": 0.5}
OWN = {"windows": FIXED, "streams": {"nodes": NODES, "write": ["env", "bursts"]}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a dataset with streams. Not to be changed."""
    dataset = Dataset(tmp_path_factory.mktemp("streams"))
    write_small(dataset.root)
    dataset.convert(**OWN)
    return dataset


@pytest.fixture
def dataset(made, tmp_path):
    """Return a copy, with its times."""
    return made.copied(tmp_path)


def streams(dataset) -> Path:
    return dataset.results / "streams"


def times(dataset) -> dict[str, tuple[bytes, int]]:
    """Return bytes and time of every data file and sidecar."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(streams(dataset).iterdir())
        if path.stem.endswith(("_stream", "_epocs"))
    }


def redone(before, after) -> set[str]:
    """Return the stems of the data files that were written again, without the recording."""
    changed = {name for name in after if before.get(name, (0, 0))[1] != after[name][1]}
    return {name.rpartition(".")[0].partition("_eeg")[2] for name in changed}


def entries(dataset) -> dict[str, dict]:
    return {
        stem: entry
        for batch in dataset.batches
        for stem, entry in files.read_json(dataset.of("streams", batch))["members"].items()
    }


def matrix(dataset, stem) -> np.ndarray:
    """Return the matrix of a recording, shape (rows, channels, times), read by pyarrow."""
    table = pq.read_table(dataset.results / "matrix" / f"{stem}.parquet")
    columns = [np.array(column.to_pylist(), np.float32) for column in table.columns]
    return np.stack(columns, axis=1)


def test_a_stream_holds_what_mne_reads(made):
    import mne

    raw = mne.io.read_raw_brainvision(
        made.root / "sub-01" / "eeg" / f"{RUN_1}.vhdr", verbose="ERROR"
    )
    stream = StreamFile(streams(made) / f"{RUN_1}_stream.parquet")
    np.testing.assert_array_equal(stream.numpy(), raw.get_data().astype(np.float32))
    core = stream.core
    assert (core.sfreq, core.t0, core.clock) == (200.0, 0.0, RUN_1)
    assert [(c.name, c.type, c.unit) for c in core.channels] == [
        (name, "eeg", "V") for name in raw.ch_names
    ]
    assert core.source["uri"] == f"sub-01/eeg/{RUN_1}.vhdr"
    assert len(core.source["sha256"]) == 64


def test_epocs_are_all_events_with_hed(made):
    epocs = read_epocs(streams(made) / f"{RUN_1}_epocs.parquet").table
    table = made.results / "events" / f"{RUN_1}.tsv"
    lines = [line.split("\t") for line in table.read_text().splitlines()]
    place = {name: column for column, name in enumerate(lines[0])}

    def number(text):
        try:
            return float(text)
        except ValueError:
            return np.nan

    wanted = [row for row in lines[1:] if abs(number(row[place["onset"]])) < 1e12]
    assert epocs["onset"].tolist() == sorted(float(row[place["onset"]]) for row in wanted)
    hed = {row[place["HED"]] for row in wanted} - {"", "n/a"}
    assert set(epocs["HED"].dropna()) == hed
    assert any("Face" in text for text in hed)
    assert "chosen" not in epocs and "reason" not in epocs


def test_a_node_is_what_the_graph_gives_and_says_how(made):
    from bidsmill.streams import Nodes

    path = streams(made) / f"{RUN_1}_desc-env_stream.parquet"
    env = StreamFile(path)
    raw = StreamFile(streams(made) / f"{RUN_1}_stream.parquet")
    np.testing.assert_array_equal(env.numpy(), Nodes(raw, NODES).compute("env"))
    assert [step["node"] for step in env.core.history] == ["bandpass", "rectify", "lowpass"]
    assert {step["input_sha256"] for step in env.core.history} == {raw.core.source["sha256"]}
    footer = json.loads(pq.read_metadata(path).metadata[b"core"])
    assert footer == json.loads(path.with_suffix(".json").read_text())["core"]
    entry = entries(made)[RUN_1]
    assert entry["files"][path.name]["sha256"] == files.sha256_file(path)


def test_how_far_a_node_looks(made):
    from bidsmill.signal.filters import Filtered
    from bidsmill.signal.source import ArraySignal

    whole = ArraySignal(np.zeros((1, 100_000)), 200.0)
    wanted = sum(
        Filtered(whole, **band).reach_seconds
        for band in ({"low": 5.0, "high": 40.0}, {"low": None, "high": 10.0})
    )
    nodes = entries(made)[RUN_1]["nodes"]
    assert nodes["env"]["reach_seconds"] == pytest.approx(wanted, abs=1e-5)
    assert nodes["raw"]["reach_seconds"] == 0


def test_a_bad_recording_stands_alone(made):
    found = entries(made)
    assert {stem: entry["status"] for stem, entry in found.items()} == {
        RUN_1: "streamed",
        RUN_2: "streamed",
        TRUNCATED: "quarantined",
        STRANGER: "streamed",
    }
    assert found[TRUNCATED]["reason"] == "truncated_file"
    assert not list(streams(made).glob(f"{TRUNCATED}_*"))


def test_nothing_changed_nothing_done(dataset):
    before = times(dataset)
    manifests = [dataset.of("streams", b).read_bytes() for b in dataset.batches]
    dataset.convert(**OWN)
    assert times(dataset) == before
    assert [dataset.of("streams", b).read_bytes() for b in dataset.batches] == manifests


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        # What depends on the node that changed.
        ({"env": "clean > rectify > lowpass(8)"}, {"_desc-env_stream", "_desc-bursts_epocs"}),
        ({"bursts": "env > onsets(threshold=4)"}, {"_desc-bursts_epocs"}),
        # Other words for the same node.
        ({"clean": "raw > bandpass(low=5, high=40.0)"}, set()),
        # A node that is not written.
        ({"other": "raw > rectify"}, set()),
    ],
)
def test_another_definition_makes_that_node_again(dataset, nodes, expected):
    before = times(dataset)
    own = {**OWN, "streams": {"nodes": {**NODES, **nodes}, "write": ["env", "bursts"]}}
    dataset.convert(**own)
    assert redone(before, times(dataset)) == expected


def test_another_choice_of_rows_makes_nothing_again(dataset):
    before = times(dataset)
    windows = {"kind": "events", "tmin": 0.0, "tmax": 0.4, "events": {"hed": "Face"}}
    dataset.convert(**{**OWN, "windows": windows})
    assert redone(before, times(dataset)) == set()


def test_other_events_make_the_epocs_again(dataset):
    path = dataset.root / "sub-03/ses-1/eeg/sub-03_ses-1_task-x_events.tsv"
    path.write_text(path.read_text().replace("face", "press"))
    before = times(dataset)
    dataset.convert(**OWN)
    after = times(dataset)
    assert redone(before, after) == {"_epocs"}
    changed = {name for name in after if before[name] != after[name]}
    assert {name.partition("_eeg")[0] + "_eeg" for name in changed} == {STRANGER}


def test_another_source_makes_all_of_it_again(dataset):
    data = brain_like(2, 2000, 9) * 1e6
    signals = [("Fz", data[0], 200, "uV"), ("Cz", data[1], 200, "uV")]
    folder = dataset.root / "sub-03/ses-1/eeg"
    write_edf(folder / f"{STRANGER}.edf", signals)
    names = f"{STRANGER[:-4]}_channels.tsv"
    tables.write_tsv(
        folder / names,
        pd.DataFrame({"name": ["Fz"], "type": "EEG", "low_cutoff": "0.1", "high_cutoff": "n/a"}),
    )
    before = times(dataset)
    dataset.convert(**OWN)
    after = times(dataset)
    assert {n.partition("_eeg")[0] for n in after if before[n] != after[n]} == {STRANGER[:-4]}
    core = StreamFile(streams(dataset) / f"{STRANGER}_stream.parquet").core
    cutoffs = [(c.low_cutoff, c.high_cutoff) for c in core.channels]
    assert cutoffs == [(0.1, None), (None, None)]


def test_a_node_that_leaves_takes_its_files_along(dataset):
    own = {**OWN, "streams": {"nodes": {**NODES, "env": "raw > rectify"}, "write": ["env"]}}
    dataset.convert(**own)
    assert not list(streams(dataset).glob("*bursts*"))
    assert len(list(streams(dataset).glob("*desc-env_stream.parquet"))) == 3


def test_a_damaged_or_missing_file_is_made_again(dataset):
    before = times(dataset)
    sidecar = streams(dataset) / f"{RUN_1}_desc-env_stream.json"
    wrong = sidecar.read_text().replace('"fs": 200.0', '"fs": 300.0')
    assert wrong != sidecar.read_text()
    sidecar.write_text(wrong)
    (streams(dataset) / f"{RUN_2}_epocs.parquet").unlink()
    one(dataset, RUN_1, "env", "stream")
    dataset.convert(**OWN)
    assert {name: content for name, (content, _) in times(dataset).items()} == {
        name: content for name, (content, _) in before.items()
    }


def one(dataset, recording, node, kind, own=None):
    middle = "" if node == "raw" else f"_desc-{node}"
    (batch,) = [
        b
        for b in dataset.batches
        if recording in files.read_json(dataset.of("plan", b))["members"].__repr__()
    ]
    stream_one(
        dataset.of("plan", batch),
        dataset.of("fetch", batch),
        dataset.of("annotate", batch),
        streams(dataset) / f"{recording}{middle}_{kind}.json",
        settings=own or dataset.settings,
        code={"recording": dataset.code, "nodes": dataset.code},
        recording=recording,
        node=node,
    )


def test_one_file_is_made_and_nothing_else(dataset):
    before = times(dataset)
    one(dataset, RUN_1, "env", "stream")
    after = times(dataset)
    assert {name for name in after if after[name][1] != before[name][1]} == {
        f"{RUN_1}_desc-env_stream.parquet",
        f"{RUN_1}_desc-env_stream.json",
    }
    assert {n: c for n, (c, _) in after.items()} == {n: c for n, (c, _) in before.items()}
    # A node that is not written belongs to nobody: no receipt knows it, and it stays.
    one(dataset, RUN_1, "clean", "stream")
    receipt = files.read_json(streams(dataset) / f"{RUN_1}.json")
    assert not any("clean" in name for name in receipt["files"])
    state = times(dataset)
    dataset.convert(**OWN)
    assert times(dataset) == state
    assert f"{RUN_1}_desc-clean_stream.parquet" in state


def test_one_file_of_another_definition_leaves_the_rest_to_the_batch(dataset):
    before = times(dataset)
    nodes = {**NODES, "env": "clean > rectify > lowpass(8)"}
    own = {**dataset.settings, "streams": {**dataset.settings["streams"], "nodes": nodes}}
    one(dataset, RUN_1, "env", "stream", own)
    assert redone(before, times(dataset)) == {"_desc-env_stream"}
    dataset.convert(**{**OWN, "streams": {**OWN["streams"], "nodes": nodes}})
    after = times(dataset)
    fresh = Dataset(dataset.root.parent / "fresh")
    shutil.copytree(dataset.root, fresh.root)
    fresh.convert(**{**OWN, "streams": {**OWN["streams"], "nodes": nodes}})
    assert {n: c for n, (c, _) in after.items()} == {n: c for n, (c, _) in times(fresh).items()}


def test_the_wrong_kind_of_file_is_refused(dataset):
    with pytest.raises(BidsmillError, match=r"another kind.*desc-bursts_epocs.json"):
        one(dataset, RUN_1, "bursts", "stream")
    with pytest.raises(BidsmillError, match=r"no such node.*burst; .*did you mean bursts"):
        one(dataset, RUN_1, "burst", "epocs")


def test_a_node_that_one_recording_cannot_give(tmp_path):
    dataset = Dataset(tmp_path)
    write_small(dataset.root)
    folder = dataset.root / "sub-04" / "eeg"
    write_brainvision(folder, "sub-04_task-x_eeg", brain_like(3, 6000), 1000.0, ["A", "B", "C"])
    nodes = {"high": "raw > bandpass(20, 250)", "low": "raw > lowpass(20)"}
    windows = {**FIXED, "source": "low"}
    dataset.convert(windows=windows, streams={"nodes": nodes, "write": ["high"]})
    found = entries(dataset)
    assert found["sub-04_task-x_eeg"]["status"] == "streamed"
    assert found[RUN_1]["reason"] == "node_impossible"
    assert "high" in found[RUN_1]["message"] and "250" in found[RUN_1]["message"]
    assert set(found[RUN_1]["nodes"]) == {"raw", "low"}
    # Rows come from the other node.
    receipts = dataset.receipts()
    assert receipts[RUN_1]["status"] == "converted"
    assert receipts[TRUNCATED]["reason"] == "truncated_file"
    before = times(dataset)
    dataset.convert(windows=windows, streams={"nodes": nodes, "write": ["high"]})
    assert times(dataset) == before


def test_channels_without_a_unit_name_the_field(tmp_path):
    dataset = Dataset(tmp_path)
    files.write_json(dataset.root / "dataset_description.json", {"Name": "t", "BIDSVersion": "1.9"})
    write_edf(
        dataset.root / "sub-01/emg/sub-01_task-x_emg.edf",
        [("EMG1", np.arange(1000.0), 100, "furlong")],
    )
    files.write_json(dataset.root / "sub-01/emg/sub-01_task-x_emg.json", {"TaskName": "x"})
    dataset.convert(windows=FIXED, streams={})
    entry = entries(dataset)["sub-01_task-x_emg"]
    assert entry["reason"] == "stream_metadata"
    assert "core.channels[0].unit" in entry["message"]


def test_rows_of_a_node_are_its_samples(made, tmp_path):
    dataset = Dataset(tmp_path)
    write_small(dataset.root)
    windows = {"kind": "events", "tmin": -0.1, "tmax": 0.4, "source": "env"}
    dataset.run(windows=windows, streams=OWN["streams"], labels={"kind": {"column": "trial_type"}})
    samples = dataset.table("samples.parquet")
    rows = samples[samples["recording"] == STRANGER]
    env = StreamFile(streams(dataset) / f"{STRANGER}_desc-env_stream.parquet").numpy()
    block = matrix(dataset, STRANGER)
    assert rows["start"].tolist() == [round((onset - 0.1) * 200) for onset in rows["onset"]]
    for row, start in enumerate(rows["start"]):
        np.testing.assert_array_equal(block[row], env[:, start : start + 100])
    assert set(rows["kind"]) == {"face", "scrambled"}

    def written() -> dict[str, int]:
        found = (dataset.results / "matrix").glob("*.parquet")
        return {path.name: path.stat().st_mtime_ns for path in found}

    # Another node is none of the rows' business.
    before = written()
    nodes = {**NODES, "bursts": "env > onsets(threshold=2)"}
    dataset.convert(windows=windows, streams={"nodes": nodes, "write": ["env", "bursts"]})
    assert before and written() == before


def test_rows_of_windowed_features_stand_at_their_time(tmp_path):
    dataset = Dataset(tmp_path)
    write_small(dataset.root)
    nodes = {"mav": "raw > features(kinds=mav, window=0.1, step=0.05)"}
    windows = {"kind": "events", "tmin": 0.0, "tmax": 0.5, "source": "mav"}
    dataset.run(windows=windows, streams={"nodes": nodes})
    raw = StreamFile(streams(dataset) / f"{STRANGER}_stream.parquet").numpy()
    samples = dataset.table("samples.parquet")
    rows = samples[samples["recording"] == STRANGER]
    block = matrix(dataset, STRANGER)
    t0 = (20 - 1) / 2 / 200
    assert len(rows) == 2
    for row, (onset, start) in enumerate(zip(rows["onset"], rows["start"], strict=True)):
        # The window whose middle is nearest to the event.
        assert abs(t0 + start * 0.05 - onset) <= 0.025 + 1e-9
        first = start * 10
        np.testing.assert_allclose(
            block[row, :, 0], np.abs(raw[:, first : first + 20]).mean(axis=1), rtol=1e-5
        )


@pytest.mark.long
def test_two_processes_make_the_same_bytes(made, tmp_path):
    dataset = Dataset(tmp_path)
    shutil.copytree(made.root, dataset.root)
    shutil.copytree(made.results, dataset.results)
    dataset.settings, dataset.batches = made.settings, made.batches
    wanted = {p.name: p.read_bytes() for p in streams(dataset).iterdir()}
    shutil.rmtree(streams(dataset))
    for batch in dataset.batches:
        dataset.stream(batch, processes=2)
    assert {p.name: p.read_bytes() for p in streams(dataset).iterdir()} == wanted


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from bids_cases import Dataset
dataset = Dataset(Path({folder!r}))
dataset.settings, dataset.batches = {settings!r}, {batches!r}
print("ready", flush=True)
for batch in dataset.batches:
    dataset.stream(batch)
"""


# tests/e2e/test_streams_pipeline.py kills one whole run without `long`.
@pytest.mark.long
@pytest.mark.parametrize("share", [0.15, 0.3, 0.5, 0.7, 0.85])
def test_a_killed_batch_goes_on_where_it_was(made, dataset, share):
    wanted = {p.name: p.read_bytes() for p in streams(made).iterdir()}
    program = KILLED.format(
        tests=str(Path(__file__).parent),
        folder=str(dataset.root.parent),
        settings=dataset.settings,
        batches=dataset.batches,
    )
    shutil.rmtree(streams(dataset))
    target = int(share * len([n for n in wanted if n.endswith(".parquet")]))
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    # Killed when that many files are there, whatever the machine's pace.
    while child.poll() is None and len(list(streams(dataset).glob("*.parquet"))) <= target:
        time.sleep(0.001)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    left = {p.name: p.stat().st_mtime_ns for p in streams(dataset).glob("*.parquet")}
    for name in left:
        if name.endswith("_stream.parquet"):
            StreamFile(streams(dataset) / name)
    for batch in dataset.batches:
        dataset.stream(batch)
    found = {p.name: p.read_bytes() for p in streams(dataset).iterdir()}
    assert found == wanted
    # All but the files whose receipt was not yet written stay.
    kept = [n for n in left if (streams(dataset) / n).stat().st_mtime_ns == left[n]]
    assert len(kept) >= len(left) - 2


def test_definitions_are_checked_before_anything_is_written(made, tmp_path):
    with pytest.raises(BidsmillError, match="bandpas"):
        stream_batch(
            made.of("plan", made.batches[0]),
            made.of("fetch", made.batches[0]),
            made.of("annotate", made.batches[0]),
            tmp_path / "streams" / "b0000.json",
            settings={
                **made.settings,
                "streams": {"nodes": {"a": "raw > bandpas(1, 2)"}, "write": []},
            },
            code={"recording": "", "nodes": ""},
        )
    assert not (tmp_path / "streams").exists()
