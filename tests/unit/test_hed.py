"""Searches in HED strings and their assembly, against hedtools itself."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidsmill.annotate.hed import assemble
from bidsmill.errors import BidsmillError
from bidsmill.formats.hed_strings import load_schema, search

VERSION = "8.3.0"
STRINGS = [
    "Sensory-event, Visual-presentation, (Image, Face)",
    "Sensory-event, (Image, Square)",
    "Image",
    "(Image, Red), (Face, Blue)",
    "Agent-action, (Def-expand/Left-fist, (Experiment-participant, (Flex, (Left, Hand))))",
    "Label/Foo, Red/Blue-ish",
    "(Red, (Def-expand/Acc/4.5, (Acceleration/4.5 m-per-s^2)))",
]
HED_DATASETS = ("eeglab_attention", "uci_alcoholism", "muse_p300", "eegmmi_motor", "emg_gestures")


def matched(query, strings=STRINGS, version=VERSION):
    return np.flatnonzero(search(strings, query, version)).tolist()


def read_events(path):
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def sidecar_of(events: Path, root: Path):
    """Return the merged sidecar of one of the corpus's events files (root level, then its own)."""
    merged = {}
    for path in sorted(root.glob("*_events.json")):
        if path.name.removesuffix("_events.json") in events.name:
            merged |= json.loads(path.read_text())
    own = events.with_suffix(".json")
    return merged | (json.loads(own.read_text()) if own.is_file() else {})


# --- search: the words -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Face", [0, 3]),
        ("Image and not Face", [1, 2]),
        ("IMAGE And NOT face", [1, 2]),
        ("not Face", [1, 2, 4, 5, 6]),
        ("not not Face", [0, 3]),
        ("not (Face or Square)", [2, 4, 5, 6]),
        ("Image and not Face or Hand", [1, 2, 4]),
        ("Image and (Face or Square)", [0, 1, 3]),
        ("Sensory-event && Visual-presentation", [0]),
        ("(Face || Hand) and not Left", [0, 3]),
        # One tag can satisfy two words; hedtools' && asks for two tags.
        ("Event and Sensory-event", [0, 1]),
        ("Event && Sensory-event", []),
        # '~' asks for a group without a face, 'not' and '@' for a string without one.
        ("Image && ~Face", [1, 2, 3]),
        ("Image && @Face", [1, 2]),
        # In the brackets of one group the words mean the symbols.
        ("[Image and not Red]", [0, 1]),
        ("[Image && ~Red]", [0, 1]),
        ("{Image and Red}", [3]),
    ],
)
def test_words_ask_about_strings_and_symbols_about_groups(query, expected):
    assert matched(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Event", [0, 1, 4]),
        ('"Event"', []),
        ("Event/Sensory-event", [0, 1]),
        ('"Event/Sensory-event"', [0, 1]),
        ("Label/Foo", [5]),
        ("Label/foo", [5]),
        ("Label", [5]),
        ("Lab*", [5]),
        ("Label/F*", [5]),
        ("Red", [3, 5, 6]),
        ('"Red"', [3, 6]),
        ('"And"', []),
    ],
)
def test_tags_find_descendants_values_and_prefixes(query, expected):
    assert matched(query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Def/Left-fist", [4]),
        ("def/left-fist", [4]),
        ("Def-expand/Left-fist", [4]),
        ("Hand", [4]),
        ("Acceleration", [6]),
        ("Def", [4, 6]),
        ("Def/Acc", []),
        ("Def/Acc/4.5", [6]),
        ("Def/Acc/*", [6]),
        ("@Def/Left-fist", [0, 1, 2, 3, 5, 6]),
        ("not Def/Left-fist", [0, 1, 2, 3, 5, 6]),
        ("[Red and Def/Acc/4.5]", [6]),
        ("{Red && Def/Acc/4.5:}", [6]),
        ("{Red && (Def/Acc/4.5 || Face)}", [6]),
        ("{Red && Def/Left-fist}", []),
    ],
)
def test_definitions_are_found_by_name_and_by_content(query, expected):
    assert matched(query) == expected


def test_unexpanded_definitions_are_found_alike():
    assert matched("Def/Left-fist", ["Red, Def/Left-fist", "(Red, Def/Left-fist)", "Red"]) == [0, 1]


def test_library_prefixes():
    version = [VERSION, "sc:score_2.0.0"]
    strings = ["sc:Sleep-modulator", "Face"]
    assert matched("sc:Sleep-modulator", strings, version) == [0]
    assert matched("Sleep-modulator or Face", strings, version) == [0, 1]
    with pytest.raises(BidsmillError, match="':' stands only inside"):
        search(strings, "sc:Sleep-modulator", VERSION)


def test_empty_and_unreadable_strings_never_match():
    strings = ["", " ", "n/a", "((Face", None, float("nan"), "Red"]
    assert matched("not Face", strings) == [6]
    assert matched("@Face", strings) == [6]
    assert matched("*", strings) == [6]
    assert search([], "Face", VERSION).shape == (0,)
    assert search(pd.Series(["Face", "Red"]), "Face", VERSION).tolist() == [True, False]


TAGS = ["Event", "Image", "Face", "Hand", "Red", "Label/Foo", "Def-expand/Left-fist"]
EXPRESSIONS = st.recursive(
    st.sampled_from(TAGS),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS)
def test_words_are_boolean_algebra_over_hedtools(expression):
    from hed import HedString, QueryHandler

    schema = load_schema(VERSION)
    trees = [HedString(text, schema) for text in STRINGS]

    def truth(node):
        if isinstance(node, str):
            return np.array([bool(QueryHandler(node).search(tree)) for tree in trees])
        if node[0] == "not":
            return ~truth(node[1])
        left, right = truth(node[1]), truth(node[2])
        return left & right if node[0] == "and" else left | right

    def text(node):
        if isinstance(node, str):
            return node
        if node[0] == "not":
            return f"NOT ({text(node[1])})"
        return f"({text(node[1])}) {node[0]} ({text(node[2])})"

    assert search(STRINGS, text(expression), VERSION).tolist() == truth(expression).tolist()


@pytest.mark.parametrize(
    "query",
    [
        "Image && Face",
        "Image, Face",
        "Image || Hand",
        "~Face",
        "[Image && Face]",
        "{Image, Red}",
        "{Image: Face}",
        "{Image && ??}",
        "(Face || Square) && Sensory-event",
        "Fac*",
        "[??, Image]",
    ],
)
def test_queries_in_symbols_are_those_of_hedtools(query):
    from hed import HedString, QueryHandler

    schema = load_schema(VERSION)
    expected = [bool(QueryHandler(query).search(HedString(text, schema))) for text in STRINGS]
    assert search(STRINGS, query, VERSION).tolist() == expected


def test_a_string_is_evaluated_once(monkeypatch):
    from hed.models.query_handler import QueryHandler

    calls = []
    real = QueryHandler.search
    monkeypatch.setattr(QueryHandler, "search", lambda s, x: calls.append(x) or real(s, x))
    assert search(STRINGS * 50, "Image", VERSION).sum() == 200
    assert len(calls) == len(STRINGS)


# --- search: errors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "broken_at", "problem"),
    [
        ("", ">>>", "empty"),
        ("Image and", "Image and>>>", "missing at the end"),
        ("and Image", ">>>and Image", "missing before 'and'"),
        ("Image Face", "Image >>>Face", "nothing joins 'Face'"),
        ("Image not Face", "Image >>>not Face", "nothing joins 'not'"),
        ("(Image", ">>>(Image", "never closed"),
        ("Image)", "Image>>>)", "closes nothing"),
        ("[Image)", "[Image>>>)", "closes nothing"),
        ("Image & Face", "Image >>>& Face", "no meaning"),
        ("Label/naïve", "Label/na>>>ïve", "no meaning"),
        ("Image or Face && Red", "Image or Face >>>&& Red", "mixes"),
        ("(Image or Face) && Red", "(Image >>>or Face) && Red", "mixes"),
        ("~~Face", "~>>>~Face", "negated"),
        ("[not not Face]", "[not >>>not Face]", "negated"),
        ("~?", ">>>~?", "Cannot negate wildcards"),
        ("Fa*ce", ">>>Fa*ce", "not at the end"),
        ("{:Face}", "{>>>:Face}", "missing before ':'"),
        ("[Image:Face]", "[Image>>>:Face]", "only inside"),
        ("Image and Fase", "Image and >>>Fase", "no tag 'Fase'"),
        ("Lable/Foo", ">>>Lable/Foo", "no tag 'Lable'"),
        ("Zzq*", ">>>Zzq*", "no tag 'Zzq'"),
    ],
)
def test_a_malformed_query_is_explained(query, broken_at, problem):
    with pytest.raises(BidsmillError) as caught:
        search(STRINGS, query, VERSION)
    assert repr(query) in caught.value.what
    assert problem in caught.value.what
    assert caught.value.found == broken_at
    assert "Image and not (Face or House)" in caught.value.expected


@pytest.mark.parametrize(
    "query", ["not " * 1000 + "Face", "[" * 500 + "Face" + "]" * 500, " || ".join(["Face"] * 3000)]
)
def test_a_query_that_is_nested_too_deeply_is_refused(query):
    with pytest.raises(BidsmillError, match="nested too deeply"):
        search(STRINGS, query, VERSION)


def test_a_misspelt_tag_gets_suggestions():
    with pytest.raises(BidsmillError, match=r"did you mean .*'Face'"):
        search(STRINGS, "Image and not Fase", VERSION)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='FaceImage,&|~()[]{}:?@*"/ andornot', max_size=14))
def test_any_query_gives_an_answer_or_an_explanation(query):
    try:
        found = search(["Image, (Face)"], query, VERSION)
    except BidsmillError as error:
        assert error.expected
    else:
        assert found.shape == (1,)


@pytest.mark.parametrize(
    "version",
    ["9.9.9", "8.3", "", [], ["8.3.0", "8.4.0"], "foo_1.0.0", ["8.3.0", 4], 8.3, {}, "1:8.3.0"],
)
def test_a_version_that_is_not_shipped_is_refused_with_a_list(version):
    with pytest.raises(BidsmillError) as caught:
        load_schema(version)
    assert "8.3.0" in caught.value.expected
    assert "score_2.0.0" in caught.value.expected


def test_without_hedtools_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hed", None)
    with pytest.raises(
        BidsmillError, match=r"HED search needs hedtools: pip install bidsmill\[hed"
    ):
        search(["Face"], "Face", VERSION)


OFFLINE = """
import os, socket, sys
def refuse(*args, **keywords):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import pandas as pd
from bidsmill.annotate.hed import assemble
from bidsmill.errors import BidsmillError
from bidsmill.formats.hed_strings import search
plain = pd.DataFrame({"onset": ["1"], "trial_type": ["a"], "HED": ["n/a"]})
assert assemble(plain, {"trial_type": {"Levels": {"a": "b"}}}, None) == ([""], [])
assert search(["", "n/a"], "Face", None).tolist() == [False, False]
assert "hed" not in sys.modules
events = pd.DataFrame({"HED": ["Red, sc:Sleep-modulator", "Redd"]})
assert assemble(events, {}, ["8.3.0", "sc:score_2.0.0"])[0] == ["Red, sc:Sleep-modulator", ""]
try:
    assemble(events, {}, "7.7.7")
except BidsmillError as error:
    assert "7.7.7" in str(error) and "8.3.0" in str(error)
assert os.listdir(os.environ["HOME"]) == []
print("ok")
"""


def test_offline_without_cache_folder_and_without_import_where_no_hed_is(tmp_path, root):
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(root / "src"), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], capture_output=True, text=True, env=environment
    )
    assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr


# --- assembly ---------------------------------------------------------------------------------


@pytest.mark.corpus
@pytest.mark.parametrize("name", HED_DATASETS)
def test_assembled_strings_are_those_of_hedtools(corpus, name):
    from hed import Sidecar, TabularInput
    from hed.models import df_util

    root = corpus / name
    version = json.loads((root / "dataset_description.json").read_text())["HEDVersion"]
    schema = load_schema(version)
    annotated = 0
    for path in sorted(root.rglob("*_events.tsv")):
        sidecar = sidecar_of(path, root)
        strings, issues = assemble(read_events(path), sidecar, version)
        reader = Sidecar(io.StringIO(json.dumps(sidecar)))
        expected = TabularInput(str(path), sidecar=reader).series_a
        df_util.expand_defs(expected, schema, reader.get_def_dict(schema))
        # Where no column has HED, hedtools assembles the cells as they are.
        hed = any("HED" in entry for entry in sidecar.values() if isinstance(entry, dict))
        assert strings == (expected.tolist() if hed else [""] * len(strings)), path.name
        assert issues == []
        annotated += sum(map(bool, strings))
    assert annotated > 0


@pytest.mark.corpus
def test_events_of_the_motor_task_are_found_through_their_definitions(corpus):
    path = next((corpus / "eegmmi_motor" / "sub-001").rglob("*_events.tsv"))
    events = read_events(path)
    strings, _ = assemble(events, sidecar_of(path, corpus / "eegmmi_motor"), VERSION)
    for query, kinds in {
        "Def/Left-fist": ["left_fist"],
        "Right and Hand": ["right_fist"],
        "Hand": ["left_fist", "right_fist"],
        "Rest and not Hand": ["rest"],
    }.items():
        expected = events["trial_type"].isin(kinds)
        assert search(strings, query, VERSION).tolist() == expected.tolist()
        assert expected.any()


@pytest.mark.corpus
def test_bad_strings_are_reported_and_not_exported(corpus):
    path = next((corpus / "broken" / "sub-11").rglob("*_events.tsv"))
    strings, issues = assemble(read_events(path), sidecar_of(path, corpus / "broken"), VERSION)
    assert strings == [""] * 6
    assert {issue["row"] for issue in issues} == set(range(6))
    assert {i["code"] for i in issues if i["row"] == 0} == {"PARENTHESES_MISMATCH"}
    assert {i["code"] for i in issues if i["row"] == 2} == {
        "DEF_INVALID",
        "TAG_EXPRESSION_REPEATED",
    }
    assert {issue["column"] for issue in issues} == {"trial_type"}


def table(**columns):
    return pd.DataFrame(columns, dtype=object)


def test_an_invalid_tag_costs_its_own_rows_only():
    sidecar = {
        "a": {"HED": {"x": "Red, {z}", "y": "Blue", "unused": "Greeen"}},
        "z": {"HED": {"1": "Squarre", "2": "Circle"}},
    }
    events = table(a=["x", "x", "y", "y", "n/a"], z=["1", "2", "1", "2", "1"])
    events.index = [7, 7, 3, 2, 1]
    strings, issues = assemble(events, sidecar, VERSION)
    assert strings == ["", "Red, Circle", "Blue", "Blue", ""]
    assert [(i["row"], i["column"], i["code"], i["severity"]) for i in issues] == [
        (None, "a", "TAG_INVALID", "error"),
        (0, "z", "TAG_INVALID", "error"),
    ]
    assert "Greeen" in issues[0]["message"]


def test_values_are_checked_cell_by_cell():
    sidecar = {"t": {"HED": "(Duration/# s, (Red))"}, "l": {"HED": "Label/#"}}
    events = table(
        t=["1.5", "abc", "n/a", "", "n/a", "n/a"], l=["n/a", "n/a", "a, Red", "{t}", "v ", "v"]
    )
    strings, issues = assemble(events, sidecar, VERSION)
    assert strings == ["(Duration/1.5 s, (Red))", "", "", "", "", "Label/v"]
    assert {(i["row"], i["column"]) for i in issues} == {(1, "t"), (2, "l"), (3, "l"), (4, "l")}


def test_a_column_of_hed_and_references_to_it():
    sidecar = {"a": {"HED": {"x": "(Image, {HED})"}}}
    events = table(a=["x", "x", "x", "n/a"], HED=["Face", "n/a", "Face,", "Face"])
    strings, issues = assemble(events, sidecar, VERSION)
    assert strings == ["(Image, Face)", "(Image)", "", ""]
    assert [(i["row"], i["column"], i["code"]) for i in issues] == [(2, "HED", "TAG_EMPTY")]


def test_definitions_with_values_are_expanded():
    sidecar = {
        "definitions": {"HED": {"d": "(Definition/Acc/#, (Acceleration/#, Red))"}},
        "a": {"HED": "Def/Acc/#"},
    }
    strings, issues = assemble(table(a=["4.5 m-per-s^2", "fast"]), sidecar, VERSION)
    assert strings == ["(Def-expand/Acc/4.5 m-per-s^2,(Acceleration/4.5 m-per-s^2,Red))", ""]
    assert [(i["row"], i["column"], i["code"]) for i in issues] == [(1, "a", "VALUE_INVALID")]


def test_malformed_sidecars_lose_only_the_malformed_parts():
    sidecar = {
        "a": {"HED": {"x": "Red", "n/a": "Green", "empty": "", "number": 3}},
        "b": {"HED": ["Blue"]},
        "c": {"HED": "Blue"},
        "HED": {"HED": {"x": "Blue"}},
        "d": None,
    }
    events = table(a=["x", "n/a", "empty", "number"], b=["1"] * 4, c=["1"] * 4)
    strings, issues = assemble(events, sidecar, VERSION)
    assert strings == ["Red", "", "", ""]
    assert {issue["code"] for issue in issues} == {"SIDECAR_INVALID"}
    assert [issue["column"] for issue in issues] == ["HED", "a", "a", "a", "b", "c"]


def test_a_missing_version_is_read_as_the_newest_with_a_warning():
    strings, issues = assemble(table(HED=["Red"]), {}, None)
    assert strings == ["Red"]
    assert [(i["code"], i["severity"]) for i in issues] == [("HED_VERSION_MISSING", "warning")]


@pytest.mark.parametrize("columns", [["HED "], ["HED", "HED"]])
def test_ambiguous_column_names_are_refused(columns):
    strings, issues = assemble(pd.DataFrame([["Red"] * len(columns)], columns=columns), {}, VERSION)
    assert strings == [""]
    assert [(i["code"], i["column"]) for i in issues] == [("TABULAR_INVALID", columns[0])]


PIECES = st.sampled_from(
    [
        "Red",
        "Blue",
        "Redd",
        "(",
        ")",
        ",",
        "{a}",
        "{b}",
        "{HED}",
        "{nope}",
        "Label/#",
        "#",
        "n/a",
        "Def/X",
        "(Definition/X, (Red))",
        "Onset",
        "(Def/X, Onset)",
        "Duration/# s",
        "\n",
        "~",
        "ü",
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=4).map(", ".join),
    st.lists(PIECES, max_size=3).map("".join),
    st.text(max_size=5),
)
NAMES = st.sampled_from(["a", "b", "HED", "a ", "n/a", ""])
JUNK = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)
HED_ENTRIES = st.fixed_dictionaries(
    {"HED": st.dictionaries(st.sampled_from(["1", "2", "n/a"]), TEXTS, max_size=3) | TEXTS | JUNK}
)
SIDECARS = st.dictionaries(NAMES, HED_ENTRIES | JUNK, max_size=4)


@st.composite
def tables(draw):
    columns = draw(st.lists(NAMES, max_size=4))
    rows = draw(st.integers(0, 3))
    cells = st.sampled_from(["1", "2", "n/a", ""]) | TEXTS
    return pd.DataFrame([[draw(cells) for _ in columns] for _ in range(rows)], columns=columns)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), SIDECARS, st.sampled_from([VERSION, [VERSION, "sc:score_2.0.0"], None]))
def test_any_table_and_sidecar_give_valid_strings_and_issues(events, sidecar, version):
    from hed import HedString
    from hed.validator import HedValidator

    strings, issues = assemble(events, sidecar, version)
    assert len(strings) == len(events)
    assert all(set(i) == {"row", "column", "code", "severity", "message"} for i in issues)
    assert not {i["row"] for i in issues if i["row"] is not None and strings[i["row"]]}
    schema = load_schema(version)
    for string in {s for s in strings if s and "def" not in s.casefold()}:
        assert HedValidator(schema).validate(HedString(string, schema), False) == []
