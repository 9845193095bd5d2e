"""The page's section on what the events mean, against hedtools' own search and plain counting."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_results import Recording, Results
from test_report_page import Page, check

from bidsmill.formats import tables
from bidsmill.formats.hed_strings import load_schema, search
from bidsmill.report.inputs import read_inputs
from bidsmill.report.meaning import coverage, meaning_section
from bidsmill.report.page import write_report
from bidsmill.report.tag_tree import TagCounts, count_tags, tree_lines

VERSION = "8.3.0"
STRINGS = [
    "Sensory-event, Visual-presentation, (Image, Face)",
    "Sensory-event, Auditory-presentation, (Def-expand/Tone, (Tone, Label/High))",
    "Agent-action, Participant-response, (Press, (Push-button, Label/Left))",
    "Sensory-event, Visual-presentation, (Image, (Item/Sound/Zonk, Red))",
    "Experiment-structure, Rest",
    "",
]


def written(results: Results, strings, sources=None, labels=None) -> Path:
    """Write results whose events have these strings, over and over; return their folder."""
    root = results.write()
    events = tables.read_tsv(root / "events.tsv")
    events["HED"] = (strings * len(events))[: len(events)]
    if sources is not None:
        events["HED_context"] = ""
        events["HED_source"] = (sources * len(events))[: len(events)]
    tables.write_tsv(root / "events.tsv", events)
    if labels is not None:
        (root / "labels.json").write_text(json.dumps({"labels": labels, "notes": []}))
    return root


def page_of(root: Path) -> Page:
    write_report(root, root / "page.html", dataset="ds")
    return check((root / "page.html").read_text(encoding="utf-8"))


@pytest.fixture
def three(tmp_path) -> Results:
    return Results(tmp_path / "r", [Recording(f"0{k}", rows=4, n_times=32) for k in range(1, 4)])


def test_every_tag_counts_as_hedtools_finds_it():
    strings = STRINGS * 2 + STRINGS[:2]
    counts = count_tags(strings, VERSION)
    assert counts.events == sum(map(bool, strings)) == 12
    checked = 0
    for path, number in counts.of_path.items():
        if path[-1] == "Zonk":
            continue  # an extension: hedtools' search does not know it
        assert int(search(strings, path[-1], VERSION).sum()) == number, path
        entry = load_schema(VERSION).get_tag_entry(path[-1])
        if entry is not None:
            assert entry.long_tag_name == "/".join(path)
        checked += 1
    assert checked > 25
    assert ("Item", "Sound", "Zonk") in counts.of_path
    assert not any("Def-expand" in path or "High" in path for path in counts.of_path)


def test_library_schemas_and_strange_tags_have_their_place():
    strings = ["sc:Photic-stimulation, Sensory-event", "Sensory-event"]
    counts = count_tags(strings, [VERSION, "sc:score_2.0.0"])
    assert counts.of_path["Event", "Sensory-event"] == 2
    assert [path for path in counts.of_path if path[0].startswith("sc:")]
    assert count_tags(["Sensory-event, Bogus"], VERSION).of_path["Bogus",] == 1
    assert count_tags(["", ""], VERSION) == TagCounts(0, {}, {})


def test_chains_are_drawn_together_and_the_rest_is_summed():
    counts = count_tags(STRINGS, VERSION)
    lines, rarer, touched = tree_lines(counts, 1000)
    assert (rarer, touched) == (0, 0)
    drawn = sum(len(line.names) for line in lines)
    assert drawn == len(counts.of_path)
    assert max(line.events for line in lines if line.depth == 0) == lines[0].events
    by_name = {line.names[-1]: line for line in lines}
    assert by_name["Participant-response"].names[-1] == "Participant-response"
    assert by_name["Sensory-event"].events == 3 and by_name["Sensory-event"].share == 3 / 5
    few, rarer, touched = tree_lines(counts, 4)
    assert len(few) == 4 and rarer == drawn - sum(len(line.names) for line in few)
    assert 0 < touched <= 5


paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(tuple)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(paths, max_size=5), max_size=8), st.integers(1, 12))
def test_a_cut_tree_keeps_the_most_frequent_branches(events, most):
    """Against plain counting: each line's number, no child without its parent, nothing lost."""
    full = [frozenset(p[: k + 1] for p in found for k in range(len(p))) for found in events]
    of_path = Counter(path for found in full for path in found)
    counts = TagCounts(len(full), dict(of_path), dict(Counter(full)))
    lines, rarer, touched = tree_lines(counts, most)
    assert len(lines) <= most
    shown, above = set(), []
    for line in lines:
        assert line.depth <= len(above)
        above = above[: line.depth]
        path = (above[-1] if above else ()) + line.names
        assert {of_path[path[: len(path) - k]] for k in range(len(line.names))} == {line.events}
        above.append(path)
        shown |= {path[: len(path) - k] for k in range(len(line.names))}
    hidden = set(of_path) - shown
    assert rarer == len(hidden)
    assert touched == sum(bool(found & hidden) for found in full)
    if hidden and lines:
        assert max(of_path[p] for p in hidden) <= min(line.events for line in lines)


def test_the_page_shows_sources_tags_and_labels(three):
    sources = ["dataset", "config", "config,dataset", "proposed", "dataset", ""]
    label = {"kind": "class", "classes": ["left", "right"], "ambiguous": 3, "unmatched": 2}
    page = page_of(written(three, STRINGS, sources, {"side": label}))
    for said in (
        "tags of the dataset 4 (33.3 %)",
        "tags of the config 2 (16.7 %)",
        "of the dataset and the config 2",
        "proposed tags only 2",
        "no tags 2",
        "% of the 10 events with tags",
        "proposed tags count, too",
        "Sensory-event 6 (60.0 %)",
    ):
        assert said in page.text, said
    assert page.row("side") == ["side", "12 of 12", "3", "2", "left: 6, right: 6"]


def test_a_page_without_tags_says_what_to_do(three):
    page = page_of(written(three, [""]))
    assert "No event has HED tags" in page.text and "bidsmill hed-template ds" in page.text
    assert page.row("side")[2:4] == ["0", ""], "older results say nothing of rows without a match"


def test_results_of_older_versions(three):
    found = meaning_section(read_inputs(written(three, STRINGS)))
    assert found["coverage"] == [("tags of the dataset", 10), ("no tags", 2)]
    assert found["in_context"] is None and found["labels"][0]["unmatched"] is None


def test_an_unknown_version_costs_the_tree_alone(three):
    root = written(three, STRINGS)
    description = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**description, "hed_version": "7.9.9"}))
    found = meaning_section(read_inputs(root))
    assert "7.9.9" in found["reason"] and not found["tree"]
    assert found["tagged"] == 10 and found["labels"]


def test_many_classes_and_numbers(three):
    three.classes = tuple(f"c{k:02d}" for k in range(4))
    labels = {
        "side": {"kind": "class", "classes": [f"c{k:02d}" for k in range(40)], "ambiguous": 0},
        "subject": {"kind": "number"},
    }
    side, subject = meaning_section(read_inputs(written(three, STRINGS, labels=labels)))["labels"]
    assert side["classes"][:2] == [("c00", 3), ("c01", 3)] and side["more"] == 32
    assert subject["classes"] == [("1 to 3", 12)] and subject["labelled"] == 12


def test_coverage_counts_each_event_once():
    events = pd.DataFrame({"HED": ["Red", "", "Red"], "HED_source": ["dataset", "dataset", "new"]})
    assert coverage(events) == [("new", 1), ("tags of the dataset", 1), ("no tags", 1)]
