"""Temporal scopes, against hedtools' EventManager and OnsetValidator, and worked out by hand."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from math import inf

import numpy as np
import pandas as pd
import pytest
from hed_oracle import Timeline, canonical, parts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidsmill.annotate.hed import assemble
from bidsmill.annotate.scopes import contexts
from bidsmill.formats.hed_strings import load_schema, search

VERSION = "8.3.0"
DEFINITIONS = {
    "definitions": {
        "HED": {
            "a": "(Definition/Movie, (Visual-presentation, Movie))",
            "b": "(Definition/Block/#, (Label/#))",
            "c": "(Definition/Tone, (Tone))",
        }
    }
}
MOVIE = "(Def-expand/Movie,(Movie,Visual-presentation))"
BLOCK = "(Def-expand/Block/{0},(Label/{0}))"
LONG_OFFSET = "Property/Data-property/Data-marker/Temporal-marker/Offset"
TONE = "(Def-expand/Tone,(Tone))"


def scopes_of(rows, expand=True):
    """Return the scopes of a table of (onset, HED string)."""
    onsets = np.array([onset for onset, _ in rows], dtype=float)
    texts = [text for _, text in rows]
    if expand:
        table = pd.DataFrame({"HED": texts, "definitions": "n/a"}, dtype=object)
        texts, issues = assemble(table[["HED"]], DEFINITIONS, VERSION)
        assert issues == []
    return contexts(onsets, texts, VERSION)


# --- by hand ----------------------------------------------------------------------------------


def test_a_scope_lasts_from_onset_to_offset_and_carries_definition_and_content():
    found = scopes_of(
        [
            (0, "Red"),
            (1, "Sensory-event, (Def/Movie, Onset, (Label/StarWars))"),
            (2, "Blue"),
            (3, "(Def/movie, Inset, (Label/Twist)), Green"),
            (4, "(Def/Movie, Offset), Red"),
            (5, "Blue"),
        ]
    )
    text = f"({MOVIE},(Label/StarWars))"
    assert found.scopes == [(1.0, 4.0, text)]
    assert found.context == ["", "", text, text, "", ""]
    assert found.issues == []
    for query in ("Movie", "Def/Movie", "Label/StarWars"):
        assert search(found.context, query, VERSION).tolist() == [0, 0, 1, 1, 0, 0]
    assert not search(found.context, "Onset or Inset or Label/Twist", VERSION).any()


def test_the_next_onset_of_the_anchor_closes_and_other_values_are_other_anchors():
    found = scopes_of(
        [
            (0, "(Def/Block/3, Onset)"),
            (1, "(Def/Block/4, Onset)"),
            (2, "(Def/Block/3, Onset, (Red))"),
            (3, "(Def/Block/4, Offset)"),
            (4, "Blue"),
        ]
    )
    three, four = BLOCK.format(3), BLOCK.format(4)
    assert found.scopes == [(0.0, 2.0, three), (1.0, 3.0, four), (2.0, inf, f"({three},(Red))")]
    assert found.context == ["", three, four, f"({three},(Red))", f"({three},(Red))"]


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("2 s", 2.0),
        ("2", 2.0),
        ("2 seconds", 2.0),
        ("500 ms", 0.5),
        ("0.5 minutes", 30.0),
        ("1 hour", 3600.0),
        ("1e-1 s", 0.1),
    ],
)
def test_durations_in_all_units(text, length):
    found = scopes_of([(1, f"(Duration/{text}, (Red))"), (1 + length / 2, "Blue")])
    assert found.scopes == [(1.0, pytest.approx(1 + length, rel=1e-12), "(Red)")]
    assert found.context == ["", "(Red)"]


def test_the_end_of_a_duration_does_not_depend_on_rounding():
    found = scopes_of([(0.1, "(Duration/0.2 s, (Red))"), (0.3, "Blue"), (0.30000001, "Blue")])
    assert 0.1 + 0.2 > 0.3
    assert found.scopes == [(0.1, 0.3, "(Red)")]
    assert found.context == ["", "", ""]


def test_delays_shift_every_kind_of_marker():
    found = scopes_of(
        [
            (0, "(Def/Movie, Delay/1 s, Onset), (Delay/2 s, Duration/1 s, (Red))"),
            (0.5, "Blue"),
            (1.5, "(Def/Movie, Inset, Delay/500 ms)"),
            (2.5, "(Def/Movie, Offset, Delay/1 s), (Delay/1 s, (Green))"),
            (3.25, "Blue"),
            (3.5, "Blue"),
        ]
    )
    assert found.issues == []
    assert found.scopes == [(1.0, 3.5, MOVIE), (2.0, 3.0, "(Red)")]
    assert found.context == ["", "", MOVIE, f"{MOVIE},(Red)", MOVIE, ""]


def test_a_negative_delay_begins_a_scope_before_its_row():
    found = scopes_of([(4, "Red"), (5, "(Delay/-2 s, Duration/3 s, (Square))"), (6, "Red")])
    assert found.scopes == [(3.0, 6.0, "(Square)")]
    assert found.context == ["(Square)", "(Square)", ""]


def test_rows_of_one_time_see_the_scopes_of_each_other_but_not_their_own():
    rows = [
        (0, "(Duration/5 s, (Red))"),
        (1, "Circle"),
        (1, "(Def/Movie, Onset), (Duration/1 s, (Red))"),
        (1 + 1e-10, "(Def/Tone, Onset)"),
        (2, "Square"),
    ]
    found = scopes_of(rows)
    assert found.context == [
        "",
        f"{MOVIE},{TONE},(Red)",
        f"{TONE},(Red)",
        f"{MOVIE},(Red)",
        f"{MOVIE},{TONE},(Red)",
    ]
    assert found.scopes == [
        (0.0, 5.0, "(Red)"),
        (1.0, 2.0, "(Red)"),
        (1.0, inf, MOVIE),
        (1.0, inf, TONE),
    ]


def test_equal_scopes_of_two_rows_are_context_of_each_other():
    found = scopes_of([(1, "(Duration/1 s, (Red))"), (1, "(Duration/1 s, (Red))"), (2, "Blue")])
    assert found.context == ["(Red)", "(Red)", ""]


def test_a_scope_of_no_length_hides_none():
    empty = "(Duration/0 s, (Red)), (Duration/1 s, (Blue))"
    found = scopes_of([(0, "(Duration/5 s, (Red))"), (1, empty), (1, "Green")])
    assert found.context == ["", "(Red)", "(Blue),(Red)"]


def test_rows_of_the_table_come_before_delayed_ones():
    rows = [(0, "(Def/Movie, Onset, Delay/1 s)"), (1, "(Def/Movie, Onset, (Red))"), (2, "Blue")]
    found = scopes_of(rows)
    assert found.context == ["", "", f"({MOVIE},(Red))"]
    assert [issue["row"] for issue in found.issues] == [0]


def test_unsorted_rows_and_rows_without_a_time():
    found = scopes_of(
        [
            (3, "Blue"),
            (np.nan, "Blue"),
            (1, "(Def/Movie, Onset)"),
            (np.nan, "(Def/Movie, Offset)"),
            (np.nan, "(Duration/1 s, (Red))"),
            (2, "Blue"),
        ]
    )
    assert found.context == [MOVIE, "", "", "", "", MOVIE]
    assert [(i["row"], i["code"], i["severity"]) for i in found.issues] == [
        (3, "TEMPORAL_TAG_ERROR", "error"),
        (4, "TEMPORAL_TAG_ERROR", "warning"),
    ]


def test_plain_definitions_prefixes_and_long_forms():
    found = scopes_of(
        [
            (0, "(Def/Movie, Onset)"),
            (1, f"((Def-expand/Movie, (Movie)), {LONG_OFFSET})"),
        ],
        expand=False,
    )
    assert found.scopes == [(0.0, 1.0, "Def/Movie")]
    prefixed = ["(ts:Def/Movie, ts:Onset, (ts:Red))", "ts:Blue", "(ts:Duration/2 s, (ts:Red))"]
    found = contexts(np.arange(3.0), prefixed, ["ts:8.3.0", "score_1.0.0"])
    assert found.issues == []
    assert found.context == ["", *2 * ["(ts:Def/Movie,(ts:Red))"]]
    assert found.scopes[1] == (2.0, 4.0, "(ts:Red)")


BAD = {
    "(Def/Movie, Offset)": ("TEMPORAL_TAG_ERROR", "error"),
    "(Def/Movie, Inset, (Red))": ("TEMPORAL_TAG_ERROR", "error"),
    "(Duration/three s, (Red))": ("TEMPORAL_TAG_ERROR", "error"),
    "(Duration/3 month, (Red))": ("TEMPORAL_TAG_ERROR", "error"),
    "(Duration/3 parsec, (Red))": ("TEMPORAL_TAG_ERROR", "error"),
    "(Duration/#, (Red))": ("TEMPORAL_TAG_ERROR", "error"),
    "(Duration/nan s, (Red))": ("TEMPORAL_TAG_ERROR", "error"),
    "(Duration/1e308 day, (Red))": ("TEMPORAL_TAG_ERROR", "error"),
    "(Delay/later, (Red))": ("TEMPORAL_TAG_ERROR", "error"),
    "(Delay/later, Def/Movie, Onset)": ("TEMPORAL_TAG_ERROR", "error"),
    "(Duration/-2 s, (Red))": ("TEMPORAL_TAG_ERROR", "warning"),
    "(Duration/2 s)": ("TEMPORAL_TAG_ERROR", "error"),
    "(Onset, (Red))": ("TEMPORAL_TAG_ERROR", "error"),
    "Onset": ("TEMPORAL_TAG_ERROR", "error"),
    "(Red, (Def/Movie, Onset))": ("TEMPORAL_TAG_ERROR", "error"),
    "(Def/Movie, Onset, Offset)": ("TAG_GROUP_ERROR", "error"),
    "((Def/Movie, Onset)": ("PARENTHESES_MISMATCH", "error"),
}


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_read_costs_its_own_scope_only(text):
    good = "(Duration/2 s, (Blue))"
    found = scopes_of([(0, good), (1, text), (1, good)], expand=False)
    assert [(i["row"], i["code"], i["severity"]) for i in found.issues] == [(1, *BAD[text])]
    assert all(i["message"] and i["column"] is None for i in found.issues)
    assert found.scopes == [(0.0, 2.0, "(Blue)"), (1.0, 3.0, "(Blue)")]
    assert found.context == ["", "(Blue)", "(Blue)"]


def test_a_bad_group_leaves_the_other_groups_of_its_string():
    text = "(Duration/x s, (Red)), (Duration/2 s, (Blue)), (Def/Tone, Offset)"
    found = scopes_of([(0, text), (1, "Red")], expand=False)
    assert found.scopes == [(0.0, 2.0, "(Blue)")]
    assert [issue["row"] for issue in found.issues] == [0, 0]


def test_the_first_of_two_markers_of_an_anchor_at_one_time_counts():
    rows = [(0, "(Def/Movie, Onset)"), (1, "(Def/Movie, Offset)"), (1, "(Def/Movie, Onset)")]
    found = scopes_of(rows)
    assert found.scopes == [(0.0, 1.0, MOVIE)]
    assert [issue["row"] for issue in found.issues] == [2]


QUICK = """
import sys
import numpy as np
from bidsmill.annotate.scopes import contexts
found = contexts(np.arange(3.0), ["Red", "", "Label/Set"], "no version at all")
assert found.context == ["", "", ""] and found.scopes == found.issues == []
assert "hed" not in sys.modules
"""


def test_without_words_of_time_hedtools_is_not_imported(root):
    done = subprocess.run(
        [sys.executable, "-c", QUICK], capture_output=True, text=True, cwd=root / "src"
    )
    assert done.returncode == 0, done.stderr


def test_no_events_and_only_unreadable_times():
    assert contexts(np.zeros(0), [], VERSION).context == []
    found = contexts(np.array([np.nan, np.inf]), ["(Duration/1 s,(Red))", "Red"], VERSION)
    assert found.context == ["", ""] and found.scopes == []
    found = contexts(np.array([1.5e308]), ["(Delay/1.5e308 s,Duration/1 s,(Red))"], VERSION)
    assert found.scopes == [] and [issue["row"] for issue in found.issues] == [0]


# --- against hedtools -------------------------------------------------------------------------


def compare_with_event_manager(onsets, texts):
    """Compare scopes with those of EventManager, and contexts with what follows from them."""
    table = pd.DataFrame({"onset": [repr(float(t)) for t in onsets], "HED": texts}, dtype=object)
    theirs = Timeline(table, DEFINITIONS, VERSION)
    found = scopes_of(list(zip(onsets, texts, strict=True)))
    assert found.issues == []
    ours = [(a, b, sorted(canonical(text, theirs.schema))) for a, b, text in found.scopes]
    assert sorted(ours) == theirs.scopes
    for row, onset in enumerate(onsets):
        begun, before = theirs.at(onset)
        mine = parts(found.context[row], theirs.schema)
        assert before <= mine <= before | begun
        if theirs.times.count(onset) == 1:
            assert mine == before
        # What is in force without the scopes that the row begins itself.
        force = Counter(frozenset(text) for a, b, text in theirs.scopes if a <= onset < b)
        own = Counter(
            canonical(text, theirs.schema)
            for start, stop, text in scopes_of([(onset, texts[row])], expand=False).scopes
            if start == onset < stop
        )
        assert mine == set(force - own)


PIECES = {
    "onset": ["(Def/{0}, Onset)", "(Def/{0}, Onset, (Red))", "(Onset, (Blue, (Red)), Def/{0})"],
    "offset": ["(Def/{0}, Offset)", "(Offset, Def/{0})"],
    "inset": ["(Def/{0}, Inset, (Green))"],
}
FREE = [
    "Square",
    "(Circle, Red)",
    "(Duration/{0} s, (Red))",
    "(Duration/{0}, (Angle/{0}))",
    "(Delay/{0} s, (Green))",
    "(Delay/{0} s, Duration/750 ms, (Blue, Def/Tone))",
    "(Duration/0 s, (Yellow))",
]


@st.composite
def recordings(draw):
    """Draw rows in which every Offset and Inset has its Onset; all times are exact in binary."""
    steps = draw(st.lists(st.sampled_from([0, 0.25, 0.5, 2.0]), min_size=1, max_size=9))
    onsets = np.cumsum(steps).tolist()
    running, used, texts, before = set(), set(), [], None
    for onset in onsets:
        used = used if onset == before else set()
        before = onset
        pieces = draw(st.lists(st.sampled_from(FREE), max_size=2, unique=True))
        lengths = st.sampled_from(["0.25", "1", "2.5"])
        pieces = [piece.format(draw(lengths)) for piece in pieces]
        for anchor in draw(st.lists(st.sampled_from(["Movie", "Block/3", "block/4"]), max_size=2)):
            if anchor in used:
                continue
            used.add(anchor)
            kinds = ["onset", "onset", "offset", "inset"] if anchor in running else ["onset"]
            kind = draw(st.sampled_from(kinds))
            running = running - {anchor} if kind == "offset" else running | {anchor}
            pieces.append(draw(st.sampled_from(PIECES[kind])).format(anchor))
        texts.append(", ".join(pieces))
    return onsets, texts


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(recordings())
def test_scopes_and_contexts_are_those_of_hedtools(recording):
    compare_with_event_manager(*recording)


def test_delayed_onsets_and_offsets_are_those_of_hedtools():
    onsets = [0.0, 0.5, 1.0, 1.0, 4.0, 9.0]
    texts = [
        "(Def/Movie, Onset, Delay/1 s), Square",
        "(Def/Block/3, Delay/250 ms, Onset, (Red)), (Delay/0.5 s, Duration/8 s, (Blue))",
        "Circle",
        "(Def/Movie, Offset, Delay/3 s)",
        "(Def/Block/3, Offset, Delay/1 s)",
        "Square",
    ]
    compare_with_event_manager(onsets, texts)


ANY = [
    "Red",
    "(Def/Movie, Onset)",
    "(Def/Movie, Offset)",
    "(Def/Movie, Inset)",
    "(Def/Block/3, Onset, (Red))",
    "(Def/Block/3, Offset)",
    "(Def/Block/4, Offset, Delay/0.5 s)",
    "(Def/Block/4, Onset, Delay/0.25 s)",
    "(Duration/1 s, (Red))",
]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0.25, 0.5, 1.0, 1.5]), st.sampled_from(ANY)), max_size=10
    )
)
def test_misplaced_markers_are_those_that_hedtools_reports(rows):
    from hed import HedString
    from hed.models import df_util
    from hed.validator.onset_validator import OnsetValidator

    rows = sorted(rows, key=lambda row: row[0])
    found = scopes_of(rows, expand=False)
    schema = load_schema(VERSION)
    texts = pd.Series([text for _, text in rows], dtype=object)
    onsets = pd.Series([onset for onset, _ in rows], dtype=float)
    validator, expected = OnsetValidator(), []
    for text in df_util.split_delay_tags(texts, schema, onsets).HED if rows else ():
        expected += validator.validate_temporal_relations(HedString(text, schema))
    assert Counter(i["code"] for i in found.issues) == Counter(e["code"] for e in expected)
    assert {issue["severity"] for issue in found.issues} <= {"error"}


WORDS = ["Onset", "Offset", "Inset", "Duration/", "Delay/", "1 s", "-1", "x", "(", ")", ",", "Red"]
WORDS += ["Def/Movie", "Def-expand/Movie", "{", "#", " ", "inf", "sc:", "é", "\n", "/", "1e999"]
STRINGS = st.lists(st.sampled_from(WORDS), max_size=8).map("".join) | st.sampled_from(
    ["(Duration/1 s, (Red))", "(Def/Movie, Onset)", "(Def/Movie, Offset)", *BAD]
)
ROWS = st.tuples(st.floats(-1e9, 1e9) | st.sampled_from([0, 1, inf, -inf, np.nan]), STRINGS)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ROWS, max_size=6), st.sampled_from([VERSION, "8.0.0", ["8.3.0", "sc:score_2.0.0"]]))
def test_nothing_crashes_it(rows, version):
    found = contexts(np.array([t for t, _ in rows], dtype=float), [s for _, s in rows], version)
    assert len(found.context) == len(rows)
    assert found.scopes == sorted(found.scopes)
    assert all(start <= stop and np.isfinite(start) for start, stop, _ in found.scopes)
    assert all(
        set(issue) == {"row", "column", "code", "severity", "message"} for issue in found.issues
    )
    assert [i["row"] for i in found.issues] == sorted(i["row"] for i in found.issues)
    for onset, text in zip((t for t, _ in rows), found.context, strict=True):
        pieces = {s for start, stop, s in found.scopes if start - 1e-9 <= onset < stop}
        assert not text or any(piece in text for piece in pieces)
