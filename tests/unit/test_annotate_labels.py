"""Label definitions: every form by values, overlap and exhaustiveness against brute force."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from bids_cases import SCHEMA
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.annotate.definitions import definitions_of
from bidsmill.annotate.label_words import condition_words, label_entry
from bidsmill.annotate.labels import MOST_LISTED, apply_labels
from bidsmill.errors import BidsmillError
from bidsmill.workflow.config import load_schema, resolve

README = Path(SCHEMA).parents[2] / "config" / "README.md"
HED = "8.3.0"
FACE = "Sensory-event,(Image,Face)"
PRESS = "Agent-action,Participant-response"


def table(**columns):
    return pd.DataFrame(columns, dtype=object)


SAMPLES = table(
    recording=["a", "a", "a", "b", "b", "b"],
    row=[0, 1, 2, 0, 1, 2],
    task=["rest", "rest", "rest", "nback", "nback", "nback"],
    session=["1", "1", "1", "", "", ""],
    participant_age=["24", "24", "24", "31.5", "31.5", "n.d."],
    trial_type=["left_hand", "Left", "right_hand", "feet", "", "left_right"],
    value=["1", "2.0", "3", "10", "", "x"],
    HED=[FACE, PRESS, "", FACE, PRESS, FACE],
    HED_context=["(Asleep)", "", "(Asleep)", "", "(Awake),(Face)", ""],
    HED_source=["dataset", "config", "", "proposed", "proposed", "config,dataset"],
)
OF_EVENT = table(
    response_time=["0.5", "0.7", "", "1", "-1", "late"],
    HED=SAMPLES["HED"],
)


def run(proposed="use", **definitions):
    return apply_labels(SAMPLES, definitions, OF_EVENT, HED, proposed=proposed)


def values(definition, proposed="use"):
    return run(proposed, one=definition).columns["one"].tolist()


def of_condition(condition):
    """Return 1 where a condition holds, 0 where its negation does, None where neither."""
    holds = values({"classes": {"x": condition}})
    fails = values({"classes": {"x": {"not": condition}}})
    assert not any(h and f for h, f in zip(holds, fails, strict=True))
    return [1 if h else 0 if f else None for h, f in zip(holds, fails, strict=True)]


# --------------------------------------------------------------------------------------- forms


def test_patterns_over_a_column():
    definition = {"column": "trial_type", "patterns": {"left": "^left", "right": "^right(_|$)"}}
    assert values(definition) == ["left", "", "right", "", "", "left"]
    definition["patterns"]["left"] = "(?i)left"
    assert values(definition) == ["left", "left", "right", "", "", "left"]
    definition["patterns"]["right"] = "right"
    assert values(definition) == ["left", "left", "right", "", "", ""]


def test_an_entity_and_a_number_of_a_participant():
    assert values({"column": "task", "values": {"rest": ["rest", "pause"]}})[2:4] == ["rest", ""]
    found = run(age={"column": "participant_age", "numeric": True})
    np.testing.assert_array_equal(found.columns["age"], [24, 24, 24, 31.5, 31.5, np.nan])
    assert found.unclear["age"]["unmatched"] == {
        "rows": 1,
        "first": [{"recording": "b", "row": 2}],
    }


@pytest.mark.parametrize(
    ("condition", "truth"),
    [
        ({"column": "value", "values": 2}, [0, 1, 0, 0, None, 0]),
        ({"column": "value", "values": ["x", 10]}, [0, 0, 0, 1, None, 1]),
        ({"column": "trial_type", "matches": "^left"}, [1, 0, 0, 0, None, 1]),
        ({"column": "response_time", "above": 0.5}, [0, 1, None, 1, 0, None]),
        ({"column": "response_time", "at_least": 0.5, "below": 1}, [1, 1, None, 0, 0, None]),
        ({"column": "response_time", "at_most": 0.5, "above": -1}, [1, 0, None, 0, 0, None]),
        ({"column": "session", "values": 1}, [1, 1, 1, None, None, None]),
        ({"hed": "Face"}, [1, 0, None, 1, 0, 1]),
        ({"hed": "Face", "context": True}, [1, 0, 0, 1, 1, 1]),
        ({"hed": "Asleep", "context": True}, [1, 0, 1, 0, 0, 0]),
        (
            {"all": [{"hed": "Face"}, {"column": "task", "values": "rest"}]},
            [1, 0, None, 0, 0, 0],
        ),
        (
            {"any": [{"hed": "Face"}, {"column": "task", "values": "rest"}]},
            [1, 1, 1, 1, 0, 1],
        ),
        (
            {"any": [{"hed": "Face"}, {"not": {"column": "value", "values": [1, 2]}}]},
            [1, 0, 1, 1, None, 1],
        ),
        ({"not": {"not": {"column": "session", "values": 1}}}, [1, 1, 1, None, None, None]),
    ],
)
def test_conditions(condition, truth):
    assert of_condition(condition) == truth


def test_context_of_a_label_by_hed():
    asleep = {"asleep": "Asleep", "awake": "Awake"}
    assert set(values({"hed": asleep})) == {""}
    assert values({"hed": asleep, "context": True}) == ["asleep", "", "asleep", "", "awake", ""]


def test_proposals_count_only_where_the_config_says_so():
    definition = {"hed": {"face": "Face", "press": "Participant-response"}}
    assert values(definition, "use") == ["face", "press", "", "face", "press", "face"]
    assert values(definition, "ignore") == ["face", "press", "", "", "", "face"]
    by_text = {"column": "HED", "patterns": {"face": "Face"}}
    assert values(by_text, "ignore") == ["face", "", "", "", "", "face"]


# -------------------------------------------------------------------------- overlap, unmatched

OVERLAPPING = {"column": "trial_type", "patterns": {"left": "left", "right": "right", "no": "^$"}}


def test_rows_that_match_several_classes_or_none_are_counted_and_listed():
    found = run(side=OVERLAPPING)
    assert found.columns["side"].tolist() == ["left", "", "right", "", "", ""]
    assert found.vocabulary["side"] == {
        "kind": "class",
        "classes": ["left", "right", "no"],
        "ambiguous": 1,
        "unmatched": 3,
    }
    assert found.unclear["side"] == {
        "overlaps": [
            {"classes": ["left", "right"], "rows": 1, "first": [{"recording": "b", "row": 2}]}
        ],
        "unmatched": {
            "rows": 3,
            "first": [
                {"recording": "a", "row": 1},
                {"recording": "b", "row": 0},
                {"recording": "b", "row": 1},
            ],
        },
    }
    assert [issue["code"] for issue in found.issues] == ["label_overlap"]
    assert "left and right share 1 row(s): b row 2" in found.issues[0]["message"]
    assert not run(side={**OVERLAPPING, "overlap": "empty"}).issues


def test_they_can_be_a_class_of_their_own():
    found = run(side={**OVERLAPPING, "unmatched": "other"})
    assert found.columns["side"].tolist() == ["left", "other", "right", "other", "other", ""]
    found = run(side={**OVERLAPPING, "overlap": "other"})
    assert found.columns["side"].tolist() == ["left", "", "right", "", "", "other"]
    assert found.vocabulary["side"]["classes"] == ["left", "right", "no", "other"]
    assert (found.vocabulary["side"]["ambiguous"], found.vocabulary["side"]["unmatched"]) == (1, 3)
    # Also where no row needs it: the vocabulary is a matter of the definition.
    found = run(
        task={"column": "task", "values": {"r": "rest", "n": "nback"}, "unmatched": "other"}
    )
    assert found.vocabulary["task"]["classes"] == ["r", "n", "other"]


def test_a_value_called_other_cannot_be_mixed_with_them():
    samples = SAMPLES.assign(task="other")
    definition = {"column": "task", "unmatched": "other"}
    with pytest.raises(BidsmillError, match="'one' has a class 'other' of its own"):
        apply_labels(samples, {"one": definition}, OF_EVENT, HED)


def test_overlap_can_be_an_error():
    with pytest.raises(BidsmillError) as raised:
        run(side={**OVERLAPPING, "overlap": "error", "unmatched": "error"})
    assert "the label 'side': 1 row(s) match several classes" in raised.value.what
    assert raised.value.found == "left and right: 1 row(s): b row 2"


def test_unmatched_rows_can_be_an_error():
    with pytest.raises(BidsmillError) as raised:
        run(side={**OVERLAPPING, "unmatched": "error"})
    assert "the label 'side': 3 row(s) match no class" in raised.value.what
    assert raised.value.found == "3 row(s): a row 1, b row 0, b row 1"
    assert raised.value.expected == "for each row one of: left, right, no"
    with pytest.raises(BidsmillError, match=r"'age': 1 row\(s\) have no number"):
        run(age={"column": "participant_age", "numeric": True, "unmatched": "error"})
    run(task={"column": "task", "unmatched": "error"})


def test_only_the_first_rows_are_listed():
    samples = table(recording=["a"] * 9, row=list(range(9)), HED=[""] * 9)
    found = apply_labels(samples, {"x": {"hed": {"f": "Face"}}}, samples[[]], HED)
    assert found.unclear["x"]["unmatched"]["rows"] == 9
    assert [place["row"] for place in found.unclear["x"]["unmatched"]["first"]] == list(
        range(MOST_LISTED)
    )


# --------------------------------------------------------------------------------------- errors


def test_a_malformed_expression_or_query_names_its_label():
    with pytest.raises(BidsmillError, match="the label 'one' has a malformed regular expression"):
        values({"column": "task", "patterns": {"x": "(a"}})
    with pytest.raises(BidsmillError, match="the label 'one': the HED query 'Facee'") as raised:
        values({"classes": {"x": {"not": {"hed": "Facee"}}}})
    assert "did you mean 'Face'" in raised.value.todo


def test_a_class_for_every_row_takes_memory_for_its_rows_alone():
    count = 4000
    cells = [f"{row / 7:.4f}" for row in range(count)]
    samples = table(recording=["a"] * count, row=list(range(count)), trial_type=cells)
    tracemalloc.start()
    found = apply_labels(samples, {"one": {"column": "trial_type"}}, samples[[]], HED)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.columns["one"].tolist() == cells
    assert found.vocabulary["one"]["classes"] == sorted(cells)
    assert peak < count * 1000, "a byte for every row and class would be 16 MB"


def test_a_column_that_only_other_datasets_have_is_a_warning():
    either = {"any": [{"column": "hand", "values": "L"}, {"column": "task", "values": "rest"}]}
    found = run(one={"classes": {"left": either}})
    assert found.columns["one"].tolist() == ["left"] * 3 + [""] * 3
    assert [issue["code"] for issue in found.issues] == ["label_column_missing"]
    assert found.issues[0]["message"].endswith("names what no row or event has: hand")
    nothing = {"any": [{"column": "hand", "values": "L"}, {"column": "foot", "values": "L"}]}
    with pytest.raises(BidsmillError, match="names no column of the dataset") as raised:
        values({"classes": {"left": nothing}})
    assert raised.value.found == "foot, hand"
    samples = table(recording=["a"], row=[0], trial_type=["x"])
    with pytest.raises(BidsmillError) as raised:
        apply_labels(samples, {"one": {"column": "sample"}}, table(source_sample=["7"]), HED)
    assert raised.value.found == "sample (the source's own is source_sample)"


def test_an_expression_that_takes_long_is_asked_once_per_distinct_value():
    # Of these, each takes about 20 ms: for 20,000 rows that would be minutes.
    samples = table(
        recording=["a"] * 20_000, row=list(range(20_000)), trial_type=["a" * 18 + "!"] * 20_000
    )
    definition = {"column": "trial_type", "patterns": {"x": "^(a+)+$"}}
    found = apply_labels(samples, {"one": definition}, samples[[]], HED)
    assert found.vocabulary["one"]["unmatched"] == 20_000


# -------------------------------------------------------------------------------- by brute force

CELLS = st.sampled_from(["", "a", "b", "ab", "1", "1.0", "2", "-3", "x1"])
LEAVES = st.one_of(
    st.builds(
        lambda c, v: {"column": c, "values": v},
        st.sampled_from("pq"),
        st.lists(st.sampled_from(["a", "b", 1, 2]), min_size=1, max_size=2),
    ),
    st.builds(
        lambda c, m: {"column": c, "matches": m},
        st.sampled_from("pq"),
        st.sampled_from(["^a", "b", "[0-9]", "^$"]),
    ),
    st.builds(
        lambda c, low, high: {"column": c, "above": low, "at_most": high},
        st.sampled_from("pq"),
        st.sampled_from([-5, 0]),
        st.sampled_from([1, 1.5]),
    ),
    st.builds(
        lambda q: {"hed": q}, st.sampled_from(["Face", "Event", "Agent-action", "not Image"])
    ),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=5,
)
# What a string has, said by hand rather than by a search.
TAGS = {FACE: {"Face", "Event"}, PRESS: {"Event", "Agent-action", "not Image"}}


def judged(condition, row):
    """Judge one row: True, False, or None where it has no value to judge by."""
    if "all" in condition:
        parts = [judged(part, row) for part in condition["all"]]
        return False if False in parts else None if None in parts else True
    if "any" in condition:
        parts = [judged(part, row) for part in condition["any"]]
        return True if True in parts else None if None in parts else False
    if "not" in condition:
        inner = judged(condition["not"], row)
        return None if inner is None else not inner
    if "hed" in condition:
        return condition["hed"] in TAGS[row["HED"]] if row["HED"] else None
    cell = row[condition["column"]]
    if cell == "":
        return None
    try:
        number = float(cell)
    except ValueError:
        number = None
    if "values" in condition:
        return any(cell == str(v) or number == v for v in condition["values"])
    if "matches" in condition:
        return re.search(condition["matches"], cell) is not None
    return None if number is None else condition["above"] < number <= condition["at_most"]


ROWS = st.lists(
    st.fixed_dictionaries({"p": CELLS, "q": CELLS, "HED": st.sampled_from(["", FACE, PRESS])}),
    min_size=1,
    max_size=12,
)
POLICY = st.sampled_from(["empty", "other", "error"])


@settings(max_examples=60, deadline=None)
@given(
    rows=ROWS,
    conditions=st.lists(CONDITIONS, min_size=1, max_size=3),
    overlap=POLICY,
    unmatched=POLICY,
    seed=st.integers(0, 5),
)
def test_classes_counts_and_lists_are_those_of_brute_force(
    rows, conditions, overlap, unmatched, seed
):
    samples = pd.DataFrame(rows, dtype=object)
    samples["recording"], samples["row"] = "r", np.arange(len(rows))
    classes = {f"c{n}": condition for n, condition in enumerate(conditions)}
    definition = {"classes": classes, "overlap": overlap, "unmatched": unmatched}
    hits = [[c for c, wanted in classes.items() if judged(wanted, row) is True] for row in rows]
    several, none = sum(len(own) > 1 for own in hits), sum(not own for own in hits)
    if (several and overlap == "error") or (none and unmatched == "error"):
        with pytest.raises(BidsmillError):
            apply_labels(samples, {"one": definition}, samples[[]], HED)
        definition.update(overlap="empty", unmatched="empty")
    found = apply_labels(samples, {"one": definition}, samples[[]], HED)
    stated = found.vocabulary["one"]
    assert (stated["ambiguous"], stated["unmatched"]) == (several, none)
    with_other = "other" in (definition["overlap"], definition["unmatched"])
    assert stated["classes"] == [*classes, *(["other"] if with_other else [])]
    for own, value in zip(hits, found.columns["one"], strict=True):
        policy = definition["unmatched" if not own else "overlap"]
        assert value == (own[0] if len(own) == 1 else "other" if policy == "other" else "")
    pairs = {}
    for place, own in enumerate(hits):
        for pair in [(a, b) for a in own for b in own if a < b]:
            pairs.setdefault(pair, []).append(place)
    listed = {
        tuple(pair["classes"]): (pair["rows"], [place["row"] for place in pair["first"]])
        for pair in found.unclear.get("one", {}).get("overlaps", [])
    }
    assert listed == {pair: (len(own), own[:MOST_LISTED]) for pair, own in pairs.items()}
    # The order of rows, and so of files, moves labels with their rows and changes nothing else.
    order = np.random.default_rng(seed).permutation(len(rows))
    moved = apply_labels(samples.iloc[order], {"one": definition}, samples[[]].iloc[order], HED)
    assert moved.vocabulary == found.vocabulary
    assert moved.columns["one"].tolist() == found.columns["one"].iloc[order].tolist()


def test_values_of_a_column_are_sorted_classes_in_any_order_of_rows():
    for order in ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [2, 0, 5, 1, 4, 3]):
        own = SAMPLES.iloc[order].reset_index(drop=True)
        found = apply_labels(own, {"t": {"column": "trial_type"}}, OF_EVENT.iloc[order], HED)
        assert found.vocabulary["t"]["classes"] == [
            "Left",
            "feet",
            "left_hand",
            "left_right",
            "right_hand",
        ]


# --------------------------------------------------------------------------------------- words


def test_the_examples_of_the_documentation_are_good():
    section = README.read_text(encoding="utf-8").split("## `labels`")[1].split("\n## ")[0]
    examples = yaml.safe_load(section.split("```yaml\n")[1].split("```")[0])["labels"]
    windows = {"kind": "fixed", "length": 1}
    own = {"a": {"source": "sample", "windows": windows, "labels": examples}}
    assert resolve({"datasets": own}, load_schema(SCHEMA))["datasets"]["a"]["labels"] == examples
    samples = SAMPLES.assign(participant_sex="F")
    found = apply_labels(
        samples, {**examples, "outcome": {**examples["outcome"], "overlap": "empty"}}, OF_EVENT, HED
    )
    assert found.vocabulary["outcome"]["classes"] == ["fast", "slow", "none", "other"]
    for name, definition in examples.items():
        entry = label_entry(definition, found.vocabulary[name])
        assert list(entry.get("Levels", [])) == found.vocabulary[name].get("classes", [])


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"hed": "Face", "context": True}, "HED search (temporal scopes included): Face"),
        ({"column": "c", "values": [1, True]}, "the column c is 1 or true"),
        ({"column": "c", "matches": "^a"}, "the column c matches the regular expression ^a"),
        (
            {"column": "c", "at_least": 3, "below": 4.5},
            "the number in the column c is at least 3 and below 4.5",
        ),
        (
            {"all": [{"hed": "A"}, {"not": {"any": [{"hed": "B"}, {"hed": "C"}]}}]},
            "(HED search: A) and (not ((HED search: B) or (HED search: C)))",
        ),
    ],
)
def test_conditions_in_words(condition, words):
    assert condition_words(condition) == words


# --------------------------------------------------------------------------------- definitions


def test_definitions_are_recovered_from_what_they_expand_to():
    from bidsmill.annotate.hed import assemble

    written = {
        "Move": "(Definition/Move,(Hand,Move))",
        "Acc": "(Definition/Acc/#,(Acceleration/# m-per-s^2,Label/3))",
        "Bare": "(Definition/Bare)",
        "Twice": "(Definition/Twice/#,(Distance/# m,(Item-count/#)))",
    }
    events = table(onset=["1", "2", "3"], duration=["0"] * 3, kind=["a", "b", "c"])
    tags = {"a": "Def/Move, Def/Acc/3", "b": "(Def/Move, Onset), Def/Acc/4.5", "c": "Def/Bare"}
    sidecar = {
        "kind": {"HED": tags},
        "definitions": {"HED": {k: v for k, v in written.items() if k != "Twice"}},
    }
    strings, issues = assemble(events, sidecar, HED)
    assert not issues and all(strings)
    found = definitions_of(strings, HED)
    assert [text.replace(" ", "") for text in found] == [
        written[name].replace(" ", "") for name in ("Acc", "Bare", "Move")
    ]
    assert found == definitions_of(strings[::-1], HED)


def test_definitions_that_recordings_write_differently_are_left_out():
    strings = [
        "(Def-expand/A,(Red))",
        "(Def-expand/A,(Blue))",
        "(Def-expand/B/3,(Label/3,Item-count/3))",
        "(Def-expand/C,(Green))",
    ]
    assert definitions_of(strings, HED) == ["(Definition/C, (Green))"]
