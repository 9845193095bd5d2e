"""Events as they are read, sorted and screened."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids.events import (
    events_of_annotations,
    read_events,
    seconds,
    sort_and_screen,
)
from bidsmill.bids.reading import Annotation, is_bad, is_boundary


def screened(*rows):
    frame = pd.DataFrame(rows, columns=["onset", "trial_type"], dtype=object)
    ordered, reasons = sort_and_screen(frame)
    return [(*row, why) for row, why in zip(ordered.to_numpy().tolist(), reasons, strict=True)]


def test_reasons_and_order():
    assert screened(
        ("3", "a"),
        ("", "b"),
        ("1,5", "c"),
        ("-0.5", "d"),
        ("3", "a"),
        ("0", "e"),
        ("inf", "f"),
        ("2", "boundary"),
        ("3", "b"),
        ("1e-3", "g"),
        ("x", "boundary"),
    ) == [
        ("-0.5", "d", "before_start"),
        ("0", "e", ""),
        ("1e-3", "g", ""),
        ("2", "boundary", "boundary_marker"),
        ("3", "a", ""),
        ("3", "a", "duplicate"),
        ("3", "b", ""),
        ("", "b", "onset_missing"),
        ("1,5", "c", "onset_not_a_number"),
        ("inf", "f", "onset_not_a_number"),
        ("x", "boundary", "onset_not_a_number"),
    ]


def test_events_without_types():
    ordered, reasons = sort_and_screen(pd.DataFrame({"onset": ["2", "1", "1"]}, dtype=object))
    assert ordered["onset"].tolist() == ["1", "1", "2"]
    assert reasons == ["", "duplicate", ""]


def test_duplicates_differ_by_any_cell():
    frame = pd.DataFrame({"onset": ["1"] * 3, "value": ["1", "1.0", "1"]}, dtype=object)
    assert sort_and_screen(frame)[1] == ["", "", "duplicate"]


def test_no_events():
    ordered, reasons = sort_and_screen(events_of_annotations([]))
    assert len(ordered) == 0 and reasons == []


ONSETS = st.one_of(
    st.floats(allow_nan=True).map(repr),
    st.integers(-5, 5).map(str),
    st.sampled_from(["", "x", "1_0", "nan", "-inf", "1e400", "٣", " 1 "]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(ONSETS, st.sampled_from(["a", "b", "boundary", ""])), max_size=15))
def test_sorting_against_a_plain_loop(rows):
    found = screened(*rows)

    def number(text):
        try:
            value = math.nan if "_" in text or not text.isascii() else float(text)
        except ValueError:
            value = math.nan
        return value if math.isfinite(value) else math.nan

    known = sorted((r for r in rows if not math.isnan(number(r[0]))), key=lambda r: number(r[0]))
    unknown = [r for r in rows if math.isnan(number(r[0]))]
    assert [row[:2] for row in found] == known + unknown
    seen = set()
    for text, kind, reason in found:
        if math.isnan(number(text)):
            wanted = "onset_not_a_number" if text else "onset_missing"
        elif number(text) < 0:
            wanted = "before_start"
        elif (text, kind) in seen:
            wanted = "duplicate"
        else:
            wanted = "boundary_marker" if kind == "boundary" else ""
        assert reason == wanted
        seen.add((text, kind))


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1.5", 1.5), (" 2 ", 2), ("1e3", 1000), (3, 3), (True, 1), ("-0", 0), ("1e-400", 0)],
)
def test_numbers(cell, value):
    assert seconds(cell) == value


@pytest.mark.parametrize(
    "cell", ["", "n/a", "1,5", "inf", "-inf", "nan", "1e999", "1_0", "٣", "0x10", None, [1], {}]
)
def test_what_is_no_number(cell):
    assert math.isnan(seconds(cell))


def test_reading_a_file(tmp_path):
    path = tmp_path / "x_events.tsv"
    path.write_text("sample\tonset\tvalue\n5\t0.5\tn/a\n")
    events, problems = read_events(path)
    assert events.to_dict("records") == [
        {"sample": "5", "onset": "0.5", "value": "", "duration": ""}
    ]
    assert problems == []


def test_a_file_without_onsets_is_told_and_keeps_its_rows(tmp_path):
    path = tmp_path / "x_events.tsv"
    path.write_text("time\tvalue\n1\t5\n2\t6\n")
    events, problems = read_events(path)
    assert len(events) == 2 and set(sort_and_screen(events)[1]) == {"onset_missing"}
    assert problems == ["x_events.tsv has no column onset; none of its events can be used"]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf\n\t\n"])
def test_an_empty_file_has_no_events(tmp_path, content):
    path = tmp_path / "x_events.tsv"
    path.write_bytes(content)
    events, problems = read_events(path)
    assert len(events) == 0 and {"onset", "duration"} <= set(events.columns)
    assert len(problems) == 1


def test_annotations_become_events_that_give_their_numbers_back():
    marks = [Annotation(0.1 + 0.2, 1 / 3, "a"), Annotation(1e-7, 0.0, "b")]
    events = events_of_annotations(marks)
    assert [float(text) for text in events["onset"]] == [mark.onset for mark in marks]
    assert [float(text) for text in events["duration"]] == [mark.duration for mark in marks]
    assert events["trial_type"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "boundary", "bad"),
    [
        ("boundary", True, False),
        ("Boundary", True, False),
        (" boundary ", True, False),
        ("BAD boundary", True, False),
        ("EDGE boundary", True, False),
        ("BAD_ACQ_SKIP", True, False),
        ("New Segment/", True, False),
        ("New Segment/LostSamples: 3", True, False),
        ("bad", False, True),
        ("BAD_eye movement", False, True),
        ("Bad Interval/Bad Min-Max", False, True),
        ("boundary box", False, False),
        ("not bad", False, False),
        ("", False, False),
    ],
)
def test_markers_of_boundaries_and_of_bad_signal(text, boundary, bad):
    assert (is_boundary(text), is_bad(text)) == (boundary, bad)
