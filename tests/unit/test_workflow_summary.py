"""The last lines of a run speak of what is there, and never fail."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest

from bidsmill.formats import files, tables
from bidsmill.workflow.summary import MOST_QUARANTINED, print_summary, summary_lines


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(dataset="ds", bad=1, labels=("face", "rt"), published=None, split=None, skip=()) -> Path:
    """Write the results that a finished run leaves."""
    results = Path("results") / dataset
    frame = pd.DataFrame(
        [["r1", "converted", "", "", 7], ["r2", "repaired", "", "", 5]]
        + [[f"bad-{n:02d}", "quarantined", "empty_file", f"file {n}", None] for n in range(bad)],
        columns=["recording", "status", "reason", "message", "rows"],
    )
    documents = {
        "published.json": {"rows": 12, "layout": "", **(published or {})},
        "labels.json": {"labels": {name: {} for name in labels}},
        "split.json": split or {"status": "done", "level": "subject"},
    }
    tables.write_tsv(results / "recordings.tsv", frame)
    for name, content in documents.items():
        if name not in skip:
            files.write_json(results / name, content)
    return results


def test_a_finished_dataset():
    results = write()
    files.write_text(results / "report.html", "")
    assert summary_lines(["ds"], "a/store") == [
        "",
        "ds: 3 recordings: 1 converted, 1 quarantined, 1 repaired; 12 rows; split by subject",
        "  quarantined  bad-00: empty_file: file 0",
        "  report       results/ds/report.html",
        "",
        "store     a/store",
        "load it   in Python:",
        "",
        "    import bidsmill",
        '    train = bidsmill.open("a/store")["ds"].select(split="train")',
        '    X, y = train.arrays(target="face")',
        "",
    ]


def test_the_catalogue_page_is_named_where_it_stands():
    write()
    assert not [line for line in summary_lines(["ds"], "a/store") if "index.html" in line]
    files.write_text(Path("a/store/index.html"), "")
    lines = summary_lines(["ds"], "a/store")
    assert lines[lines.index("store     a/store") + 1] == "browse    a/store/index.html"
    assert not [line for line in summary_lines(["ds"], "s3://a/store") if "index.html" in line]


def test_a_refused_split_and_no_label():
    write(labels=(), split={"status": "refused", "reason": "too few groups"})
    lines = summary_lines(["ds"], "s")
    assert lines[1].endswith("; split refused: too few groups")
    assert '    train = bidsmill.open("s")["ds"].select()' in lines
    assert "    X = train.arrays()" in lines


def test_many_quarantined_are_counted():
    write(bad=MOST_QUARANTINED + 5)
    text = "\n".join(summary_lines(["ds"], "s"))
    assert text.count("empty_file") == MOST_QUARANTINED
    assert "... and 5 more in results/ds/recordings.tsv" in text


def test_a_dataset_that_is_not_done():
    assert summary_lines(["ds"], "s") == ["", "ds: not done; see results/ds/logs", ""]


@pytest.mark.parametrize("name", ["published.json", "labels.json", "split.json"])
def test_a_dataset_whose_job_failed_halfway(name):
    """Snakemake removes the outputs of a failed job; what was published before stays."""
    write(skip=(name,))
    lines = summary_lines(["ds"], "s")
    assert lines[1].startswith("ds: 3 recordings")
    assert not any("import bidsmill" in line for line in lines)


def test_the_first_dataset_with_rows_is_shown():
    write("empty", published={"rows": 0})
    write("full")
    lines = summary_lines(["absent", "empty", "full"], "s")
    assert any('["full"]' in line for line in lines)
    assert not any('["empty"]' in line for line in lines)


def test_of_several_layouts_one_is_chosen():
    write(published={"layout": "abc"}, split={"status": "refused", "reason": "x"})
    wanted = """    train = bidsmill.open("s")["ds"].select(where="layout == 'abc'")"""
    assert wanted in summary_lines(["ds"], "s")


def test_what_an_older_version_published():
    results = write()
    files.write_json(results / "published.json", {"rows": 12})
    assert '    X, y = train.arrays(target="face")' in summary_lines(["ds"], "s")


def test_it_is_printed(capsys, monkeypatch):
    monkeypatch.delenv("BIDSMILL_SUMMARY", raising=False)
    write()
    print_summary(["ds"], "s")
    assert capsys.readouterr().err == "\n".join(summary_lines(["ds"], "s")) + "\n"
    sink = io.StringIO()
    print_summary(["ds"], "s", file=sink)
    assert sink.getvalue() == "\n".join(summary_lines(["ds"], "s")) + "\n"
    monkeypatch.setenv("BIDSMILL_SUMMARY", "later")
    print_summary(["ds"], "s")
    assert capsys.readouterr().err == ""


def test_a_bucket_with_an_address_of_its_own():
    write()
    lines = summary_lines(["ds"], "s3://b/p", "https://host")
    opened = (
        '    train = bidsmill.open("s3://b/p", endpoint="https://host")["ds"].select(split="train")'
    )
    assert opened in lines
    assert "store     s3://b/p" in lines


def test_a_dataset_whose_licence_keeps_it_out_of_the_store():
    results = write()
    refused = {"dataset": "ds", "status": "refused", "reason": "it states no licence"}
    files.write_json(results / "published.json", refused)
    lines = summary_lines(["ds"], "s")
    assert "  not published: it states no licence" in lines
    assert lines[4].endswith("add to the config:  allow_license: [ds]")
    assert not any("import bidsmill" in line for line in lines)


def test_recordings_without_streams_are_told_once():
    results = write(bad=1)
    fine = {"status": "streamed", "reason": "", "message": ""}
    lost = {"status": "quarantined", "reason": "node_impossible", "message": "node env: too high"}
    members = {"r1": fine, "r2": lost, "bad-00": {**lost, "reason": "empty_file"}}
    files.write_json(results / "streams" / "b0000.json", {"members": members})
    lines = summary_lines(["ds"], "store")
    assert "  streams      1 of 3 recordings" in lines
    assert "  no stream    r2: node_impossible: node env: too high" in lines
    assert sum("bad-00" in line for line in lines) == 1
