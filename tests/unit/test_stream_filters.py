"""Filters, resampling, rectification and references of streams: beside SciPy on the whole signal.

Bounds are those of the contract: 1e-6 of the standard deviation, whatever the chunks.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal
from stream_cases import stream_of

from bidsmill.errors import BidsmillError
from bidsmill.signal import ArraySignal, Filtered, Resampled
from bidsmill.streams import ArrayStream, Nodes
from bidsmill.streams.operations.butterworth import butterworth

# Share of the examples that are drawn.
SHARE = 1.0 if os.environ.get("BIDSMILL_LONG") else 0.4
SFREQ = 1000.0
N = 9_000
STREAM = stream_of(N, sfreq=SFREQ)
DATA = STREAM.data.astype(np.float64)
# One row group, three, an odd size, less than the halos.
CHUNKS = [N, N // 3, 777]


def close(found, wanted, bound=1e-6):
    assert found.dtype == np.float32 and found.shape == wanted.shape
    spread = np.nanstd(wanted, axis=1, keepdims=True)
    assert np.nanmax(np.abs(found - wanted) / spread) <= bound
    assert np.array_equal(np.isnan(found), np.isnan(wanted))


def made(definition, stream=STREAM, chunk=None):
    return Nodes(stream, {"node": definition}, chunk=chunk).compute("node")


def sos(edges, kind, order=4):
    return signal.butter(order, edges, kind, fs=SFREQ, output="sos")


BUTTERWORTH = {
    "bandpass(20, 450, method=butterworth": [sos([20, 450], "bandpass")],
    "bandpass(0.5, 40, method=butterworth, order=2": [sos([0.5, 40], "bandpass", 2)],
    "lowpass(5, method=butterworth, order=6": [sos(5, "lowpass", 6)],
    "highpass(2, method=butterworth, order=1": [sos(2, "highpass", 1)],
    "notch(50, method=butterworth, order=2": [sos([50 - 5 / 6, 50 + 5 / 6], "bandstop", 2)],
    "notch([50, 100], widths=4, method=butterworth, order=1": [
        sos([48, 52], "bandstop", 1),
        sos([98, 102], "bandstop", 1),
    ],
}


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("definition", BUTTERWORTH)
def test_butterworth_equals_scipy_on_the_whole_signal(definition, chunk):
    sections = np.concatenate(BUTTERWORTH[definition])
    close(made(f"raw > {definition})", chunk=chunk), signal.sosfiltfilt(sections, DATA))
    causal = made(f"raw > {definition}, phase=causal)", chunk=chunk)
    close(causal, signal.sosfilt(sections, DATA))


@settings(max_examples=int(30 * SHARE), deadline=None)
@given(
    low=st.floats(0.3, 100),
    width=st.floats(2, 300),
    order=st.integers(1, 6),
    n_samples=st.integers(1, 3000),
    chunk=st.integers(60, 3000),
    offset=st.floats(-100, 100),
)
def test_butterworth_of_any_band_length_and_chunk(low, width, order, n_samples, chunk, offset):
    data = np.random.default_rng(n_samples).standard_normal((1, n_samples)) + offset
    stream = ArrayStream(data, SFREQ)
    sections = sos([low, low + width], "bandpass", order)
    definition = f"raw > bandpass({low}, {low + width}, butterworth, {order})"
    found = made(definition, stream, chunk)
    exact = stream.data.astype(np.float64)
    padding = min(butterworth(SFREQ, low, low + width, order, False).padding, n_samples - 1)
    wanted = signal.sosfiltfilt(sections, exact, padlen=padding)
    # What is left of an offset is measured by what came in.
    scale = np.abs(exact).max() + np.abs(wanted).max()
    assert np.abs(found - wanted).max() <= 1e-6 * scale


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize(
    ("definition", "filters"),
    [
        ("bandpass(20, 450)", {"low": 20, "high": 450}),
        ("lowpass(10, high_transition=5)", {"high": 10, "high_transition": 5}),
        ("highpass(1)", {"low": 1}),
        ("notch([50, 100])", {"notch": [50, 100]}),
        ("notch([50, 150], widths=2)", {"notch": [50, 150], "notch_widths": [2, 2]}),
    ],
)
def test_fir_equals_a_plain_convolution_of_the_whole_signal(definition, filters, chunk):
    found = made(f"raw > {definition}", chunk=chunk)
    step = Filtered(ArraySignal(DATA, SFREQ), **filters)._steps[0]
    kernel, half = step.design.kernel, step.half
    # The signal turned by 180 degrees around its first and last sample.
    before, after = (
        2 * DATA[:, :1] - DATA[:, half:0:-1],
        2 * DATA[:, -1:] - DATA[:, -2 : -2 - half : -1],
    )
    extended = np.concatenate([before, DATA, after], axis=1)
    close(found, signal.fftconvolve(extended, kernel[np.newaxis], mode="valid", axes=1))


@pytest.mark.parametrize("chunk", [N, 777, 230])
def test_a_chain_equals_the_chain_of_scipy(chunk):
    """The EMG chain, whose results are float32 between its steps."""

    def rounded(values):
        return values.astype(np.float32).astype(np.float64)

    found = made(
        "raw > car > notch(50, method=butterworth) > bandpass(20, 450, method=butterworth)"
        " > rectify > lowpass(10, method=butterworth, order=2)",
        chunk=chunk,
    )
    values = rounded(DATA - DATA.mean(axis=0))
    values = rounded(signal.sosfiltfilt(sos([50 - 5 / 6, 50 + 5 / 6], "bandstop"), values))
    values = rounded(np.abs(signal.sosfiltfilt(sos([20, 450], "bandpass"), values)))
    close(found, signal.sosfiltfilt(sos(10, "lowpass", 2), values))


@pytest.mark.parametrize("phase", ["zero", "causal"])
@pytest.mark.parametrize("chunk", [N, 811])
def test_nan_reaches_as_far_as_the_impulse_response_and_no_further(phase, chunk):
    data = STREAM.data.copy()
    data[0, 5000:5003], data[1, 0], data[2, -1] = np.nan, np.inf, -np.inf
    definition = f"raw > bandpass(20, 450, method=butterworth, phase={phase})"
    found = made(definition, ArrayStream(data, SFREQ), chunk)
    reach = butterworth(SFREQ, 20.0, 450.0, 4, False).reach
    back = 0 if phase == "causal" else reach
    wanted = np.zeros(found.shape, bool)
    wanted[0, 5000 - back : 5003 + reach] = True
    wanted[1, : reach + 1] = True
    wanted[2, N - 1 - back :] = True
    assert np.array_equal(np.isnan(found), wanted)
    apply = signal.sosfilt if phase == "causal" else signal.sosfiltfilt
    filtered = apply(
        sos([20, 450], "bandpass"), np.nan_to_num(data, posinf=0, neginf=0).astype(float)
    )
    error = np.abs(found - filtered) / np.std(filtered, axis=1, keepdims=True)
    # At the edges a NaN sample is that around which the signal is turned, too.
    inside = slice(2 * reach, N - 2 * reach)
    assert np.nanmax(error[:, inside]) <= 1e-6


@pytest.mark.parametrize("chunk", [N, 811])
def test_nan_in_a_fir_filter_is_as_in_the_matrices(chunk):
    data = STREAM.data.copy()
    data[0, 5000:5003], data[2, -1] = np.nan, -np.inf
    wanted = Filtered(ArraySignal(data.astype(float), SFREQ), low=20, high=450).read(0, N)
    found = made("raw > bandpass(20, 450)", ArrayStream(data, SFREQ), chunk)
    assert np.isnan(found).any()
    close(found, wanted)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize(("up", "down"), [(1, 4), (1, 2), (3, 2), (128, 125), (1, 1)])
def test_resampling_equals_scipy_with_the_same_low_pass(up, down, chunk):
    sfreq = SFREQ * up / down
    found = made(f"raw > resample({sfreq})", chunk=chunk)
    if up == down:
        assert np.array_equal(found, STREAM.data)
        return
    taps = Resampled(ArraySignal(DATA, SFREQ), sfreq).kernel.taps
    wanted = signal.resample_poly(DATA, up, down, axis=1, window=taps / up, padtype="edge")
    # resample_poly pads by an offset and weighs phases alike: beyond the edges the same.
    edge = 200
    close(found[:, edge:-edge], wanted[:, edge:-edge], 1e-5)
    close(found, Resampled(ArraySignal(DATA, SFREQ), sfreq).read(0, wanted.shape[1]))


@settings(max_examples=int(15 * SHARE), deadline=None)
@given(
    sfreq_in=st.floats(50, 2000),
    sfreq_out=st.floats(50, 2000),
    n_samples=st.integers(1, 4000),
    chunk=st.integers(50, 4000),
)
def test_resampling_of_any_rates_and_chunks(sfreq_in, sfreq_out, n_samples, chunk):
    data = np.random.default_rng(n_samples).standard_normal((2, n_samples))
    stream = ArrayStream(data, sfreq_in)
    nodes = Nodes(stream, {"node": f"raw > resample({sfreq_out})"}, chunk=chunk)
    whole = Resampled(ArraySignal(stream.data.astype(float), sfreq_in), sfreq_out)
    found = nodes.compute("node")
    assert found.shape == (2, whole.n_times) and nodes.core("node").sfreq == sfreq_out
    assert np.abs(found - whole.read(0, whole.n_times)).max() <= 1e-6


def test_bands_of_channels_follow_the_filters():
    nodes = Nodes(
        STREAM,
        {
            "band": "raw > bandpass(20, 450) > lowpass(300)",
            "down": "band > resample(250)",
            "env": "band > rectify > lowpass(10)",
            "odd": "band > lowpass(5)",
        },
    )
    bands = {
        name: (nodes.core(name).channels[0].low_cutoff, nodes.core(name).channels[0].high_cutoff)
        for name in nodes.names
    }
    assert bands == {"band": (20, 300), "down": (20, 112.5), "env": (None, 10), "odd": (None, 5)}


def test_rectification():
    assert np.array_equal(made("raw > rectify"), np.abs(STREAM.data))
    assert np.array_equal(made("raw > rectify(half)"), np.clip(STREAM.data, 0, None))
    data = np.array([[np.nan, -np.inf, -0.0, 3]], np.float32)
    found = made("raw > rectify", ArrayStream(data, SFREQ))
    assert np.array_equal(found, np.abs(data), equal_nan=True)


def mixed():
    """Six channels: two bad ones of two types, a NaN, and one that is no potential."""
    stream = stream_of(4000, 6)
    kinds = ["eeg", "eeg", "eeg", "emg", "emg", "stim"]
    states = ["good", "good", "bad", "good", "good", "good"]
    channels = tuple(
        replace(channel, type=kind, status=state)
        for channel, kind, state in zip(stream.core.channels, kinds, states, strict=True)
    )
    data = stream.data.copy()
    data[0, 100:200] = np.nan
    data[3:5, 50] = np.nan
    return ArrayStream(data, replace(stream.core, channels=channels))


@pytest.mark.parametrize("chunk", [None, 999])
@pytest.mark.parametrize(("name", "middle"), [("car", np.nanmean), ("cmr", np.nanmedian)])
@pytest.mark.filterwarnings("ignore:(Mean of empty|All-NaN)")
def test_references_by_type_by_group_and_without_bad_channels(name, middle, chunk):
    stream = mixed()
    data = stream.data.astype(np.float64)
    found = made(f"raw > {name}", stream, chunk)
    wanted = data.copy()
    wanted[:3] -= middle(data[:2], axis=0)
    wanted[3:5] -= middle(data[3:5], axis=0)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.array_equal(found[5], stream.data[5])
    found = made(f"raw > {name}(groups=[[EMG0, EMG3, EMG4]])", stream, chunk)
    wanted = data.copy()
    wanted[[0, 3, 4]] -= middle(data[[0, 3, 4]], axis=0)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    # Of one good channel no reference can be made.
    with pytest.raises(BidsmillError, match=r"node node: Too few good channels .* found: 1"):
        made(f"raw > {name}(exclude=EMG0)", stream)


def test_a_source_of_seventy_channels_is_filtered_by_rows():
    stream = stream_of(1500, 70)
    wanted = signal.sosfiltfilt(sos([20, 450], "bandpass"), stream.data.astype(np.float64))
    close(made("raw > bandpass(20, 450, method=butterworth)", stream, 400), wanted)
