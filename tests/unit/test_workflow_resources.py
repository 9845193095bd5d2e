"""What jobs ask of a cluster: little for small batches, enough for large ones."""

from __future__ import annotations

import math
import re

import yaml
from hypothesis import given
from hypothesis import strategies as st

from bidsmill.formats import files
from bidsmill.workflow.resources import (
    NEEDS,
    NOTHING,
    Size,
    megabytes_for,
    minutes_for,
    processes_for,
    size_of_batch,
    size_of_dataset,
)

GB = 10**9


def member(data: str, size: int, *beside: str) -> dict:
    return {"stem": data, "data": data, "size": size, "files": dict.fromkeys((data, *beside))}


def test_the_size_of_a_batch_is_read_from_its_plan(tmp_path):
    members = [
        member("a.vhdr", 5 * GB, "a.eeg"),
        member("b.set", 2 * GB),
        member("c.set", 3 * GB, "c.fdt"),
        member("d.set", 1 * GB),
    ]
    plan = tmp_path / "b0000.json"
    assert size_of_batch(plan) == NOTHING
    files.write_json(plan, {"members": members})
    # Of those whose signal is in the file of its header alone, the largest.
    assert size_of_batch(plan) == Size(4, 11 * GB, 2 * GB)
    files.write_json(plan, {"members": members[:1]})
    assert size_of_batch(plan) == Size(1, 5 * GB, 0)
    overview = tmp_path / "dataset.json"
    stated = {"recordings": {"a": 0, "b": 0, "c": 1}, "bytes": {"dataset": 1, "b0000": 5}}
    files.write_json(overview, stated)
    assert size_of_dataset(overview) == Size(3, 6)
    simulated = tmp_path / "simulated.json"
    files.write_json(simulated, {"dataset": "spikes", "snapshot": "1", "batches": ["s00000"]})
    assert size_of_dataset(simulated) == Size(0, 0)


def test_small_batches_ask_for_little_and_large_ones_for_enough():
    small, large = Size(60, 60 * 10**6), Size(64, 20 * GB)
    assert (processes_for(small), processes_for(large)) == (1, 4)
    assert megabytes_for("convert", small) == 1100
    # Four workers of 400 MB at most (test_convert_memory.py) beside two Snakemakes of 180 MB.
    assert megabytes_for("convert", large, processes=4) >= 4 * 400 + 2 * 180
    assert minutes_for("convert", small) <= 30
    # At 10 MB/s, a twentieth of what is measured on one core.
    assert minutes_for("convert", large, processes=1) >= 20 * GB / 10e6 / 60
    held = Size(4, 8 * GB, 2 * GB)
    assert megabytes_for("convert", held, processes=4) >= 4 * 3 * 2000
    assert minutes_for("fetch", large) >= 20 * GB / 2e6 / 60


SIZES = st.builds(Size, st.integers(0, 20_000), st.integers(0, 10**13), st.integers(0, 10**10))


@given(st.sampled_from([*sorted(NEEDS), "another"]), SIZES, SIZES, st.integers(1, 4))
def test_more_never_asks_for_less_and_attempts_multiply(rule, one, other, processes):
    both = Size(
        one.recordings + other.recordings, one.bytes + other.bytes, max(one.held, other.held)
    )
    for ask in (megabytes_for, minutes_for):
        asked = ask(rule, one, processes=processes)
        assert isinstance(asked, int) and asked > 0
        assert ask(rule, both, processes=processes) >= asked
        assert ask(rule, one, processes=processes, attempt=3) == 3 * asked


@given(SIZES)
def test_processes_are_bounded_by_recordings_and_bytes(size):
    count = processes_for(size)
    assert 1 <= count <= 4
    if count > 1:
        assert count <= size.recordings
        assert count <= math.ceil(size.bytes / 2e8)


def test_every_rule_asks_by_its_own_name_and_retries_stand_in_the_profile(root):
    asking = set()
    for path in sorted((root / "workflow" / "rules").glob("*.smk")):
        for block in re.split(r"\n(?=(?:rule|checkpoint) )", path.read_text()):
            name = re.match(r"(?:rule|checkpoint) (\w+)", block)
            assert "retries:" not in block
            if name and "megabytes_of" in block:
                asking.add(name[1])
                assert "minutes_of" in block
    assert asking <= set(NEEDS)
    profile = yaml.safe_load((root / "profiles/slurm/profile.yaml").read_text())
    assert profile["retries"] == 2 and profile["executor"] == "slurm"
    grouped = {entry.split("=")[0] for entry in profile["groups"]}
    scripts = {path.stem for path in (root / "workflow" / "scripts").glob("*.py")}
    assert grouped - {"stream"} <= scripts
