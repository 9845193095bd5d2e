"""Every operation of streams, in chunks, against SciPy and NumPy on the whole signal."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import signal, stats
from stream_driver import SFREQ, core_of, emg_like, run

from bidsmill.errors import BidsmillError
from bidsmill.formats.epocs import make_epocs
from bidsmill.formats.stream_core import check_core
from bidsmill.signal import ArraySignal, Resampled
from bidsmill.streams import Nodes
from bidsmill.streams.array_stream import ArrayStream
from bidsmill.streams.operations.envelope import Envelope, Tkeo
from bidsmill.streams.operations.extraction import Epochs, epoch_array, left_out
from bidsmill.streams.operations.features import Features
from bidsmill.streams.operations.filters import BandPass, HighPass, LowPass, Notch
from bidsmill.streams.operations.hilbert import hilbert_kernel
from bidsmill.streams.operations.normalise import Normalise, Scale
from bidsmill.streams.operations.onsets import Onsets
from bidsmill.streams.operations.rectify import Rectify
from bidsmill.streams.operations.reference import CommonAverage, CommonMedian
from bidsmill.streams.operations.resample import Resample
from bidsmill.streams.operations.spectrum import MeanFrequency, MedianFrequency, Spectrogram
from bidsmill.streams.operations.statistics import Statistics
from bidsmill.streams.operations.whiten import Whiten
from bidsmill.streams.registry import operations

GROUP = 2048
CHUNKS = [GROUP, 3 * GROUP, 997, 1501, 10**9]


@pytest.fixture(scope="module")
def emg():
    return emg_like()


@pytest.fixture(scope="module")
def epocs():
    """Two labels; some epocs of one channel; one before the stream, one behind it."""
    onset = [-0.3, 0.5, 1.75, 2.0, 2.3, 4.0965, 6.7, 8.9]
    return pd.DataFrame(
        {
            "onset": onset,
            "duration": [0.5, 0.4, 1.0, 0.2, 0.7, 0.0, 1.5, 0.4],
            "onset_sample": [round(time * SFREQ) for time in onset],
            "code": pd.array([None] * 8, dtype="Int64"),
            "value": np.nan,
            "label": pd.array(["rest", "mvc", "mvc", "rest", "rest", "mvc", "mvc", "rest"]),
            "HED": pd.array([None] * 8, dtype="string"),
            "channel": pd.array([None, None, "m1", None, None, None, "m2", None], dtype="string"),
        }
    )


def assert_close(got, expected):
    """Equal to 1e-6 of the standard deviation of a channel, and one step of float32."""
    assert got.shape == expected.shape
    assert got.dtype == np.float32
    got, expected = got.astype(np.float64), np.asarray(expected, dtype=np.float64)
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    step = np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
    deviation = [[np.std(row[~np.isnan(row)]) if np.isfinite(row).any() else 0] for row in expected]
    limit = 1e-6 * np.array(deviation) + step
    worst = np.nanmax(np.abs(got - expected) - limit, initial=-1)
    assert worst <= 0, worst


# --- what SciPy and NumPy make of the whole signal


def oracle_lowpass(x, cutoff=10.0, sfreq=SFREQ):
    """MNE's low-pass: transition a quarter of the cut-off, 3.3 / transition taps, odd edges."""
    transition = max(cutoff / 4, 2.0)
    length = int(np.ceil(3.3 / transition * sfreq))
    length += 1 - length % 2
    kernel = signal.firwin(length, cutoff + transition / 2, window="hamming", fs=sfreq)
    wide = np.pad(x, ((0, 0), (length // 2,) * 2), mode="reflect", reflect_type="odd")
    return signal.fftconvolve(wide, kernel[None], mode="valid", axes=1)


def oracle_rms(x, window=0.1, sfreq=SFREQ):
    half = round(window * sfreq) // 2
    padded = np.pad(x, ((0, 0), (half, half)), constant_values=np.nan)
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=1)
    return np.sqrt(np.nanmean(views**2, axis=2))


def oracle_hilbert(x, low=20.0, sfreq=SFREQ):
    kernel = hilbert_kernel(sfreq, low)
    pad = len(kernel) // 2
    wide = np.pad(x, ((0, 0), (pad, pad)), mode="reflect", reflect_type="odd")
    turned = signal.fftconvolve(wide, kernel[None], mode="valid", axes=1)
    return np.sqrt(x**2 + turned**2)


def oracle_tkeo(x):
    wide = np.pad(x, ((0, 0), (1, 1)), mode="edge")
    return np.array([[r[i] ** 2 - r[i - 1] * r[i + 1] for i in range(1, len(r) - 1)] for r in wide])


def oracle_zscore(x):
    return stats.zscore(x, axis=1)


def oracle_robust(x):
    return (x - np.median(x, axis=1, keepdims=True)) / stats.iqr(x, axis=1, keepdims=True)


def oracle_mad(x):
    spread = stats.median_abs_deviation(x, axis=1, scale="normal")[:, None]
    return (x - np.median(x, axis=1, keepdims=True)) / spread


def oracle_minmax(x):
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    return (x - low) / (high - low)


def oracle_whiten(x, shrinkage=0.0):
    from scipy.linalg import inv, sqrtm

    covariance = np.cov(x, bias=True)
    target = np.trace(covariance) / len(x) * np.eye(len(x))
    covariance = (1 - shrinkage) * covariance + shrinkage * target
    return inv(sqrtm(covariance).real) @ (x - x.mean(axis=1, keepdims=True))


def oracle_spectrogram(x, width, step, keep, sfreq=SFREQ):
    """Channels one after another, for each all kept frequencies."""
    hertz, _, power = signal.spectrogram(
        x, sfreq, "hann", width, width - step, detrend="constant", scaling="density", mode="psd"
    )
    kept = keep(hertz)
    return hertz[kept], power[:, kept]


def oracle_median_frequency(x, width, step, keep):
    hertz, power = oracle_spectrogram(x, width, step, keep)
    resolution = hertz[1] - hertz[0]
    edges = np.append(hertz - resolution / 2, hertz[-1] + resolution / 2)
    out = np.empty((power.shape[0], power.shape[2]))
    for index in np.ndindex(out.shape):
        upto = np.append(0, np.cumsum(power[index[0], :, index[1]]))
        out[index] = np.interp(upto[-1] / 2, upto, edges)
    return out


def oracle_mean_frequency(x, width, step, keep):
    hertz, power = oracle_spectrogram(x, width, step, keep)
    return np.average(np.broadcast_to(hertz[:, None], power.shape), axis=1, weights=power)


def oracle_features(x, kinds, width, step, threshold):
    def mav(w):
        return sum(abs(v) for v in w) / len(w)

    def rms(w):
        return (sum(v * v for v in w) / len(w)) ** 0.5

    def wl(w):
        return sum(abs(b - a) for a, b in pairwise(w))

    def zc(w):
        return sum(a * b < 0 and abs(a - b) >= threshold for a, b in pairwise(w))

    def ssc(w):
        triples = zip(w, w[1:], w[2:], strict=False)
        return sum(
            ((b > a and b > c) or (b < a and b < c))
            and (abs(b - a) >= threshold or abs(b - c) >= threshold)
            for a, b, c in triples
        )

    known = {"mav": mav, "rms": rms, "wl": wl, "zc": zc, "ssc": ssc}
    starts = range(0, x.shape[1] - width + 1, step)
    return np.array(
        [
            [known[kind](row[start : start + width].tolist()) for start in starts]
            for row in x
            for kind in kinds
        ],
        dtype=np.float64,
    )


def oracle_mne(x, low, high):
    from mne.filter import filter_data

    return filter_data(x, SFREQ, low, high, verbose="error")


def oracle_mne_notch(x, hertz):
    from mne.filter import notch_filter

    return notch_filter(x, SFREQ, hertz, verbose="error")


def butter(edges, kind, order=4):
    return signal.butter(order, edges, kind, fs=SFREQ, output="sos")


ALL = ("mav", "rms", "wl", "zc", "ssc")


def above_zero(hertz):
    return hertz > 0


STREAMS = [
    (Envelope(), lambda x: oracle_lowpass(np.abs(x))),
    (Envelope("lowpass", cutoff=4.0), lambda x: oracle_lowpass(np.abs(x), 4.0)),
    (Envelope("rms"), oracle_rms),
    (Envelope("rms", window=0.0331), lambda x: oracle_rms(x, 0.033)),
    (Envelope("hilbert"), oracle_hilbert),
    (Envelope("tkeo"), lambda x: oracle_lowpass(np.abs(oracle_tkeo(x)))),
    (Tkeo(), oracle_tkeo),
    (Normalise(), oracle_zscore),
    (Normalise("robust"), oracle_robust),
    (Normalise("mad"), oracle_mad),
    (Normalise("minmax"), oracle_minmax),
    (Normalise("mvc"), lambda x: x / np.abs(x).max(axis=1, keepdims=True)),
    (
        Normalise("mvc", reference=(1e-4, 2e-4, 3e-4, 4e-4)),
        lambda x: x / np.array([[1e-4], [2e-4], [3e-4], [4e-4]]),
    ),
    (Whiten(), oracle_whiten),
    (Whiten(0.1), lambda x: oracle_whiten(x, 0.1)),
    (
        Spectrogram(0.256, 0.1),
        lambda x: np.concatenate(oracle_spectrogram(x, 256, 100, above_zero)[1]),
    ),
    (
        Spectrogram(0.5, low=20, high=100),
        lambda x: np.concatenate(
            oracle_spectrogram(x, 500, 250, lambda f: (f >= 20) & (f <= 100))[1]
        ),
    ),
    (MedianFrequency(0.256, 0.064), lambda x: oracle_median_frequency(x, 256, 64, above_zero)),
    (MeanFrequency(0.333, 0.1), lambda x: oracle_mean_frequency(x, 333, 100, above_zero)),
    (Features(ALL, 0.2), lambda x: oracle_features(x, ALL, 200, 200, 0.0)),
    (
        Features(("zc", "mav", "ssc"), 0.15, 0.033, threshold=2e-5),
        lambda x: oracle_features(x, ("zc", "mav", "ssc"), 150, 33, np.float64(2e-5)),
    ),
    (Features(("wl",), 0.01, 0.03), lambda x: oracle_features(x, ("wl",), 10, 30, 0.0)),
    (BandPass(20, 450), lambda x: oracle_mne(x, 20, 450)),
    (LowPass(30), lambda x: oracle_mne(x, None, 30)),
    (HighPass(15), lambda x: oracle_mne(x, 15, None)),
    (Notch(50), lambda x: oracle_mne_notch(x, 50)),
    (
        BandPass(20, 300, method="butterworth"),
        lambda x: signal.sosfiltfilt(butter([20, 300], "bandpass"), x),
    ),
    (
        HighPass(10, method="butterworth", phase="causal", order=2),
        lambda x: signal.sosfilt(butter(10, "highpass", 2), x),
    ),
    (Resample(400), lambda x: Resampled(ArraySignal(x, SFREQ), 400).read(0, 3600)),
    (Rectify(), np.abs),
    (CommonAverage(), lambda x: x - x.mean(axis=0)),
    (CommonMedian(), lambda x: x - np.median(x, axis=0)),
]


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: f"{case[0]}")
def test_streams_equal_the_whole_signal_in_any_chunks(emg, case):
    operation, oracle = case
    expected = oracle(emg.astype(np.float64))
    for chunk in CHUNKS:
        assert_close(run(operation, emg, core_of(emg), chunk), expected)


# Operations that make tables or need one: their chunks are varied in the tests below, and those
# of onsets in test_stream_onsets.py.
WITH_TABLES = {"onsets", "epochs", "statistics", "scale"}


def test_every_operation_of_the_registry_has_a_case():
    own = {
        name
        for name, kind in operations().items()
        if kind.__module__.startswith("bidsmill.streams.operations.")
    }
    assert own == {case[0].name for case in STREAMS} | WITH_TABLES


# --- tables


@pytest.mark.parametrize("labels", [(), ("mvc",), ("rest", "mvc")], ids=str)
# In the last of these, the window around 1.75 s starts at the last sample of a chunk.
@pytest.mark.parametrize("chunk", [*CHUNKS, 1551])
def test_epochs_are_the_samples_around_each_epoc(emg, epocs, labels, chunk):
    table = run(Epochs(-0.2, 0.35, labels), emg, core_of(emg), chunk, [epocs])
    wanted = epocs[epocs["label"].isin(labels or ("rest", "mvc"))]
    assert list(table["epoc"]) == list(wanted.index)
    pieces, outside = [], []
    for row, time in wanted["onset"].items():
        start = round(time * SFREQ) - 200
        if start >= 0 and start + 550 <= emg.shape[1]:
            pieces.append(emg[:, start : start + 550])
        else:
            outside.append((row, "starts before" if start < 0 else "ends behind"))
    array = epoch_array(table)
    assert array.dtype == np.float32
    assert np.array_equal(array, np.stack(pieces))
    listed = left_out(table)
    assert list(listed["epoc"]) == [row for row, _ in outside]
    assert [s.removesuffix(" the stream") for s in listed["epoc_status"]] == [s for _, s in outside]
    assert len(array) + len(listed) == len(wanted)


def test_epochs_go_by_the_clock_and_not_by_the_samples_of_another_rate(emg, epocs):
    core = core_of(emg, sfreq=500.0, t0=-2.0)
    table = run(Epochs(0.0, 0.1), emg, core, 997, [epocs])
    assert list(table["epoc_start"]) == [round((time + 2.0) * 500) for time in epocs["onset"]]
    assert epoch_array(table, ["m2"]).shape == (8, 1, 50)
    assert np.array_equal(table["m1"][4], emg[1, 2150:2200])


@pytest.mark.parametrize("chunk", CHUNKS)
def test_statistics_are_those_of_the_labelled_samples(emg, epocs, chunk):
    table = run(Statistics(("mvc",)), emg, core_of(emg), chunk, [epocs])
    inside = np.zeros(emg.shape, dtype=bool)
    inside[:, 500:900] = True
    inside[1, 1750:2750] = True
    inside[2, 6700:8200] = True
    assert list(table["channel"]) == ["m0", "m1", "m2", "m3"]
    for row, values, mask in zip(table.itertuples(), emg.astype(np.float64), inside, strict=True):
        own = values[mask]
        assert row.samples == len(own)
        assert np.isclose(row.mean, own.mean(), rtol=0, atol=1e-12 * own.std())
        assert np.isclose(row.std, own.std(), rtol=1e-12)
        assert (row.least, row.greatest) == (own.min(), own.max())


@pytest.mark.parametrize("chunk", [997, 10**9])
def test_scale_uses_the_statistics_of_labelled_stretches(emg, epocs, chunk):
    core, wide = core_of(emg), emg.astype(np.float64)
    table = run(Statistics(("rest",)), emg, core, chunk, [epocs])
    rest = np.concatenate(
        [wide[:, :200], wide[:, 2000:2200], wide[:, 2300:3000], wide[:, 8900:]], axis=1
    )
    mean, std = rest.mean(axis=1, keepdims=True), rest.std(axis=1, keepdims=True)
    low, high = rest.min(axis=1, keepdims=True), rest.max(axis=1, keepdims=True)
    shuffled = table.iloc[[2, 0, 3, 1]]
    for method, expected in (
        ("zscore", (wide - mean) / std),
        ("minmax", (wide - low) / (high - low)),
        ("mvc", wide / np.maximum(-low, high)),
    ):
        assert_close(run(Scale(method), emg, core, chunk, [shuffled]), expected)


def test_what_tables_cannot_do_is_said(emg, epocs):
    core = core_of(emg)
    with pytest.raises(BidsmillError, match=r"no epocs of a label; found: mcv; expected: one of"):
        run(Epochs(labels="mcv"), emg, core, 997, [epocs])
    with pytest.raises(BidsmillError, match=r"channels that the stream has not; found: m2"):
        run(Epochs(), emg[:2], core_of(emg[:2]), 997, [epocs])
    with pytest.raises(BidsmillError, match="window around the epocs is empty"):
        Epochs(0.5, 0.5)
    unending = epocs.assign(duration=[None, *epocs["duration"][1:]])
    with pytest.raises(BidsmillError, match=r"no end; found: no duration at -0\.3 s"):
        run(Statistics(), emg, core, 997, [unending])
    with pytest.raises(BidsmillError, match=r"no sample to take statistics of"):
        run(Statistics(), emg, core, 997, [epocs.iloc[:0]])
    table = run(Statistics(), emg, core, 997, [epocs])
    with pytest.raises(BidsmillError, match=r"without the channels \['m3'\]"):
        run(Scale(), emg, core, 997, [table[:3]])
    named = replace(core, channels=(replace(core.channels[0], name="epoc"), *core.channels[1:]))
    with pytest.raises(BidsmillError, match="name of a column"):
        Epochs().core((named, core))


# --- gaps, flat channels, edges


def with_gaps(emg):
    """NaN and infinite samples, one gap across a border of row groups, one channel of nothing."""
    data = emg.copy()
    data[0, 2040:2060] = np.nan
    data[1, [0, 5000, data.shape[1] - 1]] = np.inf
    data[2, 7000] = -np.inf
    data[3] = np.nan
    return data


def reach_of(mask, before, after):
    """Places whose neighbourhood, before behind and after ahead, holds a marked one."""
    return np.array(
        [[row[max(i - before, 0) : i + after + 1].any() for i in range(len(row))] for row in mask]
    )


@pytest.mark.parametrize(
    ("operation", "half"),
    [(Envelope("rms"), 50), (Envelope("hilbert"), 63), (Tkeo(), 1), (Envelope(cutoff=40), 165)],
    ids=str,
)
@pytest.mark.parametrize("chunk", [997, GROUP, 10**9])
def test_gaps_reach_as_far_as_the_operation_and_no_farther(emg, operation, half, chunk):
    data = with_gaps(emg)
    core = core_of(data)
    assert operation.needs(500, 600, core) == (500 - half, 600 + half)
    got = run(operation, data, core, chunk)
    gap = reach_of(~np.isfinite(data), half, half)
    if operation != Envelope("rms") and operation != Tkeo():
        # The reflection at an edge turns around the edge sample and needs it.
        gap[1, : half + 1] = gap[1, -half - 1 :] = True
    assert np.array_equal(np.isnan(got), gap)
    # Elsewhere the gap is as if something harmless had stood there.
    other = run(operation, np.where(np.isfinite(data), data, np.float32(0)), core, chunk)
    assert_close(got, np.where(gap, np.nan, other))


@pytest.mark.parametrize("method", ["zscore", "robust", "mad", "minmax", "mvc"])
def test_statistics_pass_over_gaps(emg, method):
    data = with_gaps(emg)
    masked = np.where(np.isfinite(data), data, np.nan).astype(np.float64)
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning):
        centre = {
            "zscore": np.nanmean(masked, axis=1),
            "robust": np.nanmedian(masked, axis=1),
            "mad": np.nanmedian(masked, axis=1),
            "minmax": np.nanmin(masked, axis=1),
            "mvc": np.zeros(4),
        }[method][:, None]
        scale = {
            "zscore": np.nanstd(masked, axis=1),
            "robust": np.subtract(*np.nanquantile(masked, [0.75, 0.25], axis=1)),
            "mad": np.nanmedian(np.abs(masked - centre), axis=1) / stats.norm.ppf(0.75),
            "minmax": np.nanmax(masked, axis=1) - np.nanmin(masked, axis=1),
            "mvc": np.nanmax(np.abs(masked), axis=1),
        }[method][:, None]
        expected = (masked - centre) / scale
        for chunk in (997, GROUP):
            assert_close(run(Normalise(method), data, core_of(data), chunk), expected)


def test_windows_with_a_gap_are_nan_and_others_are_not(emg):
    data = with_gaps(emg)
    for operation in (
        Features(ALL, 0.2, 0.05),
        Features(("wl", "ssc", "zc"), 0.001),
        Spectrogram(0.2, 0.05, high=30),
        MedianFrequency(0.2, 0.05),
        MeanFrequency(0.2, 0.05),
    ):
        core = core_of(data)
        first, last = operation.needs(0, 1, core)
        step = operation.needs(1, 2, core)[0]
        bad = ~np.isfinite(data)
        starts = range(0, data.shape[1] - last + 1, step)
        windows = np.array([[row[s : s + last].any() for s in starts] for row in bad])
        got = run(operation, data, core, 997)
        expected = np.repeat(windows, len(got) // len(data), axis=0)
        assert first == 0 and np.array_equal(np.isnan(got), expected)


def test_whitening_leaves_out_what_is_incomplete_and_what_is_empty(emg):
    data = emg.copy()
    data[2, 4000:4100] = np.nan
    finite = np.isfinite(data).all(axis=0)
    expected = np.full(data.shape, np.nan)
    expected[:, finite] = oracle_whiten(data[:, finite].astype(np.float64))
    for chunk in (997, GROUP):
        assert_close(run(Whiten(), data, core_of(data), chunk), expected)
    # After an average reference one direction holds rounding only.
    referenced = (emg[:3] - emg[:3].mean(axis=0, dtype=np.float64)).astype(np.float32)
    got = run(Whiten(), referenced, core_of(referenced), 997).astype(np.float64)
    assert np.allclose(np.cov(got, bias=True), np.eye(3) - 1 / 3, atol=1e-5)
    with pytest.raises(BidsmillError, match="cannot be whitened"):
        run(Whiten(), np.full_like(emg, np.nan), core_of(emg), 997)
    # In V beside T, the magnetometers would fall among the directions that are empty.
    mixed = (emg * np.array([[1], [1], [1e-9], [1e-9]])).astype(np.float32)
    magnetometer = {"type": "mag", "unit": "T"}
    channels = core_of(mixed).channels
    channels = (*channels[:2], *(replace(channel, **magnetometer) for channel in channels[2:]))
    stream = ArrayStream(mixed, replace(core_of(mixed), channels=channels))
    with pytest.raises(BidsmillError, match=r"several units .* T, V.* normalise > whiten"):
        Nodes(stream, "w: raw > whiten")
    white = Nodes(stream, "w: raw > normalise > whiten").compute("w").astype(np.float64)
    assert np.allclose(np.cov(white, bias=True), np.eye(4), atol=1e-5)


@pytest.mark.parametrize("method", ["zscore", "robust", "mad", "minmax", "mvc"])
def test_flat_channels_become_zero(method):
    data = np.full((2, 1000), 0.1, dtype=np.float32)
    data[1] = 0
    got = run(Normalise(method), data, core_of(data), 133)
    assert np.array_equal(got, [[1.0] * 1000, [0.0] * 1000] if method == "mvc" else got * 0)
    # A median without spread has no scale for what differs from it.
    data[0, 500] = 3.0
    got = run(Normalise("mad"), data, core_of(data), 133)
    assert np.isnan(got[0, 500]) and not got[0, :500].any()


@pytest.mark.parametrize("n", [1, 2, 3, 7, 60])
def test_streams_shorter_than_their_filters(n):
    data = emg_like(n=100)[:, :n]
    wide = data.astype(np.float64)
    for chunk in (1, 2, 5, 100):
        core = core_of(data)
        assert_close(run(Tkeo(), data, core, chunk), oracle_tkeo(wide))
        assert_close(run(Envelope("rms"), data, core, chunk), oracle_rms(wide))
        padded = np.pad(wide, ((0, 0), (n - 1, n - 1)), mode="reflect", reflect_type="odd")
        kernel = hilbert_kernel(SFREQ, 20.0)
        pad = len(kernel) // 2
        # Reflected once, then zeros: cut or filled to half the length of the filter.
        space = np.zeros((len(data), n + 2 * pad))
        cut = min(pad, n - 1)
        space[:, pad - cut : pad + n + cut] = padded[:, n - 1 - cut : 2 * n - 1 + cut]
        turned = np.array([np.convolve(row, kernel, "valid") for row in space])
        assert_close(run(Envelope("hilbert"), data, core, chunk), np.hypot(wide, turned))


# --- the Hilbert transformer against the transform of the whole signal


def test_hilbert_transformer_keeps_its_band():
    for sfreq, low in ((1000.0, 20.0), (2048.0, 5.0), (256.0, 8.0)):
        kernel = hilbert_kernel(sfreq, low)
        half = len(kernel) // 2
        assert np.array_equal(kernel, -kernel[::-1])
        assert abs(len(kernel) - 2.5 * sfreq / low) < 6
        hertz, gain = signal.freqz(kernel, worN=np.linspace(low, sfreq / 2 - low, 4001), fs=sfreq)
        gain = gain * np.exp(2j * np.pi * hertz * half / sfreq)
        assert np.abs(gain - -1j).max() < 3e-4
    with pytest.raises(BidsmillError, match="band of the Hilbert transformer is empty"):
        Envelope("hilbert", low=260).core(core_of(np.zeros((1, 10))))


def test_hilbert_envelope_equals_that_of_scipy_in_the_interior():
    rng = np.random.default_rng(3)
    sos = signal.butter(8, [40, 400], "bandpass", fs=SFREQ, output="sos")
    time = np.arange(20000) / SFREQ
    data = signal.sosfiltfilt(sos, rng.standard_normal((3, 20000))) * (1.2 + np.sin(time))
    data[2] = np.cos(2 * np.pi * 60 * time) * (1 + 0.5 * np.sin(2 * np.pi * time))
    # SciPy's takes the signal as periodic: a jump from its end to its start would be felt far in.
    data *= signal.windows.tukey(20000, 0.1)
    got = run(Envelope("hilbert"), data.astype(np.float32), core_of(data), 997)
    expected = np.abs(signal.hilbert(data, axis=1))
    worst = np.abs(got - expected)[:, 200:-200].max(axis=1)
    assert (worst < 3e-4 * expected.max(axis=1)).all()
    known = 1 + 0.5 * np.sin(2 * np.pi * time)
    assert np.abs(got[2] - known)[1100:-1100].max() < 3e-4


# --- what comes out says what it is


def test_metadata_of_what_comes_out(emg):
    core = core_of(emg, t0=1.5)
    units = {
        Envelope("rms"): "V",
        Envelope("tkeo"): "V^2",
        Tkeo(): "V^2",
        Normalise(): "1",
        Whiten(): "1",
        MedianFrequency(): "Hz",
        Spectrogram(): "V^2/Hz",
    }
    for operation, unit in units.items():
        made = check_core(operation.core(core))
        assert {channel.unit for channel in made.channels} == {unit}
    twice = check_core(Tkeo().core(Tkeo().core(core)))
    assert twice.channels[0].unit == "a.u."
    made = check_core(Features(("rms", "zc"), 0.2, 0.05).core(core))
    assert made.names[:3] == ["m0_rms", "m0_zc", "m1_rms"]
    assert [channel.unit for channel in made.channels[:2]] == ["V", "1"]
    assert (made.sfreq, made.n_samples) == (20.0, 177)
    # The first value stands in the middle of samples 0 to 199.
    assert made.t0 == pytest.approx(1.5 + 0.0995)
    made = check_core(Spectrogram(0.5, low=10, high=14).core(core))
    assert made.names[:4] == ["m0 10Hz", "m0 12Hz", "m0 14Hz", "m1 10Hz"]


def test_what_streams_cannot_do_is_said(emg):
    core = core_of(emg)
    for made, words in (
        (lambda: Envelope(cutoff=600).core(core), "do not fit the sampling rate"),
        (lambda: Features(window=0.0001).core(core), "window cannot be used"),
        (lambda: Features(("mav", "mav")), "each once"),
        (lambda: Features(()), "at least one"),
        (lambda: Features(("var",)), 'one of "mav", "rms", "wl", "zc", "ssc"'),
        (lambda: Spectrogram(0.1, low=12, high=15).core(core), "No frequency is left"),
        (lambda: Normalise("mvc", (1.0, 2.0)).core(core), "do not fit the channels"),
        (lambda: Normalise("mvc", (0.0,)), "above 0"),
        (lambda: Normalise("zscore", (1.0,)), "belongs to the method mvc alone"),
        (lambda: Whiten(1.5), "at most 1"),
        (lambda: Onsets(method="double", count=11), "can never be reached"),
        (lambda: Onsets(window=0.001).core(core), "window cannot be used"),
    ):
        with pytest.raises(BidsmillError, match=words):
            made()


# --- a real recording


def test_a_real_recording(corpus):
    from edfio import read_edf

    (file,) = (corpus / "emg_gestures" / "sub-01" / "emg").glob("*.edf")
    recording = read_edf(file)
    data = np.array([s.data for s in recording.signals[:4]])[:, :15001].astype(np.float32)
    sfreq = recording.signals[0].sampling_frequency
    core, wide = core_of(data, sfreq), data.astype(np.float64)
    assert sfreq == SFREQ
    for operation, oracle in STREAMS[:15]:
        if getattr(operation, "reference", None):
            continue
        expected = oracle(wide)
        for chunk in (4096, 3333):
            assert_close(run(operation, data, core, chunk), expected)


# --- the engine calls operations as the tests above do


def test_the_graph_gives_the_same(emg, epocs):
    definitions = {
        "env": "raw > envelope(rms, window=50 ms)",
        "mad": "env > normalise(mad)",
        "white": "raw > whiten",
        "features": "raw > features([mav, ssc], window=200 ms, step=50 ms)",
        "median": "raw > median_frequency(window=256 ms)",
        "onsets": "env > onsets(threshold=2)",
        "epochs": "epochs(env, epocs, tmin=-0.6, tmax=0.3, labels=mvc)",
        "relative": "scale(env, statistics(env, epocs, labels=mvc), mvc)",
    }
    core, epocs = core_of(emg, history=()), epocs.iloc[1:7].reset_index(drop=True)
    got = Nodes(ArrayStream(emg, core), definitions, epocs=epocs, chunk=GROUP).compute()
    env = run(Envelope("rms", window=0.05), emg, core, 997)
    expected = {
        "env": env,
        "mad": run(Normalise("mad"), env, core, 997),
        "white": run(Whiten(), emg, core, 997),
        "features": run(Features(("mav", "ssc"), 0.2, 0.05), emg, core, 997),
        "median": run(MedianFrequency(0.256), emg, core, 997),
        "relative": run(
            Scale("mvc"), env, core, 997, [run(Statistics(("mvc",)), env, core, 997, [epocs])]
        ),
    }
    for name, values in expected.items():
        assert_close(got[name], values)
    # The engine gives epocs all the columns of the contract.
    onsets = make_epocs(run(Onsets(2.0), env, core, 997), core).table
    pd.testing.assert_frame_equal(got["onsets"], onsets)
    table = run(Epochs(-0.6, 0.3, ("mvc",)), env, core, 997, [epocs])
    assert np.array_equal(epoch_array(got["epochs"]), epoch_array(table))
    assert list(left_out(got["epochs"])["epoc_onset"]) == [0.5]
