"""Splits over several datasets: people stay together, every dataset is balanced."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_cases import alcoholism, random_dataset

from bidsmill.errors import BidsmillError
from bidsmill.split.dataset import split_samples
from bidsmill.split.given import read_given
from bidsmill.split.optimiser import objective_of
from bidsmill.split.together import split_together

LONG = bool(os.environ.get("BIDSMILL_LONG"))
LABELS = {"one": ["label"], "two": ["label"], "three": ["label"]}


def sides(found) -> dict[str, str]:
    return {
        f"{dataset}/{group}": side
        for dataset, table in found.tables.items()
        for group, side in zip(table["group"], table["split"], strict=True)
    }


@settings(max_examples=20 if LONG else 3, deadline=None)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_people_stay_together_whatever_the_order(seed, chance):
    datasets = {
        name: random_dataset(seed + i, 6 + 3 * i) for i, name in enumerate(("one", "two", "three"))
    }
    aliases = [[f"one/sub-{k:03}", f"two/sub-{k + 1:03}"] for k in range(4)]
    aliases += [["two/sub-001", "three/sub-007"], ["one/sub-099", "two/sub-000"]]
    found = split_together(datasets, aliases, {"validation": 0.2}, labels=LABELS)
    side = sides(found)
    assert set(side.values()) == {"train", "validation", "test"}
    for names in [*aliases[:4], aliases[4], ["one/sub-000", "three/sub-007"]]:
        assert len({side[name] for name in names}) == 1
    assert ["one/sub-000", "three/sub-007", "two/sub-001"] in found.merged
    shuffled = {
        name: datasets[name].sample(frac=1, random_state=seed % 1000)
        for name in chance.sample(list(datasets), 3)
    }
    again = split_together(shuffled, aliases[::-1], {"validation": 0.2}, labels=LABELS)
    assert sides(again) == side and again.test == found.test


def test_the_objective_is_that_of_all_datasets_and_their_labels():
    datasets = {"one": random_dataset(1, 7), "two": random_dataset(2, 9)}
    found = split_together(datasets, [["one/sub-001", "two/sub-001"]], {}, labels=LABELS)
    side = sides(found)
    frame = pd.concat(
        [d.assign(name=[f"{n}/sub-{s}" for s in d["subject"]], of=n) for n, d in datasets.items()]
    )
    frame = frame[frame["excluded"] == ""]
    frame["person"] = frame["name"].replace("two/sub-001", "one/sub-001")
    people = sorted(set(frame["person"]))
    strata = pd.crosstab(frame["person"], frame["of"] + "/" + frame["label"]).loc[people]
    whole = pd.crosstab(frame["person"], frame["of"]).loc[people]
    sizes = strata.columns.str.split("/").str[0].value_counts()
    weights = [1, 1] + [1 / sizes[name.split("/")[0]] for name in strata.columns]
    chosen = np.array([side[name] == "test" for name in people])
    expected = objective_of(
        np.hstack([whole, strata]), whole.sum(axis=1).to_numpy(), np.array(weights), 0.2, chosen
    )
    assert found.test.objective == pytest.approx(expected, abs=1e-12)
    for name, records in found.balance.items():
        tested = whole.loc[people][name][chosen].sum()
        assert records[0]["test"] == tested and records[0]["total"] == whole[name].sum()


def test_equal_datasets_are_each_split_exactly():
    datasets = {"one": alcoholism(), "two": alcoholism()}
    same = [[f"one/sub-{s}", f"two/sub-{s}"] for s in sorted(set(alcoholism()["subject"]))]
    for aliases, people in (([], 8), (same, 4)):
        found = split_together(datasets, aliases, {}, labels=LABELS)
        assert (found.test.objective, len(found.test.groups)) == (0, people)
        for records in found.balance.values():
            assert {record["share"] for record in records} == {0.2}


def test_a_table_of_it_is_a_fixed_split_of_the_dataset(tmp_path):
    datasets = {"one": random_dataset(1, 7), "two": random_dataset(2, 9)}
    found = split_together(datasets, [["one/sub-001", "two/sub-001"]], {}, labels=LABELS)
    path = tmp_path / "two.tsv"
    found.tables["two"].to_csv(path, sep="\t", index=False)
    table, content = split_samples(
        datasets["two"], dataset="two", labels=["label"], settings={}, given=read_given(path)
    )
    assert content["status"] == "done"
    assert dict(zip(table["group"], table["split"], strict=True)) == dict(
        zip(found.tables["two"]["group"], found.tables["two"]["split"], strict=True)
    )


def test_what_cannot_be_split_together():
    datasets = {"one": random_dataset(1, 2), "two": random_dataset(2, 2)}
    one_person = [[f"one/sub-{k:03}", f"two/sub-{k:03}"] for k in range(2)]
    with pytest.raises(BidsmillError, match="too few people"):
        split_together(datasets, one_person, {}, labels=LABELS)
    with pytest.raises(BidsmillError, match="by subject"):
        split_together(datasets, [], {"group": "run"}, labels=LABELS)
