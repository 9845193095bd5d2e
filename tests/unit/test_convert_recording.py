"""Whole recordings become matrices: every value against MNE, every refusal with its reason."""

from __future__ import annotations

import numpy as np
import pytest
from bids_cases import (
    brain_like,
    dataset_settings,
    members,
    write_brainvision,
    write_edf,
    write_events,
    write_fif,
    write_tsv,
)

from bidsmill.convert.recording import convert_recording
from bidsmill.errors import RecordingProblem
from bidsmill.formats.matrix import MatrixFile

STEM = "sub-01_task-x_eeg"
FOLDER = "sub-01/eeg"
SFREQ = 250.0
NAMES = ["Fz", "Cz", "Pz", "Oz", "EOG"]
DATA = brain_like(5, 5000, seed=3)
FIXED = {"kind": "fixed", "length": 1.0}
EPOCHS = {"kind": "events", "tmin": -0.2, "tmax": 0.6}
ONSETS = [2.0, 2.1004, 5.0, 5.3, 9.0, 14.9996, 19.0]


class Converted:
    """A converted recording: the receipt, the matrix and the rows' samples."""

    def __init__(self, receipt, path):
        self.receipt, self.detail = receipt, receipt["detail"]
        self.starts = self.detail["starts"]
        with MatrixFile(path) as matrix:
            self.metadata, self.channels = matrix.metadata, matrix.channels
            self.group_rows = matrix.group_rows
            self.values = matrix.read()


@pytest.fixture
def convert(tmp_path):
    """Return a function that converts the recording under tmp_path."""

    def run(events=(), **own):
        path = write_events(tmp_path / "events.tsv", events)
        output = tmp_path / "matrix" / f"{STEM}.parquet"
        member = members(tmp_path / "bids")[STEM]
        receipt = convert_recording(
            member, tmp_path / "bids", path, output, dataset_settings(**own)
        )
        return Converted(receipt, output)

    return run


def problem_of(convert, *arguments, **own) -> RecordingProblem:
    with pytest.raises(RecordingProblem) as raised:
        convert(*arguments, **own)
    return raised.value


@pytest.fixture
def recording(tmp_path):
    """Return a function that writes a BrainVision recording, and the folder of its dataset."""

    def write(data=DATA, sfreq=SFREQ, names=NAMES, **keywords):
        write_brainvision(tmp_path / "bids" / FOLDER, STEM, data, sfreq, names, **keywords)
        return tmp_path / "bids"

    return write


def read(root, name=f"{STEM}.vhdr"):
    import mne

    return mne.io.read_raw(root / FOLDER / name, preload=True, verbose="ERROR")


def windows_of(data, starts, length):
    return np.stack([data[:, start : start + length] for start in starts])


def close(found, wanted):
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6 * scale)


def chosen(*onsets):
    return [(onset, "yes") for onset in onsets]


# ------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("length", "overlap"), [(1.0, 0.0), (1.0, 0.5), (0.5, 0.4), (3.0, 0.0), (0.004, 0.0)]
)
def test_fixed_windows_hold_the_samples(recording, convert, length, overlap):
    root = recording()
    done = convert(windows={"kind": "fixed", "length": length, "overlap": overlap})
    samples, step = round(length * SFREQ), round((length - overlap) * SFREQ)
    assert done.starts == list(range(0, 5000 - samples + 1, step))
    wanted = windows_of(read(root).get_data(), done.starts, samples)
    np.testing.assert_allclose(done.values, wanted, rtol=1e-6)
    assert done.channels == NAMES and done.detail["excluded"] == {}
    assert done.detail["events"] is None and done.detail["dropped"] == {}


def test_event_windows_are_the_epochs_of_mne(recording, convert):
    import mne

    root = recording()
    done = convert(chosen(*ONSETS), windows=EPOCHS)
    raw = read(root)
    events = np.array([[round(onset * SFREQ), 0, 1] for onset in ONSETS])
    epochs = mne.Epochs(
        raw, events, tmin=-0.2, tmax=0.6 - 1 / SFREQ, baseline=None, preload=True, verbose="ERROR"
    )
    assert done.values.shape == (7, 5, 200)
    np.testing.assert_allclose(done.values, epochs.get_data(), rtol=1e-6)
    assert done.metadata["tmin"] == epochs.times[0] == -0.2
    assert done.starts == [sample - 50 for sample in events[:, 0]]
    assert done.detail["events"] == list(range(7))


def test_a_baseline_is_that_of_mne(recording, convert):
    import mne

    root = recording()
    done = convert(chosen(*ONSETS), windows={**EPOCHS, "baseline": [-0.2, 0.0]})
    wanted = windows_of(read(root).get_data(), done.starts, 200)
    # `to` is not included, as the end of a window is not.
    times = np.arange(200) / SFREQ - 0.2
    wanted = mne.baseline.rescale(
        wanted, times, (-0.2, -1 / SFREQ), mode="mean", copy=True, verbose="ERROR"
    )
    close(done.values, wanted)
    assert {"step": "baseline", "span": [-0.2, 0.0], "mode": "mean"} in done.detail["processing"]


@pytest.mark.parametrize("span", [[-0.2, -0.199], [0.598, 0.6], [0.599, 0.6], [-0.2, 0.6]])
def test_the_shortest_and_the_longest_baseline(recording, convert, span):
    recording()
    done = convert(chosen(5.0), windows={**EPOCHS, "baseline": span})
    low, high = round((span[0] + 0.2) * SFREQ), round((span[1] + 0.2) * SFREQ)
    low = min(low, 199)
    means = done.values[0][:, low : max(high, low + 1)].mean(axis=1)
    assert np.abs(means).max() < 1e-11 and np.isfinite(done.values).all()


def test_a_filter_is_that_of_mne_on_the_whole_recording(recording, convert):
    import mne

    root = recording()
    band = {"low": 1.0, "high": 40.0, "notch": 60.0}
    done = convert(chosen(*ONSETS), windows=EPOCHS, filter=band)
    wanted = mne.filter.notch_filter(read(root).get_data(), SFREQ, 60.0, verbose="ERROR")
    wanted = mne.filter.filter_data(wanted, SFREQ, 1.0, 40.0, verbose="ERROR")
    close(done.values, windows_of(wanted, done.starts, 200))
    assert [step["step"] for step in done.detail["processing"]] == ["filter", "windows", "cast"]


@pytest.mark.parametrize("resample", [128.0, 100.0, 333.3])
def test_resampled_windows_stand_where_the_time_is(recording, convert, resample):
    times = np.arange(5000) / SFREQ
    recording(np.stack([1e-5 * np.sin(2 * np.pi * 7 * times), 1e-5 + 0 * times]), names=["s", "c"])
    done = convert(chosen(*ONSETS[:-1]), windows=EPOCHS, resample=resample)
    length = round(0.8 * resample)
    assert done.values.shape == (6, 2, length) and done.receipt["sfreq"] == resample
    for start, onset, values in zip(done.starts, ONSETS, done.values, strict=False):
        assert start == round(onset * resample) + round(-0.2 * resample)
        out = (start + np.arange(length)) / resample
        np.testing.assert_allclose(values[0], 1e-5 * np.sin(2 * np.pi * 7 * out), atol=1e-8)
        np.testing.assert_allclose(values[1], 1e-5, rtol=1e-6)


def test_filter_and_resampling_are_near_those_of_mne(recording, convert):
    import mne

    root = recording()
    done = convert(windows=FIXED, filter={"low": 1.0, "high": 40.0}, resample=125)
    wanted = mne.filter.filter_data(read(root).get_data(), SFREQ, 1.0, 40.0, verbose="ERROR")
    wanted = mne.filter.resample(wanted, 1, 2, verbose="ERROR")
    inner = [start for start in done.starts if 125 <= start <= 2500 - 250]
    found = done.values[[done.starts.index(start) for start in inner]]
    wanted = windows_of(wanted, inner, 125)
    np.testing.assert_allclose(found, wanted, atol=1e-2 * wanted.std())


def test_windows_far_apart_overlapping_and_equal(recording, convert):
    data = np.random.default_rng(0).standard_normal((2, 60_000)) * 1e-5
    root = recording(data, names=["a", "b"])
    onsets = [1.0, 1.0, 1.004, 1.5, 120.0, 120.1, 239.0]
    done = convert(chosen(*onsets), windows=EPOCHS)
    wanted = windows_of(read(root).get_data(), [round(o * SFREQ) - 50 for o in onsets], 200)
    np.testing.assert_allclose(done.values, wanted, rtol=1e-6)


def test_one_row(recording, convert):
    root = recording()
    done = convert(chosen(10.0), windows=EPOCHS)
    np.testing.assert_allclose(done.values[0], read(root).get_data()[:, 2450:2650], rtol=1e-6)
    assert done.receipt["shape"] == [1, 5, 200]


def test_more_rows_than_one_group(recording, convert):
    data = (np.random.default_rng(0).standard_normal((130, 40_000)) * 1e-5).astype(np.float32)
    root = recording(data, names=[f"E{i}" for i in range(130)])
    done = convert(windows={"kind": "fixed", "length": 10.0, "overlap": 5.0})
    assert len(done.group_rows) > 1 and sum(done.group_rows) == len(done.starts) == 31
    wanted = read(root).get_data()
    for row, start in enumerate(done.starts):
        np.testing.assert_allclose(done.values[row], wanted[:, start : start + 2500], rtol=1e-6)


def test_the_same_bytes_twice(recording, convert):
    recording()
    own = {"windows": FIXED, "filter": {"low": 1.0}, "resample": 128}
    assert convert(**own).receipt == convert(**own).receipt


def test_facts_of_the_receipt_and_the_metadata(recording, convert):
    root = recording()
    (root / f"{FOLDER}/{STEM}.json").write_text(
        '{"PowerLineFrequency": 50, "Manufacturer": "M", "SamplingFrequency": 500, "Other": 1}'
    )
    done = convert(chosen(5.0), windows=EPOCHS)
    receipt, metadata = done.receipt, done.metadata
    assert receipt["shape"] == metadata["shape"] == [1, 5, 200]
    assert (receipt["source_sfreq"], receipt["source_n_times"]) == (250.0, 5000)
    assert metadata["source"]["file"] == f"{FOLDER}/{STEM}.vhdr"
    assert metadata["source"]["format"] == "BrainVision"
    assert metadata["line_frequency"] == 50.0 and metadata["layout"] == receipt["layout"]
    assert done.detail["hardware"] == {"Manufacturer": "M", "PowerLineFrequency": 50}
    assert any("SamplingFrequency 500 Hz" in text for text in receipt["conflicts"])
    ((name, stated),) = receipt["files"].items()
    assert name == f"{STEM}.parquet" and stated["size"] > 0


# ----------------------------------------------------------------------------------- channels


@pytest.fixture
def typed(recording):
    root = recording()
    rows = [["Fz", "EEG", "good"], ["Cz", "EEG", "bad"], ["Pz", "EEG", "good"]]
    rows += [["Oz", "EEG", "good"], ["EOG", "EOG", "good"]]
    write_tsv(root / FOLDER / "sub-01_task-x_channels.tsv", ["name", "type", "status"], *rows)
    return root


@pytest.mark.parametrize(
    ("own", "names"),
    [
        ({}, ["Fz", "Cz", "Pz", "Oz"]),
        ({"types": ["eeg", "eog"]}, NAMES),
        ({"types": ["eog"]}, ["EOG"]),
        ({"bad": "drop"}, ["Fz", "Pz", "Oz"]),
        ({"exclude": ["Fz", "nothing"]}, ["Cz", "Pz", "Oz"]),
        ({"exclude": ["Fz"], "bad": "drop"}, ["Pz", "Oz"]),
        ({"policy": "list", "names": ["Oz", "EOG", "Fz"]}, ["Oz", "EOG", "Fz"]),
        ({"policy": "list", "names": ["Oz", "Fz", "Oz"]}, ["Oz", "Fz"]),
        ({"policy": "list", "names": ["Oz", "Cz"], "bad": "drop"}, ["Oz"]),
    ],
)
def test_channels_and_their_order(typed, convert, own, names):
    done = convert(chosen(5.0), windows=EPOCHS, channels=own)
    assert done.channels == names
    every = read(typed).get_data()[:, 1200:1400]
    wanted = every[[NAMES.index(name) for name in names]]
    np.testing.assert_allclose(done.values[0], wanted, rtol=1e-6)
    told = {c["name"]: (c["kept"], c["type"], c["status"]) for c in done.detail["channels"]}
    assert list(told) == NAMES
    assert {name for name, (kept, *_) in told.items() if kept} == set(names)
    assert told["Cz"][2] == "bad" and told["EOG"][1] == "eog"


def test_channels_are_found_by_either_name(tmp_path, convert):
    names = ["cz", "Cz", " Pz"]
    write_fif(tmp_path / "bids" / FOLDER / f"{STEM}.fif", DATA[:3], SFREQ, names)
    own = {"policy": "list", "names": ["Pz", "Cz-1"]}
    done = convert(windows=FIXED, channels=own)
    assert done.channels == ["Pz", "Cz-1"]
    np.testing.assert_allclose(done.values[0], DATA[[2, 1], :250], rtol=1e-6)


def test_without_types_edf_of_emg_is_data(tmp_path, convert):
    write_edf(tmp_path / "bids" / FOLDER / f"{STEM}.edf", [("EMG1", DATA[0] * 1e6, SFREQ, "uV")])
    assert convert(windows=FIXED).channels == ["EMG1"]


# ------------------------------------------------------------------------------------ refusals


def test_no_events(recording, convert):
    recording()
    for events in ([], [(5.0, "no")]):
        found = problem_of(convert, events, windows=EPOCHS)
        assert found.code == "no_events" and found.found == f"{len(events)} events"


def test_no_windows(recording, convert):
    recording()
    found = problem_of(convert, chosen(0.1, 19.9, 25.0), windows=EPOCHS)
    assert found.code == "no_windows"
    for part in ("after_end: 1", "window_after_end: 1", "window_before_start: 1"):
        assert part in found.found
    assert problem_of(convert, windows={"kind": "fixed", "length": 21.0}).code == "no_windows"


def test_missing_channels(recording, convert):
    recording()
    own = {"policy": "list", "names": ["Fz", "fz", "Nz"]}
    found = problem_of(convert, windows=FIXED, channels=own)
    assert found.code == "missing_channels" and found.found == "no channel fz, Nz"


def test_no_channels(recording, convert):
    recording()
    found = problem_of(convert, windows=FIXED, channels={"types": ["ecg"]})
    assert found.code == "no_channels"


@pytest.mark.parametrize("band", [{"high": 200}, {"low": 126}, {"notch": 125}])
def test_filter_above_nyquist(recording, convert, band):
    recording()
    found = problem_of(convert, windows=FIXED, filter=band)
    assert found.code == "filter_impossible"


def test_a_refusal_leaves_no_file(recording, convert, tmp_path):
    recording()
    problem_of(convert, windows=EPOCHS)
    (tmp_path / "bids" / FOLDER / f"{STEM}.eeg").write_bytes(b"\0" * 30)
    problem_of(convert, windows=FIXED)
    assert not list((tmp_path / "matrix").glob("*"))


# ------------------------------------------------------------------- boundaries and bad signal


def fif(tmp_path, marks, data=DATA, first_samp=0):
    path = tmp_path / "bids" / FOLDER / f"{STEM}.fif"
    return write_fif(path, data, SFREQ, NAMES[: len(data)], "eeg", marks, first_samp)


def test_bad_segments_are_excluded(tmp_path, convert):
    marks = [(3.5, 0.6, "BAD_eye"), (8.0, 0.0, "bad blip"), (10.5, 1.0, "good")]
    fif(tmp_path, marks, first_samp=777)
    done = convert(windows=FIXED)
    assert len(done.starts) == 20
    assert done.detail["excluded"] == dict.fromkeys(["3", "4", "8"], "bad_segment")
    np.testing.assert_allclose(done.values[3], DATA[:, 750:1000], rtol=1e-6)


def test_bad_segments_on_another_grid(tmp_path, convert):
    fif(tmp_path, [(3.5, 0.6, "BAD_eye")])
    done = convert(windows=FIXED, resample=100)
    assert done.detail["excluded"] == dict.fromkeys(["3", "4"], "bad_segment")


def test_samples_that_are_not_finite_are_excluded(tmp_path, convert):
    data = DATA.copy()
    data[2, 1000] = np.nan
    data[0, 3000] = np.inf
    fif(tmp_path, [], data)
    done = convert(windows=FIXED)
    assert done.detail["excluded"] == dict.fromkeys(["4", "12"], "not_finite")
    assert np.isnan(done.values[4, 2, 0]) and np.isfinite(np.delete(done.values, [4, 12], 0)).all()


def test_a_value_too_large_for_float32_is_excluded(tmp_path, convert):
    data = DATA.copy()
    data[0, 0] = 1e300
    fif(tmp_path, [], data)
    assert convert(windows=FIXED).detail["excluded"] == {"0": "not_finite"}


def test_no_window_crosses_a_boundary_and_events_there_are_dropped(tmp_path, convert):
    fif(tmp_path, [(5.0, 0.0, "boundary")])
    done = convert(chosen(4.0, 4.5, 4.9, 5.1, 5.2), windows=EPOCHS)
    assert done.detail["events"] == [0, 4]
    assert done.detail["dropped"] == {"1": "boundary", "2": "boundary", "3": "boundary"}
    assert done.starts == [950, 1250]


def test_boundaries_of_the_events_count_too(recording, convert):
    recording()
    done = convert([(7.1, "no", "boundary"), (9.0, "no", "x")], windows=FIXED)
    assert done.starts == [*range(0, 1501, 250), *range(1775, 4751, 250)]


def test_skips_are_gaps(tmp_path, convert):
    fif(tmp_path, [(2.5, 2.1, "BAD_ACQ_SKIP")], first_samp=100)
    done = convert(windows=FIXED)
    assert done.starts == [0, 250, *range(1150, 4751, 250)]
    assert done.detail["excluded"] == {}


@pytest.mark.parametrize("resample", [None, 100])
@pytest.mark.parametrize("band", [None, {"low": 1.0, "high": 40.0}])
def test_what_lies_beyond_a_boundary_changes_nothing(tmp_path, convert, band, resample):
    marks = [(5.0, 0.0, "boundary"), (12.0, 1.0, "BAD_ACQ_SKIP")]
    own = {"windows": {"kind": "fixed", "length": 0.5}, "filter": band, "resample": resample}
    fif(tmp_path, marks)
    before = convert(**own)
    data = DATA.copy()
    data[:, :1250] += 1.0
    data[:, 3000:3250] = 5.0
    fif(tmp_path, marks, data)
    after = convert(**own)
    rate = resample or SFREQ
    same = np.array(before.starts) >= 5 * rate
    assert before.starts == after.starts and 0 < same.sum() < len(same)
    np.testing.assert_array_equal(after.values[same], before.values[same])
    # At the low edge of the band the sum comes to nothing: only the band without it tells.
    assert not np.array_equal(after.values[~same], before.values[~same])


# --------------------------------------------------------------------------------- mixed rates

SLOW = brain_like(2, 2000, seed=9) * 1e6
FAST = brain_like(2, 5000, seed=8) * 1e6


@pytest.mark.parametrize(
    "names", [["Fz", "Cz", "S1", "S2"], ["S2", "Fz"], ["S1"], ["S1", "S2"], ["Fz", "Cz"]]
)
@pytest.mark.parametrize("length", [0.6, 1.0])
def test_channels_of_two_rates_are_those_of_mne_with_everything_loaded(
    tmp_path, convert, names, length
):
    signals = [(n, d, 250, "uV") for n, d in zip(["Fz", "Cz"], FAST, strict=True)]
    signals += [(n, d, 100, "uV") for n, d in zip(["S1", "S2"], SLOW, strict=True)]
    write_edf(tmp_path / "bids" / FOLDER / f"{STEM}.edf", [signals[i] for i in (0, 2, 1, 3)])
    own = {"policy": "list", "names": names}
    done = convert(windows={"kind": "fixed", "length": length}, channels=own)
    raw = read(tmp_path / "bids", f"{STEM}.edf")
    assert raw.info["sfreq"] == done.receipt["sfreq"] == 250.0
    wanted = windows_of(raw.get_data(picks=names), done.starts, round(length * SFREQ))
    close(done.values, wanted)
    mixed = any(name.startswith("S") for name in names)
    assert mixed == any("differ in sampling rate" in c for c in done.receipt["conflicts"])


def test_alternatives_are_told(recording, convert):
    root = recording()
    (root / FOLDER / f"{STEM}.edf").write_bytes(b"anything")
    done = convert(windows=FIXED)
    assert f"not read, the same recording: {FOLDER}/{STEM}.edf" in done.receipt["conflicts"]


def test_the_order_of_keys_in_a_config_does_not_reach_the_bytes(convert, recording):
    recording()
    events = [(2.0, "yes", "face"), (5.0, "yes", "face")]
    turned = dict(reversed(EPOCHS.items()))
    one, other = (convert(events, windows=windows) for windows in (EPOCHS, turned))
    assert list(EPOCHS) != list(turned)
    assert one.receipt["files"] == other.receipt["files"]
