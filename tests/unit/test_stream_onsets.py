"""Onsets found in chunks, against a search sample by sample over the whole signal."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from stream_driver import core_of, emg_like, run

from bidsmill.streams.operation import Span
from bidsmill.streams.operations.envelope import Envelope
from bidsmill.streams.operations.onsets import Onsets

# Searches that are drawn.
EXAMPLES = 150 if os.environ.get("BIDSMILL_LONG") else 50
COLUMNS = ["onset", "duration", "onset_sample", "code", "value", "label", "HED", "channel"]


def thresholds(operation, row, sfreq):
    """Return the threshold of each sample, from all samples at once."""
    finite = row[np.isfinite(row)].astype(np.float64)
    factor = operation.threshold
    if operation.method == "adaptive":
        return adaptive(operation, row, sfreq)
    if operation.unit == "absolute":
        level = factor
    elif not len(finite):
        level = np.nan
    elif operation.unit == "mad":
        level = np.median(finite) + factor * stats.median_abs_deviation(finite, scale="normal")
    elif operation.unit == "sd":
        level = finite.mean() + factor * finite.std()
    else:
        level = factor * finite.max()
    return np.full(len(row), level)


def adaptive(operation, row, sfreq):
    width = min(round(operation.window * sfreq), len(row))
    values = np.where(np.isfinite(row), row, np.nan).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(values, width)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        mean, std = np.nanmean(windows, axis=1), np.nanstd(windows, axis=1)
    starts = [max(i - round(operation.guard * sfreq) - width, 0) for i in range(len(row))]
    return (mean + operation.threshold * std)[starts]


def brute_force(operation, row, sfreq):
    """Return (start, stop, peak) of the events of one channel, by loops."""
    levels = thresholds(operation, row, sfreq).astype(np.float32)
    above = [bool(np.isfinite(v) and v > level) for v, level in zip(row, levels, strict=True)]
    active = list(above)
    if operation.method == "double":
        active = [False] * len(row)
        for start in range(len(row) - operation.of + 1):
            hits = [i for i in range(start, start + operation.of) if above[i]]
            if len(hits) >= operation.count:
                active[hits[0] : hits[-1] + 1] = [True] * (hits[-1] + 1 - hits[0])
    events, gap = [], max(round(operation.gap * sfreq), 1)
    for i in (i for i, on in enumerate(active) if on):
        if events and i - events[-1][1] < gap:
            events[-1][1] = i + 1
        else:
            events.append([i, i + 1])
    events = [e for e in events if e[1] - e[0] >= round(operation.minimum * sfreq)]
    kept = []
    for event in events:
        if not kept or event[0] - kept[-1][0] >= round(operation.refractory * sfreq):
            kept.append(event)
    # Samples of a gap are at most as great as those on either side, if they are finite.
    return [(a, b, max(row[i] for i in range(a, b) if active[i])) for a, b in kept]


def assert_equals_brute_force(operation, data, sfreq, chunks):
    core = core_of(data, sfreq, t0=0.25)
    expected = [
        (start, channel, stop, peak)
        for channel, row in enumerate(data)
        for start, stop, peak in brute_force(operation, row, sfreq)
    ]
    expected.sort(key=lambda event: event[:2])
    for chunk in chunks:
        table = run(operation, data, core, chunk)
        assert list(table.columns) == COLUMNS
        assert list(table["onset_sample"]) == [event[0] for event in expected]
        assert list(table["channel"]) == [f"m{event[1]}" for event in expected]
        lengths = (table["duration"] * sfreq).round().astype(int)
        assert list(lengths) == [event[2] - event[0] for event in expected]
        assert list(table["value"]) == [float(event[3]) for event in expected]
        assert np.allclose(table["onset"], 0.25 + table["onset_sample"] / sfreq)
    return expected


@pytest.fixture(scope="module")
def envelope():
    data = emg_like(n=6000, n_channels=3)
    return run(Envelope("rms", window=0.05), data, core_of(data), 10**9)


@pytest.mark.parametrize(
    "operation",
    [
        Onsets(),
        Onsets(1.0, unit="sd", minimum=0.05),
        Onsets(0.1, unit="peak", gap=0.02),
        Onsets(2e-5, unit="absolute", refractory=0.9, gap=0.0),
        Onsets(2.0, "double", count=30, of=40, gap=0.01),
        Onsets(2.0, "adaptive", window=0.5, guard=0.05, minimum=0.02),
        Onsets(1.5, "adaptive", window=20.0),
    ],
    ids=str,
)
def test_onsets_of_bursts_in_any_chunks(envelope, operation):
    found = assert_equals_brute_force(operation, envelope, 1000.0, [1024, 3072, 997, 10**9])
    assert len(found) >= 3


LEVELS = st.sampled_from([0.0, 1.0, 2.0, 3.0, 5.0, -4.0, 0.1, np.nan, np.inf])


@st.composite
def searches(draw):
    """An operation, small signals with ties and gaps, and a way to cut them."""
    n = draw(st.integers(1, 60))
    data = [draw(st.lists(LEVELS, min_size=n, max_size=n)) for _ in range(draw(st.integers(1, 2)))]
    of = draw(st.integers(1, 7))
    operation = Onsets(
        threshold=draw(st.sampled_from([0.0, 0.5, 1.0, 2.0, -1.0])),
        method=draw(st.sampled_from(["single", "double", "adaptive"])),
        unit=draw(st.sampled_from(["mad", "sd", "peak", "absolute"])),
        minimum=draw(st.integers(0, 6)) / 10,
        gap=draw(st.integers(0, 8)) / 10,
        refractory=draw(st.integers(0, 12)) / 10,
        count=draw(st.integers(1, of)),
        of=of,
        window=draw(st.integers(2, 15)) / 10,
        guard=draw(st.integers(0, 5)) / 10,
    )
    return operation, np.array(data, dtype=np.float32), draw(st.integers(1, n))


@settings(max_examples=EXAMPLES, deadline=None)
@given(searches())
def test_onsets_equal_brute_force(search):
    operation, data, chunk = search
    assert_equals_brute_force(operation, data, 10.0, [chunk, 10**9])


def test_what_is_kept_of_a_chunk_is_bounded_by_its_events():
    # Noise crosses its threshold at every other sample.
    data = np.tile(np.array([0, 1], dtype=np.float32), 50_000)[None]
    core = core_of(data)
    operation = Onsets(0.5, unit="absolute", gap=0.002, minimum=0.01)
    (merged,) = operation.compute(data, Span(0, 100_000, 0, 100_000), core, None)
    assert len(merged.start) <= 1 + len(data[0]) / 20
    operation = Onsets(0.5, unit="absolute", gap=0.001, minimum=0.01)
    (short,) = operation.compute(data, Span(0, 100_000, 0, 100_000), core, None)
    assert len(short.start) <= 2
    assert len(operation.join([[short]], core)) == 0


def test_a_stream_without_onsets_gives_an_empty_table():
    data = np.zeros((2, 500), dtype=np.float32)
    table = run(Onsets(), data, core_of(data), 100)
    assert list(table.columns) == COLUMNS
    assert len(table) == 0


@pytest.mark.parametrize("value", [0.1, 1000.3, -7.7e-5])
def test_samples_at_their_threshold_are_not_above_it(value):
    # Rounding of sums of equal values must not lift a sample over their mean.
    data = np.full((1, 3000), value, dtype=np.float32)
    for operation in (
        Onsets(0.0, "adaptive", window=0.7),
        Onsets(2.0, "adaptive", window=0.333),
        Onsets(0.0, unit="sd"),
        Onsets(1.0, unit="mad"),
    ):
        for chunk in (997, 10**9):
            assert len(run(operation, data, core_of(data), chunk)) == 0


@pytest.mark.parametrize("chunk", [7, 11, 29, 997])
def test_the_mean_of_chunks_lifts_no_sample_over_it(chunk):
    data = np.tile(np.array([1, 3, 2], dtype=np.float32), 1000)[None]
    operation = Onsets(0.0, unit="sd", minimum=0.0, gap=0.0)
    table = run(operation, data, core_of(data), chunk)
    assert list(table["onset_sample"]) == list(range(1, 3000, 3))
    assert set(table["duration"]) == {0.001}
