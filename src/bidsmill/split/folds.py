"""Choose k folds: every group in one of them, and each fold as near to 1/k as the others."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bidsmill.errors import BidsmillError
from bidsmill.split.optimiser import (
    SEARCH_WORK,
    Choice,
    choose_groups,
    objective_of,
    order_key,
    terms_of,
)
from bidsmill.split.search import CALL_WORK, KICK_SIZES, KICKS_WITHOUT_GAIN, ROUNDING, Terms
from bidsmill.split.start import stratified_folds

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Fold:
    """One fold of a split.

    Attributes
    ----------
    groups : tuple of str
        Its groups, sorted.
    objective, bound : float
        Weighted mean deviation of its shares from 1/k; a proven lower bound of it for any choice.
    """

    groups: tuple[str, ...]
    objective: float
    bound: float


def part_train(
    table: pd.DataFrame,
    counts: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    n_folds: int,
    seed: int,
    bound: float,
) -> tuple[Fold, ...]:
    """Return the folds of a split of which the first one is test, chosen before.

    So groups that were placed on a side before stay there, and test is as good as without folds.

    Parameters
    ----------
    table : pandas.DataFrame
        Groups on ``train`` and ``test``.
    counts, rows, weights : numpy.ndarray
        Of all groups, as for `choose_groups`.
    n_folds : int
        How many folds, with test.
    seed : int
        As for `choose_folds`.
    bound : float
        A lower bound of the objective of any fold.
    """
    names, side = table["group"].to_numpy(dtype=object), table["split"].to_numpy(dtype=object)
    train = side == "train"
    parts = [tuple(names[side == "test"])]
    if n_folds == 2:
        parts.append(tuple(names[train]))
    else:
        part = (counts[train], rows[train], weights * ((counts[train] > 0).sum(axis=0) >= 2))
        chosen = choose_folds(names[train].tolist(), *part, n_folds - 1, seed=seed)
        parts += [choice.groups for choice in chosen]
    folds = []
    for groups in parts:
        reached = objective_of(counts, rows, weights, 1 / n_folds, np.isin(names, groups))
        folds.append(Fold(tuple(sorted(groups)), reached, min(bound, reached)))
    return tuple(folds)


def choose_folds(
    groups: list[str],
    counts: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    n_folds: int,
    *,
    seed: int = 0,
) -> list[Choice]:
    """Part groups into folds whose rows come nearest to 1/k of every stratum and of all rows.

    What is made small is the mean of the folds' objectives, each as `choose_groups` defines it
    for the share 1/k. The first partition is the best of a greedy one, of one fold chosen after
    the other, and of those of scikit-learn's StratifiedGroupKFold; then groups are moved and
    exchanged between folds as long as that helps, and again from kicks.

    Parameters
    ----------
    groups : list of str
        Ids, all different.
    counts, rows, weights : numpy.ndarray
        As for `bidsmill.split.optimiser.choose_groups`.
    n_folds : int
        How many folds, 2 or more.
    seed : int
        Seed of the search, of the solver and, if not 0, of the order among equal groups.

    Returns
    -------
    list of Choice
        One per fold, in the order of their first groups. Every group is in one fold; those
        without rows are dealt to the folds with the fewest groups. `bound` is a proven lower
        bound of the objective of any fold; no partition is proven to reach it in all of them.

    Raises
    ------
    BidsmillError
        If fewer groups have rows than there are folds.
    """
    order = sorted(range(len(groups)), key=lambda i: order_key(groups[i], seed))
    order = [i for i in order if rows[i] > 0]
    if not 2 <= n_folds <= len(order):
        raise BidsmillError(
            "the number of folds does not fit the groups that have rows",
            found=f"{n_folds} folds, {len(order)} groups",
            expected="2 folds or more, and at least one group for each",
        )
    names = [groups[i] for i in order]
    counts, used = np.asarray(counts)[order], np.asarray(rows)[order]
    first = choose_groups(names, counts, used, weights, 1 / n_folds, seed=seed)
    terms, members = terms_of(counts, used, weights, 1 / n_folds, [None] * len(names))
    starts = [
        *_one_after_the_other(names, counts, used, weights, n_folds, seed, first),
        *stratified_folds(counts, used, n_folds),
    ]
    state = _Folds(terms, n_folds)
    taken = _best_partition(state, [_by_class(f, members, n_folds) for f in starts], seed)
    chosen = _named(taken, members, names)
    empty = sorted(set(groups) - set(names))
    for name in empty:
        min(chosen, key=len).append(name)
    objectives = [terms.objective(fold) for fold in taken]
    choices = []
    for own, objective in zip(chosen, objectives, strict=True):
        bound = min(first.bound, objective)
        choice = replace(first, groups=tuple(sorted(own)), objective=objective)
        choices.append(replace(choice, bound=bound, gap=objective - bound))
    return sorted(choices, key=lambda choice: choice.groups)


def _one_after_the_other(
    names, counts, rows, weights, n_folds, seed, first: Choice
) -> Iterator[np.ndarray]:
    """Yield the partition of one choice after another, if groups are left for every fold."""
    place = {name: i for i, name in enumerate(names)}
    folds = np.zeros(len(names), dtype=np.int64)
    choice = first
    for fold in range(1, n_folds):
        folds[[place[name] for name in choice.groups]] = fold
        left = np.flatnonzero(folds == 0)
        if len(left) < n_folds - fold:
            return
        if fold < n_folds - 1:
            own = [names[i] for i in left]
            share = 1 / (n_folds - fold)
            choice = choose_groups(own, counts[left], rows[left], weights, share, seed=seed)
    yield folds


def _by_class(folds: np.ndarray, members: list[np.ndarray], n_folds: int) -> np.ndarray:
    """Return how many groups of each class each fold takes; shape (folds, classes)."""
    return np.array([np.bincount(folds[m], minlength=n_folds) for m in members]).T.copy()


def _named(taken: np.ndarray, members: list[np.ndarray], names: list[str]) -> list[list[str]]:
    """Return the groups of each fold: of a class, the first ids go to the first folds."""
    chosen: list[list[str]] = [[] for _ in taken]
    for place, group in enumerate(members):
        borders = np.cumsum(taken[:, place])[:-1]
        for fold, part in enumerate(np.split(group, borders)):
            chosen[fold] += [names[i] for i in part]
    return chosen


def _best_partition(state: _Folds, starts: list[np.ndarray], seed: int) -> np.ndarray:
    """Return the best partition found from some starts and a greedy one."""
    state.begin_greedily()
    for start in starts:
        value = state.objective_of(start)
        if (start.sum(axis=1) > 0).all() and value < state.value - ROUNDING:
            state.begin(start)
    state.descend()
    best, value = state.taken.copy(), state.value
    chance = random.Random(seed)
    idle = 0
    while idle < KICKS_WITHOUT_GAIN and state.work < SEARCH_WORK and value > ROUNDING:
        state.begin(best)
        state.kick(KICK_SIZES[idle % len(KICK_SIZES)], chance)
        state.descend()
        idle += 1
        if state.value < value - ROUNDING:
            best, value, idle = state.taken.copy(), state.value, 0
    return best


class _Folds:
    """A partition, and steps from it to a better one."""

    def __init__(self, terms: Terms, n_folds: int):
        self.terms = terms
        self.n_folds = n_folds
        self.work = 0
        self._columns = np.ascontiguousarray(terms.counts.T)

    def begin(self, taken: np.ndarray) -> None:
        """Stand at a partition: shape (folds, classes), int64."""
        self.taken = taken.copy()
        self.rows = taken @ self._columns
        self.values = np.array([self.terms.objective_of(rows) for rows in self.rows])

    def begin_greedily(self) -> None:
        """Deal the groups, the largest first, each to the fold where it helps most."""
        self.begin(np.zeros((self.n_folds, len(self.terms.sizes)), dtype=np.int64))
        order = np.argsort(-self._columns.sum(axis=1), kind="stable")
        left = int(self.terms.sizes.sum())
        for place in np.repeat(order, self.terms.sizes[order]).tolist():
            empty = np.flatnonzero(self.taken.sum(axis=1) == 0)
            folds = empty.tolist() if len(empty) >= left else list(range(self.n_folds))
            gains = [self._after(fold, place) - self.values[fold] for fold in folds]
            self._change(folds[int(np.argmin(gains))], place, 1)
            left -= 1

    @property
    def value(self) -> float:
        """Return the mean of the objectives of the folds."""
        return float(self.values.cumsum()[-1]) / self.n_folds

    def objective_of(self, taken: np.ndarray) -> float:
        """Return the mean of the objectives of the folds of another partition."""
        return sum(self.terms.objective(fold) for fold in taken) / self.n_folds

    def kick(self, size: int, chance: random.Random) -> None:
        """Exchange some groups between folds at random, one for one."""
        for _ in range(size):
            one, other = chance.sample(range(self.n_folds), 2)
            leave = chance.choice(np.flatnonzero(self.taken[one]).tolist())
            enter = chance.choice(np.flatnonzero(self.taken[other]).tolist())
            for fold, place, sign in ((one, leave, -1), (other, leave, 1)):
                self._change(fold, place, sign)
            for fold, place, sign in ((other, enter, -1), (one, enter, 1)):
                self._change(fold, place, sign)

    def descend(self) -> None:
        """Move and exchange groups as long as that helps and work is left."""
        improved = True
        while improved:
            improved = False
            for fold in range(self.n_folds):
                for place in np.flatnonzero(self.taken[fold]).tolist():
                    if self.taken[fold, place] and self.work < SEARCH_WORK:
                        improved |= self._improve(fold, place)

    def _after(self, fold: int, place: int) -> float:
        return self.terms.objective_of(self.rows[fold] + self._columns[place])

    def _change(self, fold: int, place: int, sign: int) -> None:
        self.taken[fold, place] += sign
        self.rows[fold] += sign * self._columns[place]
        self.values[fold] = self.terms.objective_of(self.rows[fold])

    def _improve(self, fold: int, place: int) -> bool:
        """Move one group of a fold to another fold, or exchange it, if that helps."""
        terms, steps = self.terms, self.terms.steps
        off = terms.deviations_of(self.rows[fold] - self._columns[place])
        alone = float(np.abs(off).cumsum()[-1]) if self.taken[fold].sum() > 1 else np.inf
        # Adding along the first axis goes term by term on every machine: same sum everywhere.
        entered = np.abs(steps + off[:, np.newaxis]).sum(axis=0)
        best, gain = (-1, -1), ROUNDING
        for other in range(self.n_folds):
            if other == fold:
                continue
            before = self.values[fold] + self.values[other]
            moved = before - alone - self._after(other, place)
            if moved > gain:
                best, gain = (other, -1), moved
            taken = terms.deviations_of(self.rows[other] + self._columns[place])
            left = np.abs(taken[:, np.newaxis] - steps).sum(axis=0)
            exchanged = np.where(self.taken[other] > 0, before - entered - left, -np.inf)
            back = int(exchanged.argmax())
            if exchanged[back] > gain:
                best, gain = (other, back), float(exchanged[back])
        self.work += self.n_folds * (steps.size + CALL_WORK)
        if best[0] < 0:
            return False
        self._change(fold, place, -1)
        self._change(best[0], place, 1)
        if best[1] >= 0:
            self._change(best[0], best[1], -1)
            self._change(fold, best[1], 1)
        return True
