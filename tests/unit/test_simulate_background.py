"""Spikes in real EEG: what is added, how strong, where, and what stays as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest
from access_store import Recording
from spike_cases import Bank, Sheet, forward_of
from store_results import Results

import bidsmill
from bidsmill.errors import BidsmillError
from bidsmill.formats import certificate, files, tables
from bidsmill.formats.matrix import MatrixFile
from bidsmill.formats.sparse_sources import SparseSourceFile
from bidsmill.simulate.dataset.background import write_background_dataset
from bidsmill.simulate.sources.drawing import SourceDrawing, SourceSettings
from bidsmill.simulate.spikes.background import BackgroundSettings, matching_electrodes
from bidsmill.store.publish import publish_dataset

SFREQ, TIMES = 100.0, 150
NAMES = ["Fz", "Cz", "Pz", "Oz", "C3", "C4", "T7", "T8"]
SHEET = Sheet()
FORWARD = forward_of(SHEET.n_regions, len(NAMES))
BANK = Bank(FORWARD, n_times=100)
# In another order than the lead field, in other letters, with channels that it lacks.
SOURCES = ["EOG", "cz", "Fz", "X9", "C4", "c3", "Pz", "Oz"]
TYPES = ["eog", "eeg", "eeg", "eeg", "eeg", "eeg", "eeg", "eeg"]
KNOWN = ["cz", "Fz", "C4", "c3", "Pz", "Oz"]


def recording(subject: str, **changed) -> Recording:
    asked = {"rows": 30, "sfreq": SFREQ, "n_times": TIMES, "tmin": 0.0, "group_rows": 7, **changed}
    return Recording(subject, SOURCES, TYPES, **asked)


RECORDINGS = [recording("01"), recording("03"), recording("04", bads=("Oz",))]
OTHER_RATE = recording("02", sfreq=128.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("background")
    origin = Results(folder / "origin", [*RECORDINGS, OTHER_RATE])
    drawing = SourceDrawing(SourceSettings(seed=2, n_sources=(1, 2)), SHEET, BANK.table, 100)
    results = folder / "results" / "spiky"
    manifests = write_background_dataset(
        origin.results, results, drawing, BANK, SFREQ, FORWARD, NAMES,
        BackgroundSettings(seed=2, share=0.5), dataset="spiky",
    )  # fmt: skip
    (results / "report.html").write_text("<html></html>\n")
    publish_dataset(
        results, manifests, results / "published.json", dataset="spiky", store=str(folder / "s")
    )
    return results, bidsmill.open(str(folder / "s"))["spiky"]


class FlatBank(Bank):
    """Clips of others may be anything: these never rise."""

    def waveform(self, region: int, clip: int) -> np.ndarray:
        return np.ones(self.n_times, np.float32)


def test_a_clip_without_a_peak_gives_no_rows_of_nan(tmp_path):
    origin = Results(tmp_path / "origin", RECORDINGS[:1])
    drawing = SourceDrawing(SourceSettings(seed=2, n_sources=(1, 1)), SHEET, BANK.table, 100)
    with pytest.raises(BidsmillError, match=r"clip \d of region \d+ has no peak"):
        write_background_dataset(
            origin.results, tmp_path / "flat", drawing, FlatBank(FORWARD), SFREQ, FORWARD, NAMES,
            BackgroundSettings(seed=2), dataset="flat",
        )  # fmt: skip
    assert not list((tmp_path / "flat").rglob("*.parquet"))


def test_only_the_stated_spike_was_added(made):
    results, _ = made
    for original in RECORDINGS:
        known = [name for name in KNOWN if name not in original.bads]
        with MatrixFile(results / "matrix" / f"{original.name}.parquet") as matrix:
            assert matrix.channels == known
            rows = matrix.read().astype(float)
        real = original.array[:, [SOURCES.index(name) for name in known]].astype(float)
        real -= real.mean(axis=1, keepdims=True)
        lead = FORWARD.matrix[[[n.lower() for n in NAMES].index(n.lower()) for n in known]]
        with SparseSourceFile(results / "sources" / f"{original.name}.parquet") as sources:
            dense = sources.dense(range(30), amplitudes=True).astype(float)
        spike = np.einsum("sr,ntr->nst", lead, dense)
        spike -= spike.mean(axis=1, keepdims=True)
        np.testing.assert_allclose(rows, real + spike, atol=1e-5 * np.abs(rows).max())


def test_strength_and_time_of_spikes_are_as_labelled(made):
    _, dataset = made
    frame = dataset.select().samples
    spiky = frame[frame["spike"] == "spike"]
    assert 0.3 < len(spiky) / len(frame) < 0.7
    by_name = {original.name: original for original in RECORDINGS}
    rows = dataset.select(where="spike == 'spike'")
    dense = rows.sources()
    amplitudes = np.abs(rows.sources(amplitudes=True)).max(axis=(1, 2))
    for facts, source, amplitude in zip(spiky.to_dict("records"), dense, amplitudes, strict=True):
        original = by_name[facts["recording"]]
        known = [name for name in KNOWN if name not in original.bads]
        real = original.array[facts["row"]][[SOURCES.index(n) for n in known]].astype(float)
        real -= real.mean(axis=0)
        lead = FORWARD.matrix[[[n.lower() for n in NAMES].index(n.lower()) for n in known]]
        spike = lead @ source.T.astype(float)
        spike -= spike.mean(axis=0)
        peak = round(facts["spike_time"] * SFREQ)
        regions = [int(text) for text in facts["regions"].split()]
        assert regions[0] == int(facts["centre"]) and facts["extent"] == len(regions)
        assert sorted(regions) == np.flatnonzero(np.abs(source).max(axis=0)).tolist()
        assert np.abs(source).max() == pytest.approx(1)
        assert source[:, regions[0]].argmax() == peak
        assert facts["snr"] in (-5, 0, 5, 10)
        near = spike[:, max(peak - 10, 0) : peak + 11] * amplitude
        power = np.square(real - real.mean(axis=1, keepdims=True)).mean()
        ratio = 10 * np.log10(np.square(near).mean() / power)
        assert ratio == pytest.approx(facts["snr"], abs=0.01)
        assert facts["snr_realised"] == pytest.approx(facts["snr"], abs=1e-6)
    silent = frame[frame["spike"] == "none"]
    assert (silent["centre"] == "").all() and (silent["regions"] == "").all()


def test_neither_person_nor_waveform_stands_on_two_sides(made):
    _, dataset = made
    frame = dataset.select().samples
    assert set(frame[frame["subject"] == "03"]["split"]) == {"test"}
    sides: dict = {}
    for facts in frame.to_dict("records"):
        for key in zip(facts["centres"].split(), facts["clips"].split(), strict=True):
            assert sides.setdefault(key, facts["split"]) == facts["split"]
    assert {"train", "test"} <= set(sides.values())


def test_labels_of_the_origin_stay_and_others_come(made):
    results, dataset = made
    assert dataset.labels["face"] and dataset.labels["spike"] == ["none", "spike"]
    # One row of the origin is excluded, and stays so.
    x, y = dataset.select(recordings=RECORDINGS[0].name).arrays(target="spike")
    assert len(x) == 29 and set(y) == {"none", "spike"}
    failed = (results / "failed.tsv").read_text()
    assert OTHER_RATE.name in failed and "resample: 100" in failed
    assert files.read_json(results / "dataset.json")["counts"]["rows"] == 90
    document = pq_document(results, RECORDINGS[0].name)
    assert [step["step"] for step in document["processing"]] == ["reference", "add spikes"]


def test_recordings_without_spikes_are_quarantined_with_their_reason(made):
    results, dataset = made
    rows = tables.read_tsv(results / "recordings.tsv").set_index("recording")
    assert rows.loc[OTHER_RATE.name, "status"] == "quarantined"
    assert "another rate" in rows.loc[OTHER_RATE.name, "message"]
    members = files.read_json(results / "convert" / "background.json")["members"]
    assert members[OTHER_RATE.name]["status"] == "quarantined"
    counts = files.read_json(results / "dataset.json")["counts"]
    assert (counts["recordings"], counts["converted"], counts["quarantined"]) == (4, 3, 1)
    assert OTHER_RATE.name in set(dataset.recordings["recording"])
    # Everybody keeps a place; rows that are gone are counted no more.
    table, proof = certificate.read_split(results / "split.tsv", results / "split.json")
    assert dict(zip(table["group"], table["rows"] + table["rows_excluded"], strict=True)) == {
        "sub-01": 30, "sub-02": 0, "sub-03": 30, "sub-04": 30,
    }  # fmt: skip
    assert sum(proof["rows"].values()) + sum(proof["rows_excluded"].values()) == 90
    assert OTHER_RATE.name in proof["reason"]


def test_rows_on_no_side_or_on_one_without_clips_are_an_error(tmp_path):
    origin = Results(tmp_path / "origin", RECORDINGS)
    drawing = SourceDrawing(SourceSettings(seed=2), SHEET, BANK.table, 100)
    wanted = (drawing, BANK, SFREQ, FORWARD, NAMES, BackgroundSettings())
    origin.split_table["split"] = ["validation", "test", "train"]
    origin.write()
    with pytest.raises(BidsmillError, match=r"on the validation side.*no clip does.*split.valid"):
        write_background_dataset(origin.results, tmp_path / "new", *wanted, dataset="spiky")
    origin.refuse()
    with pytest.raises(BidsmillError, match=r"no side of a split.*two groups are too few"):
        write_background_dataset(origin.results, tmp_path / "new", *wanted, dataset="spiky")
    assert not (tmp_path / "new").exists()


def pq_document(results, name):
    import pyarrow.parquet as pq

    path = results / "matrix" / f"{name}.parquet"
    return json.loads(pq.read_metadata(path).metadata[b"bidsmill"])


def test_too_few_known_channels_are_an_error():
    channels = RECORDINGS[0].channels()
    with pytest.raises(BidsmillError, match=r"too few EEG channels.*found: 2 of"):
        matching_electrodes(channels, ["cz", "X9", "EOG", "P1", "P2", "P3", "P4", "P5"], FORWARD)
