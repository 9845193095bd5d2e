"""Simulated spikes on a generated cortex: what comes out, what runs again, what a kill leaves."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from simulations import (
    LONG,
    ONE_CONDITION,
    Clips,
    Simulation,
    renewed,
    restored,
    rules_of,
    sources_of,
)

import bidsmill
from bidsmill.errors import BidsmillError
from bidsmill.formats import tables
from bidsmill.store.collecting import collect

CONFIG = {
    "store": "store",
    "simulation": {
        "spikes": {
            "seed": 3,
            "samples": 2100,
            "anatomy": {"regions": 30, "electrodes": 8, "folded": False},
            "activity": {"regions": 10, "seconds": 6, "conditions": ONE_CONDITION},
            "sources": {"n_sources": [1, 2]},
        }
    },
}
FIRST, SECOND = (f"sub-simulated_task-spikes_run-0000{number}_eeg" for number in (1, 2))
TABLES = "results/spikes/samples.parquet"


@pytest.fixture(scope="module")
def template(root, tmp_path_factory) -> Simulation:
    """Return a finished run of two matrix files. Not to be changed."""
    run = Simulation(tmp_path_factory.mktemp("spikes"), root, "spikes", CONFIG)
    run.make()
    return run


@pytest.fixture
def run(template, tmp_path) -> Simulation:
    """Return a copy of that run, to be changed."""
    return template.copy(tmp_path / "run")


@pytest.fixture(scope="module")
def dataset(template):
    return bidsmill.open(str(template.folder / "store"))["spikes"]


def test_rows_of_the_store_are_the_samples_with_their_labels(template, dataset):
    chosen = dataset.select()
    described = sources_of(template.own)
    assert len(chosen) == len(described) == 2100
    assert chosen.samples["sample"].tolist() == list(range(2100))
    x, y = chosen.arrays(target="centre")
    assert x.shape == (2100, 8, 500) and np.isfinite(x).all()
    np.testing.assert_allclose(np.abs(x).max(axis=(1, 2)), 1, rtol=1e-6)
    # Centred in time and, as EEG, over the electrodes.
    assert np.abs(x.mean(axis=2)).max() < 1e-5 and np.abs(x.mean(axis=1)).max() < 1e-5
    for facts, code in zip(chosen.samples.to_dict("records"), y, strict=True):
        row = described[facts["sample"]]
        regions = list(dict.fromkeys(region for patch in row["regions"] for region in patch))
        assert facts["regions"].split() == [str(region) for region in regions]
        assert int(facts["centre"]) == int(code) == row["centres"][0]
        assert facts["snr"] == row["snr"] and facts["extent"] == len(regions)
        assert abs(facts["snr_realised"] - facts["snr"]) < 0.5
        assert facts["subject"] == f"region{row['centres'][0]:04d}"
    for name in ("report.html", "README.md"):
        assert "2,100" in (template.own / name).read_text().replace("2100", "2,100")


def test_lead_field_and_cortex_come_with_the_store(template, dataset):
    anatomy = template.own / "anatomy"
    with np.load(anatomy / "leadfield.npz") as stored:
        np.testing.assert_array_equal(dataset.leadfield().matrix, stored["matrix"])
        assert dataset.leadfield().channels == tuple(stored["channels"])
    with np.load(anatomy / "anatomy.npz") as stored:
        np.testing.assert_array_equal(dataset.anatomy().positions, stored["positions"])
    assert dataset.leadfield().matrix.shape[1] == dataset.anatomy().n_regions


def test_dense_sources_are_those_that_the_description_restores(template, dataset):
    chosen = dataset.select(where="sample < 40 or sample >= 2040")
    dense, amplitudes = chosen.sources(), chosen.sources(amplitudes=True)
    described, clips = sources_of(template.own), Clips(template.own)
    assert dense.shape == (len(chosen), 500, 30)
    for facts, found, in_mv in zip(
        chosen.samples.to_dict("records"), dense, amplitudes, strict=True
    ):
        wanted = restored(described[facts["sample"]], facts["alphas"], clips)
        np.testing.assert_allclose(in_mv, wanted, atol=2e-6 * np.abs(wanted).max())
        np.testing.assert_allclose(found, wanted / np.abs(wanted).max(), atol=2e-6)
        assert np.flatnonzero(np.abs(found).max(axis=0)).tolist() == sorted(
            int(region) for region in facts["regions"].split()
        )


def test_no_waveform_stands_on_two_sides(template, dataset):
    """By the numbers of the clips themselves, and not by what the split says of itself."""
    clips, described = Clips(template.own), sources_of(template.own)
    shown: dict[str, set[bytes]] = {"train": set(), "test": set()}
    centres: dict[str, set[int]] = {"train": set(), "test": set()}
    for side, found in shown.items():
        for sample in dataset.select(split=side).samples["sample"]:
            row = described[sample]
            keys = list(zip(row["centres"], row["clips"], strict=True))
            # A piece of the waveform, so that shifted copies are found, too.
            found |= {clips.clips[key][key[0]][200:300].tobytes() for key in keys}
            centres[side] |= set(row["centres"])
    assert all(shown.values()) and not shown["train"] & shown["test"]
    assert not centres["train"] & centres["test"]
    count = len(dataset.select(split="train")) + len(dataset.select(split="test"))
    assert count == 2100 and len(centres["test"]) == 2


def test_nothing_is_left_to_do_and_nothing_is_left_over(template):
    printed = template.make("--dry-run")
    assert "Nothing to be done" in printed and not rules_of(printed)
    assert not list((template.own / "activity").glob("*"))
    assert not list(template.own.rglob(".*"))


def test_an_export_is_made_beside_what_is_there(run):
    run.settings["mat"] = {"padding": -1}
    assert rules_of(run.make("--dry-run")) == {"export_mat"}


def test_a_lost_matrix_is_made_again_by_the_command_that_is_named(run, monkeypatch):
    before = run.sums()
    run.forget(f"matrix/{SECOND}.parquet")
    monkeypatch.chdir(run.folder)
    command = f"-f results/spikes/matrix/{SECOND}.json"
    manifests = [Path(f"results/spikes/convert/{name}.json") for name in ("s00000", "s00001")]
    with pytest.raises(BidsmillError, match=f"missing or cut.*{command}, then"):
        collect(Path("results/spikes"), manifests, "spikes")
    run.make(*command.split())
    assert run.sums() == before


@pytest.mark.long
def test_another_threshold_cuts_clips_anew_from_an_activity_that_is_simulated_again(run):
    before = run.state()
    run.settings["clips"] = {"threshold": 9}
    run.make(run.path("clips/b0000/bank.json"))
    after = run.state()
    assert {name.split("/")[0] for name in renewed(before, after)} == {"clips"}
    assert (run.own / "logs" / "simulate_activity.b0000.log").stat().st_mtime_ns > max(
        time for _, time in before.values()
    )
    heights = tables.read_parquet(run.own / "clips" / "b0000" / "clips.parquet")["height"]
    assert heights.min() > 9
    assert not list((run.own / "activity").glob("*"))


def test_more_samples_leave_full_files_as_they_are(run):
    before = run.sums()
    run.forget("matrix", "sources", "labels")
    run.settings["samples"] = 2200
    run.make(run.path("convert/s00000.json"))
    after = run.sums()
    for kind in ("matrix", "sources", "labels"):
        assert after[f"{kind}/{FIRST}.parquet"] == before[f"{kind}/{FIRST}.parquet"]
        assert f"{kind}/{SECOND}.parquet" not in after
    assert after["sources.parquet"] != before["sources.parquet"]


@pytest.mark.long
def test_fewer_samples_take_files_away_and_another_noise_makes_spikes_alone(run):
    run.settings["samples"] = 60
    run.make(TABLES)
    assert {path.stem for path in (run.own / "matrix").iterdir()} == {FIRST}
    assert [path.stem for path in (run.own / "convert").iterdir()] == ["s00000"]
    assert tables.read_parquet(run.own / "samples.parquet")["sample"].tolist() == [*range(60)]
    before = run.state()
    run.settings["noise"] = {"model": "per_channel"}
    run.make(TABLES)
    after = run.state()
    folders = {name.split("/")[0] for name in renewed(before, after)}
    assert not folders & {"anatomy", "clips", "sources.parquet", "sources.json"}
    assert {"matrix", "convert", "samples.parquet"} <= folders
    matrix, sources = (f"{kind}/{FIRST}.parquet" for kind in ("matrix", "sources"))
    assert before[matrix][0] != after[matrix][0] and before[sources][0] == after[sources][0]


# While a run makes these it is killed: the files that show that it is at work on them.
KILLED_AT = {
    "simulate_activity": ("activity", ".*"),
    "simulate_spikes": ("matrix", ".*.part"),
}
# 8 rounds of 5 kills in the long tests, else one kill.
ACTIVITY, SPIKES = (2, 3) if LONG else (0, 1)
ROUNDS = ["simulate_activity"] * ACTIVITY + ["simulate_spikes"] * SPIKES


def kill_while_it_writes(process, folder, pattern, delay):
    """Kill `process` some time after its first unfinished file appeared, and beside such a file.

    It is stopped to look, so that no file can be finished between the look and the kill.
    """
    started = None
    while process.poll() is None:
        os.killpg(process.pid, signal.SIGSTOP)
        if list(folder.glob(pattern)):
            started = started or time.monotonic()
            if time.monotonic() - started >= delay:
                break
        os.killpg(process.pid, signal.SIGCONT)
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()[0]
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)


@pytest.mark.parametrize("round_", range(8 if LONG else 1))
def test_a_run_on_one_core_that_is_killed_again_and_again_ends_with_the_same_bytes(
    template, tmp_path, round_
):
    """The run that is not killed has two cores."""
    run = Simulation(tmp_path / "killed", template.project, "spikes", CONFIG)
    chance = random.Random(round_)
    for rule in ROUNDS:
        folder, pattern = KILLED_AT[rule]
        process = run.start(*run.arguments("--nolock"), cores=1)
        kill_while_it_writes(process, run.own / folder, pattern, chance.uniform(0, 0.4))
    assert list(run.own.rglob(".*"))
    run.make("--nolock", TABLES, cores=1)
    later = {"report.html", "published.json"}
    wanted = {n: s for n, s in template.sums().items() if n not in later and "publish/" not in n}
    assert run.sums() == wanted
