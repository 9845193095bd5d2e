"""The signal that windows are cut from: order of channels, filters, rates, boundaries."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from bids_cases import brain_like, write_brainvision
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids import recording_signal
from bidsmill.bids.reading import open_recording
from bidsmill.bids.recording_signal import RecordingSignal
from bidsmill.convert.chain import Joined, Part, Segment, build_chain
from bidsmill.convert.writing import read_windows, rows_not_finite
from bidsmill.errors import BidsmillError, RecordingProblem
from bidsmill.signal.source import ArraySignal

BAND = {"low": 1.0, "high": 40.0, "notch": 50.0}


def whole(signal) -> np.ndarray:
    return signal.read(0, signal.n_times)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain")
    write_brainvision(folder, "a_eeg", brain_like(5, 3000), 250.0, list("abcde"))
    return open_recording(folder, "a_eeg.vhdr"), folder


@pytest.mark.parametrize("picks", [[0, 1, 2, 3, 4], [1, 3], [4], [3, 0, 4], [4, 3, 2, 1, 0]])
def test_channels_come_in_the_order_asked_for(opened, picks):
    recording, folder = opened
    signal = RecordingSignal(recording, picks, folder, "a_eeg.vhdr")
    assert (signal.n_channels, signal.n_times, signal.sfreq) == (len(picks), 3000, 250.0)
    every = recording.raw.get_data()
    np.testing.assert_array_equal(signal.read(100, 700), every[picks, 100:700])


def test_a_file_that_goes_while_it_is_read_is_a_problem_of_the_recording(tmp_path):
    write_brainvision(tmp_path, "a_eeg", brain_like(2, 500), 250.0, list("ab"))
    recording = open_recording(tmp_path, "a_eeg.vhdr")
    (tmp_path / "a_eeg.eeg").write_bytes(b"\0" * 100)
    with pytest.raises(RecordingProblem) as raised:
        RecordingSignal(recording, [0], tmp_path, "a_eeg.vhdr").read(0, 500)
    assert str(tmp_path) not in raised.value.message()


class Watched(ArraySignal):
    """A signal in memory that remembers what was read."""

    def __init__(self, data, sfreq):
        super().__init__(data, sfreq)
        self.spans = []

    def read(self, start, stop):
        self.spans.append((int(start), int(stop)))
        return super().read(start, stop)


@pytest.mark.parametrize(
    ("starts", "spans"),
    [
        ([0, 10, 20, 30], [(0, 40)]),
        ([0, 5, 10], [(0, 20)]),
        ([0, 20, 41], [(0, 30), (41, 51)]),
        ([7, 7, 80], [(7, 17), (80, 90)]),
        ([90], [(90, 100)]),
    ],
)
def test_windows_are_read_together_if_they_are_near(starts, spans):
    data = np.random.default_rng(0).standard_normal((3, 100))
    signal = Watched(data, 10.0)
    block = read_windows(signal, np.array(starts), 10)
    assert signal.spans == spans and block.dtype == np.float32
    for index, start in enumerate(starts):
        np.testing.assert_allclose(block[:, index], data[:, start : start + 10], rtol=1e-6)


def test_no_read_is_larger_than_the_bound_of_memory(monkeypatch):
    monkeypatch.setattr(recording_signal, "READ_BYTES", 3 * 8 * 45)
    data = np.random.default_rng(0).standard_normal((3, 1000))
    signal = Watched(data, 10.0)
    block = read_windows(signal, np.arange(0, 1000, 10), 10)
    assert max(stop - start for start, stop in signal.spans) <= 45
    np.testing.assert_allclose(block.reshape(3, 1000), data, rtol=1e-6)
    # A window that is larger is read in one piece.
    signal.spans.clear()
    read_windows(signal, np.array([0, 100]), 100)
    assert signal.spans == [(0, 100), (100, 200)]


@pytest.mark.parametrize(
    "starts",
    [
        range(0, 3000, 100),
        range(0, 2901, 25),
        [0, 100, 200, 350, 450, 2000, 2900],
        [5, 5, 105],
        [2900],
    ],
)
def test_windows_of_a_recording_are_those_of_mne(opened, starts):
    """Tiles are read into their place; overlapping and scattered windows are copied there."""
    recording, folder = opened
    picks = [3, 0, 4]
    signal = RecordingSignal(recording, picks, folder, "a_eeg.vhdr")
    every = recording.raw.get_data()[picks]
    wanted = np.stack([every[:, s : s + 100] for s in starts], axis=1).astype(np.float32)
    np.testing.assert_array_equal(read_windows(signal, np.array(starts), 100), wanted)
    space = np.full_like(wanted, 7.0)
    assert read_windows(signal, np.array(starts), 100, space) is space
    np.testing.assert_array_equal(space, wanted)
    # A signal that is computed gives the same.
    copied = read_windows(ArraySignal(every, 250.0), np.array(starts), 100)
    np.testing.assert_array_equal(copied, wanted)


def test_rows_that_are_not_finite_are_found():
    block = np.zeros((3, 5, 10), np.float32)
    assert rows_not_finite(block).tolist() == []
    # The sum is infinite though every value is finite.
    block[0, 1] = 3e38
    assert rows_not_finite(block).tolist() == []
    block[2, 0, 9], block[1, 4, 0], block[0, 4, 1] = np.nan, np.inf, -np.inf
    assert rows_not_finite(block).tolist() == [0, 4]


# --------------------------------------------------------------------------------- stretches


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_segment_is_a_slice_behind_repeats(data):
    array = np.random.default_rng(0).standard_normal((2, 30))
    start = data.draw(st.integers(0, 29))
    stop = data.draw(st.integers(start + 1, 30))
    lead = data.draw(st.integers(0, 12))
    wanted = np.concatenate(
        [np.repeat(array[:, start : start + 1], lead, axis=1), array[:, start:stop]], axis=1
    )
    segment = Segment(ArraySignal(array, 10.0), start, stop, lead)
    assert segment.n_times == wanted.shape[1]
    low = data.draw(st.integers(0, segment.n_times))
    high = data.draw(st.integers(low, segment.n_times))
    np.testing.assert_array_equal(segment.read(low, high), wanted[:, low:high])


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_joined_parts_leave_nan_between_them(data):
    edges = sorted(data.draw(st.lists(st.integers(0, 40), min_size=2, max_size=8, unique=True)))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    array = np.random.default_rng(0).standard_normal((2, 40))
    wanted = np.full((2, 40), np.nan)
    parts = []
    for low, high in pairs:
        wanted[:, low:high] = array[:, low:high]
        origin = data.draw(st.integers(0, low))
        parts.append(Part(low, high, origin, lambda o=origin: ArraySignal(array[:, o:], 10.0)))
    joined = Joined(parts, 10.0, 2, 40)
    for _ in range(3):
        low = data.draw(st.integers(0, 40))
        high = data.draw(st.integers(low, 40))
        np.testing.assert_array_equal(joined.read(low, high), wanted[:, low:high])


def test_one_part_is_kept_at_a_time():
    living = []

    def make():
        signal = ArraySignal(np.zeros((1, 10)), 10.0)
        living.append(weakref.ref(signal))
        return signal

    joined = Joined([Part(10 * i, 10 * i + 10, 10 * i, make) for i in range(50)], 10.0, 1, 500)
    for start in range(0, 490, 5):
        joined.read(start, start + 10)
    gc.collect()
    assert len(living) == 50
    assert sum(signal() is not None for signal in living) == 1


# ------------------------------------------------------------------------------------- chains


def test_without_filter_and_rate_nothing_is_done():
    source = ArraySignal(np.zeros((1, 100)), 250.0)
    for resample in (None, 250.0, 250.0 * (1 + 1e-13)):
        assert build_chain(source, [(0, 100)], None, resample) == (source, [])
        assert build_chain(source, [(0, 50), (50, 100)], None, resample) == (source, [])


@pytest.mark.parametrize(
    "band",
    [
        {"low": 0.5, "high": 40.0},
        {"low": None, "high": 30},
        {"low": 1.0},
        {"notch": [50.0, 100.0]},
        BAND,
    ],
)
def test_filters_are_those_of_mne(band):
    import mne

    data = brain_like(3, 5000)
    signal, steps = build_chain(ArraySignal(data, 250.0), [(0, 5000)], band, None)
    wanted = data
    if band.get("notch"):
        wanted = mne.filter.notch_filter(wanted, 250.0, band["notch"], verbose="ERROR")
    if band.get("low") or band.get("high"):
        wanted = mne.filter.filter_data(
            wanted, 250.0, band.get("low"), band.get("high"), verbose="ERROR"
        )
    np.testing.assert_allclose(whole(signal), wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())
    assert [step["step"] for step in steps] == ["filter"] and "source" not in steps[0]


def test_each_stretch_is_filtered_for_itself_as_mne_does():
    import mne

    data = brain_like(2, 4000)
    segments = [(0, 1500), (1500, 1900), (2000, 4000)]
    signal, steps = build_chain(ArraySignal(data, 250.0), segments, {"low": 1.0}, None)
    found = whole(signal)
    for low, high in segments:
        # MNE warns that the filter is longer than the stretch; the values are its own.
        wanted = mne.filter.filter_data(data[:, low:high], 250.0, 1.0, None, verbose="ERROR")
        scale = 1e-6 * np.abs(wanted).max()
        np.testing.assert_allclose(found[:, low:high], wanted, rtol=0, atol=scale)
    assert np.isnan(found[:, 1900:2000]).all()
    assert steps[0]["per_segment"] and steps[0]["steps"][0]["shorter_than_filter"]


SEGMENTS = [(0, 1203), (1203, 1490), (1621, 2400), (2400, 3000)]


@pytest.mark.parametrize(
    ("band", "resample"),
    [
        *[(None, rate) for rate in (128.0, 100.0, 500.0, 97.3456789)],
        *[({"low": 2.0, "high": 30.0}, rate) for rate in (None, 128.0, 500.0, 97.3456789)],
    ],
)
def test_nothing_from_beyond_a_boundary_enters(band, resample):
    data = brain_like(2, 3000)
    other = data.copy()
    other[:, 1203:1490] = 1e3
    other[:, 1490:1621] = np.nan
    before, _ = build_chain(ArraySignal(data, 250.0), SEGMENTS, band, resample)
    after, _ = build_chain(ArraySignal(other, 250.0), SEGMENTS, band, resample)
    times = np.arange(before.n_times) / before.sfreq * 250.0
    changed = (times > 1203 - 1e-9) & (times < 1490 - 1e-9)
    gap = (times > 1490 - 1e-9) & (times < 1621 - 1e-9)
    found, wanted = whole(after), whole(before)
    assert np.isnan(found[:, gap]).all() and np.isnan(wanted[:, gap]).all()
    np.testing.assert_array_equal(found[:, ~changed & ~gap], wanted[:, ~changed & ~gap])
    assert np.isfinite(found[:, ~gap]).all()
    assert (np.abs(found[:, changed] - wanted[:, changed]) > 0).all()


@pytest.mark.parametrize("resample", [128.0, 100.0, 500.0, 97.3456789])
def test_the_grid_is_that_of_the_recording_in_every_stretch(resample):
    times = np.arange(3000) / 250.0
    signal, steps = build_chain(
        ArraySignal(np.sin(2 * np.pi * 5 * times)[np.newaxis], 250.0), SEGMENTS, None, resample
    )
    assert signal.n_times == np.ceil(3000 * resample / 250.0 - 1e-9)
    assert [(s["step"], s["per_segment"]) for s in steps] == [("resample", True)]
    found = whole(signal)[0]
    out = np.arange(signal.n_times) / resample
    for low, high in SEGMENTS:
        inner = (out > low / 250 + 0.5) & (out < high / 250 - 0.5)
        wanted = np.sin(2 * np.pi * 5 * out[inner])
        assert inner.sum() > 10
        np.testing.assert_allclose(found[inner], wanted, atol=1e-3)


@pytest.mark.parametrize("resample", [100.0, 640.0])
def test_resampling_is_that_of_mne_in_the_interior(resample):
    import mne

    rng = np.random.default_rng(0)
    data = mne.filter.filter_data(
        rng.standard_normal((2, 5000)), 250.0, None, 30.0, verbose="ERROR"
    )
    signal, _ = build_chain(ArraySignal(data, 250.0), [(0, 5000)], None, resample)
    wanted = mne.filter.resample(data, resample, 250.0, verbose="ERROR")
    found = whole(signal)
    assert found.shape == wanted.shape
    inner = slice(int(resample), -int(resample))
    np.testing.assert_allclose(found[:, inner], wanted[:, inner], atol=1e-2)


def test_reads_of_a_cut_recording_do_not_depend_on_how_they_are_cut():
    data = brain_like(2, 3000)
    band = {"low": 2.0, "high": 30.0}
    signal, _ = build_chain(ArraySignal(data, 250.0), SEGMENTS, band, 128.0)
    wanted = whole(signal)
    again, _ = build_chain(ArraySignal(data, 250.0), SEGMENTS, band, 128.0)
    rng = np.random.default_rng(0)
    for start in [*rng.integers(0, signal.n_times - 40, 30), *range(0, 600, 37)]:
        np.testing.assert_array_equal(again.read(start, start + 40), wanted[:, start : start + 40])


@pytest.mark.parametrize("segment", [(700, 701), (700, 702), (2999, 3000), (0, 1)])
def test_the_shortest_stretches(segment):
    data = brain_like(2, 3000)
    low, high = segment
    segments = [s for s in [(0, low), segment, (high, 3000)] if s[0] < s[1]]
    for band, resample in (({"low": 1.0}, None), (None, 128.0), ({"high": 30.0}, 500.0)):
        signal, _ = build_chain(ArraySignal(data, 250.0), segments, band, resample)
        assert np.isfinite(whole(signal)).all()


def test_a_recording_without_any_stretch():
    signal, _steps = build_chain(ArraySignal(np.zeros((1, 100)), 250.0), [], BAND, 125.0)
    assert (signal.n_times, signal.sfreq) == (50, 125.0)


@pytest.mark.parametrize("band", [{"high": 125.0}, {"low": 200.0}, {"notch": 130.0}])
@pytest.mark.parametrize("segments", [[(0, 1000)], [(0, 500), (500, 1000)]])
def test_filters_above_nyquist_are_refused(band, segments):
    with pytest.raises(BidsmillError):
        build_chain(ArraySignal(np.zeros((1, 1000)), 250.0), segments, band, None)
