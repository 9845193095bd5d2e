"""Streams in the pipeline: made by rules, kept up to date, windowed, published, and read."""

from __future__ import annotations

import copy
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from runs import Run
from stages import run_stages

import bidsmill
from bidsmill.formats import files
from bidsmill.formats.stream import StreamFile

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))
from bids_cases import write_edf, write_tsv

RATE = 1000
GESTURES = ("fist", "rest")
STEM = "sub-01_task-grip_emg"
CONFIG = {
    "datasets": {
        "emg": {
            "source": "local",
            "path": "data",
            "streams": {
                "nodes": {
                    "clean": "raw > notch(50) > bandpass(20, 450)",
                    "env": "clean > rectify > lowpass(10)",
                    "onsets": "env > onsets(threshold=3)",
                },
                "write": ["env", "onsets"],
            },
            "windows": {"kind": "events", "tmin": 0.0, "tmax": 0.5, "source": "env"},
            "labels": {"gesture": {"column": "trial_type"}},
            "split": {"test": 0.25},
        }
    }
}


def write_gestures(root: Path) -> None:
    """Write four people with two channels of EMG, which is louder during a fist."""
    files.write_json(
        root / "dataset_description.json",
        {"Name": "grip", "BIDSVersion": "1.10.0", "License": "CC0", "HEDVersion": "8.3.0"},
    )
    files.write_json(
        root / "task-grip_events.json",
        {"trial_type": {"HED": {"fist": "Agent-action, Grasp", "rest": "Rest"}}},
    )
    for person in range(1, 5):
        rng = np.random.default_rng(person)
        loud = np.repeat(np.tile([1.0, 8.0], 6), RATE)
        data = 20.0 * rng.standard_normal((2, len(loud))) * loud
        stem = f"sub-{person:02d}_task-grip"
        folder = root / f"sub-{person:02d}" / "emg"
        names = ("EMG1", "EMG2")
        write_edf(
            folder / f"{stem}_emg.edf",
            [(n, d, RATE, "uV") for n, d in zip(names, data, strict=True)],
        )
        files.write_json(
            folder / f"{stem}_emg.json", {"TaskName": "grip", "PowerLineFrequency": 50}
        )
        rows = [[second + 0.2, 0.5, GESTURES[(second + 1) % 2]] for second in range(12)]
        write_tsv(folder / f"{stem}_events.tsv", ["onset", "duration", "trial_type"], *rows)
        write_tsv(
            folder / f"{stem}_channels.tsv",
            ["name", "type", "units"],
            *[[n, "EMG", "uV"] for n in names],
        )


def configure(folder: Path, nodes=None) -> None:
    content = copy.deepcopy(CONFIG)
    content["datasets"]["emg"]["streams"]["nodes"].update(nodes or {})
    (folder / "emg.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, root) -> Run:
    """Return a finished run with two cores. Not to be changed."""
    run = Run(tmp_path_factory.mktemp("streams"), root)
    write_gestures(run.folder / "data")
    configure(run.folder)
    again(run)
    return run


@pytest.fixture
def run(finished, tmp_path) -> Run:
    """Return a copy of it, with its times."""
    subprocess.run(["cp", "-a", f"{finished.folder}/.", str(tmp_path)], check=True)
    return Run(tmp_path, finished.project)


def again(run: Run, *arguments: str, **options) -> str:
    return run.snakemake(*arguments, "--configfile", str(run.folder / "emg.yaml"), **options)


def streams(run: Run) -> Path:
    return run.results / "emg" / "streams"


def times(run: Run) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in sorted(streams(run).iterdir())}


def moved(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


def test_the_store_gives_streams_epocs_and_rows(finished):
    dataset = bidsmill.open(finished.results / "store")["emg"]
    stream = dataset.stream(STEM)
    on_disk = StreamFile(streams(finished) / f"{STEM}_stream.parquet")
    np.testing.assert_array_equal(stream.numpy(), on_disk.numpy())
    assert {channel.type for channel in stream.core.channels} == {"emg"}
    epocs = dataset.epocs(STEM).table
    assert len(epocs) == 12 and set(epocs["HED"]) == {"Agent-action, Grasp", "Rest"}
    # Gestures are told apart by their envelope alone.
    train = dataset.select(split="train")
    X, y = train.arrays(target="gesture")
    levels = np.asarray(X).mean(axis=(1, 2))
    fist, rest = (levels[[label == name for label in y]] for name in GESTURES)
    assert len(fist) == len(rest) > 0 and fist.min() > rest.max()


def test_rows_are_those_of_the_node(finished):
    env = StreamFile(streams(finished) / f"{STEM}_desc-env_stream.parquet").numpy()
    table = pq.read_table(finished.results / "emg" / "matrix" / f"{STEM}.parquet")
    rows = np.stack([np.array(column.to_pylist(), np.float32) for column in table.columns], axis=1)
    for row, onset in zip(rows, np.arange(12) + 0.2, strict=True):
        start = round(onset * RATE)
        np.testing.assert_array_equal(row, env[:, start : start + 500])


def test_a_second_run_has_nothing_to_do_and_one_core_makes_the_same_bytes(finished, tmp_path):
    assert "Nothing to be done" in again(finished)
    shutil.copytree(finished.folder / "data", tmp_path / "data")
    # In one process, without Snakemake: other cores, other places, the same bytes.
    run_stages(tmp_path, CONFIG, finished=())
    once = {p.name: p.read_bytes() for p in (tmp_path / "results/emg/streams").iterdir()}
    assert once == {p.name: p.read_bytes() for p in streams(finished).iterdir()}
    matrices = finished.results / "emg" / "matrix"
    for path in (tmp_path / "results/emg/matrix").glob("*.parquet"):
        assert path.read_bytes() == (matrices / path.name).read_bytes()


def test_another_definition_makes_that_node_again_and_no_other(run):
    before = times(run)
    configure(run.folder, {"onsets": "env > onsets(threshold=4)"})
    again(run, "results/emg/streams/b0000.json")
    changed = {name for name in moved(before, times(run)) if "_stream" in name or "_epocs" in name}
    assert len(changed) == 8 and all("_desc-onsets_epocs." in name for name in changed)
    # One of a recording, by its name; also one that is never written.
    before = times(run)
    target = f"results/emg/streams/{STEM}_desc-clean_stream.json"
    again(run, "-f", target)
    assert {n for n in moved(before, times(run)) if n != f"{STEM}.json"} == {
        f"{STEM}_desc-clean_stream.json",
        f"{STEM}_desc-clean_stream.parquet",
    }
    clean = StreamFile(streams(run) / f"{STEM}_desc-clean_stream.parquet")
    assert [step["node"] for step in clean.core.history] == ["notch", "bandpass"]


def test_a_killed_run_goes_on_to_the_same_bytes(finished, run):
    wanted = {p.name: p.read_bytes() for p in streams(run).iterdir()}
    shutil.rmtree(streams(run))
    target = "results/emg/streams/b0000.json"
    process = run.start(target, "--configfile", str(run.folder / "emg.yaml"))
    while process.poll() is None and len(list(streams(run).glob("*_stream.parquet"))) < 2:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    left = times(run)
    again(run, "--rerun-incomplete", "--nolock", target)
    assert {p.name: p.read_bytes() for p in streams(run).iterdir()} == wanted
    # What had a receipt was not made again.
    receipts = [
        files.read_json(streams(run) / f"{name}") for name in left if name.endswith("_emg.json")
    ]
    assert receipts
    log = run.log("emg", "stream.b0000")
    assert "made streams of" in log
