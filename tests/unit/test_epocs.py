"""Epocs: values against PyArrow, the round trip of events.tsv, and what is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.formats import tables
from bidsmill.formats.epocs import Epocs, make_epocs, read_epocs, write_epocs
from bidsmill.formats.epocs_bids import epocs_from_bids, epocs_to_bids
from bidsmill.formats.stream import StreamFile, sidecar_path, write_stream
from bidsmill.formats.stream_core import StreamChannel, StreamCore

NA = None


def core_of(sfreq=1000.0, n_samples=60_000, **fields) -> StreamCore:
    channels = (StreamChannel("biceps", "emg", "V"),)
    return StreamCore("sub-01_emg", sfreq, n_samples, channels, "sub-01_emg", **fields)


def bids(**columns) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype=object)


EVENTS = bids(
    onset=["5.5", "0.25", "0.25", "12"],
    duration=["0.5", "n/a", "0", "1"],
    trial_type=["fist", "rest", "n/a", "nan"],
    value=["3", "2.5", "S 12", "n/a"],
    sample=["5500", "250", "250", "12000"],
    HED=["Action/Grip", "n/a", "n/a", "Pause"],
    code=["a", "b", "n/a", "d"],
    stim_file=["a.png", "n/a", "b.png", "n/a"],
)


def test_the_file_holds_the_columns_of_the_contract(tmp_path):
    path = tmp_path / "sub-01_emg_epocs.parquet"
    stated = write_epocs(path, epocs_from_bids(EVENTS, core_of()))
    assert stated["n_events"] == 4 and stated["size"] == path.stat().st_size
    table = pq.read_table(path)
    kinds = {field.name: field.type for field in table.schema}
    assert list(kinds)[:8] == [
        "onset",
        "duration",
        "onset_sample",
        "code",
        "value",
        "label",
        "HED",
        "channel",
    ]
    assert [kinds[name] for name in ("onset", "duration", "value")] == [pa.float64()] * 3
    assert [kinds[name] for name in ("onset_sample", "code")] == [pa.int64()] * 2
    assert [kinds[name] for name in ("HED", "channel", "stim_file")] == [pa.string()] * 3
    assert kinds["label"].value_type == pa.string()
    found = table.to_pydict()
    assert found["onset"] == [0.25, 0.25, 5.5, 12]
    assert found["duration"] == [None, 0, 0.5, 1]
    assert found["onset_sample"] == [250, 250, 5500, 12_000]
    assert found["value"] == [2.5, None, 3, None] and found["code"] == [None, None, 3, None]
    assert found["label"] == ["rest", None, "fist", "nan"]
    assert found["bids_code"] == ["b", None, "a", "d"]
    assert found["bids_value"] == [None, "S 12", None, None]
    core = json.loads(sidecar_path(path).read_bytes())["core"]
    assert (core["kind"], core["n_events"], core["ref_fs"]) == ("epoc", 4, 1000)
    assert (core["clock"], core["ref_stream"], core["time_unit"]) == (
        "sub-01_emg",
        "sub-01_emg",
        "s",
    )


def test_events_come_back_as_they_were(tmp_path):
    path = tmp_path / "a_epocs.parquet"
    write_epocs(path, epocs_from_bids(EVENTS, core_of()))
    again = epocs_to_bids(read_epocs(path))
    expected = EVENTS.iloc[[1, 2, 0, 3]].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, expected)
    tables.write_tsv(tmp_path / "events.tsv", again)
    once_more = tables.read_tsv(tmp_path / "events.tsv")
    pd.testing.assert_frame_equal(once_more.replace("", "n/a"), expected)


def test_every_event_file_of_the_corpus_comes_back(corpus, tmp_path):
    paths = [p for p in sorted(corpus.glob("*/sub*/**/*_events.tsv")) if "broken" not in p.parts]
    assert len(paths) > 20
    for path in paths[::3]:
        events = tables.read_tsv(path)
        write_epocs(tmp_path / "a_epocs.parquet", epocs_from_bids(events, core_of(256, 2**20)))
        again = epocs_to_bids(read_epocs(tmp_path / "a_epocs.parquet"))
        onsets = events["onset"].astype(float)
        expected = events.iloc[np.argsort(onsets, kind="stable")].replace("", "n/a")
        assert list(again.columns) == list(expected.columns)
        for name in expected:
            if name in ("onset", "duration"):  # as numbers: "0.50" is written 0.5
                found, wanted = (
                    pd.to_numeric(f[name].replace("n/a", "nan")) for f in (again, expected)
                )
                np.testing.assert_array_equal(found.to_numpy(), wanted.to_numpy())
            else:
                assert again[name].tolist() == expected[name].tolist()


cells = st.text(st.characters(categories=["L", "N", "P"], max_codepoint=0x2FF), max_size=5)
numbers = st.floats(0, 59.9).map(lambda value: tables.cell_text(round(value, 6)))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(numbers, numbers | st.just("n/a"), cells, cells | st.integers().map(str), cells),
        max_size=6,
    ),
    st.sampled_from(["response", "code", "label", "onset_sample", "bids_x"]),
)
def test_any_events_come_back(tmp_path_factory, rows, further):
    names = ["onset", "duration", "trial_type", "value", further]
    events = pd.DataFrame(rows, columns=names, dtype=object).replace("", "n/a")
    path = tmp_path_factory.mktemp("epocs") / "a_epocs.parquet"
    write_epocs(path, epocs_from_bids(events, core_of()))
    order = np.argsort(events["onset"].astype(float).to_numpy(), kind="stable")
    expected = events.iloc[order].reset_index(drop=True)
    pd.testing.assert_frame_equal(epocs_to_bids(read_epocs(path)), expected, check_dtype=False)


def test_the_same_events_give_the_same_bytes(tmp_path):
    stated = [
        write_epocs(tmp_path / f"{k}" / "a_epocs.parquet", epocs_from_bids(EVENTS, core_of()))
        for k in range(2)
    ]
    assert stated[0] == stated[1]
    empty = make_epocs(pd.DataFrame({"onset": []}), core_of())
    write_epocs(tmp_path / "a_epocs.parquet", empty)
    assert len(read_epocs(tmp_path / "a_epocs.parquet")) == 0


def test_tables_of_a_detector_become_epocs(tmp_path):
    found = pd.DataFrame(
        {
            "onset_sample": [20, 10],
            "duration": [math.inf, 0.5],
            "channel": "biceps",
            "peak": [1.5, 2],
        }
    )
    core = core_of(100.0, 1000, t0=5.0)
    epocs = make_epocs(found, core, history=({"node": "onsets", "params": {}, "version": 1},))
    assert epocs.table["onset"].tolist() == [5.1, 5.2]
    assert epocs.table["duration"].isna().tolist() == [False, True]
    assert epocs.table["peak"].tolist() == [2, 1.5]
    path = tmp_path / "a_epocs.parquet"
    write_epocs(path, epocs)
    again = read_epocs(path)
    assert again.core == epocs.core and again.core.history[0]["node"] == "onsets"
    pd.testing.assert_frame_equal(again.table, epocs.table)
    assert list(epocs_to_bids(again).columns) == ["onset", "duration", "channel", "peak"]


def test_samples_of_another_rate_are_counted_on_the_same_clock():
    epocs = epocs_from_bids(bids(onset=["0.1", "1.0005", "2.35"], duration=["0"] * 3), core_of())
    assert epocs.table["onset_sample"].tolist() == [100, 1001, 2350]
    assert epocs.samples_of(core_of(10.0, 600)).tolist() == [1, 10, 24]
    with pytest.raises(BidsmillError, match=r"core\.t0"):
        epocs.samples_of(core_of(t0=1.0))
    other = StreamCore("x", 10.0, 600, (StreamChannel("a", "emg", "V"),), "another clock")
    with pytest.raises(BidsmillError, match=r"core\.clock"):
        epocs.check_clock(other)


@pytest.mark.parametrize(
    ("column", "table"),
    [
        ("onset", {"when": [1]}),
        ("onset", {"onset": [1, math.nan]}),
        ("onset", {"onset": ["soon"]}),
        ("onset", {"onset": [60.5]}),
        ("onset", {"onset": [-1.0]}),
        ("onset_sample", {"onset": [1.0], "onset_sample": [1500]}),
        ("onset_sample", {"onset": [1.0], "onset_sample": [1000.5]}),
        ("duration", {"onset": [1.0], "duration": [-0.5]}),
        ("duration", {"onset": [1.0], "duration": ["long"]}),
        ("code", {"onset": [1.0], "code": [1.5]}),
    ],
)
def test_bad_tables_are_refused_by_their_column(column, table):
    with pytest.raises(BidsmillError) as caught:
        make_epocs(pd.DataFrame(table), core_of())
    assert caught.value.what.startswith(f"the column {column} of epocs")
    assert caught.value.found and caught.value.expected


def test_onsets_outside_may_be_a_warning():
    with pytest.warns(UserWarning, match="onset"):
        epocs = make_epocs(pd.DataFrame({"onset": [61.0]}), core_of(), outside="warn")
    assert len(epocs) == 1


def test_files_that_are_not_what_they_say_are_refused(tmp_path):
    path = tmp_path / "a_epocs.parquet"
    epocs = epocs_from_bids(EVENTS, core_of())
    write_epocs(path, epocs)
    content, sidecar = path.read_bytes(), sidecar_path(path).read_bytes()
    document = json.loads(sidecar)
    document["core"]["clock"] = "another"
    sidecar_path(path).write_text(json.dumps(document))
    with pytest.raises(BidsmillError, match=r"core\.clock of a sidecar"):
        read_epocs(path)
    sidecar_path(path).unlink()
    table = pq.read_table(path)
    for change, field in (
        (table.slice(1), r"core\.n_events"),
        (table.drop_columns(["code"]), r"core\.columns"),
        (table.take([3, 2, 1, 0]), "onset"),
        (table.set_column(0, "onset", pa.array(["a", "b", "c", "d"])), "onset"),
    ):
        pq.write_table(change.replace_schema_metadata(table.schema.metadata), path)
        with pytest.raises(BidsmillError, match=field):
            read_epocs(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BidsmillError, match="Parquet"):
        read_epocs(path)
    path.unlink()
    with pytest.raises(BidsmillError, match="missing"):
        read_epocs(path)
    write_stream(path, core_of(), np.zeros((1, 5), np.float32))
    with pytest.raises(BidsmillError, match=r"core\.kind"):
        read_epocs(path)
    with pytest.raises(BidsmillError, match=r"core\.columns"):
        write_epocs(path, Epocs(epocs.core, epocs.table.drop(columns="code")))


def test_epocs_become_annotations(tmp_path):
    path = tmp_path / "a_stream.parquet"
    core = core_of(t0=2.0)
    write_stream(path, core, np.zeros((1, 60_000), np.float32))
    table = pd.DataFrame(
        {
            "onset": [3.0, 4.5, 5.0, 6.0],
            "duration": [0.5, math.nan, 0, 0],
            "label": ["fist", None, None, None],
            "value": [7, 2.5, math.nan, math.nan],
            "code": [7, None, 9, None],
            "channel": [None, "biceps", None, None],
        }
    )
    raw = StreamFile(path).to_mne(make_epocs(table, core))
    found = raw.annotations
    np.testing.assert_allclose(found.onset, [1, 2.5, 3, 4])
    np.testing.assert_allclose(found.duration, [0.5, 0, 0, 0])
    assert found.description.tolist() == ["fist", "2.5", "9", "event"]
    assert [tuple(names) for names in found.ch_names] == [(), ("biceps",), (), ()]
    with pytest.raises(BidsmillError, match=r"core\.t0"):
        StreamFile(path).to_mne(make_epocs(table, core_of()))
