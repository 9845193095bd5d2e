"""A start solution for the optimiser: greedy choice, best exchanges, repeated from kicks.

This is iterated local search (Lourenço, Martin and Stützle, "Iterated Local Search", Handbook
of Metaheuristics, 2003). It counts its work instead of looking at the clock, so that the same
problem always gives the same answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

# Smaller differences of the objective (a mean deviation of shares) are rounding.
ROUNDING = 1e-12
# Two to six groups are exchanged by a kick: few keep what was gained, many leave a valley.
KICK_SIZES = (2, 3, 4, 5, 6)
KICKS_WITHOUT_GAIN = 300
# One evaluation costs as much time as this many cells before it looks at any.
CALL_WORK = 8_000


@dataclass(frozen=True)
class Terms:
    """What is to be balanced, over classes of groups that have equal counts.

    Attributes
    ----------
    counts : numpy.ndarray
        Shape (terms, classes), int64: rows of one group of each class in each term.
    sizes : numpy.ndarray
        Shape (classes,), int64: how many groups each class has.
    totals : numpy.ndarray
        Shape (terms,), int64: rows of each term over all groups, at least 1.
    weights : numpy.ndarray
        Shape (terms,), float64, of sum 1.
    share : float
        The wished share of each total, in (0, 1).
    base : numpy.ndarray or None
        Shape (terms,), int64: rows of groups that are taken whatever is chosen; None is none.
    least, most : int
        The fewest and the most groups that may be chosen; a negative `most` counts from all.
    """

    counts: np.ndarray
    sizes: np.ndarray
    totals: np.ndarray
    weights: np.ndarray
    share: float
    base: np.ndarray | None = None
    least: int = 1
    most: int = -1
    steps: np.ndarray = field(init=False)

    def __post_init__(self):
        if self.base is None:
            object.__setattr__(self, "base", np.zeros(len(self.totals), dtype=np.int64))
        if self.most < 0:
            object.__setattr__(self, "most", int(self.sizes.sum()) + self.most)
        factors = self.weights / self.totals
        object.__setattr__(self, "steps", self.counts * factors[:, np.newaxis])

    def deviations(self, taken: np.ndarray) -> np.ndarray:
        """Return weight x (share reached - share wished) of each term.

        Parameters
        ----------
        taken : numpy.ndarray
            Shape (classes,), int64: how many groups of each class are chosen.

        Returns
        -------
        numpy.ndarray
            Shape (terms,), float64.
        """
        return self.deviations_of(self.rows_of(taken))

    def rows_of(self, taken: np.ndarray) -> np.ndarray:
        """Return the rows taken of each term (shape (terms,), int64), with those of the base."""
        return self.base + self.counts @ taken

    def objective(self, taken: np.ndarray) -> float:
        """Return the weighted mean of the absolute deviations of shares."""
        return self.objective_of(self.rows_of(taken))

    def objective_of(self, rows: np.ndarray) -> float:
        """Return the objective where `rows` (shape (terms,), int64) rows are taken."""
        return float(np.abs(self.deviations_of(rows)).cumsum()[-1])

    def deviations_of(self, rows: np.ndarray) -> np.ndarray:
        """Return the same as `deviations` where `rows` (shape (terms,), int64) are taken."""
        return self.weights * (rows / self.totals - self.share)


def search(
    terms: Terms,
    seed: int,
    work: int,
    enough: float,
    starts: Callable[[], Iterable[np.ndarray]] = tuple,
) -> np.ndarray:
    """Look for a good choice of groups, as many as the terms allow.

    Parameters
    ----------
    terms : Terms
        What is to be balanced.
    seed : int
        Seed of the kicks.
    work : int
        How many cells (terms x classes) may be evaluated, about; the greedy choice always ends.
    enough : float
        The search ends at an objective of this or less.
    starts : callable
        Gives other choices to begin with, shaped as the result; asked only if the greedy choice
        is not good enough. The result is never worse than any of them.

    Returns
    -------
    numpy.ndarray
        Shape (classes,), int64: how many groups of each class are taken.
    """
    steps = _Steps(terms, work)
    steps.begin(np.zeros(len(terms.sizes), dtype=np.int64))
    if terms.least > 0:
        steps.value = np.inf
    while steps.add():
        pass
    if terms.most == 0:
        return steps.taken
    steps.descend()
    best, value = steps.taken.copy(), steps.value
    for start in starts() if value > max(enough, ROUNDING) else ():
        if terms.objective(start) < value - ROUNDING:
            steps.begin(start.copy())
            steps.descend()
            best, value = steps.taken.copy(), steps.value
    chance = random.Random(seed)
    idle = 0
    while idle < KICKS_WITHOUT_GAIN and not steps.spent() and value > max(enough, ROUNDING):
        steps.begin(_kick(terms, best, KICK_SIZES[idle % len(KICK_SIZES)], chance))
        steps.descend()
        idle += 1
        if steps.value < value - ROUNDING:
            best, value, idle = steps.taken.copy(), steps.value, 0
    return best


def _kick(terms: Terms, taken: np.ndarray, size: int, chance: random.Random) -> np.ndarray:
    """Exchange some groups at random, one for one."""
    kicked = taken.copy()
    inside = np.repeat(np.arange(len(taken)), taken).tolist()
    outside = np.repeat(np.arange(len(taken)), terms.sizes - taken).tolist()
    number = min(size, len(inside), len(outside))
    for leave, enter in zip(
        chance.sample(inside, number), chance.sample(outside, number), strict=True
    ):
        kicked[leave] -= 1
        kicked[enter] += 1
    return kicked


class _Steps:
    """Steps from one choice to a better one; all groups that may enter are tried at once."""

    def __init__(self, terms: Terms, limit: int):
        self.terms = terms
        self.limit = limit
        self.work = 0
        self.least, self.most = terms.least, terms.most
        self._columns = np.ascontiguousarray(terms.counts.T)
        self._cells = np.empty_like(terms.steps)

    def begin(self, taken: np.ndarray) -> None:
        """Stand at a choice (which is changed from here on)."""
        self.taken = taken
        self.rows = self.terms.rows_of(taken)
        self.number = int(taken.sum())
        self.value = self.terms.objective_of(self.rows)

    def spent(self) -> bool:
        """Return whether the work allowed is done."""
        return self.work >= self.limit

    def descend(self) -> None:
        """Exchange, drop and add groups as long as that helps and work is left."""
        improved = True
        while improved:
            improved = self.add()
            for place in np.flatnonzero(self.taken).tolist():
                if self.taken[place] and not self.spent():
                    improved |= self._exchange(place)

    def add(self) -> bool:
        """Take the group that helps most, if one does and one more may be taken."""
        if self.number >= self.most:
            return False
        place, value = self._best_entry(self.rows)
        if value >= self.value - ROUNDING:
            return False
        self._move(place, 1, value)
        return True

    def _exchange(self, place: int) -> bool:
        """Give up one group of a class, or exchange it for the best other one."""
        without = self.rows - self._columns[place]
        alone = self.terms.objective_of(without) if self.number > self.least else np.inf
        self.taken[place] -= 1
        other, value = self._best_entry(without)
        self.taken[place] += 1
        if min(alone, value) >= self.value - ROUNDING:
            return False
        self._move(place, -1, alone)
        if value < alone:
            self._move(other, 1, value)
        return True

    def _move(self, place: int, sign: int, value: float) -> None:
        self.taken[place] += sign
        self.rows = self.rows + sign * self._columns[place]
        self.number += sign
        self.value = value

    def _best_entry(self, rows: np.ndarray) -> tuple[int, float]:
        """Return the class of which one group more gives the least objective, and that."""
        terms, cells = self.terms, self._cells
        np.add(terms.steps, terms.deviations_of(rows)[:, np.newaxis], out=cells)
        np.abs(cells, out=cells)
        # Adding along the first axis goes term by term on every machine: same sum everywhere.
        reached = cells.sum(axis=0)
        reached[self.taken >= terms.sizes] = np.inf
        self.work += cells.size + CALL_WORK
        place = int(reached.argmin())
        return place, float(reached[place])
