"""The embedded sample: bytes, signals, events, HED and BIDS, against independent readers."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bidsmill.errors import BidsmillError
from bidsmill.sources.sample import SAMPLE_VERSION, design, recording, signals, write_sample

BROKEN = "sub-11/ses-2/eeg/sub-11_ses-2_task-faces_run-1_eeg.edf"
SOURCE = str(Path(design.__file__).parents[3])
WRITE = (
    "import sys, pathlib; from bidsmill.sources.sample import write_sample; "
    "write_sample(pathlib.Path(sys.argv[1]))"
)


def tree(root: Path) -> dict[str, str]:
    """Return the sha256 of every file by its path."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def in_process(root: Path, **environment: str) -> subprocess.Popen:
    """Start writing a sample in another process."""
    environment = {**os.environ, "PYTHONPATH": SOURCE, **environment}
    return subprocess.Popen([sys.executable, "-c", WRITE, str(root)], env=environment)


@pytest.fixture(scope="session")
def sample(sample_dataset) -> Path:
    return sample_dataset


@pytest.fixture(scope="session")
def healthy(sample) -> list[dict]:
    """Read every healthy recording with MNE, and its sidecars with pandas and json."""
    import mne

    found = []
    for path in sorted(p for p in sample.rglob("*_eeg.*") if p.suffix in (".edf", ".vhdr")):
        if path == sample / BROKEN:
            continue
        stem = path.name.removesuffix(f"_eeg{path.suffix}")
        read = mne.io.read_raw_edf if path.suffix == ".edf" else mne.io.read_raw_brainvision
        found.append(
            {
                "stem": stem,
                "raw": read(path, preload=True, verbose="error"),
                "sidecar": json.loads((path.parent / f"{stem}_eeg.json").read_text()),
                "channels": table(path.parent / f"{stem}_channels.tsv"),
                "events": table(path.parent / f"{stem}_events.tsv"),
            }
        )
    return found


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", na_values="n/a", keep_default_na=False)


# Bytes and files


def test_another_process_writes_the_same_bytes(sample, tmp_path):
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    process = in_process(tmp_path / "again", PYTHONHASHSEED="7", TZ="Asia/Tokyo", **threads)
    assert process.wait() == 0
    first, second = tree(sample), tree(tmp_path / "again")
    assert first == second
    assert len(first) > 150
    assert sum(path.stat().st_size for path in sample.rglob("*") if path.is_file()) < 25e6


def test_a_second_call_repairs_what_differs_and_leaves_the_rest(sample, tmp_path):
    root = shutil.copytree(sample, tmp_path / "faces")
    before = {path: (root / path).stat().st_mtime_ns for path in tree(root)}
    cut = "sub-02/ses-1/eeg/sub-02_ses-1_task-faces_run-1_eeg.edf"
    (root / cut).write_bytes((root / cut).read_bytes()[:5000])
    (root / "CHANGES").unlink()
    (root / "dataset_description.json").write_text('{"Name": ')
    extra = root / "sub-99" / "eeg" / "sub-99_task-faces_eeg.json"
    extra.parent.mkdir(parents=True)
    extra.write_text("{}")
    with pytest.raises(BidsmillError, match="sub-99"):  # whose it is cannot be told any more
        write_sample(root)
    description = json.loads((sample / "dataset_description.json").read_text())
    (root / "dataset_description.json").write_text(json.dumps({"Name": description["Name"]}))
    write_sample(root)
    assert extra.read_text() == "{}"
    extra.unlink()
    assert tree(root) == tree(sample)
    after = {path: (root / path).stat().st_mtime_ns for path in before}
    rewritten = {path for path in before if before[path] != after[path]}
    assert rewritten == {cut, "CHANGES", "dataset_description.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


@pytest.mark.long
@pytest.mark.parametrize("moves", [1, 60])
def test_a_stop_while_files_move_leaves_only_whole_files(sample, tmp_path, monkeypatch, moves):
    root = tmp_path / "faces"
    root.mkdir()
    replace, count = os.replace, iter(range(1000))

    def stop_after(source, target):
        if next(count) == moves:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop_after)
    with pytest.raises(KeyboardInterrupt):
        write_sample(root)
    monkeypatch.undo()
    whole, found = tree(sample), tree(root)
    assert len(found) == moves
    assert found.items() <= whole.items()
    (root / "dataset_description.json").write_text('{"Name": ')
    write_sample(root)
    assert tree(root) == whole


@pytest.mark.long
def test_a_kill_while_files_are_written_leaves_nothing_under_a_final_name(sample, tmp_path):
    root = tmp_path / "faces"
    process = in_process(root)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".faces.partial-*/dataset/sub-03")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not root.exists() or tree(root) == tree(sample)
    for folder in tmp_path.glob(".faces.partial-*"):
        os.utime(folder, (0, 0))  # long abandoned: the next call deletes it
    write_sample(root)
    assert tree(root) == tree(sample)
    assert [path.name for path in tmp_path.iterdir()] == ["faces"]


def test_another_dataset_is_refused_and_not_changed(tmp_path):
    root = tmp_path / "mine"
    root.mkdir()
    (root / "dataset_description.json").write_text('{"Name": "My study", "BIDSVersion": "1.9.0"}')
    before = tree(root)
    with pytest.raises(BidsmillError, match=r"something else.*My study.*another path"):
        write_sample(root)
    assert tree(root) == before
    (root / "dataset_description.json").rename(root / "thesis.txt")
    with pytest.raises(BidsmillError, match=r"thesis\.txt"):
        write_sample(root)
    with pytest.raises(BidsmillError, match="needs a folder"):
        write_sample(root / "thesis.txt")
    assert sorted(tree(tmp_path)) == ["mine/thesis.txt"]


# Design


def test_participants_sessions_formats_and_rates_are_mixed(sample, healthy):
    people = table(sample / "participants.tsv")
    described = json.loads((sample / "participants.json").read_text())
    assert set(people) == set(described)
    assert len(people) >= 12
    assert people.sex.value_counts().to_dict() == {"F": 7, "M": 7}
    assert people.group.value_counts().to_dict() == {"control": 7, "patient": 7}
    assert (people.age.min(), people.age.max()) == (19, 64)
    folders = {path.name for path in sample.glob("sub-*")}
    assert folders == set(people.participant_id)
    assert all((sample / name / "ses-1").is_dir() for name in folders)
    assert len(list(sample.glob("sub-*/ses-2"))) == 6
    kinds = {(Path(r["raw"].filenames[0]).suffix, r["raw"].info["sfreq"]) for r in healthy}
    assert kinds == {(".edf", 250.0), (".edf", 256.0), (".eeg", 250.0), (".eeg", 256.0)}
    description = json.loads((sample / "dataset_description.json").read_text())
    assert description["GeneratedBy"][0]["Version"] == SAMPLE_VERSION
    assert description["HEDVersion"] == "8.3.0"


def test_readme_says_what_is_simulated_and_what_is_broken(sample):
    readme = (sample / "README.md").read_text()
    assert "simulated" in readme
    assert BROKEN in readme
    count = int(re.search(r"(\d+) recordings", readme)[1])
    assert count == len(list(sample.rglob("*_events.tsv")))


# Recordings


def test_header_agrees_with_sidecars(healthy):
    assert len(healthy) == 24
    for one in healthy:
        raw, sidecar = one["raw"], one["sidecar"]
        assert raw.info["sfreq"] == sidecar["SamplingFrequency"]
        assert raw.n_times == sidecar["RecordingDuration"] * sidecar["SamplingFrequency"]
        assert 55 <= sidecar["RecordingDuration"] <= 90
        assert raw.ch_names == list(one["channels"].name)
        types = one["channels"].type.value_counts().to_dict()
        assert types == {"EEG": sidecar["EEGChannelCount"], "EOG": sidecar["EOGChannelCount"]}
        assert set(one["channels"].sampling_frequency) == {sidecar["SamplingFrequency"]}


def test_markers_of_the_file_agree_with_events(healthy):
    for one in healthy:
        events = one["events"]
        marks = [mark for mark in one["raw"].annotations if "Segment" not in mark["description"]]
        np.testing.assert_allclose([m["onset"] for m in marks], events.onset, atol=1e-4)
        pictures = events[events.trial_type != "response"]
        assert pictures.trial_type.value_counts().to_dict() == {"face": 20, "scrambled": 20}
        gaps = np.diff(pictures.onset)
        assert 1.19 < gaps.min() < 1.25
        assert 1.55 < gaps.max() < 1.61
        assert events.onset.is_monotonic_increasing
        rate = one["raw"].info["sfreq"]
        np.testing.assert_allclose(events.onset * rate, np.round(events.onset * rate), atol=2e-4)
        assert events.onset.max() + 1 < one["raw"].times[-1]


def test_response_times_are_those_of_the_onsets(healthy):
    right = total = 0
    for one in healthy:
        shown = None
        for row in one["events"].itertuples():
            if row.trial_type != "response":
                shown = row
                continue
            assert row.onset - shown.onset == pytest.approx(row.response_time, abs=2e-6)
            assert row.value == {"left": 3, "right": 4}[row.button]
            total += 1
            right += (row.button == "left") == (shown.trial_type == "face")
    assert 0.92 * 960 < total < 960
    assert 0.9 < right / total < 0.99


def test_files_hold_the_simulated_signals(healthy):
    by_stem = {one.stem: one for one in design.recordings()}
    for one in healthy:
        simulated = signals.simulate(by_stem[one["stem"]])
        stored = 1e6 * one["raw"].get_data()
        assert np.abs(stored - simulated).max() < 0.1 + 1e-6  # one bit; the writers truncate
        assert np.abs(stored).max() < 1500


def test_the_broken_recording_is_the_pointer_to_its_true_content(sample, tmp_path):
    import mne

    text = (sample / BROKEN).read_text()
    key = re.fullmatch(r"/annex/objects/SHA256E-s(\d+)--([0-9a-f]{64})\.edf\n", text)
    broken = next(r for r in design.recordings() if r.data_file == BROKEN)
    recording.write_edf(tmp_path / "true.edf", broken, signals.simulate(broken))
    content = (tmp_path / "true.edf").read_bytes()
    assert (int(key[1]), key[2]) == (len(content), hashlib.sha256(content).hexdigest())
    with pytest.raises(Exception, match=r".+"):
        mne.io.read_raw_edf(sample / BROKEN, preload=True, verbose="error")


def test_only_the_channel_marked_as_bad_is_bad(healthy):
    marked, loud = [], []
    for one in healthy:
        spread = one["raw"].get_data(picks=slice(2, 19)).std(axis=1)
        names = one["raw"].ch_names[2:19]
        bad = one["channels"][one["channels"].status == "bad"]
        marked += [(one["stem"], name) for name in bad.name]
        assert bad.status_description.notna().all()
        loud += [(one["stem"], names[i]) for i in np.flatnonzero(spread > 3.5 * np.median(spread))]
    assert marked == loud == [("sub-07_ses-1_task-faces_run-2", "T8")]


def test_mne_bids_reads_place_line_and_bad_channel(sample):
    import mne_bids

    path = mne_bids.BIDSPath(
        root=sample, subject="07", session="1", task="faces", run="2", datatype="eeg"
    )
    raw = mne_bids.read_raw_bids(path, verbose="error")
    assert raw.info["bads"] == ["T8"]
    assert raw.info["line_freq"] == 50
    assert raw.get_channel_types() == ["eeg"] * 19 + ["eog"]
    place = raw.get_montage().get_positions()["ch_pos"]
    assert place["O1"][1] < -0.08 < 0.08 < place["Fp1"][1]
    assert place["T7"][0] == pytest.approx(-0.095) == -place["T8"][0]


# Signals


def test_faces_evoke_a_larger_n170_than_scrambled_pictures(healthy):
    contrast = {"P7": [], "P8": [], "Cz": []}
    average = {"face": [], "scrambled": []}
    for one in healthy:
        raw, events = one["raw"], one["events"]
        rate, data = raw.info["sfreq"], 1e6 * raw.get_data()
        means = {}
        for kind in average:
            trials = []
            for onset in events.onset[events.trial_type == kind]:
                start = round(onset * rate)
                before = data[:, start - round(0.1 * rate) : start].mean(axis=1)
                window = data[:, start + round(0.15 * rate) : start + round(0.19 * rate)]
                trials.append(window.mean(axis=1) - before)
            means[kind] = dict(zip(raw.ch_names, np.mean(trials, axis=0), strict=True))
            average[kind].append((means[kind]["P7"] + means[kind]["P8"]) / 2)
        for name, values in contrast.items():
            values.append(means["face"][name] - means["scrambled"][name])
    assert -8 < np.mean(average["face"]) < -4
    assert -3.5 < np.mean(average["scrambled"]) < -0.5
    assert np.mean(contrast["P7"]) < -2
    assert np.mean(contrast["P8"]) < -3
    both = np.mean([contrast["P7"], contrast["P8"]], axis=0)
    assert both.mean() / (both.std(ddof=1) / np.sqrt(len(both))) < -4  # a t statistic
    assert abs(np.mean(contrast["Cz"])) < 0.8


def test_spectrum_has_alpha_line_and_falls(healthy):
    from scipy.signal import welch

    for one in healthy:
        raw = one["raw"]
        rate = raw.info["sfreq"]
        frequency, power = welch(1e6 * raw.get_data(), rate, nperseg=int(4 * rate))
        good = [name not in ("VEOG", *signals_bad(one)) for name in raw.ch_names]
        back = power[[raw.ch_names.index(name) for name in ("O1", "O2")]].mean(axis=0)
        near = (frequency >= 7) & (frequency <= 13)
        assert 9 <= frequency[near][back[near].argmax()] <= 11
        front = power[[raw.ch_names.index(name) for name in ("F3", "F4")]].mean(axis=0)
        alpha = (frequency >= 9) & (frequency <= 11)
        flanks = ((frequency >= 5) & (frequency <= 7)) | ((frequency >= 13) & (frequency <= 15))
        assert back[alpha].mean() > 3 * back[flanks].mean()
        assert back[alpha].mean() > 5 * front[alpha].mean()
        beside = ((frequency > 45) & (frequency < 49)) | ((frequency > 51) & (frequency < 55))
        peak = power[good][:, np.argmin(np.abs(frequency - 50))]
        assert (peak > 5 * power[good][:, beside].mean(axis=1)).all()
        # A sine of 1 to 2 uV amplitude has a power of 0.5 to 2 uV**2.
        at_line = (frequency > 49) & (frequency < 51)
        line = power[good][:, at_line].sum(axis=1) * (frequency[1] - frequency[0])
        assert (line > 0.4).all()
        assert (line < 3.2).all()
        slow, fast = [(frequency > a) & (frequency < b) for a, b in ((1, 4), (20, 40))]
        assert (power[good][:, slow].mean(axis=1) > 8 * power[good][:, fast].mean(axis=1)).all()


def signals_bad(one: dict) -> list[str]:
    return list(one["channels"].name[one["channels"].status == "bad"])


def test_alpha_waxes_and_wanes(healthy):
    from scipy.signal import butter, hilbert, sosfiltfilt

    for one in healthy[:4]:
        rate = one["raw"].info["sfreq"]
        band = butter(3, (8.5, 11.5), "bandpass", fs=rate, output="sos")
        envelope = np.abs(hilbert(sosfiltfilt(band, one["raw"].get_data(picks="O1")[0])))
        # 0 for a steady sine, 0.52 for a Gaussian narrow band (Rayleigh distribution)
        assert 0.35 < envelope.std() / envelope.mean() < 0.75


def test_blinks_stand_in_the_eog_and_at_the_forehead(healthy):
    for one in healthy:
        data = dict(zip(one["raw"].ch_names, 1e6 * one["raw"].get_data(), strict=True))
        blinking = data["VEOG"] > 120
        rate = one["raw"].info["sfreq"]
        count = (np.diff(blinking.astype(int)) == 1).sum() / (len(blinking) / rate / 60)
        assert 2 < count < 40
        height = {name: data[name][blinking].mean() - np.median(data[name]) for name in data}
        assert 50 < height["Fp1"] < 200
        assert height["Fp1"] > 2 * height["F3"] > 0
        assert height["O1"] < 0.1 * height["Fp1"]


def test_background_has_the_size_of_eeg(healthy):
    sizes = [
        1e6 * np.median(np.abs(one["raw"].get_data(picks=slice(0, 19))), axis=1) / 0.6745
        for one in healthy
    ]
    typical = np.mean(sizes, axis=0)
    assert 8 < np.sqrt((typical**2).mean()) < 20
    assert typical.min() > 4


# HED and BIDS


def test_hedtools_finds_no_issue_and_searches_tell_faces_from_scrambled(sample):
    from hed import HedString, Sidecar, TabularInput
    from hed.models.query_service import get_query_handlers, search_hed_objs
    from hed.tools import BidsDataset

    dataset = BidsDataset(str(sample))
    assert dataset.validate(check_for_warnings=True) == []
    sidecar = Sidecar(str(sample / "task-faces_events.json"))
    assert set(sidecar.get_def_dict(dataset.schema).defs) == {"screen-centre"}
    queries = ["Face", "Image && ~Face", "Sensory-event", "Press && Index-finger"]
    handlers, names, issues = get_query_handlers(queries, queries)
    assert not issues
    for path in sorted(sample.rglob("*_events.tsv"))[:3]:
        assembled = TabularInput(str(path), sidecar=sidecar).series_a
        found = search_hed_objs(
            [HedString(text, dataset.schema) for text in assembled], handlers, names
        )
        kind = table(path).trial_type
        assert list(found["Face"]) == list((kind == "face").astype(int))
        assert list(found["Image && ~Face"]) == list((kind == "scrambled").astype(int))
        assert list(found["Sensory-event"]) == list((kind != "response").astype(int))
        assert list(found["Press && Index-finger"]) == list((kind == "response").astype(int))


def test_official_validator_finds_errors_in_the_broken_recording_only(sample, tmp_path):
    import bids_validator_deno  # noqa: F401  (the wheel that brings the program)

    program = Path(sys.executable).parent / "bids-validator-deno"
    report = tmp_path / "validation.json"
    command = [str(program), str(sample), "--format", "json", "--outfile", str(report)]
    subprocess.run(command, check=False, capture_output=True)
    issues = json.loads(report.read_text())
    assert issues["summary"]["totalFiles"] == len(tree(sample))
    stem = "/" + BROKEN.removesuffix(".edf")
    elsewhere = [
        issue
        for issue in issues["issues"]["issues"]
        if issue["severity"] == "error" and not issue.get("location", "").startswith(stem)
    ]
    assert elsewhere == []
    warnings = {i["code"] for i in issues["issues"]["issues"] if i["severity"] == "warning"}
    assert warnings <= {"TOO_FEW_AUTHORS", "JSON_KEY_RECOMMENDED"}
