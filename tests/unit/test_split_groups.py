"""Groups, pieces of time, and the guard between two sides."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_cases import RATE, fixed_windows, p300

from bidsmill.formats.certificate import group_of_rows, side_of_rows
from bidsmill.split.groups import (
    apply_guard,
    count_rows,
    group_table,
    overlapping_windows,
    samples_per_second,
)

ONE = [("01", "", "", "a", "x")]


def pieces_of(samples, share=0.2, gap=0.0) -> pd.DataFrame:
    return group_table(samples, "time", share=share, gap=gap)


def distances(samples: pd.DataFrame, side: np.ndarray):
    """Yield the distance (s) between all windows of different sides, pair by pair."""
    for _, part in samples.assign(side=side).groupby("recording"):
        placed = part[part["side"] != "none"]
        for a, b in itertools.combinations(placed.itertuples(), 2):
            if a.side != b.side:
                yield max(a.start - b.stop, b.start - a.stop) / RATE


def test_groups_are_sorted_and_leave_nobody_out():
    samples = p300().sample(frac=1, random_state=0)
    table = group_table(samples, "session", share=0.2, gap=0)
    assert table["group"].tolist() == [
        "sub-01_ses-01",
        "sub-01_ses-02",
        "sub-01_ses-03",
        "sub-02_ses-01",
    ]
    assert set(table["split"]) == {"none"}
    assert len(group_table(samples, "run", share=0.2, gap=0)) == 8
    assert len(group_table(samples, "subject", share=0.2, gap=0)) == 2


@pytest.mark.parametrize(
    ("windows", "share", "gap", "expected"),
    [
        (100, 0.2, 0.0, 5),
        (100, 0.1, 0.0, 10),
        (100, 0.01, 0.0, 20),
        (100, 0.5, 0.0, 5),
        (100, 0.2, 10.0, 5),
        (50, 0.2, 10.0, 4),
        (30, 0.2, 10.0, 2),
        (22, 0.2, 10.0, 2),
        (21, 0.2, 10.0, 1),
        (3, 0.2, 0.0, 3),
        (1, 0.2, 0.0, 1),
    ],
)
def test_the_number_of_pieces(windows, share, gap, expected):
    """Windows of 1 s end to end: a piece is at least the gap and one window long."""
    samples = fixed_windows(ONE, windows=windows)
    table = pieces_of(samples, share, gap)
    assert len(table) == expected
    assert sorted(table["group"]) == sorted(f"sub-01_task-x_eeg@{k + 1}" for k in range(expected))
    counted = count_rows(samples, table, np.ones(windows, dtype=bool))
    assert counted["rows"].sum() == windows
    assert counted["rows"].max() - counted["rows"].min() <= 1


def test_pieces_are_contiguous_and_equal_onsets_stay_together():
    samples = p300()
    samples = pd.concat([samples, samples.iloc[::7]], ignore_index=True)
    groups = group_of_rows(samples, pieces_of(samples))
    assert "" not in groups
    for _, part in samples.assign(group=groups).sort_values("onset").groupby("recording"):
        assert part.groupby("onset")["group"].nunique().max() == 1
        changes = (part["group"] != part["group"].shift()).sum()
        assert changes == part["group"].nunique() == 5


def test_the_rate_of_the_grid():
    samples = p300()
    one = samples[samples["recording"] == samples["recording"][0]]
    onset, start = one["onset"].to_numpy(), one["start"].to_numpy()
    assert samples_per_second(onset, start) == pytest.approx(RATE, abs=1 / 100)
    assert samples_per_second(onset[:1], start[:1]) == 0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["train", "test", "validation"]), min_size=5, max_size=5),
    st.sampled_from([0.0, 0.3, 1.0, 2.5]),
    st.sampled_from([0.25, 0.5, 1.0, 1.3]),
    st.integers(8, 40),
)
def test_windows_of_two_sides_keep_the_gap(sides, gap, step, windows):
    samples = fixed_windows(ONE, windows=windows, step=step)
    table = pieces_of(samples)
    table["split"] = sides[: len(table)]
    guarded = apply_guard(samples, table, gap)
    side = side_of_rows(samples, guarded)
    assert min(distances(samples, side), default=gap) >= gap
    assert overlapping_windows(samples, guarded) == 0
    before = side_of_rows(samples, table)
    assert ((side == before) | (side == "none")).all()
    assert (side[before == "test"] == "test").all()


def test_only_the_rows_within_the_gap_are_lost():
    """20 windows of 1 s, pieces of 4: test is 8 to 12 s, so 6 and 7, 12 and 13 are too near."""
    samples = fixed_windows(ONE, windows=20)
    table = pieces_of(samples).assign(split=["train", "train", "test", "train", "train"])
    side = side_of_rows(samples, apply_guard(samples, table, 1.5)).tolist()
    expected = ["train"] * 6 + ["none"] * 2 + ["test"] * 4 + ["none"] * 2 + ["train"] * 6
    assert side == expected


def test_a_piece_of_which_nothing_is_left_is_on_no_side():
    samples = fixed_windows(ONE, windows=20)
    table = pieces_of(samples).assign(split=["train", "test", "train", "test", "train"])
    guarded = apply_guard(samples, table, 2.9)
    assert guarded["split"].tolist() == ["train", "test", "none", "test", "train"]
    assert np.isnan(guarded["onset_start"][2])
    assert (side_of_rows(samples, guarded) == "train").sum() == 2


def test_groups_that_are_no_pieces_stay_as_they_are():
    samples = p300()
    table = group_table(samples, "run", share=0.2, gap=10).assign(split="train")
    table.loc[0, "split"] = "test"
    pd.testing.assert_frame_equal(apply_guard(samples, table, 10), table)


def test_overlapping_windows_are_counted():
    """Windows of 1 s every 0.5 s: at each border one window of either side overlaps."""
    samples = fixed_windows(ONE, windows=20, step=0.5)
    table = pieces_of(samples).assign(split=["train", "train", "test", "test", "train"])
    assert overlapping_windows(samples, table) == 4
    assert overlapping_windows(samples, table.assign(split="train")) == 0
    apart = fixed_windows(ONE, windows=20, step=1.0)
    assert overlapping_windows(apart, table.assign(onset_start=0, onset_stop=9)) == 0
