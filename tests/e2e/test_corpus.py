"""Every real recording: the same samples, events, types and units as MNE sees, or a reason."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import mne
import numpy as np
import pytest
import yaml
from runs import DATASETS, EVENT_DATASETS, EVENT_WINDOWS, FIXED_WINDOWS, Run, copy_corpus

from bidsmill.formats import tables
from bidsmill.formats.matrix import MatrixFile

pytestmark = pytest.mark.corpus


def facts_of(corpus: Path) -> dict:
    return json.loads((corpus / "facts.json").read_text())["recordings"]


def read_with_mne(path: Path) -> mne.io.BaseRaw:
    with mne.utils.use_log_level("ERROR"):
        extra = {"allow_maxshield": "yes"} if path.suffix == ".fif" else {}
        return mne.io.read_raw(path, preload=True, **extra)


def made_by_the_workflow(corpus: Path, folder: Path, root: Path, config: dict) -> dict[str, bytes]:
    run = Run(folder, root)
    copy_corpus(corpus, folder)
    (folder / "own.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    run.snakemake("--configfile", str(folder / "own.yaml"))
    return run.bytes_of_results()


@pytest.mark.long
def test_the_workflow_makes_the_same_of_the_broken_dataset(corpus, corpus_run, tmp_path, root):
    chosen = {"broken": FIXED_WINDOWS["datasets"]["broken"]}
    config = {**FIXED_WINDOWS, "datasets": chosen, "allow_license": list(chosen)}
    made = made_by_the_workflow(corpus, tmp_path, root, config)
    expected = corpus_run.bytes_of_results()
    own = {name for name in expected if name.startswith("results/broken/")}
    assert len(own) > 30
    assert {name for name in made if not name.startswith("results/store/")} == own
    assert [name for name in sorted(own) if made[name] != expected[name]] == []


@pytest.mark.long
@pytest.mark.parametrize("kind", ["fixed", "events"])
def test_the_workflow_makes_the_same_of_the_corpus(corpus, request, tmp_path, root, kind):
    """The fixtures call the stages one after the other; the rules, in parallel, do no other."""
    config = {"fixed": FIXED_WINDOWS, "events": EVENT_WINDOWS}[kind]
    fixture = {"fixed": "corpus_run", "events": "corpus_events_run"}[kind]
    expected = request.getfixturevalue(fixture).bytes_of_results()
    made = made_by_the_workflow(corpus, tmp_path, root, config)
    assert len(expected) > 300
    assert [name for name in sorted(expected) if made.get(name) != expected[name]] == []


@pytest.mark.parametrize("dataset", DATASETS)
def test_rows_hold_what_mne_reads(corpus, corpus_run, dataset):
    facts = facts_of(corpus)
    recordings = tables.read_tsv(corpus_run.results / dataset / "recordings.tsv")
    usable = recordings[recordings["status"].isin(["converted", "repaired"])]
    assert len(usable) == (11 if dataset == "broken" else len(recordings))
    # MNE cannot open the one whose header names other files.
    converted = usable[~usable["repairs"].str.contains("brainvision_renamed")]
    samples = tables.read_parquet(corpus_run.results / dataset / "samples.parquet")
    for row in converted.to_dict("records"):
        fact = facts[f"{dataset}/{row['file']}"]
        matrix = MatrixFile(corpus_run.results / dataset / "matrix" / f"{row['recording']}.parquet")
        values = matrix.read()
        raw = read_with_mne(corpus / dataset / row["file"])
        names = [channel["source_name"] for channel in matrix.metadata["channels"]]
        wanted = raw.get_data(picks=[raw.ch_names.index(name) for name in names])
        starts = samples.loc[samples["recording"] == row["recording"], "start"].to_numpy()
        assert len(starts) == len(values) == int(row["rows"])
        scale = np.abs(wanted).max(axis=1, keepdims=True)
        for start, window in zip(starts, values, strict=True):
            expected = wanted[:, start : start + matrix.n_times]
            assert np.all(np.abs(window - expected) <= 1e-6 * scale), row["recording"]
        assert float(row["sfreq"]) == fact["sfreq"] == matrix.metadata["sfreq"]
        assert matrix.metadata["source"]["n_times"] == fact["n_times"]
        assert len(names) == fact["n_data_channels"]
        check = fact["check_channel"]
        found = values[0, names.index(check["name"]), :3]
        np.testing.assert_allclose(found, check["first3"], rtol=1e-5)


@pytest.mark.parametrize("dataset", DATASETS)
def test_types_units_and_bad_channels_are_those_of_the_facts(corpus, corpus_run, dataset):
    facts = facts_of(corpus)
    recordings = tables.read_tsv(corpus_run.results / dataset / "recordings.tsv")
    channels = tables.read_tsv(corpus_run.results / dataset / "channels.tsv")
    units = {
        "eeg": "V",
        "eog": "V",
        "ecg": "V",
        "emg": "V",
        "mag": "T",
        "ref_meg": "T",
        "grad": "T/m",
    }
    for stem, file in zip(recordings["recording"], recordings["file"], strict=True):
        fact = facts.get(f"{dataset}/{file}", {})
        own = channels[channels["recording"] == stem]
        if len(own) == 0 or "mne_bids_types" not in fact:
            continue
        assert Counter(own["type"]) == Counter(fact["mne_bids_types"]), stem
        bad = own.loc[own["status"] == "bad", "source_name"]
        assert sorted(bad) == sorted(fact.get("channels_tsv_bad", []))
        for kind, unit in zip(own["type"], own["unit"], strict=True):
            assert units.get(kind, unit) == unit


def test_every_recording_of_the_broken_dataset_has_its_fate(corpus, corpus_run):
    expected = json.loads((corpus / "broken.expected.json").read_text())
    recordings = tables.read_tsv(corpus_run.results / "broken" / "recordings.tsv")
    assert {f"sub-{subject}" for subject in recordings["subject"]} == set(expected)
    for row in recordings.to_dict("records"):
        outcome = expected[f"sub-{row['subject']}"]["outcome"]
        if outcome in ("ok", "ok-with-warnings"):
            assert row["status"] in ("converted", "repaired"), row
        elif outcome == "fail":
            assert row["status"] == "quarantined" and row["reason"], row
            assert row["message"]
    by_subject = {row["subject"]: row for row in recordings.to_dict("records")}
    assert "eeglab_data.fdt" in by_subject["01"]["message"]
    assert by_subject["02"]["status"] == "repaired"
    assert "brainvision_renamed_data" in by_subject["02"]["repairs"]
    assert by_subject["03"]["reason"] == "truncated_file"
    assert "3 whole records" in by_subject["03"]["message"]
    assert by_subject["04"]["reason"] == "empty_file" and "0 bytes" in by_subject["04"]["message"]
    assert "git-annex" in by_subject["05"]["message"]
    assert "git-annex" in by_subject["06"]["message"]
    assert "Git LFS" in by_subject["14"]["message"]
    assert "512 Hz" in by_subject["08"]["conflicts"]
    assert "not UTF-8" in by_subject["09"]["conflicts"]
    assert "line 6" in by_subject["10"]["conflicts"]
    assert "HED error" in by_subject["11"]["conflicts"]
    assert "not in participants.tsv" in by_subject["12"]["conflicts"]
    assert "disagree on names" in by_subject["13"]["conflicts"]
    assert (
        str(corpus_run.folder) not in (corpus_run.results / "broken" / "recordings.tsv").read_text()
    )


def test_the_events_of_a_broken_recording_are_counted_by_reason(corpus_events_run):
    recordings = tables.read_tsv(corpus_events_run.results / "broken" / "recordings.tsv")
    row = recordings[recordings["subject"] == "07"].iloc[0]
    dropped = dict(part.rsplit(":", 1) for part in row["events_dropped"].split(", "))
    assert dropped == {
        "after_end": "1",
        "before_start": "1",
        "duplicate": "2",
        "onset_missing": "1",
        "window_after_end": "1",
    }
    assert int(row["events"]) == int(row["events_used"]) + sum(map(int, dropped.values()))


@pytest.mark.parametrize("dataset", EVENT_DATASETS)
def test_events_in_are_events_out_and_dropped(corpus, corpus_events_run, dataset):
    facts = facts_of(corpus)
    results = corpus_events_run.results / dataset
    recordings = tables.read_tsv(results / "recordings.tsv")
    events = tables.read_tsv(results / "events.tsv")
    outside = {"onset_missing", "onset_not_a_number", "before_start", "after_end"}
    for row in recordings.to_dict("records"):
        own = events[events["recording"] == row["recording"]]
        dropped = own[own["outcome"] == "dropped"]
        assert all(dropped["reason"]) and not any(own.loc[own["outcome"] == "used", "reason"])
        assert len(own) == int(row["events_used"]) + len(dropped)
        fact = facts.get(f"{dataset}/{row['file']}", {})
        if row["status"] == "quarantined" or fact.get("events_rows") is None:
            continue
        assert len(own) == fact["events_rows"]
        inside = own[~own["reason"].isin(outside)]
        assert len(inside) == fact["events_within"], row["recording"]
        counts = Counter(inside["trial_type"])
        for name, count in fact.get("events_within_by_trial_type", {}).items():
            assert counts["" if name == "n/a" else name] == count


def test_event_windows_stand_where_the_events_are(corpus, corpus_events_run):
    results = corpus_events_run.results / "muse_p300"
    samples = tables.read_parquet(results / "samples.parquet")
    for stem, own in samples.groupby("recording"):
        matrix = MatrixFile(results / "matrix" / f"{stem}.parquet")
        values = matrix.read()
        raw = read_with_mne(corpus / "muse_p300" / matrix.metadata["source"]["file"])
        wanted = raw.get_data(picks=matrix.channels)
        for start, onset, window in zip(own["start"], own["onset"], values, strict=True):
            assert start == round(onset * 256) + round(-0.1 * 256)
            np.testing.assert_allclose(
                window, wanted[:, start : start + matrix.n_times], rtol=1e-6, atol=1e-12
            )


def test_markers_in_the_file_stand_in_for_missing_events(corpus, corpus_events_run):
    results = corpus_events_run.results / "muse_p300"
    events = tables.read_tsv(results / "events.tsv")
    own = events[events["recording"] == "sub-02_ses-01_task-p300_run-03_eeg"]
    raw = read_with_mne(
        corpus / "muse_p300/sub-02/ses-01/eeg/sub-02_ses-01_task-p300_run-03_eeg.vhdr"
    )
    assert set(own["source"]) == {"file"}
    assert Counter(own["trial_type"]) == Counter(raw.annotations.description)


def test_no_window_crosses_a_boundary(corpus_run, corpus_events_run):
    fixed = tables.read_parquet(corpus_run.results / "uci_alcoholism" / "samples.parquet")
    for start, stop in zip(fixed["start"], fixed["stop"], strict=True):
        assert start // 256 == (stop - 1) // 256
    rows = tables.read_parquet(corpus_events_run.results / "uci_alcoholism" / "samples.parquet")
    assert sorted(set(rows["start"])) == [0, 256, 512, 768, 1024]
    assert rows.groupby("recording").size().eq(5).all()


def test_mixed_rates_and_channels_keep_their_own_layout(corpus_run):
    for dataset, layouts in {"eegmmi_motor": 2, "amplifier_mix": 7, "muse_p300": 1}.items():
        recordings = tables.read_tsv(corpus_run.results / dataset / "recordings.tsv")
        assert recordings["layout"].nunique() == layouts


def test_an_emptyroom_recording_is_on_no_side(corpus_run):
    import bidsmill

    samples = bidsmill.open(corpus_run.folder / "results" / "store")["meg_mix"].samples
    emptyroom = samples[samples["subject"] == "emptyroom"]
    assert len(emptyroom) > 0 and set(emptyroom["split"]) == {"none"}
