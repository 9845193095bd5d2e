"""What holds for filters and resamplers alike: cuts, single reads, gaps and memory."""

import itertools
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.signal import ArraySignal, Filtered, Resampled
from bidsmill.signal.blocks import ExtendedReader

CHAINS = {
    "low-pass": lambda source: Filtered(source, high=30),
    "band-pass and notch": lambda source: Filtered(source, low=4, high=30, notch=50),
    "polyphase": lambda source: Resampled(source, 100.0),
    "polyphase up": lambda source: Resampled(source, 512.0),
    "continuous": lambda source: Resampled(source, 123.4567),
    "chain": lambda source: Resampled(Filtered(source, low=4, high=30), 77.77),
}


class CountingSignal(ArraySignal):
    """Counts how often each sample is read."""

    def __init__(self, data, sfreq):
        super().__init__(data, sfreq)
        self.counts = np.zeros(self.n_times, dtype=int)

    def read(self, start, stop):
        self.counts[start:stop] += 1
        return super().read(start, stop)


class LazyNoise:
    """A long signal that takes no memory: sample k of channel c is a hash of both."""

    sfreq, n_channels = 250.0, 4

    def __init__(self, n_times):
        self.n_times = n_times

    def read(self, start, stop):
        return np.sin(np.arange(start, stop) ** 1.5 + np.arange(4)[:, np.newaxis])


def noise(n_times, seed=0):
    return np.random.default_rng(seed).standard_normal((3, n_times)) + 50


@pytest.mark.parametrize("name", CHAINS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_cuts_give_the_same_bits(name, data):
    n_times = data.draw(st.sampled_from([1, 2, 60, 5000, 30_000]))
    source = ArraySignal(noise(n_times), 250.0)
    whole = CHAINS[name](source)
    expected = whole.read(0, whole.n_times)
    cuts = data.draw(st.lists(st.integers(0, whole.n_times), max_size=8))
    borders = sorted({0, whole.n_times, *cuts})
    spans = list(itertools.pairwise(borders))
    pieces = CHAINS[name](source)
    # Forwards, then the same spans in any order, then overlapping ones.
    parts = [pieces.read(a, b) for a, b in spans]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected)
    for a, b in data.draw(st.permutations(spans)):
        np.testing.assert_array_equal(pieces.read(a, b), expected[:, a:b])
    for a in cuts:
        b = min(a + 300, whole.n_times)
        np.testing.assert_array_equal(pieces.read(a, b), expected[:, a:b])


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("shape", [(0, 500), (3, 0), (0, 0)])
def test_nothing_in_nothing_out(name, shape):
    signal = CHAINS[name](ArraySignal(np.empty(shape), 250.0))
    assert signal.read(0, signal.n_times).shape == (shape[0], signal.n_times)
    assert (signal.n_times == 0) == (shape[1] == 0)


@pytest.mark.parametrize("name", CHAINS)
def test_what_is_returned_is_not_shared(name):
    signal = CHAINS[name](ArraySignal(noise(3000), 250.0))
    first = signal.read(0, 100)
    kept = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(signal.read(0, 100), kept)


@pytest.mark.parametrize("name", CHAINS)
def test_reading_forwards_reads_each_source_sample_once(name):
    source = CountingSignal(noise(100_000), 250.0)
    signal = CHAINS[name](source)
    for start in range(0, signal.n_times, 500):
        signal.read(start, min(start + 500, signal.n_times))
    assert source.counts.min() == source.counts.max() == 1


def test_overlapping_windows_read_each_source_sample_once():
    source = CountingSignal(noise(100_000), 250.0)
    signal = Filtered(source, low=4, high=30)
    for start in range(0, signal.n_times - 1000, 100):
        signal.read(start, start + 1000)
    assert source.counts.max() == 1


def test_a_distant_window_reads_a_bounded_part_of_the_source():
    source = CountingSignal(noise(100_000), 250.0)
    Filtered(source, low=4, high=30).read(60_000, 60_100)
    assert 0 < np.count_nonzero(source.counts) < 20_000


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_gaps_are_nan_exactly_within_reach(name, value):
    n_times = 900
    clean = noise(n_times)
    gaps = [(0, 450), (1, 0), (1, 899), (2, 300), (2, 310)]
    broken, zeroed = clean.copy(), clean.copy()
    for channel, sample in gaps:
        broken[channel, sample], zeroed[channel, sample] = value, 0.0
    signal = CHAINS[name](ArraySignal(broken, 250.0))
    out = signal.read(0, signal.n_times)
    # What an output owes to a sample: the response to a unit impulse there, brute force.
    impulses = CHAINS[name](ArraySignal(np.eye(n_times), 250.0)).read(0, signal.n_times)
    times = np.arange(signal.n_times) / signal.sfreq
    for channel in range(3):
        owes = np.zeros(signal.n_times, dtype=bool)
        within = np.zeros(signal.n_times, dtype=bool)
        for _, sample in (gap for gap in gaps if gap[0] == channel):
            owes |= np.abs(impulses[sample]) > 1e-12
            within |= np.abs(times - sample / 250.0) <= signal.reach_seconds + 1e-9
        missing = np.isnan(out[channel])
        assert missing[owes].all()
        assert not missing[~within].any()
        # Beyond the steps of one filter the mark is neither wider nor narrower than the reach.
        if "chain" not in name and "and" not in name:
            assert np.count_nonzero(missing != within) <= 2 * sum(g[0] == channel for g in gaps)
        filled = CHAINS[name](ArraySignal(zeroed, 250.0)).read(0, signal.n_times)
        ok = ~missing
        np.testing.assert_allclose(out[channel, ok], filled[channel, ok], rtol=0, atol=1e-11)
    assert np.isfinite(out[~np.isnan(out)]).all()


@pytest.mark.parametrize("name", CHAINS)
def test_a_missing_channel_leaves_the_others_alone(name):
    data = noise(20_000)
    alone = CHAINS[name](ArraySignal(data, 250.0))
    expected = alone.read(0, alone.n_times)
    data = data.copy()
    data[1] = np.nan
    out = CHAINS[name](ArraySignal(data, 250.0)).read(0, alone.n_times)
    assert np.isnan(out[1]).all()
    np.testing.assert_allclose(out[[0, 2]], expected[[0, 2]], rtol=1e-12)


@pytest.mark.parametrize("name", CHAINS)
def test_float32_sources_are_computed_in_float64(name):
    data = noise(4000).astype(np.float32)
    single = CHAINS[name](ArraySignal(data, 250.0))
    double = CHAINS[name](ArraySignal(data.astype(np.float64), 250.0))
    out = single.read(0, single.n_times)
    assert out.dtype == np.float64
    np.testing.assert_array_equal(out, double.read(0, double.n_times))


@pytest.mark.parametrize("name", CHAINS)
def test_memory_does_not_grow_with_the_recording(name):
    def peak(n_times):
        signal = CHAINS[name](LazyNoise(n_times))
        tracemalloc.start()
        for start in range(0, signal.n_times, 2000):
            signal.read(start, min(start + 2000, signal.n_times))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(20_000)  # imports
    short, long = peak(60_000), peak(300_000)
    assert long < 1.1 * short
    assert long < 16 * 2**20


@settings(max_examples=80, deadline=None)
@given(st.integers(2, 30), st.integers(-40, 29), st.integers(1, 70), st.data())
def test_extension_equals_numpy_padding(n_times, start, length, data):
    start = min(start, n_times - 1)
    stop = max(start + length, 1)
    limit = data.draw(st.integers(0, n_times - 1))
    x = noise(n_times)
    turned = np.pad(x, ((0, 0), (limit, limit)), mode="reflect", reflect_type="odd")
    expected = {
        "edge": np.pad(x, ((0, 0), (200, 200)), mode="edge"),
        "reflect_limited": np.pad(turned, ((0, 0), (200 - limit, 200 - limit))),
    }
    for pad, whole in expected.items():
        reader = ExtendedReader(ArraySignal(x, 250.0), pad, keep=7, limit=limit)
        for _ in range(2):
            out = reader.read(start, stop)
            np.testing.assert_allclose(out, whole[:, 200 + start : 200 + stop], rtol=1e-12)


PRINT_HASH = """
import hashlib
import numpy as np
from bidsmill.signal import ArraySignal, Filtered, Resampled
rng, sums = np.random.default_rng(0), hashlib.sha256()
for n_channels in (1, 2, 5, 64, 306):
    data = rng.standard_normal((n_channels, 15_000))
    rates = ((1024, 1000), (499.7071, 250), (500, 250), (1000, 7), (1000, 1))
    for before, after in rates if n_channels < 306 else rates[:2]:
        signal = Resampled(Filtered(ArraySignal(data, before), high=40), after)
        sums.update(signal.read(0, signal.n_times).tobytes())
print(sums.hexdigest())
"""


@pytest.mark.long
def test_the_number_of_threads_does_not_change_a_bit():
    found = set()
    for threads in ("1", "2", "4"):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", PRINT_HASH]
        found.add(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert len(found) == 1
