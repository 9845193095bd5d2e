"""Which events become rows, and which label a row gets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.annotate.choice import check_choice, chosen_events, matching
from bidsmill.annotate.labels import apply_labels
from bidsmill.errors import BidsmillError

HED = "8.3.0"
FACE = "Sensory-event, (Image, Face)"
SCRAMBLED = "Sensory-event, (Image, Label/Scrambled)"
PRESS = "Agent-action, Participant-response"


def table(**columns):
    return pd.DataFrame(columns, dtype=object)


# ------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("cells", "wanted", "found"),
    [
        (["face", "scrambled", ""], "face", [1, 0, 0]),
        (["face", "scrambled", "x"], ["face", "x"], [1, 0, 1]),
        (["1", "1.0", "01", "1e0", " 1", "2", "x"], 1, [1, 1, 1, 1, 1, 0, 0]),
        (["1", "1.0", "2"], "1", [1, 1, 0]),
        (["1", "1.0", "2"], 1.0, [1, 1, 0]),
        (["1_2", "12"], 12, [0, 1]),
        (["S 1", "S1"], "S 1", [1, 0]),
        (["true", "True", "TRUE", "false", "1"], True, [1, 1, 1, 0, 0]),
        (["true", "False", "0", ""], False, [0, 1, 0, 0]),
        (["true", "True"], "true", [1, 0]),
        (["", "n/a"], "", [0, 0]),
        (["nan", "x", "inf"], "nan", [1, 0, 0]),
        (["nan", "inf", "y"], ["x", 3], [0, 0, 0]),
        (["Face"], "face", [0]),
        ([], "x", []),
    ],
)
def test_matching(cells, wanted, found):
    assert matching(cells, wanted).tolist() == [bool(one) for one in found]


SCALARS = st.one_of(
    st.integers(-3, 3),
    st.floats(-3, 3),
    st.sampled_from(["a", "b", "1", "2.0", "nan", "", "x y"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(SCALARS.map(str), max_size=6), st.lists(SCALARS, min_size=1, max_size=4))
def test_matching_against_a_plain_loop(cells, wanted):
    def same(cell, item):
        if cell == "":
            return False
        try:
            return cell == str(item) or float(cell) == float(item)
        except ValueError:
            return False

    expected = [any(same(cell, item) for item in wanted) for cell in cells]
    assert matching(cells, wanted).tolist() == expected
    assert matching(cells, wanted[0]).tolist() == [same(cell, wanted[0]) for cell in cells]


# ------------------------------------------------------------------------------------- choice

EVENTS = table(
    trial_type=["face", "scrambled", "press", "face", ""],
    value=["1", "2", "3", "5.0", ""],
    HED=[FACE, SCRAMBLED, PRESS, "", FACE],
)


@pytest.mark.parametrize(
    ("choice", "rows"),
    [
        ("all", [0, 1, 2, 3, 4]),
        (None, []),
        ({"trial_type": "face"}, [0, 3]),
        ({"trial_type": ["face", "press"]}, [0, 2, 3]),
        ({"value": 5}, [3]),
        ({"value": [1, "2"]}, [0, 1]),
        ({"trial_type": "face", "value": 1}, [0]),
        ({"trial_type": "face", "value": 2}, []),
        ({"nothing": "face"}, []),
        ({"hed": "Sensory-event"}, [0, 1, 4]),
        ({"hed": "Face"}, [0, 4]),
        ({"hed": "Image and not Face"}, [1]),
        ({"hed": "Sensory-event", "trial_type": "face"}, [0]),
    ],
)
def test_choices(choice, rows):
    assert np.flatnonzero(chosen_events(EVENTS, choice, HED)).tolist() == rows


def test_a_choice_among_no_events():
    assert chosen_events(EVENTS.iloc[:0], {"hed": "Face", "value": 1}, None).tolist() == []


@pytest.mark.parametrize("choice", ["all", None, {"trial_type": "x"}, {"hed": "Face"}])
def test_good_choices_pass_the_check(choice):
    check_choice(choice, HED)


@pytest.mark.parametrize("choice", [{"hed": "Facee"}, {"hed": "(Face"}, {"hed": ["Face"]}])
def test_a_malformed_choice_is_an_error(choice):
    with pytest.raises(BidsmillError) as raised:
        check_choice(choice, HED)
    assert raised.value.found or raised.value.expected


# ------------------------------------------------------------------------------------- labels

SAMPLES = table(
    recording=["a", "a", "b", "b"],
    row=["0", "1", "0", "1"],
    task=["x", "x", "y", "y"],
    participant_sex=["F", "", "M", "F"],
    participant_age=["24", "", "31.5", "x"],
    trial_type=["face", "scrambled", "", "press"],
    value=["1", "2.0", "7", ""],
    HED=[FACE, SCRAMBLED, "", PRESS],
)
OF_EVENT = table(button=["left", "", "right", "left"], duration=["0.5", "", "2", "0"])


def labels(**definitions):
    found = apply_labels(SAMPLES, definitions, OF_EVENT, HED)
    assert list(found.columns) == list(definitions) == list(found.vocabulary)
    return found.columns, found.vocabulary


def classes(*names, ambiguous=0, unmatched=0):
    stated = {"ambiguous": ambiguous, "unmatched": unmatched}
    return {"kind": "class", "classes": list(names), **stated}


def label(definition):
    columns, vocabulary = labels(one=definition)
    return columns["one"].tolist(), vocabulary["one"]


def test_a_column_of_the_events():
    assert label({"column": "trial_type"}) == (
        ["face", "scrambled", "", "press"],
        classes("face", "press", "scrambled", unmatched=1),
    )
    assert label({"column": "button"})[0] == ["left", "", "right", "left"]
    assert label({"column": "duration", "numeric": True})[0][2] == 2.0


@pytest.mark.parametrize(
    ("column", "values"),
    [("participant_sex", ["F", "", "M", "F"]), ("task", ["x", "x", "y", "y"])],
)
def test_a_column_of_participants_or_an_entity(column, values):
    assert label({"column": column})[0] == values


def test_values_of_a_column():
    definition = {"column": "value", "values": {"b": [2, 9], "a": "1.0", "none": 100}}
    assert label(definition) == (
        ["a", "b", "", ""],
        classes("b", "a", "none", unmatched=2),
    )


def test_values_that_match_twice_are_unlabelled_and_counted():
    definition = {"column": "value", "values": {"a": [1, 2], "b": [2, 7]}}
    assert label(definition) == (
        ["a", "", "b", ""],
        classes("a", "b", ambiguous=1, unmatched=1),
    )


def test_hed():
    definition = {"hed": {"face": "Face", "other": "Image and not Face", "none": "Move"}}
    assert label(definition) == (
        ["face", "other", "", ""],
        classes("face", "other", "none", unmatched=2),
    )


def test_hed_that_matches_twice_is_unlabelled_and_counted():
    definition = {"hed": {"face": "Face", "image": "Image", "event": "Event"}}
    values, vocabulary = label(definition)
    assert values == ["", "", "", "event"] and vocabulary["ambiguous"] == 2


def test_hed_of_a_dataset_that_names_no_version():
    found = apply_labels(SAMPLES, {"one": {"hed": {"face": "Face"}}}, OF_EVENT, None)
    assert found.columns["one"].tolist() == ["face", "", "", ""]


def test_numbers():
    values, vocabulary = label({"column": "participant_age", "numeric": True})
    np.testing.assert_array_equal(values, [24, np.nan, 31.5, np.nan])
    assert vocabulary == {"kind": "number", "unmatched": 2}


def test_several_labels_at_once():
    columns, vocabulary = labels(
        b={"column": "task"}, a={"column": "value", "numeric": True}, c={"hed": {"f": "Face"}}
    )
    assert columns["a"].dtype == float and [v["kind"] for v in vocabulary.values()] == [
        "class",
        "number",
        "class",
    ]


@pytest.mark.parametrize("numeric", [True, False])
def test_an_unknown_column_is_an_error_that_names_the_known(numeric):
    with pytest.raises(BidsmillError) as raised:
        label({"column": "participant_agee", "numeric": numeric})
    assert raised.value.found == "participant_agee"
    for known in ("participant_age", "button", "task"):
        assert known in raised.value.expected
    assert "labels.one.column" in raised.value.todo


def test_labels_of_no_rows():
    found = apply_labels(
        SAMPLES.iloc[:0], {"a": {"column": "task"}, "h": {"hed": {"f": "Face"}}}, OF_EVENT[:0], HED
    )
    assert len(found.columns) == 0 and found.vocabulary["a"]["classes"] == []
    assert found.vocabulary["h"]["classes"] == ["f"] and not found.unclear
