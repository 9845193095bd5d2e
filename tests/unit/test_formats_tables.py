"""Tables as text and as Parquet: what goes in comes out."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.formats import tables

CELLS = st.text(max_size=6) | st.sampled_from(
    [
        "",
        "n/a",
        "nan",
        "NaN",
        "<NA>",
        "None",
        "a\tb",
        "\t",
        "\r\n",
        " ",
        '"',
        '"a',
        "\x85",
        "\u2028",
    ]
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("tables") / "table.tsv"


def expected(text: str) -> str:
    """Say independently what becomes of a cell."""
    for run in re.findall(r"[\t\r\n]+", text):
        text = text.replace(run, " ", 1)
    return "" if text == "n/a" else text


# Text


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=6))
@example([["\t", "", "nan"]])
def test_strings_come_back(path, rows):
    frame = pd.DataFrame(rows, columns=["a", "b c", "d"], dtype=object)
    tables.write_tsv(path, frame)
    back = tables.read_tsv(path)
    assert list(back.columns) == ["a", "b c", "d"]
    assert back.to_numpy().tolist() == [[expected(cell) for cell in row] for row in rows]


@given(st.lists(CELLS, min_size=1, max_size=6))
def test_a_table_of_one_column_comes_back(path, cells):
    tables.write_tsv(path, pd.DataFrame({"a": cells}, dtype=object))
    assert tables.read_tsv(path)["a"].tolist() == [expected(cell) for cell in cells]


@given(st.lists(st.floats(), min_size=1))
@example([0.1, 1e15, 1e15 - 1, 1e300, 5e-324, -0.0, math.inf, math.nan, 2.0**53])
def test_floats_come_back_exactly(path, values):
    tables.write_tsv(path, pd.DataFrame({"a": values}))
    for text, value in zip(tables.read_tsv(path)["a"], values, strict=True):
        if math.isnan(value):
            assert text == ""
        else:
            assert float(text) == value


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_narrow_floats_come_back_exactly(path, values):
    tables.write_tsv(path, pd.DataFrame({"a": np.array(values, np.float32)}))
    assert [np.float32(text) for text in tables.read_tsv(path)["a"]] == values


def test_cells_by_hand(path):
    frame = pd.DataFrame(
        {
            "int": pd.Series([1, pd.NA, 2**60], dtype="Int64"),
            "bool": [True, False, True],
            "float": [1.0, np.nan, 0.25],
            "text": ["x", None, ""],
            "mixed": [None, 3, 2.5],
            "time": [pd.NaT, pd.NaT, pd.NaT],
            "flag": pd.array([True, None, False], dtype="boolean"),
        }
    )
    assert tables.tsv_text(frame) == (
        "int\tbool\tfloat\ttext\tmixed\ttime\tflag\n"
        "1\ttrue\t1\tx\tn/a\tn/a\ttrue\n"
        "n/a\tfalse\tn/a\tn/a\t3\tn/a\tn/a\n"
        "1152921504606846976\ttrue\t0.25\tn/a\t2.5\tn/a\tfalse\n"
    )


def test_a_table_without_rows_keeps_its_columns(path):
    tables.write_tsv(path, pd.DataFrame({"a": [], "b": []}))
    back = tables.read_tsv(path)
    assert list(back.columns) == ["a", "b"]
    assert len(back) == 0


def test_long_cells_come_back(path):
    cell = "Sensory-event, " * 20_000
    tables.write_tsv(path, pd.DataFrame({"a": [cell], "b": ["x"]}))
    assert tables.read_tsv(path).loc[0].tolist() == [cell, "x"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tb\n1\t2\n3\n", "line 3 .*found: 1; expected: 2"),
        (b"a\tb\n1\t2\t3\n", "line 2 .*found: 3; expected: 2"),
        (b"a\tb\n\n", "line 2 .*found: 1; expected: 2"),
        (b"", "no header line"),
        (b"a\n\xe9\n", "cannot be read as text"),
    ],
)
def test_what_is_no_table_names_line_and_file(tmp_path, content, message):
    (tmp_path / "bad.tsv").write_bytes(content)
    with pytest.raises(BidsmillError, match=message) as caught:
        tables.read_tsv(tmp_path / "bad.tsv")
    assert caught.value.file.endswith("bad.tsv")


@pytest.mark.parametrize("read", [tables.read_tsv, tables.read_parquet])
def test_a_table_that_is_not_there(tmp_path, read):
    with pytest.raises(BidsmillError, match=r"missing.*absent"):
        read(tmp_path / "absent")
    with pytest.raises(BidsmillError, match="cannot be read"):
        read(tmp_path)


# Parquet


def frame_of_all_kinds() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "recording": ["a", "b", ""],
            "row": np.array([0, 1, 2**62], np.int64),
            "onset": [0.1, np.nan, -0.0],
            "event": pd.Series([7, pd.NA, 2**60 + 1], dtype="Int64"),
            "none": pd.Series([pd.NA] * 3, dtype="Int64"),
            "flag": [True, False, True],
            "empty": pd.Series([None, None, None], dtype=object),
            "µ.text": pd.array(["x", None, "é\n"], dtype="str"),
        }
    )


def test_parquet_comes_back_with_its_types(tmp_path):
    frame = frame_of_all_kinds()
    tables.write_parquet(tmp_path / "t.parquet", frame)
    back = tables.read_parquet(tmp_path / "t.parquet")
    assert list(back.columns) == list(frame.columns)
    assert back["recording"].tolist() == ["a", "b", ""]
    assert back["row"].tolist() == [0, 1, 2**62]
    np.testing.assert_array_equal(back["onset"], frame["onset"])
    assert str(back["event"].dtype) == "Int64"
    assert back["event"].tolist() == [7, pd.NA, 2**60 + 1]
    assert str(back["none"].dtype) == "Int64"
    assert back["none"].isna().all()
    assert back["flag"].tolist() == [True, False, True]
    assert back["empty"].isna().all()
    assert back["µ.text"].isna().tolist() == [False, True, False]
    assert back["µ.text"].tolist()[2] == "é\n"


def test_types_in_the_file_survive_a_second_writing(tmp_path):
    """Publishing reads `samples` and writes it again: `event` must stay a whole number."""
    frame = frame_of_all_kinds()
    tables.write_parquet(tmp_path / "1.parquet", frame)
    tables.write_parquet(tmp_path / "2.parquet", tables.read_parquet(tmp_path / "1.parquet"))
    kinds = [str(field.type) for field in pq.read_schema(tmp_path / "1.parquet")]
    assert kinds == ["string", "int64", "double", "int64", "int64", "bool", "string", "string"]
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_parquet_bytes_depend_on_content_alone(tmp_path):
    frame = frame_of_all_kinds()
    tables.write_parquet(tmp_path / "1.parquet", frame)
    other = frame.copy()
    other.index = [9, 5, 1]
    other.attrs["note"] = "not written"
    other["recording"] = other["recording"].astype(object)
    tables.write_parquet(tmp_path / "2.parquet", other)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()
    tables.write_parquet(tmp_path / "3.parquet", other.assign(row=[0, 1, 2]))
    assert (tmp_path / "1.parquet").read_bytes() != (tmp_path / "3.parquet").read_bytes()


def test_wanted_columns_come_in_the_wanted_order(tmp_path):
    frame = pd.DataFrame({"x.y": [1], "x": [2], "z": [3]})
    tables.write_parquet(tmp_path / "t.parquet", frame)
    back = tables.read_parquet(tmp_path / "t.parquet", ["z", "x"])
    assert list(back.columns) == ["z", "x"]
    assert back.loc[0].tolist() == [3, 2]
    assert tables.read_parquet(tmp_path / "t.parquet", ["x.y"]).loc[0].tolist() == [1]
    with pytest.raises(BidsmillError, match=r"found: nope"):
        tables.read_parquet(tmp_path / "t.parquet", ["x", "nope"])


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_cut_table_is_not_read(tmp_path, keep):
    tables.write_parquet(tmp_path / "t.parquet", frame_of_all_kinds())
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(content[:keep])
    with pytest.raises(BidsmillError, match=r"Parquet; file: .*t\.parquet"):
        tables.read_parquet(tmp_path / "t.parquet")


@given(
    st.lists(st.tuples(st.text(max_size=5), st.none() | st.integers(-(2**63), 2**63 - 1))),
)
def test_any_text_and_whole_number_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "any.parquet"
    frame = pd.DataFrame(
        {
            "text": pd.Series([text for text, _ in rows], dtype=object),
            "number": pd.Series([number for _, number in rows], dtype="Int64"),
        }
    )
    tables.write_parquet(path, frame)
    back = tables.read_parquet(path)
    assert back["text"].tolist() == frame["text"].tolist()
    assert [None if pd.isna(n) else int(n) for n in back["number"]] == [n for _, n in rows]
