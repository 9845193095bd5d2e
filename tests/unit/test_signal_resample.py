"""Resamplers against SciPy, dense sinc sums and sines."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import freqz, resample_poly

from bidsmill.errors import BidsmillError
from bidsmill.signal import ArraySignal, Resampled, resampled_length, resampling_ratio
from bidsmill.signal.interpolation import PolyphaseKernel

RATES = [(500, 250), (160, 128), (250, 1000), (1024, 1000), (1000, 7), (1000 / 3, 250)]
ODD_RATES = [(499.7071, 250.0), (300.3003, 128.0), (250.0, 300.3003), (5000.31, 250.0)]


@pytest.mark.parametrize(
    ("rates", "ratio"),
    [
        ((1000.0, 250.0), (1, 4)),
        ((160, 128), (4, 5)),
        ((250.0, 250.0), (1, 1)),
        ((1000 / 3, 250.0), (3, 4)),
        ((1.0, 1000.0), (1000, 1)),
        ((999.0, 1000.0), (1000, 999)),
        ((0.1, 0.3), (3, 1)),
        ((1001.0, 1.0), None),
        ((1.0, 1001.0), None),
        ((499.7071, 250.0), None),
        ((300.3003, 250.0), None),
        ((333.333333, 250.0), None),
        ((1e6, 1.0), None),
    ],
)
def test_ratios_of_rates(rates, ratio):
    assert resampling_ratio(*rates) == ratio


def test_the_limit_of_a_ratio_is_kept():
    assert resampling_ratio(160, 128, limit=4) is None
    assert resampling_ratio(160, 128, limit=5) == (4, 5)


@given(st.integers(1, 1000), st.integers(1, 1000), st.floats(0.5, 20_000))
def test_every_small_ratio_is_found(up, down, sfreq):
    expected = Fraction(up, down)
    found = resampling_ratio(sfreq, sfreq * up / down)
    assert found == (expected.numerator, expected.denominator)


@pytest.mark.parametrize("rates", RATES)
@pytest.mark.parametrize("n_times", [1, 2, 5, 7001])
def test_polyphase_equals_scipy_from_edge_to_edge(rates, n_times):
    rng = np.random.default_rng(1)
    data = rng.standard_normal((3, n_times)).cumsum(axis=1) + 500
    signal = Resampled(ArraySignal(data, rates[0]), rates[1])
    kernel = signal.kernel
    assert isinstance(kernel, PolyphaseKernel)
    expected = resample_poly(
        data, kernel.up, kernel.down, axis=1, window=kernel.taps / kernel.up, padtype="edge"
    )
    out = signal.read(0, signal.n_times)
    assert out.shape == expected.shape
    np.testing.assert_allclose(out, expected, rtol=1e-9)


def test_length_is_that_of_scipy():
    for n_times in range(40):
        for up, down in ((1, 2), (4, 5), (3, 1), (7, 1000)):
            length = resampled_length(n_times, 1000.0 * down, 1000.0 * up)
            assert length == math.ceil(Fraction(n_times * up, down))
    # 250 / 499.7071 of 1,000,000 is 500,293.07.
    assert resampled_length(1_000_000, 499.7071, 250.0) == 500_294


@pytest.mark.parametrize("rates", [*RATES, *ODD_RATES])
def test_dense_sinc_sum(rates):
    sfreq_in, sfreq_out = rates
    low = min(rates)
    # A signal whose spectrum ends at 0.85 of the lower Nyquist frequency: sincs at 0.85 * low.
    span = 500 / low
    centres = span / 2 + np.arange(-60, 61) / (0.85 * low)
    weights = np.random.default_rng(2).standard_normal((2, len(centres)))

    def exact(times):
        return weights @ np.sinc(0.85 * low * (times - centres[:, np.newaxis]))

    n_times = int(span * sfreq_in)
    signal = Resampled(ArraySignal(exact(np.arange(n_times) / sfreq_in), sfreq_in), sfreq_out)
    out = signal.read(0, signal.n_times)
    times = np.arange(signal.n_times) / sfreq_out
    inner = (times > 0.25 * span) & (times < 0.75 * span)
    expected = exact(times[inner])
    assert np.abs(out[:, inner] - expected).max() < 1e-4 * expected.std()


@pytest.mark.parametrize("rates", [*RATES, *ODD_RATES])
def test_tones_pass_in_place_or_are_suppressed(rates):
    sfreq_in, sfreq_out = rates
    nyquist = min(rates) / 2
    times = np.arange(int(1000 / min(rates) * sfreq_in)) / sfreq_in
    passing = nyquist * np.array([0.02, 0.3, 0.7, 0.89])[:, np.newaxis]
    signal = Resampled(ArraySignal(np.sin(2 * np.pi * passing * times + 0.4), sfreq_in), sfreq_out)
    out = signal.read(0, signal.n_times)
    out_times = np.arange(signal.n_times) / sfreq_out
    inner = slice(signal.n_times // 5, -signal.n_times // 5)
    expected = np.sin(2 * np.pi * passing * out_times + 0.4)
    assert np.abs(out - expected)[:, inner].max() < 1e-4
    if sfreq_out < sfreq_in:
        share = np.array([1.0, 1.05, 1.2, 1.7, 2.4])[:, np.newaxis]
        stopping = nyquist * share[nyquist * share < sfreq_in / 2][:, np.newaxis]
        assert stopping.size
        signal = Resampled(ArraySignal(np.sin(2 * np.pi * stopping * times), sfreq_in), sfreq_out)
        residue = signal.read(0, signal.n_times)[:, inner]
        assert 20 * np.log10(np.abs(residue).max()) < -85


@pytest.mark.parametrize("ratio", [(1, 2), (4, 5), (125, 128), (4, 1)])
def test_the_low_pass_keeps_what_it_states(ratio):
    kernel = PolyphaseKernel(*ratio, 0.9, 90.0)
    frequencies, response = freqz(kernel.taps / kernel.up, worN=2**17)
    share = frequencies / np.pi * max(ratio)
    assert np.abs(np.abs(response[share < 0.9]) - 1).max() < 1e-4
    assert 20 * np.log10(np.abs(response[share > 1.0]).max()) < -88


@settings(max_examples=40, deadline=None)
@given(
    sfreq_in=st.floats(20, 3000),
    sfreq_out=st.floats(20, 3000),
    n_times=st.integers(0, 300),
    offset=st.floats(-1, 1),
)
def test_an_offset_stays_at_any_rate_and_length(sfreq_in, sfreq_out, n_times, offset):
    signal = Resampled(ArraySignal(np.full((2, n_times), offset), sfreq_in), sfreq_out)
    out = signal.read(0, signal.n_times)
    assert out.shape == (2, resampled_length(n_times, sfreq_in, sfreq_out))
    np.testing.assert_allclose(out, offset, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("rates", [(500.0, 250.0), (499.7071, 250.0)])
def test_the_edge_sample_stands_beyond_the_edge(rates):
    data = np.random.default_rng(3).standard_normal((2, 400))
    longer = np.pad(data, ((0, 0), (1000, 1000)), mode="edge")
    signal = Resampled(ArraySignal(data, rates[0]), rates[1])
    out = signal.read(0, signal.n_times)
    # The padded recording starts 1000 samples earlier: compare where the grids meet.
    if rates == (500.0, 250.0):
        padded = Resampled(ArraySignal(longer, rates[0]), rates[1])
        np.testing.assert_allclose(out, padded.read(500, 700), rtol=1e-9, atol=1e-12)
    else:
        for frames in signal.kernel.frames(0, signal.n_times):
            span = longer[:, 1000 + frames.first : 1000 + frames.last]
            part = out[:, frames.start : frames.start + frames.matrix.shape[1]]
            np.testing.assert_allclose(part, span @ frames.matrix, rtol=1e-9, atol=1e-12)


def test_a_step_in_the_middle_of_a_large_offset_does_not_ring_at_the_edges():
    data = np.full((1, 4000), 1e-2)
    data[:, 2000:] += 1e-6
    out = Resampled(ArraySignal(data, 500.0), 250.0).read(0, 2000)
    np.testing.assert_allclose(out[0, :800], 1e-2, rtol=1e-12)
    np.testing.assert_allclose(out[0, 1200:], 1e-2 + 1e-6, rtol=1e-12)


def test_equal_rates_pass_the_source_on():
    data = np.random.default_rng(4).standard_normal((2, 50)).astype(np.float32)
    signal = Resampled(ArraySignal(data, 250.0), 250.0)
    np.testing.assert_array_equal(signal.read(10, 40), data[:, 10:40])
    assert signal.describe()["method"] == "none"
    assert signal.reach_seconds == 0.0


@pytest.mark.parametrize("arguments", [{"pass_band": 1.0}, {"attenuation": 20}])
def test_impossible_low_passes_are_refused(arguments):
    with pytest.raises(BidsmillError, match="low-pass"):
        Resampled(ArraySignal(np.zeros((1, 10)), 500.0), 250.0, **arguments)


def test_descriptions_state_the_low_pass():
    poly = Resampled(ArraySignal(np.zeros((1, 10)), 500.0), 200.0).describe()
    assert (poly["method"], poly["up"], poly["down"]) == ("polyphase", 2, 5)
    assert (poly["pass_band_hz"], poly["stop_band_hz"], poly["pad"]) == (90.0, 100.0, "edge")
    assert poly["length"] == 2 * math.ceil((90 - 7.95) / (2.285 * 0.1 * math.pi) / 2 * 5) + 1
    odd = Resampled(ArraySignal(np.zeros((1, 10)), 499.7071), 250.0).describe()
    assert odd["method"] == "continuous-phase sinc"
    assert odd["half_width_seconds"] == pytest.approx(57.15 / 250, rel=2e-3)
