"""Filters against MNE-Python and against sines."""

import mne
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.signal import ArraySignal, Filtered
from bidsmill.signal.design import design_band, design_notch


@pytest.fixture(autouse=True)
def quiet():
    with mne.use_log_level("ERROR"):
        yield


def drifting(n_channels, n_times, seed=0):
    """Noise, drift, and an offset as electrodes have it."""
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((n_channels, n_times))
    return 1e-6 * (data + 0.1 * data.cumsum(axis=1) + 300 * rng.standard_normal((n_channels, 1)))


def with_mne(data, sfreq, low=None, high=None, notch=None):
    if notch is not None:
        data = mne.filter.notch_filter(data, sfreq, notch)
    if low is not None or high is not None:
        data = mne.filter.filter_data(data, sfreq, low, high)
    return data


@pytest.mark.parametrize(
    ("sfreq", "settings_"),
    [
        (250.0, {"low": 0.5, "high": 40.0}),
        (250.0, {"low": 0.1}),
        (500.0, {"high": 100.0}),
        (250.0, {"high": 124.0}),
        (499.7071, {"low": 1.0, "high": 45.5}),
        (1000.0, {"notch": 50.0}),
        (500.0, {"notch": [60, 120, 180]}),
        (512.0, {"low": 0.3, "high": 70, "notch": [100, 50]}),
    ],
)
def test_the_whole_recording_equals_mne(sfreq, settings_):
    data = drifting(10, 40_000)
    signal = Filtered(ArraySignal(data, sfreq), **settings_)
    ours = np.concatenate([signal.read(a, min(a + 777, 40_000)) for a in range(0, 40_000, 777)], 1)
    theirs = with_mne(data, sfreq, **settings_)
    assert np.abs(ours - theirs).max() < 1e-9 * theirs.std(axis=1).min()


@pytest.mark.parametrize("n_times", [1, 2, 3, 40, 412, 413, 414, 825, 1650])
@pytest.mark.parametrize("settings_", [{"low": 1.0}, {"high": 30.0}, {"notch": 50.0}])
def test_recordings_shorter_than_the_filter_are_as_in_mne(n_times, settings_):
    data = drifting(2, n_times)
    signal = Filtered(ArraySignal(data, 250.0), **settings_)
    theirs = with_mne(data, 250.0, **settings_)
    np.testing.assert_allclose(signal.read(0, n_times), theirs, rtol=1e-9, atol=1e-15)
    step = signal.describe()["steps"][0]
    assert step["shorter_than_filter"] == (n_times < step["length"])


def test_an_empty_recording_stays_empty():
    signal = Filtered(ArraySignal(np.empty((3, 0)), 250.0), low=1, high=30, notch=50)
    assert signal.n_times == 0
    assert signal.read(0, 0).shape == (3, 0)


@settings(max_examples=60, deadline=None)
@given(
    sfreq=st.one_of(
        st.sampled_from([100.0, 128.0, 250.0, 256.0, 500.0, 512.0, 1000.0, 2048.0]),
        st.floats(60, 3000),
    ),
    low=st.one_of(st.none(), st.floats(0.2, 12)),
    high=st.one_of(st.none(), st.floats(12.5, 29)),
)
def test_the_design_equals_mne_at_any_rate(sfreq, low, high):
    if low is None and high is None:
        high = 20.0
    with mne.use_log_level("ERROR"):
        theirs = mne.filter.create_filter(None, sfreq, low, high)
    ours = design_band(sfreq, low, high)
    assert len(ours.kernel) == ours.parameters["length"] == len(theirs)
    np.testing.assert_allclose(ours.kernel, theirs, rtol=0, atol=1e-13)
    np.testing.assert_allclose(ours.kernel, ours.kernel[::-1], rtol=0, atol=1e-15)


@settings(max_examples=25, deadline=None)
@given(sfreq=st.floats(150, 1200), notch=st.sets(st.sampled_from([16.7, 25, 50, 60]), min_size=1))
def test_the_notch_design_equals_mne_at_any_rate(sfreq, notch):
    design = design_notch(sfreq, sorted(notch, reverse=True))
    length = len(design.kernel)
    impulse = np.zeros((1, 4 * length + 1))
    impulse[0, 2 * length] = 1.0
    with mne.use_log_level("ERROR"):
        response = mne.filter.notch_filter(impulse, sfreq, sorted(notch))[0]
    half = length // 2
    cut = response[2 * length - half : 2 * length + half + 1]
    np.testing.assert_allclose(design.kernel, cut, rtol=0, atol=1e-12)


def test_transitions_and_notch_widths_may_be_chosen():
    data = drifting(2, 5000)
    ours = Filtered(ArraySignal(data, 250.0), 2, 40, low_transition=1.5, high_transition=7)
    theirs = mne.filter.filter_data(data, 250.0, 2, 40, l_trans_bandwidth=1.5, h_trans_bandwidth=7)
    np.testing.assert_allclose(ours.read(0, 5000), theirs, rtol=0, atol=1e-9 * theirs.std())
    ours = Filtered(ArraySignal(data, 250.0), notch=[100, 50], notch_widths=[3, 2])
    theirs = mne.filter.notch_filter(data, 250.0, [50, 100], notch_widths=np.array([2.0, 3.0]))
    np.testing.assert_allclose(ours.read(0, 5000), theirs, rtol=0, atol=1e-9 * theirs.std())


def test_sines_pass_or_stop_without_delay():
    sfreq, times = 500.0, np.arange(20_000) / 500
    tones = np.sin(2 * np.pi * np.array([[10.0], [25.0], [1.0], [70.0], [50.0]]) * times + 0.3)
    out = Filtered(ArraySignal(tones, sfreq), low=4, high=40, notch=50).read(4000, 16_000)
    np.testing.assert_allclose(out[:2], tones[:2, 4000:16_000], rtol=0, atol=5e-3)
    # 53 dB is what the window promises in the stop band.
    assert np.abs(out[2:]).max() < 10 ** (-50 / 20)


def test_a_low_pass_preserves_an_offset():
    out = Filtered(ArraySignal(np.full((1, 3000), 0.3), 250.0), high=40).read(0, 3000)
    np.testing.assert_allclose(out, 0.3, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "does nothing"),
        ({"notch": []}, "does nothing"),
        ({"low": 0}, "0 < low < high < 125 Hz"),
        ({"high": 125}, "0 < low < high < 125 Hz"),
        ({"low": 40, "high": 1}, "low 40 Hz, high 1 Hz at 250 Hz"),
        ({"low": float("nan")}, "edges of the filter"),
        ({"notch": 125}, "notch does not fit"),
        ({"notch": [50, 0.2]}, "notch does not fit"),
        ({"notch": [50, 50.5]}, "overlap"),
        ({"low": 1, "low_transition": 2}, "below 1 Hz"),
        ({"high": 120, "high_transition": 6}, "above 120 Hz"),
    ],
)
def test_impossible_filters_are_refused_in_words(arguments, message):
    with pytest.raises(BidsmillError, match=message):
        Filtered(ArraySignal(np.zeros((1, 1000)), 250.0), **arguments)
