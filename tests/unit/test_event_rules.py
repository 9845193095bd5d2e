"""What becomes of events: every one is used or dropped for a reason, and none is lost silently."""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from bids_cases import Dataset, write_small
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids.events import (
    boundary_markers,
    event_conflicts,
    read_events,
    seconds,
    sort_and_screen,
)
from bidsmill.bids.reasons import EVENTS
from bidsmill.bids.repairs import RULES, Repairs
from bidsmill.convert.rows import place_rows
from bidsmill.convert.windows import find_cuts
from bidsmill.errors import RecordingProblem
from bidsmill.signal.source import ArraySignal

RATE, LENGTH = 100.0, 1000


def path_of(tmp_path, content):
    path = tmp_path / "sub-01_task-x_events.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ----------------------------------------------------- H8: unreadable is not unlabelled


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<!DOCTYPE html>\n<html><body>Not found</body></html>", "events_unreadable"),
        (b"\n <HTML>x</HTML>", "events_unreadable"),
        (b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "events_unreadable"),
        (b"trial_type\tduration\n", "events_unreadable"),
        (b"\x1f\x8b\x08\x00garbage", "events_unreadable"),
        (b"/annex/objects/MD5E-s495872--fd267ef9d4154f8e6013a4ddda78acc0.tsv\n", None),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:e0\nsize 3\n", None),
    ],
)
def test_what_is_no_table_of_events_is_an_error(tmp_path, content, code):
    with pytest.raises(RecordingProblem) as caught:
        read_events(path_of(tmp_path, content))
    assert caught.value.code == (code or "content_not_fetched")
    assert caught.value.file == "sub-01_task-x_events.tsv"


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path):
    for path in (tmp_path / "absent_events.tsv", tmp_path):
        with pytest.raises(RecordingProblem) as caught:
            read_events(path)
        assert caught.value.code == "read_error"


def test_a_broken_link_is_an_error(tmp_path):
    os.symlink("../.git/annex/objects/x", tmp_path / "x_events.tsv")
    with pytest.raises(RecordingProblem) as caught:
        read_events(tmp_path / "x_events.tsv")
    assert caught.value.code == "content_not_fetched"


def test_an_encoding_that_nothing_may_read_is_an_error(tmp_path):
    path = path_of(tmp_path, "onset\ttrial_type\n1\tfäce\n".encode("cp1252"))
    with pytest.raises(RecordingProblem) as caught:
        read_events(path, Repairs(refuse=["windows_1252"]))
    assert caught.value.code == "events_unreadable"
    assert read_events(path)[0]["trial_type"].tolist() == ["fäce"]


@pytest.mark.parametrize("kind", ["events", "fixed"])
def test_a_recording_whose_events_are_unreadable_is_quarantined(tmp_path, kind):
    dataset = Dataset(tmp_path)
    write_small(dataset.root)
    events = next(dataset.root.rglob("sub-03_ses-1_task-x_events.tsv"))
    events.write_text("<html>busy</html>")
    windows = {
        "events": {"kind": "events", "events": "all", "tmin": 0.0, "tmax": 0.2},
        "fixed": {"kind": "fixed", "length": 1.0},
    }[kind]
    table = dataset.run(windows=windows).table("recordings.tsv").set_index("recording")
    row = table.loc["sub-03_ses-1_task-x_eeg"]
    assert (row["status"], row["reason"]) == ("quarantined", "not_annotated")
    assert "web page" in row["message"] and "sub-03_ses-1_task-x_events.tsv" in row["message"]
    assert (table["status"] == "converted").sum() == 2


def test_no_rows_are_no_events_even_if_the_file_has_markers(tmp_path):
    dataset = Dataset(tmp_path)
    write_small(dataset.root)
    stem = "sub-01_task-x_run-2"
    (dataset.root / "sub-01" / "eeg" / f"{stem}_events.tsv").write_text("onset\tduration\n")
    table = dataset.run(windows={"kind": "fixed", "length": 1.0}).table("recordings.tsv")
    row = table.set_index("recording").loc[f"{stem}_eeg"]
    assert (row["status"], row["events"]) == ("converted", "0")


# -------------------------------------------------------------------------- policy


def test_negative_durations_are_none_and_told(tmp_path):
    path = path_of(tmp_path, "onset\tduration\tvalue\n1\t-0.5\ta\n2\t0.5\tb\n3\tn/a\tc\n")
    repairs = Repairs()
    events, problems = read_events(path, repairs)
    assert events["duration"].tolist() == ["0", "0.5", ""]
    assert events["onset"].tolist() == ["1", "2", "3"]
    assert [n["rule"] for n in repairs.applied] == ["negative_duration"] and len(problems) == 1
    events, _ = read_events(path, Repairs(refuse=["negative_duration"]))
    assert events["duration"].tolist() == ["-0.5", "0.5", ""]


def test_overlapping_and_simultaneous_events_are_kept(tmp_path):
    path = path_of(tmp_path, "onset\tduration\tvalue\n2\t5\ta\n1\t5\tb\n1\t5\tc\n1\t4\tb\n")
    ordered, reasons = sort_and_screen(read_events(path)[0])
    assert ordered["value"].tolist() == ["b", "c", "b", "a"] and reasons == [""] * 4


def test_codes_that_stand_in_value_alone_are_told(tmp_path):
    path = path_of(tmp_path, "onset\ttrial_type\tvalue\n1\tn/a\t5\n2\tn/a\t6\n3\tn/a\t5\n")
    events, problems = read_events(path)
    assert set(events["trial_type"]) == {""} and events["value"].tolist() == ["5", "6", "5"]
    assert problems == ["trial_type is n/a in all events; column value has 2 different value(s)"]


def test_a_boundary_may_stand_in_either_column():
    frame = pd.DataFrame(
        {
            "onset": ["1", "2", "3"],
            "trial_type": ["", "boundary", "x"],
            "value": ["boundary", "1", ""],
        }
    )
    assert boundary_markers(frame) == [True, True, False]
    assert sort_and_screen(frame)[1] == ["boundary_marker", "boundary_marker", ""]
    assert boundary_markers(frame[["onset"]]) == [False] * 3


# ------------------------------------------------------- contradictions, told not mended


def conflicts(onsets, samples=None):
    columns = {"onset": onsets} if samples is None else {"onset": onsets, "sample": samples}
    return event_conflicts(pd.DataFrame(columns, dtype=object), RATE, LENGTH)


@pytest.mark.parametrize(
    ("onsets", "told"),
    [
        (["1", "2"], 0),
        (["1", "25"], 0),
        (["1", "25", "26"], 1),
        (["150", "300", "999"], 1),
        ([], 0),
        (["", "x"], 0),
    ],
)
def test_onsets_beyond_the_end_are_told(onsets, told):
    found = conflicts(onsets)
    assert len(found) == told
    if onsets and onsets[0] == "150":
        assert found == [
            "3 of 3 onsets lie after the end (10 s); they may be samples, and are not rescaled"
        ]


@pytest.mark.parametrize(
    ("onset", "sample", "told"),
    [
        ("1.5", "150", 0),
        ("1.5", "151", 0),  # counted from 1
        ("1.5", "160", 1),
        ("1.5", "n/a", 0),
        ("n/a", "150", 0),
        ("1", "149", 0),
        ("1.50", "153", 1),
    ],
)
def test_onset_wins_over_sample(onset, sample, told):
    found = conflicts([onset, "2"], [sample, "200"])
    assert len(found) == told


def test_the_rounding_of_an_onset_is_no_conflict():
    # 1.001 stands for 1.0005 to 1.0015 s: at 10 kHz 5 samples to either side.
    frame = pd.DataFrame({"onset": ["1.001", "1.001"], "source_sample": ["10015", "10030"]})
    assert event_conflicts(frame, 10_000.0, 10**6) == [
        "column sample and onset disagree by more than a sample in 1 event(s); onset is used"
    ]


# -------------------------------------------------- events in = used + dropped, whatever

ONSETS = st.one_of(
    st.floats(-2, 12).map(repr),
    st.integers(-1, 11).map(str),
    st.sampled_from(["", "n/a", "NaN", " 1 ", "1,5", "0,25", "4,988", "1e300", "-inf", "x", "1_0"]),
)
CELLS = st.sampled_from(["", "n/a", "a", "b", "boundary", "-1", "0.5", "1,5", "B2,4,8", "µ", "٣"])
HEADERS = st.permutations(["onset", "duration", "trial_type", "value", "sample"])


@st.composite
def mangled(draw):
    """Return bytes that are nearly a table of events, and how many events it has."""
    header = draw(HEADERS)
    columns = draw(st.integers(1, 5))
    header = header[:columns]
    if "onset" not in header:
        header[0] = "onset"
    rows = draw(
        st.lists(st.tuples(*[ONSETS if name == "onset" else CELLS for name in header]), max_size=12)
    )
    rows += draw(st.lists(st.sampled_from(rows), max_size=4)) if rows else []
    lines = ["\t".join(row) for row in rows]
    lines = [line + draw(st.sampled_from(["", "", "\tmore", "\t"])) for line in lines]
    count = sum(1 for line in lines if line.strip())
    if draw(st.booleans()):
        header = [name.title() for name in header]
    for _ in range(draw(st.integers(0, 2))):
        lines.insert(draw(st.integers(0, len(lines))), "")
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = end.join(["\t".join(header), *lines])
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]))
    return text.encode(encoding, errors="replace"), count


@settings(max_examples=300, deadline=None)
@given(mangled(), st.sampled_from([[], list(RULES)]))
def test_every_event_is_used_or_dropped_for_a_reason(tmp_path_factory, table, allow):
    content, count = table
    path = path_of(tmp_path_factory.mktemp("t"), content)
    read, _ = read_events(path, Repairs(allow=allow))
    assert len(read) == count
    events, reasons = sort_and_screen(read)
    assert len(events) == len(reasons) == count and set(reasons) <= {"", *EVENTS}
    # Sorting moves whole rows, and changes none.
    assert Counter(map(tuple, events.to_numpy())) == Counter(map(tuple, read.to_numpy()))
    events["chosen"] = ["no" if reason else "yes" for reason in reasons]
    boundaries = [
        (seconds(onset), 0.0)
        for onset, marked in zip(events["onset"], boundary_markers(events), strict=True)
        if marked and np.isfinite(seconds(onset))
    ]
    signal = ArraySignal(np.zeros((1, LENGTH)), RATE)
    windows = {"kind": "events", "tmin": -0.1, "tmax": 0.2}
    try:
        rows = place_rows(signal, windows, events, find_cuts(boundaries, RATE, LENGTH))
    except RecordingProblem as problem:
        assert problem.code in ("no_events", "no_windows")
        return
    before = {row: reason for row, reason in enumerate(reasons) if reason}
    assert len(before) + len(rows.dropped) + len(rows.events) == count
    assert set(before) | set(rows.dropped) | set(rows.events) == set(range(count))
    assert set(rows.dropped.values()) <= set(EVENTS)
    for event, start in zip(rows.events, rows.starts, strict=True):
        onset = float(events["onset"][event])
        assert 0 <= onset < LENGTH / RATE and start == round(onset * RATE) - 10
    event_conflicts(events, RATE, LENGTH)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_any_bytes_are_events_or_a_stated_problem(tmp_path_factory, content):
    path = path_of(tmp_path_factory.mktemp("t"), content)
    try:
        events, _ = read_events(path)
    except RecordingProblem as problem:
        assert problem.code in ("events_unreadable", "content_not_fetched")
        return
    assert len(sort_and_screen(events)[1]) == len(events)
