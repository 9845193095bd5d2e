"""The optimiser against brute force, scikit-learn and its own bound."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidsmill.errors import BidsmillError
from bidsmill.split import optimiser
from bidsmill.split.optimiser import choose_groups, objective_of

LONG = bool(os.environ.get("BIDSMILL_LONG"))


def problem(seed: int, n_groups: int, columns: int = 2):
    """Return counts, rows and weights of random groups; each column has 2 to 4 strata."""
    chance = np.random.default_rng(seed)
    rows = chance.integers(1, 60, n_groups)
    counts, weights = [], []
    for _ in range(columns):
        size = int(chance.integers(2, 5))
        rates = chance.dirichlet(np.ones(size), n_groups)
        counts.append(
            np.array([chance.multinomial(n, p) for n, p in zip(rows, rates, strict=True)])
        )
        weights.extend([1 / size] * size)
    return np.concatenate(counts, axis=1), rows, np.array(weights)


def names(number: int) -> list[str]:
    return [f"sub-{i:04}" for i in range(number)]


def exact_objective(counts, rows, weights, share, chosen) -> Fraction:
    """Return the objective straight from its definition, in exact arithmetic."""
    wish = Fraction(str(share))
    terms = [(Fraction(1), rows)]
    terms += [(Fraction(float(w)), counts[:, i]) for i, w in enumerate(weights)]
    terms = [(w, column) for w, column in terms if column.sum() > 0]
    total = sum(
        w * abs(Fraction(int(column[list(chosen)].sum()), int(column.sum())) - wish)
        for w, column in terms
    )
    return total / sum(w for w, _ in terms)


def brute_force(counts, rows, weights, share) -> float:
    """Return the smallest objective of all subsets but the empty one and the whole."""
    columns = np.column_stack([rows, counts])
    weight = np.concatenate([[1.0], weights])
    used = columns.sum(axis=0) > 0
    subsets = np.arange(1, 2 ** len(rows) - 1)[:, None] >> np.arange(len(rows)) & 1
    reached = (subsets @ columns)[:, used] / columns.sum(axis=0)[used]
    return float((np.abs(reached - share) @ weight[used]).min() / weight[used].sum())


@pytest.mark.parametrize("seed", range(12))
def test_brute_force_finds_nothing_better(seed):
    n_groups = 3 + seed % 8
    counts, rows, weights = problem(seed, n_groups)
    share = (0.2, 0.35, 0.1)[seed % 3]
    choice = choose_groups(names(n_groups), counts, rows, weights, share)
    best = brute_force(counts, rows, weights, share)
    assert choice.objective <= best + choice.gap + 1e-9
    assert choice.bound <= best + 1e-9
    assert choice.gap <= 1e-5
    chosen = [int(name[4:]) for name in choice.groups]
    exact = exact_objective(counts, rows, weights, share, chosen)
    assert choice.objective == pytest.approx(float(exact), abs=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12, 40))
def test_brute_force_finds_nothing_better_up_to_14_groups(seed):
    n_groups = 11 + seed % 4
    counts, rows, weights = problem(seed, n_groups, columns=1 + seed % 3)
    choice = choose_groups(names(n_groups), counts, rows, weights, 0.2)
    best = brute_force(counts, rows, weights, 0.2)
    assert choice.bound - 1e-9 <= best <= choice.objective + 1e-9
    assert choice.objective <= best + choice.gap + 1e-9


def compare_with_sklearn(seed: int) -> tuple[float, float]:
    """Return our objective and the best one among scikit-learn's five folds."""
    from sklearn.model_selection import StratifiedGroupKFold

    n_groups = 10 + seed * 7 % 50
    counts, rows, weights = problem(seed, n_groups, columns=1)
    group = np.repeat(np.arange(n_groups), rows)
    label = np.concatenate([np.repeat(np.arange(counts.shape[1]), c) for c in counts])
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(label, label, group)
    theirs = []
    for _, test in folds:
        chosen = np.zeros(n_groups, dtype=bool)
        chosen[group[test]] = True
        theirs.append(objective_of(counts, rows, weights, 0.2, chosen))
    ours = choose_groups(names(n_groups), counts, rows, weights, 0.2)
    return ours.objective, min(theirs)


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("seed", range(12))
def test_never_worse_than_stratified_group_k_fold(seed):
    ours, theirs = compare_with_sklearn(seed)
    assert ours <= theirs + 1e-12


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("seed", [*range(12, 30), *range(1000, 1200)])
def test_never_worse_than_stratified_group_k_fold_at_length(seed):
    ours, theirs = compare_with_sklearn(seed)
    assert ours <= theirs + 1e-12


@settings(max_examples=100 if LONG else 25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.randoms(use_true_random=False))
def test_the_order_of_groups_does_not_matter(seed, n_groups, chance):
    counts, rows, weights = problem(seed, n_groups)
    rows[seed % n_groups] = rows[0]
    counts[seed % n_groups] = counts[0]
    order = list(range(n_groups))
    chance.shuffle(order)
    ids = names(n_groups)
    straight = choose_groups(ids, counts, rows, weights, 0.2)
    shuffled = choose_groups([ids[i] for i in order], counts[order], rows[order], weights, 0.2)
    assert straight == shuffled
    assert 1 <= len(straight.groups) < n_groups


def test_among_equal_groups_the_first_ids_are_chosen():
    counts = np.array([[5, 0]] * 10 + [[0, 5]] * 10)
    choice = choose_groups(names(20), counts, counts.sum(axis=1), np.array([0.5, 0.5]), 0.2)
    assert choice.groups == ("sub-0000", "sub-0001", "sub-0010", "sub-0011")
    assert (choice.objective, choice.gap) == (0, 0)


def test_another_seed_gives_another_choice_that_is_as_good():
    counts = np.array([[5, 0]] * 10 + [[0, 5]] * 10)
    arguments = (names(20), counts, counts.sum(axis=1), np.array([0.5, 0.5]), 0.2)
    choices = [choose_groups(*arguments, seed=seed) for seed in (0, 1, 2, 1)]
    assert {choice.objective for choice in choices} == {0}
    assert len({choice.groups for choice in choices}) == 3
    assert choices[1] == choices[3]


@pytest.mark.long
def test_many_equal_groups_are_solved_at_once():
    """2,000 subjects of 12 kinds: a small program in whole numbers, solved to the gap."""
    counts, rows, weights = problem(5, 12)
    kinds = np.arange(2000) % 12
    choice = choose_groups(names(2000), counts[kinds], rows[kinds], weights, 0.2)
    assert choice.gap <= 1e-5


def test_groups_without_rows_are_never_chosen():
    counts = np.array([[0], [4], [4], [0], [2]])
    choice = choose_groups(names(5), counts, counts[:, 0], np.array([1.0]), 0.2)
    assert choice.groups == ("sub-0004",)
    assert choice.objective == pytest.approx(0)


def test_a_bound_without_search_holds_for_whole_rows():
    """Ten rows, three of one class: 0.2 of 3 rows is 0.6 rows; the nearest is one row."""
    counts = np.array([[1], [1], [1]] + [[0]] * 7)
    choice = choose_groups(names(10), counts, np.ones(10, dtype=int), np.array([1.0]), 0.2)
    assert choice.objective == pytest.approx((1 / 3 - 0.2) / 2, abs=1e-12)
    assert choice.gap == pytest.approx(0, abs=1e-9)


def test_one_group_is_always_left():
    """A share of 0.9 of three equal groups is nearest to all three."""
    counts = np.array([[4], [4], [4]])
    choice = choose_groups(names(3), counts, counts[:, 0], np.array([1.0]), 0.9)
    assert choice.groups == ("sub-0000", "sub-0001")
    assert choice.objective == pytest.approx(0.9 - 2 / 3)


def test_the_bound_holds_where_search_and_tree_are_cut_short(monkeypatch):
    monkeypatch.setattr(optimiser, "SEARCH_WORK", 0)
    monkeypatch.setattr(optimiser, "FEWEST_NODES", 1)
    monkeypatch.setattr(optimiser, "MOST_NODES", 1)
    missed = []
    for seed in range(100, 130):
        counts, rows, weights = problem(seed, 11)
        choice = choose_groups(names(11), counts, rows, weights, 0.3)
        best = brute_force(counts, rows, weights, 0.3)
        assert choice.bound - 1e-9 <= best <= choice.objective + 1e-9
        assert choice.gap == choice.objective - choice.bound
        missed.append(choice.objective - best)
    assert sum(m > 1e-6 for m in missed) >= 3


def test_one_group_cannot_be_split():
    with pytest.raises(BidsmillError, match="fewer than two groups"):
        choose_groups(["a", "b"], np.array([[3], [0]]), np.array([3, 0]), np.array([1.0]), 0.2)


def test_works_after_a_parallel_run_of_highs_in_the_same_process():
    import highspy

    highspy.Highs.resetGlobalScheduler(True)
    other = highspy.Highs()
    for option, value in (("output_flag", False), ("threads", 2), ("parallel", "on")):
        other.setOptionValue(option, value)
    x = other.addBinaries(2)
    other.addConstr(x[0] + x[1] <= 1)
    other.maximize(x[0] + 2 * x[1])
    counts, rows, weights = problem(1, 12)
    assert choose_groups(names(12), counts, rows, weights, 0.2).nodes > 0


SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from test_split_optimiser import choose_groups, names, problem
print(choose_groups(names(40), *problem(3, 40, 3), 0.2))
"""


@pytest.mark.long
def test_the_number_of_cores_does_not_matter():
    script = SCRIPT.format(folder=os.path.dirname(__file__))
    answers = set()
    for threads in ("1", "4"):
        variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(sys.path)}
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        answers.add(run.stdout)
    assert len(answers) == 1
    assert "Choice(" in answers.pop()
