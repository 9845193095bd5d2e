"""Tabular files, JSON sidecars, participants and pointers as they are found in public data."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.bids.participants import read_participants
from bidsmill.bids.pointers import pointer_kind
from bidsmill.bids.sidecars import merged_json, read_json_sidecar
from bidsmill.bids.tabular import read_tabular
from bidsmill.formats.files import json_bytes


def table(tmp_path, content: bytes):
    path = tmp_path / "x_events.tsv"
    path.write_bytes(content)
    frame, problems = read_tabular(path)
    return frame.columns.tolist(), frame.to_numpy().tolist(), problems


# ------------------------------------------------------------------------------------ tabular


@pytest.mark.parametrize(
    "content",
    [
        b"onset\tname\n1.5\tb\n2\tc\n",
        b"\xef\xbb\xbfonset\tname\n1.5\tb\n2\tc\n",
        b"onset\tname\r\n1.5\tb\r\n2\tc\r\n",
        b"onset\tname\r1.5\tb\r2\tc",
        b"onset\tname\n1.5\tb\n2\tc",
        b"\n\nonset\tname\n\n1.5\tb\n\t\n2\tc\n\n",
        b"ons\0et\tname\n1.5\tb\0\n2\tc\n",
        b" onset \tname\n 1.5\tb \n2\tc\n",
    ],
    ids=["plain", "bom", "crlf", "cr", "no end", "blank lines", "nul", "spaces"],
)
def test_one_table_in_many_spellings(tmp_path, content):
    assert table(tmp_path, content) == (["onset", "name"], [["1.5", "b"], ["2", "c"]], [])


def test_latin_1_is_read_and_told(tmp_path):
    content = "name\tunit\nFp1\tµV\n".encode("cp1252")
    _columns, rows, problems = table(tmp_path, content)
    assert rows == [["Fp1", "µV"]]
    assert problems == ["x_events.tsv is not UTF-8 (byte 14, 0xb5); read as Windows-1252"]


def test_utf_8_is_no_problem(tmp_path):
    assert table(tmp_path, "name\nÄß漢\n".encode()) == (["name"], [["Äß漢"]], [])


def test_missing_cells(tmp_path):
    content = b"a\tb\nn/a\t N/A \nNaN\tnan\n\tx\n"
    assert table(tmp_path, content) == (["a", "b"], [["", ""], ["", ""], ["", "x"]], [])


def test_quotes_are_text(tmp_path):
    content = b'a\tb\n"x\t"y"\n\'\t"\n'
    assert table(tmp_path, content)[1] == [['"x', '"y"'], ["'", '"']]


def test_ragged_lines_are_filled_or_cut_and_told(tmp_path):
    _columns, rows, problems = table(tmp_path, b"a\tb\n1\n1\t2\t3\n1\t2\n")
    assert rows == [["1", ""], ["1", "2"], ["1", "2"]]
    assert problems == ["x_events.tsv has 2 line(s) with another number of cells than its header"]


@pytest.mark.parametrize(
    ("header", "names", "repeated"),
    [
        ("a\tb\ta", ["a", "b", "a.1"], ["a"]),
        ("a\ta\ta", ["a", "a.1", "a.2"], ["a", "a"]),
        ("a\ta\ta.1", ["a", "a.2", "a.1"], ["a"]),
        ("a.1\ta\ta", ["a.1", "a", "a.2"], ["a"]),
        ("\tb\t", ["column-0", "b", "column-2"], []),
        ("\tcolumn-0", ["column-0.1", "column-0"], []),
    ],
)
def test_column_names_are_made_distinct(tmp_path, header, names, repeated):
    columns, rows, problems = table(tmp_path, f"{header}\n{header}\n".encode())
    assert columns == names and len(rows) == 1
    assert problems == [f"x_events.tsv has the column {n!r} more than once" for n in repeated]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"\t\t\n \n", b"\0\0"])
def test_an_empty_file_is_told(tmp_path, content):
    assert table(tmp_path, content) == ([], [], ["x_events.tsv is empty"])


def test_a_header_alone_is_a_table_without_rows(tmp_path):
    assert table(tmp_path, b"onset\tduration\n") == (["onset", "duration"], [], [])


def test_a_very_long_cell(tmp_path):
    cell = "x" * 300_000
    assert table(tmp_path, f"a\n{cell}\n".encode())[1] == [[cell]]


def test_what_cannot_be_opened_is_told(tmp_path):
    for path in (tmp_path, tmp_path / "absent.tsv"):
        frame, problems = read_tabular(path)
        assert frame.empty and len(problems) == 1 and str(tmp_path.parent) not in problems[0]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text("a\t\r\n\0\"'n/\ufeff", max_size=60)))
def test_no_bytes_raise(content):
    content = content if isinstance(content, bytes) else content.encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.tsv"
        path.write_bytes(content)
        frame, _problems = read_tabular(path)
    assert frame.columns.is_unique
    assert all(isinstance(cell, str) for row in frame.to_numpy() for cell in row)
    assert all(
        "\t" not in cell and cell == cell.strip() for row in frame.to_numpy() for cell in row
    )


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), max_size=8)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n))))
def test_cells_come_back(rows):
    rows = [row for row in rows if any(row)]
    header = [f"h{i}" for i in range(len(rows[0]) if rows else 1)]
    text = "\n".join("\t".join(row) for row in [header, *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.tsv"
        path.write_text(text, encoding="utf-8")
        frame, problems = read_tabular(path)
    nothing = ("n/a", "nan")
    assert frame.to_numpy().tolist() == [
        ["" if cell.casefold() in nothing else cell for cell in row] for row in rows
    ]
    assert problems == []


# ----------------------------------------------------------------------------------- sidecars


def sidecar(tmp_path, content: bytes):
    path = tmp_path / "eeg.json"
    path.write_bytes(content)
    return read_json_sidecar(path)


def test_a_good_sidecar(tmp_path):
    content = {"EEGReference": "Čz", "PowerLineFrequency": 50, "a": [1.5, None, True]}
    for encoding in ("utf-8", "utf-8-sig"):
        assert sidecar(tmp_path, json.dumps(content).encode(encoding)) == (content, None)


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1,}', b"{'a': 1}", b"[" * 200_000])
def test_what_is_not_json_is_told_and_not_used(tmp_path, content):
    found, problem = sidecar(tmp_path, content)
    assert found == {} and problem.startswith("is not JSON")


@pytest.mark.parametrize(("content", "kind"), [(b"[1]", "list"), (b"3", "int"), (b'"a"', "str")])
def test_what_is_no_object_is_told_and_not_used(tmp_path, content, kind):
    assert sidecar(tmp_path, content) == ({}, f"holds a {kind}, expected an object; it is not used")


def test_a_latin_1_sidecar_is_read_and_told(tmp_path):
    found, problem = sidecar(tmp_path, '{"Units": "µV"}'.encode("latin-1"))
    assert found == {"Units": "µV"} and "byte 11" in problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NaN", None),
        ("-Infinity", None),
        ("1e999", None),
        ('"\\ud800x"', "?x"),
        ('"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
        ("[NaN, 1.5]", [None, 1.5]),
    ],
)
def test_every_sidecar_can_be_written_again(tmp_path, text, value):
    found, problem = sidecar(tmp_path, f'{{"a": {text}, "b": 2}}'.encode())
    assert found == {"a": value, "b": 2}
    assert json.loads(json_bytes(found)) == found
    assert (problem is not None) == (value in (None, [None, 1.5]))


def test_a_missing_sidecar_is_told(tmp_path):
    found, problem = read_json_sidecar(tmp_path / "absent.json")
    assert found == {} and "cannot be read" in problem and str(tmp_path) not in problem


def test_the_nearest_sidecar_wins_key_by_key(tmp_path):
    contents = [{"a": 1, "b": 1, "c": {"x": 1}}, {"b": 2}, {"c": {"y": 3}}]
    names = ["task-x_eeg.json", "sub-01_eeg.json", "sub-01_task-x_eeg.json"]
    for name, content in zip(names, contents, strict=True):
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "broken.json").write_text("{")
    merged, problems = merged_json(tmp_path, [*names[:2], "broken.json", names[2]])
    assert merged == {"a": 1, "b": 2, "c": {"y": 3}}
    assert len(problems) == 1 and problems[0].startswith("broken.json is not JSON")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_of_a_sidecar_raise(content):
    with tempfile.TemporaryDirectory() as folder:
        found, _ = sidecar(Path(folder), content)
    json_bytes(found)


# ------------------------------------------------------------------------------- participants


def participants(tmp_path, text):
    (tmp_path / "participants.tsv").write_text(text)
    return read_participants(tmp_path)


def test_participants_by_label(tmp_path):
    found, problems = participants(
        tmp_path, "participant_id\tage\tsex\nsub-01\t20\tF\n02\tn/a\tM\nn/a\t3\tF\n"
    )
    assert found == {"01": {"age": "20", "sex": "F"}, "02": {"age": "", "sex": "M"}}
    assert problems == ["participants.tsv lists 1 label(s) without sub-"]


@pytest.mark.parametrize("text", ["", "age\n3\n", "Participant\nsub-1\n"])
def test_participants_without_id_column(tmp_path, text):
    found, problems = participants(tmp_path, text)
    assert found == {} and problems[-1] == "participants.tsv has no column participant_id"


def test_without_participants(tmp_path):
    assert read_participants(tmp_path) == ({}, ["participants.tsv is missing"])


# ----------------------------------------------------------------------------------- pointers

KEY = b"MD5E-s495872--fd267ef9d4154f8e6013a4ddda78acc0.edf"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"/annex/objects/" + KEY + b"\n", "git-annex"),
        (b"/annex/objects/" + KEY + b"\n/annex/more\n", "git-annex"),
        (b"../../.git/annex/objects/Zf/0G/" + KEY, "git-annex"),
        (KEY, "git-annex"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:e0\nsize 3\n", "Git LFS"),
        (b"", None),
        (b"0       X X X X", None),
        (b"see /annex/objects/ in the manual\n", None),
        (b"\0/annex/objects/" + KEY, None),
        (b"/annex/objects/" + KEY + b"\n" + b"x" * 1024, None),
    ],
)
def test_pointers_are_told_from_data(tmp_path, content, kind):
    (tmp_path / "a.edf").write_bytes(content)
    assert pointer_kind(tmp_path / "a.edf") == kind


def test_broken_links(tmp_path):
    os.symlink("../.git/annex/objects/x", tmp_path / "a.edf")
    os.symlink("nowhere", tmp_path / "b.edf")
    assert pointer_kind(tmp_path / "a.edf") == "git-annex"
    assert pointer_kind(tmp_path / "b.edf") == "broken link"


def test_links_to_data_folders_and_absent_files_are_no_pointers(tmp_path):
    (tmp_path / "data").write_bytes(b"data")
    os.symlink("data", tmp_path / "good.edf")
    assert [pointer_kind(tmp_path / n) for n in ("good.edf", ".", "absent")] == [None] * 3
