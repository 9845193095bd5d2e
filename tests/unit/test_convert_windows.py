"""Where windows lie, against plain loops over every sample."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.convert.windows import Cuts, crosses, event_windows, find_cuts, fixed_windows

N_TIMES = st.integers(1, 60)


def cuts_of(points, gaps) -> Cuts:
    return Cuts(
        np.array(sorted(set(points)), np.int64),
        np.array(sorted(gaps), np.int64).reshape(-1, 2),
    )


@st.composite
def interrupted(draw):
    """Return a number of samples and cuts in them."""
    n_times = draw(N_TIMES)
    points = draw(st.lists(st.integers(1, max(1, n_times - 1)), max_size=5))
    edges = st.integers(0, n_times)
    gaps = draw(st.lists(st.tuples(edges, edges).map(sorted).filter(lambda g: g[0] < g[1])))
    return n_times, cuts_of([p for p in points if p < n_times], gaps[:4])


def stretch_of_each_sample(n_times: int, cuts: Cuts) -> list[int | None]:
    """Number the stretches sample by sample; None: no signal."""
    numbers, number = [], 0
    for sample in range(n_times):
        in_gap = any(low <= sample < high for low, high in cuts.gaps)
        was_in_gap = bool(numbers) and numbers[-1] is None
        if sample in cuts.points or (was_in_gap and not in_gap):
            number += 1
        numbers.append(None if in_gap else number)
    return numbers


def is_continuous(start: int, stop: int, stretches: list[int | None]) -> bool:
    inside = set(stretches[max(0, start) : max(0, stop)])
    return None not in inside and len(inside) <= 1


@settings(max_examples=300, deadline=None)
@given(interrupted())
def test_segments_are_the_stretches(case):
    n_times, cuts = case
    stretches = stretch_of_each_sample(n_times, cuts)
    wanted: dict[int, list[int]] = {}
    for sample, number in enumerate(stretches):
        if number is not None:
            wanted.setdefault(number, []).append(sample)
    found = cuts.segments(n_times)
    assert found == [(run[0], run[-1] + 1) for run in wanted.values()]


@settings(max_examples=400, deadline=None)
@given(
    interrupted(),
    st.integers(1, 20),
    st.integers(0, 19),
    st.sampled_from([1.0, 10.0, 250.0, 256.0, 1000 / 3]),
)
def test_fixed_windows_against_a_loop(case, samples, shared, sfreq):
    n_times, cuts = case
    shared = min(shared, samples - 1)
    starts, length = fixed_windows(sfreq, samples / sfreq, shared / sfreq, n_times, cuts)
    assert length == samples
    stretches = stretch_of_each_sample(n_times, cuts)
    wanted, begin = [], None
    for sample in range(n_times):
        if sample == 0 or stretches[sample] != stretches[sample - 1]:
            begin = sample
        stop = sample + samples
        fits = stop <= n_times and is_continuous(sample, stop, stretches)
        if fits and (sample - begin) % (samples - shared) == 0:
            wanted.append(sample)
    assert starts.tolist() == wanted


@settings(max_examples=400, deadline=None)
@given(
    interrupted(),
    st.lists(st.integers(-20, 90), max_size=12).map(sorted),
    st.integers(-15, 15),
    st.integers(1, 20),
    st.sampled_from([1.0, 10.0, 250.0]),
)
def test_event_windows_against_a_loop(case, samples, first, length, sfreq):
    n_times, cuts = case
    onsets = np.array(samples, float) / sfreq
    starts, found, kept, reasons = event_windows(
        onsets, sfreq, first / sfreq, (first + length) / sfreq, n_times, cuts
    )
    assert found == length
    stretches = stretch_of_each_sample(n_times, cuts)
    wanted = []
    for sample in samples:
        start, stop = sample + first, sample + first + length
        if sample >= n_times:
            wanted.append("after_end")
        elif start < 0:
            wanted.append("window_before_start")
        elif stop > n_times:
            wanted.append("window_after_end")
        elif not is_continuous(start, stop, stretches):
            wanted.append("boundary")
        else:
            wanted.append("")
    assert reasons == wanted
    assert kept.tolist() == [i for i, reason in enumerate(wanted) if not reason]
    assert starts.tolist() == [samples[i] + first for i in kept]
    assert np.all(np.diff(starts) >= 0)


def test_windows_may_touch_a_cut_from_either_side():
    cuts = cuts_of([50], [])
    starts = np.array([40, 41, 49, 50])
    assert crosses(starts, starts + 10, cuts).tolist() == [False, True, True, False]
    found, *_, reasons = event_windows(np.array([4.0, 4.1, 5.0]), 10, 0, 1, 100, cuts)
    assert (found.tolist(), reasons) == ([40, 50], ["", "boundary", ""])


def test_windows_may_touch_a_gap_from_either_side():
    cuts = cuts_of([], [(50, 60)])
    starts = np.array([40, 41, 59, 60])
    assert crosses(starts, starts + 10, cuts).tolist() == [False, True, True, False]


@pytest.mark.parametrize(("onset", "sample"), [(1.0049, 100), (1.005001, 101), (0.0049, 0)])
def test_an_event_stands_on_the_nearest_sample(onset, sample):
    starts, *_ = event_windows(np.array([onset]), 100, 0.0, 0.1, 1000, cuts_of([], []))
    assert starts.tolist() == [sample]


def test_an_onset_beyond_all_numbers_is_after_the_end():
    onsets = np.array([0.5, 1e18, 1e300])
    starts, _, kept, reasons = event_windows(onsets, 100, -0.1, 0.1, 1000, cuts_of([], []))
    assert (starts.tolist(), kept.tolist()) == ([40], [0])
    assert reasons == ["", "after_end", "after_end"]


def test_a_window_has_one_sample_at_least():
    assert event_windows(np.array([0.5]), 100, 0, 0.001, 1000, cuts_of([], []))[1] == 1
    starts, length = fixed_windows(100, 0.001, 0, 3, cuts_of([], []))
    assert (starts.tolist(), length) == ([0, 1, 2], 1)


def test_a_recording_shorter_than_a_window_has_none():
    starts, length = fixed_windows(100, 1.0, 0.5, 99, cuts_of([], []))
    assert (len(starts), length, starts.dtype) == (0, 100, np.int64)


@pytest.mark.parametrize(
    ("boundaries", "points", "gaps"),
    [
        ([(0.0, 0.0)], [], []),
        ([(10.0, 0.0), (12.0, 0.0), (-1.0, 0.0)], [], []),
        ([(1.0, 0.0), (1.0, 0.0), (0.5, 0.0)], [50, 100], []),
        ([(2.495, 0.0)], [250], []),
        ([(1.0, 0.5)], [], [[100, 150]]),
        ([(9.0, 5.0), (-1.0, 2.0)], [], [[0, 100], [900, 1000]]),
        ([(20.0, 5.0)], [], []),
        ([(1.0, 0.001)], [100], []),
    ],
)
def test_boundaries_on_the_grid(boundaries, points, gaps):
    cuts = find_cuts(boundaries, 100, 1000)
    assert (cuts.points.tolist(), cuts.gaps.tolist()) == (points, gaps)


@settings(max_examples=200, deadline=None)
@given(interrupted(), st.sampled_from([(250, 128), (500, 100), (100, 250), (7, 3), (1, 1)]))
def test_on_another_grid_each_sample_keeps_its_side(case, rates):
    n_times, cuts = case
    before, after = rates
    found = cuts.on_grid(before, after)
    last = -(-n_times * after // before)
    stretches = stretch_of_each_sample(n_times, cuts)
    for sample in range(last):
        # The last sample of the recording's own grid at or before this one.
        own = int(Fraction(sample, after) * before)
        in_gap = any(low <= sample < high for low, high in found.gaps)
        assert in_gap == (stretches[own] is None)
        assert (found.points <= sample).sum() == (cuts.points <= own).sum()
