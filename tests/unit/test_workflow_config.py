"""The configuration: every mistake is named with its place, and defaults are filled in."""

from __future__ import annotations

import copy
import re

import pytest
import yaml
from config_cases import problems
from hypothesis import given
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.workflow.config import check_duplicates, resolve

FIXED = {"kind": "fixed", "length": 2.0}
EVENTS = {"kind": "events", "tmin": -0.2, "tmax": 0.8}


def config(windows=FIXED, **settings) -> dict:
    return {"datasets": {"a": {"source": "sample", "windows": windows, **settings}}}


def origin(source, **settings) -> dict:
    """Return a config of one dataset that comes from elsewhere."""
    return {"datasets": {"a": {"source": source, "windows": FIXED, **settings}}}


# Keys that say where a dataset comes from, and which of them a source knows nothing of.
ALL_ORIGIN = {
    "path": "some/folder",
    "id": "ds002718",
    "url": "s3://bucket/ds",
    "manifest": "manifest.tsv",
    "endpoint": "https://example.org",
    "profile": "lab",
}
MEANINGLESS = [
    ("openneuro", {}, {"path", "url", "manifest", "profile"}),
    ("nemar", {}, {"path", "url", "manifest", "profile"}),
    ("s3", {"url": "s3://bucket/ds"}, {"path", "id", "manifest"}),
    ("https", {"url": "https://example.org/ds"}, {"path", "id", "endpoint", "profile"}),
    ("local", {"path": "x"}, {"id", "url", "manifest", "endpoint", "profile"}),
    ("sample", {}, {"path", "id", "url", "manifest", "endpoint", "profile"}),
]


# Mistakes: exactly one problem each, which names place, what was found and what may be

TOP = [
    (None, "top level: found None, expected a value of type object"),
    ([], "top level: found [], expected a value of type object"),
    ({}, "top level: the key 'datasets' is missing"),
    ({"datasets": {}}, "datasets: found {}, expected this many keys at least: 1"),
    ({"datasets": {"a": None}}, "datasets.a: found None, expected a value of type object"),
    ({"datasets": ["a"]}, "datasets: found ['a'], expected a value of type object"),
    (
        {"datasets": {1: config()["datasets"]["a"]}},
        "datasets.1: the name 1 is not text; write it in quotes",
    ),
    (
        {"datasets": {"a b": config()["datasets"]["a"]}},
        "datasets: the name 'a b' is not allowed; expected a text that matches "
        "^[A-Za-z0-9][A-Za-z0-9_-]*$",
    ),
    (
        {"datasets": {"../a": config()["datasets"]["a"]}},
        "datasets: the name '../a' is not allowed; expected a text that matches "
        "^[A-Za-z0-9][A-Za-z0-9_-]*$",
    ),
    (
        {**config(), "stroe": "x"},
        "top level: unknown key 'stroe'; did you mean 'store'? known keys: store, publish, allow_",
    ),
    ({**config(), "store": "gs://b/x"}, "store: found 'gs://b/x', expected a folder or s3://"),
    ({**config(), "store": "s3://k:s@b/x"}, "store: expected s3://bucket/prefix, without user"),
    ({**config(), "store": "s3:///x"}, "store: expected s3://bucket/prefix, without user"),
    ({**config(), "allow_license": ["b"]}, "allow_license: found 'b', expected a dataset of: a"),
    ({**config(), "publish": {"encryption": "AES"}}, "publish.encryption: found 'AES', allowed"),
    ({**config(), "publish": {"kms_key": "k"}}, "publish.kms_key: has no meaning without `encryp"),
    (
        {**config(), "publish": {"endpoint": "https://u:p@h"}},
        "publish.endpoint: holds a user, a password or a query; secrets belong into the environ",
    ),
    ({**config(), "publish": {"connections": 0}}, "publish.connections: found 0, expected at lea"),
    ({**config(), "store": "~/store"}, "store: found '~/store'; write the folder out"),
    ({**config(), "store": ""}, "store: found '', expected a text of this length at least: 1"),
    (
        {**config(), "batches": {"recordings": 0}},
        "batches.recordings: found 0, expected at least 1",
    ),
    (
        {**config(), "batches": {"recordings": 2.5}},
        "batches.recordings: found 2.5, expected a value of type integer",
    ),
    (
        {**config(), "batches": {"gigabytes": 0}},
        "batches.gigabytes: found 0, expected more than 0",
    ),
    (
        {**config(), "batches": {"zzz": 1}},
        "batches: unknown key 'zzz'; known keys: recordings, gigabytes",
    ),
    ({**config(), "defaults": {"sorce": "x"}}, "defaults: unknown key 'sorce'; known keys: "),
    ({**config(), "defaults": None}, "defaults: found None, expected a value of type object"),
    ({"datasets": {"a": {"windows": FIXED}}}, "datasets.a: the key 'source' is missing"),
    ({"datasets": {"a": {"source": "local", "windows": FIXED}}}, "datasets.a: the key 'path' is"),
    (
        {"datasets": {"a": {"source": "Sampel", "windows": FIXED}}},
        "datasets.a.source: found 'Sampel', allowed are openneuro, nemar, s3, https, local, sample;"
        " did you mean 'sample'?",
    ),
    ({**config(), "locks": "s3://bucket/x"}, "locks: found 's3://bucket/x', expected a folder"),
    ({**config(), "locks": "~/locks"}, "locks: found '~/locks'; write the folder out, `~` is not"),
    ({**config(), "locks": ""}, "locks: found '', expected a text of this length at least: 1"),
    ({**config(), "locks": None}, "locks: found None, expected a value of type string"),
    ({**config(), "lock": "x"}, "top level: unknown key 'lock'; did you mean 'locks'? known keys:"),
    (origin("s3"), "datasets.a: the key 'url' is missing"),
    (origin("https"), "datasets.a: the key 'url' is missing"),
    (
        origin("s3", url="bucket/ds"),
        "datasets.a.url: found 'bucket/ds', expected an address that begins with s3://",
    ),
    (
        origin("s3", url="https://s3.example.org/bucket/ds"),
        "datasets.a.url: found 'https://s3.example.org/bucket/ds', expected an address that begins"
        " with s3://",
    ),
    (
        origin("https", url="http://example.org/ds"),
        "datasets.a.url: found 'http://example.org/ds', expected an address that begins with"
        " https://",
    ),
    (
        origin("https", url="https://example.org/ds", manifest="lists/manifest.tsv"),
        "datasets.a.manifest: found 'lists/manifest.tsv', expected a text that matches ^[^/]+",
    ),
    (
        origin("https", url="https://example.org/ds", manifest="manifest.xml"),
        "datasets.a.manifest: found 'manifest.xml', expected a text that matches ^[^/]+",
    ),
    (
        origin("s3", url="s3://bucket/ds", endpoint="localhost:9000"),
        "datasets.a.endpoint: found 'localhost:9000', expected a text that matches ^https?://",
    ),
    (origin("openneuro", id=""), "datasets.a.id: found '', expected a text of this length at"),
    (origin("openneuro", id=2718), "datasets.a.id: found 2718, expected a value of type string"),
    *(
        (
            origin(source, **{**needed, key: value}),
            f"datasets.a.{key}: has no meaning with `source: {source}`",
        )
        for source, needed, keys in MEANINGLESS
        for key, value in ALL_ORIGIN.items()
        if key in keys
    ),
    (
        {"datasets": {"a": {"source": "sample"}}},
        "datasets.a.windows: absent; name a kind: `events` or `fixed`",
    ),
]

DATASET = [
    ({"fitler": None}, "unknown key 'fitler'; did you mean 'filter'?"),
    ({"path": "x"}, ".path: has no meaning with `source: sample`"),
    ({"folders": "code"}, ".folders: found 'code', expected a value of type array"),
    (
        {"folders": ["stimuli", "derivative"]},
        ".folders.1: found 'derivative', allowed are derivatives, sourcedata, code, stimuli; did"
        " you mean 'derivatives'?",
    ),
    ({"folders": ["phenotype"]}, ".folders.0: found 'phenotype', allowed are derivatives, source"),
    ({"fetch": None}, ".fetch: found None, expected a value of type object"),
    ({"fetch": {"paralel": 2}}, ".fetch: unknown key 'paralel'; did you mean 'parallel'?"),
    ({"fetch": {"parallel": 0}}, ".fetch.parallel: found 0, expected at least 1"),
    ({"fetch": {"parallel": 65}}, ".fetch.parallel: found 65, expected at most 64"),
    ({"fetch": {"parallel": 2.5}}, ".fetch.parallel: found 2.5, expected a value of type integer"),
    ({"fetch": {"bandwidth": 0}}, ".fetch.bandwidth: found 0, expected more than 0"),
    (
        {"fetch": {"bandwidth": "fast"}},
        ".fetch.bandwidth: found 'fast', allowed: Most MB per second; null sets no limit",
    ),
    (
        {"fetch": {"bandwidth": float("inf")}},
        ".fetch.bandwidth: found inf, expected a finite number",
    ),
    ({"fetch": {"retries": -1}}, ".fetch.retries: found -1, expected at least 0"),
    ({"fetch": {"retries": 101}}, ".fetch.retries: found 101, expected at most 100"),
    ({"fetch": {"timeout": 0}}, ".fetch.timeout: found 0, expected more than 0"),
    ({"fetch": {"timeout": None}}, ".fetch.timeout: found None, expected a value of type number"),
    ({"version": "a b"}, ".version: found 'a b', expected a text that matches ^[A-Za-z0-9]["),
    ({"filter": {"hgih": 40}}, ".filter: unknown key 'hgih'; did you mean 'high'?"),
    ({"filter": {"low": -1}}, ".filter.low: found -1, expected more than 0"),
    ({"filter": {"low": "x"}}, ".filter.low: found 'x', expected a value of type number or null"),
    ({"filter": {"low": 40, "high": 1}}, ".filter.high: found 1, expected more than low"),
    ({"filter": 3}, ".filter: found 3, allowed: Zero-phase FIR filter; null filters nothing"),
    ({"filter": {"notch": [50, 0]}}, ".filter.notch.1: found 0, expected more than 0"),
    ({"resample": 0}, ".resample: found 0, expected more than 0"),
    ({"resample": True}, ".resample: found True, allowed: Rate of the rows in Hz; null keeps"),
    ({"resample": float("inf")}, ".resample: found inf, expected a finite number"),
    ({"windows": None}, ".windows: found None, expected a value of type object"),
    ({"windows": {"length": 2}}, ".windows: the key 'kind' is missing"),
    (
        {"windows": {"kind": "fxied", "length": 2}},
        ".windows.kind: found 'fxied', allowed are events, fixed; did you mean 'fixed'?",
    ),
    ({"windows": {"kind": "fixed"}}, ".windows: the key 'length' is missing"),
    ({"windows": {**FIXED, "length": 0}}, ".windows.length: found 0, expected more than 0"),
    (
        {"windows": {**FIXED, "overlap": 2}},
        ".windows.overlap: found 2, expected less than the length (2.0 s)",
    ),
    ({"windows": {**FIXED, "tmin": 0}}, ".windows: unknown key 'tmin'; known keys: kind, length"),
    (
        {"windows": {**EVENTS, "evnets": "all"}},
        ".windows: unknown key 'evnets'; did you mean 'events'?",
    ),
    (
        {"windows": {**EVENTS, "tmax": -0.2}},
        ".windows.tmax: found -0.2, expected more than tmin (-0.2 s)",
    ),
    (
        {"windows": {**EVENTS, "tmin": float("nan")}},
        ".windows.tmin: found nan, expected a finite number",
    ),
    (
        {"windows": {**EVENTS, "baseline": [-0.3, 0]}},
        ".windows.baseline: found [-0.3, 0], expected [from, to] with tmin <= from < to <= tmax",
    ),
    (
        {"windows": {**EVENTS, "baseline": [0]}},
        ".windows.baseline: found [0], expected a list of this length at least: 2",
    ),
    (
        {"windows": {**EVENTS, "events": "some"}},
        ".windows.events: found 'some', allowed: Which events become rows: `all`, `{hed: QUERY}`",
    ),
    (
        {"windows": {**EVENTS, "events": {"hed": {"a": 1}}}},
        ".windows.events.hed: found {'a': 1}, allowed: string or number or boolean or array",
    ),
    (
        {"labels": {"row": {"column": "x"}}},
        ".labels: the name 'row' is taken; expected a name of your own",
    ),
    ({"labels": {"1a": {"column": "x"}}}, ".labels: the name '1a' is not allowed; expected a text"),
    ({"labels": {"a": {}}}, ".labels.a: expected exactly one of the keys column, hed, classes"),
    ({"labels": {"a": {"column": "x", "hed": {"y": "z"}}}}, ".labels.a: expected exactly one of"),
    (
        {"labels": {"a": {"column": "x", "numric": True}}},
        ".labels.a: unknown key 'numric'; did you mean 'numeric'?",
    ),
    (
        {"labels": {"a": {"hed": {True: "Face"}}}},
        ".labels.a.hed.True: the name True is not text; write it in quotes",
    ),
    ({"split": {"test": 0}}, ".split.test: found 0, expected more than 0"),
    ({"split": {"test": 1}}, ".split.test: found 1, expected less than 1"),
    ({"split": {"test": 0.5, "validation": 0.5}}, ".split: test and validation leave nothing for"),
    ({"split": {"stratify": "lables"}}, ".split.stratify: found 'lables', allowed: `labels`, or"),
    (
        {"split": {"group": "subjct"}},
        ".split.group: found 'subjct', allowed are subject, session, run, time; did you mean "
        "'subject'?",
    ),
    (
        {"split": {"stratify": ["sxe"]}},
        ".split.stratify: found 'sxe', expected a label (there are: none) or a participant_*",
    ),
    ({"resample": "1e3"}, "; YAML reads 1e3 as text: write 1000.0"),
    (
        {"labels": {"Face": {"column": "a"}, "face": {"column": "b"}}},
        ".labels.face: differs from 'Face' in case only",
    ),
    ({"labels": {"Row": {"column": "x"}}}, ".labels: the name 'Row' is taken; expected a name"),
    (
        {"labels": {"a": {"hed": {"x": "Face"}, "numeric": True}}},
        ".labels.a.numeric: has no meaning with `hed`",
    ),
    (
        {"labels": {"a": {"column": "x", "values": {"y": 1}, "numeric": True}}},
        ".labels.a.values: has no meaning with `numeric: true`",
    ),
    (
        {"channels": {"policy": "montage"}},
        ".channels.montage: absent, expected a standard montage for `policy: montage`",
    ),
    (
        {"channels": {"montage": "biosemi64"}},
        ".channels.montage: has no meaning with `policy: native`; did you mean `policy: montage`?",
    ),
    (
        {"channels": {"policy": "montage", "montage": "biosemi64", "types": ["mag"]}},
        ".channels.types: has no meaning with `policy: montage`, which gives electrodes",
    ),
    (
        {"channels": {"names": ["Fz"]}},
        ".channels.names: has no meaning with `policy: native`; did you mean `policy: list`?",
    ),
    ({"split": {"seed": -1}}, ".split.seed: found -1, expected at least 0"),
    ({"channels": {"types": []}}, ".channels.types: found [], expected a list of this length at"),
    ({"channels": {"types": ["EEG", "meg"]}}, ".channels.types.0: found 'EEG', allowed are data,"),
    (
        {"channels": {"policy": "list"}},
        ".channels.names: empty, expected names for `policy: list`",
    ),
    ({"include": {"tsk": ["a"]}}, ".include: unknown key 'tsk'; did you mean 'task'?"),
    ({"include": {"task": "a"}}, ".include.task: found 'a', expected a value of type array"),
    ({"annotations": "x"}, ".annotations: found 'x', allowed are when-no-events, never"),
    ({"on_bad_recording": "fial"}, ".on_bad_recording: found 'fial', allowed are quarantine, fail"),
    ({"validate": {"fatl": []}}, ".validate: unknown key 'fatl'; did you mean 'fatal'?"),
]


@pytest.mark.parametrize(("content", "message"), TOP, ids=[text for _, text in TOP])
def test_mistakes_at_the_top(schema, content, message):
    assert problems(content, schema)[0].startswith(message)
    assert len(problems(content, schema)) == 1


@pytest.mark.parametrize(("settings", "message"), DATASET, ids=[text for _, text in DATASET])
def test_mistakes_in_a_dataset(schema, settings, message):
    listed = problems(config(**settings), schema)
    assert listed[0].startswith("datasets.a")
    assert message in listed[0]
    assert len(listed) == (2 if "EEG" in message else 1)


SPLIT_AT_ONCE = [
    ({}, {"x": ["a"]}, "together.x: found ['a'], expected a list of this length at least: 2"),
    ({}, {"x/y": ["a", "b"]}, "together: the name 'x/y' is not allowed; expected a text that"),
    ({}, {"x": ["a", "c"]}, "together.x: found 'c', expected a dataset of: a, b"),
    ({}, {"x": ["a", "b", "a"]}, "together.x: the dataset 'a' stands here twice"),
    (
        {"split": {"test": 0.3}},
        {"x": ["a", "b"]},
        "together.x: split.test differs (a: 0.2, b: 0.3), expected one value for all",
    ),
    ({"split": {"seed": 3}}, {"x": ["a", "b"]}, "together.x: split.seed differs (a: 0, b: 3)"),
    (
        {"split": {"fixed": "b.tsv"}},
        {"x": ["a", "b"]},
        "datasets.b.split.fixed: has no meaning with together.x",
    ),
    ({"split": {"folds": 4}}, {"x": ["a", "b"]}, "datasets.b.split.folds: has no meaning with"),
]


@pytest.mark.parametrize(("settings", "together", "message"), SPLIT_AT_ONCE)
def test_what_cannot_be_split_at_once(schema, settings, together, message):
    own = config()["datasets"]["a"]
    datasets = {"a": own, "b": {**own, **settings}}
    listed = problems({"datasets": datasets, "together": together}, schema)
    assert len(listed) == 1 and listed[0].startswith(message)


def test_more_that_cannot_be_split_at_once(schema):
    own = config()["datasets"]["a"]
    twice = {"datasets": {"a": own, "b": own, "c": own}, "together": {"x": ["a", "b"]}}
    twice["together"]["y"] = ["c", "b"]
    message = "together.y: the dataset 'b' stands here and in together.x"
    assert problems(twice, schema) == [message]
    named = {"datasets": {"together": own, "b": own}, "together": {"x": ["together", "b"]}}
    assert problems(named, schema)[0].startswith("datasets: the name 'together' is taken")
    by_run = {"datasets": {"a": own, "b": own}, "together": {"x": ["a", "b"]}}
    by_run["defaults"] = {"split": {"group": "run"}}
    assert [text.split(":")[0] for text in problems(by_run, schema)] == [
        "datasets.a.split.group",
        "datasets.b.split.group",
    ]
    shared = {"split": {"test": 0.3, "seed": 2}}
    good = {**by_run, "defaults": shared}
    assert resolve(good, schema)["together"] == {"x": ["a", "b"]}


LABEL = [
    ({"hed": {"x": "Face"}, "values": {"x": 1}}, ".values: has no meaning with `hed`"),
    ({"classes": {"x": {"hed": "A"}}, "numeric": True}, ".numeric: has no meaning with `classes`"),
    ({"column": "c", "context": True}, ".context: has no meaning with `column`"),
    (
        {"column": "c", "values": {"x": 1}, "patterns": {"x": "1"}},
        ".values: has no meaning with `patterns`",
    ),
    ({"column": "c", "overlap": "error"}, ".overlap: has no meaning where each value is a class"),
    (
        {"column": "c", "numeric": True, "unmatched": "other"},
        ".unmatched: `other` has no meaning with `numeric: true`",
    ),
    ({"column": "c", "unmatched": "drop"}, ".unmatched: found 'drop', allowed are empty, error"),
    (
        {"hed": {"other": "Face"}, "unmatched": "other"},
        ".unmatched: `other` is the name of a class already",
    ),
    (
        {"column": "c", "patterns": {"left": "(^left"}},
        ".patterns.left: found '(^left', expected a regular expression (missing ), unterminated",
    ),
    ({"hed": {"x": "(Face"}}, ".hed.x: the HED query '(Face' cannot be understood: '(' is never"),
    ({"column": "c", "values": {"n/a": 1}}, ".values: the name 'n/a' is taken"),
    ({"column": "c", "values": {" ": 1}}, ".values: the name ' ' is not allowed"),
    ({"column": "c", "patterns": {"a\tb": "x"}}, ".patterns: the name 'a\\tb' is not allowed"),
    ({"hed": {"a\n": "Face"}}, ".hed: the name 'a\\n' is not allowed"),
    ({"column": "c", "patterns": {"": "x"}}, ".patterns: the name '' is not allowed"),
    (
        {"classes": {"x": {"all": [{"column": "c", "values": 1}, {"column": "c", "match": "x"}]}}},
        ".classes.x.all.1: unknown key 'match'; did you mean 'matches'?",
    ),
    (
        {"classes": {"x": {"not": {"hed": "A", "column": "c"}}}},
        ".classes.x.not: expected exactly one of the keys hed, column, all, any, not",
    ),
    ({"classes": {"x": {"any": []}}}, ".classes.x.any: found [], expected a list of this length"),
    (
        {"classes": {"x": {"column": "c"}}},
        ".classes.x: a condition on a column takes `values`, or `matches`, or limits",
    ),
    (
        {"classes": {"x": {"column": "c", "values": 1, "above": 2}}},
        "`at_most`); found values, above",
    ),
    (
        {"classes": {"x": {"hed": "A", "below": 2}}},
        ".classes.x.below: has no meaning without `column`",
    ),
    (
        {"classes": {"x": {"any": [{"column": "c", "matches": "["}]}}},
        ".classes.x.any.0.matches: found '[', expected a regular expression",
    ),
    ({"classes": {"x": {"not": {"hed": "A and"}}}}, ".classes.x.not.hed: the HED query 'A and'"),
    (
        {"classes": {"x": {"column": "c", "above": 3, "at_most": 3}}},
        ".classes.x: no number lies between 3 and 3",
    ),
    (
        {"classes": {"x": {"column": "c", "above": 3, "at_least": 2}}},
        ".classes.x.at_least: has no meaning with `above`",
    ),
    (
        {"classes": {"x": {"column": "c", "values": 1, "context": True}}},
        ".classes.x.context: has no meaning without `hed`",
    ),
]


@pytest.mark.parametrize(("label", "message"), LABEL, ids=[text for _, text in LABEL])
def test_mistakes_in_a_label(schema, label, message):
    listed = problems(config(labels={"a": label}), schema)
    assert len(listed) == 1 and listed[0].startswith("datasets.a.labels.a")
    assert message in listed[0]


@pytest.mark.parametrize(
    "label",
    [
        {"hed": {"other": "Face", "x": "sc:Sleep-deep and {Face: Item}"}, "context": True},
        {"column": "c", "patterns": {"a": "^a", "b": "b$"}, "overlap": "other"},
        {"column": "c", "unmatched": "other"},
        {"column": "c", "numeric": True, "unmatched": "error"},
        {"classes": {"x": {"column": "c", "at_least": 3, "at_most": 3}}, "overlap": "error"},
        {"classes": {"x": {"not": {"any": [{"all": [{"hed": "A", "context": True}]}]}}}},
    ],
)
def test_good_labels(schema, label):
    assert resolve(config(labels={"a": label}), schema)["datasets"]["a"]["labels"] == {"a": label}


@pytest.mark.parametrize(("settings", "message"), DATASET, ids=[text for _, text in DATASET])
def test_the_same_mistakes_in_the_defaults(schema, settings, message):
    if "has no meaning" in message or "version" in settings:
        return  # keys of a dataset alone
    content = {"datasets": {"a": {"source": "sample"}}, "defaults": {"windows": FIXED, **settings}}
    assert any(message in problem for problem in problems(content, schema))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "key 'a' twice; file: .*; found: lines 1 and 3"),
        ("a:\n  - {b: 1, c: 2,\n     b: 3}\n", "key 'b' twice; file: .*; found: lines 2 and 3"),
        ("a: [", "is no YAML"),
    ],
)
def test_a_key_that_stands_twice(tmp_path, text, message):
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(BidsmillError, match=message) as caught:
        check_duplicates(tmp_path / "my.yaml")
    assert caught.value.file.endswith("my.yaml")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: {x: 1}\nb: {x: 1}\n",
        "a: &q {x: 1}\nb: *q\nc: {<<: *q, x: 2}\n",
        "? [a, b]\n: 1\n",
        "a: &loop [*loop]\n",
    ],
)
def test_keys_that_stand_once(tmp_path, text):
    (tmp_path / "my.yaml").write_text(text)
    check_duplicates(tmp_path / "my.yaml")


def test_every_mistake_is_listed(schema):
    content = config(resample=-1, filter={"lo": 1}, split={"test": 2})
    content["stroe"] = "x"
    content["datasets"]["b"] = {"source": "x"}
    assert len(problems(content, schema)) == 5


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "datasets",
                        "a",
                        "source",
                        "windows",
                        "kind",
                        "labels",
                        "filter",
                        "hed",
                        "split",
                    ]
                )
                | st.integers(),
                inner,
                max_size=4,
            )
        ),
        max_leaves=15,
    )
)
def test_whatever_is_given_the_answer_is_for_people(schema, content):
    for wrapped in (content, {"datasets": content}, {"datasets": {"a": content}}):
        try:
            resolve(wrapped, schema)
        except BidsmillError as error:
            assert "\n  - " in str(error)


# What is filled in


# Streams: definitions are read with the config, and rows cut from a node take nothing else.

ENV = {"nodes": {"env": "raw > rectify > lowpass(10)", "on": "env > onsets(threshold=3)"}}
FROM_ENV = {**FIXED, "source": "env"}
STREAMS = [
    (
        config(streams={"nodes": {"env": "raw > lowpas(10)"}}),
        "datasets.a.streams.nodes: node env: There is no such operation; found: lowpas, at",
    ),
    (
        config(streams={"nodes": {"env": "raw > lowpass(10", "x": "raw"}}),
        "datasets.a.streams.nodes: node env: ",
    ),
    (
        config(streams={"nodes": {"a": "b > rectify", "b": "a > rectify"}}),
        "datasets.a.streams.nodes: node ",
    ),
    (
        config(streams={"nodes": {"1a": "raw"}}),
        "datasets.a.streams.nodes: the name '1a' is not allowed",
    ),
    (config(streams={"nodes": {"raw": "epocs"}}), "datasets.a.streams.nodes: A node cannot be"),
    (
        config(streams={**ENV, "write": ["enw"]}),
        "datasets.a.streams.write: found 'enw', expected a node of `streams.nodes`: env, on, raw",
    ),
    (config(streams={**ENV, "wirte": []}), "datasets.a.streams: unknown key 'wirte'; did you mean"),
    (config(streams=[]), "datasets.a.streams: found [], expected a value of type object or null"),
    (
        config(FROM_ENV),
        "datasets.a.windows.source: found 'env', but the dataset has no `streams`",
    ),
    (
        config({**FIXED, "source": "enw"}, streams=ENV),
        "datasets.a.windows.source: found 'enw', expected a node of `streams.nodes`: env, on, raw",
    ),
    (
        config({**EVENTS, "source": "on"}, streams=ENV),
        "datasets.a.windows.source: the node 'on' gives epocs, expected a stream",
    ),
    *(
        (
            config(FROM_ENV, streams=ENV, **{key: value}),
            f"datasets.a.{key}: has no meaning with `windows.source: env`",
        )
        for key, value in (
            ("resample", 100),
            ("filter", {"low": 1}),
            ("reference", "average"),
        )
    ),
    (
        config(FROM_ENV, streams=ENV, channels={"policy": "montage", "montage": "biosemi64"}),
        "datasets.a.channels.policy: `montage` has no meaning with `windows.source: env`",
    ),
    (
        config(FROM_ENV, streams=ENV, channels={"bad": "interpolate"}),
        "datasets.a.channels.bad: `interpolate` has no meaning with `windows.source: env`",
    ),
]


@pytest.mark.parametrize(("content", "expected"), STREAMS)
def test_a_mistake_in_streams_is_named(content, expected, schema):
    (problem,) = problems(content, schema)
    assert problem.startswith(expected)


def test_streams_are_off_and_on(schema):
    assert resolve(config(), schema)["datasets"]["a"]["streams"] is None
    empty = resolve(config(streams={}), schema)["datasets"]["a"]["streams"]
    assert empty == {"nodes": {}, "write": [], "publish": True}


def test_the_node_of_the_rows_is_written(schema):
    settings = resolve(config(FROM_ENV, streams=ENV), schema)["datasets"]["a"]
    assert settings["streams"]["write"] == ["env"]
    assert settings["windows"]["source"] == "env"
    raw = resolve(config({**FIXED, "source": "raw"}, streams={}), schema)["datasets"]["a"]
    assert raw["streams"]["write"] == []


def test_a_dataset_leaves_out_the_streams_of_the_defaults(schema):
    content = {
        "datasets": {
            "a": {"source": "sample", "streams": None},
            "b": {"source": "sample", "streams": {"write": ["on"]}},
        },
        "defaults": {"windows": FIXED, "streams": {**ENV, "publish": False}},
    }
    found = resolve(content, schema)["datasets"]
    assert found["a"]["streams"] is None
    assert found["b"]["streams"] == {**ENV, "write": ["on"], "publish": False}


def test_every_setting_is_spelt_out(schema):
    resolved = resolve(config(), schema)
    folders = {"store", "locks", "hed_sidecars", "splits"}
    others = {"same_subject", "together", "batches", "datasets", "simulation", "publish"}
    others.add("allow_license")
    assert set(resolved) == {*folders, *others}
    assert resolved["allow_license"] == []
    assert resolved["publish"] == {
        "endpoint": None,
        "profile": None,
        "encryption": None,
        "kms_key": None,
        "storage_class": None,
        "connections": 8,
    }
    assert resolved["store"] == "results/store"
    assert resolved["locks"] == "config/locks"
    assert resolved["splits"] == "config/splits"
    assert resolved["same_subject"] == []
    assert resolved["batches"] == {"recordings": 64, "gigabytes": 20}
    assert resolved["datasets"]["a"] == {
        "source": "sample",
        "include": {},
        "folders": [],
        "fetch": {"parallel": 8, "bandwidth": None, "retries": 6, "timeout": 60},
        "streams": None,
        "windows": {"kind": "fixed", "length": 2.0, "overlap": 0, "source": None},
        "labels": {},
        "channels": {
            "types": ["data"],
            "policy": "native",
            "montage": None,
            "min_share": 0.5,
            "names": [],
            "exclude": [],
            "bad": "keep",
        },
        "reference": None,
        "resample": None,
        "filter": None,
        "annotations": "when-no-events",
        "hed": {"proposed": "ignore"},
        "limits": {"recording_gigabytes": None, "channels": None, "hours": None},
        "repairs": {"allow": [], "refuse": []},
        "quality": {"exclude": {"flat": None, "clipped": None, "extreme": {}, "line_noise": None}},
        "split": {
            "test": 0.2,
            "validation": 0,
            "group": "subject",
            "stratify": "labels",
            "fallback": "refuse",
            "gap": 10,
            "seed": 0,
            "fixed": None,
            "move": {},
            "release": [],
            "folds": None,
        },
        "validate": {"fatal": []},
        "on_bad_recording": "quarantine",
    }


@pytest.mark.parametrize(
    ("source", "settings"),
    [
        ("openneuro", {}),
        ("openneuro", {"id": "ds002718", "version": "1.0.5", "endpoint": "http://127.0.0.1:9"}),
        ("nemar", {"id": "nm000132", "version": "v1.0.0", "endpoint": "https://example.org"}),
        ("s3", {"url": "s3://bucket"}),
        ("s3", {"url": "s3://bucket/a/b", "endpoint": "http://127.0.0.1:9000", "profile": "lab"}),
        ("https", {"url": "https://example.org/a/b/"}),
        ("https", {"url": "https://example.org/ds", "manifest": "manifest.tsv"}),
        ("https", {"url": "https://example.org/ds", "manifest": ".manifest.v2.json"}),
        ("local", {"path": "some/folder"}),
        ("sample", {}),
    ],
)
def test_where_a_dataset_comes_from_is_taken_as_it_is(schema, source, settings):
    resolved = resolve(origin(source, **settings), schema)["datasets"]["a"]
    assert resolved["source"] == source
    kept = {*ALL_ORIGIN, "version"}
    assert {key: value for key, value in resolved.items() if key in kept} == settings


def test_the_folder_of_locks_is_taken_as_it_is(schema):
    assert resolve({**config(), "locks": "my/locks"}, schema)["locks"] == "my/locks"


def test_of_fetch_the_rest_is_filled_in(schema):
    """First from the dataset, then from the defaults, then from the schema."""
    content = {
        "datasets": {
            "a": {"source": "sample", "fetch": {"parallel": 1}},
            "b": {"source": "sample", "folders": [], "fetch": {"bandwidth": None}},
        },
        "defaults": {
            "windows": FIXED,
            "folders": ["code"],
            "fetch": {"parallel": 2, "bandwidth": 0.5, "timeout": 1.5},
        },
    }
    resolved = resolve(content, schema)["datasets"]
    assert (resolved["a"]["folders"], resolved["b"]["folders"]) == (["code"], [])
    assert resolved["a"]["fetch"] == {
        "parallel": 1,
        "bandwidth": 0.5,
        "retries": 6,
        "timeout": 1.5,
    }
    assert resolved["b"]["fetch"] == {
        "parallel": 2,
        "bandwidth": None,
        "retries": 6,
        "timeout": 1.5,
    }


def test_windows_of_events_are_filled_in(schema):
    assert resolve(config(EVENTS), schema)["datasets"]["a"]["windows"] == {
        **EVENTS,
        "events": "all",
        "baseline": None,
        "source": None,
    }


def test_a_dataset_wins_over_defaults_and_defaults_over_the_schema(schema):
    content = {
        "datasets": {
            "a": {"source": "sample", "split": {"test": 0.3}, "resample": None},
            "b": {"source": "local", "path": "x", "channels": {"bad": "drop"}},
        },
        "defaults": {
            "windows": FIXED,
            "resample": 128,
            "split": {"test": 0.4, "seed": 7},
            "channels": {"types": ["eeg"], "bad": "keep"},
            "on_bad_recording": "fail",
        },
    }
    before = copy.deepcopy(content)
    a, b = (resolve(content, schema)["datasets"][name] for name in "ab")
    assert content == before, "the config is not edited"
    assert (a["split"]["test"], a["split"]["seed"], a["split"]["gap"]) == (0.3, 7, 10)
    assert (b["split"]["test"], b["split"]["seed"]) == (0.4, 7)
    assert (a["resample"], b["resample"]) == (None, 128)
    assert (b["channels"]["types"], b["channels"]["bad"]) == (["eeg"], "drop")
    assert a["channels"]["bad"] == "keep"
    assert a["on_bad_recording"] == "fail"
    a["split"]["test"] = 0
    a["windows"]["length"] = 0
    again = resolve(content, schema)["datasets"]
    assert again["a"]["split"]["test"] == 0.3, "datasets share nothing with the defaults"
    assert again["b"]["windows"]["length"] == 2.0


@pytest.mark.parametrize(
    ("key", "default", "own", "expected"),
    [
        ("windows", EVENTS, FIXED, {**FIXED, "overlap": 0, "source": None}),
        ("filter", {"low": 1, "high": 40}, {"notch": 50}, {"notch": 50}),
        ("include", {"task": ["a"]}, {"subject": ["01"]}, {"subject": ["01"]}),
        (
            "labels",
            {"f": {"column": "trial_type"}, "g": {"column": "value"}},
            {"f": {"hed": {"x": "Face"}}},
            {"f": {"hed": {"x": "Face"}}, "g": {"column": "value"}},
        ),
    ],
)
def test_what_is_replaced_as_a_whole(schema, key, default, own, expected):
    """Windows of another kind, and a label of another definition, do not mix."""
    content = {
        "datasets": {"a": {"source": "sample", "windows": FIXED, key: own}},
        "defaults": {key: default},
    }
    assert resolve(content, schema)["datasets"]["a"][key] == expected


def test_contradictions_show_only_when_put_together(schema):
    content = config(split={"test": 0.6})
    content["defaults"] = {"split": {"validation": 0.5}}
    (problem,) = problems(content, schema)
    assert problem == "datasets.a.split: test and validation leave nothing for training"


# The files of the project


def test_the_committed_config_resolves(root, schema):
    content = yaml.safe_load((root / "config" / "config.yaml").read_text(encoding="utf-8"))
    resolved = resolve(content, schema)
    assert list(resolved["datasets"]) == ["sample"]
    assert resolved["datasets"]["sample"]["source"] == "sample"


def keys_of(shape, found: set[str]) -> set[str]:
    """Collect the names of all keys that a schema describes."""
    if isinstance(shape, dict):
        for name, inner in shape.items():
            if name in ("properties", "$defs") and isinstance(inner, dict):
                if name == "properties":
                    found.update(inner)
                for described in inner.values():
                    keys_of(described, found)
            else:
                keys_of(inner, found)
    elif isinstance(shape, list):
        for inner in shape:
            keys_of(inner, found)
    return found


def test_every_key_is_documented(root, schema):
    keys = keys_of(schema, set())
    assert {"store", "recordings", "overlap", "baseline", "notch", "fatal", "datatype"} <= keys
    text = (root / "config" / "README.md").read_text(encoding="utf-8")
    quoted = re.findall(r"`([^`\n]+)`", text)
    documented = {part for name in quoted for part in (name, *re.split(r"[.:\s{}\[\],]+", name))}
    assert not sorted(keys - documented)


def test_the_schema_is_a_schema(schema):
    import jsonschema

    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_order_of_keys_is_kept_for_labels_alone(schema):
    labels = {"b": {"column": "x", "values": {"two": 2, "one": 1}}, "a": {"column": "y"}}
    own = {"channels": {"policy": "native", "bad": "drop"}, "labels": labels}
    turned = {"labels": labels, "channels": {"bad": "drop", "policy": "native"}}
    texts = {repr(resolve(config(EVENTS, **settings), schema)) for settings in (own, turned)}
    texts |= {repr(resolve(config(dict(reversed(EVENTS.items())), **own), schema))}
    assert len(texts) == 1
    resolved = resolve(config(EVENTS, **own), schema)["datasets"]["a"]["labels"]
    assert list(resolved) == ["b", "a"] and list(resolved["b"]["values"]) == ["two", "one"]
