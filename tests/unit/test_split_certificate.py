"""The files of the split, and the side of every row."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from split_cases import RATE, fixed_windows

from bidsmill.errors import BidsmillError
from bidsmill.formats.certificate import (
    GROUP_COLUMNS,
    group_ids,
    read_split,
    side_of_rows,
    split_level_of_rows,
    write_split,
)

RECORDINGS = [
    ("01", "1", "1", "a", "x"),
    ("01", "2", "1", "a", "x"),
    ("02", "", "", "a", "x"),
    ("emptyRoom", "1", "", "", ""),
    ("", "", "", "", ""),
]


def table_of(records, level) -> pd.DataFrame:
    """Return a table of (group, split[, recording, first onset, last onset]) records."""
    missing = ("", np.nan, np.nan)
    filled = [(*r, *missing[len(r) - 2 :]) for r in records]
    names = ["group", "split", "recording", "onset_start", "onset_stop"]
    frame = pd.DataFrame(filled, columns=names)
    return frame.assign(level=level, rows=1, rows_excluded=0)[list(GROUP_COLUMNS)]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("subject", ["sub-01", "sub-01", "sub-02", "", ""]),
        ("session", ["sub-01_ses-1", "sub-01_ses-2", "sub-02", "", ""]),
        (
            "run",
            [
                "sub-01_ses-1_task-x_run-1_eeg",
                "sub-01_ses-2_task-x_run-1_eeg",
                "sub-02_task-x_eeg",
                "",
                "",
            ],
        ),
    ],
)
def test_groups_are_named_by_entities(level, expected):
    samples = fixed_windows(RECORDINGS, windows=2)
    assert group_ids(samples, level).tolist() == [g for g in expected for _ in range(2)]


def test_missing_values_of_any_kind_are_no_subject():
    samples = fixed_windows(RECORDINGS[:3], windows=1)
    samples["subject"] = pd.Series(["01", None, np.nan], dtype=object)
    assert group_ids(samples, "subject").tolist() == ["sub-01", "", ""]
    assert group_ids(samples.drop(columns="session"), "session")[0] == "sub-01"


def test_rows_without_a_group_are_on_no_side():
    samples = fixed_windows(RECORDINGS, windows=1)
    table = table_of([("sub-01", "train"), ("sub-02", "test")], "subject")
    assert side_of_rows(samples, table).tolist() == ["train", "train", "test", "none", "none"]
    table = table_of([("sub-01_ses-2", "validation")], "session")
    assert side_of_rows(samples, table).tolist() == ["none", "validation", "none", "none", "none"]


def test_pieces_cover_their_onsets_and_nothing_between():
    samples = fixed_windows([("01", "", "", "a", "x"), ("02", "", "", "a", "x")], windows=8)
    name = "sub-01_task-x_eeg"
    table = table_of(
        [
            (f"{name}@2", "test", name, 5.0, 6.0),
            (f"{name}@1", "train", name, 0.0, 2.0),
            (f"{name}@3", "none", name),
        ],
        "time",
    )
    sides = side_of_rows(samples, table).tolist()
    assert sides == ["train"] * 3 + ["none"] * 2 + ["test"] * 2 + ["none"] * 9
    shuffled = samples.sample(frac=1, random_state=1)
    assert side_of_rows(shuffled, table).tolist() == [sides[i] for i in shuffled.index]


def test_no_rows_have_no_sides():
    empty = fixed_windows(RECORDINGS[:1], windows=1).iloc[:0]
    assert side_of_rows(empty, table_of([("sub-01", "train")], "subject")).shape == (0,)


def test_files_come_back_as_they_were_written(tmp_path):
    onsets = [1 / 3, 0.1 + 0.2, 1e-7, 12345.678901234567]
    name = "sub-01_task-x_eeg"
    records = [(f"{name}@{i}", "train", name, o, o + 1 / RATE) for i, o in enumerate(onsets)]
    table = table_of([*records, (f"{name}@9", "none", name)], "time").assign(members=name)
    paths = tmp_path / "split.tsv", tmp_path / "split.json"
    certificate = {"contract": "1", "status": "done", "objective": 0.1}
    write_split(*paths, table, certificate)
    found, document = read_split(*paths)
    pd.testing.assert_frame_equal(found, table, check_dtype=False)
    assert found["onset_start"].tolist()[:4] == onsets
    assert document == certificate
    text = paths[0].read_text().splitlines()
    assert text[0] == "\t".join([*GROUP_COLUMNS, "members"])
    assert text[-1] == f"{name}@9\ttime\tnone\t1\t0\t{name}\tn/a\tn/a\t{name}"


def test_a_table_without_members_is_read_as_one_of_single_members(tmp_path):
    paths = tmp_path / "split.tsv", tmp_path / "split.json"
    table = table_of([("sub-01", "train"), ("sub-02", "test")], "subject")
    write_split(*paths, table, {"contract": "1"})
    lines = [line.rsplit("\t", 1)[0] for line in paths[0].read_text().splitlines()]
    paths[0].write_text("\n".join(lines) + "\n")
    assert "members" not in paths[0].read_text()
    assert read_split(*paths)[0]["members"].tolist() == ["sub-01", "sub-02"]


def test_members_stand_on_the_side_of_their_group():
    samples = fixed_windows(RECORDINGS, windows=2)
    table = table_of([("sub-01", "test")], "subject").assign(members="sub-01, sub-02")
    sides = ["test"] * 6 + ["none"] * 4
    assert side_of_rows(samples, table).tolist() == sides
    assert split_level_of_rows(samples, table).tolist() == ["subject"] * 6 + [""] * 4
    name, other = "sub-01_ses-1_task-x_run-1_eeg", "sub-02_task-x_eeg"
    table = table_of([(f"{name}@1", "test", name, 0.0, 0.0)], "time")
    sides = ["test", "none", "none", "none", "test", "none"] + ["none"] * 4
    table = table.assign(members=f"{name}, {other}")
    assert side_of_rows(samples, table).tolist() == sides


def test_what_is_not_of_this_contract_is_refused(tmp_path):
    paths = tmp_path / "split.tsv", tmp_path / "split.json"
    table = table_of([("sub-01", "train")], "subject")
    write_split(*paths, table, {"contract": "1"})
    paths[1].write_text(json.dumps({"contract": "2"}))
    with pytest.raises(BidsmillError, match="another contract"):
        read_split(*paths)
    with pytest.raises(BidsmillError, match=r"unknown split.*holdout"):
        write_split(*paths, table.assign(split="holdout"), {"contract": "1"})
    with pytest.raises(BidsmillError, match=r"unknown level.*site"):
        write_split(*paths, table.assign(level="site"), {"contract": "1"})
    paths[1].write_text(json.dumps({"contract": "1"}))
    paths[0].write_text(paths[0].read_text().replace("train\t1", "train\tmany"))
    with pytest.raises(BidsmillError, match="no number"):
        read_split(*paths)
    paths[0].write_text("group\tsplit\nsub-01\ttrain\n")
    with pytest.raises(BidsmillError, match=r"lacks columns.*level"):
        read_split(*paths)
    paths[0].unlink()
    with pytest.raises(BidsmillError, match="missing"):
        read_split(*paths)
