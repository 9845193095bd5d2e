"""Matrix files of spikes, their tables and split, and the dataset as readers find it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from spike_cases import SFREQ, Bank, Sheet, centred, dense_formula, forward_of, one_source

import bidsmill
from bidsmill.errors import BidsmillError
from bidsmill.formats import files, receipts
from bidsmill.formats.sparse_sources import SparseSourceFile
from bidsmill.simulate.dataset.files import (
    Channels,
    file_range,
    recording_name,
    write_file,
)
from bidsmill.simulate.dataset.tables import write_tables
from bidsmill.simulate.sources.drawing import SourceDrawing, SourceSettings
from bidsmill.simulate.sources.table import Sample
from bidsmill.simulate.spikes.making import SpikeMaker
from bidsmill.store.publish import publish_dataset

SHEET = Sheet()
FORWARD = forward_of(SHEET.n_regions, 75)
BANK = Bank(FORWARD, n_times=500, per_region=2)
CHANNELS = Channels(tuple(f"E{i + 1}" for i in range(75)), FORWARD.types)
SPLIT = {"group": "region", "test": 0.2, "validation": 0.0, "seed": 3}
# More than one row group, which holds 112 rows of 75 x 500.
SIZES = (120, 30)
COUNT = sum(SIZES)


def drawn(**changed) -> list[Sample]:
    asked = SourceSettings(seed=3, n_sources=(1, 2), **changed)
    return list(SourceDrawing(asked, SHEET, BANK.table, 500).samples(0, COUNT))


SAMPLES = drawn()


def write(results: Path, number: int, samples=None, seed=3) -> dict:
    first = sum(SIZES[:number])
    own = SAMPLES[first : first + SIZES[number]] if samples is None else samples
    maker = SpikeMaker(FORWARD, BANK, SFREQ, seed)
    return write_file(results, recording_name(number), own, maker, CHANNELS, SHEET.n_regions)


def tables_of(results: Path, names=None, **changed) -> None:
    asked = {"split": SPLIT, "description": {"license": "CC0", "name": "Spikes"}, **changed}
    names = names or [recording_name(0), recording_name(1)]
    write_tables(results, names, dataset="sim", n_regions=SHEET.n_regions, **asked)
    entries = {n: files.read_json(results / "matrix" / f"{n}.json") for n in names}
    members = {name: receipts.manifest_entry(entry) for name, entry in entries.items()}
    files.write_json(results / "convert" / "s00000.json", {"members": members})


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("spikes") / "results" / "sim"
    for number in range(2):
        write(folder, number)
    tables_of(folder)
    (folder / "report.html").write_text("<html></html>\n")
    return folder


@pytest.fixture(scope="module")
def opened(results):
    store = results.parents[1] / "store"
    manifests = sorted((results / "convert").glob("*.json"))
    publish_dataset(results, manifests, results / "published.json", dataset="sim", store=str(store))
    return bidsmill.open(str(store))["sim"]


def sha256_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_published_dataset_is_read_like_any_other(opened):
    every = opened.select()
    assert len(every) == COUNT
    for side in ("train", "test"):
        chosen = opened.select(split=side)
        x, y = chosen.arrays(target="centre")
        assert x.shape == (len(chosen), 75, 500) and x.dtype == np.float32
        # The class of a region has its id as code, and rows are the samples of the table.
        for row, (value, text) in enumerate(zip(chosen.samples["sample"], y, strict=True)):
            sample = SAMPLES[value]
            assert int(text) == sample.sources[0].centre and sample.side == side
            assert np.abs(x[row]).max() == 1
        assert chosen.classes("centre") == [str(i) for i in range(SHEET.n_regions)]
    assert len(opened.select(where="snr == 5 and n_sources == 2")) == sum(
        sample.snr == 5 and len(sample.sources) == 2 for sample in SAMPLES
    )


def test_rows_are_the_dense_formula_with_noise_at_its_ratio(opened):
    x = opened.select().arrays()
    frame = opened.select().samples
    for row in range(0, COUNT, 14):
        facts, sample = frame.iloc[row], SAMPLES[row]
        alphas = [float(text) for text in facts["alphas"].split()]
        v, _ = dense_formula(sample, alphas, FORWARD, BANK)
        signal = centred(v)
        noise = x[row] * facts["scale_eeg"] - signal
        ratio = 10 * np.log10((signal**2).mean() / (noise**2).mean())
        assert ratio == pytest.approx(facts["snr_realised"], abs=0.02)
        assert abs(ratio - sample.snr) < 0.5
        assert np.abs(x[row].mean(axis=0)).max() < 1e-6 > np.abs(x[row].mean(axis=1)).max()


def test_labels_are_the_active_columns_of_the_restored_sources(opened, results):
    chosen = opened.select(where="sample >= 100 and sample < 116")
    dense = chosen.sources()
    amplitudes = chosen.sources(amplitudes=True)
    assert dense.shape == (16, 500, SHEET.n_regions)
    for row, facts in enumerate(chosen.samples.to_dict("records")):
        sample = SAMPLES[facts["sample"]]
        labels = [int(text) for text in facts["regions"].split()]
        assert labels[0] == sample.sources[0].centre == int(facts["centre"])
        assert sorted(labels) == np.flatnonzero(np.abs(dense[row]).max(axis=0)).tolist()
        assert facts["extent"] == len(labels) and facts["overlap"] == sample.overlap
        assert np.abs(dense[row]).max() == 1
        alphas = [float(text) for text in facts["alphas"].split()]
        _, z = dense_formula(sample, alphas, FORWARD, BANK)
        np.testing.assert_allclose(amplitudes[row][:, labels], z[:, labels], rtol=1e-5, atol=1e-5)
        peak = round(facts["spike_time"] * SFREQ)
        assert BANK.clip(int(facts["centre"]), sample.sources[0].clip)[labels[0]].argmax() == peak
    with SparseSourceFile(results / "sources" / f"{recording_name(0)}.parquet") as stored:
        np.testing.assert_array_equal(stored.dense([115, 100]), dense[[15, 0]])
        with pytest.raises(BidsmillError, match="no such row"):
            stored.dense([SIZES[0]])


def test_no_waveform_leaks_through_the_split(opened, results):
    seen: dict[tuple[str, str], set[str]] = {}
    for facts in opened.select().samples.to_dict("records"):
        for key in zip(facts["centres"].split(), facts["clips"].split(), strict=True):
            seen.setdefault(key, set()).add(facts["split"])
    assert all(len(sides) == 1 for sides in seen.values())
    certificate = files.read_json(results / "split.json")
    assert certificate["status"] == "done"
    assert certificate["proof"]["clips_on_several_sides"] == 0
    counts = opened.select().samples["split"].value_counts()
    assert certificate["rows"]["test"] == counts["test"] and counts.sum() == COUNT
    assert abs(counts["test"] / COUNT - 0.2) < 0.06


def test_a_split_that_would_leak_is_refused(tmp_path):
    own = [replace(sample, side="test" if i == 7 else "train", group=f"g{i == 7}")
           for i, sample in enumerate(SAMPLES[:8])]  # fmt: skip
    own[7] = replace(own[7], sources=own[0].sources)
    write(tmp_path, 0, own)
    tables_of(tmp_path, [recording_name(0)])
    certificate = files.read_json(tmp_path / "split.json")
    first = own[0].sources[0]
    assert certificate["status"] == "refused" and certificate["rows"]["none"] == 8
    assert f"{first.centre} {first.clip}" in certificate["reason"]


def test_events_are_the_peaks_of_all_sources(opened):
    events = opened.events
    assert len(events) == sum(len(sample.sources) for sample in SAMPLES)
    samples = opened.select().samples
    for facts in samples.iloc[::9].to_dict("records"):
        event = events.iloc[facts["event"]]
        assert event["recording"] == facts["recording"] and event["row"] == facts["row"]
        assert event["onset"] == pytest.approx(facts["onset"] + facts["spike_time"])
        assert event["source_number"] in ("0", 0)
    assert set(samples["HED"]) == {"Data-feature, Computed-feature, Label/Interictal-spike"}


def test_same_bytes_for_any_order_and_number_of_cores(results, tmp_path):
    """The second file alone, in another process with two threads of BLAS."""
    code = (
        "import sys, numpy as np; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "import test_simulate_dataset as t; np.random.seed(1); t.write(Path(sys.argv[2]), 1)\n"
    )
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
    here = str(Path(__file__).parent)
    subprocess.run(
        [sys.executable, "-c", code, here, str(tmp_path)], env={**os.environ, **threads}, check=True
    )
    name = recording_name(1)
    for folder in ("matrix", "sources", "labels"):
        made = (tmp_path / folder / f"{name}.parquet").read_bytes()
        assert made == (results / folder / f"{name}.parquet").read_bytes()
    assert (tmp_path / "matrix" / f"{name}.json").read_bytes() == (
        results / "matrix" / f"{name}.json"
    ).read_bytes()


def test_samples_do_not_depend_on_the_file_that_holds_them(results, tmp_path):
    write(tmp_path, 0, SAMPLES[110:130])
    found = pq.read_table(tmp_path / "matrix" / f"{recording_name(0)}.parquet")
    parts = [pq.read_table(results / "matrix" / f"{recording_name(n)}.parquet") for n in (0, 1)]
    for name in ("E1", "E75"):
        whole = [row for part in parts for row in part[name].to_pylist()]
        assert found[name].to_pylist() == whole[110:130]
    assert [file_range(n, 5000) for n in (0, 2)] == [(0, 2048), (4096, 5000)]


def test_a_file_that_is_there_is_not_made_again(results, tmp_path):
    copy = tmp_path / "sim"
    shutil.copytree(results, copy)
    before = sha256_of(copy)
    BANK.reads = 0
    write(copy, 1)
    assert BANK.reads == 0 and sha256_of(copy) == before
    # A file that was lost, another seed and another table are reasons.
    (copy / "sources" / f"{recording_name(1)}.parquet").unlink()
    write(copy, 1)
    assert BANK.reads > 0 and sha256_of(copy) == before
    write(copy, 1, SAMPLES[120:149])
    write(copy, 0, seed=4)
    changed = {name for name, sha in sha256_of(copy).items() if before[name] != sha}
    assert {f"matrix/{recording_name(n)}.parquet" for n in (0, 1)} <= changed


def test_a_tree_is_the_same_when_it_is_made_again(results, tmp_path):
    copy = tmp_path / "sim"
    shutil.copytree(results, copy)
    for path in copy.glob("*.*"):
        if path.suffix in (".tsv", ".json", ".parquet", ".md") and path.name != "published.json":
            path.unlink()
    tables_of(copy)
    for name, sha in sha256_of(results).items():
        assert sha256_of(copy)[name] == sha, name


def test_samples_that_cannot_be_made_are_listed_and_the_others_are_there(tmp_path):
    bad = Sample(
        2, (replace(one_source(0, 1, [1]), weights=np.ones(1, np.float32)),), 5, "a", "test"
    )
    silent = replace(SAMPLES[0], index=5, sources=(replace(SAMPLES[0].sources[0], snr=np.nan),))
    own = [*SAMPLES[:2], bad, *SAMPLES[3:5], silent]
    content = write(tmp_path, 0, own)
    assert [(f["sample"], f["reason"]) for f in content["failed"]] == [
        (2, "bad_patch"),
        (5, "no_alpha"),
    ]
    with pytest.raises(BidsmillError, match="2 samples could not be made"):
        tables_of(tmp_path, [recording_name(0)])
    tables_of(tmp_path, [recording_name(0)], keep_going=True)
    samples = pd.read_parquet(tmp_path / "samples.parquet")
    assert samples["sample"].tolist() == [0, 1, 3, 4] and samples["row"].tolist() == [0, 1, 2, 3]
    failed = pd.read_csv(tmp_path / "failed.tsv", sep="\t")
    assert failed["sample"].tolist() == [2, 5]
    with pytest.raises(BidsmillError, match=r"no sample of .* can be made"):
        write(tmp_path, 1, [bad])


def test_a_sample_takes_at_most_a_quarter_of_a_megabyte(results):
    name = f"{recording_name(0)}.parquet"
    total = sum((results / folder / name).stat().st_size for folder in ("matrix", "sources"))
    assert total / SIZES[0] <= 0.25e6


def test_a_dataset_without_anatomy_says_so(opened):
    for read, name in ((opened.leadfield, "leadfield.npz"), (opened.anatomy, "anatomy.npz")):
        with pytest.raises(BidsmillError, match=f"sim has no file {name}"):
            read()
