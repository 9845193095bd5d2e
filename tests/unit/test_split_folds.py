"""Folds against brute force and scikit-learn; start solutions against scikit-learn's own."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_cases import alcoholism, random_dataset
from test_split_optimiser import names, problem

from bidsmill.errors import BidsmillError
from bidsmill.formats.certificate import fold_of_rows, read_split, side_of_rows, write_split
from bidsmill.split import optimiser
from bidsmill.split.dataset import split_samples
from bidsmill.split.folds import choose_folds
from bidsmill.split.optimiser import choose_groups, objective_of
from bidsmill.split.start import columns_of, folds_of

LONG = bool(os.environ.get("BIDSMILL_LONG"))


def theirs(counts, rows, n_folds) -> list[np.ndarray]:
    """Return the folds of StratifiedGroupKFold, one for each column that it may balance.

    The label of every row is spelled out, row by row, in the order of the groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    group = np.repeat(np.arange(len(rows)), rows)
    partitions = []
    for column in columns_of(counts, rows):
        label = np.concatenate([np.repeat(np.arange(column.shape[1]), c) for c in column])
        if np.bincount(label).max() < n_folds:
            continue
        folds = np.zeros(len(rows), dtype=int)
        splits = StratifiedGroupKFold(n_folds).split(label, label, group)
        for place, (_, test) in enumerate(splits):
            folds[group[test]] = place
        partitions.append(folds)
    return partitions


def mean_objective(counts, rows, weights, folds, n_folds) -> float:
    reached = [
        objective_of(counts, rows, weights, 1 / n_folds, folds == fold) for fold in range(n_folds)
    ]
    return float(np.mean(reached))


def check_never_worse(seed: int) -> None:
    """Compare choices whose search and tree have no work left: what remains is the start."""
    n_groups, n_columns = 5 + seed % 40, 1 + seed % 3
    counts, rows, weights = problem(seed, n_groups, n_columns)
    own = choose_groups(names(n_groups), counts, rows, weights, 0.2).objective
    folds = choose_folds(names(n_groups), counts, rows, weights, 5)
    assert sorted(g for fold in folds for g in fold.groups) == names(n_groups)
    mean = np.mean([fold.objective for fold in folds])
    for partition in theirs(counts, rows, 5):
        assert mean <= mean_objective(counts, rows, weights, partition, 5) + 1e-12
        for fold in range(5):
            chosen = partition == fold
            if 0 < chosen.sum() < n_groups:
                assert own <= objective_of(counts, rows, weights, 0.2, chosen) + 1e-12


def cut_short(monkeypatch) -> None:
    from bidsmill.split import folds

    for module in (optimiser, folds):
        monkeypatch.setattr(module, "SEARCH_WORK", 0)
    monkeypatch.setattr(optimiser, "LARGEST_PROGRAM", 0)


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_the_start_is_never_worse_than_stratified_group_k_fold(monkeypatch):
    cut_short(monkeypatch)
    for seed in range(30):
        check_never_worse(seed)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_the_start_is_never_worse_than_stratified_group_k_fold_at_length(monkeypatch):
    cut_short(monkeypatch)
    for seed in range(1000, 1300):
        check_never_worse(seed)


def test_columns_are_found_by_their_sums():
    counts, rows, _ = problem(3, 9, columns=3)
    parts = columns_of(counts, rows)
    assert all((part.sum(axis=1) == rows).all() for part in parts)
    assert np.array_equal(np.concatenate(parts, axis=1), counts)
    assert columns_of(np.zeros((2, 0), dtype=int), np.array([3, 4]))[0].tolist() == [[3], [4]]
    unfinished = columns_of(counts[:, :-1], rows)
    assert np.concatenate(unfinished, axis=1).shape[1] == counts.shape[1] - 1


def test_shares_as_folds():
    shares = (0.2, 0.4, 0.35, 0.3, 0.5, 0.001, 0.999)
    assert [folds_of(s) for s in shares] == [
        (1, 5), (2, 5), (7, 20), (3, 10), (1, 2), (1, 20), (19, 20)
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_brute_force_finds_no_better_partition_of_few_groups(seed):
    n_groups = 5 + seed % 3
    counts, rows, weights = problem(seed, n_groups)
    folds = choose_folds(names(n_groups), counts, rows, weights, 3)
    best = min(
        mean_objective(counts, rows, weights, np.array([0, *places]), 3)
        for places in itertools.product(range(3), repeat=n_groups - 1)
        if {0, *places} == {0, 1, 2}
    )
    assert np.mean([fold.objective for fold in folds]) == pytest.approx(best, abs=1e-9)
    ids = names(n_groups)
    for fold in folds:
        chosen = np.isin(ids, fold.groups)
        assert fold.objective == pytest.approx(objective_of(counts, rows, weights, 1 / 3, chosen))
        assert fold.bound <= fold.objective and fold.gap == fold.objective - fold.bound


@settings(max_examples=40 if LONG else 8, deadline=None)
@given(st.integers(0, 10**6), st.integers(4, 7), st.randoms(use_true_random=False))
def test_the_order_of_groups_does_not_matter(seed, n_groups, chance):
    counts, rows, weights = problem(seed, n_groups)
    rows[seed % n_groups] = rows[0]
    counts[seed % n_groups] = counts[0]
    order = list(range(n_groups))
    chance.shuffle(order)
    ids = names(n_groups)
    straight = choose_folds(ids, counts, rows, weights, 3)
    shuffled = choose_folds([ids[i] for i in order], counts[order], rows[order], weights, 3)
    assert straight == shuffled


def test_equal_people_are_dealt_evenly():
    counts = np.array([[5, 0]] * 10 + [[0, 5]] * 10)
    arguments = (names(20), counts, counts.sum(axis=1), np.array([0.5, 0.5]), 5)
    folds = choose_folds(*arguments)
    assert [fold.objective for fold in folds] == [0.0] * 5
    assert folds[0].groups == ("sub-0000", "sub-0001", "sub-0010", "sub-0011")
    assert choose_folds(*arguments, seed=3) != folds


def test_groups_without_rows_stand_in_a_fold_too():
    counts = np.array([[4], [0], [4], [4], [0]])
    folds = choose_folds(names(5), counts, counts[:, 0], np.array([1.0]), 3)
    assert sorted(g for fold in folds for g in fold.groups) == names(5)
    assert sorted(len(fold.groups) for fold in folds) == [1, 2, 2]


@pytest.mark.parametrize("n_folds", [0, 1, 4])
def test_folds_that_do_not_fit(n_folds):
    counts = np.array([[4], [4], [4], [0]])
    with pytest.raises(BidsmillError, match="number of folds"):
        choose_folds(names(4), counts, counts[:, 0], np.array([1.0]), n_folds)


def split_into(n_folds, samples, **more):
    given = {"folds": n_folds, "test": 0.5}
    return split_samples(samples, dataset="d", labels=["label"], settings=given, **more)


def test_folds_of_a_dataset_hold_every_person_once(tmp_path):
    samples = alcoholism()
    table, content = split_into(5, samples)
    write_split(tmp_path / "split.tsv", tmp_path / "split.json", table, content)
    table, content = read_split(tmp_path / "split.tsv", tmp_path / "split.json")
    fold = fold_of_rows(samples, table)
    counts = pd.crosstab(fold, samples["label"].to_numpy())
    assert counts.index.tolist() == list("12345") and (counts == 10).all(axis=None)
    assert (pd.crosstab(samples["subject"].to_numpy(), fold) > 0).sum(axis=1).eq(1).all()
    assert ((fold == "1") == (side_of_rows(samples, table) == "test")).all()
    assert content["settings"]["test"] == 0.2 and content["objective"] == 0
    assert content["folds"] == [
        {"fold": str(k), "groups": 4, "rows": 20, "objective": 0.0, "bound": 0.0}
        for k in range(1, 6)
    ]


def test_folds_are_measured_as_one_fifth_of_all():
    samples = random_dataset(4, 17)
    table, content = split_into(5, samples)
    kept = samples[samples["excluded"] == ""]
    fold = fold_of_rows(kept, table)
    strata = pd.crosstab(kept["subject"], kept["label"])
    whole = strata.sum(axis=1).to_numpy()
    fold_of = dict(zip(kept["subject"], fold, strict=True))
    weights = np.full(strata.shape[1], 1 / strata.shape[1])
    for record in content["folds"]:
        chosen = np.array([fold_of[subject] == record["fold"] for subject in strata.index])
        expected = objective_of(strata.to_numpy(), whole, weights, 0.2, chosen)
        assert record["objective"] == pytest.approx(expected, abs=1e-11)
        assert record["rows"] == whole[chosen].sum() and record["bound"] <= record["objective"]
    mean = np.mean([record["objective"] for record in content["folds"]])
    for partition in theirs(strata.to_numpy(), whole, 5):
        assert mean < mean_objective(strata.to_numpy(), whole, weights, partition, 5)


def test_two_folds_are_the_two_sides():
    samples = random_dataset(4, 9)
    table, _ = split_into(2, samples)
    assert dict(zip(table["split"], table["fold"], strict=True)) == {"train": "2", "test": "1"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"folds": 1}, "folds is no number of folds"),
        ({"folds": 5, "validation": 0.1}, "folds go with neither validation"),
        ({"folds": 5, "fallback": "time"}, "nor pieces of time"),
        ({"folds": 20}, "too few groups for 20 folds"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(settings, said):
    samples = random_dataset(4, 9)
    table, content = split_samples(samples, dataset="d", labels=["label"], settings=settings)
    assert content["status"] == "refused" and said in content["reason"]
    assert set(table["split"]) == {"none"} and content["folds"] is None
    assert "fold" not in table
