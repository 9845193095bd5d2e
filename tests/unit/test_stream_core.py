"""The document `core`: every field is checked, and what is right is read back as it was."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.formats.stream_core import (
    EpocCore,
    StreamChannel,
    StreamCore,
    check_core,
    parse_core,
    parse_epoc_core,
)
from bidsmill.formats.stream_legacy import core_of_base
from bidsmill.formats.stream_units import parse_unit, squared

GOOD = {
    "core": {
        "schema_version": "1",
        "kind": "stream",
        "name": "sub-01_task-grip_emg",
        "fs": 2000.0,
        "n_samples": 4000,
        "n_channels": 2,
        "axis_order": "samples,channels",
        "dtype": "float32",
        "t0": 0.0,
        "clock": "sub-01_task-grip_emg",
        "channels": [
            {
                "name": "biceps",
                "type": "emg",
                "unit": "µV",
                "scale_to_si": 1e-6,
                "low_cutoff": 10.0,
                "high_cutoff": 500.0,
                "status": "good",
                "source_name": "EMG 1",
                "position": [0.0, 0.1, 0.2],
            },
            {"name": "trigger", "type": "stim", "unit": "n/a", "scale_to_si": 1.0},
        ],
        "source": {"uri": "bids::sub-01/emg/a.edf", "sha256": "0" * 64, "reader": "edf"},
        "history": [{"node": "notch", "params": {"freq": 50}, "version": 1}],
    },
    "other": {"type": 33025, "ucf": False},
}
GONE = object()


def violations() -> list[tuple[str, tuple, object]]:
    """Return the field that a message must name, where it stands, and what is put there."""
    inf, nan = float("inf"), float("nan")
    bad: dict[str, list] = {
        "schema_version": [GONE, "2", 1, None],
        "kind": [GONE, "epoc", "Stream", 1],
        "name": [GONE, "", "  ", " padded", "a/b", "a\\b", "..", 7, None, "e\u0301", "tab\there"],
        "fs": [GONE, "banana", "2000", 0, -1.5, inf, nan, 10**400, True, None, [2000]],
        "n_samples": [GONE, -3, 4000.0, "4000", True, None],
        "n_channels": [GONE, 3, "2", 2.0, -2],
        "axis_order": [GONE, "channels,samples", None],
        "dtype": [GONE, "float16", "<f4", None],
        "t0": [GONE, "0", inf, nan, None, True],
        "clock": [GONE, "", 1, None],
        "channels": [GONE, [], {}, "biceps", None],
        "source": [GONE, "file.edf", None, [1]],
        "history": [GONE, {}, "notch", None],
        "sampling_rate": [2000],
    }
    found: list = [(f"core.{k}", ("core", k), v) for k, every in bad.items() for v in every]
    channel: dict[str, list] = {
        "name": [GONE, "", 3, "trigger", "TRIGGER", " x"],
        "type": [GONE, "EMG", "muscle", None, 3],
        "unit": [GONE, "volts", "", None, "T", "fT/cm", "n/a", 3],
        "scale_to_si": [GONE, 1.0, 1e6, -1e-6, 0, "1e-6", nan],
        "low_cutoff": [-1, "10", nan],
        "high_cutoff": [5, 10, "x", inf],
        "status": ["ok", "GOOD", 1],
        "source_name": [3],
        "position": [[1, 2], [1, 2, nan], "xyz", [1, 2, "3"], [1, 2, 3, 4]],
        "gain": [10],
    }
    for key, every in channel.items():
        # The second of two equal names is the one to blame.
        name = "core.channels[1].name" if key == "name" else f"core.channels[0].{key}"
        for value in every:
            blamed = name if isinstance(value, str) and value.casefold() == "trigger" else None
            place = ("core", "channels", 0, key)
            found.append((blamed or f"core.channels[0].{key}", place, value))
    found += [
        ("core.channels[1]", ("core", "channels", 1), "trigger"),
        ("core.source.sha256", ("core", "source", "sha256"), "abc"),
        ("core.source.sha256", ("core", "source", "sha256"), "G" * 64),
        ("core.source.uri", ("core", "source", "uri"), 5),
        ("core.source.path", ("core", "source", "path"), "/home/me"),
        ("core.history[0].node", ("core", "history", 0, "node"), GONE),
        ("core.history[0].params", ("core", "history", 0, "params"), [50]),
        ("core.history[0].params", ("core", "history", 0, "params"), {"freq": nan}),
        ("core.history[0].version", ("core", "history", 0, "version"), "1"),
        ("core.history[0].input_sha256", ("core", "history", 0, "input_sha256"), "12"),
        ("core.history[0].time", ("core", "history", 0, "time"), "now"),
        ("document.other", ("other",), "text"),
        ("document.other", ("other",), {"x": nan}),
        ("document.more", ("more",), {}),
        ("core", ("core",), "text"),
        ("core", ("core",), None),
    ]
    return found


VIOLATIONS = violations()


def changed(document: dict, place: tuple, value: object) -> dict:
    result = copy.deepcopy(document)
    inner = result
    for key in place[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return result


def test_there_are_many_violations_of_many_fields():
    assert len(VIOLATIONS) >= 40
    assert len({place for _, place, _ in VIOLATIONS}) >= 30


@pytest.mark.parametrize(("field", "place", "value"), VIOLATIONS)
def test_a_violation_is_refused_by_its_field(field, place, value):
    with pytest.raises(BidsmillError) as caught:
        parse_core(changed(GOOD, place, value), file="a_stream.json")
    error = caught.value
    assert f"the field {field} " in error.what
    assert error.file == "a_stream.json"
    assert error.found and error.expected and error.todo


def test_the_good_document_is_read_and_written_as_it_is():
    core = parse_core(GOOD)
    assert core.sfreq == 2000 and core.n_channels == 2 and core.duration == 2
    assert core.names == ["biceps", "trigger"]
    assert core.other == GOOD["other"]
    assert core.sidecar()["core"]["channels"][0] == GOOD["core"]["channels"][0]
    assert parse_core(core.document()) == replace(core, other={})
    assert parse_core(json.loads(files.json_bytes(core.sidecar()))) == core


def test_derived_units_need_a_history():
    squares = changed(GOOD, ("core", "channels", 0, "unit"), "µV^2")
    squares["core"]["channels"][0]["scale_to_si"] = 1e-12
    assert parse_core(squares).channels[0].unit == "µV^2"
    with pytest.raises(BidsmillError, match=r"channels\[0\]\.unit"):
        parse_core(changed(squares, ("core", "history"), []))
    arbitrary = changed(GOOD, ("core", "channels", 0, "unit"), "a.u.")
    arbitrary["core"]["channels"][0]["scale_to_si"] = 1.0
    assert parse_core(changed(arbitrary, ("core", "history"), [])).channels[0].unit == "a.u."


def test_names_of_the_contract_for_types_are_read():
    document = changed(GOOD, ("core", "channels", 0, "type"), "meg-mag")
    document["core"]["channels"][0] |= {"unit": "fT", "scale_to_si": 1e-15}
    assert parse_core(document).channels[0].type == "mag"


def test_a_core_made_in_python_is_checked_like_a_file():
    core = StreamCore("x", np.float32(100), np.int64(3), [StreamChannel("a", "eeg", "mV")], "x")
    assert core.channels[0].scale_to_si == 1e-3
    read = check_core(core)
    assert type(read.sfreq) is float and type(read.n_samples) is int
    with pytest.raises(BidsmillError, match=r"core\.fs"):
        check_core(replace(core, sfreq="banana"))
    with pytest.raises(BidsmillError, match=r"core\.n_samples"):
        check_core(replace(core, n_samples=-3))
    with pytest.raises(BidsmillError, match=r"channels\[0\]\.unit"):
        check_core(replace(core, channels=(StreamChannel("a", "eeg", None),)))


UNITS = {"emg": ["V", "mV", "µV", "uV", "nV", "a.u."], "mag": ["T", "fT"], "grad": ["T/m", "fT/cm"]}
texts = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=8)
names = texts.map(files.plain_text).filter(lambda text: text and not set(text) & set("/\\"))


@st.composite
def cores(draw):
    labels = draw(st.lists(names, min_size=1, max_size=4, unique_by=str.casefold))
    channels = []
    for label in labels:
        kind = draw(st.sampled_from(sorted(UNITS)))
        low = draw(st.none() | st.floats(0, 100))
        channels.append(
            StreamChannel(
                label,
                kind,
                draw(st.sampled_from(UNITS[kind])),
                low_cutoff=low,
                high_cutoff=draw(st.none() | st.floats(101, 1e4)),
                status=draw(st.sampled_from(["good", "bad", "interpolated"])),
                position=draw(st.none() | st.tuples(*[st.floats(-1, 1)] * 3)),
            )
        )
    return StreamCore(
        name=draw(names.filter(lambda text: text not in (".", ".."))),
        sfreq=draw(st.floats(1e-3, 1e6)),
        n_samples=draw(st.integers(0, 2**40)),
        channels=tuple(channels),
        clock=draw(names),
        t0=draw(st.floats(-1e6, 1e6)),
        dtype=draw(st.sampled_from(["float32", "float64", "int16", "int32"])),
        other=draw(st.dictionaries(st.text(max_size=4), st.integers() | st.none(), max_size=2)),
    )


@settings(max_examples=60, deadline=None)
@given(cores())
def test_every_core_comes_back(core):
    assert check_core(core) == core
    again = parse_core(json.loads(files.json_bytes(core.sidecar())))
    assert again == core and again.sha256() == core.sha256()


@pytest.mark.parametrize(
    ("text", "quantity", "scale", "plain"),
    [
        ("V", "V", 1, True),
        ("µV", "V", 1e-6, True),
        ("\u03bcV", "V", 1e-6, True),
        ("fT/cm", "T/m", 1e-13, True),
        ("mV^2", "V", 1e-6, False),
        ("V^2/Hz", "V", 1, False),
        ("(T/m)^2", "T/m", 1, False),
        ("kHz", "Hz", 1e3, True),
        ("ms", "s", 1e-3, True),
        ("%", "1", 1e-2, True),
    ],
)
def test_units_mean_what_they_say(text, quantity, scale, plain):
    unit = parse_unit(text)
    assert (unit.quantity, unit.plain) == (quantity, plain)
    assert unit.scale == pytest.approx(scale, rel=1e-12)


def test_what_is_no_unit_is_none():
    assert [parse_unit(t) for t in ("", "volt", "xV", "V^3", "V/", "VV")] == [None] * 6
    assert [squared(t) for t in ("V", "fT/cm", "1", "a.u.")] == ["V^2", "(fT/cm)^2", "1", "a.u."]


BASE = {
    "name": "RawG",
    "fs": 24414.0625,
    "number_of_samples": 35143680,
    "data_shape": [2, 35143680],
    "channel_numbers": 2,
    "channel_names": ["0", "1"],
    "channel_types": ["float32", "float32"],
}


def test_metadata_of_dspant_become_a_core():
    document = {"base": {**BASE, "channel_units": ["V", "V"]}, "other": {"code": 1199006034}}
    with pytest.warns(UserWarning, match="base"):
        core = parse_core(document)
    assert (core.name, core.sfreq, core.n_samples) == ("RawG", 24414.0625, 35143680)
    assert [(c.name, c.unit, c.type) for c in core.channels] == [("0", "V", "misc")] * 1 + [
        ("1", "V", "misc")
    ]
    assert core.other == {"code": 1199006034}
    text = {"base": {**BASE, "fs": "24414.0625"}}
    core, told = core_of_base(text, units="µV", types="emg", names=["biceps", "triceps"], clock="c")
    assert core.sfreq == 24414.0625 and core.clock == "c" and told
    assert [(c.name, c.unit, c.type) for c in core.channels] == [
        ("biceps", "µV", "emg"),
        ("triceps", "µV", "emg"),
    ]


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("base.channel_units", {}),
        ("base.fs", {"fs": "None", "channel_units": ["V", "V"]}),
        ("base.fs", {"fs": "banana", "channel_units": ["V", "V"]}),
        ("base.number_of_samples", {"number_of_samples": -3, "channel_units": ["V", "V"]}),
        ("base.data_shape", {"data_shape": [3, 35143680], "channel_units": ["V", "V"]}),
        ("base.channel_names", {"channel_names": ["0"], "channel_units": ["V", "V"]}),
        ("base.channel_units", {"channel_units": ["V"]}),
        ("core.channels[1].unit", {"channel_units": ["V", "volts"]}),
    ],
)
def test_bad_metadata_of_dspant_are_refused(field, change):
    with pytest.raises(BidsmillError) as caught:
        core_of_base({"base": {**BASE, **change}})
    assert field in str(caught.value)


EPOCS = EpocCore(
    "x", 3, "c", "x", 100.0, columns=({"name": "onset", "unit": "s", "bids": "onset"},)
)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "stream"),
        ("n_events", -1),
        ("n_events", 2.0),
        ("clock", ""),
        ("ref_stream", None),
        ("ref_fs", "100"),
        ("ref_fs", 0),
        ("time_unit", "ms"),
        ("t0", None),
        ("columns", "onset"),
        ("fs", 100),
        ("columns[0].unit", None),
        ("columns[0].name", 1),
        ("columns[0].bids", 1),
    ],
)
def test_the_core_of_epocs_is_checked_too(field, value):
    assert parse_epoc_core(EPOCS.sidecar()) == EPOCS
    document = copy.deepcopy(EPOCS.document())
    if field.startswith("columns["):
        document["columns"][0][field.rpartition(".")[2]] = value
    else:
        document[field] = value
    with pytest.raises(BidsmillError) as caught:
        parse_epoc_core(document, file="e.json")
    assert f"the field core.{field} " in caught.value.what and caught.value.file == "e.json"
