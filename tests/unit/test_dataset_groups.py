"""Which datasets `bidsmill run` puts into one graph, and what it says at its end."""

from __future__ import annotations

import os
import subprocess
import sys

import planned_results as planned
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.formats import files
from bidsmill.workflow.dataset_groups import groups_of, targets_of, units_of
from bidsmill.workflow.failures import COLUMNS, read_failures, write_failures

SPIKES = {"mat": True, "background": None}
ON_TOP = {"mat": None, "background": {"dataset": "a"}}
CONFIG = {
    "datasets": {name: {} for name in "dcbae"},
    "simulation": {"spikes": SPIKES, "on_top": ON_TOP},
    "together": {"same": ["b", "d"]},
}


def test_those_that_share_a_split_stay_together_and_simulated_ones_come_last():
    units = units_of(CONFIG, {*CONFIG["datasets"], *CONFIG["simulation"]})
    assert units == [["a"], ["b", "d"], ["c"], ["e"], ["on_top"], ["spikes"]]
    assert units_of(CONFIG, {"d", "e"}) == [["d"], ["e"]]


def test_targets_are_those_of_the_rule_all():
    assert targets_of(CONFIG, ["a", "spikes", "on_top"]) == [
        "results/a/published.json",
        "results/spikes/published.json",
        "results/spikes/mat/extraction_metadata.mat",
        "results/on_top/published.json",
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 5), max_size=30), st.integers(1, 8))
def test_groups_keep_all_units_in_order_and_are_as_full_as_they_can_be(sizes, most):
    units = [[f"{number}-{n}" for n in range(size)] for number, size in enumerate(sizes)]
    groups = list(groups_of(units, most))
    assert [unit for group in groups for unit in group] == units
    counts = [sum(map(len, group)) for group in groups]
    for group, count in zip(groups, counts, strict=True):
        assert group and (count <= most or len(group) == 1)
    for group, following in zip(counts, groups[1:], strict=False):
        assert group + len(following[0]) > most


def test_the_table_of_failures_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "failures.tsv"
    row = dict.fromkeys(COLUMNS, "") | {"dataset": "a", "rule": "lock", "reason": "no such folder"}
    write_failures([row], path)
    assert read_failures(path) == [row]
    write_failures([], path)
    assert not path.exists() and read_failures(path) == []


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a dataset that is done and one whose plan is damaged."""
    folder = tmp_path_factory.mktemp("run")
    planned.make_done(folder, {"ds-one": 20, "ds-two": 20})
    files.write_text(folder / "results" / "ds-two" / "plan" / "dataset.json", "{")
    return folder


def run(folder, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bidsmill.cli", "run", "--configfile", "config.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(planned.ROOT / "src")}
    return subprocess.run(
        [*command, "--cores", "1", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        env=environment,
    )


def test_a_dataset_without_a_graph_does_not_stop_the_others(place):
    """The damaged plan stops the graph of both; then each gets one of its own."""
    done = run(place, "--dry-run")
    assert done.returncode == 1
    assert "2 datasets: nothing to be done for 1" in done.stdout
    assert "1 of 2 datasets failed" in done.stderr and "found: ds-two" in done.stderr
    assert not (place / "results" / "failures.tsv").exists()


def test_an_unknown_dataset_is_refused(place):
    done = run(place, "nobody")
    assert done.returncode == 1
    assert "the config has no dataset nobody" in done.stderr
    assert "expected: ds-one, ds-two" in done.stderr
