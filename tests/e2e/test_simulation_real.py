"""The whole chain on a real cortex: DeepSIF's anatomy, connectome, lead field and noise.

The stages read the same files in the short tests too: tests/unit/test_simulate_*.py.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat
from simulation_consumer import examples
from simulations import ONE_CONDITION, Clips, Simulation, seen_of, sources_of

import bidsmill
from bidsmill import cli
from bidsmill.formats import tables

pytestmark = pytest.mark.long
SENSORS, TIMES, REGIONS = 75, 500, 994


def real(root: Path, folder: Path, corpus: Path, **changed) -> Simulation:
    """Return a run on the real anatomy, with the files that its users have."""
    files = corpus / "deepsif-anatomy"
    settings = {
        "seed": 1,
        "license": "CC0",
        "anatomy": {"kind": "files", "folder": str(files)},
        "sources": {"n_sources": [1, 1], "sensor_snr": [10, 20]},
        "mat": {},
        **changed,
    }
    settings["activity"]["connectome"] = str(files / "connectivity_998.zip")
    config = {"store": "store", "simulation": {"real": settings}}
    return Simulation(folder, root, "real", config)


@pytest.fixture(scope="module")
def few(root, corpus, tmp_path_factory) -> Simulation:
    """Return a finished run over 3 regions, whose noise is recorded."""
    noise = {"model": "recorded", "recorded_share": 1.0}
    noise["file"] = str(corpus / "deepsif-anatomy" / "realistic_noise.mat")
    activity = {"regions": [40, 300, 600], "seconds": 6, "conditions": ONE_CONDITION}
    run = real(
        root, tmp_path_factory.mktemp("real"), corpus, samples=24, noise=noise, activity=activity
    )
    run.make("results/real/mat/extraction_metadata.mat", run.path("samples.parquet"))
    return run


def lead_field(corpus: Path) -> np.ndarray:
    """Return DeepSIF's lead field, referenced to the average."""
    matrix = loadmat(corpus / "deepsif-anatomy" / "leadfield_75_20k.mat")["fwd"]
    return matrix - matrix.mean(axis=0)


def neighbours(corpus: Path) -> list[set[int]]:
    """Return the neighbours of each region, ids from 0."""
    nbs = loadmat(corpus / "deepsif-anatomy" / "fs_cortex_20k_region_mapping.mat")["nbs"]
    return [{int(number) - 1 for number in cell.ravel()} for cell in nbs.ravel()]


def check_export(run: Simulation, corpus: Path, count: int) -> list:
    """Check the files as their reader finds them; return the examples."""
    found = examples(run.own / "mat")
    assert [example.index for example in found] == list(range(count))
    near, described = neighbours(corpus), sources_of(run.own)
    for example in found:
        assert example.eeg.shape == (TIMES, SENSORS) and example.eeg.dtype == np.float32
        assert example.target.shape == (TIMES, REGIONS)
        assert np.abs(example.eeg).max() == pytest.approx(1, abs=1e-6)
        assert np.abs(example.eeg.mean(axis=0)).max() < 1e-5
        assert np.abs(example.eeg.mean(axis=1)).max() < 1e-5
        row = described[example.index]
        assert [patch.tolist() for patch in example.patches] == row["regions"]
        labels = sorted(int(region) for patch in example.patches for region in patch)
        assert np.flatnonzero(np.abs(example.target).max(axis=0)).tolist() == labels
        assert example.active.shape == (TIMES, len(labels))
        # The spike is at the centre, near the middle of the clip, and is the largest value.
        centre = example.patches[0][0]
        place = np.unravel_index(example.target.argmax(), example.target.shape)
        assert place[1] == centre and abs(place[0] - TIMES // 2) <= 25
        assert np.abs(example.target).max() == pytest.approx(1, abs=1e-6)
        # A patch hangs together by the neighbours of the file.
        patch, reached = set(labels), {int(centre)}
        while grown := {n for region in reached for n in near[region]} & patch - reached:
            reached |= grown
        assert reached == patch
        assert example.snr == row["snr"]
    return found


def test_a_network_reads_the_export_of_three_regions(few, corpus):
    found = check_export(few, corpus, 24)
    assert {example.patches[0][0] for example in found} == {40, 300, 600}
    assert {example.snr for example in found} == {10, 20}


def test_sensors_are_lead_field_times_activity_with_one_recorded_segment(few, corpus):
    """And no segment is heard on two sides."""
    matrix, clips, described = lead_field(corpus), Clips(few.own), sources_of(few.own)
    recorded = loadmat(corpus / "deepsif-anatomy" / "realistic_noise.mat")["data"]
    segments = recorded.transpose(0, 2, 1)
    segments = segments - segments.mean(axis=2, keepdims=True)
    segments = segments - segments.mean(axis=1, keepdims=True)
    segments = segments.reshape(len(segments), -1)
    labels = rows_of(few)
    heard: dict[str, set[int]] = {}
    for example in examples(few.own / "mat"):
        facts = labels[example.index]
        signal = seen_of(described[example.index], facts["alphas"], clips, matrix)
        rest = example.eeg.T.astype(float) * facts["scale_eeg"] - signal
        alike = np.abs(segments @ rest.ravel())
        alike /= np.linalg.norm(segments, axis=1) * np.linalg.norm(rest)
        assert sorted(alike > 0.999) == [False] * (len(segments) - 1) + [True]
        heard.setdefault(described[example.index]["side"], set()).add(int(alike.argmax()))
        ratio = 10 * np.log10(np.square(signal).sum() / np.square(rest).sum())
        assert ratio == pytest.approx(example.snr, abs=0.01)
        assert ratio == pytest.approx(facts["snr_realised"], abs=0.01)
    assert set(heard) == {"train", "test"} and not heard["train"] & heard["test"]


def rows_of(run: Simulation) -> dict[int, dict]:
    """Return the rows of `samples` by number."""
    frame = tables.read_parquet(run.own / "samples.parquet")
    return {row["sample"]: row for row in frame.to_dict("records")}


def test_two_batches_of_the_command_equal_the_rule(few, tmp_path, monkeypatch):
    monkeypatch.chdir(few.folder)
    command = ["extract-labeled-data", "--dataset_path", "results/real"]
    command += ["--output_dir", str(tmp_path)]
    assert cli.main([*command, "--dataset_len", "10"]) == 0
    assert cli.main([*command, "--start_idx", "10"]) == 0
    names = sorted(path.name for path in (few.own / "mat").glob("*.mat"))
    assert names == sorted(path.name for path in tmp_path.glob("*.mat")) and len(names) == 25
    for name in names:
        if name.startswith("sample_"):
            assert (tmp_path / name).read_bytes() == (few.own / "mat" / name).read_bytes()


def test_anatomy_is_that_of_the_files(few, corpus):
    with np.load(few.own / "anatomy" / "leadfield.npz", allow_pickle=False) as stored:
        shapes = {name: stored[name] for name in stored.files}
    (matrix,) = (v for v in shapes.values() if v.shape == (SENSORS, REGIONS))
    np.testing.assert_allclose(matrix, lead_field(corpus), rtol=1e-5, atol=1e-6)


def test_the_chain_on_twenty_regions(root, corpus, tmp_path):
    """All stages to the store, samples of one or two sources."""
    run = real(
        root,
        tmp_path / "real",
        corpus,
        samples=400,
        activity={"regions": 24, "seconds": 10},
        sources={"n_sources": [1, 2]},
    )
    run.make()
    found = check_export_of_two(run, 400)
    assert len({example.patches[0][0] for example in found}) >= 20
    dataset = bidsmill.open(str(run.folder / "store"))["real"]
    assert len(dataset.select(split="train")) + len(dataset.select(split="test")) == 400
    assert dataset.select(split="train").arrays().shape[1:] == (SENSORS, TIMES)


def check_export_of_two(run: Simulation, count: int) -> list:
    """Check samples of one or two sources."""
    found = examples(run.own / "mat")
    described = sources_of(run.own)
    assert len(found) == count
    for example in found:
        row = described[example.index]
        assert [patch.tolist() for patch in example.patches] == row["regions"]
        wanted = sorted({region for patch in row["regions"] for region in patch})
        assert np.flatnonzero(np.abs(example.target).max(axis=0)).tolist() == wanted
        assert np.abs(example.eeg).max() == pytest.approx(1, abs=1e-6)
        assert np.abs(example.eeg.mean(axis=0)).max() < 1e-5
    assert set(Counter(len(example.patches) for example in found)) == {1, 2}
    return found
