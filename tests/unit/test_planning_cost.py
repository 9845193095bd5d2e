"""What planning costs: jobs and inputs grow with batches, and one recording is one job."""

from __future__ import annotations

import json
import re
import subprocess

import planned_results as planned
import pytest

BIG = "ds000000"
# What is made once for a dataset, beside the jobs of its batches.
OF_DATASET = {
    *("fetch_dataset", "validate", "collate", "split"),
    *("describe", "report_dataset", "publish_dataset", "all"),
}
OF_BATCH = ("fetch", "annotate", "convert")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a folder with one dataset of 300 recordings that is done."""
    folder = tmp_path_factory.mktemp("planned")
    planned.make_done(folder, {BIG: 300})
    return folder


def jobs(folder, *arguments: str) -> dict[str, int]:
    """Return how many jobs of each rule a dry run counts."""
    run = planned.snakemake(folder, *arguments, "--dry-run")
    said = run.stdout + run.stderr
    assert run.returncode == 0, said
    if "Nothing to be done" in said:
        return {}
    table = re.findall(r"^(\w+) +(\d+)$", said.rpartition("Job stats:")[2], re.MULTILINE)
    return {rule: int(count) for rule, count in table if rule != "total"}


def test_one_changed_recording_is_one_job_of_each_stage(done):
    """Also shows that what was done is left alone, and that a recording is a target."""
    assert jobs(done) == {}
    target = f"results/{BIG}/matrix/sub-00000_task-rest_run-3_eeg.json"
    planned.plan(done, planned.make_lock(BIG, 300, changed=[7]))
    try:
        counted = jobs(done, "all", target)
    finally:
        planned.plan(done, planned.make_lock(BIG, 300))
    once = dict.fromkeys((*OF_DATASET, *OF_BATCH), 1)
    assert counted == once | {"convert_recording": 1}


@pytest.mark.parametrize(
    "recordings",
    [64, 300, 1000, *(pytest.param(n, marks=pytest.mark.long) for n in (4000, 20_000))],
)
def test_batches_grow_with_recordings_and_keep_their_members(tmp_path, recordings):
    lock = planned.make_lock("many", recordings)
    planned.plan(tmp_path, lock)
    folder = tmp_path / "results" / "many" / "plan"
    plans = {path.name: path.read_bytes() for path in sorted(folder.glob("b*.json"))}
    members = [m["stem"] for text in plans.values() for m in json.loads(text)["members"]]
    assert len(members) == len(set(members)) == recordings
    # Between half of the limit and the limit on average: a power of two of batches.
    assert recordings / 64 <= len(plans) <= max(1, recordings / 32)
    # A change of one recording changes the plan of its batch, and no other.
    planned.plan(tmp_path, planned.make_lock("many", recordings, changed=[recordings // 2]))
    after = {path.name: path.read_bytes() for path in folder.glob("b*.json")}
    assert [name for name in plans if after[name] != plans[name]] == [
        name
        for name, text in plans.items()
        if any(_number(m["stem"]) == recordings // 2 for m in json.loads(text)["members"])
    ]


def _number(stem: str) -> int:
    subject, run = re.fullmatch(r"sub-(\d+)_task-rest_run-(\d+)_eeg", stem).groups()
    return 10 * int(subject) + int(run) - 1


@pytest.mark.long
def test_twenty_thousand_recordings_are_planned_within_a_gigabyte(tmp_path):
    planned.make_done(tmp_path, {BIG: 20_000})
    assert jobs(tmp_path) == {}
    command = planned.with_peak(planned.command("-n"))
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Nothing to be done" in run.stdout + run.stderr
    assert 50_000 < int(run.stdout.split()[-1]) < 1_000_000
    planned.plan(tmp_path, planned.make_lock(BIG, 20_000, changed=[7]))
    assert jobs(tmp_path) == dict.fromkeys(OF_DATASET, 1) | dict.fromkeys(OF_BATCH, 1)
