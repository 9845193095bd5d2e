"""The language of the graph, the identity of nodes, and what is refused with which words."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.formats.stream import write_stream
from bidsmill.streams import ArrayStream, Graph, Nodes, Operation, operation, register
from bidsmill.streams.graph import text_of
from bidsmill.streams.graph.language import Argument, Chain, Step, Word, parse
from bidsmill.streams.parameters import Quantity
from bidsmill.streams.registry import operations

# Share of the examples that are drawn.
SHARE = 1.0 if os.environ.get("BIDSMILL_LONG") else 0.5
RNG = np.random.default_rng(5)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True).filter(
    lambda name: name not in ("true", "false", "null")
)
NUMBERS = st.integers(-999, 999) | st.floats(allow_nan=False, allow_infinity=False)
PLAIN = (
    NUMBERS
    | st.booleans()
    | st.none()
    | st.text(max_size=8)
    | st.builds(Quantity, NUMBERS, st.sampled_from(["Hz", "ms", "µs"]))
    | st.builds(Word, NAMES)
)


def chains(values):
    arguments = st.builds(Argument, values, st.none() | NAMES)
    called = st.builds(Step, NAMES, st.lists(arguments, max_size=3).map(tuple))
    first = st.builds(Step, NAMES) | called
    whole = st.tuples(first, st.lists(called, max_size=3)).map(lambda c: Chain((c[0], *c[1])))
    # A single name as an argument is a word.
    return whole.filter(lambda c: len(c.steps) > 1 or c.steps[0].arguments is not None)


VALUES = st.recursive(PLAIN, lambda v: st.lists(v, max_size=3).map(tuple) | chains(v), max_leaves=8)


@settings(max_examples=int(60 * SHARE), deadline=None)
@given(chains(VALUES))
def test_what_is_printed_is_read_again(chain):
    assert parse(str(chain)) == chain


@settings(max_examples=int(200 * SHARE), deadline=None)
@given(st.text(alphabet="raw >(),=[]\"'120.eHz_é\\-", max_size=30))
def test_any_text_is_read_or_refused_with_its_place(text):
    try:
        assert parse(str(parse(text, "env"))) == parse(text)
    except BidsmillError as problem:
        assert "node env" in str(problem) and "character" in str(problem)


@settings(max_examples=int(60 * SHARE), deadline=None)
@given(
    st.floats(0.1, 100),
    st.floats(101, 499),
    st.integers(1, 20),
    st.lists(st.floats(1, 400), min_size=1, max_size=3),
)
def test_a_graph_survives_its_document_and_its_text(low, high, order, notches):
    graph = Graph(
        {
            "clean": f"raw > notch({notches}) > bandpass({low}, {high})",
            "env": f"clean > rectify > lowpass({low}, method=butterworth, order={order})",
        }
    )
    again = Graph.from_document(json.loads(json.dumps(graph.document())))
    assert again.nodes == graph.nodes
    assert list(again.nodes) == list(graph.nodes)
    assert Graph({"x": text_of(graph.nodes["env"])}).nodes["x"] == graph.nodes["env"]


def identity(text, **others):
    return Graph({"node": text, **others}).nodes["node"].identity


def test_equal_content_has_equal_identity_however_it_is_written():
    wanted = identity("raw > notch(50) > bandpass(20, 450)")
    for text in (
        "raw>notch([50.0])>bandpass(20.0,450)",
        "raw > notch(frequencies=50 Hz) > bandpass(high=0.45 kHz, low=20)",
        "bandpass(notch(raw, 50), 20, 450)",
        "clean > bandpass(20, 450, method=fir)",
        "other.notch > bandpass(20, 450, order=null)",
    ):
        other = {"clean": "raw > notch(50)", "other": "clean > rectify"}
        assert identity(text, **other) == wanted, text


def test_another_parameter_parent_or_version_is_another_identity():
    texts = [
        "raw",
        "raw > lowpass(10)",
        "raw > lowpass(10.000001)",
        "raw > highpass(10)",
        "raw > rectify > lowpass(10)",
        "raw > lowpass(10) > rectify",
        "raw > lowpass(10, method=butterworth)",
        "raw > lowpass(10, method=butterworth, phase=causal)",
    ]
    assert len({identity(text) for text in texts}) == len(texts)

    def made(number):
        @register
        @dataclass(frozen=True)
        class Numbered(Operation):
            name: ClassVar[str] = "numbered_for_test"
            version: ClassVar[int] = number

        return identity("raw > numbered_for_test")

    first = made(1)
    assert made(2) != first and made(1) == first


def test_the_identity_is_the_same_in_every_process():
    # A change of this value means that every stored result is made again.
    assert identity("raw > rectify") == "1977eb22bd4ae5f94087e652fec440f6"
    content = '{"op":"raw","parameters":{},"parents":[],"version":1}'
    assert identity("raw") == hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def test_steps_are_found_by_operation_and_by_way():
    graph = Graph(
        {"env": "raw > bandpass(20, 450) > rectify > lowpass(10)", "two": "env > rectify > car"}
    )
    assert text_of(graph.find("bandpass")).startswith("raw > bandpass")
    assert graph.find("env.rectify") == graph.find("two.rectify.1")
    assert graph.find("two.rectify.2").parents[0] == graph.nodes["env"]
    with pytest.raises(BidsmillError, match=r"Several steps .* two\.rectify"):
        graph.find("rectify")
    with pytest.raises(BidsmillError, match="did you mean bandpass"):
        graph.find("bandpas")
    with pytest.raises(BidsmillError, match=r"two\.rectify\.1, two\.rectify\.2"):
        graph.find("two.rectify")


REFUSED = {
    "raw > bandpas(20, 450)": ["character 7", "»bandpas«", "did you mean bandpass?", "lowpass"],
    "raw > bandpass(20": ["the definition ends too early", "character 18", "»end«", "expected: ,"],
    "raw >": ["ends too early", "the name of an operation"],
    "raw > bandpass(20, hihg=450)": ["no parameter hihg", "»hihg«", "did you mean high?"],
    "raw > bandpass(20)": ["the parameter high of bandpass is missing", "low in Hz, high in Hz"],
    "raw > bandpass(20, 450, high=3)": ["high is given twice", "»high«"],
    "raw > bandpass(20, low=30)": ["low is given twice", "»low«"],
    "raw > bandpass(low=20, 450)": ["behind a named one", "»450«"],
    "raw > rectify(full, 3)": ["no parameter for this value", "»3«"],
    "raw > lowpass(ten)": ["parameter high of lowpass", "found: 'ten'", "a number of Hz"],
    "raw > lowpass(10 ms)": ["found: 10 ms", "Hz", "»10 ms«"],
    "raw > lowpass(-10)": ["above 0 Hz", "»-10«"],
    "raw > lowpass([1, 2])": ["a number of Hz"],
    "raw > lowpass(true)": ["found: True"],
    "raw > lowpass(1e999)": ["finite"],
    "raw > bandpass(450, 20)": ["not in order", "low 450 Hz"],
    "raw > lowpass(10, order=2)": ["FIR has no order", "method=butterworth"],
    "raw > lowpass(10, method=butterworth, order=2.5)": ["a whole number", "»order=2.5«"],
    "raw > lowpass(10, method=butter)": ['one of "fir", "butterworth"'],
    "raw > lowpass(10, butterworth, high_transition=2)": ["no transition band"],
    "raw > lowpass(rectify(raw))": ["a node stands where a value is expected", "»rectify«"],
    "raw > notch([])": ["at least one frequency"],
    "epocs > rectify": ["rectify cannot work on these inputs", "epocs (epocs)", "expected: stream"],
    "raw > epochs": ["epochs lacks an input", "e.g. epochs(raw, epocs)"],
    "epochs(raw, epocs, tmin=-1e30)": ["tmin", "-1e+30"],
    "raw > epochs(raw)": ["cannot work on these inputs", "expected: stream, epocs"],
    "rectify > car": ["there is no node rectify", "raw > rectify"],
    "ok > car > clena": ["no such operation", "»clena«"],
    "okk > car": ["there is no node okk", "did you mean ok?"],
    "ok.notch > car": ["no single step notch", "ok.rectify"],
    "a > car": ["a depends on itself", "the circle a > a"],
    "b > car": ["a depends on itself", "a > b > a"],
    "raw ! car": ["no meaning", "»!«", "character 5"],
    "raw > lowpass('10": ["the text is not closed"],
    "": ["ends too early", "the name of a node"],
    "3": ["3 cannot stand here"],
    "raw > (rectify)": ["( cannot stand here"],
    "raw raw": ["raw cannot stand here", "character 5"],
    "raw > lowpass(" * 40: ["nested too deeply", "..."],
    "raw" + " > rectify" * 150: ["The chain is too long", "100 steps"],
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40])
def test_mistakes_are_refused_at_their_place(text):
    with pytest.raises(BidsmillError) as problem:
        Graph({"a": text, "b": "a > car", "ok": "raw > rectify"})
    message = str(problem.value)
    assert message.startswith("node "), message
    for words in REFUSED[text]:
        assert words in message, message


@pytest.mark.parametrize(
    ("definitions", "words"),
    [
        ({"raw": "raw > car"}, "cannot be called so"),
        ({"1st": "raw > car"}, "cannot be called so"),
        ({"a/b": "raw > car"}, "a letter, then letters"),
        ({"e" * 65: "raw > car"}, "digits and _, at most 64"),
        ({"env": 3}, "the definition is no text"),
        ({"env": "raw > car", "ENV": "raw"}, "upper and lower case"),
        ("env: raw > car\nenv: raw", "defined twice"),
        ("env raw", "defines no node"),
    ],
)
def test_names_that_cannot_be_are_refused(definitions, words):
    with pytest.raises(BidsmillError, match=words):
        Graph(definitions)


def test_definitions_as_lines_of_text():
    assert Graph("env: raw > rectify\n\n two: env > car").nodes == (
        Graph({"env": "raw > rectify", "two": "env > car"}).nodes
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raw > rectify > lowpass(600)", ["»lowpass«", "600", "500 Hz"]),
        ("raw > bandpass(20, 500, method=butterworth)", ["»bandpass«", "half the sampling rate"]),
        ("raw > notch([50, 500])", ["»notch«", "500"]),
        ("raw > notch(499, method=butterworth)", ["»notch«"]),
        ("raw > resample(2000000)", ["»resample«", "1000 Hz"]),
        ("raw > car(groups=[[ch0, nobody]])", ["»car«", "nobody", "ch0, ch1"]),
        ("raw > car(groups=[[ch0, ch1], [ch1]])", ["twice: ch1"]),
        ("raw > car(exclude=ch1)", ["Too few good channels"]),
        ("raw > resample(1e-9)", ["»resample«", "1e-09 Hz of 1000 Hz", "at least 0.001 Hz"]),
        ("raw > highpass(1e-9)", ["»highpass«", "The filter is too long", "at least 0.0002 Hz"]),
        ("raw > bandpass(20, 40, high_transition=1e-6)", ["»bandpass«", "1e-06 Hz at 1000 Hz"]),
        ("raw > highpass(1e-9, method=butterworth)", ["»highpass«", "not stable"]),
    ],
)
def test_what_the_stream_cannot_do_is_refused_before_anything_is_computed(text, words):
    stream = ArrayStream(RNG.standard_normal((2, 1000)), 1000.0)
    with pytest.raises(BidsmillError) as problem:
        Nodes(stream, {"env": text})
    for word in ("node env", *words):
        assert word in str(problem.value)


def test_a_window_may_be_longer_than_the_stream():
    stream = ArrayStream(RNG.standard_normal((2, 100)), 1000.0)
    found = Nodes(stream, "env: raw > envelope(rms, window=1000000000)").compute("env")
    whole = np.sqrt(np.mean(stream.data.astype(float) ** 2, axis=1, keepdims=True))
    assert np.allclose(found, np.broadcast_to(whole, found.shape), rtol=1e-6)


@pytest.mark.parametrize("rate", ["banana", float("nan"), 0.0, -1.0, None, True])
def test_an_array_needs_a_sampling_rate(rate):
    with pytest.raises(BidsmillError, match=r"the field core\.fs is not as it must be"):
        ArrayStream(np.zeros((2, 5)), rate)


def test_an_array_needs_real_numbers():
    for data in (np.zeros((2, 5), complex), [["a"]]):
        with pytest.raises(BidsmillError, match="real numbers"):
            ArrayStream(data, 1000.0)


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ({"a": "a_stream.json"}, "ends in .parquet"),
        ({"a": "x.parquet", "b": "../{folder}/x.parquet"}, "to one file"),
        ({"a": "raw_stream.parquet"}, "replace the stream"),
    ],
)
def test_nodes_are_written_to_files_of_their_own(tmp_path, paths, words):
    source = tmp_path / "raw_stream.parquet"
    stream = ArrayStream(RNG.standard_normal((2, 100)), 1000.0)
    write_stream(source, stream.core, stream.data)
    nodes = Nodes(source, {"a": "raw > rectify", "b": "raw > tkeo"})
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())
    with pytest.raises(BidsmillError, match=words):
        nodes.write_all({n: tmp_path / p.format(folder=tmp_path.name) for n, p in paths.items()})
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == before


def test_streams_of_two_grids_are_not_put_together():
    @register
    @dataclass(frozen=True)
    class Ratio(Operation):
        name: ClassVar[str] = "ratio_for_test"
        inputs: ClassVar[tuple[str, ...]] = ("stream", "stream")

        def compute(self, block, span, core, fitted):
            return block[0] / block[1]

    stream = ArrayStream(RNG.standard_normal((2, 900)), 1000.0)
    with pytest.raises(BidsmillError, match=r"node r: .* not on one grid.* 450 samples at 500 Hz"):
        Nodes(stream, {"r": "raw > ratio_for_test(raw > resample(500))"})
    nodes = Nodes(stream, {"r": "ratio_for_test(raw > rectify, raw)"}, chunk=100)
    assert np.array_equal(nodes.compute("r"), np.sign(stream.data))


def test_a_document_of_other_versions_or_content_is_refused():
    document = Graph({"env": "raw > lowpass(10)"}).document()
    for change, words in (
        ({"format": "x"}, "no graph"),
        ({"names": {"env": "0"}}, "incomplete"),
        ({"nodes": document["nodes"][1:]}, "incomplete"),
    ):
        with pytest.raises(BidsmillError, match=words):
            Graph.from_document({**document, **change})
    document["nodes"][1]["parameters"]["high"] = 11.0
    with pytest.raises(BidsmillError, match="not the one that the document names"):
        Graph.from_document(document)


def test_operations_that_cannot_be_registered():
    with pytest.raises(BidsmillError, match="whose type is not stated"):
        operation(lambda block, width: block, name="untyped_for_test")
    with pytest.raises(BidsmillError, match="no usable name"):
        operation(lambda block: block)
    with pytest.raises(BidsmillError, match="Two operations have one name"):
        operation(lambda block: block, name="lowpass")
    with pytest.raises(BidsmillError, match="no frozen dataclass"):
        register(type("Plain", (Operation,), {"name": "plain_for_test"}))
    assert {"bandpass", "car", "cmr", "highpass", "lowpass", "notch"} <= set(operations())
