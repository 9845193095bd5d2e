"""Simulations that start from files of others: real EEG, recorded noise, described samples."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from simulations import ONE_CONDITION, Clips, Simulation, renewed, seen_of, sources_of

import bidsmill
from bidsmill.errors import BidsmillError
from bidsmill.formats import files, tables
from bidsmill.formats.matrix import MatrixFile
from bidsmill.store.collecting import collect

# Spikes in the rows of the embedded sample dataset

SUBJECTS = ("01", "02", "03", "11")
DEAF = "sub-02_ses-1_task-faces_run-1_eeg"  # three good electrodes
GONE = "sub-11_ses-2_task-faces_run-1_eeg"  # not converted
NAMES = ["Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8"]
NAMES += ["P7", "P3", "Pz", "P4", "P8", "O1", "O2"]
MATRIX = "results/faces/matrix/sub-03_ses-1_task-faces_run-1_eeg.parquet"
BRAIN = {
    "seed": 2,
    "anatomy": {"regions": 20, "montage": "standard_1005", "electrodes": NAMES, "folded": False},
    "activity": {"regions": 10, "seconds": 6, "sfreq": 250, "conditions": ONE_CONDITION},
    "sources": {"n_sources": [1, 2]},
}
REAL = {
    "store": "store",
    "datasets": {
        "faces": {
            "source": "local",
            "path": "data",
            "resample": 250,
            "windows": {
                "kind": "events",
                "tmin": -0.5,
                "tmax": 0.6,
                "events": {"trial_type": ["face", "scrambled"]},
            },
            "labels": {"stimulus": {"column": "trial_type"}},
            "split": {"test": 0.3},
        }
    },
    "simulation": {
        "spiky": {**BRAIN, "background": {"dataset": "faces", "snr": [0, 10]}},
        "noisy": {
            **BRAIN,
            "samples": 30,
            "noise": {"model": "recorded", "recorded_share": 1.0, "file": MATRIX},
        },
    },
}


@pytest.fixture(scope="module")
def real(sample_dataset, root, tmp_path_factory) -> Simulation:
    """Return a run in which three datasets depend on each other. Not to be changed."""
    run = Simulation(tmp_path_factory.mktemp("real"), root, "spiky", REAL)
    data = run.folder / "data"
    shutil.copytree(sample_dataset, data)
    for subject in data.glob("sub-*"):
        if subject.name.removeprefix("sub-") not in SUBJECTS:
            shutil.rmtree(subject)
    channels = data / f"sub-02/ses-1/eeg/{DEAF.removesuffix('_eeg')}_channels.tsv"
    header, *lines = channels.read_text().splitlines()
    lines = [*lines[:3], *(line.replace("good", "bad") for line in lines[3:])]
    channels.write_text("\n".join([header, *lines, ""]))
    run.printed = run.make("results/spiky/published.json", "results/noisy/samples.parquet")
    return run


@pytest.fixture(scope="module")
def spiky(real):
    return bidsmill.open(str(real.folder / "store"))["spiky"]


def rows_of(real: Simulation, recording: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a recording without spikes and with them, of the same electrodes."""
    with MatrixFile(real.own / "matrix" / f"{recording}.parquet") as matrix:
        names, with_spikes = matrix.channels, matrix.read().astype(float)
    with MatrixFile(real.results / "faces" / "matrix" / f"{recording}.parquet") as matrix:
        without = matrix.read(names).astype(float)
    return without - without.mean(axis=1, keepdims=True), with_spikes


def test_spikes_in_real_rows_are_as_strong_as_labelled(real, spiky):
    """The spike is the difference of the rows with and without it; nothing else differs."""
    every = spiky.select().samples
    with np.load(real.own / "anatomy" / "leadfield.npz") as stored:
        (matrix,) = (v for v in stored.values() if v.shape == (len(NAMES), 20))
    checked = 0
    for recording, frame in every.groupby("recording"):
        without, with_spikes = rows_of(real, recording)
        rest = spiky.select(recordings=recording).sources(amplitudes=True)
        for facts, dense in zip(frame.to_dict("records"), rest, strict=True):
            real_row, row = without[facts["row"]], with_spikes[facts["row"]]
            spike = row - real_row
            if facts["spike"] == "none":
                assert np.abs(spike).max() < 1e-5 * np.abs(row).max()
                continue
            seen = matrix @ dense.T.astype(float)
            seen -= seen.mean(axis=0)
            np.testing.assert_allclose(spike, seen, atol=1e-4 * np.abs(row).max())
            peak, half = round(facts["spike_time"] * 250), 25
            power = np.square(real_row - real_row.mean(axis=1, keepdims=True)).mean()
            near = np.square(spike[:, peak - half : peak + half + 1]).mean()
            ratio = 10 * np.log10(near / power)
            assert ratio == pytest.approx(facts["snr"], abs=0.05) and facts["snr"] in (0, 10)
            assert ratio == pytest.approx(facts["snr_realised"], abs=0.05)
            assert dense[:, int(facts["centre"])].argmax() == peak
            checked += 1
    assert 0.3 < checked / len(every) < 0.7


def test_split_and_people_of_real_rows_stay(real, spiky):
    origin = tables.read_tsv(real.results / "faces" / "split.tsv")
    kept = tables.read_tsv(real.own / "split.tsv")
    assert kept[["group", "split"]].values.tolist() == origin[["group", "split"]].values.tolist()
    frame = spiky.select().samples
    side_of = dict(zip(origin["group"], origin["split"], strict=True))
    assert {"train", "test"} == set(frame["split"])
    for person, side in zip(frame["subject"], frame["split"], strict=True):
        assert side_of[f"sub-{person}"] == side
    assert not set(frame[frame["split"] == "train"]["subject"]) & set(
        frame[frame["split"] == "test"]["subject"]
    )
    sides: dict[tuple[str, str], str] = {}
    for facts in frame.to_dict("records"):
        for key in zip(facts["centres"].split(), facts["clips"].split(), strict=True):
            assert sides.setdefault(key, facts["split"]) == facts["split"]
    # Labels of the people's dataset are there still.
    assert set(frame["stimulus"]) == {"face", "scrambled"}
    counted = {row["group"]: int(row["rows"]) for row in kept.to_dict("records")}
    assert sum(counted.values()) == len(frame)


def test_recordings_without_spikes_stay_visible_with_their_reasons(real, spiky):
    recordings = tables.read_tsv(real.own / "recordings.tsv").set_index("recording")
    origin = tables.read_tsv(real.results / "faces" / "recordings.tsv").set_index("recording")
    assert recordings.index.tolist() == origin.index.tolist()
    bad = recordings[recordings["status"] == "quarantined"]
    assert set(bad.index) == {DEAF, GONE}
    assert "too few EEG channels" in bad.loc[DEAF, "message"] and bad.loc[DEAF, "reason"]
    assert bad.loc[GONE, "reason"] == origin.loc[GONE, "reason"] == "content_not_fetched"
    assert set(bad["rows"]) == set(bad["sha256"]) == {""}
    good = recordings.drop(index=bad.index)
    for name, row in good.iterrows():
        path = real.own / "matrix" / f"{name}.parquet"
        assert row["sha256"] == files.sha256_file(path) != origin.loc[name, "sha256"]
        assert row["n_channels"] == str(len(NAMES))
    failed = tables.read_tsv(real.own / "failed.tsv")
    assert set(failed["recording"]) == {DEAF, GONE}
    members = files.read_json(real.own / "convert" / "background.json")["members"]
    assert {n: m["status"] for n, m in members.items()} == recordings["status"].to_dict()
    events = tables.read_tsv(real.own / "events.tsv")
    lost = events[events["recording"] == DEAF]
    assert set(lost["outcome"]) == {"dropped"} and not (lost["reason"] == "").any()
    assert len(events) == len(tables.read_tsv(real.results / "faces" / "events.tsv"))
    counts = files.read_json(real.own / "dataset.json")["counts"]
    assert (counts["quarantined"], counts["converted"]) == (2, len(good))
    assert counts["rows"] == len(spiky.select(excluded=True)) == good["rows"].astype(int).sum()
    assert f"quarantined  {DEAF}" in real.printed
    assert DEAF in (real.own / "report.html").read_text()
    assert set(spiky.recordings["status"]) == {"converted", "quarantined"}


def test_a_lost_matrix_is_made_again_by_the_command_that_is_named(real, tmp_path, monkeypatch):
    run = real.copy(tmp_path / "run")
    before = run.sums()
    run.forget("matrix/sub-03_ses-1_task-faces_run-1_eeg.parquet")
    monkeypatch.chdir(run.folder)
    manifest = "results/spiky/convert/background.json"
    with pytest.raises(BidsmillError, match=f"missing or cut.*-f {manifest}, then"):
        collect(Path("results/spiky"), [Path(manifest)], "spiky")
    run.make("-f", manifest)
    assert run.sums() == before


def test_noise_is_recorded_in_a_dataset_of_the_same_config(real):
    """The run converts it first; what is no signal is a stretch of one of its rows."""
    results = real.results / "noisy"
    with MatrixFile(real.folder / MATRIX) as matrix:
        recorded = matrix.read(NAMES).astype(float)
    n_times = 250
    shifts = recorded.shape[2] - n_times + 1
    parts = np.stack([recorded[:, :, at : at + n_times] for at in range(shifts)])
    parts -= parts.mean(axis=3, keepdims=True)
    parts -= parts.mean(axis=2, keepdims=True)
    parts = parts.reshape(-1, len(NAMES) * n_times)
    parts /= np.linalg.norm(parts, axis=1, keepdims=True)
    with np.load(results / "anatomy" / "leadfield.npz") as stored:
        (matrix,) = (v for v in stored.values() if v.shape == (len(NAMES), 20))
    clips, described = Clips(results), sources_of(results)
    frame = tables.read_parquet(results / "samples.parquet")
    with MatrixFile(results / "matrix" / f"{frame['recording'][0]}.parquet") as made:
        rows = made.read().astype(float)
    heard: dict[str, set[int]] = {}
    for facts, values in zip(frame.to_dict("records"), rows, strict=True):
        row = described[facts["sample"]]
        signal = seen_of(row, facts["alphas"], clips, matrix)
        rest = values * facts["scale_eeg"] - signal
        ratio = 10 * np.log10(np.square(signal).sum() / np.square(rest).sum())
        assert ratio == pytest.approx(facts["snr"], abs=0.02)
        alike = np.abs(parts @ rest.ravel()) / np.linalg.norm(rest)
        assert alike.max() > 0.999
        heard.setdefault(row["side"], set()).add(int(alike.argmax()) % len(recorded))
    assert set(heard) == {"train", "test"} and not heard["train"] & heard["test"]


# Clips and samples of others

COUNT, REGIONS, TIMES = 6, 40, 500
MISSING = 3  # the sample whose second clip is not there


def write_clip(folder, centre, chance) -> None:
    clip = 1 + 0.3 * chance.standard_normal((TIMES, REGIONS))
    clip[:, centre] += 10 * np.exp(-(((np.arange(TIMES) - 250) / 10) ** 2))
    (folder / f"nmm_spikes/a{centre}").mkdir(parents=True)
    savemat(folder / f"nmm_spikes/a{centre}/nmm_1.mat", {"data": clip})


@pytest.fixture(scope="module")
def described(root, tmp_path_factory) -> Simulation:
    """Return a run, not yet made, over samples and clips in the form of DeepSIF."""
    folder = tmp_path_factory.mktemp("described")
    chance = np.random.default_rng(1)
    centres = chance.permutation(REGIONS)[: 2 * COUNT].reshape(COUNT, 2)
    regions = np.full((COUNT, 2, 70), 15213.0)
    regions[:, :, 0], regions[:, :, 1] = centres, (centres + 1) % REGIONS
    savemat(
        folder / "samples.mat",
        {
            "selected_region": regions,
            "nmm_idx": (centres + 1) * 2 + 2,
            "mag_change": np.where(regions == 15213, 15213, [1, *[0.7] * 69]),
            "scale_ratio": np.full((COUNT, 2, 6), np.nan),
            "current_snr": np.array([[5.0], [10], [15], [20], [5], [10]]),
        },
    )
    for centre in np.delete(centres.ravel(), 2 * MISSING + 1):
        write_clip(folder, centre, chance)
    config = {
        "store": "store",
        "allow_license": ["others"],
        "simulation": {
            "others": {
                "anatomy": {"regions": REGIONS, "electrodes": 8, "folded": False},
                "clips": {"folder": "nmm_spikes"},
                "sources": {"described": "samples.mat"},
            }
        },
    }
    run = Simulation(folder, root, "others", config)
    run.missing = int(centres[MISSING, 1])
    run.centres = centres
    return run


@pytest.mark.long
def test_a_missing_clip_fails_with_its_region_and_path_or_is_left_out(described):
    printed = described.make(fails=True)
    assert "Traceback" not in printed
    assert f"region {described.missing} has no clip 1 (a{described.missing}/nmm_1)" in printed
    assert "results/others/failed.tsv" in printed and "on_bad_sample: leave_out" in printed
    failed = tables.read_tsv(described.own / "failed.tsv")
    assert failed["sample"].tolist() == [str(MISSING)]
    assert failed["reason"].tolist() == ["missing_clip"]
    before = described.state()
    described.settings["on_bad_sample"] = "leave_out"
    described.make()
    made = renewed(before, described.state())
    assert not {n for n in made if n.split("/")[0] in ("clips", "matrix", "sources", "anatomy")}
    dataset = bidsmill.open(str(described.folder / "store"))["others"]
    frame = dataset.select().samples
    assert frame["sample"].tolist() == [n for n in range(COUNT) if n != MISSING]
    kept = np.delete(described.centres, MISSING, axis=0)
    assert frame["centres"].tolist() == [f"{one} {two}" for one, two in kept]
    for source, (one, two) in zip(dataset.select().sources(), kept, strict=True):
        wanted = sorted({one, two, (one + 1) % REGIONS, (two + 1) % REGIONS})
        assert np.flatnonzero(np.abs(source).max(axis=0)).tolist() == wanted
        assert abs(source[:, one].argmax() - 250) <= 5
    assert f"a{described.missing}" in (described.own / "report.html").read_text()
    assert tables.read_tsv(described.own / "failed.tsv")["sample"].tolist() == [str(MISSING)]


@pytest.mark.long
def test_a_clip_that_came_is_taken_in_when_the_blocks_are_planned_again(described):
    """After the test before."""
    write_clip(described.folder, described.missing, np.random.default_rng(2))
    described.settings["on_bad_sample"] = "fail"
    described.make("results/others/samples.parquet", "--forcerun", "simulate_blocks")
    frame = tables.read_parquet(described.own / "samples.parquet")
    assert frame["sample"].tolist() == [*range(COUNT)]
    assert not len(tables.read_tsv(described.own / "failed.tsv"))
