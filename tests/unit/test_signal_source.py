"""Spans, rates, descriptions and reaches of signals."""

import json

import numpy as np
import pytest

from bidsmill.errors import BidsmillError
from bidsmill.signal import ArraySignal, Filtered, Resampled, Signal, describe_chain, reach


def test_array_signal_returns_its_samples_and_keeps_float32():
    data = np.arange(12, dtype=np.float32).reshape(3, 4)
    signal = ArraySignal(data, 100)
    assert isinstance(signal, Signal)
    assert (signal.n_channels, signal.n_times, signal.sfreq) == (3, 4, 100.0)
    np.testing.assert_array_equal(signal.read(1, 3), data[:, 1:3])
    assert signal.read(0, 4).dtype == np.float32
    assert ArraySignal(data.astype(np.int16), 100).read(0, 1).dtype == np.float64


@pytest.mark.parametrize("span", [(-1, 2), (2, 1), (0, 5)])
def test_spans_outside_the_signal_are_refused(span):
    base = ArraySignal(np.zeros((1, 4)), 100)
    for signal in (base, Filtered(base, high=20), Resampled(base, 100)):
        with pytest.raises(BidsmillError, match=f"start {span[0]}, stop {span[1]}"):
            signal.read(*span)


@pytest.mark.parametrize("sfreq", [0, -1, np.nan, np.inf, None, "fast"])
def test_impossible_rates_are_refused(sfreq):
    with pytest.raises(BidsmillError, match="sampling rate"):
        ArraySignal(np.zeros((1, 4)), sfreq)
    with pytest.raises(BidsmillError, match="sampling rate"):
        Resampled(ArraySignal(np.zeros((1, 4)), 100), sfreq)


def test_a_signal_has_two_dimensions():
    with pytest.raises(BidsmillError, match="two dimensions"):
        ArraySignal(np.zeros(4), 100)


def test_describe_chain_names_every_step_in_order():
    base = ArraySignal(np.zeros((1, 4000)), 500)
    chain = Resampled(Filtered(base, low=1, high=40, notch=[50, 100]), 250)
    steps = json.loads(json.dumps(describe_chain(chain)))
    assert [step["kind"] for step in steps] == ["array", "filter", "resample"]
    notch, band = steps[1]["steps"]
    # 3.3 / 0.5 Hz and 3.3 / 1 Hz at 500 Hz, made odd.
    assert (notch["kind"], notch["notch_hz"], notch["length"]) == ("band-stop", [50, 100], 3301)
    assert (band["kind"], band["length"], band["pad"]) == ("band-pass", 1651, "reflect_limited")
    assert (band["low_cutoff_hz"], band["high_cutoff_hz"]) == (0.5, 45.0)
    assert band["shorter_than_filter"] is False
    assert (steps[2]["up"], steps[2]["down"], steps[2]["stop_band_hz"]) == (1, 2, 125.0)


@pytest.mark.parametrize("sfreq", [100.0, 50.0, 80.0, 61.7071])
def test_reach_bounds_the_dependence_on_the_recording_and_is_tight(sfreq):
    # Channel i is a unit impulse at sample i: output k of it is what k owes to sample i.
    n_times = 500
    base = ArraySignal(np.eye(n_times), 100.0)
    chain = Resampled(Filtered(base, high=20, high_transition=10), sfreq)
    owes = np.abs(chain.read(0, chain.n_times)) > 1e-13
    distance = np.abs(np.arange(n_times)[:, None] / 100 - np.arange(chain.n_times) / sfreq)
    seconds, samples = reach(chain)
    assert seconds == chain.reach_seconds
    assert distance[owes].max() <= seconds + 1e-9
    # The outermost taps of a windowed sinc are tiny or zero: the last few samples may not show.
    assert distance[owes].max() > seconds - 0.08
    assert samples == int(np.ceil(round(seconds * 100, 6)))


def test_a_recording_has_no_reach():
    assert reach(ArraySignal(np.zeros((1, 4)), 100)) == (0.0, 0)
