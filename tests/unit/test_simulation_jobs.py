"""Jobs of a simulation: which regions, how many at a time, and what a block of them holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.formats import files
from bidsmill.simulate.activity.blocks import (
    BLOCK_BYTES,
    load_block,
    regions_per_block,
    write_block,
)
from bidsmill.simulate.activity.connectome import generate_connectome
from bidsmill.simulate.activity.runs import (
    ActivitySettings,
    Condition,
    activity_path,
    load_activity,
    simulate_activity,
)
from bidsmill.simulate.dataset.stale import remove_other_blocks, remove_others
from bidsmill.simulate.jobs.blocks import chosen_regions


@given(st.integers(1, 1200), st.data())
@settings(max_examples=50)
def test_regions_are_spread_evenly(n_regions, data):
    wanted = data.draw(st.integers(1, n_regions))
    found = chosen_regions(wanted, n_regions)
    assert len(set(found)) == len(found) == wanted
    assert found == sorted(found) and found[0] == 0 and found[-1] < n_regions
    gaps = np.diff([*found, n_regions])
    assert gaps.max() - gaps.min() <= 1


def test_regions_are_all_or_those_that_are_named():
    assert chosen_regions("all", 5) == [0, 1, 2, 3, 4]
    assert chosen_regions([4, 0, 2], 5) == [0, 2, 4]
    with pytest.raises(BidsmillError, match=r"fewer regions.*found: activity.regions: 6.*1 to 5"):
        chosen_regions(6, 5)
    with pytest.raises(BidsmillError, match=r"no such region; found: .*: 7, 5; expected: 0 to 4"):
        chosen_regions([7, 1, 5], 5)


def test_a_block_is_one_batch_of_runs_unless_its_file_were_too_large():
    usual = ActivitySettings(seconds=20)
    assert regions_per_block(usual, 994) == 64 // 3
    long = ActivitySettings(seconds=1000)
    size = 3 * 4 * 994 * long.n_times
    assert regions_per_block(long, 994) == max(1, int(BLOCK_BYTES // size))
    assert regions_per_block(ActivitySettings(seconds=1e6), 994) == 1
    single = ActivitySettings(seconds=20, conditions=(Condition(0.087, 1.0),))
    assert regions_per_block(single, 100) == 64


SETTINGS = ActivitySettings(
    seconds=0.5, conditions=(Condition(0.087, 1.0), Condition(0.08, 1.7)), discard=0.1
)


@pytest.fixture(scope="module")
def connectome():
    places = np.random.default_rng(5).standard_normal((9, 3))
    places = 70 * places / np.linalg.norm(places, axis=1, keepdims=True)
    return generate_connectome(places / 1000, np.arange(9) % 2, 1)


def test_runs_of_a_block_are_those_that_are_simulated_alone(connectome, tmp_path):
    told = []
    path, facts = tmp_path / "b0000.npy", tmp_path / "b0000.json"
    # What a killed job left.
    (tmp_path / ".b0000.0a1b.runs").mkdir()
    (tmp_path / ".b0000.0a1b.runs" / "half.npy").write_bytes(b"half")
    (tmp_path / ".b0000.npy.1-0a1b.part").write_bytes(b"half")
    write_block(
        path, facts, connectome, [2, 7], SETTINGS, seed=4, engine="numpy",
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b0000.json", "b0000.npy"]
    assert told and told[-1][0] == told[-1][1]
    runs = load_block(path, facts)
    assert [(run.region, run.condition) for run in runs] == [(2, 0), (2, 1), (7, 0), (7, 1)]
    raw = np.load(path)
    assert raw.dtype == np.float32 and raw.shape == (4, SETTINGS.n_times, 9)
    for number, run in enumerate(runs):
        alone = tmp_path / f"alone{number}"
        simulate_activity(
            connectome, [(run.region, run.condition)], alone, SETTINGS, seed=4, engine="numpy"
        )
        single = load_activity(activity_path(alone, run.region, run.condition))
        np.testing.assert_array_equal(run.data, single.data)
        np.testing.assert_array_equal(raw[number], single.data)
        assert run.facts == single.facts and run.sfreq == single.sfreq


def test_a_damaged_block_is_refused(connectome, tmp_path):
    path, facts = tmp_path / "b.npy", tmp_path / "b.json"
    write_block(path, facts, connectome, [1], SETTINGS, engine="numpy")
    content = path.read_bytes()
    stated = files.read_json(facts)
    files.write_json(facts, {"runs": stated["runs"][:1]})
    with pytest.raises(BidsmillError, match=r"cannot be read.*shape \(2, .*and not \(1, "):
        load_block(path, facts)
    for lacking in ({}, {"runs": []}, {"runs": [{}, {}]}):
        files.write_json(facts, lacking)
        with pytest.raises(BidsmillError, match=r"cannot be read; file: .*b\.json.*not whole"):
            load_block(path, facts)
    files.write_json(facts, stated)
    for damaged in (content[:-4], b"", b"no array"):
        path.write_bytes(damaged)
        with pytest.raises(BidsmillError, match=r"cannot be read; file: .*b\.npy.*delete the file"):
            load_block(path, facts)
    path.unlink()
    with pytest.raises(BidsmillError, match="cannot be read"):
        load_block(path, facts)


def test_what_a_dataset_has_no_more_is_removed_and_nothing_else(tmp_path):
    for name in ("matrix/a.parquet", "matrix/a.json", "matrix/b.parquet", "matrix/b.json"):
        files.write_text(tmp_path / name, "")
    kept = ["sources/a.parquet", "labels/a.parquet", "convert/s0.json", "clips/b/bank.json"]
    for name in [*kept, "sources/b.parquet", "convert/s1.json", "matrix/.b.parquet.1-2.part"]:
        files.write_text(tmp_path / name, "")
    remove_others(tmp_path, ["a"], ["s0"])
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {*kept, "matrix/a.parquet", "matrix/a.json", "matrix/.b.parquet.1-2.part"}


LEFT = {"clips": ["b0000", "before"], "plan": ["b0000.json", "dataset.json"]}


def test_blocks_that_are_not_planned_any_more_are_removed(tmp_path):
    for name in ("b0000/bank.json", "b0001/bank.json", "before/bank.json"):
        files.write_text(tmp_path / "clips" / name, "")
    for name in ("b0000.json", "b0001.json", "dataset.json"):
        files.write_text(tmp_path / "plan" / name, "")
    remove_other_blocks(tmp_path, {"b0000": {}})
    left = {folder: sorted(p.name for p in (tmp_path / folder).iterdir()) for folder in LEFT}
    assert left == LEFT
    remove_other_blocks(tmp_path / "absent", [])
